"""Stores: layout, journal, writing and reading (spec/format.md)."""

from geoembz._objects.tree import ObjectTree
from geoembz.store.documents import EMBEDDING, VALID, StorePlan
from geoembz.store.info import RootInfo, StoreInfo, describe, info
from geoembz.store.journal import Journal
from geoembz.store.layout import ChunkLayout, choose_layout
from geoembz.store.lock import DestinationLock, Fence
from geoembz.store.reader import StoreReader, View
from geoembz.store.root import write_root
from geoembz.store.source import StoreSource, is_store, open_store_sources
from geoembz.store.writer import StoreWriter

__all__ = [
    "EMBEDDING",
    "VALID",
    "ChunkLayout",
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
    "View",
    "choose_layout",
    "describe",
    "info",
    "is_store",
    "open_store_sources",
    "write_root",
]
