"""A sentence of the book that a machine checks.

    identity   two formulas, or two algorithms, give the same number
    claim      an experiment measures what a theory predicts
    departs    a model fails, by more than a bound

A check that fails raises AssertionError, so a chapter whose sentence stops being true cannot be
built. One that could not fail is refused with ValueError. Every check prints one line and leaves a
record in the executed notebook, from which the build makes the ledger.
"""

import math
import os
import sys
from dataclasses import asdict, dataclass
from numbers import Real

import numpy as np
from torch import Tensor

from toymodels.numerics import origin
from toymodels.numerics.estimate import Estimate

MIME = "application/vnd.toymodels.claim+json"
SIGNS = {"identity": "≡", "measurement": "✓", "failure": "≠"}
FEW = 100  # entries that a record holds
SURE = 3  # standard errors by which a failure must be seen
Value = Real | Tensor | np.ndarray | list | Estimate


@dataclass(frozen=True)
class Record:
    """One line of the ledger. Of an array its numbers are those of the entry that decides."""

    kind: str  # "identity", "measurement" or "failure"
    name: str
    key: str | None  # by which the prose refers to it
    predicted: float
    measured: float
    error: float | None  # standard error of the difference
    deviation: float  # |measured - predicted| in units of ``scale``
    scale: str  # "standard errors", "relative", "absolute" or "of the scale"
    within: float | int | None  # largest deviation allowed
    beyond: float | int | None  # deviation that must be exceeded, where a model is shown to fail
    null: float | None  # what would be measured if the model were wrong
    no_null: str | None  # why there is none
    n: int | None
    members: int | None  # independent numbers behind an error bar
    source: str | None
    held: bool
    entries: dict | None  # predicted, measured and error of all entries, if they are few

    def __str__(self) -> str:
        allowed = f"allowed {self.in_units(self.within)}" if self.beyond is None else ""
        bound = allowed or f"more than {self.in_units(self.beyond)}, as it must"
        counts = [f"n = {self.n}"] * (self.n is not None)
        counts += [f"{self.members} members"] * (self.members is not None)
        error = "" if self.error is None else f" ± {self.error:.2g}"
        facts = "; ".join([f"deviation {self.in_units(self.deviation)}", bound, *counts])
        sign = SIGNS[self.kind] if self.held else "✗"
        words = ("one", "other") if self.kind == "identity" else ("predicted", "measured")
        return (
            f"{sign} {self.name}: {words[0]} {self.predicted:.6g}, "
            f"{words[1]} {self.measured:.6g}{error} ({facts})"
        )

    def in_units(self, deviation: float | int) -> str:
        """A deviation as a reader wants it: in standard errors, per cent, or plainly."""
        if self.scale == "standard errors":
            return f"{deviation:.2g} standard errors"
        if self.scale in ("relative", "of the scale") and deviation >= 1e-4:
            return f"{100 * deviation:.2g} %" + " of the scale" * (self.scale != "relative")
        return f"{deviation:.1e} {self.scale}"


def identity(
    name: str,
    one: Value,
    other: Value,
    *,
    within: float | int,
    scale: Value | None = None,
    key: str | None = None,
    n: int | None = None,
    source: str | None = None,
) -> None:
    """Assert that two formulas or two algorithms agree up to ``within``, and put it on record.

    Units, arrays and refusals as in ``claim``; neither side needs to come from an experiment.
    """
    sides = _Sides(name, one, other, scale, words=("one", "other"))
    sides.publish("identity", within=within, key=key, n=n, source=source)


def claim(
    name: str,
    predicted: Value,
    measured: Value,
    *,
    within: float | int,
    null: Value | str,
    scale: Value | None = None,
    key: str | None = None,
    n: int | None = None,
    source: str | None = None,
) -> None:
    """Assert that an experiment measures what is predicted, up to ``within``, and record it.

    ``measured`` must come out of an experiment, as tensors remember (see ``numerics.origin``). An
    average is an ``Estimate``, which brings its error bar along, and so is a prediction that was
    drawn. The deviation is |measured - predicted| / ``scale``. Without a ``scale`` it counts
    standard errors when there are any, else it is relative to the prediction; ``scale`` = 1 makes
    it absolute, ``scale`` = ``predicted`` relative in spite of an error bar. Arrays are compared
    entry by entry. ``null`` is what would be measured if the model were wrong, or a sentence that
    says why no such value exists. ``key`` is a short name by which the prose refers to the numbers.

    Raises AssertionError when the deviation is larger; ValueError on NaN, on a measured side that
    no experiment had a part in, on an error bar too large for the tolerance, and on a tolerance
    that half of the entries of ``null`` would pass.
    """
    if "experiment" not in (origin.of(predicted) | origin.of(measured)):
        raise ValueError(f"{name}: measured must come out of an experiment: else use identity")
    if "experiment" not in origin.of(measured):
        raise ValueError(f"{name}: measured must be the side of the experiment, not the prediction")
    sides = _Sides(name, predicted, measured, scale)
    _positive("within", within)
    if isinstance(null, str):
        if len(null.split()) < 3:
            raise ValueError(
                f"{name}: null must be a value, or say why there is none, got {null!r}"
            )
    else:
        sides.refuse_null(null, within)
    sides.refuse_blunt(within)
    facts = {"no_null" if isinstance(null, str) else "null": null}
    sides.publish("measurement", within=within, key=key, n=n, source=source, **facts)


def departs(
    name: str,
    predicted: Value,
    measured: Value,
    *,
    beyond: float | int,
    scale: Value | None = None,
    key: str | None = None,
    n: int | None = None,
    source: str | None = None,
) -> None:
    """Assert that the model fails: that the deviation exceeds ``beyond``, in every entry.

    Where there is an error bar, also by three standard errors. Otherwise as in ``claim``.
    """
    sides = _Sides(name, predicted, measured, scale)
    _positive("beyond", beyond)
    sides.publish("failure", beyond=beyond, key=key, n=n, source=source)


class _Sides:
    """The two sides of a check, entry by entry, and the unit of their distance."""

    def __init__(
        self,
        name: str,
        predicted: Value,
        measured: Value,
        scale: Value | None,
        words: tuple[str, str] = ("predicted", "measured"),
    ):
        if not isinstance(name, str) or not name.strip():
            raise ValueError("a claim must have a name that says what it claims, in words")
        self.name = name
        self.members = [x.members for x in (predicted, measured) if isinstance(x, Estimate)]
        p, its_error = self._parts(words[0], predicted)
        m, error = self._parts(words[1], measured)
        self.error = np.hypot(its_error, error) if self.members else None
        self.unit, units = self._scale(p, scale)
        self.predicted, self.measured, self.units = np.broadcast_arrays(p, m, units)
        if self.members:
            self.error = np.broadcast_to(self.error, self.predicted.shape)

    def _parts(self, word: str, value: Value) -> tuple[np.ndarray, np.ndarray | float]:
        if isinstance(value, Estimate):
            return self._numbers(word, value.value), self._numbers("error", value.error)
        return self._numbers(word, value), 0.0

    def _numbers(self, word: str, value: Value) -> np.ndarray:
        if isinstance(value, Tensor):
            value = origin.plain(value).detach().cpu().numpy()
        try:
            numbers = np.atleast_1d(np.asarray(value))
        except ValueError:
            raise ValueError(f"{self.name}: {word} must not be ragged, got {value}") from None
        if numbers.size == 0 or numbers.dtype.kind not in "biuf" or not np.isfinite(numbers).all():
            raise ValueError(f"{self.name}: {word} must be finite real numbers, got {value}")
        return numbers.astype(float)

    def _scale(self, p: np.ndarray, scale: Value | None) -> tuple[str, np.ndarray]:
        if scale is None:
            relative = self.error is None
            unit, units = ("relative", np.abs(p)) if relative else ("standard errors", self.error)
        else:
            units = np.abs(self._numbers("scale", scale))
            unit = "relative" if np.array_equal(units, np.abs(p)) else "absolute"
            if unit == "absolute" and not (units == 1).all():
                unit = "of the scale"
        if not (units > 0).all():
            raise ValueError(
                f"{self.name}: scale must be positive, got 0: a prediction of 0 needs scale="
            )
        return unit, units

    def refuse_null(self, null: Value, within: float | int) -> None:
        """A wrong model must fail at most entries, not at one in a thousand."""
        gap = np.abs(self._numbers("null", null) - self.predicted) / self.units
        if (gap <= within).mean() >= 0.5:
            raise ValueError(
                f"{self.name}: the tolerance {within:g} would also accept the null value in "
                f"{100 * (gap <= within).mean():.0f} % of the entries: a wrong model would pass"
            )

    def refuse_blunt(self, within: float | int) -> None:
        """An error bar beyond the tolerance says nothing."""
        if self.error is None or self.unit == "standard errors":
            return
        error = self.error / self.units
        if (error > within).any():
            raise ValueError(
                f"{self.name}: the standard error {error.max():.2g} exceeds the tolerance "
                f"{within:g}, both in units of the scale: take more members"
            )

    def publish(self, kind: str, *, within=None, beyond=None, null=None, **facts) -> None:
        """Check, print and record; raise AssertionError where the sentence is not true."""
        bound = _positive("within", within) if beyond is None else _positive("beyond", beyond)
        deviation = np.abs(self.measured - self.predicted) / self.units
        # the entry that decides: the largest deviation of an agreement, the smallest of a failure;
        # of those that differ by rounding alone the first, so that it is the same on every machine
        extreme = deviation.max() if beyond is None else deviation.min()
        tied = np.isclose(deviation, extreme, rtol=1e-6, atol=1e-9)
        worst = np.unravel_index(tied.argmax(), deviation.shape)
        held = bool(extreme <= bound) if beyond is None else self._seen(deviation, bound)
        record = Record(
            kind=kind,
            name=self.name,
            predicted=float(self.predicted[worst]),
            measured=float(self.measured[worst]),
            error=float(self.error[worst]) if self.members else None,
            deviation=float(deviation[worst]),
            scale=self.unit,
            within=within,
            beyond=beyond,
            null=None if null is None else float(self._numbers("null", null).flat[0]),
            members=min(self.members) if self.members else None,
            held=held,
            entries=self._entries(),
            **{"no_null": None} | facts,
        )
        if not held and os.environ.get("TOYMODELS_CLAIMS") != "record":
            why = "claim failed" if beyond is None else "the model did not fail where it should"
            raise AssertionError(f"{why}. {record}")
        _publish(record)

    def _seen(self, deviation: np.ndarray, beyond: float) -> bool:
        clear = np.abs(self.measured - self.predicted) > SURE * (self.error if self.members else 0)
        return bool((deviation > beyond).all() and clear.all())

    def _entries(self) -> dict | None:
        if self.predicted.size > FEW:
            return None
        parts = {"predicted": self.predicted, "measured": self.measured, "error": self.error}
        return {k: None if v is None else [_short(x) for x in v.ravel()] for k, v in parts.items()}


def _positive(word: str, value: object) -> float:
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not (real and math.isfinite(value) and value > 0):
        raise ValueError(f"{word} must be a positive number, got {value!r}")
    return float(value)


def _short(value: float) -> float:
    """Six digits: the last ones differ between machines, and the ledger would never be the same."""
    return float(f"{value:.6g}")


def _publish(record: Record) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        encoding = sys.stdout.encoding or "ascii"
        print(str(record).encode(encoding, "replace").decode(encoding))
        return
    facts = {k: _short(v) if isinstance(v, float) else v for k, v in asdict(record).items()}
    display({"text/plain": str(record), MIME: facts}, raw=True)
