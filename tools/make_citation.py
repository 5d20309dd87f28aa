"""Write the address of _config.yml into CITATION.cff.

usage: python -m tools.make_citation
"""

import sys

from _ext import citation


def main() -> None:
    citation.path().write_text(citation.renewed(), "utf8")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # the address, and the message says what it must be
        sys.exit(str(error))
