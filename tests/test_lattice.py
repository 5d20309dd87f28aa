"""Claims of chapters/lattice.md, one test per claim."""

import math
from itertools import permutations

import pytest
import torch
from scipy.optimize import minimize

from toymodels import tree
from toymodels.lattice import (
    Lattice,
    LatticeNetwork,
    asleep,
    experiment,
    half_time,
    invariant,
    jumps,
    leaps,
    plateau,
    products,
    shares,
    theory,
    training_sets,
)
from toymodels.networks import GradientFlow, train
from toymodels.networks.data import Samples
from toymodels.numerics import draws, first_passage
from toymodels.subset_lattice import (
    CONTEXTS,
    Lesson,
    context,
    cubic_pairs,
    kernel_ridge,
    lasso,
    learn,
    monomials,
    polynomial,
    sparse,
    stored,
    subsets,
)
from toymodels.subset_lattice.relu import FIRST, NETWORK, SECOND, SEEN, squared_gradient, start
from toymodels.subset_lattice.sets import counts, edges

DOUBLE = torch.float64
STAIRS = {(1,): 1.0, (1, 2): 1.0, (1, 2, 3): 1.0}
MERGED = {(1,): 1.0, (2,): 1.0, (1, 2): 1.0}


def close(left, right, tolerance=1e-12):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def poly(terms, dimension, degree):
    return polynomial(terms, dimension, degree).double()


def at(S, dimension, degree):
    return subsets(dimension, degree).index(S)


def random_start(dimension, degree, batch=(), seed=3):
    nodes, ways = counts(dimension, degree)
    size = math.prod(batch)
    target, readout, edge = (
        draws.normal(seed, name, size, (n,)).reshape(*batch, n)
        for name, n in (("target", nodes), ("readout", nodes), ("edge", ways))
    )
    return Lattice(dimension, degree, target, 0.5 * readout, 0.5 * edge)


def by_hand(model):
    """Path products and what the flow does to readouts and edges, set by set."""
    nodes, number = subsets(model.dimension, model.degree), edges(model.dimension, model.degree)
    u, a = model.edge, dict(zip(nodes, model.readout, strict=True))
    P = {(): torch.tensor(1.0, dtype=DOUBLE)}
    for S in nodes:
        P[S] = sum(u[number[S, i]] * P[tuple(j for j in S if j != i)] for i in S)
    B, r = {}, {S: b - a[S] * P[S] for S, b in zip(nodes, model.target, strict=True)}
    for S in reversed(nodes):
        B[S] = a[S] * r[S]
        for i in set(range(1, model.dimension + 1)) - {*S}:
            T = tuple(sorted((*S, i)))
            if T in number or len(T) <= model.degree:
                B[S] = B[S] + u[number[T, i]] * B[T]
    return (
        torch.stack([P[S] for S in nodes]),
        torch.stack([r[S] * P[S] for S in nodes]),
        torch.stack([B[S] * P[tuple(j for j in S if j != i)] for S in nodes for i in S]),
    )


# ---- sets and the network ------------------------------------------------------------------------


def test_nodes_are_sets_in_their_order():
    assert subsets(3, 2) == ((1,), (2,), (3,), (1, 2), (1, 3), (2, 3))
    assert counts(10, 3) == (175, 10 + 2 * 45 + 3 * 120) and counts(12, 3)[0] == 298
    assert polynomial({(2,): 3.0, (1, 3): 0.5}, 3, 2).tolist() == [0, 3, 0, 0, 0.5, 0]
    assert list(edges(3, 2)) == [
        ((1,), 1), ((2,), 2), ((3,), 3),
        ((1, 2), 1), ((1, 2), 2), ((1, 3), 1), ((1, 3), 3), ((2, 3), 2), ((2, 3), 3),
    ]  # fmt: skip


def test_monomials_are_products_and_orthonormal():
    cube = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 5).double()
    chi = monomials(cube, 4)
    close(chi.mT @ chi / 32, torch.eye(30, dtype=DOUBLE))
    close(chi[:, at((1, 3, 4), 5, 4)], cube[:, 0] * cube[:, 2] * cube[:, 3])


def test_products_sum_over_all_orders():
    model, number = random_start(4, 4), edges(4, 4)
    for S in subsets(4, 4):
        path = [
            math.prod(
                float(model.edge[number[tuple(sorted(order[: k + 1])), order[k]]])
                for k in range(len(S))
            )
            for order in permutations(S)
        ]
        assert products(model.edge, 4, 4)[at(S, 4, 4)].item() == pytest.approx(sum(path), rel=1e-12)
        sizes = torch.tensor(path, dtype=DOUBLE).abs()
        close(shares(model.edge, S, 4, 4), sizes / sizes.sum())


def test_the_flow_is_the_one_set_by_set():
    model = random_start(4, 3)
    P, da, du = by_hand(model)
    close(products(model.edge, 4, 3), P)
    h = 1e-4
    seen = theory(model, torch.tensor([0.0, h, 2 * h]).double())
    for path, rate in ((seen.readout, da), (seen.edge, du)):
        close((4 * path[1] - 3 * path[0] - path[2]) / (2 * h), rate, 1e-6)
    close(seen.coefficient[0], model.readout * P)
    close(seen.loss[0], 0.5 * (model.target - model.readout * P).square().sum())


def test_networks_on_the_whole_cube_follow_the_theory():
    model = random_start(4, 3, (2,))
    seen = experiment(model, torch.linspace(0, 4, 9), seed=0, step=0.01, rule=GradientFlow)
    right = theory(model, seen.time)
    for name in ("coefficient", "readout", "edge", "loss"):
        part = getattr(seen, name)[:, 0]
        torch.testing.assert_close(part, getattr(right, name), rtol=0, atol=1e-6)
    close(seen.train_loss[:, 0], seen.loss[:, 0], 1e-9)  # all inputs there are
    slow = experiment(model, torch.linspace(0, 4, 9), seed=0, step=0.01)
    assert 1e-4 < (slow.coefficient[:, 0] - right.coefficient).abs().max() < 0.1


def test_the_dimension_drops_out():
    small, large = (asleep(poly(STAIRS, d, 3), d, 3, start=0.05) for d in (3, 7))
    three, seven = half_time(small), half_time(large)
    close(three[three.isfinite()], seven[seven.isfinite()], 1e-9)
    seen = experiment(large, torch.linspace(0, 12, 13), seed=0, step=0.1, rule=GradientFlow)
    path = theory(small, seen.time)
    lifted = [at(S, 7, 3) for S in subsets(3, 3)]
    torch.testing.assert_close(seen.coefficient[0][:, lifted], path.coefficient, rtol=0, atol=2e-5)
    still = torch.ones(counts(7, 3)[1], dtype=torch.bool)
    still[[k for (S, _), k in edges(7, 3).items() if set(S) <= {1, 2, 3}]] = False
    assert (seen.edge[0, -1][still] == 0.05).all()
    assert (theory(large, [0.0, 9.0]).edge[1][still] == 0.05).all()


def test_a_lattice_of_height_one_is_a_diagonal_network():
    target = torch.tensor([1.0, -0.5, 0.8], dtype=DOUBLE)
    model = Lattice(3, 1, target, torch.full((3,), 0.1).double(), torch.full((3,), 0.2).double())
    time = torch.linspace(0, 9, 10).double()
    right = tree.theory(tree.Tree((-1,) * 3, target, model.readout, model.edge), time)
    close(theory(model, time).coefficient, right.coefficient, 1e-9)


def test_nothing_moves_where_there_is_nothing_to_reach():
    model = asleep(torch.zeros(7, dtype=DOUBLE), 3, 3, start=0.3)
    seen = theory(model, [0.0, 5.0])
    assert (seen.edge == 0.3).all() and (seen.loss == 0).all()
    assert half_time(model).isinf().all()


# ---- the law -------------------------------------------------------------------------------------


def test_currents_by_hand():
    readout = torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE)
    edge = torch.tensor([4.0, 5.0, 6.0, 7.0], dtype=DOUBLE)  # into 1, 2, 12 from 2, 12 from 1
    right = torch.tensor([16 - 1 - 49, 25 - 4 - 36, 36 + 49 - 9], dtype=DOUBLE)
    close(invariant(readout, edge, 2, 2), right)


def test_currents_are_conserved_to_ten_digits():
    model = random_start(4, 4, (3,))
    for stiff in (False, True):
        seen = theory(model, torch.linspace(0, 20, 5), stiff=stiff)
        kept = invariant(seen.readout, seen.edge, 4, 4)
        close(kept, kept[:, :1].expand_as(kept), 1e-9 if stiff else 1e-10)


def test_currents_are_conserved_on_few_samples_with_a_logistic_loss():
    model = random_start(4, 3, (10,))
    data = training_sets(model, seed=4, samples=6)
    labels = draws.normal(4, "labels", 10, (1, 6, 1)).sign()
    weights = [w[:, None, None] for w in (model.readout, model.edge)]
    seen = train(
        weights, Samples(data.inputs, labels), network=LatticeNetwork(4, 3),
        rule=GradientFlow(0.002), record=[0, 500],
        loss=lambda out, y: torch.nn.functional.softplus(-y * out).mean((-1, -2)),
        observe={"a": lambda s: s.weights[0][:, 0], "u": lambda s: s.weights[1][:, 0]},
    ).observed  # fmt: skip
    kept = invariant(seen["a"], seen["u"], 4, 3)[:, 0]
    close(kept[:, 0], kept[:, 1], 1e-8)
    assert (seen["u"][:, 0, 1] - seen["u"][:, 0, 0]).abs().amax(-1).min() > 0.01


# ---- the race of paths ---------------------------------------------------------------------------


def layered(m, start, *, split):
    """x_1 ... x_m alone; every layer has the squared norm start^2, split evenly or on one path."""
    number = edges(m, m)
    u = torch.zeros(len(number), dtype=DOUBLE)
    for (S, i), k in number.items():
        if split:
            u[k] = start / math.sqrt(len(S) * math.comb(m, len(S)))
        elif tuple(range(1, len(S) + 1)) == S and i == len(S):
            u[k] = start
    target = poly({tuple(range(1, m + 1)): 1.0}, m, m)
    return Lattice(m, m, target, start * target, u)


@pytest.mark.parametrize(("m", "cost"), [(2, 1.0), (3, 1.5**0.5), (4, 2.0)])
def test_an_even_split_never_beats_a_chain(m, cost):
    start = {2: 1e-3, 3: 1e-2, 4: 0.03}[m]
    even, chain = (half_time(layered(m, start, split=s), rtol=1e-7)[-1] for s in (True, False))
    assert (even / chain).item() == pytest.approx(cost, rel=2e-3 if m < 4 else 2e-2)


def test_products_are_bounded_by_the_norms_of_the_layers():
    for m in (2, 3, 4):
        edge = random_start(m, m, (50,), seed=m).edge
        sizes = [k * math.comb(m, k) for k in range(1, m + 1)]
        bound = math.prod(x.norm(dim=-1) for x in edge.split(sizes, -1))
        assert (products(edge, m, m)[:, -1].abs() <= bound * (1 + 1e-12)).all()


def test_two_ways_share_for_ever_and_many_ways_do_not():
    pair = poly({(1, 2): 1.0}, 2, 2)
    u = 0.05 * (0.5 + draws.uniform(2, "edges", 20, (4,)))
    seen = theory(Lattice(2, 2, pair, 0 * pair, u), torch.linspace(0, 200, 3))
    assert (seen.coefficient[:, -1, -1] - 1).abs().max() < 1e-3
    number = edges(2, 2)
    routes = [
        seen.edge[..., number[(i,), i]] + seen.edge[..., number[(1, 2), 3 - i]] for i in (1, 2)
    ]
    ratio = routes[0] / routes[1]
    close(ratio, ratio[:, :1].expand_as(ratio), 1e-9)
    triple = poly({(1, 2, 3): 1.0}, 3, 3)
    u = 0.1 * draws.normal(2, "edges", 24, (12,))
    seen = theory(Lattice(3, 3, triple, 0 * triple, u), [0.0, 1500.0], rtol=1e-7)
    assert (seen.coefficient[:, -1, -1] - 1).abs().max() < 1e-3
    first, last = shares(seen.edge, (1, 2, 3), 3, 3).amax(-1).unbind(-1)
    assert (last - first).mean() > 0.05 and (last > first).double().mean() > 0.7


def test_rungs_pick_the_path():
    starts = torch.tensor([0.1, 0.03, 0.01], dtype=DOUBLE)
    seen = theory(asleep(poly(STAIRS, 3, 3), 3, 3, start=starts), [60.0])
    aside = 1 - shares(seen.edge[:, 0], (1, 2, 3), 3, 3)[:, 0]
    assert aside.tolist() == pytest.approx([0.110, 0.0101, 0.00111], rel=0.01)


# ---- plateaus, jumps, leaps ----------------------------------------------------------------------


def norm(p, target, dimension, degree):
    """The squared norm of all weights at the path products P, with the best edges."""
    nodes, total = subsets(dimension, degree), 0.0
    p = dict(zip(nodes, p, strict=True)) | {(): 1.0}
    for S, b in zip(nodes, target.tolist(), strict=True):
        below = sum(p[tuple(j for j in S if j != i)] for i in S)
        total += b**2 / p[S] + p[S] / below
    return total


def test_a_plateau_has_the_least_norm():
    target = poly({(1,): 1.1, (2,): 0.8, (3,): 0.3, (1, 2): 0.9, (1, 3): 0.4, (2, 3): 0.7,
                   (1, 2, 3): 1.0}, 3, 3)  # fmt: skip
    found = plateau(target, 3, 3)
    least = minimize(
        lambda x: norm(torch.tensor(x).exp().tolist(), target, 3, 3), [0.0] * 7,
        method="BFGS", options={"gtol": 1e-9},
    )  # fmt: skip
    close(found.square(), torch.tensor(least.x).exp(), 1e-5)


def test_a_plateau_on_a_path_is_that_of_the_tree():
    target = poly(STAIRS | {(1, 2): 0.7}, 3, 3)
    found = plateau(torch.stack([target, 2 * target]), 3, 3)
    lift = [at(S, 3, 3) for S in STAIRS]
    close(found[0, lift], tree.plateau(target[lift]), 1e-10)
    close(found[1, lift], tree.plateau(2 * target[lift]), 1e-10)
    assert (found[0] == 0).sum() == 4


def test_the_flow_comes_to_the_plateau_on_chains_and_by_symmetry_and_else_nearly():
    late, tiny = torch.tensor([150.0]), 1e-12
    generic = {(1,): 1.0, (2,): 0.8, (1, 2): 0.9}
    tied = {(1,): 1.0, (2,): 0.5, (1, 2): 1.0}
    for terms, low, high in ((STAIRS, 0, 1e-8), (MERGED, 0, 1e-8), (generic, 1e-5, 0.03),
                             (tied, 0.03, 0.1)):  # fmt: skip
        target = poly(terms, 3, 3)
        end = theory(asleep(target, 3, 3, start=tiny), late)
        P = products(end.edge[0], 3, 3)[target != 0]
        gap = (P / plateau(target, 3, 3)[target != 0] - 1).abs().max()
        assert low <= gap <= high, terms


def test_parents_add_in_quadrature():
    assert jumps(poly(MERGED, 2, 2), 2, 2).tolist() == pytest.approx([1, 1, 1 + 0.5**0.5])
    steps = jumps(poly(STAIRS, 3, 3), 3, 3)
    right = tree.staircase(torch.ones(3, dtype=DOUBLE))
    close(steps[[at(S, 3, 3) for S in STAIRS]], right, 1e-10)
    assert steps.isinf().sum() == 4
    # grown half-way before its second parent wakes: 1/0.9 at rate 0.5, then quadrature
    late = jumps(poly({(1,): 1.0, (2,): 0.8, (1, 2): 0.5}, 2, 2), 2, 2)
    grown = 0.25 * 0.5 * plateau(poly({(1,): 1.0}, 2, 2), 2, 2)[0]
    both = 0.5 * plateau(poly({(1,): 1.0, (2,): 0.8}, 2, 2), 2, 2).square().sum().sqrt()
    assert late.tolist() == pytest.approx([1, 1.25, float(1.25 + (1 - grown) / both)], rel=1e-7)


@pytest.mark.parametrize("terms", [STAIRS, MERGED])
def test_jumps_are_slopes_of_half_times(terms):
    target = poly(terms, 3, 3)
    wait = half_time(asleep(target, 3, 3, start=torch.tensor([1e-12, 1e-18], dtype=DOUBLE)))
    there = target != 0
    slope = (wait[1] - wait[0])[there] / math.log(1e6)
    close(slope, jumps(target, 3, 3)[there], 1e-6)


def test_history_bends_the_jumps():
    target = poly({(1,): 1.1, (2,): 0.8, (1, 2): 0.9, (2, 3): 0.7, (1, 2, 3): 1.0}, 3, 3)
    wait = half_time(asleep(target, 3, 3, start=torch.tensor([1e-12, 1e-18], dtype=DOUBLE)))
    there = target != 0
    gap = ((wait[1] - wait[0]) / math.log(1e6) - jumps(target, 3, 3))[there].abs().max()
    assert 1e-5 < gap < 1e-3


@pytest.mark.parametrize(
    ("terms", "last", "leap", "starts"),
    [
        ({(1, 2): 1.0}, (1, 2), 2, (1e-3, 1e-4)),
        ({(1, 2, 3): 1.0}, (1, 2, 3), 3, (1e-2, 1e-3)),
        ({(1,): 1.0, (2, 3): 1.0}, (2, 3), 2, (1e-3, 1e-4)),
        ({(1,): 1.0, (1, 2, 3): 1.0}, (1, 2, 3), 2, (1e-3, 1e-4)),
    ],
)
def test_leaps_count_from_learned_subsets(terms, last, leap, starts):
    target, place = poly(terms, 3, 3), at(last, 3, 3)
    assert leaps(target, 3, 3)[place] == leap
    assert leaps(target, 3, 3)[target == 0].abs().max() == 0
    both = asleep(target, 3, 3, start=torch.tensor(starts, dtype=DOUBLE))
    wait = half_time(both, rtol=1e-6)[:, place].tolist()
    exponent = math.log(wait[1] / wait[0]) / math.log(starts[0] / starts[1])
    assert exponent == pytest.approx(leap - 1, abs=0.02)


def test_shorter_leaps_come_first_and_shorten_others():
    target = torch.stack([
        poly({(1, 2): 1.0, (1, 2, 3): 1.0, (4,): 1.0, (3, 4, 5): 1.0}, 5, 3),
        poly({(1, 2, 3): 1.0}, 5, 3),
    ])  # fmt: skip
    found = leaps(target, 5, 3)
    right = {(1, 2): 2, (1, 2, 3): 1, (4,): 1, (3, 4, 5): 2}
    assert {S: int(found[0, at(S, 5, 3)]) for S in right} == right
    assert found[1].sum() == 3


def test_half_times_are_where_coefficients_pass():
    model = random_start(3, 3)
    model = Lattice(3, 3, model.target, 0.02 * model.readout, 0.1 + 0 * model.edge)
    wait = half_time(model)
    path = theory(model, torch.linspace(0, float(wait.max()) + 1, 4001))
    for k in range(7):
        sign = model.target[k].sign()
        level = (sign * model.target[k] / 2).item()
        close(first_passage(path.time, sign * path.coefficient[:, k], level), wait[k], 1e-4)
    size = 1 + model.target.abs()
    below, above = (half_time(asleep(s * size, 3, 3, start=0.05)) for s in (-1, 1))
    close(below, above)


# ---- learning from samples -----------------------------------------------------------------------


def test_training_sets_are_independent_and_noisy():
    model = asleep(poly(STAIRS, 6, 3), 6, 3, start=0.01)
    noisy = training_sets(model, seed=3, samples=9, members=400, noise=0.7)
    clean = training_sets(model, seed=3, samples=9, members=400)
    assert torch.equal(noisy.inputs, clean.inputs)
    assert torch.equal(clean.labels, clean.inputs @ model.target[:, None])
    off = noisy.labels - clean.labels
    assert off.std().item() == pytest.approx(0.7, rel=0.05) and len(off.unique()) == off.numel()
    x = clean.inputs[..., :6]
    assert set(x.unique().tolist()) == {-1.0, 1.0}
    assert (x.mean((0, 1)).abs() < 4 / 60).all() and (x.mean((1, 2)).unique().numel() > 10)
    other = training_sets(model, seed=3, samples=8, members=1)
    assert not torch.equal(other.inputs[0], clean.inputs[0, :8])


def test_members_do_not_see_each_other():
    data = {"seed": 1, "samples": 12, "step": 0.1, "noise": 0.3}
    target = torch.stack([poly(STAIRS, 5, 3), poly(MERGED, 5, 3)])
    both = experiment(asleep(target, 5, 3, start=0.1), [0.0, 6.0], members=3, **data)
    alone = experiment(asleep(target[1], 5, 3, start=0.1), [0.0, 6.0], members=2, **data)
    close(both.coefficient[1, :2], alone.coefficient)
    assert (both.loss[0, 0, 1] != both.loss[0, 1, 1]).all()


def test_a_staircase_takes_few_samples_and_parity_many():
    noise = {"noise": 0.3, "seed": 1, "members": 12, "step": 0.1}
    stairs = asleep(poly(STAIRS, 10, 3), 10, 3, start=0.03)
    seen = 2 * experiment(stairs, torch.arange(0, 41, 4), samples=30, **noise).loss
    assert seen.log().mean(0).min().exp() < 0.3
    parity = asleep(poly({(1, 2, 3): 1.0}, 10, 3), 10, 3, start=0.2)
    seen = 2 * experiment(parity, torch.arange(0, 41, 4), samples=30, **noise).loss
    assert seen.log().mean(0).min().exp() > 0.5
    data = training_sets(parity, seed=1, samples=30, members=12, noise=0.3)
    found = lasso(data, torch.tensor([0.1, 0.2, 0.4]).double())
    assert ((found - parity.target) ** 2).sum(-1).log().mean(0).min().exp() < 0.05


def test_a_lasso_obeys_its_own_conditions():
    model = asleep(poly(STAIRS, 6, 3), 6, 3, start=0.1)
    data = training_sets(model, seed=2, samples=20, members=5, noise=0.3)
    penalty = torch.tensor([0.05, 0.2, 0.6], dtype=DOUBLE)
    c = lasso(data, penalty, rounds=4000, refit=False)
    pull = ((data.labels - data.inputs @ c.mT).mT @ data.inputs) / 20
    on = c.abs() > 1e-6
    assert on.any(-1).all()
    close(pull[on], (penalty[:, None] * c.sign())[on], 1e-6)
    assert (pull.abs() <= penalty[:, None] + 1e-6).all()
    again = lasso(data, penalty, rounds=4000)
    left = ((data.labels - data.inputs @ again.mT).mT @ data.inputs) / 20
    few = on.sum(-1) < 15
    assert few.any() and (again[~on] == 0).all()
    assert left[few][on[few]].abs().max() < 1e-6


def test_kernel_ridge_is_ridge_in_the_features():
    model = asleep(poly(STAIRS, 4, 2 + 1), 4, 3, start=0.1)
    data = training_sets(model, seed=2, samples=9, members=3, noise=0.3)
    weight = torch.linspace(0.2, 1.5, 14).double()
    found = kernel_ridge(data, weight, torch.tensor([0.3, 2.0]).double())
    phi = data.inputs * weight.sqrt()
    for k, ridge in enumerate((0.3, 2.0)):
        eye = ridge * torch.eye(14, dtype=DOUBLE)
        c = torch.linalg.solve(phi.mT @ phi + eye, phi.mT @ data.labels)[..., 0]
        close(found[:, k], c * weight.sqrt(), 1e-9)


def test_dtype_and_device_follow_the_target(device):
    target = polynomial(STAIRS, 3, 3).to(device)
    model = asleep(target, 3, 3, start=0.1)
    time = torch.tensor([0.0, 1.0, 2.0], device=device)
    for seen in (theory(model, time), experiment(model, time, seed=0, step=0.1)):
        assert seen.coefficient.dtype == torch.float32
        assert seen.coefficient.device.type == torch.device(device).type
    for value in (plateau(target, 3, 3), jumps(target, 3, 3), half_time(model)):
        assert value.dtype == torch.float32


# ---- ReLU networks -------------------------------------------------------------------------------


def test_coefficients_and_gradients_of_a_network_by_hand():
    """One unit relu(x_1 + x_2 + x_3 - 1/2): its coefficients, and the gradient of one of them."""
    lesson = Lesson(dimension=6, width=1, completions=1)
    inputs, chi = lesson.probe()
    assert inputs.shape == (64, 6) and chi.shape == (64, 41)
    W = torch.tensor([[[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]])
    weights = [W, torch.full((1, 1, 1), 0.8), torch.full((1, 1, 1), -0.5), torch.zeros(1, 1, 1)]
    c = (NETWORK(weights, inputs).mT @ chi)[0, 0] / 64
    # relu is 2.5 at +++ and 0.5 where one sign is minus
    assert c[at(FIRST, 6, 3)].item() == pytest.approx(0.8 * (2.5 - 3 * 0.5) / 8, abs=1e-6)
    assert c[at((1, 2), 6, 3)].item() == pytest.approx(0.8 * (2.5 - 0.5) / 8, abs=1e-6)
    theta = squared_gradient(weights, inputs, chi[:, at(FIRST, 6, 3), None])
    gate = 0.8 * (1 - 3) / 8  # also the bias; a weight into the cubic: 0.8 (1 - (2 - 1)) / 8 = 0
    assert theta.item() == pytest.approx(gate**2 + ((2.5 - 1.5) / 8) ** 2, abs=1e-6)


def test_the_probe_is_balanced_and_random_beyond():
    inputs, chi = Lesson(dimension=9, completions=40).probe()
    close(chi.mT @ chi / len(chi), torch.eye(41), 1e-6)
    rest = inputs[:, SEEN:]
    assert (rest.mean(0).abs() < 4 / len(rest) ** 0.5).all()
    assert set(rest.unique().tolist()) == {-1.0, 1.0} and len(rest.unique(dim=0)) == 8


def test_starts_are_uniform_up_to_the_root_of_the_fan_in():
    W, v, b, v_0 = start(Lesson(dimension=16, width=64), seed=1, members=50)
    for w, size in ((W, 0.25), (b, 0.25), (v, 0.125), (v_0, 0.125)):
        assert w.abs().max() <= size and w.abs().max() > 0.9 * size
        assert w.square().mean().item() == pytest.approx(size**2 / 3, rel=0.4)
    assert W.shape == (50, 64, 16) and b.shape == (50, 1, 64) and v_0.shape == (50, 1, 1)
    assert not torch.isclose(W[0], W[1]).any()


def test_networks_learn_what_they_are_given():
    lesson = Lesson(dimension=8, width=64, completions=8)
    target = torch.stack(
        [polynomial({(1,): 1.0, (2, 3): -0.7}, 6, 3), context("1, 2, 3", alone=True)]
    )
    seen = learn(target, 600, seed=2, members=2, every=300, tangent=True, lesson=lesson)
    assert seen.step.tolist() == [0, 300, 600]
    there = (target != 0)[:, None].expand(2, 2, 41)
    right = target[:, None].expand(2, 2, 41)
    assert (seen.coefficient[:, :, -1] - right)[there].abs().max() < 0.15
    assert seen.coefficient[:, :, -1][~there].abs().max() < 0.15
    assert (seen.coefficient[:, 0] != seen.coefficient[:, 1]).all()
    assert seen.tangent.shape == (2, 2, 3) and (seen.tangent > 0).all()
    alone = learn(target, 20, seed=2, members=2, every=20, lesson=lesson)
    assert alone.tangent is None
    other = learn(target, 20, seed=3, members=2, every=20, lesson=lesson)
    assert (alone.coefficient[..., 1, :] != other.coefficient[..., 1, :]).all()


def test_contexts_are_what_they_are_called():
    place = {S: k for k, S in enumerate(subsets(6, 3))}
    for name, terms in CONTEXTS.items():
        if name not in ("nothing", "all six"):
            assert {tuple(map(int, word)) for word in name.split(", ")} == {*terms}
        both, alone = context(name), context(name, alone=True)
        assert both.sum() == len(terms) + 1 and both[place[FIRST]] == 1
        assert alone.sum() == len(terms) and alone[place[FIRST]] == 0
    assert len(CONTEXTS["all six"]) == 6


def test_cubic_pairs_are_the_family_that_was_fixed():
    target = cubic_pairs(seed=9, members=3000)
    nodes, there = subsets(6, 3), target != 0
    for cubic in (FIRST, SECOND):
        assert there[:, at(cubic, 6, 3)].all()
        inside = torch.tensor([set(S) < set(cubic) for S in nodes])
        many = there[:, inside].sum(-1)
        share = torch.stack([(many == k).double().mean() for k in range(5)])
        assert (share - torch.tensor([0.25] * 4 + [0]).double()).abs().max() < 0.04
        assert (there[:, inside].double().mean(0) - 0.25).abs().max() < 0.04
    mixed = torch.tensor([not (set(S) <= {*FIRST} or set(S) <= {*SECOND}) for S in nodes])
    assert not there[:, mixed].any()
    size = target[there].abs()
    assert size.min() >= 0.5 and size.max() <= 1.5 and abs(size.mean().item() - 1) < 0.02
    assert abs((target[there] > 0).double().mean().item() - 0.5) < 0.02
    both = there[:, [at((1,), 6, 3), at((4,), 6, 3)]].double()
    assert abs(torch.corrcoef(both.T)[0, 1].item()) < 0.06


def test_sparse_targets_are_the_family_that_was_fixed():
    target = sparse(seed=9, members=3000)
    there, nodes = target != 0, subsets(6, 3)
    assert (there.sum(-1) == 4).all()
    many = torch.stack([there[:, [len(S) == k for S in nodes]].sum(-1) for k in (1, 2, 3)], -1)
    assert (many.double().mean(0) - 4 / 3).abs().max() < 0.08
    assert abs((many == 4).any(-1).double().mean().item() - 1 / 27) < 0.012
    for k in (1, 2, 3):
        share = there[:, [len(S) == k for S in nodes]].double().mean(0)
        assert (share - share.mean()).abs().max() < 0.25 * share.mean()
    size = target[there].abs()
    assert size.min() >= 0.5 and size.max() <= 1.5
    run = stored().runs["sparse"]
    close(run["target"], sparse(seed=stored().origin["targets_seed"], members=24))
    with pytest.raises(ValueError, match="terms must be at most 6, got 7"):
        sparse(seed=0, members=1, terms=7)


def test_the_stored_networks_say_where_they_come_from_and_can_be_made_again():
    full = stored()
    origin = full.origin
    assert origin["script"] == "tools/figures_lattice.py" and len(origin["date"]) == 10
    assert {"python", "torch", "numpy"} <= set(origin) and origin["lattice_start"] == 0.05
    pairs = full.runs["pairs"]
    close(pairs["target"], cubic_pairs(seed=origin["targets_seed"], members=48))
    names = list(CONTEXTS)
    run = full.runs["contexts"]
    assert run["cubic"].shape[:2] == (12, origin["members"]["contexts"])
    assert full.runs["alone"]["tangent"].shape[:2] == (12, origin["members"]["alone"])
    # the networks of a context are numbered through: those of the first are the first
    again = learn(
        context(names[0])[None], 200, seed=origin["seed"], members=2, every=20,
        lesson=Lesson(**origin["lesson"]),
    )  # fmt: skip
    cubic = again.coefficient[0, :, :, at(FIRST, 6, 3)].double()
    torch.testing.assert_close(cubic, run["cubic"][0, :2, :11], rtol=0, atol=0.003)
    assert cubic.diff(dim=-1).abs().max() > 0.003


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"dimension": 0}, "dimension must be at least 1, got 0: a set has elements"),
        ({"degree": 0}, "degree must be at least 1, got 0: the empty set"),
        ({"degree": 4}, "degree must be at most the dimension, 3, got 4"),
        (
            {"target": torch.ones(6).double(), "readout": torch.ones(6).double()},
            "target must have 7 entries, for sets of up to 3 of 3",
        ),
        ({"edge": torch.ones(7).double()}, "edge must have 12 entries"),
        ({"readout": torch.full((7,), math.inf).double()}, "readout must be finite"),
        (
            {"target": torch.ones(2, 7).double(), "edge": torch.ones(4, 12).double()},
            "fit each other",
        ),
    ],
)
def test_impossible_models_are_refused(change, what):
    given = {"dimension": 3, "degree": 3, "target": torch.ones(7).double(),
             "readout": torch.zeros(7).double(), "edge": torch.ones(12).double()}  # fmt: skip
    with pytest.raises(ValueError, match=what):
        Lattice(**(given | change))


def test_impossible_requests_are_refused():
    model = asleep(poly(STAIRS, 3, 3), 3, 3, start=0.1)
    data = {"seed": 0, "samples": 4, "step": 0.1}
    for call, what in (
        (lambda: theory(model, [1.0, 0.5]), "sorted and non-negative"),
        (lambda: experiment(model, [1.0, 0.5], **data), "sorted and non-negative"),
        (lambda: experiment(model, [0.0, 0.01], **data), "one entry per step"),
        (lambda: experiment(model, [0.0], **data | {"samples": 0}), "samples must be at least 1"),
        (lambda: experiment(model, [0.0], members=0, **data), "members must be at least 1"),
        (lambda: experiment(model, [0.0], noise=-1.0, **data), "noise must be finite and not"),
        (lambda: training_sets(asleep(torch.zeros(17), 17, 1, start=1.0), seed=0), "above 16"),
        (lambda: polynomial({(2, 1): 1.0}, 3, 3), r"rising sets of up to 3 .* got \(2, 1\)"),
        (lambda: shares(model.edge, (3, 1), 3, 3), r"subset must be a node .* got \(3, 1\)"),
        (lambda: products(torch.ones(3), 3, 3), "edge must have 12 entries"),
        (lambda: invariant(torch.ones(7), torch.ones(3), 3, 3), "edge must have 12 entries"),
        (lambda: plateau(poly({(1, 2): 1.0}, 3, 3), 3, 3), "a leap leaves the least norm open"),
        (lambda: plateau(poly({(1,): math.inf}, 3, 3), 3, 3), "target must be finite"),
        (lambda: half_time(Lattice(3, 3, model.target, model.target, 1 + model.edge)), "half"),
        (lambda: lasso(training_sets(model, **{k: data[k] for k in ("seed", "samples")}), [0.0]),
         "penalty must be positive"),
        (lambda: context("12, 14"), "name must be one of"),
        (lambda: learn(torch.ones(1, 7), 5, seed=0, members=1, every=1), "target must have 41"),
        (lambda: learn(torch.ones(1, 41), 0, seed=0, members=1, every=1), "steps must be at least"),
        (lambda: learn(torch.ones(1, 41), 5, seed=0, members=1, every=0), "every must be at least"),
        (lambda: Lesson(dimension=5), "dimension must be at least 6"),
        (lambda: Lesson(width=0), "width must be at least 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=what):
            call()
    with pytest.raises(FloatingPointError, match="finite"):
        experiment(random_start(3, 3), [0.0, 400.0], **data | {"step": 8.0})


def test_half_times_want_a_start_below_half():
    """Three quarters of the target: beyond half, and not yet there."""
    target = torch.tensor([1.0, -0.8], dtype=DOUBLE)
    above = Lattice(2, 1, target, 0.75 * target, torch.ones(2, dtype=DOUBLE))
    with pytest.raises(ValueError, match="below half"):
        half_time(above)
    below = Lattice(2, 1, target, 0.45 * target, torch.ones(2, dtype=DOUBLE))
    assert (half_time(below) < 0.2).all()


def test_what_can_never_be_reached_is_said(monkeypatch):
    monkeypatch.setattr("toymodels.lattice.STRETCHES", 8)
    with pytest.raises(RuntimeError, match="half-times were not reached"):
        half_time(asleep(poly({(1, 2): 1.0}, 2, 2), 2, 2, start=0.0))
