"""Claims of chapters/sgd_features.md, one test per claim."""

from dataclasses import replace

import pytest
import torch

from toymodels.exercises import sgd_features as exercises
from toymodels.numerics import draws
from toymodels.numerics.spectra import power_law
from toymodels.sgd_features import (
    Dataset,
    FeatureSGD,
    at_compute,
    best_batch,
    draw_data,
    experiment,
    largest_step,
    plateau,
    reuse,
    reuse_experiment,
    theory,
    transfer,
)

DOUBLE = torch.float64
K = 30
LAM = power_law(K, 1.5)
W = (power_law(K, 2.0) / LAM).sqrt()  # lam w^2 = k^-2
AT = torch.tensor([0, 1, 2, 5, 20])
Z = 4.5  # standard errors: one false alarm in 1e5 comparisons


def white(modes=50, step=0.05, batch_size=4.0, **options):
    one = torch.ones(modes, dtype=DOUBLE)
    return FeatureSGD(one, one / modes**0.5, step, batch_size, **options)


def hundred(step, batch_size=1, noise=0.0, unit=False):
    """The power law of the source notes: lam = k^-1.5, lam w^2 = k^-2."""
    lam, power = power_law(100, 1.5), power_law(100, 2.0)
    power = power / power.sum() if unit else power
    return FeatureSGD(lam, (power / lam).sqrt(), step, batch_size, noise)


def over_members(value, axis):
    return value.mean(axis), value.std(axis) / value.shape[axis] ** 0.5


def agree(seen, exact, within=Z):
    """Losses and errors of single modes after the first step, in standard errors."""
    for got, wanted, axis in ((seen.loss, exact.loss, -2), (seen.mode_error, exact.mode_error, -3)):
        mean, error = over_members(got, axis)
        start = (..., 0) if axis == -2 else (..., 0, slice(None))
        torch.testing.assert_close(mean[start], wanted[start])  # all start at w = 0
        later = (..., slice(1, None)) if axis == -2 else (..., slice(1, None), slice(None))
        z = ((mean - wanted) / error)[later]
        assert z.abs().max() < within, z.abs().max()


# Limits of the theory where the answer is known


def test_without_sampling_noise_every_mode_shrinks_by_itself():
    t = torch.arange(41)[:, None]
    found = theory(FeatureSGD(LAM, W, 0.7, torch.inf), 40)
    torch.testing.assert_close(
        found.mode_error, LAM * W**2 * (1 - 0.7 * LAM) ** (2 * t), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(found.loss, found.mode_error.sum(-1), rtol=1e-12, atol=0)
    large = theory(FeatureSGD(LAM, W, 0.7, 1e12), 40)
    torch.testing.assert_close(large.loss, found.loss, rtol=1e-8, atol=0)


@pytest.mark.parametrize("kurtosis", [1.0, 3.0, 7.0])
@pytest.mark.parametrize("m", [1, 4])
def test_equal_modes_shrink_by_one_factor(kurtosis, m):
    D, eta = 50, 0.03
    factor = (1 - eta) ** 2 + eta**2 * (D + kurtosis - 2) / m
    found = theory(white(D, eta, m, kurtosis=kurtosis), 100).loss
    torch.testing.assert_close(found, factor ** torch.arange(101, dtype=DOUBLE), rtol=1e-10, atol=0)


def test_best_and_largest_step_of_equal_modes():
    eta = torch.linspace(0.001, 0.2, 2000, dtype=DOUBLE)
    loss = theory(white(50, eta, 4), 1).loss[:, 1]
    assert eta[loss.argmin()].item() == pytest.approx(4 / 55, abs=1e-4)
    assert loss.min().item() == pytest.approx(1 - 4 / 55, abs=1e-7)
    m = torch.tensor([1.0, 4, 100], dtype=DOUBLE)
    torch.testing.assert_close(
        largest_step(white(50, 0.05, m)), 2 * m / (m + 51), rtol=1e-10, atol=0
    )
    flip = white(50, 0.05, m, kurtosis=1.0)
    torch.testing.assert_close(largest_step(flip), 2 * m / (m + 49), rtol=1e-10, atol=0)


@pytest.mark.parametrize("kurtosis", [1.0, 1.8, 3.0, 9.0])
@pytest.mark.parametrize("m", [1, 3, 40])
def test_at_the_largest_step_the_transfer_matrix_has_radius_one(kurtosis, m):
    model = FeatureSGD(LAM, W, 0.1, m, kurtosis=kurtosis)
    edge = largest_step(model)
    radius = torch.linalg.eigvalsh(symmetric(replace(model, step=edge))).abs().max()
    assert radius.item() == pytest.approx(1, abs=1e-9)
    below = torch.linalg.eigvalsh(symmetric(replace(model, step=0.99 * edge))).abs().max()
    assert below < 1


def symmetric(model):
    """The transfer matrix for weights instead of errors, where it is symmetric."""
    found = transfer(model) / model.eigenvalue[:, None] * model.eigenvalue
    torch.testing.assert_close(found, found.mT)
    return found


def test_known_largest_steps():
    m = torch.tensor([1, 8, 32])
    found = largest_step(FeatureSGD(power_law(100, 1.5), power_law(100, 1.0), 0.1, m))
    known = torch.tensor([0.539034, 1.569664, 1.879477], dtype=DOUBLE)
    torch.testing.assert_close(found, known, rtol=0, atol=1e-6)
    steep = torch.stack([LAM, 3 * LAM])
    free = largest_step(FeatureSGD(steep, W, 0.1, torch.tensor([torch.inf, torch.inf])))
    torch.testing.assert_close(free, 2 / torch.tensor([1.0, 3.0], dtype=DOUBLE))


def test_the_transfer_matrix_is_one_step():
    model = FeatureSGD(LAM, W, 0.4, 3, kurtosis=5.0)
    one = theory(model, 2).mode_error
    torch.testing.assert_close(transfer(model) @ one[0], one[1], rtol=1e-12, atol=0)
    torch.testing.assert_close(transfer(model) @ one[1], one[2], rtol=1e-12, atol=0)
    off = transfer(model) - torch.diag(transfer(model).diagonal())
    row = (0.4 * LAM) ** 2 / 3
    torch.testing.assert_close(
        off, row[:, None] - torch.diag(row)
    )  # rank one, but for the diagonal


@pytest.mark.parametrize("kurtosis", [1.0, 3.0, 6.0])
def test_plateau_is_where_the_iteration_ends(kurtosis):
    step = torch.tensor([0.2, 0.4], dtype=DOUBLE)
    model = FeatureSGD(LAM, W, step, 2, noise=0.3, kurtosis=kurtosis)
    torch.testing.assert_close(plateau(model), theory(model, [8000]).loss[:, 0], rtol=1e-8, atol=0)
    quiet = replace(model, noise=0.0)
    assert (plateau(quiet) == 0).all()


def test_known_plateau_and_none_beyond_the_edge():
    lam = power_law(100, 1.0)
    model = FeatureSGD(lam, lam, 0.1, 1, noise=1.0)
    assert plateau(model).item() == pytest.approx(0.366502, abs=6e-7)
    edge = float(largest_step(model))
    assert plateau(replace(model, step=1.0001 * edge)).isinf()
    assert plateau(replace(model, step=0.9999 * edge)) > 1000
    one = FeatureSGD([1.0], [1.0], torch.tensor([1.9, 2.1]), torch.inf, noise=0.1)
    assert plateau(one).tolist() == [0.0, torch.inf]  # no sampling noise, and still an edge


def test_small_steps_have_a_plateau_of_half_the_step_over_the_batch():
    model = FeatureSGD(LAM, W, 1e-6, 8, noise=0.5)
    assert plateau(model).item() == pytest.approx(0.5 * 1e-6 / 16 * LAM.sum().item(), rel=1e-5)


def test_a_mode_without_variance_neither_learns_nor_hurts():
    lam = torch.cat([LAM, torch.zeros(1, dtype=DOUBLE)])
    w = torch.cat([W, torch.full((1,), 7.0, dtype=DOUBLE)])
    one, other = FeatureSGD(lam, w, 0.3, 2, 0.1), FeatureSGD(LAM, W, 0.3, 2, 0.1)
    torch.testing.assert_close(theory(one, 30).loss, theory(other, 30).loss)
    for f in (plateau, largest_step):
        torch.testing.assert_close(f(one), f(other))
    assert (experiment(one, 5, seed=0, members=3).mode_error[..., -1] == 0).all()


def test_only_step_times_eigenvalue_matters():
    one, other = FeatureSGD(LAM, W, 0.3, 2, 0.1), FeatureSGD(4 * LAM, W / 2, 0.075, 2, 0.1)
    torch.testing.assert_close(theory(one, 30).mode_error, theory(other, 30).mode_error)
    torch.testing.assert_close(largest_step(one), 4 * largest_step(other))


def test_steps_may_be_a_number_or_those_to_record():
    model = FeatureSGD(LAM, W, 0.3, 2, 0.1)
    whole, some = theory(model, 20), theory(model, [0, 3, 20])
    assert whole.step.tolist() == list(range(21)) and some.step.tolist() == [0, 3, 20]
    torch.testing.assert_close(whole.mode_error[[0, 3, 20]], some.mode_error, rtol=0, atol=0)
    seen, few = (experiment(model, at, seed=1, members=3) for at in (20, [3, 20]))
    torch.testing.assert_close(seen.loss[:, [3, 20]], few.loss, rtol=0, atol=0)


def test_a_diverging_loss_is_infinite_and_never_nan():
    wild = FeatureSGD([1.0, 0.5], [1.0, 1.0], 2.0, 1)  # for the second mode 1 - eta lam = 0
    loss = theory(wild, [10, 5000]).loss
    assert loss[0].isfinite() and loss[1].isinf()
    assert at_compute(wild, 5000, torch.tensor([1])).isinf().all()
    assert best_batch(FeatureSGD([1.0], [1.0], 5.0, 1), 1000) == 1000  # small batches overflow
    with pytest.raises(ValueError, match="overflows at every batch size"):
        best_batch(FeatureSGD([1.0], [1.0], 1e200, 1), 10)
    with pytest.raises(ValueError, match="has overflowed"):
        experiment(FeatureSGD([1.0], [1.0], 1e200, 1), 10, seed=0, members=2)


# Compute


def test_at_compute_is_the_theory_of_each_size():
    model = hundred(0.5, noise=0.2)
    sizes = torch.tensor([1, 3, 7, 100, 400])
    found = at_compute(model, 400, sizes)
    for m, loss in zip(sizes.tolist(), found, strict=True):
        exact = theory(replace(model, batch_size=m), [400 // m]).loss[0]
        torch.testing.assert_close(loss, exact, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "step, noise, best",
    [(0.2, 0, 1), (0.5, 0, 2), (0.8, 0, 4), (0.5, 0.1, 5), (0.5, 0.5, 12), (1.5, 0, 14)],
)
def test_known_best_batches(step, noise, best):
    assert best_batch(hundred(step, noise=noise, unit=True), 400) == best


@pytest.mark.parametrize("compute", [1, 2, 37, 400])
def test_best_batch_is_the_best_of_all(compute):
    model = hundred(torch.tensor([0.3, 0.9, 1.4], dtype=DOUBLE), noise=0.05)
    every = torch.arange(1, compute + 1)
    loss = at_compute(model, compute, every)
    torch.testing.assert_close(every[loss.argmin(-1)], best_batch(model, compute))


# Against simulation


@pytest.mark.parametrize("step, m, noise", [(0.3, 1, 0.0), (0.5, 4, 0.2)])
def test_simulation_of_twenty_thousand_runs(step, m, noise):
    model = FeatureSGD(LAM, W, step, m, noise)
    seen, exact = experiment(model, AT, seed=1, members=20_000), theory(model, AT)
    mean, error = over_members(seen.loss, -2)
    z = ((mean - exact.loss) / error)[1:]
    assert z.abs().max() < 3, z
    assert (error / mean)[1:].max() < 0.012  # a factor 1 + 1/m in place of 1 would show
    agree(seen, exact)


@pytest.mark.parametrize("kurtosis", [1.0, 6.0])
def test_only_the_kurtosis_of_a_coordinate_matters(kurtosis):
    model = FeatureSGD(LAM[:8], W[:8], 0.4, 2, 0.1, kurtosis)
    seen, exact = experiment(model, AT, seed=2, members=12_000), theory(model, AT)
    agree(seen, exact)
    gaussian = theory(replace(model, kurtosis=3.0), AT).loss
    mean, error = over_members(seen.loss, -2)
    assert ((mean - gaussian).abs() / error)[2:].min() > 4.5


def test_coordinates_of_ones_own():
    shapes = {
        1.8: lambda u: 12**0.5 * (u - 0.5),  # uniform
        9.0: lambda u: -torch.log1p(-u) - 1,  # exponential: skewed, which does not matter
    }
    for q, shape in shapes.items():
        model = FeatureSGD(LAM[:8], W[:8], 0.2, 2, 0.1, q)
        agree(experiment(model, AT, seed=3, members=8000, coordinate=shape), theory(model, AT))


def test_runs_of_the_experiment_by_hand():
    """Every member has features and noise of its own, and takes the step of the update rule."""
    model = FeatureSGD(LAM[:4], W[:4], 0.3, 3, 0.2)
    seen = experiment(model, 3, seed=5, members=4, chunk=3)
    stream = draws.Stream(5, 4)
    w = torch.zeros(4, 4, dtype=DOUBLE)
    for t in range(3):
        psi = LAM[:4].sqrt() * stream.normal("features", t, (3, 4))
        y = psi @ W[:4] + 0.2**0.5 * stream.normal("noise", t, (3, 1))[..., 0]
        miss = (psi @ w[..., None])[..., 0] - y
        w = w - 0.3 / 3 * (psi * miss[..., None]).sum(1)
        torch.testing.assert_close(seen.mode_error[:, t + 1], LAM[:4] * (w - W[:4]) ** 2)
    torch.testing.assert_close(seen.loss, seen.mode_error.sum(-1))


def test_a_batch_is_its_members():
    step = torch.tensor([[0.1], [0.3]], dtype=DOUBLE)
    lam = torch.stack([LAM[:6], LAM[:6] ** 2, LAM[:6] ** 1.2])
    m, noise = torch.tensor([1, 2, 4]), torch.tensor([0.0, 0.2, 0.3], dtype=DOUBLE)
    batch = FeatureSGD(lam, W[:6], step, m, noise)
    exact, seen = theory(batch, 5), experiment(batch, 5, seed=0, members=4)
    assert exact.loss.shape == (2, 3, 6) and seen.loss.shape == (2, 3, 4, 6)
    for f in (plateau, largest_step):
        assert f(batch).shape == (2, 3)
    agree(experiment(batch, AT, seed=4, members=4000), theory(batch, AT), within=5)
    for i in range(2):
        for j in range(3):
            one = FeatureSGD(lam[j], W[:6], step[i, 0], m[j], noise[j])
            torch.testing.assert_close(exact.mode_error[i, j], theory(one, 5).mode_error)
            torch.testing.assert_close(plateau(batch)[i, j], plateau(one))
            torch.testing.assert_close(largest_step(batch)[i, j], largest_step(one))
            torch.testing.assert_close(transfer(batch)[i, j], transfer(one))
            if m[j] == 4:  # the draws are those of the largest batch
                alone = experiment(one, 5, seed=0, members=4)
                torch.testing.assert_close(seen.mode_error[i, j], alone.mode_error)


def test_a_pool_of_points():
    """On a pool the exact theory is that of a data set drawn with replacement."""
    phi = torch.linalg.qr(draws.normal(0, "pool", 1, (40, 6))[0])[0] * 40**0.5  # <phi phi> = 1
    y = draws.normal(0, "labels", 1, (2, 40))[0]
    v = y @ phi / 40
    rest = y - v @ phi.mT
    lam = LAM[:6]
    model = FeatureSGD(lam, v / lam.sqrt(), 0.3, 3)
    seen = experiment(model, AT, seed=6, members=8000, features=phi, unexplained=rest)
    data = Dataset((phi * lam.sqrt()).expand(2, 40, 6), y)
    exact = reuse(model, data, AT, replacement=True)
    agree(seen, exact)
    bare = experiment(model, AT, seed=6, members=8, features=phi)
    assert not torch.allclose(bare.loss[..., 1:], seen.loss[:, :8, 1:])


def test_dtype_and_device_follow_the_model(device):
    lam, w = LAM.to(device, torch.float32), W.to(device, torch.float32)
    model = FeatureSGD(lam, w, 0.3, 2, 0.1)
    for found in (theory(model, 5), experiment(model, 5, seed=0, members=3)):
        assert found.loss.dtype == found.mode_error.dtype == torch.float32
        assert found.loss.device == lam.device
    exact = theory(FeatureSGD(LAM, W, 0.3, 2, 0.1), 5).loss
    torch.testing.assert_close(theory(model, 5).loss.double().cpu(), exact, rtol=1e-5, atol=0)
    data = draw_data(model, 7, seed=0, members=2)
    assert data.label.dtype == torch.float32 and data.label.device == lam.device
    for found in (reuse(model, data, 3), reuse_experiment(model, data, 3, seed=0, members=2)):
        assert found.train_loss.dtype == torch.float32 and found.loss.device == lam.device


def test_members_do_not_depend_on_chunks():
    model = FeatureSGD(LAM, W, 0.3, 2, 0.1)
    whole = experiment(model, 5, seed=1, members=7)
    torch.testing.assert_close(whole.loss, experiment(model, 5, seed=1, members=7, chunk=3).loss)
    assert not torch.allclose(whole.loss, experiment(model, 5, seed=2, members=7).loss)
    assert whole.loss[:, 1].unique().numel() == 7


# A fixed data set


def small(m=3, noise=0.3, step=0.4):
    return FeatureSGD(LAM[:5], W[:5], step, m, noise)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("m", [1, 3, 7])
def test_simulation_on_a_fixed_data_set(m, replacement):
    model = small(m)
    data = draw_data(model, 8, seed=0, members=2)
    exact = reuse(model, data, AT, replacement=replacement)
    seen = reuse_experiment(model, data, AT, seed=1, members=6000, replacement=replacement)
    agree(seen, exact)
    mean, error = over_members(seen.train_loss, -2)
    assert (((mean - exact.train_loss) / error)[:, 1:].abs() < Z).all()
    other = reuse(model, data, AT, replacement=not replacement).train_loss
    if m > 1:  # a single sample is drawn with or without replacement alike
        assert (((mean - other) / error)[:, 2:].abs() > 4.5).all()
    else:
        torch.testing.assert_close(other, exact.train_loss)


def test_the_factor_of_sampling_without_replacement():
    """The mean square kick of one step, of all batches that there are."""
    model = small(m=3)
    data = draw_data(model, 6, seed=2, members=1)
    x, y = data.inputs[0], data.label[0]
    every = torch.combinations(torch.arange(6), 3)
    w = 0.4 * (x[every] * y[every][..., None]).mean(1)  # one step from zero, (batch, mode)
    exact = (LAM[:5] * (w - W[:5]) ** 2).mean(0)
    found = reuse(model, data, 1).mode_error[0, 1]
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=0)
    pairs = torch.cartesian_prod(*[torch.arange(6)] * 3)
    w = 0.4 * (x[pairs] * y[pairs][..., None]).mean(1)
    exact = (LAM[:5] * (w - W[:5]) ** 2).mean(0)
    found = reuse(model, data, 1, replacement=True).mode_error[0, 1]
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=0)


def test_two_steps_on_a_data_set_of_all_batches_there_are():
    model = small(m=2)
    data = draw_data(model, 4, seed=3, members=1)
    x, y = data.inputs[0], data.label[0]
    every = torch.combinations(torch.arange(4), 2)
    w = torch.zeros(1, 5, dtype=DOUBLE)
    for _ in range(2):
        miss = (x[every] @ w.mT).permute(2, 0, 1) - y[every]  # (run, batch, sample)
        kick = torch.einsum("rbs,bsk->rbk", miss, x[every]) / 2
        w = (w[:, None] - 0.4 * kick).flatten(0, 1)
    exact = (LAM[:5] * (w - W[:5]) ** 2).mean(0)
    train = ((w @ x.mT - y) ** 2).mean()
    found = reuse(model, data, 2)
    torch.testing.assert_close(found.mode_error[0, 2], exact, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.train_loss[0, 2], train, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.loss[0, 2], exact.sum(), rtol=1e-12, atol=0)


def test_all_samples_at_once_is_gradient_descent():
    model = small(m=8)
    data = draw_data(model, 8, seed=1, members=3)
    found = reuse(model, data, 30)
    x, y, w = data.inputs, data.label, torch.zeros(3, 5, dtype=DOUBLE)
    for t in range(31):
        miss = (x @ w[..., None])[..., 0] - y
        torch.testing.assert_close(
            found.train_loss[:, t], miss.square().mean(-1), rtol=1e-10, atol=0
        )
        torch.testing.assert_close(
            found.mode_error[:, t], LAM[:5] * (w - W[:5]) ** 2, rtol=1e-9, atol=0
        )
        w = w - 0.4 / 8 * (x * miss[..., None]).sum(-2)
    seen = reuse_experiment(model, data, 30, seed=0, members=2)
    torch.testing.assert_close(seen.loss[:, 0], found.loss)
    noisy = reuse(model, data, 30, replacement=True)
    assert (noisy.train_loss[:, 5:] > found.train_loss[:, 5:]).all()


def test_a_large_data_set_is_fresh_data():
    model = small(m=3, noise=0.1)
    data = draw_data(model, 20_000, seed=0, members=1)
    torch.testing.assert_close(
        reuse(model, data, 10).loss[0], theory(model, 10).loss, rtol=0.02, atol=0
    )


def test_an_epoch_uses_every_sample_once():
    model = small(m=2, step=0.3)
    data = draw_data(model, 4, seed=3, members=1)
    seen = reuse_experiment(model, data, 4, seed=0, members=300, epochs=True)
    x, y = data.inputs[0], data.label[0]
    ends = []
    for first in torch.combinations(torch.arange(4), 2):
        last = [k for k in range(4) if k not in first]
        w = torch.zeros(5, dtype=DOUBLE)
        for batch in (first, last):
            w = w - 0.3 / 2 * ((x[batch] @ w - y[batch])[:, None] * x[batch]).sum(0)
        ends.append((LAM[:5] * (w - W[:5]) ** 2).sum())
    found = seen.loss[0, :, 2]
    assert torch.isclose(found[:, None], torch.stack(ends)).sum(-1).tolist() == [1] * 300
    assert torch.isclose(found[:, None], torch.stack(ends)).any(0).all()


def test_a_model_of_a_batch_on_data_of_its_own():
    steps = torch.tensor([0.1, 0.4], dtype=DOUBLE)
    model = replace(small(), step=steps, batch_size=torch.tensor([2, 3]))
    data = draw_data(small(), 8, seed=0, members=2)
    both, seen = reuse(model, data, 4), reuse_experiment(model, data, AT, seed=0, members=3000)
    agree(seen, reuse(model, data, AT), within=5)
    for k in range(2):
        one = replace(small(), step=steps[k], batch_size=[2, 3][k])
        alone = reuse(one, Dataset(data.inputs[k], data.label[k]), 4)
        torch.testing.assert_close(both.mode_error[k], alone.mode_error)
        torch.testing.assert_close(both.train_loss[k], alone.train_loss)


def test_data_have_the_variances_and_the_noise_of_the_model():
    model = small(noise=0.3)
    data = draw_data(model, 5000, seed=0, members=8)
    torch.testing.assert_close(data.inputs.square().mean((0, 1)), LAM[:5], rtol=0.05, atol=0)
    rest = data.label - data.inputs @ W[:5]
    assert rest.var().item() == pytest.approx(0.3, rel=0.05)
    assert (data.inputs[0] != data.inputs[1]).all()


# What the theory does not see


def test_near_the_edge_the_sample_mean_lies_far_below_the_true_mean():
    model = white(1, 0.64, 1)  # its largest step is 2/3
    exact = theory(model, [40]).loss[0]
    seen = experiment(model, [40], seed=0, members=2000).loss[:, 0]
    mean, error = over_members(seen, 0)
    assert mean + 3 * error < exact / 3
    assert seen.median() < 1e-6 * exact


def test_a_typical_run_goes_farther_than_gradient_descent():
    typical = exercises.typical.solution
    steps = torch.tensor([1.0, 0.93, 1.07], dtype=DOUBLE) * typical
    model = FeatureSGD([1.0], [1.0], steps, 1)
    end = experiment(model, [200], seed=0, members=400).loss[..., 0].log().mean(-1) / 400
    assert end[0].abs() < 0.02 and end[1] < -0.02 and end[2] > 0.02
    farther = FeatureSGD([1.0], [1.0], 2.55, torch.tensor([2, 4]))
    assert (
        experiment(farther, [200], seed=0, members=400).loss[..., 0].median(-1).values < 1e-4
    ).all()


def test_a_falling_step_beats_every_constant_one():
    k = torch.arange(1, 101, dtype=DOUBLE)
    power = k**-2 / (k**-2).sum()
    given = k**-1.5, (power * k**1.5).sqrt()
    schedule = exercises.annealed.solution
    falling = schedule(*given, torch.linspace(0.5, 0, 200, dtype=DOUBLE), 1, 0.1)
    constant = [
        schedule(*given, torch.full((200,), eta, dtype=DOUBLE), 1, 0.1)
        for eta in torch.linspace(0.02, 0.5, 49).tolist()
    ]
    assert falling < min(constant)
    model = FeatureSGD(*given, 0.3, 1, 0.1)
    torch.testing.assert_close(
        schedule(*given, torch.full((9,), 0.3, dtype=DOUBLE), 1, 0.1), theory(model, 9).loss[-1]
    )


# Bad input


@pytest.mark.parametrize(
    "change, message",
    [
        ({"eigenvalue": LAM - 0.5}, "eigenvalue must be not negative"),
        ({"eigenvalue": 0 * LAM}, "eigenvalue must not be all zero"),
        ({"eigenvalue": torch.stack([LAM, 0 * LAM])}, "eigenvalue must not be all zero"),
        ({"target": W * float("inf")}, "target must be finite"),
        ({"step": 0.0}, "step must be positive"),
        ({"step": float("inf")}, "step must be positive"),
        ({"batch_size": 0.5}, "batch_size must be at least 1"),
        ({"batch_size": torch.tensor([1, 0])}, "batch_size must be at least 1"),
        ({"noise": -0.1}, "noise must be not negative"),
        ({"kurtosis": 0.9}, "kurtosis must be at least 1"),
        ({"step": torch.ones(2), "noise": torch.ones(3)}, "the leading axes must fit each other"),
    ],
)
def test_impossible_models_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        FeatureSGD(**{"eigenvalue": LAM, "target": W, "step": 0.1, "batch_size": 1} | change)


def test_impossible_steps_and_counts_are_refused():
    model = FeatureSGD(LAM, W, 0.1, 1)
    for steps in (-1, [3, 2], [-1, 2], [1, 1]):
        with pytest.raises(ValueError, match="steps must"):
            theory(model, steps)
    for name, value in (("members", 0), ("chunk", 0), ("seed", -1)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            experiment(model, 3, **{"seed": 0, "members": 2} | {name: value})
    for m in (1.5, torch.inf):
        with pytest.raises(ValueError, match="batch_size must be a whole number"):
            experiment(replace(model, batch_size=m), 3, seed=0, members=2)
    with pytest.raises(ValueError, match="kurtosis must be the same"):
        experiment(replace(model, kurtosis=torch.tensor([1.0, 3.0])), 3, seed=0, members=2)
    with pytest.raises(ValueError, match="compute must be at least 1"):
        at_compute(model, 0, [1])
    with pytest.raises(ValueError, match="compute must be at least 1"):
        best_batch(model, 0)
    for size in (0, 11):
        with pytest.raises(ValueError, match="batch_size must be between 1 and compute"):
            at_compute(model, 10, [size])


def test_impossible_pools_and_data_are_refused():
    model, pool = small(), torch.ones(9, 5, dtype=DOUBLE)
    with pytest.raises(ValueError, match="features must have 5 modes"):
        experiment(model, 3, seed=0, members=2, features=pool[:, :4])
    with pytest.raises(ValueError, match="unexplained must have 9 entries"):
        experiment(model, 3, seed=0, members=2, features=pool, unexplained=torch.ones(8))
    with pytest.raises(ValueError, match="label must have shape"):
        Dataset(pool.expand(2, 9, 5), torch.ones(9))
    with pytest.raises(ValueError, match="inputs must be finite"):
        Dataset(pool * torch.inf, torch.ones(9))
    data = draw_data(model, 4, seed=0, members=2)
    for m in (5, torch.inf):
        with pytest.raises(ValueError, match="batch_size must be at most 4"):
            reuse(replace(model, batch_size=m), data, 3)
    with pytest.raises(ValueError, match="inputs must have 5 modes"):
        reuse(model, Dataset(pool[:, :3], torch.ones(9)), 3)
    with pytest.raises(ValueError, match="model and data must fit"):
        reuse(replace(model, step=torch.tensor([0.1, 0.2, 0.3])), data, 3)
    with pytest.raises(ValueError, match="has overflowed"):
        reuse(replace(model, step=1e200), data, 30)
    with pytest.raises(ValueError, match="has overflowed"):
        reuse_experiment(replace(model, step=1e200), data, 30, seed=0, members=2)
    for change in ({"members": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="must be"):
            reuse_experiment(model, data, 3, **{"seed": 0, "members": 2} | change)
    for bad in ({"replacement": True}, {}):  # three do not divide four
        with pytest.raises(ValueError, match="divides the 4 samples of an epoch"):
            reuse_experiment(model, data, 3, seed=0, members=2, epochs=True, **bad)
    uneven = replace(model, batch_size=torch.tensor([2, 4]))
    with pytest.raises(ValueError, match="one number"):
        reuse_experiment(uneven, data, 3, seed=0, members=2, epochs=True)
    with pytest.raises(ValueError, match="model must be a single one"):
        draw_data(uneven, 4, seed=0, members=2)
    for change in ({"samples": 0}, {"members": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            draw_data(model, **{"samples": 3, "seed": 0, "members": 2} | change)
