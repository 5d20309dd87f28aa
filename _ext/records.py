"""The records that claims leave in an executed or a stored notebook."""

from collections.abc import Iterable

from nbformat import NotebookNode

from toymodels.page.claim import MIME


def claims(notebook: NotebookNode) -> list[dict]:
    """The records of a notebook, in order."""
    return [record for cell in notebook.cells for record in of(cell.get("outputs", []))]


def of(outputs: Iterable[dict]) -> list[dict]:
    """The records among the outputs of one cell."""
    return [dict(output["data"][MIME]) for output in outputs if MIME in output.get("data", {})]


def by_key(records: Iterable[dict]) -> dict[str, dict]:
    """The records that prose can refer to. Raises ValueError when two share a key."""
    found = {}
    for record in records:
        key = record.get("key")
        if key in found:
            raise ValueError(f"the key {key} must name one claim, got it twice on the page")
        if key is not None:
            found[key] = record
    return found
