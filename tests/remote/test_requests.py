"""What opening and reading cost on a server: requests and bytes, counted at the HTTP level."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import geoembz
from geoembz._publish import copy_store
from geoembz.store.open import _KnownArrays
from tests.publish.conftest import Server
from tests.publish.fault_proxy import Answer, Proxy, fault_proxy
from tests.remote.conftest import forget_clients

CHUNK, SHARD = 8, 16
CHUNKS_PER_SHARD = (SHARD // CHUNK) ** 2
INDEX_BYTES = 16 * CHUNKS_PER_SHARD + 4
MOST_REQUESTS, MOST_BYTES = 10, 1.3

RECIPES: dict[str, dict[str, Any]] = {
    "codes with nodata": {"pca": 5},
    "a mask": {"pca": 5, "quantizer": "int4"},
    "most arrays": {"recipe": "l2-pca6w0.5-rot-int8-lloyd"},
}


@dataclass(frozen=True)
class Published:
    """A store on a server, behind a proxy that records, and its local original."""

    url: str
    local: Path
    proxy: Proxy

    def new_answers(self, before: int) -> list[Answer]:
        """Return the answers after so many."""
        return self.proxy.answers[before:]


@pytest.fixture(params=["s3", "http"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Return how the store is named: an S3 URL, or the address of a public bucket."""
    return str(request.param)


@pytest.fixture(scope="module", params=RECIPES)
def local(
    request: pytest.FixtureRequest,
    raster_with_holes: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Convert the scene with each recipe."""
    path = tmp_path_factory.mktemp("requests") / "out.zarr"
    geoembz.convert(raster_with_holes, path, chunk=CHUNK, shard=SHARD, **RECIPES[request.param])
    return path


@pytest.fixture
def published(
    scheme: str, local: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Published]:
    """Publish a store, then put the proxy between it and the reader."""
    copy_store(str(local), f"s3://{server.bucket}/data/out.zarr", endpoint_url=server.endpoint)
    server.make_public()
    with fault_proxy(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setattr("geoembz.store.open._known", _KnownArrays())
        forget_clients()
        base = f"s3://{server.bucket}" if scheme == "s3" else f"{proxy.url}/{server.bucket}"
        yield Published(f"{base}/data/out.zarr", local, proxy)
        forget_clients()


OPENERS: dict[str, Callable[[str], xr.Dataset]] = {
    "xarray": lambda url: xr.open_dataset(url, engine="geoembz"),
    "xarray, codes, dask": lambda url: xr.open_dataset(
        url, engine="geoembz", space="codes", chunks={}
    ),
    "geoembz": lambda url: geoembz.open(url, space="reduced"),
}


def test_opening_costs_few_requests_and_none_in_vain(published: Published) -> None:
    """At most ten, each a GET that finds its object: root metadata and the encoding's arrays.

    Whoever knows the encoding already asks for the metadata alone.
    """
    for number, opener in enumerate(OPENERS.values()):
        before = len(published.proxy.answers)
        assert opener(published.url)["x"].size > SHARD
        answers = published.new_answers(before)
        if number == 0:
            assert 1 < len(answers) <= MOST_REQUESTS
        else:
            assert len(answers) == 1
        assert {answer.status for answer in answers} <= {200, 206}
        assert {answer.request.method for answer in answers} == {"GET"}
        assert len({answer.request.path for answer in answers}) == len(answers)
    assert len(published.proxy.requests) == len(published.proxy.answers)


WINDOWS = {
    "point": (0, 1, 0, 1),
    "column": (3, 30, 2, 9),
    "shard": (0, 16, 0, 16),
    "middle": (9, 23, 9, 31),
    "stripe": (0, 48, 8, 16),
    "everything": (0, 50, 0, 45),
}


def test_a_window_costs_its_chunks(published: Published) -> None:
    """One index for each shard, once; the chunks' bytes with at most 30 % between them.

    Where a shard is not found, its array's digests are read: once, they tell lost from empty.
    """
    original = geoembz.open(published.local)["embedding"]
    dataset = geoembz.open(published.url)
    names = [name for name in ("embedding", "valid") if (published.local / name).exists()]
    looked_up: list[str] = []
    known: set[str] = set()
    for top, bottom, left, right in WINDOWS.values():
        before = len(published.proxy.answers)
        values = dataset["embedding"][:, top:bottom, left:right].values
        answers = published.new_answers(before)
        np.testing.assert_array_equal(values, original[:, top:bottom, left:right].values)
        digests = [a.request.path for a in answers if "/out.zarr/digests/" in a.request.path]
        looked_up += digests
        n_checked = len(digests)
        for name in names:
            mine = [answer for answer in answers if f"/out.zarr/{name}/" in answer.request.path]
            window = range(top, bottom), range(left, right)
            check_traffic(published.local, name, mine, window, known)
            n_checked += len(mine)
        assert n_checked == len(answers)
    assert len(looked_up) == len(set(looked_up)) <= len(names)


def check_traffic(
    store: Path, name: str, answers: list[Answer], window: tuple[range, range], known: set[str]
) -> None:
    """Compare the answers for one array with the shards and chunks that a window touches.

    `known` are the shards whose index came with an earlier window; those of this one are added.
    """
    rows, cols = window
    touched = {key_of(name, row // SHARD, col // SHARD) for row in rows for col in cols}
    there = {key for key in touched if (store / key).exists()}
    by_key: dict[str, list[Answer]] = {}
    for answer in answers:
        by_key.setdefault(answer.request.path.partition("/out.zarr/")[2], []).append(answer)
    assert by_key.keys() == touched
    for key in touched - there:
        assert [answer.status for answer in by_key[key]] == [404]
    fetched = 0
    for key in there:
        indexes = [a for a in by_key[key] if a.request.byte_range.startswith("bytes=-")]
        assert len(indexes) == (key not in known)
        assert {answer.status for answer in by_key[key]} == {206}
        assert len(by_key[key]) <= len(indexes) + CHUNKS_PER_SHARD
        fetched += sum(answer.size for answer in by_key[key] if answer not in indexes)
    known |= there
    needed = sum(needed_chunks(store, name, rows, cols))
    assert needed <= fetched <= MOST_BYTES * needed


def key_of(name: str, row: int, col: int) -> str:
    """Return the key of a shard."""
    return f"{name}/c/0/{row}/{col}" if name == "embedding" else f"{name}/c/{row}/{col}"


def needed_chunks(store: Path, name: str, rows: range, cols: range) -> list[int]:
    """Return the sizes of the chunks that hold a window, from the indexes of the local shards."""
    places = {(row // CHUNK, col // CHUNK) for row in rows for col in cols}
    per_shard = SHARD // CHUNK
    sizes = []
    for row, col in sorted(places):
        path = store / key_of(name, row // per_shard, col // per_shard)
        if path.exists():
            index = path.read_bytes()[-INDEX_BYTES:-4]
            entries = struct.unpack(f"<{2 * CHUNKS_PER_SHARD}Q", index)
            place = (row % per_shard) * per_shard + col % per_shard
            if entries[2 * place] != 2**64 - 1:
                sizes.append(entries[2 * place + 1])
    return sizes
