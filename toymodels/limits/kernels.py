"""Kernels of fully connected networks of infinite width, at the start and while they learn.

With unit Gaussian weights W, b and an activation phi, a network of width N computes

    z^1 = sqrt(C_W / D) W^1 x + sqrt(C_b) b^1,   z^(l+1) = sqrt(C_W / N) W^(l+1) phi(z^l) + ...

and its output is z^(L+1) after L hidden layers. Over the draws of the weights the entries of z^l
are Gaussian with covariance K^l, and gradient descent on every W and b at rate 1 moves the
outputs by the tangent kernel Theta^(L+1):

    K^1     = C_W x.x' / D + C_b       K^(l+1)     = C_W <phi(u) phi(v)> + C_b
    Theta^1 = K^1                      Theta^(l+1) = K^(l+1) + C_W <phi'(u) phi'(v)> Theta^l

with u, v Gaussian of covariance K^l. The readout has the same C_W and C_b as the other layers;
at C_b = 0 there are no biases, and none are trained.

    D     number of inputs        L     number of hidden layers
    C_W   weight_variance         C_b   bias_variance

Source: Jacot, Gabriel & Hongler (2018), arXiv:1806.07572; Lee et al. (2019), arXiv:1902.06720.
Closed forms: Cho & Saul (2009) for kinks at 0, Williams (1997) for erf.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.entrywise import Function, derivatives, entrywise
from toymodels.numerics.expectation import average, pair_average, pair_table
from toymodels.numerics.quantity import per_problem

BLOCK = 1 << 16  # pairs at once on a CPU: the few arrays that a block needs stay in its cache
FEW = 2000  # pairs are averaged one by one
FIRST_NODES, MOST_NODES = (8, 16), (40, 200)  # of an interpolation in variance and in angle
ACCURACY = 1e-10  # of an interpolation: its last coefficients relative to its largest
LOOKS = torch.logspace(-6, 6, 49, dtype=torch.float64)  # where an activation is recognised

# (covariance, variance of the row, of the column, symmetric) -> <phi phi>, <phi' phi'>
Pairs = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor]]


class WideKernels(NamedTuple):
    """Covariance of the outputs over draws of the weights, and the tangent kernel."""

    nngp: Float[Tensor, "*batch row column"]
    tangent: Float[Tensor, "*batch row column"]


@dataclass(frozen=True)
class _Nonlinearity:
    """How an activation maps variances and covariances."""

    power: Callable[[Tensor], Tensor]  # variance -> <phi^2>
    pairs: Callable[[Tensor, Tensor, int], Pairs]  # all rows, all columns, number of pairs -> Pairs


@door(origin="theory")
def wide_kernels(
    inputs: Float[Tensor, "*batch row input"],
    activation: Function | None,
    hidden_layers: int = 1,
    weight_variance: float | Tensor = 1.0,
    bias_variance: float | Tensor = 0.0,
    others: Float[Tensor, "*batch column input"] | None = None,
) -> WideKernels:
    """Kernels between ``inputs`` and ``others`` (themselves if None), in the dtype of ``inputs``.

    ``activation`` acts entry by entry, None is linear. It is recognised by its values: any function
    that is straight on both sides of 0, and any erf, has closed forms. Others are averaged as in
    ``expectation.pair_average`` and, where there are many pairs, interpolated in their variances
    and angle, to about 1e-9 of the largest entry. Variances are numbers or of shape (*batch,).

    The angle of two inputs is known to the root of the rounding: two copies of one input in
    different rows have a tangent kernel wrong by 1e-8 per layer with a kink. No gradients flow.
    Raises ValueError on inputs that are not finite, negative variances and numbers of layers.
    """
    for name, points in (("inputs", inputs), ("others", others)):
        if points is not None and not points.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    scale, offset = _spread(weight_variance, bias_variance, inputs)
    scale = scale / inputs.shape[-1]
    columns = inputs if others is None else others
    kernel = (inputs @ columns.mT).mul_(scale).add_(offset)
    sizes = None
    if others is not None:
        sizes = tuple(
            (points.square().sum(-1, keepdim=True) * scale + offset)[..., 0]
            for points in (inputs, others)
        )
    return deeper_kernels(kernel, activation, hidden_layers, weight_variance, bias_variance, sizes)


@door(origin="theory")
@torch.no_grad()
def deeper_kernels(
    kernel: Float[Tensor, "*batch row column"],
    activation: Function | None,
    hidden_layers: int = 1,
    weight_variance: float | Tensor = 1.0,
    bias_variance: float | Tensor = 0.0,
    variances: tuple[Float[Tensor, "*batch row"], Float[Tensor, "*batch column"]] | None = None,
) -> WideKernels:
    """As ``wide_kernels``, from the ``kernel`` K^1 of the first layer.

    ``variances`` are the K^1 of every row and of every column with itself; without them the
    matrix is symmetric and its diagonal holds them. Also raises ValueError when an entry of the
    kernel exceeds what its variances allow, or a matrix without variances is not square.
    """
    if isinstance(hidden_layers, bool) or not isinstance(hidden_layers, int) or hidden_layers < 0:
        raise ValueError(f"hidden_layers must be a whole number from 0 up, got {hidden_layers!r}")
    scale, offset = _spread(weight_variance, bias_variance, kernel)
    for name, value in (("weight_variance", scale), ("bias_variance", offset)):
        if not ((value >= 0) & value.isfinite()).all():
            raise ValueError(f"{name} must be finite and not negative, got {value.tolist()}")
    symmetric = variances is None
    rows, columns = _variances(kernel, variances)
    nonlinearity = _nonlinearity(entrywise(activation), kernel.device)
    layers = []
    for _ in range(hidden_layers):
        pairs = nonlinearity.pairs(rows, columns, kernel.numel())
        layers.append((pairs, rows[..., :, None], columns[..., None, :]))
        rows = nonlinearity.power(rows) * scale[..., 0] + offset[..., 0]
        columns = (
            rows if symmetric else nonlinearity.power(columns) * scale[..., 0] + offset[..., 0]
        )
    return _in_blocks(kernel, layers, scale, offset, symmetric)


def _in_blocks(
    kernel: Tensor,
    layers: list[tuple[Pairs, Tensor, Tensor]],
    scale: Tensor,
    offset: Tensor,
    symmetric: bool,
) -> WideKernels:
    """All layers of some rows, then of the next; of a symmetric matrix only what is new."""
    nngp, tangent = torch.empty_like(kernel), torch.empty_like(kernel)
    total = kernel.shape[-2]
    size = max(total, 1)
    if kernel.device.type == "cpu":
        size = max(1, BLOCK * total // max(kernel.numel(), 1))
    for start in range(0, total, size):
        block = slice(start, start + size)
        rest = slice(start if symmetric else 0, None)
        k = kernel[..., block, rest].clone(memory_format=torch.contiguous_format)
        theta = k.clone()
        for pairs, rows, columns in layers:
            k, slope = pairs(k, rows[..., block, :], columns[..., rest], symmetric)
            k = k.mul_(scale).add_(offset)
            theta.mul_(slope.mul_(scale)).add_(k)
        for whole, part in ((nngp, k), (tangent, theta)):
            if symmetric:  # by construction: a product X X^T is so only up to rounding
                square = part[..., : part.shape[-2]]
                square.copy_(square.triu() + square.triu(1).mT)
                whole[..., rest, block] = part.mT
            whole[..., block, rest] = part
    return WideKernels(nngp, tangent)


def _nonlinearity(activation: Function, device: torch.device) -> _Nonlinearity:
    """The closed form of an activation that has one, quadrature otherwise."""
    z = LOOKS.to(device)
    above, below = activation(z), activation(-z)
    middle = len(z) // 2  # z = 1
    right, left = above[middle].item(), -below[middle].item()
    if _same(above, right * z) and _same(below, -left * z):
        return _kinked(right, left)
    height = above[-1]
    steepness = torch.erfinv(above[0] / height) / z[0]
    curve = height * torch.erf(steepness * z)
    if _same(above, curve) and _same(below, -curve):
        return _error_function(height.item(), steepness.item())
    return _Nonlinearity(
        lambda q: average(lambda u: activation(u) ** 2, q.double()).to(q),
        partial(_quadrature, activation),
    )


def _kinked(right: float, left: float) -> _Nonlinearity:
    """phi(z) = right z above 0, left z below: the arc-cosine kernel of degree one.

    2 pi <phi(u) phi(v)> = (right - left)^2 (sin t + (pi - t) cos t) |u||v| + 2 pi right left k
    at an angle t between u and v.
    """
    bend, straight = (right - left) ** 2 / (2 * torch.pi), right * left

    def checked(rows: Tensor, columns: Tensor, count: int) -> Pairs:
        _check_products(*(rows, columns) if bend else ())
        return pairs

    def pairs(k: Tensor, rows: Tensor, columns: Tensor, symmetric: bool) -> tuple[Tensor, Tensor]:
        if bend == 0:
            return k.mul_(straight), torch.full_like(k, straight)
        across = _across(k, rows, columns, symmetric)  # |u||v| sin t
        slope = torch.atan2(across, -k).mul_(bend).add_(straight)  # from pi - t
        return k.mul_(slope).add_(across.mul_(bend)), slope

    return _Nonlinearity(lambda q: q * ((right**2 + left**2) / 2), checked)


def _error_function(height: float, steepness: float) -> _Nonlinearity:
    """phi(z) = height erf(steepness z): the arcsine kernel, as an arctangent against rounding."""
    twice = 2 * steepness**2

    def checked(rows: Tensor, columns: Tensor, count: int) -> Pairs:
        _check_products(1 + twice * rows, 1 + twice * columns)
        return pairs

    def pairs(k: Tensor, rows: Tensor, columns: Tensor, symmetric: bool) -> tuple[Tensor, Tensor]:
        k, rows, columns = k.mul_(twice), twice * rows, twice * columns
        # (1 + rows) (1 + columns) - k^2 without its cancellation on the diagonal
        across = _across(k, rows, columns, symmetric).square_().add_(1 + rows).add_(columns).sqrt_()
        value = torch.atan2(k, across).mul_(2 * height**2 / torch.pi)
        return value, across.reciprocal_().mul_(2 * twice * height**2 / torch.pi)

    def power(q: Tensor) -> Tensor:
        return torch.atan2(twice * q, (1 + 2 * twice * q).sqrt()) * (2 * height**2 / torch.pi)

    return _Nonlinearity(power, checked)


def _across(k: Tensor, rows: Tensor, columns: Tensor, symmetric: bool) -> Tensor:
    """|u||v| sin t of every pair; exactly 0 between a row and itself."""
    across = (rows * columns).addcmul_(k, k, value=-1).clamp_(min=0).sqrt_()
    if symmetric:
        across[..., : k.shape[-2]].diagonal(dim1=-2, dim2=-1).zero_()
    return across


def _check_products(*variances: Tensor) -> None:
    """Refuse variances whose products leave the floating numbers; 0 is a signal that died."""
    for variance in variances:
        least, most = (getattr(torch.finfo(variance.dtype), end) ** 0.5 for end in ("tiny", "max"))
        if not ((variance == 0) | (variance >= least) & (variance <= most)).all():
            raise ValueError(
                f"variances must be from {least:.0e} to {most:.0e} in {variance.dtype}, got "
                f"{variance.min():.1e} to {variance.max():.1e}: float64 or other units go further"
            )


def _quadrature(activation: Function, rows: Tensor, columns: Tensor, count: int) -> Pairs:
    """Pairs of any activation, averaged one by one or interpolated, whichever costs less."""
    _check_products(rows, columns)
    averages = []
    for function in (activation, lambda z: derivatives(activation, z)[1]):
        interpolated = _interpolated(function, rows, columns) if count > FEW else None
        averages.append(interpolated or partial(_averaged, function))

    def pairs(k: Tensor, rows: Tensor, columns: Tensor, symmetric: bool) -> tuple[Tensor, Tensor]:
        angle = torch.atan2(_across(k, rows, columns, symmetric), k).double()
        value, slope = (mean(rows.double(), columns.double(), angle).to(k) for mean in averages)
        return value, slope

    return pairs


def _averaged(function: Function, rows: Tensor, columns: Tensor, angle: Tensor) -> Tensor:
    covariance = (rows * columns).sqrt() * angle.cos()
    return pair_average(function, function, rows, columns, covariance)


def _interpolated(function: Function, rows: Tensor, columns: Tensor) -> Callable | None:
    """Averages by Chebyshev polynomials in log variance, log variance and angle.

    The average is an analytic function of all three, kinks or not, so that the coefficients fall
    geometrically. None when they do not fall far enough, as at variances of 0.
    """
    least = min(rows.min().item(), columns.min().item())
    most = max(rows.max().item(), columns.max().item())
    if least <= 0:
        return None
    sizes, angles = FIRST_NODES
    if most <= least * (1 + 1e-12):  # all variances equal: inputs of one norm
        sizes = 1
    while sizes <= MOST_NODES[0] and angles <= MOST_NODES[1]:
        q = least * (most / least) ** ((1 + _chebyshev_nodes(sizes, rows)) / 2)
        angle = (1 + _chebyshev_nodes(angles, rows)) * (torch.pi / 2)
        table = _coefficients(pair_table(function, q, angle))
        largest = table.abs().max()
        more_sizes = 1.0 if sizes == 1 else _falls(table[-2:].abs().max() / largest)
        more_angles = _falls(table[..., -2:].abs().max() / largest)
        if max(more_sizes, more_angles) <= 1:
            return partial(_chebyshev_sum, table, least, most)
        sizes, angles = math.ceil(sizes * more_sizes), math.ceil(angles * more_angles)
    return None


def _falls(tail: Tensor) -> float:
    """How many times the nodes are needed, if coefficients go on falling at the rate they have."""
    digits = -math.log(max(tail.item(), 1e-300))
    return min(2.0, max(1.1, -math.log(ACCURACY) / digits)) if tail > ACCURACY else 1.0


def _chebyshev_sum(
    table: Tensor, least: float, most: float, rows: Tensor, columns: Tensor, angle: Tensor
) -> Tensor:
    """The interpolation with coefficients ``table`` (size, size, angle), summed by Clenshaw."""
    width = max(math.log(most / least), 1e-300)  # 0 with a single size, whose polynomial is 1
    sizes = torch.arange(table.shape[0], dtype=table.dtype, device=table.device)

    def polynomials(q: Tensor) -> Tensor:  # (*batch, row, 1) -> (*batch, row, size)
        place = (2 * (q / least).log() / width - 1).clamp(-1, 1)
        return (place.acos() * sizes).cos()

    left, right = polynomials(rows), polynomials(columns.mT)
    x = (angle * (4 / torch.pi)).sub_(2)  # twice the place of the angle in [-1, 1]
    last, total = torch.zeros_like(x), torch.zeros_like(x)
    for slab in table.movedim(-1, 0).flip(0):
        last, total = total, (x * total).sub_(last).add_(left @ slab @ right.mT)
    return total.sub_(last.mul_(x / 2))


def _chebyshev_nodes(count: int, like: Tensor) -> Tensor:
    place = torch.arange(count, dtype=torch.float64, device=like.device)
    return torch.cos(torch.pi * (place + 0.5) / count)


def _coefficients(value: Tensor) -> Tensor:
    """Chebyshev coefficients of values at the nodes, along every axis."""
    for axis, count in enumerate(value.shape):
        place = torch.arange(count, dtype=value.dtype, device=value.device)
        turn = torch.cos(torch.pi / count * place[:, None] * (place + 0.5)) * (2 / count)
        turn[0] /= 2
        value = (turn @ value.movedim(axis, -1)[..., None])[..., 0].movedim(-1, axis)
    return value


def _variances(kernel: Tensor, variances: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """Variances of rows and columns, given or from the diagonal, after a look at the kernel."""
    if variances is None:
        if kernel.shape[-2] != kernel.shape[-1]:
            raise ValueError(f"kernel must be square, got {tuple(kernel.shape)}, or give variances")
        diagonal = kernel.diagonal(dim1=-2, dim2=-1).clone()
        variances = diagonal, diagonal
    rows, columns = variances
    slack = 1 + 64 * torch.finfo(kernel.dtype).eps * kernel.shape[-1] ** 0.5
    bound = rows.sqrt()[..., :, None] * (columns.sqrt() * slack)[..., None, :]
    if not (kernel.abs() <= bound).all():  # also refuses NaN
        raise ValueError(
            "kernel must be finite and no entry may exceed the geometric mean of its variances"
        )
    return rows, columns


def _spread(weight: float | Tensor, bias: float | Tensor, like: Tensor) -> list[Tensor]:
    """Both variances, numbers or one per problem, as tensors that multiply matrices ``like``."""
    both = {"weight_variance": weight, "bias_variance": bias}
    numbers = [per_problem(name, x, like.shape[:-2], like) for name, x in both.items()]
    return [x[..., None, None] for x in numbers]


def _same(found: Tensor, expected: Tensor) -> bool:
    return bool(((found - expected).abs() <= 1e-12 * expected.abs()).all())
