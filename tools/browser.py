"""Debian's Chromium on pages served from this machine: for the browser tests, pictures and PDF."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

HTML = Path(
    os.environ.get("TOYMODELS_HTML", Path(__file__).resolve().parents[1] / "_build" / "html")
)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
REACHABLE = """() => [...document.querySelectorAll(
    "main :is(figure, pre, .cell_output > .output, .pst-scrollable-table-container)"
)].every(box => box.scrollWidth <= box.clientWidth || box.tabIndex >= 0)"""
QUIET = [  # no sandbox inside containers, and nothing that calls home
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str | None:
    """Where Chromium is installed, if it is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser. Raises FileNotFoundError without Chromium."""
    path = chromium_path()
    if path is None:
        raise FileNotFoundError("Chromium must be installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which ``folder`` is served on this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def visit(tab: Page, address: str) -> None:
    """Open a page and wait until its formulas are typeset. FileNotFoundError if it is not there."""
    answer = tab.goto(address)
    if answer is None or not answer.ok:
        raise FileNotFoundError(f"{address} must be in the built book: run `make book`")
    tab.evaluate("Promise.all([window.MathJax?.startup?.promise, document.fonts.ready])")


def unfold(tab: Page) -> None:
    """Open all that is folded away: hidden code, hints, solutions."""
    tab.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    tab.evaluate("document.querySelectorAll('.toggle-button-hidden').forEach(b => b.click())")
    settle(tab)


def settle(tab: Page) -> None:
    """Wait until what opens has opened, and the keyboard reaches the boxes that scroll."""
    tab.wait_for_timeout(500)
    with suppress(PlaywrightTimeout):  # then a test says which box cannot be reached
        tab.wait_for_function(REACHABLE, timeout=5000)
