"""Claims of chapters/finite_width.md, one test per claim."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import binom, digamma, polygamma

from toymodels import finite_width, signal_propagation
from toymodels.finite_width import (
    FiniteWidth,
    experiment,
    log_norm_moments,
    metric,
    metric_moment,
    mutual_information,
    optimal_aspect_ratio,
    theory,
    vertex_rate,
)
from toymodels.networks.activation import LeakyReLU
from toymodels.numerics import draws, mean

F = torch.nn.functional
FIELDS = ("kernel", "vertex", "correction")
DOUBLE = torch.float64


def gaussian_mean(function, variance):
    """By adaptive quadrature in NumPy numbers, each half line by itself."""

    def density(z):
        value = function(torch.tensor(z, dtype=DOUBLE)).item()
        return value * math.exp(-z * z / 2 / variance) / math.sqrt(2 * math.pi * variance)

    reach = 12 * math.sqrt(variance)
    return sum(
        quad(density, *half, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
        for half in ((-reach, 0.0), (0.0, reach))
    )


# ---- theory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "weight", "bias"), [(torch.tanh, 1.5, 0.1), (F.gelu, 1.9, 0.3), (F.elu, 1, 0)]
)
def test_vertex_and_correction_by_adaptive_quadrature(activation, weight, bias):
    found = theory(FiniteWidth(activation, weight, bias), 0.9, 4)
    K, V, G = 0.9, 0.0, 0.0
    for layer in range(4):
        for field, value in zip(FIELDS, (K, V, G), strict=True):
            assert getattr(found, field)[layer].item() == pytest.approx(value, rel=1e-9, abs=1e-12)

        def moment(function, K=K):
            return gaussian_mean(lambda z: activation(z) ** 2 * function(z), K)

        square = moment(lambda z: 1.0)
        chi = weight * moment(lambda z: z**2 - K) / (2 * K**2)  # noqa: B023
        bent = weight * moment(lambda z: z**4 - 6 * K * z**2 + 3 * K**2) / (4 * K**4)  # noqa: B023
        spread = weight**2 * (moment(lambda z: activation(z) ** 2) - square**2)
        K, V, G = bias + weight * square, spread + chi**2 * V, chi * G + bent * V / 2


def test_numbers_worked_out_before():
    flow = theory(FiniteWidth(torch.tanh, 1.0), 1.0, 10)
    assert flow.layer.tolist() == list(range(1, 11))
    assert flow.kernel[-1].item() == pytest.approx(0.05801185, abs=5e-9)
    assert flow.vertex[-1].item() == pytest.approx(0.01858873, abs=5e-9)
    assert flow.correction[-1].item() == pytest.approx(-0.10713375, abs=5e-9)
    deep = theory(FiniteWidth(torch.tanh, 1.0), 1.0, 2000)
    assert (deep.vertex / deep.kernel**2)[-1].item() / 2000 == pytest.approx(0.6653, abs=5e-5)


@pytest.mark.parametrize(
    ("activation", "weight", "rate"),
    [(None, 1.0, 2.0), (torch.relu, 2.0, 5.0), (torch.abs, 1.0, 2.0)],
)
def test_scale_invariant_vertices_grow_by_the_same_in_each_layer(activation, weight, rate):
    flow = theory(FiniteWidth(activation, weight), torch.tensor([0.3, 7.0]).double(), 12)
    expected = rate * torch.arange(12) * torch.tensor([0.3, 7.0])[:, None] ** 2
    torch.testing.assert_close(flow.vertex, expected.double(), rtol=1e-6, atol=1e-12)
    assert (flow.correction.abs() < 1e-12).all()
    assert vertex_rate(activation) == pytest.approx(rate, rel=1e-12)


def test_the_kernel_is_that_of_signal_propagation():
    weight = torch.tensor([0.8, 2.0], dtype=DOUBLE)
    found = theory(FiniteWidth(torch.tanh, weight, 0.1, width=3), 0.7, 6).kernel
    wide = signal_propagation.WideNetwork(torch.tanh, weight, 0.1)
    torch.testing.assert_close(found, signal_propagation.theory(wide, 0.7, 6).kernel)


@pytest.mark.parametrize("skip", [0.5, 0.95])
def test_a_linear_skip_is_solved(skip):
    """Each layer brings 2 (1 - skip^4) K^2 and no correction."""
    flow = theory(FiniteWidth(None, 1 - skip**2, skip=skip), 0.5, 6)
    expected = 2 * (1 - skip**4) * torch.arange(6, dtype=DOUBLE) * 0.25
    torch.testing.assert_close(flow.vertex, expected)
    assert (flow.correction.abs() < 1e-12).all()
    torch.testing.assert_close(flow.kernel, torch.full((6,), 0.5, dtype=DOUBLE))


def half_moment(power):
    """<z^power> over the positive half of a standard normal variable."""
    return quad(lambda z: z**power * math.exp(-z * z / 2) / math.sqrt(2 * math.pi), 0, 14)[0]


def test_a_skip_of_relu_hands_on_all_orders_of_the_vertex():
    """Written out for the first three orders: the third one is of the size of two per cent."""
    skip, layers = 0.8, 4
    weight = 2 * (1 - skip**2)
    s1 = half_moment(3)
    s2 = (half_moment(4) - half_moment(2)) / 2**0.5
    s3 = (half_moment(5) - 3 * half_moment(3)) / 6**0.5
    spread = half_moment(4) - half_moment(2) ** 2
    q1 = q2 = q3 = 0.0  # n Cov(h_2(z_i), h_a(z_j))
    for _ in range(layers - 1):
        whole = s2 + s1 * q1 + s2 * q2 + s3 * q3
        variance = spread + 2 * s2 * (s1 * q1 + s3 * q3) + s2**2 * q2
        q1, q2, q3 = (
            skip**3 * q1 + skip * weight * (s1 + s2 * q1) / 2**0.5,
            skip**4 * q2 + 2**0.5 * skip**2 * weight * whole + weight**2 * variance / 2,
            skip**5 * q3 + skip**3 * weight * (s3 + s2 * q3) / 2**0.5,
        )
    found = theory(FiniteWidth(torch.relu, weight, skip=skip), 1.0, layers).vertex[-1].item()
    assert found == pytest.approx(2 * q2, rel=1e-3)  # orders 5, 7, ... are left out
    assert found > 2 * q2


def test_a_batch_of_theories_is_its_members():
    weight = torch.tensor([[0.8], [2.0]], dtype=DOUBLE)
    skip, first = torch.tensor([0.0, 0.4, 0.8]).double(), torch.tensor([0.5, 1.0, 2.0]).double()
    flow = theory(FiniteWidth(torch.tanh, weight, 0.1, skip=skip), first, 5)
    assert flow.vertex.shape == (2, 3, 5)
    for k in (0, 2):
        alone = FiniteWidth(torch.tanh, 2.0, 0.1, skip=skip[k].item())
        alone = theory(alone, first[k].item(), 5)
        for name in FIELDS:
            torch.testing.assert_close(getattr(flow, name)[1, k], getattr(alone, name))


def test_enough_orders_are_kept():
    models = [
        FiniteWidth(activation, weight * (1 - 0.9**2), skip=0.9)
        for activation, weight in ((torch.relu, 2), (torch.tanh, 1))
    ]
    few = [theory(model, 1.0, 12) for model in models]
    for less, model in zip(few, models, strict=True):
        more = theory(model, 1.0, 12, orders=96)
        torch.testing.assert_close(less.vertex, more.vertex, rtol=1e-6, atol=0)
        torch.testing.assert_close(less.correction, more.correction, rtol=1e-5, atol=1e-9)


# ---- networks against theory ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "first"),
    [
        (FiniteWidth(torch.tanh, 1.0), 1.0),
        (FiniteWidth(torch.tanh, 2.5, 0.2), 0.5),
        (FiniteWidth(F.gelu, 1.98305826, 0.17292239), 3.0),
        (FiniteWidth(torch.relu, 2 * 0.36, skip=0.8), 1.0),
        (FiniteWidth(torch.tanh, 0.7, 0.1, skip=0.6), 0.8),
    ],
)
def test_networks_follow_the_theory_as_the_width_grows(model, first):
    layers, exact = 5, theory(model, first, 5)
    pair = [
        experiment(
            FiniteWidth(
                model.activation, model.weight_variance, model.bias_variance, n, model.skip
            ),
            first,
            layers,
            seed=n,
            members=30000,
        )  # fmt: skip
        for n in (24, 48)
    ]
    for name, start in (("kernel", 1), ("vertex", 1), ("correction", 2)):
        narrow, wide = (mean(getattr(seen, name)[:, start:], axis=-2) for seen in pair)
        limit = 2 * wide - narrow  # 1/n extrapolated to 0
        worst = (limit.value - getattr(exact, name)[start:]).abs() / limit.error
        assert worst.max() < 4, name
        if model.activation is not F.gelu:  # whose correction at its critical kernel is small
            relative = limit.error / getattr(exact, name)[start:].abs()
            assert relative.max() < {"kernel": 0.01, "vertex": 0.08, "correction": 0.35}[name]


def test_the_vertex_of_tanh_is_met_within_two_per_cent():
    pair = [
        metric(FiniteWidth(torch.tanh, 1.0, width=n), 1.0, 8, seed=n, members=200000)
        for n in (16, 32)
    ]
    vertex = [n * G[:, 1:].var(0) for n, G in zip((16, 32), pair, strict=True)]
    limit = 2 * vertex[1] - vertex[0]
    exact = theory(FiniteWidth(torch.tanh, 1.0), 1.0, 8).vertex[1:]
    assert ((limit / exact - 1).abs() < 0.025).all()
    assert (vertex[0] / exact - 1)[-1] < -0.04  # which is why one extrapolates


@pytest.mark.parametrize(("activation", "weight", "rate"), [(None, 1, 2), (torch.relu, 2, 5)])
def test_scale_invariant_networks_have_the_exact_moments_at_small_width(activation, weight, rate):
    n, layers = 10, 5
    G = metric(FiniteWidth(activation, weight, width=n), 1.0, layers, seed=3, members=40000)
    for order in (1, 2):
        found = mean(G[:, 1:] ** order, 0)
        exact = metric_moment(activation, n, layers, order)[1:]
        assert ((found.value - exact) / found.error).abs().max() < 4
    torch.testing.assert_close(
        metric_moment(activation, n, layers, 2), (1 + rate / n) ** torch.arange(layers).double()
    )


def test_real_networks_have_the_fluctuations_of_the_metric():
    """Matrices of weights, by ``signal_propagation``: mean squares of units scatter as well."""
    n, layers = 24, 4
    wide = signal_propagation.WideNetwork(torch.tanh, 1.5, 0.1)
    real = signal_propagation.experiment(wide, 0.8, layers, seed=1, width=n, members=6000).kernel
    G = metric(FiniteWidth(torch.tanh, 1.5, 0.1, n), 0.8, layers, seed=2, members=60000)
    one, other = mean(real, 0), mean(G[:, 1:], 0)
    assert ((one.value[1:] - other.value) / (one.error[1:] ** 2 + other.error**2) ** 0.5).abs(
    ).max() < 4  # fmt: skip
    expected = G.var(0) + 2 / n * (G**2).mean(0)
    square = mean((real - real.mean(0)) ** 2, 0)
    assert ((square.value - expected) / square.error).abs().max() < 4
    assert (square.error / expected).max() < 0.04
    blind = 2 / n * (G**2).mean(0)  # without fluctuations of the metric
    assert ((square.value - blind) / square.error)[1:].abs().min() > 4


# ---- the experiment is what it says --------------------------------------------------------------


def plain_network(model, first, g):
    """One network, unit by unit; g (layer, unit). Conditional mean squares of units, per layer."""
    z, seen = math.sqrt(first) * g[0], [torch.full_like(g[0], first)]
    for fresh in [*g[1:], None]:
        G = model.bias_variance + model.weight_variance * (model.activation(z) ** 2).mean()
        seen.append(model.skip**2 * z**2 + G)
        if fresh is not None:
            z = model.skip * z + G.sqrt() * fresh
    return torch.stack(seen)


@pytest.mark.parametrize("skip", [0.0, 0.7])
def test_networks_are_those_of_their_draws(skip):
    n, layers = 3, 4
    model = FiniteWidth(torch.tanh, 1.3, 0.2, n, skip)
    seen = experiment(model, 0.9, layers, seed=5, members=2)
    g = draws.normal(5, "units", 2, (layers - 1, 2 * n))
    for member in range(2):
        one, other, both = (
            plain_network(model, 0.9, part)
            for part in (g[member, :, :n], g[member, :, n:], g[member])
        )
        means = [y.mean(-1) for y in (one, other, both)]
        middle = (means[0] + means[1]) / 2
        torch.testing.assert_close(seen.kernel[member], middle)
        torch.testing.assert_close(seen.correction[member], 2 * n * (middle - means[2]))
        pairs = [
            sum(y[:, i] * y[:, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
            for y in (one, other)
        ]
        vertex = n * (sum(pairs) / 2 - means[0] * means[1])
        torch.testing.assert_close(seen.vertex[member], vertex, atol=1e-12, rtol=1e-9)
    h = draws.normal(5, "units", 2, (layers - 1, n))
    G = metric(model, 0.9, layers, seed=5, members=2)
    torch.testing.assert_close(G[1], plain_network(model, 0.9, h[1]).mean(-1))


def test_members_do_not_depend_on_their_company(monkeypatch):
    model = FiniteWidth(torch.relu, torch.tensor([1.5, 2.0]).double(), 0.1, 6)
    whole = metric(model, 1.0, 5, seed=1, members=7)
    pieces = experiment(model, 1.0, 5, seed=1, members=7)
    assert whole.shape == (2, 7, 5)
    monkeypatch.setattr(finite_width, "CHUNK", 60)
    torch.testing.assert_close(metric(model, 1.0, 5, seed=1, members=7), whole)
    torch.testing.assert_close(metric(model, 1.0, 5, seed=1, members=2), whole[:, :2])
    torch.testing.assert_close(metric(model, 1.0, 3, seed=1, members=7), whole[..., :3])
    for name in FIELDS:
        again = getattr(experiment(model, 1.0, 5, seed=1, members=7), name)
        torch.testing.assert_close(again, getattr(pieces, name))
    other = metric(model, 1.0, 5, seed=2, members=7)
    assert ((other - whole)[..., 1:].abs() > 1e-6).all()


def test_the_first_layer_is_gaussian():
    model = FiniteWidth(torch.tanh, 1.0, width=4)
    for seen in (theory(model, 0.6, 1), experiment(model, 0.6, 1, seed=0, members=3)):
        assert (seen.kernel == 0.6).all() and seen.kernel.shape[-1] == 1
        assert (seen.vertex == 0).all() and (seen.correction == 0).all()
    assert (metric(model, 0.6, 1, seed=0, members=3) == 0.6).all()


def test_dead_networks_stay_dead():
    n, layers = 3, 12
    G = metric(FiniteWidth(torch.relu, 2.0, width=n), 1.0, layers, seed=0, members=4000)
    dead = (G == 0).double().mean(0)
    expected = 1 - (1 - log_norm_moments(torch.relu, n).dead) ** torch.arange(layers)
    error = (expected * (1 - expected) / 4000).sqrt()[1:]
    assert ((dead - expected)[1:] / error).abs().max() < 4


def test_results_live_where_the_model_lives(device):
    weight = torch.tensor([1.0, 2.0], device=device)
    model = FiniteWidth(torch.tanh, weight, 0.1, 4, skip=0.5)
    records = theory(model, 0.5, 3), experiment(model, 0.5, 3, seed=0, members=2)
    for record in records:
        for value in (record.layer, record.vertex, record.correction):
            assert value.device == weight.device
        assert record.kernel.dtype == DOUBLE
    G = metric(model, 0.5, 3, seed=0, members=4)
    assert mutual_information(G[..., -1], 2).device == G.device == weight.device


# ---- logarithms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 12, 20, 500])
def test_linear_logarithms_are_digammas(n):
    found = log_norm_moments(None, n)
    assert found.mean == pytest.approx(digamma(n / 2) - math.log(n / 2), rel=1e-10)
    assert found.variance == pytest.approx(float(polygamma(1, n / 2)), rel=1e-10)
    assert found.dead == 0


@pytest.mark.parametrize("n", [1, 3, 12, 20])
def test_relu_logarithms_are_a_mixture(n):
    k = np.arange(1, n + 1)
    share = binom(n, k) / binom(n, k).sum()
    each = digamma(k / 2) + math.log(2 * 2 / n)
    average = (share * each).sum()
    spread = (share * (polygamma(1, k / 2) + (each - average) ** 2)).sum()
    found = log_norm_moments(torch.relu, n)
    assert found.mean == pytest.approx(average, rel=1e-10)
    assert found.variance == pytest.approx(spread, rel=1e-10)
    assert found.dead == 2.0**-n


def test_wide_logarithms_follow_the_vertex():
    for activation in (None, torch.relu, LeakyReLU(0.3)):
        found, rate = log_norm_moments(activation, 10**5), vertex_rate(activation)
        assert found.mean * 1e5 == pytest.approx(-rate / 2, rel=1e-3)
        assert found.variance * 1e5 == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize(
    ("activation", "weight"), [(None, 1.0), (torch.relu, 2.0), (LeakyReLU(0.3), 2 / 1.09)]
)
def test_norms_are_log_normal(activation, weight):
    """Sixty layers of twenty units: mean and variance of the logarithm, and hardly a skewness."""
    n, depth = 20, 60
    step = log_norm_moments(activation, n)
    model = FiniteWidth(activation, weight, width=n)
    G = metric(model, 1.0, depth + 1, seed=4, members=6000)[:, -1]
    log_G = G[G > 0].log()
    found = mean(log_G, 0)
    assert abs(found.value - depth * step.mean) < 4 * found.error
    gap = (log_G - log_G.mean()) / log_G.std()
    spread = mean((log_G - log_G.mean()) ** 2, 0)
    assert abs(spread.value - depth * step.variance) < 4 * spread.error
    assert abs((gap**3).mean()) < 0.3 and abs((gap**4).mean() - 3) < 0.4


def test_moments_of_the_metric_at_any_order():
    for n in (1, 3, 20):
        for order in (0, 1, 2, 3, 4):
            linear = math.prod(1 + 2 * j / n for j in range(order))
            found = metric_moment(None, n, 4, order)
            torch.testing.assert_close(found, linear ** torch.arange(4).double())
    k = torch.arange(0, 7)  # ReLU: of n units k are positive
    share = torch.tensor([binom(6, int(j)) for j in k]).double() / 2**6
    third = (share * k * (k + 2) * (k + 4)).sum() * (2 / 6) ** 3
    assert metric_moment(torch.relu, 6, 2, 3)[-1].item() == pytest.approx(third.item())


@pytest.mark.parametrize(
    ("activation", "rate"),
    [
        (LeakyReLU(0.5), 6 * (1 + 0.5**4) / 1.25**2 - 1),
        (torch.tanh, 2 / 3),
        (torch.sin, 2 / 3),
        (F.elu, 2 / 3),
        (F.gelu, 4.904226),
        (F.silu, 4.923187),
    ],
)
def test_the_vertex_grows_at_the_rate_of_its_class(activation, rate):
    assert vertex_rate(activation) == pytest.approx(rate, rel=1e-6)
    point = signal_propagation.critical_point(activation)
    model = FiniteWidth(activation, point.weight_variance, point.bias_variance)
    layers = 300 if point.universality == "vanishing" else 20
    flow = theory(model, point.kernel or 1.0, layers)
    share = (flow.vertex / flow.kernel**2)[-1].item() / (layers - 1)
    assert share == pytest.approx(rate, rel=0.02)


# ---- mutual information --------------------------------------------------------------------------


def normal_nodes(spread):
    """Metrics of a log-normal of mean one, and their shares."""
    node, weight = np.polynomial.hermite_e.hermegauss(80)
    node, weight = torch.tensor(node), torch.tensor(weight)
    return (spread * node - spread**2 / 2).exp(), weight


def test_mutual_information_of_two_units_by_a_grid():
    strength = torch.tensor([0.5, 1.0, 2.5]).double()
    z = torch.linspace(-14, 14, 1401, dtype=DOUBLE)
    step = z[1] - z[0]
    single = torch.exp(-(z**2) / 2 / strength[:, None]) / (2 * math.pi * strength[:, None]).sqrt()
    joint = torch.einsum("sa,sb->ab", single, single) / 3
    apart = joint.sum(0) * step
    seen = torch.special.xlogy(joint, joint / (apart[:, None] * apart)).sum() * step**2
    assert mutual_information(strength, 2).item() == pytest.approx(seen.item(), rel=1e-8)
    weighed = mutual_information(torch.tensor([0.5, 1.0, 2.5]).double(), 2, torch.ones(3).double())
    assert weighed.item() == pytest.approx(seen.item(), rel=1e-8)
    doubled = mutual_information(7 * strength[[0, 1, 1, 2]], 2)  # the unit of G drops out
    counted = mutual_information(strength, 2, torch.tensor([1.0, 2.0, 1.0]).double())
    assert doubled.item() == pytest.approx(counted.item(), rel=1e-9)


def test_units_of_one_metric_share_nothing():
    for outputs in (2, 6, 200, 4000):
        alike = mutual_information(torch.full((4,), 0.7).double(), outputs).item()
        assert abs(alike) < (1e-11 if outputs < 10 else 1e-8)


def test_many_units_tell_which_of_two_metrics_it_is():
    far = mutual_information(torch.tensor([1.0, 2.0]).double(), 1000).item()
    assert far == pytest.approx(math.log(2), rel=1e-6)


def test_few_draws_tell_less():
    """The information between units of a sample of metrics falls short by O(1 / M)."""
    g = draws.normal(8, "metric", 2000, (20,))
    strength, share = normal_nodes(1.0)
    gaps = [
        mean(mutual_information(g[:, :M].exp(), 2), 0) - mutual_information(strength, 2, share)
        for M in (10, 20)
    ]
    for gap in gaps:
        assert gap.value < -3 * gap.error
    assert 1 < (gaps[0].value / gaps[1].value) < 3


@pytest.mark.parametrize("outputs", [2, 4, 8])
def test_mutual_information_starts_as_the_truncated_expansion(outputs):
    left = []
    for v in (0.004, 0.002):
        strength, share = normal_nodes(math.log1p(v) ** 0.5)
        found = mutual_information(strength, outputs, share).item()
        left.append(((outputs / 2) ** 2 * v**2 / 8 - found) / v**3)
    cubic = (outputs / 2) ** 2 * (20 + 3 * outputs) / 48
    assert 2 * left[1] - left[0] == pytest.approx(cubic, rel=0.02)


def test_mutual_information_never_falls():
    sets = [normal_nodes(math.log1p(v) ** 0.5) for v in (0.1, 0.3, 1.0, 3.0, 10.0)]
    many = torch.stack([mutual_information(strength, 2, share) for strength, share in sets])
    assert (many.diff() > 0).all()
    expected = torch.tensor([0.000878, 0.00490, 0.0208, 0.0509], dtype=DOUBLE)
    torch.testing.assert_close(many[:4], expected, rtol=3e-3, atol=0)


def test_the_optimum_of_the_truncated_expansion():
    assert optimal_aspect_ratio(torch.relu, 2) == pytest.approx(4 / 26 / 5)
    assert optimal_aspect_ratio(None, 2) == pytest.approx(4 / 26 / 2)
    assert optimal_aspect_ratio(torch.tanh, 10) == pytest.approx(4 / 50 * 3 / 2)
    v = torch.linspace(0, 0.4, 40001, dtype=DOUBLE)
    best = v[(v**2 / 8 - (20 + 3 * 4) * v**3 / 48).argmax()].item()
    assert optimal_aspect_ratio(None, 4) == pytest.approx(best / 2, rel=1e-3)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"weight_variance": 0.0}, "weight_variance must be positive, got 0"),
        ({"bias_variance": -0.1}, "bias_variance must be non-negative, got -0.1"),
        ({"skip": -0.5}, "skip must be non-negative, got -0.5"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"activation": "tanh"}, "activation must be a function or None, got 'tanh'"),
    ],
)
def test_impossible_networks_are_refused(change, what):
    with pytest.raises(ValueError, match=what):
        FiniteWidth(**{"activation": torch.tanh, "weight_variance": 1.0, **change})


def test_impossible_requests_are_refused():
    model = FiniteWidth(torch.tanh, 1.0, 0.1, 4)
    for call in (
        lambda **k: theory(model, **k),
        lambda **k: experiment(model, **k, seed=0, members=2),
        lambda **k: metric(model, **k, seed=0, members=2),
    ):
        with pytest.raises(ValueError, match="kernel must be positive, got 0"):
            call(kernel=0.0, layers=3)
        with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
            call(kernel=1.0, layers=0)
    with pytest.raises(ValueError, match="leading axes must fit each other"):
        theory(FiniteWidth(torch.tanh, torch.ones(2)), torch.ones(3), 4)
    with pytest.raises(ValueError, match="orders must be at least 3, got 2"):
        theory(model, 1.0, 3, orders=2)
    with pytest.raises(ValueError, match="members must be at least 1, got 0"):
        metric(model, 1.0, 3, seed=0, members=0)
    for lone in (metric_moment, log_norm_moments):
        sizes = (8, 3, 2) if lone is metric_moment else (8,)
        with pytest.raises(ValueError, match="activation must be scale-invariant"):
            lone(torch.tanh, *sizes)
        with pytest.raises(ValueError, match="width must be at least 1, got 0"):
            lone(None, 0, *sizes[1:])
    with pytest.raises(ValueError, match="activation must have a critical point"):
        vertex_rate(torch.sigmoid)
    for outputs, what in ((3, "outputs must be even, got 3"), (0, "outputs must be at least 2")):
        with pytest.raises(ValueError, match=what):
            mutual_information(torch.ones(3), outputs)
    with pytest.raises(ValueError, match="outputs must be at least 2"):
        optimal_aspect_ratio(torch.relu, 1)
    with pytest.raises(ValueError, match="strength must be positive, got 0"):
        mutual_information(torch.tensor([0.0, 1.0]), 2)


def test_signals_beyond_the_doubles_are_an_error_and_not_a_number():
    for weight in (1e-3, 1e3):
        with pytest.raises(FloatingPointError, match="take fewer layers"):
            theory(FiniteWidth(torch.relu, torch.tensor([2.0, weight])), 1.0, 400)
    model = FiniteWidth(torch.relu, 1e3, width=4)
    with pytest.raises(FloatingPointError, match="must stay finite"):
        metric(model, 1e300, 40, seed=0, members=2)
    with pytest.raises(FloatingPointError, match="must stay finite"):
        experiment(model, 1e300, 40, seed=0, members=2)
