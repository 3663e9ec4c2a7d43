"""The signed power law that AlphaEarth and OlmoEarth store their int8 under.

``value = sign(q) * (abs(q) / 127.5) ** 2``; −128 in all components is nodata.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.encoding._quantization import ALPHAEARTH, power_values
from geoembz.errors import InvalidConfigError
from geoembz.sources.base import Source, SourceData, SourceTraits
from geoembz.sources.nodata import one_number, rejecting
from geoembz.sources.views import ViewSource

EXPONENT, FACTOR = ALPHAEARTH
NODATA = -128
RECIPE = "aef"
"""The recipe that stores these codes as they are."""


def power_table() -> NDArray[np.float32]:
    """Return the value of each code seen as uint8, float32 ``(256,)``; NaN for −128.

    Examples
    --------
    >>> table = power_table()
    >>> float(table[np.uint8(51)]), bool(np.isnan(table[128]))
    (0.1599999964237213, True)
    """
    return power_values(np.arange(256, dtype=np.uint8).view(np.int8)).astype(np.float32)


class PowerLawSource(ViewSource):
    """Int8 codes of another source, read as the numbers they stand for.

    A pixel is nodata where every code is −128. Where only some are, or where every code is another
    one (an undeclared fill), it is rejected as corrupt.

    Parameters
    ----------
    source
        Reads the int8 codes, as they are and with no nodata value of its own.
    traits
        What is known of the product.
    """

    def __init__(self, source: Source, traits: SourceTraits) -> None:
        super().__init__(source, traits=traits)
        self._table = power_table()

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(window)
        missing = data.values.min(axis=0) == NODATA  # in any component: it is the smallest code
        known = replace(data, table=self._table)
        if missing.any():
            every = data.values.max(axis=0) == NODATA
            known = replace(known, valid=~every if data.valid is None else data.valid & ~every)
        return rejecting(known, missing | one_number(data.values))


def refuse_other_nodata(product: str, nodata: float | str | None) -> None:
    """Refuse a nodata value where the product's law has one already."""
    if nodata is not None and str(nodata) not in {str(NODATA), f"{NODATA}.0"}:
        raise InvalidConfigError(
            f"product {product}: nodata {nodata!r}; {NODATA} in all bands is its nodata by "
            "definition; leave the nodata value out, or pass --product raster"
        )
