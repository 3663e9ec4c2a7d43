"""What storing embeddings costs: bytes exactly, US dollars flat and by price list.

Knows only arithmetic. The flat figure is the seed article's, so that numbers can be compared; the
tiered one is what a provider's list adds up to, with requests, retrieval and egress.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from geoembz._cost.prices import Provider, StorageClass, tiered_usd
from geoembz._cost.reads import Layout, ObjectCount, ReadCost, choose_layout, window_read
from geoembz.errors import InvalidConfigError

FLAT_USD_PER_GB_MONTH = 0.023
_IN_OVERVIEWS = Fraction(1, 3)
"""Pixels of all levels over those of the full resolution: 1/4 + 1/16 + …"""

GB, TB, PB = 10**9, 10**12, 10**15
MONTHS = 12
SENTINEL2_PB_PER_YEAR = (3.0, 4.0)
"""Yearly growth of the Sentinel-2 archive, as the seed article gives it, in petabytes."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is stored: so many embeddings of such a size.

    Parameters
    ----------
    scheme
        What to call it in print.
    pixels
        Pixels of the region, or rows of the table; see `unit`.
    years
        Layers of those pixels, one for each year.
    size_bytes, per_embeddings
        `size_bytes` bytes hold `per_embeddings` embeddings: a nominal size and 1, or what was
        measured on a store.
    layout
        Chunks and shards; None for those geoembz would choose.
    objects
        Objects of the store that was measured; None to count the shards of codes alone.
    unit
        What holds one embedding: a pixel, or a row of a table, which has no area.
    has_overviews
        Whether levels of 2, 4, 8 … times the pixel size come on top: a third more.
    """

    scheme: str
    pixels: int
    size_bytes: int
    per_embeddings: int = 1
    years: int = 1
    layout: Layout | None = None
    objects: ObjectCount | None = None
    unit: Literal["pixels", "rows"] = "pixels"
    has_overviews: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers below one."""
        for name in ("pixels", "size_bytes", "per_embeddings", "years"):
            if (value := getattr(self, name)) < 1:
                raise InvalidConfigError(f"cost: {name} is {value}; expected an integer above 0")

    @property
    def bytes_per_embedding(self) -> float:
        """Size of one embedding, in bytes: an integer unless it was measured."""
        if self.size_bytes % self.per_embeddings == 0:
            return self.size_bytes // self.per_embeddings
        return self.size_bytes / self.per_embeddings

    @property
    def total_bytes(self) -> int:
        """Size of everything, in bytes, rounded half up."""
        pixels = self.pixels * (1 + _IN_OVERVIEWS if self.has_overviews else 1)
        size = Fraction(self.size_bytes, self.per_embeddings) * pixels * self.years
        return math.floor(size + Fraction(1, 2))


@dataclass(frozen=True, slots=True)
class Usage:
    """How a holding is used in a month.

    Parameters
    ----------
    reads_per_month
        Reads of one window each.
    window
        Height and width of that window, in pixels.
    egress_bytes_per_month
        Bytes sent to the internet.
    """

    reads_per_month: int = 0
    window: tuple[int, int] = (1, 1)
    egress_bytes_per_month: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if self.reads_per_month < 0 or self.egress_bytes_per_month < 0:
            raise InvalidConfigError(
                f"cost: {self.reads_per_month} reads and {self.egress_bytes_per_month} bytes of "
                "egress a month; expected 0 or more"
            )


@dataclass(frozen=True, slots=True)
class TieredCost:
    """A year by a provider's price list, in US dollars; writing everything once included."""

    storage_usd: float
    puts_usd: float
    gets_usd: float
    retrieval_usd: float
    egress_usd: float

    @property
    def total_usd(self) -> float:
        """Sum of the parts."""
        return (
            self.storage_usd + self.puts_usd + self.gets_usd + self.retrieval_usd + self.egress_usd
        )


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a holding costs; see `estimate`."""

    holding: Holding
    usage: Usage
    provider: Provider = field(repr=False)
    storage_class: StorageClass = field(repr=False)
    n_objects: int
    read: ReadCost
    tiered: TieredCost

    @property
    def usd_per_year(self) -> float:
        """Storage alone at the seed's flat first-tier price, in decimal GB."""
        return self.holding.total_bytes / GB * FLAT_USD_PER_GB_MONTH * MONTHS

    @property
    def usd_per_year_tiered(self) -> float:
        """The first year by the provider's list: storage, requests, retrieval and egress."""
        return self.tiered.total_usd

    @property
    def share_of_sentinel2(self) -> tuple[float, float]:
        """Size over that of the Sentinel-2 archive's growth in as many years; least and most."""
        low, high = SENTINEL2_PB_PER_YEAR
        petabytes = self.holding.total_bytes / PB / self.holding.years
        return petabytes / high, petabytes / low


def estimate(
    holding: Holding, provider: Provider, storage_class: str, usage: Usage | None = None
) -> CostEstimate:
    """Add up what a holding costs.

    Parameters
    ----------
    holding
        What is stored.
    provider
        Whose price list to use for the tiered figure.
    storage_class
        One of its classes.
    usage
        Reads and egress; none if left out.

    Raises
    ------
    InvalidConfigError
        If the provider has no such class.

    References
    ----------
    The seed article's table: pixels x bytes x $0.023 per GB-month x 12, in decimal units.

    Examples
    --------
    >>> from geoembz._cost.prices import load_provider
    >>> aef = Holding("aef", pixels=1_500_000_000_000, size_bytes=64)
    >>> result = estimate(aef, load_provider("aws"), "standard")
    >>> aef.total_bytes, round(result.usd_per_year)
    (96000000000000, 26496)
    """
    usage = usage or Usage()
    prices = provider.storage_class(storage_class)
    layout = holding.layout or choose_layout(holding.bytes_per_embedding)
    read = window_read(layout, holding.bytes_per_embedding, usage.window)
    n_objects = _n_objects(holding, layout)
    return CostEstimate(
        holding=holding,
        usage=usage,
        provider=provider,
        storage_class=prices,
        n_objects=n_objects,
        read=read,
        tiered=_price_tiers(holding, provider, prices, usage, read, n_objects),
    )


def _n_objects(holding: Holding, layout: Layout) -> int:
    shards = -(-holding.pixels // layout.shard_pixels) * holding.years
    if holding.objects is None:
        return shards + (math.ceil(shards * _IN_OVERVIEWS) if holding.has_overviews else 0)
    scale = Fraction(holding.pixels * holding.years, holding.per_embeddings)
    return holding.objects.at(shards, scale)


def _price_tiers(
    holding: Holding,
    provider: Provider,
    prices: StorageClass,
    usage: Usage,
    read: ReadCost,
    n_objects: int,
) -> TieredCost:
    stored_gb = holding.total_bytes / provider.gb_bytes
    fetched_gb = usage.reads_per_month * read.bytes_fetched / provider.gb_bytes
    egress_gb = usage.egress_bytes_per_month / provider.gb_bytes
    gets_per_month = usage.reads_per_month * read.requests
    return TieredCost(
        storage_usd=tiered_usd(stored_gb, prices.storage) * MONTHS,
        puts_usd=n_objects / 1000 * prices.usd_per_1000_puts,
        gets_usd=gets_per_month / 1000 * prices.usd_per_1000_gets * MONTHS,
        retrieval_usd=fetched_gb * prices.usd_per_gb_retrieved * MONTHS,
        egress_usd=tiered_usd(egress_gb, provider.egress) * MONTHS,
    )
