"""Chapters under other settings: what a run records, how runs are counted, and that they resume."""

import sys
from pathlib import Path

import pytest

from _ext import book
from _ext.ledger import counts
from tools import execute, robustness

PAGE = """---
jupytext: {text_representation: {format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---
# Page

```{code-cell}
from toymodels.numerics import draws
from toymodels.page import identity

drawn = draws.normal(1, "x", 1, (1,))[0, 0]
identity("of any draw", 1.0, 1.0, within=1e-9)
identity("of one draw", DRAWN, float(drawn), within=1e-6)
```

```{code-cell}
1 / 0
```

```{code-cell}
identity("after an error", 2.0, 2.0, within=1e-9)
```
"""


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    from toymodels.numerics import draws

    drawn = float(draws.normal(1, "x", 1, (1,))[0, 0])
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "page.md").write_text(PAGE.replace("DRAWN", repr(drawn)))
    book.config()  # kept: the small book is configured as the large one
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(robustness, "KEPT", tmp_path / "kept")
    monkeypatch.setenv("PYTHONPATH", str(Path(robustness.__file__).parents[1]))
    return "page"


def test_claims_are_counted_over_settings_and_finished_runs_are_kept(chapter, monkeypatch):
    asked = [robustness.Setting("as built"), *robustness.settings(1)[2:3]]
    assert asked[1].variables == {"TOYMODELS_SEED_SHIFT": "1000"}
    found = robustness.survey([chapter], asked)
    assert counts(found["chapters"][chapter]) == {
        "of any draw": {"held": 2, "runs": 2, "not": []},
        "of one draw": {"held": 1, "runs": 2, "not": ["seeds + 1000"]},
        "after an error": {"held": 2, "runs": 2, "not": []},
    }
    errors = {name: run["error"] for name, run in found["chapters"][chapter]["runs"].items()}
    assert errors == dict.fromkeys(
        ["as built", "seeds + 1000"], "ZeroDivisionError: division by zero"
    )
    assert found["settings"]["as built"]["versions"]["python"].startswith("3.")
    monkeypatch.setattr(execute, "run", None)
    assert robustness.survey([chapter], asked)["chapters"] == found["chapters"]


def test_a_claim_that_a_run_did_not_reach_did_not_hold():
    runs = {"one": ({"a": True, "b": True}, None), "two": ({"b": False}, "KeyError: x")}
    chapter = robustness.on_record(
        {name: {"claims": claims, "error": error} for name, (claims, error) in runs.items()},
        "today",
    )
    assert chapter["runs"]["two"] == {"date": "today", "error": "KeyError: x", "lost": ["a", "b"]}
    assert counts(chapter) == {
        "a": {"held": 1, "runs": 2, "not": ["two"]},
        "b": {"held": 1, "runs": 2, "not": ["two"]},
    }
    twice = [{"name": "a", "held": False}, {"name": "a", "held": True}]
    assert robustness.held(twice) == {"a": False}


def test_runs_join_those_on_record_until_the_chapter_makes_other_claims():
    def record(claims, setting, date, **missing):
        run = {"date": date, "error": None, "lost": claims[:1]}
        chapters = {"tree": {"claims": claims, "runs": {setting: run}}}
        about = {setting: {"versions": {}}}
        return {"machine": "m", "settings": about, "missing": missing, "chapters": chapters}

    first = robustness.joined(robustness.EMPTY, record(["a", "b"], "old", "May", new="no such"))
    assert first["missing"] == {"new": "no such"}
    both = robustness.joined(first, record(["b", "a"], "new", "June"))
    assert list(both["chapters"]["tree"]["runs"]) == list(both["settings"]) == ["old", "new"]
    assert both["missing"] == {}
    tree = counts(both["chapters"]["tree"])
    assert tree["a"] == {"held": 1, "runs": 2, "not": ["old"]} and tree["b"]["not"] == ["new"]
    again = robustness.joined(both, record(["a", "b"], "new", "July"))
    assert again["chapters"]["tree"]["runs"]["new"]["date"] == "July"
    other = robustness.joined(both, record(["a", "c"], "new", "July"))
    assert list(other["chapters"]["tree"]["runs"]) == list(other["settings"]) == ["new"]


def test_a_setting_that_cannot_be_had_is_named_without_a_path(tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "KEPT", tmp_path)
    setting = robustness.Setting("old", python=lambda: robustness.environment("oldest", "2.1"))
    found = robustness.survey([], [setting])
    assert found["missing"] == {"old": "Python 2.1 is not installed here"}
    with pytest.raises(RuntimeError, match="cannot be installed: no such … here"):
        robustness.ask([sys.executable, "-c", "import sys; sys.exit('no such /a/path here')"])


def test_the_settings_are_those_that_the_documentation_names():
    names = [setting.name for setting in robustness.settings()]
    assert len(names) == len(set(names)) and sum("seeds" in name for name in names) == 10
    assert {"as built", "other processor", "oldest packages, Python 3.11"} <= set(names)
    assert "numpy==1.26" in robustness.packages("oldest")
    assert "numpy" in robustness.packages("newest")
