"""Claims of chapters/signal_propagation.md, one test per claim."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from toymodels.limits import wide_kernels
from toymodels.networks.activation import LeakyReLU
from toymodels.numerics import draws, mean
from toymodels.signal_propagation import (
    Lesson,
    WideNetwork,
    critical_point,
    experiment,
    lazy_training,
    marginal,
    overlap,
    parallel,
    perpendicular,
    real_training,
    resting_kernels,
    step,
    theory,
    training_rate,
)

F = torch.nn.functional
SMOOTH = [torch.tanh, torch.sin, F.gelu, F.silu, torch.sigmoid, F.softplus]
KINKED = [torch.relu, LeakyReLU(0.3), F.elu]
KERNELS = torch.tensor([0.05, 0.7, 4.0, 15.0], dtype=torch.float64)
FIELDS = ("kernel", "parallel", "perpendicular")


def gaussian_mean(function, variance):
    """By adaptive quadrature in NumPy numbers, each half line by itself."""

    def density(z):
        value = function(torch.tensor(z, dtype=torch.float64)).item()
        return value * math.exp(-z * z / 2 / variance) / math.sqrt(2 * math.pi * variance)

    reach = 12 * math.sqrt(variance)
    return sum(
        quad(density, *half, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
        for half in ((-reach, 0.0), (0.0, reach))
    )


@pytest.mark.parametrize("activation", [torch.tanh, F.gelu, torch.relu])
def test_the_kernel_flows_by_adaptive_quadrature(activation):
    flow = theory(WideNetwork(activation, 1.7, 0.2), 0.9, 4)
    assert flow.layer.tolist() == [1, 2, 3, 4] and flow.kernel[0] == 0.9
    K = 0.9
    for layer in range(1, 4):
        K = 0.2 + 1.7 * gaussian_mean(lambda z: activation(z) ** 2, K)
        assert flow.kernel[layer].item() == pytest.approx(K, rel=1e-10)


def test_flows_worked_out_before():
    flow = theory(WideNetwork(torch.tanh, 1.5, 0.1), 0.5, 6)
    assert flow.kernel[-1].item() == pytest.approx(0.51972452, abs=5e-9)
    assert flow.parallel[-1].item() == pytest.approx(0.47330201, abs=5e-9)
    assert theory(WideNetwork(torch.sin, 1), 0.8, 12).kernel[-1].item() == pytest.approx(
        0.07647865, abs=5e-9
    )


@pytest.mark.parametrize(
    "activation", SMOOTH + KINKED, ids=lambda f: getattr(f, "__name__", "leaky")
)
def test_the_parallel_susceptibility_is_the_derivative_of_a_step(activation):
    network, h = WideNetwork(activation, 1.3, 0.4), 1e-4
    rise = step(network, KERNELS * (1 + h)) - step(network, KERNELS * (1 - h))
    found = parallel(network, KERNELS)
    assert ((found - rise / (2 * h * KERNELS)).abs() < 1e-6).all()
    one = theory(network, KERNELS, 1)
    torch.testing.assert_close(one.parallel[:, 0], found)
    torch.testing.assert_close(one.perpendicular[:, 0], perpendicular(network, KERNELS))


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        (torch.tanh, lambda z: 1 - torch.tanh(z) ** 2),
        (torch.sin, torch.cos),
        (F.softplus, torch.sigmoid),
        (F.elu, lambda z: torch.exp(z.clamp(max=0))),
    ],
)
def test_the_perpendicular_susceptibility_averages_the_squared_slope(activation, slope):
    for K in (0.3, 5.0):
        expected = 1.3 * gaussian_mean(lambda z: slope(z) ** 2, K)
        found = perpendicular(WideNetwork(activation, 1.3), torch.tensor(K, dtype=torch.float64))
        assert found.item() == pytest.approx(expected, rel=1e-9)


def test_the_difference_of_the_susceptibilities_is_value_times_curvature():
    curvature = {
        torch.sin: lambda z: -torch.sin(z),
        torch.tanh: lambda z: -2 * torch.tanh(z) * (1 - torch.tanh(z) ** 2),
        F.softplus: lambda z: torch.sigmoid(z) * torch.sigmoid(-z),
    }
    for activation, second in curvature.items():
        network, K = WideNetwork(activation, 1.3), torch.tensor(0.8, dtype=torch.float64)
        expected = 1.3 * gaussian_mean(lambda z, s=activation, d=second: s(z) * d(z), 0.8)
        gap = parallel(network, K) - perpendicular(network, K)
        assert gap.item() == pytest.approx(expected, rel=1e-9)


def test_relu_is_exact():
    flow = theory(WideNetwork(torch.relu, torch.tensor([1.0, 2.0, 3.0]).double()), 0.7, 200)
    expected = 0.7 * torch.tensor([0.5, 1.0, 1.5]).double()[:, None] ** torch.arange(200)
    torch.testing.assert_close(flow.kernel, expected, rtol=1e-11, atol=0)
    for field in ("parallel", "perpendicular"):
        half = torch.tensor([0.5, 1.0, 1.5]).double()[:, None].expand(3, 200)
        torch.testing.assert_close(getattr(flow, field), half, rtol=1e-12, atol=0)
    biased = theory(WideNetwork(torch.relu, 2.0, 0.3), 0.7, 50).kernel
    torch.testing.assert_close(biased, 0.7 + 0.3 * torch.arange(50).double())


@pytest.mark.parametrize(
    ("activation", "kernel", "bias", "weight", "universality"),
    [
        (torch.relu, 1.0, 0.0, 2.0, "scale-invariant"),
        (lambda z: z, 1.0, 0.0, 1.0, "scale-invariant"),
        (torch.abs, 1.0, 0.0, 1.0, "scale-invariant"),
        (LeakyReLU(0.1), 1.0, 0.0, 2 / 1.01, "scale-invariant"),
        (torch.tanh, 0.0, 0.0, 1.0, "vanishing"),
        (torch.sin, 0.0, 0.0, 1.0, "vanishing"),
        (torch.erf, 0.0, 0.0, math.pi / 4, "vanishing"),
        (F.elu, 0.0, 0.0, 1.0, "vanishing"),
        (lambda z: torch.tanh(2 * z), 0.0, 0.0, 0.25, "vanishing"),
        (lambda z: torch.tanh(z / 1e4), 0.0, 0.0, 1e8, "vanishing"),  # linear up to a kernel of 1
        (F.gelu, (3 + math.sqrt(17)) / 2, 0.17292239, 1.98305826, "half-stable"),
        (F.silu, 14.32017362, 0.55514317, 1.98800468, "half-stable"),
    ],
)
def test_critical_points_to_eight_digits(activation, kernel, bias, weight, universality):
    point = critical_point(activation)
    assert point.universality == universality
    assert point.kernel == pytest.approx(kernel, abs=1e-8)
    assert point.bias_variance == pytest.approx(bias, abs=1e-8)
    assert point.weight_variance == pytest.approx(weight, abs=1e-8, rel=1e-12)


@pytest.mark.parametrize(
    "activation", [torch.relu, F.gelu, F.silu, F.mish, lambda z: F.gelu(3 * z)]
)
def test_at_a_critical_point_the_kernel_rests_and_both_susceptibilities_are_one(activation):
    point = critical_point(activation)
    network = WideNetwork(activation, point.weight_variance, point.bias_variance)
    flow = theory(network, point.kernel, 3)
    assert (flow.kernel - point.kernel).abs().max() < 1e-10 * point.kernel
    assert (flow.parallel - 1).abs().max() < 1e-10
    assert (flow.perpendicular - 1).abs().max() < 1e-10


def test_a_crossing_of_the_ratio_may_go_up():
    """tanh(z) + z^3 / 100 bends back near zero and up further out."""
    grid = torch.logspace(-3, 2, 100, dtype=torch.float64)
    unit = WideNetwork(lambda z: torch.tanh(z) + 0.01 * z**3, 1.0)
    excess = parallel(unit, grid) / perpendicular(unit, grid) - 1
    assert excess[0] < 0 < excess[-1]
    assert critical_point(unit.activation).universality == "vanishing"  # the kernel 0 comes first
    shifted = lambda z: torch.tanh(z) + 0.01 * z**3 + 0.02  # noqa: E731  where 0 is not fixed
    point = critical_point(shifted)
    assert point.universality == "half-stable" and point.bias_variance > 0
    flow = theory(WideNetwork(shifted, point.weight_variance, point.bias_variance), point.kernel, 2)
    assert (flow.kernel - point.kernel).abs().max() < 1e-10
    assert (flow.parallel - 1).abs().max() < 1e-10
    assert (flow.perpendicular - 1).abs().max() < 1e-10


@pytest.mark.parametrize(
    "activation",
    [
        *(torch.sigmoid, F.softplus, lambda z: z**3, torch.cos, lambda z: z + 1, F.logsigmoid),
        lambda z: 10 + z**2 * torch.exp(-(z**2) / 2),  # balanced at 1.67, but with C_b = -362
    ],
    ids=["sigmoid", "softplus", "cube", "cosine", "affine", "logsigmoid", "lifted"],
)
def test_no_critical_point_is_said_so(activation):
    with pytest.raises(ValueError, match="activation must have a critical point"):
        critical_point(activation)


def test_a_tilted_tanh_leaves_the_vanishing_class_at_two_ninths():
    def tilted(T):
        h = math.atanh(T)
        return lambda z: torch.tanh(z + h) - T

    edge = math.sqrt(2) / 3
    inside = critical_point(tilted(edge - 1e-3))
    assert inside.universality == "vanishing"
    assert inside.weight_variance == pytest.approx((1 - (edge - 1e-3) ** 2) ** -2, rel=1e-12)
    with pytest.raises(ValueError, match="critical point"):
        critical_point(tilted(edge + 1e-3))


def test_a_weak_bend_is_not_overlooked():
    """Averages are good to 1e-12: an activation bent by 1e-7 is not invariant under scale."""
    assert critical_point(lambda z: z + 1e-7 * z.sin()).universality == "vanishing"


def test_an_activation_that_jumps_is_refused():
    with pytest.raises(ValueError, match="must have a slope"):
        critical_point(torch.sign)


@pytest.mark.parametrize(("activation", "curvature"), [(F.gelu, -2.87216e-4), (F.silu, 5.69999e-6)])
def test_gelu_and_swish_have_a_double_zero(activation, curvature):
    point = critical_point(activation)
    network = WideNetwork(activation, point.weight_variance, point.bias_variance)
    K = point.kernel + 0.02 * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    change = step(network, K) - K
    assert change.sign().tolist() == [math.copysign(1, curvature)] * 2
    # the cubic term is odd, so that it drops out of the mean
    assert change.mean().item() == pytest.approx(curvature * 0.02**2 / 2, rel=1e-2)


@pytest.mark.parametrize(("activation", "rate"), [(torch.tanh, 2.0), (torch.sin, 1.0)])
def test_the_vanishing_class_decays_as_one_over_the_layer(activation, rate):
    flow = theory(WideNetwork(activation, 1.0), torch.tensor([0.5, 0.51]).double(), 1000)
    corrections = 0.01  # log(l) / l at 1000, with a prefactor of order one
    assert 1000 * rate * flow.kernel[0, -1].item() == pytest.approx(1.0, abs=corrections)
    late, later = 499, 999
    halving = math.log(2)
    difference = (flow.kernel[1] - flow.kernel[0])[[late, later]].log().diff().item()
    assert difference / halving == pytest.approx(-2.0, abs=0.02)
    across = flow.perpendicular[0, late:later].log().sum().item()
    assert across / halving == pytest.approx(-1.0, abs=0.02)


def test_elu_decays_as_one_over_the_layer_squared():
    flow = theory(WideNetwork(F.elu, 1.0), 1.0, 2000)
    rise = flow.kernel[[999, 1999]].rsqrt().diff().item() / 1000
    assert 1 / rise**2 == pytest.approx(2 * math.pi, rel=2e-3)


@pytest.mark.parametrize("susceptibility", [parallel, perpendicular])
def test_critical_lines_keep_the_kernel_and_make_one_susceptibility_one(susceptibility):
    K = torch.tensor([0.5, 2.0], dtype=torch.float64)
    bias, weight = marginal(F.gelu, K, susceptibility)
    network = WideNetwork(F.gelu, weight, bias)
    torch.testing.assert_close(step(network, K), K)
    torch.testing.assert_close(susceptibility(network, K), torch.ones(2).double())
    assert marginal(F.softplus, K, susceptibility)[0].max() < 0


def arc_cosine(c):
    """<relu u relu v> of unit variances, over its value at c = 1 (Cho & Saul 2009)."""
    return (math.sqrt(1 - c**2) + c * (math.pi - math.acos(c))) / math.pi


def test_the_overlap_of_relu_is_the_arc_cosine_kernel():
    found = overlap(WideNetwork(torch.relu, 2.0), 0.6, -0.3, 5)
    c = -0.3
    for layer in range(5):
        assert found[layer].item() == pytest.approx(c, abs=1e-11)
        c = arc_cosine(c)
    biased = overlap(WideNetwork(torch.relu, 2.0, 0.5), 0.6, 0.2, 2)[-1].item()
    assert biased == pytest.approx((0.5 + 0.6 * arc_cosine(0.2)) / 1.1, abs=1e-11)


def test_near_one_the_overlap_moves_by_the_perpendicular_susceptibility():
    network = WideNetwork(torch.tanh, 2.5, 0.05)
    K = theory(network, 1.0, 300).kernel[-1]
    for gap in (1e-4, 1e-5):
        mapped = overlap(network, K, 1 - gap, 2)[-1]
        slope = ((1 - mapped) / gap).item()
        assert slope == pytest.approx(perpendicular(network, K).item(), rel=10 * gap + 1e-6)
    starts = torch.tensor([0.2, 1.0], dtype=torch.float64)
    both = overlap(network, 1.0, starts, 3)
    assert both.shape == (2, 3) and both[:, 0].tolist() == starts.tolist()
    torch.testing.assert_close(both[1], torch.ones(3).double())


def worst(network, kernel, layers, seen):
    """Largest deviation of each field in standard errors."""
    exact = theory(network, kernel, layers)
    found = {name: mean(getattr(seen, name), axis=-2) for name in FIELDS}
    return {
        name: ((f.value - getattr(exact, name)) / f.error).abs().max().item()
        for name, f in found.items()
    }


def test_narrow_relu_networks_have_the_exact_means():
    """Unbiased at any width: half of all signs are positive, whatever the lengths."""
    network = WideNetwork(torch.relu, torch.tensor([1.5, 2.0]).double(), 0.2)
    seen = experiment(network, 0.9, 4, seed=1, width=20, members=2000)
    assert seen.kernel.shape == (2, 2000, 4) and seen.layer.tolist() == [1, 2, 3, 4]
    exact, kernel = theory(network, 0.9, 4), mean(seen.kernel, axis=-2)
    assert ((kernel.value - exact.kernel) / kernel.error).abs().max() < 4
    assert (kernel.error / exact.kernel).max() < 0.05
    homogeneous = WideNetwork(torch.relu, 2.0)  # with biases the two growth factors see the width
    seen = experiment(homogeneous, 0.9, 4, seed=1, width=20, members=2000)
    assert max(worst(homogeneous, 0.9, 4, seen).values()) < 4


@pytest.mark.parametrize(
    ("network", "first"),
    [
        (WideNetwork(torch.tanh, 1.0), 1.0),
        (WideNetwork(torch.tanh, 2.5, 0.2), 0.5),
        (WideNetwork(F.gelu, 1.98305826, 0.17292239), 2.0),
        (WideNetwork(torch.sigmoid, 6.0, 0.3), 1.0),
    ],
)
def test_networks_follow_the_theory_as_the_width_grows(network, first):
    pair = [experiment(network, first, 6, seed=n, width=n, members=300) for n in (32, 64)]
    exact = theory(network, first, 6)
    for name in FIELDS:
        narrow, wide = (mean(getattr(seen, name), axis=-2) for seen in pair)
        limit = 2 * wide - narrow  # 1/n extrapolated to 0
        # 18 numbers, each normal: one in a few hundred would pass 3.5
        assert ((limit.value - getattr(exact, name)) / limit.error).abs().max() < 3.5, name
        assert (limit.error / getattr(exact, name)).max() < 0.12, name


def test_the_scatter_of_the_first_layer_is_that_of_a_chi_square():
    seen = experiment(WideNetwork(torch.tanh, 1.0, 0.1), 0.8, 1, seed=3, width=50, members=2000)
    # a standard deviation from 2000 draws is good to 1.6 %; 5 of those
    assert seen.kernel.std().item() == pytest.approx(0.8 * math.sqrt(2 / 50), rel=0.08)


def test_networks_of_a_batch_share_their_weights_and_deeper_ones_their_layers():
    weight = torch.tensor([0.8, 2.0], dtype=torch.float64)
    options = {"seed": 5, "width": 8, "members": 3}
    both = experiment(WideNetwork(torch.tanh, weight, 0.1), 1.0, 4, **options)
    for k in range(2):
        alone = experiment(WideNetwork(torch.tanh, weight[k].item(), 0.1), 1.0, 3, **options)
        for name in FIELDS:
            torch.testing.assert_close(getattr(both, name)[k, :, :3], getattr(alone, name))
    other = experiment(WideNetwork(torch.tanh, weight, 0.1), 1.0, 4, **options | {"seed": 6})
    assert ((other.kernel - both.kernel).abs() > 1e-3).all()


def test_a_batch_of_theories_is_its_members():
    weight = torch.tensor([[0.8], [2.0]], dtype=torch.float64)
    first = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    flow = theory(WideNetwork(torch.tanh, weight, 0.1), first, 5)
    assert flow.kernel.shape == (2, 3, 5)
    alone = theory(WideNetwork(torch.tanh, 2.0, 0.1), 0.5, 5)
    for name in FIELDS:
        torch.testing.assert_close(getattr(flow, name)[1, 0], getattr(alone, name))


def test_results_live_where_the_model_lives(device):
    network = WideNetwork(torch.tanh, torch.tensor([1.0, 2.0], device=device), 0.1)
    flow = theory(network, 0.5, 3)
    seen = experiment(network, 0.5, 3, seed=0, width=4, members=2)
    for record in (flow, seen):
        assert record.kernel.device == record.layer.device == network.weight_variance.device
        assert record.kernel.dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"weight_variance": 0.0}, "weight_variance must be positive, got 0"),
        ({"weight_variance": float("inf")}, "weight_variance must be positive, got inf"),
        ({"bias_variance": -0.1}, "bias_variance must be non-negative, got -0.1"),
        ({"bias_variance": float("nan")}, "bias_variance must be a number, got NaN"),
        ({"activation": "tanh"}, "activation must be a function or None, got 'tanh'"),
    ],
)
def test_impossible_networks_are_refused(change, what):
    with pytest.raises(ValueError, match=what):
        WideNetwork(**{"activation": torch.tanh, "weight_variance": 1.0, **change})


def test_impossible_requests_are_refused():
    network = WideNetwork(torch.tanh, 1.0, 0.1)
    sizes = {"seed": 0, "width": 4, "members": 2}
    with pytest.raises(ValueError, match="kernel must be positive, got 0"):
        theory(network, 0.0, 3)
    with pytest.raises(ValueError, match="leading axes must fit each other"):
        theory(WideNetwork(torch.tanh, torch.ones(2)), torch.ones(3), 4)
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        theory(network, 1.0, 0)
    with pytest.raises(ValueError, match="start must be in"):
        overlap(network, 1.0, 1.5, 3)
    with pytest.raises(ValueError, match="above bias_variance, got 0.05:"):
        experiment(network, 0.05, 3, **sizes)
    with pytest.raises(ValueError, match="members must be at least 1, got 0"):
        experiment(network, 1.0, 3, **sizes | {"members": 0})
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        experiment(network, 1.0, 3, **sizes | {"width": 0})
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        experiment(network, 1.0, 0, **sizes)


def test_kernels_beyond_the_doubles_are_an_error_and_not_a_number():
    for weight in (1e-3, 1e3):
        with pytest.raises(FloatingPointError, match="take fewer layers"):
            theory(WideNetwork(torch.relu, torch.tensor([2.0, weight])), 1.0, 400)
    with pytest.raises(FloatingPointError, match="in layer 5"):
        theory(WideNetwork(lambda z: z**3, 1e3), 1e3, 20)
    with pytest.raises(FloatingPointError, match="finite and alive"):
        experiment(WideNetwork(torch.relu, 2.0), 1.0, 12, seed=0, width=1, members=2)


def test_the_textbook_quadrature_agrees():
    """Gauss-Hermite, fine for a smooth activation at small variance."""
    node, weight = np.polynomial.hermite_e.hermegauss(120)
    power = (weight * np.tanh(np.sqrt(0.5) * node) ** 2).sum() / np.sqrt(2 * np.pi)
    found = step(WideNetwork(torch.tanh, 1.5, 0.1), torch.tensor(0.5, dtype=torch.float64))
    assert found.item() == pytest.approx(0.1 + 1.5 * power, rel=1e-9)


# ---- draws that must be fresh --------------------------------------------------------------------


def test_networks_are_those_of_their_draws():
    """Layer by layer in plain matrices: no unit, member or layer shares what should be its own."""
    n, layers, first = 4, 3, torch.tensor([(2 * (0.8 - 0.1) / 1.7) ** 0.5, 0.0]).double()
    seen = experiment(WideNetwork(torch.tanh, 1.7, 0.1), 0.8, layers, seed=2, width=n, members=3)
    offsets = 0.1**0.5 * draws.normal(2, "biases", 3, (layers + 1, 1, n))[:, :, 0]

    def sent(layer, signal):
        W = draws.normal(2, f"layer {layer}", 3, (n, signal.shape[-1]))
        return (W @ signal[..., None])[..., 0] * (1.7 / signal.shape[-1]) ** 0.5

    z = sent(0, first.expand(3, 2)) + offsets[:, 0]
    for layer in range(1, layers + 1):
        after = sent(layer, z.tanh()) + offsets[:, layer]
        stretched = after * sent(layer, (1 - z.tanh() ** 2) * z)  # half the change of after^2
        kernel = z.square().mean(-1)
        torch.testing.assert_close(seen.kernel[:, layer - 1], kernel)
        torch.testing.assert_close(seen.parallel[:, layer - 1], stretched.mean(-1) / kernel)
        z = after


# ---- what people type ----------------------------------------------------------------------------


def test_lists_arrays_and_whole_numbers_are_taken():
    exact = theory(WideNetwork(torch.tanh, torch.tensor([1.0, 2.0]).double(), 0.1), 1.0, 3).kernel
    for weight in ([1, 2], np.array([1.0, 2.0]), torch.tensor([1, 2])):
        found = theory(WideNetwork(torch.tanh, weight, 0.1), 1, np.int64(3)).kernel
        torch.testing.assert_close(found, exact)
    network = WideNetwork(torch.tanh, np.float64(1.0))
    for seed in (np.int64(3), torch.tensor(3)):
        seen = experiment(network, [1.0], 2, seed=seed, width=np.int64(4), members=2)
        assert torch.equal(
            seen.kernel, experiment(network, [1], 2, seed=3, width=4, members=2).kernel
        )


def test_activations_that_work_in_place_are_not_taken_for_others():
    for own, inplace in ((F.elu, torch.nn.ELU(inplace=True)), (torch.tanh, torch.tanh_)):
        options = {"seed": 0, "width": 6, "members": 2}
        networks = [WideNetwork(activation, 1.5, 0.1) for activation in (own, inplace)]
        one, other = (theory(network, 0.7, 4) for network in networks)
        seen, too = (experiment(network, 0.7, 4, **options) for network in networks)
        for name in FIELDS:
            torch.testing.assert_close(getattr(other, name), getattr(one, name))
            torch.testing.assert_close(getattr(too, name), getattr(seen, name))
        assert critical_point(inplace) == critical_point(own)
        K = torch.tensor([0.7]).double()
        torch.testing.assert_close(marginal(inplace, K, parallel), marginal(own, K, parallel))


@pytest.mark.parametrize("kernel", [0.0, -1.0, float("inf")])
def test_a_signal_without_strength_has_no_susceptibility(kernel):
    for susceptibility in (parallel, perpendicular):
        with pytest.raises(ValueError, match="kernel must be positive, got"):
            susceptibility(WideNetwork(torch.tanh, 1.0), torch.tensor(kernel))
    with pytest.raises(ValueError, match="kernel must"):
        step(WideNetwork(torch.tanh, 1.0), torch.tensor(-1.0))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_flow_of_relu_has_no_scale(scale):
    flow = theory(WideNetwork(torch.relu, 2.0, 0.1 * scale), 0.7 * scale, 4)
    torch.testing.assert_close(flow.kernel / scale, 0.7 + 0.1 * torch.arange(4).double())
    torch.testing.assert_close(flow.parallel, torch.ones(4).double())


# ---- training ------------------------------------------------------------------------------------


TURN = 2 * math.pi * torch.tensor([0, 2, 4, 1, 3]).double() / 5
CIRCLE = Lesson(torch.stack([TURN.cos(), TURN.sin()], -1), TURN.cos(), learned=3)


def at_rest(weight):
    network = WideNetwork(torch.tanh, torch.tensor(weight).double(), 0.05)
    return network, theory(network, 1.0, 400).kernel[..., -1]


def inputs_of(network, kernel, lesson):
    length = (2 * (kernel - network.bias_variance) / network.weight_variance).sqrt()
    return length[..., None, None] * lesson.direction


def test_resting_kernels_are_wide_kernels():
    network, K = at_rest([0.7, 2.5])
    x = inputs_of(network, K, CIRCLE)
    cosine = CIRCLE.direction @ CIRCLE.direction.mT
    found = resting_kernels(network, K, cosine.clamp(-1, 1), 4)
    for depth in (1, 4):
        whole = wide_kernels(x, torch.tanh, depth - 1, network.weight_variance, 0.05)
        for mine, other in zip(found, whole, strict=True):
            assert mine.shape == (2, 4, 5, 5)
            torch.testing.assert_close(mine[:, depth - 1], other, atol=1e-5, rtol=1e-5)


def test_lazy_training_is_gradient_descent_of_gaussian_residuals():
    """Step by step, with outputs before training drawn many times."""
    network, K = at_rest([1.4])
    steps, layers = 7, 3
    found = lazy_training(network, K, CIRCLE, layers, steps)
    cosine = (CIRCLE.direction @ CIRCLE.direction.mT).clamp(-1, 1)
    nngp, tangent = (part[0, -1] for part in resting_kernels(network, K, cosine, layers))
    rate = training_rate(network, K, CIRCLE, layers)[0, -1]
    torch.testing.assert_close(rate, 3 / torch.linalg.eigvalsh(tangent[:3, :3])[-1])
    start = (
        draws.normal(1, "outputs", 20000, (5,))
        @ torch.linalg.cholesky(nngp + 1e-12 * torch.eye(5)).mT
    )
    residual = start - CIRCLE.label
    for _ in range(steps):
        residual = residual - rate / 3 * residual[:, :3] @ tangent[:3]
    for part, loss in ((slice(0, 3), found.loss), (slice(3, 5), found.new_loss)):
        seen = mean(residual[:, part].square().mean(-1) / 2, 0)
        assert abs(seen.value - loss[0, -1]) < 4 * seen.error
        assert seen.error < 0.05 * loss[0, -1]


def test_wide_networks_train_as_the_lazy_limit_says():
    network, K = at_rest([1.4, 2.5])
    expected = lazy_training(network, K, CIRCLE, 3, 12)
    rate = training_rate(network, K, CIRCLE, 3)[:, -1]
    seen = real_training(network, K, CIRCLE, 3, 12, rate=rate, seed=2, width=400, members=60)
    assert seen.loss.shape == (2, 60) and seen.loss.dtype == torch.float64
    for name in ("loss", "new_loss"):
        found = mean(getattr(seen, name), -1)
        # 0.02: at a width of 400 the weights have moved by a twentieth
        gap = (found.value - getattr(expected, name)[:, -1]).abs()
        assert (gap < 4 * found.error + 0.02 * CIRCLE.label.square().mean()).all(), name


def test_trained_networks_are_those_of_their_draws():
    """One step of two layers, in plain matrices and by autograd."""
    network, K = at_rest([1.4])
    n, rate = 6, 0.3
    seen = real_training(network, K, CIRCLE, 2, 1, rate=rate, seed=3, width=n, members=2)
    x = inputs_of(network, K, CIRCLE)[0]
    for member in range(2):
        W, b = (
            [
                draws.normal(3, f"{kind} {k}", 2, shape)[member].requires_grad_()
                for k, shape in pairs
            ]
            for kind, pairs in (
                ("layer", enumerate([(n, 2), (1, n)])),
                ("biases", enumerate([(1, n), (1, 1)])),
            )
        )

        def outputs(W, b):
            z = (1.4 / 2) ** 0.5 * x @ W[0].mT + 0.05**0.5 * b[0]
            return ((1.4 / n) ** 0.5 * z.tanh() @ W[1].mT + 0.05**0.5 * b[1])[:, 0]

        loss = (outputs(W, b) - CIRCLE.label)[:3].square().mean() / 2
        slopes = torch.autograd.grad(loss, [*W, *b])
        moved = [p - rate * s for p, s in zip([*W, *b], slopes, strict=True)]
        error = (outputs(moved[:2], moved[2:]) - CIRCLE.label).square() / 2
        assert seen.loss[0, member].item() == pytest.approx(error[:3].mean().item(), rel=1e-5)
        assert seen.new_loss[0, member].item() == pytest.approx(error[3:].mean().item(), rel=1e-5)


def test_the_depth_that_can_be_trained_is_a_number_of_correlation_lengths():
    """x - ln x = ln t + const, x = depth / xi: order from 1.2 to 7.8 layers."""
    network, K = at_rest([0.5, 1.0, 1.3])
    xi = -1 / perpendicular(network, K).log()
    turn = math.pi * torch.arange(16).reshape(8, 2).mT.flatten().double() / 8
    lesson = Lesson(torch.stack([turn.cos(), turn.sin()], -1), 2**0.5 * turn.cos(), learned=8)
    reach = []
    for steps in (64, 6400):
        loss = lazy_training(network, K, lesson, 120, steps).loss
        reach.append((loss < 0.25).sum(-1) / xi)  # to a layer, which is 1 / xi
    assert ((reach[0] - 6.0).abs() < 0.5 + 1 / xi).all()
    change = (reach[1] - reach[1].log()) - (reach[0] - reach[0].log())
    assert ((change - math.log(100)).abs() < 1 / xi).all()


def test_lessons_and_kernels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="direction must be of length 1, got 2"):
        Lesson(2 * CIRCLE.direction, CIRCLE.label, 3)
    for learned in (0, 5):
        with pytest.raises(ValueError, match=f"learned must leave samples .* got {learned} of 5"):
            Lesson(CIRCLE.direction, CIRCLE.label, learned)
    network, K = at_rest([1.4])
    with pytest.raises(ValueError, match="kernel must be a fixed point"):
        lazy_training(network, 2 * K, CIRCLE, 3, 4)
    with pytest.raises(ValueError, match="cosine must be in"):
        resting_kernels(network, K, torch.tensor([[1.5]]).double(), 3)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        lazy_training(network, K, CIRCLE, 3, 0)
    with pytest.raises(ValueError, match="above bias_variance"):
        real_training(network, 0.01, CIRCLE, 3, 4, rate=0.1, seed=0, width=4, members=2)
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        real_training(network, K, CIRCLE, 0, 4, rate=0.1, seed=0, width=4, members=2)


def test_the_second_solution_of_gelu_repels():
    """K* = 0, C_b = 0, C_W = 4 solves the equations too, with a_1 > 0."""
    for activation, rate in ((F.gelu, 6 / math.pi), (F.silu, 0.75)):
        network, K = WideNetwork(activation, 4.0), torch.tensor(1e-4).double()
        assert perpendicular(network, K).item() == pytest.approx(1, abs=1e-3)
        assert parallel(network, K).item() == pytest.approx(1, abs=1e-3)
        assert ((step(network, K) - K) / K**2).item() == pytest.approx(rate, rel=2e-3)


@pytest.mark.parametrize(
    ("activation", "scale", "standard"),
    [(F.gelu, 1.709, 0.304), (F.silu, 6.924, 0.0218), (F.mish, 0.783, 1.896)],
)
def test_inputs_of_the_right_length_are_critical_and_standardised_ones_are_not(
    activation, scale, standard
):
    point = critical_point(activation)
    network = WideNetwork(activation, point.weight_variance, point.bias_variance)
    found = (point.kernel - point.bias_variance) / point.weight_variance
    assert found == pytest.approx(scale, abs=5e-4)
    grown = theory(network, point.bias_variance + point.weight_variance, 50).perpendicular.prod()
    assert grown.item() == pytest.approx(standard, rel=2e-3)


def test_chaos_next_to_the_critical_point_is_quiet():
    """chi_perp = 1 + epsilon^2 / 3 for tanh without biases."""
    gap = torch.tensor([0.01, 0.02]).double()
    network = WideNetwork(torch.tanh, 1 + gap)
    chi = perpendicular(network, theory(network, 1.0, 4000).kernel[:, -1])
    slope = (chi - 1) / gap**2
    assert (2 * slope[0] - slope[1]).item() == pytest.approx(1 / 3, rel=5e-3)
