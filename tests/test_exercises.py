"""Every checker accepts its solution and rejects the stub and each mistake by name."""

import importlib
import pkgutil

import numpy as np
import pytest
import torch

import toymodels.exercises
from toymodels.page.exercise import Exercise

STEMS = [m.name for m in pkgutil.iter_modules(toymodels.exercises.__path__)]


def exercises():
    for stem in STEMS:
        module = importlib.import_module(f"toymodels.exercises.{stem}")
        for name, value in vars(module).items():
            if isinstance(value, Exercise):
                yield pytest.param(value, id=f"{stem}.{name}")


@pytest.mark.parametrize("exercise", exercises())
def test_a_checker_knows_right_from_wrong(exercise, capsys):
    assert exercise.judge(exercise.solution).accepted
    for stub in (..., None):
        verdict = exercise.judge(stub)
        assert not verdict.accepted and "not answered yet" in verdict.message
    assert len(exercise.mistakes) >= 2
    for message, wrong in exercise.mistakes.items():
        verdict = exercise.judge(wrong)
        assert not verdict.accepted and verdict.message == message
        assert len(message.split()) >= 4, "a message must name the mistake"
    exercise.check(exercise.solution)
    assert capsys.readouterr().out.startswith("✓")


def by_hand(case):
    """The module of ``tests/by_hand``, where all is worked out once more, and the name in it."""
    stem, name = case.split(".")
    return importlib.import_module(f"by_hand.{stem}"), name


@pytest.mark.parametrize("stem", STEMS)
def test_every_solution_is_worked_out_twice(stem):
    found, _ = by_hand(f"{stem}.")
    names = {case.id for case in exercises() if case.id.startswith(f"{stem}.")}
    assert {f"{stem}.{name}" for name in found.ANSWERS} == names
    assert set(found.MISTAKES) == set(found.ANSWERS)


@pytest.mark.parametrize("exercise", exercises())
def test_the_stored_solution_is_right(exercise, request):
    found, name = by_hand(request.node.callspec.id)
    verdict = exercise.judge(found.ANSWERS[name])
    assert verdict.accepted, verdict.message


@pytest.mark.parametrize("exercise", exercises())
def test_the_stored_mistakes_are_what_their_messages_say(exercise, request):
    found, name = by_hand(request.node.callspec.id)
    for message, answer in zip(exercise.mistakes, found.MISTAKES[name], strict=True):
        assert exercise.judge(answer).message == message


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [("deep_linear.slower", 2.64, 2.67), ("kernel_regression.best_ridge", 24.6, 24.3)],
)
def test_an_explored_answer_may_be_read_off_a_figure(name, near, far):
    exercise = {case.id: case.values[0] for case in exercises()}[name]
    assert exercise.judge(near).accepted and not exercise.judge(far).accepted


number = Exercise("q", 2.0, {"half of it is missing here.": 1.0, "the sign is wrong here.": -2.0})
function = Exercise(
    "f",
    lambda x: x**2,
    {"that is twice, not squared.": lambda x: 2 * x, "that is the cube of it.": lambda x: x**3},
    inputs=[(3.0,), (torch.tensor([1.5, 4.0]),)],
)


@pytest.mark.parametrize(
    ("exercise", "answer", "what"),
    [
        (number, 2.1, "off by 5 %"),
        (number, float("nan"), "off by inf"),
        (number, torch.tensor([2.0, 2.0]), "the shape must be"),
        (number, "two", "the answer raises ValueError"),
        (number, 2.0 + 5j, "must be real, got a complex number"),
        (number, torch.tensor(2.0 + 0j), "must be real, got a complex number"),
        (function, lambda x: x**2 + 0j, "must be real, got a complex number"),
        (number, lambda x: x, "must be a number or a tensor, got function"),
        (function, 9.0, "must be a function, got float"),
        (function, lambda x: ..., "the function returns nothing"),
        (function, lambda x, y: x, "the answer raises TypeError"),
        (function, lambda x: x**2 + 1, "not yet: off by"),
    ],
)
def test_odd_answers_get_a_sentence(exercise, answer, what):
    verdict = exercise.judge(answer)
    assert not verdict.accepted and what in verdict.message


def test_rounding_is_forgiven():
    assert number.judge(2.0005).accepted and number.judge(torch.tensor(2.0005)).accepted


@pytest.mark.parametrize(
    "answer", [2, np.float64(2.0), np.float32(2.0), np.int64(2), np.array(2.0), torch.tensor(2)]
)
def test_a_number_of_any_type_is_an_answer(answer):
    assert number.judge(answer).accepted


@pytest.mark.parametrize("answer", [[1, 3], (1.0, 3.0), np.array([1, 3]), [np.float32(1), 3]])
def test_a_sequence_of_any_type_is_an_answer(answer):
    wrong = {"ones are wrong here.": [1, 1], "twos are wrong here.": [2, 2]}
    assert Exercise("pair", torch.tensor([1.0, 3.0]), wrong).judge(answer).accepted


def test_an_answer_that_works_in_place_spoils_nothing():
    assert function.judge(lambda x: x.square_() if isinstance(x, torch.Tensor) else x**2).accepted
    function.judge(lambda x: x.zero_() if isinstance(x, torch.Tensor) else x)
    assert function.judge(lambda x: x**2).accepted
    assert not function.judge(lambda x: x * 3).accepted


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"mistakes": {"one": 1.0}}, "at least two mistakes, got 1"),
        ({"mistakes": {"one": 1.0, "near": 2.001}}, "the tolerance would accept: near"),
        ({"inputs": [(1.0,)]}, "inputs must be given for a function"),
        ({"solution": lambda x: x}, "inputs must be given for a function"),
        ({"within": float("nan")}, "within must be a positive number, got nan"),
        ({"within": float("inf")}, "within must be a positive number"),
        ({"within": 0.0}, "within must be a positive number"),
    ],
)
def test_checkers_that_check_nothing_are_refused(options, what):
    sound = {"question": "q", "solution": 2.0, "mistakes": {"a": 1.0, "b": -2.0}}
    with pytest.raises(ValueError, match=what):
        Exercise(**(sound | options))


def test_a_mistake_close_to_the_solution_is_refused():
    with pytest.raises(ValueError, match="the tolerance would accept"):
        Exercise("q", 1.0, {"too close to the solution.": 1.0015, "far enough away.": 2.0})


def test_mistakes_that_look_alike_are_refused():
    wrong = {"that is too large.": 2.0, "that is far too large.": 2.003}
    with pytest.raises(ValueError, match="would confuse: that is too large. / that is far too"):
        Exercise("q", 1.0, wrong)
    assert Exercise("q", 1.0, wrong, within=5e-4).judge(2.003).message == "that is far too large."


def test_every_entry_and_every_input_counts():
    solution, wrong = torch.tensor([1e-6, 1.0]), {"both are zero here.": [0, 0], "ones.": [1, 1]}
    pair = Exercise("pair", solution, wrong)
    assert not pair.judge([1e-6, 2.0]).accepted
    assert pair.judge([2e-4, 1.0]).accepted  # the tolerance is relative to the largest entry
    twice = {"that is three times x.": lambda x: 3 * x, "that is x itself.": lambda x: x}
    double = Exercise("double", lambda x: 2 * x, twice, inputs=[(1.0,), (2.0,)])
    assert "returns nothing" in double.judge(lambda x: 2 * x if x < 1.5 else None).message


def test_the_tolerance_is_a_thousandth_also_around_zero():
    wrong = {"half of it is missing here.": 0.5, "the sign is wrong here.": -1.0}
    assert not Exercise("one", 1.0, wrong).judge(1.0015).accepted
    assert not Exercise("zero", 0.0, wrong).judge(0.0015).accepted
