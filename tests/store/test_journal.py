"""A journal of many small records is listed, read and removed without much ado for each."""

import json
import os
from pathlib import Path

import pytest

from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz.errors import StoreError
from geoembz.store.journal import Journal

N_RECORDS = 1100  # more than is read in one batch


def write_records(folder: Path, n_records: int = N_RECORDS) -> dict[tuple[int, int], object]:
    """Write records by hand, as every version so far has laid them out."""
    shards = folder / ".geoembz" / "shards"
    shards.mkdir(parents=True)
    records: dict[tuple[int, int], object] = {}
    for number in range(n_records):
        row, col = 512 * (number // 40), 512 * (number % 40)
        records[row, col] = {"number": number}
        (shards / f"{row}_{col}.json").write_text(json.dumps(records[row, col]))
    return records


def test_every_record_is_read(tmp_path: Path) -> None:
    """A journal that lies there is read whole; what a killed writer left half is passed over."""
    records = write_records(tmp_path)
    (tmp_path / ".geoembz" / "shards" / "0_99.json.0123.partial").write_text("{")
    journal = Journal(ObjectTree(tmp_path))
    assert journal.finished() == records
    assert journal.has_finished()
    assert journal.find(Window(512, 1024, 8, 8)) == {"number": 42}
    assert journal.find(Window(1, 1, 8, 8)) is None
    assert not journal.exists()


def test_nothing_is_left(tmp_path: Path) -> None:
    """Removing a journal removes every trace of it, and nothing else; twice does no harm."""
    write_records(tmp_path)
    (tmp_path / "zarr.json").write_text("{}")
    journal = Journal(ObjectTree(tmp_path))
    journal.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["zarr.json"]
    assert not journal.has_traces()
    assert not journal.has_finished()
    journal.clear()


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    """A record that is no JSON is named, however many are read beside it."""
    write_records(tmp_path)
    (tmp_path / ".geoembz" / "shards" / "512_512.json").write_text("{")
    with pytest.raises(StoreError, match=r"512_512\.json: not JSON"):
        Journal(ObjectTree(tmp_path)).finished()


def test_keys_are_those_of_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same order, folder by folder, below a prefix or not, wherever we stand."""
    for name in ("b/c/0/1", "b/zarr.json", "b.json", "a-1/x", "a/x", "zarr.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    tree = ObjectTree(tmp_path)
    assert tree.keys() == ["a/x", "a-1/x", "b/c/0/1", "b/zarr.json", "b.json", "zarr.json"]
    assert list(tree.sizes().items()) == [(key, len(key)) for key in tree.keys()]  # noqa: SIM118
    assert tree.keys("b") == list(tree.sizes("b")) == ["b/c/0/1", "b/zarr.json"]
    assert tree.keys("absent") == []
    monkeypatch.chdir(tmp_path)
    assert ObjectTree("b" + os.sep).keys("c") == ["c/0/1"]
    assert tree.read("a") is None
    assert tree.read("b.json/x") is None
    assert tree.read("b/zarr.json") == b"b/zarr.json"
