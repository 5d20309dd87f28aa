"""Residual networks of any depth: what keeps training the same when layers are added.

    h^0 = W^0 x / sqrt(D),  h^l = h^{l-1} + c W^l h^{l-1} / sqrt(N),  l = 1 ... L,
    f = w.h^L / (gamma_0 N),  c = beta / L^alpha

descends (1/2) (y - f)^2 in steps eta gamma_0^2 N, times L^(2 alpha - 1) in the branches. With one
sample of K_x = x.x / D and N = infinity a neuron is a Gaussian process, the same neuron in all
layers. With e = gamma_0 eta, Delta = y - f and E = e beta^2 / L

    h^0(t)     = u^0 + e K_x sum_{s<t} Delta(s) g^0(s)
    h^l(t)     = h^{l-1}(t) + c u^l(t) + sum_{s<t} [c a^l(t,s) + E Delta(s) H^{l-1}(t,s)] g^l(s)
    g^{l-1}(t) = g^l(t) + c r^l(t) + sum_{s<t} [c b^l(t,s) + E Delta(s) G^l(t,s)] h^{l-1}(s)
    g^L(t)     = w + e sum_{s<t} Delta(s) h^L(s),   f = <g^L h^L> / gamma_0

    H^l = <h^l h^l> and u^l ~ N(0, H^{l-1});  G^l = <g^l g^l> and r^l ~ N(0, G^l)
    a^l = d h^{l-1} / d r^l and b^l = d g^l / d u^l, responses

A response is itself of order c, because what it answers came through the branch. The equations are
exact for gradient descent in steps, and are marched as in ``limits.field_theory``, whose layers
have no skips. A neuron is kept as its weights on all sources u^0, w, u^l(t), r^l(t).

Nonlinear networks, with branches of one matrix or two, are trained only: ``transfer`` looks for the
best learning rate under four ``SCALINGS``. Chapter: ``chapters/residual_depth.md``.

Source: Bordelon, Noci, Li, Hanin & Pehlevan (2023), arXiv:2309.16620. The linear network on one
sample, in steps, is this book's reduction.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.networks.activation import spread
from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Perceptron
from toymodels.networks.parameterization import (
    Parameterization,
    mean_field,
    residual,
    standard,
)
from toymodels.networks.rules import GradientDescent
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.estimate import Estimate
from toymodels.numerics.quantity import require
from toymodels.sweeps.store import read

STORED = Path(__file__).parent / "results" / "residual_depth"


@door
@dataclass(frozen=True)
class ResidualLinear:
    """A linear residual network and its one sample; numbers may be tensors that broadcast.

    Raises ValueError on less than one branch, and on numbers that are not finite, or not positive
    where they are a size.
    """

    depth: int  # L, the number of branches
    branch: float | Float[Tensor, "*#batch"] = 1.0  # beta
    exponent: float | Float[Tensor, "*#batch"] = 0.5  # alpha
    richness: float | Float[Tensor, "*#batch"] = 1.0  # gamma_0
    input_norm: float | Float[Tensor, "*#batch"] = 1.0  # K_x = x.x / D
    label: float | Float[Tensor, "*#batch"] = 1.0  # y

    def __post_init__(self):
        draws.whole_number(self.depth, "depth", 1, "a residual network has branches")
        numbers = dict(zip(NUMBERS, self.numbers, strict=True))
        for name, why in SIZES.items():
            require(name, numbers[name], numbers[name] > 0, "positive", why)
        for name in ("exponent", "label"):
            require(name, numbers[name], numbers[name].isfinite(), "finite", "it is a number")

    @property
    def numbers(self) -> list[Tensor]:
        """branch, exponent, richness, input_norm and label of every problem, (*batch,) each."""
        given = [getattr(self, name) for name in NUMBERS]
        like = next((x for x in given if isinstance(x, Tensor)), torch.zeros(()))
        each = [torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in given]
        return list(torch.broadcast_tensors(*each))

    @property
    def scale(self) -> Float[Tensor, "*batch"]:
        """c, by which the branches are multiplied."""
        branch, exponent = self.numbers[:2]
        return branch * float(self.depth) ** -exponent


NUMBERS = ("branch", "exponent", "richness", "input_norm", "label")
SIZES = {
    "branch": "without branches there is no depth",
    "richness": "lazy is its limit 0",
    "input_norm": "a network must see its input",
}


@dataclass(frozen=True)
class Residual:
    """A course of training; networks of an experiment come along one more axis, before time."""

    step: Int[Tensor, " time"]
    prediction: Float[Tensor, "*batch time"]
    feature: Float[Tensor, "*batch layer time time"] | None  # H^l, l = 0 ... L
    gradient: Float[Tensor, "*batch layer time time"] | None  # G^l, l = 0 ... L
    tangent: Float[Tensor, "*batch time"] | None  # K, which moves the prediction


@door(origin="theory")
def theory(model: ResidualLinear, steps: int, *, step: float, echoes: bool = True) -> Residual:
    """Training at infinite width, at steps 0 to ``steps`` of size ``step`` (eta): exact.

    Without ``echoes`` the way down has weights of its own: no response of a field to noise counts.
    Takes 32 (depth steps)^2 bytes per problem. Raises FloatingPointError when training diverges.
    """
    march = _March(model, steps, step, echoes)
    for t in range(steps + 1):
        march.rise(t)
        march.fall(t)
    found = _record(model, march.prediction, march.feature, march.gradient)
    if not found.prediction.isfinite().all():
        raise FloatingPointError("training must stay finite: use a smaller step")
    return found


@door(origin="theory")
def continuum(model: ResidualLinear, steps: int, *, step: float) -> Residual:
    """``theory`` at infinite depth, seen at ``depth`` + 1 equally spaced layers.

    A parabola in 1 / L through the depths L, 2 L and 4 L, L = ``model.depth``, is drawn to 0: the
    error is of order L^-3. Every exponent above 1/2 has the limit of exponent 1, where it is
    computed. Raises ValueError on exponents below 1/2, where there is no limit.
    """
    exponent = model.numbers[1]
    require("exponent", exponent, exponent >= 0.5, "at least 1/2", "kernels would grow for ever")
    limit = torch.where(exponent > 0.5, torch.ones_like(exponent), exponent)
    ends = {}
    for each, share in ((1, 1 / 3), (2, -2.0), (4, 8 / 3)):
        deeper = replace(model, depth=each * model.depth, exponent=limit)
        found = theory(deeper, steps, step=step)
        for name in ("prediction", "feature", "gradient", "tangent"):
            part = getattr(found, name)
            part = part[..., ::each, :, :] if name in ("feature", "gradient") else part
            ends[name] = ends.get(name, 0) + share * part
    return Residual(found.step, **ends)


@door(origin="theory")
def start_kernel(model: ResidualLinear) -> Float[Tensor, "*batch"]:
    """The tangent kernel before training, K_x [2 (1 + c^2)^L + beta^2 (1 + c^2)^(L-1)].

    One step takes the prediction from 0 to eta y times it.
    """
    branch, norm, growth = model.numbers[0], model.numbers[3], 1 + model.scale.square()
    return norm * growth ** (model.depth - 1) * (2 * growth + branch.square())


@door(origin="experiment")
def experiment(
    model: ResidualLinear,
    steps: int,
    *,
    step: float,
    seed: int,
    width: int,
    members: int,
    kernels: bool = True,
) -> Residual:
    """Train ``members`` networks of ``width`` neurons; they are the last batch axis.

    What a network says before training is subtracted, from its predictions and in its loss. Unless
    ``kernels`` is False all signals are kept, 16 width depth steps bytes a network; else feature,
    gradient and tangent are None. Raises FloatingPointError when training diverges.
    """
    weights, network, rates, inputs = _networks(model, seed, width, members)
    _check_steps(steps, step)
    said = network(weights, inputs)
    look = {"prediction": State.outputs} | ({"signals": _signals} if kernels else {})
    labels = model.numbers[4][..., None, None, None] + said
    done = train(
        weights,
        Samples(inputs, labels),
        network=network,
        rule=GradientDescent([step * rate for rate in rates]),
        record=torch.arange(steps + 1),
        observe=look,
    ).require_finite()
    seen = done.observed
    prediction = (seen["prediction"] - said[..., None, :, :])[..., 0, 0]
    if not kernels:
        return Residual(done.step, prediction, None, None, None)
    # (*batch, member, time, 2, layer, neuron), to (..., 2, layer, time, neuron)
    signals = seen["signals"].movedim(-4, -2)
    feature, gradient = (signals @ signals.mT / width).unbind(-4)
    return _record(model, prediction, feature, gradient)


Scaling = Callable[[Sequence[int], int], Parameterization]  # of widths and matrices in a branch
SCALINGS: dict[str, Scaling] = {
    "standard": lambda widths, block: standard(widths),
    "width only": lambda widths, block: mean_field(widths, 1.0),
    "exponent 1/2": lambda widths, block: residual(widths, 1.0, exponent=0.5, block=block),
    "exponent 1": lambda widths, block: residual(widths, 1.0, exponent=1.0, block=block),
}


@door
@dataclass(frozen=True)
class Lesson:
    """A fixed task for networks of all sizes: normal inputs, labels a.x + (a.x)(b.x), unit size."""

    inputs: int = 8
    samples: int = 64
    steps: int = 20
    seed: int = 0

    def __post_init__(self):
        for name in ("inputs", "samples", "steps"):
            draws.whole_number(getattr(self, name), name, 1, "there would be nothing to learn")

    def draw(self) -> Samples:
        """Inputs and labels in single precision, which suffices for a learning rate."""
        kind = {"dtype": torch.float32}
        x = draws.normal(self.seed, "inputs", 1, (self.samples, self.inputs), **kind)[0]
        teacher = draws.normal(self.seed, "teacher", 1, (2, self.inputs), **kind)[0]
        a, b = (x @ teacher.mT / self.inputs**0.5).split(1, -1)
        y = a + a * b
        return Samples(x, y / y.square().mean().sqrt())


@door(origin="experiment")
def transfer(
    scaling: str,
    log_rate: Float[Tensor, " rate"],
    *,
    depth: int,
    width: int,
    block: int = 1,
    seed: int,
    members: int,
    lesson: Lesson = Lesson(),  # noqa: B008 (frozen)
) -> Float[Tensor, "rate member"]:
    """Loss of ReLU networks, its mean over the steps of a lesson, at the rates 2^log_rate.

    Every rate starts from the same networks; what they say before training is subtracted. Infinite
    where training diverges. Raises ValueError on a scaling that is none of ``SCALINGS``.
    """
    trained = _lessons(scaling, log_rate, depth, width, block, seed, members, lesson)[0]
    loss = trained.observed["loss"][..., 1:].mean(-1)
    return torch.where(trained.finite[..., -1], loss, torch.inf)


@door(origin="experiment")
def learned(
    scaling: str,
    log_rate: float,
    *,
    depth: int,
    width: int,
    block: int = 1,
    seed: int,
    members: int,
    lesson: Lesson = Lesson(),  # noqa: B008
) -> Float[Tensor, "member matrix"]:
    """What the matrices of a branch have learned, over what they started with.

    Root mean square of (W(T) - W(0)) phi over that of W(0) phi, over samples, neurons and branches,
    with the signals phi after training; first matrix of a branch first. Raises FloatingPointError
    when training diverges.
    """
    job = scaling, torch.tensor([log_rate]), depth, width, block, seed, members, lesson
    trained, network, start, data = _lessons(*job)
    end = trained.require_finite().weights
    signals = network.features(end, data.inputs)
    shares = []
    for k in range(block):
        squares = 0
        for layer in range(1 + k, len(end) - 1, block):
            parts = end[layer] - start[layer], start[layer]
            both = torch.stack([signals[layer - 1] @ w.mT for w in parts], -3)
            squares = squares + both.square().mean((-2, -1))[0]  # (member, 2)
        shares.append((squares[:, 0] / squares[:, 1]).sqrt())
    return torch.stack(shares, -1)


@door
def optimum(
    log_rate: Float[Tensor, " rate"], loss: Float[Tensor, "*batch rate"], *, reach: float = 1.5
) -> Float[Tensor, "*batch"]:
    """The best log2 of a learning rate: the lowest point of a parabola in the log of the loss.

    It is fitted to rates within ``reach`` of the lowest loss with a loss below e times it. Raises
    ValueError where the lowest loss is at an end, or that of the last rate before divergence.
    """
    y = torch.where(loss.isfinite(), loss, torch.inf).log()
    low, k = y.min(-1, keepdim=True)
    inside = (k > 0) & (k < len(log_rate) - 1)
    after = y.gather(-1, (k + 1).clamp(max=len(log_rate) - 1))
    if not bool((inside & after.isfinite() & low.isfinite()).all()):
        raise ValueError(
            "log_rate must reach beyond the lowest loss on both sides, got it at the edge of what "
            "was tried, or of divergence: no parabola can be drawn"
        )
    x = log_rate - log_rate[k]
    kept = (x.abs() <= reach + 1e-6) & (y <= low + 1)
    kept = kept | ((torch.arange(len(log_rate), device=k.device) - k).abs() <= 1)
    weight, height = kept.to(y), torch.where(kept, y, 0.0)
    powers = torch.stack([x**n for n in range(5)], -1) * weight[..., None]
    moment = powers.sum(-2)
    place = torch.arange(3, device=k.device)
    left = moment[..., place[:, None] + place]
    right = (powers[..., :3] * height[..., None]).sum(-2)
    _, tilt, bend = torch.linalg.solve(left.double(), right.double()).unbind(-1)
    return (log_rate[k[..., 0]] - tilt / (2 * bend)).to(loss.dtype)


@door
def best_rate(
    log_rate: Float[Tensor, " rate"], loss: Float[Tensor, "rate member"], *, reach: float = 1.5
) -> Estimate:
    """``optimum`` of the geometric mean over members of ``transfer``, and its jackknife error."""
    y = loss.log()
    n = y.shape[-1]
    whole = optimum(log_rate, y.mean(-1).exp(), reach=reach)
    others = (y.sum(-1, keepdim=True) - y) / (n - 1)
    each = optimum(log_rate, others.mT.exp(), reach=reach)
    error = ((n - 1) * each.var(0, correction=0)).sqrt()
    return Estimate(whole, error, n)


@dataclass(frozen=True)
class Stored:
    """Sweeps that took minutes, and where they come from."""

    origin: dict  # script, seed, date, versions, settings
    valleys: dict[tuple[str, int, int, int], dict[str, Tensor]]  # scaling, block, depth, width


@door(origin="experiment")
def stored(folder: Path = STORED) -> Stored:
    """What ``tools/figures_depth.py`` computed last. Raises ValueError on a damaged file."""
    origin, valleys = {}, {}
    for file in sorted(folder.glob("*.point")):
        header, fields = read(file)
        point = header["point"]
        key = tuple(point[name] for name in ("scaling", "block", "depth", "width"))
        valleys[key] = {name: torch.from_numpy(x).double() for name, x in fields.items()}
        origin = header["code"] | {"date": header["date"]}
    return Stored(origin, valleys)


def _lessons(scaling, log_rate, depth, width, block, seed, members, lesson):
    """Networks trained at all rates, (rate, member); the network, its start and the samples."""
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {list(SCALINGS)}, got {scaling!r}")
    least = {"depth": depth, "width": width, "block": block, "members": members}
    for name, value in least.items():
        draws.whole_number(value, name, 1, "nothing would be trained")
    where, batch = log_rate.device, (len(log_rate), members)
    data = lesson.draw().each(lambda x: x.to(where), lambda x: x)
    sizes = SCALINGS[scaling]([lesson.inputs, *[width] * (depth * block + 1), 1], block)
    start = sizes.start(members, seed=seed, dtype=torch.float32, device=where)
    start = [w.expand(len(log_rate), *w.shape) for w in start]
    network = Perceptron(torch.relu, sizes.multiplier, residual=True, block=block)
    rate = 2 ** log_rate.float()[:, None].expand(batch)
    trained = train(
        start,
        replace(data, labels=data.labels + network(start, data.inputs)),
        network=network,
        rule=GradientDescent([rate * factor for factor in sizes.rate]),
        record=torch.arange(lesson.steps + 1),
        observe={"loss": State.losses},
    )
    return trained, network, start, data


def _networks(model: ResidualLinear, seed: int, width: int, members: int):
    """Weights (*batch, member, out, in), the network, its rates and its one input."""
    for name, value in (("width", width), ("members", members)):
        draws.whole_number(value, name, 1, "nothing would be trained")
    branch, exponent, richness, norm, _ = (x[..., None] for x in model.numbers)
    batch = (*branch.shape[:-1], members)
    branch, exponent, richness = (x.expand(batch) for x in (branch, exponent, richness))
    widths = [1, *[width] * (model.depth + 1), 1]
    sizes = residual(widths, richness, branch=branch, exponent=exponent)
    where = {"dtype": norm.dtype, "device": norm.device}
    flat = sizes.start(richness.numel(), seed=seed, **where)
    weights = [w.reshape(*batch, *w.shape[1:]) for w in flat]
    inputs = norm.sqrt()[..., None, None].expand(*batch, 1, 1)  # one number: D = 1
    return weights, Perceptron(multipliers=sizes.multiplier, residual=True), sizes.rate, inputs


def _signals(state: State) -> Float[Tensor, "member 2 layer neuron"]:
    """h^l and g^l of every neuron, l = 0 ... L."""
    network, weights = state.network, state.weights
    h = torch.cat(network.layers(weights, state.inputs)[:-1], -2)  # (member, layer, neuron)
    g = [weights[-1]]
    for layer in reversed(range(1, len(weights) - 1)):
        g.append(g[-1] + spread(network.multiplier(layer)) * (g[-1] @ weights[layer]))
    return torch.stack([h, torch.cat(g[::-1], -2)], 1)


class _March:
    """Neurons in float64: row t of ``h`` holds the weights of h^l(t) on all sources, (*batch,
    layer, time, source), those of ``g`` likewise. Sources are u^0, w, u^l(t) and r^l(t)."""

    def __init__(self, model: ResidualLinear, steps: int, step: float, echoes: bool):
        _check_steps(steps, step)
        numbers = [x.double() for x in model.numbers]
        branch, _, self.richness, self.norm, self.label = numbers
        self.depth, self.times, self.step = model.depth, steps + 1, step
        self.c = branch * float(model.depth) ** -numbers[1]
        self.echo = self.c * echoes
        self.inner = branch.square() / model.depth  # of a step, over that of the other layers
        layers, sources = model.depth + 1, 2 + 2 * model.depth * self.times
        empty = branch.new_zeros
        self.h, self.g = (empty(*branch.shape, layers, self.times, sources) for _ in range(2))
        square = layers, self.times, self.times
        self.feature, self.gradient = (empty(*branch.shape, *square) for _ in range(2))
        self.prediction, self.force = (empty(*branch.shape, self.times) for _ in range(2))

    def rise(self, t: int) -> None:
        """Signals of the time t, from the first layer to the last."""
        row = self.h[..., 0, t, :]
        row[..., 0] = 1.0
        row += _pulled(self.norm[..., None] * self.force[..., :t], self.g[..., 0, :t, :])
        self._note(self.feature, self.h, 0, t)
        for k in range(self.depth):
            kernel, above = self.feature[..., k, t, :t], self.h[..., k + 1, t, :]
            push = self.echo[..., None] * self.h[..., k, t, self._source(1, k, t)]
            push = push + self.inner[..., None] * self.force[..., :t] * kernel
            above += self.h[..., k, t, :] + _pulled(push, self.g[..., k + 1, :t, :])
            above[..., self._source(0, k, t).stop] += self.c
            self._note(self.feature, self.h, k + 1, t)

    def fall(self, t: int) -> None:
        """Errors of the time t, from the last layer to the first; then the prediction."""
        row = self.g[..., -1, t, :]
        row[..., 1] = 1.0
        row += _pulled(self.force[..., :t], self.h[..., -1, :t, :])
        self._note(self.gradient, self.g, self.depth, t)
        for k in reversed(range(self.depth)):
            kernel, below = self.gradient[..., k + 1, t, :t], self.g[..., k, t, :]
            push = self.echo[..., None] * self.g[..., k + 1, t, self._source(0, k, t)]
            push = push + self.inner[..., None] * self.force[..., :t] * kernel
            below += self.g[..., k + 1, t, :] + _pulled(push, self.h[..., k, :t, :])
            below[..., self._source(1, k, t).stop] += self.c
            self._note(self.gradient, self.g, k, t)
        output = self._covariance(self.g[..., -1, t, :], self.h[..., -1, t : t + 1, :])[..., 0]
        self.prediction[..., t] = output / self.richness
        gap = self.label - self.prediction[..., t]
        self.force[..., t] = self.step * self.richness * gap

    def _source(self, kind: int, k: int, t: int) -> slice:
        """Where u (0) or r (1) of branch k stand, of all times before t."""
        first = 2 + (kind * self.depth + k) * self.times
        return slice(first, first + t)

    def _note(self, kernel: Tensor, field: Tensor, layer: int, t: int) -> None:
        upto = slice(t + 1)
        row = self._covariance(field[..., layer, t, :], field[..., layer, upto, :])
        kernel[..., layer, t, upto] = row
        kernel[..., layer, upto, t] = row

    def _covariance(self, row: Tensor, others: Tensor) -> Tensor:
        """<row other> of every other: u^l goes with H^{l-1}, r^l with G^l."""
        u, r = row[..., 2:].unflatten(-1, (2, self.depth, 1, self.times)).unbind(-4)
        u, r = u @ self.feature[..., :-1, :, :], r @ self.gradient[..., 1:, :, :]
        start = torch.stack([self.norm * row[..., 0], row[..., 1]], -1)
        spun = torch.cat([start, torch.stack([u, r], -4).flatten(-4)], -1)
        return (others @ spun[..., None])[..., 0]


def _pulled(push: Tensor, past: Tensor) -> Tensor:
    """sum over past times of push times the field then."""
    return (push[..., None, :] @ past)[..., 0, :]


def _record(model, prediction: Tensor, feature: Tensor, gradient: Tensor) -> Residual:
    """With the tangent kernel; the fields may have one axis of members more than the model."""
    branch, _, _, norm, label = model.numbers
    extra = [None] * (prediction.ndim - 1 - label.ndim)
    inner = (branch.square() / model.depth)[(..., *extra, None)]
    at = lambda kernel: kernel.diagonal(dim1=-2, dim2=-1)  # noqa: E731
    H, G = at(feature), at(gradient)  # (*batch, layer, time)
    tangent = H[..., -1, :] + norm[(..., *extra, None)] * G[..., 0, :]
    tangent = tangent + inner * (G[..., 1:, :] * H[..., :-1, :]).sum(-2)
    step = torch.arange(prediction.shape[-1], device=prediction.device)
    parts = prediction, feature, gradient, tangent
    return Residual(step, *(part.to(label.dtype) for part in parts))


def _check_steps(steps: int, step: float) -> None:
    draws.whole_number(steps, "steps")
    if not 0 < step < math.inf:
        raise ValueError(f"step must be positive and finite, got {step}: it descends the loss")
