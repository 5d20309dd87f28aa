"""Exercises of ``chapters/mean_field.md``, worked out a second time."""

import math

import torch
from scipy.integrate import quad
from scipy.optimize import brentq


def half_time(gamma, factor=2.0):
    """Over the error, with rate = factor sqrt(1 + gamma^2 (1 - D)^2)."""
    rate = lambda d: factor * d * math.sqrt(1 + gamma**2 * (1 - d) ** 2)  # noqa: E731
    return quad(lambda d: 1 / rate(d), 0.5, 1.0, epsabs=1e-12)[0]


def moved(h, z, kernel, push, *, with_kernel=True, with_slope=True, late=False):
    """Sample by sample, with 1 / cosh^2 for the slope."""
    new = []
    for m in range(len(h)):
        rise = 0.0
        for n in range(len(h)):
            link = kernel[m, n].item() if with_kernel else float(m == n)
            slope = math.cosh(h[n].item()) ** -2 if with_slope else 1.0
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
    ends = [end_of(1 + k / 100) for k in range(91)]
    return min(product for error, product in ends if abs(error) < 1e-3)


def too_large_by(share):
    """gamma_0 at which 2 + gamma^2 exceeds 2 sqrt(1 + gamma^2) by ``share``."""
    return brentq(lambda g: 2 + g**2 - (1 + share) * 2 * math.sqrt(1 + g**2), 0.1, 10)


ANSWERS = {
    "half": half_time,
    "end": 1.195059,
    "lazy": 0.2828427,
    "neuron": moved,
    "width": 40000.0,
    "echo": [1, 2, 2, 1],
    "step": smallest(),
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
    "lazy": [
        math.sqrt(0.1 / 5),
        math.sqrt(0.4 * 4 / 6),
        0.08,
        math.sqrt(0.5 / 8),
    ],
    "neuron": [variants(late=True), variants(with_slope=False), variants(with_kernel=False)],
    "width": [400.0, 200.0, 4000.0],
    "echo": [[1, 2, 1, 2], [0, 1, 1, 0], [1, 1, 1, 1]],
    "step": [2.0, 1.0, 2 * math.sqrt(1 + 1 / 4)],
}
