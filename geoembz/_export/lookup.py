"""Vectors at points: each goes to a grid that covers it, and each chunk is read once for all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.pixels import Hits, inside_window, point_hits
from geoembz._export.region import Region
from geoembz._objects.ranges import in_flight
from geoembz._work.executors import ThreadWorkers, Workers
from geoembz.encoding import Encoding
from geoembz.encoding._kernel import Decoder
from geoembz.sources.pooling import Measures, Pool, measure
from geoembz.store import StoreReader, View

_DISK_READS = 8
"""Chunks read from a disk at the same time; from a server, as many as there may be requests."""

_DECODED_BYTES = 512 * 2**20
"""Of whole chunks that may be decoded at once; one is always."""

type Place = Callable[[str, NDArray[np.intp]], NDArray[np.float64]]
"""Returns x and y, shape ``(n, 2)``, of points by their numbers, in a CRS."""


@dataclass(frozen=True)
class ViewOptions:
    """How vectors are seen; see `StoreReader.read_pixels`.

    Parameters
    ----------
    space
        ``original``, ``reduced`` or ``codes``.
    components
        Use only the first so many components.
    whiten
        Weight of the metric in reduced space.
    """

    space: View = "original"
    components: int | None = None
    whiten: float = 0.0

    @property
    def is_codes(self) -> bool:
        """Whether the numbers are those that are stored."""
        return self.space == "codes"

    def length(self, reader: StoreReader) -> int:
        """Return how many numbers a pixel has."""
        return reader.length(self.space, self.components, self.whiten)

    def decoder(self, encoding: Encoding) -> Decoder:
        """Prepare to decode codes of an encoding; there is nothing to decode in space ``codes``."""
        if self.space == "codes":
            raise RuntimeError("codes are not decoded")
        return encoding.decoder(self.space, self.components, self.whiten)

    def missing(self, reader: StoreReader, *shape: int) -> NDArray[Any]:
        """Return an array of a shape that holds no vector yet: NaN, or the codes of nodata."""
        if self.is_codes:
            return np.full(shape, reader.encoding.fill_value, reader.encoding.code_dtype)
        return np.full(shape, np.nan, np.float32)


@dataclass(frozen=True)
class Found:
    """What lies at points.

    Parameters
    ----------
    vectors
        Shape ``(n, length)``, float32 (NaN where there is no embedding) or codes.
    covered
        Which points lie on pixels of the regions, bool, shape ``(n,)``.
    valid
        Which have an embedding there, bool.
    chunks_read
        Chunks that were read.
    region
        Which region it is of, by its position: one that has an embedding there, or the last that
        covers it; -1 for none. int64, shape ``(n,)``.
    """

    vectors: NDArray[Any]
    covered: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    chunks_read: int
    region: NDArray[np.int64]


def look_up(
    regions: Sequence[Region],
    view: ViewOptions,
    count: int,
    place: Place,
    pool: Workers | None = None,
) -> Found:
    """Find the vectors at points: of each, in the first region that has an embedding there.

    Parameters
    ----------
    regions
        Where to look, in order; all of one encoding.
    view
        How vectors are seen.
    count
        Number of points.
    place
        Where they are; a point of which one coordinate is NaN is nowhere.
    pool
        Reads the chunks; None for threads, see `for_hits`.
    """
    reader = regions[0].reader
    vectors = view.missing(reader, count, view.length(reader))
    covered, valid = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    chunks_read, of_region = 0, np.full(count, -1, np.int64)
    for number, region in enumerate(regions):
        wanted = np.flatnonzero(~valid)
        if not len(wanted):
            break
        grid = region.reader.attributes.grid
        hits = point_hits(grid, chunk_shape(region), place(grid.crs_wkt, wanted))
        task = ReadHits(region.reader, region.date, view)
        for hit, (found, known) in for_hits(region, hits, task, vectors.shape[1], pool):
            points, chunks_read = wanted[hit.features], chunks_read + 1
            covered[points], of_region[points] = True, number
            valid[points] = known
            kept = slice(None) if view.is_codes else known
            vectors[points[kept]] = found[:, kept].T
    return Found(vectors, covered, valid, chunks_read, of_region)


def look_up_layers(
    regions: Sequence[Region], found: Found, place: Place, pool: Workers | None = None
) -> "dict[str, np.ma.MaskedArray[Any, Any]]":
    """Return the numbers of layers at points, by name, masked where there is none.

    Parameters
    ----------
    regions, place, pool
        As in `look_up`.
    found
        What it returned.
    """
    every = (layer for region in regions for layer in region.reader.attributes.layers)
    layers = {layer.name: layer for layer in every}
    one = np.zeros(1)
    numbers = {
        name: np.ma.masked_all(len(found.region), layer.decode(one.astype(layer.dtype)).dtype)
        for name, layer in layers.items()
    }
    for number, region in enumerate(regions):
        wanted, reader = np.flatnonzero(found.region == number), region.reader
        grid = reader.attributes.grid
        hits = point_hits(grid, chunk_shape(region), place(grid.crs_wkt, wanted))
        task = _ReadLayers(reader, region.date)
        for hit, found_here in for_hits(region, hits, task, 1, pool):
            for name, values in found_here.items():
                numbers[name][wanted[hit.features]] = np.ma.masked_invalid(values)
    return numbers


def chunk_shape(region: Region) -> tuple[int, int]:
    """Return rows and columns of the chunks of a region's store."""
    chunks = region.reader.codes.chunks
    return chunks[-2], chunks[-1]


def for_hits[Result](
    region: Region,
    hits: Iterable[Hits],
    task: Callable[[Hits], Result],
    length: int,
    pool: Workers | None = None,
) -> Iterator[tuple[Hits, Result]]:
    """Do something with the windows of some hits, several at once, and yield them in order.

    Parameters
    ----------
    region
        Where they are; hits outside its window are left out.
    hits
        Of points or polygons.
    task
        Reads a window.
    length
        How many numbers it decodes of a pixel.
    pool
        Runs it. None for threads: of a disk a few, of a server as many as there may be requests.
    """
    inside = inside_window(hits, region.window)
    rows, cols = chunk_shape(region)
    pixels = rows * cols  # whole chunks are decoded here
    if pool is None:
        pool = ThreadWorkers(in_flight() if "://" in region.reader.url else _DISK_READS)
    elif not isinstance(pool, ThreadWorkers):
        known = [*inside]
        inside, pixels = iter(known), max((len(hit.features) for hit in known), default=1)
    decoded_bytes = pixels * length * np.dtype(np.float32).itemsize
    asked, told = tee(inside)
    results = pool.each(task, asked, most=max(_DECODED_BYTES // decoded_bytes, 1))
    yield from zip(told, results, strict=True)


@dataclass(frozen=True)
class ReadHits:
    """Reads the vectors of hits.

    Parameters
    ----------
    reader, date
        What is read.
    view
        How vectors are seen.
    """

    reader: StoreReader
    date: int
    view: ViewOptions

    def __call__(self, hits: Hits) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return vectors, shape ``(length, n)``, and which are an embedding, bool, ``(n,)``."""
        reader, view = self.reader, self.view
        unique, back = np.unique(hits.pixels, return_inverse=True)
        mask = None
        if view.is_codes:  # before the codes
            mask = reader.read_mask(hits.window, self.date)
        vectors = reader.read_pixels(
            hits.window, unique, view.space, view.components, view.whiten, self.date
        )
        if not view.is_codes:
            valid = ~np.isnan(vectors[0])
        elif mask is not None:
            valid = mask.reshape(-1)[unique]
        else:
            valid = ~reader.encoding.is_nodata(vectors[0])
        return vectors[:, back], np.asarray(valid)[back]


@dataclass(frozen=True)
class MeasureHits:
    """Pools the vectors of hits, whose pixels stand side by side for each feature.

    Parameters
    ----------
    read
        Reads them.
    pools
        What will be asked for.
    """

    read: ReadHits
    pools: tuple[Pool, ...]

    def __call__(self, hits: Hits) -> tuple[NDArray[np.intp], Measures]:
        """Return the features that have pixels here, and what these measure."""
        vectors, valid = self.read(hits)
        starts = np.flatnonzero(np.diff(hits.features, prepend=-1))
        return hits.features[starts], measure(self.pools, [starts], vectors, valid)


@dataclass(frozen=True)
class _ReadLayers:
    """Reads the values of all layers at hits."""

    reader: StoreReader
    date: int

    def __call__(self, hits: Hits) -> dict[str, NDArray[Any]]:
        found = {}
        for layer in self.reader.attributes.layers:
            stored = self.reader.read_layer(layer.name, hits.window, self.date)
            found[layer.name] = layer.decode(stored).reshape(-1)[hits.pixels]
        return found
