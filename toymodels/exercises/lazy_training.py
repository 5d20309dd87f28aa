"""Checkers of the exercises in ``chapters/lazy_training.md``."""

import math

from toymodels.page.exercise import Exercise

ANGLES = [(0.1,), (0.7,), (1.5,)]


def _theta(psi: float) -> float:
    """Tangent kernel of one ReLU layer at an angle, 1 at the angle 0."""
    return (math.sin(psi) + 2 * (math.pi - psi) * math.cos(psi)) / (2 * math.pi)


def _outputs(psi: float) -> float:
    """Covariance of the outputs."""
    return (math.sin(psi) + (math.pi - psi) * math.cos(psi)) / (2 * math.pi)


apart = Exercise(
    "smallest eigenvalue of one ReLU layer on two inputs at an angle",
    solution=lambda psi: 1 - _theta(psi),
    mistakes={
        "that is the larger eigenvalue: the sum, not the difference.": lambda psi: 1 + _theta(psi),
        "that is the kernel of the outputs: the first layer learns too.": (
            lambda psi: 0.5 - _outputs(psi)
        ),
        "the term of the first layer has a factor cos psi: the kernel of the inputs.": (
            lambda psi: 1 - _outputs(psi) - (math.pi - psi) / (2 * math.pi)
        ),
        "that is its limit for small angles.": lambda psi: psi / (2 * math.pi),
    },
    inputs=ANGLES,
)

halfway = Exercise(
    "squared distance of the weights when half of the label is learned",
    solution=lambda c: 0.5 / (1 - c),
    mistakes={
        "that is the distance at the end: a is only half as long here.": lambda c: 2 / (1 - c),
        "half of the label is a quarter of the squared distance.": lambda c: 1 / (1 - c),
        "the label is the eigenvector (1, -1), with the eigenvalue 1 - c.": lambda c: 0.5 / (1 + c),
        "that is the distance, not its square.": lambda c: (0.5 / (1 - c)) ** 0.5,
    },
    inputs=[(0.0,), (0.3,), (0.9,)],
)

closed = Exercise(
    "share of the gates that close, to leading order",
    solution=lambda n: 1 / (2 * math.pi * n**0.5),
    mistakes={
        "that counts both signs of z, or only the half that was open: of all neurons it is less.": (
            lambda n: 1 / (math.pi * n**0.5)
        ),
        "neurons differ in z: average its size over the negative half.": (
            lambda n: 1 / (2 * (2 * math.pi * n) ** 0.5)
        ),
        "the clock stops at 1 / sqrt(n), not at 1 / n.": lambda n: 1 / (2 * math.pi * n),
    },
    inputs=[(100.0,), (1000.0,), (1e6,)],
)

steps = Exercise(
    "late rate of gradient descent in steps",
    solution=lambda lam, eta: -math.log(1 - eta * lam) / eta,
    mistakes={
        "that is the rate of the flow: a step is longer.": lambda lam, eta: lam,
        "per step, not per time: divide by eta.": lambda lam, eta: -math.log(1 - eta * lam),
        "the sign: a step multiplies the residual by 1 - eta lambda.": (
            lambda lam, eta: math.log(1 + eta * lam) / eta
        ),
    },
    inputs=[(0.35, 0.5), (1.0, 0.2), (2.0, 0.4)],
)

even = Exercise(
    "label at which mean and spread of the drift of a linear network are equal",
    solution=2.0,
    mistakes={
        "that is the label squared.": 4.0,
        "a factor two: the kernel is <h^2 + z^2> = 2, not 1.": 1.0,
        "the average under the root is 4, and its root 2.": 4 * 2.0,
    },
)

rectangle = Exercise(
    "change of a weight between layers four and nine times as wide",
    solution=1 / 6,
    mistakes={
        "that is the number of entries: their squares add up, so take the root.": 1 / 36,
        "that is a single layer: both widths count.": 1 / 2,
        "only the second width: both count.": 1 / 3,
        "it shrinks: write the factor by which it is multiplied.": 6.0,
    },
)

together = Exercise(
    "coefficient of the drift of ReLU with two samples of equal label",
    solution=lambda psi: -1 / (math.pi * (1 + _theta(psi))),
    mistakes={
        "that is one sample alone: two samples share the clock, and it stops earlier.": (
            lambda psi: -1 / math.pi
        ),
        "the sign: gates close, and the kernel shrinks.": (
            lambda psi: 1 / (math.pi * (1 + _theta(psi)))
        ),
        "the clock is that of opposite labels.": lambda psi: -1 / (math.pi * (1 - _theta(psi))),
        "neurons that come up from below are forgotten, which the other sample pushes.": (
            lambda psi: -(1 + math.cos(psi) / 2) / (math.pi * (1 + _theta(psi)))
        ),
    },
    inputs=ANGLES,
)
