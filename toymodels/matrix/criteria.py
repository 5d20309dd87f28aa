"""Phenomena and the rules of their verdicts, fixed before anything was run.

Every criterion is a function of what was recorded; every rule is a line of ``RULES``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toymodels.matrix.record import Record
from toymodels.matrix.tasks import Task
from toymodels.numerics import first_passage
from toymodels.numerics.door import door

TENTH = 0.1
SAME = 1e-6  # relative: times that are closer are the same


@dataclass(frozen=True)
class Rule:
    """What is measured, in words, when the verdict is yes, in words, and the same as a function
    of the numbers of a cell."""

    measured: str
    rule: str
    holds: Callable[[Tensor], bool]


RULES = {
    "stages": Rule(
        "separated drops of the loss on the staircase",
        "at least 3",
        lambda v: bool(v[0] >= 3),
    ),
    "order by strength": Rule(
        "Spearman's correlation of half-time and minus strength on the power law",
        "above 0.9",
        lambda v: bool(v[0] > 0.9),
    ),
    "knock-on": Rule(
        "half-time of x1x2x3 without its lower rungs over that with them; the same from half the "
        "start, or with half more coordinates",
        "above 2, and growing",
        lambda v: bool((v[0] > 2) & (v[1] > v[0])),
    ),
    "sample advantage": Rule(
        "samples that the best kernel needs on the staircase over those of the candidate, "
        "d = 12; the same at d = 8",
        "above 3, and growing with the dictionary",
        lambda v: bool((v[0] > 3) & (v[0] > v[1])),
    ),
    "cost of the bet": Rule(
        "samples of the candidate on parity over those of the best kernel, d = 8",
        "above 1 is a loss",
        lambda v: bool(v[0] > 1),
    ),
    "overfitting": Rule(
        "final over best error, at the last size before the threshold",
        "above 1.2",
        lambda v: bool(v[0] > 1.2),
    ),
    "double descent": Rule(
        "final error at the peak over the larger of the lowest on its two sides",
        "at least 2",
        lambda v: bool(v[0] >= 2),
    ),
    "silent alignment": Rule(
        "share of its final change that the alignment of the kernel has made when the loss has "
        "fallen by a tenth",
        "above 1/2",
        lambda v: bool(v[0] > 0.5),
    ),
    "lazy to rich": Rule(
        "largest distance from the trajectory of the first kernel at the output scales 1 and 10^4",
        "above 1/2 and below 1/10",
        lambda v: bool((v[0] > 0.5) & (v[1] < 0.1)),
    ),
    "power law in time": Rule(
        "exponent of the loss on 64 strengths 1/k; the same of the model's theory",
        "within 2 standard errors of its theory",
        lambda v: bool((v[0] - v[1]).abs() <= 2 * v[2]),
    ),
    "edge of stability": Rule(
        "sharpness times step at the end, at the largest step that survives",
        "2 within 10 %",
        lambda v: bool((v[0] - 2).abs() <= 0.2),
    ),
    "delayed generalisation": Rule(
        "steps to 90 % on fresh inputs over steps to 90 % on the samples, at the threshold",
        "above 10",
        lambda v: bool(v[0] > 10),
    ),
    "predicts the network": Rule(
        "Spearman's correlation of predicted and measured times within a random sparse target, "
        "24 targets; the same by strength and by degree",
        "above 0.7, above by strength and above by degree",
        lambda v: bool((v[0] > 0.7) & (v[0] > v[1]) & (v[0] > v[2])),
    ),
}


@door
def spearman(
    one: Float[Tensor, "*batch entry"],
    other: Float[Tensor, "*batch entry"],
    counts: Bool[Tensor, "*batch entry"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Rank correlation of the entries that count; ties share their ranks, and where one side is all
    ties it is 0. Infinite entries are the last."""
    counts = torch.ones_like(one, dtype=torch.bool) if counts is None else counts
    a, b = (_ranks(x, counts) for x in (one, other))
    size = (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    return torch.where(size > 0, (a * b).sum(-1) / size.clamp(min=1e-12), 0.0)


def _ranks(x: Tensor, counts: Tensor) -> Tensor:
    """Mid-ranks less their mean; 0 for entries that do not count."""
    x = torch.where(x.isinf(), torch.finfo(x.dtype).max / 4 * x.sign(), x)
    left, right = x[..., :, None], x[..., None, :]
    apart = (left - right).abs() > SAME * torch.maximum(left.abs(), right.abs())
    above = torch.where(apart, (left > right).double(), 0.5)
    rank = (above * counts[..., None, :]).sum(-1)
    mean = (rank * counts).sum(-1, keepdim=True) / counts.sum(-1, keepdim=True).clamp(min=1)
    return (rank - mean) * counts


@door
def right_pairs(
    predicted: Float[Tensor, "*batch entry"],
    measured: Float[Tensor, "*batch entry"],
    group: Float[Tensor, "*batch entry"],
    counts: Bool[Tensor, "*batch entry"],
) -> Float[Tensor, "*batch"]:
    """Share of the pairs in one ``group`` whose order is predicted; a predicted tie is half right.
    NaN where there is no pair."""
    order = [_signs(x) for x in (predicted, measured)]
    pair = counts[..., :, None] & counts[..., None, :] & (order[1] != 0)
    pair = (pair & (group[..., :, None] == group[..., None, :])).triu(1)
    right = 0.5 + 0.5 * order[0] * order[1]
    return (right * pair).sum((-1, -2)) / pair.sum((-1, -2))


def _signs(x: Tensor) -> Tensor:
    x = torch.where(x.isinf(), torch.finfo(x.dtype).max / 4, x)
    gap = x[..., :, None] - x[..., None, :]
    size = torch.maximum(x[..., :, None].abs(), x[..., None, :].abs())
    return torch.where(gap.abs() > SAME * size, gap.sign(), 0.0)


def stages(record: Record) -> Float[Tensor, "problem member"]:
    """Drops of the error, each at least a tenth of the start, between plateaus: places where the
    log-log slope has a minimum below a tenth of the steepest, and below half of the last peak, from
    which it doubles again. What is below a tenth of the start does not count."""
    if len(record.time) < 3:
        raise ValueError(f"time must have three moments or more, got {len(record.time)}: no stages")
    time, error = record.time[1:].clamp(min=1e-9).log(), record.error[..., 1:]
    level = (error / record.error[..., :1]).clamp(min=TENTH)
    slope = -(level.log().diff(dim=-1) / time.diff())
    flat = TENTH * slope.amax(-1)
    count, top, peak = torch.zeros_like(flat), level[..., 0], torch.zeros_like(flat)
    valley, floor = torch.full_like(flat, torch.inf), top
    for s, here in zip(slope.unbind(-1), level[..., 1:].unbind(-1), strict=True):
        lower = (s < flat) & (s < peak / 2) & (s < valley)
        valley, floor = torch.where(lower, s, valley), torch.where(lower, here, floor)
        leaves = valley.isfinite() & (s > 2 * valley.clamp(min=0) + SAME)
        drop = leaves & (top - floor >= TENTH)
        count, top = count + drop, torch.where(drop, floor, top)
        peak = torch.where(leaves, s, torch.maximum(peak, s))
        valley = torch.where(leaves, torch.inf, valley)
    return count + (top - level[..., -1] >= TENTH)


def threshold(
    sizes: Float[Tensor, " size"], best: Float[Tensor, "size member"], level: float
) -> Float[Tensor, " member_"]:
    """ln n at which an error falls below ``level``, of the mean over members, then with one of them
    left out each time; infinite where it never does. Straight lines between the sizes, in
    logarithms."""
    n = best.shape[1]
    apart = (best.sum(1, keepdim=True) - best) / (n - 1)  # without one member each
    rows = torch.cat([best.mean(1, keepdim=True), apart], 1).clamp(min=1e-12).log()
    return first_passage(sizes.log(), -rows.mT.contiguous(), -torch.tensor(level).log().item())


def jackknife(apart: Float[Tensor, " member"]) -> float:
    """Standard error from what is found with one member left out each time; infinite where one of
    them is."""
    if not bool(apart.isfinite().all()):
        return float("inf")
    n = len(apart)
    return float(((apart - apart.mean()).square().sum() * (n - 1) / n).sqrt())


def peak(final: Float[Tensor, "size member"]) -> Float[Tensor, " member_"]:
    """Largest ratio of an error to the larger of the lowest errors on its two sides, of the mean
    over members, then with one of them left out each time."""
    n = final.shape[1]
    apart = (final.sum(1, keepdim=True) - final) / (n - 1)
    rows = torch.cat([final.mean(1, keepdim=True), apart], 1)
    before = rows.cummin(0).values[:-2]
    after = rows.flip(0).cummin(0).values.flip(0)[2:]
    return (rows[1:-1] / torch.maximum(before, after)).amax(0)


def reached(task: Task, record: Record) -> tuple[Tensor, Tensor]:
    """Times at which nine tenths are explained on fresh inputs and on the samples."""
    level = TENTH * task.null[:, None].to(record.error)
    return tuple(
        first_passage(record.time, -error, (-level).expand(error.shape[:-1]))
        for error in (record.error, record.train_error)
    )
