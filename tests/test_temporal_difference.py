"""Claims of chapters/temporal_difference.md, one test per claim."""

import math

import pytest
import torch

from toymodels.numerics import draws
from toymodels.numerics.spectra import power_law
from toymodels.temporal_difference import (
    RewardProcess,
    TemporalDifference,
    experiment,
    fading_memory,
    fixed_point,
    grid,
    place_cells,
    plateau,
    process_experiment,
    process_fixed_point,
    process_plateau,
    process_theory,
    ring,
    theory,
    true_value,
)

DOUBLE = torch.float64
LAM = power_law(10, 0.5)
RHO = torch.exp(-1 / torch.linspace(8, 1, 10, dtype=DOUBLE))
COV = fading_memory(LAM, RHO, 5)
FOUR = torch.tensor(
    [[0.2, 0.5, 0.3, 0.0], [0.0, 0.1, 0.6, 0.3], [0.5, 0.0, 0.0, 0.5], [0.3, 0.3, 0.2, 0.2]],
    dtype=DOUBLE,
)
STANDARD_ERRORS = 4.5


def modes(discount=0.9, step=0.02, batch_size=4, **options):
    return TemporalDifference(COV, LAM, discount, step, batch_size, **options)


def uneven():
    """Three modes whose variance and memory change along the episode."""
    root = draws.normal(5, "episodes", 3, (5, 5))
    return root @ root.mT / 5 + torch.eye(5, dtype=DOUBLE)


def score(loss, predicted):
    """Standard errors between the mean over members and a prediction, time by time."""
    error = loss.std(-2) / loss.shape[-2] ** 0.5
    return (loss.mean(-2) - predicted).abs() / error


def walk(right=0.8, cells=3, **options):
    """A small world whose features have means, correlations and a start of their own."""
    psi = draws.normal(2, "features", 1, (6, cells))[0] + 0.3
    setting = {"discount": 0.7, "step": 0.03, "batch_size": 2, "horizon": 4} | options
    paid = torch.tensor([1.0, 0.0, -0.5, 0.0, 2.0, 0.3], dtype=DOUBLE)
    return RewardProcess(ring(6, right), psi, paid, **setting)


# Gaussian features: limits and identities


def by_the_definition(model, steps, leading=False):
    """E d and E d d^T, entry by entry, from sums over pairs of times in loops."""
    C, T, K = model.covariance, model.covariance.shape[-1] - 1, len(model.reward)
    g, eta, B, s2 = model.discount, model.step, model.batch_size, model.reward_noise
    G = sum(C[:, t, t] for t in range(T))
    A = G - g * sum(C[:, t, t + 1] for t in range(T))
    b = G * model.reward / A
    a = model.reward - b
    m, M, loss = -b, torch.outer(b, b), [(G * b**2).sum()]
    for _ in range(steps):
        rr = torch.outer(a, a) - torch.outer(a, m) - torch.outer(m, a) + M
        rw = torch.outer(a, b) + torch.outer(a, m) - torch.outer(m, b) - M  # (a - d) (b + d)
        ww = torch.outer(b, b) + torch.outer(b, m) + torch.outer(m, b) + M
        V = torch.zeros(K, K, dtype=DOUBLE)
        for t in range(T):
            for s in range(T):
                Q = (C[:, t, s] * rr.diagonal()).sum() + s2 * (t == s)
                Q += g * ((C[:, t, s + 1] + C[:, t + 1, s]) * rw.diagonal()).sum()
                Q += g**2 * (C[:, t + 1, s + 1] * ww.diagonal()).sum()
                V += torch.diag(C[:, t, s]) * Q
                if not leading:
                    now, late = C[:, t, s], g * C[:, t, s + 1]
                    back, back_late = C[:, s, t], g * C[:, s, t + 1]
                    V += torch.outer(now, back) * rr + torch.outer(late, back_late) * ww
                    V += torch.outer(now, back_late) * rw + torch.outer(late, back) * rw.T
        keep = 1 - eta * A
        M = torch.outer(keep, keep) * M + eta**2 / B * V
        m = keep * m
        loss.append((G * M.diagonal()).sum())
    return torch.stack(loss), b + m


@pytest.mark.parametrize("leading", [False, True])
def test_the_recursion_of_modes_is_the_recursion_of_all_pairs(leading):
    paid = torch.tensor([1.0, -0.5, 0.3], dtype=DOUBLE)
    model = TemporalDifference(uneven(), paid, 0.6, 0.02, 3, reward_noise=0.4)
    loss, weight = by_the_definition(model, 40, leading)
    found = theory(model, 40, leading=leading)
    torch.testing.assert_close(found.loss, loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.weight, weight, rtol=1e-12, atol=0)
    assert found.step.tolist() == list(range(41))


def test_one_time_without_discount_is_stochastic_descent_on_features():
    sgd = pytest.importorskip("toymodels.sgd_features")
    once = TemporalDifference(fading_memory(LAM, RHO, 1), LAM, 0.0, 0.2, 3, reward_noise=0.3)
    found = theory(once, 80).loss
    labelled = sgd.FeatureSGD(LAM, LAM, 0.2, 3, noise=0.3)
    torch.testing.assert_close(found, sgd.theory(labelled, 80).loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(plateau(once), sgd.plateau(labelled), rtol=1e-9, atol=0)


def test_one_time_without_discount_obeys_its_recursion():
    once = TemporalDifference(fading_memory(LAM, RHO, 1), LAM, 0.0, 0.2, 3, reward_noise=0.3)
    c, loss = LAM**2, []
    for _ in range(81):
        loss.append((LAM * c).sum())
        c = (1 - 0.2 * LAM) ** 2 * c + 0.04 / 3 * (LAM * (loss[-1] + 0.3) + LAM**2 * c)
    torch.testing.assert_close(theory(once, 80).loss, torch.stack(loss), rtol=1e-12, atol=0)


def test_the_fixed_point_is_the_sum_of_all_that_memory_predicts():
    series = sum((0.9 * RHO) ** n for n in range(2000)) * LAM
    torch.testing.assert_close(fixed_point(modes()), series, rtol=1e-12, atol=0)
    one = TemporalDifference(fading_memory([1.0], [math.exp(-0.2)], 1), [1.0], 0.9, 0.05, 1)
    assert fixed_point(one).item() == pytest.approx(3.800225, abs=1e-6)
    assert plateau(one).item() == pytest.approx(0.383699, abs=1e-6)


def test_the_fixed_point_of_uneven_episodes():
    C = uneven()
    model = TemporalDifference(C, torch.ones(3), 0.6, 0.1, 1)
    G = C[:, range(4), range(4)].sum(-1)
    late = C[:, range(4), range(1, 5)].sum(-1)
    torch.testing.assert_close(fixed_point(model), G / (G - 0.6 * late))


@pytest.mark.parametrize("discount", [0.3, 0.9])
def test_the_plateau_is_where_the_iteration_ends(discount):
    model = modes(discount, 0.05, 2, reward_noise=0.1)
    end = theory(model, 5000).loss[-1]
    torch.testing.assert_close(plateau(model), end, rtol=1e-9, atol=0)


def test_a_label_without_noise_leaves_no_plateau():
    assert plateau(modes(0.0)) == 0
    loss = theory(modes(0.0, 0.05), 3000).loss
    assert loss[-1] < 1e-30 * loss[0]
    assert plateau(modes(0.0, reward_noise=0.2)) > 0


def test_the_plateau_for_small_steps():
    left = 1 - 0.9 * RHO
    news = (0.81 * LAM * (LAM / left) ** 2 * (1 - RHO**2)).sum() + 0.7
    expected = 1e-6 * 5 / (2 * 4) * news * (LAM / left).sum()
    found = plateau(modes(step=1e-6, reward_noise=0.7))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_half_the_step_and_twice_the_batch_halve_the_plateau():
    step, size = torch.tensor([2e-4, 1e-4, 1e-4]).double(), torch.tensor([4.0, 4.0, 8.0]).double()
    heights = plateau(modes(step=step, batch_size=size))
    ratios = (heights[:2] / heights[1:]).tolist()
    assert ratios == pytest.approx([2, 2], rel=2e-3)
    small = plateau(modes(torch.tensor([0.02, 0.01]).double()))
    assert (small[0] / small[1]).item() == pytest.approx(4, rel=0.04)


def test_a_certain_future_leaves_no_plateau():
    frozen = TemporalDifference(fading_memory(LAM, torch.ones(10), 5), LAM, 0.9, 0.05, 2)
    assert plateau(frozen) < 1e-20


def test_beyond_the_edge_the_mean_square_has_no_plateau():
    step = torch.tensor([0.01, 0.1, 0.3, 0.5], dtype=DOUBLE)
    heights, loss = plateau(modes(0.5, step, 1)), theory(modes(0.5, step, 1), 4000).loss
    assert heights.isfinite().tolist() == [True, True, False, False]
    assert loss[:2, -1].isfinite().all() and (loss[2:, -1] > 1e6).all()
    assert not theory(modes(0.5, 5.0, 1), 3000).loss.isnan().any()


def test_a_schedule_multiplies_the_step_update_by_update():
    model = modes()
    both = theory(model, 7, schedule=[1, 1, 1, 0.5, 0.5, 0.5, 0.5]).loss
    torch.testing.assert_close(both[:4], theory(model, 3).loss)
    assert (theory(model, 4, schedule=[0, 0, 0, 0]).loss.diff() == 0).all()
    half = theory(model, 5, schedule=0.5 * torch.ones(5)).loss
    torch.testing.assert_close(half, theory(modes(step=0.01), 5).loss)
    assert (both[4:] != theory(model, 7).loss[4:]).all()


def test_where_learning_begins():
    model = modes()
    at_rest = theory(model, 400, start=fixed_point(model)).loss
    assert at_rest[0] == 0 and (at_rest.diff() > 0).all()
    power = 5 * LAM
    begun = theory(model, 3, start=LAM).loss[0]
    torch.testing.assert_close(begun, (power * (LAM - fixed_point(model)) ** 2).sum())


def test_the_error_is_quadratic_in_the_reward():
    model, three = modes(), TemporalDifference(COV, 3 * LAM, 0.9, 0.02, 4)
    torch.testing.assert_close(theory(three, 50).loss, 9 * theory(model, 50).loss)
    torch.testing.assert_close(plateau(three), 9 * plateau(model))


# Gaussian features: against simulation


def test_ten_modes_follow_the_theory():
    discount = torch.tensor([0.3, 0.6, 0.9], dtype=DOUBLE)
    model = modes(discount, 0.04, 2, reward_noise=0.3)
    seen = experiment(model, 100, seed=0, members=700)
    when = torch.tensor([1, 2, 5, 10, 20, 40, 70, 100])
    found = score(seen.loss, theory(model, 100).loss)[:, when]
    assert (found < 3.8).all()
    error = seen.weight.std(-2) / 700**0.5
    assert (
        (seen.weight.mean(-2) - theory(model, 100).weight).abs() < STANDARD_ERRORS * error
    ).all()
    torch.testing.assert_close(seen.loss[..., 0], theory(model, 0).loss.expand(3, 700))


def test_the_leading_order_is_refused_by_ten_modes():
    model = modes(0.0, 0.05, 1)
    seen = experiment(model, 1, seed=0, members=20000).loss[:, 1:]
    assert score(seen, theory(model, 1).loss[1:]) < 4
    assert score(seen, theory(model, 1, leading=True).loss[1:]) > 12


def test_the_plateau_is_measured_to_two_per_cent():
    model = TemporalDifference(COV[5:, :4, :4], LAM[:5], 0.8, torch.tensor([0.06, 0.12]), 4)
    start = fixed_point(model)
    seen = experiment(model, 500, seed=1, members=800, start=start[0])
    late = seen.loss[..., 100:].mean(-1)
    error = late.std(-1) / 800**0.5
    rest = plateau(model)
    assert (error / rest < 0.007).all()
    assert ((late.mean(-1) - rest).abs() < 4 * error).all()
    assert ((late.mean(-1) / rest - 1).abs() < 0.02).all()


def test_uneven_episodes_follow_the_theory():
    model = TemporalDifference(uneven(), torch.tensor([1.0, -0.5, 0.3]), 0.7, 0.02, 2)
    seen = experiment(model, 60, seed=2, members=1500)
    assert (score(seen.loss, theory(model, 60).loss)[1:] < STANDARD_ERRORS).all()


def test_an_annealed_learner_follows_the_theory():
    schedule = 1 / (1 + torch.arange(80, dtype=DOUBLE) / 10)
    model = modes(0.9, 0.1, 4)
    seen = experiment(model, 80, seed=3, members=400, schedule=schedule)
    assert (score(seen.loss, theory(model, 80, schedule=schedule).loss)[1:] < STANDARD_ERRORS).all()


def test_a_potential_is_a_first_guess():
    model, u = modes(), 0.8 * fixed_point(modes())
    shaped = experiment(model, 30, seed=4, members=5, potential=u)
    begun = experiment(model, 30, seed=4, members=5, start=u)
    torch.testing.assert_close(shaped.weight + u, begun.weight)
    torch.testing.assert_close(shaped.loss, begun.loss)
    assert not torch.allclose(shaped.loss, experiment(model, 30, seed=4, members=5).loss)


def one_update(model, z, noise=0.0):
    """The rule, word by word, for one learner: z is (episode, mode, time)."""
    w = torch.zeros_like(model.reward)
    change = torch.zeros_like(w)
    for episode, extra in zip(z, noise, strict=True):
        value, vector = torch.linalg.eigh(model.covariance)
        root = vector @ torch.diag_embed(value.sqrt()) @ vector.mT
        psi = (root @ episode[..., None])[..., 0].T
        for t in range(len(psi) - 1):
            r = psi[t] @ model.reward + model.reward_noise**0.5 * extra[t]
            change += psi[t] * (r + model.discount * psi[t + 1] @ w - psi[t] @ w)
    return w + model.step / model.batch_size * change


def test_every_learner_sees_episodes_and_rewards_of_its_own():
    model = TemporalDifference(uneven(), torch.tensor([1.0, -0.5, 0.3]).double(), 0.7, 0.1, 2, 0.5)
    seen = experiment(model, 1, seed=9, members=3)
    stream = draws.Stream(9, 3)
    z, noise = stream.normal("features", 0, (2, 3, 5)), stream.normal("rewards", 0, (2, 4))
    expected = torch.stack([one_update(model, *both) for both in zip(z, noise, strict=True)])
    torch.testing.assert_close(seen.weight, expected)


# Worlds


def test_waves_on_a_circle_are_independent_modes():
    angle = 2 * torch.pi * torch.arange(12, dtype=DOUBLE) / 12
    wave = [f(k * angle) * 2**0.5 / k for k in (1, 2, 3) for f in (torch.cos, torch.sin)]
    psi, k = torch.stack(wave, -1), torch.tensor([1.0, 1, 2, 2, 3, 3], dtype=DOUBLE)
    paid = torch.tensor([1.0, 0.3, -0.5, 0.2, 0.4, 0.1], dtype=DOUBLE)
    world = RewardProcess(ring(12), psi, psi @ paid, 0.9, 0.05, 3, 5)
    cov = fading_memory(k**-2, torch.cos(torch.pi * k / 6), 5)
    model = TemporalDifference(cov, paid, 0.9, 0.05, 3)
    one, other = theory(model, 200), process_theory(world, 200, gaussian=True)
    torch.testing.assert_close(one.loss, other.loss, rtol=1e-9, atol=0)
    torch.testing.assert_close(one.weight, other.weight, rtol=1e-9, atol=0)
    torch.testing.assert_close(plateau(model), process_plateau(world, gaussian=True))


def enumerated(world):
    """The variance of one update at given weights, from all walks of the world."""
    P, psi, r, T = world.transition, world.features, world.reward, world.horizon
    walks = torch.cartesian_prod(*[torch.arange(len(P))] * (T + 1))
    first = torch.full((len(P),), 1 / len(P)) if world.start is None else world.start
    weight = first[walks[:, 0]]
    for t in range(T):
        weight = weight * P[walks[:, t], walks[:, t + 1]]
    chi = torch.cat([r[walks][..., None], psi[walks]], -1)  # (walk, time, entry)
    return weight, chi


@pytest.mark.parametrize("start", [None, [0.5, 0.3, 0.2, 0.0]])
def test_the_exact_closure_is_an_average_over_all_walks(start):
    psi = draws.normal(3, "features", 1, (4, 2))[0]
    r = torch.tensor([1.0, 0.0, -0.5, 2.0], dtype=DOUBLE)
    start = None if start is None else torch.tensor(start, dtype=DOUBLE)
    world = RewardProcess(FOUR, psi, r, 0.8, 0.1, 3, 3, start)
    weight, chi = enumerated(world)
    psi_t = chi[..., 1:]
    A = torch.einsum("n,nta,ntb->ab", weight, psi_t[:, :-1], psi_t[:, :-1] - 0.8 * psi_t[:, 1:])
    target = torch.linalg.solve(
        A, torch.einsum("n,nta,nt->a", weight, psi_t[:, :-1], chi[:, :-1, 0])
    )
    torch.testing.assert_close(process_fixed_point(world), target)
    G = torch.einsum("n,nta,ntb->ab", weight, psi_t[:, :-1], psi_t[:, :-1])
    # two updates: the first from w = 0, the second from what the first may have led to
    Delta = chi[:, :-1, 0]
    g = torch.einsum("nta,nt->na", psi_t[:, :-1], Delta)
    mean = weight @ g
    scatter = torch.einsum("n,na,nb->ab", weight, g, g) - torch.outer(mean, mean)
    m = 0.1 * mean - target
    M = torch.outer(m, m) + 0.01 / 3 * scatter
    found = process_theory(world, 2)
    expected = [(G * torch.outer(target, target)).sum(), (G * M).sum()]
    torch.testing.assert_close(found.loss[:2], torch.stack(expected))
    H = torch.einsum("nta,ntb->nab", psi_t[:, :-1], 0.8 * psi_t[:, 1:] - psi_t[:, :-1])
    g0 = torch.einsum("nta,nt->na", psi_t[:, :-1], Delta) + H @ target  # at the fixed point
    E = torch.eye(2, dtype=DOUBLE)
    gg = torch.einsum("n,na,nb->ab", weight, g0, g0)
    gg = gg + torch.einsum("n,na,nbc,c->ab", weight, g0, H, m)
    gg = gg + torch.einsum("n,nb,nac,c->ab", weight, g0, H, m)
    gg = gg + torch.einsum("n,nac,nbd,cd->ab", weight, H, H, M)
    V = gg - A @ M @ A.T
    M = (E - 0.1 * A) @ M @ (E - 0.1 * A).T + 0.01 / 3 * V
    torch.testing.assert_close(found.loss[2], (G * M).sum())


def test_the_gaussian_equivalent_has_the_moments_of_all_walks():
    world = walk(cells=2, horizon=2, start=torch.tensor([0.5, 0.2, 0.3, 0, 0, 0], dtype=DOUBLE))
    weight, chi = enumerated(world)
    flat = chi.flatten(1)
    mean = weight @ flat
    second = torch.einsum("n,na,nb->ab", weight, flat, flat)
    root = torch.linalg.cholesky(second - torch.outer(mean, mean) + 1e-12 * torch.eye(9))
    z = draws.normal(0, "walks", 1, (400000, 9))[0]
    sampled = (mean + z @ root.T).reshape(-1, 3, 3)
    target = process_fixed_point(world)
    g = torch.einsum("nta,nt->na", sampled[:, :-1, 1:], sampled[:, :-1, 0])
    m = 0.03 * g.mean(0) - target
    scatter = torch.cov(g.T)
    seen = weight @ (chi[:, :-1, 1:, None] * chi[:, :-1, None, 1:]).sum(1).flatten(1)
    G = seen.reshape(2, 2)
    expected = (G * (torch.outer(m, m) + 0.0009 / 2 * scatter)).sum()
    base = (G * torch.outer(m, m)).sum()
    found = process_theory(world, 1, gaussian=True).loss[1]
    assert ((found - base) / (expected - base)).item() == pytest.approx(1, abs=0.02)
    walked = process_theory(world, 1).loss[1]
    assert abs(((walked - base) / (expected - base)).item() - 1) > 0.1


@pytest.mark.parametrize("gaussian", [False, True])
def test_the_plateau_of_a_world_is_where_the_iteration_ends(gaussian):
    world = walk()
    end = process_theory(world, 6000, gaussian=gaussian).loss[-1]
    torch.testing.assert_close(process_plateau(world, gaussian=gaussian), end, rtol=1e-8, atol=0)


def test_learners_that_walk_follow_the_exact_closure():
    discount = torch.tensor([0.3, 0.8], dtype=DOUBLE)
    start = torch.tensor([0.5, 0.5, 0, 0, 0, 0], dtype=DOUBLE)
    world = walk(discount=discount, start=start)
    seen = process_experiment(world, 120, seed=1, members=1500)
    when = torch.tensor([1, 2, 5, 10, 20, 40, 80, 120])
    assert (score(seen.loss, process_theory(world, 120).loss)[:, when] < 4).all()
    error = seen.weight.std(-2) / 1500**0.5
    gap = (seen.weight.mean(-2) - process_theory(world, 120).weight).abs()
    assert (gap < STANDARD_ERRORS * error).all()


def test_an_annealed_walker_follows_the_exact_closure():
    schedule = 1 / (1 + torch.arange(60, dtype=DOUBLE) / 10)
    world = walk(step=0.08)
    seen = process_experiment(world, 60, seed=2, members=1500, schedule=schedule)
    predicted = process_theory(world, 60, schedule=schedule).loss
    assert (score(seen.loss, predicted)[[1, 5, 20, 60]] < 4).all()
    assert (score(seen.loss, process_theory(world, 60).loss)[[20, 60]] > 6).all()


def test_a_table_on_a_cycle_leaves_no_plateau():
    cycle = RewardProcess(ring(8, 1), torch.eye(8), torch.eye(8)[3], 0.9, 0.5, 1, 4)
    assert process_plateau(cycle) < 1e-25
    coin = RewardProcess(ring(8, 0.5), torch.eye(8), torch.eye(8)[3], 0.9, 0.5, 1, 4)
    assert process_plateau(coin) > 0.1


def test_a_table_rests_where_its_gaussian_equivalent_diverges():
    table = RewardProcess(ring(8, 0.8), torch.eye(8), torch.eye(8)[3], 0.9, 1.0, 2, 4)
    assert process_plateau(table, gaussian=True).isinf()
    seen = process_experiment(table, 400, seed=3, members=500).loss[:, 200:].mean(-1)
    assert (seen.mean() - process_plateau(table)).abs() < 4 * seen.std() / 500**0.5


def test_place_cells_on_a_circle_are_nearly_gaussian():
    place = torch.arange(20, dtype=DOUBLE)[:, None]
    cells = place_cells(place, place[::2], 2.0, period=20)
    paid = torch.exp(-((place[:, 0] - 10) ** 2) / 4.5)
    world = RewardProcess(ring(20), cells, paid, 0.9, 0.05, 4, 10)
    assert process_plateau(world).item() == pytest.approx(0.292851, abs=1e-5)
    assert process_plateau(world, gaussian=True).item() == pytest.approx(0.293286, abs=1e-5)


def test_a_table_finds_the_true_value():
    world = walk(cells=6)
    table = RewardProcess(world.transition, torch.eye(6), world.reward, 0.7, 0.1, 1, 4)
    torch.testing.assert_close(process_fixed_point(table), true_value(world))
    P, value = world.transition, torch.zeros(6, dtype=DOUBLE)
    for _ in range(300):
        value = world.reward + 0.7 * P @ value
    torch.testing.assert_close(true_value(world), value)


def test_every_walker_has_a_walk_of_its_own():
    start = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=DOUBLE)
    r = torch.tensor([1.0, 2.0, -0.5, 2.5], dtype=DOUBLE)
    world = RewardProcess(FOUR, torch.eye(4), r, 0.8, 0.1, 2, 3, start)
    seen = process_experiment(world, 2, seed=6, members=3)
    stream = draws.Stream(6, 3)
    expected = []
    for member in range(3):
        w = torch.zeros(4, dtype=DOUBLE)
        for n in range(2):
            change = torch.zeros(4, dtype=DOUBLE)
            for episode in range(2):
                u = stream.uniform("walks", n, (2, 4))[member, episode]
                at = [int((start.cumsum(0) <= u[0]).sum())]
                for x in u[1:]:
                    at.append(int((world.transition[at[-1]].cumsum(0) <= x).sum()))
                for i, j in zip(at[:-1], at[1:], strict=True):
                    change[i] += r[i] + 0.8 * w[j] - w[i]
            w = w + 0.1 / 2 * change
        expected.append(w)
    torch.testing.assert_close(seen.weight, torch.stack(expected))


# Memories, walks and cells


def test_memories_fade():
    cov = fading_memory([2.0, 1.0], [0.5, -1.0], 2)
    expected = [[[2, 1, 0.5], [1, 2, 1], [0.5, 1, 2]], [[1, -1, 1], [-1, 1, -1], [1, -1, 1]]]
    torch.testing.assert_close(cov, torch.tensor(expected, dtype=DOUBLE))


def test_a_ring_goes_round():
    P = ring(4, 0.7)
    torch.testing.assert_close(P[0], torch.tensor([0, 0.7, 0, 0.3], dtype=DOUBLE))
    torch.testing.assert_close(P[3], torch.tensor([0.7, 0, 0.3, 0], dtype=DOUBLE))
    torch.testing.assert_close(ring(5)[2], torch.tensor([0, 0.5, 0, 0.5, 0], dtype=DOUBLE))


def test_a_grid_has_walls_and_a_middle():
    P = grid(3, 0.2)
    corner = torch.tensor([0.4, 0.2, 0, 0.4, 0, 0, 0, 0, 0], dtype=DOUBLE)
    assert P[0, 0].item() == pytest.approx(0.4) and P.sum(-1).allclose(torch.ones(9).double())
    assert sorted(P[0].tolist()) == pytest.approx(sorted(corner.tolist()))
    assert P[0, 3].item() == pytest.approx(0.4)  # the longer way, here a tie: rows first
    assert P[1].tolist() == pytest.approx([0.2, 0.2, 0.2, 0, 0.4, 0, 0, 0, 0])
    assert P[5].tolist() == pytest.approx([0, 0, 0.2, 0, 0.4, 0.2, 0, 0, 0.2])
    assert P[4].tolist() == pytest.approx([0, 0.2, 0, 0.2, 0.2, 0.2, 0, 0.2, 0])
    assert grid(5, 1.0)[1, 6] == 1 and grid(5, 1.0)[10, 11] == 1 and grid(5, 1.0)[9, 8] == 1
    assert (grid(4) - grid(4).T).abs().max() == 0


def test_cells_like_to_be_near_their_center():
    cells = place_cells([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [3.0, 0.0]], 5.0)
    expected = [[1, math.exp(-9 / 50)], [math.exp(-0.5), math.exp(-16 / 50)]]
    torch.testing.assert_close(cells, torch.tensor(expected, dtype=DOUBLE))
    around = place_cells([[0.0], [9.0], [11.0]], [[1.0]], 2.0, period=10.0)
    expected = [math.exp(-1 / 8), math.exp(-4 / 8), 1]
    torch.testing.assert_close(around[:, 0], torch.tensor(expected, dtype=DOUBLE))


# Batches, precision, refusals


def test_a_batch_is_its_members():
    discount = torch.tensor([[0.3], [0.8]], dtype=DOUBLE)
    size, noise = torch.tensor([1.0, 3.0, 2.0]).double(), torch.tensor([0.0, 0.1, 0.2]).double()
    step = torch.tensor([[0.02], [0.03]], dtype=DOUBLE)
    paid = torch.stack([LAM, 0.5 * LAM, LAM.flip(0)])
    batch = TemporalDifference(COV, paid, discount, step, size, noise)
    predicted, seen = theory(batch, 9), experiment(batch, 9, seed=0, members=4)
    assert predicted.loss.shape == (2, 3, 10) and seen.loss.shape == (2, 3, 4, 10)
    assert predicted.weight.shape == (2, 3, 10) and seen.weight.shape == (2, 3, 4, 10)
    for i in range(2):
        for j in range(3):
            one = TemporalDifference(COV, paid[j], discount[i, 0], step[i, 0], size[j], noise[j])
            torch.testing.assert_close(predicted.loss[i, j], theory(one, 9).loss)
            torch.testing.assert_close(plateau(batch)[i, j], plateau(one))
    alone = TemporalDifference(COV, paid[1], 0.8, 0.03, 3, 0.1)
    torch.testing.assert_close(seen.loss[1, 1], experiment(alone, 9, seed=0, members=4).loss)


def test_a_batch_of_memories_is_its_members():
    rho = torch.stack([RHO, RHO**2])
    batch = TemporalDifference(fading_memory(LAM, rho, 3), LAM, 0.8, 0.03, 2)
    seen = experiment(batch, 5, seed=0, members=3)
    for n in range(2):
        one = TemporalDifference(fading_memory(LAM, rho[n], 3), LAM, 0.8, 0.03, 2)
        torch.testing.assert_close(theory(batch, 5).loss[n], theory(one, 5).loss)
        torch.testing.assert_close(seen.loss[n], experiment(one, 5, seed=0, members=3).loss)


def test_a_batch_of_worlds_is_its_members():
    P = torch.stack([ring(6, 0.5), ring(6, 0.9)])[:, None]
    psi = draws.normal(2, "features", 3, (6, 2))
    discount = torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE)
    r = torch.eye(6, dtype=DOUBLE)[0]
    batch = RewardProcess(P, psi, r, discount, 0.02, 2, 3)
    seen = process_experiment(batch, 4, seed=0, members=5)
    assert seen.loss.shape == (2, 3, 5, 5) and seen.weight.shape == (2, 3, 5, 2)
    for i in range(2):
        for j in range(3):
            one = RewardProcess(P[i, 0], psi[j], r, discount[j], 0.02, 2, 3)
            for gaussian in (False, True):
                both = (process_theory(x, 4, gaussian=gaussian).loss for x in (batch, one))
                torch.testing.assert_close(next(both)[i, j], next(both))
                both = (process_plateau(x, gaussian=gaussian) for x in (batch, one))
                torch.testing.assert_close(next(both)[i, j], next(both))
            alone = process_experiment(one, 4, seed=0, members=5)
            torch.testing.assert_close(seen.loss[i, j], alone.loss)
            torch.testing.assert_close(true_value(batch)[i, j], true_value(one))


def test_a_longer_run_begins_like_a_shorter_one():
    long, short = (experiment(modes(), n, seed=0, members=k).loss for n, k in ((6, 3), (4, 2)))
    torch.testing.assert_close(long[:2, :5], short)
    walks = (process_experiment(walk(), n, seed=0, members=k).loss for n, k in ((6, 3), (4, 2)))
    torch.testing.assert_close(next(walks)[:2, :5], next(walks))


def test_precision_follows_the_model():
    model = TemporalDifference(COV.float(), LAM.float(), 0.9, 0.02, 4)
    for curve in (theory(model, 5), experiment(model, 5, seed=0, members=3)):
        assert curve.loss.dtype == curve.weight.dtype == torch.float32
    torch.testing.assert_close(
        theory(model, 5).loss.double(), theory(modes(), 5).loss, rtol=1e-5, atol=0
    )
    assert plateau(model).dtype == fixed_point(model).dtype == torch.float32
    world = walk()
    single = RewardProcess(world.transition.float(), world.features.float(), world.reward.float(),
                           0.7, 0.03, 2, 4)  # fmt: skip
    assert process_theory(single, 3).loss.dtype == torch.float32
    assert process_experiment(single, 3, seed=0, members=2).weight.dtype == torch.float32
    assert process_plateau(single).dtype == true_value(single).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariance": COV[:, :1, :1]}, "covariance must be square with the times 0 to T"),
        ({"covariance": COV * torch.tensor([1.0, 2, 1, 1, 1, 1])}, "covariance must be symmetric"),
        ({"covariance": COV + 1e-4 * torch.ones(6, 6).triu(1)}, "covariance must be symmetric"),
        ({"covariance": COV - 0.5 * torch.eye(6)}, "covariance must have no negative eigenvalue"),
        ({"covariance": COV * math.inf}, "covariance must be finite"),
        ({"reward": LAM * math.inf}, "reward must be finite"),
        ({"reward": LAM[:9]}, "reward must have 10 entries along its axis 'mode'"),
        ({"discount": -0.1}, "discount must be between 0 and 1"),
        ({"discount": 1.1}, "discount must be between 0 and 1"),
        ({"step": 0.0}, "step must be positive"),
        ({"batch_size": 0.5}, "batch_size must be at least 1"),
        ({"reward_noise": -1.0}, "reward_noise must be finite and not negative"),
        ({"discount": torch.ones(2) / 2, "step": torch.ones(3)}, "leading axes must fit"),
    ],
)
def test_impossible_models_are_refused(change, message):
    good = {"covariance": COV, "reward": LAM, "discount": 0.9, "step": 0.02, "batch_size": 4}
    with pytest.raises(ValueError, match=message):
        TemporalDifference(**(good | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transition": ring(6) * 2}, "transition must be probabilities that add up to 1"),
        ({"transition": 2 * ring(6) - ring(6).roll(1, 1)}, "transition must be not negative"),
        ({"start": torch.ones(6)}, "start must be probabilities that add up to 1"),
        ({"features": torch.full((6, 2), math.inf)}, "features must be finite"),
        ({"reward": torch.full((6,), math.inf)}, "reward must be finite"),
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"step": -1.0}, "step must be positive"),
        ({"step": torch.ones(2), "discount": torch.ones(3)}, "leading axes must fit"),
    ],
)
def test_impossible_worlds_are_refused(change, message):
    good = {"transition": ring(6), "features": torch.eye(6, 2), "reward": torch.ones(6)}
    good |= {"discount": 0.9, "step": 0.1, "batch_size": 2, "horizon": 3}
    with pytest.raises(ValueError, match=message):
        RewardProcess(**(good | change))


def test_impossible_questions_are_refused():
    still = TemporalDifference(fading_memory([1.0], [1.0], 2), [1.0], 1.0, 0.1, 1)
    blind = walk()
    blind = RewardProcess(ring(6), torch.ones(6, 2), blind.reward, 0.7, 0.1, 1, 4)
    fractional, wild = modes(batch_size=2.5), modes(0.5, 50.0, 1)
    refused = [
        (lambda: fixed_point(still), "no fixed point"),
        (lambda: process_fixed_point(blind), "singular mean update"),
        (lambda: true_value(walk(discount=1.0)), "discount must be below 1"),
        (lambda: theory(modes(), 3, schedule=[1.0, 1.0]), "one factor for each of 3 updates"),
        (lambda: theory(modes(), 2, schedule=[1.0, -1.0]), "schedule must be finite and not neg"),
        (lambda: theory(modes(), 2, start=LAM[None].expand(2, 10)), "start must have shape"),
        (lambda: experiment(modes(), 2, seed=0, members=0), "members must be at least 1"),
        (lambda: experiment(fractional, 2, seed=0, members=2), "batch_size must be a whole"),
        (lambda: experiment(modes(batch_size=2e6), 1, seed=0, members=1), "batch_size must be a"),
        (lambda: experiment(wild, 400, seed=0, members=1), "step must be smaller"),
        (lambda: process_experiment(walk(), 2, seed=0, members=0), "members must be at least 1"),
        (lambda: process_experiment(walk(step=50.0), 800, seed=0, members=1), "step must be sma"),
        (lambda: fading_memory([1.0], [1.5], 2), "memory must be between -1 and 1"),
        (lambda: fading_memory([-1.0], [0.5], 2), "eigenvalue must be not negative"),
        (lambda: fading_memory([1.0], [0.5], 0), "horizon must be at least 1"),
        (lambda: ring(2), "states must be at least 3"),
        (lambda: ring(4, 1.5), "right must be between 0 and 1"),
        (lambda: grid(1), "side must be at least 2"),
        (lambda: grid(3, -0.5), "towards must be between 0 and 1"),
        (lambda: place_cells([[0.0]], [[0.0]], 0.0), "width must be positive"),
        (lambda: place_cells([[0.0]], [[0.0]], 1.0, period=-1.0), "period must be positive"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()


def test_edges_of_what_is_allowed():
    assert theory(modes(0.0), 0).loss.shape == (1,)
    assert TemporalDifference(COV, LAM, 1.0, 0.02, 1).discount == 1.0
    assert ring(3, 0).sum() == ring(3, 1).sum() == 3 and grid(2, 1).sum() == 4
    assert fading_memory([0.0], [1.0], 1).shape == (1, 2, 2)
