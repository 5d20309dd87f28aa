"""Solvable models of deep learning: one module a model, each with a theory and an experiment."""

__version__ = "0.1.0"
