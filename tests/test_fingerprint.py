"""The fingerprint of a function changes with all that it computes with, and with nothing else."""

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pytest
import torch
import yaml

import toymodels
from toymodels.sweeps import fingerprint as module
from toymodels.sweeps.fingerprint import differences, fingerprint, other_packages, packages

NUMBERS = count()


@pytest.fixture
def load(tmp_path, monkeypatch) -> Callable[[str], object]:
    """The function ``f`` of a module that the user wrote."""

    def load(source: str) -> object:
        file = tmp_path / f"mine_{next(NUMBERS)}.py"
        file.write_text(source)
        spec = importlib.util.spec_from_file_location("mine", file)
        mine = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine", mine)
        spec.loader.exec_module(mine)
        return mine.f

    return load


BASE = """
import functools
import math
import numpy as np
import torch
from dataclasses import dataclass

RATES = torch.tensor([1.0, 2.0], requires_grad=True)
TABLE = {"a": np.arange(3), "b": [1, 2]}
OTHER = 7

@dataclass(frozen=True)
class Model:
    size: int = 3
    limit = 9

    @property
    def area(self): return self.size ** 2

    @staticmethod
    def unit(): return 11

    @functools.cached_property
    def volume(self): return self.size ** 5

class Deep(Model):
    def scaled(self, x): return 13 * x + far(x)

@functools.cache
def cached(x): return 14 * x

def far(x):
    try:
        return 15 * x
    except ValueError:
        def inner(y): return 19 * y
        return inner(x)

def near(x, *, power=16): return far(x) ** power

def outer(width):
    def inner(x): return x + width
    return inner

MODEL = Deep(size=4)
shifted = outer(17)

def f(x, more=18):
    y = [near(z) + RATES.sum() for z in TABLE["b"]]
    return torch.sin(x) * cached(x) * MODEL.scaled(x) + shifted(x) + math.pi + len(y) + more
"""


def test_equal_code_has_equal_fingerprints(load):
    assert fingerprint(load(BASE)) == fingerprint(load(BASE))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OTHER = 7", "OTHER = 8"),
        ("OTHER = 7", "def other(): pass"),
        ("x + width", "x + width  # a comment"),
        ("def near(x, *, power=16): return", "\n\ndef near(x, *, power=16):\n    return"),
    ],
)
def test_what_the_function_does_not_read_does_not_count(load, old, new):
    assert old in BASE
    assert fingerprint(load(BASE)) == fingerprint(load(BASE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.0], req", "3.0], req"),  # entries of a tensor
        ("2.0], req", "2.0], dtype=torch.float64, req"),
        ("arange(3)", "arange(4)"),
        ("[1, 2]}", "[1, 3]}"),
        ("[1, 2]}", "(1, 2)}"),
        ("size: int = 3", "size: int = 2"),
        ("limit = 9", "limit = 8"),
        ("size ** 2", "size ** 3"),
        ("size ** 5", "size ** 4"),
        ("19 * y", "18 * y"),  # a constant of an inner function
        ("except ValueError", "except TypeError"),
        ("near(x, *, power=16): return far(x) ** power", "near(power=16, *, x): return far(x)"),
        ("return 11", "return 12"),
        ("13 * x", "12 * x"),
        ("class Deep(Model)", "class Deep(Model, dict)"),
        ("14 * x", "13 * x"),
        ("15 * x", "14 * x"),  # a helper of a helper
        ("power=16", "power=15"),
        ("x + width", "x - width"),
        ("size=4", "size=5"),
        ("outer(17)", "outer(16)"),
        ("more=18", "more=17"),
        ("torch.sin", "torch.cos"),  # no constant differs
        ("near(z)", "far(z)"),  # nor here, inside a comprehension
        ("math.pi", "math.e"),
        ("+ len(y)", "- len(y)"),
        ("def f(", "def g(x): pass\n\ndef f("),
    ],
)
def test_what_the_function_reads_counts(load, old, new):
    assert BASE.count(old) == 1
    same = new.startswith("def g")
    assert (fingerprint(load(BASE)) == fingerprint(load(BASE.replace(old, new)))) == same


def test_a_module_of_the_users_counts_as_a_whole_and_an_installed_one_does_not(load, tmp_path):
    sources = {}
    for value in (1, 2):
        helper = tmp_path / "helper.py"
        helper.write_text(f"value = {value}")
        function = load(
            f"import importlib.util, sys\nimport numpy\n"
            f"spec = importlib.util.spec_from_file_location('helper', {str(helper)!r})\n"
            "helper = importlib.util.module_from_spec(spec)\n"
            "sys.modules['helper'] = helper\n"
            "def f(x): return helper.value * x + numpy.pi"
        )
        sources[value] = fingerprint(function)
    del sys.modules["helper"]
    assert sources[1] != sources[2]
    assert list(module._Walk().parts(np)) == ["numpy"]


def test_functions_of_installed_packages_count_by_name_and_version(monkeypatch):
    def parts(thing):
        return list(module._Walk().parts(thing))

    assert fingerprint(torch.nn.functional.gelu) != fingerprint(torch.nn.functional.relu)
    assert parts(json.dumps) == ["json.dumps"]
    assert parts(torch.nn.Linear) == ["torch.nn.modules.linear.Linear"]
    assert parts(fingerprint) == ["toymodels.sweeps.fingerprint.fingerprint"]
    assert not [name for name in fingerprint(json.dumps) if name.startswith("package")]
    assert fingerprint(joblib.hash)["package joblib"] == joblib.__version__
    code = fingerprint(lambda x: yaml.safe_load(joblib.hash(x)))  # PyYAML has another name here
    assert code["package PyYAML"] == yaml.__version__ and code["package joblib"]
    assert other_packages(code) == []
    older = code | {"package joblib": "0.1", "package unheard-of": "1", "torch": "2.0"}
    assert other_packages(older) == [
        f"torch was 2.0, is {code['torch']}",
        f"package joblib was 0.1, is {joblib.__version__}",
        "package unheard-of was 1, is missing",
    ]


# ---- modules of the user's -----------------------------------------------------------------------

PROJECT = {
    "up/__init__.py": "from up.shown import shown\nfrom up.numbers import FOUR\nimport up.quiet",
    "up/shown.py": "def shown(x): return 2 * x",
    "up/numbers.py": "FOUR = 4",
    "up/quiet.py": "import up.deep",
    "up/deep.py": "import up  # in a circle\ndef deep(x): return 5 * x\nK = 6\nclass C: c = 7",
    "up/late.py": "def late(x): return 8 * x",
    "bare/part.py": "def part(x): return 9 * x",  # a folder without __init__
    "flat.py": "from up.deep import deep as sunk\nimport threading\nlock = threading.Lock()",
}
READERS = {
    "up.shown(x)": [("up/shown.py", "2 * x")],  # re-exported
    "up.FOUR * x": [("up/numbers.py", "4")],
    "up.quiet.up.deep.deep(x)": [("up/deep.py", "5 * x")],
    "up.deep.K * x": [("up/deep.py", "6")],
    "up.deep.C.c * x": [("up/deep.py", "7")],
    "bare.part.part(x)": [("bare/part.py", "9 * x")],
    "flat.sunk(x)": [("up/deep.py", "5 * x")],
    "getattr(flat, 'su' + 'nk')(x)": [("up/deep.py", "5 * x")],
    "(lambda m: m.deep(x))(vars(up)['deep'])": [("up/deep.py", "5 * x")],
    "inner(x)": [("up/late.py", "8 * x"), ("bare/part.py", "9 * x")],
}
MAIN = """
import up.deep, bare.part, flat
def inner(x):
    from up import late
    import bare.part as p
    return late.late(x) + p.part(x)
def f(x): return """


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Imports a project of the user's afresh, as another process would, and returns its ``f``."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        for name in [n for n in sys.modules if n.split(".")[0] in ("up", "bare", "flat", "main_")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def build(expression: str, old: str = "", new: str = "", file: str = "") -> Callable:
        forget()
        for name, text in PROJECT.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text.replace(old, new) if name == file else text)
        (tmp_path / "main_.py").write_text(MAIN + expression)
        return importlib.import_module("main_").f

    yield build
    forget()


@pytest.mark.parametrize("expression", READERS)
def test_modules_are_followed_through_what_they_import(project, expression):
    first = fingerprint(project(expression))
    assert fingerprint(project(expression)) == first
    for file, old in READERS[expression]:
        before = project(expression)(1)
        changed = project(expression, old, old.replace(old[0], "3", 1), file)
        assert changed(1) != before
        assert fingerprint(changed) != first
    other = project(expression, "2 * x", "2 * x + 0", "up/shown.py")
    if expression.startswith("bare"):  # it does not read that package
        assert fingerprint(other) == first


@pytest.mark.parametrize(
    ("expression", "name"),
    [("up.deep.K * x", "K"), ("up.deep.deep(x)", "deep"), ("up.quiet.up.deep.C.c", "C")],
)
def test_what_is_set_on_a_module_while_the_program_runs_counts(project, expression, name):
    f = project(expression)
    first, deep = fingerprint(f), sys.modules["up.deep"]
    setattr(deep, name, 3)
    assert fingerprint(f) != first
    unread = project("up.shown(x)")
    first = fingerprint(unread)
    sys.modules["up.deep"].K = 3
    assert fingerprint(unread) == first


def test_the_names_of_arguments_count(load):
    """A sweep calls by name: the same steps on exchanged arguments are another function."""
    f, g = load("def f(x, y): return x - y"), load("def f(y, x): return y - x")
    assert f(x=3, y=1) != g(x=3, y=1) and fingerprint(f) != fingerprint(g)


def test_an_import_that_fails_is_left_to_the_function(load):
    source = (
        "def f(x):\n    try:\n        import nowhere_to_be_found\n"
        "    except ImportError:\n        return 1"
    )
    assert fingerprint(load(source)) == fingerprint(load(source))


@pytest.mark.parametrize(
    "line", ["exec('y = 1')", "eval('x')", "import_module('json')", "m.import_module('json')"]
)
def test_code_that_is_made_while_the_function_runs_is_named(load, line):
    f = load(f"import importlib as m\nfrom importlib import import_module\ndef f(x): return {line}")
    name = line.partition("(")[0].rpartition(".")[2]
    with pytest.warns(RuntimeWarning, match=rf"f makes code .* not be noticed: {name} in f"):
        fingerprint(f)
    fingerprint(load("def f(model): return model.eval()"))  # PyTorch's, which is something else


def test_a_compiled_function_counts_with_what_it_is_bound_to(load):
    prints = [
        fingerprint(load(f"get = {{1: {k}}}.get\ndef f(x): return get(x)")) for k in (1, 1, 2)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_a_circle_of_modules_takes_no_time(load, monkeypatch):
    """Each of fifty modules holds all of them: there are more paths than atoms."""
    made = [ModuleType(f"ring_{k}") for k in range(50)]
    for mine in made:
        vars(mine).update({other.__name__: other for other in made}, __file__=__file__)
        monkeypatch.setitem(sys.modules, mine.__name__, mine)
    f = load("import ring_0\ndef f(x): return ring_0.ring_1.ring_2")
    assert fingerprint(f) == fingerprint(f)


def test_functions_of_a_script_or_notebook_are_the_users_own(load):
    prints = []
    for value in (1, 2):
        f = load(f"def f(x): return {value}")
        f.__module__ = "__main__"
        prints.append(fingerprint(f))
    assert prints[0] != prints[1]


def test_arguments_bound_in_advance_count(load):
    f = load("def f(x, y): return x + y")
    prints = [fingerprint(partial(f, *a, **b)) for a, b in (((1,), {}), ((2,), {}), ((), {"y": 1}))]
    assert len({p["function"] for p in [*prints, fingerprint(f)]}) == 4
    assert all(p["function"].startswith("f ") for p in prints)


def test_a_bound_method_counts_with_the_state_of_its_object(load):
    source = (
        "class A:\n    def __init__(self, k): self.k = k\n    def run(self, x): return self.k\n"
    )
    prints = [fingerprint(load(source + f"f = A({k}).run")) for k in (1, 2, 2)]
    assert prints[0] != prints[1] == prints[2]
    assert prints[0]["function"].startswith("A.run ")


def test_functions_that_call_each_other_end(load):
    source = "def f(x): return g(x - 1) if x else 0\ndef g(x): return f(x) + 1"
    assert fingerprint(load(source)) == fingerprint(load(source))
    assert fingerprint(load(source)) != fingerprint(load(source.replace("+ 1", "+ 2")))


def everything(x):
    """Sets change their order and tensors their address from process to process."""
    return x in {"a", "b", "c", "d", "e"} or TENSOR.sum() in WORDS or TYPE == LIMIT or BASE


TENSOR, TYPE, LIMIT = torch.arange(5.0), torch.float64, 3
WORDS = {"p", "q", "r", "s"}


def test_another_process_finds_the_same_fingerprint():
    code = "from test_fingerprint import everything, fingerprint; print(fingerprint(everything))"
    path = os.pathsep.join(str(Path(__file__).parents[k]) for k in (0, 1))
    here = os.environ.get("PYTHONHASHSEED")
    seed = {"PYTHONPATH": path, "PYTHONHASHSEED": "2" if here == "1" else "1"}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | seed
    )
    assert other.stdout.strip() == str(fingerprint(everything)), other.stderr


def test_packages_hold_versions_and_the_sources_of_this_one(monkeypatch, tmp_path):
    here = packages()
    assert here["numpy"] == np.__version__ and here["python"] == "{}.{}".format(*sys.version_info)
    assert torch.__version__.partition("+")[0] == here["torch"]
    assert here["toymodels"].startswith(toymodels.__version__)
    monkeypatch.setattr(toymodels, "__file__", str(tmp_path / "__init__.py"))
    found = []
    for text in ("a = 1", "a = 2"):
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / "model.py").write_text(text)
        found.append(packages.__wrapped__()["toymodels"])
    (tmp_path / "deep" / "model.py").rename(tmp_path / "model.py")
    (tmp_path / "other.py").touch()
    found.append(packages.__wrapped__()["toymodels"])
    assert len({*found, here["toymodels"]}) == 4
    backwards = sorted(tmp_path.rglob("*.py"), reverse=True)  # the order hangs on the file system
    monkeypatch.setattr(Path, "rglob", lambda root, pattern: backwards)
    assert packages.__wrapped__()["toymodels"] == found[-1]
    assert fingerprint(everything).items() > here.items()


def test_differences_name_what_changed():
    old, new = {"numpy": "1", "torch": "2"}, {"numpy": "1", "torch": "3", "scipy": "4"}
    assert differences(old, old) == []
    assert differences(old, new) == ["torch was 2, is 3", "scipy was not recorded, is 4"]
    assert differences(new, old) == ["torch was 3, is 2", "scipy was 4, is not used"]


def test_an_object_that_cannot_be_written_down_is_refused(load):
    f = load("import threading\nlock = threading.Lock()\ndef f(x): return lock")
    with pytest.raises((TypeError, pickle.PicklingError), match="lock"):
        fingerprint(f)
