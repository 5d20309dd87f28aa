"""Checkers of the exercises in ``chapters/silent_alignment.md``."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.integrate import solve_ivp

from toymodels.page.exercise import Exercise


def _white(c: float, sigma: float, D: int = 10) -> np.ndarray:
    """Eigenvalues of the kernel of two wide layers."""
    H = math.hypot(sigma**2, c)
    return np.array([2 * H] + [H + sigma**2] * (D - 1))


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / math.sqrt((one @ one) * (other @ other)))


def _later(sigma: float, c: float = 1 - math.sqrt(0.9)) -> float:
    return _cosine(_white(c, sigma), _white(1.0, sigma))


def _overlap(variances: Sequence[float]) -> float:
    v = np.array(variances)
    return float(v.mean() / math.sqrt((v**2).mean()))


def _bent(variances: Sequence[float], rho: float | None = None) -> float:
    rho = _overlap(variances) if rho is None else rho
    D = len(variances)
    return (D + 2 + rho**2) / (D + 3)


def _drained(sigma: float, decay: float, share: float = 0.5) -> float:
    """When H is (1 + share) / (1 - share) times the root of H^2 - c^2."""

    def rate(t: float, y: np.ndarray) -> list[float]:
        c, H = y
        return [2 * (1 - c) * H - 2 * decay * c, 2 * (1 - c) * c - 2 * decay * H]

    def turned(t: float, y: np.ndarray) -> float:
        round_part = sigma**2 * math.exp(-2 * decay * t)
        return float(y[1]) - (1 + share) / (1 - share) * round_part

    turned.terminal = True
    run = solve_ivp(
        rate, (0, 1e4), np.array([0.0, sigma**2]), events=turned, rtol=1e-10, atol=1e-12
    )
    return float(run.t_events[0][0])


_LENGTH = 1 - math.sqrt(0.98)

round_cosine = Exercise(
    "cosine of the kernel of a balanced network with a round one",
    solution=lambda D, L: (D + L - 1) / math.sqrt(D * (D - 1 + L**2)),
    mistakes={
        "the round matrix has the norm root of D, not D.": (
            lambda D, L: (D + L - 1) / (D * math.sqrt(D - 1 + L**2))
        ),
        "the large eigenvalue is L, one from the unit matrix and L - 1 from the others.": (
            lambda D, L: (D + L) / math.sqrt(D * (D - 1 + (L + 1) ** 2))
        ),
        "that is the square of a cosine: there are roots in the denominator.": (
            lambda D, L: (D + L - 1) ** 2 / (D * (D - 1 + L**2))
        ),
        "that is the share of the target, the stretch over the trace.": (
            lambda D, L: L / (D + L - 1)
        ),
    },
    inputs=[(10, 2), (5, 3), (100, 4)],
)

silent = Exercise(
    "scale at which the kernel has turned by nine tenths when two per cent of the loss are gone",
    solution=math.sqrt(_LENGTH / math.sqrt(360)),
    mistakes={
        "that is the square of the scale.": _LENGTH / math.sqrt(360),
        "the loss is quadratic: a map of one per cent takes two per cent of it.": math.sqrt(
            0.02 / math.sqrt(360)
        ),
        "the stretch minus one is the square of the hyperbolic tangent.": math.sqrt(
            _LENGTH / math.sinh(2 * math.atanh(0.9))
        ),
        "chi - 1 is 0.9, not chi over its last value 2.": math.sqrt(_LENGTH / math.sqrt(80)),
    },
)

later_cosine = Exercise(
    "cosine of the kernel at nine tenths of the loss with the last one, ten dimensions",
    solution=_later,
    mistakes={
        "a loss of 0.9 means that c is 1 minus the root of 0.9.": lambda sigma: _later(sigma, 0.1),
        "that is the kernel at a tenth of the loss.": (
            lambda sigma: _later(sigma, 1 - math.sqrt(0.1))
        ),
        "that is the kernel of the start.": lambda sigma: _later(sigma, 0.0),
        "sigma^2 enters, not sigma.": lambda sigma: _later(math.sqrt(sigma)),
    },
    inputs=[(0.1,), (0.5,), (1.0,)],
    within=2e-4,
)

bent = Exercise(
    "cosine of the kernel at the end of the silence with the last one",
    solution=_bent,
    mistakes={
        "that is the cosine of the two directions.": _overlap,
        "the trace of the product of two projectors is the square of the cosine.": (
            lambda v: (len(v) + 2 + _overlap(v)) / (len(v) + 3)
        ),
        "that is with the kernel of the start.": lambda v: (
            (len(v) + 1) / (math.sqrt(len(v) * (len(v) + 3)))
        ),
    },
    inputs=[([3.0, 1.0, 0.5, 0.3, 0.2],), ([1.0, 10.0],), ([1.0, 2.0, 4.0],)],
)

norm = Exercise(
    "norm of the target in the last kernel",
    solution=lambda size, L: size ** (2 / L) / L,
    mistakes={
        "that is the eigenvalue of the kernel: its inverse, times the length squared.": (
            lambda size, L: L * size ** (2 - 2 / L)
        ),
        "the stretch is missing: along the target the kernel is L times as large.": (
            lambda size, L: size ** (2 / L)
        ),
        "the length of the target enters squared.": lambda size, L: size ** (2 / L - 1) / L,
    },
    inputs=[(0.01, 9), (2.0, 2), (0.5, 3)],
)

drain = Exercise(
    "time at which a drained kernel has turned half-way",
    solution=_drained(3.0, 0.01),
    mistakes={
        "H^2 - c^2 falls with 4 lambda, its root with 2 lambda.": _drained(3.0, 0.01) * 2,
        "chi - 1 is a half when H is three times the root, not equal to it.": (
            math.log(9.0) / 0.02
        ),
        "that is with the round part sigma instead of sigma^2.": math.log(3 * math.sqrt(8)) / 0.02,
        "that is the time to lose one half of the round part.": math.log(2) / 0.02,
    },
)
