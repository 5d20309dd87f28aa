"""Exercises of ``chapters/oscillator.md``, worked out a second time."""

import math

import numpy as np


def nesterov(hc, b):
    """The larger root of z^2 - (1 + b)(1 - hc) z + b (1 - hc), from y = x + b (x - before)."""
    return max(abs(np.roots([1, -(1 + b) * (1 - hc), b * (1 - hc)])))


def largest(kappa, share=1.0):
    """Largest position of the mode ``share`` of the stiffest, by rolling the tuned ball."""
    r = math.sqrt(kappa)
    hc, b = share * 4 / (1 + 1 / r) ** 2, ((r - 1) / (r + 1)) ** 2
    x, v, top = 1.0, 0.0, 1.0
    for _ in range(int(2 * r)):
        v = b * v - hc * x
        x += v
        top = max(top, abs(x))
    return top


def stable_until(grows, low, high):
    """Where ``grows`` turns true, by bisection."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return high


def late(hc, b):
    """Whether a ball that hears of the force one step late is lost."""
    return max(abs(np.roots([1, -1 - b, b + hc]))) > 1


def average(h, c, b, noise):
    """T times the variance of the average: the squared sum of the impulse response."""
    x, v, total = 0.0, h, 0.0
    for _ in range(5000):
        x += v
        total += x
        v = b * v - h * c * x
    return noise * total**2


def longest_cycle(b, mu):
    """Bisect the length, with the threshold of every curvature from the roots' polynomial."""
    hc = np.geomspace(1e-4, 4, 20_001)

    def all_hold(length):
        z = np.exp(1j * np.pi / length)
        return (2 * abs(z - (1 + b - hc) + b / z) / hc).min() > mu

    return stable_until(all_hold, 1.01, 400)


def orbit_escapes(hc, b):
    """Whether the map of period two, linearised numerically at its orbit, expands."""
    a = math.sqrt(1 - 2 * (1 + b) / hc)  # q = -c

    def two(x, before):
        for _ in range(2):
            x, before = (1 + b) * x - b * before - hc * (x - x**3), x
        return np.array([x, before])

    d = 1e-6
    grown = [(two(a + i, -a + j) - two(a - i, -a - j)) / (2 * d) for i, j in ((d, 0), (0, d))]
    return max(abs(np.linalg.eigvals(np.array(grown).T))) > 1 + 1e-6


def survival(b):
    return stable_until(lambda hc: orbit_escapes(hc, b), 2.05 * (1 + b), 3.9 * (1 + b))


def cycle(kappa, n):
    """Worst mode on a fine grid, with the steps that are the inverse roots of the polynomial."""
    roots = np.cos((2 * np.arange(n) + 1) * np.pi / (2 * n))
    curvature = np.linspace(1, kappa, 20001)
    steps = 1 / ((kappa + 1) / 2 + (kappa - 1) / 2 * roots)
    return np.abs(np.prod(1 - np.outer(steps, curvature), axis=0)).max() ** (1 / n)


ANSWERS = {
    "peak": largest(1e8) / 1e4,
    "stale": lambda c, b: stable_until(lambda hc: late(hc, b), 0, 4) / c,
    "average": average,
    "tempo": longest_cycle,
    "sextic_shift": lambda strength: 5 / 16 * strength,
    "nesterov_rate": nesterov,
    "survival": survival,
    "ridge": 1 / 360,  # condition number 361, of which one is the ridge itself
    "cycle": cycle,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "peak": [math.exp(-1) / 2, 1.0, 0.0, 2 / math.e],
    "stale": [
        lambda c, b: 2 / c * (1 + b),
        lambda c, b: 1 / c,
        lambda c, b: ((1 + b) ** 2 / 4 - b) / c,
    ],
    "average": [
        lambda h, c, b, noise: h * noise * (1 + b) / (c * (1 - b) * (2 + 2 * b - h * c)),
        lambda h, c, b, noise: noise * (h / c) ** 2,
        lambda h, c, b, noise: noise / c**2 / (1 - b) ** 2,
    ],
    "tempo": [
        lambda b, mu: 2 * longest_cycle(b, mu),
        lambda b, mu: 2 * math.pi / longest_cycle(b, mu),
        lambda b, mu: math.pi / (1 - b) / math.sqrt(4 / mu**2 - 1),
        lambda b, mu: math.pi / 2 / math.atan2(2 * (1 - b), (1 + b) * mu),
        lambda b, mu: math.pi / 2 * mu / (1 - b),
        lambda b, mu: longest_cycle(b, 2 * mu),
    ],
    "sextic_shift": [
        lambda strength: 5 / 8 * strength,
        lambda strength: 3 / 8 * strength,
        lambda strength: 5 / 32 * strength,
    ],
    "nesterov_rate": [
        lambda hc, b: max(abs(np.roots([1, hc - 1 - b, b]))),
        lambda hc, b: abs(1 - hc),
    ],
    "survival": [
        lambda b: 2 * (1 + b),
        lambda b: 3,
        lambda b: 4 + 4 * b,  # c + 2 q a^2 = 0
    ],
    "ridge": [1 / 18, 361.0, 1 / 361],
    "cycle": [
        lambda kappa, n: (kappa - 1) / (kappa + 1),
        lambda kappa, n: math.tanh(math.log(kappa) / 4),
        lambda kappa, n: cycle(kappa, n) ** n,
    ],
}
