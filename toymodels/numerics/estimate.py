"""A measured value with its error bar: the mean over the members of an ensemble.

    value     the mean
    error     its standard error, std / sqrt(members) with members - 1 degrees of freedom
    members   how many independent numbers were averaged

Errors of products, ratios and logarithms are propagated to first order, as of independent
estimates. Two results that share their draws are not independent: divide member by member, and
average what comes out.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.quantity import require

Number = int | float | Tensor


@dataclass(frozen=True)
class Estimate:
    """Means over members, of any shape. Raises ValueError on an error bar that is not positive."""

    value: Float[Tensor, "*shape"]
    error: Float[Tensor, "*shape"]
    members: int

    def __post_init__(self):
        if not bool((self.error > 0).all()):  # also refuses NaN
            raise ValueError(
                f"error must be positive, got {float(self.error.min()):g}: members that agree to "
                "the last digit, or a single one, tell nothing about the error of their mean"
            )

    def __getitem__(self, index) -> "Estimate":
        return Estimate(self.value[index], self.error[index], self.members)

    def __add__(self, other: "Estimate | Number") -> "Estimate":
        value, error, members = _parts(other)
        return Estimate(self.value + value, _root(self.error, error), self._fewest(members))

    __radd__ = __add__

    def __neg__(self) -> "Estimate":
        return Estimate(-self.value, self.error, self.members)

    def __sub__(self, other: "Estimate | Number") -> "Estimate":
        return self + (-other)

    def __rsub__(self, other: Number) -> "Estimate":
        return -self + other

    def __mul__(self, other: "Estimate | Number") -> "Estimate":
        value, error, members = _parts(other)
        spread = _root(self.error * value, self.value * error)
        return Estimate(self.value * value, spread, self._fewest(members))

    __rmul__ = __mul__

    def __truediv__(self, other: "Estimate | Number") -> "Estimate":
        return self * (other**-1)

    def __rtruediv__(self, other: Number) -> "Estimate":
        return self**-1 * other

    def __pow__(self, power: float | int) -> "Estimate":
        slope = power * self.value ** (power - 1)
        return Estimate(self.value**power, (slope * self.error).abs(), self.members)

    def log(self) -> "Estimate":
        """Natural logarithm. Raises ValueError unless every value is positive."""
        if not bool((self.value > 0).all()):
            raise ValueError(f"value must be positive, got {float(self.value.min()):g}: no log")
        return Estimate(self.value.log(), self.error / self.value, self.members)

    def exp(self) -> "Estimate":
        """The inverse of ``log``."""
        return Estimate(self.value.exp(), self.error * self.value.exp(), self.members)

    def _fewest(self, members: int | None) -> int:
        return self.members if members is None else min(self.members, members)


@door
def mean(samples: Float[Tensor, "*shape"], axis: int) -> Estimate:
    """Mean and standard error over the members along ``axis``, which must be independent.

    Points of time or layers of one network are not. Raises ValueError on fewer than 2 members.
    """
    error = standard_error(samples, axis)
    return Estimate(samples.mean(axis), error, samples.shape[axis])


@door
def standard_error(samples: Float[Tensor, "*shape"], axis: int) -> Float[Tensor, "*rest"]:
    """Of the mean over members along ``axis``; 0 where all agree. Refuses as ``mean`` does."""
    members = _members(samples, axis)
    require("samples", samples, samples == samples, "finite", "one lost member loses the mean")
    return samples.std(axis) / members**0.5


@door
def fraction(hits: Bool[Tensor, "*shape"], axis: int) -> Estimate:
    """Share of members along ``axis`` for which something is true, and its binomial error.

    The error is that of (k + 1) / (n + 2), so that none or all of n have an error bar too.
    """
    members = _members(hits, axis)
    count = hits.double().sum(axis)
    rough = (count + 1) / (members + 2)
    return Estimate(count / members, (rough * (1 - rough) / members).sqrt(), members)


@door
def slope(x: Float[Tensor, " point"], y: Estimate) -> Estimate:
    """Slope of the straight line through independent estimates (point,), weighted by their errors.

    Its error follows from theirs; with logarithms on both axes it is an exponent.
    """
    if x.shape != y.value.shape:
        raise ValueError(
            f"x must have shape {tuple(y.value.shape)}, as y has, got {tuple(x.shape)}"
        )
    weight = y.error**-2
    x = x.to(weight)
    centered = x - (weight * x).sum() / weight.sum()
    share = weight * centered / (weight * centered.square()).sum()
    return Estimate((share * y.value).sum(), (share * y.error).square().sum().sqrt(), y.members)


def _members(samples: Tensor, axis: int) -> int:
    if not -samples.ndim <= axis < samples.ndim:
        raise ValueError(f"axis must be one of {samples.ndim} axes of the samples, got {axis}")
    members = samples.shape[axis]
    if members < 2:
        raise ValueError(f"samples must have at least 2 members along axis {axis}, got {members}")
    return members


def _parts(other: Estimate | Number) -> tuple[Number, Number, int | None]:
    if isinstance(other, Estimate):
        return other.value, other.error, other.members
    return other, 0.0, None


def _root(one: Tensor, other: Number) -> Tensor:
    return torch.sqrt(one**2 + other**2)
