"""What is measured on a processor: races, growth of cost, memory, chapters, ceilings."""

import contextlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import problems
from benchmarks.chapters import CHAPTERS, SIDES
from benchmarks.problems import Problem, Size
from benchmarks.race import Entrant, Pool, race
from benchmarks.rooms import Missing

E = "benchmarks.entrants."
OURS = "toymodels"
SCIPY_LOOP, MODULE_LOOP, WIDE_PEER = "scipy, loop", "nn.Module, loop", "neural-tangents"
ENSEMBLE = (
    Entrant(OURS, E + "with_toymodels:stacked"),
    Entrant(MODULE_LOOP, E + "with_torch:module_loop"),
    Entrant("torch.func.vmap", E + "with_torch:vectorized"),
    Entrant("jax, jit(vmap)", E + "with_jax:vectorized", "jax"),
    Entrant("jax, jit in a loop", E + "with_jax:loop", "jax"),
)
KERNELS = (
    Entrant(OURS, E + "with_toymodels:kernels"),
    Entrant(WIDE_PEER, E + "with_neural_tangents:kernels", "jax"),
)
MODES = (
    Entrant(OURS, E + "with_toymodels:modes"),
    Entrant(SCIPY_LOOP, E + "with_scipy:modes"),
    Entrant("torchdiffeq", E + "with_torchdiffeq:modes", "torch"),
    Entrant("diffrax, vmap", E + "with_diffrax:modes", "jax"),
)
ROUNDING = 1e-9  # float64 after hundreds of steps: 1e-13 between orders of summation, and room
# One mode in a thousand misleads scipy's error estimate at rtol 1e-9: it is off by 4e-4 (the error
# of each integrator is recorded). Another equation would be off by order one.
INTEGRATION = 1e-3
# At angles near 0 neural-tangents takes the arc cosine, which keeps half of the digits.
ANGLE = 1e-7


@dataclass(frozen=True)
class Contest:
    """A problem, who solves it, and how many units of work a solution is."""

    name: str
    kind: str
    problem: Problem
    entrants: tuple[Entrant, ...]
    within: float
    unit: str
    units: int
    precision: str = "float64"
    expected: Problem | None = None
    size: dict = field(default_factory=dict)
    work: dict = field(default_factory=dict)  # of one unit: operations, numbers moved

    def record(self) -> dict:
        names = ("name", "kind", "within", "unit", "units", "precision", "size", "work")
        return {name: getattr(self, name) for name in names}


def ensemble_contest(
    size: Size, entrants: tuple[Entrant, ...] = ENSEMBLE, precision: str = "float32"
) -> Contest:
    return Contest(
        name=f"{size.members} networks, width {size.width}, {size.samples} samples",
        kind="ensemble",
        problem=problems.ensemble(size),
        entrants=entrants,
        within=ROUNDING,
        unit="step of one network",
        units=size.steps * size.members,
        precision=precision,
        size=size.record(),
        work={"operations": problems.arithmetic(size), "numbers": problems.traffic(size)},
    )


def contests(quick: bool) -> list[Contest]:
    points, pixels, count = (20, 8, 10) if quick else (500, 784, 1000)
    images, modes = problems.images(points, pixels), problems.modes(count)
    return [
        *map(ensemble_contest, [problems.QUICK] if quick else problems.SIZES),
        Contest(
            name=f"wide kernels, {points} x {pixels} inputs",
            kind="kernels",
            problem=images,
            entrants=KERNELS,
            within=ANGLE,
            unit="both kernels",
            units=1,
            size={"samples": points, "inputs": pixels, "hidden": int(images["depth"])},
        ),
        Contest(
            name=f"{count} mode equations",
            kind="modes",
            problem=modes,
            entrants=MODES,
            within=INTEGRATION,
            unit="mode",
            units=count,
            expected=problems.learned(modes),
            size={"modes": count, "rtol": float(modes["rtol"]), "atol": float(modes["atol"])},
        ),
    ]


def hold(pool: Pool, contest: Contest, rounds: int, least: float = 0.1) -> dict:
    """The record of one contest."""
    result = race(
        pool,
        contest.entrants,
        contest.problem,
        rounds=rounds,
        precision=contest.precision,
        within=contest.within,
        expected=contest.expected,
        least=least,
    )
    return contest.record() | {"entrants": result.entrants, "missing": result.missing}


# ---- how the cost grows --------------------------------------------------------------------------


def sweeps(quick: bool) -> dict[str, list[Size]]:
    """Sizes along each axis, all else fixed."""
    if quick:
        small = Size(4, 8, 16, 4, inputs=8)
        return {"members": [replace(small, members=m) for m in (4, 8, 16)]}
    many, wide = Size(32, 16, 32, 50), Size(16, 64, 64, 20)
    return {
        "members": [replace(many, members=m) for m in (32, 64, 128, 256, 512, 1024, 2048)],
        "width": [replace(wide, width=h) for h in (32, 64, 128, 256, 512)],
        "samples": [replace(wide, samples=n) for n in (32, 64, 128, 256, 512, 1024)],
        "steps": [replace(wide, steps=s) for s in (25, 50, 100, 200, 400)],
    }


def growth(pool: Pool, axis: str, sizes: list[Size], rounds: int, least: float = 0.1) -> dict:
    """Seconds of a training against one size, and the exponent of the power law."""
    values = [getattr(size, axis) for size in sizes]
    stacks = {str(getattr(size, axis)): problems.ensemble(size) for size in sizes}
    seconds, missing = alone(pool, ENSEMBLE[0], stacks, rounds, precision="float32", least=least)
    found = {"axis": axis, "values": values, "size": sizes[0].record(), "missing": missing}
    if missing:
        return found | {"seconds": [], "exponent": None, "error": None}
    rows = list(seconds.values())  # (value, round)
    exponent, error = power(values, [median(row) for row in rows])
    return found | {"seconds": rows, "exponent": exponent, "error": error}


def alone(
    pool: Pool,
    entrant: Entrant,
    tasks: dict[str, Problem],
    rounds: int,
    *,
    precision: str,
    least: float = 0.1,
) -> tuple[dict[str, list[float]], list[dict]]:
    """Seconds of every round of every task of one entrant, in turns, and what failed.

    Nobody competes, so nobody has to agree.
    """
    missing, seconds = [], {}
    for task, problem in tasks.items():
        with tempfile.TemporaryDirectory() as folder:
            stored = problems.store(problem, Path(folder) / "problem.npz")
            try:
                pool.get(entrant).prepare(task, entrant, stored, precision, least)
                seconds[task] = []
            except Missing as why:
                missing.append({"name": task, "reason": str(why)})
    for _ in range(rounds):
        for task, row in seconds.items():
            row.append(pool.get(entrant).round(task))
    return seconds, missing


def power(values: Iterable[float], costs: Iterable[float]) -> tuple[float, float]:
    """Exponent of the power law through the points and its standard error."""
    return slope(np.log(list(values)), np.log(list(costs)))


def slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of the least-squares line and its standard error, three points at least."""
    x, y = (np.asarray(values, float) - np.mean(values) for values in (x, y))
    if len(x) < 3:
        raise ValueError(f"x must have at least 3 points, got {len(x)}: no error bar without")
    value = float(x @ y / (x @ x))
    residual = y - value * x
    return value, float(np.sqrt(residual @ residual / (len(x) - 2) / (x @ x)))


# ---- memory --------------------------------------------------------------------------------------

MEMORY = (ENSEMBLE[0], ENSEMBLE[2])


def memory(entrant: Entrant, sizes: list[Size], device: str = "cpu") -> dict:
    """Most memory held by a fresh process against members, and bytes a member.

    A member of the stack counts with its initial weights: they are kept beside the trained ones.
    """
    peaks, missing = [], []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        pools = [stack.enter_context(Pool(device)) for _ in sizes]
        try:
            for pool in pools:
                pool.get(entrant)  # all start before anyone is waited for
            for size, pool in zip(sizes, pools, strict=True):
                stored = problems.store(problems.ensemble(size), Path(folder) / "problem.npz")
                pool.get(entrant).prepare("alone", entrant, stored, "float32", 0.0)
                peaks.append(pool.get(entrant).peak())
        except Missing as why:
            missing = [{"name": entrant.name, "reason": str(why)}]
    values = [size.members for size in sizes]
    found = {"name": entrant.name, "members": values, "size": sizes[0].record(), "bytes": peaks}
    found |= {"weights": 4 * sum(out * into for out, into in sizes[0].shapes), "missing": missing}
    if missing:
        return found | {"slope": None, "error": None}
    value, error = slope(values, peaks)
    return found | {"slope": value, "error": error}


def memory_sizes(quick: bool) -> list[Size]:
    members = (16, 32, 64) if quick else (2048, 4096, 8192, 16384)
    return [Size(m, 64, 64, 1 if quick else 2) for m in members]


# ---- chapters and ceilings -----------------------------------------------------------------------


def chapters(
    pool: Pool, rounds: int, least: float = 0.05
) -> tuple[dict[str, list[float]], list[dict]]:
    """Seconds of the theory and of the experiment of every chapter, one solution each."""
    tasks = {
        f"{chapter}: {side}": {"chapter": np.array(chapter), "side": np.array(side)}
        for chapter in CHAPTERS
        for side in SIDES
    }
    cores = Entrant(OURS, E + "with_toymodels:chapter")
    return alone(pool, cores, tasks, rounds, precision="float64", least=least)


def ceilings(pool: Pool, side: int, numbers: int, rounds: int, least: float = 0.1) -> dict:
    """Operations a second of a large product, numbers moved a second by a large copy.

    The best round of each: a ceiling is what can be reached. By precision. ``jax`` is the product
    by the library that jax brings along, where it is installed.
    """
    ours, jax = E + "with_torch:", Entrant("ceiling", E + "with_jax:product", "jax")
    tasks = {
        "product": (Entrant("ceiling", ours + "product"), "operations", 2 * side**3),
        "copy": (Entrant("ceiling", ours + "copy"), "numbers", 2 * numbers),  # read and written
    }
    if pool.device == "cpu":
        tasks["product of jax"] = (jax, "jax", 2 * side**3)
    sizes = {"side": np.array(side), "numbers": np.array(numbers)}
    found = {}
    for precision in ("float32", "float64"):
        roof = found[precision] = {}
        for task, (entrant, name, work) in tasks.items():
            seconds, missing = alone(
                pool, entrant, {task: sizes}, rounds, precision=precision, least=least
            )
            if not missing:
                roof[name] = work / min(seconds[task])
            elif entrant.room == "book":
                raise RuntimeError(f"the {task} must run, got {missing}: without it no ceiling")
    return found
