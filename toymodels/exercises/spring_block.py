"""Checkers of the exercises in ``chapters/spring_block.md``."""

import math

import torch
from scipy.optimize import brentq
from scipy.special import ndtr

from toymodels.page.exercise import Exercise
from toymodels.spring_block import SpringBlock, theory


def _one(force: float, where: int = 3) -> list[float]:
    """Mean positions of five blocks of which only one feels ``force``, k = y = 1."""
    return [m / 6 - force * min(m, where) * (6 - max(m, where)) / 6 for m in range(1, 6)]


def _density(z: float) -> float:
    return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


release = Exercise(
    "how far the hand goes back before a block moves, by stiffness and frictions",
    solution=lambda stiffness, right, left: (right + left) / stiffness,
    mistakes={
        "going back, it is the other friction that resists.": (
            lambda stiffness, right, left: 2 * right / stiffness
        ),
        "at rest the force is mu_R, at the slide back -mu_L: these two signs differ.": (
            lambda stiffness, right, left: (right - left) / stiffness
        ),
        "the block still has the force mu_R from the way there.": (
            lambda stiffness, right, left: left / stiffness
        ),
        "that is where the block begins to feel no force.": (
            lambda stiffness, right, left: right / stiffness
        ),
        "only one spring of the block ends at the hand.": (
            lambda stiffness, right, left: (right + left) / (2 * stiffness)
        ),
    },
    inputs=[(1.0, 0.1, 0.15), (2.0, 0.02, 0.4), (0.5, 0.3, 0.3)],
)

one = Exercise(
    "mean positions of five blocks of which the third is lopsided",
    solution=_one(-0.15),
    mistakes={
        "the table is tilted the other way: harder to go back than forth.": _one(0.15),
        "the mean force is half of the difference of the frictions.": _one(-0.3),
        "that is the chain without any friction.": _one(0.0),
        "only the third block is tilted: the curve has one kink.": [
            m / 6 + 0.075 * m * (6 - m) for m in range(1, 6)
        ],
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
        "that is the average for -u: the integral starts at zeta = -u/s.": (
            lambda u, s: s * _density(u / s) - u * float(ndtr(-u / s))
        ),
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

_CEILING = math.sqrt(3)
uniform = Exercise(
    "curvature at which uniform kicks leave the chain",
    solution=lambda right, left, s: -max(right - _CEILING * s, (right - left) / 2),
    mistakes={
        "that is the parabola of kicks without a ceiling.": lambda right, left, s: (
            (left - right) / 2
        ),
        "the largest kick is sqrt(3) s, not s.": lambda right, left, s: (
            -max(right - s, (right - left) / 2)
        ),
        "strong enough kicks take it to the parabola and not beyond.": lambda right, left, s: (
            -(right - _CEILING * s)
        ),
        "that is the first rest: kicks help to overcome friction.": lambda right, left, s: -right,
    },
    inputs=[(0.1, 0.15, 0.04), (0.1, 0.15, 0.08), (0.2, 0.3, 0.05)],
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


def _bend(rate: float) -> float:
    """First load less last, when the noise has faded."""
    model = SpringBlock(7, friction_right=0.1, friction_left=0.15, noise=0.1, decay=rate)
    separation = theory(model, torch.tensor([6 / rate], dtype=torch.float64)).separation[0]
    return (separation[0] - separation[1] - separation[-2] + separation[-1]).item()


def _straight(low: float = 0.0096, high: float = 0.0097) -> float:
    """Where the chord through two bends close to zero vanishes."""
    left, right = _bend(low), _bend(high)
    return low - left * (high - low) / (right - left)


anneal = Exercise(
    "rate of annealing that leaves first and last spring equally long",
    solution=_straight(),
    mistakes={
        "that leaves the parabola, which is convex here: stop before.": 0.0,
        "that leaves the chain close to its first rest: be more patient.": 0.1,
    },
    within=0.01,
)
