"""The lattice of subsets: every order of building a monomial is a path, and the data choose.

A node is a set S of coordinates and stands for the monomial chi_S of the signs in it. It is reached
from every set that lacks one of its elements, by an edge of its own. Chapter:
``chapters/lattice.md``.

    chi_S   product of the signs x_i over i in S, orthonormal over the cube
    f       sum over 1 <= |S| <= D of c_S chi_S
    u_e     weight of the edge e, which leads from S to S + i
    P_S     sum over i in S of u_{S-i -> S} P_{S-i}, with P = 1 for the empty set, the root
    a_S     readout of node S
    c_S     coefficient, a_S P_S; the target's is beta_S
    B_S     a_S r_S + sum over i of u_{S -> S+i} B_{S+i}, what comes back, r_S = beta_S - c_S
    q_S     sum of the incoming u^2 - a_S^2 - sum of the outgoing u^2: conserved
    t       gradient-flow time, in units of 1 / learning rate

The loss is half the mean squared error, (1/2) sum of (beta_S - c_S)^2 on infinitely many samples.
The order of nodes and edges is that of ``subset_lattice.sets``.

Source: derived in the chapter. It is a gated deep linear network (Saxe, Sodhani & Lewallen 2022,
arXiv:2207.10430) with the gates x_i; of height one it is a diagonal network. Targets that are
learned along chains: Abbe et al. (2021), arXiv:2108.10573.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.rules import GradientDescent, Rule
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.subset_lattice.sets import (
    Levels,
    by_level,
    by_size,
    check_finite,
    check_size,
    counts,
    edges,
    handed_back,
    inclusion,
    inputs,
    levels,
    monomials,
    of_children,
    of_parents,
    subsets,
    upwards,
)

STRETCH = 64  # records of a stretch of time, each stretch twice as long as all before it
STRETCHES = 60
PATIENCE = 500  # times of learning, after which a wait is stiff
ROUNDS = 20_000  # of the plateau, which halves its error in a few


@door
@dataclass(frozen=True)
class Lattice:
    """A target and a start on the sets of up to ``degree`` of ``dimension`` coordinates.

    Leading axes are independent problems. Raises ValueError on a degree that is not from 1 to the
    dimension, on shapes that do not fit and on numbers that are not finite.
    """

    dimension: int  # d
    degree: int  # D
    target: Float[Tensor, "... node"]  # beta
    readout: Float[Tensor, "... node"]  # a at time 0
    edge: Float[Tensor, "... edge"]  # u at time 0

    def __post_init__(self):
        nodes, edges = counts(self.dimension, self.degree)
        for name, size in (("target", nodes), ("readout", nodes), ("edge", edges)):
            check_size(name, getattr(self, name), size, self.dimension, self.degree)
            check_finite(name, getattr(self, name))
        _together(self)


@dataclass(frozen=True)
class Growth:
    """What has grown where. Theory and experiment both return this."""

    time: Float[Tensor, " time"]
    coefficient: Float[Tensor, "*batch time node"]  # c
    readout: Float[Tensor, "*batch time node"]  # a
    edge: Float[Tensor, "*batch time edge"]  # u
    loss: Float[Tensor, "*batch time"]  # on fresh inputs, without label noise
    train_loss: Float[Tensor, "*batch time"] | None = None  # experiment: on the training set


@dataclass(frozen=True)
class LatticeNetwork:
    """The network itself: monomials of any inputs (sample, node) -> outputs (sample, 1).

    Its weights are the readouts (*batch, 1, node) and the edges (*batch, 1, edge).
    """

    dimension: int
    degree: int

    def __call__(
        self, weights: Sequence[Tensor], inputs: Float[Tensor, "*inputs sample node"]
    ) -> Float[Tensor, "*batch sample 1"]:
        readout, edge = weights
        return inputs @ (readout * products(edge, self.dimension, self.degree)).mT


@door
def asleep(
    target: Float[Tensor, "... node"],
    dimension: int,
    degree: int,
    *,
    start: float | Float[Tensor, "..."],
) -> Lattice:
    """All readouts 0 and all edges ``start``: no order of building is preferred."""
    _, edges = counts(dimension, degree)
    size = torch.as_tensor(start, dtype=target.dtype, device=target.device)[..., None]
    shape = torch.broadcast_shapes(size.shape[:-1], target.shape[:-1])
    return Lattice(dimension, degree, target, torch.zeros_like(target), size.expand(*shape, edges))


@door
def products(
    edge: Float[Tensor, "*batch edge"], dimension: int, degree: int
) -> Float[Tensor, "*batch node"]:
    """P_S, the sum over all orders of building S of the product of the edges on the way."""
    check_size("edge", edge, counts(dimension, degree)[1], dimension, degree)
    whole = levels(dimension, degree, edge.device)
    return torch.cat(upwards(whole, by_level(whole, edge))[1:], -1)


@door
def shares(
    edge: Float[Tensor, "*batch edge"], subset: tuple[int, ...], dimension: int, degree: int
) -> Float[Tensor, "*batch order"]:
    """Which part of P_S each order of building ``subset`` contributes, |S|! parts that add up to 1.

    Where products differ in sign it is the part of the sum of their sizes. Orders come as
    ``itertools.permutations`` gives them. Raises ValueError on a ``subset`` that is no node.
    """
    check_size("edge", edge, counts(dimension, degree)[1], dimension, degree)
    if subset not in subsets(dimension, degree):
        raise ValueError(f"subset must be a node of the lattice, got {subset}")
    number = edges(dimension, degree)
    orders = [
        [number[tuple(sorted(order[:k])), order[k - 1]] for k in range(1, len(order) + 1)]
        for order in permutations(subset)
    ]
    path = edge[..., torch.tensor(orders, device=edge.device)].prod(-1).abs()
    return path / path.sum(-1, keepdim=True)


@door
def invariant(
    readout: Float[Tensor, "*batch node"],
    edge: Float[Tensor, "*batch edge"],
    dimension: int,
    degree: int,
) -> Float[Tensor, "*batch node"]:
    """q_S = incoming u^2 - a_S^2 - outgoing u^2: conserved for any loss and any data."""
    sizes = counts(dimension, degree)
    for name, value, size in zip(("readout", "edge"), (readout, edge), sizes, strict=True):
        check_size(name, value, size, dimension, degree)
    whole = levels(dimension, degree, edge.device)
    current = by_level(whole, edge.square())
    kept = [incoming.sum(-1) for incoming in current]
    for k, parents in enumerate(whole[1:]):
        kept[k] = handed_back(kept[k], -current[k + 1], parents)
    return torch.cat(kept, -1) - readout.square()


@door(origin="theory")
def theory(
    model: Lattice, time: Float[Tensor, " time"], *, rtol: float = 1e-11, stiff: bool = False
) -> Growth:
    """Gradient flow on infinitely many samples, of all readouts and edges as one system.

    da_S/dt = r_S P_S and du_{S -> T}/dt = B_T P_S. Nodes from which no target and no readout can be
    reached stay as they are and cost nothing, so the dimension drops out. Weights are good to about
    ``rtol`` however small they start. ``stiff`` turns to implicit steps: for waits of many hundred
    times the time of learning. Raises ValueError on unsorted or negative times.
    """
    check_time(time)
    beta, a, u = (x.double() for x in _together(model))
    part = _alive(model.dimension, model.degree, beta, a)
    path = [x[..., None, :].repeat(*[1] * (x.ndim - 1), len(time), 1) for x in (a, u)]
    if bool(part.nodes.any()):  # else nothing moves
        start = torch.cat([a[..., part.nodes], u[..., part.edges]], -1)
        found = _path(part, beta[..., part.nodes], start, time.double(), rtol, stiff)
        path[0][..., part.nodes], path[1][..., part.edges] = part.split(found)
    return _growth(model, time, *(x.to(model.target) for x in path))


@door(origin="experiment")
def experiment(
    model: Lattice,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    step: float,
    samples: int | None = None,
    members: int = 1,
    noise: float = 0.0,
    rule: Callable[[float], Rule] = GradientDescent,
) -> Growth:
    """Train ``members`` lattices, each on ``samples`` inputs of its own: (*batch, member, time, .).

    On ``training_sets``, by autograd; nothing of ``theory`` is used. Agrees with it on the whole
    cube to O(``step``), or with ``rule`` = GradientFlow to O(step^4). ``time`` is rounded to whole
    steps. Raises ValueError when two times fall on one step, FloatingPointError on divergence.
    """
    clock = ticks(time, step)
    beta, a, u = _together(model)
    data = training_sets(model, seed=seed, samples=samples, members=members, noise=noise)
    batch = (*beta.shape[:-1], members)
    weights = [w[..., None, None, :].expand(*batch, 1, w.shape[-1]) for w in (a, u)]
    seen = train(
        weights,
        data,
        network=LatticeNetwork(model.dimension, model.degree),
        rule=rule(step),
        record=clock.record,
        observe={
            "readout": lambda s: s.weights[0][..., 0, :],
            "edge": lambda s: s.weights[1][..., 0, :],
            "train_loss": State.losses,
        },
    )
    found = seen.require_finite().observed
    return _growth(model, clock.time.to(beta), found["readout"], found["edge"], found["train_loss"])


@door(origin="experiment")
def training_sets(
    model: Lattice, *, seed: int, samples: int | None = None, members: int = 1, noise: float = 0.0
) -> Samples:
    """Monomials (*batch, member, sample, node) and labels of random inputs with fair signs.

    Without ``samples`` every input of the cube once. ``noise`` is the standard deviation of the
    labels' noise. Member i of every problem sees the same inputs. Raises ValueError on negative
    noise and on a cube of more than 16 coordinates.
    """
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise must be finite and not negative, got {noise}")
    draws.whole_number(members, "members", 1, "nothing would be trained")
    beta = _together(model)[0]
    x = inputs(seed, model.dimension, samples, members).to(beta)
    chi = monomials(x, model.degree)
    shaken = draws.normal(seed, f"noise {samples}", members, (chi.shape[-2], 1)).to(beta)
    labels = chi @ beta[..., None, :, None] + noise * shaken
    return Samples(chi.expand(*labels.shape[:-2], *chi.shape[-2:]), labels)


@door(origin="theory")
def half_time(model: Lattice, *, rtol: float = 1e-11) -> Float[Tensor, "*batch node"]:
    """Time at which each coefficient first reaches half its target; infinite for a target of 0.

    Good to about nine digits: it ends on the crossing itself, with the coefficient as the clock
    (Henon 1982). Time is shared by the batch: keep leaps apart from staircases. Raises ValueError
    on coefficients that start beyond half, and RuntimeError on targets that are never reached, as
    behind edges of weight 0.
    """
    beta, a, u = (x.double().reshape(-1, x.shape[-1]) for x in _together(model))
    part = _alive(model.dimension, model.degree, beta, a)
    found, shape = torch.full_like(beta, torch.inf), _together(model)[0].shape
    if not bool((beta != 0).any()):
        return found.reshape(shape).to(model.target)
    beta = beta[:, part.nodes]
    waiting = beta != 0
    state = torch.cat([a[:, part.nodes], u[:, part.edges]], -1)
    wanted, when = beta.where(waiting, 1.0), torch.full_like(beta, torch.inf)
    if bool((waiting & (part.coefficients(state) / wanted >= 0.5)).any()):
        raise ValueError("coefficients must start below half the target: else there is no wait")
    pace = float(wanted.abs().amax())
    clock, span = 0.0, 1 / pace
    for _ in range(STRETCHES):
        if not bool(waiting.any()):
            found[:, part.nodes] = when
            return found.reshape(shape).to(model.target)
        time = torch.linspace(0, span, STRETCH + 1, dtype=torch.float64, device=beta.device)
        path = _path(part, beta, state, time, rtol, clock * pace > PATIENCE)
        half = part.coefficients(path)[:, 1:] / wanted[:, None] >= 0.5
        problem, node = (waiting & half.any(1)).nonzero(as_tuple=True)
        if len(node):
            last = half.int().argmax(1)[problem, node]  # of the records before the crossing
            late = _crossing(part, beta[problem], node, path[problem, last], rtol)
            when[problem, node] = clock + time[last] + late
            waiting[problem, node] = False
        clock, span, state = clock + span, clock + span, path[:, -1]
    raise RuntimeError("half-times were not reached: the start is too far from the target")


@door(origin="theory")
def plateau(
    target: Float[Tensor, "*batch node"], dimension: int, degree: int
) -> Float[Tensor, "*batch node"]:
    """Path products P_S once ``target`` is learned, at the least norm of the weights.

    With p = P^2 and sigma_T the sum of p over learned parents it minimises the sum of
    beta_T^2 / p_T + p_T / sigma_T, by iterating p_T^2 = sigma_T (beta_T^2 + p_T^2 sum over learned
    children of p_C / sigma_C^2), which is Kirchhoff's law. Nodes without a target have P = 0. The
    flow comes here exactly on chains and by symmetry, elsewhere nearly: it remembers. Raises
    ValueError on a target none of whose parents is a target, RuntimeError if it does not settle.
    """
    check_size("target", target, counts(dimension, degree)[0], dimension, degree)
    check_finite("target", target)
    whole, power = levels(dimension, degree, target.device), target.double().square()
    alive = power > 0
    x = torch.zeros_like(power)
    for _ in range(ROUNDS):
        p = torch.where(alive, x.exp(), 0.0)
        sigma = of_parents(whole, p)
        if bool((alive & (sigma == 0)).any()):
            raise ValueError(
                "target must lead up in steps of one element: a leap leaves the least norm open"
            )
        onward = of_children(whole, torch.where(alive, p / sigma.square(), 0.0))
        new = torch.where(alive, (sigma * (power + p.square() * onward)).log() / 2, 0.0)
        moved, x = (new - x).abs().amax(), new
        if moved < 1e-14:
            return torch.where(alive, (x / 2).exp(), 0.0).to(target)
    raise RuntimeError(f"the plateau did not settle within {ROUNDS} rounds")


@door(origin="theory")
def jumps(
    target: Float[Tensor, "*batch node"], dimension: int, degree: int
) -> Float[Tensor, "*batch node"]:
    """Half-times over ln(1/eps), in the limit of a small start of size eps.

    A sleeping node grows at the rate |beta_T| sqrt(sigma_T), so that learned parents add in
    quadrature, and jumps when it has grown by ln(1/eps); then the plateau is another. Infinite for
    nodes without a target, and for those that no chain of targets leads to: there the wait is a
    power of 1/eps.
    """
    check_size("target", target, counts(dimension, degree)[0], dimension, degree)
    check_finite("target", target)
    whole, beta = levels(dimension, degree, target.device), target.double()
    time, height = torch.full_like(beta, torch.inf), torch.zeros_like(beta)
    awake, clock = torch.zeros_like(beta, dtype=torch.bool), torch.zeros_like(beta[..., :1])
    for _ in range(int((beta != 0).sum(-1).max())):
        P = plateau(torch.where(awake, beta, 0.0), dimension, degree)
        rate = torch.where(awake, 0.0, beta.abs() * of_parents(whole, P.square()).sqrt())
        left = torch.where(rate > 0, (1 - height).clamp(min=0) / rate, torch.inf)
        wait, next_up = left.min(-1, keepdim=True)
        goes_on = wait.isfinite()
        wait = torch.where(goes_on, wait, 0.0)
        clock, height = clock + wait, height + rate * wait
        wakes = torch.zeros_like(awake).scatter(-1, next_up, goes_on)
        time, awake = torch.where(wakes, clock, time), awake | wakes
    return time.to(target)


@door(origin="theory")
def leaps(
    target: Float[Tensor, "*batch node"], dimension: int, degree: int
) -> Float[Tensor, "*batch node"]:
    """The least number of elements that each target adds to a set that is learned before it.

    Shorter leaps come first: a leap of l elements waits as eps^-(l-1), or ln(1/eps) for l = 1. Zero
    for nodes without a target. A set counts as learned if it is a target itself.
    """
    check_size("target", target, counts(dimension, degree)[0], dimension, degree)
    inside, size = inclusion(dimension, degree)
    gap = torch.where(inside, size[:, None] - size, torch.inf).to(target.device)  # [T, S]
    left, found = target != 0, torch.zeros_like(target)
    away = torch.where(left, size.to(target), torch.inf)
    for _ in range(int(left.sum(-1).max())):
        leap, here = torch.where(left, away, torch.inf).min(-1, keepdim=True)
        jumped = torch.zeros_like(left).scatter(-1, here, leap.isfinite())
        found, left = torch.where(jumped, leap.to(target), found), left & ~jumped
        away = torch.where(leap.isfinite(), torch.minimum(away, gap.T[here[..., 0]].to(away)), away)
    return found


@dataclass(frozen=True)
class _Part:
    """The nodes that move, with all nodes below them, and the edges into these."""

    levels: Levels
    nodes: Tensor  # flags
    edges: Tensor

    @cached_property
    def sizes(self) -> list[int]:
        """Nodes of every size."""
        return [len(parents) for parents in self.levels]

    def split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Readouts and edges of a state."""
        n = sum(self.sizes)
        return state[..., :n], state[..., n:]

    def coefficients(self, state: Tensor) -> Tensor:
        a, u = self.split(state)
        return a * torch.cat(upwards(self.levels, by_level(self.levels, u))[1:], -1)

    def flow(self, beta: Tensor, state: Tensor) -> Tensor:
        """da/dt and du/dt on infinitely many samples."""
        a, u = self.split(state)
        u = by_level(self.levels, u)
        below = upwards(self.levels, u)
        P = torch.cat(below[1:], -1)
        r = beta - a * P
        back, pulls = list((a * r).split(self.sizes, -1)), []
        for k in reversed(range(len(u))):
            pulls.append((back[k][..., None] * below[k][..., self.levels[k]]).flatten(-2))
            if k:
                each = u[k] * back[k][..., None]
                back[k - 1] = handed_back(back[k - 1], each, self.levels[k])
        return torch.cat([r * P, *reversed(pulls)], -1)


def _path(
    part: _Part, beta: Tensor, start: Tensor, time: Tensor, rtol: float, stiff: bool
) -> Tensor:
    """States (*batch, time, state) of the flow."""
    return solve(
        lambda _, state: part.flow(beta, state),
        start,
        time,
        rtol=rtol,
        atol=_negligible(start, len(part.levels)),
        bandwidth=start.shape[-1] - 1 if stiff else None,
    )


def _crossing(part: _Part, beta: Tensor, node: Tensor, start: Tensor, rtol: float) -> Tensor:
    """Time from ``start`` (arrival, state) until the coefficient of ``node`` is half its target."""
    row = torch.arange(len(node))
    missing = beta[row, node] / 2 - part.coefficients(start)[row, node]

    def rate(_: Tensor, y: Tensor) -> Tensor:
        state = y[:, :-1]
        flow = part.flow(beta, state)
        _, speed = torch.func.jvp(part.coefficients, (state,), (flow,))
        both = torch.cat([flow, torch.ones_like(y[:, :1])], -1)
        return both * (missing / speed[row, node])[:, None]

    # the clock starts at 1, for the integrator compares steps with what is there
    start = torch.cat([start, torch.ones_like(start[:, :1])], -1)
    smallest = _negligible(start, len(part.levels))
    return solve(rate, start, torch.ones(1).to(start), rtol=rtol, atol=smallest)[:, 0, -1] - 1


def _alive(dimension: int, degree: int, beta: Tensor, a: Tensor) -> _Part:
    """What can move: nodes from which a target or a readout can be reached, and all on the way."""
    inside, _ = inclusion(dimension, degree)
    goal = ((beta != 0) | (a != 0)).reshape(-1, beta.shape[-1]).any(0).cpu()
    nodes = inside[goal].any(0)
    ways, part, before = [], [], torch.zeros(1, dtype=torch.int64, device="cpu")
    whole = levels(dimension, degree, before.device)
    sizes = [len(level) for level in by_size(dimension, degree)]
    for parents, kept in zip(whole, nodes.split(sizes), strict=True):
        ways.append(kept.repeat_interleave(parents.shape[1]))
        if bool(kept.any()):
            part.append(before[parents[kept]])
            before = kept.cumsum(0) - 1
    there = beta.device
    return _Part(tuple(x.to(there) for x in part), nodes.to(there), torch.cat(ways).to(there))


def _growth(model: Lattice, time: Tensor, a: Tensor, u: Tensor, train_loss=None) -> Growth:
    beta = _together(model)[0][..., None, :]
    beta = beta if train_loss is None else beta[..., None, :, :]  # the members of an experiment
    c = a * products(u, model.dimension, model.degree)
    return Growth(time, c, a, u, 0.5 * (beta - c).square().sum(-1), train_loss)


def _together(model: Lattice) -> list[Tensor]:
    """Target, readout and edge, with all axes of the batch."""
    given = [model.target, model.readout, model.edge]
    try:
        batch = torch.broadcast_shapes(*(x.shape[:-1] for x in given))
    except RuntimeError:
        shapes = [tuple(value.shape) for value in given]
        raise ValueError(f"target, readout and edge must fit each other, got {shapes}") from None
    return [x.expand(*batch, x.shape[-1]) for x in given]


def _negligible(start: Tensor, degree: int) -> float:
    """An absolute tolerance that no weight feels: a readout begins with the product of a path."""
    size = start.abs()
    smallest = min(float(torch.where(size == 0, torch.inf, size).min()), 1.0)
    return max(1e-12 * smallest**degree, 1e-140)
