"""Claims of chapters/oscillator.md, one test per claim."""

import math
from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import train
from toymodels.networks.rules import HeavyBall
from toymodels.oscillator import (
    Motion,
    Oscillator,
    experiment,
    floquet,
    flow,
    frequency,
    impulse,
    largest_step,
    optimal,
    orbit,
    rate,
    resonance,
    response,
    stationary,
    theory,
    threshold,
    variance,
    winding,
)

CURVATURE = torch.tensor([[4.0, 1.0, 0.25], [3.0, 0.5, 0.0]], dtype=torch.float64)
REGIMES = {
    "gradient descent": (0.3, 0.0),
    "one step and done": (1.0, 0.0),
    "over-damped": (0.01, 0.5),
    "critical": (0.25, 0.25),
    "critical from below": (2.25, 0.25),
    "under-damped": (0.8, 0.9),
    "flipping": (3.7, 0.9),
    "undamped": (0.5, 1.0),
    "flat": (0.0, 0.9),
    "flat and undamped": (0.0, 1.0),
    "diverging": (2.02, 0.0),
}


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def rolled(model, steps, seed=0):
    """The experiment with a single member, without the axis of members."""
    motion = experiment(model, steps, seed=seed)
    return replace(motion, position=motion.position[..., 0, :, :])


def gap(model, steps):
    exact, seen = theory(model, steps).position, rolled(model, steps).position
    return float((exact - seen).abs().max() / seen.abs().max())


@pytest.mark.parametrize("hc, momentum", REGIMES.values(), ids=REGIMES.keys())
def test_closed_form_is_the_iterated_map(hc, momentum):
    assert gap(Oscillator(column(hc), step=1.0, momentum=momentum, start=-2.0), 300) < 1e-12


@pytest.mark.parametrize("nudge", [-1e-8, -1e-13, 0.0, 1e-13, 1e-8])
def test_closed_form_survives_merging_roots(nudge):
    momentum = 0.81
    hc = (1 - math.sqrt(momentum)) ** 2 * (1 + nudge)
    assert gap(Oscillator(column(hc), step=1.0, momentum=momentum), 400) < 1e-12


def test_closed_form_stays_finite_for_long_times():
    model = Oscillator(column(1e-6, 0.5, 1.3), step=1.0, momentum=1e-3)
    assert bool(torch.isfinite(theory(model, 20_000).position).all())


def test_driven_closed_form_is_the_iterated_map():
    model = Oscillator(
        CURVATURE, step=0.2, momentum=0.8, start=CURVATURE - 0.3, drive=0.7, drive_frequency=0.4
    )
    assert gap(model, 500) < 1e-12
    one_driven = torch.tensor([[0.0, 0.7, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    assert gap(Oscillator(CURVATURE, 0.2, 0.8, drive=one_driven, drive_frequency=0.4), 500) < 1e-12


def test_a_constant_force_moves_the_minimum():
    model = Oscillator(column(2.0), step=0.1, momentum=0.5, drive=3.0)
    assert complex(response(model)) == pytest.approx(3.0 / 2.0)


def test_response_is_where_the_driven_motion_settles():
    omega = torch.linspace(0.05, 3.0, 7, dtype=torch.float64)
    model = Oscillator(
        torch.ones(7, 2, dtype=torch.float64) * torch.tensor([1.0, 0.3], dtype=torch.float64),
        step=0.5, momentum=0.7, drive=2.0, drive_frequency=omega,
    )  # fmt: skip
    seen = rolled(model, 300).position[:, 200:]
    k = torch.arange(200, 301, dtype=torch.float64)[:, None]
    X = response(model)[:, None]
    phase = omega[:, None, None] * k
    torch.testing.assert_close(seen, X.real * phase.cos() - X.imag * phase.sin())


def test_resonance_is_the_peak_and_has_its_height():
    omega = torch.linspace(0.0, math.pi, 20_001, dtype=torch.float64)
    curvature = torch.tensor([1.0, 0.02, 0.3], dtype=torch.float64).expand(20_001, 3)
    sweep = Oscillator(curvature, 0.5, 0.7, drive=2.0, drive_frequency=omega)
    size = response(sweep).abs()
    torch.testing.assert_close(omega[size.argmax(0)], resonance(sweep)[0], atol=2e-4, rtol=0)
    assert size[:, 1].argmax() == 0  # too damped to resonate
    creeps, flips = Oscillator(column(0.5), 1.0), Oscillator(column(1.5), 1.0)  # no momentum
    assert (float(resonance(creeps)), float(resonance(flips))) == (0.0, pytest.approx(math.pi))
    assert float(resonance(Oscillator(column(1.9), 1.0, 0.05))) == pytest.approx(math.pi)
    free = frequency(sweep)[0]
    height = 0.5 * 2.0 / ((1 - 0.7) * torch.sin(free[[0, 2]]))
    torch.testing.assert_close(size[:, [0, 2]].amax(0), height)


def test_rate_is_the_shrinking_per_step():
    model = Oscillator(
        column(0.3, 0.01, 0.25, 1.9), step=1.0, momentum=column(0, 0.5, 0.25, 0)[:, 0]
    )
    seen = impulse(model, 400)
    measured = (seen[:, -1].abs().log() - seen[:, -101].abs().log()) / 100
    torch.testing.assert_close(measured.exp(), rate(model), atol=2e-3, rtol=0)
    under = Oscillator(column(0.8), step=1.0, momentum=0.9)
    assert float(rate(under)) == pytest.approx(math.sqrt(0.9))


def test_flow_obeys_its_differential_equation():
    h, b = 1e-4, column(0.93, 0.98, 0.999)[:, 0]
    c = torch.tensor([[1.0, 9.0, 12.25]] * 3, dtype=torch.float64)  # the second row has g^2 = c / c
    model = Oscillator(c, step=h, momentum=b)
    x = flow(model, 3000).position
    dt = math.sqrt(h)
    speed = (x[:, 2:] - x[:, :-2]) / (2 * dt)
    push = (x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2]) / dt**2
    residual = push + ((1 - b) / dt)[:, None, None] * speed + c[:, None] * x[:, 1:-1]
    assert float(residual.abs().max()) < 0.02  # second differences: dt^2 c^2 / 6
    torch.testing.assert_close(x[:, 0], torch.ones_like(c))


def test_flow_at_critical_friction_is_the_limit():
    h = 2.0**-8
    c, friction = column(4.0), 2.0  # g = sqrt(c)
    model = Oscillator(c, step=h, momentum=1 - 2 * friction * math.sqrt(h), start=-3.0)
    motion = flow(model, 100)
    t = motion.step * math.sqrt(h)
    expected = -3 * (1 + 2 * t) * torch.exp(-2 * t)
    torch.testing.assert_close(motion.position[0, :, 0], expected)


@pytest.mark.parametrize("friction", [0.0, 0.5, 2.0, 2.2, 5.0])
def test_map_follows_the_flow_at_first_order_in_its_time_step(friction):
    def distance(dt):
        model = Oscillator(column(1.0), step=dt**2, momentum=1 - friction * dt)
        steps = round(4 / dt)
        return (rolled(model, steps).position - flow(model, steps).position).abs().max()

    order = torch.log2(distance(2**-8) / distance(2**-9))
    assert float(order) == pytest.approx(1.0, abs=0.1)


def test_map_follows_gradient_flow_at_first_order_in_the_step():
    def distance(h, b=0.6):
        seen = rolled(Oscillator(column(1.0), step=h * (1 - b), momentum=b), round(3 / h))
        return (seen.position[0, :, 0] - torch.exp(-h * seen.step)).abs().max()

    assert float(torch.log2(distance(2**-9) / distance(2**-10))) == pytest.approx(1.0, abs=0.1)


def test_optimal_tuning_beats_its_neighbours():
    curvature = torch.tensor([1.0, 3.0, 40.0, 100.0], dtype=torch.float64)
    best = optimal(curvature)
    assert float(best.rate) == pytest.approx(9 / 11)
    assert float(rate(Oscillator(curvature, best.step, best.momentum)).max()) == pytest.approx(
        9 / 11
    )
    step, momentum = torch.meshgrid(
        best.step * torch.linspace(0.5, 1.5, 41, dtype=torch.float64),
        torch.linspace(0.0, 1.0, 41, dtype=torch.float64),
        indexing="ij",
    )
    grid = rate(Oscillator(curvature.expand(41, 41, 4), step, momentum)).amax(-1)
    assert float(grid.min()) >= float(best.rate)
    one = optimal(torch.tensor([4.0], dtype=torch.float64))
    assert (float(one.step), float(one.momentum), float(one.rate)) == (0.25, 0.0, 0.0)


def test_largest_step_is_the_edge():
    curvature, momentum = CURVATURE[:, :2], torch.tensor([0.3, 0.8], dtype=torch.float64)
    edge = largest_step(Oscillator(curvature, 1.0, momentum))
    torch.testing.assert_close(edge, 2 * (1 + momentum) / curvature[:, 0])
    inside, outside = (
        rolled(Oscillator(curvature, f * edge, momentum), 600).position for f in (0.99, 1.01)
    )
    assert bool((inside[:, -1].abs() < 0.1).all()) and bool((outside[:, -1, 0].abs() > 10).all())


def test_stationary_variance_solves_the_lyapunov_equation():
    h, b, c, s2 = 0.7, 0.8, 1.9, 0.3
    A = torch.tensor([[1 + b - h * c, -b], [1.0, 0.0]], dtype=torch.float64)
    Q = torch.tensor([[h**2 * s2, 0.0], [0.0, 0.0]], dtype=torch.float64)
    P = torch.linalg.solve(torch.eye(4, dtype=torch.float64) - torch.kron(A, A), Q.reshape(4))
    model = Oscillator(column(c), h, b, noise=s2)
    assert float(stationary(model)) == pytest.approx(float(P[0]), rel=1e-12)
    assert float(variance(model, 3000)[0, -1, 0]) == pytest.approx(float(P[0]), rel=1e-12)


def test_noisy_members_have_the_predicted_mean_and_variance():
    members = 4000
    model = Oscillator(torch.tensor([1.0, 0.3], dtype=torch.float64),
                       step=0.6, momentum=0.5, noise=0.2, start=2.0)  # fmt: skip
    seen = experiment(model, 30, seed=3, members=members).position
    assert seen.shape == (members, 31, 2)
    expected, var = theory(model, 30).position, variance(model, 30)
    error = (var[1:] / members).sqrt()
    assert float(((seen.mean(0) - expected)[1:] / error).abs().max()) < 4.5
    relative = seen.var(0)[1:] / var[1:] - 1
    assert float(relative.abs().max() / math.sqrt(2 / members)) < 4.5
    assert float(seen.var(0)[0].max()) == 0.0


def test_noise_is_independent_for_every_member_mode_step_and_problem():
    members = 2000
    model = Oscillator(torch.zeros(2, 2, dtype=torch.float64), step=1.0, noise=1.0)
    kicks = experiment(model, 2, seed=5, members=members).position.diff(dim=-2)
    numbers = kicks.movedim(1, -1).reshape(8, members)  # problem, step, mode; a flat mode sums them
    off = torch.corrcoef(numbers) - torch.eye(8, dtype=torch.float64)
    assert float(off.abs().max()) < 4.5 / math.sqrt(members)
    neighbours = (kicks[:, 1:] * kicks[:, :-1]).mean((0, 1, 2, 3))
    assert abs(float(neighbours)) < 4.5 / math.sqrt(8 * members)


def test_noise_in_one_problem_leaves_the_others_quiet():
    noise = torch.tensor([0.0, 0.5], dtype=torch.float64)
    model = Oscillator(torch.ones(2, 1, dtype=torch.float64), 0.1, 0.5, noise=noise)
    off = (rolled(model, 10).position - theory(model, 10).position).abs().amax((1, 2))
    assert off[0] < 1e-14 and off[1] > 0.01


def test_a_member_draws_the_same_noise_alone_and_in_company():
    model = Oscillator(torch.ones(2, dtype=torch.float64), 0.1, noise=1.0)
    many, few = (experiment(model, 20, seed=8, members=n).position for n in (5, 2))
    assert torch.equal(many[:2], few) and not torch.equal(many[0], many[1])
    batch = Oscillator(torch.ones(2, 2, dtype=torch.float64), 0.1, noise=1.0)
    assert torch.equal(experiment(batch, 20, seed=8).position[:, 0], few)
    assert not torch.equal(experiment(model, 20, seed=9, members=2).position, few)


def test_a_batch_is_its_members():
    step = torch.tensor([0.1, 0.3], dtype=torch.float64)
    momentum = torch.tensor([0.9, 0.2], dtype=torch.float64)
    batch = Oscillator(CURVATURE, step, momentum, drive=0.5, drive_frequency=0.3)
    quartic = torch.tensor([0.0, 0.4], dtype=torch.float64)
    softer = rolled(replace(batch, quartic=quartic), 40).position
    for i in range(2):
        alone = Oscillator(CURVATURE[i], step[i], momentum[i], 1.0, 0.0, quartic[i], 0.5, 0.3)
        torch.testing.assert_close(softer[i], rolled(alone, 40).position)
        one = Oscillator(CURVATURE[i], step[i], momentum[i], drive=0.5, drive_frequency=0.3)
        for function in (theory, rolled):
            torch.testing.assert_close(function(batch, 40).position[i], function(one, 40).position)
        for number in (frequency, rate, response, largest_step):
            torch.testing.assert_close(number(batch)[i], number(one))


def measured_factor(model, steps=900):
    size = rolled(model, steps).position.abs()
    early, later = size[..., steps // 3 :, :].chunk(2, -2)
    return (later.amax(-2) / early.amax(-2)) ** (3 / steps)


def test_slowest_mode_of_every_pair_of_step_and_momentum():
    curvature = torch.tensor([1.0, 100.0], dtype=torch.float64)
    h, b = torch.cartesian_prod(
        torch.linspace(0.15, 4.0, 9, dtype=torch.float64) / 100,
        torch.linspace(0.05, 0.9, 7, dtype=torch.float64),
    ).T
    pairs = Oscillator(curvature.expand(len(h), 2), h, b)
    seen = rolled(pairs, 450).position.abs().amax(-1)
    factor = (seen[:, 300:].amax(-1) / seen[:, 150:300].amax(-1)) ** (1 / 150)
    torch.testing.assert_close(factor, rate(pairs).amax(-1), atol=0, rtol=0.01)
    assert (factor > 1).equal(h * 100 > 2 * (1 + b)) and 5 < int((factor > 1).sum()) < 30


def shaken(nu, mu, hc=0.2, b=0.95, **more):
    nu, mu = torch.broadcast_tensors(*(torch.as_tensor(a, dtype=torch.float64) for a in (nu, mu)))
    curvature = torch.full((*nu.shape, 1), hc / 0.5, dtype=torch.float64)
    return Oscillator(curvature, 0.5, b, modulation=mu, modulation_frequency=nu, **more)


def test_a_swinging_step_multiplies_the_whole_gradient():
    model = shaken(0.7, 0.6, drive=0.4, drive_frequency=0.3, quartic=0.1, start=1.5)
    x, v = 1.5, 0.0
    for k in range(30):
        step = 0.5 * (1 + 0.6 * math.cos(0.7 * k))
        v = 0.95 * v - step * (0.4 * x + 0.1 * x**3 - 0.4 * math.cos(0.3 * k))
        x += v
    assert float(rolled(model, 30).position[-1, 0]) == pytest.approx(x, rel=1e-12)


def test_floquet_without_modulation_is_the_rate():
    model = Oscillator(CURVATURE, step=0.7, momentum=torch.tensor([0.3, 0.9], dtype=torch.float64))
    for period in (1, 2, 50):
        torch.testing.assert_close(floquet(model, period), rate(model))


def test_floquet_is_the_largest_eigenvalue_of_a_whole_cycle():
    nu = 2 * math.pi * 2 / 7
    cycle = torch.eye(2, dtype=torch.float64)
    for k in range(7):
        pull = 1.95 - 0.2 * (1 + 0.7 * math.cos(nu * k))
        cycle = torch.tensor([[pull, -0.95], [1.0, 0.0]], dtype=torch.float64) @ cycle
    expected = float(torch.linalg.eigvals(cycle).abs().max()) ** (1 / 7)
    for period in (7, 14, 70):
        assert float(floquet(shaken(nu, 0.7), period)) == pytest.approx(expected, rel=1e-10)
    edges = Oscillator(
        torch.tensor([0.4, 0.0], dtype=torch.float64), 1.0, 0.0, modulation=0.5,
        modulation_frequency=math.pi,
    )  # fmt: skip
    assert floquet(edges, 2).tolist() == pytest.approx([math.sqrt(0.4 * 0.8), 1.0])


def test_shaken_runs_grow_and_die_as_floquet_says():
    nu = torch.arange(26, 100, 6, dtype=torch.float64)[:, None] * 2 * math.pi / 480
    model = shaken(nu, torch.linspace(0.05, 0.95, 7, dtype=torch.float64))
    exact, seen = floquet(model, 480)[..., 0], measured_factor(model)[..., 0]
    grown = exact > 1
    assert (seen > 1).equal(grown) and 10 < int(grown.sum()) < 40
    torch.testing.assert_close(seen[grown], exact[grown], atol=0.003, rtol=0)
    torch.testing.assert_close(seen[~grown], exact[~grown], atol=0.01, rtol=0)


def test_threshold_is_twice_the_inverse_resonance_curve_at_half_the_frequency():
    nu = torch.linspace(0.3, 3.0, 12, dtype=torch.float64)
    forced = Oscillator(
        torch.full((12, 1), 0.4, dtype=torch.float64), 0.5, 0.95, drive=0.3, drive_frequency=nu / 2
    )
    expected = 2 * 0.3 / (0.4 * response(forced).abs())
    torch.testing.assert_close(threshold(shaken(nu, 0.7)), expected)


@pytest.mark.parametrize("friction", [0.02, 0.005])
def test_threshold_has_the_tip_of_the_mathieu_tongue_at_small_steps(friction):
    h, c = 1e-6, 4.0
    b = 1 - 2 * friction * math.sqrt(h)
    model = Oscillator(column(c), h, b, modulation_frequency=2 * math.sqrt(h * c))
    assert float(threshold(model)) == pytest.approx(4 * friction / math.sqrt(c), rel=1e-2)


def test_threshold_errs_by_a_fraction_that_falls_with_the_modulation():
    n, misses = 40, []
    for b in (0.98, 0.99):
        ends = (1e-3, 1.0)  # bisect the tip of the exact tongue
        hc = 2 * (1 - math.cos(math.pi / n)) + 0.0
        for _ in range(40):
            middle = sum(ends) / 2
            grows = float(floquet(shaken(2 * math.pi / n, middle, hc, b), n)) > 1
            ends = (ends[0], middle) if grows else (middle, ends[1])
        tip = float(threshold(shaken(2 * math.pi / n, 0.0, hc, b)))
        misses.append(abs(ends[1] / tip - 1))
    assert misses[1] < 0.6 * misses[0] < 0.05


def test_gradient_descent_whose_steps_stay_below_the_edge_cannot_be_shaken_loose():
    nu = torch.arange(1, 25, dtype=torch.float64)[:, None] * 2 * math.pi / 48
    mu = torch.linspace(0.0, 1.0, 6, dtype=torch.float64)
    assert float(floquet(shaken(nu, mu, hc=0.99, b=0.0), 48).max()) < 1
    assert float(floquet(shaken(nu, mu, hc=0.99, b=0.9), 48).max()) > 1.1


def test_lindstedt_is_right_to_first_order_and_misses_by_the_known_square():
    strength = torch.tensor([0.02, 0.04, 0.08, 0.16], dtype=torch.float64)  # q A^2 / c
    h, c, A = 1e-3, 1.0, 2.0
    start = A * math.cos(math.asin(math.sqrt(h * c) / 2))
    model = Oscillator(
        torch.full((4, 1), c, dtype=torch.float64), h, 1.0, start, quartic=strength * c / A**2
    )
    measured = winding(rolled(model, 8000))[:, 0]
    bare = frequency(Oscillator(model.curvature, h, 1.0))[:, 0]
    shift = (measured / bare - 1) / strength
    assert float(shift[0]) == pytest.approx(3 / 8, rel=0.01)
    miss = (measured - frequency(model)[:, 0]) / bare
    slope = torch.log2(miss[1:] / miss[:-1])
    assert slope.tolist() == pytest.approx([2.0] * 3, abs=0.1)
    # the next term, then the one after it extrapolated away
    second = miss / strength**2
    assert float(2 * second[0] - second[1]) == pytest.approx(-21 / 256, rel=0.01)


def test_winding_measures_the_linear_frequency_at_any_step():
    model = Oscillator(column(0.01, 0.7, 2.0, 3.5), step=1.0, momentum=1.0)
    torch.testing.assert_close(winding(rolled(model, 4000)), frequency(model), atol=1e-9, rtol=0)


def test_a_quartic_term_shifts_the_frequency_of_its_own_member():
    q = torch.tensor([0.0, 1e-3], dtype=torch.float64)
    batch = Oscillator(torch.ones(2, 1, dtype=torch.float64), 0.9, 1.0, quartic=q)
    alone = Oscillator(column(1.0), 0.9, 1.0, quartic=1e-3)
    assert frequency(batch)[:, 0].tolist() == [
        float(frequency(replace(alone, quartic=0.0))), float(frequency(alone)),
    ]  # fmt: skip


def test_lindstedt_holds_at_large_steps_too():
    q = torch.tensor([1e-3, 2e-3], dtype=torch.float64)
    model = Oscillator(torch.ones(2, 1, dtype=torch.float64), 0.9, 1.0, quartic=q)
    miss = (winding(rolled(model, 4000)) - frequency(model)).abs()[:, 0]
    assert float(torch.log2(miss[1] / miss[0])) == pytest.approx(2.0, abs=0.1)


def test_softening_bowl_past_the_edge_is_caught_in_a_two_step_orbit():
    momentum = torch.tensor([0.0, 0.5], dtype=torch.float64)
    model = Oscillator(
        torch.ones(2, 1, dtype=torch.float64), step=2.2 * (1 + momentum) / 1.0,
        momentum=momentum, start=0.1, quartic=-0.5,
    )  # fmt: skip
    seen = rolled(model, 2000).position
    torch.testing.assert_close(seen[:, -1].abs(), orbit(model))
    torch.testing.assert_close(seen[:, -1], -seen[:, -2])


def test_stiffening_bowl_below_the_edge_loses_balls_from_outside_the_orbit():
    model = Oscillator(column(1.0, 1.0), step=1.5, quartic=0.5)
    a = orbit(model)
    inside = rolled(Oscillator(model.curvature, 1.5, start=0.999 * a, quartic=0.5), 60)
    assert float(inside.position[:, -1].abs().max()) < 1e-6
    with pytest.raises(ValueError, match="position must be finite"):
        rolled(Oscillator(model.curvature, 1.5, start=1.001 * a, quartic=0.5), 60)


def test_digits_regression_is_a_set_of_oscillators():
    data = load_digits()
    X = torch.tensor(data.data / 16)
    X = X - X.mean(0)
    y = torch.tensor(data.target % 2 * 2.0 - 1)[:, None]
    C, z = X.T @ X / len(X), X.T @ y / len(X)
    c, V = torch.linalg.eigh(C)
    c = c.clamp(min=0)
    goal = torch.where(c > 1e-10, (V.T @ z)[:, 0] / c, 0.0)
    model = Oscillator(c, step=1.0 / float(c.max()), momentum=0.9, start=-goal)
    steps = 200
    seen = train(
        [torch.zeros(1, 1, 64, dtype=torch.float64)],
        Samples(X, y),
        rule=HeavyBall(float(model.step), 0.9),
        record=torch.arange(steps + 1),
        observe={"weights": lambda state: (state.weights[0] @ V)[..., 0, :]},
    ).observed["weights"][0]
    predicted = goal + theory(model, steps).position
    assert float((seen - predicted).abs().max()) < 1e-10


def test_no_steps_leave_the_start_alone():
    for function in (theory, rolled, flow):
        assert function(Oscillator(CURVATURE, 0.1, start=2.0), 0).position.eq(2).all()


def test_dtype_and_device_follow_the_curvature(device):
    curvature = CURVATURE.to(device, torch.float32)
    model = Oscillator(curvature, 0.1, 0.5, noise=0.1, drive=1.0, drive_frequency=0.2)
    for motion in (theory(model, 5), rolled(model, 5)):
        assert motion.position.dtype == motion.step.dtype == torch.float32
        assert motion.position.device == motion.step.device == curvature.device
        assert motion.position.shape == (2, 6, 3) and motion.step.tolist() == [0, 1, 2, 3, 4, 5]
    assert variance(model, 5).dtype == torch.float32


@pytest.mark.parametrize(
    "change, match",
    [
        ({"curvature": -CURVATURE}, "curvature must be non-negative"),
        ({"curvature": CURVATURE * math.nan}, "curvature must not hold NaN"),
        ({"curvature": CURVATURE * math.inf}, "curvature must"),
        ({"curvature": CURVATURE[:, :0]}, "curvature must not be empty"),
        ({"step": 0.0}, "step must be positive"),
        ({"step": math.inf}, "step must be finite"),
        ({"momentum": 1.1}, "momentum must be between 0 and 1"),
        ({"momentum": -0.1}, "momentum must be between 0 and 1"),
        ({"noise": -1.0}, "noise must be non-negative"),
        ({"quartic": math.nan}, "quartic must be a number, got NaN"),
        ({"quartic": math.inf}, "quartic must be finite"),
        ({"start": 0.0}, "start must not be zero"),
        ({"modulation": -0.1}, "modulation must be between 0 and 1"),
        ({"modulation": 1.1}, "modulation must be between 0 and 1, got 1.1: .*uphill"),
        ({"modulation_frequency": math.inf}, "modulation_frequency must be finite"),
        ({"momentum": torch.ones(5, dtype=torch.float64)}, "momentum must be a number or have"),
        ({"step": "fast"}, "step must be a number or a tensor, got 'fast'"),
    ],
)
def test_impossible_models_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        Oscillator(**{"curvature": CURVATURE, "step": 0.1, **change})


def test_impossible_questions_are_refused():
    model = Oscillator(CURVATURE[:, :2], 0.1, 0.9)
    quartic = Oscillator(CURVATURE[:, :2], 0.1, 0.9, quartic=0.1)
    undamped = Oscillator(CURVATURE[:, :2], 0.1, 1.0, noise=1.0)
    for steps in (2.5, -1, True):
        for function in (theory, rolled, flow, impulse, variance):
            with pytest.raises(ValueError, match="steps must be a .*whole number, got"):
                function(model, steps)
    for members in (0, -1):
        with pytest.raises(ValueError, match="members must be"):
            experiment(model, 3, seed=0, members=members)
    for function in (
        lambda m: theory(m, 3),
        lambda m: flow(m, 3),
        lambda m: variance(m, 3),
        stationary,
    ):
        with pytest.raises(ValueError, match="quartic must be 0"):
            function(quartic)
    with pytest.raises(ValueError, match="momentum must be 1 with a quartic"):
        frequency(quartic)
    with pytest.raises(ValueError, match="curvature must be between 0 and 4 / step"):
        frequency(Oscillator(CURVATURE[:, 2:], 0.1, 1.0, quartic=0.1))
    with pytest.raises(ValueError, match="momentum must be below 1"):
        stationary(undamped)
    with pytest.raises(ValueError, match="curvature must be positive"):
        stationary(Oscillator(CURVATURE, 0.1, 0.9))
    with pytest.raises(ValueError, match="step must be below"):
        stationary(Oscillator(CURVATURE[:, :2], 1.0, 0.0))
    with pytest.raises(ValueError, match="quartic must be non-zero"):
        orbit(model)
    swinging = replace(model, modulation=0.5, modulation_frequency=0.1)
    for function in (
        lambda m: theory(m, 3), lambda m: flow(m, 3), lambda m: impulse(m, 3), rate, frequency,
        response, resonance, lambda m: variance(m, 3), stationary, largest_step, orbit,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="modulation must be 0 here"):
            function(swinging)
    for function in (lambda m: floquet(m, 3), threshold):
        with pytest.raises(ValueError, match="quartic must be 0"):
            function(quartic)
    for period in (7, 0):
        with pytest.raises(ValueError, match="modulation_frequency must be a multiple of 2 pi"):
            floquet(swinging, period)
    with pytest.raises(ValueError, match="period must be a .*whole number, got 2.5"):
        floquet(swinging, 2.5)
    with pytest.raises(ValueError, match="curvature must be positive"):
        threshold(Oscillator(CURVATURE, 0.1, 0.9))
    with pytest.raises(ValueError, match="curvature must be positive"):
        optimal(CURVATURE)
    with pytest.raises(ValueError, match="at least 8 steps, got 7"):
        winding(rolled(model, 7))
    assert winding(rolled(model, 8)).shape == (2, 2)
    with pytest.raises(ValueError, match="drive must be 0"):
        flow(Oscillator(CURVATURE, 0.1, drive=(CURVATURE == 4.0).to(torch.float64)), 3)
    with pytest.raises(ValueError, match="position must be finite"):
        Motion(torch.arange(2.0), torch.tensor([[1.0], [math.inf]]))


def test_a_mode_that_flips_without_swinging_has_no_frequency():
    assert (
        frequency(Oscillator(torch.tensor([1.9, 0.1], dtype=torch.float64), step=1.0)).eq(0).all()
    )


def test_whole_numbers_lists_and_float32_are_welcome():
    exact = theory(Oscillator(torch.tensor([1.0, 2.0], dtype=torch.float64), 0.1), 3).position
    for curvature in ([1, 2], (1.0, 2.0), torch.tensor([1, 2])):
        torch.testing.assert_close(theory(Oscillator(curvature, 0.1), 3).position, exact)
    mixed = Oscillator([1.0, 2.0], torch.tensor(0.1, dtype=torch.float64), momentum=[0.0, 0])
    torch.testing.assert_close(theory(mixed, 3).position, exact)
