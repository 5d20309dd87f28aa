"""Exercises of ``chapters/oscillator.md``, worked out a second time."""

import math

import numpy as np


def nesterov(hc, b):
    """The larger root of z^2 - (1 + b)(1 - hc) z + b (1 - hc), from y = x + b (x - before)."""
    return max(abs(np.roots([1, -(1 + b) * (1 - hc), b * (1 - hc)])))


ANSWERS = {
    "critical_momentum": lambda hc: (1 - math.sqrt(hc)) ** 2,
    "edge": lambda c, b: 2 * (1 + b) / c,
    "resonance_peak": lambda hc, b: math.acos((1 + b) * (1 + b - hc) / (4 * b)),
    "noise_floor": lambda h, c, b, noise: h * noise * (1 + b) / (c * (1 - b) * (2 + 2 * b - h * c)),
    "sextic_shift": lambda strength: 5 / 16 * strength,
    "nesterov_rate": nesterov,
    "orbit_amplitude": lambda h, c, b, q: math.sqrt((2 * (1 + b) / h - c) / q),
    "ridge": 1 / 360,  # condition number 361, of which one is the ridge itself
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "critical_momentum": [
        lambda hc: 1 - math.sqrt(hc),
        lambda hc: (1 + math.sqrt(hc)) ** 2,
        lambda hc: hc - 1,
    ],
    "edge": [
        lambda c, b: 2 / c,
        lambda c, b: 2 / c * (1 - b),
        lambda c, b: (1 + math.sqrt(b)) ** 2 / c,
    ],
    "resonance_peak": [
        lambda hc, b: math.acos((1 + b - hc) / (2 * math.sqrt(b))),
        lambda hc, b: math.sqrt(hc),
    ],
    "noise_floor": [
        lambda h, c, b, noise: h * noise / (2 * c * (1 - b)),
        lambda h, c, b, noise: h * noise / (c * (2 - h * c)),
        lambda h, c, b, noise: math.sqrt(h * noise * (1 + b) / (c * (1 - b) * (2 + 2 * b - h * c))),
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
    "orbit_amplitude": [
        lambda h, c, b, q: math.sqrt(-c / q),
        lambda h, c, b, q: math.sqrt((2 * (1 + b) / h - c) / (3 * q)),
    ],
    "ridge": [1 / 18, 361.0, 1 / 361],
}
