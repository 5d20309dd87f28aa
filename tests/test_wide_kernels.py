"""Kernels of infinitely wide networks: closed forms, quadrature and networks of finite width."""

import math
from functools import partial

import pytest
import torch

from toymodels.limits import kernels as module
from toymodels.limits.kernels import deeper_kernels, wide_kernels

DOUBLE = torch.float64
F = torch.nn.functional


def points(count, inputs=5, seed=0, dtype=DOUBLE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, inputs, generator=generator, dtype=dtype)


X, OTHERS = points(6), points(4, seed=1)


def close(left, right, tolerance=1e-12):
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def leaky(z):
    return F.leaky_relu(z, 0.3)


def scaled_erf(z):
    return 1.3 * torch.erf(z / math.sqrt(2))


def lopsided(z):
    """The error function on one side only."""
    return torch.where(z > 0, torch.erf(z), 0.5 * torch.erf(z))


def disguised(activation, z):
    """The same function, but a bump of 1e-13 that no average sees keeps it from recognition."""
    return activation(z) + torch.where(z.abs() < 1e-5, 1e-13, 0.0)


CLOSED = [torch.relu, leaky, torch.erf, scaled_erf, torch.abs, lambda z: -2 * z]


@pytest.mark.parametrize("activation", CLOSED)
@pytest.mark.parametrize("others", [None, OTHERS])
def test_closed_forms_equal_quadrature(activation, others):
    closed = wide_kernels(X, activation, 2, 1.7, 0.2, others)
    assert module._nonlinearity(partial(disguised, activation), X.device).pairs.func
    averaged = wide_kernels(X, partial(disguised, activation), 2, 1.7, 0.2, others)
    close(averaged, closed, 1e-11)


@pytest.mark.parametrize("activation", [*CLOSED, torch.nn.ReLU(), F.relu, torch.special.erf])
def test_the_usual_spellings_are_recognised(activation):
    assert not hasattr(module._nonlinearity(activation, X.device).pairs, "func")


@pytest.mark.parametrize("activation", [torch.tanh, F.gelu, F.relu6, F.elu, torch.sin, lopsided])
def test_other_functions_are_not_mistaken_for_closed_ones(activation):
    assert hasattr(module._nonlinearity(activation, X.device).pairs, "func")


def test_one_hidden_layer_by_hand():
    """Two inputs at a right angle and of norms 1 and 4 per dimension, C_W = 1, no bias."""
    inputs = torch.tensor([[math.sqrt(2), 0.0], [0.0, math.sqrt(8)]], dtype=DOUBLE)
    nngp, tangent = wide_kernels(inputs, torch.relu)
    expected = torch.tensor([[0.5, 1 / math.pi], [1 / math.pi, 2.0]], dtype=DOUBLE)
    close([nngp], [expected])
    close([tangent], [expected + torch.diag(torch.tensor([0.5, 2.0], dtype=DOUBLE))])


def test_erf_by_hand():
    inputs = torch.tensor([[1.0], [2.0]], dtype=DOUBLE)
    nngp, tangent = wide_kernels(inputs, torch.erf, 1, 0.5, 0.25)
    k = torch.tensor([[0.75, 1.25], [1.25, 2.25]], dtype=DOUBLE)
    q = 1 + 2 * k.diagonal()
    value = 2 / math.pi * torch.asin(2 * k / (q[:, None] * q).sqrt())
    slope = 4 / math.pi / (q[:, None] * q - 4 * k**2).sqrt()
    close([nngp, tangent], [0.25 + 0.5 * value, 0.25 + 0.5 * (value + slope * k)])


def test_a_linear_network_multiplies_its_kernel():
    first = 1.4 * X @ X.T / 5
    nngp, tangent = wide_kernels(X, lambda z: z, 3, 1.4)
    close([nngp, tangent], [1.4**3 * first, 4 * 1.4**3 * first])


def test_no_hidden_layer_is_a_linear_model():
    first = 0.7 * X @ OTHERS.T / 5 + 0.1
    close(wide_kernels(X, torch.relu, 0, 0.7, 0.1, OTHERS), [first, first])


def empirical(inputs, activation, hidden_layers, weight_variance, bias_variance, width, seeds):
    """Kernels of finite networks, (seed, row, row), from the definitions: outputs and gradients."""
    generator = torch.Generator().manual_seed(7)
    sizes = [inputs.shape[-1]] + [width] * hidden_layers + [1]
    signal, parts = inputs.expand(seeds, *inputs.shape), []
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        w = torch.randn(seeds, fan_in, fan_out, generator=generator, dtype=DOUBLE)
        b = torch.randn(seeds, 1, fan_out, generator=generator, dtype=DOUBLE)
        z = signal @ w * (weight_variance / fan_in) ** 0.5 + b * bias_variance**0.5
        z = z if z.requires_grad else z.requires_grad_()
        parts.append((signal.detach(), z))
        signal = activation(z)
    gradients = torch.autograd.grad(z.sum(), [z for _, z in parts])
    tangent = 0
    for (below, _), g in zip(parts, gradients, strict=True):
        inner = weight_variance * below @ below.mT / below.shape[-1] + bias_variance
        tangent = tangent + inner * (g @ g.mT)
    last = parts[-1][0]
    return weight_variance * last @ last.mT / width + bias_variance, tangent.detach()


@pytest.mark.parametrize("activation", [torch.relu, scaled_erf, torch.tanh])
def test_finite_networks_scatter_around_the_wide_kernels(activation):
    inputs, seeds = points(4, seed=3), 60
    setting = activation, 2, 1.5, 0.3
    finite = empirical(inputs, *setting, 256, seeds)
    for wide, found in zip(wide_kernels(inputs, *setting), finite, strict=True):
        error = found.std(0) / seeds**0.5
        assert error.max() < 0.03 * wide.max()  # sharp enough to tell the kernels apart
        # 10 entries; the shift of order 1 / width is 0.5 standard errors
        assert ((found.mean(0) - wide) / error).abs().max() < 4


def test_a_batch_of_problems_with_their_own_variances():
    batch = torch.stack([X, 2 * X, -X]).reshape(3, 1, 6, 5)
    weight = torch.tensor([[0.5], [1.0], [2.0]], dtype=DOUBLE)
    together = wide_kernels(batch, leaky, 2, weight, 0.1)
    for i in range(3):
        alone = wide_kernels(batch[i, 0], leaky, 2, weight[i, 0].item(), 0.1)
        close([part[i, 0] for part in together], alone, 1e-14)


@pytest.mark.parametrize("activation", [torch.relu, torch.erf])
def test_blocks_change_nothing(activation, monkeypatch):
    whole, across = (wide_kernels(X, activation, 2, 1.0, 0.1, other) for other in (None, OTHERS))
    monkeypatch.setattr(module, "BLOCK", 13)  # two rows of six at a time
    close(wide_kernels(X, activation, 2, 1.0, 0.1), whole, 1e-15)
    close(wide_kernels(X, activation, 2, 1.0, 0.1, OTHERS), across, 1e-15)
    for part in whole:
        assert torch.equal(part, part.mT)


@pytest.mark.parametrize("activation", [leaky, scaled_erf, torch.tanh])
def test_others_are_rows_of_the_same_kernel(activation):
    whole = wide_kernels(torch.cat([X, OTHERS]), activation, 3, 1.3, 0.2)
    close(wide_kernels(X, activation, 3, 1.3, 0.2, OTHERS), [part[:6, 6:] for part in whole])


def test_the_kernel_of_the_first_layer_will_do():
    first, sizes = 1.2 * X @ OTHERS.T / 5 + 0.3, []
    for side in (X, OTHERS):
        sizes.append(1.2 * side.square().mean(-1) + 0.3)
    close(
        deeper_kernels(first, torch.relu, 2, 1.2, 0.3, tuple(sizes)),
        wide_kernels(X, torch.relu, 2, 1.2, 0.3, OTHERS),
    )


@pytest.mark.parametrize("activation", [torch.tanh, F.elu])
@pytest.mark.parametrize("norms", ["equal", "different"])
def test_many_pairs_are_interpolated(activation, norms, monkeypatch):
    inputs = points(7, seed=5)
    inputs = F.normalize(inputs) * 2 if norms == "equal" else inputs
    exact = wide_kernels(inputs, activation, 1, 1.5, 0.1)
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "pair_average", None)
    close(wide_kernels(inputs, activation, 1, 1.5, 0.1), exact, 1e-9)


def test_the_interpolation_of_a_weak_activation_is_as_good(monkeypatch):
    monkeypatch.setattr(module, "FEW", 0)
    strong, weak = (
        wide_kernels(X, torch.tanh, 1),
        wide_kernels(X, lambda z: 1e-4 * torch.tanh(z), 1),
    )
    torch.testing.assert_close(weak.nngp * 1e8, strong.nngp, rtol=1e-10, atol=0)


@pytest.mark.parametrize("size", [0.2, 2.0])
def test_others_of_another_size_are_within_the_interpolation(size, monkeypatch):
    exact = wide_kernels(X, F.elu, others=size * OTHERS)
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "pair_average", None)
    close(wide_kernels(X, F.elu, others=size * OTHERS), exact, 1e-9 * exact.nngp.max().item())


def test_what_does_not_converge_is_averaged_pair_by_pair(monkeypatch):
    exact = wide_kernels(X, torch.tanh)
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "MOST_NODES", (40, 17))  # too few angles: FIRST_NODES do not do
    close(wide_kernels(X, torch.tanh), exact, 1e-14)


def test_an_input_of_norm_zero():
    inputs = torch.cat([torch.zeros(1, 5, dtype=DOUBLE), X])
    for activation in (torch.tanh, torch.relu):
        nngp, tangent = wide_kernels(inputs, activation)
        assert nngp[0].abs().max() < 1e-15 and tangent[0].abs().max() < 1e-15
        close([nngp[1:, 1:]], [wide_kernels(X, activation).nngp])


def test_the_diagonal_is_exact_in_single_precision():
    """An angle of a point with itself from rounded products would be 1e-4, not 0."""
    inputs = points(50, 40, dtype=torch.float32)
    single, double = (
        wide_kernels(inputs, torch.relu, 3),
        wide_kernels(inputs.double(), torch.relu, 3),
    )
    assert single.tangent.dtype == torch.float32
    for one, other in zip(single, double, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=3e-6, atol=3e-6)


def test_other_devices(device):
    close(
        [part.cpu() for part in wide_kernels(X.to(device), torch.tanh, 2)],
        wide_kernels(X, torch.tanh, 2),
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"inputs": X * float("nan")}, "inputs must not hold NaN"),
        ({"others": X / 0}, "others must be finite"),
        ({"hidden_layers": -1}, "whole number from 0 up"),
        ({"hidden_layers": True}, "hidden_layers must be a whole number, got True"),
        ({"weight_variance": -1.0}, "weight_variance must be finite and not negative"),
        ({"bias_variance": float("nan")}, "bias_variance must be a number, got NaN"),
        ({"bias_variance": float("inf")}, "bias_variance must be finite and not negative"),
        ({"activation": lambda z: z.sum(-1, keepdim=True)}, "act entry by entry"),
        ({"activation": lambda z: torch.tanh(z).detach()}, "must be differentiable"),
    ],
)
def test_impossible_problems_are_refused(change, message):
    problem = {"inputs": X, "activation": torch.relu} | change
    with pytest.raises(ValueError, match=message):
        wide_kernels(**problem)


def test_impossible_kernels_are_refused():
    with pytest.raises(ValueError, match="kernel must be square"):
        deeper_kernels(X @ OTHERS.T, torch.relu)
    bad = torch.tensor([[1.0, 1.1], [1.1, 1.0]], dtype=DOUBLE)
    with pytest.raises(ValueError, match="no entry may exceed"):
        deeper_kernels(bad, torch.relu)
    with pytest.raises(ValueError, match="kernel must not hold NaN"):
        deeper_kernels(bad * float("nan"), torch.relu)


@pytest.mark.parametrize("size", [1.0, 1e5, 1e8])
def test_an_error_function_saturates_in_single_precision_too(size):
    single = torch.tensor([[3.0, 1.0], [-1.0, 2.0]]) * size**0.5
    found, right = (wide_kernels(x, torch.erf, 2) for x in (single, single.double()))
    torch.testing.assert_close(found.tangent.double(), right.tangent, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("activation", [torch.relu, torch.erf, torch.tanh])
def test_variances_whose_products_leave_the_numbers_are_refused(activation):
    with pytest.raises(ValueError, match="variances must be from 1e-19 to 2e.19 in torch.float32"):
        wide_kernels(1e15 * torch.eye(2), activation)
    assert wide_kernels(1e15 * torch.eye(2).double(), activation).tangent.isfinite().all()
    assert wide_kernels(torch.zeros(2, 2), activation).nngp.abs().max() == 0
