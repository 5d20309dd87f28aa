"""Random numbers that depend on (seed, member, purpose) alone.

Member i of an ensemble gets the same draws alone, in a batch, in a chunk and on any device,
today and after a resume. Counter-based Philox makes that possible: the seed and the purpose
are its key, the member its counter.

    purpose   a word such as "weights" or "noise"; two purposes are independent streams
    first     number of the first member, so that a chunk can be drawn without its predecessors

TOYMODELS_SEED_SHIFT, an environment variable, is added to every seed: what a chapter says should
hold for other draws too, and ``make robustness`` looks. What is held against a stored run is drawn
``as_stored``.

``normal``, ``uniform`` and ``integers`` draw what a model starts from. A ``Stream`` gives fresh
draws at every step of a long training, in plain tensor operations: on any device, inside a CUDA
graph, and again the same for a member in any company.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from operator import index
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from toymodels.numerics.door import door

SHIFT = "TOYMODELS_SEED_SHIFT"
# increment and multipliers of SplitMix64 (Steele, Lea & Flood 2014), as signed numbers
STRIDE = 0x9E3779B97F4A7C15 - 2**64
FIRST_MIX = 0xBF58476D1CE4E5B9 - 2**64
SECOND_MIX = 0x94D049BB133111EB - 2**64


@door(origin="experiment")
def normal(
    seed: int,
    purpose: str,
    members: int,
    shape: tuple[int, ...],
    *,
    first: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """Standard normal draws, shape ``(members, *shape)``.

    Drawn in float64 on the CPU, then cast and moved, so that precision and device do not change
    them. Raises ValueError on a negative or fractional ``seed``, ``members`` or ``first``.
    """
    return _stack(
        lambda stream: stream.standard_normal(shape), seed, purpose, members, first, shape
    ).to(device=device, dtype=dtype)


@door(origin="experiment")
def uniform(
    seed: int,
    purpose: str,
    members: int,
    shape: tuple[int, ...],
    *,
    first: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """Uniform draws in [0, 1), shape ``(members, *shape)``; otherwise as ``normal``."""
    return _stack(lambda stream: stream.random(shape), seed, purpose, members, first, shape).to(
        device=device, dtype=dtype
    )


@door(origin="experiment")
def integers(
    seed: int,
    purpose: str,
    members: int,
    shape: tuple[int, ...],
    *,
    high: int,
    first: int = 0,
    device: torch.device | str | None = None,
) -> Tensor:
    """Whole numbers from 0 to ``high`` - 1, shape ``(members, *shape)``, dtype int64."""
    whole_number(high, "high", 1, "there is nothing to draw from")
    return _stack(
        lambda stream: stream.integers(high, size=shape), seed, purpose, members, first, shape
    ).to(device)


class Stream:
    """Draws that depend on (seed, member, purpose, step) alone, without any state.

    Every member and purpose has a random 64-bit key; key and step start a SplitMix64 sequence, of
    which entry i is a function of i. ``step`` is a whole number or, inside a CUDA graph, a tensor
    that holds one. Uniform and whole numbers are the same bits on every device, normal ones agree
    to the rounding of its logarithm. The results have shape ``(members, *shape)``. Without a seed
    nothing can be drawn: a draw raises ValueError.
    """

    def __init__(
        self,
        seed: int | None,
        members: int,
        *,
        first: int = 0,
        device: torch.device | str | None = None,
    ):
        self.seed = None if seed is None else whole_number(seed, "seed")
        self.first = whole_number(first, "first")
        self.members, self.device = whole_number(members, "members"), torch.device(device or "cpu")
        self._keys: dict[str, Tensor] = {}
        self._places: dict[int, Tensor] = {}

    def uniform(
        self,
        purpose: str,
        step: int | Tensor,
        shape: tuple[int, ...],
        *,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Uniform draws in [0, 1), with all the digits that ``dtype`` holds below 1."""
        digits = 24 if dtype == torch.float32 else 53
        bits = _shifted(self._bits(purpose, step, prod(shape)), 64 - digits)
        return bits.to(dtype).mul_(2.0**-digits).reshape(self.members, *shape)

    def normal(
        self,
        purpose: str,
        step: int | Tensor,
        shape: tuple[int, ...],
        *,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Standard normal draws (Box & Muller 1958)."""
        half = (prod(shape) + 1) // 2
        pair = self.uniform(purpose, step, (2, half), dtype=dtype)
        radius, angle = (-2 * torch.log1p(-pair[:, 0])).sqrt(), 2 * torch.pi * pair[:, 1]
        both = torch.cat([radius * angle.cos(), radius * angle.sin()], -1)
        return both[:, : prod(shape)].reshape(self.members, *shape)

    def integers(
        self, purpose: str, step: int | Tensor, shape: tuple[int, ...], *, high: int
    ) -> Tensor:
        """Whole numbers from 0 to ``high`` - 1, dtype int64."""
        whole_number(high, "high", 1, "there is nothing to draw from")
        bits = _shifted(self._bits(purpose, step, prod(shape)), 1)  # 63 bits: never negative
        return bits.remainder_(high).reshape(self.members, *shape)

    def _bits(self, purpose: str, step: int | Tensor, count: int) -> Tensor:
        if self.seed is None:
            raise ValueError(f"seed must be given, got None: there is something to draw, {purpose}")
        if purpose not in self._keys:
            keys = _stack(
                lambda stream: stream.integers(-(2**63), 2**63, dtype=np.int64, size=1),
                self.seed,
                f"stream {purpose}",
                self.members,
                self.first,
                (1,),
            )
            self._keys[purpose] = keys.to(self.device)
        if count not in self._places:
            self._places[count] = STRIDE * torch.arange(1, count + 1, device=self.device)
        # in tensors, which wrap around at 64 bits where a Python number grows
        stride = STRIDE * (torch.as_tensor(step, device=self.device) + 1)
        start = _mixed(self._keys[purpose] + stride)  # (members, 1)
        return _mixed(start + self._places[count])


def _mixed(bits: Tensor) -> Tensor:
    """SplitMix64's output function, in place; whole numbers wrap around at 64 bits."""
    bits.bitwise_xor_(_shifted(bits, 30)).mul_(FIRST_MIX)
    bits.bitwise_xor_(_shifted(bits, 27)).mul_(SECOND_MIX)
    return bits.bitwise_xor_(_shifted(bits, 31))


def _shifted(bits: Tensor, places: int) -> Tensor:
    """A right shift that fills up with zeros: torch's own copies the sign."""
    return (bits >> places).bitwise_and_(2 ** (64 - places) - 1)


def whole_number(value: object, name: str, least: int = 0, why: str = "") -> int:
    """``value`` if it is a whole number, not negative and ``least`` or more.

    Raises ValueError if not; ``why`` is the end of its sentence when the number is too small.
    """
    try:
        whole = index(value)  # NumPy's whole numbers and tensors that hold one, too
    except TypeError:
        whole = -1
    if isinstance(value, bool) or whole < 0:
        raise ValueError(f"{name} must be a non-negative whole number, got {value!r}")
    if whole < least:
        raise ValueError(f"{name} must be at least {least}, got {whole}: {why}")
    return whole


@contextmanager
def as_stored() -> Iterator[None]:
    """Draws without TOYMODELS_SEED_SHIFT, as those of a stored run were."""
    shift = os.environ.pop(SHIFT, None)
    try:
        yield
    finally:
        if shift is not None:
            os.environ[SHIFT] = shift


def _stack(
    draw: Callable[[np.random.Generator], np.ndarray],
    seed: int,
    purpose: str,
    members: int,
    first: int,
    shape: tuple[int, ...],
) -> Tensor:
    members, first = whole_number(members, "members"), whole_number(first, "first")
    shift = int(os.environ.get(SHIFT, 0))
    key = [whole_number(seed, "seed") + shift, crc32(purpose.encode())]
    streams = (
        np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, member]))
        for member in range(first, first + members)
    )
    rows = [draw(stream) for stream in streams]
    return torch.from_numpy(np.stack(rows) if rows else np.empty((0, *shape)))
