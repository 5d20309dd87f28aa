"""The book as its configuration files describe it: pages in order, repository, parsed sources."""

import re
import tomllib
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]


@cache
def config() -> dict:
    return yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))


@cache
def parts() -> list[tuple[bool, list[list[str]]]]:
    """(numbered, entries) of each part of the contents: a page, and the pages that belong to it."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    front = (False, [[toc["root"]]])
    return [front] + [
        (bool(part.get("numbered")), [_with_sections(entry) for entry in part["chapters"]])
        for part in toc["parts"]
    ]


def _with_sections(entry: dict) -> list[str]:
    return [entry["file"], *(section["file"] for section in entry.get("sections", ()))]


def pages() -> list[str]:
    """All pages in reading order."""
    return [page for _, group in parts() for entry in group for page in entry]


def chapters() -> list[str]:
    return [page for page in pages() if page.startswith("chapters/")]


@cache
def with_notebook() -> list[str]:
    """The chapters, and the pages beside them that give a claim a key; not the landing page.

    The notebook stores what its page claims, so that prose can state the numbers.
    """
    return [page for page in pages() if page in chapters() or _has_keyed_claim(page)]


def _has_keyed_claim(page: str) -> bool:
    if not page.startswith("pages/") or not has_code(page):
        return False
    cells = [cell.source for cell in read(page).cells if cell.cell_type == "code"]
    return any(re.search(r"\bkey=", cell) for cell in cells)


def numbers() -> dict[str, int]:
    """The number of every numbered chapter, as Sphinx counts them."""
    numbered = [entry[0] for is_numbered, group in parts() if is_numbered for entry in group]
    return {page: number for number, page in enumerate(numbered, 1)}


def source(page: str) -> Path:
    return ROOT / f"{page}.md"


def has_code(page: str) -> bool:
    return is_myst_markdown_notebook(source(page).read_text("utf8"))


def read(page: str) -> NotebookNode:
    """The page as a notebook without outputs, split into cells exactly as the build splits it."""
    return parse(source(page).read_text("utf8"), source(page))


def parse(text: str, path: Path) -> NotebookNode:
    """The same of a text that need not be what the file at ``path`` holds."""
    enabled = set(config()["parse"]["myst_enable_extensions"])
    # the fields that jupyter-book sets and that can move the border of a cell
    markdown = MdParserConfig(enable_extensions=enabled, dmath_double_inline=True)
    return read_myst_markdown_notebook(text, config=markdown, path=path)


def repository() -> str:
    """https://github.com/<owner>/<name>, the address from which all public links derive.

    Raises ValueError for any other address: Colab opens notebooks from GitHub only.
    """
    given = str(config()["repository"]["url"])
    found = re.fullmatch(r"(https://github\.com/[\w-]+/[\w.-]+?)(\.git)?/*", given.strip())
    if not found:
        raise ValueError(
            "repository.url in _config.yml must be https://github.com/<owner>/<name>, "
            f"got {given!r}, as Colab opens notebooks from GitHub only"
        )
    return found[1]


def branch() -> str:
    return config()["repository"]["branch"]


def page_link(page: str) -> str:
    """Where the page stands on the site: GitHub's, unless the configuration names another."""
    owner, name = urlsplit(repository()).path.strip("/").split("/")
    site = config()["html"].get("baseurl") or f"https://{owner.lower()}.github.io/{name}"
    return f"{site.rstrip('/')}/{page}.html"


def version() -> str:
    """The version of the package and of the book."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]["version"]


def package_source() -> str:
    """What pip installs: the release of this version, or the branch while it is in development."""
    return f"git+{repository()}@{branch() if 'dev' in version() else 'v' + version()}"


def source_link(path: str) -> str:
    return f"{repository()}/blob/{branch()}/{path}"


def notebook(page: str) -> Path:
    return ROOT / "notebooks" / f"{Path(page).name}.ipynb"


def colab_link(page: str) -> str:
    colab = config()["launch_buttons"]["colab_url"].rstrip("/")
    owner_and_name = urlsplit(repository()).path
    return f"{colab}/github{owner_and_name}/blob/{branch()}/notebooks/{notebook(page).name}"
