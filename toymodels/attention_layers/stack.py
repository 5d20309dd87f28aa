"""A residual stream through L attention blocks with linear values, before training.

    x_s <- x_s + L^(-a) W sum_t softmax(q_s.k / N)_t x_t / sqrt(n)

With logits q.k / N and N = infinity every token attends to all alike, each block adds the same to
all tokens, and the mean token m makes a random walk: E |m_L - m_0|^2 / E |m_0|^2 =
(1 + L^(-2a))^L - 1. At a = 1/2 it tends to e - 1, a diffusion in depth; at a = 1 it falls as 1 / L.

Source: the branch exponents are those of Bordelon, Chaudhry & Pehlevan (2024), arXiv:2405.15712;
the random walk is of this book.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door


@door(origin="theory")
def added(depth: Float[Tensor, "*batch"], exponent: float) -> Float[Tensor, "*batch"]:
    """What the branches add to the mean token, relative to its size, at infinite N and width.

    Raises ValueError on a depth below 1.
    """
    if not bool((depth >= 1).all()):
        raise ValueError(f"depth must be at least 1, got {float(depth.min()):g}: it counts blocks")
    return torch.expm1(depth * torch.log1p(depth ** (-2 * exponent)))


@door(origin="experiment")
def branches(
    depth: int,
    exponent: float,
    *,
    tokens: int,
    width: int,
    key_dimension: int,
    seed: int,
    members: int,
) -> Float[Tensor, " member"]:
    """|m_L - m_0|^2 of random stacks, relative to the mean of |m_0|^2, width / tokens.

    Raises ValueError on counts below 1.
    """
    counts = {"depth": depth, "tokens": tokens, "width": width, "key_dimension": key_dimension}
    for name, count in counts.items():
        draws.whole_number(count, name, 1, "nothing would be added")
    x = draws.normal(seed, "tokens", members, (tokens, width))
    begin = x.mean(-2)
    for layer in range(depth):
        parts = {"query": key_dimension, "key": key_dimension, "value": width}
        query, key, value = (
            x @ draws.normal(seed, f"{name} {layer}", members, (rows, width)).mT / width**0.5
            for name, rows in parts.items()
        )
        weight = (query @ key.mT / key_dimension).softmax(-1)  # (member, token, token)
        x = x + depth**-exponent * weight @ value
    return (x.mean(-2) - begin).square().sum(-1) * tokens / width
