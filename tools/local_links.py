"""Check a built book: every page is there, every chapter ran, every local link leads somewhere.

usage: python -m tools.local_links _build/html
"""

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from _ext import book


@dataclass
class Page(HTMLParser):
    """The anchors of a page, and the links that leave it."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        values = {name: value for name, value in attrs if value}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        self.links += [values[name] for name in ("href", "src", "poster") if name in values]


def parse(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf8"))
    return page


def broken_links(root: Path) -> tuple[int, list[str]]:
    """How many local links the html files under root have, and those that lead nowhere."""
    root = root.resolve()
    files = [file for file in root.rglob("*.html") if "_static" not in file.parts]
    pages = {file: parse(file) for file in files}
    count, broken = 0, []
    for file, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            count += 1
            if not _leads_somewhere(file, unquote(url.path), unquote(url.fragment), pages):
                broken.append(f"{file.relative_to(root)}: {link}")
    return count, broken


def _leads_somewhere(file: Path, path: str, fragment: str, pages: dict[Path, Page]) -> bool:
    target = (file.parent / path).resolve() if path else file
    if not target.exists():
        return False
    return not fragment or target not in pages or fragment in pages[target].ids


def main(root: Path) -> None:
    count, faults = broken_links(root)
    faults += [f"no page {page}" for page in book.pages() if not (root / f"{page}.html").exists()]
    faults += [f"failed: {log.relative_to(root)}" for log in root.glob("reports/**/*.err.log")]
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(book.pages())} pages, {count} local links, none broken: {root / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
