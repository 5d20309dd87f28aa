"""Solvable models of deep learning: one module a model, each with a theory and an experiment."""

__version__ = "0.2.0.dev0"
