"""A notebook alone on a machine that has what Colab has: it installs the package and runs.

The clean environment is made of hard links to the files that pip put into this one: numpy, scipy,
torch and the rest with all they need, but no toymodels. What the first cell then installs comes
from the checkout and the package index, as it would for a reader.
"""

import os
import re
import shutil
import subprocess
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from _ext import book

COLAB_HAS = ["numpy", "scipy", "torch", "matplotlib", "scikit-learn", "tqdm"]
TO_RUN_IT = ["ipykernel", "nbclient", "pip"]
SOURCES = ["toymodels", "pyproject.toml", "README.md", "LICENSE-CODE"]
RUN = """
import sys
import nbformat
from nbclient import NotebookClient
NotebookClient(nbformat.read(sys.argv[1], 4), timeout=300).execute()
"""


def closure(names: list[str]) -> set[str]:
    """The distributions and all that they require in this environment."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        needs = map(Requirement, distribution(name).requires or [])
        waiting += [r.name for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def link(name: str, site: Path) -> None:
    """Hard-link the files of a distribution; scripts outside the library are left out."""
    here = Path(distribution(name).locate_file("")).resolve()
    for file in distribution(name).files:
        source = Path(file.locate()).resolve()
        if not source.is_relative_to(here) or source.suffix == ".pyc" or not source.is_file():
            continue
        target = site / source.relative_to(here)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory):
    home = tmp_path_factory.mktemp("colab") / "venv"
    venv.create(home, symlinks=True)
    site = next(home.glob("lib/python*/site-packages"))
    for name in closure(COLAB_HAS + TO_RUN_IT):
        link(name, site)
    return home / "bin" / "python"


def environment(**more: str) -> dict[str, str]:
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "MPLBACKEND")
    return {key: value for key, value in os.environ.items() if key not in ours} | more


def freeze(python: Path) -> set[str]:
    command = [python, "-m", "pip", "freeze", "--disable-pip-version-check"]
    done = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    return {line.split(" @ ")[0] for line in done.stdout.splitlines()}


def test_a_notebook_alone_in_an_empty_folder_runs_to_its_end(clean_python, tmp_path):
    check = [clean_python, "-m", "pip", "check"]
    subprocess.run(check, env=environment(), check=True, capture_output=True)
    before = freeze(clean_python)
    assert not any("toymodels" in line or "jaxtyping" in line for line in before)
    checkout = tmp_path / "checkout"  # a copy: an installation writes beside its sources
    checkout.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (book.ROOT / name).is_dir() else shutil.copyfile
        copy(book.ROOT / name, checkout / name)
    alone = tmp_path / "alone"
    alone.mkdir()
    notebook = shutil.copy(book.notebook(book.chapters()[0]), alone)
    done = subprocess.run(
        [clean_python, "-c", RUN, notebook],
        cwd=alone,
        env=environment(TOYMODELS_SOURCE=str(checkout)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)[-3000:]
    after = freeze(clean_python)
    assert before - after == set()  # nothing upgraded, downgraded or removed
    new = {canonicalize_name(line.split("==")[0]) for line in after - before}
    assert new == {"toymodels"} | closure(["jaxtyping"]) - closure(COLAB_HAS + TO_RUN_IT)
