"""What is asked of networks that descend: their kernel, their lazy limit, their largest step."""

from dataclasses import replace

import torch
from torch import Tensor

from toymodels.matrix.tasks import Task
from toymodels.matrix.trained import Descent
from toymodels.networks import GradientDescent, Samples, State, tangent_kernel, train
from toymodels.networks.network import Network
from toymodels.numerics import first_passage

SCALES = (1.0, 1e2, 1e4)  # of the output, in the lazy limit
FACTORS = (0.9, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0)  # of the largest step that the flow's end allows
TURNS = 60  # of the power iteration


def alignment(candidate: Descent, task: Task, *, seed: int, members: int) -> dict[str, Tensor]:
    """y.Ky / |K| |y|^2 of the tangent kernel on the population: at the start, when the loss has
    fallen by a tenth, and at the end."""
    calm = replace(candidate, batch=None)
    network, weights, data = calm.ready(task, None, seed=seed, members=members)
    inputs, y = data.inputs[0], data.labels[0, :, 0]

    def aligned(state: State) -> Tensor:
        K = tangent_kernel(network, state.weights, inputs)[..., 0, 0]
        return (K @ y) @ y / (K.square().sum((-1, -2)).sqrt() * y.square().sum())

    last = calm.until / calm.step
    record = (last ** torch.linspace(0, 1, 40).double()).round().unique().long()
    seen = train(
        weights, data, network=network, rule=GradientDescent(calm.step),
        record=torch.cat([torch.zeros(1).long(), record]),
        observe={"alignment": aligned, "loss": State.losses},
    ).require_finite().observed  # fmt: skip
    loss, path = seen["loss"].double(), seen["alignment"].double()
    when = first_passage(torch.arange(loss.shape[-1]).double(), -loss, -0.9 * loss[:, 0])
    early = when.floor().long().clamp(max=loss.shape[-1] - 2)[:, None]
    low, high = path.gather(-1, early), path.gather(-1, early + 1)
    tenth = (low + (when[:, None] - early) * (high - low))[:, 0]
    return {"start": path[:, 0], "tenth": tenth, "end": path[:, -1]}


def laziness(
    candidate: Descent, task: Task, *, seed: int, members: int, samples: int = 32, steps: int = 3000
) -> Tensor:
    """Largest distance, over that of knowing nothing, between the outputs on the samples and the
    trajectory of the first tangent kernel; (scale, member). The output is the scale times what
    the network has gained since the start, and the step is divided by the scale's square."""
    network, weights, data = candidate.ready(
        task, samples, seed=seed, members=members, kind=torch.float64
    )
    x, y = data.inputs, data.labels[..., 0]
    K = tangent_kernel(network, weights, x)[..., 0, 0]
    size, vector = torch.linalg.eigh(K / samples)
    step = (0.5 / size[:, -1]).clamp(max=candidate.step)
    start = [w.repeat(len(SCALES), 1, 1) for w in weights]
    first = network(start, x.repeat(len(SCALES), 1, 1))
    scale = torch.tensor(SCALES).double().repeat_interleave(members)

    def gained(weights: list[Tensor], inputs: Tensor) -> Tensor:
        return scale[:, None, None] * (network(weights, inputs) - first)

    record = (steps ** torch.linspace(0, 1, 40).double()).round().unique().long()
    doubled = Samples(x.repeat(len(SCALES), 1, 1), data.labels.repeat(len(SCALES), 1, 1))
    seen = train(
        start, doubled, network=gained, rule=GradientDescent(step.repeat(len(SCALES)) / scale**2),
        record=record, observe={"output": lambda s: s.outputs()[..., 0]}, chunk=len(scale),
    ).require_finite().observed["output"].unflatten(0, (len(SCALES), members))  # fmt: skip
    left = (1 - step[:, None] * size)[:, None] ** record[:, None]  # (member, time, mode)
    along = (y[:, None] @ vector)[:, 0]
    lazy = ((1 - left) * along[:, None]) @ vector.mT  # (member, time, sample)
    return ((seen - lazy).norm(dim=-1) / y.norm(dim=-1)[:, None]).amax(-1)


def sharpness(network: Network, weights: list[Tensor], data: Samples) -> Tensor:
    """Largest eigenvalue of the Hessian of the loss, by power iteration; (member,)."""
    with torch.enable_grad():
        leaves = [w.detach().requires_grad_() for w in weights]
        loss = 0.5 * (network(leaves, data.inputs) - data.labels).square().mean((-1, -2))
        grads = torch.autograd.grad(loss.sum(), leaves, create_graph=True)
        v = [torch.ones_like(w) + 0.5 * torch.sin(torch.arange(w[0].numel()).to(w)).view(w[0].shape)
             for w in leaves]  # fmt: skip
        for _ in range(TURNS):
            norm = sum(x.square().sum((-1, -2)) for x in v).sqrt()
            v = [x / norm[:, None, None] for x in v]
            along = sum((g * x).sum() for g, x in zip(grads, v, strict=True))
            v = list(torch.autograd.grad(along, leaves, retain_graph=True))
    return sum(x.square().sum((-1, -2)) for x in v).sqrt()


def edge(
    candidate: Descent, task: Task, *, seed: int, members: int, samples: int = 64, steps: int = 3000
) -> dict[str, Tensor]:
    """Sharpness times step at the end of ``steps`` steps, for steps around 2 / the sharpness where
    small steps end; (factor, member), NaN where descent has left for good."""
    network, weights, data = candidate.ready(task, samples, seed=seed, members=members)
    small = train(
        weights, data, network=network, rule=GradientDescent(candidate.step),
        record=[round(candidate.until / candidate.step)], observe={"loss": State.losses},
    )  # fmt: skip
    flat = sharpness(network, small.weights, data)
    step = (2 / flat * torch.tensor(FACTORS)[:, None]).reshape(-1)
    many = Samples(*(x.repeat(len(FACTORS), 1, 1) for x in (data.inputs, data.labels)))
    seen = train(
        [w.repeat(len(FACTORS), 1, 1) for w in weights], many, network=network,
        rule=GradientDescent(step), record=[0, steps], observe={"loss": State.losses},
    )  # fmt: skip
    loss = seen.observed["loss"]
    alive = seen.finite[:, -1] & (loss[:, -1] < loss[:, 0])
    kept = [w.nan_to_num(0.0, 0.0, 0.0) for w in seen.weights]
    product = sharpness(network, kept, many) * step
    product = torch.where(alive, product, torch.nan).double().unflatten(0, (-1, members))
    return {"product": product, "flow": flat.double()}
