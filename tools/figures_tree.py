"""Train the trees of the section on few samples in ``chapters/tree.md`` and store what they show.

usage: python -m tools.figures_tree [FIGURE ...]    learning, race, friction, comparison; all

Gradient descent on data throughout; nothing of the theory of ``toymodels.tree_samples`` is used.
A quarter of an hour on one slow core. What is stored already, with the same settings, stays.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

import numpy as np
import torch

from tools.provenance import provenance
from toymodels.networks.rules import GradientDescent, GradientFlow, Rule, WeightDecay
from toymodels.sweeps.store import Fields, Point, Store
from toymodels.tree import Growth, Tree, balanced, experiment
from toymodels.tree_samples import DICTIONARIES, SETTINGS
from toymodels.tree_samples.stored import STORED

SEED = 11
CURVES, SIZES, TIMES = (
    200,
    [50, 100, 200],
    torch.cat([torch.arange(1, 21), torch.arange(22, 62, 2)]),
)
LATE = torch.cat([TIMES, torch.arange(70, 161, 10)])  # for the overshoot at 40 samples
RACES, BRANCHES, TRACKS, TINY = 600, [2, 3, 6], [20, 30, 60, 120, 240], 1e-30
FORESTS, TREES, ALIVE, DECAY, NOISE = 64, 80, 10, 0.1, 0.5
FOREST_SIZES = [60, 80, 100, 120, 160, 240]
CONTESTS = 48
CONTEST_SIZES = {120: [10, 15, 20, 30, 40, 60, 80, 160, 320], 1554: [15, 20, 30, 40, 60, 80]}


def learning() -> Iterator[tuple[Point, partial]]:
    """Error curves of three trees."""
    for name, setting in SETTINGS.items():
        first = next(iter(SETTINGS)) == name
        for n in [*([40] if first else []), *SIZES]:
            yield {"setting": name, "samples": n}, partial(curves, setting, n)


def curves(setting, n: int) -> Fields:
    seen = experiment(
        setting.tree(), LATE if n == 40 else TIMES, seed=SEED, samples=n, members=CURVES,
        noise=setting.noise, step=0.05,
    )  # fmt: skip
    return {"time": seen.time.numpy(), "error": (2 * seen.loss).numpy()}


def race() -> Iterator[tuple[Point, partial]]:
    """Who opens first: a path of four rungs, or one of the false children beside it."""
    for branches in BRANCHES:
        for n in TRACKS:
            yield {"branching": branches, "samples": n}, partial(climbs, branches, n)


def climbs(branches: int, n: int) -> Fields:
    """Moments at which the whole path and the first false child are open, one of each per set.
    Nothing hangs on false children, for they have lost or won before it matters, but their edges
    start as if something did. A coefficient above 0.01 is open: what noise holds up is not much
    larger."""
    parent = tuple(above for above in (-1, *((k - 1) * branches for k in range(1, 4)))
                   for _ in range(branches))  # fmt: skip
    target = torch.zeros(4 * branches)
    target[::branches] = 1.0
    readout = torch.full_like(target, TINY)
    edge = torch.where(torch.arange(4 * branches) < 3 * branches, 2 * TINY, TINY)
    seen = experiment(
        Tree(parent, target, readout, edge.to(target)), torch.arange(0, 561, 4), seed=SEED,
        samples=n, members=RACES, noise=0.3, step=0.4, rule=GradientFlow,
    )  # fmt: skip
    is_open = seen.coefficient.abs() > 0.01
    when = torch.where(is_open.any(1), seen.time[is_open.int().argmax(1)], torch.inf)
    path = when[:, ::branches].amax(-1)
    when[:, ::branches] = torch.inf
    return {"path": path.numpy(), "false": when.amin(-1).numpy()}


def friction() -> Iterator[tuple[Point, partial]]:
    """A forest under weight decay, and the diagonal network on the same features."""
    for learner in ("tree", "diagonal"):
        for n in FOREST_SIZES:
            yield {"learner": learner, "samples": n}, partial(rests, learner, n)


def rests(learner: str, n: int) -> Fields:
    parent = [above for k in range(TREES) for above in (-1, 3 * k, 3 * k)]
    parent = parent if learner == "tree" else [-1] * len(parent)
    target = torch.zeros(len(parent))
    target[0 : 3 * ALIVE : 3] = target[1 : 3 * ALIVE : 3] = 1.0
    readout = torch.full_like(target, 0.03)

    def rule(step: float) -> Rule:
        return WeightDecay(GradientDescent(step), DECAY)

    seen = experiment(
        Tree(parent, target, readout, balanced(readout, parent)), torch.tensor([150.0]), seed=SEED,
        samples=n, members=FORESTS, noise=NOISE, step=0.1, rule=rule,
    )  # fmt: skip
    return {"error": (2 * seen.loss[:, 0]).numpy()}


def comparison() -> Iterator[tuple[Point, partial]]:
    """Tree and diagonal network from the same small start, at two sizes of the dictionary."""
    for nodes in DICTIONARIES:
        for learner in ("tree", "diagonal"):
            for n in CONTEST_SIZES[nodes]:
                point = {"nodes": nodes, "learner": learner, "samples": n}
                yield point, partial(contest, nodes, learner, n)


def contest(nodes: int, learner: str, n: int) -> Fields:
    """Errors on fresh inputs and on the training set at the times 1 to 50."""
    setting = DICTIONARIES[nodes]
    seen: Growth = experiment(
        getattr(setting, learner)(), torch.arange(1, 51), seed=SEED, samples=n, members=CONTESTS,
        noise=setting.noise, step=0.05,
    )  # fmt: skip
    both = {"error": 2 * seen.loss, "train_error": 2 * seen.train_loss}
    return {name: x.numpy().astype(np.float16) for name, x in both.items()}


FIGURES = {f.__name__: f for f in (learning, race, friction, comparison)}


def origin() -> dict:
    """What the header of each result says of it."""
    return provenance(
        __file__,
        seed=SEED,
        settings={name: asdict(setting) for name, setting in SETTINGS.items()},
        dictionaries={str(nodes): asdict(s) for nodes, s in DICTIONARIES.items()},
        members={"learning": CURVES, "race": RACES, "friction": FORESTS, "comparison": CONTESTS},
        forest={"trees": TREES, "alive": ALIVE, "decay": DECAY, "noise": NOISE},
    )


def main(figures: list[str]) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    store, start = Store(STORED, origin()), time.process_time()
    store.open(on_change="refuse")
    for figure in figures or FIGURES:
        for point, compute in FIGURES[figure]():
            point = {"figure": figure, **point}
            if store.load(point) is None:
                store.save(point, compute())
            print(f"{point}: {time.process_time() - start:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
