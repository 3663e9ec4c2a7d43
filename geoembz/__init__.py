"""geoembz: compress Earth embeddings into cloud-native Zarr stores that any Zarr reader opens.

The names below are loaded when they are first used, so that ``import geoembz`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoembz._version import __version__ as __version__

if TYPE_CHECKING:  # for type checkers and editors; tests hold this equal to `_HOMES`
    from geoembz import _demo
    from geoembz._convert.append import append as append
    from geoembz._convert.basis import load_basis as load_basis
    from geoembz._convert.basis import save_basis as save_basis
    from geoembz._convert.fitting import fit as fit
    from geoembz._convert.options import FitOptions as FitOptions
    from geoembz._convert.options import StorageOptions as StorageOptions
    from geoembz._convert.overviews import overviews as overviews
    from geoembz._convert.repack import repack as repack
    from geoembz._convert.run import convert as convert
    from geoembz._convert.summary import AppendSummary as AppendSummary
    from geoembz._convert.summary import ConvertSummary as ConvertSummary
    from geoembz._convert.summary import LevelSummary as LevelSummary
    from geoembz._convert.summary import OverviewsSummary as OverviewsSummary
    from geoembz._convert.summary import UpdateSummary as UpdateSummary
    from geoembz._convert.update import update as update
    from geoembz._cost import CostEstimate as CostEstimate
    from geoembz._cost import CostOptions as CostOptions
    from geoembz._cost import CostReport as CostReport
    from geoembz._cost import cost as cost
    from geoembz._demo import DemoFiles as DemoFiles
    from geoembz._demo import DemoResult as DemoResult
    from geoembz._demo import run_demo as run_demo
    from geoembz._demo import write_demo as write_demo
    from geoembz._evaluate import Evaluation as Evaluation
    from geoembz._evaluate import ExperimentOptions as ExperimentOptions
    from geoembz._evaluate import Plan as Plan
    from geoembz._evaluate import evaluate as evaluate
    from geoembz._evaluate import plan as plan
    from geoembz._evaluate.evaluation import record_in_store as record_in_store
    from geoembz._evaluate.report import write_report as write_report
    from geoembz._export import ExportSummary as ExportSummary
    from geoembz._export import PreviewSummary as PreviewSummary
    from geoembz._export import Sampled as Sampled
    from geoembz._export import TableExportSummary as TableExportSummary
    from geoembz._export import export as export
    from geoembz._export import preview as preview
    from geoembz._export import sample as sample
    from geoembz._geo.grid import Grid as Grid
    from geoembz._geo.grid import Window as Window
    from geoembz._index import IndexSummary as IndexSummary
    from geoembz._index import StoreIndex as StoreIndex
    from geoembz._index import index as index
    from geoembz._index import open_index as open_index
    from geoembz._map import ClusterMap as ClusterMap
    from geoembz._map import MapSummary as MapSummary
    from geoembz._map import ModelMap as ModelMap
    from geoembz._map import TrainingOptions as TrainingOptions
    from geoembz._map import map_change as map_change
    from geoembz._map import map_classify as map_classify
    from geoembz._map import map_cluster as map_cluster
    from geoembz._map import map_regress as map_regress
    from geoembz._map import map_similar as map_similar
    from geoembz._objects.explain import Explanation as Explanation
    from geoembz._objects.explain import explain as explain
    from geoembz._predict import AppliedModel as AppliedModel
    from geoembz._predict import apply_model as apply_model
    from geoembz._publish import PublishReport as PublishReport
    from geoembz._publish import publish as publish
    from geoembz._seams import BorderStep as BorderStep
    from geoembz._seams import ModelWindows as ModelWindows
    from geoembz._seams import OutlierTile as OutlierTile
    from geoembz._seams import SeamReport as SeamReport
    from geoembz._seams import check_seams as check_seams
    from geoembz._search import CoarseSearch as CoarseSearch
    from geoembz._search import SearchResult as SearchResult
    from geoembz._search import search as search
    from geoembz._search import vectors_at as vectors_at
    from geoembz._train import Patches as Patches
    from geoembz._train import Pixels as Pixels
    from geoembz._train import Polygons as Polygons
    from geoembz._train import patches as patches
    from geoembz._train import pixels as pixels
    from geoembz._train import polygons as polygons
    from geoembz._util.dry_run import DryRun as DryRun
    from geoembz._util.dry_run import dry_run as dry_run
    from geoembz._util.progress import show_progress as show_progress
    from geoembz._verify import Verification as Verification
    from geoembz._verify import verify as verify
    from geoembz._view import Viewer as Viewer
    from geoembz._view import view as view
    from geoembz._write import Writer as Writer
    from geoembz._write import create as create
    from geoembz._write import extend as extend
    from geoembz._xarray.backend import open_store
    from geoembz._xarray.patch import open_patch as open_patch
    from geoembz.encoding import Encoding as Encoding
    from geoembz.encoding import Fitter as Fitter
    from geoembz.encoding import Recipe as Recipe
    from geoembz.errors import BasisWarning as BasisWarning
    from geoembz.errors import GeoembzError as GeoembzError
    from geoembz.sources import Layer as Layer
    from geoembz.sources import ReadOptions as ReadOptions
    from geoembz.sources import Source as Source
    from geoembz.sources import open_source as open_source
    from geoembz.store import CoverageReport as CoverageReport
    from geoembz.store import LevelInfo as LevelInfo
    from geoembz.store import MapInfo as MapInfo
    from geoembz.store import RootInfo as RootInfo
    from geoembz.store import ShardCoverage as ShardCoverage
    from geoembz.store import StoreInfo as StoreInfo
    from geoembz.store import StoreReader as StoreReader
    from geoembz.store import TableInfo as TableInfo
    from geoembz.store import TableReader as TableReader
    from geoembz.store import info as info
    from geoembz.store import shard_coverage as shard_coverage

    demo = _demo
    open = open_store  # noqa: A001 - geoembz.open is the API

_ROOMS = {
    "_convert.append": ("append",),
    "_convert.basis": ("load_basis", "save_basis"),
    "_convert.fitting": ("fit",),
    "_convert.options": ("FitOptions", "StorageOptions"),
    "_convert.overviews": ("overviews",),
    "_convert.repack": ("repack",),
    "_convert.run": ("convert",),
    "_convert.summary": (
        "AppendSummary", "ConvertSummary", "LevelSummary", "OverviewsSummary", "UpdateSummary",
    ),
    "_convert.update": ("update",),
    "_cost": ("CostEstimate", "CostOptions", "CostReport", "cost"),
    "_demo": ("DemoFiles", "DemoResult", "run_demo", "write_demo"),
    "_evaluate": ("Evaluation", "ExperimentOptions", "Plan", "evaluate", "plan"),
    "_evaluate.evaluation": ("record_in_store",),
    "_evaluate.report": ("write_report",),
    "_export": (
        "ExportSummary", "PreviewSummary", "Sampled", "TableExportSummary", "export", "preview",
        "sample",
    ),
    "_geo.grid": ("Grid", "Window"),
    "_index": ("IndexSummary", "StoreIndex", "index", "open_index"),
    "_map": (
        "ClusterMap", "MapSummary", "ModelMap", "TrainingOptions", "map_change", "map_classify",
        "map_cluster", "map_regress", "map_similar",
    ),
    "_objects.explain": ("Explanation", "explain"),
    "_predict": ("AppliedModel", "apply_model"),
    "_publish": ("PublishReport", "publish"),
    "_search": ("CoarseSearch", "SearchResult", "search", "vectors_at"),
    "_seams": ("BorderStep", "ModelWindows", "OutlierTile", "SeamReport", "check_seams"),
    "_train": ("Patches", "Pixels", "Polygons", "patches", "pixels", "polygons"),
    "_util.dry_run": ("DryRun", "dry_run"),
    "_util.progress": ("show_progress",),
    "_verify": ("Verification", "verify"),
    "_view": ("Viewer", "view"),
    "_write": ("Writer", "create", "extend"),
    "_xarray.patch": ("open_patch",),
    "encoding": ("Encoding", "Fitter", "Recipe"),
    "errors": ("BasisWarning", "GeoembzError"),
    "sources": ("Layer", "ReadOptions", "Source", "open_source"),
    "store": (
        "CoverageReport", "LevelInfo", "MapInfo", "RootInfo", "ShardCoverage", "StoreInfo",
        "StoreReader", "TableInfo", "TableReader", "info", "shard_coverage",
    ),
}  # fmt: skip
"""The public names by the room that each is loaded from."""

_HOMES = {name: (room, name) for room, names in _ROOMS.items() for name in names}
_HOMES |= {"open": ("_xarray.backend", "open_store"), "demo": ("_demo", "")}

_FORMER = {"FoldedModel": "AppliedModel", "fold": "apply_model"}
"""Names that were replaced, and those that took their place."""

__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604 - all of them are strings


if not TYPE_CHECKING:  # to which every misspelt name would be there, too

    def __getattr__(name: str) -> Any:
        """Load a public name on first use."""
        if name in _FORMER:
            import warnings

            warnings.warn(
                f"geoembz.{name} is now geoembz.{_FORMER[name]}; the old name goes with release "
                "0.3",
                DeprecationWarning,
                stacklevel=2,
            )
            return __getattr__(_FORMER[name])
        if name not in _HOMES:
            raise AttributeError(f"module 'geoembz' has no attribute {name!r}")
        room, attribute = _HOMES[name]
        module = import_module(f"geoembz.{room}")
        value = globals()[name] = getattr(module, attribute) if attribute else module
        return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
