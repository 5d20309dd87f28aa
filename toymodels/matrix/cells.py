"""The cells of the matrix: numbers with error bars from what was run, verdicts from the rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from toymodels.matrix.candidates import CANDIDATES
from toymodels.matrix.criteria import (
    RULES,
    TENTH,
    jackknife,
    peak,
    right_pairs,
    spearman,
    threshold,
)
from toymodels.matrix.formulas import FORMULAS
from toymodels.matrix.runs import KERNELS, NETWORKS, TRAINED
from toymodels.matrix.stored import Key, key
from toymodels.matrix.tasks import TASKS
from toymodels.numerics.door import door
from toymodels.numerics.estimate import standard_error

Runs = Mapping[Key, dict[str, Tensor]]
CURVE = 25  # points of a fitted line
REFERENCE = NETWORKS[0]  # the network whose order is to be predicted


@dataclass(frozen=True)
class Cell:
    """A number, its standard error and its verdict; or, in words, why there is none."""

    value: float | None = None
    error: float | None = None  # 0 where nothing was drawn
    verdict: str = ""  # "yes" or "no"
    basis: str = ""  # P: a formula of the book said it before; M: it was only measured
    predicted: float | None = None
    others: tuple[float, ...] = ()  # further numbers that the rule looks at
    bound: str = ""  # "<" or ">" where the value is only a bound
    reason: str = ""  # where there is no number


Numbers = tuple[Tensor, float, str]  # values, the error of the first, a bound
Why = dict[str, str]
NONE = "not run"
LINEAR_ONLY = "no products of coordinates"
WHY: dict[str, Why] = {
    "knock-on": dict.fromkeys(("deep linear, 2", "deep linear, 3"), LINEAR_ONLY),
    "predicts the network": dict.fromkeys(("deep linear, 2", "deep linear, 3"), LINEAR_ONLY)
    | {"tower": "one chain cannot hold the terms"},
    "power law in time": {
        "kernel ridge": "equal eigenvalues: no power",
        "tower": "one feature takes all",
        "alternating flows": "one jump takes all",
        "Neural LoFi": "no time",
    }
    | dict.fromkeys(NETWORKS, "no theory to compare"),
    "silent alignment": {"kernel ridge": "kernel never moves"},
    "lazy to rich": {"kernel ridge": "always lazy"},
    "edge of stability": {"kernel ridge": "curvature is constant"},
}
for _name in ("alternating flows", "Neural LoFi"):
    for _row in ("silent alignment", "lazy to rich", "edge of stability"):
        WHY[_row][_name] = "no weights that descend"
for _row in ("sample advantage", "cost of the bet", "overfitting", "double descent"):
    WHY.setdefault(_row, {})["alternating flows"] = "no samples in it"
WHY["delayed generalisation"] = {"alternating flows": "no samples in it", "Neural LoFi": "no time"}


@door
def matrix(runs: Runs) -> dict[tuple[str, str], Cell]:
    """Cells by phenomenon and candidate; where a run is missing, a cell says so."""
    return {(row, name): cell(runs, row, name) for row in RULES for name in CANDIDATES}


def cell(runs: Runs, row: str, name: str) -> Cell:
    """One cell."""
    if name in WHY.get(row, {}):
        return Cell(reason=WHY[row][name])
    try:
        values, error, bound = ROWS[row](runs, name)
    except KeyError:
        return Cell(reason=NONE)
    if not bool(values[0] == values[0]):
        return Cell(reason="level not reached")
    known = said(runs, row, name)
    return Cell(
        float(values[0]),
        error,
        "yes" if RULES[row].holds(values) else "no",
        "M" if known is None else "P",
        known,
        tuple(values[1:].tolist()),
        bound,
    )


def said(runs: Runs, row: str, name: str) -> float | None:
    """What a formula of the book says of a cell, without anything trained."""
    if row == "predicts the network":
        return None if name not in FORMULAS else float(ROWS[row](runs, name)[0][0])
    if row == "power law in time":
        return float(ROWS[row](runs, name)[0][1])
    if row not in RUN:
        return None
    fields = runs[key({"run": RUN[row], "candidate": name})]
    if "formula" in fields:
        return float(fields["formula"].flatten()[0])
    return float(ROWS[row](runs, name)[0][0]) if name in FORMULAS and name not in TRAINED else None


RUN = {"stages": "in_stages", "order by strength": "by_strength", "knock-on": "knock_on"}


def _mean(members: Tensor) -> tuple[Tensor, float]:
    """Mean over the first axis of what is finite, and its error: 0 of a single member."""
    members = members[members.isfinite()]
    error = float(standard_error(members, 0)) if len(members) > 1 else 0.0
    return members.mean() if len(members) else torch.tensor(torch.nan), error


def _simple(run: str, field: str) -> Callable[[Runs, str], Numbers]:
    def numbers(runs: Runs, name: str) -> Numbers:
        value, error = _mean(runs[key({"run": run, "candidate": name})][field])
        return value[None], error, ""

    return numbers


def _knock_on(runs: Runs, name: str) -> Numbers:
    first, second = runs[key({"run": "knock_on", "candidate": name})]["ratio"]
    value, error = _mean(first)
    return torch.stack([value, _mean(second)[0]]), error, ""


def _swept(runs: Runs, name: str, task: str, dimension: int) -> dict[str, Tensor]:
    return runs[key({"run": "sweep", "candidate": name, "of": task, "dimension": dimension})]


def samples_needed(runs: Runs, name: str, task: str, dimension: int) -> tuple[float, float, float]:
    """Samples at which the mean best error is a tenth of knowing nothing, the jackknife error of
    its logarithm, and the largest size that was tried. Kernel ridge takes its better kernel."""
    found, last = _passages(runs, name, task, dimension)
    return float(found[0].exp()), jackknife(found[1:]), last


def _passages(runs: Runs, name: str, task: str, dimension: int) -> tuple[Tensor, float]:
    """ln n at a tenth of knowing nothing, as ``threshold`` has it, and the largest size."""
    level = TENTH * sum(b**2 for b in TASKS[task].values())
    seen = [
        _swept(runs, one, task, dimension)
        for one in (KERNELS if name == "kernel ridge" else [name])
    ]
    found = [threshold(one["sizes"], one["best"], level) for one in seen]
    return min(found, key=_first), float(seen[0]["sizes"][-1])


def _apart(kernel: Tensor, candidate: Tensor) -> float:
    """Error of the logarithm of a ratio of samples. Members of both have the same inputs and the
    same noise, so they are left out together; unless their numbers differ."""
    if len(kernel) == len(candidate):
        return jackknife((kernel - candidate)[1:])
    return (jackknife(kernel[1:]) ** 2 + jackknife(candidate[1:]) ** 2) ** 0.5


def _advantage(runs: Runs, name: str) -> Numbers:
    ratios, errors, bounds = [], [], []
    for d in (12, 8):
        (kernel, last), (mine, _) = (
            _passages(runs, who, "staircase", d) for who in ("kernel ridge", name)
        )
        k, c = float(kernel[0].exp()), float(mine[0].exp())
        bounds.append("" if max(k, c) < float("inf") else "<" if c > last else ">")
        ratios.append(min(k, last) / min(c, last))
        errors.append(ratios[-1] * _apart(kernel, mine))
    error = errors[0] if errors[0] < float("inf") else 0.0
    return torch.tensor(ratios).double(), error, bounds[0]


def _bet(runs: Runs, name: str) -> Numbers:
    (kernel, _), (mine, last) = (
        _passages(runs, who, "parity", 8) for who in ("kernel ridge", name)
    )
    k, c = float(kernel[0].exp()), float(mine[0].exp())
    ratio = min(c, last) / k
    error = ratio * _apart(kernel, mine) if c <= last else 0.0
    return torch.tensor([ratio]).double(), error, "" if c <= last else ">"


def _near(runs: Runs, name: str, *, above: bool) -> tuple[dict[str, Tensor], int]:
    """The sweep on the staircase, and the place of the size just above the threshold, or below."""
    names = KERNELS if name == "kernel ridge" else [name]
    best = min(names, key=lambda one: _needs(runs, one))
    seen = _swept(runs, best, "staircase", 8)
    place = int((seen["sizes"] < _needs(runs, best)).sum())
    return seen, min(place, len(seen["sizes"]) - 1) if above else max(place - 1, 0)


def _needs(runs: Runs, name: str) -> float:
    seen = _swept(runs, name, "staircase", 8)
    return float(threshold(seen["sizes"], seen["best"], TENTH * 3)[0].exp())


def _overfitting(runs: Runs, name: str) -> Numbers:
    seen, place = _near(runs, name, above=False)
    value, error = _mean(seen["final"][place] / seen["best"][place])
    return value[None], error, ""


def _peak(runs: Runs, name: str) -> Numbers:
    names = KERNELS if name == "kernel ridge" else [name]
    found = max((peak(_swept(runs, one, "staircase", 8)["final"]) for one in names), key=_first)
    return found[:1], jackknife(found[1:]), ""


def _first(x: Tensor) -> float:
    return float(x[0])


def _alignment(runs: Runs, name: str) -> Numbers:
    seen = runs[key({"run": "aligned", "candidate": name})]
    value, error = _mean((seen["tenth"] - seen["start"]) / (seen["end"] - seen["start"]))
    return value[None], error, ""


def _lazy(runs: Runs, name: str) -> Numbers:
    seen = runs[key({"run": "lazy", "candidate": name})]["distance"]
    value, error = _mean(seen[0])
    return torch.stack([value, seen[-1].mean()]), error, ""


def _power(runs: Runs, name: str) -> Numbers:
    seen = runs[key({"run": "power_law", "candidate": name})]
    slope, error = _line(seen["time"], seen["error"], seen["window"])
    theory, its = _line(seen["formula time"], seen["formula error"], seen["formula window"])
    both = (error**2 + its**2) ** 0.5
    return torch.tensor([slope, theory, both]).double(), error, ""


def _line(time: Tensor, error: Tensor, window: Tensor) -> tuple[float, float]:
    """Slope of the logarithms inside the window and its standard error."""
    x = torch.linspace(float(window[0].log()), float(window[1].log()), CURVE).double()
    place = torch.searchsorted(time, x.exp()).clamp(1, len(time) - 1)
    low, high = time[place - 1].clamp(min=1e-9).log(), time[place].log()
    share = (x - low) / (high - low)
    y = (1 - share) * error[place - 1].log() + share * error[place].log()
    u = x - x.mean()
    slope = (u * y).sum() / u.square().sum()
    off = y - y.mean() - slope * u
    return float(slope), float((off.square().sum() / (CURVE - 2) / u.square().sum()).sqrt())


def _edge(runs: Runs, name: str) -> Numbers:
    product = runs[key({"run": "at_the_edge", "candidate": name})]["product"]  # (factor, member)
    rank = torch.arange(1.0, len(product) + 1)[:, None] * product.isfinite()
    value, error = _mean(product.gather(0, rank.argmax(0, keepdim=True))[0])
    return value[None], error, ""


def _delayed(runs: Runs, name: str) -> Numbers:
    seen, place = _near(runs, name, above=True)
    value, error = _mean(seen["fresh"][place] / seen["fitted"][place])
    return value[None], error, ""


def times(runs: Runs, name: str, family: str, again: int = 0) -> dict[str, Tensor]:
    """When a candidate learns the terms of random targets, (problem, term)."""
    point = {"run": "terms", "candidate": name, "family": family}
    return runs[key(point | ({"again": again} if again else {}))]


def reference(runs: Runs, family: str) -> dict[str, Tensor]:
    """Times of the network, geometric mean over two starts, with strengths and degrees."""
    one, two = (times(runs, REFERENCE, family, again)["time"] for again in (0, 1))
    return times(runs, REFERENCE, family) | {"time": (one * two).sqrt()}


def predictions(runs: Runs, family: str) -> dict[str, Tensor]:
    """Times, or what is ordered like times, of every candidate and of the two baselines."""
    known = reference(runs, family)
    found = {"by strength": -known["strength"], "by degree": known["degree"]}
    for point, fields in runs.items():
        asked = dict(point)
        theirs = (asked["run"], asked.get("family"), asked.get("again")) == ("terms", family, None)
        if theirs and asked["candidate"] != REFERENCE:
            found[asked["candidate"]] = fields["time"]
    found["another start"] = times(runs, REFERENCE, family, 1)["time"]
    return found


def rank_correlations(runs: Runs, family: str) -> dict[str, Tensor]:
    """Spearman's correlation with the network within every target, (problem,). Another start of the
    network is compared with the first, not with their mean."""
    known = reference(runs, family)
    first = times(runs, REFERENCE, family)["time"]
    return {
        name: spearman(
            x, first if name == "another start" else known["time"], known["strength"] > 0
        )
        for name, x in predictions(runs, family).items()
    }


def pairs_of_one_degree(runs: Runs, family: str) -> dict[str, Tensor]:
    """Share of pairs of equal degree that are ordered rightly, (problem,)."""
    known = reference(runs, family)
    first = times(runs, REFERENCE, family)["time"]
    return {
        name: right_pairs(
            x,
            first if name == "another start" else known["time"],
            known["degree"],
            known["strength"] > 0,
        )
        for name, x in predictions(runs, family).items()
    }


def _predicts(runs: Runs, name: str) -> Numbers:
    found = rank_correlations(runs, "random")
    who = "another start" if name == REFERENCE else name
    value, error = _mean(found[who])
    others = [found[base].mean() for base in ("by strength", "by degree")]
    return torch.stack([value, *others]), error, ""


ROWS: dict[str, Callable[[Runs, str], Numbers]] = {
    "stages": _simple("in_stages", "count"),
    "order by strength": _simple("by_strength", "spearman"),
    "knock-on": _knock_on,
    "sample advantage": _advantage,
    "cost of the bet": _bet,
    "overfitting": _overfitting,
    "double descent": _peak,
    "silent alignment": _alignment,
    "lazy to rich": _lazy,
    "power law in time": _power,
    "edge of stability": _edge,
    "delayed generalisation": _delayed,
    "predicts the network": _predicts,
}
