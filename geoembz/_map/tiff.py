"""Copy the shards of a map together to a cloud-optimized GeoTIFF."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from geoembz._export.geotiff import Raster, write_cog
from geoembz._geo.grid import split
from geoembz._map.bands import MapBands, MapClass
from geoembz._map.writer import MapWriter
from geoembz.store.map_figures import MapFigures
from geoembz.store.maps import FIGURES, STRETCH, TIFF_TAG

_INTEGER, _TEXT = 0, 2
_TABLE_FIELDS = (
    ("Value", _INTEGER, 5), ("Class", _TEXT, 2), ("Count", _INTEGER, 1),
    ("Red", _INTEGER, 6), ("Green", _INTEGER, 7), ("Blue", _INTEGER, 8),
)  # fmt: skip
"""Name, type (`GDALRATFieldType`) and use (`GDALRATFieldUsage`) of a column."""


def write_tiff(
    target: Path, writer: MapWriter, figures: MapFigures, about: Mapping[str, Any]
) -> None:
    """Write a GeoTIFF of a map whose shards are all there; a file that exists is replaced whole.

    Parameters
    ----------
    target
        The file.
    writer
        Of the shards.
    figures
        Sums over the map's valid pixels: programs that show it stretch by them.
    about
        What the map is, for the file's tags.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    plan = writer.plan
    bands = plan.bands
    raster = Raster(plan.grid, bands.count, np.dtype(bands.dtype), bands.nodata)

    def fill(draft: Any) -> None:
        import rasterio

        for shard in split(plan.grid.window, plan.chunks.shard):
            place = rasterio.windows.Window(shard.col, shard.row, shard.width, shard.height)
            draft.write(writer.read(shard), window=place)
        _describe(draft, bands, figures)
        draft.update_tags(**_tags(about))

    write_cog(target, raster, fill)


def _describe(draft: Any, bands: MapBands, figures: MapFigures) -> None:
    """Write names, scales, figures and colours of the bands."""
    draft.descriptions = bands.names
    if bands.scale != 1:
        draft.scales = [bands.scale] * bands.count
    for number, sums in enumerate(figures.bands, 1):
        if sums.count:
            draft.update_tags(
                number,
                STATISTICS_MINIMUM=repr(sums.least),
                STATISTICS_MAXIMUM=repr(sums.most),
                STATISTICS_MEAN=repr(sums.mean),
                STATISTICS_STDDEV=repr(sums.std),
            )
    if bands.classes:
        draft.write_colormap(1, {each.value: (*each.colour, 255) for each in bands.classes})
        draft.update_tags(1, **{f"CLASS_{each.value}": each.name for each in bands.classes})
        _write_table(Path(f"{draft.name}.aux.xml"), bands.classes, figures.counts or {})


def _write_table(path: Path, classes: Sequence[MapClass], counts: Mapping[int, int]) -> None:
    """Write a raster attribute table of classes beside the draft: what GIS programs list.

    GDAL 3.12 copies it into the finished file. rasterio has no function for such a table, so it is
    written as GDAL itself would (its "PAM" files).
    """
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for number, (name, kind, usage) in enumerate(_TABLE_FIELDS):
        field = ET.SubElement(table, "FieldDefn", index=str(number))
        for key, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(field, key).text = str(value)
    for number, each in enumerate(classes):
        row = ET.SubElement(table, "Row", index=str(number))
        name = "".join(letter for letter in each.name if letter.isprintable())  # XML has no others
        for value in (each.value, name, counts.get(each.value, 0), *each.colour):
            ET.SubElement(row, "F").text = str(value)
    ET.ElementTree(root).write(path, encoding="utf-8")


_ELSEWHERE = {"bands", "dtype", "nodata", "scale", "classes", "shown", STRETCH, FIGURES}
"""What programs find in the file by itself, or do not ask for."""


def _tags(about: Mapping[str, Any]) -> dict[str, str]:
    """Return texts about the map for people, and all that a Zarr store says of itself in one."""
    texts = {
        f"geoembz_{name}": ", ".join(value) if isinstance(value, list) else str(value)
        for name, value in about.items()
        if name not in _ELSEWHERE
    }
    return {**texts, TIFF_TAG: json.dumps(about, separators=(",", ":"))}
