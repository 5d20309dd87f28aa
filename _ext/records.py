"""The records that claims leave in a notebook, and whether two of them say the same.

Numbers are compared to the digits shown. The last one may differ by one, because processors round
differently. A number with an error bar may differ by two of them: on another processor a chaotic
training is another draw.
"""

import math
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from nbformat import NotebookNode

from toymodels.page.claim import MIME, Record

EXACT = {"kind", "name", "key", "scale", "no_null", "n", "members", "source", "held"}
SHOWN = {"predicted", "measured", "error", "deviation"}  # of one entry, that farthest off
ROUNDING = 1e-8  # a deviation below is that of a computer, and differs from one to the next
ERRORS = 2.0  # standard errors
OF_ERROR = 0.3  # by which that of another draw differs
DIGITS = {"error": 2}  # as printed; all others have six
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.(?P<decimals>\d+))?(?:e(?P<power>[-+]?\d+))?")


def claims(notebook: NotebookNode) -> list[dict]:
    """The records of a notebook, in order."""
    return [record for cell in notebook.cells for record in of(cell.get("outputs", []))]


def of(outputs: Iterable[dict]) -> list[dict]:
    """The records among the outputs of one cell."""
    return [dict(output["data"][MIME]) for output in outputs if MIME in output.get("data", {})]


def by_key(records: Iterable[dict]) -> dict[str, dict]:
    """The records that prose can refer to. Raises ValueError when two share a key."""
    found = {}
    for record in records:
        key = record.get("key")
        if key in found:
            raise ValueError(f"the key {key} must name one claim, got it twice on the page")
        if key is not None:
            found[key] = record
    return found


def differences(stored: list[dict], executed: list[dict]) -> list[str]:
    """What the stored outputs of a cell say and its execution does not, or the reverse."""
    found = [fault for output in stored for fault in _contradictions(output)]
    for old, new in zip_longest(of(stored), of(executed)):
        if old is None or new is None:
            found.append(
                f"{'not stored' if old is None else 'not executed'}: {(old or new)['name']}"
            )
        else:
            found += [f"{old['name']}: {fault}" for fault in apart(old, new)]
    old, new = printed(stored), printed(executed)
    if not _same_text(old, new):
        found.append(f"executed: {new!r}, stored: {old!r}")
    return found


def printed(outputs: Iterable[dict]) -> str:
    """What a cell prints beside its claims."""
    return "".join(_text(output) for output in outputs)


def _text(output: dict) -> str:
    if output["output_type"] == "stream":
        return output["text"] if output["name"] == "stdout" else ""
    only_text = set(output.get("data", {})) == {"text/plain"}
    return output["data"]["text/plain"] if only_text else ""


def _contradictions(output: dict) -> Iterator[str]:
    """A claim is read as a line and computed with as a record: in a file they must be one."""
    for record in of([output]):
        try:
            line = str(Record(**record))
        except TypeError:
            yield f"{record['name']}: the stored record is not one of this release"
        else:
            if not _same_text(stored := output["data"]["text/plain"], line):
                yield f"stored line: {stored!r}, stored record: {line!r}"


def apart(old: dict, new: dict) -> Iterator[str]:
    """The fields in which two records of one claim differ."""
    if set(old) != set(new):
        yield f"the fields {sorted(set(old) ^ set(new))} are in one record only"
        return
    share = ERRORS * (new["error"] or 0.0)
    shown = SHOWN if _another_entry(old, new) else set()
    for name in set(old) - shown:
        if name in EXACT or old[name] is None or new[name] is None:
            same = old[name] == new[name]
        elif name == "entries":
            same = _same_entries(old[name], new[name], _floor(new))
        elif name == "deviation":
            same = _same_deviation(old[name], new, share)
        else:
            slack = 0.0 if name in ("within", "beyond") else _slack(name, share) + _floor(new)
            same = _near(old[name], new[name], DIGITS.get(name, 6), slack)
        if not same:
            yield f"{name} executed {new[name]!r}, stored {old[name]!r}"


def _another_entry(old: dict, new: dict) -> bool:
    """Whether the two show the worst of the same entries, and it is not the same one."""
    if not old["entries"] or not new["entries"]:
        return False
    places = [_place(record) for record in (old, new)]
    return None not in places and places[0] != places[1]


def _place(record: dict) -> int | None:
    """Which of its entries a record shows."""
    entries = record["entries"]
    errors = entries["error"] or [None] * len(entries["measured"])
    rows = list(zip(entries["predicted"], entries["measured"], errors, strict=False))
    row = record["predicted"], record["measured"], record["error"]
    return rows.index(row) if row in rows else None


def _slack(name: str, share: float) -> float:
    return OF_ERROR / ERRORS * share if name == "error" else share


def _same_deviation(old: float, record: dict, share: float) -> bool:
    """Known to the two digits printed, and not less well than the sides it is the distance of."""
    new, slack = record["deviation"], share / _unit(record) + ROUNDING
    sides = 1e-5 * abs(record["measured"]) / _unit(record)
    return _near(old, new, 2, slack) and abs(old - new) <= sides + 1e-5 * new + slack


def _unit(record: dict) -> float:
    """The unit in which a record counts its deviation."""
    gap, deviation = abs(record["measured"] - record["predicted"]), record["deviation"]
    return gap / deviation if gap and deviation else 1.0


def _floor(record: dict) -> float:
    """Rounding, where a value stands beside zero; elsewhere the digits of the value suffice."""
    gap = abs(record["measured"] - record["predicted"])
    return ROUNDING * _unit(record) if gap >= 1e-3 * abs(record["measured"]) else 0.0


def _same_entries(old: dict, new: dict, floor: float) -> bool:
    errors = new["error"] or [0.0] * len(new["measured"])
    floor = max(floor, ROUNDING * max(map(abs, new["predicted"] + new["measured"])))
    for name in old:
        before, after = old[name], new[name]
        if before is None or after is None or len(before) != len(after):
            if before != after:
                return False
            continue
        slacks = [_slack(name, ERRORS * error) + floor for error in errors]
        digits = [DIGITS.get(name, 6)] * len(after)
        if not all(map(_near, before, after, digits, slacks)):
            return False
    return set(old) == set(new)


def _near(a: float, b: float, digits: int, slack: float) -> bool:
    """Whether two numbers agree up to a unit of the last of their ``digits``, or ``slack``."""
    largest = max(abs(a), abs(b))
    last = 10.0 ** (math.floor(math.log10(largest)) - digits + 1) if largest else 0.0
    return abs(a - b) <= 1.001 * last + slack


def _same_text(a: str, b: str) -> bool:
    """The same words, and numbers that differ by a unit of their last printed digit at most."""
    if NUMBER.sub("#", a) != NUMBER.sub("#", b):
        return False
    pairs = zip(NUMBER.finditer(a), NUMBER.finditer(b), strict=True)
    return all(abs(float(x[0]) - float(y[0])) <= 1.001 * max(_last(x), _last(y)) for x, y in pairs)


def _last(number: re.Match) -> float:
    """A unit of the last digit of a printed number; whole numbers are exact."""
    if not (number["decimals"] or number["power"]):
        return 0.0
    return 10.0 ** (int(number["power"] or 0) - len(number["decimals"] or ""))
