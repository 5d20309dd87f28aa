"""One layer of softmax attention with all its weights, in mean-field scaling.

The last of S tokens asks, all answer. Tokens x have D entries, head h has matrices of N rows, and

    q = W_Q x_S / sqrt(D),  k_s = W_K x_s / sqrt(D),  A_s = q.k_s / N^alpha,  n = H N
    f = w.u / (gamma_0 n),  u = W_O a / sqrt(n),  a_h = sum_s softmax(A_h)_s W_V x_s / sqrt(D)

Descent has the rate gamma_0^2 n for W_V, W_O and w, and gamma_0^2 H N^(2 alpha - 1) for W_Q and
W_K. At alpha = 1 these are the same.

Source: Bordelon, Chaudhry & Pehlevan (2024), arXiv:2405.15712; its powers of N are moved from the
weights to the rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train, whole_steps
from toymodels.networks.network import Weights
from toymodels.networks.rules import GradientDescent
from toymodels.numerics import draws
from toymodels.numerics.door import door


@door
@dataclass(frozen=True)
class Transformer:
    """The network. Inputs are the tokens of a sample in a row, (sample, token entry).

    ``weights`` are W_Q, W_K, W_V (n, D), W_O (n, n) and w (1, n). A sixth is an embedding (n, D):
    tokens are then E x / sqrt(D) with n entries, and the embedded last token is added to u.
    Raises ValueError on counts below 1 and on a richness that is not positive.
    """

    heads: int
    tokens: int
    exponent: float = 1.0
    richness: float = 1.0

    def __post_init__(self):
        for name in ("heads", "tokens"):
            draws.whole_number(getattr(self, name), name, 1, "nothing would attend")
        if not 0 < self.richness < float("inf"):
            raise ValueError(f"richness must be positive and finite, got {self.richness:g}")

    def logits(self, weights: Weights, inputs: Tensor) -> Float[Tensor, "*batch sample head token"]:
        """A of every sample."""
        return self._logits(weights, self._tokens(weights, inputs))

    def __call__(self, weights: Weights, inputs: Tensor) -> Float[Tensor, "*batch sample 1"]:
        """f of every sample."""
        x = self._tokens(weights, inputs)
        value, output, readout = weights[2:5]
        p = self._logits(weights, x).softmax(-1)
        heard = torch.einsum("...hs,...shn->...hn", p, self._heads(x, value)).flatten(-2)
        signal = heard @ output.mT / heard.shape[-1] ** 0.5
        if len(weights) > 5:
            signal = signal + self._last(x)
        return signal @ readout.mT / (self.richness * readout.shape[-1])

    def _tokens(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Tokens of all samples in one column, (*batch, sample token, entry)."""
        x = inputs.unflatten(-1, (self.tokens, -1)).flatten(-3, -2)
        return x @ weights[5].mT / x.shape[-1] ** 0.5 if len(weights) > 5 else x

    def _last(self, x: Tensor) -> Tensor:
        return x.unflatten(-2, (-1, self.tokens))[..., -1, :]

    def _logits(self, weights: Weights, x: Tensor) -> Tensor:
        last = self._last(x)  # (*batch, sample, entry)
        query = (last @ weights[0].mT / x.shape[-1] ** 0.5).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("...hn,...shn->...hs", query, self._heads(x, weights[1]))
        return scores / query.shape[-1] ** self.exponent

    def _heads(self, x: Tensor, matrix: Tensor) -> Tensor:
        """Keys or values, (*batch, sample, token, head, N)."""
        rows = (x @ matrix.mT / x.shape[-1] ** 0.5).unflatten(-1, (self.heads, -1))
        return rows.unflatten(-3, (-1, self.tokens))


@dataclass(frozen=True)
class Layer:
    """What a layer did in training; members are networks."""

    step: Int[Tensor, " time"]
    loss: Float[Tensor, "member time"]
    logit: Float[Tensor, "member time sample head token"]


@door(origin="experiment")
def train_layer(
    network: Transformer,
    tokens: Float[Tensor, "sample token entry"],
    label: Float[Tensor, " sample"],
    record: Int[Tensor, " time"] | Sequence[int],
    *,
    key_dimension: int,
    step: float,
    seed: int,
    members: int,
    embedded: bool = False,
    one_rate: bool = False,
) -> Layer:
    """Train all weights of ``members`` layers, by descent on half the mean squared error.

    What a layer says before training is added to its labels. ``one_rate`` gives queries and keys
    the rate gamma_0^2 n of all others. Raises ValueError on tokens that the network does not
    expect, FloatingPointError when training diverges.
    """
    samples, count, entries = tokens.shape
    if count != network.tokens:
        raise ValueError(f"tokens must be {network.tokens} a sample, got {count}")
    N = draws.whole_number(key_dimension, "key_dimension", 1, "keys have no entries")
    draws.whole_number(members, "members", 1, "nothing would be trained")
    n = network.heads * N
    shapes = [(n, n if embedded else entries)] * 3 + [(n, n), (1, n)]
    shapes += [(n, entries)] if embedded else []
    weights = [
        draws.normal(seed, f"matrix {k}", members, shape, dtype=tokens.dtype)
        for k, shape in enumerate(shapes)
    ]
    inputs = tokens.flatten(1)
    labels = label[:, None] + network(weights, inputs)
    rate = step * network.richness**2 * n
    rates = [rate * (1 if one_rate else N ** (2 * network.exponent - 2))] * 2
    seen = train(
        weights,
        Samples(inputs.expand(members, *inputs.shape), labels),
        network=network,
        rule=GradientDescent(rates + [rate] * (len(shapes) - 2)),
        record=record,
        observe={
            "loss": State.losses,
            "logit": lambda state: network.logits(state.weights, state.inputs),
        },
    ).require_finite()
    return Layer(whole_steps(record), **seen.observed)
