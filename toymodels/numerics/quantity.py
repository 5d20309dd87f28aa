"""A quantity of a model: one number for all, one per problem, or one per entry."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def per_entry(name: str, value: float | int | Tensor, like: Tensor, *, axes: int = 1) -> Tensor:
    """``value`` shaped like ``like``, (*batch, *state) with ``axes`` axes of state.

    It may be a number, one per problem (*batch,), or one per entry (*batch, *state); a tensor
    whose axes fit both ways counts as one per entry. Takes dtype and device of ``like``.
    Raises ValueError, naming the argument ``name``, on any other shape.
    """
    found = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    batch = like.shape[: like.ndim - axes]
    if 0 < found.ndim <= like.ndim - axes:  # one per problem
        found = found[(..., *[None] * axes)]
    try:
        return found.expand_as(like)
    except RuntimeError:
        raise ValueError(
            f"{name} must be a number or have shape {tuple(batch)} or {tuple(like.shape)}, "
            f"got {tuple(torch.as_tensor(value).shape)}"
        ) from None


def per_problem(
    name: str, value: float | int | Tensor, batch: tuple[int, ...], like: Tensor
) -> Tensor:
    """``value``, a number or one per problem, as (*batch,) in dtype and device of ``like``.

    Raises ValueError, naming the argument ``name``, on any other shape.
    """
    found = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    try:
        return found.expand(batch)
    except RuntimeError:
        raise ValueError(
            f"{name} must be a number or have shape {tuple(batch)}, got {tuple(found.shape)}"
        ) from None


@contextmanager
def leading_axes_fit() -> Iterator[None]:
    """Around a broadcast of what the caller gave: a ValueError where the axes do not fit."""
    try:
        yield
    except RuntimeError as problem:
        raise ValueError(f"the leading axes must fit each other: {problem}") from problem


def together(*values: float | int | Tensor) -> tuple[Tensor, ...]:
    """The values as float64 tensors of one shape, on the device of the first tensor.

    Raises ValueError unless their axes fit each other.
    """
    device = next((value.device for value in values if isinstance(value, Tensor)), None)
    tensors = [torch.as_tensor(value, dtype=torch.float64, device=device) for value in values]
    with leading_axes_fit():
        return torch.broadcast_tensors(*tensors)


def require(name: str, value: Tensor, good: Tensor, what: str, why: str) -> None:
    """Refuse the argument ``name`` where it is not ``good``, or not finite: a ValueError says why.

    ``what`` it must be, such as "positive", and ``why`` are the ends of the sentence.
    """
    bad = ~(good & torch.isfinite(value))
    if bool(bad.any()):
        raise ValueError(f"{name} must be {what}, got {float(value[bad][0]):g}: {why}")
