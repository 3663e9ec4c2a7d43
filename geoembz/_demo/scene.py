"""A synthetic scene, as a satellite brings it down and as files: vectors, land cover, no data."""

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._demo.fields import Mask, draw_field, positions
from geoembz._demo.landscape import (
    BROADLEAVED,
    CEREAL,
    CONIFEROUS,
    COVERS,
    GRASS,
    HOUSES,
    MAIZE,
    RAPE,
    SEALED,
    WATER,
    Landscape,
)
from geoembz._demo.model import Model
from geoembz._geo.grid import Window, split
from geoembz._util.threads import single_threaded_blas
from geoembz.errors import DestinationExistsError, InvalidConfigError

CLASSES: dict[str, tuple[tuple[int, ...], tuple[int, int, int]]] = {
    "water": ((WATER,), (43, 84, 145)),
    "built-up": ((HOUSES, SEALED), (196, 112, 110)),
    "broadleaved wood": ((BROADLEAVED,), (64, 128, 60)),
    "coniferous wood": ((CONIFEROUS,), (25, 79, 62)),
    "grassland": ((GRASS,), (148, 190, 98)),
    "cereal": ((CEREAL,), (226, 205, 135)),
    "maize": ((MAIZE,), (186, 145, 83)),
    "rapeseed": ((RAPE,), (240, 226, 72)),
}
"""Names of the labels 1, 2, 3 ...: which covers belong to each, and its colour on a map."""

_CLOUDS = 0.012
"""Share of the scene under clouds; their shadows take about as much."""


@dataclass(frozen=True)
class Scene:
    """What lies where, and what is known of it.

    Parameters
    ----------
    landscape
        What lies where.
    labels
        uint8, shape ``(y, x)``: class 1 to 8 as in `CLASSES`, 0 where nobody surveyed.
    valid
        bool, shape ``(y, x)``: False beyond the edge of the swath, and under clouds and in their
        shadows.
    """

    landscape: Landscape
    labels: NDArray[np.uint8]
    valid: Mask

    @classmethod
    def draw(cls, size: int, seed: int, *, later: bool = False) -> Self:
        """Draw a scene of `size` x `size` pixels, or the same place a year `later`."""
        rng = np.random.default_rng([seed, 2])
        landscape = Landscape.draw(size, seed, later=later)
        label_of = np.zeros(len(COVERS), np.uint8)
        for label, (covers, _) in enumerate(CLASSES.values(), start=1):
            label_of[list(covers)] = label
        surveyed = draw_field(rng, size, size / 5, 3) > -0.3
        labels = np.where(surveyed, label_of[landscape.cover], np.uint8(0))
        sky = np.random.default_rng([seed, 5]) if later else rng
        return cls(landscape, labels, _draw_valid(sky, size))


def _draw_valid(rng: np.random.Generator, size: int) -> Mask:
    """Return where there are data: not beyond the swath, under clouds or in their shadows."""
    cloud = draw_field(rng, size, size / 6, 2.2)
    covered = cloud > np.quantile(cloud, 1 - _CLOUDS)
    shadow = np.zeros_like(covered)
    away = size // 40
    shadow[: size - away, away:] = covered[away:, : size - away]
    row, col = (x / np.float32(size) for x in positions(size))
    in_swath = col < 0.87 + 0.22 * row + 0.006 * (np.floor(row * 32) % 2)
    return in_swath & ~covered & ~shadow


DEMO_TAG = "geoembz_demo"
"""GeoTIFF tag of files that may be written over: the demonstration made them."""

DEMO_NAMES = ("embedding.tif", "labels.tif", "later.tif", "changed.tif")
"""What the demonstration may write beside its store, as the fields of `DemoFiles`."""

CRS = "EPSG:32632"
PIXEL_SIZE_M = 10.0
ORIGIN = (600_000.0, 5_200_000.0)
_TILE = 256
_GDAL_CACHE_BYTES = 48 * 2**20  # one tile of 128 float32 bands and room; the default is 5 % of RAM


@dataclass(frozen=True)
class DemoFiles:
    """Where the rasters of the demonstration are.

    Parameters
    ----------
    embedding
        GeoTIFF, float32, one band per dimension, NaN where there are no data.
    labels
        GeoTIFF, uint8, one band: land-cover class 1 to 8, 0 where the class is not known. Its tags
        have the names of the classes, its palette their colours.
    later
        GeoTIFF like `embedding`, of a year later; None where it was not asked for.
    changed
        GeoTIFF, uint8, one band: 1 where the land cover is another one then, 0 where it is the
        same, 255 where it is not known; None where it was not asked for.
    """

    embedding: Path
    labels: Path
    later: Path | None = None
    changed: Path | None = None


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
    later: bool = False,
    overwrite: bool = False,
) -> DemoFiles:
    """Write ``embedding.tif`` and ``labels.tif``: a synthetic scene of `size` x `size` pixels.

    Parameters
    ----------
    directory
        Where to write; created where absent.
    size
        Height and width of the rasters, in pixels of 10 m.
    dimension
        Length of an embedding vector: the number of bands.
    seed
        The same seed gives the same scene. Another one gives another place, seen by the same model.
    later
        Write ``later.tif`` and ``changed.tif`` too: the place a year later, and what is another
        land cover then.
    overwrite
        Replace files of these names. Without it, they are left alone and the call is refused.

    Returns
    -------
    files
        The paths of the rasters. Labels know nothing of clouds: a labelled pixel may have no
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
    names = DEMO_NAMES if later else DEMO_NAMES[:2]
    files = DemoFiles(*(directory / name for name in names))
    for name in names:
        path = directory / name
        if path.exists() and not overwrite:
            raise DestinationExistsError(
                f"{path}: exists already; expected a directory without a demo in it: "
                "choose another directory or ask to overwrite"
            )
    directory.mkdir(parents=True, exist_ok=True)
    scene, model = Scene.draw(size, seed), Model.draw(dimension)
    _write_labels(files.labels, scene)
    _write_embedding(files.embedding, scene, model, [seed, 3])
    if files.later and files.changed:
        then = Scene.draw(size, seed, later=True)
        _write_embedding(files.later, then, model, [seed, 6])
        differs = (then.landscape.cover != scene.landscape.cover).astype(np.uint8)
        known = (scene.labels > 0) | (then.labels > 0)
        _write_band(files.changed, np.where(known, differs, np.uint8(255)), nodata=255)
    return files


def _write_labels(path: Path, scene: Scene) -> None:
    names = {str(n): name for n, name in enumerate(CLASSES, start=1)}
    colours = enumerate((colour for _, colour in CLASSES.values()), start=1)
    palette = {0: (255, 255, 255), **dict(colours)}
    _write_band(path, scene.labels, nodata=0, names=names, palette=palette)


def _write_band(
    path: Path,
    values: NDArray[np.uint8],
    *,
    nodata: int,
    names: dict[str, str] | None = None,
    palette: dict[int, tuple[int, int, int]] | None = None,
) -> None:
    """Write one band of classes."""
    options: dict[str, str | float] = {"dtype": "uint8", "nodata": nodata, "compress": "deflate"}
    with _create(path, count=1, size=len(values), **options) as raster:
        raster.write(values, 1)
        raster.update_tags(1, **(names or {}))
        if palette:
            raster.write_colormap(1, palette)


def _write_embedding(path: Path, scene: Scene, model: Model, seed: list[int]) -> None:
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
            rng = np.random.default_rng([*seed, tile.row, tile.col])
            values = model.embed(scene.landscape, tile, rng)
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
