"""The built book in headless Chromium: every page at desktop and phone width, light and dark.

Reads _build/html, or the folder named by the environment variable TOYMODELS_HTML.
"""

import io
import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from pypdf import PdfReader

from _ext import book
from tools import make_pdf
from tools.browser import (
    DESKTOP,
    HTML,
    PHONE,
    REACHABLE,
    chromium,
    chromium_path,
    served,
    settle,
    unfold,
    visit,
)

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
# Contrast does not depend on the width, the other rules not on the colours. Together the views see
# everything.
EVERYTHING, CONTRAST = {"rules": SIDEBARS}, {"runOnly": ["color-contrast"]}
NO_CONTRAST = {"rules": SIDEBARS | {"color-contrast": {"enabled": False}}}
# Marks texts that look, before what lies behind them, like none of a page before; at most three of
# a look. Says which looks were new.
NEW_LOOKS = """known => {
    document.querySelectorAll("[data-look]").forEach(part => part.removeAttribute("data-look"));
    const found = new Map(known.map(kind => [kind, 3]));
    for (const part of document.querySelectorAll("body *")) {
        if (part.closest("mjx-container, svg") || !part.checkVisibility()) continue;
        if (![...part.childNodes].some(node => node.nodeType == 3 && node.data.trim())) continue;
        const { color, fontSize, fontWeight } = getComputedStyle(part);
        const look = [color, fontSize, fontWeight];
        for (let box = part; box; box = box.parentElement) {
            const behind = getComputedStyle(box);
            look.push(behind.opacity, behind.backgroundColor, behind.backgroundImage);
            if (/^rgb[(]/.test(behind.backgroundColor)) break;
        }
        const kind = look.filter(word => word != "rgba(0, 0, 0, 0)" && word != "none").join();
        const count = found.get(kind) || 0;
        found.set(kind, count + 1);
        if (count < 3) part.setAttribute("data-look", "");
    }
    return [...found.keys()].slice(known.length);
}"""
# Most of a page is what axe walks through and has nothing to say of: the insides of formulas and
# drawings, the colours of code where none is marked. They are taken out while it looks.
LIGHTEN = """() => {
    const boxes = [...document.querySelectorAll("mjx-container, svg, pre")];
    window.heavy = boxes.filter(box => !box.querySelector("[data-look]")).map(box => ({
        box, inside: [...box.childNodes],
        left: box.matches("pre") ? [box.textContent] :
            [...box.children].filter(part => part.matches("title, desc")),
    }));
    for (const { box, left } of window.heavy) box.replaceChildren(...left);
}"""
RESTORE = "() => window.heavy.forEach(({ box, inside }) => box.replaceChildren(...inside))"
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


STOPS = """() => [...document.querySelectorAll("mjx-container")].filter(formula =>
    formula.tabIndex >= 0 || !formula.querySelector("mjx-assistive-mml math")
).map(formula => formula.outerHTML.slice(0, 120))"""
FULL_SIZE = 0.7  # of the letters that a figure is drawn with, ten points
TINY = """least => [...document.querySelectorAll("main figure img")].filter(image =>
    image.getBoundingClientRect().width < least * image.naturalWidth).map(image => image.src)"""
UNHINTED = """() => [...document.querySelectorAll("mjx-container[display=true]")].filter(part =>
    part.scrollWidth > part.clientWidth + 1 &&
    getComputedStyle(part).backgroundImage.split("gradient").length < 5
).map(part => part.outerHTML.slice(0, 120))"""

FALLEN = """() => [...document.querySelectorAll("main span.math")].filter(part => {
    const next = part.nextSibling;
    if (!next || next.nodeType != 3 || !/^[.,;:!?)\\]]/.test(next.data)) return false;
    const mark = document.createRange();
    mark.setStart(next, 0);
    mark.setEnd(next, 1);
    return mark.getClientRects()[0]?.top > part.getBoundingClientRect().bottom;
}).map(part => part.textContent)"""

PAPER = {"width": 643, "height": 900}  # between the margins of A4
UNPRINTABLE = """() => [...document.querySelectorAll("main *, header *, aside *")].filter(part =>
    part.checkVisibility() && (
        part.matches("nav, button, input, summary, .headerlink, .btn") ||
        part.matches("pre") && part.scrollWidth > part.clientWidth + 1 ||
        part.matches("figure, .toy-slider") && getComputedStyle(part).breakInside != "avoid")
).map(part => part.outerHTML.slice(0, 120))"""
PRINTED_COLORS = """() => {
    dispatchEvent(new Event("beforeprint"));
    const look = getComputedStyle(document.querySelector("main p"));
    const colors = [getComputedStyle(document.body).backgroundColor, look.color];
    dispatchEvent(new Event("afterprint"));
    return colors.map(color => Math.max(...color.match(/[\\d.]+/g).slice(0, 3)));
}"""


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
        self.listen(address)
        visit(self.tab, f"{address}/{self.name}.html")
        unfold(self.tab)
        return self

    def listen(self, address: str) -> None:
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("console", self._hear)
        self.tab.on("request", lambda request: self._watch(request.url, address))
        self.tab.on("response", lambda r: r.status >= 400 and self.broken.add(r.url))

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


@pytest.fixture(scope="module", params=book.pages())
def loaded(browser, address, request):
    """Loaded once: a reader who turns a phone, or makes a window narrow, does not reload."""
    context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    yield View(request.param, context.new_page()).open(address)
    context.close()


@pytest.fixture(scope="module", params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def size(request):
    return request.param


@pytest.fixture(scope="module")
def opened(loaded, size):
    loaded.tab.set_viewport_size(size)
    settle(loaded.tab)
    return loaded


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


def test_no_line_begins_with_a_full_stop(view, theme):
    assert theme == "dark" or view.tab.evaluate(FALLEN) == []


def test_formulas_are_heard_but_are_no_stops_of_tab(view):
    assert view.tab.evaluate(STOPS) == []


def test_a_phone_shows_letters_of_figures_and_where_a_formula_goes_on(view, size):
    if size == PHONE:
        assert view.tab.evaluate(TINY, FULL_SIZE) == []
        assert view.tab.evaluate(UNHINTED) == []


def test_every_picture_says_what_it_shows(view):
    assert view.tab.evaluate(MISSING_ALT) == []


def test_every_slider_moves_by_keyboard(view, size, theme):
    if (size == DESKTOP) != (theme == "light"):
        return  # each width and each theme once
    figures = view.tab.locator(".toy-slider").all()
    if view.name.startswith("chapters/"):
        assert figures, "every chapter has a slider"
    for figure in figures:
        before = look(figure)
        knob = figure.locator("input").first
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
        figure.locator("output").first.inner_text(),
        figure.locator("input").first.get_attribute("aria-valuetext"),
    )


@pytest.fixture(scope="module")
def looks():
    """What texts of the pages so far look like, by theme."""
    return {"light": [], "dark": []}


def test_axe_finds_no_barrier(view, size, theme, looks):
    first = view.name == book.chapters()[0]
    within: dict = {"exclude": [["mjx-container"]]}  # MathJax looks after its own
    if not first:
        within["exclude"].append(["tbody tr:nth-child(n+6)"])  # rows of a table are alike
    if size == DESKTOP:
        new = view.tab.evaluate(NEW_LOOKS, looks[theme])
        looks[theme] += new
        rules = EVERYTHING if first and theme == "light" else CONTRAST
        if not first:
            within["include"] = [["[data-look]"]]
        if not new:
            return
    elif theme == "light":
        rules = NO_CONTRAST
    else:
        return  # both halves are seen by the other views
    found = barriers_in(view.tab, within, rules)
    barriers = [
        f"{rule['id']}: {node['target']} {node['failureSummary'].splitlines()[1:2]}"
        for rule in found
        for node in rule["nodes"]
    ]
    assert barriers == []


def barriers_in(tab, within, rules):
    """What axe finds; the page is the same after it."""
    tab.evaluate(LIGHTEN)
    found = Axe().run(tab, within, AXE | rules).response["violations"]
    tab.evaluate(RESTORE)
    return found


def test_what_axe_need_not_see_hides_no_barrier(browser):
    tab = browser.new_page()
    pale = "<pre><span style='color: #ccc'>x = 1</span></pre>"
    drawing = "<svg role='img'>{}<path d='M0 0h9'></path></svg>"
    tab.set_content(f"<main><h1>A</h1>{pale}{drawing.format('<title>B</title>')}</main>")
    before = tab.content()
    tab.evaluate(NEW_LOOKS, [])
    assert [rule["id"] for rule in barriers_in(tab, {"include": [["body"]]}, CONTRAST)] == [
        "color-contrast"
    ]
    assert "svg-img-alt" not in {rule["id"] for rule in barriers_in(tab, {}, NO_CONTRAST)}
    tab.evaluate(
        "document.querySelectorAll('[data-look]').forEach(p => p.removeAttribute('data-look'))"
    )
    assert tab.content() == before
    tab.set_content(f"<main><h1>A</h1>{drawing.format('')}</main>")
    assert "svg-img-alt" in {rule["id"] for rule in barriers_in(tab, {}, NO_CONTRAST)}
    tab.close()


def test_a_look_is_known_by_its_colours(browser):
    tab = browser.new_page()
    tab.set_content("<p>one</p><p>two</p><p style='color: #bbb'>pale</p>")
    known = tab.evaluate(NEW_LOOKS, [])
    assert len(known) == 2 and tab.evaluate(NEW_LOOKS, known) == []
    tab.evaluate("document.body.style.background = '#ccc'")
    assert len(tab.evaluate(NEW_LOOKS, known)) == 2
    found = Axe().run(tab, {"include": [["[data-look]"]]}, AXE | CONTRAST).response["violations"]
    assert [rule["id"] for rule in found] == ["color-contrast"]
    tab.close()


# Last, since the theme looks anew at what scrolls after the width has changed


def test_paper_has_no_buttons_and_cuts_nothing(view, size, theme):
    if (size, theme) != (DESKTOP, "light"):
        return  # one sheet of paper for all
    view.tab.emulate_media(media="print")
    view.tab.set_viewport_size(PAPER)
    found = [view.tab.evaluate(faults) for faults in (UNPRINTABLE, CUT, WIDE)]
    view.tab.emulate_media(media="screen")
    view.tab.set_viewport_size(DESKTOP)
    assert found == [[], [], []]


def test_the_dark_theme_is_printed_dark_on_white(view, size, theme):
    if (size, theme) != (DESKTOP, "dark"):
        return
    view.tab.emulate_media(media="print")
    paper, letters = view.tab.evaluate(PRINTED_COLORS)
    view.tab.emulate_media(media="screen")
    assert paper == 255 and letters < 100


# What does not depend on the size of the screen


def test_what_scrolls_is_a_stop_of_tab_again_after_printing(browser, address):
    """On paper nothing scrolls, and the theme looks just when the window changes."""
    tab = browser.new_page(viewport=PHONE)
    visit(tab, f"{address}/{book.chapters()[0]}.html")
    unfold(tab)
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('resize'))")
    tab.wait_for_timeout(500)  # the theme waits 300 ms
    tab.emulate_media(media="screen")
    tab.wait_for_timeout(100)
    assert tab.evaluate("document.querySelectorAll('main pre[tabindex=\"0\"]').length") > 5
    assert tab.evaluate(REACHABLE)
    tab.close()


@pytest.mark.parametrize("page", book.with_notebook())
def test_colab_and_download_lead_to_the_notebook(browser, address, page):
    notebook = f"notebooks/{book.notebook(page).name}"
    links = re.findall(r'href="([^"]*)"', (HTML / f"{page}.html").read_text("utf-8"))
    colab = {unescape(link) for link in links if "colab." in link}
    assert colab == {book.colab_link(page)} and colab.pop().endswith(notebook)
    assert book.notebook(page).exists()
    assert f"../{notebook}" in links
    tab = browser.new_page()
    answer = tab.request.get(f"{address}/{notebook}")
    assert answer.ok and answer.json()["cells"]
    tab.close()


@pytest.mark.parametrize("place", ["server", "file"])
def test_search_finds_the_chapters_and_shows_the_words_around(browser, address, place):
    view = View("search", browser.new_page())
    view.listen(address)
    view.tab.goto(f"{address if place == 'server' else HTML.as_uri()}/search.html?q=gradient")
    hit = view.tab.locator("#search-results li", has=view.tab.locator("a[href*='chapters/']")).first
    hit.locator("p.context", has_text="gradient").wait_for()
    view.tab.locator("#search-results p", has_text="Search finished").wait_for()
    assert view.problems == []
    view.tab.close()


def test_from_the_link_that_skips_the_menus_the_first_slider_is_near(browser, address):
    tab = browser.new_page(viewport=DESKTOP)
    visit(tab, f"{address}/{book.chapters()[0]}.html")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to main content"
    tab.keyboard.press("Enter")
    stops = 0
    while not tab.evaluate("document.activeElement.matches('.toy-slider input')"):
        tab.keyboard.press("Tab")
        stops += 1
        assert stops < 100, "links, buttons and boxes that scroll are stops, and nothing else"
    assert stops > 10
    tab.close()


def test_a_finger_opens_menu_and_search_and_moves_a_slider(browser, address):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    tab = context.new_page()
    chapter = f"{address}/{book.chapters()[0]}.html"
    visit(tab, chapter)
    tab.locator(".primary-toggle").tap()
    tab.locator("dialog[open] a", has_text="Deep linear networks").wait_for()
    visit(tab, chapter)
    tab.locator(".search-button__button:visible, .search-button:visible").first.tap()
    tab.locator("dialog[open] input[type=search]").wait_for()
    visit(tab, chapter)
    knob = tab.locator(".toy-slider input").first
    before = knob.input_value()
    knob.tap(position={"x": 0.95 * knob.bounding_box()["width"], "y": 16})
    assert knob.input_value() != before
    context.close()


@pytest.fixture(scope="module")
def pdf(browser, address):
    """A book of one chapter and the page that its terms lead to."""
    with pytest.MonkeyPatch.context() as patch:
        two = [book.chapters()[0], "pages/notation"]
        patch.setattr(book, "pages", lambda: two)
        file = io.BytesIO()
        make_pdf.printed_book(browser, address).write(file)
        yield PdfReader(file)


def test_the_links_of_the_pdf_lead_into_it_or_to_the_public(pdf):
    number = {sheet.indirect_reference: at for at, sheet in enumerate(pdf.pages)}
    links = [link.get_object() for sheet in pdf.pages for link in sheet.get("/Annots", ())]
    public = {urlsplit(link["/A"]["/URI"]).netloc for link in links if "/A" in link}
    assert public <= {"github.com", "doi.org"}
    jumps = [link["/Dest"] for link in links if "/Dest" in link]
    assert len(jumps) > 20 and all(jump[0] in number for jump in jumps)
    top = float(pdf.pages[0].mediabox.top)
    terms = [j for j in jumps if number[j[0]] > len(pdf.pages) - 6 and float(j[3]) < top - 1]
    assert terms, "terms lead to their lines in the glossary"


def test_the_pdf_has_contents_bookmarks_and_page_numbers(pdf):
    chapter, notation = (item for item in pdf.outline[1:] if not isinstance(item, list))
    assert chapter.title.startswith("1. ") and notation.title == "Notation and glossary"
    sections = pdf.outline[2]
    places = [pdf.get_destination_page_number(section) for section in sections]
    assert len(sections) > 5 and places == sorted(places) and places[-1] > 3
    assert pdf.page_labels[:2] == ["i", "1"]
    for sheet, label in list(zip(pdf.pages, pdf.page_labels, strict=True))[1:]:
        assert label in sheet.extract_text().splitlines()
    contents = pdf.pages[0].extract_text()
    start = pdf.page_labels[pdf.get_destination_page_number(notation)]
    assert f"Notation and glossary {start}" in contents and "1. The oscillator" in contents


def test_the_pdf_prints_solutions_but_no_code_that_is_folded_away(pdf):
    text = "".join(sheet.extract_text() for sheet in pdf.pages)
    assert "Solution to Exercise 1.1" in text
    assert "Show code" not in text and "import matplotlib" not in text


def test_the_landing_page_links_the_pdf_once(tmp_path, monkeypatch):
    assert make_pdf.PLACE in book.source("index").read_text("utf8")
    monkeypatch.setattr(make_pdf, "HTML", tmp_path)
    (tmp_path / "index.html").write_text(f"<p>a</p>\n{make_pdf.PLACE}\n<p>b</p>\n")
    for pages in (1, 22):
        make_pdf.link_from_landing_page(pages)
    text = (tmp_path / "index.html").read_text()
    assert text.count('href="toymodels.pdf"') == 1 and "(22 pages)" in text and "<p>b" in text
