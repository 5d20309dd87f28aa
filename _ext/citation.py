"""How the book is cited: CITATION.cff, the address in it, and the same as BibTeX."""

import re
from pathlib import Path

import yaml

from . import book

BIBTEX = """@misc{{toymodels{year},
  author = {{{{{author}}}}},
  title  = {{{title}}},
  year   = {{{year}}},
  note   = {{Version {version}}},
  url    = {{{url}}}
}}
"""


def path() -> Path:
    return book.ROOT / "CITATION.cff"


def renewed() -> str:
    """The text of CITATION.cff with the address of _config.yml."""
    line = f'repository-code: "{book.repository()}"'
    return re.sub(r"^repository-code:.*$", line, path().read_text("utf8"), flags=re.M)


def bibtex() -> str:
    citation = yaml.safe_load(path().read_text("utf8"))
    return BIBTEX.format(
        year=citation["date-released"].year,
        author=" and ".join(author["name"] for author in citation["authors"]),
        title=citation["title"],
        version=citation["version"],
        url=book.repository(),
    )
