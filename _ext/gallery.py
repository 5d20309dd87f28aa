"""Directives `figure-gallery` and `paper-map`: all figures of all chapters, and their papers.

What a figure has to do with a paper stands in pages/paper_map/<stem>.yml, one entry a figure:
figure, paper (a key of references.bib or "our own"), section, agrees, differs.
"""

import base64
from dataclasses import dataclass
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from . import bindings, book, execution, tables

ENTRY = {"figure", "paper", "section", "agrees", "differs"}
OWN = "our own"
IMAGES = {"image/svg+xml": "svg", "image/png": "png"}
HEAD = ["Figure", "Paper", "Where", "What agrees", "What differs"]


@dataclass(frozen=True)
class Figure:
    """A figure of a chapter as its code cell describes it and as the build drew it."""

    page: str
    name: str
    caption: str
    alt: str
    image: bytes
    suffix: str

    @property
    def file(self) -> Path:
        return book.ROOT / "_build" / "gallery" / f"{self.name}.{self.suffix}"


def figures(page: str) -> list[Figure]:
    """The named figures of an executed page, in order."""
    return [
        _figure(page, cell)
        for cell in execution.get(page).notebook.cells
        if cell.get("metadata", {}).get("mystnb", {}).get("figure")
    ]


def _figure(page: str, cell) -> Figure:
    about = cell.metadata["mystnb"]
    name, caption = about["figure"].get("name"), about["figure"].get("caption")
    alt = about.get("image", {}).get("alt")
    if not (name and caption and alt):
        raise ValueError(f"{page}.md: figure {name!r} must have a name, a caption and image: alt:")
    drawn = [output.get("data", {}) for output in cell.outputs]
    image = [(data[kind], kind) for data in drawn for kind in IMAGES if kind in data]
    if len(drawn) != 1 or not image:
        raise ValueError(f"{page}.md: the cell of {name} must have one output, the figure")
    data, kind = image[0]
    raw = data.encode() if kind == "image/svg+xml" else base64.b64decode(data)
    return Figure(page, name, caption, alt, raw, IMAGES[kind])


def papers(stem: str) -> list[dict]:
    path = book.ROOT / "pages" / "paper_map" / f"{stem}.yml"
    entries = yaml.safe_load(path.read_text("utf8")) if path.exists() else []
    for entry in entries:
        if set(entry) != ENTRY:
            raise ValueError(f"{path.name}: an entry must have {sorted(ENTRY)}, got {entry}")
    return entries


def paired(drawn: list[Figure], entries: list[dict], stem: str) -> list[tuple[Figure, dict]]:
    """Each figure with its entry of the paper map; both must be complete."""
    by_name = {entry["figure"]: entry for entry in entries}
    names = [figure.name for figure in drawn]
    unmapped, undrawn = set(names) - set(by_name), set(by_name) - set(names)
    if unmapped:
        raise ValueError(f"pages/paper_map/{stem}.yml has no entry for {sorted(unmapped)}")
    if undrawn:
        raise ValueError(f"pages/paper_map/{stem}.yml names {sorted(undrawn)}, not in the chapter")
    return [(figure, by_name[figure.name]) for figure in drawn]


def all_paired() -> dict[str, list[tuple[Figure, dict]]]:
    stems = {page: Path(page).name for page in book.chapters()}
    return {page: paired(figures(page), papers(stem), stem) for page, stem in stems.items()}


class FigurePage(SphinxDirective):
    """What the two directives share: all figures, and text parsed as MyST."""

    def run(self):
        try:
            return list(self.show(all_paired()))
        except (ValueError, LookupError) as error:
            raise self.error(str(error)) from error

    def text(self, myst: str) -> list[nodes.Node]:
        parsed = nodes.Element()
        self.state.nested_parse(StringList([myst], self.env.docname), self.content_offset, parsed)
        return parsed.children

    def paper(self, entry: dict) -> str:
        return "our own" if entry["paper"] == OWN else f"{{cite:t}}`{entry['paper']}`"


class FigureGallery(FigurePage):
    def show(self, chapters):
        for page, pairs in chapters.items():
            cards = [self.card(*pair) for pair in pairs]
            grid = nodes.container("", *cards, classes=["figure-gallery"])
            yield tables.chapter_section(self.env, page, grid)

    def card(self, figure: Figure, entry: dict) -> nodes.container:
        figure.file.parent.mkdir(parents=True, exist_ok=True)
        figure.file.write_bytes(figure.image)
        uri = f"/{figure.file.relative_to(book.ROOT).as_posix()}"
        image = nodes.image("", uri=uri, alt=figure.alt)
        target = f"../{figure.page}.html#{nodes.make_id(figure.name)}"
        link = nodes.reference("", "", image, refuri=target, internal=True)
        number = tables.label_link(self.env.docname, figure.name, "Fig. %s")
        where = "" if not entry["section"] else f", {entry['section']}"
        source = self.text(f"{self.paper(entry)}{where}")
        words = [
            nodes.paragraph("", "", number),
            *self.text(bindings.plain(figure.caption)),
            *source,
        ]
        return nodes.container("", link, *words, classes=["gallery-card"])


class PaperMap(FigurePage):
    def show(self, chapters):
        for page, pairs in chapters.items():
            rows = tables.table(HEAD, [self.row(*pair) for pair in pairs], "paper-map")
            yield tables.chapter_section(self.env, page, rows)

    def row(self, figure: Figure, entry: dict) -> list:
        rest = [self.text(str(entry[key] or "")) for key in ("section", "agrees", "differs")]
        number = tables.label_link(self.env.docname, figure.name, "Fig. %s")
        return [number, self.text(self.paper(entry)), *rest]


def setup(app):
    app.add_directive("figure-gallery", FigureGallery)
    app.add_directive("paper-map", PaperMap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
