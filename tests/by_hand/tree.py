"""Exercises of ``chapters/tree.md``, worked out a second time."""

import math

import torch
from scipy.integrate import quad
from scipy.optimize import brentq


def way_to(second):
    """First weight after rungs of strengths 1 and ``second``: u^4 = 1 + second u."""
    return brentq(lambda u: u**4 - 1 - second * u, 1, 3, xtol=1e-14)


def last_product(rungs):
    """By shooting from the end of the path, y_{j+1} = y_j^2 / (1 + y_{j-1}), until y_D = 1."""

    def falls_short(tip):
        before, now = 0.0, tip
        for _ in range(rungs):
            before, now = now, now**2 / (1 + before)
            if now < 1:
                return True
        return False

    low, high = 1.0, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falls_short(middle) else (low, middle)
    return math.sqrt(low)


def path_pull(a, u, beta):
    """-d loss / d u of a single path, as autograd finds it."""
    leaf = u.clone().requires_grad_()
    loss = 0.5 * (beta - a * leaf.cumprod(0)).square().sum()
    return -torch.autograd.grad(loss, leaf)[0]


def alone_until(end):
    return quad(lambda w: 1 / (w**3 * (1 - w**4)), 0.05, end, epsabs=1e-10, limit=200)[0]


ANSWERS = {
    "wider": way_to(2),
    "alone": alone_until(2**-0.25),
    "backward": path_pull,
    "friction": lambda start, decay, t: start / math.exp(decay * t) ** 2,
    "sibling": 2 + 1 / way_to(1),
    "tip": last_product(300),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "wider": [1.0, math.sqrt(2 * way_to(2)), way_to(1)],
    "alone": [0.5 / 0.05**2, 1 / 0.05, alone_until(0.5)],
    "backward": [
        lambda a, u, beta: -path_pull(a, u, beta),
        lambda a, u, beta: (
            (beta - a * u.cumprod(0)) * a * torch.cat([torch.ones(1), u[:-1].cumprod(0)])
        ),
    ],
    "friction": [
        lambda start, decay, t: start / math.exp(decay * t),
        lambda start, decay, t: start,
    ],
    "sibling": [3.0, 2 + 2 / way_to(1), 2 + way_to(1) ** -0.5],
    "tip": [last_product(300) ** 2, last_product(10)],
}
