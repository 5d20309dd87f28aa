"""Exercises of ``chapters/spring_block.md``, worked out a second time."""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr


def bent_at(forces):
    """Positions with second differences ``forces``, k = y = 1, by linear algebra."""
    n = len(forces)
    springs = np.diag([-2.0] * n) + np.diag([1.0] * (n - 1), 1) + np.diag([1.0] * (n - 1), -1)
    return np.linalg.solve(springs, np.array(forces) - np.eye(n)[-1])


def frozen(right, left, s, ceiling=3**0.5):
    """Curvature where a force that falls from ``right`` stops: no kick moves it on, on average."""
    kicks = np.linspace(-ceiling * s, ceiling * s, 2001)
    F = right
    while right - left < 2 * F:
        pull = np.maximum(F + kicks - right, 0) - np.maximum(-F - kicks - left, 0)
        if pull.mean() <= 1e-9:
            break
        F -= 2e-6
    return -max(F, (right - left) / 2)


def uneven(rate, begin, dt=0.1):
    """First load less last of the annealed mean field, by midpoint steps."""
    x, steps = np.zeros(7), int(6 / rate / dt)

    def speed(x, t):
        s = begin * math.exp(-rate * t)
        F = np.diff(np.concatenate([[0], x, [1]]), 2)
        right, left = F - 0.1, -F - 0.15
        tail = lambda u: s * np.exp(-((u / s) ** 2) / 2) / 2.5066282746 + u * ndtr(u / s)  # noqa: E731
        return tail(right) - tail(left)

    for n in range(steps):
        x = x + dt * speed(x + dt / 2 * speed(x, n * dt), (n + 0.5) * dt)
    return x[0] - 1 + x[-1]


def share(z):
    """The distribution function of a standard normal variable."""
    return 1 - math.erfc(z / math.sqrt(2)) / 2


def net_push(u, s):
    """E (u + s zeta)_+."""
    return s / math.sqrt(2 * math.pi) * math.exp(-(u**2) / (2 * s**2)) + u * share(u / s)


ANSWERS = {
    "release": lambda k, right, left: right / k + left / k,
    "one": bent_at([0, 0, -0.15, 0, 0]),
    "slip": net_push,
    "patience": 806.857587,  # 4 e^8 / (2 e^2)
    "uniform": frozen,
    "shots": -0.0447020,
    "anneal": brentq(lambda rate: uneven(rate, 0.1), 0.0095, 0.0098, xtol=2e-5),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "release": [
        lambda k, right, left: 2 * right / k,
        lambda k, right, left: right / k - left / k,
        lambda k, right, left: left / k,
        lambda k, right, left: right / k,
        lambda k, right, left: (right + left) / 2 / k,
    ],
    "one": [
        bent_at([0, 0, 0.15, 0, 0]),
        bent_at([0, 0, -0.3, 0, 0]),
        bent_at([0] * 5),
        bent_at([-0.15] * 5),
    ],
    "slip": [
        lambda u, s: u * share(u / s),
        lambda u, s: net_push(u / s, 1.0) + (u - u / s) * share(u / s),
        lambda u, s: (u + abs(u)) / 2,
        lambda u, s: net_push(-u, s),
    ],
    "patience": [403.428793, 14.7781122, 325509.583],
    "uniform": [
        lambda right, left, s: (left - right) / 2,
        lambda right, left, s: frozen(right, left, s, ceiling=1.0),
        lambda right, left, s: 3**0.5 * s - right,
        lambda right, left, s: -right,
    ],
    "shots": [0.0, 0.0447020, -0.447020],
    "anneal": [0, 0.1],
}
