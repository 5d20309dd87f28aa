"""Features that move so as to lower the loss of the next step, and the kernel they make.

A model that is linear in its parameters to first order has features Psi, the gradients of its
outputs, and its errors fall as Delta' = -K Delta with K = Psi Psi^T. Here the features are not
those of a network: they climb Delta^T K Delta / 2, the rate at which the loss falls. So the kernel
turns towards the labels, and what it gains is kept in a conserved matrix.
Chapter: ``chapters/kernel_alignment.md``.

    Delta   error y - f on the samples          dDelta/dt = -K Delta
    Psi     features (sample, feature)          dPsi/dt = rate Delta Delta^T Psi
    M       K + rate Delta Delta^T, conserved   the last kernel is K(0) + rate y y^T

The output is 0 at the start, so Delta(0) = y. Time is steps times learning rate.

Source: our reading of Shan & Bordelon (2021), arXiv:2105.14301: a kernel that evolves to speed up
training, alignment in linear and ReLU networks, specialisation of several outputs. The equations
here, closed form included, are derived in the chapter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.activation import Activation, spread
from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Perceptron
from toymodels.networks.parameterization import mean_field
from toymodels.networks.rules import GradientFlow, Rule
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.numerics.quantity import require
from toymodels.numerics.spectra import symmetric_root

# (features (..., sample, feature), errors (..., output, sample), rate, step) -> both, moved
Move = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


@door
@dataclass(frozen=True)
class AligningFeatures:
    """Kernel at the start, labels and the rate of the features; leading axes are problems.

    The outputs of a network are problems of their own if each has features of its own, and the
    last axis of the batch if they share them: see ``together``. Raises ValueError on a kernel that
    is not symmetric, has negative eigenvalues or is 0, on labels that are all zero and on a
    negative rate.
    """

    kernel: Float[Tensor, "*#batch sample sample"]  # K(0)
    label: Float[Tensor, "*#batch sample"]
    rate: float | Float[Tensor, "*#batch"]  # of the features, relative to that of the readout

    def __post_init__(self):
        K, y = self.kernel, self.label
        require("kernel", K, K == K, "finite", "it is a product of features")
        size = K.abs().amax((-2, -1), keepdim=True)
        slack = K.shape[-1] * 10 * torch.finfo(K.dtype).eps * size
        require("kernel", K - K.mT, (K - K.mT).abs() <= slack, "symmetric", "it is Psi Psi^T")
        require("kernel", size, size > 0, "not all zero", "features that are 0 never move")
        least = torch.linalg.eigvalsh(K)[..., 0]
        good = least >= -slack[..., 0, 0]
        require("kernel", least, good, "without negative eigenvalues", "it is Psi Psi^T")
        y = y.norm(dim=-1)
        require("label", y, y > 0, "finite and not all zero", "it is what the kernel turns to")
        require("rate", self.gamma, self.gamma >= 0, "non-negative", "the loss is to fall")

    @property
    def batch(self) -> torch.Size:
        """The leading axes of all fields together."""
        axes = self.kernel.shape[:-2], self.label.shape[:-1], self.gamma.shape
        return torch.broadcast_shapes(*axes)

    @property
    def gamma(self) -> Float[Tensor, "*batch"]:
        """The rate as a tensor, in the dtype of the kernel."""
        return torch.as_tensor(self.rate, dtype=self.kernel.dtype, device=self.kernel.device)


@dataclass(frozen=True)
class Alignment:
    """What is left to learn, and how the kernel turns. Theory and experiment both return this.

    An experiment has one more axis before the time, (*batch, member, ...).
    """

    time: Float[Tensor, " time"]
    error: Float[Tensor, "*batch time sample"]  # y - f
    kernel: Float[Tensor, "*batch time sample sample"]
    alignment: Float[Tensor, "*batch time"]  # cosine of kernel and y y^T

    @property
    def loss(self) -> Float[Tensor, "*batch time"]:
        """Half the squared error, summed over samples."""
        return self.error.square().sum(-1) / 2


@dataclass(frozen=True)
class _Parts:
    """The model in float64, with axes (*batch, time or mode, ...)."""

    gamma: Tensor  # (*batch, 1)
    matrix: Tensor  # M (*batch, sample, sample)
    value: Tensor  # its eigenvalues (*batch, mode)
    axes: Tensor  # and eigenvectors (*batch, sample, mode)
    share: Tensor  # of the label in each of them (*batch, mode)
    floor: Tensor  # 1 / (1 + rate y.K(0)^-1.y), 0 if no kernel of that range learns y


@door(origin="theory")
def theory(model: AligningFeatures, time: Float[Tensor, " time"]) -> Alignment:
    """Errors and kernels in closed form, in float64, in the dtype of the model.

    Delta = exp(-M t) y / sqrt(1 - rate y.M^-1 (1 - exp(-2 M t)).y) and K = M - rate Delta Delta^T
    with M = K(0) + rate y y^T. Kernels may be singular. Raises ValueError on unsorted or negative
    times.
    """
    check_time(time)
    parts, t = _parts(model), time.double()[:, None]
    m, y = parts.value[..., None, :], parts.share[..., None, :]
    # all exponentials relative to that of the slowest mode that the label has
    slowest = m.masked_fill(y == 0, torch.inf).amin(-1, keepdim=True)
    fading = y * torch.exp(-(m - slowest).clamp(min=0) * t)
    power = torch.where(m > 0, fading.square() / m, 0.0).sum(-1, keepdim=True)
    moving = parts.gamma[..., None, :] * power
    floor = parts.floor[..., None, None]
    still = torch.where(floor > 0, floor * torch.exp(2 * slowest * t), 0.0)
    error = (fading / (still + moving).sqrt()) @ parts.axes.mT
    return _record(_labels(model), time, error, _turned(parts, error))


@door(origin="theory")
def settled(model: AligningFeatures) -> Alignment:
    """What ``theory`` tends to, as a record of the one time infinity.

    The error vanishes and K is K(0) + rate y y^T, unless the label leaves the range of K(0). The
    rank of a kernel never grows: then M^-1 has rate y y^T too much, and the error ends along the
    slowest mode of M, of size sqrt(m / rate).
    """
    parts = _parts(model)
    m, y, gamma = parts.value, parts.share, parts.gamma
    slowest = m.masked_fill(y == 0, torch.inf).amin(-1, keepdim=True)
    last = torch.where(m <= slowest * (1 + 1e-12), y, 0.0)
    never = torch.where(gamma > 0, parts.floor[..., None] == 0, slowest == 0)
    size = torch.where(gamma > 0, (slowest / gamma).sqrt() / last.norm(dim=-1, keepdim=True), 1.0)
    error = torch.where(never, last * size, 0.0)[..., None, :] @ parts.axes.mT
    time = torch.full((1,), torch.inf, dtype=model.kernel.dtype, device=model.kernel.device)
    return _record(_labels(model), time, error, _turned(parts, error))


@door(origin="theory")
def together(model: AligningFeatures, time: Float[Tensor, " time"]) -> Alignment:
    """As ``theory``, if the outputs along the last batch axis share their features.

    K + rate sum over outputs of Delta Delta^T is conserved, and the errors, which feel each other,
    are integrated. All outputs have the same kernel. Raises ValueError without such an axis, on
    outputs of different kernels or rates, and as ``theory`` does.
    """
    check_time(time)
    K, y, gamma = _shared(model)
    gamma = gamma[..., None, None]
    matrix = K + gamma * y.mT @ y
    shape = y.shape

    def rate(t: Tensor, state: Tensor) -> Tensor:
        error = state.reshape(shape)
        return (-error @ (matrix - gamma * error.mT @ error)).flatten(-2)

    error = solve(rate, y.flatten(-2), time).unflatten(-1, shape[-2:])  # (*batch, time, output, .)
    kernel = matrix[..., None, :, :] - gamma[..., None] * error.mT @ error
    kernel = kernel[..., None, :, :, :].expand(*shape[:-1], *kernel.shape[-3:])
    return _record(_labels(model), time, error.movedim(-2, -3), kernel)


def flow(features: Tensor, error: Tensor, rate: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Both move at once and smoothly: one Runge-Kutta step of fourth order."""
    x, e = features, error
    total = [torch.zeros_like(x), torch.zeros_like(e)]
    for share, ahead in ((1 / 6, 0.5), (1 / 3, 0.5), (1 / 3, 1.0), (1 / 6, 0.0)):
        seen = e @ x  # (..., output, feature)
        slopes = rate * e.mT @ seen, -seen @ x.mT
        total = [t + share * s for t, s in zip(total, slopes, strict=True)]
        x, e = features + ahead * step * slopes[0], error + ahead * step * slopes[1]
    return features + step * total[0], error + step * total[1]


def greedy(features: Tensor, error: Tensor, rate: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Features descend the loss that the next step will leave, then that step is made.

    Their gradient is autograd's, and rate / 2 their own step: the flow to first order in ``step``.
    """
    with torch.enable_grad():
        psi = features.detach().requires_grad_(True)
        loss = _stepped(psi, error, step).square().sum() / 2
        (slope,) = torch.autograd.grad(loss, psi)
    features = features - rate / 2 * slope
    return features, _stepped(features, error, step)


def at_once(features: Tensor, error: Tensor, rate: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """One Euler step of the flow: both move by what the other is before the step."""
    return features + step * rate * error.mT @ (error @ features), _stepped(features, error, step)


def afterwards(features: Tensor, error: Tensor, rate: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """The step of the outputs first; then features see what it left."""
    error = _stepped(features, error, step)
    return features + step * rate * error.mT @ (error @ features), error


@door(origin="experiment")
def experiment(
    model: AligningFeatures,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    step: float,
    members: int = 1,
    features: int | None = None,
    move: Callable = flow,
    shared: bool = False,
) -> Alignment:
    """Move real features and outputs, step by step; nothing is known of the conserved matrix.

    The kernel of the start is exact, the ``features`` behind it (as many as samples unless given)
    are a random rotation, in which alone the members differ. ``move`` is ``flow`` (error of order
    step^4), ``greedy``, ``at_once`` or ``afterwards`` (of order step), or a function like these.
    ``shared`` features serve all outputs along the last batch axis. Times are rounded to steps.
    Raises ValueError on fewer features than samples and on times as ``clock.ticks`` does,
    FloatingPointError when the steps are too large.
    """
    clock = ticks(time, step)
    draws.whole_number(members, "members", 1, "nothing would move")
    if shared:
        K, y, gamma = _shared(model)
    else:
        K, y, gamma = (x.double() for x in (model.kernel, model.label, model.gamma))
        y = y.expand(*model.batch, y.shape[-1])[..., None, :]  # one output each
        K, gamma = K.expand(*model.batch, *K.shape[-2:]), gamma.expand(model.batch)
    psi = _features(K, features, seed, members)
    error = y[..., None, :, :].expand(*psi.shape[:-2], *y.shape[-2:])
    gamma, seen, done = gamma[..., None, None, None], [], 0
    for step_number in clock.record.tolist():
        for _ in range(step_number - done):
            psi, error = move(psi, error, gamma, step)
        done = step_number
        seen.append((error, psi @ psi.mT))
    errors, kernel = (torch.stack(part, -3) for part in zip(*seen, strict=True))
    if not errors.isfinite().all():
        raise FloatingPointError("features must stay finite: use a smaller step")
    errors, kernel = errors.movedim(-2, 0), kernel[None].expand(errors.shape[-2], *kernel.shape)
    if shared:
        place = len(model.batch) - 1
        errors, kernel = errors.movedim(0, place), kernel.movedim(0, place)
    else:
        errors, kernel = errors[0], kernel[0]
    return _record(_labels(model)[..., None, :, :], clock.time, errors, kernel)


@door
def alignment(
    kernel: Float[Tensor, "*#batch sample sample"], label: Float[Tensor, "*#batch sample"]
) -> Float[Tensor, "*batch"]:
    """Cosine of a kernel and y y^T, y.K.y / (|y|^2 |K|), where |K|^2 is the sum of all squares.

    1 only if the kernel is y y^T up to a factor; it knows no scale. Raises ValueError on kernels
    and labels that are zero.
    """
    size, length = torch.linalg.matrix_norm(kernel), label.square().sum(-1)
    require("kernel", size, size > 0, "finite and not all zero", "its direction is asked for")
    require("label", length, length > 0, "finite and not all zero", "its direction is asked for")
    return _along(kernel, label) / (length * size)


@door
def invariant(
    model: AligningFeatures, seen: Alignment
) -> Float[Tensor, "*batch time sample sample"]:
    """K + rate Delta Delta^T, which the flow of one output conserves, of theory or experiment."""
    gamma = model.gamma.reshape(*model.gamma.shape, *[1] * (seen.kernel.ndim - len(model.batch)))
    return seen.kernel + gamma * seen.error[..., :, None] * seen.error[..., None, :]


@door
@dataclass(frozen=True)
class TwoLayers:
    """A network f = w.phi(W x / sqrt(D)) / (richness N) whose kernel the model is held against.

    N neurons, D inputs; weights start normal, of variance one, and descend the squared error
    summed over samples and outputs in steps times richness^2 N. ``activation`` None is linear.
    Raises ValueError on inputs or labels that are not finite or all zero and on a richness that
    is not positive.
    """

    inputs: Float[Tensor, "sample input"]
    label: Float[Tensor, "output sample"]
    richness: float | Float[Tensor, "*batch"]
    activation: Activation | None = None

    def __post_init__(self):
        y, x = self.label.norm(dim=-1), self.inputs.norm()
        require("inputs", x, x > 0, "finite and not all zero", "nothing would be seen")
        require("label", y, y > 0, "finite and not all zero", "it is to be learned")
        require("richness", self.gamma, self.gamma > 0, "positive", "lazy is its limit 0")

    @property
    def gamma(self) -> Float[Tensor, "*batch"]:
        """The richness as a tensor, in the dtype of the inputs."""
        return torch.as_tensor(self.richness, dtype=self.inputs.dtype, device=self.inputs.device)


@door(origin="theory")
def wide_linear(model: TwoLayers, time: Float[Tensor, " time"]) -> Alignment:
    """Tangent kernels of the outputs of a linear network at infinite width, as integrated.

    With K_x = x.x'/D, Phi = <h h>, G = <z z> over neurons and f = <z h> / richness it is closed:
    Phi' = richness^2 sum over outputs of (K_x Delta f^T + f Delta^T K_x), G' = richness^2
    (Delta.f + f.Delta), and output c has the kernel Phi + G_cc K_x. The record has the outputs
    as its last batch axis. Raises ValueError on an activation, and as ``theory`` does.
    """
    check_time(time)
    if model.activation is not None:
        raise ValueError("activation must be None: only linear kernels move in closed equations")
    x, y = model.inputs.double(), model.label.double()
    K, (outputs, samples) = x @ x.mT / x.shape[-1], y.shape
    square = model.gamma.double()[..., None, None] ** 2
    sizes = [outputs * samples, samples**2, outputs**2]

    def unpack(state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        e, phi, g = state.split(sizes, -1)
        shapes = (outputs, samples), (samples, samples), (outputs, outputs)
        return tuple(p.unflatten(-1, s) for p, s in zip((e, phi, g), shapes, strict=True))

    def rate(t: Tensor, state: Tensor) -> Tensor:
        e, phi, g = unpack(state)
        turn, lean = square * (e @ K).mT @ (y - e), square * e @ (y - e).mT
        moves = -e @ phi - g @ e @ K, turn + turn.mT, lean + lean.mT
        return torch.cat([part.flatten(-2) for part in moves], -1)

    start = torch.cat([p.flatten() for p in (y, K, torch.eye(outputs).to(y))])
    start = start.expand(*model.gamma.shape, -1)
    e, phi, g = unpack(solve(rate, start, time))
    own = g.diagonal(dim1=-2, dim2=-1).movedim(-1, -2)[..., None, None]  # (..., output, time, 1, 1)
    kernel = phi[..., None, :, :, :] + own * K
    return _record(model.label[:, None, :], time, e.movedim(-2, -3), kernel)


@door(origin="experiment")
def trained(
    model: TwoLayers,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    step: float,
    width: int,
    members: int,
    rule: Callable[[float | Tensor], Rule] = GradientFlow,
) -> Alignment:
    """Train networks of ``width`` neurons; axes (*batch, output, member, time, ...).

    What a network says before training is subtracted. The tangent kernel of an output is the sum
    over weights of products of gradients, by autograd, times richness^2 N. Raises
    FloatingPointError when training diverges.
    """
    clock = ticks(time, step)
    counts = {"width": width, "members": members}
    for name, value in counts.items():
        draws.whole_number(value, name, 1, "nothing would be trained")
    outputs, samples = model.label.shape
    batch = (*model.gamma.shape, members)
    richness = model.gamma[..., None].expand(batch)
    sizes = mean_field([model.inputs.shape[-1], width, outputs], richness)
    where = {"dtype": model.inputs.dtype, "device": model.inputs.device}
    flat = sizes.start(richness.numel(), seed=seed, **where)
    weights = [w.reshape(*batch, *w.shape[1:]) for w in flat]
    network = Perceptron(model.activation, sizes.multiplier)
    labels = model.label.mT + network(weights, model.inputs)
    rate = sizes.rate[0]

    def kernels(state: State) -> Tensor:
        return state.tangent_kernel().diagonal(dim1=-2, dim2=-1).movedim(-1, 1)

    seen = train(
        weights,
        Samples(model.inputs.expand(*batch, *model.inputs.shape), labels),
        network=network,
        rule=rule(step * samples * rate),  # the loss of ``train`` is a mean
        record=clock.record,
        observe={"error": lambda state: state.labels - state.outputs(), "kernel": kernels},
    )
    seen = seen.require_finite().observed
    error = seen["error"].movedim(-1, -4)  # (*batch, output, member, time, sample)
    kernel = spread(rate)[..., None, None] * seen["kernel"]
    return _record(model.label[:, None, None, :], clock.time, error, kernel.movedim(-3, -5))


def _stepped(features: Tensor, error: Tensor, step: float) -> Tensor:
    """Errors after one step of the outputs, error - step K error."""
    return error - step * (error @ features) @ features.mT


def _along(kernel: Tensor, label: Tensor) -> Tensor:
    return (label[..., None, :] @ kernel @ label[..., :, None])[..., 0, 0]


def _record(label: Tensor, time: Tensor, error: Tensor, kernel: Tensor) -> Alignment:
    """The record, in the dtype of ``label``, whose axes fit those of the errors."""
    y = label.to(kernel)
    found = _along(kernel, y) / (y.square().sum(-1) * torch.linalg.matrix_norm(kernel))
    return Alignment(time, *(part.to(label.dtype) for part in (error, kernel, found)))


def _labels(model: AligningFeatures) -> Float[Tensor, "*batch 1 sample"]:
    return model.label.expand(*model.batch, -1)[..., None, :]


def _parts(model: AligningFeatures) -> _Parts:
    K, y, gamma = (x.double() for x in (model.kernel, model.label, model.gamma))
    K = (K + K.mT).expand(*model.batch, *K.shape[-2:]) / 2
    y, gamma = y.expand(*model.batch, -1), gamma.expand(model.batch)[..., None]
    least = K.shape[-1] * 10 * torch.finfo(model.kernel.dtype).eps
    own, size = y.norm(dim=-1, keepdim=True), torch.linalg.matrix_norm(K, 2)[..., None]
    value, axes = torch.linalg.eigh(K)
    share = (y[..., None, :] @ axes)[..., 0, :]
    null = value <= least * size
    reach = (share.square() / value.masked_fill(null, torch.inf)).sum(-1)
    outside = (null & (share.abs() > 1e-6 * own) & (gamma > 0)).any(-1)
    floor = torch.where(outside, 0.0, 1 / (1 + gamma[..., 0] * reach))
    matrix = K + gamma[..., None] * y[..., :, None] * y[..., None, :]
    value, axes = torch.linalg.eigh(matrix)
    share = (y[..., None, :] @ axes)[..., 0, :]
    share = share.masked_fill(share.abs() < 1e-14 * own, 0.0)
    value = value.masked_fill(value <= least * size, 0.0)
    return _Parts(gamma, matrix, value, axes, share, floor)


def _turned(parts: _Parts, error: Tensor) -> Tensor:
    """The kernel that goes with errors (*batch, time, sample)."""
    gained = error[..., :, None] * error[..., None, :]
    return parts.matrix[..., None, :, :] - parts.gamma[..., None, None] * gained


def _shared(model: AligningFeatures) -> tuple[Tensor, Tensor, Tensor]:
    """Kernel (*batch, sample, sample), labels (*batch, output, sample) and rates (*batch,)."""
    if not model.batch:
        raise ValueError("label must have an axis of outputs that share their features, got none")
    K = model.kernel.double().expand(*model.batch, *model.kernel.shape[-2:])
    gamma = model.gamma.double().expand(model.batch)
    for name, value, first in (("kernel", K, K[..., :1, :, :]), ("rate", gamma, gamma[..., :1])):
        require(name, value, value == first, "one for all outputs", "they share their features")
    y = model.label.double().expand(*model.batch, -1)
    return (K[..., 0, :, :] + K[..., 0, :, :].mT) / 2, y, gamma[..., 0]


def _features(kernel: Tensor, features: int | None, seed: int, members: int) -> Tensor:
    """Psi (*batch, member, sample, feature) with Psi Psi^T = ``kernel`` and random directions."""
    samples, batch = kernel.shape[-1], kernel.shape[:-2]
    count = samples if features is None else draws.whole_number(features, "features")
    if count < samples:
        raise ValueError(f"features must be at least the {samples} samples, got {count}")
    root = symmetric_root(kernel)
    normals = draws.normal(seed, "features", batch.numel() * members, (count, samples))
    frames = torch.linalg.qr(normals).Q.reshape(*batch, members, count, samples)
    return root[..., None, :, :] @ frames.to(root).mT
