"""Attention heads as particles: one common path, or a distribution that never closes up.

H heads attend to the same S tokens. Head h has a query q and keys k_s of N entries, its logits are
A_s = q.k_s / N^alpha, and the output is f = (1/H) sum_h sum_s softmax(A_h)_s v_s with fixed values
v. Half the square of the error Delta = y - f is descended at the rate H N^(2 alpha - 1). Of a head
only overlaps matter, Q = |q|^2 / N and M_st = k_s.k_t / N:

    dA/dt = Delta (M + Q) J,  J_s = p_s (v_s - p.v),  p = softmax(A)
    dQ/dt = 2 eps Delta J.A,  dM/dt = eps Delta (J A^T + A J^T),  eps = N^(2 alpha - 2)

Heads meet in Delta alone. At alpha > 1/2 and N = infinity all of them start alike and stay alike.
At alpha = 1/2 logits start normal, and the heads keep a distribution. Q - tr M is conserved.

This reduction, with its closed equations, is of this book. That its limits are those of networks
which train everything is measured on the transformer of ``attention_layers``. Chapter:
``chapters/attention_heads.md``.

Source: limits and rates, Bordelon, Chaudhry & Pehlevan (2024), arXiv:2405.15712.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import gammaincinv, ndtri
from scipy.stats import qmc
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import train
from toymodels.networks.network import Weights, checked_weights
from toymodels.networks.rules import GradientFlow, Rule
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.numerics.quantity import per_problem, require

inf = math.inf


@door
@dataclass(frozen=True)
class Heads:
    """Values of the tokens, the label, and how large what is; leading axes are problems.

    Raises ValueError on fewer than two tokens, numbers that are not finite, an exponent outside
    1/2 ... 1 and counts that are not whole numbers of at least 1 or infinite.
    """

    value: Float[Tensor, "*#batch token"]  # v
    label: float | Float[Tensor, "*#batch"]  # y
    exponent: float = 1.0  # alpha
    key_dimension: float = inf  # N
    heads: float = inf  # H

    def __post_init__(self):
        require("value", self.value, self.value.isfinite(), "finite", "it is what a token says")
        if self.tokens < 2:
            raise ValueError("value must have at least 2 tokens, got 1: there is no choice")
        label = torch.as_tensor(self.label)
        require("label", label, label.isfinite(), "finite", "it is to be learned")
        if not 0.5 <= self.exponent <= 1:
            raise ValueError(
                f"exponent must be from 1/2 to 1, got {self.exponent:g}: below, logits start "
                "infinite; above, they cannot move"
            )
        for name in ("key_dimension", "heads"):
            count = getattr(self, name)
            if count != inf and (count < 1 or count != int(count)):
                raise ValueError(f"{name} must be a whole number or infinite, got {count:g}")

    @property
    def tokens(self) -> int:
        """S."""
        return self.value.shape[-1]

    @property
    def batch(self) -> torch.Size:
        """The leading axes of values and labels together."""
        return torch.broadcast_shapes(self.value.shape[:-1], torch.as_tensor(self.label).shape)

    @property
    def coupling(self) -> float:
        """eps = N^(2 alpha - 2), by which queries and keys move."""
        if self.exponent == 1:
            return 1.0
        return 0.0 if self.key_dimension == inf else self.key_dimension ** (2 * self.exponent - 2)

    @property
    def rate(self) -> float:
        """H N^(2 alpha - 1), at which a head moves by order one in a time of order one."""
        return self.heads * self.key_dimension ** (2 * self.exponent - 1)


@dataclass(frozen=True)
class Overlaps:
    """What decides the path of a head."""

    logit: Float[Tensor, "*batch head token"]  # A
    query: Float[Tensor, "*batch head"]  # Q
    key: Float[Tensor, "*batch head token token"]  # M


@dataclass(frozen=True)
class Attention:
    """How heads attended when. An experiment has one more axis before the time: its members."""

    time: Float[Tensor, " time"]
    prediction: Float[Tensor, "*batch time"]  # f
    logit: Float[Tensor, "*batch time head token"]  # A

    @property
    def weight(self) -> Float[Tensor, "*batch time head token"]:
        """p = softmax(A), of every head."""
        return self.logit.softmax(-1)


@dataclass(frozen=True)
class Reader:
    """The network: weights are queries (*batch, head, N) and keys (*batch, head token, N).

    Keys of one head follow each other. Inputs are the values of the tokens.
    """

    exponent: float

    def logits(self, weights: Weights) -> Float[Tensor, "*batch head token"]:
        """A = q.k / N^alpha."""
        query, key = weights
        heads, size = query.shape[-2:]
        key = key.unflatten(-2, (heads, -1))  # (*batch, head, token, N)
        return (key @ query[..., None])[..., 0] / size**self.exponent

    def __call__(self, weights: Weights, inputs: Tensor) -> Float[Tensor, "*batch sample 1"]:
        """f, the mean over heads."""
        mean = self.logits(weights).softmax(-1).mean(-2)  # (*batch, token)
        return inputs @ mean[..., None]


@door(origin="theory")
def theory(
    model: Heads,
    time: Float[Tensor, " time"],
    *,
    start: Overlaps | None = None,
    points: int = 4096,
) -> Attention:
    """Every head under exact gradient flow.

    Infinitely many heads are those of ``law`` at ``points``, each of which counts the same; where
    all are alike there is one. Finitely many need their ``start``: see ``overlaps``, whose leading
    axes join those of the model. Computed in float64. Raises ValueError on unsorted or negative
    times and on a finite number of heads without a start.
    """
    check_time(time)
    if start is None and model.heads != inf:
        raise ValueError(
            f"start must be given for {model.heads:g} heads, got None: which ones were drawn?"
        )
    begin = law(model, points=points) if start is None else start
    batch = torch.broadcast_shapes(model.batch, begin.logit.shape[:-2])
    v = model.value.double()[..., None, :]  # (*batch, 1, token)
    y = per_problem("label", model.label, model.batch, model.value).double()
    S, count, eps = model.tokens, begin.logit.shape[-2], model.coupling
    parts = begin.logit, begin.query[..., None], begin.key.flatten(-2)
    A, Q, M = (part.double().expand(*batch, *part.shape[-2:]) for part in parts)

    def rate(_, state: Tensor) -> Tensor:
        z = state.unflatten(-1, (count, -1))  # (*batch, head, state of a head)
        if eps:
            A, Q, M = z.split([S, 1, S * S], -1)
        else:
            A, Q, M = z, *frozen
        p = A.softmax(-1)
        heard = (p * v).sum(-1, keepdim=True)
        J = p * (v - heard)
        delta = (y - heard[..., 0].mean(-1))[..., None, None]
        move = (M.unflatten(-1, (S, S)) @ J[..., None])[..., 0] + Q * J
        if eps:
            turn = J[..., :, None] * A[..., None, :]
            rest = 2 * (J * A).sum(-1, keepdim=True), (turn + turn.mT).flatten(-2)
            move = torch.cat([move, *(eps * part for part in rest)], -1)
        return (delta * move).flatten(-2)

    frozen = Q, M
    begin = torch.cat([A, Q, M], -1) if eps else A
    path = solve(rate, begin.flatten(-2), time.double())
    logit = path.unflatten(-1, (count, -1))[..., :S]  # (*batch, time, head, token)
    heard = (logit.softmax(-1) * v[..., None, :, :]).sum(-1).mean(-1)
    return Attention(time, heard.to(model.value), logit.to(model.value))


@door(origin="theory")
def law(model: Heads, *, points: int = 4096) -> Overlaps:
    """How heads start: ``points`` of equal weight, spread evenly over all that may be drawn.

    One head if all are alike. ``points`` are rounded up to a power of two. At finite N, relative to
    its query each key has one normal coordinate, and what is left of all keys is a Wishart matrix.
    Raises ValueError where N is finite and not larger than the number of tokens.
    """
    S, N = model.tokens, model.key_dimension
    where = {"dtype": torch.float64, "device": model.value.device}
    eye = torch.eye(S, **where)
    if inf == N and model.exponent > 0.5:
        return Overlaps(torch.zeros(1, S, **where), torch.ones(1, **where), eye[None])
    draws.whole_number(points, "points", 2, "one head is no distribution")
    if inf == N:
        A = torch.as_tensor(ndtri(_evenly(points, S)), **where)
        return Overlaps(A, torch.ones(len(A), **where), eye.expand(len(A), S, S))
    if N <= S:
        raise ValueError(f"key_dimension must be above the {S} tokens, got {N:g}: keys depend")
    even = _evenly(points, S * (S + 3) // 2 + 1)
    freedom = [N, *(N - 1 - s for s in range(S))]  # of the query and of the keys, one by one
    square = [2 * gammaincinv(n / 2, even[:, k]) for k, n in enumerate(freedom)]
    square = torch.as_tensor(np.stack(square, -1), **where)
    normal = torch.as_tensor(ndtri(even[:, S + 1 :]), **where)
    along, below = normal[:, :S], normal[:, S:]
    factor = torch.diag_embed(square[:, 1:].sqrt())
    row, column = torch.tril_indices(S, S, -1, device=normal.device)
    factor[:, row, column] = below
    A = square[:, :1].sqrt() * along / N**model.exponent
    M = (along[:, :, None] * along[:, None] + factor @ factor.mT) / N
    return Overlaps(A, square[:, 0] / N, M)


@door(origin="experiment")
def start(model: Heads, *, seed: int, members: int) -> list[Tensor]:
    """Queries (*batch, member, head, N) and keys (*batch, member, head token, N), normal numbers.

    Raises ValueError unless heads and key dimension are finite.
    """
    draws.whole_number(members, "members", 1, "nothing would be trained")
    for name in ("key_dimension", "heads"):
        if getattr(model, name) == inf:
            raise ValueError(f"{name} must be finite to draw weights, got infinity")
    H, N, batch = int(model.heads), int(model.key_dimension), (*model.batch, members)
    shapes = {"queries": (H, N), "keys": (H * model.tokens, N)}
    where = {"dtype": model.value.dtype, "device": model.value.device}
    return [
        draws.normal(seed, name, math.prod(batch), shape, **where).reshape(*batch, *shape)
        for name, shape in shapes.items()
    ]


@door(origin="experiment")
def overlaps(model: Heads, weights: Weights) -> Overlaps:
    """Of the heads in ``weights``, as ``start`` makes them.

    Raises ValueError on what is not a matrix of queries and one of keys, a key for each token.
    """
    weights = checked_weights(weights)
    shapes = [tuple(w.shape[-2:]) for w in weights]
    (heads, N), *keys = shapes
    if keys != [(heads * model.tokens, N)]:
        raise ValueError(
            f"weights must be queries (head, N) and keys (head * {model.tokens}, N), got {shapes}"
        )
    query, key = weights
    key = key.unflatten(-2, (heads, -1))  # (*batch, head, token, N)
    logit = Reader(model.exponent).logits(weights)
    return Overlaps(logit, query.square().sum(-1) / N, key @ key.mT / N)


@door(origin="experiment")
def experiment(
    model: Heads,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    members: int,
    step: float,
    rule: Callable[[float], Rule] = GradientFlow,
    rate: float | None = None,
) -> Attention:
    """Train queries and keys of ``members`` networks of finite size; they are the last batch axis.

    ``rate`` is that of the model unless given. Agrees with ``theory`` from the same start to
    O(step^4), with another ``rule`` to its order. ``time`` is rounded to whole steps. Raises
    ValueError as ``start`` does, FloatingPointError when training diverges.
    """
    clock = ticks(time, step)
    weights = start(model, seed=seed, members=members)
    batch = (*model.batch, members)
    values = model.value[..., None, None, :].expand(*batch, 1, model.tokens)
    labels = per_problem("label", model.label, model.batch, model.value)
    network = Reader(model.exponent)
    seen = train(
        weights,
        Samples(values, labels[..., None, None, None].expand(*batch, 1, 1)),
        network=network,
        rule=rule(step * (model.rate if rate is None else rate)),
        record=clock.record,
        observe={
            "prediction": lambda state: state.outputs()[:, 0, 0],
            "logit": lambda state: network.logits(state.weights),
        },
    ).require_finite()
    return Attention(clock.time.to(model.value), **seen.observed)


@door
def spread(logit: Float[Tensor, "*batch head token"]) -> Float[Tensor, "*batch"]:
    """Variance of a logit over heads, without bias, then the mean over tokens.

    Raises ValueError on a single head.
    """
    if logit.shape[-2] < 2:
        raise ValueError("logit must have at least 2 heads, got 1: one does not vary")
    return logit.var(-2).mean(-1)


def _evenly(points: int, axes: int) -> np.ndarray:
    """Points of Sobol's sequence in the middle of their cells, (point, axis)."""
    power = (points - 1).bit_length()
    return qmc.Sobol(axes, scramble=False).random_base2(power) + 0.5 / 2**power
