"""Spectra of kernels: assumed, on the sphere, measured."""

import math

import pytest
import torch

from toymodels.numerics.spectra import (
    gegenbauer,
    measured_spectrum,
    power_law,
    sphere_degeneracy,
    sphere_spectrum,
)

DOUBLE = torch.float64


def test_power_law():
    torch.testing.assert_close(power_law(3, 2.0), torch.tensor([1, 1 / 4, 1 / 9], dtype=DOUBLE))


@pytest.mark.parametrize(
    "dimension, count",
    [(2, [1, 2, 2, 2]), (3, [1, 3, 5, 7]), (4, [1, 4, 9, 16]), (10, [1, 10, 54, 210])],
)
def test_number_of_harmonics(dimension, count):
    assert sphere_degeneracy(dimension, torch.arange(4)).tolist() == count


def test_gegenbauer_is_legendre_in_three_dimensions_and_chebyshev_in_two():
    c = torch.linspace(-1, 1, 9, dtype=DOUBLE)
    torch.testing.assert_close(gegenbauer(3, 4, c)[:, 3], (5 * c**3 - 3 * c) / 2)
    torch.testing.assert_close(gegenbauer(2, 4, c)[:, 3], torch.cos(3 * torch.arccos(c)))
    torch.testing.assert_close(gegenbauer(10, 8, c)[-1], torch.ones(8, dtype=DOUBLE))
    assert gegenbauer(5, 1, c).shape == (9, 1)


@pytest.mark.parametrize("dimension", [2, 3, 10])
def test_spectrum_of_one_harmonic_is_that_degree_alone(dimension):
    found = sphere_spectrum(lambda c: gegenbauer(dimension, 4, c)[..., 3], dimension, 6)
    expected = torch.zeros(6, dtype=DOUBLE)
    expected[3] = 1 / sphere_degeneracy(dimension, torch.tensor([3]))[0]
    torch.testing.assert_close(found, expected)


def test_eigenvalues_times_degeneracy_sum_to_the_kernel():
    lam = sphere_spectrum(torch.exp, 5, 25)
    N = sphere_degeneracy(5, torch.arange(25))
    c = torch.tensor([-0.7, 0.2, 1.0], dtype=DOUBLE)
    torch.testing.assert_close(gegenbauer(5, 25, c) @ (lam * N), torch.exp(c))


def test_relu_kernel_without_bias_has_no_odd_degree_above_one():
    def kernel(c):
        return (((1 - c) * (1 + c)).sqrt() + (torch.pi - torch.arccos(c)) * c) / (2 * torch.pi)

    lam = sphere_spectrum(kernel, 3, 6, nodes=2000)
    assert lam[1] == pytest.approx(1 / 12)  # <c^2> / 4 = (1 / 3) / 4
    assert lam[3] < 1e-9 and lam[5] < 1e-9 < lam[4]


def test_measured_spectrum_of_a_ring_is_its_fourier_transform():
    S = 64
    x = torch.arange(S, dtype=DOUBLE) * 2 * math.pi / S
    kernel = torch.exp(torch.cos(x[:, None] - x))
    lam, phi = measured_spectrum(kernel)
    fourier = torch.fft.fft(kernel[0]).real / S
    torch.testing.assert_close(lam, fourier.sort(descending=True).values.clamp(min=0))
    torch.testing.assert_close(phi.mT @ phi / S, torch.eye(S, dtype=DOUBLE))
    torch.testing.assert_close((phi * lam) @ phi.mT, kernel)


def test_a_function_that_is_no_kernel_is_refused():
    for size in (1.0, 1e-20):
        with pytest.raises(ValueError, match="no negative eigenvalue"):
            sphere_spectrum(lambda c, size=size: -size * c, 3, 4)
        with pytest.raises(ValueError, match="no negative eigenvalue"):
            measured_spectrum(size * torch.tensor([-1.0, 1.0, 1.0], dtype=DOUBLE).diag())
        with pytest.raises(ValueError, match="symmetric"):
            measured_spectrum(size * torch.ones(3, 3, dtype=DOUBLE).triu())


@pytest.mark.parametrize("size", [1.0, 1e-20, 1e20])
def test_rounding_in_a_measured_kernel_is_forgiven(size):
    kernel = torch.tensor([1.0, 1e-6, -1e-12], dtype=DOUBLE).diag()
    kernel[0, 1] = 1e-12  # kernel[1, 0] is 0
    lam, _ = measured_spectrum(size * kernel)
    torch.testing.assert_close(3 * lam / size, kernel.diagonal().clamp(min=0), rtol=1e-9, atol=0.0)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("modes", lambda: power_law(0, 1.0)),
        ("modes", lambda: power_law(True, 1.0)),
        ("dimension", lambda: sphere_degeneracy(1, torch.arange(3))),
        ("degree", lambda: sphere_degeneracy(3, torch.tensor([2, -1]))),
        ("dimension", lambda: gegenbauer(1, 3, torch.zeros(1))),
        ("degrees", lambda: gegenbauer(3, 0, torch.zeros(1))),
        ("nodes", lambda: sphere_spectrum(torch.exp, 3, 20, nodes=10)),
    ],
)
def test_impossible_sizes_are_refused(name, call):
    with pytest.raises(ValueError, match=f"^{name} must"):
        call()


def test_one_bad_entry_of_a_measured_kernel_is_refused():
    kernel = torch.eye(3, dtype=DOUBLE)
    kernel[1, 1] = float("nan")
    with pytest.raises(ValueError, match="(finite, symmetric|not hold NaN)"):
        measured_spectrum(kernel)


def test_the_spectrum_of_a_tiny_kernel_is_not_rounded_away():
    ordinary = sphere_spectrum(lambda c: torch.exp(c), 3, 6)
    tiny = sphere_spectrum(lambda c: 1e-20 * torch.exp(c), 3, 6)
    torch.testing.assert_close(tiny, 1e-20 * ordinary, rtol=1e-12, atol=0)


def test_a_power_law_may_have_one_mode():
    assert power_law(1, 2.0).tolist() == [1.0]


def test_a_product_of_features_in_single_precision_is_a_kernel():
    features = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    lam, _ = measured_spectrum(features @ features.mT)
    right, _ = measured_spectrum(features.double() @ features.double().mT)
    torch.testing.assert_close(lam, right.float(), rtol=1e-5, atol=1e-5)
