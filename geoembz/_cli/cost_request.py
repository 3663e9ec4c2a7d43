"""From the flags of `geoembz cost` to estimates.

Reads the files that the flags name (a region, a price list, a store); computes nothing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoembz._cli.cost_scheme import Scheme
from geoembz._cost import (
    LAND_AREA_KM2,
    MODELS,
    CostEstimate,
    Holding,
    Provider,
    Usage,
    estimate,
    load_provider,
    pixels_from_area,
    pixels_in_region,
)
from geoembz._cost.estimate import TB
from geoembz._util.bounded_json import MOST_BYTES, parse_object
from geoembz.errors import InvalidConfigError

_CHART_RECIPES = (
    "float32", "int8", "int4", "int2", "binary",
    "pca128-int8", "pca64-int8", "pca32-int8", "pca16-int4",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CostRequest:
    """Everything the flags say; see `geoembz cost --help`."""

    scheme: Scheme
    pixels: int | None = None
    area_km2: float | None = None
    region: str | None = None
    gsd_m: float = 10.0
    years: int | None = None
    provider: str = "aws"
    storage_class: str = "standard"
    reads_per_month: int = 0
    read_window: int = 1
    egress_tb: float = 0.0
    prices: Path | None = None

    def __post_init__(self) -> None:
        """Refuse two regions, and traffic that is not a number."""
        if sum(flag is not None for flag in (self.pixels, self.area_km2, self.region)) > 1:
            raise InvalidConfigError("cost: give only one of --pixels, --area-km2 and --region")
        if not 0 <= self.egress_tb < 1e9:
            raise InvalidConfigError(
                f"cost: --egress-tb {self.egress_tb}; expected 0 or more terabytes a month"
            )

    def estimates(self) -> list[CostEstimate]:
        """Return one estimate, or one for each known model where nothing was chosen."""
        if self.scheme.store is not None:
            return self._estimate([self._measured(self.scheme.store)])
        schemes = [Scheme(model=name) for name in MODELS] if self.scheme.is_open else [self.scheme]
        return self._estimate([self._nominal(scheme) for scheme in schemes])

    def chart(self, results: Sequence[CostEstimate]) -> tuple[list[CostEstimate], int]:
        """Return the bars to draw beside the results asked for, and which of them to stress."""
        if self.scheme.is_open or self.scheme.store is not None:
            return list(results), 0 if len(results) == 1 else -1
        holdings = [self._nominal(self.scheme.with_recipe(name)) for name in self._chart_recipes()]
        bars = [*results, *self._estimate(holdings)]
        bars.sort(key=lambda bar: bar.holding.size_bytes, reverse=True)
        return bars, bars.index(results[0])

    def _chart_recipes(self) -> list[str]:
        names, same = [], self.scheme.recipe or self.scheme.value_type
        for name in _CHART_RECIPES:
            head = name.split("-")[0].removeprefix("pca")
            fits = not head.isdecimal() or int(head) < self.scheme.dimension
            if fits and name != same:
                names.append(name)
        return names

    def _estimate(self, holdings: list[Holding]) -> list[CostEstimate]:
        provider = self._provider()
        return [
            estimate(holding, provider, self.storage_class, self._usage(holding))
            for holding in holdings
        ]

    def _usage(self, holding: Holding) -> Usage:
        side = self.read_window
        return Usage(
            reads_per_month=self.reads_per_month,
            window=(side, 1 if holding.unit == "rows" else side),
            egress_bytes_per_month=round(self.egress_tb * TB),
        )

    def _nominal(self, scheme: Scheme) -> Holding:
        return Holding(
            scheme=scheme.describe(),
            pixels=self._pixels(),
            size_bytes=scheme.size_bytes(),
            years=1 if self.years is None else self.years,
        )

    def _measured(self, store: str) -> Holding:
        from geoembz._cli.cost_store import measure_store

        size = measure_store(store)
        if size.unit == "rows" and (self.area_km2, self.region) != (None, None):
            raise InvalidConfigError(
                f"cost: {store} is a store of a table, whose rows have no area, so --area-km2 and "
                "--region do not apply; give --pixels N for N rows"
            )
        chosen = (self.pixels, self.area_km2, self.region) != (None, None, None)
        return Holding(
            scheme=store.rstrip("/").rsplit("/", 1)[-1],
            pixels=self._pixels() if chosen else size.pixels,
            size_bytes=size.stored_bytes,
            per_embeddings=size.pixels * size.years,
            years=size.years if self.years is None else self.years,
            layout=size.layout,
            objects=size.objects,
            unit=size.unit,
        )

    def _pixels(self) -> int:
        if self.pixels is not None:
            return self.pixels
        if self.area_km2 is not None:
            return pixels_from_area(self.area_km2, self.gsd_m)
        if self.region is None or self.region == "land":
            return pixels_from_area(LAND_AREA_KM2, self.gsd_m)
        return pixels_in_region(_read_json(Path(self.region), "--region"), self.gsd_m)

    def _provider(self) -> Provider:
        overrides = None if self.prices is None else _read_json(self.prices, "--prices")
        return load_provider(self.provider, overrides)


def _read_json(path: Path, flag: str) -> dict[str, Any]:
    expected = "a JSON object" + (", or the word land" if flag == "--region" else "")
    where = f"cost: {flag} {path}"
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidConfigError(f"{where}: {error.strerror}; expected {expected}") from error
    return parse_object(content, where, error=InvalidConfigError, expected=expected)
