"""Stores: layout, journal, writing and reading (spec/format.md)."""

from geoembz.store.documents import StorePlan
from geoembz.store.info import StoreInfo, describe
from geoembz.store.journal import Journal
from geoembz.store.layout import ChunkLayout, choose_layout
from geoembz.store.lock import DestinationLock
from geoembz.store.objects import ObjectTree
from geoembz.store.reader import StoreReader, View
from geoembz.store.writer import StoreWriter

__all__ = [
    "ChunkLayout",
    "DestinationLock",
    "Journal",
    "ObjectTree",
    "StoreInfo",
    "StorePlan",
    "StoreReader",
    "StoreWriter",
    "View",
    "choose_layout",
    "describe",
]
