"""Checkers for the exercises of chapters/kernel_regression.md."""

import torch
from torch import Tensor

from toymodels.numerics.spectra import sphere_degeneracy
from toymodels.page import Exercise

DOUBLE = torch.float64
KERNEL = torch.tensor([[2.0, 0.6, 0.3], [0.6, 1.0, -0.4], [0.3, -0.4, 1.5]], dtype=DOUBLE)
LABELS = torch.tensor([1.0, -0.5, 2.0], dtype=DOUBLE)


def _resolvent(kernel: Tensor, ridge: float) -> Tensor:
    return torch.linalg.inv(kernel + ridge * torch.eye(len(kernel), dtype=kernel.dtype))


def _left_out(kernel: Tensor, labels: Tensor, ridge: float) -> Tensor:
    G = _resolvent(kernel, ridge)
    return ((G @ labels / G.diagonal()) ** 2).mean()


def _cross_validated(kernel: Tensor, labels: Tensor, ridge: float) -> Tensor:
    G = _resolvent(kernel, ridge)
    return ((G @ labels) ** 2).mean() / G.diagonal().mean() ** 2


def _residual(kernel: Tensor, labels: Tensor, ridge: float) -> Tensor:
    return ((ridge * _resolvent(kernel, ridge) @ labels) ** 2).mean()


harm = Exercise(
    question="Sample sizes between which a fit without a ridge is worse than zero",
    solution=[75.0, 125.0],
    mistakes={
        "that ends at the peak: beyond it the error must come down again first.": [75.0, 100.0],
        "that begins at the least error: there the fit is at its best.": [50.0, 125.0],
        "above the peak the noise term is noise / (a - 1), not a / (a - 1) times it.": [
            75.0,
            400 / 3,
        ],
    },
)

tempered = Exercise(
    question="Noise part of the error of an interpolating fit, over the noise",
    solution=lambda b: b - 1,
    mistakes={
        "that is the error on fresh noisy labels: they bring one noise of their own.": lambda b: b,
        "it is not benign: the modes beyond the edge never average the noise away.": lambda b: 0.0,
        "that is 1 - gamma, by which one divides.": lambda b: 1 / b,
        "that is gamma: a share of the budget, not yet the price.": lambda b: 1 - 1 / b,
    },
    inputs=((1.5,), (2.0,), (4.0,)),
)

left_out = Exercise(
    question="The left-out error",
    solution=_left_out,
    mistakes={
        "that is generalised cross-validation: each residual has a G_ii of its own.": (
            _cross_validated
        ),
        "that is the training error: divide each residual by ridge G_ii.": _residual,
        "the ridge is missing in the inverse.": lambda K, y, ridge: _left_out(K, y, 0.0),
        "the ridge is not multiplied by n here.": lambda K, y, ridge: _left_out(K, y, 3 * ridge),
    },
    inputs=((KERNEL, LABELS, 0.5), (KERNEL, LABELS.flip(0), 0.1)),
)

best_kernel = Exercise(
    question="The best exponent of the kernel",
    solution=2.0,
    mistakes={
        "eigenvalues are variances of coefficients: the target's amplitudes fall as 1/k.": 1.0,
        "the power must match, not its square.": 4.0,
    },
    within=0.03,
)

half_learned_shell = Exercise(
    question="Samples that learn half of the quadratic shell",
    solution=float(
        (
            sphere_degeneracy(10, torch.arange(4))
            * (0.1 ** torch.arange(4, dtype=DOUBLE))
            / (0.1 ** torch.arange(4, dtype=DOUBLE) + 0.01)
        ).sum()
    ),
    mistakes={
        "each degree counts once per harmonic: multiply by the degeneracy N(d, l).": float(
            (
                0.1 ** torch.arange(4, dtype=DOUBLE) / (0.1 ** torch.arange(4, dtype=DOUBLE) + 0.01)
            ).sum()
        ),
        "half of the shell alone; the other shells take their share of the samples too.": 27.0,
    },
)

out_of_sight = Exercise(
    question="A target the kernel cannot see",
    solution=0.65,
    mistakes={
        "the unseen power counts twice: as itself, and as noise on the seen modes.": 0.55,
        "you left the unseen power out altogether.": 0.45,
    },
)

on_a_line = Exercise(
    question="Exact over predicted error on a line",
    solution=4 / 3,
    mistakes={
        "that is for equal gaps: random ones have twice their mean square.": 2 / 3,
        "then the theory would be right: put its 1/(4n) below the exact error.": 1.0,
        "that is n times the exact error: divide it by the prediction.": 1 / 3,
        "that is n times the prediction: put the exact error above it.": 1 / 4,
        "a bridge of length g has the mean variance g/6, its middle has g/4.": 2.0,
    },
)
