"""What a page of the book shows: style, claims, exercises, sliders and figures that solve.

Importing it makes results remember whether a theory or an experiment gave them.
"""

from toymodels.numerics import origin
from toymodels.page.claim import claim, departs, identity
from toymodels.page.exercise import Exercise
from toymodels.page.live import Bars, Handle, live
from toymodels.page.slider import slider
from toymodels.page.style import COLORS, finish, points, use_book_style

__all__ = [
    "Bars",
    "COLORS",
    "Exercise",
    "Handle",
    "claim",
    "departs",
    "finish",
    "identity",
    "live",
    "points",
    "slider",
    "use_book_style",
]

origin.follow()
use_book_style()
