"""Find GeoTIFFs that end too early, before anything is read from them."""

from pathlib import Path
from typing import Any

from geoembz.errors import SourceError

_MOST_BLOCKS = 4096


def refuse_truncated(name: str, dataset: Any, path: str) -> None:
    """Refuse a local GeoTIFF whose index of blocks points behind the end of the file.

    Blocks of the first and of the last band are looked at, up to 4,096 of each from the end:
    writers put the last ones last.

    Raises
    ------
    SourceError
        If the file is truncated.
    """
    local = Path(path)
    if dataset.driver != "GTiff" or not local.is_file():
        return
    size = local.stat().st_size
    needed = max(_last_byte(dataset, band) for band in {1, dataset.count})
    if needed > size:
        raise SourceError(
            f"{name}: truncated: its data end at byte {needed:,}, the file at {size:,}; "
            "fetch it again"
        )


def _last_byte(dataset: Any, band: int) -> int:
    """Return where the last of a band's blocks ends, in bytes; absent (sparse) ones count as 0."""
    rows, cols = dataset.block_shapes[band - 1]
    n_cols = -(-dataset.width // cols)
    n_blocks = -(-dataset.height // rows) * n_cols
    end = 0
    for block in range(max(0, n_blocks - _MOST_BLOCKS), n_blocks):
        place = f"{block % n_cols}_{block // n_cols}"
        offset = dataset.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band)
        size = dataset.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band)
        if offset and size:
            end = max(end, int(offset) + int(size))
    return end
