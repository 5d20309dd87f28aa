"""Two candidates that a reader might have entered: each one function, at most forty lines.

A candidate takes a task and a number of samples, None for the population, and hands back what it
predicts over its time. Nothing else is asked of it.
"""

import math

import torch
from torch import Tensor

from toymodels.matrix.record import Record, from_coefficients
from toymodels.matrix.tasks import Task, cube, values

SIZES = (16, 32, 64, 128, 256, 512)  # of training sets, where these take the place of time
EPS = 0.05  # start of all weights, as of the other candidates
RIDGES = torch.logspace(2, -6, 17, dtype=torch.float64)


def lofi(task: Task, samples: int | None, *, seed: int, members: int = 1) -> Record:
    """Neural LoFi: two layers of directions that a moment weighted by the labels finds, each lifted
    by random ReLU features, infinitely many of them; then ridge. It has no time. On samples the
    inverse ridge stands in for it, on the population the number of samples, with the best ridge.

    Source: Dandi et al. (2026), arXiv:2605.13612; compared with the authors' public code.
    """
    points = cube(task.dimension)
    chi = values(points, task.features)
    clean = task.target @ chi.mT
    keep, found = 2 * task.dimension, []
    for n in SIZES if samples is None else (samples,):
        x, y = task.draw(n, seed=seed, members=members)
        F = x.expand(*y.shape, task.dimension)
        seen = points.expand(*y.shape[:2], *points.shape)
        for _ in range(2):
            G, across = lifted(F, seen)
            mu, Q = torch.linalg.eigh(G)
            root = Q * mu.clamp(min=1e-6).sqrt()[..., None, :] @ Q.mT
            size, B = torch.linalg.eigh(root @ (y[..., None] * root))  # the moment
            best = size.abs().argsort(-1, descending=True)[..., None, :keep]
            B = B.gather(-1, best.expand(*B.shape[:-1], best.shape[-1]))
            F, seen = root @ B, across @ (Q / mu.clamp(min=1e-6).sqrt()[..., None, :]) @ (Q.mT @ B)
        G, across = lifted(F, seen)
        mu, Q = torch.linalg.eigh(G)
        weight = Q @ ((Q.mT @ y[..., None]) / (mu[..., None] + RIDGES))  # (..., sample, ridge)
        f = (across @ weight).mT
        error = (f - clean[:, None, None]).square().mean(-1)
        off = (G @ weight - y[..., None]).square().mean(-2)
        found.append((f @ chi / len(chi), error, off))
    if samples is not None:
        return Record(1 / RIDGES, *found[0])
    picks = [error.argmin(-1, keepdim=True) for _, error, _ in found]
    parts = [
        torch.cat([x.gather(2, k[(...,) + (None,) * (x.ndim - 3)].expand(*k.shape, *x.shape[3:]))
                   for x, k in zip(xs, picks, strict=True)], 2)
        for xs in zip(*found, strict=True)
    ]  # fmt: skip
    return Record(torch.tensor(SIZES).double(), *parts)


def lifted(F: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Kernels of infinitely many ReLU features, between samples and from points to samples."""
    size = F.square().sum(-1).mean(-1)[..., None, None]
    norms = F.norm(dim=-1)[..., None, :]

    def kernel(rows: Tensor) -> Tensor:
        radius = (rows.norm(dim=-1, keepdim=True) * norms).clamp(min=1e-15)
        cosine = (rows @ F.mT / radius).clamp(-1, 1)
        angle = cosine.acos()
        return radius / size * (angle.sin() + (torch.pi - angle) * cosine) / (2 * torch.pi)

    return kernel(F), kernel(seen)


def alternating(task: Task, samples: int | None, *, seed: int, members: int = 1) -> Record:
    """Alternating gradient flows of a two-layer network whose neurons are powers of w.x.

    A dormant neuron turns to where its utility U is largest: along all linear terms at once, an
    eigenvector of the quadratic terms, or one cubic term. From the start eps it wakes after
    ln(1/eps) / U, or (eps^(1 - m) - 1) / (m - 1) U at degree m, and learns that component.

    Source: our reading of Kunin et al. (2025), arXiv:2506.06489, for neurons of several powers.
    """
    if samples is not None or task.degree > 3:
        raise ValueError("samples must be None and degree at most 3: a limit of the population")
    place, d = {s: k for k, s in enumerate(task.features)}, task.dimension
    beta, time = task.target, torch.logspace(-1, 4, 200).double()
    found = torch.zeros(len(beta), len(time), len(place)).double()

    def wait(utility: Tensor, m: int) -> Tensor:
        pace = -math.log(EPS) if m == 1 else (EPS ** (1 - m) - 1) / (m - 1)
        return pace / utility.abs().clamp(min=1e-9)

    linear, cubic = slice(0, d), slice(len(place) - math.comb(d, 3) * (task.degree > 2), None)
    awake = time[:, None] >= wait(beta[:, linear].norm(dim=-1), 1)[:, None, None]
    found[..., linear] = awake * beta[:, None, linear]
    if task.degree > 1:
        i, j = torch.combinations(torch.arange(d)).unbind(-1)
        B = beta.new_zeros(len(beta), d, d)
        B[:, i, j] = B[:, j, i] = beta[:, d : d + len(i)]
        size, vector = torch.linalg.eigh(B)
        awake = (time[:, None] >= wait(size, 2)[:, None]) * size[:, None]  # (problem, time, pair)
        found[..., d : d + len(i)] = awake @ (vector[:, i] * vector[:, j]).mT
    if task.degree > 2:
        awake = time[:, None] >= wait(6 * 3**-1.5 * beta[:, None, cubic], 3)
        found[..., cubic] = awake * beta[:, None, cubic]
    return from_coefficients(task, time, found[:, None].expand(-1, members, -1, -1))
