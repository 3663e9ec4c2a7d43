"""Convert a source of embeddings to a store."""

from geoembz._convert.append import append
from geoembz._convert.basis import load_basis, save_basis
from geoembz._convert.fitting import fit
from geoembz._convert.options import FitOptions, StorageOptions
from geoembz._convert.overviews import overviews
from geoembz._convert.repack import repack
from geoembz._convert.run import convert
from geoembz._convert.summary import (
    AppendSummary,
    ConvertSummary,
    LevelSummary,
    OverviewsSummary,
    UpdateSummary,
)
from geoembz._convert.update import update

__all__ = [
    "AppendSummary",
    "ConvertSummary",
    "FitOptions",
    "LevelSummary",
    "OverviewsSummary",
    "StorageOptions",
    "UpdateSummary",
    "append",
    "convert",
    "fit",
    "load_basis",
    "overviews",
    "repack",
    "save_basis",
    "update",
]
