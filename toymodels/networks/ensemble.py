"""Many small networks trained as one stack.

    weights   list of tensors (*batch, out, in); the leading axes are the members
    network   a function (weights, inputs) -> outputs: see ``network``
    rule      how a gradient becomes a step: see ``rules``
    observe   what to keep of a ``State``, at the steps in ``record``; nothing else is stored

All members advance in one call per layer. They never see each other: a member alone, in a batch or
in a chunk follows the same path, and one that leaves the finite numbers leaves alone. On a GPU the
steps between two records run as CUDA graphs.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from toymodels.networks.activation import spread
from toymodels.networks.chunks import chunk_size
from toymodels.networks.graph import Repeat
from toymodels.networks.loss import Loss, squared_error
from toymodels.networks.network import (
    AutogradGradient,
    Network,
    Perceptron,
    PlainGradient,
    Weights,
    for_members,
)
from toymodels.networks.rules import Rule
from toymodels.networks.tangent import feature_kernels, tangent_kernel
from toymodels.numerics.draws import Stream, whole_number

Samples = tuple[Tensor, Tensor]
DELAY = 3  # seconds of work before a progress bar appears


@dataclass(frozen=True)
class State:
    """Some members of an ensemble at one step, with the axes of the members flattened to one."""

    weights: Weights
    inputs: Tensor  # (sample, input), or (member, sample, input)
    labels: Tensor
    network: Network
    loss: Loss
    members: Int[Tensor, " member"]  # their places in the flattened ensemble

    def outputs(self, inputs: Tensor | None = None) -> Float[Tensor, "member sample output"]:
        """Outputs on the training samples or on others, without dropout."""
        return self.network(self.weights, self.inputs if inputs is None else inputs)

    def losses(self) -> Float[Tensor, " member"]:
        """The loss of every member on the training samples."""
        return self.loss(self.outputs(), self.labels)

    def tangent_kernel(self) -> Float[Tensor, "member sample sample output output"]:
        """Of the training samples; see ``tangent``."""
        return tangent_kernel(self.network, self.weights, self.inputs)

    def feature_kernels(self) -> Float[Tensor, "member layer sample sample"]:
        """Of the training samples after every hidden layer; see ``tangent``."""
        return feature_kernels(self.network, self.weights, self.inputs)


@dataclass(frozen=True)
class Training:
    """What training left behind. ``observed`` has one entry per name if ``observe`` has names."""

    step: Int[Tensor, " time"]
    observed: Tensor | dict[str, Tensor]  # (*batch, time, *observed)
    weights: list[Tensor]  # after the last step, shaped as they came
    finite: Bool[Tensor, "*batch time"]  # False from the record on at which a member has diverged

    def require_finite(self) -> "Training":
        """Itself; FloatingPointError if a member left the finite numbers."""
        lost = ~self.finite
        if bool(lost.any()):
            when = int(self.step[lost.reshape(-1, len(self.step)).any(0)][0])
            raise FloatingPointError(
                f"{int(lost[..., -1].sum())} of {lost[..., -1].numel()} members left the finite "
                f"numbers, the first before step {when}: use a smaller step"
            )
        return self


def train(
    weights: Weights,
    inputs: Float[Tensor, "*inputs sample input"],
    labels: Float[Tensor, "*labels answer output"],
    *,
    rule: Rule,
    record: Int[Tensor, " time"],
    observe: Callable[[State], Tensor] | Mapping[str, Callable[[State], Tensor]],
    network: Network | None = None,
    loss: Loss = squared_error,
    batch_size: int | None = None,
    fresh: Callable[[Stream, int | Tensor], Samples] | None = None,
    label_noise: float | Tensor = 0.0,
    input_noise: float | Tensor = 0.0,
    seed: int = 0,
    chunk: int | None = None,
    graph: bool | None = None,
    progress: bool | None = None,
) -> Training:
    """Train every member and keep ``observe(state)`` at the steps in ``record``.

    ``inputs`` and ``labels`` are shared by all members or carry the same leading axes as the
    weights; ``network`` is a linear Perceptron unless given. Numbers in ``network`` and ``rule``
    may be one per member, shape (*batch,).

    Every step sees all samples; or ``batch_size`` of them, drawn with replacement for each member;
    or new ones, ``fresh(stream, step)`` -> (inputs, labels) with shapes (member, sample, ...),
    while ``inputs`` and ``labels`` only serve what is observed. ``label_noise`` and ``input_noise``
    are standard deviations of normal noise that every step draws anew. All draws depend on
    ``seed``, the member and the step alone.

    ``chunk`` members are trained at a time: as many as the cache or the GPU holds unless given. It
    never changes a result. ``graph`` False keeps a GPU from capturing CUDA graphs. A progress bar
    appears on long work unless ``progress`` is False or TQDM_DISABLE is set.

    A member that diverges is flagged in ``Training.finite`` and does not disturb the others.
    Raises ValueError on shapes, dtypes or devices that do not fit and on an unsorted ``record``.
    """
    network = Perceptron() if network is None else network
    check_fit(weights, inputs, labels, network)
    check_record(record)
    for name, value in {"batch_size": batch_size, "chunk": chunk}.items():
        if value is not None and whole_number(value, name) < 1:
            raise ValueError(f"{name} must be a positive whole number, got {value}")
    if batch_size is not None and fresh is not None:
        raise ValueError("batch_size must be None with fresh: that function says how many")
    batch = weights[0].shape[:-2]
    flat = [w.reshape(-1, *w.shape[-2:]) for w in weights]
    noise = {"label": label_noise, "input": input_noise}
    network, rule, noise = (_flattened(x, batch) for x in (network, rule, noise))
    inputs, labels = (_flatten_shared(x, batch) for x in (inputs, labels))
    names = observe if isinstance(observe, Mapping) else {"": observe}
    size = chunk or chunk_size(flat, inputs if batch_size is None else inputs[..., :batch_size, :])
    starts = range(0, len(flat[0]), size)
    pieces = []
    with _bar(int(record[-1]) * len(starts), progress) as bar:
        for first in starts:
            part = slice(first, min(first + size, len(flat[0])))
            taken = Chunk(
                [w[part].clone(memory_format=torch.contiguous_format) for w in flat],
                *(x if x.ndim == 2 else x[part] for x in (inputs, labels)),
                *(for_members(x, lambda v, part=part: v[part]) for x in (network, rule, noise)),
                Stream(seed, part.stop - first, first=first, device=flat[0].device),
                loss,
                batch_size,
                fresh,
            )
            pieces.append(taken.run(record, names, graph is not False, bar))
    return _assembled(record, pieces, batch, named=isinstance(observe, Mapping))


@dataclass
class Chunk:
    """Members that are trained together; every tensor carries one axis of members."""

    weights: list[Tensor]
    inputs: Tensor
    labels: Tensor
    network: Network
    rule: Rule
    noise: dict[str, float | Tensor]
    stream: Stream
    loss: Loss
    batch_size: int | None
    fresh: Callable | None

    def run(self, record: Tensor, observe: Mapping, graph: bool, bar: tqdm):
        """The observations at ``record``, by name, and the weights after the last step."""
        plain = isinstance(self.network, Perceptron) and self.network.plain
        self.by_hand = PlainGradient(self.network, self.loss) if plain else None
        self.autograd = None if plain else AutogradGradient(self.network, self.loss, self.stream)
        self.memory = self.rule.start(self.weights)
        self.step = torch.zeros((), dtype=torch.int64, device=self.weights[0].device)
        first, device = self.stream.first, self.weights[0].device
        state = State(
            self.weights,
            self.inputs,
            self.labels,
            self.network,
            self.loss,
            torch.arange(first, first + self.stream.members, device=device),
        )
        seen = {name: [] for name in observe}
        with torch.no_grad():
            repeat = Repeat(self.advance, [*self.weights, *self.memory, self.step], graph=graph)
            done = 0
            for step in record.tolist():
                repeat(step - done, bar.update)
                done = step
                for name, look in observe.items():  # cloned: the weights go on moving in place
                    seen[name].append(look(state).clone())
        return {name: torch.stack(parts, 1) for name, parts in seen.items()}, self.weights

    def advance(self) -> None:
        """One step of every member, in place."""
        inputs, labels = self.samples()
        if self.by_hand is not None:
            gradient = lambda weights: self.by_hand(weights, inputs, labels)  # noqa: E731
        else:
            gradient = lambda weights: self.autograd(weights, inputs, labels, self.step)  # noqa: E731
        self.rule.advance(self.weights, gradient, self.memory)
        self.step += 1

    def samples(self) -> Samples:
        """What this step of training sees."""
        if self.fresh is not None:
            inputs, labels = self.fresh(self.stream, self.step)
        else:
            inputs, labels = self.inputs, self.labels
            if self.batch_size is not None:
                pick = self.stream.integers(
                    "mini-batch", self.step, (self.batch_size,), high=inputs.shape[-2]
                )
                inputs, labels = _picked(inputs, pick), _picked(labels, pick)
        return self._noisy("input", inputs), self._noisy("label", labels)

    def _noisy(self, name: str, clean: Tensor) -> Tensor:
        level = self.noise[name]
        if not isinstance(level, Tensor) and level == 0:
            return clean
        shape = tuple(clean.shape[-2:])
        draw = self.stream.normal(f"{name} noise", self.step, shape, dtype=clean.dtype)
        return clean + spread(level) * draw


def _picked(samples: Tensor, pick: Tensor) -> Tensor:
    """The samples of every member, (member, batch, column)."""
    if samples.ndim == 2:
        return samples[pick]
    return samples.gather(1, pick[..., None].expand(*pick.shape, samples.shape[-1]))


def _assembled(record: Tensor, pieces: list, batch: torch.Size, *, named: bool) -> Training:
    """The chunks joined to the ensemble that was asked for."""
    seen = {name: torch.cat([part[0][name] for part in pieces]) for name in pieces[0][0]}
    weights = [torch.cat(parts) for parts in zip(*(part[1] for part in pieces), strict=True)]
    finite = torch.stack([_finite(x, 2) for x in seen.values()]).all(0)  # (member, time)
    finite[:, -1] &= torch.stack([_finite(w, 1) for w in weights]).all(0)
    finite = finite.int().cummin(-1).values.bool()
    observed = {name: x.reshape(*batch, *x.shape[1:]) for name, x in seen.items()}
    return Training(
        record,
        observed if named else observed[""],
        [w.reshape(*batch, *w.shape[1:]) for w in weights],
        finite.reshape(*batch, len(record)),
    )


def _finite(x: Tensor, axes: int) -> Tensor:
    return torch.isfinite(x).reshape(*x.shape[:axes], -1).all(-1)


def _bar(total: int, progress: bool | None) -> tqdm:
    if progress is None:  # tqdm's notebook bar itself overlooks this variable
        progress = not os.environ.get("TQDM_DISABLE")
    return tqdm(total=total, desc="training", unit="step", delay=DELAY, disable=not progress)


def _flattened(thing: object, batch: torch.Size) -> object:
    """The same network, rule or number with every number per member on one axis."""

    def flatten(value: Tensor) -> Tensor:
        try:
            return value.expand(batch).reshape(-1)
        except RuntimeError:
            raise ValueError(
                f"numbers must be one per member, shape {tuple(batch)}, got {tuple(value.shape)}"
            ) from None

    return for_members(thing, flatten)


def _flatten_shared(x: Tensor, batch: torch.Size) -> Tensor:
    return x if x.ndim == 2 else x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])


def check_fit(weights: Weights, inputs: Tensor, labels: Tensor, network: Network) -> None:
    """Refuse layers, data, dtypes or devices that do not belong together."""
    if not weights:
        raise ValueError("weights must hold at least one layer, got none")
    batches = {tuple(w.shape[:-2]) for w in weights}
    if len(batches) > 1:
        raise ValueError(f"weights must have the same members in every tensor, got {batches}")
    kinds = {(x.dtype, x.device) for x in (*weights, inputs, labels)}
    if len(kinds) > 1:
        raise ValueError(f"weights, inputs and labels must share one dtype and device, got {kinds}")
    if isinstance(network, Perceptron):
        network.check(weights, inputs, labels)


def check_record(record: Tensor) -> None:
    """Refuse an axis of step numbers that is empty, negative or does not increase."""
    if record.ndim != 1 or len(record) == 0:
        raise ValueError(f"record must be one axis with entries, got shape {tuple(record.shape)}")
    if int(record[0]) < 0 or bool((record.diff() <= 0).any()):
        raise ValueError("record must be strictly increasing step numbers from 0 up")
