"""Checkers of the exercises in ``chapters/deep_linear.md``."""

import math

import torch
from scipy.optimize import brentq
from torch import Tensor

from toymodels.deep_linear import DeepLinear, gaussian, half_time
from toymodels.page.exercise import Exercise


def _wait(target: float, start: float, **kind: float | int) -> float:
    s = torch.tensor([target], dtype=torch.float64)
    return half_time(DeepLinear(s, start, **kind)).item()


def _start(strong: float, weak: float) -> float:
    """Start at which the mode 2 has ``strong`` over what it lacks when 1 has it ``weak`` times."""
    # strong (2x - 1) = (weak (x - 1))^2 with x = 1/u_0
    a, half = weak**2, weak**2 + strong
    return a / (half + math.sqrt(half**2 - a * (a + strong)))


stages = Exercise(
    "start from which mode 2 has nine tenths when mode 1 has one",
    solution=_start(9.0, 1 / 9),
    mistakes={
        "there the half-times part: the rise takes a time of its own.": _start(1.0, 1.0),
        "that lets the weak mode be half learned: it may have a tenth.": _start(9.0, 1.0),
        "that asks the strong mode for half of its strength only.": _start(1.0, 1 / 9),
    },
)

stops = Exercise(
    "losses at which a network with the target 3, 2, 1 can rest",
    solution=2**3,
    mistakes={
        "those are the ones that training visits from a small start.": 4,
        "a mode can rest unlearned too: it has two places, not one.": 3,
        "one more: nothing learned at all is a stationary point as well.": 7,
        "a learned mode stands still, it cannot rest half-way.": 3**3,
    },
)

infinite = Exercise(
    "half-time of s = 1 from 0.01 in units of 1/L, infinitely many layers",
    solution=1 / 0.01 - 2 + math.log(1 / 0.01 - 1),
    mistakes={
        "that is the law of tiny starts, which lets the mode run to infinity.": 1 / 0.01,
        "the factor 1 - u of the rate is missing.": 1 / 0.01 - 2,
        "that is the clock of two layers.": 2 * _wait(1.0, 0.01),
        "steps shrink as 1/L and rates grow as L: neither wins.": 0.0,
    },
)

revived = Exercise(
    "half-time of a mode that starts at zero, as a function of s and c",
    solution=lambda s, c: _wait(s, 0.0, imbalance=c),
    mistakes={
        "that is a single layer which c multiplies: the rate grows with u.": (
            lambda s, c: math.log(2) / c
        ),
        "that is the limit of small imbalance.": lambda s, c: math.log(4 * s / c) / (2 * s),
        "c is an imbalance, not a strength: it is a^2 - b^2.": (
            lambda s, c: math.log(abs(s / c - 1)) / (2 * s)
        ),
    },
    inputs=[(1.0, 0.1), (2.0, 0.5), (1.5, 3.5)],
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

threshold = Exercise(
    "time in which u falls from 0.5 to a hundredth of it, lambda = s = 1",
    solution=(1 / 0.005 - 1 / 0.5) / 2,
    mistakes={
        "that decays at the rate 2 lambda alone: but what is left of the mode still learns.": (
            math.log(100) / 2
        ),
        "that is the decay of a single layer: there the target cancels nothing.": math.log(100),
        "that falls to 0.01: a hundredth of 0.5 is less.": (1 / 0.01 - 1 / 0.5) / 2,
        "that forgets where the mode began.": 1 / 0.005 / 2,
    },
)

slower = Exercise(
    "start from which three layers are as fast as two, s = 1",
    solution=brentq(lambda u: _wait(1.0, u, depth=3) - _wait(1.0, u, depth=2), 0.05, 0.4),
    mistakes={
        "there the rates cross: the half-times are equal at a smaller start.": (2 / 3) ** 3,
        "that is the factor at 0.001; the question is where it is one.": (
            _wait(1.0, 1e-3, depth=3) / _wait(1.0, 1e-3, depth=2)
        ),
    },
    within=5e-3,
)

balance = Exercise(
    "largest stable step at the minimum of imbalance c",
    solution=lambda s, c: 2 / math.hypot(c, 2 * s),
    mistakes={
        "that is the balanced minimum, the flattest one: c counts.": lambda s, c: 1 / s,
        "that is one over the curvature: a step is stable up to two over it.": (
            lambda s, c: 1 / math.hypot(c, 2 * s)
        ),
        "a^2 + b^2 is not c + 2s: square, and use 4 (ab)^2.": lambda s, c: 2 / (c + 2 * s),
    },
    inputs=[(1.0, 8.99), (2.0, 1.0), (0.5, 3.0)],
)
