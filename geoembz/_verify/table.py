"""Read every row of a table store: codes, validity, places, columns, and the file with the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._publish import Problem
from geoembz._verify.digests import ShardDigests
from geoembz._verify.documents import check_conventions
from geoembz._verify.listing import Contents, Part
from geoembz._verify.raster import LARGEST_OBJECT_BYTES, check_mapping
from geoembz._work.executors import Workers
from geoembz.errors import GeoembzError
from geoembz.store import TableReader
from geoembz.store.table_writer import CHUNK_BBOX, COLUMNS, TABLE

MOST_SHARDS = 10**6
"""Shards beyond which a table is refused unread: of a billion rows in the smallest of ours."""


def check_table(reader: TableReader, pool: Workers) -> Part:
    """Read a table store and return what is wrong with it.

    Parameters
    ----------
    reader
        The open store.
    pool
        Reads the shards.
    """
    step = (reader.codes.shards or reader.codes.chunks)[0]
    n_shards = -(-reader.n_rows // step)
    problems = set(check_conventions(reader.group.attrs.asdict(), reader.attributes.to_json()))
    if step * reader.encoding.bytes_per_vector > LARGEST_OBJECT_BYTES or n_shards > MOST_SHARDS:
        what = f"{n_shards:,} shards of {step:,} rows; none was read"
        return Part(n_shards, frozenset({*problems, Problem("embedding/zarr.json", what)}))
    digests, unreadable = ShardDigests.of(
        reader.url, reader.group, reader.attributes.version, _row_arrays(reader)
    )
    check = _RowsCheck(reader, digests, step, Contents(reader))
    found = pool.run(check, range(0, reader.n_rows, step))
    damaged = {problem for _, faults in found for problem in faults} | unreadable
    counted, declared = sum(count for count, _ in found), reader.attributes.rows["valid"]
    if not damaged and counted != declared:
        what = f"{counted:,} valid rows; the store was written with {declared:,}: shards are lost"
        damaged = {Problem("embedding", what)}
    return Part(
        n_shards, frozenset({*problems, *damaged, *_check_others(reader), *check_mapping(reader)})
    )


@dataclass(frozen=True)
class _RowsCheck:
    """Looks at one shard of rows after the other; parameters as of a raster's."""

    reader: TableReader
    digests: ShardDigests
    step: int
    contents: Contents[TableReader]

    def __call__(self, start: int) -> tuple[int, list[Problem]]:
        """Return how many rows of a shard are valid, and what is wrong with it."""
        problems, objects = self.digests.check(_keys(self.reader, start // self.step))
        if problems:
            self.reader.watch.check()
            return 0, problems
        with self.contents.reader_of(objects) as known:
            count, problems, places = _read_shard(known, start, self.step)
        return count, problems or _check_places(self.reader, places[0], places[1], start)


def _row_arrays(reader: TableReader) -> list[str]:
    """Return the paths of all arrays with a row for each sample."""
    mask = [] if reader.mask is None else ["valid"]
    return ["embedding", *mask, *_columns(reader)]


def _columns(reader: TableReader) -> list[str]:
    return ["x", "y", *(f"{COLUMNS}/{name}" for name in reader.attributes.columns)]


def _keys(reader: TableReader, number: int) -> list[str]:
    """Return the keys of all objects that hold the rows of a shard."""
    codes, *others = _row_arrays(reader)
    return [f"{codes}/c/{number}/0", *(f"{name}/c/{number}" for name in others)]


def _read_shard(
    reader: TableReader, start: int, step: int
) -> tuple[int, list[Problem], list[NDArray[Any]]]:
    """Return how many rows of a shard are valid, what is wrong with it, and its x and y."""
    rows = np.arange(start, min(start + step, reader.n_rows))
    number = start // step
    problems: list[Problem] = []
    count = 0
    try:
        count = _valid_rows(reader, reader.read(rows, "codes"), rows)
    except (GeoembzError, OSError, ValueError, RuntimeError) as error:
        problems.append(Problem(f"embedding/c/{number}/0", str(error)))
    places = []
    for name in _columns(reader):
        try:
            places.append(reader.values(reader.column(name), rows))
        except (GeoembzError, OSError, ValueError, RuntimeError) as error:
            problems.append(Problem(f"{name}/c/{number}", str(error)))
    return count, problems, places[:2]


def _check_places(
    reader: TableReader, x: NDArray[np.float64], y: NDArray[np.float64], start: int
) -> list[Problem]:
    """Compare the places of a shard with the bounds of its chunks: lost places read as NaN."""
    step = reader.codes.chunks[0]
    try:
        bounds = reader.chunk_bbox[start // step :]
    except (GeoembzError, OSError, ValueError, RuntimeError):
        return []  # said once for all shards
    shard = start // (reader.codes.shards or reader.codes.chunks)[0]
    for number, first in enumerate(range(0, len(x), step)):
        for name, values, sides in (("x", x, [0, 2]), ("y", y, [1, 3])):
            found = _bounds(values[first : first + step])
            if not np.array_equal(found, bounds[number][sides], equal_nan=True):
                what = f"places of rows {start + first:,} on are not within {CHUNK_BBOX}"
                return [Problem(f"{name}/c/{shard}", what)]
    return []


def _bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)


def _valid_rows(reader: TableReader, codes: NDArray[Any], rows: NDArray[np.int64]) -> int:
    if reader.mask is not None:
        return int(reader.values(reader.mask, rows).sum())
    return int((~reader.encoding.is_nodata(codes).any(axis=1)).sum())


def _check_others(reader: TableReader) -> Iterator[Problem]:
    """Read the bounds of chunks and the GeoParquet file."""
    try:
        if reader.chunk_bbox.shape != (-(-reader.n_rows // reader.codes.chunks[0]), 4):
            yield Problem(CHUNK_BBOX, f"has shape {reader.chunk_bbox.shape}")
    except (GeoembzError, OSError, ValueError, RuntimeError) as error:
        yield Problem(CHUNK_BBOX, f"cannot be read ({error})")
    try:
        n_rows = sum(batch.num_rows for batch in reader.others())
    except (GeoembzError, OSError, ValueError, RuntimeError) as error:
        yield Problem(TABLE, f"cannot be read ({error})")
        return
    if reader.attributes.table is not None and n_rows != reader.n_rows:
        yield Problem(TABLE, f"has {n_rows:,} rows; expected {reader.n_rows:,}")
