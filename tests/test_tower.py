"""Claims of chapters/tower.md, one test per claim."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from toymodels.numerics import draws, first_passage
from toymodels.tower import (
    Tower,
    embedded,
    experiment,
    invariants,
    network,
    random_start,
    rates,
    sampled,
    theory,
    train_from,
    upright_start,
)

ONES = torch.ones(3, dtype=torch.float64)
BETA = torch.tensor([1.0, 0.7, -1.3], dtype=torch.float64)
TREE = (-1, 0, 0, 1)
ROUNDING = 1e-11  # sums of a few thousand terms of order one


def start(target=BETA, dimension=9, size=0.6, **more):
    """One random start, without the axis of the members."""
    model = random_start(target, dimension=dimension, size=size, seed=1, **more)
    fields = {name: getattr(model, name)[0] for name in ("target", "readout", "signal", "residual")}
    return Tower(**fields, gaussian=model.gaussian, parent=model.parent)


def wick(vectors):
    """Mean of a product of normal variables u . x, one per vector: a sum over all pairings."""
    if not vectors:
        return torch.ones((), dtype=torch.float64)
    first, rest = vectors[0], vectors[1:]
    return sum(
        ((first @ u) * wick(rest[:k] + rest[k + 1 :]) for k, u in enumerate(rest)),
        torch.zeros((), dtype=torch.float64),
    )


def paths(above):
    """The levels on the way from the root to each level."""
    found = []
    for level, parent in enumerate(above):
        found.append(([] if parent < 0 else found[parent]) + [level])
    return found


def normal_loss(w, a, beta, above):
    """Half the mean squared error on normal inputs, from pairings alone."""
    axes = list(torch.eye(w.shape[-1], dtype=torch.float64))
    ways = paths(above)
    terms = [(a[k], [w[j] for j in way]) for k, way in enumerate(ways)]
    terms += [(-beta[k], [axes[j] for j in way]) for k, way in enumerate(ways)]
    pairs = itertools.product(terms, repeat=2)
    return sum(x * y * wick(left + right) for (x, left), (y, right) in pairs) / 2


def cube(dimension):
    """Every input of a small cube, once."""
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=dimension))).double()


def outputs(w, a, x, above):
    """The tower at some inputs, written out as its definition reads."""
    h = x @ w.mT
    return sum(a[k] * h[:, way].prod(-1) for k, way in enumerate(paths(above)))


def weights_of(model, dimension=9):
    w, a = embedded(model, dimension=dimension, seed=3)
    return w[0], a[0, 0]


@pytest.mark.parametrize("parent", [None, (-1, 0, 0)])
def test_the_loss_on_normal_inputs_is_a_sum_over_pairings(parent):
    model = start(gaussian=True, parent=parent)
    w, a = weights_of(model)
    seen = theory(model, torch.zeros(1).double())
    expected = normal_loss(w, a, model.target, model.above)
    assert seen.loss.item() == pytest.approx(expected.item(), rel=ROUNDING)
    axes = list(torch.eye(9, dtype=torch.float64))
    for k, way in enumerate(paths(model.above)):
        c = sum(
            a[m] * wick([w[j] for j in other] + [axes[j] for j in way])
            for m, other in enumerate(paths(model.above))
        )
        assert seen.coefficient[0, k].item() == pytest.approx(c.item(), abs=ROUNDING)


@pytest.mark.parametrize("parent", [None, (-1, 0, 0)])
def test_the_rates_are_the_gradient_of_that_sum(parent):
    """dw/dt = -dloss/dw by autograd in nine dimensions, projected on the order parameters."""
    model = start(gaussian=True, parent=parent)
    w, a = (x.clone().requires_grad_(True) for x in weights_of(model))
    slope_w, slope_a = torch.autograd.grad(normal_loss(w, a, model.target, model.above), (w, a))
    rest, down = w.detach()[:, 3:], slope_w[:, 3:]
    da, dM, dR = rates(model)
    torch.testing.assert_close(da, -slope_a, atol=ROUNDING, rtol=ROUNDING)
    torch.testing.assert_close(dM, -slope_w[:, :3], atol=ROUNDING, rtol=ROUNDING)
    expected = -(rest @ down.T + down @ rest.T)
    torch.testing.assert_close(dR, expected, atol=ROUNDING, rtol=ROUNDING)


@pytest.mark.parametrize("gaussian", [False, True])
def test_the_rates_are_the_slopes_of_the_loss(gaussian):
    """Differences of the loss in every weight. It is quadratic in each, so they are exact."""
    model = start(gaussian=gaussian)
    w, a = weights_of(model)
    h = 0.1

    def loss(w, a):
        rest = w[..., 3:]
        moved = Tower(BETA.expand_as(a), a, w[..., :3], rest @ rest.mT, gaussian=gaussian)
        return theory(moved, torch.zeros(1).double()).loss[:, 0]

    kicks = h * torch.eye(w.numel(), dtype=torch.float64).reshape(-1, *w.shape)
    same = a.expand(len(kicks), 3)
    down = ((loss(w + kicks, same) - loss(w - kicks, same)) / (2 * h)).reshape(w.shape)
    kicks = h * torch.eye(3, dtype=torch.float64)
    same = w.expand(3, *w.shape)
    slope_a = (loss(same, a + kicks) - loss(same, a - kicks)) / (2 * h)
    da, dM, dR = rates(model)
    rest, below = w[:, 3:], down[:, 3:]
    torch.testing.assert_close(da, -slope_a, atol=ROUNDING, rtol=0)
    torch.testing.assert_close(dM, -down[:, :3], atol=ROUNDING, rtol=0)
    torch.testing.assert_close(dR, -(rest @ below.T + below @ rest.T), atol=ROUNDING, rtol=0)


def test_on_the_cube_coefficients_are_exact_and_the_loss_nearly():
    """All inputs of a small cube. Fourth powers of the entries of w are what the theory drops."""
    model = start(dimension=14)
    w, a = weights_of(model, dimension=14)
    x = cube(14)
    f, products = outputs(w, a, x, model.above), [x[:, : k + 1].prod(-1) for k in range(3)]
    seen = theory(model, torch.zeros(1).double())
    expected = torch.stack([(f * p).mean() for p in products])
    torch.testing.assert_close(seen.coefficient[0], expected, atol=ROUNDING, rtol=0)
    target = sum(b * p for b, p in zip(BETA, products, strict=True))
    missed = seen.loss[0] - 0.5 * (f - target).square().mean()
    rest = w[:, 3:]
    bound = 3 * a.abs().max() ** 2 * rest.pow(4).sum(-1).max()  # cumulants of two pairs
    assert 1e-6 < missed.abs() < bound


def test_the_network_is_the_sum_of_products():
    above = TREE
    w, a = draws.normal(0, "w", 4, (9,)), draws.normal(0, "a", 1, (4,))[0]
    x = draws.normal(0, "x", 50, (9,))
    torch.testing.assert_close(network(above)([w, a[None]], x)[:, 0], outputs(w, a, x, above))


def test_the_noise_term_is_an_average_over_normal_numbers():
    """Of f = a h_1 + b h_1 h_2, by a quadrature that is exact to degree 15."""
    model = start(target=BETA[:2], gaussian=True)
    node, share = np.polynomial.hermite_e.hermegauss(8)
    points = torch.cartesian_prod(*[torch.from_numpy(node)] * 4)
    weight = torch.cartesian_prod(*[torch.from_numpy(share / share.sum())] * 4).prod(-1)
    s, g = points[:, :2], points[:, 2:] @ torch.linalg.cholesky(model.residual).mT
    (h, k), (a, b), (alpha, beta) = (s @ model.signal.mT + g).T, model.readout, model.target
    error = a * h + b * h * k - alpha * s[:, 0] - beta * s[:, 0] * s[:, 1]
    q = -error[:, None] * torch.stack([a + b * k, b * h], -1)
    found = rates(model, noise=0.7)[2] - rates(model)[2]
    torch.testing.assert_close(found, 0.7 * q.mT @ (weight[:, None] * q))


def test_batches_give_the_noise_term():
    """<q q> of many inputs that were drawn, against the term of the theory."""
    model = start(gaussian=True)
    quiet, loud = rates(model), rates(model, noise=2.0)
    w, a = (x.clone().requires_grad_(True) for x in weights_of(model))
    x = draws.normal(5, "x", 60_000, (9,))
    h = x @ w.detach().T
    h.requires_grad_(True)
    f = sum(a[k] * h[:, : k + 1].prod(-1) for k in range(3))
    target = sum(BETA[k] * x[:, : k + 1].prod(-1) for k in range(3))
    (q,) = torch.autograd.grad((-0.5 * (f - target) ** 2).sum(), h)
    each = q[:, :, None] * q[:, None]
    error = 2 * each.std(0) / len(x) ** 0.5
    assert ((loud[2] - quiet[2] - 2 * each.mean(0)).abs() / error).max() < 4
    assert (2 * each.mean(0) / error).max() > 15  # it is not small
    torch.testing.assert_close(loud[:2], quiet[:2])


@pytest.mark.parametrize(("gaussian", "parent"), [(False, None), (True, None), (False, (-1, 0, 0))])
def test_lengths_less_readouts_are_conserved(gaussian, parent):
    target = torch.tensor([1.0, 1.0, 0.7]).double()
    model = start(target, dimension=20, size=0.3, gaussian=gaussian, parent=parent)
    seen = theory(model, torch.linspace(0, 12, 13).double(), rtol=1e-11)
    kept = invariants(seen, model.above)
    assert (kept - kept[:1]).abs().max() < 1e-8
    assert (seen.readout - seen.readout[:1]).abs().amax(0).min() > 0.2  # while much has moved
    assert seen.loss[-1] < 1e-3


def on_axes(u, a, beta):
    return Tower(beta, a, torch.diag(u), torch.zeros(len(u), len(u)).double())


@pytest.mark.parametrize("gaussian", [False, True])
def test_two_levels_on_their_own_axes_are_a_chain_of_scalars(gaussian):
    """w_j parallel to e_j: the chain of scalars, written out and integrated with small steps."""
    u, a, beta = (torch.tensor(x).double() for x in ([0.4, 0.3], [0.1, 0.2], [1.0, 0.7]))
    model = replace(on_axes(u, a, beta), gaussian=gaussian)
    seen = theory(model, torch.tensor([0.0, 2.0]).double())

    def slope(state):
        u, a = state.split(2)
        P = u.cumprod(0)
        r = beta - a * P
        back = torch.stack([(r * a * P)[j:].sum() / u[j] for j in range(2)])
        return torch.cat([back, r * P])

    state, h = torch.cat([u, a]), 0.01
    for _ in range(200):  # Runge-Kutta of fourth order: an error of 1e-9
        k1 = slope(state)
        k2 = slope(state + h / 2 * k1)
        k3 = slope(state + h / 2 * k2)
        k4 = slope(state + h * k3)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    torch.testing.assert_close(seen.signal[-1], torch.diag(state[:2]), atol=1e-7, rtol=0)
    torch.testing.assert_close(seen.readout[-1], state[2:], atol=1e-7, rtol=0)
    assert seen.residual[-1].abs().max() == 0


def test_three_levels_leak_out_of_the_chain_while_the_first_is_unlearned():
    """a_3 h_1 h_2 h_3 with both h_2 and h_3 along x_3 is a multiple of x_1."""
    u, a = torch.tensor([0.4, 0.3, 0.2]).double(), torch.tensor([0.1, 0.2, 0.3]).double()
    _, dM, dR = rates(on_axes(u, a, BETA))
    first = BETA[0] - a[0] * u[0]
    expected = torch.zeros(3, 3).double()
    expected[1, 2] = first * u[0] * a[2] * u[2]
    expected[2, 1] = first * u[0] * a[2] * u[1]
    away = dM - dM.diagonal().diag()
    torch.testing.assert_close(away, expected, atol=ROUNDING, rtol=0)
    assert dR.abs().max() == 0


def test_descent_follows_the_equations_and_its_noise_is_theirs():
    model = start(ONES, dimension=40, size=0.5)
    time = torch.linspace(0, 4, 9).double()
    runs, quiet = 16, theory(model, time)
    far, near = (
        experiment(model, time, seed=2, dimension=40, step=step, batch_size=size, members=runs)
        for step, size in ((0.04, 8), (0.02, 64))
    )
    # the batch noise 0.2 moves R a lot, by what the equations say; a sixteenth of it a little
    loud = theory(model, time, noise=0.04 * 37 / 8)
    trace = [seen.residual.diagonal(dim1=-2, dim2=-1).sum(-1) for seen in (far, quiet, loud)]
    error = trace[0].std(0)[1:] / runs**0.5
    bias = 0.04  # the step
    assert (trace[0].mean(0) - trace[2])[1:].abs().max() < 4 * error.max() + bias
    assert (trace[0].mean(0) - trace[1])[1:].max() > 8 * error.max() + bias
    expected = theory(model, time, noise=0.02 * 37 / 64).coefficient
    gap = (near.coefficient.mean(0) - expected).abs().max()
    assert gap < 4 * near.coefficient.std(0).max() / runs**0.5 + 0.02
    assert near.coefficient.std(0).max() < 0.5 * far.coefficient.std(0).max()
    torch.testing.assert_close(near.residual[:, 0], model.residual.expand(runs, 3, 3))
    torch.testing.assert_close(near.signal[:, 0], model.signal.expand(runs, 3, 3))


def test_descent_on_normal_inputs_follows_the_equations():
    model = start(ONES, dimension=12, size=0.5, gaussian=True)
    time = torch.linspace(0, 4, 5).double()
    seen = experiment(model, time, seed=2, dimension=12, step=0.02, batch_size=600, members=6)
    expected = theory(model, time)
    error = seen.coefficient.std(0).max() / 6**0.5
    assert (seen.coefficient.mean(0) - expected.coefficient).abs().max() < 4 * error + 0.02
    as_signs = theory(replace(model, gaussian=False), time)
    assert (as_signs.coefficient - expected.coefficient).abs().max() > 4 * error + 0.02


@pytest.mark.parametrize("gaussian", [False, True])
def test_sampled_fields_do_what_inputs_do(gaussian):
    """Real inputs and sampled fields, with the same means and the same growth of R by noise."""
    model, runs = start(ONES, dimension=60, size=0.5, gaussian=gaussian), 24
    time = torch.linspace(0, 3, 4).double()
    knobs = {"seed": 7, "dimension": 60, "step": 0.05, "batch_size": 30}
    real = experiment(model, time, members=runs, **knobs)
    short = sampled(model, time, members=runs, **knobs)
    for name in ("coefficient", "residual", "readout"):
        one, other = getattr(real, name), getattr(short, name)
        error = ((one.var(0) + other.var(0)) / runs).sqrt() + 1e-12
        assert ((one.mean(0) - other.mean(0)).abs() / error).max() < 4.5, name
    grown = short.residual.mean(0)[1] - theory(model, time).residual[1]
    assert grown.trace() > 8 * (short.residual[:, 1].std(0) / runs**0.5).max()


def test_sampled_fields_leave_the_other_coordinates_outside():
    """One input moves features without a residual along it: by 3 coordinates in 6, by 4 in 7."""
    model = Tower(ONES, 0.5 * ONES, torch.eye(3).double(), torch.zeros(3, 3).double())
    knobs = {"seed": 3, "step": 0.1, "batch_size": 1, "members": 400}
    six, seven = (sampled(model, [0.0, 0.1], dimension=d, **knobs).residual[:, 1] for d in (6, 7))
    grown, more = (x.diagonal(dim1=-2, dim2=-1).sum(-1) for x in (six, seven - six))
    square = grown / more  # of three normal numbers
    assert (square.mean() - 3).abs() < 4 * square.std() / 20


def test_one_step_of_descent_is_the_gradient_of_its_batch():
    model = random_start(BETA, dimension=30, size=0.5, seed=1, members=2)
    first = embedded(model, dimension=30, seed=4)
    seen = train_from(
        first,
        _one_member_each(model),
        torch.tensor([0.0, 0.1]).double(),
        seed=5,
        step=0.1,
        batch_size=4000,
    )
    moved = (seen.signal[:, 0, 1] - seen.signal[:, 0, 0]) / 0.1
    _, dM, _ = rates(model)
    error = 6 / 4000**0.5  # q has a variance of order one
    torch.testing.assert_close(moved, dM, atol=error, rtol=0)
    assert dM.abs().max() > 2 * error


def _one_member_each(model):
    fields = ("target", "readout", "signal", "residual")
    return Tower(*(getattr(model, name)[:, None] for name in fields))


def test_inputs_of_the_cube_are_fair_independent_signs():
    """A readout of zero never moves a feature: what moves is the mean of target times input."""
    zero = Tower(ONES, 0 * ONES, torch.eye(3).double(), torch.eye(3).double())
    seen = experiment(
        zero, torch.tensor([0.0, 1.0]).double(), seed=0, dimension=130, step=1.0, batch_size=50_000
    )
    # a_k' = <target h_1 ... h_k>, and h_k is x_k plus a sum of other signs
    error = 3**0.5 * torch.tensor([2.0, 4.0, 8.0]).sqrt().double() / 50_000**0.5
    assert ((seen.readout[0, 1] - 1).abs() / error).max() < 4


def test_upright_starts_wait_as_the_root_of_the_dimension():
    alone = torch.tensor([0.0, 0.0, 1.0]).double()
    for d in (400, 2500):
        predicted = 100 * (d**0.5 - 1)
        model = upright_start(alone, 0.1 * alone, dimension=float(d), size=0.1)
        time = predicted * torch.linspace(0.98, 1.02, 41).double()
        wait = first_passage(time, theory(model, time).coefficient[:, 2], 0.5).item()
        assert wait == pytest.approx(predicted, rel=0.015)  # the lengths shrink by a percent


def test_upright_starts_have_their_length_and_overlap_at_every_dimension():
    d = torch.tensor([1.5, 1e4]).double()
    model = upright_start(ONES.expand(2, 3), 0.2 * ONES.expand(2, 3), dimension=d, size=0.3)
    eye = torch.eye(3).double().expand(2, 3, 3)
    torch.testing.assert_close(model.signal @ model.signal.mT + model.residual, 0.09 * eye)
    torch.testing.assert_close(model.signal, 0.3 * eye / d.sqrt()[:, None, None])


def test_random_starts_have_their_length_and_typical_overlaps():
    model = random_start(ONES, dimension=400, size=0.3, seed=0, members=300)
    length = model.signal.square().sum(-1) + model.residual.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(length, torch.full_like(length, 0.09))
    assert (model.readout == 0.3).all()
    assert model.signal.square().mean().item() == pytest.approx(0.09 / 400, rel=0.1)


def test_a_batch_is_its_members():
    model = random_start(BETA, dimension=20, size=0.5, seed=3, members=3)
    time = torch.linspace(0, 2, 5).double()
    both = theory(model, time)
    for k in range(3):
        alone = theory(Tower(BETA, model.readout[k], model.signal[k], model.residual[k]), time)
        torch.testing.assert_close(both.coefficient[k], alone.coefficient, atol=1e-7, rtol=0)


def test_descent_takes_the_dtype_of_its_weights(device):
    model = random_start(BETA.to(device), dimension=20, size=0.5, seed=3, members=2)
    weights = [w.float() for w in embedded(model, dimension=20, seed=0)]
    time = torch.tensor([0.0, 0.1], device=device)
    seen = train_from(weights, _one_member_each(model), time, seed=0, step=0.05, batch_size=8)
    assert seen.loss.shape == (2, 1, 2) and seen.loss.device == BETA.to(device).device
    assert torch.isfinite(seen.loss).all()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"signal": torch.ones(3, 2).double()}, "signal must have shape"),
        ({"target": ONES * torch.nan}, "target must not hold NaN"),
        ({"target": ONES / 0}, "target must be finite"),
        ({"residual": torch.ones(3, 3).double().triu()}, "symmetric"),
        ({"residual": torch.eye(3).double() + 1e-7 * torch.ones(3, 3).triu(1)}, "symmetric"),
        ({"residual": -torch.eye(3).double()}, "no negative eigenvalue"),
        ({"residual": torch.eye(3).double() - 1.00001 * torch.eye(3)[0].diag()}, "no negative"),
        ({"parent": (-1, 0)}, "parent must name 3"),
        ({"parent": (-1, 2, 0)}, "parent must name 3"),
    ],
)
def test_impossible_models_are_refused(change, what):
    model = {
        "target": ONES,
        "readout": ONES,
        "signal": torch.eye(3).double(),
        "residual": torch.eye(3).double(),
    }
    with pytest.raises(ValueError, match=what):
        Tower(**{**model, **change})


def test_a_residual_in_single_precision_is_symmetric_up_to_rounding():
    parts = [x.float() for x in (ONES, ONES, torch.eye(3), torch.eye(3))]
    Tower(*parts[:3], parts[3] + 1e-6 * torch.ones(3, 3).triu(1))
    with pytest.raises(ValueError, match="symmetric"):
        Tower(*parts[:3], parts[3] + 1e-3 * torch.ones(3, 3).triu(1))


def test_impossible_requests_are_refused():
    model = start()
    time = torch.tensor([0.0, 1.0]).double()
    with pytest.raises(ValueError, match="sorted and non-negative"):
        theory(model, time.flip(0))
    with pytest.raises(ValueError, match="sorted and non-negative"):
        experiment(model, time.flip(0), seed=0, dimension=9, step=0.1, batch_size=8)
    with pytest.raises(ValueError, match="at least twice 3 levels"):
        experiment(model, time, seed=0, dimension=5, step=0.1, batch_size=8)
    with pytest.raises(ValueError, match="step must be positive"):
        experiment(model, time, seed=0, dimension=9, step=0.0, batch_size=8)
    with pytest.raises(ValueError, match="at least twice 3 levels"):
        sampled(model, time, seed=0, dimension=5, step=0.1, batch_size=8)
    with pytest.raises(ValueError, match="step must be positive"):
        sampled(model, time, seed=0, dimension=9, step=0.0, batch_size=8)
    with pytest.raises(ValueError, match="sorted and non-negative"):
        sampled(model, time.flip(0), seed=0, dimension=9, step=0.1, batch_size=8)
    for side in (experiment, sampled):
        with pytest.raises(ValueError, match="one entry per step"):
            side(model, 0.01 * time, seed=0, dimension=9, step=0.1, batch_size=8)
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            side(model, time, seed=0, dimension=9, step=0.1, batch_size=0)
        with pytest.raises(FloatingPointError, match="finite"):
            side(model, 40 * time, seed=0, dimension=9, step=4.0, batch_size=8)
    with pytest.raises(ValueError, match="members must be at least 1"):
        experiment(model, time, seed=0, dimension=9, step=0.1, batch_size=8, members=0)
    with pytest.raises(ValueError, match="size must be positive"):
        random_start(BETA, dimension=9, size=0.0, seed=0)
    with pytest.raises(ValueError, match="dimension must be above 1"):
        upright_start(BETA, BETA, dimension=1.0, size=0.3)


def test_theory_from_starts_of_any_size():
    """Two numbers of size 1e-30 drive each other: a = M = 1e-30 exp(t) until they saturate."""
    tiny = 1e-30 * torch.eye(1).double()
    model = Tower([1.0], [1e-30], tiny, 0 * tiny)
    seen = theory(model, torch.tensor([60.0, 69.5]).double())
    assert seen.readout[0, 0].item() == pytest.approx(1e-30 * math.exp(60), rel=1e-6)
    grown = 1e-60 * math.exp(2 * 69.5)
    assert seen.coefficient[1, 0].item() == pytest.approx(grown / (1 + grown), rel=1e-6)


def test_theory_is_good_to_what_it_says():
    model, time = start(target=BETA[:1]), torch.tensor([1.0, 2.0]).double()
    best, usual = (theory(model, time, **how).coefficient for how in ({"rtol": 1e-13}, {}))
    torch.testing.assert_close(usual, best, rtol=0, atol=1e-8)


def test_theory_in_single_precision_and_of_lists():
    double = start(ONES, dimension=20, size=0.3)
    fields = ("target", "readout", "signal", "residual")
    single = Tower(*(getattr(double, name).float() for name in fields))
    seen, expected = theory(single, [0.0, 5.0]), theory(double, [0.0, 5.0])
    assert seen.coefficient.dtype == torch.float32
    torch.testing.assert_close(seen.coefficient.double(), expected.coefficient, atol=1e-4, rtol=0)
    typed = Tower(*(getattr(double, name).tolist() for name in fields))
    torch.testing.assert_close(theory(typed, [0, 5]).coefficient, expected.coefficient)


def test_every_member_has_a_frame_and_inputs_of_its_own():
    model = start(ONES, dimension=12, size=0.5)
    features = embedded(model, dimension=12, seed=3, members=3)[0]
    assert (features[0] - features[1]).abs().max() > 0.05
    knobs = {"seed": 0, "dimension": 12, "step": 0.05, "batch_size": 8, "members": 2}
    for side in (experiment, sampled):
        seen = side(model, [0.0, 0.05], **knobs)
        assert (seen.readout[0, 1] != seen.readout[1, 1]).all(), side.__name__


def test_starts_and_inputs_are_those_of_the_seed():
    model = random_start(ONES, dimension=12, size=0.6, seed=1)
    time, knobs = [0.0, 0.1], {"step": 0.05, "batch_size": 8}

    def by_hand(first, then):
        weights = embedded(model, dimension=12, seed=first)
        return train_from(weights, _one_member_each(model), time, seed=then, **knobs).readout[
            0, 0, 1
        ]

    seen = experiment(model, time, seed=5, dimension=12, **knobs).readout[0, 0, 1]
    assert torch.equal(seen, by_hand(5, 5))
    assert (seen != by_hand(0, 5)).all() and (seen != by_hand(5, 0)).all()
    one, other = (
        sampled(model, time, seed=k, dimension=12, **knobs).readout[0, 0, 1] for k in (0, 5)
    )
    assert (one != other).all()
    one, other = (random_start(ONES, dimension=12, size=0.6, seed=k).signal for k in (0, 5))
    assert (one != other).all()


def test_targets_are_followed_across_chunks(monkeypatch):
    """Every problem of a batch descends on its own target, however they are cut up."""
    targets = torch.stack([ONES, BETA, -ONES, 2 * BETA])
    weights = [torch.zeros(4, 3, 12).double(), torch.zeros(4, 1, 3).double()]
    weights[0][..., :3] = torch.eye(3)
    model = Tower(
        targets, 0 * targets, torch.zeros(4, 3, 3).double(), torch.zeros(4, 3, 3).double()
    )
    monkeypatch.setattr("toymodels.networks.ensemble.chunk_size", lambda *_: 1)
    seen = train_from(weights, model, [0.0, 0.5], seed=0, step=0.5, batch_size=4000)
    # h_k = x_k, and a_k' is the coefficient of the target
    torch.testing.assert_close(seen.readout[:, 1], targets / 2, atol=0.15, rtol=0)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda m: theory(m, [0.0, 1.0], noise=math.nan), "noise must be a number"),
        (lambda m: theory(m, [0.0, 1.0], noise=-5.0), "noise must be finite and not negative"),
        (lambda m: rates(m, noise=-5.0), "noise must be finite and not negative"),
        (lambda m: theory(m, [0.0, 1.0], rtol=0.0), "rtol must be from"),
        (
            lambda m: random_start(ONES, dimension=2, size=0.1, seed=0),
            "dimension must be at least 3",
        ),
        (lambda m: random_start(ONES, dimension=9, size=0.1, seed=0, members=0), "members must be"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(call, what):
    with pytest.raises(ValueError, match=what):
        call(start())
