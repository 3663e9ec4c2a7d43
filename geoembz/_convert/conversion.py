"""The life cycle of a conversion: take the destination, sample, fit, write shards, put in place.

One raster, a table, several grids and an appended date all run through it; what differs is how
they draw a sample and how they write shards.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.basis import check_coverage
from geoembz._convert.destination import Destination
from geoembz._convert.options import FitOptions, StorageOptions
from geoembz._convert.outlook import Outlook, encoding_like, foresee
from geoembz._convert.sampling import sample_mean
from geoembz._convert.site import Build, Plan, Site
from geoembz._convert.summary import ConvertSummary
from geoembz._util.dry_run import Foreseen, is_dry
from geoembz._util.progress import Progress
from geoembz._version import FORMAT_VERSION, __version__
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import NoValidPixelsError
from geoembz.sources import ReadOptions, Source
from geoembz.store.journal import Journal

if TYPE_CHECKING:
    from geoembz.sources.tables import TableSource

_log = logging.getLogger("geoembz.convert")

type Fit = tuple[Encoding, NDArray[np.float64]]
"""An encoding, and the mean vector of the sample, float64 ``(dimension,)``."""


def build_store(destination: Destination, plan: Plan, write: Callable[[Build], None]) -> None:
    """Build what a plan says at a destination, unless an earlier run of it was complete.

    Parameters
    ----------
    destination
        Held by this conversion meanwhile; the store appears there when all is written.
    plan
        All that the bytes of the store depend on.
    write
        Writes the store, or what an interrupted run left to do.
    """
    with Site(destination) as site:
        build = site.begin(plan)
        if build.is_complete:
            _log.info("%s: an earlier run was complete", destination.url)
        else:
            write(build)
            _log.info("putting %s in place", destination.url)
            site.finish()


def fit_once(build: Build, fit: Callable[[], Fit]) -> Fit:
    """Fit and start the journal, or take up the fit of an interrupted conversion."""
    if build.journal.exists():
        return build.journal.resume(build.plan)
    encoding, centre = fit()
    build.fence.check()
    build.journal.start(build.plan, encoding, centre)
    return encoding, centre


@dataclass(frozen=True, kw_only=True)
class Conversion[Input: (Source, TableSource)](ABC):
    """The conversion of one source.

    Parameters
    ----------
    source
        Where vectors come from.
    recipe
        What to fit.
    fixed
        The encoding to use; None to fit one by `recipe`.
    workers
        Threads of this process that draw the sample.
    is_part
        One grid of several: the basis was already checked on all grids.
    read, fit, storage, model, license, metric
        As in `geoembz.convert`.
    """

    source: Input
    recipe: Recipe
    fixed: Encoding | None
    read: ReadOptions
    fit: FitOptions
    storage: StorageOptions
    workers: int
    model: str
    license: str | None
    metric: str | None
    is_part: bool = False
    unit: ClassVar[str] = "pixel"

    def run(
        self, destination: Destination, progress: Progress | None, started: float
    ) -> ConvertSummary:
        """Convert to a destination; see `geoembz.convert`."""
        if is_dry():
            journal, state = Site(destination).foresee(self.plan())
            encoding = self.encoding_of(journal)
            outlook = self.outlook(encoding, 0 if journal is None else len(journal.finished()))
            raise Foreseen(foresee("convert", destination.url, state, [outlook], self.unit))
        build_store(destination, self.plan(), lambda build: self.write(build, progress))
        return self.summary(destination.url, started)

    @abstractmethod
    def draw(self, n_samples: int) -> list[NDArray[np.float32]]:
        """Draw so many of the source's vectors, and refuse those that cannot be right."""

    @abstractmethod
    def write(self, build: Build, progress: Progress | None) -> None:
        """Write the store, or what is missing of it; nothing opens it before it is complete."""

    @abstractmethod
    def outlook(self, encoding: Encoding, done: int) -> Outlook:
        """Return what is read and written, where so many shards are done already."""

    def encoding_of(self, journal: Journal | None) -> Encoding:
        """Return the encoding, or one of its form where it is not fitted yet."""
        if journal is not None and journal.exists():
            return journal.resume(self.plan())[0]
        return self.fixed or encoding_like(self.recipe, self.source.dimension, self.fit.seed)

    @abstractmethod
    def summary(self, url: str, started: float) -> ConvertSummary:
        """Return the summary of the store that is there now."""

    def check_basis(self, basis: Encoding, sample: list[NDArray[np.float32]]) -> None:
        """Warn, or refuse under `strict_basis`, where the source lies outside a basis."""
        check_coverage(self.source.name, basis, sample, strict=self.fit.strict_basis)

    def fit_encoding(self) -> Fit:
        """Fit on a sample, or check a basis with it."""
        _log.info("sampling %s", self.source.name)
        try:
            sample = self.draw(self.fit.fit_samples)
            if self.fixed is None:
                _log.info("fitting %s", self.recipe)
            encoding = self.fixed or Encoding.fit_blocks(
                sample, self.recipe, self.source.dimension, self.fit.seed
            )
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{self.source.name}: {error}") from error
        if self.fixed is not None and not self.is_part:
            self.check_basis(self.fixed, sample)
        return encoding, sample_mean(encoding, sample)

    def plan(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, as the journal records it."""
        return {
            "software": __version__,
            "format": FORMAT_VERSION,
            "sources": [info.identity() for info in self.source.info],
            "recipe": str(self.recipe) if self.fixed is None else self.fixed.recipe,
            "basis": None if self.fixed is None else self.fixed.hash,
            "fit_samples": self.fit.fit_samples,
            "seed": self.fit.seed,
            "chunk": self.storage.chunk,
            "shard": self.storage.shard,
            "model": self.model,
            "license": self.license,
            "metric": self.metric,
            "checksum": self.read.checksum,
            "archive": self.storage.archive,
        }
