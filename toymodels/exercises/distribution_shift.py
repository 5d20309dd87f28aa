"""Checkers for the exercises of chapters/distribution_shift.md."""

import torch
from torch import Tensor

from toymodels.page import Exercise

DOUBLE = torch.float64
MAP = torch.tensor([0.9, 0.2, 0.5, 0.1], dtype=DOUBLE)
MEASURE = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=DOUBLE)
WEIGHTS = torch.tensor([1.0, -0.5, 2.0, 0.3, 0.8], dtype=DOUBLE)
COVARIANCE = torch.diag(torch.tensor([3.0, 1.0, 0.5, 2.0, 0.2], dtype=DOUBLE))
COVARIANCE[0, 1] = COVARIANCE[1, 0] = 0.7


def _coldest(e: Tensor, q: Tensor, temperature: float, sign: int = -1) -> Tensor:
    weight = q * torch.exp(sign * e / temperature)
    return weight / weight.sum()


def _missed(n: int, w: Tensor, test: Tensor) -> Tensor:
    D = len(w)
    even = (D - n) * n / (D * (D - 1) * (D + 2))
    own = (D - n) ** 2 / D**2 - 2 * even / D + even
    return own * (w @ test @ w) + even * test.trace() * (w @ w)


half_exam = Exercise(
    question="Error on an exam that asks the half of the inputs that matters",
    solution=0.85,
    mistakes={
        "that is the error on the lecture: the trace is the same, but not what is missed.": 0.6,
        "that is what is missed on average: the scatter comes on top.": 0.5,
        "what scatters is the error on fresh noisy labels: add the noise.": 0.8,
        "that is the scatter alone: half of the target is still missed.": 0.35,
        "half of each weight is missed, and the error squares the half.": 1.35,
        "the labels are noisy: their noise scatters, too.": 0.75,
    },
)

lecture = Exercise(
    question="Variance of the first input in the best lecture",
    solution=7.5,
    mistakes={
        "that is a lecture like the exam: it is no better than one on both alike.": 9.0,
        "that is a lecture on both alike: it is no better than the exam itself.": 5.0,
        "then the second input would never be heard: its error would be infinite.": 10.0,
        "the variances go as roots of the exam's, not as their squares.": 10 * 81 / 82,
        "the more an input is asked for, the more of it belongs into the lecture.": 2.5,
    },
)

easiest = Exercise(
    question="The easiest exam at a temperature",
    solution=_coldest,
    mistakes={
        "that is the hardest exam: the easiest avoids large errors.": (
            lambda e, q, temperature: _coldest(e, q, temperature, 1)
        ),
        "you left out the measure that the exam departs from.": (
            lambda e, q, temperature: _coldest(e, torch.ones_like(q), temperature)
        ),
        "a measure must sum to one: divide by the partition sum.": (
            lambda e, q, temperature: q * torch.exp(-e / temperature)
        ),
        "the colder, the farther from q: divide by the temperature.": (
            lambda e, q, temperature: _coldest(e, q, 1 / temperature)
        ),
    },
    inputs=((MAP, MEASURE, 0.3), (MAP.flip(0), MEASURE, 1.5)),
)

ration = Exercise(
    question="Share of the training measure that the worst rationed exam asks",
    solution=1 / 3,
    mistakes={
        "without the ration it would ask a single point: with it, as few as add up to one.": 0.0,
        "an exam on everything is the mean, and the worst is worse.": 1.0,
        "that is the part that is never asked.": 2 / 3,
    },
)

few_samples = Exercise(
    question="The best exponent of the lecture for twelve samples",
    solution=0.7,
    mistakes={
        "that is the answer for many samples, where noise is all that matters.": 0.5,
        "that is a lecture like the exam.": 1.0,
        "that is a lecture on all inputs alike.": 0.0,
    },
    within=0.03,
)

one_part = Exercise(
    question="Exact error of a white lecture without noise",
    solution=_missed,
    mistakes={
        "that is for an exam on all inputs alike: else one direction leaks into another.": (
            lambda n, w, test: (1 - n / len(w)) * (w @ test @ w)
        ),
        "that is the mean fit alone: the fit also scatters into every direction.": (
            lambda n, w, test: (1 - n / len(w)) ** 2 * (w @ test @ w)
        ),
        "you took the missed part to point in all directions alike.": (
            lambda n, w, test: (1 - n / len(w)) * test.trace() * (w @ w) / len(w)
        ),
        "that is the limit of many inputs: the theory, not the exact mean.": (
            lambda n, w, test: (
                (1 - n / len(w)) ** 2 * (w @ test @ w)
                + n / len(w) * (1 - n / len(w)) * test.trace() * (w @ w) / len(w)
            )
        ),
    },
    inputs=((2, WEIGHTS, COVARIANCE), (4, WEIGHTS.flip(0), COVARIANCE)),
)
