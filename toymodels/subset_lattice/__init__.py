"""Sets and their lattice, and real networks on the targets that a lattice can learn."""

from toymodels.subset_lattice.sets import monomials, polynomial, subsets

__all__ = ["monomials", "polynomial", "subsets"]
