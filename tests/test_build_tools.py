"""The tools around the book: links, ledger, gallery, execution, commands."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docutils import nodes

from _ext import (
    bindings,
    book,
    book_tweaks,
    chapter_card,
    execution,
    gallery,
    ledger,
    punctuation,
    search_from_file,
    sources,
)
from tools import execute, local_links, serve
from tools.browser import served
from tools.provenance import provenance
from toymodels.sweeps.fingerprint import packages

CLAIM = {
    "kind": "measurement",
    "name": "gap",
    "key": "gap",
    "predicted": 1.0,
    "measured": 1.0234,
    "error": 0.0117,
    "deviation": 2.0,
    "scale": "standard errors",
    "within": 3.0,
    "beyond": None,
    "null": 2.0,
    "no_null": None,
    "n": None,
    "members": 10,
    "source": "a paper",
    "held": True,
    "entries": None,
}
FAILURE = CLAIM | {
    "kind": "failure",
    "within": None,
    "beyond": 0.1,
    "scale": "relative",
    "deviation": 0.5,
    "error": None,
    "null": None,
}


def test_every_page_of_the_table_of_contents_exists():
    assert [page for page in book.pages() if not book.source(page).exists()] == []


def test_help_lists_every_command():
    text = (book.ROOT / "Makefile").read_text()
    commands = set(re.findall(r"^([a-z-]+):", text, re.M))
    command = ["make", "--no-print-directory", "help"]  # else a make above this one is announced
    shown = subprocess.run(command, cwd=book.ROOT, capture_output=True, text=True).stdout
    assert commands == {line.split()[1] for line in shown.splitlines()}
    assert all(len(line.split()) > 3 for line in shown.splitlines())


def test_chapters_are_numbered_in_reading_order():
    assert list(book.numbers()) == book.chapters()
    assert book.colab_link("chapters/x").endswith("/blob/main/notebooks/x.ipynb")


def test_a_page_that_gives_a_claim_a_key_is_a_notebook_too():
    made = book.with_notebook()
    assert set(book.chapters()) < set(made) and "pages/widths_and_depths" in made
    assert not {"index", "pages/sweeps", "pages/claims"} & set(made)
    page = "pages/widths_and_depths"
    binding = bindings.parse("1.23 <widths_and_depths:steep>", book.chapters()[0])
    assert binding.page == page and "steep" in bindings.stored(page)


def test_the_buttons_of_a_chapter_lead_to_the_notebook_that_is_made_from_it():
    ipynb, source = {"text": ".ipynb", "url": "_sources/x.ipynb"}, {"text": ".md", "url": "x.md"}
    groups = [
        {"label": "launch-buttons", "buttons": [{"text": "Colab", "url": "x.md"}]},
        {"label": "download-buttons", "buttons": [ipynb, source]},
        {"label": "fullscreen-button", "text": ""},
    ]
    page = book.chapters()[0]
    launch, download, last = book_tweaks._repair_buttons(page, groups)
    assert launch["buttons"][0]["url"] == book.colab_link(page)
    assert download["buttons"][0]["url"] == f"../notebooks/{book.notebook(page).name}"
    assert (download["buttons"][1], last) == (source, groups[2])
    download, last = book_tweaks._repair_buttons("pages/cite", groups)
    assert (download["buttons"], last) == ([source], groups[2])


def test_a_notebook_installs_a_release_unless_it_is_in_development(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "ROOT", tmp_path)
    repository = book.repository()
    for version, revision in (("0.3.1", "v0.3.1"), ("0.4.0.dev0", book.branch())):
        (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        assert book.package_source() == f"git+{repository}@{revision}"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#there">b</a>')
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html">a</a><img src="c%20d.svg">')
    (tmp_path / "c d.svg").write_text("<svg/>")
    return tmp_path


def test_links_of_a_whole_site_are_found(site):
    assert local_links.broken_links(site) == (3, [])


@pytest.mark.parametrize(
    "link", ["c.html", "b.html#nowhere", "#nowhere", "../outside/none.html", "x.png"]
)
def test_a_broken_link_is_named(site, link):
    (site / "a.html").write_text(f'<a href="{link}">x</a><a href="https://example.org/#y">y</a>')
    assert local_links.broken_links(site)[1] == [f"a.html: {link}"]


def test_a_missing_page_and_a_failed_notebook_are_named(site):
    (site / "reports").mkdir()
    (site / "reports" / "x.err.log").write_text("Traceback")
    with pytest.raises(SystemExit, match=r"(?s)no page index.*failed: reports/x.err.log"):
        local_links.main(site)


def test_a_row_of_the_ledger_shows_a_result_with_its_error_bar():
    assert ledger.row(CLAIM, {"held": 9, "runs": 10}) == [
        "✓ gap",
        "1",
        "1.023 ± 0.012",
        "2 standard errors",
        "at most 3",
        "2",
        "10",
        "9 of 10",
        "a paper",
    ]
    assert ledger.row(FAILURE)[:5] == ["≠ gap", "1", "1.0234", "50 %", "more than 10 %"]
    reason = CLAIM | {"null": None, "no_null": "no rival is known"}
    assert ledger.row(reason)[5] == "no rival is known"


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.70512, None, "0.70512"),
        (0.70512, 0.0123, "0.705 ± 0.012"),
        (12.3456, 1.26, "12.3 ± 1.3"),
        (1234.5, 56.0, "1234 ± 56"),
        (123456.7, 560.0, "123457 ± 5.6e+02"),
        (3.2e-9, 4.4e-10, "3.2e-09 ± 4.4e-10"),
    ],
)
def test_a_result_is_quoted_to_the_digits_of_its_error_bar(value, error, shown):
    assert ledger.quoted(value, error) == shown


def test_the_ledger_counts_kinds_and_averages():
    text = ledger.total({"chapters/a": [CLAIM, FAILURE], "chapters/b": [FAILURE]})
    assert text == (
        "3 claims on 2 pages: 1 measurements (✓), 0 identities (≡), 2 failures (≠). "
        "1 are averages with an error bar."
    )


def test_claims_json_keeps_what_held_here_beside_how_often_it_held(monkeypatch):
    again = {"spring_block": {"gap": {"held": 9, "runs": 10}}}
    monkeypatch.setattr(ledger, "robustness", lambda: again)
    found = ledger.with_robustness({"chapters/spring_block": [CLAIM], "pages/sweeps": [CLAIM]})
    assert found["chapters/spring_block"] == [CLAIM | {"again": {"held": 9, "runs": 10}}]
    assert found["pages/sweeps"] == [CLAIM | {"again": None}]


def test_a_keyed_claim_of_the_ledger_leads_to_its_line():
    table = ledger.ClaimsLedger.table(None, "chapters/spring_block", [CLAIM, FAILURE], {})
    html = str(table)
    address = 'refuri="../chapters/spring_block.html#claim-spring-block-gap"'
    assert address in html and "column-predicted" in html
    assert "column-held" not in html  # no claim was run again
    assert bindings.anchor("chapters/spring_block", "gap") == "claim-spring-block-gap"


def figure(name):
    return gallery.Figure("chapters/a", name, "caption", "alt text", b"<svg/>", "svg")


def test_figures_and_paper_map_must_name_each_other():
    entry = {"figure": "fig-a-one"}
    assert gallery.paired([figure("fig-a-one")], [entry], "a") == [(figure("fig-a-one"), entry)]
    with pytest.raises(ValueError, match=r"a.yml has no entry for \['fig-a-one'\]"):
        gallery.paired([figure("fig-a-one")], [], "a")
    with pytest.raises(ValueError, match=r"a.yml names \['fig-a-one'\], not in the chapter"):
        gallery.paired([], [entry], "a")


@pytest.mark.parametrize("stem", [Path(page).name for page in book.chapters()])
def test_every_figure_of_a_chapter_stands_in_the_paper_map(stem):
    cells = book.read(f"chapters/{stem}").cells
    about = [cell.metadata.get("mystnb", {}).get("figure", {}) for cell in cells]
    drawn = [figure(options["name"]) for options in about if options]
    assert len(gallery.paired(drawn, gallery.papers(stem), stem)) > 0


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.1, "5 s"), (17.2, "20 s"), (90, "90 s"), (91, "2 min")]
)
def test_times_are_rounded_up(seconds, shown):
    assert chapter_card.duration(seconds) == shown


@pytest.fixture
def small_book(tmp_path, monkeypatch):
    """A book of one page with code, in a folder of its own, with a cache of its own."""
    head = "---\njupytext: {text_representation: {format_name: myst}}\n"
    head += "kernelspec: {name: python3, display_name: Python 3}\n---\n"
    (tmp_path / "page.md").write_text(f"{head}# Page\n\n```{{code-cell}}\n6 * 7\n```\n")
    (tmp_path / "toymodels").mkdir()
    book.config()  # kept: the small book is configured as the large one
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(execution, "CACHE", tmp_path / "_build" / "cache")
    return tmp_path


def answer():
    return execution.get("page").notebook.cells[1].outputs[0]["data"]["text/plain"]


def test_a_page_is_executed_once_and_again_when_its_code_changes(small_book, capsys):
    assert execute.fill(["page"]) == {}
    assert answer() == "42"
    assert execution.get("page").processor_seconds > 0
    execute.fill(["page"])
    assert capsys.readouterr().out.splitlines()[-1] == "page: unchanged"
    text = (small_book / "page.md").read_text()
    (small_book / "page.md").write_text(text.replace("# Page", "# New words"))
    assert execution.find("page") is not None
    (small_book / "page.md").write_text(text.replace("6 * 7", "6 * 8"))
    assert execution.find("page") is None
    with pytest.raises(LookupError, match=r"page.md has not been executed"):
        answer()


def test_a_page_that_fails_shows_its_traceback_and_is_not_kept(small_book):
    text = (small_book / "page.md").read_text()
    (small_book / "page.md").write_text(text.replace("6 * 7", "1 / 0"))
    assert "ZeroDivisionError" in execute.fill(["page"])["page"]
    assert execution.find("page") is None


def test_a_torn_cache_is_thrown_away(small_book):
    run = execution.Run(book.read("page"), sources.key("page"), 1.0, 1.0)
    execution.put("page", run)
    execution.drop_stale()
    assert execution.find("page") is not None
    torn = next(execution.CACHE.glob("executed/*/base.ipynb"))
    torn.write_text(torn.read_text()[:20])  # as when the build is killed while it writes
    execution.drop_stale()
    assert execution.find("page") is None
    execution.put("page", run)
    shutil.rmtree(execution.CACHE / "executed")
    execution.drop_stale()
    assert execution.find("page") is None


FILES = {
    "requirements.lock": "numpy==1\n",
    "toymodels/__init__.py": "",
    "toymodels/room/__init__.py": (
        "from toymodels.room.far import reach\nfrom toymodels.room.near import touch\n"
    ),
    "toymodels/room/near.py": "def touch(): ...\n",
    "toymodels/room/far.py": "from . import further\n\ndef reach(): ...\n",
    "toymodels/room/further.py": "",
    "toymodels/page/__init__.py": "from toymodels.page.style import finish\n\nfinish()\n",
    "toymodels/page/style.py": "def finish(): ...\n",
    "toymodels/page/style.js": "",
    "toymodels/spring.py": "from toymodels.room.near import touch\n",
    "toymodels/string.py": "import toymodels.room\n",
    "toymodels/results/string/one.point": "",
    "benchmarks/results/one.json": "{}",
}
CODE = {
    "spring": "%matplotlib inline\nfrom toymodels.spring import touch",
    "door": "from toymodels.room import reach",
    "string": "def f():\n    from toymodels import string",
    "page": "from toymodels.page import finish",
    "drawn": "open('benchmarks/results/one.json')",
    "table": "list(Path('./benchmarks/results').glob('*'))",
}


@pytest.fixture
def small_package(small_book):
    """A small book of several pages, which import and read different things."""
    head = (small_book / "page.md").read_text()
    files = FILES | {f"{name}.md": head.replace("6 * 7", code) for name, code in CODE.items()}
    for name, text in files.items():
        (small_book / name).parent.mkdir(parents=True, exist_ok=True)
        (small_book / name).write_text(text)
    return small_book


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ("requirements.lock", "spring door string page drawn table"),
        ("toymodels/room/near.py", "spring string"),
        ("toymodels/room/far.py", "door string"),
        ("toymodels/room/further.py", "door string"),
        ("toymodels/room/__init__.py", "string"),  # else only what its names lead to
        ("toymodels/page/__init__.py", "page"),  # not a door: it does something
        ("toymodels/page/style.py", "page"),
        ("toymodels/page/style.js", "page"),
        ("toymodels/spring.py", "spring"),
        ("toymodels/string.py", "string"),
        ("toymodels/results/string/one.point", "string"),
        ("benchmarks/results/one.json", "drawn table"),
        ("benchmarks/results/two.json", "table"),
    ],
)
def test_a_page_is_stale_when_what_it_imports_or_reads_has_changed(small_package, changed, stale):
    for name in CODE:
        execution.put(name, execution.Run(book.read(name), sources.key(name), 1.0, 1.0))
    execution.drop_stale()
    assert all(execution.find(name) for name in CODE)
    with (small_package / changed).open("a") as file:
        file.write("# a comment\n")
    execution.drop_stale()
    assert [name for name in CODE if execution.find(name) is None] == stale.split()


def test_a_name_that_comes_from_another_module_is_a_change(small_package):
    before = sources.key("door")
    door = small_package / "toymodels" / "room" / "__init__.py"
    door.write_text(door.read_text().replace("room.far import", "room.near import"))
    assert sources.key("door") != before


def test_chapters_hang_on_their_own_models_and_data():
    """A comment in ``tree`` executes its chapter and two that compare, and new diagrams the
    chapter that shows them."""
    read = {page: sources.files(page) for page in book.chapters()}

    def hanging_on(file):
        return {Path(page).name for page, files in read.items() if book.ROOT / file in files}

    assert hanging_on("toymodels/tree.py") == {"tree", "lattice", "phenomena"}
    assert hanging_on("toymodels/numerics/draws.py") == {Path(page).name for page in read}
    stored = list((book.ROOT / "toymodels" / "results" / "data_separation").iterdir())
    assert len(stored) > 1
    for file in stored:
        assert hanging_on(file.relative_to(book.ROOT)) == {"data_separation"}
    assert not any(hanging_on(f.relative_to(book.ROOT)) for f in book.ROOT.glob("benchmarks/*/*"))
    measured = set((book.ROOT / "benchmarks" / "results").glob("*.json"))
    assert measured and measured <= sources.files("pages/how_fast")


def test_a_formula_keeps_the_mark_that_follows_it():
    formula = nodes.math("", "x")
    sentence = nodes.paragraph("", "", nodes.Text("at "), formula, nodes.Text("), and so on."))
    doctree = nodes.section("", sentence, nodes.paragraph("", "", nodes.math("", "y")))
    punctuation.keep_together(None, doctree, "page")
    together, rest = sentence[1:]
    assert together["classes"] == ["unbroken"] and together[0] is formula
    assert together.astext() == "x)," and rest == " and so on."
    assert doctree.astext() == "at x), and so on.\n\ny"


def test_an_unknown_page_is_refused_by_name():
    command = [sys.executable, "-m", "tools.execute", "chapters/nothing"]
    done = subprocess.run(command, cwd=book.ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "not in _toc.yml: chapters/nothing" in done.stderr


def test_a_busy_port_ends_in_a_sentence():
    with served(book.ROOT / "pages") as address:
        for wrong in (int(address.rpartition(":")[2]), 99999):
            with pytest.raises(SystemExit, match=rf"Port {wrong} cannot be used .* PORT=8001"):
                serve.listening(wrong)


def test_a_pdf_without_a_browser_ends_in_a_sentence(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delitem(sys.modules, "tools.make_pdf", raising=False)  # as in a process of its own
    with pytest.raises(SystemExit, match=r"make pdf: Chromium must be installed"):
        runpy.run_module("tools.make_pdf", run_name="__main__")


def test_the_search_keeps_the_words_of_a_page_and_the_anchors_that_a_hit_names():
    page = '<p>menu</p><div role="main"><h1 id="x" class="y">Wait <b>for</b> it</h1>'
    page += "<script>1</script></div>"
    assert search_from_file.text(page) == ('<div role="main"><h1 id="x">Wait for it</h1></div>')


def test_what_a_header_says_does_not_hang_on_who_asked_before():
    first = provenance(provenance.__code__.co_filename, seed=1, sizes=(2, 3))
    assert first == provenance(provenance.__code__.co_filename, seed=1, sizes=(2, 3))
    assert first["script"] == "tools/provenance.py" and first["sizes"] == [2, 3]
    assert "toymodels" in packages() and "toymodels" not in first
