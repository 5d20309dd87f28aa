"""A chapter shows physics: little code, parts in their order, predictions that are taken up."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from nbformat import NotebookNode

from _ext import book, folds
from tools import myst

STEMS = [Path(page).name for page in book.chapters()]
PARTS = {  # in this order; for True the heading goes on and says what the part is about
    "The model": True,
    "The solution": True,
    "The algorithm": True,
    "The experiment": True,
    "One step away": True,
    "What breaks": True,
    "Exercises": False,
    "Departures": False,
    "Further reading": False,
}
CHECK = re.compile(r"^(?:claim|identity|departs)\(", re.M)
TAKEN_UP = r"\{{ref}}`[^`<]*(?i:predict)[^`<]*<{}>`"


@dataclass(frozen=True)
class Visible:
    """What a page shows of its code: lines that are not blank, the longest cell, lines too wide."""

    lines: int
    longest: int
    wide: int

    def exceeds(self, bound: "Visible") -> bool:
        return self.lines > bound.lines or self.longest > bound.longest or self.wide > bound.wide


AIM = Visible(lines=120, longest=20, wide=0)
WIDTH = 76  # characters, more are cut off on a desktop


def text(stem: str) -> str:
    return book.source(f"chapters/{stem}").read_text("utf8")


def cells(stem: str) -> list[NotebookNode]:
    return [cell for cell in book.read(f"chapters/{stem}").cells if cell.cell_type == "code"]


def shown(code: list[NotebookNode]) -> list[list[str]]:
    """The lines of every visible cell that are not blank."""
    visible = [cell.source.splitlines() for cell in code if not folds.folded(cell.metadata)]
    return [[line for line in lines if line.strip()] for lines in visible]


def measure(code: list[NotebookNode]) -> Visible:
    visible = shown(code)
    wide = sum(len(line) > WIDTH for lines in visible for line in lines)
    return Visible(sum(map(len, visible)), max(map(len, visible), default=0), wide)


@pytest.mark.parametrize("stem", STEMS)
def test_drawing_and_bookkeeping_do_not_hide_the_physics(stem):
    found = measure(cells(stem))
    assert not found.exceeds(AIM), found


@pytest.mark.parametrize("stem", STEMS)
def test_one_check_is_visible_as_an_example(stem):
    examples = [lines for lines in shown(cells(stem)) if CHECK.search("\n".join(lines))]
    assert len(examples) == 1


@pytest.mark.parametrize("stem", STEMS)
def test_a_cell_that_draws_runs_no_experiment(stem):
    drawing = [cell.source for cell in cells(stem) if cell.metadata.get("mystnb", {}).get("figure")]
    assert not [source for source in drawing if re.search(r"\bexperiment\(", source)]


def headings(chapter: str) -> list[str]:
    blocks = (block for block in myst.blocks(chapter) if isinstance(block, str))
    return [found for block in blocks for found in re.findall(r"^## (.+)$", block, re.M)]


@pytest.mark.parametrize("stem", STEMS)
def test_the_parts_of_a_chapter_come_in_order(stem):
    chapter = text(stem)
    found = [part for line in headings(chapter) for part in PARTS if line.startswith(part)]
    assert found == [*PARTS]
    assert "{chapter-card}" in chapter
    assert re.search(r"^(slider|live)\(", chapter, re.M) and "departs(" in chapter
    assert re.search(r"^1\. ", chapter.split("## Departures")[1], re.M)


@pytest.mark.parametrize("stem", STEMS)
def test_headings_speak_of_the_physics(stem):
    bare = [part for part, speaks in PARTS.items() if speaks and part in headings(text(stem))]
    assert not bare, "say what the part is about, as in: What breaks: narrow networks forget"


def predictions(chapter: str) -> list[str]:
    """What is wrong with the boxes that ask for a prediction: a name, and a place that answers."""
    wrong, boxes = [], list(re.finditer(r"^:class: predict\n(?::name: (\S+)\n)?", chapter, re.M))
    for box in boxes:
        if not box[1]:
            wrong.append("a box has no :name: by which the text takes it up")
        elif not re.search(TAKEN_UP.format(re.escape(box[1])), chapter[box.end() :]):
            wrong.append(f"{box[1]} is not taken up: write {{ref}}`You predicted <{box[1]}>`")
    return wrong if boxes else ["the reader is never asked for a prediction"]


@pytest.mark.parametrize("stem", STEMS)
def test_predictions_are_asked_for_and_taken_up(stem):
    assert not predictions(text(stem))


def test_a_prediction_that_is_not_taken_up_is_seen():
    box = ":::{admonition} Predict\n:class: predict\n:name: predict-a\nUp or down?\n:::\n"
    answer = "{ref}`You predicted <predict-a>` up."
    assert predictions(box + answer) == []
    assert predictions(answer + box) and predictions(box) and predictions("no box")
    assert predictions(box.replace("predict-a", "predict-b") + answer)
    assert predictions(box.replace(":name: predict-a\n", "") + answer)


def test_visible_code_is_counted_without_what_is_folded():
    def cell(source, **metadata):
        return NotebookNode(source=source, metadata=metadata)

    seen = [cell("a\n\nb"), cell("x" * 77)]
    folded = [cell("c", tags=["hide-input"]), cell("d", mystnb={"figure": {"name": "fig-d"}})]
    assert measure(seen + folded) == Visible(lines=3, longest=2, wide=1)
