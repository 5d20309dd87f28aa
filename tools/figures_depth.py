"""Sweep learning rates for ``chapters/residual_depth.md`` and store what they show.

usage: python -m tools.figures_depth

ReLU networks under four scalings, in branches of one matrix and of two, over depths and widths:
the loss at coarse rates first, then at fine ones around the best of them. About ten minutes on one
core. What is stored already, with the same settings, stays.
"""

import time
from dataclasses import asdict

import torch

from tools.provenance import provenance
from toymodels.residual_depth import SCALINGS, STORED, Lesson, transfer
from toymodels.sweeps.store import Fields, Store

SEED, MEMBERS, SCOUTS, LESSON = 3, 12, 4, Lesson()
SIZES = [(8, 32), (8, 128), (4, 64), (8, 64), (16, 64)]  # depth, width
COARSE = {True: torch.arange(-3.0, 2.1), False: torch.arange(-20.0, 2.1)}  # with a branch scale
FINE = {True: torch.arange(-2.0, 2.01, 0.25), False: torch.arange(-2.5, 3.51, 0.25)}


def swept(scaling: str, block: int, depth: int, width: int) -> Fields:
    size = {"depth": depth, "width": width, "block": block, "lesson": LESSON}
    coarse, fine = (grid["exponent" in scaling] for grid in (COARSE, FINE))
    rough = transfer(scaling, coarse, seed=SEED + 1, members=SCOUTS, **size).log().mean(-1)
    rate = coarse[rough.argmin()] + fine
    loss = transfer(scaling, rate, seed=SEED, members=MEMBERS, **size)
    return {"log_rate": rate.numpy(), "loss": loss.numpy()}


def origin() -> dict:
    """What the header of each result says of it."""
    return provenance(__file__, seed=SEED, members=MEMBERS, lesson=asdict(LESSON))


def main() -> None:
    torch.set_num_threads(1)
    store, start = Store(STORED, origin()), time.process_time()
    store.open(on_change="refuse")
    for depth, width in SIZES:
        for block in (1, 2):
            for scaling in SCALINGS:
                point = {"scaling": scaling, "block": block, "depth": depth, "width": width}
                if store.load(point) is None:
                    store.save(point, swept(**point))
                print(f"{point}: {time.process_time() - start:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
