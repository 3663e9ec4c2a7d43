"""Options of a conversion beside its inputs: how it fits, how it stores, and for which date.

Options come in groups (`read`, `fit`, `storage`) or as flat keywords, which are the fields of the
groups; both may be mixed as long as they do not contradict each other.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from geoembz._geo.chunks import Access, sizes_for
from geoembz._util import options
from geoembz._util.options import check_whole
from geoembz.encoding import Recipe
from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions
from geoembz.sources.options import Overlap
from geoembz.sources.pooling import Pool
from geoembz.store.conventions import Layout

FIT_SAMPLES = 65_536
"""Pixels that an encoding is fitted on, by default."""


@dataclass(frozen=True)
class FitOptions:
    """How an encoding is fitted, or a fitted one is checked.

    Parameters
    ----------
    pca, quantizer
        A recipe in two words, instead of its name: the number of principal components to keep
        (None keeps the vectors as they are), and ``int8``, ``int4``, ``binary`` or ``float32``.
    fit_samples
        Pixels, or rows of a table, to fit the encoding on.
    seed
        Seed of every random choice.
    strict_basis
        Refuse data that lie outside a basis instead of warning.

    Raises
    ------
    InvalidConfigError
        If a number is too small, or should be a whole one.
    """

    pca: int | None = None
    quantizer: str | None = None
    fit_samples: int = FIT_SAMPLES
    seed: int = 0
    strict_basis: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_whole(pca=self.pca, fit_samples=self.fit_samples, seed=self.seed)
        if self.fit_samples < 1:
            raise InvalidConfigError(f"fit_samples {self.fit_samples}; expected 1 or more")
        if self.seed < 0:
            raise InvalidConfigError(f"seed {self.seed}; expected 0 or more")

    def recipe(self, named: str | Recipe | None) -> Recipe | None:
        """Return the recipe that is asked for, by name or in two words; None where it is not.

        Raises
        ------
        InvalidConfigError
            If it is asked for in both ways.
        """
        if named is not None:
            if self.pca is not None or self.quantizer is not None:
                raise InvalidConfigError(
                    f"recipe {str(named)!r} says projection and quantizer already; leave out pca "
                    "and the quantizer, or the recipe"
                )
            return named if isinstance(named, Recipe) else Recipe.parse(named)
        if self.pca is None and self.quantizer is None:
            return None
        projection = None if self.pca is None else "pca"
        return Recipe(self.quantizer or "int8", projection=projection, n_components=self.pca)


@dataclass(frozen=True)
class StorageOptions:
    """How codes are stored.

    Parameters
    ----------
    layout
        ``plain`` (integers that any Zarr reader opens) or ``codec`` (float32 vectors wherever
        geoembz is installed).
    chunk, shard
        Sides of chunks and shards, in pixels, or rows of a table; `shard` may be ``"none"``. None:
        see `geoembz.store.choose_layout`.
    prefix_chunks
        Components per chunk, rounded up to whole bytes, so that a reader who asks for the first few
        reads no others; None keeps vectors whole. Not after a rotation, nor with `pq`; of `rq`,
        stages per chunk.
    access
        What the store is read for, which chooses what the three above leave open: ``browser``
        (tiles of a map), ``points`` (single pixels) or ``bulk`` (all of it); ``--for`` on the
        command line. Rasters only.
    overviews
        Add levels of 2, 4, 8 … times the pixel size, as `geoembz.overviews` does. Rasters only.
    archive
        Pack chunks to be small: a third less of most rasters, written ten to a hundred times and
        read two to four times slower. `geoembz.repack` does it later, and undoes it.
    """

    layout: Layout = "plain"
    chunk: int | None = None
    shard: int | str | None = None
    prefix_chunks: int | None = None
    access: Access | None = None
    overviews: bool = False
    archive: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        sizes_for(self.access)
        shard = None if isinstance(self.shard, str) else self.shard
        check_whole(chunk=self.chunk, shard=shard, prefix_chunks=self.prefix_chunks)


class ReadKeywords(TypedDict, total=False):
    """The fields of `ReadOptions` as flat keywords; the year is that of `time`."""

    nodata: float | str | None
    crs: str | None
    transform: str | Sequence[float] | None
    like: str | Path | None
    dims: str | Sequence[str] | None
    product: str | None
    overlap: Overlap | None
    resample: str | None
    skip_bad: bool
    extent: str | Sequence[float] | None
    grid: bool
    grid_crs: str | None
    vector: str | None
    aggregate: int | None
    pool: Pool | Sequence[Pool] | None
    checksum: bool
    layers: Mapping[str, str | Path] | Sequence[str] | None


class FitKeywords(ReadKeywords, total=False):
    """The fields of `ReadOptions`, and those of `FitOptions` that a fit needs."""

    pca: int | None
    quantizer: str | None
    fit_samples: int
    seed: int


class StorageKeywords(TypedDict, total=False):
    """The fields of `StorageOptions` as flat keywords."""

    layout: Layout
    chunk: int | None
    shard: int | str | None
    prefix_chunks: int | None
    overviews: bool
    access: Access | None
    archive: bool


class ConvertKeywords(FitKeywords, StorageKeywords, total=False):
    """The fields of `ReadOptions`, `FitOptions` and `StorageOptions` as flat keywords."""

    strict_basis: bool


class Groups(NamedTuple):
    """The groups of options; those that were not given hold the defaults."""

    read: ReadOptions
    fit: FitOptions
    storage: StorageOptions


def gather(
    function: str,
    flat: Mapping[str, Any],
    read: ReadOptions | None = None,
    fit: FitOptions | None = None,
    storage: StorageOptions | None = None,
) -> Groups:
    """Put flat keywords into the groups of options that they belong to.

    Parameters
    ----------
    function
        Name of the function that was called, for messages.
    flat
        Keywords by name.
    read, fit, storage
        Groups that were given.

    Raises
    ------
    TypeError
        If there is no such keyword.
    InvalidConfigError
        If a group says something else already.

    Examples
    --------
    >>> gather("convert", {"seed": 3}, fit=FitOptions(pca=8)).fit
    FitOptions(pca=8, quantizer=None, fit_samples=65536, seed=3, strict_basis=False)
    """
    given = {"read": read, "fit": fit, "storage": storage}
    defaults = {"read": ReadOptions(), "fit": FitOptions(), "storage": StorageOptions()}
    return Groups(**options.gather(function, flat, given, defaults, hidden=("year",)))


def refuse_keywords(function: str, flat: Mapping[str, Any], known: type) -> None:
    """Refuse keywords that other functions take.

    Raises
    ------
    TypeError
        If one is no field of `known`, a typed dictionary.
    """
    for name in flat.keys() - known.__annotations__.keys():
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


def gather_read(
    function: str, flat: Mapping[str, Any], read: ReadOptions | None = None
) -> ReadOptions:
    """Return how inputs are read; what only `convert` takes is no keyword of other functions.

    Parameters
    ----------
    function
        Name of the function that was called, for messages.
    flat, read
        As in `gather`.

    Raises
    ------
    TypeError
        If there is no such keyword.
    InvalidConfigError
        If the group says something else already.
    """
    refuse_keywords(function, flat, ReadKeywords)
    return gather(function, flat, read).read


def refuse_raster_options(given: Mapping[str, bool]) -> None:
    """Refuse what only rasters have.

    Raises
    ------
    InvalidConfigError
        If one of the options, by its name, is given.
    """
    for name, is_given in given.items():
        if is_given:
            raise InvalidConfigError(
                f"{name}: for rasters only; a table's missing vectors are null or NaN, its store "
                "has the plain layout, in shards, and no time axis; leave it out"
            )


_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


def parse_date(text: str) -> str:
    """Return the first day of a year, of a month, or a day, as ``YYYY-MM-DD``.

    Raises
    ------
    InvalidConfigError
        If it is none of these.

    Examples
    --------
    >>> parse_date("2024"), parse_date("2024-05-03")
    ('2024-01-01', '2024-05-03')
    """
    match = _DATE.fullmatch(text.strip())
    try:
        if match is not None:
            return date(int(match[1]), int(match[2] or 1), int(match[3] or 1)).isoformat()
    except ValueError:
        match = None
    raise InvalidConfigError(f"time {text!r}; expected YYYY, YYYY-MM or YYYY-MM-DD")
