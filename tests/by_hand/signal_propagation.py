"""Exercises of ``chapters/signal_propagation.md``, worked out a second time."""

import math

import numpy as np
from scipy.optimize import brentq

NODE, WEIGHT = np.polynomial.hermite_e.hermegauss(150)
SHARE = WEIGHT / math.sqrt(2 * math.pi)


def tanh_flow(weight, bias, first, layer):
    """Kernel of a layer, tanh units."""
    K = first
    for _ in range(layer - 1):
        K = bias + weight * SHARE @ np.tanh(math.sqrt(K) * NODE) ** 2
    return K


def tanh_slopes(K):
    """<tanh'^2>_K, and <z tanh tanh'>_K / K."""
    z = math.sqrt(K) * NODE
    slope = np.cosh(z) ** -2
    return SHARE @ slope**2, SHARE @ (z * np.tanh(z) * slope) / K


ACROSS, ALONG = tanh_slopes(tanh_flow(1.0, 0.1, 1.0, 200))

ANSWERS = {
    "leaky": 1.6,
    "who": [0, 1, 1, 0],
    "flow": tanh_flow,
    "gelu": brentq(lambda K: K * K - 3 * K - 2, 3, 4, xtol=1e-14),
    "tilted": math.sqrt(2 / 9),
    "elu": 4 / (math.sqrt(2 / math.pi)) ** 2,
    "depth": -1 / math.log(ACROSS),
    "edge": 1 / tanh_slopes(1.0)[0],
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "leaky": [2.0, 4 / 3, 0.8],
    "who": [[0, 0, 1, 0], [1, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1]],
    "flow": [
        lambda weight, bias, first, layer: tanh_flow(weight, bias, first, layer + 1),
        lambda weight, bias, first, layer: tanh_flow(weight, 0.0, first, layer),
    ],
    "gelu": [(17**0.5 - 1) / 4, 1.5 - 17**0.5 / 2],
    "tilted": [0.2**0.5, 3**-0.5],
    "elu": [math.pi / 2, (2 / math.pi) ** 0.5],
    "depth": [-1 / math.log(ALONG), ACROSS],
    "edge": [1 / tanh_slopes(1.0)[1], 1.0],
}
