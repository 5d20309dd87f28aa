"""Checkers of the exercises in ``chapters/kernel_alignment.md``."""

import math

import torch
from torch import Tensor

from toymodels.page.exercise import Exercise

FEATURES = torch.tensor([[1.0, 0.5, 0.0], [-0.3, 0.8, 0.4]], dtype=torch.float64)
ERROR = torch.tensor([0.6, -0.7], dtype=torch.float64)


def _matrix(features: Tensor, error: Tensor, rate: float) -> Tensor:
    return features @ features.T + rate * torch.outer(error, error)


def _turned(features: Tensor, error: Tensor, rate: float, step: float) -> Tensor:
    return features + step * rate * torch.outer(error, error @ features)


def _stepped(features: Tensor, error: Tensor, step: float) -> Tensor:
    return error - step * features @ (error @ features)


def _grown(before: Tensor, after: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(after - before)[-1]


def _growth(features: Tensor, error: Tensor, rate: float, step: float) -> Tensor:
    moved, left = _turned(features, error, rate, step), _stepped(features, error, step)
    return _grown(_matrix(features, error, rate), _matrix(moved, left, rate))


def _features_first(features: Tensor, error: Tensor, rate: float, step: float) -> Tensor:
    moved = _turned(features, error, rate, step)
    left = _stepped(moved, error, step)
    return _grown(_matrix(features, error, rate), _matrix(moved, left, rate))


def _outputs_first(features: Tensor, error: Tensor, rate: float, step: float) -> Tensor:
    left = _stepped(features, error, step)
    moved = _turned(features, left, rate, step)
    return _grown(_matrix(features, error, rate), _matrix(moved, left, rate))


def _kernel_alone(features: Tensor, error: Tensor, rate: float, step: float) -> Tensor:
    moved = _turned(features, error, rate, step)
    return _grown(features @ features.T, moved @ moved.T)


def _smallest(gamma: float) -> float:
    """Eigenvalue of diag(1, 0) + gamma y y^T with y = (0.6, 0.8)."""
    trace, determinant = 1 + gamma, 0.64 * gamma
    return (trace - math.sqrt(trace**2 - 4 * determinant)) / 2


half = Exercise(
    "time to learn half of the label, one sample",
    solution=lambda start, rate: math.log(4 * (1 + 0.75 * rate / start)) / (2 * (start + rate)),
    mistakes={
        "that is with the kernel of the start throughout.": lambda start, rate: math.log(2) / start,
        "that is with the last kernel throughout, which is only reached at the end.": (
            lambda start, rate: math.log(2) / (start + rate)
        ),
        "that is half of the turn: at half of the label three quarters of it are done.": (
            lambda start, rate: math.log(2 + rate / start) / (2 * (start + rate))
        ),
    },
    inputs=[(1.0, 4.0), (0.5, 1.0), (0.01, 4.0)],
)

ratio = Exercise(
    "rate over kernel for an alignment A",
    solution=lambda alignment, samples: (
        alignment * math.sqrt((samples - 1) / (1 - alignment**2)) - 1
    ),
    mistakes={
        "that is the eigenvalue of the last kernel along the labels, (kappa + gamma) / kappa.": (
            lambda alignment, samples: alignment * math.sqrt((samples - 1) / (1 - alignment**2))
        ),
        "all P eigenvalues count in the norm, that along the labels once.": (
            lambda alignment, samples: alignment * math.sqrt(samples / (1 - alignment**2)) - 1
        ),
        "that divides by the trace: the norm is the root of the sum of squares.": (
            lambda alignment, samples: alignment * (samples - 1) / (1 - alignment) - 1
        ),
    },
    inputs=[(0.5, 10), (0.9, 10), (0.9, 1000)],
)

fastest = Exercise(
    "rate of the error at the end for very fast features, two modes",
    solution=lambda a, b, theta: a * math.sin(theta) ** 2 + b * math.cos(theta) ** 2,
    mistakes={
        "that is along the label: there the kernel grows without bound.": (
            lambda a, b, theta: a * math.cos(theta) ** 2 + b * math.sin(theta) ** 2
        ),
        "that is the bound, reached only by a label that is all in the weak mode.": (
            lambda a, b, theta: a
        ),
        "that is without features that move.": lambda a, b, theta: b,
        "the inverse: the error sits across the label, the features do not slow it.": (
            lambda a, b, theta: 1 / (math.cos(theta) ** 2 / a + math.sin(theta) ** 2 / b)
        ),
    },
    inputs=[(2.0, 0.3, 0.5), (2.0, 0.3, 1.2), (5.0, 1.0, 0.9)],
)

growth = Exercise(
    "growth of the conserved matrix in one step at once",
    solution=_growth,
    mistakes={
        "the outputs must use the features of before the step.": _features_first,
        "the features must use the error of before the step.": _outputs_first,
        "that is the kernel alone: the error falls at the same time.": _kernel_alone,
    },
    inputs=[(FEATURES, ERROR, 2.0, 0.1), (FEATURES, ERROR, 0.5, 0.05)],
)

network = Exercise(
    "richness at which 0.4 of the turn is done at half of the label",
    solution=math.sqrt((13 / 3) ** 2 - 1),
    mistakes={
        "that is gamma_0 squared.": (13 / 3) ** 2 - 1,
        "that is the square root u, not yet gamma_0.": 13 / 3,
        "half of the labels is |f| = 1/2, which enters squared.": math.sqrt(8),
    },
)

wait = Exercise(
    "longer wait for a factor of ten in epsilon",
    solution=math.log(10) / (2 * _smallest(4.0)),
    mistakes={
        "a factor two: the square of the error decays at 2m.": math.log(10) / _smallest(4.0),
        "that is with the large eigenvalue of M: the slow one holds up the error.": (
            math.log(10) / (2 * (5 - _smallest(4.0)))
        ),
        "that takes the trace of M: only the slow mode is left when it waits.": math.log(10) / 10,
        "a factor of ten is a natural logarithm of 2.3, not of 1.": 1 / (2 * _smallest(4.0)),
    },
)
