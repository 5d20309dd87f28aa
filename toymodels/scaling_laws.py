"""Neural scaling laws: how a loss falls with training time, width and data, and how to pay for it.

A target w.psi of K features with variances lam_k is fitted by N random mixtures of the features,
on P samples, by gradient descent. Both sides of the projection act as in kernel regression: N
neurons, like P samples, can pay for so many modes. Training for a time is a superposition of ridge
regressions with complex ridges z, each solved by one effective ridge kappa(z). Chapter:
``chapters/scaling_laws.md``.

    lam, w     variance of a feature, and the target's coefficient in it: power lam w^2
    N, P       width and samples; either may be infinite
    loss       <(w.psi - f)^2> on fresh inputs, without the noise of labels, without a factor 1/2
    time       number of steps times the step

Source: Bordelon, Atanasov & Pehlevan (2024), arXiv:2402.01092; Paquette, Paquette, Xiao &
Pennington (2024), arXiv:2405.15074, for stochastic descent on fresh data as a Volterra equation.
"""

from dataclasses import dataclass, replace
from math import ceil, inf

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from toymodels.kernel_regression import KernelRegression, effective_ridge
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.contour import NODES, invert, invert_pair, talbot
from toymodels.numerics.door import door
from toymodels.numerics.fixed_point import solve
from toymodels.numerics.quantity import leading_axes_fit, require

Number = float | int
TOLERANCE = 1e-10  # relative, of the complex effective ridge
MOST_NODES = 1200  # of a circle for descent in steps: a flow needs no more than a few dozen
RADIUS = 1e12  # of the circle, to the power of its nodes: the error of descent is its inverse
ROOM = 1.05  # of the circle around the spectrum


@door
@dataclass(frozen=True)
class ScalingLaw:
    """Features, a target, a width, a number of samples; leading axes are independent problems.

    Raises ValueError on variances that are negative or zero throughout, on a width or a number of
    samples below 1, on a degeneracy that is not whole, on a negative noise, and on what is not
    finite but width and samples.
    """

    eigenvalue: Float[Tensor, "*#batch mode"]  # lam >= 0, one or more positive
    target: Float[Tensor, "*#batch mode"]  # w, in the basis of the features: not v = w lam^(1/2)
    width: Number | Float[Tensor, "*#batch"] = inf  # N, random mixtures of features
    samples: Number | Float[Tensor, "*#batch"] = inf  # P; infinite is fresh data at every step
    noise: Number | Float[Tensor, "*#batch"] = 0.0  # variance of the labels' noise
    degeneracy: Num[Tensor, " mode"] | None = None  # m features alike, whole numbers; None is 1

    def __post_init__(self):
        lam = self.eigenvalue
        require("eigenvalue", lam, lam >= 0, "finite and not negative", "it is a variance")
        if not (lam > 0).any(-1).all():
            raise ValueError("eigenvalue must not be zero throughout: nothing could be seen")
        require("target", self.target, self.target == self.target, "finite", "it is fitted")
        for name in ("width", "samples"):
            size = torch.as_tensor(getattr(self, name))
            if not (size >= 1).all():
                raise ValueError(f"{name} must be at least 1, got {size.tolist()}")
        m = self.degeneracy
        if m is not None and not (((m >= 1) & (m == m.round())).all() and m.isfinite().all()):
            raise ValueError(f"degeneracy must be whole numbers from 1, got {m.tolist()}")
        noise = torch.as_tensor(self.noise)
        require("noise", noise, noise >= 0, "finite and not negative", "it is a variance")
        with leading_axes_fit():
            _shape(self)


@dataclass(frozen=True)
class Training:
    """A loss on its way down. Theory and experiment both return this.

    An experiment has one more axis before the times: (*batch, member, time), a member being a draw
    of the mixtures, the data and the noise.
    """

    time: Float[Tensor, " time"]
    loss: Float[Tensor, "*batch time"]  # on fresh inputs, without noise
    train_loss: Float[Tensor, "*batch time"]  # mean square on the noisy labels in use
    residual: Float[Tensor, "*batch time"] | None = None  # theory: relative, of the ridge
    converged: Bool[Tensor, "*batch time"] | None = None  # theory: residual below 1e-10


@dataclass(frozen=True)
class Frontier:
    """The best width and time for a compute, width times time."""

    compute: Float[Tensor, " compute"]
    width: Float[Tensor, "*batch compute"]  # not rounded
    time: Float[Tensor, "*batch compute"]
    loss: Float[Tensor, "*batch compute"]
    interior: Bool[Tensor, "*batch compute"]  # the best width is none of the ends of the search


@dataclass(frozen=True)
class _Bath:
    """A model in float64, with an axis for the moments at which it is looked at."""

    lam: Tensor  # (*batch, 1, mode)
    count: Tensor  # features alike, m
    power: Tensor  # m lam w^2
    per_neuron: Tensor  # 1 / N, (*batch, 1)
    per_sample: Tensor  # 1 / P
    noise: Tensor

    def shares(self, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """sum L and sum L (1 - L) with L = lam / (lam + kappa), for kappa (*batch, moment)."""
        inverse = 1 / (self.lam + kappa[..., None])
        share = self.load * inverse
        return share.sum(-1), kappa * (share * inverse).sum(-1)

    @property
    def load(self) -> Tensor:
        return self.count * self.lam

    def ridge(self, kappa: Tensor, spent: Tensor) -> Tensor:
        """z = kappa (1 - sum L / P) (1 - sum L / N)."""
        return kappa * (1 - self.per_sample * spent) * (1 - self.per_neuron * spent)

    def spare(self, kappa: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """1 - sum L / P and 1 - sum L / N, free of cancellation where they are small."""
        most = torch.maximum(self.per_sample, self.per_neuron)
        ratio = torch.minimum(self.per_sample, self.per_neuron) / most
        ratio = torch.where(most > 0, ratio, 0.0)
        left = z / kappa  # the product of both, while what is spent has this ratio
        scarce = 2 * left / (1 - ratio + ((1 - ratio) ** 2 + 4 * ratio * left).sqrt())
        ample = 1 - ratio * (1 - scarce)
        few_samples = self.per_sample >= self.per_neuron
        return torch.where(few_samples, scarce, ample), torch.where(few_samples, ample, scarce)

    def slope(self, turning: Tensor, left: tuple[Tensor, Tensor]) -> Tensor:
        """d log z / d log kappa."""
        return 1 + turning * (self.per_sample / left[0] + self.per_neuron / left[1])


# Theory


@door(origin="theory")
def theory(
    model: ScalingLaw,
    time: Float[Tensor, " time"],
    *,
    step: float | None = None,
    nodes: int = NODES,
) -> Training:
    """Loss and training loss, exact as modes, width and samples grow together.

    Of gradient flow, or, with a ``step``, of gradient descent at the whole steps nearest to
    ``time``. The theory is off by order 1/N and 1/P, its evaluation by 1e-10 of the start, with
    ``nodes`` on the contour of a flow. Raises ValueError on times that are unsorted or negative,
    on a step close to ``largest_step`` or beyond it, and on a time that is long for steps.
    """
    if step is None:
        check_time(time)
        return _flow(model, time, nodes)
    clock = ticks(time, step)
    ring, weight = _ring(model, step, float(clock.time[-1]))
    bath = _bath(model)
    kappa, residual = _continued(bath, ring)
    left = weight * (1 + step * ring) ** clock.record[:, None]  # (*batch, time, node)
    losses = [
        2 * ((left @ values[..., 0, :, :]) * _mirrored(left)).sum(-1).real
        for values in _correlations(bath, kappa, ring)
    ]
    return _training(model, clock.time, losses, residual)


@door(origin="theory")
def responses(
    model: ScalingLaw, time: Float[Tensor, " time"], *, nodes: int = NODES
) -> Float[Tensor, "*batch time mode"]:
    """H_k(t), what an average over draws has left of mode k: 1 at the start.

    sum lam w^2 H(t)^2 is the loss of an average over infinitely many independent networks, the
    bias; on infinite data sum lam w^2 H(2t) is the loss of a single one.
    """
    check_time(time)
    bath, shape = _bath(model), _shape(model)
    moment = time.double().expand(*shape, len(time))
    z, weight = (part[..., : nodes // 2] for part in talbot(_positive(moment), nodes))
    kappa = _continued(bath, z.flip(-1))[0].flip(-1)[..., None]  # (*batch, time, node, 1)
    left = kappa / (bath.lam[..., None, :] + kappa)
    found = 2 * ((weight / z)[..., None] * left).sum(-2).real
    return torch.where(moment[..., None] > 0, found, 1.0).to(model.eigenvalue.dtype)


@door(origin="theory")
def compute_frontier(
    model: ScalingLaw, compute: Float[Tensor, " compute"], *, rounds: int = 4, nodes: int = 16
) -> Frontier:
    """The width N that makes the loss least at fixed compute C = N t, on infinite data.

    N is sought between 1 and the number of modes, by ``rounds`` of ever finer grids and a parabola
    through the last one; the model's own width is not looked at. Of a power law there must be some
    thirty times as many modes as the best width, else the tail that is cut off is missed.
    Raises ValueError on finite samples, on a compute that is not positive and on no rounds.
    """
    require("compute", compute, compute > 0, "positive and finite", "it buys steps and neurons")
    if not torch.as_tensor(model.samples).isinf().all():
        raise ValueError("samples must be infinite: the frontier is that of fresh data")
    draws.whole_number(rounds, "rounds", 1, "nothing would be sought")
    C, bath = compute.double(), _bath(model)
    most = float(bath.count.sum().log())
    wide = {name: getattr(bath, name)[..., None, :] for name in ("lam", "power")}
    bath = replace(bath, **wide)

    def loss(log_width):  # (*batch, compute, width)
        width = log_width.exp()
        return _fresh(replace(bath, per_neuron=1 / width), C[:, None] / width, nodes)[0]

    shape = torch.broadcast_shapes(bath.lam.shape[:-3], bath.power.shape[:-3])
    middle, gap = C.new_full((*shape, len(C)), most / 2), most / 8
    grid = torch.arange(-4, 5, dtype=C.dtype, device=C.device)
    for _ in range(rounds):
        tried = (middle[..., None] + gap * grid).clamp(0, most)
        found = loss(tried)
        best = found.argmin(-1, keepdim=True)
        middle, gap = tried.gather(-1, best)[..., 0], gap / 4
    interior = (middle > 0) & (middle < most)
    middle = torch.where(interior, middle + 4 * gap * _vertex(found, best), middle)
    parts = (middle.exp(), C / middle.exp(), loss(middle[..., None])[..., 0])
    return Frontier(compute, *(part.to(model.eigenvalue.dtype) for part in parts), interior)


@door(origin="theory")
def largest_step(model: ScalingLaw) -> Float[Tensor, "*batch"]:
    """The step below which gradient descent is stable, 2 over the edge of the average spectrum.

    The edge is the least -z that a real kappa < -lam_1 gives. Where few features stand out, it
    allows for how they scatter: the largest eigenvalue of most draws lies before it.
    """
    return (2 / _edge(model)).to(model.eigenvalue.dtype)


@door(origin="theory")
def online_theory(model: ScalingLaw, step: Float[Tensor, " step"], batch_size: int) -> Training:
    """Stochastic descent on fresh batches of B, with a step h of its own for each update.

    In every direction q of the mixtures, the variance of what is not learned yet obeys
    c' = [(1 - h q)^2 + (h q)^2 / B] c + (h^2 / B) q (loss + noise), for Gaussian features. Nodes
    of a circle around the spectrum stand for the directions. ``time`` is the sum of the steps,
    from 0 on. Raises ValueError on finite samples, on steps that are negative or close to
    ``largest_step``, on too many, on a batch size below 1 and on a loss that overflows.
    """
    _check_online(model, step, batch_size)
    h, bath = step.double(), _bath(model)
    ring, weight = _ring(model, float(h.max()), 2 * float(h.sum()))
    kappa, residual = _continued(bath, ring)
    spent = (bath.load[..., None, :] / (bath.lam[..., None, :] + kappa[..., None])).sum(-1)
    start = (weight * _unlearned(bath, kappa, ring))[..., 0, :]  # (*batch, node)
    kick = (weight * (bath.load.sum(-1)[..., None] - ring * spent))[..., 0, :]  # sum q^2 / (z + q)
    z = ring[..., 0, :]
    mean, spread = torch.ones_like(start), torch.zeros_like(start)
    losses = [2 * start.sum(-1).real]
    for each in h:
        factor = (1 + each * z) ** 2 + (each * z) ** 2 / batch_size
        poured = each**2 / batch_size * (losses[-1] + bath.noise[..., 0])
        mean, spread = factor * mean, factor * spread + poured[..., None]
        losses.append(2 * (start * mean + kick * spread).sum(-1).real)
    loss = torch.stack(losses, dim=-1)
    require("step", loss, loss == loss, "small enough", "with this one the loss overflows")
    time = torch.cat([h.new_zeros(1), h.cumsum(0)]).to(model.eigenvalue.dtype)
    return _training(model, time, [loss, loss + bath.noise], residual)


@door
def power_law_shells(
    source: float, capacity: float, modes: int = 1_000_000, *, ratio: float = 1.1
) -> ScalingLaw:
    """lam = k^-capacity and lam w^2 = k^-source for k = 1 ... ``modes``, in a few hundred shells.

    The first modes stand alone; further out, those within a factor ``ratio`` share the mean of
    variance and power. Sums over shells are those over modes up to order (ratio - 1)^2.
    Raises ValueError on exponents that are not above 1, on no modes and on a ratio not above 1.
    """
    for name, value in (("source", source), ("capacity", capacity), ("ratio", ratio)):
        if not 1 < value < inf:
            raise ValueError(f"{name} must be above 1 and finite, got {value:g}")
    draws.whole_number(modes, "modes", 1, "there is nothing to learn")
    edge = [0]
    while edge[-1] < modes:
        edge.append(min(max(edge[-1] + 1, int(ratio * edge[-1])), modes))
    first, last = torch.tensor(edge[:-1]).double(), torch.tensor(edge[1:]).double()

    def averaged(exponent):  # over a shell, as an integral between half-integers
        low, high = first + 0.5, last + 0.5
        mean = (low ** (1 - exponent) - high ** (1 - exponent)) / (exponent - 1) / (last - first)
        return torch.where(last - first > 1, mean, last**-exponent)

    lam = averaged(capacity)
    return ScalingLaw(lam, (averaged(source) / lam).sqrt(), degeneracy=last - first)


# Experiment


@door(origin="experiment")
def experiment(
    model: ScalingLaw,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    members: int,
    step: float | None = None,
    chunk: int = 50,
) -> Training:
    """Train ``members`` networks on data of their own; nothing of ``theory`` is used.

    The readout of N drawn mixtures descends the training loss of P drawn samples, along the flow
    or in steps: in the singular vectors of the samples' mixtures each mode of the readout moves
    by itself, exactly. Problems of a batch share their draws, narrow networks being the first
    neurons of wide ones. ``chunk`` members are trained at once.

    Raises ValueError as ``theory`` does on times, on no members, on widths and samples that are
    fractional, and on a batch in which some are finite and others not.
    """
    draws.whole_number(seed, "seed")
    for name, value in (("members", members), ("chunk", chunk)):
        draws.whole_number(value, name, 1, "there is nothing to train")
    if step is None:
        check_time(time)
    else:
        time = ticks(time, step).time
    parts = [
        _trained(model, time, step, seed, first, min(chunk, members - first))
        for first in range(0, members, chunk)
    ]
    return Training(time, *(torch.cat(part, dim=-2) for part in zip(*parts, strict=True)))


@door(origin="experiment")
def online_experiment(
    model: ScalingLaw, step: Float[Tensor, " step"], batch_size: int, *, seed: int, members: int
) -> Training:
    """Stochastic descent of ``members`` networks, each on fresh batches of its own.

    Nothing of ``online_theory`` is used. Losses are exact averages over fresh inputs, the training
    loss is that of the batch about to be used, averaged likewise. Refuses as ``online_theory``.
    """
    _check_online(model, step, batch_size)
    draws.whole_number(seed, "seed")
    draws.whole_number(members, "members", 1, "there is nothing to train")
    lam, w, noise = _features(model)
    options = {"dtype": lam.dtype, "device": lam.device}
    size = _sizes(model, "width")
    mixtures = _rows(size, lam.shape[-1], seed, "neurons", members, 0, options)
    stream = draws.Stream(seed, members, device=lam.device)
    missed = w.expand(*_shape(model), members, lam.shape[-1])
    losses = [(lam * missed**2).sum(-1)]
    for k, each in enumerate(step):
        psi = lam.sqrt()[..., None, :] * stream.normal("inputs", k, (batch_size, lam.shape[-1])).to(
            lam
        )
        label_noise = noise.sqrt() * stream.normal("noise", k, (batch_size,)).to(lam)
        residual = (psi @ missed[..., None])[..., 0] + label_noise
        slope = (residual[..., None, :] @ psi)[..., 0, :] / batch_size
        if mixtures is not None:
            slope = ((mixtures @ slope[..., None]).mT @ mixtures)[..., 0, :]
        missed = missed - each * slope
        losses.append((lam * missed**2).sum(-1))
    loss = torch.stack(losses, dim=-1)
    time = torch.cat([step.new_zeros(1), step.cumsum(0)])
    return Training(time, loss, loss + noise)


def _trained(
    model: ScalingLaw, time: Tensor, step: float | None, seed: int, first: int, count: int
) -> tuple[Tensor, Tensor]:
    """Loss and training loss of members ``first`` to ``first + count``, (*batch, member, time)."""
    lam, w, noise = _features(model)
    modes, options = lam.shape[-1], {"dtype": lam.dtype, "device": lam.device}
    neurons, samples = _sizes(model, "width"), _sizes(model, "samples")
    mixtures = _rows(neurons, modes, seed, "neurons", count, first, options)
    inputs = _rows(samples, modes, seed, "inputs", count, first, options)
    if inputs is None:  # every feature once, with its weight
        inputs, spoiled = torch.eye(modes, **options), 0.0
    else:
        rows = inputs.shape[-2]
        seen = (inputs[..., 0] != 0) / samples[..., None, None].to(lam).sqrt()
        spoiled = (
            noise.sqrt()
            * seen
            * draws.normal(seed, "noise", count, (rows,), first=first, **options)
        )
    inputs = inputs * lam.sqrt()[..., None, :]  # (*batch, member, sample, mode)
    label = (inputs @ w[..., None])[..., 0] + spoiled
    design = inputs if mixtures is None else inputs @ mixtures.mT
    design = design.expand(*_shape(model), count, *design.shape[-2:])
    left, strength, right = torch.linalg.svd(design, full_matrices=False)
    right = right if mixtures is None else right @ mixtures
    known = (label[..., None, :] @ left)[..., 0, :]  # (*batch, member, rank)
    rest, gone = _decay((strength**2)[..., None, :], time[:, None], step)
    learned = gone * (known / strength.clamp(min=1e-12))[..., None, :]
    loss = (lam[..., None, :] * (w[..., None, :] - learned @ right) ** 2).sum(-1)
    out_of_reach = ((label**2).sum(-1) - (known**2).sum(-1)).clamp(min=0)
    train = out_of_reach[..., None] + ((rest * known[..., None, :]) ** 2).sum(-1)
    return loss, train if _finite(samples) else train + noise


def _decay(rate: Tensor, time: Tensor, step: float | None) -> tuple[Tensor, Tensor]:
    """What a flow or steps leave of a mode, and 1 less that, exact for small rates too."""
    if step is None:
        return torch.exp(-rate * time), -torch.expm1(-rate * time)
    count = (time / step).round()
    rest = (1 - step * rate) ** count
    slow = -torch.expm1(count * torch.log1p(-(step * rate).clamp(max=0.5)))
    return rest, torch.where(step * rate < 0.5, slow, 1 - rest)


# What both sides of the theory stand on


def _flow(model: ScalingLaw, time: Tensor, nodes: int) -> Training:
    """Gradient flow: one contour on infinite data, else one for each of two times."""
    bath, shape = _bath(model), _shape(model)
    moment = _positive(time.double()).expand(*shape, len(time))
    start = bath.power.sum(-1)
    if torch.as_tensor(model.samples).isinf().all():
        loss, residual = _fresh(bath, moment, nodes)
        losses = [loss, loss + bath.noise]
    else:
        residuals = []

        def transform(z, _):  # the other variable has the same nodes and their conjugates
            z = z[0, ..., 0].flip(-1)  # (*batch, time, node), the nearest to the real axis first
            kappa, residual = _continued(bath, z)
            residuals.append(residual)
            return torch.stack(_correlations(bath, kappa.flip(-1), z.flip(-1)))

        both = moment.expand(2, *moment.shape)
        losses, (residual,) = list(invert_pair(transform, both, both, nodes)), residuals
    for k, before in enumerate((start, start + bath.noise)):
        losses[k] = torch.where(time > 0, losses[k], before)
    return _training(model, time, losses, residual)


def _fresh(bath: _Bath, time: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """sum lam w^2 H(2t), the loss on infinite data, for time (*batch, time); and the residual."""
    residuals = []

    def transform(z):
        kappa, residual = _continued(bath, z.flip(-1))
        residuals.append(residual)
        return _unlearned(bath, kappa.flip(-1), z)

    loss = invert(transform, 2 * time, nodes)
    return loss, residuals[0]


def _unlearned(bath: _Bath, kappa: Tensor, z: Tensor) -> Tensor:
    """sum lam w^2 H(z), one mode and one node after the other: (*batch, time, node)."""
    share = (bath.power[..., None, :] / (bath.lam[..., None, :] + kappa[..., None])).sum(-1)
    return kappa / z * share


def _correlations(bath: _Bath, kappa: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Double transforms of loss and training loss, (*batch, time, node, both half planes)."""
    inverse = 1 / (bath.lam[..., None, :] + kappa[..., None])  # (*batch, time, node, mode)
    other = _mirrored(inverse.mT)

    def total(weight):
        return (weight[..., None, :] * inverse) @ other

    def product(x):
        return x[..., :, None] * _mirrored(x)[..., None, :]

    neuron, sample, noise = (
        part[..., None, None] for part in (bath.per_neuron, bath.per_sample, bath.noise)
    )
    overlap, square = total(bath.load), total(bath.load * bath.lam)
    open_neurons, kk, zz = 1 - neuron * square, product(kappa), product(z)
    bottleneck = (1 - sample * square) * open_neurons - kk * overlap**2 * sample * neuron
    missed = total(bath.power) * open_neurons + neuron * overlap * total(bath.lam * bath.power)
    spare = bath.spare(kappa.movedim(-1, 0), z.movedim(-1, 0))[0].movedim(0, -1)
    test = (kk * missed + noise * open_neurons) / (bottleneck * zz)  # on noisy labels
    return test - noise / zz, product(spare) * test


def _continued(bath: _Bath, z: Tensor) -> tuple[Tensor, Tensor]:
    """kappa(z) along nodes (*batch, time, node) that start near the positive real axis.

    Newton's method in log kappa on log z, each node from the one before; and the last correction.
    """
    at = z[..., 0].abs()
    kappa = _real(bath, at).to(z.dtype)
    found, worst = [], torch.zeros_like(at)
    for node in z.unbind(-1):
        slope = bath.slope(bath.shares(kappa)[1], bath.spare(kappa, at))
        kappa = kappa * torch.exp(torch.log(node / at) / slope)
        for _ in range(8):
            spent, turning = bath.shares(kappa)
            slope = bath.slope(turning, bath.spare(kappa, node))
            move = torch.log(node / bath.ridge(kappa, spent)) / slope
            move = torch.where(move.isfinite(), move, 0.0)  # z far below rounding: kappa rests
            kappa = kappa * torch.exp(move)
            if (move.abs() < 1e-14).all():
                break
        worst = torch.maximum(worst, move.abs())
        found.append(kappa)
        at = node
    return torch.stack(found, dim=-1), worst


def _real(bath: _Bath, z: Tensor) -> Tensor:
    """kappa at real z > 0, (*batch, time), above the static one of kernel regression."""

    def ratio(kappa):
        spent, turning = bath.shares(kappa)
        per = bath.per_sample, bath.per_neuron
        left = tuple((1 - each * spent).clamp(min=1e-30) for each in per)
        return z / (kappa * left[0] * left[1]), -bath.slope(turning, left)

    total = bath.load.sum(-1) * (bath.per_sample + bath.per_neuron)
    return solve(ratio, torch.maximum(_static(bath), z), z + total).solution


def _static(bath: _Bath) -> Tensor:
    """kappa at z = 0: that of kernel regression on the fewer of samples and neurons."""
    rank = float(bath.count.sum())
    fewer = (1 / torch.maximum(bath.per_neuron, bath.per_sample)).clamp(max=rank)
    sizes, place = fewer.unique(return_inverse=True)
    lam = bath.lam[..., 0, :]
    kernel = KernelRegression(lam, lam, degeneracy=bath.count)
    found = effective_ridge(kernel, sizes).solution  # (*batch, size)
    shape = torch.broadcast_shapes(found.shape[:-1], place.shape[:-1])
    return found.expand(*shape, -1).gather(-1, place.expand(*shape, -1))


def _edge(model: ScalingLaw) -> Tensor:
    """The largest eigenvalue of the dynamics: where d z / d kappa = 0 beyond the poles."""
    bath = _bath(model)
    top = bath.lam.amax(-1)  # (*batch, 1)
    crowd = bath.load.sum(-1) * (bath.per_neuron + bath.per_sample)
    low, high = (1e-13 * top).log(), (2 * top + 8 * crowd).log()
    low, high = torch.broadcast_tensors(low, high)
    for _ in range(60):
        middle = (low + high) / 2
        kappa = -top - middle.exp()
        spent, turning = bath.shares(kappa)
        left = 1 - bath.per_sample * spent, 1 - bath.per_neuron * spent
        inside = bath.slope(turning, left) < 0
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    kappa = -top - high.exp()
    return -bath.ridge(kappa, bath.shares(kappa)[0])[..., 0]


def _ring(model: ScalingLaw, step: float, time: float) -> tuple[Tensor, Tensor]:
    """Half of a circle around the spectrum, (*batch, 1, node), and weights.

    The sum over the whole circle of weight p(z) F(z) is the sum of p(-q) over the poles -q of F,
    where p is a product of factors 1 + h z whose steps h add up to ``time``.
    """
    edge = _edge(model)
    if not bool((step * edge * ROOM < 2).all()):
        raise ValueError(
            f"step must be below {float(2 / ROOM / edge.max()):g}, got {step:g}: close to 2 over "
            "the largest eigenvalue descent diverges"
        )
    reach = ROOM * float(edge.max()) / 2  # times h: how far a step turns its factor
    nodes = 64 + 4 * ceil(reach * time)
    if nodes > MOST_NODES:
        raise ValueError(
            f"time must be below {(MOST_NODES - 64) / 4 / reach:.3g} for descent in steps, "
            f"got {time:g}: take a flow, without a step"
        )
    angle = torch.pi * (2 * torch.arange(nodes // 2, dtype=torch.float64, device=edge.device) + 1)
    zeta = torch.polar(torch.full_like(angle, RADIUS ** (1 / nodes)), angle / nodes)
    scale = (ROOM * edge / 2)[..., None, None]
    return scale * (zeta - 1), scale * zeta / nodes


def _mirrored(x: Tensor) -> Tensor:
    """Nodes of one half plane, followed by those of the other, their conjugates."""
    return torch.cat([x, x.conj().flip(-1)], dim=-1)


def _vertex(found: Tensor, best: Tensor) -> Tensor:
    """Where the parabola through the best of a row and its neighbors is least, in grid steps."""
    last = found.shape[-1] - 1
    left, middle, right = (
        found.gather(-1, (best + shift).clamp(0, last))[..., 0] for shift in (-1, 0, 1)
    )
    bend = left - 2 * middle + right
    return torch.where(bend > 0, (left - right) / (2 * bend), 0.0).clamp(-1, 1)


def _training(model: ScalingLaw, time: Tensor, losses: list[Tensor], residual: Tensor) -> Training:
    """The record in the precision of the model, on all axes of its batch."""
    shape = (*_shape(model), len(time))
    parts = [part.expand(shape).to(model.eigenvalue.dtype) for part in losses]
    residual = residual.expand(shape)
    return Training(time, *parts, residual.to(parts[0]), residual <= TOLERANCE)


def _bath(model: ScalingLaw) -> _Bath:
    lam, w = model.eigenvalue.double(), model.target.double()
    m = lam.new_ones(lam.shape[-1]) if model.degeneracy is None else model.degeneracy.to(lam)
    size, samples, noise = (
        torch.as_tensor(getattr(model, name), dtype=torch.float64, device=lam.device)[..., None]
        for name in ("width", "samples", "noise")
    )
    power = (m * lam * w**2)[..., None, :]
    return _Bath(lam[..., None, :], m, power, 1 / size, 1 / samples, noise)


def _shape(model: ScalingLaw) -> tuple[int, ...]:
    numbers = (torch.as_tensor(x).shape for x in (model.width, model.samples, model.noise))
    return torch.broadcast_shapes(model.eigenvalue.shape[:-1], model.target.shape[:-1], *numbers)


def _features(model: ScalingLaw) -> tuple[Tensor, Tensor, Tensor]:
    """lam, w, one entry per feature, and the noise with an axis of its own, (*batch, 1, mode)."""
    lam, w = model.eigenvalue, model.target
    if model.degeneracy is not None:
        lam, w = (part.repeat_interleave(model.degeneracy.long(), dim=-1) for part in (lam, w))
    noise = torch.as_tensor(model.noise, dtype=lam.dtype, device=lam.device)
    return lam[..., None, :], w[..., None, :], noise[..., None, None]


def _sizes(model: ScalingLaw, name: str) -> Tensor:
    """Widths or samples of an experiment: all whole, or all infinite."""
    size = torch.as_tensor(getattr(model, name), device=model.eigenvalue.device).double()
    if size.isinf().any() != size.isinf().all():
        raise ValueError(f"{name} must be finite or infinite for the whole batch of an experiment")
    if not (size.isinf() | (size == size.round())).all():
        raise ValueError(f"{name} must be whole in an experiment, got {size.tolist()}")
    return size


def _finite(size: Tensor) -> bool:
    return not bool(size.isinf().any())


def _rows(
    size: Tensor, modes: int, seed: int, what: str, count: int, first: int, options: dict
) -> Tensor | None:
    """Normal rows over the root of their number, (*batch, member, row, mode); None is infinite.

    A problem with fewer rows than another has the first ones, and zeros in place of the others.
    """
    if not _finite(size):
        return None
    rows = int(size.max())
    drawn = draws.normal(seed, what, count, (rows, modes), first=first, **options)
    used = torch.arange(rows, device=drawn.device) < size[..., None]  # (*batch, row)
    scale = used / size[..., None].sqrt()
    return drawn * scale[..., None, :, None].to(drawn)


def _positive(time: Tensor) -> Tensor:
    return torch.where(time > 0, time, 1.0)


def _check_online(model: ScalingLaw, step: Tensor, batch_size: int) -> None:
    require("step", step, step >= 0, "finite and not negative", "descent goes down")
    if not torch.as_tensor(model.samples).isinf().all():
        raise ValueError("samples must be infinite: every batch is fresh")
    draws.whole_number(batch_size, "batch_size", 1, "nothing is learned")
