"""What a store's attributes say of its levels (spec/format.md, "Overviews")."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pyproj import CRS

from geoembz._geo.grid import Grid
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.store.attributes import StoreAttributes
from geoembz.store.digests import root_content
from geoembz.store.levels import Level, count_levels
from geoembz.store.schema import check_attributes

GRID = Grid(
    CRS("EPSG:32633").to_wkt("WKT2_2019"), "EPSG:32633", (10.0, 0.0, 5e5, 0.0, -10.0, 5.3e6), (5, 7)
)
NOTHING = {"cosine": None, "cosine_centred": None, "rmse": None, "n": 0}


@pytest.fixture(scope="module")
def attributes() -> StoreAttributes:
    """Attributes of a store with two levels."""
    encoding = Encoding.fit(np.eye(3, dtype=np.float32), "float32")
    levels = [
        replace(Level.of(GRID, number), pixels={"total": size, "valid": size}, fidelity=NOTHING)
        for number, size in ((1, 12), (2, 4))
    ]
    return StoreAttributes(
        grid=GRID,
        layout="plain",
        encoding=encoding.config(),
        encoding_hash=encoding.hash,
        original_dtype="float32",
        stored_dtype="float32",
        fit={"n_samples": 3, "seed": 0, "explained_variance": 1.0},
        sources=({"uri": "file:a.tif"},),
        fidelity=NOTHING,
        pixels={"total": 35, "valid": 35},
        levels=tuple(levels),
        unit_length=True,
    )


def test_attributes_of_levels_come_back(attributes: StoreAttributes) -> None:
    read = _read(attributes.to_json())
    assert (read.levels, read.unit_length) == (attributes.levels, True)
    assert [level.grid.shape for level in read.levels] == [(3, 4), (2, 2)]
    assert read.levels[1].grid.transform == (40.0, 0.0, 5e5, 0.0, -40.0, 5.3e6)


def test_a_store_without_levels_declares_no_multiscales(attributes: StoreAttributes) -> None:
    document = replace(attributes, levels=()).to_json()
    assert "multiscales" not in document
    assert "multiscales" not in [entry["name"] for entry in document["zarr_conventions"]]
    assert StoreAttributes.from_json("a.zarr", document).levels == ()


def _read(document: dict[str, Any]) -> StoreAttributes:
    sealed = json.loads(root_content({"attributes": document}, {}))["attributes"]
    check_attributes("a.zarr", sealed)
    return StoreAttributes.from_json("a.zarr", document)


@pytest.mark.parametrize(
    ("number", "key", "value"),
    [
        (0, "asset", "overviews/1"),
        (0, "spatial:shape", [5, 8]),
        (1, "asset", "overviews/4"),
        (2, "spatial:shape", [1, 1]),
        (1, "asset", "../other"),
    ],
)
def test_levels_that_cannot_be_are_refused(
    attributes: StoreAttributes, number: int, key: str, value: Any
) -> None:
    document = deepcopy(attributes.to_json())
    document["multiscales"]["layout"][number][key] = value
    with pytest.raises(StoreError, match="the store is damaged"):
        _read(document)


def test_more_levels_than_a_raster_has_are_refused() -> None:
    assert count_levels((100, 3), 4) == 4
    with pytest.raises(InvalidConfigError, match="levels 5; expected 1 to 4 for 100 x 3 pixels"):
        count_levels((100, 3), 5)
    with pytest.raises(InvalidConfigError, match=r"levels 1\.5; expected a whole number"):
        count_levels((100, 3), 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "most"), [(10**5, 11), (10**6, 11), (4 * 10**6, 13)])
def test_levels_that_would_make_huge_shards_are_refused(side: int, most: int) -> None:
    """A shard lies above whole pixels of the coarsest level: one level more doubles its sides."""
    assert count_levels((side, side), most) == most
    with pytest.raises(InvalidConfigError, match=f"expected 1 to {most} for"):
        count_levels((side, side), most + 1)
