"""The random hierarchy: strings made by rules that are drawn at random, level by level.

A class becomes one of m pairs of symbols, each of these one of m pairs, and so on for L levels. The
pairs are drawn at random, without repetition, and are the same for all strings of a grammar.

    v, m, L   symbols, synonyms of each symbol, levels; strings have 2^L symbols
    n_c       classes
    rho       v / ((v + 1) m), loss of mean square correlation per level and side
    P_c       samples at which counts rise from their noise, n_c m^L (1 + 1/v)^(L - 1)

    grammar   rules and strings             counting  a learner without descent
    text      entropies and correlations    networks  trees and one hidden layer
    stored    sweeps that took minutes

Source: Cagnetta, Petrini, Tomasini, Favero & Wyart (2024), arXiv:2307.02129. Chapter:
``chapters/coarse_graining.md``.
"""

from toymodels.random_hierarchy.counting import Reading, counting_error, learn
from toymodels.random_hierarchy.grammar import (
    RandomHierarchy,
    Strings,
    class_signal,
    draw_rules,
    draw_strings,
    needed_samples,
)
from toymodels.random_hierarchy.networks import Course, TreeNetwork, network_error, network_loss
from toymodels.random_hierarchy.stored import Stored, decay, half_error, stored
from toymodels.random_hierarchy.text import (
    Exponents,
    correlations,
    entropies,
    exponents,
    table_losses,
)

__all__ = [
    "Course", "Exponents", "RandomHierarchy", "Reading", "Stored", "Strings", "TreeNetwork",
    "class_signal", "correlations", "counting_error", "decay", "draw_rules", "draw_strings",
    "entropies", "exponents", "half_error", "learn", "needed_samples", "network_error",
    "network_loss", "stored", "table_losses",
]  # fmt: skip
