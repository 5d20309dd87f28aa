"""Exercises of ``chapters/lattice.md``, worked out a second time."""

import math
from itertools import combinations, permutations

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq


def grown(rate_before, rate_after, meets=1.25):
    """Time at which a height that begins at 1 is one, with another rate from ``meets`` on."""
    return meets + (1 - rate_before * (meets - 1)) / rate_after


def plain(m):
    """Time of equal edges over that of one path: both layers by layer, with norm one."""
    edges = [sum(1 for S in combinations(range(m), k) for _ in S) for k in range(1, m + 1)]
    paths = len(list(permutations(range(m))))
    return 1 / (paths * math.prod(n**-0.5 for n in edges))


def loss(a, u, beta):
    top = u[1] * u[2] + u[0] * u[3]
    c = torch.stack([a[0] * u[0], a[1] * u[1], a[2] * top])
    return 0.5 * (beta - c).square().sum()


def downhill(a, u, beta):
    leaf = u.clone().requires_grad_()
    return -torch.autograd.grad(loss(a, leaf, beta), leaf)[0]


def own(a, u, beta):
    """As if the pair above did not pull the edges below it."""
    found = downhill(a, u, beta)
    single = a[:2] * (beta[:2] - a[:2] * u[:2])
    return torch.cat([single, found[2:]])


def swapped(a, u, beta):
    found = downhill(a, u, beta)
    return torch.stack([found[0], found[1], found[3], found[2]])


# symmetric rungs: p^2 = 1 + q / 4 and q^2 = 2 p
P = brentq(lambda p: p**2 - 1 - math.sqrt(2 * p) / 4, 1, 2, xtol=1e-14)
Q = math.sqrt(2 * P)
CHAIN = math.sqrt(brentq(lambda u: u**4 - 1 - u, 1, 2, xtol=1e-14))  # P_2 of two rungs

SETS = [S for k in (1, 2, 3) for S in combinations((1, 2, 3), k)]
WAYS = [(S, i) for S in SETS for i in S]


def wait(*lessons):
    """Half-time of x_1 x_2 x_3 from edges of 0.05, set by set."""
    beta = np.array([float(S in (*lessons, (1, 2, 3))) for S in SETS])
    down = [(SETS.index(tuple(j for j in S if j != i)) if len(S) > 1 else 7) for S, i in WAYS]
    into = [SETS.index(S) for S, _ in WAYS]

    def products(u):
        found = np.zeros(8)
        found[7] = 1.0
        for w, low, high in zip(u, down, into, strict=True):  # small sets come first
            found[high] += w * found[low]
        return found

    def rate(_, y):
        a, u = y[:7], y[7:]
        signal = products(u)
        r = beta - a * signal[:7]
        pull = np.append(a * r, 0.0)
        for w, low, high in reversed(list(zip(u, down, into, strict=True))):
            pull[low] += w * pull[high]
        return np.concatenate([r * signal[:7], pull[into] * signal[down]])

    def learned(_, y):
        return y[6] * products(y[7:])[6] - 0.5

    learned.terminal = True
    start = np.concatenate([np.zeros(7), np.full(12, 0.05)])
    return solve_ivp(
        rate, (0, 1e5), start, events=learned, method="LSODA", rtol=1e-9, atol=1e-14
    ).t[-1]


ANSWERS = {
    "quadrature": grown(0.5, 0.5 * math.sqrt(1 + 0.8)),
    "split": plain(5),
    "back": downhill,
    "exponents": torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64),
    "merged": math.sqrt(Q),
    "lessons": wait((1,), (1, 2)),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "quadrature": [
        1 + 1 / 0.5,
        1.25 + 1 / (0.5 * math.sqrt(1.8)),
        grown(0.5, 0.5 * (1 + math.sqrt(0.8))),
        grown(0.5, 0.5 * math.hypot(1, 0.8)),
    ],
    "split": [plain(5) ** 2, 1 / plain(5), plain(4), 1 / 120],
    "back": [lambda a, u, beta: -downhill(a, u, beta), own, swapped],
    "exponents": [
        torch.tensor(x, dtype=torch.float64) for x in ([0.0, 1, 0], [3.0, 2, 1], [3.0, 3, 3])
    ],
    "merged": [math.sqrt(math.sqrt(2)), CHAIN, math.sqrt(P), Q],
    "lessons": [
        wait(),
        wait((1,)),
        wait((1,), (2,)),
        wait((1, 2), (1, 3)),
        wait(*SETS[:-1]),
        wait((1,), (2, 3)),
    ],
}
