"""Damaged bytes give an error of ours or other numbers: no crash, no hang, no huge allocation."""

import json
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.registry import get_codec_class

from geoembz._geo.grid import Window
from geoembz.encoding import Encoding
from geoembz.errors import EncodingError, GeoembzError, StoreError
from geoembz.store import StoreReader
from tests.spec.test_vectors import CODECS, ENCODINGS, STORES, each_codec, read_json

SECONDS, PEAK_BYTES = 20.0, 64 * 2**20
each_encoding = pytest.mark.parametrize("path", ENCODINGS, ids=lambda path: path.stem)


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where the block takes long or much memory for inputs of a few kilobytes."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        yield
        assert time.monotonic() - started < SECONDS
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()


def damages(content: bytes, rng: np.random.Generator, count: int) -> Iterator[bytes]:
    """Yield the content cut and with one changed bit, at random places."""
    for _ in range(count):
        place = int(rng.integers(len(content)))
        yield content[:place]
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield bytes(flipped)


def read_all(store: Path) -> list[NDArray[Any]]:
    """Read every view of a store."""
    reader = StoreReader.open(str(store))
    window = Window(0, 0, *reader.shape)
    views = [reader.read(window, "reduced"), reader.read(window, "original")]
    return [np.asarray(reader.read_codes(window)), *views]


@pytest.mark.parametrize(
    "count",
    [1, pytest.param(3, marks=pytest.mark.long), pytest.param(8, marks=pytest.mark.experiment)],
)
@pytest.mark.parametrize("store", STORES, ids=lambda path: path.stem)
def test_damaged_stores(store: Path, count: int, tmp_path: Path) -> None:
    """Any object of a store cut or changed: `GeoembzError`, or numbers of the right shape."""
    copy = tmp_path / "copy.zarr"
    shutil.copytree(store, copy)
    shapes = [array.shape for array in read_all(copy)]
    rng = np.random.default_rng(count)
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for changed in damages(content, rng, count):
            path.write_bytes(changed)
            try:
                with bounded():
                    came = read_all(copy)
            except GeoembzError:
                continue
            assert [array.shape for array in came] == shapes, path
        path.write_bytes(content)


@each_encoding
def test_damaged_encoding_files(path: Path) -> None:
    """A file cut anywhere, or with any bit changed, is refused or is the same encoding."""
    content, original = path.read_bytes(), Encoding.load(path)
    rng = np.random.default_rng(len(path.stem))
    for changed in damages(content, rng, 60):
        try:
            with bounded():
                loaded = Encoding.from_bytes(changed)
        except EncodingError:
            continue
        assert loaded == original


def rewritten(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """Return an archive with every member passed through `change`."""
    buffer = BytesIO()
    with ZipFile(BytesIO(content)) as before, ZipFile(buffer, "w", ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, change(name, before.read(name)))
    return buffer.getvalue()


def npy(shape: tuple[int, ...], data: bytes, descr: str = "<f4") -> bytes:
    """Return a NumPy member that claims a shape, whatever its data."""
    buffer = BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + data


@pytest.mark.parametrize(
    "member",
    [
        npy((10**12,), b""),
        npy((2**62, 2**62), b""),
        npy((2**28,), b"\0" * 2**10),
        npy((-1,), b""),
        npy((3,), b"", descr="|O"),
        npy((3,), b"", descr="|V1000000000"),
        npy((0, 10**15), b""),
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + b"\xff" * 64,
    ],
)
@each_encoding
def test_members_that_claim_too_much_are_refused(path: Path, member: bytes) -> None:
    """The header of an array asks for memory: it gets none before its bytes are counted."""
    hostile = rewritten(
        path.read_bytes(), lambda name, data: member if name.startswith("variance") else data
    )
    with bounded(), pytest.raises(EncodingError):
        Encoding.from_bytes(hostile)


@pytest.mark.slow
def test_archives_that_inflate_without_end_are_refused() -> None:
    """Few compressed bytes that stand for more than a gibibyte together."""
    content = ENCODINGS[0].read_bytes()
    bomb, buffer = npy((2**24,), bytes(2**26)), BytesIO(content)
    with ZipFile(buffer, "a", ZIP_DEFLATED) as archive:
        for number in range(16):
            archive.writestr(f"more{number}.npy", bomb)
    with bounded(), pytest.raises(EncodingError, match="at most"):
        Encoding.from_bytes(buffer.getvalue())


@each_encoding
def test_hostile_json_of_an_encoding_is_refused(path: Path) -> None:
    """Any value of any type in any place: refused, unless it is a label or of the report."""
    content, original = path.read_bytes(), Encoding.load(path)
    with ZipFile(BytesIO(content)) as archive:
        document = json.loads(archive.read("encoding.json"))
    wrong: list[Any] = [None, [], {}, [[]], "x", "\ud800", True, -1, 0, 10**12, 10**400, 0.5]
    wrong += [float("nan"), float("inf"), {"a": 1}]
    for keys in places(document):
        for value in (value for value in wrong if value != value_at(document, keys)):
            changed = json.dumps(with_value(document, keys, value)).encode()
            hostile = with_json(content, changed)
            try:
                with bounded():
                    loaded = Encoding.from_bytes(hostile)
            except EncodingError:
                continue
            assert loaded == original
            assert keys[0] == "fit" or keys == ("encoding", "recipe"), (keys, value)


def with_json(content: bytes, document: bytes) -> bytes:
    """Return an encoding file with another JSON part."""
    return rewritten(content, lambda name, data: document if name == "encoding.json" else data)


def value_at(document: Any, keys: tuple[str, ...]) -> Any:
    """Return a member of a JSON document."""
    for key in keys:
        document = document[key]
    return document


def places(document: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every member of a JSON document, objects included."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield (*above, key)
            yield from places(value, (*above, key))


def with_value(document: Any, keys: tuple[str, ...], value: object) -> Any:
    """Return a copy with one member replaced."""
    first, rest = keys[0], keys[1:]
    return {**document, first: with_value(document[first], rest, value) if rest else value}


@each_codec
def test_damaged_codec_metadata(folder: Path) -> None:
    """JSON of a codec with changed bits: not JSON, `EncodingError`, or a codec that works."""
    content = (folder / "zarr.json").read_bytes()
    values = np.load(folder / "input.npy")
    for changed in damages(content, np.random.default_rng(len(folder.name)), 150):
        try:
            document = json.loads(changed)
            name = read_json(folder / "zarr.json")["name"]
            configuration = document["configuration"]
        except (ValueError, KeyError, TypeError):
            continue
        if not isinstance(configuration, dict):
            continue
        try:
            with bounded():
                codec: Any = get_codec_class(name)(**configuration)
                codec.stage.decode(codec.stage.encode(values))
        except EncodingError:
            continue


def test_every_codec_is_among_the_damaged() -> None:
    assert len({folder.name.partition("-")[0] for folder in CODECS}) == 11


@pytest.fixture
def store(tmp_path: Path) -> Path:
    golden = next(path for path in STORES if path.stem == "int8-plain")
    return Path(shutil.copytree(golden, tmp_path / "store.zarr"))


@pytest.mark.parametrize("shape", [[2**31], [2**20, 2**20], [10**15]])
def test_arrays_of_an_encoding_that_claim_too_much_are_refused(
    store: Path, shape: list[int]
) -> None:
    """An array without chunks is all fill value, and costs its whole size: refused before."""
    root = json.loads((store / "zarr.json").read_text())
    documents = [root["consolidated_metadata"]["metadata"]["encoding/variance"]]
    documents.append(json.loads((store / "encoding/variance/zarr.json").read_text()))
    for document in documents:
        document["shape"] = shape
        document["chunk_grid"]["configuration"]["chunk_shape"] = shape
        document["dimension_names"] = [f"d{axis}" for axis in range(len(shape))]
    (store / "zarr.json").write_text(json.dumps(root))
    (store / "encoding/variance/zarr.json").write_text(json.dumps(documents[1]))
    with bounded(), pytest.raises(StoreError, match="at most"):
        StoreReader.open(str(store))


def test_many_arrays_that_claim_much_together_are_refused(store: Path) -> None:
    """Each of them may pass, all of them may not."""
    group = zarr.open_group(store / "encoding", mode="r+")
    for number in range(9):
        group.create_array(f"more{number}", shape=(2**25,), chunks=(2**25,), dtype="f4")
    document = read_json(store / "zarr.json")
    del document["consolidated_metadata"]
    (store / "zarr.json").write_text(json.dumps(document))
    with bounded(), pytest.raises(StoreError, match="at most"):
        StoreReader.open(str(store))


def test_a_store_that_claims_a_huge_raster_opens_and_reads_windows(store: Path) -> None:
    """Its size alone costs nothing: only what is asked for is read, and it is nodata."""
    document = read_json(store / "zarr.json")
    document["attributes"]["spatial:shape"] = [10**9, 10**9]
    array = read_json(store / "embedding" / "zarr.json")
    array["shape"] = [array["shape"][0], 10**9, 10**9]
    document["consolidated_metadata"]["metadata"]["embedding"] = array
    (store / "zarr.json").write_text(json.dumps(document))
    (store / "embedding" / "zarr.json").write_text(json.dumps(array))
    with bounded():
        reader = StoreReader.open(str(store))
        values = reader.read(Window(10**8, 10**8, 4, 4), "original")
    assert np.isnan(values).all()
    assert values.shape[1:] == (4, 4)
