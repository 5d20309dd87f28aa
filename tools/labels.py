"""Every label of the book with the number that the built book shows for it."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from _ext import book
from tools import myst

NUMBERED_MATH = re.compile(r"^\\begin\{(?:equation|align|gather|mult\w+)\}", re.M)


@dataclass(frozen=True)
class Label:
    """What a label names. ``kind`` is for example "Exercise"; a section has only a title."""

    page: str
    kind: str
    number: str | None
    title: str

    def __str__(self) -> str:
        if self.kind == "section":
            return self.title
        if self.kind == "equation":
            return f"({self.number})"
        return f"{self.kind} {self.number}"


def collect() -> dict[str, Label]:
    """The labels of all pages of the table of contents."""
    found: dict[str, Label] = {}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for page, prefix in _prefixes().items():
        for name, label in _Counter(page, prefix, counts[prefix]).labels().items():
            if name in found:
                raise ValueError(f"{page}.md: label {name} is also in {found[name].page}.md")
            found[name] = label
    return found


def titles() -> dict[str, str]:
    """The title of each page; one that only includes another file goes by its name."""
    headings = {page: myst.HEADING.search(_without_front_matter(page)) for page in book.pages()}
    return {page: heading[1] if heading else page for page, heading in headings.items()}


def _without_front_matter(page: str) -> str:
    text = book.source(page).read_text("utf8")
    return text.split("\n---\n", 1)[1] if text.startswith("---\n") else text


def _prefixes() -> dict[str, str]:
    """What stands before the numbers of each page: a page below a chapter counts on in it, and all
    pages without a number count together.
    """
    numbers = book.numbers()
    return {
        page: f"{numbers[entry[0]]}." if entry[0] in numbers else ""
        for _, group in book.parts()
        for entry in group
        for page in entry
    }


class _Counter:
    """Walks one page in order and counts what Sphinx numbers, each kind by itself."""

    def __init__(self, page: str, prefix: str, counts: Counter[str]):
        self.page, self.prefix, self.counts = page, prefix, counts
        self.found: dict[str, Label] = {}

    def labels(self) -> dict[str, Label]:
        for cell in book.read(self.page).cells:
            figure = cell.metadata.get("mystnb", {}).get("figure", {})
            if cell.cell_type == "markdown":
                self.walk(cell.source)
            elif "name" in figure:
                self.count("Fig.", figure["name"], figure["caption"])
        return self.found

    def count(self, kind: str, label: str | None, title: str = "") -> None:
        self.counts[kind] += 1
        if label:
            number = f"{self.prefix}{self.counts[kind]}"
            self.found[label] = Label(self.page, kind, number, title)

    def walk(self, text: str) -> None:
        for block in myst.blocks(text):
            if isinstance(block, str):
                self.prose(block)
            elif isinstance(block, myst.Directive):
                self.directive(block)

    def prose(self, text: str) -> None:
        if NUMBERED_MATH.search(text):
            raise ValueError(f"{self.page}.md: number an equation by a math directive with a label")
        for match in myst.MATH.finditer(text):
            if match["label"]:
                self.count("equation", match["label"])
        for target in myst.TARGET.finditer(text):
            heading = myst.HEADING.match(text[target.end() :].lstrip("\n"))
            title = heading[1] if heading else target[1]
            self.found[target[1]] = Label(self.page, "section", None, title)

    def directive(self, block: myst.Directive) -> None:
        label = block.options.get("label") or block.options.get("name")
        if block.name == "math":
            if label:
                self.count("equation", label)
        elif block.name == "exercise":
            self.count("Exercise", label, block.argument)
        elif block.name == "solution":
            exercise = self.found[block.argument]
            title = f" ({exercise.title})" if exercise.title else ""
            text = f"Solution to {exercise}{title}"
            self.found[label or f"{block.argument}-solution"] = Label(
                self.page, "section", None, text
            )
        elif block.name.startswith("prf:"):
            self.count(block.name.removeprefix("prf:").title(), label, block.argument)
        elif block.name == "figure":
            self.count("Fig.", label, block.body)
        else:
            if label:  # a box, to which the text comes back
                self.found[label] = Label(self.page, "section", None, block.argument)
            self.walk(block.body)
