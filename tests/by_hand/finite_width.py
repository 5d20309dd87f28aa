"""Exercises of ``chapters/finite_width.md``, worked out a second time."""

import math

import numpy as np

NODE, WEIGHT = np.polynomial.hermite_e.hermegauss(150)
SHARE = WEIGHT / math.sqrt(2 * math.pi)


def chaotic(weight=2.0):
    """Fresh fluctuation over K^2, chi_par and chi_perp of tanh where its kernel rests."""
    K = 1.0
    for _ in range(300):
        K = weight * SHARE @ np.tanh(math.sqrt(K) * NODE) ** 2
    z = math.sqrt(K) * NODE
    square, slope = np.tanh(z) ** 2, np.cosh(z) ** -2
    fresh = weight**2 * (SHARE @ square**2 - (SHARE @ square) ** 2) / K**2
    return fresh, weight * SHARE @ (z * np.tanh(z) * slope) / K, weight * SHARE @ slope**2


FRESH, ALONG, ACROSS = chaotic()


def summed(ratio, terms=5000):
    return FRESH * sum(ratio**k for k in range(terms))


def silent_units(on, mean=1.0):
    """<y^2> / <y>^2 - 1 of y = g^2, multiplied by a factor that is 0 or one over ``on``."""
    fourth, second = SHARE @ NODE**4, SHARE @ NODE**2
    return fourth * on / on**2 / second**2 - mean


def chi_square_moment(n, power):
    """E[(chi^2_n / n)^power], by the gamma function."""
    return math.exp(math.lgamma(n / 2 + power) - math.lgamma(n / 2)) * (2 / n) ** power


def kurtosis_of(widths):
    """Excess over three of a unit after linear layers of these widths."""
    return 3 * (math.prod(chi_square_moment(n, 2) for n in widths) - 1)


def strongest(x, M):
    """ln of the largest of M log-normal metrics of mean one and variance x of the logarithm."""
    return -x / 2 + math.sqrt(x) * math.sqrt(2 * math.log(M))


def residual_layers(c, n, depth=200000):
    """E[G^2] of linear layers with skip^2 = 1 - c / depth, multiplied up, as an excess of three."""
    skip = 1 - c / depth
    factor = skip**2 + 2 * skip * (1 - skip) * (1 + 2 / n) + (1 - skip) ** 2 * (1 + 2 / n)
    return 3 * (factor**depth - 1)


def readings(x):
    """ln(2 pi e x) / 2 less the entropy of the logarithm of a ratio of two squares, on a grid."""
    y = np.linspace(-120, 120, 240001)
    density = 0.5 / math.pi / np.cosh(y / 2)
    noise = -(density * np.log(density)).sum() * (y[1] - y[0])
    return 0.5 * math.log(2 * math.pi * math.e * x) - noise


ANSWERS = {
    "dropout": lambda keep: silent_units(keep / 2),
    "sixth": lambda n, L: 15 * chi_square_moment(n, 3) ** L,
    "bottleneck": lambda n, b, L: kurtosis_of([n] * (L - 1) + [b]),
    "saturated": summed(ALONG**2),
    "moments": lambda m, M: (math.sqrt(2 * math.log(M)) / m) ** 2,
    "frozen": lambda x, M: strongest(x, M) - math.log(M),
    "skipping": residual_layers,
    "logarithm": readings,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "dropout": [
        silent_units,
        lambda keep: silent_units(0.5) / keep,
        lambda keep: (silent_units(keep / 2) + 1) / keep**2 - 1,
    ],
    "sixth": [
        lambda n, L: chi_square_moment(n, 3) ** L,
        lambda n, L: 15 * chi_square_moment(n, 2) ** (3 * L),
        lambda n, L: 15 * math.exp(3 * 2 * L / n),
    ],
    "bottleneck": [
        lambda n, b, L: 3 * 2 * ((L - 1) / n + 1 / b),
        lambda n, b, L: kurtosis_of([n] * L + [b]),
        lambda n, b, L: 3 * ((1 + 2 / ((n * (L - 1) + b) / L)) ** L - 1),
    ],
    "saturated": [summed(ALONG), FRESH, FRESH / (1 - ACROSS**2)],
    "moments": [
        lambda m, M: 2 * math.log(M) / m,
        lambda m, M: math.log(M) / m**2,
        lambda m, M: math.sqrt(2 * math.log(M)) / m,
    ],
    "frozen": [
        strongest,
        lambda x, M: -x / 2,
        lambda x, M: strongest(x, M) - math.log(M) + x / 2,
    ],
    "skipping": [
        lambda c, n: 3 * math.expm1(2 * c / n),
        lambda c, n: 12 * c / n,
        lambda c, n: residual_layers(c, n) / 3,
    ],
    "logarithm": [
        lambda x: 0.5 * math.log(x / math.pi**2),
        lambda x: 0.5 * math.log(2 * math.pi * math.e * x),
        lambda x: readings(x) + math.log(2),
    ],
}
