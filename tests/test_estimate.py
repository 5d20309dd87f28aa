"""Error bars: of means, fractions, ratios, logarithms and slopes."""

import math

import pytest
import torch

from toymodels.numerics import draws
from toymodels.numerics.estimate import Estimate, fraction, mean, slope


def one(value, error, members=10):
    return Estimate(torch.tensor(value).double(), torch.tensor(error).double(), members)


def test_mean_by_hand():
    samples = torch.tensor([[1.0, 2.0, 3.0, 6.0], [0.0, 0.0, 2.0, 2.0]], dtype=torch.float64)
    found = mean(samples, axis=-1)
    assert found.value.tolist() == [3.0, 1.0] and found.members == 4
    # squared deviations 4 + 1 + 0 + 9 over 3, then over 4
    assert found.error.tolist() == pytest.approx([math.sqrt(14 / 12), math.sqrt(4 / 12)])
    assert mean(samples, axis=0).members == 2
    assert found[0].value == 3.0 and found[1].error == pytest.approx(math.sqrt(1 / 3))


def test_an_error_bar_is_as_wide_as_means_scatter():
    samples = draws.normal(1, "samples", 4000, (8,))
    found = mean(samples, axis=1)
    assert found.error.square().mean().sqrt() == pytest.approx(float(found.value.std()), rel=0.05)
    assert float((found.value.abs() < found.error).double().mean()) == pytest.approx(0.65, abs=0.03)


@pytest.mark.parametrize(
    ("formula", "check"),
    [
        (lambda a, b: a / b, lambda a, b: a / b),
        (lambda a, b: a * b, lambda a, b: a * b),
        (lambda a, b: a - 2 * b, lambda a, b: a - 2 * b),
        (lambda a, b: 1 - a, lambda a, b: 1 - a),
        (lambda a, b: 3 / b + 1, lambda a, b: 3 / b + 1),
        (lambda a, b: (a / b).log(), lambda a, b: torch.log(a / b)),
        (lambda a, b: (a + b).exp(), lambda a, b: torch.exp(a + b)),
        (lambda a, b: a**-0.5, lambda a, b: a**-0.5),
    ],
)
def test_errors_are_propagated(formula, check):
    a, b = (
        one(2.0, 1e-3),
        one(-5.0 if formula(one(1.0, 1.0), one(2.0, 1.0)) is None else 5.0, 2e-3, 7),
    )
    found = formula(a, b)
    normals = draws.normal(3, "pairs", 40000, (2,))
    spread = check(2.0 + 1e-3 * normals[:, 0], 5.0 + 2e-3 * normals[:, 1])
    assert float(found.value) == pytest.approx(float(check(torch.tensor(2.0), torch.tensor(5.0))))
    assert float(found.error) == pytest.approx(float(spread.std()), rel=0.03)
    assert found.members == 7 or "b" not in formula.__code__.co_names


def test_fractions_have_binomial_errors():
    hits = torch.tensor([True] * 7 + [False] * 3)
    found = fraction(hits, axis=0)
    assert float(found.value) == pytest.approx(0.7)
    assert float(found.error) == pytest.approx(math.sqrt(8 / 12 * 4 / 12 / 10))
    assert float(fraction(torch.ones(10, dtype=torch.bool), axis=0).error) > 0.08, "not 0"


def test_slope_of_a_line_weighs_by_errors():
    x = torch.tensor([0.0, 1.0, 2.0, 3.0]).double()
    exact = slope(x, Estimate(3 * x + 1, torch.full_like(x, 0.1), 5))
    assert float(exact.value) == pytest.approx(3.0)
    assert float(exact.error) == pytest.approx(0.1 / math.sqrt(5.0))
    bent = Estimate(
        torch.tensor([0.0, 1.0, 2.0, 9.0]).double(), x.new_tensor([0.1, 0.1, 0.1, 1e3]), 5
    )
    assert float(slope(x, bent).value) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: mean(torch.ones(3, 1), axis=1), "samples must have at least 2 members"),
        (lambda: mean(torch.ones(3, 4), axis=1), "error must be positive, got 0"),
        (lambda: mean(torch.tensor([[1.0, 2.0], [1.0, 1.0]]), axis=1), "error must be positive"),
        (lambda: one(1.0, float("nan")), "error must be positive"),
        (lambda: one(1.0, -1.0), "error must be positive, got -1"),
        (lambda: one(-1.0, 1.0).log(), "value must be positive, got -1"),
    ],
)
def test_what_has_no_error_bar_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
