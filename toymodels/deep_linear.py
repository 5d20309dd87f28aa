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
Arora, Cohen & Hazan (2018), arXiv:1802.06509. The unbalanced formula is derived in the chapter;
Saxe et al., in their appendix on hyperbolic dynamics, have it as the time to reach a strength.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Weights
from toymodels.networks.rules import GradientDescent, Rule
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time
from toymodels.numerics.integrate import solve


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
        _refuse("target", self.target, self.target > 0, "positive", "a mode of strength 0 is none")
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or self.depth < 1:
            raise ValueError(f"depth must be a whole number from 1 up, got {self.depth!r}")
        start, imbalance = self.per_mode("start"), self.per_mode("imbalance")
        _refuse("imbalance", imbalance, imbalance >= 0, "non-negative", "it is |a^2 - b^2|")
        if self.depth != 2 and bool((imbalance > 0).any()):
            raise ValueError(
                f"imbalance must be 0 at depth {self.depth}: solved for two layers only"
            )
        moves = (start > 0) | (imbalance > 0)
        _refuse("start", start, moves, "positive", "u = 0 is a saddle that never moves")

    def per_mode(self, name: str) -> Float[Tensor, "*batch mode"]:
        """The field ``name`` as a tensor shaped like ``target``."""
        value = torch.as_tensor(
            getattr(self, name), dtype=self.target.dtype, device=self.target.device
        )
        per_problem = 0 < value.ndim < self.target.ndim
        try:
            return (value[..., None] if per_problem else value).expand_as(self.target)
        except RuntimeError:
            raise ValueError(
                f"{name} must be a number or have shape {tuple(self.target.shape[:-1])} or "
                f"{tuple(self.target.shape)}, got {tuple(value.shape)}"
            ) from None


@dataclass(frozen=True)
class Learning:
    """What was learned when. Theory and experiment both return this."""

    time: Float[Tensor, " time"]
    strength: Float[Tensor, "*batch time mode"]  # u(t), from ``start`` towards ``target``
    loss: Float[Tensor, "*batch time"]  # (1/2)|S - W_L ... W_1|^2


def theory(model: DeepLinear, time: Float[Tensor, " time"]) -> Learning:
    """Strength of each mode under exact gradient flow from balanced, aligned weights.

    Solves du/dt = L u^(2 - 2/L) (s - u): in closed form for one and two layers (there with any
    imbalance), else as one stacked ODE for ln u, which neither underflows at tiny starts nor
    loses its accuracy there. Raises ValueError on unsorted or negative times.
    """
    check_time(time)
    s = model.target[..., None, :]  # (*batch, 1, mode)
    u0 = model.per_mode("start")[..., None, :]
    t = time.to(s)[:, None]  # (time, 1)
    if model.depth == 1:
        strength = s - (s - u0) * torch.exp(-t)
    elif model.depth == 2:
        strength = _two_layers(s, u0, model.per_mode("imbalance")[..., None, :], t)
    else:
        strength = _many_layers(model, time)
    return Learning(time, strength, 0.5 * (s - strength).square().sum(-1))


def half_time(model: DeepLinear) -> Float[Tensor, "*batch mode"]:
    """Time at which each mode reaches half its target; about ln(s / u0) / 2s for two layers.

    Inverts the solution: in closed form for up to two layers, else by Gauss-Legendre quadrature
    in ln u. Raises ValueError when a mode starts above half its target.
    """
    s, u0 = model.target, model.per_mode("start")
    _refuse("start", u0, u0 < s / 2, "below half the target", "no half-time is left to wait for")
    if model.depth == 1:
        return torch.log(2 * (s - u0) / s)
    if model.depth == 2:
        c = model.per_mode("imbalance")
        k, top, bottom = _fixed_points(s, c)
        begin, end = _growing(u0, c), _growing(s / 2, c)
        ratio = (top - begin) / (begin - bottom) * (end - bottom) / (top - end)
        return torch.log(ratio) / k
    node, weight = np.polynomial.legendre.leggauss(200)
    x = torch.from_numpy(node).to(s).reshape(-1, *[1] * s.ndim)  # (node, *batch, mode)
    w = torch.from_numpy(weight).to(s).reshape(x.shape)
    low, high = torch.log(u0), torch.log(s / 2)
    log_u = low + (high - low) * (x + 1) / 2
    return ((high - low) / 2 * w / _log_rate(log_u, s, model.depth)).sum(0)


def experiment(
    model: DeepLinear,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    width: int,
    step: float,
    rule: Callable[[float], Rule] = GradientDescent,
) -> Learning:
    """Train the real network from the balanced, aligned start that ``theory`` solves.

    Agrees with ``theory`` to O(``step``); with ``rule`` = GradientFlow to O(step^4). ``width`` is
    the number of hidden units, at least the number of modes. See ``train_from`` for the errors.
    """
    return train_from(
        aligned(model, width=width, seed=seed), model.target, time, rule=rule, step=step
    )


def train_from(
    weights: Weights,
    target: Float[Tensor, "*batch mode"],
    time: Float[Tensor, " time"],
    *,
    step: float,
    rule: Callable[[float], Rule] = GradientDescent,
) -> Learning:
    """Train linear networks from ``weights`` and read off how much of each mode they have.

    ``time`` is rounded to whole steps, and the record holds the rounded times. Raises ValueError
    when two times fall on one step or shapes do not fit, FloatingPointError on divergence.
    """
    check_time(time)
    if not step > 0:
        raise ValueError(f"step must be positive, got {step}")
    record = torch.round(time / step).long()
    modes = target.shape[-1]
    # sqrt(modes) on both sides turns the mean over these inputs into the sum over white ones
    inputs = modes**0.5 * torch.eye(modes, dtype=target.dtype, device=target.device)
    labels = modes**0.5 * torch.diag_embed(target)

    def strength(state: State) -> Tensor:
        # the outputs on sqrt(modes) times the unit vectors
        return state.outputs().diagonal(dim1=-2, dim2=-1) / modes**0.5

    observe = {"strength": strength, "loss": State.losses}
    data = Samples(inputs, labels)
    seen = train(weights, data, rule=rule(step), record=record, observe=observe)
    seen = seen.require_finite().observed
    return Learning(record.to(target) * step, **seen)


def aligned(model: DeepLinear, *, width: int, seed: int) -> list[Tensor]:
    """Weights that start every mode at ``model.start``, balanced up to ``model.imbalance``.

    Hidden layers carry the modes in random orthonormal directions, shape (*batch, out, in).
    Raises ValueError when the hidden layers are narrower than the number of modes.
    """
    s, modes = model.target, model.target.shape[-1]
    if draws.whole_number(width, "width") < modes:
        raise ValueError(f"width must be at least the {modes} modes, got {width}")
    u0, c = model.per_mode("start"), model.per_mode("imbalance")
    gains = [u0.abs() ** (1 / model.depth)] * model.depth
    if model.depth == 2:
        large = ((c + torch.sqrt(c**2 + 4 * u0**2)) / 2).sqrt()
        gains = [large, u0 / large]
    # orthonormal columns (*batch, width, mode) for each hidden layer, the identity outside
    members = s.shape[:-1].numel()
    hidden = [
        torch.linalg.qr(
            draws.normal(
                seed, f"basis {k}", members, (width, modes), dtype=s.dtype, device=s.device
            )
        ).Q.reshape(*s.shape[:-1], width, modes)
        for k in range(model.depth - 1)
    ]
    edge = torch.eye(modes, dtype=s.dtype, device=s.device).expand(*s.shape[:-1], modes, modes)
    bases = [edge, *hidden, edge]
    return [
        after @ torch.diag_embed(gain) @ before.mT
        for before, gain, after in zip(bases[:-1], gains, bases[1:], strict=True)
    ]


def gaussian(
    modes: int, *, members: int, width: int, depth: int, scale: float, seed: int, **where
) -> list[Tensor]:
    """Independent normal weights of standard deviation ``scale``, (members, out, in) per layer.

    ``where`` passes dtype and device on. Raises ValueError on a scale that is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}: zero weights never move")
    widths = [modes, *[width] * (depth - 1), modes]
    return [
        scale * draws.normal(seed, f"layer {k}", members, (widths[k + 1], widths[k]), **where)
        for k in range(depth)
    ]


def as_started(weights: Weights, target: Float[Tensor, "*batch mode"]) -> DeepLinear:
    """The solvable model nearest to a two-layer network that starts from any ``weights``.

    Mode k of W2 W1 splits into a growing part P+ = |W1 e_k + W2^T e_k|^2 / 4 and a shrinking one
    P- = |W1 e_k - W2^T e_k|^2 / 4. Their difference is the start and P+ P- is conserved, which
    makes c = 4 sqrt(P+ P-). Exact for one mode; with several it neglects their overlap.
    Raises ValueError unless there are two layers.
    """
    if len(weights) != 2:
        raise ValueError(f"as_started must get two layers, got {len(weights)}: solved for two only")
    first, second = weights[0], weights[1].mT  # both (*batch, hidden, mode)
    grow = (first + second).square().sum(-2) / 4
    shrink = (first - second).square().sum(-2) / 4
    return DeepLinear(
        target.expand_as(grow), start=grow - shrink, imbalance=4 * (grow * shrink).sqrt()
    )


def imbalances(weights: Weights) -> list[Tensor]:
    """The conserved matrices W_{l+1}^T W_{l+1} - W_l W_l^T, (*batch, hidden, hidden) each."""
    return [b.mT @ b - a @ a.mT for a, b in zip(weights[:-1], weights[1:], strict=True)]


def _two_layers(s: Tensor, u0: Tensor, c: Tensor, t: Tensor) -> Tensor:
    """du/dt = (s - u) sqrt(c^2 + 4 u^2) through z = 2u + sqrt(c^2 + 4 u^2), a Riccati equation."""
    k, top, bottom = _fixed_points(s, c)
    z0 = _growing(u0, c)
    ratio = (z0 - top) / (z0 - bottom) * torch.exp(-k * t)
    z = (top - bottom * ratio) / (1 - ratio)
    return (z - c**2 / z) / 4


def _fixed_points(s: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    k = torch.sqrt(c**2 + 4 * s**2)
    return k, 2 * s + k, -(c**2) / (2 * s + k)  # the last is 2s - k without its cancellation


def _growing(u: Tensor, c: Tensor) -> Tensor:
    """z = 2u + sqrt(c^2 + 4u^2), written without cancellation for either sign of u."""
    root = torch.sqrt(c**2 + 4 * u**2)
    return torch.where(u >= 0, 2 * u + root, c**2 / (root - 2 * u))


def _many_layers(model: DeepLinear, time: Tensor) -> Tensor:
    s = model.target
    log_u = solve(
        lambda t, x: _log_rate(x, s, model.depth), torch.log(model.per_mode("start")), time
    )
    return torch.exp(log_u)


def _log_rate(log_u: Tensor, s: Tensor, depth: int) -> Tensor:
    """d ln u / dt of balanced layers."""
    return depth * torch.exp((1 - 2 / depth) * log_u) * (s - torch.exp(log_u))


def _refuse(name: str, value: Tensor, good: Tensor, what: str, why: str) -> None:
    bad = ~(good & torch.isfinite(value))
    if bool(bad.any()):
        raise ValueError(f"{name} must be {what}, got {value[bad][0]:g}: {why}")
