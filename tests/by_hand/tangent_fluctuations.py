"""The exercises of ``chapters/tangent_fluctuations.md``, worked out once more."""

import math

import numpy as np
from scipy.integrate import solve_ivp


def relu_moments(depth):
    """A and B of layer ``depth``, layer by layer, averages over half a normal variable."""
    A = B = D = V = 0.0
    for T in range(1, int(depth)):
        power, fourth, slope = 1 / 2, 3 / 2, 1 / 2
        omega2 = 4 * fourth + 2 * 2 * 2 * T * power + 4 * T**2 * slope
        omega = 2 * power + 2 * T * slope
        both = 2 * fourth + 2 * T * power
        # d omega / dK = 2 * 1/2 and chi = 1
        A = omega2 - omega**2 + V + 2 * D + A
        B = 4 * slope * T**2 + B
        D = 2 * (both - power * omega) + V + D
        V = 4 * (fourth - power**2) + V
    return A, B


def sine(layers=6, start=0.8, first=1):
    """Tangent kernel by the product; <sin^2> is (1 - exp(-2K)) / 2."""
    K, left = start, 1.0
    for layer in range(1, layers + 1):
        left *= 1 - K if layer >= first else 1.0
        K = (1 - math.exp(-2 * K)) / 2
    return 1 - left


def signal(layers=6, K=0.8):
    for _ in range(layers - 1):
        K = (1 - math.exp(-2 * K)) / 2
    return K


def pace(label):
    """By bisection of y^2 - 1 = (1 + y^2) / 2 * p / (2 - p)."""
    low, high = 0.0, 2.0 - 1e-12
    for _ in range(80):
        p = (low + high) / 2
        if (1 + label**2) / 2 * p / (2 - p) < label**2 - 1:
            low = p
        else:
            high = p
    return low


def flown(H, z, y, n):
    """Two vectors that flow until a . b / sqrt(n) is y."""
    along, across = (math.sqrt(n * H / 2 + side * z * math.sqrt(n)) for side in (1, -1))
    a = np.array([along, across]) / math.sqrt(2)
    b = np.array([along, -across]) / math.sqrt(2)

    def move(_, w):
        return np.concatenate([w[2:], w[:2]]) / math.sqrt(n) * np.sign(y - z)

    def reached(_, w):
        return w[:2] @ w[2:] / math.sqrt(n) - y

    reached.terminal = True
    end = solve_ivp(move, (0, 1e3), np.concatenate([a, b]), events=reached, rtol=1e-10, atol=1e-12)
    return (end.y[:, -1] ** 2).sum() / n


def gelu_power(low=4000):
    """Depth exponent of a tangent kernel whose logarithm sums a walk of the kernel."""
    walk = np.arange(1, 2 * low + 1)
    spread = [(np.minimum.outer(walk[:d:8], walk[:d:8]) * 64.0).sum() for d in (low, 2 * low)]
    return math.log(spread[1] / spread[0]) / math.log(2)


def nested(depth, gain=1.0, rate=2.0):
    """Sum over layers of means of nested products, from mu_k = 1/2 + mu_(k-1) with gates."""
    total = 0.0
    for count in range(int(depth)):
        mu = [(k + 1) / 2 for k in range(count)]
        for k in range(count):
            for other in range(count):
                total += rate * 2 * gain * mu[min(k, other)]
    return 2 * total


ANSWERS = {
    "scatter": lambda L: relu_moments(L)[0] + 2 * relu_moments(L)[1],
    "sine": sine(),
    "pace": pace,
    "two": flown,
    "gelu": gelu_power(),
    "curvature": nested,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "scatter": [
        lambda L: relu_moments(L)[0],
        lambda L: sum(relu_moments(L)),
        lambda L: sum(4 * T**2 for T in range(1, int(L))),
    ],
    "sine": [1.0, sine(first=2), signal()],
    "pace": [
        lambda y: 2 * (y**2 - 1) / (y**2 + 1),
        lambda y: 2 / (1 + (y**2 + 1) / (y**2 - 1)),
        lambda y: 4 * (y**2 - 1) / (y**2 + 1),
    ],
    "two": [
        lambda H, z, y, n: H + 2 * (y**2 - z**2) / (n * H),
        lambda H, z, y, n: (H**2 + 4 * y**2 / n) ** 0.5,
        lambda H, z, y, n: (H**2 + 2 * (y**2 - z**2) / n) ** 0.5,
    ],
    "gelu": [1, 2],
    "curvature": [
        lambda L: nested(L, rate=1.0),
        lambda L: L * (L - 1) * (L * L - L + 1) / 3,
        lambda L: 2 * sum(sum(2 * (k + 1) for k in range(N)) for N in range(int(L))),
    ],
}
