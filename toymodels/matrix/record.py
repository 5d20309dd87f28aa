"""What every candidate hands back: its predictions over time."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.matrix.tasks import Task
from toymodels.numerics import first_passage
from toymodels.numerics.door import door


@dataclass(frozen=True)
class Record:
    """Coefficients of monomials over the time of a candidate.

    ``time`` increases; it is steps times rate for a flow, the inverse ridge for kernel ridge, the
    number of samples for a procedure without time. Errors are mean squares. The batch of a
    candidate is (problem, member).
    """

    time: Float[Tensor, " time"]
    coefficient: Float[Tensor, "*batch time feature"]
    error: Float[Tensor, "*batch time"]  # on fresh inputs, without the noise of labels
    train_error: Float[Tensor, "*batch time"] | None = None  # on noisy labels


@door
def from_coefficients(
    task: Task, time: Tensor, coefficient: Tensor, train_error: Tensor | None = None
) -> Record:
    """The record of a function that is a sum of the monomials of its task."""
    axes = (slice(None), *[None] * (coefficient.ndim - 2))
    error = (coefficient - task.target[axes].to(coefficient)).square().sum(-1)
    return Record(time, coefficient, error, train_error)


@door
def half_times(task: Task, record: Record) -> Float[Tensor, "*batch feature"]:
    """First moments at which coefficients reach half of their targets; infinite for those that
    never do, and for monomials that are not in the target."""
    beta = task.target[(slice(None), *[None] * (record.coefficient.ndim - 2))]
    share = torch.where(beta != 0, record.coefficient / beta, -1.0)
    return first_passage(record.time, share.movedim(-1, -2).contiguous(), 0.5)
