"""How a gradient becomes a step. All rules change the weights in place.

A rule is any object with ``start(weights) -> memory`` and ``advance(weights, gradient, memory)``:
``gradient(weights)`` gives one tensor per weight tensor, ``memory`` is a list of tensors that only
the rule reads. ``step`` is a number, one per member of shape (*batch,), or a list of such with one
entry per weight tensor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from toymodels.networks.activation import spread
from toymodels.networks.network import Weights
from toymodels.numerics.door import door

Gradient = Callable[[Weights], list[Tensor]]
Step = float | Tensor | Sequence[float | Tensor]


@runtime_checkable
class Rule(Protocol):
    """What ``train`` asks of a rule."""

    def start(self, weights: Weights) -> list[Tensor]: ...

    def advance(self, weights: Weights, gradient: Gradient, memory: list[Tensor]) -> None: ...


@door
@dataclass(frozen=True)
class GradientDescent:
    """w <- w - step * gradient."""

    step: Step

    def start(self, weights):
        return []

    def advance(self, weights, gradient, memory):
        _add(weights, gradient(weights), self.step, -1.0)


@door
@dataclass(frozen=True)
class HeavyBall:
    """v <- momentum * v - step * gradient, w <- w + v (Polyak 1964), v = 0 at the start."""

    step: Step
    momentum: float | Tensor

    def start(self, weights):
        return [torch.zeros_like(w) for w in weights]

    def advance(self, weights, gradient, memory):
        grads = gradient(weights)
        for velocity in memory:
            velocity.mul_(spread(self.momentum))
        _add(memory, grads, self.step, -1.0)
        _add(weights, memory, 1.0, 1.0)


@door
@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (Kingma & Ba 2015, algorithm 1)."""

    step: Step
    decay: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def start(self, weights):
        count = torch.zeros((), dtype=torch.float64, device=weights[0].device)
        return [torch.zeros_like(w) for w in (*weights, *weights)] + [count]

    def advance(self, weights, gradient, memory):
        grads = gradient(weights)
        first, second, count = memory[: len(weights)], memory[len(weights) : -1], memory[-1]
        b1, b2 = self.decay
        count += 1  # a tensor: a CUDA graph cannot count in Python
        torch._foreach_lerp_(first, grads, 1 - b1)
        torch._foreach_mul_(second, b2)
        torch._foreach_addcmul_(second, grads, grads, 1 - b2)
        first_bias, second_bias = (1 - b**count for b in self.decay)
        moves = [
            m / ((v / second_bias.to(v.dtype)).sqrt_().add_(self.epsilon)) / first_bias.to(m.dtype)
            for m, v in zip(first, second, strict=True)
        ]
        _add(weights, moves, self.step, -1.0)


@door
@dataclass(frozen=True)
class GradientFlow:
    """dw/dt = -gradient, one classical Runge-Kutta step of length ``step`` at a time."""

    step: Step

    def start(self, weights):
        return [torch.zeros_like(w) for w in (*weights, *weights)]

    def advance(self, weights, gradient, memory):
        start, mean = memory[: len(weights)], memory[len(weights) :]
        torch._foreach_copy_(start, weights)
        torch._foreach_zero_(mean)
        for share, ahead in ((1 / 6, 0.5), (1 / 3, 0.5), (1 / 3, 1.0), (1 / 6, None)):
            slopes = gradient(weights)
            torch._foreach_add_(mean, slopes, alpha=share)
            torch._foreach_copy_(weights, start)
            if ahead is not None:
                _add(weights, slopes, self.step, -ahead)
        _add(weights, mean, self.step, -1.0)


@door
@dataclass(frozen=True)
class WeightDecay:
    """Another rule on loss + decay / 2 * (sum of squared weights)."""

    rule: Rule
    decay: float | Tensor

    def start(self, weights):
        return self.rule.start(weights)

    def advance(self, weights, gradient, memory):
        def decayed(weights: Weights) -> list[Tensor]:
            pairs = zip(gradient(weights), weights, strict=True)
            return [g + spread(self.decay) * w for g, w in pairs]

        self.rule.advance(weights, decayed, memory)


def _add(weights: Weights, moves: Weights, step: Step, factor: float) -> None:
    """weights += factor * step * moves, in place."""
    if isinstance(step, float):
        torch._foreach_add_(weights, moves, alpha=factor * step)
        return
    steps = step if isinstance(step, Sequence) else [step] * len(weights)
    for weight, move, each in zip(weights, moves, steps, strict=True):
        if isinstance(each, Tensor):
            weight.addcmul_(move, spread(each).to(weight), value=factor)
        else:
            weight.add_(move, alpha=factor * each)
