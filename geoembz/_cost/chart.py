"""Draw what storage schemes weigh, with the Sentinel-2 archive as a line.

The only module that knows matplotlib for `geoembz cost`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geoembz._cost.estimate import GB, PB, SENTINEL2_PB_PER_YEAR, TB, CostEstimate
from geoembz._cost.report import format_bytes, format_usd
from geoembz._util.output import output_faults
from geoembz.errors import InvalidConfigError, MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SUFFIXES = (".png", ".svg", ".pdf")
_UNITS = ((PB, "PB"), (TB, "TB"), (GB, "GB"), (10**6, "MB"), (1, "bytes"))
_BAR, _CHOSEN, _LINE = "#4C78A8", "#E4572E", "#444444"
_ROOM_FOR_LABELS = 1.3
_FARTHEST_LINE = 20  # times the longest bar; beyond that the bars could not be seen


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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "cost: --plot needs matplotlib, which is not installed; "
            "install it with: pip install 'geoembz[all]'"
        ) from error
    figure = Figure(figsize=(9, 2.2 + 0.42 * len(results)), layout="constrained")
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
