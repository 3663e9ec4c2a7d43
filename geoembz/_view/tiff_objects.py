"""A map in a GeoTIFF as the objects of the Zarr group that it would be (spec/map.md).

The page reads one format. Nothing is written: a chunk is a window of the file, or of one of its
overviews, read when it is asked for.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import zarr_cm

from geoembz._geo.grid import Window
from geoembz.errors import StoreError
from geoembz.sources.gdal import gdal_environment, new_token, open_gdal, open_handle
from geoembz.store.attributes import place_attributes
from geoembz.store.digests import ROOT
from geoembz.store.maps import ATTRIBUTE, BAND, MAP, MapDocument

_SIDE = 256
"""Of a chunk, in pixels: that of the page's tiles."""

_CHUNK = re.compile(rf"(?:overviews/(\d+)/)?{MAP}/c/(\d+)/(\d+)/(\d+)")


@dataclass(frozen=True)
class TiffObjects:
    """The objects of a map in a GeoTIFF.

    Parameters
    ----------
    path
        Of the file, or its URL.
    document
        What it says of itself.
    """

    path: str
    document: MapDocument

    @classmethod
    def open(cls, path: str) -> Self:
        """Look at a file.

        Raises
        ------
        StoreError
            If it is no map.
        """
        document = MapDocument.of_tiff(path)
        if document is None:
            raise StoreError(
                f"{path}: a GeoTIFF, but no map that `geoembz map` made; expected a store, or such "
                "a map; GIS programs show other rasters"
            )
        return cls(path, document)

    def is_below(self, key: str) -> bool:  # noqa: ARG002 - there is one file, and no link
        """Whether an object is one of the file's."""
        return True

    def size(self, key: str) -> int | None:
        """Return the size of an object, in bytes; None where there is none."""
        found = self.read(key)
        return None if found is None else len(found)

    def read_part(self, key: str, start: int, stop: int | None = None) -> bytes | None:
        """Return bytes ``[start, stop)`` of an object."""
        found = self.read(key)
        return None if found is None else found[start:stop]

    def read(self, key: str) -> bytes | None:
        """Return an object: the metadata, or a chunk; None where there is none."""
        if key == ROOT:
            return json.dumps(self.root).encode()
        match = _CHUNK.fullmatch(key)
        factor = int(match[1] or 1) if match else 0
        if match is None or factor not in self.factors:
            return None
        band, row, col = (int(number) for number in match.groups()[1:])
        shape = self._level_shape(factor)
        if not (band < self.count and row * _SIDE < shape[0] and col * _SIDE < shape[1]):
            return None
        return self._read_chunk(factor, band, row, col)

    @cached_property
    def factors(self) -> tuple[int, ...]:
        """How coarse the file's levels are, 1 being the full resolution."""
        with self._open() as dataset:
            return (1, *dataset.overviews(1))

    @cached_property
    def count(self) -> int:
        """Number of bands."""
        return int(self._dataset(1).count)

    @cached_property
    def root(self) -> dict[str, Any]:
        """The group's metadata, with those of its arrays."""
        grid, about = self.document.grid, dict(self.document.about)
        place = dict(zarr_cm.create_many(place_attributes(grid)))  # type: ignore[arg-type]
        levels = [
            {
                "asset": MAP if factor == 1 else f"overviews/{factor}",
                "transform": {"scale": [float(factor)] * 2},
                "spatial:shape": list(self._level_shape(factor)),
            }
            for factor in self.factors
        ]
        attributes = {**place, ATTRIBUTE: about, "multiscales": {"layout": levels}}
        nodes = {MAP: self._describe(1)}
        for factor in self.factors[1:]:
            folder = f"overviews/{factor}"
            nodes |= {"overviews": _group({}), folder: _group({})}
            nodes[f"{folder}/{MAP}"] = self._describe(factor)
        listed = {"kind": "inline", "must_understand": False, "metadata": nodes}
        return {**_group(attributes), "consolidated_metadata": listed}

    def _describe(self, factor: int) -> Mapping[str, Any]:
        """Return the metadata of a level's array."""
        dataset = self._dataset(1)
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [dataset.count, *self._level_shape(factor)],
            "data_type": dataset.dtypes[0],
            "fill_value": self.document.about["nodata"],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, _SIDE, _SIDE]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "dimension_names": [BAND, "y", "x"],
            "attributes": {},
        }

    def _read_chunk(self, factor: int, band: int, row: int, col: int) -> bytes:
        """Read a window of a band; what lies beyond the file's edge is nodata."""
        from rasterio.windows import Window as Part

        dataset = self._dataset(factor)
        asked = Window(row * _SIDE, col * _SIDE, _SIDE, _SIDE)
        held = asked.intersection(Window(0, 0, dataset.height, dataset.width))
        assert held is not None  # noqa: S101 - `read` has looked
        chunk = np.full(asked.shape, float(self.document.about["nodata"]), dataset.dtypes[0])
        part = Part(held.col, held.row, held.width, held.height)
        with gdal_environment(self.path):
            chunk[: held.height, : held.width] = dataset.read(band + 1, window=part)
        return chunk.astype(chunk.dtype.newbyteorder("<")).tobytes()

    def _level_shape(self, factor: int) -> tuple[int, int]:
        shape: tuple[int, int] = self._dataset(factor).shape
        return shape

    def _dataset(self, factor: int) -> Any:
        """Return this thread's open file, at one of its levels."""
        number = self.factors.index(factor)
        overview = None if number == 0 else number - 1
        return open_handle(self._tokens[number], lambda: self._open(overview))

    @cached_property
    def _tokens(self) -> tuple[int, ...]:
        """Names of the levels among the files that a thread keeps open."""
        return tuple(new_token() for _ in self.factors)

    def _open(self, overview: int | None = None) -> Any:
        with gdal_environment(self.path):
            return open_gdal(self.path, overview)


def _group(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
