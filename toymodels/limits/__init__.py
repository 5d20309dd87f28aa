"""Limits of infinite width: kernels at the start, and field theory while features move."""

from toymodels.limits import field_theory
from toymodels.limits.kernels import WideKernels, deeper_kernels, wide_kernels

__all__ = ["WideKernels", "deeper_kernels", "field_theory", "wide_kernels"]
