"""Averages over Gaussian variables, right for smooth functions and for functions with a kink at 0.

Gauss-Hermite nodes straddle the kink of a ReLU and resolve tanh only while its variance is small.
Here the line is cut at 0 and each half covered by Gauss-Legendre panels that shrink towards the
cut, so that a kink falls on a seam and a steep tanh finds nodes at every scale. Of two variables
the plane is used in polar coordinates: both kinks are then straight rays from the origin, whatever
the correlation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics.door import door, untouched

REACH = 13.0  # standard deviations; exp(-13**2 / 2) is 2e-37
CHUNK = 1 << 17  # points of the plane at once: 1 MB in float64, within a core's cache

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Rule:
    """Nodes of the plane, radius by direction, and weights for two opinions: all and every second.

    ``ring`` and ``share`` hold a column of weights and one of weights less those of the second
    opinion. A member is certain when both differences stay below ``trust``.
    """

    radius: np.ndarray
    ring: np.ndarray  # (radius, 2), with the Gaussian density and the Jacobian
    unit: np.ndarray  # directions as fractions of an arc
    share: np.ndarray  # (direction, 2)
    trust: float

    @property
    def points(self) -> int:
        return 2 * len(self.radius) * len(self.unit)


@door
def average(function: Function, variance: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """<f(z)> over z ~ N(0, variance).

    ``function`` acts entry by entry, may have a kink or a jump at 0 and must be smooth elsewhere.
    Good to 1e-12 for powers of ReLU and for tanh up to a variance of 1e6.
    Raises ValueError on a variance that is negative or not finite.
    """
    function = untouched(function)  # the door sees to that for users only
    _check_variance("variance", variance)
    node, weight = (torch.as_tensor(part).to(variance) for part in _half_line(0.5))
    z = variance.sqrt()[..., None] * node  # (*batch, node)
    density = weight * torch.exp(-(node**2) / 2) / np.sqrt(2 * np.pi)
    return _numbers("function", ((function(z) + function(-z)) * density).sum(-1))


@door
def pair_average(
    first: Function,
    second: Function,
    first_variance: Float[Tensor, "*#batch"],
    second_variance: Float[Tensor, "*#batch"],
    covariance: Float[Tensor, "*#batch"],
) -> Float[Tensor, "*batch"]:
    """<f(u) g(v)> over jointly Gaussian u, v of zero mean; functions as in ``average``.

    Good to 1e-12 for ReLU at every correlation, -1 and 1 included, and for smooth activations up
    to a variance of 1e6. Computed in float64, returned in the dtype of ``covariance``. A pair
    takes 0.1 to 1 ms, above a variance of 100 up to 20 ms; its value does not depend on the others.
    Raises ValueError when the 2 x 2 covariance matrix is not positive semidefinite.
    """
    dtype, first, second = covariance.dtype, untouched(first), untouched(second)
    q1, q2, k = torch.broadcast_tensors(
        first_variance.double(), second_variance.double(), covariance.double()
    )
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
    value = torch.empty_like(angle).reshape(-1)
    open_ = torch.arange(len(value), device=value.device)
    for rule in _rules():
        flat = (part.reshape(-1)[open_] for part in (q1, q2, angle))
        found, sure = _in_pieces(first, second, rule, *flat)
        value[open_] = found
        open_ = open_[~sure]
        if len(open_) == 0:
            break
    return _numbers("first and second", value.reshape(angle.shape)).to(dtype)


@door
def pair_table(
    function: Function, variance: Float[Tensor, " size"], angle: Float[Tensor, " turn"]
) -> Float[Tensor, "size size turn"]:
    """<f(u) f(v)> of ``pair_average`` for every pair of variances at every angle, in float64.

    The covariance is the root of the variances times the cosine of the angle, in [0, pi]. Costs a
    hundredth of as many single pairs: the function is seen once per variance, angle and node.
    Good to 1e-10 of the largest entry. Raises ValueError as ``average`` does.
    """
    function = untouched(function)
    _check_variance("variance", variance)
    q, angle = variance.double(), angle.double()
    if not angle.isfinite().all():
        raise ValueError(f"angle must be finite, got {angle.tolist()}")
    table = None
    for rule in _rules():
        rough = table
        turns = max(1, CHUNK // (rule.points * max(1, len(q))))
        table = torch.cat([_polar_table(function, rule, q, part) for part in angle.split(turns)])
        if rough is not None and (table - rough).abs().max() <= 1e-10 * table.abs().max():
            break
    return _numbers("function", table.movedim(0, -1))


def _in_pieces(
    first: Function, second: Function, rule: _Rule, q1: Tensor, q2: Tensor, angle: Tensor
) -> tuple[Tensor, Tensor]:
    """``_polar`` of every member, with bounded memory."""
    size = max(1, CHUNK // rule.points)
    pieces = zip(*(part.split(size) for part in (q1, q2, angle)), strict=True)
    found, sure = zip(*(_polar(first, second, rule, *piece) for piece in pieces), strict=True)
    return torch.cat(found), torch.cat(sure)


def _polar(
    first: Function, second: Function, rule: _Rule, q1: Tensor, q2: Tensor, angle: Tensor
) -> tuple[Tensor, Tensor]:
    """Pair averages as integrals over radius and direction of the plane, and which are certain."""
    radius, ring, unit, share = (
        torch.as_tensor(part).to(q1) for part in (rule.radius, rule.ring, rule.unit, rule.share)
    )
    # u = cos t vanishes at t = +-pi/2, v = cos(t - angle) a turn of `angle` later
    arcs = torch.stack([angle, torch.pi - angle], -1)  # lengths; the others are mirror images
    starts = torch.stack([-torch.full_like(angle, torch.pi / 2), angle - torch.pi / 2], -1)
    t = starts[..., None] + arcs[..., None] * unit  # (member, arc, direction)
    u = (q1.sqrt()[:, None, None] * t.cos())[..., None, :] * radius[:, None]
    v = (q2.sqrt()[:, None, None] * (t - angle[:, None, None]).cos())[..., None, :]
    v = v * radius[:, None]  # (member, arc, radius, direction)
    both = (first(u) * second(v)).addcmul_(first(u.neg_()), second(v.neg_()))
    # opinions are compared radius by radius, direction by direction: sums could agree by chance
    by_radius = (both @ share) * arcs[..., None, None]
    by_direction = (both.mT @ ring[:, 1]) * arcs[..., None] * share[:, 0]
    parts = by_radius * ring[:, :1]  # (member, arc, radius, opinion)
    size, doubt = parts.abs().sum((1, 2)).unbind(-1)
    doubt = torch.maximum(doubt, by_direction.abs().sum((1, 2)))
    return parts[..., 0].sum((1, 2)) / (2 * torch.pi), doubt <= rule.trust * size


def _polar_table(function: Function, rule: _Rule, q: Tensor, angle: Tensor) -> Tensor:
    """``_polar`` for (turn, size, size); counted from the other end, directions of u suit v."""
    radius, ring, unit, share = (
        torch.as_tensor(part).to(q) for part in (rule.radius, rule.ring, rule.unit, rule.share)
    )
    total = 0.0
    for length, start, facing in (
        (angle, -torch.full_like(angle, torch.pi / 2), -1),  # v = -u at the mirrored direction
        (torch.pi - angle, angle - torch.pi / 2, 1),  # v = u there
    ):
        reach = (start[:, None] + length[:, None] * unit).cos()  # (turn, direction)
        u = radius[:, None] * (q.sqrt()[:, None] * reach[:, None])[..., None, :]
        plus, minus = function(u), function(-u)  # (turn, size, radius, direction)
        weighed = [(side * (ring[:, :1] * share[:, 0])).flatten(-2) for side in (plus, minus)]
        faced = [side.flip(-1).flatten(-2).mT for side in (plus, minus)[::facing]]
        total = total + length[:, None, None] * (weighed[0] @ faced[0] + weighed[1] @ faced[1])
    return total / (2 * torch.pi)


@lru_cache
def _rules() -> list[_Rule]:
    """Rules from cheap to thorough; a member goes on to the next until it is certain.

    Both rules converge geometrically where the functions are smooth: what n nodes leave is about
    the square of what n / 2 leave. But both opinions may miss the same thin layer, of a ReLU with
    a round corner at large variance, and then differ by little less than they err.
    """
    cheap = [
        _Rule(*_double_exponential(step), *_fejer(directions), trust=1e-10)
        for step, directions in [(0.065, 31), (0.065, 63), (0.05, 127), (0.05, 255)]
    ]
    radius, weight = _half_line(1.0)
    unit, share = _arc()
    ring = _two_opinions(weight * _ring_density(radius), np.zeros_like(weight))
    return [
        *cheap,
        _Rule(radius, ring, unit, _two_opinions(share, np.zeros_like(share)), trust=1.0),
    ]


def _double_exponential(step: float) -> tuple[np.ndarray, np.ndarray]:
    """Radii on [0, REACH] and their weights: the trapezoid rule in s, r = exp(s - exp(-s)).

    Dense at every scale near 0, as steep functions need. The first node lies at 1e-17.
    """
    s = np.arange(-3.6, np.log(REACH) + 0.1, step)
    radius = np.exp(s - np.exp(-s))
    weight = step * radius * (1 + np.exp(-s)) * _ring_density(radius)
    second = np.zeros_like(weight)
    second[::2] = 2 * weight[::2]
    return radius, _two_opinions(weight, weight - second)


def _ring_density(radius: np.ndarray) -> np.ndarray:
    return radius * np.exp(-(radius**2) / 2)


def _fejer(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Fejer's nodes on [0, 1] and their weights; none lies on an end, where there may be a kink."""
    node, weight = _fejer_rule(count)
    second = np.zeros(count)
    second[1::2] = _fejer_rule(count // 2)[1]
    return node, _two_opinions(weight, weight - second)


def _two_opinions(weight: np.ndarray, difference: np.ndarray) -> np.ndarray:
    return np.stack([weight, difference], -1)


def _fejer_rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    angle = np.arange(1, count + 1) * np.pi / (count + 1)
    odd = np.arange(1, count + 1, 2)
    weight = 2 * np.sin(angle) / (count + 1) * (np.sin(np.outer(angle, odd)) / odd).sum(-1)
    return (1 - np.cos(angle)) / 2, weight


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


def _numbers(name: str, found: Tensor) -> Tensor:
    if found.isnan().any():
        raise ValueError(f"{name} must have finite values at every real number, got NaN")
    return found


def _check_variance(name: str, variance: Tensor) -> None:
    if not variance.is_floating_point():
        raise ValueError(f"{name} must be of a floating-point dtype, got {variance.dtype}")
    if not ((variance >= 0) & variance.isfinite()).all():
        raise ValueError(f"{name} must be finite and not negative, got {variance.tolist()}")
