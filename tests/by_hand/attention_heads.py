"""Exercises of ``chapters/attention_heads.md``, worked out a second time."""

import math

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import erfc


def turned(clock, start=0.0, w=1.0):
    """Gap on the clock of a crowd, from its differential equation."""
    rate = lambda _, a: 2 * w / (1 + np.cosh(a))  # noqa: E731
    return solve_ivp(rate, (0, clock), [start], rtol=1e-10, atol=1e-12).y[0, -1]


def when_undecided():
    return brentq(lambda clock: turned(clock, -4.0), 1, 40)


GRID = np.linspace(-9, 9, 721)
DENSITY = np.exp(-(GRID**2) / 4) / np.exp(-(GRID**2) / 4).sum()


def crowd_clock(y):
    """The clock at which the mean weight of gaps on a grid is y."""

    def rate(_, a):
        return 2 / (1 + np.cosh(a))

    def learned(_, a):
        return DENSITY @ (1 / (1 + np.exp(-a))) - y

    learned.terminal = True
    return solve_ivp(rate, (0, 60), GRID, events=learned, rtol=1e-9, atol=1e-10).t[-1]


def undecided_start(clock):
    """The start of the head that is undecided now: backwards in the clock."""
    return turned(clock, 0.0, w=-1.0)


def below(gap, spread=2**0.5):
    return erfc(-gap / spread / math.sqrt(2)) / 2


def left_behind(y):
    return below(undecided_start(crowd_clock(y)))


def explicit(A, Q, M, v, *, weight=True, centre=True, key=1.0, query=1.0, sign=1.0):
    """Entry by entry."""
    e = [math.exp(a) for a in A.tolist()]
    p = [x / sum(e) for x in e]
    mean = sum(a * b for a, b in zip(p, v.tolist(), strict=True)) if centre else 0.0
    J = [(x if weight else 1.0) * (b - mean) for x, b in zip(p, v.tolist(), strict=True)]
    rows = [
        sum(query * M[s, t].item() * J[t] for t in range(len(J))) + key * Q.item() * J[s]
        for s in range(len(J))
    ]
    return sign * torch.tensor(rows, dtype=torch.float64)


def parted(gap=2.0, lengths=1.0, both=1.0):
    """N Var a by finite differences of heads on a clock: starts, then constants, of other size."""

    def run(a0, c, clock):
        rate = lambda _, a: 2 / (1 + np.cosh(a)) * np.sqrt(c + a * a / 2)  # noqa: E731
        return solve_ivp(rate, (0, clock), [a0], rtol=1e-11, atol=1e-13).y[0, -1]

    clock = brentq(lambda t: run(0.0, 1.0, t) - gap, 0.1, 10, xtol=1e-12)
    h = 1e-4
    by_start = (run(h, 1.0, clock) - run(-h, 1.0, clock)) / (2 * h)
    by_length = (run(0.0, 1 + h, clock) - run(0.0, 1 - h, clock)) / (2 * h)
    return 2 * by_start**2 + lengths * both * 4 * by_length**2


ANSWERS = {
    "alike": 2 / (4 * 0.01) ** 2,
    "mind": when_undecided(),
    "share": left_behind,
    "hand": explicit,
    "deep": 1 / (2 * 0.01 * (1 - math.exp(-1))),
    "examples": 9 * (1 + 4.0),
    "apart": parted(),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "alike": [1 / (4 * 0.01) ** 2, 2 / 0.01**2, 2 / (2 * 0.01) ** 2],
    "mind": [math.sinh(4) / 2, 2 * when_undecided(), 4 / (2 / 2)],
    "share": [
        lambda y: 1 - y,
        lambda y: below(undecided_start(crowd_clock(y)), 1.0),
        lambda y: 1 - left_behind(y),
    ],
    "hand": [
        lambda *given: explicit(*given, centre=False),
        lambda *given: explicit(*given, query=0.0),
        lambda *given: explicit(*given, key=0.0),
        lambda *given: explicit(*given, weight=False),
        lambda *given: explicit(*given, sign=-1.0),
    ],
    "deep": [1 / (2 * 0.01), math.e / (2 * 0.01), 2 / (2 * 0.01 * (1 - math.exp(-1)))],
    "examples": [9 * 4.0, 10 * 5.0, 5.0],
    "apart": [parted(lengths=0.0), 2.0, parted(lengths=0.25), parted(both=0.5)],
}
