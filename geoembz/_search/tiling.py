"""The nearest pixel of an overview above each chunk of the full resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window, split
from geoembz._search.parts import RasterPart, first_positions
from geoembz._search.scorer import Scorer
from geoembz.encoding._quantization import Codes


@dataclass(frozen=True)
class Tiling:
    """The chunks of a part, and the overview above them.

    Parameters
    ----------
    part
        At full resolution.
    overview
        The same window and date at a level.
    factor
        Side of the level's pixels, in pixels of the full resolution.
    """

    part: RasterPart
    overview: RasterPart
    factor: int

    @classmethod
    def of(cls, part: RasterPart, number: int) -> Self:
        """Return those of a level, or of the coarsest of a raster that has not so many."""
        number = min(number, count_usable(part))
        reader, whole = part.reader.at_level(number), part.window
        factor = part.reader.attributes.levels[number - 1].factor
        top, left = whole.row // factor, whole.col // factor
        bottom, right = (
            -(-(whole.row + whole.height) // factor),
            -(-(whole.col + whole.width) // factor),
        )
        window = Window(top, left, bottom - top, right - left)
        return cls(part, RasterPart(reader, window, part.date), factor)

    @property
    def chunk(self) -> tuple[int, int]:
        """Rows and columns of a chunk."""
        return chunk_of(self.part)

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """What of each chunk lies in the part, row by row."""
        return tuple(split(self.part.window, self.chunk))

    def chunks_below(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the chunks below pixels of the overview.

        Of a pixel above several chunks it is the one with its first pixel.
        """
        numbers, window = 0, self.part.window
        places = np.divmod(positions, self.overview.reader.shape[1])
        starts, sides = (window.row, window.col), (window.height, window.width)
        for place, start, side, chunk in zip(places, starts, sides, self.chunk, strict=True):
            first, last = start // chunk, (start + side - 1) // chunk
            along = np.maximum(place * self.factor, start) // chunk - first
            numbers = numbers * (last - first + 1) + along
        return np.asarray(numbers)


def chunk_of(part: RasterPart) -> tuple[int, int]:
    """Return rows and columns of a chunk: the least that is read."""
    rows, cols = part.reader.codes.chunks[-2:]
    return int(rows), int(cols)


def count_usable(part: RasterPart) -> int:
    """Return how many levels have pixels no larger than a chunk."""
    side = min(chunk_of(part))
    return sum(level.factor <= side for level in part.reader.attributes.levels)


class LeastByChunk:
    """The least distance, so far, from each query to each chunk of some tilings.

    Attributes
    ----------
    distances
        float32, shape ``(n_queries, n_chunks)``, tiling after tiling; infinite where none counts.
    """

    def __init__(self, n_queries: int, tilings: Sequence[Tiling]) -> None:
        self._tilings = tilings
        self._first_positions = first_positions([tiling.overview for tiling in tilings])
        counts = np.array([len(tiling.windows) for tiling in tilings])
        self._first_chunks = np.cumsum(counts) - counts
        self.distances = np.full((n_queries, counts.sum()), np.inf, np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.distances.nbytes

    def update(
        self,
        distances: NDArray[Any],
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in pixels of one overview; arguments as of `BestK.update`."""
        number = int(np.searchsorted(self._first_positions, positions[0], side="right")) - 1
        inner = positions - self._first_positions[number]
        chunks = self._tilings[number].chunks_below(inner) + self._first_chunks[number]
        if valid is not None:
            distances, chunks = distances[:, valid], chunks[valid]
        for least, row in zip(self.distances, distances.astype(np.float32), strict=True):
            np.fmin.at(least, chunks, row)

    def merge(self, other: "LeastByChunk") -> None:
        """Take in what another stream found."""
        np.minimum(self.distances, other.distances, out=self.distances)


@dataclass(frozen=True)
class ByChunk:
    """Scans overviews for chunks, in place of a `Scorer` that scans for pixels."""

    queries: Scorer
    tilings: tuple[Tiling, ...]

    def best(self, k: int) -> LeastByChunk:  # noqa: ARG002 - one pixel stands for a chunk
        """Return what `search` fills."""
        return LeastByChunk(self.queries.n_queries, self.tilings)

    def search(
        self,
        best: LeastByChunk,
        codes: Codes,
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take a block of one overview into `best`; arguments as of `Scorer.search`."""
        for step in self.queries.steps(codes, positions, valid):
            best.update(*step)
