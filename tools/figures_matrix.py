"""Run the whole matrix of ``chapters/phenomena.md`` and store what its cells are made of.

usage: python -m tools.figures_matrix

Every candidate on every task, with the seed of the protocol. Half an hour on one slow core. What is
stored already, with the same settings, stays.
"""

import time

import torch

from tools.provenance import provenance
from toymodels.matrix.runs import SIZES, Scale, compute, points
from toymodels.matrix.stored import STORED
from toymodels.sweeps.store import Store


def origin() -> dict:
    """What the header of each result says of it."""
    scale = Scale()
    return provenance(
        __file__,
        seed=scale.seed,
        members=scale.members,
        problems=scale.problems,
        sizes={str(d): sizes for d, sizes in SIZES.items()},
    )


def main() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    store, start = Store(STORED, origin()), time.process_time()
    store.open(on_change="refuse")
    for point in points():
        if store.load(point) is None:
            store.save(point, compute(point, Scale()))
        print(f"{point}: {time.process_time() - start:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
