"""Parameterizations: the same functions at the start, and how fast outputs and features move."""

import pytest
import torch

from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.network import Perceptron
from toymodels.networks.parameterization import mean_field, residual, standard, tangent
from toymodels.networks.rules import GradientDescent
from toymodels.numerics.draws import normal

INPUTS = normal(0, "inputs", 1, (3, 6))[0]


def outputs(scales, members=400, **network):
    network = Perceptron(torch.tanh, multipliers=scales.multiplier, **network)
    return network(scales.start(members, seed=1), INPUTS)


def test_standard_and_tangent_describe_the_same_functions():
    widths = [6, 9, 7, 2]
    one, other = (p(widths, weight_variance=1.7) for p in (standard, tangent))
    torch.testing.assert_close(outputs(one), outputs(other))
    assert one.multiplier == one.rate == other.spread == other.rate == (1.0,) * 3
    assert one.spread == pytest.approx([(1.7 / n) ** 0.5 for n in (6, 9, 7)])


def test_mean_field_outputs_are_smaller_by_richness_and_root_width():
    widths = [6, 9, 16, 2]
    torch.testing.assert_close(outputs(mean_field(widths, 0.5)) * 0.5 * 4, outputs(tangent(widths)))


def test_members_may_have_their_own_richness():
    widths, richness = [6, 9, 16, 2], torch.tensor([0.5, 2.0], dtype=torch.float64)
    both = mean_field(widths, richness)
    for k, each in enumerate(richness.tolist()):
        alone = mean_field(widths, each)
        assert float(both.multiplier[-1][k]) == pytest.approx(alone.multiplier[-1])
        assert float(both.rate[0][k]) == pytest.approx(alone.rate[0])
    with pytest.raises(ValueError, match="richness must be positive"):
        mean_field(widths, torch.tensor([0.5, 0.0]))
    deep = residual([6, 9, 9, 2], richness, exponent=1.0)
    assert torch.equal(deep.rate[1], 9 * richness**2)


def test_start_is_normal_with_the_spread_of_each_layer():
    weights = standard([6, 50, 40], weight_variance=2.0).start(20, seed=0, dtype=torch.float32)
    assert [w.shape for w in weights] == [(20, 50, 6), (20, 40, 50)]
    assert all(w.dtype == torch.float32 for w in weights)
    for w, fan_in in zip(weights, (6, 50), strict=True):
        # the variance of n normal numbers has standard error sqrt(2 / n) of itself
        assert float(w.var()) == pytest.approx(2 / fan_in, rel=4 * (2 / w.numel()) ** 0.5)


def one_step(scales, network, step):
    """Typical move of the outputs and of the last features in one step of training."""
    labels = torch.ones(3, 1, dtype=torch.float64)
    last = lambda state: state.network.features(state.weights, state.inputs)[-1]  # noqa: E731
    seen = train(
        scales.start(8, seed=2),
        Samples(INPUTS, labels),
        network=network,
        rule=GradientDescent([step * r for r in scales.rate]),
        record=torch.tensor([0, 1]),
        observe={"outputs": State.outputs, "features": last},
    ).observed
    return [float((x[:, 1] - x[:, 0]).square().mean().sqrt()) for x in seen.values()]


def test_mean_field_features_move_alike_at_every_width():
    """Outputs and features move by O(step); in the tangent parameterization features freeze."""
    moves = {}
    for make in (lambda w: mean_field(w, 1.0), tangent):
        for width in (64, 1024):
            scales = make([6, width, width, 1])
            network = Perceptron(torch.tanh, multipliers=scales.multiplier)
            moves[make, width] = one_step(scales, network, 0.05)
        small, large = moves[make, 64], moves[make, 1024]
        frozen = 4.0 if make is tangent else 1.0  # sqrt(1024 / 64)
        slower = (small[1] / small[0]) / (large[1] / large[0])  # features per move of the outputs
        assert slower == pytest.approx(frozen, rel=0.1)


def test_residual_outputs_move_alike_at_every_depth():
    """One step moves the outputs by rate * K(0); K(0) tends to a limit with the depth."""
    moves = []
    for depth in (8, 32):
        scales = residual([6, *[128] * (depth + 1), 1], 1.0)
        network = Perceptron(multipliers=scales.multiplier, residual=True)
        moves.append(one_step(scales, network, 1e-3)[0])
    assert moves[0] == pytest.approx(moves[1], rel=0.15)


def test_residual_scales_by_hand():
    scales = residual([6, 10, 10, 10, 1], 2.0, branch=3.0, exponent=1.0)
    assert scales.multiplier == pytest.approx([6**-0.5, 1.5 * 10**-0.5, 1.5 * 10**-0.5, 1 / 20])
    assert scales.rate == pytest.approx([40, 80, 80, 40])
    half = residual([6, 10, 10, 10, 1], 2.0)
    assert half.rate == pytest.approx([40] * 4)
    assert half.multiplier[1] == pytest.approx(2**-0.5 * 10**-0.5)


def test_branches_of_two_matrices_by_hand():
    """The last matrix of a branch has its scale, and depth counts branches."""
    scales = residual([6, 9, 4, 9, 4, 9, 1], 2.0, branch=3.0, exponent=1.0, block=2)
    assert scales.multiplier == pytest.approx([6**-0.5, 1 / 3, 0.75, 1 / 3, 0.75, 1 / 18])
    assert scales.rate == pytest.approx([36, 72, 72, 72, 72, 36])
    each = residual([6, 9, 9, 9, 1], 1.0, branch=torch.tensor([1.0, 3.0]),
                    exponent=torch.tensor([0.5, 1.0]))  # fmt: skip
    assert each.multiplier[1].tolist() == pytest.approx([2**-0.5 / 3, 0.5])
    assert each.rate[1].tolist() == pytest.approx([9, 18]) and each.rate[0] == 9


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: standard([3]), "two positive whole numbers or more"),
        (lambda: standard([3, 0]), "two positive whole numbers or more"),
        (lambda: standard([3, -2]), "a width must be a non-negative whole number"),
        (lambda: standard([3, 2], weight_variance=-1.0), "weight_variance must be positive"),
        (lambda: tangent([3, 2], weight_variance=0.0), "weight_variance must be positive"),
        (lambda: mean_field([3, 2, 1], 0.0), "richness must be positive"),
        (lambda: mean_field([3, 2, 1], float("inf")), "richness must be positive and finite"),
        (lambda: residual([3, 2, 1], 1.0), "two hidden layers or more"),
        (lambda: residual([3, 2, 2, 1], 1.0, branch=0.0), "branch must be positive"),
        (lambda: residual([3, 2, 2, 1], 1.0, block=0), "block must be at least 1, got 0"),
        (lambda: residual([3, 2, 2, 1], 1.0, block=2), "block must divide the 1 matrices"),
    ],
)
def test_bad_scales_are_refused(call, what):
    with pytest.raises((ValueError, TypeError), match=what):
        call()
