"""What a map is, in numbers: what `geoembz info` prints of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from geoembz._objects.tree import ObjectTree
from geoembz._util.results import Result
from geoembz.errors import StoreError, redact
from geoembz.store.map_figures import BandSums, MapFigures
from geoembz.store.maps import FIGURES, STRETCH, MapDocument, is_tiff, malformed

_SHOWN_BANDS = 8

_KNOWN = {
    *("kind", "bands", "dtype", "nodata", "scale", "classes", "shown", STRETCH, FIGURES),
    *("model", "recipe", "encoding_hash", "license", "dates", "software", "identity"),
}


@dataclass(frozen=True)
class MapBandInfo:
    """One band of a map at a glance: its values, NaN left out.

    Parameters
    ----------
    name
        What it holds.
    min, max, mean, std
        Of its values; None where none is finite.
    """

    name: str
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None

    @classmethod
    def of(cls, name: str, sums: BandSums, scale: float) -> Self:
        """Describe a band by its sums."""
        if not sums.count:
            return cls(name)
        numbers = (sums.least, sums.most, sums.mean, sums.std)
        return cls(name, *(number * scale for number in numbers))

    def row(self) -> tuple[str, str]:
        """Return a row of a table."""
        if self.min is None:
            return f"band {self.name}", "no number"
        return f"band {self.name}", f"{self.min:.4g} to {self.max:.4g}, mean {self.mean:.4g}"


@dataclass(frozen=True)
class MapClassInfo:
    """One class of a map.

    Parameters
    ----------
    value
        What its pixels hold.
    name, colour
        What it is called, and shown in: ``#rrggbb``.
    pixels
        How many there are.
    """

    value: int
    name: str
    colour: str
    pixels: int


@dataclass(frozen=True)
class MapInfo(Result):
    """A map at a glance.

    Parameters
    ----------
    map
        Where it is.
    kind
        What it is a map of: ``similarity``, ``classes``, ``change`` …
    bands
        What each band holds.
    dtype, nodata, scale
        Type of the stored numbers, the one without data, and what numbers are multiplied with.
    classes
        Of a map of classes or clusters.
    shape
        Height and width, in pixels.
    crs
        Authority and code, or the name of the CRS.
    transform
        Affine coefficients ``(a, b, c, d, e, f)``.
    bbox
        ``(xmin, ymin, xmax, ymax)`` in CRS units.
    valid_pixels
        Pixels that hold something.
    recipe, encoding_hash, model, dates, license
        Of the store that it was made of.
    software
        What wrote it.
    bytes_stored
        Size of the file, or of all objects.
    details
        What is particular to its kind, as texts.
    """

    map: str
    kind: str
    bands: tuple[MapBandInfo, ...]
    dtype: str
    nodata: float | str
    scale: float
    classes: tuple[MapClassInfo, ...]
    shape: tuple[int, int]
    crs: str
    transform: tuple[float, ...]
    bbox: tuple[float, ...]
    valid_pixels: int
    recipe: str
    encoding_hash: str
    model: str
    dates: tuple[str, ...]
    license: str | None
    software: str
    bytes_stored: int
    details: Mapping[str, str]

    def _rows(self) -> list[tuple[str, ...]]:
        height, width = self.shape
        valid = self.valid_pixels / (height * width)
        held = f"{self.kind}, {len(self.bands)} x {self.dtype}"
        bands = [] if self.classes else [band.row() for band in self.bands[:_SHOWN_BANDS]]
        if len(self.bands) > _SHOWN_BANDS:
            bands.append(("more bands", str(len(self.bands) - _SHOWN_BANDS)))
        return [
            ("map", self.map),
            ("holds", held if self.scale == 1 else f"{held}, times {self.scale:.6g}"),
            ("grid", f"{width} x {height} pixels (width x height), {self.crs}"),
            ("bbox", ", ".join(f"{value:.10g}" for value in self.bbox)),
            ("with data", f"{valid:.1%}"),
            *(self._class_row(each) for each in self.classes),
            *bands,
            *((name.replace("_", " "), value) for name, value in self.details.items()),
            ("made of", f"{self.recipe}, {self.encoding_hash}"),
            ("model", self.model),
            *([("dates", ", ".join(self.dates))] if self.dates else []),
            *([("license", self.license)] if self.license else []),
            ("written by", self.software),
            ("bytes stored", f"{self.bytes_stored:,}"),
        ]

    def _class_row(self, each: MapClassInfo) -> tuple[str, str]:
        share = each.pixels / max(self.valid_pixels, 1)
        return f"class {each.value}", f"{each.name}: {each.pixels:,} pixels, {share:.1%}"


def describe_map(url: str, document: MapDocument) -> MapInfo:
    """Describe a map by what it says of itself.

    Raises
    ------
    StoreError
        If it does not say what it must.
    """
    try:
        return _describe(url, document)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise malformed(url, error) from error


def describe_tiff(path: str) -> MapInfo:
    """Describe a map in a GeoTIFF.

    Raises
    ------
    StoreError
        If it is none.
    """
    document = MapDocument.of_tiff(path)
    if document is None:
        raise StoreError(
            f"{path}: a GeoTIFF, but no map that `geoembz map` made; expected a store, or such a "
            "map; `gdalinfo` describes rasters"
        )
    return describe_map(path, document)


def _describe(url: str, document: MapDocument) -> MapInfo:
    grid, about = document.grid, document.about
    figures, scale = MapFigures.from_json(about[FIGURES]), float(about["scale"])
    counts = figures.counts or {}
    return MapInfo(
        map=redact(url),
        kind=str(about["kind"]),
        bands=tuple(
            MapBandInfo.of(str(name), sums, scale)
            for name, sums in zip(about["bands"], figures.bands, strict=True)
        ),
        dtype=str(about["dtype"]),
        nodata=about["nodata"],
        scale=scale,
        classes=tuple(_describe_class(each, counts) for each in about["classes"]),
        shape=grid.shape,
        crs=grid.crs_code or grid.crs_wkt.partition('"')[2].partition('"')[0],
        transform=grid.transform,
        bbox=grid.bbox,
        valid_pixels=int(figures.valid_pixels),
        recipe=str(about["recipe"]),
        encoding_hash=str(about["encoding_hash"]),
        model=str(about["model"]),
        dates=tuple(map(str, about.get("dates", ()))),
        license=about.get("license"),
        software=str(about["software"]),
        bytes_stored=_size(url),
        details={name: str(value) for name, value in about.items() if name not in _KNOWN},
    )


def _describe_class(each: Mapping[str, Any], counts: Mapping[int, int]) -> MapClassInfo:
    value = int(each["value"])
    return MapClassInfo(value, str(each["name"]), str(each["colour"]), counts.get(value, 0))


def _size(url: str) -> int:
    """Return the size of a map, in bytes."""
    if not is_tiff(url):
        return sum(ObjectTree(url).sizes().values())
    folder, _, name = url.rpartition("/")
    return ObjectTree(folder or ".").size(name) or 0
