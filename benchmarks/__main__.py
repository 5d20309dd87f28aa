"""Measure this machine, print one table, store one dated record.

usage: python -m benchmarks [--gpu] [--quick] [--results FOLDER]
"""

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

import torch

from benchmarks import gpu, machine, report, study
from benchmarks.race import Disagreement, Pool

QUICK_RESULTS = Path("_build") / "benchmarks"


def processor(quick: bool) -> dict:
    """Everything that is measured without a graphics card."""
    rounds, least = (2, 0.0) if quick else (5, 0.15)
    with Pool(install=not quick) as pool:
        say("ceilings of one core")
        roof = study.ceilings(pool, *((64, 1 << 12) if quick else (1536, 1 << 26)), rounds, least)
        races = []
        for contest in study.contests(quick):
            say(contest.name)
            slow = contest.kind == "modes"  # the loop takes seconds a round
            races.append(study.hold(pool, contest, min(rounds, 3) if slow else rounds, least))
        say("chapters")
        chapters, lost = study.chapters(pool, min(rounds, 3), least / 3)
        growths = []
        for axis, sizes in study.sweeps(quick).items():
            say(f"cost against {axis}")
            growths.append(study.growth(pool, axis, sizes, rounds, least / 3))
        versions = pool.versions()
    say("memory")
    held = [study.memory(entrant, study.memory_sizes(quick)) for entrant in study.MEMORY]
    return {
        "ceilings": roof,
        "races": races,
        "large": [],
        "scaling": growths,
        "memory": held,
        "chapters": chapters,
        "missing": lost,
        "versions": versions,
    }


def say(what: str) -> None:
    print(f"[{time.monotonic() - START:5.0f} s] {what}", file=sys.stderr, flush=True)


START = time.monotonic()


def measure(kind: str, quick: bool) -> dict:
    """The record of this machine, checked against the schema when it is written."""
    before = machine.load()
    if kind == "gpu":
        name, found = torch.cuda.get_device_name(), gpu.study("cuda", quick, say)
    else:
        name, found = machine.processor(), processor(quick)
    record = {
        "format": 1,
        "date": datetime.date.today().isoformat(),
        "kind": kind,
        "quick": quick,
        "machine": machine.describe() | {"name": name},
        "load": {"before": before, "after": machine.load()},
        "seconds": round(time.monotonic() - START),
    } | found
    return record | {"targets": report.targets(record)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--gpu", action="store_true", help="measure the graphics card")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--results", type=Path, help="folder of the record")
    asked = parser.parse_args()
    if asked.gpu and not torch.cuda.is_available():
        sys.exit("no graphics card that torch can use: nothing was measured")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        record = measure("gpu" if asked.gpu else "cpu", asked.quick)
    except Disagreement as wrong:
        sys.exit(f"nothing was timed: {wrong}")
    usual = QUICK_RESULTS if asked.quick else report.RESULTS
    target = report.write(record, asked.results or usual)
    print(report.table(record))
    print(f"\nwritten to {target.name}")


if __name__ == "__main__":
    main()
