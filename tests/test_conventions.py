"""The layout rules of the house, executed rather than remembered."""

import ast
import importlib
import inspect
import json
import re
import typing
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
MODELS = sorted(p.stem for p in (ROOT / "toymodels").glob("*.py") if p.stem != "__init__")
CHAPTERS = {stem: (ROOT / "chapters" / f"{stem}.md").read_text() for stem in MODELS}
CELL = re.compile(r"^```\{code-cell\}.*?\n(.*?)^```$", re.M | re.S)


def public(module) -> dict:
    """Functions and classes that a module defines for others."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")
    }


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    return names | {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}


def test_each_chapter_is_a_model():
    assert sorted(p.stem for p in (ROOT / "chapters").glob("*.md")) == MODELS


@pytest.mark.parametrize("stem", MODELS)
def test_a_model_has_all_its_rooms(stem):
    for room in (
        f"notebooks/{stem}.ipynb",
        f"tests/test_{stem}.py",
        f"toymodels/exercises/{stem}.py",
        f"pages/paper_map/{stem}.yml",
        f"pages/notation/{stem}.yml",
    ):
        assert (ROOT / room).exists(), room
    assert f"chapters/{stem}\n" in (ROOT / "_toc.yml").read_text()


@pytest.mark.parametrize("stem", MODELS)
def test_a_model_has_two_sides_and_one_record(stem):
    module = importlib.import_module(f"toymodels.{stem}")
    assert "Source:" in module.__doc__ and f"chapters/{stem}.md" in module.__doc__
    theory, experiment = inspect.signature(module.theory), inspect.signature(module.experiment)
    assert theory.return_annotation == experiment.return_annotation
    for name in ("seed", "members"):
        assert experiment.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY, name
    assert experiment.parameters["seed"].default is inspect.Parameter.empty, "seeds are given"
    first = list(theory.parameters)[:2]
    assert first == list(experiment.parameters)[:2] and first[0] == "model"


OTHER_WORDS = {"draws", "chains", "networks", "sets", "runs", "copies", "repetitions"}


@pytest.mark.parametrize("stem", MODELS)
def test_repetitions_have_one_name_and_half_times_one_meaning(stem):
    module = importlib.import_module(f"toymodels.{stem}")
    for name, thing in public(module).items():
        parameters = inspect.signature(thing).parameters
        assert not OTHER_WORDS & {*parameters}, f"{name}: repetitions are called members"
        if name == "half_time":
            assert next(iter(parameters)) == "model"


@pytest.mark.parametrize("stem", MODELS)
def test_what_people_call_has_a_door(stem):
    module = importlib.import_module(f"toymodels.{stem}")
    for name in ("theory", "experiment"):
        assert hasattr(getattr(module, name), "__wrapped__"), f"{name} needs @door(origin=...)"
    annotation = inspect.signature(module.theory).parameters["model"].annotation
    for model in typing.get_args(annotation) or (annotation,):
        assert hasattr(model.__init__, "__wrapped__"), f"{model.__name__} needs @door"


@pytest.mark.parametrize("path", sorted((ROOT / "toymodels").rglob("*.py")), ids=str)
def test_error_bars_are_computed_in_one_place(path):
    if path.name != "estimate.py":
        assert not re.search(r"\.std\([^)]*\) */", path.read_text()), "use numerics.mean"


@pytest.mark.parametrize("stem", MODELS)
def test_error_bars_of_chapters_are_computed_in_one_place(stem):
    code = "\n".join(CELL.findall(CHAPTERS[stem]))
    assert not re.search(r"\.std\([^)]*\)+ */|errorbar\(", code), "use numerics.mean and points"


@pytest.mark.parametrize("stem", MODELS)
def test_public_names_are_documented(stem):
    module = importlib.import_module(f"toymodels.{stem}")
    for name, thing in public(module).items():
        assert inspect.getdoc(thing), name


@pytest.mark.parametrize("path", sorted((ROOT / "toymodels").rglob("*.py")), ids=str)
def test_floors(path):
    """numerics is the ground; networks, limits and sweeps stand on it; models never import page."""
    room = path.relative_to(ROOT / "toymodels").parts[0]
    ours = {name for name in imports(path) if name.startswith("toymodels.")}
    if room in ("numerics", "networks", "limits", "sweeps"):
        assert all(name.split(".")[1] in ("numerics", room) for name in ours)
    elif room == "page":
        assert all(name.split(".")[1] in ("numerics", "page") for name in ours)
    elif room != "exercises":
        assert not any(name.startswith(("toymodels.page", "toymodels.exercises")) for name in ours)
    if room != "page":
        assert not any(name.startswith(("matplotlib", "IPython")) for name in imports(path))


@pytest.mark.parametrize("path", sorted((ROOT / "toymodels").rglob("*.py")), ids=str)
def test_functions_fit_a_screen_and_the_package_neither_prints_nor_asserts(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.body[0].end_lineno <= 45, node.name
        if path.parent.name != "page":
            assert not isinstance(node, ast.Assert), f"line {node.lineno}"
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            assert not (called and node.func.id == "print"), f"line {node.lineno}"


def test_the_set_up_cell_is_the_same_everywhere():
    assert len({CELL.search(text)[1] for text in CHAPTERS.values()}) == 1


@pytest.mark.parametrize("stem", MODELS)
def test_exercises_have_hint_checker_and_solution(stem):
    text = CHAPTERS[stem]
    blocks = text.split("```{exercise}")[1:]
    assert len(blocks) >= 5
    module = importlib.import_module(f"toymodels.exercises.{stem}")
    checked = set()
    for block in blocks:
        label = re.search(r":label: ex-(\S+)", block)[1]
        assert (
            "Hint" in block and f"{{solution}} ex-{label}" in block and ":class: dropdown" in block
        )
        names = re.findall(r"exercise\.(\w+)\.check\(", block)
        assert len(names) == 1 and hasattr(module, names[0]), label
        checked.add(names[0])
    ours = {k for k, v in vars(module).items() if type(v).__name__ == "Exercise"}
    assert checked == ours, "every checker is used"


@pytest.mark.parametrize("stem", MODELS)
def test_figures_have_name_caption_and_alt_text(stem):
    cells = CELL.findall(CHAPTERS[stem])
    drawn = [cell for cell in cells if "finish(fig)" in cell]
    assert len(drawn) >= 3
    for cell in drawn:
        assert re.search(rf"name: fig-{stem.replace('_', '-')}-", cell), cell[:200]
        assert "caption:" in cell and re.search(r"alt: \S.{40,}", cell), cell[:200]


@pytest.mark.parametrize("stem", MODELS)
def test_a_chapter_is_cheap(stem):
    """The time that its notebook states, as it was when the notebook was made."""
    metadata = json.loads((ROOT / "notebooks" / f"{stem}.ipynb").read_text("utf8"))["metadata"]
    number, unit = metadata["running_time"].split()
    assert unit == "s" and int(number) <= 60, "at most a minute of a slow processor"


def calls(text: str, name: str) -> list[ast.Call]:
    found = []
    for cell in CELL.findall(text):
        code = re.sub(r"\A---\n.*?^---\n", "", cell, flags=re.M | re.S)
        code = re.sub(r"\A(:\w+:.*\n)+", "", code)
        tree = ast.parse(code)
        found += [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and getattr(n.func, "id", "") == name
        ]
    return found


@pytest.mark.parametrize("stem", MODELS)
def test_claims_can_fail(stem):
    claims = calls(CHAPTERS[stem], "claim")
    assert len(claims) >= 3 and len(claims + calls(CHAPTERS[stem], "identity")) >= 6
    for call in claims:
        given = {keyword.arg for keyword in call.keywords}
        assert "null" in given, f"{ast.unparse(call.args[0])}: what if the model were wrong?"


@pytest.mark.parametrize("stem", MODELS)
def test_chapters_use_the_door_of_a_room(stem):
    code = "\n".join(CELL.findall(CHAPTERS[stem]))
    assert not re.findall(r"toymodels\.(?:numerics|networks|limits|sweeps)\.\w+", code)


@pytest.mark.parametrize("stem", MODELS)
def test_seeds_are_fixed(stem):
    """No draw of a chapter hangs on a global generator."""
    code = "\n".join(CELL.findall(CHAPTERS[stem]))
    assert not re.search(r"torch\.(randn?|randint|manual_seed)\(|np\.random\.", code)


def test_the_tests_check_shapes():
    from toymodels.numerics.integrate import solve

    with pytest.raises(Exception, match="time"):
        solve(lambda t, y: y, torch.ones(1, dtype=torch.float64), torch.ones(2, 2).double())
