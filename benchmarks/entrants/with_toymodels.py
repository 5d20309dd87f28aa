"""The package itself."""

import torch

from benchmarks.chapters import CHAPTERS
from benchmarks.entrants.with_torch import tensors, trained
from toymodels.limits.kernels import wide_kernels
from toymodels.networks import ensemble
from toymodels.networks.data import Samples
from toymodels.networks.network import Perceptron
from toymodels.networks.rules import GradientDescent
from toymodels.numerics import integrate

LIBRARIES = ("torch", "numpy", "scipy")
torch.set_num_threads(1)


def stacked(problem, precision, device, graph=None):
    """Members in chunks that fit the cache; on a graphics card, steps in CUDA graphs."""
    weights, inputs, labels = tensors(problem, precision, device)
    steps = int(problem["steps"])

    def run():
        training = ensemble.train(
            weights,
            Samples(inputs, labels),
            network=Perceptron(torch.tanh),
            rule=GradientDescent(float(problem["rate"])),
            record=torch.tensor([0, steps]),
            observe={"loss": lambda state: state.losses()},
            graph=graph,
            progress=False,
        )
        return trained(training.weights, training.observed["loss"][:, -1])

    return run


def eager(problem, precision, device):
    """The same without CUDA graphs."""
    return stacked(problem, precision, device, graph=False)


def kernels(problem, precision, device):
    inputs = torch.tensor(problem["inputs"], dtype=getattr(torch, precision), device=device)
    depth, variance = int(problem["depth"]), float(problem["weight_variance"])

    def run():
        nngp, tangent = wide_kernels(inputs, torch.relu, depth, weight_variance=variance)
        return {"nngp": nngp, "tangent": tangent}

    return run


def modes(problem, precision, device):
    """All modes one system of equations."""
    strength, time = (
        torch.tensor(problem[name], dtype=getattr(torch, precision), device=device)
        for name in ("strength", "time")
    )
    start = torch.full_like(strength, float(problem["start"]))
    within = {name: float(problem[name]) for name in ("rtol", "atol")}

    def rate(t, u):
        return 2 * u * (strength - u)

    return lambda: {"state": integrate.solve(rate, start, time, **within).mT.cpu()}


def chapter(problem, precision, device):
    """The theory or the experiment of a chapter, in double precision."""
    torch.set_default_dtype(torch.float64)
    core = CHAPTERS[str(problem["chapter"])]()[str(problem["side"])]

    def run():
        core()
        return {}

    return run
