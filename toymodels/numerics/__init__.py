"""The ground floor: draws, estimates, averages, spectra, roots, contours and integration."""

from toymodels.numerics import draws, fixed_point, integrate
from toymodels.numerics.clock import first_passage
from toymodels.numerics.contour import invert, invert_pair, talbot
from toymodels.numerics.estimate import Estimate, fraction, mean, slope
from toymodels.numerics.expectation import average, pair_average, pair_table
from toymodels.numerics.spectra import (
    gegenbauer,
    measured_spectrum,
    power_law,
    sphere_degeneracy,
    sphere_spectrum,
)

__all__ = [
    "Estimate",
    "average",
    "draws",
    "first_passage",
    "fixed_point",
    "fraction",
    "gegenbauer",
    "integrate",
    "invert",
    "invert_pair",
    "mean",
    "measured_spectrum",
    "pair_average",
    "pair_table",
    "power_law",
    "slope",
    "sphere_degeneracy",
    "sphere_spectrum",
    "talbot",
]
