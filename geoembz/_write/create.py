"""Begin a new store that is written window by window."""

import time as clock
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._convert.basis import load_fixed
from geoembz._convert.destination import Destination, holds_already
from geoembz._convert.levels import finish_store, has_unit_length
from geoembz._convert.options import (
    FitOptions,
    StorageKeywords,
    StorageOptions,
    gather,
    parse_date,
    refuse_keywords,
)
from geoembz._convert.raster_conversion import plan_store
from geoembz._convert.record import Written, store_attributes, summarise
from geoembz._convert.shard_task import ShardResult
from geoembz._convert.site import Build, Site
from geoembz._convert.summary import ConvertSummary
from geoembz._geo.grid import Grid
from geoembz._objects.identity import display_name
from geoembz._util.progress import Progress
from geoembz._version import FORMAT_VERSION, __version__
from geoembz._work.executors import Workers
from geoembz._write.places import NO_BLOCK, checked_grid, grid_of, open_like
from geoembz._write.shards import Repeats
from geoembz._write.writer import Begun, Writer, open_writer
from geoembz.encoding import Encoding, Metric
from geoembz.errors import DestinationExistsError, InvalidConfigError
from geoembz.sources.band_names import BandNames
from geoembz.sources.base import SourceTraits
from geoembz.sources.layers import Layer, checked_layers
from geoembz.sources.provenance import SourceInfo
from geoembz.store import StoreReader
from geoembz.store.attributes import StoreAttributes
from geoembz.store.conventions import UNKNOWN_MODEL
from geoembz.store.documents import StorePlan, store_documents
from geoembz.store.journal import BY_WINDOW
from geoembz.store.writer import StoreWriter

UNNAMED = "urn:geoembz:writer"
"""Stands for what vectors were made of, where nobody says it."""


@dataclass(frozen=True)
class Declared:
    """What is said of vectors that come window by window; as a source says it of its own.

    Parameters
    ----------
    name
        The store, for messages.
    grid
        Where the pixels lie.
    dimension, dtype
        Length of a vector, and type of its numbers.
    info
        What the vectors were made of.
    band_names
        One name per component, None where it has none.
    """

    name: str
    grid: Grid
    dimension: int
    dtype: np.dtype[Any]
    info: tuple[SourceInfo, ...]
    band_names: BandNames
    traits: SourceTraits = field(default_factory=SourceTraits)


@dataclass(frozen=True, kw_only=True)
class NewStore:
    """A store that does not exist yet.

    Parameters
    ----------
    url
        Where.
    declared
        What is said of its vectors.
    stored
        What it will be.
    storage, block
        What that follows from.
    centre, seed, model, license, metric
        As in `create`.
    """

    url: str
    declared: Declared
    stored: StorePlan
    storage: StorageOptions
    block: tuple[int, int]
    centre: NDArray[np.float64]
    seed: int
    model: str
    license: str | None
    metric: str | None

    def plan(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, but for the vectors."""
        declared, storage = self.declared, self.storage
        return {
            "software": __version__,
            "format": FORMAT_VERSION,
            **BY_WINDOW,
            "encoding": self.stored.encoding.hash,
            "bands": list(declared.band_names),
            "sources": [info.identity() for info in declared.info],
            "dtype": str(declared.dtype),
            "seed": self.seed,
            "centre": self.centre.tolist(),
            "crs": declared.grid.crs_wkt,
            "transform": list(declared.grid.transform),
            "shape": list(declared.grid.shape),
            "block": list(self.block),
            "chunk": storage.chunk,
            "shard": storage.shard,
            "layout": storage.layout,
            "prefix_chunks": storage.prefix_chunks,
            "access": storage.access,
            "archive": storage.archive,
            "levels": len(self.stored.levels),
            "date": next(iter(self.stored.dates), None),
            "layers": [layer.to_json() for layer in self.stored.layers],
            "model": self.model,
            "license": self.license,
            "metric": self.metric,
        }

    def attributes(self, written: Written) -> StoreAttributes:
        """Return the attributes of the store, without its levels."""
        return store_attributes(
            self.declared,
            self.stored,
            written,
            model=self.model,
            license=self.license,
            metric=self.metric,
        )

    def check(self) -> None:
        """Make all metadata once: what cannot be written is refused before vectors come.

        Raises
        ------
        GeoembzError
            If it cannot.
        """
        store_documents(self.stored, self.attributes(summarise(self.declared, [])), {})

    def conclude(
        self,
        build: Build,
        writer: StoreWriter,
        results: list[ShardResult],
        workers: Workers,
        progress: Progress | None,
    ) -> None:
        """Write what follows the shards; see `Target`."""
        attributes = self.attributes(summarise(self.declared, results))
        unit_length = has_unit_length(attributes)
        finish_store(build, writer, attributes, results, workers, progress, unit_length)

    def summary(self, started: float) -> ConvertSummary:
        """Return what was done, once the store is there."""
        reader = StoreReader.open(self.url)
        return ConvertSummary.of(
            self.url,
            reader,
            reader.attributes.pixels,
            vector_bytes=self.declared.dimension * self.declared.dtype.itemsize,
            started=started,
        )


def create(
    store: str | Path,
    grid: Grid | None = None,
    encoding: Encoding | str | Path | None = None,
    *,
    crs: str | None = None,
    transform: Any = None,
    resolution: float | Sequence[float] | None = None,
    extent: Sequence[float] | None = None,
    shape: Sequence[int] | None = None,
    like: str | Path | None = None,
    time: str | None = None,
    layers: Iterable[Layer] = (),
    storage: StorageOptions | None = None,
    model: str | None = None,
    license: str | None = None,  # noqa: A002 - the field's word
    metric: str | None = None,
    sources: Sequence[str] = (),
    dtype: str = "float32",
    centre: ArrayLike | None = None,
    seed: int = 0,
    repeats: Repeats = "refuse",
    overwrite: bool = False,
    break_lock: bool = False,
    **flat: Unpack[StorageKeywords],
) -> Writer:
    """Begin a store that is written window by window, as a model makes its embeddings.

    Nothing opens the store before `Writer.finish`. A job that was killed goes on after the same
    call: what was written is there.

    Parameters
    ----------
    store
        Where the store will be: a path or an fsspec URL.
    grid
        Where its pixels lie; or `like`, or `crs` with a transform or a resolution.
    encoding
        What vectors are encoded with: of `geoembz.fit` or `Fitter.fit`, or a store or a file that
        has it.
    crs
        In any form that PROJ knows, such as ``EPSG:32633``.
    transform
        Affine coefficients ``(a, b, c, d, e, f)`` from pixel corners to units of the CRS.
    resolution
        Side of a pixel in units of the CRS, or ``(width, height)``; the grid begins at the
        north-west corner of `extent`.
    extent
        ``(xmin, ymin, xmax, ymax)`` in units of the CRS, whole pixels.
    shape
        Height and width in pixels, beside a transform.
    like
        A raster, or a store, whose grid the store has. Shards keep the raster's blocks whole, as
        `geoembz.convert` of it does.
    time
        ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``: gives the store a time axis, on which
        `geoembz.extend` adds dates.
    layers
        What is stored beside the vectors; see `Layer`.
    storage
        How codes are stored; see `StorageOptions`. `overviews` are written by `Writer.finish`.
    model, license, metric
        As in `geoembz.convert`.
    sources
        URIs of what the embeddings are made of, such as scenes; without credentials.
    dtype
        Type of the model's numbers, to compare sizes with; windows may have any type of floats.
    centre
        Mean vector that the centred cosine takes off, ``(dimension,)``; None for the mean that the
        encoding has, or else zero.
    seed
        Chooses the pixels that are held out, on which fidelity is measured.
    repeats
        What holds where a pixel is written again with other values. ``refuse`` is an error;
        ``keep`` leaves it as it is: for models that do not give the same numbers twice, or windows
        that overlap.
    overwrite
        Replace a Zarr store at the destination, after the new one is complete.
    break_lock
        Take the destination from a conversion that seems to hold it: on another machine, and dead.
    **flat
        Any field of `StorageOptions` by its own name.

    Returns
    -------
    writer
        Open: it holds the destination until it is closed.

    Raises
    ------
    InvalidConfigError
        If options cannot work, or contradict each other; or another job is unfinished there.
    DestinationExistsError
        If the destination holds a complete store and `overwrite` is not given, or another command
        holds it.
    StoreError
        If the destination cannot be written.

    References
    ----------
    spec/format.md.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(8, 64, 64)).astype("float32")
    >>> encoding = geoembz.fit(vectors.reshape(8, -1).T, "pca4-int8")
    >>> box = (500000, 5000000, 500640, 5000640)
    >>> with geoembz.create(
    ...     tmp_path / "out.zarr", encoding=encoding, crs="EPSG:32633", resolution=10, extent=box
    ... ) as writer:
    ...     for window in writer.missing(32):
    ...         writer.write(window, vectors[:, *window.slices])
    ...     summary = writer.finish()
    >>> summary.recipe, summary.valid_pixels
    ('pca4-int8', 4096)
    """
    started = clock.perf_counter()
    destination = Destination.check(store, overwrite=overwrite, breaks_lock=break_lock)
    fixed = load_fixed(encoding, None)
    if fixed is None:
        raise InvalidConfigError("create: no encoding; expected one of `geoembz.fit`, or a basis")
    refuse_keywords("create", flat, StorageKeywords)
    options = gather("create", flat, storage=storage).storage
    place, block = _place(grid, like, crs, transform, resolution, extent, shape)
    date = None if time is None else parse_date(time)
    target = NewStore(
        url=str(store),
        declared=Declared(
            str(store), place, fixed.dimension, _float(dtype), source_infos(sources), _bands(fixed)
        ),
        stored=replace(
            plan_store(place.shape, block, fixed, options, date), layers=checked_layers(layers)
        ),
        storage=options,
        block=block,
        centre=centre_of(fixed, centre),
        seed=FitOptions(seed=seed).seed,
        model=model or UNKNOWN_MODEL,
        license=license,
        metric=_metric(fixed, metric),
    )
    target.check()

    def begin(site: Site) -> Begun:
        build = site.begin(target.plan())
        if build.is_complete:  # a job that was killed had finished
            raise DestinationExistsError(holds_already(destination.url))
        writer = StoreWriter(build.tree, target.stored)
        return Begun(build, writer, target, place, target.seed, target.centre)

    return open_writer(destination, begin, repeats, started)


def _place(
    grid: Grid | None, like: str | Path | None, *numbers: Any
) -> tuple[Grid, tuple[int, int]]:
    """Return the grid, and the block that shards keep whole."""
    described = any(number is not None for number in numbers)
    if sum((grid is not None, like is not None, described)) != 1:
        raise InvalidConfigError(
            "grid: expected one of a Grid, like=RASTER, or crs with a transform or a resolution"
        )
    if grid is not None:
        return checked_grid(grid), NO_BLOCK
    return open_like(like) if like is not None else (grid_of(*numbers), NO_BLOCK)


def centre_of(encoding: Encoding, given: ArrayLike | None) -> NDArray[np.float64]:
    """Return what the centred cosine takes off, float64 ``(dimension,)``.

    Raises
    ------
    InvalidConfigError
        If it has another shape, or is not finite.
    """
    own = encoding.projection.mean
    centre = np.asarray(own if given is None else given, dtype=np.float64)
    if own is None and given is None:
        return np.zeros(encoding.dimension)
    if centre.shape != (encoding.dimension,) or not np.isfinite(centre).all():
        raise InvalidConfigError(
            f"centre: shape {centre.shape}; expected ({encoding.dimension},), all finite"
        )
    return centre


def _float(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind != "f":
        raise InvalidConfigError(f"dtype {name!r}; expected float16, float32 or float64")
    return dtype


def source_infos(uris: Sequence[str]) -> tuple[SourceInfo, ...]:
    """Return what vectors are made of, as a store's provenance says it."""
    named = [uris] if isinstance(uris, str) else [str(uri) for uri in uris]
    return tuple(SourceInfo(display_name(uri)) for uri in named or [UNNAMED])


def _bands(encoding: Encoding) -> BandNames:
    return encoding.band_names or (None,) * encoding.dimension


def _metric(encoding: Encoding, named: str | None) -> str | None:
    if named is None:
        return None
    metric = Metric.parse(named)
    encoding.check_metric(metric)
    return str(metric)
