"""Checkers of the exercises in ``chapters/invariant_capacity.md``."""

from math import atan, comb, pi

import torch
from torch import Tensor

from toymodels.invariant_capacity import InvariantReadout, theory
from toymodels.page.exercise import Exercise


def _share(coins: int, heads: int) -> float:
    """The chance that ``coins`` show at most ``heads`` heads."""
    return sum(comb(coins, k) for k in range(heads + 1)) / 2**coins


def _needed(share: float, objects: int) -> int:
    dimension = torch.arange(1, objects + 1)
    enough = theory(InvariantReadout(dimension), torch.tensor([objects])).fraction[:, 0] >= share
    return int(dimension[enough][0])


def _directions(moves: Tensor) -> Tensor:
    return (moves == torch.arange(moves.shape[1])).sum() / len(moves)


CYCLE = torch.stack([torch.arange(6).roll(s) for s in range(6)])
PAIR = torch.tensor([[0, 1, 2, 3, 4], [1, 0, 3, 2, 4]])
SQUARE = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 0, 4], [2, 3, 0, 1, 4], [3, 0, 1, 2, 4]])

odds = Exercise(
    "the fraction of labellings of twelve objects in five dimensions",
    solution=_share(11, 4),
    mistakes={
        "the sum ends before k = 5: five dimensions are five terms.": _share(11, 5),
        "the sum begins at k = 0: five dimensions are five terms.": _share(11, 3),
        "the first object needs no coin: toss one coin less than there are objects.": _share(12, 4),
        "that counts only labellings with the first label +: there are twice as many.": (
            _share(11, 4) / 2
        ),
    },
    within=1e-6,
)

pixels = Exercise(
    "directions that turns and reflections of a picture leave alone",
    solution=6,
    mistakes={
        "those are turns alone: reflections mix two of these sets.": 7,
        "divide by the number of elements, not by that of turns.": 12,
        "each reflection leaves a whole line of five pixels in place, not the center alone.": 4,
        "those are all neurons: which of them does the group keep apart?": 25,
        "the sets are not all of eight pixels: average the pixels that stay.": 25 / 8,
    },
)

contrast = Exercise(
    "objects of which half of the labellings can be given, with on- and off-cells",
    solution=40,
    mistakes={
        "that is the number of directions: one half is reached at twice as many objects.": 20,
        "of on-cell and off-cell only the sum is left alone, not both.": 80,
        "that was so before: what is left alone once the sign is gone?": 0,
    },
)

burnside = Exercise(
    "directions that a group of permutations leaves alone",
    solution=_directions,
    mistakes={
        "that is a sum over the group: take the average.": lambda moves: (
            len(moves) * _directions(moves)
        ),
        "those are neurons that every element leaves in place: average over elements instead.": (
            lambda moves: (moves == torch.arange(moves.shape[1])).all(0).sum()
        ),
        "that is the share of neurons: sum over them, average over elements alone.": (
            lambda moves: _directions(moves) / moves.shape[1]
        ),
        "that is neurons over elements: it holds if every neuron visits that many sites.": (
            lambda moves: moves.shape[1] / len(moves)
        ),
    },
    inputs=((CYCLE,), (PAIR,), (SQUARE,)),
)

channels = Exercise(
    "channels for 95 % of the labellings of a hundred objects",
    solution=_needed(0.95, 100),
    mistakes={
        "that suffices for half of the labellings.": 50,
        "then all labellings can be given: fewer will do for 95 % of them.": 100,
        "that is 95 % of the channels that suffice for all labellings, which is too safe.": 95,
        "N0 terms of the sum end at N0 - 1 heads: one channel more.": _needed(0.95, 100) - 1,
    },
)

window = Exercise(
    "the angle between two averages, in degrees",
    solution=60,
    mistakes={
        "that is in radians.": pi / 3,
        "that is q, the angle over a half turn.": 1 / 3,
        "without the angle it is two objects per dimension: the bracket begins with one half.": (
            180 * (1 / 1.2)
        ),
        "q is the angle over a half turn, not over a right angle.": 30,
        "q is the angle over a half turn, not over a full one.": 120,
    },
)

circle = Exercise(
    "objects per dimension whose circles of views can be labelled in half of all ways",
    solution=1 / (3 / 2 + 5**-0.5),
    mistakes={
        "that is for two opposite points of the circle: all of it asks for more.": (
            1 / (0.5 + 2 * atan(2) / pi)
        ),
        "that is for circles much larger than their middle.": 2 / 5,
        "one over the statistical dimension of the cone: take what is left of three.": (
            1 / (3 / 2 - 5**-0.5)
        ),
        "each object takes that many dimensions: the question is about objects per dimension.": (
            3 / 2 + 5**-0.5
        ),
        "that is for circles as large as their middle: here they are twice as large.": 2 / 3,
    },
)
