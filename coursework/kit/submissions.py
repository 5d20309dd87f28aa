"""Bring submissions in, and marks by hand.

usage: python submissions.py collect FOLDER     FOLDER holds what you downloaded, in any subfolders
       python submissions.py sheet FILE.csv     write what is to be graded by hand
       python submissions.py marks FILE.csv     read it back with your points and comments
"""

import csv
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook

HERE = Path(__file__).resolve().parent
COLUMNS = ["student", "cell", "of", "points", "comment", "answer"]


def stem() -> str:
    """The one assignment of this course."""
    return next((HERE / "source").glob("*/*.ipynb")).stem


def collect(folder: Path) -> bool:
    """Put every notebook below ``folder`` where nbgrader wants it; False if one cannot be used.

    Only the answers are taken from it. All else comes from the notebook that was given out, so that
    deleted, doubled and edited cells do no harm.
    """
    frame = nbformat.read(HERE / "release" / stem() / f"{stem()}.ipynb", 4)
    taken, good = {}, True
    for path in sorted((p for p in folder.rglob("*") if p.is_file()), key=by_copy):
        try:
            student = who(path, folder, stem())
            notebook, notes = framed(frame, nbformat.read(path, 4))
        except Exception as error:  # any file may lie there, broken in any way
            print(f"NOT TAKEN {path.relative_to(folder)}: {error}"[:200])
            good = False
            continue
        if student in taken:
            notes.append(f"in place of {taken[student]}")
        taken[student] = path.relative_to(folder)
        place = HERE / "submitted" / student / stem() / f"{stem()}.ipynb"
        place.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, place)
        print(f"{student}: {'; '.join(notes)} ({taken[student]})")
    return good


def by_copy(path: Path) -> tuple:
    """Sorts `deep_linear (10)` after `deep_linear (9)`, and both after `deep_linear`."""
    number = re.search(r"(\d+)\)?$", path.stem)
    return path.parent, path.stem.rstrip("-( )0123456789"), int(number[1]) if number else -1


def who(path: Path, folder: Path, stem: str) -> str:
    """The student: what the file's name holds beside ``stem``, else the name of a folder.

    Raises ValueError if neither tells.
    """
    copied = rf"{re.escape(stem)}(?: ?\(\d+\)|-\d+)?|_assignsubmission_\w+$"  # the last is Moodle's
    for part in (path.stem, *reversed(path.relative_to(folder).parts[:-1])):
        student = re.sub(r"[^\w.-]+", "_", re.sub(copied, "", part)).strip("-_.")
        if student:
            return student
    raise ValueError("whose is it? Put the name of the student into the name of the file")


def framed(frame: NotebookNode, submitted: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The answers of ``submitted`` in the cells of ``frame``, and what is to be said about them.

    Raises ValueError if it holds no cell of this assignment.
    """
    notebook, notes, known = nbformat.from_dict(frame), [], False
    blank = []
    for cell in filter(utils.is_solution, notebook.cells):
        same = [other for other in submitted.cells if answers(other, cell)]
        known |= bool(same)
        found = [other for other in same if other.source.strip() != cell.source.strip()]
        if not found:
            blank.append(_id(cell))
            continue
        if len(found) > 1:
            notes.append(f"the last of {len(found)} answers to {_id(cell)}")
        cell.source = found[-1].source
        if "attachments" in found[-1]:
            cell.attachments = found[-1].attachments
    if not known:
        raise ValueError("it holds no cell of this assignment")
    return notebook, [*notes, f"not answered: {', '.join(blank)}" if blank else "all answered"]


def answers(cell: NotebookNode, asked: NotebookNode) -> bool:
    """Whether ``cell`` is the one that was ``asked`` for, or a copy that defines its name."""
    if cell.cell_type != asked.cell_type:
        return False
    defines = re.search(rf"^(?:def {_id(asked)}\b|{_id(asked)} *=[^=])", cell.source, re.M)
    return _id(cell) == _id(asked) or (cell.cell_type == "code" and bool(defines))


def _id(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def gradebook() -> Gradebook:
    return Gradebook(f"sqlite:///{HERE / 'gradebook.db'}")


def sheet(path: Path) -> bool:
    """Write one row for each answer that waits for points, or has got them by hand."""
    rows = []
    with gradebook() as book:
        for submission in book.notebook_submissions(stem(), stem()):
            student = submission.student.id
            graded = HERE / "autograded" / student / stem() / f"{stem()}.ipynb"
            text = {_id(cell): cell.source for cell in nbformat.read(graded, 4).cells}
            for grade in submission.grades:
                if grade.needs_manual_grade or grade.manual_score is not None:
                    comment = book.find_comment(grade.name, stem(), stem(), student).manual_comment
                    score, most = grade.manual_score, grade.max_score
                    rows.append([student, grade.name, most, score, comment, text[grade.name]])
    with path.open("w", newline="", encoding="utf8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    print(f"{path}: {len(rows)} answers")
    return True


def marks(path: Path) -> bool:
    """Read the points and comments of a sheet; a row without points is left as it was."""
    good = True
    with path.open(newline="", encoding="utf8") as file, gradebook() as book:
        for row in csv.DictReader(file):
            where = (row["cell"], stem(), stem(), row["student"])
            if not row["points"]:
                continue
            grade = book.find_grade(*where)
            if not 0 <= float(row["points"]) <= grade.max_score:
                print(f"NOT TAKEN {where[3]}: {row['points']} of {grade.max_score:g} points")
                good = False
                continue
            grade.manual_score, grade.needs_manual_grade = float(row["points"]), False
            book.find_comment(*where).manual_comment = row["comment"]
        book.db.commit()
    return good


if __name__ == "__main__":
    commands = {"collect": collect, "sheet": sheet, "marks": marks}
    if len(sys.argv) != 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    sys.exit(not commands[sys.argv[1]](Path(sys.argv[2])))
