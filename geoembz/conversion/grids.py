"""Several grids in one store: one encoding, fitted over all of them, and a child store for each."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz.conversion.destination import Destination
from geoembz.conversion.runner import Progress
from geoembz.conversion.sampling import sample_mean
from geoembz.conversion.summary import ConvertSummary
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import NoValidPixelsError
from geoembz.sources import Source
from geoembz.store import Journal, ObjectTree, write_root


class GridConversion(Protocol):
    """The conversion of one grid."""

    @property
    def recipe(self) -> Recipe:
        """What is fitted where no encoding is given."""
        ...

    @property
    def fit_samples(self) -> int:
        """Pixels to fit on."""
        ...

    @property
    def seed(self) -> int:
        """Seed of every random choice."""
        ...

    def draw(self, n_samples: int) -> list[NDArray[np.float32]]:
        """Draw so many of the source's pixels."""
        ...

    def check_basis(self, basis: Encoding, sample: list[NDArray[np.float32]]) -> None:
        """Warn, or refuse, where the source lies outside a basis."""
        ...

    def options(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on."""
        ...

    def run(self, progress: Progress | None, started: float) -> ConvertSummary:
        """Convert."""
        ...

    def summary(self, started: float) -> ConvertSummary:
        """Return the summary of the store that is there already."""
        ...


class MakeConversion(Protocol):
    """Prepare the conversion of one grid; all other options are set already."""

    def __call__(
        self, *, source: Source, destination: Destination, fixed: Encoding | None, is_part: bool
    ) -> GridConversion:
        """Return the conversion of `source`, with the encoding `fixed` or one of its own."""
        ...


def convert_grids(
    grids: Mapping[str, Source],
    destination: Destination,
    conversion: MakeConversion,
    fixed: Encoding | None,
    progress: Progress | None,
    started: float,
) -> ConvertSummary:
    """Convert several grids to child stores of one root.

    The root's metadata come last. An interrupted conversion goes on where it was: complete children
    are kept, one that was begun is finished.

    Parameters
    ----------
    grids
        Sources by the names of their child stores.
    destination
        The root.
    conversion
        Prepares the conversion of one grid.
    fixed
        The encoding to use; None to fit one over all grids.
    progress, started
        As in `geoembz.convert`; progress counts the shards of one grid after the other.
    """
    with destination.lock():
        summaries = _convert_all(grids, destination, conversion, fixed, progress)
    destination.swap()
    stored = sum(ObjectTree(destination.url).sizes().values())
    return combined(summaries, destination.url, stored, time.perf_counter() - started)


def _convert_all(
    grids: Mapping[str, Source],
    destination: Destination,
    conversion: MakeConversion,
    fixed: Encoding | None,
    progress: Progress | None,
) -> list[ConvertSummary]:
    """Convert every grid, then write the root."""
    children = {name: _child(destination, name) for name in grids}
    parts = {
        name: conversion(source=source, destination=children[name], fixed=fixed, is_part=True)
        for name, source in grids.items()
    }
    journal = Journal(destination.tree)
    begun = journal.exists()
    options = {"grids": {name: part.options() for name, part in parts.items()}}
    try:
        if begun:
            encoding, _ = journal.resume(options)
        else:
            encoding, centre = _fit(grids, parts, fixed)
            journal.start(options, encoding, centre)
        summaries = [
            _convert_child(conversion, source, children[name], encoding, progress)
            for name, source in grids.items()
        ]
    except Exception:
        if not begun and not any(child.tree.exists() for child in children.values()):
            destination.tree.remove()
        raise
    write_root(destination.building, list(grids))
    journal.clear()
    return summaries


def combined(
    summaries: Sequence[ConvertSummary], store: str, bytes_stored: int, seconds: float
) -> ConvertSummary:
    """Return the summary of several grids: sums, and means over their held-out pixels."""
    first = summaries[0]
    counts = [summary.held_out_pixels for summary in summaries]

    def mean(name: str, power: int = 1) -> float | None:
        measured = [
            (float(value) ** power, count)
            for value, count in zip((getattr(s, name) for s in summaries), counts, strict=True)
            if value is not None and count
        ]
        total = sum(count for _, count in measured)
        return sum(value * count for value, count in measured) / total if total else None

    squared = mean("rmse", power=2)
    pixels, bytes_in = sum(s.pixels for s in summaries), sum(s.bytes_in for s in summaries)
    return ConvertSummary(
        store=store,
        recipe=first.recipe,
        encoding_hash=first.encoding_hash,
        pixels=pixels,
        valid_pixels=sum(s.valid_pixels for s in summaries),
        bytes_in=bytes_in,
        bytes_stored=bytes_stored,
        ratio=bytes_in / bytes_stored,
        bytes_per_pixel=bytes_stored / pixels,
        bytes_per_embedding=first.bytes_per_embedding,
        explained_variance=first.explained_variance,
        cosine=mean("cosine"),
        cosine_centred=mean("cosine_centred"),
        rmse=None if squared is None else math.sqrt(squared),
        held_out_pixels=sum(counts),
        seconds=seconds,
        rejected_pixels=sum(s.rejected_pixels for s in summaries),
        skipped_inputs=first.skipped_inputs,
        notes=tuple(dict.fromkeys(note for s in summaries for note in s.notes)),
    )


def _child(destination: Destination, name: str) -> Destination:
    url = f"{destination.building.rstrip('/')}/{name}"
    return Destination(url, url, breaks_lock=destination.breaks_lock)


def _fit(
    grids: Mapping[str, Source], parts: Mapping[str, GridConversion], fixed: Encoding | None
) -> tuple[Encoding, NDArray[np.float64]]:
    """Fit one encoding over all grids, each with a share of the sample by its pixels."""
    pixels = {name: source.grid.window.size for name, source in grids.items()}
    sample: list[NDArray[np.float32]] = []
    for name, part in parts.items():
        share = -(-part.fit_samples * pixels[name] // sum(pixels.values()))
        try:
            drawn = part.draw(max(share, 1))
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{grids[name].name}: {error}") from error
        if fixed is not None:
            part.check_basis(fixed, drawn)
        sample += drawn
    first = next(iter(parts.values()))
    dimension = next(iter(grids.values())).dimension
    encoding = fixed or Encoding.fit_blocks(sample, first.recipe, dimension, first.seed)
    return encoding, sample_mean([encoding.target(block) for block in sample])


def _convert_child(
    conversion: MakeConversion,
    source: Source,
    child: Destination,
    encoding: Encoding,
    progress: Progress | None,
) -> ConvertSummary:
    """Convert one grid, or take it as it is where an interrupted conversion completed it."""
    part = conversion(source=source, destination=child, fixed=encoding, is_part=True)
    if child.tree.read("zarr.json") is None or Journal(child.tree).exists():
        return part.run(progress, time.perf_counter())
    return part.summary(time.perf_counter())
