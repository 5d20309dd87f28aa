"""A function swept over a grid, on one machine or on many, with every finished point on disk.

    point    one value for each axis of the grid; the function takes them by name
    store    a folder that keeps the result of each point, and of which code it is
    workers  1 is this process, n are n processes, a ``dask.distributed.Client`` is a cluster

A point should be a whole batch, seconds to hours of work: an ensemble, a curve. The grid is for
what no batch can hold: widths, depths, horizons, more members than fit into memory.

Needs joblib, xarray and, for a cluster, dask, the extra ``sweep`` of this package. Nothing else in
the package imports them.
"""

import os
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from inspect import signature
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from toymodels.numerics.door import shown
from toymodels.numerics.draws import whole_number
from toymodels.sweeps.fingerprint import files_read, fingerprint, other_packages
from toymodels.sweeps.store import Fields, Point, Store


class Outcome(NamedTuple):
    """What became of a point: a result, a traceback, or neither while another computes it."""

    number: int
    result: Fields | None = None
    problem: str = ""
    files: frozenset[str] = frozenset()  # of the user's, that the function read


def sweep(
    function: Callable,
    grid: Mapping[str, Iterable],
    store: Path | str,
    *,
    workers: Any = 1,
    threads: int = 1,
    on_change: str = "refuse",
) -> "xarray.Dataset":
    """``function(**point)`` at every point of ``grid``; what ``store`` holds is not computed again.

    ``grid`` maps names to numbers or words. ``function`` returns a number, an array, a tensor, or
    a dict or record of them, with the same shapes everywhere. The Dataset has the axes of ``grid``,
    then those of the result: ``strength_0``, ``strength_1`` for a field ``strength``, to be renamed
    at will. A bare result is called ``value``; a field named like an axis gets the ending
    ``_result``.

    A point gets the caller's default dtype and ``threads`` threads of torch wherever it is
    computed. Sums round differently with another number of threads, and on another kind of
    processor: dtype and threads count as code, the processor does not. All draws must follow from
    a seed, an axis of the grid or an argument. One seed for all points means common random numbers:
    neighbours differ by their physics and share their luck. For independent points let the seed, or
    the purpose of the draws, depend on the point.

    Whatever kills this process or a worker, finished points stay, and the same call goes on from
    there. A cluster replaces a lost worker by itself; a lost process ends the call with joblib's
    error. Damaged files are computed again, with a warning. Several calls may share a store and
    its work: none computes a point while another does, but waits for it at the end, where the disk
    can lock files. A finished store may be read-only. Code counts as in ``fingerprint``, which says
    what it cannot see; a warning names the files that the function read. ``on_change`` =
    "recompute" discards results of other code. A progress bar appears on long work unless
    TQDM_DISABLE is set. A script with workers needs ``if __name__ == "__main__":``.

    Raises ValueError on a grid that is empty, repeats itself or does not fit the function, on a
    store of other code, and on results of unlike shapes; RuntimeError when points failed, once the
    others are stored; OSError when the first result cannot be written; ImportError without the
    optional packages.
    """
    _require("joblib", "xarray")
    axes = _check_grid(function, grid)
    workers = _checked_workers(workers, threads)
    if not isinstance(store, str | os.PathLike):
        raise ValueError(f"store must be the name of a folder, got {shown(store)}")
    dtype = torch.get_default_dtype()
    code = fingerprint(function) | {"default dtype": str(dtype), "threads": str(threads)}
    task = _Task(function, Store(Path(store).absolute(), code), dtype, threads)
    task.store.open(on_change=on_change)
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    try:
        results, failed = _compute(task, points, workers)
    finally:
        task.store.tidy()
    if failed:
        lines = [
            f"{points[number]}: {problem.splitlines()[-1]}" for number, problem in failed.items()
        ]
        raise RuntimeError(
            f"{len(failed)} of {len(points)} points failed. The others are stored: the same call "
            "computes only these again.\n" + "\n".join(lines + list(failed.values())[:1])
        )
    return _dataset(axes, [results[number] for number in range(len(points))], code)


@dataclass(frozen=True)
class _Task:
    """What travels to a worker. Calling it computes and stores a point, and never raises.

    The default dtype and the threads stay as it sets them: a worker of a cluster may run several
    tasks at once, and they share these settings.
    """

    function: Callable
    store: Store
    dtype: torch.dtype
    threads: int

    def __call__(self, number: int, point: Point, wait: bool) -> Outcome:
        try:
            if changed := other_packages(self.store.code):
                raise RuntimeError(f"this worker runs other code: {'; '.join(changed)}")
            with self.store.claim(point, wait=wait) as granted:
                # asked once more: by now another driver may have it, or a worker that was lost
                result = self.store.load(point)
                if result is not None or not granted:
                    return Outcome(number, result)
                with files_read() as files:
                    result = self.compute(point)
                with suppress(OSError):  # one in the cloud may not see the disk: the driver writes
                    self.store.save(point, result)
            return Outcome(number, result, files=frozenset(files))
        except Exception:
            return Outcome(number, problem=traceback.format_exc())

    def compute(self, point: Point) -> Fields:
        torch.set_default_dtype(self.dtype)
        torch.set_num_threads(self.threads)
        result = _named(self.function(**point), point)
        if not result:
            raise ValueError("the function must return numbers, got nothing")
        return result


def _compute(
    task: _Task, points: list[Point], workers: Any
) -> tuple[dict[int, Fields], dict[int, str]]:
    """Results, loaded or computed, and tracebacks, each by the number of its point."""
    loaded = {number: task.store.load(point) for number, point in enumerate(points)}
    results = {number: result for number, result in loaded.items() if result is not None}
    missing = {number: points[number] for number in loaded if number not in results}
    failed, files = {}, set()
    for number in results:
        _check_alike(points, results, number)
    with tqdm(
        total=len(points),
        initial=len(results),
        desc="sweep",
        unit="point",
        delay=3,
        disable=bool(os.environ.get("TQDM_DISABLE")),  # tqdm's bar for notebooks overlooks it
    ) as bar:
        for wait in (False, True):  # at first for nobody, then for what other drivers compute
            with closing(_outcomes(task, missing, workers, wait)) as outcomes:
                for number, result, problem, seen in outcomes:
                    files |= seen
                    if problem:
                        failed[number] = problem
                    elif result is not None:
                        results[number] = result
                        _check_alike(points, results, number)
                        _keep(task.store, points[number], result, len(results))
                    else:
                        continue
                    del missing[number]
                    bar.update()
    _warn_of(files)
    return results, failed


def _keep(store: Store, point: Point, result: Fields, found: int) -> None:
    """Write what its worker could not. Raises OSError: to compute more would be for nothing."""
    if store.load(point) is None:
        try:
            store.save(point, result)
        except OSError as problem:
            raise OSError(
                problem.errno,
                f"{store.folder} must take the results, got {problem.strerror!r}: the sweep stops, "
                f"the result at {point} is lost and {found - 1} before it are stored. Make room "
                "and call again",
            ) from problem


def _warn_of(files: set[str]) -> None:
    if files:
        warnings.warn(
            "the function reads files, and changes of their contents will not be noticed: "
            f"{', '.join(sorted(files))}",
            RuntimeWarning,
            stacklevel=4,
        )


def _outcomes(
    task: _Task, missing: dict[int, Point], workers: Any, wait: bool
) -> Iterator[Outcome]:
    """Compute the missing points, in any order. Closing it gives up those that have not begun."""
    if not missing:
        return
    start = _in_processes if isinstance(workers, int) else _on_cluster
    yield from start(task, dict(missing), workers, wait)


def _restoring(task: _Task, number: int, point: Point, wait: bool) -> Outcome:
    """Leave this process as it was: joblib uses its processes again, for whatever comes next."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        return task(number, point, wait)
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def _in_processes(
    task: _Task, missing: dict[int, Point], processes: int, wait: bool
) -> Iterator[Outcome]:
    """In ``processes`` processes; one is this process itself."""
    import joblib

    # joblib would bundle points that begin quick and grow slow, as along an axis of widths; its
    # memory maps are read-only arrays, so that a function might fail in a process only
    parallel = joblib.Parallel(
        processes, "loky", return_as="generator_unordered", batch_size=1, max_nbytes=None
    )
    yield from parallel(joblib.delayed(_restoring)(task, *each, wait) for each in missing.items())


def _on_cluster(
    task: _Task, missing: dict[int, Point], client: Any, wait: bool
) -> Iterator[Outcome]:
    from dask.distributed import as_completed

    number = {f"point-{task.store.mark}-{n}-{wait}": n for n in missing}
    futures = client.map(
        task, list(missing), list(missing.values()), [wait] * len(missing), key=list(number)
    )
    try:
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except Exception as lost:  # tasks never raise: the workers that had it died
                outcome = Outcome(number[future.key], problem=repr(lost))
            future.release()  # or else the cluster keeps all results until the end
            yield outcome
    finally:
        client.cancel(futures)


def _named(value: object, point: Point) -> Fields:
    """Arrays by the names that they get in the Dataset, where all names must differ."""
    parts = [(f"{k}_result" if k in point else k, array) for k, array in _flatten(value)]
    inner = [f"{name}_{k}" for name, array in parts for k in range(array.ndim)]
    count = Counter([*point, *(name for name, _ in parts), *inner])
    if twice := [name for name, times in count.items() if times > 1]:
        raise ValueError(
            f"axes and fields must have names of their own, but {', '.join(twice)} would stand for "
            "two of them: give a field another name"
        )
    return dict(parts)


def _flatten(value: object, *names: str) -> Iterator[tuple[str, np.ndarray]]:
    """What a function returned as arrays; parts of parts have names with underscores."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flatten(part, *names, str(name))
    elif value is not None:  # a field that this record leaves out
        array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
        yield "_".join(names) or "value", array


def _dataset(axes: dict[str, list], results: list[Fields], code: Mapping) -> "xarray.Dataset":
    import xarray

    shape = tuple(map(len, axes.values()))
    variables = {}
    for name in results[0]:
        stack = np.stack([result[name] for result in results])
        inner = [f"{name}_{k}" for k in range(stack.ndim - 1)]
        variables[name] = ((*axes, *inner), stack.reshape(shape + stack.shape[1:]))
    return xarray.Dataset(variables, coords=axes, attrs=dict(code))


def _check_alike(points: list[Point], results: dict[int, Fields], number: int) -> None:
    first = next(iter(results))
    old, new = ({k: x.shape for k, x in results[n].items()} for n in (first, number))
    if old != new:
        raise ValueError(
            f"results must have the same shapes at all points, got {old} at {points[first]} and "
            f"{new} at {points[number]}: return what they have in common"
        )


def _check_grid(function: Callable, grid: Mapping[str, Iterable]) -> dict[str, list]:
    """The axes as lists of Python's own numbers and words, so that equal points look equal."""
    if not isinstance(grid, Mapping):
        raise ValueError(f"grid must map names to their values, got {shown(grid)}")
    if not grid:
        raise ValueError("grid must have at least one axis, got none")
    axes = {name: _check_axis(name, values) for name, values in grid.items()}
    try:
        signature(function).bind(**axes)
    except TypeError as problem:
        raise ValueError(f"grid must name the arguments of the function: {problem}") from None
    return axes


def _check_axis(name: str, values: Iterable) -> list:
    plain = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(plain, str) or not isinstance(plain, Iterable):
        raise ValueError(f"the axis {name} must be a list of values, got {values!r}")
    plain = [value.item() if hasattr(value, "item") else value for value in plain]
    if not plain:
        raise ValueError(f"the axis {name} must have values, got none")
    for value in plain:
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"the axis {name} must hold numbers or words, got {value!r}")
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"the axis {name} must be finite, got {value!r}")
    if len({isinstance(value, str) for value in plain}) > 1:
        raise ValueError(f"the axis {name} must hold numbers or words, not both, got {plain}")
    if len(set(plain)) < len(plain):
        raise ValueError(f"the axis {name} must not repeat a value, got {plain}")
    return plain


def _checked_workers(workers: Any, threads: int) -> Any:
    """``workers`` as a number of Python's, or the client of a cluster."""
    whole_number(threads, "threads", 1, "nothing would compute")
    if hasattr(workers, "__index__"):  # NumPy's numbers have it too
        count = whole_number(workers, "workers")
        if count < 1:
            raise ValueError("workers must be at least 1, got 0: nothing would compute")
        return count
    _require("dask.distributed")
    from dask.distributed import Client

    if not isinstance(workers, Client):
        raise ValueError(f"workers must be a number or a dask Client, got {shown(workers)}")
    return workers


def _require(*packages: str) -> None:
    for name in packages:
        try:
            import_module(name)
        except ModuleNotFoundError as missing:
            raise ImportError(
                f"a sweep needs {name}: in a copy of the sources, pip install '.[sweep]'"
            ) from missing
