"""A chain of blocks and springs on a rough table: which springs carry the load.

One end is held, the other pulled; friction resists, more in one direction than in the other, and
a random force shakes every block. Chapter: ``chapters/spring_block.md``.

    L           blocks, numbered from the end that is held: x_0 = 0, x_{L+1} = y
    x_l         position of block l, counted towards the pulled end, which is right
    F_l         force of the springs on block l, k (x_{l+1} - 2 x_l + x_{l-1})
    mu_R, mu_L  friction against a move to the right, to the left
    s           standard deviation of the random force, drawn afresh at every step
    D_l         separation left at layer l, y - x_l; spring l carries the load D_{l-1} - D_l

Viscous friction is one: a block under the force f beyond its dry friction creeps at the speed f.
All blocks start at rest at x = 0, with the end pulled to y at time 0.

Source: Shi, Pan & Dokmanic (2025), arXiv:2407.19353, and the notebooks published with it. The
stationary profile, its symmetry and the mean-field equation are derived in the chapter.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.clock import ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.numerics.quantity import require

Number = float | int | Tensor  # a tensor holds a value for each of many chains, shape (*batch,)
AT_ONCE = 16  # steps whose random forces are drawn together: small draws cost mostly their calls
SIGNS = {  # what each quantity must be, and why, in the order in which formulas take them
    "stiffness": ("positive", "springs hold the blocks together"),
    "pull": ("positive", "the chain is pulled to the right, and lengths are measured in it"),
    "friction_right": ("non-negative", "it resists a move"),
    "friction_left": ("non-negative", "it resists a move"),
    "noise": ("non-negative", "it is a standard deviation"),
    "decay": ("non-negative", "noise fades"),
    "mass": ("positive", "leave inertia out by order 1"),
}


@door
@dataclass(frozen=True)
class SpringBlock:
    """A chain; quantities may be tensors whose shapes broadcast to (*batch,).

    Forces are in units of stiffness times length, times in units of viscous friction over
    stiffness. Raises ValueError on a quantity of the wrong sign or not finite, on shapes that do
    not broadcast and on a number of blocks that is not whole.
    """

    blocks: int  # L
    stiffness: Number = 1.0  # k
    pull: Number = 1.0  # y, where the right end is held from time 0 on
    friction_right: Number = 0.0  # mu_R: resists a block that moves right, towards the pull
    friction_left: Number = 0.0  # mu_L: resists a block that moves left
    noise: Number = 0.0  # s at time 0
    decay: Number = 0.0  # rate at which the noise fades, s exp(-decay t)
    mass: Number = 1.0  # of a block, when it has inertia (order 2)
    shared: bool = False  # one random force for all blocks of a chain, instead of one each

    def __post_init__(self):
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}: nothing would move")
        for (name, (sign, why)), value in zip(SIGNS.items(), _values(self), strict=True):
            good = value >= 0 if sign == "non-negative" else value > 0
            require(name, value, good, sign, why)


@dataclass(frozen=True)
class Chain:
    """Where the blocks are. Theory and experiment both return this.

    Chains of an experiment come along one more axis, the last of the batch.
    """

    time: Float[Tensor, " time"]
    position: Float[Tensor, "*batch time block"]
    separation: Float[Tensor, "*batch time layer"]  # D_0 = y, D_1, ..., D_{L+1} = 0

    @property
    def load(self) -> Float[Tensor, "*batch time spring"]:
        """Length of each of the L + 1 springs, from the held end to the pulled one."""
        return -self.separation.diff()

    @property
    def curvature(self) -> Float[Tensor, "*batch time"]:
        """Mean second difference of the separation over layers; negative is concave."""
        return (self.load[..., 0] - self.load[..., -1]) / self.position.shape[-1]


@door(origin="theory")
def theory(
    model: SpringBlock,
    time: Float[Tensor, " time"],
    *,
    order: int = 1,
    step: float | None = None,
) -> Chain:
    """Mean positions: every block moves at the mean speed that its mean force gives.

    Without inertia, dx/dt = G(F - mu_R) - G(-F - mu_L) with G(u) = E(u + s zeta)_+ over a normal
    zeta: exact as the time for which a random force lasts goes to zero, with corrections of its
    order, and the motion itself without noise. With inertia (``order`` = 2) the noise is white, of
    strength s sqrt(``step``), and the speed is that of the stationary velocities: good when they
    settle, within a time m, faster than the springs. Raises ValueError on unsorted or negative
    times, and on an inertia without a step.
    """
    _check_order(order, step)
    given = _values(model, time.device)
    k, y, right, left, s, decay, m = (value.double() for value in given)
    # lengths in units of y, forces in units of k y: then one tolerance suits all scales
    right, left, s = (force / (k * y) for force in (right, left, s))
    one = torch.ones_like(y)

    def rate(t: Tensor, x: Tensor) -> Tensor:
        force, shaking = _ends(x, one).diff(n=2), s * torch.exp(-decay * t)
        if order == 1:
            return k * (_slip(force - right, shaking) - _slip(-force - left, shaking))
        return k * _glide(force - right, -force - left, shaking**2 * step / (2 * m))

    start = torch.zeros_like(y).expand(*y.shape[:-1], model.blocks)
    share = solve(rate, start, time, rtol=1e-9, atol=1e-12, bandwidth=1)
    return _chain(time, (y[..., None, :] * share).to(given[0]), given[1])


@door(origin="theory")
def resting(model: SpringBlock) -> Float[Tensor, "*batch block"]:
    """Where a chain without noise comes to rest.

    The n blocks nearest to the pull slide until each is held by mu_R, the others never move:
    x_l = y j / (n + 1) - (mu_R / 2k) j (n + 1 - j) for the j-th of those n. Block n moves if
    n (n + 1) < 2 k y / mu_R. Ignores ``noise``.
    """
    k, y, right, *_ = _values(model)
    block = torch.arange(1, model.blocks + 1, dtype=y.dtype, device=y.device)
    moved = (right * block * (block + 1) <= 2 * k * y).sum(-1, keepdim=True)
    j = (block - model.blocks + moved).clamp(min=0)
    return j * y / (moved + 1) - right / (2 * k) * j * (moved + 1 - j)


@door(origin="theory")
def stationary(model: SpringBlock) -> Float[Tensor, "*batch block"]:
    """Mean positions after a long time with any noise, of either order: F = (mu_R - mu_L) / 2.

    The limit of weak noise and infinite time, not that of no noise: see ``resting``.
    """
    k, y, right, left, *_ = _values(model)
    block = torch.arange(1, model.blocks + 1, dtype=y.dtype, device=y.device)
    springs = model.blocks + 1
    return y * block / springs - (right - left) / (4 * k) * block * (springs - block)


@door(origin="experiment")
def experiment(
    model: SpringBlock,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    members: int,
    step: float,
    order: int = 1,
) -> Chain:
    """Shake ``members`` copies of every chain: positions (*batch, member, time, block).

    A step is v <- S(m v + step (F + s zeta)) / (m + step), x <- x + step v, where S takes the dry
    friction off (a soft threshold, so that a block can stick). ``order`` = 1 leaves out m: blocks
    without inertia. A random force lasts one ``step``, so that ``step`` is physics wherever there
    is noise: it multiplies white noise of strength s sqrt(step). Random forces are a function of
    seed, member and step.

    ``time`` is rounded to whole steps, and the record holds the rounded times. Raises ValueError
    when two times fall on one step, on no members and on a step that is not positive or so long
    that the chain would ring.
    """
    if members < 1:
        raise ValueError(f"members must be at least 1, got {members}: nothing would be shaken")
    _check_order(order, step)
    clock = ticks(time, step)
    # (*batch, member, block)
    k, y, right, left, s, decay, m = (value[..., None] for value in _values(model, time.device))
    m = m if order == 2 else torch.zeros_like(m)
    # a mode of stiffness c < 4 k alternates and grows if c step^2 > 2 (2 m + step)
    if bool((2 * k * step**2 > 2 * m + step).any()):
        raise ValueError(f"step must be shorter for so stiff a chain, got {step:g}: it would ring")
    batch, shaken = y.shape[:-2], bool((s > 0).any())
    chain = y.new_zeros(*batch, members, model.blocks + 2)
    chain[..., -1:] = y
    x, v = chain[..., 1:-1], torch.zeros_like(chain[..., 1:-1])  # x is a view of the chain
    zeta = _normals(draws.Stream(seed, batch.numel() * members, device=y.device), model, y.dtype)
    seen = []
    for n in range(int(clock.record[-1]) + 1):
        if n == clock.record[len(seen)]:
            seen.append(x.clone())
        force = k * (chain[..., 2:] - 2 * x + chain[..., :-2])
        if shaken:
            force += s * torch.exp(-decay * n * step) * next(zeta).reshape(*batch, members, -1)
        v = _soft(m * v + step * force, step * right, step * left) / (m + step)
        x += step * v
    return _chain(clock.time.to(y), torch.stack(seen, -2), y)


def _values(model: SpringBlock, device: torch.device | None = None) -> list[Tensor]:
    """k, y, mu_R, mu_L, s, its decay and m, shaped to multiply positions (*batch, block).

    Numbers alone have no device: theirs is ``device``.
    """
    given = [getattr(model, name) for name in SIGNS]
    tensors = [value for value in given if isinstance(value, Tensor)]
    like = tensors[0] if tensors else torch.zeros((), dtype=torch.float64, device=device)
    try:
        shape = torch.broadcast_shapes(*(value.shape for value in tensors))
    except RuntimeError:
        shapes = [tuple(value.shape) for value in tensors]
        raise ValueError(f"quantities must broadcast to one batch, got {shapes}") from None
    values = (torch.as_tensor(value, dtype=like.dtype, device=like.device) for value in given)
    return [value.expand(shape)[..., None] for value in values]


def _normals(stream: draws.Stream, model: SpringBlock, dtype: torch.dtype) -> Iterator[Tensor]:
    """Fresh normal draws for one step after the other, (member, block) or (member, 1) if shared."""
    shape = (AT_ONCE, 1 if model.shared else model.blocks)
    for batch in count():
        yield from stream.normal("force", batch, shape, dtype=dtype).unbind(-2)


def _check_order(order: int, step: float | None) -> None:
    if order not in (1, 2):
        raise ValueError(f"order must be 1 (no inertia) or 2, got {order}")
    if step is None and order == 2:
        raise ValueError(
            "step must be given for order 2: white noise has the strength s sqrt(step)"
        )
    if step is not None and not (step > 0 and math.isfinite(step)):
        raise ValueError(f"step must be positive and finite, got {step}")


def _slip(u: Tensor, s: Tensor) -> Tensor:
    """G(u) = E(u + s zeta)_+ over a standard normal zeta; (u)_+ itself without noise."""
    s = s.clamp(min=1e-150)  # u / s stays finite, and squared it overflows to a density of 0
    z = u / s
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return s * density + u * torch.special.ndtr(z)


def _glide(right: Tensor, left: Tensor, heat: Tensor) -> Tensor:
    """Mean speed of a block with inertia under the net forces to either side, white noise.

    Velocities have the density exp((right v - v^2/2) / heat) for v > 0 and its mirror image for
    v < 0. Their shares are as H(z) = exp(z^2/2) Phi(z), of which logarithms neither overflow nor
    vanish.
    """
    width = heat.clamp(min=1e-100).sqrt()

    def log_share(force: Tensor) -> Tensor:
        z = force / width
        tail = torch.log(torch.special.erfcx(-z.clamp(max=0) / math.sqrt(2)) / 2)
        return torch.where(z < 0, tail, z**2 / 2 + torch.special.log_ndtr(z))

    share = torch.sigmoid(log_share(right) - log_share(left))
    return right * share - left * (1 - share)


def _soft(force: Tensor, right: Tensor, left: Tensor) -> Tensor:
    """What dry friction leaves of a force: nothing between -left and right."""
    return (force - right).relu() - (-force - left).relu()


def _ends(position: Tensor, pull: Tensor) -> Tensor:
    """The positions with those of both ends, (..., layer)."""
    held, pulled = torch.zeros_like(position[..., :1]), pull.expand_as(position[..., :1])
    return torch.cat([held, position, pulled], -1)


def _chain(time: Tensor, position: Tensor, pull: Tensor) -> Chain:
    pull = pull[..., None, :]  # (*batch, time, block)
    return Chain(time, position, pull - _ends(position, pull))
