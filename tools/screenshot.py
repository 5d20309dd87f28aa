"""Picture of one page of the built book, for authors and for README.

usage: python -m tools.screenshot PAGE [--dark] [--phone] [--whole] [--at ANCHOR] OUT.png

PAGE is for example chapters/deep_linear. --whole shows all of it, --at starts at a heading
or figure.
"""

import argparse
from pathlib import Path

from tools.browser import DESKTOP, HTML, PHONE, chromium, served, visit


def shoot(
    page: str, out: Path, *, dark: bool, phone: bool, whole: bool = False, anchor: str = ""
) -> None:
    """Write a PNG of ``page``. Raises FileNotFoundError where the book has no such page."""
    with served(HTML) as address, chromium() as browser:
        tab = browser.new_page(
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            device_scale_factor=2,
        )
        visit(tab, f"{address}/{page}.html{'#' * bool(anchor)}{anchor}")
        tab.screenshot(path=out, full_page=whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", help="for example chapters/deep_linear")
    parser.add_argument("--dark", action="store_true", help="the dark theme")
    parser.add_argument("--phone", action="store_true", help="at the width of a phone")
    parser.add_argument("--whole", action="store_true", help="the whole page")
    parser.add_argument("--at", default="", metavar="ANCHOR", help="a heading or a figure")
    parser.add_argument("out", type=Path, help="the PNG to write")
    given = parser.parse_args()
    shoot(
        given.page,
        given.out,
        dark=given.dark,
        phone=given.phone,
        whole=given.whole,
        anchor=given.at,
    )


if __name__ == "__main__":
    main()
