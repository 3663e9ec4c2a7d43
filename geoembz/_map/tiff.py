"""Copy the shards of a map together to a cloud-optimized GeoTIFF."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geoembz._export.geotiff import Raster, write_cog
from geoembz._geo.grid import split
from geoembz._map.bands import MapBands
from geoembz._map.statistics import MapFigures
from geoembz._map.writer import MapWriter

SUFFIXES = (".tif", ".tiff")


def is_tiff(out: str | Path) -> bool:
    """Whether a name is that of a GeoTIFF."""
    return Path(str(out)).suffix.lower() in SUFFIXES


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


def _tags(about: Mapping[str, Any]) -> dict[str, str]:
    """Return texts about the map; what stands in the file by itself is left out."""
    hidden = {"bands", "dtype", "nodata", "scale", "classes"}
    return {
        f"geoembz_{name}": ", ".join(value) if isinstance(value, list) else str(value)
        for name, value in about.items()
        if name not in hidden
    }
