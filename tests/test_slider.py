"""The slider figure: what it draws, what it says, what it refuses, and that it moves."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from tools.browser import DESKTOP, PHONE, chromium, chromium_path
from toymodels.page import COLORS, slider
from toymodels.page.axis import Axis, distinctly_written, linear_ticks, log_ticks, written
from toymodels.page.slider import STYLE

HOSTILE = "</script><b onclick='x'>&\"</title>"
WORDS = {
    "name": "decay",
    "label": "rate",
    "xlabel": "time (s)",
    "ylabel": "loss",
    "alt": "Exponentials that fall faster the larger the rate.",
}
TIME = np.linspace(1.0, 5.0, 30)
RATES = [0.5, 1.0, 2.0]
ROWS = np.exp(-np.outer(RATES, TIME))


def figure(x=TIME, curves=None, values=RATES, **options):
    return slider(x, {"theory": ROWS} if curves is None else curves, values, **(WORDS | options))


class Reader(HTMLParser):
    """The tags of a page with their attributes, and the text inside each kind of tag."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], {}, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def first(self, tag):
        return next(attributes for name, attributes in self.tags if name == tag)

    def data(self):
        scripts = self.text["script"]
        return json.loads(next(text for text in scripts if text.startswith("{")))

    def drawn(self, kind):
        """The d of every path of this class outside the legend."""
        tags = self.tags[[tag for tag, _ in self.tags].index("title") :]
        return [a["d"] for tag, a in tags if tag == "path" and a.get("class") == kind]


def corners(d):
    return np.array([float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", d)]).reshape(
        -1, 2
    )


# What it draws


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor, np.ndarray.tolist])
def test_draws_the_same_from_tensors_arrays_and_lists(convert):
    converted = figure(convert(TIME), {"theory": convert(ROWS)}, convert(np.array(RATES)))
    assert converted.data == figure().data


def test_accepts_lists_of_tensors_that_carry_gradients():
    rows = [torch.tensor(row, requires_grad=True) for row in ROWS]
    assert figure(curves={"theory": rows}).data == figure().data


def test_the_page_without_javascript_shows_the_start_position():
    page = Reader(figure(start=2).data)
    assert page.drawn("moving") == [page.data()["paths"][0][2]]
    assert page.first("input")["value"] == "2"
    assert "rate 2." in page.text["noscript"][0]


def test_a_curve_passes_its_points_to_a_fifth_of_a_unit():
    page = Reader(figure(ylim=(0, 1)).data)
    box = page.first("rect")
    left, width, top, height = (float(box[key]) for key in ("x", "width", "y", "height"))
    for path, row in zip(page.data()["paths"][0], ROWS, strict=True):
        across, up = corners(path).T
        wanted = top + height * (1 - row)
        at = left + width * (TIME - 1) / 4
        assert np.abs(np.interp(at, across, up) - wanted).max() < 0.3  # 0.2, and 0.05 of rounding


def test_equal_steps_on_log_axes_are_equal_factors():
    x = np.array([1.0, 10.0, 100.0])
    rows = np.array([x**-1.0, x**-2.0])
    page = Reader(figure(x, {"law": rows}, [1.0, 2.0], xscale="log", yscale="log").data)
    shallow, steep = (corners(path) for path in page.data()["paths"][0])
    assert len(shallow) == len(steep) == 2  # straight lines need no corner
    slopes = [np.diff(line, axis=0)[0] for line in (shallow, steep)]
    assert slopes[1][1] / slopes[0][1] == pytest.approx(2, rel=0.01)


def test_a_smooth_curve_of_thousands_of_points_stays_small():
    x = np.linspace(0, 1, 5000)
    rows = [np.sin(k * x) for k in range(1, 31)]
    assert len(figure(x, {"sine": rows}, range(1, 31)).data) < 80_000  # unthinned: 1.5 million


def test_curves_that_leave_the_limits_are_clipped_and_dots_left_out():
    wild = {"theory": np.where(TIME > 3, 1e9, ROWS)}
    page = Reader(figure(curves=wild, points={"theory": wild["theory"]}, ylim=(0, 1)).data)
    curve, dots = page.data()["paths"]
    assert np.abs(corners(curve[0])).max() < 1e4
    assert dots[0].count("M") == (TIME <= 3).sum()
    (drawn,) = [a for tag, a in page.tags if tag == "path" and "clip-path" in a]
    assert drawn["clip-path"] == f"url(#{page.first('clippath')['id']})"


def test_dots_have_their_own_x_and_the_colour_of_their_curve():
    two = {"one": ROWS, "two": ROWS / 2}
    points = {"two": (TIME[::10], ROWS[:, ::10]), "other": ROWS}
    page = Reader(figure(curves=two, points=points).data)
    dots = [a for tag, a in page.tags if tag == "path" and a.get("class") == "moving dots"]
    assert [a["stroke"] for a in dots] == [COLORS[1], COLORS[1]]
    assert dots[0]["d"].count("M") == 3 and dots[1]["d"].count("M") == 30
    assert [t for t in page.text["li"] if t.strip()] == ["one", "two", "other"]


def test_a_reference_does_not_move_and_is_dashed():
    page = Reader(figure(reference={"one over x": 1 / TIME}).data)
    assert len(page.drawn("fixed")) == 1 and len(page.data()["paths"]) == 1
    page = Reader(figure(reference={f"bound {k}": k / TIME for k in range(3)}).data)
    one, two, three = [a["stroke-dasharray"] for _, a in page.tags if a.get("class") == "fixed"][3:]
    assert "none" != one == three != two != "none"


def test_curves_differ_by_colour_and_by_dashes():
    page = Reader(figure(curves={f"curve {k}": ROWS * k for k in range(6)}).data)
    drawn = [a for tag, a in page.tags if tag == "path" and a.get("class") == "moving"]
    assert len({a["stroke"] for a in drawn}) == len({a["stroke-dasharray"] for a in drawn}) == 6


def test_a_flat_curve_has_an_axis():
    page = Reader(figure(curves={"flat": np.ones((3, 30))}).data)
    assert np.isfinite(corners(page.drawn("moving")[0])).all()


# What it says


def test_says_every_word_to_readers_who_cannot_see():
    page = Reader(figure(unit="1/s", caption="Move it.").data)
    picture, knob = page.first("svg"), page.first("input")
    named = {a["id"]: tag for tag, a in page.tags if "id" in a}
    picture = next(a for tag, a in page.tags if a.get("role") == "img")
    assert named[picture["aria-labelledby"]] == "title"
    assert named[picture["aria-describedby"]] == "desc"
    assert page.text["title"] == [WORDS["alt"]]
    assert "time (s), 1 to 5" in page.text["desc"][0]
    assert knob["aria-valuetext"] == page.text["output"][0] == "0.5\u00a01/s"
    assert page.first("label")["for"] == page.first("output")["for"] == knob["id"]
    assert page.text["figcaption"] == ["Move it."]


def test_text_from_outside_stays_text():
    hostile = {key: HOSTILE for key in ("label", "xlabel", "ylabel", "alt")}
    marks = {HOSTILE: ROWS}
    more = {"unit": HOSTILE, "caption": HOSTILE, "reference": {HOSTILE + "2": ROWS[0]}}
    html = figure(curves=marks, points=marks, **hostile, **more).data
    page = Reader(html)
    assert not [tag for tag, _ in page.tags if tag == "b"]
    assert html.count("</script>") == 2
    assert HOSTILE in page.data()["values"][0]
    assert page.text["figcaption"] == [HOSTILE]


def test_two_figures_on_a_page_share_no_id():
    pages = [Reader(figure(name=name).data) for name in ("decay", "decay-2")]
    first, second = ({a["id"] for _, a in page.tags if "id" in a} for page in pages)
    assert first and not first & second


def test_the_colours_stand_out_on_light_and_dark_pages():
    def luminance(color):
        channels = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        linear = np.where(channels > 0.04045, ((channels + 0.055) / 1.055) ** 2.4, channels / 12.92)
        return linear @ [0.2126, 0.7152, 0.0722]

    for color in COLORS:
        for page in ("#ffffff", "#121212"):
            light, dark = sorted((luminance(color), luminance(page)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, (color, page)  # WCAG 1.4.11


# Where things lie


def box(page):
    """Left, right, top and bottom of the rectangle between the axes."""
    rect = page.first("rect")
    left, top, width, height = (float(rect[key]) for key in ("x", "y", "width", "height"))
    return left, left + width, top, top + height


FONT = max(float(size) for size in re.findall(r"font-size: ([\d.]+)px", STYLE))  # on a phone
DIGIT = 0.556 * FONT  # as wide as a digit of Arial
TEXT = r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)" [^>]*>([^<]*)(?:<tspan[^>]*>([^<]*))?'


def numbers(html):
    """Left end, right end and height of the numbers below and beside the axes, on a phone."""
    below, beside = [], []
    for x, y, side, base, power in re.findall(TEXT, html):
        width = DIGIT * (len(base) + 0.72 * len(power))
        right = float(x) + (width / 2 if side == "middle" else 0)
        (below if side == "middle" else beside).append((right - width, right, float(y)))
    return np.array(below), np.array(beside)


LINE = np.linspace(0.0, 1.0, 11)
LOG = {"xscale": "log", "yscale": "log"}
AXES = {
    "few digits": (5 * LINE, [9 * LINE, LINE], {}),
    "many digits": (1000 * LINE, [-20_000 * LINE, 60_000 * LINE], {}),
    "one wide number": (1 + 9 * LINE, [9 + LINE, 8 + LINE], {}),
    "powers": (10 ** (6 * LINE), [10 ** (-5 * LINE), 10 ** (3 * LINE)], LOG),
    "no decades": (2 + 3 * LINE, [3 + LINE, 3.5 + LINE], LOG),
}


@pytest.mark.parametrize(("x", "rows", "scales"), AXES.values(), ids=AXES)
def test_every_number_has_its_place_and_little_room_is_lost(x, rows, scales):
    html = figure(x, {"curve": rows}, [1, 2], **scales).data
    left, right, top, bottom = box(Reader(html))
    below, beside = numbers(html)
    assert 2 <= len(below) <= 8 and 2 <= len(beside) <= 8
    assert (np.diff(below[:, 2]) == 0).all() and bottom + FONT < below[0, 2] < 315 - FONT
    assert (below[1:, 0] - below[:-1, 1]).min() > DIGIT / 2
    assert (np.abs(np.diff(beside[:, 2]))).min() > FONT
    assert 4 < beside[:, 0].min() < 10 and beside[:, 1].max() < left - 4
    assert 4 < 480 - (right + (below[:, 1] - below[:, 0]).max() / 2) < 10
    assert top > 16 + FONT / 2 and bottom - top > 0.7 * 320


def test_powers_are_raised():
    page = Reader(figure(10 ** (3 * LINE), {"a": [LINE] * 3}, xscale="log").data)
    assert page.text["tspan"] == ["0", "1", "2", "3"]
    small = Reader(figure(values=[1e-9, 2e-8, 1e-7]).data)
    assert small.data()["values"] == ["10⁻⁹", "2×10⁻⁸", "10⁻⁷"]


LIMITS = {
    "linear": ([-2 + 3 * LINE, 8 * LINE], "linear", "-2.5 to 8.5"),
    "negative": ([-9 + LINE, -3 - LINE], "linear", "-9.3 to -2.7"),
    "log": ([10 ** (LINE - 2), 10 ** (1 - LINE)], "log", "logarithmic, 0.00708 to 14.1"),
    "tiny": ([1e-14 * LINE, 2e-14 * LINE], "linear", "-1e-15 to 2.1e-14"),
    "flat": ([5 + 0 * LINE] * 2, "linear", "2.25 to 7.75"),
    "flat but for rounding": ([5 + 1e-13 * LINE] * 2, "linear", "2.25 to 7.75"),
    "flat below zero": ([-5 + 0 * LINE] * 2, "linear", "-7.75 to -2.25"),
    "flat at zero": ([0 * LINE] * 2, "linear", "-0.55 to 0.55"),
}


@pytest.mark.parametrize(("rows", "yscale", "limits"), LIMITS.values(), ids=LIMITS)
def test_an_axis_spans_all_curves_and_a_margin(rows, yscale, limits):
    two = {"first": [rows[0]] * 3, "second": [rows[1]] * 3}
    page = Reader(figure(10 + 90 * LINE, two, yscale=yscale, xscale="log").data)
    up = f"Up: loss, {limits}. "
    assert page.text["desc"][0].startswith(f"Across: time (s), logarithmic, 10 to 100. {up}")
    for path in page.drawn("moving"):
        assert corners(path)[[0, -1], 0] == pytest.approx(box(page)[:2], abs=0.06)  # four digits


def test_each_axis_has_its_own_scale():
    x, rows = np.array([0.1, 1.0, 10.0]), np.array([[-1.0, 0.0, 2.0]] * 3)
    page = Reader(figure(x, {"a": rows}, points={"a": (x[:2], rows[:, :2])}, xscale="log").data)
    assert np.ptp(np.diff(corners(page.drawn("moving")[0])[:, 0])) < 0.2
    lying = Reader(
        figure(rows[0], {"a": [x] * 3}, points={"a": (rows[0], [x] * 3)}, yscale="log").data
    )
    assert np.ptp(np.diff(corners(lying.drawn("moving dots")[0].replace("h0", ""))[:, 1])) < 0.2
    with pytest.raises(ValueError, match="x of points 'a' must be positive on a log axis, got -1"):
        figure(x, {"a": rows}, points={"a": (rows[0], rows)}, xscale="log")


def test_a_curve_leaves_the_box_where_it_should():
    steep = np.where(np.arange(30) == 20, 1e9, 0.0)
    page = Reader(figure(curves={"up": [steep] * 3, "down": [-steep] * 3}, ylim=(-1, 1)).data)
    left, right, top, bottom = box(page)
    for path, edge in zip(page.drawn("moving"), (top, bottom), strict=True):
        across, at = corners(path).T
        peak = np.abs(at - (top + bottom) / 2).argmax()
        part = (edge - at[peak - 1]) / (at[peak] - at[peak - 1])
        crossing = across[peak - 1] + part * (across[peak] - across[peak - 1])
        assert crossing == pytest.approx(left + (right - left) * 19 / 29, abs=1)


def test_a_bend_before_the_last_point_is_drawn():
    x = np.arange(5.0)
    page = Reader(figure(x, {"bend": [[0, 1, 2, 3, 0]] * 3}).data)
    assert len(corners(page.drawn("moving")[0])) == 3


def test_the_legend_shows_a_line_a_dot_or_both():
    page = figure(points={"theory": ROWS, "run": ROWS}, reference={"bound": 1 / TIME}).data
    samples = re.findall(r"<li>.*?</li>", page)
    assert [re.findall(r' d="([^"]*)"', sample) for sample in samples] == [
        ["M2 5h28", "M16 5h0"], ["M16 5h0"], ["M2 5h28"],
    ]  # fmt: skip


# Numbers on the axes


def test_ticks_of_a_linear_axis_are_round():
    assert list(linear_ticks(0, 1, 5).values()) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert list(linear_ticks(-1, 1, 4).values()) == ["−1.0", "−0.5", "0.0", "0.5", "1.0"]
    assert list(linear_ticks(0, 3e7, 3).values()) == ["0", "10^7", "2×10^7", "3×10^7"]
    assert list(linear_ticks(0, 40, 6).values()) == ["0", "10", "20", "30", "40"]
    assert list(linear_ticks(0, 0.3, 3).values()) == ["0.0", "0.1", "0.2", "0.3"]
    rounded_up = linear_ticks(0.2, 0.8, 6)  # (0.8 - 0.2) / 6 is more than 0.1 in floating point
    assert list(rounded_up.values()) == ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]


def test_ticks_of_a_log_axis_are_decades_or_finer():
    assert list(log_ticks(1e-3, 10, 6).values()) == ["10^−3", "10^−2", "10^−1", "10^0", "10^1"]
    assert len(log_ticks(1e-30, 1, 6)) <= 6 == len(log_ticks(1e-5, 1, 6))
    assert list(log_ticks(1, 8, 6).values()) == ["1", "2", "5"]
    assert list(log_ticks(3, 4, 5).values()) == ["3.0", "3.2", "3.4", "3.6", "3.8", "4.0"]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("low,high", [(1e-9, 1e-8), (0.1, 0.10001), (1, 1e9), (7, 7.3)])
def test_every_axis_has_ticks_that_lie_on_it(low, high, log):
    axis = Axis(low, high, log, 0.0, 100.0)
    ticks = axis.ticks(6)
    assert 2 <= len(ticks) <= 8 and len(set(ticks.values())) == len(ticks)
    assert axis.inside(np.array(list(ticks))).all()


def test_numbers_are_written_as_people_write_them():
    assert [written(n) for n in (0, 3, -2, 0.25, 128, 16384)] == [
        "0", "3", "−2", "0.25", "128", "16384",
    ]  # fmt: skip
    assert [written(n) for n in (1e-6, 3e-5, -1e7)] == ["10^−6", "3×10^−5", "−10^7"]
    assert distinctly_written(np.array([0.10001, 0.10002])) == ["0.10001", "0.10002"]
    assert distinctly_written(np.array([1 / 3, 2 / 3])) == ["0.333", "0.667"]


# What it refuses

BAD = {
    "no x": ({"x": []}, "x must be a filled array"),
    "one x": ({"x": [1.0]}, "x must be at least two increasing"),
    "falling x": ({"x": TIME[::-1]}, "x must be at least two increasing"),
    "x turns back": ({"x": np.abs(TIME - 2)}, "x must be at least two increasing"),
    "no curve": ({"curves": {}}, "curves must hold 1 to 6 curves, got 0"),
    "too many curves": ({"curves": {str(k): ROWS for k in range(7)}}, "got 7"),
    "empty curve": ({"curves": {"a": []}}, "curve 'a' must be a filled array"),
    "ragged": ({"curves": {"a": [[1.0, 2.0], [1.0]]}}, "curve 'a' must be a rectangular array"),
    "text": ({"curves": {"a": [["1", "2"]]}}, "curve 'a' must be real numbers"),
    "complex": ({"curves": {"a": ROWS + 0j}}, "curve 'a' must be real numbers"),
    "a row too few": ({"curves": {"a": ROWS[:2]}}, r"shape \(3, 30\).* got \(2, 30\)"),
    "short rows": ({"curves": {"a": ROWS[:, :9]}}, r"shape \(3, 30\).* got \(3, 9\)"),
    "NaN": ({"curves": {"a": np.where(TIME > 4, np.nan, ROWS)}}, "finite, got nan"),
    "infinity": ({"reference": {"a": np.inf / TIME}}, "reference 'a' must be finite, got inf"),
    "one value": ({"values": [1.0], "curves": {"a": ROWS[:1]}}, "nothing would move"),
    "equal values": ({"values": [1.0, 1.0, 2.0]}, "values must differ"),
    "start too large": ({"start": 3}, "start must be a row of the 3 values, got 3"),
    "negative start": ({"start": -1}, "start must be a row of the 3 values, got -1"),
    "no log of x": ({"x": TIME - 1, "xscale": "log"}, "x must be positive on a log axis, got 0"),
    "no log of y": ({"curves": {"a": -ROWS}, "yscale": "log"}, "must be positive on a log axis"),
    "no log of dots": ({"points": {"a": 0 * ROWS}, "yscale": "log"}, "points 'a' must be pos"),
    "odd scale": ({"xscale": "symlog"}, "xscale must be 'linear' or 'log', got 'symlog'"),
    "limits": ({"ylim": (1.0, 0.0)}, "ylim must be two increasing"),
    "limits on log": ({"ylim": (0.0, 1.0), "yscale": "log"}, "ylim must be positive"),
    "dots without x": ({"points": {"a": (TIME[:4], ROWS)}}, r"points 'a' must have shape \(3, 4\)"),
    "dots at no x": ({"points": {"a": (TIME[:0], ROWS)}}, "x of points 'a' must be a filled"),
    "long reference": ({"reference": {"a": np.ones(4)}}, "reference 'a' must have shape"),
    "no alt text": ({"alt": " "}, "alt must say something"),
    "no label": ({"label": ""}, "label must say something"),
    "name": ({"name": "Two Words"}, "name must be lower-case"),
    "name that escapes": ({"name": 'a"><b>'}, "name must be lower-case"),
}


@pytest.mark.parametrize("options,message", BAD.values(), ids=BAD)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        figure(**options)


def test_refuses_a_figure_too_heavy_for_a_page():
    x, noise = np.arange(3000.0), np.random.default_rng(0).normal(size=(60, 3000))
    with pytest.raises(ValueError, match="must stay below 500 kB"):
        figure(x, {"noise": noise}, range(60))


# In a browser


@pytest.fixture(scope="module")
def browser():
    if chromium_path() is None:
        pytest.skip("Chromium is not installed: sliders are not moved")
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_moves_by_keyboard(browser, size):
    page = browser.new_page(viewport=size)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    figures = [figure(name=name, caption=HOSTILE, unit="<i>").data for name in ("one", "two")]
    head = '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
    page.set_content(head + "".join(figures))
    before = [path.get_attribute("d") for path in page.locator("path.moving").all()]
    page.locator("#two-range").press("End")
    after = [path.get_attribute("d") for path in page.locator("path.moving").all()]
    assert before[0] == after[0] and before[1] != after[1]
    assert page.locator("#two output").inner_text() == "2\u00a0<i>"
    assert page.locator("#two-range").get_attribute("aria-valuetext") == "2\u00a0<i>"
    assert page.locator("#one output").inner_text() == "0.5\u00a0<i>"
    texts = page.locator("#one svg text").evaluate_all(
        "texts => texts.map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)"
    )
    assert min(texts) > 9.5, "text on the axes is too small to read"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert problems == []
    page.close()


def test_ticks_at_the_edges_of_a_scale():
    assert list(log_ticks(1, 10, 6).values()) == ["10^0", "10^1"]
    assert list(log_ticks(0.15, 0.9, 6).values()) == ["0.2", "0.5"]
    assert list(log_ticks(2 * (1 + 1e-12), 5 * (1 - 1e-12), 6).values()) == ["2", "5"]
    assert written(1 / 3) == "0.3333"
