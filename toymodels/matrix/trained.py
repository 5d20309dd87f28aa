"""Candidates that descend: one loop for all networks, on few samples or on the population."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from toymodels.lattice import LatticeNetwork, counts
from toymodels.matrix.record import Record
from toymodels.matrix.tasks import Task, cube, values
from toymodels.networks import (
    Fresh,
    GradientDescent,
    GradientFlow,
    Perceptron,
    Samples,
    State,
    train,
)
from toymodels.networks.data import Data
from toymodels.networks.network import Network
from toymodels.numerics import draws
from toymodels.tower import network as tower_network
from toymodels.tower import signs
from toymodels.tree import TreeNetwork

Parts = tuple[Network, list[Tensor]]  # a network and its weights, (member, out, in) each
Build = Callable[[Task, int, int, float], Parts]  # task, members, seed, start


@dataclass(frozen=True)
class Descent:
    """A network, where it starts and how long it descends.

    A network of ``features`` reads monomials, any other the signs. On the population a network of
    features sees every monomial alone, which is the average over all inputs; one of signs sees all
    inputs of the cube or, with a ``batch``, new ones in every step.
    """

    build: Build
    start: float | int
    step: float | int
    until: float | int  # time of descent on samples
    long: float | int  # time of descent on the population
    features: bool = True
    batch: int | None = None
    records: int = 100

    def __call__(self, task: Task, samples: int | None, *, seed: int, members: int = 1) -> Record:
        last = (self.long if samples is None else self.until) / self.step
        steps = (last ** torch.linspace(0, 1, self.records).double()).round()
        record = torch.cat([torch.zeros(1), steps]).unique().long()
        return self.at(task, samples, record, seed=seed, members=members)

    def at(
        self, task: Task, samples: int | None, record: Tensor, *, seed: int, members: int
    ) -> Record:
        """The record at the steps ``record``."""
        network, weights, data = self.ready(task, samples, seed=seed, members=members)
        flows, kind = self.features and samples is None, weights[0].dtype
        seen = train(
            weights, data, network=network, record=record, seed=seed,
            rule=(GradientFlow if flows else GradientDescent)(self.step),
            observe=self.look(task, members, kind) | self.losses(data),
        ).require_finite().observed  # fmt: skip
        parts = {k: x.double().unflatten(0, (-1, members)) for k, x in seen.items()}
        return Record(
            record.double() * self.step, parts["coefficient"], parts["error"], parts.get("train")
        )

    def ready(
        self,
        task: Task,
        samples: int | None,
        *,
        seed: int,
        members: int,
        kind: torch.dtype | None = None,
    ) -> tuple[Network, list[Tensor], Data]:
        """The network, its first weights and its data, (problem * member, ...)."""
        exact = self.features and samples is None
        kind = kind or (torch.float64 if exact else torch.float32)
        data = self.data(task, samples, seed, members, kind)
        network, weights = self.build(task, len(task.target) * members, seed, self.start)
        return network, [w.to(task.target.device, kind) for w in weights], data

    def data(
        self, task: Task, samples: int | None, seed: int, members: int, kind: torch.dtype
    ) -> Data:
        """What every member descends on, problem by problem."""
        problems = len(task.target)
        if samples is None and self.batch:
            return Fresh(partial(_fresh, task, members, self.batch))
        if samples is None:
            root = len(task.features) ** 0.5  # each monomial alone: the mean square is the error
            x = root * torch.eye(len(task.features)).to(task.target) if self.features else None
            x = cube(task.dimension, task.target.device) if x is None else x
            y = task.target @ (x if self.features else values(x, task.features)).mT
            x, y = x.expand(members, *x.shape), y[:, None].expand(problems, members, y.shape[-1])
        else:
            x, y = task.draw(samples, seed=seed, members=members)
            x = values(x, task.features) if self.features else x
        x = x.to(kind)[None].expand(problems, *x.shape).flatten(0, 1)
        return Samples(x, y.to(kind).flatten(0, 1)[..., None])

    def look(self, task: Task, members: int, kind: torch.dtype) -> dict:
        """Coefficients and errors on fresh inputs, both exact."""
        target = task.target.to(kind)
        if self.features:
            eye = torch.eye(len(task.features)).to(target)
            return {
                "coefficient": lambda s: s.network(s.weights, eye)[..., 0],
                "error": lambda s: (
                    s.network(s.weights, eye)[..., 0] - target[s.members // members]
                ).square().sum(-1),
            }  # fmt: skip
        points = cube(task.dimension, target.device).to(kind)
        chi = values(points, task.features)
        clean = target @ chi.mT
        return {
            "coefficient": lambda s: s.network(s.weights, points)[..., 0] @ chi / len(chi),
            "error": lambda s: (
                s.network(s.weights, points)[..., 0] - clean[s.members // members]
            ).square().mean(-1),
        }  # fmt: skip

    def losses(self, data: Data) -> dict:
        return {} if data.watched is None else {"train": lambda s: 2 * State.losses(s)}


def _fresh(task: Task, members: int, batch: int, stream: draws.Stream, step) -> tuple:
    x = signs(stream, step, (batch, task.dimension), torch.float32)
    which = torch.arange(stream.members, device=stream.device) + stream.first
    which = which // members
    return x, task.clean(x, which)[..., None]


def grown_from(parent: Callable[[Task], Sequence[int]]) -> Build:
    """Networks of a tree, all edges at the start and all readouts 0."""

    def build(task: Task, members: int, seed: int, start: float) -> Parts:
        edge = torch.full((members, 1, len(task.features)), start, dtype=torch.float64)
        return TreeNetwork(tuple(parent(task))), [torch.zeros_like(edge), edge]

    return build


def side_by_side(task: Task) -> list[int]:
    """The tree of height one: a diagonal network."""
    return [-1] * len(task.features)


def one_order(task: Task) -> list[int]:
    """The tree on which a monomial grows from the one that lacks its last coordinate."""
    place = {s: k for k, s in enumerate(task.features)}
    return [place.get(s[:-1], -1) for s in task.features]


def all_orders(task: Task, members: int, seed: int, start: float) -> Parts:
    """The lattice, all edges at the start and all readouts 0."""
    nodes, edges = counts(task.dimension, task.degree)
    readout = torch.zeros(members, 1, nodes, dtype=torch.float64)
    edge = torch.full((members, 1, edges), start, dtype=torch.float64)
    return LatticeNetwork(task.dimension, task.degree), [readout, edge]


@dataclass(frozen=True)
class Pathways:
    """Gates fixed by hand, a pathway of its own for each monomial, with as many weights as the
    monomial has coordinates. They start equal and stay so: the edge is their common value times
    the root of their number, for then it moves as they do."""

    degree: tuple[int, ...]

    def __call__(self, weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        readout, edge = weights
        m = torch.tensor(self.degree).to(edge)
        return inputs @ (readout * (edge / m.sqrt()) ** m).mT


def pathways(task: Task, members: int, seed: int, start: float) -> Parts:
    """A gated deep linear network whose pathways share nothing."""
    edge = (start * task.sizes.double().sqrt()).expand(members, 1, -1)
    return Pathways(tuple(map(len, task.features))), [torch.zeros_like(edge), edge]


def towers(task: Task, members: int, seed: int, start: float) -> Parts:
    """A tower of as many levels as the dictionary has degrees, in random directions."""
    shape = (task.degree, task.dimension)
    w = draws.normal(seed, "features", members, shape, dtype=torch.float32)
    readout = torch.full((members, 1, task.degree), start)
    return tower_network(range(-1, task.degree - 1)), [
        start * w / w.norm(dim=-1, keepdim=True),
        readout,
    ]


def layers(hidden: Sequence[int], activation: Callable | None) -> Build:
    """Fully connected networks; ReLU with biases start as PyTorch's layers do, evenly within
    1 / sqrt(inputs), times the start; linear ones have no biases."""

    def build(task: Task, members: int, seed: int, start: float) -> Parts:
        widths = [task.dimension, *hidden, 1]

        def drawn(name: str, rows: int, columns: int, reach: int) -> Tensor:
            share = draws.uniform(seed, name, members, (rows, columns), dtype=torch.float32)
            return start * (2 * share - 1) / reach**0.5

        pairs = list(enumerate(zip(widths[1:], widths[:-1], strict=True)))
        weights = [drawn(f"layer {k}", out, into, into) for k, (out, into) in pairs]
        if activation is None:
            return Perceptron(), weights
        biases = [drawn(f"bias {k}", 1, out, into) for k, (out, into) in pairs]
        return Perceptron(activation, biases=True), weights + biases

    return build
