"""Exercises of ``chapters/tower.md``, worked out a second time."""

import itertools
import math

import numpy as np
import torch
from scipy.integrate import quad, solve_ivp


def current(readout, signal, residual, *, squared=True, hidden=1.0, flow=1.0):
    """Level by level, as the law reads."""
    length = [
        sum(float(m) ** 2 for m in row) + hidden * float(residual[j, j])
        for j, row in enumerate(signal)
    ]
    length.append(0.0)
    own = [float(a) ** 2 if squared else float(a) for a in readout]
    return torch.tensor([length[j] - own[j] - flow * length[j + 1] for j in range(len(own))])


def pair(d, epsilon):
    """Until the overlap is a million times its start, then as 1/mu^2."""
    low, high = math.log(epsilon / math.sqrt(d)), math.log(epsilon / math.sqrt(d)) + 20
    late = 1 / math.exp(high)
    return late + quad(lambda x: 1 / math.hypot(epsilon, math.exp(x)), low, high, limit=200)[0]


def leap(d, epsilon):
    """Until five overlaps have run away, each pulled by the readout and the four others."""

    def away(_, mu):
        return mu[0] - 1e4 * start

    away.terminal = True
    start = epsilon / math.sqrt(d)
    found = solve_ivp(
        lambda _, mu: epsilon * mu**4, (0, 1e7), [start], events=away, rtol=1e-9, atol=1e-15
    )
    return float(found.t[-1])


def far(d):
    """Residual and overlap in their units of large d, the latter until it has run away."""

    def away(_, y):
        return y[1] - 1e5

    away.terminal = True
    found = solve_ivp(
        lambda _, y: [-2 * y[0] ** 4, y[0] * y[1] ** 2],
        (0, 10), [50.0, 1.0], method="LSODA", events=away, rtol=1e-9, atol=1e-12,
    )  # fmt: skip
    return float(found.t[-1]) * d**0.75


def spent(m):
    """Exponent of time times batch over step, where time times temperature is the same."""
    wait = {d: 1 / ((m - 2) * (1 / math.sqrt(d)) ** (m - 2)) for d in (1e8, 1e10)}
    used = [time * d / (0.1 / time) for d, time in wait.items()]
    return math.log10(used[1] / used[0]) / 2


def shell(p, d):
    """Sum over all choices of four coordinates, for signs whose product has the sum p."""
    p, d = int(p), int(d)
    z = [1] * ((d + p) // 2) + [-1] * ((d - p) // 2)
    return float(sum(math.prod(four) for four in itertools.combinations(z, 4)))


def top(first, second):
    """Half-time of the third rung, from eighteen equations with sixty-four normal nodes."""
    node, share = np.polynomial.hermite_e.hermegauss(4)
    grid = np.array(list(itertools.product([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0], *[node] * 3)))
    weight = np.array([math.prod(w) for w in itertools.product(*[share / share.sum()] * 3)])
    weight = np.tile(weight, 8) / 8
    s, xi = grid[:, :3], grid[:, 3:]
    goal = first * s[:, 0] + second * s[:, 0] * s[:, 1] + s.prod(1)

    def fields(y):  # features in six dimensions: three of signal, three of residual
        a, w = y[:3], y[3:].reshape(3, 6)
        return a, w, np.hstack([s, xi]) @ w.T

    def rate(_, y):
        a, _, h = fields(y)
        one, two, three = h[:, 0], h[:, 0] * h[:, 1], h.prod(1)
        e = weight * (a[0] * one + a[1] * two + a[2] * three - goal)
        pulls = [
            a[0] + a[1] * h[:, 1] + a[2] * h[:, 1] * h[:, 2],
            a[1] * h[:, 0] + a[2] * h[:, 0] * h[:, 2],
            a[2] * h[:, 0] * h[:, 1],
        ]
        dw = [-(e * pull) @ np.hstack([s, xi]) for pull in pulls]
        return np.concatenate([[-e @ one, -e @ two, -e @ three], *dw])

    def learned(_, y):
        a, _, h = fields(y)
        f = a[0] * h[:, 0] + a[1] * h[:, 0] * h[:, 1] + a[2] * h.prod(1)
        return weight @ (f * s.prod(1)) - 0.5

    learned.terminal = True
    w = np.hstack([0.03 * np.eye(3), (0.09 - 0.0009) ** 0.5 * np.eye(3)])
    start = np.concatenate([[0, 0, 0.3], w.ravel()])
    return float(solve_ivp(rate, (0, 200), start, events=learned, rtol=1e-7, atol=1e-9).t[-1])


ANSWERS = {
    "count": 30,
    "current": current,
    "pair": pair,
    "leap": leap(64, 0.2),
    "far": far,
    "shell": shell,
    "middle": top(1, 0),
    "inputs": spent,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "count": [36, 24, 26],
    "current": [
        lambda readout, signal, residual: current(readout, signal, residual, hidden=0.0),
        lambda readout, signal, residual: current(readout, signal, residual, flow=0.0),
        lambda readout, signal, residual: current(readout, signal, residual) + 2 * readout**2,
        lambda readout, signal, residual: current(readout, signal, residual, squared=False),
    ],
    "pair": [
        lambda d, epsilon: (math.log(d) / 2 - math.log(epsilon)) / epsilon,
        lambda d, epsilon: math.log(d) / 2 / epsilon,
        lambda d, epsilon: math.log(4 * d) / (2 * epsilon),
        lambda d, epsilon: (math.sqrt(1 + d) - 1) / epsilon**2,
    ],
    "leap": [320_000, 40_000 / 3, 64_000 / 3],
    "far": [
        lambda d: d**0.5,
        lambda d: far(d) / math.sqrt(6),
        lambda d: far(d) * 1.5**1.5,
    ],
    "shell": [
        lambda p, d: p**4 / 24,
        lambda p, d: 24 * shell(p, d),
        lambda p, d: shell(p, d) - p**2 / 3,
    ],
    "middle": [top(1, 1), top(0, 1), top(0, 0)],
    "inputs": [lambda m: m / 2 - 1, lambda m: m, lambda m: m / 2, lambda m: 2 * (m / 2 - 1)],
}
