"""Functions that act entry by entry, such as activations, and their slopes.

None stands for the identity, the activation of a linear network. Any function of a tensor will do,
one that writes into its argument too (``nn.ReLU(inplace=True)``): it is handed a copy.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from toymodels.numerics.door import Untouched

Function = Callable[[Tensor], Tensor]


def identity(z: Tensor) -> Tensor:
    """z itself: the activation of a linear network."""
    return z


def entrywise(function: Function | None, name: str = "activation") -> Function:
    """``function`` so that its argument is left alone; ``identity`` if that is what it does.

    It is looked at from -1e6 to 1e6. Raises ValueError, which calls it ``name``, unless it gives a
    real number for every entry.
    """
    if function is None or function is identity:
        return identity
    if not callable(function):
        raise ValueError(f"{name} must be a function of a tensor or None, got {function!r}")
    one_side = torch.logspace(-6, 6, 49, dtype=torch.float64)
    given = torch.cat([-one_side, one_side])
    kept = given.clone()
    try:
        found = function(given)
    except RuntimeError:  # parameters of another dtype or device: it cannot be looked at
        return Untouched(function)
    if not isinstance(found, Tensor) or found.shape != kept.shape or found.is_complex():
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"{name} must act entry by entry, with real values, "
            f"got {shape} from {tuple(kept.shape)}"
        )
    if torch.equal(found, kept):
        return identity
    return function if torch.equal(given, kept) else Untouched(function)


def derivatives(function: Function | None, z: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """The value at ``z``, the slope and on to the derivative of ``order``, by autograd.

    A derivative that does not exist is 0, as of ReLU at 0. Raises ValueError on a function that
    autograd cannot follow.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = z.detach().clone().requires_grad_(True)
        found = [leaf.clone() if function is None else function(leaf.clone())]
        if not found[0].requires_grad:
            raise ValueError("activation must be differentiable by autograd: its slope is needed")
        for more in reversed(range(order)):
            last, slope = found[-1], torch.zeros_like(leaf)
            if last.requires_grad:
                (slope,) = torch.autograd.grad(last.sum(), leaf, create_graph=more > 0)
            found.append(slope)
    return tuple(part.detach() for part in found)
