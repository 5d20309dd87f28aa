"""Networks that took minutes: what was trained, and what it showed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.sweeps.store import read

STORED = Path(__file__).parents[1] / "results" / "lattice"


@dataclass(frozen=True)
class Stored:
    """Experiments by figure, and where they come from."""

    origin: dict  # script, seeds, date, versions, settings
    runs: dict[str, dict[str, Tensor]]  # figure, field


@door(origin="experiment")
def stored(folder: Path = STORED) -> Stored:
    """What ``tools/figures_lattice.py`` computed last. Raises ValueError on a damaged file."""
    origin, runs = {}, {}
    for file in sorted(folder.glob("*.point")):
        header, fields = read(file)
        parts = {name: torch.from_numpy(array).double() for name, array in fields.items()}
        runs[header["point"]["figure"]] = parts
        origin = header["code"] | {"date": header["date"]}
    return Stored(origin, runs)
