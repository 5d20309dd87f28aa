"""Exercises of ``chapters/invariant_capacity.md``, worked out a second time."""

import itertools
import math

import numpy as np


def cover(objects, dimension):
    """Pascal's rule, labelling by labelling."""
    if objects == 1:
        return 2 if dimension > 0 else 0
    if dimension == 0:
        return 0
    return cover(objects - 1, dimension) + cover(objects - 1, dimension - 1)


def sets_of_pixels(side, flips=True):
    """Pixels that turns, and reflections, of a square carry into each other."""
    picture = np.arange(side**2).reshape(side, side)
    moved = [np.rot90(picture, k) for k in range(4)]
    moved += [each.T for each in moved] if flips else []
    return len({frozenset(int(m[i, j]) for m in moved) for i in range(side) for j in range(side)})


def rectified(neurons, cells=True):
    """Rank of the averages of both contrasts, for many random objects."""
    x = np.random.default_rng(0).normal(size=(400, neurons))
    codes = [np.hstack([np.maximum(s * x, 0), np.maximum(-s * x, 0)]) for s in (1, -1)]
    codes = codes if cells else [x, -x]
    return np.linalg.matrix_rank(sum(codes) / 2)


def orbits(moves):
    """Neurons joined by any element, counted as sets."""
    moves = np.asarray(moves)
    return len({frozenset(moves[:, j].tolist()) for j in range(moves.shape[1])})


def first_dimension(share, objects):
    heads = itertools.accumulate(math.comb(objects - 1, k) for k in itertools.count())
    return next(k for k, sum_ in enumerate(heads, 1) if sum_ >= share * 2 ** (objects - 1))


def per_object(half_angle, dimensions=3, draws=400_000):
    """Mean square distance of a Gaussian vector from a round cone: a grid over length and angle."""
    angle = (np.arange(draws) + 0.5) * np.pi / draws  # from the axis
    weight = np.sin(angle) ** (dimensions - 2)
    beyond = angle - half_angle
    away = np.where(beyond < 0, 0, np.where(beyond < np.pi / 2, np.sin(beyond) ** 2, 1))
    return dimensions * (weight * away).sum() / weight.sum()


def stays(moves):
    moves = np.asarray(moves)
    return moves == np.arange(moves.shape[1])


ANSWERS = {
    "odds": cover(12, 5) / 2**12,
    "pixels": sets_of_pixels(5),
    "contrast": 2 * rectified(20),
    "burnside": orbits,
    "channels": first_dimension(0.95, 100),
    "window": math.degrees(math.pi * (1 / 1.2 - 0.5)),
    "circle": 1 / per_object(math.atan(1 / 2)),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "odds": [
        cover(12, 6) / 2**12,
        cover(12, 4) / 2**12,
        cover(13, 5) / 2**13,
        cover(12, 5) / 2**13,
    ],
    "pixels": [
        sets_of_pixels(5, flips=False),
        (25 + 3 * 1 + 4 * 5) / 4,
        (25 + 3 + 4) / 8,
        25,
        25 / 8,
    ],
    "contrast": [rectified(20), 2 * 40, 2 * rectified(20, cells=False)],
    "burnside": [
        lambda moves: stays(moves).sum(),
        lambda moves: sum(stays(moves).all(0)),
        lambda moves: stays(moves).mean(),
        lambda moves: len(moves[0]) / len(moves),
    ],
    "channels": [first_dimension(0.5, 100), 100, 95, first_dimension(0.95, 100) - 1],
    "window": [math.pi / 3, 1 / 3, 180 / 1.2, 90 / 3, 360 / 3],
    "circle": [
        1 / per_object(math.atan(1 / 2), dimensions=2),
        1 / per_object(0),
        1 / (3 - per_object(math.atan(1 / 2))),
        per_object(math.atan(1 / 2)),
        1 / per_object(math.atan(1)),
    ],
}
