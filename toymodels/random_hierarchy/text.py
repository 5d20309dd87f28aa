"""Strings as a text: how well the last symbol is predicted from those before it.

Two statistics of the text, each against the distance n = 2^l that l levels span:

    gamma   H_l - H_infinity ~ n^-gamma, entropy of the last symbol given the n - 1 before it
    beta    C_l ~ n^-beta, correlation of the last symbol with one that l levels separate from it

P samples resolve correlations of about P^(-1/2), so they tell of a past of n ~ P^(1 / 2 beta), and
the loss falls as P^-alpha with alpha = gamma / (2 beta).

Source of that argument: Cagnetta, Raventos, Ganguli & Wyart (2026), arXiv:2602.07488. Exponents of
random rules are derived in ``chapters/coarse_graining.md``.
"""

from math import log2
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.random_hierarchy.counting import Reading, condensed
from toymodels.random_hierarchy.grammar import (
    RandomHierarchy,
    Rules,
    draw_rules,
    draw_strings,
    pair_table,
)

PRIORS = (0.3, 1.0, 3.0)  # weights of the shorter context, of which the best is taken
RAW = 7  # symbols that a table of raw contexts goes back at most


class Exponents(NamedTuple):
    """Of entropy and correlation against distance, and of the learning curve."""

    gamma: float
    beta: float
    alpha: float


@door(origin="theory")
def exponents(model: RandomHierarchy) -> Exponents:
    """gamma of the number of false candidates, and beta of the correlation.

    A level leaves m / (v + 1) of the false candidates, on the average over rules exactly, and rho
    of the correlation, to leading order in 1 / v: both sides of it obey the same rules. Raises
    ValueError if nothing can be told apart.
    """
    v, m = model.vocabulary, model.synonyms
    if m == v:
        raise ValueError("synonyms must be fewer than the vocabulary: else any string is possible")
    gamma, beta = log2((v + 1) / m), -log2(model.contraction)
    return Exponents(gamma, beta, gamma / (2 * beta))


@door(origin="theory")
def entropies(model: RandomHierarchy, rules: Rules) -> Float[Tensor, "member level"]:
    """H_l in nats, l = 0 ... L: of the last symbol, given all others that share l levels with it.

    Exact, by enumeration of the v^l ways in which l left siblings can be.
    """
    v, depth, found = model.vocabulary, model.levels, []
    tables = [pair_table(rule, v) for rule in rules]
    for level in range(depth + 1):
        joint = _last_symbol(model, tables[: depth - level])[:, None]  # (member, context, symbol)
        for table in tables[depth - level :]:
            joint = torch.einsum("mcs,msab->mcab", joint, table).flatten(1, 2)
        share = joint / joint.sum(-1, keepdim=True).clamp(min=1e-300)
        found.append(-torch.xlogy(joint, share).sum((-1, -2)))
    return torch.stack(found, -1)


@door(origin="theory")
def correlations(model: RandomHierarchy, rules: Rules) -> Float[Tensor, "member level"]:
    """C_l^2, l = 1 ... L: sum of squares of P(a, b) - P(a) P(b), b the last symbol.

    The mean over all a that l levels separate from it.
    """
    v, depth, found = model.vocabulary, model.levels, []
    tables = [pair_table(rule, v) for rule in rules]
    for level in range(1, depth + 1):
        top = _last_symbol(model, tables[: depth - level])
        joint = torch.einsum("ms,msab->mab", top, tables[depth - level])[:, None]
        for table in tables[depth - level + 1 :]:
            sides = torch.stack([table.sum(-1), table.sum(-2)], 1)[:, None]
            joint = (sides.mT @ joint[:, :, None] @ table.sum(-2)[:, None, None]).flatten(1, 2)
        gap = joint - joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
        found.append(gap.square().sum((-1, -2)).mean(-1))
    return torch.stack(found, -1)


@door(origin="experiment")
def table_losses(
    model: RandomHierarchy,
    samples: int,
    levels: int,
    *,
    seed: int,
    members: int,
    fresh: int = 2000,
) -> dict[str, Float[Tensor, "context member"]]:
    """Excess loss of predicting the last symbol by tables of contexts, in nats over H_L.

    "groups": contexts are the left siblings of the last symbol and of its ancestors, each read by
    groups that were counted from the same samples; 0 ... ``levels`` of them. "raw": contexts are
    the symbols before the last one. A long context falls back on the next shorter one.
    """
    draws.whole_number(levels, "levels", 1, "there would be no context")
    if levels > model.levels:
        raise ValueError(f"levels must be at most {model.levels}, got {levels}")
    rules = draw_rules(model, seed=seed, members=members)
    seen, test = (
        draw_strings(rules, count, seed=seed + k).symbol for k, count in ((1, samples), (2, fresh))
    )
    groups = [_siblings(model, level, seen, test) for level in range(1, levels + 1)]
    reach = range(min(RAW, seen.shape[-1] - 1))
    raw = [(seen[..., -2 - k], test[..., -2 - k]) for k in reach]
    floor = entropies(model, rules)[:, -1]
    last = seen[..., -1], test[..., -1]
    return {
        name: _fallback(model.vocabulary, contexts, last) - floor
        for name, contexts in (("groups", groups), ("raw", raw))
    }


def _last_symbol(model: RandomHierarchy, tables: list[Tensor]) -> Tensor:
    """Probabilities of the rightmost symbol below so many levels of rules, (member, symbol)."""
    found = torch.full((1, model.labels), 1 / model.labels, dtype=torch.float64)
    for table in tables:
        found = torch.einsum("ms,msab->mb", found.expand(len(table), -1), table)
    return found


def _siblings(model, level: int, seen: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """The group of the block of 2^(level - 1) symbols that l levels separate from the last."""
    v, block = model.vocabulary, slice(-(2**level), -(2 ** (level - 1)))
    table, mine = condensed(seen[..., block], seen[..., -1], v, v, until=1)
    return mine[..., 0], Reading(v, table)(test[..., block])[..., 0]


def _fallback(v: int, contexts: list, last: tuple[Tensor, Tensor]) -> Tensor:
    """Losses on the test with 0, 1, ... contexts, nearest first, (context, member)."""
    tried = [_interpolated(v, contexts, last, prior) for prior in PRIORS]
    best = torch.stack([losses.mean(-1) for losses in tried]).argmin(0)  # for each context
    return torch.stack([tried[k][row] for row, k in enumerate(best.tolist())])


def _interpolated(v: int, contexts: list, last: tuple[Tensor, Tensor], prior: float) -> Tensor:
    right, wanted = last
    guess = torch.full((*wanted.shape, v), 1 / v, dtype=torch.float64)
    key, there, found = torch.zeros_like(right), torch.zeros_like(wanted), []
    for step in range(len(contexts) + 1):
        if step:
            key, there = key * v + contexts[step - 1][0], there * v + contexts[step - 1][1]
        size = v**step
        counts = torch.zeros(len(right), size * v, dtype=torch.float64)
        counts.scatter_add_(1, key * v + right, torch.ones(right.shape, dtype=torch.float64))
        mine = counts.reshape(-1, size, v).gather(1, there[..., None].expand(-1, -1, v))
        guess = (mine + prior * guess) / (mine.sum(-1, keepdim=True) + prior)
        found.append(-guess.gather(-1, wanted[..., None])[..., 0].log().mean(-1))
    return torch.stack(found)
