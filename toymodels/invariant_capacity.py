"""Invariant readouts: how many objects can be told apart under all their views.

A group moves every pattern x of a code through its orbit pi(g) x, and a linear readout must give
all views of an object the same label. It can do no better than read the average view, which lies
in the fixed subspace of the representation. So capacity counts the dimensions that the group
leaves alone, not the neurons. Chapter: ``chapters/invariant_capacity.md``.

    pi, G, N   representation: one N x N matrix for each of the G elements of the group
    N0         dimension of what every pi(g) leaves alone: trivial representations in pi
    P          patterns, each with an orbit of its own and a random label y = +1 or -1
    f          fraction of the 2^P labellings that a readout sign(w . x) can give

Source: Farrell, Bordelon, Trivedi & Pehlevan (2022), arXiv:2110.07472; Cover (1965), Geometrical
and statistical properties of systems of linear inequalities; for pairs of views, Amelunxen, Lotz,
McCoy & Tropp (2014), arXiv:1303.6672.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb, lcm, prod

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from scipy.optimize import linprog
from scipy.sparse import csr_matrix
from scipy.special import bdtr
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door

POSITIONS = 4  # of a channel, where an experiment is given no representation
ROWS = 800  # of one linear program, which holds many draws
SMALL = 1e-9  # a margin that rounding alone may leave, for points of length one
PLAIN = {"method": "highs", "options": {"presolve": False}}  # of programs without idle rows


@door
@dataclass(frozen=True)
class InvariantReadout:
    """A linear readout of a code whose group leaves ``dimension`` directions alone.

    Raises ValueError on dimensions that are not whole or negative.
    """

    dimension: int | Num[Tensor, "*batch"]  # N0; 0 where nothing is left alone

    def __post_init__(self):
        value = torch.as_tensor(self.dimension)
        if not _are_whole(value, 0):
            raise ValueError(
                f"dimension must be a whole number and not negative, got {value.tolist()}"
            )


@dataclass(frozen=True)
class Separability:
    """Which share of random labellings a readout can give. Theory and experiment return this.

    An experiment has one more axis before the sizes: (*batch, member, size), a member being a set
    of patterns with a labelling. Its entries are true where a readout exists.
    """

    patterns: Num[Tensor, " size"]  # P
    fraction: Float[Tensor, "*batch size"] | Bool[Tensor, "*batch size"]  # f


# What a group leaves alone


@door(origin="theory")
def fixed_dimension(representation: Float[Tensor, "element neuron neuron"]) -> int:
    """N0 = (1/G) sum_g tr pi(g), the rank of the average of the representation.

    For permutations it counts the orbits of the neurons (Burnside's lemma). Raises ValueError where
    the matrices are no group: their average must be a projector that each of them leaves alone.
    """
    return round(float(_average(representation).diagonal().sum()))


@door(origin="theory")
def regular(orders: Sequence[int]) -> Float[Tensor, "element neuron neuron"]:
    """Shifts of a periodic lattice with ``orders`` sites: Z_n for [n], Z_n x Z_m for [n, m].

    Neuron j fires at site j, the last axis running fastest. Raises ValueError on an order below 1.
    """
    orders = _orders(orders)
    site = torch.arange(prod(orders)).reshape(orders)
    axes = tuple(range(len(orders)))
    rows = [site.roll(shift, axes).flatten() for shift in product(*map(range, orders))]
    return torch.nn.functional.one_hot(torch.stack(rows), prod(orders)).double()


@door(origin="theory")
def grid_code(orders: Sequence[int]) -> Float[Tensor, "element neuron neuron"]:
    """Modules of grid cells with ``orders`` phases each, all moved by the same shift.

    The direct sum of the regular representations of Z_n, as one of the shifts up to their least
    common multiple. Raises ValueError on an order below 1.
    """
    orders = _orders(orders)
    shifts = torch.arange(lcm(*orders))
    blocks = [regular([n])[shifts % n] for n in orders]
    return torch.stack([torch.block_diag(*parts) for parts in zip(*blocks, strict=True)])


@door(origin="theory")
def copies(
    representation: Float[Tensor, "element neuron neuron"], channels: int
) -> Float[Tensor, "element code code"]:
    """``channels`` copies side by side, as in a convolutional layer; channel by channel.

    Raises ValueError on no channels.
    """
    draws.whole_number(channels, "channels", 1, "there is no code")
    eye = torch.eye(channels, dtype=representation.dtype, device=representation.device)
    return torch.stack([torch.kron(eye, matrix) for matrix in representation])


@door
def orbits(
    representation: Float[Tensor, "element neuron neuron"], x: Float[Tensor, "*batch neuron"]
) -> Float[Tensor, "*batch element neuron"]:
    """All views pi(g) x of every pattern."""
    return torch.einsum("gij,...j->...gi", representation, x)


@door
def centroids(
    representation: Float[Tensor, "element neuron neuron"], x: Float[Tensor, "*batch neuron"]
) -> Float[Tensor, "*batch neuron"]:
    """The average view of every pattern, which lies in the fixed subspace."""
    return x @ representation.mean(0).mT


# Theory: Cover's count in the fixed subspace


@door(origin="theory")
def theory(model: InvariantReadout, patterns: Num[Tensor, " size"]) -> Separability:
    """f = 2^(1 - P) sum_(k < N0) C(P - 1, k), exact for orbits in general position.

    It is the chance that P - 1 fair coins show fewer than N0 heads: 1 up to P = N0, 1/2 at
    P = 2 N0. Raises ValueError on patterns that are not positive whole numbers.
    """
    P = _whole(patterns).numpy(force=True)
    N0 = torch.as_tensor(model.dimension).numpy(force=True)[..., None]
    fewer = np.minimum(N0, P) - 1.0
    f = np.where(fewer < 0, 0.0, bdtr(fewer.clip(0), P - 1, 0.5))
    return Separability(patterns, torch.from_numpy(f).to(patterns.device))


@door(origin="theory")
def labellings(dimension: int, patterns: int) -> int:
    """How many of the 2^P labellings can be given, 2 sum_(k < N0) C(P - 1, k), in whole numbers.

    Raises ValueError on a negative dimension and on no patterns.
    """
    N0, P = draws.whole_number(dimension, "dimension"), draws.whole_number(patterns, "patterns")
    if P < 1:
        raise ValueError(f"patterns must be at least 1, got {P}: there is nothing to label")
    return 2 * sum(comb(P - 1, k) for k in range(min(N0, P)))


@door(origin="theory")
def theory_of_pairs(
    model: InvariantReadout, patterns: Num[Tensor, " size"], angle: float
) -> Separability:
    """The same fraction where each object is two Gaussian points m + d and m - d of one label.

    ``angle`` theta, in radians from 0 to below pi, is that between the two in many dimensions: the
    standard deviations of d and m have the ratio tan theta/2. An object is right if w . m exceeds
    |w . d|, a cone in a plane, with intrinsic volumes (q, 1, 1 - q) / 2 where q = theta / pi. The
    fraction is the chance that a random subspace of N0 dimensions meets the product of P cones, by
    Crofton's formula 2 sum_(j odd) v_(2P - N0 + j). At theta = 0 it is Cover's, and half of the
    labellings can be given near P = N0 / (1/2 + q). Raises ValueError on other angles.
    """
    if not 0 <= angle < np.pi:
        raise ValueError(f"angle must be from 0 to below pi, got {angle:g}")
    q, sizes = angle / np.pi, _whole(patterns).tolist()
    N0 = torch.as_tensor(model.dimension).long().numpy(force=True)
    volumes, found = np.ones(1), {}
    for P in range(1, max(sizes) + 1):
        volumes = np.convolve(volumes, [q / 2, 0.5, (1 - q) / 2])
        if P in sizes:
            every_other = np.zeros(2 * P + 3)  # sums of v_k, v_(k+2), ... for each k
            for k in range(2 * P, -1, -1):
                every_other[k] = volumes[k] + every_other[k + 2]
            first = (2 * P + 1 - N0).clip(0)
            found[P] = np.where(N0 < 2 * P, 2 * every_other[first], 1.0)
    f = torch.from_numpy(np.stack([found[P] for P in sizes], -1))
    return Separability(patterns, f.to(patterns.device))


# Experiment: linear programs


@door(origin="experiment")
def separable(
    points: Float[Tensor, "*batch point neuron"], labels: Num[Tensor, "*batch point"]
) -> Bool[Tensor, "*batch"]:
    """Whether some w has the sign of w . x right for every point: one linear program each.

    The program looks for the largest margin t with y w . x / |x| >= t and entries of w in [-1, 1].
    The w that it finds is tested on the points, so that a yes is certain; a no could be wrong only
    for margins near 1e-7. There is no bias. Many programs are solved as one, in blocks.
    Raises ValueError on labels other than 1 and -1, and on shapes that do not match.
    """
    if points.shape[:-1] != labels.shape:
        raise ValueError(
            f"labels must have shape {tuple(points.shape[:-1])}, one for each point, "
            f"got {tuple(labels.shape)}"
        )
    if not (labels.abs() == 1).all():
        raise ValueError("labels must be 1 or -1 for every point")
    length = points.norm(dim=-1, keepdim=True)
    signed = labels[..., None] * points / torch.where(length > 0, length, 1.0)
    flat = signed.double().numpy(force=True).reshape(-1, *points.shape[-2:])
    at_once = max(1, ROWS // flat.shape[1])
    parts = [_margins(flat[k : k + at_once]) for k in range(0, len(flat), at_once)]
    found = np.concatenate(parts) if parts else np.zeros(0)
    return torch.from_numpy(found > SMALL).reshape(points.shape[:-2]).to(points.device)


@door(origin="experiment")
def count_separable(points: Float[Tensor, "*batch pattern point neuron"]) -> Int[Tensor, "*batch"]:
    """How many of all 2^P labellings of P patterns can be given; one label for all points of one.

    Raises ValueError on more than 12 patterns.
    """
    P, views = points.shape[-3:-1]
    if P > 12:
        raise ValueError(f"points must hold at most 12 patterns, got {P}: 2^{P} programs are many")
    signs = torch.tensor(list(product([1.0, -1.0], repeat=P)), dtype=points.dtype)
    signs = signs.to(points.device).repeat_interleave(views, -1)  # (labelling, point)
    x = points.flatten(-3, -2)[..., None, :, :].expand(*points.shape[:-3], len(signs), -1, -1)
    return separable(x, signs.expand(x.shape[:-1])).sum(-1)


@door(origin="experiment")
def experiment(
    model: InvariantReadout,
    patterns: Num[Tensor, " size"],
    *,
    seed: int,
    members: int,
    representation: Float[Tensor, "element neuron neuron"] | None = None,
    codes: Float[Tensor, "item neuron"] | None = None,
    reduced: bool = False,
    bias: bool = False,
) -> Separability:
    """Label ``members`` sets of orbits at random and look for a readout of each.

    Patterns are Gaussian, or with ``codes`` some of its rows, without replacement. All views of
    every pattern enter the program, or with ``reduced`` the average view alone. Without a
    ``representation`` the code has as many channels as the model has dimensions, on a circle of
    four sites. A ``bias`` gives the readout a threshold. Members and sizes have draws of their own.

    Raises ValueError on counts that are not positive and whole, and on a representation that does
    not leave the model's dimension alone.
    """
    _check_counts(seed, members)
    sizes = _whole(patterns).tolist()
    if representation is not None:
        _check_representation(model, representation)

    def decide(dimension, P):
        pi = representation
        if pi is None:
            pi = copies(regular([POSITIONS]), dimension)
        x = _patterns(codes, seed, P, members, pi)
        points = centroids(pi, x)[..., None, :] if reduced else orbits(pi, x)
        return _decided(points, seed, bias)

    return _collected(decide, model, patterns, sizes)


@door(origin="experiment")
def pairs_experiment(
    model: InvariantReadout,
    patterns: Num[Tensor, " size"],
    angle: float,
    *,
    seed: int,
    members: int,
) -> Separability:
    """The same for objects of two Gaussian points at ``angle``, as ``theory_of_pairs`` has them.

    The difference is drawn as well as the mean, so the angle fluctuates from pair to pair.
    Raises ValueError on counts that are not positive and whole, and on angles out of range.
    """
    _check_counts(seed, members)
    if not 0 <= angle < np.pi:
        raise ValueError(f"angle must be from 0 to below pi, got {angle:g}")

    def decide(dimension, P):
        options = {"seed": seed, "members": members, "shape": (P, dimension)}
        middle = draws.normal(purpose=f"middles {P}", **options)
        half = float(np.tan(angle / 2)) * draws.normal(purpose=f"differences {P}", **options)
        return _decided(torch.stack([middle + half, middle - half], -2), seed, False)

    return _collected(decide, model, patterns, _whole(patterns).tolist())


@door(origin="experiment")
def pooling_experiment(
    model: InvariantReadout,
    patterns: Num[Tensor, " size"],
    *,
    seed: int,
    members: int,
    positions: int,
    window: int,
    pool: Callable[[Tensor], Tensor] | None = None,
    reduced: bool = False,
) -> Separability:
    """The same for a convolutional code that is pooled locally before it is read out.

    Gaussian channels on a circle of ``positions`` are shifted by every site, and each ``window`` of
    neighbours is replaced by its largest value, or by ``pool`` over the last axis. The label must
    hold for all shifts. ``reduced`` averages over the shifts by whole windows, which the pooled
    code shows as shifts of its own: as many points are left as a window has sites.

    Raises ValueError on counts that are not positive and whole, and on windows that do not tile
    the circle.
    """
    _check_counts(seed, members)
    sizes = _whole(patterns).tolist()
    for name, value in (("positions", positions), ("window", window)):
        draws.whole_number(value, name, 1, "there is nothing to separate")
    if positions % window:
        raise ValueError(f"window must divide the {positions} positions, got {window}")
    pool = pool or (lambda x: x.amax(-1))

    def decide(dimension, P):
        x = draws.normal(seed, f"patterns {P}", members, (P, dimension, positions))
        return _decided(pooled_views(x, window, pool, reduced), seed, False)

    return _collected(decide, model, patterns, sizes)


def pooled_views(
    x: Float[Tensor, "*batch channel position"],
    window: int,
    pool: Callable[[Tensor], Tensor],
    reduced: bool = False,
) -> Float[Tensor, "*batch view neuron"]:
    """Every shift of ``x``, pooled; with ``reduced`` averaged over the shifts by whole windows."""
    shifts = [pool(x.roll(-s, -1).unflatten(-1, (-1, window))) for s in range(x.shape[-1])]
    if not reduced:
        return torch.stack(shifts, -3).flatten(-2)
    return torch.stack(shifts[:window], -3).mean(-1)  # the mean over windows is that over shifts


# Inside


def _margins(signed: np.ndarray) -> np.ndarray:
    """The smallest signed product with the best w, for every block (draw, point, neuron)."""
    blocks, points, neurons = signed.shape
    rows = np.concatenate([-signed, np.ones((blocks, points, 1))], -1)  # t - y w . x <= 0
    column = np.arange(blocks)[:, None, None] * (neurons + 1) + np.arange(neurons + 1)
    column = np.broadcast_to(column, rows.shape)
    start = np.arange(0, rows.size + 1, neurons + 1)
    sides = csr_matrix((rows.ravel(), column.ravel(), start))
    cost = np.tile([0.0] * neurons + [-1.0], blocks)
    bounds = np.tile([[-1.0, 1.0]] * neurons + [[0.0, 1.0]], (blocks, 1))
    found = linprog(cost, A_ub=sides, b_ub=np.zeros(len(start) - 1), bounds=bounds, **PLAIN)
    if found.status != 0:
        raise RuntimeError(f"the linear program was not solved: {found.message}")
    w = found.x.reshape(blocks, neurons + 1)[:, :-1]
    return np.einsum("bpn,bn->bp", signed, w).min(-1)


def _patterns(codes, seed: int, P: int, members: int, pi: Tensor) -> Tensor:
    """Gaussian patterns, or rows of ``codes``, (member, pattern, neuron)."""
    if codes is None:
        return draws.normal(seed, f"patterns {P}", members, (P, pi.shape[-1])).to(pi)
    if len(codes) < P or codes.shape[-1] != pi.shape[-1]:
        raise ValueError(
            f"codes must hold at least {P} patterns of {pi.shape[-1]} neurons, as the "
            f"representation has, got shape {tuple(codes.shape)}"
        )
    key = draws.uniform(seed, f"patterns {P}", members, codes.shape[:1], device=codes.device)
    return codes[key.argsort(-1)[:, :P]]


def _decided(points: Tensor, seed: int, bias: bool) -> Tensor:
    """Random labels for patterns (member, pattern, view, neuron), and which can be given."""
    members, P, views = points.shape[:-1]
    label = 1 - 2 * draws.integers(seed, f"labels {P}", members, (P,), high=2).to(points)
    if bias:
        points = torch.cat([points, torch.ones_like(points[..., :1])], -1)
    return separable(points.flatten(1, 2), label.repeat_interleave(views, -1))


def _collected(decide, model: InvariantReadout, patterns: Tensor, sizes: list[int]) -> Separability:
    """What ``decide(dimension, P)`` finds for all members, dimensions and sizes."""
    dimension = torch.as_tensor(model.dimension)
    if (dimension < 1).any():
        raise ValueError("dimension must be at least 1 in an experiment, got 0: no code is left")
    each = dimension.flatten().long().tolist()
    found = torch.stack([torch.stack([decide(N0, P) for P in sizes], -1) for N0 in each])
    return Separability(patterns, found.reshape(*dimension.shape, *found.shape[1:]))


def _average(representation: Tensor) -> Tensor:
    """<pi>, refused where the matrices are no group."""
    average = representation.mean(0)
    moved = (representation @ average - average).abs().max()
    if not moved <= 1e-6 * (1 + average.abs().max()):
        raise ValueError(
            "representation must hold the matrices of a whole group: their average must be left "
            f"alone by each of them, and is moved by {moved:.2g}"
        )
    return average


def _check_representation(model: InvariantReadout, representation: Tensor) -> None:
    fixed = fixed_dimension(representation)
    if (torch.as_tensor(model.dimension) != fixed).any():
        raise ValueError(
            f"dimension must be {fixed}, which the representation leaves alone, "
            f"got {model.dimension}"
        )


def _orders(orders: Sequence[int]) -> list[int]:
    found = [draws.whole_number(n, "orders") for n in orders]
    if not found or min(found) < 1:
        raise ValueError(f"orders must be one or more whole numbers from 1, got {found}")
    return found


def _are_whole(value: Tensor, least: int) -> bool:
    whole = not value.is_complex() and (value >= least) & (value == value.round())
    return bool(torch.as_tensor(whole & value.isfinite()).all())


def _whole(patterns: Tensor) -> Tensor:
    if not _are_whole(patterns, 1):
        raise ValueError(f"patterns must be positive whole numbers, got {patterns.tolist()}")
    return patterns.long()


def _check_counts(seed: int, members: int) -> None:
    draws.whole_number(seed, "seed")
    draws.whole_number(members, "members", 1, "there is nothing to label")
