"""Deep linear networks: why learning happens in stages.

A linear network of several layers trained from small weights learns the modes of its target one
after another, strongest first. Chapter: ``chapters/deep_linear.md``.

    S             target map, diagonal in its own singular basis, entries s
    W_L ... W_1   network map; its diagonal holds the learned strengths u
    L             depth, the number of weight matrices
    c             imbalance |a^2 - b^2| of the two layer gains a, b (two layers only)
    t             gradient-flow time, in units of 1 / learning rate

The loss is (1/2)|S - W_L ... W_1|^2: inputs are white and the targets free of noise.

Source: Saxe, McClelland & Ganguli (2014), arXiv:1312.6120, any depth included; end-to-end matrices:
Arora, Cohen & Hazan (2018), arXiv:1802.06509. The unbalanced formula is a Riccati equation, as in
Fukumizu (1998), Tarmoun et al. (2021) and Braun et al. (2022); Saxe et al., in their appendix on
hyperbolic dynamics, have it as the time to reach a strength. Plateaus of correlated inputs: Baldi &
Hornik (1989); from saddle to saddle: Jacot et al. (2021), arXiv:2106.15933.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod

import torch
from jaxtyping import Float
from scipy.special import hyp2f1
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Weights, checked_weights
from toymodels.networks.rules import GradientDescent, Rule
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.numerics.quantity import per_entry, require


@door
@dataclass(frozen=True)
class DeepLinear:
    """Target modes and starting point; leading axes are independent problems.

    ``start`` and ``imbalance`` are numbers, one per problem (*batch,), or one per mode
    (*batch, mode). Raises ValueError on a target or start that is not positive and finite, on a
    depth below one, and on an imbalance at any depth but two.
    """

    target: Float[Tensor, "*batch mode"]  # singular values s of the target map, s > 0
    start: float | Tensor  # strength u(0), > 0; with an imbalance any real number
    depth: int = 2  # number of weight matrices L
    imbalance: float | Tensor = 0.0  # c = |a^2 - b^2| >= 0

    def __post_init__(self):
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, got {self.depth}: it counts matrices")
        require("target", self.target, self.target > 0, "positive", "a mode of strength 0 is none")
        start, imbalance = self.per_mode("start"), self.per_mode("imbalance")
        require("imbalance", imbalance, imbalance >= 0, "non-negative", "it is |a^2 - b^2|")
        if self.depth != 2:
            why = "it is solved for two layers only"
            require("imbalance", imbalance, imbalance == 0, f"0 at depth {self.depth}", why)
        moves = (start > 0) | (imbalance > 0)
        require("start", start, moves, "positive", "u = 0 is a saddle that never moves")

    def per_mode(self, name: str) -> Float[Tensor, "*batch mode"]:
        """The field ``name`` in float64, shaped like ``target``: starts may be far below it."""
        return per_entry(name, getattr(self, name), self.target.double())


@dataclass(frozen=True)
class Learning:
    """What was learned when. Theory and experiment both return this.

    An experiment has one more axis before the time, (*batch, member, ...): the networks.
    """

    time: Float[Tensor, " time"]
    strength: Float[Tensor, "*batch time mode"]  # u(t), from ``start`` towards ``target``
    loss: Float[Tensor, "*batch time"]  # (1/2)|S - W_L ... W_1|^2


@door(origin="theory")
def theory(model: DeepLinear, time: Float[Tensor, " time"]) -> Learning:
    """Strength of each mode under exact gradient flow from balanced, aligned weights.

    Solves du/dt = L u^(2 - 2/L) (s - u): in closed form for one and two layers (there with any
    imbalance), else as one stacked ODE. Computed in float64, returned in the dtype of the model.
    Raises ValueError on unsorted or negative times, RuntimeError where the rise of a mode is too
    short to be resolved beside its wait.
    """
    check_time(time)
    s = model.target.double()[..., None, :]  # (*batch, 1, mode)
    u0 = model.per_mode("start")[..., None, :]
    t = time.double()[:, None]  # (time, 1)
    if model.depth == 1:
        strength = s - (s - u0) * torch.exp(-t)
    elif model.depth == 2:
        strength = _two_layers(s, u0, model.per_mode("imbalance")[..., None, :], t)
    else:
        strength = _many_layers(model, time)
    loss = 0.5 * (s - strength).square().sum(-1)
    return Learning(time, strength.to(model.target), loss.to(model.target))


@door(origin="theory")
def half_time(model: DeepLinear) -> Float[Tensor, "*batch mode"]:
    """Time at which each mode reaches half its target; about ln(s / u0) / 2s for two layers.

    Inverts the solution, in closed form at every depth. Raises ValueError when a mode starts above
    half its target.
    """
    s, u0, depth = model.target.double(), model.per_mode("start"), model.depth
    require("start", u0, u0 < s / 2, "below half the target", "no half-time is left to wait for")
    if depth == 1:
        wait = torch.log(2 * (s - u0) / s)
    elif depth == 2:
        c = model.per_mode("imbalance")
        k, top, bottom = _fixed_points(s, c)
        begin, end = _growing(u0, c), _growing(s / 2, c)
        wait = torch.log((top - begin) / (begin - bottom) * (end - bottom) / (top - end)) / k
    else:
        half = _clock(torch.full_like(s, 0.5), depth)
        wait = (half - _clock(u0 / s, depth)) * s ** (2 / depth - 2)
    return wait.to(model.target)


@door(origin="experiment")
def experiment(
    model: DeepLinear,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    width: int,
    step: float,
    members: int = 1,
    rule: Callable[[float], Rule] = GradientDescent,
) -> Learning:
    """Train real networks from the balanced, aligned start that ``theory`` solves.

    Agrees with ``theory`` to O(``step``); with ``rule`` = GradientFlow to O(step^4). ``width`` is
    the number of hidden units, at least the number of modes. The ``members`` of a problem differ in
    the directions of their hidden layers alone, which do not matter. See ``train_from`` for times
    and errors.
    """
    weights = aligned(model, width=width, seed=seed, members=members)
    return train_from(weights, model.target[..., None, :], time, rule=rule, step=step)


@door(origin="experiment")
def train_from(
    weights: Weights,
    target: Float[Tensor, "*batch mode"],
    time: Float[Tensor, " time"],
    *,
    step: float,
    rule: Callable[[float], Rule] = GradientDescent,
) -> Learning:
    """Train linear networks from ``weights`` and read off how much of each mode they have.

    The result has the leading axes of ``weights``, to which ``target`` is broadcast. ``time`` is
    rounded to whole steps, and the record holds the rounded times. Raises ValueError when two
    times fall on one step or shapes do not fit, FloatingPointError on divergence.
    """
    clock = ticks(time, step)
    weights = checked_weights(weights)
    target, modes = _for_members(target.to(weights[0]), weights), target.shape[-1]
    # sqrt(modes) on both sides turns the mean over these inputs into the sum over white ones
    inputs = modes**0.5 * torch.eye(modes, dtype=target.dtype, device=target.device)
    labels = modes**0.5 * torch.diag_embed(target)

    def strength(state: State) -> Tensor:
        # the outputs on sqrt(modes) times the unit vectors
        return state.outputs().diagonal(dim1=-2, dim2=-1) / modes**0.5

    observe = {"strength": strength, "loss": State.losses}
    data = Samples(inputs, labels)
    seen = train(weights, data, rule=rule(step), record=clock.record, observe=observe)
    seen = seen.require_finite().observed
    return Learning(clock.time.to(target), **seen)


@door(origin="experiment")
def aligned(model: DeepLinear, *, width: int, seed: int, members: int = 1) -> list[Tensor]:
    """Weights that start every mode at ``model.start``, balanced up to ``model.imbalance``.

    Hidden layers carry the modes in random orthonormal directions, (*batch, member, out, in).
    Raises ValueError when the hidden layers are narrower than the number of modes.
    """
    s, modes = model.target, model.target.shape[-1]
    if draws.whole_number(width, "width") < modes:
        raise ValueError(f"width must be at least the {modes} modes, got {width}")
    draws.whole_number(members, "members", 1, "nothing would train")
    u0, c = model.per_mode("start"), model.per_mode("imbalance")
    gains = [u0.abs() ** (1 / model.depth)] * model.depth
    if model.depth == 2:
        large = ((c + torch.hypot(c, 2 * u0)) / 2).sqrt()
        gains = [large, u0 / large]
    # orthonormal columns (*batch, member, width, mode) for each hidden layer, the identity outside
    ensemble = (*s.shape[:-1], members)
    hidden = [
        torch.linalg.qr(draws.normal(seed, f"basis {k}", prod(ensemble), (width, modes)))
        .Q.reshape(*ensemble, width, modes)
        .to(s)
        for k in range(model.depth - 1)
    ]
    edge = torch.eye(modes, dtype=s.dtype, device=s.device).expand(*ensemble, modes, modes)
    bases = [edge, *hidden, edge]
    return [
        after @ torch.diag_embed(gain[..., None, :].to(s)) @ before.mT
        for before, gain, after in zip(bases[:-1], gains, bases[1:], strict=True)
    ]


@door(origin="experiment")
def gaussian(
    modes: int, *, members: int, width: int, depth: int, scale: float, seed: int, **where
) -> list[Tensor]:
    """Independent normal weights of standard deviation ``scale``, (members, out, in) per layer.

    ``where`` passes dtype and device on. Raises ValueError on counts below 1 and on a scale that is
    not positive and finite.
    """
    counts = {"modes": modes, "members": members, "width": width, "depth": depth}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}: there would be no weights")
    if not 0 < scale < inf:
        raise ValueError(f"scale must be positive and finite, got {scale}: 0 never moves")
    widths = [modes, *[width] * (depth - 1), modes]
    return [
        scale * draws.normal(seed, f"layer {k}", members, (widths[k + 1], widths[k]), **where)
        for k in range(depth)
    ]


@door(origin="theory")
def as_started(
    weights: Weights, target: Float[Tensor, "*batch mode"], *, in_turn: bool = False
) -> DeepLinear:
    """The solvable model nearest to a two-layer network that starts from any ``weights``.

    Mode k of W2 W1 splits into a growing part P+ = |W1 e_k + W2^T e_k|^2 / 4 and a shrinking one
    P- = |W1 e_k - W2^T e_k|^2 / 4. Their difference is the start and P+ P- is conserved, which
    makes c = 4 sqrt(P+ P-). Exact for one mode. With several it neglects their overlap in the
    hidden layer, unless they are learned ``in_turn``: then P+ is what the growing vectors of all
    earlier modes leave free, exact for tiny starts and different strengths. Raises ValueError
    unless there are two layers, and in turn also unless each mode finds a hidden unit.
    """
    if len(weights) != 2:
        raise ValueError(f"as_started must get two layers, got {len(weights)}: solved for two only")
    first, second = checked_weights(weights)
    second = second.mT  # both (*batch, hidden, mode)
    total, difference = (first + second) / 2, (first - second) / 2
    target = _for_members(target.to(total), weights)
    grow = _left_free(total, target) if in_turn else total.square().sum(-2)
    shrink = difference.square().sum(-2)
    imbalance = 4 * grow.sqrt() * shrink.sqrt()
    return DeepLinear(target, start=grow - shrink, imbalance=imbalance)


@dataclass(frozen=True)
class Staircase:
    """The staircase of the loss in the limit of tiny starts, one stage after another."""

    loss: Float[Tensor, "*batch plateau"]  # before, between and after the stages; the last is 0
    cliff: Float[Tensor, "*batch stage"]  # time of each stage, in units of ln(1 / u(0))


@door(origin="theory")
def staircase(
    target: Float[Tensor, "*batch out in"], covariance: Float[Tensor, "*batch in in"]
) -> Staircase:
    """Plateaus and cliffs of two layers, for inputs of any ``covariance`` Sigma.

    Training rests at the maps Q Q^T S, with the first k principal axes of the outputs S x in Q. It
    leaves each of them along the singular vectors of the correlation of the inputs with what is
    left, (1 - Q Q^T) S Sigma, and the singular values are the rates. White inputs give cliffs at
    1 / 2s. Raises ValueError on a covariance that is not symmetric and positive, and on a target
    without full rank.
    """
    S, Sigma = target.double(), covariance.double()
    symmetric = (Sigma - Sigma.mT).abs() <= 1e-6 * Sigma.abs().amax((-2, -1), keepdim=True)
    require("covariance", covariance, symmetric, "symmetric", "it is the mean of x x^T")
    spread = torch.linalg.eigvalsh(Sigma)
    require("covariance", spread, spread > 0, "positive", "no direction may be without inputs")
    strengths = torch.linalg.svdvals(S)
    learnable = strengths > 1e-12 * strengths[..., :1]
    require("target", strengths, learnable, "of full rank", "a mode of strength 0 is none")
    powers, axes = torch.linalg.eigh(S @ Sigma @ S.mT)
    powers, axes = powers.flip(-1), axes.flip(-1)
    count = min(S.shape[-2:])
    asleep = torch.ones_like(strengths)  # -ln(strength) of what is still to come, from 1 to 0
    cliff = [torch.zeros_like(strengths[..., 0])]
    for k in range(count):
        learned = axes[..., :k] @ axes[..., :k].mT
        rates = 2 * torch.linalg.svdvals(S @ Sigma - learned @ S @ Sigma)[..., : count - k]
        wait = asleep[..., 0] / rates[..., 0]
        asleep = (asleep - rates * wait[..., None])[..., 1:]
        cliff.append(cliff[-1] + wait)
    left = powers[..., :count].flip(-1).cumsum(-1).flip(-1) / 2
    loss = torch.cat([left, torch.zeros_like(left[..., :1])], -1)
    return Staircase(loss.to(target), torch.stack(cliff[1:], -1).to(target))


@door
def imbalances(weights: Weights) -> list[Tensor]:
    """The conserved matrices W_{l+1}^T W_{l+1} - W_l W_l^T, (*batch, hidden, hidden) each."""
    weights = checked_weights(weights)
    return [b.mT @ b - a @ a.mT for a, b in zip(weights[:-1], weights[1:], strict=True)]


def _for_members(target: Tensor, weights: Weights) -> Tensor:
    """``target`` if it has a mode per output and no more axes than the members have."""
    batch, modes = weights[0].shape[:-2], weights[-1].shape[-2]
    try:
        return target.expand(*batch, modes)
    except RuntimeError:
        raise ValueError(
            f"target must have shape ({modes},) or {(*batch, modes)} to go with the weights, got "
            f"{tuple(target.shape)}"
        ) from None


def _left_free(vectors: Tensor, target: Tensor) -> Tensor:
    """Squared distance of each vector (hidden, mode) from the span of those that come first."""
    hidden, modes = vectors.shape[-2:]
    if hidden < modes:
        raise ValueError(f"weights must have at least {modes} hidden units, got {hidden}: in turn")
    alone = torch.log(target / vectors.square().sum(-2)) / target  # time that each would need
    order = alone.argsort(-1)
    ranked = vectors.gather(-1, order[..., None, :].expand_as(vectors))
    left = torch.linalg.qr(ranked).R.diagonal(dim1=-2, dim2=-1).square()
    return left.gather(-1, order.argsort(-1))


def _two_layers(s: Tensor, u0: Tensor, c: Tensor, t: Tensor) -> Tensor:
    """du/dt = (s - u) sqrt(c^2 + 4 u^2) through z = 2u + sqrt(c^2 + 4 u^2), a Riccati equation."""
    k, top, bottom = _fixed_points(s, c)
    z0, fading = _growing(u0, c), torch.exp(-k * t)
    above, below = (z0 - top) * fading, z0 - bottom
    z = (top * below - bottom * above) / (below - above)  # no large ratio, even of tiny starts
    return (z - c * (c / z)) / 4


def _fixed_points(s: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    k = torch.hypot(c, 2 * s)
    return k, 2 * s + k, -c * (c / (2 * s + k))  # the last is 2s - k without its cancellation


def _growing(u: Tensor, c: Tensor) -> Tensor:
    """z = 2u + sqrt(c^2 + 4u^2), written without cancellation for either sign of u."""
    root = torch.hypot(c, 2 * u)
    return torch.where(u >= 0, 2 * u + root, c * (c / (root - 2 * u)))


def _many_layers(model: DeepLinear, time: Tensor) -> Tensor:
    """Through y with u / s = 1 / (1 + (s / u0 - 1) exp(-y)), which grows as L s^(2-2/L) t at last.

    Two layers would make it grow so from the start. A straight line costs no steps, so neither a
    tiny start nor a long time after the rise does; u itself would make the equation stiff.
    """
    s, depth = model.target.double(), model.depth
    ratio, speed = s / model.per_mode("start"), depth * s ** (2 - 2 / depth)
    unit = ratio.clamp(max=1)  # a start far above the target falls while y is as small as s / u0

    def share(x: Tensor) -> Tensor:
        y = unit * x
        return 1 / (ratio * torch.exp(-y) - torch.expm1(-y))  # at y = 0 the start to all digits

    x = solve(lambda t, x: speed / unit * share(x) ** (1 - 2 / depth), torch.zeros_like(s), time)
    return (s * share(x.movedim(-2, 0))).movedim(0, -2)


def _clock(v: Tensor, depth: int) -> Tensor:
    """The time, in units of s^(2/L-2), at which u = v s < s passes; for three or more layers.

    dt = a^(1-L) / (1 - a^L) da with a^L = v, split into a^(1-L) and a / (1 - a^L).
    """
    b = 2 / depth
    rise = torch.from_numpy(hyp2f1(1, b, 1 + b, v.cpu().numpy())).to(v)
    return v**b / 2 * rise - v ** (b - 1) / (depth - 2)
