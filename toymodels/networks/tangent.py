"""Empirical kernels of a whole ensemble: of its gradients and of its features.

    tangent kernel   K[x, x', o, o'] = sum over weights of d f_o(x) d f_o'(x'), with factors
                     ``rates`` where weight tensors learn at different rates
    feature kernel   mean over the units of a hidden layer of signal(x) signal(x')

Source: Jacot, Gabriel & Hongler 2018, arXiv:1806.07572.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.chunks import room
from toymodels.networks.network import (
    Network,
    Perceptron,
    Weights,
    checked_weights,
    each_its_own,
    for_members,
)
from toymodels.numerics.door import door


@door(origin="experiment")
def tangent_kernel(
    network: Network,
    weights: Weights,
    inputs: Float[Tensor, "*inputs sample input"],
    others: Float[Tensor, "*others other input"] | None = None,
    *,
    rates: Sequence[float] | None = None,
) -> Float[Tensor, "*batch sample other output output"]:
    """The tangent kernel of every member between ``inputs`` and ``others`` (``inputs`` if None).

    Without dropout; where hidden units are normalized, over the samples at hand. Memory is bounded
    by taking members in chunks. Raises ValueError unless there is one rate per weight tensor.
    """
    if rates is not None and len(rates) != len(weights):
        raise ValueError(f"rates must be {len(weights)}, one per weight tensor, got {len(rates)}")
    rates = [1.0] * len(weights) if rates is None else rates
    weights = checked_weights(weights)
    if not all(isinstance(rate, int | float) for rate in rates):
        raise ValueError(f"rates must be numbers, got {rates}")

    def kernel(network: Network, weights: Weights, inputs: Tensor, others: Tensor | None) -> Tensor:
        left = jacobian(network, weights, inputs)
        right = left if others is None else jacobian(network, weights, others)
        return sum(
            rate * torch.einsum("mxop,myqp->mxyoq", a, b)
            for rate, a, b in zip(rates, left, right, strict=True)
        )

    outputs = weights[-1].shape[-2]
    numbers = sum(w.shape[-2:].numel() for w in weights) * inputs.shape[-2] * outputs
    return _in_chunks(kernel, network, weights, (inputs, others), 3 * numbers)


def jacobian(network: Network, weights: Weights, inputs: Tensor) -> list[Tensor]:
    """d outputs / d weights, (member, sample, output, weight) for every weight tensor."""
    with torch.enable_grad():
        leaves = [w.detach().requires_grad_(True) for w in weights]
        outputs = network(leaves, inputs)  # (member, sample, output)
        members, *answer = outputs.shape
        count = answer[0] * answer[1]
        # one backward pass per answer, for all members at once, and all of these as one more axis
        basis = torch.eye(count, dtype=outputs.dtype, device=outputs.device)
        basis = basis.reshape(count, 1, *answer).expand(count, members, *answer)
        slopes = torch.autograd.grad(outputs, leaves, basis, is_grads_batched=True)
    return [s.transpose(0, 1).reshape(members, *answer, -1) for s in slopes]


@door(origin="experiment")
def feature_kernels(
    network: Perceptron, weights: Weights, inputs: Float[Tensor, "*inputs sample input"]
) -> Float[Tensor, "*batch layer sample sample"]:
    """Mean over units of signal(x) signal(x') after every hidden layer, first layer first."""
    weights = checked_weights(weights)

    def kernels(network: Perceptron, weights: Weights, inputs: Tensor) -> Tensor:
        signals = network.features(weights, inputs)
        return torch.stack([h @ h.mT / h.shape[-1] for h in signals], -3)

    numbers = inputs.shape[-2] * sum(w.shape[-2] + inputs.shape[-2] for w in weights)
    return _in_chunks(kernels, network, weights, (inputs,), 2 * numbers)


def _in_chunks(action, network, weights: Weights, data: tuple, numbers: int) -> Tensor:
    """``action`` on the flattened members, as many at a time as there is room for."""
    batch = weights[0].shape[:-2]
    flat = [w.reshape(-1, *w.shape[-2:]) for w in weights]
    data = [
        x if x is None or x.ndim == 2 else each_its_own(name, x, batch)
        for name, x in zip(("inputs", "others"), data, strict=False)
    ]
    network = for_members(network, lambda v: v.expand(batch).reshape(-1))
    # far beyond the cache, but never much memory: a kernel is made once, not at every step
    size = max(1, 64 * room(flat[0].device) // (numbers * flat[0].element_size()))
    parts = []
    for first in range(0, len(flat[0]), size):
        part = slice(first, first + size)
        taken = [x if x is None or x.ndim == 2 else x[part] for x in data]
        mine = for_members(network, lambda v, part=part: v[part])
        parts.append(action(mine, [w[part] for w in flat], *taken))
    whole = torch.cat(parts)
    return whole.reshape(*batch, *whole.shape[1:])
