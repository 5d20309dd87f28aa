"""Checkers of the exercises, one module a chapter. Reading them spoils the exercises."""
