"""Find files that are empty, and GeoTIFFs that end too early, before anything is read from them."""

from pathlib import Path
from typing import Any, Literal

from geoembz.errors import SourceError

_MOST_BLOCKS = 4096
_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}


def refuse_cut_off(name: str, path: str) -> None:
    """Refuse a local file that is empty, or a TIFF whose first directory lies behind its end.

    GDAL calls both no raster, which sends the user looking for another mistake.

    Raises
    ------
    SourceError
        If the file is empty or truncated.
    """
    local = Path(path)
    if not local.is_file():
        return
    size = local.stat().st_size
    if not size:
        raise SourceError(f"{name}: empty (0 bytes), not a raster; fetch it again")
    needed = _directory_end(local, size)
    if needed > size:
        raise SourceError(
            f"{name}: truncated: its directory ends at byte {needed:,} or later, the file at "
            f"{size:,}; fetch it again"
        )


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


def _directory_end(path: Path, size: int) -> int:
    """Return where a TIFF's first directory ends at the least; 0 where the file is no TIFF."""
    with path.open("rb") as file:
        head = file.read(16)
        order, version = _BYTE_ORDERS.get(head[:2]), head[2:4]
        if order is None or int.from_bytes(version, order) not in {42, 43}:
            return 0
        is_big = int.from_bytes(version, order) == 43
        count_size, entry_size = (8, 20) if is_big else (2, 12)
        start = int.from_bytes(head[8:16] if is_big else head[4:8], order)
        if start > size:
            return start
        file.seek(start)
        count = file.read(count_size)
    n_entries = int.from_bytes(count, order) if len(count) == count_size else 0
    return start + count_size + n_entries * entry_size


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
