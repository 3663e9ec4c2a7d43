"""Open whatever a conversion may start from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geoembz._objects.identity import Subdataset
from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions, Source, open_sources
from geoembz.sources.arrays import PlainArray, is_array
from geoembz.sources.assemble import finish, grid_name
from geoembz.sources.cells import Cells, CellSource
from geoembz.sources.detect import open_array, open_input, open_xarray
from geoembz.sources.extent import within_extent
from geoembz.sources.inputs import table_files
from geoembz.sources.layer_inputs import with_named_layers
from geoembz.sources.options import parse_extent
from geoembz.sources.xarray_source import is_xarray
from geoembz.store.source import is_store, open_store_sources

if TYPE_CHECKING:
    import xarray as xr

type Inputs = str | Path | Sequence[str | Path] | Source | xr.DataArray | xr.Dataset | PlainArray


def open_inputs(inputs: Inputs, options: ReadOptions) -> dict[str, Source]:
    """Return a source per CRS, by the name of its grid; see `geoembz.sources.open_sources`.

    With `extent` it covers that; with `aggregate` each is made of cells, and layers that are named
    have one number per cell.

    Raises
    ------
    SourceError
        If inputs cannot be read or do not belong together.
    InvalidConfigError
        If nothing is named, or the options are not for such inputs.
    """
    opened = _open_all(inputs, options)
    extent = parse_extent(options.extent)
    if options.aggregate is None:
        opened = _with_layers(opened, options)
    if extent is not None:
        opened = _within(opened, extent)
    if options.aggregate is None:
        return opened
    cells = Cells.of(options.aggregate, options.pool)
    pooled: dict[str, Source] = {name: CellSource(source, cells) for name, source in opened.items()}
    return _with_layers(pooled, options)


def _with_layers(opened: Mapping[str, Source], options: ReadOptions) -> dict[str, Source]:
    """Return the sources with the layers that options name, which have one grid."""
    if options.named_layers and len(opened) > 1:
        raise InvalidConfigError(
            f"layer {options.named_layers[0][0]}: of which grid? The inputs lie in "
            f"{', '.join(opened)}; convert those of one CRS at a time, or leave --layer out"
        )
    return {name: with_named_layers(source, options) for name, source in opened.items()}


def _within(opened: Mapping[str, Source], extent: Sequence[float]) -> dict[str, Source]:
    """Return the one source on the pixels of an extent."""
    if len(opened) > 1:
        raise InvalidConfigError(
            f"extent {extent}: in units of which CRS? the inputs lie in {', '.join(opened)}; "
            "expected inputs of one; convert the others by themselves"
        )
    return {name: within_extent(source, extent) for name, source in opened.items()}


def _open_all(inputs: Inputs, options: ReadOptions) -> dict[str, Source]:
    if options.grid:
        return _open_chips(inputs, options)
    if options.vector is not None:
        raise InvalidConfigError(
            f"--vector {options.vector!r}: names a column of a table, and the input is no table; "
            "leave it out"
        )
    if isinstance(inputs, str | Path):
        return open_sources([inputs], options, _open_any)
    if isinstance(inputs, Sequence):
        if not inputs:
            raise InvalidConfigError("no input; expected one or more")
        return open_sources(inputs, options, _open_any)
    source: Source = inputs  # type: ignore[assignment]  # xarray's types are ruled out below
    if is_xarray(inputs):
        source = finish(open_xarray(inputs, options))
    elif is_array(inputs):
        source = finish(open_array(inputs, options))
    return {grid_name(source): source}


def _open_chips(inputs: Inputs, options: ReadOptions) -> dict[str, Source]:
    """Open a table of chips as a raster."""
    from geoembz.sources.tables import ChipRaster, open_table

    paths = table_files(inputs)
    if paths is None:
        raise InvalidConfigError(
            "--grid: makes a raster of a table of chips, and the input is no table; leave it out"
        )
    unfit = {"product": options.product, "nodata": options.nodata}
    for name, value in {**unfit, "resample": options.resample or None}.items():
        if value is not None:
            raise InvalidConfigError(f"{name}: for rasters only, not with --grid; leave it out")
    table = open_table(paths, crs=options.crs, vector=options.vector)
    source = ChipRaster(table, grid_crs=options.grid_crs, overlap=options.overlap)
    return {grid_name(source): source}


def _open_any(path: str, options: ReadOptions) -> list[Source]:
    """Open an input: a store of geoembz, or what the sources know."""
    if Subdataset.of(path) is None and is_store(path):
        return open_store_sources(path, options.year)
    return open_input(path, options)
