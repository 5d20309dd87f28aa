"""What a step of training sees: all samples, a few of them, or new ones.

    Samples   the same inputs and labels at every step
    Batches   some of them at every step, drawn for each member
    Fresh     new ones at every step

Any object with the three methods of ``Data`` will do. All draws depend on the seed, the member and
the step alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from torch import Tensor

from toymodels.networks.activation import spread
from toymodels.networks.network import for_members
from toymodels.numerics.door import door
from toymodels.numerics.draws import Stream, whole_number

Pair = tuple[
    Tensor, Tensor
]  # inputs (*members, sample, input) and labels (*members, sample, output)
Change = Callable[[Tensor], Tensor]


@runtime_checkable
class Data(Protocol):
    """What ``train`` asks of data."""

    @property
    def watched(self) -> "Samples | None":
        """The samples that a ``State`` shows."""
        ...

    def at(self, stream: Stream, step: int | Tensor) -> Pair:
        """The inputs and labels of one step, for the members of ``stream``."""
        ...

    def each(self, arrays: Change, numbers: Change) -> "Data":
        """A copy with changes to all inputs and labels, and to all numbers per member."""
        ...


@door
@dataclass(frozen=True)
class Samples:
    """Inputs (sample, input) and labels (sample, output); leading axes are those of the members.

    ``input_noise`` and ``label_noise`` are standard deviations of normal noise that every step
    draws anew, numbers or one per member (*batch,). What is observed has no noise.
    """

    inputs: Tensor
    labels: Tensor
    input_noise: float | Tensor = 0.0
    label_noise: float | Tensor = 0.0

    @property
    def watched(self) -> "Samples":
        """These samples."""
        return self

    def at(self, stream: Stream, step: int | Tensor) -> Pair:
        """All samples."""
        return self.noisy(self.inputs, self.labels, stream, step)

    def noisy(self, inputs: Tensor, labels: Tensor, stream: Stream, step: int | Tensor) -> Pair:
        """``inputs`` and ``labels`` with the noise of a step."""
        return (
            _noisy("input noise", self.input_noise, inputs, stream, step),
            _noisy("label noise", self.label_noise, labels, stream, step),
        )

    def each(self, arrays: Change, numbers: Change) -> "Samples":
        """A copy with changes to inputs and labels, and to numbers per member."""
        noise = (for_members(level, numbers) for level in (self.input_noise, self.label_noise))
        return Samples(arrays(self.inputs), arrays(self.labels), *noise)


@door
@dataclass(frozen=True)
class Batches:
    """``size`` of the samples at every step, drawn with replacement for each member.

    Raises ValueError on a size that is not a positive whole number.
    """

    samples: Samples
    size: int

    def __post_init__(self):
        if whole_number(self.size, "size") < 1:
            raise ValueError(f"size must be a positive whole number, got {self.size}")

    @property
    def watched(self) -> Samples:
        """All samples."""
        return self.samples

    def at(self, stream: Stream, step: int | Tensor) -> Pair:
        """The mini-batch of every member."""
        inputs, labels = self.samples.inputs, self.samples.labels
        pick = stream.integers("mini-batch", step, (self.size,), high=inputs.shape[-2])
        return self.samples.noisy(_picked(inputs, pick), _picked(labels, pick), stream, step)

    def each(self, arrays: Change, numbers: Change) -> "Batches":
        """A copy with changes to inputs and labels, and to numbers per member."""
        return replace(self, samples=self.samples.each(arrays, numbers))


@door
@dataclass(frozen=True)
class Fresh:
    """``draw(stream, step)`` -> (inputs, labels), new ones for each member of the stream.

    Their shapes are (member, sample, input) and (member, sample, output). The members are
    ``stream.first`` and those after it, of the flattened ensemble; ``draw`` may use nothing random
    but the stream. ``watched`` are samples to observe the members on.
    """

    draw: Callable[[Stream, int | Tensor], Pair]
    watched: Samples | None = None

    def at(self, stream: Stream, step: int | Tensor) -> Pair:
        """What ``draw`` gives."""
        return self.draw(stream, step)

    def each(self, arrays: Change, numbers: Change) -> "Fresh":
        """A copy with changes to the samples that are watched."""
        return (
            self
            if self.watched is None
            else replace(self, watched=self.watched.each(arrays, numbers))
        )


def _picked(samples: Tensor, pick: Tensor) -> Tensor:
    """The samples of every member, (member, batch, column)."""
    if samples.ndim == 2:
        return samples[pick]
    return samples.gather(1, pick[..., None].expand(*pick.shape, samples.shape[-1]))


def _noisy(
    name: str, level: float | Tensor, clean: Tensor, stream: Stream, step: int | Tensor
) -> Tensor:
    if not isinstance(level, Tensor) and level == 0:
        return clean
    draw = stream.normal(name, step, tuple(clean.shape[-2:]), dtype=clean.dtype)
    return clean + spread(level) * draw
