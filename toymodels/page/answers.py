"""What can be told of an answer without knowing the question: its numbers, its digits, usual slips.

Values are lists of arrays, one for each input on which a function is compared, or of one array.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import permutations
from numbers import Real

import numpy as np
from torch import Tensor

Values = list[np.ndarray]

TURN = "the arguments are right, their order is not."
ROWS = "rows and columns of a matrix are exchanged."
ORDER = "all entries are right, their order is not."
SLIPS = {
    "check the sign.": np.negative,
    "that is twice the answer.": lambda x: 2 * x,
    "that is half of the answer.": lambda x: x / 2,
    "that is the square of the answer.": np.square,
    "that is the square root of the answer.": np.sqrt,
    "that is the inverse of the answer.": np.reciprocal,
    "that is in degrees, the answer in radians.": np.rad2deg,
    "that is in per cent: divide by a hundred.": lambda x: 100 * x,
    "that is a hundredth of the answer.": lambda x: x / 100,
    "that takes a decimal logarithm for a natural one.": lambda x: x / math.log(10),
    "that takes a natural logarithm for a decimal one.": lambda x: x * math.log(10),
    "that is the logarithm of the answer.": np.log,
    "the answer is the logarithm of that.": np.exp,
}


class UnusableError(ValueError):
    """An answer that cannot be compared, with a sentence that says why."""


def numbers(value: object) -> np.ndarray:
    """The numbers of an answer. Raises UnusableError, whose sentence ends "..., got a dict"."""
    if value is None or value is ... or _unfinished(value):
        raise UnusableError("not answered yet. Replace the ... by your answer.")
    if isinstance(value, str | bytes):
        raise UnusableError(f"a number is wanted, got the text {value!r}. Leave out the quotes.")
    try:
        found = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        found = found if np.iscomplexobj(found) else found.astype(float)
    except Exception:  # an answer may be any object
        kind = type(value).__name__
        raise UnusableError(f"numbers are wanted, got something else in a {kind}.") from None
    if np.iscomplexobj(found):
        raise UnusableError("the answer must be real, got a complex number.")
    if np.isnan(found).any():
        raise UnusableError("the answer is nan, not a number. Is there 0/0 or a negative root?")
    if np.isinf(found).any():
        raise UnusableError("the answer is infinite. Is something divided by zero?")
    return found


def _unfinished(value: object) -> bool:
    return isinstance(value, list | tuple) and any(part is ... or part is None for part in value)


def shaped(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``found``, or the one number in it where one is wanted; UnusableError if shapes differ."""
    if found.size == right.size == 1:
        return found.reshape(right.shape)
    if found.shape == right.shape:
        return found
    if found.ndim == 2 and found.T.shape == right.shape:
        raise UnusableError(f"{ROWS} The shape must be {right.shape}, got {found.shape}.")
    raise UnusableError(f"{_named(right.shape)} is wanted, got {_named(found.shape)}.")


def _named(shape: tuple) -> str:
    if len(shape) > 1:
        return f"an array of shape {shape}"
    return f"a list of length {shape[0]}" if shape else "one number"


def gap(given: Values, right: Values) -> float:
    """Largest difference, relative to the largest entry of ``right``; infinite for NaN."""
    gaps = [0.0]
    for g, r in zip(given, right, strict=True):
        if g.shape != r.shape:
            return math.inf
        worst = np.abs(g - r).max() / (np.abs(r).max() or 1.0)
        gaps.append(worst if np.isfinite(worst) else math.inf)
    return float(max(gaps))


def in_digits(given: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Which entries are the right ones, rounded or cut to three significant digits."""
    with np.errstate(all="ignore"):  # of a zero they are not defined
        unit = 10.0 ** (np.floor(np.log10(np.abs(right))) - 2)
        written = [unit * np.rint(right / unit), unit * np.trunc(right / unit)]
    same = [np.isclose(given, form, rtol=1e-6, atol=0) for form in written]
    return np.asarray(np.logical_or(*same))


def agrees(given: Values, wanted: Values, right: Values, within: float) -> list[np.ndarray]:
    """Which entries are those wanted, within a share of the largest one or in three digits.

    Where all that is wanted is zero, the share is that of ``right``.
    """
    found = []
    for g, w, r in zip(given, wanted, right, strict=True):
        share = within * (np.abs(w).max() or np.abs(r).max() or 1.0)
        found.append(np.asarray((np.abs(g - w) <= share) | in_digits(g, w)))
    return found


def matches(given: Values, wanted: Values, right: Values, within: float) -> bool:
    """Whether all entries agree."""
    if [g.shape for g in given] != [w.shape for w in wanted]:
        return False
    return all(entries.all() for entries in agrees(given, wanted, right, within))


def slip(given: Values, right: Values, made: Iterable[tuple[str, Values]], within: float) -> str:
    """The sentence on the one slip of ``made`` that gives these values, or "".

    Slips that the tolerance cannot tell from the right values or from each other have none.
    """
    apart = [(said, values) for said, values in made if gap(values, right) > 2 * within]
    found = [(said, values) for said, values in apart if matches(given, values, right, within)]
    alike = {other for other, w in apart for _, v in found if gap(w, v) <= 2 * within}
    said = {sentence for sentence, _ in found} | alike
    return said.pop() if len(said) == 1 else ""


def of_values(given: Values, right: Values, within: float) -> Iterator[tuple[str, Values]]:
    """Slips that turn the right values into others, and each with the sentence that names it."""
    with np.errstate(all="ignore"):
        made = {said: [np.asarray(make(r)) for r in right] for said, make in SLIPS.items()}
    yield from ((said, v) for said, v in made.items() if all(np.isfinite(x).all() for x in v))
    if all(r.ndim == 2 for r in right):
        yield ROWS, [r.T for r in right]
    if all(_distinct(r, within) for r in right):
        yield ORDER, [np.sort(r)[g.argsort().argsort()] for g, r in zip(given, right, strict=True)]


def _distinct(right: np.ndarray, within: float) -> bool:
    if right.ndim != 1 or right.size < 2:
        return False
    return bool(np.diff(np.sort(right)).min() > 2 * within * np.abs(right).max())


def of_inputs(inputs: Sequence[tuple]) -> Iterator[tuple[str, list[tuple]]]:
    """Inputs that a slip takes for those given: two or more exchanged, a matrix transposed."""
    places = range(len(inputs[0]))
    kinds = [_kind(argument) for argument in inputs[0]]
    for order in list(permutations(places))[1:]:
        if [kinds[i] for i in order] == kinds:
            yield TURN, [tuple(args[i] for i in order) for args in inputs]
    for k in places:
        if all(isinstance(args[k], Tensor) and args[k].ndim == 2 for args in inputs):
            yield ROWS, [(*args[:k], args[k].mT, *args[k + 1 :]) for args in inputs]


def _kind(argument: object) -> object:
    if isinstance(argument, Tensor):
        return argument.shape
    return Real if isinstance(argument, Real) else type(argument)


def evaluated(function: Callable, inputs: Sequence[tuple]) -> Values | None:
    """The values of a right function on inputs that it may not be made for, else None."""
    try:
        with np.errstate(all="ignore"):
            return [numbers(function(*args)) for args in inputs]
    except Exception:  # outside of its domain
        return None
