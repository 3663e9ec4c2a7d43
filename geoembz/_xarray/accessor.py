"""The accessor ``.geoembz`` of datasets that were opened from a store: search it, get data out.

Importing `geoembz._xarray.backend`, or opening a store with ``engine="geoembz"``, registers it.
"""

from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from geoembz._export import (
    ExportSummary,
    PreviewSummary,
    Sampled,
    TableExportSummary,
    export,
    preview,
    sample,
)
from geoembz._export.lookup import ViewOptions
from geoembz._export.patch import Patch, grid_over
from geoembz._export.region import Region, regions_of
from geoembz._geo import BBox
from geoembz._geo.grid import Grid
from geoembz._search import SearchResult, search
from geoembz._util import html
from geoembz._xarray.origin import Origin, origin
from geoembz._xarray.patch import grid_of, patch_dataset
from geoembz._xarray.tables import table_origin
from geoembz.store.table_writer import SAMPLE


class GeoembzAccessor:
    """Methods of a dataset that was opened with ``engine="geoembz"``.

    They read the store that the dataset came from, in the dataset's space, and only inside its
    extent: ``dataset.isel(y=slice(0, 512)).geoembz.preview("a.png")`` shows that part. A dataset
    that is something else by now (``concat``, ``roll``, ``copy(data=)``) is refused; one that was
    loaded is compared with the store first, so lazy ones are quicker.

    Parameters
    ----------
    dataset
        The dataset.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def __repr__(self) -> str:
        """Return what there is, a line each."""
        lines = (f"  .{name:<16} {text}" for name, text in self._methods())
        return "\n".join(["dataset.geoembz, of a store of embeddings:", *lines])

    def _repr_html_(self) -> str:
        """Show what there is in a notebook."""
        rows = [(f".{name}(…)", text) for name, text in self._methods()]
        return html.card("dataset.geoembz", html.table(rows))

    def _methods(self) -> list[tuple[str, str]]:
        methods = {name: getattr(type(self), name) for name in dir(self) if name[0] != "_"}
        return [(name, (each.__doc__ or "").partition("\n")[0]) for name, each in methods.items()]

    def sample(self, features: Any, **options: Any) -> Sampled:
        """Take the vectors at points, or the mean vector of each polygon.

        Parameters
        ----------
        features, options
            As in `geoembz.sample`, but for `space`, `components` and `bbox`, which are the
            dataset's.

        Raises
        ------
        InvalidConfigError
            If the dataset is not, or is no longer, what a store holds: see `_xarray.origin`.
        """
        found = origin(self._dataset)
        return sample(features=features, **_part(found), **found.view, **options)

    def preview(self, out: str | Path, **options: Any) -> PreviewSummary:
        """Write a picture; `options` as in `geoembz.preview`."""
        return preview(out=out, **_part(origin(self._dataset)), **options)

    def export(self, out: str | Path, **options: Any) -> ExportSummary | TableExportSummary:
        """Write a cloud-optimized GeoTIFF, or a table as GeoParquet.

        Parameters
        ----------
        out, options
            As in `geoembz.export`, but for what the dataset says: its space and components, and
            of a raster its extent and date.

        Raises
        ------
        InvalidConfigError
            If the dataset is no longer what a store holds, or has not all rows of its table.
        """
        if SAMPLE in self._dataset.dims:
            reader = table_origin(self._dataset, "export")
            view = self._dataset.variables["embedding"].encoding["view"]
            return export(reader, out, **view, **options)
        found = origin(self._dataset)
        return export(out=out, **_part(found), **found.view, **options)

    def search(
        self, query: ArrayLike, k: int = 10, metric: str | None = None, **options: Any
    ) -> SearchResult:
        """Find the dataset's pixels, or its table's rows, that are nearest to query vectors.

        Codes are compared as they are stored, whatever the dataset's space.

        Parameters
        ----------
        query, k, metric, options
            As in `geoembz.search`; a raster's extent and date are those of the dataset.

        Raises
        ------
        InvalidConfigError
            If the dataset is no longer what a store holds, or has not all rows of its table, or
            the query cannot work.
        NoValidPixelsError
            If no pixel of the dataset holds an embedding.
        """
        if SAMPLE in self._dataset.dims:
            return search(table_origin(self._dataset, "search"), query, k, metric, **options)
        found = origin(self._dataset)
        return search(query=query, k=k, metric=metric, **_part(found), **options)

    def reproject(
        self,
        crs: str,
        *,
        resolution: float | None = None,
        bbox: BBox | None = None,
        bbox_crs: str | None = None,
        chunks: Any = None,
    ) -> xr.Dataset:
        """Return the dataset on a grid of another CRS, looked up lazily, nothing interpolated.

        Parameters
        ----------
        crs, resolution, bbox, bbox_crs
            As in `geoembz.export`; without `bbox` the dataset's extent.
        chunks
            As in `geoembz.open_patch`.

        Raises
        ------
        InvalidConfigError
            If the dataset is no longer what a store holds, or the options cannot work.
        """
        found = origin(self._dataset)
        target = grid_over([_region(found)], crs, resolution, bbox, bbox_crs)
        return _on_grid(found, target, chunks)

    def reproject_match(
        self, match: str | Path | xr.Dataset | xr.DataArray, *, chunks: Any = None
    ) -> xr.Dataset:
        """Return the dataset on the grid of another one, as rioxarray's method of this name.

        Pixels are looked up lazily, and nothing is interpolated.

        Parameters
        ----------
        match
            xarray object with a CRS, or the path of a raster.
        chunks
            As in `geoembz.open_patch`.

        Raises
        ------
        InvalidConfigError
            If the dataset is no longer what a store holds, or the two do not meet.
        SourceError
            If `match` has no grid.
        """
        found = origin(self._dataset)
        return _on_grid(found, grid_of(match), chunks)

    def select(self, bbox: BBox, crs: str | None = None) -> xr.Dataset:
        """Select the rows of a table whose centres lie in a box, reading only chunks it meets.

        Parameters
        ----------
        bbox
            ``(xmin, ymin, xmax, ymax)``.
        crs
            CRS of `bbox`; None for the store's.

        Raises
        ------
        InvalidConfigError
            If the dataset was not opened from a table store, or its rows are not all of the
            table's, in order.
        """
        reader = table_origin(self._dataset, "select", compare=False)
        return self._dataset.isel({SAMPLE: reader.select(bbox, crs)})


def _region(found: Origin) -> Region:
    return Region(found.reader, found.window, found.date)


def _on_grid(found: Origin, target: Grid, chunks: Any) -> xr.Dataset:
    time = found.reader.dates[found.date] if found.reader.dates else None
    regions_of(found.reader, [found.reader], target.bbox, target.crs_wkt, time)  # or says where
    return patch_dataset(Patch(target, (_region(found),), ViewOptions(**found.view)), chunks)


def _part(found: Origin) -> dict[str, Any]:
    """Return a part of a store as the functions that read one take it."""
    date = found.reader.dates[found.date] if found.reader.dates else None
    return {"store": found.reader, "bbox": _inner_box(found), "time": date}


def _inner_box(found: Origin) -> BBox:
    """Return the extent of the origin's pixels, a quarter of a pixel inside its edge."""
    grid, window = found.reader.attributes.grid, found.window
    a, _, c, _, e, f = grid.transform
    x = sorted((c + a * (window.col + 0.25), c + a * (window.col + window.width - 0.25)))
    y = sorted((f + e * (window.row + 0.25), f + e * (window.row + window.height - 0.25)))
    return x[0], y[0], x[1], y[1]


def register() -> None:
    """Make ``dataset.geoembz`` available; once is enough, more does no harm."""
    if not hasattr(xr.Dataset, "geoembz"):
        xr.register_dataset_accessor("geoembz")(GeoembzAccessor)  # type: ignore[no-untyped-call]
