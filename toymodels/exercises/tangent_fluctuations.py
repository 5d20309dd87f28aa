"""Checkers of the exercises in ``chapters/tangent_fluctuations.md``."""

import math

import torch

from toymodels import signal_propagation
from toymodels.page.exercise import Exercise
from toymodels.tangent_fluctuations import TangentNetwork, theory

scatter = Exercise(
    "n times the variance of the tangent kernel of critical ReLU networks, by depth",
    solution=lambda L: L * (L - 1) * (11 * L - 4) / 3,
    mistakes={
        "that is A alone: one output scatters by A + 2B.": (
            lambda L: 7 * (L - 1) * L * (2 * L - 1) / 6 + L * (L - 1) / 2
        ),
        "B counts twice: both crosswise contractions are alike for one output.": (
            lambda L: 3 * (L - 1) * L * (2 * L - 1) / 2 + L * (L - 1) / 2
        ),
        "that is for linear networks: silent units scatter too.": (
            lambda L: 2 * (L - 1) * L * (2 * L - 1) / 3
        ),
    },
    inputs=[(2,), (5,), (12,)],
)

_SINE = signal_propagation.theory(signal_propagation.WideNetwork(torch.sin, 1.0), 0.8, 6).kernel
sine = Exercise(
    "tangent kernel in layer 6 of sine networks from a kernel of 0.8",
    solution=theory(TangentNetwork(torch.sin, 1.0), 0.8, 6).tangent[-1].item(),
    mistakes={
        "one is where it would stay, but it starts from 0.8.": 1.0,
        "that is one less the product: the first layer counts as well.": (
            1 - (1 - _SINE[1:]).prod().item()
        ),
        "that is the kernel of the signal, which decays.": _SINE[-1].item(),
    },
)


def _cut(y: float) -> float:
    return 2 * (y**2 - 1) / (y**2 + 1)


pace = Exercise(
    "pace at which the kernel of a deep linear network ends as it began, by label",
    solution=lambda y: 4 * (y**2 - 1) / (3 * y**2 - 1),
    mistakes={
        "that is pace / (2 - pace): solve it for the pace.": _cut,
        "a factor 1/2 stands before the share of the algorithm.": (
            lambda y: (y**2 - 1) / (y**2 + 1) * 2 / (1 + (y**2 - 1) / (y**2 + 1))
        ),
        "the sum of squared steps is pace / (2 - pace), and not the pace over two.": (
            lambda y: 2 * _cut(y)
        ),
    },
    inputs=[(1.2,), (2.0,), (5.0,)],
)

two = Exercise(
    "tangent kernel of two linear layers after gradient flow from z to y",
    solution=lambda H, z, y, n: math.sqrt(H**2 + 4 * (y**2 - z**2) / n),
    mistakes={
        "that is its first order in 1/n.": lambda H, z, y, n: H + 2 * (y**2 - z**2) / (n * H),
        "the flow starts from z, and not from zero.": (
            lambda H, z, y, n: math.sqrt(H**2 + 4 * y**2 / n)
        ),
        "the slope turns in both factors: dH/ds has a 4.": (
            lambda H, z, y, n: math.sqrt(H**2 + 2 * (y**2 - z**2) / n)
        ),
    },
    inputs=[(2.0, 0.5, 3.0, 10), (1.8, -1.0, 2.0, 20), (2.2, 0.1, 5.0, 8)],
)

gelu = Exercise(
    "power of the depth in the squared relative scatter of critical GELU networks",
    solution=3.0,
    mistakes={
        "that is the class of ReLU, where chi_perp does not depend on the kernel.": 1.0,
        "the drift of the kernel is a random walk and its effect is summed once more.": 2.0,
    },
    within=0.02,
)

curvature = Exercise(
    "n times the curvature of critical ReLU networks, by depth",
    solution=lambda L: L**2 * (L**2 - 1) / 3,
    mistakes={
        "that is the linear network: the rate of the layer that learns is 2.": (
            lambda L: L**2 * (L**2 - 1) / 6
        ),
        "gates are the same in J and in its transpose: they do not halve twice.": (
            lambda L: L * (L - 1) * (L**2 - L + 1) / 3
        ),
        "the products are nested: terms of different k are correlated.": (
            lambda L: 2 * (L - 1) * L * (L + 1) / 3
        ),
    },
    inputs=[(2,), (3,), (6,)],
)
