"""Tables and links that the generated pages share."""

from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.environment import BuildEnvironment


def table(head: list[str], rows: Iterable[list], kind: str) -> nodes.container:
    """A table that scrolls in its own box on a narrow screen. Cells are text or nodes.

    Each cell has the class of its column, `column-predicted` under "Predicted", for style sheets.
    """
    classes = [f"column-{nodes.make_id(name)}" for name in head]
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row(head, classes))
    group += nodes.tbody("", *(_row(cells, classes) for cells in rows))
    box = nodes.container("", nodes.table("", group, classes=["colwidths-auto", kind]))
    box["classes"].append("pst-scrollable-table-container")
    return box


def _row(cells: list, classes: list[str]) -> nodes.row:
    pairs = zip(cells, classes, strict=True)
    return nodes.row(
        "", *(nodes.entry("", *_content(cell), classes=[name]) for cell, name in pairs)
    )


def _content(cell) -> list[nodes.Node]:
    if isinstance(cell, str):
        return [nodes.paragraph("", cell)] if cell else []
    return cell if isinstance(cell, list) else [nodes.paragraph("", "", cell)]


def chapter_section(env: BuildEnvironment, page: str, *content: nodes.Node) -> nodes.section:
    """A section under the title of a page, which links to it."""
    text = env.titles[page].astext() if page in env.titles else _heading(env, page)
    link = pending_xref(
        "",
        nodes.inline("", text),
        refdoc=env.docname,
        reftarget=f"/{page}",
        reftype="doc",
        refdomain="std",
        refexplicit=True,
    )
    return nodes.section("", nodes.title("", "", link), *content, ids=[f"in-{nodes.make_id(page)}"])


def _heading(env: BuildEnvironment, page: str) -> str:
    """The first heading of a page that has yet to be read: pages are read in alphabetical order."""
    lines = Path(env.doc2path(page)).read_text("utf8").splitlines()
    return next(line[2:] for line in lines if line.startswith("# "))


def label_link(here: str, label: str, text: str) -> pending_xref:
    """A link to a labelled figure, `text` with %s for its number."""
    link = pending_xref(
        "", refdoc=here, reftarget=label, reftype="numref", refdomain="std", refexplicit=True
    )
    link["refwarn"] = True
    link += nodes.literal("", text, classes=["xref", "std", "std-numref"])
    return link
