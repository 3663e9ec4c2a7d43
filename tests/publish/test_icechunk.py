"""Stores in Icechunk repositories: committed, read, grown by a date, and as they were before."""

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._objects.icechunk import RepositoryUrl, import_icechunk
from geoembz._objects.tree import ObjectTree
from geoembz.errors import (
    DestinationExistsError,
    InvalidConfigError,
    MissingPackageError,
    SourceError,
    StoreError,
)
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.conversion.test_grids import write_zones
from tests.map.conftest import MakeStore, content_of, scene, vectors
from tests.map.test_change import later
from tests.publish.conftest import Server
from tests.publish.test_cli import run
from tests.publish.test_tables import table_store

icechunk = pytest.importorskip("icechunk", reason="the package icechunk is not installed")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """Convert a store of one date."""
    folder = tmp_path_factory.mktemp("icechunk")
    source = make_raster(folder / "scene.tif", scene(np.random.default_rng(3)))
    geoembz.convert(source, folder / "s.zarr", pca=8, time="2023", chunk=16, shard=32)
    return folder / "s.zarr"


@pytest.fixture
def plain(original: Path, tmp_path: Path) -> Path:
    """Return a store of one date, which others can be appended to."""
    return Path(shutil.copytree(original, tmp_path / "plain.zarr"))


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """Return where a repository may be made."""
    return f"icechunk+file://{tmp_path}/repository"


def add_date(store: Path, make_raster: MakeRaster) -> None:
    """Append a second date."""
    rng = np.random.default_rng(3)
    source = make_raster(store.with_name("later.tif"), later(scene(rng), rng))
    geoembz.append(store, source, time="2024")


def objects_of(url: str) -> dict[str, bytes]:
    """Return all objects of a store, by key."""
    tree = ObjectTree(url)
    return {key: tree.read(key) or b"" for key in tree.keys()}  # noqa: SIM118 - a tree is no mapping


def raw_repository(url: str) -> Any:
    """Open a repository as its own users do."""
    return icechunk.Repository.open(
        icechunk.local_filesystem_storage(RepositoryUrl.parse(url).location)
    )


def test_a_store_is_the_same_to_the_byte(plain: Path, repository: str) -> None:
    """So its digests hold, and everything that reads a store reads this one."""
    url = f"{repository}@main"
    report = geoembz.publish(plain, url, message="the first")
    assert report.n_uploaded == report.n_objects == len(content_of(plain))
    assert objects_of(url) == content_of(plain)
    snapshot = next(raw_repository(url).ancestry(branch="main"))
    assert (snapshot.id, snapshot.message) == (report.snapshot, "the first")
    assert not geoembz.verify(url).problems
    reader = StoreReader.open(url)
    assert reader.url == f"{repository}@{report.snapshot}"
    np.testing.assert_array_equal(vectors(reader), vectors(StoreReader.open(str(plain))))
    info = geoembz.info(url)
    assert isinstance(info, geoembz.StoreInfo)
    assert info.encoding_hash == reader.encoding.hash


def test_parts_of_objects(plain: Path, repository: str) -> None:
    """As of files: from a place, up to one, the last ones, and beyond the end."""
    geoembz.publish(plain, f"{repository}@main")
    trees = ObjectTree(plain), ObjectTree(f"{repository}@main")
    for key in ("zarr.json", "embedding/c/0/0/0/0"):
        size = trees[0].size(key)
        assert size is not None
        assert trees[1].size(key) == size
        for part in (
            (0, 4),
            (7, 90),
            (-16, None),
            (5, None),
            (size - 3, size + 9),
            (size + 1, None),
        ):
            assert trees[1].read_part(key, *part) == trees[0].read_part(key, *part)
    assert trees[1].read("zarr.json", 10) is not None
    assert trees[1].read_part("embedding/c/0/9/9/9", 0, 4) is None
    assert trees[1].size("none/zarr.json") is None
    for prefix in ("", "embedding/c/0", "digests", ".geoembz/"):
        assert trees[1].sizes(prefix) == trees[0].sizes(prefix)


def test_what_is_no_store_of_ours_stays(plain: Path, repository: str) -> None:
    """Whatever a branch has, be it without a group at its root."""
    import zarr

    url = f"{repository}@main"
    storage = icechunk.local_filesystem_storage(RepositoryUrl.parse(url).location)
    session = icechunk.Repository.create(storage).writable_session("main")
    zarr.create_array(session.store, name="below/other", shape=(3,), dtype="i4")
    session.commit("somebody's")
    with pytest.raises(DestinationExistsError, match="holds another store"):
        geoembz.publish(plain, url)


@pytest.mark.slow
def test_other_readers(plain: Path, repository: str, tmp_path: Path) -> None:
    """Searches, samples, maps, dask and samples for training."""
    url = f"{repository}@main"
    geoembz.publish(plain, url)
    dataset = geoembz.open(plain)
    chunks: Any
    for chunks in (None, {}):
        found = geoembz.open(url, chunks=chunks)["embedding"]
        np.testing.assert_array_equal(found.values, dataset["embedding"].values)
    place = [(float(dataset.x[20]), float(dataset.y[20]))]
    results = [
        geoembz.search(store, geoembz.vectors_at(store, place, crs="EPSG:32632"), k=4)
        for store in (url, plain)
    ]
    np.testing.assert_array_equal(results[0].cols, results[1].cols)
    samples = [geoembz.sample(store, place, crs="EPSG:32632").vectors for store in (url, plain)]
    np.testing.assert_array_equal(samples[0], samples[1])
    for store in (url, plain):
        geoembz.map_cluster(store, tmp_path / f"{store is url}.tif", k=3)
    assert (tmp_path / "True.tif").read_bytes() == (tmp_path / "False.tif").read_bytes()
    patches = geoembz.patches(url, 10)
    np.testing.assert_array_equal(patches[:], geoembz.patches(plain, 10)[:])


def test_a_new_date_is_a_second_snapshot(
    plain: Path, repository: str, make_raster: MakeRaster
) -> None:
    """Only what is new is written; who reads the first goes on with it, and can ask for it."""
    url = f"{repository}@main"
    first = geoembz.publish(plain, url)
    reader, dataset = StoreReader.open(url), geoembz.open(url)
    patches = pickle.dumps(geoembz.patches(url, 10))
    before = vectors(reader)
    raw_repository(url).create_tag("v1", first.snapshot)
    add_date(plain, make_raster)
    second = geoembz.publish(plain, url)
    assert second.snapshot != first.snapshot
    assert first.n_objects < second.n_objects
    shards = {key for key in content_of(plain) if key.startswith("embedding/c/0/")}
    assert 0 < second.n_uploaded <= second.n_objects - len(shards)
    assert objects_of(url) == content_of(plain)
    assert StoreReader.open(url).dates == ("2023-01-01", "2024-01-01")
    np.testing.assert_array_equal(vectors(reader), before)
    assert dataset.sizes["time"] == 1
    assert np.isfinite(dataset["embedding"].values).any()
    pickle.loads(patches)[0]  # noqa: S301 - our own
    for former in (f"{repository}@v1", f"{repository}@{first.snapshot}"):
        assert StoreReader.open(former).dates == ("2023-01-01",)
        np.testing.assert_array_equal(vectors(StoreReader.open(former)), before)
    messages = [entry.message for entry in raw_repository(url).ancestry(branch="main")]
    assert messages[:2] == ["geoembz publish plain.zarr"] * 2


def test_nothing_new_is_no_snapshot(plain: Path, repository: str) -> None:
    """The same command again says so."""
    url = f"{repository}@main"
    first = geoembz.publish(plain, url)
    again = geoembz.publish(plain, url)
    assert again.snapshot == first.snapshot
    assert again.n_uploaded == 0
    assert "nothing was committed" in again.to_table()


def test_a_branch_that_moves_meanwhile(
    plain: Path, repository: str, make_raster: MakeRaster
) -> None:
    """Is a conflict: nothing is committed, and the same command again works."""
    url = f"{repository}@main"
    geoembz.publish(plain, url)
    add_date(plain, make_raster)

    def move(done: int, total: int) -> None:
        if done == total:
            session = raw_repository(url).writable_session("main")
            session.commit("somebody else's", allow_empty=True)

    with pytest.raises(StoreError, match=r"conflict: branch 'main' moved on from snapshot"):
        geoembz.publish(plain, url, progress=move)
    assert StoreReader.open(url).dates == ("2023-01-01",)
    geoembz.publish(plain, url)
    assert StoreReader.open(url).dates == ("2023-01-01", "2024-01-01")


@pytest.mark.slow
def test_another_store_replaces_one_on_request(
    plain: Path,
    repository: str,
    make_store: MakeStore,
) -> None:
    """Else it is refused; what the first had and the other has not goes."""
    url = f"{repository}@main"
    geoembz.overviews(plain, levels=1)
    first = geoembz.publish(plain, url)
    other = make_store("other", pca=4)
    with pytest.raises(DestinationExistsError, match="holds another store"):
        geoembz.publish(other.url, url)
    geoembz.publish(other.url, url, overwrite=True)
    assert objects_of(url) == content_of(Path(other.url))
    assert objects_of(f"{repository}@{first.snapshot}") == content_of(plain)


def test_stores_without_digests(repository: str, tmp_path: Path, request: Any) -> None:
    """Those of format 0.1 are compared object by object."""
    store = request.config.rootpath / "spec" / "vectors" / "0.1" / "stores" / "int4-plain.zarr"
    shutil.copytree(store, tmp_path / "old.zarr")
    url = f"{repository}@main"
    first = geoembz.publish(tmp_path / "old.zarr", url)
    assert objects_of(url) == content_of(tmp_path / "old.zarr")
    assert geoembz.publish(tmp_path / "old.zarr", url).snapshot == first.snapshot


def test_a_source_of_conversions(plain: Path, repository: str, tmp_path: Path) -> None:
    """The snapshot that was read is in the provenance, without a folder of this machine."""
    url = f"{repository}@main"
    snapshot = geoembz.publish(plain, url).snapshot
    geoembz.convert(url, tmp_path / "again.zarr", recipe="float32")
    (source,) = StoreReader.open(str(tmp_path / "again.zarr")).attributes.sources
    assert source["uri"] == f"icechunk+file:repository@{snapshot}"
    geoembz.publish(url, tmp_path / "back.zarr", stac=False)
    assert content_of(tmp_path / "back.zarr") == content_of(plain)


@pytest.mark.slow
def test_all_zones(repository: str, tmp_path: Path) -> None:
    """Groups of a repository are the grids of a store."""
    store = tmp_path / "zones.zarr"
    geoembz.convert(write_zones(tmp_path / "in"), store, quantizer="float32")
    url = f"{repository}@main"
    geoembz.publish(store, url)
    assert objects_of(url) == content_of(store)
    assert isinstance(geoembz.info(url), geoembz.RootInfo)
    reader = StoreReader.open(f"{url}/utm33n")
    np.testing.assert_array_equal(vectors(reader), vectors(StoreReader.open(f"{store}/utm33n")))
    patches = pickle.loads(pickle.dumps(geoembz.patches(url, 6)))  # noqa: S301 - our own
    np.testing.assert_array_equal(patches[:], geoembz.patches(store, 6)[:])
    assert not geoembz.verify(url).problems


def test_on_a_server(
    server: Server,
    plain: Path,
    make_raster: MakeRaster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the endpoint and the credentials of all of S3; two snapshots, and none for strangers."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    url = f"icechunk+s3://{server.bucket}/tiles@main"
    first = geoembz.publish(plain, url)
    before = vectors(StoreReader.open(url))
    add_date(plain, make_raster)
    geoembz.publish(plain, url)
    assert objects_of(url) == content_of(plain)
    assert StoreReader.open(url).dates == ("2023-01-01", "2024-01-01")
    former = StoreReader.open(f"icechunk+s3://{server.bucket}/tiles@{first.snapshot}")
    np.testing.assert_array_equal(vectors(former), before)
    with pytest.raises(StoreError, match="no Icechunk repository at"):
        geoembz.open(f"icechunk+s3://{server.bucket}/elsewhere@main")


def test_the_command(plain: Path, repository: str) -> None:
    """Prints the snapshot; the message is the commit's."""
    url = f"{repository}@main"
    printed = run(str(plain), url, "--message", "County by county")
    entry = next(raw_repository(url).ancestry(branch="main"))
    assert entry.message == "County by county"
    assert f"snapshot {entry.id}" in printed


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("@elsewhere", {}, "no branch 'elsewhere'; the repository has main"),
        ("@main/utm32n", {}, "leave /utm32n out"),
        ("", {}, "names no branch of a repository"),
        ("@main", {"viewer": True}, "viewer with"),
        ("@main", {"start": "2024"}, "start"),
    ],
)
def test_what_cannot_be_published(
    plain: Path, repository: str, target: str, options: dict[str, Any], message: str
) -> None:
    """Tags and snapshots, groups, and what would lie beside a store."""
    with pytest.raises((InvalidConfigError, StoreError), match=message):
        geoembz.publish(plain, f"{repository}{target}", **options)


def test_tables(tmp_path: Path, repository: str) -> None:
    """Rows and their places are arrays; columns of text are a file, which is none."""
    x, y = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    store = table_store(tmp_path, x, y, crs="EPSG:32632")
    geoembz.publish(store, f"{repository}@main")
    found = geoembz.open(f"{repository}@main")["embedding"]
    np.testing.assert_array_equal(found.values, geoembz.open(store)["embedding"].values)
    assert not geoembz.verify(f"{repository}@main").problems
    (store / "table.parquet").write_bytes(b"")
    with pytest.raises(InvalidConfigError, match=r"table\.parquet, which is no part of a Zarr"):
        geoembz.publish(store, f"{repository}@main")


def test_a_message_is_for_commits(plain: Path, tmp_path: Path) -> None:
    """A plain copy has none."""
    with pytest.raises(InvalidConfigError, match="is no Icechunk repository"):
        geoembz.publish(plain, tmp_path / "copy.zarr", message="hello")


def test_other_commands_do_not_write_there(
    plain: Path, repository: str, make_raster: MakeRaster, rng: np.random.Generator
) -> None:
    """They say what does."""
    url = f"{repository}@main"
    geoembz.publish(plain, url)
    source = make_raster(plain.with_name("s.tif"), scene(rng))
    for write in (
        lambda: geoembz.convert(source, url, pca=4),
        lambda: geoembz.append(url, source, time="2025"),
        lambda: geoembz.overviews(url),
    ):
        with pytest.raises(InvalidConfigError, match=r"commit it: geoembz publish STORE"):
            write()
    with pytest.raises(StoreError, match="cannot be written: a snapshot never changes"):
        ObjectTree(url).write("zarr.json", b"{}")


def test_what_is_not_there(plain: Path, repository: str) -> None:
    """No repository, no such branch, tag or snapshot, no store."""
    with pytest.raises(StoreError, match="no Icechunk repository at"):
        geoembz.open(f"{repository}@main")
    geoembz.publish(plain, f"{repository}@main")
    with pytest.raises(StoreError, match=r"no branch, tag or snapshot 'mian'.*branches main"):
        geoembz.open(f"{repository}@mian")
    with pytest.raises((SourceError, StoreError), match="no branch, tag or snapshot"):
        geoembz.convert(f"{repository}@mian", plain.with_name("x.zarr"))
    first = next(iter(list(raw_repository(f"{repository}@main").ancestry(branch="main"))[::-1]))
    with pytest.raises(StoreError, match="no Zarr store"):
        geoembz.open(f"{repository}@{first.id}")


def test_without_the_package(plain: Path, repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "icechunk", None)
    for use in (
        lambda: geoembz.open(f"{repository}@main"),
        lambda: geoembz.publish(plain, f"{repository}@main"),
    ):
        with pytest.raises(MissingPackageError, match=r"pip install 'geoembz\[icechunk\]'"):
            use()


def test_a_forked_process_does_not_wait_for_ever(
    repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to be started anew: Icechunk's threads do not live through a fork."""
    import_icechunk(repository)
    parent = os.getpid()
    monkeypatch.setattr("os.getpid", lambda: parent + 1)
    with pytest.raises(StoreError, match="start workers anew: multiprocessing_context='spawn'"):
        import_icechunk(repository)


def test_repositories_of_others(repository: str, tmp_path: Path) -> None:
    """Vectors that xarray wrote, at the root or in a group, are a source as in a plain store."""
    import xarray as xr

    values = np.random.default_rng(0).normal(size=(6, 24, 20)).astype(np.float32)
    coordinates = {"y": 5e6 - 10.0 * np.arange(24), "x": 4e5 + 10.0 * np.arange(20)}
    array = xr.DataArray(values, coordinates, ("band", "y", "x"), "embedding")
    storage = icechunk.local_filesystem_storage(RepositoryUrl.parse(f"{repository}@main").location)
    session = icechunk.Repository.create(storage).writable_session("main")
    for group, factor in ((None, 1), ("later", 2)):
        (array * factor).to_dataset().to_zarr(session.store, group=group, consolidated=False)
    session.commit("by others")
    for place, factor in (("@main", 1), ("@main/later", 2)):
        store = tmp_path / f"{factor}.zarr"
        geoembz.convert(f"{repository}{place}", store, quantizer="float32", crs="EPSG:32632")
        np.testing.assert_array_equal(geoembz.open(store)["embedding"].values, values * factor)
