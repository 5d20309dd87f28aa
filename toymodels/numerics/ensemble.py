"""Many small networks trained as one stack.

    weights   list of tensors (*batch, out, in), first layer first; leading axes are the members
    loss      half the squared error, summed over outputs, mean over samples; one per member
    rule      how a gradient becomes a step: GradientDescent, HeavyBall, Adam, GradientFlow

All members advance in one call of ``baddbmm`` per layer. Members never see each other: a member
alone, in a batch or in a chunk follows the same path (to rounding).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from toymodels.numerics.draws import integers, whole_number

Weights = Sequence[Tensor]
Gradient = Callable[[Weights], list[Tensor]]
Activation = Callable[[Tensor], Tensor]
# (weights, gradient, memory) -> (weights, memory); memory is None at the start
Rule = Callable[[Weights, Gradient, object], tuple]


@dataclass(frozen=True)
class GradientDescent:
    """w <- w - step * gradient. ``step`` is a number or one per member, shape (*batch,)."""

    step: float | Tensor

    def __call__(self, weights, gradient, memory):
        return _add(weights, gradient(weights), self.step, -1.0), None


@dataclass(frozen=True)
class HeavyBall:
    """v <- momentum * v - step * gradient, w <- w + v (Polyak 1964), v = 0 at the start."""

    step: float | Tensor
    momentum: float | Tensor

    def __call__(self, weights, gradient, memory):
        grads = gradient(weights)
        velocity = memory or [torch.zeros_like(w) for w in weights]
        velocity = [_per_member(self.momentum, v) * v for v in velocity]
        velocity = _add(velocity, grads, self.step, -1.0)
        return [w + v for w, v in zip(weights, velocity, strict=True)], velocity


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (Kingma & Ba 2015, algorithm 1)."""

    step: float | Tensor
    decay: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __call__(self, weights, gradient, memory):
        grads = gradient(weights)
        first, second, count = memory or ([0.0] * len(grads), [0.0] * len(grads), 0)
        b1, b2 = self.decay
        count += 1
        first = [b1 * m + (1 - b1) * g for m, g in zip(first, grads, strict=True)]
        second = [b2 * v + (1 - b2) * g * g for v, g in zip(second, grads, strict=True)]
        moves = [
            (m / (1 - b1**count)) / ((v / (1 - b2**count)).sqrt() + self.epsilon)
            for m, v in zip(first, second, strict=True)
        ]
        return _add(weights, moves, self.step, -1.0), (first, second, count)


@dataclass(frozen=True)
class GradientFlow:
    """dw/dt = -gradient, one classical Runge-Kutta step of length ``step`` at a time."""

    step: float | Tensor

    def __call__(self, weights, gradient, memory):
        k1 = gradient(weights)
        k2 = gradient(_add(weights, k1, self.step, -0.5))
        k3 = gradient(_add(weights, k2, self.step, -0.5))
        k4 = gradient(_add(weights, k3, self.step, -1.0))
        mean = [(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True)]
        return _add(weights, mean, self.step, -1.0), None


def forward(
    weights: Weights,
    inputs: Float[Tensor, "*inputs sample input"],
    *,
    activation: Activation | None = None,
) -> Float[Tensor, "*batch sample output"]:
    """Outputs of every member; ``activation`` acts between layers, None is a linear network."""
    signal = inputs
    for layer, weight in enumerate(weights):
        if layer and activation is not None:
            signal = activation(signal)
        signal = signal @ weight.mT  # (*batch, sample, out)
    return signal


def train(
    weights: Weights,
    inputs: Float[Tensor, "*inputs sample input"],
    labels: Float[Tensor, "*labels answer output"],
    *,
    rule: Rule,
    record: Int[Tensor, " time"],
    observe: Callable[[Weights], Tensor],
    activation: Activation | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    chunk: int | None = None,
    progress: bool | None = None,
) -> Float[Tensor, "..."]:
    """Train every member and report ``observe(weights)`` at the steps in ``record``.

    Returns shape (*batch, time, *observed). ``inputs`` and ``labels`` are shared by all members
    or carry the same leading axes as the weights. ``batch_size`` None is the full batch;
    otherwise samples are drawn with replacement, member by member, as a function of ``seed``.
    ``chunk`` members are trained at a time (all of them if None); it bounds memory and never
    changes a result. A progress bar appears on long work unless ``progress`` is False
    or the environment variable TQDM_DISABLE is set.

    Raises ValueError on shapes, dtypes or devices that do not fit, an unsorted ``record``, and
    FloatingPointError when a member leaves the finite numbers.
    """
    check_fit(weights, inputs, labels)
    check_record(record)
    for name, value in {"batch_size": batch_size, "chunk": chunk}.items():
        if value is not None and whole_number(value, name) < 1:
            raise ValueError(f"{name} must be a positive whole number, got {value}")
    batch = weights[0].shape[:-2]
    members = batch.numel()
    flat = [w.reshape(members, *w.shape[-2:]) for w in weights]
    data = [_flatten_shared(x, batch) for x in (inputs, labels)]
    rule = _flatten_rule(rule, batch)
    size = chunk or members
    starts = range(0, members, size)
    total = int(record[-1]) * len(starts)
    if progress is None:  # tqdm's notebook bar itself overlooks this variable
        progress = not os.environ.get("TQDM_DISABLE")
    seen = []
    with tqdm(total=total, desc="training", unit="step", delay=3, disable=not progress) as bar:
        for first in starts:
            part = slice(first, min(first + size, members))
            stream = _batches(data, part, batch_size, seed, int(record[-1]))
            piece = [w[part] for w in flat]
            member_rule = _slice_rule(rule, part)
            seen.append(_run(piece, stream, member_rule, record, observe, activation, bar))
    result = torch.cat(seen)
    return result.reshape(*batch, *result.shape[1:])


def _run(weights, stream, rule, record, observe, activation, bar) -> Tensor:
    wanted, seen, memory = set(record.tolist()), [], None
    last = max(wanted)
    for step in range(last + 1):
        if step in wanted:
            seen.append(observe(weights))
            if not bool(torch.isfinite(seen[-1]).all()):
                raise FloatingPointError(
                    f"a member left the finite numbers before step {step}: use a smaller step"
                )
        if step < last:
            inputs, labels = stream(step)
            weights, memory = rule(weights, _gradient(inputs, labels, activation), memory)
            bar.update()
    return torch.stack(seen, dim=1)  # (member, time, *observed)


def _gradient(inputs: Tensor, labels: Tensor, activation: Activation | None) -> Gradient:
    """Gradients by hand: a third of the launches that autograd needs on a stack this small."""

    def gradient(weights: Weights) -> list[Tensor]:
        signals, slopes = [inputs], []
        for weight in weights[:-1]:
            signal, slope = _activate(signals[-1] @ weight.mT, activation)
            signals.append(signal)
            slopes.append(slope)
        error = (signals[-1] @ weights[-1].mT - labels) / labels.shape[-2]
        grads = [error.mT @ signals[-1]]  # (member, out, in)
        for layer in reversed(range(len(weights) - 1)):
            error = error @ weights[layer + 1]  # (member, sample, width)
            if slopes[layer] is not None:
                error = error * slopes[layer]
            grads.append(error.mT @ signals[layer])
        return grads[::-1]

    return gradient


def _activate(z: Tensor, activation: Activation | None) -> tuple[Tensor, Tensor | None]:
    """The activation and its slope, entry by entry; None stands for a slope of one."""
    if activation is None:
        return z, None
    with torch.enable_grad():
        leaf = z.detach().requires_grad_(True)
        signal = activation(leaf)
        (slope,) = torch.autograd.grad(signal.sum(), leaf)
    return signal.detach(), slope


def _batches(data, part, batch_size, seed, steps):
    """A function of the step number that gives the chunk's samples at that step."""
    inputs, labels = (x if x.ndim == 2 else x[part] for x in data)
    if batch_size is None:
        return lambda step: (inputs, labels)
    members = part.stop - part.start
    picks = integers(
        seed,
        "mini-batch",
        members,
        (steps, batch_size),
        high=inputs.shape[-2],
        first=part.start,
        device=inputs.device,
    )  # (member, step, sample)
    each = torch.arange(members, device=inputs.device)[:, None]

    def pick(x: Tensor, index: Tensor) -> Tensor:
        return x[index] if x.ndim == 2 else x[each, index]

    return lambda step: (pick(inputs, picks[:, step]), pick(labels, picks[:, step]))


def _add(weights: Weights, moves: Weights, step: float | Tensor, factor: float) -> list[Tensor]:
    return [w + factor * _per_member(step, w) * m for w, m in zip(weights, moves, strict=True)]


def _per_member(value: float | Tensor, weight: Tensor) -> float | Tensor:
    """A number per member, shaped to multiply that member's weights."""
    return value[..., None, None] if isinstance(value, Tensor) and value.ndim else value


def _map_rule(rule: Rule, change: Callable[[Tensor], Tensor]) -> Rule:
    """The same rule with every per-member number changed; numbers for all stay."""
    if not is_dataclass(rule):  # a plain function: it carries none
        return rule
    fields = {name: getattr(rule, name) for name in rule.__dataclass_fields__}
    return type(rule)(
        **{k: change(v) if isinstance(v, Tensor) and v.ndim else v for k, v in fields.items()}
    )


def _flatten_rule(rule: Rule, batch: torch.Size) -> Rule:
    def flatten(value: Tensor) -> Tensor:
        try:
            return value.expand(batch).reshape(-1)
        except RuntimeError:
            raise ValueError(
                f"a rule must have one number per member, shape {tuple(batch)}, "
                f"got {tuple(value.shape)}"
            ) from None

    return _map_rule(rule, flatten)


def _slice_rule(rule: Rule, part: slice) -> Rule:
    return _map_rule(rule, lambda value: value[part])


def _flatten_shared(x: Tensor, batch: torch.Size) -> Tensor:
    return x if x.ndim == 2 else x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])


def check_fit(weights: Weights, inputs: Tensor, labels: Tensor) -> None:
    """Refuse layers, data, dtypes or devices that do not belong together."""
    if not weights:
        raise ValueError("weights must hold at least one layer, got none")
    widths = [inputs.shape[-1], *(w.shape[-2] for w in weights)]
    for layer, weight in enumerate(weights):
        if weight.shape[-1] != widths[layer]:
            raise ValueError(
                f"layer {layer + 1} must take {widths[layer]} inputs, got {weight.shape[-1]}: "
                "each layer reads what the one before writes"
            )
    if labels.shape[-2:] != (inputs.shape[-2], widths[-1]):
        raise ValueError(
            f"labels must have shape (sample, output) = {(inputs.shape[-2], widths[-1])}, "
            f"got {tuple(labels.shape[-2:])}"
        )
    kinds = {(x.dtype, x.device) for x in (*weights, inputs, labels)}
    if len(kinds) > 1:
        raise ValueError(f"weights, inputs and labels must share one dtype and device, got {kinds}")


def check_record(record: Tensor) -> None:
    """Refuse an axis of step numbers that is empty, negative or does not increase."""
    if record.ndim != 1 or len(record) == 0:
        raise ValueError(f"record must be one axis with entries, got shape {tuple(record.shape)}")
    if int(record[0]) < 0 or bool((record.diff() <= 0).any()):
        raise ValueError("record must be strictly increasing step numbers from 0 up")
