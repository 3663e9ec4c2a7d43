"""Several grids in one store: one encoding, fitted over all of them, and a child store for each."""

import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.destination import Destination
from geoembz._convert.executors import Progress
from geoembz._convert.options import FitOptions
from geoembz._convert.sampling import sample_mean
from geoembz._convert.site import Build, Site
from geoembz._convert.summary import ConvertSummary, merge_summaries
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import NoValidPixelsError
from geoembz.sources import Source
from geoembz.store import ObjectTree, write_root


class GridConversion(Protocol):
    """The conversion of one grid."""

    @property
    def recipe(self) -> Recipe:
        """What is fitted where no encoding is given."""
        ...

    @property
    def fit(self) -> FitOptions:
        """How it is fitted."""
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

    def write(self, build: Build, progress: Progress | None) -> None:
        """Write the store, or what is missing of it; nothing opens it before it is complete."""
        ...

    def summary(self, url: str, started: float) -> ConvertSummary:
        """Return the summary of a complete store."""
        ...


class MakeConversion(Protocol):
    """Prepare the conversion of one grid; all other options are set already."""

    def __call__(self, *, source: Source, fixed: Encoding | None, is_part: bool) -> GridConversion:
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
    parts = {
        name: conversion(source=source, fixed=fixed, is_part=True) for name, source in grids.items()
    }
    with Site(destination) as site:
        build = site.begin({"grids": {name: part.options() for name, part in parts.items()}})
        if not build.is_complete:
            encoding = _encoding(build, grids, parts, fixed)
            for name, source in grids.items():
                part = conversion(source=source, fixed=encoding, is_part=True)
                child = build.child(name, part.options())
                if not child.is_complete:
                    part.write(child, progress)
            build.fence.check()
            write_root(build.tree, list(grids))
            site.finish()
    summaries = [
        part.summary(f"{destination.url.rstrip('/')}/{name}", time.perf_counter())
        for name, part in parts.items()
    ]
    stored = sum(ObjectTree(destination.url).sizes().values())
    return merge_summaries(summaries, destination.url, stored, time.perf_counter() - started)


def _encoding(
    build: Build,
    grids: Mapping[str, Source],
    parts: Mapping[str, GridConversion],
    fixed: Encoding | None,
) -> Encoding:
    """Fit over all grids, or take up the fit of an interrupted conversion."""
    if build.journal.exists():
        return build.journal.resume(build.plan)[0]
    encoding, centre = _fit(grids, parts, fixed)
    build.fence.check()
    build.journal.start(build.plan, encoding, centre)
    return encoding


def _fit(
    grids: Mapping[str, Source], parts: Mapping[str, GridConversion], fixed: Encoding | None
) -> tuple[Encoding, NDArray[np.float64]]:
    """Fit one encoding over all grids, each with a share of the sample by its pixels."""
    pixels = {name: source.grid.window.size for name, source in grids.items()}
    sample: list[NDArray[np.float32]] = []
    for name, part in parts.items():
        share = -(-part.fit.fit_samples * pixels[name] // sum(pixels.values()))
        try:
            drawn = part.draw(max(share, 1))
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{grids[name].name}: {error}") from error
        if fixed is not None:
            part.check_basis(fixed, drawn)
        sample += drawn
    first = next(iter(parts.values()))
    dimension = next(iter(grids.values())).dimension
    encoding = fixed or Encoding.fit_blocks(sample, first.recipe, dimension, first.fit.seed)
    return encoding, sample_mean(encoding, sample)
