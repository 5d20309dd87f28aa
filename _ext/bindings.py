"""Roles `num` and `given`: a numeral of the prose names the value that it states.

    {num}`0.705 <order>`                 the measured value of the claim with the key `order`
    {num}`0.705 ± 0.012 <order>`         ... and its error bar
    {num}`3.7 % <gap.deviation>`         another field of the claim, in per cent
    {num}`$t \\approx 7.31$ <wait[2]>`    an entry of an array, stated in a formula
    {num}`1.40 <tree:first.predicted>`   a claim of another page
    {num}`1.3953 <exercise.wider>`       the solution of an exercise of this chapter
    {given}`0.01`                        a numeral that defines the set-up

The build fails when the numeral is not that value, rounded to the digits shown.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import nbformat
import numpy as np
from docutils import nodes
from sphinx.util.docutils import SphinxRole
from torch import Tensor

from tools import myst

from . import book, execution, numerals, records

FIELDS = (
    "predicted",
    "measured",
    "error",
    "deviation",
    "within",
    "beyond",
    "null",
    "n",
    "members",
)
TARGET = re.compile(
    r"(?:(?P<stem>\w+):)?(?P<key>[\w-]+)(?:\.(?P<field>\w+))?(?:\[(?P<entry>-?\d+)\])?"
)
ROLE = re.compile(r"\{(?P<role>num|given)\}`(?P<content>[^`]+)`")
PLUS_MINUS = re.compile(r"±|\\pm(?![A-Za-z])")
POWER = re.compile(r"(?<![\w.])(?P<mantissa>[-−]?\d+(?:\.\d+)?)e(?P<power>[-−+]?\d+)")

Claims = Callable[[str], dict[str, dict]]  # from a page to its keyed claims


@dataclass(frozen=True)
class Binding:
    """One role ``num``: what is shown, and the value that it states."""

    text: str
    page: str
    key: str
    field: str
    entry: int | None

    def numerals(self) -> list[numerals.Numeral]:
        """The numeral, and that of the error bar if one is shown."""
        found = numerals.marked(self.text)
        wanted = 1 + len(PLUS_MINUS.findall(self.text))
        if len(found) != wanted:
            raise ValueError(f"{self.text!r} must state {wanted} numeral, got {len(found)}")
        return found

    def fields(self) -> list[str]:
        if PLUS_MINUS.search(self.text) and self.field != "measured":
            raise ValueError(f"{self.text!r}: only what is measured has an error bar")
        return [self.field, "error"][: len(self.numerals())]


def parse(content: str, page: str) -> Binding:
    """The binding that the content of a role ``num`` on a page declares."""
    text, target = myst.explicit(content)
    match = TARGET.fullmatch(target)
    if text is None or not match:
        raise ValueError(f"{content!r} must be a numeral and <key.field> of what it states")
    page = _page(match["stem"]) if match["stem"] else page
    entry = None if match["entry"] is None else int(match["entry"])
    field = match["field"] or "measured"
    if match["key"] != "exercise" and field not in FIELDS:
        raise ValueError(f"{content!r}: the field must be one of {', '.join(FIELDS)}")
    return Binding(text, page, match["key"], field, entry)


def _page(stem: str) -> str:
    found = [page for page in book.pages() if Path(page).name == stem]
    if not found:
        raise ValueError(f"no page is called {stem}")
    return found[0]


def check(binding: Binding, claims: Claims) -> None:
    """Raise ValueError unless the numerals are the values that they name."""
    for numeral, field in zip(binding.numerals(), binding.fields(), strict=True):
        value = _value(binding, field, claims)
        if not numeral.states(value):
            shown = f"{numeral.text}{' %' * numeral.percent}"
            raise ValueError(f"{shown} is not {binding.key}.{field}, which is {value:.8g}")


def _value(binding: Binding, field: str, claims: Claims) -> float:
    if binding.key == "exercise":
        return _solution(binding)
    found = claims(binding.page)
    if binding.key not in found:
        raise ValueError(f"no claim of {binding.page} has the key {binding.key}")
    record = found[binding.key]
    if binding.entry is None:
        value = record.get(field)
    else:
        value = _entry((record.get("entries") or {}).get(field), binding)
    if value is None:
        raise ValueError(f"the claim {binding.key} has no {field}")
    return float(value)


def _solution(binding: Binding) -> float:
    exercises = import_module(f"toymodels.exercises.{Path(binding.page).name}")
    exercise = getattr(exercises, binding.field, None)
    if exercise is None or callable(exercise.solution):
        raise ValueError(f"no exercise {binding.field} of {binding.page} has a number as solution")
    solution = exercise.solution
    solution = np.asarray(solution.detach() if isinstance(solution, Tensor) else solution)
    return float(_entry(solution.ravel().tolist(), binding))


def _entry(values: list | None, binding: Binding) -> float | None:
    if values is None:
        return None
    if binding.entry is None and len(values) > 1:
        raise ValueError(f"{binding.field} has {len(values)} entries: say which, as [0]")
    try:
        return values[binding.entry or 0]
    except IndexError:
        raise ValueError(f"{binding.key} has no entry {binding.entry}") from None


@cache
def stored(page: str) -> dict[str, dict]:
    """The keyed claims of the committed notebook of a page."""
    path = book.notebook(page)
    if not path.exists():
        return {}
    return records.by_key(records.claims(nbformat.read(path, 4)))


@cache
def executed(page: str) -> dict[str, dict]:
    """The keyed claims of a page as the build executed it; of the rest, those that are stored."""
    run = execution.find(page) if book.has_code(page) else None
    return records.by_key(records.claims(run.notebook)) if run else stored(page)


def verify(binding: Binding) -> None:
    """Check against the page as executed here.

    Where the executed claim differs from the stored one by no more than processors do, the numeral
    may be that of the stored one: a last digit must not depend on the machine.
    """
    try:
        check(binding, executed)
    except ValueError:
        old, new = (of(binding.page).get(binding.key) for of in (stored, executed))
        if old is None or new is None or any(records.apart(old, new)):
            raise
        check(binding, stored)


def given(content: str) -> str:
    """What a role ``given`` shows: its content without the reason."""
    text, target = myst.explicit(content)
    shown = text or target
    if not numerals.marked(shown):
        raise ValueError(f"{content!r} must hold a numeral that the set-up defines")
    return shown


def problems(text: str, page: str, claims: Claims) -> list[str]:
    """What is wrong with the marked numerals of the source of a page."""
    found = []
    for role in ROLE.finditer(text):
        try:
            if role["role"] == "num":
                check(parse(role["content"], page), claims)
            else:
                given(role["content"])
        except ValueError as problem:
            found.append(str(problem))
    return found


def plain(text: str) -> str:
    """The text of a page with the roles replaced by what they show."""
    return ROLE.sub(lambda role: shown(role["content"]), text)


def shown(content: str) -> str:
    """What the reader sees, as Markdown: powers of ten are set as formulas."""
    text, target = myst.explicit(content)
    parts = numerals.MATH.split(text or target)
    return "".join(part if k % 2 else _typeset(part) for k, part in enumerate(parts))


def _typeset(text: str) -> str:
    minus = re.sub(r"(?<![\w.])-(?=\d)", "−", text)
    return POWER.sub(_power, minus)


def _power(match: re.Match) -> str:
    mantissa = match["mantissa"].replace("−", "-")
    factor = "" if mantissa == "1" else rf"{mantissa} \times "
    return f"${factor}10^{{{int(match['power'].replace('−', '-'))}}}$"


def anchor(page: str, key: str) -> str:
    """The address of a keyed claim on its page."""
    return nodes.make_id(f"claim-{Path(page).name}-{key}")


class MarkedRole(SphinxRole):
    """What the two roles share: a fault is an error at the place of the role."""

    def run(self):
        try:
            return self.show(), []
        except (ValueError, LookupError) as problem:
            message = self.inliner.reporter.error(f"{self.name}: {problem}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]

    def typeset(self) -> list[nodes.Node]:
        parts = numerals.MATH.split(shown(self.text))
        return [
            nodes.math("", part.strip("$")) if k % 2 else nodes.Text(part)
            for k, part in enumerate(parts)
            if part
        ]


class NumRole(MarkedRole):
    def show(self):
        binding = parse(self.text, self.env.docname)
        verify(binding)
        if binding.key == "exercise" or binding.page not in self.env.found_docs:
            return self.typeset()
        page = self.env.app.builder.get_relative_uri(self.env.docname, binding.page)
        uri = f"{page}#{anchor(binding.page, binding.key)}"
        # a title, since a formula alone is no name for a link
        title = "the claim that states this number"
        link = nodes.reference("", "", *self.typeset(), refuri=uri, internal=True, reftitle=title)
        link["classes"].append("num")
        return [link]


class GivenRole(MarkedRole):
    def show(self):
        given(self.text)
        return self.typeset()


def setup(app):
    app.add_role("num", NumRole())
    app.add_role("given", GivenRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
