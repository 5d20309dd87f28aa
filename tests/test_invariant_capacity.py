"""Claims of chapters/invariant_capacity.md, one test per claim."""

import itertools
from fractions import Fraction
from math import pi, tan

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from toymodels import invariant_capacity
from toymodels.invariant_capacity import (
    InvariantReadout,
    centroids,
    copies,
    count_separable,
    experiment,
    fixed_dimension,
    grid_code,
    labellings,
    orbits,
    pairs_experiment,
    pooled_views,
    pooling_experiment,
    regular,
    separable,
    theory,
    theory_of_pairs,
)
from toymodels.numerics import draws

DOUBLE = torch.float64
FOUR = InvariantReadout(4)
STANDARD_ERRORS = 4.5


def row(*numbers):
    return torch.tensor(numbers, dtype=DOUBLE)


def hits(seen):
    """Shares over the members, and how far they lie from ``predicted`` in binomial errors."""
    return seen.fraction.double().mean(-2)


def score(seen, predicted):
    count = seen.fraction.shape[-2]
    spread = (predicted * (1 - predicted)).clamp(min=1e-12)
    return ((hits(seen) - predicted).abs() / (spread / count).sqrt()).max()


def cover(P, N0):
    """By the recursion, in whole numbers."""
    count = [0] + [2] * max(N0, 1)
    for _ in range(P - 1):
        count = [0] + [count[k] + count[k - 1] for k in range(1, len(count))]
    return Fraction(count[N0], 2**P)


# Cover's count


@pytest.mark.parametrize("N0", [0, 1, 2, 3, 10, 400])
def test_fraction_is_that_of_the_recursion(N0):
    P = torch.tensor([1, 2, 3, 7, 40, 1000])
    found = theory(InvariantReadout(N0), P).fraction
    expected = row(*(float(cover(p, N0)) for p in P.tolist()))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize("N0", [1, 3, 8, 500])
def test_known_values(N0):
    f = theory(InvariantReadout(N0), torch.tensor([1, N0, N0 + 1, 2 * N0])).fraction
    torch.testing.assert_close(f, row(1, 1, 1 - 2.0**-N0, 0.5), rtol=1e-12, atol=0)


def test_printed_values():
    f = theory(InvariantReadout(torch.tensor([5, 10])), torch.tensor([12, 30])).fraction
    assert f[0, 0].item() == 0.2744140625 and f[1, 1].item() == pytest.approx(0.0307142, abs=5e-8)


def test_labellings_are_whole_numbers():
    assert [labellings(3, 5), labellings(3, 7), labellings(4, 8)] == [22, 44, 128]
    assert labellings(0, 3) == 0 and labellings(9, 3) == 8
    assert labellings(100, 300) == 2**300 * cover(300, 100)
    for P, N0 in itertools.product(range(1, 9), range(1, 6)):
        assert labellings(N0, P + 1) == labellings(N0, P) + labellings(N0 - 1, P)


def test_dimensions_are_a_batch():
    dimension = torch.tensor([[1, 2], [3, 0]])
    f = theory(InvariantReadout(dimension), torch.tensor([2, 5, 9])).fraction
    assert f.shape == (2, 2, 3)
    for index in itertools.product(range(2), range(2)):
        alone = theory(InvariantReadout(int(dimension[index])), torch.tensor([2, 5, 9])).fraction
        assert torch.equal(f[index], alone)


# What a group leaves alone


@pytest.mark.parametrize(
    "representation, fixed",
    [
        (regular([5]), 1),
        (regular([3, 4]), 1),
        (copies(regular([8]), 3), 3),
        (copies(regular([2, 3]), 2), 2),
        (grid_code([2, 3, 5]), 3),
        (grid_code([4, 6]), 2),
        (torch.eye(6, dtype=DOUBLE)[None], 6),
        (row(1, -1).reshape(2, 1, 1), 0),
        (torch.block_diag(torch.eye(1), torch.eye(2)).double()[None], 3),
    ],
)
def test_fixed_dimension_is_the_rank_of_the_average(representation, fixed):
    assert fixed_dimension(representation) == fixed
    average = representation.mean(0)
    torch.testing.assert_close(average @ average, average, rtol=0, atol=1e-12)
    assert torch.linalg.matrix_rank(average) == fixed


def test_a_rotation_leaves_its_axis_alone():
    angle = torch.arange(5) * 2 * pi / 5
    c, s, o, i = angle.cos(), angle.sin(), torch.zeros(5), torch.ones(5)
    turns = torch.stack([c, -s, o, s, c, o, o, o, i], -1).reshape(5, 3, 3).double()
    turns = turns.float().double()  # a group to single precision alone
    assert fixed_dimension(turns) == 1


@pytest.mark.parametrize("orders", [[4], [2, 3], [2, 2, 3]])
def test_shifts_multiply_as_the_group_does(orders):
    shifts = regular(orders)
    n = int(np.prod(orders))
    assert shifts.shape == (n, n, n) and torch.equal(shifts[0], torch.eye(n, dtype=DOUBLE))
    steps = list(itertools.product(*map(range, orders)))
    for a, b in itertools.product(range(n), repeat=2):
        both = tuple((x + y) % m for x, y, m in zip(steps[a], steps[b], orders, strict=True))
        assert torch.equal(shifts[a] @ shifts[b], shifts[steps.index(both)])


def test_a_shift_moves_activity_onwards():
    x = torch.arange(12, dtype=DOUBLE)
    moved = orbits(regular([3, 4]), x).reshape(3, 4, 3, 4)
    for a, b in itertools.product(range(3), range(4)):
        assert torch.equal(moved[a, b], x.reshape(3, 4).roll((a, b), (0, 1)))


def test_channels_move_together_and_modules_each_at_their_period():
    x = torch.arange(6, dtype=DOUBLE)
    assert orbits(copies(regular([3]), 2), x)[1].tolist() == [2, 0, 1, 5, 3, 4]
    code = grid_code([2, 4])
    assert len(code) == 4
    assert orbits(code, x).tolist() == [
        [0, 1, 2, 3, 4, 5],
        [1, 0, 5, 2, 3, 4],
        [0, 1, 4, 5, 2, 3],
        [1, 0, 3, 4, 5, 2],
    ]


def test_centroids_are_averages_of_orbits():
    pi_ = torch.stack([torch.eye(2), torch.tensor([[0.0, 2.0], [0.5, 0.0]])]).double()
    x = draws.normal(0, "x", 3, (4, 2))
    torch.testing.assert_close(centroids(pi_, x), orbits(pi_, x).mean(-2))
    assert orbits(pi_, x).shape == (3, 4, 2, 2)


# Linear programs


def by_itself(points, labels, bound=(None, None)):
    """One program for one set of points: y w.x >= 1 with free w."""
    signed = (labels[:, None] * points).numpy()
    found = linprog(
        np.zeros(points.shape[1]), A_ub=-signed, b_ub=-np.ones(len(signed)), bounds=bound
    )
    assert found.status in (0, 2)
    return found.status == 0


def random_points(members=120, points=9, neurons=4):
    x = draws.normal(1, "x", members, (points, neurons))
    return x, 1.0 - 2 * draws.integers(1, "y", members, (points,), high=2)


def test_blocks_give_the_verdict_of_each_program():
    x, y = random_points()
    each = torch.tensor([by_itself(a, b) for a, b in zip(x, y, strict=True)])
    assert torch.equal(separable(x, y), each) and 0.2 < each.double().mean() < 0.8
    for length in (1e-9, 1e9, 10 ** (20 * draws.uniform(1, "length", 120, (9, 1)) - 10)):
        assert torch.equal(separable(length * x, y), each)  # a point counts for its direction


def test_a_no_is_proved_by_a_mixture_that_vanishes():
    """Gordan: either w exists, or non-negative weights with sum 1 make sum a y x vanish."""
    x, y = random_points(60)
    for a, b, yes in zip(x, y, separable(x, y), strict=True):
        signed = (b[:, None] * a).numpy()
        sides = np.vstack([signed.T, np.ones(len(b))])
        found = linprog(np.zeros(len(b)), A_eq=sides, b_eq=[0] * a.shape[1] + [1])
        assert (found.status == 0) == (not yes)


def test_separation_needs_no_margin_and_has_no_threshold():
    points = row([1.0, 0.0], [1.0, 1e-3], [-1.0, 0.0])
    assert separable(points, row(1, 1, -1))
    assert separable(points[:2], row(1, -1))
    assert not separable(points, row(1, 1, 1))  # two on opposite sides of the origin
    assert not separable(row([0.0, 0.0]), row(1))  # w.x is zero, and not positive
    assert not separable(row([1.0], [2.0]), row(1, -1))  # a threshold would do


def test_batches_and_single_precision():
    x, y = random_points(6)
    found = separable(x.reshape(2, 3, 9, 4).float(), y.reshape(2, 3, 9))
    assert torch.equal(found.flatten(), separable(x, y))
    assert found.dtype == torch.bool


def test_blocks_of_any_size_agree(monkeypatch):
    x, y = random_points(50)
    whole = separable(x, y)
    for rows in (1, 9, 100, 10_000):
        monkeypatch.setattr(invariant_capacity, "ROWS", rows)
        assert torch.equal(separable(x, y), whole)


@pytest.mark.parametrize("P, N0, count", [(5, 3, 22), (7, 3, 44), (6, 2, 12), (4, 4, 16)])
def test_all_labellings_are_counted_exactly(P, N0, count):
    assert count == labellings(N0, P)
    pi_ = copies(regular([3]), N0)
    x = draws.normal(2, f"{P} {N0}", 2, (P, 3 * N0))
    assert count_separable(orbits(pi_, x)).tolist() == [count, count]
    assert count_separable(centroids(pi_, x)[..., None, :]).tolist() == [count, count]


def test_eight_objects_in_four_dimensions():
    x = draws.normal(2, "eight", 1, (8, 1, 4))[0]
    assert count_separable(x) == 128


# Theory against experiment


@pytest.mark.parametrize(
    "code, N0",
    [
        (copies(regular([5]), 3), 3),
        (copies(regular([2, 3]), 3), 3),
        (grid_code([2, 3, 4]), 3),
    ],
)
def test_all_views_lie_on_covers_curve(code, N0):
    P = torch.tensor([3, 5, 6, 8])
    model = InvariantReadout(N0)
    seen = experiment(model, P, seed=0, members=120, representation=code)
    predicted = theory(model, P).fraction
    assert seen.fraction.shape == (120, 4) and seen.fraction.dtype == torch.bool
    assert score(seen, predicted) < STANDARD_ERRORS
    assert score(seen, theory(InvariantReadout(N0 + 1), P).fraction) > STANDARD_ERRORS


@pytest.mark.parametrize("code", [copies(regular([5]), 3), grid_code([2, 3, 4])])
def test_all_views_and_average_views_agree_draw_by_draw(code):
    model, P = InvariantReadout(3), torch.tensor([5, 6, 8])
    run = {"seed": 1, "members": 80, "representation": code}
    full, short = (experiment(model, P, reduced=r, **run).fraction for r in (False, True))
    assert torch.equal(full, short)


def test_average_views_of_many_objects():
    model, P = InvariantReadout(torch.tensor([2, 6])), torch.tensor([4, 8, 12])
    seen = experiment(model, P, seed=2, members=500, reduced=True)
    predicted = theory(model, P).fraction
    assert seen.fraction.shape == (2, 500, 3)
    assert score(seen, predicted) < STANDARD_ERRORS
    alone = experiment(InvariantReadout(6), P, seed=2, members=20, reduced=True).fraction
    assert torch.equal(seen.fraction[1, :20], alone)  # the same draws alone


def test_sizes_and_members_have_draws_of_their_own():
    model = InvariantReadout(2)
    seen = experiment(model, torch.tensor([4, 4, 5]), seed=3, members=200, reduced=True).fraction
    assert torch.equal(seen[:, 0], seen[:, 1])
    assert (seen[:, 0] != seen[:, 2]).any()
    other = experiment(model, torch.tensor([4]), seed=4, members=200, reduced=True).fraction
    assert (other[:, 0] != seen[:, 0]).any()
    pairs = seen.double() - seen.double().mean(0)
    assert (pairs[1:] * pairs[:-1]).mean().abs() < 0.05  # neighbours do not hang together


def by_hand(points, labels):
    """The verdict on (pattern, view, neuron) with a label for each pattern."""
    return by_itself(points.flatten(0, 1), labels.repeat_interleave(points.shape[1]))


@pytest.mark.parametrize("bias", [False, True])
def test_each_draw_is_what_it_says(bias):
    code, P, members = copies(regular([3]), 2), 4, 40
    seen = experiment(
        InvariantReadout(2), [P], seed=5, members=members, representation=code, bias=bias
    )
    x = draws.normal(5, f"patterns {P}", members, (P, 6))
    y = 1.0 - 2 * draws.integers(5, f"labels {P}", members, (P,), high=2)
    views = orbits(code, x)
    if bias:
        views = torch.cat([views, torch.ones(members, P, 3, 1, dtype=DOUBLE)], -1)
    expected = torch.tensor([by_hand(*each) for each in zip(views, y, strict=True)])
    assert torch.equal(seen.fraction[:, 0], expected)


def test_without_a_representation_channels_lie_on_a_circle_of_four():
    run = {"seed": 6, "members": 30}
    plain = experiment(InvariantReadout(2), [4], **run)
    given = experiment(InvariantReadout(2), [4], representation=copies(regular([4]), 2), **run)
    assert torch.equal(plain.fraction, given.fraction)


def test_codes_are_taken_without_replacement():
    """Of two opposite items a readout gives the labels only if they differ."""
    codes, one = row([1.0], [-1.0]), torch.ones(1, 1, 1, dtype=DOUBLE)
    run = {"seed": 7, "members": 400, "representation": one, "codes": codes}
    seen = experiment(InvariantReadout(1), [2], **run)
    y = 1.0 - 2 * draws.integers(7, "labels 2", 400, (2,), high=2)
    assert torch.equal(seen.fraction[:, 0], y[:, 0] != y[:, 1])
    first = draws.uniform(7, "patterns 1", 400, (2,)).argsort(-1)[:, 0]
    assert first.double().mean().item() == pytest.approx(0.5, abs=0.12)
    assert experiment(InvariantReadout(1), [1], **run).fraction.all()


def test_every_member_takes_codes_of_its_own():
    codes, P, members = draws.normal(16, "codes", 1, (12, 8))[0], 4, 40
    seen = experiment(InvariantReadout(2), [P], seed=16, members=members, codes=codes)
    order = draws.uniform(16, f"patterns {P}", members, (12,)).argsort(-1)
    y = 1.0 - 2 * draws.integers(16, f"labels {P}", members, (P,), high=2)
    views = orbits(copies(regular([4]), 2), codes[order[:, :P]])
    expected = torch.tensor([by_hand(*each) for each in zip(views, y, strict=True)])
    assert torch.equal(seen.fraction[:, 0], expected) and expected.any() and not expected.all()


def test_codes_in_general_position_lie_on_covers_curve():
    codes = torch.relu(draws.normal(8, "codes", 1, (200, 40))[0])
    P = torch.tensor([4, 6, 8])
    run = {"representation": copies(regular([10]), 4), "codes": codes, "reduced": True}
    seen = experiment(FOUR, P, seed=8, members=300, **run)
    assert score(seen, theory(FOUR, P).fraction) < STANDARD_ERRORS


def test_a_layer_without_relu_keeps_one_dimension():
    """Linear filters of one gray channel: all centroids are multiples of one vector."""
    images = draws.normal(9, "images", 1, (100, 8))[0]
    filters = draws.normal(9, "filters", 1, (4, 8))[0]
    codes = torch.stack([images.roll(-s, -1) @ filters.mT for s in range(8)], -1).flatten(1)
    P = torch.tensor([2, 3, 4])
    for codes_, N0 in ((codes, 1), (torch.relu(codes), 4)):
        run = {"representation": copies(regular([8]), 4), "codes": codes_, "reduced": True}
        seen = experiment(FOUR, P, seed=9, members=300, **run)
        predicted = theory(InvariantReadout(N0), P).fraction
        assert score(seen, predicted) < STANDARD_ERRORS


def test_a_threshold_adds_a_dimension():
    P = torch.tensor([6, 8, 10])
    seen = experiment(FOUR, P, seed=10, members=500, reduced=True, bias=True)
    assert score(seen, theory(InvariantReadout(5), P).fraction) < STANDARD_ERRORS
    assert score(seen, theory(FOUR, P).fraction) > 2 * STANDARD_ERRORS


# Two views


@pytest.mark.parametrize("N0", [0, 1, 4, 7])
def test_two_equal_views_are_one_and_independent_ones_twice_as_many(N0):
    P, model = torch.tensor([1, 2, 3, 5, 12, 40]), InvariantReadout(N0)
    same = theory_of_pairs(model, P, 0.0).fraction
    torch.testing.assert_close(same, theory(model, P).fraction, rtol=1e-11, atol=1e-15)
    apart = theory_of_pairs(model, P, pi / 2).fraction
    torch.testing.assert_close(apart, theory(model, 2 * P).fraction, rtol=1e-11, atol=1e-15)


def test_one_pair_in_one_dimension_has_equal_signs():
    """Of two numbers m + d and m - d: the chance is 1 - angle / pi."""
    for angle in (0.3, 1.0, 3.0):
        f = theory_of_pairs(InvariantReadout(1), torch.tensor([1, 2]), angle).fraction
        torch.testing.assert_close(f, row(1 - angle / pi, (1 - angle / pi) ** 2 / 2))


@pytest.mark.parametrize("angle, per_dimension", [(0.0, 2.0), (pi / 3, 1.2), (3.1415, 2 / 3)])
def test_half_of_the_labellings_of_pairs(angle, per_dimension):
    N0 = 600
    near = torch.tensor([round(N0 * per_dimension)])
    f = theory_of_pairs(InvariantReadout(N0), near, angle).fraction
    assert f.item() == pytest.approx(0.5, abs=0.03)


def test_pairs_of_many_dimensions_and_sizes_at_once():
    dimension, P = torch.tensor([[2], [30]]), torch.tensor([7, 3, 7])
    f = theory_of_pairs(InvariantReadout(dimension), P, 1.0).fraction
    assert f.shape == (2, 1, 3) and torch.equal(f[..., 0], f[..., 2])
    alone = theory_of_pairs(InvariantReadout(2), torch.tensor([3]), 1.0).fraction
    assert torch.equal(f[0, 0, 1:2], alone)
    assert f[1, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("angle", [0.0, 1.0, pi / 2, 2.8])
def test_programs_find_crofton_s_formula(angle):
    P, model = torch.tensor([2, 3, 5]), InvariantReadout(4)
    seen = pairs_experiment(model, P, angle, seed=11, members=600)
    predicted = theory_of_pairs(model, P, angle).fraction
    assert seen.fraction.shape == (600, 3)
    assert score(seen, predicted) < STANDARD_ERRORS


def test_each_pair_is_what_it_says():
    P, members, angle = 3, 40, 2.0
    seen = pairs_experiment(InvariantReadout(2), [P], angle, seed=12, members=members)
    middle = draws.normal(12, f"middles {P}", members, (P, 2))
    half = tan(angle / 2) * draws.normal(12, f"differences {P}", members, (P, 2))
    y = 1.0 - 2 * draws.integers(12, f"labels {P}", members, (P,), high=2)
    views = torch.stack([middle + half, middle - half], -2)
    expected = torch.tensor([by_hand(*each) for each in zip(views, y, strict=True)])
    assert torch.equal(seen.fraction[:, 0], expected) and expected.any() and not expected.all()


# Pooling


def larger(x):
    return x.amax(-1)


def test_pooled_views_are_pools_of_shifts():
    x = row([1.0, 5.0, 2.0, 3.0], [0.0, -1.0, -2.0, 4.0])
    views = pooled_views(x, 2, larger)
    assert views.tolist() == [
        [5, 3, 0, 4],
        [5, 3, -1, 4],
        [3, 5, 4, 0],
        [3, 5, 4, -1],
    ]
    average = pooled_views(x, 2, larger, reduced=True)
    assert average.tolist() == [[4, 2], [4, 1.5]]
    evens, odds = views[::2].reshape(2, 2, 2), views[1::2].reshape(2, 2, 2)
    assert average.tolist() == [evens.mean((0, 2)).tolist(), odds.mean((0, 2)).tolist()]


@pytest.mark.parametrize("window", [1, 2, 3, 6])
def test_pooled_shifts_and_averages_agree_draw_by_draw(window):
    run = {"seed": 13, "members": 50, "positions": 6, "window": window}
    model, P = InvariantReadout(3), torch.tensor([3, 5])
    full, short = (pooling_experiment(model, P, reduced=r, **run).fraction for r in (False, True))
    assert torch.equal(full, short) and full.shape == (50, 2)
    x = draws.normal(13, "patterns 5", 50, (5, 3, 6))
    y = 1.0 - 2 * draws.integers(13, "labels 5", 50, (5,), high=2)
    views = torch.stack([pooled_views(each, window, larger) for each in x])
    expected = torch.tensor([by_hand(*each) for each in zip(views, y, strict=True)])
    assert torch.equal(full[:, 1], expected)


def test_local_pooling_lies_below_covers_curve():
    P = torch.tensor([4, 6, 8])
    run = {"seed": 14, "members": 400, "positions": 8, "reduced": True}
    cover_at = theory(FOUR, P).fraction
    pooled = pooling_experiment(FOUR, P, window=2, **run)
    assert (hits(pooled) < cover_at - 0.07).all()
    twice = theory(FOUR, 2 * P).fraction  # both averages as independent objects
    assert (hits(pooled) > twice + 0.05).all()
    near = theory_of_pairs(FOUR, P, 31.4 / 180 * pi).fraction
    assert ((hits(pooled) - near).abs() < 0.12).all()
    wider = pooling_experiment(FOUR, P, window=4, **run)
    assert hits(wider)[2] < hits(pooled)[2]


@pytest.mark.parametrize("window, pool", [(8, larger), (2, lambda x: x.mean(-1)), (1, larger)])
def test_other_pools_cost_nothing(window, pool):
    P = torch.tensor([4, 6, 8])
    run = {"seed": 15, "members": 250, "positions": 8, "reduced": True}
    seen = pooling_experiment(FOUR, P, window=window, pool=pool, **run)
    assert score(seen, theory(FOUR, P).fraction) < STANDARD_ERRORS


# Refusals

ONE = torch.ones(1, 1, 1, dtype=DOUBLE)
RUN = {"seed": 0, "members": 2}
POOL = RUN | {"positions": 4, "window": 2}
BAD = {
    "negative": (lambda: InvariantReadout(-1), "dimension must be a whole number"),
    "half": (lambda: InvariantReadout([1.5, 2.0]), "dimension must be a whole number"),
    "no pattern": (lambda: theory(FOUR, [0]), "patterns must be positive whole"),
    "part": (lambda: theory(FOUR, [1.5]), "patterns must be positive whole"),
    "pairs": (lambda: theory_of_pairs(FOUR, [0], 1.0), "patterns must be positive whole"),
    "infinite": (lambda: theory(FOUR, [torch.inf]), "patterns must be positive whole"),
    "count": (lambda: labellings(3, 0), "patterns must be at least 1"),
    "angle": (lambda: theory_of_pairs(FOUR, [2], pi), "angle must be from 0"),
    "sign": (lambda: pairs_experiment(FOUR, [2], -0.1, **RUN), "angle must be from 0"),
    "no group": (lambda: fixed_dimension(regular([4])[:3]), "a whole group"),
    "scaled": (lambda: fixed_dimension(2 * ONE), "a whole group"),
    "no site": (lambda: regular([3, 0]), "orders must be one or more whole numbers"),
    "no axis": (lambda: grid_code([]), "orders must be"),
    "no channel": (lambda: copies(regular([2]), 0), "channels must be at least 1"),
    "labels": (lambda: separable(torch.eye(2).double(), row(1, 0)), "labels must be 1 or -1"),
    "shape": (lambda: separable(torch.eye(2).double(), row(1)), "one for each point|point"),
    "many": (lambda: count_separable(torch.ones(13, 1, 2).double()), "at most 12 patterns"),
    "nobody": (lambda: experiment(FOUR, [2], seed=0, members=0), "members must be at least 1"),
    "nothing": (lambda: experiment(InvariantReadout(0), [2], **RUN), "dimension must be at least"),
    "empty pair": (
        lambda: pairs_experiment(InvariantReadout([1, 0]), [2], 1.0, **RUN),
        "dimension must be at least 1 in an experiment",
    ),
    "other group": (
        lambda: experiment(FOUR, [2], representation=regular([4]), **RUN),
        "dimension must be 1, which the representation leaves alone",
    ),
    "few codes": (
        lambda: experiment(
            InvariantReadout(1), [3], representation=ONE, codes=row([1.0], [2.0]), **RUN
        ),
        "codes must hold at least 3 patterns of 1 neurons",
    ),
    "other codes": (
        lambda: experiment(InvariantReadout(1), [1], codes=row([1.0, 2.0]), **RUN),
        "at least 1 patterns of 4 neurons",
    ),
    "no window": (lambda: pooling_experiment(FOUR, [2], **POOL | {"window": 0}), "window must be"),
    "no circle": (
        lambda: pooling_experiment(FOUR, [2], **POOL | {"positions": 0}),
        "positions must be at least 1",
    ),
    "tiles": (
        lambda: pooling_experiment(FOUR, [2], **POOL | {"window": 3}),
        "window must divide the 4 positions",
    ),
    "no pools": (lambda: pooling_experiment(FOUR, [2], **POOL | {"members": 0}), "members must"),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
