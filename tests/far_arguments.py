"""Call every public function with arguments of another device; see what stays behind.

usage: python -m tests.far_arguments

Prints how many were called, and each whose call fails there though not on the processor, or whose
floating results are left on another device than its arguments.
"""

import contextlib
import sys
import traceback
import warnings
from io import StringIO
from pathlib import Path

from torch import Tensor

from tests import elsewhere
from tests.bad_arguments import arguments, functions
from toymodels.numerics import origin

# torch differentiates forward through no tensor of another device than its own
FORWARD = {f"toymodels.{room}.half_time" for room in ("lattice", "tree", "phenomena")}
STORED = {"toymodels.phenomena.row"}  # compares with stored runs, which lie on the processor
PICTURES = "toymodels.page."


def moved(thing: object, device) -> object:
    """The same with all its tensors on ``device``."""
    return origin._changed(thing, lambda x: x.to(device))


def floating(thing: object) -> list[Tensor]:
    """All floating tensors in it."""
    return [x for x in origin._tensors(thing) if x.is_floating_point()]


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
    if floating(given) and any(x.device != device for x in floating(result)):
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
