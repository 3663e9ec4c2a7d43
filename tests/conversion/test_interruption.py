"""Interrupted conversions: a journal, never a store; and the same bytes once they are finished."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray

import geoembz
from geoembz._objects.tree import ObjectTree
from geoembz.errors import InvalidConfigError, SourceError, StoreError
from geoembz.sources import Source, SourceData, open_source
from tests.conftest import MakeRaster
from tests.trees import build_of, files, journal_of, names, objects

OPTIONS: dict[str, Any] = {"pca": 5, "chunk": 8, "shard": 16}
SHARDS = 4 * 3


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def interrupt(source: Any, store: Path, after: int, **options: Any) -> None:
    """Convert, and stop after so many shards."""

    def progress(done: int, _total: int) -> None:
        # The sample is read by tasks as well; their progress is not reported.
        if done >= after:
            raise Killed

    with pytest.raises(Killed):
        geoembz.convert(source, store, workers=1, progress=progress, **options)


def assert_is_no_store(path: Path) -> None:
    """No reader takes it for a store, and ours says what to do."""
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(path)
    with pytest.raises(FileNotFoundError):
        zarr.open_group(path, mode="r")
    with pytest.raises(FileNotFoundError):
        xr.open_zarr(path)


@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("after", [1, int(np.random.default_rng(1).integers(2, SHARDS)), SHARDS])
def test_a_resumed_conversion_gives_the_same_store(
    kind: str, after: int, raster_with_holes: Path, tmp_path: Path
) -> None:
    """Wherever it stopped, the same call finishes it, bit for bit."""
    options = {**OPTIONS, "quantizer": kind}
    whole = geoembz.convert(raster_with_holes, tmp_path / "whole", **options)
    interrupt(raster_with_holes, tmp_path / "parts", after, **options)
    assert_is_no_store(tmp_path / "parts")
    assert journal_of(tmp_path / "parts").exists()
    assert len(journal_of(tmp_path / "parts").finished()) == after
    resumed = geoembz.convert(raster_with_holes, tmp_path / "parts", **options)
    assert objects(tmp_path / "parts") == objects(tmp_path / "whole")
    same = ("pixels", "valid_pixels", "bytes_stored", "cosine", "cosine_centred", "rmse")
    assert [getattr(resumed, name) for name in same] == [getattr(whole, name) for name in same]


def test_interrupted_again_and_again(raster: Path, tmp_path: Path) -> None:
    """Every call goes on where the last one stopped; finished shards are not written twice."""
    geoembz.convert(raster, tmp_path / "whole", **OPTIONS)
    for _ in range(4):
        interrupt(raster, tmp_path / "parts", 2, **OPTIONS)
    assert len(journal_of(tmp_path / "parts").finished()) == 8
    shards = build_of(tmp_path / "parts") / "embedding" / "c"
    times = {path.relative_to(shards): path.stat().st_mtime_ns for path in files(shards)}
    geoembz.convert(raster, tmp_path / "parts", **OPTIONS)
    placed = tmp_path / "parts" / "embedding" / "c"
    assert len(times) == 8
    assert all((placed / path).stat().st_mtime_ns == time for path, time in times.items())
    assert objects(tmp_path / "parts") == objects(tmp_path / "whole")


@pytest.mark.parametrize(
    "change",
    [
        {"pca": 4},
        {"quantizer": "binary"},
        {"seed": 1},
        {"fit_samples": 99},
        {"layout": "codec"},
        {"chunk": 4},
        {"shard": 8},
        {"model": "urn:other"},
        {"license": "MIT"},
        {"nodata": 0},
        {"crs": "EPSG:32633"},
    ],
    ids=str,
)
def test_other_flags_do_not_resume(change: dict[str, Any], raster: Path, tmp_path: Path) -> None:
    """A journal is finished by the same conversion and by no other: nothing is mixed silently."""
    interrupt(raster, tmp_path / "out", 2, **OPTIONS)
    before = objects(tmp_path / "out")
    with pytest.raises(InvalidConfigError, match="overwrite=True"):
        geoembz.convert(raster, tmp_path / "out", **{**OPTIONS, **change})
    assert objects(tmp_path / "out") == before
    geoembz.convert(raster, tmp_path / "out", **{**OPTIONS, **change}, overwrite=True)
    assert geoembz.open(tmp_path / "out").sizes["y"] == 50


def test_a_changed_source_does_not_resume(
    raster: Path, scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Another file under the same name is another input."""
    source = shutil.copy(raster, tmp_path / "in.tif")
    interrupt(source, tmp_path / "out", 2, **OPTIONS)
    make_raster(tmp_path / "in.tif", scene + 1, blocksize=16)
    with pytest.raises(InvalidConfigError, match="sources"):
        geoembz.convert(source, tmp_path / "out", **OPTIONS)


class Failing:
    """A source that cannot be read below a row, as a truncated file cannot."""

    def __init__(self, source: Source, row: int) -> None:
        self.source, self.row = source, row

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def read(self, window: Any) -> SourceData:
        if window.row >= self.row:
            raise SourceError("in.tif: damaged")
        return self.source.read(window)


def test_a_failure_leaves_a_journal_or_nothing(raster: Path, tmp_path: Path) -> None:
    """A source that fails midway leaves what was done; one that fails at once leaves nothing."""
    basis = tmp_path / "basis"
    geoembz.convert(raster, basis, **OPTIONS)
    source: Any = Failing(open_source(raster), 48)
    fitted = geoembz.store.StoreReader.open(str(basis)).encoding
    cut: dict[str, Any] = {"chunk": 8, "shard": 16, "basis": fitted, "workers": 1}
    # The sample needs one row of blocks that can be read.
    with pytest.raises(SourceError, match="damaged"):
        geoembz.convert(source, tmp_path / "out", **cut)
    if (tmp_path / "out").exists():
        assert_is_no_store(tmp_path / "out")
    with pytest.raises(SourceError, match="damaged"):
        geoembz.convert(Failing(open_source(raster), 0), tmp_path / "none", **cut)
    assert not (tmp_path / "none").exists()


def test_overwrite_keeps_the_old_store_until_the_new_one_is_complete(
    raster: Path, tmp_path: Path
) -> None:
    """Interrupted, the old store is untouched; finished, the new one is in its place, alone."""
    out = tmp_path / "out.zarr"
    geoembz.convert(raster, out, pca=3)
    before = objects(out)
    interrupt(raster, out, SHARDS, overwrite=True, **OPTIONS)
    assert objects(out) == before
    assert geoembz.open(out).attrs["geoembz:recipe"] == "pca3-int8"
    geoembz.convert(raster, out, overwrite=True, **OPTIONS)
    geoembz.convert(raster, tmp_path / "fresh.zarr", **OPTIONS)
    assert objects(out) == objects(tmp_path / "fresh.zarr")
    assert names(tmp_path) == ["fresh.zarr", "out.zarr"]


def test_overwrite_is_never_stuck(raster: Path, tmp_path: Path) -> None:
    """After an interrupted overwrite another one starts anew, whatever its flags."""
    out = tmp_path / "out.zarr"
    geoembz.convert(raster, out, pca=3)
    interrupt(raster, out, 2, overwrite=True, **OPTIONS)
    summary = geoembz.convert(raster, out, overwrite=True, **{**OPTIONS, "seed": 1, "pca": 4})
    assert summary.recipe == "pca4-int8"
    assert names(tmp_path) == ["out.zarr"]


def test_nothing_of_an_abandoned_overwrite_gets_into_the_next(
    raster: Path, raster_with_holes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between completion and swap, the new store's shards do not fill later holes."""
    out = tmp_path / "out.zarr"
    geoembz.convert(raster, out, pca=3)

    def killed(*_: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("geoembz._convert.site.swap", killed)
        with pytest.raises(Killed):
            geoembz.convert(raster, out, overwrite=True, **OPTIONS)
    geoembz.convert(raster_with_holes, out, overwrite=True, **OPTIONS)
    geoembz.convert(raster_with_holes, tmp_path / "fresh.zarr", **OPTIONS)
    assert objects(out) == objects(tmp_path / "fresh.zarr")


def test_killed_before_the_plan_is_recorded(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal without a plan holds nothing to keep: the next conversion starts anew."""
    create = ObjectTree.create

    def killed(self: ObjectTree, key: str, content: bytes) -> bool:
        if key.endswith("plan.json"):
            raise Killed
        return create(self, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectTree, "create", killed)
        with pytest.raises(Killed):
            geoembz.convert(raster, tmp_path / "out", **OPTIONS)
    geoembz.convert(raster, tmp_path / "out", **OPTIONS)
    geoembz.convert(raster, tmp_path / "fresh", **OPTIONS)
    assert objects(tmp_path / "out") == objects(tmp_path / "fresh")


def test_killed_before_the_root_is_written(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root's metadata come last: with everything but them there is no store yet."""
    write = ObjectTree.write

    def killed(self: ObjectTree, key: str, content: bytes) -> None:
        if key == "zarr.json":
            raise Killed
        write(self, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectTree, "write", killed)
        with pytest.raises(Killed):
            geoembz.convert(raster, tmp_path / "out", **OPTIONS)
    assert_is_no_store(tmp_path / "out")
    geoembz.convert(raster, tmp_path / "out", **OPTIONS)
    geoembz.convert(raster, tmp_path / "fresh", **OPTIONS)
    assert objects(tmp_path / "out") == objects(tmp_path / "fresh")


def test_a_damaged_journal_is_refused(raster: Path, tmp_path: Path) -> None:
    """A journal whose encoding is not what it says is not resumed."""
    interrupt(raster, tmp_path / "out", 2, **OPTIONS)
    (path,) = build_of(tmp_path / "out").glob(".geoembz/encoding-*.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(geoembz.GeoembzError):
        geoembz.convert(raster, tmp_path / "out", **OPTIONS)
    geoembz.convert(raster, tmp_path / "out", overwrite=True, **OPTIONS)


def test_a_failure_keeps_the_user_s_empty_directory(
    scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """What was there before, even if empty, is there afterwards."""
    (tmp_path / "out").mkdir()
    path = make_raster(tmp_path / "in.tif", scene * np.nan)
    with pytest.raises(SourceError):
        geoembz.convert(path, tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_overwriting_a_symlink_replaces_what_it_points_to(raster: Path, tmp_path: Path) -> None:
    """A link stays a link; the store behind it is the new one, and no old data stay anywhere."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.zarr"
    link.symlink_to(tmp_path / "disk" / "real.zarr", target_is_directory=True)
    (tmp_path / "disk" / "real.zarr").mkdir()
    geoembz.convert(raster, link, pca=3)
    geoembz.convert(raster, link, overwrite=True, **OPTIONS)
    assert link.is_symlink()
    assert names(tmp_path / "disk") == ["real.zarr"]
    assert geoembz.open(tmp_path / "disk" / "real.zarr").attrs["geoembz:recipe"] == "pca5-int8"
