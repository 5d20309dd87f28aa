"""Directive `chapter-card`: how to run a chapter, what it costs, what it needs, its symbols."""

import html

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from . import book, execution, notation

CARD = """<div class="chapter-card" role="group" aria-label="Run this chapter">
<p class="chapter-card-links">
<a class="chapter-card-button" href="{colab}">Open in Colab</a>
<a class="chapter-card-button" href="../notebooks/{name}" download>Download notebook</a>
</p>
<dl>
<div><dt>Time on one CPU core</dt><dd>{time}</dd></div>
<div><dt>GPU</dt><dd>{gpu}</dd></div>
<div><dt>Prerequisites</dt><dd>{needs}</dd></div>
</dl>
</div>"""


def duration(seconds: float) -> str:
    """Seconds as a reader wants them: rounded up, in minutes when they are many."""
    if seconds <= 90:
        return f"{max(5, 5 * -(-seconds // 5)):.0f} s"
    return f"{-(-seconds // 60):.0f} min"


class ChapterCard(SphinxDirective):
    option_spec = {"gpu": directives.unchanged_required, "needs": directives.unchanged_required}

    def run(self):
        missing = [name for name in self.option_spec if name not in self.options]
        if missing:
            raise self.error(f"chapter-card must say :{missing[0]}:")
        page = self.env.docname
        run = execution.get(page)
        card = CARD.format(
            colab=html.escape(book.colab_link(page)),
            name=book.notebook(page).name,
            time=duration(run.processor_seconds or run.seconds),
            gpu=html.escape(self.options["gpu"]),
            needs=html.escape(self.options["needs"]),
        )
        return [nodes.raw("", card, format="html"), *notation.fold(self)]


def setup(app):
    app.add_directive("chapter-card", ChapterCard)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
