"""Gaussian averages of kinked and smooth functions, against closed forms."""

import math

import pytest
import torch
from jaxtyping import Float
from scipy.integrate import quad
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.expectation import average, pair_average, pair_table

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
    bad, one = torch.tensor([1.0, bad], dtype=DOUBLE), torch.ones((), dtype=DOUBLE)
    with pytest.raises(ValueError, match="must (be finite and not negative|not hold NaN)"):
        average(torch.relu, bad)
    with pytest.raises(ValueError, match="must (be finite and not negative|not hold NaN)"):
        pair_average(torch.relu, torch.relu, one, bad, one)


@pytest.mark.parametrize("covariance", [1.01, -2.0, float("nan")])
def test_an_impossible_covariance_is_refused(covariance):
    one = torch.ones((), dtype=DOUBLE)
    with pytest.raises(ValueError, match="covariance must not (exceed|hold NaN)"):
        pair_average(torch.relu, torch.relu, one, one, covariance * one)


def test_pieces_do_not_change_an_average(monkeypatch):
    one, k = torch.ones((), dtype=DOUBLE), torch.tensor(0.4, dtype=DOUBLE)
    whole = pair_average(torch.relu, torch.tanh, one, one, k)
    monkeypatch.setattr("toymodels.numerics.expectation.CHUNK", 1 << 13)
    close(pair_average(torch.relu, torch.tanh, one, one, k), whole)


def test_a_covariance_may_exceed_its_bound_by_rounding():
    q = torch.tensor(0.3, dtype=DOUBLE)
    close(pair_average(torch.relu, torch.relu, q, q, q * (1 + 1e-14)), q / 2)


def by_many_nodes(function, q1, q2, k):
    """A pair average over a fine grid of the plane: slow, simple, for smooth functions alone."""
    node = torch.arange(-10, 10.001, 0.1, dtype=DOUBLE)
    weight = 0.1 * torch.exp(-(node**2) / 2) / math.sqrt(2 * math.pi)
    across = (q2 - k**2 / q1).clamp(min=0).sqrt()[..., None, None]
    u = q1.sqrt()[..., None] * node
    v = (k / q1.sqrt())[..., None, None] * node[:, None] + across * node
    return torch.einsum("...i,i,...ij,j->...", function(u), weight, function(v), weight)


@pytest.mark.parametrize("function", [torch.tanh, torch.nn.functional.gelu, torch.sin])
def test_pairs_of_smooth_functions_against_a_grid(function):
    q1 = torch.tensor([0.05, 1.0, 1.0, 3.0], dtype=DOUBLE)[:, None]
    q2 = torch.tensor([0.2, 1.0, 2.0, 1.5], dtype=DOUBLE)[:, None]
    k = torch.tensor([-1.0, -0.8, 0.1, 0.9, 0.9999], dtype=DOUBLE) * (q1 * q2).sqrt()
    expected = by_many_nodes(function, *torch.broadcast_tensors(q1, q2, k))
    close(pair_average(function, function, q1, q2, k), expected)


def test_pairs_do_not_depend_on_their_company():
    """Some need few nodes, some many: each goes as far as it must."""
    q = torch.tensor([1e-3, 1.0, 30.0, 1e4], dtype=DOUBLE)
    together = pair_average(torch.tanh, torch.tanh, q[:, None], q, 0.3 * (q[:, None] * q).sqrt())
    for i in range(4):
        for j in range(4):
            k = 0.3 * (q[i] * q[j]).sqrt()
            close(together[i, j], pair_average(torch.tanh, torch.tanh, q[i], q[j], k), 1e-14)


def test_steep_and_round_functions_go_on_to_the_thorough_rule():
    """tanh becomes a step and GELU a ReLU, with a layer of 1e-3 that rough nodes overlook."""
    q = torch.full_like(CORRELATION, 1e6)
    k = CORRELATION * q
    sign = 2 / math.pi * torch.asin(CORRELATION)
    found = pair_average(torch.tanh, torch.tanh, q, q, k)
    torch.testing.assert_close(found[2:-2], sign[2:-2], rtol=0, atol=1e-3)
    diagonal = average(lambda z: torch.tanh(z) ** 2, q[-1])
    close(found[-1], diagonal)
    gelu = torch.nn.functional.gelu
    found = pair_average(gelu, gelu, q, q, k)
    close(found[-1] / 1e6, average(lambda z: gelu(z) ** 2, q[-1]) / 1e6)
    close(found[0] / 1e6, average(lambda z: gelu(z) * gelu(-z), q[0]) / 1e6)


def test_single_precision_is_computed_in_double():
    one = torch.ones(())
    found = pair_average(torch.tanh, torch.tanh, one, one, 0.5 * one)
    double = pair_average(torch.tanh, torch.tanh, *(x.double() for x in (one, one, 0.5 * one)))
    assert found.dtype == torch.float32 and found == double.float()


def test_no_pairs_at_all():
    none = torch.zeros(3, 0, dtype=DOUBLE)
    assert pair_average(torch.relu, torch.relu, none, none, none).shape == (3, 0)


@pytest.mark.parametrize(
    "function", [torch.relu, torch.tanh, lambda z: torch.tanh(40 * z), lambda z: (z > 0).to(z)]
)
def test_a_table_of_pairs(function):
    q = torch.tensor([0.1, 1.0, 5.0], dtype=DOUBLE)
    angle = torch.tensor([0.0, 1e-4, 0.7, 2.0, math.pi], dtype=DOUBLE)
    one, other, k = q[:, None, None], q[:, None], (q[:, None, None] * q[:, None]).sqrt()
    expected = pair_average(function, function, one, other, k * angle.cos())
    close(pair_table(function, q, angle), expected, 1e-9)
    with pytest.raises(ValueError, match="must (be finite and not negative|not hold NaN)"):
        pair_table(function, -q, angle)


def test_pieces_do_not_change_a_table(monkeypatch):
    q, angle = torch.ones(2, dtype=DOUBLE), torch.linspace(0, 3, 7, dtype=DOUBLE)
    whole = pair_table(torch.erf, q, angle)
    monkeypatch.setattr("toymodels.numerics.expectation.CHUNK", 1)
    seen = Seen(torch.erf)
    close(pair_table(seen, q, angle), whole, 1e-15)
    assert max(seen.sizes) < 2 * 100 * 128  # two variances, one arc, radii, directions


class Seen:
    """A function that notes how many points it is asked about."""

    def __init__(self, function):
        self.function, self.sizes = function, []

    def __call__(self, z):
        self.sizes.append(z.numel())
        return self.function(z)


@pytest.mark.parametrize("function, most", [(torch.relu, 40_000), (torch.tanh, 110_000)])
def test_smooth_and_kinked_pairs_are_cheap(function, most):
    """Rules one and two do for ReLU, rules up to three for tanh; the last sees a million points."""
    seen, q = Seen(function), torch.ones(9, dtype=DOUBLE)
    k = torch.linspace(-1, 1, 9, dtype=DOUBLE)
    pair_average(seen, seen, q, q, k)
    assert sum(seen.sizes) / 9 < most
    seen.sizes.clear()
    pair_table(seen, q[:1], torch.linspace(0, 3, 9, dtype=DOUBLE))
    assert sum(seen.sizes) / 9 < most


def test_a_table_of_a_tiny_function_is_as_good():
    q, angle = torch.tensor([0.5, 2.0], dtype=DOUBLE), torch.tensor([0.3, 2.0], dtype=DOUBLE)
    tiny = pair_table(lambda z: 1e-8 * torch.tanh(40 * z), q, angle)
    close(tiny * 1e16, pair_table(lambda z: torch.tanh(40 * z), q, angle))


def test_functions_in_place_may_come_from_inside_the_package_too():
    @door  # what it calls takes no look at its arguments
    def inside(x: Float[Tensor, " a"]):
        pair = x, x, x / 2
        return (
            average(torch.sigmoid_, x) - average(torch.sigmoid, x),
            pair_average(torch.exp_, torch.exp_, *pair) - pair_average(torch.exp, torch.exp, *pair),
            (pair_table(torch.exp_, x, x) - pair_table(torch.exp, x, x)).flatten(),
        )

    assert all(bool((gap == 0).all()) for gap in inside([0.5, 1.0]))
