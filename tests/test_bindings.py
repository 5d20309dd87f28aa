"""The role `num` accepts a numeral that is the value it names, and no other."""

import pytest
import torch

from _ext import bindings, numerals, records

PAGE = "chapters/deep_linear"
CLAIM = {
    "key": "order",
    "predicted": 1.0,
    "measured": -0.7049,
    "error": 0.0123,
    "deviation": 0.0371,
    "within": 0.05,
    "beyond": None,
    "null": 2.6e-9,
    "n": None,
    "members": 40000,
    "entries": {"predicted": [1.0], "measured": [7.312, 97.2], "error": None},
}


def claims(page):
    return records.by_key([CLAIM if page == PAGE else CLAIM | {"measured": 14.0}])


def problem(role):
    found = bindings.problems(role, PAGE, claims)
    return found[0] if found else ""


@pytest.mark.parametrize(
    "content",
    [
        "0.705 <order>",
        "0.70 <order.measured>",
        "-0.705 <order>",
        "−0.705 <order>",
        "0.705 ± 0.012 <order>",
        r"$r = -0.705 \pm 0.012$ <order>",
        "3.7 % <order.deviation>",
        "3.7 per cent <order.deviation>",
        r"$3.7\,\%$ <order.deviation>",
        "5 % <order.within>",
        "2.6e-9 <order.null>",
        r"$2.6\times10^{-9}$ <order.null>",
        "40,000 <order.members>",
        r"$40{,}000$ <order.members>",
        "7.31 <order[0]>",
        "97.2 <order.measured[-1]>",
        r"$t_{1/2} \approx 7.31$ <order[0]>",
        r"$t = \log(2)/2s = 7.31$ <order.measured[0]>",
        "$L = 1$ <order.predicted>",
        "14.0 <tree:order>",
        "99.0 <exercise.threshold>",
        "a start of 0.166 <exercise.slower>",
        "1.395 <tree:exercise.wider>",
    ],
)
def test_a_numeral_that_is_the_value_it_names_is_accepted(content):
    assert problem(f"{{num}}`{content}`") == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("0.704 <order>", "0.704 is not order.measured"),
        ("+0.705 <order>", "is not order.measured"),
        ("0.705 ± 0.013 <order>", "0.013 is not order.error"),
        ("3.7 <order.deviation>", "3.7 is not order.deviation"),
        ("0.037 % <order.deviation>", "is not order.deviation"),
        ("97.3 <order[1]>", "is not order.measured"),
        ("97 <order[2]>", "has no entry 2"),
        ("1.0 <order.error[0]>", "has no error"),
        ("0.3 <order.beyond>", "has no beyond"),
        ("0.3 <order.scale>", "the field must be one of"),
        ("0.3 <none>", "no claim of chapters/deep_linear has the key none"),
        ("0.3 <leaf:order>", "no page is called leaf"),
        ("0.705", "must be a numeral and <key.field>"),
        ("many <order>", "must state 1 numeral, got 0"),
        ("0.704 to 0.706 <order>", "must state 1 numeral, got 2"),
        ("$2t = 3s$ <order>", "must state 1 numeral, got 0"),
        ("0.705 ± 0.012 <order.null>", "only what is measured has an error bar"),
        ("99.1 <exercise.threshold>", "99.1 is not exercise.threshold"),
        ("2.5 <exercise.revived>", "no exercise revived of chapters/deep_linear has a number"),
        ("2.5 <exercise.nobody>", "no exercise nobody"),
    ],
)
def test_any_other_numeral_is_refused(content, why):
    assert why in problem(f"{{num}}`{content}`")


def test_an_array_among_the_solutions_needs_an_entry(monkeypatch):
    from toymodels.exercises import deep_linear
    from toymodels.page import Exercise

    wrong = {"ones are wrong.": [1.0, 1.0], "twos are wrong.": [2.0, 2.0]}
    pair = Exercise("pair", torch.tensor([0.25, 7.0]), wrong)
    monkeypatch.setattr(deep_linear, "threshold", pair)
    assert problem("{num}`7 <exercise.threshold[1]>`") == ""
    assert "threshold has 2 entries: say which" in problem("{num}`7 <exercise.threshold>`")


@pytest.mark.parametrize(
    ("here", "accepted"),
    [
        ({"measured": 0.7046}, True),  # less than two error bars
        ({"measured": 0.7946}, False),
        ({"measured": 0.7046, "members": 4}, False),
    ],
)
def test_a_last_digit_does_not_depend_on_the_machine(monkeypatch, here, accepted):
    claim = CLAIM | {"measured": 0.7054, "scale": "absolute", "entries": None}
    monkeypatch.setattr(bindings, "stored", lambda page: records.by_key([claim]))
    executed = claim | here
    monkeypatch.setattr(bindings, "executed", lambda page: records.by_key([executed]))
    binding = bindings.parse("0.7054 <order>", PAGE)
    if accepted:
        bindings.verify(binding)
    else:
        with pytest.raises(ValueError, match="0.7054 is not order.measured"):
            bindings.verify(binding)


def test_a_key_names_one_claim():
    with pytest.raises(ValueError, match="the key order must name one claim"):
        records.by_key([CLAIM, CLAIM])
    assert records.by_key([CLAIM | {"key": None}, CLAIM | {"key": None}]) == {}


def test_a_set_up_is_marked_where_it_stands():
    assert problem(r"{given}`0.01`, {given}`$\varepsilon = 0.01$`, {given}`2026 <the year>`") == ""
    assert "must hold a numeral" in problem("{given}`many`")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("0.705 ± 0.012 <order>", "0.705 ± 0.012"),
        ("2.6e-9 <order.null>", r"$2.6 \times 10^{-9}$"),
        ("-1e-6 <order>", r"$-1 \times 10^{-6}$"),
        ("1e+6 <order>", "$10^{6}$"),
        ("-0.705 <order>", "−0.705"),
        (r"$t \approx -7.31$ <order>", r"$t \approx -7.31$"),
        ("0.01 <reason>", "0.01"),
        ("0.01", "0.01"),
    ],
)
def test_what_the_reader_sees(content, shown):
    assert bindings.shown(content) == shown
    assert bindings.plain(f"so {{num}}`{content}`.") == f"so {shown}."


def test_a_text_that_is_marked_shows_single_digits_of_formulas():
    assert [n.text for n in numerals.marked("$L = 2$ and 3 of $n = 4, 5$")] == ["2", "3", "4", "5"]
