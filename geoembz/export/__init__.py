"""Get data out of a store: vectors at places, a picture, a GeoTIFF."""

from geoembz.export.cog import ExportSummary, export
from geoembz.export.preview import PreviewSummary, preview
from geoembz.export.sample import Sampled, sample
from geoembz.export.table import TableExportSummary, export_table

__all__ = [
    "ExportSummary",
    "PreviewSummary",
    "Sampled",
    "TableExportSummary",
    "export",
    "export_table",
    "preview",
    "sample",
]
