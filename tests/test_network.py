"""Networks of every kind against torch's modules, and gradients by hand against autograd."""

import pytest
import torch
from torch import nn

from toymodels.networks.activation import LeakyReLU, activate
from toymodels.networks.loss import cross_entropy, slope, squared_error
from toymodels.networks.network import AutogradGradient, Perceptron, PlainGradient, for_members
from toymodels.numerics.draws import Stream, normal
from toymodels.numerics.entrywise import identity

MEMBERS, SAMPLES = 3, 8
WIDTHS = [4, 6, 6, 2]
INPUTS = normal(0, "inputs", 1, (SAMPLES, 4))[0]
LABELS = normal(0, "labels", 1, (SAMPLES, 2))[0]
CLASSES = LABELS.softmax(-1) * torch.linspace(0.5, 1.5, SAMPLES, dtype=torch.float64)[:, None]
EACH = torch.tensor([0.1, 0.3, 0.7], dtype=torch.float64)


def start(biases=False):
    shapes = [(WIDTHS[k + 1], WIDTHS[k]) for k in range(3)]
    shapes += [(1, width) for width in WIDTHS[1:]] if biases else []
    return [normal(1, f"tensor {k}", MEMBERS, s) / s[1] ** 0.5 for k, s in enumerate(shapes)]


def modules(member, network):
    """The same network of torch's own layers, as far as torch has them."""
    weights = start(network.biases)
    layers = []
    for k in range(3):
        layers.append(nn.Linear(WIDTHS[k], WIDTHS[k + 1], bias=network.biases))
        layers[-1].weight.data = weights[k][member]
        if network.biases:
            layers[-1].bias.data = weights[3 + k][member, 0]
        if k < 2:
            layers.append(nn.Tanh())
    return nn.Sequential(*layers)


@pytest.mark.parametrize("biases", [False, True])
def test_outputs_and_features_are_those_of_torch(biases):
    network = Perceptron(torch.tanh, biases=biases)
    for member in range(MEMBERS):
        other, weights = modules(member, network), start(biases)
        torch.testing.assert_close(network(weights, INPUTS)[member], other(INPUTS))
        layers, features = network.layers(weights, INPUTS), network.features(weights, INPUTS)
        assert len(layers) == 3 and len(features) == 2
        torch.testing.assert_close(layers[1][member], other[:3](INPUTS))
        torch.testing.assert_close(features[1][member], other[:4](INPUTS))


def test_skips_multipliers_and_depth():
    network = Perceptron(torch.tanh, residual=True, multipliers=[0.5, EACH, 2.0])
    first, second, last = (w[1] for w in start())
    h = 0.5 * INPUTS @ first.T
    h = h + 0.3 * torch.tanh(h) @ second.T
    torch.testing.assert_close(network(start(), INPUTS)[1], 2 * torch.tanh(h) @ last.T)


def test_skips_may_jump_over_two_matrices():
    shapes = [(5, 4), (3, 5), (5, 3), (3, 5), (5, 3), (2, 5)]  # narrow inside of the branches
    weights = [normal(7, f"block {k}", 2, shape) for k, shape in enumerate(shapes)]
    network = Perceptron(
        torch.tanh, residual=True, block=2, multipliers=[1.0, 2.0, 0.5, 1.0, 3.0, 1.0]
    )
    first, *inner, last = (w[1] for w in weights)
    h = INPUTS @ first.T
    for (one, two), (m, n) in zip((inner[:2], inner[2:]), ((2, 0.5), (1, 3)), strict=True):
        h = h + n * torch.tanh(m * torch.tanh(h) @ one.T) @ two.T
    network.check(weights, INPUTS, LABELS)
    torch.testing.assert_close(network(weights, INPUTS)[1], torch.tanh(h) @ last.T)
    with pytest.raises(ValueError, match="block must divide the 4 matrices .* got 3"):
        Perceptron(residual=True, block=3).check(weights, INPUTS, LABELS)
    with pytest.raises(ValueError, match="block must divide the 4 matrices .* got 0"):
        Perceptron(residual=True, block=0).check(weights, INPUTS, LABELS)
    with pytest.raises(ValueError, match="equal for skips"):
        Perceptron(residual=True).check(weights, INPUTS, LABELS)


def test_normalization_is_batch_norm_before_the_bias():
    network = Perceptron(torch.relu, biases=True, normalize=True)
    weights = start(biases=True)
    z = INPUTS
    for k in range(2):
        norm = nn.BatchNorm1d(WIDTHS[k + 1], affine=False).double()
        z = torch.relu(norm(z @ weights[k][2].T) + weights[3 + k][2])
    expected = z @ weights[2][2].T + weights[5][2]
    torch.testing.assert_close(network(weights, INPUTS)[2], expected)


def test_moments_of_the_training_samples_normalize_others():
    network, weights = Perceptron(torch.tanh, normalize=True), start()
    moments = network.moments(weights, INPUTS)
    torch.testing.assert_close(
        network(weights, INPUTS[:3], moments), network(weights, INPUTS)[:, :3]
    )
    with_own = network.features(weights, INPUTS[:3])[0]
    assert not torch.allclose(with_own, network.features(weights, INPUTS[:3], moments)[0])


def test_dropout_loses_a_fraction_and_keeps_the_mean():
    """A network of ones: every hidden signal is 1, the output counts those that survive."""
    width = 4000
    weights = [torch.ones(MEMBERS, width, 1), torch.ones(MEMBERS, 1, width) / width]
    network = Perceptron(dropout=EACH.float())
    out = network.training(weights, torch.ones(2, 1), Stream(0, MEMBERS), 0)[..., 0]
    # binomial: the standard error of survivors / (1 - rate) is sqrt(rate / (1 - rate) / width)
    error = (EACH / (1 - EACH) / width).sqrt()[:, None]
    assert ((out - 1).abs() < 4 * error).all() and (out != 1).all()
    assert (out[:, 0] != out[:, 1]).all(), "samples lose different signals"
    again = network.training(weights, torch.ones(2, 1), Stream(0, MEMBERS), 1)[..., 0]
    assert (out != again).all(), "steps lose different signals"
    torch.testing.assert_close(network(weights, torch.ones(2, 1)), torch.ones(MEMBERS, 2, 1))


def test_layers_lose_different_signals():
    """Two linear layers of identity matrices: the survivors of both multiply."""
    width, rate = 4000, 0.5
    eye = torch.eye(width).expand(1, -1, -1)
    network = Perceptron(dropout=rate)
    out = network.training([eye, eye, eye], torch.ones(1, width), Stream(0, 1), 0)
    survivors = (out > 0).double().mean()
    assert abs(survivors - 0.25) < 4 * (0.25 * 0.75 / width) ** 0.5  # 0.5 if both lost the same


ACTIVATIONS = {
    "linear": None,
    "relu": torch.relu,
    "functional relu": nn.functional.relu,
    "tanh": torch.tanh,
    "leaky": LeakyReLU(0.3),
    "leaky, each": LeakyReLU(EACH),
    "erf": torch.erf,
    "square": torch.square,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("loss", [squared_error, cross_entropy])
def test_gradients_by_hand_are_those_of_autograd(name, biases, loss):
    network = Perceptron(ACTIVATIONS[name], multipliers=[1.0, EACH, 0.4], biases=biases)
    weights, labels = start(biases), LABELS if loss is squared_error else CLASSES
    assert network.plain
    by_hand = PlainGradient(network, loss)
    by_hand(start(biases), 2 * INPUTS, labels)  # leaves its memory full
    seen = by_hand(weights, INPUTS, labels)
    expected = AutogradGradient(network, loss, Stream(0, MEMBERS))(weights, INPUTS, labels)
    assert len(seen) == len(weights)
    for ours, theirs in zip(seen, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_hyperbolic_tangent_keeps_its_digits_far_and_near(dtype):
    size = torch.cat([torch.logspace(-30, 2.5, 2001), torch.tensor([1e30, torch.inf])])
    z = torch.cat([size, -size]).to(dtype)
    signal = activate(torch.tanh, torch.cat([z, torch.zeros(1, dtype=dtype)]))[0]
    torch.testing.assert_close(
        signal[:-1].double() / z.double().tanh(),
        torch.ones(len(z), dtype=torch.float64),
        atol=3 * torch.finfo(dtype).eps,
        rtol=0,
    )
    assert signal[-1] == 0 and activate(torch.tanh, torch.full((1,), torch.nan))[0].isnan()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_errors_travel_back_through_an_activation(name):
    activation = ACTIVATIONS[name]
    z = normal(3, "z", MEMBERS, (5, 4)).requires_grad_(True)
    error = normal(4, "error", MEMBERS, (5, 4))
    signal = z * 1 if activation is None else activation(z)
    (expected,) = torch.autograd.grad(signal, z, error)
    activation = identity if activation is None else activation
    ours, back = activate(activation, z.detach().clone())
    torch.testing.assert_close(ours, signal.detach())
    torch.testing.assert_close(back(error.clone()), expected)


def test_leaky_slopes_are_those_of_torch():
    z = normal(5, "z", 1, (9, 4))
    torch.testing.assert_close(LeakyReLU(0.2)(z), nn.functional.leaky_relu(z, 0.2))
    torch.testing.assert_close(
        LeakyReLU(EACH)(z.expand(MEMBERS, 9, 4))[2], nn.functional.leaky_relu(z[0], 0.7)
    )


@pytest.mark.parametrize(
    "loss", [squared_error, cross_entropy, lambda out, lab: (out - lab).abs().sum((-1, -2))]
)
def test_slopes_of_losses_are_those_of_autograd(loss):
    outputs = normal(6, "outputs", MEMBERS, (SAMPLES, 2)).requires_grad_(True)
    (expected,) = torch.autograd.grad(loss(outputs, CLASSES).sum(), outputs)
    torch.testing.assert_close(slope(loss, outputs.detach().clone(), CLASSES), expected)


def test_losses_are_means_over_samples():
    outputs = normal(6, "outputs", MEMBERS, (SAMPLES, 2))
    half = nn.functional.mse_loss(outputs[1], LABELS, reduction="sum") / (2 * SAMPLES)
    torch.testing.assert_close(squared_error(outputs, LABELS)[1], half)
    torch.testing.assert_close(
        cross_entropy(outputs, CLASSES)[1], nn.functional.cross_entropy(outputs[1], CLASSES)
    )


def test_numbers_per_member_are_changed_at_any_depth():
    network = Perceptron(LeakyReLU(EACH), multipliers=[EACH, 2.0], dropout=0.1)
    changed = for_members({"a": network, "b": [EACH, torch.tensor(3.0)]}, lambda v: v[1:])
    assert torch.equal(changed["a"].activation.slope, EACH[1:])
    assert torch.equal(changed["a"].multipliers[0], EACH[1:])
    assert changed["a"].multipliers[1] == 2.0 and changed["a"].dropout == 0.1
    assert torch.equal(changed["b"][0], EACH[1:]) and changed["b"][1] == 3.0


@pytest.mark.parametrize(
    ("network", "weights", "what"),
    [
        (Perceptron(biases=True), start(), "a bias per matrix, got 3 tensors"),
        (Perceptron(), start()[1:], "layer 1 must take 4 inputs, got 6"),
        (Perceptron(biases=True), [*start(), *start()], "bias 1 must have shape"),
        (Perceptron(multipliers=[1.0]), start(), "multipliers must be 3, one per layer, got 1"),
        (Perceptron(dropout=1.0), start(), "dropout must be at least 0 and below 1"),
        (Perceptron(dropout=-EACH), start(), "dropout must be at least 0 and below 1"),
        (Perceptron(residual=True), [w[:, :, :] for w in start()], None),
    ],
)
def test_networks_refuse_what_does_not_fit(network, weights, what):
    if what is None:
        network.check(weights, INPUTS, LABELS)
        return
    with pytest.raises(ValueError, match=what):
        network.check(weights, INPUTS, LABELS)


def test_skips_need_equal_widths():
    shapes = [(5, 4), (6, 5), (2, 6)]
    weights = [torch.zeros(1, *s, dtype=torch.float64) for s in shapes]
    with pytest.raises(ValueError, match=r"equal for skips, got \[5, 6\]"):
        Perceptron(residual=True).check(weights, INPUTS, LABELS)


@pytest.mark.parametrize(
    "network", [Perceptron(residual=True), Perceptron(normalize=True), Perceptron(dropout=EACH)]
)
def test_only_plain_networks_are_differentiated_by_hand(network):
    assert not network.plain and Perceptron(biases=True).plain
