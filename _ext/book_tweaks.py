"""Repairs of what Jupyter Book 1 does: Colab links, offline MathJax, no Thebe, valid roles."""

import shutil
from importlib.metadata import files
from pathlib import Path

from . import book, citation, execution


def settings(app, config):
    config.mathjax_path = "mathjax/tex-mml-chtml.js"
    config.html_theme_options["navbar_persistent"] = []  # else a second search box tops the page
    config.nb_execution_cache_path = str(execution.CACHE)  # also for a build of one chapter
    config.html_theme_options["repository_url"] = book.repository()
    config.html_baseurl = book.page_link("").removesuffix(".html")
    config.myst_substitutions["bibtex"] = f"```bibtex\n{citation.bibtex()}```"


def copy_mathjax(app, exception):
    """Ship MathJax with the pages, so that no page makes an outside request."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir) / "_static" / "mathjax"
    for file in files("sphinx-mathjax-offline"):
        tail = str(file).partition("static/mathjax/")[2]
        if tail == "tex-mml-chtml.js" or tail.startswith("output/chtml/fonts/woff-v2/"):
            (out / tail).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), out / tail)


def copy_notebooks(app, exception):
    """Put the notebooks beside the pages: the download links then work without a network."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir) / "notebooks"
    out.mkdir(exist_ok=True)
    for page in app.env.found_docs:
        if page in book.with_notebook():
            shutil.copyfile(book.notebook(page), out / book.notebook(page).name)


def drop_stale(app):
    execution.drop_stale()


def repair_page(app, pagename, templatename, context, doctree):
    # Thebe is off, but sphinx-thebe puts its constants on each page twice: a JavaScript error.
    context["script_files"] = [
        file
        for file in context["script_files"]
        if "thebe" not in str(file)
        and "thebe" not in (getattr(file, "attributes", {}).get("body") or "")
    ]
    if context.get("body"):  # docutils' role of a reference is not allowed inside a list
        context["body"] = context["body"].replace(' role="doc-biblioentry"', ' role="listitem"')
    context["default_mode"] = "auto"  # unset, the theme complains in the console of every page
    context["header_buttons"] = _repair_buttons(pagename, context.get("header_buttons", []))


def _repair_buttons(pagename, groups):
    """The theme offers the page as MyST-NB wrote it, raw directives and all, and sends Colab to the
    .md. Both buttons must lead to the notebook that is made from the page, if there is one.
    """
    made = {"Colab": None, ".ipynb": None}
    if pagename in book.with_notebook():
        notebook = book.notebook(pagename)
        if not notebook.exists():
            raise FileNotFoundError(f"notebooks/{notebook.name}: `make notebooks`")
        made = {"Colab": book.colab_link(pagename), ".ipynb": f"../notebooks/{notebook.name}"}
    return [good for group in groups if (good := _repair_button(group, made))]


def _repair_button(button, made):
    """The button, or group of buttons, with its right link; None when there is none."""
    if "buttons" in button:
        buttons = [good for each in button["buttons"] if (good := _repair_button(each, made))]
        return button | {"buttons": buttons} if buttons else None
    if button.get("text") not in made:
        return button
    url = made[button["text"]]
    return button | {"url": url} if url else None


def setup(app):
    app.connect("config-inited", settings, priority=900)
    app.connect("builder-inited", drop_stale, priority=1)
    app.connect("html-page-context", repair_page, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", copy_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
