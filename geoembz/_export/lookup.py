"""Vectors at points: each goes to a grid that covers it, and each chunk is read once for all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.pixels import Hits, inside_window, point_hits
from geoembz._export.region import Region
from geoembz._objects.ranges import in_flight
from geoembz._util.threads import in_order
from geoembz.encoding import Encoding
from geoembz.encoding._kernel import Decoder
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


def look_up(regions: Sequence[Region], view: ViewOptions, count: int, place: Place) -> Found:
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
        for hit, found, known in read_hits(region, inside_window(hits, region.window), view):
            points, chunks_read = wanted[hit.features], chunks_read + 1
            covered[points], of_region[points] = True, number
            valid[points] = known
            kept = slice(None) if view.is_codes else known
            vectors[points[kept]] = found[:, kept].T
    return Found(vectors, covered, valid, chunks_read, of_region)


def look_up_layers(
    regions: Sequence[Region], found: Found, place: Place
) -> "dict[str, np.ma.MaskedArray[Any, Any]]":
    """Return the numbers of layers at points, by name, masked where there is none.

    Parameters
    ----------
    regions, place
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
        for hit in inside_window(hits, region.window):
            for layer in reader.attributes.layers:
                stored = reader.read_layer(layer.name, hit.window, region.date)
                values = layer.decode(stored).reshape(-1)[hit.pixels]
                numbers[layer.name][wanted[hit.features]] = np.ma.masked_invalid(values)
    return numbers


def chunk_shape(region: Region) -> tuple[int, int]:
    """Return rows and columns of the chunks of a region's store."""
    chunks = region.reader.codes.chunks
    return chunks[-2], chunks[-1]


def read_hits(
    region: Region, hits: Iterable[Hits], view: ViewOptions
) -> Iterator[tuple[Hits, NDArray[Any], NDArray[np.bool_]]]:
    """Read the windows of some hits, several at once, and yield them in order.

    Yields
    ------
    hits
        As they came.
    vectors
        Of each hit, shape ``(length, n)``.
    valid
        Which of them are an embedding, bool, shape ``(n,)``.
    """

    def read(hits: Hits) -> tuple[Hits, NDArray[Any], NDArray[np.bool_]]:
        return hits, *_read(region.reader, region.date, hits, view)

    rows, cols = chunk_shape(region)
    chunk_bytes = rows * cols * view.length(region.reader) * np.dtype(np.float32).itemsize
    threads = in_flight() if "://" in region.reader.url else _DISK_READS
    at_once = min(2 * threads, max(_DECODED_BYTES // chunk_bytes, 1))
    yield from in_order(hits, read, threads, ahead=at_once - 1)


def _read(
    reader: StoreReader, date: int, hits: Hits, view: ViewOptions
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    unique, back = np.unique(hits.pixels, return_inverse=True)
    mask = reader.read_mask(hits.window, date) if view.is_codes else None  # before the codes
    vectors = reader.read_pixels(
        hits.window, unique, view.space, view.components, view.whiten, date
    )
    if not view.is_codes:
        valid = ~np.isnan(vectors[0])
    elif mask is not None:
        valid = mask.reshape(-1)[unique]
    else:
        valid = ~reader.encoding.is_nodata(vectors[0])
    return vectors[:, back], np.asarray(valid)[back]
