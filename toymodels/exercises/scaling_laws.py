"""Checkers for the exercises of chapters/scaling_laws.md."""

import torch
from torch import Tensor

from toymodels.numerics import power_law, talbot
from toymodels.page import Exercise

DOUBLE = torch.float64
LAM, POWER = power_law(100, 1.5), power_law(100, 2.0)


def _static_ridge(size: float) -> Tensor:
    """kappa with sum lam / (lam + kappa) = size, by bisection."""
    low, high = torch.zeros((), dtype=DOUBLE), LAM.sum() / size
    for _ in range(80):
        middle = (low + high) / 2
        spent = (LAM / (LAM + middle)).sum()
        low, high = (middle, high) if spent > size else (low, middle)
    return high


def _plateaus(size: float) -> tuple[Tensor, Tensor, Tensor]:
    """Projection, squares alone, and kernel regression."""
    kappa = _static_ridge(size)
    learned = LAM / (LAM + kappa)
    bias = (POWER * (1 - learned) ** 2).sum()
    return (POWER * (1 - learned)).sum(), bias, bias / (1 - (learned**2).sum() / size)


def _transform(z: Tensor, lam: Tensor, power: Tensor, width: float) -> Tensor:
    kappa = z + lam.sum() / width
    for _ in range(60):  # z (1 + sum lam / (N z')) with z' = kappa - ..., made to converge
        learned = lam / (lam + kappa[..., None])
        left = 1 - learned.sum(-1) / width
        slope = left + (learned * (1 - learned)).sum(-1) / width
        kappa = kappa - (kappa * left - z) / slope
    return (power * kappa[..., None] / (lam + kappa[..., None])).sum(-1) / z


def _loss(lam: Tensor, power: Tensor, width: float, time: float) -> Tensor:
    z, weight = talbot(torch.tensor(2.0 * time, dtype=DOUBLE))
    return (weight * _transform(z, lam, power, width)).sum().real


def _bias(lam: Tensor, power: Tensor, width: float, time: float) -> Tensor:
    z, weight = talbot(torch.tensor(1.0 * time, dtype=DOUBLE))
    each = [_transform(z, lam, one, width) for one in torch.diag(torch.ones_like(lam))]
    response = torch.stack([(weight * mode).sum().real for mode in each])
    return (power * response**2).sum()


def _dense(source: float, capacity: float) -> float:
    if source - 1 < capacity:
        return (source - 1) / (2 + capacity)
    if capacity > 2:  # the onset grows with the width at fixed compute
        return capacity / (2 + capacity)
    return (source - 1) / (2 * source - capacity)


SMALL = torch.tensor([1.0, 0.4, 0.15, 0.05, 0.02], dtype=DOUBLE)
WEIGHT = torch.tensor([0.3, 0.5, 0.4, 0.2, 0.1], dtype=DOUBLE)
WIDTH_PLATEAU, WIDTH_BIAS, DATA_PLATEAU = (float(x) for x in _plateaus(40.0))

worst_moment = Exercise(
    question="Time at which a finite width hurts most",
    solution=1.0,
    mistakes={
        "that is for the missed coefficient: a loss is its square and decays twice as fast.": 2.0,
        "the mean rate does not change with the width, its spread does.": 0.5,
    },
)

ensemble = Exercise(
    question="Loss of the average of two networks",
    solution=0.65625,
    mistakes={
        "that is one network of the two.": 0.75,
        "that is the average of infinitely many.": 0.5625,
        "only the part that differs between the two is halved.": 0.375,
        "that is one network with all the neurons.": 0.5,
    },
)

plateaus = Exercise(
    question="What forty neurons and what forty samples leave",
    solution=[WIDTH_PLATEAU, DATA_PLATEAU],
    mistakes={
        "that is the bias, of an average over all draws, in both cases.": [WIDTH_BIAS, WIDTH_BIAS],
        "the same effective ridge, but data and neurons fluctuate differently.": [WIDTH_PLATEAU]
        * 2,
        "neurons project: what they miss is not squared.": [WIDTH_BIAS, DATA_PLATEAU],
    },
)

contour = Exercise(
    question="The loss from a contour",
    solution=_loss,
    mistakes={
        "the response at twice the time is the loss: you took it at the time itself.": (
            lambda lam, power, width, time: _loss(lam, power, width, time / 2)
        ),
        "that is the square of the mean response: a single network misses more.": _bias,
        "that is the loss of an infinitely wide network.": (
            lambda lam, power, width, time: (power * torch.exp(-2 * lam * time)).sum()
        ),
    },
    inputs=((SMALL, WEIGHT, 3.0, 4.0), (SMALL, WEIGHT, 2.0, 12.0)),
)

stopping = Exercise(
    question="When to stop",
    solution=0.61852,
    mistakes={
        "the noise is a variance, it is not squared once more.": 1.1186,
        "the noise is a variance, not a standard deviation: no root is taken.": 0.4632,
    },
    within=0.02,
)

dense = Exercise(
    question="Exponent of the frontier where a step costs the square of the width",
    solution=_dense,
    mistakes={
        "that is for C = N t.": lambda a, b: (a - 1) / (1 + b) if a - 1 < b else (a - 1) / a,
        "for an easy target the early correction is what the width pays for.": (
            lambda a, b: (a - 1) / (2 + b) if a - 1 < b else (a - 1) * b / (b**2 + 2 * (a - 1))
        ),
        "that is the exponent of the time.": (
            lambda a, b: b / (2 + b) if a - 1 < b or b > 2 else b / (2 * a - b)
        ),
        "for a steep spectrum onset and time both grow with the width at fixed C: no minimum.": (
            lambda a, b: (a - 1) / (2 + b) if a - 1 < b else (a - 1) / (2 * a - b)
        ),
        "the hard branch ends where a - 1 reaches b.": lambda a, b: (a - 1) / (2 + b),
    },
    inputs=((2.0, 1.5), (1.5, 2.0), (4.0, 1.5), (3.5, 1.2), (6.0, 3.0)),
)
