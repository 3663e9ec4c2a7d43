"""Read every stored shard of a grid: codes, validity, coordinates.

Objects are compared with their digests, then decoded, and valid pixels are counted against what the
store says about itself. In format 0.1, without digests, that is all that tells of a lost object.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._publish import Problem
from geoembz._verify.digests import ShardDigests
from geoembz._verify.documents import check_conventions
from geoembz._verify.listing import Contents, Part, chunk_positions
from geoembz._work.executors import Workers
from geoembz.errors import GeoembzError
from geoembz.store import StoreReader, TableReader
from geoembz.store.conventions import records_digests
from geoembz.store.open import open_array
from geoembz.store.reader import MOST_COORDINATES

_log = logging.getLogger("geoembz.verify")

LARGEST_OBJECT_BYTES = 2**30
"""Decoded size of a shard beyond which it is refused unread: ours have at most 128 MB."""

MOST_UNLISTED_SHARDS = 10**6
"""Shards that are looked for one by one where the server cannot list them."""

type Place = tuple[int, int, int]
"""Date, row and column of a shard."""


def check_raster(reader: StoreReader, present: frozenset[str] | None, pool: Workers) -> Part:
    """Read a grid and return what is wrong with it.

    Parameters
    ----------
    reader
        The open store of the grid.
    present
        Every key of it; None where the server cannot list.
    pool
        Reads the shards.
    """
    shard = reader.stored_chunk
    rows, cols = (ceil(size / step) for size, step in zip(reader.shape, shard, strict=True))
    n_dates = len(reader.dates) or 1
    n_shards = n_dates * rows * cols
    problems = {
        *check_conventions(reader.group.attrs.asdict(), reader.attributes.to_json()),
        *_check_axes(reader),
        *check_mapping(reader),
    }
    refused = _refusal(reader, n_shards, listed=present is not None)
    if refused is not None:
        return Part(n_shards, frozenset({*problems, refused}))
    arrays = ("embedding", "valid") if reader.mask is not None else ("embedding",)
    digests, unreadable = ShardDigests.of(
        reader.url, reader.group, reader.attributes.version, arrays
    )
    places = _places(reader, present, digests, (n_dates, rows, cols))
    check = _ShardCheck(reader, digests, present, Contents(reader))
    _log.info("reading %s shards of %s", f"{n_shards:,}", reader.url)
    found = pool.run(check, list(places))
    damaged = {problem for _, _, faults in found for problem in faults} | unreadable
    if not damaged:
        counts = [0] * n_dates
        for date, count, _ in found:
            counts[date] += count
        damaged = set(_check_counts(reader, counts))
    others = [[f"{level.path}/{name}" for name in arrays] for level in reader.attributes.levels]
    others += [[name] for name in reader.layers]
    parts = [_check_digests(reader, paths, present, pool) for paths in others]
    n_shards += sum(part.shards for part in parts[: len(reader.attributes.levels)])
    return Part(n_shards, frozenset(problems | damaged).union(*(one.problems for one in parts)))


def _check_digests(
    reader: StoreReader, arrays: Sequence[str], present: frozenset[str] | None, pool: Workers
) -> Part:
    """Compare the shards of a level, or of a layer, with their digests.

    What a level holds follows from the store; what a layer holds nobody else knows.

    Parameters
    ----------
    reader
        The open store.
    arrays
        Their paths, codes first.
    present
        Every key of the store; None where the server cannot list.
    pool
        Reads the shards.
    """
    digests, unreadable = ShardDigests.of(
        reader.url, reader.group, reader.attributes.version, arrays
    )
    keys = sorted(
        f"{array}/c/{'/'.join(map(str, place))}"
        for array in arrays
        for place in {*chunk_positions(present or frozenset(), array), *digests.places(array)}
        if digests.covers(array, place)
    )
    found = pool.run(_DigestCheck(reader, digests), keys)
    n_shards = len({key.rpartition("/c/")[2] for key in keys if key.startswith(arrays[0])})
    return Part(n_shards, frozenset(unreadable).union(*found))


@dataclass(frozen=True)
class _DigestCheck:
    """Compares one object after the other with its digest."""

    reader: StoreReader
    digests: ShardDigests

    def __call__(self, key: str) -> list[Problem]:
        problems, _ = self.digests.check([key])
        if problems:
            self.reader.watch.check()
        return problems


def _refusal(reader: StoreReader, n_shards: int, *, listed: bool) -> Problem | None:
    """Return why nothing is read, if so: a store that claims too much."""
    rows, cols = reader.stored_chunk
    size = rows * cols * reader.encoding.bytes_per_vector
    if size > LARGEST_OBJECT_BYTES:
        return Problem("embedding/zarr.json", f"shards of {size:,} bytes; none was read")
    is_known = listed or records_digests(reader.attributes.version)
    if not is_known and n_shards > MOST_UNLISTED_SHARDS:
        what = f"{n_shards:,} shards, and a server that cannot list them; none was read"
        return Problem("embedding/zarr.json", f"{what}; verify a copy of it, or by its s3:// URL")
    return None


def _places(
    reader: StoreReader,
    present: frozenset[str] | None,
    digests: ShardDigests,
    limits: tuple[int, int, int],
) -> Iterator[Place]:
    """Yield the shards that are stored or should be; all there may be where nobody can list."""
    if present is None and prod(limits) <= MOST_UNLISTED_SHARDS:
        yield from ((d, r, c) for d, r, c in np.ndindex(limits))
        return
    found = set()
    for name in ("embedding", "valid"):
        for position in (*chunk_positions(present or frozenset(), name), *digests.places(name)):
            date = position[0] if reader.dates else 0
            found.add((date, *position[-2:]))
    inside = (
        p for p in found if len(p) == 3 and all(a < b for a, b in zip(p, limits, strict=True))
    )
    yield from sorted(inside)


@dataclass(frozen=True)
class _ShardCheck:
    """Looks at one shard after the other.

    Parameters
    ----------
    reader
        The open store.
    digests
        What its objects should be.
    present
        Every key of it; None where the server cannot list.
    contents
        Decodes objects that were read.
    """

    reader: StoreReader
    digests: ShardDigests
    present: frozenset[str] | None
    contents: Contents[StoreReader]

    def __call__(self, place: Place) -> tuple[int, int, list[Problem]]:
        """Return the date, how many pixels of a shard are valid, and what is wrong with it."""
        date, row, col = place
        at = f"{date}/" if self.reader.dates else ""
        parts = _parts(self.reader, at, row, col)
        mask_key = f"valid/c/{at}{row}/{col}"
        problems, contents = self.digests.check([*parts, mask_key])
        if problems:
            self.reader.watch.check()  # a worker may see another disk: then nothing is there
            return date, 0, problems
        window, key = self._window(row, col), parts[0]
        try:
            with self.contents.reader_of(contents) as reader:
                codes = reader.read_codes(window, date)
                key = mask_key
                mask = reader.read_mask(window, date)
        except (GeoembzError, OSError) as error:
            return date, 0, [Problem(key, str(error))]
        valid, mixed = _validity(self.reader, codes, mask)
        if mixed:
            problems.append(Problem(parts[0], f"{mixed:,} pixels are nodata in part"))
        elif valid and self.present is not None:
            lost = [key for key in parts if key not in self.present]
            what = f"missing, and {valid:,} pixels are valid there"
            problems += [Problem(key, what) for key in lost[:1]]
        return date, valid, problems

    def _window(self, row: int, col: int) -> Window:
        (height, width), (rows, cols) = self.reader.shape, self.reader.stored_chunk
        top, left = row * rows, col * cols
        return Window(top, left, min(rows, height - top), min(cols, width - left))


def _parts(reader: StoreReader, at: str, row: int, col: int) -> list[str]:
    """Return the keys of the objects that hold the codes of one shard: with prefix chunks, many."""
    step = (reader.codes.shards or reader.codes.chunks)[-3]
    n_parts = ceil(reader.encoding.code_length / step)
    return [f"embedding/c/{at}{part}/{row}/{col}" for part in range(n_parts)]


def _validity(
    reader: StoreReader, codes: NDArray[Any], mask: NDArray[np.bool_] | None
) -> tuple[int, int]:
    """Return how many pixels are valid, and how many are so in some components only."""
    if mask is not None:
        return int(mask.sum()), 0
    missing = reader.encoding.is_nodata(codes)
    if not np.count_nonzero(missing):  # most shards
        return codes[0].size, 0
    some, every = missing.any(axis=0), missing.all(axis=0)
    return int((~some).sum()), int((some & ~every).sum())


def _check_counts(reader: StoreReader, counts: list[int]) -> Iterator[Problem]:
    """Compare the valid pixels found with those that the store was written with, by date."""
    attributes = reader.attributes
    declared = [entry.get("pixels", {}).get("valid") for entry in attributes.times]
    if not declared:
        declared = [attributes.pixels.get("valid")]
    for date, (count, expected) in enumerate(zip(counts, declared, strict=True)):
        if expected is not None and count != expected:
            key = f"embedding/c/{date}" if attributes.times else "embedding"
            yield Problem(
                key,
                f"{count:,} valid pixels; the store was written with {expected:,}: shards are "
                "missing or another store's",
            )


def _check_axes(reader: StoreReader) -> Iterator[Problem]:
    """Compare the coordinates with the grid in the attributes."""
    grid = reader.attributes.grid
    (height, width), dates = grid.shape, reader.dates
    axes: dict[str, tuple[int, Callable[[], NDArray[Any]]]]
    axes = {"x": (width, lambda: grid.x), "y": (height, lambda: grid.y)}
    if dates:
        axes["time"] = (len(dates), lambda: np.array(dates, dtype="datetime64[D]").astype(np.int64))
    for name, (length, expected) in axes.items():
        if length > MOST_COORDINATES:
            yield Problem(name, f"{length:,} positions; none was read")
            continue
        try:
            array = open_array(reader.url, reader.group, name)
            same = array.shape == (length,) and np.array_equal(array[...], expected())
        except (GeoembzError, ValueError, RuntimeError, OSError) as error:
            yield Problem(name, f"cannot be read ({error})")
            continue
        if not same:
            says = "geoembz:times" if name == "time" else "spatial:transform"
            yield Problem(name, f"is not what {says} says")


def check_mapping(reader: StoreReader | TableReader) -> Iterator[Problem]:
    """Read the one number of `spatial_ref`, whose attributes are what counts."""
    try:
        array = open_array(reader.url, reader.group, "spatial_ref")
        same = array.shape == () and int(np.asarray(array[...])) == 0
    except (GeoembzError, ValueError, RuntimeError, OSError) as error:
        yield Problem("spatial_ref", f"cannot be read ({error})")
        return
    if not same:
        yield Problem("spatial_ref", "is not the number 0")
