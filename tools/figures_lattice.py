"""Train the ReLU networks of ``chapters/lattice.md`` and store what they show.

usage: python -m tools.figures_lattice

Networks on x_1 x_2 x_3 in twelve contexts, networks on the contexts alone whose tangent kernel is
watched, networks on random targets with two cubic terms, and on random sparse targets. The targets
follow from a seed that was written here before any network had seen one; the lattice's start, by
which they are ordered, too. Nothing of the theory of ``toymodels.lattice`` is used. Ten minutes on
one core. What is stored already, with the same settings, stays.
"""

import time
from dataclasses import asdict

import numpy as np
import torch

from tools.provenance import provenance
from toymodels.numerics.clock import first_passage
from toymodels.subset_lattice.relu import (
    CONTEXTS,
    DEGREE,
    FIRST,
    SECOND,
    SEEN,
    Lesson,
    context,
    cubic_pairs,
    learn,
    sparse,
)
from toymodels.subset_lattice.sets import subsets
from toymodels.subset_lattice.stored import STORED
from toymodels.sweeps.store import Fields, Store

SEED, TARGETS_SEED, LATTICE_START, LESSON = 5, 2027, 0.05, Lesson()
MEMBERS = {"contexts": 6, "alone": 4, "pairs": 2, "sparse": 2}
STEPS = {"contexts": 2400, "alone": 1000, "pairs": 4000, "sparse": 3000}
EVERY = {"contexts": 20, "alone": 100, "pairs": 20, "sparse": 10}
TARGETS = {"pairs": 48, "sparse": 24}


def contexts() -> Fields:
    """Coefficients of x_1 x_2 x_3 in every context."""
    seen = _learned("contexts", torch.stack([context(name) for name in CONTEXTS]))
    return {"step": seen.step.numpy(), "cubic": _of(seen.coefficient, FIRST)}


def alone() -> Fields:
    """The tangent kernel on x_1 x_2 x_3 while networks learn the rest alone."""
    target = torch.stack([context(name, alone=True) for name in CONTEXTS])
    seen = _learned("alone", target, tangent=True)
    return {"step": seen.step.numpy(), "tangent": seen.tangent.numpy()}


def pairs() -> Fields:
    """Coefficients of the two cubic terms of every random target, and the targets."""
    target = cubic_pairs(seed=TARGETS_SEED, members=TARGETS["pairs"])
    seen = _learned("pairs", target)
    cubics = [_of(seen.coefficient, S) for S in (FIRST, SECOND)]
    return {
        "step": seen.step.numpy(),
        "cubic": np.stack(cubics, -1),
        "target": target.numpy(),
    }


def random_sparse() -> Fields:
    """The step at which each coefficient passes half of its target, and the targets."""
    target = sparse(seed=TARGETS_SEED, members=TARGETS["sparse"])
    seen = _learned("sparse", target)
    share = seen.coefficient / torch.where(target == 0, torch.inf, target)[:, None, None].float()
    half = first_passage(seen.step.float(), share.transpose(-1, -2), 0.5)
    return {"half": half.numpy(), "target": target.numpy()}


FIGURES = {"contexts": contexts, "alone": alone, "pairs": pairs, "sparse": random_sparse}


def _learned(figure: str, target: torch.Tensor, **more):
    return learn(
        target, STEPS[figure], seed=SEED, members=MEMBERS[figure], every=EVERY[figure],
        lesson=LESSON, **more,
    )  # fmt: skip


def _of(coefficient: torch.Tensor, S: tuple[int, ...]) -> np.ndarray:
    return coefficient[..., subsets(SEEN, DEGREE).index(S)].numpy().astype(np.float16)


def origin() -> dict:
    """What the header of each result says of it."""
    return provenance(
        __file__,
        seed=SEED,
        targets_seed=TARGETS_SEED,
        lattice_start=LATTICE_START,
        members=MEMBERS,
        steps=STEPS,
        every=EVERY,
        lesson=asdict(LESSON),
    )


def main() -> None:
    torch.set_num_threads(1)
    store, start = Store(STORED, origin()), time.process_time()
    store.open(on_change="refuse")
    for figure, compute in FIGURES.items():
        if store.load({"figure": figure}) is None:
            store.save({"figure": figure}, compute())
        print(f"{figure}: {time.process_time() - start:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
