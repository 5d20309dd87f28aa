"""A tree on n samples: what chapters/tree.md claims of it, and limits known otherwise."""

import math

import pytest
import torch

from tools import figures_tree
from toymodels.networks.rules import GradientFlow
from toymodels.numerics import draws
from toymodels.tree import Tree, balanced, chain, experiment, regular
from toymodels.tree_samples import (
    SETTINGS,
    Setting,
    cavity,
    clean_climb,
    climbed,
    decayed,
    error_curves,
    exposure,
    friction,
    stored,
    training_set,
)

DOUBLE = {"dtype": torch.float64}
ONES = torch.ones(4, **DOUBLE)


def small(branching, target, start=0.03):
    """A tree in double precision with a target on its first path."""
    tree = Setting(branching, target, noise=0.0, start=start).tree()
    target, readout = tree.target.double(), tree.readout.double()
    return Tree(tree.parent, target, readout, balanced(readout, tree.parent))


def on_data(model, time, samples, noise, **more):
    return experiment(model, time, seed=1, samples=samples, noise=noise, rule=GradientFlow, **more)


def test_rungs_that_are_fitted_err_as_least_squares_does():
    """Against the fit itself, on fresh draws."""
    target, n = torch.tensor([1.0, 0.7, 0.5], **DOUBLE), 12
    phi = draws.normal(5, "features", 4000, (n, 3))
    label = phi @ target + 0.3 * draws.normal(5, "noise", 4000, (n,))
    expected = climbed(target, samples=n, noise=0.3)
    assert expected[0] == pytest.approx(float(target.square().sum()))
    for k in (1, 2, 3):
        fit = torch.linalg.lstsq(phi[..., :k], label[..., None]).solution[..., 0]
        error = (target[:k] - fit).square().sum(-1) + target[k:].square().sum()
        assert (error.mean() - expected[k]).abs() < 4 * error.std() / len(error) ** 0.5


def test_a_path_without_false_nodes_errs_as_least_squares_does():
    time = torch.tensor([0.0, 30.0], **DOUBLE)
    model = small(1, (1.0, 0.8, 0.6))
    seen = error_curves(model, time, seed=2, samples=20, noise=0.4, members=1000)
    expected = climbed(torch.tensor([1.0, 0.8, 0.6], **DOUBLE), samples=20, noise=0.4)
    last = seen.error[:, 1]
    assert (last.mean() - expected[-1]).abs() < 4 * last.std() / 1000**0.5
    assert float(seen.left.min()) == 1.0
    torch.testing.assert_close(
        seen.error[:, 0], expected[:1].expand(1000), atol=5e-3, rtol=0
    )  # nothing is known yet


def given(monkeypatch, model, n, members):
    """Hand the theory the overlaps of the training sets on which ``experiment`` trains."""
    phi = draws.normal(1, f"features {n}", members, (n, len(model.parent)))
    noise = draws.normal(1, f"noise {n}", members, (n, 1))
    alive = model.target != 0
    Z = torch.cat([noise, phi[..., alive]], -1)
    pair = Z.mT @ Z / n, phi[..., ~alive].mT @ Z / n
    monkeypatch.setattr(cavity, "overlaps", lambda *_: pair)


@pytest.mark.parametrize(("branching", "until", "gap"), [(1, 12.0, 1e-5), (2, 6.0, 2e-4)])
def test_until_a_false_node_opens_the_theory_is_exact(monkeypatch, branching, until, gap):
    """On the very sets on which trees are trained, member by member."""
    model = small(branching, (1.0, 0.8, 0.6), start=1e-3 if branching > 1 else 0.03)
    time = torch.linspace(0, until, 7, **DOUBLE)
    given(monkeypatch, model, 60, 8)
    seen = on_data(model, time, 60, 0.3, members=8, step=0.1)
    found = error_curves(model, time, seed=1, samples=60, noise=0.3, members=8, step=0.1)
    torch.testing.assert_close(found.error, 2 * seen.loss, atol=gap, rtol=0)
    assert float(2 * seen.loss[:, -1].max()) < 2.0  # a rung is learned by then


def test_error_curves_of_trees_that_are_trained():
    """Independent draws, with false nodes open at the end."""
    model = small(2, (1.0, 1.0, 1.0), start=0.05)
    time = torch.tensor([6.0, 15.0, 30.0], **DOUBLE)
    seen = 2 * on_data(model, time, 40, 0.5, members=400, step=0.25).loss
    found = error_curves(model, time, seed=9, samples=40, noise=0.5, members=400, step=0.25)
    gap = (found.error.mean(0) / seen.mean(0)).log()
    bar = (seen.var(0) / seen.mean(0) ** 2 + found.error.var(0) / found.error.mean(0) ** 2).sqrt()
    assert (gap.abs() < 4 * bar / 20).all()
    assert float(found.left[:, -1].mean()) < 0.97
    bare = climbed(torch.ones(3, **DOUBLE), samples=40, noise=0.5)[-1]
    assert float(seen[:, -1].mean()) > 1.2 * float(bare)  # the false nodes count


def test_where_everything_is_open_the_closure_gives_back_least_squares():
    target = torch.zeros(56, **DOUBLE)
    target[:16] = 1.0
    W, gamma = training_set.overlaps(3, target != 0, 200, 1000)
    show = cavity._Overlaps(target, 200, 0.5, W, gamma)
    c = target.expand(1000, 56).clone()
    for _ in range(60):
        c = c + 0.7 * show.missing(c)
    assert float(show.missing(c).abs().max()) < 1e-5
    error, left = show.error(c)
    assert float(error.mean()) == pytest.approx(0.25 * 56 / (200 - 56 - 1), rel=0.04)
    assert float(left.mean()) < 0.85


def test_without_noise_the_rungs_are_found_and_nothing_false_stays():
    model = small(2, (1.0, 1.0, 1.0), start=0.01)
    time = torch.tensor([80.0], **DOUBLE)
    found = error_curves(model, time, seed=3, samples=80, noise=0.0, members=50)
    assert float(found.error.median()) < 1e-3
    torch.testing.assert_close(
        climbed(ONES, samples=50, noise=0.0)[-1], torch.tensor(0.0, **DOUBLE), atol=1e-12, rtol=0
    )


def test_a_diagonal_network_is_a_tree_of_height_one():
    """By the same equations, and as it is trained."""
    readout = torch.full((20,), 0.05, **DOUBLE)
    target = torch.zeros(20, **DOUBLE)
    target[:2] = 1.0
    model, time = Tree((-1,) * 20, target, readout, readout), torch.tensor([5.0, 25.0], **DOUBLE)
    seen = 2 * on_data(model, time, 60, 0.4, members=300, step=0.25).loss
    found = error_curves(model, time, seed=4, samples=60, noise=0.4, members=300, step=0.25).error
    bar = (seen.var(0) + found.var(0)).sqrt() / 300**0.5
    assert ((seen.mean(0) - found.mean(0)).abs() < 4 * bar).all()


def test_exposures_of_four_equal_rungs_worked_out_elsewhere():
    found = exposure(ONES, noise=0.3)
    expected = torch.tensor([28.68, 16.65, 6.27, 1.09], **DOUBLE)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    # one rung: height 1/beta per unit of noise, of variance sigma^2 + beta^2
    one = exposure(torch.tensor([2.0], **DOUBLE), noise=0.3)
    assert float(one) == pytest.approx((0.09 + 4) / 4)


def test_a_race_of_one_rung_is_a_race_of_overlaps():
    """The true overlap against b - 1 false ones, which are normal given the labels: by drawing."""
    n, b = 6, 3
    phi = draws.normal(8, "features", 20000, (n, b))
    label = phi[..., 0] + 0.5 * draws.normal(8, "noise", 20000, (n,))
    overlap = (phi.mT @ label[..., None])[..., 0]
    won = (overlap[:, 1:] < overlap[:, :1].abs()).all(-1).double()
    chance = clean_climb(ONES[:1], b, seed=8, samples=n, noise=0.5, members=1000)
    assert (won.mean() - chance.mean()).abs() < 4 * (0.25 / 20000 + chance.var() / 1000) ** 0.5
    assert clean_climb(ONES, 1, seed=8, samples=9, noise=0.5).tolist() == [1.0] * 200
    many = clean_climb(ONES, 6, seed=8, samples=5000, noise=0.5, members=10)
    assert float(many.min()) > 1 - 1e-9


def test_trees_of_height_one_are_soft_thresholds():
    """At rest, from a start that is small: c = (z - theta)_+, and 0 below."""
    z = torch.tensor([[-0.05], [0.05], [0.4], [2.0]], **DOUBLE)
    start = [torch.full_like(z, 1e-3), torch.full_like(z, 1e-3)]
    shape = friction._shape((-1,))
    c = friction._at_rest(shape, z, start, torch.tensor(0.1, **DOUBLE), 200.0, 0.2)
    torch.testing.assert_close(c, (z - 0.1).clamp(min=0), atol=1e-5, rtol=0)


def soft_threshold_theory(beta, copies, n, noise, decay):
    """State evolution of soft thresholds by quadrature, and by bisection of its own."""
    g = torch.linspace(-9, 9, 4001, **DOUBLE)
    weight = torch.exp(-g.square() / 2)
    weight = weight / weight.sum()
    error, theta = 0.0, decay
    for _ in range(200):
        spread = ((noise**2 + error) / n) ** 0.5
        z = beta[:, None] + spread * g
        c = (z - theta).clamp(min=0)
        open_nodes = float(copies.double() @ ((z > theta).double() @ weight))
        error = float(copies.double() @ ((c - beta[:, None]).square() @ weight))
        theta = decay / (1 - open_nodes / n)
    return error, theta


def test_rest_of_the_diagonal_network_by_quadrature():
    beta, copies = torch.tensor([1.0, 0.0], **DOUBLE), torch.tensor([20, 220])
    readout = torch.full((2, 1), 0.1, **DOUBLE)  # nodes near the threshold open slowly
    model = Tree((-1,), beta[:, None], readout, readout)
    how = {"noise": 0.5, "decay": 0.1, "seed": 1, "members": 256, "until": 300.0, "step": 0.6}
    found = decayed(model, copies, torch.tensor([160]), **how)
    error, theta = soft_threshold_theory(beta, copies, 160, 0.5, 0.1)
    assert bool(found.converged)
    assert float(found.error) == pytest.approx(error, rel=0.02)
    assert float(found.friction) == pytest.approx(theta, rel=0.01)


def test_many_samples_leave_the_bias_of_friction_alone():
    """As n grows, each tree loses what the friction of its own descent takes."""
    readout = torch.full((1, 1), 0.03, **DOUBLE)
    model = Tree((-1,), torch.ones(1, 1, **DOUBLE), readout, readout)
    found = decayed(model, [3], [10**7], noise=0.5, decay=0.1, seed=1)
    assert float(found.error) == pytest.approx(3 * 0.1**2, rel=1e-2)
    assert float(found.friction) == pytest.approx(0.1, rel=1e-3)


def test_overlaps_have_the_covariance_of_their_columns():
    alive = torch.tensor([True, False, True, False])
    W, gamma = training_set.overlaps(3, alive, 20, 20000)
    torch.testing.assert_close(W.mean(0), torch.eye(3, **DOUBLE), atol=0.01, rtol=0)
    spread = (W - torch.eye(3, **DOUBLE)).square().mean(0) * 20
    torch.testing.assert_close(spread, 1 + torch.eye(3, **DOUBLE), atol=0.08, rtol=0)
    square = gamma.mT @ gamma / 2 - W / 20  # of the two false nodes
    assert square.mean(0).abs().max() < 1e-3
    assert (gamma[:, 0] * gamma[:, 1]).mean().abs() < 1e-3
    few = training_set.overlaps(3, alive, 20, 2)
    assert all(torch.equal(a, b[:2]) for a, b in zip(few, (W, gamma), strict=True))


def test_settings_put_one_path_into_a_tree():
    tree = SETTINGS["three branches"].tree()
    assert tree.parent == regular(3, 4)
    path = tree.target.nonzero()[:, 0].tolist()
    assert [tree.parent[v] for v in path] == [-1, *path[:-1]]
    beside = SETTINGS["three branches"].diagonal()
    assert set(beside.parent) == {-1} and torch.equal(beside.edge, beside.readout)
    assert Setting(1, (1.0, 1.0), 0.1, 0.1).tree().parent == chain(2)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: climbed(ONES, samples=5, noise=0.1), "samples must be at least 6, got 5"),
        (lambda: climbed(ONES, samples=9, noise=-0.1), "noise must be finite and not negative"),
        (lambda: exposure(torch.tensor([1.0, 0.0]), noise=0.1), "target must be not 0"),
        (
            lambda: clean_climb(ONES, 0, seed=0, samples=9, noise=0.1),
            "branching must be at least 1, got 0",
        ),
        (
            lambda: error_curves(small(2, (1.0, 1.0)), [1.0], seed=0, samples=3, noise=0.1),
            "samples must be at least 4, got 3",
        ),
        (
            lambda: error_curves(
                Tree((-1,), [[1.0], [2.0]], [0.1], [0.1]), [1.0], seed=0, samples=9, noise=0.1
            ),
            "target must be of one problem",
        ),
        (
            lambda: decayed(small(1, (1.0,)), [1], [9], noise=0.1, decay=0.1, seed=0),
            "target must have one row for each of 1 copies",
        ),
        (
            lambda: decayed(
                Tree((-1,), [[1.0]], [0.1], [0.1]), [1], [9], noise=0.1, decay=0.0, seed=0
            ),
            "decay must be positive and finite, got 0",
        ),
    ],
)
def test_what_has_no_answer_is_refused(call, what):
    with pytest.raises(ValueError, match=what):
        call()


def test_a_few_draws_do_not_run_away():
    """The mean is theirs if steps are too long: five of a thousand draws made a fifth of it."""
    setting, time = SETTINGS["three branches"], torch.tensor([20.0])
    how = {"seed": 1, "samples": 50, "noise": setting.noise, "members": 500}
    long, short = (
        error_curves(setting.tree(), time, step=step, **how).error for step in (0.125, 0.0625)
    )
    assert float(long.mean()) == pytest.approx(float(short.mean()), rel=0.02)


def test_what_is_stored_is_what_the_script_lists():
    listed = [
        (figure, tuple(point.values()))
        for figure, points in figures_tree.FIGURES.items()
        for point, _ in points()
    ]
    found = [(figure, point) for figure, points in stored().runs.items() for point in points]
    assert sorted(listed, key=str) == sorted(found, key=str)


def test_what_is_stored_says_where_it_comes_from():
    origin = stored().origin
    assert origin["script"] == "tools/figures_tree.py" and len(origin["date"]) == 10
    assert math.isfinite(origin["seed"])


def test_a_coefficient_beyond_its_target_counts_as_one_that_is_fitted():
    target = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
    W, gamma = training_set.overlaps(0, target != 0, 20, 3)
    show = cavity._Overlaps(target, 20, 0.3, W.double(), gamma.double())
    for size, expected in [(0.5, 2 * 0.5**2), (1.0, 2.0), (1.5, 2.0)]:
        fitted = show._closure((size * target).expand(3, -1))[-1]
        torch.testing.assert_close(fitted[:, 0], torch.full((3,), expected, dtype=torch.float64))
