"""The accessor ``.geoembz`` of datasets that were opened from a store: get data out.

Importing `geoembz.xarray_backend`, or opening a store with ``engine="geoembz"``, registers it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoembz.conventions import TIME
from geoembz.errors import InvalidConfigError
from geoembz.export import ExportSummary, PreviewSummary, Sampled, export, preview, sample
from geoembz.export.region import BBox, transformed_bbox
from geoembz.store.tables import TableReader
from geoembz.store.tables.documents import SAMPLE


class GeoembzAccessor:
    """Methods of a dataset that was opened with ``engine="geoembz"``.

    They read the store that the dataset came from, in the dataset's space, and only inside its
    extent: ``dataset.isel(y=slice(0, 512)).geoembz.preview("a.png")`` shows that part.

    Parameters
    ----------
    dataset
        The dataset.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def sample(self, features: Any, **options: Any) -> Sampled:
        """Take the vectors at points, or the mean vector of each polygon.

        Parameters
        ----------
        features, options
            As in `geoembz.export.sample`, but for `space`, `components` and `bbox`, which are the
            dataset's.

        Raises
        ------
        InvalidConfigError
            If the dataset does not come from a store, or has no `x` and `y` any more.
        """
        return sample(
            self._origin()["source"],
            features,
            **self._part(),
            **self._origin()["view"],
            **options,
        )

    def preview(self, out: str | Path, **options: Any) -> PreviewSummary:
        """Write a picture; `options` as in `geoembz.export.preview`."""
        return preview(self._origin()["source"], out, **self._part(), **options)

    def export(self, out: str | Path, **options: Any) -> ExportSummary:
        """Write a cloud-optimized GeoTIFF; `options` as in `geoembz.export.export`."""
        return export(
            self._origin()["source"],
            out,
            **self._part(),
            **self._origin()["view"],
            **options,
        )

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
            If the dataset is none of a table, or some of its rows were selected before.
        """
        reader = TableReader.open(self._origin()["source"])
        if self._dataset.sizes.get(SAMPLE) != reader.n_rows:
            raise InvalidConfigError(
                "geoembz: select takes the whole table; select by place first, then by other things"
            )
        wkt = reader.attributes.crs_wkt
        box = bbox if crs is None else transformed_bbox(bbox, crs, wkt)
        return self._dataset.isel({SAMPLE: reader.select(box)})

    def _origin(self) -> dict[str, Any]:
        """Return `source` and `view`, which a computed variable has no more."""
        variable = self._dataset.variables.get("embedding")
        origin: dict[str, Any] = {} if variable is None else variable.encoding
        if not {"source", "view"} <= set(origin):
            raise InvalidConfigError(
                "geoembz: this dataset does not know its store (what arithmetic made holds other "
                "numbers); use .geoembz on what geoembz.open returned, or on a selection of it"
            )
        return origin

    def _part(self) -> dict[str, Any]:
        """Return box and date of the dataset, as the functions take them."""
        part: dict[str, Any] = {"bbox": self._bbox()}
        if TIME in self._dataset.coords:
            times = np.atleast_1d(self._dataset[TIME].to_numpy())
            if len(times) != 1:
                raise InvalidConfigError(
                    f"geoembz: {len(times)} dates; choose one, such as dataset.sel(time='2024')"
                )
            part["time"] = str(times[0].astype("datetime64[D]"))
        return part

    def _bbox(self) -> BBox:
        """Return the extent of the dataset's pixels, half a pixel inside its edge."""
        if not {"x", "y"} <= set(self._dataset.dims):
            raise InvalidConfigError(
                f"geoembz: dimensions {', '.join(map(str, self._dataset.dims))}; expected x and y; "
                "select with slices, which keep them"
            )
        if not self._dataset.sizes["x"] or not self._dataset.sizes["y"]:
            raise InvalidConfigError("geoembz: the dataset has no pixel; select a larger part")
        x, y = (self._dataset[axis].to_numpy() for axis in "xy")
        steps = [float(abs(step)) for step in self._transform()]
        return (
            float(x.min()) - steps[0] / 4,
            float(y.min()) - steps[1] / 4,
            float(x.max()) + steps[0] / 4,
            float(y.max()) + steps[1] / 4,
        )

    def _transform(self) -> tuple[float, float]:
        a, _, _, _, e, _ = self._dataset.attrs["spatial:transform"]
        return float(a), float(e)


def register() -> None:
    """Make ``dataset.geoembz`` available; once is enough, more does no harm."""
    if not hasattr(xr.Dataset, "geoembz"):
        xr.register_dataset_accessor("geoembz")(GeoembzAccessor)  # type: ignore[no-untyped-call]
