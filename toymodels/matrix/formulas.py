"""The formulas of the book as candidates: what was known before anything descended.

Same calls as ``candidates``, on the population only. Kernel ridge, deep linear networks and
alternating flows are formulas there already.
"""

import torch
from torch import Tensor

from toymodels import deep_linear, lattice, tree
from toymodels.matrix.candidates import CANDIDATES, EPS, Candidate
from toymodels.matrix.record import Record, from_coefficients
from toymodels.matrix.tasks import Task
from toymodels.matrix.trained import one_order
from toymodels.numerics.integrate import solve

TIMES = torch.cat([torch.zeros(1), torch.logspace(-1, 3.5, 500)]).double()


def _recorded(task: Task, coefficient: Tensor) -> Record:
    return from_coefficients(task, TIMES, coefficient[:, None])


def diagonal(task: Task, samples: None, *, seed: int, members: int = 1, start: float = EPS):
    """Modes of two layers with the imbalance that readouts of 0 have."""
    beta = task.target
    model = deep_linear.DeepLinear(beta.abs().clamp(min=1e-9), 0.0, imbalance=start**2)
    return _recorded(task, deep_linear.theory(model, TIMES).strength * (beta != 0)[:, None])


def gated(task: Task, samples: None, *, seed: int, members: int = 1, start: float = EPS):
    """da/dt = (beta - a w^m) w^m with w^2 = a^2 + start^2, one equation for each mode."""
    m, beta = task.sizes.double(), task.target

    def rate(_: Tensor, a: Tensor) -> Tensor:
        way = (a.square() + start**2).sqrt() ** m
        return (beta - a * way) * way

    a = solve(rate, torch.zeros_like(beta), TIMES, rtol=1e-9, atol=1e-15)
    return _recorded(task, a * (a.square() + start**2).sqrt() ** m)


def trees(task: Task, samples: None, *, seed: int, members: int = 1, start: float = EPS):
    """Gradient flow of the tree."""
    edge = torch.full_like(task.target, start)
    model = tree.Tree(tuple(one_order(task)), task.target, torch.zeros_like(edge), edge)
    return _recorded(task, tree.theory(model, TIMES).coefficient)


def lattices(task: Task, samples: None, *, seed: int, members: int = 1, start: float = EPS):
    """Gradient flow of the lattice."""
    model = lattice.asleep(task.target, task.dimension, task.degree, start=start)
    return _recorded(task, lattice.theory(model, TIMES).coefficient)


FORMULAS: dict[str, Candidate] = {
    name: CANDIDATES[name]
    for name in ("kernel ridge", "deep linear, 2", "deep linear, 3", "alternating flows")
} | {"diagonal": diagonal, "gated": gated, "tree": trees, "lattice": lattices}
