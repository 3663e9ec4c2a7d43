"""A synthetic scene of land cover, and a model that turns it into embedding vectors; as files.

It looks like a foundation model's output where that matters for compression: patches of land cover
that mix along their borders, a spectrum that decays but does not end, variation within a class
that is partly smooth and partly noise, a mean far from zero, clouds and an edge without data.
"""

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window, split
from geoembz._util.threads import single_threaded_blas
from geoembz.errors import DestinationExistsError, InvalidConfigError

N_CLASSES = 7

_N_SMOOTH = 12

# Chosen so that float32 kNN finds the class of about 95 % of the pixels and 64 of 128 principal
# components explain about 99 % of the variance, while the mean alone has a cosine of 0.7.
_SPECTRUM_DECAY = 0.75  # the standard deviation along axis j is (1 + j) ** -0.75, times these:
_BETWEEN, _SMOOTH, _WHITE = 0.8, 0.45, 0.6
_BORDER_SHARPNESS = 9.0
_MEAN_NORM = 1.5


@dataclass(frozen=True)
class Scene:
    """What lies where.

    Parameters
    ----------
    shares
        float32, shape ``(class, y, x)``: how much of a pixel each class covers.
    smooth
        float32, shape ``(field, y, x)``: variation within a class, unit variance.
    labels
        uint8, shape ``(y, x)``: class 1 to 7, 0 where nobody surveyed.
    valid
        bool, shape ``(y, x)``: False in the ragged corner and under the clouds.
    """

    shares: NDArray[np.float32]
    smooth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    valid: NDArray[np.bool_]

    @classmethod
    def draw(cls, size: int, seed: int) -> Self:
        """Draw a scene of `size` x `size` pixels."""
        rng = np.random.default_rng([seed, 1])
        cover = _smooth_fields(rng, N_CLASSES, size, size / 26)
        shares = np.exp(_BORDER_SHARPNESS * (cover - cover.max(axis=0)))
        shares /= shares.sum(axis=0)
        surveyed = _smooth_fields(rng, 1, size, size / 40)[0] > -0.3
        labels = np.where(surveyed, cover.argmax(axis=0) + 1, 0).astype(np.uint8)
        smooth = _smooth_fields(rng, _N_SMOOTH, size, size / 90)
        return cls(shares, smooth, labels, _draw_valid(rng, size))


@dataclass(frozen=True)
class Model:
    """What a place looks like: ``mean + axes @ (centroids @ shares + smooth + white noise)``."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    centroids: NDArray[np.float32]
    spectrum: NDArray[np.float32]

    @classmethod
    def draw(cls, dimension: int, seed: int) -> Self:
        """Draw a model of vectors of length `dimension`."""
        rng = np.random.default_rng([seed, 2])
        axes, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
        spectrum = (1 + np.arange(dimension)) ** -_SPECTRUM_DECAY
        centroids = _BETWEEN * spectrum[:, None] * rng.standard_normal((dimension, N_CLASSES))
        mean = rng.standard_normal(dimension) * _MEAN_NORM / np.sqrt(dimension)
        state = (a.astype(np.float32) for a in (mean, axes, centroids, spectrum))
        return cls(*state)

    def embed(
        self,
        shares: NDArray[np.float32],
        smooth: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return the vectors (dimension, y, x) of a window of a scene, white noise from `rng`."""
        n_smooth = min(len(smooth), len(self.mean))
        scores = rng.standard_normal((len(self.mean), shares[0].size), dtype=np.float32)
        scores *= _WHITE * self.spectrum[:, None]
        scores[:n_smooth] += _SMOOTH * self.spectrum[:n_smooth, None] * _flat(smooth[:n_smooth])
        scores += self.centroids @ _flat(shares)
        vectors: NDArray[np.float32] = self.axes @ scores
        vectors += self.mean[:, None]
        return vectors.reshape(-1, *shares.shape[1:])


def _smooth_fields(
    rng: np.random.Generator, count: int, size: int, sigma: float
) -> NDArray[np.float32]:
    """Return `count` fields (count, size, size) of noise smoothed by `sigma` px, unit variance."""
    from scipy.ndimage import gaussian_filter

    fields = np.empty((count, size, size), dtype=np.float32)
    for field in fields:
        noise = rng.standard_normal((size, size), dtype=np.float32)
        gaussian_filter(noise, sigma, output=field, mode="wrap", truncate=3)
        deviation = float(field.std())
        field /= deviation if deviation > 0 else 1.0
    return fields


def _draw_valid(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Return where there are data: a ragged corner and a few clouds are cut out."""
    wobble, cloud = _smooth_fields(rng, 2, size, size / 30)
    row, col = np.mgrid[:size, :size] / size
    corner = row + (1 - col) < 0.2 + 0.03 * wobble
    clouds = cloud > np.quantile(cloud, 0.985)
    valid: NDArray[np.bool_] = ~(corner | clouds)
    return valid


def _flat(fields: NDArray[np.float32]) -> NDArray[np.float32]:
    return fields.reshape(len(fields), -1)


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
