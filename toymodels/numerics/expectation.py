"""Averages over Gaussian variables, right for smooth functions and for functions with a kink at 0.

Gauss-Hermite nodes straddle the kink of a ReLU and resolve tanh only while its variance is small.
Here the line is cut at 0 and each half covered by Gauss-Legendre panels that shrink towards the
cut, so that a kink falls on a seam and a steep tanh finds nodes at every scale. Of two variables
the plane is used in polar coordinates: both kinks are then straight rays from the origin, whatever
the correlation.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

REACH = 13.0  # standard deviations; exp(-13**2 / 2) is 2e-37
CHUNK = 1 << 21  # points of the plane at once: 16 MB in float64

Function = Callable[[Tensor], Tensor]


def average(function: Function, variance: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """<f(z)> over z ~ N(0, variance).

    ``function`` acts entry by entry, may have a kink or a jump at 0 and must be smooth elsewhere.
    Good to 1e-12 for powers of ReLU and for tanh up to a variance of 1e6.
    Raises ValueError on a variance that is negative or not finite.
    """
    _check_variance("variance", variance)
    node, weight = (torch.as_tensor(part).to(variance) for part in _half_line(0.5))
    z = variance.sqrt()[..., None] * node  # (*batch, node)
    density = weight * torch.exp(-(node**2) / 2) / np.sqrt(2 * np.pi)
    return ((function(z) + function(-z)) * density).sum(-1)


def pair_average(
    first: Function,
    second: Function,
    first_variance: Float[Tensor, "*#batch"],
    second_variance: Float[Tensor, "*#batch"],
    covariance: Float[Tensor, "*#batch"],
) -> Float[Tensor, "*batch"]:
    """<f(u) g(v)> over jointly Gaussian u, v of zero mean; functions as in ``average``.

    Good to 1e-12 for ReLU at every correlation, -1 and 1 included.
    Raises ValueError when the 2 x 2 covariance matrix is not positive semidefinite.
    """
    q1, q2, k = torch.broadcast_tensors(first_variance, second_variance, covariance)
    _check_variance("first_variance", q1)
    _check_variance("second_variance", q2)
    scale = (q1 * q2).sqrt()
    if not (k.abs() <= scale * (1 + 1e-12)).all():
        raise ValueError(
            "covariance must not exceed the geometric mean of the variances, "
            f"got a correlation of {(k.abs() / scale).max():g}"
        )
    # atan2 of the factored root: arccos(k / scale) loses half the digits near +-1
    angle = torch.atan2(((scale - k).clamp(min=0) * (scale + k).clamp(min=0)).sqrt(), k)
    flat = zip(q1.reshape(-1), q2.reshape(-1), angle.reshape(-1), strict=True)
    values = [_polar(first, second, *member) for member in flat]
    return torch.stack(values).reshape(k.shape) if values else k.clone()


def _polar(first: Function, second: Function, q1: Tensor, q2: Tensor, angle: Tensor) -> Tensor:
    """One pair average, as the integral over radius and direction of the plane."""
    radius, ring = (torch.as_tensor(part).to(q1) for part in _half_line(1.0))
    ring = ring * radius * torch.exp(-(radius**2) / 2)
    unit, share = (torch.as_tensor(part).to(q1) for part in _arc())
    # u = cos t vanishes at t = +-pi/2, v = cos(t - angle) a turn of `angle` later
    arcs = torch.stack([angle, torch.pi - angle])  # lengths; the other two are their mirror images
    starts = torch.stack([-angle.new_tensor(torch.pi) / 2, angle - torch.pi / 2])
    t = (starts[:, None] + arcs[:, None] * unit).reshape(-1)
    turn = (arcs[:, None] * share).reshape(-1)
    total = q1.new_zeros(())
    for part, piece in zip(
        t.split(CHUNK // len(radius)), turn.split(CHUNK // len(radius)), strict=True
    ):
        u = q1.sqrt() * torch.outer(radius, part.cos())  # (radius, direction)
        v = q2.sqrt() * torch.outer(radius, (part - angle).cos())
        both = first(u) * second(v) + first(-u) * second(-v)
        total = total + ring @ both @ piece
    return total / (2 * torch.pi)


@lru_cache
def _half_line(coarse: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, REACH]: panels halve towards 0, then have width ``coarse``."""
    fine = coarse * 2.0 ** -np.arange(20, 0, -1)
    return _panels(np.concatenate([[0.0], fine, np.arange(coarse, REACH + coarse / 2, coarse)]), 14)


@lru_cache
def _arc() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]: panels halve towards both ends."""
    fine = 2.0 ** -np.arange(12, 0, -1)
    return _panels(np.concatenate([[0.0], fine, 1 - fine[-2::-1], [1.0]]), 12)


def _panels(edges: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    node, weight = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + node)).ravel(), (half * weight).ravel()


def _check_variance(name: str, variance: Tensor) -> None:
    if not variance.is_floating_point():
        raise ValueError(f"{name} must be of a floating-point dtype, got {variance.dtype}")
    if not ((variance >= 0) & variance.isfinite()).all():
        raise ValueError(f"{name} must be finite and not negative, got {variance.tolist()}")
