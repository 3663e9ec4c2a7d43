"""Other software, each as a function that reads the array of a store and says where it lies.

A reader raises where it cannot read; what it gives otherwise is compared by `tests.interop.matrix`.
"""

import functools
import importlib.util
import json
import os
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.browsing import VIEW, browse, what_is_missing
from benchmarks.serving import serving
from tests.interop.kinds import KINDS, Kind, paths

_HERE = Path(__file__).parent


class NotHereError(Exception):
    """The software is not installed on this machine."""


@dataclass(frozen=True)
class Place:
    """Where a reader says that an array lies; what it does not tell is None.

    Parameters
    ----------
    transform
        Affine transform of its pixels, in rasterio's order.
    epsg
        Code of its CRS.
    nodata
        Value of pixels without data.
    """

    transform: tuple[float, ...] | None = None
    epsg: int | None = None
    nodata: float | None = None


type Read = tuple[NDArray[Any], Place]
type Reader = Callable[[Path, Kind], Read]


def zarr_python(store: Path, kind: Kind) -> Read:
    """Read with zarr-python alone; the codecs of geoembz are out of its sight."""
    import zarr

    return np.asarray(zarr.open_array(store / kind.group / "embedding", mode="r")[...]), Place()


def zarrs(store: Path, kind: Kind) -> Read:
    """Read with zarr-python, whose chunks the Rust library zarrs decodes."""
    import zarr

    if importlib.util.find_spec("zarrs") is None:
        raise NotHereError("zarrs: not installed; pip install zarrs")
    with (
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}),
        warnings.catch_warnings(action="error"),  # or it warns, and zarr-python reads
    ):
        return np.asarray(zarr.open_array(store / kind.group / "embedding", mode="r")[...]), Place()


def xarray(store: Path, kind: Kind) -> Read:
    """Read with ``xarray.open_zarr``, whose coordinates are those of pixel centres."""
    import xarray as xr

    with xr.open_zarr(store, group=kind.group or None, mask_and_scale=False) as opened:
        array = opened["embedding"].load()
    if kind.transform is None:
        return array.to_numpy(), Place()
    x, y = (opened[axis].to_numpy() for axis in ("x", "y"))
    step = (x[1] - x[0], y[1] - y[0])
    corner = (x[0] - step[0] / 2, y[0] - step[1] / 2)
    return array.to_numpy(), Place((step[0], 0.0, corner[0], 0.0, step[1], corner[1]))


def rioxarray(store: Path, kind: Kind) -> Read:
    """Read as xarray does, and ask rioxarray for CRS, transform and nodata."""
    import rioxarray  # noqa: F401 - registers .rio
    import xarray as xr

    options: dict[str, Any] = {"decode_coords": "all", "mask_and_scale": False}
    with xr.open_zarr(store, group=kind.group or None, **options) as opened:
        array = opened["embedding"].load()
    if kind.transform is None:
        return array.to_numpy(), Place(epsg=opened.rio.crs.to_epsg())
    rio = array.rio
    place = Place(tuple(rio.transform())[:6], rio.crs.to_epsg(), rio.nodata)
    return array.to_numpy(), place


def gdal(store: Path, kind: Kind) -> Read:
    """Read with GDAL, the one in rasterio's wheels: slices of leading axes are bands or arrays."""
    import rasterio

    if kind.dates:
        parts = [_gdal(rasterio, store, kind, f":{date}") for date in range(2)]
        return np.stack([values for values, _ in parts]), parts[0][1]
    return _gdal(rasterio, store, kind, "")


def _gdal(rasterio: Any, store: Path, kind: Kind, suffix: str) -> Read:
    name = "/".join(("", *kind.group.split("/"), "embedding")).replace("//", "/")
    with rasterio.open(f'ZARR:"{store}":{name}{suffix}') as raster:
        place = Place(tuple(raster.transform)[:6], raster.crs.to_epsg(), raster.nodata)
        return raster.read(), place


def tensorstore(store: Path, kind: Kind) -> Read:
    """Read with TensorStore."""
    try:
        import tensorstore as ts
    except ImportError:
        raise NotHereError("tensorstore: not installed; pip install tensorstore") from None
    where = {"driver": "file", "path": str(store / kind.group / "embedding")}
    return ts.open({"driver": "zarr3", "kvstore": where}).result().read().result(), Place()


def zarrita(store: Path, kind: Kind) -> Read:
    """Read with zarrita in Node.js, over HTTP."""
    if missing := what_is_missing(browser=False):
        raise NotHereError(missing)
    found = _read_by_zarrita(store.parent)[kind.name]
    if "error" in found:
        raise RuntimeError(found["error"])
    return np.asarray(found["data"], found["dtype"]).reshape(found["shape"]), Place()


@functools.cache
def _read_by_zarrita(folder: Path) -> dict[str, Any]:
    """Return what one Node.js read of all stores in a folder."""
    script = _bundle("zarrita.mjs", folder)
    with serving(folder) as served:
        urls = _urls(served.url, folder)
        done = subprocess.run(
            ["node", script, *urls.values()], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return dict(zip(urls, json.loads(done.stdout), strict=True))


def _urls(root: str, folder: Path) -> dict[str, str]:
    return {
        name: f"{root}/{store.name}/{KINDS[name].group}".rstrip("/")
        for name, store in paths(folder).items()
    }


def openlayers(store: Path, kind: Kind) -> Read:
    """Read in Chromium with OpenLayers' source for GeoZarr, the first of its codes alone."""
    if missing := what_is_missing():
        raise NotHereError(missing)
    found = _seen_by_openlayers(store.parent)[kind.name]
    if "error" in found:
        raise RuntimeError(found["error"])
    values = np.asarray(found["data"], np.float64).reshape(found["shape"])
    return values, Place(tuple(found["transform"]), found["epsg"])


@functools.cache
def _seen_by_openlayers(folder: Path) -> dict[str, Any]:
    """Return what one browser read of all stores in a folder: it takes seconds to start."""
    script = _bundle("openlayers.mjs", folder)
    (folder / "openlayers.html").write_text(f'<script type="module" src="{script.name}"></script>')
    with serving(folder) as served:
        rasters = [
            (name, url) for name, url in _urls(served.url, folder).items() if KINDS[name].transform
        ]
        asked = [json.dumps([url, KINDS[name].dates]) for name, url in rasters]
        steps = [{"evaluate": f"return await openlayers({one})"} for one in asked]
        seen = browse(f"{served.url}/openlayers.html", steps)
    return dict(zip((name for name, _ in rasters), seen.results, strict=True))


def _bundle(script: str, folder: Path) -> Path:
    """Bundle a script with the viewer's packages, which Node finds nowhere else."""
    target = folder / f"{script}.js"
    if not target.exists():
        platform = "node" if script == "zarrita.mjs" else "browser"
        where = ["--bundle", f"--platform={platform}", f"--outfile={target}", "--log-level=error"]
        done = subprocess.run(
            ["npx", "esbuild", str(_HERE / script), *where, "--format=esm"],
            cwd=VIEW,
            env={**os.environ, "NODE_PATH": str(VIEW / "node_modules")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return target


@dataclass(frozen=True)
class Software:
    """What reads.

    Parameters
    ----------
    read
        Reads a store.
    version
        Its version here.
    tells_place
        Whether it says where an array lies.
    map_only
        Whether it shows rasters only, the first code of each pixel, and 0 for NaN.
    """

    read: Reader
    version: Callable[[], str]
    tells_place: bool = False
    map_only: bool = False


def _package(name: str) -> Callable[[], str]:
    return lambda: version(name)


def _gdal_version() -> str:
    import rasterio

    return str(rasterio.__gdal_version__)


def _npm(name: str) -> Callable[[], str]:
    packages = json.loads((VIEW / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return lambda: str(packages[name])


SOFTWARE = {
    "zarr-python": Software(zarr_python, _package("zarr")),
    "xarray": Software(xarray, _package("xarray"), tells_place=True),
    "rioxarray": Software(rioxarray, _package("rioxarray"), tells_place=True),
    "GDAL (rasterio)": Software(gdal, _gdal_version, tells_place=True),
    "TensorStore": Software(tensorstore, _package("tensorstore")),
    "zarrs": Software(zarrs, _package("zarrs")),
    "zarrita (Node.js)": Software(zarrita, _npm("zarrita")),
    "OpenLayers (Chromium)": Software(openlayers, _npm("ol"), tells_place=True, map_only=True),
}
