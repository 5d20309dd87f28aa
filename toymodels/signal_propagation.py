"""Signals in wide random networks: how a kernel flows from layer to layer, and when it survives.

Preactivations of a very wide network are Gaussian, and their variance K in one layer fixes that of
the next. That map is a flow with fixed points; its two susceptibilities say whether small changes
grow or die, and a network is critical where both are one. Chapter:
``chapters/signal_propagation.md``.

    z^1 = b^1 + W^1 x,  z^{l+1} = b^{l+1} + W^{l+1} s(z^l)    preactivations of n units a layer
    C_b, C_W / fan-in   variances of biases and weights
    K                   kernel, <z^2> of one unit; K^1 = C_b + C_W |x|^2 / n_0
    <F>_K               average over z ~ N(0, K)

Source: Roberts, Yaida & Hanin (2022), arXiv:2106.10165, chapter 5; as a transition from order to
chaos Poole et al. (2016), arXiv:1606.05340, and Schoenholz et al. (2017), arXiv:1611.01232.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Perceptron
from toymodels.networks.rules import GradientDescent
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.entrywise import Function, derivatives, entrywise
from toymodels.numerics.expectation import average, pair_average
from toymodels.numerics.fixed_point import solve
from toymodels.numerics.quantity import require, together

Number = float | int
SMALLEST, LARGEST = 1e-290, 1e290  # kernels: beyond, their squares or inverses leave the doubles
TINY = 1e-30  # where one-sided slopes at 0 are read: z of higher order is below rounding
NOISE = 1e-9  # of ratios of averages, which are good to 1e-12
ORDERS = 120  # of Hermite polynomials: see resting_kernels
NUDGE = 1e-5  # of a signal: its square is lost, and a rounding error over it too


@door
@dataclass(frozen=True)
class WideNetwork:
    """An activation and the two variances a user chooses; leading axes are independent networks.

    The activation acts entry by entry, has no jump, and its slope none but at 0. All functions
    compute in float64 and return it, whatever the precision of what they are given: a critical
    network lives on differences that float32 does not hold.
    Raises ValueError unless 0 < weight_variance < inf and 0 <= bias_variance < inf.
    """

    activation: Function | None  # s, None is linear
    weight_variance: Number | Float[Tensor, "*#batch"]  # C_W, times the fan-in of the layer
    bias_variance: Number | Float[Tensor, "*#batch"] = 0.0  # C_b

    def __post_init__(self):
        weight, bias = together(self.weight_variance, self.bias_variance)
        require("weight_variance", weight, weight > 0, "positive", "no signal would pass")
        require("bias_variance", bias, bias >= 0, "non-negative", "it is a variance")


@dataclass(frozen=True)
class Signal:
    """What a signal is like in every layer. Theory and experiment both return this.

    Networks of an experiment come along one more axis, the last of the batch.
    """

    layer: Int[Tensor, " layer"]  # 1, 2, ...
    kernel: Float[Tensor, "*batch layer"]  # K of that layer
    parallel: Float[Tensor, "*batch layer"]  # dK'/dK, growth of a change of K to the next layer
    perpendicular: Float[Tensor, "*batch layer"]  # growth of |dz|^2 / n, dz across the signal


@dataclass(frozen=True)
class CriticalPoint:
    """Where a signal neither explodes nor vanishes: K = C_b + C_W <s^2>_K, both chi are one."""

    kernel: float  # K*; 1 stands for every kernel if the network is scale-invariant
    bias_variance: float  # C_b
    weight_variance: float  # C_W
    universality: str  # "scale-invariant", "vanishing" (K* = 0) or "half-stable"


@door
@dataclass(frozen=True)
class Lesson:
    """Directions and labels: the first ``learned`` samples are trained on, the others are new.

    Raises ValueError unless directions have length 1 and some samples are learned, some new.
    """

    direction: Float[Tensor, "sample input"]
    label: Float[Tensor, " sample"]
    learned: int

    def __post_init__(self):
        length = self.direction.norm(dim=-1)
        require("direction", length, (length - 1).abs() < 1e-6, "of length 1", "K sets the length")
        if not 0 < self.learned < len(self.label) == len(self.direction):
            raise ValueError(
                f"learned must leave samples to learn and new ones, got {self.learned} of "
                f"{len(self.label)} labels and {len(self.direction)} directions"
            )


@dataclass(frozen=True)
class Learned:
    """What training leaves of half the mean squared error. Theory and experiment return this.

    Networks of an experiment come along one more axis, the last.
    """

    loss: Float[Tensor, "*batch"]  # on the samples that are trained on
    new_loss: Float[Tensor, "*batch"]  # on the others


@door(origin="theory")
def theory(model: WideNetwork, kernel: Number | Float[Tensor, "*batch"], layers: int) -> Signal:
    """Kernel and susceptibilities of layers 1 to ``layers`` at infinite width, in float64.

    K' = C_b + C_W <s^2>_K from K^1 = ``kernel``. Raises ValueError on a kernel that is not
    positive or no layers, FloatingPointError when it explodes or vanishes beyond 1e+-290.
    """
    weight, bias, K = together(model.weight_variance, model.bias_variance, kernel)
    _require_signal(K)
    kernels = [K]
    for layer in range(2, _count(layers, "layers") + 1):
        kernels.append(bias + weight * _power(model.activation, kernels[-1]))
        _require_doubles(kernels[-1], layer)
    K = torch.stack(kernels, -1)  # (*batch, layer)
    unit = model.activation
    return Signal(
        torch.arange(1, layers + 1, device=K.device),
        K,
        weight[..., None] * _parallel(unit, K),
        weight[..., None] * _perpendicular(unit, K),
    )


@door(origin="theory")
def step(model: WideNetwork, kernel: Float[Tensor, "*batch"]) -> Float[Tensor, "*network"]:
    """Kernel of the next layer, C_b + C_W <s^2>_K: one step of the flow."""
    weight, bias, K = together(model.weight_variance, model.bias_variance, kernel)
    require("kernel", K, K >= 0, "non-negative", "it is a variance")
    return bias + weight * _power(model.activation, K)


@door(origin="theory")
def parallel(model: WideNetwork, kernel: Float[Tensor, "*batch"]) -> Float[Tensor, "*network"]:
    """chi_par = C_W <z s s'>_K / K = d step / dK: what becomes of a signal that is too strong."""
    weight, K = together(model.weight_variance, kernel)
    _require_signal(K)
    return weight * _parallel(model.activation, K)


@door(origin="theory")
def perpendicular(model: WideNetwork, kernel: Float[Tensor, "*batch"]) -> Float[Tensor, "*network"]:
    """chi_perp = C_W <s'^2>_K: what becomes of a small difference between equally strong inputs."""
    weight, K = together(model.weight_variance, kernel)
    _require_signal(K)
    return weight * _perpendicular(model.activation, K)


@door(origin="theory")
def marginal(
    activation: Function | None,
    kernel: Float[Tensor, "*batch"],
    susceptibility: Callable[[WideNetwork, Tensor], Tensor],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """(C_b, C_W) that keep each kernel fixed and bring a susceptibility there to one.

    ``susceptibility`` is ``parallel`` or ``perpendicular``. As the kernel runs, the pair draws a
    critical line; where C_b comes out negative no network has that fixed point.
    """
    unit = WideNetwork(activation, 1.0)
    weight = 1 / susceptibility(unit, kernel)
    return kernel - weight * step(unit, kernel), weight


@door(origin="theory")
def critical_point(activation: Function | None) -> CriticalPoint:
    """The variances at which both susceptibilities are one at a fixed point of the kernel.

    Looks at kernels from 1e-6 to 1e6 for chi_par = chi_perp. If that holds for all, or if the
    kernel 0 is fixed and attracts, the slopes a_+ and a_- at 0 give C_W = 2 / (a_+^2 + a_-^2);
    else the least root with C_b >= 0 is taken, to 1e-9. Raises ValueError if there is none: then
    no choice keeps a deep network from exploding, vanishing or forgetting.
    """
    grid = torch.logspace(-6, 6, 121, dtype=torch.float64)
    _, slopes = derivatives(activation, torch.tensor([TINY, -TINY], dtype=torch.float64))
    power = slopes.square().mean().item()  # <s^2>_K / K for K -> 0
    excess = _balance(activation, grid) - 1
    if (
        power > 0
        and entrywise(activation)(torch.zeros(1, dtype=torch.float64)).abs().item() < NOISE
    ):
        if (excess.abs() < NOISE).all():
            return CriticalPoint(1.0, 0.0, 1 / power, "scale-invariant")
        grown = _power(activation, grid) / (power * grid) - 1
        if (grown[grown.abs() > NOISE][:1] < 0).any():  # the first change that shows
            return CriticalPoint(0.0, 0.0, 1 / power, "vanishing")
    before, after = excess[:-1], excess[1:]
    here = (before * after < 0) & (before.abs() > NOISE) & (after.abs() > NOISE)
    if here.any():
        kernel = _crossing(activation, grid[:-1][here], grid[1:][here])
        bias, weight = marginal(activation, kernel, perpendicular)
        if (bias >= 0).any():
            least = int((bias >= 0).nonzero()[0])
            found = (part[least].item() for part in (kernel, bias, weight))
            return CriticalPoint(*found, "half-stable")
    raise ValueError(
        "activation must have a critical point, got none: with C_b >= 0 no kernel from 0 to 1e6 is "
        "fixed and has both susceptibilities one"
    )


@door(origin="theory")
def overlap(
    model: WideNetwork,
    kernel: Number | Float[Tensor, "*batch"],
    start: Number | Float[Tensor, "*pair"],
    layers: int,
) -> Float[Tensor, "*network layer"]:
    """Correlation of the preactivations of two equally strong inputs, from ``start`` in layer 1.

    With the covariance C of a pair, C' = C_b + C_W <s(u) s(v)> and the correlation is C / K; its
    change near 1 is the perpendicular susceptibility. Errors as in ``theory``; ValueError on a
    start outside [-1, 1].
    """
    K = theory(model, kernel, layers).kernel
    weight, bias, c = together(model.weight_variance, model.bias_variance, start)
    require("start", c, c.abs() <= 1, "in [-1, 1]", "it is a correlation")
    shape = torch.broadcast_shapes(c.shape, K.shape[:-1])
    K, seen, signal = K.expand(*shape, layers), [c.expand(shape)], entrywise(model.activation)
    for q, after in zip(K.unbind(-1)[:-1], K.unbind(-1)[1:], strict=True):
        pair = pair_average(signal, signal, q, q, seen[-1] * q)
        seen.append(((bias + weight * pair) / after).clamp(-1, 1))
    return torch.stack(seen, -1)


@door(origin="experiment")
def experiment(
    model: WideNetwork,
    kernel: Number | Float[Tensor, "*batch"],
    layers: int,
    *,
    seed: int,
    width: int,
    members: int,
) -> Signal:
    """Send an input through ``members`` networks and nudge it; nothing of ``theory`` is used.

    Two inputs suffice: weights are Gaussian, so only the length of x counts. ``parallel`` is the
    response of the next kernel to stretching all signals of a layer, ``perpendicular`` the growth
    of a nudge across the input, which goes through all layers. One network differs from ``theory``
    by O(1 / sqrt(width)), the mean over members by O(1 / width). Layers of one network are not
    independent, and networks of the model's batch have the same weights (common random numbers).

    Raises ValueError on a kernel not above C_b, which the input must add to, on no members, and
    FloatingPointError when a signal dies or overflows.
    """
    weight, bias, K = together(model.weight_variance, model.bias_variance, kernel)
    require("kernel", K, bias < K, "above bias_variance", "the input adds to the biases")
    _count(members, "members")
    _count(width, "width")
    ahead = (2 * (K - bias) / weight).sqrt()[..., None, None, None]  # |x|^2 / n_0, and n_0 = 2
    signal = torch.cat([ahead, torch.zeros_like(ahead)], -1)  # (*batch, 1, 1, input)
    nudge = torch.cat([signal, signal.flip(-1)], -2)  # along the signal, across it
    offsets = draws.normal(seed, "biases", members, (_count(layers, "layers") + 1, 1, width))
    seen = []
    for layer in range(layers + 1):
        send = _layer(model, layer, (members, width, signal.shape[-1]), seed, offsets[:, layer])
        nudge = nudge * (signal.norm(dim=-1) / nudge.norm(dim=-1))[..., None]  # as long as it
        sent = send(torch.cat([signal, signal + NUDGE * nudge, signal - NUDGE * nudge], -2))
        after = sent[..., :1, :]
        response = (sent[..., 1:3, :] - sent[..., 3:, :]) / (2 * NUDGE)
        if layer:
            seen.append(_observe(signal, nudge, after, response))
        signal, nudge = after, torch.cat([after, response[..., 1:, :]], -2)
    return _record(torch.arange(1, layers + 1, device=K.device), seen)


@door(origin="theory")
def resting_kernels(
    model: WideNetwork,
    kernel: Number | Float[Tensor, "*batch"],
    cosine: Float[Tensor, "row column"],
    layers: int,
) -> tuple[Float[Tensor, "*batch layer row column"], Float[Tensor, "*batch layer row column"]]:
    """Covariance and tangent kernel of the preactivations of every layer, K at rest.

    ``cosine`` is that of the inputs, which are so long that K = ``kernel`` in layer 1 already. With
    normalised Hermite polynomials h_k, s(sqrt(K) u) = sum_k a_k h_k(u), and at a correlation c

        <s(u) s(v)> = sum_k a_k^2 c^k,   K <s'(u) s'(v)> = sum_k k a_k^2 c^(k-1)

    Good to 1e-5 for tanh up to a kernel of 2, to 1e-3 up to 4. The tangent kernel is that of
    ``limits.wide_kernels``, which takes inputs of any length and a hundred times as long. Raises
    ValueError on a kernel that the flow moves and on a cosine outside [-1, 1].
    """
    weight, bias, K = together(model.weight_variance, model.bias_variance, kernel)
    at_rest = (K > 0) & ((step(model, K) - K).abs() <= 1e-6 * K)
    require("kernel", K, at_rest, "a fixed point", "lengths may not change on the way")
    require("cosine", cosine, cosine.abs() <= 1, "in [-1, 1]", "it is a cosine")
    values = _hermite(model.activation, K).square()  # (*batch, order)
    slopes = torch.arange(1, ORDERS, device=K.device) * values[..., 1:]
    weight, bias, K = (part[..., None, None] for part in (weight, bias, K))
    c = (bias + (K - bias) * cosine.double()) / K
    nngp, tangent = [K * c], [K * c]
    for _ in range(_count(layers, "layers") - 1):
        slope = weight * _series(slopes, c) / K
        nngp.append(bias + weight * _series(values, c))
        tangent.append(nngp[-1] + slope * tangent[-1])
        c = (nngp[-1] / K).clamp(-1, 1)
    return torch.stack(nngp, -3), torch.stack(tangent, -3)


def _hermite(activation: Function | None, K: Tensor) -> Tensor:
    """a_k = <s(sqrt(K) u) h_k(u)>, (*batch, order)."""
    rule = np.polynomial.hermite_e.hermegauss(ORDERS)
    node, weight = (torch.as_tensor(part).to(K) for part in rule)
    root = (weight / weight.sum()).sqrt()
    rows = [torch.zeros_like(root), root]  # root times h_k, which alone would overflow
    for k in range(1, ORDERS):
        rows.append((node * rows[-1] - (k - 1) ** 0.5 * rows[-2]) / k**0.5)
    values = entrywise(activation)(K.sqrt()[..., None] * node) * root
    return values @ torch.stack(rows[1:], -1)


def _series(coefficients: Tensor, c: Tensor) -> Tensor:
    """sum_k coefficients_k c^k by Horner's rule, (*batch, row, column)."""
    total = torch.zeros_like(c)
    for coefficient in coefficients.flip(-1).unbind(-1):
        total = total * c + coefficient[..., None, None]
    return total


@door(origin="theory")
def lazy_training(
    model: WideNetwork,
    kernel: Number | Float[Tensor, "*batch"],
    lesson: Lesson,
    layers: int,
    steps: int,
) -> Learned:
    """Expected losses of infinitely wide networks of 1 to ``layers`` layers, K at rest.

    Gradient descent multiplies the residual of the learned samples by 1 - Theta / L in every step,
    with the tangent kernel Theta and its largest eigenvalue L: see ``training_rate``. New samples
    follow, and outputs before training are Gaussian. Errors as in ``resting_kernels``.
    """
    nngp, tangent = resting_kernels(model, kernel, _cosines(lesson), layers)
    seen, new = slice(0, lesson.learned), slice(lesson.learned, None)
    value, mode = torch.linalg.eigh(tangent[..., seen, seen])
    share = (value / value[..., -1:]).clamp(min=0)  # of the fastest mode
    gained = 1 - (1 - share) ** _count(steps, "steps")
    solved = torch.where(share > 1e-12, gained / share, steps)  # its limit at 0
    solved = solved / value[..., -1:]
    reply = tangent[..., seen] @ (mode * solved[..., None, :]) @ mode.mT  # of all to the learned
    left = torch.eye(len(lesson.label)).to(tangent).expand_as(tangent).clone()
    left[..., seen] -= reply  # residuals after training are left @ residuals before
    error = (left @ lesson.label.double()).square()
    error = error + (left @ nngp @ left.mT).diagonal(0, -2, -1)
    return Learned(error[..., seen].mean(-1) / 2, error[..., new].mean(-1) / 2)


@door(origin="theory")
def training_rate(
    model: WideNetwork, kernel: Number | Float[Tensor, "*batch"], lesson: Lesson, layers: int
) -> Float[Tensor, "*batch layer"]:
    """Learning rate of the loss at which one step learns the fastest mode of a wide network."""
    seen = slice(0, lesson.learned)
    _, tangent = resting_kernels(model, kernel, _cosines(lesson)[seen, seen], layers)
    return lesson.learned / torch.linalg.eigvalsh(tangent)[..., -1]


def _cosines(lesson: Lesson) -> Tensor:
    return (lesson.direction.double() @ lesson.direction.double().mT).clamp(-1, 1)


def _of_members(value: Tensor, batch: tuple[int, ...]) -> Tensor:
    return value.float()[..., None].expand(batch)


def _drawn_network(
    activation: Function,
    weight: Tensor,
    bias: Tensor,
    widths: list[int],
    batch: tuple[int, ...],
    seed: int,
) -> tuple[Perceptron, list[Tensor]]:
    """A network whose multipliers hold the variances, and the weights that it starts from."""

    where = {"dtype": torch.float32, "device": weight.device}

    def drawn(purpose: str, *shape: int) -> Tensor:
        draw = draws.normal(seed, purpose, batch[-1], shape, **where)
        return draw.expand(*batch, *shape)

    pairs = list(enumerate(zip(widths[:-1], widths[1:], strict=True)))
    spread = _of_members(bias.sqrt(), batch)[..., None, None]
    matrices = [drawn(f"layer {k}", out, into) for k, (into, out) in pairs]
    rows = [spread * drawn(f"biases {k}", 1, out) for k, (_, out) in pairs]
    scales = [_of_members((weight / into).sqrt(), batch) for into in widths[:-1]]
    return Perceptron(activation, scales, biases=True), [*matrices, *rows]


@door(origin="experiment")
def real_training(
    model: WideNetwork,
    kernel: Number | Float[Tensor, "*batch"],
    lesson: Lesson,
    layers: int,
    steps: int,
    *,
    rate: Number | Float[Tensor, "*batch"],
    seed: int,
    width: int,
    members: int,
) -> Learned:
    """Train all layers of ``members`` networks by gradient descent, in float32.

    Weights are unit Gaussians with multipliers, and biases learn at C_b times the rate, so that a
    ``rate`` means the same at any width. Networks of the model's batch share their draws. Raises
    ValueError on a kernel not above C_b and FloatingPointError when a network diverges.
    """
    weight, bias, K, rate = together(model.weight_variance, model.bias_variance, kernel, rate)
    require("kernel", K, bias < K, "above bias_variance", "the input adds to the biases")
    batch = (*K.shape, _count(members, "members"))
    hidden = _count(layers, "layers") - 1
    widths = [lesson.direction.shape[-1], *[_count(width, "width")] * hidden, 1]
    each = partial(_of_members, batch=batch)
    network, start = _drawn_network(model.activation, weight, bias, widths, batch, seed)
    length = (widths[0] * (K - bias) / weight).sqrt()
    inputs = each(length)[..., None, None] * lesson.direction.float()
    labels = lesson.label.float()[:, None].expand(*batch, -1, 1)
    seen, new = slice(0, lesson.learned), slice(lesson.learned, None)
    samples = Samples(inputs[..., seen, :], labels[..., seen, :])
    fresh = inputs[..., new, :].flatten(0, -3)

    def new_losses(state: State) -> Tensor:
        return state.loss(state.outputs(fresh[state.members]), labels.flatten(0, -3)[0, new])

    pace = [each(rate)] * layers + [each(rate * bias)] * layers
    found = train(
        start,
        samples,
        network=network,
        rule=GradientDescent(pace),
        record=[_count(steps, "steps")],
        observe={"loss": State.losses, "new_loss": new_losses},
    ).require_finite()
    return Learned(**{name: seen[..., 0].double() for name, seen in found.observed.items()})


def _layer(
    model: WideNetwork, layer: int, shape: tuple[int, int, int], seed: int, offset: Tensor
) -> Callable[[Tensor], Tensor]:
    """The map from signals of one layer, or from the input, to those of the next."""
    members, width, into = shape
    weight, bias = together(model.weight_variance, model.bias_variance)
    W = draws.normal(seed, f"layer {layer}", members, (width, into), device=weight.device)
    linear = Perceptron(multipliers=[weight.sqrt()[..., None]], biases=True)
    act = entrywise(model.activation)
    b = bias.sqrt()[..., None, None, None] * offset.to(weight.device)
    parameters = [W / into**0.5, b]
    if layer == 0:
        return lambda signal: linear(parameters, signal)
    return lambda signal: linear(parameters, act(signal))


def _observe(signal: Tensor, nudge: Tensor, after: Tensor, response: Tensor) -> Tensor:
    """Kernel, parallel and perpendicular growth of every network, (*batch, member, 3)."""
    kernel = signal.square().mean((-2, -1))
    stretched = (after * response[..., :1, :]).mean((-2, -1))  # half of dK' when z is stretched
    across = [change[..., 1, :].square().mean(-1) for change in (response, nudge)]
    return torch.stack([kernel, stretched / kernel, across[0] / across[1]], -1)


def _record(layer: Tensor, seen: list[Tensor]) -> Signal:
    each = torch.stack(seen, -2)  # (*batch, member, layer, 3)
    if not each.isfinite().all():
        raise FloatingPointError(
            "signals must stay finite and alive, got one that does not: take fewer layers, or more "
            "units if all those of a layer can be silent at once"
        )
    return Signal(layer, *each.unbind(-1))


def _power(activation: Function | None, K: Tensor) -> Tensor:
    signal = entrywise(activation)
    return average(lambda z: signal(z).square(), K)


def _parallel(activation: Function | None, K: Tensor) -> Tensor:
    def stretched(z: Tensor) -> Tensor:
        value, slope = derivatives(activation, z)
        return z * value * slope

    return average(stretched, K) / K


def _perpendicular(activation: Function | None, K: Tensor) -> Tensor:
    return average(lambda z: derivatives(activation, z)[1].square(), K)


def _balance(activation: Function | None, K: Tensor) -> Tensor:
    """chi_par / chi_perp; 1 + <s s''>_K / <s'^2>_K where s has a second derivative."""
    flat = _perpendicular(activation, K)
    if not (flat > 0).all():
        raise ValueError("activation must have a slope, got one that is flat or jumps")
    return _parallel(activation, K) / flat


def _crossing(activation: Function | None, low: Tensor, high: Tensor) -> Tensor:
    """The kernels in the brackets at which chi_par / chi_perp passes one."""
    falls = _balance(activation, low) > 1

    def ratio(K: Tensor) -> tuple[Tensor, Tensor]:
        balance = _balance(activation, K)
        return torch.where(falls, balance, 1 / balance), torch.zeros_like(K)  # bisect: no slope

    return solve(ratio, low, high, iterations=60).solution


def _count(value: int, name: str) -> int:
    return draws.whole_number(value, name, 1, "there is nothing to follow")


def _require_signal(kernel: Tensor) -> None:
    require("kernel", kernel, kernel > 0, "positive", "a signal of no strength has no direction")


def _require_doubles(kernel: Tensor, layer: int) -> None:
    if not ((kernel >= SMALLEST) & (kernel <= LARGEST)).all():
        raise FloatingPointError(
            f"kernel must stay between {SMALLEST:g} and {LARGEST:g}, got {kernel.min():g} to "
            f"{kernel.max():g} in layer {layer}: take fewer layers"
        )
