"""Entrants side by side: they must agree first, then take turns round by round.

Each entrant lives in a process of its own with one thread on one core, and solves a problem when
asked. Rounds interleave, so whatever else the machine does meets all of them alike. Compiling and
warming up are off the clock.
"""

import contextlib
import json
import math
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from benchmarks.machine import bench_core
from benchmarks.problems import Problem, store
from benchmarks.rooms import ROOT, Missing, Room, enter

T = TypeVar("T")
PATIENCE = 600  # seconds for one order; a peer that hangs is given up


@dataclass(frozen=True)
class Entrant:
    """Who races: the name on the figure, the function that solves, the environment it runs in."""

    name: str
    function: str  # module:function
    room: str = "book"


class Disagreement(Exception):
    """An entrant computed something else, so its time means nothing."""


class Worker:
    """A process that solves with the functions of one module. Everything raises Missing if it
    cannot: when the process does not start, fails or hangs."""

    def __init__(self, room: Room, module: str, device: str):
        self.device, self.repeats, self.timed = device, {}, {}
        self.process = subprocess.Popen(
            [room.python, "-m", "benchmarks.worker", module, str(bench_core())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=room.environment(),
            text=True,
        )

    @cached_property
    def versions(self) -> dict[str, str]:
        """Its first reply: until then it imports."""
        return self._reply()["versions"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, order: str, **fields) -> dict:
        _ = self.versions
        try:
            self.process.stdin.write(json.dumps({"order": order} | fields) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Missing("its process ended") from None
        return self._reply()

    def _reply(self) -> dict:
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        reply = json.loads(line) if line else {"error": "its process ended"}
        if "error" in reply:
            raise Missing(reply["error"])
        return reply

    def prepare(self, slot: str, entrant: Entrant, problem: Path, precision: str, least: float):
        """Seconds of the first solution; a round then repeats it for at least ``least`` seconds.

        With ``least`` 0 there is no second solution to learn from, and no repetition. A second one
        that lasts so long by itself is the first round.
        """
        reply = self.ask(
            "prepare",
            slot=slot,
            function=entrant.function.split(":")[1],
            problem=str(problem),
            precision=precision,
            device=self.device,
        )
        again = self.ask("round", slot=slot, repeats=1)["seconds"] if least else math.inf
        self.repeats[slot] = max(1, math.ceil(least / max(again, 1e-9)))
        self.timed[slot] = [again] if least and self.repeats[slot] == 1 else []
        return reply["seconds"]

    def round(self, slot: str) -> float:
        if self.timed[slot]:
            return self.timed[slot].pop()
        return self.ask("round", slot=slot, repeats=self.repeats[slot])["seconds"]

    def answer(self, slot: str, to: Path) -> Problem:
        self.ask("answer", slot=slot, to=str(to))
        with np.load(to) as stored:
            return {name: stored[name] for name in stored.files}

    def peak(self) -> int:
        return self.ask("peak", device=self.device)["bytes"]


class Pool:
    """The processes of all entrants, one for each name and module, alive until the end."""

    def __init__(self, device: str = "cpu", *, install: bool = True):
        self.device, self.install, self.workers = device, install, {}

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_) -> None:
        for worker in self.workers.values():
            if isinstance(worker, Worker):
                worker.close()

    def get(self, entrant: Entrant) -> Worker:
        """Its process, perhaps still importing. Raises Missing where its room cannot be made."""
        module = entrant.function.split(":")[0]
        key = (entrant.name, module)
        if key not in self.workers:
            try:
                room = enter(entrant.room, install=self.install)
                self.workers[key] = Worker(room, module, self.device)
            except Missing as why:
                self.workers[key] = why
        if isinstance(self.workers[key], Missing):
            raise self.workers[key]
        return self.workers[key]

    def versions(self) -> dict[str, str]:
        """Of all libraries that ran in any of the processes."""
        found = {}
        for worker in self.workers.values():
            with contextlib.suppress(Missing, AttributeError):
                found |= worker.versions
        return dict(sorted(found.items()))


def gate(answers: dict[str, Problem], expected: Problem | None, within: float) -> dict[str, float]:
    """Largest deviation of each entrant, relative to the largest entry of each array.

    The yardstick is ``expected``, or the first entrant. Raises Disagreement beyond ``within``.
    """
    yardstick = expected if expected is not None else next(iter(answers.values()), {})
    deviations = {}
    for name, answer in answers.items():
        if answer.keys() != yardstick.keys():
            raise Disagreement(f"{name} must answer {sorted(yardstick)}, got {sorted(answer)}")
        for key, wanted in yardstick.items():
            if answer[key].shape != wanted.shape:
                raise Disagreement(
                    f"{name}: {key} must have shape {wanted.shape}, got {answer[key].shape}"
                )
        deviations[name] = max(_deviation(answer[key], yardstick[key]) for key in yardstick)
        if not deviations[name] <= within:  # NaN disagrees too
            raise Disagreement(
                f"{name} must agree to {within:g}, is off by {deviations[name]:.2g}: "
                "the race would compare two different computations"
            )
    return deviations


def _deviation(values: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(values - wanted).max() / max(np.abs(wanted).max(), 1e-300))


class Field:
    """The entrants that are still in the race, and why the others are not."""

    def __init__(self, entrants: Iterable[Entrant], pool: Pool):
        self.entrants, self.pool, self.missing = list(entrants), pool, []
        self.each(pool.get)  # all start before anyone is waited for

    def each(self, act: Callable[[Entrant], T]) -> dict[str, T]:
        """What ``act`` returned for each; an entrant that fails is out from then on."""
        results = {}
        for entrant in list(self.entrants):
            try:
                results[entrant.name] = act(entrant)
            except Missing as why:
                self.entrants.remove(entrant)
                self.missing.append({"name": entrant.name, "reason": str(why)})
        return results


@dataclass(frozen=True)
class Result:
    """Seconds of every round of every entrant, and who is missing."""

    entrants: list[dict]
    missing: list[dict]


def race(
    pool: Pool,
    entrants: Iterable[Entrant],
    problem: Problem,
    *,
    rounds: int,
    precision: str,
    within: float,
    expected: Problem | None = None,
    least: float = 0.1,
) -> Result:
    """Let all solve the problem in float64 and pass ``gate``, then time them in ``precision``.

    A round repeats the solution until it lasts ``least`` seconds; its time is that of one.
    """
    field = Field(entrants, pool)
    with tempfile.TemporaryDirectory() as folder:
        stored, answer = store(problem, Path(folder) / "problem.npz"), Path(folder) / "answer.npz"
        field.each(lambda e: pool.get(e).prepare("gate", e, stored, "float64", 0.0))
        answers = field.each(lambda e: pool.get(e).answer("gate", answer))
        deviation = gate(answers, expected, within)
        first = field.each(lambda e: pool.get(e).prepare("race", e, stored, precision, least))
    turns = [field.each(lambda e: pool.get(e).round("race")) for _ in range(rounds)]
    results = [
        {
            "name": entrant.name,
            "seconds": (seconds := [turn[entrant.name] for turn in turns]),
            "median": median(seconds),
            "first": first[entrant.name],
            "deviation": deviation[entrant.name],
        }
        for entrant in field.entrants
    ]
    return Result(results, field.missing)
