"""Exercises of ``chapters/sgd_features.md``, worked out a second time."""

import itertools
import math

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar


def left(eta, modes=5, m=2, fourth=3.0):
    """What a step leaves of the loss of equal modes, from moments of the batch matrix."""
    square = (m - 1) / m + (fourth + modes - 1) / m  # mean diagonal of its square
    return 1 - 2 * eta + eta**2 * square


def best(**options):
    found = minimize_scalar(lambda eta: left(eta, **options), bounds=(0, 2), method="bounded")
    return [found.x, found.fun]


def matrix(lam, eta, m, own=1.0):
    """One step of <(w - w*)^2>, mode by mode."""
    return np.diag((1 - eta * lam) ** 2) + eta**2 / m * (own * np.diag(lam**2) + np.outer(lam, lam))


def level(lam, eta, m, s2, own=1.0):
    lam = lam.numpy()
    kick = eta**2 * s2 / m * lam
    return lam @ np.linalg.solve(np.eye(len(lam)) - matrix(lam, eta, m, own), kick)


def per_unit(lam, eta, m, s2):
    """What the noise of the labels makes without that of the loss."""
    lam = lam.numpy()
    alone = np.diag(matrix(lam, eta, m) - eta**2 / m * np.outer(lam, lam))
    return lam @ (eta**2 * s2 / m * lam / (1 - alone))


def spread(replacement, N=10, B=5):
    """Variance of the mean of B of the numbers 0 ... N - 1, from all choices."""
    if replacement:
        return np.var(range(N)) / B
    return np.var([np.mean(chosen) for chosen in itertools.combinations(range(N), B)])


def scheduled(lam, w, steps, m, s2, own=1.0, coupled=True):
    lam, c = lam.numpy(), w.numpy() ** 2
    for eta in steps.tolist():
        M = matrix(lam, eta, m, own)
        if not coupled:
            M = np.diag(np.diag(M))
        c = M @ c + eta**2 * s2 / m * lam
    return lam @ c


def after(m, budget, s2, eta=0.5):
    k = np.arange(1, 101)
    lam, power = k**-1.5, k**-2.0 / (k**-2.0).sum()
    values, vectors = np.linalg.eigh(matrix(lam, eta, m))
    fixed = np.linalg.solve(np.eye(100) - matrix(lam, eta, m), eta**2 * s2 / m * lam)
    gap = vectors.T @ (power / lam - fixed)
    return lam @ (vectors @ (values ** (budget // m) * gap) + fixed)


def batches(s2):
    return [int(np.argmin([after(m, C, s2) for m in range(1, 61)])) + 1 for C in (400, 1600, 6400)]


def growth(eta):
    """Mean logarithm of |1 - eta z^2|."""
    edge = eta**-0.5

    def integrand(z):
        return math.log(abs(1 - eta * z * z)) * math.exp(-z * z / 2) * math.sqrt(2 / math.pi)

    return quad(integrand, 0, edge, limit=400)[0] + quad(integrand, edge, 12, limit=400)[0]


NOISY = batches(0.1)
ANSWERS = {
    "tuned": best(),
    "level": level,
    "kinder": spread(False) / spread(True),
    "annealed": scheduled,
    "patience": NOISY,
    "typical": brentq(growth, 1.5, 3.5),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "tuned": [best(fourth=2.0), [brentq(lambda e: left(e) - 1, 0.1, 2), 1], best(modes=1)],
    "level": [
        per_unit,
        lambda lam, eta, m, s2: eta * s2 * lam.numpy().sum() / (2 * m),
        lambda lam, eta, m, s2: level(lam, eta, m, s2, own=0.0),
    ],
    "kinder": [1 - 5 / 10, spread(False) / np.var(range(10))],
    "annealed": [
        lambda *given: scheduled(*given, coupled=False),
        lambda *given: scheduled(*given, own=0.0),
        lambda lam, w, steps, m, s2: scheduled(lam, w, steps, m, 0.0),
        lambda lam, w, steps, m, s2: scheduled(lam, w, steps, m, s2) + s2,
    ],
    "patience": [batches(0.0), [NOISY[0] * 4**k for k in range(3)]],
    "typical": [2 / 3, 2.0, math.exp(math.log(2) + 0.5772156649)],
}
