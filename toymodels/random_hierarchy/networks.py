"""Networks on strings of a random hierarchy: as deep as the hierarchy, or with one hidden layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.data import Batches, Samples
from toymodels.networks.ensemble import train
from toymodels.networks.loss import cross_entropy
from toymodels.networks.network import Perceptron
from toymodels.networks.rules import Adam
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.random_hierarchy.grammar import RandomHierarchy, draw_rules, draw_strings
from toymodels.random_hierarchy.text import entropies


@dataclass(frozen=True)
class TreeNetwork:
    """ReLU units on a binary tree: those of a node see the two nodes below it.

    Weights of a level are (out, in) if its nodes share them, or (nodes * out, in).
    """

    def __call__(
        self, weights: Sequence[Tensor], inputs: Float[Tensor, "*inputs sample place"]
    ) -> Float[Tensor, "*batch sample output"]:
        *inner, readout = weights
        signal = inputs
        for level, matrix in enumerate(inner):
            nodes = 2 ** (len(inner) - 1 - level)
            signal = signal.unflatten(-1, (nodes, -1)).transpose(-2, -3)  # (.., node, sample, in)
            own = nodes if matrix.shape[-2] >= nodes * readout.shape[-1] else 1
            matrix = matrix.unflatten(-2, (own, -1))
            signal = torch.relu(signal @ matrix.mT).transpose(-2, -3).flatten(-2)
        return signal @ readout.mT


@dataclass(frozen=True)
class Course:
    """How networks are trained. The best moment of each member is taken, on fresh strings."""

    width: int = 64
    rate: float = 0.01  # of Adam
    batch: int = 256
    steps: int = 400
    looks: int = 20


@door(origin="experiment")
def network_error(
    model: RandomHierarchy,
    samples: int,
    *,
    seed: int,
    members: int,
    deep: bool,
    course: Course | None = None,
    fresh: int = 300,
) -> Float[Tensor, " member"]:
    """Share of fresh strings that networks misread at their best, over a guess's.

    ``deep`` networks have a level for each level of the hierarchy and share weights between the
    places of a level; the others have one hidden layer of four times the width.
    """
    course = Course() if course is None else course
    rules = draw_rules(model, seed=seed, members=members)
    (x, y), (test, wanted) = (
        _coded(model, draw_strings(rules, count, seed=seed + k))
        for k, count in ((1, samples), (2, fresh))
    )
    if deep:
        network, weights = TreeNetwork(), _tree(model, model.labels, course.width, seed, members)
    else:
        network = Perceptron(torch.relu)
        shape = [(4 * course.width, x.shape[-1]), (model.labels, 4 * course.width)]
        weights = _start(shape, seed, members)
    right = wanted.argmax(-1)

    def error(state):
        return (state.outputs(test).argmax(-1) != right).double().mean(-1)

    seen = _trained(weights, network, Samples(x, y), course, seed, {"error": error})
    return seen["error"].amin(-1) / (1 - 1 / model.labels)


@door(origin="experiment")
def network_loss(
    model: RandomHierarchy,
    samples: int,
    *,
    seed: int,
    members: int,
    shared: bool,
    course: Course | None = None,
    fresh: int = 1500,
) -> Float[Tensor, " member"]:
    """Excess loss, in nats over H_L, of tree networks that predict the last symbol, at their best.

    ``shared`` weights between the places of a level, or weights of their own.
    """
    course = Course() if course is None else course
    rules = draw_rules(model, seed=seed, members=members)
    (x, y), (test, wanted) = (
        _masked(model, draw_strings(rules, count, seed=seed + k))
        for k, count in ((1, samples), (2, fresh))
    )
    weights = _tree(model, model.vocabulary, course.width, seed, members, shared=shared)

    def loss(state):
        return cross_entropy(state.outputs(test), wanted).double()

    seen = _trained(weights, TreeNetwork(), Samples(x, y), course, seed, {"loss": loss})
    return seen["loss"].amin(-1) - entropies(model, rules)[:, -1]


def _coded(model: RandomHierarchy, strings) -> tuple[Tensor, Tensor]:
    hot = torch.nn.functional.one_hot
    symbol, label = hot(strings.symbol, model.vocabulary), hot(strings.label, model.labels)
    return symbol.float().flatten(-2), label.float()


def _masked(model: RandomHierarchy, strings) -> tuple[Tensor, Tensor]:
    """All symbols but the last, in whose place are zeros, and the last."""
    hot = torch.nn.functional.one_hot(strings.symbol, model.vocabulary).float()
    last = hot[..., -1, :].clone()
    hot[..., -1, :] = 0
    return hot.flatten(-2), last


def _tree(model, outputs: int, width: int, seed: int, members: int, shared=True) -> list[Tensor]:
    shape = []
    for level in range(model.levels):
        nodes = 1 if shared else 2 ** (model.levels - 1 - level)
        shape.append((nodes * width, 2 * (width if level else model.vocabulary)))
    return _start([*shape, (outputs, width)], seed, members)


def _start(shapes: list[tuple[int, int]], seed: int, members: int) -> list[Tensor]:
    """He's scale, and a tenth of it for the readout: a start that says little."""
    found = [
        (2 / inputs) ** 0.5
        * draws.normal(seed, f"weights {k}", members, (outputs, inputs), dtype=torch.float32)
        for k, (outputs, inputs) in enumerate(shapes)
    ]
    return [*found[:-1], 0.1 * found[-1]]


def _trained(weights, network, data: Samples, course: Course, seed: int, observe) -> dict:
    record = torch.linspace(0, course.steps, course.looks + 1).round().long()
    done = train(
        weights,
        Batches(data, min(course.batch, data.inputs.shape[-2])),
        network=network,
        rule=Adam(course.rate),
        record=record,
        observe=observe,
        loss=cross_entropy,
        seed=seed,
        chunk=len(data.inputs),  # all see their own fresh strings at once
    )
    return done.require_finite().observed
