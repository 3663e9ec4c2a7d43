"""Run the demonstration: what every user does, on a scene made up on the spot."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.run import convert
from geoembz._convert.summary import ConvertSummary
from geoembz._demo.scene import DEMO_NAMES, DemoFiles, is_demo_raster, write_demo
from geoembz._evaluate.metrics.neighbours import cosine_neighbours, majority_vote
from geoembz._evaluate.metrics.splits import labelled_split
from geoembz._objects.tree import ObjectTree
from geoembz._text import aligned, figure
from geoembz._util.results import Result
from geoembz.errors import DestinationExistsError, InvalidConfigError
from geoembz.store.journal import FOLDER

DEMO_MODEL = "urn:geoembz:model:demo"
"""Model of the scene's embeddings; tells a demonstration's store from others."""

STORE_NAME = "demo.zarr"
_NEIGHBOURS = 5
_LABELLED_PIXELS = 4_000
_BLOCK_PIXELS = 32
"""Side of the blocks that the split keeps whole: neighbouring pixels leak."""


@dataclass(frozen=True)
class Judged:
    """One form of the embeddings, and what a kNN classifier makes of it.

    Parameters
    ----------
    name
        What was classified.
    bytes_per_embedding
        Size of one vector, in bytes.
    knn_accuracy
        Share of held-out labelled pixels that their five nearest training pixels classify rightly.
    """

    name: str
    bytes_per_embedding: int
    knn_accuracy: float


@dataclass(frozen=True)
class DemoResult(Result):
    """What the demonstration made and found.

    Parameters
    ----------
    files
        The scene.
    summary
        The conversion's summary.
    judged
        Original and compressed embeddings, classified.
    train_pixels, test_pixels
        Labelled pixels on the two sides of the split.
    """

    files: DemoFiles
    summary: ConvertSummary
    judged: tuple[Judged, ...]
    train_pixels: int
    test_pixels: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "embedding": str(self.files.embedding),
            "labels": str(self.files.labels),
            "later": str(self.files.later) if self.files.later else None,
            "changed": str(self.files.changed) if self.files.changed else None,
            "summary": self.summary.to_json(),
            "judged": [asdict(entry) for entry in self.judged],
            "train_pixels": self.train_pixels,
            "test_pixels": self.test_pixels,
        }

    def to_table(self) -> str:
        """Return the table of cost and loss."""
        summary, baseline = self.summary, self.judged[0]
        rows = [("", "bytes/embedding", "kNN accuracy", "change")]
        for entry in self.judged:
            change = (
                "" if entry is baseline else f"{entry.knn_accuracy - baseline.knn_accuracy:+.2%}"
            )
            size, accuracy = f"{entry.bytes_per_embedding}", f"{entry.knn_accuracy:.2%}"
            rows.append((entry.name, size, accuracy, change))
        stored = (
            f"{summary.bytes_in / 1e6:.1f} MB -> {summary.bytes_stored / 1e6:.1f} MB stored: "
            f"{summary.ratio:.1f} times smaller, {summary.bytes_per_pixel:.1f} bytes per pixel"
        )
        lost = (
            f"explained variance {summary.explained_variance:.4f}, held-out cosine "
            f"{figure(summary.cosine)} (centred {figure(summary.cosine_centred)}), "
            f"RMSE {figure(summary.rmse)}"
        )
        judged = (
            f"kNN: k = {_NEIGHBOURS}, cosine, {self.train_pixels:,} training and "
            f"{self.test_pixels:,} test pixels in separate blocks of the scene"
        )
        return "\n".join(["", aligned(rows), "", stored, lost, judged])


def run_demo(
    directory: str | Path,
    *,
    size: int = 512,
    seed: int = 0,
    later: bool = False,
    pca: int = 64,
    say: Callable[[str], None] | None = None,
) -> DemoResult:
    """Write a scene, convert it with ``pca=64, int8``, open it lazily and classify land cover.

    Parameters
    ----------
    directory
        Where to write ``embedding.tif``, ``labels.tif`` and ``demo.zarr``; an earlier demonstration
        there is replaced, anything else is left alone.
    size
        Side of the scene, in pixels.
    seed
        Seed of the scene and of the split.
    later
        Write ``later.tif`` and ``changed.tif`` too: the same place a year later, and where its land
        cover is another one then.
    pca
        Principal components to keep.
    say
        Called with a line of text before each step.

    Returns
    -------
    result
        The table of cost and loss.

    Raises
    ------
    InvalidConfigError
        If the scene is too small to be classified.
    DestinationExistsError
        If the directory is a file or holds something else.

    Examples
    --------
    >>> result = run_demo(tmp_path / "demo", size=128, pca=16)
    >>> [entry.bytes_per_embedding for entry in result.judged]
    [512, 16, 16]
    """
    directory = Path(directory)
    _refuse_foreign(directory)
    if size < 2 * _BLOCK_PIXELS:
        raise InvalidConfigError(f"demo: size {size}; expected at least {2 * _BLOCK_PIXELS} pixels")
    tell = say or (lambda _: None)
    tell(f"1. a scene of {size} x {size} pixels, 128 numbers each: {directory / 'embedding.tif'}")
    for name in DEMO_NAMES[2:]:  # none of another seed stays beside the new scene
        (directory / name).unlink(missing_ok=True)
    files = write_demo(directory, size=size, seed=seed, later=later, overwrite=True)
    store = directory / STORE_NAME
    tell(f"2. geoembz convert {files.embedding} {store} --pca {pca} --int8")
    summary = convert(
        files.embedding, store, pca=pca, quantizer="int8", model=DEMO_MODEL, overwrite=True
    )
    tell(f'3. geoembz.open("{store}"): reads only the windows that are asked for')
    tell("4. land cover of held-out blocks, by the nearest labelled neighbours")
    return _judge(files, summary, seed)


def _refuse_foreign(directory: Path) -> None:
    """Refuse a directory with other files than an earlier demonstration's, or in their place."""
    if directory.exists() and not directory.is_dir():
        raise DestinationExistsError(f"{directory}: is a file; expected a directory")
    entries = directory.iterdir() if directory.exists() else ()
    names = {entry.name for entry in entries if not entry.name.startswith(".")}
    rasters = set(DEMO_NAMES) & names
    foreign = [name for name in sorted(rasters) if not is_demo_raster(directory / name)]
    if STORE_NAME in names and not _is_demo_store(directory):
        foreign.append(STORE_NAME)
    if foreign:
        raise DestinationExistsError(
            f"{directory / foreign[0]}: exists, and is not from a demonstration (or from an older "
            "one); expected a new directory, or one of an earlier demonstration"
        )
    if names and not rasters:
        raise DestinationExistsError(
            f"{directory}: holds {min(names)!r} and no demonstration; expected a new "
            "directory, or one of an earlier demonstration"
        )


def _is_demo_store(directory: Path) -> bool:
    """Whether a demonstration made the store, or was making it when it was interrupted."""
    store = directory / STORE_NAME
    if not store.is_dir():
        return False
    document = ObjectTree(store).read_json("zarr.json")
    if document is None:
        return (store / FOLDER).is_dir() and is_demo_raster(directory / "embedding.tif")
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return isinstance(attributes, dict) and attributes.get("geoemb:model") == DEMO_MODEL


def _judge(files: DemoFiles, summary: ConvertSummary, seed: int) -> DemoResult:
    """Classify the same labelled pixels from the source, from the store, and in reduced space."""
    from geoembz._xarray.backend import open_store

    labels, rows, cols = _labelled_pixels(files, seed)
    blocks = rows // _BLOCK_PIXELS * (1 << 20) + cols // _BLOCK_PIXELS
    split = labelled_split(labels, groups=blocks, test_share=0.3, seed=seed)
    forms = [
        ("original, float32", _from_source(files.embedding, rows, cols)),
        (f"{summary.recipe}, decoded", _from_store(open_store(summary.store), rows, cols)),
        (
            f"{summary.recipe}, reduced",
            _from_store(open_store(summary.store, space="reduced"), rows, cols),
        ),
    ]
    sizes = (forms[0][1].shape[1] * 4, summary.bytes_per_embedding, summary.bytes_per_embedding)
    judged = []
    for (name, vectors), size in zip(forms, sizes, strict=True):
        found = cosine_neighbours(vectors[split.test], vectors[split.train], _NEIGHBOURS)
        predicted = majority_vote(labels[split.train], found.indices)
        judged.append(Judged(name, size, float(np.mean(predicted == labels[split.test]))))
    return DemoResult(files, summary, tuple(judged), len(split.train), len(split.test))


def _labelled_pixels(
    files: DemoFiles, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
    """Return labels, rows and columns of a sample of pixels with both a label and an embedding."""
    from geoembz.sources.gdal import open_gdal

    with open_gdal(str(files.labels)) as raster:
        labels = raster.read(1)
    with open_gdal(str(files.embedding)) as raster:
        valid = np.isfinite(raster.read(1))
    rows, cols = np.nonzero((labels > 0) & valid)
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(len(rows))[:_LABELLED_PIXELS])
    rows, cols = rows[kept], cols[kept]
    return labels[rows, cols].astype(np.int64), rows, cols


def _from_source(path: Path, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the vectors of some pixels, shape ``(n, dimension)``, from the GeoTIFF."""
    from geoembz.sources.gdal import open_gdal

    with open_gdal(str(path)) as raster:
        bands = [raster.read(band)[rows, cols] for band in range(1, raster.count + 1)]
    return np.stack(bands, axis=1)


def _from_store(
    dataset: Any, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the vectors of some pixels, shape ``(n, length)``, from an open store."""
    import xarray as xr

    points = {"y": xr.Variable("point", rows), "x": xr.Variable("point", cols)}
    return np.asarray(dataset["embedding"].isel(points).transpose("point", ...).values)
