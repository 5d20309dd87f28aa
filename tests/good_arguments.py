"""Arguments for ``bad_arguments`` where the annotations do not say enough, made anew each time."""

import torch

DOUBLE = torch.float64


def row(*numbers):
    return lambda: torch.tensor(numbers, dtype=DOUBLE)


def value(thing):
    return lambda: thing


GOOD: dict = {}
