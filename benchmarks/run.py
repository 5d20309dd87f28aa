"""Time the core of every chapter, and the stacked ensemble against a loop over nn.Module.

usage: python -m benchmarks.run

Prints a table and writes _build/bench.json with the machine and the versions. Processor time of
one thread, the least of several rounds, cases interleaved: what else runs adds only noise upward.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from toymodels import deep_linear, kernel_regression, oscillator
from toymodels.numerics import draws, ensemble

ROUNDS = 5
MEMBERS, WIDTH, SAMPLES, INPUTS, STEPS = 32, 64, 64, 16, 100
OUT = Path("_build") / "bench.json"


def chapter_cases() -> dict[str, Callable]:
    """Theory and experiment of each chapter, at the size of one of its figures."""
    ball = oscillator.Oscillator(torch.logspace(-3, 0, 64), 1.0, 0.9)
    stages = deep_linear.DeepLinear(torch.tensor([3.0, 2.0, 1.0]), 1e-3)
    time_axis = torch.linspace(0, 6, 61)
    modes = torch.arange(1, 201, dtype=torch.get_default_dtype())
    kernel = kernel_regression.KernelRegression(modes**-2, modes**-1, ridge=1e-3)
    sizes = torch.tensor([10, 30, 100])
    return {
        "oscillator: theory": lambda: oscillator.theory(ball, 1000),
        "oscillator: experiment": lambda: oscillator.experiment(ball, 1000),
        "deep_linear: theory": lambda: deep_linear.theory(stages, time_axis),
        "deep_linear: experiment": lambda: deep_linear.experiment(
            stages, time_axis, seed=0, width=16, step=1e-2
        ),
        "kernel_regression: theory": lambda: kernel_regression.theory(kernel, sizes),
        "kernel_regression: experiment": lambda: kernel_regression.experiment(
            kernel, sizes, seed=0, draws=50
        ),
    }


def ensemble_cases() -> dict[str, Callable]:
    """The same training of the same networks, stacked and one by one."""
    shapes = [(WIDTH, INPUTS), (1, WIDTH)]
    weights = [
        draws.normal(0, f"layer {k}", MEMBERS, shape) / shape[1] ** 0.5
        for k, shape in enumerate(shapes)
    ]
    inputs = draws.normal(0, "inputs", 1, (SAMPLES, INPUTS))[0]
    labels = inputs[:, :1].tanh()
    return {
        "ensemble: stacked": lambda: stacked(weights, inputs, labels),
        "ensemble: loop over nn.Module": lambda: loop(weights, inputs, labels),
    }


def stacked(weights, inputs, labels) -> torch.Tensor:
    """Last layer of every member after training."""
    return ensemble.train(
        weights,
        inputs,
        labels,
        rule=ensemble.GradientDescent(0.05),
        record=torch.tensor([0, STEPS]),
        observe=lambda layers: layers[-1],
        activation=torch.tanh,
        progress=False,
    )[:, -1]


def loop(weights, inputs, labels) -> torch.Tensor:
    last = []
    for first, second in zip(*weights, strict=True):
        hidden, out = nn.Linear(INPUTS, WIDTH, bias=False), nn.Linear(WIDTH, 1, bias=False)
        hidden.weight.data, out.weight.data = first.clone(), second.clone()
        network = nn.Sequential(hidden, nn.Tanh(), out)
        descent = torch.optim.SGD(network.parameters(), lr=0.05)
        for _ in range(STEPS):
            descent.zero_grad()
            loss = 0.5 * (network(inputs) - labels).square().sum(-1).mean()
            loss.backward()
            descent.step()
        last.append(out.weight.detach())
    return torch.stack(last)


def measure(cases: dict[str, Callable]) -> dict[str, float]:
    """Least processor seconds of each case."""
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(ROUNDS):
        for name, case in cases.items():
            start = time.process_time()
            case()
            least[name] = min(least[name], time.process_time() - start)
    return least


def main() -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    peers = ensemble_cases()
    one, other = (case() for case in peers.values())
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)  # else the race means nothing
    seconds = measure(chapter_cases() | peers)
    for name, value in seconds.items():
        print(f"{name:32s} {1e3 * value:10.1f} ms")
    fast, slow = (seconds[name] for name in peers)
    size = f"{MEMBERS} networks of width {WIDTH}, {SAMPLES} samples, {STEPS} steps"
    print(f"stacked is {slow / fast:.1f} times as fast as the loop ({size})")
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(machine | {"python": platform.python_version(), "seconds": seconds}))
    print(f"written to {OUT}")


if __name__ == "__main__":
    main()
