"""From a question to estimates: what is stored, how much of it, where, and how it is read.

Reads the files that a question names (a region, a price list, a store); computes nothing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from geoembz._cost.estimate import TB, CostEstimate, Holding, Usage, estimate
from geoembz._cost.options import CostKeywords, CostOptions
from geoembz._cost.prices import Provider, load_provider
from geoembz._cost.report import CostReport, draw_costs
from geoembz._cost.sizes import LAND_AREA_KM2, MODELS, geodesic_area_km2, pixels_from_area
from geoembz._geo.geoparquet import CRS84
from geoembz._util.bounded_json import MOST_BYTES, parse_object
from geoembz._util.options import gather_one
from geoembz.errors import InvalidConfigError, SourceError

_CHART_RECIPES = (
    "float32", "int8", "int4", "int2", "binary",
    "pca128-int8", "pca64-int8", "pca32-int8", "pca16-int4",
)  # fmt: skip


def cost(
    store: str | Path | None = None,
    *,
    options: CostOptions | None = None,
    plot: str | Path | None = None,
    **flat: Unpack[CostKeywords],
) -> CostReport:
    """Estimate what embeddings cost to store: bytes exactly, US dollars flat and by price list.

    Without `store`, `model` and `dims` the known models are estimated side by side; with `compare`
    recipes are.

    Parameters
    ----------
    store
        An existing store: its measured size is extrapolated.
    options
        What is stored, how much of it, where, and how it is read; see `CostOptions`.
    plot
        Also draw a bar chart of schemes: ``.png``, ``.svg`` or ``.pdf``.
    **flat
        Any field of the options by its own name: ``cost(model="aef", years=8)`` is
        ``cost(options=CostOptions(model="aef", years=8))``.

    Returns
    -------
    report
        With one estimate, or one for each known model or recipe to compare.

    Raises
    ------
    InvalidConfigError
        If options contradict each other, or name what is not known.
    StoreError
        If the store cannot be read.
    MissingPackageError
        If `plot` is asked for without matplotlib.

    Examples
    --------
    >>> (aef,) = geoembz.cost(model="aef", region="land").estimates
    >>> aef.holding.total_bytes, round(aef.usd_per_year)
    (96000000000000, 26496)
    """
    asked = gather_one("cost", flat, "options", options, CostOptions())
    request = CostRequest(None if store is None else str(store), asked)
    results = request.estimates()
    if plot is not None:
        bars, chosen = request.chart(results)
        draw_costs(bars, chosen, Path(plot))
    return CostReport(tuple(results))


@dataclass(frozen=True, slots=True)
class CostRequest:
    """Everything that is asked, and goes together.

    Parameters
    ----------
    store
        Path or URL of an existing store, or None.
    options
        All else.
    """

    store: str | None
    options: CostOptions

    def __post_init__(self) -> None:
        """Refuse flags that contradict each other, and traffic that is not a number."""
        asked = self.options
        if self.store is not None and (
            (asked.model, asked.dims, asked.dtype, asked.recipe) != (None,) * 4
        ):
            raise InvalidConfigError(
                "cost: STORE is measured, so --model, --dims, --dtype and --recipe do not apply; "
                "leave them out, or leave STORE out"
            )
        if self.store is not None and (asked.access is not None or asked.overviews):
            raise InvalidConfigError(
                "cost: STORE is measured with the chunks and levels that it has, so --for and "
                "--overviews do not apply; leave them out, or leave STORE out"
            )
        if asked.model is not None and asked.dims is not None:
            raise InvalidConfigError(
                f"cost: --model {asked.model} and --dims {asked.dims} contradict each other; give "
                "one"
            )
        if asked.dims is not None and asked.dims < 1:
            raise InvalidConfigError(f"cost: --dims {asked.dims}; expected an integer above 0")
        if self.is_open and (asked.dtype or asked.recipe):
            raise InvalidConfigError("cost: --dtype and --recipe need --model or --dims; give one")
        if asked.compare is not None:
            self._check_compare(asked.compare)
        if sum(flag is not None for flag in (asked.pixels, asked.area_km2, asked.region)) > 1:
            raise InvalidConfigError("cost: give only one of --pixels, --area-km2 and --region")
        if not 0 <= asked.egress_tb < 1e9:
            raise InvalidConfigError(
                f"cost: --egress-tb {asked.egress_tb}; expected 0 or more terabytes a month"
            )

    def _check_compare(self, recipes: Sequence[str]) -> None:
        asked = self.options
        if isinstance(recipes, str) or not recipes:
            raise InvalidConfigError(f"cost: {recipes!r} in --compare; expected a list of recipes")
        if asked.model is None and asked.dims is None:
            raise InvalidConfigError(
                "cost: --compare needs --model or --dims; give one, and leave STORE out"
            )
        if asked.recipe is not None:
            raise InvalidConfigError(
                f"cost: --recipe {asked.recipe} and --compare contradict each other; put all "
                "recipes into --compare"
            )

    @property
    def is_open(self) -> bool:
        """Whether nothing was chosen, so that every known model is meant."""
        return self.store is None and self.options.model is None and self.options.dims is None

    def estimates(self) -> list[CostEstimate]:
        """Return one estimate, or one for each recipe to compare or each known model."""
        if self.store is not None:
            return self._estimate([self._measure(self.store)])
        asked = self.options
        schemes = [replace(asked, recipe=it) for it in (asked.recipe, *(asked.compare or ()))]
        if self.is_open:
            schemes = [replace(asked, model=name) for name in MODELS]
        return self._estimate([self._nominal(one) for one in schemes])

    def chart(self, results: Sequence[CostEstimate]) -> tuple[list[CostEstimate], int]:
        """Return the bars to draw beside the results asked for, and which of them to stress."""
        if self.is_open or self.options.compare or self.store is not None:
            return list(results), 0 if len(results) == 1 else -1
        others = (replace(self.options, dtype=None, recipe=it) for it in self._chart_recipes())
        holdings = [self._nominal(other) for other in others]
        bars = [*results, *self._estimate(holdings)]
        bars.sort(key=lambda bar: bar.holding.size_bytes, reverse=True)
        return bars, bars.index(results[0])

    def _chart_recipes(self) -> list[str]:
        names, same = [], self.options.recipe or self.options.value_type
        for name in _CHART_RECIPES:
            head = name.split("-")[0].removeprefix("pca")
            fits = not head.isdecimal() or int(head) < self.options.dimension
            if fits and name != same:
                names.append(name)
        return names

    def _estimate(self, holdings: list[Holding]) -> list[CostEstimate]:
        provider = self._provider()
        return [
            estimate(holding, provider, self.options.storage_class, self._usage(holding))
            for holding in holdings
        ]

    def _usage(self, holding: Holding) -> Usage:
        side = self.options.read_window
        return Usage(
            reads_per_month=self.options.reads_per_month,
            window=(side, 1 if holding.unit == "rows" else side),
            egress_bytes_per_month=round(self.options.egress_tb * TB),
        )

    def _nominal(self, asked: CostOptions) -> Holding:
        return Holding(
            scheme=asked.scheme,
            pixels=self._pixels(),
            size_bytes=asked.bytes_per_embedding(),
            years=1 if asked.years is None else asked.years,
            layout=asked.layout(),
            has_overviews=asked.overviews,
        )

    def _measure(self, store: str) -> Holding:
        from geoembz._cost.measured import measure_store

        size, asked = measure_store(store), self.options
        if size.unit == "rows" and (asked.area_km2, asked.region) != (None, None):
            raise InvalidConfigError(
                f"cost: {store} is a store of a table, whose rows have no area, so --area-km2 and "
                "--region do not apply; give --pixels N for N rows"
            )
        chosen = (asked.pixels, asked.area_km2, asked.region) != (None, None, None)
        return Holding(
            scheme=store.rstrip("/").rsplit("/", 1)[-1],
            pixels=self._pixels() if chosen else size.pixels,
            size_bytes=size.stored_bytes,
            per_embeddings=size.pixels * size.years,
            years=size.years if asked.years is None else asked.years,
            layout=size.layout,
            objects=size.objects,
            unit=size.unit,
        )

    def _pixels(self) -> int:
        asked = self.options
        if asked.pixels is not None:
            return asked.pixels
        if asked.area_km2 is not None:
            return pixels_from_area(asked.area_km2, asked.gsd)
        region = None if asked.region is None else str(asked.region)
        area = LAND_AREA_KM2 if region in (None, "land") else _region_area(region)
        return pixels_from_area(area, asked.gsd)

    def _provider(self) -> Provider:
        prices = self.options.prices
        overrides = None if prices is None else _read_prices(Path(prices))
        return load_provider(self.options.provider, overrides)


def _region_area(region: str) -> float:
    """Return the area of a file's polygons, in square kilometres."""
    import shapely

    from geoembz.sources.features import read_rows

    try:
        read = read_rows(region)
    except SourceError as error:
        raise InvalidConfigError(f"cost: --region {error}, or the word land") from error
    shapes = read.to_crs(CRS84).geometries
    if shapes is None or read.geometries is None:
        raise InvalidConfigError(f"cost: --region {region} holds points; expected polygons")
    lost = int((shapely.is_missing(shapes) & ~shapely.is_missing(read.geometries)).sum())
    if lost:
        raise InvalidConfigError(
            f"cost: --region {region}: {lost} of {len(shapes)} polygons lie where their CRS has no "
            "place on Earth; correct the coordinates or the CRS"
        )
    return geodesic_area_km2(shapes)


def _read_prices(path: Path) -> dict[str, Any]:
    expected, where = "a JSON object", f"cost: --prices {path}"
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidConfigError(f"{where}: {error.strerror}; expected {expected}") from error
    return parse_object(content, where, error=InvalidConfigError, expected=expected)
