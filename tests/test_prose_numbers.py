"""Every number in the prose names the claim that states it, or is marked as part of the set-up.

A chapter that does not do so yet stands in UNCONVERTED. There a number must be in some claim, or in
an exception, a MyST comment line that is invisible in the book:

    % numbers: 2 two layers; 0.5 half of the target -- these define the set-up
"""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from chapter_text import prose

from _ext import bindings, book
from _ext.numerals import Numeral, marked, numerals, plain, stated

ROOT = Path(__file__).parents[1]
UNCONVERTED = []
CHAPTERS = sorted((ROOT / "chapters").glob("*.md"))
MIME = "application/vnd.toymodels.claim+json"
EXCEPTION = re.compile(r"^% *numbers:(.*)$", re.M)


def recorded(notebook: dict) -> list[float]:
    """All numbers that the claims of an executed notebook left in its outputs."""
    claims = [
        output["data"][MIME]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if MIME in output.get("data", {})
    ]
    return [
        float(value)
        for claim in claims
        for value in claim.values()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def exceptions(text: str) -> tuple[list[Numeral], list[str]]:
    """The numbers that a chapter excepts, and what is wrong with its exceptions."""
    numbers, wrong = [], []
    for line in EXCEPTION.findall(text):
        items, _, reason = line.partition("--")
        if not reason.strip():
            wrong.append(f"an exception must give its reason after ' -- ': {line.strip()}")
        for item in items.split(";"):
            excepted = _leading_numerals(item)
            numbers += excepted
            if not excepted:
                wrong.append(f"an exception must start with a number: {item.strip()}")
    return numbers, wrong


def _leading_numerals(item: str) -> list[Numeral]:
    """``3, 2 and 1 % noise`` excepts three numbers; what follows the first word is a note."""
    lead = re.match(r"(?:[\s$,+\-\d./%\\]|e-?\d|and\b)*", plain(item))
    return numerals(lead[0].replace("$", "").replace("\\", ""))


def same(a: Numeral, b: Numeral) -> bool:
    return a.percent == b.percent and a.value == pytest.approx(b.value, rel=1e-9)


def problems(text: str, values: list[float]) -> list[str]:
    """What keeps the numbers of a chapter from being true by construction."""
    written = unmarked(text)
    excepted, wrong = exceptions(text)
    for numeral in written:
        if any(same(numeral, other) for other in excepted):
            continue
        if not any(numeral.states(value) for value in values):
            percent = " %" * numeral.percent
            wrong.append(f"{numeral.text}{percent} is in no claim: ... {numeral.context} ...")
    for other in excepted:
        if not any(same(numeral, other) for numeral in written):
            wrong.append(f"the exception {other.text} matches no number of the prose")
    return wrong


def unmarked(text: str) -> list[Numeral]:
    """The numerals of the prose outside of the roles num and given."""
    return numerals(prose(bindings.ROLE.sub(" ", text)))


@pytest.mark.parametrize("page", book.pages())
def test_marked_numbers_are_what_they_name(page):
    text = book.source(page).read_text("utf8")
    assert not (wrong := bindings.problems(text, page, bindings.stored)), "\n".join(wrong)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_number_of_the_prose_is_marked(chapter):
    text = chapter.read_text("utf8")
    if chapter.stem not in UNCONVERTED:
        loose = [f"{n.text}: ... {n.context} ..." for n in unmarked(text)]
        assert not loose, "no role num or given:\n" + "\n".join(loose)
        assert not EXCEPTION.findall(text), "exceptions are given, at their place"
        return
    notebook = ROOT / "notebooks" / f"{chapter.stem}.ipynb"
    assert notebook.exists(), f"notebooks/{notebook.name} is missing: `make notebooks`"
    values = recorded(json.loads(notebook.read_text("utf8")))
    assert values, f"notebooks/{notebook.name} holds no executed claim: `make notebooks`"
    wrong = problems(text, values)
    assert not wrong, "\n".join(wrong)


def with_other_last_digits(binding: bindings.Binding):
    """The binding with the last digit of each numeral replaced by each other digit."""
    text = plain(binding.text)
    for numeral in marked(text):
        start = text.rindex(numeral.text)
        last = start + re.match(r"[-+]?\d+(?:\.\d+)?", numeral.text).end() - 1
        for digit in set("0123456789") - {text[last]}:
            yield dataclasses.replace(binding, text=text[:last] + digit + text[last + 1 :])


@pytest.mark.parametrize("page", book.pages())
def test_a_change_of_any_last_digit_is_caught(page):
    text = book.source(page).read_text("utf8")
    for role in bindings.ROLE.finditer(text):
        if role["role"] == "num":
            for changed in with_other_last_digits(bindings.parse(role["content"], page)):
                with pytest.raises(ValueError, match=" is not "):
                    bindings.check(changed, bindings.stored)


@pytest.mark.parametrize(
    "sentence",
    [
        "The wait is 7.31 units of time.",
        "The wait is $7.31$ long.",
        r"It waits $t \approx 7.31$ and leaps.",
        r"It waits $t_{1/2} = 7.31$ and leaps.",
        "The gap is $10^{-7}$ at most.",
        r"The gap is $3\times10^{-7}$.",
        "It holds within 3.7 %.",
        r"It holds within $3.7\%$.",
        "It holds within $3.7$ per cent.",
        "Trained from 250 seeds.",
        "Trained from $n = 250$ seeds.",
        "The slope is $-1/3$.",
        "The slope is −0.37.",
        "```{note}\n:class: tip\nAll 77 of them.\n```",
        ":::{admonition} All 77 of them\n:::",
        "```{code-cell}\n---\nmystnb:\n  figure:\n    caption: Over 77 seeds.\n---\nx = 1\n```",
        "A table\n\n| n | gap |\n|--:|----:|\n| few | 0.041 |",
        "$$t = 7.31$$",
        "```{math}\n:label: eq-x-5\nt = 7.31\n```",
    ],
)
def test_a_number_that_no_claim_backs_is_caught(sentence):
    assert problems(sentence, [0.5, 20.0, 1e-3])
    assert len(numerals(prose(sentence))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "---\nversion: 0.13\n---\n(deep-2)=\n# A title",
        "% a comment about 13 things",
        "```{code-cell} ipython3\nx = 12.5\n```",
        "```python\nx = 12.5\n```",
        "```{chapter-card}\n:gpu: 1\n```",
        "see {numref}`fig-x-2`, {eq}`eq-12`, {cite:p}`saxe2014exact` and `float64`",
        "see [the page](https://example.org/12/34) or https://example.org/5 or arXiv:1312.6120v3",
        "see Section 4.2, Fig. 3 and equations 12 to 14 of the paper",
        "1. first\n2. second",
        "a 3D plot of the 2nd mode in float64",
        "$u_0$, $x^{12}$, $W_{12}$, $2 \\pi r$ and $10^{-l}$",
        "depth $L = 2$, $0 < m < 1$, $u = s/2$ and $\\tfrac12 x^2$",
        "| a | b |\n|---|---|",
    ],
)
def test_numbering_code_and_structure_are_no_claims(text):
    assert [numeral.text for numeral in numerals(prose(text))] == []


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("about 0.93 of it", 0.9312),
        ("about $1.6$", 1.584),
        ("after 13 s", 12.7),
        ("a tenth, 10 %", 0.1),
        ("1.5 to 1.5 %", 0.015),
        ("only $3.2\\%$", 0.0321),
        ("below $10^{-7}$", 1.2e-7),
        ("below $2\\times10^{-7}$", 1.6e-7),
        ("a slope of −0.50", -0.4981),
        ("a drop of 0.50", -0.4981),
        ("a slope of $-1/2$", -0.5),
        ("$12{,}000$ steps or 12,000 steps", 12000),
        ("$0.93 \\pm 0.93$", 0.93),
        ("4 modes", 4),
    ],
)
def test_a_recorded_number_may_be_rounded_to_the_digits_shown(sentence, value):
    assert numerals(sentence)
    assert problems(sentence, [value]) == []


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("about 0.93 of it", 0.94),
        ("about 0.93 of it", 0.9249),
        ("1 seed", 0.93),
        ("no error, 0", 1e-9),
        ("0.5 of it", 0.005),
        ("0.5 %", 0.5),
        ("below $10^{-7}$", 1.6e-7),
        ("a slope of $-0.5$", 0.5),
        ("a slope of $1/3$", 0.3),
        ("200 seeds", 201),
    ],
)
def test_a_number_that_differs_from_the_record_is_caught(sentence, value):
    assert problems(sentence, [value])


def test_an_exception_needs_a_reason_and_a_number_of_the_text():
    sentence = "Start from 0.125 with 3 % of noise, in $10^{-3}$ steps.\n"
    good = "% numbers: 0.125 an eighth; 3 % noise; 10^{-3} the step -- they define the set-up\n"
    assert problems(sentence + good, []) == []
    assert problems(sentence.replace("3 %", "3") + good, []), "3 is not 3 %"
    assert problems(sentence + good.split("--")[0] + "\n", []), "no reason"
    assert problems(sentence + good.split("--")[0] + "--  \n", []), "empty reason"
    assert problems(sentence + good + "% numbers: 0.25 a quarter -- unused\n", [])
    assert problems(sentence + good + "% numbers: none -- no number\n", [])
    assert problems("Nine.\n" + "% numbers: 9 -- written as a word\n", [])


def test_one_exception_may_list_numbers():
    text = "Strengths $4, 2, 1$ and 0.5.\n% numbers: 4, 2 and 1 strengths; 0.5 start -- set-up"
    assert problems(text, []) == []


def test_a_formula_states_what_stands_alone():
    assert [n.text for n in stated(r"$t \approx \log(s/u_0)/2s = 3.45$")] == ["3.45"]
    assert [n.text for n in stated("$n = 10, 20$")] == ["10", "20"]
    assert stated("$f(x) = 2x + 35y$") == []


def test_only_claims_are_read_from_a_notebook():
    claim = {"name": "4 modes", "predicted": 0.5, "error": None, "seeds": 20}
    outputs = [{"data": {MIME: claim, "text/plain": "7"}}, {"text": "8"}]
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": outputs}]
    assert recorded({"cells": cells}) == [0.5, 20.0]
