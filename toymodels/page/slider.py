"""A figure with a slider that needs no kernel, no server and no library.

Every position of the slider is computed beforehand. The page carries one SVG drawing at the start
position, a native range input, and a few lines of JavaScript (``slider.js``) that swap the paths:
it works on a static page, offline, in Colab, by keyboard and with a screen reader.
"""

import json
from collections.abc import Mapping
from html import escape
from itertools import chain
from pathlib import Path

import numpy as np
from IPython.display import HTML

from toymodels.numerics.door import door
from toymodels.page.axis import Axis, distinctly_written
from toymodels.page.drawing import (
    HEIGHT,
    WIDTH,
    Numbers,
    Series,
    all_series,
    box,
    check_words,
    description,
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

SCRIPT, STYLE = (Path(__file__).with_suffix(kind).read_text("utf-8") for kind in (".js", ".css"))


@door
def slider(
    x: Numbers,
    curves: Mapping[str, Numbers],
    values: Numbers,
    *,
    name: str,
    label: str,
    xlabel: str,
    ylabel: str,
    alt: str,
    unit: str = "",
    caption: str = "",
    xscale: str = "linear",
    yscale: str = "linear",
    ylim: Numbers = None,
    start: int = 0,
    points: Mapping[str, Numbers] | None = None,
    reference: Mapping[str, Numbers] | None = None,
) -> HTML:
    """Return a figure whose slider runs over ``values``. All text is plain: no HTML, no TeX.

    ``x`` has shape (point,) and increases. ``curves`` maps a legend to an array (value, point):
    one row for each of ``values``. ``points`` does the same for dots; a pair (x, rows) puts them
    at their own x. Dots take the colour of the curve of the same legend, else of the same rank.
    ``reference`` maps a legend to a curve (point,) that does not move, drawn dashed. ``start`` is
    the row shown first, ``ylim`` a
    pair of numbers. ``name`` is the anchor of the figure and must be unique on its page.

    Raises ValueError on empty, ragged or non-finite numbers, numbers <= 0 on a log axis, rows that
    do not match ``values``, and a figure too heavy for a page.
    """
    words = {"name": name, "label": label, "xlabel": xlabel, "ylabel": ylabel, "alt": alt}
    check_words(words)
    logs = is_log("xscale", xscale), is_log("yscale", yscale)
    values = _values(values, start)
    series = all_series(x, curves, points or {}, reference or {}, len(values), logs)
    texts = _value_texts(values, unit)
    figure = _figure(
        series, place_axes(series, logs, ylim), texts, start, words | {"caption": caption}
    )
    return HTML(light_enough(figure))


def _values(values: Numbers, start: int) -> np.ndarray:
    values = real_numbers("values", values, 1)
    if len(values) < 2:
        raise ValueError(f"values must be two or more, got {len(values)}: nothing would move")
    if start not in range(len(values)):
        raise ValueError(f"start must be a row of the {len(values)} values, got {start!r}")
    return values


def _value_texts(values: np.ndarray, unit: str) -> list[str]:
    """What the reader sees and hears at each position of the slider."""
    texts = map(raised, distinctly_written(values))
    return [f"{text}\u00a0{unit.strip()}".strip() for text in texts]


def _figure(
    series: list[Series],
    axes: tuple[Axis, Axis],
    values: list[str],
    start: int,
    words: dict[str, str],
) -> str:
    moving = [s for s in series if s.kind != "fixed"]
    paths = [[path_of(s, row, axes) for row in range(len(values))] for s in moving]
    shown = chain((p[start] for p in paths), (path_of(s, 0, axes) for s in series[len(moving) :]))
    # inside a script element only "<" can end the element or open a comment
    data = json.dumps({"values": values, "paths": paths}, separators=(",", ":"))
    w = {what: escape(text) for what, text in words.items()}
    anchor, now = w["name"], escape(values[start])
    return f"""<figure class="toy-slider" id="{anchor}"><style>{STYLE}</style>
{legend_list(series)}
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"
 aria-labelledby="{anchor}-title" aria-describedby="{anchor}-desc">
<title id="{anchor}-title">{w["alt"]}</title>
<desc id="{anchor}-desc">{description(series, axes, w)}</desc>
{frame(axes, w)}
<clipPath id="{anchor}-clip">{box(axes)}</clipPath>
{"".join(drawn(s, d, anchor) for s, d in zip(series, shown, strict=True))}
</svg>
<div class="dial"><label for="{anchor}-range">{w["label"]}</label>
<output for="{anchor}-range">{now}</output></div>
<input id="{anchor}-range" type="range" min="0" max="{len(values) - 1}" step="1" value="{start}"
 aria-valuetext="{now}" autocomplete="off">
<noscript>Without JavaScript the figure shows one position only: {w["label"]} {now}.</noscript>
{f"<figcaption>{w['caption']}</figcaption>" if words["caption"] else ""}
<script type="application/json">{data.replace("<", chr(92) + "u003c")}</script>
<script>{SCRIPT.replace("FIGURE", anchor)}</script></figure>"""
