"""Theory and experiment of each chapter, at the size of one of its figures."""

from collections.abc import Callable
from functools import partial

import torch

from toymodels import (
    deep_linear,
    kernel_regression,
    oscillator,
    signal_propagation,
    spring_block,
)


def of_oscillator() -> dict[str, Callable]:
    model = oscillator.Oscillator(torch.logspace(-3, 0, 64), 1.0, 0.9)
    return {
        "theory": partial(oscillator.theory, model, 1000),
        "experiment": partial(oscillator.experiment, model, 1000),
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
        "experiment": partial(kernel_regression.experiment, model, samples, seed=0, draws=50),
    }


def of_signal_propagation() -> dict[str, Callable]:
    model = signal_propagation.WideNetwork(torch.tanh, torch.linspace(0.5, 3, 16))
    return {
        "theory": partial(signal_propagation.theory, model, 1.0, 20),
        "experiment": partial(
            signal_propagation.experiment, model, 1.0, 20, seed=0, width=64, members=20
        ),
    }


def of_spring_block() -> dict[str, Callable]:
    noise = torch.logspace(-2, -0.4, 16)
    model = spring_block.SpringBlock(7, friction_right=0.1, friction_left=0.15, noise=noise)
    time = torch.linspace(0, 50, 26)
    return {
        "theory": partial(spring_block.theory, model, time),
        "experiment": partial(spring_block.experiment, model, time, seed=0, chains=50, step=0.05),
    }


# Each makes its model off the clock and returns the two sides that are timed.
CHAPTERS = {
    "oscillator": of_oscillator,
    "deep_linear": of_deep_linear,
    "kernel_regression": of_kernel_regression,
    "signal_propagation": of_signal_propagation,
    "spring_block": of_spring_block,
}
SIDES = ("theory", "experiment")
