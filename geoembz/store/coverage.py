"""Which shards of a store are written, empty or lost, and where they lie."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz._util.output import output_file
from geoembz._util.threads import for_each, worker_count
from geoembz.errors import StoreError, redact
from geoembz.store.conventions import records_digests
from geoembz.store.coverage_result import STATUSES, CoverageReport, ShardCoverage
from geoembz.store.digests import DIGESTS
from geoembz.store.documents import EMBEDDING, VALID
from geoembz.store.grids import grid_names, open_readers
from geoembz.store.open import is_table_store, open_array, open_group
from geoembz.store.reader import StoreReader

_MOST_READ = 4_096
"""Shards whose validity is read unasked: from a server each is a request or two."""


def shard_coverage(
    store: str | Path, *, shares: bool | None = None, geojson: str | Path | None = None
) -> CoverageReport:
    """Report which shards of a store are written, which hold nothing, and which are lost.

    The digests of a store say what was stored (spec/format.md, "Digests"), a listing says what is
    there. No codes are read, unless `shares` asks for it.

    Parameters
    ----------
    store
        Path or URL of a store of a raster, or of a root of several grids.
    shares
        Read how many pixels of each shard are valid. None: where validity is an array of its own,
        which is small, and of 4,096 shards at most.
    geojson
        File to write the outlines of all shards to, with their status.

    Returns
    -------
    coverage
        Every shard of all grids and dates.

    Raises
    ------
    StoreError
        If there is no store of a raster, or it is damaged.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> xmin, ymin, xmax, ymax = geoembz.open_source(files.embedding).grid.bbox
    >>> _ = geoembz.convert(files.embedding, tmp_path / "c.zarr", chunk=32, shard=64,
    ...                     extent=(xmin, ymin, xmax + 640, ymax))
    >>> found = geoembz.shard_coverage(tmp_path / "c.zarr")
    >>> found.count("written"), found.count("empty"), found.count("missing")
    (1, 1, 0)
    """
    url = str(store)
    group = open_group(url)
    if is_table_store(group):
        raise StoreError(
            f"{url}: a store of a table; expected one of a raster: rows have no coverage; "
            "geoembz info tells how many have a vector"
        )
    names = grid_names(url, group.attrs.asdict())
    readers = dict(zip(names or (None,), open_readers(url, group=group), strict=True))
    _refuse_unknown(url, next(iter(readers.values())))
    parts = {name: _GridCoverage(reader, name, shares) for name, reader in readers.items()}
    found = CoverageReport(
        redact(url),
        tuple(shard for part in parts.values() for shard in part.shards()),
        {name: reader.attributes.grid.crs_wkt for name, reader in readers.items()},
        tuple(dict.fromkeys(note for part in parts.values() for note in part.notes())),
    )
    if geojson is not None:
        with output_file(Path(geojson)) as partial:
            text = json.dumps(found.to_geojson(), allow_nan=False)
            partial.write_text(text + "\n", encoding="utf-8")
    return found


def _refuse_unknown(url: str, reader: StoreReader) -> None:
    """Refuse a store of which nothing tells what is stored."""
    version = reader.attributes.version
    if ObjectTree(url).is_web and not records_digests(version):
        raise StoreError(
            f"{url}: format {version}, which has no digests, on a server that cannot list; "
            "expected one of the two; ask by its s3:// URL, or for a copy"
        )


@dataclass(frozen=True)
class _GridCoverage:
    """The shards of one grid.

    Parameters
    ----------
    reader
        The open store.
    name
        Of the grid; None where there is one.
    shares
        As in `shard_coverage`.
    """

    reader: StoreReader
    name: str | None
    shares: bool | None

    def notes(self) -> Iterator[str]:
        """Yield what cannot be found out of it."""
        if ObjectTree(self.reader.url).is_web:
            yield "the server cannot list: shards that were stored are taken to be there"
        if not records_digests(self.reader.attributes.version):
            yield "format 0.1 has no digests: a shard that was lost looks empty"

    def shards(self) -> list[ShardCoverage]:
        """Return all shards, date by date."""
        stored, there = self._stored(), self._there()
        reads = self._reads(int(np.count_nonzero(stored.any(axis=1))))
        statuses = _statuses(stored, there)

        def describe(place: tuple[int, ...]) -> ShardCoverage:
            date, row, col = place
            status, window = statuses[place], self._window(row, col)
            valid = 0 if status == "empty" else None
            if status == "written" and reads:
                valid = self._valid(window, date)
            bbox = self.reader.attributes.grid.part(window).bbox
            time = self.reader.dates[date] if self.reader.dates else None
            return ShardCoverage(self.name, time, row, col, status, window.size, valid, bbox)

        return for_each(np.ndindex(statuses.shape), describe, worker_count())

    def _stored(self) -> NDArray[np.bool_]:
        """Return which objects were stored, bool ``(date, object of a place, row, col)``."""
        if not records_digests(self.reader.attributes.version):
            return self._there()
        parts = []
        for name in self._arrays():
            digests = open_array(self.reader.url, self.reader.group, f"{DIGESTS}/{name}")
            parts.append(self._by_place(np.asarray(digests[...]).any(axis=-1), name))
        return np.concatenate(parts, axis=1)

    def _there(self) -> NDArray[np.bool_]:
        """Return which objects are there, in the same order."""
        tree = ObjectTree(self.reader.url)
        if tree.is_web:
            return self._stored()
        parts = []
        for name in self._arrays():
            found = np.zeros(self._counts(name), np.bool_)
            for key in tree.keys(f"{name}/c"):
                place = key.removeprefix(f"{name}/c/").split("/")
                if len(place) == found.ndim and all(part.isdecimal() for part in place):
                    at = tuple(map(int, place))
                    if all(i < n for i, n in zip(at, found.shape, strict=True)):
                        found[at] = True
            parts.append(self._by_place(found, name))
        return np.concatenate(parts, axis=1)

    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        mask = {} if self.reader.mask is None else {VALID: self.reader.mask}
        return {EMBEDDING: self.reader.codes, **mask, **self.reader.layers}

    def _counts(self, name: str) -> tuple[int, ...]:
        array = self._arrays()[name]
        steps = array.shards or array.chunks
        return tuple(ceil(size / step) for size, step in zip(array.shape, steps, strict=True))

    def _by_place(self, objects: NDArray[np.bool_], name: str) -> NDArray[np.bool_]:
        """Return objects with their axes made ``(date, object of a place, row, col)``."""
        dates = len(self.reader.dates) or 1
        return objects.reshape(dates, -1, *self._counts(name)[-2:])

    def _reads(self, count: int) -> bool:
        if self.shares is not None:
            return self.shares
        return self.reader.mask is not None and count <= _MOST_READ

    def _valid(self, window: Window, date: int) -> int:
        """Return how many pixels of a shard are valid."""
        reader = self.reader
        mask = reader.read_mask(window, date)
        if mask is None and reader.encoding.nodata is None:
            return window.size  # the codec layout has no room for an invalid pixel
        if mask is None:
            mask = ~reader.encoding.is_nodata(reader.read_codes(window, date)[0])
        return int(mask.sum())

    def _window(self, row: int, col: int) -> Window:
        (height, width), (rows, cols) = self.reader.shape, self.reader.stored_chunk
        top, left = row * rows, col * cols
        return Window(top, left, min(rows, height - top), min(cols, width - left))


def _statuses(stored: NDArray[np.bool_], there: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the status of each place, ``(date, row, col)``."""
    statuses = np.where((stored | there).any(axis=1), STATUSES[0], STATUSES[1])
    return np.where((stored & ~there).any(axis=1), STATUSES[2], statuses).astype(object)
