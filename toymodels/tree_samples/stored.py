"""Experiments that took minutes: what was trained, and what it showed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.sweeps.store import read
from toymodels.tree import Tree, balanced, regular

STORED = Path(__file__).parents[1] / "results" / "tree"


@dataclass(frozen=True)
class Setting:
    """A target on one path of a regular tree, the noise of its labels and a balanced start."""

    branching: int
    target: tuple[float, ...]  # beta of every rung
    noise: float
    start: float  # of every readout

    def tree(self) -> Tree:
        """The path leads through the first node of every generation. Single precision suffices
        for statistics, and is faster."""
        parent = regular(self.branching, len(self.target))
        generations = [self.branching**k for k in range(1, len(self.target))]
        target = torch.zeros(len(parent), dtype=torch.float32)
        target[torch.tensor([0, *generations]).cumsum(0)] = torch.tensor(
            self.target, dtype=torch.float32
        )
        readout = torch.full_like(target, self.start)
        return Tree(parent, target, readout, balanced(readout, parent))

    def diagonal(self) -> Tree:
        """The same nodes side by side, with the same readouts."""
        tree = self.tree()
        return Tree((-1,) * len(tree.parent), tree.target, tree.readout, tree.readout)


# three trees of different shape, depth and noise, on which error curves are compared
SETTINGS = {
    "three branches": Setting(3, (1.0, 1.0, 1.0, 1.0), noise=0.3, start=0.03),
    "two branches, falling targets": Setting(2, (1.0, 0.9, 0.8, 0.7, 0.6), noise=0.4, start=0.05),
    "six branches": Setting(6, (1.0, 1.0, 1.0), noise=0.2, start=0.02),
}
# dictionaries of 120 and of 1554 nodes, and a start so small that all learners look for few
DICTIONARIES = {
    120: Setting(3, (1.0, 1.0, 1.0, 1.0), noise=0.3, start=1e-3),
    1554: Setting(6, (1.0, 1.0, 1.0, 1.0), noise=0.3, start=1e-3),
}


@dataclass(frozen=True)
class Stored:
    """Experiments by figure and point, and where they come from."""

    origin: dict  # script, seed, date, versions
    runs: dict[str, dict[tuple, dict[str, Tensor]]]  # figure, the other coordinates, field


@door(origin="experiment")
def stored(folder: Path = STORED) -> Stored:
    """What ``tools/figures_tree.py`` computed last. Raises ValueError on a damaged file."""
    origin, runs = {}, {}
    for file in sorted(folder.glob("*.point")):
        header, fields = read(file)
        point = dict(header["point"])
        parts = {name: torch.from_numpy(array).double() for name, array in fields.items()}
        runs.setdefault(point.pop("figure"), {})[tuple(point.values())] = parts
        origin = header["code"] | {"date": header["date"]}
    return Stored(origin, runs)
