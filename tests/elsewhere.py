"""A second device for machines without a graphics card, to see which tensors stay behind.

The tensors of torch's ``meta`` device hold no numbers. Inside ``machine`` they do: a tensor there
wraps one of the processor, which does the work. What a graphics card refuses is refused: operations
on tensors of both devices, unless one is a number without axes or an index.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
MOVES = {torch.ops.aten._to_copy, torch.ops.aten.copy_}
INDEXED = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}
MAKERS = {torch.tensor, torch.as_tensor, torch.asarray}


@contextlib.contextmanager
def machine() -> Iterator[torch.device]:
    with _Makers(), _Operations():
        yield DEVICE


class Far(Tensor):
    """A tensor of the other device, and the one of the processor that does its work."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, near: Tensor):
        near = near.resolve_conj().resolve_neg()
        far = Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), dtype=near.dtype, device=DEVICE
        )
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return compute(operation, args, kwargs or {})

    def tolist(self):
        return self.near.tolist()

    def numpy(self, *, force=False):
        if not force:
            raise TypeError("a tensor of another device has no numpy: copy it to the processor")
        return self.near.numpy(force=True)


def compute(operation, args: tuple, kwargs: dict):
    """The operation by the processor, its results on the device of its arguments."""
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    kind, asked = operation.overloadpacket, kwargs.get("device")
    if kind not in MOVES:
        _refuse_mixtures(kind, given)
    if kind is torch.ops.aten.copy_:
        far = isinstance(args[0], Far)
    else:
        far = any(isinstance(x, Far) for x in given) if asked is None else asked == DEVICE
    near, options = tree_map(lambda x: x.near if isinstance(x, Far) else x, (args, kwargs))
    result = operation(*near, **options | ({} if asked is None else {"device": "cpu"}))
    same = {id(x.near): x for x in given if isinstance(x, Far)}  # of operations in place

    def wrapped(x):
        if not far or not isinstance(x, Tensor):
            return x
        return same[id(x)] if id(x) in same else Far(x)

    return tree_map(wrapped, result)


def _refuse_mixtures(kind, given: list[Tensor]) -> None:
    if not any(isinstance(x, Far) for x in given):
        return
    for place, x in enumerate(given):
        may_stay = x.ndim == 0 or (kind in INDEXED and place > 0)
        if not isinstance(x, Far) and not may_stay:
            raise RuntimeError(f"{kind}: all tensors must be on one device")


class _Operations(TorchDispatchMode):
    """Also those that make a tensor from none."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return compute(operation, args, kwargs or {})


class _Makers(TorchFunctionMode):
    """Makers of tensors from numbers fill the device below what a dispatch mode sees."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is Tensor.new_tensor and isinstance(args[0], Far):
            return args[0].near.new_tensor(*args[1:], **kwargs).to(DEVICE)
        if function not in MAKERS or kwargs.get("device") != DEVICE:
            return function(*args, **kwargs)
        if isinstance(args[0], Far):
            return args[0].to(kwargs.get("dtype"))
        return function(*args, **kwargs | {"device": "cpu"}).to(DEVICE)
