"""Silent alignment: the tangent kernel turns towards the target before the loss falls.

A linear network of L layers learns f(x) = beta.x from the loss (1/2)(beta* - beta).Sigma(beta* -
beta). What it can learn next is decided by its tangent kernel K(x, x') = x.M x'. From a small start
M takes its final shape while all is quiet, and then only grows: so the network ends as kernel
regression with its own last kernel. Chapter: ``chapters/silent_alignment.md``.

    beta, beta*   what the network computes, what it is to learn; g = Sigma (beta* - beta)
    M             tangent kernel, (input, input)
    sigma         scale of the start: weights of variance sigma^2 / width
    balanced      dbeta/dt = M g,  M = |beta|^(2-2/L) (1 + (L - 1) bhat bhat^T)
    two layers    dbeta/dt = M g,  dM/dt = 2 (beta.g) 1 + beta g^T + g beta^T, from any weights

Time is in units of 1 / learning rate. ``LazyStart`` is one step away: quadratic neurons whose start
is drained by weight decay, so that they learn as a kernel first and generalise late.

Source: Atanasov, Bordelon & Pehlevan (2022), arXiv:2111.00034, sections 2 to 4; balanced layers
also Arora, Cohen & Hazan (2018), arXiv:1802.06509. Late generalisation as lazy to rich: Kumar,
Bordelon, Gershman & Pehlevan (2024), arXiv:2310.06110. That (beta, M) close on each other for two
layers, and the drained start, are derived in the chapter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Network, Perceptron, Weights, checked_weights
from toymodels.networks.rules import GradientDescent, GradientFlow, Rule, WeightDecay
from toymodels.networks.tangent import tangent_kernel
from toymodels.numerics import draws
from toymodels.numerics.clock import check_time, ticks
from toymodels.numerics.door import door
from toymodels.numerics.integrate import solve
from toymodels.numerics.quantity import per_problem, require


@door
@dataclass(frozen=True)
class SmallStart:
    """A balanced linear network that starts from the map ``start``; leading axes are problems.

    Raises ValueError on a covariance that is not symmetric and positive, a target that is not
    finite, a start of zero in more than one layer and a depth below one.
    """

    covariance: Float[Tensor, "*#batch input input"]  # Sigma
    target: Float[Tensor, "*#batch input"]  # beta*
    start: Float[Tensor, "*#batch input"]  # beta(0)
    depth: int = 2  # number of weight matrices L

    def __post_init__(self):
        draws.whole_number(self.depth, "depth", 1, "it counts matrices")
        _check_inputs(self.covariance, self.target)
        size = self.start.norm(dim=-1)
        moves = (size > 0) | torch.tensor(self.depth == 1)
        require("start", size, moves, "other than zero", "it is a saddle that never moves")

    @property
    def batch(self) -> torch.Size:
        """The leading axes of all fields together."""
        return _batch(self.covariance, self.target, self.start)


@door
@dataclass(frozen=True)
class AnyStart:
    """Two linear layers of any weights, as far as they matter: their map and their kernel.

    Raises ValueError as ``SmallStart`` does, and on a kernel that is not symmetric or has a
    negative eigenvalue, or is all zero.
    """

    covariance: Float[Tensor, "*#batch input input"]  # Sigma
    target: Float[Tensor, "*#batch input"]  # beta*
    weight: Float[Tensor, "*#batch input"]  # beta(0)
    kernel: Float[Tensor, "*#batch input input"]  # M(0)

    def __post_init__(self):
        _check_inputs(self.covariance, self.target)
        require("weight", self.weight, self.weight.isfinite(), "finite", "it is a start")
        _check_symmetric("kernel", self.kernel)
        values = torch.linalg.eigvalsh(self.kernel)
        top = values[..., -1]
        require("kernel", top, top > 0, "other than zero", "without a kernel nothing moves")
        slack = 1e-6 * top[..., None]
        require("kernel", values, values >= -slack, "positive", "it is a sum of squares")

    @property
    def batch(self) -> torch.Size:
        """The leading axes of all fields together."""
        return torch.broadcast_shapes(
            _batch(self.covariance, self.target, self.weight), self.kernel.shape[:-2]
        )


@dataclass(frozen=True)
class Silent:
    """What a network computes and its kernel. Theory and experiment both return this.

    An experiment has one more axis before the time, (*batch, member, ...): the networks.
    """

    time: Float[Tensor, "*#batch time"]
    weight: Float[Tensor, "*batch time input"]  # beta
    kernel: Float[Tensor, "*batch time input input"]  # M
    loss: Float[Tensor, "*batch time"]  # (1/2) (beta* - beta).Sigma (beta* - beta)


@door(origin="theory")
def theory(model: SmallStart, time: Float[Tensor, " time"]) -> Silent:
    """Gradient flow of balanced layers of any depth.

    Solved for the logarithm of |beta| and its direction, so that tiny starts cost nothing; in
    closed form for one layer. Raises ValueError on unsorted or negative times.
    """
    check_time(time)
    S, target, beta = _spread(model.covariance, model.target, model.start)
    if model.depth == 1:
        rates, axes = torch.linalg.eigh(S)
        left = (axes.mT @ (beta - target)[..., None])[..., 0]
        fading = torch.exp(-rates[..., None, :] * time.double()[:, None])
        path = target[..., None, :] + (left[..., None, :] * fading) @ axes.mT
    else:
        size = beta.norm(dim=-1, keepdim=True)
        begin = torch.cat([size.log(), beta / size], -1)
        path = solve(lambda t, s: _turning(s, S, target, model.depth), begin, time)
        path = path[..., :1].exp() * path[..., 1:]
    kernel = balanced_kernel(path, model.depth)
    return _silent(time, path, kernel, S, target, model.target)


@door(origin="theory")
def balanced_kernel(
    weight: Float[Tensor, "*batch input"], depth: int
) -> Float[Tensor, "*batch input input"]:
    """|beta|^(2-2/L) (1 + (L - 1) bhat bhat^T), the kernel of balanced layers with this map.

    Raises ValueError on a map that is not finite and a depth below one.
    """
    draws.whole_number(depth, "depth", 1, "it counts matrices")
    require("weight", weight, weight.isfinite(), "finite", "it is a map")
    size = weight.norm(dim=-1)[..., None, None]
    unit = weight[..., None] / size.clamp(min=torch.finfo(weight.dtype).tiny)
    eye = torch.eye(weight.shape[-1], dtype=weight.dtype, device=weight.device)
    return size ** (2 - 2 / depth) * (eye + (depth - 1) * unit @ unit.mT)


@door(origin="theory")
def two_layers(model: AnyStart, time: Float[Tensor, " time"]) -> Silent:
    """Gradient flow of two linear layers from any weights: map and kernel move each other.

    Raises ValueError on unsorted or negative times.
    """
    check_time(time)
    state, rate, parts = _closed(model)
    path = solve(lambda t, s: rate(s)[0], state, time, atol=1e-13 * _smallest(model.kernel))
    weight, kernel = parts(path)
    S, target, _ = _spread(model.covariance, model.target, model.weight)
    return _silent(time, weight, kernel, S, target, model.target)


@door(origin="theory")
def at_loss(model: AnyStart, share: Float[Tensor, " time"]) -> Silent:
    """Map and kernel of ``two_layers`` when the loss has fallen to a ``share`` of its start.

    The loss itself is the clock, -ln(share), so that no wait has to be foretold; ``time`` is when.
    Raises ValueError on shares that do not fall from 1 to above 0, and on a target that is learned
    at the start.
    """
    falls = (share > 0) & (share <= 1)
    require("share", share, falls, "in (0, 1]", "it is a part of the first loss")
    state, rate, parts = _closed(model)
    S, target, beta = _spread(model.covariance, model.target, model.weight)
    missing = (target - beta).norm(dim=-1)
    require("target", missing, missing > 0, "not learned at the start", "nothing would fall")

    def paced(s: Tensor) -> Tensor:
        move, fall = rate(s[..., 1:])
        return torch.cat([torch.ones_like(fall), move], -1) / fall

    begin = torch.cat([torch.zeros_like(state[..., :1]), state], -1)
    atol = 1e-13 * _smallest(model.kernel)
    path = solve(lambda t, s: paced(s), begin, -share.double().log(), atol=atol)
    weight, kernel = parts(path[..., 1:])
    return _silent(path[..., 0].to(share), weight, kernel, S, target, model.target)


@door(origin="theory")
def wide_start(
    covariance: Float[Tensor, "*#batch input input"],
    target: Float[Tensor, "*#batch input"],
    scale: float | Float[Tensor, "*#batch"],
) -> AnyStart:
    """Two infinitely wide layers of normal weights of ``scale``: beta = 0 and M = 2 sigma^2.

    Raises ValueError on a scale that is not positive.
    """
    batch = torch.broadcast_shapes(
        covariance.shape[:-2], target.shape[:-1], torch.as_tensor(scale).shape
    )
    sigma = per_problem("scale", scale, batch, target)
    require("scale", sigma, sigma > 0, "positive", "0 is a saddle that never moves")
    eye = torch.eye(target.shape[-1], dtype=target.dtype, device=target.device)
    return AnyStart(
        covariance, target, torch.zeros_like(target), 2 * sigma[..., None, None] ** 2 * eye
    )


@door(origin="theory")
def as_started(
    weights: Weights,
    covariance: Float[Tensor, "input input"],
    target: Float[Tensor, " input"],
) -> AnyStart:
    """What two layers of any ``weights`` start from. Raises ValueError unless there are two."""
    if len(weights) != 2:
        raise ValueError(f"weights must be two layers, got {len(weights)}: only they are closed")
    first, second = (w.to(target) for w in checked_weights(weights))
    weight = (second @ first)[..., 0, :]
    eye = torch.eye(first.shape[-1], dtype=first.dtype, device=first.device)
    kernel = second.square().sum((-2, -1))[..., None, None] * eye + first.mT @ first
    return AnyStart(covariance, target, weight, kernel)


@door(origin="experiment")
def experiment(
    model: SmallStart,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    width: int,
    step: float,
    members: int = 1,
    rule: Callable[[float], Rule] = GradientFlow,
) -> Silent:
    """Train real networks from the balanced start that ``theory`` solves.

    Every matrix has rank one; ``members`` differ in the directions of their hidden layers. Agrees
    with ``theory`` to O(step^4), with ``rule`` = GradientDescent to O(step). See ``train_from``.
    """
    draws.whole_number(width, "width", 1, "a layer has a neuron")
    draws.whole_number(members, "members", 1, "nothing would train")
    inputs, batch = model.start.shape[-1], (*model.batch, members)
    beta = model.start.expand(*model.batch, inputs)[..., None, :].expand(*batch, inputs)
    size = beta.norm(dim=-1)
    gain = (size ** (1 / model.depth))[..., None, None]
    hidden = [
        _unit(draws.normal(seed, f"layer {k}", prod(batch), (width,))).reshape(*batch, width)
        for k in range(model.depth - 1)
    ]
    last = torch.ones(*batch, 1)
    line = [beta / size[..., None].clamp(min=1e-300), *hidden, last]
    line = [unit.to(beta) for unit in line]
    if model.depth == 1:
        weights = [beta[..., None, :]]
    else:
        pairs = zip(line[:-1], line[1:], strict=True)
        weights = [gain * out[..., None] * into[..., None, :] for into, out in pairs]
    S, target = (
        x.expand(*model.batch, *x.shape[-n:]).unsqueeze(-n - 1)
        for x, n in ((model.covariance, 2), (model.target, 1))
    )
    return train_from(weights, S, target, time, step=step, rule=rule)


@door(origin="experiment")
def train_from(
    weights: Weights,
    covariance: Float[Tensor, "*#batch input input"],
    target: Float[Tensor, "*#batch input"],
    time: Float[Tensor, " time"],
    *,
    step: float,
    rule: Callable[[float], Rule] = GradientFlow,
) -> Silent:
    """Train linear networks from any ``weights`` and look at their tangent kernel on the way.

    The kernel is that of autograd, on the unit vectors. ``time`` is rounded to whole steps. Raises
    ValueError when two times fall on one step, FloatingPointError on divergence.
    """
    _check_inputs(covariance, target)
    clock = ticks(time, step)
    weights = [w.to(target) for w in checked_weights(weights)]
    batch, D = weights[0].shape[:-2], target.shape[-1]
    target = _for_members("target", target, (*batch, D))
    covariance = _for_members("covariance", covariance, (*batch, D, D))
    powers, axes = torch.linalg.eigh(covariance)
    # as many inputs as directions, whose mean of x x^T is the covariance
    inputs = D**0.5 * (axes * powers.sqrt()[..., None, :]).mT
    labels = inputs @ target[..., None]
    eye = torch.eye(D, dtype=target.dtype, device=target.device)

    def kernel(state: State) -> Tensor:
        return tangent_kernel(state.network, state.weights, eye)[..., 0, 0]

    observe = {
        "weight": lambda state: state.outputs(eye)[..., 0],
        "kernel": kernel,
        "loss": State.losses,
    }
    data = Samples(inputs, labels)
    seen = train(weights, data, rule=rule(step), record=clock.record, observe=observe)
    return Silent(clock.time.to(target), **seen.require_finite().observed)


@door(origin="experiment")
def gaussian(
    inputs: int, *, members: int, width: int, depth: int, scale: float, seed: int, outputs: int = 1
) -> list[Tensor]:
    """Normal weights of standard deviation ``scale`` / sqrt(width), (members, out, in) per layer.

    Raises ValueError on counts below 1 and on a scale that is not positive and finite.
    """
    counts = {"inputs": inputs, "members": members, "width": width, "depth": depth}
    for name, count in {**counts, "outputs": outputs}.items():
        draws.whole_number(count, name, 1, "there would be no weights")
    if not 0 < scale < inf:
        raise ValueError(f"scale must be positive and finite, got {scale}: 0 never moves")
    sizes = [inputs, *[width] * (depth - 1), outputs]
    return [
        scale / width**0.5 * draws.normal(seed, f"layer {k}", members, (sizes[k + 1], sizes[k]))
        for k in range(depth)
    ]


@door
def since(seen: Silent, share: float) -> Silent:
    """The records of every network from the first on at which its loss is below a ``share``.

    Time is counted from there, and ends with the network that got there last. Raises ValueError
    unless the records are evenly spaced, and if a network never gets there.
    """
    gaps = seen.time.diff()
    even = (gaps - gaps[:1]).abs() <= 1e-6 * gaps[:1].abs()
    require("time", gaps, even, "evenly spaced", "networks are shifted against each other")
    below = seen.loss <= share * seen.loss[..., :1]
    arrived = below.any(-1)
    require("share", arrived.double(), arrived, "reached by all", "a network is still waiting")
    first = below.int().argmax(-1)  # (*batch)
    left = seen.loss.shape[-1] - int(first.max())
    place = first[..., None] + torch.arange(left, device=first.device)

    def taken(x: Tensor, axes: int) -> Tensor:
        where = place[(..., *[None] * axes)].expand(*place.shape, *x.shape[x.ndim - axes :])
        return x.gather(place.ndim - 1, where)

    return Silent(
        seen.time[:left] - seen.time[0],
        taken(seen.weight, 1),
        taken(seen.kernel, 2),
        taken(seen.loss, 0),
    )


@door
def read_at(seen: Silent, share: Float[Tensor, " level"]) -> Silent:
    """Map and kernel of every network when its loss has fallen to each ``share`` of its start.

    Straight lines in the logarithm of the loss between the records; ``time`` is when. Raises
    ValueError on shares that are not in (0, 1] and if a network never gets there.
    """
    good = (share > 0) & (share <= 1)
    require("share", share, good, "in (0, 1]", "it is a part of the first loss")
    tiny = torch.finfo(seen.loss.dtype).tiny
    lost = (seen.loss[..., :1].clamp(min=tiny) / seen.loss.clamp(min=tiny)).log()
    goal = -share.to(lost).log()
    below = lost[..., None, :] >= goal[:, None] - 1e-12  # (*batch, level, time)
    arrived = below.any(-1)
    require("share", arrived.double(), arrived, "reached by all", "a network is still waiting")
    last = below.int().argmax(-1)
    before = (last - 1).clamp(min=0)
    low, high = lost.gather(-1, before), lost.gather(-1, last)
    part = torch.where(last > 0, (goal - low) / (high - low), 1.0)

    def between(x: Tensor, axes: int) -> Tensor:
        shape = (*last.shape, *x.shape[x.ndim - axes :])
        left, right = (
            x.gather(last.ndim - 1, at[(..., *[None] * axes)].expand(shape))
            for at in (before, last)
        )
        return left + part[(..., *[None] * axes)] * (right - left)

    time = seen.time.to(lost).expand(lost.shape)
    rest = between(seen.weight, 1), between(seen.kernel, 2), between(seen.loss, 0)
    return Silent(between(time, 0), *rest)


@door
def cosine(
    one: Float[Tensor, "*#batch row column"], other: Float[Tensor, "*#batch row column"]
) -> Float[Tensor, "*batch"]:
    """Cosine of two kernels as vectors: 1 where one is a multiple of the other."""
    sizes = torch.linalg.matrix_norm(one) * torch.linalg.matrix_norm(other)
    require("one", sizes, sizes > 0, "other than zero", "it has no direction")
    return (one * other).sum((-2, -1)) / sizes


@door
def stretch(
    kernel: Float[Tensor, "*#batch input input"], axis: Float[Tensor, "*#batch input"]
) -> Float[Tensor, "*batch"]:
    """The kernel along ``axis`` over its mean across it: 1 for a round one, L when balanced.

    Raises ValueError on fewer than two inputs and an axis of zero.
    """
    if axis.shape[-1] < 2:
        raise ValueError(
            f"axis must have 2 inputs or more, got {axis.shape[-1]}: nothing is across"
        )
    size = axis.norm(dim=-1, keepdim=True)
    require("axis", size, size > 0, "other than zero", "it is a direction")
    unit = axis / size
    along = (kernel @ unit[..., None])[..., 0].mul(unit).sum(-1)
    across = kernel.diagonal(dim1=-2, dim2=-1).sum(-1) - along
    return along * (axis.shape[-1] - 1) / across


@door
def regression(
    gram: Float[Tensor, "*#batch sample sample"],
    cross: Float[Tensor, "*#batch point sample"],
    label: Float[Tensor, "*#batch sample"],
) -> Float[Tensor, "*batch point"]:
    """Kernel regression without a ridge: k(x).K^-1 y, or its limit where K is singular.

    Raises ValueError on labels that are not finite.
    """
    require("label", label, label.isfinite(), "finite", "it is to be fitted")
    return (cross @ (torch.linalg.pinv(gram, hermitian=True) @ label[..., None]))[..., 0]


@dataclass(frozen=True)
class Predictors:
    """A trained network and two kernel machines on points that it has not seen."""

    network: Float[Tensor, "*batch point"]  # what training added to its outputs
    first: Float[Tensor, "*batch point"]  # kernel regression with the kernel of the start
    last: Float[Tensor, "*batch point"]  # and with that of the end
    loss: Float[Tensor, "*batch"]  # left on the samples

    def gap(self, name: str) -> Float[Tensor, "*batch"]:
        """Distance of the network from a kernel machine, relative to the network."""
        away = (self.network - getattr(self, name)).norm(dim=-1)
        return away / self.network.norm(dim=-1)


@door(origin="experiment")
def predictors(
    weights: Weights,
    inputs: Float[Tensor, "*inputs sample input"],
    label: Float[Tensor, "*label sample"],
    points: Float[Tensor, "point input"],
    *,
    network: Network,
    step: float | Tensor,
    steps: int,
) -> Predictors:
    """Train ``network`` by ``steps`` of gradient descent, and compare it with its own kernels.

    ``label`` is what training has to add to the outputs of the start, so that the kernel machines
    need not know these. ``inputs`` and ``label`` may be one set for all members or one for each.
    """
    weights = checked_weights(weights)
    goal = label[..., None] + network(weights, inputs)
    done = train(
        weights,
        Samples(inputs, goal),
        network=network,
        rule=GradientDescent(step),
        record=[draws.whole_number(steps, "steps", 1, "nothing would be learned")],
        observe={"loss": State.losses},
    ).require_finite()
    machines = []
    for at in (weights, done.weights):
        gram = tangent_kernel(network, at, inputs)[..., 0, 0]
        cross = tangent_kernel(network, at, inputs, points)[..., 0, 0]
        machines.append(regression(gram, cross.mT, label))
    added = (network(done.weights, points) - network(weights, points))[..., 0]
    return Predictors(added, *machines, done.observed["loss"][..., 0])


@door
@dataclass(frozen=True)
class LazyStart:
    """Quadratic neurons that learn (beta*.x)^2 from samples, with weight decay.

    The network sum_i (u_i.x)^2 - (v_i.x)^2 starts at zero with U^T U = V^T V = scale^2: a large
    ``scale`` makes it lazy. Leading axes are problems. Raises ValueError on a scale that is not
    positive and on a negative decay.
    """

    inputs: Float[Tensor, "*#batch sample input"]
    target: Float[Tensor, "*#batch input"]  # beta*
    scale: float | Float[Tensor, "*#batch"]  # sigma
    decay: float | Float[Tensor, "*#batch"] = 0.0  # lambda

    def __post_init__(self):
        sigma, decay = self.per_problem("scale"), self.per_problem("decay")
        require("inputs", self.inputs, self.inputs.isfinite(), "finite", "they are data")
        require("target", self.target, self.target.isfinite(), "finite", "it is to be learned")
        require("scale", sigma, sigma > 0, "positive", "0 is a saddle that never moves")
        require("decay", decay, decay >= 0, "non-negative", "it drains the weights")

    @property
    def batch(self) -> torch.Size:
        """The leading axes of all fields together."""
        return torch.broadcast_shapes(
            self.inputs.shape[:-2],
            self.target.shape[:-1],
            *(torch.as_tensor(x).shape for x in (self.scale, self.decay)),
        )

    def per_problem(self, name: str) -> Float[Tensor, "*batch"]:
        """``scale`` or ``decay`` as a tensor."""
        return per_problem(name, getattr(self, name), self.batch, self.target)

    @property
    def label(self) -> Float[Tensor, "*batch sample"]:
        """(beta*.x)^2 on the samples."""
        return (self.inputs @ self.target[..., None])[..., 0].square()


@dataclass(frozen=True)
class Delayed:
    """What was fitted and what was understood. Both sides of ``LazyStart`` return this."""

    time: Float[Tensor, " time"]
    train_error: Float[Tensor, "*batch time"]  # mean square over the samples
    test_error: Float[Tensor, "*batch time"]  # and over fresh normal inputs
    kernel: Float[Tensor, "*batch time input input"]  # U^T U + V^T V; K = 4 (x.x') (x.kernel x')


@door(origin="theory")
def drained(model: LazyStart, time: Float[Tensor, " time"]) -> Delayed:
    """Gradient flow: B = U^T U - V^T V and M = U^T U + V^T V are a closed system.

    dB/dt = 2 (E M + M E) - 2 lambda B, dM/dt = 2 (E B + B E) - 2 lambda M, with the mean E of
    (y - f) x x^T over the samples. Raises ValueError on unsorted or negative times.
    """
    check_time(time)
    X, y = model.inputs.double(), model.label.double()
    sigma, decay = (model.per_problem(n).double()[..., None, None] for n in ("scale", "decay"))
    samples, D = X.shape[-2:]
    shape = (*model.batch, 2, D, D)

    def rate(t: Tensor, state: Tensor) -> Tensor:
        B, M = state.reshape(shape).unbind(-3)
        missing = y - ((X @ B) * X).sum(-1)
        E = X.mT @ (missing[..., None] * X) / samples
        moves = [2 * (E @ by + by @ E) - 2 * decay * of for of, by in ((B, M), (M, B))]
        return torch.stack(moves, -3).flatten(-3)

    M = 2 * sigma**2 * torch.eye(D, dtype=X.dtype, device=X.device)
    begin = torch.stack([torch.zeros_like(M), M], -3).flatten(-3)
    path = solve(rate, begin, time, rtol=1e-8, atol=1e-12)
    B, M = path.unflatten(-1, (2, D, D)).unbind(-3)
    return _delayed(model, time, B, M)


@door(origin="experiment")
def drained_experiment(
    model: LazyStart,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    width: int,
    step: float,
    members: int = 1,
) -> Delayed:
    """Train real networks of 2 ``width`` quadratic neurons whose signs of the output are fixed.

    Agrees with ``drained`` to O(step^4); ``members`` differ in the directions of their neurons.
    Raises ValueError on a width below the number of inputs, FloatingPointError on divergence.
    """
    clock, D = ticks(time, step), model.inputs.shape[-1]
    if draws.whole_number(width, "width") < D:
        raise ValueError(f"width must be at least the {D} inputs, got {width}: U^T U is isotropic")
    draws.whole_number(members, "members", 1, "nothing would train")
    batch = (*model.batch, members)
    halves = [
        torch.linalg.qr(draws.normal(seed, name, prod(batch), (width, D))).Q
        for name in ("plus", "minus")
    ]
    first = torch.cat(halves, -2).reshape(*batch, 2 * width, D).to(model.target)
    sign = torch.cat([torch.ones(width), -torch.ones(width)]).to(first)
    weights = [
        model.per_problem("scale")[..., None, None, None] * first,
        sign.expand(*batch, 1, 2 * width),
    ]
    X, y = (
        x.expand(*model.batch, *x.shape[-n:]).unsqueeze(-n - 1)
        for x, n in ((model.inputs, 2), (model.label, 1))
    )
    decay = model.per_problem("decay")[..., None].expand(batch)
    seen = train(
        weights,
        Samples(X, y[..., None]),
        network=Perceptron(torch.square),
        rule=WeightDecay(GradientFlow([step, 0.0]), decay),
        record=clock.record,
        observe={"first": lambda state: state.weights[0]},
    ).require_finite()
    U, V = seen.observed["first"].split(width, -2)
    plus, minus = U.mT @ U, V.mT @ V
    return _delayed(model, clock.time.to(y), plus - minus, plus + minus, members=True)


def _delayed(model: LazyStart, time: Tensor, B: Tensor, M: Tensor, members: bool = False):
    """The record; the error of B on normal inputs is 2 |E|^2 + (tr E)^2, E what it misses."""
    X, y, target = model.inputs.double(), model.label.double(), model.target.double()
    for _ in range(1 + members):
        X, y, target = X.unsqueeze(-3), y.unsqueeze(-2), target.unsqueeze(-2)
    missing = y - ((X @ B) * X).sum(-1)
    E = target[..., None] * target[..., None, :] - B
    test = 2 * E.square().sum((-2, -1)) + E.diagonal(dim1=-2, dim2=-1).sum(-1).square()
    parts = missing.square().mean(-1), test, M
    return Delayed(time, *(x.to(model.target) for x in parts))


def _turning(state: Tensor, S: Tensor, target: Tensor, depth: int) -> Tensor:
    """d/dt of (log |beta|, direction) for balanced layers."""
    size, unit = state[..., :1].exp(), state[..., 1:]
    pull = (S @ (target - size * unit)[..., None])[..., 0]
    along = (pull * unit).sum(-1, keepdim=True)
    return size ** (1 - 2 / depth) * torch.cat([depth * along, pull - along * unit], -1)


def _closed(model: AnyStart) -> tuple[Tensor, Callable, Callable]:
    """Start, rate and parts of the state (beta, M); the rate comes with -d log loss / dt."""
    S, target, beta = _spread(model.covariance, model.target, model.weight)
    D = target.shape[-1]
    eye = torch.eye(D, dtype=S.dtype, device=S.device)
    kernel = model.kernel.double().expand(*model.batch, D, D)
    begin = torch.cat([beta.expand(*model.batch, D), kernel.flatten(-2)], -1)

    def parts(state: Tensor) -> tuple[Tensor, Tensor]:
        return state[..., :D], state[..., D:].unflatten(-1, (D, D))

    def rate(state: Tensor) -> tuple[Tensor, Tensor]:
        weight, M = parts(state)
        missing = target - weight
        g = (S @ missing[..., None])[..., 0]
        move = (M @ g[..., None])[..., 0]
        outer = weight[..., None] * g[..., None, :]
        grow = 2 * (weight * g).sum(-1)[..., None, None] * eye + outer + outer.mT
        fall = 2 * (g * move).sum(-1, keepdim=True) / (missing * g).sum(-1, keepdim=True)
        return torch.cat([move, grow.flatten(-2)], -1), fall

    return begin, rate, parts


def _silent(time: Tensor, weight: Tensor, kernel: Tensor, S: Tensor, target: Tensor, like: Tensor):
    missing = target[..., None, :] - weight
    loss = 0.5 * ((missing @ S) * missing).sum(-1)
    return Silent(time, *(x.to(like) for x in (weight, kernel, loss)))


def _spread(S: Tensor, *vectors: Tensor) -> list[Tensor]:
    """Covariance and vectors in float64 with all leading axes."""
    batch = _batch(S, *vectors)
    return [
        S.double().expand(*batch, *S.shape[-2:]),
        *(v.double().expand(*batch, v.shape[-1]) for v in vectors),
    ]


def _batch(S: Tensor, *vectors: Tensor) -> torch.Size:
    return torch.broadcast_shapes(S.shape[:-2], *(v.shape[:-1] for v in vectors))


def _smallest(kernel: Tensor) -> float:
    """The smallest kernel of a batch, at most 1."""
    return min(1.0, float(torch.linalg.matrix_norm(kernel).min()))


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def _check_inputs(covariance: Tensor, target: Tensor) -> None:
    _check_symmetric("covariance", covariance)
    powers = torch.linalg.eigvalsh(covariance)
    require("covariance", powers, powers > 0, "positive", "no direction may be without inputs")
    require("target", target, target.isfinite(), "finite", "it is to be learned")


def _check_symmetric(name: str, matrix: Tensor) -> None:
    require(name, matrix, matrix.isfinite(), "finite", "it is a mean of squares")
    slack = 1e-6 * matrix.abs().amax((-2, -1), keepdim=True)
    require(name, matrix, (matrix - matrix.mT).abs() <= slack, "symmetric", "it is a mean of x x^T")


def _for_members(name: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return x.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} must be for all members or one per member, shape {shape}, got {tuple(x.shape)}"
        ) from None
