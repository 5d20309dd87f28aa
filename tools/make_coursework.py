"""Make _build/coursework/<stem>/ from coursework/<stem>.md: for students, solved, and to grade.

usage: python -m tools.make_coursework [KEY]

KEY is an instructor's secret. It draws the numbers that the head of the assignment lists, and
``{{name}}`` in text and code stands for the one of that name. Without a key, they are those of
self-study.

A cell of an assignment names itself by its nbgrader `grade_id`, and an answer is named after what
it defines. `points` make a cell a test of the answer before it, `locked` a given cell, and `manual`
a text that is graded by hand. In a hidden test, `reference.name` is the right `name`.
"""

import functools
import os
import random
import re
import shutil
import sys
from pathlib import Path

import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.converters import GenerateAssignment, GenerateSolution
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from traitlets.config import PyFileConfigLoader

from _ext import book
from tools import labels, make_notebooks
from tools.plain_markdown import Page, leftovers

SOURCES = book.ROOT / "coursework"
KIT = SOURCES / "kit"
OUTPUT = book.ROOT / "_build" / "coursework"
PUBLIC = "public"
NUMBER = re.compile(r"\{\{(\w+)\}\}")
# Both this tool and an instructor's nbgrader commands read this file.
CONFIG = """\
import sys
from pathlib import Path

here = str(Path(__file__).resolve().parent)
if here not in sys.path:
    sys.path.insert(0, here)

c = get_config()
c.CourseDirectory.root = here
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError()"}
c.ClearMarkScheme.enforce_metadata = False  # the rubric for the instructor is ordinary text
c.GenerateSolution.preprocessors = ["nbgrader.preprocessors.ClearHiddenTests"]
c.Autograde.autograde_preprocessors = [
    "grader.Grade",  # in place of the kernel in which nbgrader would trust the students
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
"""


@functools.cache
def chapters() -> tuple[dict, dict]:
    """What the chapters label, and their titles."""
    return labels.collect(), labels.titles()


def stems() -> list[str]:
    return sorted(path.stem for path in SOURCES.glob("*.md"))


def numbers(stem: str, key: str) -> dict[str, str]:
    """What ``key`` draws from each range (low, high, step) that the assignment's head lists."""
    text = (SOURCES / f"{stem}.md").read_text("utf8")
    drawn = {}
    for name, (low, high, step) in yaml.safe_load(text.split("---")[1])["numbers"].items():
        steps = random.Random(f"{key} {stem} {name}").randint(0, round((high - low) / step))
        drawn[name] = f"{low + steps * step:.6g}"
    return drawn


def draw(stem: str, key: str) -> str:
    """The text of the assignment with the numbers of ``key``.

    Raises ValueError on a number that the head does not list, and on one that nothing uses.
    """
    text, drawn = (SOURCES / f"{stem}.md").read_text("utf8"), numbers(stem, key)
    odd = set(NUMBER.findall(text)) ^ drawn.keys()
    if odd:
        raise ValueError(f"coursework/{stem}.md: used and not listed, or the reverse: {odd}")
    return NUMBER.sub(lambda match: drawn[match[1]], text)


def convert(stem: str, key: str = PUBLIC) -> NotebookNode:
    """The assignment with solutions, hidden tests and rubric, as nbgrader wants it."""
    text = Page(f"coursework/{stem}", *chapters())
    given = {"nbgrader": {"locked": True}}
    install = make_notebooks.INSTALL.format(source=book.package_source())
    helpers = (SOURCES / "first_cell.py").read_text("utf8").rstrip()
    cells = [new_code_cell(install, metadata=given)]
    for cell in book.parse(draw(stem, key), SOURCES / f"{stem}.md").cells:
        if cell.cell_type == "code":
            cells.append(new_code_cell(_worth(cell) + cell.source, metadata=cell.metadata))
        else:
            cells.append(new_markdown_cell(text.markdown(cell.source), metadata=cell.metadata))
    first_code = next(n for n, cell in enumerate(cells[1:], 1) if cell.cell_type == "code")
    cells.insert(first_code, new_code_cell(helpers, metadata=given))
    for number, cell in enumerate(cells):
        cell["id"] = f"{stem}-{number:03d}"
        if "nbgrader" in cell.metadata:
            cell.metadata["nbgrader"] = _complete(cell)
    left = [
        line for cell in cells for line in leftovers(cell.source) if cell.cell_type == "markdown"
    ]
    if left:
        raise ValueError(f"coursework/{stem}.md: the notebook would still hold MyST: {left}")
    return new_notebook(cells=cells, metadata=make_notebooks.METADATA, nbformat_minor=5)


def _worth(cell: NotebookNode) -> str:
    """The line that tells a student what a test is worth."""
    points = cell.metadata.get("nbgrader", {}).get("points")
    if points is None:
        return ""
    hidden = "; more tests are hidden" if "BEGIN HIDDEN TESTS" in cell.source else ""
    return f"# {points} point{'s' * (points != 1)}{hidden}\n"


def _complete(cell: NotebookNode) -> dict:
    """The full form of what the assignment says in short about a cell."""
    short = {"grade_id": cell.id, "locked": False, **cell.metadata.nbgrader}
    manual, grade = short.pop("manual", False), "points" in short
    solution = manual or (not grade and not short["locked"])
    return {
        "schema_version": 3,
        "task": False,
        **short,
        "grade": grade,
        "solution": solution,
        "locked": not solution,
    }


def run(root: Path, converter: type, stem: str) -> None:
    """Run one nbgrader step in the course at ``root``; RuntimeError with its log if it fails."""
    scripts = str(Path(sys.executable).parent)  # nbgrader calls alembic by its bare name
    if scripts not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + os.environ["PATH"]
    config = PyFileConfigLoader("nbgrader_config.py", str(root)).load_config()
    course = CourseDirectory(config=config, assignment_id=stem)
    result = capture_log(converter(coursedir=course, config=config))
    if not result["success"]:
        log = result.get("log", "") + result["error"]
        raise RuntimeError(f"{stem}: {converter.__name__} failed:\n{log}")


def write(stem: str, folder: Path, key: str = PUBLIC) -> None:
    """Write student, solution and autograder into ``folder``, never over students' work."""
    root = folder / "autograder"
    if (root / "submitted").exists() and any((root / "submitted").iterdir()):
        raise ValueError(f"{root / 'submitted'} holds submissions: move the folder away first")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(KIT, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "submitted").mkdir()
    (root / "key.txt").write_text(f"{key}\n", "utf8")
    (root / "nbgrader_config.py").write_text(CONFIG, "utf8")
    source = root / "source" / stem / f"{stem}.ipynb"
    source.parent.mkdir(parents=True)
    make_notebooks.write(source, convert(stem, key))
    for converter, made, name in [
        (GenerateAssignment, "release", "student"),
        (GenerateSolution, "solution", "solution"),
    ]:
        run(root, converter, stem)
        (folder / name).mkdir()
        shutil.copyfile(root / made / stem / source.name, folder / name / source.name)
    shutil.rmtree(root / "solution")


def main(argv: list[str]) -> None:
    given = argv[0] if argv else ""
    if not given:
        print("No KEY: the numbers are those of self-study, and their solutions are public")
    for stem in stems():
        try:
            write(stem, OUTPUT / stem, given or PUBLIC)
        except ValueError as error:  # the assignment or its folder, and the message says what
            sys.exit(str(error))
        print(f"{stem}: written to {(OUTPUT / stem).relative_to(book.ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
