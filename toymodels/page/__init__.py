"""What a page of the book shows: style, claims, exercises and sliders.

Importing it makes results remember whether a theory or an experiment gave them.
"""

from toymodels.numerics import origin
from toymodels.page.claim import claim, departs, identity
from toymodels.page.exercise import Exercise
from toymodels.page.slider import slider
from toymodels.page.style import COLORS, finish, points, use_book_style

__all__ = [
    "COLORS",
    "Exercise",
    "claim",
    "departs",
    "finish",
    "identity",
    "points",
    "slider",
    "use_book_style",
]

origin.follow()
use_book_style()
