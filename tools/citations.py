"""Author-year citations and a list of references, from references.bib, as Markdown."""

from functools import cache

from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.plugin import find_plugin

from _ext import book


@cache
def library() -> BibliographyData:
    return parse_file(str(book.ROOT / "references.bib"))


def _entry(key: str) -> Entry:
    if key not in library().entries:
        raise ValueError(f"references.bib has no entry {key}")
    return library().entries[key]


def _authors(entry: Entry) -> str:
    people = entry.persons.get("author") or entry.persons["editor"]
    names = [
        " ".join(str(name) for name in person.rich_prelast_names + person.rich_last_names)
        for person in people
    ]
    if len(names) > 2:
        return f"{names[0]} *et al.*"
    return " and ".join(names)


def textual(keys: list[str]) -> str:
    entries = [_entry(key) for key in keys]
    return ", ".join(f"{_authors(entry)} [{entry.fields['year']}]" for entry in entries)


def parenthetical(keys: list[str]) -> str:
    entries = [_entry(key) for key in keys]
    cited = [f"{_authors(entry)}, {entry.fields['year']}" for entry in entries]
    return f"[{'; '.join(cited)}]"


def reference_list(keys: list[str]) -> str:
    """The entries that were cited, sorted as in the book."""
    style = find_plugin("pybtex.style.formatting", "plain")()
    backend = find_plugin("pybtex.backends", "markdown")()
    entries = style.format_entries([_entry(key) for key in sorted(set(keys))])
    return "\n".join(f"- {' '.join(entry.text.render(backend).split())}" for entry in entries)
