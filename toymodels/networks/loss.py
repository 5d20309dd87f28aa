"""Losses of every member of an ensemble: a number per member, the mean over its samples.

Any function (outputs, labels) -> (*batch,) is a loss. The slopes of these two are known here, so
that plain networks need no autograd.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def squared_error(
    outputs: Float[Tensor, "*batch sample output"], labels: Float[Tensor, "*labels sample output"]
) -> Float[Tensor, "*batch"]:
    """Half the squared error, summed over outputs, mean over samples."""
    return 0.5 * (outputs - labels).square().sum(-1).mean(-1)


def cross_entropy(
    outputs: Float[Tensor, "*batch sample output"], labels: Float[Tensor, "*labels sample output"]
) -> Float[Tensor, "*batch"]:
    """Cross-entropy of softmax(outputs) with ``labels``, a probability per class (one-hot)."""
    return -(labels * outputs.log_softmax(-1)).sum(-1).mean(-1)


def slope(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """d loss / d outputs, shape of ``outputs``. May write into ``outputs``."""
    if loss is squared_error:
        return outputs.sub_(labels).div_(labels.shape[-2])
    if loss is cross_entropy:  # probabilities need not add up to one
        total = labels.sum(-1, keepdim=True)
        return outputs.softmax(-1).mul_(total).sub_(labels).div_(labels.shape[-2])
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_(True)
        (error,) = torch.autograd.grad(loss(leaf, labels).sum(), leaf)
    return error
