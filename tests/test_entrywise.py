"""Functions entry by entry: who writes into its argument, who is linear, and slopes."""

import pickle

import pytest
import torch
from torch import nn

from toymodels.limits import field_theory, wide_kernels
from toymodels.networks.loss import squared_error
from toymodels.networks.network import Perceptron, PlainGradient
from toymodels.numerics.entrywise import derivatives, entrywise, identity

Z = torch.linspace(-2, 2, 9, dtype=torch.float64) + 0.1
PAIRS = {  # one that writes into its argument, one that does not
    "nn.ReLU": (nn.ReLU(inplace=True), torch.relu),
    "relu_": (torch.relu_, torch.relu),
    "nn.ELU": (nn.ELU(inplace=True), nn.functional.elu),
    "silu": (lambda z: nn.functional.silu(z, inplace=True), nn.functional.silu),
    "tanh_": (torch.tanh_, torch.tanh),
    "Tensor.erf_": (torch.Tensor.erf_, torch.erf),
}


@pytest.mark.parametrize("name", PAIRS)
def test_arguments_are_left_alone(name):
    in_place, plain = PAIRS[name]
    kept = Z.clone()
    torch.testing.assert_close(entrywise(in_place)(kept), plain(Z))
    assert torch.equal(kept, Z)
    for ours, theirs in zip(derivatives(in_place, kept, 2), derivatives(plain, Z, 2), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(kept, Z) and not kept.requires_grad


@pytest.mark.parametrize("name", PAIRS)
def test_networks_and_limits_take_functions_that_write_into_their_argument(name):
    in_place, plain = PAIRS[name]
    X = torch.tensor([[1.0, 0.3], [-0.2, 0.8], [0.5, 0.5]], dtype=torch.float64)
    y, weights = X[:, :1], [X[None] + k for k in (0, 1)]
    weights[1] = weights[1].mT[:, :1]
    for ours, theirs in zip(wide_kernels(X, in_place, 2), wide_kernels(X, plain, 2), strict=True):
        torch.testing.assert_close(ours, theirs)
    kernel = X @ X.mT
    ours, theirs = (
        field_theory.march(kernel, y[:, 0], 1.0, 4, step=0.1, activation=a, points=1 << 10)
        for a in (in_place, plain)
    )
    torch.testing.assert_close(ours.prediction, theirs.prediction)
    assert not torch.allclose(
        ours.prediction, field_theory.linear(kernel, y[:, 0], 1.0, 4, step=0.1).prediction
    )
    networks = [Perceptron(a) for a in (in_place, plain)]
    out = [net(weights, X) for net in networks]
    torch.testing.assert_close(*out)
    slopes = [PlainGradient(net, squared_error)(weights, X, y) for net in networks]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("function", [None, identity, nn.Identity(), lambda z: z, lambda z: 1 * z])
def test_there_is_one_way_to_be_linear(function):
    assert entrywise(function) is identity
    for found, expected in zip(derivatives(function, Z, 2), (Z, Z**0, 0 * Z), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("function", [nn.Hardtanh(-1e5, 1e5), nn.ReLU6(), torch.relu])
def test_what_is_linear_in_places_is_not_linear(function):
    assert entrywise(function) is function


def test_a_function_that_is_pure_is_handed_on_as_it_is():
    """So that the fast roads still know it."""
    assert entrywise(torch.tanh) is torch.tanh
    copying = pickle.loads(pickle.dumps(entrywise(torch.relu_)))
    assert torch.equal(copying(Z), Z.relu())


def test_derivatives_are_those_of_the_sine():
    found = derivatives(torch.sin, Z, 3)
    for ours, theirs in zip(found, (Z.sin(), Z.cos(), -Z.sin(), -Z.cos()), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_derivatives_that_do_not_exist_are_zero():
    value, slope, bend = derivatives(torch.relu, torch.tensor([-1.0, 0.0, 1.0]), 2)
    assert slope.tolist() == [0, 0, 1] and bend.tolist() == [0, 0, 0]


def test_derivatives_leave_no_trace_of_inference_mode():
    with torch.inference_mode():
        _, slope = derivatives(torch.tanh, Z.clone())
    leaf = torch.ones(9, dtype=torch.float64, requires_grad=True)
    (leaf * slope).sum().backward()  # refused, were the slope an inference tensor
    torch.testing.assert_close(leaf.grad, 1 - Z.tanh() ** 2)


def test_parameters_of_another_precision_are_no_hindrance():
    bent = nn.PReLU(dtype=torch.float32)
    z = Z.float()
    torch.testing.assert_close(entrywise(bent)(z), torch.where(z > 0, z, 0.25 * z))


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (torch.sum, "activation must act entry by entry"),
        (lambda z: 3.0, "activation must act entry by entry"),
        (lambda z: torch.sqrt(z.to(torch.complex128)), "with real values"),
    ],
)
def test_what_is_no_function_of_entries_is_refused(function, what):
    with pytest.raises(ValueError, match=what):
        entrywise(function)


def test_a_function_that_autograd_cannot_follow_is_refused():
    with pytest.raises(ValueError, match="must be differentiable"):
        derivatives(lambda z: torch.from_numpy(z.detach().numpy()), Z)
