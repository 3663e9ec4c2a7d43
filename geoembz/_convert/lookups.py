"""Look up what an input holds at a longitude and latitude, with rasterio alone.

This is the other path of `geoembz._convert.place_check`: it must not share code with the sources,
or both would make the same mistake.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization import power_values
from geoembz.sources.gdal import gdal_environment, open_gdal

DEGREES = "OGC:CRS84"
"""Longitude first, then latitude."""


@dataclass(frozen=True)
class Lookup:
    """What an input says about some places.

    Parameters
    ----------
    values
        float64, shape ``(n, dimension)``; NaN in a component that is masked or absent.
    inside
        bool, shape ``(n,)``: whether the input covers the place.
    """

    values: NDArray[np.float64]
    inside: NDArray[np.bool_]


class RasterPlaces:
    """A file that GDAL reads, asked by place.

    Parameters
    ----------
    path
        Path or URL.
    nodata, crs
        Replace what the file declares.
    coded
        Whether the numbers are signed-power codes.
    order
        Names of the components in the order that is asked for; bands with other names stand in
        that of the file.
    """

    def __init__(
        self,
        path: str,
        *,
        nodata: str | None = None,
        crs: str | None = None,
        coded: bool = False,
        order: Sequence[str | None] = (),
    ) -> None:
        self.name, self._nodata, self._crs, self._coded = path, nodata, crs, coded
        self._order = order

    def centres(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return longitude and latitude of some pixels, shape ``(n, 2)``."""
        with _open_raster(self.name) as raster:
            rows = rng.integers(raster.height, size=n)
            cols = rng.integers(raster.width, size=n)
            x, y = raster.transform @ (cols + 0.5, rows + 0.5)
            return _move(self._system(raster), DEGREES, np.column_stack([x, y]))

    def look_up(self, places: NDArray[np.float64]) -> Lookup:
        """Return what the file holds at longitudes and latitudes."""
        with _open_raster(self.name) as raster:
            x, y = _move(DEGREES, self._system(raster), places).T
            cols, rows = (np.floor(axis) for axis in ~raster.transform @ (x, y))
            inside = (rows >= 0) & (rows < raster.height) & (cols >= 0) & (cols < raster.width)
            bands = self._by_name(raster, _components(raster))
            values = np.full((len(places), len(bands)), np.nan)
            for index in np.flatnonzero(inside):
                values[index] = self._pixel(raster, bands, int(rows[index]), int(cols[index]))
        return Lookup(values, inside)

    def names(self) -> list[str]:
        """Return the names of the bands: their own, or the file's for a single one."""
        with _open_raster(self.name) as raster:
            bands = _components(raster)
            stem = PurePosixPath(self.name).stem
            own = [raster.descriptions[band - 1] for band in bands]
            return [
                name or (stem if len(own) == 1 else f"{stem}_{n}") for n, name in enumerate(own)
            ]

    def _by_name(self, raster: Any, bands: list[int]) -> list[int]:
        """Return bands in the order that is asked for, where all have these names."""
        found = {(raster.descriptions[band - 1] or "").strip(): band for band in bands}
        if len(found) < len(bands) or set(found) != set(self._order):
            return bands
        return [found[name or ""] for name in self._order]

    def _pixel(self, raster: Any, bands: list[int], row: int, col: int) -> NDArray[np.float64]:
        window = ((row, row + 1), (col, col + 1))
        raw = raster.read(bands, window=window)[:, 0, 0]
        masked = raster.read_masks(bands, window=window)[:, 0, 0] == 0
        if self._nodata is not None:
            masked = np.zeros_like(masked)
            for text in [] if self._nodata.lower() == "none" else self._nodata.split(","):
                own = float(text)
                if own == own:
                    masked |= raw == np.asarray(own).astype(raw.dtype)
        if self._coded and raw.dtype == np.int8:
            return power_values(raw)
        scales = np.array([raster.scales[band - 1] for band in bands])
        offsets = np.array([raster.offsets[band - 1] for band in bands])
        return np.where(masked, np.nan, raw.astype(np.float64) * scales + offsets)

    def _system(self, raster: Any) -> Any:
        return self._crs or raster.crs.to_wkt()


class StackedPlaces:
    """Files that hold a few bands each and together form one embedding.

    Parameters
    ----------
    parts
        The files.
    order
        Names of the components in the order that is asked for; that of their numbers where some
        file has other names.
    """

    def __init__(self, parts: Sequence[RasterPlaces], order: Sequence[str | None] = ()) -> None:
        self._parts = parts
        named = {name: (part, band) for part in parts for band, name in enumerate(part.names())}
        known = [name for name in order if name in named]
        wanted = known if known and len(known) == len(order) else sorted(named, key=_by_number)
        self._order = [named[name] for name in wanted]

    def centres(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return longitude and latitude of some pixels, shape ``(n, 2)``."""
        return self._parts[0].centres(n, rng)

    def look_up(self, places: NDArray[np.float64]) -> Lookup:
        """Return what the files hold at longitudes and latitudes."""
        found = {part: part.look_up(places) for part in self._parts}
        values = np.column_stack([found[part].values[:, band] for part, band in self._order])
        return Lookup(values, np.all([one.inside for one in found.values()], axis=0))


type Places = RasterPlaces | StackedPlaces
"""An input that can be asked by place."""


def _move(source: Any, target: Any, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places in another CRS, x (longitude) first."""
    from pyproj import CRS, Transformer

    one, other = CRS.from_user_input(source), CRS.from_user_input(target)
    moved = Transformer.from_crs(one, other, always_xy=True).transform(*places.T)
    return np.column_stack(moved)


def _components(raster: Any) -> list[int]:
    """Return the bands that are no alpha band."""
    from rasterio.enums import ColorInterp

    meanings: Iterable[Any] = raster.colorinterp
    return [
        band
        for band, meaning in zip(raster.indexes, meanings, strict=True)
        if meaning is not ColorInterp.alpha
    ]


@contextmanager
def _open_raster(path: str) -> Iterator[Any]:
    """Open a raster under the settings of the process: they say which server is asked."""
    with gdal_environment(path), open_gdal(path) as raster:
        yield raster


def _by_number(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that orders numbers by value."""
    return [(int(piece) if piece.isdigit() else -1, piece) for piece in re.split(r"(\d+)", name)]
