"""Checkers of the exercises in ``chapters/data_separation.md``."""

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import ndtr
from torch import Tensor

from toymodels.data_separation import clusters, separation, within_between
from toymodels.page.exercise import Exercise

line = Exercise(
    "D of two equal classes on a line, gap 3 and standard deviation 0.5",
    solution=math.log(0.5**2 / (3 / 2) ** 2),
    mistakes={
        "class means lie half a gap from the common mean: S_B = (gap / 2)^2.": (
            math.log(0.5**2 / 3**2)
        ),
        "D compares variances: square the standard deviation.": math.log(0.5 / (3 / 2) ** 2),
        "that is log tr(S_B S_W^+), the separation that is there, not what is missing.": (
            -math.log(0.5**2 / (3 / 2) ** 2)
        ),
    },
)

law = Exercise(
    "tr(S_W S_B^+) after layer 4 of 6, from 8 at the inputs to 1/2 at the end",
    solution=8 * (1 / 16) ** (4 / 6),
    mistakes={
        "that shares the difference evenly; the law shares the ratio.": 8 - 7.5 * 4 / 6,
        "that is D, a logarithm.": math.log(8 * (1 / 16) ** (4 / 6)),
        "six layers are six factors: the inputs are layer 0.": 8 * (1 / 16) ** (3 / 5),
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
