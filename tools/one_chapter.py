"""Build one chapter quickly for its author: links to the other chapters stay unresolved.

usage: python -m tools.one_chapter STEM     or the stem of another page that has a notebook
"""

import subprocess
import sys
from pathlib import Path

import yaml

from _ext import book
from tools import execute

SUPPORT = ["pages/notation", "pages/references"]  # where a chapter's terms and citations live


def main(stem: str) -> None:
    pages = {Path(page).name: page for page in book.with_notebook()}
    page = pages.get(stem, f"chapters/{stem}")
    execute.main([page])
    out = book.ROOT / "_build" / "chapter"
    out.mkdir(parents=True, exist_ok=True)
    toc = {"format": "jb-book", "root": page, "chapters": [{"file": file} for file in SUPPORT]}
    (out / "toc.yml").write_text(yaml.safe_dump(toc))
    command = ["jupyter-book", "build", ".", "-q", "--toc", str(out / "toc.yml")]
    subprocess.run([*command, "--path-output", str(out)], cwd=book.ROOT, check=True)
    print(f"\n{(out / '_build' / 'html' / page).relative_to(book.ROOT)}.html")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
