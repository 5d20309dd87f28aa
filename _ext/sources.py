"""What the outputs of a page hang on: pins, modules that its cells import, and what these read."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from threading import Lock

from IPython.core.inputtransformer2 import TransformerManager

from . import book

PINS = ["requirements.txt", "requirements.lock"]


def key(page: str) -> str:
    """A digest of every file that the outputs of a page hang on, beside its own cells."""
    digest = hashlib.sha256()
    for path in sorted(files(page)):
        digest.update(path.relative_to(book.ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def files(page: str) -> set[Path]:
    cells = [_parsed(_plain(c.source)) for c in book.read(page).cells if c.cell_type == "code"]
    modules = closure(cells)
    named = {path for cell in cells for path in _named(cell, book.source(page))}
    return _existing(PINS) | modules | named | {p for module in modules for p in _read_by(module)}


def closure(trees: list[ast.Module]) -> set[Path]:
    """The modules of this checkout that the sources import, and all that those import in turn."""
    found: set[Path] = set()
    waiting = [path for tree in trees for path in _imported(tree)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(_parsed(path.read_text("utf8")), path)
    return found


def _imported(tree: ast.Module, importer: Path | None = None) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from filter(None, (_module(alias.name) for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, importer)
            for alias in node.names:
                yield from _givers(source, alias.name)


def _givers(source: str, name: str) -> Iterator[Path]:
    """The modules that ``from source import name`` is about; a door passes the question on."""
    path, inner = _module(source), _module(f"{source}.{name}")
    if path is not None and _is_door(path):
        for node in _parsed(path.read_text("utf8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if name in names and (behind := _absolute(node, path)) != source:
                yield from _givers(behind, name)
                return
        path = None if inner else path
    yield from filter(None, (path, inner))


def _is_door(path: Path) -> bool:
    """A door only passes names on: it does nothing on import, and renames nothing."""
    if path.name != "__init__.py":
        return False
    tree = _parsed(path.read_text("utf8"))
    renamed = any(isinstance(node, ast.alias) and node.asname for node in ast.walk(tree))
    return not renamed and all(
        isinstance(node, ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in tree.body
    )


def _absolute(node: ast.ImportFrom, importer: Path | None) -> str:
    if not node.level or importer is None:
        return node.module or ""
    package = ".".join(importer.relative_to(book.ROOT).parent.parts)
    return resolve_name("." * node.level + (node.module or ""), package)


def _module(name: str) -> Path | None:
    place = book.ROOT.joinpath(*name.split("."))
    choices = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((path for path in choices if path.is_file()), None)


def _read_by(module: Path) -> Iterator[Path]:
    """Results that a model stores under its name, and the script and the style of that name."""
    yield from _existing([f"toymodels/results/{module.stem}/**/*"])
    yield from filter(Path.is_file, map(module.with_suffix, (".js", ".css")))


def _named(tree: ast.Module, page: Path) -> set[Path]:
    """Files and folders that a cell names, as a path from the folder of its page."""
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and "/" in str(n.value)}
    places = {(page.parent / text).resolve() for text in texts if isinstance(text, str)}
    inside = {p for p in places if p.is_relative_to(book.ROOT) and not page.is_relative_to(p)}
    return {f for p in inside for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file()}


def _existing(patterns: list[str]) -> set[Path]:
    return {path for pattern in patterns for path in book.ROOT.glob(pattern) if path.is_file()}


def _plain(cell: str) -> str:
    """The Python of a cell, its magics as calls."""
    return TransformerManager().transform_cell(cell)


_PARSER = Lock()  # two threads that parse at once can make Python 3.11 raise SystemError


@cache
def _parsed(source: str) -> ast.Module:
    try:
        with _PARSER:
            return ast.parse(source)
    except SyntaxError:  # whoever executes it will see the message
        return ast.Module([], [])
