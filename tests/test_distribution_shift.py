"""Claims of chapters/distribution_shift.md, one test per claim."""

from dataclasses import replace

import pytest
import torch

from toymodels import kernel_regression
from toymodels.distribution_shift import (
    KernelShift,
    LinearShift,
    adversarial_test,
    beneficial_test,
    experiment,
    finite_shift,
    local_theory,
    modes,
    network_experiment,
    optimal_train,
    resolvent_theory,
    theory,
    train_slope,
)
from toymodels.kernel_regression import KernelRegression
from toymodels.limits.kernels import wide_kernels
from toymodels.numerics import draws

DOUBLE = torch.float64
STANDARD_ERRORS = 4.5  # one false alarm in 1e5 comparisons
SIZES = torch.tensor([3, 10, 25])


def laplace(x):
    kernel = torch.exp(-torch.cdist(x, x))
    return (kernel + kernel.mT) / 2


def cloud(points=40, dimension=3, **options):
    """A kernel with a kink on random points, and two measures that are not uniform."""
    x = draws.normal(7, "points", 1, (points, dimension))[0]
    p, q = (x[:, 0] / 2).softmax(0), (x[:, 1] - x[:, 0] / 3).softmax(0)
    return KernelShift(laplace(x), torch.sin(2 * x[:, 0]) + x[:, 1], p, q, **options)


def slopes(dimension=80, decay=1.0, **options):
    """Linear regression on inputs of power-law variances, tested on correlated ones."""
    k = torch.arange(1.0, dimension + 1, dtype=DOUBLE)
    test = 0.5 ** (k[:, None] - k).abs()
    w = torch.full((dimension,), dimension**-0.5, dtype=DOUBLE)
    return LinearShift(torch.diag(k**-decay), test, w, **options)


def white(dimension=20, variance=2.0, **options):
    """A white training covariance, and a test that is not."""
    mix = draws.normal(3, "mix", 1, (dimension, dimension))[0]
    w = draws.normal(3, "target", 1, (dimension,))[0]
    eye = torch.eye(dimension, dtype=DOUBLE)
    return LinearShift(variance * eye, mix @ mix.mT / dimension, w, **options)


def score(seen, predicted, name="error"):
    each = getattr(seen, name)
    return ((each.mean(-2) - predicted) / (each.std(-2) / each.shape[-2] ** 0.5)).abs()


def close(one, other, rtol=1e-10, atol=1e-12):
    torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


# Limits and identities of the learning curve


@pytest.mark.parametrize("ridge, noise", [(0.0, 0.0), (0.1, 0.3)])
def test_without_a_shift_this_is_kernel_regression(ridge, noise):
    model = cloud(ridge=ridge, noise=noise)
    curve = theory(replace(model, test=model.train), SIZES)
    close(curve.error, curve.unshifted_error)
    basis = modes(model)
    plain = kernel_regression.theory(
        KernelRegression(basis.eigenvalue, basis.target, ridge=ridge, noise=noise), SIZES
    )
    close(curve.error, plain.error)
    close(curve.kappa, plain.kappa)
    linear = slopes(ridge=ridge, noise=noise)
    curve = theory(replace(linear, test_covariance=linear.train_covariance), SIZES)
    close(curve.error, curve.unshifted_error)


@pytest.mark.parametrize("ridge, noise", [(0.0, 0.2), (0.05, 0.0), (2.0, 0.3)])
def test_spectrum_and_resolvent_agree(ridge, noise):
    model = cloud(ridge=ridge, noise=noise)
    some = model.train * (torch.arange(40) % 3 > 0)  # a third of the points is never seen
    model = replace(model, train=torch.stack([model.train, some / some.sum()]))
    one, other = theory(model, SIZES), resolvent_theory(model, SIZES)
    for name in ("kappa", "error", "unshifted_error", "point_error"):
        close(getattr(one, name), getattr(other, name), rtol=1e-8)
    assert one.converged.all() and one.point_error.shape == (2, 3, 40)


def test_the_error_is_an_average_over_one_map():
    model = cloud(ridge=0.1, noise=0.2)
    curve = theory(model, SIZES)
    close(curve.error, curve.point_error @ model.test)
    close(curve.unshifted_error, curve.point_error @ model.train)
    other = replace(model, test=model.train.flip(0))
    mixed = replace(model, test=0.3 * model.test + 0.7 * other.test)
    close(theory(mixed, SIZES).error, 0.3 * curve.error + 0.7 * theory(other, SIZES).error)


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_all_of_the_test_measure_enters_through_the_overlap(noise):
    model = cloud(ridge=0.1, noise=noise)
    basis, curve = modes(model), theory(model, SIZES)
    L = basis.eigenvalue / (basis.eigenvalue + curve.kappa[:, None])
    left = (1 - L) * basis.target
    fresh = (curve.unshifted_error + noise)[:, None]
    spread = (fresh / SIZES[:, None] * L**2 * basis.overlap.diagonal()).sum(-1)
    close(curve.error, ((left @ basis.overlap) * left).sum(-1) + spread, rtol=1e-8)
    same = modes(replace(model, test=model.train)).overlap
    close(same, torch.eye(40, dtype=DOUBLE), rtol=0, atol=1e-9)


def test_the_overlap_of_linear_regression():
    model = slopes(6)
    basis, root = modes(model), model.train_covariance.diagonal().sqrt()
    close(basis.eigenvalue, root**2)
    close(basis.overlap.abs(), model.test_covariance / root / root[:, None])
    close(basis.target.abs(), root * model.target)


def test_a_linear_kernel_on_points_is_linear_regression():
    x = draws.normal(1, "points", 1, (30, 4))[0]
    p, q = x[:, 0].softmax(0), (x[:, 1] - x[:, 2]).softmax(0)
    w = torch.tensor([1.0, -0.5, 0.3, 2.0], dtype=DOUBLE)
    points = KernelShift(x @ x.mT, x @ w, p, q, ridge=0.3, noise=0.2)
    covariance = [x.mT @ (m[:, None] * x) for m in (p, q)]
    linear = LinearShift(*((c + c.mT) / 2 for c in covariance), w, ridge=0.3, noise=0.2)
    sizes = torch.tensor([2, 4, 9])
    one, other = theory(points, sizes), theory(linear, sizes)
    for name in ("kappa", "error", "unshifted_error"):
        close(getattr(one, name), getattr(other, name), rtol=1e-9)
    without = replace(linear, ridge=0.0)
    many = theory(without, torch.tensor([9]))
    assert many.kappa == 0
    relative = torch.linalg.solve(linear.train_covariance, linear.test_covariance).trace()
    close(many.error[0], 0.2 * relative / (9 - 4))


def test_known_values():
    eye, w = torch.eye(50, dtype=DOUBLE), torch.full((50,), 50**-0.5, dtype=DOUBLE)
    twice = LinearShift(eye, 2 * eye, w, noise=0.1)
    curve = theory(twice, torch.tensor([25]))
    close(curve.error, torch.tensor([1.2], dtype=DOUBLE))
    close(curve.unshifted_error, torch.tensor([0.6], dtype=DOUBLE))
    ramp = replace(twice, test_covariance=torch.diag(torch.arange(1, 51, dtype=DOUBLE) / 25.5))
    close(theory(ramp, torch.tensor([25])).error, torch.tensor([0.6], dtype=DOUBLE))
    correlated = theory(slopes(60, ridge=0.2, noise=0.1), torch.tensor([30]))
    assert correlated.unshifted_error.item() == pytest.approx(0.1043528, abs=1e-7)
    assert correlated.error.item() == pytest.approx(2.6211187, abs=1e-7)


@pytest.mark.parametrize("change, samples", [({}, 1e-9), ({"ridge": 1e9}, 10.0)])
def test_who_has_learned_nothing_predicts_zero(change, samples):
    model = replace(cloud(ridge=0.1, noise=0.2), **change)
    curve = theory(model, torch.tensor([samples], dtype=DOUBLE))
    close(curve.error[0], model.test @ model.target**2, rtol=1e-6)
    linear = replace(slopes(ridge=0.1), **change)
    power = linear.target @ linear.test_covariance @ linear.target
    found = theory(linear, torch.tensor([samples], dtype=DOUBLE)).error[0]
    close(found, power, rtol=1e-6)


def test_scaling_kernel_and_ridge_together_changes_nothing():
    model = cloud(ridge=0.1, noise=0.2)
    other = theory(replace(model, kernel=50 * model.kernel, ridge=5.0), SIZES)
    one = theory(model, SIZES)
    close(one.error, other.error)
    close(50 * one.kappa, other.kappa)


def test_a_place_without_training_is_not_learned_from():
    model = cloud(ridge=0.1)
    p = model.train * (torch.arange(40) < 20)
    model = replace(model, train=p / p.sum())
    elsewhere = torch.where(torch.arange(40) < 20, model.target, 5.0)
    one, other = (theory(replace(model, target=y), SIZES) for y in (model.target, elsewhere))
    close(one.unshifted_error, other.unshifted_error)
    close(one.point_error[:, :20], other.point_error[:, :20])
    assert (other.point_error[:, 20:] > one.point_error[:, 20:]).all()


def test_a_target_that_the_kernel_cannot_see_is_noise_and_is_missed():
    x = draws.normal(2, "points", 1, (30, 3))[0]
    p = torch.full((30,), 1 / 30, dtype=DOUBLE)
    seen = x @ torch.tensor([1.0, 0.5, -0.2], dtype=DOUBLE)
    hidden = draws.normal(2, "hidden", 1, (30,))[0]
    hidden = hidden - x @ torch.linalg.lstsq(x, hidden[:, None]).solution[:, 0]
    model = KernelShift(x @ x.mT, seen + hidden, p, x[:, 0].softmax(0), ridge=0.2)
    noisy = replace(model, target=seen, noise=float(p @ hidden**2))
    one, other = theory(model, SIZES), theory(noisy, SIZES)
    close(one.kappa, other.kappa)
    close(one.unshifted_error, other.unshifted_error + p @ hidden**2)


def test_batches_are_their_members():
    model = cloud(ridge=0.1, noise=0.2)
    tests = torch.stack([model.train, model.test])
    ridges = torch.tensor([[0.1], [1.0], [3.0]], dtype=DOUBLE)
    many = theory(replace(model, test=tests, ridge=ridges), SIZES)
    assert many.error.shape == many.kappa.shape == (3, 2, 3)
    for i in range(3):
        for j in range(2):
            one = theory(replace(model, test=tests[j], ridge=ridges[i, 0]), SIZES)
            close(many.error[i, j], one.error)
            close(many.kappa[i, j], one.kappa)
    seen = experiment(replace(model, test=tests, ridge=ridges), SIZES, seed=0, members=4)
    assert seen.error.shape == seen.kappa.shape == (3, 2, 4, 3)
    assert seen.point_error.shape == (3, 2, 4, 3, 40)
    one = experiment(replace(model, test=tests[1], ridge=3.0), SIZES, seed=0, members=4)
    close(seen.error[2, 1], one.error)


def test_float32_models_get_float32_answers():
    model = cloud(ridge=0.1)
    single = KernelShift(
        *(x.float() for x in (model.kernel, model.target)),
        *(x.float() for x in (model.train, model.test)),
        ridge=0.1,
    )
    curve = theory(single, SIZES)
    assert curve.error.dtype == torch.float32
    close(curve.error.double(), theory(model, SIZES).error, rtol=1e-4)
    assert experiment(single, SIZES, seed=0, members=2).error.dtype == torch.float32


# Exact means at finite size


@pytest.mark.parametrize("n", [4, 12, 17, 24, 60])
def test_white_training_agrees_with_the_exact_mean(n):
    model, n = white(noise=0.5), torch.tensor([n])
    seen = experiment(model, n, seed=1, members=4000, chunk=1000)
    exact = finite_shift(model, n)
    assert (score(seen, exact) < STANDARD_ERRORS).all()
    assert (seen.error.std(-2) / 4000**0.5 < 0.06 * exact).all()  # a wrong factor would be seen


def test_any_training_covariance_beyond_the_peak():
    model = slopes(12, decay=1.5, noise=0.3)
    n = torch.tensor([16, 40])
    seen = experiment(model, n, seed=2, members=4000, chunk=1000)
    exact = finite_shift(model, n)
    assert (score(seen, exact) < STANDARD_ERRORS).all()
    k = torch.arange(1.0, 13, dtype=DOUBLE)
    close(exact, 0.3 * (k**1.5).sum() / (n - 13))


def test_the_exact_mean_in_words():
    n = torch.tensor([1, 2, 3, 4, 5])
    model = white(3)
    quiet = finite_shift(model, n)
    close(quiet[2:], torch.zeros(3, dtype=DOUBLE))  # without noise D samples say everything
    w, test = model.target, model.test_covariance
    u = draws.normal(0, "directions", 50_000, (3,))
    u = u / u.norm(dim=-1, keepdim=True)
    missed = w - u * (u @ w)[:, None]  # one sample shows the part of w along it
    each = ((missed @ test) * missed).sum(-1)
    assert abs(each.mean() - quiet[0]) < 4 * each.std() / 50_000**0.5
    noisy = finite_shift(replace(model, noise=0.5), n)
    assert noisy[1:4].isinf().all() and noisy[4].isfinite()
    close(noisy[4], 0.25 * test.trace())  # noise tr(Sigma^-1 test) / (n - D - 1), Sigma = 2 I


def test_theory_is_the_limit_of_the_exact_mean():
    big = white(400, noise=0.3)
    n = torch.tensor([100, 200, 600, 1200])
    close(theory(big, n).error, finite_shift(big, n), rtol=0.012)


def test_flat_and_alike_tie_and_the_root_wins():
    t = torch.arange(1.0, 31, dtype=DOUBLE) ** -2
    lectures = [
        torch.full((30,), t.mean().item(), dtype=DOUBLE),
        t,
        t.sqrt() * t.sum() / t.sqrt().sum(),
    ]
    model = LinearShift(torch.diag_embed(torch.stack(lectures)), torch.diag(t), t, noise=0.25)
    flat, alike, root = finite_shift(model, torch.tensor([60]))[:, 0]
    close(flat, alike)
    close(root / flat, t.sqrt().sum() ** 2 / (30 * t.sum()))
    near = torch.tensor([[0.9], [1.1]], dtype=DOUBLE)
    other = t**0.5 * torch.arange(1.0, 31) ** (near - 1)  # exponents beside the root
    other = other * t.sum() / other.sum(-1, keepdim=True)
    beside = finite_shift(
        replace(model, train_covariance=torch.diag_embed(other)), torch.tensor([60])
    )
    assert (beside > root).all()


# Against simulation


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_linear_regression_agrees_with_theory(decay):
    model = slopes(80, decay, ridge=0.3, noise=0.1)
    n = torch.tensor([20, 30, 45, 60])
    seen, predicted = experiment(model, n, seed=0, members=1000, chunk=250), theory(model, n)
    gap = (seen.error.mean(-2) / predicted.error - 1).abs()
    assert (gap < 0.02 + 2.5 * seen.error.std(-2) / 1000**0.5 / predicted.error).all()
    assert gap.median() < 0.02
    torch.testing.assert_close(seen.kappa.mean(-2), predicted.kappa, rtol=0.05, atol=0)
    torch.testing.assert_close(
        seen.unshifted_error.mean(-2), predicted.unshifted_error, rtol=0.05, atol=0
    )


def test_kernel_regression_agrees_with_theory():
    x = draws.normal(0, "points", 1, (600, 5))[0]
    u = torch.full((600,), 1 / 600, dtype=DOUBLE)
    tilts = torch.stack([u, x[:, 0].softmax(0), (x[:, 1] / 2).softmax(0)])
    y = torch.sin(2 * x[:, 0]) + x[:, 1]
    model = KernelShift(laplace(x), y, u, tilts, ridge=0.1, noise=0.05)
    n = torch.tensor([12, 25, 40])
    seen, predicted = experiment(model, n, seed=0, members=200), theory(model, n)
    gap = (seen.error.mean(-2) / predicted.error - 1).abs()
    assert gap.median() < 0.04 and gap.max() < 0.06
    unshifted = predicted.unshifted_error[1:]
    assert ((predicted.error[1:] / unshifted - 1).abs() > 0.1).any()  # or there was no shift
    # points that are drawn twice raise the trace of the resolvent
    torch.testing.assert_close(seen.kappa.mean(-2), predicted.kappa, rtol=0.2, atol=0)
    moved = replace(model, train=tilts[1], test=u)
    seen, predicted = experiment(moved, n, seed=1, members=200), theory(moved, n)
    assert ((seen.error.mean(-2) / predicted.error - 1).abs() < 0.08).all()
    map_gap = (seen.point_error.mean(0)[1] - predicted.point_error[1]).abs().mean()
    assert map_gap < 0.12 * predicted.point_error[1].mean()


def by_hand(K, y, rows, noise, ridge, weight):
    """One fit, written with sums and numpy-like indexing, and its squared error everywhere."""
    matrix = K[rows][:, rows] + torch.diag(ridge / weight[rows])
    alpha = torch.linalg.solve(matrix, y[rows] + noise)
    inverse = torch.linalg.inv(matrix)
    return (y - K[:, rows] @ alpha) ** 2, 1 / inverse.trace()


@pytest.mark.parametrize("weighted", [False, True])
def test_every_training_set_has_points_and_noise_of_its_own(weighted):
    model = cloud(ridge=0.2, noise=0.3)
    weight = model.test / model.train if weighted else None
    seen = experiment(model, torch.tensor([6, 9]), seed=5, members=5, chunk=2, weight=weight)
    assert seen.error.shape == (5, 2)
    used = torch.ones(40, dtype=DOUBLE) if weight is None else weight
    for size, n in enumerate((6, 9)):
        chance = draws.uniform(5, f"points {n}", 5, (n,))
        noise = 0.3**0.5 * draws.normal(5, f"noise {n}", 5, (n,))
        for member in range(5):
            edges = model.train.cumsum(0)
            rows = (chance[member][:, None] >= edges / edges[-1]).sum(-1)
            e, kappa = by_hand(model.kernel, model.target, rows, noise[member], 0.2, used)
            close(seen.point_error[member, size], e)
            close(seen.error[member, size], (model.test * e).sum())
            close(seen.unshifted_error[member, size], (model.train * e).sum())
            close(seen.kappa[member, size], kappa)


@pytest.mark.parametrize("n", [4, 9])  # fewer samples than inputs, and more
def test_every_linear_training_set_has_inputs_and_noise_of_its_own(n):
    model = slopes(6, ridge=0.4, noise=0.2)
    seen = experiment(model, torch.tensor([n]), seed=5, members=3, chunk=2)
    z = draws.normal(5, f"inputs {n}", 3, (n, 6))
    noise = 0.2**0.5 * draws.normal(5, f"noise {n}", 3, (n,))
    lam, V = torch.linalg.eigh(model.train_covariance)
    for member in range(3):
        x = z[member] @ (V * lam.sqrt()).mT
        y = x @ model.target + noise[member]
        w = torch.linalg.solve(x.mT @ x + 0.4 * torch.eye(6, dtype=DOUBLE), x.mT @ y)
        missed = model.target - w
        close(seen.error[member, 0], missed @ model.test_covariance @ missed)
        close(seen.unshifted_error[member, 0], missed @ model.train_covariance @ missed)
        kappa = 1 / torch.linalg.inv(x @ x.mT + 0.4 * torch.eye(n, dtype=DOUBLE)).trace()
        close(seen.kappa[member, 0], kappa)


def test_points_are_drawn_as_often_as_the_measure_says():
    p = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.0], dtype=DOUBLE)
    eye = torch.eye(5, dtype=DOUBLE)
    model = KernelShift(eye, torch.ones(5), p, p, ridge=1e9)  # kappa counts nothing here
    seen = experiment(
        replace(model, ridge=1.0), torch.tensor([1]), seed=0, members=20_000, chunk=5000
    )
    drawn = (seen.point_error[:, 0] < 0.9).double()  # the point that was drawn is half learned
    assert (drawn.sum(-1) == 1).all()
    share, error = drawn.mean(0), (p * (1 - p) / 20_000).sqrt()
    assert ((share - p).abs() <= 4 * error).all()
    close(seen.point_error.amin(-1), torch.full((20_000, 1), 0.25, dtype=DOUBLE))


def test_a_training_covariance_may_be_singular():
    train = torch.diag(torch.tensor([2.0, 1.0, 0.0], dtype=DOUBLE))
    test = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE))
    w = torch.tensor([1.0, 1.0, 2.0], dtype=DOUBLE)
    model = LinearShift(train, test, w, ridge=0.1)
    n = torch.tensor([40])
    close(theory(model, n).error[0], torch.tensor(12.0, dtype=DOUBLE), rtol=1e-2)  # 3 * 2^2
    assert (experiment(model, n, seed=0, members=3).error > 12).all()


# Measures that are searched for


@pytest.mark.parametrize("ridge, noise", [(0.1, 0.0), (0.5, 0.3), (0.0, 0.1)])
def test_the_slope_is_what_finite_differences_find(ridge, noise):
    model = cloud(ridge=ridge, noise=noise)
    move = draws.normal(0, "move", 1, (40,))[0] * model.train
    move = move - model.train * move.sum()
    far, near = (
        theory(replace(model, train=model.train + s * 1e-5 * move), SIZES) for s in (1, -1)
    )
    slope = train_slope(model, SIZES)
    close((far.error - near.error) / 2e-5, slope @ move, rtol=1e-6)
    own = theory(replace(model, test=model.train), SIZES)
    assert (slope @ move).abs().min() > 1e-4 * own.error.max()  # or nothing was tested


def test_the_slope_of_a_batch():
    model = cloud(ridge=0.2)
    tests = torch.stack([model.test, model.train])
    both = train_slope(replace(model, test=tests), SIZES)
    assert both.shape == (2, 3, 40)
    close(both[1], train_slope(replace(model, test=tests[1]), SIZES))


@pytest.mark.parametrize("temperature", [0.3, 0.05])
def test_the_best_training_is_a_boltzmann_measure_in_its_own_landscape(temperature):
    model = cloud(ridge=0.3, noise=0.1)
    best = optimal_train(model, SIZES, temperature=temperature, steps=400, tolerance=1e-5)
    assert best.converged.all() and (best.residual <= 1e-5).all()
    for size, p in zip(SIZES, best.measure, strict=True):
        landscape = train_slope(replace(model, train=p), size[None])[0]
        expected = (model.train.log() - landscape / temperature).softmax(0)
        close(p, expected, rtol=1e-3)
    close(best.measure.sum(-1), torch.ones(3, dtype=DOUBLE))
    at_best = theory(replace(model, train=best.measure[1]), SIZES[1:2]).error[0]
    close(best.error[1, -1], at_best)
    close(best.error[:, 0], theory(model, SIZES).error)


def test_no_step_climbs_and_hot_measures_stay():
    model = cloud(ridge=0.3, noise=0.1)
    cold = optimal_train(model, SIZES, temperature=0.0, steps=40)
    assert (cold.error.diff(dim=-1) <= 0).all() and cold.error.shape == (3, 41)
    assert (cold.error[:, -1] < 0.8 * cold.error[:, 0]).all()
    hot = optimal_train(model, SIZES, temperature=1e6, steps=5).measure
    close(hot, model.train.expand(3, 40), rtol=1e-4)
    slope = train_slope(model, SIZES)
    slope = slope - (model.train * slope).sum(-1, keepdim=True)
    warm = optimal_train(model, SIZES, temperature=1e4, steps=5).measure
    close(1e4 * (warm / model.train - 1), -slope, rtol=1e-2, atol=1e-3)


def test_a_training_measure_with_holes_keeps_them():
    model = cloud(ridge=0.3)
    p = model.train * (torch.arange(40) % 4 > 0)
    best = optimal_train(replace(model, train=p / p.sum()), SIZES, temperature=0.1, steps=20)
    assert (best.measure[:, ::4] == 0).all() and best.error.isfinite().all()


def test_the_optimised_measure_helps_in_the_experiment():
    grid = torch.cartesian_prod(*2 * [torch.linspace(-2, 2, 13, dtype=DOUBLE)])
    kernel, q = laplace(2 * grid), (-grid.square().sum(-1) / 2).softmax(0)
    y = torch.sin(1.5 * grid[:, 0]) * torch.cos(1.5 * grid[:, 1])
    model = KernelShift(kernel, y / (q @ y**2).sqrt(), q, q, ridge=0.5, noise=0.05)
    n = torch.tensor([25])
    best = optimal_train(model, n, temperature=0.2, steps=30)
    both = replace(model, train=torch.stack([q, best.measure[0]]))
    seen = experiment(both, n, seed=0, members=600).error[..., 0]
    promised = theory(both, n).error[:, 0].diff()[0]
    gain = seen[1] - seen[0]
    assert promised < -0.08
    assert abs(gain.mean() - promised) < 0.15 * abs(promised) + 3 * gain.std() / 600**0.5


@pytest.mark.parametrize("search, sign", [(beneficial_test, -1), (adversarial_test, 1)])
def test_the_best_and_the_worst_test_are_boltzmann_measures(search, sign):
    model = cloud(ridge=0.2, noise=0.1)
    e = theory(model, SIZES).point_error
    q = search(model, SIZES, temperature=0.4)
    assert q.shape == (3, 40)
    close(q.sum(-1), torch.ones(3, dtype=DOUBLE))
    # the free energy: no other measure does better
    divergence = (q * (q / model.test).log()).sum(-1)
    found = (q * e).sum(-1) - sign * 0.4 * divergence
    weights = (sign * e / 0.4).exp() @ model.test
    close(found, sign * 0.4 * weights.log())
    ends = e.amax(-1) if sign == 1 else e.amin(-1)
    close((search(model, SIZES, temperature=1e-4) * e).sum(-1), ends, rtol=1e-3)
    close(search(model, SIZES, temperature=1e9), model.test.expand(3, 40), rtol=1e-6)
    shifted = theory(replace(model, test=q[1]), SIZES[1:2]).error
    assert sign * (shifted - theory(model, SIZES[1:2]).error) > 0


# A ridge for every place


def ring(points=60, **options):
    angle = 2 * torch.pi * torch.arange(points, dtype=DOUBLE) / points
    kernel = torch.exp(-2 * (torch.sin((angle[:, None] - angle) / 2)).abs())
    uniform = torch.full((points,), 1 / points, dtype=DOUBLE)
    return KernelShift(kernel, torch.cos(2 * angle), uniform, uniform, **options)


def test_where_all_places_are_alike_one_ridge_is_enough():
    model = replace(
        ring(ridge=0.2, noise=0.1), test=torch.linspace(0, 1, 60, dtype=DOUBLE).softmax(0)
    )
    local, usual = local_theory(model, SIZES), theory(model, SIZES)
    assert local.converged.all()
    close(local.kappa, usual.kappa, rtol=1e-8)
    # the target is not alike everywhere, so its errors are only on average
    close(local.unshifted_error, usual.unshifted_error, rtol=1e-8)
    quiet = replace(model, target=torch.zeros(60, dtype=DOUBLE))
    close(local_theory(quiet, SIZES).point_error, theory(quiet, SIZES).point_error, rtol=1e-8)


def test_local_theory_solves_its_equations():
    model = cloud(ridge=0.2, noise=0.3)
    weight = model.test / model.train
    n = 12
    found = local_theory(model, torch.tensor([n]), weight=weight)
    K, p = model.kernel, model.train
    kappa = torch.ones(40, dtype=DOUBLE)
    for _ in range(400):  # from below, with K inverted
        F = torch.linalg.inv(torch.linalg.inv(K) + torch.diag(p / kappa))
        kappa = (0.2 / weight + F.diagonal()) / n
    close(1 / found.kappa[0], (p / kappa).sum(), rtol=1e-8)
    r = model.target - F @ (p / kappa * model.target)
    s = torch.zeros(40, dtype=DOUBLE)
    for _ in range(2000):
        s = (F**2 * p / kappa**2 / n) @ (r**2 + 0.3 + s)
    close(found.point_error[0], r**2 + s, rtol=1e-8)
    close(found.error[0], model.test @ (r**2 + s), rtol=1e-8)
    close(found.unshifted_error[0], p @ (r**2 + s), rtol=1e-8)


def test_weights_scale_the_ridge_and_mean_nothing_without_one():
    model, n = cloud(ridge=0.2, noise=0.1), SIZES
    ones = torch.ones(40, dtype=DOUBLE)
    five = replace(model, ridge=1.0)
    close(local_theory(model, n).error, local_theory(five, n, weight=5 * ones).error)
    one, other = (
        experiment(m, n, seed=0, members=3, weight=w) for m, w in ((model, None), (five, 5 * ones))
    )
    close(one.error, other.error)
    tiny, uneven = replace(model, ridge=1e-11), model.test / model.train
    close(local_theory(tiny, n).error, local_theory(tiny, n, weight=uneven).error, rtol=1e-6)


def test_a_ridge_for_every_place_sees_a_shift_that_one_ridge_misses():
    grid = torch.cartesian_prod(*2 * [torch.linspace(-2, 2, 13, dtype=DOUBLE)])
    left, right = (
        (-(grid - torch.tensor([x, 0.0])).square().sum(-1) / 2).softmax(0) for x in (-0.5, 0.5)
    )
    y = torch.sin(1.5 * grid[:, 0]) * torch.cos(1.5 * grid[:, 1])
    y = y / (right @ y**2).sqrt()
    model = KernelShift(laplace(grid), y, left, right, ridge=1.0, noise=0.05)
    n, weight = torch.tensor([20]), right / left
    seen = experiment(model, n, seed=0, members=600, weight=weight).error.mean()
    local = local_theory(model, n, weight=weight).error.item()
    assert abs(local / seen - 1) < 0.05
    root = weight.sqrt()  # the same fit as a kernel without weights, which one ridge believes in
    same = KernelShift(
        root[:, None] * model.kernel * root, root * y, left, left, ridge=1.0, noise=0.05
    )
    assert theory(same, n).error.item() < 0.9 * seen


# Wide networks


def circle_task(points=24, **options):
    angle = 2 * torch.pi * torch.arange(points, dtype=DOUBLE) / points
    inputs = torch.stack([angle.cos(), angle.sin(), torch.ones_like(angle)], -1)
    kernel = wide_kernels(inputs, torch.relu, 1, 2.0).tangent
    p = angle.cos().softmax(0)
    model = KernelShift((kernel + kernel.mT) / 2, torch.cos(angle), p, p.flip(0), **options)
    return model, inputs


def test_wide_networks_are_their_tangent_kernel():
    model, inputs = circle_task()
    n = torch.tensor([4, 7])
    run = {"activation": torch.relu, "steps": 800, "seed": 0, "members": 6}
    nets = network_experiment(model, inputs, n, width=2048, **run)
    fits = experiment(replace(model, ridge=1e-6), n, seed=0, members=6)  # the same training sets
    gap = (nets.point_error - fits.point_error).abs().mean() / fits.point_error.mean()
    assert gap < 0.1
    assert nets.kappa is None and nets.point_error.shape == (6, 2, 24)
    close(nets.error, (model.test * nets.point_error).sum(-1))
    close(nets.unshifted_error, (model.train * nets.point_error).sum(-1))


def test_networks_start_from_zero_and_see_the_noise():
    model, inputs = circle_task(noise=4.0)
    n = torch.tensor([5])
    run = {"activation": torch.relu, "width": 8, "seed": 0, "members": 3}
    untrained = network_experiment(model, inputs, n, steps=0, **run)
    close(untrained.point_error, (model.target**2).expand(3, 1, 24))
    noisy = network_experiment(model, inputs, n, steps=50, **run)
    quiet = network_experiment(replace(model, noise=0.0), inputs, n, steps=50, **run)
    assert (noisy.error > 2 * quiet.error).all()


# Refusals


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kernel": torch.ones(40, 40).triu()}, "kernel must be symmetric"),
        ({"kernel": torch.full((40, 40), torch.inf)}, "kernel must be finite"),
        ({"target": torch.full((40,), torch.inf)}, "target must be finite"),
        ({"train": torch.full((40,), 0.05)}, "train must be weights with sum 1"),
        ({"test": torch.linspace(-1, 1.05, 40)}, "test must be weights with sum 1"),
        ({"test": torch.eye(40)[:, :39]}, "axis 'point'"),
        ({"ridge": -0.1}, "ridge must be finite and not negative"),
        ({"noise": float("inf")}, "noise must be finite and not negative"),
        ({"ridge": torch.tensor([0.1, -1.0])}, "ridge must be"),
        ({"ridge": torch.ones(2), "noise": torch.ones(3)}, "leading axes must fit"),
    ],
)
def test_impossible_kernel_models_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(cloud(), **change)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train_covariance": torch.ones(20, 20).triu()}, "train_covariance must be symmetric"),
        ({"test_covariance": -torch.eye(20)}, "test_covariance must have no negative"),
        ({"train_covariance": torch.zeros(20, 20)}, "train_covariance must not be 0"),
        (
            {"train_covariance": torch.stack([torch.eye(20), torch.zeros(20, 20)])},
            "train_covariance must not be 0",
        ),
        ({"target": torch.full((20,), torch.inf)}, "target must be finite"),
        ({"target": torch.ones(19)}, "axis 'input'"),
        ({"noise": -1.0}, "noise must be finite and not negative"),
    ],
)
def test_impossible_linear_models_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(white(), **change)


def test_a_function_that_is_no_kernel_is_refused():
    model = replace(cloud(), kernel=-cloud().kernel)
    with pytest.raises(ValueError, match="no negative eigenvalue"):
        theory(model, SIZES)
    with pytest.raises(ValueError, match="a positive one"):
        theory(replace(model, kernel=torch.zeros(40, 40)), SIZES)


@pytest.mark.parametrize("bad", [[0], [5, -3], [float("inf")]])
def test_impossible_sizes_are_refused(bad):
    model, n = cloud(ridge=0.1), torch.tensor(bad)
    searches = [beneficial_test, optimal_train]
    for call in (theory, resolvent_theory, local_theory, train_slope):
        with pytest.raises(ValueError, match="samples must"):
            call(model, n)
    for call in searches:
        with pytest.raises(ValueError, match="samples must"):
            call(model, n, temperature=0.1)
    with pytest.raises(ValueError, match="samples must"):
        experiment(model, n, seed=0, members=3)
    with pytest.raises(ValueError, match="samples must"):
        finite_shift(white(), n)


def test_impossible_experiments_are_refused():
    model, n = cloud(ridge=0.1), torch.tensor([10])
    for sizes in ([2.5], [2.0, 0.0]):
        with pytest.raises(ValueError, match="positive whole numbers"):
            experiment(model, torch.tensor(sizes), seed=0, members=3)
    for name in ("members", "chunk"):
        with pytest.raises(ValueError, match=f"{name} must be"):
            experiment(model, n, **({"seed": 0, "members": 3} | {name: 0}))
    with pytest.raises(ValueError, match="must not be singular"):
        one = torch.eye(40, dtype=DOUBLE)[0]
        experiment(replace(model, train=one, ridge=0.0), n, seed=0, members=3)
    for weight in (torch.zeros(40), torch.ones(39), torch.full((40,), torch.inf)):
        with pytest.raises(ValueError, match="weight must"):
            experiment(model, n, seed=0, members=3, weight=weight)
    with pytest.raises(ValueError, match="weight must be 40"):
        local_theory(model, n, weight=torch.ones(39))
    with pytest.raises(ValueError, match="weight must be left out"):
        experiment(white(), n, seed=0, members=3, weight=torch.ones(20))
    task, inputs = circle_task()
    run = {"activation": torch.relu, "width": 4, "steps": 1, "seed": 0, "members": 2}
    with pytest.raises(ValueError, match="one model, no batch"):
        network_experiment(replace(task, test=task.test.expand(2, -1)), inputs, n, **run)


def test_impossible_searches_are_refused():
    model, n = cloud(ridge=0.1), torch.tensor([10])
    for search in (beneficial_test, adversarial_test):
        for temperature in (0.0, -1.0, float("inf")):
            with pytest.raises(ValueError, match="temperature must be positive"):
                search(model, n, temperature=temperature)
    for temperature in (-0.1, float("inf")):
        with pytest.raises(ValueError, match="temperature must be finite and not negative"):
            optimal_train(model, n, temperature=temperature)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        optimal_train(model, n, temperature=0.1, steps=0)
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        local_theory(model, n, iterations=0)
    with pytest.raises(ValueError, match="kappa must be positive"):
        resolvent_theory(replace(model, ridge=0.0), torch.tensor([40]))


def test_where_the_exact_mean_is_unknown_is_said():
    n = torch.tensor([10])
    with pytest.raises(ValueError, match="ridge must be 0"):
        finite_shift(white(ridge=0.1), n)
    with pytest.raises(ValueError, match="multiple of the identity"):
        finite_shift(slopes(20), n)
    with pytest.raises(ValueError, match="must not be singular"):
        flat = torch.eye(20, dtype=DOUBLE)
        flat[0, 0] = 0
        finite_shift(replace(white(), train_covariance=flat), torch.tensor([40]))
