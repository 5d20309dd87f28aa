"""A noisy tree and three ways back to its root: coarse-graining as a solvable model.

A fair bit sits at the root of a tree. Every child gets the bit of its parent, flipped with
probability eps. Only the leaves are seen. Chapter: ``chapters/coarse_graining.md``.

    b, eps   children of every node, an odd number, and the chance that an edge flips its bit
    theta    1 - 2 eps, the correlation of a child with its parent
    h        levels between the root and the leaves
    p_h      probability that the root is recovered from the leaves
    A        slope of the majority of b bits at one half, b C(b-1, (b-1)/2) / 2^(b-1)

Three decoders: ``majority`` of children, level by level; ``census``, the majority of all leaves at
once; ``belief``, level by level too, which hands on how sure it is, and is the best there is.

    majority   p' = P[more than half of b bits are right], each with q = 1/2 + theta (p - 1/2)
    census     the sum of the leaves is a sum over children of such sums, with random signs
    belief     lam' = sum over children of 2 artanh(theta tanh(lam / 2)), lam the log odds

Beyond its threshold a decoder of deep trees guesses: theta A = 1 for majority, b theta^2 = 1, after
Kesten and Stigum, for the others.

Source: Evans, Kenyon, Peres & Schulman (2000), Annals of Applied Probability 10:410, for the
threshold of the best decoder; Mossel (2004), arXiv:math/0406446, for a survey. The flow of majority
and its critical behaviour are derived in the chapter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.quantity import require

BINS = 1 << 13  # of the log odds of one child
LEAVES = 1 << 24  # that are held at once


@door
@dataclass(frozen=True)
class NoisyTree:
    """Chance that an edge flips the bit, of every problem, and the children of every node.

    Raises ValueError on a flip outside [0, 1/2] and on an even number of children: they would tie.
    """

    flip: float | Float[Tensor, "*batch"]  # eps
    branching: int = 3  # b

    def __post_init__(self):
        require("flip", self.flips, (self.flips >= 0) & (self.flips <= 0.5), "between 0 and 1/2",
                "beyond one half, read every bit the other way round")  # fmt: skip
        _check_branching(self.branching)

    @property
    def flips(self) -> Float[Tensor, "*batch"]:
        """eps of every problem, a tensor."""
        return torch.as_tensor(self.flip, dtype=getattr(self.flip, "dtype", torch.float64))

    @property
    def correlation(self) -> Float[Tensor, "*batch"]:
        """theta = 1 - 2 eps, of a bit with its parent's."""
        return 1 - 2 * self.flips


@dataclass(frozen=True)
class Recovery:
    """How often the root is found. Theory and experiment both return this."""

    depth: Int[Tensor, " depth"]  # levels between the root and the leaves
    probability: Float[Tensor, "*batch depth"]  # of the right bit; one half is a guess


@door
def majority(leaves: Float[Tensor, "*batch leaf"], model: NoisyTree) -> Float[Tensor, "*batch"]:
    """The sign of the root by majority of children, level by level; ``leaves`` are signs."""
    for _ in range(_levels(leaves, model.branching)):
        leaves = leaves.unflatten(-1, (-1, model.branching)).sum(-1).sign()
    return leaves[..., 0]


@door
def census(leaves: Float[Tensor, "*batch leaf"], model: NoisyTree) -> Float[Tensor, "*batch"]:
    """The sign of the root by one vote of all leaves, which knows of no levels."""
    _levels(leaves, model.branching)
    return leaves.sum(-1).sign()


@door
def belief(leaves: Float[Tensor, "*batch leaf"], model: NoisyTree) -> Float[Tensor, "*batch"]:
    """The likelier sign of the root, by exact log odds that run up level by level.

    The batch of ``model`` is that of ``leaves``, or one number. 0 where the leaves do not tell.
    """
    theta = model.correlation.to(leaves)[..., None]
    odds = torch.where(leaves > 0, torch.inf, -torch.inf).to(leaves)
    for _ in range(_levels(leaves, model.branching)):
        odds = _handed(odds, theta).unflatten(-1, (-1, model.branching)).sum(-1)
    return odds[..., 0].sign()


Decoder = Callable[[Tensor, NoisyTree], Tensor]


@door(origin="theory")
def theory(model: NoisyTree, depth: Int[Tensor, " depth"], decoder: Decoder = majority) -> Recovery:
    """Probability that ``majority``, ``census`` or ``belief`` find the root, at any depth.

    Exact for the first, by iteration of its flow, and for the second, whose distribution has as
    many entries as there are leaves: the deepest tree may have three million. The densities of
    ``belief`` are kept on a grid: good to 1e-6 in ten levels, and to 1e-3 at any depth. Raises
    ValueError on a depth that is not 1 or more and on another decoder.
    """
    flows = {majority: _majority_flow, census: _census_flow, belief: _belief_flow}
    if decoder not in flows:
        raise ValueError("decoder must be majority, census or belief: no other has a theory here")
    steps = _depths(depth)
    path = flows[decoder](NoisyTree(model.flips.double(), model.branching), max(steps))
    found = torch.stack([path[step - 1] for step in steps], -1)
    return Recovery(depth, found.to(_kind(model)))


@door(origin="experiment")
def experiment(
    model: NoisyTree,
    depth: Int[Tensor, " depth"],
    decoder: Decoder = majority,
    *,
    seed: int,
    trees: int,
    members: int = 1,
) -> Recovery:
    """Send bits down ``trees`` trees a member and decode them: (*batch, member, depth).

    A tree is sent once and read at each of its generations. All problems see the same uniform
    draws. A decoder takes signs (*batch, leaf) and the model, and returns the sign of the root, or
    0 for a toss. Raises ValueError on a depth that is not 1 or more and on too many leaves.
    """
    steps = _depths(depth)
    for name, value in (("trees", trees), ("members", members)):
        draws.whole_number(value, name, 1, "there would be nothing to decode")
    size = model.flips.numel() * trees * model.branching ** max(steps)
    if size > LEAVES:
        raise ValueError(f"depth must leave {LEAVES} leaves a member at most, got {size}")
    found = [_decoded(model, steps, decoder, seed, trees, member) for member in range(members)]
    return Recovery(depth, torch.stack(found, -2).to(_kind(model)))


@door(origin="theory")
def threshold(branching: int) -> float:
    """eps beyond which the majority of deep trees guesses: theta A = 1."""
    return (1 - 1 / vote_slope(branching)) / 2


@door(origin="theory")
def optimal_threshold(branching: int) -> float:
    """eps beyond which nothing recovers the root of deep trees (Kesten & Stigum): b theta^2 = 1."""
    _check_branching(branching)
    return (1 - branching**-0.5) / 2


@door(origin="theory")
def vote_slope(branching: int) -> float:
    """A, the slope at one half of the probability that most of ``branching`` bits are right."""
    _check_branching(branching)
    half = (branching - 1) // 2
    return branching * comb(branching - 1, half) / 2 ** (branching - 1)


@door(origin="theory")
def fixed_point(model: NoisyTree) -> Float[Tensor, "*batch"]:
    """p*, where the flow of majority ends from above: one half at and beyond the threshold.

    Newton's method from above, where the flow is concave; quadratic but for the threshold itself.
    """
    theta = model.correlation.double()
    p = torch.ones_like(theta)
    for _ in range(100):
        q = 0.5 + theta * (p - 0.5)
        gap = p - _vote(q, model.branching)
        step = gap / (1 - theta * _vote_slope_at(q, model.branching)).clamp(min=1e-9)
        p = (p - step).clamp(0.5, 1.0)
    above = model.flips < threshold(model.branching)
    return torch.where(above, p, 0.5).to(_kind(model))


def _majority_flow(model: NoisyTree, levels: int) -> list[Tensor]:
    theta = model.correlation
    path = [torch.ones_like(theta)]
    for _ in range(levels):
        path.append(_vote(0.5 + theta * (path[-1] - 0.5), model.branching))
    return path[1:]


def _census_flow(model: NoisyTree, levels: int) -> list[Tensor]:
    """Distributions of the sum of the leaves, given a root of +1: entry k stands for 2k - b^h."""
    b, flip, found = model.branching, model.flips[..., None], []
    if b**levels > 3_000_000:
        raise ValueError(f"depth must leave 3 million leaves at most, got {b}^{levels}")
    weight = flip.new_tensor([0.0, 1.0]).double().expand(*model.flips.shape, 2)
    for _ in range(levels):
        child = (1 - flip) * weight + flip * weight.flip(-1)
        weight = _sum_of(child, b)
        found.append(weight[..., (weight.shape[-1] + 1) // 2 :].sum(-1))
    return found


def _belief_flow(model: NoisyTree, levels: int) -> list[Tensor]:
    """Densities of the log odds for a root of +1, on a grid that is symmetric about 0."""
    b, theta, found = model.branching, model.correlation[..., None].clamp(max=1 - 1e-12), []
    most = 2 * torch.atanh(theta)  # what a child that is sure can say
    step = (most / (BINS // 2)).clamp(min=1e-300)
    sure = torch.arange(BINS + 1, device=theta.device) == BINS
    weight = sure.double().expand(*model.flips.shape, -1)
    for level in range(levels):
        if level:  # hand on what the node has found
            place = _places(weight)
            said = _handed(place * step, theta)
            weight = _on_grid(weight, said / step + BINS // 2)
        child = (1 + theta) / 2 * weight + (1 - theta) / 2 * weight.flip(-1)
        weight = _sum_of(child, b)
        weight = weight / weight.sum(-1, keepdim=True)  # rounding would grow threefold a level
        odds = _places(weight).abs() * step
        found.append((weight * torch.sigmoid(odds)).sum(-1))
    return found


def _places(weight: Tensor) -> Tensor:
    """Of the points of a grid, counted from its middle."""
    size = weight.shape[-1]
    return torch.arange(size, device=weight.device) - size // 2


def _on_grid(weight: Tensor, place: Tensor) -> Tensor:
    """``weight`` at real places of a grid of BINS + 1 points, shared by the two neighbors."""
    low = place.floor().clamp(0, BINS - 1)
    share = (place - low).clamp(0, 1)
    empty = weight.new_zeros(*weight.shape[:-1], BINS + 1)
    empty = empty.scatter_add(-1, low.long(), weight * (1 - share))
    return empty.scatter_add(-1, low.long() + 1, weight * share)


def _sum_of(child: Tensor, count: int) -> Tensor:
    """Distribution of a sum of ``count`` independent numbers on a grid."""
    size = count * (child.shape[-1] - 1) + 1
    return torch.fft.irfft(torch.fft.rfft(child, n=size) ** count, n=size).clamp(min=0)


def _handed(odds: Tensor, theta: Tensor) -> Tensor:
    """Log odds of a parent from those of one child: 2 artanh(theta tanh(odds / 2))."""
    return 2 * torch.atanh(theta * torch.tanh(odds / 2))


def _vote(right: Tensor, count: int) -> Tensor:
    """Probability that most of ``count`` bits are right, each with probability ``right``."""
    terms = (
        comb(count, k) * right**k * (1 - right) ** (count - k)
        for k in range((count + 1) // 2, count + 1)
    )
    return sum(terms)


def _vote_slope_at(right: Tensor, count: int) -> Tensor:
    """d vote / d right: the last bit decides when the others tie."""
    half = (count - 1) // 2
    return count * comb(count - 1, half) * (right * (1 - right)) ** half


def _decoded(model, steps: list[int], decoder, seed: int, trees: int, member: int) -> Tensor:
    """Share of right roots of one member at each of ``steps`` generations, (*batch, depth)."""
    flip, kind = model.flips[..., None, None], torch.float32
    wide = NoisyTree(model.flips[..., None], model.branching)  # one problem for many trees
    place = {"first": member, "device": flip.device}
    bits = 2.0 * draws.integers(seed, "root", 1, (trees, 1), high=2, **place)[0].to(kind) - 1
    root = bits = bits.expand(*model.flips.shape, trees, 1)
    found = {}
    for level in range(1, max(steps) + 1):
        shape = (trees, model.branching**level)
        luck = draws.uniform(seed, f"edges {level}", 1, shape, dtype=kind, **place)[0]
        bits = bits.repeat_interleave(model.branching, -1) * torch.where(luck < flip, -1.0, 1.0)
        if level in steps:
            agrees = decoder(bits, wide) * root[..., 0]
            found[level] = (0.5 + 0.5 * agrees.double()).mean(-1)
    return torch.stack([found[level] for level in steps], -1)


def _levels(leaves: Tensor, branching: int) -> int:
    """How many generations end in so many leaves; ValueError if none does."""
    count, levels = 1, 0
    while count < leaves.shape[-1]:
        count, levels = count * branching, levels + 1
    if count != leaves.shape[-1]:
        raise ValueError(
            f"leaves must be a power of the branching {branching}, got {leaves.shape[-1]}"
        )
    return levels


def _depths(depth: Tensor) -> list[int]:
    steps = depth.tolist()
    if depth.ndim != 1 or not steps or min(steps) < 1:
        raise ValueError(f"depth must be one axis of whole numbers from 1, got {steps}")
    return steps


def _check_branching(branching: int) -> None:
    if draws.whole_number(branching, "branching", 1, "a tree has children") % 2 == 0:
        raise ValueError(f"branching must be odd, got {branching}: an even vote may tie")


def _kind(model: NoisyTree) -> torch.dtype:
    return model.flips.dtype
