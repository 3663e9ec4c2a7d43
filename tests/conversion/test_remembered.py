"""No block that takes time to read is read twice: what the fit has read is kept."""

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._convert import run, sampling
from geoembz._convert.sampling import SampleCache
from geoembz._geo.grid import Window
from geoembz.sources import open_source
from geoembz.sources.base import SourceData
from geoembz.sources.raster import RasterSource
from tests.conftest import MakeRaster
from tests.trees import objects


@pytest.fixture
def deflated(scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path) -> Path:
    """Write the scene compressed: what is not, the system keeps in memory."""
    return make_raster(tmp_path / "scene.tif", scene, blocksize=16, compress="deflate")


def test_a_conversion_reads_every_block_once(
    deflated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And makes the store that it makes where nothing can be kept."""
    monkeypatch.setattr(sampling, "_READ_BYTES", 1)
    reads: Counter[Window] = Counter()
    read = RasterSource.read

    def counted(self: RasterSource, window: Window) -> SourceData:
        reads[window] += 1
        return read(self, window)

    monkeypatch.setattr(RasterSource, "read", counted)
    geoembz.convert(deflated, tmp_path / "kept", pca=4)
    assert len(reads) > 8
    assert set(reads.values()) == {1}
    monkeypatch.setattr(sampling, "_CACHED_BYTES", 0)
    geoembz.convert(deflated, tmp_path / "forgotten", pca=4)
    assert max(reads.values()) == 3
    assert objects(tmp_path / "kept") == objects(tmp_path / "forgotten")


def test_remote_sources_keep_what_the_fit_reads(raster: Path) -> None:
    """However much is read at once: of local ones only those of which that is a whole block."""
    source = open_source(raster)
    assert not run._is_remote(source)
    (info,) = source.info
    source.info = (replace(info, uri="s3://bucket/tile.tif"),)  # type: ignore[misc]
    assert run._is_remote(source)


def test_whole_blocks_are_kept(deflated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of small blocks the fit reads one in a run of several, which is not what is converted."""
    source = open_source(deflated)
    assert not sampling.reads_whole_blocks(source)
    monkeypatch.setattr(sampling, "_READ_BYTES", 1)
    assert sampling.reads_whole_blocks(source)


def test_what_lies_in_a_mapped_file_is_not_kept(raster: Path) -> None:
    """It would count as memory of ours, and costs nothing to read again."""
    source = SampleCache(open_source(raster))
    source.first_read(Window(0, 0, 16, 16))
    assert not source._cached


def test_other_processes_get_nothing_that_is_kept(deflated: Path) -> None:
    """A copy reads for itself, and the same."""
    source = SampleCache(open_source(deflated))
    window = Window(0, 0, 16, 16)
    kept = source.first_read(window)
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own
    assert not copy._cached
    assert np.array_equal(copy.read(window).values, kept.values)
    assert source.read(window) is kept
    assert source.read(window) is not kept
