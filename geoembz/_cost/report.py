"""Cost estimates as JSON, as text and as a chart, rounded as the seed article rounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoembz._cost.estimate import GB, PB, SENTINEL2_PB_PER_YEAR, TB, CostEstimate
from geoembz._text import aligned, format_bytes
from geoembz._util.optional import import_extra
from geoembz._util.output import output_faults
from geoembz._util.results import Result
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SUFFIXES = (".png", ".svg", ".pdf")
_UNITS = ((PB, "PB"), (TB, "TB"), (GB, "GB"), (10**6, "MB"), (1, "bytes"))
_BAR, _CHOSEN, _LINE = "#4C78A8", "#E4572E", "#444444"
_ROOM_FOR_LABELS = 1.3  # the axis, over the longest bar: prices stand behind the bars
_FARTHEST_LINE = 20  # times the longest bar; beyond that the bars could not be seen


def format_usd(usd: float) -> str:
    """Return an amount in US dollars: one decimal for millions and below ten thousand.

    Examples
    --------
    >>> format_usd(1_695_744), format_usd(423_936), format_usd(12.5)
    ('$1.7M', '$424K', '$12.50')
    """
    if usd >= 999_500:
        return f"${usd / 1e6:.1f}M"
    if usd >= 1000:
        return f"${usd / 1e3:.1f}K" if usd < 9950 else f"${usd / 1e3:.0f}K"
    return f"${usd:.2f}"


@dataclass(frozen=True)
class CostReport(Result):
    """What was estimated; see `cost`.

    Parameters
    ----------
    estimates
        One, or one for each known model or recipe to compare.
    """

    estimates: tuple[CostEstimate, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the one estimate as a JSON object, or a list of them under ``schemes``."""
        documents = [_json(result) for result in self.estimates]
        return documents[0] if len(documents) == 1 else {"schemes": documents}

    def to_table(self) -> str:
        """Return the one estimate as lines, or a table with a row for each."""
        return _text(self.estimates[0]) if len(self.estimates) == 1 else _table(self.estimates)


def _json(result: CostEstimate) -> dict[str, Any]:
    """Return an estimate as a JSON object: sizes, counts and US dollars are numbers.

    Returns
    -------
    document
        At least `bytes_per_embedding`, `pixels`, `total_bytes`, `usd_per_year` and
        `usd_per_year_tiered`; the tiered figure's parts under `tiered`.
    """
    holding, read, tiered = result.holding, result.read, result.tiered
    low, high = result.share_of_sentinel2
    return {
        "scheme": holding.scheme,
        "bytes_per_embedding": holding.bytes_per_embedding,
        "measured": holding.per_embeddings > 1,
        "pixels": holding.pixels,
        "unit": holding.unit,
        "years": holding.years,
        "total_bytes": holding.total_bytes,
        "overviews": holding.has_overviews,
        "usd_per_year": result.usd_per_year,
        "usd_per_year_tiered": result.usd_per_year_tiered,
        "tiered": {
            "storage_usd": tiered.storage_usd,
            "puts_usd_once": tiered.puts_usd,
            "gets_usd": tiered.gets_usd,
            "retrieval_usd": tiered.retrieval_usd,
            "egress_usd": tiered.egress_usd,
        },
        "provider": result.provider.name,
        "storage_class": result.storage_class.name,
        "prices_consulted": result.provider.consulted,
        "prices_uncertain": result.storage_class.uncertain,
        "prices_note": _note(result),
        "prices_sources": list(result.provider.sources),
        "n_objects": result.n_objects,
        "read_window": list(read.window),
        "requests_per_read": read.requests,
        "bytes_per_read": read.bytes_fetched,
        "read_amplification": read.amplification,
        "share_of_sentinel2_year": [low, high],
    }


def _text(result: CostEstimate) -> str:
    """Return an estimate as lines for a terminal."""
    holding, read, tiered = result.holding, result.read, result.tiered
    low, high = result.share_of_sentinel2
    doubt = " (uncertain)" if result.storage_class.uncertain else ""
    levels = ", a quarter of it overviews" if holding.has_overviews else ""
    measured = " measured, all that is stored over all that is embedded"
    measured = measured if holding.per_embeddings > 1 else ""
    rows = (
        ("scheme", holding.scheme),
        ("bytes per embedding", f"{holding.bytes_per_embedding:.6g}{measured}"),
        (holding.unit, f"{holding.pixels:,} x {holding.years} year(s)"),
        ("total", f"{format_bytes(holding.total_bytes)} in {result.n_objects:,} objects{levels}"),
        ("flat price", f"{format_usd(result.usd_per_year)} a year at $0.023 per GB-month"),
        ("price list", f"{format_usd(result.usd_per_year_tiered)} the first year, of it"),
        ("  storage", format_usd(tiered.storage_usd)),
        ("  writing, once", format_usd(tiered.puts_usd)),
        ("  GET requests", format_usd(tiered.gets_usd)),
        ("  retrieval", format_usd(tiered.retrieval_usd)),
        ("  egress", format_usd(tiered.egress_usd)),
        ("  prices", (f"{result.provider.title}, {result.storage_class.name}, "
                     f"as of {result.provider.consulted}{doubt}")),
        *([("  beware", _note(result))] if doubt else []),
        (_read_name(result),
         (f"{read.requests:.3g} requests, {format_bytes(read.bytes_fetched)}, "
         f"{read.amplification:,.4g} bytes fetched per byte wanted")),
        ("Sentinel-2's yearly growth", f"{low:.2%} to {high:.2%} of it, per year"),
    )  # fmt: skip
    return aligned(rows)


def _note(result: CostEstimate) -> str:
    return result.storage_class.note or result.provider.note


def _read_name(result: CostEstimate) -> str:
    height, width = result.read.window
    return f"a {height}-row read" if result.holding.unit == "rows" else f"a {height} x {width} read"


def _table(results: tuple[CostEstimate, ...]) -> str:
    """Return estimates as a table, one row each, with the seed article's columns."""
    rows = [("scheme", "B/embedding", "total", "flat $/year", "price list, first year")]
    rows += [
        (
            result.holding.scheme,
            f"{result.holding.bytes_per_embedding:,.6g}",
            format_bytes(result.holding.total_bytes),
            format_usd(result.usd_per_year),
            format_usd(result.usd_per_year_tiered),
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    doubtful = [result for result in results if result.storage_class.uncertain]
    if doubtful:
        lines.append(f"beware: the price list is uncertain. {_note(doubtful[0])}")
    return "\n".join(lines)


def draw_costs(results: Sequence[CostEstimate], chosen: int, path: Path) -> None:
    """Write a bar chart of schemes.

    Parameters
    ----------
    results
        One estimate for each bar, all of the same pixels and years.
    chosen
        Index of the bar to stress.
    path
        Where to write: .png, .svg or .pdf.

    Raises
    ------
    InvalidConfigError
        If the suffix is none of these.
    MissingPackageError
        If matplotlib is not installed.
    """
    if not path.parent.is_dir():
        raise InvalidConfigError(
            f"cost: --plot {path}: no folder {path.parent}; make it, or choose another"
        )
    if path.suffix.lower() not in _SUFFIXES:
        raise InvalidConfigError(
            f"cost: --plot {path.name}: unknown suffix; expected one of {', '.join(_SUFFIXES)}"
        )
    pyplot = import_extra("matplotlib.figure", "report", "cost: --plot needs matplotlib")
    figure = pyplot.Figure(figsize=(9, 2.2 + 0.42 * len(results)), layout="constrained")
    axes = figure.add_subplot()
    largest = max(result.holding.total_bytes for result in results)
    unit, unit_name = next(pair for pair in _UNITS if largest >= pair[0])
    _draw_bars(axes, results, chosen, unit)
    axes.set_xlim(0, largest / unit * _ROOM_FOR_LABELS)
    axes.set_xlabel(f"Stored size ({unit_name})")
    _draw_sentinel2(axes, results[0].holding.years, unit, largest)
    holding = results[0].holding
    years = "one year" if holding.years == 1 else f"{holding.years} years"
    axes.set_title(
        f"{years} of {holding.pixels:,} {holding.unit}, flat price in US dollars", loc="left"
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower right", frameon=False)
    with output_faults(path):
        figure.savefig(path, dpi=150)


def _draw_bars(axes: "Axes", results: Sequence[CostEstimate], chosen: int, unit: int) -> None:
    holdings = [result.holding for result in results]
    bars = axes.barh(
        [f"{holding.scheme} ({holding.bytes_per_embedding:,.5g} B)" for holding in holdings],
        [holding.total_bytes / unit for holding in holdings],
        color=[_CHOSEN if i == chosen else _BAR for i in range(len(results))],
    )
    labels = [
        f"{format_bytes(result.holding.total_bytes)}, {format_usd(result.usd_per_year)} a year"
        for result in results
    ]
    axes.bar_label(bars, labels=labels, padding=5)
    axes.invert_yaxis()


def _draw_sentinel2(axes: "Axes", years: int, unit: int, largest: int) -> None:
    low, high = (petabytes * PB * years for petabytes in SENTINEL2_PB_PER_YEAR)
    name = "Sentinel-2 archive, 3–4 PB a year"
    middle = (low + high) / 2 / unit
    if high > _FARTHEST_LINE * largest:
        axes.plot([], [], color=_LINE, linestyle="--", label=f"{name}: far to the right")
    else:
        axes.set_xlim(0, max(axes.get_xlim()[1], high / unit * 1.05))
        axes.axvspan(low / unit, high / unit, color=_LINE, alpha=0.12, zorder=0, linewidth=0)
        axes.axvline(middle, color=_LINE, linestyle="--", zorder=0, label=name)
