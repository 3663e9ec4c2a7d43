"""Get data out of a store: vectors at places, a picture, a GeoTIFF."""

from geoembz._export.cog import ExportSummary, export_cog
from geoembz._export.preview import PreviewSummary, preview
from geoembz._export.run import export
from geoembz._export.sample import Sampled, sample
from geoembz._export.table import TableExportSummary, export_table

__all__ = [
    "ExportSummary",
    "PreviewSummary",
    "Sampled",
    "TableExportSummary",
    "export",
    "export_cog",
    "export_table",
    "preview",
    "sample",
]
