"""A claim that is false stops the build, and one that cannot fail is refused."""

import io
import sys

import numpy as np
import pytest
import torch

from toymodels.numerics import origin
from toymodels.numerics.estimate import Estimate
from toymodels.page.claim import MIME, Record, claim, departs, identity


def seen(value):
    """As it comes out of an experiment."""
    return origin.marked(torch.as_tensor(value, dtype=torch.float64), "experiment")


def average(value, error, members=200):
    return Estimate(seen(value), seen(error), members)


def test_a_true_claim_prints_one_readable_line(capsys):
    claim("width of a line", 2.0, average(2.02, 0.01), within=3, null=3.0, n=40)
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and line.startswith("✓ ")
    for part in ("width of a line", "2.02 ± 0.01", "2 standard errors", "allowed 3", "n = 40"):
        assert part in line
    assert "200 members" in line


def test_an_identity_shows_its_own_sign(capsys):
    identity("two formulas", 2.0, torch.tensor(2.0), within=1e-12)
    line = capsys.readouterr().out
    assert line.startswith("≡ two formulas: one 2, other 2")


def test_units_of_the_deviation(capsys):
    def line(one, other, **options):
        identity("x", one, other, **options)
        return capsys.readouterr().out

    assert "0.5 %" in line(4.0, 4.02, within=0.01)
    assert "1.0e-09 absolute" in line(0.0, 1e-9, scale=1.0, within=1e-8)
    assert "deviation 5.0e-01 absolute" in line(0.0, 0.5, scale=1.0, within=0.6)
    of_scale = line(0.0, 0.5, scale=50.0, within=0.02)
    assert "deviation 1 % of the scale; allowed 2 % of the scale" in of_scale
    assert "2e+02 % of the scale" in line([0.0, 0.0], [0.5, 2.0], scale=[50.0, 1.0], within=3)
    asked = line(-4.0, -4.02, scale=-4.0, within=0.01)
    assert asked.endswith("(deviation 0.5 %; allowed 1 %)\n")
    claim("x", 4.0, average(4.02, 0.01), scale=4.0, within=0.01, null=5.0)
    assert "0.5 %" in capsys.readouterr().out


@pytest.mark.parametrize("value", [1.02, 0.98])
def test_a_false_claim_fails(value):
    with pytest.raises(AssertionError, match="claim failed. ✗ .*deviation 2 %; allowed 1 %"):
        claim("x", 1.0, seen(value), within=0.01, null=2.0)
    with pytest.raises(AssertionError, match="4 standard errors"):
        claim("x", 1.0, average(value, 0.005), within=3, null=2.0)
    # a twentieth more than allowed is too much
    with pytest.raises(AssertionError):
        claim("x", 1.0, seen(value), within=0.0195, null=2.0)


def test_of_arrays_the_worst_entry_counts(capsys):
    predicted, measured = torch.tensor([1.0, 10.0, -2.0]), torch.tensor([1.0, 10.2, -2.0])
    identity("x", predicted, measured, within=0.03)
    assert "one 10, other 10.2" in capsys.readouterr().out
    with pytest.raises(AssertionError):
        identity("x", predicted, measured, within=0.01)
    with pytest.raises(AssertionError, match="should"):  # two entries agree: no failure shown
        departs("x", predicted, measured, beyond=0.01)


def test_of_entries_that_differ_by_rounding_the_first_decides(capsys):
    identity("x", [1.0, 2.0], [1.0 + 1e-13, 2.0 + 1e-12], within=1e-9)
    assert "one 1, other 1" in capsys.readouterr().out
    identity("x", [1.0, 2.0, 4.0], [1.0, 2.2, 4.4 * (1 + 1e-9)], within=0.2)
    assert "one 2, other 2.2" in capsys.readouterr().out
    identity("x", [1.0, 2.0], [1.0 + 1e-7, 2.0 + 2.4e-7], within=1e-6)  # more than rounding
    assert "one 2, other 2" in capsys.readouterr().out
    identity("x", [2.0, 4.0], [2.2, 4.4 * (1 + 1e-5)], within=0.2)
    assert "one 4, other 4.4" in capsys.readouterr().out


def test_departs_wants_a_failure_that_is_seen(capsys):
    departs("x", 1.0, 1.5, beyond=0.3)
    line = capsys.readouterr().out
    assert line.startswith("≠ x") and "more than 30 %, as it must" in line
    with pytest.raises(AssertionError, match="did not fail where it should"):
        departs("x", 1.0, 1.2, beyond=0.3)
    with pytest.raises(AssertionError, match="did not fail"):  # beyond the bound, but noise
        departs("x", 1.0, average(1.6, 5.0), scale=1.0, beyond=0.5)
    with pytest.raises(AssertionError, match="did not fail"):
        departs("x", 1.0, average(1.6, 0.21), scale=1.0, beyond=0.5)
    departs("x", 1.0, average(1.6, 0.19), scale=1.0, beyond=0.5)
    with pytest.raises(ValueError, match="beyond must be a positive number"):
        departs("x", 1.0, 1.5, beyond=0.0)


def test_what_is_called_measured_was_measured():
    theory = origin.marked(torch.tensor(1.0), "theory")
    for other in (1.0, torch.tensor(1.0), theory):
        with pytest.raises(ValueError, match="must come out of an experiment: else use identity"):
            claim("x", 1.0, other, within=0.1, null=2.0)
        with pytest.raises(ValueError, match="measured must be the side of the experiment"):
            claim("x", seen(1.0), other, within=0.1, null=2.0)
    claim("x", theory, seen(1.0) - theory + 1, within=0.1, null=2.0)
    identity("x", theory, 1.0, within=0.1)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"measured": seen(float("nan"))}, "measured must be finite"),
        ({"predicted": np.inf}, "predicted must be finite"),
        ({"measured": seen([])}, "measured must be finite"),
        ({"measured": seen([1.0, float("nan")])}, "measured must be finite"),
        ({"measured": seen(1.0) + 5j}, "measured must be finite real"),
        ({"null": 1.005}, "would also accept the null value"),
        ({"null": float("nan")}, "null must be finite"),
        ({"null": "none"}, "null must be a value, or say why"),
        ({"within": 0.0}, "within must be a positive number"),
        ({"within": float("inf")}, "within must be a positive number"),
        ({"within": float("nan")}, "within must be a positive number"),
        ({"predicted": 0.0, "measured": seen(0.0)}, "scale must be positive, got 0"),
        ({"predicted": [1.0, 0.0], "measured": seen(0.0)}, "scale must be positive, got 0"),
        ({"measured": average(1.0, 0.05), "scale": 1.0}, "the standard error 0.05 exceeds"),
        ({"measured": average(1.0, 0.0105), "scale": 1.0}, "the standard error 0.01. exceeds"),
        ({"measured": average([1.0, 1.0], [0.05, 0.001]), "scale": 1.0}, "error 0.05 exceeds"),
        ({"name": " "}, "must have a name"),
    ],
)
def test_claims_that_prove_nothing_are_refused(options, what):
    request = {"name": "x", "predicted": 1.0, "measured": seen(1.0), "within": 0.01, "null": 2.0}
    request |= options
    name, predicted, measured = (request.pop(k) for k in ("name", "predicted", "measured"))
    with pytest.raises(ValueError, match=what):
        claim(name, predicted, measured, **request)


def test_the_tolerance_is_not_stretched(capsys):
    """The largest deviation that passes is the tolerance itself, in every kind of check."""
    claim("x", 1.0, seen(1.5), within=0.5, null=2.0)
    identity("x", 1.0, 1.5, within=0.5)
    claim("x", 1.0, average(1.0, 0.5), within=0.5, scale=1.0, null=2.0)
    for check in (
        lambda: claim("x", 1.0, seen(1.5), within=0.4999, null=2.0),
        lambda: identity("x", 1.0, 1.5, within=0.4999),
        lambda: departs("x", 1.0, 1.5, beyond=0.5),
    ):
        with pytest.raises(AssertionError):
            check()
    with pytest.raises(ValueError, match="exceeds the tolerance"):
        claim("x", 1.0, average(1.0, 0.5), within=0.4999, scale=1.0, null=2.0)
    with pytest.raises(ValueError, match="would also accept"):
        claim("x", 1.0, seen(1.0), within=0.5, null=1.5)


def test_the_null_counts_in_the_units_of_the_tolerance():
    with pytest.raises(ValueError, match="would also accept"):
        claim("x", 1.0, average(1.0, 0.1), within=3, null=1.25)
    claim("x", 1.0, average(1.0, 0.1), within=3, null=1.35)
    claim("x", 1.0, average(1.0, 0.1), within=3, null=0.65)
    claim("x", 1.0, average(1.0, 0.1), within=3, null="a sum rule has no rival")


def test_most_entries_must_reject_the_null():
    one, ones = [1.0, 1.0, 1.0, 1.0], seen([1.0, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="in 75 % of the entries"):
        claim("x", one, ones, within=0.1, null=[1.0, 1.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="in 50 % of the entries"):
        claim("x", one, ones, within=0.1, null=[1.0, 1.0, 2.0, 2.0])
    claim("x", one, ones, within=0.1, null=[1.0, 2.0, 2.0, 2.0])


def test_a_drawn_prediction_brings_its_error_too(capsys):
    drawn = Estimate(torch.tensor(2.0), torch.tensor(0.03), 50)
    claim("x", drawn, average(2.02, 0.04), within=3, null=3.0)
    line = capsys.readouterr().out
    assert "± 0.05" in line and "deviation 0.4 standard errors" in line and "50 members" in line


@pytest.fixture
def notebook(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    monkeypatch.setattr(
        "IPython.display.display", lambda data, raw: shown.append(data) if raw else None
    )
    return shown


def test_in_a_notebook_the_record_is_in_the_output(notebook):
    claim("x", 1.0, seen(1.0 + 1e-9), within=0.01, null=2.0, source="Saxe 2014", key="unit")
    record = notebook[0][MIME]
    assert Record(**record).source == "Saxe 2014" and record["key"] == "unit"
    assert record["deviation"] == pytest.approx(1e-9, rel=1e-4)
    assert record["kind"] == "measurement" and record["held"] is True and record["null"] == 2.0
    assert "✓ x" in notebook[0]["text/plain"]
    claim("y", [1.0, 2.0], average([1.1, 2.0], [0.1, 0.2]), within=3, null="there is no rival law")
    entries = notebook[1][MIME]["entries"]
    assert entries == {"predicted": [1.0, 2.0], "measured": [1.1, 2.0], "error": [0.1, 0.2]}
    assert notebook[1][MIME]["no_null"] == "there is no rival law"
    for size in (100, 101):
        identity("z", torch.ones(size), torch.ones(size), within=0.1)
    assert len(notebook.pop(2)[MIME]["entries"]["measured"]) == 100
    assert notebook[2][MIME]["entries"] is None and notebook[2][MIME]["kind"] == "identity"


def test_robustness_runs_record_what_fails_and_go_on(notebook, monkeypatch):
    monkeypatch.setenv("TOYMODELS_CLAIMS", "record")
    claim("x", 1.0, seen(1.5), within=0.01, null=2.0)
    departs("y", 1.0, 1.1, beyond=0.5)
    assert [shown[MIME]["held"] for shown in notebook] == [False, False]
    assert notebook[0]["text/plain"].startswith("✗ x")


def test_a_terminal_without_the_signs_gets_the_line_all_the_same(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    claim("x", 1.0, average(1.0, 0.1), within=3, null=2.0)
    sys.stdout.flush()
    assert b"? x: predicted 1" in raw.getvalue()
