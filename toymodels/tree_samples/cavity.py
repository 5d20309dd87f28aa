"""Error against time: what every node sees of the labels, with the others taken into account.

The nodes with a target are followed exactly, by the overlaps of their columns. All false nodes act
on each other and on the rungs through two numbers, f and the number of fitted rungs.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics.clock import ticks
from toymodels.numerics.door import door
from toymodels.tree import Tree, _parents, _products, _pulled, _shape, _together
from toymodels.tree_samples.training_set import check_data, march, overlaps


@dataclass(frozen=True)
class Learning:
    """Error curves of draws of the training set."""

    time: Float[Tensor, " time"]
    error: Float[Tensor, "draw time"]  # on fresh inputs, without label noise
    left: Float[Tensor, "draw time"]  # f; where it falls below about 0.8 the theory fails


@door(origin="theory")
def error_curves(
    model: Tree,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    samples: int,
    noise: float,
    members: int = 200,
    step: float = 0.1,
) -> Learning:
    """Error of a tree while it learns from ``samples`` labels of noise ``noise``.

    Exact for every draw of the overlaps until a false node opens; from then on false nodes see
    each other through ``f`` alone, which neglects what they remember. Costs the same at any
    ``samples``. Steps of length ``step`` are of fourth order; from 0.2 on a few draws with large
    overlaps run away and spoil the mean. Raises ValueError unless ``samples`` exceed the nodes with
    a target by two, on negative noise, and on a batch of problems.
    """
    clock = ticks(time, step)
    target, shape = _one_target(model), _shape(_parents(model.parent))
    alive = target != 0
    check_data(samples, noise, int(alive.sum()) + 2)
    W, gamma = (x.to(target) for x in overlaps(seed, alive, samples, members))
    show = _Overlaps(target, samples, noise, W, gamma)
    weights = [w.expand(members, -1).clone() for w in _together(model)[1:]]
    records = []

    def uphill(weights: list[Tensor]) -> list[Tensor]:
        a, u = weights
        P = _products(shape, u)
        return [-w for w in _pulled(shape, show.missing(a * P), P, a * P, u)]

    for a, u in march(weights, uphill, clock.record, step):
        records.append(show.error(a * _products(shape, u)))
    error, left = (torch.stack(parts, -1) for parts in zip(*records, strict=True))
    return Learning(clock.time, error, left)


@dataclass(frozen=True)
class _Overlaps:
    """What a training set shows of the error at each node, for every draw."""

    target: Tensor  # (node,)
    samples: int
    noise: float
    W: Tensor  # (draw, 1 + K, 1 + K)
    gamma: Tensor  # (draw, false, 1 + K)

    @cached_property
    def _alive(self) -> Tensor:
        return self.target.nonzero()[:, 0]

    @cached_property
    def _false(self) -> Tensor:
        return (self.target == 0).nonzero()[:, 0]

    @cached_property
    def _columns(self) -> Tensor:
        """gamma in the order in which it is read fast, (draw, 1 + K, false)."""
        return self.gamma.mT.contiguous()

    def _aside(self, c: Tensor) -> Tensor:
        return c.index_select(1, self._false)

    def missing(self, c: Tensor) -> Tensor:
        """r of every node, (draw, node)."""
        w, along, left, fitted = self._closure(c)
        root, free = left.sqrt(), left * (1 - fitted / self.samples)
        noise = root * (w[:, None] @ self._columns)[:, 0] - free * self._aside(c)
        r = torch.empty_like(c).index_copy_(1, self._alive, left * along[:, 1:])
        return r.index_copy_(1, self._false, noise)

    def error(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """On fresh inputs, and f: (draw,) each."""
        _, _, left, fitted = self._closure(c)
        off = self._aside(c).square().sum(-1) * (1 + fitted[:, 0] / self.samples)
        missing = (self.target - c).index_select(1, self._alive)
        return missing.square().sum(-1) + off, left[:, 0]

    def _closure(self, c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """w, W w, f, and how many rungs are fitted."""
        known, target = c.index_select(1, self._alive), self.target[self._alive]
        w = torch.cat([known[:, :1] * 0 + self.noise, target - known], -1)
        along = (self.W @ w[..., None])[..., 0]
        trained = (w * along).sum(-1, keepdim=True)
        left = trained / (trained + self._aside(c).square().sum(-1, keepdim=True))
        fitted = (known / target).square().clamp(max=1).sum(-1, keepdim=True)
        return w, along, left, fitted


def _one_target(model: Tree) -> Tensor:
    target = _together(model)[0]
    if target.ndim != 1:
        raise ValueError(f"target must be of one problem, got shape {tuple(target.shape)}")
    return target
