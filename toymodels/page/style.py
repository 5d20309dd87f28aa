"""How every figure in the book looks."""

from jaxtyping import Float
from matplotlib import cycler
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from toymodels.numerics.door import door
from toymodels.numerics.estimate import Estimate
from toymodels.numerics.origin import plain

# Okabe & Ito's palette; its yellow, orange and sky blue made darker to stand out on white
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#2e9bd6")


def use_book_style() -> None:
    """Set the look of all later figures: size, palette, thin axes, sharp and stable SVG.

    It replaces whatever style was in use: black labels on a white card need the whole of it.
    """
    look = {
        "figure.figsize": (6.0, 3.6),
        "figure.dpi": 110,
        # a white card, so that dark pages do not swallow black labels
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "font.size": 10,
        "axes.prop_cycle": cycler(color=COLORS),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 4.5,
        "errorbar.capsize": 2,
        "svg.hashsalt": "toymodels",
        "svg.fonttype": "path",
    }
    plt.style.use(["default", look])
    _draw_svg_in_notebooks()


@door
def finish(figure: Figure) -> None:
    """Fit the layout and show ``figure``. Returns nothing, so a cell shows one figure."""
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):  # fits by itself
        figure.tight_layout()
    plt.show()


@door
def points(axes: Axes, x: Float[Tensor, "..."], measured: Estimate, **look):
    """Dots with error bars: ``measured`` over ``x``. ``look`` goes on to matplotlib's errorbar."""
    x, value, error = (plain(part).cpu() for part in (x, measured.value, measured.error))
    if x.numel() != value.numel():
        raise ValueError(f"x must hold {value.numel()} numbers, as measured does, got {x.numel()}")
    return axes.errorbar(x, value, error, **({"fmt": "o"} | look))


def _draw_svg_in_notebooks() -> None:
    from IPython import get_ipython

    if get_ipython() is None:
        return
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    # no date in the file: the same figure is the same bytes
    set_matplotlib_formats("svg", metadata={"Date": None, "Creator": None})
