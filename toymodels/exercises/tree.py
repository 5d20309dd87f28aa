"""Checkers of the exercises in ``chapters/tree.md``."""

import math

import torch
from torch import Tensor

from toymodels.page.exercise import Exercise
from toymodels.tree import Tree, balanced, chain, half_time, plateau, staircase


def _tensor(*values: float | int) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


wider = Exercise(
    "first weight after two rungs of strengths 1 and 2",
    solution=float(plateau(_tensor(1.0, 2.0))[0]),
    mistakes={
        "that is the first rung alone: the second has widened the way.": 1.0,
        "that is the path product to the second rung, u_1 u_2.": float(
            plateau(_tensor(1.0, 2.0))[1]
        ),
        "that is for two rungs of strength one.": float(plateau(_tensor(1.0, 1.0))[0]),
    },
)


def _wait(w: float) -> float:
    """Antiderivative of 1 / (w^3 (1 - w^4))."""
    return -1 / (2 * w**2) + math.log((1 + w**2) / (1 - w**2)) / 4


alone = Exercise(
    "half-time of the third level alone, from 0.05",
    solution=_wait(0.5**0.25) - _wait(0.05),
    mistakes={
        "that is the law of tiny starts, which integrates to infinity.": 200.0,
        "that is the law for two levels: here three weights wait for each other.": 20.0,
        "that ends at w = 1/2, but the coefficient is w^4.": _wait(0.5) - _wait(0.05),
    },
    within=2e-4,
)


def _backward(a: Tensor, u: Tensor, beta: Tensor) -> Tensor:
    P = torch.cat([torch.ones_like(u[:1]), torch.cumprod(u, 0)])
    below, du = torch.zeros_like(u[0]), torch.zeros_like(u)
    for k in reversed(range(len(u))):
        below = (beta[k] - a[k] * P[k + 1]) * a[k] + below
        du[k], below = P[k] * below, u[k] * below
    return du


def _own_node_only(a: Tensor, u: Tensor, beta: Tensor) -> Tensor:
    P = torch.cat([torch.ones_like(u[:1]), torch.cumprod(u, 0)])
    return P[:-1] * (beta - a * P[1:]) * a


backward = Exercise(
    "rate of the weights of a single path",
    solution=_backward,
    mistakes={
        "check the sign: weights go down the loss.": lambda a, u, beta: -_backward(a, u, beta),
        "an edge is pulled by all nodes below it, not by its own alone.": _own_node_only,
    },
    inputs=[
        (_tensor(0.3, 0.2, 0.5), _tensor(0.4, 0.9, 0.7), _tensor(1.0, -0.5, 0.8)),
        (_tensor(0.3, 0.2, 0.5, 0.1), _tensor(0.4, 0.0, 0.7, 1.1), _tensor(1.0, 0.5, 0.8, 0.2)),
    ],
)

friction = Exercise(
    "conserved current after a time with weight decay",
    solution=lambda start, decay, t: start * math.exp(-2 * decay * t),
    mistakes={
        "squares decay twice as fast as weights.": (
            lambda start, decay, t: start * math.exp(-decay * t)
        ),
        "without decay it is conserved; with it every square shrinks.": lambda start, decay, t: (
            start
        ),
        "that grows, but decay takes away.": (
            lambda start, decay, t: start * math.exp(2 * decay * t)
        ),
    },
    inputs=[(0.5, 0.1, 2.0), (-1.0, 0.3, 1.0), (0.2, 0.0, 5.0)],
)

sibling = Exercise(
    "slope of the weaker of two siblings",
    solution=float(staircase(_tensor(1.0, 1.0, 0.5), (-1, 0, 0))[2]),
    mistakes={
        "that is without the sibling.": 3.0,
        "the weak one has grown before its sibling woke: it is half-way already.": float(
            2 + 2 / plateau(_tensor(1.0, 1.0))[0]
        ),
        "the way to the siblings is P_1; that used P_2.": float(
            2 + 1 / plateau(_tensor(1.0, 1.0))[1]
        ),
        "that begins when the first rung is learned: its own wait belongs to the slope.": float(
            1 + 1 / plateau(_tensor(1.0, 1.0))[0]
        ),
    },
)


def _fourth(*ladders: tuple[int, ...]) -> dict[tuple[int, ...], float]:
    """Half-times of the last rung; readouts start at 0.01 where there is a target."""
    beta = torch.tensor(ladders, dtype=torch.float64)
    readout = 0.01 * (beta != 0)
    waits = half_time(Tree(chain(4), beta, readout, balanced(readout, chain(4))))[:, 3]
    return dict(zip(ladders, waits.tolist(), strict=True))


_FOURTH = _fourth((0, 1, 0, 1), (0, 0, 0, 1), (1, 0, 0, 1), (0, 0, 1, 1), (1, 1, 1, 1))
lesson = Exercise(
    "half-time of the fourth rung with the best lesson of strength one",
    solution=_FOURTH[0, 1, 0, 1],
    mistakes={
        "that is without a lesson.": _FOURTH[0, 0, 0, 1],
        "that begins at the bottom: a leap over three levels is left.": _FOURTH[1, 0, 0, 1],
        "that is one lesson next to the top: to learn it is itself a leap over three.": _FOURTH[
            0, 0, 1, 1
        ],
        "that is with all three lessons: only one is allowed.": _FOURTH[1, 1, 1, 1],
        "that is the law of tiny starts, two waits of 1/eps.": 200.0,
    },
)
