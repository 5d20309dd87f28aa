"""Every number in the prose names the claim that states it, or is marked as part of the set-up."""

import dataclasses
import re

import pytest
from chapter_text import prose

from _ext import bindings, book
from _ext.numerals import Numeral, marked, numerals, plain, stated


def unmarked(text: str) -> list[Numeral]:
    """The numerals of the prose outside of the roles num and given."""
    return numerals(prose(bindings.ROLE.sub(" ", text)))


@pytest.mark.parametrize("page", book.pages())
def test_marked_numbers_are_what_they_name(page):
    text = book.source(page).read_text("utf8")
    assert not (wrong := bindings.problems(text, page, bindings.stored)), "\n".join(wrong)


@pytest.mark.parametrize("page", book.with_notebook())
def test_every_number_of_the_prose_is_marked(page):
    text = book.source(page).read_text("utf8")
    loose = [f"{n.text}: ... {n.context} ..." for n in unmarked(text)]
    assert not loose, "no role num or given:\n" + "\n".join(loose)


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
def test_a_number_without_a_mark_is_caught(sentence):
    assert len(unmarked(sentence)) == 1


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
    assert [numeral.text for numeral in unmarked(text)] == []


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
def test_a_number_may_be_rounded_to_the_digits_shown(sentence, value):
    assert (found := unmarked(sentence))
    assert all(numeral.states(value) for numeral in found)


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
def test_a_number_that_differs_in_the_digits_shown_is_caught(sentence, value):
    assert not any(numeral.states(value) for numeral in unmarked(sentence))


def test_a_formula_states_what_stands_alone():
    assert [n.text for n in stated(r"$t \approx \log(s/u_0)/2s = 3.45$")] == ["3.45"]
    assert [n.text for n in stated("$n = 10, 20$")] == ["10", "20"]
    assert stated("$f(x) = 2x + 35y$") == []
