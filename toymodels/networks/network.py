"""Fully connected networks in a stack, and their gradients.

    weights   matrices (*batch, out, in), first layer first; with biases, as many rows
              (*batch, 1, out) follow. The leading axes are the members.

A network is any function (weights, inputs) -> outputs of tensors that each end in two axes of
their own after the axes of the members. Its gradient is autograd's. A ``Perceptron`` without
normalization, dropout or skips has one by hand: a third of the launches, and no new memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.activation import Activation, LeakyReLU, activate, spread
from toymodels.networks.loss import Loss, slope
from toymodels.numerics.door import door
from toymodels.numerics.draws import Stream, whole_number
from toymodels.numerics.entrywise import entrywise

Weights = Sequence[Tensor]
Network = Callable[[Weights, Tensor], Tensor]
Moments = list[tuple[Tensor, Tensor]]  # mean and variance of every hidden unit, layer by layer
SMALL_VARIANCE = 1e-5  # added to variances, as everywhere in the field


@door
@dataclass(frozen=True)
class Perceptron:
    """z^1 = m_1 W^1 x + b^1, z^{l+1} = m_{l+1} W^{l+1} f(z^l) + b^{l+1}; the last is the output.

    ``activation`` f acts entry by entry, None is a linear network. ``multipliers`` m, one per
    layer, are 1 unless given. ``residual`` adds z^l to z^{l+1} between hidden layers, or to
    z^{l+block} where branches hold ``block`` matrices. ``normalize`` brings W f of every hidden
    unit to mean 0 and variance 1 over the samples (batch norm) before the bias is added, without a
    gain of its own. ``dropout`` is the fraction of hidden signals that training loses; the others
    grow to make up for it. Numbers may be one per member, (*batch,).
    """

    activation: Activation | None = None
    multipliers: Sequence[float | Tensor] | None = None
    biases: bool = False
    residual: bool = False
    normalize: bool = False
    dropout: float | Tensor = 0.0
    block: int = 1

    def __call__(
        self,
        weights: Weights,
        inputs: Float[Tensor, "*inputs sample input"],
        moments: Moments | None = None,
    ) -> Float[Tensor, "*batch sample output"]:
        """Outputs of every member. ``moments`` normalize; those of ``inputs`` unless given."""
        return self.layers(weights, inputs, moments)[-1]

    def layers(self, weights: Weights, inputs: Tensor, moments: Moments | None = None):
        """What every layer hands on before its activation, (*batch, sample, out); last the outputs.

        Without dropout. ``moments`` as when the network is called.
        """
        return self._layers(
            weights, inputs, lambda layer, z: _moments(z) if moments is None else moments[layer]
        )

    def moments(self, weights: Weights, inputs: Float[Tensor, "*inputs sample input"]) -> Moments:
        """Mean and variance over ``inputs`` by which hidden units are normalized."""
        seen = []

        def note(layer: int, z: Tensor) -> tuple[Tensor, Tensor]:
            seen.append(_moments(z))
            return seen[-1]

        self._layers(weights, inputs, note)
        return seen

    def features(self, weights: Weights, inputs: Tensor, moments: Moments | None = None):
        """The signals after every hidden activation, (*batch, sample, out) each."""
        return [self.signal(z) for z in self.layers(weights, inputs, moments)[:-1]]

    def training(self, weights: Weights, inputs: Tensor, stream: Stream, step: int | Tensor):
        """Outputs with dropout, normalized over ``inputs``: what a step of training sees."""
        if not self._drops:
            return self(weights, inputs)

        def drop(layer: int, signal: Tensor) -> Tensor:
            shape = tuple(signal.shape[-2:])
            number = stream.uniform(f"dropout {layer}", step, shape, dtype=signal.dtype)
            lost = spread(self.dropout)
            return signal * (number.reshape(signal.shape) >= lost) / (1 - lost)

        return self._layers(weights, inputs, lambda layer, z: _moments(z), drop)[-1]

    @property
    def plain(self) -> bool:
        """Whether the gradient by hand serves."""
        return not (self.residual or self.normalize or self._drops)

    @property
    def _drops(self) -> bool:
        return isinstance(self.dropout, Tensor) or self.dropout > 0

    def matrices(self, weights: Weights) -> Weights:
        """The weights without biases."""
        return weights[: len(weights) // 2] if self.biases else weights

    def _layers(self, weights: Weights, inputs: Tensor, moments, drop=None) -> list[Tensor]:
        matrices = self.matrices(weights)
        rows = weights[len(matrices) :]
        signal, seen = inputs, []
        for layer, matrix in enumerate(matrices):
            hidden = layer < len(matrices) - 1
            z = spread(self.multiplier(layer)) * (signal @ matrix.mT)
            if hidden and self.normalize:
                mean, variance = moments(layer, z)
                z = (z - mean) / (variance + SMALL_VARIANCE).sqrt()
            if rows:
                z = z + rows[layer]
            if hidden and layer and self.residual and layer % self.block == 0:
                z = z + seen[-self.block]
            seen.append(z)
            signal = self.signal(z)
            if drop and hidden:
                signal = drop(layer, signal)
        return seen

    def multiplier(self, layer: int) -> float | Tensor:
        """m of a layer, the first of which is 0."""
        return 1.0 if self.multipliers is None else self.multipliers[layer]

    @cached_property
    def signal(self) -> Activation:
        """The activation as a function that leaves its argument alone."""
        if isinstance(self.activation, LeakyReLU):  # may hold a slope per member
            return self.activation
        return entrywise(self.activation)

    def check(self, weights: Weights, inputs: Tensor, labels: Tensor) -> None:
        """Refuse layers and data that do not belong together."""
        matrices = self.matrices(weights)
        rows = weights[len(matrices) :]
        if self.biases and len(rows) != len(matrices):
            raise ValueError(f"weights must hold a bias per matrix, got {len(weights)} tensors")
        widths = [inputs.shape[-1], *(w.shape[-2] for w in matrices)]
        for layer, weight in enumerate(matrices):
            if weight.shape[-1] != widths[layer]:
                raise ValueError(
                    f"layer {layer + 1} must take {widths[layer]} inputs, got {weight.shape[-1]}: "
                    "each layer reads what the one before writes"
                )
        for layer, row in enumerate(rows):
            if row.shape[-2:] != (1, widths[layer + 1]):
                raise ValueError(
                    f"bias {layer + 1} must have shape (*batch, 1, {widths[layer + 1]}), "
                    f"got {tuple(row.shape)}"
                )
        if self.residual:
            self._check_skips(widths[1:-1])
        if self.multipliers is not None and len(self.multipliers) != len(matrices):
            raise ValueError(
                f"multipliers must be {len(matrices)}, one per layer, got {len(self.multipliers)}"
            )
        if not ((torch.as_tensor(self.dropout) >= 0) & (torch.as_tensor(self.dropout) < 1)).all():
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if labels.shape[-2:] != (inputs.shape[-2], widths[-1]):
            raise ValueError(
                f"labels must have shape (sample, output) = {(inputs.shape[-2], widths[-1])}, "
                f"got {tuple(labels.shape[-2:])}"
            )

    def _check_skips(self, widths: Sequence[int]) -> None:
        if whole_number(self.block, "block") < 1 or (len(widths) - 1) % self.block:
            raise ValueError(
                f"block must divide the {len(widths) - 1} matrices between hidden layers, "
                f"got {self.block}: every branch ends on a skip"
            )
        if len(set(widths[:: self.block])) > 1:
            raise ValueError(f"hidden widths must be equal for skips, got {list(widths)}")


class PlainGradient:
    """d loss / d weights of a plain Perceptron, in memory that is set aside once, for one shape."""

    def __init__(self, network: Perceptron, loss: Loss):
        self.network, self.loss = network, loss
        self._memory: dict[tuple, Tensor] = {}

    def __call__(self, weights: Weights, inputs: Tensor, labels: Tensor) -> list[Tensor]:
        matrices = self.network.matrices(weights)
        rows = weights[len(matrices) :]
        last = len(matrices) - 1
        signals, backs = [inputs.expand(len(matrices[0]), *inputs.shape[-2:])], []
        for layer, matrix in enumerate(matrices):
            z = self._product("signal", layer, signals[-1], matrix.mT)
            z = self._scaled(z, layer)
            if rows:
                z += rows[layer]
            if layer < last:
                z, back = activate(self.network.signal, z)
                backs.append(back)
            signals.append(z)
        error = slope(self.loss, signals.pop(), labels)
        grads, shifts = [], []
        for layer in reversed(range(last + 1)):
            if rows:
                shifts.append(error.sum(-2, keepdim=True))
            error = self._scaled(error, layer)
            grads.append(self._product("gradient", layer, error.mT, signals[layer]))
            if layer:
                error = backs[layer - 1](self._product("error", layer, error, matrices[layer]))
        return grads[::-1] + shifts[::-1]

    def _product(self, name: str, layer: int, left: Tensor, right: Tensor) -> Tensor:
        if (name, layer) not in self._memory:
            self._memory[name, layer] = torch.bmm(left, right)
            return self._memory[name, layer]
        return torch.bmm(left, right, out=self._memory[name, layer])

    def _scaled(self, z: Tensor, layer: int) -> Tensor:
        multiplier = self.network.multiplier(layer)
        given = isinstance(multiplier, Tensor) or multiplier != 1.0
        return z.mul_(spread(multiplier)) if given else z


class AutogradGradient:
    """d loss / d weights of any network, member by member, as autograd finds it."""

    def __init__(self, network: Network, loss: Loss, stream: Stream):
        self.network, self.loss, self.stream = network, loss, stream

    def __call__(self, weights: Weights, inputs: Tensor, labels: Tensor, step=0) -> list[Tensor]:
        with torch.enable_grad():
            leaves = [w.detach().requires_grad_(True) for w in weights]
            if hasattr(self.network, "training"):
                outputs = self.network.training(leaves, inputs, self.stream, step)
            else:
                outputs = self.network(leaves, inputs)
            # members do not meet, so the gradient of the sum holds the gradient of each
            grads = torch.autograd.grad(self.loss(outputs, labels).sum(), leaves)
        return list(grads)


def for_members(thing: object, change: Callable[[Tensor], Tensor]) -> object:
    """A copy of a dataclass or dict, ``change`` done to every number per member at any depth."""
    if isinstance(thing, Tensor):
        return change(thing) if thing.ndim else thing
    if isinstance(thing, (list, tuple)):
        return type(thing)(for_members(part, change) for part in thing)
    if isinstance(thing, dict):
        return {name: for_members(part, change) for name, part in thing.items()}
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(
            thing, **{f.name: for_members(getattr(thing, f.name), change) for f in fields(thing)}
        )
    return thing


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    if z.shape[-2] < 2:
        raise ValueError(
            f"normalize must see two samples or more, got {z.shape[-2]}: one alone is always 0 then"
        )
    mean = z.mean(-2, keepdim=True)
    return mean, (z - mean).square().mean(-2, keepdim=True)  # three times as fast as `var`


def checked_weights(weights: Weights) -> list[Tensor]:
    """As tensors; refuses weights without layers or members, and layers of different members."""
    weights = [w if isinstance(w, Tensor) else torch.as_tensor(w) for w in weights]
    if not weights:
        raise ValueError("weights must hold at least one layer, got none")
    for weight in weights:
        if weight.ndim < 2 or not weight.is_floating_point():
            raise ValueError(
                "weights must be floating tensors (*batch, out, in), "
                f"got {weight.dtype} of shape {tuple(weight.shape)}"
            )
    batches = {tuple(w.shape[:-2]) for w in weights}
    if len(batches) > 1:
        raise ValueError(f"weights must have the same members in every tensor, got {batches}")
    if weights[0].shape[:-2].numel() == 0:
        raise ValueError(f"weights must hold at least one member, got {tuple(weights[0].shape)}")
    return weights


def each_its_own(name: str, x: Tensor, batch: tuple[int, ...]) -> Tensor:
    """Matrices ``x``, (row, column) or one per member, as (member, row, column) of a flat batch.

    Raises ValueError, naming the argument ``name``, where they do not fit the members.
    """
    try:
        return x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
    except RuntimeError:
        raise ValueError(
            f"{name} must be for all members or one per member, shape {tuple(batch)} before its "
            f"last two axes, got {tuple(x.shape)}"
        ) from None
