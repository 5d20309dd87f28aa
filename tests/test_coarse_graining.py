"""Claims of chapters/coarse_graining.md, one test per claim."""

import itertools
import math

import pytest
import torch

from toymodels.coarse_graining import (
    NoisyTree,
    belief,
    census,
    experiment,
    fixed_point,
    majority,
    optimal_threshold,
    theory,
    threshold,
    vote_slope,
)

DOUBLE = torch.float64
FLIPS = torch.tensor([0.0, 0.05, 0.1, 0.16, 0.17, 0.2, 0.3, 0.5], dtype=DOUBLE)
DECODERS = [majority, census, belief]


def depths(*levels):
    return torch.tensor(levels)


def every_tree(flip, branching, depth):
    """All patterns of flips on a small tree below a root of +1: leaves (pattern, leaf), weights."""
    edges = [branching**level for level in range(1, depth + 1)]
    pattern = torch.cartesian_prod(*[torch.tensor([1.0, -1.0], dtype=DOUBLE)] * sum(edges))
    weight = (pattern * (0.5 - flip) + 0.5).prod(-1)
    signs, bits = pattern.split(edges, -1), torch.ones(len(pattern), 1, dtype=DOUBLE)
    for sign in signs:
        bits = bits.repeat_interleave(branching, -1) * sign
    return bits, weight


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("flip", [0.08, 0.19, 0.4])
def test_theory_is_the_sum_over_all_trees_of_two_levels(decoder, flip):
    leaves, weight = every_tree(flip, 3, 2)
    right = 0.5 + 0.5 * decoder(leaves, NoisyTree(flip))
    found = theory(NoisyTree(flip), depths(2), decoder).probability
    assert found.item() == pytest.approx((weight @ right).item(), abs=1e-6)


def test_belief_is_bayes_rule():
    """The likelier root, by summing over the trees that end in the same leaves."""
    leaves, weight = every_tree(0.2, 3, 2)
    seen = {}
    for leaf, share in zip(leaves.tolist(), weight.tolist(), strict=True):
        seen[tuple(leaf)] = seen.get(tuple(leaf), 0.0) + share
    keys = list(itertools.product([1.0, -1.0], repeat=9))
    likelier = [math.copysign(1, seen[k] - seen[tuple(-x for x in k)]) for k in keys]
    ours = belief(torch.tensor(keys, dtype=DOUBLE), NoisyTree(0.2))
    assert ours.tolist() == likelier
    best = sum(max(seen[k], seen[tuple(-x for x in k)]) for k in keys) / 2
    found = theory(NoisyTree(0.2), depths(2), belief).probability
    assert found.item() == pytest.approx(best, abs=1e-6)


def densities(theta, depth):
    """Log odds of the root and their weights, one by one, for a root of +1."""
    found = {math.inf: 1.0}
    for _ in range(depth):
        child = {}
        for odds, share in found.items():
            for sign in (1, -1):
                said = round(2 * math.atanh(theta * math.tanh(sign * odds / 2)), 12)
                child[said] = child.get(said, 0.0) + (1 + sign * theta) / 2 * share
        found = {}
        for trio in itertools.product(child.items(), repeat=3):
            odds = round(sum(x for x, _ in trio), 11)
            found[odds] = found.get(odds, 0.0) + math.prod(share for _, share in trio)
    return found


def test_belief_at_three_levels_by_enumeration():
    exact = sum(share for odds, share in densities(0.66, 3).items() if odds > 0)
    found = theory(NoisyTree(0.17), depths(3), belief).probability
    assert found.item() == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("decoder", DECODERS)
def test_experiments_agree_with_the_theory(decoder):
    model = NoisyTree(FLIPS)
    seen = experiment(model, depths(1, 3, 5), decoder, seed=3, trees=400, members=20).probability
    expected = theory(model, depths(1, 3, 5), decoder).probability
    error = (expected * (1 - expected) / 8000).clamp(min=0).sqrt()
    assert ((seen.mean(-2) - expected).abs() <= 4.5 * error + 1e-12).all()
    assert seen.shape == (8, 20, 3) and (seen[0] == 1).all()


def test_five_children():
    model = NoisyTree(torch.tensor([0.1, 0.24], dtype=DOUBLE), 5)
    for decoder in DECODERS:
        seen = experiment(model, depths(1, 2, 3), decoder, seed=1, trees=500, members=8).probability
        expected = theory(model, depths(1, 2, 3), decoder).probability
        error = (expected * (1 - expected) / 4000).sqrt()
        assert ((seen.mean(-2) - expected).abs() <= 4.5 * error).all()


def test_the_best_decoder_is_the_best():
    best, voted, counted = (
        theory(NoisyTree(FLIPS), depths(2, 5, 9), decoder).probability
        for decoder in (belief, majority, census)
    )
    assert (best >= voted - 1e-7).all() and (best >= counted - 1e-7).all()


def test_numbers_of_the_majority_of_three():
    known = torch.tensor([0.941942, 0.678335, 0.5], dtype=DOUBLE)
    found = fixed_point(NoisyTree(torch.tensor([0.1, 0.16, 0.17], dtype=DOUBLE)))
    torch.testing.assert_close(found, known, rtol=0, atol=1e-6)
    assert threshold(3) == pytest.approx(1 / 6) and vote_slope(3) == 1.5
    assert threshold(5) == pytest.approx(7 / 30) and vote_slope(5) == 1.875
    assert optimal_threshold(3) == pytest.approx((1 - 3**-0.5) / 2)


@pytest.mark.parametrize("branching", [1, 3, 5, 9, 21])
def test_the_flow_ends_at_its_fixed_point(branching):
    edge = threshold(branching) if branching > 1 else 0.25
    model = NoisyTree(torch.tensor([0.3, 0.9, 1.1], dtype=DOUBLE) * edge, branching)
    late = theory(model, depths(4000)).probability[:, 0]
    torch.testing.assert_close(late, fixed_point(model), rtol=0, atol=1e-9)


def test_the_slope_of_a_vote_is_its_derivative():
    for branching in (3, 5, 11):
        flips = torch.tensor([0.5 - 1e-5, 0.5], dtype=DOUBLE)  # q - 1/2 = theta / 2 at one level
        p = theory(NoisyTree(flips, branching), depths(1)).probability[:, 0]
        assert (p[0] - p[1]).item() / 1e-5 == pytest.approx(vote_slope(branching), rel=1e-6)
    assert vote_slope(2001) ** 2 / 2001 == pytest.approx(2 / math.pi, rel=1e-3)


def test_critical_slowing_down():
    at = theory(NoisyTree(1 / 6), depths(10_000)).probability[0] - 0.5
    assert at.item() == pytest.approx((27 / 32e4) ** 0.5, rel=1e-3)
    off = 1e-3
    near = fixed_point(NoisyTree(torch.tensor(1 / 6 - off, dtype=DOUBLE))) - 0.5
    assert near.item() == pytest.approx((3 * off / (16 / 27)) ** 0.5, rel=5e-3)


def test_beyond_kesten_and_stigum_nothing_is_left():
    model = NoisyTree(torch.tensor([0.2, 0.25], dtype=DOUBLE))
    early, late, last = theory(model, depths(20, 30, 200), belief).probability.T - 0.5
    assert (late / early)[0] > 0.92 and last[0] > 0.14
    shrinks = 3 * 0.25  # of the mean square log odds, at every level
    assert (late / early)[1].item() == pytest.approx(shrinks**5, rel=0.03)
    assert last[1] < 1e-3


def test_a_vote_of_all_leaves_keeps_a_signal_where_the_vote_by_levels_loses_it():
    model = NoisyTree(torch.tensor([0.19], dtype=DOUBLE))
    deep = depths(10, 12)
    counted, voted = (theory(model, deep, x).probability[0] for x in (census, majority))
    assert counted[-1] > 0.69 and counted[0] - counted[1] < 0.01
    assert voted[-1] < 0.63


def test_decoders_by_hand():
    leaves = torch.tensor([1.0, 1, 1, -1, -1, 1, 1, -1, -1])
    assert majority(leaves, NoisyTree(0.1)) == -1 and census(leaves, NoisyTree(0.1)) == 1
    assert belief(leaves, NoisyTree(0.01)) == -1 and belief(leaves, NoisyTree(0.4)) == 1


def test_kinds_of_numbers_and_shapes():
    single = NoisyTree(torch.tensor([0.1, 0.2]))
    assert theory(single, depths(2, 3)).probability.dtype == torch.float32
    assert theory(NoisyTree(0.1), depths(2)).probability.shape == (1,)
    square = NoisyTree(torch.full((2, 3), 0.1, dtype=DOUBLE))
    seen = experiment(square, depths(2), seed=0, trees=5, members=4)
    assert seen.probability.shape == (2, 3, 4, 1)
    assert fixed_point(square).shape == (2, 3)


def test_a_member_depends_on_its_seed_and_number_alone():
    model = NoisyTree(torch.tensor([0.1, 0.3], dtype=DOUBLE))
    both = experiment(model, depths(4), seed=5, trees=50, members=3).probability
    alone = experiment(NoisyTree(0.3), depths(4), seed=5, trees=50, members=2).probability
    torch.testing.assert_close(both[1, :2], alone)
    other = experiment(model, depths(4), seed=6, trees=50, members=3).probability
    assert (other != both).any() and both[1].unique().numel() > 1


def test_generations_have_errors_of_their_own():
    """One tree a member, where equal draws at two generations would fall on the same nodes."""
    model = NoisyTree(torch.tensor([0.3], dtype=DOUBLE))
    seen = experiment(model, depths(2), seed=2, trees=1, members=1500).probability[0, :, 0]
    expected = theory(model, depths(2)).probability.item()
    assert abs(seen.mean() - expected) < 4.5 * (expected * (1 - expected) / 1500) ** 0.5


def test_refusals():
    for flip in (-0.1, 0.6, float("inf")):
        with pytest.raises(ValueError, match="flip must be between 0 and 1/2"):
            NoisyTree(flip)
    with pytest.raises(ValueError, match="branching must be odd, got 4"):
        NoisyTree(0.1, 4)
    with pytest.raises(ValueError, match="branching must be at least 1"):
        threshold(0)
    with pytest.raises(ValueError, match="depth must be one axis of whole numbers from 1"):
        theory(NoisyTree(0.1), depths(0, 2))
    with pytest.raises(ValueError, match="decoder must be majority, census or belief"):
        theory(NoisyTree(0.1), depths(2), lambda leaves, model: leaves[..., 0])
    with pytest.raises(ValueError, match="leaves must be a power of the branching 3, got 8"):
        majority(torch.ones(8), NoisyTree(0.1))
    with pytest.raises(ValueError, match="depth must leave 3 million leaves at most"):
        theory(NoisyTree(0.1), depths(14), census)
    with pytest.raises(ValueError, match="depth must leave 16777216 leaves"):
        experiment(NoisyTree(0.1), depths(12), seed=0, trees=100)
    with pytest.raises(ValueError, match="trees must be at least 1"):
        experiment(NoisyTree(0.1), depths(2), seed=0, trees=0)
