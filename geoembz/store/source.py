"""A store as a source: what re-encoding reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from geoembz._geo.grid import Window
from geoembz._objects.identity import display_name
from geoembz._objects.names import is_icechunk
from geoembz._objects.tree import ObjectTree
from geoembz.errors import InvalidConfigError, SourceError, StoreError
from geoembz.sources import Source, SourceData
from geoembz.sources.base import SourceTraits
from geoembz.sources.provenance import identify_tree
from geoembz.store.conventions import GEOEMBZ_UUID, UNKNOWN_MODEL
from geoembz.store.grids import grid_names
from geoembz.store.reader import StoreReader

PRODUCT = "geoembz"


class StoreSource:
    """The original vectors of a store, as its codes give them back.

    Parameters
    ----------
    url
        Path or fsspec URL of the store.
    year
        Which date to read of a store that has several.

    Raises
    ------
    SourceError
        If it cannot be read.
    """

    def __init__(self, url: str, year: int | None = None) -> None:
        self.name = display_name(url)
        try:
            self._reader = reader = StoreReader.open(url)
            reader.check_size()
        except StoreError as error:
            raise SourceError(str(error)) from error
        attributes = reader.attributes
        self._date = _position(url, reader.dates, year)
        self.grid, self.dimension = attributes.grid, reader.encoding.dimension
        self.dtype: np.dtype[np.generic] = np.dtype(np.float32)
        self.block_shape = reader.stored_chunk
        self.info = (identify_tree(url),)
        self.encoding_hash = reader.encoding.hash
        self.band_names = attributes.band_names or (None,) * self.dimension
        known = None if attributes.model == UNKNOWN_MODEL else attributes.model
        note = f"re-encoded from recipe {reader.encoding.recipe}: what that lost stays lost"
        self.traits = SourceTraits(
            PRODUCT, model=known, license=attributes.license, notes=(*attributes.notes, note)
        )
        self.layers = attributes.layers

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        try:
            values = self._reader.read(window, "original", date=self._date)
            return SourceData(values, None)
        except (OSError, ValueError, RuntimeError) as error:
            raise SourceError(f"{self.name}: cannot be read ({error}); fetch it again") from error

    def read_layer(self, name: str, window: Window) -> "np.ma.MaskedArray[Any, Any]":
        """Read a window of a layer; see `geoembz.sources.layer_reading.read_layers`."""
        layer = next(layer for layer in self.layers if layer.name == name)
        try:
            numbers = self._reader.read_layer(name, window, self._date)
        except (OSError, ValueError, RuntimeError) as error:
            raise SourceError(f"{self.name}: cannot be read ({error}); fetch it again") from error
        missing = layer.missing(numbers)
        return np.ma.masked_array(numbers, np.ma.nomask if missing is None else missing)


def encodings_of(source: Source) -> set[str]:
    """Return the hashes of the encodings of all stores that a source reads, whatever is around."""
    own: str | None = getattr(source, "encoding_hash", None)
    inner: Source | None = getattr(source, "source", None)
    parts = (*getattr(source, "tiles", ()), *(() if inner is None else (inner,)))
    found = set() if own is None else {own}
    return found.union(*map(encodings_of, parts))


def is_store(url: str) -> bool:
    """Whether there is a geoembz store, or a root of several."""
    return _declares_geoembz(_attributes(url))


def open_store_sources(url: str, year: int | None = None) -> list[Source]:
    """Open a store as a source, or each grid of a root of several."""
    names = grid_names(url, _attributes(url))
    children = [StoreSource(f"{url.rstrip('/')}/{name}", year) for name in names]
    return [*children] or [StoreSource(url, year)]


def _position(url: str, dates: tuple[str, ...], year: int | None) -> int:
    """Return the position of a year on a store's time axis."""
    if len(dates) < 2:
        return 0
    found = [
        index for index, date in enumerate(dates) if year is not None and int(date[:4]) == year
    ]
    if len(found) != 1:
        raise InvalidConfigError(
            f"{display_name(url)}: {len(dates)} dates ({', '.join(dates)}); choose the year of one "
            "with --time"
        )
    return found[0]


def _attributes(url: str) -> Mapping[str, Any]:
    is_named = ".zarr" in url or is_icechunk(url)
    if url.startswith("/vsi") or (not is_named and not _is_directory(url)):
        return {}
    document = ObjectTree(url).read_json("zarr.json")
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _is_directory(url: str) -> bool:
    tree = ObjectTree(url)
    return tree.is_local and tree.local_path.is_dir()


def _declares_geoembz(attributes: Mapping[str, Any]) -> bool:
    declared = attributes.get("zarr_conventions")
    entries = declared if isinstance(declared, list) else []
    return any(isinstance(entry, dict) and entry.get("uuid") == GEOEMBZ_UUID for entry in entries)
