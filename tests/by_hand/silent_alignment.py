"""Exercises of ``chapters/silent_alignment.md``, worked out a second time."""

import math

import numpy as np
from scipy.optimize import brentq


def matrices(D, *lines):
    """1 + weight n n^T for each (weight, n), as full matrices."""
    return [np.eye(D) + weight * np.outer(n, n) for weight, n in lines]


def angle(one, other):
    return (one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other))


def first(D):
    return np.eye(D)[0]


def kernel(c, sigma, D=10):
    """Two layers closed: M = (H + sigma^2) 1 + (H - sigma^2) n n^T, full matrix."""
    H = (sigma**4 + c**2) ** 0.5
    return (H + sigma**2) * np.eye(D) + (H - sigma**2) * np.outer(first(D), first(D))


def later(sigma, c):
    return angle(kernel(c, sigma), kernel(1.0, sigma))


def turning(sigma2, c):
    """chi - 1 from the full kernel."""
    M = kernel(c, math.sqrt(sigma2))
    return M[0, 0] / M[1, 1] - 1


def two_directions(v):
    D = len(v)
    target = np.ones(D) / D**0.5
    force = np.diag(v) @ target
    return force / np.linalg.norm(force), target


def bent(v):
    return angle(*matrices(len(v), *((1, n) for n in two_directions(v))))


def drained(sigma=3.0, decay=0.01, step=0.02):
    """In P+- = (H +- c) / 2, where P+- moves at the rate +-2 (1 - c) - 2 lambda; steps of Heun."""
    plus = minus = sigma**2 / 2
    t = 0.0

    def away(p, m):
        return (p + m) - 3 * 2 * math.sqrt(p * m)

    while True:
        before = away(plus, minus)
        rates = []
        p, m = plus, minus
        for _ in range(2):
            pull = 2 * (1 - (p - m))
            rates.append(((pull - 2 * decay) * p, (-pull - 2 * decay) * m))
            p, m = plus + step * rates[0][0], minus + step * rates[0][1]
        plus += step * (rates[0][0] + rates[1][0]) / 2
        minus += step * (rates[0][1] + rates[1][1]) / 2
        t += step
        after = away(plus, minus)
        if before < 0 <= after:
            return t - step * after / (after - before)


def eigenvalue(size, L):
    """beta.M beta / |beta|^2 of the balanced kernel in three dimensions."""
    beta = size * np.array([0.6, 0.8, 0.0])
    M = size ** (2 - 2 / L) * (np.eye(3) + (L - 1) * np.outer(beta, beta) / size**2)
    return beta @ np.linalg.solve(M, beta), beta @ M @ beta / size**2


LEARNED = 1 - 0.98**0.5

ANSWERS = {
    "round_cosine": lambda D, L: angle(*matrices(D, (0, first(D)), (L - 1, first(D)))),
    "silent": math.sqrt(brentq(lambda s: turning(s, LEARNED) - 0.9, 1e-8, 1e-2)),
    "later_cosine": lambda sigma: later(sigma, 1 - 0.9**0.5),
    "bent": bent,
    "norm": lambda size, L: eigenvalue(size, L)[0],
    "drain": drained(),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "round_cosine": [
        lambda D, L: angle(*matrices(D, (0, first(D)), (L - 1, first(D)))) / D**0.5,
        lambda D, L: angle(*matrices(D, (0, first(D)), (L, first(D)))),
        lambda D, L: angle(*matrices(D, (0, first(D)), (L - 1, first(D)))) ** 2,
        lambda D, L: L / np.trace(matrices(D, (L - 1, first(D)))[0]),
    ],
    "silent": [
        brentq(lambda s: turning(s, LEARNED) - 0.9, 1e-8, 1e-2),
        math.sqrt(brentq(lambda s: turning(s, 0.02) - 0.9, 1e-8, 1e-2)),
        math.sqrt(brentq(lambda s: turning(s, LEARNED) ** 0.5 - 0.9, 1e-8, 1e-2)),
        math.sqrt(brentq(lambda s: turning(s, LEARNED) - 0.8, 1e-8, 1e-2)),
    ],
    "later_cosine": [
        lambda sigma: later(sigma, 0.1),
        lambda sigma: later(sigma, 1 - 0.1**0.5),
        lambda sigma: angle(np.eye(10), kernel(1.0, sigma)),
        lambda sigma: later(sigma**0.5, 1 - 0.9**0.5),
    ],
    "bent": [
        lambda v: float(np.dot(*two_directions(v))),
        lambda v: (len(v) + 2 + float(np.dot(*two_directions(v)))) / (len(v) + 3),
        lambda v: angle(*matrices(len(v), (0, first(len(v))), (1, first(len(v))))),
    ],
    "norm": [
        lambda size, L: eigenvalue(size, L)[1],
        lambda size, L: L * eigenvalue(size, L)[0],
        lambda size, L: eigenvalue(size, L)[0] / size,
    ],
    "drain": [
        2 * drained(),
        math.log(9) / 0.02,
        math.log(3 * 8**0.5) / 0.02,
        50 * math.log(2),
    ],
}
