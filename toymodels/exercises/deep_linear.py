"""Checkers of the exercises in ``chapters/deep_linear.md``."""

import math

import torch
from torch import Tensor

from toymodels.deep_linear import DeepLinear, gaussian, half_time
from toymodels.page.exercise import Exercise


def _half_time(depth: int, target: float = 1.0) -> float:
    s = torch.tensor([target], dtype=torch.float64)
    return half_time(DeepLinear(s, start=1e-3, depth=depth)).item()


waiting = Exercise(
    "half-time of the mode s = 2 from u(0) = 0.001, two layers",
    solution=_half_time(2, target=2.0),
    mistakes={
        "that is twice the time: the rate in the exponent is 2s, one s from each layer.": (
            2 * _half_time(2, target=2.0)
        ),
        "that is a single layer, which moves at full speed from the start.": (
            _half_time(1, target=2.0)
        ),
    },
)

plateau = Exercise(
    "loss on the plateau after the first of three modes s = 3, 2, 1",
    solution=(4 + 1) / 2,
    mistakes={
        "the loss carries a factor 1/2.": 4 + 1,
        "that is the part that the learned mode has already removed.": 9 / 2,
        "that is the plateau before any mode is learned.": (9 + 4 + 1) / 2,
    },
)

rate = Exercise(
    "du/dt of a balanced mode at any depth",
    solution=lambda u, s, depth: depth * u ** (2 - 2 / depth) * (s - u),
    mistakes={
        "the factor L is missing: every one of the L layers moves.": (
            lambda u, s, depth: u ** (2 - 2 / depth) * (s - u)
        ),
        "one factor a^(L-1) is missing: da/dt brings the first, du/da = L a^(L-1) the second.": (
            lambda u, s, depth: depth * u ** (1 - 1 / depth) * (s - u)
        ),
        "that is the exponent of the layer gain a: put a = u^(1/L) into a^(2L-2).": (
            lambda u, s, depth: depth * u ** (2 * depth - 2) * (s - u)
        ),
    },
    inputs=[(0.2, 1.0, 1), (0.3, 1.5, 2), (0.7, 2.0, 3), (1.5, 1.0, 5)],
)

unbalanced = Exercise(
    "du/dt of two layers with imbalance c",
    solution=lambda u, s, c: (s - u) * math.sqrt(c**2 + 4 * u**2),
    mistakes={
        "a^2 + b^2 is not c + 2u: square, and use (a^2 + b^2)^2 = (a^2 - b^2)^2 + 4 (ab)^2.": (
            lambda u, s, c: (s - u) * (c + 2 * u)
        ),
        "that is the balanced rate: c has dropped out.": lambda u, s, c: 2 * u * (s - u),
    },
    inputs=[(0.1, 1.0, 0.5), (0.6, 2.0, 3.0), (0.0, 1.0, 0.2)],
)

decay = Exercise(
    "weight decay that leaves a mode of strength s = 1 at u = 0.4",
    solution=0.6,
    mistakes={
        "that is what survives, not what is taken away.": 0.4,
        "check the factor two: both layers decay, and both also learn.": 0.3,
    },
)

slower = Exercise(
    "half-time at depth 3 over half-time at depth 2, for s = 1 and u(0) = 0.001",
    solution=_half_time(3) / _half_time(2),
    mistakes={
        "that is the inverse: the deeper network waits longer.": _half_time(2) / _half_time(3),
        "that uses the estimate u0^(-1/3)/s, which lets the mode run to infinity instead of s/2.": (
            10.0 / _half_time(2)
        ),
    },
    within=5e-3,
)


def _starts(first: Tensor, second: Tensor) -> Tensor:
    return (first + second.mT).square().sum(-2) / 4


growing = Exercise(
    "growing part of each mode, from the two weight matrices",
    solution=_starts,
    mistakes={
        "that is the product of the layers: half of it is about to shrink away.": (
            lambda first, second: (second @ first).diagonal()
        ),
        "the 1/4 is missing: (a + b)^2 = 4u when a = b.": (
            lambda first, second: 4 * _starts(first, second)
        ),
        "that is the shrinking part: check the sign.": (
            lambda first, second: (first - second.mT).square().sum(-2) / 4
        ),
    },
    inputs=[tuple(w[0] for w in gaussian(3, members=1, width=5, depth=2, scale=0.1, seed=7))],
)
