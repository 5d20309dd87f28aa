"""Sets and their lattice, and learners on the targets that a lattice can learn.

    sets    nodes, edges, and what runs between them    relu    networks of one hidden layer
    rivals  the lasso and kernel regression             stored  networks that took minutes

Chapter: ``chapters/lattice.md``.
"""

from toymodels.subset_lattice.relu import (
    CONTEXTS,
    Lesson,
    Lessons,
    context,
    cubic_pairs,
    learn,
    sparse,
)
from toymodels.subset_lattice.rivals import kernel_ridge, lasso
from toymodels.subset_lattice.sets import monomials, polynomial, subsets
from toymodels.subset_lattice.stored import Stored, stored

__all__ = [
    "CONTEXTS", "Lesson", "Lessons", "Stored", "context", "cubic_pairs", "kernel_ridge", "lasso",
    "learn", "monomials", "polynomial", "sparse", "stored", "subsets",
]  # fmt: skip
