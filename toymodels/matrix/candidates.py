"""The candidates: thin adapters onto the models of this book, and two from outside.

A candidate is a function ``(task, samples, *, seed, members) -> Record``; ``samples`` is None for
the population. What a candidate cannot be asked, the matrix says in a phrase: see ``WHY``.
"""

from collections.abc import Callable

import torch

from toymodels import deep_linear
from toymodels.matrix import outside
from toymodels.matrix.record import Record, from_coefficients
from toymodels.matrix.tasks import Task, values
from toymodels.matrix.trained import (
    Descent,
    all_orders,
    grown_from,
    layers,
    one_order,
    pathways,
    side_by_side,
    towers,
)

Candidate = Callable[..., Record]
EPS = outside.EPS
RIDGES = torch.logspace(2, -9, 45, dtype=torch.float64)


def kernel(
    task: Task, samples: int | None, *, seed: int, members: int = 1, flat: bool = False
) -> Record:
    """Kernel ridge regression on the monomials, with eigenvalues dimension^-degree or all equal.

    Its time is the inverse of the ridge, in units of the mean of the kernel.
    """
    lam = torch.ones(len(task.features)).double()
    lam = lam if flat else float(task.dimension) ** (1.0 - task.sizes.double())
    if samples is None:
        share = lam / (lam + RIDGES[:, None])
        c = task.target[:, None, None] * share
        return from_coefficients(task, 1 / RIDGES, c.expand(-1, members, -1, -1))
    signs, y = task.draw(samples, seed=seed, members=members)
    phi = values(signs, task.features)
    size, vector = torch.linalg.eigh((phi * lam) @ phi.mT / samples)  # (member, sample, sample)
    left = RIDGES / (size.clamp(min=0)[..., None] + RIDGES)  # (member, sample, ridge)
    turned = y[..., None, :] @ vector  # (problem, member, 1, sample)
    weight = vector @ (turned.mT * left / RIDGES)  # (problem, member, sample, ridge)
    c = weight.mT @ phi * lam / samples
    off = (turned.mT * left).square().mean(-2)
    return from_coefficients(task, 1 / RIDGES, c, off)


def modes(depth: int) -> Candidate:
    """Deep linear networks. On the population every coordinate is a mode with an output of its
    own, which ``deep_linear`` solves, and products of coordinates are never learned; on samples
    there is one output, and the network descends."""

    def candidate(task: Task, samples: int | None, *, seed: int, members: int = 1) -> Record:
        if samples is not None:
            return LINEAR[depth](task, samples, seed=seed, members=members)
        beta = task.target[:, : task.dimension]
        time = torch.logspace(-1, 3, 200).double()
        model = deep_linear.DeepLinear(beta.clamp(min=1e-9), EPS**depth, depth=depth)
        known = torch.where(beta[:, None] > 0, deep_linear.theory(model, time).strength, 0.0)
        c = torch.zeros(len(beta), members, len(time), len(task.features)).double()
        c[..., : task.dimension] = known[:, None]
        return from_coefficients(task, time, c)

    return candidate


LINEAR = {
    depth: Descent(layers((16,) * (depth - 1), None), 0.3, 0.05, 60, 60, features=False)
    for depth in (2, 3)
}
FLOW = {"start": EPS, "step": 0.1, "until": 150, "long": 250}
NETWORK = {"start": 1.0, "step": 0.1, "until": 100, "long": 150, "features": False, "batch": 128}
CANDIDATES: dict[str, Candidate] = {
    "kernel ridge": kernel,
    "deep linear, 2": modes(2),
    "deep linear, 3": modes(3),
    "diagonal": Descent(grown_from(side_by_side), **FLOW),
    "gated": Descent(pathways, **FLOW),
    "tree": Descent(grown_from(one_order), **FLOW),
    "lattice": Descent(all_orders, **FLOW),
    "tower": Descent(towers, 0.3, 0.03, 90, 90, features=False),
    "alternating flows": outside.alternating,
    "Neural LoFi": outside.lofi,
    "ReLU, 2 hidden": Descent(layers((128,) * 2, torch.relu), **NETWORK),
    "ReLU, 3 hidden": Descent(layers((128,) * 3, torch.relu), **NETWORK),
}
