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


def _kernel(weight: float, bias: float, first: float, layer: int) -> float:
    return theory(WideNetwork(torch.tanh, weight, bias), first, layer).kernel[-1].item()


def _depth(field: str) -> float:
    chi = getattr(theory(WideNetwork(torch.tanh, 1.0, 0.1), 1.0, 200), field)[-1]
    return -1 / chi.log().item()


leaky = Exercise(
    "critical weight variance of a leaky ReLU with slopes 1 and 1/2",
    solution=2 / (1 + 0.5**2),
    mistakes={
        "that is the weight variance of ReLU: the left half passes signals too.": 2.0,
        "slopes count with their squares, as in the average of s'^2.": 2 / (1 + 0.5),
        "each side is visited half of the time: a factor of two is missing.": 1 / (1 + 0.5**2),
    },
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

flow = Exercise(
    "kernel of a layer of tanh units",
    solution=_kernel,
    mistakes={
        "one step too many: the kernel of layer 1 is given.": (
            lambda weight, bias, first, layer: _kernel(weight, bias, first, layer + 1)
        ),
        "the biases are missing: every layer has its own.": (
            lambda weight, bias, first, layer: _kernel(weight, 0.0, first, layer)
        ),
    },
    inputs=[(1.5, 0.1, 0.5, 6), (1.0, 0.05, 0.8, 4), (2.0, 0.3, 3.0, 2)],
)

gelu = Exercise(
    "critical kernel of GELU",
    solution=(3 + math.sqrt(17)) / 2,
    mistakes={
        "that is the variance of the product of two Gaussians: K = v / (1 - v).": (
            (math.sqrt(17) - 1) / 4
        ),
        "that is the negative root of K^2 - 3 K - 2.": (3 - math.sqrt(17)) / 2,
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
