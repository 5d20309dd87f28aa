"""Claims of chapters/spring_block.md, one test per claim."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize

from toymodels.numerics.draws import Stream
from toymodels.spring_block import SpringBlock, experiment, resting, stationary, theory

FRICTION = torch.tensor([0.0, 0.05, 0.1, 0.3, 1.5], dtype=torch.float64)
RIGHT = torch.tensor([0.1, 0.02, 0.1], dtype=torch.float64)
LEFT = torch.tensor([0.05, 0.06, 0.1], dtype=torch.float64)
SIGMAS = 4  # of a mean over chains: one in sixteen thousand if the theory is right


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


def gap(chains, expected):
    """Distance of the mean over the axis of chains (-2) from ``expected``, in standard errors."""
    bar = chains.std(-2) / chains.shape[-2] ** 0.5
    return ((chains.mean(-2) - expected).abs() / bar).max()


# ---- rest ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "y"), [(1.0, 1.0), (2.0, 0.5)])
def test_a_chain_without_noise_comes_to_rest_where_it_should(k, y):
    model = SpringBlock(5, k, y, FRICTION)
    seen = experiment(model, times(100.0), seed=0, members=1, step=0.2)
    late = theory(model, times(100.0))
    torch.testing.assert_close(seen.position[:, 0, 0], resting(model), atol=1e-8, rtol=0)
    torch.testing.assert_close(late.position[:, 0], resting(model), atol=1e-8, rtol=0)


def test_the_resting_chain_minimizes_its_energy():
    """Springs and the work against friction, over chains in which no block was pushed left."""
    k, y, mu = 2.0, 1.5, 0.4

    def energy(x):
        ends = torch.cat([torch.zeros(1), torch.from_numpy(x), torch.full((1,), y)])
        return float(k / 2 * ends.diff().square().sum() + mu * x.sum())

    found = minimize(energy, [0.5] * 6, bounds=[(0, None)] * 6, tol=1e-14)
    expected = resting(SpringBlock(6, k, y, mu))
    assert found.x.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert (expected == 0).any()


def test_resting_and_stationary_chains_worked_out_by_hand():
    light = resting(SpringBlock(7, friction_right=0.02))
    assert light[[0, 6]].tolist() == pytest.approx([0.055, 0.805])
    heavy = resting(SpringBlock(7, friction_right=0.05))
    assert heavy[[0, 1]].tolist() == [0, 0]
    assert heavy[[2, 6]].tolist() == pytest.approx([1 / 24, 17 / 24])
    five = stationary(SpringBlock(5, 2.0, 3.0, 0.1, 0.4))
    assert five.tolist() == pytest.approx([0.6875, 1.3, 1.8375, 2.3, 2.6875])


def test_a_block_at_the_edge_of_moving_rests_at_zero():
    for blocks in (1, 3, 7):
        edge = 2 / (blocks * (blocks + 1))
        below, above = (resting(SpringBlock(blocks, 1, 1, edge * f)) for f in (1 - 1e-9, 1 + 1e-9))
        torch.testing.assert_close(below, above, atol=1e-8, rtol=0)
        assert below[0] > 0 and above[0] == 0


# ---- the same parabola for every noise -----------------------------------------------------------


def test_the_stationary_chain_feels_half_the_difference_of_the_frictions():
    model = SpringBlock(6, 0.7, 2.0, RIGHT, LEFT)
    x = stationary(model)
    ends = torch.cat([0 * x[:, :1], x, 0 * x[:, :1] + 2.0], -1)
    force = 0.7 * ends.diff(n=2)
    torch.testing.assert_close(force, ((RIGHT - LEFT) / 2)[:, None].expand(3, 6))


@pytest.mark.parametrize(
    ("order", "shared", "k"), [(1, False, 1.0), (1, True, 2.0), (2, False, 1.0), (2, True, 0.8)]
)
def test_shaken_chains_forget_their_friction_but_not_its_asymmetry(order, shared, k):
    noise = times(0.2, 1.0)[:, None]
    model = SpringBlock(5, k, 1.0, RIGHT, LEFT, noise, mass=0.5, shared=shared)
    time = torch.linspace(100, 200, 26, dtype=torch.float64)
    seen = experiment(model, time, seed=1, members=80, step=0.1, order=order)
    assert gap(seen.position.mean(-2), stationary(model)) < SIGMAS


def test_the_mean_field_ends_in_the_parabola_for_both_orders():
    model = SpringBlock(3, 1.0, 1.0, RIGHT, LEFT, noise=0.5)
    for order in (1, 2):
        seen = theory(model, times(90.0), order=order, step=0.2)
        torch.testing.assert_close(seen.position[:, 0], stationary(model), atol=1e-6, rtol=0)


# ---- on the way ----------------------------------------------------------------------------------


def one_block_speed(model, order=1, step=None):
    """d x / d t at the start, where the force on the only block is k y."""
    seen = theory(model, times(0.0, 1e-6), order=order, step=step)
    return (seen.position[1, 0] / 1e-6).item()


@pytest.mark.parametrize(("pull", "s"), [(0.05, 0.1), (0.3, 0.2), (0.01, 0.5)])
def test_the_speed_is_the_average_of_what_friction_leaves(pull, s):
    def left_over(zeta):
        force = 1.5 * pull + s * zeta
        friction = max(-0.2, min(0.1, force))
        return (force - friction) * math.exp(-(zeta**2) / 2) / math.sqrt(2 * math.pi)

    cuts = [(0.1 - 1.5 * pull) / s, (-0.2 - 1.5 * pull) / s]
    expected = quad(left_over, -12, 12, points=cuts, epsabs=1e-13)[0]
    found = one_block_speed(SpringBlock(1, 1.5, pull, 0.1, 0.2, s))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("pull", "s", "m"), [(0.3, 1.0, 1.0), (0.1, 3.0, 0.5), (0.02, 2.0, 4.0)])
def test_the_speed_with_inertia_is_the_mean_of_its_density(pull, s, m):
    heat = s**2 * 0.04 / (2 * m)

    def density(v):
        return math.exp((1.5 * pull * v - v**2 / 2 - max(0.1 * v, -0.2 * v)) / heat)

    total, mean = (
        quad(f, -9, 9, points=[0], epsabs=1e-13)[0] for f in (density, lambda v: v * density(v))
    )
    model = SpringBlock(1, 1.5, pull, 0.1, 0.2, s, mass=m)
    assert one_block_speed(model, order=2, step=0.04) == pytest.approx(mean / total, rel=1e-4)


def test_the_speed_with_inertia_survives_forces_that_no_noise_overcomes():
    slow = SpringBlock(3, friction_right=times(0.1, 0.9, 0.1), friction_left=0.4, noise=1e-6)
    for order in (1, 2):
        seen = theory(slow, times(30.0), order=order, step=0.1)
        torch.testing.assert_close(seen.position[:, 0], resting(slow), atol=1e-4, rtol=0)


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_simulated_curvature_follows_the_mean_field(ratio):
    s = times(0.02, 0.05, 0.2)
    model = SpringBlock(7, friction_right=0.1, friction_left=0.1 * ratio, noise=s)
    at = times(5.0, 50.0)
    seen = experiment(model, at, seed=2, members=60, step=0.02).curvature
    bar = seen.std(1) / 60**0.5
    first_order = 0.03 * 0.06  # step times curvature, with a margin
    assert ((seen.mean(1) - theory(model, at).curvature).abs() < SIGMAS * bar + first_order).all()
    assert (theory(model, at).curvature.diff(dim=0).abs() > 2 * first_order).any()


def test_the_gap_to_the_mean_field_shrinks_with_the_duration_of_a_kick():
    model = SpringBlock(7, friction_right=0.1, friction_left=0.1, noise=0.05)
    expected = theory(model, times(30.0)).curvature

    def miss(step):
        seen = experiment(model, times(30.0), seed=3, members=200, step=step)
        return (seen.curvature.mean() - expected).item()

    assert miss(0.3) > 3 * miss(0.03) > 0


def test_inertia_follows_its_mean_field_in_the_limit_of_short_kicks():
    at = times(60.0, 120.0)

    def curvature(step):
        model = SpringBlock(5, 0.1, 1.0, 0.003, 0.004, 0.003 / step**0.5)
        seen = experiment(model, at, seed=4, members=150, step=step, order=2)
        return seen.curvature, theory(model, at, order=2, step=step).curvature

    (coarse, expected), (fine, same) = curvature(0.4), curvature(0.2)
    torch.testing.assert_close(expected, same)  # white noise of one strength
    limit = 2 * fine - coarse
    assert ((limit.mean(0) - expected).abs() < SIGMAS * limit.std(0) / 150**0.5 + 2e-4).all()


def test_light_blocks_have_no_inertia():
    model = SpringBlock(4, friction_right=0.1, friction_left=0.2, noise=0.3, mass=1e-12)
    one, two = (
        experiment(model, times(3.0), seed=5, members=3, step=0.1, order=order) for order in (1, 2)
    )
    torch.testing.assert_close(one.position, two.position)


def test_heavy_blocks_swing_as_masses_on_springs_do():
    """Without friction one block of mass m is a damped oscillator, m x'' + x' + 2 k x = k y."""
    m, k = 2.0, 1.3
    model = SpringBlock(1, k, 1.0, mass=m)
    at = times(1.0, 2.5, 6.0)
    seen = experiment(model, at, seed=0, members=1, step=1e-3, order=2).position[0, :, 0]
    rate, omega = 1 / (2 * m), math.sqrt(2 * k / m - 1 / (4 * m**2))
    wave = torch.cos(omega * at) + rate / omega * torch.sin(omega * at)
    torch.testing.assert_close(seen, 0.5 - 0.5 * torch.exp(-rate * at) * wave, atol=2e-3, rtol=0)


def test_fading_noise_freezes_the_chain():
    s, rate = 0.3, times(0.05, 0.2)
    model = SpringBlock(7, friction_right=0.1, friction_left=0.15, noise=s, decay=rate)
    at = times(10.0, 120.0, 240.0)
    frozen = theory(model, at).curvature
    seen = experiment(model, at, seed=6, members=80, step=0.05).curvature
    assert ((seen.mean(1) - frozen).abs() < SIGMAS * seen.std(1) / 80**0.5 + 2e-3).all()
    torch.testing.assert_close(frozen[:, 1], frozen[:, 2], atol=1e-4, rtol=0)
    assert frozen[0, 2] - frozen[1, 2] > 0.02


# ---- draws, shapes, records ----------------------------------------------------------------------


def test_the_record_knows_its_loads_and_its_curvature():
    model = SpringBlock(3, 1.0, 2.0, friction_right=0.3)
    seen = theory(model, times(0.0, 1.0))
    x = seen.position[1]
    torch.testing.assert_close(seen.separation[1], 2 - torch.cat([times(0), x, times(2)]))
    torch.testing.assert_close(seen.load[1], torch.cat([times(0), x, times(2)]).diff())
    torch.testing.assert_close(seen.curvature, seen.separation.diff(n=2).mean(-1))
    assert seen.position[0].tolist() == [0, 0, 0] and seen.separation[0].tolist() == [2, 2, 2, 2, 0]


def test_a_batch_of_chains_is_its_members():
    noise = times(0.1, 0.4)
    both = SpringBlock(4, friction_right=0.1, friction_left=0.2, noise=noise)
    at = times(0.0, 1.0, 4.0)
    seen = experiment(both, at, seed=7, members=3, step=0.1)
    assert seen.position.shape == (2, 3, 3, 4) and seen.separation.shape == (2, 3, 3, 6)
    assert (seen.position[..., 0, :] == 0).all() and (seen.position[..., 1, :] != 0).all()
    first = SpringBlock(4, friction_right=0.1, friction_left=0.2, noise=noise[0])
    alone = experiment(first, at, seed=7, members=3, step=0.1)
    torch.testing.assert_close(seen.position[0], alone.position)
    torch.testing.assert_close(theory(both, at).position[0], theory(first, at).position)
    other = experiment(first, at, seed=8, members=3, step=0.1)
    assert (other.position[:, -1] != alone.position[:, -1]).all()


def test_the_batched_solver_equals_a_loop_over_chains_and_blocks():
    model = SpringBlock(3, 1.5, 0.8, 0.1, 0.25, times(0.2, 0.6), decay=0.3)
    seen = experiment(model, times(0.0, 2.0), seed=4, members=2, step=0.05).position[..., -1, :]
    stream = Stream(4, members=4)
    kicks = torch.cat([stream.normal("force", n, (16, 3)) for n in range(3)], 1)
    for member in range(4):
        x = [0.0, 0.0, 0.0, 0.0, 0.8]
        for n in range(40):
            s = (0.2, 0.6)[member // 2] * math.exp(-0.3 * 0.05 * n)
            now = list(x)
            for block in (1, 2, 3):
                force = 1.5 * (now[block + 1] - 2 * now[block] + now[block - 1])
                force += s * kicks[member, n, block - 1].item()
                x[block] += 0.05 * (force - max(-0.25, min(0.1, force)))
        assert x[1:4] == pytest.approx(seen[member // 2, member % 2].tolist(), abs=1e-12)


def test_kicks_are_fresh_at_every_step_and_the_same_however_long_the_run():
    """Without springs to speak of and without friction a block sums its kicks."""
    model = SpringBlock(2, 1e-9, 1.0, noise=1.0)
    at = torch.arange(0, 60, dtype=torch.float64)
    seen = experiment(model, at, seed=9, members=400, step=1.0).position
    kicks = seen.diff(dim=-2)  # (chain, step, block)
    assert abs(kicks.mean()) < SIGMAS / kicks.numel() ** 0.5
    assert kicks.std() == pytest.approx(1.0, abs=SIGMAS / (2 * kicks.numel()) ** 0.5)
    lagged = (kicks[:, 1:] * kicks[:, :-1]).mean(), (kicks[..., 0] * kicks[..., 1]).mean()
    assert max(map(abs, lagged)) < 2 * SIGMAS / kicks.numel() ** 0.5
    short = experiment(model, at[:20], seed=9, members=400, step=1.0).position
    torch.testing.assert_close(short, seen[:, :20])


def test_shared_noise_moves_all_blocks_alike():
    model = SpringBlock(3, 1e-9, 1.0, noise=1.0, shared=True)
    seen = experiment(model, times(5.0), seed=9, members=4, step=1.0).position
    torch.testing.assert_close(seen, seen[..., :1].expand_as(seen), atol=1e-6, rtol=0)
    assert seen.std(0).min() > 0.1


def test_times_are_rounded_to_steps():
    seen = experiment(SpringBlock(2), times(0.0, 0.33, 0.98), seed=0, members=1, step=0.25)
    torch.testing.assert_close(seen.time, times(0.0, 0.25, 1.0))
    exact = experiment(SpringBlock(2), times(0.0, 0.25, 1.0), seed=0, members=1, step=0.25)
    torch.testing.assert_close(seen.position, exact.position)


def test_dtype_and_device_follow_the_tensors(device):
    noise = torch.tensor([0.1, 0.2], device=device)
    model = SpringBlock(3, 1, 2.0, 0.1, 0.1, noise)
    at = torch.tensor([0.0, 1.0], device=device)
    for seen in (theory(model, at), experiment(model, at, seed=0, members=2, step=0.1)):
        assert seen.position.dtype == torch.float32 and seen.position.device == noise.device
    assert resting(model).dtype == stationary(model).dtype == torch.float32
    assert resting(SpringBlock(3)).dtype == torch.float64


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"blocks": -1}, "blocks must be at least 1"),
        ({"stiffness": 0.0}, "stiffness must be positive"),
        ({"pull": -1.0}, "pull must be positive"),
        ({"mass": 0.0}, "mass must be positive"),
        ({"friction_right": -0.1}, "friction_right must be non-negative"),
        ({"friction_left": float("nan")}, "friction_left must be a number, got NaN"),
        ({"noise": float("inf")}, "noise must be non-negative, got inf"),
        ({"decay": times(0.1, -0.1)}, "decay must be non-negative, got -0.1"),
        ({"noise": times(1, 2), "pull": times(1, 2, 3)}, "must broadcast to one batch"),
    ],
)
def test_impossible_chains_are_refused(change, what):
    with pytest.raises(ValueError, match=what):
        SpringBlock(**{"blocks": 3, **change})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"step": 0.0}, "step must be positive and finite"),
        ({"step": math.inf}, "step must be positive and finite"),
        ({"step": 0.51}, "it would ring"),
        ({"order": 3}, "order must be 1"),
        ({"members": -1}, "members must be at least 1"),
        ({"time": times(0.0, 0.01)}, "time must have at most one entry per step"),
        ({"time": times(1.0, 0.0)}, "sorted and non-negative"),
    ],
)
def test_impossible_experiments_are_refused(change, what):
    request = {"time": times(1.0), "seed": 0, "members": 1, "step": 0.1, **change}
    with pytest.raises(ValueError, match=what):
        experiment(SpringBlock(3), **request)


def test_steps_up_to_the_edge_of_ringing_are_stable():
    """The stiffest pattern of a long chain alternates from block to block."""
    for order, edge in ((1, 0.5), (2, 1.0)):  # 2 k step^2 = step, or 2 m + step
        model = SpringBlock(20, noise=0.1, mass=0.5)
        seen = experiment(model, times(900.0), seed=0, members=1, step=0.999 * edge, order=order)
        assert seen.position.abs().max() < 3
        with pytest.raises(ValueError, match="it would ring"):
            experiment(model, times(9.0), seed=0, members=1, step=1.001 * edge, order=order)


def test_white_noise_needs_a_step():
    with pytest.raises(ValueError, match="step must be given for order 2"):
        theory(SpringBlock(3, noise=0.1), times(1.0), order=2)
    with pytest.raises(ValueError, match="order must be 1"):
        theory(SpringBlock(3), times(1.0), order=0)


# ---- what people type ----------------------------------------------------------------------------


def test_whole_numbers_and_lists_are_taken():
    """A chain that is pulled to 1 with the friction 0.1 rests at 0.1, 0.3, 0.6."""
    for pull in (torch.tensor(1), 1, [1], torch.tensor([1])):
        model = SpringBlock(3, pull=pull, friction_right=0.1)
        late = theory(model, [0, 50]).position[..., 1, :].reshape(3)
        torch.testing.assert_close(late, times(0.1, 0.3, 0.6), rtol=0, atol=1e-8)
        torch.testing.assert_close(resting(model).reshape(3), times(0.1, 0.3, 0.6))
    seen = experiment(model, [50], seed=0, members=1, step=0.1).position[..., 0, :].reshape(3)
    torch.testing.assert_close(seen, times(0.1, 0.3, 0.6), rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e30])
def test_chains_of_any_scale_are_the_same_chain(scale):
    forces = {"friction_right": 0.1, "friction_left": 0.1, "noise": 0.2}
    large = SpringBlock(3, pull=scale, **{name: scale * f for name, f in forces.items()})
    late = theory(large, times(100.0)).position[0] / scale
    torch.testing.assert_close(late, times(0.25, 0.5, 0.75), rtol=0, atol=1e-6)
    heavy = theory(large, times(100.0), order=2, step=0.1).position[0] / scale
    torch.testing.assert_close(heavy, times(0.25, 0.5, 0.75), rtol=0, atol=1e-6)


def test_one_block_without_friction_relaxes_exponentially():
    at = times(0.2, 0.7, 2.0)
    seen = theory(SpringBlock(1, stiffness=1.5, friction_right=0.0), at).position[:, 0]
    torch.testing.assert_close(seen, (1 - torch.exp(-3 * at)) / 2, rtol=0, atol=3e-9)


def test_theory_follows_a_chain_long_after_it_has_rested():
    """Explicit steps would need a million of them."""
    at = times(1e2, 1e5, 1e7)
    silent = theory(SpringBlock(7, friction_right=0.1), at)
    rest = resting(SpringBlock(7, friction_right=0.1))
    torch.testing.assert_close(silent.position, rest.expand(3, 7), rtol=0, atol=1e-6)
    shaken = SpringBlock(7, friction_right=0.1, friction_left=0.15, noise=0.05)
    torch.testing.assert_close(
        theory(shaken, at).position[-1], stationary(shaken), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_float32_gives_what_float64_gives(noise):
    friction = torch.tensor([0.1, 0.2])
    narrow = SpringBlock(3, friction_right=friction, noise=noise)
    wide = SpringBlock(3, friction_right=friction.double(), noise=noise)
    found = theory(narrow, torch.tensor([0.0, 50.0])).position
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found.double(), theory(wide, times(0, 50)).position, rtol=0, atol=1e-6
    )
