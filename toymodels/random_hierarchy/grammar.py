"""Rules drawn at random, the strings that they make, and what is exactly known of both.

A rule turns a symbol into a pair of symbols of the level below. Every symbol has m rules, and no
pair belongs to two symbols, so a string can be read in one way only.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door


@door
@dataclass(frozen=True)
class RandomHierarchy:
    """Sizes of a random hierarchy. Raises ValueError when there are too few pairs for the rules."""

    vocabulary: int  # v, symbols of every level below the classes
    synonyms: int  # m, pairs that a symbol may become
    levels: int  # L; strings have 2^L symbols
    classes: int | None = None  # n_c; v if None

    def __post_init__(self):
        least = {"vocabulary": 2, "synonyms": 1, "levels": 1}
        for name, low in least.items():
            draws.whole_number(getattr(self, name), name, low, "there would be nothing to learn")
        draws.whole_number(self.labels, "classes", 2, "a single class needs no learning")
        pairs = self.vocabulary**2
        for name, symbols in (("vocabulary", self.vocabulary), ("classes", self.labels)):
            if symbols * self.synonyms > pairs:
                raise ValueError(
                    f"synonyms times {name} must be at most {pairs}, got "
                    f"{symbols * self.synonyms}: a pair belongs to one symbol only"
                )

    @property
    def labels(self) -> int:
        """n_c, the number of classes."""
        return self.vocabulary if self.classes is None else self.classes

    @property
    def scale(self) -> int:
        """n_c m^L, the number of samples by which errors of different hierarchies compare."""
        return self.labels * self.synonyms**self.levels

    @property
    def contraction(self) -> float:
        """rho, by which a level multiplies the mean square of a correlation, once per side."""
        return self.vocabulary / ((self.vocabulary + 1) * self.synonyms)


Rules = list[Tensor]  # (member, symbol, synonym, 2) of each level, from the classes down


@dataclass(frozen=True)
class Strings:
    """Strings of symbols and the classes that they come from, as whole numbers."""

    symbol: Int[Tensor, "member sample position"]
    label: Int[Tensor, "member sample"]


@door(origin="experiment")
def draw_rules(model: RandomHierarchy, *, seed: int, members: int) -> Rules:
    """One grammar for each member: m pairs for every symbol of every level, all different."""
    v, m = model.vocabulary, model.synonyms
    draws.whole_number(members, "members", 1, "there would be no grammar")
    found = []
    for level in range(model.levels):
        symbols = v if level else model.labels
        order = draws.uniform(seed, f"rules {level}", members, (v * v,)).argsort(-1)
        pair = order[:, : symbols * m].reshape(members, symbols, m)
        found.append(torch.stack([pair // v, pair % v], -1))
    return found


@door(origin="experiment")
def draw_strings(rules: Rules, samples: int, *, seed: int) -> Strings:
    """``samples`` strings for each member, every class and every synonym equally likely."""
    draws.whole_number(samples, "samples", 1, "there would be nothing to learn from")
    members, labels, synonyms, _ = rules[0].shape
    symbol = draws.integers(seed, "labels", members, (samples, 1), high=labels)
    label = symbol[..., 0]
    for level, rule in enumerate(rules):
        pick = draws.integers(seed, f"synonyms {level}", members, symbol.shape[1:], high=synonyms)
        chosen = (symbol * synonyms + pick).flatten(1)[..., None].expand(-1, -1, 2)
        symbol = rule.flatten(1, 2).gather(1, chosen).reshape(members, samples, -1)
    return Strings(symbol, label)


@door(origin="theory")
def needed_samples(model: RandomHierarchy) -> float:
    """P_c at which the counts of a pair with the classes rise from their noise, at one place.

    P_c = n_c m^L (1 + 1/v)^(L - 1), where mean squares over random rules are exact.
    """
    return model.scale * (1 + 1 / model.vocabulary) ** (model.levels - 1)


def pair_table(rule: Tensor, vocabulary: int) -> Float[Tensor, "member symbol left right"]:
    """P(left, right | symbol) under the rules of one level."""
    members, symbols, synonyms, _ = rule.shape
    pair = rule[..., 0] * vocabulary + rule[..., 1]
    share = torch.full(pair.shape, 1 / synonyms, dtype=torch.float64)
    table = torch.zeros(members, symbols, vocabulary**2, dtype=torch.float64)
    return table.scatter_add(-1, pair, share).unflatten(-1, (vocabulary, vocabulary))


@door(origin="theory")
def class_signal(model: RandomHierarchy, rules: Rules) -> Float[Tensor, " member"]:
    """Sum of squares of P(class, symbol) - P(class) P(symbol) one level above the string.

    Exact for the given rules, by propagation; the mean over the places. Its mean over random
    rules is (n_c - 1) / n_c^2 rho^(L - 1).
    """
    n, v = model.labels, model.vocabulary
    members = rules[0].shape[0]
    joint = torch.eye(n, dtype=torch.float64).expand(members, 1, n, n) / n  # (.., place, c, x)
    for rule in rules[:-1]:
        table = pair_table(rule, v)
        sides = torch.stack([table.sum(-1), table.sum(-2)], 1)[:, None]  # left, right
        joint = (joint[:, :, None] @ sides).flatten(1, 2)
    gap = joint - joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    return gap.square().sum((-1, -2)).mean(-1)
