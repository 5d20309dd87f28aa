"""Sweeps that took minutes: errors and losses against samples, and where they come from."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.estimate import Estimate
from toymodels.sweeps.store import read

STORED = Path(__file__).parents[1] / "results" / "random_hierarchy"


@dataclass(frozen=True)
class Stored:
    """Curves by (learner, v, m, L)."""

    origin: dict  # script, seed, date, versions
    curves: dict[tuple, dict[str, Tensor]]  # "samples" (point,) and "value" (point, member)


@door(origin="experiment")
def stored(folder: Path = STORED) -> Stored:
    """What ``tools/figures_hierarchy.py`` computed last. Raises ValueError on a damaged file."""
    origin, curves = {}, {}
    for file in sorted(folder.glob("*.point")):
        header, fields = read(file)
        point = header["point"]
        key = tuple(point[name] for name in ("learner", "v", "m", "L"))
        curves[key] = {name: torch.from_numpy(x).double() for name, x in fields.items()}
        origin = header["code"] | {"date": header["date"]}
    return Stored(origin, curves)


@door
def half_error(samples: Float[Tensor, " point"], error: Float[Tensor, "point member"]) -> Estimate:
    """Samples at which the mean error first is one half, and the jackknife error of that.

    Straight lines in ln(samples). Raises ValueError if the errors do not pass one half.
    """
    return _jackknife(error, lambda mean: _passage(samples.log(), mean).exp())


@door
def decay(samples: Float[Tensor, " point"], loss: Float[Tensor, "point member"]) -> Estimate:
    """Slope of - ln(mean loss) against ln(samples), by least squares, and its jackknife error.

    Members share no draws, but the points of one member share its grammar.
    """
    x = samples.log() - samples.log().mean()

    def fitted(mean: Tensor) -> Tensor:
        return -(x @ mean.log()) / x.square().sum()

    return _jackknife(loss, fitted)


def _passage(x: Tensor, mean: Tensor) -> Tensor:
    below = mean < 0.5
    if below[0] or not below.any():
        raise ValueError(f"error must pass one half, got {mean[0]:.2g} to {mean[-1]:.2g}")
    last = int(below.int().argmax())
    share = (mean[last - 1] - 0.5) / (mean[last - 1] - mean[last])
    return x[last - 1] + share * (x[last] - x[last - 1])


def _jackknife(samples: Tensor, function) -> Estimate:
    members = samples.shape[-1]
    whole, total = function(samples.mean(-1)), samples.sum(-1)
    without = torch.stack(
        [function((total - samples[:, k]) / (members - 1)) for k in range(members)]
    )
    error = ((members - 1) * without.var(0, correction=0)).sqrt()
    return Estimate(whole, error, members)
