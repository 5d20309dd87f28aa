"""Exercises of ``chapters/population_codes.md``, worked out a second time."""

import numpy as np
from scipy.optimize import brentq, minimize_scalar


def coefficient(m, c=4.0, peak=True):
    """The Fourier coefficient by the trapezoidal rule, which is exact here to all digits."""
    u = np.arange(256) * 2 * np.pi / 256
    return np.mean(np.exp(c * (np.cos(u) - peak)) * np.cos(m * u))


def share(c, m):
    """Of a Gaussian bump on the line: its power at one frequency over all of it."""
    u = np.linspace(-40, 40, 20001) / np.sqrt(c)
    g = np.exp(-c * u**2 / 2)
    step = u[1] - u[0]
    return (np.sum(g * np.cos(m * u)) * step) ** 2 / (np.sum(g**2) * step)


def best(m, normalised=True):
    """The concentration with the largest share, or the largest eigenvalue."""

    def minus_log(x):
        c = np.exp(x)
        power = np.sqrt(np.pi / c) if not normalised else 1.0
        return -np.log(share(c, m) * power)

    guess = np.log(2 * m**2)
    found = minimize_scalar(minus_log, bounds=(guess - 3, guess + 2), method="bounded")
    return np.exp(found.x)


def blind(modes=100, n=60):
    """The large-size limit of min-norm regression on pure noise of unit power."""
    missed = 1 - n / modes
    return 1 / missed


def projected(r, f):
    """Cumulative power from an explicit Gram matrix, one eigenvector after the other."""
    r, f = r.numpy(), f.numpy()
    values, vectors = np.linalg.eigh(r @ r.T)
    order = sorted(range(len(f)), key=lambda k: -values[k])
    parts = np.array([np.dot(vectors[:, k], f) ** 2 for k in order])
    return parts


def error(c, n, noise=0.1, angles=360):
    """Learning curve of the square wave: waves in pairs, from a root finder."""
    x = np.arange(angles) * 2 * np.pi / angles
    lam = np.abs(np.fft.fft(np.exp(c * (np.cos(x) - 1)))) ** 2 / angles**2
    power = np.abs(np.fft.fft(np.sign(np.cos(x + np.pi / angles)))) ** 2 / angles**2
    ridge = 0.1 * lam.sum()
    kappa = brentq(lambda k: (lam / (lam + k)).sum() + ridge / k - n, 1e-12, 10.0, xtol=1e-15)
    L = lam / (lam + kappa)
    return ((1 - L) ** 2 @ power + noise) / (1 - (L**2).sum() / n) - noise


def overtaken():
    return next(n for n in range(1, 200) if error(16.0, n) < error(4.0, n))


def rayleigh():
    """Mean of the root of half the sum of two squared normal numbers, by quadrature."""
    a = np.linspace(0, 12, 200001)
    weight = a * np.exp(-(a**2) / 2)
    return np.sum(a * weight) / np.sum(weight) / np.sqrt(2)


OVERTAKEN = overtaken()

ANSWERS = {
    "bessel": [coefficient(m) ** 2 for m in range(3)],
    "tuned": best,
    "blind": blind(),
    "cumulative": lambda r, f: np.cumsum(projected(r, f)) / np.sum(projected(r, f)),
    "overtake": OVERTAKEN,
    "cheap": rayleigh(),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "bessel": [
        [coefficient(m) for m in range(3)],
        [coefficient(m, peak=False) ** 2 for m in range(3)],
        [coefficient(m) ** 2 * (2 if m else 1) for m in range(3)],
    ],
    "tuned": [
        lambda m: best(m, normalised=False),
        lambda m: best(m) ** -0.5,
        lambda m: 2 * m,
    ],
    "blind": [1, blind() - 1, 0.4],
    "cumulative": [
        lambda r, f: np.cumsum(projected(r, f)[::-1]) / projected(r, f).sum(),
        lambda r, f: np.cumsum(projected(r, f) ** 0.5) / (projected(r, f) ** 0.5).sum(),
        lambda r, f: projected(r, f) / projected(r, f).sum(),
        lambda r, f: np.cumsum(projected(r, f)),
    ],
    "overtake": [OVERTAKEN - 1],
    "cheap": [1, np.sqrt(2 / np.pi), np.sqrt(np.pi / 2)],
}
