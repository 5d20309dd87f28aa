"""Which code computed a result: a fingerprint of a function and of all that it reads.

    code      the compiled function, so that comments and layout do not count, together with its
              defaults, the values it closes over and the globals it names, and so on through all
              functions, classes and modules that are not installed packages
    packages  versions of Python, numpy, scipy and torch; the sources of this package itself

Not seen: what a function imports while it runs, files that it reads, versions of other packages.
"""

import dis
import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import numpy as np
from torch import Tensor

import toymodels

PLAIN = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic)
PACKAGES = ("numpy", "scipy", "torch")


def fingerprint(function: Callable) -> dict[str, str]:
    """The code behind ``function``, part by part, as words that are equal for equal code.

    A tensor or array that the function reads counts by its values. Raises TypeError or
    pickle.PicklingError where the function holds what cannot be written down, such as a lock.
    """
    import joblib  # an optional part of the package: see ``sweep``

    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = joblib.hash(list(_parts(function, frozenset())))
    return {"function": f"{name} {code[:12]}", **packages()}


@cache
def packages() -> dict[str, str]:
    """What this process would compute with."""
    root, sources = Path(toymodels.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        sources.update(repr((path.relative_to(root).as_posix(), path.read_bytes())).encode())
    # without "+cpu" or "+cu126": a driver without a GPU may have workers with one
    versions = {name: version(name).partition("+")[0] for name in PACKAGES}
    return {
        "toymodels": f"{toymodels.__version__} {sources.hexdigest()[:12]}",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **versions,
    }


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What to tell the user: every part that changed, with its old and new state."""
    return [
        f"{name} was {old.get(name, 'not recorded')}, is {state}"
        for name, state in new.items()
        if old.get(name) != state
    ]


def _parts(thing: object, path: frozenset[int]) -> Iterator[object]:
    """Plain values that stand for ``thing``, the same in every process that runs the same code.

    Pickles would not do: those of tensors hold addresses. ``path`` holds the ids of what is being
    followed, so that recursive functions end.
    """
    if isinstance(thing, Tensor):
        thing = thing.numpy(force=True)
    if isinstance(thing, PLAIN):
        yield thing
        return
    if id(thing) in path:
        yield "the same again"
        return
    members = _members(thing)
    if members is None:
        yield thing
    for part in members or ():
        yield from _parts(part, path | {id(thing)})


def _members(thing: object) -> list | None:
    """What ``thing`` is made of, one step down; None if it is of one piece."""
    match thing:
        case Mapping():
            return ["mapping", len(thing), *(part for pair in thing.items() for part in pair)]
        case list() | tuple():
            return [type(thing).__name__, len(thing), *thing]
        case set() | frozenset():  # in an order that hangs on the process
            return [type(thing).__name__, *sorted(thing, key=repr)]
        case partial():
            return ["partial", thing.func, thing.args, thing.keywords]
        case MethodType():
            return ["method", thing.__func__, thing.__self__]
        case CodeType():
            return [thing.co_code, thing.co_names, thing.co_consts]
        case ModuleType():
            source = Path(thing.__file__).read_bytes() if _ours(thing.__name__) else b""
            return [thing.__name__, source]
        case BuiltinFunctionType():
            return [f"{thing.__module__}.{thing.__qualname__}"]
        case FunctionType() | type() if not _ours(thing.__module__):
            return [f"{thing.__module__}.{thing.__qualname__}"]
        case FunctionType():
            return [thing.__code__, thing.__defaults__, thing.__kwdefaults__, _reads(thing)]
        case type():
            return [thing.__qualname__, thing.__bases__, *_attributes(thing)]
        case _ if hasattr(thing, "__dict__"):
            return [type(thing), vars(thing)]
    return None


def _reads(function: FunctionType) -> dict[str, object]:
    """Globals that a function or a function inside it names, and the values it closes over."""
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names |= {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
    known = {n: function.__globals__[n] for n in sorted(names) if n in function.__globals__}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return known | {f"{name} outside": cell.cell_contents for name, cell in cells}


def _attributes(owner: type) -> list:
    """Methods and values of a class, without what Python or a decorator wrote into it."""
    found = []
    for name, value in vars(owner).items():
        value = getattr(value, "fget", getattr(value, "__func__", value))
        if isinstance(value, FunctionType):
            generated = value.__code__.co_filename == "<string>"
            found += [] if generated else [name, value]
        elif not name.startswith("__"):
            found += [name, value]
    return found


def _ours(module: str | None) -> bool:
    """Whether a module is the user's own, rather than installed or a part of this package."""
    if not module or module.partition(".")[0] == "toymodels":
        return False  # packages() has its sources
    if module == "__main__":
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    installed = [sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib")]
    return file is not None and not any(Path(file).is_relative_to(path) for path in installed)
