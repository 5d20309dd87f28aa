"""Empirical kernels against Jacobians of single networks and against infinite width."""

from functools import partial
from inspect import unwrap

import pytest
import torch

from toymodels.networks import tangent
from toymodels.networks.network import Perceptron
from toymodels.networks.parameterization import tangent as tangent_parameterization
from toymodels.networks.tangent import feature_kernels, tangent_kernel
from toymodels.numerics.draws import normal

MEMBERS = 3
WIDTHS = [4, 6, 5, 2]
INPUTS = normal(0, "inputs", 1, (5, 4))[0]
OTHERS = normal(0, "others", 1, (3, 4))[0]
EACH = torch.tensor([0.1, 0.3, 0.7], dtype=torch.float64)
NETWORK = Perceptron(torch.tanh, multipliers=[1.0, EACH, 0.5])


def start():
    return [normal(1, f"{k}", MEMBERS, (WIDTHS[k + 1], WIDTHS[k])) for k in range(3)]


def by_jacobians(member, inputs, others, rates=(1.0, 1.0, 1.0)):
    """One member, one output of one sample at a time."""

    def slopes(x, weights):
        z = torch.tanh(weights[0] @ x)
        out = 0.5 * weights[2] @ torch.tanh(EACH[member] * weights[1] @ z)
        return [torch.autograd.grad(o, weights, retain_graph=True) for o in out]

    weights = [w[member].requires_grad_(True) for w in start()]
    left, right = ([slopes(x, weights) for x in data] for data in (inputs, others))
    return torch.tensor(
        [
            [
                [[sum((r * (a * b).sum()) for r, a, b in zip(rates, p, q, strict=True)) for q in y]
                 for p in x]
                for y in right
            ]
            for x in left
        ],
        dtype=torch.float64,
    )  # fmt: skip


def test_the_tangent_kernel_is_a_product_of_jacobians():
    rates = (2.0, 0.5, 3.0)
    seen = tangent_kernel(NETWORK, start(), INPUTS, OTHERS, rates=rates)
    assert seen.shape == (MEMBERS, 5, 3, 2, 2)
    for member in range(MEMBERS):
        torch.testing.assert_close(seen[member], by_jacobians(member, INPUTS, OTHERS, rates))
    alone = tangent_kernel(NETWORK, start(), INPUTS)
    torch.testing.assert_close(alone[1], by_jacobians(1, INPUTS, INPUTS))


def test_chunks_and_leading_axes_change_nothing(monkeypatch):
    """But the rounding: a product of matrices may sum otherwise in other company."""
    same = partial(torch.testing.assert_close, rtol=0, atol=1e-13)
    whole = tangent_kernel(NETWORK, start(), INPUTS)
    features = feature_kernels(NETWORK, start(), INPUTS)
    monkeypatch.setattr(tangent, "room", lambda device: 1)
    same(tangent_kernel(NETWORK, start(), INPUTS), whole)
    same(feature_kernels(NETWORK, start(), INPUTS), features)
    grid = [w.reshape(3, 1, *w.shape[1:]) for w in start()]
    column = Perceptron(torch.tanh, multipliers=[1.0, EACH[:, None], 0.5])
    same(tangent_kernel(column, grid, INPUTS), whole[:, None])
    own = INPUTS.expand(3, 1, 5, 4)
    same(tangent_kernel(column, grid, own, OTHERS[:2]),
                       tangent_kernel(NETWORK, start(), INPUTS, OTHERS[:2])[:, None])  # fmt: skip


class Counting(Perceptron):
    """Notes how many members it is asked about at a time."""

    def layers(self, weights, inputs, moments=None):
        sizes.append(len(weights[0]))
        return super().layers(weights, inputs, moments)

    def __call__(self, weights, inputs, moments=None):
        return self.layers(weights, inputs, moments)[-1]


sizes = []


@pytest.mark.parametrize(
    ("kernel", "numbers"),
    [
        # three Jacobians or products of them: 64 weights by 5 samples by 2 outputs
        (tangent_kernel, 3 * 64 * 5 * 2),
        # twice 5 samples by the units and by the samples again, layer by layer
        (feature_kernels, 2 * 5 * (6 + 5 + 5 + 5 + 2 + 5)),
    ],
)
def test_memory_bounds_the_chunks(kernel, numbers, monkeypatch):
    """64 times the cache, for float64."""
    for room, expected in ((numbers // 4, [2, 1]), (numbers // 4 - 1, [1, 1, 1]), (0, [1, 1, 1])):
        monkeypatch.setattr(tangent, "room", lambda device, room=room: room)
        sizes.clear()
        kernel(Counting(torch.tanh), start(), INPUTS)
        assert sizes == expected


def test_feature_kernels_are_means_over_units():
    seen = feature_kernels(NETWORK, start(), INPUTS)
    hidden = torch.tanh(INPUTS @ start()[0][2].T)
    torch.testing.assert_close(seen[2, 0], hidden @ hidden.T / 6)
    hidden = torch.tanh(0.7 * hidden @ start()[1][2].T)
    torch.testing.assert_close(seen[2, 1], hidden @ hidden.T / 5)


def test_a_wide_linear_network_has_as_many_input_kernels_as_layers():
    """NTK parameterization: K = depth * x.x' / dimension, up to O(1/sqrt(width))."""
    width, members = 256, 24
    scales = tangent_parameterization([4, width, width, 1])
    weights = scales.start(members, seed=0)
    seen = tangent_kernel(Perceptron(multipliers=scales.multiplier), weights, INPUTS)[..., 0, 0]
    error = seen.std(0) / members**0.5
    expected = 3 * INPUTS @ INPUTS.T / 4
    assert ((seen.mean(0) - expected).abs() < 4 * error).all()
    assert (error.diagonal() < 0.1 * expected.diagonal()).all()


def test_one_rate_per_tensor():
    with pytest.raises(ValueError, match="rates must be 3, one per weight tensor, got 2"):
        tangent_kernel(NETWORK, start(), INPUTS, rates=[1.0, 1.0])


def test_one_layer_has_the_kernel_of_its_inputs_for_each_output():
    seen = tangent_kernel(Perceptron(), [normal(2, "one", MEMBERS, (2, 4))], INPUTS, OTHERS)
    expected = (INPUTS @ OTHERS.T)[..., None, None] * torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(seen, expected.expand(MEMBERS, 5, 3, 2, 2))


def test_rates_are_numbers():
    """Without the type check of these tests, which looks at one entry of a list, whichever."""
    plain = unwrap(tangent_kernel)
    with pytest.raises(ValueError, match="rates must be numbers, got"):
        plain(NETWORK, start(), INPUTS, rates=[1.0, EACH, 1.0])
    assert plain(NETWORK, start(), INPUTS, rates=[1, 1.0, 1]).shape == (MEMBERS, 5, 5, 2, 2)
