"""Sweeps: a function over a grid, on one machine or many, every finished point on disk."""

from toymodels.sweeps.grid import sweep

__all__ = ["sweep"]
