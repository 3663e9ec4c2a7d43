"""What a first picture and a first similarity map cost on a server with 50 ms latency.

    python -m benchmarks.first_look [--size N …] [--smoke]

One scene is stored in several ways: whole vectors, prefix chunks, the preset for browsers, each
with overviews and without, and a store of the first components alone, in wide chunks, which stands
for a copy of them beside the codes (``apart``): such an array takes as many requests and bytes.
Counted are requests and bytes of opening a store and

- a *picture* of at most 512 pixels a side, in three components,
- a *similarity map* of the whole extent with one pixel's vector: cosines of the first components of
  every pixel, or of whole vectors of the coarsest level of 256 pixels a side or more.

How much such a map is worth is the rank correlation with the map of whole vectors at full
resolution, each pixel compared with the value that is shown there. Counts travel to other machines,
seconds do not.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import geoembz
from benchmarks.rasters import RasterSpec, generate
from benchmarks.report import Row, parse_options, publish
from benchmarks.serving import Served, serving
from benchmarks.timing import seconds
from geoembz._geo.grid import Window, split
from geoembz.store import StoreReader

LATENCY_S = 0.05
DIMENSION, FIRST = 64, 8
PICTURE_SIDE, MAP_SIDE = 512, 256


@dataclass(frozen=True)
class Way:
    """One way to store the scene, and what its maps are made from.

    Parameters
    ----------
    options
        Of the conversion.
    components
        First ones that a map takes; None for all.
    has_levels
        Whether it has overviews, of which maps take whole vectors.
    """

    options: dict[str, Any] = field(default_factory=dict)
    components: int | None = None
    has_levels: bool = False


WAYS = {
    "whole vectors": Way(),
    f"prefix chunks of {FIRST}": Way({"prefix_chunks": FIRST}, FIRST),
    "for browser": Way({"access": "browser"}, 22),
    f"first {FIRST} apart": Way({"pca": FIRST, "chunk": 512, "shard": 2048}, FIRST),
    "whole vectors, overviews": Way(has_levels=True),
    f"prefix chunks of {FIRST}, overviews": Way({"prefix_chunks": FIRST}, has_levels=True),
    "for browser, overviews": Way({"access": "browser"}, has_levels=True),
}


def main() -> None:
    """Measure all ways at all sizes."""
    options = parse_options(__doc__, sizes=(1024, 4096), smoke=(600,))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="geoembz-first-look-") as name:
        folder = Path(name)
        with serving(folder, LATENCY_S) as served:
            for size in options.size:
                rows += measure(folder, served, size)
    publish("first_look", rows, options)


def measure(folder: Path, served: Served, size: int) -> Iterator[Row]:
    """Store one scene in every way, and look at each."""
    spec = RasterSpec(size, "pixel", DIMENSION)
    if not spec.path.exists():
        generate(spec, spec.path)
    stores = {way: folder / f"{size}-{number}.zarr" for number, way in enumerate(WAYS)}
    for name, store in stores.items():
        geoembz.convert(spec.path, store, **{"pca": DIMENSION, **WAYS[name].options})
        if WAYS[name].has_levels:
            geoembz.overviews(store)
    truth = similarity(StoreReader.open(str(stores["whole vectors"])), None)
    plain = sum(path.stat().st_size for path in stores["whole vectors"].rglob("*"))
    for name, store in stores.items():
        label = f"{size} x {size}, {name}"
        url = f"{served.url}/{store.name}"
        yield from counted(label, "picture", served, partial(picture, folder, url))
        shown = folder / "map.npy"
        yield from counted(label, "map", served, partial(save_map, shown, url, WAYS[name]))
        yield Row(label, "map, rank correlation", correlation(truth, np.load(shown)), "")
        held = sum(path.stat().st_size for path in store.rglob("*"))
        added = held if "apart" in name else held - plain
        yield Row(label, "bytes stored beside whole vectors", added / plain, "x")


def counted(label: str, what: str, served: Served, call: Callable[[], object]) -> Iterator[Row]:
    """Count and time one look."""
    before = served.traffic
    taken = seconds(call)
    traffic = served.traffic - before
    yield Row(label, f"{what}, requests", traffic.requests, "")
    yield Row(label, f"{what}, MB", traffic.size_bytes / 1e6, "MB")
    yield Row(label, f"{what}, s", taken, "s")


def picture(folder: Path, url: str) -> None:
    """Draw a picture, as a user does."""
    geoembz.preview(url, folder / "picture.png", size=PICTURE_SIDE, overwrite=True)


def save_map(file: Path, url: str, way: Way) -> None:
    """Write the similarity map that a way of storing gives first."""
    reader = StoreReader.open(url)
    if way.has_levels:
        sides = [max(level.grid.shape) for level in reader.attributes.levels]
        reader = reader.at_level(sum(side >= MAP_SIDE for side in sides))
    np.save(file, similarity(reader, way.components))


def similarity(reader: StoreReader, components: int | None) -> NDArray[np.float32]:
    """Return the cosine of every pixel with the middle one, NaN without data."""
    height, width = reader.shape
    out = np.full((height, width), np.nan, dtype=np.float32)
    middle = Window(height // 2, width // 2, 1, 1)
    query = reader.read(middle, "reduced", components)[:, 0, 0]
    for block in split(Window(0, 0, height, width), reader.stored_chunk):
        vectors = reader.read(block, "reduced", components)
        lengths = np.linalg.norm(vectors, axis=0) * np.linalg.norm(query)
        out[block.slices] = np.tensordot(query, vectors, axes=1) / lengths
    return out


def correlation(truth: NDArray[np.float32], shown: NDArray[np.float32]) -> float:
    """Return the rank correlation of a map with the true one, pixel by pixel of the latter."""
    from scipy.stats import spearmanr

    factor = -(-truth.shape[0] // shown.shape[0])
    spread = np.repeat(np.repeat(shown, factor, axis=0), factor, axis=1)
    spread = spread[: truth.shape[0], : truth.shape[1]]
    both = np.isfinite(truth) & np.isfinite(spread)
    step = max(1, int(both.sum()) // 200_000)
    return float(spearmanr(truth[both][::step], spread[both][::step]).statistic)


if __name__ == "__main__":
    main()
