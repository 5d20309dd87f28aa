"""Functions of time from their Laplace transforms, by an integral in the complex plane.

    f(t) = (1 / 2 pi i) integral of exp(z t) F(z) dz

along a contour that comes from minus infinity below the singularities of F and returns above
them. On Talbot's contour exp(z t) falls so fast that the trapezoid rule converges geometrically,
at any time and without a time grid: no time step, no memory of earlier times.

Every singularity of F must lie on the negative real axis, as for relaxation, or closer to 0 than
``nodes`` / (16 t). Of two variables that must hold for each while the other is anywhere on its
contour: 1 / (z + z' + 1) is no such function, its pole in z' crosses to the right.

Source: Weideman (2006), SIAM Journal on Numerical Analysis 44:2342, for the contour;
Trefethen, Weideman & Schmelzer (2006), BIT 46:653.
"""

from collections.abc import Callable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.draws import whole_number

NODES = 32  # 1e-14 of the largest |F|; rounding, not the rule, is what is left


@door
def talbot(
    time: Float[Tensor, "*batch"], nodes: int = NODES
) -> tuple[Complex[Tensor, "*batch node"], Complex[Tensor, "*batch node"]]:
    """Nodes z and weights w with f(t) = sum_j w_j F(z_j), for every time on its own contour.

    Both half planes are there: node and weight number -1 - j are the conjugates of number j. The
    error falls as 3.9^-nodes, down to rounding at 24 to 32 nodes; more nodes amplify rounding.
    Raises ValueError on times that are not positive and on fewer than 4 or an odd number of nodes.
    """
    if not ((time > 0) & time.isfinite()).all():
        raise ValueError(
            f"time must be positive and finite, got {time.min():g}: f(0) needs a limit"
        )
    if whole_number(nodes, "nodes") < 4 or nodes % 2:
        raise ValueError(f"nodes must be even and at least 4, got {nodes}")
    time = time.double()
    place = torch.arange(nodes, dtype=torch.float64, device=time.device)
    angle = torch.pi * ((2 * place + 1) / nodes - 1)
    inner = 0.6407 * angle
    cot = 1 / torch.tan(inner)
    z = nodes * torch.complex(0.5017 * angle * cot - 0.6122, 0.2645 * angle)
    slope = nodes * torch.complex(
        0.5017 * (cot - inner / torch.sin(inner) ** 2), torch.full_like(angle, 0.2645)
    )
    weight = torch.exp(z) * slope / (1j * nodes)
    return z / time[..., None], weight / time[..., None]


@door
def invert(
    transform: Callable[[Tensor], Tensor], time: Float[Tensor, "*batch"], nodes: int = NODES
) -> Float[Tensor, "*batch"]:
    """f at every time from F, ``transform``: complex (*batch, node) -> the same shape; f is real.

    Good to 1e-10 of the largest |F(z) z|. ``transform`` is seen in the lower half plane alone:
    the upper one, of a real f, is its mirror image. Raises ValueError as ``talbot`` does.
    """
    node, weight = (part[..., : nodes // 2] for part in talbot(time, nodes))
    found = transform(node)
    if not isinstance(found, Tensor) or found.isnan().any():
        raise ValueError("transform must return a finite tensor at every node of the contour")
    return 2 * (weight * found).sum(-1).real


@door
def invert_pair(
    transform: Callable[[Tensor, Tensor], Tensor],
    first: Float[Tensor, "*#batch"],
    second: Float[Tensor, "*#batch"],
    nodes: int = NODES,
) -> Float[Tensor, "*batch"]:
    """f(t, t') at every pair of times from its double transform F(z, z'); f is real.

    ``transform`` maps complex (*batch, node, 1) and (*batch, 1, node) to (*batch, node, node). One
    variable may keep to one half plane, the other must see both: F(z, z') and F(z, conj z') are
    different numbers, and a real part taken of each variable in turn loses the second.
    Raises ValueError as ``talbot`` does.
    """
    first, second = torch.broadcast_tensors(first, second)
    z, left = (part[..., : nodes // 2] for part in talbot(first, nodes))
    other, right = talbot(second, nodes)
    values = transform(z[..., :, None], other[..., None, :])
    return 2 * (left[..., None, :] @ values @ right[..., :, None])[..., 0, 0].real
