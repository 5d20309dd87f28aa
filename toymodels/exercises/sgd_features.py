"""Checkers for the exercises of chapters/sgd_features.md."""

import torch
from torch import Tensor

from toymodels.page import Exercise

DOUBLE = torch.float64
LAM = torch.tensor([1.0, 0.5, 0.2], dtype=DOUBLE)
W = torch.tensor([1.0, -2.0, 3.0], dtype=DOUBLE)
FALLING = torch.tensor([0.6, 0.6, 0.3, 0.1], dtype=DOUBLE)


def _plateau(lam: Tensor, eta: float, m: int, s2: float, own: float = 1.0) -> Tensor:
    Q = eta / m * (lam / (2 - eta * lam * (1 + own / m))).sum()
    return s2 * Q / (1 - Q)


def _annealed(lam, w, steps, m, s2, own: float = 1.0, coupled: bool = True) -> Tensor:
    e = lam * w**2
    for eta in steps:
        pace = eta * lam
        total = (e.sum() if coupled else e) + s2
        e = (1 - pace) ** 2 * e + pace**2 * (own * e + total) / m
    return e.sum()


tuned = Exercise(
    question="Best step and what it leaves of the loss",
    solution=[1 / 4, 3 / 4],
    mistakes={
        "a mode's own fluctuation counts twice: <z^4> is 3 and not 2.": [2 / 7, 5 / 7],
        "that is the largest step, where the loss stays what it is.": [1 / 2, 1.0],
        "all modes see one batch: their total enters, not the mode alone.": [2 / 4, 2 / 4],
    },
)

level = Exercise(
    question="The plateau",
    solution=_plateau,
    mistakes={
        "the loss itself makes noise too: Q feeds on s2 and on what it has made.": (
            lambda lam, eta, m, s2: 1 / (1 / _plateau(lam, eta, m, s2) + 1 / s2)
        ),
        "that is the limit of small steps.": lambda lam, eta, m, s2: s2 * eta * lam.sum() / 2 / m,
        "a mode's own fluctuation is missing: 1 + 1/m multiplies eta lam.": (
            lambda lam, eta, m, s2: _plateau(lam, eta, m, s2, own=0.0)
        ),
    },
    inputs=((LAM, 0.4, 2, 0.5), (LAM, 0.3, 1, 2.0)),
)

kinder = Exercise(
    question="Variance without replacement over variance with it",
    solution=5 / 9,
    mistakes={
        "that is for large N: one sample has already been taken when the next is drawn.": 0.5,
        "that is the variance over that of one sample: with replacement there is 1/5 too.": 1 / 9,
    },
)

annealed = Exercise(
    question="The loss after a schedule of steps",
    solution=_annealed,
    mistakes={
        "the modes feel each other: noise comes from the total loss.": (
            lambda lam, w, steps, m, s2: _annealed(lam, w, steps, m, s2, coupled=False)
        ),
        "a mode's own fluctuation is missing.": (
            lambda lam, w, steps, m, s2: _annealed(lam, w, steps, m, s2, own=0.0)
        ),
        "labels are noisy in every step.": (
            lambda lam, w, steps, m, s2: _annealed(lam, w, steps, m, 0.0)
        ),
        "the noise of the fresh label is left out of the loss.": (
            lambda lam, w, steps, m, s2: _annealed(lam, w, steps, m, s2) + s2
        ),
    },
    inputs=((LAM, W, FALLING, 2, 0.5), (LAM, W, FALLING.flip(0), 1, 0.1)),
)

patience = Exercise(
    question="Best batch sizes for budgets of 400, 1600 and 6400 samples",
    solution=[5, 8, 14],
    mistakes={
        "that is without noise: it is the noise that more samples a step average away.": [2, 2, 1],
        "a batch that grows with the budget would leave the number of steps as it is.": [5, 20, 80],
    },
)

typical = Exercise(
    question="Largest step at which a typical run converges",
    solution=2.42125,
    mistakes={
        "that is where the mean loss diverges: it is ruled by runs that hardly ever happen.": 2 / 3,
        "that is where gradient descent on the mean gradient diverges.": 2.0,
        "that neglects the one beside eta z^2, which is right for huge steps only.": 3.5622,
    },
)
