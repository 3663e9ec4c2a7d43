"""Inputs in a bucket, signed and anonymous: what is read there is what is read from a disk."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

import geoembz
from geoembz._objects.stores import s3_is_anonymous
from geoembz.errors import SourceChangedError, SourceError
from geoembz.sources import open_source
from geoembz.sources.inputs import expand, table_files
from tests import products, tables
from tests.publish.conftest import SECRET, Server
from tests.remote.conftest import forget_clients
from tests.trees import objects

_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """Run moto in another process: rasterio holds Python's lock while GDAL reads a header."""
    pytest.importorskip("moto.server")
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        host, port = process.stdout.readline().split()
        yield f"http://{host}:{port}"
        process.stdin.close()


@pytest.fixture
def inputs(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Return a folder of every kind of input."""
    folder = tmp_path / "in"
    codes = products.aef_codes(32, 48)
    for index in range(2):
        transform = (10.0, 0.0, 500_000.0 + 480 * index, 0.0, -10.0, 5_300_000.0)
        products.write_aef(folder / "aef" / f"t{index}.tif", codes, transform=transform)
    small = rng.integers(-127, 128, size=(8, 8, 128), dtype=np.int8)
    products.write_tessera_npy(folder / "tessera", small, np.full((8, 8), 0.1, np.float32))
    products.write_aef_zarr(folder / "mosaic.zarr", codes[np.newaxis])
    (folder / "chips").mkdir()
    for index in range(2):
        tables.plain(folder / "chips" / f"{index}.parquet", rng, rows=60, row_group_size=7)
    item = {"type": "Feature", "assets": {"embeddings": {"href": "./aef/t0.tif"}}}
    (folder / "item.json").write_text(json.dumps(item))
    return folder


@pytest.fixture(params=["signed", "anonymous"])
def prefix(
    request: pytest.FixtureRequest, inputs: Path, bucket: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Return the URL of the folder's copy in a bucket; of a public one, without credentials."""
    for path in inputs.rglob("*"):
        if path.is_file():
            bucket.put(f"in/{path.relative_to(inputs).as_posix()}", path.read_bytes())
    if request.param == "anonymous":
        bucket.make_public()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
    s3_is_anonymous.cache_clear()
    forget_clients()
    yield f"s3://{bucket.bucket}/in"
    s3_is_anonymous.cache_clear()


@pytest.mark.parametrize(
    "name", ["aef/t1.tif", "tessera/grid_9.05_47.85.npy", "mosaic.zarr", "item.json"]
)
def test_rasters_in_a_bucket_are_rasters(
    name: str, inputs: Path, prefix: str, bucket: Server
) -> None:
    """A file, a tile with its companions, a Zarr store, a STAC item."""
    if name == "mosaic.zarr" and s3_is_anonymous() and bucket.kind == "moto":
        pytest.skip("moto answers no HEAD without credentials, which S3 and the gateway do")
    near, far = open_source(inputs / name), open_source(f"{prefix}/{name}")
    window = near.grid.window
    assert far.grid == near.grid
    one, other = near.read(window).decode(), far.read(window).decode()
    np.testing.assert_array_equal(other.values, one.values)
    assert far.info[0].uri.startswith("s3://")


def test_prefixes_and_globs_are_mosaics(inputs: Path, prefix: str, tmp_path: Path) -> None:
    """The store differs from that of local files in its metadata only: in the inputs' names."""
    geoembz.convert(inputs / "aef", tmp_path / "near.zarr", pca=8)
    near = objects(tmp_path / "near.zarr")
    for index, given in enumerate((f"{prefix}/aef/", f"{prefix}/aef/t*.tif")):
        assert [path.rpartition("/")[2] for path in expand([given])] == ["t0.tif", "t1.tif"]
        geoembz.convert(given, tmp_path / f"{index}.zarr", pca=8)
        far = objects(tmp_path / f"{index}.zarr")
        assert {key for key in near if near[key] != far[key]} == {"zarr.json"}
    sources = json.loads(far["zarr.json"])["attributes"]["geoembz:sources"]
    assert [source["uri"] for source in sources] == [f"{prefix}/aef/t{i}.tif" for i in (0, 1)]
    assert all(source["version"] for source in sources)


def test_tables_in_a_bucket_are_tables(inputs: Path, prefix: str, tmp_path: Path) -> None:
    """A prefix of Parquet files is one table."""
    assert len(table_files(f"{prefix}/chips/") or ()) == 2
    geoembz.convert(inputs / "chips", tmp_path / "near.zarr", recipe="pca8-int8")
    geoembz.convert(f"{prefix}/chips/", tmp_path / "far.zarr", recipe="pca8-int8")
    near, far = objects(tmp_path / "near.zarr"), objects(tmp_path / "far.zarr")
    differing = {key for key in near if near[key] != far[key]}
    assert differing <= {"zarr.json", "table.parquet"}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("aef/", "aef/t1.tif"),
        ("mosaic.zarr", "mosaic.zarr/zarr.json"),
        ("chips/", "chips/1.parquet"),
    ],
)
def test_objects_that_change_are_refused(
    name: str, changed: str, inputs: Path, bucket: Server, tmp_path: Path
) -> None:
    """Another ETag at the end, also of an object that was found in a listing."""
    for path in (inputs / name).rglob("*"):
        if path.is_file():
            bucket.put(f"in/{path.relative_to(inputs).as_posix()}", path.read_bytes())
    content = (inputs / changed).read_bytes()
    bytes_back = content[:-1] + bytes([content[-1] ^ 1])  # of the same size

    def change(done: int, _total: int) -> None:
        if done == 1:
            bucket.put(f"in/{changed}", bytes_back)

    options: dict[str, Any] = {} if name == "chips/" else {"chunk": 16, "shard": 16}
    with pytest.raises(SourceChangedError, match=f"{Path(changed).name}: changed while"):
        geoembz.convert(
            f"s3://{bucket.bucket}/in/{name}",
            tmp_path / "out",
            recipe="int8",
            workers=1,
            progress=change,
            **options,
        )
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_is_named_without_secrets(prefix: str, tmp_path: Path) -> None:
    for name in ("absent.tif", "absent.parquet", "absent/", "absent.json"):
        with pytest.raises(SourceError, match="absent") as caught:
            geoembz.convert(f"{prefix}/{name}", tmp_path / "out.zarr")
        assert SECRET not in str(caught.value)
    assert not (tmp_path / "out.zarr").exists()


@pytest.fixture
def masked(tmp_path: Path) -> tuple[Path, NDArray[np.bool_]]:
    """Write a raster with a mask file beside it; return it and where it is valid."""
    values = products.unit_vectors(70, 90, dimension=4)
    known = np.ones((70, 90), np.bool_)
    known[:20], known[40, 5] = False, False
    path = products.write_raster(tmp_path / "in" / "m.tif", values)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(known)
    assert path.with_name("m.tif.msk").exists()
    return path, known


def test_a_mask_beside_an_object_holds(
    masked: tuple[Path, NDArray[np.bool_]],
    bucket: Server,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The configured server is asked for it, when opening, reading, and checking by place."""
    path, known = masked
    for file in path.parent.iterdir():
        bucket.put(f"deep/{file.name}", file.read_bytes())
    url = f"s3://{bucket.bucket}/deep/m.tif"
    summary = geoembz.convert(url, tmp_path / "out", quantizer="float32", check=True)
    assert summary.valid_pixels == known.sum()
    assert summary.checked_pixels
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    np.testing.assert_array_equal(np.isfinite(decoded).all(axis=0), known)
    assert "amazonaws" not in "".join(capfd.readouterr())


def test_a_mask_beside_a_file_on_a_web_server_holds(
    masked: tuple[Path, NDArray[np.bool_]], bucket: Server, tmp_path: Path
) -> None:
    """The same over HTTP, where nothing is signed."""
    bucket.make_public("s3:*")
    path, known = masked
    for file in path.parent.iterdir():
        bucket.put(f"deep/{file.name}", file.read_bytes())
    url = f"{bucket.endpoint}/{bucket.bucket}/deep/m.tif"
    summary = geoembz.convert(url, tmp_path / "out", quantizer="float32")
    assert summary.valid_pixels == known.sum()
