"""Exercises of ``chapters/residual_depth.md``, worked out a second time."""

import math

import torch


def kernel(depth, c, *, each=None):
    """Term by term: readout, embedding, branches; ``each`` is what the step of a branch weighs."""
    stream = [1.0]
    for _ in range(depth):
        stream.append(stream[-1] * (1 + c * c))
    each = 1 / depth if each is None else each
    branches = sum(stream[k] * stream[depth - 1 - k] for k in range(depth))
    return 2 * stream[-1] + each * branches


def responses(depth, c, *, feet=1.0, twice=False):
    """Neuron by neuron: a kick of r^l is followed through the errors and up through the stream."""
    found = []
    for layer in range(1, depth + 1):
        height = feet * c  # of h^0, after g^0 has been kicked by c
        for k in range(1, layer):  # branch k answers to g^k, which has been kicked by c
            echo = c * found[k - 1] * (c if twice else 1.0)
            height += c * (echo + (1 + c * c) ** (k - 1) / depth)
        found.append(height)
    return torch.tensor(found, dtype=torch.float64)


def first_depth(exponent, share=0.01):
    """Doubling, then halving the bracket."""

    def kernel_of(depth):
        c_squared = depth ** (-2 * exponent)
        return math.exp((depth - 1) * math.log1p(c_squared)) * (3 + 2 * c_squared)

    high = 1
    while kernel_of(high) > 3 * (1 + share):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if kernel_of(middle) > 3 * (1 + share):
            low = middle
        else:
            high = middle
    return high


def limit(matrices, depth=10**6):
    """First kernel of branches of several matrices at exponent 1/2, at a large depth."""
    growth = (1 + 1 / depth) ** depth
    return 2 * growth + matrices * growth


ANSWERS = {
    "single": lambda depth, exponent: 1 / kernel(depth, depth**-exponent),
    "twice": 0.8325546,
    "blocks": limit(2),
    "response": lambda depth, exponent: responses(depth, depth**-exponent),
    "between": first_depth(0.75),
    "own": 3 / 4 - 1,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "single": [
        lambda depth, exponent: kernel(depth, depth**-exponent),
        lambda depth, exponent: (
            1 / kernel(depth, depth**-exponent, each=depth ** (-2.0 * exponent))
        ),
        lambda depth, exponent: (
            1 / (kernel(depth, depth**-exponent) - 2 * (1 + depth ** (-2 * exponent)) ** depth)
        ),
        lambda depth, exponent: 1 / kernel(depth, depth ** (-exponent / 2)),
    ],
    "twice": [0.6931472, 1.0, math.sqrt(0.34657359)],
    "blocks": [limit(1), 4, limit(0), 4 * math.exp(2)],
    "response": [
        lambda depth, exponent: responses(depth, depth**-exponent, twice=True),
        lambda depth, exponent: responses(depth, depth**-exponent, feet=0.0),
        lambda depth, exponent: responses(depth, depth**-exponent) / depth**-exponent,
    ],
    "between": [first_depth(1.0), 1111],
    "own": [1 / 2 - 1, 1 / 4],
}
