"""Arrays on a server are read in few requests, and never by the index of an object that went."""

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from benchmarks.serving import RangeHandler, Served, serving
from geoembz._objects.ranges import IN_FLIGHT_SETTING, in_flight
from geoembz.errors import InvalidConfigError
from geoembz.store.remote_chunks import RemoteChunks
from geoembz.store.writer import open_zarr_store
from tests.store.test_local_chunks import CHUNK, FORMS, SHAPE, make, spans

EVERYTHING = (slice(None),) * len(SHAPE)
SHARD = (0, slice(0, 3), slice(0, 8), slice(0, 6))
"""One shard: eight chunks, which lie one after the other."""


class Unsigned(RangeHandler):
    """A server that does not say which version of an object it sends."""

    def send_header(self, keyword: str, value: str) -> None:
        """Leave the ETag out."""
        if keyword != "ETag":
            super().send_header(keyword, value)


class Crowded(RangeHandler):
    """A server that counts how many it serves at once."""

    latency_s = 0.1
    lock = threading.Lock()
    now = most = 0

    def do_GET(self) -> None:  # noqa: N802 - the base's name
        """Send, and count."""
        with self.lock:
            Crowded.now += 1
            Crowded.most = max(self.most, self.now)
        try:
            super().do_GET()
        finally:
            with self.lock:
                Crowded.now -= 1


class Moody(RangeHandler):
    """A server that is overloaded at every second request for a part."""

    count = 0

    def do_GET(self) -> None:  # noqa: N802 - the base's name
        """Send, or refuse."""
        Moody.count += "Range" in self.headers
        if "Range" in self.headers and Moody.count % 2:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()


def remote(served: Served, name: str = "a") -> RemoteChunks:
    """Return an array that is served, as it is read."""
    array = zarr.open_array(open_zarr_store(f"{served.url}/{name}"), mode="r")
    found = RemoteChunks.of(array)
    assert found is not None
    return found


@pytest.fixture(scope="module", params=FORMS)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RemoteChunks, NDArray[Any]]]:
    """Serve an array of each form; return it with its content."""
    folder = tmp_path_factory.mktemp("served")
    filters: dict[str, Any] = {}
    if request.param == "an archive":
        filters = {"filters": [{"name": "numcodecs.delta", "configuration": {"dtype": "|i1"}}]}
    array = make(folder / "a", *FORMS[request.param], **filters)
    with serving(folder) as served:
        yield remote(served), np.asarray(array[...])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    date=st.integers(0, SHAPE[0] - 1),
    components=spans(SHAPE[1]),
    rows=spans(SHAPE[2]),
    cols=spans(SHAPE[3]),
)
def test_every_window_is_what_zarr_reads(
    stored: tuple[RemoteChunks, NDArray[Any]],
    date: int,
    components: slice,
    rows: slice,
    cols: slice,
) -> None:
    """A date, some components and any window, over absent chunks and the array's edge."""
    chunks, whole = stored
    came = chunks.read((date, components, rows, cols))
    np.testing.assert_array_equal(came, whole[date, components, rows, cols])
    assert came.dtype == whole.dtype


def test_an_index_is_asked_for_once(tmp_path: Path) -> None:
    """By several threads, for several windows; neighbours come in one request."""
    whole = np.asarray(make(tmp_path / "a", *FORMS["shards"])[...])
    with serving(tmp_path) as served:
        chunks = remote(served)
        before = len(served.log)
        threads = [threading.Thread(target=chunks.read, args=(SHARD,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ranges = [wanted for _, wanted, _ in served.log[before:]]
        assert len([wanted for wanted in ranges if wanted.startswith("bytes=-")]) == 1
        assert len(ranges) == 1 + len(threads)
        np.testing.assert_array_equal(chunks.read(SHARD), whole[SHARD])
        assert len(served.log) == before + len(ranges) + 1


@pytest.mark.parametrize("handler", [RangeHandler, Unsigned])
def test_the_index_of_a_former_object_is_not_believed(
    handler: type[RangeHandler], tmp_path: Path
) -> None:
    """Chunks of equal sizes, others of them absent: offsets fit, and lead to another chunk."""
    array = zarr.create_array(
        tmp_path / "a", shape=SHAPE, dtype="int8", chunks=CHUNK, shards=(1, 4, 8, 6),
        compressors=[ZstdCodec(level=1, checksum=True)], fill_value=0,
    )  # fmt: skip
    array[0, :, 0:8, 0:3], array[0, :, 4:8, 3:6] = 1, 2
    with serving(tmp_path, handler=handler) as served:
        chunks = remote(served)
        np.testing.assert_array_equal(chunks.read(SHARD), np.asarray(array[SHARD]))
        array[0, :, 0:4, 0:3], array[0, :, 0:4, 3:6] = 0, 3
        np.testing.assert_array_equal(chunks.read(SHARD), np.asarray(array[SHARD]))


def test_servers_that_do_not_sign_are_asked_again(tmp_path: Path) -> None:
    """Without an ETag nobody would notice that the object is another one."""
    make(tmp_path / "a", *FORMS["shards"])
    with serving(tmp_path, handler=Unsigned) as served:
        chunks = remote(served)
        chunks.read(SHARD)
        before = len(served.log)
        chunks.read(SHARD)
        assert len(served.log) == before + 2


@pytest.mark.parametrize(
    ("edit", "said"),
    [(-10, "checksum"), (slice(0, 10), "truncated"), (20, "(?i)corrupt|checksum|damaged|invalid")],
)
def test_damage_is_an_error(edit: int | slice, said: str, tmp_path: Path) -> None:
    """A changed index, a cut shard, a changed chunk: never read as nodata."""
    make(tmp_path / "a", *FORMS["shards"])
    target = min(file for file in (tmp_path / "a" / "c").rglob("*") if file.is_file())
    content = bytearray(target.read_bytes())
    if isinstance(edit, slice):
        content = content[edit]
    else:
        content[edit] ^= 1
    target.write_bytes(content)
    with serving(tmp_path) as served, pytest.raises((ValueError, RuntimeError), match=said):
        remote(served).read((0, slice(None), slice(None), slice(None)))


def test_requests_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there may be are under way at once, and no more."""
    monkeypatch.setattr("geoembz._objects.ranges._slots", {})
    monkeypatch.setenv(IN_FLIGHT_SETTING, "3")
    whole = np.asarray(make(tmp_path / "a", CHUNK, None)[...])
    with serving(tmp_path, handler=Crowded) as served:
        served_array = remote(served)
        Crowded.most = 0
        np.testing.assert_array_equal(served_array.read(EVERYTHING), whole)
    assert 1 < Crowded.most <= 3


@pytest.mark.parametrize("text", ["0", "-1", "many", "2.5"])
def test_the_limit_is_a_whole_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else is refused in words."""
    monkeypatch.setenv(IN_FLIGHT_SETTING, text)
    with pytest.raises(InvalidConfigError, match=f"{IN_FLIGHT_SETTING}={text}: expected a whole"):
        in_flight()


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    """A server that is overloaded now and then is no error."""
    whole = np.asarray(make(tmp_path / "a", *FORMS["shards"])[...])
    with serving(tmp_path, handler=Moody) as served:
        np.testing.assert_array_equal(remote(served).read(SHARD), whole[SHARD])
        assert Moody.count == 4


def test_it_can_be_pickled(tmp_path: Path) -> None:
    """Workers elsewhere open it anew."""
    whole = np.asarray(make(tmp_path / "a", *FORMS["shards"])[...])
    with serving(tmp_path) as served:
        chunks = remote(served)
        chunks.read(SHARD)
        again = pickle.loads(pickle.dumps(chunks))  # noqa: S301 - our own bytes
        np.testing.assert_array_equal(again.read(EVERYTHING), whole)
