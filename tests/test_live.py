"""Live figures: their solvers against the theories, what they draw, say and refuse, and how they
move by handle, key, finger and drawing."""

import ast
import re
import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import RK45
from scipy.special import ndtr

from _ext import book
from tests.test_slider import Reader, corners
from tools.browser import PHONE, chromium, chromium_path
from toymodels.page import Bars, Handle, live
from toymodels.page.live import PACKAGE, _code, _shown

HOSTILE = "</script><b onclick='x'>&\"</title>"
SOLVER = "oscillator.twoModes"
STEPS = torch.arange(41)
WORDS = {"name": "swing", "xlabel": "step k", "ylabel": "x", "alt": "A mode that falls and rings."}
HANDLES = {
    "step": Handle("step", 0.1, 4.1, 1.0),
    "momentum": Handle("momentum", 0.0, 0.95, 0.475, unit="b"),
    "curvature": Bars("curvature", 0.01, 1.0, [0.1, 0.5], ["slow", "stiff"], log=True),
}


def law(step, momentum, curvature):
    """A stand-in for a theory: Python draws the start, and nothing here is compared with it."""
    decay = 0.8 ** np.arange(41)
    return {"slow": decay, "stiff": -decay, "critical": decay / 2, "one": 0.8, "two": 0.5, "b": 0.1}


def dots(step, momentum, curvature):
    return {"slow": (np.array([0, 10, 20]), momentum * np.ones(3))}


def figure(theory=law, handles=HANDLES, solver=SOLVER, **options):
    options = {"experiment": dots, "predict": "slow", "ylim": (-1.2, 1.2)} | options
    return live(solver, STEPS, theory, handles, **(WORDS | options)).data


# Each solver against the Python theory, in every live figure of the book


def live_figures():
    """What every chapter hands to ``live``; its cell needs nothing but the imports."""
    for page in book.chapters():
        cells = [c.source for c in book.read(page).cells if c.cell_type == "code"]
        trees = [ast.parse(re.sub(r"^[%!].*$", "", cell, flags=re.M)) for cell in cells]
        kinds = (ast.Import, ast.ImportFrom)
        imports = [node for tree in trees for node in tree.body if isinstance(node, kinds)]
        for cell, tree in zip(cells, trees, strict=True):
            if re.search(r"^live\(", cell, re.M):
                yield page, imports, tree


def handed_over(imports, tree):
    names, calls = {}, []
    exec(compile(ast.Module(imports, []), "imports", "exec"), names)
    torch.set_default_dtype(torch.float64)
    names["live"] = lambda *given, **options: calls.append((given, options))
    cell = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    exec(compile(ast.Module(cell, []), "cell", "exec"), names)
    ((given, options),) = calls
    return given, options


def random_setting(handles, random):
    setting = {}
    for name, handle in handles.items():
        if isinstance(handle, Handle):
            share = random.integers(handle.steps + 1) / handle.steps
        else:
            share = random.uniform(size=len(handle.names))
        low, high = handle.low, handle.high
        value = low * (high / low) ** share if handle.log else low + (high - low) * share
        setting[name] = value.tolist() if isinstance(handle, Bars) else float(value)
    return setting


FIGURES = list(live_figures())


FIGURE = pytest.mark.parametrize(
    "page,imports,tree", FIGURES, ids=[page.partition("/")[2] for page, *_ in FIGURES]
)


@FIGURE
def test_solver_agrees_with_the_theory(tab, page, imports, tree):
    (solver, x, theory, handles), options = handed_over(imports, tree)
    code, random = _code(solver), np.random.default_rng(0)
    within = 1e-6 if "integrate(" in code else 1e-9
    constants = options.get("constants", {})
    for _ in range(20):
        setting = constants | random_setting(handles, random)
        wanted = [np.asarray(part, float) for part in theory(**setting).values()]
        found = solved(tab, code, solver, setting, np.asarray(x, float).tolist())
        assert len(found) == len(wanted)
        for ours, theirs in zip(found, wanted, strict=True):
            scale = np.maximum(1, np.abs(theirs).max(initial=0, where=np.isfinite(theirs)))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=within * scale, err_msg=setting)


def solved(tab, code, solver, setting, x):
    script = f"([setting, x]) => {{ {code}; return {solver.partition('.')[2]}(setting, x); }}"
    return [np.array(part, float) for part in tab.evaluate(script, [setting, x])]


def test_the_peak_of_double_descent_is_as_high_as_the_ridge_lets_it(tab):
    """With as many samples n as modes and a ridge d next to 0, kappa^2 S = d, where S is the sum of
    1 / eigenvalue: noise alone gives an error n / (2 kappa S), of which kappa S / (2 n) shows."""
    solver, ridge = "kernel_regression.learningCurves", 1e-20
    setting = {"eigenvalue": [1.0, 1e-2], "degeneracy": [4, 16], "target": [0.0, 0.0]}
    found = solved(tab, _code(solver), solver, setting | {"ridge": ridge, "noise": 1.0}, [20])
    root = np.sqrt(ridge * (4 / 1.0 + 16 / 1e-2))  # kappa S
    np.testing.assert_allclose(np.ravel(found), [20 / (2 * root), root / (2 * 20)], rtol=1e-8)


def test_the_share_of_kicks_that_move_a_block_is_right_far_out_too(tab):
    code, z = _code("spring_block.separations"), np.linspace(-30, 8, 305)
    found = tab.evaluate(f"(z) => {{ {code}; return z.map(normalShare); }}", z.tolist())
    np.testing.assert_allclose(found, ndtr(z), rtol=1e-10)


INTEGRATE = (PACKAGE / "numerics" / "integrate.js").read_text()


def test_integrates_a_stiff_and_a_turning_system(tab):
    """y' = -50 (y - cos t) and a circle, both known."""
    rate = "(t, [y, a, b]) => [-50 * (y - Math.cos(t)), -b, a]"
    times = [0.0, 0.1, 1.0, 1.0, 7.0]
    found = np.array(
        tab.evaluate(f"() => {{ {INTEGRATE}; return integrate({rate}, [0, 1, 0], {times}); }}")
    )
    t = np.array(times)
    y = (2500 * (np.cos(t) - np.exp(-50 * t)) + 50 * np.sin(t)) / 2501
    np.testing.assert_allclose(found, np.array([y, np.cos(t), np.sin(t)]).T, atol=2e-8)


def test_one_step_and_its_error_are_those_of_dormand_and_prince(tab):
    """By the table of SciPy's RK45, on a pendulum that is pushed."""
    rate = "(t, [x, v]) => [v, Math.cos(2 * t) - Math.sin(x)]"
    step = "attempt(rate, 0.7, [1, 2], rate(0.7, [1, 2]), 0.3)"
    found = tab.evaluate(f"() => {{ {INTEGRATE}; const rate = {rate}; return {step}; }}")

    def slope(t, state):
        return np.array([state[1], np.cos(2 * t) - np.sin(state[0])])

    start, slopes = np.array([1.0, 2.0]), []
    for place, weights in zip(RK45.C, RK45.A, strict=True):
        at = start + 0.3 * sum(w * k for w, k in zip(weights, slopes, strict=False))
        slopes.append(slope(0.7 + 0.3 * place, at))
    end = start + 0.3 * RK45.B @ slopes
    slopes.append(slope(1.0, end))
    np.testing.assert_allclose(found["y"], end, rtol=1e-14)
    np.testing.assert_allclose(found["slope"], slopes[-1], rtol=1e-14)
    np.testing.assert_allclose(np.abs(found["error"]), np.abs(0.3 * RK45.E @ slopes), rtol=1e-9)
    assert np.abs(found["error"]).min() > 1e-8


def test_steps_are_as_long_as_the_tolerance_lets_them(tab):
    """On a circle all have one length, none is refused, and a record costs one step more."""

    def looks(times, atol):
        rate = "(t, [a, b]) => { looks += 1; return [-b, a]; }"
        run = f"integrate({rate}, [1, 0], {times}, {{ rtol: 0, atol: {atol} }}); return looks;"
        return tab.evaluate(f"() => {{ {INTEGRATE}; let looks = 0; {run} }}")

    def expected(atol):
        """The length h is 0.9 of one whose error, for y' = iy, is as large as allowed."""
        h = 0.1
        for _ in range(50):
            slopes = []
            for weights in (*RK45.A, RK45.B):
                inside = zip(weights, slopes, strict=False)
                slopes.append(1j * (1 + h * sum(w * k for w, k in inside)))
            h *= 0.9 * (abs(h * RK45.E @ slopes) / np.sqrt(2) / atol) ** -0.2
        return 6 * 50 / h

    for atol in (1e-7, 1e-10):
        assert looks([50.0], atol) == pytest.approx(expected(atol), rel=0.03)
    pairs = [0.5 * k + late for k in range(1, 101) for late in (0.0, 1e-6)]
    assert looks(pairs, 1e-7) < looks([50.0], 1e-7) + 6 * len(pairs)


# What it draws and says


def test_the_page_without_javascript_shows_the_start():
    page = Reader(figure())
    data = page.data()
    assert len(page.drawn("moving")) == 3 and len(page.drawn("moving dots")) == 1
    assert page.text["dd"] == ["0.8", "0.5", "0.1"]
    assert page.text["output"] == ["1", "0.475\u00a0b"]
    ranges = [a for tag, a in page.tags if tag == "input"]
    assert [(a["max"], a["value"]) for a in ranges] == [("200", "45"), ("200", "100")]
    (start,) = data["stops"].values()
    assert start["step"] == [0.225] and start["momentum"] == [0.5]
    assert start["curvature"] == pytest.approx([0.5, 1 - np.log10(2) / 2])
    bars = [a for _, a in page.tags if a.get("role") == "slider"]
    assert [a["aria-label"] for a in bars] == ["curvature: slow", "curvature: stiff"]
    assert [a["aria-valuetext"] for a in bars] == ["0.1", "0.5"]


def test_every_handle_has_a_label_and_every_id_is_its_own():
    page = Reader(figure() + figure(name="swing-2"))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    labels = [a["for"] for tag, a in page.tags if tag == "label"]
    assert labels == [a["id"] for tag, a in page.tags if tag == "input"]
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(ids)


def test_text_from_outside_stays_text():
    handles = {
        "step": Handle(HOSTILE, 0.1, 4.1, 1.0, unit=HOSTILE),
        "curvature": Bars(HOSTILE, 0.0, 1.0, [0.1, 0.5], [HOSTILE, "b"], unit=HOSTILE),
    }
    words = {"name": "swing", "xlabel": HOSTILE, "ylabel": HOSTILE, "alt": HOSTILE}
    words |= {"caption": HOSTILE, "predict": HOSTILE, "stops": {HOSTILE: {"step": 2.0}}}
    answer = {HOSTILE: 0.8 ** np.arange(41), HOSTILE + "2": 1.0}
    html = live(SOLVER, STEPS, lambda **_: answer, handles, **words).data
    assert not [tag for tag, _ in Reader(html).tags if tag == "b"]
    assert html.count("</script>") == 2


NUMBERS = [0, 1, -2.5, 0.475, 1234.5, 1e-4, 3.21e-7, -1e-9, 4.567e8, 1e6, 1e7]


def test_python_and_javascript_write_numbers_alike(tab):
    script = (PACKAGE / "page" / "live.js").read_text()
    function = re.search(r"^function written.*?^}", script, re.M | re.S)[0]
    numbers = f"[{NUMBERS}, Infinity, -Infinity, NaN].flat()"
    found = tab.evaluate(f"() => {{ {function}; return {numbers}.map((n) => written(n)); }}")
    assert found == [_shown(number) for number in [*NUMBERS, np.inf, -np.inf, np.nan]]


def test_no_solver_can_end_its_script():
    for path in PACKAGE.rglob("*.js"):
        assert not re.search(r"<!--|</script", path.read_text(), re.I), path


# How it moves


@pytest.fixture(scope="module")
def browser():
    if chromium_path() is None:
        pytest.skip("Chromium is not installed: live figures are not moved")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser):
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture
def shown(browser):
    """Opens figures on one page of a phone, and looks that no script fails."""
    pages, problems = [], []

    def show(*figures):
        page = browser.new_page(viewport=PHONE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        head = '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
        page.set_content(head + "".join(figures))
        pages.append(page)
        return page

    yield show
    for page in pages:
        page.close()
    assert problems == []


def paths(page, anchor="swing", kind="moving"):
    return page.locator(f"#{anchor} .plot path.{kind}:not(.dots)").evaluate_all(
        "paths => paths.map(path => path.getAttribute('d'))"
    )


def two_modes(page, **moved):
    setting = {"step": 1.0, "momentum": 0.475, "curvature": [0.1, 0.5]} | moved
    return solved(page, _code(SOLVER), SOLVER, setting, STEPS.tolist())


def test_two_figures_on_a_page_move_apart_and_their_handles_together(shown):
    page = shown(figure(), figure(name="second"))
    one, two = paths(page), paths(page, "second")
    page.locator("#swing-step-range").press("End")
    page.locator("#swing-momentum-range").press("Home")
    assert all(old != new for old, new in zip(one, paths(page), strict=True))
    assert paths(page, "second") == two
    assert page.locator("#swing output").all_inner_texts() == ["4.1", "0\u00a0b"]
    assert page.locator("#swing-step-range").get_attribute("aria-valuetext") == "4.1"
    answer = two_modes(page, step=4.1, momentum=0.0)
    readings = page.locator("#swing dd").all_inner_texts()
    assert readings == [_shown(float(number)) for number in answer[3:]]


def test_a_screen_reader_gets_numbers_without_powers_of_ten(shown):
    tiny = replace(HANDLES["curvature"], low=1e-7, high=1.0, log=True)
    page = shown(figure(handles=HANDLES | {"curvature": tiny}))
    slow = page.locator("#swing .bars [role=slider]").first
    slow.press("Home")
    told = [slow.get_attribute(f"aria-value{part}") for part in ("min", "now", "max")]
    assert told == ["0.0000001", "0.0000001", "1"]


def test_bars_move_by_key_and_by_one_sweep_of_the_mouse(shown):
    page = shown(figure())
    slow, stiff = page.locator("#swing .bars [role=slider]").all()
    before = paths(page)
    slow.press("ArrowUp")
    assert slow.get_attribute("aria-valuetext") == _shown(0.01 * 100**0.52)
    assert paths(page)[0] != before[0] and paths(page)[1] == before[1]
    raised = _shown(0.01 * 100**0.1)
    for key, text in [("Home", "0.01"), ("PageUp", raised), ("End", "1"), ("ArrowRight", "1")]:
        slow.press(key)
        assert slow.get_attribute("aria-valuetext") == text
    box = page.locator("#swing .bars").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + box["height"] * 104 / 126)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] * 64 / 126)
    page.mouse.up()
    page.mouse.move(box["x"], box["y"])
    found = [float(bar.get_attribute("aria-valuenow")) for bar in (slow, stiff)]
    assert found == pytest.approx([0.01, 0.1], rel=0.05)
    tops = [float(bar.locator("rect").get_attribute("y")) for bar in (slow, stiff)]
    assert tops == pytest.approx([104, 64], abs=0.5)


def test_dots_show_near_a_stop_alone_and_a_button_leads_there(shown):
    page = shown(figure(stops={"far": {"momentum": 0.95, "curvature": [0.2, 0.2]}}))
    measured = page.locator("#swing .plot path.dots")
    start = measured.get_attribute("d")
    page.locator("#swing-momentum-range").press("ArrowRight")
    assert measured.get_attribute("d") == start
    page.locator("#swing-momentum-range").press("PageUp")
    assert measured.get_attribute("d") == ""
    page.get_by_role("button", name="far").click()
    assert page.locator("#swing output").last.inner_text() == "0.95\u00a0b"
    moved = corners(measured.get_attribute("d").replace("h0", ""))
    assert moved[0, 1] < corners(start.replace("h0", ""))[0, 1]  # 0.95 lies above 0.475
    assert page.locator("[aria-pressed=true]").all_inner_texts() == ["far"]
    page.get_by_role("button", name="start").click()
    assert measured.get_attribute("d") == start


LOOK = "part => getComputedStyle(part).visibility"


def test_a_drawing_is_scored_against_the_curve(shown):
    page = shown(figure())
    page.get_by_role("button", name="Draw a prediction").click()
    curve = page.locator("#swing .plot path.moving").first
    assert curve.evaluate(LOOK) == "hidden"
    page.get_by_role("button", name="Compare").click()
    assert page.locator("#swing .verdict").inner_text() == "Nothing is drawn yet."
    frame = page.locator("#swing clipPath rect")
    sides = ("x", "y", "width", "height")
    left, top, width, height = (float(frame.get_attribute(side)) for side in sides)
    box = page.locator("#swing .paper").bounding_box()
    unit = box["width"] / 480
    high, low = (box["y"] + unit * (top + part * height) for part in (0.25, 0.75))
    page.mouse.move(box["x"] + unit * left, high)
    page.mouse.down()
    page.mouse.move(box["x"] + unit * (left + width), low)
    page.mouse.up()
    page.get_by_role("button", name="Compare").click()
    heights = np.clip((two_modes(page)[0] + 1.2) / 2.4, 0, 1)
    shares = np.interp(np.linspace(0, 40, 97), STEPS, heights)
    ramp = np.linspace(0.75, 0.25, 97)
    off, best = (100 * np.abs(shares - at).mean() for at in (ramp, np.median(shares)))
    said = re.findall(r"([\d.]+)\u00a0%", page.locator("#swing .verdict").inner_text())
    assert [float(number) for number in said] == pytest.approx([off, best], abs=0.3)
    assert curve.evaluate(LOOK) == "visible"
    page.get_by_role("button", name="Clear my drawing").click()
    assert not page.locator("#swing .paper").is_visible()


def test_a_prediction_can_be_set_with_keys_alone(shown):
    page = shown(figure())
    page.get_by_role("button", name="Draw a prediction").press("Enter")
    knots = page.locator("#swing .paper [role=slider]")
    assert knots.count() == 9 and knots.nth(4).get_attribute("aria-label") == "slow at 20"
    knots.first.press("End")
    knots.last.press("Home")
    assert knots.first.get_attribute("aria-valuetext") == "1.2"
    assert float(knots.nth(4).get_attribute("aria-valuenow")) == pytest.approx(0, abs=1e-9)
    page.get_by_role("button", name="Compare").press("Enter")
    assert "off by" in page.locator("#swing .verdict").inner_text()


def test_an_axis_follows_its_curves(shown):
    page = shown(figure(follow=True, predict=None, ylim=None))
    before = page.locator("#swing .axes text[text-anchor=end]").all_text_contents()
    page.locator("#swing-step-range").press("End")
    page.locator("#swing .bars [role=slider]").last.press("End")
    after = page.locator("#swing .axes text[text-anchor=end]").all_text_contents()
    assert before != after and any("10" in text for text in after)
    heights = [corners(d)[:, 1] for d in paths(page)]
    assert min(h.min() for h in heights) > 30 and max(h.max() for h in heights) < 278


def test_fits_a_phone_and_has_handles_for_fingers(shown):
    page = shown(figure(caption="Move it.", stops={f"a stop {k}": {} for k in range(5)}))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    heights = page.locator("input, button, .bars [role=slider]").evaluate_all(
        "parts => parts.filter(p => p.checkVisibility()).map(p => p.getBoundingClientRect().height)"
    )
    assert len(heights) == 11 and min(heights[:2] + heights[2:]) >= 24


def test_paper_shows_the_picture_and_no_controls(shown):
    page = shown(figure())
    page.emulate_media(media="print")
    assert page.locator("#swing .plot path.moving").first.is_visible()
    for part in page.locator("#swing input, #swing button").all():
        assert not part.is_visible()


# In the chapters


@FIGURE
def test_the_script_draws_what_python_drew_and_fast(shown, page, imports, tree):
    given, options = handed_over(imports, tree)
    html = live(*given, **options | {"experiment": None}).data
    drawn, said = [corners(d) for d in Reader(html).drawn("moving")], Reader(html).text
    tab = shown(html)
    for ours, d in zip(drawn, paths(tab, options["name"]), strict=True):
        apart = np.abs(ours[:, None] - corners(d)[None]).max(-1)
        assert apart.min(1).max() < 0.6  # each corner is a point of both, rounded
    for kind in ("dd", "output"):
        assert tab.locator(kind).all_inner_texts() == said.get(kind, [])
    assert statistics.median(redraw_times(tab)) < 100  # milliseconds


def redraw_times(tab):
    """Milliseconds that a redraw takes, all over the range of all handles."""
    return tab.evaluate("""() => {
        const knobs = [...document.querySelectorAll(".toy-live input")], times = [];
        for (let k = 0; k <= 10; k++) {
            for (const knob of knobs) {
                const begin = performance.now();
                knob.value = (k * knob.max) / 10;
                knob.dispatchEvent(new Event("input"));
                times.push(performance.now() - begin);
            }
        }
        return times;
    }""")


# What it refuses

TWO = {"one": np.ones(41), "two": np.ones(41)}
BAD = {
    "no stem": ({"solver": "twoModes"}, "solver must be 'stem.function'"),
    "no file": ({"solver": "nothing.twoModes"}, "solver must be 'stem.function'"),
    "a path": ({"solver": "page/live.share"}, "solver must be 'stem.function'"),
    "no function": ({"solver": "oscillator.three"}, "function of oscillator.js, got 'three'"),
    "no handle": ({"handles": {}}, "handles must hold one or more, got none"),
    "no label": ({"handles": {"step": Handle(" ", 0, 1, 0)}}, "label of step must say something"),
    "no curve": ({"theory": lambda **_: {"one": 1.0}}, "curves must hold 1 to 6 curves, got 0"),
    "short curve": ({"theory": lambda **_: {"a": np.ones(3)}}, "curve 'a' must have shape"),
    "NaN": ({"theory": lambda **_: {"a": np.full(41, np.nan)}}, "curve 'a' must be finite"),
    "no log": ({"yscale": "log", "ylim": None}, "must be positive on a log axis"),
    "ragged dots": ({"experiment": lambda **_: {"a": ([0, 1], [1.0])}}, "points 'a' must have"),
    "strange stop": ({"stops": {"far": {"speed": 1}}}, "stop 'far' must move handles, got speed"),
    "stop too far": ({"stops": {"far": {"step": 9}}}, "step must be between 0.1 and 4.1, got 9"),
    "stop between": ({"stops": {"far": {"step": 1.01}}}, "step must be one of 201 steps"),
    "strange prediction": ({"predict": "speed"}, "predict must name one of the curves"),
    "moving paper": ({"follow": True}, "follow must be left out with predict or ylim"),
    "odd scale": ({"xscale": "cubic"}, "xscale must be 'linear' or 'log'"),
    "name": ({"name": "Two Words"}, "name must be lower-case"),
}  # fmt: skip
BAD_HANDLES = {
    "no room": (lambda: Handle("a", 1, 1, 1), "low and high of 'a' must be finite and increasing"),
    "no end": (lambda: Handle("a", 0, np.inf, 1), "low and high of 'a' must be finite"),
    "log of zero": (lambda: Handle("a", 0, 1, 1, log=True), "positive on a log scale"),
    "outside": (lambda: Handle("a", 0, 1, 2), "a must be between 0 and 1, got 2"),
    "between": (lambda: Handle("a", 0, 1, 0.001), "a must be one of 201 steps from 0 to 1"),
    "no steps": (lambda: Handle("a", 0, 1, 0, steps=0), "steps must be at least 1, got 0"),
    "bars without names": (lambda: Bars("a", 0, 1, [0, 1], ["x"]), "a must have 1 values"),
    "a bar too high": (lambda: Bars("a", 0, 1, [2], ["x"]), "a must be between 0 and 1, got 2"),
    "NaN": (lambda: Bars("a", 0, 1, [np.nan], ["x"]), "a must be between 0 and 1, got nan"),
}


@pytest.mark.parametrize("options,message", BAD.values(), ids=BAD)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        figure(**options)


@pytest.mark.parametrize("make,message", BAD_HANDLES.values(), ids=BAD_HANDLES)
def test_refuses_handles(make, message):
    with pytest.raises(ValueError, match=message):
        make()
