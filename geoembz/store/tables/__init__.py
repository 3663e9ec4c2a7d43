"""Stores of tables: one vector per point, box or polygon (spec/table.md)."""

from geoembz.store.tables.attributes import TableAttributes
from geoembz.store.tables.info import TableInfo, describe_table
from geoembz.store.tables.plan import Column, TablePlan, choose_rows
from geoembz.store.tables.reader import TableReader
from geoembz.store.tables.writer import TableWriter

__all__ = [
    "Column",
    "TableAttributes",
    "TableInfo",
    "TablePlan",
    "TableReader",
    "TableWriter",
    "choose_rows",
    "describe_table",
]
