"""Directive `claims-ledger`: every claim of every chapter, as the build just measured it."""

import inspect
import json
from importlib import import_module
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import NbElementRenderer
from sphinx.util.docutils import SphinxDirective

from toymodels.page.claim import MIME, Record

from . import book, execution, records, tables

HEAD = ["Claim", "Predicted", "Measured", "Deviation", "Allowed", "n", "Seeds", "Source"]


def all_records() -> dict[str, list[dict]]:
    """The claims of every page that makes some. A chapter without claims is an error."""
    code = [page for page in book.pages() if book.has_code(page)]
    found = {page: records.claims(execution.get(page).notebook) for page in code}
    silent = [page for page in book.chapters() if not found.get(page)]
    if silent:
        raise LookupError(f"no claim was executed in {', '.join(silent)}")
    return {page: claims for page, claims in found.items() if claims}


def row(record: dict) -> list[str]:
    """The cells of one claim; a model that must fail is allowed only more than its bound."""
    error = "" if record["error"] is None else f" ± {record['error']:.2g}"
    bound = record["within"] if record["beyond"] is None else record["beyond"]
    limit = "at most" if record["beyond"] is None else "more than"
    in_units = Record(**record).in_units
    return [
        record["name"],
        f"{record['predicted']:.6g}",
        f"{record['measured']:.6g}{error}",
        in_units(record["deviation"]),
        f"{limit} {in_units(bound)}",
        *("" if record[key] is None else str(record[key]) for key in ("n", "seeds")),
        record["source"] or "",
    ]


def source(page: str) -> str:
    """Where the formulas of a chapter come from: the source line of its model."""
    module = import_module(f"toymodels.{Path(page).name}")
    return " ".join(inspect.getdoc(module).split("Source: ")[1].split())


def total(ledger: dict[str, list[dict]]) -> str:
    claims = [record for page in ledger.values() for record in page]
    broken = sum(record["beyond"] is not None for record in claims)
    stochastic = sum(record["error"] is not None for record in claims)
    return (
        f"{len(claims)} claims on {len(ledger)} pages: {len(claims) - broken} where theory and "
        f"experiment agree, {broken} where a model is shown to fail; {stochastic} are averages "
        "with an error bar."
    )


class ClaimsLedger(SphinxDirective):
    def run(self):
        try:
            ledger = all_records()
        except LookupError as error:
            raise self.error(str(error)) from error
        shown = [nodes.paragraph("", total(ledger))]
        for page, claims in ledger.items():
            rows = [row(claim) for claim in claims]
            width = len(HEAD) if any(cells[-1] for cells in rows) else len(HEAD) - 1
            table = tables.table(HEAD[:width], (cells[:width] for cells in rows), "claims-ledger")
            section = tables.chapter_section(self.env, page, table)
            if page in book.chapters():
                section.insert(1, nodes.paragraph("", f"Source: {source(page)}"))
            shown.append(section)
        return shown


def write_json(app, exception):
    """Leave all records in claims.json beside the html folder, for whoever wants to compute."""
    if exception or "pages/claims" not in app.env.found_docs:
        return
    text = json.dumps(all_records(), indent=1, ensure_ascii=False)
    Path(app.outdir).with_name("claims.json").write_text(text + "\n", "utf8")


def hide_record(render):
    """myst-nb warns of a MIME type it cannot draw; ours is data, its text is drawn beside it."""

    def unhandled(self, data):
        return [] if data.mime_type == MIME else render(self, data)

    return unhandled


def setup(app):
    NbElementRenderer.render_unhandled = hide_record(NbElementRenderer.render_unhandled)
    app.add_directive("claims-ledger", ClaimsLedger)
    app.connect("build-finished", write_json)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
