"""Checkers of the exercises in ``chapters/mean_field.md``."""

import math

import numpy as np
import torch
from scipy.integrate import quad
from torch import Tensor

from toymodels.page.exercise import Exercise

KERNEL = torch.tensor([[1.0, 0.4], [0.4, 1.5]], dtype=torch.float64)
NEURON = (
    torch.tensor([0.3, -1.1], dtype=torch.float64),
    torch.tensor(0.7, dtype=torch.float64),
    KERNEL,
    torch.tensor([0.5, 0.2], dtype=torch.float64),
)


def _half(gamma: float) -> float:
    """Over the clock: dt = dtheta / (gamma Delta), gamma f = sinh 2 theta."""
    end = math.asinh(gamma / 2) / 2
    return quad(lambda clock: 1 / (gamma - math.sinh(2 * clock)), 0, end)[0]


def _moved(h: Tensor, z: Tensor, kernel: Tensor, push: Tensor) -> Tensor:
    phi = torch.tanh(h)
    return torch.cat([h + kernel @ (push * (1 - phi**2) * z), (z + push @ phi).reshape(1)])


def _after(h: Tensor, z: Tensor, kernel: Tensor, push: Tensor) -> Tensor:
    moved = _moved(h, z, kernel, push)[:-1]
    return torch.cat([moved, (z + push @ torch.tanh(moved)).reshape(1)])


def _without_slope(h: Tensor, z: Tensor, kernel: Tensor, push: Tensor) -> Tensor:
    return torch.cat([h + kernel @ (push * z), (z + push @ torch.tanh(h)).reshape(1)])


def _without_kernel(h: Tensor, z: Tensor, kernel: Tensor, push: Tensor) -> Tensor:
    return _moved(h, z, torch.eye(len(h), dtype=h.dtype), push)


def _last(eta: float, gamma: float = 0.5) -> tuple[float, float]:
    """Error and step times tangent kernel after 400 steps; infinite if training fails."""
    plus, minus = 1.0, 1.0
    for _ in range(400):
        turn = eta * (gamma - (plus - minus) / 2)
        plus, minus = plus * (1 + turn) ** 2, minus * (1 - turn) ** 2
        if plus > 1e6:
            return math.inf, math.inf
    return 1 - (plus - minus) / 2 / gamma, eta * (plus + minus)


def _smallest_product() -> float:
    ends = (_last(eta) for eta in np.arange(1.0, 1.901, 0.01).tolist())
    return min(product for error, product in ends if abs(error) < 1e-3)


half = Exercise(
    "time to learn half of the label, one linear hidden layer",
    solution=_half,
    mistakes={
        "a factor two: both layers move, so that the kernel is 2H.": lambda gamma: 2 * _half(gamma),
        "that is the lazy limit: the kernel grows on the way.": lambda gamma: math.log(2) / 2,
        "that is the time with the last kernel throughout, which is only reached at the end.": (
            lambda gamma: math.log(2) / 2 / math.sqrt(1 + gamma**2)
        ),
    },
    inputs=[(0.5,), (1.0,), (5.0,), (10.0,)],
)

end = Exercise(
    "richness at which the leading order of the kernel is ten per cent too large",
    solution=math.sqrt((0.84 + math.sqrt(0.84**2 + 4 * 0.84)) / 2),
    mistakes={
        "that is gamma_0 squared.": (0.84 + math.sqrt(0.84**2 + 4 * 0.84)) / 2,
        "that is ten per cent of the growth, not of the kernel.": math.sqrt(0.44),
        "both sides must be squared: 1.1 becomes 1.21.": math.sqrt(
            (0.4 + math.sqrt(0.4**2 + 4 * 0.4)) / 2
        ),
    },
)

lazy = Exercise(
    "richness at which the tangent kernel of three hidden layers grows by a tenth",
    solution=math.sqrt(0.4 / 5),
    mistakes={
        "the growth is relative to the start, L + 1.": math.sqrt(0.1 / 5),
        "that is without echoes, 2 L / (L + 1).": math.sqrt(0.4 / 1.5),
        "that is gamma_0 squared.": 0.4 / 5,
        "count hidden layers: four matrices are three hidden layers.": math.sqrt(0.5 / 8),
    },
)

neuron = Exercise(
    "one step of a tanh neuron",
    solution=_moved,
    mistakes={
        "z must move with the old h: both are one step of gradient descent.": _after,
        "the slope of the activation is missing in the step of h.": _without_slope,
        "the kernel is missing: a push on one sample moves h on the others.": _without_kernel,
    },
    inputs=[NEURON],
)

width = Exercise(
    "width from which the output before training is below 0.05",
    solution=1 / (0.1 * 0.05) ** 2,
    mistakes={
        "that is for richness 1: the output is divided by gamma_0.": 1 / 0.05**2,
        "the sum over N neurons has standard deviation sqrt(N), not N.": 1 / (0.1 * 0.05),
        "gamma_0 enters with its square, as the standard deviation does.": 1 / (0.1 * 0.05**2),
    },
)

echo = Exercise(
    "a^1, a^2, b^1, b^2 of three hidden layers, to lowest order",
    solution=[1, 2, 2, 1],
    mistakes={
        "b is counted from the top: b^3 = 0.": [1, 2, 1, 2],
        "a^0 = 0, and layer one already adds its own.": [0, 1, 1, 0],
        "each layer adds one to the response of the one before.": [1, 1, 1, 1],
    },
)

step = Exercise(
    "smallest step times kernel after training, steps from 1 to 1.9",
    solution=_smallest_product(),
    mistakes={
        "that is where a static kernel would stay.": 2.0,
        "that is the floor 2 gamma_0 y of the kernel, times the smallest step.": 1.0,
        "a flow ends there: at the step 1 times the kernel 2 sqrt(1 + 1/4).": 2 * math.sqrt(1.25),
    },
    within=5e-3,
)
