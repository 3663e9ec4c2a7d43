"""Sources that show another source: what they do not change, they pass on."""

from dataclasses import replace

from geoembz._geo.grid import Grid, Window
from geoembz.sources.base import (
    Source,
    SourceData,
    SourceInfo,
    SourceTraits,
    names_of,
    occupies,
    traits_of,
)


class ViewSource:
    """Another source under another grid or with other traits.

    Parameters
    ----------
    source
        What is looked at.
    grid
        Where its pixels lie; None for the source's own grid.
    traits
        What is known of the product; None for what the source itself says.
    """

    def __init__(
        self, source: Source, grid: Grid | None = None, traits: SourceTraits | None = None
    ) -> None:
        self.source, self.name = source, source.name
        self.grid = source.grid if grid is None else grid
        self.dimension, self.dtype = source.dimension, source.dtype
        self.band_names = names_of(source)
        self.block_shape: tuple[int, int] = source.block_shape
        self.info: tuple[SourceInfo, ...] = source.info
        self.traits = traits_of(source) if traits is None else traits

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        return self.source.read(window)

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        return occupies(self.source, window)


def labelled(source: Source, traits: SourceTraits) -> Source:
    """Return a source with other traits; notes and skipped inputs of its own stay."""
    own = traits_of(source)
    notes = (*own.notes, *(note for note in traits.notes if note not in own.notes))
    skipped = (*own.skipped, *(entry for entry in traits.skipped if entry not in own.skipped))
    return ViewSource(source, traits=replace(traits, notes=notes, skipped=skipped))
