"""Exercises of ``chapters/phenomena.md``, worked out a second time."""

from itertools import product

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr


def best_direction():
    """The largest overlap of a neuron of one angle with 3 x1 + 4 x2, by search."""
    found = minimize_scalar(
        lambda a: -(3 * np.cos(a) + 4 * np.sin(a)), bounds=(0, np.pi), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    return -found.fun


def degrees():
    """All 27 hierarchies of three rules; a rule is its first part, its second, or both."""
    takes = [{0}, {1}, {0, 1}]
    for left, right, top in product(takes, takes, takes):
        leaves = set()
        if 0 in top:
            leaves ^= {("l", i) for i in left}
        if 1 in top:
            leaves ^= {("r", i) for i in right}
        yield len(leaves)


def ridgeless():
    """Samples at which least squares of least norm leave a tenth, of 298 directions at random:
    a projection on n of them."""
    n = np.arange(1, 298)
    left = 1 - n / 298
    return float(np.interp(0.1, left[::-1], n[::-1]))


def wait(m, eps=0.01):
    """dw/dt = w^m from eps to one."""
    return quad(lambda s: np.exp((1 - m) * s), np.log(eps), 0)[0]


def thresholded(correlation, thresholds):
    rows = [[c if abs(c) >= t else 0.0 for c in correlation.tolist()] for t in thresholds.tolist()]
    return torch.tensor(rows)


ANSWERS = {
    "jump": 1 / best_direction(),
    "tied": spearmanr([1, 2, 2, 3], [1, 2, 3, 4]).statistic,
    "hierarchy": np.mean([*degrees()]),
    "ceiling": ridgeless() / 40,
    "own": thresholded,
    "waits": wait(3) / wait(1),
}
MISTAKES = {
    "jump": [0.25, 1 / 3, 1 / 7],
    "tied": [1.0, (5 + 0) / 6, spearmanr([1, 2, 3, 4], [1, 3, 2, 4]).statistic],
    "hierarchy": [np.mean([1, 1, 2]), 4.0, 2 * np.mean([1, 1, 2])],
    "ceiling": [298 / 40, (298 - 0.9 * 298) / 40, 0.9 * 92 / 40],
    "own": [
        lambda c, t: torch.stack([c.sign() * torch.relu(c.abs() - x) for x in t]),
        lambda c, t: torch.stack([c * (c >= x) for x in t]),
    ],
    "waits": [wait(2) / wait(1), 2 * wait(3) / wait(1), 3.0],
}
