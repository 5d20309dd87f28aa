"""Bad arguments for every public function, made from its signature, and what becomes of them.

usage: python -m tests.bad_arguments [ROOM OR STEM ...]

Every argument in turn is replaced by each of some thirty bad or odd values, the others are good.
No call may be answered by NaN, none may hang, and what goes wrong must be said by a sentence of
the package, not by torch. Prints what is left, and the counts; exit status 1 if anything is.
"""

import importlib
import inspect
import math
import os
import pkgutil
import resource
import signal
import sys
import tempfile
import traceback
import types
import typing
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, is_dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import toymodels
from toymodels.numerics.door import shown

PACKAGE = Path(toymodels.__file__).parent
SECONDS = 20  # after which a call is said to hang
PLACES = ("numerics", "networks", "limits")
PAGES = ("page", "sweeps")  # rooms without doors: what they show at the entrance is public
UNTRIED = {"live", "Bars", "Handle"}  # they take the author's own functions, and have no door
DOUBLE = torch.float64

BAD = [
    None, "word", True, [], [[1.0], [2.0, 3.0]], object(), 1j, -1, 0, 0.5, 2.5,
    math.nan, math.inf, -math.inf, 1e-30, 1e30, np.int64(2), np.float32(0.5), [1, 2], [0.5, -0.5],
    np.array([math.nan, 1.0]), torch.tensor([1, 2]), torch.tensor([math.nan, 1.0]),
    torch.tensor([1.0, math.inf]), torch.zeros(2), torch.empty(0), torch.ones(1, 2, 1, 2),
    torch.tensor([True, False]), torch.tensor([1j]), lambda *_: None, lambda x: x * math.nan,
]  # fmt: skip

# What a parameter of this name gets where its annotation does not say enough.
GOOD = {
    "time": torch.tensor([0.0, 0.5, 1.0], dtype=DOUBLE),
    "step": 0.05,
    "steps": 3,
    "seed": 1,
    "members": 2,
    "samples": torch.tensor([3, 5]),
    "width": 8,
    "batch_size": 4,
    "dimension": 6,
    "variance": torch.tensor([0.5, 1.0], dtype=DOUBLE),
    "purpose": "weights",
    "progress": False,
}


@dataclass(frozen=True)
class Answer:
    """What became of one call: "number", "sentence", "inside", "none" or "hangs"."""

    kind: str
    where: str
    detail: str = ""


class Hangs(Exception):
    """The call took longer than it may."""


def functions() -> dict[str, Callable]:
    """Everything behind a door, by its full name, and what rooms without doors show."""
    found = {}
    for room in PAGES:
        module = importlib.import_module(f"toymodels.{room}")
        things = [getattr(module, word) for word in module.__all__ if word not in UNTRIED]
        found |= {f"{x.__module__}.{x.__qualname__}": x for x in things if callable(x)}
    for name in sorted(m.name for m in pkgutil.walk_packages(toymodels.__path__, "toymodels.")):
        parts = name.split(".")
        if len(parts) > 2 and parts[1] not in PLACES:
            continue
        module = importlib.import_module(name)
        for word, thing in vars(module).items():
            inner = thing.__init__ if isinstance(thing, type) else thing
            ours = getattr(thing, "__module__", None) == name and not word.startswith("_")
            if ours and hasattr(inner, "__wrapped__"):
                found[f"{name}.{word}"] = thing
    return found


def example(name: str, annotation: object) -> object:
    """A value that the annotation allows; the first choice of several."""
    if name in GOOD:
        return GOOD[name]
    choices = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        numbers = [c for c in choices if c is float]
        return example(name, numbers[0] if numbers else choices[0])
    if hasattr(annotation, "dim_str"):
        axes = [w for w in annotation.dim_str.split() if not w.startswith(("*", "."))]
        sizes = {"coordinate": 2, "level": 2}
        shape = [int(a) if a.isdigit() else sizes.get(a, 3) for a in axes]
        whole = "float64" not in annotation.dtypes
        return torch.ones(shape, dtype=torch.int64 if whole else DOUBLE) * (1 if whole else 0.5)
    if annotation in (int, float, str, bool, Tensor):
        return {int: 2, float: 0.5, str: "word", bool: False, Tensor: torch.ones(3).double()}[
            annotation
        ]
    if getattr(typing.get_origin(annotation), "__name__", "") == "Callable":
        return torch.tanh
    if is_dataclass(annotation):
        return annotation(**arguments(annotation))
    raise LookupError(f"no example for {name}: {annotation}")


def parameters(thing: Callable) -> dict[str, inspect.Parameter]:
    """Those that are passed one by one, without ``**others``."""
    many = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    found = inspect.signature(thing).parameters.items()
    return {name: p for name, p in found if p.kind not in many}


def arguments(thing: Callable) -> dict[str, object]:
    """Good arguments for the parameters that have no default."""
    own = getattr(importlib.import_module("tests.good_arguments"), "GOOD", {})
    given = own.get(f"{thing.__module__}.{thing.__qualname__}", {})
    return {
        name: given[name]() if name in given else example(name, p.annotation)
        for name, p in parameters(thing).items()
        if p.default is p.empty or name in given
    }


def call(thing: Callable, given: dict) -> Answer:
    """Call it, with a limit on its time."""

    def late(*_):
        raise Hangs

    old = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)  # of the processor: others may be at work
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            result = thing(**given)
    except Hangs:
        return Answer("hangs", "")
    except Exception as problem:
        last = traceback.extract_tb(problem.__traceback__)[-1]
        text = f"{type(problem).__name__}: {problem}"[:160]
        said = PACKAGE in Path(last.filename).parents and last.line.startswith("raise ")
        return Answer("sentence" if said else "inside", f"{last.name}:{last.lineno}", text)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)
    return Answer("none" if has_nan(result) else "number", "")


def has_nan(thing: object) -> bool:
    if isinstance(thing, Tensor):
        return bool(thing.isnan().any()) if thing.is_floating_point() else False
    if isinstance(thing, dict):
        return has_nan(list(thing.values()))
    if isinstance(thing, list | tuple):
        return any(map(has_nan, thing))
    if is_dataclass(thing) and not isinstance(thing, type):
        if hasattr(thing, "finite") and not thing.finite.all():
            return False  # it says so itself
        return has_nan([getattr(thing, f.name) for f in fields(thing)])
    return isinstance(thing, float) and thing != thing


def trials(thing: Callable) -> Iterator[tuple[str, object, Answer]]:
    """Every bad value in the place of every argument, the others good."""
    good = arguments(thing)
    base = call(thing, good)
    if base.kind != "number":
        yield "", None, Answer("no example", base.where, base.detail or base.kind)
        return
    for name in parameters(thing):
        for bad in BAD:
            yield name, bad, call(thing, good | {name: bad})


def is_fault(bad: object, answer: Answer) -> bool:
    """Whether somebody would be left alone; what a user's own function does is his affair."""
    own = answer.kind == "inside" and isinstance(bad, types.FunctionType)
    return answer.kind in ("inside", "none", "hangs", "no example") and not own


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    os.chdir(tempfile.mkdtemp())  # a word may be taken for the name of a folder
    total, faults = Counter(), []
    for name, thing in functions().items():
        if sys.argv[1:] and not any(name.startswith(f"toymodels.{word}") for word in sys.argv[1:]):
            continue
        try:
            found = list(trials(thing))
        except Exception as problem:
            found = [("", None, Answer("no example", "", str(problem)))]
        total += Counter(answer.kind for *_, answer in found)
        faults += [
            f"{name} {argument}={shown(bad)}: {answer.kind} {answer.where} {answer.detail}"
            for argument, bad, answer in found
            if is_fault(bad, answer)
        ]
    print("\n".join([*faults, f"{sum(total.values())} calls: {dict(total)}"]))
    sys.exit(bool(faults) or not total)


if __name__ == "__main__":
    main()
