"""A store gives back what was saved, or says that it has nothing: never anything else."""

import io
import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from toymodels.sweeps.store import Store

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
    def vanish(self, point, data):
        only_file(self).unlink()

    store.save(POINT, RESULT)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_decode", vanish)
        assert refused(store)
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [folder / pattern])
    store.tidy()
    Store(store.folder, {"torch": "3"}).open(on_change="recompute")


def test_a_file_that_would_run_code_is_not_read(store):
    store.save(POINT, RESULT)
    file = only_file(store)
    head = file.read_bytes().split(b"\n")[1]
    body = io.BytesIO()
    np.save(body, np.array([Path()]), allow_pickle=True)
    body = head + b"\n" + body.getvalue()
    file.write_bytes(sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(ValueError, match="pickle"):
        store.load(POINT)


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


def test_a_spoilt_manifest_is_other_code(store):
    manifest = store.folder / "manifest.json"
    manifest.write_text(manifest.read_text()[:10])
    with pytest.raises(ValueError, match="function was not recorded"):
        store.open(on_change="refuse")
    store.open(on_change="recompute")
    store.open(on_change="refuse")


def test_a_wrong_word_is_refused_before_the_folder_is_made(tmp_path):
    with pytest.raises(ValueError, match="on_change must be"):
        Store(tmp_path / "new", CODE).open(on_change="ignore")
    assert not (tmp_path / "new").exists()
