"""Arguments for ``bad_arguments`` where the annotations do not say enough, made anew each time."""

import torch

from toymodels import oscillator, signal_propagation
from toymodels.kernel_regression import KernelRegression
from toymodels.networks import GradientDescent, Perceptron
from toymodels.networks.data import Samples
from toymodels.numerics.estimate import Estimate

DOUBLE = torch.float64


def row(*numbers):
    return lambda: torch.tensor(numbers, dtype=DOUBLE)


def weights():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 3), (2, 1, 4)]
    return [torch.randn(s, generator=generator, dtype=DOUBLE) / 2 for s in shapes]


def samples():
    return Samples(torch.eye(3, dtype=DOUBLE), torch.ones(3, 1, dtype=DOUBLE))


NETWORK = {"network": lambda: Perceptron(torch.tanh), "weights": weights}
INPUTS = {"inputs": lambda: torch.eye(3, dtype=DOUBLE)}
WIDTHS = {"widths": lambda: [3, 4, 4, 1]}
SHAPE = {"shape": lambda: (2, 3)}
NUMERICS, NETWORKS = "toymodels.numerics", "toymodels.networks"


def shells():
    """Three degrees on a sphere."""
    return KernelRegression([1.0, 0.5, 0.1], [1.0, 0.5, 0.2], degeneracy=[1, 3, 5], ridge=0.1)


def swing():
    return oscillator.experiment(oscillator.Oscillator([0.5], 1.0, 1.0), 20, seed=0)


GOOD = {
    "toymodels.kernel_regression.sphere_experiment": {
        "model": shells,
        "kernel": lambda: torch.exp,
        "dimension": lambda: 3,
    },
    "toymodels.oscillator.winding": {"motion": swing},
    "toymodels.oscillator.orbit": {"model": lambda: oscillator.Oscillator([0.5], 1.0, quartic=0.1)},
    "toymodels.signal_propagation.marginal": {
        "activation": lambda: torch.tanh,
        "kernel": row(0.5),
        "susceptibility": lambda: signal_propagation.parallel,
    },
    f"{NETWORKS}.data.Batches": {"samples": samples, "size": lambda: 2},
    f"{NETWORKS}.ensemble.train": {
        "weights": weights,
        "data": samples,
        "rule": lambda: GradientDescent(0.1),
        "record": lambda: torch.tensor([0, 2]),
        "observe": lambda: {"loss": lambda state: state.losses()},
    },
    **{f"{NETWORKS}.parameterization.{name}": WIDTHS for name in ("standard", "tangent")},
    **{f"{NETWORKS}.parameterization.{name}": WIDTHS for name in ("mean_field", "residual")},
    f"{NETWORKS}.rules.WeightDecay": {"rule": lambda: GradientDescent(0.1)},
    f"{NETWORKS}.tangent.tangent_kernel": NETWORK | INPUTS,
    f"{NETWORKS}.tangent.feature_kernels": NETWORK | INPUTS,
    **{f"{NUMERICS}.draws.{name}": SHAPE for name in ("normal", "uniform")},
    f"{NUMERICS}.draws.integers": SHAPE | {"high": lambda: 5},
    **{f"{NUMERICS}.contour.{name}": {"time": row(0.5, 1.0)} for name in ("talbot",)},
    f"{NUMERICS}.contour.invert": {"transform": lambda: lambda z: 1 / (z + 1), "time": row(0.5)},
    f"{NUMERICS}.contour.invert_pair": {
        "transform": lambda: lambda z, w: 1 / (z + 1) / (w + 1),
        "first": row(0.5),
        "second": row(0.7),
    },
    f"{NUMERICS}.estimate.mean": {"samples": row(1.0, 2.0, 4.0), "axis": lambda: 0},
    f"{NUMERICS}.estimate.standard_error": {"samples": row(1.0, 2.0), "axis": lambda: 0},
    f"{NUMERICS}.estimate.fraction": {
        "hits": lambda: torch.tensor([True, False, True]),
        "axis": lambda: 0,
    },
    f"{NUMERICS}.estimate.slope": {
        "x": row(0.0, 1.0, 2.0),
        "y": lambda: Estimate(row(1.0, 2.0, 3.1)(), row(0.1, 0.1, 0.1)(), 9),
    },
    f"{NUMERICS}.clock.first_passage": {"path": row(0.0, 0.4, 1.0), "level": lambda: 0.5},
    f"{NUMERICS}.expectation.pair_average": {
        "first": lambda: torch.tanh,
        "second": lambda: torch.relu,
        "first_variance": row(1.0),
        "second_variance": row(2.0),
        "covariance": row(0.5),
    },
    f"{NUMERICS}.expectation.pair_table": {"angle": row(0.5, 1.0)},
    f"{NUMERICS}.spectra.sphere_spectrum": {
        "kernel": lambda: torch.exp,
        "dimension": lambda: 3,
        "degrees": lambda: 4,
    },
    f"{NUMERICS}.spectra.measured_spectrum": {"kernel": lambda: torch.eye(3, dtype=DOUBLE)},
    f"{NUMERICS}.spectra.sphere_degeneracy": {"degree": lambda: torch.arange(4)},
    f"{NUMERICS}.integrate.solve": {
        "rate": lambda: lambda t, y: -y,
        "start": row(1.0, 2.0),
    },
    f"{NUMERICS}.fixed_point.solve": {
        "ratio": lambda: lambda x: (1 / x, -torch.ones_like(x)),
        "low": row(0.5),
        "high": row(2.0),
    },
}
