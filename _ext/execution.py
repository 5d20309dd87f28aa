"""The executed pages: the cache that the build reads, when it is stale, and what a run recorded."""

import shutil
from dataclasses import dataclass

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from nbformat import NotebookNode

from . import book, sources

CACHE = book.ROOT / "_build" / ".jupyter_cache"


@dataclass(frozen=True)
class Run:
    """One executed page. Seconds of processor time include the start of the kernel.

    ``key`` digests what the page imported and read when it ran.
    """

    notebook: NotebookNode
    key: str
    processor_seconds: float | None
    seconds: float


def drop_stale() -> None:
    """jupyter-cache compares the cells of a page, not what they import and read: that is done here.

    A cache that cannot be read, as after a build that was killed while it wrote, goes as a whole.
    """
    if not _readable():
        shutil.rmtree(CACHE, ignore_errors=True)
    cache = open_cache()
    records = {record: record.data.get("page") for record in cache.list_cache_records()}
    there = {page for page in records.values() if page and book.source(page).exists()}
    keys = {page: sources.key(page) for page in there}
    for record, page in records.items():
        if page not in keys or record.data["key"] != keys[page]:
            cache.remove_cache(record.pk)


def _readable() -> bool:
    if not CACHE.exists():
        return True
    try:
        cache = open_cache()
        for record in cache.list_cache_records():
            cache.get_cache_bundle(record.pk)
    except Exception:  # whatever is wrong with it, the remedy is to execute again
        return False
    return True


def open_cache() -> JupyterCacheAbstract:
    return get_cache(CACHE)


def find(page: str) -> Run | None:
    """The executed page, or None when its code cells have changed since it was executed."""
    cache = open_cache()
    try:
        record = cache.match_cache_notebook(notebook := book.read(page))
    except KeyError:
        return None
    _, executed = cache.merge_match_into_notebook(notebook)
    data = record.data
    return Run(executed, data["key"], data["processor_seconds"], data["execution_seconds"])


def get(page: str) -> Run:
    run = find(page)
    if run is None:
        raise LookupError(
            f"{page}.md has not been executed: use `make book`, or `{COMMAND} {page}`"
        )
    return run


COMMAND = "python -m tools.execute"


def put(page: str, run: Run) -> None:
    data = {"page": page, "key": run.key}
    data |= {"execution_seconds": run.seconds, "processor_seconds": run.processor_seconds}
    bundle = CacheBundleIn(run.notebook, str(book.source(page)), data=data)
    open_cache().cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
