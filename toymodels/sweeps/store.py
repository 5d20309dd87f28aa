"""Finished results in a folder, one file for each, that outlive whatever kills the program.

A file appears whole or not at all. It holds its own SHA-256, a line of JSON with the code, the
point, the day and the names of the fields, and the arrays as numpy writes them; nothing in it is
ever executed. ``manifest.json`` repeats the code, so that a change is seen without reading results.
joblib.Memory would do less: it has no checksum, so a flipped bit comes back as a result; it sees
neither helper functions nor versions; and where it sees a change, it drops old results unasked.
"""

import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np

from toymodels.sweeps.fingerprint import differences

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

Point = dict[str, bool | int | float | str]
Fields = dict[str, np.ndarray]


def read(file: Path) -> tuple[dict, Fields]:
    """Header (``code``, ``point``, ``date``, ``fields``) and arrays of one result.

    Raises ValueError if the file is damaged, FileNotFoundError if there is none.
    """
    if file.is_dir():
        raise ValueError(f"{file} must be a file, got a folder")
    checksum, _, body = file.read_bytes().partition(b"\n")
    if _checksum(body) != checksum:
        raise ValueError(f"{file} must have the checksum in its first line: it is damaged")
    stream = io.BytesIO(body)
    try:
        header = json.loads(stream.readline())
        if not isinstance(header["code"], dict):
            raise TypeError
        return header, {name: np.load(stream) for name in header["fields"]}
    except (ValueError, TypeError, KeyError, EOFError) as problem:
        raise ValueError(f"{file} must hold a header and arrays: it is damaged") from problem


@dataclass(frozen=True)
class Store:
    """Results of one ``code`` at points, as JSON takes them; any number of them may be open."""

    folder: Path
    code: Mapping[str, object]
    mark: str = field(default_factory=lambda: uuid4().hex)  # in the names of unfinished files

    def open(self, *, on_change: str) -> None:
        """Make the folder, or check of which code its results are; writes nothing if all is there.

        A damaged manifest is written again, with a warning, as every result names its code too.
        Raises ValueError on results of other code, unless ``on_change`` is "recompute", which
        discards them.
        """
        if not isinstance(on_change, str) or on_change not in ("refuse", "recompute"):
            raise ValueError(f'on_change must be "refuse" or "recompute", got {on_change!r}')
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest = self.folder / "manifest.json"
        old = _manifest(manifest)
        known = self._codes() if old is None else [old]
        changed = next(filter(None, (differences(code, self.code) for code in known)), [])
        if changed and on_change == "refuse":
            raise ValueError(
                f"{self.folder} must hold results of the same code, but {'; '.join(changed)}: "
                'discard the results there with on_change="recompute" or name a new folder'
            )
        for file in self.folder.glob("*.point") if changed else ():
            _discard(file)
        if old != self.code:
            if manifest.is_dir():
                _discard(manifest)
            self._write(manifest, json.dumps(dict(self.code)).encode())

    def load(self, point: Point) -> Fields | None:
        """The result at ``point``; None where there is none. Warns of a file that is damaged."""
        file = self._file(point)
        try:
            header, result = read(file)
            if header["code"] == self.code and header["point"] == point:
                return result
        except FileNotFoundError:
            return None
        except ValueError:
            pass
        warnings.warn(
            f"{file} is damaged, or of other code: {point} will be computed again",
            RuntimeWarning,
            stacklevel=2,
        )
        with suppress(OSError):  # a disk that can only be read
            _discard(file)
        return None

    def save(self, point: Point, result: Fields) -> None:
        """Write the result at ``point``, whole or not at all. Raises ValueError on objects."""
        date = datetime.now(UTC).date().isoformat()
        header = {"code": dict(self.code), "point": point, "date": date, "fields": list(result)}
        body = io.BytesIO()
        body.write(json.dumps(header).encode() + b"\n")
        for array in result.values():
            np.save(body, array, allow_pickle=False)
        self._write(self._file(point), _checksum(body.getvalue()) + b"\n" + body.getvalue())

    @contextmanager
    def claim(self, point: Point, *, wait: bool) -> Iterator[bool]:
        """Whether this is the only one to compute ``point``; if ``wait``, once the other is done.

        The system ends a claim with the process that has it. Where files cannot be locked, all
        claims are granted: two may do the same work, and one result takes the place of its equal.
        """
        file = self._file(point).with_suffix(".claim")
        with ExitStack() as stack:
            granted = True
            with suppress(OSError):  # a full disk, or a worker that does not see the folder
                handle = stack.enter_context(open(file, "a"))
                granted = _lock(handle.fileno(), wait)
                if granted:
                    stack.callback(file.unlink, missing_ok=True)
            yield granted

    def tidy(self) -> None:
        """Remove unfinished files of this store's workers, and claims of any that were killed."""
        for part in self.folder.glob(f".{self.mark}-*"):
            part.unlink(missing_ok=True)
        for file in self.folder.glob("*.claim"):
            with suppress(OSError), open(file) as handle:
                if _lock(handle.fileno(), wait=False):
                    file.unlink()

    def _codes(self) -> list[dict]:
        """Of which code the results are that lie here, without the damaged ones."""
        codes = []
        for file in self.folder.glob("*.point"):
            with suppress(ValueError, FileNotFoundError):
                codes.append(read(file)[0]["code"])
        return codes

    def _file(self, point: Point) -> Path:
        words = json.dumps(point, sort_keys=True).encode()
        return self.folder / f"{sha256(words).hexdigest()[:32]}.point"

    def _write(self, file: Path, data: bytes) -> None:
        part = file.with_name(f".{self.mark}-{uuid4().hex}")
        try:
            with open(part, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)


def _manifest(file: Path) -> dict | None:
    """The code that a manifest names; None if it is lost or, with a warning, damaged."""
    try:
        code = json.loads(file.read_text("utf8"))
    except FileNotFoundError:
        return None
    except (ValueError, IsADirectoryError):
        code = None
    if not isinstance(code, dict):
        warnings.warn(f"{file} is damaged: it is written again", RuntimeWarning, stacklevel=3)
        return None
    return code


def _discard(file: Path) -> None:
    """Remove a file; a folder in its place may be anything, and is only moved out of the way."""
    if file.is_dir():
        file.rename(file.with_name(f"{file.name}.{uuid4().hex[:8]}.moved"))
    else:
        file.unlink(missing_ok=True)


def _lock(handle: int, wait: bool) -> bool:
    """Whether this process has a file for itself; also where the disk knows no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _checksum(body: bytes) -> bytes:
    return sha256(body).hexdigest().encode()
