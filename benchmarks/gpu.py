"""What is measured on a graphics card: ``make bench-gpu``.

The wall clock counts there, read after the card has finished. float32 means float32: torch keeps
tf32 off unless asked.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import problems
from benchmarks.problems import Problem, Size
from benchmarks.race import Entrant, Pool
from benchmarks.study import (
    ENSEMBLE,
    OURS,
    Contest,
    E,
    alone,
    ceilings,
    ensemble_contest,
    hold,
    memory,
)

EAGER = "toymodels, eager"
ENTRANTS = (
    Entrant(OURS, E + "with_toymodels:stacked"),
    Entrant(EAGER, E + "with_toymodels:eager"),
    *ENSEMBLE[1:3],
)
# (entrant, precision) of the large batches
LARGE = ((ENTRANTS[0], "float32"), (ENTRANTS[1], "float32"), (ENTRANTS[0], "float64"))
# longer than on the processor: the capture of a graph is part of a training
STEPS = {256: 100, 64: 1000, 16: 2000}
MEMBERS = (1024, 2048, 4096)


def study(device: str, quick: bool, say: Callable[[str], None]) -> dict:
    """Races, large batches and memory on ``device``. The same code runs on a processor."""
    rounds, least = (2, 0.0) if quick else (3, 0.1)
    sizes = [problems.QUICK] if quick else list(problems.SIZES)
    members = (8, 16) if quick else MEMBERS
    side, numbers = (64, 1 << 12) if quick else (8192, 1 << 28)
    with Pool(device) as pool:
        say("what the processor answers")
        agreed = contests(sizes)
        say("ceilings of the card")
        roof = ceilings(pool, side, numbers, rounds, least)
        races, batches = [], []
        for contest in agreed:
            say(contest.name)
            races.append(hold(pool, contest, rounds, least))
        for size in sizes:
            for count in members:
                say(f"{count} networks of width {size.width}")
                batches += large(pool, lengthened(size, count), roof, rounds, least)
        versions = pool.versions()
    say("memory")
    stacks = [lengthened(sizes[-1], count) for count in (*members, 2 * members[-1])]
    held = [memory(ENTRANTS[0], stacks, device)]
    found = {"ceilings": roof, "races": races, "large": batches, "memory": held}
    return found | {"versions": versions, "scaling": [], "chapters": {}, "missing": []}


def lengthened(size: Size, members: int) -> Size:
    return replace(size, members=members, steps=STEPS.get(size.width, size.steps))


def contests(sizes: list[Size]) -> list[Contest]:
    """Races that all enter only if they agree with this package on the processor."""
    return [
        replace(ensemble_contest(size, ENTRANTS), expected=expected)
        for size, expected in zip(sizes, on_processor(sizes), strict=True)
    ]


def on_processor(sizes: list[Size]) -> list[Problem]:
    """What this package answers there."""
    ours, answers = ENSEMBLE[0], []
    with tempfile.TemporaryDirectory() as folder, Pool("cpu") as pool:
        for size in sizes:
            stored = problems.store(problems.ensemble(size), Path(folder) / "problem.npz")
            pool.get(ours).prepare("gate", ours, stored, "float64", 0.0)
            answers.append(pool.get(ours).answer("gate", Path(folder) / "answer.npz"))
    return answers


def large(pool: Pool, size: Size, roof: dict, rounds: int, least: float) -> list[dict]:
    """One batch by every way of running it, with its share of what the card can do."""
    problem, found = problems.ensemble(size), []
    for entrant, precision in LARGE:
        seconds, missing = alone(
            pool, entrant, {"large": problem}, rounds, precision=precision, least=least
        )
        row = {"name": entrant.name, "precision": precision, "size": size.record()}
        if missing:
            found.append(row | {"missing": missing})
            continue
        each = median(seconds["large"]) / size.steps / size.members
        found.append(row | {"seconds": seconds["large"]} | shares(size, each, roof[precision]))
    return found


def shares(size: Size, seconds: float, roof: dict) -> dict:
    """Operations and numbers a second of one step of one network, as parts of the ceilings.

    The larger part belongs to the relevant ceiling: the one that would be hit first.
    """
    rates = {
        "operations": problems.arithmetic(size) / seconds,
        "numbers": problems.traffic(size) / seconds,
    }
    parts = {name: rate / roof[name] for name, rate in rates.items()}
    relevant = max(parts, key=parts.get)
    return {"rates": rates, "share": parts[relevant], "relevant": relevant}
