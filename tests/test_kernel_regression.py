"""Claims of chapters/kernel_regression.md, one test per claim."""

from dataclasses import fields

import pytest
import torch
from scipy.special import eval_legendre

from toymodels.exercises import kernel_regression as exercises
from toymodels.kernel_regression import (
    KernelRegression,
    effective_ridge,
    experiment,
    finite_white,
    sphere_experiment,
    theory,
)
from toymodels.numerics import draws
from toymodels.numerics.spectra import power_law, sphere_degeneracy, sphere_spectrum

DOUBLE = torch.float64
LAM = power_law(60, 1.5)
V = power_law(60, 1.0)
SHELLS = torch.tensor([1, 4, 10, 45])
SIZES = torch.tensor([0.01, 1, 10, 59, 60, 61, 500])
MEASURED = ("kappa", "error", "mode_error", "train_error", "learnability")
STANDARD_ERRORS = 4.5  # one false alarm in 1e5 comparisons


def white(modes=100, **options):
    one = torch.ones(modes, dtype=DOUBLE)
    return KernelRegression(one, one / modes**0.5, **options)


def shells(**options):
    lam = torch.tensor([1.0, 0.2, 0.03, 0.004], dtype=DOUBLE)
    v = torch.tensor([0.5, 0.6, 0.4, 0.3], dtype=DOUBLE)
    return KernelRegression(lam, v, degeneracy=SHELLS, **options)


def over_members(curve, name):
    """Mean and standard error over training sets, by hand."""
    each = getattr(curve, name)
    axis = -3 if name in ("mode_error", "learnability") else -2
    return each.mean(axis), each.std(axis) / each.shape[axis] ** 0.5


def average(curve, name):
    return over_members(curve, name)[0]


def score(seen, predicted, name):
    mean, error = over_members(seen, name)
    return (mean - predicted).abs() / error


# The equation for kappa


@pytest.mark.parametrize("ridge", [0.0, 1e-300, 1e-12, 1e-3, 1.0, 1e9])
@pytest.mark.parametrize(
    "lam, m",
    [
        (LAM, torch.ones(60)),
        (torch.exp(-torch.arange(60, dtype=DOUBLE)), torch.ones(60)),
        (LAM[:4], SHELLS),
    ],
)
def test_n_samples_buy_n_units_of_learnability(ridge, lam, m):
    n = SIZES.to(DOUBLE)
    root = effective_ridge(KernelRegression(lam, lam, degeneracy=m, ridge=ridge), n)
    positive = root.solution > 0
    L = lam / (lam + root.solution[:, None])
    spent = (m * L).sum(-1) + ridge / root.solution
    torch.testing.assert_close(spent[positive], n[positive], rtol=1e-12, atol=0)
    assert root.converged.all() and (root.residual <= 1e-12).all()
    assert positive.tolist() == [ridge > 0 or size < 60 for size in n.tolist()]


def test_the_residual_is_measured_where_an_equation_is_solved():
    root = effective_ridge(KernelRegression(LAM, V), torch.arange(1, 120))
    assert (root.residual[:59] > 0).any()  # rounding leaves something
    assert (root.residual[59:] == 0).all()


@pytest.mark.parametrize("ridge", [1e-9, 0.3, 100.0])
def test_white_kappa_solves_its_quadratic(ridge):
    n = torch.tensor([1.0, 50, 99, 100, 101, 400], dtype=DOUBLE)
    a, r = n / 100, ridge / 100
    half = (a - 1 - r) / 2  # a kappa^2 + (a - 1 - r) kappa - r = 0, without cancellation
    root = (half**2 + a * r).sqrt()
    expected = torch.where(half < 0, (root - half) / a, r / (half + root))
    found = effective_ridge(white(ridge=ridge), n).solution
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_kappa_of_a_power_law_approaches_its_continuum_limit():
    n = torch.tensor([50, 200])
    lam = power_law(20_000, 2.0)
    found = effective_ridge(KernelRegression(lam, lam), n).solution * n**2
    torch.testing.assert_close(
        found, torch.tensor([2.4138, 2.4351], dtype=DOUBLE), rtol=1e-4, atol=0
    )


# Limits and identities of the learning curve


@pytest.mark.parametrize("factor", [1e-6, 7.0, 1e6])
def test_scaling_kernel_and_ridge_together_changes_nothing(factor):
    one = theory(KernelRegression(LAM, V, ridge=0.1, noise=0.2), SIZES)
    other = theory(KernelRegression(factor * LAM, V, ridge=0.1 * factor, noise=0.2), SIZES)
    for name in ("error", "mode_error", "train_error", "learnability"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name))
    torch.testing.assert_close(one.kappa, other.kappa / factor)


def test_without_samples_nothing_is_learned():
    curve = theory(KernelRegression(LAM, V, ridge=0.1, noise=0.2), torch.tensor([1e-9]))
    torch.testing.assert_close(curve.mode_error[0], V**2)
    assert curve.learnability.max() < 1e-8


def test_modes_sum_to_the_error():
    curve = theory(shells(ridge=0.1, noise=0.2), SIZES)
    torch.testing.assert_close(curve.mode_error.sum(-1), curve.error)


def test_white_modes_without_ridge():
    n = torch.tensor([10.0, 50, 90, 110, 300], dtype=DOUBLE)
    curve = theory(white(noise=0.25), n)
    a = n / 100
    expected = torch.where(a < 1, (1 - a) + 0.25 * a / (1 - a), 0.25 / (a - 1))
    torch.testing.assert_close(curve.error, expected)
    torch.testing.assert_close(curve.train_error, 0.25 * (1 - 1 / a).clamp(min=0))
    assert (curve.kappa[a >= 1] == 0).all()


def test_at_the_peak_noise_diverges_and_nothing_else_does():
    n = torch.tensor([100])
    assert theory(white(noise=0.1), n).error.isinf().all()
    quiet = theory(white(), n)
    assert quiet.error == 0 and quiet.train_error == 0
    assert not theory(white(noise=0.1), n).mode_error.isnan().any()


def test_best_white_ridge_is_noise_over_power_per_mode():
    ridge = torch.linspace(20, 30, 101, dtype=DOUBLE)
    errors = theory(white(ridge=ridge, noise=0.25), torch.tensor([20, 60, 150])).error
    torch.testing.assert_close(ridge[errors.argmin(0)], torch.full((3,), 25.0, dtype=DOUBLE))
    assert errors[50, 1].item() == pytest.approx(0.58059, abs=1e-5)


def test_known_values_of_one_mode_among_many():
    lam, target = power_law(100, 1.5), torch.zeros(100, dtype=DOUBLE)
    target[9] = 1.0
    curve = theory(KernelRegression(lam, target, ridge=0.05), torch.tensor([40]))
    assert curve.mode_error[0, 9].item() == pytest.approx(0.0482, abs=5e-5)
    assert curve.mode_error[0, 0].item() == pytest.approx(0.0021, abs=5e-5)


def test_small_ridge_joins_the_branch_without_ridge():
    n = torch.tensor([30, 59, 61, 200])
    none = theory(KernelRegression(LAM, V, noise=0.1), n)
    tiny = theory(KernelRegression(LAM, V, noise=0.1, ridge=1e-14), n)
    for name in ("error", "train_error", "learnability"):
        torch.testing.assert_close(getattr(none, name), getattr(tiny, name), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_noise_is_power_in_a_mode_the_kernel_cannot_see(ridge):
    blind = KernelRegression(
        torch.cat([LAM, torch.zeros(1, dtype=DOUBLE)]),
        torch.cat([V, torch.full((1,), 0.5, dtype=DOUBLE)]),
        ridge=ridge,
    )
    noisy = KernelRegression(LAM, V, ridge=ridge, noise=0.25)
    one, other = theory(blind, SIZES), theory(noisy, SIZES)
    torch.testing.assert_close(one.error, other.error + 0.25)
    torch.testing.assert_close(one.mode_error[:, :-1], other.mode_error)
    torch.testing.assert_close(one.train_error, other.train_error)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_a_shell_is_its_members(ridge):
    m = SHELLS
    one = theory(shells(ridge=ridge, noise=0.2), SIZES)
    lam = shells().eigenvalue.repeat_interleave(m)
    v = (shells().target / m.sqrt()).repeat_interleave(m)
    other = theory(KernelRegression(lam, v, ridge=ridge, noise=0.2), SIZES)
    torch.testing.assert_close(one.error, other.error)
    torch.testing.assert_close(one.train_error, other.train_error)
    torch.testing.assert_close(one.mode_error[:, 3], other.mode_error[:, -45:].sum(-1))
    assert len(lam) == m.sum()


# Against simulation


@pytest.mark.parametrize("n", [20, 60, 90, 115, 180])
def test_white_simulation_agrees_with_the_exact_finite_size_formula(n):
    n = torch.tensor([n])
    seen = experiment(white(noise=0.25), n, seed=3, members=200)
    exact = finite_white(100, n, noise=0.25)
    assert (score(seen, exact, "error") < STANDARD_ERRORS).all()
    assert (over_members(seen, "error")[1] / exact < 0.07).all()  # the test can see a wrong factor


def test_finite_white_formula():
    n = torch.tensor([50, 98, 99, 100, 101, 102, 201])
    found = finite_white(100, n, power=2.0, noise=0.5)
    inf = float("inf")
    expected = [1 + 0.5 * 50 / 49, 0.04 + 0.5 * 98, inf, inf, inf, 50.0, 0.5]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=DOUBLE))
    torch.testing.assert_close(finite_white(100, n), (1 - n.to(DOUBLE) / 100).clamp(min=0))
    alone = finite_white(1, torch.tensor([3]), power=0.0, noise=0.5)  # one mode: noise / (n - 2)
    torch.testing.assert_close(alone, torch.tensor([0.5], dtype=DOUBLE))


@pytest.mark.parametrize("ridge, noise", [(0.05, 0.05), (0.3, 0.0), (0.0, 0.1)])
def test_simulation_agrees_with_theory(ridge, noise):
    v = power_law(200, 0.75)
    model = KernelRegression(power_law(200, 1.5), v / v.norm(), ridge=ridge, noise=noise)
    n = torch.tensor([60, 120])
    seen, predicted = experiment(model, n, seed=0, members=200), theory(model, n)
    # tolerances: correction of order 1/n plus three standard errors of about 1 %
    torch.testing.assert_close(average(seen, "error"), predicted.error, rtol=0.04, atol=0)
    torch.testing.assert_close(
        average(seen, "train_error"), predicted.train_error, rtol=0.06, atol=1e-20
    )
    torch.testing.assert_close(average(seen, "kappa"), predicted.kappa, rtol=2 / 60, atol=0)
    torch.testing.assert_close(
        average(seen, "learnability"), predicted.learnability, rtol=0, atol=0.02
    )
    strong = slice(0, 20)
    assert (score(seen, predicted.mode_error, "mode_error")[:, strong] < 6).all()


def test_simulation_with_more_samples_than_modes():
    model = KernelRegression(LAM, V, ridge=0.5, noise=0.3)
    n = torch.tensor([150])
    seen, predicted = experiment(model, n, seed=0, members=200), theory(model, n)
    assert (score(seen, predicted.error, "error") < STANDARD_ERRORS).all()
    assert (score(seen, predicted.train_error, "train_error") < STANDARD_ERRORS).all()
    torch.testing.assert_close(average(seen, "kappa"), predicted.kappa, rtol=0.01, atol=0)


def test_no_jump_where_the_fit_changes_from_samples_to_modes():
    model = KernelRegression(LAM[:40], V[:40], ridge=0.2, noise=0.1)
    n = torch.tensor([40, 41])  # 40 modes: K is inverted for the first, X^T X for the second
    seen, predicted = experiment(model, n, seed=0, members=400), theory(model, n)
    torch.testing.assert_close(average(seen, "error"), predicted.error, rtol=0.1, atol=0)
    torch.testing.assert_close(average(seen, "kappa"), predicted.kappa, rtol=0.02, atol=0)


def test_measured_learnability_is_conserved_in_every_draw():
    model = shells(ridge=0.1)
    seen = experiment(model, torch.tensor([20, 100]), seed=0, members=3)
    spent = (SHELLS * seen.learnability).sum(-1) + 0.1 / seen.kappa  # tr(K G) + ridge tr G = n
    expected = torch.tensor([20.0, 100.0], dtype=DOUBLE).expand(3, 2)
    torch.testing.assert_close(spent, expected, rtol=1e-12, atol=0)


def test_degenerate_shells_in_simulation():
    model = shells(ridge=0.05, noise=0.02)
    n = torch.tensor([50])
    seen, predicted = experiment(model, n, seed=0, members=300), theory(model, n)
    torch.testing.assert_close(average(seen, "mode_error"), predicted.mode_error, rtol=0.12, atol=0)
    torch.testing.assert_close(average(seen, "error"), predicted.error, rtol=0.03, atol=0)


def test_sphere_agrees_with_theory():
    lam, m = sphere_spectrum(torch.exp, 8, 10), sphere_degeneracy(8, torch.arange(10))
    v = torch.zeros(10, dtype=DOUBLE)
    v[:4] = torch.tensor([0.3, 0.6, 0.5, 0.3], dtype=DOUBLE)
    model = KernelRegression(lam, v, degeneracy=m, ridge=0.1, noise=0.05)
    n = torch.tensor([80])
    seen = sphere_experiment(model, n, kernel=torch.exp, dimension=8, seed=0, members=60)
    predicted = theory(model, n)
    torch.testing.assert_close(average(seen, "error"), predicted.error, rtol=0.06, atol=0)
    torch.testing.assert_close(
        average(seen, "train_error"), predicted.train_error, rtol=0.1, atol=0
    )
    torch.testing.assert_close(
        average(seen, "learnability"), predicted.learnability, rtol=0, atol=0.02
    )
    torch.testing.assert_close(average(seen, "kappa"), predicted.kappa, rtol=0.05, atol=0)


def test_a_kernel_on_the_sphere_sees_no_cosine_above_one():
    lam = torch.ones(3, dtype=DOUBLE)
    model = KernelRegression(lam, lam, degeneracy=sphere_degeneracy(3, torch.arange(3)), ridge=0.1)
    n = torch.tensor([50])  # of 50 points some have x.x = 1 + 2e-16
    seen = sphere_experiment(
        model, n, kernel=lambda c: torch.pi - torch.arccos(c), dimension=3, seed=0, members=2
    )
    assert seen.error.isfinite().all()


def test_a_pool_of_points_is_sampled_without_replacement():
    # white on the pool: exactly the n chosen points are learned, whatever the draw
    S = 30
    features = torch.eye(S, dtype=DOUBLE) * S**0.5
    seen = experiment(white(S), torch.tensor([12]), seed=0, members=5, features=features)
    torch.testing.assert_close(average(seen, "error"), torch.tensor([1 - 12 / S], dtype=DOUBLE))


def ridge_regression(K, label, ridge):
    """Dual weights and training error, one training set after the other."""
    alpha = torch.stack(
        [torch.linalg.inv(k + ridge * torch.eye(len(k))) @ y for k, y in zip(K, label, strict=True)]
    )
    fit = (K @ alpha[..., None])[..., 0]
    return alpha, torch.stack([sum((y - f) ** 2) / len(y) for y, f in zip(label, fit, strict=True)])


@pytest.mark.parametrize("n", [5, 12])  # fewer samples than modes, and more
@pytest.mark.parametrize("pool", [None, 30])
def test_every_training_set_has_inputs_and_noise_of_its_own(n, pool):
    lam, v = LAM[:8], V[:8]
    model = KernelRegression(lam, v, ridge=0.1, noise=0.2)
    if pool is None:
        features, phi = None, draws.normal(3, f"features {n}", 3, (n, 8))
    else:
        features = draws.normal(0, "pool", 1, (pool, 8))[0]
        order = draws.uniform(3, f"points {n}", 3, (pool,)).argsort(-1)
        phi = features[order[:, :n]]
    seen = experiment(model, torch.tensor([n]), seed=3, members=3, features=features, chunk=2)
    label = phi @ v + 0.2**0.5 * draws.normal(3, f"noise {n}", 3, (n,))
    alpha, train = ridge_regression((phi * lam) @ phi.mT, label, 0.1)
    error = (v - lam * (alpha[:, None] @ phi)[:, 0]) ** 2
    torch.testing.assert_close(seen.mode_error[:, 0], error)
    torch.testing.assert_close(seen.train_error[:, 0], train)


def test_every_training_set_on_the_sphere_has_points_and_noise_of_its_own():
    lam, v, degree = LAM[:3], V[:3], torch.arange(3)
    model = KernelRegression(lam, v, degeneracy=2 * degree + 1, ridge=0.1, noise=0.2)
    run = {"kernel": torch.exp, "dimension": 3, "seed": 3, "members": 3, "chunk": 2}
    seen = sphere_experiment(model, torch.tensor([6]), **run)
    x = draws.normal(3, "points 6", 3, (6, 3))
    x = x / x.norm(dim=-1, keepdim=True)
    zonal = (2 * degree + 1).sqrt() * torch.from_numpy(
        eval_legendre(degree.numpy(), x[..., :1].numpy())
    )
    label = zonal @ v + 0.2**0.5 * draws.normal(3, "noise 6", 3, (6,))
    train = ridge_regression(torch.exp(x @ x.mT), label, 0.1)[1]
    torch.testing.assert_close(seen.train_error[:, 0], train)


# Seeds, batches, precision


def test_members_do_not_depend_on_chunks_or_other_sizes():
    model = KernelRegression(LAM, V, ridge=0.1, noise=0.2)
    whole = experiment(model, torch.tensor([5, 20, 80]), seed=1, members=7)
    parts = experiment(model, torch.tensor([20, 80]), seed=1, members=7, chunk=3)
    for name in MEASURED:
        torch.testing.assert_close(getattr(whole, name)[:, 1:], getattr(parts, name))
    other = experiment(model, torch.tensor([20, 80]), seed=2, members=7)
    assert not torch.allclose(other.error, parts.error)


def test_members_on_the_sphere_do_not_depend_on_chunks():
    m = sphere_degeneracy(3, torch.arange(4))
    model = KernelRegression(LAM[:4], V[:4], degeneracy=m, ridge=0.1, noise=0.1)
    run = {"kernel": torch.exp, "dimension": 3, "seed": 0, "members": 7}
    whole, parts = (
        sphere_experiment(model, torch.tensor([9]), chunk=chunk, **run) for chunk in (7, 1)
    )
    for name in MEASURED:
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name))


def test_a_batch_is_its_members():
    ridge = torch.tensor([[0.1], [0.5]], dtype=DOUBLE)
    noise = torch.tensor([0.0, 0.2, 0.3], dtype=DOUBLE)
    batch = KernelRegression(torch.stack([LAM, LAM**2, LAM**1.2]), V, ridge=ridge, noise=noise)
    n = torch.tensor([10, 90])
    expected, seen = theory(batch, n), experiment(batch, n, seed=0, members=4)
    assert expected.error.shape == (2, 3, 2) and seen.error.shape == (2, 3, 4, 2)
    for i in range(2):
        for j in range(3):
            one = KernelRegression(batch.eigenvalue[j], V, ridge=ridge[i, 0], noise=noise[j])
            alone, alone_seen = theory(one, n), experiment(one, n, seed=0, members=4)
            for name in MEASURED:
                torch.testing.assert_close(getattr(expected, name)[i, j], getattr(alone, name))
                torch.testing.assert_close(getattr(seen, name)[i, j], getattr(alone_seen, name))


def test_dtype_and_device_follow_the_model(device):
    lam, v = LAM.to(device, torch.float32), V.to(device, torch.float32)
    model = KernelRegression(lam, v, ridge=0.1)
    n = torch.tensor([10, 70])
    for curve in (theory(model, n), experiment(model, n, seed=0, members=3)):
        for field in fields(curve):
            value = getattr(curve, field.name)
            if isinstance(value, torch.Tensor) and field.name not in ("samples", "converged"):
                assert value.dtype == torch.float32 and value.device == lam.device, field.name
    exact = theory(KernelRegression(LAM, V, ridge=0.1), n).error
    torch.testing.assert_close(theory(model, n).error.double().cpu(), exact, rtol=1e-5, atol=0)


def test_whole_numbers_may_be_ints_or_floats():
    model = KernelRegression(LAM, V, ridge=1, noise=0)
    ints, floats = torch.tensor([10, 20]), torch.tensor([10.0, 20.0])
    torch.testing.assert_close(theory(model, ints).error, theory(model, floats).error)
    seen = [experiment(model, n, seed=0, members=2).error for n in (ints, floats)]
    torch.testing.assert_close(*seen)


# Bad input


@pytest.mark.parametrize(
    "change, message",
    [
        ({"eigenvalue": LAM - 0.5}, "eigenvalue must not be negative"),
        ({"eigenvalue": torch.stack([LAM, 0 * LAM])}, "not all zero"),
        ({"eigenvalue": LAM * float("nan")}, "eigenvalue must not hold NaN"),
        ({"target": V * float("inf")}, "target must be finite"),
        ({"degeneracy": 1 + 0.5 * (LAM == 1)}, "degeneracy must be whole numbers"),
        ({"degeneracy": torch.arange(60)}, "degeneracy must be whole numbers"),
        ({"ridge": -0.1}, "ridge must be finite and not negative"),
        ({"ridge": float("nan")}, "ridge must be a number, got NaN"),
        ({"ridge": float("inf")}, "ridge must be finite and not negative"),
        ({"noise": torch.tensor(-1.0)}, "noise must be finite and not negative"),
    ],
)
def test_impossible_models_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        KernelRegression(**{"eigenvalue": LAM, "target": V, **change})


def test_no_modes_are_refused():
    with pytest.raises(ValueError, match="eigenvalue must not be empty"):
        KernelRegression(LAM[:0], V[:0])


@pytest.mark.parametrize("bad", [[0], [5, -3], [], [float("nan")], [float("inf")]])
def test_impossible_sizes_are_refused(bad):
    model, n = KernelRegression(LAM, V), torch.tensor(bad)
    for call in (theory, effective_ridge):
        with pytest.raises(ValueError, match="samples must"):
            call(model, n)
    with pytest.raises(ValueError, match="samples must"):
        experiment(model, n, seed=0, members=3)
    with pytest.raises(ValueError, match="samples must"):
        finite_white(5, n)


def test_impossible_experiments_are_refused():
    model, n = KernelRegression(LAM, V), torch.tensor([10])
    with pytest.raises(ValueError, match="whole numbers in an experiment"):
        experiment(model, torch.tensor([2.0, 2.5]), seed=0, members=3)
    with pytest.raises(ValueError, match="members must be at least 1"):
        experiment(model, n, seed=0, members=0)
    with pytest.raises(ValueError, match="chunk must be"):
        experiment(model, n, seed=0, members=3, chunk=0)
    with pytest.raises(ValueError, match="chunk must be"):
        experiment(model, n, seed=0, members=3, chunk=True)
    with pytest.raises(ValueError, match="features must have 60 modes"):
        experiment(model, n, seed=0, members=3, features=torch.ones(50, 59, dtype=DOUBLE))
    with pytest.raises(ValueError, match="at least 10 points"):
        few = torch.ones(9, 60, dtype=DOUBLE)
        experiment(model, torch.tensor([8, 10]), seed=0, members=3, features=few)
    with pytest.raises(ValueError, match="must not be singular"):
        one_singular = KernelRegression(LAM, V, ridge=torch.tensor([0.0, 1.0], dtype=DOUBLE))
        experiment(one_singular, n, seed=0, members=3, features=torch.ones(50, 60, dtype=DOUBLE))
    with pytest.raises(ValueError, match="as many positive eigenvalues"):
        lam = torch.stack([LAM, LAM * (LAM > 0.1)])
        experiment(KernelRegression(lam, V), n, seed=0, members=3)
    with pytest.raises(ValueError, match="same for every member"):
        m = torch.ones(2, 60)
        m[0, 3] = 2
        experiment(KernelRegression(LAM, V, degeneracy=m), n, seed=0, members=3)
    on_sphere = {"kernel": torch.exp, "dimension": 5, "seed": 0}
    one = torch.ones(60)
    for bad in (
        model,
        KernelRegression(torch.stack([LAM, LAM]), V, degeneracy=one),
        KernelRegression(LAM, torch.stack([V, V]), degeneracy=one),
    ):
        with pytest.raises(ValueError, match="one model, no batch"):
            sphere_experiment(bad, n, **on_sphere, members=3)
    with pytest.raises(ValueError, match="members must be"):
        sphere_experiment(KernelRegression(LAM, V, degeneracy=one), n, **on_sphere, members=0)
    with pytest.raises(ValueError, match="must not be negative"):
        finite_white(5, n, noise=-1.0)
    with pytest.raises(ValueError, match="modes must be"):
        finite_white(0, n)


# The exercises' checkers


def test_solutions_are_what_the_model_says():
    n = torch.tensor(exercises.harm.solution, dtype=DOUBLE)
    torch.testing.assert_close(theory(white(noise=0.25), n).error, torch.ones(2, dtype=DOUBLE))
    law = KernelRegression(power_law(20_000, 2.0), torch.zeros(20_000), noise=1.0)
    price = theory(law, torch.tensor([300.0])).error.item()
    assert price == pytest.approx(exercises.tempered.solution(2.0), rel=0.02)
    blind = KernelRegression(
        torch.cat([torch.ones(100, dtype=DOUBLE), torch.zeros(1, dtype=DOUBLE)]),
        torch.cat([torch.full((100,), 0.9**0.5 / 10, dtype=DOUBLE), torch.tensor([0.1**0.5])]),
    )
    assert theory(blind, torch.tensor([50])).error.item() == pytest.approx(
        exercises.out_of_sight.solution, abs=1e-6
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ridge": torch.ones(2)}, "the leading axes must fit each other"),
        ({"degeneracy": torch.ones(59)}, "degeneracy must have 60 entries along its axis 'mode'"),
        ({"target": V[:59]}, "target must have 60 entries along its axis 'mode'"),
    ],
)
def test_axes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        KernelRegression(**{"eigenvalue": LAM.expand(3, 60), "target": V} | change)


def test_lists_and_whole_numbers_are_welcome():
    exact = theory(KernelRegression(torch.tensor([2.0, 1.0], dtype=DOUBLE), V[:2]), SIZES[:2])
    listed = theory(KernelRegression([2, 1], V[:2].tolist()), SIZES[:2].tolist())
    torch.testing.assert_close(listed.error, exact.error)
    assert finite_white(5, [3]).shape == (1,)
    for noise in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="noise must"):
            finite_white(5, [3], noise=noise)


def test_one_bad_member_of_a_batch_is_refused():
    lam, ridge = torch.ones(2, 3, dtype=DOUBLE), torch.tensor([0.1, -1.0], dtype=DOUBLE)
    with pytest.raises(ValueError, match="ridge"):
        KernelRegression(lam, lam, ridge=ridge)


def test_a_mode_that_the_kernel_cannot_see_does_not_change_the_measured_kappa():
    lam, n = torch.tensor([1.0, 0.5, 0.0], dtype=DOUBLE), torch.tensor([8])
    blind = KernelRegression(lam, torch.ones_like(lam), ridge=0.3)
    chunk = {"seed": 0, "members": 400}
    without = KernelRegression(lam[:2], torch.ones_like(lam[:2]), ridge=0.3)
    one, other = experiment(blind, n, **chunk), experiment(without, n, **chunk)
    (first, error), (second, its_error) = (over_members(seen, "kappa") for seen in (one, other))
    assert ((first - second).abs() < 4 * torch.hypot(error, its_error)).all()
    interpolated = experiment(KernelRegression(lam, torch.ones_like(lam)), n, **chunk)
    assert (interpolated.kappa == 0).all() and (interpolated.mode_error[:, 0, 2] == 1).all()
    assert (one.learnability[..., 2] == 0).all() and (interpolated.learnability[..., 2] == 0).all()
