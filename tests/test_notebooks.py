"""The notebooks are those of the chapters, hold no MyST, and can be compared and installed."""

import subprocess
import sys

import nbformat
import pytest

from _ext import book
from tools import labels
from tools.make_notebooks import MIME, convert, store_outputs
from tools.plain_markdown import Page, leftovers

NOTEBOOKS = {page: book.notebook(page) for page in book.with_notebook()}
LABELS = {
    "eq-a": labels.Label("chapters/one", "equation", "1.1", ""),
    "ex-a": labels.Label("chapters/one", "Exercise", "1.2", "Wait"),
    "fig-b": labels.Label("chapters/two", "Fig.", "2.1", "A line"),
    "thm-a": labels.Label("chapters/one", "Theorem", "1.1", ""),
    "other": labels.Label("pages/notation", "section", None, "Notation"),
}
TITLES = {"chapters/one": "One", "chapters/two": "Two", "pages/notation": "Notation"}


def plain(text):
    return Page("chapters/one", LABELS, TITLES).markdown(text)


def test_notebooks_are_current():
    check = [sys.executable, "-m", "tools.make_notebooks", "--check"]
    done = subprocess.run(check, cwd=book.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_a_notebook_reads_as_plain_markdown_and_installs_the_package(page):
    notebook = nbformat.read(NOTEBOOKS[page], 4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "code"
    assert f'"{book.package_source()}"' in notebook.cells[0].source
    if page in book.chapters():
        card = notebook.cells[1].source
        assert f"({book.page_link(page)})" in card and "Time on one CPU core: " in card
    left = [leftovers(cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]
    assert not any(left), left


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_a_notebook_stores_the_text_of_its_cells_and_nothing_else(page):
    cells = [c for c in nbformat.read(NOTEBOOKS[page], 4).cells if c.cell_type == "code"]
    for cell in cells:
        data = [output.get("data", {}) for output in cell.outputs]
        assert bool(cell.outputs) == bool(cell.execution_count), cell.id  # as nbval wants it
        assert {kind for kinds in data for kind in kinds} <= {MIME, "text/plain"}, cell.id
    assert any(MIME in output.get("data", {}) for cell in cells for output in cell.outputs)


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("see {eq}`eq-a`", "see (1.1)"),
        ("see {ref}`ex-a`", "see Exercise 1.2"),
        ("see {numref}`figure %s <fig-b>`", "figure 2.1](https"),
        ("by {prf:ref}`thm-a`", "by Theorem 1.1"),
        ("the {ref}`table <other>`", "[table](https"),
        ("{doc}`two`", "[Two](https"),
        ("{term}`losses <loss>`", "losses"),
        ("`{eq}` stays", "`{eq}` stays"),
        ("% a comment\ntext", "text"),
        ("(label)=\n## Head", "## Head"),
        ("```{math}\n:label: eq-a\na = b\n```", "$$\na = b\n\\tag{1.1}\n$$"),
        ("$$ a = b $$ (eq-a)", "$$\na = b\n\\tag{1.1}\n$$"),
        ("```{exercise} Wait\n:label: ex-a\nDo.\n```", "**Exercise 1.2 (Wait).** Do."),
        ("```{solution} ex-a\nSo.\n```", "<summary><b>Solution to Exercise 1.2 (Wait)</b>"),
        ("```{prf:theorem}\n:label: thm-a\nTrue.\n```", "> **Theorem 1.1.** True."),
        (":::{admonition} Guess\n{eq}`eq-a`\n:::", "> **Guess**\n>\n> (1.1)"),
        (":::{admonition} Hint\n:class: dropdown\nUp.\n:::", "<summary><b>Hint</b></summary>"),
        ("````{note}\n```python\nx\n```\n````", "> ```python\n> x\n> ```"),
    ],
)
def test_every_construct_of_a_chapter_has_a_plain_form(myst, markdown):
    assert markdown in plain(myst)
    assert not leftovers(plain(myst))


@pytest.mark.parametrize(
    ("myst", "message"),
    [
        ("{eq}`eq-none`", "no label eq-none"),
        ("{download}`x`", "no form for {download}"),
        ("```{mermaid}\nx\n```", "no form for {mermaid}"),
        ("{doc}`three`", "no page three"),
        ("{cite:t}`nobody`", "no entry nobody"),
        (":::{note}\nopen", "not closed"),
    ],
)
def test_what_has_no_plain_form_is_refused_by_name(myst, message):
    with pytest.raises(ValueError, match=message):
        plain(myst)


@pytest.mark.parametrize(
    "myst", ["{eq}`x`", "```{note}\nx\n```", ":::{tip}\nx\n:::", "(a)=\n# B", "$$a$$ (b)", "% c"]
)
def test_leftovers_are_seen(myst):
    assert leftovers(myst)


def test_figures_have_the_numbers_of_the_book():
    found = labels.collect()
    figures = [label for label in found.values() if label.kind == "Fig."]
    below = [label.number for label in figures if label.page == "pages/widths_and_depths"]
    last = [label.number for label in figures if label.page == "chapters/lazy_training"][-1]
    number, count = last.split(".")
    assert below == [f"{number}.{int(count) + 1}"]  # a page below a chapter counts on in it
    alone = [label.number for label in figures if "." not in label.number]
    assert alone == [str(k) for k in range(1, len(alone) + 1)]  # all other pages count together


def test_an_output_that_changes_every_time_is_refused():
    page = book.chapters()[0]
    notebook = convert(page, labels.collect(), labels.titles(), "5 s")
    executed = book.read(page)
    cell = next(cell for cell in executed.cells if cell.cell_type == "code")
    text = "<object at 0x7f00deadbeef>"
    record = {MIME: {}, "text/plain": text}
    cell.outputs = [nbformat.v4.new_output("display_data", record)]
    with pytest.raises(ValueError, match="address or a path"):
        store_outputs(notebook, executed)
