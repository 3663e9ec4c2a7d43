"""Look at a GeoTIFF that was written: GDAL says nothing where the last bytes found no room."""

from pathlib import Path

from geoembz.errors import OutputError, SourceError
from geoembz.sources.gdal import open_gdal
from geoembz.sources.integrity import refuse_cut_off, refuse_truncated


def refuse_cut(written: Path, target: Path) -> None:
    """Refuse a GeoTIFF that ends before its tiles do.

    Parameters
    ----------
    written
        The file.
    target
        Its name for messages.

    Raises
    ------
    OutputError
        If it is cut.
    """
    try:
        refuse_cut_off(str(target), str(written))
        with open_gdal(str(written)) as raster:
            refuse_truncated(str(target), raster, str(written))
    except (SourceError, OSError) as error:
        raise OutputError(
            f"{target}: cannot be written (the file ends too early: the disk is full, or files may "
            "not be as large there); make room, or choose another place"
        ) from error
