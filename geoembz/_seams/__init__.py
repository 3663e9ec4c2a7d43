"""Steps where tiles, shards and zones meet, against steps inside them."""

from geoembz._seams.report import BorderStep, ModelWindows, OutlierTile, SeamReport
from geoembz._seams.run import check_seams

__all__ = ["BorderStep", "ModelWindows", "OutlierTile", "SeamReport", "check_seams"]
