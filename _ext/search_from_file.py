"""Search in a book that is opened from a file, not from a server.

To show the words around a hit, Sphinx fetches the page, which browsers forbid to a file. So the
texts of all pages lie in a script, which only a search from a file loads.
"""

import json
from pathlib import Path

from bs4 import BeautifulSoup

SCRIPT = "page_texts.js"
LOAD = f"""if (location.protocol === "file:")
  document.write('<script src="_static/{SCRIPT}"><\\/script>');"""
ANSWER = "window.fetch = async (page) => new Response(texts[page.replace(/^\\.\\//, '')]);"


def load_on_search_page(app, pagename, templatename, context, doctree):
    if pagename == "search":
        app.add_js_file(None, body=LOAD)


def write_texts(app, exception):
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    names = sorted(f"{page}.html" for page in app.env.found_docs)
    texts = {name: text((out / name).read_text("utf8")) for name in names}
    script = f"const texts = {json.dumps(texts)};\n{ANSWER}\n"
    (out / "_static" / SCRIPT).write_text(script, "utf8")


def text(html: str) -> str:
    """The main part of a page; of its tags only those that a hit may name are kept."""
    main = BeautifulSoup(html, "html.parser").find(attrs={"role": "main"})
    for tag in main(["script", "style", "svg"]):
        tag.decompose()
    for tag in main(True):
        if "id" in tag.attrs:
            tag.attrs = {"id": tag["id"]}
        else:
            tag.unwrap()
    return f'<div role="main">{main.decode_contents()}</div>'


def setup(app):
    app.connect("html-page-context", load_on_search_page)
    app.connect("build-finished", write_texts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
