"""Exercises of ``chapters/deep_linear.md``, worked out a second time."""

import math

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq


def time_to(u, s, start):
    """Time at which the logistic curve from ``start`` to ``s`` passes ``u``."""
    return quad(lambda v: 1 / (2 * v * (s - v)), start, u, epsabs=1e-12, epsrel=1e-11)[0]


def start_of(strong, weak):
    """Start at which mode 2 has the share ``strong`` when mode 1 has the share ``weak``."""
    late = lambda x: time_to(2 * strong, 2, math.exp(x)) - time_to(weak, 1, math.exp(x))  # noqa: E731
    return math.exp(brentq(late, -12, math.log(0.9 * min(weak, 2 * strong)), xtol=1e-12))


def wait(depth, start, per_layer=False):
    rate = lambda u: depth ** (not per_layer) * u ** (2 - 2 / depth) * (1 - u)  # noqa: E731
    return quad(lambda u: 1 / rate(u), start, 0.5, epsabs=1e-12)[0]


def from_zero(s, c):
    return quad(lambda u: 1 / ((s - u) * math.hypot(c, 2 * u)), 0, s / 2, epsabs=1e-12)[0]


def stable(s, c):
    """Two over the largest eigenvalue of the Hessian of (s - ab)^2 / 2 at a^2 - b^2 = c, ab = s."""
    a = math.sqrt((c + math.sqrt(c * c + 4 * s * s)) / 2)
    b = s / a
    return 2 / np.linalg.eigvalsh([[b * b, a * b], [a * b, a * a]]).max()


ANSWERS = {
    "stages": start_of(0.9, 0.1),
    "stops": len({9 * i + 4 * j + k for i in (0, 1) for j in (0, 1) for k in (0, 1)}),
    "infinite": quad(lambda u: 1 / (u * u * (1 - u)), 0.01, 0.5, epsabs=1e-10)[0],
    "revived": from_zero,
    "growing": lambda a, b: ((a + b.T) / 2).square().sum(0),
    "threshold": 99,
    "slower": brentq(lambda u: wait(3, u) - wait(2, u), 0.05, 0.4),
    "balance": stable,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "stages": [start_of(0.5, 0.5), start_of(0.9, 0.5), start_of(0.5, 0.1)],
    "stops": [4, 3, 7, 27],
    "infinite": [100, 98, math.log(99), 0],
    "revived": [
        lambda s, c: math.log(2) / c,
        lambda s, c: math.log(4 * s / c) / 2 / s,
        lambda s, c: math.log(abs(s - c) / c) / 2 / s,
    ],
    "growing": [
        lambda a, b: (a * b.T).sum(0),
        lambda a, b: (a + b.T).square().sum(0),
        lambda a, b: ((a - b.T) / 2).square().sum(0),
    ],
    "threshold": [math.log(10), math.log(100), 49, 100],
    "slower": [8 / 27, 9.14475 / 3.45338],
    "balance": [
        lambda s, c: 1 / s,
        lambda s, c: stable(s, c) / 2,
        lambda s, c: 2 / (c + 2 * s),
    ],
}
