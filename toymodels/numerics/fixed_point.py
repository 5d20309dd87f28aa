"""Roots of monotone scalar equations, many at once.

Effective ridges, orders and temperatures solve one equation each, ``ratio(x) = 1``, whose root
may lie anywhere between 1e-300 and 1e300. Newton's method in log x on log ratio sees a power law
as a straight line, so it needs few steps at any scale; a bracket catches it where it overshoots.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toymodels.numerics.door import door


@dataclass(frozen=True)
class FixedPoint:
    """A root and how well it was found."""

    solution: Float[Tensor, "*batch"]
    residual: Float[Tensor, "*batch"]  # |ratio - 1| at the solution
    converged: Bool[Tensor, "*batch"]  # residual within the tolerance


@door
def solve(
    ratio: Callable[[Tensor], tuple[Tensor, Tensor]],
    low: Float[Tensor, "*batch"],
    high: Float[Tensor, "*batch"],
    *,
    tolerance: float = 1e-12,
    iterations: int = 30,
) -> FixedPoint:
    """The x in [low, high] at which ``ratio(x)`` = 1; members of the batch do not interact.

    ``ratio`` maps x > 0 to the pair (r, d log r / d log x), with r > 0 falling as x grows; solve
    the reciprocal of a growing function. A bracket that touches the root is accepted, even when
    rounding puts it on the wrong side by ``tolerance``. Equations that stop early come back with
    ``converged`` False, not with an error.

    Raises ValueError when the bracket is not 0 < low <= high < inf or does not hold the root.
    """
    _check_bracket(ratio, low, high, tolerance)
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    left, right = low.log(), high.log()
    log_x = right
    for _ in range(iterations):
        r, slope = ratio(log_x.exp())
        height = r.log()
        left = torch.where(height >= 0, log_x, left)
        right = torch.where(height <= 0, log_x, right)
        newton = log_x - height / slope
        inside = (newton >= left) & (newton <= right)  # False for NaN: a flat spot is bisected
        next_log_x = torch.where(inside, newton, (left + right) / 2)
        moved = (next_log_x - log_x).abs()
        log_x = next_log_x
        if (moved <= 4 * torch.finfo(low.dtype).eps * (1 + log_x.abs())).all():
            break
    solution = log_x.exp()
    residual = (ratio(solution)[0] - 1).abs()
    return FixedPoint(solution, residual, residual <= tolerance)


def _check_bracket(ratio, low: Tensor, high: Tensor, tolerance: float) -> None:
    if not ((low > 0) & (low <= high) & high.isfinite()).all():
        raise ValueError(
            f"bracket must obey 0 < low <= high < inf, got low {low.min():g}, high {high.max():g}: "
            "the root is sought in log x"
        )
    at_low, at_high = ratio(low)[0], ratio(high)[0]
    if not ((at_low >= 1 - tolerance) & (at_high <= 1 + tolerance)).all():
        raise ValueError(
            f"bracket must hold the root: ratio(low) must be at least 1, got {at_low.min():g}, "
            f"and ratio(high) at most 1, got {at_high.max():g}"
        )
