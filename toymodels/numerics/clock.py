"""Time in whole steps, and the first moment at which something happens."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.quantity import per_problem


@dataclass(frozen=True)
class Clock:
    """The steps at which a run of equal steps is looked at.

    ``record`` are the steps, strictly increasing from 0 up; ``time`` are the moments at which they
    end, not the ones that were asked for.
    """

    record: Int[Tensor, " time"]
    step: float
    dtype: torch.dtype

    @property
    def time(self) -> Float[Tensor, " time"]:
        return self.record.to(self.dtype) * self.step


@door
def ticks(time: Float[Tensor, " time"], step: float) -> Clock:
    """``time``, rounded to whole steps of length ``step``.

    Raises ValueError on times that are unsorted, negative or not finite, on a step that is not
    positive, and when two times fall on one step.
    """
    check_time(time)
    if not 0 < step < float("inf"):
        raise ValueError(f"step must be positive and finite, got {step}")
    record = torch.round(time.double() / step).long()
    same = (record.diff() <= 0).nonzero()
    if len(same):
        first = int(same[0])
        raise ValueError(
            f"time must have at most one entry per step of {step:g}, got "
            f"{float(time[first]):g} and {float(time[first + 1]):g}, both on step "
            f"{int(record[first])}"
        )
    return Clock(record, step, time.dtype)


def check_time(time: Float[Tensor, " time"]) -> None:
    """Refuse a time axis that is empty, negative, unsorted or not finite."""
    if time.ndim != 1 or len(time) == 0:
        raise ValueError(f"time must be one axis with entries, got shape {tuple(time.shape)}")
    if not bool(torch.isfinite(time).all()):
        raise ValueError("time must be finite, got NaN or infinity")
    if float(time[0]) < 0 or bool((time.diff() < 0).any()):
        raise ValueError("time must be sorted and non-negative: the start is at time 0")


@door
def first_passage(
    time: Float[Tensor, " time"],
    path: Float[Tensor, "*batch time"],
    level: float | Float[Tensor, "*#batch"],
) -> Float[Tensor, "*batch"]:
    """The first moment at which a path on record reaches ``level`` from below.

    Straight lines between the records; infinite for a path that never reaches it, the first time
    on record for one that starts above. For falling paths pass both with the other sign.
    """
    level = per_problem("level", level, path.shape[:-1], path)[..., None]
    above = path >= level
    last = above.int().argmax(-1, keepdim=True)  # of the first record above
    before = (last - 1).clamp(min=0)
    low, high = path.gather(-1, before), path.gather(-1, last)
    start, end = (time.to(path)[place] for place in (before, last))
    share = ((level - low) / (high - low)).clamp(0, 1)
    moment = torch.where(last > 0, start + share * (end - start), end)
    return torch.where(above.any(-1, keepdim=True), moment, torch.inf)[..., 0]
