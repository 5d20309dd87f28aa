"""Inverse Laplace transforms against functions that are known."""

import math

import pytest
import torch

from toymodels.numerics.contour import invert, invert_pair, talbot

DOUBLE = torch.float64
TIME = torch.tensor([[1e-3, 0.1, 1.0], [3.0, 50.0, 1e4]], dtype=DOUBLE)

KNOWN = {
    "decay": (lambda z: 1 / (z + 0.7), lambda t: torch.exp(-0.7 * t)),
    "constant": (lambda z: 1 / z, torch.ones_like),
    "line": (lambda z: z**-2, lambda t: t),
    "root": (lambda z: z**-0.5, lambda t: (torch.pi * t) ** -0.5),
    "power law": (lambda z: z**-2.3, lambda t: t**1.3 / math.gamma(2.3)),
    "many rates": (  # integral of exp(-s t) over s in [0, 1]
        lambda z: torch.log((z + 1) / z),
        lambda t: -torch.expm1(-t) / t,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_transforms(name, device):
    transform, function = KNOWN[name]
    found = invert(transform, TIME.to(device))
    scale = function(TIME) + 1  # a decayed function is known to the rounding of what it was
    torch.testing.assert_close(found.cpu() / scale, function(TIME) / scale, rtol=0, atol=2e-11)


def test_a_swing_within_reach_of_the_contour():
    time = torch.tensor([0.5, 2.0], dtype=DOUBLE)
    torch.testing.assert_close(
        invert(lambda z: 1 / (z**2 + 1), time), torch.sin(time), rtol=0, atol=1e-10
    )


def test_the_error_falls_geometrically_with_the_nodes():
    error = [
        (invert(lambda z: 1 / (z + 1), TIME[0], nodes) - torch.exp(-TIME[0])).abs().max().item()
        for nodes in (6, 10, 14, 18)
    ]
    for before, after in zip(error, error[1:], strict=False):
        assert 3.9**-4 / 8 < after / before < 3.9**-4 * 8


def test_one_pole_is_its_residue():
    """Weights and nodes as they stand, both half planes, without taking a real part."""
    node, weight = talbot(TIME)
    total = (weight / (node + 0.7)).sum(-1)
    torch.testing.assert_close(total.real, torch.exp(-0.7 * TIME), rtol=0, atol=1e-12)
    assert total.imag.abs().max() < 1e-13
    torch.testing.assert_close(node.flip(-1), node.conj().resolve_conj())
    torch.testing.assert_close(weight.flip(-1), weight.conj().resolve_conj())


def pairs():
    return TIME[0][:, None], torch.tensor([0.2, 2.0], dtype=DOUBLE)


def test_a_product_of_two_functions():
    first, second = pairs()
    found = invert_pair(lambda z, w: 1 / (z + 0.5) / w**1.5, first, second)
    expected = torch.exp(-0.5 * first) * second**0.5 / math.gamma(1.5)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_a_function_of_two_times_that_is_no_product():
    first, second = pairs()
    found = invert_pair(lambda z, w: 1 / ((z + 1) * (w + 1) - 0.3), first, second)
    expected = torch.exp(-first - second) * torch.i0(2 * (0.3 * first * second).sqrt())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_both_half_planes_are_needed_for_two_variables():
    """The trap: the real part of each variable in turn, from one quarter of all pairs of nodes."""
    time = torch.tensor(1.0, dtype=DOUBLE)

    def transform(z, w):  # of exp(-(t + t')) (t + t')
        return 1 / ((z + 1) * (w + 1) ** 2) + 1 / ((z + 1) ** 2 * (w + 1))

    expected = 2 * math.exp(-2)
    found = invert_pair(transform, time, time)
    assert found.item() == pytest.approx(expected, abs=1e-11)
    node, weight = (part[..., :16] for part in talbot(time))
    trap = 4 * (weight @ transform(node[:, None], node[None]) @ weight).real
    assert abs(trap.item() - expected) > 0.1


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_times_are_refused(bad):
    time = torch.tensor([1.0, bad], dtype=DOUBLE)
    with pytest.raises(ValueError, match="must (be positive|not hold NaN)"):
        invert(lambda z: 1 / z, time)
    with pytest.raises(ValueError, match="must (be positive|not hold NaN)"):
        invert_pair(lambda z, w: 1 / (z * w), TIME[0, :2], time)


@pytest.mark.parametrize("nodes", [2, 7])
def test_too_few_or_odd_nodes_are_refused(nodes):
    with pytest.raises(ValueError, match="nodes must be even and at least 4"):
        talbot(TIME, nodes)


def test_a_single_precision_time_is_inverted_in_double():
    found = invert(lambda z: 1 / (z + 1), torch.tensor([0.5]))
    assert found.dtype == DOUBLE and found.item() == pytest.approx(math.exp(-0.5), abs=1e-12)
