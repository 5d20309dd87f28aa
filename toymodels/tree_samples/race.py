"""The race of a path with all that hangs beside it, in the limit of a small balanced start.

A sleeping child of rung j grows at the rate |r| P_j, and has to grow by ln(1/eps) to open. True
rungs have targets, false children the noise of n samples. Whoever is first takes part.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.quantity import require
from toymodels.tree import plateau
from toymodels.tree_samples.training_set import check_data, evenly, overlaps

CHILDREN = 1024  # noises of a false child, for every draw of the overlaps


@door(origin="theory")
def climbed(
    target: Float[Tensor, " level"], *, samples: int, noise: float
) -> Float[Tensor, " rung"]:
    """Error when the first k rungs are fitted and nothing false is open, k from 0 to all.

    B + (sigma^2 + B) k / (n - k - 1), where B is what the other rungs hold: exact least squares.
    Raises ValueError unless ``samples`` exceed the rungs by two.
    """
    check_data(samples, noise, len(target) + 2)
    rungs = torch.arange(len(target) + 1, device=target.device)
    above = target.square().sum() - torch.cat([target[:1] * 0, target.square().cumsum(-1)])
    return above + (noise**2 + above) * rungs / (samples - rungs - 1)


@door(origin="theory")
def exposure(target: Float[Tensor, " level"], *, noise: float) -> Float[Tensor, " level"]:
    """V_j of the false children of rung j, from 0 to the last but one, with n times the variance
    of the height in ln(1/eps) to which noise raises them until the path is climbed.

    For overlaps of infinitely many samples. Raises ValueError on a target of 0: its rung waits
    longer than any logarithm.
    """
    _check_rungs(target)
    eye = torch.eye(len(target) + 1, dtype=target.dtype, device=target.device)
    held, raised = _stages(eye, torch.cat([target[:1] * 0 + noise, target]))
    steps = raised.cumsum(0).square().diff(dim=0, prepend=torch.zeros_like(raised[:1]))
    return held @ steps


@door(origin="theory")
def clean_climb(
    target: Float[Tensor, " level"],
    branching: int,
    *,
    seed: int,
    samples: int,
    noise: float,
    members: int = 200,
) -> Float[Tensor, " draw"]:
    """Probability that a path is climbed before anything false opens, for every draw of its
    overlaps, in the limit of a small balanced start.

    Every node has ``branching`` children, one of which is the next rung. A false leaf opens in one
    direction only: a balanced positive start blocks the other. Raises ValueError as ``exposure``,
    on no branches, and unless ``samples`` exceed the rungs by two.
    """
    _check_rungs(target)
    check_data(samples, noise, len(target) + 2)
    if branching < 1:
        raise ValueError(f"branching must be at least 1, got {branching}: a path goes on")
    alive = torch.ones_like(target, dtype=torch.bool)
    W = overlaps(seed, alive, samples, members)[0].to(target)
    held, raised = _stages(W, torch.cat([target[:1] * 0 + noise, target]))
    # residuals are nested: each stage takes an independent part of the noise away
    parts = held - torch.cat([held[..., 1:], torch.zeros_like(held[..., :1])], -1)
    unit = evenly(seed, CHILDREN, (len(target),)).to(target)
    noises = (parts / samples).sqrt()[:, None] * unit  # (draw, child, stage)
    noises = noises.flip(-1).cumsum(-1).flip(-1)
    height = (noises[..., None] * raised[:, None]).cumsum(-2)  # (draw, child, stage, rung)
    height[..., :-1] = height[..., :-1].abs()
    return (height < 1).all(-2).to(target).mean(1).pow(branching - 1).prod(-1)


def _stages(W: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """What the labels still hold at every stage, s^2 (..., stage), and the height that unit noise
    gives to a false child of each rung meanwhile, (..., stage, rung). At stage i the first i rungs
    are fitted, and the stage lasts until the next one opens."""
    levels = len(w) - 1
    raised = W.new_zeros(*W.shape[:-2], levels, levels)
    held = W.new_zeros(*W.shape[:-2], levels)
    for i in range(levels):
        fitted = slice(1, i + 1)
        known = torch.linalg.solve(W[..., fitted, fitted], W[..., fitted, :] @ w)
        rest = w.expand(*held.shape[:-1], -1).clone()
        rest[..., fitted] -= known
        along = (W @ rest[..., None])[..., 0]
        way = torch.ones_like(held[..., : i + 1])
        if i:
            way[..., 1:] = plateau(known)
        raised[..., i, : i + 1] = way / (along[..., i + 1, None].abs() * way[..., -1:])
        held[..., i] = (rest * along).sum(-1)
    return held, raised


def _check_rungs(target: Tensor) -> None:
    require("target", target, target != 0, "not 0", "a missing rung waits for a power of 1/eps")
