"""Make notebooks/<stem>.ipynb from each page that has one: plain Markdown, the package installed.

usage: python -m tools.make_notebooks [--check] [PAGE ...]    PAGE is for example chapters/tree

Kept of the outputs is what is text, the claims and what a cell prints: nbval compares them with
those of its own run, see notebooks/conftest.py. --check executes and writes nothing; it fails when
a notebook is not what its page gives.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from _ext import book, chapter_card, execution, records
from tools import citations, execute, labels
from tools.plain_markdown import Page, leftovers
from toymodels.page.claim import MIME

INSTALL = """\
import importlib.util
import os

if importlib.util.find_spec("toymodels") is None:
    source = os.environ.get("TOYMODELS_SOURCE", "{source}")
    %pip install -q "{{source}}\""""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MACHINE = "|".join(map(re.escape, (str(Path.home()), tempfile.gettempdir(), str(book.ROOT))))
UNSTABLE = re.compile(f"0x[0-9a-f]{{6,}}|{MACHINE}")


def convert(page: str, index: dict, titles: dict, time: str) -> NotebookNode:
    """The notebook of a page without outputs, cell ids fixed by position.

    ``time`` says how long it runs, and stays in the metadata, where the next check finds it.
    """
    text = Page(page, index, titles, time)
    cells = [new_code_cell(INSTALL.format(source=book.package_source()))]
    for cell in book.read(page).cells:
        if cell.cell_type == "markdown":
            cells.append(new_markdown_cell(text.markdown(cell.source)))
            continue
        tags = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        cells.append(new_code_cell(cell.source, metadata=tags))
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if figure:
            caption = f"**{index[figure['name']]}.** {text.markdown(figure['caption'])}"
            cells.append(new_markdown_cell(caption))
    if text.cited:
        references = citations.reference_list(text.cited)
        cells.append(new_markdown_cell(f"## References\n\n{references}"))
    cells = [cell for cell in cells if cell.source]
    for number, cell in enumerate(cells):
        cell["id"] = f"{Path(page).name}-{number:03d}"
    notebook = new_notebook(cells=cells, metadata=METADATA | {"running_time": time})
    notebook.nbformat_minor = 5
    left = [line for c in cells if c.cell_type == "markdown" for line in leftovers(c.source)]
    if left:
        raise ValueError(f"{page}.md: the notebook would still hold MyST: {left}")
    return notebook


def store_outputs(
    notebook: NotebookNode, executed: NotebookNode, old: NotebookNode | None = None
) -> None:
    """Keep what is text, in the cells that the page has too.

    Outputs of ``old`` stay where they say the same: numbers do not move with the machine.
    """
    known = {cell.source: cell.outputs for cell in old.cells if "outputs" in cell} if old else {}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"][1:]
    ran = [cell for cell in executed.cells if cell.cell_type == "code"]
    for count, (cell, source) in enumerate(zip(code, ran, strict=True), 2):
        cell.outputs = [_counted(o, count) for o in source.outputs if _is_text(o)]
        kept = known.get(cell.source)
        if kept and cell.outputs and not records.differences(kept, cell.outputs):
            cell.outputs = [_counted(o, count) for o in kept]
        if cell.outputs:
            cell.execution_count = count  # else nbval takes a cell with outputs for a mistake
        if UNSTABLE.search(str(cell.outputs)):
            raise ValueError(f"{cell.id} prints an address or a path, which changes every time")


def _is_text(output: NotebookNode) -> bool:
    return output.output_type == "stream" or set(output.get("data", {})) <= {"text/plain", MIME}


def _counted(output: NotebookNode, count: int) -> NotebookNode:
    return output | {"execution_count": count} if "execution_count" in output else output


def stale(page: str, index: dict, titles: dict) -> str | None:
    """Why the notebook on disk is not that of the page, or None."""
    path = book.notebook(page)
    if not path.exists():
        return f"{path.name} is missing"
    old = nbformat.read(path, 4)
    notebook = convert(page, index, titles, old.metadata.get("running_time", ""))
    bare = [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in old.cells]
    if bare != [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]:
        return f"{path.name} is not what {page}.md gives"
    return None


def write(path: Path, notebook: NotebookNode) -> None:
    nbformat.validate(notebook)
    new = path.with_suffix(".new")
    new.write_text(nbformat.writes(notebook) + "\n", "utf8")
    os.replace(new, path)


def main(pages: list[str], check: bool) -> None:
    index, titles = labels.collect(), labels.titles()
    if check:
        faults = [fault for page in pages if (fault := stale(page, index, titles))]
        known = set(map(book.notebook, book.with_notebook()))
        extra = set((book.ROOT / "notebooks").glob("*.ipynb")) - known
        faults += [f"{path.name} has no page" for path in extra]
        sys.exit("; ".join([*faults, "run `make notebooks`"]) if faults else 0)
    execute.main(pages)
    for page in pages:
        run = execution.get(page)
        time = chapter_card.duration(run.processor_seconds or run.seconds)
        notebook, path = convert(page, index, titles, time), book.notebook(page)
        old = nbformat.read(path, 4) if path.exists() else None
        store_outputs(notebook, run.notebook, old)
        write(path, notebook)


if __name__ == "__main__":
    wanted = [word for word in sys.argv[1:] if word != "--check"]
    try:
        main(wanted or book.with_notebook(), "--check" in sys.argv)
    except ValueError as error:  # the text of a page is at fault, and the message says where
        sys.exit(str(error))
