"""Labels of whole windows, as arrays beside the vectors: from a raster, or drawn of features.

A raster is read window by window, since it has a label for every pixel; places and shapes are drawn
once, and only the pixels that they cover are kept.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.label_raster import is_labelled, open_on_grid
from geoembz._evaluate.labels import (
    find_all_labels,
    number_grids,
    require_numbers,
    whole_classes,
)
from geoembz._evaluate.sample import find_missing
from geoembz._geo.grid import Grid, Window
from geoembz.errors import SourceError
from geoembz.sources.features import is_feature_file

IGNORED = -100
"""The number of no class, which PyTorch's losses ignore unless they are told another."""

_OF_CLASSES, _OF_QUANTITIES = "leave quantities=True out", "pass quantities=True"


class WindowLabels(Protocol):
    """Labels of the grids of a store."""

    messages: tuple[str, ...]

    def read(self, part: int, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the labels of a window of a grid, as they are written, and where there is one."""
        ...


@dataclass(frozen=True)
class LabelOptions:
    """Which labels; see `geoembz.patches`.

    Parameters
    ----------
    path, column, nodata, quantities
        File, its attribute, the label that means none, and whether labels are numbers to predict.
    """

    path: str | Path
    column: str | None = None
    nodata: float | None = None
    quantities: bool = False

    def number(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels, none of them missing, as what they are taken for.

        Raises
        ------
        InvalidConfigError
            If classes are no whole numbers, or quantities no numbers.
        """
        if not self.quantities:
            return whole_classes(self.path, labels, _OF_QUANTITIES)
        require_numbers(self.path, labels, _OF_CLASSES)
        return labels.astype(np.float32)


def open_labels(options: LabelOptions, grids: Sequence[Grid]) -> WindowLabels:
    """Open labels for the grids of a store.

    Raises
    ------
    SourceError
        If they cannot be read, or none lies on the grids.
    InvalidConfigError
        If a column is missing, or labels are not what is wanted.
    """
    if is_feature_file(options.path):
        return DrawnLabels(options, grids)
    return RasterLabels(options, grids)


class RasterLabels:
    """Labels from a raster, brought onto each grid by nearest neighbour where it has another."""

    def __init__(self, options: LabelOptions, grids: Sequence[Grid]) -> None:
        path = Path(options.path)
        if not path.exists():
            raise SourceError(
                f"{path}: no such file; expected labels: a raster, GeoJSON or a table"
            )
        self._options, self._grids = options, tuple(grids)
        self._notes: list[str] = []
        self._forget()
        for number in range(len(grids)):
            self._raster(number)
        self.messages = tuple(dict.fromkeys(self._notes))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is open."""
        return {**self.__dict__, "_open": {}, "_files": None, "_process": 0}

    def _forget(self) -> None:
        # What a forked process inherits belongs to its parent, and is not closed here.
        self._open: dict[int, Any] = {}
        self._files, self._process = ExitStack(), os.getpid()

    def _raster(self, number: int) -> Any:
        if self._process != os.getpid():
            self._forget()
        if number not in self._open:
            raster = open_on_grid(Path(self._options.path), self._grids[number], self._notes)
            self._open[number] = self._files.enter_context(raster)
        return self._open[number]

    def read(self, part: int, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the labels of a window of a grid, as they are written, and where there is one."""
        raster, nodata = self._raster(part), self._options.nodata
        rows, cols = window.slices
        asked = ((rows.start, rows.stop), (cols.start, cols.stop))
        values = raster.read(1, window=asked)
        known = raster.dataset_mask(window=asked) != 0
        known &= is_labelled(values, raster.nodata if nodata is None else nodata)
        return values, known


class DrawnLabels:
    """Labels of the pixels that places or shapes in a file cover."""

    def __init__(self, options: LabelOptions, grids: Sequence[Grid]) -> None:
        found, tops = find_all_labels(grids, options.path, options.column, None, options.nodata)
        found = found.without(find_missing(found.labels), "label missing")
        self.messages = found.messages
        numbers, rows = number_grids(tops, found.rows)
        self._widths = [grid.shape[1] for grid in grids]
        self._pixels: list[tuple[NDArray[np.int64], NDArray[Any]]] = []
        for number, width in enumerate(self._widths):
            here = numbers == number
            pixels = rows[here] * width + found.cols[here]
            order = np.argsort(pixels)
            self._pixels.append((pixels[order], found.labels[here][order]))

    def read(self, part: int, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the labels of a window of a grid, as they are written, and where there is one."""
        pixels, labels = self._pixels[part]
        values = np.zeros(window.shape, labels.dtype)
        known = np.zeros(window.shape, np.bool_)
        starts = (window.row + np.arange(window.height)) * self._widths[part] + window.col
        first = np.searchsorted(pixels, starts)
        last = np.searchsorted(pixels, starts + window.width)
        for row, start, low, high in zip(range(window.height), starts, first, last, strict=True):
            cols = pixels[low:high] - start
            values[row, cols], known[row, cols] = labels[low:high], True
        return values, known


@dataclass(frozen=True, eq=False)
class NumberedLabels:
    """Labels as a model learns them.

    Parameters
    ----------
    labels
        As they are written.
    options
        What they are taken for.
    classes
        All classes, in order; None of quantities.
    """

    labels: WindowLabels
    options: LabelOptions
    classes: NDArray[Any] | None

    @property
    def none(self) -> float:
        """What a pixel without a label has."""
        return np.nan if self.classes is None else IGNORED

    def read(self, part: int, window: Window) -> NDArray[Any]:
        """Return the numbers of the classes, int64, `IGNORED` where there is none.

        Quantities are float32, NaN where there is none.
        """
        values, known = self.labels.read(part, window)
        if self.classes is None:
            return np.where(known, values, np.nan).astype(np.float32)
        numbers = np.full(window.shape, IGNORED, np.int64)
        named = self.options.number(values[known])
        numbers[known] = np.searchsorted(self.classes, named)
        return numbers
