"""Random numbers that depend on (seed, member, purpose) alone.

Member i of an ensemble gets the same draws alone, in a batch, in a chunk and on any device,
today and after a resume. Counter-based Philox makes that possible: the seed and the purpose
are its key, the member its counter.

    purpose   a word such as "weights" or "noise"; two purposes are independent streams
    first     number of the first member, so that a chunk can be drawn without its predecessors
"""

from collections.abc import Callable
from zlib import crc32

import numpy as np
import torch
from torch import Tensor


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
    if whole_number(high, "high") < 1:
        raise ValueError(f"high must be at least 1, got {high}: there is nothing to draw from")
    return _stack(
        lambda stream: stream.integers(high, size=shape), seed, purpose, members, first, shape
    ).to(device)


def whole_number(value: object, name: str) -> int:
    """``value`` itself if it is a non-negative whole number; a ValueError says so if not."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a non-negative whole number, got {value!r}")
    return value


def _stack(
    draw: Callable[[np.random.Generator], np.ndarray],
    seed: int,
    purpose: str,
    members: int,
    first: int,
    shape: tuple[int, ...],
) -> Tensor:
    whole_number(members, "members"), whole_number(first, "first")
    key = [whole_number(seed, "seed"), crc32(purpose.encode())]
    streams = (
        np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, member]))
        for member in range(first, first + members)
    )
    rows = [draw(stream) for stream in streams]
    return torch.from_numpy(np.stack(rows) if rows else np.empty((0, *shape)))
