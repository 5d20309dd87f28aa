"""Exercises of ``chapters/tree.md``, worked out a second time."""

import math

import numpy as np
import torch
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq


def way_to(second):
    """First weight after rungs of strengths 1 and ``second``: u^4 = 1 + second u."""
    return brentq(lambda u: u**4 - 1 - second * u, 1, 3, xtol=1e-14)


def fourth(*beta):
    """Half-time of the last rung of four, from the equations of a path in logarithms."""
    beta = np.array(beta, float)
    a = np.where(beta, 0.01, 0.0)
    u = np.sqrt(np.cumsum(a[::-1] ** 2)[::-1])

    def rate(_, y):
        a, u = y[:4], np.exp(y[4:])
        P = np.cumprod(u)
        left = (beta - a * P) * a * P
        return np.concatenate([(beta - a * P) * P, np.cumsum(left[::-1])[::-1] / u**2])

    def learned(_, y):
        return y[3] * np.exp(y[4:].sum()) - beta[3] / 2

    learned.terminal = True
    start = np.concatenate([a, np.log(u)])
    return solve_ivp(
        rate, (0, 1e6), start, events=learned, method="LSODA", rtol=1e-9, atol=1e-12
    ).t[-1]


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
    "lesson": fourth(0, 1, 0, 1),
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
        lambda start, decay, t: start / math.exp(-decay * t) ** 2,
    ],
    "sibling": [3.0, 2 + 2 / way_to(1), 2 + way_to(1) ** -0.5, 1 + 1 / way_to(1)],
    "lesson": [
        fourth(0, 0, 0, 1),
        fourth(1, 0, 0, 1),
        fourth(0, 0, 1, 1),
        fourth(1, 1, 1, 1),
        2 / 0.01,
    ],
}
