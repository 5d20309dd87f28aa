"""Checkers of the exercises in ``chapters/spring_block.md``."""

import math

from scipy.optimize import brentq
from scipy.special import ndtr

from toymodels.page.exercise import Exercise
from toymodels.spring_block import SpringBlock, resting, stationary


def _slide(blocks: int, product: float) -> int:
    """Largest n up to ``blocks`` with n (n + 1) <= ``product``."""
    return max(n for n in range(blocks + 1) if n * (n + 1) <= product)


def _parabola(right: float, left: float) -> list[float]:
    model = SpringBlock(
        5, stiffness=2.0, pull=3.0, friction_right=max(right, 0.0), friction_left=max(left, 0.0)
    )
    return stationary(model).tolist()


def _density(z: float) -> float:
    return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


first = Exercise(
    "where the first of seven blocks rests, k = y = 1, friction 0.02",
    solution=resting(SpringBlock(7, friction_right=0.02))[0].item(),
    mistakes={
        "that is even spacing: friction holds the chain back.": 1 / 8,
        "check the sign: friction leaves the blocks short of even spacing.": 1 / 8 + 0.07,
        "a factor two: a constant second difference F/k is a parabola with F/2k.": 1 / 8 - 0.14,
    },
)

moving = Exercise(
    "how many blocks move",
    solution=lambda blocks, k, y, friction: _slide(blocks, 2 * k * y / friction),
    mistakes={
        "the factor two is missing: the parabola bends with mu/2k.": (
            lambda blocks, k, y, friction: _slide(blocks, k * y / friction)
        ),
        "there are only L blocks: weak friction cannot move more.": (
            lambda blocks, k, y, friction: _slide(1000, 2 * k * y / friction)
        ),
        "those are the blocks that stay where they are.": (
            lambda blocks, k, y, friction: blocks - _slide(blocks, 2 * k * y / friction)
        ),
    },
    inputs=[(7, 1.0, 1.0, 0.05), (7, 1.0, 1.0, 0.02), (10, 2.0, 1.5, 0.25), (12, 1.0, 2.0, 0.1)],
)

parabola = Exercise(
    "mean positions of five blocks, k = 2, y = 3, frictions 0.1 and 0.4",
    solution=_parabola(0.1, 0.4),
    mistakes={
        "the table is tilted the other way: harder to go back than forth.": _parabola(0.4, 0.1),
        "the mean force is half of the difference of the frictions.": _parabola(0.0, 0.6),
        "that is the chain without any friction.": _parabola(0.0, 0.0),
    },
)

slip = Exercise(
    "average of (u + s zeta)_+",
    solution=lambda u, s: s * _density(u / s) + u * float(ndtr(u / s)),
    mistakes={
        "the kicks themselves are missing: the term with the density.": (
            lambda u, s: u * float(ndtr(u / s))
        ),
        "the density has the width s: its term carries a factor s.": (
            lambda u, s: _density(u / s) + u * float(ndtr(u / s))
        ),
        "that is the push without noise.": lambda u, s: max(u, 0.0),
    },
    inputs=[(0.0, 0.5), (-0.3, 0.2), (0.4, 0.7)],
)

patience = Exercise(
    "factor in time when the noise is halved at z = 2",
    solution=2 * math.exp(6),
    mistakes={
        "the factor z in front of the exponential doubles too.": math.exp(6),
        "z enters the exponent as a square: it grows fourfold.": 2 * math.exp(2),
        "the exponent is z^2/2, not z^2.": 2 * math.exp(12),
    },
)

shots = Exercise(
    "stationary force under exponential shots, frictions and noise 0.1",
    solution=0.1 * brentq(lambda w: math.exp(w - 2) + w + 1 - math.exp(w), -1, -1e-9),
    mistakes={
        "that holds for symmetric noise only.": 0.0,
        "the sign: shots to the right push the chain until its springs pull left.": (
            -0.1 * brentq(lambda w: math.exp(w - 2) + w + 1 - math.exp(w), -1, -1e-9)
        ),
        "that is in units of s: multiply by 0.1.": (
            brentq(lambda w: math.exp(w - 2) + w + 1 - math.exp(w), -1, -1e-9)
        ),
    },
)
