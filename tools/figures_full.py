"""Train the full phase diagrams of ``chapters/data_separation.md`` and store what they show.

usage: python -m tools.figures_full

Eight diagrams, two sets of data times four kinds of noise, each one stack of networks (batch size:
one stack for each size). About ten minutes on one core. They go into the package, so that a
notebook finds them wherever it runs, as a store like that of a sweep: the header of each diagram
names this script, the seed, the versions and the day. Those that are there of the same code stay.
"""

import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from toymodels.data_separation import (
    MEASURED,
    STORED,
    Classifier,
    Data,
    clusters,
    diagram,
    standardized,
)
from toymodels.numerics import draws
from toymodels.sweeps.fingerprint import packages
from toymodels.sweeps.store import Fields, Store

SEED, NETWORKS, STEPS, SAMPLES = 7, 10, 250, 400
SLOPES = [0.0, 0.25, 0.5, 0.75, 1.0]
NOISE = {
    "rate": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
    "dropout": [0.0, 0.05, 0.1, 0.15, 0.2, 0.3],
    "data": [0.0, 0.2, 0.4, 0.7, 1.0, 1.4],
    "batch_size": [256, 128, 64, 32, 16, 8],
}
FIELDS = {"data": ("input_noise", "label_noise")}  # of the model; the others are their own
NETWORK = {"hidden_layers": 6, "width": 32, "rate": 3e-3, "batch_size": 64}


def digits() -> Data:
    """scikit-learn's images of handwritten digits, in a random order."""
    images = load_digits()
    order = draws.uniform(SEED, "order of the digits", 1, (len(images.target),))[0].argsort()
    points = torch.from_numpy(images.data).float()[order]
    return standardized(points, torch.from_numpy(images.target)[order].long(), samples=SAMPLES)


def clouds() -> Data:
    return clusters(
        seed=SEED, classes=6, clusters=18, inputs=40, spread=1.5,
        samples=SAMPLES, test_samples=1500, dtype=torch.float32,
    )  # fmt: skip


def trained(samples: Data, noise: str) -> Fields:
    """One diagram at the end of training; three digits of the separations will do."""
    model = Classifier(slope=torch.tensor(SLOPES), **NETWORK)
    axes = dict.fromkeys(FIELDS.get(noise, (noise,)), torch.tensor(NOISE[noise]))
    record = torch.tensor([STEPS])
    seen = diagram(model, samples, axes, seed=SEED, members=NETWORKS, record=record)
    last = {name: getattr(seen, name).select(3, -1).numpy() for name in MEASURED}
    kinds = {name: np.float16 if "separation" in name else np.float32 for name in MEASURED}
    return {name: last[name].astype(kinds[name]) for name in MEASURED}


def origin() -> dict:
    """What the header of each diagram says of it."""
    return {
        "script": Path(__file__).relative_to(Path(__file__).parents[1]).as_posix(),
        "seed": SEED,
        **packages(),
        "networks": len(SLOPES) * NETWORKS * sum(map(len, NOISE.values())) * 2,
        "per_cell": NETWORKS,
        "steps": STEPS,
        "samples": SAMPLES,
        "network": NETWORK,
        "data": ["clusters", "digits"],
        "slope": SLOPES,
        "noise": NOISE,
    }


def main() -> None:
    torch.set_num_threads(1)
    store, start = Store(STORED, origin()), time.process_time()
    store.open(on_change="recompute")
    for data, samples in {"clusters": clouds(), "digits": digits()}.items():
        for noise in NOISE:
            point = {"data": data, "noise": noise}
            if store.load(point) is None:
                store.save(point, trained(samples, noise))
            spent = time.process_time() - start
            print(f"{data}, {noise}: {spent:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
