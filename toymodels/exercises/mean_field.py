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


def _slope_outside(h: Tensor, z: Tensor, kernel: Tensor, push: Tensor) -> Tensor:
    phi = torch.tanh(h)
    return torch.cat([h + (kernel @ push) * (1 - phi**2) * z, (z + push @ phi).reshape(1)])


def _without_kernel(h: Tensor, z: Tensor, kernel: Tensor, push: Tensor) -> Tensor:
    return _moved(h, z, torch.eye(len(h), dtype=h.dtype), push)


def _cosh(gamma: float) -> float:
    """cosh of the clock at which a linear layer has learned the label 1."""
    return math.cosh(math.asinh(gamma) / 2)


def _tanh_kernel() -> float:
    """Tangent kernel of tanh units before training."""
    square = lambda u: math.tanh(u) ** 2 + math.cosh(u) ** -4  # noqa: E731
    density = lambda u: math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    return quad(lambda u: square(u) * density(u), -10, 10)[0]


def _last(eta: float, gamma: float = 0.5) -> tuple[float, float]:
    """Error and step times tangent kernel after 400 steps; infinite if training fails."""
    plus, minus = 1.0, 1.0
    for _ in range(400):
        turn = eta * (gamma - (plus - minus) / 2)
        plus, minus = plus * (1 + turn) ** 2, minus * (1 - turn) ** 2
        if plus > 1e6:
            return math.inf, math.inf
    return 1 - (plus - minus) / 2 / gamma, eta * (plus + minus)


def _smallest_product() -> tuple[float, float]:
    """Step times kernel, and the step at which it is reached."""
    ends = ((*_last(eta), eta) for eta in np.arange(1.0, 1.901, 0.01).tolist())
    return min((product, eta) for error, product, eta in ends if abs(error) < 1e-3)


_PRODUCT, _STEP = _smallest_product()


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
    "limit of richness times root of depth at which the tangent kernel grows by a tenth",
    solution=math.sqrt(0.3),
    mistakes={
        "that is a tenth of the growth L^2/3 itself: it is relative to L + 1.": 0.0,
        "that is without echoes, where the growth is 2 L / (L + 1).": math.sqrt(0.05),
        "the factor 1/3 of the growth is missing.": math.sqrt(0.1),
    },
)

neuron = Exercise(
    "one step of a tanh neuron",
    solution=_moved,
    mistakes={
        "z must move with the old h: both are one step of gradient descent.": _after,
        "the slope of the activation is missing in the step of h.": _without_slope,
        "the slope is that of sample alpha, so it stands inside of the sum.": _slope_outside,
        "the sign: push holds y - f, and the neuron follows it.": (
            lambda h, z, kernel, push: _moved(h, z, kernel, -push)
        ),
        "the kernel is missing: a push on one sample moves h on the others.": _without_kernel,
    },
    inputs=[NEURON],
)

wrong_way = Exercise(
    "share of the neurons with z h < 0 after learning",
    solution=lambda gamma: math.atan(1 / gamma) / math.pi,
    mistakes={
        "that is the share at the start.": lambda gamma: 0.5,
        "that is the share of neurons whose h has changed its sign.": lambda gamma: (
            math.acos(_cosh(gamma) / (1 + gamma**2) ** 0.25) / math.pi
        ),
        "that is the share on the right side.": lambda gamma: 1 - math.atan(1 / gamma) / math.pi,
        "the variance has grown too: the correlation is not gamma_0 itself.": lambda gamma: (
            math.acos(min(gamma, 1.0)) / math.pi
        ),
    },
    inputs=[(0.3,), (1.0,), (5.0,)],
)

saturated = Exercise(
    "last tangent kernel of very rich tanh units",
    solution=1.0,
    mistakes={
        "the neurons saturate: phi' z dies, and only the readout still learns.": 2.0,
        "saturated units do not move, but their outputs still feed the readout.": 0.0,
        "that is the lazy kernel, before any neuron has moved.": _tanh_kernel(),
    },
)

step = Exercise(
    "smallest step times kernel after training, steps from 1 to 1.9",
    solution=_PRODUCT,
    mistakes={
        "that is the step at which it is reached: eta times the kernel is wanted.": _STEP,
        "that is where a static kernel would stay.": 2.0,
        "that is the floor 2 gamma_0 y of the kernel, times the smallest step.": 1.0,
        "a flow ends there: at the step 1 times the kernel 2 sqrt(1 + 1/4).": 2 * math.sqrt(1.25),
    },
    within=5e-3,
)
