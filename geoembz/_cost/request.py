"""From a question to estimates: what is stored, how much of it, where, and how it is read.

Reads the files that a question names (a region, a price list, a store); computes nothing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoembz._cost.estimate import TB, CostEstimate, Holding, Usage, estimate
from geoembz._cost.prices import Provider, load_provider
from geoembz._cost.report import CostReport, draw_costs
from geoembz._cost.sizes import (
    LAND_AREA_KM2,
    MODELS,
    bits_per_value,
    bytes_per_embedding,
    geodesic_area_km2,
    get_model,
    pixels_from_area,
)
from geoembz._geo.geoparquet import CRS84
from geoembz._util.bounded_json import MOST_BYTES, parse_object
from geoembz.encoding import Recipe
from geoembz.errors import InvalidConfigError, SourceError

_CHART_RECIPES = (
    "float32", "int8", "int4", "int2", "binary",
    "pca128-int8", "pca64-int8", "pca32-int8", "pca16-int4",
)  # fmt: skip


def cost(
    store: str | Path | None = None,
    *,
    model: str | None = None,
    dims: int | None = None,
    dtype: str | None = None,
    recipe: str | None = None,
    pixels: int | None = None,
    area_km2: float | None = None,
    region: str | Path | None = None,
    gsd: float = 10.0,
    years: int | None = None,
    provider: str = "aws",
    storage_class: str = "standard",
    reads_per_month: int = 0,
    read_window: int = 1,
    egress_tb: float = 0.0,
    prices: str | Path | None = None,
    plot: str | Path | None = None,
) -> CostReport:
    """Estimate what embeddings cost to store: bytes exactly, US dollars flat and by price list.

    Without `store`, `model` and `dims` the known models are estimated side by side.

    Parameters
    ----------
    store
        An existing store: its measured size is extrapolated.
    model
        A known model, such as ``aef``, ``tessera`` or ``dinov3``.
    dims, dtype
        Values per embedding, without `model`, and the type of one (None: the model's, or float32).
    recipe
        Compress first, such as ``pca64-int8``; see `Recipe`.
    pixels, area_km2, region
        How much, one of them: pixels (of a table store: rows), square kilometres, or ``land`` (the
        Earth's) or a file of polygons. None: the Earth's land, or what the store holds.
    gsd
        Side of one pixel, in metres.
    years
        Yearly layers. None: one, or the store's.
    provider, storage_class
        Whose price list: ``aws``, ``gcs``, ``azure`` or ``r2``, and a class of it.
    reads_per_month, read_window
        Reads of one window each in a month, and the side of that window, in pixels or rows.
    egress_tb
        Decimal terabytes sent to the internet in a month.
    prices
        JSON file whose prices replace the packaged ones.
    plot
        Also draw a bar chart of schemes: ``.png``, ``.svg`` or ``.pdf``.

    Returns
    -------
    report
        With one estimate, or one for each known model.

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
    where = None if store is None else str(store)
    request = CostRequest(
        scheme=Scheme(store=where, model=model, dims=dims, dtype=dtype, recipe=recipe),
        pixels=pixels,
        area_km2=area_km2,
        region=None if region is None else str(region),
        gsd_m=gsd,
        years=years,
        provider=provider,
        storage_class=storage_class,
        reads_per_month=reads_per_month,
        read_window=read_window,
        egress_tb=egress_tb,
        prices=None if prices is None else Path(prices),
    )
    results = request.estimates()
    if plot is not None:
        bars, chosen = request.chart(results)
        draw_costs(bars, chosen, Path(plot))
    return CostReport(tuple(results))


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is stored: a store, a model, or dimensions and a type; and a recipe.

    Parameters
    ----------
    store
        Path or URL of an existing store, or None.
    model
        Name of a known model, or None.
    dims, dtype
        Values per embedding and their type, or None.
    recipe
        Name of a recipe, or None for uncompressed values.
    """

    store: str | None = None
    model: str | None = None
    dims: int | None = None
    dtype: str | None = None
    recipe: str | None = None

    def __post_init__(self) -> None:
        """Refuse flags that contradict each other."""
        if (
            self.store is not None
            and (self.model, self.dims, self.dtype, self.recipe) != (None,) * 4
        ):
            raise InvalidConfigError(
                "cost: STORE is measured, so --model, --dims, --dtype and --recipe do not apply; "
                "leave them out, or leave STORE out"
            )
        if self.model is not None and self.dims is not None:
            raise InvalidConfigError(
                f"cost: --model {self.model} and --dims {self.dims} contradict each other; give one"
            )
        if self.dims is not None and self.dims < 1:
            raise InvalidConfigError(f"cost: --dims {self.dims}; expected an integer above 0")
        if self.is_open and (self.dtype or self.recipe):
            raise InvalidConfigError("cost: --dtype and --recipe need --model or --dims; give one")

    @property
    def is_open(self) -> bool:
        """Whether nothing was chosen, so that every known model is meant."""
        return self.store is None and self.model is None and self.dims is None

    @property
    def dimension(self) -> int:
        """Values per embedding before any compression."""
        return get_model(self.model).dimension if self.model is not None else (self.dims or 1)

    def with_recipe(self, recipe: str) -> "Scheme":
        """Return the same embedding under another recipe."""
        return Scheme(model=self.model, dims=self.dims, recipe=recipe)

    def describe(self) -> str:
        """Return a short name."""
        start = self.model or f"{self.dimension} dimensions"
        return " ".join(filter(None, (start, self.dtype, self.recipe)))

    @property
    def value_type(self) -> str:
        """Type of one value before any compression."""
        return self.dtype or (get_model(self.model).dtype if self.model else "float32")

    def size_bytes(self) -> int:
        """Return the size of one embedding, in bytes."""
        if self.recipe is not None:
            recipe = Recipe.parse(self.recipe)
            recipe.check_dimension("cost", self.dimension)
            return recipe.bytes_per_vector(self.dimension)
        return bytes_per_embedding(self.dimension, bits_per_value(self.value_type))


@dataclass(frozen=True, slots=True)
class CostRequest:
    """Everything that is asked; see `cost`."""

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
            return self._estimate([self._measure(self.scheme.store)])
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

    def _measure(self, store: str) -> Holding:
        from geoembz._cost.measured import measure_store

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
        return pixels_from_area(_region_area(self.region), self.gsd_m)

    def _provider(self) -> Provider:
        overrides = None if self.prices is None else _read_prices(self.prices)
        return load_provider(self.provider, overrides)


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
