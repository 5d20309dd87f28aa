"""The pages around the chapters say what is so: symbols, terms, links, paths and commands exist."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from chapter_text import formulas, prose, symbols

from _ext import book, notation
from _ext.book import colab_link, repository
from _ext.citation import bibtex, renewed

ROOT = Path(__file__).parents[1]
CHAPTERS = {path.stem: path for path in sorted((ROOT / "chapters").glob("*.md"))}
PAGES = [ROOT / "index.md", *sorted((ROOT / "pages").glob("*.md"))]
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
NOTATION = (ROOT / "pages" / "notation.md").read_text("utf8")
# named in the guides, made by the commands: the last five by those of the coursework
BUILT = {"_build", ".venv", "student", "solution", "autograder", "autograded", "feedback"}
VARIABLES = {"make robustness": "ARGS", "make coursework": "KEY"}  # that take any words


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def uncoded(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


# ---- notation ------------------------------------------------------------------------------------


def rows(entries: list[dict]) -> list[dict]:
    """Entries of the notation with the letters that they explain."""
    return [
        {"letters": set().union(*map(symbols, formulas(entry["symbol"]))), **entry}
        for entry in entries
    ]


def used(chapter: str) -> set[str]:
    return set().union(*map(symbols, formulas(prose(chapter))))


def faults(letters: set[str], mine: list[dict], common: list[dict]) -> list[str]:
    """Letters of a chapter that its entries do not explain, entries that it does not use."""
    explained = set().union(*(row["letters"] for row in [*mine, *common]))
    missing = [f"{letter} has no entry" for letter in sorted(letters - explained)]
    unused = [
        f"{sorted(row['letters'] - letters)} is not used: {row['meaning']}"
        for row in mine
        if row["letters"] - letters
    ]
    return missing + unused


@pytest.mark.parametrize("stem", CHAPTERS)
def test_every_symbol_of_a_chapter_is_in_its_notation_and_every_entry_is_used(stem):
    mine, common = rows(notation.entries(stem)), rows(notation.entries("all"))
    wrong = faults(used(CHAPTERS[stem].read_text("utf8")), mine, common)
    assert not wrong, f"pages/notation/{stem}.yml: " + "\n".join(wrong)
    assert all(row["letters"] for row in mine)


def test_the_notation_has_files_of_chapters_only_and_all_their_entries():
    stems = {path.stem for path in notation.FOLDER.glob("*.yml")}
    assert stems - {"all"} <= set(CHAPTERS)
    found = [
        (entry["symbol"], Path(page).name) for entry, pages in notation.merged() for page in pages
    ]
    wanted = [(entry["symbol"], stem) for stem in stems for entry in notation.entries(stem)]
    assert sorted(found) == sorted(wanted)


def test_the_notation_test_sees_missing_and_unused_symbols():
    strength = {"symbol": "$u$, $u_k(t)$", "meaning": "strength", "units": "none"}
    mine, common = rows([strength]), rows([{**strength, "symbol": "$k$", "meaning": "indices"}])
    assert faults(used("Let $u_k(t)$ grow."), mine, [*common, {"letters": {"t"}}]) == []
    mine = rows([{**strength, "symbol": "$u$"}])
    assert faults(used("Let $u_k$ grow."), mine, common) == []
    assert faults(used(r"Let $\hat{u}_k$ grow at $\eta$."), mine, common) == [r"\eta has no entry"]
    assert faults(used("Let $k$ grow."), mine, common) == ["['u'] is not used: strength"]
    assert faults(used("Let $u_k$ grow."), [], common) == ["u has no entry"]


@pytest.mark.parametrize("wrong", ["- symbol: $u$", "- {symbol: $u$, meaning: '', units: none}"])
def test_an_entry_of_the_notation_says_all_three_things(tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(notation, "FOLDER", tmp_path)
    (tmp_path / "one.yml").write_text(wrong)
    with pytest.raises(ValueError, match="one.yml: an entry must have"):
        notation.entries("one")


def test_letters_stand_in_the_order_of_the_alphabets():
    order = [
        r"a",
        r"A_k",
        r"\hat b",
        r"\mathcal{B}",
        r"\ell",
        r"z",
        r"\alpha",
        r"\epsilon",
        r"\varepsilon",
        r"\Omega",
    ]
    assert sorted(reversed(order), key=notation.place) == order


@pytest.mark.parametrize(
    ("tex", "letters"),
    [
        (r"\dot u = 2u\,(s - u)", "u s"),
        (r"\mathbf{W}_2 \hat{x}^\top", "W x"),
        (r"\lambda_{\max} \log \mathrm{SNR}", r"\lambda"),
        (r"\text{if } n > 0", "n"),
        (r"\begin{aligned} a &= b \end{aligned}", "a b"),
        (r"\operatorname{tr} K \label{eq-x}", "K"),
        (r"W^{\mathsf T} E_{\rm train} \quad x", "W E x"),
        (r"\eta\epsilon\varepsilon\ell", r"\eta \epsilon \varepsilon \ell"),
    ],
)
def test_a_formula_is_read_as_its_base_letters(tex, letters):
    assert symbols(tex) == set(letters.split())


def test_number_sets_and_script_letters_are_symbols_of_their_own():
    assert symbols(r"\mathbb{E}[E] \mathcal{L}") == {r"\mathbb E", "E", r"\mathcal L"}


# ---- glossary, papers, figures -------------------------------------------------------------------


def glossary(text: str) -> set[str]:
    body = re.search(r"^(`{3,}|:{3,})\{glossary\}\n(.*?)^\1$", text, re.M | re.S)[2]
    return {line.lower() for line in body.splitlines() if line and not line[0].isspace()}


def terms(text: str) -> set[str]:
    """The entries that ``{term}`` roles refer to, with or without other words for them."""
    roles = re.findall(r"\{term\}`([^`]+)`", uncoded(text))
    return {re.sub(r".*<(.+)>", r"\1", role, flags=re.S).strip().lower() for role in roles}


def test_every_term_is_in_the_glossary():
    known = glossary(NOTATION)
    for path in [*CHAPTERS.values(), *PAGES]:
        assert terms(path.read_text("utf8")) <= known, name(path)


def test_a_term_may_be_shown_in_other_words():
    assert terms("the {term}`losses <loss>` and a {term}`Mode`") == {"loss", "mode"}


def cited(text: str) -> set[str]:
    roles = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
    return {key.strip() for role in roles for key in role.split(",")}


def paper_maps() -> dict[str, list[dict]]:
    folder = ROOT / "pages" / "paper_map"
    return {path.stem: yaml.safe_load(path.read_text("utf8")) for path in folder.glob("*.yml")}


def test_the_bibliography_holds_what_is_cited_and_nothing_else():
    bibliography = (ROOT / "references.bib").read_text("utf8")
    keys = re.findall(r"^@\w+\{([^,\s]+),", bibliography, re.M)
    wanted = set().union(*(cited(p.read_text("utf8")) for p in [*CHAPTERS.values(), *PAGES]))
    mapped = {entry["paper"] for entries in paper_maps().values() for entry in entries}
    wanted |= mapped - {"our own"}
    assert keys == sorted(keys), "references.bib must be sorted by key"
    assert len(keys) == len(set(keys)), "a key occurs twice"
    assert set(keys) == wanted


def figures(chapter: str) -> set[str]:
    return set(re.findall(r"^ +name: *(fig-[\w-]+)$", chapter, re.M))


@pytest.mark.parametrize("stem", CHAPTERS)
def test_the_paper_map_of_a_chapter_has_all_its_figures_and_no_other(stem):
    entries = paper_maps()[stem]
    mapped = [entry["figure"] for entry in entries]
    assert len(mapped) == len(set(mapped))
    assert set(mapped) == figures(CHAPTERS[stem].read_text("utf8"))
    for entry in entries:
        assert set(entry) == {"figure", "paper", "section", "agrees", "differs"}, entry


# ---- licences, citation --------------------------------------------------------------------------


def test_the_licences_are_those_that_the_pages_name():
    code, text = ((ROOT / f"LICENSE-{kind}").read_text("utf8") for kind in ("CODE", "TEXT"))
    assert code.startswith("BSD 3-Clause License")
    assert "Neither the name of the copyright holder" in code
    assert text.startswith("Attribution 4.0 International")
    assert "Section 8 -- Interpretation." in text


def test_the_citation_has_its_fields_and_agrees_with_package_and_book():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    project = (ROOT / "pyproject.toml").read_text("utf8")
    fields = "cff-version message title authors version date-released license repository-code"
    assert not [field for field in fields.split() if not citation.get(field)]
    assert citation["title"] == config["title"]
    assert f'version = "{citation["version"]}"' in project
    assert f"ersion {citation['version']}" in (ROOT / "CHANGELOG.md").read_text("utf8")


def test_the_citation_holds_the_address_of_the_configuration():
    assert (ROOT / "CITATION.cff").read_text("utf8") == renewed(), "run `make notebooks`"
    assert repository() in bibtex()
    assert "{{ bibtex }}" in (ROOT / "pages" / "cite.md").read_text("utf8")
    assert "repository.url" in (ROOT / "README.md").read_text("utf8")
    elsewhere = [*GUIDES, *CHAPTERS.values()]
    assert not [name(page) for page in elsewhere if repository() in page.read_text("utf8")]


@pytest.mark.parametrize("ending", ["", "/", ".git", ".git/"])
def test_the_address_of_a_fork_may_end_as_people_copy_it(fork, ending):
    fork(f"https://github.com/some-one/their.fork{ending}")
    assert repository() == "https://github.com/some-one/their.fork"
    assert 'repository-code: "https://github.com/some-one/their.fork"' in renewed()
    assert "{https://github.com/some-one/their.fork}" in bibtex()
    assert book.page_link("x") == "https://some-one.github.io/their.fork/x.html"
    assert colab_link("chapters/x").startswith(
        "https://colab.research.google.com/github/some-one/their.fork/blob/main/"
    )


@pytest.mark.parametrize(
    "url",
    ["https://gitlab.com/a/b", "git@github.com:a/b.git", "https://github.com/a", "", None]
    + ["http://github.com/a/b", "https://github.com/a/b/tree/main"],
)
def test_an_address_that_colab_cannot_open_is_refused(fork, url):
    fork(url)
    with pytest.raises(ValueError, match=r"repository.url .* must be https://github.com/<owner>"):
        repository()


@pytest.fixture
def fork(monkeypatch):
    """A function that gives the book another address."""

    def move(url):
        monkeypatch.setattr(
            book, "config", lambda: config | {"repository": config["repository"] | {"url": url}}
        )

    config = book.config()
    return move


# ---- links, paths, commands ----------------------------------------------------------------------


def links(text: str) -> list[str]:
    """Links and images of a page that stay within the repository."""
    targets = re.findall(r"\]\(<?([^)\s>]+)", uncoded(text))
    return [target for target in targets if not re.match(r"https?://|#|mailto:", target)]


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_link_leads_to_a_file(page):
    missing = [link for link in links(page.read_text("utf8")) if not (page.parent / link).exists()]
    assert not missing


def paths(text: str) -> list[str]:
    """What stands in code font and looks like a path; ``<stem>`` stands for every chapter."""
    words = re.findall(r"(?<![}`])`([\w.<>/-]+)`", uncoded(text))
    return [w for w in words if "/" in w or re.search(r"\.(md|py|yml|txt|cff|bib|toml)$", w)]


def exists(path: str) -> bool:
    if path.split("/")[0] in BUILT:
        return True
    found = [(ROOT / path.replace("<stem>", stem)).exists() for stem in CHAPTERS]
    # not every chapter has an assignment or a live figure
    return any(found) if path.startswith("coursework/") or path.endswith(".js") else all(found)


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_path_that_a_page_names_exists(page):
    text = page.read_text("utf8")
    named = paths(text) + re.findall(r"`((?:LICENSE|\.ci)[\w/-]*)`", text)
    assert not [path for path in named if not exists(path)]


def commands(text: str) -> list[str]:
    """The commands of the shell blocks and of the code font."""
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```$", text, re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line] + re.findall(r"`((?:make|pip) [^`]+)`", text)


def fault(command: str) -> str | None:
    """Why a command could not be given, or None: its program, make target or chapter is missing."""
    words = shlex.split(re.sub(r"^(?:[A-Z_]+=\S+ )+", "", command))
    if words[0] == "cd":
        return None
    if not shutil.which(words[0]) and not (ROOT / words[0]).exists():
        return f"{command}: there is no program {words[0]}"
    if words[0] != "make":
        return None
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf8"), re.M)
    for word in words[1:]:
        variable, _, value = word.partition("=")
        free = variable == VARIABLES.get(" ".join(words[:2]))
        if value and not free and (variable != "CHAPTER" or value not in CHAPTERS):
            return f"{command}: there is no {word}"
        if not value and word not in targets:
            return f"{command}: the Makefile has no target {word}"
    return None


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_command_that_a_page_names_can_be_given(page):
    assert not [wrong for c in commands(page.read_text("utf8")) if (wrong := fault(c))]


def test_a_wrong_link_path_or_command_is_caught():
    assert [*map(exists, paths("`tests/test_pages.py` `no/such.py` `<stem>/x.py`"))] == [True, 0, 0]
    assert links("[a](https://a.b) ![b](_static/c.png)") == ["_static/c.png"]
    assert commands("```sh\nmake book\n```\nor `make test`") == ["make book", "make test"]
    assert fault("make book") is None
    for wrong in ("make tea", "no-such-program x", "make book CHAPTER=tea"):
        assert fault(wrong), wrong


def modules(text: str) -> list[str]:
    """The modules of this project that commands run by name."""
    return re.findall(r"python -m (?!pip|venv|pytest)([\w.]+)", text)


def test_the_way_without_make_is_the_way_of_make():
    """The same commands in the same order, so that one cannot be changed without the other."""
    readme, makefile = ((ROOT / file).read_text("utf8") for file in ("README.md", "Makefile"))
    way = re.search(r"^## Without make$.*?^## ", readme, re.M | re.S)[0]
    steps = [line for line in commands(way) if not line.startswith("make ")]
    assert len(steps) == 7
    rules = makefile.replace("$(PY)", "python").replace("$(NBVAL)", "--nbval-lax")
    rules = rules.replace(" --disable-pip-version-check", "").replace("install -q", "install")
    for step in steps[:6]:
        assert step in rules, step
    assert {"tests", "notebooks"} <= set(steps[6].split())
    missing = [m for m in modules(readme) if not (ROOT / f"{m.replace('.', '/')}.py").exists()]
    assert modules(readme) and not missing


def test_every_page_is_in_the_contents():
    assert {p.stem for p in PAGES} == {Path(page).name for page in book.pages()} - set(CHAPTERS)
