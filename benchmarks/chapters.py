"""Theory and experiment of each chapter, at the size of one of its figures."""

from collections.abc import Callable
from functools import partial

import torch

from toymodels import (
    attention_heads,
    coarse_graining,
    data_separation,
    deep_linear,
    distribution_shift,
    finite_width,
    invariant_capacity,
    kernel_alignment,
    kernel_regression,
    lattice,
    lazy_training,
    mean_field,
    oscillator,
    phenomena,
    population_codes,
    residual_depth,
    scaling_laws,
    sgd_features,
    signal_propagation,
    silent_alignment,
    spring_block,
    tangent_fluctuations,
    temporal_difference,
    tower,
    tree,
)
from toymodels.subset_lattice import polynomial


def of_oscillator() -> dict[str, Callable]:
    model = oscillator.Oscillator(torch.logspace(-3, 0, 64), 1.0, 0.9)
    return {
        "theory": partial(oscillator.theory, model, 1000),
        "experiment": partial(oscillator.experiment, model, 1000, seed=0),
    }


def of_deep_linear() -> dict[str, Callable]:
    model = deep_linear.DeepLinear(torch.tensor([3.0, 2.0, 1.0]), 1e-3)
    time = torch.linspace(0, 6, 61)
    return {
        "theory": partial(deep_linear.theory, model, time),
        "experiment": partial(deep_linear.experiment, model, time, seed=0, width=16, step=1e-2),
    }


def of_kernel_regression() -> dict[str, Callable]:
    mode = torch.arange(1, 201, dtype=torch.get_default_dtype())
    model = kernel_regression.KernelRegression(mode**-2, mode**-1, ridge=1e-3)
    samples = torch.tensor([10, 30, 100])
    return {
        "theory": partial(kernel_regression.theory, model, samples),
        "experiment": partial(kernel_regression.experiment, model, samples, seed=0, members=50),
    }


def of_distribution_shift() -> dict[str, Callable]:
    x = torch.cartesian_prod(*2 * [torch.linspace(-2, 2, 17)])
    kernel, p = torch.exp(-2 * torch.cdist(x, x)), x[:, 0].softmax(0)
    model = distribution_shift.KernelShift(
        (kernel + kernel.mT) / 2, torch.sin(2 * x[:, 1]), p, p.flip(0), ridge=0.5, noise=0.1
    )
    samples = torch.tensor([10, 20, 30])
    return {
        "theory": partial(distribution_shift.theory, model, samples),
        "experiment": partial(distribution_shift.experiment, model, samples, seed=0, members=400),
    }


def of_temporal_difference() -> dict[str, Callable]:
    variance, memory = torch.ones(10), torch.linspace(0.3, 0.9, 10)
    covariance = temporal_difference.fading_memory(variance, memory, 5)
    discount = torch.tensor([0.3, 0.6, 0.9])
    model = temporal_difference.TemporalDifference(covariance, variance, discount, 0.02, 4)
    return {
        "theory": partial(temporal_difference.theory, model, 200),
        "experiment": partial(temporal_difference.experiment, model, 200, seed=0, members=100),
    }


def of_scaling_laws() -> dict[str, Callable]:
    mode = torch.arange(1, 151, dtype=torch.get_default_dtype())
    model = scaling_laws.ScalingLaw(mode**-1.5, mode**-0.25, width=50, samples=100, noise=0.1)
    time = torch.logspace(-0.5, 2.5, 10)
    return {
        "theory": partial(scaling_laws.theory, model, time),
        "experiment": partial(scaling_laws.experiment, model, time, seed=0, members=50),
    }


def of_population_codes() -> dict[str, Callable]:
    angle = torch.arange(200, dtype=torch.get_default_dtype()) * (2 * torch.pi / 200)
    ring = population_codes.RingCode(population_codes.bump(angle, torch.tensor([1.0, 4.0, 16.0])))
    model = population_codes.Readout(ring, angle.cos(), ridge=0.01, noise=0.1)
    samples = torch.tensor([10, 30, 100])
    return {
        "theory": partial(population_codes.theory, model, samples),
        "experiment": partial(population_codes.experiment, model, samples, seed=0, members=50),
    }


def of_invariant_capacity() -> dict[str, Callable]:
    model, patterns = invariant_capacity.InvariantReadout(4), torch.tensor([4, 6, 8, 10, 14])
    return {
        "theory": partial(invariant_capacity.theory, model, patterns),
        "experiment": partial(invariant_capacity.experiment, model, patterns, seed=0, members=100),
    }


def of_sgd_features() -> dict[str, Callable]:
    mode = torch.arange(1, 101, dtype=torch.get_default_dtype())
    model = sgd_features.FeatureSGD(mode**-1.5, mode**-0.25, 0.3, 4, noise=0.1)
    return {
        "theory": partial(sgd_features.theory, model, 200),
        "experiment": partial(sgd_features.experiment, model, 200, seed=0, members=50),
    }


def of_signal_propagation() -> dict[str, Callable]:
    model = signal_propagation.WideNetwork(torch.tanh, torch.linspace(0.5, 3, 16))
    return {
        "theory": partial(signal_propagation.theory, model, 1.0, 20),
        "experiment": partial(
            signal_propagation.experiment, model, 1.0, 20, seed=0, width=64, members=20
        ),
    }


def of_finite_width() -> dict[str, Callable]:
    model = finite_width.FiniteWidth(torch.tanh, torch.linspace(0.5, 3, 16), width=32)
    return {
        "theory": partial(finite_width.theory, model, 1.0, 20),
        "experiment": partial(finite_width.experiment, model, 1.0, 20, seed=0, members=100),
    }


def of_tangent_fluctuations() -> dict[str, Callable]:
    model = tangent_fluctuations.TangentNetwork(torch.tanh, 1.0, bias_rate=1.0)
    return {
        "theory": partial(tangent_fluctuations.theory, model, 1.0, 5),
        "experiment": partial(
            tangent_fluctuations.experiment, model, 1.0, 5, seed=0, width=16, members=500
        ),
    }


def of_lazy_training() -> dict[str, Callable]:
    inputs, label = torch.eye(3) + 0.5, torch.tensor([1.0, -1.0, 0.5])
    model, time = lazy_training.LazyNetwork(inputs, label, torch.erf, 2), torch.linspace(0, 8, 9)
    setting = {"step": 0.5, "seed": 0, "width": 256, "members": 8}
    return {
        "theory": partial(lazy_training.theory, model, time),
        "experiment": partial(lazy_training.experiment, model, time, **setting),
    }


def of_kernel_alignment() -> dict[str, Callable]:
    place, label = torch.linspace(0, 5.5, 12), torch.tensor([1.0, -1, 1, -1]).repeat_interleave(3)
    kernel, rate = torch.exp(-(place[:, None] - place).abs()), torch.tensor([0.0, 1.0, 4.0, 16.0])
    model = kernel_alignment.AligningFeatures(kernel, label / 12**0.5, rate)
    time = torch.linspace(0, 6, 61)
    return {
        "theory": partial(kernel_alignment.theory, model, time),
        "experiment": partial(kernel_alignment.experiment, model, time, seed=0, step=0.01),
    }


def of_silent_alignment() -> dict[str, Callable]:
    target = torch.ones(5) / 5**0.5
    model = silent_alignment.SmallStart(torch.eye(5), target, 1e-3 * target)
    time, setting = torch.linspace(0, 10, 51), {"seed": 0, "width": 64, "members": 8, "step": 0.02}
    return {
        "theory": partial(silent_alignment.theory, model, time),
        "experiment": partial(silent_alignment.experiment, model, time, **setting),
    }


def of_mean_field() -> dict[str, Callable]:
    kernel, label = torch.tensor([[1.0, 0.4], [0.4, 1.0]]), torch.tensor([1.0, -0.6])
    model = mean_field.MeanField(kernel, label, torch.tensor([0.2, 1.0, 3.0]), 1, torch.tanh)
    setting = {"step": 0.1, "seed": 0, "width": 1024, "members": 8}
    return {
        "theory": partial(mean_field.theory, model, 20, step=0.1, points=1 << 15),
        "experiment": partial(mean_field.experiment, model, 20, **setting),
    }


def of_residual_depth() -> dict[str, Callable]:
    model = residual_depth.ResidualLinear(8, exponent=torch.tensor([0.5, 1.0]))
    setting = {"step": 0.03, "seed": 0, "width": 128, "members": 20}
    return {
        "theory": partial(residual_depth.theory, model, 10, step=0.03),
        "experiment": partial(residual_depth.experiment, model, 10, **setting),
    }


def of_attention_heads() -> dict[str, Callable]:
    value, time = torch.tensor([1.0, 0.0]), torch.linspace(0, 12, 25)
    law = attention_heads.Heads(value, 0.9, 0.5, 16)
    model = attention_heads.Heads(value, 0.9, 0.5, 16, 128)
    return {
        "theory": partial(attention_heads.theory, law, time),
        "experiment": partial(
            attention_heads.experiment, model, time, seed=0, members=32, step=0.25
        ),
    }


def of_spring_block() -> dict[str, Callable]:
    noise = torch.logspace(-2, -0.4, 16)
    model = spring_block.SpringBlock(7, friction_right=0.1, friction_left=0.15, noise=noise)
    time = torch.linspace(0, 50, 26)
    return {
        "theory": partial(spring_block.theory, model, time),
        "experiment": partial(spring_block.experiment, model, time, seed=0, members=50, step=0.05),
    }


def of_data_separation() -> dict[str, Callable]:
    slope = torch.tensor([0.0, 0.5, 1.0])
    model = data_separation.Classifier(6, 32, slope, rate=1e-3)
    sizes = {"classes": 6, "clusters": 18, "inputs": 40, "samples": 400, "test_samples": 400}
    data = data_separation.clusters(seed=7, spread=1.0, **sizes)
    record = torch.tensor([50])
    return {
        "theory": partial(data_separation.theory, model, data),
        "experiment": partial(
            data_separation.experiment, model, data, seed=0, members=4, record=record
        ),
    }


def of_coarse_graining() -> dict[str, Callable]:
    model = coarse_graining.NoisyTree(torch.tensor([0.05, 0.1, 0.2]))
    depth = torch.arange(1, 7)
    data = {"seed": 0, "trees": 200, "members": 20}
    return {
        "theory": partial(coarse_graining.theory, model, depth, coarse_graining.belief),
        "experiment": partial(
            coarse_graining.experiment, model, depth, coarse_graining.belief, **data
        ),
    }


def of_tree() -> dict[str, Callable]:
    parent, readout = tree.chain(4), torch.full((4,), 0.01)
    model = tree.Tree(parent, torch.ones(4), readout, tree.balanced(readout, parent))
    time = torch.linspace(0, 20, 81)
    data = {"samples": 64, "members": 24, "step": 0.05}
    return {
        "theory": partial(tree.theory, model, time),
        "experiment": partial(tree.experiment, model, time, seed=0, **data),
    }


def of_tower() -> dict[str, Callable]:
    model = tower.random_start(torch.ones(3), dimension=30, size=0.3, seed=0)
    time = torch.linspace(0, 7, 15)
    knobs = {"seed": 1, "dimension": 30, "step": 0.02, "batch_size": 256, "members": 4}
    return {
        "theory": partial(tower.theory, model, time),
        "experiment": partial(tower.experiment, model, time, **knobs),
    }


def of_lattice() -> dict[str, Callable]:
    target = polynomial({(1,): 1.0, (1, 2): 1.0, (1, 2, 3): 1.0}, 8, 3)
    model = lattice.asleep(target, 8, 3, start=0.03)
    time = torch.linspace(0, 20, 41)
    data = {"samples": 40, "members": 24, "step": 0.05}
    return {
        "theory": partial(lattice.theory, model, time),
        "experiment": partial(lattice.experiment, model, time, seed=0, **data),
    }


def of_phenomena() -> dict[str, Callable]:
    model = phenomena.task(8, [phenomena.TASKS["staircase"]])
    time = torch.linspace(0, 20, 41)
    return {
        "theory": partial(phenomena.theory, model, time),
        "experiment": partial(phenomena.experiment, model, time, seed=0, members=2),
    }


# Each makes its model off the clock and returns the two sides that are timed.
CHAPTERS = {
    "oscillator": of_oscillator,
    "deep_linear": of_deep_linear,
    "kernel_regression": of_kernel_regression,
    "distribution_shift": of_distribution_shift,
    "sgd_features": of_sgd_features,
    "temporal_difference": of_temporal_difference,
    "scaling_laws": of_scaling_laws,
    "population_codes": of_population_codes,
    "invariant_capacity": of_invariant_capacity,
    "signal_propagation": of_signal_propagation,
    "finite_width": of_finite_width,
    "tangent_fluctuations": of_tangent_fluctuations,
    "lazy_training": of_lazy_training,
    "kernel_alignment": of_kernel_alignment,
    "silent_alignment": of_silent_alignment,
    "mean_field": of_mean_field,
    "residual_depth": of_residual_depth,
    "attention_heads": of_attention_heads,
    "spring_block": of_spring_block,
    "data_separation": of_data_separation,
    "coarse_graining": of_coarse_graining,
    "tree": of_tree,
    "tower": of_tower,
    "lattice": of_lattice,
    "phenomena": of_phenomena,
}
SIDES = ("theory", "experiment")
