"""The door of the package: what people type becomes what a function declares, or a sentence.

A public function says by its annotations what it takes. ``door`` reads them, once, and then

- makes tensors of lists, arrays and NumPy scalars, and whole numbers floating where that is meant;
- gives all floating tensors of a call the dtype of the model, or the widest dtype among them;
- makes Python numbers of NumPy's and of tensors that hold one, where a number is declared;
- keeps functions that work in place from writing into what they are given;
- leaves inference mode, which would keep networks from training;
- refuses all else by a ValueError that names the argument: NaN, complex numbers, words, a wrong
  number of axes, an empty axis, axes of one name that differ.

What a value must be besides, positive or sorted, is the business of the function.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, wraps
from operator import index

import numpy as np
import torch
from torch import Tensor

from toymodels.numerics import origin as origins

Side = typing.Literal["theory", "experiment"]
PROBE = torch.linspace(-2, 2, 5, dtype=torch.float64)
_inside: ContextVar[bool] = ContextVar("inside the package", default=False)


class Home(typing.NamedTuple):
    """Where the tensors of a call live."""

    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class Axes:
    """A tensor as jaxtyping declares it."""

    names: tuple[str | int | None, ...]  # one per axis; None for any number of axes, 1 allowed
    floating: bool  # only floating numbers
    whole: bool  # only whole numbers
    flags: bool  # only True and False
    complex: bool  # complex numbers too

    @property
    def text(self) -> str:
        """How a reader of a sentence is told."""
        shown = ", ".join("..." if name is None else str(name) for name in self.names)
        numbers = "flags" if self.flags else "whole numbers" if self.whole else "numbers"
        return f"a tensor of {numbers} with axes ({shown})" if self.names else "one number"


class Untouched:
    """A function that works in place, kept from its arguments."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x.clone())


@dataclass(frozen=True)
class Parameter:
    """One declared parameter and what it may be."""

    name: str
    choices: tuple[object, ...]

    @cached_property
    def axes(self) -> tuple[Axes, ...]:
        return tuple(_axes(choice) for choice in self.choices if _is_array(choice))

    def __call__(self, value: object, home: Home) -> object:
        """``value`` as declared; a ValueError says what it must be."""
        if value is None and type(None) in self.choices:
            return None
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
            value = value.item()
        if isinstance(value, range):
            value = list(value)
        if isinstance(value, str) and torch.device in self.choices:
            return self._device(value)
        for convert in (self._number, self._tensor, self._function, self._sequence):
            found = convert(value, home)
            if found is not None:
                return found
        if self._fits(value):
            return value
        raise ValueError(f"{self.name} must be {self.text}, got {shown(value)}")

    def _device(self, word: str) -> torch.device:
        try:
            return torch.device(word)
        except RuntimeError:
            raise ValueError(f"{self.name} must be the name of a device, got {word!r}") from None

    @property
    def _takes_lists(self) -> bool:
        return any(typing.get_origin(choice) is Sequence for choice in self.choices)

    @property
    def text(self) -> str:
        words = {int: "a whole number", float: "a number", bool: "True or False", str: "a word"}
        words |= {type(None): "None", Tensor: "a tensor"}
        found = [axes.text for axes in self.axes]
        for choice in self.choices:
            if not _is_array(choice) and not (choice is int and float in self.choices):
                name = getattr(choice, "__name__", str(choice))
                found.append("a function" if _is_function(choice) else words.get(choice, name))
        return " or ".join(dict.fromkeys(found))

    def _number(self, value: object, home: Home) -> object:
        one = isinstance(value, Tensor) and value.ndim == 0 and Tensor not in self.choices
        if one and not self.axes and {int, float} & {*self.choices}:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if isinstance(value, int) and int in self.choices:
            return value
        if float in self.choices:
            if value != value:
                raise ValueError(f"{self.name} must be a number, got NaN")
            return float(value)
        return None

    def _tensor(self, value: object, home: Home) -> object:
        if not self.axes and Tensor not in self.choices:
            return None
        if isinstance(value, bool | str | bytes) or not _is_numbers(value):
            return None
        if isinstance(value, list | tuple) and self._takes_lists:  # of numbers per layer, say
            return None
        tensor = value if isinstance(value, Tensor) else self._made(value, home)
        problems = []
        for axes in self.axes or (None,):
            try:
                return self._declared(tensor, axes, home)
            except ValueError as problem:
                problems.append(problem)
        raise problems[0]

    def _made(self, value: object, home: Home) -> Tensor:
        """A tensor of a list or an array; Python's numbers have no precision of their own."""
        try:
            tensor = torch.from_numpy(np.array(value)).to(home.device)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"{self.name} must be {self.text}, got {shown(value)}") from None
        own = isinstance(value, np.ndarray) or not tensor.is_floating_point()
        return tensor if own else tensor.to(home.dtype)

    def _declared(self, tensor: Tensor, axes: Axes | None, home: Home) -> Tensor:
        """``tensor`` with the kind of numbers and as many axes as declared."""
        kind = tensor.dtype
        refusal = f"{self.name} must be {self.text}, got {shown(tensor)}"
        if kind == torch.bool and not (axes and axes.flags):
            raise ValueError(refusal)
        if kind.is_complex and not (axes and axes.complex):
            raise ValueError(refusal)
        if axes and (axes.flags and kind != torch.bool or axes.whole and not _whole(tensor)):
            raise ValueError(refusal)
        if axes and axes.whole:
            tensor = tensor.long()
        elif not kind.is_floating_point and not kind.is_complex and (not axes or axes.floating):
            tensor = tensor.to(home.dtype)
        if axes:
            self._check_axes(tensor, axes)
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise ValueError(f"{self.name} must not hold NaN, got {shown(tensor)}")
        return tensor

    def _check_axes(self, tensor: Tensor, axes: Axes) -> None:
        named = [name for name in axes.names if name is not None]
        any_number = len(named) < len(axes.names)
        if tensor.ndim < len(named) or (tensor.ndim > len(named) and not any_number):
            raise ValueError(f"{self.name} must be {axes.text}, got {shown(tensor)}")
        own = tensor.shape[tensor.ndim - len(named) :]  # a batch may have no problems
        if 0 in own:
            raise ValueError(f"{self.name} must not be empty, got {shown(tensor)}")

    def _function(self, value: object, home: Home) -> object:
        declared = [choice for choice in self.choices if _is_function(choice)]
        if not declared or not callable(value):
            return None
        if not any(typing.get_args(choice) == ([Tensor], Tensor) for choice in declared):
            return value
        return untouched(value, self.name)

    def _sequence(self, value: object, home: Home) -> object:
        """Arrays and tensors where a row of whole numbers is declared."""
        rows = [c for c in self.choices if typing.get_origin(c) in (Sequence, tuple)]
        if not any(typing.get_args(c)[:1] == (int,) for c in rows):
            return None
        if isinstance(value, np.ndarray | Tensor) and value.ndim == 1:
            value = tuple(value.tolist())
        if not isinstance(value, list | tuple):
            return None
        try:
            if any(isinstance(x, bool) for x in value):
                raise TypeError
            return type(value)(map(index, value))
        except TypeError:
            raise ValueError(
                f"{self.name} must be a row of whole numbers, got {shown(value)}"
            ) from None

    def _fits(self, value: object) -> bool:
        """Whether nothing declared speaks against a value that needs no change."""
        return any(self._allows(choice, value) for choice in self.choices)

    @staticmethod
    def _allows(choice: object, value: object) -> bool:
        if _is_function(choice):
            return False
        if not isinstance(choice, type):
            outer = typing.get_origin(choice)
            if outer is typing.Literal:
                return value in typing.get_args(choice)
            # what is inside, the function itself will see
            return not isinstance(outer, type) or (
                isinstance(value, outer) and not isinstance(value, str)
            )
        if choice in (int, float) or _is_array(choice):
            return False  # would have been converted
        try:
            return isinstance(value, choice)
        except TypeError:  # a protocol that cannot be checked
            return True


def door(target=None, *, origin: Side | None = None):
    """Let ``target``, a public function or a frozen dataclass, take what people type.

    ``origin`` is the side that results belong to, whatever went in: see
    ``toymodels.numerics.origin``. Without it results keep the marks of what they were computed
    from. What the package calls by itself is neither looked at nor marked: what the user calls is
    what counts.
    """
    if target is None:
        return lambda target: door(target, origin=origin)
    if isinstance(target, type):
        target.__init__ = _guarded(target.__init__, origin, skip=1)
        return target
    return _guarded(target, origin, skip=0)


def untouched(function: Callable[[Tensor], Tensor], name: str = "function"):
    """``function``, or one that hands it a copy if it writes into what it is given.

    Raises ValueError, which calls it ``name``, if it returns no tensor.
    """
    probe = PROBE.clone()
    try:
        found = function(probe)
    except Exception:  # it may want other shapes or another dtype; then it says so itself
        return function
    if not isinstance(found, Tensor):
        raise ValueError(f"{name} must return a tensor, got {shown(found)}")
    return function if torch.equal(probe, PROBE) else Untouched(function)


def shown(value: object) -> str:
    """A value as a sentence can hold it."""
    if isinstance(value, Tensor | np.ndarray):
        kind = str(value.dtype).removeprefix("torch.")
        return f"shape {tuple(value.shape)} of {kind}" if value.ndim else f"{value.item()} ({kind})"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _guarded(function: Callable, origin: Side | None, *, skip: int) -> Callable:
    signature = inspect.signature(function)
    parameters = {
        name: Parameter(name, _choices(p.annotation))
        for name, p in list(signature.parameters.items())[skip:]
        if p.annotation is not p.empty
        and not isinstance(p.annotation, str)
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }

    @wraps(function)
    def guarded(*args, **kwargs):
        if _inside.get():  # the package trusts itself
            return function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)  # a TypeError names what is missing
        given, marking = bound.arguments, bool(origin) and origins.following()
        if marking:
            given |= {name: origins.plain(given[name]) for name in parameters if name in given}
        home = _home(given, parameters)
        for name, parameter in parameters.items():
            if name in given:
                given[name] = _at_home(parameter(_trainable(given[name]), home), home)
        _check_sizes(given, parameters)
        token = _inside.set(True)
        try:
            result = function(*bound.args, **bound.kwargs)
        finally:
            _inside.reset(token)
        return origins.marked(result, origin) if marking else result

    @wraps(function)
    def outside_of_inference(*args, **kwargs):
        if not torch.is_inference_mode_enabled():
            return guarded(*args, **kwargs)
        with torch.inference_mode(False):  # training needs gradients, and what is kept may train
            return guarded(*args, **kwargs)

    return outside_of_inference


def _trainable(value: object) -> object:
    """Tensors made in inference mode as others, which gradients can flow through."""
    if isinstance(value, list) and any(isinstance(part, Tensor) for part in value):
        return [_trainable(part) for part in value]
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def _at_home(value: object, home: Home) -> object:
    floating = isinstance(value, Tensor) and value.is_floating_point()
    return value.to(home.dtype) if floating else value


def _check_sizes(given: Mapping, parameters: Mapping[str, Parameter]) -> None:
    """Axes of one name have one size."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, parameter in parameters.items():
        if isinstance(given.get(name), Tensor) and len(parameter.axes) == 1:
            _bind(name, given[name], parameter.axes[0], sizes)


def _bind(name: str, x: Tensor, axes: Axes, sizes: dict[str, tuple[int, str]]) -> None:
    names = axes.names
    if None in names:  # only what comes after the batch is counted from the end
        names = names[len(names) - names[::-1].index(None) :]
    if not names:
        return
    for axis, size in zip(names, x.shape[-len(names) :], strict=True):
        if not isinstance(axis, str):
            continue
        first, other = sizes.setdefault(axis, (size, name))
        if size != first:
            raise ValueError(
                f"{name} must have {first} entries along its axis {axis!r}, as {other} has, "
                f"got shape {tuple(x.shape)}"
            )


def _home(given: Mapping, parameters: Mapping[str, Parameter]) -> Home:
    """Of the model among the arguments; else of the tensors and arrays, in the widest precision."""
    values = [given[name] for name in parameters if name in given]
    for value in values:
        if is_dataclass(value) and not isinstance(value, type):
            for part in (getattr(value, field.name, None) for field in fields(value)):
                if isinstance(part, Tensor) and part.is_floating_point():
                    return Home(part.dtype, part.device)
    tensors = [x for x in values if isinstance(x, Tensor)]
    kinds = [x.dtype for x in tensors if x.is_floating_point()]
    arrays = [x.dtype for x in values if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    kinds += [torch.from_numpy(np.empty(0, kind)).dtype for kind in arrays]
    widest = max(kinds, key=lambda kind: torch.finfo(kind).bits, default=torch.float64)
    return Home(widest, tensors[0].device if tensors else torch.device("cpu"))


def _choices(annotation: object) -> tuple[object, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(c for part in typing.get_args(annotation) for c in _choices(part))
    if annotation is typing.Any or annotation is object or isinstance(annotation, typing.TypeVar):
        return (typing.Any,)
    return (annotation,)


def _is_array(choice: object) -> bool:
    return hasattr(choice, "array_type") and hasattr(choice, "dtypes")


def _is_function(choice: object) -> bool:
    return (
        choice is Callable
        or typing.get_origin(choice) is Callable
        or (getattr(typing.get_origin(choice), "__name__", "") == "Callable")
    )


def _axes(choice: object) -> Axes:
    anything = ("int64", "float64", "complex128")  # what Shaped stands for
    kinds = {*(choice.dtypes if isinstance(choice.dtypes, list | tuple) else anything)}
    floating, whole = "float64" in kinds, "int64" in kinds
    names = []
    for word in choice.dim_str.split():
        if word.startswith(("*", "...", "#*")) or "*" in word:
            names.append(None)
        elif word.startswith("#") or not word.isidentifier():
            names.append(int(word) if word.isdigit() else 0)  # any size
        else:
            names.append(word)
    return Axes(
        tuple(names),
        floating=floating and not whole,
        whole=whole and not floating,
        flags=bool({"bool", "bool_"} & kinds) and not floating and not whole,
        complex="complex128" in kinds,
    )


def _is_numbers(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_is_numbers(part) for part in value)
    return isinstance(value, Tensor | np.ndarray | np.generic | int | float | complex)


def _whole(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return not tensor.dtype.is_complex
    return bool((tensor == tensor.round()).all()) and bool(tensor.isfinite().all())
