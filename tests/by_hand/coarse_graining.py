"""Exercises of ``chapters/coarse_graining.md``, worked out a second time."""

from itertools import product
from math import sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom


def right(p, noise, children):
    """The chance that more than half of the children are read rightly."""
    return binom.sf(children // 2, children, p * (1 - noise) + (1 - p) * noise)


def forgets(children):
    """Noise at which one level leaves a small excess over one half as it is."""
    return brentq(lambda e: (right(0.5 + 1e-6, e, children) - 0.5) / 1e-6 - 1, 0.01, 0.45)


def end_of(noise):
    p = 1.0
    for _ in range(5000):
        p = right(p, noise, 3)
    return p


def pairs(near, far, noise, errors=4.0):
    """Trees at which two means of products are so many standard errors apart."""
    theta = 1 - 2 * noise
    means = np.array([theta**near, theta**far])
    return errors**2 * (1 - means**2).sum() / (means[0] - means[1]) ** 2


def heard_by_a_parent(share, noise):
    """Shares of the four messages one level up, from all 64 triples of messages below."""
    kinds = [(1, 3), (1, 1), (-1, 3), (-1, 1)]  # sign and weight
    heard, found = (1 - noise) * share + noise * share[[2, 3, 0, 1]], np.zeros(4)
    for trio in product(range(4), repeat=3):
        said = sum(kinds[i][0] * kinds[i][1] for i in trio)
        sure = abs(sum(kinds[i][0] for i in trio)) == 3
        found[kinds.index((1 if said > 0 else -1, 3 if sure else 1))] += heard[list(trio)].prod()
    return found


def grows(noise):
    """Factor per level of a small preference for one sign, less one."""
    share = np.full(4, 0.25)
    for _ in range(3):
        share = heard_by_a_parent(share, noise)
    tilt, size = np.array([1.0, 1.0, -1.0, -1.0]), 1.0
    for _ in range(25):
        tilt = (heard_by_a_parent(share + 1e-6 * tilt, noise) - share) / 1e-6
        tilt = (tilt - tilt[[2, 3, 0, 1]]) / 2  # of the shares' sum only rounding would grow
        size = np.abs(tilt).max()
        tilt /= size
    return size - 1


GIVES_UP = brentq(grows, 0.15, 0.21, xtol=1e-6)
ANSWERS = {
    "five": forgets(5),
    "end": end_of(0.12),
    "level": right,
    "siblings": lambda noise: pairs(2, 4, noise),
    "confidence": GIVES_UP,
    "samples": 10 * 5**4 * (11 / 10) ** 3,
    "exponent": np.log(6 / 2) / np.log((6 * 2 / 5) ** 2),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "samples": [10 * 5**4, 10 * 5**4 * 1.1**4, 10 * 5**15, 5**4 * 1.1**3],
    "exponent": [
        np.log(3) / np.log(12 / 5),
        np.log(5 / 2) / np.log(4),
        np.log(12 / 5) / np.log(9),
    ],
    "five": [forgets(3), (1 - 1 / sqrt(5)) / 2, 1 - 2 * forgets(5), (1 - 16 / 6) / 2],
    "end": [
        end_of(0.12) - 0.5,
        right(1.0, 0.12, 3),
        0.5 + sqrt((1.5 * 0.76 - 1) / 2),
        1 - 3 * 0.12**2,
    ],
    "level": [
        lambda p, noise, children: right(p, 0.0, children),
        lambda p, noise, children: right(right(p, 0.0, children), noise, 1),
        lambda p, noise, children: binom.pmf(
            children // 2 + 1, children, p * (1 - noise) + (1 - p) * noise
        ),
    ],
    "siblings": [
        lambda noise: pairs(1, 2, noise),
        lambda noise: pairs(2, 3, noise),
        lambda noise: pairs(2, 4, noise, 2.0),
        lambda noise: (
            16 * (1 - (1 - 2 * noise) ** 4) / ((1 - 2 * noise) ** 2 - (1 - 2 * noise) ** 4) ** 2
        ),
    ],
    "confidence": [
        forgets(3),
        (1 - 1 / sqrt(3)) / 2,
        1 - 2 * GIVES_UP,
        (1 - 32 / 3 / (25 / 4 + 30 / 4)) / 2,
    ],
}
