"""Gaussian averages of kinked and smooth functions, against closed forms."""

import math

import pytest
import torch
from scipy.integrate import quad

from toymodels.numerics.expectation import average, pair_average

DOUBLE = torch.float64
VARIANCE = torch.tensor([1e-6, 0.3, 1.0, 20.0, 1e4], dtype=DOUBLE)
CORRELATION = torch.tensor(
    [-1, -1 + 1e-12, -0.999, -0.3, 0, 0.5, 0.9999, 1 - 1e-12, 1], dtype=DOUBLE
)


def close(left, right, tolerance=1e-12):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "power, moment", [(1, 1 / math.sqrt(2 * math.pi)), (2, 0.5), (4, 1.5), (6, 7.5)]
)
def test_moments_of_relu(power, moment):
    found = average(lambda z: torch.relu(z) ** power, VARIANCE)
    close(found / VARIANCE ** (power / 2), torch.full_like(VARIANCE, moment))


def test_a_jump_at_zero_and_even_moments():
    close(average(lambda z: (z > 0).to(z), VARIANCE), torch.full_like(VARIANCE, 0.5))
    close(average(lambda z: z**4, VARIANCE) / VARIANCE**2, torch.full_like(VARIANCE, 3.0))


@pytest.mark.parametrize("variance", [1e-2, 1.0, 1e2, 1e4, 1e6])
def test_tanh_at_any_variance(variance):
    edges = [0.0] + [10.0**k for k in range(-6, 2)]

    def integrand(x):
        return math.tanh(math.sqrt(variance) * x) ** 2 * math.exp(-x * x / 2)

    pieces = [
        quad(integrand, a, b, epsabs=1e-14, epsrel=1e-13, limit=200)[0]
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    expected = 2 * sum(pieces) / math.sqrt(2 * math.pi)
    found = average(lambda z: torch.tanh(z) ** 2, torch.tensor(variance, dtype=DOUBLE))
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_zero_variance_is_the_value_at_zero():
    close(average(torch.cos, torch.zeros(1, dtype=DOUBLE)), torch.ones(1, dtype=DOUBLE))


def arc_cosine(c):
    angle = torch.atan2(((1 - c) * (1 + c)).sqrt(), c)
    return (torch.sin(angle) + (torch.pi - angle) * c) / (2 * torch.pi)


def test_pairs_of_relu_are_the_arc_cosine_kernel_up_to_full_correlation():
    one = torch.ones((), dtype=DOUBLE)
    found = pair_average(torch.relu, torch.relu, one, one, CORRELATION)
    close(found, arc_cosine(CORRELATION))


@pytest.mark.parametrize("q1, q2", [(1.0, 1.0), (3.0, 50.0), (1e4, 1e4)])
def test_pairs_of_erf_are_an_arcsine(q1, q2):
    k = CORRELATION * math.sqrt(q1 * q2)
    q1, q2 = (torch.tensor(q, dtype=DOUBLE) for q in (q1, q2))
    expected = 2 / torch.pi * torch.asin(2 * k / ((1 + 2 * q1) * (1 + 2 * q2)).sqrt())
    close(pair_average(torch.erf, torch.erf, q1, q2, k), expected)


def test_pairs_of_two_functions_and_batches():
    q1 = torch.tensor([[2.0], [0.5]], dtype=DOUBLE)
    q2 = torch.tensor([1.0, 3.0], dtype=DOUBLE)
    k = torch.tensor([[-0.2, 0.9], [0.1, 0.4]], dtype=DOUBLE)
    # Stein: <relu(u) v> = <relu'> k = k / 2
    found = pair_average(torch.relu, lambda v: v, q1, q2, k)
    close(found, k / 2)
    close(found[1, 0], pair_average(torch.relu, lambda v: v, q1[1, 0], q2[0], k[1, 0]))


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_an_impossible_variance_is_refused(bad):
    bad, one = torch.tensor(bad, dtype=DOUBLE), torch.ones((), dtype=DOUBLE)
    with pytest.raises(ValueError, match="must be finite and not negative"):
        average(torch.relu, bad)
    with pytest.raises(ValueError, match="must be finite and not negative"):
        pair_average(torch.relu, torch.relu, one, bad, one)


@pytest.mark.parametrize("covariance", [1.01, -2.0, float("nan")])
def test_an_impossible_covariance_is_refused(covariance):
    one = torch.ones((), dtype=DOUBLE)
    with pytest.raises(ValueError, match="covariance must not exceed"):
        pair_average(torch.relu, torch.relu, one, one, covariance * one)


def test_pieces_do_not_change_an_average(monkeypatch):
    one, k = torch.ones((), dtype=DOUBLE), torch.tensor(0.4, dtype=DOUBLE)
    whole = pair_average(torch.relu, torch.tanh, one, one, k)
    monkeypatch.setattr("toymodels.numerics.expectation.CHUNK", 1 << 13)
    close(pair_average(torch.relu, torch.tanh, one, one, k), whole)


def test_a_covariance_may_exceed_its_bound_by_rounding():
    q = torch.tensor(0.3, dtype=DOUBLE)
    close(pair_average(torch.relu, torch.relu, q, q, q * (1 + 1e-14)), q / 2)
