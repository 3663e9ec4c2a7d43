"""Arrays (time, band, y, x) of products that are published as Zarr, as sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from zarr.errors import NodeNotFoundError
from zarr.storage import FsspecStore, LocalStore

from geoembz._geo.grid import Grid, Transform, Window
from geoembz._objects.icechunk import open_zarr
from geoembz._objects.identity import display_name
from geoembz._objects.names import is_icechunk
from geoembz._objects.stores import S3, s3_options
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.band_names import BandNames, clean_names
from geoembz.sources.base import SourceData
from geoembz.sources.georeference import make_grid
from geoembz.sources.options import ReadOptions
from geoembz.sources.provenance import identify_tree

_STEP_TOLERANCE = 1e-3
"""Of a step: what rounding of stored coordinates may add up to."""

_ROW_NAMES, _COLUMN_NAMES = ("y", "lat", "latitude"), ("x", "lon", "longitude")
_MAPPING_NAMES = ("spatial_ref", "crs")

_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_ABSENT_TO_ALL = (*_ABSENT, PermissionError)
"""Public buckets that may not be listed answer 403 for what is not there."""


def open_group(path: str) -> zarr.Group:
    """Open a Zarr group, local or remote, of either Zarr format.

    Raises
    ------
    SourceError
        If there is none.
    """
    store: Any
    if is_icechunk(path):
        store = open_zarr(path)
    elif "://" in path:
        options = s3_options(keeps_listings=True) if path.startswith(S3) else {}
        store = FsspecStore.from_url(
            path,
            read_only=True,
            storage_options=options,
            allowed_exceptions=_ABSENT_TO_ALL if options.get("anon") else _ABSENT,
        )
    else:
        store = LocalStore(path, read_only=True)
    try:
        return zarr.open_group(store, mode="r")
    except (NodeNotFoundError, OSError, ValueError) as error:
        raise SourceError(
            f"{display_name(path)}: not a readable Zarr group ({error}); check the path"
        ) from error


class ZarrCube:
    """One group with an array (time, band, y, x).

    It can be pickled: every process opens the group by itself.

    Parameters
    ----------
    path
        Path or URL of the root group.
    member
        Name of the child group; empty for the root.
    array
        Name of the array of vectors.
    options
        Which year to read, where the array has several; what replaces the CRS.
    """

    def __init__(self, path: str, member: str, array: str, options: ReadOptions) -> None:
        self.path, self.member, self.array_name = path, member, array
        self.name = f"{display_name(path)}/{member}".rstrip("/")
        self._group: zarr.Group | None = None
        vectors = self.array(array)
        if vectors.ndim != 4:
            raise SourceError(
                f"{self.name}/{array}: {vectors.ndim} axes {vectors.shape}; expected four: time, "
                "band, y, x"
            )
        self.time_index = _time_index(self, vectors.shape[0], options.year)
        self.dimension, self.dtype = vectors.shape[1], vectors.dtype
        self.band_names = self._find_band_names(vectors)
        shape = (vectors.shape[2], vectors.shape[3])
        stored = vectors.shards or vectors.chunks
        self.block_shape = (min(stored[2], shape[0]), min(stored[3], shape[1]))
        self.grid: Grid = self._find_grid(shape, options.crs)
        self.info = (identify_tree(path, member),)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open group."""
        return {**self.__dict__, "_group": None}

    def read(self, window: Window) -> SourceData:
        """Read a window's numbers as they are stored; see `Source.read`."""
        return SourceData(self.window(self.array_name, window), None)

    def array(self, name: str) -> zarr.Array[Any]:
        """Return an array of the group.

        Raises
        ------
        SourceError
            If it is missing.
        """
        try:
            member = self._open().get(name)
        except (ValueError, TypeError, RuntimeError) as error:
            raise SourceError(
                f"{self.name}: array {name!r} is of a kind that is not read ({error}); expected "
                "numbers"
            ) from error
        if not isinstance(member, zarr.Array):
            raise SourceError(
                f"{self.name}: array {name!r} is missing; expected a complete product"
            )
        return member

    def window(self, name: str, window: Window) -> np.ndarray[Any, np.dtype[Any]]:
        """Read a window of an array whose first axis is time and whose last are y and x.

        Raises
        ------
        SourceError
            If it cannot be read.
        """
        array = self.array(name)
        between = [slice(None)] * (array.ndim - 3)
        try:
            selection: tuple[int | slice, ...] = (self.time_index, *between, *window.slices)
            return np.asarray(array[selection])
        except (OSError, ValueError, RuntimeError) as error:
            raise SourceError(
                f"{self.name}/{name}: rows {window.row} to {window.row + window.height} cannot be "
                f"read ({error}); fetch it again"
            ) from error

    def _open(self) -> zarr.Group:
        if self._group is None:
            root = open_group(self.path)
            member = root[self.member] if self.member else root
            if not isinstance(member, zarr.Group):
                raise SourceError(f"{self.name}: an array; expected a group")
            self._group = member
        return self._group

    def _find_grid(self, shape: tuple[int, int], crs: str | None) -> Grid:
        attributes = {**open_group(self.path).attrs.asdict(), **self._open().attrs.asdict()}
        by_names = "spatial:transform" not in attributes and _ROW_NAMES[0] not in self._open()
        return make_grid(
            self.name,
            self._system(attributes),
            self._transform(attributes),
            shape,
            crs,
            are_degrees=by_names,  # coordinates lat and lon, then
        )

    def _system(self, attributes: Mapping[str, Any]) -> Any:
        """Return the CRS from the proj convention, a CF grid mapping, or the group's name."""
        for key in ("proj:wkt2", "proj:code", "proj:projjson", "crs", "crs_wkt"):
            if attributes.get(key):
                return attributes[key]
        for name in _MAPPING_NAMES:
            mapping = self._open().get(name)
            if mapping is not None:
                return mapping.attrs.get("crs_wkt") or mapping.attrs.get("spatial_ref")
        zone = self.member.removeprefix("utm")
        return f"EPSG:326{int(zone):02d}" if zone != self.member and zone.isdigit() else None

    def _find_band_names(self, vectors: zarr.Array[Any]) -> BandNames:
        """Return the labels of the band axis, where it has a coordinate of texts."""
        unnamed = (None,) * self.dimension
        dimensions = getattr(vectors.metadata, "dimension_names", None) or vectors.attrs.get(
            "_ARRAY_DIMENSIONS"
        )
        if not isinstance(dimensions, list | tuple) or len(dimensions) != vectors.ndim:
            return unnamed
        if str(dimensions[1]) not in self._open():
            return unnamed
        labels = self.array(str(dimensions[1]))
        if labels.shape != (self.dimension,):
            return unnamed
        names = np.asarray(labels[...])
        return clean_names(names.tolist()) if names.dtype.kind in "OSTU" else unnamed

    def _transform(self, attributes: Mapping[str, Any]) -> Transform:
        given = attributes.get("spatial:transform")
        if isinstance(given, list) and len(given) >= 6:
            a, b, c, d, e, f = map(float, given[:6])
            return a, b, c, d, e, f
        e, f = self._axis(_ROW_NAMES)
        a, c = self._axis(_COLUMN_NAMES)
        return a, 0.0, c, 0.0, e, f

    def _axis(self, names: tuple[str, ...]) -> tuple[float, float]:
        """Return step and outer edge of the first of these coordinates that exists."""
        for name in names:
            member = self._open().get(name)
            if isinstance(member, zarr.Array):
                return step_and_edge(f"{self.name}/{name}", np.asarray(member[...]))
        raise SourceError(
            f"{self.name}: neither spatial:transform nor a coordinate {' or '.join(names)}; "
            "expected one of them"
        )


def step_and_edge(name: str, centres: np.ndarray[Any, np.dtype[Any]]) -> tuple[float, float]:
    """Return the step between evenly spaced pixel centres, and the first pixel's outer edge.

    Raises
    ------
    SourceError
        If there are fewer than two, or they are not evenly spaced.
    """
    values = np.asarray(centres, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise SourceError(f"{name}: {values.shape} coordinates; expected two or more in one axis")
    step = float(values[-1] - values[0]) / (len(values) - 1)
    if not step or np.abs(np.diff(values) - step).max() > abs(step) * _STEP_TOLERANCE:
        raise SourceError(f"{name}: coordinates are not evenly spaced; expected a regular grid")
    return step, float(values[0]) - step / 2


def _time_index(cube: ZarrCube, n_times: int, year: int | None) -> int:
    """Return the index of a year on the time axis."""
    if year is None:
        if n_times == 1:
            return 0
        raise InvalidConfigError(
            f"{cube.name}: {n_times} times ({', '.join(map(str, _years(cube)))}); choose one with "
            "--time YEAR"
        )
    years = _years(cube)
    if year not in years:
        raise InvalidConfigError(
            f"{cube.name}: no year {year}; it holds {', '.join(map(str, years))}"
        )
    return years.index(year)


def _years(cube: ZarrCube) -> list[int]:
    """Return the years of the time axis: plain years, or CF times."""
    array = cube.array("time")
    values = np.asarray(array[...])
    units = str(array.attrs.get("units", ""))
    if values.dtype.kind == "M":
        return [int(str(value)[:4]) for value in values.astype("datetime64[D]")]
    if " since " in units:
        unit, _, origin = units.partition(" since ")
        start = np.datetime64(origin.strip().split(" ")[0].split("T")[0], "s")
        seconds = {"days": 86_400, "hours": 3_600, "seconds": 1}.get(unit.strip())
        if seconds is None:
            raise SourceError(f"{cube.name}/time: units {units!r}; expected days, hours or seconds")
        steps = (values.astype(np.float64) * seconds).astype("timedelta64[s]")
        return [int(str(start + step)[:4]) for step in steps]
    return [int(value) for value in values]
