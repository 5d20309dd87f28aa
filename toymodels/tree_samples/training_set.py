"""What a theory of n samples asks of its training set, and how its weights move."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from toymodels.networks.rules import GradientFlow
from toymodels.numerics import draws


def overlaps(seed: int, alive: Tensor, samples: int, members: int) -> tuple[Tensor, Tensor]:
    """W and gamma of every draw of a training set."""
    columns = int(alive.sum()) + 1
    Z = draws.normal(seed, f"columns {samples}", members, (samples, columns), device=alive.device)
    W = Z.mT @ Z / samples
    false = (int((~alive).sum()), columns)
    g = draws.normal(seed, f"false nodes {samples}", members, false, device=alive.device)
    return W, g @ torch.linalg.cholesky(W).mT / samples**0.5


def evenly(seed: int, members: int, shape: tuple[int, ...]) -> Tensor:
    """Normal numbers (member, *shape) that fill space evenly (Sobol 1967): false nodes that open
    are rare, and independent draws would count them badly."""
    engine = torch.quasirandom.SobolEngine(math.prod(shape), scramble=True, seed=seed)
    share = engine.draw(members, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
    return torch.special.ndtri(share).reshape(members, *shape)


def march(weights: list[Tensor], uphill: Callable, record: Tensor, step: float):
    """The weights at the steps of ``record``, moved downhill in place."""
    rule, done = GradientFlow(step), 0
    memory = rule.start(weights)
    for stop in record.tolist():
        for _ in range(stop - done):
            rule.advance(weights, uphill, memory)
        done = stop
        yield weights


def check_data(samples: int, noise: float, least: int) -> None:
    if samples < least:
        raise ValueError(
            f"samples must be at least {least}, got {samples}: else the nodes with a target alone "
            "fit the labels"
        )
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise must be finite and not negative, got {noise}")
