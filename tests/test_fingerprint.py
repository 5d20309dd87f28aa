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

import numpy as np
import pytest
import torch

import toymodels
from toymodels.sweeps import fingerprint as module
from toymodels.sweeps.fingerprint import differences, fingerprint, packages

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

class Deep(Model):
    def scaled(self, x): return 13 * x + far(x)

@functools.cache
def cached(x): return 14 * x

def far(x): return 15 * x

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
        ("def far(x): return", "\n\ndef far(x):\n    return"),
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
    assert list(module._parts(np, frozenset())) == ["numpy", b""]


def test_functions_of_installed_packages_count_by_name():
    assert fingerprint(torch.nn.functional.gelu) != fingerprint(torch.nn.functional.relu)
    assert list(module._parts(json.dumps, frozenset())) == ["json.dumps"]
    assert list(module._parts(torch.nn.Linear, frozenset())) == ["torch.nn.modules.linear.Linear"]
    assert len(list(module._parts(fingerprint, frozenset()))) == 1  # packages() has its sources


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


def test_an_object_that_cannot_be_written_down_is_refused(load):
    f = load("import threading\nlock = threading.Lock()\ndef f(x): return lock")
    with pytest.raises((TypeError, pickle.PicklingError), match="lock"):
        fingerprint(f)
