"""The full matrix, as it was run last."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.sweeps.store import read

STORED = Path(__file__).parents[1] / "results" / "phenomena"
Key = tuple[tuple[str, int | str], ...]


@dataclass(frozen=True)
class Stored:
    """Runs by their points, and where they come from."""

    origin: dict  # script, seed, date, versions
    runs: dict[Key, dict[str, Tensor]]


def key(point: dict) -> Key:
    """A point as a key."""
    return tuple(sorted(point.items()))


@door(origin="experiment")
def stored(folder: Path = STORED) -> Stored:
    """What ``tools/figures_matrix.py`` computed last. Raises ValueError on a damaged file."""
    origin, runs = {}, {}
    for file in sorted(folder.glob("*.point")):
        header, fields = read(file)
        parts = {name: torch.from_numpy(array).double() for name, array in fields.items()}
        runs[key(header["point"])] = parts
        origin = header["code"] | {"date": header["date"]}
    return Stored(origin, runs)
