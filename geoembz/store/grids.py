"""The grids of a store: the one that most have, or the children of a root of several."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr

from geoembz._objects.names import check_key
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.store.conventions import GRIDS
from geoembz.store.reader import StoreReader, open_group


def grid_names(url: str, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the grids below a root; none where the store is one grid, or a table.

    Raises
    ------
    StoreError
        If the root names what cannot be a grid.
    """
    names = attributes.get(GRIDS)
    if names is None:
        return ()
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise StoreError(
            f"{url}: {GRIDS} is {names!r}; expected a list of names; the store is damaged"
        )
    try:
        return tuple(check_key(str(name)) for name in names)
    except InvalidConfigError as error:
        raise StoreError(f"{url}: {GRIDS} names no grid ({error})") from error


def open_readers(
    store: str | Path | StoreReader, grid: str | None = None, group: zarr.Group | None = None
) -> list[StoreReader]:
    """Open a store, or all stores below a root of several grids, or the one that is named.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    grid
        Name of one grid, such as ``utm32n``; None for all.
    group
        The store's root group, where that is open already: saves a request.

    Raises
    ------
    InvalidConfigError
        If there is no such grid.
    StoreError
        If the store cannot be read.
    """
    if isinstance(store, StoreReader):
        return [store]
    url = str(store)
    group = open_group(url) if group is None else group
    names = grid_names(url, group.attrs.asdict())
    if grid is None:
        children = [StoreReader.open(f"{url.rstrip('/')}/{name}") for name in names]
        return children or [StoreReader.open(url, group)]
    if grid not in names:
        known = f"grids {', '.join(names)}" if names else "one grid, which has no name"
        raise InvalidConfigError(f"grid {grid!r}: {url} has {known}; expected one of its names")
    return [StoreReader.open(f"{url.rstrip('/')}/{grid}")]


def open_one(
    store: str | Path | StoreReader, grid: str | None = None, group: zarr.Group | None = None
) -> StoreReader:
    """Open the one grid of a store, or the one that is named of several.

    Raises
    ------
    InvalidConfigError
        If there are several and none is named, or there is no such grid.
    StoreError
        If the store cannot be read.
    """
    readers = open_readers(store, grid, group)
    if len(readers) > 1:
        raise InvalidConfigError(
            f"{store}: holds {len(readers)} grids; {choose_grid(readers)}, or open it as a whole "
            "with xarray.open_datatree(…, engine='geoembz')"
        )
    return readers[0]


def choose_grid(readers: list[StoreReader]) -> str:
    """Return the advice to name one of some grids."""
    names = [reader.url.rstrip("/").rpartition("/")[2] for reader in readers]
    return f"name one of them, such as grid {names[0]!r} (there are {', '.join(names)})"
