"""Random networks of finite width: preactivations that are nearly Gaussian, and when they are not.

Given the layer before, preactivations are Gaussian with a variance that all units of a layer
share, and that differs from network to network:

    z^{l+1}_i = skip z^l_i + b_i + sum_j W_ij s(z^l_j),   Var b = C_b,  Var W = C_W / n
    G^{l+1} = C_b + (C_W / n) sum_j s(z^l_j)^2            that variance, the stochastic metric
    E[z_i^2] = K + G1 / n,  Cov(z_i^2, z_j^2) = V / n     kernel, its correction, the vertex

    V' = C_W^2 (<s^4> - <s^2>^2) + chi_par^2 V            without skip, and V = G1 = 0 in layer 1
    G1' = chi_par G1 + C_W <s^2>_K'' V / 2

with ``signal_propagation``'s K and chi_par. For one input this is an exact way to draw networks,
n numbers per layer instead of n^2: see ``metric``. The text is chapters/finite_width.md.

Source: Roberts, Yaida & Hanin (2022), arXiv:2106.10165, chapters 4 and 5 and appendices A and B;
log-normal norms Hanin & Nica (2018), arXiv:1812.05994.
"""

from dataclasses import dataclass
from math import factorial, log, pi, prod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.draws import whole_number
from toymodels.numerics.entrywise import Function, entrywise
from toymodels.numerics.expectation import average
from toymodels.numerics.quantity import require, together
from toymodels.signal_propagation import LARGEST, SMALLEST, CriticalPoint, critical_point

Number = float | int
CHUNK = 1 << 22  # normal draws at once: 32 MB
EULER = 0.5772156649015329  # minus the mean of the logarithm of an exponential variable


@door
@dataclass(frozen=True)
class FiniteWidth:
    """A random network of ``width`` units a layer; leading axes are independent networks.

    The activation is as in ``signal_propagation.WideNetwork``, and all is computed in float64.
    Raises ValueError unless 0 < weight_variance < inf, bias_variance >= 0, skip >= 0, width >= 1.
    """

    activation: Function | None  # s, None is linear
    weight_variance: Number | Float[Tensor, "*#batch"]  # C_W, times the fan-in of the layer
    bias_variance: Number | Float[Tensor, "*#batch"] = 0.0  # C_b
    width: int = 64  # n, of every layer
    skip: Number | Float[Tensor, "*#batch"] = 0.0  # gamma, what a layer adds of the one before

    def __post_init__(self):
        weight, bias, skip = together(self.weight_variance, self.bias_variance, self.skip)
        require("weight_variance", weight, weight > 0, "positive", "no signal would pass")
        require("bias_variance", bias, bias >= 0, "non-negative", "it is a variance")
        require("skip", skip, skip >= 0, "non-negative", "a sign is no more than another W")
        whole_number(self.width, "width", 1, "a layer has units")


@dataclass(frozen=True)
class Fluctuation:
    """Coefficients of the expansion in one over the width. Theory and experiment return this.

    Networks of an experiment come along one more axis, the last of the batch.
    """

    layer: Int[Tensor, " layer"]  # 1, 2, ...
    kernel: Float[Tensor, "*batch layer"]  # K
    vertex: Float[Tensor, "*batch layer"]  # V = n Cov(z_i^2, z_j^2), units of K^2
    correction: Float[Tensor, "*batch layer"]  # G1 = n (E[z^2] - K), units of K


@dataclass(frozen=True)
class LogNorm:
    """What one layer adds to the logarithm of the metric, if it survives."""

    mean: float
    variance: float
    dead: float  # probability that the layer sends nothing on


@door(origin="theory")
def theory(
    model: FiniteWidth,
    kernel: Number | Float[Tensor, "*batch"],
    layers: int,
    *,
    orders: int = 48,
) -> Fluctuation:
    """Kernel, vertex and correction of layers 1 to ``layers``, from K^1 = ``kernel``, in float64.

    Leading order in 1 / n, so the width drops out. Deviations of a network from Gaussian units are
    held as n E[h_a(z_i)] and n E[h_2(z_i) h_a(z_j)], with normalised Hermite polynomials h_a of
    z / sqrt(K), a < ``orders``. A layer without skip leaves a = 2 and 4 alone. A skip leaves all:
    48 are good to 1e-6 at skip = 0.9, 1e-5 at 0.99; the correction needs 5. Raises ValueError on a
    kernel that is not positive, fewer than 3 orders, FloatingPointError on a kernel that explodes
    or vanishes.
    """
    weight, bias, skip, K = together(model.weight_variance, model.bias_variance, model.skip, kernel)
    require("kernel", K, K > 0, "positive", "a signal of no strength does not fluctuate")
    whole_number(orders, "orders", 3, "the vertex is of order 2")
    orders = orders if (skip > 0).any() else 5
    single, pair = torch.zeros(2, *K.shape, orders, dtype=K.dtype, device=K.device)
    seen = []
    for _ in range(whole_number(layers, "layers", 1, "layer 1 is the first")):
        seen.append(torch.stack([K, 2 * K**2 * pair[..., 2], 2**0.5 * K * single[..., 2]], -1))
        power = _power(model.activation, K, orders)
        after = skip**2 * K + bias + weight * power[..., 0]
        spread = _spread(model.activation, K, power[..., 0])
        # in units of the next kernel, so that a detuned network stays within the doubles
        rho, scale = skip * (K / after).sqrt(), weight / after
        single, pair = _next(single, pair, power * scale[..., None], spread * scale**2, rho)
        K = after
        if not ((K >= SMALLEST) & (K <= LARGEST)).all():
            raise FloatingPointError(
                f"kernel must stay between {SMALLEST:g} and {LARGEST:g}, got {K.min():g} to "
                f"{K.max():g}: take fewer layers"
            )
    layer = torch.arange(1, layers + 1, device=K.device)
    return Fluctuation(layer, *torch.stack(seen, -2).unbind(-1))


def _next(
    single: Tensor, pair: Tensor, sent: Tensor, spread: Tensor, rho: Tensor
) -> tuple[Tensor, Tensor]:
    """n E[h_a(z_i)] and n E[h_2(z_i) h_a(z_j)] of the next layer, each (*batch, order).

    ``sent`` holds the coefficients of G / K', ``spread`` is n Var G / K'^2 of Gaussian units, and
    rho the correlation of z_i with its next: h_a turns into rho^a h_a. A change of G acts as half
    a second derivative, sqrt(a (a - 1)) h_{a-2} / 2.
    """
    order = torch.arange(single.shape[-1]).to(single)
    passed = rho[..., None] ** order
    s = torch.where(order > 0, sent, 0.0)
    two, others = s[..., 2:3], torch.where(order != 2, s, 0.0)
    hub = (others * pair).sum(-1, keepdim=True)  # of the orders that only a skip leaves
    shared = s + two * pair  # n Cov(G, h_a(z_j)), up to a = 2, where all others join
    shared = shared + torch.where(order == 2, hub, 0.0)
    variance = spread[..., None] + 2 * two * hub + two**2 * pair[..., 2:3]  # n Var G
    kept = passed * shared
    paired = passed * rho[..., None] ** 2 * pair + kept / 2**0.5
    paired = paired + torch.where(order == 2, kept / 2**0.5 + variance / 2, 0.0)
    lifted = torch.cat([torch.zeros_like(kept[..., :2]), kept[..., :-2]], -1)
    shift = (s * single).sum(-1, keepdim=True)  # n (E[G] - its limit)
    lifted = torch.where(order == 2, shift, lifted)
    curved = torch.where(order == 4, 24**0.5 / 8 * variance, 0.0)
    alone = passed * single + (order * (order - 1)) ** 0.5 / 2 * lifted + curved
    return alone, paired


def _power(activation: Function | None, K: Tensor, orders: int) -> Tensor:
    """Hermite coefficients <s(z)^2 h_a(z / sqrt K)>_K, (*batch, order)."""
    signal = entrywise(activation)

    def terms(z: Tensor) -> Tensor:  # (*batch, order, node)
        u = z[..., 0, :] / K.sqrt()[..., None]
        rows = [torch.ones_like(u), u]
        for a in range(2, orders):
            rows.append((u * rows[-1] - (a - 1) ** 0.5 * rows[-2]) / a**0.5)
        return torch.stack(rows, -2) * signal(z[..., :1, :]).square()

    return average(terms, K[..., None].expand(*K.shape, orders))


def _spread(activation: Function | None, K: Tensor, power: Tensor) -> Tensor:
    """<s^4>_K - <s^2>_K^2."""
    signal = entrywise(activation)
    return average(lambda z: (signal(z).square() - power[..., None]).square(), K)


@door(origin="experiment")
def experiment(
    model: FiniteWidth,
    kernel: Number | Float[Tensor, "*batch"],
    layers: int,
    *,
    seed: int,
    members: int,
) -> Fluctuation:
    """Draw ``members`` triples of networks; nothing of ``theory`` is used.

    Two networks have the width n of the model, the third 2 n and the draws of both. Their means
    give the kernel, the product of their deviations the vertex, and what the third one differs
    from their mean the correction: all that the draws have in common drops out of it. Means over
    members differ from ``theory`` by O(1 / n): extrapolate. Raises FloatingPointError on overflow.
    """
    found = []
    for draw in _draws(model.width * 2, layers, seed, members):
        halves = [_sent(model, kernel, layers, half) for half in draw.chunk(2, -1)]
        (one, same), (other, too) = halves
        both, _ = _sent(model, kernel, layers, draw)
        vertex = model.width * ((same + too) / 2 - one * other)
        middle = (one + other) / 2
        found.append(torch.stack([middle, vertex, 2 * model.width * (middle - both)], -1))
    each = _finite(torch.cat(found, -3))
    return Fluctuation(torch.arange(1, layers + 1, device=each.device), *each.unbind(-1))


@door(origin="experiment")
def metric(
    model: FiniteWidth,
    kernel: Number | Float[Tensor, "*batch"],
    layers: int,
    *,
    seed: int,
    members: int,
) -> Float[Tensor, "*network member layer"]:
    """G of every layer of ``members`` networks; a preactivation is then sqrt(G) times a normal.

    Exact at any width for one input. A dead network has G = 0. With a skip G is the mean over units
    of what the layer before lets one expect of z_i^2. Raises FloatingPointError on overflow.
    """
    found = [
        _sent(model, kernel, layers, draw)[0] for draw in _draws(model.width, layers, seed, members)
    ]
    return _finite(torch.cat(found, -2))


def _draws(units: int, layers: int, seed: int, members: int):
    """Normal numbers of all networks, (member, layer, unit), in pieces that fit into memory."""
    whole_number(layers, "layers", 1, "layer 1 is the first")
    whole_number(members, "members", 1, "somebody must be seen")
    shape = max(layers - 1, 1), units
    size = max(1, CHUNK // prod(shape))
    for first in range(0, members, size):
        count = min(size, members - first)
        yield draws.normal(seed, "units", count, shape, first=first)


def _sent(
    model: FiniteWidth, kernel: Number | Tensor, layers: int, draw: Tensor
) -> tuple[Tensor, Tensor]:
    """E[z_i^2] and E[z_i^2] E[z_j^2] given the layer before, means over units.

    Each (*batch, member, layer).
    """
    weight, bias, skip, K = together(model.weight_variance, model.bias_variance, model.skip, kernel)
    require("kernel", K, K > 0, "positive", "a signal of no strength does not fluctuate")
    weight, bias, skip, K = (part[..., None, None] for part in (weight, bias, skip, K))
    signal, draw = entrywise(model.activation), draw.to(K.device)
    z = K.sqrt() * draw[:, 0]  # (*batch, member, unit)
    rivals = max(draw.shape[-1] - 1, 1)
    start = K[..., 0].expand(z.shape[:-1])
    first, second = [start], [start**2]
    for layer in range(1, layers):
        shared = bias + weight * signal(z).square().mean(-1, keepdim=True)
        each = skip**2 * z**2 + shared
        first.append(each.mean(-1))
        second.append(first[-1] ** 2 - each.var(-1, correction=0) / rivals)
        if layer < layers - 1:
            z = skip * z + shared.sqrt() * draw[:, layer]
    return torch.stack(first, -1), torch.stack(second, -1)


@door(origin="theory")
def vertex_rate(activation: Function | None) -> float:
    """nu, what each layer adds to V / K^2 at criticality: V / (n K^2) = nu r, r = layers / width.

    C_W^2 (<s^4> - <s^2>^2) / K^2 where the kernel rests: 3 <s^4> / <s^2>^2 - 1 for slopes, with
    averages over both sides, 2 for a linear network, 5 for ReLU. Where K vanishes as a power of the
    layer V decays with it, and 2 / 3 is left of 2. Raises ValueError without a critical point.
    """
    point = critical_point(activation)
    if point.universality == "vanishing":
        return 2 / 3
    K = torch.tensor(point.kernel, dtype=torch.float64)
    spread = _spread(activation, K, _power(activation, K, 2)[0])
    return (point.weight_variance**2 * spread / K**2).item()


@door(origin="theory")
def metric_moment(
    activation: Function | None, width: int, layers: int, order: int
) -> Float[Tensor, " layer"]:
    """E[G^order] of critical scale-invariant networks, exact at any width, for G = 1 in layer 1.

    Layers multiply G by independent X = mean of y_j = C_W s(g_j)^2 over units, so that
    E[G^m] = E[X^m]^(l-1). Linear: E[X^m] = prod_{j<m} (1 + 2 j / n). E[G^2] = (1 + nu / n)^(l-1).
    Raises ValueError on other activations.
    """
    _, slopes = _slopes(activation)
    n, order = whole_number(width, "width", 1, "a layer has units"), whole_number(order, "order")
    single = [  # E[y^k] / k!
        (slopes**k).mean().item() * prod(range(1, 2 * k, 2)) / factorial(k)
        for k in range(order + 1)
    ]
    total = [1.0]  # of the sum over units: coefficients of a power of a series
    for k in range(1, order + 1):
        terms = (((n + 1) * j - k) * single[j] * total[k - j] for j in range(1, k + 1))
        total.append(sum(terms) / k)
    moment = total[order] * factorial(order) / float(n) ** order
    whole_number(layers, "layers", 1, "layer 1 is the first")
    return torch.tensor(moment, dtype=torch.float64) ** torch.arange(layers)


@door(origin="theory")
def log_norm_moments(activation: Function | None, width: int) -> LogNorm:
    """Mean and variance of log X, X the factor of ``metric_moment``, exact; dead layers left out.

    If T is exponential with rate X then log T = log E - log X with E exponential of rate one. The
    density of T is -phi', phi(t) = E exp(-t X) a product over units, and log E has the mean
    -0.577... and the variance pi^2 / 6. Linear: digamma(n/2) - log(n/2) and trigamma(n/2). Wide
    layers: -nu / (2 n) and nu / n. To 1e-12. Raises ValueError on other activations.
    """
    alive, slopes = _slopes(activation)
    n = whole_number(width, "width", 1, "a layer has units")
    log_t = torch.arange(-60, 200, 0.1, dtype=torch.float64)
    t = log_t.exp()[:, None]
    stretched = 1 + 2 * slopes * t / n  # (node, side)
    silent = (stretched**-0.5).mean(-1) ** (n - 1)
    density = silent * (slopes * t * stretched**-1.5).mean(-1)
    share = density / density.sum()
    mean = (share * log_t).sum()
    variance = (share * (log_t - mean).square()).sum()
    return LogNorm(-EULER - mean.item(), variance.item() - pi**2 / 6, (1 - alive) ** n)


def _slopes(activation: Function | None) -> tuple[float, Tensor]:
    """Share of the two sides that sends something on, and C_W times their squared slopes."""
    point: CriticalPoint = critical_point(activation)
    if point.universality != "scale-invariant":
        raise ValueError(
            "activation must be scale-invariant, with one slope on each side of 0, got one of the "
            f"class {point.universality!r}: its layers do not multiply the metric"
        )
    sides = torch.tensor([1.0, -1.0], dtype=torch.float64)
    slopes = entrywise(activation)(sides).square() * point.weight_variance
    return (slopes > 0).double().mean().item(), slopes


@door
def mutual_information(
    strength: Float[Tensor, "*batch member"],
    outputs: int,
    share: Float[Tensor, "*#batch member"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Between two halves of ``outputs`` units of a layer, in nats, when G is one of ``strength``.

    All members are as likely, or each as its ``share`` of the sum. Given G the units are
    independent and Gaussian: p(z) is a mixture, and all integrals are over the length of z. With
    h_d the entropy of log |z|^2 of d units, I = 2 (h_d + c_d) - (h_2d + c_2d), where
    c_d = (d / 2) digamma(d / 2) - log Gamma(d / 2). Exact for the mixture, to 1e-10; of M draws of
    G it is too small by O(1 / M). Raises ValueError on an odd number of outputs, dead networks.
    """
    require("strength", strength, strength > 0, "positive", "dead units have no density")
    if whole_number(outputs, "outputs", 2, "two halves are compared") % 2:
        raise ValueError(f"outputs must be even, got {outputs}: two halves are compared")
    log_G = strength.double().log()
    weight = torch.ones_like(log_G) if share is None else share.double().expand(log_G.shape)
    weight = weight / weight.sum(-1, keepdim=True)
    parts = [_entropy(log_G, weight, size) for size in (outputs // 2, outputs)]
    return 2 * parts[0] - parts[1]


def _entropy(log_G: Tensor, weight: Tensor, units: int) -> Tensor:
    """Entropy of the mixture of ``units`` Gaussians, less units / 2 (E[log G] + log 2 pi)."""
    half = torch.tensor(units / 2).to(log_G)
    step = min(0.2, 0.5 * units**-0.5)  # the trapezoid rule, exact to rounding below the width
    low = log_G.min().item() - 90 / units - 6
    high = log_G.max().item() + log(units / 2 + 9 * units**0.5 + 60)
    y = torch.arange(low, high, step, dtype=log_G.dtype, device=log_G.device)
    density = torch.zeros(*log_G.shape[:-1], len(y)).to(log_G)
    for some, their in zip(log_G.split(2000, -1), weight.split(2000, -1), strict=True):
        gap = y - some[..., None]  # (*batch, member, node)
        single = (half * gap - gap.exp() - half.lgamma()).exp()
        density = density + (their[..., None] * single).sum(-2)
    entropy = -step * torch.special.xlogy(density, density).sum(-1)
    return entropy + half * half.digamma() - half.lgamma()


@door(origin="theory")
def optimal_aspect_ratio(activation: Function | None, outputs: int) -> float:
    """r* = 4 / ((20 + 3 n_L) nu), the depth over width that maximises a truncated expansion.

    The mutual information of two halves of n_L = ``outputs`` units is
    (n_L / 2)^2 (v^2 / 8 - (20 + 3 n_L) v^3 / 48 + ...), v = Var G / E[G]^2. Its first two terms
    have a maximum at v* = 4 / (20 + 3 n_L); v = nu r makes it r*. The whole of it has none.
    """
    n_L = whole_number(outputs, "outputs", 2, "two halves are compared")
    return 4 / (20 + 3 * n_L) / vertex_rate(activation)


def _finite(each: Tensor) -> Tensor:
    if not each.isfinite().all():
        raise FloatingPointError("signals must stay finite, got one that does not: fewer layers")
    return each
