"""HTML for notebooks: tables, and places on a small map. All that comes from others is escaped.

Pieces carry their own few styles, take the colours of the page round them (light or dark), and ask
for nothing from a network.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import cos, isfinite, radians

from geoembz._text import printable
from geoembz.errors import redact

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Those that everyone can tell apart (Okabe & Ito)."""

MOST_PLACES = 2_000
"""Points of a map: more are no picture, and a heavy page."""

_CELL = "text-align:left;padding:0.1em 1em 0.1em 0;vertical-align:top"
_WIDTH, _MARGIN = 320, 14


def text(value: object) -> str:
    """Return a text as HTML: escaped, without secrets, nothing invisible in it.

    Examples
    --------
    >>> text("<b>a & b")
    '&lt;b&gt;a &amp; b'
    """
    return escape(printable(redact(str(value))))


def table(rows: Iterable[Sequence[object]], *, has_header: bool = False) -> str:
    """Return a table; the first cell of each row says what the others are.

    Parameters
    ----------
    rows
        Cells, as text or to be made text.
    has_header
        Whether the first row says what columns are.
    """
    lines = []
    for number, row in enumerate(rows):
        is_header = has_header and number == 0
        cells = "".join(
            f'<{tag} style="{_CELL}">{text(cell)}</{tag}>'
            for place, cell in enumerate(row)
            for tag in ["th" if is_header or (place == 0 and not has_header) else "td"]
        )
        lines.append(f"<tr>{cells}</tr>")
    return f'<table style="border-collapse:collapse">{"".join(lines)}</table>'


def lines_of(content: str) -> str:
    """Return lines of text as they are."""
    shown = "\n".join(text(line) for line in content.split("\n"))
    return f'<pre style="overflow-x:auto">{shown}</pre>'


def card(title: str, *parts: str) -> str:
    """Return a thing with its name above its parts, which are HTML already."""
    return f"<div><strong>{text(title)}</strong>{''.join(parts)}</div>"


def picture(svg: str) -> str:
    """Return a plot of ours, on the white that its colours are for."""
    return f'<figure style="background:#fff;width:fit-content;margin:0.5em 0">{svg}</figure>'


@dataclass(frozen=True)
class Place:
    """A point of a map.

    Parameters
    ----------
    x, y
        Where it is.
    series
        Number of what it belongs to, which gives its colour.
    weight
        How large it is drawn, 0 to 1.
    label
        What is shown where the pointer is on it.
    """

    x: float
    y: float
    series: int
    weight: float
    label: str


def point_map(places: Iterable[Place], *, caption: str, is_degrees: bool) -> str:
    """Return a map of points as inline SVG; empty where none has a place.

    Parameters
    ----------
    places
        Those that are not finite are left out, and so are those beyond `MOST_PLACES`.
    caption
        What coordinates these are.
    is_degrees
        Whether they are longitudes and latitudes, which are as far apart as at their middle.
    """
    known = [each for each in places if isfinite(each.x) and isfinite(each.y)][:MOST_PLACES]
    if not known:
        return ""
    (left, right), (low, high) = _range(p.x for p in known), _range(p.y for p in known)
    shrink = max(cos(radians((low + high) / 2)), 0.1) if is_degrees else 1.0
    ratio = (high - low) / ((right - left) * shrink)
    width, height = _WIDTH * min(1.0, 1 / ratio), _WIDTH * min(1.0, ratio)
    points = "".join(_circles(known, (left, right), (low, high), (width, height)))
    across, down = width + 2 * _MARGIN, height + 2 * _MARGIN
    bounds = f"x {left:.10g} to {right:.10g}, y {low:.10g} to {high:.10g}"
    return (
        f'<figure style="margin:0.5em 0"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'width="{across:.0f}" height="{down:.0f}" viewBox="0 0 {across:.1f} {down:.1f}">'
        f'<rect width="100%" height="100%" fill="none" stroke="currentColor" opacity="0.4"/>'
        f"{points}</svg><figcaption>{text(caption)}: {bounds}</figcaption></figure>"
    )


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Return least and largest; of equal ones, something round them."""
    known = list(values)
    low, high = min(known), max(known)
    room = max(abs(low), 1.0) * 1e-9
    return (low, high) if high - low > room else (low - room, high + room)


def _circles(
    places: Sequence[Place],
    across: tuple[float, float],
    down: tuple[float, float],
    size: tuple[float, float],
) -> Iterator[str]:
    (left, right), (low, high), (width, height) = across, down, size
    for place in reversed(places):  # the first ones on top
        x = _MARGIN + width * (place.x - left) / (right - left)
        y = _MARGIN + height * (high - place.y) / (high - low)
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2.5 + 4 * place.weight:.1f}" '
            f'fill="{COLOURS[place.series % len(COLOURS)]}" fill-opacity="0.75">'
            f"<title>{text(place.label)}</title></circle>"
        )
