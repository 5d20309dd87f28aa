"""Checkers for the exercises of chapters/temporal_difference.md."""

import math

import torch
from torch import Tensor

from toymodels.page import Exercise

DOUBLE = torch.float64
GAMMA = 0.9
FIVE_STEPS = math.exp(-1 / 5)


def _small_step(variance, memory, reward, discount, step, batch, times):
    left = 1 - discount * memory
    news = (discount**2 * variance * (reward / left) ** 2 * (1 - memory**2)).sum()
    return step * times / (2 * batch) * news * (variance / left).sum()


def _ignores_pull(variance, memory, reward, discount, step, batch, times):
    left = 1 - discount * memory
    news = (discount**2 * variance * (reward / left) ** 2 * (1 - memory**2)).sum()
    return step * times / (2 * batch) * news * variance.sum()


def _worth_of_rewards(variance, memory, reward, discount, step, batch, times):
    left = 1 - discount * memory
    news = (discount**2 * variance * reward**2 * (1 - memory**2)).sum()
    return step * times / (2 * batch) * news * (variance / left).sum()


def _single_sum(variance, memory, reward, discount, step, batch, times):
    left = 1 - discount * memory
    each = discount**2 * variance * (reward / left) ** 2 * (1 - memory**2) * variance / left
    return step * times / (2 * batch) * each.sum()


def _resting(P: Tensor, psi: Tensor, r: Tensor, discount: float) -> Tensor:
    A = psi.T @ (psi - discount * P @ psi)
    return psi @ torch.linalg.solve(A, psi.T @ r)


def _projected(P: Tensor, psi: Tensor, r: Tensor, discount: float) -> Tensor:
    value = torch.linalg.solve(torch.eye(len(P), dtype=P.dtype) - discount * P, r)
    return psi @ torch.linalg.solve(psi.T @ psi, psi.T @ value)


def _backwards(P: Tensor, psi: Tensor, r: Tensor, discount: float) -> Tensor:
    return _resting(P.T, psi, r, discount)


def _least_squares(P: Tensor, psi: Tensor, r: Tensor, discount: float) -> Tensor:
    change = psi - discount * P @ psi
    return psi @ torch.linalg.solve(change.T @ change, change.T @ r)


WALK = torch.tensor(
    [[0.1, 0.7, 0.2, 0.0], [0.0, 0.1, 0.7, 0.2], [0.2, 0.0, 0.1, 0.7], [0.7, 0.2, 0.0, 0.1]],
    dtype=DOUBLE,
)
SIGHT = torch.tensor([[1.0, 0.2], [0.5, 0.9], [-0.3, 0.4], [0.1, -0.6]], dtype=DOUBLE)
PAID = torch.tensor([1.0, 0.0, -0.5, 2.0], dtype=DOUBLE)
MODES = torch.tensor([[1.0, 0.5, 0.2], [0.9, 0.5, 0.1], [1.0, -0.5, 2.0]], dtype=DOUBLE)

memory_worth = Exercise(
    question="The weight at the fixed point",
    solution=1 / (1 - GAMMA * FIVE_STEPS),
    mistakes={
        "that is for a state that never changes: each time only a share of it is left.": 10.0,
        "a reward that comes later also counts less: the discount is missing.": (
            1 / (1 - FIVE_STEPS)
        ),
        "the next state is worth its own future too: sum the whole series.": (
            1 + GAMMA * FIVE_STEPS
        ),
    },
)

worst_memory = Exercise(
    question="The memory with the highest plateau",
    solution=(math.sqrt(1 + 3 * GAMMA**2) - 1) / GAMMA,
    mistakes={
        "that is where most news comes in; a weak pull also keeps it for longer.": GAMMA,
        "there the news is freshest, but it is worth little.": 0.0,
        "that is where the plateau is highest relative to the values squared.": (
            (1 - math.sqrt(1 - GAMMA**2)) / GAMMA
        ),
    },
)

thermometer = Exercise(
    question="The plateau for small steps",
    solution=_small_step,
    mistakes={
        "what is forgotten slowly piles up: divide each variance by 1 - discount memory.": (
            _ignores_pull
        ),
        "the news is about values, not rewards: divide the reward's weights first.": (
            _worth_of_rewards
        ),
        "news of one mode shakes all: these are two sums, not one.": _single_sum,
    },
    inputs=((*MODES, 0.9, 0.02, 4, 5), (*MODES.flip(1), 0.5, 0.1, 1, 2)),
)

half_as_high = Exercise(
    question="The step with half the plateau",
    solution=0.058965806,
    mistakes={
        "that would do if the plateau were proportional to the step; it bends upwards.": 0.05,
        "the plateau grows about as the step, not as its square.": 0.1 / math.sqrt(2),
        "that is a quarter of the step: too far down.": 0.025,
    },
)

resting_values = Exercise(
    question="The values at rest",
    solution=_resting,
    mistakes={
        "that is the best fit to the true values, which the rule does not know.": _projected,
        "the walk is run backwards: the row says where it goes from here.": _backwards,
        "that makes the TD errors small in the mean square; the rule does not.": _least_squares,
    },
    inputs=((WALK, SIGHT, PAID, 0.9), (WALK, SIGHT.flip(0), PAID, 0.5)),
)

paid_halfway = Exercise(
    question="Shares of the first error and of the plateau that are left",
    solution=[0.25, 1.0],
    mistakes={
        "the potential moves the start alone: the news is that of the same walk.": [0.25, 0.25],
        "errors are squared: half of the distance is a quarter of the error.": [0.5, 1.0],
        "paid by transition, a potential leaves all the news: none is halved.": [0.25, 0.5],
    },
)

wait_or_guess = Exercise(
    question="The memory from which on waiting is calmer",
    solution=(1 - math.sqrt(1 - GAMMA**2)) / GAMMA,
    mistakes={
        "that compares equal steps; at equal speed the guesser takes larger ones.": GAMMA,
        "the variance of a whole return is a series in the squared discount.": (
            (1 - math.sqrt(1 - GAMMA)) / GAMMA
        ),
        "solve (1 - discount memory)^2 = 1 - discount^2 for the memory itself.": (
            1 - math.sqrt(1 - GAMMA**2)
        ),
    },
)
