"""The code of every printed solution runs where it stands, and its own checker accepts it.

A solution prints Python in a block, or as a line that is nothing but `code`, which is the answer.
"""

import ast
import re

import pytest

from _ext import book
from tools import myst

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.M | re.S)
LINE = re.compile(r"^`(?P<code>[^`\n]+)`$", re.M)


def definitions(code: str) -> str:
    """The imports and functions of a cell: all that is run of the cells after the set-up."""
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    return "\n".join(ast.unparse(node) for node in ast.parse(code).body if isinstance(node, wanted))


def check_line(code: str) -> str:
    """The call of the checker, with which the cell of an exercise ends."""
    return code.rstrip().splitlines()[-1]


def printed(body: str) -> str | None:
    """The code of a solution, or None when it is in words alone."""
    blocks = [match["code"] for match in BLOCK.finditer(body)]
    lines = [f"answer = {match['code']}" for match in LINE.finditer(BLOCK.sub("", body))]
    return "\n".join(blocks + lines) or None


def steps(page: str):
    """What a reader would run: (solved exercise or None, code), in the order of the page."""
    label, checks, set_up = None, {}, True
    for cell in book.read(page).cells:
        if cell.cell_type == "markdown":
            for block in myst.blocks(cell.source):
                kind = block.name if isinstance(block, myst.Directive) else None
                if kind == "exercise":
                    label = block.options["label"]
                elif kind == "solution" and (code := printed(block.body)):
                    yield block.argument, f"{code}\n{checks[block.argument]}"
        elif ".check(" in cell.source:
            checks[label] = check_line(cell.source)
        else:
            yield None, cell.source if set_up else definitions(cell.source)
            set_up = False


def verdicts(page: str, capsys) -> dict[str, str]:
    """What the checker of each exercise with a printed solution says to it."""
    names, said = {}, {}
    for exercise, code in steps(page):
        capsys.readouterr()
        try:
            exec(code, names)
        except Exception as problem:  # whatever a reader would see
            said[exercise or code] = f"{type(problem).__name__}: {problem}"
            continue
        if exercise:
            said[exercise] = capsys.readouterr().out
    return said


@pytest.mark.parametrize("page", book.chapters())
def test_a_printed_solution_is_accepted_by_its_checker(page, capsys):
    said = verdicts(page, capsys)
    assert said, "no solution prints code"
    refused = [f"{name}: {line}" for name, line in said.items() if not line.startswith("✓")]
    assert not refused, "\n".join(refused)
