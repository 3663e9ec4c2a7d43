"""One raster and what it declares, written for every door of `convert`.

A door is a way in: a file, a folder of one file per band, a mosaic, an xarray object … Each writer
takes a `Declared`, and returns what to name, with the options that the door cannot do without.
`None` means that the door has no place for a fact.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint

from tests import products

CRS = "EPSG:32632"


@dataclass(frozen=True)
class Declared:
    """A raster ``(dimension, height, width)`` as it is stored, and what is declared of it."""

    raw: NDArray[Any]
    crs: str | None = CRS
    transform: tuple[float, ...] | None = products.UTM_TRANSFORM
    names: tuple[str, ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    nodata: tuple[float, ...] = ()
    mask: NDArray[np.bool_] | None = None
    control_points: bool = False
    dates: int = 1

    @property
    def coordinates(self) -> dict[str, NDArray[Any]]:
        """Pixel centres, and names of bands."""
        named: dict[str, NDArray[Any]] = {"band": np.array(self.names)} if self.names else {}
        if self.transform is None:
            return named
        a, _, c, _, e, f = self.transform
        rows, columns = (np.arange(0.5, size) for size in self.raw.shape[1:])
        return {**named, "y": np.asarray(f + e * rows), "x": np.asarray(c + a * columns)}

    @property
    def vectors(self) -> NDArray[np.float32]:
        """What is meant: float32 with north up, NaN where there is nothing."""
        meant = (self.raw.astype(np.float64) * self.scale + self.offset).astype(np.float32)
        if self.nodata:
            values = np.array(self.nodata).reshape(-1, 1, 1).astype(self.raw.dtype)
            meant[:, (self.raw == values).all(axis=0)] = np.nan
        if self.mask is not None:
            meant[:, ~self.mask] = np.nan
        turned = self.transform is not None and self.transform[4] > 0
        return meant[:, ::-1] if turned else meant

    def part(self, bands: slice = slice(None), columns: slice = slice(None)) -> "Declared":
        """Return some bands of some columns."""
        transform = self.transform
        if transform is not None:
            a, b, c, d, e, f = transform
            transform = (a, b, c + a * (columns.start or 0), d, e, f)
        return replace(
            self,
            raw=self.raw[bands, :, columns],
            transform=transform,
            names=self.names[bands],
            nodata=self.nodata[bands],
            mask=None if self.mask is None else self.mask[:, columns],
        )


type Entrance = tuple[Any, dict[str, Any]] | None
"""What to name, and the options that the door needs; None where it has no place for a fact."""


def tiff(declared: Declared, path: Path) -> Path | None:
    """Write a GeoTIFF: one nodata value for all of its bands."""
    if len(set(declared.nodata)) > 1 or declared.dates > 1:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = declared.raw.shape
    profile: dict[str, Any] = {"crs": declared.crs, "nodata": next(iter(declared.nodata), None)}
    if declared.transform is not None and not declared.control_points:
        profile["transform"] = rasterio.Affine(*declared.transform)
    if declared.control_points:
        corners = ((0, 0), (0, width), (height, 0), (height, width))
        profile["gcps"] = [GroundControlPoint(r, c, 9 + c / 100, 47 - r / 100) for r, c in corners]
    shape = {"count": count, "height": height, "width": width, "dtype": declared.raw.dtype}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **shape, **profile) as raster,
    ):
        raster.write(declared.raw)
        if declared.names:
            raster.descriptions = declared.names
        if declared.scale != 1 or declared.offset != 0:
            raster.scales, raster.offsets = [declared.scale] * count, [declared.offset] * count
        if declared.mask is not None:
            raster.write_mask(declared.mask)
    return path


def file(declared: Declared, folder: Path) -> Entrance:
    path = tiff(declared, folder / "a.tif")
    return None if path is None else (path, {})


def listed(declared: Declared, folder: Path) -> Entrance:
    """Name the file in a list."""
    if tiff(declared, folder / "a.tif") is None:
        return None
    (folder / "list.txt").write_text("a.tif\n")
    return folder / "list.txt", {}


def stac_item(declared: Declared, folder: Path) -> Entrance:
    """Name the file in a STAC item."""
    if tiff(declared, folder / "a.tif") is None:
        return None
    assets = {"embeddings": {"href": "./a.tif"}}
    item = {"type": "Feature", "stac_version": "1.1.0", "assets": assets}
    (folder / "item.json").write_text(json.dumps(item))
    return folder / "item.json", {}


def virtual(declared: Declared, folder: Path) -> Entrance:
    """Name the file in a VRT."""
    path = tiff(declared, folder / "a.tif")
    if path is None:
        return None
    rasterio.shutil.copy(path, folder / "a.vrt", driver="VRT")
    return folder / "a.vrt", {}


def band_files(declared: Declared, folder: Path) -> Entrance:
    """Write one file per band, each with a nodata value of its own."""
    for band in range(len(declared.raw)):
        name = declared.names[band] if declared.names else f"B{band}"
        if tiff(declared.part(slice(band, band + 1)), folder / "in" / f"{name}.tif") is None:
            return None
    return folder / "in", {}


def mosaic(declared: Declared, folder: Path) -> Entrance:
    """Write two tiles side by side."""
    half = declared.raw.shape[2] // 2
    for number, columns in enumerate((slice(0, half), slice(half, None))):
        tile = declared.part(columns=columns)
        if tiff(tile, folder / "in" / f"t{number}.tif") is None:
            return None
    return folder / "in", {}


def data_array(declared: Declared, folder: Path) -> Entrance:
    """Return an object in memory, its numbers as they are stored; it has no place for a mask."""
    if declared.mask is not None or declared.control_points:
        return None
    attributes: dict[str, Any] = {}
    if declared.nodata:
        same = len(set(declared.nodata)) == 1
        attributes["nodatavals" if not same else "_FillValue"] = (
            declared.raw.dtype.type(declared.nodata[0]) if same else declared.nodata
        )
    if declared.scale != 1 or declared.offset != 0:
        attributes |= {"scale_factor": declared.scale, "add_offset": declared.offset}
    raw, dims = declared.raw, ("band", "y", "x")
    if declared.dates > 1:
        raw, dims = np.stack([raw] * declared.dates), ("time", *dims)  # type: ignore[assignment]
    made = xr.DataArray(raw, declared.coordinates, dims, "vectors", attributes)
    return (made if declared.crs is None else made.rio.write_crs(declared.crs)), {}


def dataset(declared: Declared, folder: Path) -> Entrance:
    """Return a Dataset of one cube, with a variable `valid` for a mask."""
    made = data_array(replace(declared, mask=None), folder)
    if made is None:
        return None
    whole = made[0].to_dataset()
    if declared.mask is not None:
        whole["valid"] = (("y", "x"), declared.mask)
    return whole, {}


def flat_dataset(declared: Declared, folder: Path) -> Entrance:
    """Return a Dataset of one variable per band, each with its own attributes."""
    names = declared.names or tuple(f"B{band}" for band in range(len(declared.raw)))
    parts: dict[str, Any] = {}
    for band, name in enumerate(names):
        part = replace(declared.part(slice(band, band + 1)), names=(), mask=None)
        made = data_array(part, folder)
        if made is None:
            return None
        parts[name] = made[0].isel(band=0)
    whole = xr.Dataset(parts)
    if declared.mask is not None:
        whole["valid"] = (("y", "x"), declared.mask)
    return whole, {}


def zarr_group(declared: Declared, folder: Path) -> Entrance:
    made = dataset(declared, folder)
    if made is None:
        return None
    made[0].to_zarr(folder / "own.zarr", consolidated=False)
    return folder / "own.zarr", {}


def netcdf(declared: Declared, folder: Path) -> Entrance:
    made = dataset(declared, folder)
    if made is None:
        return None
    if len(set(declared.nodata)) > 1:
        return None  # netCDF has one _FillValue for a variable
    made[0].to_netcdf(folder / "own.nc", engine="netcdf4")
    return folder / "own.nc", {}


def plain_array(declared: Declared, folder: Path) -> Entrance:
    """Return an array: it declares nothing, options say it."""
    facts = (declared.names, declared.scale != 1, declared.mask is not None, declared.dates > 1)
    if any(facts) or declared.control_points or len(set(declared.nodata)) > 1:
        return None
    options: dict[str, Any] = {"crs": declared.crs, "dims": "band,y,x"}
    if declared.transform is not None:
        options["transform"] = declared.transform
    if declared.nodata:
        options["nodata"] = declared.nodata[0]
    return declared.raw, options


DOORS: Mapping[str, Callable[[Declared, Path], Entrance]] = {
    "file": file,
    "list": listed,
    "STAC item": stac_item,
    "VRT": virtual,
    "one file per band": band_files,
    "mosaic": mosaic,
    "DataArray": data_array,
    "Dataset": dataset,
    "one variable per band": flat_dataset,
    "Zarr": zarr_group,
    "netCDF": netcdf,
    "array": plain_array,
}
