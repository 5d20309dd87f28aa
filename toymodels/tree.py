"""A tree of products: deep dynamics, nonlinear functions, and a reason to like hierarchy.

Every node of a tree stands for a function of the data, and its coefficient in the network is a
readout times the product of the weights on the way from the root. Chapter: ``chapters/tree.md``.

    phi_v   feature of node v, orthonormal over the inputs; f = sum_v c_v phi_v
    a_v     readout of node v
    u_e     weight of the edge into node e; node and edge have the same number
    P_v     path product, the product of u_e over the edges from the root to v
    c_v     coefficient, a_v P_v; the target's is beta_v
    q_e     u_e^2 - a_e^2 - sum of u_c^2 over the children c of e: conserved, 0 if balanced
    t       gradient-flow time, in units of 1 / learning rate

The loss is (1/2) sum_v (beta_v - c_v)^2, which is half the mean squared error without label noise.

Source: the open question "a solvable model of deep, nonlinear learning" of learningmechanics.pub.
The model and its formulas are derived in the chapter. A single path is the deep linear network of
Saxe, McClelland & Ganguli (2014), arXiv:1312.6120; a tree of height one is the diagonal network of
Woodworth et al. (2020), arXiv:2002.09277, with one sign; the conserved quantities are those of
Du, Hu & Lee (2018), arXiv:1806.00900, for this network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.integrate import solve_ivp
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.rules import GradientDescent, Rule
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import SHORTEST, solve
from toymodels.numerics.quantity import require

Parents = Sequence[int] | Int[Tensor, " node"]
# stands for an edge weight of exactly 0, so that P / u keeps its limit: floats have no scale
ALMOST_ZERO = 1e-150
STRETCH = np.linspace(0, 10, 101)  # of a problem's own clock, in half_time
STRETCHES = 1000  # after so many something is wrong
ORTHONORMAL = 1e-5  # rounding of single precision that features may show
NEWTON = 100  # iterations; the plateau takes about ten


@door
@dataclass(frozen=True)
class Tree:
    """A tree, a target and a start; leading axes are independent problems on the same tree.

    Raises ValueError on a parent that does not come before its child, on shapes that do not fit
    and on numbers that are not finite.
    """

    parent: Parents  # of every node; -1 hangs on the root, parents come before children
    target: Float[Tensor, "... node"]  # beta
    readout: Float[Tensor, "... node"]  # a at time 0
    edge: Float[Tensor, "... node"]  # u at time 0

    def __post_init__(self):
        _parents(self.parent, self.target)
        for name in ("target", "readout", "edge"):
            _check_finite(name, getattr(self, name))
        _together(self)


@dataclass(frozen=True)
class Growth:
    """What has grown where. Theory and experiment both return this."""

    time: Float[Tensor, " time"]
    coefficient: Float[Tensor, "*batch time node"]  # c, from its start towards the target
    readout: Float[Tensor, "*batch time node"]  # a
    edge: Float[Tensor, "*batch time node"]  # u
    loss: Float[Tensor, "*batch time"]  # on fresh inputs, without label noise
    train_loss: Float[Tensor, "*batch time"] | None = None  # experiment: on the training set


@dataclass(frozen=True)
class TreeNetwork:
    """The network itself: features of any inputs (sample, node) -> outputs (sample, 1).

    Its weights are the readouts and the edges, (*batch, 1, node) each, as ``ensemble`` wants them.
    """

    parent: tuple[int, ...]

    def __call__(
        self, weights: Sequence[Tensor], inputs: Float[Tensor, "*inputs sample node"]
    ) -> Float[Tensor, "*batch sample 1"]:
        readout, edge = weights
        return inputs @ (readout * products(edge, self.parent)).mT


@door
def chain(levels: int) -> tuple[int, ...]:
    """Parents of a single path."""
    _check_counts(levels=levels)
    return tuple(range(-1, levels - 1))


@door
def regular(branching: int, depth: int) -> tuple[int, ...]:
    """Parents of the tree on which the root and every inner node have ``branching`` children."""
    _check_counts(branching=branching, depth=depth)
    parent, level = [], [-1]
    for _ in range(depth):
        first = len(parent)
        parent += [above for above in level for _ in range(branching)]
        level = range(first, len(parent))
    return tuple(parent)


@door
def products(edge: Float[Tensor, "*batch node"], parent: Parents) -> Float[Tensor, "*batch node"]:
    """P_v, the product of ``edge`` over the path from the root to v.

    Applied to coordinates x_e it gives the monomials that a tree of coordinates stands for.
    """
    return _products(_shape(_parents(parent, edge)), edge)


@door
def balanced(
    readout: Float[Tensor, "*batch node"], parent: Parents
) -> Float[Tensor, "*batch node"]:
    """Edges with u_e^2 = a_e^2 + sum of u_c^2 over children, so that every q_e is 0."""
    _, below = _shape(_parents(parent, readout))
    scale = readout.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(readout.dtype).tiny)
    return ((readout / scale).square() @ below.to(readout)).sqrt() * scale


@door
def invariant(
    readout: Float[Tensor, "*batch node"], edge: Float[Tensor, "*batch node"], parent: Parents
) -> Float[Tensor, "*batch node"]:
    """q_e = u_e^2 - a_e^2 - sum of u_c^2 over children: conserved for any loss and any data.

    Derived in the chapter; the analogue for layers: Du, Hu & Lee (2018), arXiv:1806.00900.
    """
    index = torch.tensor(_parents(parent, edge), device=edge.device)
    into = torch.zeros_like(torch.cat([edge, edge[..., :1]], -1))
    into = into.index_add(-1, index % (len(index) + 1), edge.square())  # -1, the root, goes last
    return edge.square() - readout.square() - into[..., :-1]


@door(origin="theory")
def theory(model: Tree, time: Float[Tensor, " time"]) -> Growth:
    """Gradient flow on infinitely many samples, as one stacked system for readouts and edges.

    da_v/dt = (beta_v - c_v) P_v,   du_e/dt = sum over v at or below e of (beta_v - c_v) c_v / u_e.
    Weights are good to eight digits, however small they start. Time is shared by the batch, and
    the steps are those of its fastest member: keep long waits apart. Raises ValueError on unsorted
    or negative times.
    """
    check_time(time)
    beta, a, u = (x.double() for x in _together(model))
    nodes, shape = beta.shape[-1], _shape(_parents(model.parent))

    def rate(state: Tensor) -> Tensor:
        return torch.cat(_flow(shape, beta, state[..., :nodes], state[..., nodes:])[:2], -1)

    start = torch.cat([a, torch.where(u == 0, ALMOST_ZERO, u)], -1)
    points, where = np.unique(time.double().cpu().numpy(), return_inverse=True)
    state = _stiff(rate, start, points, rtol=1e-12, atol=_negligible(a, u))
    state = state[..., where, :].to(model.target)
    return _growth(model, time, state[..., :nodes], state[..., nodes:])


@door(origin="experiment")
def experiment(
    model: Tree,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    samples: int,
    step: float,
    members: int = 1,
    noise: float = 0.0,
    features: Float[Tensor, "point node"] | None = None,
    rule: Callable[[float], Rule] = GradientDescent,
) -> Growth:
    """Train ``members`` networks, each on ``samples`` of its own: (*batch, member, time, node).

    Features are independent standard normal numbers or, with ``features``, rows of that matrix,
    drawn without replacement; with as many samples as rows it is the whole population. ``noise``
    is the standard deviation of the labels' noise. Member i of every problem sees the same set.
    Gradients are autograd's, of the mean squared error on the training set; nothing of ``theory``
    is used. Agrees with it on the whole population to O(``step``), or with ``rule`` = GradientFlow
    to O(step^4).

    ``time`` is rounded to whole steps, and the record holds the rounded times. Raises ValueError
    when two times fall on one step, on negative noise, when ``features`` are too few or not
    orthonormal, and FloatingPointError on divergence.
    """
    clock = ticks(time, step)
    _check_counts(samples=samples, members=members)
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise must be finite and not negative, got {noise}")
    beta, a, u = _together(model)
    phi, shaken = _training_sets(beta, features, seed, samples, members)
    labels = (beta[..., None, None, :] @ phi.mT).mT + noise * shaken  # (*batch, set, sample, 1)
    batch = (*beta.shape[:-1], members)
    weights = [w[..., None, None, :].expand(*batch, 1, w.shape[-1]) for w in (a, u)]
    observe = {
        "readout": lambda s: s.weights[0][..., 0, :],
        "edge": lambda s: s.weights[1][..., 0, :],
        "train_loss": State.losses,
    }
    seen = train(
        weights,
        Samples(phi.expand(*batch, *phi.shape[-2:]), labels),
        network=TreeNetwork(_parents(model.parent)),
        rule=rule(step),
        record=clock.record,
        observe=observe,
    )
    found = seen.require_finite().observed
    return _growth(model, clock.time.to(beta), found["readout"], found["edge"], found["train_loss"])


@door(origin="theory")
def plateau(
    target: Float[Tensor, "*batch node"], parent: Parents | None = None
) -> Float[Tensor, "*batch node"]:
    """Path products P_v once ``target`` is learned from a balanced start; a chain if no ``parent``.

    Solves p_v^2 = p_parent (beta_v^2 + sum of p_c over children), p = P^2, p_root = 1, by Newton's
    method in ln p, which climbs to the only solution from any start. Nodes without a target at or
    below them have P = 0. Raises RuntimeError if Newton's method does not settle.
    """
    parent = _parents(chain(target.shape[-1]) if parent is None else parent, target)
    _check_finite("target", target)
    _, below = _shape(parent)
    child = torch.zeros_like(below)  # [v, c] is 1 where c is a child of v
    inner = [v for v, above in enumerate(parent) if above >= 0]
    child[[parent[v] for v in inner], inner] = 1.0
    child, below, power = (x.to(target.device) for x in (child, below, target.double().square()))
    alive = (power @ below) > 0
    x = torch.zeros_like(power)
    for _ in range(NEWTON):
        p = torch.where(alive, x.exp(), 0.0)
        handed = power + p @ child.mT  # what the path into v is worth
        handed = torch.where(alive, handed, 1.0)
        gap = torch.where(alive, 2 * x - x @ child - handed.log(), x)
        flow = child * p[..., None, :] / handed[..., None]
        slope = torch.where(alive[..., None], child.mT + flow, 0.0)
        move = torch.linalg.solve(2 * torch.eye(len(parent)).to(x) - slope, gap[..., None])[..., 0]
        x = x - move
        if bool((move.abs() < 1e-13 * (1 + x.abs())).all()):
            return torch.where(alive, (x / 2).exp(), 0.0).to(target)
    raise RuntimeError(f"the plateau did not settle within {NEWTON} steps of Newton's method")


@door(origin="theory")
def staircase(
    target: Float[Tensor, "*batch node"], parent: Parents | None = None
) -> Float[Tensor, "*batch node"]:
    """Half-times over ln(1/eps), in the limit of a small balanced start of size eps.

    A sleeping node grows exponentially once its parent is awake, at the rate |beta_v| P_parent on
    the plateau of that moment, and wakes when it has grown by ln(1/eps). Infinite for nodes that
    have no target, or hang on one that has none: there the wait is a power of 1/eps.
    """
    parent = _parents(chain(target.shape[-1]) if parent is None else parent, target)
    _check_finite("target", target)
    kind, target = target.dtype, target.double()
    above = torch.tensor(parent, device=target.device)
    time, height = torch.full_like(target, torch.inf), torch.zeros_like(target)
    awake, clock = torch.zeros_like(target, dtype=torch.bool), torch.zeros_like(target[..., :1])
    for _ in parent:
        P = plateau(torch.where(awake, target, 0.0), parent)
        rate = target.abs() * torch.cat([P, torch.ones_like(clock)], -1)[..., above]  # root: 1
        rate = torch.where(awake, 0.0, rate)
        left = torch.where(rate > 0, (1 - height) / rate, torch.inf)
        wait, next_up = left.min(-1, keepdim=True)
        goes_on = wait.isfinite()
        wait = torch.where(goes_on, wait, 0.0)
        clock, height = clock + wait, height + rate * wait
        wakes = torch.zeros_like(awake).scatter(-1, next_up, goes_on)
        time, awake = torch.where(wakes, clock, time), awake | wakes
    return time.to(kind)


@door(origin="theory")
def half_time(model: Tree) -> Float[Tensor, "*batch node"]:
    """Time at which each coefficient first reaches half its target; infinite for a target of 0.

    Every problem runs on a clock of its own, which slows down for leaps and hurries over plateaus,
    and ends on the crossing itself with the coefficient as the clock (Henon 1982). Good to seven
    digits. Raises ValueError on edges of weight 0, and on coefficients that start above half or
    with the wrong sign: all others do arrive.
    """
    beta, a, u = (x.double() for x in _together(model))
    nodes, shape = beta.shape[-1], _shape(_parents(model.parent))
    c = a * _products(shape, u)
    if bool((u == 0).any()):
        raise ValueError("edge must not be 0: nothing passes, and the wait may be infinite")
    if bool(((c * beta < 0) | ((beta != 0) & (c.abs() >= beta.abs() / 2))).any()):
        raise ValueError("coefficients must start between 0 and half the target, or never arrive")
    # the clock starts late, for the integrator compares steps with what is there
    before = 1 / beta.abs().amax(-1, keepdim=True).clamp(min=ALMOST_ZERO)
    state = torch.cat([a, u, before], -1)
    found, waiting = torch.full_like(beta, torch.inf), beta != 0
    atol = _negligible(a, u)

    per_target = torch.where(waiting, 1 / beta, 0.0)
    never, one = torch.where(waiting, 0.0, 1.0), torch.ones_like(a[..., :1])

    def rate(y: Tensor) -> Tensor:
        a, u = y[..., :nodes], y[..., nodes:-1]
        da, du, c = _flow(shape, beta, a, u)
        pace = (torch.hypot(da, du) / torch.hypot(a, u)).norm(dim=-1, keepdim=True)
        # a problem that has learned everything stops: on its own clock it would rest soon
        least = torch.addcmul(never, c, per_target).amin(-1, keepdim=True)
        return torch.cat([da, du, one], -1) * ((4.5 - 5 * least).clamp(0, 1) / pace)

    for _ in range(STRETCHES):
        path = _stiff(rate, state, STRETCH, rtol=1e-9, atol=atol)  # (*batch, point, state)
        share = path[..., :nodes] * _products(shape, path[..., nodes:-1]) / beta[..., None, :]
        arrived = waiting & (share[..., 1:, :] >= 0.5).any(-2)
        if bool(arrived.any()):
            found = torch.where(arrived, _crossing(shape, beta, path, share, arrived), found)
        waiting, state = waiting & ~arrived, path[..., -1, :]
        if not bool(waiting.any()):
            return (found - before).to(model.target)
    raise RuntimeError("half-times were not reached: the start is too far from the target")


@door(origin="theory")
def tangent_kernel(model: Tree) -> Float[Tensor, "*batch node node"]:
    """Theta at the start, with dc/dt = Theta (beta - c): the kernel of the lazy limit.

    Theta_vw = delta_vw P_v^2 + sum over edges e above both of c_v c_w / u_e^2.
    """
    _, a, u = (x.double() for x in _together(model))
    _, below = _shape(_parents(model.parent))
    u = torch.where(u == 0, ALMOST_ZERO, u)
    P = products(u, model.parent)
    through = (a * P)[..., :, None] * below.to(u) / u[..., None, :]  # dc_v / du_e
    return (torch.diag_embed(P.square()) + through @ through.mT).to(model.target)


def _products(shape: tuple[Tensor, Tensor], edge: Tensor) -> Tensor:
    path, one = shape[0], torch.ones_like(edge[..., :1])
    steps = torch.cat([edge, one], -1).index_select(-1, path.view(-1).to(edge.device))
    return steps.view(*edge.shape[:-1], *path.shape).prod(-1)


def _flow(shape: tuple[Tensor, Tensor], beta: Tensor, a: Tensor, u: Tensor) -> list[Tensor]:
    """da/dt and du/dt on infinitely many samples, and the coefficients. No u may be exactly 0."""
    P = _products(shape, u)
    c = a * P
    return [*_pulled(shape, beta - c, P, c, u), c]


def _pulled(
    shape: tuple[Tensor, Tensor], left: Tensor, P: Tensor, c: Tensor, u: Tensor
) -> list[Tensor]:
    """da/dt and du/dt if ``left`` is what the samples show to be missing at each node."""
    return [left * P, (left * c) @ shape[1].to(u) / u]


def _stiff(
    rate: Callable[[Tensor], Tensor], start: Tensor, clock: np.ndarray, *, rtol: float, atol: float
) -> Tensor:
    """States at the points of ``clock``. Learned nodes relax fast while others wait: LSODA, in
    bands."""

    def flat_rate(s: float, y: np.ndarray) -> np.ndarray:
        return rate(torch.from_numpy(y).to(start.device).view(start.shape)).cpu().numpy().ravel()

    band = start.shape[-1] - 1  # problems do not meet
    solution = solve_ivp(
        flat_rate,
        (0.0, max(clock[-1], SHORTEST)),
        start.cpu().numpy().ravel(),
        method="LSODA",
        t_eval=clock,
        rtol=rtol,
        atol=atol,
        lband=band,
        uband=band,
    )
    if not solution.success:
        raise RuntimeError(f"the integrator gave up: {solution.message}")
    path = torch.from_numpy(solution.y.T.copy()).to(start)  # (point, batch * state)
    return path.reshape(len(clock), *start.shape).movedim(0, -2)


def _crossing(
    shape: tuple[Tensor, Tensor], beta: Tensor, path: Tensor, share: Tensor, arrived: Tensor
) -> Tensor:
    """Times at which coefficients are half their targets, from the last point before that.

    With the coefficient of one node as the independent variable: one system per node.
    """
    nodes, beta = beta.shape[-1], beta[..., None, :]
    before = (share[..., 1:, :] >= 0.5).int().argmax(-2)  # (*batch, node)
    start = path.gather(-2, before[..., None].expand(*before.shape, path.shape[-1]))
    missing = 0.5 - share.gather(-2, before[..., None, :])[..., 0, :]

    def rate(s: Tensor, y: Tensor) -> Tensor:
        a, u = y[..., :nodes], y[..., nodes:-1]
        flow = tuple(_flow(shape, beta, a, u)[:2])
        _, dc = torch.func.jvp(lambda a, u: a * _products(shape, u), (a, u), flow)
        speed = (dc / beta).diagonal(dim1=-2, dim2=-1)[..., None]
        whole = torch.cat([*flow, torch.ones_like(speed)], -1)
        return torch.where(arrived[..., None], whole * missing[..., None] / speed, 0.0)

    smallest = _negligible(start[..., :nodes], start[..., nodes:-1])
    ends = solve(rate, start, torch.ones(1).to(start), rtol=1e-10, atol=smallest)
    return ends[..., 0, -1]


def _training_sets(
    beta: Tensor, features: Tensor | None, seed: int, samples: int, members: int
) -> tuple[Tensor, Tensor]:
    """Features (member, sample, node) and standard noise (member, sample, 1) of every set."""
    nodes, where = beta.shape[-1], {"dtype": beta.dtype, "device": beta.device}
    noise = draws.normal(seed, f"noise {samples}", members, (samples, 1), **where)
    if features is None:
        shape = (samples, nodes)
        return draws.normal(seed, f"features {samples}", members, shape, **where), noise
    points = len(features)
    if features.shape != (points, nodes) or points < samples:
        raise ValueError(
            f"features must have {samples} rows or more and {nodes} columns, "
            f"got {tuple(features.shape)}"
        )
    features = features.to(beta)
    gram = features.mT @ features / points
    if not torch.allclose(gram, torch.eye(nodes).to(gram), atol=ORTHONORMAL):
        raise ValueError("features must be orthonormal over their rows, for then c is the loss")
    order = draws.uniform(seed, f"points {samples}", members, (points,), **where).argsort(-1)
    return features[order[:, :samples]], noise


def _growth(model: Tree, time: Tensor, a: Tensor, u: Tensor, train_loss=None) -> Growth:
    beta = _together(model)[0][..., None, :]
    beta = beta if train_loss is None else beta[..., None, :, :]  # the members of an experiment
    c = a * products(u, model.parent)
    return Growth(time, c, a, u, 0.5 * (beta - c).square().sum(-1), train_loss)


def _together(model: Tree) -> list[Tensor]:
    """Target, readout and edge, with all axes of the batch."""
    given = [model.target, model.readout, model.edge]
    try:
        return list(torch.broadcast_tensors(*given))
    except RuntimeError:
        shapes = [tuple(value.shape) for value in given]
        raise ValueError(f"target, readout and edge must fit each other, got {shapes}") from None


def _negligible(a: Tensor, u: Tensor) -> float:
    """An absolute tolerance that no weight, however small at the start, can feel."""
    sizes = torch.cat([a, u], -1).abs()
    smallest = min(float(torch.where(sizes == 0, torch.inf, sizes).min()), 1.0)
    return max(1e-12 * smallest**2, min(1e-290, 1e-12 * smallest))


def _check_finite(name: str, value: Tensor) -> None:
    require(name, value, value == value, "finite", "weights and coefficients are numbers")


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _parents(parent: Parents, like: Tensor | None = None) -> tuple[int, ...]:
    """``parent`` as whole numbers, as many as ``like`` has nodes; ValueError unless parents come
    before their children."""
    parent = tuple(parent.tolist() if isinstance(parent, Tensor) else parent)
    if not parent:
        raise ValueError("parent must hold one node or more, got none")
    for node, above in enumerate(parent):
        if not -1 <= above < node:
            raise ValueError(
                f"parent of node {node} must be -1 or an earlier node, got {above}: "
                "parents come before their children"
            )
    if like is not None and len(parent) != like.shape[-1]:
        raise ValueError(
            f"parent must name one parent for each of {like.shape[-1]} nodes, got {len(parent)}"
        )
    return parent


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must serve training, too
def _shape(parent: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Nodes on the way to each node (node, depth), filled up with the number of nodes; and the
    same as a matrix [v, e] of ones where e lies on the way to v."""
    ways: list[list[int]] = []
    for node, above in enumerate(parent):
        ways.append((ways[above] if above >= 0 else []) + [node])
    depth, nodes = max(map(len, ways)), len(parent)
    path = torch.tensor([way + [nodes] * (depth - len(way)) for way in ways])
    below = torch.zeros(nodes, nodes + 1, dtype=torch.float64).scatter(-1, path, 1.0)
    return path, below[:, :-1].contiguous()
