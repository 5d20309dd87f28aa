"""Where a number comes from: out of a theory or out of an experiment.

What ``theory`` returns must not be called measured. So results remember which side they come from,
through all that is computed from them, once a page of the book asks for it with ``follow``.
Without it nothing is marked, and every result is a plain tensor.

A number that leaves torch, by ``float``, ``.numpy()`` or ``.tolist()``, forgets its origin.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace

import torch
from torch import Tensor

_following = False


class Traced(Tensor):
    """A tensor whose offspring remembers where it came from."""

    origin: frozenset[str]

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        if not isinstance(result, Tensor | tuple | list):  # a shape, a number, a flag
            return result
        return _wrapped(result, of((args, kwargs)))

    def __repr__(self, **how) -> str:
        return self.as_subclass(Tensor).__repr__(**how)

    def __format__(self, form: str) -> str:
        return self.as_subclass(Tensor).__format__(form)

    def __deepcopy__(self, memo: dict) -> "Traced":
        return _wrapped(deepcopy(self.as_subclass(Tensor), memo), self.origin)


def follow() -> None:
    """From now on mark what comes out of a theory or an experiment."""
    global _following
    _following = True


def following() -> bool:
    """Whether results are marked."""
    return _following


def of(thing: object) -> frozenset[str]:
    """All origins of the tensors in ``thing``, at any depth."""
    found = frozenset()
    for tensor in _tensors(thing):
        found |= getattr(tensor, "origin", frozenset())
    return found


def marked(thing: object, origin: str) -> object:
    """``thing`` with every tensor in it marked as coming from ``origin`` alone."""
    return _changed(plain(thing), lambda x: _wrapped(x, frozenset([origin])))


def plain(thing: object) -> object:
    """``thing`` without any mark: what is computed from it is the work of the next function."""
    return _changed(thing, lambda x: x.as_subclass(Tensor) if isinstance(x, Traced) else x)


def _wrapped(result: object, origin: frozenset[str]) -> object:
    if isinstance(result, Tensor):
        result = result if isinstance(result, Traced) else result.as_subclass(Traced)
        result.origin = origin
        return result
    return _changed(result, lambda x: _wrapped(x, origin))


def _tensors(thing: object) -> Iterator[Tensor]:
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, Mapping):
        yield from _tensors(list(thing.values()))
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from _tensors(part)
    elif is_dataclass(thing) and not isinstance(thing, type):
        yield from _tensors([getattr(thing, f.name) for f in fields(thing)])


def _changed(thing: object, change: Callable[[Tensor], Tensor]) -> object:
    """A copy of ``thing`` with ``change`` done to its tensors; itself where it has none."""
    if isinstance(thing, Tensor):
        return change(thing)
    if not any(True for _ in _tensors(thing)):
        return thing
    if isinstance(thing, Mapping):
        return {key: _changed(value, change) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        parts = [_changed(part, change) for part in thing]
        named = hasattr(thing, "_fields")  # a NamedTuple takes its parts one by one
        return type(thing)(*parts) if named else type(thing)(parts)
    inside = {f.name: _changed(getattr(thing, f.name), change) for f in fields(thing) if f.init}
    return replace(thing, **inside)
