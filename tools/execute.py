"""Execute every page that has code, two at a time, into the cache that the build then reads.

usage: python -m tools.execute [PAGE ...]     PAGE is for example chapters/deep_linear

Only those whose cells changed, or what the cells import and read, or the pins, are executed. A page
that fails stops the build with the traceback of its cell.
"""

import asyncio
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from _ext import book, execution, sources

AT_ONCE = 2
COLOR = re.compile(r"\x1b\[[0-9;]*m")


def run(page: str, variables: dict[str, str] | None = None, **options) -> execution.Run:
    """Execute one page in a kernel of its own, in the folder of the page.

    ``variables`` are set for the kernel, ``options`` are those of nbclient.
    """
    notebook, key = book.read(page), sources.key(page)  # as they are before it runs
    processor = [0.0]

    def read_clock(**_):
        spent = psutil.Process(client.km.provisioner.pid).cpu_times()
        processor[0] = spent.user + spent.system

    client = NotebookClient(
        notebook,
        record_timing=False,  # timings in the cells' metadata would change their hash
        resources={"metadata": {"path": str(book.source(page).parent)}},
        on_cell_executed=read_clock,
        **({"timeout": book.config()["execute"]["timeout"]} | options),
    )
    start = time.perf_counter()
    # client.execute() would leave its event loop open
    asyncio.run(client.async_execute(env=os.environ | (variables or {})))
    return execution.Run(notebook, key, processor[0], time.perf_counter() - start)


def fill(pages: list[str]) -> dict[str, str]:
    """Execute the pages that are stale; return the traceback of each page that failed."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # a bar on a page is a widget that asks the network
    execution.drop_stale()
    stale = [page for page in pages if execution.find(page) is None]
    for page in pages:
        if page not in stale:
            print(f"{page}: unchanged", flush=True)
    failed = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {pool.submit(run, page): page for page in stale}
        for done in as_completed(waiting):
            page = waiting[done]
            try:
                result = done.result()
            except (CellExecutionError, CellTimeoutError) as error:
                failed[page] = COLOR.sub("", str(error))
                print(f"{page}: FAILED", flush=True)
                continue
            execution.put(page, result)  # only this thread writes the cache
            cpu = f"{result.processor_seconds:.1f} s of processor time"
            print(f"{page}: executed in {result.seconds:.1f} s ({cpu})", flush=True)
    return failed


def main(pages: list[str]) -> None:
    unknown = [page for page in pages if page not in book.pages()]
    if unknown:
        sys.exit(f"not in _toc.yml: {', '.join(unknown)}; it has {', '.join(book.chapters())}")
    failed = fill([page for page in pages or book.pages() if book.has_code(page)])
    for page, traceback in failed.items():
        print(f"\n{page}.md failed:\n{traceback}", file=sys.stderr)
    if failed:
        sys.exit(f"{len(failed)} of the pages failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        os._exit(130)  # do not wait for the running chapters: their kernels end with this process
