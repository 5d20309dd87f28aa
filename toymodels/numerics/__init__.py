"""The ground floor: draws, averages, spectra, roots, contours and integration."""

from toymodels.numerics import draws, fixed_point, integrate
from toymodels.numerics.contour import invert, invert_pair, talbot
from toymodels.numerics.expectation import average, pair_average, pair_table
from toymodels.numerics.spectra import (
    gegenbauer,
    measured_spectrum,
    power_law,
    sphere_degeneracy,
    sphere_spectrum,
)

__all__ = [
    "average",
    "draws",
    "fixed_point",
    "gegenbauer",
    "integrate",
    "invert",
    "invert_pair",
    "measured_spectrum",
    "pair_average",
    "pair_table",
    "power_law",
    "sphere_degeneracy",
    "sphere_spectrum",
    "talbot",
]
