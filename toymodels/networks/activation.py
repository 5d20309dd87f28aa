"""Activations between two layers, and how errors travel back through them.

Any function that acts entry by entry is an activation. For the common ones the slope follows from
the signal they gave, which saves a pass over memory; for all others see ``numerics.entrywise``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.entrywise import derivatives, identity

Activation = Callable[[Tensor], Tensor]


@door
@dataclass(frozen=True)
class LeakyReLU:
    """z where z > 0, slope * z elsewhere; ``slope`` is a number or one per member, (*batch,)."""

    slope: float | Tensor

    def __call__(self, z: Tensor) -> Tensor:
        slope = spread(self.slope)
        return slope * z + (1 - slope) * z.relu()  # a choice between two tensors takes longer


def spread(value: float | Tensor) -> float | Tensor:
    """A number per member, shaped to multiply that member's matrices."""
    return value[..., None, None] if isinstance(value, Tensor) and value.ndim else value


def activate(activation: Activation, z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The signal, and the function that turns an error on the signal into one on ``z``.

    May write into ``z``, and the function into the error it is given and into the signal, which
    is not needed any more by then.
    """
    if activation is identity:
        return z, lambda error: error
    if activation in (torch.relu, torch.nn.functional.relu):
        signal = z.relu_()
        return signal, lambda error: error.mul_(signal > 0)
    if activation is torch.tanh:
        signal = _tanh_(z)
        return signal, lambda error: error.addcmul_(error, signal.square_(), value=-1)
    if isinstance(activation, LeakyReLU):
        # ones like z: a choice between two Python numbers would be made in float32
        rise = torch.where(z > 0, torch.ones_like(z), spread(activation.slope))
        return z.mul_(rise), lambda error: error.mul_(rise)
    signal, slope = derivatives(activation, z)
    return signal, lambda error: error.mul_(slope)


def _tanh_(z: Tensor) -> Tensor:
    """tanh in place; on a processor as E / (E + 2), E = exp(2 z) - 1, in half the time."""
    if z.device.type != "cpu":
        return z.tanh_()
    z.mul_(2).clamp_(max=40).expm1_()  # beyond 40 the quotient is one; far beyond E overflows
    return z.div_(z + 2)
