"""Many small networks trained as one stack.

    weights   list of tensors (*batch, out, in); the leading axes are the members
    network   a function (weights, inputs) -> outputs: see ``network``
    data      what a step of training sees: see ``data``
    rule      how a gradient becomes a step: see ``rules``
    observe   what to keep of a ``State``, at the steps in ``record``; nothing else is stored

All members advance in one call per layer. They never see each other: a member alone, in a batch or
in a chunk follows the same path, and one that leaves the finite numbers leaves alone. On a GPU the
steps between two records run as CUDA graphs.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from toymodels.networks.chunks import chunk_size
from toymodels.networks.data import Data, Samples
from toymodels.networks.graph import Repeat
from toymodels.networks.loss import Loss, squared_error
from toymodels.networks.network import (
    AutogradGradient,
    Network,
    Perceptron,
    PlainGradient,
    Weights,
    checked_weights,
    each_its_own,
    for_members,
)
from toymodels.networks.rules import Rule
from toymodels.networks.tangent import feature_kernels, tangent_kernel
from toymodels.numerics.door import door
from toymodels.numerics.draws import Stream, whole_number

DELAY = 3  # seconds of work before a progress bar appears


@dataclass(frozen=True)
class State:
    """Some members of an ensemble at one step, with the axes of the members flattened to one."""

    weights: Weights
    samples: Samples | None  # what the data show; see ``data``
    network: Network
    loss: Loss
    members: Int[Tensor, " member"]  # their places in the flattened ensemble

    @property
    def inputs(self) -> Tensor:
        """Of the samples, (sample, input) or (member, sample, input)."""
        return self._watched.inputs

    @property
    def labels(self) -> Tensor:
        """Of the samples, (sample, output) or (member, sample, output)."""
        return self._watched.labels

    @property
    def _watched(self) -> Samples:
        if self.samples is None:
            raise ValueError("watched must be given to observe on samples: Fresh(draw, watched)")
        return self.samples

    def outputs(self, inputs: Tensor | None = None) -> Float[Tensor, "member sample output"]:
        """Outputs on the samples of the data or on others, without dropout."""
        return self.network(self.weights, self.inputs if inputs is None else inputs)

    def losses(self) -> Float[Tensor, " member"]:
        """The loss of every member on the samples."""
        return self.loss(self.outputs(), self.labels)

    def tangent_kernel(self) -> Float[Tensor, "member sample sample output output"]:
        """Of the samples; see ``tangent``."""
        return tangent_kernel(self.network, self.weights, self.inputs)

    def feature_kernels(self) -> Float[Tensor, "member layer sample sample"]:
        """Of the samples after every hidden layer of a Perceptron; see ``tangent``."""
        if not isinstance(self.network, Perceptron):
            raise ValueError("network must be a Perceptron: other functions have no hidden layers")
        return feature_kernels(self.network, self.weights, self.inputs)


@dataclass(frozen=True)
class Training:
    """What training left behind."""

    step: Int[Tensor, " time"]
    observed: dict[str, Tensor]  # (*batch, time, *observed), under the names of ``observe``
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


@door(origin="experiment")
def train(
    weights: Weights,
    data: Data,
    *,
    rule: Rule,
    record: Int[Tensor, " time"] | Sequence[int | float],
    observe: Mapping[str, Callable[[State], Tensor]],
    network: Network | None = None,
    loss: Loss = squared_error,
    seed: int | None = None,
    chunk: int | None = None,
    graph: bool | None = None,
    progress: bool | None = None,
) -> Training:
    """Train every member and keep ``observe`` at the steps in ``record``.

    ``data`` are ``Samples``, ``Batches`` or ``Fresh``, see ``data``; their draws, and dropout,
    depend on ``seed``, the member and the step alone. Where nothing is drawn no seed is needed.
    ``network`` is a linear Perceptron unless given. Numbers in ``network``, ``rule`` and ``data``
    may be one per member, shape (*batch,).

    ``chunk`` members are trained at a time: as many as the cache or the GPU holds unless given. It
    never changes a result. ``graph`` False keeps a GPU from capturing CUDA graphs. A progress bar
    appears on long work unless ``progress`` is False or TQDM_DISABLE is set.

    A member that diverges is flagged in ``Training.finite`` and does not disturb the others.
    Raises ValueError on shapes, dtypes or devices that do not fit, on draws without a seed, and on
    a ``record`` that does not hold whole numbers in increasing order.
    """
    network = Perceptron() if network is None else network
    record = whole_steps(record)
    check_observe(observe)
    weights = checked_weights(weights)
    batch = weights[0].shape[:-2]
    flat = [w.reshape(-1, *w.shape[-2:]) for w in weights]
    network, rule = (for_members(x, _flatten(batch)) for x in (network, rule))
    data = data.each(_flatten_shared(batch), _flatten(batch))
    seen = data.at(Stream(seed, 1, device=flat[0].device), flat[0].new_zeros((), dtype=torch.int64))
    for inputs, labels in (seen, *_pair(data.watched)):
        check_fit(flat, inputs, labels, network)
    if chunk is not None and whole_number(chunk, "chunk") < 1:
        raise ValueError(f"chunk must be a positive whole number, got {chunk}")
    size = chunk or chunk_size(flat, seen[0])
    starts = range(0, len(flat[0]), size)
    pieces = []
    with _bar(int(record[-1]) * len(starts), progress) as bar:
        for first in starts:
            part = slice(first, min(first + size, len(flat[0])))
            mine = lambda v, part=part: v[part]  # noqa: E731
            taken = Chunk(
                [w[part].clone(memory_format=torch.contiguous_format) for w in flat],
                data.each(lambda x, mine=mine: x if x.ndim == 2 else mine(x), mine),
                *(for_members(x, mine) for x in (network, rule)),
                Stream(seed, part.stop - first, first=first, device=flat[0].device),
                loss,
            )
            pieces.append(taken.run(record, observe, graph is not False, bar))
    return _assembled(record, pieces, batch)


@dataclass
class Chunk:
    """Members that are trained together; every tensor carries one axis of members."""

    weights: list[Tensor]
    data: Data
    network: Network
    rule: Rule
    stream: Stream
    loss: Loss

    def run(self, record: Tensor, observe: Mapping, graph: bool, bar: tqdm):
        """The observations at ``record``, by name, and the weights after the last step."""
        plain = isinstance(self.network, Perceptron) and self.network.plain
        self.by_hand = PlainGradient(self.network, self.loss) if plain else None
        self.autograd = None if plain else AutogradGradient(self.network, self.loss, self.stream)
        self.memory = self.rule.start(self.weights)
        self.step = torch.zeros((), dtype=torch.int64, device=self.weights[0].device)
        first, device = self.stream.first, self.weights[0].device
        members = torch.arange(first, first + self.stream.members, device=device)
        state = State(self.weights, self.data.watched, self.network, self.loss, members)
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
        inputs, labels = self.data.at(self.stream, self.step)
        if self.by_hand is not None:
            gradient = lambda weights: self.by_hand(weights, inputs, labels)  # noqa: E731
        else:
            gradient = lambda weights: self.autograd(weights, inputs, labels, self.step)  # noqa: E731
        self.rule.advance(self.weights, gradient, self.memory)
        self.step += 1


def _assembled(record: Tensor, pieces: list, batch: torch.Size) -> Training:
    """The chunks joined to the ensemble that was asked for."""
    seen = {name: torch.cat([part[0][name] for part in pieces]) for name in pieces[0][0]}
    weights = [torch.cat(parts) for parts in zip(*(part[1] for part in pieces), strict=True)]
    finite = torch.stack([_finite(w, 1) for w in weights]).all(0)[:, None]  # (member, time)
    finite = finite | (torch.arange(len(record), device=finite.device) < len(record) - 1)
    for x in seen.values():
        finite = finite & _finite(x, 2)
    finite = finite.int().cummin(-1).values.bool()
    return Training(
        record,
        {name: x.reshape(*batch, *x.shape[1:]) for name, x in seen.items()},
        [w.reshape(*batch, *w.shape[1:]) for w in weights],
        finite.reshape(*batch, len(record)),
    )


def _finite(x: Tensor, axes: int) -> Tensor:
    return torch.isfinite(x).reshape(*x.shape[:axes], -1).all(-1)


def _bar(total: int, progress: bool | None) -> tqdm:
    if progress is None:  # tqdm's notebook bar itself overlooks this variable
        progress = not os.environ.get("TQDM_DISABLE")
    return tqdm(total=total, desc="training", unit="step", delay=DELAY, disable=not progress)


def _pair(samples: Samples | None) -> list[tuple[Tensor, Tensor]]:
    return [] if samples is None else [(samples.inputs, samples.labels)]


def _flatten(batch: torch.Size) -> Callable[[Tensor], Tensor]:
    """Numbers per member brought to one axis."""

    def flatten(value: Tensor) -> Tensor:
        try:
            return value.expand(batch).reshape(-1)
        except RuntimeError:
            raise ValueError(
                f"numbers must be one per member, shape {tuple(batch)}, got {tuple(value.shape)}"
            ) from None

    return flatten


def _flatten_shared(batch: torch.Size) -> Callable[[Tensor], Tensor]:
    """Samples per member brought to one axis of members; shared ones stay as they are."""
    return lambda x: x if x.ndim == 2 else each_its_own("samples", x, batch)


def check_fit(weights: Weights, inputs: Tensor, labels: Tensor, network: Network) -> None:
    """Refuse data, dtypes or devices that do not belong to the weights."""
    kinds = {(x.dtype, x.device) for x in (*weights, inputs, labels)}
    if len(kinds) > 1:
        raise ValueError(f"weights, inputs and labels must share one dtype and device, got {kinds}")
    if isinstance(network, Perceptron):
        network.check(weights, inputs, labels)


def check_observe(observe: object) -> None:
    """Refuse what are not names with functions."""
    if not isinstance(observe, Mapping) or not all(map(callable, observe.values())):
        raise ValueError(
            f"observe must be names with functions of a State, got {observe!r}: "
            'write observe={"loss": State.losses}'
        )


def whole_steps(record: Tensor | Sequence[int | float]) -> Int[Tensor, " time"]:
    """``record`` as whole numbers; refuses what are none, or do not increase from 0 up."""
    try:
        steps = torch.as_tensor(record)
    except (TypeError, ValueError):
        raise ValueError(f"record must hold whole numbers of steps, got {record!r}") from None
    if steps.ndim != 1 or len(steps) == 0:
        raise ValueError(f"record must be one axis with entries, got shape {tuple(steps.shape)}")
    if not torch.equal(steps, steps.round()):  # false of NaN too
        raise ValueError(f"record must hold whole numbers of steps, got {steps.tolist()}")
    if int(steps[0]) < 0 or bool((steps.diff() <= 0).any()):
        raise ValueError("record must be strictly increasing step numbers from 0 up")
    return steps.long()
