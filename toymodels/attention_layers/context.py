"""Linear attention that learns to regress in context: saddles that are scalar equations.

A context holds n pairs (x_i, y_i = w.x_i) and a query x with y = w.x; every sequence has a w of its
own, w ~ N(0, 1), and x has independent entries of variances lambda. H heads with a key and a query
of rank one and a value answer

    f = sum_h v_h sum_i y_i (k_h.x_i) (q_h.x) / n = sum_h v_h (k_h.b) (q_h.x)
    b = sum_i y_i x_i / n

The context enters as its state b alone. From a small start the three factors of a head grow along
one axis of x, and its strength c = v k q obeys, with c' = 1 / (lambda (1 + (1 + T / lambda) / n)),
T = sum of all lambda,

    dc/dt = 3 c^(4/3) lambda^2 (1 - c / c')

which is a deep linear network of three layers. Each axis that is learned takes lambda^2 c' / 2 off
the loss.

Source: Zhang, Singh, Latham & Saxe (2025), arXiv:2501.16265, separate keys and queries.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Weights
from toymodels.networks.rules import GradientFlow
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.numerics.quantity import require


@door
@dataclass(frozen=True)
class InContext:
    """Variances of the inputs, length of a context, and the strength with which each axis starts.

    Raises ValueError on variances or a start that are not positive, and on an empty context.
    """

    variance: Float[Tensor, " mode"]  # lambda
    context: int  # n
    start: float = 1e-3  # c(0), product of three equal factors

    def __post_init__(self):
        require("variance", self.variance, self.variance > 0, "positive", "an axis has inputs")
        draws.whole_number(self.context, "context", 1, "there is nothing to learn from")
        if not 0 < self.start < float("inf"):
            raise ValueError(f"start must be positive and finite, got {self.start:g}")

    @property
    def best(self) -> Float[Tensor, " mode"]:
        """c' of every axis."""
        share = self.variance.sum() / self.variance
        return 1 / (self.variance * (1 + (1 + share) / self.context))


@dataclass(frozen=True)
class Regression:
    """What was learned when; an experiment has a first axis of members."""

    time: Float[Tensor, " time"]
    strength: Float[Tensor, "*batch time mode"]  # c, by which the state is read along each axis
    loss: Float[Tensor, "*batch time"]


@door(origin="theory")
def regression(model: InContext, time: Float[Tensor, " time"]) -> Regression:
    """Strengths and loss of aligned heads, one per axis, under exact gradient flow."""
    check_time(time)
    best, rate = model.best.double(), model.variance.double() ** 2

    def grow(_, log: Tensor) -> Tensor:
        return 3 * torch.exp(log / 3) * rate * (1 - torch.exp(log) / best)

    begin = torch.full_like(best, model.start).log()
    c = solve(grow, begin, time.double()).exp()
    gain = rate * (c - c.square() / (2 * best))
    loss = model.variance.double().sum() / 2 - gain.sum(-1)
    return Regression(time, c.to(model.variance), loss.to(model.variance))


@door(origin="theory")
def terraces(model: InContext) -> Float[Tensor, " plateau"]:
    """Losses at the saddles, from nothing learned to all; the largest variances come first."""
    order = model.variance.argsort(descending=True)
    drop = (model.variance.square() * model.best)[order] / 2
    return model.variance.sum() / 2 - torch.cat([torch.zeros_like(drop[:1]), drop.cumsum(0)])


@dataclass(frozen=True)
class Recall:
    """The network: values (1, head), keys and queries (head, mode); inputs are (b, x)."""

    def __call__(self, weights: Weights, inputs: Tensor) -> Tensor:
        value, key, query = weights
        state, asked = inputs.chunk(2, -1)  # (*batch, sample, mode) each
        return ((state @ key.mT) * (asked @ query.mT)) @ value.mT


@door(origin="experiment")
def read_in_context(
    model: InContext,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    members: int,
    sequences: int,
    step: float,
    spread: float | None = None,
) -> Regression:
    """Train linear attention on ``sequences``, other ones for every member.

    One head starts along each axis; with ``spread`` twice as many have random weights of that
    standard deviation. ``strength`` is read off the answer to the state and the query along one
    axis. Raises ValueError on counts below 1 and when two times fall on one step,
    FloatingPointError when training diverges.
    """
    clock = ticks(time, step)
    draws.whole_number(members, "members", 1, "nothing would be trained")
    draws.whole_number(sequences, "sequences", 1, "there would be no loss")
    modes = len(model.variance)
    data = _sequences(model, seed, members, sequences)
    if spread is None:
        eye = (model.start ** (1 / 3)) * torch.eye(modes).to(model.variance)
        weights = [eye.sum(0, keepdim=True), eye, eye]
        weights = [w.expand(members, *w.shape) for w in weights]
    else:
        shapes = {"value": (1, 2 * modes), "key": (2 * modes, modes), "query": (2 * modes, modes)}
        weights = [
            spread * draws.normal(seed, name, members, shape).to(model.variance)
            for name, shape in shapes.items()
        ]
    seen = train(
        weights,
        data,
        network=Recall(),
        rule=GradientFlow(step),
        record=clock.record,
        observe={"loss": State.losses, "strength": _strength},
    ).require_finite()
    return Regression(clock.time.to(model.variance), **seen.observed)


def _strength(state: State) -> Float[Tensor, "member mode"]:
    """Answers to one of the state and one of the query along the same axis."""
    value, key, query = state.weights
    return (value.mT * key * query).sum(-2)


def _sequences(model: InContext, seed: int, members: int, count: int) -> Samples:
    """States, queries and labels of fresh contexts, member by member."""
    modes = len(model.variance)
    scale = model.variance.sqrt()
    x = draws.normal(seed, "inputs", members, (count, model.context + 1, modes)).to(scale) * scale
    w = draws.normal(seed, "tasks", members, (count, modes)).to(scale)
    y = (x * w[:, :, None]).sum(-1)
    state = (y[..., :-1, None] * x[..., :-1, :]).mean(-2)
    return Samples(torch.cat([state, x[..., -1, :]], -1), y[..., -1:])
