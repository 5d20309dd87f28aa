"""Make notebooks/<stem>.ipynb from chapters/<stem>.md: plain Markdown, and the package installed.

usage: python -m tools.make_notebooks [--check]

Outputs are kept only of claims and of cells that the tests compare. --check executes and writes
nothing; it fails when a notebook is not what its chapter gives.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from _ext import book, execution
from tools import citations, execute, labels
from tools.plain_markdown import Page, leftovers
from toymodels.page.claim import MIME

CHECKED = "NBVAL_CHECK_OUTPUT"
INSTALL = """\
import importlib.util
import os

if importlib.util.find_spec("toymodels") is None:
    source = os.environ.get("TOYMODELS_SOURCE", "git+{repository}@{branch}")
    %pip install -q "{{source}}\""""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MACHINE = "|".join(map(re.escape, (str(Path.home()), tempfile.gettempdir(), str(book.ROOT))))
UNSTABLE = re.compile(f"0x[0-9a-f]{{6,}}|{MACHINE}")


def convert(page: str, index: dict, titles: dict) -> NotebookNode:
    """The notebook of a chapter without outputs, cell ids fixed by position."""
    text = Page(page, index, titles)
    install = INSTALL.format(repository=book.repository(), branch=book.branch())
    cells = [new_code_cell(install)]
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
    notebook = new_notebook(cells=cells, metadata=METADATA)
    notebook.nbformat_minor = 5
    left = [line for c in cells if c.cell_type == "markdown" for line in leftovers(c.source)]
    if left:
        raise ValueError(f"{page}.md: the notebook would still hold MyST: {left}")
    return notebook


def store_outputs(notebook: NotebookNode, executed: NotebookNode) -> None:
    """Keep the text of claims and of compared cells, in the cells that the chapter has too."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"][1:]
    ran = [cell for cell in executed.cells if cell.cell_type == "code"]
    for count, (cell, source) in enumerate(zip(code, ran, strict=True), 2):
        claims = any(MIME in output.get("data", {}) for output in source.outputs)
        if not (claims or CHECKED in source.source):
            continue
        cell.execution_count = count  # nbval takes a cell with outputs but no count for a mistake
        cell.outputs = [_counted(o, count) for o in source.outputs if not _is_image(o)]
        if UNSTABLE.search(str(cell.outputs)):
            raise ValueError(f"{cell.id} prints an address or a path, which changes every time")


def _is_image(output: NotebookNode) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def _counted(output: NotebookNode, count: int) -> NotebookNode:
    return output | {"execution_count": count} if "execution_count" in output else output


def stale(page: str, notebook: NotebookNode) -> str | None:
    """Why the notebook on disk is not that of the chapter, or None."""
    path = book.notebook(page)
    if not path.exists():
        return f"{path.name} is missing"
    old = nbformat.read(path, 4)
    bare = [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in old.cells]
    if bare != [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]:
        return f"{path.name} is not what {page}.md gives"
    for cell in old.cells:
        if cell.cell_type == "code" and CHECKED in cell.source and not cell.outputs:
            return f"{path.name}: {cell.id} is to be compared but stores no output"
    return None


def write(path: Path, notebook: NotebookNode) -> None:
    nbformat.validate(notebook)
    new = path.with_suffix(".new")
    new.write_text(nbformat.writes(notebook) + "\n", "utf8")
    os.replace(new, path)


def main(check: bool) -> None:
    index, titles = labels.collect(), labels.titles()
    notebooks = {page: convert(page, index, titles) for page in book.chapters()}
    if check:
        faults = [fault for page, nb in notebooks.items() if (fault := stale(page, nb))]
        extra = set((book.ROOT / "notebooks").glob("*.ipynb")) - set(map(book.notebook, notebooks))
        faults += [f"{path.name} has no chapter" for path in extra]
        sys.exit("; ".join([*faults, "run `make notebooks`"]) if faults else 0)
    execute.main(list(notebooks))
    for page, notebook in notebooks.items():
        store_outputs(notebook, execution.get(page).notebook)
        write(book.notebook(page), notebook)


if __name__ == "__main__":
    try:
        main("--check" in sys.argv[1:])
    except ValueError as error:  # the text of a chapter is at fault, and the message says where
        sys.exit(str(error))
