"""Kernel ridge regression: how many samples it takes to learn which part of a function.

Labels y = f(x) + noise at n random inputs are fitted by f^(x) = k(x, X) (K + ridge I)^-1 y. In the
eigenbasis of the kernel the average result needs one number, the effective ridge kappa: modes with
eigenvalue far above kappa are learned, modes far below are not. Chapter:
``chapters/kernel_regression.md``.

    lam, v     eigenvalue of a mode and coefficient of the target in the orthonormal eigenbasis
    m          degeneracy: functions with the same eigenvalue; v is then the root of their power
    L          learnability, lam / (lam + kappa): mean learned coefficient / v
    E          error of the predictor, without label noise, without a factor 1/2

Source: Bordelon, Canatar & Pehlevan (2020), arXiv:2002.02561; Canatar, Bordelon & Pehlevan (2021),
arXiv:2006.13198, which writes n kappa for our kappa; Simon, Dickens, Karkada & DeWeese (2023),
arXiv:2110.03922, whose notation is used here.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.fixed_point import FixedPoint, solve
from toymodels.numerics.quantity import leading_axes_fit
from toymodels.numerics.spectra import gegenbauer

Number = float | int


@door
@dataclass(frozen=True)
class KernelRegression:
    """A kernel's spectrum, a target, a ridge and a noise; leading axes are independent problems.

    Raises ValueError on spectra that are negative, zero throughout or not finite, on shapes that
    do not match, on degeneracies that are not whole, and on a negative ridge or noise.
    """

    eigenvalue: Float[Tensor, "*#batch mode"]  # lam >= 0, one or more positive
    target: Float[Tensor, "*#batch mode"]  # v; where lam = 0 the kernel cannot see it
    degeneracy: Num[Tensor, "*#batch mode"] | None = None  # m, whole numbers; None is 1 each
    ridge: Number | Float[Tensor, "*#batch"] = 0.0  # added to the diagonal of K, not n ridge
    noise: Number | Float[Tensor, "*#batch"] = 0.0  # variance of the labels' noise

    def __post_init__(self):
        for name in ("eigenvalue", "target"):
            value = getattr(self, name)
            if not value.isfinite().all():
                raise ValueError(f"{name} must be finite, got {value.tolist()}")
        if (self.eigenvalue < 0).any() or not (self.eigenvalue > 0).any(-1).all():
            raise ValueError(
                "eigenvalue must not be negative and not all zero, "
                f"got {self.eigenvalue.min():g} to {self.eigenvalue.max():g}"
            )
        _check_degeneracy(self.degeneracy, self.eigenvalue)
        for name in ("ridge", "noise"):
            value = torch.as_tensor(getattr(self, name))
            if not ((value >= 0) & value.isfinite()).all():
                raise ValueError(f"{name} must be finite and not negative, got {value.tolist()}")
        with leading_axes_fit():
            _broadcast(self)


@dataclass(frozen=True)
class LearningCurve:
    """What n samples teach. Theory and experiment both return this.

    An experiment has one more axis before the sizes: (*batch, member, size), a member being a
    training set. Of degenerate modes ``mode_error`` is the sum over the shell and ``learnability``
    the mean.
    """

    samples: Num[Tensor, " size"]  # n
    kappa: Float[Tensor, "*batch size"]  # effective ridge; measured as 1 / tr (K + ridge I)^-1
    error: Float[Tensor, "*batch size"]  # <(f - f^)^2>, label noise left out
    mode_error: Float[Tensor, "*batch size mode"]  # its part in each mode
    train_error: Float[Tensor, "*batch size"]  # mean (y - f^)^2 on the noisy training labels
    learnability: Float[Tensor, "*batch size mode"]  # L, between 0 and 1
    residual: Float[Tensor, "*batch size"] | None = None  # theory: of the equation for kappa
    converged: Bool[Tensor, "*batch size"] | None = None  # theory: residual below 1e-12


@door(origin="theory")
def effective_ridge(model: KernelRegression, samples: Num[Tensor, " size"]) -> FixedPoint:
    """kappa >= 0, the root of n = sum_k m_k lam_k / (lam_k + kappa) + ridge / kappa.

    Without a ridge and with at least as many samples as modes it is 0. Solved in float64.
    Raises ValueError on samples that are not positive.
    """
    lam, _, m, ridge, _ = _columns(model)
    n = _sizes(samples, lam)
    m = m * (lam > 0)
    rank = m.sum(-1)  # (*batch, 1)
    ridge, n, rank = torch.broadcast_tensors(ridge, n, rank)
    interpolates = (ridge == 0) & (n >= rank)
    delta = torch.where(interpolates, 1.0, ridge)  # any equation with a root will do there

    def ratio(kappa):
        L = lam / (lam + kappa[..., None])
        lost = kappa[..., None] / (lam + kappa[..., None])
        fall = (m * L * lost).sum(-1)
        spent = (m * L).sum(-1) + delta / kappa
        # with n >= rank the difference n - sum m L would cancel: count what is not learned instead
        spare = n - rank + (m * lost).sum(-1)
        below = spent / n, -(fall + delta / kappa) / spent
        above = delta / (kappa * spare), -1 - fall / spare
        return torch.where(n < rank, below[0], above[0]), torch.where(n < rank, below[1], above[1])

    smallest = torch.where(lam > 0, lam, torch.inf).amin(-1)
    low = torch.maximum(delta / n, smallest * (rank - n).clamp(min=0) / n)
    root = solve(ratio, low, ((m * lam).sum(-1) + delta) / n)
    return FixedPoint(
        torch.where(interpolates, 0.0, root.solution),
        torch.where(interpolates, 0.0, root.residual),
        root.converged | interpolates,
    )


@door(origin="theory")
def theory(model: KernelRegression, samples: Num[Tensor, " size"]) -> LearningCurve:
    """The learning curve of Gaussian features, exact as n and the number of modes grow together.

    E_k = (1 - L_k)^2 v_k^2 + m_k L_k^2 T / n, with the error on fresh noisy labels
    T = n [sum_k (1 - L_k)^2 v_k^2 + noise] / (n - sum_k m_k L_k^2). Corrections are of order 1/n.
    Samples may be fractional, n > 0. Where n equals the number of modes, without a ridge, noise
    makes the error infinite. Raises ValueError on samples that are not positive.
    """
    lam, power, m, ridge, noise = _columns(model)
    n = _sizes(samples, lam)
    root = effective_ridge(model, samples)
    kappa = root.solution
    k = kappa[..., None]
    L = lam / (lam + k)
    L = torch.where(lam > 0, L, 0.0)  # 0 / 0 where both vanish: the kernel cannot see the mode
    lost = k / (lam + k)
    lost = torch.where(lam > 0, lost, 1.0)
    rank = (m * (lam > 0)).sum(-1)
    left = torch.where(kappa > 0, ridge / kappa, (n - rank).clamp(min=0))  # n - sum m L
    stiffness = (m * L * lost).sum(-1) + left  # n - sum m L^2, free of cancellation
    unlearned = lost**2 * power  # (*batch, size, mode)
    source = unlearned.sum(-1) + noise
    test = torch.where(source > 0, n * source / stiffness, 0.0)  # at n = rank 0 / 0 is 0
    spread = torch.where(L > 0, m * L**2 * (test / n)[..., None], 0.0)
    train = torch.where(left > 0, (left / n) ** 2 * test, 0.0)
    mode_error = unlearned + spread
    return _in_dtype(
        model,
        LearningCurve(
            samples,
            kappa,
            mode_error.sum(-1),
            mode_error,
            train,
            L.expand_as(mode_error),
            root.residual,
            root.converged,
        ),
    )


@door(origin="theory")
def finite_white(
    modes: int, samples: Num[Tensor, " size"], *, power: Number = 1.0, noise: Number = 0.0
) -> Float[Tensor, " size"]:
    """Mean error of equal eigenvalues without a ridge, exact for Gaussian features at any size.

    Bias (1 - n/M) power for n < M modes, else 0; variance noise n / (M - n - 1) below the peak and
    noise M / (n - M - 1) above it. Infinite for n = M - 1, M, M + 1 when there is noise.
    Raises ValueError on samples that are not positive whole numbers.
    """
    n = _whole(samples).to(torch.float64)
    if modes < 1:
        raise ValueError(f"modes must be at least 1, got {modes}")
    for name, value in (("power", power), ("noise", noise)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be finite and must not be negative, got {value:g}")
    bias = power * (1 - n / modes).clamp(min=0)
    distance = (n - modes).abs() - 1
    variance = noise * torch.minimum(n, n.new_tensor(modes)) / distance.clamp(min=0)
    return bias + (variance if noise > 0 else 0.0)


@door(origin="experiment")
def experiment(
    model: KernelRegression,
    samples: Num[Tensor, " size"],
    *,
    seed: int,
    members: int,
    features: Float[Tensor, "point mode"] | None = None,
    chunk: int = 50,
) -> LearningCurve:
    """Fit ``members`` training sets of each size; nothing of ``theory`` is used.

    The eigenfunctions are independent Gaussians, or, with ``features``, the values phi_k(x) on a
    pool of points, of which each training set takes some at random without replacement; errors are
    then averages over the whole pool when the functions are orthonormal there. Problems of
    the model's batch see the same inputs and noise (common random numbers); sizes and members do
    not. ``chunk`` members are fitted at once. ``mode_error`` comes from the fitted coefficients:
    no test points are needed.

    Raises ValueError on samples that are not positive whole numbers, on no members, on
    degeneracies that differ within the batch, and on a singular kernel matrix.
    """
    _check_counts(seed, members, chunk)
    sizes = _whole(samples).tolist()
    lam, v, ridge, noise, shells = _expand(model)
    if features is not None:
        _check_features(features, lam, max(sizes))

    def fit(n, first, count):
        options = {"first": first, "dtype": lam.dtype, "device": lam.device}
        phi = _inputs(features, lam.shape[-1], seed, n, count, options)
        label_noise = draws.normal(seed, f"noise {n}", count, (n,), **options)
        label = (phi @ v[..., None, :, None])[..., 0] + noise.sqrt()[..., None, None] * label_noise
        X = phi * lam.sqrt()[..., None, None, :]  # (*batch, draw, n, mode)
        weight, learnability, kappa, train = _fit(X, label, ridge)
        error = (v[..., None, :] - lam.sqrt()[..., None, :] * weight) ** 2  # (*batch, draw, mode)
        return {
            "kappa": kappa,
            "error": error.sum(-1),
            "mode_error": error @ shells.mT,
            "train_error": train,
            "learnability": learnability @ shells.mT / shells.sum(-1),
        }

    return _collected(fit, samples, sizes, members, chunk)


@door(origin="experiment")
def sphere_experiment(
    model: KernelRegression,
    samples: Num[Tensor, " size"],
    *,
    kernel: Callable[[Tensor], Tensor],
    dimension: int,
    seed: int,
    members: int,
    chunk: int = 10,
) -> LearningCurve:
    """Fit functions on the sphere in ``dimension`` dimensions with a kernel of the cosine.

    Mode l of the model is the degree l = 0, 1, ...; its target is v_l times the normalised harmonic
    that is symmetric about one axis. The fit is expanded in harmonics by their addition theorem,
    so the error of each degree is exact, without test points; degrees beyond the model's are left
    out of ``error``. Members and chunks as in ``experiment``; one model, no batch.
    """
    _check_counts(seed, members, chunk)
    draws.whole_number(dimension, "dimension", 2, "there is no sphere")
    sizes = _whole(samples).tolist()
    lam, v = model.eigenvalue, model.target
    if lam.ndim != 1 or v.ndim != 1 or model.degeneracy is None:
        raise ValueError("the sphere needs one model, no batch, with the degeneracy of each degree")
    m = model.degeneracy.to(lam)
    ridge, noise = _numbers(model)

    def fit(n, first, count):
        options = {"first": first, "dtype": lam.dtype, "device": lam.device}
        x = draws.normal(seed, f"points {n}", count, (n, dimension), **options)
        x = x / x.norm(dim=-1, keepdim=True)
        cosine = (x @ x.mT).clamp(-1, 1)
        zonal = m.sqrt() * gegenbauer(dimension, len(lam), x[..., 0])  # (draw, n, degree)
        label_noise = draws.normal(seed, f"noise {n}", count, (n,), **options)
        label = zonal @ v + noise.sqrt() * label_noise
        inverse, alpha = _resolve(kernel(cosine), label, ridge)
        P = gegenbauer(dimension, len(lam), cosine).flatten(1, 2)  # (draw, n * n, degree)
        pair = torch.stack([alpha[..., None] * alpha[..., None, :], inverse], dim=1)
        power, trace = (pair.flatten(2) @ P).unbind(1)  # alpha.P.alpha and tr(G P)
        overlap = lam * (alpha[..., None, :] @ zonal)[..., 0, :]  # <Y_l f^>
        error = v**2 - 2 * v * overlap + lam**2 * m * power  # <(f - f^)^2> at degree l
        return {
            "kappa": 1 / inverse.diagonal(dim1=-2, dim2=-1).sum(-1),
            "error": error.sum(-1),
            "mode_error": error,
            "train_error": ((ridge * alpha) ** 2).mean(-1),
            "learnability": lam * trace,
        }

    return _collected(fit, samples, sizes, members, chunk)


def _inputs(features, modes: int, seed: int, n: int, members: int, options: dict) -> Tensor:
    """phi_k(x) at n inputs: Gaussians, or rows of ``features``, (draw, n, mode)."""
    if features is None:
        return draws.normal(seed, f"features {n}", members, (n, modes), **options)
    key = draws.uniform(seed, f"points {n}", members, features.shape[:1], **options)
    return features[key.argsort(-1)[:, :n]]


def _fit(X: Tensor, label: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights, learnabilities, kappa and training error of ridge regression on the rows of X."""
    n, visible = X.shape[-2], (X != 0).any(-2)  # a mode with lam = 0 is a column of zeros
    rank = visible.sum(-1)
    if rank.min() != rank.max():
        raise ValueError("every member of the batch must have as many positive eigenvalues")
    ridge = ridge[..., None]  # (*batch, draw)
    if n <= rank.max():
        inverse, alpha = _resolve(X @ X.mT, label, ridge)  # G = (K + ridge I)^-1 and G y
        weight = (alpha[..., None, :] @ X)[..., 0, :]
        learnability = (X * (inverse @ X)).sum(-2)
        kappa = 1 / inverse.diagonal(dim1=-2, dim2=-1).sum(-1)
        return weight, learnability, kappa, ((ridge[..., None] * alpha) ** 2).mean(-1)
    # more samples than modes: the same fit from the smaller matrix X^T X
    gram = X.mT @ X + torch.diag_embed((~visible).to(X))
    inverse, weight = _resolve(gram, (label[..., None, :] @ X)[..., 0, :], ridge)
    lost = ridge[..., None] * inverse.diagonal(dim1=-2, dim2=-1)  # 1 - L
    learnability = torch.where(visible, 1 - lost, 0.0)
    kappa = ridge / (n - rank + torch.where(visible, lost, 0.0).sum(-1))
    train = ((label - (X @ weight[..., None])[..., 0]) ** 2).mean(-1)
    return weight, learnability, kappa, train


def _resolve(matrix: Tensor, side: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor]:
    """(matrix + ridge I)^-1 and its product with ``side``."""
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    factor, failed = torch.linalg.cholesky_ex(matrix + ridge[..., None, None] * identity)
    if failed.any():
        raise ValueError(
            "the kernel matrix must not be singular: give a positive ridge, or fewer samples"
        )
    return torch.cholesky_inverse(factor), torch.cholesky_solve(side[..., None], factor)[..., 0]


def _collected(fit, samples: Tensor, sizes: list[int], members: int, chunk: int) -> LearningCurve:
    """What ``fit(n, first, count)`` returns, of all members and sizes."""
    found = {}
    for n in sizes:
        parts = [fit(n, first, min(chunk, members - first)) for first in range(0, members, chunk)]
        for name in parts[0]:
            axis = _member_axis(name)
            found.setdefault(name, []).append(torch.cat([part[name] for part in parts], dim=axis))
    # the axis of sizes follows that of the members
    stacked = {name: torch.stack(x, dim=_member_axis(name)) for name, x in found.items()}
    return LearningCurve(samples, **stacked)


def _member_axis(name: str) -> int:
    return -2 if name in ("mode_error", "learnability") else -1


def _columns(model: KernelRegression) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Float64 lam, v^2, m of shape (*batch, 1, mode) and ridge, noise of shape (*batch, 1)."""
    lam, v, m, ridge, noise = _broadcast(model)
    wide = [part.to(torch.float64)[..., None, :] for part in (lam, v**2, m)]
    return *wide, *(part.to(torch.float64)[..., None] for part in (ridge, noise))


def _broadcast(model: KernelRegression) -> list[Tensor]:
    """lam, v, m of shape (*batch, mode) and ridge, noise of shape (*batch)."""
    lam = model.eigenvalue
    m = torch.ones_like(lam) if model.degeneracy is None else model.degeneracy
    modes = [lam, model.target, m.to(lam)]
    numbers = _numbers(model)
    batch = torch.broadcast_shapes(*(p.shape[:-1] for p in modes), *(p.shape for p in numbers))
    return [p.expand(*batch, p.shape[-1]) for p in modes] + [p.expand(batch) for p in numbers]


def _numbers(model: KernelRegression) -> list[Tensor]:
    """ridge and noise as tensors; the dtype is named lest a float pass through float32."""
    place = {"dtype": model.eigenvalue.dtype, "device": model.eigenvalue.device}
    return [torch.as_tensor(value, **place) for value in (model.ridge, model.noise)]


def _expand(model: KernelRegression) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """One entry per function instead of per shell, and the (mode, function) table of shells."""
    lam, v, m, ridge, noise = _broadcast(model)
    count = m.reshape(-1, m.shape[-1])[0].long()
    if not (m == count).all():
        raise ValueError("degeneracy must be the same for every member of the batch")
    v = v / m.sqrt()  # the shell's power, spread evenly
    shells = torch.eye(len(count), dtype=lam.dtype, device=lam.device)
    lam, v, shells = (p.repeat_interleave(count, dim=-1) for p in (lam, v, shells))
    return lam, v, ridge, noise, shells


def _in_dtype(model: KernelRegression, curve: LearningCurve) -> LearningCurve:
    """The float64 results in the precision of the model."""
    dtype = model.eigenvalue.dtype
    values = {f.name: getattr(curve, f.name) for f in fields(curve)}
    cast = {
        name: value.to(dtype)
        for name, value in values.items()
        if name != "samples" and value is not None and value.is_floating_point()
    }
    return LearningCurve(**{**values, **cast})


def _sizes(samples: Tensor, like: Tensor) -> Tensor:
    if samples.is_complex() or not ((samples > 0) & samples.isfinite()).all():
        raise ValueError(f"samples must be positive and finite, got {samples.tolist()}")
    return samples.to(device=like.device, dtype=torch.float64)


def _whole(samples: Tensor) -> Tensor:
    _sizes(samples, samples)
    if (samples != samples.round()).any():
        raise ValueError(f"samples must be whole numbers in an experiment, got {samples.tolist()}")
    return samples.long()


def _check_counts(seed: int, members: int, chunk: int) -> None:
    draws.whole_number(seed, "seed")
    for name, value in (("members", members), ("chunk", chunk)):
        draws.whole_number(value, name, 1, "there is nothing to fit")


def _check_features(features: Tensor, lam: Tensor, largest: int) -> None:
    if features.shape[-1] != lam.shape[-1] or features.shape[0] < largest:
        raise ValueError(
            f"features must have {lam.shape[-1]} modes and at least {largest} points, "
            f"got {tuple(features.shape)}"
        )


def _check_degeneracy(degeneracy: Tensor | None, eigenvalue: Tensor) -> None:
    if degeneracy is None:
        return
    if not ((degeneracy >= 1) & (degeneracy == degeneracy.round())).all():
        raise ValueError(f"degeneracy must be whole numbers from 1, got {degeneracy.tolist()}")
