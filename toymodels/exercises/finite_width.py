"""Checkers of the exercises in ``chapters/finite_width.md``."""

import math

import torch

from toymodels.finite_width import FiniteWidth, metric_moment, theory
from toymodels.page.exercise import Exercise
from toymodels.signal_propagation import WideNetwork, parallel, perpendicular

_SETTLED = theory(FiniteWidth(torch.tanh, 2.0), 1.0, 200)
_REST = _SETTLED.kernel[-1]
_SHARE = (_SETTLED.vertex[-1] / _REST**2).item()
_CHI = parallel(WideNetwork(torch.tanh, 2.0), _REST).item()
_ACROSS = perpendicular(WideNetwork(torch.tanh, 2.0), _REST).item()
_FRESH = _SHARE * (1 - _CHI**2)

dropout = Exercise(
    "nu of ReLU with dropout, by the probability to keep",
    solution=lambda keep: 6 / keep - 1,
    mistakes={
        "that is a linear network: half of all ReLU units are silent by themselves.": (
            lambda keep: 3 / keep - 1
        ),
        "the one is subtracted after the division: it is the square of a mean.": (
            lambda keep: 5 / keep
        ),
        "the factor 1/p drops out of the ratio: only the silent units count.": (
            lambda keep: 6 / keep**3 - 1
        ),
    },
    inputs=[(1.0,), (0.8,), (0.5,)],
)

sixth = Exercise(
    "mean sixth power of a unit of a linear network, by width and depth",
    solution=lambda n, L: 15 * metric_moment(None, n, L + 1, 3)[-1].item(),
    mistakes={
        "that is the mean of G^3: a Gaussian of variance G has 15 G^3.": (
            lambda n, L: metric_moment(None, n, L + 1, 3)[-1].item()
        ),
        "that takes three pairs as independent: E[X^3] has a factor 1 + 4/n of its own.": (
            lambda n, L: 15 * (1 + 2 / n) ** (3 * L)
        ),
        "that is the log-normal limit of wide layers, and asked is any width.": (
            lambda n, L: 15 * math.exp(6 * L / n)
        ),
    },
    inputs=[(10, 12), (20, 20), (5, 3)],
)

bottleneck = Exercise(
    "excess kurtosis of a unit of a linear network with a bottleneck, by n, b and L",
    solution=lambda n, b, L: 3 * ((1 + 2 / n) ** (L - 1) * (1 + 2 / b) - 1),
    mistakes={
        "that is the first order: layers multiply.": lambda n, b, L: 6 * ((L - 1) / n + 1 / b),
        "the bottleneck takes the place of a layer: the others are L - 1.": (
            lambda n, b, L: 3 * ((1 + 2 / n) ** L * (1 + 2 / b) - 1)
        ),
        "the mean width is not what counts: inverse widths add up.": (
            lambda n, b, L: 3 * ((1 + 2 / (n + (b - n) / L)) ** L - 1)
        ),
    },
    inputs=[(100, 10, 20), (50, 5, 8), (30, 2, 3)],
)

saturated = Exercise(
    "V / K^2 in deep layers of tanh with C_W = 2",
    solution=_SHARE,
    mistakes={
        "V is handed on with the square of chi_par.": _FRESH / (1 - _CHI),
        "that is what one layer adds: sum over all that came before.": _FRESH,
        "that hands the vertex on with chi_perp, which is above one: it would not settle.": (
            _FRESH / (1 - _ACROSS**2)
        ),
    },
)

moments = Exercise(
    "nu r up to which M networks tell the mean of G^m, by m and M",
    solution=lambda m, M: 2 * math.log(M) / m**2,
    mistakes={
        "the variance of m ln G is m^2 nu r.": lambda m, M: 2 * math.log(M) / m,
        "the strongest of M normal variables is at the root of 2 ln M.": (
            lambda m, M: math.log(M) / m**2
        ),
        "that compares a spread with a variance: square both.": (
            lambda m, M: math.sqrt(2 * math.log(M)) / m
        ),
    },
    inputs=[(1, 100), (2, 1000), (3, 10**5)],
)


def _frozen(x: float, M: int) -> float:
    return -((math.sqrt(x / 2) - math.sqrt(math.log(M))) ** 2)


frozen = Exercise(
    "logarithm of the sample mean of M networks beyond the transition, by x = nu r and M",
    solution=_frozen,
    mistakes={
        "that is ln G of the strongest network: a mean divides by M.": (
            lambda x, M: _frozen(x, M) + math.log(M)
        ),
        "that is the typical network: the sum is carried by the strongest.": lambda x, M: -x / 2,
        "ln G has the mean - nu r / 2, which is missing.": (lambda x, M: _frozen(x, M) + x / 2),
    },
    inputs=[(20.0, 1000), (30.0, 100), (50.0, 10**4)],
)

skipping = Exercise(
    "excess kurtosis of a unit of a linear residual network at infinite depth, by c and n",
    solution=lambda c, n: 3 * math.expm1(4 * c / n),
    mistakes={
        "1 - gamma^4 is 2 c / L, not c / L.": lambda c, n: 3 * math.expm1(2 * c / n),
        "that is the first order: factors multiply to an exponential.": lambda c, n: 12 * c / n,
        "that is Var G: a unit has three times as much.": lambda c, n: math.expm1(4 * c / n),
    },
    inputs=[(1.0, 10), (2.0, 4), (0.5, 1)],
)

logarithm = Exercise(
    "mutual information of two units at a large variance x of ln G",
    solution=lambda x: 0.5 * math.log(math.e * x / (8 * math.pi)),
    mistakes={
        "that takes the difference of the two noises as Gaussian, of variance pi^2.": (
            lambda x: 0.5 * math.log(x / math.pi**2)
        ),
        "that leaves out the entropy of the noise, log 4 pi.": (
            lambda x: 0.5 * math.log(2 * math.pi * math.e * x)
        ),
        "that is the entropy of the noise for a logarithm of |z|, half of ln z^2.": (
            lambda x: 0.5 * math.log(math.e * x / (8 * math.pi)) + math.log(2)
        ),
    },
    inputs=[(100.0,), (1000.0,), (1e5,)],
)
