"""What a solvable model should show, and which models show it: one protocol, one matrix.

Targets are polynomials of a few fair signs. ``theory`` says when the terms of a target are learned,
by the flow of a lattice of subsets, and ``experiment`` looks when a ReLU network learns them. The
matrix asks the same of every candidate, and more. Chapter: ``chapters/phenomena.md``.

    x        input, d fair signs; chi_S, the product of those in S
    beta_S   strength of the term chi_S in the target
    c_S      its coefficient in what was learned; t_S, the time at which c_S passes beta_S / 2
    n        samples, with noise of standard deviation 0.3 on their labels
    eps      start of all edges of a lattice, readouts start at 0

A candidate is a function ``(task, samples, *, seed, members) -> Record``, see ``matrix``.

Source: the open question "a solvable model of deep, nonlinear learning" of learningmechanics.pub.
Two candidates are other authors': Kunin et al. (2025), arXiv:2506.06489, and Dandi et al. (2026),
arXiv:2605.13612.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels import lattice
from toymodels.matrix.candidates import CANDIDATES, EPS, Candidate
from toymodels.matrix.cells import (
    REFERENCE,
    Cell,
    cell,
    matrix,
    pairs_of_one_degree,
    predictions,
    rank_correlations,
    reference,
    samples_needed,
)
from toymodels.matrix.criteria import RULES, right_pairs, spearman
from toymodels.matrix.outside import alternating, lofi
from toymodels.matrix.record import Record, from_coefficients, half_times
from toymodels.matrix.runs import FAMILIES, SIZES, Scale, compute, points
from toymodels.matrix.stored import Key, key, stored
from toymodels.matrix.tasks import TASKS, Task, monomials, rungs, sparse, task, values
from toymodels.numerics.clock import check_time, first_passage, ticks
from toymodels.numerics.door import door
from toymodels.numerics.draws import whole_number

__all__ = [
    "Candidate", "CANDIDATES", "Cell", "EPS", "FAMILIES", "Record", "REFERENCE", "RULES", "Scale",
    "SIZES", "Task", "TASKS", "alternating", "cell", "experiment", "first_passage",
    "from_coefficients", "half_time", "half_times", "key", "lofi", "matrix", "monomials",
    "pairs_of_one_degree", "points", "predictions", "rank_correlations", "reference",
    "right_pairs", "row", "run", "rungs", "samples_needed", "sparse", "spearman", "stored",
    "task", "theory", "values",
]  # fmt: skip
ASKED = ("in_stages", "by_strength", "knock_on", "terms", "sweep")  # of a reader's candidate


@door(origin="theory")
def theory(model: Task, time: Float[Tensor, " time"], *, start: float = EPS) -> Record:
    """Gradient flow of a lattice on infinitely many samples, (problem, time, feature).

    Raises ValueError on unsorted or negative times, and on a start that is not above 0 or above 10.
    """
    check_time(time)
    _check_start(start)
    grown = lattice.asleep(model.target, model.dimension, model.degree, start=start)
    return from_coefficients(model, time, lattice.theory(grown, time).coefficient)


@door(origin="experiment")
def experiment(
    model: Task,
    time: Float[Tensor, " time"],
    *,
    seed: int,
    members: int = 1,
    hidden: int = 2,
    step: float = 0.1,
) -> Record:
    """ReLU networks of 128 units a layer, from PyTorch's start, on 128 new inputs in every step;
    (problem, member, time, feature).

    Coefficients and errors are averages over all inputs. Time is steps times ``step``, rounded to
    whole steps. Raises ValueError when two times fall on one step or on no hidden layer, and
    FloatingPointError on divergence.
    """
    if hidden not in (2, 3):
        raise ValueError(f"hidden must be 2 or 3 layers, got {hidden}: these are the candidates")
    clock = ticks(time, step)
    network = replace(CANDIDATES[f"ReLU, {hidden} hidden"], step=step)
    seen = network.at(model, None, clock.record, seed=seed, members=members)
    return replace(seen, time=clock.time)


@door(origin="theory")
def half_time(model: Task, *, start: float = EPS) -> Float[Tensor, "problem feature"]:
    """Time at which each coefficient of the lattice reaches half its target; infinite without."""
    _check_start(start)
    return lattice.half_time(
        lattice.asleep(model.target, model.dimension, model.degree, start=start)
    )


@door(origin="experiment")
def run(point: Mapping[str, int | str], scale: Scale) -> dict[str, Tensor]:
    """One run of the protocol, as the full matrix stores it under that point."""
    return {name: torch.from_numpy(field) for name, field in compute(dict(point), scale).items()}


@door(origin="experiment")
def row(
    candidate: Candidate,
    full: Mapping[Key, dict[str, Tensor]],
    *,
    members: int = 4,
) -> dict[str, Cell]:
    """The row of a reader's own model: what needs no more than its records.

    ``full`` are the runs of the full matrix, see ``stored``. The model is compared with their
    kernel ridge and networks, on the same targets and inputs. A candidate that raises ValueError on
    samples, or on the population, gets "not run" there. Raises ValueError on fewer than 2 members,
    and on what is no record of the task.
    """
    scale = Scale(members=whole_number(members, "members", 2, "errors need two or more"))
    scale, mine = replace(scale, entered=(("mine", _asked(candidate)),)), dict(full)
    for asked in ASKED:
        parts = {"terms": [{"family": "random"}], "sweep": [
            {"of": "staircase", "dimension": 8}, {"of": "staircase", "dimension": 12},
            {"of": "parity", "dimension": 8}]}.get(asked, [{}])  # fmt: skip
        for part in parts:
            point = {"run": asked, "candidate": "mine", **part}
            try:
                mine[key(point)] = run(point, scale)
            except _Declined:
                continue
    return {name: cell(mine, name, "mine") for name in RULES}


class _Declined(Exception):
    """A candidate does not take samples, or does not take the population."""


def _asked(candidate: Candidate) -> Candidate:
    """The candidate, with its records looked at."""

    def asked(task: Task, samples: int | None, *, seed: int, members: int = 1) -> Record:
        try:
            record = candidate(task, samples, seed=seed, members=members)
        except ValueError as said:
            raise _Declined(str(said)) from said
        if not isinstance(record, Record):
            raise ValueError(f"candidate must hand back a Record, got {type(record).__name__}")
        batch = (len(task.target), members, len(record.time))
        shapes = {"coefficient": (*batch, len(task.features)), "error": batch}
        if samples is not None:
            shapes["train_error"] = batch
        for name, shape in shapes.items():
            field = getattr(record, name)
            if field is None or field.shape != shape:
                found = None if field is None else tuple(field.shape)
                raise ValueError(f"{name} of the candidate's record must be {shape}, got {found}")
            if not bool(field.isfinite().all()):
                raise ValueError(f"{name} of the candidate's record must be finite")
        return record

    return asked


def _check_start(start: float) -> None:
    if not 0 < start <= 10:
        raise ValueError(f"start must be above 0 and at most 10, got {start:g}: 0 never moves")
