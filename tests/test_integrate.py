"""The integrator against equations with known solutions."""

import math

import pytest
import torch

from toymodels.numerics.integrate import solve

TIME = torch.linspace(0, 3, 7, dtype=torch.float64)
SPEED = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)  # three systems of one number


def swing(t, state):
    """A driven rotation, x'' = -x + t, as a stack; depends on time and couples the components."""
    x, v = state.unbind(-1)
    return torch.stack([v, t - x], -1)


def swung(start, time):
    x, v = start.unbind(-1)
    c, s = torch.cos(time), torch.sin(time)
    return torch.stack(
        [x[:, None] * c + (v[:, None] - 1) * s + time, -x[:, None] * s + (v[:, None] - 1) * c + 1],
        -1,
    )


START = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)


def test_solve_reaches_its_tolerance():
    torch.testing.assert_close(solve(swing, START, TIME), swung(START, TIME), atol=1e-9, rtol=0)
    decay = solve(lambda t, y: -SPEED * y, torch.ones_like(SPEED), TIME)
    torch.testing.assert_close(decay[..., 0], torch.exp(-SPEED * TIME), atol=1e-10, rtol=0)


@pytest.mark.parametrize("last", [0.0, 1e-310, 1e-200])
def test_next_to_no_time_is_no_reason_to_hang(last):
    time = torch.tensor([0.0, last], dtype=torch.float64)
    for bandwidth in (None, 1):  # LSODA would try ever shorter steps
        found = solve(lambda t, y: -y, torch.ones(1, 2).double(), time, bandwidth=bandwidth)
        assert torch.equal(found, torch.ones(1, 2, 2).double())


def test_the_time_axis_may_start_late_and_repeat():
    late = torch.tensor([1.0, 1.0, 2.5], dtype=torch.float64)
    torch.testing.assert_close(solve(swing, START, late), swung(START, late), atol=1e-6, rtol=0)
    at_once = solve(swing, START, torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(at_once, START[:, None].expand(3, 2, 2))


def test_dtype_follows_the_start():
    single = solve(swing, START.float(), TIME.float())
    assert single.dtype == torch.float32  # but integrated in float64
    torch.testing.assert_close(single, swung(START, TIME).float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("time", "what"),
    [
        (TIME.flip(0), "sorted and non-negative"),
        (TIME - 1, "sorted and non-negative"),
        (TIME[:0], "time must not be empty"),
        (TIME * float("nan"), "time must not hold NaN"),
        (torch.tensor([0.0, 1.0, float("inf")], dtype=torch.float64), "finite"),
    ],
)
def test_impossible_times_are_refused(time, what):
    with pytest.raises(ValueError, match=what):
        solve(swing, START, time)


def test_a_solution_that_leaves_the_finite_numbers_is_an_error():
    with pytest.raises(RuntimeError, match="integrator gave up before t = 2"):
        blows_up = torch.ones(1, 1, dtype=torch.float64)
        solve(lambda t, y: y**2, blows_up, torch.tensor([2.0], dtype=torch.float64))


@pytest.mark.parametrize(("rtol", "atol"), [(1e-8, 1e-10), (1e-11, 1e-13), (1e-12, 1e-9)])
def test_one_fast_member_is_as_accurate_among_many_as_alone(rtol, atol):
    time = torch.linspace(0, 2, 9, dtype=torch.float64)
    errors, looks = [], []
    for members in (1, 2000):
        speed = torch.full((members,), 0.01, dtype=torch.float64)
        speed[0] = 40.0
        start = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(members, 2)

        def rate(_, state, speed=speed):
            looks[-1] += 1
            x, v = state.unbind(-1)
            return torch.stack([v, -(speed**2) * x], -1)

        looks.append(0)
        found = solve(rate, start, time, rtol=rtol, atol=atol)[0, :, 0]
        errors.append((found - torch.cos(40 * time)).abs().max().item())
    assert errors[1] < 4 * errors[0]  # 45 if the mean square error of the stack were bounded
    assert looks[1] < 1.3 * looks[0], "the others ask for next to nothing"


def test_a_tolerance_below_rounding_is_raised_to_it():
    loose, tight = (solve(swing, START, TIME, rtol=rtol, atol=1e-15) for rtol in (1e-12, 1e-16))
    torch.testing.assert_close(loose, tight, atol=1e-10, rtol=0)


def test_stiff_chains_are_followed_by_implicit_steps():
    """Explicit ones would need a million of them: neighbours relax at rates up to 4e4."""

    def rate(t, x):
        ends = torch.nn.functional.pad(x, (1, 1))
        return 1e4 * ends.diff(n=2)

    start = torch.stack([torch.sin(torch.pi * torch.arange(1, 6) * k / 6) for k in (1, 2)]).double()
    decay = 1e4 * (2 * torch.cos(torch.pi * torch.tensor([1.0, 2.0]).double() / 6) - 2)
    time = torch.tensor([1e-5, 1e-4, 100.0], dtype=torch.float64)
    seen = solve(rate, start, time, rtol=1e-9, atol=1e-12, bandwidth=1)
    exact = start[:, None] * torch.exp(decay[:, None, None] * time[:, None])
    torch.testing.assert_close(seen, exact, rtol=0, atol=1e-7)
    one = solve(lambda t, x: -x, torch.ones(1).double(), time, bandwidth=3)
    torch.testing.assert_close(one[:, 0], torch.exp(-time), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"rate": lambda t, y: y * math.nan}, RuntimeError, "rate must be a number, got NaN at t"),
        ({"start": torch.tensor([1.0, math.inf])}, ValueError, "start must be finite, got inf"),
        ({"rtol": 0.0}, ValueError, "rtol must be positive and finite, got 0"),
        ({"atol": -1.0}, ValueError, "atol must be positive"),
    ],
)
def test_what_would_never_end_is_refused(options, error, sentence):
    good = {"rate": lambda t, y: -y, "start": torch.ones(2), "time": torch.tensor([0.0, 1.0])}
    with pytest.raises(error, match=sentence):
        solve(**good | options)
