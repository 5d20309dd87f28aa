"""Which code computed a result: a fingerprint of a function and of all that it reads.

    code      the compiled function, so that comments and layout do not count, with its defaults,
              the values it closes over and the globals it names, and so on through all functions
              and classes that are not installed packages
    modules   one that the function names counts by its text and that of the modules behind it, and
              by what the names that the function mentions stand for in it now
    packages  versions of Python, numpy, scipy, torch and each other installed package that the
              function or what it reads names; the sources of this package itself

Imports inside a function are carried out and followed. Not seen: files that it reads, code that it
makes or finds while it runs (``exec``, ``eval``, ``import_module``, an entry point), attributes set
on a module that is passed on or asked by ``getattr``, libraries behind a compiled module, packages
that only installed packages import, the processor. ``sweep`` warns of the first two.
"""

import dis
import hashlib
import os
import sys
import sysconfig
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import numpy as np
from torch import Tensor

import toymodels

PLAIN = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic)
PACKAGES = ("numpy", "scipy", "torch")
OTHER = "package "  # what marks the packages that a function brings in
MAKES_CODE = {"exec", "eval", "__import__", "import_module"}
GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def fingerprint(function: Callable) -> dict[str, str]:
    """The code behind ``function``, part by part, as words that are equal for equal code.

    A tensor or array that the function reads counts by its values. Warns of code that it makes
    while it runs. Raises TypeError or pickle.PicklingError where the function holds what cannot be
    written down, such as a lock.
    """
    import joblib  # an optional part of the package: see ``sweep``

    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    walk = _Walk()
    code = joblib.hash(list(walk.parts(function)))
    if walk.unseen:
        warnings.warn(
            f"{name} makes code while it runs, and changes of that code will not be noticed: "
            f"{', '.join(sorted(walk.unseen))}",
            RuntimeWarning,
            stacklevel=3,
        )
    return {"function": f"{name} {code[:12]}", **packages(), **_versions(walk.installed)}


@cache
def packages() -> dict[str, str]:
    """What this process would compute with, whatever the function."""
    root, sources = Path(toymodels.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        sources.update(repr((path.relative_to(root).as_posix(), path.read_bytes())).encode())
    return {
        "toymodels": f"{toymodels.__version__} {sources.hexdigest()[:12]}",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **{name: _version(name) for name in PACKAGES},
    }


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """What to tell the user: every part that changed, with its old and new state."""
    return [
        f"{name} was {old.get(name, 'not recorded')}, is {new.get(name, 'not used')}"
        for name in new | old
        if old.get(name) != new.get(name)
    ]


def other_packages(code: Mapping[str, str]) -> list[str]:
    """How the packages of this process differ from those that ``code`` names."""
    names = [name.removeprefix(OTHER) for name in code if name.startswith(OTHER)]
    here = packages() | {OTHER + name: _version(name) for name in names}
    return differences({name: code[name] for name in here}, here)


@contextmanager
def files_read() -> Iterator[set[str]]:
    """Files, other than Python's own and those of packages, that this thread opens meanwhile."""
    _listen()
    before, _thread.files = getattr(_thread, "files", None), set()
    try:
        yield _thread.files
    finally:
        _thread.files = before


_thread = threading.local()


@cache
def _listen() -> None:
    """Once for a process: Python has no way to take such a hook back."""
    sys.addaudithook(_notice)


def _notice(event: str, details: tuple) -> None:
    files = getattr(_thread, "files", None)
    if files is None or event != "open" or not isinstance(details[0], str | bytes | os.PathLike):
        return
    path, flags = os.path.abspath(os.fsdecode(details[0])), details[2]
    writes = flags & (os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    code = path.endswith((".py", ".pyc", ".so"))
    if not (writes or code or path.startswith(("/proc/", "/sys/", "/dev/")) or _installed(path)):
        files.add(path)


@dataclass
class _Walk:
    """A way through everything that a function reads, and what was met on it."""

    numbers: dict[int, int] = field(default_factory=dict)  # of functions, classes, modules, by id
    installed: set[str] = field(default_factory=set)  # first names of modules
    unseen: set[str] = field(default_factory=set)

    def parts(self, thing: object, path: frozenset[int] = frozenset()) -> Iterator[object]:
        """Plain values that stand for ``thing``, the same in every process that runs the same code.

        Pickles would not do: those of tensors hold addresses. ``path`` holds the ids of what is
        being followed, so that a list that holds itself ends.
        """
        if isinstance(thing, Tensor):
            thing = thing.numpy(force=True)
        if isinstance(thing, PLAIN):
            yield thing
            return
        if id(thing) in path or id(thing) in self.numbers:
            yield f"number {self.numbers.get(id(thing), 'above')} again"
            return
        if isinstance(thing, FunctionType | type | ModuleType):  # they outlive the walk
            self.numbers[id(thing)] = len(self.numbers)
        members = self.members(thing)
        if members is None:
            yield thing
        for part in members or ():
            yield from self.parts(part, path | {id(thing)})

    def members(self, thing: object) -> list | None:
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
                arguments = thing.co_varnames[: thing.co_argcount + thing.co_kwonlyargcount]
                code = [thing.co_code, thing.co_exceptiontable, thing.co_names, thing.co_consts]
                return [arguments, *code]
            case ModuleType() if _ours(thing.__name__):
                return [thing.__name__, _text(thing), *_behind(thing)]
            case ModuleType():
                return [self.by_name(thing.__name__)]
            case BuiltinFunctionType():
                return self.compiled(thing)
            case FunctionType() | type() if not _ours(thing.__module__):
                return [self.by_name(thing.__module__, thing.__qualname__)]
            case FunctionType():
                return [thing.__code__, thing.__defaults__, thing.__kwdefaults__, self.reads(thing)]
            case type():
                return [thing.__qualname__, thing.__bases__, *_attributes(thing)]
            case _ if hasattr(thing, "__dict__"):
                return [type(thing), vars(thing)]
        return None

    def by_name(self, module: str, *inside: str) -> str:
        self.installed.add(module.partition(".")[0])
        return ".".join((module, *inside))

    def compiled(self, function: BuiltinFunctionType) -> list:
        """A compiled function counts by its name, the object it is bound to and its file."""
        owner, name = function.__self__, function.__module__
        parts = [] if isinstance(owner, ModuleType | type) else [owner]
        if name and _ours(name):
            parts.append(sys.modules.get(name))
        return [self.by_name(name or "", function.__qualname__), *parts]

    def reads(self, function: FunctionType) -> dict[str, object]:
        """Globals and modules that a function, or one inside it, names, and what it closes over."""
        codes = list(_codes(function.__code__))
        names = {i.argval for c in codes for i in dis.get_instructions(c) if i.opname in GLOBAL}
        mentioned = {name for code in codes for name in code.co_names}
        known = {n: function.__globals__[n] for n in sorted(names) if n in function.__globals__}
        for code in codes:
            known |= _imports(code, function.__globals__)
        made = names & MAKES_CODE | mentioned & {"import_module"}
        self.unseen |= {f"{name} in {function.__qualname__}" for name in made}
        for module in [value for value in known.values() if isinstance(value, ModuleType)]:
            _look_up(module, mentioned, known)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        return known | {f"{name} outside": cell.cell_contents for name, cell in cells}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _codes(part)


def _imports(code: CodeType, within: dict[str, object]) -> dict[str, object]:
    """What the import statements of a function find, now as when it runs."""
    steps, found = list(dis.get_instructions(code)), {}
    for level, names, step in zip(steps, steps[1:], steps[2:], strict=False):
        if step.opname == "IMPORT_NAME":
            word = "." * level.argval + step.argval
            try:
                found[f"import {word}"] = __import__(
                    step.argval, within, None, names.argval or (), level.argval
                )
            except Exception as problem:  # the function will meet it too, and may know what to do
                found[f"import {word}"] = repr(problem)
    return found


def _look_up(module: ModuleType, names: set[str], found: dict[str, object]) -> None:
    """Add to ``found`` what ``names`` stand for in a module of the user's, and in those inside."""
    for name in sorted(names & vars(module).keys()) if _ours(module.__name__) else ():
        label, value = f"{module.__name__}.{name}", vars(module)[name]
        if label not in found:
            found[label] = value
            if isinstance(value, ModuleType):
                _look_up(value, names, found)


def _text(module: ModuleType) -> bytes:
    """The file of a module; nothing for a folder without one, or a notebook."""
    file = getattr(module, "__file__", None)
    return Path(file).read_bytes() if file else b""


def _behind(module: ModuleType) -> list[ModuleType]:
    """Modules of the user's that a module of the user's holds, or holds something of."""
    names = set()
    for value in list(vars(module).values()):
        is_module = isinstance(value, ModuleType)
        name = value.__name__ if is_module else getattr(value, "__module__", None)
        if isinstance(name, str) and name in sys.modules and _ours(name):
            names.add(name)
    return [sys.modules[name] for name in sorted(names)]


def _attributes(owner: type) -> list:
    """Methods and values of a class, without what Python or a decorator wrote into it."""
    found = []
    for name, value in vars(owner).items():
        value = getattr(value, "fget", getattr(value, "__func__", value))
        value = value.func if isinstance(value, cached_property) else value  # it has a lock
        if isinstance(value, FunctionType):
            generated = value.__code__.co_filename == "<string>" and name.startswith("__")
            found += [] if generated else [name, value]
        elif not name.startswith("__"):
            found += [name, value]
    return found


def _ours(module: str | None) -> bool:
    """Whether a module is the user's own, rather than installed or a part of this package."""
    top = (module or "").partition(".")[0]
    if top == "toymodels":
        return False  # packages() has its sources
    known = sys.modules.get(module) or sys.modules.get(top)
    if known is None or top == "__main__":
        return True
    places = [getattr(known, "__file__", None), *getattr(known, "__path__", [])]
    place = next(filter(None, places), None)
    return place is not None and not _installed(place)


def _installed(path: str) -> bool:
    """Whether a file came with Python or with a package, for all users or for one."""
    parts = Path(path).parts
    system = (sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib"))
    own = Path(toymodels.__file__).parent
    return (
        not {"site-packages", "dist-packages"}.isdisjoint(parts)
        or any(path.startswith(place + os.sep) for place in system)
        or own in Path(path).parents
    )


def _versions(modules: set[str]) -> dict[str, str]:
    """Versions of the packages that bring ``modules``, but those that every code names."""
    others = modules - {*sys.stdlib_module_names, *PACKAGES, "toymodels", "__main__", ""}
    names = {name for module in others for name in _brings(module)}
    return {OTHER + name: _version(name) for name in sorted(names)}


@cache
def _brings(module: str) -> list[str]:
    """Names of the packages that have a module; often its own, which is quick to look up."""
    found = _version(module) != "missing"
    return [module] if found else packages_distributions().get(module, [])


def _version(package: str) -> str:
    """Without "+cpu" or "+cu126": a driver without a GPU may have workers with one."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "missing"
