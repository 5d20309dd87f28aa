"""Plant faults in the package, one at a time, and list those that no test and no claim notices.

usage: python -m tools.sabotage [MODULE ...] [--kind KIND ...] [--sample N] [--seed S] [--jobs N]
                                [--tests-only]

MODULE is a path below the package without its ending: deep_linear, numerics/draws; all if none is
named. KIND is one of those that ``faults`` describes; all unless given. Each fault stands in a
temporary copy of the checkout, where the tests of that module run until one fails; if none does,
the code of the chapter with the same name follows. Whatever the computer then does wrong counts as
noticed: a test that fails, a claim, a crash, a program that does not end. The folder ``faults``
holds a list per module, which adds faults by hand and excuses those that change nothing.

The report is ``_build/sabotage.txt``. Exit status 1 means that a fault survived without excuse.
"""

import argparse
import gc
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from tqdm import tqdm

from tools.faults import KINDS, Fault, entries, excused, generated, listed

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "_build" / "sabotage.txt"
LEFT_OUT = shutil.ignore_patterns(".*", "_build", "build", "notebooks", "__pycache__", "*.egg-info")
# imported once, in the process that all trials are forked from; never the package itself
HEAVY = ["torch", "scipy.integrate", "scipy.special", "matplotlib.pyplot", "sklearn.datasets"]
HEAVY += ["torch.distributed.tensor"]  # for torch.testing.assert_close
HEAVY += ["IPython", "pytest", "jaxtyping", "beartype", "tqdm.auto", "myst_nb.core.read"]
PATIENCE = 3  # a program that needs this many times its processor time will not end
HANG = 600  # seconds after which any program is given up


@dataclass
class Trial:
    """What one process reports: the first failure, and the seconds of every test that ran."""

    failed: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Suite:
    """The tests of one module, unharmed: their time, and which have been failing lately."""

    test: str  # file below the checkout
    seconds: dict[str, float]
    processor: int  # seconds that a trial may use
    kills: Counter = field(default_factory=Counter)

    def order(self) -> dict[str, tuple]:
        """Sort key of every test: what often fails first, then what is quick."""
        return {name: (-self.kills[name], time) for name, time in self.seconds.items()}


class Watch:
    """A pytest plug-in: runs the tests in the given order and writes down what happens."""

    def __init__(self, order: dict[str, tuple]):
        self.order, self.trial = order, Trial()

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: self.order.get(item.nodeid, (0, 0.0)))

    def pytest_collectreport(self, report):
        if report.failed:
            self.trial.failed = "the import"

    def pytest_runtest_logreport(self, report):
        if report.failed and self.trial.failed is None:
            self.trial.failed = report.nodeid
        if report.when == "call":
            self.trial.seconds[report.nodeid] = report.duration


def run_tests(folder: str, test: str, order: dict[str, tuple]) -> Trial:
    """In a process of its own: the tests of the copy in ``folder``, up to the first failure."""
    import pytest

    watch = Watch(order)
    quiet = [f"-pno:{name}" for name in ("cacheprovider", "unraisableexception", "threadexception")]
    options = ["-x", "-q", "--tb=line", "--assert=plain", f"--rootdir={folder}", *quiet]
    status = pytest.main([*options, test], plugins=[watch])
    if status != pytest.ExitCode.OK and watch.trial.failed is None:
        raise RuntimeError(f"pytest could not run {test}: {status!r}")
    return watch.trial


def run_chapter(folder: str, page: str) -> Trial:
    """In a process of its own: the code cells of one chapter, as plain Python."""
    from _ext import book

    names = {"__name__": "__main__"}
    for cell in book.read(page).cells:
        if cell.cell_type == "code" and "raises-exception" not in cell.metadata.get("tags", []):
            try:
                exec(compile(cell.source, page, "exec"), names)
            except Exception as problem:
                text = " ".join(str(problem).split())[:90]
                return Trial(failed=f"{page}: {type(problem).__name__}: {text}")
    return Trial()


def _in_copy(pipe, action, processor: int, folder: str, *args) -> None:
    os.setsid()  # so that whatever it starts can be ended with it
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
    log = os.open(Path(folder) / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1), os.dup2(log, 2)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": folder, "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # their import takes longer than the tests
    sys.dont_write_bytecode = True
    gc.freeze()  # nor does the collector look again at what was imported beforehand
    sys.path[:] = [folder] + [
        p for p in sys.path if Path(p).resolve() not in (ROOT, ROOT / "tools")
    ]
    try:
        trial = action(folder, *args)
    except Exception as problem:  # of this tool: tests and chapters report theirs
        trial = problem
    package = sys.modules.get("toymodels")
    if package and not str(package.__file__).startswith(folder):
        trial = RuntimeError(f"the copy was not tested: {package.__file__}")
    pipe.send(trial)


class Red(Exception):
    """Tests that fail without any fault cannot notice one."""


class Bench:
    """A snapshot of the checkout, and processes that try its copies."""

    def __init__(self, root: Path = ROOT, heavy: list[str] = HEAVY):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self.root = root
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(heavy)

    def __enter__(self):
        self.shed = tempfile.TemporaryDirectory(prefix="sabotage-")
        self.snapshot = Path(self.shed.name) / "snapshot"
        shutil.copytree(self.root, self.snapshot, ignore=LEFT_OUT)
        return self

    def __exit__(self, *_):
        self.shed.cleanup()

    def source(self, module: str) -> str:
        return (self.snapshot / "toymodels" / f"{module}.py").read_text("utf8")

    @contextmanager
    def copy(self, module: str, source: str) -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=self.shed.name) as folder:
            shutil.copytree(self.snapshot, folder, dirs_exist_ok=True)
            (Path(folder) / "toymodels" / f"{module}.py").write_text(source, "utf8")
            yield folder

    def run(self, action, processor: int, folder: str, *args, patience: float = HANG) -> Trial:
        """The trial that a process reports; one that dies or never ends is a failed trial."""
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=_in_copy, args=(theirs, action, processor, folder, *args)
        )
        process.start()
        theirs.close()
        try:
            result = ours.recv() if ours.poll(patience) else Trial(failed="a program that sleeps")
            if isinstance(result, Exception):
                raise result
            return result
        except EOFError:
            process.join()
            hung = -process.exitcode in (signal.SIGXCPU, signal.SIGKILL)
            return Trial(failed="a program that does not end" if hung else "a crash")
        finally:
            _end(process)

    def suite(self, module: str) -> Suite:
        """Run the tests of an unharmed module. Raises Red unless there are some and all pass."""
        test = test_file(module)
        if not (self.snapshot / test).exists():
            raise Red(f"{module} has no tests: {test} does not exist")
        with self.copy(module, self.source(module)) as folder:
            trial = self.run(run_tests, HANG, folder, test, {})
            if trial.failed:
                log = (Path(folder) / "log").read_text("utf8", errors="replace")[-2000:]
                raise Red(f"{module}, unharmed, already fails {trial.failed}\n{log}")
        processor = int(20 + PATIENCE * sum(trial.seconds.values()))
        return Suite(test, trial.seconds, processor)

    def judge(self, fault: Fault, suite: Suite, chapter: bool) -> str | None:
        """Who notices the fault: a test, the chapter, a crash; None if nobody does."""
        with self.copy(fault.module, fault.source) as folder:
            trial = self.run(run_tests, suite.processor, folder, suite.test, suite.order())
            if trial.failed:
                suite.kills[trial.failed] += 1
            elif chapter and (self.snapshot / "chapters" / f"{fault.module}.md").exists():
                trial = self.run(run_chapter, HANG, folder, f"chapters/{fault.module}")
        return trial.failed


def _end(process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.join()


def modules(root: Path = ROOT) -> list[str]:
    """Every module of the package that holds code and is not excused from tests."""
    package = root / "toymodels"
    paths = sorted(package.rglob("*.py"), key=lambda path: (-len(path.parts), path))
    names = [str(p.relative_to(package).with_suffix("")) for p in paths if p.name != "__init__.py"]
    return [name for name in names if "untested" not in entries(name)]


def test_file(module: str) -> str:
    """The tests of a module: tests/test_<stem>.py unless its list of faults names another."""
    own = "exercises" if module.startswith("exercises/") else Path(module).name
    return f"tests/{entries(module).get('tests', 'test_' + own)}.py"


def chosen(faults: list[list[Fault]], sample: int | None, seed: int) -> list[Fault]:
    """All faults, or ``sample`` of them, as evenly from the modules as can be."""
    if sample is None:
        return [fault for some in faults for fault in some]
    shuffled = [
        random.Random(f"{seed} {some[0].module}").sample(some, len(some)) for some in faults if some
    ]
    turns = [fault for turn in zip_longest(*shuffled) for fault in turn if fault]
    return sorted(turns[:sample], key=lambda fault: (fault.module, fault.line))


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    with Bench() as bench, ThreadPoolExecutor(options.jobs) as pool:
        faults, reasons = [], {}
        for module in options.modules or modules():
            source = bench.source(module)
            found = listed(module, source) + generated(module, source)
            reasons |= excused(module, found)
            faults.append([f for f in found if not options.kind or f.kind in options.kind])
        planted = [f for f in chosen(faults, options.sample, options.seed) if f not in reasons]
        suites, red = _suites(bench, pool, list(dict.fromkeys(fault.module for fault in planted)))
        planted = [fault for fault in planted if fault.module in suites]
        noticed = {}
        trials = pool.map(
            lambda f: (f, bench.judge(f, suites[f.module], not options.tests_only)), planted
        )
        for fault, by in tqdm(trials, total=len(planted), unit="fault", smoothing=0):
            noticed[fault] = by
            if by is None:
                tqdm.write(f"survived  {fault}")
    return _report(noticed, reasons, red)


def _suites(bench: Bench, pool: ThreadPoolExecutor, names: list[str]):
    """The suite of every module whose tests pass, and the complaints about the others."""
    waiting, suites, red = {name: pool.submit(bench.suite, name) for name in names}, {}, []
    for name in tqdm(waiting, desc="without faults", unit="module"):
        try:
            suites[name] = waiting[name].result()
        except Red as complaint:
            red.append(str(complaint))
    return suites, red


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sabotage", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="deep_linear, numerics/draws")
    parser.add_argument("--kind", action="append", choices=KINDS, help="these kinds of faults only")
    parser.add_argument("--sample", type=int, help="plant only so many faults")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    parser.add_argument("--tests-only", action="store_true", help="do not run chapters")
    return parser


def _report(noticed: dict[Fault, str | None], reasons: dict[Fault, str], red: list[str]) -> int:
    survivors = [fault for fault, by in noticed.items() if by is None]
    lines = [f"{fault}\n    noticed by {by or 'NOBODY'}" for fault, by in noticed.items()]
    lines += [f"{fault}\n    changes nothing: {why}" for fault, why in reasons.items()]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(lines) + "\n", "utf8")
    planted = Counter((fault.module, fault.kind) for fault in noticed)
    lost = Counter((fault.module, fault.kind) for fault in survivors)
    for (module, kind), number in planted.items():
        print(f"{module:28} {kind:10} {number:5} faults, {lost[module, kind]:3} survived")
    for fault in survivors:
        print(f"SURVIVED  {fault}")
    print(*red, sep="\n", end="\n" if red else "")
    print(f"{len(noticed)} faults, {len(survivors)} survived; {len(reasons)} excused")
    return 1 if survivors or red else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
