"""Models and clusters of a part of a store: one date, one level, one zone of several."""

from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

import geoembz
from geoembz._map.model_file import load_model
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.conversion.test_grids import write_zones
from tests.map.conftest import MakeStore, read_tiff, vectors
from tests.map.labelling import KINDS, truth, write_points
from tests.map.test_change import two_dates


def check_map(reader: StoreReader, out: Path, saved: Path, date: int = 0) -> None:
    """Compare a map with what its model says of the decoded vectors."""
    values = vectors(reader, date)
    linear = load_model(saved).linear
    assert linear is not None
    outputs = np.tensordot(linear.weights, values, 1) + linear.bias[:, np.newaxis, np.newaxis]
    (found,) = read_tiff(out)
    valid = np.isfinite(values[0])
    assert found.shape == valid.shape
    assert (found[~valid] == 0).all()
    assert (found[valid] == outputs.argmax(axis=0)[valid] + 1).mean() > 0.999


def test_a_date_is_learned_and_mapped(
    make_store: MakeStore, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Each date by its own vectors; which one has to be said."""
    reader = two_dates(make_store, make_raster, pca=8)
    points = write_points(tmp_path / "l.csv", reader, np.append(KINDS, "")[truth(reader)])
    for date, time in enumerate(["2023", "2024"]):
        out, saved = tmp_path / f"{time}.tif", tmp_path / f"{time}.json"
        result = geoembz.map_classify(
            reader.url, out, labels=points, model="ridge", time=time, save_model=saved
        )
        check_map(reader, out, saved, date)
        accuracy = result.held_out.scores["accuracy"].value
        assert accuracy is not None
        assert accuracy > 0.7
    assert (tmp_path / "2023.json").read_bytes() != (tmp_path / "2024.json").read_bytes()
    with pytest.raises(InvalidConfigError, match="which date"):
        geoembz.map_classify(reader.url, tmp_path / "m.tif", labels=points)
    for time in ("2023", "2024"):
        geoembz.map_cluster(reader.url, tmp_path / f"k{time}.tif", k=3, time=time)
    assert (read_tiff(tmp_path / "k2024.tif")[0] == 0).sum() == 1 + (
        read_tiff(tmp_path / "k2023.tif")[0] == 0
    ).sum()


def test_a_level_is_learned_and_mapped(store: StoreReader, tmp_path: Path) -> None:
    """Labels lie on the level's own, larger pixels; a model of one level serves another."""
    points = write_points(tmp_path / "l.csv", store, np.append(KINDS, "")[truth(store)])
    geoembz.overviews(store.url, levels=1)
    saved = tmp_path / "m.json"
    geoembz.map_classify(
        store.url, tmp_path / "l.tif", labels=points, model="ridge", level=1, save_model=saved
    )
    check_map(StoreReader.open(store.url, level=1), tmp_path / "l.tif", saved)
    geoembz.map_classify(store.url, tmp_path / "full.tif", model=saved)
    check_map(StoreReader.open(store.url), tmp_path / "full.tif", saved)
    assert geoembz.map_cluster(store.url, tmp_path / "k.tif", k=3, level=1).map.shape == (35, 25)


def test_labels_of_all_zones_are_learned_from(tmp_path: Path) -> None:
    """Whichever zone is mapped; each label lies in one of them."""
    store = tmp_path / "zones.zarr"
    geoembz.convert(write_zones(tmp_path / "in"), store, quantizer="float32")
    lines = ["longitude,latitude,kind"]
    for zone in (32, 33):
        reader = StoreReader.open(f"{store}/utm{zone}n")
        grid, first = reader.attributes.grid, vectors(reader)[0]
        to_degrees = Transformer.from_crs(f"EPSG:326{zone}", "EPSG:4326", always_xy=True)
        for row in range(0, 24, 3):
            for col in range(0, 48, 3):
                x, y = to_degrees.transform(grid.x[col], grid.y[row])
                kind = "high" if first[row, col] > 0 else "low"
                lines.append(f"{x:.8f},{y:.8f},{kind}")
    points = tmp_path / "l.csv"
    points.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = geoembz.map_classify(
        store, tmp_path / "m.tif", labels=points, model="ridge", grid="utm33n"
    )
    assert result.held_out.trained == 2 * 8 * 16
    assert result.map.shape == (24, 48)
    with pytest.raises(InvalidConfigError, match="2 grids"):
        geoembz.map_classify(store, tmp_path / "n.tif", labels=points)
