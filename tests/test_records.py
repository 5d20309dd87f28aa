"""Stored claims are compared with executed ones: what a reader sees is what the machine finds."""

import copy
import subprocess
import sys

import nbformat
import pytest

from _ext import book, records
from toymodels.page.claim import MIME, Record

FACTS = {
    "kind": "measurement",
    "name": "wait of 2 modes",
    "key": "wait",
    "predicted": 7.30512,
    "measured": 7.31249,
    "error": 0.012345,
    "deviation": 0.597003,
    "scale": "standard errors",
    "within": 3.0,
    "beyond": None,
    "null": 9.5,
    "no_null": None,
    "n": 40,
    "members": 200,
    "source": "a paper",
    "held": True,
    "entries": {
        "predicted": [7.30512, 0.0],
        "measured": [7.31249, 1e-16],
        "error": [0.012345, 1.0],
    },
}
IDENTITY = FACTS | {
    "kind": "identity",
    "predicted": 0.25,
    "measured": 0.25,
    "error": None,
    "deviation": 3.2e-15,
    "scale": "absolute",
    "null": None,
    "entries": None,
}


def output(facts):
    return {
        "output_type": "display_data",
        "data": {"text/plain": str(Record(**facts)), MIME: copy.deepcopy(facts)},
    }


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def faults(stored, executed):
    return records.differences([output(stored)], [output(executed)])


CHANGED = {
    "kind": "failure",
    "name": "wait of 3 modes",
    "key": "other",
    "predicted": 7.5,
    "measured": 7.4,
    "error": 0.02,
    "deviation": 4.0,
    "scale": "relative",
    "within": 4.0,
    "beyond": 0.1,
    "null": 9.6,
    "no_null": "there is none at all",
    "n": 41,
    "members": 201,
    "source": "another paper",
    "held": False,
    "entries": FACTS["entries"] | {"measured": [7.4, 1e-16]},
}


@pytest.mark.parametrize("facts", [FACTS, IDENTITY])
@pytest.mark.parametrize("name", sorted(FACTS))
def test_any_stored_field_that_was_changed_is_seen(facts, name):
    assert faults(facts | {name: CHANGED[name]}, facts)


def test_a_stored_line_that_was_changed_is_seen():
    stored = output(FACTS)
    stored["data"]["text/plain"] = stored["data"]["text/plain"].replace("7.31249", "7.39249")
    assert "stored line" in records.differences([stored], [output(FACTS)])[0]


@pytest.mark.parametrize(
    "change",
    [
        {"measured": 7.3125},  # a unit of the last digit
        {"measured": 7.3340, "deviation": 2.3},  # less than two error bars
        {"error": 0.0128, "deviation": 0.58},
        {"entries": FACTS["entries"] | {"measured": [7.3125, -3e-16]}},
    ],
)
def test_another_processor_is_forgiven(change):
    assert faults(FACTS, FACTS | change) == []


def test_another_of_the_same_entries_may_be_the_worst():
    entries = {"predicted": [1.0, 2.0], "measured": [1.5, 2.49], "error": [0.1, 0.1]}
    two = FACTS | {"entries": entries, "predicted": 1.0, "measured": 1.5, "error": 0.1}
    other = two | {"predicted": 2.0, "measured": 2.51, "deviation": 5.1}
    other |= {"entries": entries | {"measured": [1.5, 2.51]}}
    assert faults(two, other) == []
    assert faults(two, other | {"measured": 2.6})  # no entry of its own


@pytest.mark.parametrize(
    "change",
    [
        {"measured": 7.3450},  # more than two error bars
        {"measured": -7.31249},
        {"entries": None},
        {"entries": FACTS["entries"] | {"error": None}},
        {"entries": FACTS["entries"] | {"measured": [7.31249]}},
        {"null": None, "no_null": "there is no other"},
    ],
)
def test_another_result_is_not_forgiven(change):
    assert faults(FACTS, FACTS | change)


def test_what_is_left_by_rounding_is_not_compared():
    assert faults(IDENTITY, IDENTITY | {"deviation": 7e-16, "measured": 0.25 + 1e-11}) == []
    zero = IDENTITY | {"predicted": 0.0, "measured": 3.2e-15}
    assert faults(zero, zero | {"measured": -1e-15, "deviation": 1e-15}) == []
    assert faults(zero, zero | {"measured": 3.2e-7, "deviation": 3.2e-7})


def test_claims_must_be_stored_and_executed():
    assert records.differences([], [output(FACTS)]) == ["not stored: wait of 2 modes"]
    assert records.differences([output(FACTS)], []) == ["not executed: wait of 2 modes"]
    old = {k: v for k, v in FACTS.items() if k != "kind"}
    stored = output(FACTS)
    stored["data"][MIME] = old
    assert "not one of this release" in records.differences([stored], [output(FACTS)])[0]


@pytest.mark.parametrize(
    ("stored", "executed", "same"),
    [
        ("gap 0.125", "gap 0.126", True),
        ("gap 0.125", "gap 0.127", False),
        ("7 cells", "8 cells", False),
        ("gap 1.5e-7", "gap 1.6e-07", True),
        ("gap 1.5e-7", "gap 1.5e-6", False),
        ("gap 0.125", "gain 0.125", False),
        ("gap 0.125", "", False),
        ("", "", True),
    ],
)
def test_printed_numbers_are_compared(stored, executed, same):
    assert (records.differences([stream(stored)], [stream(executed)]) == []) is same
    assert records.differences([stream(stored)], [stream(stored), stream("!", "stderr")]) == []


def notebook(folder, name, outputs):
    code = "from toymodels.page import identity\nidentity('half', 0.5, 0.5 + 1e-3, within=0.1)"
    cell = nbformat.v4.new_code_cell(code, execution_count=1 if outputs else None)
    cell.outputs = outputs
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / f"{name}.ipynb")


def test_nbval_is_red_where_a_stored_value_is_false_or_missing(tmp_path):
    facts = IDENTITY | {
        "name": "half",
        "key": None,
        "predicted": 0.5,
        "measured": 0.501,
        "deviation": 0.002,
        "scale": "relative",
        "within": 0.1,
        "n": None,
        "members": None,
        "source": None,
        "entries": {"predicted": [0.5], "measured": [0.501], "error": None},
    }
    made = {"true": [facts], "false": [facts | {"measured": 0.502}], "bare": []}
    for name, stored in made.items():
        outputs = [nbformat.v4.new_output("display_data", output(f)["data"]) for f in stored]
        notebook(tmp_path, name, outputs)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-p", "notebooks.conftest", "--nbval-lax", "--nbval-current-env", str(tmp_path)]
    done = subprocess.run(command, cwd=book.ROOT, capture_output=True, text=True)
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    assert "half: measured executed 0.501, stored 0.502" in done.stdout
    assert "not stored: half" in done.stdout
