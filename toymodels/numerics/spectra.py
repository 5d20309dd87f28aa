"""Eigenvalues of kernels: assumed, computed on the sphere, or measured from data.

A kernel k(x, x') and a density of inputs define eigenvalues lam_k and functions phi_k with
<k(x, x') phi_k(x')>_x' = lam_k phi_k(x) and <phi_k phi_l> = delta_kl. On the sphere S^(d-1) in d
dimensions a kernel of the cosine c = x.x' has the harmonics of degree l as eigenfunctions, N(d, l)
of them with one eigenvalue; P_l(c) is their Gegenbauer polynomial, scaled to P_l(1) = 1.
"""

from collections.abc import Callable
from math import comb

import torch
from jaxtyping import Float, Int
from scipy.special import roots_jacobi
from torch import Tensor

from toymodels.numerics.door import door


@door
def power_law(modes: int, exponent: float) -> Float[Tensor, " mode"]:
    """k**-exponent for k = 1 ... ``modes``, in float64."""
    _check_whole("modes", modes, 1)
    return torch.arange(1, modes + 1, dtype=torch.float64) ** -exponent


@door
def sphere_degeneracy(dimension: int, degree: Int[Tensor, " degree"]) -> Float[Tensor, " degree"]:
    """N(d, l), the number of independent harmonics of degree l on the sphere in d dimensions."""
    _check_whole("dimension", dimension, 2)
    if (degree < 0).any():
        raise ValueError(f"degree must not be negative, got {degree.min()}")
    d = dimension
    # homogeneous polynomials of degree l, less |x|^2 times those of degree l - 2
    count = [
        comb(d + k - 1, d - 1) - (comb(d + k - 3, d - 1) if k >= 2 else 0) for k in degree.tolist()
    ]
    return torch.tensor(count, dtype=torch.float64, device=degree.device)


@door
def gegenbauer(
    dimension: int, degrees: int, cosine: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch degree"]:
    """P_l(cosine) for l = 0 ... ``degrees`` - 1, by the three-term recurrence, P_l(1) = 1."""
    _check_whole("dimension", dimension, 2)
    _check_whole("degrees", degrees, 1)
    p = [torch.ones_like(cosine), cosine]
    for k in range(1, degrees - 1):
        p.append(((2 * k + dimension - 2) * cosine * p[k] - k * p[k - 1]) / (k + dimension - 2))
    return torch.stack(p[:degrees], dim=-1)


@door
def sphere_spectrum(
    kernel: Callable[[Tensor], Tensor], dimension: int, degrees: int, *, nodes: int = 300
) -> Float[Tensor, " degree"]:
    """Eigenvalue of each degree l = 0 ... ``degrees`` - 1 of a kernel of the cosine.

    lam_l = <k(c) P_l(c)> over the cosine c of two random points, whose density is
    (1 - c^2)^((d-3)/2): a Gauss-Jacobi rule with ``nodes`` points. Eigenvalues below the rounding
    of this average, 1e-13 <|k|>, are returned as 0. Raises ValueError on a clearly negative one:
    such a function is no kernel.
    """
    _check_whole("dimension", dimension, 2)
    _check_whole("degrees", degrees, 1)
    _check_whole("nodes", nodes, degrees)
    node, weight = roots_jacobi(nodes, (dimension - 3) / 2, (dimension - 3) / 2)
    cosine, weight = torch.as_tensor(node), torch.as_tensor(weight / weight.sum())
    value = kernel(cosine)  # (node,)
    if not value.isfinite().all():
        raise ValueError("kernel must be finite at every cosine, got NaN or infinity")
    eigenvalue = (weight * value) @ gegenbauer(dimension, degrees, cosine)
    size = weight @ value.abs()
    if (eigenvalue < -1e-10 * size).any():
        raise ValueError(
            f"kernel must have no negative eigenvalue, got {eigenvalue.min():.2g} "
            f"at degree {int(eigenvalue.argmin())}"
        )
    return torch.where(eigenvalue > 1e-13 * size, eigenvalue, 0.0)


@door
def measured_spectrum(
    kernel: Float[Tensor, "point point"],
) -> tuple[Float[Tensor, " mode"], Float[Tensor, "point mode"]]:
    """Eigenvalues, largest first, and eigenfunctions of a kernel over equally likely points.

    The eigenvalues are those of kernel / points and the functions are scaled to <phi^2> = 1, so a
    target y has the coefficients phi.T y / points. There are as many modes as points; rounding may
    leave the last eigenvalues at -1e-16 of the first, -1e-7 in float32, they are returned as 0.
    Raises ValueError when the matrix is not symmetric or has a clearly negative eigenvalue.
    """
    points = kernel.shape[-1]
    size = kernel.diagonal().abs().max()
    rounding = max(1e-10, points * torch.finfo(kernel.dtype).eps)
    if not kernel.isfinite().all() or (kernel - kernel.mT).abs().max() > rounding * size:
        raise ValueError("kernel must be a finite, symmetric matrix: k(x, x') = k(x', x)")
    eigenvalue, vector = torch.linalg.eigh(kernel / points)
    if eigenvalue[0] < -rounding * eigenvalue[-1]:
        raise ValueError(f"kernel must have no negative eigenvalue, got {eigenvalue[0]:.2g}")
    return eigenvalue.flip(0).clamp(min=0), vector.flip(1) * points**0.5


def symmetric_root(covariance: Tensor) -> Tensor:
    """The symmetric R with R R = ``covariance`` (*batch, n, n), which may be singular.

    What rounding leaves below zero counts as zero. No library has a sign to choose in it, as it has
    in eigenvectors.
    """
    value, vector = torch.linalg.eigh(covariance)
    return (vector * value.clamp(min=0).sqrt()[..., None, :]) @ vector.mT


def _check_whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")
