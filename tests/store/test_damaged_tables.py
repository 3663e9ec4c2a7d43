"""Damaged tables, as stores and as inputs, are refused in words, whatever the libraries raise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import geoembz
from geoembz._export import export_table
from geoembz.errors import GeoembzError, SourceError, StoreError
from geoembz.sources.features import read_features
from geoembz.sources.tables import open_table
from tests import tables

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "zeros": lambda content: bytes(len(content)),
    "flipped": lambda content: bytes(
        byte ^ 0x55 if number % 40 == 7 else byte for number, byte in enumerate(content)
    ),
    "first bytes": lambda content: b"X" * 8 + content[8:],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of a table with arrays and other columns."""
    folder = tmp_path_factory.mktemp("tables")
    written = tables.plain(folder / "t.parquet", np.random.default_rng(0), rows=120)
    geoembz.convert(written.path, folder / "t.zarr", pca=4, chunk=16, shard=32)
    return folder / "t.zarr"


def read_everything(store: Path) -> None:
    """Read all that a store holds: vectors, places, columns, and the table again."""
    dataset = geoembz.open(store).load()
    dataset.geoembz.select((8.0, 46.0, 12.0, 50.0))
    export_table(str(store), store.parent / "again.parquet")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "key", ["embedding/c/1/0", "x/c/1", "columns/number/c/1", "chunk_bbox/c/0/0", "table.parquet"]
)
def test_damaged_objects_of_a_store_are_named(
    key: str, damage: str, finished: Path, tmp_path: Path
) -> None:
    """No `RuntimeError` of a codec, no `ArrowInvalid`: the store and the object."""
    import shutil

    store = tmp_path / "s.zarr"
    shutil.copytree(finished, store)
    content = (store / key).read_bytes()
    (store / key).write_bytes(DAMAGE[damage](content))
    name = key.partition("/c/")[0]
    with pytest.raises(StoreError, match=rf"s\.zarr.*{name}"):
        read_everything(store)


def test_other_rows_than_the_arrays_have_are_refused(finished: Path, tmp_path: Path) -> None:
    """A shorter table of other columns would lose rows of the export in silence."""
    import shutil

    store = tmp_path / "s.zarr"
    shutil.copytree(finished, store)
    whole = pq.read_table(store / "table.parquet")
    pq.write_table(whole.slice(0, 100), store / "table.parquet")
    with pytest.raises(StoreError, match=r"table\.parquet has 100 rows; expected 120"):
        read_everything(store)
    (store / "table.parquet").unlink()
    with pytest.raises(StoreError, match=r"table\.parquet is missing"):
        read_everything(store)


def parquet(path: Path) -> Path:
    return tables.plain(path / "t.parquet", np.random.default_rng(0), rows=120).path


def csv(path: Path) -> Path:
    return tables.mosaiks_csv(path / "t.csv", np.random.default_rng(0)).path


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_parquet_is_named(damage: str, tmp_path: Path) -> None:
    """By tables, and by the reader of features."""
    path = parquet(tmp_path)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(SourceError, match=r"t\.parquet: .*(cannot be read|malformed)"):
        geoembz.convert(path, tmp_path / "out.zarr")
    with pytest.raises(SourceError, match=r"t\.parquet: .*(cannot be read|malformed)"):
        read_features(path)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[:20], b"1,2,3", *lines[20:]],
        lambda lines: [*lines[:20], lines[20] + b",9,9", *lines[20:]],
        lambda lines: [*lines[:20], lines[20].replace(b".", b"\xff", 1), *lines[21:]],
        lambda lines: [lines[0].replace(b"lat", b"l\xe4t"), *lines[1:]],
        lambda _: [b""],
        lambda _: [b"\x00\x01\x02" * 100],
    ],
    ids=["short row", "long row", "bad bytes", "bad header", "empty", "binary"],
)
def test_damaged_csv_is_named(change: Callable[[list[bytes]], list[bytes]], tmp_path: Path) -> None:
    """Ragged rows, bytes that are no UTF-8, and no CSV at all."""
    path = csv(tmp_path)
    path.write_bytes(b"\n".join(change(path.read_bytes().split(b"\n"))))
    with pytest.raises(GeoembzError, match=r"t\.csv"):
        list(open_table(path).batches())
    with pytest.raises(GeoembzError, match=r"t\.csv"):
        geoembz.convert(path, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


def test_a_full_disk_is_said_with_the_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While rows are spilled, and while the file of other columns is written."""
    import errno

    from geoembz._convert import table_rows

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = parquet(tmp_path)
    for owner, name in ((table_rows.Spill, "_check_size"), (pq, "ParquetWriter")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, full)
            with pytest.raises(StoreError, match=r"out\.zarr.*No space left.*run the same command"):
                geoembz.convert(path, tmp_path / "out.zarr")
    geoembz.convert(path, tmp_path / "out.zarr")
    assert geoembz.open(tmp_path / "out.zarr").sizes["sample"] == 120
