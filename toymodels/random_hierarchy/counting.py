"""A learner that counts: synonyms are pairs that go with the same labels.

It works level by level. For every pair of neighbors it counts how often each label comes with it,
puts pairs with alike counts into one group, writes a group in the place of each pair, and has
strings of half the length. Nothing is descended.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.random_hierarchy.grammar import RandomHierarchy, Strings, draw_rules, draw_strings

Table = Int[Tensor, "member pair"]


@dataclass(frozen=True)
class Reading:
    """What each pair of a level is replaced by, from the lowest level up; the last is a label."""

    vocabulary: int
    table: list[Table]

    def __call__(self, symbol: Int[Tensor, "member sample position"]) -> Tensor:
        """Strings, as far as the tables lead: (member, sample, fewer positions)."""
        for table in self.table:
            symbol = _written(_pairs(symbol, self.vocabulary), table)
        return symbol


@door
def learn(model: RandomHierarchy, seen: Strings) -> Reading:
    """Groups of alike pairs at every level, and the commonest label of every last pair."""
    v, pairs = model.vocabulary, model.vocabulary**2
    found, symbol = condensed(seen.symbol, seen.label, v, model.labels, until=2)
    last = _counts(_pairs(symbol, v), seen.label, pairs, model.labels)[:, :, 0]
    return Reading(v, [*found, last.argmax(-1)])


def condensed(
    symbol: Int[Tensor, "member sample position"],
    label: Int[Tensor, "member sample"],
    vocabulary: int,
    labels: int,
    *,
    until: int,
) -> tuple[list[Table], Tensor]:
    """Tables of groups from the lowest level up, and strings that are ``until`` symbols long."""
    found = []
    while symbol.shape[-1] > until:
        pair = _pairs(symbol, vocabulary)
        found.append(groups(_counts(pair, label, vocabulary**2, labels), vocabulary))
        symbol = _written(pair, found[-1])
    return found, symbol


@door(origin="experiment")
def counting_error(
    model: RandomHierarchy, samples: int, *, seed: int, members: int, fresh: int = 400
) -> Float[Tensor, " member"]:
    """Share of ``fresh`` strings that are misread after ``samples`` were counted, over a guess's.

    Every member has rules of its own.
    """
    draws.whole_number(fresh, "fresh", 1, "there would be nothing to read")
    rules = draw_rules(model, seed=seed, members=members)
    reading = learn(model, draw_strings(rules, samples, seed=seed + 1))
    test = draw_strings(rules, fresh, seed=seed + 2)
    wrong = reading(test.symbol)[..., 0] != test.label
    return wrong.double().mean(-1) / (1 - 1 / model.labels)


def groups(counts: Float[Tensor, "member pair place label"], number: int) -> Table:
    """``number`` groups of pairs with alike shares of labels, by Ward's method.

    The two groups merge whose merging costs least: the squared distance of their shares times
    n k / (n + k) for counts n and k, summed over places. Pairs that were not seen cost nothing.
    """
    members, pairs = counts.shape[:2]
    counts, total = counts.clone(), counts.sum(-1)
    group = torch.arange(pairs).expand(members, -1)
    gone = torch.eye(pairs, dtype=torch.bool).expand(members, -1, -1).clone()
    row, cost = torch.arange(members), _cost(counts, total, counts, total)
    for _ in range(pairs - number):
        place = cost.masked_fill(gone, torch.inf).flatten(1).argmin(-1)
        one, other = place // pairs, place % pairs
        group = torch.where(group == other[:, None], one[:, None], group)
        counts[row, one] += counts[row, other]
        total[row, one] += total[row, other]
        gone[row, other], gone[row, :, other] = True, True
        fresh = _cost(counts[row, one][:, None], total[row, one][:, None], counts, total)[:, 0]
        cost[row, one], cost[row, :, one] = fresh, fresh
    kept = torch.zeros(members, pairs, dtype=torch.long).scatter(1, group, 1)
    return (kept.cumsum(-1) - 1).gather(-1, group)


def _cost(one: Tensor, its_total: Tensor, other: Tensor, total: Tensor) -> Tensor:
    """Of merging group i of the first with group j of the second, (member, i, j)."""
    p = one / its_total.clamp(min=1)[..., None]
    q = other / total.clamp(min=1)[..., None]
    n, k = its_total[:, :, None], total[:, None]
    weight = n * k / (n + k).clamp(min=1)  # (member, i, j, place)
    square = p.square().sum(-1)[:, :, None] + q.square().sum(-1)[:, None]
    cross = torch.einsum("miac,mjac->mija", p, q)
    return (weight * (square - 2 * cross)).sum(-1)


def _pairs(symbol: Tensor, vocabulary: int) -> Tensor:
    return symbol[..., ::2] * vocabulary + symbol[..., 1::2]


def _written(pair: Tensor, table: Tensor) -> Tensor:
    return table.gather(1, pair.flatten(1)).reshape(pair.shape)


def _counts(pair: Tensor, label: Tensor, pairs: int, labels: int) -> Tensor:
    """How often each pair comes with each label at each place, (member, pair, place, label)."""
    places = pair.shape[-1]
    index = ((pair * places + torch.arange(places)) * labels + label[..., None]).flatten(1)
    flat = torch.zeros(len(pair), pairs * places * labels, dtype=torch.float64)
    flat.scatter_add_(1, index, torch.ones(index.shape, dtype=torch.float64))
    return flat.reshape(-1, pairs, places, labels)
