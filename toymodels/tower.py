"""The tower: products of learned features, and a handful of numbers that follow them.

Level k of a tower multiplies what level k - 1 found by one more learned feature. Inputs have many
coordinates, the target is a polynomial of a few of them. However many there are, a small set of
order parameters obeys closed equations. Chapter: ``chapters/tower.md``.

    x        input, d coordinates, signs (the cube) or standard normal numbers
    s        the coordinates that the target reads, one per level
    h_j      feature of level j, w_j . x = (M s)_j + g_j, with g normal of covariance R
    f(x)     sum_k a_k h_1 ... h_k, and the target sum_k beta_k s_1 ... s_k
    c_k      coefficient of s_1 ... s_k in f
    t        gradient-flow time, steps times learning rate

The loss is half the mean squared error on fresh inputs. A ``parent`` for every level turns the
tower into a tree: the product then runs over a level and its ancestors.

Source: derived in the chapter. Order parameters for online learning: Saad & Solla (1995), Phys.
Rev. Lett. 74, 4337. Staircase targets: Abbe et al. (2021), arXiv:2108.10573.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding

from toymodels.networks.data import Fresh
from toymodels.networks.ensemble import train
from toymodels.networks.network import checked_weights
from toymodels.networks.rules import GradientDescent
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.numerics.quantity import require
from toymodels.numerics.spectra import symmetric_root

NUMBERS = 1 << 21  # features looked at together when a path is read off: 16 MB
DIGITS = 56  # of the 64 bits of a random number, those that become signs


@door
@dataclass(frozen=True)
class Tower:
    """A target and the order parameters at the start; leading axes are independent problems.

    The number of levels is also the number of coordinates that the target reads. ``parent`` is -1
    for a level that hangs on the root; parents precede children. Raises ValueError on shapes that
    do not fit, numbers that are not finite, and a residual that is no covariance.
    """

    target: Float[Tensor, "*batch level"]  # beta
    readout: Float[Tensor, "*batch level"]  # a
    signal: Float[Tensor, "*batch level coordinate"]  # M, overlaps of features with coordinates
    residual: Float[Tensor, "*batch level level"]  # R, overlaps of what is left of the features
    gaussian: bool = False  # inputs are normal instead of signs
    parent: tuple[int, ...] | None = None  # a chain unless given

    def __post_init__(self):
        levels = self.target.shape[-1]
        shapes = {"readout": (levels,), "signal": (levels, levels), "residual": (levels, levels)}
        for name, shape in {"target": (levels,), **shapes}.items():
            value = getattr(self, name)
            if tuple(value.shape) != (*self.target.shape[:-1], *shape):
                raise ValueError(
                    f"{name} must have shape {(*self.target.shape[:-1], *shape)} to go with "
                    f"{levels} levels, got {tuple(value.shape)}"
                )
            require(name, value, value == value, "finite", "weights and overlaps are numbers")
        R = self.residual
        size = R.abs().amax((-2, -1)).clamp(min=torch.finfo(R.dtype).tiny)
        tiny = 1e-9 if R.dtype == torch.float64 else 1e-5  # rounding of products of features
        if bool(((R - R.mT).abs().amax((-2, -1)) > tiny * size).any()):
            raise ValueError("residual must be symmetric: it holds overlaps of vectors")
        if bool((torch.linalg.eigvalsh(R)[..., 0] < -1e-6 * size).any()):
            raise ValueError("residual must have no negative eigenvalue: it holds overlaps")
        if self.parent is not None:
            fits = len(self.parent) == levels and all(
                -1 <= above < level for level, above in enumerate(self.parent)
            )
            if not fits:
                raise ValueError(
                    f"parent must name {levels} earlier levels or -1, got {self.parent}"
                )

    @property
    def above(self) -> tuple[int, ...]:
        """The parent of every level."""
        levels = self.target.shape[-1]
        return tuple(range(-1, levels - 1)) if self.parent is None else self.parent


@dataclass(frozen=True)
class Growth:
    """What was learned when. Theory and experiment both return this."""

    time: Float[Tensor, " time"]
    loss: Float[Tensor, "*batch time"]  # half the mean squared error
    coefficient: Float[Tensor, "*batch time level"]  # c, on its way to the target
    readout: Float[Tensor, "*batch time level"]
    signal: Float[Tensor, "*batch time level coordinate"]
    residual: Float[Tensor, "*batch time level level"]


@door(origin="theory")
def theory(
    model: Tower,
    time: Float[Tensor, " time"],
    *,
    noise: float = 0.0,
    rtol: float = 1e-9,
) -> Growth:
    """Order parameters under gradient flow on fresh inputs, by integrating ``rates``.

    Exact at every dimension for normal inputs; on the cube up to the sum of the fourth powers of
    the entries of w outside the signal, O(1/d) unless a feature sits on a few coordinates.
    ``noise`` = step * dimension / batch size adds the leading effect of descending on batches.
    Weights are good to ``rtol``, however small they start. Raises ValueError on unsorted or
    negative times, on negative noise and on an ``rtol`` that is not from 1e-13 to 0.1.
    """
    check_time(time)
    _check_noise(noise)
    if not 1e-13 <= rtol <= 0.1:
        raise ValueError(f"rtol must be from 1e-13 to 0.1, got {rtol}: digits of float64 are few")
    levels, exact = model.target.shape[-1], _in_double(model)
    unit = _units(exact)

    def rate(_, state: Tensor) -> Tensor:
        return _packed(*_rates(exact, *_unpacked(state * unit, levels), noise)) / unit

    start = _packed(exact.readout, exact.signal, exact.residual) / unit
    path = solve(rate, start, time, rtol=rtol, atol=1e-3 * rtol) * unit[..., None, :]
    seen = _read_off(exact, time, *_unpacked(path, levels))
    fields = {f: getattr(seen, f).to(model.target) for f in vars(seen) if f != "time"}
    return replace(seen, **fields)


@door(origin="theory")
def rates(model: Tower, *, noise: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Time derivatives of readout, signal and residual at the order parameters of ``model``.

    With error e = f - target and q_j = -e df/dh_j they are -<e h_1 ... h_k>, <q_j s_c> and
    <q_j g_l + g_j q_l> + noise <q_j q_l>. The averages are exact: Gauss-Hermite for polynomials.
    """
    _check_noise(noise)
    return _rates(model, model.readout, model.signal, model.residual, noise)


@door(origin="experiment")
def experiment(
    model: Tower,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    dimension: int,
    step: float,
    batch_size: int,
    members: int = 1,
) -> Growth:
    """Descend on fresh batches of real inputs of ``dimension`` coordinates.

    Every member starts from weights in random directions that have the order parameters of
    ``model`` exactly. Records have the shape (*batch, member, time, ...): order parameters of the
    weights as they are, loss and coefficient of the tower that has them. ``time`` is rounded to
    whole steps.
    Differs from ``theory`` by O(step), by the noise of the batches and by O(1/d).
    Raises ValueError when the dimension is below twice the levels or two times fall on one step,
    FloatingPointError on divergence.
    """
    return train_from(
        embedded(model, dimension=dimension, seed=seed, members=members),
        _for_members(model, members),
        time,
        seed=seed,
        step=step,
        batch_size=batch_size,
    )


@door(origin="experiment")
def train_from(
    weights: Sequence[Tensor],
    model: Tower,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    step: float,
    batch_size: int,
) -> Growth:
    """As ``experiment``, from the features (*batch, level, d) and readouts (*batch, 1, level).

    Only the target, the kind of inputs and the shape of ``model`` are used.
    """
    clock = ticks(time, step)
    _check_counts(batch_size=batch_size)
    weights, levels = checked_weights(weights), model.target.shape[-1]
    features = weights[0]
    dimension, dtype = features.shape[-1], features.dtype
    target = model.target.to(features).expand(*features.shape[:-2], levels).reshape(-1, levels)

    def fresh(stream: draws.Stream, step: int | Tensor) -> tuple[Tensor, Tensor]:
        shape = (batch_size, dimension)
        if model.gaussian:
            x = stream.normal("inputs", step, shape, dtype=dtype)
        else:
            x = signs(stream, step, shape, dtype)
        beta = target[stream.first : stream.first + stream.members]
        products = _forward(x[..., :levels], model.above)
        return x, (products * beta[:, None]).sum(-1, keepdim=True)

    seen = train(
        weights,
        Fresh(fresh),
        network=network(model.above),
        rule=GradientDescent(step),
        record=clock.record,
        observe={
            "features": lambda s: _overlaps(s.weights[0], levels),
            "readout": lambda s: s.weights[1][..., 0, :],
        },
        seed=seed,
    ).require_finite()
    a, overlap = (seen.observed[name].to(model.target) for name in ("readout", "features"))
    signal, residual = overlap[..., :levels], overlap[..., levels:]
    return _read_off(model, clock.time.to(model.target), a, signal, residual)


@door(origin="experiment")
def sampled(
    model: Tower,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    dimension: int,
    step: float,
    batch_size: int,
    members: int = 1,
) -> Growth:
    """As ``experiment``, but no input is ever made: a step costs the same at every dimension.

    What a batch does to a tower depends on its signals and fields alone, and these are drawn from
    the order parameters of the moment. For normal inputs their law is exact; on the cube g is taken
    to be normal. The inputs orthogonal to all features enter R by their mean length, which neglects
    a part O(1/sqrt(d)) of the batch noise. Raises as ``experiment`` does.
    """
    clock = ticks(time, step)
    _check_counts(batch_size=batch_size)
    levels = model.target.shape[-1]
    unseen = _check_dimension(dimension, levels) - 2 * levels
    model = _for_members(model, members)
    batch = model.target.shape[:-1]
    stream = draws.Stream(seed, batch.numel(), device=model.target.device)
    shape, rate = (batch_size, levels), step / batch_size
    a, M, R = model.readout, model.signal, model.residual
    path, done = [], 0
    for record in clock.record.tolist():
        for now in range(done, record):
            both = stream.normal("fields", now, (2, *shape)).to(a).reshape(*batch, 2, *shape)
            s, xi = both.unbind(-3)
            s = s if model.gaussian else torch.where(s > 0, 1.0, -1.0).to(s)
            A = symmetric_root(R)
            products, slopes = _forward_and_back(s @ M.mT + xi @ A.mT, a, model.above)
            wanted = _forward(s, model.above) @ model.target[..., None]
            e = products @ a[..., None] - wanted  # (*batch, sample, 1)
            q = -e * slopes
            a = a - rate * (e.mT @ products)[..., 0, :]
            M = M + rate * q.mT @ s
            A = A + rate * q.mT @ xi
            R = A @ A.mT + rate**2 * unseen * (q.mT @ q)
            _check_finite_at(now, a, M, R)
        path, done = [*path, (a, M, R)], record
    states = (torch.stack(parts, len(batch)) for parts in zip(*path, strict=True))
    return _read_off(model, clock.time.to(a), *states)


def network(above: Sequence[int]):
    """A tower or tree as a function (weights, inputs) -> outputs that ``ensemble.train`` takes."""

    def outputs(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        features, readout = weights
        return _forward(inputs @ features.mT, above) @ readout.mT

    return outputs


def signs(
    stream: draws.Stream, step: int | Tensor, shape: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """Fresh random signs of a step, (member, *shape), the inputs of the cube.

    Every bit of a random number becomes one, which is ten times as fast as a number for each.
    """
    samples, dimension = shape
    words = -(-dimension // DIGITS)
    bits = stream.integers("inputs", step, (samples, words), high=2**DIGITS)
    octets = bits.view(torch.uint8).unflatten(-1, (words, 8))[..., : DIGITS // 8]
    return embedding(octets.int(), _octets(dtype, bits.device)).flatten(-3)[..., :dimension]


@door(origin="experiment")
def embedded(model: Tower, *, dimension: int, seed: int, members: int = 1) -> list[Tensor]:
    """Features (*batch, member, level, dimension) and readouts that ``model`` describes.

    The signal comes first among the coordinates. Raises ValueError below twice the levels.
    """
    levels = model.target.shape[-1]
    _check_dimension(dimension, levels)
    whole = _for_members(model, members)
    batch, M = whole.target.shape[:-1], whole.signal
    frame = draws.normal(seed, "frame", batch.numel(), (dimension - levels, levels))
    # the signs of Q are the library's choice: that of the processor on every device
    frame = torch.linalg.qr(frame).Q.mT.reshape(*batch, levels, dimension - levels).to(M)
    features = torch.cat([M, symmetric_root(whole.residual) @ frame], -1)
    return [features, whole.readout[..., None, :]]


@door(origin="experiment")
def random_start(
    target: Float[Tensor, " level"],
    *,
    dimension: int,
    size: float,
    seed: int,
    members: int = 1,
    gaussian: bool = False,
    parent: tuple[int, ...] | None = None,
) -> Tower:
    """Features of length ``size`` in random directions, readouts ``size``; (member, level).

    Raises ValueError below as many dimensions as levels, and on a size that is not positive: zero
    weights never move.
    """
    levels = target.shape[-1]
    _check_counts(members=members)
    if not 0 < size < float("inf"):
        raise ValueError(f"size must be positive, got {size}: zero weights never move")
    if dimension < levels:
        raise ValueError(f"dimension must be at least {levels}, one per level, got {dimension}")
    w = draws.normal(seed, "features", members, (levels, dimension)).to(target)
    overlap = _overlaps(size * w / w.norm(dim=-1, keepdim=True), levels)
    return Tower(
        target.expand(members, levels),
        torch.full_like(overlap[..., 0], size),
        overlap[..., :levels],
        overlap[..., levels:],
        gaussian=gaussian,
        parent=parent,
    )


@door
def upright_start(
    target: Float[Tensor, "*batch level"],
    readout: Float[Tensor, "*batch level"],
    *,
    dimension: float | Float[Tensor, "*batch"],
    size: float,
) -> Tower:
    """Orthogonal features of length ``size`` that overlap with their own coordinate alone.

    The overlap is the typical one of a random start, size / sqrt(dimension). Raises ValueError
    unless the dimension is above one and the size positive.
    """
    levels = target.shape[-1]
    d = torch.as_tensor(dimension, dtype=target.dtype, device=target.device)
    if not (bool((d > 1).all()) and 0 < size < float("inf")):
        raise ValueError(
            f"dimension must be above 1 and size positive and finite, got {dimension} and {size}"
        )
    eye = torch.eye(levels, dtype=target.dtype, device=target.device)
    one = eye.expand(*target.shape[:-1], levels, levels)
    share = (1 / d)[..., None, None]
    return Tower(target, readout, size * share.sqrt() * one, size**2 * (1 - share) * one)


@door
def invariants(seen: Growth, above: Sequence[int]) -> Float[Tensor, "*batch time level"]:
    """|w_j|^2 - a_j^2 - sum over the children of j of |w_c|^2: constant under gradient flow."""
    levels = seen.readout.shape[-1]
    if len(above) != levels or not all(-1 <= parent < levels for parent in above):
        raise ValueError(f"above must name the parents of {levels} levels or -1, got {above}")
    length = seen.signal.square().sum(-1) + seen.residual.diagonal(dim1=-2, dim2=-1)
    kept = list((length - seen.readout.square()).unbind(-1))
    for level, parent in enumerate(above):
        if parent >= 0:
            kept[parent] = kept[parent] - length[..., level]
    return torch.stack(kept, -1)


def _rates(
    model: Tower, a: Tensor, M: Tensor, R: Tensor, noise: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``rates`` elsewhere than at the start; unchecked, for an integrator tries what it will."""
    signs, normals, weight = _points(model, squared=noise > 0)
    g = normals @ symmetric_root(R).mT  # (*batch, point, level)
    h = signs @ M.mT + g
    products, slopes = _forward_and_back(h, a, model.above)
    e = ((products * a[..., None, :]).sum(-1) - _target(model, signs)) * weight
    q = -e[..., None] * slopes  # weighted
    turned = q.mT @ g
    residual = turned + turned.mT
    if noise > 0:
        residual = residual + noise * (q.mT @ (q / weight[:, None]))
    return -(e[..., None, :] @ products)[..., 0, :], q.mT @ signs, residual


def _forward(h: Tensor, above: Sequence[int]) -> Tensor:
    """The product over every level and its ancestors, (*batch, level)."""
    products = []
    for level, parent in enumerate(above):
        own = h[..., level]
        products.append(own if parent < 0 else products[parent] * own)
    return torch.stack(products, -1)


def _forward_and_back(h: Tensor, readout: Tensor, above: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Products as in ``_forward``, and df/dh_j, in one pass up and one down: nothing is divided."""
    products = _forward(h, above).unbind(-1)
    below = [a[..., None] for a in readout.unbind(-1)]  # d f / d product, of the subtree
    for level, parent in reversed(list(enumerate(above))):
        if parent >= 0:
            below[parent] = below[parent] + h[..., level] * below[level]
    slopes = [
        b.expand_as(h[..., 0]) if parent < 0 else products[parent] * b
        for b, parent in zip(below, above, strict=True)
    ]
    return torch.stack(products, -1), torch.stack(slopes, -1)


def _target(model: Tower, signs: Tensor) -> Tensor:
    return model.target @ _forward(signs, model.above).mT  # (*batch, point)


def _points(model: Tower, *, squared: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes (point, level) for the signal and for g in its own axes, and their weights.

    On one axis the averages have degree two times the depth at most; squared slopes double it.
    """
    depth = [0] * len(model.above)
    for level, parent in enumerate(model.above):
        depth[level] = 1 + (depth[parent] if parent >= 0 else 0)
    nodes = 2 * max(depth) if squared else max(depth) + 1
    parts = _grid(len(depth), nodes, model.gaussian)
    return tuple(part.to(model.target) for part in parts)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept must serve training, too
def _grid(levels: int, nodes: int, gaussian: bool) -> tuple[Tensor, Tensor, Tensor]:
    node, share = np.polynomial.hermite_e.hermegauss(nodes)
    share = share / share.sum()
    coin = (node, share) if gaussian else (np.array([-1.0, 1.0]), np.array([0.5, 0.5]))
    axes = [coin] * levels + [(node, share)] * levels
    points = np.stack(np.meshgrid(*(a for a, _ in axes), indexing="ij"), -1).reshape(-1, 2 * levels)
    weight = np.ones(1)
    for _, part in axes:
        weight = np.multiply.outer(weight, part).ravel()
    both = torch.from_numpy(points)
    return both[:, :levels].contiguous(), both[:, levels:].contiguous(), torch.from_numpy(weight)


def _read_off(model: Tower, time: Tensor, a: Tensor, M: Tensor, R: Tensor) -> Growth:
    """Loss and coefficients along a path (*batch, time, ...), a few moments at a time."""
    signs, normals, weight = _points(model)
    levels = len(model.above)
    shape = a.shape[:-1]
    beta = model.target[..., None, :].expand(*shape, levels).reshape(-1, levels)
    flat = [a.reshape(-1, levels), *(x.reshape(-1, levels, levels) for x in (M, R)), beta]
    monomials = _forward(signs, model.above)  # orthonormal
    size = max(1, NUMBERS // (len(weight) * levels))
    losses, coefficients = [], []
    for ak, Mk, Rk, bk in zip(*(x.split(size) for x in flat), strict=True):
        h = signs @ Mk.mT + normals @ symmetric_root(Rk).mT
        f = (_forward(h, model.above) * ak[:, None]).sum(-1)
        losses.append(0.5 * ((f - bk @ monomials.mT).square() @ weight))
        coefficients.append((f * weight) @ monomials)
    loss, c = torch.cat(losses).reshape(shape), torch.cat(coefficients).reshape(*shape, levels)
    return Growth(time, loss, c, a, M, R)


def _overlaps(features: Tensor, levels: int) -> Tensor:
    """Signal and residual side by side, (*batch, level, 2 * level)."""
    rest = features[..., levels:]
    return torch.cat([features[..., :levels], rest @ rest.mT], -1)


def _packed(a: Tensor, M: Tensor, R: Tensor) -> Tensor:
    return torch.cat([a, M.flatten(-2), R.flatten(-2)], -1)


def _unpacked(state: Tensor, levels: int) -> tuple[Tensor, Tensor, Tensor]:
    a, M, R = state.split([levels, levels**2, levels**2], -1)
    return a, M.unflatten(-1, (levels, levels)), R.unflatten(-1, (levels, levels))


def _in_double(model: Tower) -> Tower:
    parts = ("target", "readout", "signal", "residual")
    return replace(model, **{name: getattr(model, name).double() for name in parts})


def _units(model: Tower) -> Tensor:
    """Sizes of all order parameters at the start, packed: weights from 1e-30 get as many digits.

    Entries that are 0 by a symmetry are not, in floating numbers. So the unit is that of all
    weights, and the residual's that of what moves it.
    """
    levels = model.target.shape[-1]
    weights = torch.cat([model.readout, model.signal.flatten(-2)], -1)
    weight = weights.abs().amax(-1, keepdim=True)
    rest = model.residual.flatten(-2).abs().amax(-1, keepdim=True)
    weight = torch.where(weight > 0, weight, rest.sqrt())
    square = torch.maximum(rest, rest.sqrt() * weight)
    own = levels + levels**2
    parts = [x.expand(*x.shape[:-1], n) for x, n in ((weight, own), (square, levels**2))]
    unit = torch.cat(parts, -1)
    return torch.where(unit > 0, unit, 1.0)


def _check_noise(noise: float) -> None:
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise must be finite and not negative, got {noise}")


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _check_dimension(dimension: int, levels: int) -> int:
    if dimension < 2 * levels:
        raise ValueError(f"dimension must be at least twice {levels} levels, got {dimension}")
    return dimension


def _check_finite_at(step: int, *parts: Tensor) -> None:
    if not all(bool(torch.isfinite(part).all()) for part in parts):
        raise FloatingPointError(f"members left the finite numbers in step {step}: smaller steps")


def _for_members(model: Tower, members: int) -> Tower:
    """The same start once per member, on a last batch axis."""
    _check_counts(members=members)
    batch = model.target.shape[:-1]

    def repeated(x: Tensor) -> Tensor:
        own = x.shape[len(batch) :]
        return x.reshape(*batch, 1, *own).expand(*batch, members, *own)

    names = ("target", "readout", "signal", "residual")
    return replace(model, **{name: repeated(getattr(model, name)) for name in names})


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _octets(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The eight signs that every octet stands for."""
    digits = (torch.arange(256)[:, None] >> torch.arange(8)) & 1
    return (2 * digits - 1).to(device=device, dtype=dtype)
