"""Pages show physics: drawing code folds under its figure, checks fold into one line that opens.

A cell folds when it draws a figure with a caption, or has the tag `hide-input`. In the notebook it
stays complete. Every claim with a key has an address on its page, to which the numerals of the
prose lead; a browser opens what is folded around the target of a link.
"""

from html import escape

from docutils import nodes
from myst_nb.core.render import NbElementRenderer

from toymodels.page.claim import MIME

from . import bindings

PICTURES = {"image/svg+xml", "image/png", "text/html"}


class Fold(nodes.General, nodes.Element):
    """Lines of claims, and below them the code, behind a summary that opens them."""


def folded(metadata: dict) -> bool:
    """Whether a cell with these metadata shows its code only to those who ask for it."""
    figure = metadata.get("mystnb", {}).get("figure")
    return bool(figure) or "hide-input" in metadata.get("tags", [])


def fold_cells(app, doctree: nodes.document) -> None:
    for cell in list(doctree.findall(_named("nb_element", "cell_code"))):
        claims = _addressed(cell, app.env.docname)
        if folded(cell["cell_metadata"]):
            _fold(cell, claims)


def _named(attribute: str, value: str):
    """The condition by which MyST-NB's containers are found."""
    return lambda node: isinstance(node, nodes.container) and node.get(attribute) == value


def _addressed(cell: nodes.container, page: str) -> list[nodes.container]:
    """The claims of a cell, each in a container with the address of its key."""
    found = []
    for data in list(cell.findall(_named("mime_type", MIME))):
        bundle, record = data.parent, data.children[0]["record"]
        ids = [bindings.anchor(page, record["key"])] if record["key"] else []
        claim = nodes.container("", classes=["claim"], ids=ids)
        bundle.replace_self(claim)
        claim.append(bundle)
        found.append(claim)
    return found


def _fold(cell: nodes.container, claims: list[nodes.container]) -> None:
    """Show what a cell draws, then one line that opens its claims and its code."""
    cell.attributes.pop("hide_mode", None)  # else MyST-NB folds it too, above
    code, *outputs = cell.children
    for claim in claims:
        claim.parent.remove(claim)
    drawn = [output for output in outputs if output.children]
    lines = [nodes.container("", *claims, classes=["cell_output"])] if claims else []
    kind = "checks" if claims else "drawing"
    cell.children = []
    cell.extend([*drawn, Fold("", *lines, code, classes=[kind], label=label(drawn, len(claims)))])


def label(drawn: list[nodes.Node], claims: int) -> str:
    """The line that opens a fold."""
    if claims:
        return f"{claims} {'check' if claims == 1 else 'checks'} passed"
    if not drawn:
        return "Set-up"
    kinds = {node.get("mime_type") for node in drawn[0].findall(nodes.container)}
    return "Code of this figure" if kinds & PICTURES else "Code of this output"


def keep_record(render):
    """MyST-NB warns of a MIME type it cannot draw; ours is data, its text is drawn beside it."""

    def unhandled(self, data):
        return (
            [nodes.comment(record=data.content)] if data.mime_type == MIME else render(self, data)
        )

    return unhandled


def visit_fold(translator, node: Fold) -> None:
    translator.body.append(
        f'<details class="fold {" ".join(node["classes"])}">'
        f"<summary>{escape(node['label'])}</summary>\n"
    )


def depart_fold(translator, node: Fold) -> None:
    translator.body.append("</details>\n")


def setup(app):
    NbElementRenderer.render_unhandled = keep_record(NbElementRenderer.render_unhandled)
    app.add_node(Fold, html=(visit_fold, depart_fold))
    app.connect("doctree-read", fold_cells)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
