"""The lock pins what is installed and what that needs; declared bounds name what is imported."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_cold_start import closure

from _ext import book

FROM_TORCH = re.compile("cuda-|nvidia-|triton$")  # its build for graphics cards pins these itself
NOTEBOOK = {"ipython", "matplotlib-inline"}  # are there wherever a notebook runs


def requirements(name: str) -> dict[str, Requirement]:
    lines = (book.ROOT / name).read_text("utf8").splitlines()
    found = map(Requirement, (line for line in lines if line and not line.startswith("#")))
    return {canonicalize_name(need.name): need for need in found}


LOCK, CHOSEN = requirements("requirements.lock"), requirements("requirements.txt")


def test_lock_and_requirements_agree():
    assert {n: str(LOCK[n].specifier) for n in CHOSEN} == {
        n: str(need.specifier) for n, need in CHOSEN.items()
    }
    for need in LOCK.values():
        assert re.fullmatch(r"==[^+*,]+", str(need.specifier)), need
        assert not FROM_TORCH.match(need.name), need


def test_the_lock_is_what_is_installed():
    here = {n: need for n, need in LOCK.items() if not need.marker or need.marker.evaluate()}
    installed = {name: version(name).split("+")[0] for name in here}
    assert installed == {n: str(need.specifier).removeprefix("==") for n, need in here.items()}


def test_the_lock_holds_all_that_the_book_needs():
    needed = {name for name in closure(list(CHOSEN)) if not FROM_TORCH.match(name)}
    assert needed <= LOCK.keys()


def test_declared_bounds_name_what_chapters_and_package_import():
    project = tomllib.loads((book.ROOT / "pyproject.toml").read_text("utf8"))["project"]
    extra = [need for needs in project["optional-dependencies"].values() for need in needs]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    optional = {canonicalize_name(Requirement(line).name) for line in extra}
    code = [cell.source for page in book.with_notebook() for cell in book.read(page).cells
            if cell.cell_type == "code"]  # fmt: skip
    models = [p for p in (book.ROOT / "toymodels").rglob("*.py") if "sweeps" not in p.parts]
    assert imported(code) <= declared | NOTEBOOK
    assert imported([path.read_text("utf8") for path in models]) <= declared | NOTEBOOK
    sweeps = [path.read_text("utf8") for path in (book.ROOT / "toymodels/sweeps").glob("*.py")]
    assert imported(sweeps) <= declared | optional | NOTEBOOK


def imported(sources: list[str]) -> set[str]:
    """The distributions that the sources import, beside the standard library and this package."""
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    names = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    names |= {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    first = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"toymodels"}
    here = packages_distributions()
    return {canonicalize_name(here[name][0]) for name in first}


@pytest.mark.parametrize("name", ["Makefile", "requirements.txt", "README.md"])
def test_the_lock_is_installed_and_explained(name):
    assert "requirements.lock" in Path(book.ROOT / name).read_text("utf8")
