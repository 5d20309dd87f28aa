"""Each assignment: what answers, mistakes and attacks score, and the way from files to grades."""

import ast
import csv
import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from _ext import book
from coursework.kit import grader, submissions
from tools import make_coursework

REGION = re.compile(
    r"^[^\n]*BEGIN (?P<kind>SOLUTION|HIDDEN TESTS|MARK SCHEME)[^\n]*\n"
    r"(?P<text>.*?)^[^\n]*END (?P=kind)[^\n]*$",
    re.M | re.S,
)
KEY = "the key of these tests"
# The mistakes that the rubric calls typical: task, answer, what is right in it, and the mistake.
MISTAKES = {
    "deep_linear": [
        (1, "conserved", "{rate_b} * a**2 - {rate_a} * b**2", "{rate_a} * a**2 - {rate_b} * b**2"),
        (
            2,
            "descend",
            "first, second = first + step * rates[0] * push_first, "
            "second + step * rates[1] * push_second",
            "first = first + step * rates[0] * push_first\n"
            "        second = second + step * rates[1] * error @ first.mT",
        ),
        (3, "remembered", "(s * math.log(end / start) - end + start)", "s * math.log(end / start)"),
        (
            4,
            "wait",
            "u = start * torch.exp(half_range * (node + 1))  # (node, *batch)\n"
            "    return (half_range * weight * u / rate(u)).sum(0)",
            "u = start + (end - start) / 2 * (node + 1)\n"
            "    return ((end - start) / 2 * weight / rate(u)).sum(0)",
        ),
        (5, "late", "waiting - 2 * rising", "waiting"),
        (6, "growing", "tilt = ({rate_b} / {rate_a}) ** 0.25", "tilt = 1.0"),
        (7, "forgetting", "(1 + jitter)", "1"),
    ],
}
# What is off by about three times what its check allows: test, answer, what it returns in place of
# the right `x`, called with the arguments `a`, and the check that says so. One for each check that
# has a tolerance or is hidden.
NEAR = {
    "deep_linear": [
        ("task1-conserved", "conserved", "x + 1e-5 * a[0]", "conserved along"),
        ("task1-value", "conserved", "x * (1 + 3e-6)", "its value"),
        ("task1-growth", "growth", "x * (1 + 3e-6)", "the law"),
        ("task2-start", "descend", "x * (1 + 3e-6)", "the record begins"),
        ("task2-flow", "descend", "x * 1.03", "small steps"),
        ("task2-any", "descend", "x * (1 + 3e-6)", "large steps"),
        ("task3-kept", "kept", "x * (1 + 3e-6) if a[1] else x", "one step"),
        ("task3-total", "remembered", "x**1.06", "the exponent"),
        ("task4-easy", "wait", "x * (1 + 3e-4)", "one layer"),
        ("task4-tiny", "wait", "x * (1 + 3e-8)", "a tiny start"),
        ("task4-batch", "wait", "x * (1 + 3e-6)", "depth"),
        ("task5-logarithm", "late", "x * (1 + 3e-4)", "delay for each"),
        ("task5-formula", "late", "x * 1.15", "the delay"),
        ("task5-formula", "late", "x * 1.003", "other strengths"),
        ("task6-difference", "growing", "[p * (1 + 3e-6) for p in x]", "P[+] - P-"),
        ("task6-growing", "growing", "[p * (1 + 3e-6) for p in x]", "its value"),
        ("task6-rough", "predict", "x * 1.12", "measured over"),
        ("task6-predict", "predict", "x * 1.006", "your times"),
        ("task7-noisy", "noisy", "[p * (1 + 3e-6) for p in x] if a[4].any() else x", "with noise"),
        ("task7-tiny-steps", "forgetting", "x * 1.006", "tiny steps"),
        ("task7-any-step", "forgetting", "x * 1.003", "finite steps"),
        ("task7-measure", "measure", "(x[0] + 8 * x[1], x[1])", "measurement and"),
        ("task7-measure", "measure", "(x[0], 0.06 * x[0])", "take more"),
    ],
}
STEMS = make_coursework.stems()


@pytest.fixture(scope="module", params=STEMS)
def stem(request):
    return request.param


@pytest.fixture(scope="module")
def text(stem):
    return (make_coursework.SOURCES / f"{stem}.md").read_text("utf8")


@pytest.fixture(scope="module")
def source(stem):
    return make_coursework.convert(stem, KEY)


@pytest.fixture(scope="module")
def worker(source):
    with grader.Worker(grader.given(source)) as worker:
        yield worker


@pytest.fixture(scope="module")
def grade(source, worker):
    """The points of each test, and what the failed ones say, of a submission."""

    def grade(submitted, source=source):
        outputs = grader.grade(source, submitted, worker)
        failed = {
            test: output.evalue
            for test, found in outputs.items()
            for output in found
            if output.output_type == "error"
        }
        return {test: 0 if test in failed else most(source)[test] for test in outputs}, failed

    return grade


def most(source):
    tests = filter(grader.is_test, source.cells)
    return {grader.name(cell): cell.metadata.nbgrader.points for cell in tests}


def answered(source, **cells):
    """The solution with other answers, by name; None deletes the cell."""
    submitted = nbformat.from_dict(source)
    for name, answer in cells.items():
        cell = next(cell for cell in submitted.cells if grader.name(cell) == name)
        if answer is None:
            submitted.cells.remove(cell)
        else:
            cell.source = answer
    return submitted


def only(source, tests):
    """The assignment with these of its tests."""
    asked = nbformat.from_dict(source)
    asked.cells = [c for c in asked.cells if not grader.is_test(c) or grader.name(c) in tests]
    return asked


def blank(source):
    """The answers as they are given out, by name."""
    cells = filter(grader.is_answer, source.cells)
    return {grader.name(c): REGION.sub("    raise NotImplementedError()", c.source) for c in cells}


def solution(source, name):
    return next(cell.source for cell in source.cells if grader.name(cell) == name)


def rubric(text):
    """Points of every task, and what its typical mistake scores."""
    points = re.findall(r"^\| (\d+) [^|]+\| (\d+) \| [^|]+\|$", text, re.M)
    mistaken = re.findall(r"^\| (\d+) \| [^|]+\| (\d+) \|$", text, re.M)
    return tuple({int(task): int(score) for task, score in rows} for rows in (points, mistaken))


def by_hand(source):
    cells = [cell for cell in source.cells if grader.name(cell)]
    return [cell for cell in cells if cell.cell_type == "markdown"]


def by_task(points):
    tasks = Counter()
    for test, score in points.items():
        tasks[int(re.match(r"task(\d+)-", test)[1])] += score
    return dict(tasks)


# --- what a submission scores, for each assignment ------------------------------------------------


@pytest.mark.parametrize("key", [make_coursework.PUBLIC, KEY])
def test_the_solution_scores_full_points_under_every_key(stem, grade, key):
    source = make_coursework.convert(stem, key)
    assert grade(source, source) == (most(source), {})


def test_the_blank_scores_nothing(source, grade):
    points, failed = grade(answered(source, **blank(source)))
    assert not any(points.values())
    assert set(failed.values()) == {"NotImplementedError"}


def test_the_public_solution_scores_only_what_needs_no_number(stem, source, grade):
    points, _ = grade(make_coursework.convert(stem))
    assert sum(points.values()) < sum(most(source).values()) / 2


def test_a_typical_mistake_scores_what_the_rubric_says(stem, text, source, grade):
    """All at once, since none may cost points of another task."""
    cells = {}
    for _, name, right, wrong in MISTAKES[stem]:
        for drawn in re.findall(r"\{(\w+)\}", right):
            value = make_coursework.numbers(stem, KEY)[drawn]
            right, wrong = (part.replace(f"{{{drawn}}}", value) for part in (right, wrong))
        code = solution(source, name)
        assert code.count(right) == 1, f"{name} does not hold {right!r}"
        cells[name] = code.replace(right, wrong)
    points, _ = grade(answered(source, **cells))
    assert by_task(points) == rubric(text)[1]


def test_what_is_off_by_a_little_more_than_allowed_fails(stem, source, grade):
    """In a few submissions: each holds the next of the near misses of every answer."""
    waiting = NEAR[stem]
    while waiting:
        tried = {miss[1]: miss for miss in reversed(waiting)}
        cells = {
            name: f"{solution(source, name)}\nright_ = {name}\n\ndef {name}(*a, **k):\n"
            f"    x = right_(*a, **k)\n    return {returned}\n"
            for name, (_, _, returned, _) in tried.items()
        }
        asked = only(source, {test for test, *_ in tried.values()})
        _, failed = grade(answered(source, **cells), asked)
        for test, _, returned, says in tried.values():
            assert re.match(says, failed.get(test, "nothing")), f"{test}, {returned}: {failed}"
        waiting = [miss for miss in waiting if miss not in tried.values()]


def test_every_hidden_check_has_its_near_miss(stem, source):
    missed = {test for test, *_ in NEAR[stem]}
    hidden = {grader.name(c) for c in source.cells if "BEGIN HIDDEN TESTS" in c.source}
    assert hidden and hidden <= missed <= most(source).keys()


def test_every_task_has_its_typical_mistake(stem, text):
    points, mistaken = rubric(text)
    assert 4 <= len(points) <= 8
    assert [mistake[0] for mistake in MISTAKES[stem]] == sorted(points) == sorted(mistaken)


def test_headings_rubric_and_tests_give_the_same_points(text, source):
    headings = re.findall(r"^## Task (\d+): .*\((\d+) points\)$", text, re.M)
    points = {int(task): int(points) for task, points in headings}
    assert points == rubric(text)[0]
    hand = sum(cell.metadata.nbgrader.points for cell in by_hand(source))
    tests, total = sum(most(source).values()), sum(points.values())
    assert hand and total == tests + hand
    assert f"{tests} in all" in text and f"out of {total}" in text


def test_the_table_of_points_has_those_of_the_tests_in_their_order(text, source):
    worth = {}
    for cell in source.cells:
        if cell.metadata.get("nbgrader", {}).get("points"):
            test = grader.name(cell)
            task = re.match(r"task(\d+)-", test)
            task = int(task[1]) if task else max(worth)  # a text belongs to the task it stands in
            worth.setdefault(task, []).append(cell.metadata.nbgrader.points)
    rows = re.findall(r"^\| (\d+) [^|]+\| \d+ \| ([^|]+)\|$", text, re.M)
    said = {
        int(task): [int(n) for n in re.findall(r"\b\d+\b", re.sub(r"\$.*?\$", "", what))]
        for task, what in rows
    }
    assert said == worth


def test_what_is_graded_by_hand_has_a_rubric_for_its_points(source):
    """It stands in the cell before: in its own, nbgrader takes every answer for a written one."""
    for cell in by_hand(source):
        before = source.cells[source.cells.index(cell) - 1].source
        rows = re.findall(r"^\| (\d+) \|", before.split("**By hand.**")[1], re.M)
        assert sum(map(int, rows)) == cell.metadata.nbgrader.points
        assert "MARK SCHEME" not in cell.source


def test_every_number_depends_on_the_key(stem):
    drawn = [make_coursework.numbers(stem, f"key {k}") for k in range(20)]
    assert drawn[0] == make_coursework.numbers(stem, "key 0")
    for name in drawn[0]:
        assert len({numbers[name] for numbers in drawn}) > 3, f"{name} is easily guessed"


@pytest.mark.parametrize(
    ("argv", "key"), [([KEY], KEY), ([], make_coursework.PUBLIC), ([""], make_coursework.PUBLIC)]
)
def test_the_command_hands_on_its_key(argv, key, monkeypatch, capsys):
    written = []
    monkeypatch.setattr(make_coursework, "write", lambda *given: written.append(given))
    make_coursework.main(argv)
    assert written == [(stem, make_coursework.OUTPUT / stem, key) for stem in STEMS]
    assert ("public" in capsys.readouterr().out) == (key == make_coursework.PUBLIC)


def test_a_number_that_the_head_does_not_list_is_refused(stem, tmp_path, monkeypatch):
    text = (make_coursework.SOURCES / f"{stem}.md").read_text("utf8")
    (tmp_path / f"{stem}.md").write_text(text + "\n{{no_such_number}}\n", "utf8")
    monkeypatch.setattr(make_coursework, "SOURCES", tmp_path)
    with pytest.raises(ValueError, match="no_such_number"):
        make_coursework.draw(stem, KEY)


# --- what students break: the kit, with one assignment --------------------------------------------

ONE = pytest.mark.parametrize("stem", ["deep_linear"], indirect=True, scope="module")


@ONE
def test_answers_left_blank_cost_no_points_of_later_tasks(source, grade):
    names = ["descend", "wait", "growing"]  # tests of later answers call all three
    stubs = {name: code for name, code in blank(source).items() if name in names}
    points, failed = grade(answered(source, **stubs))
    groups = dict(grader.groups(source))
    assert failed.keys() == {test for name in names for test in groups[name]}
    assert sum(points.values()) == 35 - 5 - 4 - 3


@ONE
def test_a_wrong_axis_costs_only_what_looks_at_it(source, grade):
    code = solution(source, "descend")
    wrong = code.replace("torch.stack(seen, -2)", "torch.stack(seen)")
    assert wrong != code
    points, failed = grade(answered(source, descend=wrong))
    assert failed.keys() == {"task2-start", "task2-any"}, failed


@ONE
def test_every_way_to_fail_has_its_message(source, grade, monkeypatch):
    """All in one submission: none may disturb another."""
    monkeypatch.setattr(grader, "SECONDS", 2.0)
    cells = {
        "conserved": ("raise KeyError('gain')", "KeyError: 'gain'"),
        "growth": ("while True: pass", "too long"),
        "kept": ("def kept(error:", "SyntaxError"),
        "remembered": ("exit()", "SystemExit"),
        "wait": ("import os\ndef wait(*a): os._exit(0)", "ended its process"),
        "late": ("def late(*a): return len([0] * 10**10)", "MemoryError"),
        "growing": ("def growing(*a): return growing", "growing"),
        "predict": ("predict = 'soon'", "soon|str"),
        "noisy": (None, "noisy"),
        "forgetting": ("def forgetting(s, c): return 0.0", "TypeError"),
        "measure": ("def measure(): return measure()", "RecursionError"),
    }
    points, failed = grade(answered(source, **{name: code for name, (code, _) in cells.items()}))
    assert by_task(points) == {1: 0, 2: 5, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0}
    for name, (_, says) in cells.items():
        for test in dict(grader.groups(source))[name]:
            assert re.search(says, failed[test]), f"{test}: {failed[test]}"


@ONE
def test_what_is_right_may_work_in_place_and_use_helpers(source, grade):
    right = {name: solution(source, name) for name in blank(source)}
    growth = right["growth"].replace("(c**2 +", "root(c**2 +").replace(") ** 0.5", ")")
    kept = right["kept"].replace("(step * error) ** 2", "error.mul_(step).square_()")
    assert growth != right["growth"] and kept != right["kept"]
    cells = {
        "conserved": right["conserved"] + "\ntheory = 0.5\ndef root(x):\n    return x**0.5\n",
        "growth": growth,
        "kept": "%matplotlib inline\n" + kept,
        "late": "import scipy.special\nfrom scipy.integrate import quad\n" + right["late"],
    }
    assert grade(answered(source, **cells)) == (most(source), {})


CHEAT = """
import builtins, torch
def agree(*a, **k): return None
print = abs = float = agree
builtins.abs = builtins.float = lambda *a: 0.0
torch.as_tensor = torch.equal = torch.allclose = agree
torch.Tensor.__sub__ = torch.Tensor.abs = lambda self, *a: 0 * self
import toymodels.deep_linear
toymodels.deep_linear.theory = agree
def {name}(*a, **k): return torch.zeros(())
"""
EQUAL = """
class Anything(float):
    __eq__ = __le__ = __lt__ = __gt__ = __ge__ = lambda *a: True
    __sub__ = __rsub__ = __abs__ = lambda *a: 0.0
def {name}(*a, **k): return Anything()
"""
# whoever is not refused finds the solution of an earlier kit, here or in a later answer's memory
SEARCH = """
import gc, types
def {name}(*a, **k):
    for f in gc.get_objects():
        if isinstance(f, types.FunctionType) and f.__name__ == "{name}" and f is not {name}:
            return f(*a, **k)
"""


@ONE
@pytest.mark.parametrize("attack", [CHEAT, EQUAL, SEARCH], ids=["redefine", "equal", "search"])
def test_an_attack_scores_nothing(attack, source, grade):
    names = blank(source)
    points, _ = grade(answered(source, **{name: attack.replace("{name}", name) for name in names}))
    assert not any(points.values())


@ONE
def test_nothing_but_answers_is_taken_from_a_submission(source, grade):
    """Whoever edits the given cells and the tests is judged by those that were given out."""
    zeros = {name: f"def {name}(*a, **k): return torch.zeros(())" for name in blank(source)}
    submitted = answered(source, **zeros)
    for cell in submitted.cells:
        if grader.is_test(cell):
            cell.source = "pass"
        elif cell.cell_type == "code" and not grader.is_answer(cell):
            cell.source += "\ndef agree(*a, **k): pass\n"
    points, _ = grade(submitted)
    assert points == dict.fromkeys(most(source), 0)


@ONE
@pytest.mark.parametrize(
    "attempt",
    [
        "open('{path}').read()",
        "__import__('pathlib').Path('{path}').read_text()",
        "__import__('os').scandir('{folder}')",
        "__import__('os').listdir('{folder}')",
        "__import__('os').open('{path}', 0)",
        "__import__('numpy').fromfile('{path}')",
        "__import__('os').system('true')",
        "__import__('subprocess').run(['cat', '{path}'])",
        "__import__('ctypes').CDLL(None)",
        "__import__('os').kill(1, 0)",
        "__import__('socket').create_connection(('localhost', 1))",
        "open('{folder}/new', 'w')",
    ],
)
def test_an_answer_sees_no_files_processes_or_network(attempt, worker, tmp_path):
    path = tmp_path / "grades.csv"
    path.write_text("secret")
    answer = f"def answer(): return str({attempt.format(path=path, folder=tmp_path)})"
    job = {"name": "answer", "answer": answer, "earlier": [], "around": []}
    with pytest.raises(grader.AnswerError, match="PermissionError: an answer may not"):
        worker.call(job, (), {})


@ONE
def test_an_answer_does_not_know_where_it_is_graded(worker):
    answer = "import os, sys\ndef answer(): return str([os.getcwd(), sys.orig_argv, *os.environ])"
    job = {"name": "answer", "answer": answer, "earlier": [], "around": []}
    known = worker.call(job, (), {})
    assert known.startswith("['/',") and "PWD" not in known and "PYTHONPATH" not in known
    assert str(grader.HERE) not in known


@ONE
def test_what_an_answer_returns_is_read_and_never_executed(worker, tmp_path):
    path = tmp_path / "made"
    answer = f"""
import os
class Order:
    def __reduce__(self):
        return os.mkdir, ({str(path)!r},)
def answer():
    return Order()
"""
    job = {"name": "answer", "answer": answer, "earlier": [], "around": []}
    with pytest.raises(grader.AnswerError, match="no value came back"):
        worker.call(job, (), {})
    assert not path.exists()


# --- from files to grades -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("ada_deep_linear.ipynb", "ada"),
        ("deep_linear_ada.ipynb", "ada"),
        ("ada_deep_linear (2).ipynb", "ada"),
        ("lovelaceada_123_4567_deep_linear-1.ipynb", "lovelaceada_123_4567"),
        ("Ada Lovelace_123_assignsubmission_file_/deep_linear.ipynb", "Ada_Lovelace_123"),
        ("ada/deep_linear (1).ipynb", "ada"),
        ("ada/deep_linear/deep_linear.ipynb", "ada"),
        ("Ada Müller.ipynb", "Ada_Müller"),
    ],
)
def test_the_name_of_a_student(path, student):
    assert submissions.who(Path("in") / path, Path("in"), "deep_linear") == student


def test_a_file_without_a_name_is_refused():
    with pytest.raises(ValueError, match="whose"):
        submissions.who(Path("in/deep_linear (1).ipynb"), Path("in"), "deep_linear")


@ONE
def test_deleted_doubled_and_edited_cells_do_no_harm(source):
    changed = {"late": None, "task1-value": None, "given": "import antigravity"}
    submitted = answered(source, **changed)
    for cell in submitted.cells:
        if grader.is_test(cell):
            cell.source = "print('✓')"
    kept = next(cell for cell in submitted.cells if grader.name(cell) == "kept")
    double = nbformat.from_dict(kept | {"source": "def kept(error, step):\n    return 2"})
    submitted.cells.append(double)
    submitted.cells.append(new_code_cell("def late(start, s, step):\n    return 3"))
    submitted.cells.append(new_markdown_cell("kept = 3"))
    notebook, notes = submissions.framed(answered(source, **blank(source)), submitted)
    assert notes[0] == "the last of 2 answers to kept"
    found = {grader.name(cell): cell.source for cell in notebook.cells if grader.name(cell)}
    assert found["late"].endswith("return 3") and found["kept"].endswith("return 2")
    assert found["task1-value"] == solution(source, "task1-value")
    assert found["given"] == solution(source, "given")
    assert found["wait"] == solution(source, "wait")
    with pytest.raises(ValueError, match="no cell of this assignment"):
        submissions.framed(source, nbformat.v4.new_notebook(cells=[new_code_cell("1")]))


@pytest.fixture(scope="module")
def home(stem, source, tmp_path_factory):
    """Where the commands of the page on teaching have been run, from downloads to grades."""
    home = tmp_path_factory.mktemp("home")
    make_coursework.write(stem, home / stem, KEY)
    student = nbformat.read(home / stem / "student" / f"{stem}.ipynb", 4)
    solved = nbformat.read(home / stem / "solution" / f"{stem}.ipynb", 4)
    twice = answered(solved, late="def late(start, s, step):\n    exit()")
    twice.cells += [nbformat.from_dict(cell) for cell in twice.cells if grader.name(cell) == "late"]
    downloads = {
        f"ada_{stem} (1).ipynb": answered(solved, kept="def kept(error, step):\n    return 2.0"),
        f"ada_{stem} (2).ipynb": solved,
        f"Blank Student_7_assignsubmission_file_/{stem}.ipynb": student,
        f"eve/{stem} (1).ipynb": twice,
        f"{stem} (3).ipynb": solved,
    }
    for name, notebook in downloads.items():
        (home / "downloads" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "downloads" / name).write_text(json.dumps(notebook), "utf8")
    (home / "downloads" / f"bob_{stem}.ipynb").write_text("{not a notebook")
    page = (book.ROOT / "pages/teaching.md").read_text("utf8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.S)
    assert blocks.pop(0).startswith("make coursework KEY="), "the test writes the folder itself"
    collect, grade, finish = blocks
    log = shell(home, collect.replace("downloads\n", "downloads || true\n") + grade)
    sheet = home / stem / "autograder" / "by_hand.csv"
    with sheet.open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {"points": "3.5", "comment": "A limit is missing."}
    with sheet.open("w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, submissions.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    shell(home, f"cd {stem}/autograder\n{finish}")
    return home, log, rows


def shell(home, commands):
    """Run commands as an instructor would, with no settings of whoever runs this test."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    own = {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home)}
    ran = subprocess.run(
        ["sh", "-ec", commands],
        cwd=home,
        env={**os.environ, **own, "PATH": path, "PYTHONPATH": str(book.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf8",
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@ONE
def test_the_page_on_teaching_leads_from_files_to_grades(stem, source, home):
    folder, log, rows = home
    assert re.search(rf"NOT TAKEN bob_{stem}.ipynb: .*JSON", log)
    assert re.search(rf"NOT TAKEN {stem} \(3\).ipynb: whose is it", log)
    assert f"ada: in place of ada_{stem} (1).ipynb" in log.replace("all answered; ", "")
    assert "eve: the last of 2 answers to late; all answered" in log
    assert {row["student"] for row in rows} == {"ada", "eve"}
    with (folder / stem / "autograder" / "grades.csv").open() as table:
        score = {row["student_id"]: float(row["score"]) for row in csv.DictReader(table)}
    tests = sum(most(source).values())
    late = sum(most(source)[test] for test in dict(grader.groups(source))["late"])
    assert score == {"ada": tests + 3.5, "eve": tests - late + 3.5, "Blank_Student_7": 0}


@ONE
def test_feedback_holds_the_reasons_and_no_secret(stem, source, home):
    for student, reason in [("ada", "A limit is missing."), ("eve", "SystemExit")]:
        page = home[0] / stem / "autograder" / "feedback" / student / stem / f"{stem}.html"
        page = html.unescape(re.sub(r"<[^>]+>", "", page.read_text("utf8")))
        assert reason in page and "reference." not in page
    assert "Blank_Student_7" in {p.name for p in (home[0] / stem / "autograder/feedback").iterdir()}
    lines = {line for line in secrets(source, "HIDDEN TESTS") if len(line) > 30}
    assert lines and not [line for line in lines if line in page]


def secrets(source, kind):
    """The lines of the regions of a kind that stand nowhere outside of such regions."""
    text = "\n".join(cell.source for cell in source.cells)
    inside = [region["text"] for region in REGION.finditer(text) if region["kind"] == kind]
    shown = {line.strip() for line in REGION.sub("", text).splitlines()}
    return {line.strip() for region in inside for line in region.splitlines()} - shown


@ONE
def test_nothing_secret_reaches_the_students(stem, source, home):
    student = nbformat.read(home[0] / stem / "student" / f"{stem}.ipynb", 4)
    solved = nbformat.read(home[0] / stem / "solution" / f"{stem}.ipynb", 4)
    kinds = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
    for notebook, hidden in [(student, kinds), (solved, kinds[1:2])]:
        lines = {line.strip() for cell in notebook.cells for line in cell.source.splitlines()}
        for kind in hidden:
            assert secrets(source, kind) and not secrets(source, kind) & lines
    words = ("BEGIN", "END", "HIDDEN", "MARK SCHEME", "reference.", KEY)
    for word in (*words, "For the instructor", "By hand."):
        assert word not in str(student)
    for cell in student.cells:
        if grader.is_answer(cell):
            (defined,) = ast.parse(cell.source).body
            assert isinstance(defined, ast.FunctionDef), cell.source
            assert defined.name == grader.name(cell) and ast.get_docstring(defined)
            assert ast.unparse(defined.body[1:]) == "raise NotImplementedError()"
    for cell in by_hand(student):
        assert cell.source == "YOUR ANSWER HERE"
    assert [path.name for path in (home[0] / stem / "student").iterdir()] == [f"{stem}.ipynb"]


@ONE
def test_the_files_hold_the_numbers_of_the_key(stem, source, home):
    def shared(notebook):
        """What stands in all files as it is in the source."""
        tests = filter(grader.is_test, notebook.cells)
        solved = {id(cell) for cell in [*tests, *filter(grader.is_answer, notebook.cells)]}
        cells = [cell for cell in notebook.cells if id(cell) not in solved]
        return {cell.source for cell in cells if not REGION.search(cell.source)}

    assert shared(source) != shared(make_coursework.convert(stem))
    for kind in ("student", "solution"):
        written = nbformat.read(home[0] / stem / kind / f"{stem}.ipynb", 4)
        assert shared(source) <= {cell.source for cell in written.cells}
    for name in blank(source):
        right = REGION.search(solution(source, name))["text"]
        assert right in solution(written, name)  # the last that was read: the solved one


@ONE
def test_student_notebook_begins_like_a_chapter(stem, home):
    student = nbformat.read(home[0] / stem / "student" / f"{stem}.ipynb", 4)
    chapter = nbformat.read(book.ROOT / "notebooks" / f"{stem}.ipynb", 4)
    assert student.cells[0].source == chapter.cells[0].source
    assert student.cells[1].source.startswith("# ")
    assert not any(cell.get("outputs") for cell in student.cells)


@ONE
def test_submissions_are_never_overwritten(stem, home):
    with pytest.raises(ValueError, match="holds submissions"):
        make_coursework.write(stem, home[0] / stem)
