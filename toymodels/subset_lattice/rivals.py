"""Learners of sparse polynomials that know no lattice: the lasso, and kernel regression.

Both get all monomials as features, and a stack of training sets (*batch, set, sample, node).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from toymodels.networks.data import Samples
from toymodels.numerics.door import door
from toymodels.numerics.quantity import require

ROUNDING = 1e-8  # of the mean square of a sample's features: stands for no ridge at all


@door(origin="experiment")
def lasso(
    data: Samples, penalty: Float[Tensor, " penalty"], *, rounds: int = 500, refit: bool = True
) -> Float[Tensor, "*set penalty node"]:
    """Coefficients that minimise |y - Phi c|^2 / (2 n) + penalty |c|_1, for every set and penalty.

    By accelerated descent with soft thresholds, restarted where it runs uphill. With ``refit`` the
    nodes that are left are then fitted by least squares, at the least norm where the samples do not
    decide. Raises ValueError on a penalty that is not positive.
    """
    require("penalty", penalty, penalty > 0, "positive", "without one nothing is sparse")
    phi, y = data.inputs, data.labels
    samples = phi.shape[-2]
    slope = torch.linalg.matrix_norm(phi, 2).square() / samples  # the steepest curvature
    step = (1 / slope)[..., None, None]
    c = phi.new_zeros(*phi.shape[:-2], phi.shape[-1], len(penalty))
    ahead, pace = c, torch.ones_like(c[..., :1, :])
    for _ in range(rounds):
        pull = phi.mT @ (y - phi @ ahead) / samples
        new = ahead + step * pull
        new = new.sign() * (new.abs() - step * penalty).clamp(min=0)
        uphill = ((ahead - new) * (new - c)).sum(-2, keepdim=True) > 0
        next_pace = torch.where(uphill, 1.0, (1 + (1 + 4 * pace.square()).sqrt()) / 2)
        drift = torch.where(uphill, 0.0, (pace - 1) / next_pace)
        ahead, c, pace = new + drift * (new - c), new, next_pace
    return _least_squares(phi, y, (c != 0).mT) if refit else c.mT


@door(origin="experiment")
def kernel_ridge(
    data: Samples, weight: Float[Tensor, " node"], ridge: Float[Tensor, " ridge"]
) -> Float[Tensor, "*set ridge node"]:
    """Coefficients of kernel ridge regression; the kernel is sum of weight_S chi_S(x) chi_S(x').

    Raises ValueError on weights that are negative and on a ridge that is not positive.
    """
    require("weight", weight, weight >= 0, "not negative", "a kernel has no negative eigenvalue")
    require("ridge", ridge, ridge > 0, "positive", "samples may be fewer than features")
    phi, y = data.inputs, data.labels
    values, vectors = torch.linalg.eigh(phi * weight @ phi.mT)
    share = (vectors.mT @ y) / (values[..., None] + ridge)  # (*set, sample, ridge)
    return (weight[:, None] * (phi.mT @ (vectors @ share))).mT


def _least_squares(phi: Tensor, y: Tensor, kept: Tensor) -> Tensor:
    """The fit by the features that are kept, (*set, penalty, node), in the space of the samples."""
    few = phi.double()[..., None, :, :] * kept[..., None, :]
    gram = few @ few.mT
    size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None].clamp(min=1.0)
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    dual = torch.linalg.solve(gram + ROUNDING * size * eye, y.double()[..., None, :, :])
    return (few.mT @ dual)[..., 0].to(phi)
