"""Make _build/coursework/<stem>/ from coursework/<stem>.md: for students, solved, and to grade.

usage: python -m tools.make_coursework

A cell of an assignment names itself by its nbgrader `grade_id`; `points` make it a test, `locked`
a given cell, and any other is to be answered. In a hidden test, `### REFERENCE name` stands for the
solution of the cell `name`: the test can compare with it, and later tasks build on it.
"""

import os
import re
import shutil
import sys
from pathlib import Path

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
OUTPUT = book.ROOT / "_build" / "coursework"
REFERENCE = re.compile(r"^### REFERENCE (\S+)$", re.M)
DELIMITER = re.compile(r"^ *### (?:BEGIN|END) SOLUTION *\n?", re.M)
# Both this tool and an instructor's nbgrader commands read this file.
CONFIG = """\
from pathlib import Path

c = get_config()
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError()"}
c.ClearMarkScheme.enforce_metadata = False  # the rubric for the instructor is ordinary text
c.Execute.timeout = 120
c.GenerateSolution.preprocessors = ["nbgrader.preprocessors.ClearHiddenTests"]
"""
README = """\
# Coursework `{stem}`

- `student/{stem}.ipynb`: give this to the students. It holds no solution and no hidden test.
- `solution/{stem}.ipynb`: solved, with the rubric, and without the hidden tests.
- `autograder/`: an nbgrader course with the hidden tests. Keep it to yourself.

To grade, move this folder to a place of its own (`make clean` deletes it here), and put each
student's notebook at `autograder/submitted/NAME/{stem}/{stem}.ipynb`. Then, with this book and the
packages of its `requirements.txt` installed:

```sh
cd autograder
nbgrader autograde {stem}
nbgrader export
```

The scores are in `grades.csv`. The untouched notebook of the students scores nothing, the solution
everything, and no cell is left to grade by hand. `nbgrader autograde --force {stem}` grades again.
`nbgrader generate_feedback {stem}` writes a page for each student to `feedback/`, hidden tests
included: show it only to those who may see them.
"""


def stems() -> list[str]:
    return sorted(path.stem for path in SOURCES.glob("*.md"))


def convert(stem: str) -> NotebookNode:
    """The assignment with solutions, hidden tests and rubric, as nbgrader wants it."""
    text = Page(f"coursework/{stem}", labels.collect(), labels.titles())
    source = book.read(f"coursework/{stem}").cells
    answers = {
        cell.metadata.nbgrader.grade_id: DELIMITER.sub("", cell.source)
        for cell in source
        if "### BEGIN SOLUTION" in cell.source and cell.cell_type == "code"
    }
    given = {"nbgrader": {"locked": True}}
    install = make_notebooks.INSTALL.format(repository=book.repository(), branch=book.branch())
    helpers = (SOURCES / "first_cell.py").read_text("utf8").rstrip()
    cells = [new_code_cell(install, metadata=given)]
    for cell in source:
        if cell.cell_type == "markdown":
            cells.append(new_markdown_cell(text.markdown(cell.source)))
            continue
        unknown = set(REFERENCE.findall(cell.source)) - answers.keys()
        if unknown:
            raise ValueError(f"coursework/{stem}.md: no solution {', '.join(unknown)} to refer to")
        filled = REFERENCE.sub(lambda match: answers[match[1]], cell.source)
        cells.append(new_code_cell(_worth(cell) + filled, metadata=cell.metadata))
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
    grade = "points" in short
    solution = not grade and not short["locked"]
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


def write(stem: str, folder: Path) -> None:
    """Write student, solution and autograder into ``folder``, never over students' work."""
    root = folder / "autograder"
    if (root / "submitted").exists() and any((root / "submitted").iterdir()):
        raise ValueError(f"{root / 'submitted'} holds submissions: move the folder away first")
    shutil.rmtree(folder, ignore_errors=True)
    (root / "submitted").mkdir(parents=True)
    (folder / "README.md").write_text(README.format(stem=stem), "utf8")
    (root / "nbgrader_config.py").write_text(CONFIG, "utf8")
    source = root / "source" / stem / f"{stem}.ipynb"
    source.parent.mkdir(parents=True)
    make_notebooks.write(source, convert(stem))
    for converter, made, name in [
        (GenerateAssignment, "release", "student"),
        (GenerateSolution, "solution", "solution"),
    ]:
        run(root, converter, stem)
        (folder / name).mkdir()
        shutil.copyfile(root / made / stem / source.name, folder / name / source.name)
    shutil.rmtree(root / "solution")


if __name__ == "__main__":
    for stem in stems():
        try:
            write(stem, OUTPUT / stem)
        except ValueError as error:  # the assignment or its folder, and the message says what
            sys.exit(str(error))
        print(f"{stem}: written to {(OUTPUT / stem).relative_to(book.ROOT)}")
