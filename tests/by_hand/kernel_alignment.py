"""Exercises of ``chapters/kernel_alignment.md``, worked out a second time."""

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq


def half_time(start, rate):
    """Over the error, which falls at the rate k = start + rate (1 - d^2)."""
    return quad(lambda d: 1 / (d * (start + rate * (1 - d * d))), 0.5, 1, epsabs=1e-12)[0]


def time_of_half_turn(start, rate):
    """The turn is half done at d^2 = 1/2."""
    speed = lambda d: d * (start + rate * (1 - d * d))  # noqa: E731
    return quad(lambda d: 1 / speed(d), math.sqrt(0.5), 1, epsabs=1e-12)[0]


def cosine(ratio, samples, *, all_of_them=False, trace=False):
    """Of the kernel 1 + ratio y y^T and y y^T, from the matrices."""
    values = np.array([1 + ratio] + [1.0] * (samples - (0 if all_of_them else 1)))
    size = values.sum() if trace else math.sqrt((values**2).sum())
    return (1 + ratio) / size


def ratio(alignment, samples, **how):
    return brentq(lambda s: cosine(s, samples, **how) - alignment, -0.9, 1e6, xtol=1e-10)


def end_rate(a, b, theta, rate=1e9):
    """Smallest eigenvalue of M at a huge rate, as determinant over trace."""
    c, s = math.cos(theta), math.sin(theta)
    return (a * b + rate * (a * s * s + b * c * c)) / (a + b + rate)


def moved(features, error, rate, step, rule):
    """Entry by entry, with the formula for the larger eigenvalue of two by two."""
    psi, e = features.tolist(), error.tolist()

    def overlaps(psi, e):
        return [sum(e[m] * psi[m][j] for m in range(2)) for j in range(3)]

    def turn(psi, e):
        seen = overlaps(psi, e)
        return [[psi[m][j] + step * rate * e[m] * seen[j] for j in range(3)] for m in range(2)]

    def learn(psi, e):
        seen = overlaps(psi, e)
        return [e[m] - step * sum(psi[m][j] * seen[j] for j in range(3)) for m in range(2)]

    def matrix(psi, e):
        gamma = 0.0 if rule == "kernel alone" else rate
        dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
        return [[dot(psi[m], psi[n]) + gamma * e[m] * e[n] for n in range(2)] for m in range(2)]

    if rule == "features first":
        new = turn(psi, e)
        after = learn(new, e)
    elif rule == "outputs first":
        after = learn(psi, e)
        new = turn(psi, after)
    else:
        new, after = turn(psi, e), learn(psi, e)
    old, now = matrix(psi, e), matrix(new, after)
    a, b, d = now[0][0] - old[0][0], now[0][1] - old[0][1], now[1][1] - old[1][1]
    return torch.tensor((a + d) / 2 + math.hypot((a - d) / 2, b))


def by(rule):
    return lambda features, error, rate, step: moved(features, error, rate, step, rule)


def turned_at_half(gamma):
    return (math.sqrt(1 + gamma**2 / 4) - 1) / (math.sqrt(1 + gamma**2) - 1)


RICHNESS = brentq(lambda gamma: turned_at_half(gamma) - 0.4, 0.5, 50)
SLOW, FAST = np.linalg.eigvalsh(np.array([[1 + 4 * 0.36, 4 * 0.48], [4 * 0.48, 4 * 0.64]]))

ANSWERS = {
    "half": half_time,
    "ratio": ratio,
    "fastest": end_rate,
    "growth": by("at once"),
    "network": RICHNESS,
    "wait": math.log(10) / SLOW / 2,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "half": [
        lambda start, rate: math.log(2) / start,
        lambda start, rate: math.log(2) / (start + rate),
        time_of_half_turn,
    ],
    "ratio": [
        lambda alignment, samples: ratio(alignment, samples) + 1,
        lambda alignment, samples: ratio(alignment, samples, all_of_them=True),
        lambda alignment, samples: ratio(alignment, samples, trace=True),
    ],
    "fastest": [
        lambda a, b, theta: end_rate(b, a, theta),
        lambda a, b, theta: max(a, b),
        lambda a, b, theta: min(a, b),
        lambda a, b, theta: 1 / end_rate(1 / b, 1 / a, theta),
    ],
    "growth": [by("features first"), by("outputs first"), by("kernel alone")],
    "network": [RICHNESS**2, math.hypot(1, RICHNESS), 2 * math.sqrt(2)],
    "wait": [math.log(10) / SLOW, math.log(10) / FAST / 2, math.log(10) / 10, 1 / SLOW / 2],
}
