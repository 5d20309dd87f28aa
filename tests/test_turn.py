"""Pictures in three dimensions: what they draw, how they turn, and what they refuse."""

import re

import numpy as np
import pytest

from tests.test_slider import Reader
from tools.browser import PHONE, chromium, chromium_path
from toymodels.page.turn import project, turn

SQUARE = np.array([[1.0, 0, 0.5], [0, 1, 0.5], [-1, 0, 0.5], [0, -1, 0.5]])
WORDS = {"name": "square", "alt": "A square above a plane, seen from the side."}
ATTRIBUTE = "all => all.map(path => path.getAttribute('d'))"
HOSTILE = "</script><b onclick='x'>&\"</title>"


def picture(**options):
    options = {"stops": {"side": (30, 0), "above": (30, 90)}} | WORDS | options
    return turn({"square": SQUARE, "line": -SQUARE[:2]}, **options).data


@pytest.mark.parametrize(
    "view, across, down",
    [
        ((0, 0), [0, 1, 0], [0, 0, -1]),  # the first arrow points at the eye, the third up
        ((90, 0), [-1, 0, 0], [0, 0, -1]),
        ((0, 90), [0, 1, 0], [1, 0, 0]),  # from above
        ((-180, 0), [0, -1, 0], [0, 0, -1]),
    ],
)
def test_the_eye_walks_around_and_climbs(view, across, down):
    found = project(np.eye(3), view)
    np.testing.assert_allclose(found, np.stack([across, down], -1), atol=1e-12)


def test_nothing_is_stretched():
    """Two perpendicular directions of the drawing, at any view."""
    for view in [(0, 0), (33, 21), (-120, -70)]:
        found = project(np.eye(3), view)
        np.testing.assert_allclose(found.T @ found, np.eye(2), atol=1e-12)


def test_start_is_a_whole_picture():
    page = Reader(picture())
    assert len(page.drawn("moving")) == 2 and len(page.drawn("moving dots")) == 2
    assert page.text["output"] == ["30°", "20°"] and page.text["text"] == ["x", "y", "z"]
    labels = [a["for"] for tag, a in page.tags if tag == "label"]
    assert labels == [a["id"] for tag, a in page.tags if tag == "input"]
    flat = [float(number) for d in page.drawn("moving") for number in re.findall(r"[\d.]+", d)]
    assert min(flat) > 0 and max(flat[1::2]) < 320


def test_text_from_outside_stays_text():
    words = {"alt": HOSTILE, "caption": HOSTILE, "axes": (HOSTILE, "y", "z")}
    html = turn({HOSTILE: SQUARE}, name="square", stops={HOSTILE: (0, 0)}, **words).data
    assert not [tag for tag, _ in Reader(html).tags if tag == "b"]
    assert html.count("</script>") == 2


@pytest.fixture
def tab():
    if chromium_path() is None:
        pytest.skip("Chromium is not installed: pictures are not turned")
    problems = []
    with chromium() as browser:
        page = browser.new_page(viewport=PHONE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        head = '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
        page.set_content(head + picture() + picture(name="other"))
        yield page
        page.close()
    assert problems == []


def angles(page, anchor="square"):
    return page.locator(f"#{anchor} output").all_inner_texts()


def test_turns_by_key_drag_and_button_as_python_projects(tab):
    drawn = tab.locator("#square path.moving:not(.dots)")
    other = tab.locator("#other path.moving").first.get_attribute("d")
    start = drawn.first.get_attribute("d")
    by_python = Reader(picture()).drawn("moving")[0]
    assert re.findall(r"[\d.]+", start) == re.findall(r"[\d.]+", by_python)
    tab.locator("#square-turn-range").press("Home")
    tab.locator("#square-lift-range").press("ArrowRight")
    assert angles(tab) == ["−180°", "21°"]
    size = 132 / 1.12 / np.linalg.norm(SQUARE, axis=-1).max()
    flat = project(size * SQUARE, (-180, 21)) + [240, 160]
    seen = re.findall(r"[\d.]+", drawn.first.get_attribute("d"))
    np.testing.assert_allclose(np.array(seen, float), flat.ravel(), atol=0.06)
    tab.locator("#square").get_by_role("button", name="start").click()
    assert drawn.first.get_attribute("d") == start
    box = tab.locator("#square svg.turn").bounding_box()
    tab.mouse.move(box["x"] + 100, box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 100 + box["width"] / 48, box["y"] + 100 + box["width"] / 24)
    tab.mouse.up()
    tab.mouse.move(box["x"], box["y"])
    assert angles(tab) == ["24°", "32°"]  # ten and twenty units, 0.6 degrees each
    tab.locator("#square").get_by_role("button", name="above").click()
    assert angles(tab) == ["30°", "90°"]
    assert tab.locator("#square [aria-pressed=true]").all_inner_texts() == ["above"]
    assert tab.locator("#other path.moving").first.get_attribute("d") == other
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_names_stand_beside_their_arrows(tab):
    """Below the end of an arrow that points down, above it otherwise; none where it is a dot."""
    names, fixed = tab.locator("#square text.axis"), tab.locator("#square path.fixed")

    def where():
        return names.evaluate_all(
            "all => all.map(t => [t.getAttribute('visibility'), +t.getAttribute('x'), "
            "+t.getAttribute('y')])"
        )

    start = Reader(picture()).tags
    drawn = [(a["visibility"], float(a["x"]), float(a["y"])) for t, a in start if t == "text"]
    assert [seen for seen, _, _ in where()] == ["visible"] * 3
    np.testing.assert_allclose([w[1:] for w in where()], [d[1:] for d in drawn], atol=1e-6)
    tab.locator("#square").get_by_role("button", name="above").click()
    assert [seen for seen, _, _ in where()] == ["visible", "visible", "hidden"]
    tab.locator("#square").get_by_role("button", name="side").click()
    ends = [re.findall(r"[\d.]+", d)[-1] for d in fixed.evaluate_all(ATTRIBUTE)]
    apart = [y - float(end) for (_, _, y), end in zip(where(), ends, strict=True)]
    np.testing.assert_allclose(apart, [12, 12, -12], atol=1e-6)


def test_only_the_first_finger_and_the_main_button_turn(tab):
    box = tab.locator("#square svg.turn").bounding_box()
    tab.mouse.move(box["x"] + 100, box["y"] + 100)
    tab.mouse.down(button="right")
    tab.mouse.move(box["x"] + 150, box["y"] + 150)
    assert angles(tab) == ["30°", "20°"]
    tab.mouse.up(button="right")


def test_goes_on_beyond_a_full_turn_and_stops_overhead(tab):
    box = tab.locator("#square svg.turn").bounding_box()
    tab.mouse.move(box["x"] + 200, box["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 200 - box["width"] / 1.2, box["y"] + 5 + box["width"])
    tab.mouse.up()
    assert angles(tab) == ["−90°", "90°"]  # 30 + 240 degrees around


BAD = {
    "flat": ({"a": SQUARE[:, :2]}, {}, "points with 3 coordinates"),
    "nothing": ({}, {}, "1 to 6 polygons, got 0"),
    "a dot": ({"a": 0 * SQUARE}, {}, "away from the origin"),
    "NaN": ({"a": SQUARE * np.nan}, {}, "must be finite"),
    "view": ({"a": SQUARE}, {"start": (0, 91)}, "view 'start' must be whole degrees"),
    "half": ({"a": SQUARE}, {"stops": {"b": (0.5, 0)}}, "view 'b' must be whole degrees"),
    "one": ({"a": SQUARE}, {"start": (1,)}, "view 'start' must be whole degrees"),
    "name": ({"a": SQUARE}, {"name": "Two Words"}, "name must be lower-case"),
    "axis": ({"a": SQUARE}, {"axes": ("x", " ", "z")}, "axis 1 must say something"),
}


@pytest.mark.parametrize("shapes, options, message", BAD.values(), ids=BAD)
def test_refuses(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        turn(shapes, **WORDS | options)
