"""Options of maps: which part of a store, how it is written, and what a model learns from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from geoembz._evaluate.sample import SAMPLES
from geoembz._export.region import Region, open_region
from geoembz._geo import BBox
from geoembz._map.outputs import is_unfinished
from geoembz._util.options import check_whole, gather
from geoembz._util.progress import Progress
from geoembz._util.threads import check_workers
from geoembz._work.executors import check_scheduler
from geoembz._work.places import make_absolute
from geoembz.errors import InvalidConfigError
from geoembz.sources.features.write import check_output
from geoembz.store import StoreReader
from geoembz.store.maps import SUFFIXES, is_tiff


@dataclass(frozen=True)
class MapPlace:
    """Which part of a store a map shows.

    Parameters
    ----------
    bbox
        ``(xmin, ymin, xmax, ymax)``: map only there.
    bbox_crs
        CRS of `bbox`; None for the store's.
    time
        Year or date to map, of a store that has several.
    level
        Number of the level, where the store has overviews; 0 is the full resolution.
    grid
        Name of the grid, of a store that has several.
    """

    bbox: BBox | None = None
    bbox_crs: str | None = None
    time: str | None = None
    level: int | None = None
    grid: str | None = None

    def open(self, store: str | Path | StoreReader, time_option: str = "--time") -> Region:
        """Open the part; `time_option` is what the date was given as, for messages.

        Raises
        ------
        InvalidConfigError
            If there is no such part, or several grids are left.
        StoreError
            If the store cannot be read.
        """
        part = (self.bbox, self.bbox_crs, self.time, self.grid, self.level)
        return open_region(store, *part, time_option=time_option)


@dataclass(frozen=True)
class MapOptions:
    """How a map is written; the same for all commands.

    Parameters
    ----------
    png
        Also write a quick look, ``.png``.
    workers
        Shards at once; None for one per core.
    scheduler
        Where shards are made instead; see `geoembz.convert`.
    overwrite
        Replace what is there.
    break_lock
        Take the destination from a command that seems to hold it: on another machine, and dead.
    progress
        Called with the numbers of finished and of all shards.
    """

    png: str | Path | None = None
    workers: int | None = None
    scheduler: str | None = None
    overwrite: bool = False
    break_lock: bool = False
    progress: Progress | None = None

    def place(self, store: str | Path | StoreReader) -> str | Path | StoreReader:
        """Return a store as workers find it, who may run in another folder."""
        return store if self.scheduler is None else make_absolute(store)

    def check(self, out: str | Path) -> None:
        """Refuse what cannot work, before anything is read.

        Raises
        ------
        InvalidConfigError
            If an option is wrong, or `out` names neither a GeoTIFF nor a Zarr store.
        DestinationExistsError
            If a file or store is there and is not to be replaced.
        """
        check_workers("map", self.workers)
        check_scheduler(self.scheduler)
        if is_tiff(out):
            check_output(out, SUFFIXES, overwrite=self.overwrite)
        elif Path(str(out)).suffix.lower() != ".zarr":
            raise InvalidConfigError(f"{out}: expected a name that ends in .tif or .zarr")
        if self.png is not None:
            check_beside(self.png, ".png", out, overwrite=self.overwrite)


def check_beside(path: str | Path, suffix: str, out: str | Path, *, overwrite: bool) -> None:
    """Refuse a file beside a map that is there already, unless an interrupted run may have made it.

    If so, it is looked at when it is written: only the same bytes are replaced.

    Raises
    ------
    InvalidConfigError, DestinationExistsError
        As `check_output`.
    """
    check_output(path, (suffix,), overwrite=overwrite or is_unfinished(out))


class ChangeKeywords(TypedDict, total=False):
    """What all maps take, as flat keywords; those of one date take `time` besides."""

    bbox: BBox | None
    bbox_crs: str | None
    level: int | None
    grid: str | None
    png: str | Path | None
    workers: int | None
    scheduler: str | None
    overwrite: bool
    break_lock: bool
    progress: Progress | None


class MapKeywords(ChangeKeywords, total=False):
    """The fields of `MapPlace` and `MapOptions` as flat keywords."""

    time: str | None


def gather_keywords(
    function: str, flat: Mapping[str, Any], *, hidden: tuple[str, ...] = ()
) -> tuple[MapPlace, MapOptions]:
    """Put flat keywords into their groups; see `geoembz._util.options.gather`."""
    defaults = {"place": MapPlace(), "options": MapOptions()}
    parts = gather(function, flat, dict.fromkeys(defaults), defaults, hidden=hidden)
    return parts["place"], parts["options"]


@dataclass(frozen=True)
class TrainingOptions:
    """Which pixels a model learns from, and how some of them are held out to test it.

    Parameters
    ----------
    labels
        Labels of pixels: polygons, lines or points in a file, or a raster.
    column
        Attribute or column of the label; needed where there are several.
    label_nodata
        Label that means none.
    groups
        Attribute (or, for labels in a raster, a raster) of groups, which are never split between
        training and test. None takes each feature for one; points and rasters are split by blocks.
    split, block_size
        As in `geoembz.ExperimentOptions`.
    samples
        Labelled pixels to learn from, about; of a rare class no fewer than 50, if there are.
    seed
        Seed of every random choice.

    Raises
    ------
    InvalidConfigError
        If a number is too small, or should be a whole one.
    """

    labels: str | Path | None = None
    column: str | None = None
    label_nodata: float | None = None
    groups: str | None = None
    split: str | None = None
    block_size: float | None = None
    samples: int = SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_whole(samples=self.samples, seed=self.seed)
        if self.samples < 2:
            raise InvalidConfigError(f"samples {self.samples}; expected 2 or more")
        if self.seed < 0:
            raise InvalidConfigError(f"seed {self.seed}; expected 0 or more")


class TrainingKeywords(TypedDict, total=False):
    """The fields of `TrainingOptions` as flat keywords."""

    labels: str | Path | None
    column: str | None
    label_nodata: float | None
    groups: str | None
    split: str | None
    block_size: float | None
    samples: int
    seed: int
