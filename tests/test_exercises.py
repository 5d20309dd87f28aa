"""Every checker accepts its solution and rejects the stub and each mistake by name."""

import importlib
import math
import pkgutil

import numpy as np
import pytest
import torch

import toymodels.exercises
from toymodels.page import answers
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
    assert exercise.mistakes
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
    [("deep_linear.slower", 0.1665, 0.1675), ("kernel_regression.best_kernel", 1.96, 1.92)],
)
def test_an_explored_answer_may_be_read_off_a_figure(name, near, far):
    exercise = {case.id: case.values[0] for case in exercises()}[name]
    assert exercise.judge(near).accepted and not exercise.judge(far).accepted


@pytest.mark.parametrize("exercise", exercises())
def test_a_slip_is_recognised_unless_it_looks_like_another(exercise):
    given, right, within = exercise._right, exercise._right, exercise.within
    made = dict(answers.of_values(given, right, within))
    for said in answers.SLIPS.keys() & made.keys():
        apart = [answers.gap(made[said], other) > 2 * within for other in (right, *made.values())]
        if sum(apart) < len(made):  # all but itself
            continue
        change = answers.SLIPS[said]
        verdict = exercise.judge(
            (lambda *args: change(answers.numbers(exercise.solution(*args))))  # noqa: B023
            if exercise.inputs
            else made[said][0]
        )
        assert not verdict.accepted
        assert verdict.message == said or verdict.message in exercise.mistakes


number = Exercise("q", 2.7, {"nothing is conserved here.": 0.0, "the first mode alone.": 1.9})
flags = Exercise("which", [0, 1, 1, 0], {"all of them do not.": [1, 1, 1, 1]})
row = Exercise("row", [0.6875, 1.3, 1.8375], {"without friction.": [0.5, 1.0, 1.5]})
square = Exercise("matrix", np.array([[1.0, 0.3], [0.7, 2.0]]), {"none of it.": np.zeros((2, 2))})
function = Exercise(
    "f",
    lambda x: x**2,
    {"that is twice x, not squared.": lambda x: 2 * x},
    inputs=[(3.0,), (torch.tensor([1.5, 4.0]),)],
)


@pytest.mark.parametrize(
    ("exercise", "answer", "what"),
    [
        (number, 2.835, "not yet: off by 5 %"),
        (number, 7.02, "not yet: off by 160 %"),
        (number, 1e9, "not yet: far off"),
        (number, float("nan"), "the answer is nan, not a number"),
        (number, torch.tensor(-math.inf), "the answer is infinite"),
        (number, torch.tensor([2.0, 2.0]), "one number is wanted, got a list of length 2"),
        (number, torch.ones(3, 2), "one number is wanted, got an array of shape (3, 2)"),
        (number, [], "one number is wanted, got a list of length 0"),
        (number, "two", "got the text 'two'. Leave out the quotes"),
        (number, "2.7", "got the text '2.7'"),
        (number, {"a": 2.7}, "numbers are wanted, got something else in a dict"),
        (number, object(), "numbers are wanted, got something else in a object"),
        (number, [1.0, [2.0, 3.0]], "numbers are wanted, got something else in a list"),
        (number, 10**400, "numbers are wanted, got something else in a int"),
        (number, 2.0 + 5j, "must be real, got a complex number"),
        (number, torch.tensor(2.0 + 0j), "must be real, got a complex number"),
        (number, lambda x: x, "must be a number or a tensor, got function"),
        (number, float, "must be a number or a tensor, got type"),
        (flags, [0, ..., ..., 0], "not answered yet"),
        (flags, [0, 1, 1], "a list of length 4 is wanted, got a list of length 3"),
        (flags, 1, "a list of length 4 is wanted, got one number"),
        (flags, [0, 1, 0, 0], "not yet: right in 3 of 4 entries"),
        (flags, [1, 0, 0, 1], "not yet: right in 0 of 4 entries"),
        (row, [0.6875, 1.31, 1.8375], "not yet: right in 2 of 3 entries"),
        (row, [1.8375, 1.3, 0.6875], "all entries are right, their order is not"),
        (row, [0.6875, math.nan, 1.8375], "the answer is nan"),
        (square, [[1.0, 0.7], [0.3, 2.0]], "rows and columns of a matrix are exchanged"),
        (square, [[1.0, 0.3]], "an array of shape (2, 2) is wanted, got an array of shape (1, 2)"),
        (function, lambda x: x**2 + 0j, "must be real, got a complex number"),
        (function, 9.0, "must be a function, got float"),
        (function, lambda x: ..., "the function returns nothing"),
        (function, print, "the function returns nothing"),
        (function, lambda x: "x", "got the text 'x'"),
        (function, lambda x: x / 0, "the function raises ZeroDivisionError"),
        (function, lambda x: x.nonsense, "the function raises AttributeError"),
        (function, lambda x, y: x, "the function raises TypeError"),
        (function, lambda x: [x, x], "one number is wanted, got a list of length 2"),
        (function, lambda x: x**2 + 1, "not yet: right in 0 of 2 inputs tried, off by 11 %"),
        (function, lambda x: 3 * x, "not yet: right in 1 of 2 inputs tried"),
    ],
)
def test_odd_answers_get_a_sentence(exercise, answer, what, recwarn):
    verdict = exercise.judge(answer)
    assert not verdict.accepted and what in verdict.message
    assert not recwarn.list


MADE = {
    "check the sign": -2.7,
    "twice the answer": 5.4,
    "half of the answer": 1.35,
    "the square of the answer": 7.29,
    "the square root of the answer": 1.643168,
    "the inverse of the answer": 0.3703704,
    "in degrees": 154.6986,
    "in per cent": 270.0,
    "a hundredth of the answer": 0.027,
    "a decimal logarithm for a natural one": 1.172595,
    "a natural logarithm for a decimal one": 6.21698,
    "that is the logarithm of the answer": 0.9932518,
    "the answer is the logarithm of that": 14.87973,
}


@pytest.mark.parametrize(("what", "answer"), MADE.items())
def test_usual_slips_need_no_entry(what, answer):
    verdict = number.judge(answer)
    assert not verdict.accepted and what in verdict.message
    assert number.judge(float(f"{answer:.3g}")).message == verdict.message, "three digits will do"


def test_a_slip_has_a_list_of_its_own():
    assert len(MADE) == len(answers.SLIPS)


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (2.0, 4.0),  # twice, or squared
        (0.25, 0.5),  # twice, or the root
        (2.003, 4.004),  # twice; its square is 4.012
        (0.0, 0.01),
        (-1.0005, -0.9990),  # near the inverse, which is too near to the answer
    ],
)
def test_slips_that_look_alike_are_not_named(solution, answer):
    message = Exercise("q", solution, {"far from all others here.": 77.0}).judge(answer).message
    assert message.startswith("not yet: ")


def test_a_named_mistake_comes_before_a_slip_and_before_three_digits():
    named = {"both layers learn.": 2 * 1.3953, "the law of tiny starts.": 1.4}
    exercise = Exercise("q", 1.3953, named)
    assert exercise.judge(2.7906).message == "both layers learn."
    assert exercise.judge(1.4).message == "the law of tiny starts."
    assert "the sign" in exercise.judge(-1.4).message


def test_a_named_zero_is_as_small_as_the_answer_is():
    shots = Exercise("q", -0.0447, {"that holds for symmetric noise only.": 0.0})
    assert shots.judge(0.0).message == "that holds for symmetric noise only."
    assert "a hundredth" in shots.judge(-0.000447).message


def power(base, exponent, matrix):
    return base**exponent + matrix[..., 0]


turned = Exercise(
    "power",
    power,
    {"the matrix counts too.": lambda base, exponent, matrix: base**exponent + 0 * matrix[..., 0]},
    inputs=[(2.0, 3.0, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))],
)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda b, e, m: power(e, b, m), "the arguments are right, their order is not"),
        (lambda b, e, m: power(b, e, m.T), "rows and columns of a matrix are exchanged"),
        (lambda b, e, m: -power(b, e, m), "check the sign"),
        (lambda b, e, m: 2 * power(b, e, m), "that is twice the answer"),
        (lambda b, e, m: 1 / power(b, e, m), "that is the inverse of the answer"),
    ],
)
def test_a_function_slips_too(answer, what):
    assert what in turned.judge(answer).message


def test_an_order_that_makes_no_difference_is_not_blamed():
    wrong = {"the product is wanted.": lambda x, y: x + y}
    product = Exercise("product", lambda x, y: x * y, wrong, inputs=[(2.0, 3.0), (1.0, 5.0)])
    assert product.judge(lambda x, y: y * x).accepted
    ratio = Exercise("ratio", lambda x, y: x / y, wrong, inputs=[(2.0, 3.0), (1.0, 5.0)])
    assert ratio.judge(lambda x, y: y / x).message.startswith("not yet")  # or is it the inverse?


@pytest.mark.parametrize(
    ("solution", "answer", "accepted"),
    [
        (1.3953, 1.40, True),
        (1.3953, 1.39, True),
        (1.3953, 1.41, False),
        (1.3953, 1.391, False),  # who writes four digits is asked for them
        (806.857, 807, True),
        (806.857, 806, True),
        (806.857, 810, False),
        (-0.044702, -0.0447, True),
        (9.996, 10.0, True),
        ([0.6875, 1.3, 1.8375], [0.688, 1.3, 1.84], True),
        ([0.6875, 1.3, 1.8375], [0.69, 1.3, 1.84], False),
    ],
)
def test_three_correct_digits_are_enough(solution, answer, accepted):
    exercise = Exercise("q", solution, {"far from it.": np.zeros_like(solution)}, within=2e-4)
    verdict = exercise.judge(answer)
    assert verdict.accepted == accepted
    first = f"{np.ravel(solution)[0]:.6g}"
    assert (f"correct to three digits; to six it is {first}" in verdict.message) == accepted
    assert exercise.judge(solution).message == "correct."


def test_an_answer_read_off_a_figure_is_close_enough():
    rough = Exercise("q", 25.0, {"that is per sample.": 0.4}, within=0.02)
    assert rough.judge(24.6).message == "close enough; to six it is 25."


def test_rounding_is_forgiven():
    assert number.judge(2.7005).accepted and number.judge(torch.tensor(2.7005)).accepted


@pytest.mark.parametrize(
    "answer",
    [2, True + 1, np.float64(2), np.float32(2), np.int64(2), np.array(2.0), torch.tensor(2), [2]],
)
def test_a_number_of_any_type_is_an_answer(answer):
    assert Exercise("two", 2.0, {"nothing is left.": 0.0}).judge(answer).accepted
    assert Exercise("two", 2.0, {"nothing is left.": 0.0}).judge(np.reshape(answer, 1)).accepted


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
        ({"mistakes": {}}, "mistakes must name at least one, got none"),
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
