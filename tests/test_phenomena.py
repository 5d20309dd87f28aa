"""Claims of chapters/phenomena.md, one test per claim."""

import inspect
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import linregress, spearmanr

from tools.figures_matrix import origin
from toymodels import deep_linear, lattice
from toymodels.matrix import criteria, formulas, outside, probes
from toymodels.matrix.candidates import CANDIDATES, LINEAR, kernel
from toymodels.matrix.cells import RUN, WHY, _line, cell, samples_needed
from toymodels.matrix.formulas import FORMULAS
from toymodels.matrix.record import Record, from_coefficients, half_times
from toymodels.matrix.runs import FAMILIES, SIZES, TRAINED, Scale, compute, points
from toymodels.matrix.stored import key
from toymodels.matrix.tasks import TASKS, Task, cube, monomials, rungs, sparse, task, values
from toymodels.matrix.trained import layers
from toymodels.networks import GradientDescent, Perceptron, Samples
from toymodels.phenomena import (
    REFERENCE,
    RULES,
    experiment,
    half_time,
    matrix,
    pairs_of_one_degree,
    rank_correlations,
    row,
    stored,
    theory,
)

DOUBLE = torch.float64
STAIRS = task(4, [TASKS["staircase"]])
TOP = [0, 4, 10]  # x1, x1x2 and x1x2x3 among the monomials of four signs


def close(left, right, tolerance=1e-9):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


# ---- tasks ---------------------------------------------------------------------------------------


def test_monomials_are_orthonormal_and_in_the_order_of_the_lattice():
    chi = values(cube(5), monomials(5, 3))
    close(chi.mT @ chi / 32, torch.eye(25, dtype=DOUBLE))
    assert [tuple(i + 1 for i in s) for s in monomials(5, 3)] == [*lattice.subsets(5, 3)]
    close(chi[:, 24], cube(5)[:, [2, 3, 4]].prod(-1))


def test_problems_share_inputs_and_noise_and_members_do_not():
    both = task(6, [TASKS["staircase"], TASKS["parity"]], noise=0.3)
    x, y = both.draw(4000, seed=3, members=2)
    chi = values(x, both.features)
    left = y - (chi @ both.target.mT).movedim(-1, 0)
    close(left[0], left[1])
    assert left.std() == pytest.approx(0.3, rel=0.05) and (x[0] != x[1]).any()
    assert x.abs().unique().tolist() == [1.0] and abs(float(x.mean())) < 0.03
    again, _ = both.draw(4000, seed=3, members=1)
    close(again[0], x[0])
    own = torch.stack([x[0], x[1], x[1]])
    expected = torch.stack(
        [chi[0] @ both.target[1], chi[1] @ both.target[0], chi[1] @ both.target[1]]
    )
    close(both.clean(own, torch.tensor([1, 0, 1])), expected)


def test_random_targets_are_what_they_are_said_to_be():
    it = sparse(400, seed=2)
    chosen, sizes = it.target != 0, it.sizes
    assert (
        set(chosen.sum(-1).tolist()) <= {2, 3, 4, 5} and (chosen.sum(-1) == 5).double().mean() > 0.6
    )
    strength = it.target[chosen]
    assert 0.5 <= strength.min() < 0.51 and 1.49 < strength.max() <= 1.5
    share = torch.stack([(chosen & (sizes == k)).sum() for k in (1, 2, 3)]) / chosen.sum()
    assert ((share - torch.tensor([0.30, 0.34, 0.36])).abs() < 0.04).all()  # ones are drawn twice
    other = rungs(400, seed=2)
    tops = [other.features.index(s) for s in ((0, 1, 2), (3, 4, 5))]
    assert (other.target[:, tops] == 1).all() and set(other.target.unique().tolist()) == {0.0, 1.0}
    below = (other.target != 0).sum(-1) - 2
    assert set(below.tolist()) == {*range(7)} and abs(float(below.double().mean()) - 3) < 0.3
    inside = [set(s) <= {0, 1, 2} or set(s) <= {3, 4, 5} for s in other.features]
    assert (other.target[:, ~torch.tensor(inside)] == 0).all()


def test_bad_tasks_are_refused():
    with pytest.raises(ValueError, match="increasing coordinates"):
        task(4, [{(1, 0): 1.0}])
    with pytest.raises(ValueError, match="a column for each monomial"):
        Task(4, torch.ones(1, 5))
    with pytest.raises(ValueError, match="must not be 0"):
        Task(4, torch.zeros(1, 14))
    with pytest.raises(ValueError, match="noise"):
        Task(4, torch.ones(1, 14), noise=-1.0)


# ---- candidates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["diagonal", "gated", "tree", "lattice"])
def test_what_descends_is_what_the_formula_says(name, monkeypatch):
    """Readouts start at 0 and edges at the start, on both sides; up to the step of the clock."""
    monkeypatch.setattr(formulas, "TIMES", formulas.TIMES[formulas.TIMES < 50])
    it = task(4, [TASKS["staircase"], {(0,): 0.7, (1,): 1.2, (0, 1): 0.9}])
    candidate = replace(TRAINED[name], long=40, step=0.05, records=400)
    seen, said = (half_times(it, c(it, None, seed=0)) for c in (candidate, FORMULAS[name]))
    early = said < 40
    assert early.sum() >= 5
    torch.testing.assert_close(seen[early], said[early], rtol=4e-3, atol=0)


def test_gated_pathways_move_like_separate_weights():
    """A product of four separate weights, by Euler steps, and the tied one of the candidate."""
    it = task(4, [{(0, 1, 2): 1.0}])
    candidate = replace(TRAINED["gated"], start=0.4, long=8, step=0.01, records=5)
    seen = candidate(it, None, seed=0)
    a, u = 0.0, np.full(3, 0.4)
    path = {0: 0.0}
    for step in range(1, 8001):
        left = 1 - a * u.prod()
        a, u = a + 1e-3 * left * u.prod(), u + 1e-3 * left * a * u.prod() / u
        path[step] = a * u.prod()
    expected = torch.tensor([path[round(1000 * float(t))] for t in seen.time])
    torch.testing.assert_close(seen.coefficient[0, 0, :, 10], expected, rtol=0, atol=2e-3)


def test_the_dimension_drops_out_of_flows_of_features():
    for name in ("tree", "lattice"):
        few, many = (
            replace(TRAINED[name], long=12, records=20)(task(d, [TASKS["staircase"]]), None, seed=0)
            for d in (4, 6)
        )
        close(few.error, many.error, 1e-7)


def test_kernel_ridge_is_a_solve():
    it = task(5, [TASKS["staircase"]], noise=0.3)
    x, y = it.draw(20, seed=4, members=2)
    seen = kernel(it, 20, seed=4, members=2)
    ridge = 1 / seen.time[10]
    lam = 5.0 ** (1 - it.sizes.double())
    phi = values(x[1], it.features)
    K = phi @ torch.diag(lam) @ phi.mT / 20
    alpha = torch.linalg.solve(K + ridge * torch.eye(20), y[0, 1] / 20)
    close(seen.coefficient[0, 1, 10], lam * (phi.mT @ alpha))
    off = (phi @ seen.coefficient[0, 1, 10] - y[0, 1]).square().mean()
    close(seen.train_error[0, 1, 10], off)
    equal = kernel(it, 20, seed=4, members=2, flat=True)
    alpha = torch.linalg.solve(phi @ phi.mT / 20 + ridge * torch.eye(20), y[0, 1] / 20)
    close(equal.coefficient[0, 1, 10], phi.mT @ alpha)
    close(half_times(it, kernel(it, None, seed=0))[0, 0, 0], torch.tensor(1.0).double())


def test_linear_networks_know_no_products():
    seen = CANDIDATES["deep linear, 2"](STAIRS, None, seed=0)
    assert (seen.coefficient[..., 4:] == 0).all()
    said = deep_linear.half_time(deep_linear.DeepLinear(torch.ones(1).double(), 0.05**2))
    close(half_times(STAIRS, seen)[0, 0, 0], said[0], 1e-2)
    few = LINEAR[3](task(6, [TASKS["linear"]], noise=0.3), 200, seed=0, members=2)
    assert few.error[..., -1].max() < 0.05 and few.train_error.shape == few.error.shape


def test_relu_networks_start_as_pytorch_does():
    network, weights = layers((7, 5), torch.relu)(STAIRS, 400, 3, 1.0)
    assert [tuple(w.shape) for w in weights] == [
        (400, 7, 4), (400, 5, 7), (400, 1, 5), (400, 1, 7), (400, 1, 5), (400, 1, 1)
    ]  # fmt: skip
    for w, into in zip(weights, (4, 7, 5, 4, 7, 5), strict=True):
        assert 0.97 / into**0.5 < w.abs().max() <= into**-0.5 and abs(float(w.mean())) < 0.05
        assert w.std() == pytest.approx((3 * into) ** -0.5, rel=0.05)
    assert isinstance(network, Perceptron) and network.biases


def test_networks_of_signs_are_read_off_exactly():
    it = replace(STAIRS, noise=0.3)
    seen = replace(CANDIDATES["ReLU, 2 hidden"], until=4, records=3)(it, 30, seed=1, members=2)
    f = seen.coefficient[0, 1, -1] @ values(cube(4), it.features).mT
    assert (
        seen.error[0, 1, -1]
        >= (f - values(cube(4), it.features) @ it.target[0]).square().mean() - 1e-5
    )
    assert (seen.error[..., 0] < 3.5).all() and seen.error.shape == (1, 2, 4)
    tower = replace(CANDIDATES["tower"], until=30, long=30)(it, None, seed=1, members=2)
    close(tower.error[..., -1], torch.zeros(1, 2, dtype=DOUBLE), 1e-4)


# ---- two candidates from outside -----------------------------------------------------------------


@pytest.mark.parametrize("candidate", [outside.lofi, outside.alternating])
def test_a_candidate_takes_at_most_forty_lines(candidate):
    lines = inspect.getsource(candidate).splitlines()
    text = len(candidate.__doc__.splitlines()) + 1
    helpers = 0
    if candidate is outside.lofi:
        helpers = len(inspect.getsource(outside.lifted).splitlines()) - 3
    assert len([line for line in lines if line.strip()]) - text + helpers <= 55
    assert len([line for line in lines if line.strip()]) - text <= 40


def public_lofi(X, y, Xt, k, ridges):
    """As the authors' script for the convergence of their kernels does it, one set at a time."""

    def arc(q, radius):
        angle = np.arccos(np.clip(q / radius, -1, 1))
        return radius / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.clip(q / radius, -1, 1))

    def gram(F, Ft):
        c2 = (F**2).sum(1).mean()
        every = np.vstack([F, Ft])
        q = every @ every.T / c2
        K = arc(q, np.sqrt(np.outer(q.diagonal(), q.diagonal())) + 1e-300)
        return K[: len(F), : len(F)], K[: len(F), len(F) :]

    F, Ft = X, Xt
    for _ in range(2):
        G, cross = gram(F, Ft)
        mu, Q = np.linalg.eigh(G)
        mu = np.clip(mu, 1e-6, None)
        half = Q @ np.diag(mu**0.5) @ Q.T
        size, B = np.linalg.eigh(half @ np.diag(y) @ half)
        B = B[:, np.argsort(-np.abs(size))[:k]]
        A = Q @ np.diag(mu**-0.5) @ Q.T @ B
        F, Ft = half @ B, cross.T @ A
    G, cross = gram(F, Ft)
    return np.stack([cross.T @ np.linalg.solve(G + r * np.eye(len(y)), y) for r in ridges])


def test_neural_lofi_is_the_public_algorithm():
    it = task(5, [TASKS["staircase"], TASKS["merged"]], noise=0.3)
    seen = outside.lofi(it, 24, seed=5, members=2)
    x, y = it.draw(24, seed=5, members=2)
    chi = values(cube(5), it.features)
    for problem in range(2):
        f = public_lofi(
            x[1].numpy(), y[problem, 1].numpy(), cube(5).numpy(), 10, outside.RIDGES[:9].numpy()
        )
        expected = torch.from_numpy(f) @ chi / 32
        torch.testing.assert_close(seen.coefficient[problem, 1, :9], expected, rtol=1e-4, atol=1e-5)
        error = (torch.from_numpy(f) - chi @ it.target[problem]).square().mean(-1)
        torch.testing.assert_close(seen.error[problem, 1, :9], error, rtol=1e-4, atol=1e-5)


def test_neural_lofi_has_samples_for_a_time():
    it = task(5, [TASKS["staircase"]], noise=0.3)
    seen = outside.lofi(it, None, seed=5, members=2)
    assert seen.time.tolist() == [16, 32, 64, 128, 256, 512]
    one = outside.lofi(it, 64, seed=5, members=2)
    close(seen.error[0, :, 2], one.error[0].amin(-1))
    assert (seen.error[..., -1] < 0.1).all()


def test_alternating_flows_by_hand():
    """Linear terms together; an eigenvector at a time; a cubic term by itself."""
    terms = {(0,): 0.6, (1,): 0.8, (0, 1): 1.2, (2, 3): 0.5, (0, 1, 2): 1.5}
    it = task(4, [terms])
    half = half_times(it, outside.alternating(it, None, seed=0))[0, 0]
    found = [float(half[it.features.index(s)]) for s in terms]
    wait = math.log(20)
    expected = [wait, wait, 19 / 1.2, 19 / 0.5, 399 / 2 / (1.5 * 6 / 27**0.5)]
    assert found == pytest.approx(expected, rel=0.04)
    joined = task(4, [{(0, 1): 1.0, (0, 2): 1.0}])
    half = half_times(joined, outside.alternating(joined, None, seed=0))[0, 0]
    assert half[4] == half[5] and float(half[4]) == pytest.approx(19 / 2**0.5, rel=0.04)
    with pytest.raises(ValueError, match="samples must be None"):
        outside.alternating(it, 10, seed=0)


# ---- criteria ------------------------------------------------------------------------------------


def test_rank_correlations_share_the_ranks_of_ties():
    one = torch.tensor([[1.0, 2.0, 2.0, 4.0], [3.0, 1.0, 2.0, torch.inf]])
    other = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    expected = [
        spearmanr(a, b).statistic for a, b in zip(one[:, :4].tolist(), other.tolist(), strict=True)
    ]
    close(criteria.spearman(one, other), torch.tensor(expected, dtype=DOUBLE), 1e-6)
    kept = torch.tensor([True, True, True, False])
    expected = spearmanr([3, 1, 2], [1, 2, 3]).statistic
    close(
        criteria.spearman(one, other, kept.expand(2, -1))[1], torch.tensor(expected, dtype=DOUBLE)
    )
    assert criteria.spearman(torch.ones(3), torch.arange(3.0)) == 0
    nearly = torch.tensor([1.0, 1.0 + 1e-9, 2.0])
    close(
        criteria.spearman(nearly, torch.tensor([2.0, 1.0, 3.0])),
        torch.tensor(3**0.5 / 2).double(),
        1e-6,
    )


def test_pairs_within_a_group():
    predicted = torch.tensor([1.0, 2.0, 2.0, 0.0, torch.inf])
    measured = torch.tensor([1.0, 2.0, 3.0, 9.0, 4.0])
    group, kept = torch.tensor([1.0, 1, 1, 2, 2]), torch.ones(5, dtype=torch.bool)
    found = criteria.right_pairs(predicted, measured, group, kept)
    assert float(found) == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    lone = criteria.right_pairs(predicted, measured, group, torch.tensor([1, 0, 0, 0, 1]).bool())
    assert bool(lone.isnan())


def steps(falls, at):
    """An error that falls at some moments, as a record."""
    time = torch.cat([torch.zeros(1), torch.logspace(-1, 2, 300)]).double()
    parts = [
        f * torch.sigmoid((math.log(t) - time.clamp(min=0.05).log()) * 25)
        for f, t in zip(falls, at, strict=True)
    ]
    error = torch.stack(parts).sum(0)[None, None]
    return Record(time, error[..., None], error)


def test_stages_are_drops_between_plateaus():
    assert criteria.stages(steps([1, 1, 1], [1, 5, 25])) == 3
    assert criteria.stages(steps([1, 1, 1], [1, 1.05, 25])) == 2
    assert criteria.stages(steps([2, 0.1, 0.9], [1, 5, 25])) == 2  # a thirtieth is no drop
    assert criteria.stages(steps([1, 1, 0.05], [1, 5, 25])) == 2
    assert criteria.stages(steps([3], [5])) == 1
    with pytest.raises(ValueError, match="three moments"):
        criteria.stages(Record(torch.ones(2), torch.ones(1, 1, 2, 1), torch.ones(1, 1, 2)))
    time = torch.linspace(0, 10, 200).double()
    smooth = torch.exp(-time)[None, None]
    assert criteria.stages(Record(time, smooth[..., None], smooth)) == 1


def test_a_threshold_has_a_jackknife_error_and_may_not_be_reached():
    sizes = torch.tensor([10.0, 100.0, 1000.0]).double()
    best = torch.tensor([[1.0, 1.2], [0.1, 0.3], [0.01, 0.01]]).double()
    found = criteria.threshold(sizes, best, 0.2)
    n, error = float(found[0]), criteria.jackknife(found[1:])
    assert math.exp(n) == pytest.approx(100, rel=1e-6)
    each = [math.log(10) + math.log(b / 0.2) / math.log(b / c) * math.log(10)
            for b, c in ((1.0, 0.1), )]  # fmt: skip
    other = math.log(100) + math.log(0.3 / 0.2) / math.log(0.3 / 0.01) * math.log(10)
    assert error == pytest.approx(abs(each[0] - other) / 2, rel=1e-6)
    never = criteria.threshold(sizes, best, 0.001)
    assert never[0] == criteria.jackknife(never[1:]) == math.inf


def test_a_peak_stands_above_both_sides():
    final = torch.tensor([[1.0, 1.0], [0.5, 0.5], [2.0, 4.0], [0.2, 0.2], [0.1, 0.1]]).double()
    close(criteria.peak(final), torch.tensor([6.0, 8.0, 4.0]).double())
    assert criteria.peak(final.sort(0, descending=True).values)[0] <= 1


def test_the_rules_are_those_of_the_protocol():
    """On both sides of every bound; nobody loosens one."""
    yes = {
        "stages": [3], "order by strength": [0.91], "knock-on": [2.1, 2.2],
        "sample advantage": [3.1, 3.0], "cost of the bet": [1.01], "overfitting": [1.21],
        "double descent": [2.0], "silent alignment": [0.51], "lazy to rich": [0.51, 0.09],
        "power law in time": [-1.0, -0.98, 0.01], "edge of stability": [2.19],
        "delayed generalisation": [10.1], "predicts the network": [0.71, 0.7, 0.6],
    }  # fmt: skip
    no = {
        "stages": [[2.9]], "order by strength": [[0.89]], "knock-on": [[1.9, 3.0], [2.1, 2.0]],
        "sample advantage": [[2.9, 1], [3.1, 3.2]], "cost of the bet": [[0.99]],
        "overfitting": [[1.19]], "double descent": [[1.99]], "silent alignment": [[0.49]],
        "lazy to rich": [[0.49, 0], [0.6, 0.11]], "power law in time": [[-1, -0.97, 0.01]],
        "edge of stability": [[1.79], [2.21]], "delayed generalisation": [[9.9]],
        "predicts the network": [[0.69, 0, 0], [0.8, 0.81, 0], [0.8, 0, 0.81]],
    }  # fmt: skip
    assert RULES.keys() == yes.keys() == no.keys()
    for name, rule in RULES.items():
        assert rule.holds(torch.tensor(yes[name]).double()), name
        for values_ in no[name]:
            assert not rule.holds(torch.tensor(values_).double()), (name, values_)


# ---- probes --------------------------------------------------------------------------------------


def test_sharpness_is_the_largest_curvature():
    w = [
        torch.tensor([[[0.7, -0.3]], [[0.2, 0.5]]], dtype=DOUBLE),
        torch.tensor([[[1.2]], [[0.4]]], dtype=DOUBLE),
    ]
    x = torch.tensor([[[1.0, 2.0], [0.5, -1.0], [0.3, 0.3]]] * 2, dtype=DOUBLE)
    y = torch.tensor([[[1.0], [0.0], [2.0]]] * 2, dtype=DOUBLE)

    def loss(flat, member):
        f = x[member] @ flat[:2] * flat[2]
        return 0.5 * (f - y[member, :, 0]).square().mean()

    found = probes.sharpness(Perceptron(), w, Samples(x, y))
    for member in range(2):
        flat = torch.cat([w[0][member].ravel(), w[1][member].ravel()])
        hessian = torch.autograd.functional.hessian(lambda v, m=member: loss(v, m), flat)
        assert float(found[member]) == pytest.approx(
            float(torch.linalg.eigvalsh(hessian).abs().max()), rel=1e-4
        )


def test_the_lazy_limit_is_the_first_kernel():
    """A scale of 10^4 follows it, and one of 1 does not; a network of one layer always does."""
    straight = replace(LINEAR[2], build=layers((), None))
    it = task(6, [TASKS["linear"]])
    assert probes.laziness(straight, it, seed=0, members=2, steps=300).max() < 1e-9
    found = probes.laziness(LINEAR[3], it, seed=0, members=2, steps=1000)
    assert found.shape == (3, 2) and found[0].min() > 0.5 and found[2].max() < 0.01


def test_alignment_of_a_kernel_that_turns():
    """Two layers of a linear network: K = |a|^2 x.x' + (Wx).(Wx'), by hand at the start."""
    it = task(4, [TASKS["linear"]])
    found = probes.alignment(LINEAR[2], it, seed=1, members=2)
    _, (W, a) = LINEAR[2].build(it, 2, 1, 0.3)
    x = cube(4).float()
    y = values(x, it.features) @ it.target[0].float()
    for member in range(2):
        K = a[member].square().sum() * (x @ x.mT) + x @ W[member].mT @ W[member] @ x.mT
        assert float(found["start"][member]) == pytest.approx(
            float(y @ K @ y / K.norm() / y.square().sum()), rel=1e-5
        )
    assert (found["start"] < found["tenth"]).all() and (found["tenth"] < found["end"]).all()


def test_beyond_the_edge_descent_survives_or_leaves():
    it = task(6, [TASKS["linear"]])
    found = probes.edge(LINEAR[2], it, seed=1, members=3, samples=40, steps=2000)
    assert found["product"].shape == (7, 3)
    torch.testing.assert_close(
        found["product"][0], torch.full((3,), 1.8).double(), rtol=0.02, atol=0
    )
    assert found["product"][-1].isnan().all()


# ---- the matrix ----------------------------------------------------------------------------------


def test_the_lattice_and_its_half_times_are_those_of_its_chapter():
    time = torch.linspace(0, 12, 241).double()
    said = theory(STAIRS, time)
    close(half_times(STAIRS, said)[0, TOP], half_time(STAIRS)[0, TOP], 1e-3)
    assert said.error.shape == (1, 241) and said.error[0, 0] == 3
    with pytest.raises(ValueError, match="start must be above 0"):
        theory(STAIRS, time, start=0.0)


def test_networks_learn_a_staircase_in_order():
    seen = experiment(STAIRS, torch.linspace(0, 20, 41), seed=1, members=2)
    half = half_times(STAIRS, seen)[0][:, TOP]
    assert seen.coefficient.shape == (1, 2, 41, 14) and (half.diff(dim=-1) > 0).all()
    again = experiment(STAIRS, torch.linspace(0, 20, 41), seed=1, members=1)
    torch.testing.assert_close(again.error[0, 0], seen.error[0, 0], rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="hidden must be 2 or 3"):
        experiment(STAIRS, torch.linspace(0, 1, 3), seed=0, hidden=1)


@pytest.fixture(scope="module")
def full():
    return stored()


def test_the_stored_matrix_is_of_this_protocol(full):
    ours = {
        k: v for k, v in origin().items() if k in ("script", "seed", "members", "problems", "sizes")
    }
    assert {k: full.origin[k] for k in ours} == ours and len(full.origin["date"]) == 10
    assert {*full.runs} <= {key(p) for p in points()}


CHEAP = [
    {"run": "in_stages", "candidate": "kernel ridge"},
    {"run": "in_stages", "candidate": "deep linear, 2"},
    {"run": "terms", "candidate": "diagonal", "family": "random"},
    {"run": "terms", "candidate": "alternating flows", "family": "rungs"},
    {"run": "by_strength", "candidate": "kernel ridge"},
    {"run": "sweep", "candidate": "kernel ridge", "of": "staircase", "dimension": 8},
    {"run": "knock_on", "candidate": "alternating flows"},
]


@pytest.mark.parametrize("point", CHEAP, ids=str)
def test_a_part_of_it_computed_again_is_the_same(full, point):
    for name, again in compute(point, Scale()).items():
        before = full.runs[key(point)][name]
        torch.testing.assert_close(torch.from_numpy(again), before, rtol=1e-3, atol=1e-6)


def test_networks_trained_again_learn_at_the_same_times(full):
    """Four of the 24 targets: sums in another order, so not to the last digit."""
    point = {"run": "terms", "candidate": "ReLU, 2 hidden", "family": "random"}
    again = torch.from_numpy(compute(point, Scale(problems=2))["time"])
    before = full.runs[key(point)]["time"][:2]
    known = before.isfinite() & again[:, : before.shape[1]].isfinite()
    torch.testing.assert_close(again[known], before[known], rtol=0.1, atol=0.3)
    assert known.sum() >= 7


def test_every_cell_has_a_number_or_a_reason(full):
    found = matrix(full.runs)
    assert found.keys() == {(r, n) for r in RULES for n in CANDIDATES}
    for place, one in found.items():
        assert bool(one.reason) != (one.value is not None), place
        if one.value is not None:
            assert one.verdict in ("yes", "no") and one.basis in ("P", "M") and one.error >= 0
            assert (one.predicted is not None) == (one.basis == "P")
    assert matrix({})["stages", "tree"].reason == "not run"
    assert (
        all(WHY[r].keys() <= CANDIDATES.keys() and r in RULES for r in WHY)
        and RUN.keys() <= RULES.keys()
    )


def test_a_row_of_a_readers_own(full):
    """A model that knows the answer at once: no order, no stages, and every sample saved."""

    def oracle(task, samples, *, seed, members=1):
        time = torch.tensor([1.0, 2.0, 3.0, 4.0]).double()
        c = task.target[:, None, None] * torch.tensor([0.0, 0.0, 1.0, 1.0])[:, None]
        seen = from_coefficients(task, time, c.expand(-1, members, -1, -1).double())
        return replace(seen, train_error=seen.error)

    found = row(oracle, full.runs, members=2)
    assert found["stages"].value == 1 and found["knock-on"].value == 1
    assert found["sample advantage"].value > 10 and found["cost of the bet"].value < 0.2
    assert (
        found["predicts the network"].value == 0 and found["predicts the network"].verdict == "no"
    )
    assert found["edge of stability"].reason == "not run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda seen: 3, "candidate must hand back a Record, got int"),
        (
            lambda seen: replace(seen, coefficient=seen.coefficient[..., 1:]),
            "coefficient of the candidate's record must be",
        ),
        (lambda seen: replace(seen, error=seen.error * torch.nan), "must be finite"),
        (lambda seen: replace(seen, train_error=None), "train_error .* got None"),
    ],
)
def test_a_bad_record_of_a_reader_is_refused_in_words(full, change, message):
    def bad(task, samples, *, seed, members=1):
        time = torch.tensor([1.0, 2.0, 3.0]).double()
        c = task.target[:, None, None] * torch.tensor([0.0, 0.6, 1.0]).double()[:, None]
        seen = from_coefficients(task, time, c.expand(-1, members, -1, -1))
        return change(replace(seen, train_error=seen.error))

    with pytest.raises(ValueError, match=message):
        row(bad, full.runs, members=2)


def test_a_model_of_the_population_alone_has_no_cells_with_samples(full):
    found = row(outside.alternating, full.runs, members=2)
    assert found["sample advantage"].reason == found["overfitting"].reason == "not run"
    assert found["predicts the network"].value == pytest.approx(0.926, abs=1e-3)


def test_the_other_start_is_compared_with_the_first_and_models_with_both():
    """One target, three terms: two networks of opposite orders."""
    fields = {
        "strength": torch.tensor([[1.0, 2.0, 3.0]]),
        "degree": torch.tensor([[1.0, 2.0, 3.0]]),
    }
    runs = {}
    for name, again, time in (
        (REFERENCE, 0, [1.0, 2.0, 4.0]),
        (REFERENCE, 1, [9.0, 1.0, 4.0]),
        ("tree", 0, [2.0, 1.0, 3.0]),
    ):
        point = {"run": "terms", "candidate": name, "family": "random"} | (
            {"again": 1} if again else {}
        )
        runs[key(point)] = fields | {"time": torch.tensor([time])}
    found = rank_correlations(runs, "random")
    # geometric means 3, 1.4, 4
    assert float(found["tree"]) == pytest.approx(1)
    assert float(found["another start"]) == pytest.approx(-0.5)
    assert float(found["by degree"]) == pytest.approx(0.5)
    assert float(found["by strength"]) == pytest.approx(-0.5)
    pairs = pairs_of_one_degree(
        {k: v | {"degree": torch.ones(1, 3)} for k, v in runs.items()}, "random"
    )
    assert float(pairs["tree"]) == 1 and float(pairs["another start"]) == pytest.approx(1 / 3)


def test_samples_needed_takes_the_better_kernel(full):
    both = [
        samples_needed(full.runs, n, "staircase", 8)[0]
        for n in ("kernel ridge", "kernel ridge, flat")
    ]
    assert both[0] == min(both) and 30 < both[0] < 256
    assert SIZES[8][-1] == 256 and FAMILIES.keys() == {"random", "rungs"}


def test_correlations_within_targets_are_between_minus_one_and_one(full):
    for family in FAMILIES:
        found, pairs = rank_correlations(full.runs, family), pairs_of_one_degree(full.runs, family)
        assert (
            {"by strength", "by degree", "another start", "lattice"} <= found.keys() == pairs.keys()
        )
        for name in found:
            assert (found[name].abs() <= 1 + 1e-9).all() and len(found[name]) == 24
            known = pairs[name][~pairs[name].isnan()]
            assert ((known >= 0) & (known <= 1)).all()
        assert (pairs["by degree"].nan_to_num(0.5) == 0.5).all()


def test_cells_read_their_numbers_right():
    """Made-up runs whose numbers are known."""
    sizes = torch.tensor([8.0, 16.0, 32.0]).double()

    def swept(name, of, d, errors):
        best = torch.tensor(errors).double()[:, None].expand(-1, 2) * torch.tensor([1.0, 1.0])
        point = {"run": "sweep", "candidate": name, "of": of, "dimension": d}
        ones = torch.ones_like(best)
        return {
            key(point): {
                "sizes": sizes,
                "best": best,
                "final": best * 2,
                "fresh": 6 * ones,
                "fitted": ones * 2,
            }
        }

    runs = {}
    for d, errors in ((8, [0.6, 0.3, 0.1]), (12, [0.9, 0.6, 0.3])):
        for name in ("kernel ridge", "kernel ridge, flat"):
            runs |= swept(name, "staircase", d, errors)
        runs |= swept("tree", "staircase", d, [0.3, 0.1, 0.1])
    for name in ("kernel ridge", "kernel ridge, flat"):
        runs |= swept(name, "parity", 8, [0.2, 0.1, 0.05])
    runs |= swept("tree", "parity", 8, [0.9, 0.5, 0.4])
    one = cell(runs, "sample advantage", "tree")
    assert (
        one.value == pytest.approx(4) and one.others[0] == pytest.approx(2) and one.verdict == "yes"
    )
    one = cell(runs, "cost of the bet", "tree")
    assert one.value == pytest.approx(2) and one.bound == ">" and one.verdict == "yes"
    assert cell(runs, "overfitting", "tree").value == pytest.approx(2)
    assert cell(runs, "delayed generalisation", "tree").value == pytest.approx(3)
    edge = {"product": torch.tensor([[1.8, 1.8], [2.1, 1.9], [float("nan"), 2.3]]).double()}
    runs[key({"run": "at_the_edge", "candidate": "tree"})] = edge
    assert cell(runs, "edge of stability", "tree").value == pytest.approx(2.2)
    turned = {
        k: torch.tensor(v).double()
        for k, v in {"start": [0.2, 0.2], "tenth": [0.5, 0.6], "end": [0.8, 0.7]}.items()
    }
    runs[key({"run": "aligned", "candidate": "tree"})] = turned
    assert cell(runs, "silent alignment", "tree").value == pytest.approx((0.5 + 0.8) / 2)
    time = torch.logspace(0, 3, 200).double()
    line = {"time": time, "error": time**-1.3, "window": torch.tensor([3.0, 200.0]).double()}
    runs[key({"run": "power_law", "candidate": "tree"})] = line | {
        f"formula {k}": v for k, v in line.items()
    }
    one = cell(runs, "power law in time", "tree")
    assert one.value == pytest.approx(-1.3, abs=1e-6) and one.basis == "P"


def test_kernel_ridge_competes_with_its_better_kernel():
    sizes, best = torch.tensor([8.0, 16.0, 32.0]).double(), torch.tensor([4.0, 1.0, 0.2]).double()
    runs = {}
    for name, factor in (("kernel ridge", 1.0), ("kernel ridge, flat", 0.5)):
        point = {"run": "sweep", "candidate": name, "of": "staircase", "dimension": 8}
        runs[key(point)] = {"sizes": sizes, "best": factor * best[:, None].expand(3, 2)}
    found = samples_needed(runs, "kernel ridge", "staircase", 8)[0]
    assert found == pytest.approx(samples_needed(runs, "kernel ridge, flat", "staircase", 8)[0])
    assert found < 26  # the other kernel passes later


def test_what_a_candidate_and_the_kernel_share_is_no_error_of_their_ratio():
    """Both see the same inputs: a candidate that always needs half as many has no error."""
    sizes, common = torch.tensor([8.0, 16.0, 32.0]).double(), torch.tensor([1.0, 1.3]).double()
    late, early = torch.tensor([4.0, 1.0, 0.2]), torch.tensor([1.0, 0.2, 0.04])
    runs = {}
    for of, d in (("staircase", 8), ("staircase", 12), ("parity", 8)):
        for name, rows in (("kernel ridge", late), ("kernel ridge, flat", late), ("tree", early)):
            point = {"run": "sweep", "candidate": name, "of": of, "dimension": d}
            runs[key(point)] = {"sizes": sizes, "best": rows.double()[:, None] * common * 0.3}
    for place in ("sample advantage", "cost of the bet"):
        assert cell(runs, place, "kernel ridge").error == pytest.approx(0, abs=1e-12)
    assert cell(runs, "sample advantage", "tree").error < 0.01
    assert samples_needed(runs, "tree", "staircase", 12)[1] > 0.05
    point = {"run": "sweep", "candidate": "tree", "of": "staircase", "dimension": 12}
    runs[key(point)]["best"] = early.double()[:, None] * torch.tensor([1.3, 1.0]) * 0.3
    assert cell(runs, "sample advantage", "tree").error > 0.2  # what they do not share


def test_cells_take_the_setting_that_their_rule_names():
    """The knock-on effect first from the start of the matrix; the lazy limit at the last scale."""
    runs = {
        key({"run": "knock_on", "candidate": "tower"}): {
            "ratio": torch.tensor([[3.0, 5.0], [8.0, 10.0]]).double()
        },
        key({"run": "lazy", "candidate": "tower"}): {
            "distance": torch.tensor([[0.8, 0.6], [0.3, 0.3], [0.04, 0.06]]).double()
        },
    }
    one = cell(runs, "knock-on", "tower")
    assert (one.value, one.error, one.others, one.verdict) == (4, 1, (9,), "yes")
    one = cell(runs, "lazy to rich", "tower")
    assert (one.value, one.verdict) == (pytest.approx(0.7), "yes")
    assert one.others == pytest.approx((0.05,)) and one.error == pytest.approx(0.1)


def test_runs_have_the_sign_and_the_order_that_their_rows_name():
    """Strong modes come first: a correlation of +1. Alone is slower: a ratio above one."""
    seen = compute({"run": "by_strength", "candidate": "deep linear, 2"}, Scale())
    assert seen["spearman"] == pytest.approx(1)
    short = replace(TRAINED["diagonal"], long=50, step=0.25)
    seen = compute(
        {"run": "by_strength", "candidate": "diagonal"}, Scale(entered=(("diagonal", short),))
    )
    assert seen["formula"] == pytest.approx(1) and seen["spearman"] == pytest.approx(1)

    def helped(task, samples, *, seed, members=1):
        """Learns everything at 2, but the cubic term of a problem without x1 at 6."""
        time = torch.arange(1.0, 9.0).double()
        at = torch.full_like(task.target, 2.0)
        at[task.target[:, 0] == 0] = 6.0
        c = task.target[:, None, None] * (time[:, None] >= at[:, None, None]).double()
        return from_coefficients(task, time, c.expand(-1, members, -1, -1))

    seen = compute({"run": "knock_on", "candidate": "helped"}, Scale(entered=(("helped", helped),)))
    expected = (5 + 0.5) / (1 + 0.5)
    assert seen["ratio"] == pytest.approx(expected, abs=0.01) and seen["ratio"].shape == (2, 6)


def test_the_window_of_a_power_law_is_between_two_half_times():
    """Of the fourth and the thirty-second strength, 1/4 and 1/32."""
    seen = compute({"run": "power_law", "candidate": "deep linear, 2"}, Scale())
    beta = torch.tensor([1 / 4, 1 / 32]).double()
    said = deep_linear.half_time(deep_linear.DeepLinear(beta, 0.05**2))
    torch.testing.assert_close(torch.from_numpy(seen["window"]), said, rtol=0.02, atol=0)


def test_another_start_is_another_draw_and_sweeps_keep_the_last_error():
    def told(task, samples, *, seed, members=1):
        time = torch.tensor([1.0, 2.0, 3.0]).double()
        rise = torch.tensor([0.0, 0.4, 1.0]).double() * (1 + 0.1 * seed)
        c = task.target[:, None, None] * rise[:, None]
        seen = from_coefficients(task, time, c.expand(-1, members, -1, -1))
        error = torch.tensor([3.0, 0.2, 0.7], dtype=DOUBLE).expand(1, members, -1)
        return seen if samples is None else replace(seen, error=error, train_error=error)

    scale = Scale(entered=(("told", told),), members=2, problems=3)
    first, again = (
        compute({"run": "terms", "candidate": "told", "family": "random"} | more, scale)["time"]
        for more in ({}, {"again": 1})
    )
    known = np.isfinite(first)
    assert known.any() and (again[known] < first[known]).all()
    point = {"run": "sweep", "candidate": "told", "of": "parity", "dimension": 8}
    seen = compute(point, scale)
    assert (seen["best"] == 0.2).all() and (seen["final"] == 0.7).all()


def test_neural_lofi_waits_in_the_mean_of_two_draws():
    """With the noise of labels; here two members learn everything at 2 and at 4."""

    def drawn(task, samples, *, seed, members=1):
        assert (task.noise, samples, members) == (0.3, None, 2)
        time = torch.arange(1.0, 6.0).double()
        share = (time >= torch.tensor([[2.0], [4.0]])).double()  # member, time
        return from_coefficients(task, time, task.target[:, None, None] * share[..., None])

    scale = Scale(problems=2, entered=(("Neural LoFi", drawn),))
    seen = compute({"run": "terms", "candidate": "Neural LoFi", "family": "random"}, scale)["time"]
    assert seen[np.isfinite(seen)] == pytest.approx((1.5 + 3.5) / 2)


def test_weights_biases_and_the_noise_of_two_sizes_are_drawn_apart():
    _, weights = layers((4, 4), torch.relu)(STAIRS, 200, 3, 1.0)
    flat = [w.flatten(1)[:, :4] / w.abs().max() for w in weights]
    for k, one in enumerate(flat):
        for other in flat[k + 1 :]:
            n = min(one.shape[1], other.shape[1])
            pair = torch.stack([one[:, :n].ravel(), other[:, :n].ravel()])
            assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.2
    it = task(6, [TASKS["parity"]], noise=1.0)
    few, many = (it.draw(n, seed=3, members=2) for n in (200, 400))
    left = [y[0] - x[..., :3].prod(-1) for x, y in (few, many)]
    both = torch.stack([left[0][1], left[1][1, :200]])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.3
    assert abs(float(torch.corrcoef(left[0])[0, 1])) < 0.3  # members


def test_alignment_is_read_where_a_tenth_of_the_loss_is_gone():
    """A kernel that turns with the loss has made a part of its way there, and more at a half."""
    it = task(4, [TASKS["linear"]])
    network = replace(CANDIDATES["ReLU, 2 hidden"], long=20, until=20)
    found = probes.alignment(network, it, seed=1, members=2)
    share = (found["tenth"] - found["start"]) / (found["end"] - found["start"])
    assert (share < 0.2).all()


def test_a_slope_has_the_error_of_its_line():
    """As scipy's regression through the same points."""
    time = torch.logspace(0, 2, 25).double()
    bent = (-1.2 * time.log() + 0.1 * torch.sin(9 * time.log())).exp()
    slope, error = _line(time, bent, time[[0, -1]])
    found = linregress(time.log().numpy(), bent.log().numpy())
    assert slope == pytest.approx(found.slope, rel=1e-6)
    assert error == pytest.approx(found.stderr, rel=1e-6)


def test_descent_is_on_what_it_says():
    """One step by hand on samples: the mean over samples of the residual times the gradient."""
    it = replace(STAIRS, noise=0.3)
    candidate = replace(TRAINED["diagonal"], step=0.1, until=0.1, records=2)
    seen = candidate(it, 12, seed=2, members=2)
    x, y = it.draw(12, seed=2, members=2)
    phi = values(x[1], it.features)
    a = 0.1 * (y[0, 1] @ phi / 12) * 0.05
    torch.testing.assert_close(seen.coefficient[0, 1, -1], a * 0.05, rtol=1e-4, atol=1e-8)
    assert GradientDescent(0.1).step == 0.1
