"""What is folded away on a page: code under its figure, checks in one line, one click away."""

from types import SimpleNamespace

import pytest
from docutils import nodes

from _ext import bindings, book, folds
from tools.browser import DESKTOP, HTML, chromium, chromium_path, served, visit
from toymodels.page.claim import MIME

PAGE = "chapters/tree"
RECORDS = [{"key": "gap"}, {"key": None}]
TAGGED = {"tags": ["hide-input"]}


def bundle(mime_type, *parts):
    return nodes.container("", nodes.container("", *parts, mime_type=mime_type))


def claim(record):
    said = bundle("text/plain", nodes.literal_block("", f"the line of {record['key']}"))
    said += nodes.container("", nodes.comment(record=record), mime_type=MIME)
    return said


def page(metadata, *outputs):
    """A page of one code cell, as MyST-NB hands it on, with what it shows folded."""
    code = nodes.container("", nodes.literal_block("", "code"), nb_element="cell_code_source")
    said = [nodes.container("", *outputs, nb_element="cell_code_output")] if outputs else []
    cell = nodes.container("", code, *said, nb_element="cell_code", cell_metadata=metadata)
    cell["hide_mode"] = "input"
    doctree = nodes.document(None, None, "", cell)
    folds.fold_cells(SimpleNamespace(env=SimpleNamespace(docname=PAGE)), doctree)
    return cell


@pytest.mark.parametrize(
    ("metadata", "outputs", "label"),
    [
        ({"mystnb": {"figure": {"name": "fig-a"}}}, [("image/svg+xml",)], "Code of this figure"),
        (TAGGED, [("text/html",)], "Code of this figure"),
        (TAGGED, [("text/markdown",)], "Code of this output"),
    ],
)
def test_code_folds_under_what_it_draws(metadata, outputs, label):
    cell = page(metadata, *(bundle(*output) for output in outputs))
    drawn, fold = cell.children
    assert drawn["nb_element"] == "cell_code_output" and fold["label"] == label
    assert fold.astext() == "code" and fold["classes"] == ["drawing"]
    assert "hide_mode" not in cell, "MyST-NB must not fold it once more"


def test_a_cell_without_output_is_a_set_up():
    (fold,) = page(TAGGED).children
    assert fold["label"] == "Set-up" and fold.astext() == "code"


@pytest.mark.parametrize(
    ("records", "label"), [(RECORDS, "2 checks passed"), (RECORDS[1:], "1 check passed")]
)
def test_checks_are_counted_from_their_records_and_stand_before_their_code(records, label):
    (fold,) = page(TAGGED, *map(claim, records)).children
    assert fold["label"] == label and fold["classes"] == ["checks"]
    lines = [f"the line of {record['key']}" for record in records]
    assert [part for part in fold.astext().split("\n\n") if part] == [*lines, "code"]


def test_a_figure_stays_visible_beside_checks():
    drawn, fold = page(TAGGED, bundle("text/html"), claim(RECORDS[0])).children
    assert len(drawn.children) == 1 and fold["label"] == "1 check passed"


def test_a_claim_with_a_key_has_an_address_folded_or_not():
    for metadata in (TAGGED, {}):
        cell = page(metadata, *map(claim, RECORDS))
        ids = [node["ids"] for node in cell.findall(nodes.container) if "claim" in node["classes"]]
        assert ids == [[bindings.anchor(PAGE, "gap")], []]
    code, output = cell.children
    assert code.astext() == "code" and len(output.children) == 2, "not folded without the tag"


# ---- the built book ------------------------------------------------------------------------------

BUILT = [name for name in book.chapters() if (HTML / f"{name}.html").exists()]
SOME = BUILT[::6]  # the script is the same on all pages, and `local_links` looks at all addresses
seen = pytest.mark.skipif(
    chromium_path() is None or not BUILT, reason="no Chromium, or no built book: nothing to see"
)
HIDDEN = """() => [...document.querySelectorAll("main a.num")].filter(link => {
    const target = document.getElementById(link.hash.slice(1));
    return link.pathname == location.pathname && target.closest("details:not([open])");
}).map(link => link.hash)"""
SEEN = """hash => {
    const place = document.querySelector(hash).getBoundingClientRect();
    return place.height > 0 && place.top >= 0 && place.bottom <= innerHeight;
}"""
PRINTED = """() => ["details.fold.drawing", "details.fold .cell_input", "details.fold .claim"].map(
    kind => [...document.querySelectorAll(kind)].filter(part => part.checkVisibility({
        contentVisibilityAuto: true }) && part.getBoundingClientRect().height > 0).length)"""


@pytest.fixture(scope="module")
def tab():
    with served(HTML) as address, chromium() as browser:
        tab = browser.new_page(viewport=DESKTOP, reduced_motion="reduce")
        tab.address = address
        yield tab


@seen
@pytest.mark.parametrize("name", SOME)
def test_a_number_opens_the_checks_in_which_its_claim_stands(tab, name):
    visit(tab, f"{tab.address}/{name}.html")
    hidden = tab.evaluate(HIDDEN)
    assert hidden, "numbers stand for claims, and these are folded"
    for anchor in hidden[:3]:
        tab.locator(f"main a.num[href='{anchor}']").first.click()
        tab.wait_for_function(SEEN, arg=anchor)
        assert tab.locator("details[open]", has=tab.locator(anchor)).count() == 1


@seen
def test_a_fold_opens_by_keyboard(tab):
    visit(tab, f"{tab.address}/{BUILT[0]}.html")
    fold = tab.locator("details.fold").first
    fold.locator("summary").press("Enter")
    assert fold.get_attribute("open") is not None
    assert fold.locator("pre").first.is_visible()


@seen
def test_paper_shows_checks_but_no_code_that_is_folded_away(tab):
    visit(tab, f"{tab.address}/{BUILT[0]}.html")
    total = tab.locator("details.fold .claim").count()
    tab.emulate_media(media="print")
    printed = tab.evaluate(PRINTED)
    tab.emulate_media(media="screen")
    assert printed == [0, 0, total]
