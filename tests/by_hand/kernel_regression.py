"""Exercises of ``chapters/kernel_regression.md``, worked out a second time."""

import math

import numpy as np
from scipy.optimize import brentq, minimize


def equal_modes(n, modes=100, noise=0.25):
    """Error of equal modes from the budget: kappa = 0 above the peak."""
    if n > modes:
        return noise * n / (n - modes) - noise
    missed = 1 - n / modes
    return (missed**2 + noise) / missed - noise


def noise_part(b):
    """1 / (1 - gamma) - 1 from integrals over all modes, at any kappa: here at one."""
    share = np.linspace(-60, 60, 400001)  # logarithm of the mode
    learned = 1 / (1 + np.exp(b * share))
    budget, squares = ((learned**p * np.exp(share)).sum() for p in (1, 2))
    return 1 / (1 - squares / budget) - 1


def refitted(K, y, ridge, own=True):
    """Leave each sample out and fit the others."""
    K, y, errors = K.numpy(), y.numpy(), []
    for i in range(len(y)):
        rest = [j for j in range(len(y)) if j != i]
        weights = np.linalg.solve(K[np.ix_(rest, rest)] + ridge * np.eye(len(rest)), y[rest])
        errors.append((y[i] - K[i, rest] @ weights) ** 2)
    return np.mean(errors)


def residuals(K, y, ridge):
    K, y = K.numpy(), y.numpy()
    return y - K @ np.linalg.solve(K + ridge * np.eye(len(y)), y)


def cross_validated(K, y, ridge):
    """Craven and Wahba: residuals over the share of freedom that is left."""
    hat = K.numpy() @ np.linalg.inv(K.numpy() + ridge * np.eye(len(y)))
    return np.mean(residuals(K, y, ridge) ** 2) / (1 - np.trace(hat) / len(y)) ** 2


def best_exponent(n=100, noise=0.1):
    k = np.arange(1, 301)

    def error(knobs):
        lam, ridge = k ** -knobs[0], math.exp(knobs[1])
        kappa = brentq(lambda x: (lam / (lam + x)).sum() + ridge / x - n, 1e-12, 1e3, xtol=1e-15)
        L = lam / (lam + kappa)
        return (((1 - L) ** 2 / k**2).sum() + noise) / (1 - (L**2).sum() / n)

    return minimize(error, [1.5, -1.0], method="Nelder-Mead", options={"fatol": 1e-12}).x[0]


def bridges(n, square):
    """Mean variance of the bridges in n gaps of mean square ``square`` / n^2, times 4n."""
    middle = np.linspace(0, 1, 10001)
    return 4 * n * n * square / n**2 * np.mean(middle * (1 - middle)) * (10001 / 10000)


ANSWERS = {
    "harm": [
        brentq(lambda n: equal_modes(n) - 1, 50, 99),
        brentq(lambda n: equal_modes(n) - 1, 101, 300),
    ],
    "tempered": noise_part,
    "left_out": refitted,
    "half_learned_shell": 1 / 1.01 + 1 / 0.11 + 54 / 2 + 0.21 / 0.011,
    "best_kernel": best_exponent(),
    "out_of_sight": 0.65,
    "on_a_line": bridges(50, 2),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "harm": [[75, 100], [50, 125], [75, brentq(lambda a: a / 4 / (a - 1) - 1, 1.01, 3) * 100]],
    "tempered": [lambda b: noise_part(b) + 1, lambda b: 0, lambda b: 1 / b, lambda b: 1 - 1 / b],
    "left_out": [
        cross_validated,
        lambda K, y, ridge: np.mean(residuals(K, y, ridge) ** 2),
        lambda K, y, ridge: refitted(K, y, 0),
        lambda K, y, ridge: refitted(K, y, len(y) * ridge),
    ],
    "half_learned_shell": [1 / 1.01 + 0.1 / 0.11 + 1 / 2 + 0.001 / 0.011, 27.0],
    "best_kernel": [1, 4],
    "out_of_sight": [0.55, 0.45],
    "on_a_line": [bridges(50, 1), 1, 1 / 3, 1 / 4, 4 * 2 / 4],
}
