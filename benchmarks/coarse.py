"""What searches from coarse to fine find, and read, beside an exhaustive search.

    python -m benchmarks.coarse [--size N …] [--smoke]

Real embeddings, where `../shared/data` is, and one generated landscape of N x N pixels (it does not
repeat itself). Queries are vectors of the scene, each searched for alone. Recall is the share of
the k nearest by an exhaustive search that was found. Requests and bytes are those of a few queries
to a server, the store open already; bytes as a share of an exhaustive search's. No seconds: nothing
here depends on how busy the machine is.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import geoembz
from benchmarks.index import draw
from benchmarks.report import Row, parse_options, publish
from benchmarks.serving import Traffic, serving_apart
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from geoembz.store.levels import count_levels

K, QUERIES, COUNTED_QUERIES, DIMENSION = 100, 32, 4, 64
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DATA = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Case:
    """A raster, how it is stored, and the metric of the search."""

    raster: Path
    recipe: str
    metric: str
    chunk: int

    @property
    def label(self) -> str:
        """What the table says."""
        return f"{self.raster.stem}, {self.recipe}, {self.metric}, chunks of {self.chunk}"


def real_cases() -> Iterator[Case]:
    """Yield those whose data are there."""
    galileo = DATA / "galileo_s2" / "galileo_nano_s2_patch1_128d_float32.tif"
    alphaearth = DATA / "aef_wisconsin" / "aef_2024_wisconsin_10km_16band_epsg4326_int8.tif"
    if galileo.exists():
        yield Case(galileo, "pca64-int8", "cosine", 16)
    if alphaearth.exists():
        yield Case(alphaearth, "int8", "cosine", 64)
        yield Case(alphaearth, "int8", "cosine", 32)


def generated_cases(raster: Path, *, first: bool) -> Iterator[Case]:
    """Yield those of a landscape; the first has every kind of codes."""
    yield Case(raster, "pca32-int8", "cosine", 128)
    yield Case(raster, "pca32-int8", "cosine", 64)
    if first:
        yield Case(raster, "pca32-int4", "euclidean", 128)
        yield Case(raster, "pca32-pq8x8", "euclidean", 128)
        yield Case(raster, "rot-binary", "hamming", 128)


def rows_of(case: Case, folder: Path) -> Iterator[Row]:
    """Yield recall and reading by share."""
    store = folder / "store.zarr"
    storage = {"chunk": case.chunk, "shard": 8 * case.chunk}
    geoembz.convert(case.raster, store, recipe=case.recipe, overwrite=True, **storage)  # type: ignore[arg-type]
    most = count_levels(StoreReader.open(store).shape) + 3
    geoembz.overviews(store, levels=min(most, case.chunk.bit_length() - 1))
    reader = StoreReader.open(store)
    queries = draw(reader, QUERIES)
    exact = [geoembz.search(reader, query, K, case.metric) for query in queries]
    counted = queries[:COUNTED_QUERIES]
    whole = count_traffic(store, counted, case, None)
    for share in SHARES:
        try:
            found = [
                geoembz.search(reader, query, K, case.metric, coarse=share) for query in queries
            ]
        except InvalidConfigError:  # no level is so small
            continue
        for k in (10, K):
            recalls = [ours.recall_of(all_, k) for ours, all_ in zip(found, exact, strict=True)]
            yield Row(case.label, f"share {share}, recall@{k}", float(np.mean(recalls)), "")
        chunks = [each.coarse.chunks_read for each in found if each.coarse is not None]
        yield Row(case.label, f"share {share}, chunks read", float(np.mean(chunks)), "")
        sent = count_traffic(store, counted, case, share)
        requests = sent.requests / len(counted)
        yield Row(case.label, f"share {share}, requests", requests, "")
        part = sent.size_bytes / whole.size_bytes
        yield Row(case.label, f"share {share}, bytes / exhaustive", part, "")


def count_traffic(
    store: Path, queries: NDArray[np.float32], case: Case, share: float | None
) -> Traffic:
    """Return what a server sent for some queries, each of a store that was open already."""
    sent = Traffic()
    with serving_apart(store.parent) as served:
        for query in queries:
            reader = StoreReader.open(f"{served.url}/{store.name}")
            before = served.traffic
            geoembz.search(reader, query, K, case.metric, coarse=share)
            now = served.traffic - before
            sent = Traffic(sent.requests + now.requests, sent.size_bytes + now.size_bytes)
    return sent


def main() -> None:
    """Measure, print and write the CSV."""
    options = parse_options(__doc__, sizes=[2048], smoke=[128])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cases = [] if options.smoke else [*real_cases()]
        for number, size in enumerate(options.size):
            files = geoembz.demo.write_demo(folder / f"d{size}", size=size, dimension=DIMENSION)
            raster = files.embedding.rename(folder / f"landscape-{size}.tif")
            cases += generated_cases(raster, first=not number)
        for case in cases:
            found = [*rows_of(case, folder)]
            for row in found:
                print(row.case, row.metric, f"{row.value:.4g}", flush=True)
            rows += found
    publish("coarse", rows, options)


if __name__ == "__main__":
    main()
