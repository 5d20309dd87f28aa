"""Results remember whether a theory or an experiment gave them, where a page asks for it."""

import copy
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics import origin
from toymodels.numerics.door import door
from toymodels.numerics.estimate import mean

THEORY, EXPERIMENT = frozenset(["theory"]), frozenset(["experiment"])


@pytest.fixture
def following(monkeypatch):
    monkeypatch.setattr(origin, "_following", True)


@dataclass(frozen=True)
class Record:
    time: Tensor
    strength: Tensor
    loss: Tensor | None = None


class Pair(NamedTuple):
    one: Tensor
    other: Tensor


@door(origin="theory")
def theory(x: Float[Tensor, "*any"]) -> Record:
    assert not isinstance(x, origin.Traced), "what comes in is plain"
    return Record(x, 2 * x)


@door(origin="experiment")
def experiment(x: Float[Tensor, "*any"]) -> Record:
    return Record(x, theory(x).strength + 0.1)  # inside, nothing is marked


X = torch.linspace(0, 1, 6, dtype=torch.float64).reshape(2, 3)


def test_nothing_is_marked_unless_asked(monkeypatch):
    monkeypatch.setattr(origin, "_following", False)
    assert type(theory(X).strength) is Tensor and origin.of(theory(X)) == frozenset()


def test_marks_begin_with_follow_and_not_before(monkeypatch):
    """``follow`` holds for a whole process: this one keeps what it had, another starts anew."""
    asked = "from toymodels.numerics import origin; print(origin.following())"
    assert subprocess.check_output([sys.executable, "-c", asked], text=True) == "False\n"
    monkeypatch.setattr(origin, "_following", False)
    assert not origin.following()
    origin.follow()
    assert origin.following() and origin.of(theory(X).strength) == THEORY


def test_all_that_is_computed_remembers(following):
    t, e = theory(X).strength, experiment(X).strength
    assert origin.of(t) == THEORY and origin.of(e) == EXPERIMENT
    for offspring in (
        t.log(), -t, t[0], t[..., None], t.mT, t.sum(), t.mean(-1), t @ t.mT, 1 / t, t**2,
        torch.stack([t, t]), torch.cat([t, X]), torch.where(X > 0, t, 0.0), t.max(-1).values,
        torch.linalg.svd(t).S, t.expand(4, 2, 3), torch.einsum("ij,ij->i", t, X), X + t, t.float(),
        next(iter(t)),
    ):  # fmt: skip
        assert origin.of(offspring) == THEORY
    assert origin.of(t - e) == THEORY | EXPERIMENT
    assert origin.of(t.clone().mul_(e)) == THEORY | EXPERIMENT
    assert origin.of(mean(e, axis=0)) == EXPERIMENT
    assert origin.of([X, {"a": (t, 3)}]) == THEORY


@door
def doubled(x: Float[Tensor, "*any"]) -> Tensor:
    return 2 * x


def test_a_function_without_a_side_hands_marks_on(following):
    assert origin.of(doubled(experiment(X).strength)) == EXPERIMENT
    assert origin.of(doubled(X)) == frozenset()


def test_the_last_function_that_was_called_counts(following):
    assert origin.of(experiment(theory(X).strength)) == EXPERIMENT
    assert origin.of(theory(experiment(X).strength)) == THEORY


def test_marks_do_not_show_or_stay_in_plain_copies(following):
    t = theory(X).strength
    assert "Traced" not in repr(t) and f"{t[1, 2]:.2f}" == "2.00" and repr(t) == repr(2 * X)
    assert type(origin.plain(t)) is Tensor and torch.equal(origin.plain(t), t)
    assert isinstance(np.asarray(t), np.ndarray) and t.tolist() == (2 * X).tolist()
    assert t.shape == X.shape and len(t) == 2 and float(t[0, 0]) == 0.0
    assert (
        origin.of(copy.deepcopy(t)) == THEORY and origin.of(pickle.loads(pickle.dumps(t))) == THEORY
    )
    torch.testing.assert_close(t, 2 * X)


def test_every_tensor_of_a_result_is_marked(following):
    found = origin.marked({"a": Record(X, X), "b": Pair(X, X), "c": [X, 3], "d": "word"}, "theory")
    assert origin.of(found["a"].strength) == origin.of(found["b"].other) == THEORY
    assert isinstance(found["b"], Pair) and found["a"].loss is None and found["d"] == "word"
    assert origin.of(origin.plain(found)) == frozenset()
    assert type(X) is Tensor, "the tensor that was there is not changed"
