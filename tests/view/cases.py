"""Stores of every kind of recipe, and what Python computes of them: the page must find the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import geoembz
from geoembz._view.tiff_objects import TiffObjects
from tests.conftest import MakeRaster

RECIPES: dict[str, dict[str, Any]] = {
    "float32": {},
    "float16": {},
    "int8": {},
    "pca8-int8": {},
    "pca8-int8-prefix": {"recipe": "pca8-int8", "prefix_chunks": 4},
    "pca8-int8-codec": {"recipe": "pca8-int8", "layout": "codec"},
    "pca8-int8-unsharded": {"recipe": "pca8-int8", "shard": None},
    "pca8-int8-lloyd": {},
    "pca8-int8-archive": {"recipe": "pca8-int8", "archive": True},
    "pca12-binary-archive": {"recipe": "pca12-binary", "archive": True, "shard": None},
    "svd8-int4": {},
    "pca7-int4-lloyd": {},
    "pca8-int2": {},
    "select9-ternary": {},
    "pca12-binary": {},
    "rot-binary": {},
    "pca12w0.5-itq-binary": {},
    "pca8-pq4x8": {},
    "pca8-rq4x8": {},
    "pca8w0.5-rq3x8": {},
    "pca8w0.5-rot-pq4x8": {},
    "pca8w1-rot-int8-quantile": {},
    "random8-float16": {},
    "l2-pca8-int8": {},
    "l2-aef": {},
    "power1x40": {},
}
"""Options of `geoembz.convert` by the name of a case: the recipe, unless they say another."""

PREFIXES = {
    "pca8-int8": 3,
    "pca8-int8-prefix": 4,
    "svd8-int4": 4,
    "pca8-int2": 4,
    "select9-ternary": 4,
    "pca12-binary": 8,
    "random8-float16": 2,
}
"""How many components a first look takes, by the name of a case."""

SHAPE, DIMENSION = (40, 56), 16
N_LABELLED = 60


def scene(date: int) -> NDArray[np.float32]:
    """Return vectors ``(16, 40, 56)`` with a mean, correlated components and a hole."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(DIMENSION, DIMENSION)) * 0.7 ** np.arange(DIMENSION)
    values = np.einsum("dk,kyx->dyx", mixing, rng.normal(size=(DIMENSION, *SHAPE)))
    values += rng.normal(size=(DIMENSION, 1, 1))
    if date == 1:  # another order of places, another hole
        values = values[:, ::-1]
    values[:, 5:9, :30] = np.nan
    return np.asarray(0.2 * values, dtype=np.float32)


def write_cases(folder: Path, make_raster: MakeRaster) -> None:
    """Write stores, arrays and ``index.json``, which names them."""
    folder.mkdir(parents=True)
    first, second = (make_raster(folder / f"{seed}.tif", scene(seed)) for seed in (0, 1))
    single = [write_case(folder, name, options, first) for name, options in RECIPES.items()]
    dated = [
        write_dates(folder, recipe, first, second)
        for recipe in ("pca8-int8", "pca8w0.5-rot-pq4x8", "l2-pca8-int4", "float32")
    ]
    index = {
        "stores": single,
        "changes": dated,
        "levels": [write_levels(folder, recipe, first) for recipe in ("pca8-int8", "pca8-int4")],
        "starts": write_long_chunks(folder, make_raster),
        "maps": write_maps(folder, make_raster),
    }
    (folder / "index.json").write_text(json.dumps(index))


def write_case(folder: Path, name: str, options: dict[str, Any], source: Path) -> dict[str, Any]:
    """Convert, then search and classify in Python; return the case's entry in the index."""
    store = folder / f"{name}.zarr"
    flat = {"recipe": name, "chunk": 16, "shard": 32, **options}
    geoembz.convert(source, store, **flat)
    save = saver(folder, name)
    original = geoembz.open(store).embedding.values
    metrics = ["cosine", "dot", "euclidean"] + ["hamming"] * ("binary" in name)
    if name != "rot-binary":  # a rotation alone: nothing says how components vary
        metrics += ["cosine-w0.5", "euclidean-w0.25"]
    query = scene(0)[:, 20, 33]
    return {
        "store": store.name,
        "query": save("query", query),
        "original": save("original", original),
        "scores": {metric: save(metric, scores(store, query, metric)) for metric in metrics},
        "models": [write_model(save, original, n_classes) for n_classes in (2, 3)],
        "prefix": write_prefix(save, store, query, PREFIXES[name]) if name in PREFIXES else None,
    }


def write_dates(folder: Path, recipe: str, first: Path, second: Path) -> dict[str, Any]:
    """Convert two dates, the later one first, and compare them."""
    store = folder / f"dates-{recipe}.zarr"
    geoembz.convert(second, store, recipe=recipe, chunk=16, shard=32, time="2025")
    geoembz.append(store, first, time="2024")
    before, after = geoembz.open(store).sortby("time").embedding.values.astype(np.float64)
    lengths = np.linalg.norm(before, axis=0) * np.linalg.norm(after, axis=0)
    save = saver(folder, store.stem)
    return {
        "store": store.name,
        "cosine": save("cosine", 1 - (before * after).sum(axis=0) / lengths),
        "euclidean": save("euclidean", np.linalg.norm(before - after, axis=0)),
    }


def write_levels(folder: Path, recipe: str, source: Path) -> dict[str, Any]:
    """Write a store with overviews; save the codes of its levels as Zarr has them."""
    store = folder / f"levels-{recipe}.zarr"
    geoembz.convert(source, store, recipe=recipe, chunk=16, shard=32)
    geoembz.overviews(store, levels=3)
    save = saver(folder, store.stem)
    root = zarr.open_group(store, mode="r")
    paths = ["", "overviews/2/", "overviews/4/", "overviews/8/"]
    codes = [np.asarray(root[f"{path}embedding"]) for path in paths]
    return {"store": store.name, "codes": [save(str(n), level) for n, level in enumerate(codes)]}


def write_maps(folder: Path, make_raster: MakeRaster) -> list[dict[str, Any]]:
    """Write maps of each kind as Zarr groups, and one GeoTIFF as the page gets it: as objects."""
    store, dated = folder / "pca8-int8.zarr", folder / "dates-pca8-int8.zarr"
    dates: dict[str, Any] = {"start": "2024", "end": "2025"}
    wide = np.random.default_rng(5).normal(size=(4, 700, 601)).astype(np.float32)
    wide[:, :90] = np.nan
    geoembz.convert(make_raster(folder / "wide.tif", wide), folder / "wide.zarr", chunk=64)
    made = [
        geoembz.map_similar(store, folder / "similar.zarr", vector=scene(0)[:, 20, 33]),
        geoembz.map_change(dated, folder / "change.zarr", **dates),
        geoembz.map_change(dated, folder / "difference.zarr", **dates, difference=3),
        geoembz.map_cluster(store, folder / "clusters.zarr", k=4).map,
    ]
    tiff = geoembz.map_cluster(folder / "wide.zarr", folder / "wide-clusters.tif", k=3).map
    copy_objects(TiffObjects.open(tiff.out), folder / "wide-clusters.zarr")
    return [
        *(write_map_case(folder, Path(each.out), each) for each in made),
        write_map_case(folder, folder / "wide-clusters.zarr", tiff),
    ]


def write_map_case(folder: Path, place: Path, made: Any) -> dict[str, Any]:
    """Save the values of a map at each level; return the case's entry in the index."""
    root = zarr.open_group(place, mode="r")
    bands = made.bands
    listed: Any = root.attrs.get("multiscales") or {"layout": [{"transform": {"scale": [1]}}]}
    factors = [int(entry["transform"]["scale"][0]) for entry in listed["layout"]]
    save = saver(folder, f"map-{place.stem}")
    levels = []
    for factor in factors:
        path = "map" if factor == 1 else f"overviews/{factor}/map"
        stored = np.asarray(root[path]).astype(np.float64)
        values = np.where(stored == bands.nodata, np.nan, stored) * bands.scale
        levels.append({"factor": factor, "values": save(f"level{factor}", values)})
    summary = made.to_json()
    return {
        "map": place.name,
        "kind": bands.kind,
        "bands": list(bands.names),
        "classes": summary["classes"],
        "shown": list(bands.shown),
        "stretch": [
            [end * bands.scale for end in sums.stretch] if sums.count else None
            for sums in made.figures.bands
        ],
        "valid_pixels": summary["valid_pixels"],
        "levels": levels,
    }


def copy_objects(objects: TiffObjects, place: Path) -> None:
    """Write what the page would be served of a GeoTIFF into a folder."""
    root = objects.root
    for path, document in {"": root, **root["consolidated_metadata"]["metadata"]}.items():
        target = place / path / "zarr.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document))
        if document["node_type"] == "group":
            continue
        shape, chunk = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
        for index in np.ndindex(*(-(-n // side) for n, side in zip(shape, chunk, strict=True))):
            key = "/".join([path, "c", *map(str, index)])
            content = objects.read(key)
            assert content is not None
            (place / key).parent.mkdir(parents=True, exist_ok=True)
            (place / key).write_bytes(content)


def write_long_chunks(folder: Path, make_raster: MakeRaster) -> list[str]:
    """Write stores whose chunks are several blocks of zstd long, and return their names."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(40, 128, 150)).astype(np.float32)
    values[:, :9] = np.nan
    source = make_raster(folder / "long.tif", values)
    names = ["long-int8.zarr", "long-float16.zarr"]
    for name in names:
        recipe = name.removeprefix("long-").removesuffix(".zarr")
        geoembz.convert(source, folder / name, recipe=recipe, chunk=128, shard=256)
    return names


def scores(store: Path, query: NDArray[np.float32], metric: Any) -> NDArray[np.float64]:
    """Return the scores of all pixels by `geoembz.search`, NaN where there is no embedding."""
    found = geoembz.search(store, query, SHAPE[0] * SHAPE[1], metric)
    everywhere = np.full(SHAPE, np.nan)
    everywhere[found.rows[0], found.cols[0]] = found.scores[0]
    return everywhere


def write_prefix(
    save: Callable[[str, NDArray[Any]], str], store: Path, query: NDArray[np.float32], count: int
) -> dict[str, Any]:
    """Compare a query with vectors decoded from the first components."""
    vectors = geoembz.open(store, components=count).embedding.values.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=0) * np.linalg.norm(query)
    cosines = np.einsum("d,dyx->yx", query, vectors) / lengths
    return {"components": count, "cosine": save("prefix", cosines)}


def write_model(
    save: Callable[[str, NDArray[Any]], str], original: NDArray[np.float32], n_classes: int
) -> dict[str, Any]:
    """Train scikit-learn's model at some places; return the places, labels and probabilities."""
    rng = np.random.default_rng(n_classes)
    rows, cols = rng.integers(10, SHAPE[0], N_LABELLED), rng.integers(0, SHAPE[1], N_LABELLED)
    vectors = original[:, rows, cols].T.astype(np.float64)
    likeness = (vectors - vectors.mean(axis=0)) @ rng.normal(size=(DIMENSION, n_classes))
    labels = np.array(["field", "river", "town"])[np.argmax(likeness, axis=1)]
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-9, max_iter=5000))
    model.fit(vectors, labels)
    valid = np.isfinite(original[0])
    probabilities = np.full((len(model.classes_), *SHAPE), np.nan)
    probabilities[:, valid] = model.predict_proba(original[:, valid].T.astype(np.float64)).T
    return {
        "rows": rows.tolist(),
        "cols": cols.tolist(),
        "labels": labels.tolist(),
        "probabilities": save(f"probabilities{n_classes}", probabilities),
    }


def saver(folder: Path, name: str) -> Callable[[str, NDArray[Any]], str]:
    """Return what saves an array of a case in C order, and returns the file's name."""

    def save(what: str, values: NDArray[Any]) -> str:
        file = f"{name}.{what}.npy"
        np.save(folder / file, np.ascontiguousarray(values))
        return file

    return save
