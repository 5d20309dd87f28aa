"""Checkers of the exercises in ``chapters/tower.md``."""

import math

import torch
from torch import Tensor

from toymodels.numerics import first_passage
from toymodels.page.exercise import Exercise
from toymodels.tower import theory, upright_start

count = Exercise(
    "order parameters of a tower of four levels",
    solution=4 + 16 + 10,
    mistakes={
        "R is symmetric: the overlap of j with l is that of l with j.": 4 + 16 + 16,
        "residuals of different levels overlap too, not just each with itself.": 4 + 16 + 4,
        "the readouts are missing: they learn as well.": 16 + 10,
    },
)


def _current(readout: Tensor, signal: Tensor, residual: Tensor) -> Tensor:
    length = signal.square().sum(-1) + residual.diagonal()
    return length - readout.square() - torch.cat([length[1:], length.new_zeros(1)])


_rows = torch.tensor([[0.5, 0.1, -0.2], [0.3, 0.8, 0.0], [-0.4, 0.2, 0.9]], dtype=torch.float64)

current = Exercise(
    "conserved numbers of a tower, one per level",
    solution=_current,
    mistakes={
        "a length has two parts: add the diagonal of R to the squares of M.": (
            lambda readout, signal, residual: _current(readout, signal, 0 * residual)
        ),
        "what flows on to the next level must be subtracted too.": (
            lambda readout, signal, residual: (
                signal.square().sum(-1) + residual.diagonal() - readout.square()
            )
        ),
        "what leaves through the readout is lost to the level above: subtract its square.": (
            lambda readout, signal, residual: (
                _current(readout, signal, residual) + 2 * readout.square()
            )
        ),
        "the readout enters with its square: it is a length as well.": (
            lambda readout, signal, residual: (
                _current(readout, signal, residual) + readout.square() - readout
            )
        ),
    },
    inputs=[(torch.tensor([0.2, -0.7, 1.1], dtype=torch.float64), _rows, _rows @ _rows.T)],
)

pair = Exercise(
    "wait for a product of two coordinates, by d and the start",
    solution=lambda d, epsilon: math.asinh(math.sqrt(d)) / epsilon,
    mistakes={
        "that is the limit of a readout that stays: it grows with the overlaps.": (
            lambda d, epsilon: math.log(math.sqrt(d) / epsilon) / epsilon
        ),
        "that is close: the readout's own growth turns ln(sqrt(d)) into ln(2 sqrt(d)).": (
            lambda d, epsilon: math.log(math.sqrt(d)) / epsilon
        ),
        "that is its limit in many dimensions: keep the whole integral.": (
            lambda d, epsilon: math.log(2 * math.sqrt(d)) / epsilon
        ),
        "that is the wait for three coordinates.": (
            lambda d, epsilon: (math.sqrt(d + 1) - 1) / epsilon**2
        ),
    },
    inputs=[(100.0, 0.1), (30.0, 0.3), (1e4, 0.01)],
)

leap = Exercise(
    "wait for a product of five coordinates, d = 64, small start 0.2",
    solution=64**1.5 / (3 * 0.2**4),
    mistakes={
        "the integral of mu^(1-m) brings a factor m - 2 into the denominator.": 64**1.5 / 0.2**4,
        "that is d itself: with five coordinates the power is (m - 2)/2 = 3/2.": (
            64 / (3 * 0.2**4)
        ),
        "the readout is missing: it starts at 0.2 and multiplies every pull.": (
            64**1.5 / (3 * 0.2**3)
        ),
    },
)

far = Exercise(
    "leading term of the wait for three coordinates at a fixed start, by d",
    solution=lambda d: 4 / 3 * d**0.75,
    mistakes={
        "that is the power of a small start: here the residual shrinks before.": math.sqrt,
        "the residual falls as (6 t)^(-1/3): the six is missing.": (
            lambda d: (2 / 3 * math.sqrt(d)) ** 1.5
        ),
        "the integral of t^(-1/3) brings a factor 3/2.": lambda d: math.sqrt(6) * d**0.75,
    },
    inputs=[(1e10,), (1e12,), (1e16,)],
)

shell = Exercise(
    "sum of all products of four coordinates of x times those of x'",
    solution=lambda p, d: (p**4 - (6 * d - 8) * p**2 + 3 * d * (d - 2)) / 24,
    mistakes={
        "that counts products with repeated coordinates: remove them with x_i^2 = 1.": (
            lambda p, d: p**4 / 24
        ),
        "the coordinates come in 4! orders: divide by it.": (
            lambda p, d: p**4 - (6 * d - 8) * p**2 + 3 * d * (d - 2)
        ),
        "three equal coordinates are left over: the term 8 p^2 is missing.": (
            lambda p, d: (p**4 - 6 * d * p**2 + 3 * d * (d - 2)) / 24
        ),
    },
    inputs=[(6.0, 6.0), (3.0, 11.0), (-7.0, 15.0)],
)


def _halves() -> list[float]:
    """Half-times of the top rung: second missing, none missing, first missing, both missing."""
    lower = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    target = torch.tensor([[*pair, 1.0] for pair in lower], dtype=torch.float64)
    readout = torch.tensor([0.0, 0.0, 0.3], dtype=torch.float64).expand(4, 3)
    model = upright_start(target, readout, dimension=100.0, size=0.3)
    time = torch.linspace(0, 115, 461, dtype=torch.float64)
    third = theory(model, time, rtol=1e-4).coefficient[..., 2]
    return first_passage(time, third, 0.5).tolist()


_no_middle, _whole, _no_first, _alone = _halves()
middle = Exercise(
    "half-time of the top rung if only the middle one is missing, d = 100",
    solution=_no_middle,
    mistakes={
        "that is with all rungs in place.": _whole,
        "that is without the first rung; take away the second.": _no_first,
        "that is the top rung alone: the first one stays.": _alone,
    },
    within=0.01,
)

inputs = Exercise(
    "power of d with which the inputs for a leap over m coordinates grow",
    solution=lambda m: m - 1,
    mistakes={
        "that is the power of the time: batches grow with d as well.": lambda m: (m - 2) / 2,
        "that is the kernel, which pays for every product of m coordinates.": lambda m: m,
        "that is at a fixed temperature: theta must fall as one over the wait.": lambda m: m / 2,
        "that is the wait over theta: the batches bring a factor d of their own.": (
            lambda m: m - 2
        ),
    },
    inputs=[(3,), (4,), (7,)],
)
