"""What a page of the book shows: style, claims, exercises and sliders."""

from toymodels.page.claim import claim, departs
from toymodels.page.exercise import Exercise
from toymodels.page.slider import slider
from toymodels.page.style import COLORS, finish, use_book_style

__all__ = ["COLORS", "Exercise", "claim", "departs", "finish", "slider", "use_book_style"]

use_book_style()
