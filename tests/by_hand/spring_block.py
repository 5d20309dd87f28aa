"""Exercises of ``chapters/spring_block.md``, worked out a second time."""

import math


def sliding(blocks, product):
    """Blocks that move: the positive root of n^2 + n = product, rounded down, at most all."""
    return min(blocks, math.floor((math.sqrt(1 + 4 * product) - 1) / 2))


def share(z):
    """The distribution function of a standard normal variable."""
    return 1 - math.erfc(z / math.sqrt(2)) / 2


def net_push(u, s):
    """E (u + s zeta)_+."""
    return s / math.sqrt(2 * math.pi) * math.exp(-(u**2) / (2 * s**2)) + u * share(u / s)


ANSWERS = {
    "first": 0.055,
    "moving": lambda blocks, k, y, friction: sliding(blocks, 2 * k * y / friction),
    "parabola": [0.6875, 1.3, 1.8375, 2.3, 2.6875],
    "slip": net_push,
    "patience": 806.857587,  # 4 e^8 / (2 e^2)
    "shots": -0.0447020,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "first": [0.125, 0.195, -0.015],
    "moving": [
        lambda blocks, k, y, friction: sliding(blocks, k * y / friction),
        lambda blocks, k, y, friction: sliding(1000, 2 * k * y / friction),
        lambda blocks, k, y, friction: blocks - sliding(blocks, 2 * k * y / friction),
    ],
    "parabola": [
        [0.3125, 0.7, 1.1625, 1.7, 2.3125],
        [0.875, 1.6, 2.175, 2.6, 2.875],
        [0.5, 1.0, 1.5, 2.0, 2.5],
    ],
    "slip": [
        lambda u, s: u * share(u / s),
        lambda u, s: net_push(u / s, 1.0) + (u - u / s) * share(u / s),
        lambda u, s: (u + abs(u)) / 2,
    ],
    "patience": [403.428793, 14.7781122, 325509.583],
    "shots": [0.0, 0.0447020, -0.447020],
}
