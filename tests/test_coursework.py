"""Each assignment, as `make coursework` writes it and as an instructor grades it by its README."""

import csv
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from _ext import book
from tools import make_coursework

REGION = re.compile(
    r"^[^\n]*BEGIN (?P<kind>SOLUTION|HIDDEN TESTS|MARK SCHEME)[^\n]*\n"
    r"(?P<text>.*?)^[^\n]*END (?P=kind)[^\n]*$",
    re.M | re.S,
)
# Two students hand in the solution, but with the rubric's typical mistake in every second task.
MISTAKES = {
    "deep_linear": {
        "first": {
            1: ("conserved", "rate_b * a**2 - rate_a * b**2", "rate_a * a**2 - rate_b * b**2"),
            3: ("remembered", "(s * math.log(s / start) - s + start)", "s * math.log(s / start)"),
            5: ("late", "waiting - 2 * rising", "waiting"),
            7: ("forgetting", "(1 + jitter)", "1"),
        },
        "second": {
            2: (
                "descend",
                "first, second = first + step * rates[0] * push_first, "
                "second + step * rates[1] * push_second",
                "first = first + step * rates[0] * push_first\n"
                "        second = second + step * rates[1] * error @ first.mT",
            ),
            4: (
                "wait",
                "u = start * torch.exp(half_range * (node + 1))  # (node, *batch)\n"
                "    return (half_range * weight * u / rate(u)).sum(0)",
                "u = start + (end - start) / 2 * (node + 1)\n"
                "    return ((end - start) / 2 * weight / rate(u)).sum(0)",
            ),
            6: ("growing", "tilt = (rates[1] / rates[0]) ** 0.25", "tilt = 1.0"),
        },
    },
}


@pytest.fixture(scope="module", params=make_coursework.stems())
def stem(request):
    return request.param


@pytest.fixture(scope="module")
def text(stem):
    return (make_coursework.SOURCES / f"{stem}.md").read_text("utf8")


@pytest.fixture(scope="module")
def folder(stem, tmp_path_factory):
    """What the tool writes, graded with the commands of the README that lies beside it."""
    folder = tmp_path_factory.mktemp("coursework") / stem
    make_coursework.write(stem, folder)
    solution = notebook(folder / "solution", stem)
    submit(folder, stem, "reference", solution)
    submit(folder, stem, "blank", notebook(folder / "student", stem))
    for student, mistakes in MISTAKES[stem].items():
        submit(folder, stem, student, with_mistakes(solution, mistakes.values()))
    scripts = str(Path(sys.executable).parent)
    config = str(folder.parent / "jupyter")  # no settings of whoever runs this test
    commands = re.search(r"```sh\n(.*?)```", (folder / "README.md").read_text("utf8"), re.S)[1]
    subprocess.run(
        ["sh", "-ec", commands],
        cwd=folder,
        check=True,
        env={
            **os.environ,
            "PATH": scripts + os.pathsep + os.environ["PATH"],
            "PYTHONPATH": str(book.ROOT),
            "JUPYTER_CONFIG_DIR": config,
            "JUPYTER_DATA_DIR": config,
        },
    )
    return folder


def notebook(place, stem):
    return nbformat.read(place / f"{stem}.ipynb", 4)


def submit(folder, stem, student, submission):
    path = folder / "autograder" / "submitted" / student / stem / f"{stem}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(submission, path)


def with_mistakes(solution, mistakes):
    wrong = nbformat.from_dict(solution)
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in wrong.cells}
    for name, right, mistake in mistakes:
        assert cells[name].source.count(right) == 1, f"{name} does not hold {right!r}"
        cells[name].source = cells[name].source.replace(right, mistake)
    return wrong


def rubric(text):
    """Points of every task, and what its typical mistake scores."""
    points = re.findall(r"^\| (\d+) [^|]+\| (\d+) \| [^|]+\|$", text, re.M)
    mistaken = re.findall(r"^\| (\d+) \| [^|]+\| (\d+) \|$", text, re.M)
    return tuple({int(task): int(score) for task, score in rows} for rows in (points, mistaken))


def scores(folder, stem, student):
    """Score and points of every task, by hand where the autograder cannot tell."""
    got, most = Counter(), Counter()
    with Gradebook(f"sqlite:///{folder}/autograder/gradebook.db") as gradebook:
        for grade in gradebook.find_submission_notebook(stem, stem, student).grades:
            assert not grade.needs_manual_grade, f"{grade.name} is left to grade by hand"
            task = int(re.match(r"task(\d+)-", grade.name)[1])
            got[task] += grade.score
            most[task] += grade.max_score
    return dict(got), dict(most)


def test_solution_scores_full_points_and_the_blank_none(folder, stem, text):
    points, mistaken = rubric(text)
    assert 4 <= len(points) <= 8 and points.keys() == mistaken.keys()
    assert scores(folder, stem, "reference") == (points, points)
    assert scores(folder, stem, "blank") == (dict.fromkeys(points, 0), points)


def test_typical_mistakes_score_what_the_rubric_says(folder, stem, text):
    points, mistaken = rubric(text)
    assert len(MISTAKES[stem]) >= 2
    assert sorted(task for tasks in MISTAKES[stem].values() for task in tasks) == sorted(points)
    for student, tasks in MISTAKES[stem].items():
        expected = {task: mistaken[task] if task in tasks else points[task] for task in points}
        assert scores(folder, stem, student)[0] == expected


def test_headings_and_rubric_give_the_same_points(text):
    headings = re.findall(r"^## Task (\d+): .*\((\d+) points\)$", text, re.M)
    assert {int(task): int(points) for task, points in headings} == rubric(text)[0]


def test_exported_grades(folder, stem, text):
    with (folder / "autograder" / "grades.csv").open() as table:
        total = {row["student_id"]: float(row["score"]) for row in csv.DictReader(table)}
    assert total["reference"] == sum(rubric(text)[0].values()) and total["blank"] == 0


def test_nothing_secret_reaches_the_students(folder, stem, text):
    secret = {"SOLUTION": set(), "HIDDEN TESTS": set(), "MARK SCHEME": set()}
    visible = {line.strip() for line in REGION.sub("", text).splitlines()}
    for region in REGION.finditer(text):
        lines = {line.strip() for line in region["text"].splitlines()} - visible
        assert lines, f"nothing tells this region from what students see: {region['text']}"
        secret[region["kind"]] |= lines
    assert all(secret.values())
    given = sources(notebook(folder / "student", stem))
    solved = sources(notebook(folder / "solution", stem))
    for lines in secret.values():
        assert not [line for line in lines if is_in(line, given)]
    assert not [line for line in secret["HIDDEN TESTS"] if is_in(line, solved)]
    for word in ("BEGIN", "END", "REFERENCE", "HIDDEN", "MARK SCHEME", "submitted ="):
        assert word not in given
    assert [path.name for path in (folder / "student").iterdir()] == [f"{stem}.ipynb"]


def sources(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def is_in(line, text):
    """A short line can be a part of another by chance; a long one cannot."""
    return line in text if len(line) > 12 else line in map(str.strip, text.splitlines())


def test_student_notebook_begins_like_a_chapter(folder, stem):
    student = notebook(folder / "student", stem)
    chapter = notebook(book.ROOT / "notebooks", stem)
    assert student.cells[0].source == chapter.cells[0].source
    assert book.repository() in student.cells[0].source
    assert student.cells[1].source.startswith("# ")
    assert not any(cell.get("outputs") for cell in student.cells)


def test_blank_fails_only_where_it_is_not_answered(folder, stem):
    graded = notebook(folder / "autograder" / "autograded" / "blank" / stem, stem)
    errors = [
        output
        for cell in graded.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert errors and {error.ename for error in errors} == {"NotImplementedError"}


def test_solution_runs_in_silence(folder, stem):
    graded = notebook(folder / "autograder" / "autograded" / "reference" / stem, stem)
    for output in (output for cell in graded.cells for output in cell.get("outputs", [])):
        assert output.output_type != "error", output.evalue
        assert output.get("name") != "stderr", output.text


def test_submissions_are_never_overwritten(folder, stem):
    with pytest.raises(ValueError, match="holds submissions"):
        make_coursework.write(stem, folder)


def test_a_cell_that_compares_with_an_unknown_reference_is_refused(stem, monkeypatch):
    read = book.read

    def broken(page):
        cells = read(page)
        for cell in cells.cells:
            cell.source = cell.source.replace("### REFERENCE ", "### REFERENCE un")
        return cells

    monkeypatch.setattr(book, "read", broken)
    with pytest.raises(ValueError, match="no solution un"):
        make_coursework.convert(stem)
