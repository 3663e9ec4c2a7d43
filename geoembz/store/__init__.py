"""Stores: layout, journal, writing and reading (spec/format.md)."""

from geoembz.store.coverage import shard_coverage
from geoembz.store.coverage_result import CoverageReport, ShardCoverage
from geoembz.store.map_info import MapInfo
from geoembz.store.reader import StoreReader, View
from geoembz.store.summary import LevelInfo, RootInfo, StoreInfo, TableInfo, info
from geoembz.store.table_reader import TableReader

__all__ = [
    "CoverageReport",
    "LevelInfo",
    "MapInfo",
    "RootInfo",
    "ShardCoverage",
    "StoreInfo",
    "StoreReader",
    "TableInfo",
    "TableReader",
    "View",
    "info",
    "shard_coverage",
]
