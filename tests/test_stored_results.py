"""What is too long for a chapter is stored in the package, and read back whole or not at all."""

from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import toymodels

RESULTS = Path(toymodels.__file__).parent / "results"
READERS = {
    module.STORED.name: module.stored
    for info in walk_packages(toymodels.__path__, "toymodels.")
    if hasattr(module := import_module(info.name), "STORED") and hasattr(module, "stored")
}


def test_every_stored_result_has_a_reader():
    assert {folder.name for folder in RESULTS.iterdir()} == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_refused(tmp_path, name):
    stored = READERS[name]
    for file in (RESULTS / name).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert stored(tmp_path).origin == stored().origin
    spoilt = min(tmp_path.glob("*.point"))
    data = bytearray(spoilt.read_bytes())
    data[-1] ^= 1
    spoilt.write_bytes(data)
    with pytest.raises(ValueError, match="must have the checksum"):
        stored(tmp_path)
