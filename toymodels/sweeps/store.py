"""Finished results in a folder, one file for each, that outlive whatever kills the program.

A file appears whole or not at all. It holds its own SHA-256, a line of JSON that names the code,
the point and the fields, and the arrays as numpy writes them; nothing in it is ever executed.
joblib.Memory would do less: it has no checksum, so a flipped bit comes back as a result; it sees
neither helper functions nor versions; and where it sees a change, it drops old results unasked.
"""

import io
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np

from toymodels.sweeps.fingerprint import differences

Point = dict[str, bool | int | float | str]
Fields = dict[str, np.ndarray]


@dataclass(frozen=True)
class Store:
    """Results of one ``code`` (see ``fingerprint``) at points; any number of them may be open."""

    folder: Path
    code: Mapping[str, str]
    mark: str = field(default_factory=lambda: uuid4().hex)  # in the names of unfinished files

    def open(self, *, on_change: str) -> None:
        """Make the folder, or check of which code its results are.

        Raises ValueError on results of other code, unless ``on_change`` is "recompute", which
        discards them.
        """
        if on_change not in ("refuse", "recompute"):
            raise ValueError(f'on_change must be "refuse" or "recompute", got {on_change!r}')
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest = self.folder / "manifest.json"
        try:
            old = json.loads(manifest.read_text("utf8"))
        except FileNotFoundError:
            old = self.code
        except ValueError:
            old = {}
        changed = differences(old, self.code)
        if changed and on_change == "refuse":
            raise ValueError(
                f"{self.folder} must hold results of the same code, but {'; '.join(changed)}: "
                'discard the results there with on_change="recompute" or name a new folder'
            )
        for file in self.folder.glob("*.point") if changed else ():
            file.unlink(missing_ok=True)
        self._write(manifest, json.dumps(dict(self.code)).encode())

    def load(self, point: Point) -> Fields | None:
        """The result at ``point``; None where there is none. Warns of a file that is damaged."""
        file = self._file(point)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        result = self._decode(point, data)
        if result is None:
            warnings.warn(
                f"{file} is damaged, or of other code: {point} will be computed again",
                RuntimeWarning,
                stacklevel=2,
            )
            file.unlink(missing_ok=True)
        return result

    def save(self, point: Point, result: Fields) -> None:
        """Write the result at ``point``, whole or not at all. Raises ValueError on objects."""
        body = io.BytesIO()
        body.write(json.dumps(self._header(point) | {"fields": list(result)}).encode() + b"\n")
        for array in result.values():
            np.save(body, array, allow_pickle=False)
        self._write(self._file(point), _checksum(body.getvalue()) + b"\n" + body.getvalue())

    def tidy(self) -> None:
        """Remove the unfinished files of workers that were killed while they wrote."""
        for part in self.folder.glob(f".{self.mark}-*"):
            part.unlink(missing_ok=True)

    def _decode(self, point: Point, data: bytes) -> Fields | None:
        checksum, _, body = data.partition(b"\n")
        if _checksum(body) != checksum:
            return None
        stream = io.BytesIO(body)
        header = json.loads(stream.readline())
        names = header.pop("fields")
        if header != self._header(point):
            return None
        return {name: np.load(stream) for name in names}

    def _header(self, point: Point) -> dict:
        return {"code": dict(self.code), "point": point}

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


def _checksum(body: bytes) -> bytes:
    return sha256(body).hexdigest().encode()
