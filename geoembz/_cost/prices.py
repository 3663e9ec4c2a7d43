"""Price lists of object storage: dated, tiered, and overridable.

Knows only the packaged `prices.json` and mappings of the same form; reads no other file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from geoembz.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class Tier:
    """A price for the part of a month's volume that lies below an upper end.

    Parameters
    ----------
    up_to_gb
        Upper end, in the provider's GB; None for the last tier.
    usd_per_gb
        Price of each GB in this tier.
    """

    up_to_gb: float | None
    usd_per_gb: float


@dataclass(frozen=True, slots=True)
class StorageClass:
    """What one storage class costs: keeping, writing and reading; `note` says what to doubt."""

    name: str
    storage: tuple[Tier, ...]
    usd_per_1000_puts: float
    usd_per_1000_gets: float
    usd_per_gb_retrieved: float
    uncertain: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider's price list.

    Parameters
    ----------
    name, title
        Key and printed name.
    gb_bytes
        Bytes in the GB that the provider bills.
    egress
        Tiers of a month's traffic to the internet.
    classes
        Storage classes by name.
    consulted
        Day on which the figures were checked, ISO 8601.
    sources
        Pages they are from.
    note
        What the list leaves out.
    """

    name: str
    title: str
    gb_bytes: int
    egress: tuple[Tier, ...]
    classes: Mapping[str, StorageClass]
    consulted: str
    sources: tuple[str, ...]
    note: str

    def storage_class(self, name: str) -> StorageClass:
        """Return a storage class, or raise `InvalidConfigError` naming those there are."""
        try:
            return self.classes[name]
        except KeyError:
            raise InvalidConfigError(
                f"cost: {self.name} has no storage class {name!r} in the price list of "
                f"{self.consulted}; expected one of {', '.join(self.classes)}"
            ) from None


def tiered_usd(volume_gb: float, tiers: tuple[Tier, ...]) -> float:
    """Return what a month's volume costs when each GB is billed at the rate of its own tier.

    Parameters
    ----------
    volume_gb
        Volume in the provider's GB, at least 0.
    tiers
        In ascending order, the last without an upper end.

    Examples
    --------
    >>> tiered_usd(60, (Tier(50, 2.0), Tier(None, 1.0)))
    110.0
    """
    total, floor = 0.0, 0.0
    for tier in tiers:
        ceiling = volume_gb if tier.up_to_gb is None else min(volume_gb, tier.up_to_gb)
        total += max(0.0, ceiling - floor) * tier.usd_per_gb
        floor = max(floor, ceiling)
    return total


@cache
def _load_packaged() -> dict[str, Any]:
    text = files("geoembz._cost").joinpath("prices.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def load_provider(name: str, overrides: Mapping[str, Any] | None = None) -> Provider:
    """Return a provider's price list.

    Parameters
    ----------
    name
        ``aws``, ``gcs``, ``azure``, ``r2``, or a provider that `overrides` adds.
    overrides
        A mapping of the form of `prices.json`; what it names replaces the packaged figure, what
        it leaves out stays. A provider that is new must be complete.

    Raises
    ------
    InvalidConfigError
        If the provider is unknown or its prices are not of the expected form.

    Examples
    --------
    >>> load_provider("aws").storage_class("standard").storage[0]
    Tier(up_to_gb=51200, usd_per_gb=0.023)
    """
    document = _merge(_load_packaged(), overrides or {})
    providers = document.get("providers")
    if not isinstance(providers, Mapping) or name not in providers:
        known = ", ".join(providers) if isinstance(providers, Mapping) else "none"
        raise InvalidConfigError(f"cost: unknown provider {name!r}; expected one of {known}")
    try:
        return _provider(name, providers[name], str(document["consulted"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidConfigError(
            f"cost: prices of provider {name!r} are not of the expected form "
            f"({type(error).__name__}: {error}); see geoembz/_cost/prices.json for an example"
        ) from error


def _merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(overrides, Mapping):
        raise InvalidConfigError(
            f"cost: a price list is a JSON object, not {type(overrides).__name__}; "
            'expected {"providers": {"aws": {"classes": …}}}'
        )
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _provider(name: str, raw: Mapping[str, Any], consulted: str) -> Provider:
    gb_bytes = int(raw["gb_bytes"])
    if gb_bytes < 1:
        raise ValueError(f"gb_bytes is {gb_bytes}")
    return Provider(
        name=name,
        title=str(raw["title"]),
        gb_bytes=gb_bytes,
        egress=_tiers(raw["egress"]),
        classes={key: _storage_class(key, value) for key, value in raw["classes"].items()},
        consulted=str(raw.get("consulted", consulted)),
        sources=tuple(map(str, raw["sources"])),
        note=str(raw.get("note", "")),
    )


def _storage_class(name: str, raw: Mapping[str, Any]) -> StorageClass:
    return StorageClass(
        name=name,
        storage=_tiers(raw["storage"]),
        usd_per_1000_puts=_price(raw["usd_per_1000_puts"]),
        usd_per_1000_gets=_price(raw["usd_per_1000_gets"]),
        usd_per_gb_retrieved=_price(raw["usd_per_gb_retrieved"]),
        uncertain=bool(raw.get("uncertain", False)),
        note=str(raw.get("note", "")),
    )


def _tiers(raw: list[tuple[float | None, float]]) -> tuple[Tier, ...]:
    tiers = tuple(Tier(up_to_gb, _price(usd)) for up_to_gb, usd in raw)
    ends = [tier.up_to_gb for tier in tiers[:-1]]
    finite = [end for end in ends if end is not None]
    ascending = all(low < high for low, high in zip([0, *finite], finite, strict=False))
    if not tiers or len(finite) != len(ends) or tiers[-1].up_to_gb is not None or not ascending:
        raise ValueError(f"tiers {raw} do not ascend to a last one without an end (null)")
    return tiers


def _price(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise ValueError(f"price {value!r} is not a number of US dollars")
    return float(value)
