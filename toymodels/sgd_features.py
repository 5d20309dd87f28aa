"""Stochastic gradient descent on fixed features: every sample is seen once, then thrown away.

A linear readout w of features psi learns the label y = w* . psi + noise from batches of m fresh
samples, w <- w - (eta / m) sum (w . psi - y) psi. The mean square error of every mode obeys a
linear recursion that closes at any size, because it needs second and fourth moments of psi only.
Chapter: ``chapters/sgd_features.md``.

    lam, w*    variance of a feature, an eigenvalue, and the target's weight on it
    e          error sqrt(lam) (w - w*), in units of the label; mode_error is <e^2>, loss its sum
    eta, m     step size and batch size; s2 is the variance of the labels' noise
    q          kurtosis <z^4> of a feature z of unit variance: 3 Gaussian, 1 for a fair sign
    a          1 + (q - 2) / m, what a mode's own fluctuations add to its curvature
    Q          noise that a step adds, per unit of loss: the loss settles at s2 Q / (1 - Q)

Losses have no factor 1/2 and leave out the noise of the fresh label.

Source: Bordelon & Pehlevan (2022), arXiv:2106.02713, whose Gaussian and general closures are used
here; the stationary error is that of Widrow's least-mean-squares filter. The form with a kurtosis,
the largest step of any batch, and finite data with and without replacement are derived in the
chapter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.fixed_point import solve
from toymodels.numerics.quantity import leading_axes_fit, per_problem, require

Number = float | int
NUMBERS = ("step", "batch_size", "noise", "kurtosis")


@door
@dataclass(frozen=True)
class FeatureSGD:
    """Features of independent coordinates, a target, and a descent; leading axes are problems.

    Raises ValueError on negative variances, on spectra that are zero throughout, on a step that is
    not positive, a batch below one sample, a negative noise and a kurtosis below 1.
    """

    eigenvalue: Float[Tensor, "*#batch mode"]  # lam >= 0, one or more positive
    target: Float[Tensor, "*#batch mode"]  # w*, in the basis of the features
    step: Number | Float[Tensor, "*#batch"]  # eta > 0
    batch_size: Number | Num[Tensor, "*#batch"]  # m, fresh samples a step; inf: no sampling noise
    noise: Number | Float[Tensor, "*#batch"] = 0.0  # s2, variance of the labels' noise
    kurtosis: Number | Float[Tensor, "*#batch"] = 3.0  # q of every coordinate, 1 or more

    def __post_init__(self):
        lam = self.eigenvalue
        require("target", self.target, self.target == self.target, "finite", "it is to be learned")
        require("eigenvalue", lam, lam >= 0, "not negative", "it is a variance")
        if not (lam > 0).any(-1).all():
            raise ValueError("eigenvalue must not be all zero, got 0: no feature ever varies")
        with leading_axes_fit():
            _ = self.batch
        eta, m, s2, q = (
            torch.as_tensor(getattr(self, name), dtype=torch.float64) for name in NUMBERS
        )
        require("step", eta, eta > 0, "positive", "otherwise nothing is learned")
        require("noise", s2, s2 >= 0, "not negative", "it is a variance")
        require("kurtosis", q, q >= 1, "at least 1", "<z^4> is at least <z^2>^2")
        if not (m >= 1).all():
            raise ValueError(f"batch_size must be at least 1, got {m.tolist()}: nothing is seen")

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading axes of the model, those of a single problem being ()."""
        shapes = [self.eigenvalue.shape[:-1], self.target.shape[:-1]]
        shapes += [torch.as_tensor(getattr(self, name)).shape for name in NUMBERS]
        return tuple(torch.broadcast_shapes(*shapes))


@dataclass(frozen=True)
class Descent:
    """What is left to learn after each step. Theory and experiment both return this.

    An experiment has one more axis before the time: (*batch, member, time), a member being one run.
    """

    step: Num[Tensor, " time"]  # 0, 1, ..., n, or those that were asked for
    loss: Float[Tensor, "*batch time"]  # <(f - f^)^2> on fresh inputs, label noise left out
    mode_error: Float[Tensor, "*batch time mode"]  # its part in each mode, lam <(w - w*)^2>
    train_loss: Float[Tensor, "*batch time"] | None = None  # on a fixed data set: mean (y - f^)^2


@door
@dataclass(frozen=True)
class Dataset:
    """Samples that are used again and again; leading axes are independent data sets."""

    inputs: Float[Tensor, "*batch sample mode"]  # psi, in the basis of the model
    label: Float[Tensor, "*batch sample"]

    def __post_init__(self):
        for name in ("inputs", "label"):
            value = getattr(self, name)
            require(name, value, value == value, "finite", "it is fitted")
        if self.inputs.shape[:-1] != self.label.shape:
            raise ValueError(
                f"label must have shape {tuple(self.inputs.shape[:-1])}, one for each input, "
                f"got {tuple(self.label.shape)}"
            )


# Theory


@door(origin="theory")
def theory(model: FeatureSGD, steps: int | Int[Tensor, " time"]) -> Descent:
    """Mean error of every mode after each step, exact for independent coordinates at any size.

    e' = [(1 - eta lam)^2 + (q - 2) (eta lam)^2 / m] e + (eta lam)^2 (L + s2) / m for e = <e_k^2>
    and L = sum e: the modes feel each other through L alone. ``steps`` is a whole number n, for
    0 ... n, or increasing step numbers to record. A diverging loss ends at infinity. Raises
    ValueError on steps that are neither.
    """
    lam, w, eta, m, s2, q = _columns(model)
    keep, gain = _numbers(lam, eta, m, q)

    def following(e):
        return keep * e + gain * (e.sum(-1, keepdim=True) + s2)

    at, e = _recorded(lam * w**2, following, steps)
    e = e.nan_to_num(nan=torch.inf, posinf=torch.inf).to(
        model.eigenvalue.dtype
    )  # 0 times an overflowing mode
    return Descent(at, e.sum(-1), e)


@door(origin="theory")
def transfer(model: FeatureSGD) -> Float[Tensor, "*batch mode mode"]:
    """The matrix of ``theory``: what a step makes of the mode errors, without the noise.

    A diagonal and the rank-one coupling (eta lam)^2 / m, the same for every column.
    """
    lam, _, eta, m, _, q = _columns(model)
    keep, gain = _numbers(lam, eta, m, q)
    return (torch.diag_embed(keep) + gain[..., None]).to(model.eigenvalue.dtype)


@door(origin="theory")
def plateau(model: FeatureSGD) -> Float[Tensor, "*batch"]:
    """Loss at which noise and descent balance, s2 Q / (1 - Q); infinite from ``largest_step`` on.

    Q = (eta / m) sum_k lam / (2 - a eta lam).
    """
    lam, _, eta, m, s2, q = _columns(model)
    a = 1 + (q - 2) / m
    room = 2 - a * eta * lam
    Q = (eta / m * lam / room).sum(-1)
    stable = (room > 0).all(-1) & (Q < 1)
    return torch.where(stable, s2[..., 0] * Q / (1 - Q), torch.inf).to(model.eigenvalue.dtype)


@door(origin="theory")
def largest_step(model: FeatureSGD) -> Float[Tensor, "*batch"]:
    """Step at which the mean loss stops shrinking, the root of Q(eta) = 1; 2 / max lam for m = inf.

    What the model says of its own ``step`` is not used.
    """
    lam, _, _, m, _, q = _columns(model)
    finite = m.isfinite()
    m = torch.where(finite, m, 1.0)
    a = 1 + (q - 2) / m
    top, total = lam.amax(-1, keepdim=True), lam.sum(-1, keepdim=True)

    def ratio(eta):
        room = 2 - a * eta[..., None] * lam
        share = eta[..., None] / m * lam / room
        return 1 / share.sum(-1), -(share * 2 / room).sum(-1) / share.sum(-1)

    low, high = (2 / (a * top + others / m) for others in (total, top))
    root = solve(ratio, low[..., 0], high[..., 0]).solution
    return torch.where(finite, root[..., None], 2 / top)[..., 0].to(model.eigenvalue.dtype)


@door(origin="theory")
def at_compute(
    model: FeatureSGD, compute: int, batch_size: Int[Tensor, " size"]
) -> Float[Tensor, "*batch size"]:
    """Loss after ``compute`` samples in batches of each size: floor(compute / size) steps.

    The model's own ``batch_size`` is not used. Infinite where the descent has overflowed.
    Raises ValueError on sizes that are not between 1 and ``compute``.
    """
    draws.whole_number(compute, "compute", 1, "no sample is seen")
    size = batch_size
    if not ((size >= 1) & (size <= compute)).all():
        raise ValueError(
            f"batch_size must be between 1 and compute, {compute}, got {size.min()} to {size.max()}"
        )
    lam, w, eta, _, s2, q = (part[..., None, :] for part in _columns(model))
    keep, gain = _numbers(lam, eta, size.to(lam)[:, None], q)
    steps, e = compute // size, (lam * w**2).expand_as(keep)
    loss = torch.full_like(e[..., 0], torch.inf)
    for step in range(int(steps.max()) + 1):
        now = e.sum(-1)
        loss = torch.where(steps == step, now, loss)
        e = keep * e + gain * (now[..., None] + s2)
    return loss.nan_to_num(nan=torch.inf, posinf=torch.inf).to(model.eigenvalue.dtype)


@door(origin="theory")
def best_batch(model: FeatureSGD, compute: int) -> Int[Tensor, "*batch"]:
    """The batch size with the least loss after ``compute`` samples.

    Of all sizes that allow the same number of steps the largest has the least loss, so about
    2 sqrt(compute) sizes are tried. Raises ValueError on no samples, and when all have overflowed.
    """
    compute = draws.whole_number(compute, "compute")
    every = torch.arange(1, compute + 1, device=model.eigenvalue.device)
    size = torch.unique(compute // every) if compute else every
    loss = at_compute(model, compute, size)
    if not loss.isfinite().any(-1).all():
        raise ValueError("step must be smaller: the loss overflows at every batch size")
    return size[loss.argmin(-1)]


@door(origin="theory")
def reuse(
    model: FeatureSGD,
    data: Dataset,
    steps: int | Int[Tensor, " time"],
    *,
    replacement: bool = False,
) -> Descent:
    """Descent on a fixed data set, mean over the choice of batches; exact for any data.

    With the mean gradient g and the single-sample covariance C of gradients over N samples, a
    batch has the covariance f C: f = 1 / m with ``replacement``, (N - m) / (m (N - 1)) when each
    step draws m different samples. The labels of the data carry their noise; the model's
    eigenvalues and target define the loss on fresh inputs. Raises ValueError on a batch larger
    than the data, and on axes that do not fit.
    """
    lam, w, eta, m, shape = _beside(model, data)
    x, N = data.inputs.to(lam).expand(*shape, *data.inputs.shape[-2:]), data.label.shape[-1]
    rest = (data.label.to(lam) - (data.inputs.to(lam) @ w[..., None])[..., 0]).expand(x.shape[:-1])
    f = (1 / m if replacement else (N - m) / (m * max(N - 1, 1)))[..., None, None]
    wide = torch.cat([x, -rest[..., None]], -1)  # residual of a sample: wide . (w - w*, 1)
    pull = torch.cat([x, torch.zeros_like(rest)[..., None]], -1)  # the last weight stays 1
    mean = pull.mT @ wide / N
    eta = eta[..., None, None]

    def following(D):
        square = ((wide @ D) * wide).sum(-1, keepdim=True)  # mean square residual of a sample
        drift = D - eta * (mean @ D)
        drift = drift - eta * (drift @ mean.mT)
        spread = pull.mT @ (square * pull) / N - mean @ D @ mean.mT
        return drift + eta**2 * f * spread

    start = torch.cat([-w, torch.ones_like(w[..., :1])], -1).expand(wide[..., 0, :].shape)
    at, D = _recorded(start[..., None] * start[..., None, :], following, steps, axes=2)
    train = torch.einsum("...nk,...tkl,...nl->...t", wide, D, wide) / N
    e = lam[..., None, :] * D.diagonal(dim1=-2, dim2=-1)[..., :-1]
    dtype = model.eigenvalue.dtype
    return _finite(Descent(at, e.sum(-1).to(dtype), e.to(dtype), train.to(dtype)))


# Experiment


@door(origin="experiment")
def experiment(
    model: FeatureSGD,
    steps: int | Int[Tensor, " time"],
    *,
    seed: int,
    members: int,
    coordinate: Callable[[Tensor], Tensor] | None = None,
    features: Float[Tensor, "point mode"] | None = None,
    unexplained: Float[Tensor, "*#batch point"] | None = None,
    chunk: int = 1000,
) -> Descent:
    """Run the descent ``members`` times on fresh samples; nothing of ``theory`` is used.

    Coordinates are Gaussian if the kurtosis is 3, otherwise 0 or +-sqrt(q); ``coordinate`` makes
    others of uniform numbers. With ``features``, the values phi_k(x) on a pool of points, samples
    are points of the pool, and ``unexplained`` is the part of their labels outside of the features.
    Problems of the batch see the same draws (common random numbers), members do not. ``chunk``
    members run at once.

    Raises ValueError on a batch size that is not whole, on no members, on a pool that does not
    fit, and on runs that overflow.
    """
    lam, w, eta, m, s2, q = _columns(model)
    size, average = _batches(m[..., 0])
    _check_counts(seed, members, chunk)
    if features is not None:
        drawn = _from_the_pool(features, unexplained, model, size)
    else:
        drawn = _fresh(model, None if coordinate else _one_kurtosis(q), coordinate, size)
    lam, w, eta, average, sigma = (
        part.reshape(-1, part.shape[-1]).mT.to(
            model.eigenvalue.dtype
        )  # (mode, sample or 1, problem)
        for part in (lam, w, eta, average, s2.sqrt())
    )

    def run(first):
        count = min(chunk, members - first)
        stream = draws.Stream(seed, count, first=first, device=lam.device)

        def following(e, number):  # (member, mode, problem)
            z, rest = drawn(stream, number)  # (member, sample, mode) and (member, sample, problem)
            if (sigma > 0).any():
                rest = rest + sigma * stream.normal("noise", number, (size, 1), dtype=e.dtype)
            return e - eta * lam * (z.mT @ (average * (z @ e - rest)))

        start = (-lam.sqrt() * w).expand(count, *lam.shape)
        return _recorded(start, following, steps, axes=2, numbered=True)

    parts = [run(first) for first in range(0, members, chunk)]
    e = torch.cat([e for _, e in parts]).movedim(-1, 0).square()  # (problem, member, time, mode)
    e = e.reshape(*model.batch, *e.shape[1:])
    return _finite(Descent(parts[0][0], e.sum(-1), e))


@door(origin="experiment")
def draw_data(model: FeatureSGD, samples: int, *, seed: int, members: int) -> Dataset:
    """``members`` data sets of Gaussian features and noisy labels, (member, sample, mode).

    One model, no batch. Raises ValueError on a batch of models and on no samples.
    """
    if model.batch:
        raise ValueError(f"model must be a single one, got a batch of shape {model.batch}")
    _check_counts(seed, members)
    draws.whole_number(samples, "samples", 1, "there is no data")
    lam, place = (
        model.eigenvalue,
        {"dtype": model.eigenvalue.dtype, "device": model.eigenvalue.device},
    )
    z = draws.normal(seed, "inputs", members, (samples, len(lam)), **place)
    noise = draws.normal(seed, "label noise", members, (samples,), **place)
    x = lam.sqrt() * z
    return Dataset(x, x @ model.target + float(model.noise) ** 0.5 * noise)


@door(origin="experiment")
def reuse_experiment(
    model: FeatureSGD,
    data: Dataset,
    steps: int | Int[Tensor, " time"],
    *,
    seed: int,
    members: int,
    replacement: bool = False,
    epochs: bool = False,
) -> Descent:
    """Run the descent on a fixed data set ``members`` times, (*batch, member, time).

    Each step draws its batch anew, with or without ``replacement``. With ``epochs`` all samples are
    shuffled and used up before any of them returns, as in practice; the theory knows no such
    memory. Data sets of the batch see the same choices. Raises ValueError as ``reuse`` does, and on
    a batch that does not divide an epoch.
    """
    lam, w, eta, m, shape = _beside(model, data)
    size, average = _batches(m)
    _check_counts(seed, members)
    N, dtype = data.label.shape[-1], model.eigenvalue.dtype
    if epochs and (replacement or N % size or (m != size).any()):
        raise ValueError(
            f"batch_size must be one number that divides the {N} samples of an epoch, got {size}"
            f"{', with replacement' if replacement else ''}"
        )
    stream = draws.Stream(seed, members, device=lam.device)
    x = data.inputs.to(dtype).expand(*shape, *data.inputs.shape[-2:])
    y = data.label.to(dtype).expand(*shape, N)
    eta, average = (part.to(dtype) for part in (eta[..., None, None], average[..., None, :]))

    def chosen(number):
        if replacement:
            return stream.integers("samples", number, (size,), high=N)
        turn, place = divmod(number, N // size) if epochs else (number, 0)
        order = stream.uniform("order", turn, (N,)).argsort(-1)
        return order[:, place * size : (place + 1) * size]

    def following(v, number):  # (*batch, member, mode)
        index = chosen(number)
        psi, label = x[..., index, :], y[..., index]  # (*batch, member, sample, mode)
        miss = (psi @ v[..., None])[..., 0] - label
        return v - eta * ((average * miss)[..., None, :] @ psi)[..., 0, :]

    v = torch.zeros(*shape, members, lam.shape[-1], dtype=dtype, device=lam.device)
    at, v = _recorded(v, following, steps, numbered=True)  # (*batch, member, time, mode)
    fit = torch.einsum("...nk,...btk->...btn", x, v)
    train = (fit - y[..., None, None, :]).square().mean(-1)
    gap = v - w[..., None, None, :].to(dtype)
    e = lam[..., None, None, :].to(dtype) * gap**2
    return _finite(Descent(at, e.sum(-1), e, train))


# Common ground


def _numbers(lam: Tensor, eta: Tensor, m: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """What a mode keeps of its error, and what it gets of the total, in a step."""
    pace = eta * lam
    return (1 - pace) ** 2 + (q - 2) * pace**2 / m, pace**2 / m


def _recorded(
    state: Tensor,
    following: Callable[..., Tensor],
    steps: int | Tensor,
    *,
    axes: int = 1,
    numbered: bool = False,
) -> tuple[Tensor, Tensor]:
    """The state at the steps to record, which get an axis before its last ``axes``."""
    at = _step_numbers(steps, state.device)
    found, last = [], 0
    for wanted in at.tolist():
        for number in range(last, wanted):
            state = following(state, number) if numbered else following(state)
        found.append(state)
        last = wanted
    return at, torch.stack(found, dim=-1 - axes)


def _step_numbers(steps: int | Tensor, device: torch.device) -> Tensor:
    if not isinstance(steps, Tensor):
        return torch.arange(draws.whole_number(steps, "steps") + 1, device=device)
    if (steps < 0).any() or (steps.diff() <= 0).any():
        raise ValueError(f"steps must not be negative and must increase, got {steps.tolist()}")
    return steps.to(device)


def _columns(model: FeatureSGD) -> Iterator[Tensor]:
    """Float64 lam, w* of shape (*batch, mode) and step, batch_size, noise, kurtosis (*batch, 1)."""
    shape, like = model.batch, model.eigenvalue.to(torch.float64)
    for value in (like, model.target.to(torch.float64)):
        yield value.expand(*shape, value.shape[-1])
    for name in NUMBERS:
        yield per_problem(name, getattr(model, name), shape, like)[..., None]


def _finite(descent: Descent) -> Descent:
    if not bool(torch.isfinite(descent.loss).all()):
        raise ValueError("step must be smaller, or steps fewer: the loss has overflowed")
    return descent


def _batches(m: Tensor) -> tuple[int, Tensor]:
    """The largest batch, and how much each of its samples counts in each problem, (*batch, m)."""
    require("batch_size", m, m == m.round(), "a whole number in an experiment", "it is counted")
    size = int(m.max())
    number = torch.arange(size, device=m.device)
    return size, (number < m[..., None]) / m[..., None]


def _fresh(model: FeatureSGD, q: float | None, coordinate: Callable | None, size: int) -> Callable:
    """Draws a batch of independent coordinates of unit variance."""
    shape, dtype = (size, model.eigenvalue.shape[-1]), model.eigenvalue.dtype

    def drawn(stream, number):
        if q == 3:
            return stream.normal("features", number, shape, dtype=dtype), 0.0
        u = stream.uniform("features", number, shape, dtype=dtype)
        if coordinate is not None:
            return coordinate(u), 0.0
        return q**0.5 * ((u < 0.5 / q).to(dtype) - (u >= 1 - 0.5 / q).to(dtype)), 0.0

    return drawn


def _one_kurtosis(q: Tensor) -> float:
    if not (q == q.flatten()[0]).all():
        raise ValueError("kurtosis must be the same for every problem of an experiment")
    return float(q.flatten()[0])


def _from_the_pool(
    features: Tensor, unexplained: Tensor | None, model: FeatureSGD, size: int
) -> Callable:
    """Draws a batch of points, with the part of their labels outside of the features."""
    points, modes = features.shape
    if modes != model.eigenvalue.shape[-1]:
        raise ValueError(
            f"features must have {model.eigenvalue.shape[-1]} modes, got {tuple(features.shape)}"
        )
    tail = torch.zeros_like(features[:, 0]) if unexplained is None else unexplained
    tail = tail.expand(*model.batch, points).reshape(-1, points).mT  # (point, problem)

    def drawn(stream, number):
        index = stream.integers("points", number, (size,), high=points)
        return features[index], tail[index]

    return drawn


def _beside(model: FeatureSGD, data: Dataset) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple]:
    """lam, w* (*batch, mode) and step, batch_size (*batch) for every data set and problem."""
    lam, w, eta, m, *_ = _columns(model)
    if data.inputs.shape[-1] != lam.shape[-1]:
        raise ValueError(
            f"inputs must have {lam.shape[-1]} modes, as the model has, "
            f"got {tuple(data.inputs.shape)}"
        )
    N = data.label.shape[-1]
    require(
        "batch_size", m, m <= N, f"at most {N}, the number of samples", "no sample counts twice"
    )
    try:
        shape = tuple(torch.broadcast_shapes(model.batch, data.label.shape[:-1]))
    except RuntimeError as problem:
        raise ValueError(f"the axes of model and data must fit each other: {problem}") from problem
    lam, w, eta, m = (part.expand(*shape, part.shape[-1]) for part in (lam, w, eta, m))
    return lam, w, eta[..., 0], m[..., 0], shape


def _check_counts(seed: int, members: int, chunk: int = 1) -> None:
    draws.whole_number(seed, "seed")
    for name, value in (("members", members), ("chunk", chunk)):
        draws.whole_number(value, name, 1, "there is nothing to run")
