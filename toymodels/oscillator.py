"""Heavy-ball descent of a quadratic bowl: every mode of the loss is a damped oscillator.

The loss of mode m is c x^2 / 2 + q x^4 / 4 - F cos(Omega k) x, and descent with momentum obeys

    v(k+1) = b v(k) - h(k) (c x(k) + q x(k)^3 - F cos(Omega k) + noise(k)),
    x(k+1) = x(k) + v(k+1),   h(k) = h (1 + mu cos(nu k)).

Chapter: ``chapters/oscillator.md``.

    x, v     displacement from the minimum and change per step; v(0) = 0
    k        step number; angles and frequencies are in radians per step
    h, b, c  step size, momentum, curvature; only h c and b matter to the free linear motion
    tau, b   half the sum and the product of the two roots of z^2 - 2 tau z + b = 0

Source: Polyak (1964) for the method and its optimal tuning; Qian (1999), Neural Networks 12, for
the damped oscillator; Goh (2017), distill.00006, for the roots; Mandt, Hoffman & Blei (2017),
arXiv:1704.04289, for stationary noise at small steps; Liu, Ziyin & Ueda (2021), arXiv:2012.03636,
for finite steps; Landau & Lifshitz (1976), Mechanics, section 27, for a shaken spring. The discrete
frequency shift and the discrete threshold of shaking are derived in the chapter.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.quantity import per_entry, require

Number = float | int | Tensor  # one number, one per problem (*batch,), one per mode (*batch, mode)
PERIODIC = 1e-6  # part of a cycle by which a modulation may miss its return


@door
@dataclass(frozen=True)
class Oscillator:
    """Modes of a bowl and the descent that rolls in it; leading axes are independent problems.

    Every parameter but ``curvature`` is one number, one per problem or one per mode. Raises
    ValueError on values without meaning and on tensors of another shape, dtype or device.
    """

    curvature: Float[Tensor, "*batch mode"]  # c >= 0; a flat mode, c = 0, never moves by itself
    step: Number  # h > 0
    momentum: Number = 0.0  # b from 0 (gradient descent) to 1 (no friction)
    start: Number = 1.0  # displacement x(0), at rest
    noise: Number = 0.0  # variance of the gradient noise, independent at every step and mode
    quartic: Number = 0.0  # q, curvature per squared displacement, of either sign
    drive: Number = 0.0  # F, amplitude of a periodic force
    drive_frequency: Number = 0.0  # Omega, radians per step
    modulation: Number = 0.0  # mu: the step size swings between h (1 - mu) and h (1 + mu)
    modulation_frequency: Number = 0.0  # nu, radians per step

    def __post_init__(self):
        shape = tuple(self.curvature.shape)
        if self.curvature.numel() == 0 or self.curvature.ndim == 0:
            raise ValueError(f"curvature must have a last axis of modes, got shape {shape}")
        values = {field.name: self.per_mode(field.name) for field in fields(self)}
        for name, value in values.items():
            require(name, value, value == value, "finite", "NaN and infinity do not move")
        c, h, b, start, noise, _, drive, _, swing, _ = values.values()
        require("curvature", c, c >= 0, "non-negative", "a ball on a hilltop rolls away")
        require("step", h, h > 0, "positive", "otherwise nothing moves")
        require("momentum", b, (b >= 0) & (b <= 1), "between 0 and 1", "above 1 it gains energy")
        require("noise", noise, noise >= 0, "non-negative", "it is a variance")
        why = "above 1 some steps lead uphill"
        require("modulation", swing, (swing >= 0) & (swing <= 1), "between 0 and 1", why)
        if not bool(((start != 0) | (noise > 0) | (drive != 0)).any()):
            raise ValueError("start must not be zero, got 0: nothing moves without noise or drive")

    def per_mode(self, name: str) -> Float[Tensor, "*batch mode"]:
        """The parameter ``name`` as a tensor shaped like ``curvature``."""
        return per_entry(name, getattr(self, name), self.curvature)


@dataclass(frozen=True)
class Motion:
    """Where each mode is after each step. Theory, flow and experiment all return this.

    Refuses positions that are not finite: a diverging run must be cut before it overflows.
    """

    step: Float[Tensor, " time"]  # 0, 1, ..., n
    position: Float[
        Tensor, "*batch time mode"
    ]  # displacement; an experiment: (*batch, member, ...)

    def __post_init__(self):
        if not bool(torch.isfinite(self.position).all()):
            raise ValueError(
                "position must be finite, got NaN or infinity: take fewer steps, keep "
                "step * curvature below 2 (1 + momentum), and drive off an undamped resonance"
            )


@door(origin="theory")
def theory(model: Oscillator, steps: int) -> Motion:
    """Exact motion of the linear map over a whole number of steps, mean over the noise.

    The steady answer to the drive plus a free part, two copies of the impulse response; near an
    undamped resonance both are large and nearly cancel. Raises ValueError on a quartic term
    (``frequency`` has its first-order effect) and on a motion that overflows.
    """
    _linear_only(model, "theory")
    k = _counter(model, steps)  # (time, 1)
    S = impulse(model, steps + 1)  # (*batch, time + 1, mode)
    b, x0 = (model.per_mode(name)[..., None, :] for name in ("momentum", "start"))
    steady = before = torch.zeros_like(x0)
    if bool((model.per_mode("drive") != 0).any()):
        X, omega = response(model)[..., None, :], model.per_mode("drive_frequency")[..., None, :]
        steady = X.real * torch.cos(omega * k) - X.imag * torch.sin(omega * k)
        before = X.real * torch.cos(omega) + X.imag * torch.sin(omega)  # one step before the start
    free = (x0 - steady[..., :1, :]) * S[..., 1:, :] - b * (x0 - before) * S[..., :-1, :]
    return Motion(k[:, 0], free + steady)


@door(origin="experiment")
def experiment(model: Oscillator, steps: int, *, seed: int, members: int = 1) -> Motion:
    """Roll the ball: iterate descent with momentum, positions (*batch, member, time, mode).

    ``members`` balls roll in every bowl; only noise tells them apart. Member i of the flattened
    ensemble draws it from (``seed``, i) alone. Raises ValueError on negative ``steps`` or
    ``seed``, on no members and on a motion that overflows.
    """
    k = _counter(model, steps)
    kicks = _kicks(model, len(k) - 1, seed, members)  # (*batch, member, steps, mode)
    names = ("curvature", "step", "momentum", "quartic", "drive", "drive_frequency", "modulation")
    c, h, b, q, F, omega, mu, nu, x = (
        model.per_mode(name)[..., None, :].expand(*kicks.shape[:-2], kicks.shape[-1])
        for name in (*names, "modulation_frequency", "start")
    )
    v, positions, anharmonic = torch.zeros_like(x), [x], bool((q != 0).any())
    for n, kick in enumerate(kicks.unbind(-2)):
        gradient = c * x - F * torch.cos(omega * n) + kick
        if anharmonic:  # spared otherwise: 0 times an overflowing cube is not 0
            gradient = gradient + q * x**3
        v = b * v - h * (1 + mu * torch.cos(nu * n)) * gradient
        x = x + v
        positions.append(x)
    return Motion(k[:, 0], torch.stack(positions, dim=-2))


@door(origin="theory")
def flow(model: Oscillator, steps: int) -> Motion:
    """The oscillator in continuous time: x'' + 2 g x' + c x = 0 at t = k sqrt(h), from rest.

    The friction is g = (1 - b) / (2 sqrt(h)). Free motion only: the map follows it to
    O(sqrt(h)) at fixed g. Raises ValueError on a drive or a quartic term.
    """
    _linear_only(model, "flow")
    if bool((model.per_mode("drive") != 0).any()):
        raise ValueError("drive must be 0 in flow, got a drive: theory has the driven motion")
    k = _counter(model, steps)
    names = ("curvature", "step", "momentum", "start")
    c, h, b, x0 = (model.per_mode(name)[..., None, :] for name in names)  # (*batch, 1, mode)
    t, g = k * h.sqrt(), (1 - b) / (2 * h.sqrt())
    D = c - g**2  # positive: it swings
    w = D.abs().sqrt()
    fast, slow = torch.exp(-(g + w) * t), torch.exp(-c / (g + w) * t)  # slow: -g + w, kept exact
    even = torch.where(D > 0, torch.exp(-g * t) * torch.cos(w * t), (slow + fast) / 2)
    swing = torch.exp(-g * t) * t * torch.sinc(w * t / torch.pi)
    creep = torch.where(w > 0, -slow * torch.expm1(-2 * w * t) / (2 * w), t * slow)
    return Motion(k[:, 0], x0 * (even + g * torch.where(D > 0, swing, creep)))


@door(origin="theory")
def impulse(model: Oscillator, steps: int) -> Float[Tensor, "*batch time mode"]:
    """Displacement k steps after a unit kick, (z1^k - z2^k) / (z1 - z2): the Green's function.

    Written so that merging roots (k tau^(k-1)), vanishing roots and long times stay accurate.
    """
    tau, b, D = (a[..., None, :] for a in _roots(model))
    k = _counter(model, steps)[1:]
    theta = torch.atan2(D.sqrt(), tau)  # NaN where the roots are real, not chosen there
    swing = b ** ((k - 1) / 2) * torch.sin(k * theta) / torch.sin(theta)
    large = tau + torch.where(tau < 0, -1, 1) * (-D).clamp(min=0).sqrt()
    log_ratio = torch.where(b > 0, torch.log(b / large**2), -torch.inf)
    geometric = torch.where(log_ratio < 0, torch.expm1(k * log_ratio) / torch.expm1(log_ratio), k)
    after = torch.where(D > 0, swing, large ** (k - 1) * geometric)
    return torch.cat([torch.zeros_like(tau), after], dim=-2)


@door(origin="theory")
def rate(model: Oscillator) -> Float[Tensor, "*batch mode"]:
    """Factor by which each mode shrinks per step in the long run: the larger root's modulus."""
    tau, b, D = _roots(model)
    return torch.where(D > 0, b.sqrt(), tau.abs() + (-D).clamp(min=0).sqrt())


@door(origin="theory")
def frequency(model: Oscillator) -> Float[Tensor, "*batch mode"]:
    """Radians per step of the free oscillation; 0 where both roots are real.

    A quartic term shifts it by 3 h q A^2 / (8 sin w) to first order, with A = x(0) / cos(w / 2)
    since the ball is at rest half a step before the start. Raises ValueError unless a quartic
    mode is undamped (momentum 1): with friction the amplitude, hence the frequency, drifts.
    """
    tau, _, D = _roots(model)
    w = torch.atan2(D.clamp(min=0).sqrt(), tau) * (D > 0)
    q, b = model.per_mode("quartic"), model.per_mode("momentum")
    if not bool((q != 0).any()):
        return w
    why = "only an undamped swing keeps its amplitude, which a quartic term reads"
    require("momentum", b, b == 1, "1 with a quartic term", why)
    require("curvature", model.curvature, D > 0, "between 0 and 4 / step", why)
    amplitude = model.per_mode("start") / torch.cos(w / 2)
    return w + 3 * model.per_mode("step") * q * amplitude**2 / (8 * torch.sin(w))


@door
def winding(motion: Motion) -> Float[Tensor, "*batch mode"]:
    """Measured radians per step about the origin, for undamped motion of many periods.

    Average of the turns of (x(k+1) + x(k), x(k+1) - x(k)), weighted by a smooth bump over time,
    which converges faster than any power of the number of steps. Raises ValueError below 8 steps.
    """
    x = motion.position
    if x.shape[-2] < 9:
        raise ValueError(f"motion must have at least 8 steps, got {x.shape[-2] - 1}")
    middle, change = x[..., 1:, :] + x[..., :-1, :], x[..., 1:, :] - x[..., :-1, :]
    scale = (middle.square().mean(-2, keepdim=True) / change.square().mean(-2, keepdim=True)).sqrt()
    angle = torch.atan2(-scale * change, middle)
    turn = torch.remainder(angle.diff(dim=-2), 2 * torch.pi)
    s = (torch.arange(turn.shape[-2], dtype=x.dtype, device=x.device) + 0.5) / turn.shape[-2]
    bump = torch.exp(-1 / (s * (1 - s)))[:, None]
    return (bump * turn).sum(-2) / bump.sum(-2)


@door(origin="theory")
def response(model: Oscillator) -> Complex[Tensor, "*batch mode"]:
    """Complex amplitude X of the steady answer Re X exp(i Omega k); its angle is minus the lag."""
    h, F, omega = (model.per_mode(name) for name in ("step", "drive", "drive_frequency"))
    return h * F / _resistance(model, omega)


@door(origin="theory")
def resonance(model: Oscillator) -> Float[Tensor, "*batch mode"]:
    """Drive frequency with the largest steady answer: cos(Omega) = (1 + b) tau / (2 b).

    Modes too damped to resonate peak at an end of the band, 0 or pi.
    """
    tau, b, _ = _roots(model)
    peak = torch.where(b > 0, (1 + b) * tau / (2 * b), torch.sign(tau))
    return torch.arccos(peak.clamp(-1, 1))


@door(origin="theory")
def floquet(model: Oscillator, period: int) -> Float[Tensor, "*batch mode"]:
    """Factor per step in the long run where the step size swings: the larger Floquet multiplier.

    The matrix that takes (x(k), x(k-1)) through ``period`` steps has determinant b^period, so its
    trace gives both multipliers; the factor is the larger modulus to the power 1 / period. Without
    modulation this is ``rate``. Raises ValueError on a quartic term and unless the modulation
    returns to itself after ``period`` steps.
    """
    _linear_only(model, "floquet", shaken=True)
    period = draws.whole_number(period, "period")
    names = ("curvature", "step", "momentum", "modulation", "modulation_frequency")
    c, h, b, mu, nu = (model.per_mode(name) for name in names)
    cycles = nu * period / (2 * torch.pi)
    whole = (cycles - cycles.round()).abs() < PERIODIC
    why = f"a cycle must end within {period} steps for a Floquet matrix to exist"
    require("modulation_frequency", nu, whole & (period > 0), "a multiple of 2 pi / period", why)
    now, before = torch.eye(2, dtype=c.dtype, device=c.device).expand(*c.shape, 2, 2).unbind(-2)
    for n in range(period):  # two solutions at once: from (1, 0) and from (0, 1)
        pull = (1 + b - h * c * (1 + mu * torch.cos(nu * n)))[..., None]
        now, before = pull * now - b[..., None] * before, now
    half, product = (now[..., 0] + before[..., 1]) / 2, b**period
    D = half.square() - product
    largest = torch.where(D < 0, product.sqrt(), half.abs() + D.clamp(min=0).sqrt())
    return largest ** (1 / period)


@door(origin="theory")
def threshold(model: Oscillator) -> Float[Tensor, "*batch mode"]:
    """Modulation of the step above which the mode swings up at half the modulation frequency.

    A swing at nu / 2 feels the modulation as a force of its own frequency, of amplitude mu c / 2
    per displacement, and lasts if its response to that is one: mu = 2 |D(nu / 2)| / (h c). The
    swing at 3 nu / 2 is left out, which errs by a fraction of the order of mu; ``floquet`` keeps
    it. What the model says of its own ``modulation`` is not used. Raises ValueError on a quartic
    term and on a flat mode, which nothing shakes.
    """
    _linear_only(model, "threshold", shaken=True)
    c, h, nu = (model.per_mode(name) for name in ("curvature", "step", "modulation_frequency"))
    require("curvature", c, c > 0, "positive", "a flat mode has no spring to shake")
    return 2 * _resistance(replace(model, modulation=0.0), nu / 2).abs() / (h * c)


@door(origin="theory")
def variance(model: Oscillator, steps: int) -> Float[Tensor, "*batch time mode"]:
    """Variance of the position at each step: kicks add up through the squared impulse response."""
    _linear_only(model, "variance")
    kick = model.per_mode("step") ** 2 * model.per_mode("noise")
    return (kick[..., None, :] * impulse(model, steps) ** 2).cumsum(-2)


@door(origin="theory")
def stationary(model: Oscillator) -> Float[Tensor, "*batch mode"]:
    """Variance that the noise sustains for ever, h s2 (1 + b) / (c (1 - b) (2 (1 + b) - h c)).

    Solves the discrete Lyapunov equation of the map. Raises ValueError where there is no
    stationary state: a flat mode, momentum 1, or a step at or above ``largest_step``.
    """
    _linear_only(model, "stationary")
    c, h, b, s2 = (model.per_mode(name) for name in ("curvature", "step", "momentum", "noise"))
    edge = 2 * (1 + b)
    require("momentum", b, b < 1, "below 1", "without friction the noise heats for ever")
    require("curvature", c, c > 0, "positive", "a flat mode diffuses without bound")
    require("step", h, h * c < edge, "below 2 (1 + momentum) / curvature", "it is unstable")
    return h * s2 * (1 + b) / (c * (1 - b) * (edge - h * c))


@door(origin="theory")
def largest_step(model: Oscillator) -> Float[Tensor, "*batch"]:
    """Step size at which the stiffest mode stops converging, 2 (1 + b) / c."""
    _constant_step(model)
    return (2 * (1 + model.per_mode("momentum")) / model.curvature).amin(-1)


@door(origin="theory")
def orbit(model: Oscillator) -> Float[Tensor, "*batch mode"]:
    """Amplitude a of the orbit that jumps between a and -a: h (c + q a^2) = 2 (1 + b).

    A softening bowl (q < 0) has it past the edge of stability, and it attracts; a stiffening one
    (q > 0) has it below the edge, where it repels and bounds the basin of the minimum. 0 where
    there is none. Raises ValueError on a zero ``quartic``.
    """
    _constant_step(model)
    c, h, b, q = (model.per_mode(name) for name in ("curvature", "step", "momentum", "quartic"))
    require("quartic", q, q != 0, "non-zero", "a linear mode has orbits at the edge alone")
    return ((2 * (1 + b) / h - c) / q).clamp(min=0).sqrt()


@dataclass(frozen=True)
class Tuning:
    """Step size and momentum, and the factor per step that they reach on the worst mode."""

    step: Float[Tensor, "*batch"]
    momentum: Float[Tensor, "*batch"]
    rate: Float[Tensor, "*batch"]


@door(origin="theory")
def optimal(curvature: Float[Tensor, "*batch mode"]) -> Tuning:
    """Polyak's tuning: both extreme modes critically damped, at opposite signs of the root.

    Rate (r - 1) / (r + 1) with r^2 the condition number; gradient descent alone reaches only
    (r^2 - 1) / (r^2 + 1). Raises ValueError unless all curvatures are positive and finite.
    """
    if not bool(((curvature > 0) & torch.isfinite(curvature)).all()):
        raise ValueError(f"curvature must be positive and finite, got minimum {curvature.min():g}")
    low, high = curvature.amin(-1).sqrt(), curvature.amax(-1).sqrt()
    rate = (high - low) / (high + low)
    return Tuning(4 / (high + low) ** 2, rate**2, rate)


def _roots(model: Oscillator) -> tuple[Tensor, Tensor, Tensor]:
    """tau, b and b - tau^2 (positive: complex roots), each (*batch, mode).

    The last is kept as a product of its two zeros: b - tau^2 itself loses all digits at merging.
    """
    _constant_step(model)
    b = model.per_mode("momentum")
    hc = model.per_mode("step") * model.curvature
    root = b.sqrt()
    lower, upper = ((1 - b) / (1 + root)) ** 2, (1 + root) ** 2
    return (1 + b - hc) / 2, b, (hc - lower) * (upper - hc) / 4


def _resistance(model: Oscillator, omega: Tensor) -> Tensor:
    """Of a swing at ``omega``, h times force per amplitude: z - 2 tau + b / z, z = exp(i omega)."""
    tau, b, _ = _roots(model)
    return torch.complex((1 + b) * torch.cos(omega) - 2 * tau, (1 - b) * torch.sin(omega))


def _counter(model: Oscillator, steps: int) -> Tensor:
    """Step numbers 0 to ``steps`` as a column, (time, 1)."""
    c, steps = model.curvature, draws.whole_number(steps, "steps")
    return torch.arange(steps + 1, dtype=c.dtype, device=c.device)[:, None]


def _kicks(model: Oscillator, steps: int, seed: int, members: int) -> Tensor:
    draws.whole_number(seed, "seed")
    draws.whole_number(members, "members", 1, "nothing would roll")
    c, s2 = model.curvature, model.per_mode("noise")[..., None, None, :]
    shape = (*c.shape[:-1], members, steps, c.shape[-1])
    if not bool((s2 > 0).any()):
        return torch.zeros((), dtype=c.dtype, device=c.device).expand(shape)
    where = {"dtype": c.dtype, "device": c.device}
    everybody = c.shape[:-1].numel() * members
    xi = draws.normal(seed, "gradient noise", everybody, (steps, c.shape[-1]), **where)
    return s2.sqrt() * xi.reshape(shape)


def _linear_only(model: Oscillator, what: str, *, shaken: bool = False) -> None:
    q = model.per_mode("quartic")
    require("quartic", q, q == 0, f"0 in {what}", "it solves linear modes")
    if not shaken:
        _constant_step(model)


def _constant_step(model: Oscillator) -> None:
    mu = model.per_mode("modulation")
    require(
        "modulation", mu, mu == 0, "0 here", "it asks for a constant step; floquet lets it swing"
    )
