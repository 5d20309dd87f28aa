"""Checkers of the exercises in ``chapters/attention_heads.md``."""

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit, ndtr
from torch import Tensor

from toymodels.page.exercise import Exercise

NODE, WEIGHT = np.polynomial.hermite_e.hermegauss(120)
WEIGHT = WEIGHT / WEIGHT.sum()


def _numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


alike = Exercise(
    "length of keys at which weights scatter by a hundredth",
    solution=1250.0,
    mistakes={
        "the gap is a difference of two logits: its variance is 2 / N.": 625.0,
        "that is the scatter of the gap: the weight has the slope 1/4.": 20000.0,
        "p is not p (1 - p): at 1/2 the slope is a quarter.": 5000.0,
    },
)

mind = Exercise(
    "clock at which a head from -4 is undecided",
    solution=(4 + math.sinh(4)) / 2,
    mistakes={
        "a alone also counts: the scale is a + sinh a.": math.sinh(4) / 2,
        "the crowd drifts by 2 w theta.": 4 + math.sinh(4),
        "that is a head that moves at the speed of an undecided one all the way.": 4.0,
    },
)


def _back(way):
    """The gap at a + sinh a = way, by Newton's steps."""
    a = np.arcsinh(way)
    for _ in range(40):
        a = a - (a + np.sinh(a) - way) / (1 + np.cosh(a))
    return a


def _clock(y: float) -> float:
    """At which the mean weight is y."""
    start = math.sqrt(2) * NODE

    def mean(clock: float) -> float:
        return float(WEIGHT @ expit(_back(start + np.sinh(start) + 2 * clock)))

    return brentq(lambda clock: mean(clock) - y, 0.0, 100.0, xtol=1e-10)


def _share(y: float) -> float:
    return float(ndtr(_back(-2 * _clock(y)) / math.sqrt(2)))


share = Exercise(
    "share of heads that prefer the second token after the label is learned",
    solution=_share,
    mistakes={
        "that is one less the mean weight, not the share of heads below a half.": lambda y: 1 - y,
        "a gap starts with the variance two: divide by its root.": (
            lambda y: float(ndtr(_back(-2 * _clock(y))))
        ),
        "that is the share which has changed its mind or was right: one less it.": (
            lambda y: 1 - _share(y)
        ),
    },
    inputs=[(0.6,), (0.8,), (0.9,)],
    within=3e-3,
)


def _push(A: Tensor, Q: Tensor, M: Tensor, v: Tensor) -> Tensor:
    p = A.softmax(-1)
    J = p * (v - p @ v)
    return M @ J + Q * J


def _uncentred(A: Tensor, Q: Tensor, M: Tensor, v: Tensor) -> Tensor:
    J = A.softmax(-1) * v
    return M @ J + Q * J


def _keys_only(A: Tensor, Q: Tensor, M: Tensor, v: Tensor) -> Tensor:
    return _push(A, Q, 0 * M, v)


def _query_only(A: Tensor, Q: Tensor, M: Tensor, v: Tensor) -> Tensor:
    return _push(A, 0 * Q, M, v)


def _without_weight(A: Tensor, Q: Tensor, M: Tensor, v: Tensor) -> Tensor:
    J = v - A.softmax(-1) @ v
    return M @ J + Q * J


hand = Exercise(
    "rate of the logits of one head",
    solution=_push,
    mistakes={
        "softmax weights add up to one: J has the mean value taken off.": _uncentred,
        "the query turns too: M J is missing.": _keys_only,
        "the keys turn too: Q J is missing.": _query_only,
        "J carries the weight p of its own token.": _without_weight,
        "check the sign: f rises along J.": lambda A, Q, M, v: -_push(A, Q, M, v),
    },
    inputs=[
        (
            _numbers(0.3, -1.0, 0.5),
            torch.tensor(1.2, dtype=torch.float64),
            torch.tensor([[1.1, 0.2, -0.1], [0.2, 0.8, 0.3], [-0.1, 0.3, 1.4]]).double(),
            _numbers(1.0, 0.2, -0.7),
        )
    ],
)

deep = Exercise(
    "blocks at which the branches are one per cent off their limit, leading order",
    solution=math.e / (0.02 * (math.e - 1)),
    mistakes={
        "that is one per cent of e: of e - 1 it is less.": 50.0,
        "that is an error of 0.01, not of one per cent.": math.e / 0.02,
        "the next term of the logarithm is 1 / 2L, with a half.": math.e / (0.01 * (math.e - 1)),
    },
    within=1.3e-2,
)

examples = Exercise(
    "length of contexts at which a tenth of the loss is left, four axes",
    solution=45.0,
    mistakes={
        "the query has a variance too: 1 + T / lambda, not T / lambda.": 36.0,
        "5 / (n + 5) is left, not 5 / n.": 50.0,
        "that leaves a half.": 5.0,
    },
)


def _parting(gap: float) -> tuple[float, float, float]:
    """(slope of the common path)^2 and the integral I at a gap; the variance they make."""
    integral = quad(lambda x: (1 + math.cosh(x)) / (1 + x * x / 2) ** 1.5, 0, gap)[0]
    slope = (1 + gap**2 / 2) / (1 + math.cosh(gap)) ** 2
    return slope, integral, slope * (8 + integral**2)


_SLOPE, _INTEGRAL, _PARTED = _parting(2.0)

apart = Exercise(
    "N times the variance of the gap over heads on the common path at a = 2",
    solution=_PARTED,
    mistakes={
        "that is what opinions at the start leave; vectors of unequal length are missing.": (
            8 * _SLOPE
        ),
        "that is the variance of the start.": 2.0,
        "c is the square of Lambda: its change counts twice.": _SLOPE * (8 + _INTEGRAL**2 / 4),
        "queries and keys both have lengths: the variance of Lambda is 1 / N.": (
            _SLOPE * (8 + _INTEGRAL**2 / 2)
        ),
    },
)
