"""Windows read past Zarr's pipeline are what Zarr reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, ZstdCodec

from geoembz.store.local_chunks import LocalChunks
from geoembz.store.packing import DELTA

SHAPE = (2, 3, 21, 14)
CHUNK = (1, 2, 4, 3)
FORMS = {
    "shards": (CHUNK, (1, 4, 8, 6)),
    "one chunk in a shard": (CHUNK, CHUNK),
    "no shards": (CHUNK, None),
    "an archive": (CHUNK, (1, 4, 8, 6)),
}
DIFFERENCES = [{"name": DELTA, "configuration": {"dtype": "|i1"}}]


def make(
    path: Path,
    chunk: Sequence[int],
    shard: Sequence[int] | None,
    dtype: str = "int8",
    **options: Any,
) -> zarr.Array[Any]:
    """Write an array of which whole shards and single chunks are absent."""
    defaults: dict[str, Any] = {"compressors": [ZstdCodec(level=1, checksum=True)], "fill_value": 7}
    array = zarr.create_array(
        path,
        shape=SHAPE,
        dtype=dtype,
        chunks=tuple(chunk),
        shards=None if shard is None else tuple(shard),
        **{**defaults, **options},
    )
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, SHAPE)
    values[0, :, 8:, 6:] = values[1, :, :4, :3] = array.fill_value
    array[...] = values.astype(dtype)
    return zarr.open_array(path, mode="r")


@pytest.fixture(scope="module", params=FORMS)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LocalChunks, NDArray[Any]]:
    """Return an array of each form, and its content."""
    filters: dict[str, Any] = {"filters": DIFFERENCES} if request.param == "an archive" else {}
    array = make(tmp_path_factory.mktemp("array") / "a", *FORMS[request.param], **filters)
    local = LocalChunks.of(array)
    assert local is not None
    return local, np.asarray(array[...])


def spans(size: int) -> st.SearchStrategy[slice]:
    edges = st.tuples(st.integers(0, size), st.integers(0, size))
    return edges.map(lambda pair: slice(min(pair), max(pair)))


def test_every_whole_chunk_is_what_zarr_reads(
    stored: tuple[LocalChunks, NDArray[Any]],
) -> None:
    """These are returned as they were decompressed, or made where there is no object."""
    local, values = stored
    for place in np.ndindex(*(size // side for size, side in zip(SHAPE, CHUNK, strict=True))):
        date, *starts = (at * side for at, side in zip(place, CHUNK, strict=True))
        window = (date, *(slice(a, a + n) for a, n in zip(starts, CHUNK[1:], strict=True)))
        np.testing.assert_array_equal(local.read(window), values[window])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    date=st.integers(0, SHAPE[0] - 1),
    components=spans(SHAPE[1]),
    rows=spans(SHAPE[2]),
    cols=spans(SHAPE[3]),
)
def test_every_window_is_what_zarr_reads(
    stored: tuple[LocalChunks, NDArray[Any]],
    date: int,
    components: slice,
    rows: slice,
    cols: slice,
) -> None:
    """A date, some components and any window, over absent chunks and the array's edge."""
    local, whole = stored
    came = local.read((date, components, rows, cols))
    np.testing.assert_array_equal(came, whole[date, components, rows, cols])
    assert came.dtype == whole.dtype


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", "float32"])
def test_every_type_of_codes(tmp_path: Path, dtype: str) -> None:
    array = make(tmp_path / "a", *FORMS["shards"], dtype, fill_value=0)
    local = LocalChunks.of(array)
    assert local is not None
    everything = (slice(None),) * len(SHAPE)
    np.testing.assert_array_equal(local.read(everything), np.asarray(array[...]))


@pytest.mark.parametrize(
    "options", [{"compressors": [BloscCodec()]}, {"compressors": None}], ids=["blosc", "raw"]
)
def test_other_forms_are_left_to_zarr(tmp_path: Path, options: dict[str, Any]) -> None:
    """What our writer does not make is not guessed at."""
    assert LocalChunks.of(make(tmp_path / "a", *FORMS["shards"], **options)) is None


def test_other_stores_are_left_to_zarr() -> None:
    assert LocalChunks.of(zarr.create_array({}, shape=(4,), dtype="int8")) is None


def damaged(path: Path, edit: int | slice) -> LocalChunks:
    """Return an array of which one object was cut (a slice) or had a byte flipped (a position)."""
    array = make(path, *FORMS["shards"])
    target = min(file for file in (path / "c").rglob("*") if file.is_file())
    content = bytearray(target.read_bytes())
    if isinstance(edit, slice):
        content = content[edit]
    else:
        content[edit] ^= 1
    target.write_bytes(content)
    local = LocalChunks.of(array)
    assert local is not None
    return local


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (slice(0, 10), "truncated"),
        (slice(3, None), "(?i)corrupt|damaged|truncated|invalid|no zstd"),
        (-10, "checksum"),
        (-1, "checksum"),
        (20, "(?i)corrupt|checksum|damaged|invalid"),
    ],
    ids=["no index", "moved", "index", "index checksum", "chunk"],
)
def test_damage_is_an_error(tmp_path: Path, edit: int | slice, message: str) -> None:
    """Cut shards, a changed index and a changed chunk are found, never read as nodata."""
    local = damaged(tmp_path / "a", edit)
    with pytest.raises((ValueError, RuntimeError), match=message):
        local.read((0, slice(None), slice(None), slice(None)))


@pytest.mark.parametrize("claimed", [0, 2**62])
def test_a_chunk_that_claims_another_size_is_refused(tmp_path: Path, claimed: int) -> None:
    """Before anything is allocated for it."""
    array = make(tmp_path / "a", CHUNK, None, fill_value=0)
    frame = b"\x28\xb5\x2f\xfd\xe0" + claimed.to_bytes(8, "little") + b"\x01\x00\x00"
    for path in (tmp_path / "a" / "c").rglob("*"):
        if path.is_file():
            path.write_bytes(frame)
    local = LocalChunks.of(array)
    assert local is not None
    with pytest.raises(ValueError, match="damaged"):
        local.read((0, slice(None), slice(None), slice(None)))
