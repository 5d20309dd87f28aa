"""Infinitely wide networks as kernel machines, and how fast finite ones become so.

A network of L hidden layers of n neurons, all weights and biases unit Gaussians,

    z^1 = sqrt(C_W / D) W^1 x + sqrt(C_b) b^1,   z^(l+1) = sqrt(C_W / n) W^(l+1) phi(z^l) + ...

descends (1/2) sum_m (y_m - f_m)^2 by gradient flow at rate 1. As n -> inf its tangent kernel Theta
is the same for all draws and stands still, so that the residual decays mode by mode:

    f(t) = (1 - exp(-Theta t)) y,   w(t) - w(0) = J^T Theta^-1 (1 - exp(-Theta t)) y

Theta is the sum of one kernel per layer, and each layer moves by |dW^l|^2 = a.Theta_l.a with
a = Theta^-1 (1 - exp(-Theta t)) y. Chapter: ``chapters/lazy_training.md``.

    D, n, P   inputs, neurons in a hidden layer, samples       L   hidden layers
    C_W, C_b  weight_variance, bias_variance                   J   d f / d w at the start

Source: Jacot, Gabriel & Hongler (2018), arXiv:1806.07572; Lee et al. (2019), arXiv:1902.06720. The
motion of single layers and the drift of ReLU kernels are derived in the chapter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels import limits
from toymodels.limits import WideKernels, deeper_kernels
from toymodels.networks.activation import spread
from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Perceptron
from toymodels.networks.rules import GradientFlow, Rule
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.entrywise import Function, derivatives
from toymodels.numerics.expectation import average
from toymodels.numerics.fixed_point import solve
from toymodels.numerics.quantity import per_problem, require

Number = float | int


@door
@dataclass(frozen=True)
class LazyNetwork:
    """Data and architecture; leading axes are independent problems.

    Raises ValueError on inputs or labels that are not finite or do not fit, on variances that are
    no positive C_W and no C_b >= 0, and on no hidden layer, where nothing distinguishes a network
    from its kernel.
    """

    inputs: Float[Tensor, "*#batch sample input"]
    label: Float[Tensor, "*#batch sample"]
    activation: Function | None  # phi, None is linear
    hidden_layers: int = 1  # L
    weight_variance: float | Float[Tensor, "*#batch"] = 1.0  # C_W, of the readout too
    bias_variance: float | Float[Tensor, "*#batch"] = 0.0  # C_b

    def __post_init__(self):
        for name in ("inputs", "label"):
            value = getattr(self, name)
            require(name, value, value.isfinite(), "finite", "a network is to learn it")
        weight, bias = (torch.as_tensor(x) for x in (self.weight_variance, self.bias_variance))
        require("weight_variance", weight, weight > 0, "positive", "no signal would pass")
        require("bias_variance", bias, bias >= 0, "non-negative", "it is a variance")
        why = "without any, a network is its own kernel machine"
        draws.whole_number(self.hidden_layers, "hidden_layers", 1, why)

    @property
    def batch(self) -> torch.Size:
        """The leading axes of all fields together."""
        numbers = (torch.as_tensor(x) for x in (self.weight_variance, self.bias_variance))
        axes = [self.inputs.shape[:-2], self.label.shape[:-1], *(x.shape for x in numbers)]
        return torch.broadcast_shapes(*axes)

    @property
    def whole(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs, labels and both variances with all leading axes."""
        batch = self.batch
        both = {"weight_variance": self.weight_variance, "bias_variance": self.bias_variance}
        numbers = (per_problem(name, x, batch, self.inputs) for name, x in both.items())
        inputs = self.inputs.expand(*batch, *self.inputs.shape[-2:])
        return inputs, self.label.expand(*batch, self.label.shape[-1]), *numbers


@dataclass(frozen=True)
class Lazy:
    """Training on record. Networks of an experiment come along one more axis, last of the batch."""

    time: Float[Tensor, " time"]
    prediction: Float[Tensor, "*batch time sample"]
    kernel: Float[Tensor, "*batch time sample sample"]  # tangent kernel at that time
    motion: Float[Tensor, "*batch time layer"]  # |w - w(0)|^2 of each layer, with its biases
    new: Float[Tensor, "*batch time other"] | None = None  # predictions on other inputs


@door(origin="theory")
def wide_kernels(
    model: LazyNetwork, others: Float[Tensor, "other input"] | None = None
) -> WideKernels:
    """``(nngp, tangent)`` of infinite width between the inputs and ``others``, any depth.

    Closed forms for ReLU and erf, else as in ``limits.wide_kernels``.
    """
    inputs, _, weight, bias = model.whole
    if others is not None:
        others = others.expand(*model.batch, *others.shape[-2:])
    how = model.activation, model.hidden_layers, weight, bias
    return limits.wide_kernels(inputs, *how, others)


@door(origin="theory")
def layer_kernels(model: LazyNetwork) -> Float[Tensor, "*batch layer sample sample"]:
    """What each layer, with its biases, adds to the tangent kernel; the readout is the last.

    Training all layers from the l-th on gives the tangent kernel of a network that starts with the
    kernel K^l; a layer is the difference of two of these.
    """
    inputs, _, weight, bias = model.whole
    K = inputs @ inputs.mT * (weight / inputs.shape[-1])[..., None, None] + bias[..., None, None]
    upwards = []
    for left in range(model.hidden_layers, -1, -1):
        upwards.append(deeper_kernels(K, model.activation, left, weight, bias).tangent)
        K = deeper_kernels(K, model.activation, 1, weight, bias).nngp if left else K
    upwards.append(torch.zeros_like(K))
    return -torch.stack(upwards, -3).diff(dim=-3)


@door(origin="theory")
def theory(
    model: LazyNetwork,
    time: Float[Tensor, " time"],
    others: Float[Tensor, "other input"] | None = None,
) -> Lazy:
    """Training at infinite width, averaged over the random start, by the eigenmodes of Theta.

    ``new`` are the predictions on ``others``. A mode without eigenvalue is never learned. Raises
    ValueError on times that are unsorted or negative.
    """
    check_time(time)
    label, kernel = model.whole[1], wide_kernels(model).tangent
    prediction, a = _learned(kernel, label, time)
    motion = torch.einsum("...tm,...lmn,...tn->...tl", a, layer_kernels(model), a)
    kept = kernel[..., None, :, :].expand(*prediction.shape, kernel.shape[-1])
    new = None if others is None else a @ wide_kernels(model, others).tangent
    return Lazy(time, prediction, kept, motion, new)


@door(origin="theory")
def linearised(model: LazyNetwork, seen: Lazy) -> Float[Tensor, "*batch time sample"]:
    """What the networks of ``experiment`` would have predicted, had they kept their first kernel.

    That is training of the first-order expansion in the weights about their start.
    Raises ValueError unless ``seen`` begins at time 0.
    """
    require("seen.time", seen.time[:1], seen.time[:1] == 0, "0 at first", "kernels move later")
    return _learned(seen.kernel[..., 0, :, :], _for_members(model, seen), seen.time)[0]


@door(origin="theory")
def scatter(
    model: LazyNetwork,
    time: Float[Tensor, " time"],
    others: Float[Tensor, "other input"],
) -> Float[Tensor, "*batch time other"]:
    """Variance over networks of their predictions on ``others``, first outputs included.

    f(x, t) = f(x, 0) + k.Theta^-1 (1 - exp(-Theta t)) (y - f(0)) with f(0) Gaussian of covariance
    nngp and k the tangent kernel of x with the samples. Raises as ``theory`` does.
    """
    check_time(time)
    inside, across = wide_kernels(model), wide_kernels(model, others)
    _, _, weight, bias = model.whole
    alone = others.expand(*model.batch, *others.shape[-2:])[..., None, :]  # each its own problem
    how = model.activation, model.hidden_layers, weight[..., None], bias[..., None]
    own = limits.wide_kernels(alone, *how).nngp[..., 0, 0]  # (*batch, other)
    gain, mode = _gain(inside.tangent, time)
    reply = (across.tangent.mT @ mode)[..., None, :, :] * gain[..., None, :]
    reply = reply @ mode.mT[..., None, :, :]  # (*batch, time, other, sample)
    back = reply @ inside.nngp[..., None, :, :] - 2 * across.nngp.mT[..., None, :, :]
    return own[..., None, :] + (back * reply).sum(-1)


@door(origin="experiment")
def experiment(
    model: LazyNetwork,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    width: int,
    members: int,
    step: float,
    others: Float[Tensor, "other input"] | None = None,
    centred: bool = True,
    rule: Callable[[Sequence[Tensor]], Rule] = GradientFlow,
) -> Lazy:
    """Train ``members`` networks of ``width`` neurons a layer; nothing of ``theory`` is used.

    Gradient flow in Runge-Kutta steps of ``step``, which errs by (eigenvalue step)^4 / 120 of a
    rate; ``rule`` = GradientDescent costs a quarter and errs by eigenvalue step / 2. Times are
    rounded to whole steps. ``centred`` subtracts what a network says before training, from its
    predictions and in its loss: without it ``theory`` is only the mean of networks. Problems of the
    model's batch see the same draws. Raises ValueError on no neurons or members
    and FloatingPointError when training diverges.
    """
    clock = ticks(time, step)
    for name, value in (("width", width), ("members", members)):
        draws.whole_number(value, name, 1, "nothing would be trained")
    network, weights, pace = _drawn_networks(model, seed, width, members)
    inputs, label = (x.unsqueeze(len(model.batch)) for x in model.whole[:2])
    inputs = inputs.expand(*weights[0].shape[:-2], *inputs.shape[-2:])
    first = network(weights, inputs)
    start = [w.reshape(-1, *w.shape[-2:]) for w in weights]
    rates = [p.reshape(-1, 1, 1) for p in pace]
    observe = {
        "prediction": lambda state: state.outputs()[..., 0],
        "kernel": lambda state: _tangent_kernels(state, rates),
        "motion": lambda state: _motion(state, start, rates),
    }
    if others is not None:
        observe["new"] = lambda state: state.outputs(others)[..., 0]
    found = train(
        weights,
        Samples(inputs, label[..., None] + first * centred),
        network=network,
        rule=rule([step * inputs.shape[-2] * p for p in pace]),  # a mean is descended
        record=clock.record,
        observe=observe,
    ).require_finite()
    seen = found.observed
    new = seen.get("new")
    if centred:
        seen["prediction"] = seen["prediction"] - first[..., 0].unsqueeze(-2)
        if new is not None:
            new = new - network(weights, others)[..., 0].unsqueeze(-2)
    return Lazy(clock.time, seen["prediction"], seen["kernel"], seen["motion"], new)


@door
def decay_rate(model: LazyNetwork, seen: Lazy) -> Float[Tensor, "*batch time"]:
    """- d log |y - f| / dt between each time of ``seen`` and the next, of theory or networks.

    Late in training it is the smallest eigenvalue of the tangent kernel. Raises ValueError on less
    than two times and where nothing is left to learn.
    """
    if len(seen.time) < 2:
        raise ValueError(f"seen.time must hold two times or more, got {len(seen.time)}")
    left = (_for_members(model, seen)[..., None, :] - seen.prediction).norm(dim=-1)
    require("seen.prediction", left, left > 0, "off the label", "a rate needs a residual")
    return -left.log().diff(dim=-1) / seen.time.diff()


class Drift(NamedTuple):
    """Change of the tangent kernel over training: mean and standard deviation over networks."""

    mean: Float[Tensor, "*batch"]
    spread: Float[Tensor, "*batch"]


@door(origin="theory")
def smooth_drift(
    activation: Function, width: Number | Float[Tensor, "*#batch"], label: Number = 1.0
) -> Drift:
    """K(inf) - K(0) of one hidden layer that learns one sample, to order 1 / width.

    C_W = 1, no biases, |x|^2 = D. Every neuron (h, z) climbs its own z phi(h), so that the clock t
    = |y| / (sqrt(n) K(0)) changes F = |grad z phi|^2 = phi^2 + z^2 phi'^2 by F' t + F'' t^2 / 2. F'
    has no mean and F'' has one:

        mean = t^2 <3 (2 p1^2 p2^2 + p1^3 p3) + 2 p1^4 + 7 p p1^2 p2 + 2 p^2 p1^2>
        spread^2 = (4 t^2 / n) <15 p1^4 p2^2 + 12 p p1^4 p2 + 4 p^2 p1^4>

    with p, p1, p2, p3 the activation and its derivatives, which have no jump. Raises ValueError on
    a width or label that is not positive.
    """
    width, clock = _richness(width, label)

    def expected(polynomial: Callable) -> Tensor:
        one = width.new_ones(())
        return average(lambda z: polynomial(*derivatives(activation, z, 3)), one)

    first = expected(lambda p, p1, p2, p3: p**2 + p1**2)
    drift = expected(
        lambda p, p1, p2, p3: (
            3 * (2 * p1**2 * p2**2 + p1**3 * p3) + 2 * p1**4 + 7 * p * p1**2 * p2 + 2 * p**2 * p1**2
        )
    )
    power = expected(lambda p, p1, p2, p3: p1**4 * (15 * p2**2 + 12 * p * p2 + 4 * p**2))
    clock = clock / first
    return Drift(drift * clock**2, 2 * clock * (power / width).sqrt())


@door(origin="theory")
def relu_drift(width: Number | Float[Tensor, "*#batch"], label: Number = 1.0) -> Drift:
    """As ``smooth_drift``, of ReLU neurons: mean exact at fixed |y| / sqrt(n), spread leading.

    K(0) = 1. A neuron turns hyperbolically, (h, z) -> (h cosh t + z sinh t, z cosh t + h sinh t),
    until h is 0, where it dies for good. With tan b = tanh t the clock t and the kernel are

        |y| / sqrt(n) = [(pi - b) sinh 2t + sinh^2 t] / 2 pi
        K = [(pi - b) cosh 2t + sinh^2 t tanh 2t] / pi = 1 - t / pi + 2 t^2 + ...

    and spread^2 = (4 t / pi + 8 t^2) / n, of which the first term counts the dead.
    Raises ValueError on a width or label that is not positive.
    """
    width, richness = _richness(width, label)

    def ratio(t: Tensor) -> tuple[Tensor, Tensor]:
        b = t.tanh().atan()
        output = ((torch.pi - b) * (2 * t).sinh() + t.sinh() ** 2) / (2 * torch.pi)
        rise = 2 * (torch.pi - b) * (2 * t).cosh() + (2 * t).sinh()
        rise = rise - (2 * t).sinh() / (2 * t).cosh()  # b' = 1 / cosh 2t
        return richness / output, -t * rise / (2 * torch.pi * output)

    t = solve(ratio, richness / 10, 10 * richness).solution
    b = t.tanh().atan()
    kernel = ((torch.pi - b) * (2 * t).cosh() + t.sinh() ** 2 * (2 * t).tanh()) / torch.pi
    return Drift(kernel - 1, ((4 / torch.pi * t + 8 * t**2) / width).sqrt())


def _richness(width: Number | Tensor, label: Number) -> tuple[Tensor, Tensor]:
    """The width, and label over root of width, in float64."""
    width, label = (torch.as_tensor(value).double() for value in (width, label))
    require("width", width, width > 0, "positive", "it counts neurons")
    require("label", label, label > 0, "positive", "only its size counts")
    return width, label / width.sqrt()


def _learned(kernel: Tensor, label: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """(1 - exp(-K t)) y, and a = K^-1 (1 - exp(-K t)) y, both (*batch, time, sample)."""
    gain, mode = _gain(kernel, time)
    a = ((label[..., None, :] @ mode) * gain) @ mode.mT
    return a @ kernel, a


def _gain(kernel: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """(1 - exp(-lambda t)) / lambda, (*batch, time, mode), and the modes; t where lambda is 0."""
    value, mode = torch.linalg.eigh(kernel)
    spent = value.clamp(min=0)[..., None, :] * time[:, None]
    share = torch.where(spent > 1e-12, -torch.expm1(-spent) / spent, 1.0)
    return share * time[:, None], mode


def _for_members(model: LazyNetwork, seen: Lazy) -> Tensor:
    """The labels, with the axis of networks that an experiment has."""
    label, members = model.whole[1], seen.prediction.ndim - 2 - len(model.batch)
    return label.reshape(*model.batch, *[1] * members, label.shape[-1])


def _drawn_networks(
    model: LazyNetwork, seed: int, width: int, members: int
) -> tuple[Perceptron, list[Tensor], list[Tensor]]:
    """Networks, their weights and the rate of every weight tensor, (*batch, member).

    Biases hold their variance themselves and learn at that rate: a unit Gaussian times its root.
    """
    inputs, _, weight, bias = model.whole
    batch = (*model.batch, members)
    sizes = [inputs.shape[-1], *[width] * model.hidden_layers, 1]
    where = {"dtype": inputs.dtype, "device": inputs.device}

    def drawn(purpose: str, *shape: int) -> Tensor:
        return draws.normal(seed, purpose, members, shape, **where).expand(*batch, *shape)

    pairs = list(enumerate(zip(sizes[1:], sizes[:-1], strict=True)))
    weights = [drawn(f"layer {k}", out, into) for k, (out, into) in pairs]
    multipliers = [(weight / into).sqrt()[..., None].expand(batch) for into in sizes[:-1]]
    pace = [torch.ones(batch, **where)] * len(pairs)
    biased = bool((bias > 0).any())
    if biased:
        own = bias[..., None].expand(batch)
        weights += [own.sqrt()[..., None, None] * drawn(f"bias {k}", 1, n) for k, (n, _) in pairs]
        pace = pace + [own] * len(pairs)
    return Perceptron(model.activation, multipliers, biases=biased), weights, pace


def _tangent_kernels(state: State, rates: list[Tensor]) -> Float[Tensor, "member sample sample"]:
    """As ``networks.tangent_kernel``, as products of signals and errors: without a Jacobian.

    A weight matrix adds m^2 (s.s') (g.g') with signals s that come in and errors g = df / dz.
    """
    network, weights = state.network, state.weights
    matrices = network.matrices(weights)
    layers = network.layers(weights, state.inputs)
    error, total = torch.ones_like(layers[-1]), 0.0
    for k in reversed(range(len(matrices))):
        scale = spread(network.multiplier(k))
        phi, slope = derivatives(network.activation, layers[k - 1]) if k else (state.inputs, None)
        reach = scale**2 * (phi @ phi.mT)
        if network.biases:
            reach = reach + rates[len(matrices) + k][state.members]
        total = total + reach * (error @ error.mT)
        if k:
            error = slope * (scale * (error @ matrices[k]))
    return total


def _motion(state: State, start: list[Tensor], rates: list[Tensor]) -> Tensor:
    """Squared distance of the unit Gaussians of every layer from their start, (member, layer)."""
    moved = []
    for now, before, rate in zip(state.weights, start, rates, strict=True):
        change = (now - before[state.members]).square().sum((-2, -1))
        moved.append(change / rate[state.members, 0, 0].clamp(min=torch.finfo(rate.dtype).tiny))
    layers = len(state.network.matrices(state.weights))
    return torch.stack(moved, -1).unflatten(-1, (-1, layers)).sum(-2)
