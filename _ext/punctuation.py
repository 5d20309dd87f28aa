"""A formula and the mark after it stay on one line: no line begins with a full stop."""

import re

from docutils import nodes

AFTER = re.compile(r"[.,;:!?)\]]+")


def keep_together(app, doctree, docname):
    for formula in list(doctree.findall(nodes.math)):
        parent, place = formula.parent, formula.parent.index(formula)
        following = parent[place + 1] if place + 1 < len(parent) else None
        mark = AFTER.match(following) if isinstance(following, nodes.Text) else None
        if mark is None:
            continue
        rest = following[mark.end() :]
        together = nodes.inline("", "", formula, nodes.Text(mark[0]), classes=["unbroken"])
        parent[place : place + 2] = [together, *([nodes.Text(rest)] if rest else [])]


def setup(app):
    app.connect("doctree-resolved", keep_together)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
