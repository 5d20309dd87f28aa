"""Print the built book to _build/html/toymodels.pdf and link it from the landing page.

usage: python -m tools.make_pdf

Needs Chromium and a built book. All pages in reading order behind a table of contents, with page
numbers, bookmarks, and links that stay inside the file. The print style of _static/book.css says
what is shown: solutions are, folded code that draws is not, sliders stand at their start.
"""

import io
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, Page
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import Destination, DictionaryObject, Fit, NameObject, TextStringObject

from _ext import book
from tools import local_links
from tools.browser import DESKTOP, HTML, chromium, served, visit

PDF = HTML / "toymodels.pdf"
PLACE = "<!-- the link to the PDF -->"  # stands in index.md
LINK = '<p class="pdf-link"><a href="{name}">The whole book as a PDF</a> ({pages} pages)</p>'
# Chromium remembers the place of an anchor only where a link of the same page leads to it.
POINT_AT = """anchors => document.body.insertAdjacentHTML("beforeend",
    anchors.map(anchor => `<a href="#${anchor}"></a>`).join(""))"""
HEADINGS = """() => [...document.querySelectorAll("main section > :is(h1, h2)")].map(heading => {
    const words = heading.cloneNode(true);
    words.querySelectorAll(".headerlink, mjx-container").forEach(part => part.remove());
    return [heading.parentElement.id, words.textContent];
})"""
ON_PAPER = """
  @page {{ @top-center {{ content: "{title}"; font: 8pt sans-serif; }} }}
  @page :first {{ @top-center {{ content: none; }} }}
  html {{ counter-set: page {number}; }}
"""
CONTENTS = """<!doctype html><html lang="en"><title>{title}</title><style>
  @page {{ margin: 25mm 30mm; }}
  body {{ font: 11pt/1.7 sans-serif; margin: 0; }}
  h1 {{ font-size: 26pt; line-height: 1.2; margin: 15mm 0 0; }}
  li {{ display: flex; gap: .5em; align-items: baseline; }} ol {{ list-style: none; padding: 0; }}
  li span {{ flex: 1; border-bottom: 1px dotted #999; }} a {{ color: inherit; }}
</style><h1>{title}</h1><p>{author}. Version {version}.</p>
<p>The code that draws the figures is left out: it is on the pages and in the notebooks at
<a href="{repository}">{repository}</a>.</p>
<h2>Contents</h2><ol>{entries}</ol>"""
ENTRY = '<li><a href="{href}">{title}</a><span></span>{number}</li>'


@dataclass(frozen=True)
class Part:
    """One page of the book on paper: its title, its sections, how many sheets lie before it."""

    title: str
    sections: list[tuple[str, str]]  # anchor, title
    reader: PdfReader
    before: int

    def place(self, anchor: str) -> tuple[int, float]:
        """Sheet within the part and height on it; the top for an anchor that is not known."""
        found = self.reader.named_destinations.get(f"/{anchor}")
        if found is None:
            return 0, float(self.reader.pages[0].mediabox.top)
        return self.reader.get_destination_page_number(found), float(found.top)


def anchors() -> dict[str, set[str]]:
    """The anchors of every page that some page of the book links to."""
    wanted = defaultdict(set)
    for page in book.pages():
        here = HTML / f"{page}.html"
        for link in local_links.parse(here).links:
            url = urlsplit(link)
            if url.fragment and not url.scheme:
                target = (here.parent / unquote(url.path)).resolve() if url.path else here
                wanted[page_of(target.relative_to(HTML).as_posix())].add(unquote(url.fragment))
    return wanted


def page_of(path: str) -> str:
    return path.strip("/").removesuffix(".html")


def printed(tab: Page, address: str, wanted: set[str], before: int) -> Part:
    """One page of the book; its sheets are numbered from ``before + 1``."""
    visit(tab, address)
    (_, title), *sections = tab.evaluate(HEADINGS)
    tab.evaluate(POINT_AT, sorted(wanted.union(anchor for anchor, _ in sections)))
    header = title.replace("\\", r"\\").replace('"', r"\"")
    tab.add_style_tag(content=ON_PAPER.format(title=header, number=before))
    return Part(title, sections, PdfReader(io.BytesIO(tab.pdf(format="A4"))), before)


def contents(tab: Page, address: str, parts: dict[str, Part]) -> PdfReader:
    entries = (
        ENTRY.format(
            href=f"{address}/{page}.html", title=escape(part.title), number=part.before + 1
        )
        for page, part in parts.items()
    )
    config = {name: escape(book.config()[name]) for name in ("title", "author")}
    where = {"version": book.version(), "repository": book.repository()}
    tab.set_content(CONTENTS.format(**config, **where, entries="".join(entries)))
    return PdfReader(io.BytesIO(tab.pdf(format="A4")))


def bound(front: PdfReader, parts: dict[str, Part], address: str) -> PdfWriter:
    """The contents and all parts as one file."""
    writer = PdfWriter()
    writer.append(front, outline_item="Contents", import_outline=False)
    offset = len(front.pages)
    for part in parts.values():
        writer.append(part.reader, import_outline=False)
        bookmark(writer, part, offset + part.before)
    pages = list(writer.pages)
    for sheet in pages[:offset]:
        lead_inside(sheet, "", parts, pages[offset:], address)
    for name, part in parts.items():
        start = offset + part.before
        for sheet in pages[start : start + len(part.reader.pages)]:
            lead_inside(sheet, name, parts, pages[offset:], address)
    del writer.root_object["/Names"]  # anchors of the same name on different pages
    writer.set_page_label(0, offset - 1, style="/r")
    writer.set_page_label(offset, len(pages) - 1, style="/D", start=1)
    writer.add_metadata({"/Title": book.config()["title"], "/Author": book.config()["author"]})
    return writer


def bookmark(writer: PdfWriter, part: Part, start: int) -> None:
    chapter = writer.add_outline_item(title=part.title, page_number=start)
    for anchor, title in part.sections:
        sheet, top = part.place(anchor)
        at = {"page_number": start + sheet, "fit": Fit.xyz(0, top)}
        writer.add_outline_item(title=title, parent=chapter, **at)


def lead_inside(
    sheet: PageObject, here: str, parts: dict[str, Part], sheets: list[PageObject], address: str
) -> None:
    """Let the links of a sheet to pages jump within the book, and those to files be public."""
    for link in (each.get_object() for each in sheet.get("/Annots", ())):
        target = link.get("/A", {}).get("/URI")
        if target is None:
            page, anchor = here, link["/Dest"].removeprefix("/")
        elif target.startswith(address):
            url = urlsplit(target)
            page, anchor = page_of(unquote(url.path)) or "index", unquote(url.fragment)
        else:
            continue
        if page in parts:
            jump(link, sheets, parts[page], anchor)
        else:
            link["/A"][NameObject("/URI")] = TextStringObject(book.source_link(page))


def jump(link: DictionaryObject, sheets: list[PageObject], part: Part, anchor: str) -> None:
    sheet, top = part.place(anchor)
    place = sheets[part.before + sheet].indirect_reference
    link.pop("/A", None)
    link[NameObject("/Dest")] = Destination(anchor, place, Fit.xyz(0, top)).dest_array


def printed_book(browser: Browser, address: str) -> PdfWriter:
    """All pages of the book served at ``address``, bound. FileNotFoundError if one is missing."""
    tab = browser.new_page(viewport=DESKTOP, color_scheme="light")
    parts, before, wanted = {}, 0, anchors()
    for page in book.pages():
        parts[page] = printed(tab, f"{address}/{page}.html", wanted[page], before)
        before += len(parts[page].reader.pages)
    whole = bound(contents(tab, address, parts), parts, address)
    tab.close()
    return whole


def link_from_landing_page(pages: int) -> None:
    index = HTML / "index.html"
    link = LINK.format(name=PDF.name, pages=pages)
    text = re.sub(f"{PLACE}.*", f"{PLACE}{link}", index.read_text("utf8"))
    index.write_text(text, "utf8")


def main() -> None:
    with served(HTML) as address, chromium() as browser:
        pdf = printed_book(browser, address)
    pdf.write(PDF)
    link_from_landing_page(len(pdf.pages))
    print(f"{PDF}: {len(pdf.pages)} pages, linked from index.html")


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:  # no browser, or no book
        sys.exit(f"make pdf: {error}")
