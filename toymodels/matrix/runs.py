"""The protocol: what is run with each candidate, and with which seeds.

A run is one call for all its members, problems and scales at once. It hands back plain arrays, from
which ``cells`` makes the numbers of the matrix; verdicts come from ``criteria.RULES`` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from toymodels.matrix import probes
from toymodels.matrix.candidates import CANDIDATES, EPS, LINEAR, Candidate, kernel
from toymodels.matrix.criteria import reached, spearman, stages
from toymodels.matrix.formulas import FORMULAS
from toymodels.matrix.record import half_times
from toymodels.matrix.tasks import POWER, STAIRS, TASKS, rungs, sparse, task
from toymodels.matrix.trained import Descent
from toymodels.numerics.draws import as_stored

Fields = dict[str, np.ndarray]
NOISE = 0.3  # of labels, wherever there are samples
SIZES = {
    8: (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256),
    12: (12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768),
}
SMALL = 0.01  # start from which stages are counted, where the start is free
FAMILIES = {"random": sparse, "rungs": rungs}
TRAINED = {name: c for name, c in CANDIDATES.items() if isinstance(c, Descent)}
PROBED = TRAINED | {f"deep linear, {depth}": c for depth, c in LINEAR.items()}
DRAWN = ("tower", "Neural LoFi", "ReLU, 2 hidden", "ReLU, 3 hidden")  # at the start, or samples
NETWORKS = tuple(name for name in CANDIDATES if name.startswith("ReLU"))
KERNELS = {"kernel ridge": kernel, "kernel ridge, flat": lambda *a, **k: kernel(*a, flat=True, **k)}


@dataclass(frozen=True)
class Scale:
    """How much of the protocol is run. The seed of the members and of the targets is one."""

    seed: int = 7
    members: int = 6
    problems: int = 24
    entered: tuple[tuple[str, Candidate], ...] = ()  # candidates of a reader, by name

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name."""
        return dict(self.entered).get(name) or KERNELS.get(name) or CANDIDATES[name]

    def copies(self, name: str) -> int:
        """Members on the population: one where nothing is drawn."""
        drawn = name in DRAWN or name in dict(self.entered)
        return self.members if drawn else 1


def adjusted(
    name: str, scale: Scale, *, start: float | None = None, long: float | int | None = None
) -> Candidate:
    """A candidate with another start and another horizon on the population; the flows of features
    in steps of 1/4, and with more records. Others stay as they are."""
    candidate = scale.candidate(name)
    if not isinstance(candidate, Descent) or name in NETWORKS:
        return candidate
    more = {"start": start or candidate.start, "records": 200}
    if candidate.features:
        more |= {"step": 0.25, "long": long or candidate.long}
    return replace(candidate, **more)


def where(name: str, scale: Scale) -> int:
    """Coordinates on the population. From their start, features below no target never move, so
    that four coordinates are as good as any number."""
    candidate = scale.candidate(name)
    return 4 if isinstance(candidate, Descent) and candidate.features else 8


def in_stages(name: str, scale: Scale) -> Fields:
    """Error on the staircase and its stages, from the start 0.01 where the start is free; gated
    pathways, whose waits are powers of it, from their own."""
    start, long = (EPS, 600) if name == "gated" else (SMALL, 60)
    it, candidate = (
        task(where(name, scale), [STAIRS]),
        adjusted(name, scale, start=start, long=long),
    )
    seen = candidate(it, None, seed=scale.seed, members=scale.copies(name))
    count = stages(seen)[0]
    found = {"time": seen.time, "error": seen.error[0], "count": count}
    if name in FORMULAS and name in TRAINED:
        found["formula"] = stages(FORMULAS[name](it, None, seed=scale.seed, start=start))[0]
    return _plain(found)


def by_strength(name: str, scale: Scale) -> Fields:
    """Spearman's correlation of half-time and minus strength on eight strengths 1 / k."""
    it = task(8, [TASKS["power law"]], degree=_degree(name, 1))
    seen = scale.candidate(name)(it, None, seed=scale.seed, members=scale.copies(name))
    beta, half = it.target[0], half_times(it, seen)[0]
    found = {"spearman": spearman(half, -beta.expand_as(half), (beta != 0).expand_as(half))}
    if name in FORMULAS and name in TRAINED:
        half = half_times(it, FORMULAS[name](it, None, seed=scale.seed))[0]
        found["formula"] = spearman(half, -beta[None], (beta != 0)[None])
    return _plain(found)


def knock_on(name: str, scale: Scale) -> Fields:
    """Half-time of x1x2x3 alone over that with its rungs; (setting, member): a flow of features
    from its start and from half of it, all others with 8 and with 12 coordinates."""
    ratios, formula = [], []
    flows = where(name, scale) == 4
    for d, start in ((4, EPS), (4, EPS / 2)) if flows else ((8, None), (12, None)):
        it = task(d, [STAIRS, TASKS["parity"]])
        candidate = adjusted(name, scale, start=start, long=60 if name == "diagonal" else 2000)
        if name == "tower":
            candidate = replace(candidate, until=150, long=150)
        top = list(it.features).index((0, 1, 2))
        half = half_times(it, candidate(it, None, seed=scale.seed, members=scale.copies(name)))
        ratios.append(half[1, :, top] / half[0, :, top])
        if flows:
            half = half_times(it, FORMULAS[name](it, None, seed=scale.seed, start=start))
            formula.append(half[1, :, top] / half[0, :, top])
    found = {"ratio": torch.stack(ratios)}
    return _plain(found | ({"formula": torch.stack(formula)} if flows else {}))


def sweep(name: str, scale: Scale, *, of: str, dimension: int) -> Fields:
    """Best and final error on a task against the number of samples, (size, member), and the times
    at which nine tenths are explained on fresh inputs and on the samples."""
    it = task(dimension, [TASKS[of]], noise=NOISE)
    candidate = scale.candidate(name)
    rows = {"best": [], "final": [], "fresh": [], "fitted": []}
    for n in SIZES[dimension]:
        seen = candidate(it, n, seed=scale.seed, members=scale.members)
        fresh, fitted = reached(it, seen)
        values = (seen.error.amin(-1), seen.error[..., -1], fresh, fitted)
        for row, value in zip(rows.values(), values, strict=True):
            row.append(value[0])
    found = {k: torch.stack(v) for k, v in rows.items()}
    return _plain(found | {"sizes": torch.tensor(SIZES[dimension])})


def aligned(name: str, scale: Scale) -> Fields:
    """Alignment of the tangent kernel with the linear task, on six coordinates."""
    it = task(6, [TASKS["linear"]])
    return _plain(probes.alignment(PROBED[name], it, seed=scale.seed, members=scale.members))


def lazy(name: str, scale: Scale) -> Fields:
    """Distance from the trajectory of the first kernel, (scale, member)."""
    seen = probes.laziness(PROBED[name], _own(name), seed=scale.seed, members=scale.members)
    return _plain({"distance": seen})


def at_the_edge(name: str, scale: Scale) -> Fields:
    """Sharpness times step at the end, (factor, member)."""
    return _plain(probes.edge(PROBED[name], _own(name), seed=scale.seed, members=scale.members))


def power_law(name: str, scale: Scale) -> Fields:
    """Loss on 64 strengths 1/k, of the candidate and of its theory."""
    it = task(64, [{(k,): (k + 1) ** -POWER for k in range(64)}], degree=1)
    found = {}
    for which, table in (("", CANDIDATES), ("formula ", FORMULAS)):
        candidate = table[name]
        if isinstance(candidate, Descent):
            candidate = replace(candidate, long=400)
        seen = candidate(it, None, seed=scale.seed, members=1)
        half = half_times(it, seen)[0, 0]
        found |= {
            f"{which}time": seen.time, f"{which}error": seen.error[0, 0],
            f"{which}window": half[[3, 31]],
        }  # fmt: skip
    return _plain(found)


def terms(name: str, scale: Scale, *, family: str, again: int = 0) -> Fields:
    """When the terms of random targets are learned, (problem, term), infinite for never and for
    places without a term; and their strengths and degrees. ``again`` takes other networks."""
    it = FAMILIES[family](scale.problems, seed=scale.seed)
    candidate, members = adjusted(name, scale, long=1000), 1
    if name == "Neural LoFi":
        it, members = replace(it, noise=NOISE), 2
    if name in ("diagonal", "gated"):  # modes that do not meet have a formula at any size
        candidate = FORMULAS[name]
    half = half_times(it, candidate(it, None, seed=scale.seed + again, members=members)).mean(1)
    place = it.target.topk(int((it.target != 0).sum(-1).max()), dim=-1).indices
    return _plain(
        {
            "time": half.gather(-1, place),
            "strength": it.target.gather(-1, place),
            "degree": it.sizes.double()[place],
        }
    )


def _degree(name: str, least: int) -> int:
    """Towers and powers have three levels whatever they are asked."""
    return 3 if name == "tower" else least


def _own(name: str):
    """The staircase on eight coordinates, and the linear task for linear networks."""
    return task(8, [TASKS["linear" if name.startswith("deep") else "staircase"]])


def _plain(fields: dict[str, Tensor]) -> Fields:
    return {k: np.asarray(v.detach().double().cpu()) for k, v in fields.items()}


RUNS: dict[str, Callable[..., Fields]] = {
    f.__name__: f
    for f in (in_stages, by_strength, knock_on, sweep, aligned, lazy, at_the_edge, power_law, terms)
}


def points() -> list[dict]:
    """All runs of the full matrix, as the store names them, the decisive ones first."""
    every, flows = list(CANDIDATES), [n for n in FORMULAS if n in TRAINED]
    sampled = [*KERNELS, *(n for n in every if n not in ("kernel ridge", "alternating flows"))]
    ordered = [n for n in every if not n.startswith("deep") and n != "tower"]
    found = [{"run": "terms", "candidate": n, "family": f} for f in FAMILIES for n in ordered]
    found += [{"run": "terms", "candidate": NETWORKS[0], "family": f, "again": 1} for f in FAMILIES]
    found += _sweeps([("staircase", 8), ("parity", 8)], sampled)
    for run, names in (
        ("in_stages", every),
        ("by_strength", every),
        ("knock_on", [n for n in every if not n.startswith("deep")]),
        ("power_law", ["deep linear, 2", "deep linear, 3", *flows]),
        ("aligned", PROBED),
        ("lazy", PROBED),
        ("at_the_edge", PROBED),
    ):
        found += [{"run": run, "candidate": n} for n in names]
    found += _sweeps([("staircase", 12)], sampled)
    rest = [(t, 8) for t in TASKS if t not in ("staircase", "parity", "power law")]
    return found + _sweeps(rest, sampled)


def _sweeps(tasks: list[tuple[str, int]], names: list[str]) -> list[dict]:
    return [
        {"run": "sweep", "candidate": n, "of": t, "dimension": d} for t, d in tasks for n in names
    ]


def compute(point: dict, scale: Scale) -> Fields:
    """One run of the protocol, on the targets of the stored one."""
    point = dict(point)
    with as_stored():
        return RUNS[point.pop("run")](point.pop("candidate"), scale, **point)
