"""Exercises of ``chapters/mean_field.md``, worked out a second time."""

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq


def half_time(gamma, factor=2.0):
    """Over the error, with rate = factor sqrt(1 + gamma^2 (1 - D)^2)."""
    rate = lambda d: factor * d * math.sqrt(1 + gamma**2 * (1 - d) ** 2)  # noqa: E731
    return quad(lambda d: 1 / rate(d), 0.5, 1.0, epsabs=1e-12)[0]


def moved(h, z, kernel, push, *, with_kernel=True, with_slope=True, late=False, own=False):
    """Sample by sample, with 1 / cosh^2 for the slope."""
    new = []
    for m in range(len(h)):
        rise = 0.0
        for n in range(len(h)):
            link = kernel[m, n].item() if with_kernel else float(m == n)
            slope = math.cosh(h[m if own else n].item()) ** -2 if with_slope else 1.0
            rise += link * push[n].item() * slope * z.item()
        new.append(h[m].item() + rise)
    seen = new if late else h.tolist()
    new.append(z.item() + sum(p * math.tanh(x) for p, x in zip(push.tolist(), seen, strict=True)))
    return torch.tensor(new, dtype=torch.float64)


def variants(**how):
    return lambda h, z, kernel, push: moved(h, z, kernel, push, **how)


def end_of(eta, gamma=0.5):
    """Error and step times kernel after 400 steps of the moments H = <hh> = <zz>, c = <hz>."""
    H, c = 1.0, 0.0
    for _ in range(400):
        p = eta * (gamma - c)
        H, c = H * (1 + p * p) + 2 * p * c, c * (1 + p * p) + 2 * p * H
        if H > 1e6:
            return math.inf, math.inf
    return 1 - c / gamma, 2 * eta * H


def smallest():
    """Step times kernel, and the step."""
    ends = [(*end_of(1 + k / 100), 1 + k / 100) for k in range(91)]
    return min((product, eta) for error, product, eta in ends if abs(error) < 1e-3)


def too_large_by(share):
    """gamma_0 at which 2 + gamma^2 exceeds 2 sqrt(1 + gamma^2) by ``share``."""
    return brentq(lambda g: 2 + g**2 - (1 + share) * 2 * math.sqrt(1 + g**2), 0.1, 10)


def relative_growth(L):
    """Richness times root of the depth at which L (L + 2) / 3 is a tenth of L + 1."""
    return math.sqrt(0.1 * (L + 1) * 3 / (L + 2))


def disagreeing(which, gamma):
    """Share of angles of (h, z) at the start at which z h < 0, or h h_0 < 0, at the end.

    A neuron's start is an angle, and its length does not matter.
    """
    angle = (np.arange(200_000) + 0.5) * 2 * math.pi / 200_000
    h, z = np.cos(angle), np.sin(angle)
    grown, shrunk = (h + z) / math.sqrt(2), (h - z) / math.sqrt(2)
    clock = math.asinh(gamma) / 2
    grown, shrunk = grown * math.exp(clock), shrunk * math.exp(-clock)
    return np.mean((grown + shrunk) * ((grown - shrunk) if which == 0 else h) < 0)


def late_tanh(clock=100.0, steps=20_000):
    """Tangent kernel of tanh units late on the clock, by Heun's steps for neurons on a grid."""
    node, weight = np.polynomial.hermite_e.hermegauss(30)
    weight = np.outer(weight, weight) / weight.sum() ** 2
    h, z = np.meshgrid(node, node)
    dt = clock / steps
    for _ in range(steps):
        dh, dz = z / np.cosh(h) ** 2, np.tanh(h)
        ahead = h + dt * dh
        h, z = (
            h + dt * (dh + (z + dt * dz) / np.cosh(ahead) ** 2) / 2,
            z + dt * (dz + np.tanh(ahead)) / 2,
        )
    return (weight * (np.tanh(h) ** 2 + z**2 / np.cosh(h) ** 4)).sum()


ANSWERS = {
    "half": half_time,
    "end": 1.195059,
    "lazy": relative_growth(10**8),
    "neuron": moved,
    "wrong_way": lambda gamma: disagreeing(0, gamma),
    "saturated": late_tanh(),
    "step": smallest()[0],
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "half": [
        lambda gamma: half_time(gamma, 1.0),
        lambda gamma: 0.5 * math.log(2),
        lambda gamma: 0.5 * math.log(2) / math.hypot(1, gamma),
    ],
    "end": [
        too_large_by(0.1) ** 2,
        # g^2 = 1.1 (2 sqrt(1 + g^2) - 2)
        brentq(lambda g: g**2 - 1.1 * (2 * math.sqrt(1 + g**2) - 2), 0.1, 10),
        # (2 + x)^2 = 1.1 * 4 (1 + x)
        math.sqrt(brentq(lambda x: (2 + x) ** 2 - 4.4 * (1 + x), 0.01, 10)),
    ],
    "lazy": [0.0, math.sqrt(1 / 20), 0.31622777],
    "neuron": [
        variants(late=True),
        variants(with_slope=False),
        variants(own=True),
        lambda h, z, kernel, push: moved(h, z, kernel, -push),
        variants(with_kernel=False),
    ],
    "wrong_way": [
        lambda gamma: 1 / 2,
        lambda gamma: disagreeing(1, gamma),
        lambda gamma: 1 - disagreeing(0, gamma),
        lambda gamma: math.acos(gamma) / math.pi if gamma < 1 else 0.0,
    ],
    "saturated": [2, 0, 0.8586973],
    "step": [smallest()[1], 2.0, 1.0, 2 * math.sqrt(1 + 1 / 4)],
}
