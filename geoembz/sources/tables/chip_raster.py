"""A table of chips on a regular grid, as a raster with one pixel per chip.

The grid is found from the chips' centres. A table's rows stand in any order and can only be read
from front to back: its vectors are copied once to a temporary file, in the order of the pixels, and
windows are read from there.
"""

import shutil
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import parse_crs, unroll
from geoembz._geo.grid import Transform, Window
from geoembz._util.output import scratch_folder
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.base import SourceData, SourceTraits
from geoembz.sources.georeference import make_grid
from geoembz.sources.options import Overlap
from geoembz.sources.tables.table import TableSource

TOLERANCE = 0.05
"""How far a centre may be from its pixel's, in pixels: coordinates of tables are rounded."""

_SAME_PLACE = 0.05
"""Centres less than this share of a chip apart have one coordinate."""

_ROUNDING = 2e-7
"""What float32 leaves of a coordinate, relative to it."""

_FEWEST_FILLED = 1e-3
"""A grid with a smaller share of pixels is a coincidence of scattered points."""

_BLOCK_SIDE = 64


@dataclass(frozen=True)
class Lattice:
    """A regular grid and where on it each place lies.

    Parameters
    ----------
    transform
        Affine coefficients, north-up.
    shape
        Height and width, in pixels.
    cells
        Number of each place's pixel, row by row, int64 ``(n,)``; −1 where the place is unknown.
    residual
        Largest distance of a place from its pixel's centre, in pixels.
    """

    transform: Transform
    shape: tuple[int, int]
    cells: NDArray[np.int64]
    residual: float


@dataclass(frozen=True)
class _Axis:
    """Evenly spaced coordinates: ``origin + step * index``."""

    origin: float
    step: float
    index: NDArray[np.int64]
    residual: float


def find_lattice(
    where: str, places: NDArray[np.float64], chip_size: tuple[float, float]
) -> Lattice:
    """Return the grid whose pixel centres are the places.

    Parameters
    ----------
    where
        The table, for messages.
    places
        x and y of each chip's centre, float64 ``(n, 2)``; NaN where unknown.
    chip_size
        Width and height of a chip, about; zeros where it is unknown.

    Raises
    ------
    SourceError
        If the places lie on no regular grid.

    Examples
    --------
    >>> places = np.array([[5.0, 35.0], [15.0, 35.0], [35.0, 15.0]])
    >>> lattice = find_lattice("chips", places, (10.0, 10.0))
    >>> lattice.transform, lattice.shape, lattice.cells.tolist()
    ((10.0, 0.0, 0.0, 0.0, -20.0, 45.0), (2, 4), [0, 1, 7])
    """
    known = np.isfinite(places).all(axis=1)
    if not known.any():
        raise SourceError(f"{where}: no row has a place; expected centres on a regular grid")
    steps = [_step(places[known, axis], chip_size[axis]) for axis in (0, 1)]
    x, y = (
        _fit_axis(where, "xy"[axis], places[known, axis], steps[axis] or steps[1 - axis])
        for axis in (0, 1)
    )
    height, width = int(y.index.max()) + 1, int(x.index.max()) + 1
    if known.sum() < _FEWEST_FILLED * height * width:
        raise SourceError(
            f"{where}: {int(known.sum())} places on a grid of {height} x {width} pixels: these are "
            "scattered points, not chips of a regular grid; convert the table without --grid"
        )
    cells = np.full(len(places), -1, np.int64)
    cells[known] = (height - 1 - y.index) * width + x.index
    left, top = x.origin - x.step / 2, y.origin + y.step * (height - 0.5)
    transform = (x.step, 0.0, left, 0.0, -y.step, top)
    return Lattice(transform, (height, width), cells, max(x.residual, y.residual))


def _step(values: NDArray[np.float64], size: float) -> float | None:
    """Return about how far apart neighbouring coordinates are; None where all are the same."""
    gaps = np.diff(np.unique(values))
    gaps = gaps[gaps > max(_SAME_PLACE * size, _ROUNDING * np.abs(values).max())]
    return float(np.mean(gaps[gaps < 1.5 * gaps.min()])) if len(gaps) else None


def _fit_axis(where: str, axis: str, values: NDArray[np.float64], step: float | None) -> _Axis:
    """Return evenly spaced coordinates from first to last; refuse values that lie off them."""
    if step is None:
        raise SourceError(
            f"{where}: all rows lie in one place; expected chips side by side on a regular grid"
        )
    unique, back = np.unique(values, return_inverse=True)
    index = np.concatenate([[0], np.cumsum(np.rint(np.diff(unique) / step))])
    origin = float(unique[0])
    if index[-1]:
        step = float(f"{(unique[-1] - origin) / index[-1]:.12g}")
        index = np.rint((unique - origin) / step)
    residual = float(np.abs((unique - origin) / step - index).max())
    if residual > TOLERANCE:
        raise SourceError(
            f"{where}: centres are up to {residual:.2f} steps of {step:.6g} off a regular grid "
            f"along {axis}; expected at most {TOLERANCE}; name the grid's CRS with "
            "--grid-crs, or convert the table without --grid"
        )
    return _Axis(origin, step, index.astype(np.int64)[back], residual)


class ChipRaster:
    """Chips of a table as pixels; see `Source`.

    Parameters
    ----------
    table
        The table; its vectors are copied to a temporary file.
    grid_crs
        CRS in which the chips lie on a regular grid; None to try the table's own, then the UTM zone
        in its middle.
    overlap
        Which row holds where several lie in one pixel: the ``first``, the ``last``, or their
        ``mean``; None refuses that.

    Raises
    ------
    SourceError
        If the chips lie on no regular grid, or several in one pixel.
    InvalidConfigError
        If `grid_crs` is no CRS.
    """

    def __init__(
        self, table: TableSource, *, grid_crs: str | None = None, overlap: Overlap | None = None
    ) -> None:
        self.name, self.dimension = table.name, table.dimension
        # Codes of AlphaEarth come decoded from `batches`: in their own type they would be zeros.
        is_coded = table.dtype.kind in "iu"
        self.dtype: np.dtype[np.generic] = np.dtype(np.float32) if is_coded else table.dtype
        self.info, self.band_names = table.info, table.band_names
        survey = table.survey()
        crs, lattice = _regular(table, survey.places, survey.chip_size, grid_crs)
        self.grid = make_grid(self.name, crs, lattice.transform, lattice.shape, None)
        self.block_shape = (_BLOCK_SIDE, _BLOCK_SIDE)
        self.traits = _traits(table, survey.n_rows, overlap)
        self._overlap = overlap
        _refuse_shared(self.name, lattice, overlap)
        order = np.argsort(lattice.cells, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        folder = scratch_folder()
        self._clean_up = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._path = f"{folder}/vectors"
        known = self._copy(table, rank)
        self._slots = np.flatnonzero(known & (lattice.cells[order] >= 0))
        self._cells = lattice.cells[order[self._slots]]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the copy of the vectors to the one who made it: others only read."""
        return {**self.__dict__, "_clean_up": None}

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        low, high = self._ranges(window)
        slots = np.concatenate([self._slots[a:b] for a, b in zip(low, high, strict=True)])
        cells = np.concatenate([self._cells[a:b] for a, b in zip(low, high, strict=True)])
        values = np.zeros((window.size, self.dimension), self.dtype)
        valid = np.zeros(window.size, np.bool_)
        if len(slots):
            width = self.grid.shape[1]
            pixels = (cells // width - window.row) * window.width + cells % width - window.col
            firsts = np.flatnonzero(np.diff(pixels, prepend=-1))
            values[pixels[firsts]] = self._resolve(slots, firsts)
            valid[pixels[firsts]] = True
        cube = np.ascontiguousarray(values.T).reshape(self.dimension, *window.shape)
        return SourceData(cube, valid.reshape(window.shape))

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        low, high = self._ranges(window)
        return bool((low < high).any())

    def _ranges(self, window: Window) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return where the pixels of each row of a window begin and end among all."""
        starts = (window.row + np.arange(window.height)) * self.grid.shape[1] + window.col
        return np.searchsorted(self._cells, starts), np.searchsorted(
            self._cells, starts + window.width
        )

    def _resolve(self, slots: NDArray[np.int64], firsts: NDArray[np.intp]) -> NDArray[Any]:
        """Return one vector per pixel; its rows begin at `firsts`."""
        vectors = self._vectors()
        if self._overlap != "mean":
            lasts = np.append(firsts[1:], len(slots)) - 1
            return np.asarray(vectors[slots[lasts if self._overlap == "last" else firsts]])
        sums = np.add.reduceat(vectors[slots].astype(np.float64), firsts, axis=0)
        counts = np.diff(np.append(firsts, len(slots)))
        return np.asarray((sums / counts[:, np.newaxis]).astype(self.dtype))

    def _copy(self, table: TableSource, rank: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Copy the vectors in the order of the pixels; return which of them are complete."""
        known = np.zeros(len(rank), np.bool_)
        with Path(self._path).open("wb") as file:
            file.truncate(len(rank) * self.dimension * self.dtype.itemsize)
        for batch in table.batches():
            slots = rank[batch.start : batch.start + len(batch.vectors)]
            self._vectors("r+")[slots] = batch.vectors
            known[slots] = np.isfinite(batch.vectors).all(axis=1)
        return known

    def _vectors(self, mode: Literal["r", "r+"] = "r") -> NDArray[Any]:
        """Map the copy of the vectors ``(n_rows, dimension)``.

        It is mapped anew each time: what a mapping has touched counts as memory of the process.
        """
        return np.memmap(self._path, self.dtype, mode).reshape(-1, self.dimension)


def _regular(
    table: TableSource,
    places: NDArray[np.float64],
    chip_size: tuple[float, float],
    grid_crs: str | None,
) -> tuple[str, Lattice]:
    """Return the CRS in which the places are most regular, and the grid there."""
    from pyproj import Transformer

    found: list[tuple[float, str, Lattice]] = []
    refusals: list[SourceError] = []
    own = parse_crs(table.crs)
    places = np.column_stack([unroll(table.crs, places[:, 0]), places[:, 1]])
    for crs in [_parse(grid_crs)] if grid_crs else [own, *_utm_zone(own, places)]:
        move = Transformer.from_crs(own, crs, always_xy=True).transform
        moved = np.column_stack(move(places[:, 0], places[:, 1]))
        moved[~np.isfinite(moved)] = np.nan
        size = _moved_size(move, places, chip_size)
        try:
            lattice = find_lattice(f"{table.name} in {crs.name}", moved, size)
        except SourceError as error:
            refusals.append(error)
            continue
        found.append((lattice.residual, _raster_crs(crs), lattice))
    if not found:
        raise refusals[0]
    _, name, lattice = min(found, key=lambda entry: entry[0])
    return name, lattice


def _parse(text: str) -> Any:
    try:
        return parse_crs(text)
    except InvalidConfigError as error:
        raise InvalidConfigError(f"grid_{error}") from error


def _raster_crs(crs: Any) -> str:
    """Return a CRS as rasters name it: longitude and latitude are EPSG:4326 there."""
    code = crs.to_authority()
    if code == ("OGC", "CRS84"):
        return "EPSG:4326"
    return ":".join(code) if code else str(crs.to_wkt("WKT2_2019"))


def _moved_size(
    move: Any, places: NDArray[np.float64], size: tuple[float, float]
) -> tuple[float, float]:
    """Return about how large a chip in the middle is in another CRS."""
    x, y = np.nanmedian(places, axis=0)
    (left, right), (low, high) = move([x, x + size[0]], [y, y + size[1]])
    width, height = abs(right - left), abs(high - low)
    return (width, height) if np.isfinite([width, height]).all() else (0.0, 0.0)


def _utm_zone(crs: Any, places: NDArray[np.float64]) -> list[Any]:
    """Return the UTM zone in the middle of places in degrees; nothing for others."""
    if not crs.is_geographic or not np.isfinite(places).all(axis=1).any():
        return []
    longitude, latitude = np.nanmedian(places, axis=0)
    zone = int((longitude + 180) // 6) % 60 + 1
    return [parse_crs(f"EPSG:{(32700 if latitude < 0 else 32600) + zone}")]


def _refuse_shared(name: str, lattice: Lattice, overlap: Overlap | None) -> None:
    """Refuse two rows in one pixel, unless something says which holds."""
    order = np.argsort(lattice.cells, kind="stable")
    cells = lattice.cells[order]
    shared = order[1:][(np.diff(cells) == 0) & (cells[1:] >= 0)]
    if len(shared) and overlap is None:
        raise SourceError(
            f"{name}: {len(shared)} rows lie in a pixel that another row has, such as row "
            f"{shared.min()}; expected one row per chip (dates in tables of their own); or say "
            "which holds with --overlap first, last or mean"
        )


def _traits(table: TableSource, n_rows: int, overlap: Overlap | None) -> SourceTraits:
    left_out = ", ".join(name for name in table.schema.names if name != table.geometry)
    note = f"made of a table of {n_rows} rows, one pixel each"
    notes = (
        f"{note}; its columns {left_out} are left out" if left_out else note,
        *([] if overlap is None else [f"of rows in one pixel: {overlap}"]),
    )
    return replace(table.traits, model=table.model, notes=notes)
