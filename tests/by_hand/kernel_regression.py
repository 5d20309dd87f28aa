"""Exercises of ``chapters/kernel_regression.md``, worked out a second time."""

import math

from scipy.optimize import brentq


def ridge_of(spectrum, n, ridge):
    lam = spectrum.numpy()
    return brentq(lambda k: (lam / (lam + k)).sum() + ridge / k - n, 1e-12, 1e3, xtol=1e-15)


def error_of(spectrum, coefficient, n, ridge, noise):
    kappa = ridge_of(spectrum, n, ridge)
    learned = (spectrum / (spectrum + kappa)).numpy()
    missed = ((1 - learned) ** 2 * coefficient.numpy() ** 2).sum() + noise
    return missed / (1 - (learned**2).sum() / n) - noise


ANSWERS = {
    "best_size": 50.0,
    "power_law_ridge": (math.pi / 2) ** 2,
    "bisection": ridge_of,
    "learning_curve": error_of,
    "best_ridge": 25.0,
    "half_learned_shell": 1 / 1.01 + 1 / 0.11 + 54 / 2 + 0.21 / 0.011,
    "out_of_sight": 0.65,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "best_size": [75.0, 100.0],
    "power_law_ridge": [math.pi / 2, 1.0, math.pi**2],
    "bisection": [
        lambda lam, n, ridge: ridge_of(lam, n, n * ridge),
        lambda lam, n, ridge: ridge_of(lam, n, 0.0) if n < len(lam) else 0.0,
        lambda lam, n, ridge: n * ridge_of(lam, n, ridge),
    ],
    "learning_curve": [
        lambda lam, v, n, ridge, noise: error_of(lam, v, n, ridge, noise) + noise,
        lambda lam, v, n, ridge, noise: error_of(lam, v, n, ridge, 0.0),
        lambda lam, v, n, ridge, noise: error_of(lam, v, n, ridge, 0.0) + noise,
    ],
    "best_ridge": [25 / 60, 0.25, 60 * 0.25],
    "half_learned_shell": [1 / 1.01 + 0.1 / 0.11 + 1 / 2 + 0.001 / 0.011, 27.0],
    "out_of_sight": [0.55, 0.45],
}
