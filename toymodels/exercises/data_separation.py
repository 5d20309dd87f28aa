"""Checkers of the exercises in ``chapters/data_separation.md``."""

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import ndtr
from torch import Tensor

from toymodels.data_separation import clusters, separation, within_between
from toymodels.page.exercise import Exercise


def _folded(mean_of_fold: float, variance_of_fold: float, s: float = 0.2) -> float:
    """D of a class at 2 with variance 2 s^2 and one on the fold, in units of the latter."""
    within = s**2 * (1 + variance_of_fold)
    between = (1 - mean_of_fold * s / math.sqrt(2)) ** 2
    return math.log(within / between)


_MODULUS = math.sqrt(2 / math.pi)

xor = Exercise(
    "D of the exclusive or behind one unit |x1 + x2|, s = 0.2",
    solution=_folded(_MODULUS, 1 - _MODULUS**2),
    mistakes={
        "the modulus of a normal number has a mean: the fold shifts the second class.": (
            _folded(0.0, 1 - _MODULUS**2)
        ),
        "the modulus of a normal number varies less than the number.": _folded(_MODULUS, 1.0),
        "that takes the classes for two clouds without a fold.": _folded(0.0, 1.0),
        "class means lie half a gap from the common mean: S_B = (gap / 2)^2.": (
            _folded(_MODULUS, 1 - _MODULUS**2) - 2 * math.log(2)
        ),
    },
)

linear = Exercise(
    "fall of D that one linear layer can achieve",
    solution=math.log(1.01 / 4 * 101),
    mistakes={
        "that drops the direction that scatters more: a mixture of both is better.": (
            math.log(1.01 / 4 * 100)
        ),
        "that keeps the direction that scatters more.": math.log(1.01 / 4),
        "D is a logarithm.": 1.01 / 4 * 101,
        "that makes S_W round and forgets what D was before.": math.log(101 / 2),
    },
)

bent = Exercise(
    "load of the last of six layers, D a parabola from 4 to 0 with the curvature -0.2",
    solution=4 / 6 + 2.5 * 0.2,
    mistakes={
        "that is the first load: on a concave curve the last one is larger.": 4 / 6 - 2.5 * 0.2,
        "from the middle of six layers to the last it is two and a half steps, not three.": (
            4 / 6 + 3 * 0.2
        ),
        "the mean load is reached in the middle, not at the first layer.": 4 / 6 + 5 * 0.2,
        "that is the mean load: on a bent curve the layers differ.": 4 / 6,
    },
)


def _trace(features: Tensor, label: Tensor, inverse) -> float:
    labels = torch.nn.functional.one_hot(label).to(features)
    within, between = within_between(features, labels)
    return inverse(within, between).trace().log().item()


def _ratio(features: Tensor, label: Tensor) -> float:
    labels = torch.nn.functional.one_hot(label).to(features)
    within, between = within_between(features, labels)
    return (within.trace() / between.trace()).log().item()


_samples = clusters(
    seed=9, classes=3, clusters=3, inputs=4, spread=0.8, samples=50, test_samples=10
)
missing = Exercise(
    "D of features (sample, feature) with their labels (sample)",
    solution=lambda x, label: separation(x, torch.nn.functional.one_hot(label).to(x)).item(),
    mistakes={
        "that is the ratio of two traces, which mixes directions: multiply matrices first.": _ratio,
        "that is tr(S_B S_W^-1): the roles of the two are exchanged.": (
            lambda x, label: _trace(x, label, lambda w, b: b @ torch.linalg.pinv(w))
        ),
        "S_W and S_B must both be per sample, or weigh classes alike.": (
            lambda x, label: (
                _trace(x, label, lambda w, b: w @ torch.linalg.pinv(b)) + math.log(len(x))
            )
        ),
    },
    inputs=[(_samples.inputs, _samples.labels.argmax(-1))],
)


def _cosine(c: float, slope: float) -> float:
    a, b = (1 + slope) / 2, (1 - slope) / 2
    both = 2 / math.pi * (math.sqrt(1 - c**2) + c * math.asin(c))
    return (a**2 * c + b**2 * both) / (a**2 + b**2)


cosine = Exercise(
    "cosine of two inputs after a wide random leaky layer",
    solution=_cosine,
    mistakes={
        "divide by the new variance, a^2 + b^2.": (
            lambda c, slope: _cosine(c, slope) * (1 + slope**2) / 2
        ),
        "that is the even part alone, a unit that computes |z|.": lambda c, slope: _cosine(c, -1.0),
        "that is ReLU, whatever the slope.": lambda c, slope: _cosine(c, 0.0),
    },
    inputs=[(0.0, 0.2), (0.5, 0.3), (-0.7, 0.6), (1.0, 0.5)],
)


def _lead(cells: int) -> float:
    """Mean of the largest of standard normal numbers, by integration over its distribution."""
    upper = quad(lambda x: 1 - ndtr(x) ** cells, 0, 12)[0]
    return upper - quad(lambda x: ndtr(x) ** cells, -12, 0)[0]


winner = Exercise(
    "how far the best of 42 equally good cells seems above their mean, in standard errors",
    solution=_lead(42),
    mistakes={
        "that is the bound sqrt(2 ln n), good for astronomically many cells.": (
            math.sqrt(2 * math.log(42))
        ),
        "nobody is better, but somebody is luckier.": 0.0,
        "that is the best of two cells.": 1 / math.sqrt(np.pi),
    },
    within=5e-3,
)
