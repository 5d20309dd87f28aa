"""A store gives back what was saved, or says that it has nothing: never anything else."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext as silent
from datetime import date
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from toymodels.sweeps import store as module
from toymodels.sweeps.store import Store, read

CODE = {"function": "f 1", "torch": "2"}
POINT = {"width": 3, "rate": 0.1, "rule": "flow", "biased": True}
RESULT = {"loss": np.array(0.1), "path": np.arange(6.0, dtype="f4").reshape(2, 3)}


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "new" / "store", CODE)
    store.open(on_change="refuse")
    return store


def only_file(store: Store) -> Path:
    (file,) = store.folder.glob("*.point")
    return file


@pytest.mark.parametrize(
    "result",
    [
        RESULT,
        {"flag": np.array([True, False]), "count": np.array(3), "z": np.array([1 + 2j])},
        {"empty": np.empty((0, 2)), "word": np.array(["a", "bc"]), "bad": np.array([np.nan])},
    ],
)
def test_what_comes_back_is_what_was_saved(store, result):
    store.save(POINT, result)
    found = store.load(POINT)
    assert list(found) == list(result)
    for name, array in result.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert np.array_equal(found[name], array, equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize("other", [{"width": 4}, {"rate": 0.2}, {"rule": "sgd"}, {"depth": 1}])
def test_points_do_not_mix(store, other):
    store.save(POINT, RESULT)
    assert store.load(POINT | other) is None
    reordered = dict(reversed(POINT.items()))
    assert store.load(reordered) is not None


def refused(store: Store) -> bool:
    with pytest.warns(RuntimeWarning, match=r"damaged, or of other code.*'width': 3.*again"):
        return store.load(POINT) is None


def test_any_flipped_bit_and_any_missing_end_is_noticed(store):
    store.save(POINT, RESULT)
    file = only_file(store)
    whole = file.read_bytes()
    for k in range(len(whole)):
        file.write_bytes(whole[:k] + bytes([whole[k] ^ 4]) + whole[k + 1 :])
        assert refused(store), k
        assert not file.exists()  # it will be computed again
        file.write_bytes(whole[:k])
        assert refused(store), k
    file.write_bytes(whole)
    assert store.load(POINT) is not None


def test_a_file_in_the_place_of_another_is_noticed(store):
    store.save(POINT, RESULT)
    mine = only_file(store)
    other = Store(store.folder, CODE | {"torch": "3"})  # a second driver, of other code
    other.save(POINT, RESULT)
    assert refused(store)
    store.save(POINT | {"width": 4}, RESULT)
    os.replace(only_file(store), mine)
    assert refused(store)


def test_a_file_is_complete_on_disk_before_it_gets_its_name(store, monkeypatch):
    seen = []
    replace = os.replace

    def record(old, new):
        seen.append((Path(new).suffix, Path(old).stat().st_size))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(os.fstat(handle).st_size))
    monkeypatch.setattr(os, "replace", record)
    store.save(POINT, RESULT)
    size = only_file(store).stat().st_size
    assert seen == [size, (".point", size)]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interrupt_while_writing_leaves_no_file(store, monkeypatch, step):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    before = set(store.folder.iterdir())
    monkeypatch.setattr(os, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(POINT, RESULT)
    assert set(store.folder.iterdir()) == before


def test_objects_are_refused(store):
    with pytest.raises(ValueError, match="(?i:object)"):
        store.save(POINT, {"thing": np.array([None])})
    assert store.load(POINT) is None


def test_tidying_removes_the_unfinished_files_of_this_store_only(store):
    store.save(POINT, RESULT)
    marks = store.mark, Store(store.folder, CODE).mark
    mine, other = (store.folder / f".{mark}-1" for mark in marks)
    mine.touch(), other.touch()
    store.tidy()
    assert not mine.exists() and other.exists()
    assert store.load(POINT) is not None


def test_files_that_another_driver_removes_first_are_no_problem(store, monkeypatch):
    def vanish(file):
        file.unlink()
        raise ValueError("damaged")

    store.save(POINT, RESULT)
    with monkeypatch.context() as patch:
        patch.setattr(module, "read", vanish)
        assert refused(store)
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [folder / pattern])
    store.tidy()
    Store(store.folder, {"torch": "3"}).open(on_change="recompute")


def spoil(file: Path, head: bytes, *arrays: np.ndarray) -> None:
    """A file with a good checksum all the same."""
    body = io.BytesIO()
    body.write(head + b"\n")
    for array in arrays:
        np.save(body, array, allow_pickle=True)
    file.write_bytes(sha256(body.getvalue()).hexdigest().encode() + b"\n" + body.getvalue())


def test_a_file_that_would_run_code_is_not_read(store):
    store.save(POINT, RESULT)
    file = only_file(store)
    spoil(file, file.read_bytes().split(b"\n")[1], np.array([Path()]))
    assert refused(store)


@pytest.mark.parametrize(
    "head", [b"", b"{", b"[]", b"3", b"null", b"{}", b'{"code": 3, "fields": []}', b"\xff"]
)
def test_a_bad_header_is_damage_whatever_the_checksum_says(store, head):
    store.save(POINT, RESULT)
    spoil(only_file(store), head)
    assert refused(store)
    store.save(POINT, RESULT)
    assert store.load(POINT) is not None


def test_fewer_arrays_than_fields_are_damage(store):
    store.save(POINT, RESULT)
    file = only_file(store)
    spoil(file, file.read_bytes().split(b"\n")[1], RESULT["loss"])
    assert refused(store)


def test_a_folder_in_the_place_of_a_result_is_moved_out_of_the_way(store):
    store.save(POINT, RESULT)
    file = only_file(store)
    file.unlink()
    (file / "deep").mkdir(parents=True)
    assert refused(store)
    store.save(POINT, RESULT)
    assert store.load(POINT) is not None
    (moved,) = store.folder.glob("*.moved")
    assert (moved / "deep").is_dir()  # it was not ours to delete


def test_the_day_is_on_record(store):
    store.save(POINT, RESULT)
    header, result = read(only_file(store))
    assert header["code"] == CODE and header["point"] == POINT and list(result) == list(RESULT)
    assert abs((date.fromisoformat(header["date"]) - date.today()).days) <= 1


def test_results_of_other_code_are_refused_kept_and_discarded_on_demand(store):
    store.save(POINT, RESULT)
    (store.folder / "notes.txt").touch()
    changed = Store(store.folder, CODE | {"torch": "3"})
    with pytest.raises(
        ValueError, match=r"torch was 2, is 3: .*on_change=\"recompute\".*new folder"
    ):
        changed.open(on_change="refuse")
    Store(store.folder, CODE).open(on_change="recompute")  # nothing changed: nothing is lost
    assert store.load(POINT) is not None
    changed.open(on_change="recompute")
    assert changed.load(POINT) is None and (store.folder / "notes.txt").exists()
    changed.open(on_change="refuse")
    assert json.loads((store.folder / "manifest.json").read_text()) == dict(changed.code)


@pytest.mark.parametrize("left", [None, '{"fun', "[]", "3", "null", '"word"', "a folder"])
def test_a_lost_manifest_loses_nothing(store, left):
    """Every result names its code: the same goes on, other code is refused as ever."""
    store.save(POINT, RESULT)
    manifest = store.folder / "manifest.json"
    changed = Store(store.folder, CODE | {"torch": "3"})

    def lose():
        manifest.unlink()
        if left == "a folder":
            manifest.mkdir()
        elif left:
            manifest.write_text(left)
        return pytest.warns(RuntimeWarning, match="manifest.json is damaged") if left else silent()

    with lose(), pytest.raises(ValueError, match="torch was 2, is 3"):
        changed.open(on_change="refuse")
    manifest.rmdir() if manifest.is_dir() else manifest.unlink(missing_ok=True)
    manifest.touch()
    with lose():
        store.open(on_change="refuse")
    assert store.load(POINT) is not None
    assert json.loads(manifest.read_text()) == CODE


def test_a_damaged_result_does_not_hide_the_code_of_the_others(store):
    store.save(POINT, RESULT)
    only_file(store).with_name("0.point").write_text("damaged")
    (store.folder / "manifest.json").unlink()
    store.open(on_change="refuse")
    (store.folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match="torch was 2, is 3"):
        Store(store.folder, CODE | {"torch": "3"}).open(on_change="refuse")


def test_what_is_complete_is_read_without_a_write(store, monkeypatch):
    store.save(POINT, RESULT)

    def read_only(*arguments, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Store, "_write", read_only)
    for name in ("unlink", "rename", "touch"):
        monkeypatch.setattr(Path, name, read_only)
    store.open(on_change="refuse")
    assert store.load(POINT) is not None
    store.tidy()
    only_file(store).write_bytes(b"damaged")
    assert refused(store)


# ---- claims --------------------------------------------------------------------------------------

CLAIMS = """
import os, sys, time
from pathlib import Path
from toymodels.sweeps.store import Store
store = Store(Path(sys.argv[1]), {})
with store.claim({"x": 1}, wait=False) as mine:
    print("mine" if mine else "taken", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def other_process(store: Store, seconds: float) -> Iterator[tuple[str, subprocess.Popen]]:
    """Another process that claims x = 1: what it got, and itself."""
    command = [sys.executable, "-c", CLAIMS, str(store.folder), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        yield other.stdout.readline().strip(), other


def claimed(store: Store, x: int, **how) -> bool:
    with store.claim({"x": x}, **({"wait": False} | how)) as mine:
        return mine


def test_a_claim_is_for_one_and_ends_with_its_process(store):
    with store.claim({"x": 1}, wait=False) as mine:
        assert mine and not claimed(store, 1) and claimed(store, 2)
        with other_process(store, 0) as (heard, _):
            assert heard == "taken"
    with other_process(store, 600) as (heard, other):
        assert heard == "mine" and not claimed(store, 1)
        other.kill()
    (left,) = store.folder.glob("*.claim")
    store.tidy()
    assert not left.exists() and claimed(store, 1)
    assert not list(store.folder.glob("*.claim"))


def test_a_claim_can_be_waited_for(store):
    with other_process(store, 1):
        assert not claimed(store, 1) and claimed(store, 1, wait=True)


def test_tidying_keeps_the_claims_of_others(store):
    with store.claim({"x": 1}, wait=False):
        store.tidy()
        assert not claimed(store, 1)


def test_where_nothing_can_be_locked_every_claim_is_granted(store, monkeypatch):
    def no_locks(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    with store.claim({"x": 1}, wait=False):
        with monkeypatch.context() as patch:
            patch.setattr(module.fcntl, "flock", no_locks)
            assert claimed(store, 1)
        monkeypatch.setattr(module, "fcntl", None)
        assert claimed(store, 1)
    assert claimed(Store(store.folder / "nowhere", CODE), 1)


def test_a_wrong_word_is_refused_before_the_folder_is_made(tmp_path):
    with pytest.raises(ValueError, match="on_change must be"):
        Store(tmp_path / "new", CODE).open(on_change="ignore")
    assert not (tmp_path / "new").exists()
