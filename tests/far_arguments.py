"""Call every public function with arguments of another device; see what stays behind.

usage: python -m tests.far_arguments

Prints how many were called, and each whose call fails there though not on the processor, or whose
floating results are left on another device than its arguments.
"""

import contextlib
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from io import StringIO
from pathlib import Path

from torch import Tensor
from torch.utils._pytree import tree_leaves

from tests import elsewhere
from tests.bad_arguments import arguments, functions
from toymodels.numerics import origin

# torch differentiates forward through no tensor of another device than its own
FORWARD = {f"toymodels.{room}.half_time" for room in ("lattice", "tree", "phenomena")}
STORED = {"toymodels.phenomena.row"}  # compares with stored runs, which lie on the processor
PICTURES = "toymodels.page."


def parts(thing: object) -> dict:
    return {f.name: getattr(thing, f.name) for f in fields(thing) if f.init}


def is_record(thing: object) -> bool:
    return is_dataclass(thing) and not isinstance(thing, type)


def moved(thing: object, device) -> object:
    """The same with all its tensors on ``device``."""
    if isinstance(thing, Tensor):
        return thing.to(device)
    if is_record(thing):
        return replace(thing, **{name: moved(x, device) for name, x in parts(thing).items()})
    if isinstance(thing, dict):
        return {name: moved(x, device) for name, x in thing.items()}
    return type(thing)(moved(x, device) for x in thing) if type(thing) in (list, tuple) else thing


def floating(thing: object) -> Iterator[Tensor]:
    """All floating tensors in it."""
    for leaf in tree_leaves(parts(thing) if is_record(thing) else thing):
        if is_record(leaf):
            yield from floating(leaf)
        elif isinstance(leaf, Tensor) and leaf.is_floating_point():
            yield leaf


def complaint(function) -> str | None:
    """What is wrong with its call; None if nothing is."""
    given = arguments(function)
    try:
        with elsewhere.machine() as device:
            result = function(**moved(given, device))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)
        ours = [f"{Path(f.filename).name}:{f.lineno}" for f in last if "toymodels" in f.filename]
        return f"{type(error).__name__}: {error} at {ours[-1:]}"
    if any(True for _ in floating(given)) and any(x.device != device for x in floating(result)):
        return "leaves results behind"
    return None


def works(function) -> bool:
    """On the processor: records whose example does not fit together do not."""
    try:
        function(**arguments(function))
    except Exception:
        return False
    return True


def main() -> None:
    warnings.simplefilter("ignore")
    asked = {
        name: function
        for name, function in functions().items()
        if name not in FORWARD | STORED and not name.startswith(PICTURES)
    }
    origin._following = False  # marks are another kind of tensor
    with contextlib.redirect_stdout(StringIO()):
        tried = {name: complaint(function) for name, function in asked.items() if works(function)}
    wrong = {name: words for name, words in tried.items() if words}
    print(len(tried), "functions called")
    for name, words in wrong.items():
        print(name, words)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
