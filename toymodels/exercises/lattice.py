"""Checkers of the exercises in ``chapters/lattice.md``."""

import math

import torch
from torch import Tensor

from toymodels.lattice import asleep, half_time, jumps, leaps, plateau
from toymodels.page.exercise import Exercise
from toymodels.subset_lattice import polynomial, subsets
from toymodels.subset_lattice.sets import Set


def _target(terms: dict[Set, float], dimension: int = 3) -> Tensor:
    return polynomial(terms, dimension, dimension).double()


def _tensor(*values: float | int) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


quadrature = Exercise(
    "slope of a product whose parents are learned one after the other",
    solution=float(jumps(_target({(1,): 1.0, (2,): 0.8, (1, 2): 0.5}), 3, 3)[3]),
    mistakes={
        "that is with the first parent alone: the second one helps from 1.25 on.": 3.0,
        "that forgets how far the product had grown before its second parent came.": (
            1.25 + 1 / (0.5 * math.sqrt(1.8))
        ),
        "parents add in quadrature, not plainly.": (1.25 + 0.875 / (0.5 * (1 + math.sqrt(0.8)))),
        "a rung of strength 0.8 has p = 0.8, and P is its root: sigma is a sum of p.": (
            1.25 + 0.875 / (0.5 * math.sqrt(1 + 0.64))
        ),
    },
)

_FIVE = math.prod(math.comb(5, k) for k in range(1, 6)) / math.factorial(5)

split = Exercise(
    "time of an even split over that of a single path, degree five",
    solution=math.sqrt(_FIVE),
    mistakes={
        "that is the square: the norm of a layer is the root of a sum of squares.": _FIVE,
        "an even split is slower, never faster: turn it over.": 1 / math.sqrt(_FIVE),
        "that is for degree four.": 2.0,
        "that counts the paths: they add up, but each is weaker.": 1 / math.factorial(5),
    },
)


def _pull(a: Tensor, u: Tensor, beta: Tensor) -> Tensor:
    """Edges into 1, into 2, and into 12 by adding 1 and by adding 2."""
    top = u[2] * u[1] + u[3] * u[0]
    pull = a[2] * (beta[2] - a[2] * top)
    one = a[0] * (beta[0] - a[0] * u[0]) + u[3] * pull
    two = a[1] * (beta[1] - a[1] * u[1]) + u[2] * pull
    return torch.stack([one, two, pull * u[1], pull * u[0]])


def _own_only(a: Tensor, u: Tensor, beta: Tensor) -> Tensor:
    right = _pull(a, u, beta)
    return torch.cat([a[:2] * (beta[:2] - a[:2] * u[:2]), right[2:]])


back = Exercise(
    "rate of the four edges of the lattice of two coordinates",
    solution=_pull,
    mistakes={
        "check the sign: weights go down the loss.": lambda a, u, beta: -_pull(a, u, beta),
        "the edges into 1 and 2 are pulled by the pair above them, too.": _own_only,
        "the edge that adds 1 to {2} starts at {2}: its signal is P of {2}.": (
            lambda a, u, beta: _pull(a, u, beta)[[0, 1, 3, 2]]
        ),
    },
    inputs=[
        (_tensor(0.3, 0.2, 0.5), _tensor(0.4, 0.9, 0.7, 0.2), _tensor(1.0, -0.5, 0.8)),
        (_tensor(0.1, 0.6, -0.4), _tensor(0.4, 0.0, 0.5, 1.1), _tensor(0.2, 0.5, 1.8)),
    ],
)

_LEAPS = (
    {(1,): 1.0, (2,): 1.0, (3,): 1.0, (4,): 1.0, (1, 2, 3, 4): 1.0},
    {(1, 2): 1.0, (3, 4): 1.0, (1, 2, 3, 4): 1.0},
    {(1,): 1.0, (1, 2): 1.0, (1, 2, 3): 1.0, (1, 2, 3, 4): 1.0},
)

exponents = Exercise(
    "exponents of the wait for the term of degree four in three targets",
    solution=torch.stack([leaps(_target(terms, 4), 4, 4)[-1] - 1 for terms in _LEAPS]),
    mistakes={
        "coordinates do not count, subsets do: no pair of the first target is learned.": _tensor(
            0, 1, 0
        ),
        "a leap of l elements waits as a power l - 1.": _tensor(3, 2, 1),
        "what is learned on the way helps: count from the largest learned subset.": _tensor(
            3, 3, 3
        ),
    },
)

_MERGED = plateau(_target({(1,): 1.0, (2,): 1.0, (1, 2): 1.0}, 2), 2, 2)

merged = Exercise(
    "path product of x_1 x_2 on the plateau of x_1 + x_2 + x_1 x_2",
    solution=float(_MERGED[2]),
    mistakes={
        "that is before the rungs have felt their product: it widens the way to both.": 2**0.25,
        "that is with one parent: currents join here.": float(
            plateau(_target({(1,): 1.0, (1, 2): 1.0}, 2), 2, 2)[2]
        ),
        "that is the path product of a rung.": float(_MERGED[0]),
        "that is p, the square.": float(_MERGED[2] ** 2),
    },
)


def _wait(*lessons: tuple[Set, ...]) -> dict[tuple[Set, ...], float]:
    """Half-times of x_1 x_2 x_3 beside lessons of strength one, from 0.05."""
    target = [_target(dict.fromkeys((*some, (1, 2, 3)), 1.0)) for some in lessons]
    waits = half_time(asleep(torch.stack(target), 3, 3, start=0.05), rtol=1e-5)[:, -1]
    return dict(zip(lessons, waits.tolist(), strict=True))


_ALL = tuple(subsets(3, 2))
_WAIT = _wait(((1,), (1, 2)), (), ((1,),), ((1,), (2,)), ((1, 2), (1, 3)), _ALL, ((1,), (2, 3)))

lessons = Exercise(
    "half-time of x_1 x_2 x_3 beside the best two lessons of strength one",
    solution=_WAIT[(1,), (1, 2)],
    mistakes={
        "that is without a lesson.": _WAIT[()],
        "that is one lesson: two are allowed.": _WAIT[((1,),)],
        "two coordinates leave a leap of two elements.": _WAIT[(1,), (2,)],
        "two pairs are leaps themselves.": _WAIT[(1, 2), (1, 3)],
        "that is with all six: only two are allowed.": _WAIT[_ALL],
        "a coordinate and a pair that does not contain it wait for each other in vain.": _WAIT[
            (1,), (2, 3)
        ],
    },
)
