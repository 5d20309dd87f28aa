"""Checkers for the exercises of chapters/population_codes.md."""

import math

import torch
from scipy.special import iv
from torch import Tensor

from toymodels.page import Exercise
from toymodels.population_codes import Readout, RingCode, bump, spectrum, theory

DOUBLE = torch.float64
RESPONSES = torch.tensor(
    [
        [1.0, 0.2, 0.0, 0.5, 0.1],
        [0.3, 0.9, 0.4, 0.0, 0.2],
        [0.1, 0.3, 1.2, 0.3, 0.0],
        [0.6, 0.0, 0.2, 0.7, 0.8],
    ],
    dtype=DOUBLE,
)
TARGETS = torch.tensor([[1.0, -1.0, 0.5, 0.2], [0.3, 0.4, -0.8, 1.0]], dtype=DOUBLE)


def _powers(r: Tensor, f: Tensor) -> Tensor:
    return (torch.linalg.svd(r, full_matrices=False)[0].T @ f) ** 2


def _cumulative(r: Tensor, f: Tensor) -> Tensor:
    power = _powers(r, f)
    return power.cumsum(0) / power.sum()


def _backwards(r: Tensor, f: Tensor) -> Tensor:
    power = _powers(r, f).flip(0)
    return power.cumsum(0) / power.sum()


def _amplitudes(r: Tensor, f: Tensor) -> Tensor:
    size = _powers(r, f).sqrt()
    return size.cumsum(0) / size.sum()


def _overtaken() -> int:
    angle = torch.arange(360, dtype=DOUBLE) * (2 * torch.pi / 360)
    two = RingCode(bump(angle, torch.tensor([4.0, 16.0], dtype=DOUBLE)))
    square = torch.sign(torch.cos(angle + torch.pi / 360))
    sizes = torch.arange(1, 201)
    E = theory(Readout(two, square, 0.1 * spectrum(two).sum(-1), noise=0.1), sizes).error
    return int(sizes[E[1] < E[0]].min())


bessel = Exercise(
    question="The first three eigenvalues",
    solution=[math.exp(-8) * float(iv(m, 4)) ** 2 for m in range(3)],
    mistakes={
        "those are the Fourier coefficients: an eigenvalue is the square of one.": [
            math.exp(-4) * float(iv(m, 4)) for m in range(3)
        ],
        "the tuning curve is divided by its peak: the factor exp(-4) is missing.": [
            float(iv(m, 4)) ** 2 for m in range(3)
        ],
        "that is the power of both waves of a frequency: an eigenvalue belongs to one function.": [
            (1 if m == 0 else 2) * math.exp(-8) * float(iv(m, 4)) ** 2 for m in range(3)
        ],
    },
)

tuned = Exercise(
    question="The best concentration for a frequency",
    solution=lambda m: 2 * m**2,
    mistakes={
        "that maximises the eigenvalue itself: divide by the mean square response.": (
            lambda m: m**2
        ),
        "that is the width: the concentration is one over its square.": (
            lambda m: 1 / (2**0.5 * m)
        ),
        "the exponent of the transform holds the frequency squared, and so does the answer.": (
            lambda m: 2 * m
        ),
    },
    inputs=((1.0,), (3.0,), (5.0,)),
)

blind = Exercise(
    question="The error of a target that no neuron sees",
    solution=2.5,
    mistakes={
        "that is B alone: what is missed acts as noise, and the noise is amplified.": 1.0,
        "that is what chance writes into the modes; the target itself is missed, too.": 1.5,
        "the share of modes that is learned does not help: the target has none of them.": 0.4,
    },
)

cumulative = Exercise(
    question="Cumulative power",
    solution=_cumulative,
    mistakes={
        "the modes stand in the wrong order: the largest eigenvalue comes first.": _backwards,
        "powers are squares of the coefficients.": _amplitudes,
        "add the powers up: that is the share of each mode by itself.": (
            lambda r, f: _powers(r, f) / _powers(r, f).sum()
        ),
        "a share has no unit: divide by the power of the target.": (
            lambda r, f: _powers(r, f).cumsum(0)
        ),
    },
    inputs=((RESPONSES, TARGETS[0]), (RESPONSES, TARGETS[1])),
)

OVERTAKEN = _overtaken()
overtake = Exercise(
    question="Examples from which on narrow is better",
    solution=float(OVERTAKEN),
    mistakes={
        "there broad is still better: the first size at which narrow wins is one more.": float(
            OVERTAKEN - 1
        ),
    },
)

cheap = Exercise(
    question="Rate of a scrambled wave over that of bells",
    solution=math.pi**0.5 / 2,
    mistakes={
        "the power is the same, but the rate is the mean amplitude, not its root mean square.": 1.0,
        "a wave has two components, a cosine and a sine; that is the mean size of one.": (
            (2 / math.pi) ** 0.5
        ),
        "each component carries half of the power: you gave both the whole.": (
            (math.pi / 2) ** 0.5
        ),
    },
)
