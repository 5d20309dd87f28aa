"""Directive `notation`: the symbols of all chapters in one table; and those of one, for its fold.

What a chapter calls by a letter stands in pages/notation/<stem>.yml, one entry a meaning: symbol,
meaning, units. What means the same everywhere stands in all.yml.
"""

import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from . import book, tables

FOLDER = book.ROOT / "pages" / "notation"
ENTRY = ["symbol", "meaning", "units"]
HEAD = ["Symbol", "Meaning", "Chapter", "Units or range"]
GREEK = "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu "
GREEK += "xi pi varpi rho varrho sigma tau upsilon phi varphi chi psi omega"
ACCENT = re.compile(r"\\(?:hat|bar|dot|ddot|tilde|vec|mathbf|mathrm|mathcal|mathbb)(?![A-Za-z])")


def entries(stem: str) -> list[dict]:
    """The symbols of one chapter, or of ``all``, in the order of their file."""
    path = FOLDER / f"{stem}.yml"
    found = yaml.safe_load(path.read_text("utf8")) if path.exists() else []
    for entry in found:
        if list(entry) != ENTRY or not all(
            isinstance(text, str) and text for text in entry.values()
        ):
            raise ValueError(f"{path.name}: an entry must have the texts {ENTRY}, got {entry}")
    return found


def merged() -> list[tuple[dict, list[str]]]:
    """Every entry with the pages that share it, by letter; equal letters in the book's order."""
    pages: dict[tuple, list[str]] = {}
    for page in ["all", *book.chapters()]:
        for entry in entries(Path(page).name):
            pages.setdefault(tuple(entry.values()), []).append(page)
    found = [(dict(zip(ENTRY, texts, strict=True)), shared) for texts, shared in pages.items()]
    return sorted(found, key=lambda pair: (pair[1] != ["all"], place(pair[0]["symbol"])))


def place(symbol: str) -> tuple:
    """Where the first letter of a formula stands: Latin before Greek, small before large."""
    letter = re.search(r"\\?[A-Za-z]+", ACCENT.sub("", symbol))[0]
    if not letter.startswith("\\") or letter == r"\ell":
        latin = letter.removeprefix("\\")[0]
        return 0, latin.lower(), latin.isupper()
    name = letter[1:]
    return 1, GREEK.split().index(name.lower()), name[0].isupper()


def text(directive: SphinxDirective, myst: str) -> list[nodes.Node]:
    parsed = nodes.Element()
    lines = StringList([myst], directive.env.docname)
    directive.state.nested_parse(lines, directive.content_offset, parsed)
    return parsed.children


def fold(directive: SphinxDirective) -> list[nodes.Node]:
    """The symbols of the chapter in which a directive stands, in a box that opens."""
    stem = Path(directive.env.docname).name
    directive.env.note_dependency(str(FOLDER / f"{stem}.yml"))
    found = sorted(entries(stem), key=lambda entry: place(entry["symbol"]))
    if not found:
        return []
    cells = [[text(directive, part) for part in entry.values()] for entry in found]
    table = tables.table([HEAD[0], HEAD[1], HEAD[3]], cells, "notation")
    title = nodes.title("", "Symbols of this chapter")
    return [nodes.admonition("", title, table, classes=["dropdown", "symbols"])]


class Notation(SphinxDirective):
    def run(self):
        try:
            rows = [self.row(entry, pages) for entry, pages in merged()]
        except ValueError as error:
            raise self.error(str(error)) from error
        for path in FOLDER.glob("*.yml"):
            self.env.note_dependency(str(path))
        return [tables.table(HEAD, rows, "notation")]

    def row(self, entry: dict, pages: list[str]) -> list:
        symbol, meaning, units = entry.values()
        where = ", ".join(map(self.link, pages))
        return [text(self, part) for part in (symbol, meaning, where, units)]

    def link(self, page: str) -> str:
        """To a chapter by the name of its file; the build of one chapter knows no others."""
        stem = Path(page).name
        return f"{{doc}}`{stem} </{page}>`" if page in self.env.found_docs else stem


def setup(app):
    app.add_directive("notation", Notation)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
