"""A table of chips on a regular grid, as a raster with one pixel per chip.

A table's rows stand in any order and can only be read from front to back: its vectors are copied
once to a temporary file, in the order of the pixels, and windows are read from there.
"""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import unrolled
from geoembz._geo.grid import Window
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.base import SourceData, SourceTraits
from geoembz.sources.georeference import make_grid
from geoembz.sources.options import Overlap
from geoembz.sources.tables.base import TableSource
from geoembz.sources.tables.lattice import Lattice, find_lattice

_BLOCK_SIDE = 64


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
        self.name, self.dimension, self.dtype = table.name, table.dimension, table.dtype
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
        folder = tempfile.mkdtemp(prefix="geoembz-chips-")
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
            values[pixels[firsts]] = self._resolved(slots, firsts)
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

    def _resolved(self, slots: NDArray[np.int64], firsts: NDArray[np.intp]) -> NDArray[Any]:
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
    from pyproj import CRS, Transformer

    found: list[tuple[float, str, Lattice]] = []
    refusals: list[SourceError] = []
    own = CRS.from_user_input(table.crs)
    places = np.column_stack([unrolled(table.crs, places[:, 0]), places[:, 1]])
    for crs in [_parsed(grid_crs)] if grid_crs else [own, *_utm_zone(own, places)]:
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


def _parsed(text: str) -> Any:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise InvalidConfigError(
            f"grid_crs {text!r}: {error}; expected a CRS such as EPSG:32633"
        ) from error


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
    return [_parsed(f"EPSG:{(32700 if latitude < 0 else 32600) + zone}")]


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
    product = table.product
    left_out = ", ".join(name for name in table.schema.names if name != table.geometry)
    note = f"made of a table of {n_rows} rows, one pixel each"
    notes = (
        f"{note}; its columns {left_out} are left out" if left_out else note,
        *([] if overlap is None else [f"of rows in one pixel: {overlap}"]),
    )
    return SourceTraits(
        product.name,
        model=table.model,
        recipe=product.recipe,
        unit_norm=product.unit_norm,
        notes=notes,
    )
