"""Names of places that mean the same to every worker, whatever folder it runs in."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from geoembz.sources.options import ReadOptions
from geoembz.store import StoreReader, TableReader

_PATTERN = re.compile(r"[*?\[]")


def make_absolute(place: Any) -> Any:
    """Return a path that means the same in every folder; what is no local path stays as it is.

    Examples
    --------
    >>> make_absolute("s3://bucket/out.zarr"), Path(make_absolute("in.tif")).is_absolute()
    ('s3://bucket/out.zarr', True)
    """
    if isinstance(place, list | tuple):
        return [make_absolute(each) for each in place]
    if not isinstance(place, str | Path) or "://" in str(place) or str(place).startswith("/vsi"):
        return place
    path = Path(place)
    names_files = path.parent.exists() or _PATTERN.search(str(place))
    return str(path.absolute()) if names_files else place


def with_absolute_layers(read: ReadOptions) -> ReadOptions:
    """Return the same options, with layers by paths that mean the same in every folder.

    Examples
    --------
    >>> read = with_absolute_layers(ReadOptions(layers={"a": "obs.tif:2"}))
    >>> Path(read.named_layers[0][1]).is_absolute()
    True
    """
    named = [(name, make_absolute(place)) for name, place in read.named_layers]
    return replace(read, layers=dict(named)) if named else read


@overload
def store_for(
    scheduler: str | None, store: str | Path | StoreReader
) -> str | Path | StoreReader: ...


@overload
def store_for(
    scheduler: str | None, store: str | Path | StoreReader | TableReader
) -> str | Path | StoreReader | TableReader: ...


def store_for(
    scheduler: str | None, store: str | Path | StoreReader | TableReader
) -> str | Path | StoreReader | TableReader:
    """Return a store as the workers of a scheduler are to open it: under a path that they know.

    Parameters
    ----------
    scheduler
        None for threads, which share this process' folder: then the store is what was given.
    store
        Path, URL or open reader.

    Raises
    ------
    StoreError
        If a reader that has to be opened anew cannot be.
    """
    if scheduler is None:
        return store
    place: str | Path = make_absolute(store if isinstance(store, str | Path) else store.url)
    if isinstance(store, str | Path):
        return place
    if place == store.url:
        return store
    if isinstance(store, StoreReader):
        return StoreReader.open(place, level=store.level)
    return TableReader.open(place)
