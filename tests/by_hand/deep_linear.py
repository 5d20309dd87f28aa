"""Exercises of ``chapters/deep_linear.md``, worked out a second time."""

import math

ANSWERS = {
    "waiting": math.log(1999) / 4,
    "plateau": 2.5,
    "rate": lambda u, s, depth: depth * u ** (2 - 2 / depth) * (s - u),
    "unbalanced": lambda u, s, c: (s - u) * math.hypot(c, 2 * u),
    "decay": 0.6,
    "slower": 9.14475 / 3.45338,
    "growing": lambda a, b: ((a + b.T) / 2).square().sum(0),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "waiting": [math.log(1999) / 2, math.log(1.999)],
    "plateau": [5.0, 4.5, 7.0],
    "rate": [
        lambda u, s, depth: u ** (2 - 2 / depth) * (s - u),
        lambda u, s, depth: depth * (u ** (1 / depth)) ** (depth - 1) * (s - u),
        lambda u, s, depth: depth * u ** (2 * depth - 2) * (s - u),
    ],
    "unbalanced": [
        lambda u, s, c: (s - u) * (c + 2 * u),
        lambda u, s, c: (s - u) * 2 * u,
    ],
    "decay": [0.4, 0.3],
    "slower": [3.45338 / 9.14475, 10 / 3.45338],
    "growing": [
        lambda a, b: (a * b.T).sum(0),
        lambda a, b: (a + b.T).square().sum(0),
        lambda a, b: ((a - b.T) / 2).square().sum(0),
    ],
}
