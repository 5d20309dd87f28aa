"""Checkers for the exercises of chapters/oscillator.md."""

from math import atan, e, pi, sqrt

import torch
from scipy.special import chebyt

from toymodels.oscillator import Oscillator, stationary
from toymodels.page.exercise import Exercise


def _one(curvature: float, step: float, **parameters: float) -> Oscillator:
    return Oscillator(torch.tensor([curvature], dtype=torch.float64), step, **parameters)


def _largest_root(total: float, product: float) -> float:
    """Modulus of the larger root of z^2 - total z + product."""
    inside = total**2 / 4 - product
    return sqrt(product) if inside < 0 else abs(total) / 2 + sqrt(inside)


def _quarter(momentum: float, modulation: float) -> float:
    """A quarter of the modulation frequency below which no mode gives way."""
    slope = sqrt(max(4 / modulation**2 - 1, 0))
    return atan((1 - momentum) / (1 + momentum) * slope)


peak = Exercise(
    "Largest size of the stiffest mode at the optimum, over its start and the root of kappa",
    1 / e,
    mistakes={
        "that is S_k alone: a start at rest is two copies of the impulse response.": 1 / (2 * e),
        "at its maximum the factor b^(k/2) is not one but 1/e.": 1.0,
        "that is the mode that creeps: it is largest at its start. Take the stiff one.": 0.0,
        "delta is 2 / sqrt(kappa): the root of b is (r - 1) / (r + 1).": 2 / e,
    },
)

stale = Exercise(
    "Largest stable step with a gradient that is one step old, by curvature and momentum",
    lambda curvature, momentum: (1 - momentum) / curvature,
    mistakes={
        "that is the edge with fresh gradients.": lambda curvature, momentum: (
            2 * (1 + momentum) / curvature
        ),
        "that is without momentum: it adds to the product of the roots.": (
            lambda curvature, momentum: 1 / curvature
        ),
        "there the roots merge and begin to ring: they leave the circle later.": (
            lambda curvature, momentum: (1 - momentum) ** 2 / (4 * curvature)
        ),
    },
    inputs=[(1.0, 0.5), (4.0, 0.9), (0.3, 0.2)],
)

average = Exercise(
    "Number of steps times the variance of their average, by step, curvature, momentum, noise",
    lambda step, curvature, momentum, noise: noise / curvature**2,
    mistakes={
        "that is the noise floor, as if steps were independent of each other.": (
            lambda step, curvature, momentum, noise: stationary(
                _one(curvature, step, momentum=momentum, noise=noise)
            ).item()
        ),
        "the kick carries a factor h, and so does the force that answers it.": (
            lambda step, curvature, momentum, noise: step**2 * noise / curvature**2
        ),
        "momentum sums gradients, but it sums forces too: it drops out.": (
            lambda step, curvature, momentum, noise: noise / (curvature * (1 - momentum)) ** 2
        ),
    },
    inputs=[(0.5, 1.5, 0.5, 0.2), (1.2, 2.0, 0.8, 1.5), (0.3, 4.0, 0.1, 0.7)],
)

tempo = Exercise(
    "Steps in the longest cycle that can shake some mode loose, by momentum and modulation",
    lambda momentum, modulation: pi / _quarter(momentum, modulation) / 2,
    mistakes={
        "the swing has half the frequency of the cycle: put nu / 2 into the response.": (
            lambda momentum, modulation: pi / _quarter(momentum, modulation)
        ),
        "that is the frequency of the cycle, in radians per step: give its length.": (
            lambda momentum, modulation: 4 * _quarter(momentum, modulation)
        ),
        "that is for small friction: keep sine, cosine and 1 + b.": (
            lambda momentum, modulation: pi * modulation / (1 - momentum) / sqrt(4 - modulation**2)
        ),
        "that takes the mode in resonance, by sine and cosine: the first to give way is stiffer.": (
            lambda momentum, modulation: (
                pi / 2 / atan(2 / modulation * (1 - momentum) / (1 + momentum))
            )
        ),
        "that takes the mode in resonance: at the same cycle a stiffer one gives way earlier.": (
            lambda momentum, modulation: pi * modulation / (2 * (1 - momentum))
        ),
        "that is the response to a force mu c x: a product of cosines brings a half.": (
            lambda momentum, modulation: pi / _quarter(momentum, 2 * modulation) / 2
        ),
    },
    inputs=[(0.9, 0.8), (0.8, 0.9), (0.95, 0.5)],
)

sextic_shift = Exercise(
    "Relative frequency shift of c x + p x^5 to first order, as a function of p A^4 / c",
    lambda strength: 5 / 16 * strength,
    mistakes={
        "that is the shift of the squared frequency: halve it.": lambda strength: 5 / 8 * strength,
        "that is the coefficient of a cubic force: average cos to the sixth, not the fourth.": (
            lambda strength: 3 / 8 * strength
        ),
        "that takes the mean of cos to the sixth: the projection on cos is twice it.": (
            lambda strength: 5 / 32 * strength
        ),
    },
    inputs=[(0.01,), (0.1,)],
)

nesterov_rate = Exercise(
    "Rate per step of Nesterov's method as a function of step * curvature and momentum",
    lambda hc, momentum: _largest_root((1 + momentum) * (1 - hc), momentum * (1 - hc)),
    mistakes={
        "that is the heavy ball: take the gradient at the point the ball is heading for.": (
            lambda hc, momentum: _largest_root(1 + momentum - hc, momentum)
        ),
        "that is gradient descent: the momentum is missing.": lambda hc, momentum: abs(1 - hc),
    },
    inputs=[(0.02, 0.5), (0.3, 0.9), (0.8, 0.6), (1.2, 0.5)],
)

survival = Exercise(
    "Step * curvature at which the two-step orbit loses its stability, by momentum",
    lambda momentum: 3 * (1 + momentum),
    mistakes={
        "there the orbit is born.": lambda momentum: 2 * (1 + momentum),
        "that is without momentum.": lambda momentum: 3.0,
        "the slope of q x^3 is 3 q x^2.": lambda momentum: 4 * (1 + momentum),
    },
    inputs=[(0.5,), (0.0,), (0.9,)],
)

ridge = Exercise(
    "Ridge, as a fraction of the largest curvature, that lets tuned momentum reach rate 0.9",
    1 / 360,
    mistakes={
        "that is the ridge gradient descent needs: momentum feels the root of the condition "
        "number.": 1 / 18,
        "that is the condition number: the question asks for the ridge.": 361.0,
        "that forgets that the ridge also lifts the stiffest mode.": 1 / 361,
    },
    within=5e-4,
)


def _chebyshev(condition: float, n: int) -> float:
    return chebyt(n)((condition + 1) / (condition - 1))


cycle = Exercise(
    "Factor per step of the best cycle of n step sizes, by condition number and n",
    lambda condition, n: _chebyshev(condition, n) ** (-1 / n),
    mistakes={
        "those are equal steps: let some of them be too long for the stiff modes.": (
            lambda condition, n: (condition - 1) / (condition + 1)
        ),
        "that is the tuned heavy ball, which a cycle reaches as n grows.": lambda condition, n: (
            (sqrt(condition) - 1) / (sqrt(condition) + 1)
        ),
        "that is the factor of the whole cycle: take the n-th root.": lambda condition, n: (
            1 / _chebyshev(condition, n)
        ),
    },
    inputs=[(100.0, 2), (10.0, 3), (400.0, 8)],
)
