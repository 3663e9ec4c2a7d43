"""What counts something is a whole number, at every door: no TypeError from some depth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz.errors import InvalidConfigError

type Door = Callable[[Path, Any], object]

VECTOR = np.ones(8, np.float32)
POINT = [[600_005.0, 5_199_355.0]]


def raster(store: Path) -> Path:
    """Return the raster that the store was made of."""
    return store.with_name("embedding.tif")


DOORS: dict[str, Door] = {
    "open level": lambda store, n: geoembz.open(store, level=n),
    "open components": lambda store, n: geoembz.open(store, components=n),
    "sample level": lambda store, n: geoembz.sample(store, POINT, level=n),
    "search level": lambda store, n: geoembz.search(store, VECTOR, level=n),
    "search k": lambda store, n: geoembz.search(store, VECTOR, k=n),
    "search workers": lambda store, n: geoembz.search(store, VECTOR, workers=n),
    "export level": lambda store, n: geoembz.export(store, store.with_suffix(".tif"), level=n),
    "export components": lambda store, n: geoembz.export(
        store, store.with_suffix(".tif"), components=n
    ),
    "export aggregate": lambda store, n: geoembz.export(
        store, store.with_suffix(".tif"), aggregate=n
    ),
    "preview level": lambda store, n: geoembz.preview(store, store.with_suffix(".png"), level=n),
    "preview size": lambda store, n: geoembz.preview(store, store.with_suffix(".png"), size=n),
    **{
        f"map cluster {name}": lambda store, n, name=name: geoembz.map_cluster(  # type: ignore[misc]
            store, store.with_suffix(".tif"), **{"k": 3, name: n}
        )
        for name in ("k", "samples", "seed", "level", "workers")
    },
    **{
        f"map classify {name}": lambda store, n, name=name: geoembz.map_classify(  # type: ignore[misc]
            store, store.with_suffix(".tif"), labels=store.with_name("labels.tif"), **{name: n}
        )
        for name in ("samples", "seed", "level")
    },
    "overviews levels": lambda store, n: geoembz.overviews(store, levels=n, overwrite=True),
    "overviews workers": lambda store, n: geoembz.overviews(store, workers=n, overwrite=True),
    "verify workers": lambda store, n: geoembz.verify(store, workers=n),
    "publish workers": lambda store, n: geoembz.publish(store, f"{store}-p", workers=n),
    "append workers": lambda store, n: geoembz.append(
        store, raster(store), time="2024", workers=n
    ),
    "convert workers": lambda store, n: geoembz.convert(
        raster(store), store.with_name("b.zarr"), workers=n
    ),
    **{
        f"convert {name}": lambda store, n, name=name: geoembz.convert(  # type: ignore[misc]
            raster(store), store.with_name("b.zarr"), **{name: n}
        )
        for name in ("aggregate", "pca", "chunk", "shard", "prefix_chunks", "fit_samples", "seed")
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with one level."""
    folder = tmp_path_factory.mktemp("whole")
    files = geoembz.write_demo(folder, size=32, dimension=8)
    geoembz.convert(files.embedding, folder / "a.zarr", pca=4, chunk=16)
    geoembz.overviews(folder / "a.zarr", levels=1)
    return folder / "a.zarr"


@pytest.mark.parametrize("name", DOORS)
def test_part_numbers_are_refused_at_every_door(store: Path, name: str) -> None:
    """Halves, whole floats, texts and truths; the option is named, nothing is written."""
    before = sorted(path.name for path in store.parent.iterdir())
    option = name.rsplit(maxsplit=1)[-1]
    for value in (1.0, 2.5, True, *(["1"] if option != "shard" else [])):  # which may be "none"
        with pytest.raises(InvalidConfigError) as refused:
            DOORS[name](store, value)
        assert str(refused.value) == f"{option} {value!r}; expected a whole number"
    assert sorted(path.name for path in store.parent.iterdir()) == before


def test_integers_of_numpy_are_whole_numbers(store: Path) -> None:
    """They come from shapes and sums."""
    opened = geoembz.open(store, level=np.int64(1), components=np.int32(2))  # type: ignore[arg-type]
    assert opened.sizes["y"] == 16
