"""Sweeps: the same numbers everywhere, and nothing finished is lost, whoever is killed."""

import ast
import errno
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from toymodels.numerics import draws
from toymodels.sweeps import grid as module
from toymodels.sweeps.fingerprint import packages
from toymodels.sweeps.grid import sweep
from toymodels.sweeps.store import Store

# the side files that the functions below read are not what they compute with
pytestmark = pytest.mark.filterwarnings("ignore:the function reads files:RuntimeWarning")

PATIENCE = 120  # seconds after which a test gives up; the machine may be busy
POINTS = range(6)


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on this machine."""
    import dask  # not above: joblib's processes import this file too
    from dask.distributed import LocalCluster
    from distributed.utils import get_mp_context

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        # torch is imported once for all workers, those that replace a killed one included
        get_mp_context().set_forkserver_preload(["distributed", "torch"])
        with LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",  # any free port: another cluster may have 8787
            silence_logs=logging.CRITICAL,
        ) as cluster:
            yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with cluster.get_client() as client:
        yield client


def note(folder: Path, word: str, x: object) -> None:
    """A line in the side file that counts what was really executed."""
    with open(folder / "log", "a") as log:
        log.write(f"{word} {x}\n")


def noted(folder: Path, word: str) -> Counter:
    lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return Counter(float(line.split()[1]) for line in lines if line.split()[0] == word)


def wait(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def stored(folder: Path) -> list[Path]:
    return sorted((folder / "store").glob("*.point"))


def leftovers(folder: Path) -> list[str]:
    """What lies in the store beside the manifest and whole results."""
    names = [path.name for path in (folder / "store").iterdir()]
    return [name for name in names if name != "manifest.json" and not name.endswith(".point")]


def square(x: float, folder: Path) -> float:
    note(folder, "done", x)
    return x * x


# ---- the same numbers --------------------------------------------------------------------------


def network(depth: int, seed: int) -> dict:
    """A random network, and the settings that it ran under."""
    weights = draws.normal(seed, "weights", depth, (50, 50), dtype=torch.get_default_dtype())
    signals = [torch.ones(50)]
    for weight in weights[:2]:
        signals.append(torch.tanh(weight @ signals[-1] / 7))
    run = {"signal": torch.stack(signals), "overlap": signals[-1] @ weights[-1] @ signals[-1]}
    return {"run": run, "third": torch.ones(()) / 3, "threads": torch.get_num_threads()}


@pytest.fixture(scope="module")
def places(client, tmp_path_factory):
    """The same sweep here, in two processes and on the cluster, in a dtype that torch's is not."""
    here = tmp_path_factory.mktemp("places")
    grid = {"depth": [2, 3], "seed": torch.arange(2)}
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    try:
        results = [
            sweep(network, grid, here / str(number), workers=workers, threads=1)
            for number, workers in enumerate((1, 2, client))
        ]
        ask = joblib.delayed(torch.get_default_dtype)
        pool = joblib.Parallel(2, "loky", max_nbytes=None)(ask() for _ in range(4))
        results.append((torch.get_num_threads(), pool))
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)
    return results


def test_the_numbers_are_the_same_here_in_two_processes_and_on_a_cluster(places):
    here, processes, cluster, _ = places
    assert here.identical(processes)
    assert here.identical(cluster)


def test_a_point_gets_the_callers_dtype_and_the_given_threads_wherever_it_is(places):
    here, processes, _, (own_threads, pool) = places
    for result in (here, processes):
        assert (result.third == 1 / 3).all()
        assert (result.threads == 1).all()
    assert own_threads == 2 and pool == [torch.float32] * 4  # as they were


def test_results_are_labelled_with_the_grid(places):
    here = places[0]
    assert here.run_overlap.dims == ("depth", "seed")
    assert here.run_signal.dims == ("depth", "seed", "run_signal_0", "run_signal_1")
    assert here.run_signal.shape == (2, 2, 3, 50)
    assert here.depth.values.tolist() == [2, 3] and here.seed.values.tolist() == [0, 1]
    assert here.attrs.items() >= packages().items()
    torch.set_default_dtype(torch.float64)
    alone = network(depth=3, seed=1)["run"]["overlap"]
    assert here.run_overlap.sel(depth=3, seed=1) == alone


@dataclass(frozen=True)
class Curve:
    x: torch.Tensor
    missing: None = None


def test_numbers_arrays_and_records_become_variables(tmp_path):
    grid = {"x": [2.0, 1.0], "word": ["a", "b"]}
    bare = sweep(lambda x, word: x, grid, tmp_path / "bare")
    assert bare.value.dims == ("x", "word")
    assert bare.value.sel(x=2.0, word="b") == 2 and bare.value.sel(x=1.0, word="a") == 1
    record = sweep(
        lambda x, word: Curve(torch.full((3,), x, requires_grad=True)), grid, tmp_path / "record"
    )
    assert list(record.data_vars) == ["x_result"]  # not to be taken for the axis
    assert record.x_result.dims == ("x", "word", "x_result_0")
    assert record.x_result.sel(x=2.0, word="a").values.tolist() == [2.0] * 3
    mixed = sweep(lambda x, word: 0 if x > 1 else 0.5, grid, tmp_path / "mixed")
    assert mixed.value.sel(x=1.0, word="a") == 0.5  # not cut to an integer
    threads = sweep(lambda x, word: torch.get_num_threads(), grid, tmp_path / "threads")
    assert (threads.value == 1).all()


def test_a_worker_that_does_not_see_the_store_hands_its_results_over(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the workers stay where they were started
    store = Path("/proc/self/cwd/store")
    result = sweep(partial(square, folder=tmp_path), {"x": POINTS}, store, workers=client)
    assert result.value.values.tolist() == [x * x for x in POINTS]
    assert len(stored(tmp_path)) == len(POINTS)


def meet(x: int, folder: Path) -> int:
    """The first two points end only together."""
    note(folder, "begin", x)
    wait(lambda: x > 1 or {0, 1} <= set(noted(folder, "begin")))
    return os.getpid()


def test_two_processes_work_at_the_same_time(tmp_path):
    met = sweep(partial(meet, folder=tmp_path), {"x": range(4)}, tmp_path / "store", workers=2)
    assert len({*met.value.values.tolist(), os.getpid()}) == 3


# ---- two drivers, interrupts ---------------------------------------------------------------------


def drawn(x: int) -> torch.Tensor:
    return torch.arange(1000.0) * x


def test_two_drivers_at_once_do_not_corrupt_a_store(tmp_path):
    store, grid = tmp_path / "store", {"x": range(40)}
    drive = joblib.delayed(sweep)
    both = joblib.Parallel(2, "loky", max_nbytes=None)(drive(drawn, grid, store) for _ in range(2))
    assert both[0].identical(both[1])
    assert len(stored(tmp_path)) == 40 and not leftovers(tmp_path)
    assert both[0].identical(sweep(drawn, grid, store))  # a damaged file would warn


def overtaken(x: int, folder: Path) -> int:
    """At its first call another driver sweeps the other points."""
    note(folder, "done", x)
    if noted(folder, "done").total() == 1:
        sweep(partial(overtaken, folder=folder), {"x": POINTS[1:]}, folder / "store")
    return x


def test_a_driver_does_not_compute_what_another_has_stored_meanwhile(tmp_path):
    sweep(partial(overtaken, folder=tmp_path), {"x": POINTS}, tmp_path / "store")
    assert noted(tmp_path, "done") == dict.fromkeys(POINTS, 1)


def slow(x: int, folder: Path) -> int:
    note(folder, "done", x)
    time.sleep(0.02)
    return x


def test_two_drivers_share_the_work(tmp_path):
    function, grid = partial(slow, folder=tmp_path), {"x": range(80)}
    drive = joblib.delayed(sweep)
    both = joblib.Parallel(2, "loky")(drive(function, grid, tmp_path / "store") for _ in range(2))
    assert both[0].identical(both[1]) and both[0].value.values.tolist() == [*range(80)]
    assert noted(tmp_path, "done") == dict.fromkeys(range(80), 1) and not leftovers(tmp_path)


def test_what_another_driver_computes_last_is_waited_for_and_done_if_that_driver_dies(tmp_path):
    store = tmp_path / "store"
    call = partial(sweep, partial(gated, folder=tmp_path), {"x": range(3)}, store)
    (tmp_path / "early").touch()
    other = multiprocessing.get_context("forkserver").Process(target=call)
    other.start()

    def die():
        other.kill()
        other.join()
        (tmp_path / "late").touch()

    try:  # it waits at its last point, x = 2
        wait(lambda: len(stored(tmp_path)) == 2 and len(noted(tmp_path, "begin")) == 3)
        threading.Timer(1, die).start()
        assert call().value.values.tolist() == [0, 1, 4]
    finally:
        other.kill()
        other.join()
    assert noted(tmp_path, "begin") == {0: 1, 1: 1, 2: 2}
    assert not leftovers(tmp_path)


class Bar:
    """Stands for tqdm: what was shown, and a hook that runs at every point."""

    shown: list["Bar"] = []

    def __init__(self, hook=lambda: None, **options):
        self.options, self.updates, self.hook = options, 0, hook
        Bar.shown.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self):
        self.updates += 1
        self.hook()


def interrupt():
    raise KeyboardInterrupt


def test_an_interrupt_leaves_whole_results_only_and_the_call_goes_on(tmp_path, monkeypatch):
    store, function = tmp_path / "store", partial(square, folder=tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "tqdm", partial(Bar, interrupt))
        sweep(function, {"x": POINTS}, store)
    assert len(stored(tmp_path)) == noted(tmp_path, "done").total() == 1 and not leftovers(tmp_path)
    assert sweep(function, {"x": POINTS}, store).value.values.tolist() == [x * x for x in POINTS]
    assert noted(tmp_path, "done") == dict.fromkeys(POINTS, 1)


def gated(x: int, folder: Path) -> int:
    """Waits for a gate: that of the first two points opens before that of the others."""
    note(folder, "begin", x)
    wait((folder / ("early" if x < 2 else "late")).exists)
    note(folder, "done", x)
    return x * x


def finish_what_was_begun(client, folder: Path) -> None:
    """Open the gate when the cluster has dropped the points that had not begun, and wait."""

    def queued(dask_worker) -> int:
        return len(dask_worker.state.ready)

    wait(lambda: not any(client.processing().values()) and not any(client.run(queued).values()))
    (folder / "late").touch()
    wait(lambda: len(stored(folder)) == 4)
    assert noted(folder, "begin") == noted(folder, "done") == dict.fromkeys(range(4), 1)


def test_an_interrupt_stops_the_cluster_and_the_call_goes_on(tmp_path, monkeypatch, client):
    def interrupt_with_two_more_running():
        wait(lambda: len(noted(tmp_path, "begin")) == 4)
        raise KeyboardInterrupt

    (tmp_path / "early").touch()
    store, function = tmp_path / "store", partial(gated, folder=tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "tqdm", partial(Bar, interrupt_with_two_more_running))
        sweep(function, {"x": POINTS}, store, workers=client)
    finish_what_was_begun(client, tmp_path)
    assert not leftovers(tmp_path)
    assert sweep(function, {"x": POINTS}, store).value.values.tolist() == [x * x for x in POINTS]
    assert noted(tmp_path, "done") == dict.fromkeys(POINTS, 1)


# ---- killed --------------------------------------------------------------------------------------


def drive(folder: Path, scheduler: str) -> None:
    from dask.distributed import Client

    with Client(scheduler) as client:
        function = partial(gated, folder=folder)
        sweep(function, {"x": POINTS}, folder / "store", workers=client)


def test_kill_9_of_the_driver_loses_nothing(cluster, client, tmp_path):
    """Frozen first, so that the workers finish two points that the driver never hears of."""
    driver = multiprocessing.get_context("forkserver").Process(
        target=drive, args=(tmp_path, cluster.scheduler_address)
    )
    driver.start()
    try:
        wait(lambda: len(noted(tmp_path, "begin")) == 2)
        os.kill(driver.pid, signal.SIGSTOP)
        (tmp_path / "early").touch()
        wait(lambda: len(stored(tmp_path)) == 2 and len(noted(tmp_path, "begin")) == 4)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.join()
    finish_what_was_begun(client, tmp_path)
    result = sweep(partial(gated, folder=tmp_path), {"x": POINTS}, tmp_path / "store")
    assert result.value.values.tolist() == [x * x for x in POINTS]
    assert noted(tmp_path, "begin") == noted(tmp_path, "done") == dict.fromkeys(POINTS, 1)


def deadly(x: int, folder: Path) -> int:
    """The last point kills its worker once, when all others are stored, in the midst of a file."""
    if x == max(POINTS):
        wait(lambda: len(stored(folder)) == len(POINTS) - 1)
        if not (folder / "killed").exists():
            (folder / "killed").touch()
            (folder / "store" / ".mark-1").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    note(folder, "done", x)
    return x * x


def test_kill_9_of_a_process_ends_the_call_and_the_next_one_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Store", partial(Store, mark="mark"))
    call = partial(sweep, partial(deadly, folder=tmp_path), {"x": POINTS}, tmp_path / "store")
    with pytest.raises(TerminatedWorkerError):
        call(workers=2)
    assert not leftovers(tmp_path)
    result = call()
    assert result.value.values.tolist() == [x * x for x in POINTS]
    assert noted(tmp_path, "done") == dict.fromkeys(POINTS, 1)


def test_kill_9_of_a_worker_of_the_cluster_is_made_good(client, tmp_path):
    function = partial(deadly, folder=tmp_path)
    result = sweep(function, {"x": POINTS}, tmp_path / "store", workers=client)
    assert (tmp_path / "killed").exists()
    assert result.value.values.tolist() == [x * x for x in POINTS]
    assert noted(tmp_path, "done") == dict.fromkeys(POINTS, 1)


# ---- resume, damage, other code ------------------------------------------------------------------


def test_a_second_call_computes_nothing_and_a_larger_grid_only_what_is_new(tmp_path):
    call = partial(sweep, partial(square, folder=tmp_path), store=tmp_path / "store")
    first = call(grid={"x": [3, 1]})
    assert call(grid={"x": [3, 1]}).identical(first)
    assert noted(tmp_path, "done") == {3: 1, 1: 1}
    assert call(grid={"x": [1, 2, 3]}).value.values.tolist() == [1, 4, 9]
    assert noted(tmp_path, "done") == {3: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:-1] + b"\1"])
def test_a_damaged_result_is_computed_again_with_a_warning(tmp_path, spoil):
    call = partial(
        sweep, partial(square, folder=tmp_path), {"x": [1.0, 2.0, 3.0]}, tmp_path / "store"
    )
    first = call()
    file = stored(tmp_path)[1]
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.warns(RuntimeWarning, match="damaged.*computed again"):
        assert call().identical(first)
    assert sorted(noted(tmp_path, "done").values()) == [1, 1, 2]
    assert call().identical(first)


def test_results_of_other_code_are_refused_until_told_otherwise(tmp_path, monkeypatch):
    store, grid = tmp_path / "store", {"x": [1, 2]}
    sweep(lambda x: x, grid, store)
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"function was .*lambda.* is .*on_change=\"recompute\""
        ):
            sweep(lambda x: 2 * x, grid, store)
    assert sweep(lambda x: x, grid, store).value.values.tolist() == [1, 2]  # nothing was touched
    changed = sweep(lambda x: 2 * x, grid, store, on_change="recompute")
    assert changed.value.values.tolist() == [2, 4]
    assert sweep(lambda x: 2 * x, grid, store).identical(changed)
    monkeypatch.setitem(packages(), "torch", "0.1")
    with pytest.raises(ValueError, match=r"torch was \d.*, is 0\.1"):
        sweep(lambda x: 2 * x, grid, store)


def test_another_number_of_threads_is_other_code(tmp_path):
    sweep(lambda x: x, {"x": [1]}, tmp_path)
    with pytest.raises(ValueError, match="threads was 1, is 2"):
        sweep(lambda x: x, {"x": [1]}, tmp_path, threads=2)


def test_another_default_dtype_is_other_code(tmp_path):
    sweep(lambda x: x, {"x": [1]}, tmp_path)
    torch.set_default_dtype(torch.float64)
    with pytest.raises(ValueError, match="default dtype was torch.float32"):
        sweep(lambda x: x, {"x": [1]}, tmp_path)


def test_a_worker_with_other_packages_is_refused(client, tmp_path, monkeypatch):
    monkeypatch.setitem(packages(), "numpy", "0.1")  # here, not on the workers
    with pytest.raises(RuntimeError, match=r"other code: numpy was 0\.1, is"):
        sweep(partial(square, folder=tmp_path), {"x": [1]}, tmp_path / "store", workers=client)
    assert not noted(tmp_path, "done")


# ---- failures ------------------------------------------------------------------------------------


def fragile(x: int, folder: Path) -> int:
    note(folder, "done", x)
    if x in (1, 4) and not (folder / "mended").exists():
        raise ZeroDivisionError(f"no luck with {x}")
    return x


def test_points_that_fail_are_named_once_the_others_are_stored_and_only_they_are_repeated(tmp_path):
    call = partial(sweep, partial(fragile, folder=tmp_path), {"x": POINTS}, tmp_path / "store")
    with pytest.raises(RuntimeError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith("2 of 6 points failed")
    for x in POINTS:
        assert (f"{{'x': {x}}}: ZeroDivisionError: no luck with {x}" in message) == (x in (1, 4))
    assert message.count("Traceback") == 1
    assert len(stored(tmp_path)) == 4
    (tmp_path / "mended").touch()
    assert call().value.values.tolist() == list(POINTS)
    assert noted(tmp_path, "done") == {x: 1 + (x in (1, 4)) for x in POINTS}


def test_a_point_whose_workers_all_died_is_named(client, tmp_path, monkeypatch):
    """On a cluster that has given the point up, as Dask does after three deaths."""

    def give_up(task, numbers, points, wait, key):
        futures = [client.submit(len, points, key=name) for name in key]
        client.cancel(futures)
        return futures

    monkeypatch.setattr(client, "map", give_up)
    with pytest.raises(RuntimeError, match="'x': 7.*Cancelled"):
        sweep(lambda x: x, {"x": [7]}, tmp_path, workers=client)


def test_results_of_unlike_shapes_are_refused_at_the_first(tmp_path):
    def ragged(x):
        note(tmp_path, "done", x)
        return torch.ones(x)

    with pytest.raises(ValueError, match=r"\(1,\).*'x': 1.*\(2,\).*'x': 2"):
        sweep(ragged, {"x": [1, 2, 3]}, tmp_path / "store")
    assert noted(tmp_path, "done") == {1: 1, 2: 1}
    with pytest.raises(ValueError, match="same shapes"):  # those in the store too
        sweep(ragged, {"x": [2, 1]}, tmp_path / "store")


# ---- progress, arguments, optional packages ------------------------------------------------------


def test_progress_counts_what_is_stored_and_can_be_turned_off(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "tqdm", Bar)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    Bar.shown.clear()
    sweep(lambda x: x, {"x": [1, 2]}, tmp_path)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    sweep(lambda x: x, {"x": [1, 2, 3]}, tmp_path)
    counts = [(b.options["total"], b.options["initial"], b.updates) for b in Bar.shown]
    assert counts == [(2, 0, 2), (3, 2, 1)]
    assert [b.options["disable"] for b in Bar.shown] == [False, True]
    assert all(b.options["delay"] >= 1 for b in Bar.shown)  # nothing to see of short work


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        ({}, "at least one axis"),
        ({"x": []}, "x must have values"),
        ({"x": [1, 2, 1.0]}, "must not repeat"),
        ({"x": [1.0, float("nan")]}, "must be finite"),
        ({"x": np.array([np.inf])}, "must be finite"),
        ({"x": "abc"}, "list of values"),
        ({"x": torch.tensor(3.0)}, "list of values"),
        ({"x": [None]}, "numbers or words"),
        ({"x": [[1, 2]]}, "numbers or words"),
        ({"x": [1, "1"]}, "not both"),
        ({"y": [1]}, "arguments of the function"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(tmp_path, grid, problem):
    with pytest.raises(ValueError, match=problem):
        sweep(lambda x: x, grid, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"workers": 0}, "workers must be at least 1"),
        ({"workers": -1}, "workers"),
        ({"workers": True}, "workers"),
        ({"workers": "two"}, "a number or a dask Client"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"on_change": "ignore"}, 'on_change must be "refuse"'),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, problem):
    with pytest.raises(ValueError, match=problem):
        sweep(lambda x: x, {"x": [1]}, tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


def test_what_is_not_an_array_is_refused_by_name(tmp_path):
    with pytest.raises(RuntimeError, match=r"'x': 1.*numbers, got nothing"):
        sweep(lambda x: None, {"x": [1]}, tmp_path / "nothing")
    with pytest.raises(RuntimeError, match=r"'x': 1.*(?i:object)"):
        sweep(lambda x: object(), {"x": [1]}, tmp_path / "object")


@pytest.mark.parametrize(
    ("result", "name"),
    [
        ({"x": 1, "x_result": 2}, "x_result"),
        ({1: 1, "1": 2}, "1"),
        ({"a": {"b": 1}, "a_b": 2}, "a_b"),
        ({"a": np.zeros(2), "a_0": 1}, "a_0"),
        ({"y": np.zeros((1, 2)), "y_result_1": 1, "y_1": 2}, "y_1"),
    ],
)
def test_no_field_takes_the_place_of_another(tmp_path, result, name):
    with pytest.raises(RuntimeError, match=rf"names of their own, but {name} would"):
        sweep(lambda x: result, {"x": [1]}, tmp_path)
    assert not list(tmp_path.glob("*.point"))


def test_no_axis_takes_the_place_of_that_of_a_result(tmp_path):
    with pytest.raises(RuntimeError, match="but value_0 would"):
        sweep(lambda value_0: np.zeros(2), {"value_0": [1]}, tmp_path)


@pytest.mark.filterwarnings("ignore:.*have been cancelled:UserWarning")  # joblib, of the others
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_stops_the_sweep_and_keeps_what_is_there(tmp_path, monkeypatch, workers):
    call = partial(sweep, partial(quota, folder=tmp_path), {"x": range(12)}, tmp_path / "store")
    monkeypatch.setattr(Store, "_write", limited)  # of this process; ``quota`` does it elsewhere
    with pytest.raises(OSError, match=r"must take the results, got 'No space.*'x': .*stored") as e:
        call(workers=workers)
    assert e.value.errno == errno.ENOSPC
    assert len(stored(tmp_path)) == 3 and not leftovers(tmp_path)
    assert noted(tmp_path, "done").total() <= 4 + 2 * workers  # and not all of the twelve
    (tmp_path / "store" / "more room").touch()
    assert call().value.values.tolist() == [*range(12)]
    assert all(noted(tmp_path, "done")[float(x)] >= 1 for x in range(12))


WRITE = Store._write


def limited(store: Store, file: Path, data: bytes) -> None:
    """A disk that has room for three results."""
    results = len(list(file.parent.glob("*.point")))
    if results >= 3 and file.suffix == ".point" and not (file.parent / "more room").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    WRITE(store, file, data)


def quota(x: int, folder: Path) -> int:
    Store._write = limited
    note(folder, "done", x)
    time.sleep(0.1)
    return x


def reading(x: int, file: Path) -> float:
    return x * float(np.load(file).sum()) + float(Path(os.devnull).read_bytes() == b"")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("workers", [1, 2])
def test_files_that_the_function_reads_are_named(tmp_path, workers):
    np.save(tmp_path / "data.npy", np.ones(3))
    call = partial(sweep, partial(reading, file=tmp_path / "data.npy"), store=tmp_path / "store")
    with pytest.warns(RuntimeWarning, match="will not be noticed: .*data.npy$") as caught:
        call({"x": range(3)}, workers=workers)
    assert len(caught) == 1  # for all points
    call({"x": range(3)})  # nothing is computed, nothing is read
    sweep(lambda x: len(note(tmp_path, "done", x) or "none"), {"x": [1]}, tmp_path / "other")


def test_a_finished_store_is_read_from_a_disk_that_cannot_be_written(tmp_path, monkeypatch):
    call = partial(sweep, partial(square, folder=tmp_path), {"x": POINTS}, tmp_path / "store")
    first = call()

    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", read_only)
    for name in ("unlink", "rename", "touch"):
        monkeypatch.setattr(Path, name, read_only)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    assert call().identical(first)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()} == before


@pytest.mark.parametrize("name", ["joblib", "xarray", "dask.distributed"])
def test_without_the_optional_packages_a_call_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    workers = "a client" if name.startswith("dask") else 1
    with pytest.raises(ImportError, match=rf"{name}.*pip install '.\[sweep\]'"):
        sweep(lambda x: x, {"x": [1]}, tmp_path, workers=workers)


def test_importing_the_package_imports_no_optional_package():
    root = Path(module.__file__).parents[1]
    for path in root.rglob("*.py"):
        for node in ast.parse(path.read_text("utf8")).body:
            names = [alias.name for alias in getattr(node, "names", [])]
            names.append(getattr(node, "module", None) or "")
            assert not [n for n in names if n.split(".")[0] in ("joblib", "xarray", "dask")], path
