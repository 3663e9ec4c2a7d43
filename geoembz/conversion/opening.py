"""Open whatever a conversion may start from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geoembz.errors import InvalidConfigError
from geoembz.sources import (
    InputOptions,
    OpenOptions,
    Source,
    grid_name,
    open_input,
    open_sources,
)
from geoembz.store import is_store, open_store_sources

if TYPE_CHECKING:
    import xarray as xr

type Inputs = str | Path | Sequence[str | Path] | Source | xr.DataArray | xr.Dataset


def open_inputs(inputs: Inputs, options: InputOptions) -> dict[str, Source]:
    """Return a source per CRS, by the name of its grid; see `geoembz.sources.open_sources`.

    Raises
    ------
    SourceError
        If inputs cannot be read or do not belong together.
    InvalidConfigError
        If nothing is named.
    """
    if isinstance(inputs, str | Path):
        return open_sources([inputs], options, _open_any)
    if isinstance(inputs, Sequence):
        if not inputs:
            raise InvalidConfigError("no input; expected one or more")
        return open_sources(inputs, options, _open_any)
    if type(inputs).__module__.partition(".")[0] == "xarray":
        return _open_xarray(inputs, options.opening)
    source: Source = inputs  # type: ignore[assignment]  # xarray's types are ruled out above
    return {grid_name(source): source}


def _open_any(path: str, options: OpenOptions) -> list[Source]:
    """Open an input: a store of geoembz, or what the sources know."""
    return open_store_sources(path, options.year) if is_store(path) else open_input(path, options)


def _open_xarray(data: object, options: OpenOptions) -> dict[str, Source]:
    from geoembz.sources.dataarray import DataArraySource
    from geoembz.sources.north_up import north_up

    source = north_up(DataArraySource(data, crs=options.crs, nodata=options.nodata))
    return {grid_name(source): source}
