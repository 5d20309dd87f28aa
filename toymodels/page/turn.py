"""A picture in three dimensions that one turns: by dragging it, by its handles and by the keyboard.

Python draws the start, so that paper and readers without JavaScript have a whole picture; from then
on ``turn.js`` projects the same points. The view is from far away: parallel lines stay parallel.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Real
from pathlib import Path

import numpy as np
from IPython.display import HTML

from toymodels.page.drawing import (
    DASHES,
    HEIGHT,
    WIDTH,
    Numbers,
    Series,
    check_words,
    legend_list,
    light_enough,
    real_numbers,
)
from toymodels.page.live import STYLE
from toymodels.page.slider import STYLE as SLIDER_STYLE
from toymodels.page.style import COLORS

SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")
HALF = 132.0  # what the longest arrow takes of the height
LONG = 1.12  # arrows over the outermost point
BESIDE = 12.0  # from the end of an arrow to the middle of its name, up or down
SHORT = 6.0  # an arrow that points at the eye has no name
RANGES = {"turn": (-180, 179), "lift": (-90, 90)}  # degrees; once around
View = Sequence[Real]  # turn and lift


def turn(
    shapes: Mapping[str, Numbers],
    *,
    name: str,
    alt: str,
    caption: str = "",
    axes: Sequence[str] = ("x", "y", "z"),
    start: View = (30, 20),
    stops: Mapping[str, View] | None = None,
) -> HTML:
    """Return a picture of closed polygons (point, 3), one for each legend, dots at the corners.

    A view is a pair of whole degrees: ``turn`` about the third axis and ``lift`` of the eye above
    the plane of the other two. ``stops`` are views that a button leads to. ``axes`` name the three
    arrows. ``name`` is the anchor and must be unique on its page. All text is plain.

    Raises ValueError on points that are not real, finite and three-dimensional, on views beyond
    their range, and on words that are missing.
    """
    check_words({"name": name, "alt": alt} | {f"axis {k}": word for k, word in enumerate(axes)})
    solids = {legend: _corners(legend, points) for legend, points in shapes.items()}
    if not 1 <= len(solids) <= len(COLORS):
        raise ValueError(f"shapes must hold 1 to {len(COLORS)} polygons, got {len(solids)}")
    far = max(np.linalg.norm(points, axis=-1).max() for points in solids.values())
    if not far > 0:
        raise ValueError("shapes must have a point away from the origin, got none")
    views = {"start": start} | {**(stops or {})}
    for label, view in views.items():
        _check_view(label, view)
    data = {
        "shapes": [(HALF / LONG / far * points).tolist() for points in solids.values()],
        "arrow": HALF,
        "beside": BESIDE,
        "short": SHORT,
        "views": list(views.values()),
    }
    parts = [_picture(data, list(solids), axes, name, alt, start), _handles(name, start)]
    buttons = "".join(f'<button type="button">{escape(label)}</button>' for label in views)
    parts += [f'<div class="actions" hidden><span>Look:</span>{buttons}</div>']
    return HTML(light_enough(_figure(parts, data, name, caption)))


def project(points: np.ndarray, view: View) -> np.ndarray:
    """Where points (..., 3) lie on the drawing, (..., 2): across and down from its middle."""
    around, up = np.deg2rad(view)
    x, y, z = np.moveaxis(points, -1, 0)
    away = x * np.cos(around) + y * np.sin(around)
    across = y * np.cos(around) - x * np.sin(around)
    return np.stack([across, away * np.sin(up) - z * np.cos(up)], -1)


def _corners(legend: str, points: Numbers) -> np.ndarray:
    points = real_numbers(f"shape {legend!r}", points, 2)
    if points.shape[-1] != 3:
        raise ValueError(f"shape {legend!r} must be points with 3 coordinates, got {points.shape}")
    return points


def _check_view(label: str, view: View) -> None:
    ranges = list(RANGES.values())
    fits = len(view) == 2 and all(a <= v <= b for v, (a, b) in zip(view, ranges, strict=True))
    if not fits or any(v != round(v) for v in view):
        raise ValueError(
            f"view {label!r} must be whole degrees, -180 to 179 around and -90 to 90 up, got {view}"
        )


def _path(points: np.ndarray, closed: bool = True) -> str:
    at = " ".join(f"{WIDTH / 2 + a:.1f} {HEIGHT / 2 + d:.1f}" for a, d in points)
    return f"M{at}{'Z' if closed else ''}"


def _dots(points: np.ndarray) -> str:
    return "".join(f"M{WIDTH / 2 + a:.1f} {HEIGHT / 2 + d:.1f}h0" for a, d in points)


def _name(end: np.ndarray, word: str) -> str:
    """The name of an arrow, beside its end and away from the middle, where no arrow crosses it."""
    across, down = end
    beside = BESIDE if down > -0.05 else -BESIDE  # as rounded by turn.js
    seen = "visible" if np.hypot(across, down) >= SHORT else "hidden"
    return (
        f'<text class="axis" text-anchor="middle" dy=".33em" visibility="{seen}" '
        f'x="{WIDTH / 2 + across:.1f}" y="{HEIGHT / 2 + down + beside:.1f}">{escape(word)}</text>'
    )


def _picture(data: dict, legends: list[str], axes, name: str, alt: str, start: View) -> str:
    arrows = data["arrow"] * np.eye(3)
    ends = project(np.stack([-arrows, arrows], 1), start)
    words = [_name(end, word) for end, word in zip(project(arrows, start), axes, strict=True)]
    lines = "".join(f'<path class="fixed" d="{_path(end, False)}"/>' for end in ends)
    lines += "".join(words)
    series = [
        Series(legend, np.zeros(1), np.zeros((1, 1)), "moving", color, dash)
        for legend, color, dash in zip(legends, COLORS, DASHES, strict=False)
    ]
    for s, points in zip(series, data["shapes"], strict=True):
        flat = project(np.array(points), start)
        look = f'stroke="{s.color}"'
        lines += f'<path class="moving" {look} stroke-dasharray="{s.dash}" d="{_path(flat)}"/>'
        lines += f'<path class="moving dots" {look} d="{_dots(flat)}"/>'
    return f"""{legend_list(series)}
<div class="plot"><svg class="turn" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"
 aria-labelledby="{name}-title" style="touch-action: pinch-zoom; cursor: grab;
 user-select: none; -webkit-user-select: none">
<title id="{name}-title">{escape(alt)}</title>{lines}</svg></div>
"""


def _degrees(angle: Real) -> str:
    return f"{angle:g}°".replace("-", "−")


def _handles(name: str, start: View) -> str:
    parts = []
    for (key, (low, high)), at, label in zip(
        RANGES.items(), start, ("Turn it", "Lift the eye"), strict=True
    ):
        parts += [
            f'<div><div class="dial"><label for="{name}-{key}-range">{label}</label>'
            f'<output for="{name}-{key}-range">{_degrees(at)}</output></div>'
            f'<input id="{name}-{key}-range" type="range" min="{low}" max="{high}" step="1" '
            f'value="{at}" aria-valuetext="{_degrees(at)}" autocomplete="off"></div>'
        ]
    return f'<div class="handles">{"".join(parts)}</div>\n'


def _figure(parts: list[str], data: dict, name: str, caption: str) -> str:
    sent = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<figure class="toy-slider toy-live" id="{name}">
<style>{SLIDER_STYLE}{STYLE}</style>
{"".join(parts)}
<noscript>Without JavaScript the picture shows its start only.</noscript>
{f"<figcaption>{escape(caption)}</figcaption>" if caption else ""}
<script type="application/json">{sent}</script>
<script>(() => {{
{SCRIPT.replace("FIGURE", name)}}})();</script></figure>"""
