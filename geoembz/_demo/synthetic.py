"""Write a synthetic scene: an embedding raster and a land-cover map of the same place."""

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoembz._demo.scene import Model, Scene
from geoembz._geo.grid import Window, split
from geoembz._util.threads import single_threaded_blas
from geoembz.errors import DestinationExistsError, InvalidConfigError

DEMO_TAG = "geoembz_demo"
"""GeoTIFF tag of files that may be written over: the demonstration made them."""

CRS = "EPSG:32632"
PIXEL_SIZE_M = 10.0
ORIGIN = (600_000.0, 5_200_000.0)
_TILE = 256
_GDAL_CACHE_BYTES = 48 * 2**20  # one tile of 128 float32 bands and room; the default is 5 % of RAM


@dataclass(frozen=True)
class DemoFiles:
    """Where the two rasters of the demonstration are.

    Parameters
    ----------
    embedding
        GeoTIFF, float32, one band per dimension, NaN where there are no data.
    labels
        GeoTIFF, uint8, one band: land-cover class 1 to 7, 0 where the class is not known.
    """

    embedding: Path
    labels: Path


def is_demo_raster(path: Path) -> bool:
    """Whether a file is one that `write_demo` wrote."""
    from rasterio.errors import RasterioIOError

    from geoembz.sources.gdal import open_gdal

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that are not ours: all is one answer
            with open_gdal(str(path)) as raster:
                return DEMO_TAG in raster.tags()
    except RasterioIOError:
        return False


def write_demo(
    directory: Path,
    *,
    size: int = 512,
    dimension: int = 128,
    seed: int = 0,
    overwrite: bool = False,
) -> DemoFiles:
    """Write ``embedding.tif`` and ``labels.tif``: a synthetic scene of `size` x `size` pixels.

    Parameters
    ----------
    directory
        Where to write; created where absent.
    size
        Height and width of both rasters, in pixels of 10 m.
    dimension
        Length of an embedding vector: the number of bands.
    seed
        The same seed gives the same scene.
    overwrite
        Replace files of these names. Without it, they are left alone and the call is refused.

    Returns
    -------
    files
        The paths of the two rasters. Labels know nothing of clouds: a labelled pixel may have no
        embedding.

    Raises
    ------
    InvalidConfigError
        If `size` or `dimension` is less than 1.
    DestinationExistsError
        If one of the files exists and `overwrite` is not set.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     files = write_demo(Path(directory), size=64, dimension=8)
    ...     sorted(path.name for path in (files.embedding, files.labels))
    ['embedding.tif', 'labels.tif']
    """
    if min(size, dimension) < 1:
        raise InvalidConfigError(
            f"demo: size {size} and dimension {dimension}; expected both to be at least 1"
        )
    files = DemoFiles(directory / "embedding.tif", directory / "labels.tif")
    for path in (files.embedding, files.labels):
        if path.exists() and not overwrite:
            raise DestinationExistsError(
                f"{path}: exists already; expected a directory without a demo in it: "
                "choose another directory or ask to overwrite"
            )
    directory.mkdir(parents=True, exist_ok=True)
    scene, model = Scene.draw(size, seed), Model.draw(dimension, seed)
    _write_labels(files.labels, scene)
    _write_embedding(files.embedding, scene, model, seed)
    return files


def _write_labels(path: Path, scene: Scene) -> None:
    options: dict[str, str | float] = {"dtype": "uint8", "nodata": 0, "compress": "deflate"}
    with _create(path, count=1, size=len(scene.labels), **options) as raster:
        raster.write(scene.labels, 1)


def _write_embedding(path: Path, scene: Scene, model: Model, seed: int) -> None:
    """Write tile by tile, each from its own generator, so that memory stays at one tile."""
    from rasterio.windows import Window as RasterWindow

    count, size = len(model.mean), len(scene.valid)
    options: dict[str, str | float] = {
        "dtype": "float32",
        "nodata": float("nan"),
        "interleave": "pixel",
    }
    with _create(path, count=count, size=size, **options) as raster, single_threaded_blas():
        for tile in split(Window(0, 0, size, size), (_TILE, _TILE)):
            rng = np.random.default_rng([seed, 3, tile.row, tile.col])
            shares, smooth = (a[:, *tile.slices] for a in (scene.shares, scene.smooth))
            values = model.embed(shares, smooth, rng)
            values[:, ~scene.valid[tile.slices]] = np.nan
            window = RasterWindow(tile.col, tile.row, tile.width, tile.height)
            raster.write(values, window=window)


@contextmanager
def _create(path: Path, *, count: int, size: int, **options: str | float) -> Iterator[Any]:
    """Open a georeferenced GeoTIFF for writing; it gets its name only once it is complete."""
    import rasterio
    from rasterio.transform import from_origin

    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.partial.tif")
    transform = from_origin(*ORIGIN, PIXEL_SIZE_M, PIXEL_SIZE_M)
    shape = {"count": count, "height": size, "width": size, "crs": CRS, "transform": transform}
    tiles = {"tiled": True, "blockxsize": _TILE, "blockysize": _TILE}
    try:
        with (
            rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE_BYTES),
            rasterio.open(partial, "w", driver="GTiff", **shape, **tiles, **options) as raster,
        ):
            raster.update_tags(**{DEMO_TAG: "synthetic scene"})
            yield raster
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
