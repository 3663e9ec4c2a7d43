"""The xarray engine ``geoembz``: stores as lazy datasets of codes, reduced or original vectors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from geoembz._geo.grid import Window
from geoembz._objects.icechunk import pin
from geoembz._xarray.accessor import register
from geoembz._xarray.plain_attributes import plain_attributes
from geoembz._xarray.rasters import first_dimension, grid_coordinates, window_of
from geoembz._xarray.tables import dimension_coordinate, table_dataset
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader, TableReader, View
from geoembz.store.conventions import CF_TIME, LAYERS, TIME
from geoembz.store.grids import grid_names, open_one
from geoembz.store.open import is_table_store, open_group, read_faults, unreplaced

register()

VIEWS: tuple[View, ...] = ("original", "reduced", "codes")

_OF_A_LEVEL = (
    *("geoemb:gsd", "spatial:transform", "spatial:shape", "spatial:bbox"),
    *("geoembz:pixels", "geoembz:fidelity", "geoembz:times"),
)
"""Attributes that are others at each level."""


class GeoembzBackend(BackendEntrypoint):
    """Open geoembz stores with ``xr.open_dataset(url, engine="geoembz", space=…)``."""

    supports_groups = True
    description = "Compressed Earth embeddings, decoded lazily"
    open_dataset_parameters: ClassVar[tuple[str, ...]] = (
        "filename_or_obj",
        "drop_variables",
        "space",
        "components",
        "whiten",
        "grid",
        "level",
        "resolution",
    )

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | Path,
        *,
        drop_variables: str | Iterable[str] | None = None,
        space: View = "original",
        components: int | None = None,
        whiten: float = 0.0,
        grid: str | None = None,
        level: int | None = None,
        resolution: float | None = None,
    ) -> xr.Dataset:
        """Open a store lazily; see `geoembz.open`."""
        url = str(filename_or_obj)
        group = open_group(url)
        if is_table_store(group):
            if grid is not None:
                raise InvalidConfigError(f"grid {grid!r}: {url} is a table, without grids")
            if level is not None or resolution is not None:
                raise InvalidConfigError(f"level, resolution: {url} is a table, without levels")
            dataset = table_dataset(TableReader.open(url, group), space, components, whiten)
        else:
            reader = open_one(url, grid, group).at_level(level, resolution)
            dataset = _dataset(reader, space, components, whiten)
        dropped = [drop_variables] if isinstance(drop_variables, str) else drop_variables
        return dataset.drop_vars(list(dropped or ()), errors="ignore")

    def open_groups_as_dict(  # type: ignore[override]
        self, filename_or_obj: str | Path, **options: Any
    ) -> dict[str, xr.Dataset]:
        """Open a store of several grids, each a group; one grid, or a table, is the root itself.

        `xarray.open_datatree` calls it; options are those of `open_dataset`.
        """
        url = str(filename_or_obj)
        group = open_group(url)
        url, attributes = pin(url, group.store), group.attrs.asdict()
        names = grid_names(url, attributes)
        if not names:
            return {"/": self.open_dataset(url, **options)}
        children = {f"/{name}": self.open_dataset(url, grid=name, **options) for name in names}
        return {"/": xr.Dataset(attrs=plain_attributes(attributes)), **children}

    def open_datatree(  # type: ignore[override]
        self, filename_or_obj: str | Path, **options: Any
    ) -> xr.DataTree:
        """Open a store as a tree, one node for each of its grids."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Never guess: other engines read the codes, and which is wanted only the user knows."""
        del filename_or_obj
        return False


def open_store(
    store: str | Path,
    *,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    grid: str | None = None,
    level: int | None = None,
    resolution: float | None = None,
    chunks: Any = None,
) -> xr.Dataset:
    """Open a store as a lazy dataset.

    Only the windows asked for are read and decoded. The variable `embedding` has the dimensions
    ``(dimension, y, x)`` in original space, ``(component, y, x)`` in reduced space and
    ``(component, y, x)`` or ``(component_byte, y, x)`` as codes; `x`, `y` and `spatial_ref` say
    where it is, so that ``dataset.rio`` works.

    Parameters
    ----------
    store
        Path or fsspec URL.
    space
        ``original`` (float32 vectors of the source's dimension), ``reduced`` (float32 components
        whose dot products are those of the originals) or ``codes`` (the stored integers).
    components
        Use only the first so many components.
    whiten
        In reduced space: divide each component by this power (0 to 1) of its standard deviation, a
        metric that weighs small components higher.
    grid
        Name of one grid, such as ``utm32n``, of a store that has several; ``geoembz info`` lists
        them.
    level
        Number of the level to open, where the store has overviews: 0 is the full resolution, 1 has
        pixels twice as large, 2 four times, and so on; ``geoembz info`` lists them.
    resolution
        Instead: the coarsest level whose pixels are no larger than so many CRS units; the full
        resolution where no level is so fine.
    chunks
        As in `xarray.open_dataset`: ``None`` for NumPy on access, ``{}`` or ``"auto"`` for dask
        chunks that are whole shards.

    Returns
    -------
    dataset
        With the variable `embedding`; in ``codes`` also `valid`, where the store has it. Layers of
        the store are further variables, at full resolution; NaN where they have no number.

    Raises
    ------
    StoreError
        If there is no store, an unfinished one, one of another kind, or a damaged one.
    InvalidConfigError
        If the space is unknown, there are not so many components, or the store has several grids
        and none is named, or there is no such level.

    References
    ----------
    spec/format.md, "Views", "Overviews".

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "open.zarr", pca=16)
    >>> dataset = geoembz.open(tmp_path / "open.zarr", space="reduced")
    >>> dataset["embedding"].dims, dataset["embedding"].shape
    (('component', 'y', 'x'), (16, 64, 64))
    """
    return xr.open_dataset(
        str(store),
        engine=GeoembzBackend,
        space=space,
        components=components,
        whiten=whiten,
        grid=grid,
        level=level,
        resolution=resolution,
        chunks=chunks,
    )


class _LazyEmbedding(BackendArray):
    """The embedding in one view; reads a window when it is indexed."""

    def __init__(
        self, reader: StoreReader, space: View, components: int | None, whiten: float
    ) -> None:
        self.reader = reader  # which store this is, and how it is seen: the accessor asks
        self.view: dict[str, Any] = {
            "space": space,
            "components": components,
            "whiten": whiten,
        }
        self._times = tuple(len(reader.dates) for _ in _time_axis(reader))
        self.shape = (*self._times, reader.length(space, components, whiten), *reader.shape)
        self.dtype = reader.encoding.code_dtype if space == "codes" else np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        """Return the elements at `key`, as xarray asks for them."""
        result: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )
        return result

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        """Read the window around the key's rows and columns, then cut the key out of it."""
        if self._times:
            date, *rest = key
            chosen = self.reader.chronological[date]
            if isinstance(chosen, int):
                return self._read_date(tuple(rest), chosen)
            parts = [self._read_date(tuple(rest), at) for at in chosen]
            return np.stack(parts) if parts else np.empty(self.shape, self.dtype)[key]
        return self._read_date(key, 0)

    def _read_date(self, key: tuple[int | slice, ...], date: int) -> NDArray[Any]:
        first, *spatial = key
        window, inner = window_of(tuple(spatial), self.shape[-2:])
        if not window.size:
            return np.empty(self.shape[-3:], self.dtype)[key]
        return self._window(window, date)[first, *inner]

    def _window(self, window: Window, date: int) -> NDArray[Any]:
        if self.view["space"] == "codes":
            return self.reader.read_codes(window, date)
        return self.reader.read(window, **self.view, date=date)


class _LazyNumbers(BackendArray):
    """One number per pixel: validity, where it is an array of its own, or a layer."""

    def __init__(self, reader: StoreReader, array: zarr.Array[Any]) -> None:
        self._reader, self._array = reader, array
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        """Return the elements at `key`, as xarray asks for them."""
        result: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )
        return result

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        with unreplaced(self._reader.watch), read_faults(self._reader.url, self._array.path, key):
            return self._at(key)

    def _at(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        if not self._reader.dates:
            return np.asarray(self._array[key])
        date, *rest = key
        chosen = self._reader.chronological[date]
        if isinstance(chosen, int):
            return np.asarray(self._array[chosen, *rest])
        parts = [np.asarray(self._array[at, *rest]) for at in chosen]
        return np.stack(parts) if parts else np.empty(self.shape, self.dtype)[key]


def _dataset(reader: StoreReader, space: View, components: int | None, whiten: float) -> xr.Dataset:
    if space not in VIEWS:
        raise InvalidConfigError(f"space {space!r}; expected one of {', '.join(VIEWS)}")
    rows, cols = reader.stored_chunk
    shards = {**dict.fromkeys(_time_axis(reader), 1), "y": rows, "x": cols}
    attributes = {"grid_mapping": "spatial_ref"}
    embedding = xr.Variable(
        (*_time_axis(reader), first_dimension(reader, space), "y", "x"),
        indexing.LazilyIndexedArray(_LazyEmbedding(reader, space, components, whiten)),
        attributes,
        encoding={
            "preferred_chunks": shards,
            "source": reader.url,  # what the accessor asks for
            "level": reader.level,
            "view": {"space": space, "components": components, "whiten": whiten},
        },
    )
    if embedding.dtype == np.float16:
        embedding.encoding["dtype"] = np.dtype(np.float32)  # netCDF has no 16-bit floats
    variables = {"embedding": embedding}
    if space == "codes" and reader.mask is not None:
        variables["valid"] = xr.Variable(
            (*_time_axis(reader), "y", "x"),
            indexing.LazilyIndexedArray(_LazyNumbers(reader, reader.mask)),
            attributes,
            encoding={"preferred_chunks": shards},
        )
    variables |= _layers(reader, shards)
    named = dimension_coordinate(reader.attributes.band_names, space)
    coordinates = {**_coordinates(reader), **named}
    dataset = xr.Dataset(variables, coordinates, plain_attributes(_attributes(reader)))
    dataset.encoding["source"] = reader.url
    return dataset


def _layers(reader: StoreReader, shards: dict[str, int]) -> dict[str, xr.Variable]:
    """Return the layers as CF says they are to be read: NaN for none, and scaled.

    Times stay numbers, with their units: to find their type, xarray would read some of them.
    """
    stored = {
        layer.name: xr.Variable(
            (*_time_axis(reader), "y", "x"),
            indexing.LazilyIndexedArray(_LazyNumbers(reader, reader.layers[layer.name])),
            {"grid_mapping": "spatial_ref", **layer.attributes()},
            encoding={"preferred_chunks": shards},
        )
        for layer in reader.attributes.layers
    }
    decoded = xr.decode_cf(xr.Dataset(stored), decode_coords=False, decode_times=False)
    return {str(name): variable for name, variable in decoded.variables.items()}


def _attributes(reader: StoreReader) -> dict[str, Any]:
    """Return the store's attributes; of a level, those of its own pixels in place of the root's."""
    stored = reader.group.attrs.asdict()
    if not reader.level:
        return stored
    own = reader.attributes.to_json()
    stored.pop(LAYERS, None)  # levels have none
    return {name: own[name] if name in _OF_A_LEVEL else value for name, value in stored.items()}


def _time_axis(reader: StoreReader) -> tuple[str, ...]:
    """Return the name of the time axis; nothing where there is none."""
    return (TIME,) if reader.dates else ()


def _coordinates(reader: StoreReader) -> dict[str, xr.Variable]:
    """Make the coordinates from the grid: exact, and no request; dates in order of time."""
    reader.check_size()
    dates = np.array(sorted(reader.dates), dtype="datetime64[ns]")
    time = {name: CF_TIME[name] for name in ("axis", "standard_name", "long_name")}
    return {
        **{name: xr.Variable((name,), dates, time) for name in _time_axis(reader)},
        **grid_coordinates(reader.attributes.grid),
    }
