"""Checkers of the exercises in ``chapters/signal_propagation.md``."""

import math

import torch

from toymodels.page.exercise import Exercise
from toymodels.signal_propagation import (
    WideNetwork,
    critical_point,
    marginal,
    parallel,
    perpendicular,
    theory,
)

ONE = torch.tensor(1.0, dtype=torch.float64)


def _depth(field: str) -> float:
    chi = getattr(theory(WideNetwork(torch.tanh, 1.0, 0.1), 1.0, 200), field)[-1]
    return -1 / chi.log().item()


dropout = Exercise(
    "weight variance that keeps the kernel of ReLU with dropout, by the probability to keep",
    solution=lambda keep: 2 * keep,
    mistakes={
        "the mean of the factor is one, but the mean of its square is 1/p.": lambda keep: 2.0,
        "that takes 1/p^2 for the mean square, but the factor is 0 now and then.": (
            lambda keep: 2 * keep**2
        ),
        "that is without the factor 1/p.": lambda keep: 2 / keep,
    },
    inputs=[(0.5,), (0.8,), (0.1,)],
)

who = Exercise(
    "which of z^3, |z|, ELU, cos z have a critical point",
    solution=[0, 1, 1, 0],
    mistakes={
        "|z| has its kink where it vanishes itself, so it is scale-invariant.": [0, 0, 1, 0],
        "z^3 has no slope at 0, so that no weight variance keeps a weak signal.": [1, 1, 1, 0],
        "ELU bends towards zero on one side only, which is enough for K* = 0.": [0, 1, 0, 0],
        "cos z does not vanish at 0, where K* = 0 would need it.": [0, 1, 1, 1],
    },
)

residual = Exercise(
    "q of the growth exp(q sqrt(l)) of differences in a residual tanh network",
    solution=8 / 3 / math.sqrt(2 * math.pi),
    mistakes={
        "that is the growth of one layer: sum it over all layers.": 4 / 3 / math.sqrt(2 * math.pi),
        "that is the area under cosh^-2: the slope enters with its square.": (
            4 / math.sqrt(2 * math.pi)
        ),
        "a normal density has 1 / sqrt(2 pi K) in front.": 8 / 3,
    },
)

tilted = Exercise(
    "largest T = tanh h for which tanh(z + h) - tanh h has K* = 0",
    solution=math.sqrt(2) / 3,
    mistakes={
        "there b_1 vanishes, and differences stop shrinking; the kernel still decays.": (
            math.sqrt(1 / 5)
        ),
        "the second derivative is missing: it raises a_1 by (3/4) (s_2 / s_1)^2.": math.sqrt(1 / 3),
    },
)

elu = Exercise(
    "q of the decay K = q / l^2 of critical ELU networks",
    solution=2 * math.pi,
    mistakes={
        "d(K^(-1/2))/dl is half the coefficient: a factor of four is missing.": math.pi / 2,
        "that is the coefficient of K^(3/2) in the flow; now solve the equation.": (
            math.sqrt(2 / math.pi)
        ),
    },
)

depth = Exercise(
    "depth scale of perpendicular differences, tanh, C_W = 1, C_b = 0.1",
    solution=_depth("perpendicular"),
    mistakes={
        "that is the depth scale of the parallel susceptibility.": _depth("parallel"),
        "the logarithm is missing: chi^l = exp(-l / xi).": (
            theory(WideNetwork(torch.tanh, 1.0, 0.1), 1.0, 200).perpendicular[-1].item()
        ),
    },
)

edge = Exercise(
    "weight variance of a tanh network on the edge of chaos at K = 1",
    solution=marginal(torch.tanh, ONE, perpendicular)[1].item(),
    mistakes={
        "there the parallel susceptibility is one: the kernel is marginal, not its direction.": (
            marginal(torch.tanh, ONE, parallel)[1].item()
        ),
        "that is the critical point, where the kernel is 0 and not 1.": (
            critical_point(torch.tanh).weight_variance
        ),
    },
)

_GELU = (3 + math.sqrt(17)) / 2
gelu = Exercise(
    "critical kernel of z Phi(z/s) + alpha z",
    solution=lambda s, alpha: s**2 * _GELU,
    mistakes={
        "that is in units of s^2: a kernel is a variance.": lambda s, alpha: _GELU,
        "a kernel is a variance: it scales with the square of s.": lambda s, alpha: s * _GELU,
        "the average of z s'' vanishes: the linear path drops out.": (
            lambda s, alpha: s**2 * _GELU / (1 + alpha)
        ),
        "that is the variance of the product of two Gaussians: K = v / (1 - v).": (
            lambda s, alpha: s**2 * (math.sqrt(17) - 1) / 4
        ),
    },
    inputs=[(1.0, 0.0), (2.0, 0.3), (0.5, -0.2)],
)
