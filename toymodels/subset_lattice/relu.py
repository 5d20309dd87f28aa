"""ReLU networks of one hidden layer on sparse polynomials of signs, trained on fresh inputs.

    W, b     weights and biases of the hidden units;  v, v_0  of the output
    f        v . relu(W x + b) + v_0, from uniform weights up to 1 / sqrt(fan-in), the usual start
    c_S      coefficient of the monomial chi_S in f, its average with chi_S
    Theta_S  squared gradient of c_S with respect to all weights: under the tangent kernel alone,
             the residual of chi_S would fall at this rate

The target is a polynomial of the first ``SEEN`` coordinates. Coefficients are averages over all
signs of these and over random signs of the others. Nothing here knows a lattice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.networks.data import Fresh, Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Perceptron
from toymodels.networks.rules import GradientDescent
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.subset_lattice.sets import Set, monomials, polynomial, subsets
from toymodels.tower import signs

SEEN, DEGREE = 6, 3
FIRST, SECOND = (1, 2, 3), (4, 5, 6)  # the cubic terms
RUNGS = tuple(S for k in (1, 2) for S in combinations(FIRST, k))
NETWORK = Perceptron(torch.relu, biases=True)
# what is learned beside x_1 x_2 x_3, all of strength one
CONTEXTS: Mapping[str, tuple[Set, ...]] = {
    "nothing": (),
    "4, 5, 45": ((4,), (5,), (4, 5)),
    "1": ((1,),),
    "1, 2": ((1,), (2,)),
    "1, 2, 3": ((1,), (2,), (3,)),
    "12": ((1, 2),),
    "1, 12": ((1,), (1, 2)),
    "1, 2, 12": ((1,), (2,), (1, 2)),
    "1, 23": ((1,), (2, 3)),
    "12, 13": ((1, 2), (1, 3)),
    "12, 13, 23": ((1, 2), (1, 3), (2, 3)),
    "all six": RUNGS,
}


@door
@dataclass(frozen=True)
class Lesson:
    """How networks are trained and looked at. Raises ValueError on numbers that are too small."""

    dimension: int = 16
    width: int = 256
    rate: float = 0.03
    batch_size: int = 256
    completions: int = 64  # of the coordinates that the target does not see, in every average

    def __post_init__(self):
        draws.whole_number(self.dimension, "dimension", SEEN, "the target sees so many")
        for name in ("width", "batch_size", "completions"):
            draws.whole_number(getattr(self, name), name, 1, "nothing would be trained")

    def probe(self) -> tuple[Tensor, Tensor]:
        """Inputs on which coefficients are read off, and the monomials of the seen coordinates."""
        seen = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * SEEN)
        shape = (self.completions, len(seen), self.dimension - SEEN)
        rest = 2.0 * draws.integers(0, "completions", 1, shape, high=2)[0] - 1
        both = torch.cat([seen.expand(self.completions, -1, -1), rest], -1)
        inputs = both.reshape(-1, self.dimension).float()
        return inputs, monomials(inputs[:, :SEEN], DEGREE)


@dataclass(frozen=True)
class Lessons:
    """What networks learned: coefficients of all monomials of the seen coordinates, and Theta."""

    step: Int[Tensor, " time"]
    coefficient: Float[Tensor, "problem member time node"]
    tangent: Float[Tensor, "problem member time"] | None  # of FIRST


@door
def context(name: str, *, alone: bool = False) -> Float[Tensor, " node"]:
    """x_1 x_2 x_3 and what is learned beside it; only the latter if ``alone``.

    Raises ValueError on a name that is not in ``CONTEXTS``.
    """
    if name not in CONTEXTS:
        raise ValueError(f"name must be one of {list(CONTEXTS)}, got {name!r}")
    terms = dict.fromkeys((*CONTEXTS[name], *(() if alone else (FIRST,))), 1.0)
    return polynomial(terms, SEEN, DEGREE)


@door
def cubic_pairs(*, seed: int, members: int) -> Float[Tensor, "member node"]:
    """Random targets: x_1 x_2 x_3 and x_4 x_5 x_6, each with none to three random rungs.

    A rung is one of the six smaller sets inside a cubic term, a different one each time. All
    strengths are uniform from 1/2 to 3/2, with random signs.
    """
    place = {S: k for k, S in enumerate(subsets(SEEN, DEGREE))}
    strength = _strengths(seed, members, len(place))
    many = draws.integers(seed, "rungs", members, (2,), high=4)
    order = draws.uniform(seed, "which rungs", members, (2, len(RUNGS))).argsort(-1)
    there = torch.zeros(members, len(place), dtype=torch.bool)
    for half, cubic in enumerate((FIRST, SECOND)):
        moved = [place[tuple(i + 3 * half for i in S)] for S in RUNGS]
        there[:, moved] = order[:, half].argsort(-1) < many[:, half, None]
        there[:, place[cubic]] = True
    return torch.where(there, strength, 0.0)


@door
def sparse(*, seed: int, members: int, terms: int = 4) -> Float[Tensor, "member node"]:
    """Random targets of ``terms`` different sets of one to three of the seen coordinates.

    Every degree is as likely as the others; strengths as in ``cubic_pairs``. Raises ValueError on
    more terms than coordinates: of one degree there are no more.
    """
    draws.whole_number(terms, "terms", 1, "there is nothing to learn")
    if terms > SEEN:
        raise ValueError(
            f"terms must be at most {SEEN}, got {terms}: there are no more of degree 1"
        )
    nodes = subsets(SEEN, DEGREE)
    size = torch.tensor([len(S) for S in nodes])
    strength = _strengths(seed, members, len(nodes))
    degree = 1 + draws.integers(seed, "degrees", members, (terms,), high=DEGREE)
    luck = draws.uniform(seed, "which sets", members, (len(nodes),))
    place = torch.where(size == degree[..., None], luck[:, None], torch.inf).argsort(-1)
    # the k-th term of a degree is the k-th luckiest set of that degree
    turn = (degree[:, :, None] == degree[:, None]).tril(-1).sum(-1, keepdim=True)
    there = torch.zeros(members, len(nodes), dtype=torch.bool)
    return torch.where(there.scatter(-1, place.gather(-1, turn)[..., 0], True), strength, 0.0)


@door(origin="experiment")
def learn(
    target: Float[Tensor, "problem node"],
    steps: int,
    *,
    seed: int,
    members: int,
    every: int,
    tangent: bool = False,
    lesson: Lesson | None = None,
) -> Lessons:
    """Train ``members`` networks on every target, looked at ``every`` so many steps.

    Networks of all problems start from weights of their own and see inputs of their own. Gradients
    are those of half the mean squared error on each fresh batch. With ``tangent`` the gradient of
    c for x_1 x_2 x_3 is measured too. Raises ValueError on a target that is not on the seen
    coordinates, FloatingPointError on divergence.
    """
    lesson = Lesson() if lesson is None else lesson
    draws.whole_number(steps, "steps", 1, "nothing would be learned")
    draws.whole_number(every, "every", 1, "looks are steps apart")
    nodes = subsets(SEEN, DEGREE)
    if target.shape[-1] != len(nodes):
        raise ValueError(f"target must have {len(nodes)} entries, got {target.shape[-1]}")
    inputs, chi = lesson.probe()
    used = (target != 0).any(0).nonzero()[:, 0]
    columns = [torch.tensor(nodes[k]) - 1 for k in used.tolist()]
    beta = target[:, used].float().repeat_interleave(members, 0)

    def fresh(stream: draws.Stream, step: int | Tensor) -> tuple[Tensor, Tensor]:
        x = signs(stream, step, (lesson.batch_size, lesson.dimension), torch.float32)
        terms = torch.stack([x[..., column].prod(-1) for column in columns], -1)
        mine = beta[stream.first : stream.first + stream.members]
        return x, (terms @ mine[..., None])

    observe: dict[str, Callable[[State], Tensor]] = {
        "coefficient": lambda s: (s.outputs().mT @ chi)[..., 0, :] / len(chi)
    }
    if tangent:
        column = chi[:, nodes.index(FIRST), None]
        observe["tangent"] = lambda s: squared_gradient(s.weights, inputs, column)
    seen = train(
        start(lesson, seed=seed, members=len(beta)),
        Fresh(fresh, Samples(inputs, chi[:, :1])),
        network=NETWORK,
        rule=GradientDescent(lesson.rate),
        record=torch.arange(0, steps + 1, every),
        observe=observe,
        seed=seed,
    ).require_finite()
    found = {k: x.reshape(len(target), members, *x.shape[1:]) for k, x in seen.observed.items()}
    return Lessons(seen.step, found["coefficient"], found.get("tangent"))


def start(lesson: Lesson, *, seed: int, members: int) -> list[Tensor]:
    """Uniform weights and biases up to 1 / sqrt(fan-in)."""
    d, width = lesson.dimension, lesson.width
    shapes = {"W": (width, d, d), "v": (1, width, width), "b": (1, width, d), "v_0": (1, 1, width)}
    return [
        (2 * draws.uniform(seed, name, members, (rows, columns)) - 1).float() / fan_in**0.5
        for name, (rows, columns, fan_in) in shapes.items()
    ]


def squared_gradient(weights: list[Tensor], inputs: Tensor, column: Tensor) -> Tensor:
    """Theta of the monomial whose values on the inputs are ``column``, (member,)."""
    with torch.enable_grad():
        leaves = [w.detach().requires_grad_(True) for w in weights]
        c = (NETWORK(leaves, inputs) * column).mean((-2, -1))
        grads = torch.autograd.grad(c.sum(), leaves)
    return sum(g.square().sum((-2, -1)) for g in grads)


def _strengths(seed: int, members: int, nodes: int) -> Tensor:
    size = 0.5 + draws.uniform(seed, "strengths", members, (nodes,))
    return size * (2.0 * draws.integers(seed, "signs", members, (nodes,), high=2) - 1)
