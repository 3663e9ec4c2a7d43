"""Cost estimates as JSON and as text, rounded as the seed article rounds."""

from dataclasses import dataclass
from typing import Any

from geoembz._cost.estimate import GB, PB, TB, CostEstimate
from geoembz._util.results import Result

_BYTE_UNITS = ((PB, "PB"), (TB, "TB"), (GB, "GB"), (10**6, "MB"), (10**3, "kB"))


def format_bytes(size_bytes: float) -> str:
    """Return a size in decimal units, one decimal below ten.

    Examples
    --------
    >>> format_bytes(6_144_000_000_000_000), format_bytes(96_000_000_000_000), format_bytes(64)
    ('6.1 PB', '96 TB', '64 B')
    """
    for unit, name in _BYTE_UNITS:
        if size_bytes >= unit:
            scaled = size_bytes / unit
            return f"{scaled:.1f} {name}" if scaled < 9.95 else f"{scaled:.0f} {name}"
    return f"{size_bytes:.4g} B"


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
        One, or one for each known model.
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
    measured = " measured, all that is stored over all that is embedded"
    measured = measured if holding.per_embeddings > 1 else ""
    rows = (
        ("scheme", holding.scheme),
        ("bytes per embedding", f"{holding.bytes_per_embedding:.6g}{measured}"),
        (holding.unit, f"{holding.pixels:,} x {holding.years} year(s)"),
        ("total", f"{format_bytes(holding.total_bytes)} in {result.n_objects:,} objects"),
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
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


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
