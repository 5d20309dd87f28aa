"""The saboteur itself: a fault that is noticed, one that is not, one that never ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import sabotage
from tools.faults import LISTED, Fault, excused, generated, listed

ROOT = Path(__file__).resolve().parents[1]
SPRING = '"""A spring."""\n\n\ndef force(k, x):\n    return -k * x\n'
TEST = "from toymodels.spring import force\n\ndef test_force():\n    assert force(2, 3) == -6\n"
BOOK = """
from types import SimpleNamespace

def read(page):
    source = "from toymodels.spring import force; assert force(5, 0) == 0, 'at rest'"
    return SimpleNamespace(cells=[SimpleNamespace(cell_type="code", source=source, metadata={})])
"""


@pytest.mark.parametrize(
    "source, fault",
    [
        ("a + b", "a - b"),
        ("a + b", "a"),
        ("a * b", "b"),
        ("a * b", "a"),
        ("a / b", "a * b"),
        ("(a + b) * (c)", "(a + b)"),
        ("ä + b", "ä - b"),
        ("-a", "a"),
        ("2 * a", "1 * a"),
        ("0.5 * a", "1.0 * a"),
        ("a ** 3", "a ** 6"),
        ("a.sum(-1)", "a.sum(-2)"),
        ("a.sum(-1)", "a.mean(-1)"),
        ("a.mT @ b", "a @ b"),
        ("a[..., None, :]", "a[..., :, None]"),
        ("sin(a)", "cos(a)"),
        ("sqrt(a + b)", "(a + b)"),
        ("a.clamp(0).abs()", "a.abs()"),
        ("where(a, b, c)", "where(a, c, b)"),
        ("a if b else c", "c if b else a"),
        ("a < b", "a > b"),
        ("a and b", "a or b"),
        ("not a", "a"),
        ("check(a)", "pass"),
        ("raise ValueError(a)", "pass"),
        ("a += b", "a -= b"),
    ],
)
def test_each_rule_finds_its_fault(source, fault):
    assert fault in [found.after for found in generated("m", source)]


@pytest.mark.parametrize(
    "kind, source, fault",
    [
        (
            "draw",
            'normal(seed, "a", n, (b,))',
            '(lambda x: x[:1] + 0 * x)(normal(seed, "a", n, (b,)))',
        ),
        (
            "draw",
            's.normal("a", t, (b, c))',
            '(lambda x: x[..., :1, :] + 0 * x)(s.normal("a", t, (b, c)))',
        ),
        ("draw", 's.normal("a", t, c)', 's.normal("a", 0 * (t), c)'),
        ("draw", 'normal(k, f"a {i}", n, c)', 'normal(k, "a ", n, c)'),
        (
            "draw",
            'def f(): return normal(k, "a", n), uniform(k, "b", n)',
            'def f(): return normal(k, "b", n), uniform(k, "b", n)',
        ),
        ("draw", "start(model, seed=seed)", "start(model, seed=0)"),
        ("draw", "f(first=first)", "f(first=0)"),
        ("count", "a / (n - 1)", "a / (n)"),
        ("count", "a.std(-1)", "a.std(-1, correction=0)"),
        ("count", "a.mean(-1)", "(lambda x: x.sum(-1) / (x.shape[-1] - 1))(a)"),
        ("record", "a[:n]", "a[:n - 1]"),
        ("record", "a[n:]", "a[n + 1:]"),
        ("record", "a.argmax(-1)", "(a.argmax(-1) - 1)"),
        ("record", "round(a / b)", "(a / b)"),
        ("record", "(a / b).round()", "(a / b)"),
        ("record", "f(clock.time)", "f(time)"),
        ("tolerance", "a < 1e-9", "a < 1e-06"),
        ("tolerance", "def f(*, nodes=300): ...", "def f(*, nodes=30): ..."),
        ("tolerance", "NODES = 48", "NODES = 4"),
        ("tolerance", "a < 4 * finfo.eps", "a < 4 * (1000 * finfo.eps)"),
        ("bar", "standard_error(a, -1)", "2 * (standard_error(a, -1))"),
        ("bar", "Estimate(a, b, n)", "Estimate(a, 0.5 * (b), n)"),
        ("bar", "f(error=a + b)", "f(error=2 * (a + b))"),
    ],
)
def test_each_rule_finds_its_subtle_fault(kind, source, fault):
    assert (kind, fault) in [(found.kind, found.after) for found in generated("m", source)]


@pytest.mark.parametrize(
    "source",
    [
        '"""a + b, 2 * c"""',
        "def f(a: int | None) -> int | None: ...",
        'a = f"{b + 2}"',
        "a = isinstance(b, int | float)",
        "a = x <= 1e-200",
        "a = zip(b, c, strict=True)",
        'a = Exercise("b", inputs=[(2.0, c / d)])',
        "Number = int | float",
    ],
)
def test_text_types_and_guards_are_left_alone(source):
    assert not [f for f in generated("m", source) if f.after != source.replace("<=", ">=")]


def test_faults_stand_at_their_lines():
    (fault,) = generated("m", "a = b\nc = (\n    d\n    < e\n)\n")
    assert (fault.line, fault.before, fault.after) == (4, "< e", "> e")


@pytest.mark.parametrize("module", sabotage.modules())
def test_the_list_of_faults_fits_the_package(module):
    source = (ROOT / "toymodels" / f"{module}.py").read_text("utf8")
    faults = listed(module, source) + generated(module, source)
    excused(module, faults)
    assert faults and all(fault.source != source for fault in faults)
    assert (ROOT / sabotage.test_file(module)).exists()


def test_every_list_of_faults_belongs_to_a_module():
    lists = {path.relative_to(LISTED).with_suffix(".py") for path in LISTED.rglob("*.toml")}
    assert lists and not [name for name in lists if not (ROOT / "toymodels" / name).exists()]


def test_a_sample_is_even_and_depends_on_the_seed():
    faults = [generated(name, "a = b + 2 * c + 3 * d") for name in ("one", "two")]
    few = sabotage.chosen(faults, 4, seed=1)
    assert [fault.module for fault in few] == ["one", "one", "two", "two"]
    assert few == sabotage.chosen(faults, 4, seed=1)
    assert any(few != sabotage.chosen(faults, 4, seed) for seed in range(2, 6))
    assert len(sabotage.chosen(faults, None, seed=1)) == sum(map(len, faults))


@pytest.fixture
def bench(tmp_path):
    files = {
        "toymodels/__init__.py": "",
        "toymodels/spring.py": SPRING,
        "tests/test_spring.py": TEST,
        "_ext/__init__.py": "",
        "_ext/book.py": BOOK,
        "chapters/spring.md": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with sabotage.Bench(tmp_path, heavy=["pytest"]) as bench:
        yield bench
    found = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*.*")}
    assert found == files  # the checkout is as it was


def judge(bench, body, processor=20):
    suite = bench.suite("spring")
    suite.processor = processor
    fault = Fault("spring", 5, "", "", SPRING.replace("    return -k * x", body))
    return bench.judge(fault, suite, chapter=True)


def test_a_fault_is_noticed_by_the_test(bench):
    assert judge(bench, "    return k * x") == "tests/test_spring.py::test_force"


def test_a_fault_that_changes_nothing_survives(bench):
    assert judge(bench, "    return -(k * x)") is None


def test_a_fault_that_no_test_notices_is_left_to_the_claims(bench):
    assert judge(bench, "    return -6").endswith("AssertionError: at rest")


def test_a_fault_that_never_ends_is_noticed(bench):
    assert judge(bench, "    while True: ...", processor=2) == "a program that does not end"


def test_a_fault_that_kills_the_program_is_noticed(bench):
    assert judge(bench, "    import os; os.abort()") == "a crash"


def test_a_module_that_cannot_be_imported_is_noticed(bench):
    assert judge(bench, "    return -k * x\n\n1 / 0") == "the import"


def test_tests_that_fail_without_a_fault_are_refused(bench):
    (bench.snapshot / "tests" / "test_spring.py").write_text("def test_force(): assert False")
    with pytest.raises(sabotage.Red, match="already fails"):
        bench.suite("spring")
    with pytest.raises(sabotage.Red, match="has no tests"):
        bench.suite("pendulum")


def test_a_sample_of_faults_is_noticed():
    command = [sys.executable, "-m", "tools.sabotage", "numerics/fixed_point", "numerics/draws"]
    run = subprocess.run(
        [*command, "--sample", "6", "--jobs", "1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "6 faults, 0 survived" in run.stdout
