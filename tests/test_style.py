"""The look of the figures: the same whatever style was in use, and any layout can be finished."""

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from toymodels.page import COLORS, finish, use_book_style


@pytest.fixture(autouse=True)
def the_look_of_the_book():
    yield
    plt.close("all")
    use_book_style()


@pytest.mark.parametrize("style", ["dark_background", "ggplot", "grayscale"])
def test_a_style_in_use_before_leaves_no_trace(style):
    expected = dict(mpl.rcParams)
    plt.style.use(style)
    assert dict(mpl.rcParams) != expected
    use_book_style()
    assert dict(mpl.rcParams) == expected
    figure, axes = plt.subplots()
    assert axes.xaxis.label.get_color() == "black" and figure.get_facecolor() == (1, 1, 1, 1)
    assert axes.plot([0, 1])[0].get_color() == COLORS[0]


@pytest.mark.parametrize("layout", [None, "tight", "constrained", "compressed"])
def test_a_figure_with_a_colorbar_is_finished_in_any_layout(layout):
    figure, axes = plt.subplots(layout=layout)
    figure.colorbar(axes.imshow([[0.0, 1.0]]))
    for _ in range(2):
        finish(figure)
