"""Checkers of the exercises in ``chapters/residual_depth.md``."""

import math

import torch
from torch import Tensor

from toymodels.page.exercise import Exercise


def _kernel(depth: int, exponent: float) -> float:
    growth = 1 + depth ** (-2 * exponent)
    return growth ** (depth - 1) * (2 * growth + 1)


def _undivided(depth: int, exponent: float) -> float:
    """With branches that take the same step as the ends at every exponent."""
    c = depth**-exponent
    return (1 + c**2) ** (depth - 1) * (2 * (1 + c**2) + depth * c**2)


def _first_responses(depth: int, exponent: float, power: int = 1, embedding: float = 1.0) -> Tensor:
    c, a = depth**-exponent, [embedding * depth**-exponent]
    for k in range(1, depth):
        a.append(a[-1] + c * (c**power * a[-1] + (1 + c**2) ** (k - 1) / depth))
    return torch.tensor(a, dtype=torch.float64)


def _first_depth(exponent: float) -> int:
    """The first depth with a kernel within a hundredth of 3; the kernel falls with it."""
    low, high = 1, 1 << 20
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _kernel(middle, exponent) <= 3.03 else (middle, high)
    return high


single = Exercise(
    "step that takes an infinitely wide network to its label at once",
    solution=lambda depth, exponent: 1 / _kernel(depth, exponent),
    mistakes={
        "that is the kernel: the step is its inverse.": _kernel,
        "the step of a branch carries the factor depth^(2 exponent - 1).": (
            lambda depth, exponent: 1 / _undivided(depth, exponent)
        ),
        "the ends learn too, both of them.": lambda depth, exponent: (
            1 / (1 + depth ** (-2 * exponent)) ** (depth - 1)
        ),
        "c squared goes with depth^(-2 exponent).": lambda depth, exponent: (
            1 / _kernel(depth, exponent / 2)
        ),
    },
    inputs=[(3, 0.5), (7, 1.0), (4, 0.0)],
)

twice = Exercise(
    "branch at which the first kernels of the exponents differ by a factor two",
    solution=math.sqrt(math.log(2)),
    mistakes={
        "that is beta squared.": math.log(2),
        "that is where exp(beta^2) is e.": 1.0,
        "each term grows by exp(beta^2) once, on the way up or on the way down.": (
            math.sqrt(math.log(2) / 2)
        ),
    },
)

blocks = Exercise(
    "first kernel of infinitely many linear branches of two matrices, exponent 1/2",
    solution=4 * math.e,
    mistakes={
        "that is with one matrix in a branch.": 3 * math.e,
        "that is at exponent 1, where the stream does not grow.": 4.0,
        "the ends learn too.": 2 * math.e,
        "the product of two matrices has the variance of one: the stream grows by 1 + c^2.": (
            4 * math.e**2
        ),
    },
)

response = Exercise(
    "responses after one step",
    solution=_first_responses,
    mistakes={
        "the echo in a response carries c, and the response another one: not c squared.": (
            lambda depth, exponent: _first_responses(depth, exponent, power=2)
        ),
        "the embedding answers too: the first response is c.": (
            lambda depth, exponent: _first_responses(depth, exponent, embedding=0.0)
        ),
        "that is the response over c.": lambda depth, exponent: (
            _first_responses(depth, exponent) * depth**exponent
        ),
    },
    inputs=[(4, 0.5), (6, 1.0)],
)

between = Exercise(
    "depth from which on exponent 3/4 has its limit within one per cent",
    solution=_first_depth(0.75),
    mistakes={
        "that is at exponent 1.": _first_depth(1.0),
        "that is where 1 / sqrt(L) is three hundredths: the kernel is 3 + 3 / sqrt(L).": 1111,
    },
    within=2e-3,
)

own = Exercise(
    "power of the depth in the learned share at exponent 3/4",
    solution=-0.25,
    mistakes={
        "that is the power at exponent 1/2.": -0.5,
        "the share falls with the depth.": 0.25,
    },
    within=0.15,
)
