"""Tasks: polynomials of a few fair signs, from one generator and one seed rule.

A task is a row of targets over one dictionary, all monomials of d signs up to a degree. Everybody
gets the same inputs and the same noise: draws depend on the seed, the number of samples and the
member alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door

Terms = dict[tuple[int, ...], float]  # strength of every monomial, by its coordinates


@door
@dataclass(frozen=True)
class Task:
    """Targets (problem, feature) over the monomials of ``dimension`` signs up to ``degree``.

    ``noise`` is the standard deviation of the noise of labels. Raises ValueError where the target
    does not have one column for each monomial, on a target of zero, and on a negative noise.
    """

    dimension: int
    target: Float[Tensor, "problem feature"]
    degree: int = 3
    noise: float = 0.0

    def __post_init__(self):
        count = len(self.features)
        if self.target.ndim != 2 or self.target.shape[-1] != count:
            raise ValueError(
                f"target must be (problem, {count}), a column for each monomial of "
                f"{self.dimension} signs up to degree {self.degree}, got "
                f"{tuple(self.target.shape)}"
            )
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise must be finite and not negative, got {self.noise}")
        if bool((self.null <= 0).any()):
            raise ValueError("target must not be 0: there is nothing to learn")

    @property
    def features(self) -> tuple[tuple[int, ...], ...]:
        """Coordinates of every monomial, low degrees first."""
        return monomials(self.dimension, self.degree)

    @property
    def null(self) -> Float[Tensor, " problem"]:
        """Mean squared error of knowing nothing."""
        return self.target.square().sum(-1)

    @property
    def sizes(self) -> Tensor:
        """Degree of every monomial."""
        return torch.tensor([len(s) for s in self.features])

    def clean(self, signs: Tensor, which: Tensor) -> Tensor:
        """Labels (row, sample) without noise, for signs (row, sample, coordinate) of which row i
        belongs to the problem ``which[i]``: only terms of the target are computed."""
        place = self.target.abs().topk(int((self.target != 0).sum(-1).max()), dim=-1).indices
        strength = self.target.gather(-1, place)[which].to(signs)
        way = _padded(self.features, self.dimension, place.device)[place[which]]
        padded = torch.cat([signs, torch.ones_like(signs[..., :1])], -1)
        steps = way.flatten(1)[:, None].expand(-1, signs.shape[-2], -1)
        terms = padded.gather(-1, steps).unflatten(-1, way.shape[1:]).prod(-1)
        return (terms @ strength[..., None])[..., 0]

    def draw(self, samples: int, *, seed: int, members: int) -> tuple[Tensor, Tensor]:
        """Signs (member, sample, coordinate), which all problems share, and noisy labels
        (problem, member, sample)."""
        shape = (samples, self.dimension)
        heads = draws.integers(seed, f"signs {samples}", members, shape, high=2)
        signs = (2.0 * heads - 1.0).to(self.target)
        shaken = draws.normal(seed, f"noise {samples}", members, (samples,)).to(self.target)
        clean = (values(signs, self.features) @ self.target.mT).movedim(-1, 0)
        return signs, clean + self.noise * shaken


@door
def task(dimension: int, terms: Sequence[Terms], *, degree: int = 3, noise: float = 0.0) -> Task:
    """A task with a problem for each of ``terms``, such as {(0,): 1.0, (0, 1): 0.5}.

    Raises ValueError on a monomial that the dictionary does not hold.
    """
    place = {s: k for k, s in enumerate(monomials(dimension, degree))}
    target = torch.zeros(len(terms), len(place), dtype=torch.float64)
    for row, problem in zip(target, terms, strict=True):
        for coordinates, strength in problem.items():
            if coordinates not in place:
                raise ValueError(
                    f"terms must be increasing coordinates below {dimension}, at most {degree} of "
                    f"them, got {coordinates}"
                )
            row[place[coordinates]] = strength
    return Task(dimension, target, degree, noise)


@lru_cache(maxsize=32)
def monomials(dimension: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """All sets of 1 to ``degree`` of the coordinates, small sets first."""
    return tuple(s for k in range(1, degree + 1) for s in combinations(range(dimension), k))


def values(signs: Tensor, features: tuple[tuple[int, ...], ...]) -> Tensor:
    """Monomials (*batch, sample, feature) of signs (*batch, sample, coordinate)."""
    one = torch.ones_like(signs[..., :1])
    way = _padded(features, signs.shape[-1], signs.device)
    found = torch.cat([signs, one], -1).index_select(-1, way.reshape(-1))
    return found.unflatten(-1, way.shape).prod(-1)


def cube(dimension: int, device: torch.device | None = None) -> Tensor:
    """All inputs, (2^dimension, dimension)."""
    number = torch.arange(2**dimension, device=device)
    rows = (number[:, None] >> number[:dimension]) & 1
    return 1.0 - 2.0 * rows.double()


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _padded(features: tuple[tuple[int, ...], ...], fill: int, device: torch.device) -> Tensor:
    longest = max(map(len, features))
    return torch.tensor([[*s, *[fill] * (longest - len(s))] for s in features], device=device)


# ---- the tasks of the matrix ---------------------------------------------------------------------

POWER = 1.0  # strengths of the power law fall as 1 / k
STAIRS = {(0,): 1.0, (0, 1): 1.0, (0, 1, 2): 1.0}
TASKS: dict[str, Terms] = {
    "linear": {(0,): 1.0, (1,): 1.0, (2,): 1.0},
    "power law": {(k,): (k + 1) ** -POWER for k in range(8)},
    "staircase": STAIRS,
    "missing rung": {(0,): 1.0, (0, 1, 2): 1.0},
    "parity": {(0, 1, 2): 1.0},
    "branching": {(0,): 1.0, (0, 1): 1.0, (0, 2): 1.0, (0, 1, 3): 1.0, (0, 2, 4): 1.0},
    "merged": {(0,): 1.0, (1, 2): 1.0},
}


@door(origin="experiment")
def sparse(problems: int, *, dimension: int = 12, terms: int = 5, seed: int = 0) -> Task:
    """Random sparse polynomials: degrees 1 to 3 equally likely, coordinates at random, strengths
    evenly from 1/2 to 3/2. A monomial that is drawn twice counts once, with its last strength."""
    size = draws.integers(seed, "degree", problems, (terms,), high=3) + 1
    order = draws.uniform(seed, "coordinates", problems, (terms, dimension)).argsort(-1)
    strength = 0.5 + draws.uniform(seed, "strength", problems, (terms,))
    chosen = [
        {tuple(sorted(o[:k])): b for k, o, b in zip(*row, strict=True)}
        for row in zip(size.tolist(), order.tolist(), strength.tolist(), strict=True)
    ]
    return task(dimension, chosen)


@door(origin="experiment")
def rungs(problems: int, *, dimension: int = 12, seed: int = 0) -> Task:
    """Two cubic terms without a common coordinate, all strengths one, and under each of them zero
    to three of its six lower monomials, drawn without replacement."""
    count = draws.integers(seed, "rungs", problems, (2,), high=4).tolist()
    order = draws.uniform(seed, "order", problems, (2, 6)).argsort(-1).tolist()
    chosen = []
    for counts, orders in zip(count, order, strict=True):
        chosen.append({})
        for first, many, ranks in zip((0, 3), counts, orders, strict=True):
            below = [s for k in (1, 2) for s in combinations(range(first, first + 3), k)]
            top = tuple(range(first, first + 3))
            chosen[-1] |= {s: 1.0 for s in [top, *(below[r] for r in ranks[:many])]}
    return task(dimension, chosen)
