"""Claims of chapters/tangent_fluctuations.md, one test per claim."""

import math

import pytest
import torch
from scipy.integrate import quad

from toymodels.networks import Perceptron, tangent_kernel
from toymodels.numerics import mean
from toymodels.tangent_fluctuations import (
    TangentNetwork,
    differentials,
    even_rates,
    experiment,
    linear_lesson,
    linear_second_moment,
    networks,
    real_lesson,
    theory,
)

F = torch.nn.functional
NAMES = ("kernel", "tangent", "vertex", "A", "B", "D", "F", "P", "Q")
# every layer learns at rates of its own
BIASED = TangentNetwork(
    torch.tanh,
    1.3,
    0.2,
    torch.tensor([0.7, 1.1, 0.4, 0.9]).double(),
    torch.tensor([0.4, 0.3, 0.8, 0.2]).double(),
)
LINEAR = TangentNetwork(None, 1.0)
CURVES = {
    torch.tanh: (
        math.tanh,
        lambda z: math.cosh(z) ** -2,
        lambda z: -2 * math.tanh(z) / math.cosh(z) ** 2,
    ),
    torch.sin: (math.sin, math.cos, lambda z: -math.sin(z)),
}


def by_quadrature(activation, C, b, lw, lb, K, layers):
    """The recursions in their first form, with second derivatives, by adaptive quadrature."""
    s, d, c = CURVES[activation]

    def av(f):
        def density(z):
            return f(z) * math.exp(-z * z / 2 / K) / math.sqrt(2 * math.pi * K)

        reach = 10 * math.sqrt(K)
        return quad(density, -reach, reach, epsabs=1e-13, epsrel=1e-11, limit=200)[0]

    T, V, A, B, D, F_, P, Q = lb[0] + lw[0] * (K - b) / C, *7 * [0.0]
    seen = [(K, T, V, A, B, D, F_, P, Q)]
    for rate, offset in zip(lw[1:], lb[1:], strict=True):
        om = lambda z, T=T, rate=rate: rate * s(z) ** 2 + C * d(z) ** 2 * T  # noqa: E731
        chi = C * av(lambda z: z * s(z) * d(z)) / K
        across = C * av(lambda z: d(z) ** 2)
        bend = C * av(lambda z: z * d(z) * c(z)) / K
        slope = rate * chi / C + T * bend
        power, omega = av(lambda z: s(z) ** 2), av(om)
        both = av(lambda z, om=om: s(z) ** 2 * om(z))
        curved = C**2 * av(lambda z: s(z) * c(z) * d(z) ** 2) * T**2
        F2 = C**2 * av(lambda z: (s(z) * d(z)) ** 2) * T + chi**2 * F_
        new = (
            offset + rate * power + across * T,
            C**2 * (av(lambda z: s(z) ** 4) - power**2) + chi**2 * V,
            av(lambda z, om=om: om(z) ** 2)
            - omega**2
            + slope**2 * V
            + 2 * slope * across * D
            + across**2 * A,
            C**2 * av(lambda z: d(z) ** 4) * T**2 + across**2 * B,
            C * (both - power * omega) + chi * (slope * V + across * D),
            F2,
            curved + C * av(lambda z: s(z) * c(z)) * across * B + chi * across * P,
            curved + rate / C * F2 + chi * bend * T * F_ + chi * across * Q,
        )
        K, (T, V, A, B, D, F_, P, Q) = b + C * power, new
        seen.append((K, *new))
    return torch.tensor(seen, dtype=torch.float64)


@pytest.mark.parametrize("activation", [torch.tanh, torch.sin])
def test_the_recursions_by_adaptive_quadrature(activation):
    model = TangentNetwork(activation, 1.3, 0.2, BIASED.weight_rate, BIASED.bias_rate)
    found = theory(model, 0.9, 4)
    rates = BIASED.weight_rate.tolist(), BIASED.bias_rate.tolist()
    expected = by_quadrature(activation, 1.3, 0.2, *rates, 0.9, 4)
    assert found.layer.tolist() == [1, 2, 3, 4]
    seen = torch.stack([getattr(found, name) for name in NAMES], -1)
    torch.testing.assert_close(seen, expected, rtol=1e-8, atol=1e-10)


def test_relu_worked_out_by_hand():
    found = theory(TangentNetwork(torch.relu, 2.0, 0.0, 0.5, 1.0), 2.0, 6)
    last = [getattr(found, name)[-1].item() for name in ("tangent", "A", "B", "P", "Q")]
    assert last == pytest.approx([9, 245, 247.5, 0, 52.5], abs=1e-9)


def test_linear_networks_in_closed_form():
    found = theory(LINEAR, 1.0, 12)
    L = found.layer.double()
    torch.testing.assert_close(found.tangent, L)
    torch.testing.assert_close(found.vertex, 2 * (L - 1))
    torch.testing.assert_close(found.A + 2 * found.B, 2 * (L - 1) * L * (2 * L - 1) / 3)
    torch.testing.assert_close(found.D, 2 * found.F)
    torch.testing.assert_close(found.F, L * (L - 1) / 2)
    torch.testing.assert_close(found.Q, (L - 1) * L * (L + 1) / 6)
    assert found.P.abs().max() < 1e-11


@pytest.mark.parametrize("below", [0.0, 0.5, -0.3])
def test_scale_invariant_networks_have_the_numbers_of_their_fourth_moment(below):
    second, fourth = (1 + below**2) / 2, (1 + below**4) / 2
    kappa = fourth / second**2
    model = TangentNetwork(lambda z: torch.where(z > 0, z, below * z), 1 / second)
    found = theory(model, 1.0, 2000)
    L, T = 2000, found.tangent[-1]
    assert T.item() == pytest.approx(L * second)
    scatter, slope = (found.A + 2 * found.B)[-1] / T**2, (found.P + 2 * found.Q)[-1] / T**2
    assert scatter.item() / L == pytest.approx((7 * kappa - 3) / 3, rel=3e-3)
    assert slope.item() / L == pytest.approx(kappa / 3, rel=3e-3)


def test_a_batch_is_many_models_and_layers_add_up():
    weight = torch.tensor([1.0, 1.5]).double()
    model = TangentNetwork(
        torch.tanh, weight, 0.1, 0.5, torch.tensor([[1.0] * 4, [2.0] * 4]).double()
    )
    both = theory(model, torch.tensor([0.6, 0.9]).double(), 4)
    for k in range(2):
        one = theory(
            TangentNetwork(torch.tanh, weight[k].item(), 0.1, 0.5, float(k + 1)), [0.6, 0.9][k], 4
        )
        for name in NAMES:
            torch.testing.assert_close(getattr(both, name)[k], getattr(one, name))
    alone = torch.eye(4, dtype=torch.float64)
    parts = TangentNetwork(
        torch.tanh, 1.3, 0.2, alone * BIASED.weight_rate, alone * BIASED.bias_rate
    )
    whole = theory(BIASED, 0.9, 4).tangent[-1]
    torch.testing.assert_close(theory(parts, 0.9, 4).tangent[:, -1].sum(), whole)


def test_a_kink_is_what_a_smooth_bend_tends_to():
    """Of a lifted ReLU sigma sigma'' does not vanish at the kink; autograd would see none of it."""
    lifted = theory(TangentNetwork(lambda z: torch.relu(z) + 0.5, 1.0, 0.0, 1.0, 0.5), 1.0, 3)
    errors = []
    for sharp in (20.0, 40.0):
        bent = TangentNetwork(
            lambda z, sharp=sharp: F.softplus(sharp * z) / sharp + 0.5, 1.0, 0.0, 1.0, 0.5
        )
        smooth = theory(bent, 1.0, 3)
        errors.append(
            torch.stack([(getattr(smooth, x) - getattr(lifted, x))[-1] for x in "ABDFPQ"]).abs()
        )
    assert lifted.P[-1] > 0.5
    # a bend of width 1/40 changes averages by some per cent, half as much as one of 1/20
    assert (errors[1] < 0.65 * errors[0] + 1e-3).all() and errors[1][4] < 0.05


def test_networks_follow_the_recursions_as_the_width_grows():
    exact = theory(BIASED, 1.0, 4)
    pair = [experiment(BIASED, 1.0, 4, seed=n, width=n, members=2500) for n in (8, 16)]
    assert pair[0].A.shape == (2500, 4) and pair[0].layer.tolist() == [1, 2, 3, 4]
    for name in NAMES:
        narrow, wide = (mean(getattr(seen, name)[:, 1:], 0) for seen in pair)
        limit = 2 * wide - narrow
        # 27 numbers, of which one in some thousands passes 4.5
        assert ((limit.value - getattr(exact, name)[1:]) / limit.error).abs().max() < 4.5, name
    tangent = mean(pair[1].tangent[:, 1:], 0)
    assert (tangent.value / exact.tangent[1:] - 1).abs().max() < 0.01


def test_relu_networks_scatter_as_they_should():
    model = TangentNetwork(torch.relu, 2.0, 0.0, 0.5, 1.0)
    exact = theory(model, 2.0, 2)
    seen = experiment(model, 2.0, 2, seed=1, width=12, members=4000)
    assert seen.P.abs().max() == 0 == exact.P.abs().max().round(decimals=12)
    for name in set(NAMES) - {"P"}:  # layer 2 has no corrections
        found = mean(getattr(seen, name)[:, -1], 0)
        assert abs(found.value - getattr(exact, name)[-1]) < 4.5 * found.error, name


def test_the_chain_rule_agrees_with_two_backward_passes():
    size = {"seed": 3, "width": 5, "members": 4}
    weights, rates, x = networks(BIASED, 1.1, 4, **size)
    network = Perceptron(torch.tanh, biases=True)
    leaves = [w.clone().requires_grad_() for w in weights]
    z = network(leaves, x)[:, 0, 0]
    slopes = torch.autograd.grad(z.sum(), leaves, create_graph=True)
    H = sum(r * (g**2).sum((1, 2)) for r, g in zip(rates, slopes, strict=True))
    turns = torch.autograd.grad(H.sum(), leaves, materialize_grads=True)
    dH = sum(r * (g * t).sum((1, 2)) for r, g, t in zip(rates, slopes, turns, strict=True)) / 2
    units, tangents, bends = differentials(BIASED, 1.1, 4, **size)
    torch.testing.assert_close(units[:, 0], z.detach())
    torch.testing.assert_close(tangents[:, 0, 0], H.detach())
    torch.testing.assert_close(bends[:, 0, 0, 0], dH.detach())
    same = tangent_kernel(network, weights, x, rates=rates).flatten()
    torch.testing.assert_close(tangents[:, 0, 0], same)


def test_all_entries_of_the_differential_by_a_finite_difference():
    """dH_ijk moves H_ik of two outputs along the slope of j, with dH_kji beside it."""
    size = {"seed": 4, "width": 3, "members": 1}
    units, H, dH = (part[0] for part in differentials(BIASED, 1.1, 3 + 1, **size))
    torch.testing.assert_close(dH, dH.mT)
    torch.testing.assert_close(H, H.mT)
    h, changes = 1e-5, []
    weights, rates, x = networks(BIASED, 1.1, 4, **size)
    # the last layer of all three units, of which `networks` has the first
    from toymodels.numerics import draws

    weights[3] = (1.3 / 3) ** 0.5 * draws.normal(4, "layer 3", 1, (3, 3))
    weights[7] = 0.2**0.5 * draws.normal(4, "biases 3", 1, (1, 3))
    network = Perceptron(torch.tanh, biases=True)
    torch.testing.assert_close(network(weights, x)[0, 0], units)
    for j in range(3):
        leaves = [w.clone().requires_grad_() for w in weights]
        slope = torch.autograd.grad(network(leaves, x)[0, 0, j], leaves)
        ends = [
            tangent_kernel(
                network,
                [w + way * h * r * g for w, r, g in zip(weights, rates, slope, strict=True)],
                x,
                rates=rates,
            )[0, 0, 0]
            for way in (1, -1)
        ]
        changes.append((ends[0] - ends[1]) / (2 * h))  # (i, k)
    expected = torch.stack([dH[:, j, :] + dH[:, j, :].mT for j in range(3)])
    torch.testing.assert_close(torch.stack(changes), expected, rtol=1e-6, atol=1e-7)


def test_pairs_of_units_are_averaged_right():
    size = {"seed": 5, "width": 4, "members": 6}
    z, H, dH = differentials(BIASED, 1.1, 3 + 1, **size)
    seen = experiment(BIASED, 1.1, 4, **size)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    own = H.diagonal(0, -2, -1)

    def over(f):
        return torch.stack([f(i, j) for i, j in pairs]).mean(0)

    k, t = z.square().mean(), own.mean()
    expected = {
        "kernel": z.square().mean(-1).mean(),
        "tangent": t,
        "vertex": 4 * (over(lambda i, j: z[:, i] ** 2 * z[:, j] ** 2).mean() - k**2),
        "A": 4 * (over(lambda i, j: own[:, i] * own[:, j]).mean() - t**2),
        "B": 4 * over(lambda i, j: H[:, i, j] ** 2).mean(),
        "D": 4 * (over(lambda i, j: z[:, i] ** 2 * own[:, j]).mean() - k * t),
        "F": 4 * over(lambda i, j: z[:, i] * z[:, j] * H[:, i, j]).mean(),
        "P": 4 * over(lambda i, j: z[:, i] * dH[:, i, j, j]).mean(),
        "Q": 4 * over(lambda i, j: z[:, j] * dH[:, i, i, j]).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(seen, name)[:, -1].mean(), value, msg=name)


def test_chunks_batches_and_members_do_not_change_a_network(monkeypatch):
    size = {"seed": 6, "width": 4}
    few = experiment(BIASED, 1.0, 4, members=3, **size)
    monkeypatch.setattr("toymodels.tangent_fluctuations.room", lambda device: 1)
    many = experiment(BIASED, 1.0, 4, members=3, **size)
    torch.testing.assert_close(few.B, many.B)
    torch.testing.assert_close(few.A, many.A)
    weight = torch.tensor([1.3, 2.0]).double()
    bias = torch.tensor([0.2, 0.0]).double()
    both = TangentNetwork(torch.tanh, weight, bias, BIASED.weight_rate, BIASED.bias_rate)
    batch = experiment(both, 1.0, 4, members=3, **size)
    assert batch.A.shape == (2, 3, 4)
    torch.testing.assert_close(batch.Q[0], few.Q)


def test_a_scatter_has_the_right_error_bar():
    """Not that of the square alone: the mean, which is taken off, comes from the same networks."""
    runs = [experiment(LINEAR, 1.0, 2, seed=s, width=6, members=300) for s in range(60)]
    for name in ("vertex", "A", "D"):
        last = torch.stack([getattr(run, name)[:, -1] for run in runs])
        claimed = (last.std(-1) / 300**0.5).mean().item()
        # a standard deviation of 60 numbers is good to 9 %, more with long tails; 4 of those
        assert last.mean(-1).std().item() == pytest.approx(claimed, rel=0.45), name


def test_error_bars_are_those_of_the_jackknife():
    """One network left out at a time, which knows nothing of how a mean's scatter is propagated."""
    size, M = {"seed": 9, "width": 4}, 400
    z, H, _ = differentials(BIASED, 1.1, 4, members=M, **size)
    seen = experiment(BIASED, 1.1, 4, members=M, **size)
    square, own, apart = z.square(), H.diagonal(0, -2, -1), ~torch.eye(4, dtype=torch.bool)

    def without(x):
        return (x.sum(0) - x) / (M - 1)

    for name, left, right in (
        ("vertex", square, square),
        ("A", own, own),
        ("D", square, own),
    ):
        both = (left[:, :, None] * right[:, None, :])[:, apart].mean(-1)
        pseudo = 4 * (without(both) - without(left.mean(-1)) * without(right.mean(-1)))
        error = pseudo.std(correction=0) * (M - 1) / M**0.5
        claimed = mean(getattr(seen, name)[:, -1], 0).error
        assert claimed.item() == pytest.approx(error.item(), rel=0.01), name


def test_the_exact_second_moment_of_deep_linear_networks():
    # one unit a layer: H is a sum of products of squares of normal numbers
    assert linear_second_moment(1, 1) == 1
    assert linear_second_moment(2, 1) == pytest.approx(3 + 3 + 2)
    assert linear_second_moment(3, 1) == pytest.approx(3 * 9 + 6 * 3)
    assert linear_second_moment(10, 20) - 100 == pytest.approx(81.12206852, abs=5e-9)
    assert 10**7 * (linear_second_moment(10, 10**7) - 100) == pytest.approx(1140, rel=1e-4)
    weights, rates, x = networks(LINEAR, 1.0, 4, seed=7, width=3, members=20000)
    H = tangent_kernel(Perceptron(biases=True), weights, x, rates=rates).flatten()
    found = mean(H.square(), 0)
    assert abs(found.value - linear_second_moment(4, 3)) < 4 * found.error
    assert found.error < 0.08 * found.value


def test_even_rates_let_all_layers_learn_alike():
    weight, bias = even_rates(torch.relu, 8)
    assert weight.tolist() == bias.tolist() == [1 / 8] * 8
    for activation in (torch.tanh, torch.sin):
        weight, bias = even_rates(activation, 8)
        torch.testing.assert_close(weight, torch.ones(8).double())
        torch.testing.assert_close(bias, 1 / torch.arange(1, 9).double())
    flat = [
        theory(TangentNetwork(torch.tanh, 1.0, 0.0, *even_rates(torch.tanh, L)), 1.0, L).tangent[-1]
        for L in (300, 1000)
    ]
    assert flat[1].item() == pytest.approx(1.5, abs=0.006) and abs(flat[0] - flat[1]) < 0.01
    # a curvature at 0 makes p = (s3/s1 + r) / (s3/s1 + 3r/4), r = (s2/s1)^2; here 5/4
    weight, bias = even_rates(lambda z: torch.sin(z) + z**2 / 4 - z**4, 8)
    r, p = 1 / 4, (-1 + 1 / 4) / (-1 + 3 / 16)
    assert r == 0.25
    layer = torch.arange(1, 9).double()
    torch.testing.assert_close(weight, (8 / layer) ** (p - 1))
    torch.testing.assert_close(bias, 8 ** (p - 1) / layer**p)
    with pytest.raises(ValueError, match="activation must have a curvature at 0"):
        even_rates(F.elu, 4)


def test_a_lesson_of_two_linear_layers_is_exact():
    """Gradient flow conserves H^2 - 4 z^2 / n; one large step is a quadratic polynomial."""
    n, y = 10**4, 1.7
    flow = linear_lesson(2, torch.tensor([10**6]), width=n, label=y, pace=1e-4)
    # E (4 + 4 (y^2 - z^2) / n)^(1/2)
    assert n * (flow.tangent[0].item() - 2) == pytest.approx(y**2 - 1, abs=1e-3)
    newton = linear_lesson(2, torch.tensor([0, 1, 50]), width=n, label=y, pace=1.0)
    assert newton.tangent[0] == 2 and newton.unseen[0] == 1
    for step in (1, 2):  # E (-4 eps z + eps^2) / H
        assert n * (newton.tangent[step].item() - 2) == pytest.approx((y**2 - 3) / 2)
        assert n * (newton.unseen[step].item() - 1) == pytest.approx((y**2 - 3) / 4)


def test_real_lessons_end_where_the_pace_says():
    step, pace = torch.tensor([0, 2, 25]), torch.tensor([0.3, 1.0]).double()
    gaps = []
    for n in (24, 48):
        seen = real_lesson(
            LINEAR, 1.0, 3, step, label=1.5, rate=pace / 3, seed=n, width=n, members=500, inputs=6
        )
        assert seen.tangent.shape == seen.unseen.shape == (2, 500, 3)
        sides = [x[..., 1:] - x[..., :1] for x in (seen.tangent, seen.unseen)]
        gaps.append([n * mean(x[1] - x[0], 0) for x in sides])
        gaps[-1] += [n * mean(x[0], 0) for x in sides]
    exact = linear_lesson(3, step, width=1, label=1.5, pace=pace)
    limits = [2 * wide - narrow for narrow, wide in zip(*gaps, strict=True)]
    expected = [(x[1] - x[0])[1:] for x in (exact.tangent, exact.unseen)]
    expected += [(x[0] - x[0, 0])[1:] for x in (exact.tangent, exact.unseen)]
    for limit, value in zip(limits, expected, strict=True):
        assert ((limit.value - value) / limit.error).abs().max() < 4.5
    assert limits[0].error[-1] < 0.2 * expected[0][-1].abs()


def test_a_real_lesson_step_by_step():
    model = TangentNetwork(torch.tanh, 1.3, 0.2, 0.7, 0.4)
    size = {"seed": 8, "width": 4, "members": 2, "inputs": 3}
    seen = real_lesson(model, 1.0, 3, torch.tensor([0, 2]), label=0.5, rate=0.1, **size)
    weights, rates, x = networks(model, 1.0, 3, **size)
    torch.testing.assert_close(x @ x.mT, torch.eye(3).double() * 3 * (1.0 - 0.2) / 1.3)
    assert rates == pytest.approx([0.7 / 3, 0.7 / 4, 0.7 / 4, 0.4, 0.4, 0.4])
    network = Perceptron(torch.tanh, biases=True)
    for _ in range(2):
        leaves = [w.clone().requires_grad_() for w in weights]
        loss = (network(leaves, x[:1]) - 0.5).square().sum() / 2
        grads = torch.autograd.grad(loss, leaves)
        weights = [w - 0.1 * r * g for w, r, g in zip(weights, rates, grads, strict=True)]
    end = tangent_kernel(network, weights, x[:1], rates=rates).flatten()
    torch.testing.assert_close(seen.tangent[:, 1], end)
    torch.testing.assert_close(seen.unseen[:, 1], network(weights, x[1:])[..., 0].square().mean(-1))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: TangentNetwork(torch.tanh, 0.0), "weight_variance must be positive"),
        (lambda: TangentNetwork(torch.tanh, 1.0, -0.1), "bias_variance must be non-negative"),
        (lambda: TangentNetwork(torch.tanh, 1.0, weight_rate=-1.0), "weight_rate must be non-neg"),
        (lambda: TangentNetwork(torch.tanh, 1.0, bias_rate=-1.0), "bias_rate must be non-neg"),
        (lambda: theory(BIASED, 0.2, 4), "kernel must be above bias_variance"),
        (lambda: theory(BIASED, 1.0, 3), "weight_rate must be one number or 3"),
        (lambda: theory(LINEAR, 1.0, 0), "layers must be at least 1"),
        (
            lambda: theory(
                TangentNetwork(None, torch.ones(2).double(), 0.0, torch.ones(3, 4).double()), 1.0, 4
            ),
            "leading axes must fit",
        ),
        (lambda: experiment(LINEAR, 1.0, 2, seed=0, width=1, members=3), "width must be at least"),
        (lambda: experiment(LINEAR, 1.0, 2, seed=0, width=3, members=1), "members must be at l"),
        (lambda: differentials(LINEAR, 1.0, 2, seed=0, width=0, members=1), "width must be at le"),
        (lambda: differentials(LINEAR, 1.0, 2, seed=0, width=2, members=0), "members must be at"),
        (
            lambda: networks(
                TangentNetwork(None, torch.ones(2).double()), 1.0, 2, seed=0, width=2, members=1
            ),
            "model must be a single one",
        ),
        (lambda: linear_second_moment(0, 3), "layers must be at least 1"),
        (lambda: linear_second_moment(3, 0), "width must be at least 1"),
        (lambda: even_rates(torch.sigmoid, 3), "activation must have a critical point"),
        (
            lambda: linear_lesson(2, torch.tensor([1]), width=9, label=1.0, pace=2.0),
            "pace must be between 0 and 2",
        ),
        (
            lambda: real_lesson(
                *(LINEAR, 1.0, 2, torch.tensor([1])),
                **{"label": 1.0, "rate": 0.1, "seed": 0, "width": 3, "members": 2, "inputs": 1},
            ),
            "inputs must be at least 2",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_lesson_that_diverges_says_so():
    with pytest.raises(FloatingPointError, match="use a smaller step"):
        real_lesson(
            *(LINEAR, 1.0, 3, torch.tensor([200])),
            **{"label": 1.0, "rate": 9.0, "seed": 0, "width": 4, "members": 2},
        )
