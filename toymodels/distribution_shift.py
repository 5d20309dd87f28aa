"""Kernel regression under distribution shift: trained on one measure of inputs, tested on another.

A fit to n labels drawn from a measure p misses the target by a mean squared error of its own at
every input x, the map e(x). A test is an average over the map, with the test measure q. In the
eigenbasis of the kernel over p all of q enters through one matrix, the overlap O. Chapter:
``chapters/distribution_shift.md``.

    p, q       weights of the points in training and test, each with sum 1
    lam, phi   eigenvalues of the kernel and its eigenfunctions, orthonormal over p, on all points
    v          coefficients of the target, v_k = <phi_k y>_p
    O          overlap matrix <phi_k phi_l>_q; the identity where q = p
    kappa, L   effective ridge and learnability lam / (lam + kappa), as in ``kernel_regression``
    T          error on fresh noisy labels of the training measure
    F          influence: the mean fit at x is sum_x' F(x, x') p(x') y(x')

All errors leave the noise of the labels out and have no factor 1/2.

Source: Canatar, Bordelon & Pehlevan (2021), arXiv:2106.02261, which writes n kappa for our kappa.
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from toymodels.kernel_regression import KernelRegression, effective_ridge
from toymodels.kernel_regression import theory as unshifted_theory
from toymodels.networks import HeavyBall, Perceptron, Samples, parameterization, train
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.entrywise import Function
from toymodels.numerics.quantity import leading_axes_fit

Number = float | int
BLIND = 1e-13  # of the largest eigenvalue: below it is rounding, and the kernel sees nothing


@door
@dataclass(frozen=True)
class KernelShift:
    """A kernel and a target on a set of points, and what share of training and test each has.

    Leading axes are independent problems. Raises ValueError on a kernel that is not symmetric, on
    measures that are negative or do not sum to 1, on what is not finite and on a negative ridge or
    noise.
    """

    kernel: Float[Tensor, "*#batch point point"]
    target: Float[Tensor, "*#batch point"]  # y
    train: Float[Tensor, "*#batch point"]  # p
    test: Float[Tensor, "*#batch point"]  # q
    ridge: Number | Float[Tensor, "*#batch"] = 0.0  # added to the diagonal of K, not n ridge
    noise: Number | Float[Tensor, "*#batch"] = 0.0  # variance of the labels' noise

    def __post_init__(self):
        _check_symmetric("kernel", self.kernel)
        _check_finite("target", self.target)
        for name in ("train", "test"):
            _check_measure(name, getattr(self, name))
        _check_numbers(self, _parts(self))


@door
@dataclass(frozen=True)
class LinearShift:
    """Linear regression y = w.x + noise on Gaussian inputs whose covariance changes in the test.

    The fit is ridge regression with the kernel x.x'. Leading axes are independent problems. Raises
    ValueError on covariances that are not symmetric or have a negative eigenvalue, on a training
    covariance of 0, and as ``KernelShift`` does.
    """

    train_covariance: Float[Tensor, "*#batch input input"]
    test_covariance: Float[Tensor, "*#batch input input"]
    target: Float[Tensor, "*#batch input"]  # w
    ridge: Number | Float[Tensor, "*#batch"] = 0.0
    noise: Number | Float[Tensor, "*#batch"] = 0.0

    def __post_init__(self):
        for name in ("train_covariance", "test_covariance"):
            _check_symmetric(name, getattr(self, name))
            _check_positive(name, getattr(self, name))
        if not (self.train_covariance != 0).any((-2, -1)).all():
            raise ValueError("train_covariance must not be 0: there is nothing to learn from")
        _check_finite("target", self.target)
        _check_numbers(self, _parts(self))


@dataclass(frozen=True)
class ShiftCurve:
    """What n samples of one measure teach about another. Theory and experiment both return this.

    An experiment has one more axis before the sizes: (*batch, member, size), a member being a
    training set. Linear regression has no ``point_error``, networks have no ``kappa``.
    """

    samples: Num[Tensor, " size"]  # n
    kappa: Float[Tensor, "*batch size"] | None  # effective ridge; measured as 1 / tr (K + ridge)^-1
    error: Float[Tensor, "*batch size"]  # <(f - f^)^2> over the test measure
    unshifted_error: Float[Tensor, "*batch size"]  # the same over the training measure
    point_error: Float[Tensor, "*batch size point"] | None = None  # e(x)
    residual: Float[Tensor, "*batch size"] | None = None  # theory: of the equation for kappa
    converged: Bool[Tensor, "*batch size"] | None = None  # theory: residual below 1e-12


@dataclass(frozen=True)
class Modes:
    """The eigenbasis of the training measure and what the test measure makes of it."""

    eigenvalue: Float[Tensor, "*batch mode"]  # lam, largest first
    target: Float[Tensor, "*batch mode"]  # v
    overlap: Float[Tensor, "*batch mode mode"]  # O; 0 in modes that the kernel cannot see


@dataclass(frozen=True)
class Optimum:
    """A measure that was searched for."""

    samples: Num[Tensor, " size"]
    measure: Float[Tensor, "*batch size point"]
    error: Float[Tensor, "*batch size step"]  # on the test measure, by theory, at every step
    residual: Float[Tensor, "*batch size"]  # spread over p of slope + temperature log(p / p0)
    converged: Bool[Tensor, "*batch size"]  # residual below the tolerance


class _Spectrum(NamedTuple):
    """Of either model, in float64: the fit of n samples is read off at ``reach``."""

    eigenvalue: Tensor  # lam (*batch, mode), 0 where the kernel is blind
    target: Tensor  # v (*batch, mode)
    reach: Tensor  # lam phi (*batch, point, mode); linear: lam phi = root(test covariance) part
    label: Tensor  # y (*batch, point)
    weight: Tensor  # q (*batch, point)
    ridge: Tensor  # (*batch)
    noise: Tensor  # (*batch)


@door(origin="theory")
def theory(model: KernelShift | LinearShift, samples: Num[Tensor, " size"]) -> ShiftCurve:
    """The learning curve on both measures, exact as n and the number of modes grow together.

    e(x) = (y(x) - sum_k L_k v_k phi_k(x))^2 + (T / n) sum_k L_k^2 phi_k(x)^2, averaged over q: this
    is v (1-L) O (1-L) v + (T / n) sum_k L_k^2 O_kk where the kernel sees the target. Corrections
    are of order 1/n. Samples may be fractional, n > 0. Raises ValueError on samples that are not
    positive and on a kernel with a negative eigenvalue.
    """
    s = _spectrum(model)
    problem = KernelRegression(s.eigenvalue, s.target, ridge=s.ridge, noise=s.noise)
    curve = unshifted_theory(problem, samples)
    n = samples.to(s.label)
    test = curve.error + s.noise[..., None]  # T (*batch, size)
    stiff = s.eigenvalue[..., None, :] + curve.kappa[..., None]  # (*batch, size, mode)
    share = torch.where(s.eigenvalue[..., None, :] > 0, 1 / stiff, 0.0)
    fit = (share * s.target[..., None, :]) @ s.reach.mT  # (*batch, size, point)
    spread = share**2 @ s.reach.mT**2  # sum L^2 phi^2
    scatter = torch.where(spread > 0, (test / n)[..., None] * spread, 0.0)
    point_error = (s.label[..., None, :] - fit) ** 2 + scatter
    weight = s.weight[..., None, :]
    error = torch.where(weight > 0, weight * point_error, 0.0).sum(-1)
    found = {"kappa": curve.kappa, "error": error, "unshifted_error": curve.error}
    if isinstance(model, KernelShift):
        found["point_error"] = point_error
    found |= {"residual": curve.residual, "converged": curve.converged}
    return _curve(model, samples, **found)


@door(origin="theory")
def modes(model: KernelShift | LinearShift) -> Modes:
    """Eigenvalues, target and overlap matrix in the eigenbasis of the training measure."""
    s = _spectrum(model)
    lam = s.eigenvalue[..., None, :]
    function = torch.where(lam > 0, s.reach / torch.where(lam > 0, lam, 1.0), 0.0)
    overlap = function.mT @ (s.weight[..., None] * function)
    batch = overlap.shape[:-2]
    rows = (x.to(model.target).expand(*batch, -1) for x in (s.eigenvalue, s.target))
    return Modes(*rows, overlap.to(model.target))


@door(origin="theory")
def resolvent_theory(model: KernelShift, samples: Num[Tensor, " size"]) -> ShiftCurve:
    """As ``theory``, without eigenfunctions: from the influence F = (K D_p + kappa)^-1 K alone.

    The mean residual is r = y - F D_p y, and sum_k L_k^2 phi_k(x)^2 = sum_x' p(x') F(x, x')^2. Any
    p will do, with zeros too. Raises ValueError where kappa is 0: give a ridge, or fewer samples.
    """
    state = _Influence.of(model, samples)
    p, q = (_sizes_last(m) for m in (model.train, model.test))
    e = state.point_error
    found = {"error": (q * e).sum(-1), "unshifted_error": (p * e).sum(-1), "point_error": e}
    return _curve(model, samples, kappa=state.kappa, **found)


@door(origin="theory")
def local_theory(
    model: KernelShift,
    samples: Num[Tensor, " size"],
    *,
    weight: Float[Tensor, "*batch point"] | None = None,
    iterations: int = 1000,
    tolerance: float = 1e-10,
) -> ShiftCurve:
    """As ``theory``, with an effective ridge kappa(x) for every place instead of one for all.

    n kappa(x) = ridge / weight(x) + F(x, x) with F = (K D_(p / kappa) + I)^-1 K: what a sample
    at x leaves unknown there. It is spent unevenly where training is, and so is what is mistaken
    for signal: the scatter solves s = A (r^2 + noise + s), A = F^2 p / (n kappa^2). The ``weight``
    of a sample multiplies its square in the loss of the fit. Where F(x, x) and the weights are the
    same everywhere this is ``theory``. ``kappa`` of the record is 1 / <1 / kappa(x)>_p.
    Iterates kappa from above; raises ValueError on weights that are not positive.
    """
    draws.whole_number(iterations, "iterations", 1, "nothing is solved")
    K, y, p, q, ridge, noise = (part.to(torch.float64) for part in _parts(model))
    own_ridge = (ridge[..., None] / _checked_weight(weight, y))[..., None, :]
    K, (y, p, q) = K[..., None, :, :], (_sizes_last(part) for part in (y, p, q))
    n = samples.to(K)
    if not ((n > 0) & n.isfinite()).all():
        raise ValueError(f"samples must be positive and finite, got {samples.tolist()}")
    diagonal = K.diagonal(dim1=-2, dim2=-1)
    kappa = (own_ridge + diagonal) / n[..., None]  # (*batch, size, point): nothing is learned yet
    for _ in range(iterations):
        F = torch.linalg.solve(_plus(K * (p / kappa)[..., None, :], torch.ones_like(n)), K)
        found = (own_ridge + F.diagonal(dim1=-2, dim2=-1)) / n[..., None]
        residual = (found / kappa - 1).abs().amax(-1)
        kappa = found
        if (residual <= tolerance).all():
            break
    r = y - (F @ (p / kappa * y)[..., None])[..., 0]
    A = F**2 * (p / kappa**2 / n[..., None])[..., None, :]
    source = r**2 + noise[..., None, None]
    scatter = torch.linalg.solve(_plus(-A, torch.ones_like(n)), (A @ source[..., None]))[..., 0]
    e = r**2 + scatter
    return _curve(
        model,
        samples,
        kappa=1 / (p / kappa).sum(-1),
        error=(q * e).sum(-1),
        unshifted_error=(p * e).sum(-1),
        point_error=e,
        residual=residual,
        converged=residual <= tolerance,
    )


@door(origin="theory")
def train_slope(
    model: KernelShift, samples: Num[Tensor, " size"]
) -> Float[Tensor, "*batch size point"]:
    """d error / d p(x), the change of the test error per weight that is added to training at x.

    Moving weight from x' to x changes the error by the difference of the two slopes; a common
    constant has no meaning, as p sums to 1.
    """
    return _Influence.of(model, samples).slope(_sizes_last(model.test)).to(model.target)


@door(origin="theory")
def beneficial_test(
    model: KernelShift, samples: Num[Tensor, " size"], *, temperature: Number
) -> Float[Tensor, "*batch size point"]:
    """The test measure of least <e> + temperature KL(q || test): test(x) exp(-e(x) / temperature).

    Raises ValueError on a temperature that is not positive: the coldest test is a single point.
    """
    return _boltzmann(model, samples, -1, temperature)


@door(origin="theory")
def adversarial_test(
    model: KernelShift, samples: Num[Tensor, " size"], *, temperature: Number
) -> Float[Tensor, "*batch size point"]:
    """The test measure of largest <e> - temperature KL(q || test): exp(+e(x) / temperature)."""
    return _boltzmann(model, samples, 1, temperature)


@door(origin="theory")
def optimal_train(
    model: KernelShift,
    samples: Num[Tensor, " size"],
    *,
    temperature: Number,
    steps: int = 60,
    tolerance: float = 1e-3,
) -> Optimum:
    """Descend the test error in the training measure, from the measure ``model.train`` = p0.

    Mirror descent of error + temperature KL(p || p0), whose steps are
    log p <- log p - rate (slope + temperature log(p / p0)) + constant; a step that climbs is taken
    back and the rate halved. It rests where p = p0 exp(-slope / temperature), a Boltzmann measure
    in a landscape that it makes itself. At temperature 0 nothing keeps it from collapsing onto a
    few points. ``tolerance`` is in units of the residual at the start. Raises ValueError on a
    negative temperature.
    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be finite and not negative, got {temperature}")
    draws.whole_number(steps, "steps", 1, "nothing would move")
    test, start = _sizes_last(model.test), _sizes_last(model.train)
    start = start.expand(*start.shape[:-2], len(samples), -1).log()

    def look(log_p):  # error, what is descended, its force and the spread of that
        p, moved = log_p.exp(), torch.where(log_p > -torch.inf, log_p - start, 0.0)
        state = _Influence.of(model, samples, p)
        error = (test * state.point_error).sum(-1, keepdim=True)
        force = state.slope(test) + temperature * moved
        force = force - (p * force).sum(-1, keepdim=True)
        spread = (p * force**2).sum(-1, keepdim=True).sqrt()
        return log_p, error, error + temperature * (p * moved).sum(-1, keepdim=True), force, spread

    now = look(start)
    first, errors = now[-1], [now[1]]
    rate = 1 / (temperature + first)
    for _ in range(steps):
        trial = look((now[0] - rate * now[3]).log_softmax(-1))
        better = trial[2] <= now[2]
        now = [torch.where(better, new, old) for new, old in zip(trial, now, strict=True)]
        rate = torch.where(better, 1.5, 0.5) * rate
        rate = rate.clamp(max=1 / temperature) if temperature > 0 else rate
        errors.append(now[1])
    measure, residual = now[0].exp(), now[-1]
    converged = (residual <= tolerance * first)[..., 0]
    found = (measure, torch.cat(errors, -1), residual[..., 0])
    return Optimum(samples, *(_cast(x, model) for x in found), converged)


@door(origin="theory")
def finite_shift(model: LinearShift, samples: Num[Tensor, " size"]) -> Float[Tensor, "*batch size"]:
    """Mean test error without a ridge, exact for Gaussian inputs at any size, where it is known.

    With more samples than inputs, noise tr(Sigma^-1 Sigma_T) / (n - D - 1) at any covariances. With
    fewer, for a training covariance proportional to the identity: the fit then keeps a random
    n-dimensional part of w. Infinite for n = D - 1, D, D + 1 when there is noise. Raises ValueError
    on a ridge, a singular training covariance, and fewer samples at another covariance.
    """
    train, test, w, ridge, noise = (part.to(torch.float64) for part in _parts(model))
    n, D = _whole(samples).to(w), train.shape[-1]
    if (ridge != 0).any():
        raise ValueError("ridge must be 0: with one the mean has no closed form")
    root = torch.linalg.cholesky_ex(train)
    if root.info.any():
        raise ValueError("train_covariance must not be singular: the exact mean needs its inverse")
    size = train.diagonal(dim1=-2, dim2=-1).mean(-1)
    white = torch.eye(D, dtype=w.dtype, device=w.device) * size[..., None, None]
    if (n < D).any() and (train - white).abs().max() > 1e-12 * size.max():
        raise ValueError(
            "train_covariance must be a multiple of the identity where inputs outnumber samples"
        )
    trace = test.diagonal(dim1=-2, dim2=-1).sum(-1)
    relative = torch.cholesky_solve(test, root.L).diagonal(dim1=-2, dim2=-1).sum(-1)
    missed = (D - n).clamp(min=0)  # dimensions, of a random projection Q: <Q A Q> = a A + b tr(A) I
    even = missed * n / max(D * (D - 1) * (D + 2), 1)  # b
    own = missed**2 / D**2 - 2 * even / D + even  # a
    bias = own * _form(w, test)[..., None] + even * (trace * w.square().sum(-1))[..., None]
    distance = ((n - D).abs() - 1).clamp(min=0)
    variance = noise[..., None] * relative[..., None] * (n / D).clamp(max=1) / distance
    return (bias + torch.where(noise[..., None] > 0, variance, 0.0)).to(model.target)


@door(origin="experiment")
def experiment(
    model: KernelShift | LinearShift,
    samples: Num[Tensor, " size"],
    *,
    seed: int,
    members: int,
    weight: Float[Tensor, "*batch point"] | None = None,
    chunk: int = 50,
) -> ShiftCurve:
    """Fit ``members`` training sets of each size; nothing of ``theory`` is used.

    Points are drawn from the training measure with replacement, Gaussian inputs anew. Problems of
    the model's batch see the same random numbers; sizes and members do not. ``chunk`` members are
    fitted at once. The error of a fit is its exact average over the measures. ``weight``, of a
    ``KernelShift``, multiplies the square of a sample in the loss of the fit.

    Raises ValueError on samples that are not positive whole numbers, on no members, on weights that
    are not positive, and on a singular kernel matrix, such as that of a point drawn twice without
    a ridge.
    """
    sizes = _whole(samples).tolist()
    _check_counts(seed, members, chunk)
    if isinstance(model, KernelShift):
        one_fit = partial(_kernel_fit, _checked_weight(weight, model.target))
    elif weight is None:
        one_fit = _linear_fit
    else:
        raise ValueError("weight must be left out in linear regression: its inputs are no points")
    found = {}
    for n in sizes:
        parts = [
            one_fit(model, n, seed, first, min(chunk, members - first))
            for first in range(0, members, chunk)
        ]
        for name in parts[0]:
            axis = _member_axis(name)
            found.setdefault(name, []).append(torch.cat([part[name] for part in parts], dim=axis))
    # the axis of sizes follows that of the members
    stacked = {name: torch.stack(x, dim=_member_axis(name)) for name, x in found.items()}
    return _curve(model, samples, **stacked)


@door(origin="experiment")
def network_experiment(
    model: KernelShift,
    inputs: Float[Tensor, "point input"],
    samples: Num[Tensor, " size"],
    *,
    activation: Function | None,
    width: int,
    steps: int,
    step: float = 1.0,
    momentum: float = 0.9,
    seed: int,
    members: int,
) -> ShiftCurve:
    """Train wide networks with one hidden layer on draws from the training measure.

    Every member has weights and a training set of its own. What the network computes before
    training is added to its labels and taken off its predictions, so that it starts from 0. Full
    batches, momentum, and no ridge; of the model's kernel nothing is used but the scale of the
    ``step``, which is in units of the inverse largest curvature. One model, no batch.
    """
    sizes = _whole(samples).tolist()
    _check_counts(seed, members, 1)
    y, p, q = model.target, model.train, model.test
    if y.ndim != 1 or p.ndim != 1 or q.ndim != 1:
        raise ValueError("networks are trained for one model, no batch")
    shape = parameterization.tangent([inputs.shape[-1], width, 1], weight_variance=2.0)
    network = Perceptron(activation, multipliers=shape.multiplier)
    noise = _parts(model)[-1].sqrt()
    where = {"dtype": y.dtype, "device": y.device}
    found = []
    for n in sizes:
        weights = shape.start(members, seed=seed, **where)
        before = network(weights, inputs)[..., 0]  # (member, point)
        rows = _picked_points(p, n, seed, 0, members)  # (member, n)
        label_noise = noise * draws.normal(seed, f"noise {n}", members, (n,), **where)
        label = (y + before).gather(-1, rows) + label_noise
        curvature = torch.linalg.eigvalsh(_block(model.kernel, rows))[:, -1] / n
        trained = train(
            weights,
            Samples(inputs[rows], label[..., None]),
            rule=HeavyBall(step / curvature, momentum),
            network=network,
            record=[steps],
            observe={"after": lambda state: state.outputs(inputs)[..., 0]},
        ).require_finite()
        fit = trained.observed["after"][:, 0] - before
        found.append((y - fit) ** 2)
    point_error = torch.stack(found, -2)  # (member, size, point)
    error, unshifted = ((measure * point_error).sum(-1) for measure in (q, p))
    return ShiftCurve(samples, None, error, unshifted, point_error)


@dataclass(frozen=True)
class _Influence:
    """The mean fit of n samples and its slopes in p; axes (*batch, size, point)."""

    samples: Tensor  # n (size,)
    train: Tensor  # p (*batch, 1 or size, point)
    noise: Tensor  # (*batch, 1)
    kappa: Tensor  # (*batch, size)
    influence: Tensor  # F (*batch, size, point, point)
    residual: Tensor  # r
    square: Tensor  # F D_p F (*batch, size, point, point), its diagonal is the spread

    @classmethod
    def of(cls, model: KernelShift, samples: Tensor, train: Tensor | None = None) -> "_Influence":
        K, y, p, _, ridge, noise = (part.to(torch.float64) for part in _parts(model))
        p = _sizes_last(p) if train is None else train.to(torch.float64)
        K, y = K[..., None, :, :], y[..., None, :]
        kappa = _kappa(K, p, ridge, samples)
        if (kappa == 0).any():
            raise ValueError("kappa must be positive: give a ridge, or fewer samples than points")
        F = torch.linalg.solve(_plus(K * p[..., None, :], kappa), K)
        F = (F + F.mT) / 2
        r = y - (F @ (p * y)[..., None])[..., 0]
        square = F @ (p[..., None] * F)
        return cls(samples.to(K), p, noise[..., None], kappa, F, r, square)

    @property
    def spread(self) -> Tensor:
        """sum_k L_k^2 phi_k(x)^2, the mean square of the influence on x."""
        return self.square.diagonal(dim1=-2, dim2=-1)

    @property
    def left(self) -> Tensor:
        """n (1 - gamma): the samples that are not spent on what is learned."""
        return self.samples - (self.train * self.spread).sum(-1)

    @property
    def fresh(self) -> Tensor:
        """T / n."""
        return ((self.train * self.residual**2).sum(-1) + self.noise) / self.left

    @property
    def point_error(self) -> Tensor:
        """e(x)."""
        return self.residual**2 + self.fresh[..., None] * self.spread

    def slope(self, test: Tensor) -> Tensor:
        """d (sum_x q e) / d p(z); see the chapter for the derivation."""
        p, F, r, spread = self.train, self.influence, self.residual, self.spread
        cubed = (F * self.square) @ p[..., None]  # diagonal of F D F D F
        pull = (F.diagonal(dim1=-2, dim2=-1) - spread) / self.left[..., None]  # d log kappa / dp
        moved = (F @ (p * r)[..., None])[..., 0]  # d r / d log kappa

        def squares(weight):  # d (sum_x weight r^2) / dp, the weights held
            own = (F @ (weight * r)[..., None])[..., 0]
            return 2 * (pull * (weight * r * moved).sum(-1, keepdim=True) - r * own)

        def spreads(weight):  # d (sum_x weight spread) / dp, the weights held
            own = ((F * (F - 2 * self.square)).mT @ weight[..., None])[..., 0]
            return own - 2 * pull * (weight * (spread - cubed[..., 0])).sum(-1, keepdim=True)

        fresh, left = self.fresh[..., None], self.left[..., None]
        source = r**2 + squares(p)  # d (n (1 - gamma) T / n)
        fresh_slope = (source + fresh * (spread + spreads(p))) / left
        return (
            squares(test)
            + fresh * spreads(test)
            + fresh_slope * (test * spread).sum(-1, keepdim=True)
        )


def _kappa(K: Tensor, p: Tensor, ridge: Tensor, samples: Tensor) -> Tensor:
    """The effective ridge of n samples from p; K and p have an axis of sizes or of one."""
    root = p.sqrt()
    lam = _clean(torch.linalg.eigvalsh(root[..., :, None] * K * root[..., None, :]))
    problem = KernelRegression(lam, torch.zeros_like(lam), ridge=ridge[..., None])
    kappa = effective_ridge(problem, samples).solution  # (*batch, 1 or size of p, size)
    return kappa[..., 0, :] if p.shape[-2] == 1 else kappa.diagonal(dim1=-2, dim2=-1)


def _boltzmann(model: KernelShift, samples: Tensor, sign: int, temperature: Number) -> Tensor:
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
    e = theory(model, samples).point_error
    return (_sizes_last(model.test).log() + sign * e / temperature).softmax(-1)


def _spectrum(model: KernelShift | LinearShift) -> _Spectrum:
    """The eigenbasis of the training measure."""
    parts = [part.to(torch.float64) for part in _parts(model)]
    if isinstance(model, LinearShift):
        train, test, w, ridge, noise = parts
        lam, V = torch.linalg.eigh(train)
        lam, V = _clean(lam).flip(-1), V.flip(-1)
        root = _root(test).mT  # its rows stand for the points of the test
        target = lam.sqrt() * (w[..., None, :] @ V)[..., 0, :]
        reach = root @ V * lam.sqrt()[..., None, :]
        label = (root @ w[..., None])[..., 0]
        return _Spectrum(lam, target, reach, label, torch.ones_like(label), ridge, noise)
    K, y, p, q, ridge, noise = parts
    root = p.sqrt()
    lam, U = torch.linalg.eigh(root[..., :, None] * K * root[..., None, :])
    lam, U = _clean(lam).flip(-1), U.flip(-1)
    target = ((root * y)[..., None, :] @ U)[..., 0, :]
    return _Spectrum(lam, target, K @ (root[..., None] * U), y, q, ridge, noise)


def _clean(eigenvalue: Tensor) -> Tensor:
    """Eigenvalues, smallest first, without those that are rounding. Refuses negative ones."""
    largest = eigenvalue[..., -1:]
    if (eigenvalue < -1e-7 * largest).any() or not (largest > 0).all():
        raise ValueError(
            f"kernel must have no negative eigenvalue, and a positive one where there is training, "
            f"got {eigenvalue.min():.2g} to {largest.min():.2g}"
        )
    return torch.where(eigenvalue > BLIND * largest, eigenvalue, 0.0)


def _root(covariance: Tensor) -> Tensor:
    """S with S S^T = covariance, which may be singular."""
    lam, V = torch.linalg.eigh(covariance)
    return V * lam.clamp(min=0).sqrt()[..., None, :]


# The experiment


def _kernel_fit(
    weight: Tensor, model: KernelShift, n: int, seed: int, first: int, count: int
) -> dict:
    K, y, p, q, ridge, noise = _parts(model)
    rows = _picked_points(p, n, seed, first, count)  # (*batch, draw, n)
    label_noise = draws.normal(seed, f"noise {n}", count, (n,), first=first, dtype=y.dtype)
    label_noise = noise.sqrt()[..., None, None] * label_noise.to(y.device)
    label = _at(y, rows) + label_noise
    inverse, alpha = _resolve(_block(K, rows), label, ridge[..., None, None] / _at(weight, rows))
    held = alpha.new_zeros(*alpha.shape[:-1], y.shape[-1])  # weights of the points
    held = held.scatter_add(-1, rows.expand_as(alpha), alpha)  # a point may be drawn twice
    point_error = (y[..., None, :] - held @ K) ** 2
    return {
        "kappa": 1 / inverse.diagonal(dim1=-2, dim2=-1).sum(-1),
        "error": (q[..., None, :] * point_error).sum(-1),
        "unshifted_error": (p[..., None, :] * point_error).sum(-1),
        "point_error": point_error,
    }


def _linear_fit(model: LinearShift, n: int, seed: int, first: int, count: int) -> dict:
    train, test, w, ridge, noise = _parts(model)
    place = {"first": first, "dtype": w.dtype, "device": w.device}
    x = draws.normal(seed, f"inputs {n}", count, (n, w.shape[-1]), **place)
    x = x @ _root(train).mT[..., None, :, :]  # (*batch, draw, n, input)
    label_noise = draws.normal(seed, f"noise {n}", count, (n,), **place)
    label = (x @ w[..., None, :, None])[..., 0] + noise.sqrt()[..., None, None] * label_noise
    wide = n <= w.shape[-1]
    matrix, side = (x @ x.mT, label) if wide else (x.mT @ x, (label[..., None, :] @ x)[..., 0, :])
    inverse, solution = _resolve(matrix, side, ridge[..., None, None])
    fit = (solution[..., None, :] @ x)[..., 0, :] if wide else solution
    trace = inverse.diagonal(dim1=-2, dim2=-1).sum(-1)
    if not wide:  # ridge tr G = n - D + ridge tr (x^T x + ridge)^-1
        trace = trace + (n - w.shape[-1]) / ridge[..., None]
    missed = w[..., None, :] - fit
    return {
        "kappa": 1 / trace,
        "error": _form(missed, test[..., None, :, :]),
        "unshifted_error": _form(missed, train[..., None, :, :]),
    }


def _picked_points(p: Tensor, n: int, seed: int, first: int, count: int) -> Tensor:
    """Points drawn from the measure p with replacement, (*batch, draw, n)."""
    chance = draws.uniform(seed, f"points {n}", count, (n,), first=first, device=p.device)
    edges = p.double().cumsum(-1)
    edges = (edges / edges[..., -1:])[..., None, :].expand(*p.shape[:-1], count, -1)
    return torch.searchsorted(
        edges.contiguous(), chance.expand(*edges.shape[:-1], n).contiguous(), right=True
    )


def _at(values: Tensor, rows: Tensor) -> Tensor:
    """``values`` (*batch, point) at the points of every draw, (*batch, draw, n)."""
    batch = torch.broadcast_shapes(values.shape[:-1], rows.shape[:-2])
    values = values[..., None, :].expand(*batch, rows.shape[-2], -1)
    return values.gather(-1, rows.expand(*batch, -1, -1))


def _block(K: Tensor, rows: Tensor) -> Tensor:
    """K between the points of every draw, (*batch, draw, n, n)."""
    pairs = K.shape[-1] * rows[..., :, None] + rows[..., None, :]
    return _at(K.flatten(-2), pairs.flatten(-2)).unflatten(-1, pairs.shape[-2:])


def _resolve(matrix: Tensor, side: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor]:
    """(matrix + ridge)^-1 and its product with ``side``; ridges (..., 1) or one per entry."""
    diagonal = torch.diag_embed(ridge.expand(*ridge.shape[:-1], matrix.shape[-1]))
    factor, failed = torch.linalg.cholesky_ex(matrix + diagonal)
    if failed.any():
        raise ValueError(
            "the kernel matrix must not be singular: give a positive ridge, or fewer samples"
        )
    return torch.cholesky_inverse(factor), torch.cholesky_solve(side[..., None], factor)[..., 0]


# Shapes and refusals


def _plus(matrix: Tensor, number: Tensor) -> Tensor:
    """matrix + number I."""
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return matrix + number[..., None, None] * identity


def _form(vector: Tensor, matrix: Tensor) -> Tensor:
    """vector . matrix . vector."""
    return ((vector[..., None, :] @ matrix)[..., 0, :] * vector).sum(-1)


def _sizes_last(measure: Tensor) -> Tensor:
    """A measure (*batch, point) beside an axis of sizes, in float64."""
    return measure.to(torch.float64)[..., None, :]


def _parts(model: KernelShift | LinearShift) -> list[Tensor]:
    """All fields, matrices, vectors and numbers, with as many axes of a batch, of size 1 or full.

    A kernel with many tests is so diagonalised once.
    """
    like = model.target  # its dtype is named, lest a float pass through float32
    place = {"dtype": like.dtype, "device": like.device}
    given = [torch.as_tensor(getattr(model, f.name), **place) for f in fields(model)]
    names = [f.name for f in fields(model)]
    own = [2 if "covariance" in name or name == "kernel" else 1 for name in names[:-2]] + [0, 0]
    batches = [p.shape[: p.ndim - k] for p, k in zip(given, own, strict=True)]
    with leading_axes_fit():
        axes = len(torch.broadcast_shapes(*batches))
    return [p[(None,) * (axes + k - p.ndim)] for p, k in zip(given, own, strict=True)]


def _curve(model: KernelShift | LinearShift, samples: Tensor, **values: Tensor) -> ShiftCurve:
    """A record in the precision of the model, in which each problem of a batch has its own."""
    shape = torch.broadcast_shapes(*(v.shape for k, v in values.items() if k != "point_error"))
    return ShiftCurve(
        samples,
        **{
            name: _cast(value, model).expand(*shape, *[-1] * (name == "point_error"))
            for name, value in values.items()
        },
    )


def _cast(value: Tensor, model: KernelShift | LinearShift) -> Tensor:
    return value.to(model.target) if value.is_floating_point() else value


def _member_axis(name: str) -> int:
    return -2 if name == "point_error" else -1


def _whole(samples: Tensor) -> Tensor:
    real = not samples.is_complex()
    if not (real and ((samples > 0) & (samples == samples.round()) & samples.isfinite()).all()):
        raise ValueError(f"samples must be positive whole numbers here, got {samples.tolist()}")
    return samples.long()


def _check_counts(seed: int, members: int, chunk: int) -> None:
    draws.whole_number(seed, "seed")
    for name, value in (("members", members), ("chunk", chunk)):
        draws.whole_number(value, name, 1, "there is nothing to fit")


def _checked_weight(weight: Tensor | None, like: Tensor) -> Tensor:
    if weight is None:
        return torch.ones_like(like)
    if not ((weight > 0) & weight.isfinite()).all() or weight.shape[-1] != like.shape[-1]:
        raise ValueError(
            f"weight must be {like.shape[-1]} positive numbers, got shape {tuple(weight.shape)} "
            f"and a least entry of {weight.min():g}"
        )
    return weight.to(like)


def _check_finite(name: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise ValueError(f"{name} must be finite, got {float(value[~value.isfinite()][0])}")


def _check_symmetric(name: str, matrix: Tensor) -> None:
    _check_finite(name, matrix)
    rounding = matrix.shape[-1] * torch.finfo(matrix.dtype).eps
    if ((matrix - matrix.mT).abs() > 10 * rounding * matrix.abs().amax()).any():
        raise ValueError(f"{name} must be symmetric: its entry (i, j) is that of (j, i)")


def _check_positive(name: str, matrix: Tensor) -> None:
    lam = torch.linalg.eigvalsh(matrix)
    rounding = 10 * matrix.shape[-1] * torch.finfo(matrix.dtype).eps
    if (lam[..., 0] < -rounding * lam[..., -1].abs()).any():
        raise ValueError(f"{name} must have no negative eigenvalue, got {lam.min():.2g}")


def _check_measure(name: str, weight: Tensor) -> None:
    total = weight.double().sum(-1)
    if (weight < 0).any() or (total - 1).abs().max() > 1e3 * torch.finfo(weight.dtype).eps:
        raise ValueError(
            f"{name} must be weights with sum 1, none negative, got a least weight of "
            f"{weight.min():.2g} and sums of {total.min():.6g} to {total.max():.6g}"
        )


def _check_numbers(model: KernelShift | LinearShift, parts: list[Tensor]) -> None:
    for name, value in zip(("ridge", "noise"), parts[-2:], strict=True):
        if not ((value >= 0) & value.isfinite()).all():
            raise ValueError(f"{name} must be finite and not negative, got {value.min():g}")
