"""The field theory of moving features: exact limits, its three roads, and networks."""

import math
from functools import partial

import pytest
import torch

from toymodels.limits import field_theory
from toymodels.limits.field_theory import (
    _march,
    _normals,
    _Problem,
    _quadrature,
    _SampledLayer,
    linear,
    march,
    one_hidden,
    sampled,
)
from toymodels.numerics.draws import normal

DOUBLE = torch.float64
ONE, Y = torch.ones(1, 1, dtype=DOUBLE), torch.ones(1, dtype=DOUBLE)
RICHNESS = torch.tensor([0.3, 1.0, 3.0], dtype=DOUBLE)
INPUTS = torch.tensor([[1.0, 0.4, -0.3], [0.2, -1.1, 0.8]], dtype=DOUBLE)
KERNEL, LABEL = INPUTS @ INPUTS.T / 3, torch.tensor([1.0, -0.6], dtype=DOUBLE)


def close(left, right, tolerance=1e-12):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def identity_by_another_name(z):
    return 1.0 * z


def test_one_sample_and_one_layer_have_a_closed_recursion():
    """(H +- c) <- (H +- c)(1 +- e sqrt(k) Delta)^2 with f = sqrt(k) c / gamma_0."""
    k, step = 1.3, 0.05
    theory = linear(k * ONE, Y, RICHNESS, 20, step=step)
    plus, minus, f = torch.ones_like(RICHNESS), torch.ones_like(RICHNESS), []
    for _ in range(21):
        f.append(math.sqrt(k) * (plus - minus) / 2 / RICHNESS)
        turn = RICHNESS * step * math.sqrt(k) * (1 - f[-1])
        last = k * (plus + minus) / 2
        plus, minus = plus * (1 + turn) ** 2, minus * (1 - turn) ** 2
    close(theory.prediction[..., 0], torch.stack(f, -1))
    close(theory.feature[:, 0, -1, -1], last)
    close(theory.gradient[:, 0, -1, -1], last / k)
    assert theory.finite.all() and theory.error.abs().max() == 0


@pytest.mark.parametrize("hidden_layers", [1, 2, 3])
def test_a_poor_network_is_lazy(hidden_layers):
    theory = linear(KERNEL, LABEL, 1e-3, 30, step=0.05, hidden_layers=hidden_layers)
    f = torch.zeros(2, dtype=DOUBLE)
    for t in range(31):
        # of order richness^2, times a number of order ten
        torch.testing.assert_close(theory.prediction[t], f, rtol=0, atol=2e-5)
        f = f + 0.05 * (hidden_layers + 1) * KERNEL @ (LABEL - f)


@pytest.mark.parametrize("hidden_layers", [1, 2, 3])
def test_kernels_grow_as_perturbation_theory_says(hidden_layers):
    """The three leading orders, at K_x = 1 and f -> y, by halving the step once."""
    big, y, richness = hidden_layers, 1.5, 1e-3
    place = torch.arange(1, big + 1, dtype=DOUBLE)
    grown = []
    for n in (150, 300):
        theory = linear(ONE, y * Y, richness, n, step=7.5 / (big + 1) / n, hidden_layers=big)
        grown.append(
            torch.stack([part[..., -1, -1] - 1 for part in (theory.feature, theory.gradient)])
        )
    feature, gradient = (2 * grown[1] - grown[0]) / (richness * y) ** 2
    expected = place * (place + 1) / (2 * (big + 1))
    # second order of the step, and exp(-7.5) of the label not learned
    torch.testing.assert_close(feature, expected, rtol=4e-3, atol=0)
    torch.testing.assert_close(gradient, expected.flip(0), rtol=4e-3, atol=0)
    total = feature.sum() + gradient.sum()  # of the sum over layers of G^(l+1) Phi^l
    assert total.item() == pytest.approx(big * (big + 2) / 3, rel=4e-3)


@pytest.mark.parametrize("hidden_layers", [1, 2])
def test_white_inputs_reduce_to_the_direction_of_the_label(hidden_layers):
    y = torch.tensor([0.6, -0.3, 1.1], dtype=DOUBLE)
    identity, size = torch.eye(3, dtype=DOUBLE), y.norm()
    setting = {"step": 0.05, "hidden_layers": hidden_layers}
    three = linear(identity, y, 2.0, 20, **setting)
    one = linear(ONE, size[None], 2.0, 20, **setting)
    close(three.prediction, one.prediction * y / size)
    last = three.feature[..., -3:, -3:] - identity
    grown = one.feature[..., -1:, -1:] - 1
    close(last, grown * torch.outer(y, y) / size**2)


@pytest.mark.parametrize("hidden_layers", [1, 2, 3])
def test_the_order_parameters_solve_their_equations(hidden_layers):
    """All times at once: h = u + C z and z = r + D h, solved by inverting matrices."""
    richness, step, n, big = 2.0, 0.1, 6, hidden_layers
    theory = linear(KERNEL, LABEL, richness, n - 1, step=step, hidden_layers=big)
    past = torch.ones(n, n, dtype=DOUBLE).tril(-1).repeat_interleave(2, 0).repeat_interleave(2, 1)
    force = past * richness * step * (LABEL - theory.prediction).flatten()
    below, above = [KERNEL.repeat(n, n), *theory.feature], [*theory.gradient, torch.ones_like(past)]
    none, one = torch.zeros_like(past), torch.eye(2 * n, dtype=DOUBLE)
    a, b = [none, *theory.feature_response], [*theory.gradient_response, none]
    for i in range(big):
        K, G = below[i], above[i + 1]
        C, D = a[i] + force * K, b[i] + force * G
        M, Q = torch.linalg.inv(one - C @ D), torch.linalg.inv(one - D @ C)
        close(theory.feature[i], M @ (K + C @ G @ C.T) @ M.T)
        close(theory.gradient[i], Q @ (G + D @ K @ D.T) @ Q.T)
        if i < big - 1:
            close(theory.feature_response[i], M @ C)
        if i > 0:
            close(theory.gradient_response[i - 1], Q @ D)
    output = (M @ (K @ D.T + C @ G) @ Q.T).diagonal().reshape(n, 2)
    close(theory.prediction, output / richness)


def test_drawn_neurons_carry_their_derivatives():
    """One neuron of a middle layer, its fields solved again with each draw moved a little."""
    problem = _Problem.checked(KERNEL, LABEL, 1.0, 2, 0.1, 3)
    one, events = torch.eye(6, dtype=DOUBLE), 6
    C, D = (normal(0, name, 1, (events, events))[0].tril() for name in ("C", "D"))
    C = C * (1 - torch.block_diag(*[torch.ones(2, 2, dtype=DOUBLE)] * 3))

    def fields(drawn):
        layer = _SampledLayer(problem, torch.tanh, drawn[:, None], lowest=False, highest=False)
        a, b = torch.zeros(events, events, dtype=DOUBLE), torch.zeros(events, events, dtype=DOUBLE)
        for now in (slice(0, 2), slice(2, 4), slice(4, 6)):
            upto = slice(now.stop)
            _, a[now, upto] = layer.rise(now, C[now, upto], one, one)
            _, b[now, upto] = layer.fall(now, D[now, upto], one, one)
        return layer.phi[0], layer.g[0], a, b

    drawn, h = normal(1, "u and r", 1, (2, events))[0], 1e-5
    _, _, a, b = fields(drawn)
    for s in range(events):
        move = torch.zeros(2, events, dtype=DOUBLE)
        for row, (field, response) in ((1, (0, a)), (0, (1, b))):
            move[row, s] = h
            slope = (fields(drawn + move)[field] - fields(drawn - move)[field]) / (2 * h)
            close(response[:, s], slope, 1e-7)
            move[row, s] = 0.0


def test_a_silent_sample_is_no_reason_to_refuse():
    inputs = torch.cat([INPUTS, INPUTS, torch.zeros(1, 3, dtype=DOUBLE)])
    label = torch.cat([LABEL, LABEL, LABEL[:1]])
    assert linear(inputs @ inputs.T / 3, label, 1.0, 3, step=0.1).prediction[-1, -1] == 0


def test_half_times_of_the_flow():
    """gamma_0 = 5: the integral of dD / (2 D sqrt(1 + 25 (1 - D)^2)) from 1/2 to 1 is 0.2147."""
    f = [linear(ONE, Y, 5.0, n, step=0.2147 / n).prediction[-1, 0].item() for n in (100, 200)]
    assert 2 * f[1] - f[0] == pytest.approx(0.5, abs=1e-3)


def test_the_sign_of_the_label_and_symmetries():
    theory = linear(KERNEL, LABEL, 2.0, 12, step=0.1, hidden_layers=3)
    mirror = linear(KERNEL, -LABEL, 2.0, 12, step=0.1, hidden_layers=3)
    close(theory.prediction, -mirror.prediction)
    for name in ("feature", "gradient"):
        matrix = getattr(theory, name)
        close(matrix, getattr(mirror, name))
        close(matrix, matrix.mT, 1e-14)
        assert torch.linalg.eigvalsh(matrix).min() > -1e-10


def test_responses_are_causal_and_the_one_from_above_is_immediate():
    theory = sampled(
        KERNEL,
        LABEL,
        3.0,
        6,
        step=0.1,
        hidden_layers=3,
        activation=torch.tanh,
        seed=0,
        neurons=2000,
    )
    time = torch.arange(14) // 2
    later, same = time[:, None] < time, time[:, None] == time
    assert theory.feature_response[:, later | same].abs().max() == 0
    assert theory.gradient_response[:, later].abs().max() == 0
    assert (theory.feature_response[:, ~(later | same)].abs().amax(-1) > 0.05).all()
    assert (theory.gradient_response[:, same].abs().amax(-1) > 0.05).all()


def test_batches_are_members_alone():
    kernel = torch.stack([KERNEL, 2 * KERNEL])[:, None]
    for road in (
        linear,
        partial(one_hidden, activation=torch.tanh, points=1000),
        partial(sampled, activation=torch.tanh, hidden_layers=2, seed=0, neurons=40),
    ):
        together = road(kernel, LABEL, RICHNESS, 4, step=0.1)
        assert together.prediction.shape == (2, 3, 5, 2) and together.finite.shape == (2, 3)
        assert together.feature.shape[:2] == (2, 3)
        alone = road(kernel[0, 0], LABEL, RICHNESS[0], 4, step=0.1)
        close(together.prediction[0, 0], alone.prediction)
        close(together.feature[0, 0], alone.feature)


@pytest.mark.parametrize("hidden_layers", [2, 3])
def test_sampling_finds_the_linear_theory(hidden_layers):
    """Every order parameter within its standard error, taken from groups of neurons."""
    setting = {"step": 0.06, "hidden_layers": hidden_layers}
    exact = linear(KERNEL, LABEL, 2.0, 10, **setting)
    found = sampled(
        KERNEL,
        LABEL,
        2.0,
        10,
        activation=identity_by_another_name,
        seed=0,
        neurons=8000,
        groups=10,
        **setting,
    )
    assert found.prediction[0].abs().max() < 1e-12  # neurons of opposite sign
    assert found.finite
    score = (found.prediction - exact.prediction)[1:] / found.error[1:]
    assert score.abs().max() < 5 and found.error.max() < 0.015
    for name in ("feature", "gradient", "feature_response", "gradient_response"):
        one, other = getattr(found, name), getattr(exact, name)
        assert one.shape == other.shape
        assert (one - other).abs().max() < 0.03 * other.abs().max(), name


def test_neurons_are_independent_but_for_their_signs():
    problem = _Problem.checked(KERNEL, LABEL, RICHNESS, 1, 0.1, 2)
    one, other = (_normals(problem, seed, "layer 0", 2, 2000) for seed in (0, 1))
    assert one.shape == (3, 2, 2, 8000, 4)  # (problem, group, u or r, neuron, event)
    free = torch.stack([one, other])[..., ::4, :].movedim(-2, -1).flatten(0, -2)
    off = torch.corrcoef(free) - torch.eye(len(free), dtype=DOUBLE)
    assert off.abs().max() < 5.5 / 2000**0.5
    assert one.unflatten(-2, (2000, 4)).sum(-2).abs().max() == 0  # u and r, of all signs


def test_every_layer_draws_neurons_of_its_own(monkeypatch):
    asked = []
    monkeypatch.setattr(field_theory, "_normals", lambda *a: asked.append(a[1:]) or _normals(*a))
    setting = {
        "step": 0.1,
        "hidden_layers": 3,
        "activation": torch.tanh,
        "neurons": 80,
        "groups": 4,
    }
    sampled(KERNEL, LABEL, 1.0, 1, seed=7, **setting)
    assert asked == [(7, f"layer {place}", 4, 5) for place in range(3)]
    one, other = (march(KERNEL, LABEL, 1.0, 1, seed=k, **setting).prediction[1] for k in (7, 8))
    assert (one != other).all()


def test_the_error_is_that_of_the_mean_over_groups(monkeypatch):
    every = []
    monkeypatch.setattr(field_theory, "_march", lambda *a: every.append(_march(*a)) or every[0])
    setting = {
        "step": 0.1,
        "hidden_layers": 2,
        "activation": torch.tanh,
        "neurons": 80,
        "groups": 4,
    }
    found, each = (
        sampled(KERNEL, LABEL, 1.0, 3, seed=0, **setting),
        every[0].prediction,
    )  # (group, ...)
    for group_mean, name in ((each.mean(0), "prediction"), (every[0].feature.mean(0), "feature")):
        close(getattr(found, name), group_mean)
    close(found.error, ((each - each.mean(0)).square().sum(0) / 3 / 4).sqrt())
    assert (found.error[1:] > 0).all()  # no two groups have the same neurons


def test_the_error_of_a_quadrature_is_the_difference_to_a_coarser_one():
    problem = _Problem.checked(KERNEL, LABEL, 1.0, 3, 0.1, 1)
    fine, coarse = (_quadrature(problem, torch.tanh, n).prediction for n in (8, 6))
    found = one_hidden(KERNEL, LABEL, 1.0, 3, step=0.1, activation=torch.tanh, points=500)
    close(found.prediction, fine)  # 500 points in 3 dimensions
    close(found.error, (fine - coarse).abs())


def test_error_bars_shrink_as_the_root_of_the_neurons():
    setting = {"step": 0.1, "activation": torch.tanh, "hidden_layers": 2, "groups": 40, "seed": 0}
    error = [
        sampled(KERNEL, LABEL, 1.0, 5, neurons=n, **setting).error[1:].mean() for n in (800, 12800)
    ]
    assert 4 / 1.6 < error[0] / error[1] < 4 * 1.6  # 40 groups know an error bar to 11 %


def test_one_hidden_layer_by_quadrature_and_by_sampling():
    setting = {"step": 0.15, "activation": torch.erf}
    exact = one_hidden(KERNEL, LABEL, RICHNESS, 12, **setting)
    assert exact.error[:2].max() < 1e-6
    found = sampled(KERNEL, LABEL, RICHNESS, 12, hidden_layers=1, seed=0, neurons=40000, **setting)
    joint = (found.error**2 + exact.error**2)[:, 1:].sqrt()
    assert ((found.prediction - exact.prediction)[:, 1:] / joint).abs().max() < 5
    assert found.error.max() < 0.01
    for name in ("feature", "gradient"):
        close(getattr(found, name), getattr(exact, name), 0.03)
        assert getattr(found, name).shape == getattr(exact, name).shape


def test_quadrature_of_a_linear_network():
    exact = linear(KERNEL, LABEL, 2.0, 8, step=0.1)
    found = one_hidden(KERNEL, LABEL, 2.0, 8, step=0.1, activation=identity_by_another_name)
    close(found.prediction, exact.prediction, 1e-11)
    close(found.feature, exact.feature, 1e-11)
    close(found.gradient, exact.gradient, 1e-11)


def test_march_takes_the_best_road():
    setting = {"step": 0.1, "hidden_layers": 2}
    exact = linear(KERNEL, LABEL, 2.0, 3, **setting)
    for activation in (None, identity_by_another_name):
        found = march(KERNEL, LABEL, 2.0, 3, activation=activation, **setting)
        assert torch.equal(found.prediction, exact.prediction)
    drawn = march(KERNEL, LABEL, 2.0, 3, activation=torch.tanh, neurons=80, seed=3, **setting)
    again = sampled(KERNEL, LABEL, 2.0, 3, activation=torch.tanh, neurons=80, seed=3, **setting)
    assert torch.equal(drawn.prediction, again.prediction)
    averaged = march(ONE, Y, 1.0, 3, step=0.1, activation=torch.tanh)
    assert torch.equal(
        averaged.prediction, one_hidden(ONE, Y, 1.0, 3, step=0.1, activation=torch.tanh).prediction
    )
    kernel, label = torch.eye(4, dtype=DOUBLE), torch.ones(4, dtype=DOUBLE)
    four = {"step": 0.1, "activation": torch.tanh, "neurons": 40, "seed": 0}
    drawn = march(kernel, label, 1.0, 1, **four)
    again = sampled(kernel, label, 1.0, 1, hidden_layers=1, **four)
    assert torch.equal(drawn.prediction, again.prediction)
    with pytest.raises(ValueError, match="seed must be a whole number, got None: neurons are"):
        march(kernel, label, 1.0, 1, step=0.1, activation=torch.tanh)


@pytest.mark.parametrize("road", [linear, one_hidden, sampled])
def test_two_copies_of_a_sample_are_one_of_twice_the_weight(road):
    """A singular kernel; the two labels act as their mean."""
    setting = {"step": 0.1}
    if road is not linear:
        setting["activation"] = torch.tanh
    if road is sampled:
        setting |= {"hidden_layers": 2, "seed": 0, "neurons": 400}
    twins = road(torch.ones(2, 2, dtype=DOUBLE), torch.tensor([1.5, 0.5]), 1.0, 8, **setting)
    torch.testing.assert_close(*twins.prediction.unbind(-1), rtol=0, atol=1e-4)  # root of jitter
    if road is not sampled:
        one = road(ONE, Y, 1.0, 8, **(setting | {"step": 0.2}))
        bound = 2 * twins.error.max().item() + 1e-12  # 50 nodes a dimension against 150
        torch.testing.assert_close(
            twins.prediction, one.prediction.expand(9, 2), rtol=0, atol=bound
        )
        assert bound < 1e-3
    assert twins.prediction[-1].min() > 0.5


def test_eigenvalues_below_zero_by_rounding_are_zero():
    kernel = torch.ones(2, 2, dtype=DOUBLE) - 1e-13 * torch.eye(2, dtype=DOUBLE)
    found = one_hidden(kernel, torch.tensor([1.0, 0.5]), 1.0, 1, activation=torch.tanh, step=0.1)
    assert found.prediction.isfinite().all()


def train(activation, hidden_layers, richness, steps, step, width, seeds):
    """Networks of finite width from the definition: predictions (seed, time, sample), last Phi."""
    generator = torch.Generator().manual_seed(11)

    def normal(*shape):
        return torch.randn(seeds, *shape, generator=generator, dtype=DOUBLE)

    weights = [normal(3, width), *(normal(width, width) for _ in range(hidden_layers - 1))]
    weights.append(normal(width, 1))
    weights = [w.requires_grad_() for w in weights]
    path = []
    for _ in range(steps + 1):
        signal = INPUTS @ weights[0] / 3**0.5
        for w in weights[1:-1]:
            signal = activation(signal) @ w / width**0.5
        phi = activation(signal)
        f = (phi @ weights[-1])[..., 0] / (richness * width)
        path.append(f.detach())
        loss = 0.5 * (LABEL - f + path[0]).square().sum()  # the start is 0 at infinite width
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, g in zip(weights, gradients, strict=True):
                w -= step * richness**2 * width * g
    last = phi.detach()
    return torch.stack([f - path[0] for f in path], -2), last @ last.mT / width


@pytest.mark.parametrize(
    "activation, hidden_layers, richness",
    [(torch.tanh, 2, 1.5), (torch.tanh, 1, 1.5), (None, 2, 1.0)],
)
def test_finite_networks_scatter_around_the_theory(activation, hidden_layers, richness):
    seeds = 8
    apply = identity_by_another_name if activation is None else activation
    path, kernel = train(apply, hidden_layers, richness, 8, 0.1, 512, seeds)
    theory = march(
        KERNEL,
        LABEL,
        richness,
        8,
        step=0.1,
        hidden_layers=hidden_layers,
        activation=activation,
        neurons=20000,
        seed=0,
    )
    error = (path.var(0) / seeds + theory.error**2).sqrt()
    assert error.max() < 0.02
    assert ((path.mean(0) - theory.prediction) / error)[1:].abs().max() < 5  # t of 7 degrees
    found, expected = kernel.mean(0), theory.feature[-1, -2:, -2:]
    assert ((found - expected) / (kernel.std(0) / seeds**0.5 + 0.01)).abs().max() < 4


def test_a_step_that_is_too_large_is_flagged_and_spares_the_others():
    label = torch.tensor([[1.0], [1e200]], dtype=DOUBLE)
    theory = linear(ONE, label, 1.0, 12, step=0.1)
    assert theory.finite.tolist() == [True, False]
    close(theory.prediction[0], linear(ONE, Y, 1.0, 12, step=0.1).prediction)


def test_single_precision_and_other_devices(device):
    theory = linear(KERNEL.float().to(device), LABEL.float().to(device), 1.0, 3, step=0.1)
    assert theory.prediction.dtype == DOUBLE and theory.prediction.device.type == device.type
    found = sampled(
        KERNEL.to(device), LABEL.to(device), 1.0, 3, step=0.1, hidden_layers=2,
        activation=torch.tanh, neurons=40, seed=0,
    )  # fmt: skip
    assert found.feature.device.type == device.type


@pytest.mark.parametrize("road", [linear, sampled])
def test_a_kernel_in_single_precision_is_a_covariance_up_to_rounding(road):
    """X X^T of many samples in few dimensions: zero eigenvalues come out as -1e-7."""
    X = normal(3, "points", 1, (12, 3))[0].float()
    kernel, label = X @ X.T / 3, X[:, 0]
    assert torch.linalg.eigvalsh(kernel.double()).min() < -1e-9
    more = {} if road is linear else {"activation": torch.tanh, "neurons": 200, "seed": 0}
    setting = {"step": 0.02, "hidden_layers": 2} | more
    single = road(kernel, label, 1.0, 3, **setting)
    double = road(X.double() @ X.T.double() / 3, label.double(), 1.0, 3, **setting)
    assert single.finite.all()
    # a root of the kernel lies behind drawn neurons: 1e-7 in it becomes 3e-4 in them
    bound = 1e-5 if road is linear else 1e-3
    torch.testing.assert_close(single.prediction, double.prediction, rtol=0, atol=bound)
    with pytest.raises(ValueError, match="symmetric"):
        road(kernel + 1e-3 * torch.ones(12, 12).triu(1), label, 1.0, 3, **setting)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kernel": KERNEL + INPUTS[:, :2]}, "symmetric"),
        ({"kernel": KERNEL + 1e-8 * torch.ones(2, 2).triu(1)}, "symmetric"),
        ({"kernel": -KERNEL}, "negative eigenvalue"),
        ({"kernel": KERNEL * float("nan")}, "kernel must not hold NaN"),
        ({"kernel": KERNEL * float("inf")}, "finite, symmetric"),
        ({"label": LABEL / 0}, "label must be finite"),
        ({"richness": 0.0}, "richness must be positive"),
        ({"step": -0.1}, "step must be positive"),
        ({"steps": -1}, "steps must be a non-negative whole number"),
        ({"hidden_layers": 0}, "hidden_layers must be at least 1"),
        ({"groups": 1}, "groups must be at least 2"),
        ({"neurons": 19}, "neurons must be at least 20"),
        ({"activation": torch.relu}, "activation must be smooth"),
    ],
)
def test_impossible_problems_are_refused(change, message):
    problem = {
        "kernel": KERNEL,
        "label": LABEL,
        "richness": 1.0,
        "steps": 2,
        "step": 0.1,
        "hidden_layers": 2,
        "activation": torch.tanh,
        "seed": 0,
    }
    with pytest.raises(ValueError, match=message):
        sampled(**(problem | change))
