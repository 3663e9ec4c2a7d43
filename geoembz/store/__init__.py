"""Stores: layout, journal, writing and reading (spec/format.md)."""

from geoembz.store.map_info import MapInfo
from geoembz.store.reader import StoreReader, View
from geoembz.store.summary import LevelInfo, RootInfo, StoreInfo, TableInfo, info
from geoembz.store.table_reader import TableReader

__all__ = [
    "LevelInfo",
    "MapInfo",
    "RootInfo",
    "StoreInfo",
    "StoreReader",
    "TableInfo",
    "TableReader",
    "View",
    "info",
]
