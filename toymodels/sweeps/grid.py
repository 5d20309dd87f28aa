"""A function swept over a grid, on one machine or on many, with every finished point on disk.

    point    one value for each axis of the grid; the function takes them by name
    store    a folder that keeps the result of each point, and of which code it is
    workers  1 is this process, n are n processes, a ``dask.distributed.Client`` is a cluster

A point should be a whole batch, seconds to hours of work: an ensemble, a curve. The grid is for
what no batch can hold: widths, depths, horizons, more members than fit into memory.

Needs joblib, xarray and, for a cluster, dask: ``pip install toymodels[sweep]``. Nothing else in the
package imports them.
"""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from inspect import signature
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from toymodels.numerics.draws import whole_number
from toymodels.sweeps.fingerprint import differences, fingerprint, packages
from toymodels.sweeps.store import Fields, Point, Store

Outcome = tuple[int, Fields, str]  # number of the point, its result, what went wrong if it did


def sweep(
    function: Callable,
    grid: Mapping[str, Iterable],
    store: Path | str,
    *,
    workers: Any = 1,
    threads: int = 1,
    on_change: str = "refuse",
    progress: bool | None = None,
) -> "xarray.Dataset":
    """``function(**point)`` at every point of ``grid``; what ``store`` holds is not computed again.

    ``grid`` maps names to numbers or words. ``function`` returns a number, an array, a tensor, or
    a dict or record of them, with the same shapes everywhere. The Dataset has the axes of ``grid``,
    then those of the result: ``strength_0``, ``strength_1`` for a field ``strength``, to be renamed
    at will. A bare result is called ``value``; a field named like an axis gets the ending
    ``_result``.

    A point has the same numbers wherever it is computed: it gets the caller's default dtype and
    ``threads`` threads of torch, for sums round differently with another number of them. All draws
    must follow from a seed, an axis of the grid or an argument. One seed for all points means
    common random numbers: neighbours differ by their physics and share their luck. For independent
    points let the seed, or the purpose of the draws, depend on the point.

    Whatever kills this process or a worker, finished points stay, and the same call goes on from
    there. A cluster replaces a lost worker by itself; a lost process ends the call with joblib's
    error. Damaged files are computed again, with a warning. Several calls may share a store. Code
    counts as in ``fingerprint``; ``on_change`` = "recompute" discards results of other code.
    A progress bar appears on long work unless ``progress`` is False or TQDM_DISABLE is set.
    A script with workers needs ``if __name__ == "__main__":``.

    Raises ValueError on a grid that is empty, repeats itself or does not fit the function, on a
    store of other code, and on results of unlike shapes; RuntimeError when points failed, once the
    others are stored; ImportError without the optional packages.
    """
    _require("joblib", "xarray")
    axes = _check_grid(function, grid)
    _check_workers(workers, threads)
    dtype = torch.get_default_dtype()
    code = fingerprint(function) | {"default dtype": str(dtype)}
    task = _Task(function, Store(Path(store).absolute(), code), dtype, threads)
    task.store.open(on_change=on_change)
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    try:
        results, failed = _compute(task, points, workers, progress)
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

    def __call__(self, number: int, point: Point) -> Outcome:
        try:
            here = packages()
            expected = {name: self.store.code[name] for name in here}
            if changed := differences(expected, here):
                raise RuntimeError(f"this worker runs other code: {'; '.join(changed)}")
            # asked once more: by now another driver may have it, or a worker that never reported
            result = self.store.load(point)
            if result is None:
                torch.set_default_dtype(self.dtype)
                torch.set_num_threads(self.threads)
                result = _flatten(self.function(**point))
                if not result:
                    raise ValueError("the function must return numbers, got nothing")
                if self.store.folder.is_dir():  # a worker in the cloud may not see it
                    self.store.save(point, result)
            return number, result, ""
        except Exception:
            return number, {}, traceback.format_exc()


def _compute(
    task: _Task, points: list[Point], workers: Any, progress: bool | None
) -> tuple[dict[int, Fields], dict[int, str]]:
    """Results, loaded or computed, and tracebacks, each by the number of its point."""
    loaded = {number: task.store.load(point) for number, point in enumerate(points)}
    results = {number: result for number, result in loaded.items() if result is not None}
    missing = {number: points[number] for number in loaded if number not in results}
    failed = {}
    for number in results:
        _check_alike(points, results, number)
    if progress is None:  # tqdm's notebook bar itself overlooks this variable
        progress = not os.environ.get("TQDM_DISABLE")
    with (
        tqdm(
            total=len(points),
            initial=len(results),
            desc="sweep",
            unit="point",
            delay=3,
            disable=not progress,
        ) as bar,
        closing(_outcomes(task, missing, workers)) as outcomes,
    ):
        for number, result, problem in outcomes:
            if problem:
                failed[number] = problem
            else:
                results[number] = result
                _check_alike(points, results, number)
                if task.store.load(points[number]) is None:  # its worker could not write it
                    task.store.save(points[number], result)
            bar.update()
    return results, failed


def _outcomes(task: _Task, missing: dict[int, Point], workers: Any) -> Iterator[Outcome]:
    """Compute the missing points, in any order. Closing it gives up those that have not begun."""
    start = _in_processes if isinstance(workers, int) else _on_cluster
    return start(task, missing, workers)


def _restoring(task: _Task, number: int, point: Point) -> Outcome:
    """Leave this process as it was: joblib uses its processes again, for whatever comes next."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        return task(number, point)
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def _in_processes(task: _Task, missing: dict[int, Point], processes: int) -> Iterator[Outcome]:
    """In ``processes`` processes; one is this process itself."""
    import joblib

    # joblib would bundle points that begin quick and grow slow, as along an axis of widths; its
    # memory maps are read-only arrays, so that a function might fail in a process only
    parallel = joblib.Parallel(
        processes, "loky", return_as="generator_unordered", batch_size=1, max_nbytes=None
    )
    yield from parallel(joblib.delayed(_restoring)(task, *each) for each in missing.items())


def _on_cluster(task: _Task, missing: dict[int, Point], client: Any) -> Iterator[Outcome]:
    from dask.distributed import as_completed

    number = {f"point-{task.store.mark}-{n}": n for n in missing}
    futures = client.map(task, list(missing), list(missing.values()), key=list(number))
    try:
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except Exception as lost:  # tasks never raise: the workers that had it died
                outcome = number[future.key], {}, repr(lost)
            future.release()  # or else the cluster keeps all results until the end
            yield outcome
    finally:
        client.cancel(futures)


def _flatten(value: object, *names: str) -> Fields:
    """What a function returned as arrays by name; parts of parts have names with underscores."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        parts = [_flatten(part, *names, str(name)) for name, part in value.items()]
        return {name: array for part in parts for name, array in part.items()}
    if value is None:  # a field that this record leaves out
        return {}
    array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
    return {"_".join(names) or "value": array}


def _dataset(axes: dict[str, list], results: list[Fields], code: Mapping) -> "xarray.Dataset":
    import xarray

    shape = tuple(map(len, axes.values()))
    variables = {}
    for name in results[0]:
        stack = np.stack([result[name] for result in results])
        label = f"{name}_result" if name in axes else name
        inner = [f"{label}_{k}" for k in range(stack.ndim - 1)]
        variables[label] = ((*axes, *inner), stack.reshape(shape + stack.shape[1:]))
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
    if len(set(plain)) < len(plain):
        raise ValueError(f"the axis {name} must not repeat a value, got {plain}")
    return plain


def _check_workers(workers: Any, threads: int) -> None:
    if whole_number(threads, "threads") < 1:
        raise ValueError("threads must be at least 1, got 0: nothing would compute")
    if isinstance(workers, int):
        if whole_number(workers, "workers") < 1:
            raise ValueError("workers must be at least 1, got 0: nothing would compute")
        return
    _require("dask.distributed")
    from dask.distributed import Client

    if not isinstance(workers, Client):
        raise ValueError(f"workers must be a number or a dask Client, got {workers!r}")


def _require(*packages: str) -> None:
    for name in packages:
        try:
            import_module(name)
        except ModuleNotFoundError as missing:
            raise ImportError(f"a sweep needs {name}: pip install toymodels[sweep]") from missing
