"""Stores: layout, journal, writing and reading (spec/format.md)."""

from geoembz._objects.tree import ObjectTree
from geoembz.store.attributes import TableAttributes
from geoembz.store.documents import EMBEDDING, VALID, StorePlan
from geoembz.store.grids import write_root
from geoembz.store.journal import Journal
from geoembz.store.layout import ChunkLayout, Column, TablePlan, choose_layout, choose_rows
from geoembz.store.lock import DestinationLock, Fence
from geoembz.store.reader import StoreReader, View
from geoembz.store.source import StoreSource, is_store, open_store_sources
from geoembz.store.summary import RootInfo, StoreInfo, TableInfo, describe, describe_table, info
from geoembz.store.table_reader import TableReader
from geoembz.store.table_writer import TableWriter
from geoembz.store.writer import StoreWriter

__all__ = [
    "EMBEDDING",
    "VALID",
    "ChunkLayout",
    "Column",
    "DestinationLock",
    "Fence",
    "Journal",
    "ObjectTree",
    "RootInfo",
    "StoreInfo",
    "StorePlan",
    "StoreReader",
    "StoreSource",
    "StoreWriter",
    "TableAttributes",
    "TableInfo",
    "TablePlan",
    "TableReader",
    "TableWriter",
    "View",
    "choose_layout",
    "choose_rows",
    "describe",
    "describe_table",
    "info",
    "is_store",
    "open_store_sources",
    "write_root",
]
