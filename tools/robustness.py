"""Run every chapter under other settings and count how often each of its claims holds.

usage: python -m tools.robustness [--seeds N] [--only WORD] [STEM ...]
       python -m tools.robustness --tests     run the tests of the package on OTHER_PROCESSOR

The settings are another processor, ten shifts of all seeds, and the oldest and newest versions of
the packages, as far as they can be installed. A claim that fails is put on record and the chapter
goes on. Two chapters run at a time, which takes hours; finished runs are kept in _build/robustness,
so that the same command goes on after an interruption. What was lost goes to pages/robustness.json,
from which the ledger and the page about environments are drawn. Runs join those on record there,
until a chapter makes other claims: its earlier runs say nothing any more then, and are dropped.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import Requirement

from _ext import book, records, sources
from _ext.ledger import counts
from tools import execute, sabotage

RESULT = book.ROOT / "pages" / "robustness.json"
EMPTY: dict = {"settings": {}, "missing": {}, "chapters": {}}
KEPT = book.ROOT / "_build" / "robustness"
# Without the vector units that processors differ in, and with the sums of two threads.
OTHER_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "2",
}
PATIENCE = 3600  # seconds for a cell: another processor is slow, and works at much else beside
SEEDS, APART = (
    10,
    1000,
)  # shifts, and their distance: no seed of a chapter becomes another of its own
VERSIONS = {"oldest": ["3.11"], "newest": ["3.11", "3.12", "3.13"]}  # of the packages: on Pythons
OF_INTEREST = ["numpy", "scipy", "torch", "matplotlib", "scikit-learn", "jaxtyping"]
ASK = f"""
import json, platform
from importlib.metadata import version
named = {{name: version(name).split("+")[0] for name in {OF_INTEREST}}}
print(json.dumps({{"python": platform.python_version()}} | named))
"""


@dataclass(frozen=True)
class Setting:
    """Under what a chapter runs. ``python`` finds the interpreter, or installs it."""

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    python: Callable[[], Path] = lambda: Path(sys.executable)


def settings(seeds: int = SEEDS) -> list[Setting]:
    shifted = [
        Setting(f"seeds + {APART * k}", {"TOYMODELS_SEED_SHIFT": str(APART * k)})
        for k in range(1, seeds + 1)
    ]
    versions = [
        Setting(
            f"{age} packages, Python {python}", python=lambda a=age, p=python: environment(a, p)
        )
        for age, pythons in VERSIONS.items()
        for python in pythons
    ]
    return [Setting("as built"), Setting("other processor", OTHER_PROCESSOR), *shifted, *versions]


def packages(age: str) -> list[str]:
    """What the package asks for and the chapters use, at its lower bounds or without any."""
    project = tomllib.loads((book.ROOT / "pyproject.toml").read_text("utf8"))["project"]
    asked = [Requirement(line) for line in project["dependencies"]]
    if age == "newest":
        return [need.name for need in asked]
    return [str(need).replace(">=", "==") for need in asked]


def environment(age: str, version: str) -> Path:
    """An interpreter with such packages. Raises RuntimeError when it cannot be had."""
    place = KEPT / f"{age}-{version}"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        base = shutil.which(f"python{version}")
        if base is None:
            raise RuntimeError(f"Python {version} is not installed here")
        ask([base, "-m", "venv", str(place)])
        ask([str(python), "-m", "pip", "install", "-q", *packages(age), "ipykernel"])
        (place / "ready").touch()
    return python


def ask(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"cannot be installed: {re.sub(r'(/|file:|https?:)[^ ]*', '…', said)}")
    return done.stdout


def measure(page: str, setting: Setting) -> dict:
    """Which claims of a page held under a setting, and the first error of a cell if there was one.

    A run that was finished before is not repeated while page, package and versions are the same.
    """
    python = setting.python()
    versions = json.loads(ask([str(python), "-c", ASK]))
    code = [cell.source for cell in book.read(page).cells if cell.cell_type == "code"]
    facts = [page, sources.key(page), code, setting.name, setting.variables, versions]
    kept = KEPT / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}.json"
    if not kept.exists():
        variables = {"TOYMODELS_CLAIMS": "record", "PYTHONPATH": str(book.ROOT)}
        notebook = execute.run(
            page,
            variables | setting.variables,
            kernel_name=kernel(python, setting.name),
            allow_errors=True,
            timeout=PATIENCE,
        ).notebook
        found = {"claims": held(records.claims(notebook)), "error": first_error(notebook)}
        kept.with_suffix(".new").write_text(json.dumps(found | {"versions": versions}))
        os.replace(kept.with_suffix(".new"), kept)
    print(f"{page}, {setting.name}: done", flush=True)
    return json.loads(kept.read_text())


def kernel(python: Path, setting: str) -> str:
    """The name of a kernel of that interpreter, made where JUPYTER_PATH finds it."""
    name = re.sub(r"\W+", "-", setting)
    folder = KEPT / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": argv, "display_name": setting, "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(about))
    return name


def held(claims: list[dict]) -> dict[str, bool]:
    """A name that several claims bear holds when all of them do."""
    found: dict[str, bool] = {}
    for claim in claims:
        found[claim["name"]] = found.get(claim["name"], True) and claim["held"]
    return found


def first_error(notebook) -> str | None:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output["output_type"] == "error"]
    return f"{errors[0]['ename']}: {errors[0]['evalue'][:200]}" if errors else None


def on_record(runs: dict[str, dict], date: str) -> dict:
    """The runs of one chapter. A claim that a run did not reach did not hold in it."""
    names = list({name: None for run in runs.values() for name in run["claims"]})
    lost = {s: [n for n in names if not run["claims"].get(n, False)] for s, run in runs.items()}
    return {
        "claims": names,
        "runs": {
            setting: {"date": date, "error": run["error"], "lost": lost[setting]}
            for setting, run in runs.items()
        },
    }


def joined(old: dict, new: dict) -> dict:
    """The record with new runs in it, in the order of the settings of both."""
    chapters = dict(old["chapters"])
    for stem, chapter in new["chapters"].items():
        before = chapters.get(stem, {"claims": [], "runs": {}})
        kept = before["runs"] if set(before["claims"]) == set(chapter["claims"]) else {}
        chapters[stem] = chapter | {"runs": kept | chapter["runs"]}
    known = old["settings"] | new["settings"]
    used = {setting for chapter in chapters.values() for setting in chapter["runs"]}
    missing = old["missing"] | new["missing"]
    return {
        "machine": new["machine"],
        "settings": {name: about for name, about in known.items() if name in used},
        "missing": {name: why for name, why in missing.items() if name not in used},
        "chapters": chapters,
    }


def survey(stems: list[str], asked: list[Setting]) -> dict:
    """All runs of the chapters, two at a time, as the record that the pages show."""
    about, missing = {}, {}
    for setting in asked:
        try:
            versions = json.loads(ask([str(setting.python()), "-c", ASK]))
            about[setting.name] = {"variables": setting.variables, "versions": versions}
        except RuntimeError as error:
            missing[setting.name] = str(error)
    os.environ["JUPYTER_PATH"] = str(KEPT)
    able = [setting for setting in asked if setting.name in about]
    with ThreadPoolExecutor(execute.AT_ONCE) as pool:
        runs = {
            stem: {s.name: pool.submit(measure, f"chapters/{stem}", s) for s in able}
            for stem in stems
        }
        runs = {stem: {n: r.result() for n, r in some.items()} for stem, some in runs.items()}
    date = datetime.now(UTC).date().isoformat()
    return {
        "machine": platform.machine(),
        "settings": about,
        "missing": missing,
        "chapters": {stem: on_record(some, date) for stem, some in runs.items()},
    }


def tests() -> int:
    """The tests of the ground floor, as they run on another processor.

    All arithmetic of the package is done there; the models run under the same setting in their
    chapters. One process: it has two threads of its own.
    """
    ground = [m for m in sabotage.modules() if m.startswith(("numerics/", "networks/", "limits/"))]
    files = sorted({sabotage.test_file(module) for module in ground})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *files]
    return subprocess.run(command, cwd=book.ROOT, env=os.environ | OTHER_PROCESSOR).returncode


def main(stems: list[str], asked: list[Setting]) -> None:
    known = [Path(page).name for page in book.chapters()]
    unknown = [stem for stem in stems if stem not in known]
    if unknown:
        sys.exit(f"no chapter {', '.join(unknown)}: the book has {', '.join(known)}")
    KEPT.mkdir(parents=True, exist_ok=True)
    found = survey(stems or known, asked)
    old = json.loads(RESULT.read_text("utf8")) if RESULT.exists() else EMPTY
    RESULT.write_text(json.dumps(joined(old, found), indent=1, ensure_ascii=False) + "\n", "utf8")
    rows = [row for chapter in found["chapters"].values() for row in counts(chapter).values()]
    total, good = sum(row["runs"] for row in rows), sum(row["held"] for row in rows)
    print(f"{len(rows)} claims held in {good} of {total} runs; see {RESULT.relative_to(book.ROOT)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stems", nargs="*", metavar="STEM")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="number of shifts of all seeds")
    parser.add_argument("--only", default="", help="only settings with this word in their name")
    parser.add_argument("--tests", action="store_true", help="only the tests of the package")
    given = parser.parse_args()
    if given.tests:
        sys.exit(tests())
    main(given.stems, [s for s in settings(given.seeds) if given.only in s.name])
