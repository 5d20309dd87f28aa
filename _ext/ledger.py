"""Directive `claims-ledger`: every claim of every chapter, as the build just measured it.

How often a claim held over other seeds and settings is counted from pages/robustness.json, if it
exists: the record that ``tools.robustness`` keeps.
"""

import inspect
import json
import math
from importlib import import_module
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from toymodels.page.claim import SIGNS, Record

from . import bindings, book, execution, records, tables

COLUMNS = ["Claim", "Predicted", "Measured", "Deviation", "Bound", "If wrong"]
COLUMNS += ["Members", "Held", "Source"]


def all_records() -> dict[str, list[dict]]:
    """The claims of every page that makes some. A chapter without claims is an error."""
    code = [page for page in book.pages() if book.has_code(page)]
    found = {page: records.claims(execution.get(page).notebook) for page in code}
    silent = [page for page in book.chapters() if not found.get(page)]
    if silent:
        raise LookupError(f"no claim was executed in {', '.join(silent)}")
    return {page: claims for page, claims in found.items() if claims}


def robustness() -> dict[str, dict[str, dict]]:
    """How often each claim of a chapter held when it was run again, by stem and name."""
    path = book.ROOT / "pages" / "robustness.json"
    known = json.loads(path.read_text("utf8"))["chapters"] if path.exists() else {}
    return {stem: counts(chapter) for stem, chapter in known.items()}


def counts(chapter: dict) -> dict[str, dict]:
    """How often each claim of a chapter on record held, and under which settings it did not."""
    runs = chapter["runs"]
    lost = {
        name: [s for s, run in runs.items() if name in run["lost"]] for name in chapter["claims"]
    }
    return {
        name: {"held": len(runs) - len(those), "runs": len(runs), "not": those}
        for name, those in lost.items()
    }


def row(record: dict, again: dict | None = None) -> list[str]:
    """The cells of one claim, in the order of the columns."""
    in_units, failure = Record(**record).in_units, record["beyond"] is not None
    bound = record["beyond"] if failure else record["within"]
    number, _, unit = in_units(bound).partition(" ")  # the unit is that of the deviation
    limit = "more than" if failure else "at most"
    null = record["no_null"] if record["null"] is None else f"{record['null']:.6g}"
    return [
        f"{SIGNS[record['kind']]} {record['name']}",
        f"{record['predicted']:.6g}",
        quoted(record["measured"], record["error"]),
        in_units(record["deviation"]),
        f"{limit} {number}{' %' * unit.startswith('%')}",
        null or "",
        str(record["members"] or ""),
        "" if again is None else f"{again['held']} of {again['runs']}",
        record["source"] or "",
    ]


def quoted(value: float, error: float | None) -> str:
    """A value with its error bar, both to the digits that the bar leaves certain."""
    if error is None:
        return f"{value:.6g}"
    decimals = 1 - math.floor(math.log10(error))
    if 0 <= decimals <= 6:
        return f"{value:.{decimals}f} ± {error:.{decimals}f}"
    return f"{value:.6g} ± {error:.2g}"


def source(page: str) -> str:
    """Where the formulas of a chapter come from: the source line of its model."""
    module = import_module(f"toymodels.{Path(page).name}")
    return " ".join(inspect.getdoc(module).split("Source: ")[1].split())


def total(ledger: dict[str, list[dict]]) -> str:
    claims = [record for page in ledger.values() for record in page]
    kinds = {"measurement": "measurements", "identity": "identities", "failure": "failures"}
    counts = [
        f"{sum(record['kind'] == kind for record in claims)} {words} ({SIGNS[kind]})"
        for kind, words in kinds.items()
    ]
    averages = sum(record["error"] is not None for record in claims)
    return (
        f"{len(claims)} claims on {len(ledger)} pages: {', '.join(counts)}. "
        f"{averages} are averages with an error bar."
    )


class ClaimsLedger(SphinxDirective):
    def run(self):
        try:
            ledger = all_records()
        except LookupError as error:
            raise self.error(str(error)) from error
        again = robustness()
        shown = [nodes.paragraph("", total(ledger))]
        for page, claims in ledger.items():
            table = self.table(page, claims, again.get(Path(page).name, {}))
            section = tables.chapter_section(self.env, page, table)
            if page in book.chapters():
                section.insert(1, nodes.paragraph("", f"Source: {source(page)}"))
            shown.append(section)
        return shown

    def table(self, page: str, claims: list[dict], again: dict[str, dict]) -> nodes.container:
        """The claims of a page; a column that none of them fills is left out."""
        rows = [row(claim, again.get(claim["name"])) for claim in claims]
        filled = [k for k in range(len(COLUMNS)) if any(cells[k] for cells in rows)]
        rows = [[cells[k] for k in filled] for cells in rows]
        for claim, cells in zip(claims, rows, strict=True):
            if claim["key"]:
                uri = f"../{page}.html#{bindings.anchor(page, claim['key'])}"
                cells[0] = nodes.reference("", cells[0], refuri=uri, internal=True)
        return tables.table([COLUMNS[k] for k in filled], rows, "claims-ledger")


def with_robustness(ledger: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """The records, each with how often it held under `again`, or None where it was not tried."""
    again = robustness()
    return {
        page: [
            claim | {"again": again.get(Path(page).name, {}).get(claim["name"])} for claim in claims
        ]
        for page, claims in ledger.items()
    }


def write_json(app, exception):
    """Leave all records in claims.json beside the html folder, for whoever wants to compute."""
    if exception or "pages/claims" not in app.env.found_docs:
        return
    text = json.dumps(with_robustness(all_records()), indent=1, ensure_ascii=False)
    Path(app.outdir).with_name("claims.json").write_text(text + "\n", "utf8")


def setup(app):
    app.add_directive("claims-ledger", ClaimsLedger)
    app.connect("build-finished", write_json)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
