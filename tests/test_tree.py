"""Claims of chapters/tree.md, one test per claim."""

import math

import pytest
import torch
from scipy.integrate import quad

from toymodels import deep_linear
from toymodels.kernel_regression import KernelRegression
from toymodels.kernel_regression import experiment as fit_ridge
from toymodels.networks.data import Samples
from toymodels.networks.ensemble import train
from toymodels.networks.rules import GradientFlow
from toymodels.numerics import draws
from toymodels.tree import (
    Tree,
    TreeNetwork,
    _training_sets,
    balanced,
    chain,
    experiment,
    half_time,
    invariant,
    plateau,
    products,
    regular,
    staircase,
    tangent_kernel,
    theory,
)

BRANCHED = (-1, 0, 0, 1, 1, 2, -1)  # two subtrees on the root, one of them a single node
TARGET = torch.tensor([1.0, -0.8, 0.5, 0.0, 0.6, -1.2, 0.9], dtype=torch.float64)
READOUT = torch.tensor([0.3, 0.2, -0.1, 0.2, 0.0, 0.25, -0.2], dtype=torch.float64)
EDGE = torch.tensor([0.5, -0.4, 0.3, 0.2, 0.6, 0.0, 0.35], dtype=torch.float64)
MODEL = Tree(BRANCHED, TARGET, READOUT, EDGE)  # neither balanced nor positive, one edge is 0
TIME = torch.linspace(0, 6, 25, dtype=torch.float64)


def grown(parent, target, start):
    """A tree whose readouts start at ``start`` wherever there is a target, and balanced."""
    target = torch.as_tensor(target, dtype=torch.float64)
    start = torch.as_tensor(start, dtype=torch.float64)[..., None]
    readout = start * (target != 0)
    return Tree(parent, target, readout, balanced(readout, parent))


def cube(coordinates):
    """All points of the cube, one row each."""
    index = torch.arange(2**coordinates)[:, None] >> torch.arange(coordinates)
    return 1.0 - 2.0 * (index & 1).double()


def path_products(edge, parent):
    """By the definition, node by node."""
    found = []
    for node, above in enumerate(parent):
        found.append(edge[..., node] * (found[above] if above >= 0 else 1.0))
    return torch.stack(found, -1)


def test_path_products_of_signs_and_zeros():
    torch.testing.assert_close(products(EDGE, BRANCHED), path_products(EDGE, BRANCHED))
    torch.testing.assert_close(products(EDGE[:3], chain(3)), EDGE[:3].cumprod(-1))


def test_the_trees_have_the_shape_that_they_name():
    assert chain(4) == (-1, 0, 1, 2)
    assert regular(2, 3) == (-1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)
    assert regular(1, 3) == chain(3) and len(regular(3, 4)) == 3 + 9 + 27 + 81


def test_coordinates_on_the_edges_make_orthonormal_monomials():
    phi = products(cube(7), BRANCHED)
    torch.testing.assert_close(phi.mT @ phi / 128, torch.eye(7, dtype=torch.float64))
    x = cube(7)
    torch.testing.assert_close(phi[:, 5], x[:, 0] * x[:, 2] * x[:, 5])


def test_theory_descends_the_loss_of_its_definition():
    """The differential equation against autograd, also where an edge passes through zero."""
    h = 1e-4
    before, now, after = (theory(MODEL, TIME + h * (k + 1)) for k in (-1, 0, 1))
    leaves = [now.readout.clone().requires_grad_(), now.edge.clone().requires_grad_()]
    c = leaves[0] * path_products(leaves[1], BRANCHED)
    torch.testing.assert_close(now.coefficient, c.detach())
    loss = 0.5 * (TARGET - c).square().sum(-1)
    torch.testing.assert_close(now.loss, loss.detach())
    downhill = torch.autograd.grad(-loss.sum(), leaves)
    for name, slope in zip(("readout", "edge"), downhill, strict=True):
        measured = (getattr(after, name) - getattr(before, name)) / (2 * h)
        torch.testing.assert_close(measured, slope, atol=3e-7, rtol=0)


def test_theory_starts_at_its_start_and_arrives():
    seen = theory(MODEL, torch.tensor([0.0, 200.0], dtype=torch.float64))
    torch.testing.assert_close(seen.readout[0], READOUT)
    torch.testing.assert_close(seen.edge[0], EDGE)
    reachable = TARGET != 0
    torch.testing.assert_close(seen.coefficient[1][reachable], TARGET[reachable], atol=1e-4, rtol=0)


def test_kirchhoff_in_the_theory():
    seen = theory(MODEL, 10 * TIME)
    kept = invariant(seen.readout, seen.edge, BRANCHED)
    assert (kept - kept[:1]).abs().max() < 1e-8
    assert (seen.edge - seen.edge[:1]).abs().max() > 0.1
    by_hand = [u**2 - a**2 for u, a in zip(EDGE.tolist(), READOUT.tolist(), strict=True)]
    for node, above in enumerate(BRANCHED):
        if above >= 0:
            by_hand[above] -= float(EDGE[node]) ** 2
    torch.testing.assert_close(kept[0], torch.tensor(by_hand, dtype=torch.float64))


def logistic(outputs, labels):
    return torch.nn.functional.softplus(-outputs * labels).mean((-1, -2))


@pytest.mark.parametrize("loss", [logistic, None])
def test_kirchhoff_on_a_small_training_set_with_any_loss(loss):
    phi = draws.normal(3, "inputs", 5, (4, 7))
    labels = draws.normal(3, "labels", 5, (4, 1)).sign()
    weights = [w.expand(5, 1, 7).clone() for w in (READOUT, EDGE)]
    seen = train(
        weights,
        Samples(phi, labels),
        network=TreeNetwork(BRANCHED),
        rule=GradientFlow(0.01),
        record=torch.tensor([0, 300]),
        observe={"weights": lambda s: torch.stack([w[:, 0] for w in s.weights], -2)},
        **({} if loss is None else {"loss": loss}),
    ).observed["weights"]
    kept = invariant(seen[..., 0, :], seen[..., 1, :], BRANCHED)
    assert (kept[:, 1] - kept[:, 0]).abs().max() < 1e-8
    assert (seen[:, 1] - seen[:, 0]).abs().max() > 0.1


def test_balanced_starts_are_balanced():
    edge = balanced(READOUT, BRANCHED)
    torch.testing.assert_close(
        invariant(READOUT, edge, BRANCHED), torch.zeros_like(edge), atol=1e-15, rtol=0
    )
    assert (edge >= 0).all()


def test_networks_on_the_whole_cube_follow_the_theory():
    parent = (-1, 0, 0, 1)
    target = torch.tensor([[1.0, 0.7, 0.5, 0.4], [0.8, 0.0, -1.0, 0.6]], dtype=torch.float64)
    model = grown(parent, target, 0.1)
    whole = {"seed": 0, "samples": 16, "features": products(cube(4), parent)}
    seen = experiment(model, 2 * TIME, step=0.05, rule=GradientFlow, **whole)
    expected = theory(model, seen.time)
    for name in ("coefficient", "readout", "edge", "loss"):
        gap = getattr(seen, name)[:, 0] - getattr(expected, name)
        assert gap.abs().max() < 1e-6, name  # of order step^4
    torch.testing.assert_close(seen.train_loss, seen.loss)  # the cube is all there is

    def gap(step):
        seen = experiment(model, 2 * TIME, step=step, **whole)
        return (seen.coefficient[:, 0] - theory(model, seen.time).coefficient).abs().max()

    assert torch.log2(gap(0.04) / gap(0.02)) == pytest.approx(1.0, abs=0.1)


def test_the_kernel_drives_the_coefficients():
    h = 1e-4
    first, now, last = (theory(MODEL, TIME + h * (k + 1)) for k in (-1, 0, 1))
    kernel = tangent_kernel(Tree(BRANCHED, TARGET, now.readout, now.edge))
    expected = (kernel @ (TARGET - now.coefficient)[..., None])[..., 0]
    measured = (last.coefficient - first.coefficient) / (2 * h)
    torch.testing.assert_close(measured, expected, atol=1e-6, rtol=0)


def test_small_changes_of_the_target_are_learned_lazily():
    start = READOUT * products(EDGE, BRANCHED)
    kernel = tangent_kernel(MODEL)
    late = torch.tensor([4.0], dtype=torch.float64)
    wish = torch.linspace(-1, 1, 7, dtype=torch.float64)
    linear = wish - torch.linalg.matrix_exp(-kernel * late) @ wish
    gaps = []
    for small in (1e-2, 5e-3):
        moved = theory(Tree(BRANCHED, start + small * wish, READOUT, EDGE), late).coefficient[0]
        gaps.append(((moved - start) / small - linear).abs().max())
    assert gaps[1] < 0.02 and gaps[0] / gaps[1] == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_a_single_path_is_a_deep_linear_network(depth):
    levels, start = depth - 1, 0.2
    target = torch.zeros(levels, dtype=torch.float64)
    target[-1] = 1.5
    model = grown(chain(levels), target, start)
    linear = deep_linear.DeepLinear(target[-1:], start=start**depth, depth=depth)
    seen, expected = theory(model, 5 * TIME), deep_linear.theory(linear, 5 * TIME)
    torch.testing.assert_close(seen.coefficient[:, -1:], expected.strength, atol=1e-8, rtol=0)
    waits = half_time(model)[-1:], deep_linear.half_time(linear)
    torch.testing.assert_close(*waits, atol=1e-7, rtol=1e-8)


def test_a_tree_of_height_one_is_a_diagonal_network():
    target = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    seen = theory(grown((-1,) * 3, target, 0.03), TIME)
    expected = deep_linear.theory(deep_linear.DeepLinear(target, start=9e-4), TIME)
    torch.testing.assert_close(seen.coefficient, expected.strength, atol=1e-9, rtol=0)


def test_plateaus_of_equal_steps_worked_out_by_hand():
    """P_D for D = 1 to 4, and u_1 of the pair, the root of u^4 = 1 + u."""
    tips = [plateau(torch.ones(levels, dtype=torch.float64))[-1] for levels in range(1, 5)]
    expected = [1.0, 1.10487288, 1.19887115, 1.27264912]
    torch.testing.assert_close(
        torch.stack(tips), torch.tensor(expected, dtype=torch.float64), atol=1e-8, rtol=0
    )
    root = plateau(torch.ones(2, dtype=torch.float64))[0]
    assert float(root) ** 4 == pytest.approx(1 + float(root), abs=1e-12)


def test_plateaus_are_solved_to_rounding():
    """p_v^2 = p_parent (beta_v^2 + p_child) with p = P^2, one target after the other."""
    for beta in torch.linspace(0.1, 3, 30).tolist():
        first, second = plateau([1.0, beta]).square().tolist()
        assert first**2 == pytest.approx(1 + second, rel=1e-12)
        assert second**2 == pytest.approx(first * beta**2, rel=1e-12)


def test_plateaus_are_where_balanced_training_ends():
    target = torch.tensor(
        [[1.0, 0.7, 0.5, 0.0, 0.4, 0.9, 0.6], [0.3, 1.0, 0.0, 0.0, 0.8, 0.0, 1.2]]
    ).double()
    seen = theory(grown(BRANCHED, target, 0.2), torch.tensor([400.0]).double())
    expected = plateau(target, BRANCHED)
    found = products(seen.edge[:, 0], BRANCHED)
    torch.testing.assert_close(found[expected > 0], expected[expected > 0], atol=1e-5, rtol=0)
    assert (expected[:, 3] == 0).all() and (expected[1, [2, 3, 5]] == 0).all()


def test_the_tip_of_a_long_path():
    long = plateau(torch.ones(300, dtype=torch.float64))[-1]
    assert long == pytest.approx(1.582, abs=1e-3)
    for power in (0.75, 1.5):
        levels = torch.arange(1, 151, dtype=torch.float64)
        scaled = plateau(levels**-power)[-1] * 150**power
        assert scaled == pytest.approx(1.582, abs=0.02)


def slopes(parent, target, small=1e-9, ratio=100.0):
    """Change of the half-times per factor e of the start."""
    start = torch.tensor([small * ratio, small], dtype=torch.float64)
    first, last = half_time(grown(parent, target, start))
    return (last - first) / math.log(ratio)


@pytest.mark.parametrize(
    ("parent", "target"),
    [
        (chain(4), [1.0, 1.0, 1.0, 1.0]),
        ((-1, 0, 0, 1), [1.0, 1.0, 0.7, 1.0]),  # a weak sibling
    ],
)
def test_staircase_slopes(parent, target):
    expected = staircase(torch.tensor(target, dtype=torch.float64), parent)
    torch.testing.assert_close(slopes(parent, target), expected, atol=1e-4, rtol=0)


def test_staircases_worked_out_by_hand():
    found = staircase(torch.ones(4, dtype=torch.float64))
    expected = torch.tensor([1.0, 2.0, 2.90508, 3.73920], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=6e-6, rtol=0)
    # the weak sibling: half-way at time 2, then at half the speed of u_1 = 1.220744
    found = staircase(torch.tensor([1.0, 1.0, 0.5]).double(), (-1, 0, 0))
    assert found.tolist() == pytest.approx([1.0, 2.0, 2 + 1 / 1.2207440846], abs=1e-8)
    missing = staircase(torch.tensor([[1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]).double())
    assert missing[0].tolist() == [1.0, math.inf, math.inf]
    assert missing[1].tolist() == pytest.approx([0.5, 0.5 + 2**-0.5, math.inf])


def test_half_times_worked_out_elsewhere():
    """From an integrator with events, and for the missing steps from a quadrature."""
    found = half_time(grown(chain(3), [1.0, 1.0, 1.0], 1e-3))
    assert found.tolist() == pytest.approx([6.595317, 12.432957, 17.823191], abs=2e-6)
    found = half_time(grown(chain(3), [0.0, 0.0, 1.0], 0.05))
    assert found[:2].tolist() == [math.inf, math.inf]
    exact, _ = quad(lambda w: 1 / (w**3 * (1 - w**4)), 0.05, 0.5**0.25, epsabs=1e-12, limit=200)
    assert found[2] == pytest.approx(exact, rel=1e-8) == pytest.approx(199.73232, abs=1e-4)


def test_half_is_learned_at_the_half_times():
    target = torch.tensor([1.0, -0.8, 0.5, 0.4, 0.6, -1.2, 0.9], dtype=torch.float64)
    readout = 0.05 * target.sign() * torch.tensor([1, 2, 1, 2, 1, 0, 1])
    edge = torch.tensor([0.05, 0.1, 0.07, 0.2, 0.05, 0.1, 0.2]).double()
    model = Tree(BRANCHED, target, readout, edge)
    waits = half_time(model)
    order = waits.argsort()
    seen = theory(model, waits[order]).coefficient[:, order].diagonal()
    torch.testing.assert_close(seen, target[order] / 2, atol=1e-6, rtol=0)
    mirror = Tree(BRANCHED, target, -readout, torch.where(torch.arange(7) % 6 == 0, -edge, edge))
    torch.testing.assert_close(half_time(mirror), waits, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("target", "start", "missing"),
    [([1.0, 1.0, 0.0, 1.0], 1e-3, 1), ([1.0, 0.0, 0.0, 1.0], 0.01, 2), ([0, 0, 0, 2.0], 0.01, 3)],
)
def test_leaps(target, start, missing):
    """The wait for a step after ``missing`` ones, from the end of the stage before."""
    waits = half_time(grown(chain(4), target, start))
    learned = 4 - missing - 1
    since = waits[learned - 1] if learned else 0.0
    P = plateau(torch.tensor(target[:learned]).double())[-1] if learned else 1.0
    law = start**-missing / (missing * target[-1] * P)
    assert (waits[-1] - since) / law == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("power", [0.75, 1.0, 1.5])
def test_power_law_targets_give_power_law_losses(power):
    levels = torch.arange(1, 61, dtype=torch.float64)
    beta = levels**-power
    times = staircase(beta)
    tail = torch.special.zeta(torch.tensor(2 * power).double(), levels + 1)  # all steps beyond
    part = slice(29, 59)
    x, y = times[part].log(), tail[part].log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    assert slope == pytest.approx(-(2 * power - 1) / (2 * power + 1), abs=0.02)


def test_slopes_of_a_power_law_target():
    beta = [k**-1.0 for k in range(1, 5)]
    expected = staircase(torch.tensor(beta).double())
    torch.testing.assert_close(slopes(chain(4), beta), expected, atol=1e-4, rtol=0)


FOREST = regular(3, 3)  # 3 + 9 + 27 nodes
STAIRS = torch.zeros(39, dtype=torch.float64).index_fill(0, torch.tensor([0, 3, 12]), 1.0)


def learn(parent, target, until=24.0, **more):
    readout = torch.full_like(target, 0.1)
    model = Tree(parent, target, readout, balanced(readout, parent))
    time = torch.linspace(0, until, 11, dtype=torch.float64)
    settings = {"seed": 1, "samples": 16, "members": 20, "noise": 0.3, "step": 0.04}
    return 2 * experiment(model, time, **{**settings, **more}).loss


def test_a_hierarchical_target_takes_few_samples():
    on_tree = learn(FOREST, STAIRS)[:, -1]
    kernel = KernelRegression(
        torch.ones(39), STAIRS.float(), ridge=torch.logspace(-1, 2, 7), noise=0.09
    )
    ridge = fit_ridge(kernel, torch.tensor([16]), seed=1, members=20).error[..., 0].mean(-1).min()
    assert on_tree.mean() < 0.3 and ridge > 1.0


def test_a_target_without_lower_steps_is_hard_on_the_tree_and_not_on_the_diagonal():
    top = torch.zeros(39, dtype=torch.float64)
    top[12] = 1.0
    on_tree = learn(FOREST, top, samples=30)[:, -1].mean()
    diagonal = learn((-1,) * 39, top, samples=30)[:, -1].mean()
    assert on_tree > 2 * diagonal and diagonal < 0.5


@pytest.mark.parametrize("features", [None, products(cube(3), chain(3))])
def test_training_sets_are_independent_and_noisy(features):
    model = grown(chain(3), [1.0, 0.5, 2.0], 1e-9)  # which knows nothing yet
    start, sets = torch.zeros(1, dtype=torch.float64), 400
    data = {"seed": 3, "samples": 6, "members": sets, "step": 0.1, "features": features}
    noisy, clean = (2 * experiment(model, start, noise=s, **data).train_loss for s in (1.5, 0.0))
    for error, expected in ((noisy, 1 + 0.25 + 4 + 1.5**2), (clean, 1 + 0.25 + 4)):
        assert (error.mean() - expected).abs() < 4 * error.std() / sets**0.5
    assert len(clean.unique()) > 5 and len(noisy.unique()) == sets


def test_training_sets_have_features_points_and_noise_of_their_own():
    model, pool = grown(chain(3), [1.0, 0.5, 2.0], 1e-9), products(cube(3), chain(3))
    free, noise = _training_sets(TARGET[:3], None, 3, 6, 4)
    assert torch.equal(free, draws.normal(3, "features 6", 4, (6, 3)))
    assert torch.equal(noise, draws.normal(3, "noise 6", 4, (6, 1)))
    order = draws.uniform(3, "points 6", 4, (len(pool),)).argsort(-1)
    assert torch.equal(_training_sets(TARGET[:3], pool, 3, 6, 4)[0], pool[order[:, :6]])
    # nothing is known yet: the loss is half the mean square of the labels
    seen = experiment(model, [0.0], seed=3, samples=6, members=4, step=0.1, noise=0.7)
    label = free @ torch.tensor([1.0, 0.5, 2.0]).double() + 0.7 * noise[..., 0]
    torch.testing.assert_close(seen.train_loss[:, 0], label.square().mean(-1) / 2)


def test_members_do_not_see_each_other():
    target = torch.stack([STAIRS, STAIRS.flip(0)])
    both = learn(FOREST, target, until=4.0, members=3)
    alone = learn(FOREST, target[1], until=4.0, members=2)
    torch.testing.assert_close(both[1, :2], alone)
    assert (both[0, 0] != both[0, 1]).any()


def test_dtype_and_device_follow_the_target(device):
    where = {"dtype": torch.float32, "device": device}
    start = torch.full((3,), 0.2, **where)
    model = Tree(chain(3), torch.ones(3, **where), start, balanced(start, chain(3)))
    time = torch.tensor([0.0, 1.0, 2.0], device=device)
    for seen in (theory(model, time), experiment(model, time, seed=0, samples=5, step=0.1)):
        assert seen.coefficient.dtype == torch.float32
        assert seen.coefficient.device.type == torch.device(device).type
    for value in (plateau(model.target), staircase(model.target), half_time(model)):
        assert value.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"parent": (-1, 1, 0)}, "parents come before their children"),
        ({"parent": (-2, 0, 1)}, "must be -1 or an earlier node"),
        ({"parent": ()}, "one node or more"),
        ({"parent": chain(4)}, "parent must name one parent for each of 3 nodes, got 4"),
        ({"edge": EDGE[:3] * float("nan")}, "edge must not hold NaN"),
        ({"edge": EDGE[:3] / 0}, "edge must be finite"),
        ({"target": TARGET[:6].reshape(2, 3), "edge": torch.ones(4, 3).double()}, "fit each other"),
    ],
)
def test_impossible_models_are_refused(change, what):
    given = {"parent": chain(3), "target": TARGET[:3], "readout": READOUT[:3], "edge": EDGE[:3]}
    with pytest.raises(ValueError, match=what):
        Tree(**{**given, **change})


def test_training_sets_of_two_sizes_share_no_draws():
    few, many = (_training_sets(TARGET[:3], None, 0, n, 4) for n in (5, 9))
    for one, other in zip(few, many, strict=True):  # features, noise
        assert not torch.isclose(one.flatten(1)[:, :5], other.flatten(1)[:, :5]).any()


def test_impossible_requests_are_refused():
    model = grown(chain(3), [1.0, 1.0, 1.0], 0.1)
    with pytest.raises(ValueError, match="sorted and non-negative"):
        theory(model, TIME.flip(0))
    with pytest.raises(ValueError, match="sorted and non-negative"):
        experiment(model, -TIME.flip(0), seed=0, samples=4, step=0.1)
    with pytest.raises(ValueError, match="edge must not be 0"):
        half_time(Tree(chain(3), TARGET[:3], READOUT[:3], 0 * EDGE[:3]))
    with pytest.raises(ValueError, match="between 0 and half"):
        half_time(grown(chain(3), [1.0, 1.0, 1.0], 0.9))
    with pytest.raises(ValueError, match="between 0 and half"):
        half_time(Tree(model.parent, -model.target, model.readout, model.edge))
    data = {"seed": 0, "samples": 4, "step": 0.1}
    with pytest.raises(ValueError, match="step must be positive"):
        experiment(model, TIME, **{**data, "step": 0.0})
    with pytest.raises(ValueError, match="samples must be at least 1"):
        experiment(model, TIME, **{**data, "samples": 0})
    with pytest.raises(ValueError, match="members must be at least 1"):
        experiment(model, TIME, members=0, **data)
    with pytest.raises(ValueError, match="one entry per step"):
        experiment(model, TIME, **{**data, "step": 1.0})
    with pytest.raises(ValueError, match="4 rows or more and 3 columns"):
        experiment(model, TIME, features=cube(3)[:3], **data)
    with pytest.raises(ValueError, match="orthonormal"):
        experiment(model, TIME, features=1 + cube(3), **data)
    with pytest.raises(FloatingPointError, match="finite"):
        experiment(model, 100 * TIME, **{**data, "step": 5.0})


@pytest.mark.parametrize("start", [1e-151, 1e-30])
def test_half_times_from_starts_of_any_size(start):
    """One rung alone: a = u, and c = a^2 follows the logistic curve."""
    exact = (math.log(1 / start**2 - 1) if start > 1e-150 else -2 * math.log(start)) / 2
    found = half_time(Tree((-1,), [1.0], [start], [start]))
    assert found.item() == pytest.approx(exact, rel=1e-7)


def test_whole_numbers_lists_and_arrays_are_taken_as_numbers():
    floating = Tree([-1, 0], [1.0, 1.0], [0.1, 0.1], balanced([0.1, 0.1], [-1, 0]))
    whole = Tree((-1, 0), torch.tensor([1, 1]), floating.readout, floating.edge)
    assert half_time(whole).tolist() == half_time(floating).tolist()
    assert theory(whole, [0, 5]).coefficient[1].min() > 0.5
    assert half_time(Tree((-1,), [1], [0.1], [0.1])).item() == pytest.approx(2.2976, abs=1e-4)


def test_single_precision_settles_and_follows():
    for seed in range(20):
        target = (0.2 + draws.uniform(seed, "target", 1, (6,))[0]).float()
        torch.testing.assert_close(
            plateau(target).double(), plateau(target.double()), rtol=1e-5, atol=0
        )
        assert staircase(target).dtype == torch.float32
    small = torch.full((3,), 1e-3)
    model = Tree(chain(3), torch.ones(3), small, balanced(small, chain(3)))
    double = grown(chain(3), [1.0, 1.0, 1.0], 1e-3)
    torch.testing.assert_close(half_time(model).double(), half_time(double), rtol=1e-5, atol=0)
    late = theory(model, [8.0, 16.0]).coefficient
    torch.testing.assert_close(
        late.double(), theory(double, [8.0, 16.0]).coefficient, atol=1e-4, rtol=0
    )


def test_stiff_trees_end_where_they_must():
    model = Tree(chain(2), [1.0, 1.0], [0.1, 0.1], [1e4, 0.1])
    seen = theory(model, torch.tensor([0.0, 10.0]).double())
    torch.testing.assert_close(seen.coefficient[1], torch.ones(2).double(), atol=1e-6, rtol=0)


def test_inference_mode_leaves_nothing_behind():
    parent = (-1, 0, 1, 2, 0)
    with torch.inference_mode():
        start = torch.full((5,), 0.1).double()
        theory(Tree(parent, torch.ones(5).double(), start, balanced(start, parent)), [0.0, 1.0])
    model = grown(parent, [1.0] * 5, 0.1)
    assert experiment(model, [0.0, 0.2], seed=0, samples=8, step=0.1).loss.isfinite().all()


def test_times_on_record_are_those_of_the_steps():
    model = grown(chain(2), [1.0, 1.0], 0.1)
    seen = experiment(model, [0.0, 0.26, 0.44], seed=0, samples=4, step=0.1)
    assert seen.time.tolist() == pytest.approx([0.0, 0.3, 0.4], abs=1e-12)


def test_small_offences_against_orthonormality_are_refused():
    skewed = cube(3) @ torch.tensor([[1, 1e-4, 0], [0, 1, 0], [0, 0, 1]]).double()
    with pytest.raises(ValueError, match="orthonormal"):
        experiment(
            grown(chain(3), [1.0] * 3, 0.1), [0.0], seed=0, samples=8, step=0.1, features=skewed
        )


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: plateau([1.0, 1.0, math.nan]), "target must not hold NaN"),
        (lambda: plateau([1.0, math.inf]), "target must be finite"),
        (lambda: staircase([1.0, math.nan]), "target must not hold NaN"),
        (lambda: plateau([1.0, 1.0], (-1,)), "parent must name one parent for each of 2 nodes"),
        (lambda: regular(-1, 2), "branching must be at least 1"),
        (lambda: regular(2, 0), "depth must be at least 1"),
        (lambda: chain(0), "levels must be at least 1"),
        (
            lambda: experiment(
                grown(chain(2), [1.0] * 2, 0.1), [0.0], seed=0, samples=4, step=0.1, noise=-1.0
            ),
            "noise must be finite and not negative",
        ),
    ],
)
def test_numbers_that_mean_nothing_are_refused(call, what):
    with pytest.raises(ValueError, match=what):
        call()
