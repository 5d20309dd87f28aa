"""Train the full phase diagrams of ``chapters/data_separation.md`` and store what they show.

usage: python -m tools.figures_full

Eight diagrams, two sets of data times four kinds of noise, each one stack of networks (batch size:
one stack for each size). About ten minutes on one core. The result goes into the package, so that
a notebook finds it wherever it runs; its line ``origin`` names this script, the seed and the day.
"""

import json
import time
from datetime import UTC, datetime
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


def main() -> None:
    torch.set_num_threads(1)
    model = Classifier(slope=torch.tensor(SLOPES), **NETWORK)
    arrays, start = {}, time.process_time()
    for data, samples in {"clusters": clouds(), "digits": digits()}.items():
        for noise, values in NOISE.items():
            axes = dict.fromkeys(FIELDS.get(noise, (noise,)), torch.tensor(values))
            record = torch.tensor([STEPS])
            seen = diagram(model, samples, axes, seed=SEED, networks=NETWORKS, record=record)
            for name in MEASURED:
                kind = np.float16 if "separation" in name else np.float32  # three digits will do
                last = getattr(seen, name).select(3, -1)
                arrays[f"{data}/{noise}/{name}"] = last.numpy().astype(kind)
            spent = time.process_time() - start
            print(f"{data}, {noise}: {spent:.0f} s of processor time", flush=True)
    origin = {
        "script": Path(__file__).relative_to(Path(__file__).parents[1]).as_posix(),
        "seed": SEED,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": packages(),
        "networks": len(SLOPES) * NETWORKS * sum(map(len, NOISE.values())) * 2,
        "per_cell": NETWORKS,
        "steps": STEPS,
        "samples": SAMPLES,
        "network": NETWORK,
        "data": ["clusters", "digits"],
        "slope": SLOPES,
        "noise": NOISE,
    }
    STORED.parent.mkdir(exist_ok=True)
    np.savez_compressed(STORED, origin=json.dumps(origin), **arrays)
    print(f"{STORED.name}: {STORED.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
