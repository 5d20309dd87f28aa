"""Claims of chapters/lazy_training.md, one test per claim."""

import math

import numpy as np
import pytest
import torch

from toymodels import mean_field
from toymodels.exercises import lazy_training as exercises
from toymodels.lazy_training import (
    Lazy,
    LazyNetwork,
    decay_rate,
    experiment,
    layer_kernels,
    linearised,
    relu_drift,
    scatter,
    smooth_drift,
    theory,
    wide_kernels,
)
from toymodels.networks import GradientDescent, Perceptron, tangent_kernel
from toymodels.numerics import draws, mean

DOUBLE = torch.float64
X = 3**0.5 * torch.tensor([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0.6, 0.8]], dtype=DOUBLE)
Y = torch.tensor([1.0, -1.0, 0.5], dtype=DOUBLE)
NEW = torch.tensor([[0.5, -1.0, 0.8], [1.0, 1.0, 1.0]], dtype=DOUBLE)
TIME = torch.tensor([0.0, 0.5, 3.0, 20.0], dtype=DOUBLE)
SMALL = LazyNetwork(X, Y, torch.erf, 2, 1.3, 0.2)


def close(left, right, tolerance=1e-12):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def tensor(*numbers):
    return torch.tensor(numbers, dtype=DOUBLE)


def relu_pair(q, p, k):
    """<relu(u) relu(v)> and <relu' relu'>, an integral over the directions of the plane."""
    node, weight = np.polynomial.legendre.leggauss(40)
    turn = math.acos(max(-1.0, min(1.0, k / math.sqrt(q * p))))
    low, high = turn - math.pi / 2, math.pi / 2  # where both are positive
    angle = (high - low) / 2 * node + (high + low) / 2
    share = (high - low) / 2 * weight / (2 * math.pi)
    value = 2 * math.sqrt(q * p) * (share * np.cos(angle) * np.cos(angle - turn)).sum()
    return value, share.sum()


def erf_pair(q, p, k):
    """The same for erf, on a grid of two normal numbers."""
    node, weight = np.polynomial.hermite_e.hermegauss(180)
    weight = np.outer(weight, weight) / weight.sum() ** 2
    a, b = np.meshgrid(node, node, indexing="ij")
    u = math.sqrt(q) * a
    v = k / math.sqrt(q) * a + math.sqrt(max(p - k * k / q, 0.0)) * b
    slope = lambda z: 2 / math.sqrt(math.pi) * np.exp(-(z**2))  # noqa: E731
    erf = lambda z: torch.erf(torch.as_tensor(z)).numpy()  # noqa: E731
    return (weight * erf(u) * erf(v)).sum(), (weight * slope(u) * slope(v)).sum()


def by_hand(pair, left, right, layers, weight, bias):
    """Both kernels, pair of inputs by pair of inputs."""
    found = torch.empty(2, len(left), len(right), dtype=DOUBLE)
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            q, p, k = (
                (weight * (a @ b) / len(x) + bias).item() for a, b in ((x, x), (y, y), (x, y))
            )
            theta = k
            for _ in range(layers):
                value, slope = pair(q, p, k)
                q, p = (weight * pair(own, own, own)[0] + bias for own in (q, p))
                k = weight * value + bias
                theta = k + weight * slope * theta
            found[:, i, j] = tensor(k, theta)
    return found


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("activation", "pair"), [(torch.relu, relu_pair), (torch.erf, erf_pair)])
def test_both_wide_kernels_are_their_quadrature(activation, pair, layers):
    model = LazyNetwork(0.6 * X, Y, activation, layers, 1.3, 0.2)
    expected = by_hand(pair, 0.6 * X, 0.6 * X, layers, 1.3, 0.2)
    close(torch.stack(wide_kernels(model)), expected, 1e-10)
    expected = by_hand(pair, 0.6 * X, NEW, layers, 1.3, 0.2)
    close(torch.stack(wide_kernels(model, NEW)), expected, 1e-10)


def test_kernels_of_many_problems():
    weight = tensor(0.5, 2.0)
    many = LazyNetwork(X, Y, torch.erf, 2, weight, 0.1)
    one = LazyNetwork(X, Y, torch.erf, 2, 2.0, 0.1)
    assert many.batch == (2,)
    for others in (None, NEW):
        close(wide_kernels(many, others).tangent[1], wide_kernels(one, others).tangent)
    close(layer_kernels(many)[1], layer_kernels(one))
    close(theory(many, TIME, NEW).new[1], theory(one, TIME, NEW).new)
    close(scatter(many, TIME, NEW)[1], scatter(one, TIME, NEW))
    seen = [experiment(m, TIME[:3], seed=1, width=8, members=3, step=0.1) for m in (many, one)]
    close(seen[0].kernel[1], seen[1].kernel)
    close(seen[0].motion[1], seen[1].motion)


def test_theory_is_the_exponential_of_the_kernel():
    found, both = theory(SMALL, TIME, NEW), wide_kernels(SMALL)
    left = torch.matrix_exp(-both.tangent * TIME[:, None, None])
    close(found.prediction, Y - left @ Y)
    close(found.kernel, both.tangent.expand(4, 3, 3))
    across = wide_kernels(SMALL, NEW).tangent
    expected = (Y - left @ Y) @ torch.linalg.inv(both.tangent) @ across
    close(found.new, expected)
    close(theory(SMALL, TIME, X).new, found.prediction)


def test_what_the_kernel_cannot_see_is_never_learned():
    inputs = torch.eye(2, dtype=DOUBLE)[[0, 1, 0]]
    found = theory(LazyNetwork(inputs, tensor(1.0, 0.0, -1.0), None), tensor(0.0, 1e6))
    close(found.prediction, torch.zeros(2, 3, dtype=DOUBLE))
    close(found.motion, torch.zeros(2, 2, dtype=DOUBLE), 1e-6)


def test_motion_is_the_length_of_the_kernel_machine():
    found, K = theory(SMALL, TIME), wide_kernels(SMALL).tangent
    learned = found.prediction
    total = (learned @ torch.linalg.inv(K) * learned).sum(-1)
    close(found.motion.sum(-1), total)
    assert found.motion.shape == (4, 3)


def test_layers_add_up_to_the_tangent_kernel():
    both, layers = wide_kernels(SMALL), layer_kernels(SMALL)
    close(layers.sum(-3), both.tangent)
    close(layers[-1], both.nngp)
    close(wide_kernels(LazyNetwork(X, Y, torch.erf, 2, 1.3, 0.2)).tangent, both.tangent)
    plain = LazyNetwork(NEW, Y[:2], None, 2)  # three equal layers
    close(layer_kernels(plain), (NEW @ NEW.T / 3).expand(3, 2, 2))


def test_each_layer_is_that_of_networks():
    model = LazyNetwork(X + 0.2, Y, torch.erf, 2, 1.3)
    sizes = [3, 150, 150, 1]
    weights = [
        draws.normal(5, f"layer {k}", 200, shape)
        for k, shape in enumerate(zip(sizes[1:], sizes[:-1], strict=True))
    ]
    network = Perceptron(torch.erf, [(1.3 / n) ** 0.5 for n in sizes[:-1]])
    for layer, expected in enumerate(layer_kernels(model)):
        rates = [float(layer == k) for k in range(3)]
        found = mean(tangent_kernel(network, weights, X + 0.2, rates=rates)[..., 0, 0], 0)
        deviation = (found.value - expected).abs() / (found.error + 0.01 * expected.abs())
        assert deviation.max() < 4


def test_first_kernel_of_the_experiment_is_its_tangent_kernel():
    seen = experiment(SMALL, TIME[:1], seed=7, width=12, members=4, step=0.1)
    sizes = [3, 12, 12, 1]
    matrices, rows = [], []
    for k, (out, into) in enumerate(zip(sizes[1:], sizes[:-1], strict=True)):
        matrices.append(draws.normal(7, f"layer {k}", 4, (out, into)))
        rows.append(0.2**0.5 * draws.normal(7, f"bias {k}", 4, (1, out)))
    network = Perceptron(torch.erf, [(1.3 / n) ** 0.5 for n in sizes[:-1]], biases=True)
    expected = tangent_kernel(network, [*matrices, *rows], X, rates=[1.0] * 3 + [0.2] * 3)
    close(seen.kernel[:, 0], expected[..., 0, 0])
    close(seen.prediction, torch.zeros(4, 1, 3, dtype=DOUBLE))
    close(seen.motion, torch.zeros(4, 1, 3, dtype=DOUBLE))
    raw = experiment(
        SMALL, TIME[:1], seed=7, width=12, members=4, step=0.1, others=X, centred=False
    )
    close(raw.prediction[:, 0], network([*matrices, *rows], X)[..., 0])
    close(raw.new, raw.prediction)


def test_members_do_not_depend_on_company():
    few, many = (
        experiment(SMALL, TIME[:3], seed=2, width=6, members=k, step=0.1, others=NEW)
        for k in (2, 5)
    )
    close(many.kernel[:2], few.kernel)
    close(many.new[:2], few.new)
    assert not torch.allclose(many.kernel[0], many.kernel[1])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("activation", "weight"), [(torch.relu, 2.0), (torch.erf, 1.3)])
def test_wide_networks_follow_the_theory(activation, weight, layers):
    model = LazyNetwork(X, Y, activation, layers, weight, 0.1)
    time = tensor(0.0, 1.0, 4.0)
    seen = experiment(model, time, seed=4, width=200, members=20, step=0.2, others=NEW)
    exact = theory(model, time, NEW)
    for name in ("prediction", "kernel", "motion", "new"):
        found, expected = getattr(seen, name)[:, 1:], getattr(exact, name)[1:]
        found = mean(found, 0)
        bound = 4 * found.error + 0.02 * expected.abs().amax()  # O(1 / sqrt n) gates, O(1 / n)
        assert ((found.value - expected).abs() < bound).all(), name


def test_motion_is_measured_in_unit_gaussians():
    """Of a linear neuron that sees the input 0 only the bias learns: db = sqrt(C_b) w a."""
    model = LazyNetwork(torch.zeros(1, 1, dtype=DOUBLE), tensor(1e-4), None, 1, 1.0, 0.3)
    seen = experiment(model, tensor(0.0, 2.0), seed=1, width=1, members=3, step=0.02)
    K = seen.kernel[:, 0, 0, 0]
    w = draws.normal(1, "layer 1", 3, (1, 1))[:, 0, 0]
    a = 1e-4 * (1 - torch.exp(-2 * K)) / K
    close(seen.motion[:, 1, 0].sqrt(), (0.3**0.5 * w * a).abs(), 1e-6)


def test_flow_and_small_steps_of_descent():
    how = {"seed": 3, "width": 10, "members": 3}
    flow = experiment(SMALL, TIME[:3], step=0.1, **how)
    finer = experiment(SMALL, TIME[:3], step=0.02, **how)
    close(flow.prediction, finer.prediction, 1e-3)
    coarse, fine = (
        experiment(SMALL, TIME[:3], step=h, rule=GradientDescent, **how) for h in (0.02, 0.01)
    )
    off = [(x.prediction - finer.prediction).abs().max() for x in (coarse, fine)]
    assert 1.7 < off[0] / off[1] < 2.3 and off[0] < 0.05


def test_linearised_is_training_at_the_first_kernel():
    exact = theory(SMALL, TIME)
    close(linearised(SMALL, exact), exact.prediction)
    wide = LazyNetwork(X, Y, torch.erf)
    seen = experiment(wide, TIME, seed=6, width=1024, members=8, step=0.25)
    own = (linearised(wide, seen) - seen.prediction).abs().max()
    limit = (theory(wide, TIME).prediction - seen.prediction).abs().max()
    assert own < 0.3 * limit
    late = Lazy(TIME[1:], *(getattr(seen, k)[:, 1:] for k in ("prediction", "kernel", "motion")))
    with pytest.raises(ValueError, match=r"seen\.time must be 0 at first"):
        linearised(SMALL, late)


def test_late_rate_is_the_smallest_eigenvalue():
    time, model = tensor(0.0, 1.0, 26.0, 30.0), LazyNetwork(X, Y, torch.erf)
    rate = decay_rate(model, theory(model, time))
    least = torch.linalg.eigvalsh(wide_kernels(model).tangent)[0]
    close(rate[-1], least, 1e-6)
    assert rate[0] > rate[1] > rate[2] * (1 - 1e-9)
    seen = experiment(model, time, seed=8, width=64, members=4, step=0.2)
    own = torch.linalg.eigvalsh(seen.kernel[:, -1])[:, 0]
    close(decay_rate(model, seen)[:, -1], own, 1e-3)


def test_smooth_drift_is_the_second_order_of_mean_field_theory():
    one = torch.ones(1, 1, dtype=DOUBLE)
    for activation in (torch.erf, torch.tanh, None):
        richness = 0.02
        model = mean_field.MeanField(one, one[0], richness, 1, activation)
        coarse, fine = (
            mean_field.theory(model, int(8 / step), step=step, points=4096).tangent[[0, -1], 0, 0]
            for step in (0.08, 0.04)
        )
        change = (2 * fine - coarse).diff()[0] / richness**2  # at step 0
        act = activation or (lambda z: z)
        close(smooth_drift(act, 1.0).mean, change, 3e-3)
        close(smooth_drift(act, 4.0, 2.0).mean, change, 3e-3)


def test_drift_of_linear_neurons_is_known():
    """K = 2 cosh 2t and 2 t = |y| / sqrt n: a change of 4 t^2; F' = 4 h z."""
    found = smooth_drift(lambda z: z, 100.0, 3.0)
    close(found.mean, tensor(9 / 100)[0])
    close(found.spread, tensor(4 * 1.5 / 10 / 10)[0])


@pytest.mark.parametrize("activation", [torch.erf, torch.tanh])
def test_smooth_drift_is_that_of_networks(activation):
    model = LazyNetwork([[1.0]], [1.0], activation)
    seen = experiment(model, [0.0, 12.0], seed=11, width=256, members=2000, step=0.4)
    change = (seen.kernel[:, 1] - seen.kernel[:, 0]).flatten()
    expected, found = smooth_drift(activation, 256), mean(change, 0)
    assert (found.value - expected.mean).abs() < 4 * found.error
    assert (change.std() / expected.spread - 1).abs() < 0.08


def neurons_that_die(richness):
    """ReLU neurons on a grid of directions, (h, z) turned in small steps until h is 0."""
    angle = (torch.arange(40_000, dtype=DOUBLE) + 0.5) / 40_000 * math.pi - math.pi / 2
    h, z, clock, kernel = angle.cos(), angle.sin(), 1e-4, 1.0
    while (h * z).mean() < richness:  # <r^2> = 2, and half of the neurons live
        h, z = (
            h * math.cosh(clock) + z * math.sinh(clock),
            z * math.cosh(clock) + h * math.sinh(clock),
        )
        h, z = torch.where(h > 0, h, 0.0), torch.where(h > 0, z, 0.0)
        kernel = (h**2 + z**2).mean()
    return kernel - 1


@pytest.mark.parametrize("richness", [0.05, 0.3, 1.5])
def test_relu_drift_is_that_of_dying_neurons(richness):
    expected = neurons_that_die(richness)
    close(relu_drift(1 / richness**2).mean, expected, 2e-3)
    close(relu_drift(9 / richness**2, 3.0).mean, expected, 2e-3)


def test_relu_drift_is_that_of_networks():
    model = LazyNetwork([[1.0]], [1.0], torch.relu)
    for width, members in ((64, 4000), (2048, 250)):
        seen = experiment(model, [0.0, 12.0], seed=12, width=width, members=members, step=0.4)
        change = (seen.kernel[:, 1] - seen.kernel[:, 0]).flatten()
        expected, found = relu_drift(width), mean(change, 0)
        assert (found.value - expected.mean).abs() < 4 * found.error
        assert (change.std() / expected.spread - 1).abs() < 4 / (2 * members) ** 0.5 + 0.03


def test_relu_drift_goes_with_the_root_of_the_width():
    wide = relu_drift(tensor(1e8, 1e10), 2.0)
    close(wide.mean * tensor(1e4, 1e5), tensor(-2, -2) / math.pi, 1e-2)
    close(wide.spread * tensor(1e6, 10**7.5), tensor(1, 1) * (8 / math.pi) ** 0.5, 1e-2)


def test_two_relu_samples_of_one_label_share_a_clock():
    """The last exercise, on networks: the gates of both close at 1 / (Theta_11 + Theta_12)."""
    psi = math.pi / 3
    inputs = 2**0.5 * torch.tensor([[1.0, 0.0], [math.cos(psi), math.sin(psi)]])
    model = LazyNetwork(inputs, torch.ones(2), torch.relu)
    seen = experiment(model, [0.0, 8.0], seed=3, width=16384, members=24, step=0.4).kernel
    change = (seen[:, 1] - seen[:, 0]).double() * 16384**0.5
    coefficient = exercises.together.solution(psi)
    for found, expected in (
        (mean(change.diagonal(dim1=-2, dim2=-1).mean(-1), 0), coefficient),
        (mean(change[:, 0, 1], 0), coefficient * math.cos(psi)),
    ):
        assert (found.value - expected).abs() < 4 * found.error + 0.03
        assert found.value < -4 * found.error


def test_scatter_of_networks():
    model = LazyNetwork(X, Y, torch.erf, 1, 1.2, 0.1)
    time = tensor(0.0, 2.0, 40.0)
    how = {"seed": 13, "width": 150, "members": 500, "step": 0.4}
    seen = experiment(model, time, others=NEW, centred=False, **how)
    expected = scatter(model, time, NEW)
    assert ((seen.new.var(0) / expected - 1).abs() < 0.25).all()
    found = mean(seen.new, 0)
    assert ((found.value - theory(model, time, NEW).new).abs() < 4 * found.error + 0.01).all()
    close(
        expected[0], wide_kernels(LazyNetwork(NEW, Y[:2], torch.erf, 1, 1.2, 0.1)).nngp.diagonal()
    )
    close(scatter(model, tensor(1e3), X)[0], torch.zeros(3, dtype=DOUBLE), 1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": X * math.nan}, "inputs"),
        ({"label": Y * math.inf}, "label"),
        ({"label": Y[:2]}, "label"),
        ({"hidden_layers": 0}, "hidden_layers must be .* its own kernel machine"),
        ({"weight_variance": 0.0}, "weight_variance must be positive"),
        ({"bias_variance": -0.1}, "bias_variance must be non-negative"),
    ],
)
def test_models_that_are_none(change, message):
    fields = {"inputs": X, "label": Y, "activation": torch.erf} | change
    with pytest.raises(ValueError, match=message):
        LazyNetwork(**fields)


def test_refusals():
    with pytest.raises(ValueError, match="sorted and non-negative"):
        theory(SMALL, TIME.flip(0))
    with pytest.raises(ValueError, match="sorted and non-negative"):
        scatter(SMALL, -TIME[1:2], NEW)
    how = {"seed": 0, "step": 0.1}
    for wrong in ({"width": 0, "members": 2}, {"width": 3, "members": 0}):
        with pytest.raises(ValueError, match="nothing would be trained"):
            experiment(SMALL, TIME, **how, **wrong)
    with pytest.raises(FloatingPointError, match="use a smaller step"):
        experiment(SMALL, tensor(0.0, 900.0), seed=0, step=30.0, width=4, members=2)
    with pytest.raises(ValueError, match=r"seen\.time must hold two times"):
        decay_rate(SMALL, theory(SMALL, TIME[:1]))
    with pytest.raises(ValueError, match=r"seen\.prediction must be off the label"):
        still = LazyNetwork(X, 0 * Y, torch.erf)
        decay_rate(still, theory(still, TIME))
    for drift in (relu_drift, lambda *how: smooth_drift(torch.erf, *how)):
        for name, how in {"width": (0.0,), "label": (4.0, -1.0)}.items():
            with pytest.raises(ValueError, match=f"{name} must be positive"):
                drift(*how)
