"""Checkers of the exercises in ``chapters/phenomena.md``."""

import math

import torch
from torch import Tensor

from toymodels.page.exercise import Exercise

jump = Exercise(
    "units of ln(1/eps) after which alternating flows have learned 3 x1 + 4 x2",
    solution=1 / 5,
    mistakes={
        "that is the strong term alone: the neuron turns between the two.": 1 / 4,
        "that is the weak term alone: the neuron turns between the two.": 1 / 3,
        "that adds the strengths: the best direction has the length of their vector.": 1 / 7,
    },
)

tied = Exercise(
    "rank correlation of the degrees 1, 2, 2, 3 with four times in rising order",
    solution=4.5 / math.sqrt(4.5 * 5.0),
    mistakes={
        "ties are not free: they have no order where the times have one.": 1.0,
        "that is Kendall's count of pairs: five right, one tied, of six.": 5 / 6,
        "that breaks the tie, against the times: a tie has ranks of 2.5.": 0.8,
    },
)

hierarchy = Exercise(
    "mean degree of the label of the smallest random hierarchy",
    solution=16 / 9,
    mistakes={
        "that is one rule: the hierarchy has three.": 4 / 3,
        "that takes all rules to be products.": 4.0,
        "a label takes both of its parts only in one case of three.": 8 / 3,
    },
)

ceiling = Exercise(
    "most that a learner of 40 samples can gain on ridge without noise, 298 equal features",
    solution=0.9 * 298 / 40,
    mistakes={
        "that waits for as many samples as features: a tenth of the error is left before.": 298
        / 40,
        "that leaves nine tenths of the error.": 0.1 * 298 / 40,
        "that is the dictionary of eight signs.": 0.9 * 92 / 40,
    },
)


def _kept(correlation: Tensor, thresholds: Tensor) -> Tensor:
    """Coefficients (threshold, feature) of hard thresholding."""
    big = correlation.abs() >= thresholds[:, None]
    return torch.where(big, correlation, 0.0)


own = Exercise(
    "coefficients of a model that keeps correlations above a falling threshold",
    solution=_kept,
    mistakes={
        "what is kept, is kept whole: that subtracts the threshold.": lambda c, t: (
            c.sign() * (c.abs() - t[:, None]).clamp(min=0)
        ),
        "the sign does not matter: correlations may be negative.": lambda c, t: torch.where(
            c >= t[:, None], c, 0.0
        ),
    },
    inputs=[
        (torch.tensor([0.9, -0.7, 0.1, 0.4]), torch.tensor([0.8, 0.5, 0.2])),
        (torch.tensor([-1.2, 0.3]), torch.tensor([1.0, 0.25, 0.1, 0.05])),
    ],
)

waits = Exercise(
    "how many times longer x1x2x3 takes gated pathways than x1, from eps = 0.01",
    solution=(1e4 - 1) / 2 / math.log(100),
    mistakes={
        "that is a product of two: three edges and a readout grow together.": 99 / math.log(100),
        "that forgets the factor m - 1 in the wait.": (1e4 - 1) / math.log(100),
        "with rungs it would be the ratio of logarithms; these pathways share nothing.": 3.0,
    },
)
