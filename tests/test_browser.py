"""The built book in headless Chromium: every page at desktop and phone width, light and dark.

Reads _build/html, or the folder named by the environment variable TOYMODELS_HTML.
"""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from _ext import book
from tools.browser import DESKTOP, HTML, PHONE, chromium, chromium_path, served, unfold, visit

if chromium_path() is None:
    pytest.skip("Chromium is not installed: no page was looked at", allow_module_level=True)
if not (HTML / "index.html").exists():
    pytest.skip("the book is not built (`make book`): no page was looked at", True)

AXE = {
    "resultTypes": ["violations"],
    "preload": False,  # else axe looks for imported style sheets beside the page
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]},
}
SIDEBARS = {"region": {"enabled": False}}  # the theme's sidebars lie outside its landmarks
# Contrast takes nine tenths of the time and does not depend on the width; the other rules do not
# depend on the colours. Together the views see everything.
RULES = {
    ("desktop", "light"): {"rules": SIDEBARS},
    ("desktop", "dark"): {"runOnly": ["color-contrast"]},
    ("phone", "light"): {"rules": SIDEBARS | {"color-contrast": {"enabled": False}}},
}
# two words at least, and no file name
MISSING_ALT = """() => [...document.images].filter(image => image.closest("main")).filter(image =>
    !/[a-z]{3,}.* .*[a-z]{2,}/i.test(image.alt) || /[.](svg|png)$/.test(image.alt)
).map(image => image.outerHTML.slice(0, 200))"""
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("main *")].filter(part =>
        part.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(part =>
        part.outerHTML.slice(0, 120))"""
UNSET = """() => [...document.querySelectorAll("main p, main li, main td, main figcaption")].filter(
    part => !part.closest("pre, code") && /\\\\[(\\[]/.test(part.innerText)
).map(part => part.innerText.slice(0, 120))"""

CUT = """() => [...document.querySelectorAll("div.math")].filter(part =>
    [...part.querySelectorAll("mjx-container")].some(f => f.scrollWidth > f.clientWidth + 1)
).map(part => part.id || part.outerHTML.slice(0, 120))"""


@dataclass
class View:
    """One page, as one kind of reader sees it."""

    name: str
    tab: Page
    problems: list[str] = field(
        default_factory=list
    )  # script errors, also those that only the console shows
    outside: set[str] = field(default_factory=set)  # addresses asked for that are not the book's
    broken: set[str] = field(default_factory=set)  # addresses that were not there

    def open(self, address: str) -> "View":
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("console", self._hear)
        self.tab.on("request", lambda request: self._watch(request.url, address))
        self.tab.on("response", lambda r: r.status >= 400 and self.broken.add(r.url))
        visit(self.tab, f"{address}/{self.name}.html")
        unfold(self.tab)
        return self

    def _hear(self, message) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def _watch(self, url: str, address: str) -> None:
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(address):
            self.outside.add(url)


@pytest.fixture(scope="module")
def address():
    with served(HTML) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def size(request):
    return request.param


@pytest.fixture(scope="module", params=book.pages())
def opened(browser, address, size, request):
    context = browser.new_context(viewport=size, reduced_motion="reduce")
    yield View(request.param, context.new_page()).open(address)
    context.close()


@pytest.fixture(scope="module", params=["light", "dark"])
def theme(request):
    return request.param


@pytest.fixture(scope="module")
def view(opened, theme):
    opened.tab.emulate_media(color_scheme=theme)
    opened.tab.locator(f"html[data-theme={theme}]").wait_for(state="attached")
    return opened


def test_page_loads_without_an_error_and_without_the_network(view):
    assert view.problems == []
    assert view.outside == set()
    assert view.broken == set()


def test_nothing_overflows(view):
    assert view.tab.evaluate(WIDE) == []


def test_formulas_are_typeset(view):
    source = (HTML / f"{view.name}.html").read_text("utf-8")
    if 'class="math' in source:
        assert view.tab.locator("main mjx-container").count() > 0
    assert view.tab.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert view.tab.evaluate(UNSET) == []


def test_formulas_fit_the_page_of_a_desktop(view, size):
    """On a phone they scroll."""
    assert size == PHONE or view.tab.evaluate(CUT) == []


def test_every_picture_says_what_it_shows(view):
    assert view.tab.evaluate(MISSING_ALT) == []


def test_every_slider_moves_by_keyboard(view):
    figures = view.tab.locator(".toy-slider").all()
    if view.name.startswith("chapters/"):
        assert figures, "every chapter has a slider"
    for figure in figures:
        before = look(figure)
        knob = figure.locator("input")
        knob.press("End" if knob.input_value() != knob.get_attribute("max") else "Home")
        after = look(figure)
        assert all(old != new for old, new in zip(before, after, strict=True)), (before, after)
    names = view.tab.locator("[id]").evaluate_all("tags => tags.map(tag => tag.id)")
    sliders = [name for name in names if name.endswith("-range")]
    assert len(sliders) == len(set(sliders))


def look(figure):
    """What a reader sees, reads and hears of a slider."""
    return (
        [path.get_attribute("d") for path in figure.locator("path.moving").all()],
        figure.locator("output").inner_text(),
        figure.locator("input").get_attribute("aria-valuetext"),
    )


def test_axe_finds_no_barrier(view, size, theme):
    rules = RULES.get(("phone" if size == PHONE else "desktop", theme))
    if rules is None:
        return  # a phone in the dark: both halves are seen by the other views
    outside_formulas = {"exclude": [["mjx-container"]]}  # MathJax looks after its own
    found = Axe().run(view.tab, outside_formulas, AXE | rules).response["violations"]
    barriers = [
        f"{rule['id']}: {node['target']} {node['failureSummary'].splitlines()[1:2]}"
        for rule in found
        for node in rule["nodes"]
    ]
    assert barriers == []


# What does not depend on the size of the screen


@pytest.mark.parametrize("chapter", book.chapters())
def test_colab_and_download_lead_to_the_notebook(browser, address, chapter):
    notebook = f"notebooks/{book.notebook(chapter).name}"
    links = re.findall(r'href="([^"]*)"', (HTML / f"{chapter}.html").read_text("utf-8"))
    colab = {unescape(link) for link in links if "colab." in link}
    assert colab == {book.colab_link(chapter)} and colab.pop().endswith(notebook)
    assert book.notebook(chapter).exists()
    assert f"../{notebook}" in links
    tab = browser.new_page()
    answer = tab.request.get(f"{address}/{notebook}")
    assert answer.ok and answer.json()["cells"]
    tab.close()


def test_search_finds_the_chapters(browser, address):
    tab = browser.new_page()
    tab.goto(f"{address}/search.html?q=gradient")
    tab.locator("#search-results li a").first.wait_for()
    found = tab.locator("#search-results li a").evaluate_all("links => links.map(l => l.href)")
    assert any("/chapters/" in link for link in found)
    tab.close()
