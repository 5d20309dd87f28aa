"""Time in whole steps, first passages, and quantities of a model."""

import pytest
import torch

from toymodels.numerics.clock import check_time, first_passage, ticks
from toymodels.numerics.quantity import per_entry, per_problem, require

DOUBLE = torch.float64


def row(*numbers):
    return torch.tensor(numbers, dtype=DOUBLE)


def test_times_are_rounded_to_whole_steps_and_the_record_says_so():
    clock = ticks(row(0.0, 0.26, 0.99), 0.1)
    assert clock.record.tolist() == [0, 3, 10]
    assert clock.time.tolist() == pytest.approx([0.0, 0.3, 1.0]) and clock.time.dtype == DOUBLE
    # 0.3 / 0.1 is not 3 in float32 either
    assert ticks(row(0.3).float(), 0.1).record.tolist() == [3]


@pytest.mark.parametrize(
    ("time", "step", "sentence"),
    [
        (row(0.0, 0.11, 0.12), 0.1, "time must have at most one entry per step of 0.1, got 0.11"),
        (row(0.0, 0.1), 0.0, "step must be positive and finite, got 0"),
        (row(0.0, 0.1), -0.1, "step must be positive"),
        (row(0.0, 0.1), float("nan"), "step must be a number, got NaN"),
        (row(0.0, 0.1), float("inf"), "step must be positive"),
        (row(0.2, 0.1), 0.1, "time must be sorted"),
        (row(-0.1, 0.1), 0.1, "time must be sorted and non-negative"),
        (row(0.0, float("inf")), 0.1, "time must be finite"),
        (torch.empty(0, dtype=DOUBLE), 0.1, "time must not be empty"),
    ],
)
def test_a_clock_refuses(time, step, sentence):
    with pytest.raises(ValueError, match=sentence):
        ticks(time, step)


def test_an_empty_time_axis_is_refused_where_no_door_has_looked():
    with pytest.raises(ValueError, match=r"time must be one axis with entries, got shape \(0,\)"):
        check_time(torch.empty(0, dtype=DOUBLE))


def test_first_passage_by_hand():
    time = row(0.0, 1.0, 3.0, 4.0)
    path = torch.stack([row(0, 1, 5, 2), row(0, 0, 0, 0), row(3, 0, 4, 9), row(0, 2, 1, 9)])
    assert first_passage(time, path, 2.0).tolist() == [1.5, float("inf"), 0.0, 1.0]
    assert first_passage(time, path, row(4, 1, 5, 9)).tolist() == [2.5, float("inf"), 3.2, 4.0]
    assert first_passage(time, -path[2], -2.0).tolist() == pytest.approx(1 / 3)


def test_a_quantity_is_one_for_all_or_one_per_problem_or_one_per_entry():
    like = torch.zeros(2, 3, dtype=DOUBLE)
    assert per_entry("x", 4, like).tolist() == [[4.0] * 3] * 2
    assert per_entry("x", row(1, 2), like).tolist() == [[1.0] * 3, [2.0] * 3]
    assert per_entry("x", torch.ones(2, 3), like).dtype == DOUBLE
    square = torch.zeros(3, dtype=DOUBLE)
    assert per_entry("x", row(1, 2, 3), square).tolist() == [1.0, 2.0, 3.0]
    twice = torch.zeros(5, 2, 3, dtype=DOUBLE)
    assert per_entry("x", torch.arange(5.0), twice, axes=2)[3].tolist() == [[3.0] * 3] * 2
    assert per_problem("x", row(1, 2), (5, 2), like).shape == (5, 2)
    for bad, got in ((row(1, 2, 3, 4), r"\(4,\)"), (torch.ones(3, 3), r"\(3, 3\)")):
        with pytest.raises(ValueError, match=rf"x must .* shape \(2,\) or \(2, 3\), got {got}"):
            per_entry("x", bad, like)
    with pytest.raises(ValueError, match=r"shape \(5,\) or \(5, 2, 3\), got \(4,\)"):
        per_entry("x", row(1, 2, 3, 4), twice, axes=2)
    with pytest.raises(ValueError, match=r"x must be a number or have shape \(2,\), got \(3,\)"):
        per_problem("x", row(1, 2, 3), (2,), like)


def test_a_requirement_names_the_first_that_fails():
    value = row(1, -2, float("nan"))
    with pytest.raises(ValueError, match="x must be positive, got -2: else nothing moves"):
        require("x", value, value > 0, "positive", "else nothing moves")
    with pytest.raises(ValueError, match="x must be positive, got inf"):
        require("x", row(float("inf")), row(1) > 0, "positive", "why")
    require("x", row(1, 2), row(1, 2) > 0, "positive", "why")
