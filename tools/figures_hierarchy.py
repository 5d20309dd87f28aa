"""Learning curves on random hierarchies for ``chapters/coarse_graining.md``, stored.

usage: python -m tools.figures_hierarchy

Counting, tree networks and networks of one hidden layer against samples, and the loss of predicting
the last symbol of a text by tables and by networks. About ten minutes on one core. What is stored
already, with the same settings, stays.
"""

import time
from dataclasses import asdict, replace

import numpy as np
import torch

from tools.provenance import provenance
from toymodels.random_hierarchy import (
    Course,
    RandomHierarchy,
    counting_error,
    network_error,
    network_loss,
    table_losses,
)
from toymodels.random_hierarchy.stored import STORED
from toymodels.sweeps.store import Fields, Store

SEED, COUNTED, TRAINED, WRITTEN, SPOKEN = 11, 24, 8, 24, 4
SIZES = [(8, m, L) for L in (2, 3) for m in (2, 3, 4, 6)]
LEARNED = [(8, 4, 2), (8, 6, 2), (8, 3, 3), (8, 4, 3)]
# levels of contexts, and doublings of the samples: two steps of the curve or more
TEXTS = {(4, 2, 7): (5, 8), (8, 3, 6): (4, 8), (8, 4, 5): (4, 10)}
SPEAKER = Course(batch=128, steps=1200, looks=30)
# of which each network has its best, at every number of samples
RATES = {"classes": (0.01, 0.03, 0.06), "text": (0.003, 0.01, 0.03)}


def counted(v: int, m: int, levels: int) -> Fields:
    model = RandomHierarchy(v, m, levels)
    samples = [max(4, round(model.scale * 2 ** (k / 2))) for k in range(-4, 6)]
    errors = [counting_error(model, P, seed=SEED, members=COUNTED).numpy() for P in samples]
    return {"samples": np.array(samples), "value": np.array(errors)}


def trained(v: int, m: int, levels: int, *, deep: bool) -> Fields:
    model = RandomHierarchy(v, m, levels)
    samples = [round(model.scale * 2.0**k) for k in range(-1, 4 if deep or levels == 2 else 5)]

    def at(P: int, rate: float) -> torch.Tensor:
        setting = {"seed": SEED, "members": TRAINED, "deep": deep}
        return network_error(model, P, course=Course(rate=rate), **setting)

    return tuned(samples, RATES["classes"], at)


def tuned(samples: list[int], rates: tuple[float, ...], function) -> Fields:
    """What networks reach at the best of their rates, chosen by the mean over members."""
    values, best = [], []
    for P in samples:
        tried = [function(P, rate) for rate in rates]
        k = int(torch.stack(tried).mean(-1).argmin())
        values.append(tried[k].numpy())
        best.append(rates[k])
    return {"samples": np.array(samples), "value": np.array(values), "rate": np.array(best)}


def written(v: int, m: int, levels: int) -> Fields:
    """The losses of all contexts at each number of samples, (point, context, member)."""
    model, (contexts, doublings) = RandomHierarchy(v, m, levels), TEXTS[v, m, levels]
    samples = [240 * 2**k for k in range(doublings)]
    found = [table_losses(model, P, contexts, seed=SEED, members=WRITTEN) for P in samples]
    return {"samples": np.array(samples)} | {
        name: np.stack([losses[name].numpy() for losses in found]) for name in ("groups", "raw")
    }


def spoken(v: int, m: int, levels: int, *, shared: bool) -> Fields:
    model = RandomHierarchy(v, m, levels)

    def at(P: int, rate: float) -> torch.Tensor:
        setting = {"seed": SEED, "members": SPOKEN, "shared": shared}
        return network_loss(model, P, course=replace(SPEAKER, rate=rate), **setting)

    return tuned([960 * 4**k for k in range(3)], RATES["text"], at)


def origin() -> dict:
    """What the header of each result says of it."""
    courses = {"classes": Course(), "text": SPEAKER}
    return provenance(
        __file__,
        seed=SEED,
        members={"counting": COUNTED, "networks": TRAINED, "tables": WRITTEN, "text": SPOKEN},
        rates=RATES,
        courses={name: asdict(course) for name, course in courses.items()},
    )


def plan():
    """Learner, sizes and what computes the curve."""
    for size in SIZES:
        yield "counting", size, counted
    for size in LEARNED:
        yield "deep", size, lambda *size: trained(*size, deep=True)
        yield "shallow", size, lambda *size: trained(*size, deep=False)
    for size in TEXTS:
        yield "tables", size, written
    for shared, name in ((True, "shared text"), (False, "own text")):
        yield name, (8, 3, 5), lambda *size, shared=shared: spoken(*size, shared=shared)


def main() -> None:
    torch.set_num_threads(1)
    store, start = Store(STORED, origin()), time.process_time()
    store.open(on_change="refuse")
    for learner, size, function in plan():
        point = {"learner": learner} | dict(zip(("v", "m", "L"), size, strict=True))
        if store.load(point) is None:
            store.save(point, function(*size))
        print(f"{point}: {time.process_time() - start:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
