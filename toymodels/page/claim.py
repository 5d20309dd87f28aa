"""A sentence of the book that a machine checks: a prediction, a measurement and a tolerance.

A claim that fails raises AssertionError, so a chapter whose sentence stops being true cannot be
built. A claim that could not fail is refused with ValueError. Every claim prints one line and
leaves a record in the executed notebook, from which the build makes the ledger of all claims.
"""

import math
from dataclasses import asdict, dataclass
from numbers import Real

import numpy as np
from torch import Tensor

MIME = "application/vnd.toymodels.claim+json"
Value = Real | Tensor | np.ndarray | list


@dataclass(frozen=True)
class Record:
    """One line of the ledger. Of an array it holds the entry that deviates most."""

    name: str
    predicted: float
    measured: float
    error: float | None  # standard error of ``measured``
    deviation: float  # |measured - predicted| in units of ``scale``
    scale: str  # "standard errors", "relative" or "absolute"
    within: float | int | None  # largest deviation allowed
    beyond: float | int | None  # deviation that must be exceeded, where a model is shown to fail
    null: float | None  # what would be measured if the model were wrong
    n: int | None
    seeds: int | None
    source: str | None

    def __str__(self) -> str:
        bound = f"allowed {self.in_units(self.within)}" if self.beyond is None else ""
        bound = bound or f"more than {self.in_units(self.beyond)}, as it must"
        counts = [f"n = {self.n}"] * (self.n is not None)
        counts += [f"{self.seeds} seeds"] * (self.seeds is not None)
        error = "" if self.error is None else f" ± {self.error:.2g}"
        facts = "; ".join([f"deviation {self.in_units(self.deviation)}", bound, *counts])
        mark = "✓" if self.beyond is None else "≠"
        return (
            f"{mark} {self.name}: predicted {self.predicted:.6g}, "
            f"measured {self.measured:.6g}{error} ({facts})"
        )

    def in_units(self, deviation: float | int) -> str:
        """A deviation as a reader wants it: in standard errors, per cent, or plainly."""
        if self.scale == "standard errors":
            return f"{deviation:.2g} standard errors"
        if self.scale in ("relative", "of the scale") and deviation >= 1e-4:
            return f"{100 * deviation:.2g} %" + " of the scale" * (self.scale != "relative")
        return f"{deviation:.1e} {self.scale}"


def claim(
    name: str,
    predicted: Value,
    measured: Value,
    *,
    error: Value | None = None,
    within: float | int,
    scale: Value | None = None,
    null: Value | None = None,
    n: int | None = None,
    seeds: int | None = None,
    source: str | None = None,
) -> None:
    """Assert that ``measured`` equals ``predicted`` up to ``within``, and put it on record.

    The deviation is |measured - predicted| / ``scale``. Without a ``scale`` it counts standard
    errors when there is an ``error``, else it is relative to the prediction. ``scale`` = 1 makes
    it absolute, ``scale`` = ``predicted`` relative in spite of an error bar. ``null`` is the
    value to expect if the model were wrong. Arrays are compared entry by entry.

    Raises AssertionError when the deviation is larger, ValueError on NaN, on a stochastic value
    (``seeds`` or ``n`` > 1 given) without ``error``, on an error bar too large for the
    tolerance, and on a tolerance that would accept ``null``.
    """
    _check_tolerance("within", within)
    record = _compare(name, predicted, measured, error, scale, within, None, null, n, seeds, source)
    if record.deviation > within:
        raise AssertionError(f"claim failed. {record}")
    _publish(record)


def departs(
    name: str,
    predicted: Value,
    measured: Value,
    *,
    error: Value | None = None,
    beyond: float | int,
    scale: Value | None = None,
    n: int | None = None,
    seeds: int | None = None,
    source: str | None = None,
) -> None:
    """Assert that the model fails: that the deviation exceeds ``beyond``, in every entry.

    Arguments and refusals as in ``claim``.
    """
    _check_tolerance("beyond", beyond)
    record = _compare(name, predicted, measured, error, scale, None, beyond, None, n, seeds, source)
    if record.deviation <= beyond:
        raise AssertionError(f"the model did not fail where it should. {record}")
    _publish(record)


def _compare(
    name, predicted, measured, error, scale, within, beyond, null, n, seeds, source
) -> Record:
    if error is None and (seeds is not None or (n or 1) > 1):
        raise ValueError(f"{name}: a stochastic value (seeds={seeds}, n={n}) must have an error")
    if not name.strip():
        raise ValueError("a claim must have a name that says what it claims")
    p, m = _numbers(name, "predicted", predicted), _numbers(name, "measured", measured)
    e = None if error is None else _numbers(name, "error", error)
    if e is not None and not (e > 0).all():
        raise ValueError(f"{name}: error must be positive, got {e.min():g}")
    unit, units = _scale(name, p, e, scale)
    p, m, units, *rest = np.broadcast_arrays(p, m, units, *([e] if e is not None else []))
    deviation = np.abs(m - p) / units
    # the worst entry: the largest deviation where agreement is claimed, else the smallest
    worst = np.unravel_index(
        (np.argmax if beyond is None else np.argmin)(deviation), deviation.shape
    )
    if null is not None:
        _refuse_null(name, p, units, null, within)
    if rest and unit != "standard errors" and within is not None:
        _refuse_blunt(name, rest[0] / units, within)
    return Record(
        name=name,
        predicted=float(p[worst]),
        measured=float(m[worst]),
        error=float(rest[0][worst]) if rest else None,
        deviation=float(deviation[worst]),
        scale=unit,
        within=within,
        beyond=beyond,
        null=None if null is None else float(np.ravel(_numbers(name, "null", null))[0]),
        n=n,
        seeds=seeds,
        source=source,
    )


def _scale(name: str, p: np.ndarray, e: np.ndarray | None, scale) -> tuple[str, np.ndarray]:
    if scale is None:
        unit, units = ("relative", np.abs(p)) if e is None else ("standard errors", e)
    else:
        units = np.abs(_numbers(name, "scale", scale))
        unit = "relative" if np.array_equal(units, np.abs(p)) else "absolute"
        if unit == "absolute" and not (units == 1).all():
            unit = "of the scale"
    if not (units > 0).all():
        raise ValueError(f"{name}: scale must be positive, got 0: a prediction of 0 needs scale=")
    return unit, units


def _refuse_null(name: str, p: np.ndarray, units: np.ndarray, null, within: float | int) -> None:
    gap = np.abs(_numbers(name, "null", null) - p) / units
    if (gap <= within).all():
        raise ValueError(
            f"{name}: the tolerance {within:g} would also accept the null value {null}, which lies "
            f"{gap.max():.2g} away: a wrong model would pass"
        )


def _refuse_blunt(name: str, error: np.ndarray, within: float | int) -> None:
    if (error > within).any():
        raise ValueError(
            f"{name}: the standard error {error.max():.2g} exceeds the tolerance {within:g}, "
            "both in units of the scale: take more seeds"
        )


def _check_tolerance(word: str, value: object) -> None:
    if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
        raise ValueError(f"{word} must be a positive number, got {value!r}")


def _numbers(name: str, what: str, value: Value) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    numbers = np.atleast_1d(np.asarray(value, dtype=float))
    if numbers.size == 0 or not np.isfinite(numbers).all():
        raise ValueError(f"{name}: {what} must be finite numbers, got {value}")
    return numbers


def _publish(record: Record) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(record)
        return
    # six digits: the last ones differ between machines, and the ledger would never be the same
    facts = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in asdict(record).items()}
    display({"text/plain": str(record), MIME: facts}, raw=True)
