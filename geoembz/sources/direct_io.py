"""When GDAL may read a GeoTIFF past its block cache.

Direct I/O reads uncompressed, pixel-interleaved tiles three times as fast. But it returns whatever
is in memory where a truncated file ends, without an error; so every tile must be known to lie
inside the file first.
"""

from pathlib import Path
from typing import Any


def reads_directly(dataset: Any, path: str) -> bool:
    """Return whether direct I/O is faster for this open raster, and safe.

    Parameters
    ----------
    dataset
        An open `rasterio.DatasetReader`.
    path
        What it was opened from.
    """
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    local = Path(path)
    return (
        dataset.driver == "GTiff"
        and dataset.block_shapes[0][1] < dataset.width  # tiles, not strips
        and structure.get("INTERLEAVE") == "PIXEL"
        and "COMPRESSION" not in structure
        and local.is_file()
        and _last_byte(dataset) <= local.stat().st_size
    )


def _last_byte(dataset: Any) -> float:
    """Return where the last tile ends, in bytes; infinity where a tile is absent (sparse)."""
    rows, cols = dataset.block_shapes[0]
    ends = [0.0]
    for row in range(-(-dataset.height // rows)):
        for col in range(-(-dataset.width // cols)):
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1)
            size = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1)
            if not offset or not size:
                return float("inf")
            ends.append(float(offset) + float(size))
    return max(ends)
