"""Claims of chapters/population_codes.md, one test per claim."""

from dataclasses import fields

import pytest
import torch
from scipy.special import iv
from torch.testing import assert_close

from toymodels import kernel_regression
from toymodels.exercises import population_codes as exercises
from toymodels.kernel_regression import KernelRegression
from toymodels.numerics import draws
from toymodels.population_codes import (
    PopulationCode,
    Readout,
    RingCode,
    alignment,
    bump,
    complex_cells,
    experiment,
    firing,
    gratings,
    mixture,
    moments,
    overlap,
    population,
    recurrent_code,
    regression,
    rotated,
    simple_cells,
    spectrum,
    theory,
)

DOUBLE = torch.float64
PI = torch.pi
SIZES = torch.tensor([5, 20, 60])
MEASURED = ("kappa", "error", "mode_error", "train_error", "learnability")


def circle(angles):
    return torch.arange(angles, dtype=DOUBLE) * (2 * PI / angles)


ANGLE = circle(60)
BELLS = RingCode(bump(ANGLE, 4.0))
TARGET = ANGLE.cos() + 0.5 * (3 * ANGLE + 0.4).sin() + 0.3


def noisy_code(stimuli, neurons, seed=0):
    return PopulationCode(draws.normal(seed, "responses", 1, (stimuli, neurons))[0])


def over_members(curve, name):
    """Mean and standard error over training sets, by hand."""
    each = getattr(curve, name)
    axis = -3 if name in ("mode_error", "learnability") else -2
    return each.mean(axis), each.std(axis) / each.shape[axis] ** 0.5


def score(curve, predicted, name):
    mean, error = over_members(curve, name)
    return (mean - predicted).abs() / error


# The spectrum


def test_eigenvalues_of_a_bell_are_squared_bessel_functions():
    lam = spectrum(RingCode(bump(circle(128), 4.0)))
    known = torch.tensor([iv(m, 4.0) ** 2 * 2.718281828459045**-8 for m in range(4)], dtype=DOUBLE)
    assert_close(lam[[0, 1, 2, 3, 4, 5, 6]], known[[0, 1, 1, 2, 2, 3, 3]])
    assert_close(lam[:4], torch.tensor([0.04285, 0.031952, 0.031952, 0.013836], dtype=DOUBLE),
                 rtol=1e-4, atol=0)  # fmt: skip
    assert lam.sum().item() == pytest.approx(0.143432, abs=1e-6)


@pytest.mark.parametrize("angles", [12, 13])
def test_the_spectrum_adds_up_and_belongs_to_the_overlap(angles):
    g = draws.normal(0, "curve", 2, (angles,))
    code = RingCode(g)
    lam, k = spectrum(code), overlap(code)
    assert_close(lam.sum(-1), g.square().mean(-1))
    assert (lam.diff(dim=-1) <= 0).all() and lam.shape == (2, angles)
    expected = torch.linalg.eigvalsh(k / angles).flip(-1)
    assert_close(lam, expected, rtol=1e-10, atol=1e-14)


def test_a_neuron_answers_most_where_its_place_on_the_ring_is():
    r = population(BELLS).response
    assert (r.argmax(0) == torch.arange(60)).all()
    shifted = torch.roll(BELLS.tuning, 7)  # a curve with its peak at 7 steps
    r = population(RingCode(shifted)).response
    assert r[7, 0] == 1 and r[17, 10] == 1
    uneven = torch.arange(5, dtype=DOUBLE)
    r = population(RingCode(uneven)).response
    assert_close(r[:, 2], torch.tensor([3.0, 4.0, 0.0, 1.0, 2.0], dtype=DOUBLE))


@pytest.mark.parametrize("angles", [12, 13, 60])
def test_a_ring_is_the_population_of_its_neurons(angles):
    code = RingCode(draws.normal(3, "curve", 1, (angles,))[0])
    target = draws.normal(3, "target", 1, (angles,))[0]
    other = population(code)
    assert_close(spectrum(code), spectrum(other))
    assert_close(alignment(code, target), alignment(other, target))
    one, two = (Readout(c, target, ridge=0.1, noise=0.2) for c in (code, other))
    assert_close(theory(one, SIZES).mode_error, theory(two, SIZES).mode_error)
    seen = [experiment(m, SIZES, seed=0, members=3) for m in (one, two)]
    for name in MEASURED:
        assert_close(getattr(seen[0], name), getattr(seen[1], name))


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6)])
def test_the_spectrum_of_any_responses(shape):
    code = noisy_code(*shape)
    expected = torch.linalg.eigvalsh(code.response @ code.response.T / (shape[0] * shape[1]))
    lam = spectrum(code)
    assert_close(lam, expected.flip(0), rtol=1e-9, atol=1e-12)
    assert lam.shape == (shape[0],) and ((lam > 0).sum() == min(shape))
    assert (lam[min(shape) :] == 0).all()


def test_modes_below_rounding_are_silent():
    smooth = RingCode(bump(circle(200), 1.0))
    assert 15 < (spectrum(smooth) > 0).sum() < 40
    single = RingCode(bump(circle(200).float(), 1.0))
    assert 5 < (spectrum(single) > 0).sum() < 15
    assert (spectrum(population(smooth)) > 0).sum() < 40
    for factor in (1e-9, 1e9):  # whatever the unit of a rate
        lam = spectrum(RingCode(factor * smooth.tuning))
        assert (lam > 0).sum() == (spectrum(smooth) > 0).sum()


# Alignment


def test_cumulative_power_rises_to_one():
    C = alignment(BELLS, TARGET)
    assert (C.diff() >= 0).all() and C[-1].item() == pytest.approx(1, abs=1e-12)
    assert C.shape == (60,)


def test_cumulative_power_by_hand():
    total = 0.5 + 0.125 + 0.09  # cos, sin of three, a constant
    C = alignment(BELLS, TARGET)
    steps = torch.tensor([0.09, 0.25, 0.25, 0, 0, 0.0625, 0.0625, 0], dtype=DOUBLE) / total
    assert_close(C[:8], steps.cumsum(0))


def test_waves_of_one_frequency_share_their_power():
    for wave in (ANGLE.cos(), ANGLE.sin(), (ANGLE + 1.1).cos()):
        for code in (BELLS, population(BELLS)):
            assert_close(alignment(code, wave)[:3], torch.tensor([0, 0.5, 1.0], dtype=DOUBLE))


def test_power_that_nobody_sees_comes_last():
    code = noisy_code(9, 4)
    target = draws.normal(1, "target", 1, (9,))[0]
    basis = torch.linalg.qr(code.response)[0]
    seen = (basis.T @ target).square().sum() / target.square().sum()
    C = alignment(code, target)
    assert_close(C[3], seen)
    assert_close(C[3:].diff(), ((1 - seen) / 5).expand(5))


def test_a_higher_curve_means_a_smaller_error():
    waves = [(m * ANGLE).cos() for m in (1, 2, 3)]
    tasks = torch.stack([waves[0] + waves[2], waves[1] + waves[2], waves[2] + waves[2]])
    tasks = tasks / tasks.square().mean(-1, keepdim=True).sqrt()
    C = alignment(BELLS, tasks)
    assert (C.diff(dim=0) <= 1e-12).all()
    for ridge, noise in ((0.001, 0.0), (0.1, 0.3), (2.0, 0.1)):
        error = theory(Readout(BELLS, tasks, ridge=ridge, noise=noise), [3, 10, 30, 100]).error
        assert (error.diff(dim=0) > 0).all()


# Invariances of the learning curve


@pytest.mark.parametrize("factor", [1e-3, 40.0])
def test_louder_neurons_and_a_larger_ridge_change_nothing(factor):
    louder = RingCode(factor * BELLS.tuning)
    one = Readout(BELLS, TARGET, ridge=0.1, noise=0.2)
    other = Readout(louder, TARGET, ridge=0.1 * factor**2, noise=0.2)
    assert_close(theory(one, SIZES).error, theory(other, SIZES).error)
    seen = [experiment(m, SIZES, seed=0, members=3).error for m in (one, other)]
    assert_close(*seen)


def test_twice_the_neurons_with_the_same_responses_change_nothing():
    code = noisy_code(9, 4)
    twice = PopulationCode(code.response.repeat(1, 2))
    assert_close(overlap(code), overlap(twice))
    assert_close(spectrum(code), spectrum(twice))
    target = torch.arange(9, dtype=DOUBLE)
    one, two = (Readout(c, target, ridge=0.1) for c in (code, twice))
    seen = [experiment(m, SIZES, seed=0, members=2).error for m in (one, two)]
    assert_close(*seen)


def test_a_rotation_of_the_neurons_is_not_seen():
    code = population(BELLS)
    turned = rotated(code, seed=1)
    assert not torch.allclose(turned.response, code.response, atol=0.1)
    assert_close(overlap(turned), overlap(code))
    one, two = (Readout(c, TARGET, ridge=0.02, noise=0.1) for c in (code, turned))
    assert_close(theory(one, SIZES).error, theory(two, SIZES).error)
    assert_close(
        experiment(one, SIZES, seed=0, members=3).error,
        experiment(two, SIZES, seed=0, members=3).error,
    )
    assert_close(rotated(BELLS, seed=1).response, turned.response)
    assert not torch.allclose(rotated(code, seed=2).response, turned.response, atol=0.1)


def test_rotations_are_all_as_likely():
    basis = PopulationCode(torch.eye(3, dtype=DOUBLE))
    Q = torch.stack([rotated(basis, seed=s).response for s in range(300)])
    assert (Q.mean(0).abs() < 4.5 * (1 / 3 / 300) ** 0.5).all()
    # for three neurons an entry is uniform between -1 and 1: mean square 1/3, fourth power 1/5
    assert ((Q**4).mean(0) - 0.2).abs().max() < 4.5 * (1 / 9 - 1 / 25) ** 0.5 / 300**0.5
    trace = Q.diagonal(dim1=-2, dim2=-1).sum(-1).mean()
    assert trace.abs() < 4.5 / 300**0.5  # qr without its signs has a trace of its own


@pytest.mark.parametrize("shift", [1, 17])
def test_a_turned_target_is_learned_as_well(shift):
    one, two = (Readout(BELLS, t, ridge=0.05) for t in (TARGET, TARGET.roll(shift)))
    assert_close(theory(one, SIZES).mode_error, theory(two, SIZES).mode_error)
    assert_close(alignment(BELLS, TARGET), alignment(BELLS, TARGET.roll(shift)))


def test_a_turned_tuning_curve_has_the_same_spectrum():
    assert_close(spectrum(RingCode(BELLS.tuning.roll(5))), spectrum(BELLS))


# The learning curve


def test_the_theory_is_kernel_regression_with_shells_of_two_waves():
    lam = (iv(torch.arange(20).numpy(), 4.0) * 2.718281828459045**-4) ** 2
    power = torch.zeros(20, dtype=DOUBLE)
    power[[0, 1, 3]] = torch.tensor([0.09, 0.5, 0.125], dtype=DOUBLE)
    m = torch.tensor([1] + 19 * [2])
    known = KernelRegression(
        torch.as_tensor(lam), power.sqrt(), degeneracy=m, ridge=0.05, noise=0.2
    )
    found = theory(Readout(BELLS, TARGET, ridge=0.05, noise=0.2), SIZES)
    expected = kernel_regression.theory(known, SIZES)
    for name in ("kappa", "error", "train_error"):
        assert_close(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=0)
    assert_close(found.mode_error[:, 0], expected.mode_error[:, 0])
    assert_close(found.mode_error[:, 5] * 2, expected.mode_error[:, 3])


def test_unseen_power_acts_as_noise_and_counts():
    code = noisy_code(9, 4)
    target = draws.normal(1, "target", 1, (9,))[0]
    basis = torch.linalg.qr(code.response)[0]
    inside = basis @ (basis.T @ target)
    unseen = (target - inside).square().mean()
    blind = theory(Readout(code, target, ridge=0.1), SIZES)
    noisy = theory(Readout(code, inside, ridge=0.1, noise=float(unseen)), SIZES)
    assert_close(blind.error, noisy.error + unseen)


def test_modes_of_the_regression_are_sorted_and_hold_all_power():
    model = regression(Readout(BELLS, TARGET, ridge=0.05, noise=0.2))
    assert (model.eigenvalue.diff() <= 0).all() and len(model.eigenvalue) == 60
    assert_close(model.target.square().sum(), TARGET.square().mean())
    assert model.ridge == 0.05 and model.noise == 0.2


def test_known_learning_curves():
    u = circle(360)
    codes = RingCode(bump(u, torch.tensor([1.0, 2.0]).double(), torch.tensor([0, 0.6]).double()))
    fast = 2**0.5 * (5 * u).cos()
    model = Readout(codes, fast, ridge=0.1 * spectrum(codes).sum(-1), noise=0.1)
    broad, iceberg = theory(model, [100]).error[:, 0]
    assert broad > 1 and iceberg.item() == pytest.approx(0.030, abs=5e-4)


# Against readouts of neurons


def trained_by_hand(r, target, ridge, noise, n, member, seed=3, members=3):
    """Ridge regression of synapses, in the space of neurons."""
    chosen = draws.integers(seed, f"stimuli {n}", members, (n,), high=len(r))[member]
    label = target[chosen] + noise**0.5 * draws.normal(seed, f"noise {n}", members, (n,))[member]
    X = r[chosen] / r.shape[1] ** 0.5
    w = torch.linalg.solve(X.T @ X + ridge * torch.eye(r.shape[1], dtype=DOUBLE), X.T @ label)
    everywhere = r @ w / r.shape[1] ** 0.5
    return target - everywhere, (label - X @ w).square().mean(), X


@pytest.mark.parametrize("n", [5, 30])
@pytest.mark.parametrize("neurons", [7, 20])
def test_every_training_set_is_fitted_by_ridge_regression(n, neurons):
    code = noisy_code(12, neurons)
    target = draws.normal(2, "target", 1, (12,))[0]
    model = Readout(code, target, ridge=0.3, noise=0.2)
    seen = experiment(model, torch.tensor([n]), seed=3, members=3, chunk=2)
    for member in range(3):
        off, train, X = trained_by_hand(code.response, target, 0.3, 0.2, n, member)
        assert_close(seen.error[member, 0], off.square().mean())
        assert_close(seen.train_error[member, 0], train)
        G = torch.linalg.inv(X @ X.T + 0.3 * torch.eye(n, dtype=DOUBLE))
        assert_close(seen.kappa[member, 0], 1 / G.trace())
        waves = torch.linalg.svd(code.response, full_matrices=False)[0]
        rank = min(12, neurons)
        assert_close(seen.mode_error[member, 0, :rank], (waves.T @ off).square() / 12)
        assert_close(seen.mode_error[member, 0].sum(), off.square().mean())
        chosen = draws.integers(3, f"stimuli {n}", 3, (n,), high=12)[member]
        phi = waves[chosen] * 12**0.5
        L = spectrum(code)[:rank] * ((G @ phi) * phi).sum(0)
        assert_close(seen.learnability[member, 0, :rank], L)
        assert (seen.learnability[member, 0, rank:] == 0).all()


def test_measured_learnability_is_conserved():
    seen = experiment(Readout(BELLS, TARGET, ridge=0.1), SIZES, seed=0, members=3)
    spent = seen.learnability.sum(-1) + 0.1 / seen.kappa
    assert_close(spent, SIZES.to(DOUBLE).expand(3, 3), rtol=1e-10, atol=0)
    assert_close(seen.mode_error.sum(-1), seen.error)


def test_readouts_of_a_ring_agree_with_theory():
    codes = RingCode(bump(circle(120), torch.tensor([1.0, 4.0, 16.0]).double()[:, None]))
    u = circle(120)
    tasks = 2**0.5 * torch.stack([u.cos(), (4 * u).cos()])
    model = Readout(codes, tasks, ridge=spectrum(codes).sum(-1), noise=0.1)
    n = torch.tensor([20, 100])
    seen, predicted = experiment(model, n, seed=1, members=400), theory(model, n)
    mean, error = over_members(seen, "error")
    off = (mean / predicted.error - 1).abs()
    assert off.median() < 0.03 and off.max() < 0.15
    assert ((error / predicted.error) < 0.04).all()
    kappa = over_members(seen, "kappa")[0]
    assert_close(kappa, predicted.kappa, rtol=0.03, atol=0)
    train = over_members(seen, "train_error")[0]
    assert_close(train, predicted.train_error, rtol=0.08, atol=0)
    learned = over_members(seen, "learnability")[0]
    assert_close(learned, predicted.learnability, rtol=0, atol=0.03)


@pytest.mark.parametrize("stimuli, neurons", [(400, 40), (60, 200)])
def test_readouts_of_random_neurons_agree_with_theory(stimuli, neurons):
    code = noisy_code(stimuli, neurons)
    target = draws.normal(5, "target", 1, (stimuli,))[0]
    model = Readout(code, target, ridge=1.0, noise=0.1)
    n = torch.tensor([30])
    seen, predicted = experiment(model, n, seed=1, members=400), theory(model, n)
    mean, error = over_members(seen, "error")
    assert_close(mean, predicted.error, rtol=0.02, atol=0)
    assert (error / mean < 0.01).all()


def test_the_reach_of_the_theory_at_a_ridge_of_one_tenth():
    u = circle(180)
    codes = RingCode(bump(u, torch.tensor([1.0, 4.0, 16.0]).double()[:, None]))
    tasks = 2**0.5 * torch.stack([u.cos(), (5 * u).cos()])
    model = Readout(codes, tasks, ridge=0.1 * spectrum(codes).sum(-1), noise=0.1)
    n = torch.tensor([10, 30, 100])
    seen, predicted = experiment(model, n, seed=2, members=400), theory(model, n)
    off = (over_members(seen, "error")[0] / predicted.error - 1).abs()
    assert off.median() < 0.045
    assert off[2, 1, 1] > 0.2  # the fast task comes into reach


def test_without_a_ridge_the_circle_breaks_the_theory():
    wave = (3 * ANGLE).cos()
    model = Readout(BELLS, wave, ridge=1e-3 * float(spectrum(BELLS).sum()))
    n = torch.tensor([14])
    seen, predicted = experiment(model, n, seed=2, members=200), theory(model, n)
    assert over_members(seen, "error")[0] > 10 * predicted.error


# Codes of cells and networks


def test_bumps():
    u = torch.tensor([0.0, 1.0, PI], dtype=DOUBLE)
    assert_close(bump(u, 2.0), torch.exp(2 * (u.cos() - 1)))
    assert_close(bump(u, 2.0, 0.1), (torch.exp(2 * (u.cos() - 1)) - 0.1).clamp(min=0))
    sweep = bump(u, torch.tensor([1.0, 2.0]).double()[:, None], torch.tensor([0, 0.5]).double())
    assert sweep.shape == (2, 2, 3)
    assert_close(sweep[1, 1], bump(u, 2.0, 0.5))
    assert (bump(u, 0.0) == 1).all() and bump(u.float(), 1.0).dtype == torch.float32


def test_gratings_are_all_pairs():
    theta, phi = gratings(3, 4)
    assert_close(theta, PI / 3 * torch.tensor(4 * [0.5] + 4 * [1.5] + 4 * [2.5], dtype=DOUBLE))
    assert_close(phi, PI / 2 * torch.tensor(3 * [0.5, 1.5, 2.5, 3.5], dtype=DOUBLE))


def test_simple_cells_are_rectified_filters():
    theta, phi = (torch.tensor(x, dtype=DOUBLE) for x in ([0.3, 1.0, 2.5], [0.2, 4.0, 5.5]))
    theta0, phi0 = (torch.tensor(x, dtype=DOUBLE) for x in ([0.9, 0.1], [1.0, 3.0]))
    f = torch.empty(3, 2, dtype=DOUBLE)
    for i in range(3):
        for j in range(2):
            c = torch.cos(theta[i] - theta0[j])
            f[i, j] = 0.5 * torch.exp(-2 * (1 + c)) * torch.cos(phi[i] + phi0[j])
            f[i, j] += 0.5 * torch.exp(-2 * (1 - c)) * torch.cos(phi[i] - phi0[j])
    found = simple_cells(theta, phi, theta0, phi0, sharpness=2.0, threshold=0.2, power=1.3)
    assert_close(found.response, (f - 0.2 * f.max()).clamp(min=0) ** 1.3)
    plain = simple_cells(theta, phi, theta0, phi0)
    again = simple_cells(theta, phi, theta0, phi0, sharpness=1.0, threshold=0.1, power=1.0)
    assert_close(plain.response, again.response)


def test_four_simple_cells_make_a_complex_one():
    theta, phi = gratings(5, 8)
    at, turns = theta[:1], PI / 2 * torch.arange(4, dtype=DOUBLE) + 0.3
    cells = [simple_cells(theta, phi, at, t[None], threshold=0.0, sharpness=0.7) for t in turns]
    energy = sum(cell.response.square() for cell in cells)
    c = (theta[:, None] - at).cos()
    scale = torch.exp(torch.tensor(-1.4, dtype=DOUBLE)) / 2
    assert_close(energy, scale * ((1.4 * c).cosh() + (2 * phi[:, None]).cos()))
    found = complex_cells(theta, at, sharpness=0.7).response
    assert_close(found, (1.4 * c).cosh() / (2 * torch.tensor(1.4, dtype=DOUBLE).cosh()))
    assert_close(
        complex_cells(theta, at).response, complex_cells(theta, at, sharpness=1.0).response
    )


def test_complex_cells_never_learn_a_phase():
    theta, phi = gratings(12, 12)
    cells = complex_cells(theta, gratings(8, 1)[0])
    phase = phi.cos().sign()
    model = Readout(cells, phase, ridge=0.1 * float(spectrum(cells).sum()))
    seen = int((spectrum(cells) > 1e-20).sum())
    assert alignment(cells, phase)[seen - 1] < 1e-12
    curve = theory(model, [10, 60, 1000])
    gamma = curve.learnability.square().sum(-1) / torch.tensor([10, 60, 1000])
    assert_close(curve.error, 1 / (1 - gamma))
    assert (curve.error > 1).all()
    assert (over_members(experiment(model, [10, 60], seed=0, members=40), "error")[0] > 1).all()


def test_a_mixture_adds_overlaps():
    one, other = noisy_code(6, 4), noisy_code(6, 9, seed=1)
    share = torch.tensor([0.0, 0.3, 1.0], dtype=DOUBLE)
    found = mixture(one, other, share)
    k, k2 = (overlap(code) / overlap(code).diagonal().mean() for code in (one, other))
    expected = share[:, None, None] * k + (1 - share)[:, None, None] * k2
    assert_close(overlap(found), expected)
    assert_close(spectrum(found).sum(-1), torch.ones(3, dtype=DOUBLE))
    assert mixture(one, other, 0.5).response.shape == (6, 13)


def test_recurrent_networks_by_hand():
    cue, gain = torch.tensor([0.5, -1.0], dtype=DOUBLE), torch.tensor([0.5, 2.0], dtype=DOUBLE)
    found = recurrent_code(cue, gain, seed=3, members=2, neurons=4, steps=20, every=2).response
    assert found.shape == (2, 2, 20, 4)
    chance = draws.normal(3, "recurrent", 2, (4, 4))
    into = draws.normal(3, "input", 2, (4,))
    for g in range(2):
        for member in range(2):
            for trial in range(2):
                z, rates = torch.zeros(4, dtype=DOUBLE), []
                for i in range(20):
                    drive = into[member] * cue[trial] * (i < 10)  # the cue ends at t = 1
                    W = gain[g] / 2 * chance[member]
                    z = z + 0.1 / 0.08 * (-z + W @ z.tanh() + drive)
                    rates.append(z.tanh())
                mine = torch.stack(rates[1::2])
                assert_close(found[g, member, 10 * trial : 10 * trial + 10], mine)
    alone = recurrent_code(cue, 2.0, seed=3, members=1, neurons=4, steps=20, every=2).response
    assert_close(alone, found[1, :1])


def test_moments():
    assert_close(moments(4), torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=DOUBLE))
    assert_close(moments(10, 5), torch.tensor([1.0, 2.0], dtype=DOUBLE))
    assert len(moments()) == 100
    cue = torch.ones(1, dtype=DOUBLE)
    code = recurrent_code(cue, 0.0, seed=0, members=1, neurons=3)
    size = code.response[0].abs().mean(-1)  # without weights it decays from t = 1 on
    assert int(size.argmax()) == 49 and len(size) == 100
    assert moments()[49].item() == pytest.approx(1.0)


def test_rates_are_lifted_to_zero():
    code = PopulationCode(torch.tensor([[1.0, -2.0], [3.0, 0.0], [2.0, 1.0]], dtype=DOUBLE))
    assert firing(code).item() == pytest.approx((0 + 2 + 1 + 0 + 2 + 3) / 6)
    assert_close(firing(BELLS), (BELLS.tuning - BELLS.tuning.min()).mean())


def test_a_scrambled_wave_fires_less_than_bells_and_narrow_bells_less_than_scrambles():
    wave = population(RingCode(1 + 0.1 * circle(200).cos()))
    many = torch.stack([firing(rotated(wave, seed=s)) for s in range(30)]) / firing(wave)
    assert (many.mean() - PI**0.5 / 2).abs() < 4.5 * many.std() / 30**0.5
    narrow = population(RingCode(bump(circle(200), 16.0)))
    assert firing(rotated(narrow, seed=0)) > 3 * firing(narrow)


# Seeds, batches, precision


def test_members_do_not_depend_on_chunks_or_other_sizes():
    model = Readout(BELLS, TARGET, ridge=0.1, noise=0.2)
    whole = experiment(model, torch.tensor([5, 20, 80]), seed=1, members=7)
    parts = experiment(model, torch.tensor([20, 80]), seed=1, members=7, chunk=3)
    for name in MEASURED:
        assert_close(getattr(whole, name)[:, 1:], getattr(parts, name))
    other = experiment(model, torch.tensor([20, 80]), seed=2, members=7)
    assert not torch.allclose(other.error, parts.error)
    assert len(whole.error[:, 0].unique()) == 7
    assert whole.error.shape == (7, 3) and whole.mode_error.shape == (7, 3, 60)


def test_a_batch_is_its_members():
    codes = RingCode(torch.stack([BELLS.tuning, bump(ANGLE, 1.0), bump(ANGLE, 9.0, 0.3)])[:, None])
    targets = torch.stack([TARGET, (2 * ANGLE).cos()])
    ridge = torch.tensor([[0.1], [0.2], [0.5]], dtype=DOUBLE)
    noise = torch.tensor([0.0, 0.3], dtype=DOUBLE)
    model = Readout(codes, targets, ridge=ridge, noise=noise)
    n = torch.tensor([10, 90])
    expected, seen = theory(model, n), experiment(model, n, seed=0, members=4)
    assert expected.error.shape == (3, 2, 2) and seen.error.shape == (3, 2, 4, 2)
    assert seen.kappa.shape == (3, 2, 4, 2) and seen.learnability.shape == (3, 2, 4, 2, 60)
    for i in range(3):
        for j in range(2):
            one = Readout(RingCode(codes.tuning[i, 0]), targets[j], ridge[i, 0], noise[j])
            alone, alone_seen = theory(one, n), experiment(one, n, seed=0, members=4)
            for name in MEASURED:
                assert_close(getattr(expected, name)[i, j], getattr(alone, name))
                assert_close(getattr(seen, name)[i, j], getattr(alone_seen, name))
    C = alignment(codes, targets)
    assert_close(C[2, 1], alignment(RingCode(codes.tuning[2, 0]), targets[1]))
    assert_close(firing(codes)[1, 0], firing(RingCode(codes.tuning[1, 0])))


def test_dtype_and_device_follow_the_code(device):
    code = RingCode(BELLS.tuning.to(device, torch.float32))
    model = Readout(code, TARGET.to(device, torch.float32), ridge=0.1, noise=0.1)
    for curve in (theory(model, SIZES), experiment(model, SIZES, seed=0, members=3)):
        for field in fields(curve):
            value = getattr(curve, field.name)
            if isinstance(value, torch.Tensor) and field.name not in ("samples", "converged"):
                assert value.dtype == torch.float32 and value.device == code.tuning.device
    exact = theory(Readout(BELLS, TARGET, ridge=0.1, noise=0.1), SIZES).error
    assert_close(theory(model, SIZES).error.double().cpu(), exact, rtol=1e-4, atol=0)


def test_lists_are_welcome():
    code = RingCode([1.0, 0.5, 0.1, 0.4])
    curve = theory(Readout(code, [1, 0, -1, 0], ridge=1), [3])
    assert curve.error.shape == (1,) and spectrum(code).dtype == torch.float64


# Bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RingCode(torch.ones(2)), "tuning must have at least 3 angles"),
        (lambda: RingCode(torch.zeros(5)), "tuning must not be 0 throughout"),
        (lambda: RingCode(torch.stack([torch.ones(5), torch.zeros(5)])), "silent"),
        (lambda: RingCode(torch.full((5,), float("inf"))), "tuning must be finite"),
        (lambda: PopulationCode(torch.zeros(5, 2)), "response must not be 0 throughout"),
        (lambda: PopulationCode(torch.full((5, 2), float("inf"))), "response must be finite"),
        (lambda: Readout(BELLS, TARGET[:50]), "target must have 60 entries"),
        (lambda: Readout(BELLS, TARGET + float("inf")), "target must be finite"),
        (lambda: Readout(BELLS, TARGET, ridge=-1.0), "ridge must be finite and not negative"),
        (lambda: Readout(BELLS, TARGET, noise=float("inf")), "noise must be finite"),
        (lambda: Readout(BELLS, TARGET.expand(2, 60), torch.ones(3)), "leading axes must fit"),
        (lambda: alignment(BELLS, TARGET[:50]), "target must have 60 entries"),
        (lambda: alignment(BELLS, 0 * TARGET), "target must be different from zero"),
        (lambda: alignment(BELLS, TARGET + float("inf")), "target must be finite"),
        (lambda: rotated(BELLS, seed=-1), "seed must be"),
        (lambda: bump(ANGLE, -1.0), "concentration must be not negative"),
        (lambda: bump(ANGLE, 1.0, 1.0), "threshold must be from 0 to below 1"),
        (lambda: bump(ANGLE, 1.0, -0.1), "threshold must be from 0 to below 1"),
        (lambda: bump(ANGLE + float("inf"), 1.0), "angle must be finite"),
        (lambda: gratings(0, 3), "orientations must be at least 1"),
        (lambda: gratings(3, 0), "phases must be at least 1"),
        (lambda: complex_cells(ANGLE, ANGLE, sharpness=51.0), "sharpness must be from 0 to 50"),
        (lambda: complex_cells(ANGLE, ANGLE, sharpness=-1.0), "sharpness must be from 0 to 50"),
        (lambda: simple_cells(ANGLE, ANGLE, ANGLE, ANGLE, threshold=1.0), "threshold must be"),
        (lambda: simple_cells(ANGLE, ANGLE, ANGLE, ANGLE, threshold=-0.1), "threshold must be"),
        (lambda: simple_cells(ANGLE, ANGLE, ANGLE, ANGLE, power=0.0), "power must be positive"),
        (lambda: mixture(noisy_code(3, 2), noisy_code(4, 2), 0.5), "other must have seen 3"),
        (lambda: mixture(noisy_code(3, 2), noisy_code(3, 2), 1.5), "share must be from 0 to 1"),
        (lambda: mixture(noisy_code(3, 2), noisy_code(3, 2), -0.5), "share must be from 0 to 1"),
        (lambda: moments(0), "steps must be at least 1"),
        (lambda: moments(4, 0), "every must be at least 1"),
        (lambda: moments(4, 3), "every must divide the 4 steps"),
    ],
)
def test_the_impossible_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_impossible_experiments_are_refused():
    model, run = Readout(BELLS, TARGET, ridge=0.1), {"seed": 0, "members": 3}
    for bad in ([0], [2.5], [-1]):
        with pytest.raises(ValueError, match="samples must be positive whole numbers"):
            experiment(model, bad, **run)
    with pytest.raises(ValueError, match="samples must be positive"):
        theory(model, [0])
    with pytest.raises(ValueError, match="members must be at least 1"):
        experiment(model, [5], seed=0, members=0)
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        experiment(model, [5], **run, chunk=0)
    with pytest.raises(ValueError, match="seed must be"):
        experiment(model, [5], seed=-1, members=2)
    with pytest.raises(ValueError, match="must not be singular"):
        experiment(Readout(BELLS, TARGET), [100], **run)
    cue = torch.ones(2, dtype=DOUBLE)
    for change, message in (
        ({"members": 0}, "members must be at least 1"),
        ({"neurons": 0}, "neurons must be at least 1"),
        ({"gain": -1.0}, "gain must be not negative"),
        ({"steps": 0}, "steps must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            recurrent_code(cue, **({"gain": 1.0, "seed": 0, "members": 1, "neurons": 3} | change))


# The exercises' checkers


def test_solutions_are_what_the_model_says():
    lam = spectrum(RingCode(bump(circle(360), 4.0)))
    assert_close(lam[[0, 1, 3]], torch.tensor(exercises.bessel.solution, dtype=DOUBLE))
    c = torch.linspace(30, 80, 501, dtype=DOUBLE)
    bells = RingCode(bump(circle(360), c))
    share = (spectrum(bells) / bells.tuning.square().mean(-1, keepdim=True))[:, 9]
    assert c[share.argmax()].item() == pytest.approx(exercises.tuned.solution(5.0), rel=0.03)
    white = PopulationCode(torch.eye(101, dtype=DOUBLE)[:, :100])
    unseen = 101**0.5 * torch.eye(101, dtype=DOUBLE)[100]
    found = theory(Readout(white, unseen), [60]).error.item()
    assert found == pytest.approx(exercises.blind.solution)
