"""Options of `evaluate` and `plan`: which rows are judged, and how they are divided."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from geoembz.sources import Source

SAMPLES = 20_000
"""Rows evaluated, by default."""


@dataclass(frozen=True)
class ExperimentOptions:
    """Which rows are judged, what is known about them, and how they are divided.

    Parameters
    ----------
    labels
        Labels of pixels: a raster, polygons or points in a file. A table has its labels.
    label_column, label_nodata, groups
        Attribute (or column) of the labels, label that means none, and attribute (or raster) of
        the groups, which are never split across folds.
    vector
        Column of a table's vectors, or what its numbered columns begin with; needed where there is
        a choice.
    after
        The same place at a second date, for change detection.
    split, block_size
        How rows are divided: ``given``, ``random``, ``stratified``, ``grouped`` or ``blocked``, and
        the side of a block in metres. None for what the data allow; rasters are split by blocks.
    samples
        Pixels to draw from a raster.
    seed
        Seed of every random choice.
    """

    labels: str | Path | None = None
    label_column: str | None = None
    label_nodata: float | None = None
    groups: str | None = None
    vector: str | None = None
    after: str | Path | Source | None = None
    split: str | None = None
    block_size: float | None = None
    samples: int = SAMPLES
    seed: int = 0


class ExperimentKeywords(TypedDict, total=False):
    """The fields of `ExperimentOptions` as flat keywords."""

    labels: str | Path | None
    label_column: str | None
    label_nodata: float | None
    groups: str | None
    vector: str | None
    after: str | Path | Source | None
    split: str | None
    block_size: float | None
    samples: int
    seed: int


DEFAULTS = ExperimentOptions()
"""Options that were not given."""
