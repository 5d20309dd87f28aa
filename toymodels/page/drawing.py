"""What a moving figure is made of: the numbers that are drawn, their axes, and the SVG of both."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np

from toymodels.page.axis import Axis
from toymodels.page.style import COLORS

Numbers = Any  # a torch tensor on any device, a NumPy array, or nested lists

WIDTH, HEIGHT = 480, 320
LETTER = 8.6  # width of a digit at phone size, where the text is largest relative to the drawing
DASHES = ("none", "8 5", "2 5", "10 5 2 5", "14 5", "6 4 2 4 2 4")  # told apart without colour
LIMIT = 500_000  # characters of one figure
SUPERSCRIPT = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Series:
    """One entry of the legend: a curve, a set of dots, or a curve that does not move."""

    legend: str
    x: np.ndarray  # (point,)
    rows: np.ndarray  # (value, point); one row if it does not move
    kind: str  # "moving", "moving dots" or "fixed"
    color: str
    dash: str


# What the caller gives


def check_words(words: dict[str, str]) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", words["name"]):
        raise ValueError(
            "name must be lower-case words and digits joined by hyphens, "
            f"got {words['name']!r}, as it is an HTML id"
        )
    for what, text in words.items():
        if not text.strip():
            raise ValueError(f"{what} must say something, got {text!r}, as some readers only hear")


def is_log(what: str, scale: str) -> bool:
    if scale not in ("linear", "log"):
        raise ValueError(f"{what} must be 'linear' or 'log', got {scale!r}")
    return scale == "log"


def real_numbers(what: str, data: Numbers, dimensions: int, log: bool = False) -> np.ndarray:
    """``data`` as a finite float array, or a ValueError that says what is wrong with it."""
    try:
        array = np.asarray(_on_host(data))
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{what} must be a rectangular array, got ragged rows") from problem
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{what} must be real numbers, got {array.dtype}")
    array = array.astype(float)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(
            f"{what} must be a filled array with {dimensions} dimension(s), got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite, got {array[~np.isfinite(array)][0]}")
    if log and array.min() <= 0:
        raise ValueError(f"{what} must be positive on a log axis, got {array.min():g}")
    return array


def _on_host(data: Numbers) -> Numbers:
    if hasattr(data, "detach"):  # a tensor, perhaps on a GPU, perhaps with a gradient
        return data.detach().cpu()
    return [_on_host(entry) for entry in data] if isinstance(data, list | tuple) else data


def all_series(
    x: Numbers,
    curves: Mapping,
    points: Mapping,
    reference: Mapping,
    count: int,
    logs: tuple[bool, bool],
) -> list[Series]:
    """All that is drawn, what moves first."""
    x = real_numbers("x", x, 1, logs[0])
    if len(x) < 2 or not (np.diff(x) > 0).all():
        raise ValueError(f"x must be at least two increasing numbers, got {x.tolist()[:8]}")
    if not 1 <= len(curves) <= len(COLORS):
        raise ValueError(
            f"curves must hold 1 to {len(COLORS)} curves, got {len(curves)}: "
            "more cannot be told apart"
        )
    moving = [
        Series(
            legend, x, checked_rows(f"curve {legend!r}", rows, count, x, logs[1]), "moving", *look
        )
        for (legend, rows), *look in zip(curves.items(), COLORS, DASHES, strict=False)
    ]
    moving += dot_series(x, points, list(curves), count, logs)
    return moving + _fixed(x, reference, logs[1])


def dot_series(
    x: np.ndarray, points: Mapping, curves: list[str], count: int, logs: tuple[bool, bool]
) -> list[Series]:
    series = []
    for rank, (legend, rows) in enumerate(points.items()):
        at = x
        if isinstance(rows, tuple):
            at, rows = rows
            at = real_numbers(f"x of points {legend!r}", at, 1, logs[0])
        rows = checked_rows(f"points {legend!r}", rows, count, at, logs[1])
        rank = curves.index(legend) if legend in curves else rank % len(COLORS)
        series.append(Series(legend, at, rows, "moving dots", COLORS[rank], "none"))
    return series


def _fixed(x: np.ndarray, reference: Mapping, log: bool) -> list[Series]:
    series = []
    for rank, (legend, curve) in enumerate(reference.items()):
        row = real_numbers(f"reference {legend!r}", curve, 1, log)[None]
        row = checked_rows(f"reference {legend!r}", row, 1, x, log)
        dash = ("6 4", "2 3")[rank % 2]
        series.append(Series(legend, x, row, "fixed", "currentColor", dash))
    return series


def checked_rows(what: str, rows: Numbers, count: int, x: np.ndarray, log: bool) -> np.ndarray:
    rows = real_numbers(what, rows, 2, log)
    if rows.shape != (count, len(x)):
        raise ValueError(
            f"{what} must have shape {(count, len(x))}, a row for each value and a column for "
            f"each x, got {rows.shape}"
        )
    return rows


# Where things lie


def place_axes(series: list[Series], logs: tuple[bool, bool], ylim: Any) -> tuple[Axis, Axis]:
    x_low, x_high = _limits([s.x for s in series], logs[0], 0.0)
    if ylim is None:
        low, high = _limits([s.rows for s in series], logs[1], 0.05)
    else:
        ends = real_numbers("ylim", ylim, 1, logs[1])
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError(f"ylim must be two increasing numbers, got {ylim}")
        low, high = ends
    y = Axis(low, high, logs[1], HEIGHT - 44.0, 32.0)
    left = 14 + LETTER * max(map(_letters, y.ticks().values()))
    x = Axis(x_low, x_high, logs[0], left, WIDTH)
    right = 6 + LETTER / 2 * max(map(_letters, x.ticks().values()))
    return replace(x, stop=WIDTH - right), y


def _limits(arrays: Iterable[np.ndarray], log: bool, margin: float) -> tuple[float, float]:
    """Smallest and largest entry, apart by something, with a margin outside."""
    arrays = list(arrays)
    low, high = min(a.min() for a in arrays), max(a.max() for a in arrays)
    if log:
        low, high = math.log10(low), math.log10(high)
    if high - low <= 1e-12 * abs(high):
        half = abs(high) / 2 or 0.5
        low, high = low - half, high + half
    low, high = low - margin * (high - low), high + margin * (high - low)
    return (10**low, 10**high) if log else (low, high)


def _letters(text: str) -> float:
    base, _, power = text.partition("^")
    return len(base) + 0.7 * len(power)


def path_of(series: Series, row: int, axes: tuple[Axis, Axis]) -> str:
    """The d attribute of an SVG path for one row."""
    across, up = axes[0].place(series.x), axes[1].place(series.rows[row])
    if "dots" in series.kind:  # a dot is a line of no length with a round cap
        seen = axes[1].inside(series.rows[row])
        return "".join(f"M{a:.4g} {u:.4g}h0" for a, u in zip(across[seen], up[seen], strict=True))
    up = np.clip(up, -10 * HEIGHT, 10 * HEIGHT)
    kept = _corners(across, up)
    return "M" + " ".join(f"{a:.4g} {u:.4g}" for a, u in zip(across[kept], up[kept], strict=True))


def _corners(across: np.ndarray, up: np.ndarray, within: float = 0.2) -> list[int]:
    """Ranks of the points that a polyline needs to pass ``within`` of all points."""
    kept, spans = {0, len(across) - 1}, [(0, len(across) - 1)]
    while spans:
        first, last = spans.pop()
        chord = np.interp(across[first : last + 1], across[[first, last]], up[[first, last]])
        miss = np.abs(up[first : last + 1] - chord)
        if miss.max() > within:
            corner = first + int(miss.argmax())
            kept.add(corner)
            spans += [(first, corner), (corner, last)]
    return sorted(kept)


# How it is written


def light_enough(figure: str) -> str:
    if len(figure) > LIMIT:
        raise ValueError(
            f"the figure must stay below {LIMIT // 1000} kB, got {len(figure) // 1000} kB: "
            "give fewer values, or curves with fewer points"
        )
    return figure


def legend_list(series: list[Series]) -> str:
    """One entry for each legend; a curve and dots of the same legend share it."""
    samples: dict[str, str] = {}
    for s in series:
        d = "M16 5h0" if "dots" in s.kind else "M2 5h28"
        samples[s.legend] = samples.get(s.legend, "") + drawn(s, d)
    entries = (
        f'<li><svg viewBox="0 0 32 10" aria-hidden="true">{sample}</svg>{escape(legend)}</li>'
        for legend, sample in samples.items()
    )
    return f"<ul>{''.join(entries)}</ul>"


def drawn(series: Series, d: str, anchor: str = "") -> str:
    kind = series.kind if anchor else series.kind.replace("moving", "")
    clip = f' clip-path="url(#{anchor}-clip)"' if anchor and "dots" not in series.kind else ""
    return (
        f'<path class="{kind}" stroke="{series.color}" stroke-dasharray="{series.dash}"'
        f'{clip} d="{d}"/>'
    )


def box(axes: tuple[Axis, Axis]) -> str:
    x, y = axes
    width, height = x.stop - x.start, y.start - y.stop
    return f'<rect x="{x.start:g}" y="{y.stop:g}" width="{width:g}" height="{height:g}"/>'


def frame(axes: tuple[Axis, Axis], w: dict[str, str]) -> str:
    """Axes, grid, tick labels and the names of the axes."""
    x, y = axes
    left, right, bottom, top = (f"{at:g}" for at in (x.start, x.stop, y.start, y.stop))
    parts = []
    for tick, text in y.ticks().items():
        at = f"{y.place(tick):.4g}"
        parts += [f'<path class="grid" d="M{left} {at}H{right}"/>']
        parts += [_text(f"{x.start - 6:g}", at, "end", text, 'dy=".33em"')]
    for tick, text in x.ticks().items():
        at = f"{x.place(tick):.4g}"
        parts += [f'<path class="frame" d="M{at} {bottom}v5"/>']
        parts += [_text(at, f"{y.start + 19:g}", "middle", text)]
    return f"""{"".join(parts)}
<path class="frame" d="M{left} {top}V{bottom}H{right}"/>
<text x="4" y="16">{w["ylabel"]}</text>
<text x="{(x.start + x.stop) / 2:.4g}" y="{HEIGHT - 5}" text-anchor="middle">{w["xlabel"]}</text>"""


def _text(x: str, y: str, side: str, text: str, more: str = "") -> str:
    base, _, power = text.partition("^")
    raised = f'<tspan dy="-.45em" font-size="72%">{power}</tspan>' if power else ""
    return f'<text x="{x}" y="{y}" text-anchor="{side}" {more}>{base}{raised}</text>'


def description(series: list[Series], axes: tuple[Axis, Axis], w: dict[str, str]) -> str:
    across, up = (
        f"{name}, {'logarithmic, ' * axis.log}{axis.low:.3g} to {axis.high:.3g}"
        for name, axis in zip((w["xlabel"], w["ylabel"]), axes, strict=True)
    )
    drawn = ", ".join(dict.fromkeys(escape(s.legend) for s in series))
    return f"Across: {across}. Up: {up}. Drawn: {drawn}. The slider below sets {w['label']}."


def raised(text: str) -> str:
    base, _, power = text.partition("^")
    return base + power.translate(SUPERSCRIPT)
