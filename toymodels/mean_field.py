"""Infinitely wide networks whose features move: the whole of training at richness gamma_0.

A network of L hidden layers of N neurons computes f = w.phi(h^L) / (gamma_0 N) and descends
(1/2) sum_m (y_m - f_m)^2 in steps eta gamma_0^2 N from unit Gaussian weights. At N = infinity its
neurons are independent draws from one stochastic process per layer, driven by the kernels

    Phi^l = <phi(h^l) phi(h^l)>,  G^l = <g^l g^l>,  g^l = gamma_0 N df / dh^l

over pairs of (time, sample), which are averages over these same neurons. The equations, and how
they are marched through time, are in ``limits.field_theory``; here are the model, its networks
of finite width and three approximations. Chapter: ``chapters/mean_field.md``.

    gamma_0   richness; only gamma_0 y enters the motion of the features
    K         tangent kernel, sum over l = 0 ... L of G^(l+1) Phi^l, Phi^0 = K_x, G^(L+1) = 1

Source: Bordelon & Pehlevan (2022), arXiv:2205.09653, sections 2 to 5; in steps Yang & Hu (2021),
arXiv:2011.14522. The leading orders of the deep linear kernels are derived in the chapter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.limits import field_theory
from toymodels.limits.kernels import deeper_kernels
from toymodels.networks.activation import spread
from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, Training, train
from toymodels.networks.network import Perceptron
from toymodels.networks.parameterization import mean_field
from toymodels.networks.rules import GradientDescent
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.entrywise import Function, derivatives, entrywise, identity
from toymodels.numerics.quantity import require
from toymodels.numerics.spectra import symmetric_root

JITTER = 1e-10  # relative to a variance: nothing that drawn neurons could resolve


@door
@dataclass(frozen=True)
class MeanField:
    """Data, labels and architecture; leading axes are independent problems.

    A kernel may be off a covariance by the rounding of its dtype, as a product of float32 inputs
    is. Raises ValueError on one that is further off, labels that are not finite, a richness that is
    not positive and less than one hidden layer.
    """

    kernel: Float[Tensor, "*#batch sample sample"]  # K_x = x.x' / D
    label: Float[Tensor, "*#batch sample"]
    richness: float | Float[Tensor, "*#batch"]  # gamma_0
    hidden_layers: int = 1  # L
    activation: Function | None = identity  # None is linear too

    def __post_init__(self):
        K, finite = self.kernel, self.kernel.isfinite()
        require("kernel", K, finite, "finite", "it is a covariance")
        slack = K.shape[-1] * 10 * torch.finfo(K.dtype).eps * K.abs().amax((-2, -1), keepdim=True)
        require("kernel", K - K.mT, (K - K.mT).abs() <= slack, "symmetric", "it is a covariance")
        least = torch.linalg.eigvalsh(K)[..., 0]
        good = least >= -slack[..., 0, 0]
        require("kernel", least, good, "without negative eigenvalues", "it is a covariance")
        require("label", self.label, self.label.isfinite(), "finite", "it is to be learned")
        require("richness", self.gamma, self.gamma > 0, "positive", "lazy is its limit 0")
        if self.hidden_layers < 1:
            raise ValueError(
                f"hidden_layers must be at least 1, got {self.hidden_layers}: without any, a "
                "network is a kernel machine"
            )

    @property
    def batch(self) -> torch.Size:
        """The leading axes of all fields together."""
        axes = self.kernel.shape[:-2], self.label.shape[:-1], self.gamma.shape
        return torch.broadcast_shapes(*axes)

    @property
    def gamma(self) -> Float[Tensor, "*batch"]:
        """The richness as a tensor, in the dtype of the kernel."""
        return torch.as_tensor(self.richness, dtype=self.kernel.dtype, device=self.kernel.device)

    @property
    def covariance(self) -> Float[Tensor, "*#batch sample sample"]:
        """The kernel in float64 without its rounding errors: symmetric, no negative eigenvalue."""
        K = (self.kernel.double() + self.kernel.double().mT) / 2
        variance, axes = torch.linalg.eigh(K)
        least = variance[..., :1, None]
        lifted = (axes * variance.clamp(min=0)[..., None, :]) @ axes.mT
        return torch.where(least < 0, (lifted + lifted.mT) / 2, K)


@dataclass(frozen=True)
class Fields:
    """Order parameters; row t * samples + m of a matrix belongs to step t and sample m.

    Networks of an experiment come along one more axis, the last of the batch.
    """

    step: Int[Tensor, " time"]
    prediction: Float[Tensor, "*batch time sample"]
    error: Float[Tensor, "*batch time sample"] | None  # of the theory, by sampling or quadrature
    feature: Float[Tensor, "*batch hidden event event"]  # Phi^1 ... Phi^L
    gradient: Float[Tensor, "*batch hidden event event"]  # G^1 ... G^L
    tangent: Float[Tensor, "*batch time sample sample"]  # K at equal times

    def equal_times(self, name: str) -> Float[Tensor, "*batch hidden time sample sample"]:
        """``feature`` or ``gradient`` where both times are the same."""
        return _equal_times(getattr(self, name), self.prediction.shape[-1])


class Growth(NamedTuple):
    """How much kernels have grown along the label, from the first step to the last.

    That is y.(K(T) - K(0)).y / |y|^2; of gradient kernels, which hold equal numbers for all pairs
    of samples in a linear network, their diagonal averaged with weights y^2.
    """

    feature: Float[Tensor, "*batch hidden"]
    gradient: Float[Tensor, "*batch hidden"]
    tangent: Float[Tensor, "*batch"]


@door(origin="theory")
def theory(
    model: MeanField,
    steps: int,
    *,
    step: float,
    neurons: int = 4000,
    groups: int = 10,
    points: int = field_theory.POINTS,
    seed: int | None = None,
) -> Fields:
    """Training at infinite width, at steps 0 to ``steps`` of size ``step`` (eta).

    Linear networks are solved to rounding, one hidden layer and up to 3 samples by quadrature at
    ``points``; else averages are taken over ``neurons`` drawn in ``groups`` by ``seed``, and
    ``error`` is a standard error. Raises ValueError on neurons to be drawn without a seed, on a
    deep activation with a kink, and FloatingPointError when training diverges.
    """
    found = field_theory.march(
        model.covariance,
        model.label,
        model.gamma.double(),
        steps,
        step=step,
        hidden_layers=model.hidden_layers,
        activation=model.activation,
        neurons=neurons,
        groups=groups,
        points=points,
        seed=seed,
    )
    if not found.finite.all():
        raise FloatingPointError("training must stay finite: use a smaller step")
    parts = found.prediction, found.error, found.feature, found.gradient
    return _fields(model.covariance, *parts, dtype=model.kernel.dtype)


@door(origin="experiment")
def experiment(
    model: MeanField,
    steps: int,
    *,
    step: float,
    seed: int,
    width: int,
    members: int,
) -> Fields:
    """Train ``members`` networks of ``width`` neurons a layer; they are the last batch axis.

    What a network says before training is subtracted, from its predictions and in its loss: it is
    0 at infinite width. One network differs from ``theory`` by O(1 / sqrt(width)), the mean by
    O(1 / width). ``error`` is None: it is for the reader to average. Keeps every signal: 16 width
    hidden_layers samples steps bytes a network. Raises FloatingPointError when training diverges.
    """
    _check_steps(steps, step)
    seen = _train(
        model,
        torch.arange(steps + 1),
        {"prediction": State.outputs, "signals": _signals},
        step=step,
        seed=seed,
        width=width,
        members=members,
    ).observed
    prediction = seen["prediction"][..., 0]  # (*batch, member, time, sample)
    prediction = prediction - prediction[..., :1, :]
    # (*batch, member, time, 2, hidden, sample, neuron): join time and sample to events
    signals = seen["signals"].movedim(-5, -3).flatten(-3, -2)
    feature, gradient = (signals @ signals.mT / width).unbind(-4)
    kernel = model.kernel.expand(*model.batch, *model.kernel.shape[-2:])[..., None, :, :]
    return _fields(kernel, prediction, None, feature, gradient)


@door(origin="experiment")
def preactivations(
    model: MeanField,
    steps: int,
    *,
    step: float,
    seed: int,
    width: int,
    members: int,
) -> Float[Tensor, "*batch member neuron sample"]:
    """h^L of every neuron after ``steps``, in the networks of ``experiment``."""
    _check_steps(steps, step)
    return _train(
        model,
        torch.tensor([steps]),
        {"h": lambda state: state.network.layers(state.weights, state.inputs)[-2].mT},
        step=step,
        seed=seed,
        width=width,
        members=members,
    ).observed["h"][..., 0, :, :]


@door
def follow(
    model: MeanField,
    fields: Fields,
    h: Float[Tensor, "*start neuron sample"],
    z: Float[Tensor, "*start neuron"],
    *,
    step: float,
) -> tuple[Float[Tensor, "*batch time neuron sample"], Float[Tensor, "*batch time neuron"]]:
    """Paths of neurons that start at (h, z) in the field of all others, one hidden layer.

    At infinite width the others do not notice. ``fields`` are those of ``theory`` at the same
    ``step``. Raises ValueError on more hidden layers, whose neurons also feel responses.
    """
    if model.hidden_layers != 1:
        raise ValueError(f"hidden_layers must be 1 to follow neurons, got {model.hidden_layers}")
    _check_step(step)
    h = h.expand(*model.batch, *h.shape[-2:])
    z = z.expand(*model.batch, z.shape[-1])
    h_path, z_path = [h], [z]
    force = step * model.gamma[..., None, None] * (model.label[..., None, :] - fields.prediction)
    for push in force.unbind(-2)[:-1]:  # (*batch, sample), of one step
        phi, slope = derivatives(model.activation, h)
        push = push[..., None, :]
        h, z = h + (push * slope * z[..., None]) @ model.kernel, z + (push * phi).sum(-1)
        h_path.append(h)
        z_path.append(z)
    return torch.stack(h_path, -3), torch.stack(z_path, -2)


@door(origin="theory")
def static(model: MeanField, steps: int, *, step: float) -> Float[Tensor, "*batch time sample"]:
    """Predictions if the tangent kernel never moved: the limit of no richness."""
    _check_steps(steps, step)
    kernel = deeper_kernels(model.covariance, model.activation, model.hidden_layers).tangent
    label = model.label.double()
    path = [torch.zeros_like(label).expand(*model.batch, label.shape[-1])]
    for _ in range(steps):
        path.append(path[-1] + step * (kernel @ (label - path[-1])[..., None])[..., 0])
    return torch.stack(path, -2).to(model.kernel)


@door(origin="theory")
def independent(
    model: MeanField, steps: int, *, step: float, seed: int, neurons: int = 4000
) -> Fields:
    """Training if weights on the way back were fresh draws: no responses, a = b = 0.

    The prediction is summed from f <- f + step K Delta: without responses <z phi> is not it.
    Averages are over ``neurons`` drawn ones, which are exact to second moments: linear networks are
    solved to rounding, kernels of others wrong by O(1 / sqrt(neurons)), which nothing estimates:
    ``error`` is None. Raises ValueError when there are fewer neurons than 2 samples (steps + 1).
    """
    _check_steps(steps, step)
    samples, L, times = model.label.shape[-1], model.hidden_layers, steps + 1
    kernel = model.covariance.expand(*model.batch, samples, samples)
    gamma, label = model.gamma.double()[..., None], model.label.double()
    feature = kernel.new_zeros(*model.batch, L + 1, times * samples, times * samples)
    feature[..., 0, :, :] = kernel.repeat(*[1] * len(model.batch), times, times)
    gradient = torch.ones_like(feature)  # of layers 1 ... L + 1
    normals = _white(model, seed, neurons, times * samples)
    phi, g = (torch.zeros_like(normals[..., 0, :, :]) for _ in range(2))
    force, f, path = torch.zeros_like(feature[..., 0, 0, :]), torch.zeros_like(kernel[..., 0]), []
    for t in range(times):
        now, upto = slice(t * samples, (t + 1) * samples), slice((t + 1) * samples)
        bend = []
        for k in range(L):
            push = force[..., None, upto] * feature[..., k, now, upto]
            h = _drawn(normals[..., k, 0, :, upto], feature[..., k, upto, upto], samples)
            h = h + g[..., k, :, upto] @ push.mT
            phi[..., k, :, now], slope = derivatives(model.activation, h)
            bend.append(slope)
            _update(feature[..., k + 1, :, :], phi[..., k, :, :], now)
        for k in reversed(range(L)):
            push = force[..., None, upto] * gradient[..., k + 1, now, upto]
            z = _drawn(normals[..., k, 1, :, upto], gradient[..., k + 1, upto, upto], samples)
            g[..., k, :, now] = bend[k] * (z + phi[..., k, :, upto] @ push.mT)
            _update(gradient[..., k, :, :], g[..., k, :, :], now)
        path.append(f)
        force[..., now] = step * gamma * (label - f)
        tangent = (feature * gradient)[..., now, now].sum(-3)
        f = f + step * (tangent @ (label - f)[..., None])[..., 0]
    path = torch.stack(path, -2)
    kept = feature[..., 1:, :, :], gradient[..., :-1, :, :]
    return _fields(kernel, path, None, *kept, dtype=model.kernel.dtype)


@door
def growth(model: MeanField, fields: Fields) -> Growth:
    """How much the kernels of ``theory`` or of each network have grown.

    Raises ValueError on labels that are all zero.
    """
    axis = _label_axis(model, fields)

    def change(kernel: Tensor) -> Tensor:
        return kernel[..., -1, :, :] - kernel[..., 0, :, :]

    def along(kernel: Tensor, axis: Tensor) -> Tensor:
        return (axis[..., None, :] @ change(kernel) @ axis[..., None])[..., 0, 0]

    own = change(fields.equal_times("gradient")).diagonal(dim1=-2, dim2=-1)
    return Growth(
        along(fields.equal_times("feature"), axis[..., None, :]),
        (own * axis[..., None, :].square()).sum(-1),
        along(fields.tangent, axis),
    )


@door
def alignment(model: MeanField, fields: Fields) -> Float[Tensor, "*batch hidden time"]:
    """Cosine of each feature kernel at equal times with y y^T, y.Phi.y / (|y|^2 |Phi|).

    Of ``theory`` or of each network. Raises ValueError on labels that are all zero.
    """
    axis = _label_axis(model, fields)[..., None, None, :]  # of one layer and time
    kernel = fields.equal_times("feature")
    along = (axis[..., None, :] @ kernel @ axis[..., None])[..., 0, 0]
    return along / torch.linalg.matrix_norm(kernel)


@door(origin="theory")
def leading_order(model: MeanField) -> Growth:
    """``growth`` of a deep linear network that has learned white data, to order richness^2.

    Raises ValueError on another activation or a kernel that is not the identity.
    """
    if entrywise(model.activation) is not identity:
        raise ValueError("activation must be identity: the expansion is of linear networks")
    eye = torch.eye(model.label.shape[-1], dtype=model.kernel.dtype, device=model.kernel.device)
    if not torch.allclose(model.kernel, eye):
        raise ValueError("kernel must be the identity: the inputs have to be white")
    L = model.hidden_layers
    place = torch.arange(1, L + 1, dtype=eye.dtype, device=eye.device)
    size = (model.gamma[..., None] * model.label).square().sum(-1)
    feature = size[..., None] * place * (place + 1) / (2 * (L + 1))
    return Growth(feature, feature.flip(-1), size * L * (L + 2) / 3)


def _label_axis(model: MeanField, fields: Fields) -> Float[Tensor, "*batch sample"]:
    """The label as a unit vector, with the axis of networks that an experiment has."""
    size = model.label.norm(dim=-1, keepdim=True)
    require("label", size, size > 0, "not all zero", "it is the direction in which kernels grow")
    members = fields.prediction.ndim - 2 - len(model.batch)
    axis = (model.label / size).expand(*model.batch, -1)
    return axis.unflatten(-1, (*[1] * members, -1))


def _train(
    model: MeanField,
    record: Int[Tensor, " time"],
    observe: Mapping,
    *,
    step: float,
    seed: int,
    width: int,
    members: int,
) -> Training:
    """Networks of finite width, trained to fit the labels added to what they said first."""
    for name, value in (("width", width), ("members", members)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}: nothing would be trained")
    samples, batch = model.label.shape[-1], (*model.batch, members)
    where = {"dtype": model.kernel.dtype, "device": model.kernel.device}
    richness = model.gamma[..., None].expand(batch)
    sizes = mean_field([samples, *[width] * model.hidden_layers, 1], richness)
    flat = sizes.start(richness.numel(), seed=seed, **where)
    weights = [w.reshape(*batch, *w.shape[1:]) for w in flat]
    # as many inputs as samples, so that x.x' / D is the kernel
    inputs = samples**0.5 * symmetric_root(model.kernel)
    inputs = inputs[..., None, :, :].expand(*batch, samples, samples)
    network = Perceptron(model.activation, sizes.multiplier)
    labels = model.label[..., None, :, None] + network(weights, inputs)
    return train(
        weights,
        Samples(inputs, labels),
        network=network,
        rule=GradientDescent(step * samples * sizes.rate[0]),  # the loss of ``train`` is a mean
        record=record,
        observe=observe,
    ).require_finite()


def _check_steps(steps: int, step: float) -> None:
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}: time does not run back")
    _check_step(step)


def _check_step(step: float) -> None:
    if not 0 < step < math.inf:
        raise ValueError(f"step must be positive and finite, got {step}: it descends the loss")


def _signals(state: State) -> Float[Tensor, "member 2 hidden sample neuron"]:
    """phi(h^l) and g^l of every neuron."""
    network, weights = state.network, state.weights
    back, signals = weights[-1], []
    for layer, h in reversed(list(enumerate(network.layers(weights, state.inputs)[:-1]))):
        phi, slope = derivatives(network.activation, h)
        g = slope * back
        signals.append(torch.stack([phi, g], 1))
        back = spread(network.multiplier(layer)) * (g @ weights[layer])
    return torch.stack(signals[::-1], 2)


def _fields(
    kernel: Tensor,
    prediction: Tensor,
    error: Tensor | None,
    feature: Tensor,
    gradient: Tensor,
    dtype: torch.dtype | None = None,
) -> Fields:
    """The record, with the tangent kernel; ``kernel`` fits the batch of the others."""
    samples = prediction.shape[-1]
    phi, g = _equal_times(feature, samples), _equal_times(gradient, samples)
    inner = (phi[..., :-1, :, :, :] * g[..., 1:, :, :, :]).sum(-4)
    tangent = inner + phi[..., -1, :, :, :] + kernel[..., None, :, :] * g[..., 0, :, :, :]
    step = torch.arange(prediction.shape[-2], device=prediction.device)
    parts = prediction, error, feature, gradient, tangent
    return Fields(step, *(part if part is None else part.to(dtype) for part in parts))


def _equal_times(kernel: Tensor, samples: int) -> Tensor:
    """(..., event, event) to (..., time, sample, sample)."""
    blocks = kernel.unflatten(-1, (-1, samples)).unflatten(-3, (-1, samples))
    return blocks.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)


def _white(model: MeanField, seed: int, neurons: int, events: int) -> Tensor:
    """(*batch, hidden, 2, neuron, event): normals behind u and r, their covariance the identity."""
    if neurons < 2 * events:
        raise ValueError(f"neurons must be at least {2 * events}, got {neurons}: 2 per event")
    shape = (model.hidden_layers, neurons, 2 * events)
    normals = draws.normal(seed, "neurons", model.batch.numel(), shape)
    # the signs of Q are the library's choice: that of the processor on every device
    white = neurons**0.5 * torch.linalg.qr(normals).Q.to(model.kernel.device)
    white = white.reshape(*model.batch, *shape)
    return white.unflatten(-1, (2, events)).movedim(-2, -3)


def _drawn(normals: Tensor, covariance: Tensor, samples: int) -> Tensor:
    """The last ``samples`` entries of Gaussian rows; a later call goes on with the same rows."""
    slack = JITTER * covariance[..., :1, :1] * torch.eye(covariance.shape[-1]).to(covariance)
    factor = torch.linalg.cholesky(covariance + slack)
    return normals @ factor[..., -samples:, :].mT


def _update(kernel: Tensor, signal: Tensor, now: slice) -> None:
    """Rows and columns ``now`` of a kernel, averaged over neurons."""
    row = signal[..., now].mT @ signal[..., : now.stop] / signal.shape[-2]
    kernel[..., now, : now.stop] = row
    kernel[..., : now.stop, now] = row.mT
