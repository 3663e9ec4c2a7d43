"""Bring the bands of one source into the order of another's, by their names."""

from collections.abc import Sequence
from dataclasses import replace

from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources.band_names import (
    BandNames,
    listed,
    natural_order,
    positions,
    tell_bands_apart,
)
from geoembz.sources.base import Source, SourceData, names_of, traits_of
from geoembz.sources.views import ViewSource


class OrderedSource(ViewSource):
    """The same bands in another order, or under other names.

    Parameters
    ----------
    source
        What is looked at.
    order
        Which band of the source stands at each place.
    names
        Names of the bands in that order.
    notes
        What to tell of it.
    """

    def __init__(
        self, source: Source, order: Sequence[int], names: BandNames, notes: Sequence[str] = ()
    ) -> None:
        traits = traits_of(source)
        super().__init__(source, traits=replace(traits, notes=(*traits.notes, *notes)))
        self.band_names = names
        self._order = None if list(order) == sorted(order) else list(order)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(window)
        if self._order is None:
            return data
        scale = data.scale
        if scale is not None and scale.ndim == data.values.ndim:
            scale = scale[self._order]
        return replace(data, values=data.values[self._order], scale=scale)


def ordered_as(source: Source, wanted: BandNames, whose: str) -> Source:
    """Return a source with its bands in the order of other names.

    Parameters
    ----------
    source
        Vectors as long as `wanted`.
    wanted
        Names of the bands, in order; all None where nothing is known of them.
    whose
        What has these names, for messages.

    Raises
    ------
    SourceError
        If the bands have names that say they are others.
    """
    own = names_of(source)
    if own == wanted or not any(wanted):
        return source
    order = positions(own, wanted)
    if order is None:
        raise SourceError(
            f"{source.name}: bands {listed(own)}; but {whose}: bands {listed(wanted)}; expected "
            "the same bands, in any order; choose the same bands of both (gdal_translate -b), name "
            "them alike if they are the same, or convert them to stores of their own"
        )
    return OrderedSource(source, order, wanted, [_note(own, wanted, order)])


def in_common_order(sources: Sequence[Source]) -> list[Source]:
    """Return sources with the same bands in the same order, where their names tell.

    The order is that of the names which sort first, so that it does not depend on which source
    comes first.

    Raises
    ------
    SourceError
        If the names say that some have other bands.
    """
    known = {names_of(source): source.name for source in sources}
    complete = [names for names in known if tell_bands_apart(names)]
    named = complete or [names for names in known if any(names)]
    if not named:
        return list(sources)
    wanted = min(named, key=lambda names: [natural_order(name or "") for name in names])
    return [ordered_as(source, wanted, known[wanted]) for source in sources]


def _note(own: BandNames, wanted: BandNames, order: Sequence[int]) -> str:
    if not any(own):
        return f"bands without names are taken for {listed(wanted)}, in the order they stand in"
    if list(order) != sorted(order):
        return f"bands {listed(own)} were reordered by name to {listed(wanted)}"
    return f"bands {listed(own)} are taken for {listed(wanted)}"
