"""Roots of monotone scalar equations."""

import pytest
import torch

from toymodels.numerics.fixed_point import solve

DOUBLE = torch.float64


def power(target, exponent):
    """ratio(x) = (x / target)^-exponent, a straight line in log-log."""
    return lambda x: ((x / target) ** -exponent, -exponent * torch.ones_like(x))


def test_a_power_law_is_solved_at_every_scale():
    target = torch.tensor([1e-250, 1e-9, 1.0, 1e9, 1e250], dtype=DOUBLE)
    root = solve(power(target, 0.5), target * 1e-20, target * 1e20)
    torch.testing.assert_close(root.solution, target, rtol=1e-12, atol=0)
    assert root.converged.all() and root.residual.max() < 1e-12


def test_a_bracket_that_touches_the_root_is_accepted():
    target = torch.tensor([2.0, 3.0, 5.0], dtype=DOUBLE)
    low, high = target * torch.tensor([1.0, 0.1, 1.0]), target * torch.tensor([9.0, 1.0, 1.0])
    torch.testing.assert_close(solve(power(target, 2.0), low, high).solution, target)


def flat_then_steep(x):
    r = (1 + 1e3 / x) ** 6 / 1.5**6
    return r, -6e3 / (x + 1e3)


def test_newton_that_overshoots_is_caught_by_the_bracket():
    low, high = torch.tensor([1e-200], dtype=DOUBLE), torch.tensor([1e200], dtype=DOUBLE)
    root = solve(flat_then_steep, low, high)
    torch.testing.assert_close(root.solution, torch.tensor([2e3], dtype=DOUBLE))


def test_members_of_a_batch_do_not_interact():
    target = torch.tensor([[1e-3, 7.0], [2.0, 40.0]], dtype=DOUBLE)
    low, high = torch.full_like(target, 1e-9), torch.full_like(target, 1e9)
    batch = solve(power(target, 1.3), low, high).solution
    for i in range(2):
        alone = solve(power(target[i], 1.3), low[i], high[i]).solution
        torch.testing.assert_close(batch[i], alone, rtol=1e-15, atol=0)


def test_an_equation_that_stops_early_says_so():
    low, high = torch.tensor([1e-200], dtype=DOUBLE), torch.tensor([1e200], dtype=DOUBLE)
    root = solve(flat_then_steep, low, high, iterations=2)
    assert not root.converged.any() and root.residual > 1e-3


@pytest.mark.parametrize(
    "low, high, message",
    [
        (3.0, 9.0, "must hold the root"),
        (0.1, 1.0, "must hold the root"),
        (0.0, 9.0, "0 < low|not hold NaN"),
        (1.0, float("inf"), "0 < low|not hold NaN"),
        (1.0, float("nan"), "0 < low|not hold NaN"),
        (9.0, 1.0, "0 < low|not hold NaN"),
    ],
)
def test_a_bracket_without_the_root_is_refused(low, high, message):
    low, high = (torch.tensor([end], dtype=DOUBLE) for end in (low, high))
    with pytest.raises(ValueError, match=message):
        solve(power(torch.tensor([2.0], dtype=DOUBLE), 1.0), low, high)


@pytest.mark.parametrize("iterations, residual", [(33, 2.7e-10), (39, 4.0e-12), (50, 0.0)])
def test_converged_means_within_the_tolerance(iterations, residual):
    def halving(x):  # without a slope the bracket is halved
        return 2 / x, torch.zeros_like(x)

    bracket = torch.tensor([1.0]).double(), torch.tensor([100.0]).double()
    root = solve(halving, *bracket, iterations=iterations)
    assert root.residual.item() == pytest.approx(residual, rel=0.1, abs=1e-13)
    assert root.converged.item() == (residual < 1e-12)


def test_no_iterations_are_refused():
    one = torch.ones(1, dtype=DOUBLE)
    with pytest.raises(ValueError, match="at least 1"):
        solve(power(one, 1.0), one, one, iterations=0)


def test_one_iteration_is_enough_for_a_straight_line():
    target = torch.tensor([3.0], dtype=DOUBLE)
    root = solve(power(target, 1.5), target / 7, target * 5, iterations=1)
    torch.testing.assert_close(root.solution, target, rtol=1e-13, atol=0)


def test_the_bracket_is_halved_in_the_logarithm():
    low, high = torch.tensor([1e-30], dtype=DOUBLE), torch.tensor([1e200], dtype=DOUBLE)
    root = solve(flat_then_steep, low, high)
    torch.testing.assert_close(root.solution, torch.tensor([2e3], dtype=DOUBLE))


def test_a_batch_goes_on_until_its_last_member_has_settled():
    curved = torch.tensor([0.0, 1.0], dtype=DOUBLE)  # 1 / x at once, (1 / x + 1 / x^3) / 2 in steps

    def ratio(x):
        r = (1 - curved / 2) / x + curved / 2 / x**3
        return r, -((1 - curved / 2) / x + 3 * curved / 2 / x**3) / r

    one = torch.ones(2, dtype=DOUBLE)
    root = solve(ratio, one / 100, one * 100)
    assert root.converged.all()
    torch.testing.assert_close(root.solution, one, rtol=1e-13, atol=0)


@pytest.mark.parametrize("nudge", [1 + 1e-14, 1 - 1e-14])
def test_rounding_may_put_the_root_just_outside_the_bracket(nudge):
    target = torch.tensor([3.0], dtype=DOUBLE)
    for low, high in [(target * nudge, target * 9), (target / 9, target * nudge)]:
        torch.testing.assert_close(solve(power(target, 1.0), low, high).solution, target)


@pytest.mark.parametrize(
    "bad, message", [(0.0, "0 < low|not hold NaN"), (3.0, "must hold the root")]
)
def test_one_bad_bracket_in_a_batch_is_refused(bad, message):
    low = torch.tensor([1.0, bad], dtype=DOUBLE)
    with pytest.raises(ValueError, match=message):
        solve(power(torch.full_like(low, 2.0), 1.0), low, torch.full_like(low, 9.0))
