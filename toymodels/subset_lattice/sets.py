"""The sets that a lattice is made of, and what runs up and down between them.

Nodes are ordered by size, then as in a dictionary; edges by the node they lead into, then by the
element that they add. Coordinates count from 1. The root is the empty set and no node.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.quantity import require

POINTS = 16  # coordinates of a cube that is listed whole: 65536 inputs
Set = tuple[int, ...]  # rising coordinates
Levels = tuple[Tensor, ...]  # of every size, the parents of its nodes (node, element) among theirs


def counts(dimension: int, degree: int) -> tuple[int, int]:
    """How many nodes and edges there are. Raises ValueError on a lattice that cannot be."""
    draws.whole_number(dimension, "dimension", 1, "a set has elements")
    draws.whole_number(degree, "degree", 1, "the empty set alone is no network")
    if degree > dimension:
        raise ValueError(f"degree must be at most the dimension, {dimension}, got {degree}")
    sizes = [len(level) for level in by_size(dimension, degree)]
    return sum(sizes), sum(k * size for k, size in enumerate(sizes, 1))


@door
def subsets(dimension: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """The nodes: rising tuples of coordinates, by size and then as in a dictionary."""
    counts(dimension, degree)
    return tuple(S for level in by_size(dimension, degree) for S in level)


@door
def polynomial(
    terms: Mapping[tuple[int, ...], float], dimension: int, degree: int
) -> Float[Tensor, " node"]:
    """A target from its terms: {(1,): 1.0, (1, 2): 0.5} is x_1 + x_1 x_2 / 2.

    Raises ValueError on a term that is no node, such as (2, 1).
    """
    place = {S: k for k, S in enumerate(subsets(dimension, degree))}
    target = torch.zeros(len(place))
    for S, strength in terms.items():
        if S not in place:
            raise ValueError(
                f"terms must be rising sets of up to {degree} of {dimension} coordinates, got {S}"
            )
        target[place[S]] = strength
    return target


def inputs(seed: int, dimension: int, samples: int | None, members: int) -> Tensor:
    """Fair signs (member, sample, coordinate); without ``samples`` every point of the cube."""
    if samples is None:
        if dimension > POINTS:
            raise ValueError(
                f"samples must be given above {POINTS} coordinates, got {dimension} and no number"
            )
        cube = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * dimension)
        return cube.reshape(1, -1, dimension).expand(members, -1, -1)
    draws.whole_number(samples, "samples", 1, "nothing would be learned")
    shape = (samples, dimension)
    return 2.0 * draws.integers(seed, f"inputs {samples}", members, shape, high=2) - 1


@door
def monomials(
    inputs: Float[Tensor, "*batch sample coordinate"], degree: int
) -> Float[Tensor, "*batch sample node"]:
    """chi_S of ``inputs``, the product of the coordinates in S, one column for each node."""
    dimension = inputs.shape[-1]
    counts(dimension, degree)
    columns = [torch.tensor(level) - 1 for level in by_size(dimension, degree)]
    return torch.cat([inputs[..., column].prod(-1) for column in columns], -1)


@lru_cache(maxsize=32)
def by_size(dimension: int, degree: int) -> tuple[tuple[Set, ...], ...]:
    """The nodes of every size."""
    return tuple(tuple(combinations(range(1, dimension + 1), k)) for k in range(1, degree + 1))


@lru_cache(maxsize=32)
def levels(dimension: int, degree: int, device: torch.device) -> Levels:
    """The whole lattice."""
    below, found = {(): 0}, []
    for level in by_size(dimension, degree):
        parents = [[below[S[:i] + S[i + 1 :]] for i in range(len(S))] for S in level]
        found.append(torch.tensor(parents, device=device))
        below = {S: k for k, S in enumerate(level)}
    return tuple(found)


@lru_cache(maxsize=32)
def edges(dimension: int, degree: int) -> dict[tuple[Set, int], int]:
    """The number of the edge into a node that adds an element."""
    pairs = [(S, i) for S in subsets(dimension, degree) for i in S]
    return {pair: k for k, pair in enumerate(pairs)}


@lru_cache(maxsize=32)
def inclusion(dimension: int, degree: int) -> tuple[Tensor, Tensor]:
    """Whether node T contains node S, [T, S], and the sizes."""
    nodes = subsets(dimension, degree)
    members = [[i in S for i in range(1, dimension + 1)] for S in nodes]
    has = torch.tensor(members, dtype=torch.float64, device="cpu")  # kept for all devices
    return has @ has.T == has.sum(-1), has.sum(-1)


def by_level(part: Levels, edge: Tensor) -> list[Tensor]:
    """Edges (*batch, node, element) of every size."""
    found, last = [], 0
    for parents in part:
        first, last = last, last + parents.numel()
        found.append(edge[..., first:last].reshape(*edge.shape[:-1], *parents.shape))
    return found


def upwards(part: Levels, edges: list[Tensor]) -> list[Tensor]:
    """P of the root and of the nodes of every size, from the edges of every size."""
    found = [torch.ones_like(edges[0][..., 0, :1])]
    for parents, each in zip(part, edges, strict=True):
        found.append((each * found[-1][..., parents]).sum(-1))
    return found


def handed_back(own: Tensor, each: Tensor, parents: Tensor) -> Tensor:
    """``own``, and what the edges (*batch, node, element) bring to the parents of their nodes."""
    return own.index_add(-1, parents.flatten(), each.flatten(-2))


def of_parents(part: Levels, p: Tensor) -> Tensor:
    """The sum of p over the parents of every node; the root has 1."""
    parts = p.split([len(parents) for parents in part], -1)
    below = [torch.ones_like(p[..., :1]), *parts[:-1]]
    return torch.cat([x[..., up].sum(-1) for x, up in zip(below, part, strict=True)], -1)


def of_children(part: Levels, x: Tensor) -> Tensor:
    """The sum of x over the children of every node."""
    parts = x.split([len(parents) for parents in part], -1)
    found = [torch.zeros_like(own) for own in parts]
    for k, (parents, own) in enumerate(zip(part[1:], parts[1:], strict=True)):
        each = own[..., None].expand(*own.shape, parents.shape[1])
        found[k] = handed_back(found[k], each, parents)
    return torch.cat(found, -1)


def check_size(name: str, value: Tensor, size: int, dimension: int, degree: int) -> None:
    """Refuse what has not one entry for each of ``size`` nodes or edges."""
    if value.shape[-1] != size:
        raise ValueError(
            f"{name} must have {size} entries, for sets of up to {degree} of {dimension} "
            f"coordinates, got {value.shape[-1]}"
        )


def check_finite(name: str, value: Tensor) -> None:
    """Refuse numbers that are not finite."""
    require(name, value, value == value, "finite", "weights and coefficients are numbers")
