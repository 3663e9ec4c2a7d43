"""Write tiny files of every published product, to the letter of the field notes.

Each writer takes the numbers that the file will hold, so that a test knows what must come back.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import zarr
from numpy.typing import NDArray

type Coefficients = tuple[float, float, float, float, float, float]

UTM_TRANSFORM: Coefficients = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0)
AEF_FACTOR = 127.5
NODATA = -128


def unit_vectors(
    height: int, width: int, dimension: int = 64, seed: int = 0
) -> NDArray[np.float32]:
    """Return vectors of length 1 that vary smoothly, float32 ``(dimension, height, width)``.

    Seeds change the vectors, not the subspace that most of them lies in.
    """
    rng = np.random.default_rng(dimension)
    rows, cols = np.mgrid[0:height, 0:width] / max(height, width, 2)
    basis = np.stack([np.sin(3 * rows + k) + np.cos(2 * cols * (k + 1)) for k in range(4)])
    mixed = np.tensordot(rng.normal(size=(dimension, 4)), basis, axes=1)
    mixed += 0.2 * np.random.default_rng(seed).normal(size=mixed.shape)
    return (mixed / np.linalg.norm(mixed, axis=0)).astype(np.float32)


def aef_codes(height: int, width: int, seed: int = 0, dimension: int = 64) -> NDArray[np.int8]:
    """Return AlphaEarth's int8 of unit vectors: ``sign(v) * sqrt(abs(v)) * 127.5``, rounded."""
    vectors = unit_vectors(height, width, dimension, seed)
    codes = np.sign(vectors) * np.sqrt(np.abs(vectors)) * AEF_FACTOR
    return np.clip(np.rint(codes), -127, 127).astype(np.int8)


def power_values(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return the vectors that signed-power codes stand for."""
    wide = codes.astype(np.float64)
    return (np.sign(wide) * (np.abs(wide) / AEF_FACTOR) ** 2).astype(np.float32)


def write_raster(
    path: Path,
    values: NDArray[np.generic],
    *,
    crs: str = "EPSG:32632",
    transform: Coefficients = UTM_TRANSFORM,
    names: Sequence[str] = (),
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
    block: int | None = None,
) -> Path:
    """Write ``(dimension, height, width)`` as GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile: dict[str, Any] = {"driver": "GTiff", "interleave": "pixel"}
    if block is not None:
        profile |= {"tiled": True, "blockxsize": block, "blockysize": block}
    count, height, width = values.shape
    with rasterio.open(
        path,
        "w",
        count=count,
        height=height,
        width=width,
        dtype=values.dtype,
        crs=crs,
        transform=rasterio.Affine(*transform),
        nodata=nodata,
        **profile,
    ) as raster:
        raster.write(values)
        for index, name in enumerate(names, start=1):
            raster.set_band_description(index, name)
        raster.update_tags(**(tags or {}))
    return path


def write_aef(
    path: Path,
    codes: NDArray[np.int8],
    *,
    bottom_up: bool = True,
    transform: Coefficients = UTM_TRANSFORM,
    crs: str = "EPSG:32632",
    named: bool = True,
    block: int | None = 16,
) -> Path:
    """Write an AlphaEarth tile: 64 bands A00 to A63, −128 where there is none, stored bottom-up.

    `codes` are north-up and `transform` is theirs: with `bottom_up` the file holds the rows from
    the south, with a positive y step.
    """
    names = [f"A{band:02d}" for band in range(len(codes))] if named else []
    if bottom_up:
        a, b, c, d, e, f = transform
        transform = (a, b, c, d, -e, f + codes.shape[1] * e)
        codes = codes[:, ::-1]
    return write_raster(
        path, codes, crs=crs, transform=transform, names=names, nodata=NODATA, block=block
    )


def write_tessera_npy(
    folder: Path,
    codes: NDArray[np.int8],
    scales: NDArray[np.float32] | None,
    *,
    centre: tuple[float, float] = (9.05, 47.85),
    landmask: NDArray[np.uint8] | None = None,
    transform: Coefficients | None = None,
    crs: str = "EPSG:32632",
    mask_folder: Path | None = None,
) -> Path:
    """Write a Tessera tile: ``grid_LON_LAT.npy`` (H, W, 128), its scales and its land mask.

    `codes` are ``(height, width, 128)``; `scales` ``(height, width)`` or ``(height, width, 128)``,
    None to forget them. `landmask` is 1 on land; all land by default. The tile lies at `centre`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"grid_{centre[0]:.2f}_{centre[1]:.2f}"
    np.save(folder / f"{stem}.npy", codes)
    if scales is not None:
        np.save(folder / f"{stem}_scales.npy", scales)
    height, width = codes.shape[:2]
    if transform is None:
        transform = _utm_transform(centre, crs, (height, width))
    mask = np.ones((height, width), np.uint8) if landmask is None else landmask
    write_raster(
        (mask_folder or folder) / f"{stem}.tiff", mask[np.newaxis], crs=crs, transform=transform
    )
    return folder / f"{stem}.npy"


def write_tessera_tiff(folder: Path, values: NDArray[np.float32], year: int = 2024) -> Path:
    """Write a Tessera GeoTIFF: 128 float32 bands, NaN where there is nothing."""
    path = folder / f"grid_9.05_47.85_{year}.tiff"
    transform = _utm_transform((9.05, 47.85), "EPSG:32632", values.shape[1:])
    return write_raster(path, values, transform=transform, nodata=float("nan"))


def write_tessera_zarr(
    path: Path,
    zones: Mapping[int, tuple[NDArray[np.int8], NDArray[np.float32]]],
    *,
    years: Sequence[int] = (2024,),
    transform: Coefficients = UTM_TRANSFORM,
) -> Path:
    """Write Tessera's Zarr: ``utmNN/embeddings`` (time, band, y, x) and ``utmNN/scales``."""
    root = zarr.create_group(path)
    for zone, (codes, scales) in zones.items():
        group = root.create_group(
            f"utm{zone}",
            attributes={
                "proj:code": f"EPSG:326{zone:02d}",
                "spatial:transform": list(transform),
            },
        )
        _array(group, "embeddings", codes, ("time", "band", "y", "x"), 0)
        _array(group, "scales", scales, ("time", "y", "x"), float("inf"))
        _array(group, "time", np.array(years, np.int32), ("time",), 0)
        _axes(group, codes.shape[2:], transform)
    return path


def write_aef_zarr(
    path: Path,
    codes: NDArray[np.int8],
    *,
    years: Sequence[int] = (2024,),
    transform: Coefficients = (8.983e-5, 0.0, 9.0, 0.0, -8.983e-5, 48.0),
) -> Path:
    """Write AlphaEarth's mosaic Zarr: one array (time, 64, y, x) in EPSG:4326, −128 for nothing."""
    root = zarr.create_group(path)
    _array(root, "embeddings", codes, ("time", "band", "y", "x"), NODATA)
    _array(root, "time", np.array(years, np.int32), ("time",), 0)
    _axes(root, codes.shape[2:], transform)
    mapping = root.create_array("spatial_ref", shape=(), dtype=np.int64, fill_value=0)
    mapping.attrs["crs_wkt"] = rasterio.CRS.from_epsg(4326).to_wkt()
    return path


def write_olmoearth(
    path: Path,
    values: NDArray[np.generic],
    *,
    crs: str = "EPSG:32632",
    transform: Coefficients = UTM_TRANSFORM,
) -> Path:
    """Write an OlmoEarth GeoTIFF: float32 bands, or int8 codes with fill −128."""
    nodata = NODATA if values.dtype == np.int8 else None
    return write_raster(path, values, crs=crs, transform=transform, nodata=nodata)


def write_band_files(
    folder: Path,
    values: NDArray[np.generic],
    names: Sequence[str],
    *,
    bands_per_file: int = 3,
    crs: str = "EPSG:32632",
    transform: Coefficients = UTM_TRANSFORM,
) -> list[Path]:
    """Write one embedding over several files, as Earth Engine exports: ``A00_A01_A02.tif``."""
    paths = []
    for start in range(0, len(values), bands_per_file):
        part = slice(start, start + bands_per_file)
        path = folder / f"{'_'.join(names[part])}.tif"
        paths.append(
            write_raster(path, values[part], names=names[part], crs=crs, transform=transform)
        )
    return paths


def _array(
    group: zarr.Group,
    name: str,
    values: NDArray[np.generic],
    dimensions: tuple[str, ...],
    fill: float,
) -> None:
    chunks = tuple(
        min(size, 1 if size_name == "time" else 16)
        for size, size_name in zip(values.shape, dimensions, strict=True)
    )
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        fill_value=fill,
        dimension_names=dimensions,
    )
    array[...] = values


def _axes(group: zarr.Group, shape: tuple[int, ...], transform: Coefficients) -> None:
    a, _, c, _, e, f = transform
    height, width = shape
    _array(group, "y", f + e * (np.arange(height) + 0.5), ("y",), 0)
    _array(group, "x", c + a * (np.arange(width) + 0.5), ("x",), 0)


def _utm_transform(centre: tuple[float, float], crs: str, shape: tuple[int, ...]) -> Coefficients:
    """Return 10 m pixels around a place given as longitude and latitude."""
    from rasterio.warp import transform

    (x,), (y,) = transform("EPSG:4326", crs, [centre[0]], [centre[1]])
    height, width = shape
    left, top = round(x / 10 - width / 2) * 10.0, round(y / 10 + height / 2) * 10.0
    return (10.0, 0.0, left, 0.0, -10.0, top)
