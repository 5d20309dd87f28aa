"""A figure that solves its model while one moves it: no kernel, no network, no library.

Python draws the start with its own theory, so that paper and readers without JavaScript have a
whole figure. From then on ``live.js`` calls the twin of that theory, a function in
``toymodels/<stem>.js``, with what the handles say.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from math import inf
from numbers import Real
from pathlib import Path

import numpy as np
from IPython.display import HTML

from toymodels.page.axis import Axis, written
from toymodels.page.drawing import (
    HEIGHT,
    LETTER,
    WIDTH,
    Numbers,
    Series,
    all_series,
    box,
    check_words,
    description,
    dot_series,
    drawn,
    frame,
    is_log,
    legend_list,
    light_enough,
    path_of,
    place_axes,
    raised,
    real_numbers,
)
from toymodels.page.slider import STYLE as SLIDER_STYLE
from toymodels.page.style import COLORS

PACKAGE = Path(__file__).parents[1]
SCRIPT, STYLE = (Path(__file__).with_suffix(kind).read_text("utf-8") for kind in (".js", ".css"))
INTEGRATOR = (PACKAGE / "numerics" / "integrate.js").read_text("utf-8")
START = "start"  # the button that leads back
BARS = Axis(0, 1, False, 104.0, 24.0)  # from the foot of a bar to the top of a full one
FOLLOWING = 6  # letters for which an axis that follows keeps room

Setting = Mapping[str, Real | Sequence[Real]]
Law = Callable[..., Mapping[str, Numbers]]


@dataclass(frozen=True)
class Handle:
    """A number from ``low`` to ``high`` that moves in equal steps, or on a log scale in equal
    factors. Raises ValueError on a range without room and on a start between two steps."""

    label: str
    low: Real
    high: Real
    start: Real
    log: bool = False
    unit: str = ""
    steps: int = 200

    def __post_init__(self):
        _check_range(self)
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}: nothing would move")
        self.shares(self.start)

    def shares(self, value: Real) -> list[float]:
        """Where ``value`` lies between the ends, as a list of one share."""
        step = self.steps * _share(self, value)
        if abs(step - round(step)) > 1e-6:
            raise ValueError(
                f"{self.label} must be one of {self.steps + 1} steps from {self.low:g} to "
                f"{self.high:g}, got {value:g}: no handle stands there"
            )
        return [round(step) / self.steps]


@dataclass(frozen=True)
class Bars:
    """A spectrum or a target: one number for each of ``names``, a bar that one drags.

    ``matched`` bars have the colours of the curves, in their order. Raises ValueError on a range
    without room and on starts that do not fit.
    """

    label: str
    low: Real
    high: Real
    start: Sequence[Real]
    names: Sequence[str]
    log: bool = False
    unit: str = ""
    matched: bool = False

    def __post_init__(self):
        _check_range(self)
        self.shares(self.start)

    def shares(self, values: Sequence[Real]) -> list[float]:
        """How high each bar stands, from 0 to 1."""
        if len(values) != len(self.names):
            raise ValueError(
                f"{self.label} must have {len(self.names)} values, one for each name, "
                f"got {len(values)}"
            )
        return [_share(self, value) for value in values]


def live(
    solver: str,
    x: Numbers,
    theory: Law,
    handles: Mapping[str, Handle | Bars],
    *,
    name: str,
    xlabel: str,
    ylabel: str,
    alt: str,
    caption: str = "",
    constants: Setting | None = None,
    experiment: Law | None = None,
    stops: Mapping[str, Setting] | None = None,
    reference: Mapping[str, Numbers] | None = None,
    predict: str | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    ylim: tuple[Real, Real] | None = None,
    follow: bool = False,
) -> HTML:
    """Return a figure that ``solver`` redraws while its handles move. All text is plain.

    ``solver`` is "stem.function", a function of toymodels/<stem>.js. It is called with an object
    of the values of handles and ``constants``, and with ``x``; it returns an array of curves, each
    as long as x, and then of readings, single numbers. ``theory`` is called once, with the same
    values as keywords, and maps legends to the same curves (point,) and readings in the same
    order. ``experiment`` maps legends to dots, each a pair (x, y), and is called at the start and
    at the ``stops``: settings that a button leads to, each with what differs from the start.
    Dots show while the handles stand near a stop. A reader may draw the curve ``predict``, and is
    told how far off it is. The axis of y spans ``ylim``, or what is drawn at the start; with
    ``follow`` it goes along. ``name`` is the anchor and must be unique on its page.

    Raises ValueError on a solver that is not there, on numbers as ``slider`` does, on stops and
    predictions that name no handle or curve, and on a prediction on an axis that follows.
    """
    words = {"name": name, "xlabel": xlabel, "ylabel": ylabel, "alt": alt}
    labels = {f"label of {key}": handle.label for key, handle in handles.items()}
    check_words(words | labels)
    code = _code(solver)
    settings = _settings(handles, constants or {}, stops or {})
    logs = is_log("xscale", xscale), is_log("yscale", yscale)
    curves, readings = _answer(theory(**settings[START]))
    rows = {legend: curve[None] for legend, curve in curves.items()}
    series = all_series(x, rows, {}, reference or {}, 1, logs)
    dots = _dots(series, experiment, settings, list(curves), logs)
    series[len(curves) : len(curves)] = dots
    axes = place_axes(series, logs, ylim)
    if follow:
        axes = _roomy(axes, predict, ylim)
    data = {
        "x": series[0].x.tolist(),
        "axes": [vars(axis) for axis in axes],
        "constants": constants or {},
        "handles": [_sent(key, handle, len(curves)) for key, handle in handles.items()],
        "stops": {label: _shares(handles, at) for label, at in settings.items()},
        "dots": [{"x": s.x.tolist(), "rows": s.rows.tolist()} for s in dots],
        "fixed": [s.rows[0].tolist() for s in series if s.kind == "fixed"],
        "predicted": _predicted(predict, list(curves)),
        "follow": follow,
    }
    parts = [_plot(series, axes, words, handles), _readings(readings)]
    parts += [_controls(name, handles), _actions(settings, predict, dots)]
    return HTML(light_enough(_figure(parts, data, words | {"caption": caption}, solver, code)))


# What the caller gives


def _check_range(handle: Handle | Bars) -> None:
    low, high = handle.low, handle.high
    if not -inf < low < high < inf or (handle.log and low <= 0):
        raise ValueError(
            f"low and high of {handle.label!r} must be finite and increasing, and positive on a "
            f"log scale, got {low} and {high}"
        )


def _share(handle: Handle | Bars, value: Real) -> float:
    if not handle.low <= value <= handle.high:
        raise ValueError(
            f"{handle.label} must be between {handle.low:g} and {handle.high:g}, got {value}: "
            "its handle goes no further"
        )
    return float(Axis(handle.low, handle.high, handle.log, 0, 1).place(value))


def _code(solver: str) -> str:
    """The JavaScript that the figure carries: the solver's file, and the integrator."""
    stem, _, function = solver.partition(".")
    path = PACKAGE / f"{stem}.js"
    if not re.fullmatch(r"\w+\.\w+", solver) or not path.is_file():
        raise ValueError(
            f"solver must be 'stem.function' of a file toymodels/stem.js, got {solver!r}"
        )
    code = path.read_text("utf-8")
    if not re.search(rf"^function {function}\(", code, re.M):
        raise ValueError(f"solver must be a function of {path.name}, got {function!r}")
    return (INTEGRATOR if "integrate(" in code else "") + code


def _settings(
    handles: Mapping[str, Handle | Bars], constants: Setting, stops: Mapping[str, Setting]
) -> dict[str, Setting]:
    """All values at the start and at every stop."""
    if not handles:
        raise ValueError("handles must hold one or more, got none: nothing would move")
    start = {**constants} | {name: handle.start for name, handle in handles.items()}
    for label, setting in stops.items():
        if strange := set(setting) - set(handles):
            raise ValueError(f"stop {label!r} must move handles, got {', '.join(sorted(strange))}")
    settings = {START: start} | {label: start | {**setting} for label, setting in stops.items()}
    for setting in settings.values():
        _shares(handles, setting)
    return settings


def _shares(handles: Mapping[str, Handle | Bars], setting: Setting) -> dict[str, list[float]]:
    return {name: handle.shares(setting[name]) for name, handle in handles.items()}


def _answer(answer: Mapping[str, Numbers]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Curves and readings of the theory, apart."""
    shapes = {label: np.ndim(value) for label, value in answer.items()}
    curves = {
        label: real_numbers(f"curve {label!r}", value, 1)
        for label, value in answer.items()
        if shapes[label]
    }
    return curves, {label: float(answer[label]) for label in answer if not shapes[label]}


def _dots(
    series: list[Series],
    experiment: Law | None,
    settings: dict[str, Setting],
    curves: list[str],
    logs: tuple[bool, bool],
) -> list[Series]:
    """The dots of every stop; each legend keeps its x."""
    if experiment is None:
        return []
    seen = [experiment(**setting) for setting in settings.values()]
    rows = {
        legend: (at, [real_numbers(f"points {legend!r}", each[legend][1], 1) for each in seen])
        for legend, (at, _) in seen[0].items()
    }
    return dot_series(series[0].x, rows, curves, len(seen), logs)


def _predicted(legend: str | None, curves: list[str]) -> dict | None:
    if legend is None:
        return None
    if legend not in curves:
        raise ValueError(f"predict must name one of the curves {curves}, got {legend!r}")
    return {"curve": curves.index(legend), "legend": legend}


def _roomy(axes: tuple[Axis, Axis], predict: str | None, ylim: object) -> tuple[Axis, Axis]:
    if predict is not None or ylim is not None:
        raise ValueError(
            "follow must be left out with predict or ylim: a drawing needs an axis that stays"
        )
    return replace(axes[0], start=max(axes[0].start, 14 + LETTER * FOLLOWING)), axes[1]


# How it is written


def _sent(name: str, handle: Handle | Bars, curves: int) -> dict:
    """What the script must know of a handle."""
    kept = {key: getattr(handle, key) for key in ("low", "high", "log", "unit")}
    return {"name": name, "steps": getattr(handle, "steps", 0)} | kept


def _decimal(value: Real) -> str:
    """Without a power of ten, which an ARIA value must not have."""
    return np.format_float_positional(float(value), trim="-")


def _shown(value: Real, unit: str = "") -> str:
    """Three digits and the unit, as ``written`` of live.js has them."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "–"
    return f"{raised(written(float(f'{value:.3g}'), 3))}\u00a0{unit.strip()}".strip()


def _figure(parts: list[str], data: dict, words: dict[str, str], solver: str, code: str) -> str:
    w = {what: escape(text) for what, text in words.items()}
    # inside a script element only "<" can end the element or open a comment
    sent = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    script = SCRIPT.replace("FIGURE", w["name"]).replace("SOLVER", solver.partition(".")[2])
    return f"""<figure class="toy-slider toy-live" id="{w["name"]}">
<style>{SLIDER_STYLE}{STYLE}</style>
{"".join(parts)}
<noscript>Without JavaScript the figure shows its start only.</noscript>
{f"<figcaption>{w['caption']}</figcaption>" if words["caption"] else ""}
<script type="application/json">{sent}</script>
<script>(() => {{
{code}{script}}})();</script></figure>"""


def _plot(
    series: list[Series], axes: tuple[Axis, Axis], words: dict[str, str], handles: Mapping
) -> str:
    w = {what: escape(text) for what, text in words.items()}
    w["label"] = escape(", ".join(handle.label for handle in handles.values()))
    anchor = w["name"]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f"""{legend_list(series)}
<div class="plot"><svg {size} role="img"
 aria-labelledby="{anchor}-title" aria-describedby="{anchor}-desc">
<title id="{anchor}-title">{w["alt"]}</title>
<desc id="{anchor}-desc">{description(series, axes, w)}</desc>
<g class="axes">{frame(axes, w)}</g>
<clipPath id="{anchor}-clip">{box(axes)}</clipPath>
{"".join(drawn(s, path_of(s, 0, axes), anchor) for s in series)}
</svg><svg class="paper" {size} role="group" hidden></svg></div>
"""


def _readings(readings: dict[str, float]) -> str:
    if not readings:
        return ""
    entries = (
        f"<div><dt>{escape(label)}</dt><dd>{_shown(value)}</dd></div>"
        for label, value in readings.items()
    )
    return f'<dl aria-live="polite">{"".join(entries)}</dl>\n'


def _controls(anchor: str, handles: Mapping[str, Handle | Bars]) -> str:
    ranges = [_range(anchor, key, h) for key, h in handles.items() if isinstance(h, Handle)]
    bars = [_bars(anchor, key, h) for key, h in handles.items() if isinstance(h, Bars)]
    return f'{"".join(bars)}<div class="handles">{"".join(ranges)}</div>\n'


def _range(anchor: str, key: str, handle: Handle) -> str:
    name, now = f"{anchor}-{key}-range", escape(_shown(handle.start, handle.unit))
    at = round(handle.shares(handle.start)[0] * handle.steps)
    return f"""<div><div class="dial"><label for="{name}">{escape(handle.label)}</label>
<output for="{name}">{now}</output></div>
<input id="{name}" type="range" min="0" max="{handle.steps}" step="1" value="{at}"
 aria-valuetext="{now}" autocomplete="off"></div>
"""


def _bars(anchor: str, key: str, bars: Bars) -> str:
    """Bars that a pointer sweeps over; to keyboard and screen reader each is a slider."""
    wide = WIDTH / len(bars.names)
    drawn = []
    for k, (name, value) in enumerate(zip(bars.names, bars.start, strict=True)):
        top = BARS.place(bars.shares(bars.start)[k])
        color = COLORS[k] if bars.matched else "currentColor"
        text = escape(_shown(value, bars.unit))
        drawn += [
            f'<g role="slider" tabindex="0" aria-orientation="vertical" '
            f'aria-label="{escape(bars.label)}: {escape(name)}" '
            f'aria-valuemin="{_decimal(bars.low)}" aria-valuemax="{_decimal(bars.high)}" '
            f'aria-valuenow="{_decimal(value)}" aria-valuetext="{text}" '
            f'transform="translate({(k + 0.5) * wide:g})">'
            f'<rect class="bar" x="{-0.3 * wide:g}" width="{0.6 * wide:g}" y="{top:g}" '
            f'height="{BARS.start - top:g}" fill="{color}"/>'
            f'<circle cy="{top:g}" r="6" fill="{color}"/>'
            f'<text class="value" text-anchor="middle" y="{top - 10:g}">{text}</text>'
            f'<text text-anchor="middle" y="{BARS.start + 17:g}">{escape(name)}</text></g>'
        ]
    return f"""<div class="dial"><span id="{anchor}-{key}">{escape(bars.label)}</span></div>
<svg class="bars" viewBox="0 0 {WIDTH} 126" role="group" aria-labelledby="{anchor}-{key}">
<path class="frame" d="M0 {BARS.start:g}H{WIDTH}"/>{"".join(drawn)}</svg>
"""


def _actions(settings: dict[str, Setting], predict: str | None, dots: list[Series]) -> str:
    """Buttons, which only a script can serve: hidden until it runs."""
    drawing = '<button type="button" class="predict"></button>' if predict else ""
    stops = "".join(f'<button type="button" class="stop">{escape(s)}</button>' for s in settings)
    where = "Dots at:" if dots else "Go to:"
    return f"""<div class="actions" hidden><span>{where}</span>{stops}{drawing}</div>
<p class="verdict" role="status"></p>
"""
