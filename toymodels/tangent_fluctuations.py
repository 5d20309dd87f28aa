"""Tangent kernels of networks of finite width: how they scatter, and how they learn.

At infinite width the tangent kernel is the same in every network and rests in training. At order
1/n it scatters from network to network and has a slope along the direction of learning, its
differential. Chapter: ``chapters/tangent_fluctuations.md``.

    z_i                   preactivations of a layer of n units, one input
    H_ij                  tangent kernel, sum_mu rate_mu (d_mu z_i) (d_mu z_j)
    dH_ijk                its differential, sum rate rate (d_mu d_nu z_i) (d_mu z_j) (d_nu z_k)
    C_b, C_W / fan-in     variances of biases and weights
    l_b, l_W / fan-in     learning rates of biases and weights, relative to the global one
    <F>_K                 average over z ~ N(0, K)

Source: Roberts, Yaida & Hanin (2022), arXiv:2106.10165, chapters 8, 9 and 11; what learning leaves
of a deep linear network is our own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels import signal_propagation
from toymodels.networks import GradientDescent, Perceptron, Samples, State, tangent_kernel, train
from toymodels.networks.chunks import room
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.entrywise import Function, derivatives, entrywise
from toymodels.numerics.expectation import average
from toymodels.numerics.quantity import leading_axes_fit, require

Number = float | int
Weights = list[Tensor]


@door
@dataclass(frozen=True)
class TangentNetwork:
    """An activation, two variances and two relative learning rates; leading axes are networks.

    Rates are those of all layers, or have one entry per layer, first layer first. Raises ValueError
    unless the variances are those of a ``WideNetwork`` and no rate is negative.
    """

    activation: Function | None  # s, None is linear; smooth, but for a kink at 0
    weight_variance: Number | Float[Tensor, "*#batch"]  # C_W
    bias_variance: Number | Float[Tensor, "*#batch"] = 0.0  # C_b
    weight_rate: Number | Float[Tensor, "*#batch layer"] = 1.0  # l_W
    bias_rate: Number | Float[Tensor, "*#batch layer"] = 0.0  # l_b

    def __post_init__(self):
        for name in ("weight_rate", "bias_rate"):
            rate = torch.as_tensor(getattr(self, name))
            require(name, rate, rate >= 0, "non-negative", "descent would climb")
        self.wide()

    def wide(self) -> signal_propagation.WideNetwork:
        """The same network as one whose signals are followed and whose learning is not."""
        return signal_propagation.WideNetwork(
            self.activation, self.weight_variance, self.bias_variance
        )


@dataclass(frozen=True)
class Tangent:
    """Moments in every layer, at leading order in 1/n. Theory and experiment both return this.

        E z_i z_j z_k z_l   connected: (V/n) (d_ij d_kl + d_ik d_jl + d_il d_jk)
        E H_ij H_kl         connected: (1/n) [A d_ij d_kl + B (d_ik d_jl + d_il d_jk)]
        E z_i z_j H_kl      connected: (1/n) [D d_ij d_kl + F (d_ik d_jl + d_il d_jk)]
        E z_i dH_jkl        (1/n) [P d_ij d_kl + Q (d_ik d_jl + d_il d_jk)]

    Networks of an experiment come along one more axis, the last of the batch.
    """

    layer: Int[Tensor, " layer"]  # 1, 2, ...
    kernel: Float[Tensor, "*batch layer"]  # K, E z_i^2
    tangent: Float[Tensor, "*batch layer"]  # T, E H_ii
    vertex: Float[Tensor, "*batch layer"]  # V
    A: Float[Tensor, "*batch layer"]
    B: Float[Tensor, "*batch layer"]
    D: Float[Tensor, "*batch layer"]
    F: Float[Tensor, "*batch layer"]
    P: Float[Tensor, "*batch layer"]
    Q: Float[Tensor, "*batch layer"]


@dataclass(frozen=True)
class Lesson:
    """One input learns its label by gradient descent. Theory and experiment both return this.

    Networks of an experiment come along one more axis, before the time.
    """

    step: Int[Tensor, " time"]
    tangent: Float[Tensor, "*batch time"]  # H of the input that is learned
    unseen: Float[Tensor, "*batch time"]  # squared output, mean over inputs at right angles to it


@door(origin="theory")
def theory(model: TangentNetwork, kernel: Number | Float[Tensor, "*batch"], layers: int) -> Tangent:
    """Seven recursions from layer 1, where the tangent kernel is the same in all networks.

    The input has |x|^2 / n_0 = (K - C_b) / C_W with K = ``kernel``, that is 1 at K = C_b + C_W.
    Second derivatives of the activation are integrated by parts, so that a kink at 0 does no harm.
    In float64. Raises ValueError on a kernel below C_b, and as ``signal_propagation.theory`` does.
    """
    w, b, K, rates = _setting(model, kernel, layers)
    flow = signal_propagation.theory(model.wide(), K, layers)
    shape = (*K.shape, layers)
    K, chi, across = (x.expand(shape) for x in (flow.kernel, flow.parallel, flow.perpendicular))
    of = {name: part.unbind(-1) for name, part in _averages(model.activation, K).items()}
    T = rates[1][..., 0] + rates[0][..., 0] * (K[..., 0] - b) / w
    zero = torch.zeros_like(T)
    seen = [(T, *[zero] * 7)]
    for k in range(layers - 1):
        here = {name: part[k] for name, part in of.items()}
        pair = rates[0][..., k + 1], rates[1][..., k + 1]
        seen.append(_onward(seen[-1], here, w, chi[..., k], across[..., k], *pair))
    moments = (torch.stack(part, -1) for part in zip(*seen, strict=True))
    return Tangent(flow.layer, K, *moments)


def _onward(
    before: tuple[Tensor, ...],
    of: dict[str, Tensor],
    C: Tensor,
    chi: Tensor,
    across: Tensor,
    lw: Tensor,
    lb: Tensor,
) -> tuple[Tensor, ...]:
    """T, V, A, B, D, F, P, Q of the next layer; ``of`` holds averages over this one."""
    T, V, A, B, D, F, P, Q = before
    bend = C * of["bend"]  # d chi_perp / dK = C_W <z s' s''> / K
    # of Omega = l_W s^2 + C_W s'^2 T: derivative by K, variance, covariance with s^2
    slope = lw * chi / C + T * bend
    scatter = lw**2 * of["var"] + 2 * lw * C * T * of["cov"] + (C * T) ** 2 * of["slope var"]
    shared = lw * of["var"] + C * T * of["cov"]
    next_F = C**2 * of["both"] * T + chi**2 * F
    curved = C**2 * of["curved"] * T**2  # C_W^2 <s s'' s'^2> T^2
    return (
        lb + lw * of["power"] + across * T,
        C**2 * of["var"] + chi**2 * V,
        scatter + slope**2 * V + 2 * slope * across * D + across**2 * A,
        C**2 * of["slopes"] * T**2 + across**2 * B,
        C * shared + chi * (slope * V + across * D),
        next_F,
        curved + (chi - across) * across * B + chi * across * P,
        curved + lw / C * next_F + chi * bend * T * F + chi * across * Q,
    )


def _averages(activation: Function | None, K: Tensor) -> dict[str, Tensor]:
    """Gaussian averages of every layer; curvatures through Stein's <z F> = K <F'>."""
    signal = entrywise(activation)

    def of(function):
        return average(lambda z: function(z, *derivatives(signal, z)), K)

    power, slope = of(lambda z, s, d: s**2), of(lambda z, s, d: d**2)
    slopes = of(lambda z, s, d: d**4)
    return {
        "power": power,
        "var": of(lambda z, s, d: s**4) - power**2,
        "cov": of(lambda z, s, d: s**2 * d**2) - power * slope,
        "slope var": slopes - slope**2,
        "slopes": slopes,
        "both": of(lambda z, s, d: s**2 * d**2),
        "bend": (of(lambda z, s, d: z**2 * d**2) / K - slope) / (2 * K),
        "curved": (of(lambda z, s, d: z * s * d**3) / K - slopes) / 3,
    }


@door(origin="experiment")
def experiment(
    model: TangentNetwork,
    kernel: Number | Float[Tensor, "*batch"],
    layers: int,
    *,
    seed: int,
    width: int,
    members: int,
) -> Tangent:
    """Draw networks, push H and dH through every layer by the chain rule, average over units.

    Each member's numbers are unbiased estimates of what ``Tangent`` lists, before the limit of
    large n. Connected moments need the ensemble's means, and so are off by 1 / members. Networks of
    the model's batch share their draws. A member costs 4 width^4 products a layer. Raises
    ValueError on a kernel not above C_b, a width below 2 or fewer than 2 members.
    """
    draws.whole_number(width, "width", 2, "two different units are compared")
    draws.whole_number(members, "members", 2, "a scatter is measured")
    w, b, K, rates = _setting(model, kernel, layers)
    size = max(1, 64 * room(K.device) // (32 * max(1, K.numel()) * width**3))
    parts = []
    for first in range(0, members, size):
        some = (min(size, members - first), width, seed, first)
        layer_by_layer = _unrolled(model, w, b, K, rates, layers, *some)
        parts.append(torch.stack([_of_units(*seen) for seen in layer_by_layer], -2))
    each = torch.cat(parts, -3)  # (*batch, member, layer, 9)
    kernel, tangent, *pairs = each.unbind(-1)
    k, t = (x.mean(-2, keepdim=True) for x in (kernel, tangent))
    V, A, B, D, F, P, Q = (width * x for x in pairs)
    return Tangent(
        torch.arange(1, layers + 1, device=K.device),
        kernel,
        tangent,
        V - width * k * (2 * kernel - k),  # the mean is that of V - n k^2, its scatter is right
        A - width * t * (2 * tangent - t),
        B,
        D - width * (k * tangent + t * kernel - k * t),
        F,
        P,
        Q,
    )


@door(origin="experiment")
def differentials(
    model: TangentNetwork,
    kernel: Number | Float[Tensor, "*batch"],
    layers: int,
    *,
    seed: int,
    width: int,
    members: int,
) -> tuple[
    Float[Tensor, "*network unit"],
    Float[Tensor, "*network unit unit"],
    Float[Tensor, "*network unit unit unit"],
]:
    """z, H and dH of the last layer of the networks of ``experiment``, by the chain rule."""
    w, b, K, rates = _setting(model, kernel, layers)
    draws.whole_number(members, "members", 1, "there is nothing to draw")
    draws.whole_number(width, "width", 1, "there is no unit")
    *_, last = _unrolled(model, w, b, K, rates, layers, members, width, seed, 0)
    return last


def _unrolled(
    model: TangentNetwork,
    w: Tensor,
    b: Tensor,
    K: Tensor,
    rates: tuple[Tensor, Tensor],
    layers: int,
    members: int,
    width: int,
    seed: int,
    first: int,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """z, H and dH of every layer, (*batch, member, unit), and two and three axes of units."""
    act, long = entrywise(model.activation), (K - b) / w  # |x|^2 / n_0
    one = torch.eye(width, dtype=K.dtype, device=K.device)

    def drawn(layer: int, into: int) -> tuple[Tensor, Tensor]:
        shape = (width, into)
        W = draws.normal(seed, f"layer {layer}", members, shape, first=first, device=K.device)
        offset = _offsets(_wide(b, 3), seed, layer, members, width, first)[..., 0, :]
        return _wide(w / into, 3).sqrt() * W, offset

    W, offset = drawn(0, 1)
    z = offset + _wide(long, 2).sqrt() * W[..., 0]
    H = _wide(rates[1][..., 0] + rates[0][..., 0] * long, 3) * one
    H = H.expand(*z.shape, width)
    dH = torch.zeros(*z.shape, width, width, dtype=K.dtype, device=K.device)
    yield z, H, dH
    for layer in range(1, layers):
        lw, lb = _wide(rates[0][..., layer], 2), _wide(rates[1][..., layer], 2)
        s, slope, curve = derivatives(act, z, 2)
        W, offset = drawn(layer, width)
        U = W * slope[..., None, :]
        M = U @ H
        # d_mu d_nu z_i acts below, where unit j is curved, or once on W_ij and once below
        bent = (M[..., :, None, :] * M[..., None, :, :]).flatten(-3, -2)  # (jk, unit below)
        bent = ((W * curve[..., None, :]) @ bent.mT).unflatten(-1, (width, width))
        sent = U[..., None, :, :] @ (dH @ U.mT[..., None, :, :])
        sent = (U @ sent.flatten(-2)).unflatten(-1, (width, width))
        own = (lw / width) * (M @ (s * slope)[..., None])[..., 0]
        own = one[:, :, None] * own[..., None, None, :]
        z = offset + (W @ s[..., None])[..., 0]
        H = (lb + lw * s.square().mean(-1, keepdim=True))[..., None] * one + M @ U.mT
        dH = bent + sent + own + own.mT
        yield z, H, dH


def _offsets(b: Tensor, seed: int, layer: int, members: int, width: int, first: int = 0) -> Tensor:
    """Biases of a layer, (*batch, member, 1, width); of variance 0 they need no draws."""
    shape = (1, width)
    if not b.any():
        return torch.zeros(members, *shape, dtype=b.dtype, device=b.device)
    return b.sqrt() * draws.normal(
        seed, f"biases {layer}", members, shape, first=first, device=b.device
    )


def _of_units(z: Tensor, H: Tensor, dH: Tensor) -> Tensor:
    """Mean of z^2 and H_ii over units, and of seven products over pairs of units; (..., 9)."""
    n, square, own = z.shape[-1], z.square(), H.diagonal(0, -2, -1)
    by_one, by_two = dH.diagonal(0, -2, -1), dH.diagonal(0, -3, -2).mT  # dH_ijj, dH_iij: (i, j)
    alike = [square * square, own * own, own * own, square * own, square * own]
    alike += [z * own for own in 2 * [by_one.diagonal(0, -2, -1)]]
    both = [
        square.sum(-1) ** 2,
        own.sum(-1) ** 2,
        H.square().sum((-2, -1)),
        square.sum(-1) * own.sum(-1),
        (z * (H @ z[..., None])[..., 0]).sum(-1),
        (z * by_one.sum(-1)).sum(-1),
        (z * by_two.sum(-2)).sum(-1),
    ]
    pairs = [(all_ - same.sum(-1)) / (n * (n - 1)) for all_, same in zip(both, alike, strict=True)]
    return torch.stack([square.mean(-1), own.mean(-1), *pairs], -1)


@door(origin="experiment")
def networks(
    model: TangentNetwork,
    kernel: Number,
    layers: int,
    *,
    seed: int,
    width: int,
    members: int,
    inputs: int = 1,
) -> tuple[list[Float[Tensor, "member out into"]], list[float], Float[Tensor, "inputs inputs"]]:
    """Weights of networks with one output for ``Perceptron(activation, biases=True)``.

    Beside them one learning rate per weight tensor, and ``inputs`` inputs at right angles that
    have the kernel ``kernel``. With one input the output is unit 0 of ``differentials``. Raises
    ValueError as ``experiment`` does, and on a model with a batch.
    """
    w, b, K, (weight_rate, bias_rate) = _setting(model, kernel, layers)
    if K.ndim:
        raise ValueError(f"model must be a single one, got a batch of shape {tuple(K.shape)}")
    into = [draws.whole_number(inputs, "inputs", 1, "a network must see something")]
    into += [draws.whole_number(width, "width", 1, "there is no unit")] * (layers - 1)
    out, depth = [*into[1:], 1], range(layers)
    matrices = [
        (w / into[k]).sqrt() * draws.normal(seed, f"layer {k}", members, (out[k], into[k]))
        for k in depth
    ]
    rows = [_offsets(b, seed, k, members, out[k]) for k in depth]
    rates = [*(weight_rate / torch.tensor(into)).tolist(), *bias_rate.tolist()]
    return matrices + rows, rates, (inputs * (K - b) / w).sqrt() * torch.eye(inputs).to(K)


@door(origin="theory")
def linear_second_moment(layers: int, width: int) -> float:
    """E H^2 of a deep linear network at any width; C_W = l_W = K = 1, no biases, E H = layers.

    H is a sum over layers. Two of them with k layers in between are correlated by
    Q_k = [(n + 2) (1 + 2/n)^k + 2 (n - 1) (1 - 1/n)^k] / 3n, and layers outside by 1 + 2/n each.
    """
    L, n = draws.whole_number(layers, "layers", 1, "no network"), float(width)
    draws.whole_number(width, "width", 1, "there is no unit")
    more, less = 1 + 2 / n, 1 - 1 / n
    total = L * more ** (L - 1)
    for k in range(L - 1):
        between = ((n + 2) * more**k + 2 * (n - 1) * less**k) / (3 * n)
        total += 2 * (L - 1 - k) * more ** (L - 2 - k) * between
    return total


@door(origin="theory")
def even_rates(
    activation: Function | None, layers: int
) -> tuple[Float[Tensor, " layer"], Float[Tensor, " layer"]]:
    """(weight_rate, bias_rate) by which all layers of a critical network learn alike.

    Each layer's part of the tangent kernel is then of order 1/L. With the exponent p = b_1/a_1 by
    which perpendicular differences decay, l_W = (L/l)^(p-1) and l_b = L^(p-1) / l^p where the
    critical kernel is 0; elsewhere both are 1/L.
    Raises ValueError on an activation without a critical point, or whose curvature jumps at 0.
    """
    draws.whole_number(layers, "layers", 1, "no network")
    layer = torch.arange(1.0, layers + 1, dtype=torch.float64)
    if signal_propagation.critical_point(activation).universality != "vanishing":
        return torch.full_like(layer, 1 / layers), torch.full_like(layer, 1 / layers)
    sides = torch.tensor([1e-30, -1e-30], dtype=torch.float64)
    _, s1, s2, s3 = derivatives(entrywise(activation), sides, 3)
    if ((s2[0] - s2[1]).abs() > 1e-9) or ((s3[0] - s3[1]).abs() > 1e-9):
        raise ValueError("activation must have a curvature at 0, got one that jumps there")
    bend, turn = (s3 / s1)[0], (s2 / s1)[0] ** 2
    p = ((bend + turn) / (bend + 0.75 * turn)).item()
    return (layers / layer) ** (p - 1), layers ** (p - 1) / layer**p


@door(origin="theory")
def linear_lesson(
    layers: int,
    step: Int[Tensor, " time"],
    *,
    width: int,
    label: Number | Float[Tensor, "*#batch"],
    pace: Number | Float[Tensor, "*#batch"],
) -> Lesson:
    """What gradient descent leaves of a deep linear network, up to order 1/n.

    One input with |x|^2 = n_0 learns ``label`` y in steps of rate ``pace`` / L, which at infinite
    width leave a share (1 - pace)^t of the error after t steps. C_W = l_W = 1, no biases. A small
    pace is gradient flow, a pace of 1 Newton's step. With r = 1 - (1 - pace)^t and
    q = [1 - (1 - pace)^(2t)] pace / (2 - pace)

        E H  = L + (L^2 - 1) / 3n [-2 r + (1 + y^2) (r^2 - q/2)]
        E f^2 = 1 + (L - 1) / n [-r + (1 + y^2) (3 L r^2 - (L + 1) q) / 6L]

    Raises ValueError unless 0 < pace < 2 and the label is finite.
    """
    L, n = draws.whole_number(layers, "layers", 1, "no network"), float(width)
    draws.whole_number(width, "width", 1, "there is no unit")
    where = {"dtype": torch.float64, "device": step.device}
    pace, label = (torch.as_tensor(x, **where)[..., None] for x in (pace, label))
    require("pace", pace, (pace > 0) & (pace < 2), "between 0 and 2", "errors would not shrink")
    require("label", label, label == label, "finite", "it is learned")
    left = (1 - pace) ** step
    r, q = 1 - left, (1 - left**2) * pace / (2 - pace)
    wide, power = torch.zeros_like(r + label), 1 + label**2
    tangent = L + wide + (L**2 - 1) / (3 * n) * (-2 * r + power * (r**2 - q / 2))
    unseen = (power * (3 * L * r**2 - (L + 1) * q) / (6 * L) - r) * (L - 1) / n
    return Lesson(step, tangent, 1 + wide + unseen)


@door(origin="experiment")
def real_lesson(
    model: TangentNetwork,
    kernel: Number,
    layers: int,
    step: Int[Tensor, " time"],
    *,
    label: Number,
    rate: Number | Float[Tensor, "*batch"],
    seed: int,
    width: int,
    members: int,
    inputs: int = 16,
) -> Lesson:
    """Train ``members`` networks on one of ``inputs`` inputs, the others at right angles to it.

    ``rate`` is the global learning rate of half the squared error; networks of its batch share
    their draws. Raises ValueError as ``networks`` does or on fewer than 2 inputs, and
    FloatingPointError when a network diverges.
    """
    draws.whole_number(inputs, "inputs", 2, "one is learned and one is not")
    size = {"seed": seed, "width": width, "members": members, "inputs": inputs}
    weights, rates, x = networks(model, kernel, layers, **size)
    rate = torch.as_tensor(rate, dtype=x.dtype)
    batch = (*rate.shape, members)
    network = Perceptron(model.activation, biases=True)

    def tangent(state: State) -> Tensor:
        return tangent_kernel(network, state.weights, x[:1], rates=rates)[:, 0, 0, 0, 0]

    found = train(
        [w.expand(*batch, *w.shape[-2:]) for w in weights],
        Samples(x[:1], torch.full((1, 1), float(label)).to(x)),
        network=network,
        rule=GradientDescent([(rate * r)[..., None].expand(batch) for r in rates]),
        record=step,
        observe={
            "tangent": tangent,
            "unseen": lambda state: state.outputs(x[1:]).square().mean((-2, -1)),
        },
    ).require_finite()
    return Lesson(found.step, **found.observed)


def _setting(
    model: TangentNetwork, kernel: Number | Tensor, layers: int
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """C_W, C_b and K of one shape (*batch,), and the rates of weights and biases by layer."""
    draws.whole_number(layers, "layers", 1, "no network")
    given = [model.weight_variance, model.bias_variance, kernel]
    rates = [model.weight_rate, model.bias_rate]
    device = next((x.device for x in given + rates if isinstance(x, Tensor)), None)
    w, b, K, *rates = (
        torch.as_tensor(x, dtype=torch.float64, device=device) for x in given + rates
    )
    rates = [x.expand(layers) if x.ndim == 0 else x for x in rates]
    for name, rate in zip(("weight_rate", "bias_rate"), rates, strict=True):
        if rate.shape[-1] != layers:
            raise ValueError(
                f"{name} must be one number or {layers}, one per layer, got {rate.shape[-1]}"
            )
    shapes = [x.shape for x in (w, b, K)] + [x.shape[:-1] for x in rates]
    with leading_axes_fit():
        batch = torch.broadcast_shapes(*shapes)
    w, b, K = (x.expand(batch) for x in (w, b, K))
    require("kernel", K, b < K, "above bias_variance", "the input adds to the biases")
    return w, b, K, tuple(x.expand(*batch, layers) for x in rates)


def _wide(x: Tensor, axes: int) -> Tensor:
    return x[(..., *[None] * axes)]
