"""State evolution: a forest under weight decay sees its target through Gaussian noise.

Every tree is a denoiser. It gets its own target with noise of variance tau^2 / n, and moves under
a friction theta from the start to rest: a local descent, which a small start may keep at zero.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.tree import Tree, _parents, _products, _pulled, _shape, _together
from toymodels.tree_samples.training_set import check_data, evenly, march

SETTLED = 1e-3  # relative change of error and friction in one round
LEAST = 0.1  # share of the friction that fitting may leave of decay / theta: below, all runs away


@dataclass(frozen=True)
class Rest:
    """Where weight decay brings a forest to rest, at every number of samples."""

    error: Float[Tensor, " size"]  # of all trees together, on fresh inputs, without label noise
    friction: Float[Tensor, " size"]  # theta
    residual: Float[Tensor, " size"]  # relative change in the last round
    converged: Bool[Tensor, " size"]


@door(origin="theory")
def decayed(
    model: Tree,
    copies: Int[Tensor, " kind"],
    samples: Int[Tensor, " size"],
    *,
    noise: float,
    decay: float,
    seed: int,
    members: int = 256,
    until: float = 150.0,
    step: float = 0.3,
    rounds: int = 40,
) -> Rest:
    """Error of a forest that comes to rest under weight decay: ``copies`` trees of every target.

    Each tree sees its target with noise tau/sqrt(n) and friction theta, and moves from the start
    of the model to rest, by the time ``until``; tau^2 = sigma^2 + E and theta (1 - df/n) = decay
    close the equations. Rounds begin at E = 0 and find the smaller of two solutions; where they run
    away, as they may on few samples, ``converged`` is False and the error may be NaN.
    ``target`` is (kind, node). Raises ValueError on shapes that do not fit and a decay that is not
    positive.
    """
    beta, a, u = _together(model)
    if beta.ndim != 2 or len(copies) != len(beta):
        raise ValueError(f"target must have one row for each of {len(copies)} copies")
    check_data(int(samples.min()), noise, 1)
    if not 0 < decay < float("inf"):
        raise ValueError(f"decay must be positive and finite, got {decay}: nothing comes to rest")
    shape = _shape(_parents(model.parent))
    g = evenly(seed, members, tuple(beta.shape)).to(beta)
    count = copies.to(beta)[:, None]
    n = samples.to(beta)

    def total(x: Tensor) -> Tensor:
        return (x.mean(1) * count).sum((-1, -2))  # (size, draw, kind, node) -> (size,)

    def once(error: Tensor, theta: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        spread = ((noise**2 + error) / n).sqrt()[:, None, None, None]
        seen = beta + spread * g
        start = [w.expand(seen.shape).clone() for w in (a, u)]
        c = _at_rest(shape, seen, start, theta[:, None, None, None], until, step)
        freedom = total((c - beta) * g / spread)
        return total((c - beta).square()), decay / (1 - freedom / n).clamp(min=LEAST)

    error = torch.zeros_like(n)
    theta, residual = torch.full_like(error, decay), torch.full_like(error, torch.inf)
    for _ in range(rounds):
        moving = ~(residual < SETTLED)
        if not bool(moving.any()):
            break
        was = torch.stack([error[moving], theta[moving]])
        error[moving], theta[moving] = once(*was, n[moving])
        residual[moving] = (1 - was[0] / error[moving]).abs() + (theta[moving] / was[1] - 1).abs()
    return Rest(error, theta, residual, residual < SETTLED)


def _at_rest(
    shape: tuple[Tensor, Tensor],
    seen: Tensor,
    start: list[Tensor],
    theta: Tensor,
    until: float,
    step: float,
) -> Tensor:
    """Coefficients of trees that descend |seen - c|^2 / 2 + theta / 2 (sum of squared weights)."""

    def uphill(weights: list[Tensor]) -> list[Tensor]:
        a, u = weights
        P = _products(shape, u)
        da, du = _pulled(shape, seen - a * P, P, a * P, u)
        return [theta * a - da, theta * u - du]

    a, u = next(march(start, uphill, torch.tensor([round(until / step)]), step))
    return a * _products(shape, u)
