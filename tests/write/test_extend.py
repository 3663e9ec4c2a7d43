"""A date is added window by window as `append` adds a raster."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Encoding, Window
from geoembz.errors import InvalidConfigError, StoreError
from tests.trees import objects
from tests.write.conftest import SIZES, fill, shards_of


@pytest.fixture
def two_stores(raster: Path, encoding: Encoding, tmp_path: Path) -> tuple[Path, Path]:
    """Return two stores of one date, with overviews."""
    for name in ("appended", "extended"):
        geoembz.convert(
            raster, tmp_path / name, basis=encoding, time="2023", overviews=True, **SIZES
        )
    return tmp_path / "appended", tmp_path / "extended"


def test_a_date_has_the_bytes_of_an_appended_one(
    two_stores: tuple[Path, Path], raster_with_holes: Path, vectors: NDArray[np.float32]
) -> None:
    """Levels included; readers see the store as it was until the end; a closed job goes on."""
    appended, extended = two_stores
    geoembz.append(appended, raster_with_holes, time="2024")
    with geoembz.extend(extended, time="2024", sources=["file:scene"]) as writer:
        for window in writer.missing(20)[::3]:
            writer.write(window, vectors[:, *window.slices])
        assert geoembz.StoreReader.open(str(extended)).dates == ("2023-01-01",)
    with pytest.raises(InvalidConfigError, match=r"unfinished date, 2024-01-01; .*geoembz\.extend"):
        geoembz.overviews(extended, levels=1, overwrite=True)
    with geoembz.extend(extended, time="2024", sources=["file:scene"]) as writer:
        fill(writer, vectors, 20, seed=1)
        summary = writer.finish()
    assert isinstance(summary, geoembz.AppendSummary)
    assert summary.time == "2024-01-01"
    assert summary.valid_pixels == np.isfinite(vectors).all(axis=0).sum()
    assert shards_of(objects(extended)) == shards_of(objects(appended))
    entry = json.loads((extended / "zarr.json").read_bytes())["attributes"]["geoembz:times"][1]
    assert [source["uri"] for source in entry["sources"]] == ["file:scene"]
    assert geoembz.verify(extended).problems == ()


def test_a_date_is_replaced(
    two_stores: tuple[Path, Path], raster_with_holes: Path, vectors: NDArray[np.float32]
) -> None:
    """Only where that is asked for."""
    appended, extended = two_stores
    with pytest.raises(InvalidConfigError, match=r"holds 2023-01-01 already.*replace_date=True"):
        geoembz.extend(extended, time="2023")
    geoembz.append(appended, raster_with_holes, time="2023", replace_date=True)
    with geoembz.extend(extended, time="2023", replace_date=True) as writer:
        fill(writer, vectors, 20)
        writer.finish()
    assert shards_of(objects(extended)) == shards_of(objects(appended))


def test_what_has_no_time_axis(raster: Path, encoding: Encoding, tmp_path: Path) -> None:
    """A store without one, and no store at all; neither is touched."""
    geoembz.convert(raster, tmp_path / "out", basis=encoding, **SIZES)
    before = objects(tmp_path / "out")
    with pytest.raises(StoreError, match="no time axis"):
        geoembz.extend(tmp_path / "out", time="2024")
    assert objects(tmp_path / "out") == before
    with pytest.raises(StoreError):
        geoembz.extend(tmp_path / "none", time="2024")
    assert not (tmp_path / "none").exists()


def test_dates_of_a_created_store(
    raster: Path, encoding: Encoding, scene: NDArray[np.float32], tmp_path: Path
) -> None:
    """With its layers."""
    months = geoembz.Layer("months", "uint8")
    options = {"like": raster, "encoding": encoding, "time": "2024", "layers": [months], **SIZES}
    with geoembz.create(tmp_path / "out", **options) as writer:
        fill(writer, scene, 50)
        writer.finish()
    with geoembz.extend(tmp_path / "out", time="2023") as writer:
        writer.write(Window(0, 0, 50, 45), scene, layers={"months": np.full((50, 45), 7, np.uint8)})
        summary = writer.finish()
    assert "stored behind 2024-01-01" in summary.notes[0]
    stored = geoembz.StoreReader.open(str(tmp_path / "out")).layers["months"][...]
    assert np.all(stored == np.array([0, 7])[:, None, None]).all()
