"""How initial spread, multipliers and learning rates go with width and depth.

    widths      of inputs, every hidden layer and outputs; L matrices lie between them
    spread      standard deviation of the initial weights, layer by layer
    multiplier  m_l in z^l = m_l W^l f(z^{l-1}), what ``Perceptron(multipliers=...)`` takes
    rate        factor of the learning rate, layer by layer

The first three describe the same functions at the start and part ways in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door


@dataclass(frozen=True)
class Parameterization:
    """One number per layer of each kind; or one per layer and member, (*batch,)."""

    widths: tuple[int, ...]
    spread: tuple[float, ...]
    multiplier: tuple[float | Tensor, ...]
    rate: tuple[float | Tensor, ...]

    def start(
        self,
        members: int,
        *,
        seed: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> list[Tensor]:
        """Normal initial weights, (members, out, in) per layer; draws as in ``draws``."""
        shapes = zip(self.widths[1:], self.widths[:-1], self.spread, strict=True)
        return [
            spread
            * draws.normal(seed, f"layer {k}", members, (out, into), dtype=dtype, device=device)
            for k, (out, into, spread) in enumerate(shapes)
        ]


@door
def standard(widths: Sequence[int], *, weight_variance: float = 1.0) -> Parameterization:
    """Weights of variance ``weight_variance`` / fan-in, everything else 1."""
    layers, into = _layers(widths)
    spread = tuple((_positive("weight_variance", weight_variance) / n) ** 0.5 for n in into)
    return Parameterization(tuple(widths), spread, (1.0,) * layers, (1.0,) * layers)


@door
def tangent(widths: Sequence[int], *, weight_variance: float = 1.0) -> Parameterization:
    """Weights of variance 1 and multipliers sqrt(variance / fan-in): lazy at infinite width.

    Source: Jacot, Gabriel & Hongler 2018, arXiv:1806.07572.
    """
    layers, into = _layers(widths)
    multiplier = tuple((_positive("weight_variance", weight_variance) / n) ** 0.5 for n in into)
    return Parameterization(tuple(widths), (1.0,) * layers, multiplier, (1.0,) * layers)


@door
def mean_field(widths: Sequence[int], richness: float | Tensor) -> Parameterization:
    """As ``tangent``, but the last layer is divided by richness * sqrt(N), N its fan-in.

    All rates are richness^2 N, so that features move by O(richness) at any width. ``richness`` may
    be one per member.
    Source: Bordelon & Pehlevan 2022, arXiv:2205.09653.
    """
    layers, into = _layers(widths)
    gamma = _positive("richness", richness)
    multiplier = (*(n**-0.5 for n in into[:-1]), 1 / (gamma * into[-1]))
    return Parameterization(
        tuple(widths), (1.0,) * layers, multiplier, (gamma**2 * into[-1],) * layers
    )


@door
def residual(
    widths: Sequence[int],
    richness: float | Tensor,
    *,
    branch: float | Tensor = 1.0,
    exponent: float | Tensor = 0.5,
    block: int = 1,
) -> Parameterization:
    """As ``mean_field``, with skips whose branches are scaled by branch / depth^exponent.

    For ``Perceptron(residual=True, block=block)``; depth counts the branches, ``block`` matrices
    each, the last of which carries the scale. Their rates gain a factor depth^(2 exponent - 1).
    Source: Bordelon, Noci, Li, Hanin & Pehlevan 2023, arXiv:2309.16620.
    """
    plain = mean_field(widths, richness)
    if len(widths) < 4:
        raise ValueError(f"widths must name two hidden layers or more, got {list(widths)}: no skip")
    depth, rest = divmod(len(widths) - 3, draws.whole_number(block, "block", 1, "it has a matrix"))
    if rest:
        raise ValueError(
            f"block must divide the {len(widths) - 3} matrices between hidden layers, got {block}: "
            "every branch ends on a skip"
        )
    scale = _positive("branch", branch) * float(depth) ** -exponent
    first, *hidden, last = plain.multiplier
    hidden = [m if (k + 1) % block else scale * m for k, m in enumerate(hidden)]
    rate, factor = plain.rate[-1], float(depth) ** (2 * exponent - 1)
    return Parameterization(
        plain.widths,
        plain.spread,
        (first, *hidden, last),
        (rate, *(rate * factor for _ in hidden), rate),
    )


def _layers(widths: Sequence[int]) -> tuple[int, Sequence[int]]:
    if len(widths) < 2 or any(draws.whole_number(n, "a width") < 1 for n in widths):
        raise ValueError(f"widths must be two positive whole numbers or more, got {list(widths)}")
    return len(widths) - 1, widths[:-1]


def _positive(name: str, value: float | Tensor) -> float | Tensor:
    each = torch.as_tensor(value)
    if not bool(((each > 0) & each.isfinite()).all()):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return value
