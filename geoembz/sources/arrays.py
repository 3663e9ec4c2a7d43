"""Plain arrays, in memory or in ``.npy`` and ``.npz`` files, that an option places on the Earth."""

import io
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from geoembz._objects.identity import display_name
from geoembz._objects.reading import read_range
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.options import ReadOptions
from geoembz.sources.raster import grid_like

if TYPE_CHECKING:
    import xarray as xr


_FAULTS = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error)
_NAMES = ("embedding", "embeddings")
_BAND, _ROW, _COLUMN = "band", "y", "x"
_AXES = {
    **dict.fromkeys(("band", "d", "c", "component", "dimension", "feature"), _BAND),
    **dict.fromkeys(("y", "row", "h", "height", "lat"), _ROW),
    **dict.fromkeys(("x", "col", "column", "w", "width", "lon"), _COLUMN),
}


class PlainArray(Protocol):
    """An array of NumPy, dask, PyTorch or another library that NumPy can take over."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...

    def __array__(self) -> NDArray[Any]:
        """Return the numbers as NumPy's."""
        ...


def is_array(value: object) -> bool:
    """Whether a value is a plain array: of NumPy, dask, PyTorch or others."""
    return hasattr(value, "__array__") and hasattr(value, "shape") and not hasattr(value, "grid")


def load_array(path: str) -> Any:
    """Open an array in a file; one in a local ``.npy`` stays there until it is read.

    Raises
    ------
    SourceError
        If there is none, or several of which none is called `embedding`.
    """
    name = display_name(path)
    if "://" in path:
        raise SourceError(
            f"{name}: arrays are read from local files only; expected a path; fetch it first"
        )
    try:
        if path.lower().endswith(".npy"):
            return npy_format.open_memmap(path, mode="r")
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return _member(name, archive)
    except FileNotFoundError as error:
        raise SourceError(f"{name}: no such file; expected an array (.npy or .npz)") from error
    except _FAULTS as error:
        raise SourceError(
            f"{name}: not an array that NumPy reads ({error}); expected numbers in .npy or .npz, "
            "no pickled objects; fetch it again"
        ) from error


def _member(name: str, archive: Any) -> Any:
    """Return the one array of an archive that can be an embedding."""
    shapes = {key: _shape(archive, key) for key in archive.files}
    named = [key for key in _NAMES if key in shapes]
    cubes = named or [key for key, shape in shapes.items() if len(shape) == 3]
    if len(cubes) != 1:
        found = ", ".join(f"{key} {shape}" for key, shape in shapes.items()) or "nothing"
        raise SourceError(
            f"{name}: holds {found}; expected one array with three axes, or one called "
            f"{' or '.join(_NAMES)}; save the one you mean alone"
        )
    return archive[cubes[0]]


def _shape(archive: Any, key: str) -> tuple[int, ...]:
    """Return the shape of a member without reading it."""
    with archive.zip.open(f"{key}.npy") as member:
        return _header(member)[0]


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether it is in Fortran order, and type of an array in ``.npy`` format."""
    first = npy_format.read_magic(stream) == (1, 0)
    read = npy_format.read_array_header_1_0 if first else npy_format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype


def place_array(array: Any, options: ReadOptions, name: str = "array") -> "xr.DataArray":
    """Return a plain array with named dimensions, to be opened where `options` say that it lies.

    Parameters
    ----------
    array
        Three axes: components, rows and columns, in the order of `ReadOptions.dims`.
    options
        Where it lies: rows run as those of the raster `like`, or as the transform says. `dims` are
        the names of the axes, such as ``"band,y,x"`` or ``("y", "x", "band")``; None where the
        shape of `like` tells them.
    name
        The array, for messages.

    Raises
    ------
    SourceError
        If the array has other axes, or `dims` are None and none has the raster's shape.
    InvalidConfigError
        If nothing says where it lies, or which axis is which.
    """
    import xarray as xr

    shape = tuple(int(size) for size in array.shape)
    if len(shape) != 3:
        raise SourceError(
            f"{name}: {len(shape)} axes {shape}; expected three: components, rows and columns"
        )
    if options.like is None and (options.transform is None or options.crs is None):
        raise InvalidConfigError(
            f"{name}: an array says nothing of where it lies; expected a raster of the same shape "
            "and place (--like RASTER), or a CRS and a transform (--crs and --transform)"
        )
    like = None if options.like is None else grid_like(options.like, name).shape
    dims = options.dims
    named = _named_axes(name, dims) if dims is not None else _axes_of(name, shape, like)
    values = array if isinstance(array, np.ndarray) or hasattr(array, "dask") else np.asarray(array)
    return xr.DataArray(values, dims=named, name=Path(name).stem or None)


def _named_axes(name: str, dims: str | Sequence[str]) -> tuple[str, ...]:
    given = dims.replace(",", " ").split() if isinstance(dims, str) else list(dims)
    named = tuple(_AXES.get(str(dim).lower(), "") for dim in given)
    if sorted(named) != sorted((_BAND, _ROW, _COLUMN)):
        raise InvalidConfigError(
            f"{name}: dims {dims!r}; expected the names of three axes in their order, such as "
            "band,y,x or y,x,band"
        )
    return named


def _axes_of(name: str, shape: tuple[int, ...], like: tuple[int, int] | None) -> tuple[str, ...]:
    """Tell the axes by the shape of a raster; never guess."""
    fits = []
    if shape[1:] == like:
        fits.append((_BAND, _ROW, _COLUMN))
    if shape[:2] == like:
        fits.append((_ROW, _COLUMN, _BAND))
    if len(fits) == 1:
        return fits[0]
    if like is not None and not fits:
        raise SourceError(
            f"{name}: shape {shape}; expected {like[0]} rows and {like[1]} columns, as "
            "the raster has that it is said to be like"
        )
    raise InvalidConfigError(
        f"{name}: shape {shape} does not tell which axis is which; say it with --dims band,y,x or "
        "--dims y,x,band"
    )


_HEADER_BYTES = 4096


class NpyArray:
    """A C-ordered array in a file; only the rows asked for are read.

    Parameters
    ----------
    path
        Local path or fsspec URL.

    Raises
    ------
    SourceError
        If it is no ``.npy`` file, holds objects, is in Fortran order, or is truncated.
    """

    def __init__(self, path: str) -> None:
        self.path, self.name = path, display_name(path)
        stream = io.BytesIO(read_range(path, 0, _HEADER_BYTES))
        try:
            self.shape, fortran, self.dtype = _header(stream)
        except ValueError as error:
            raise SourceError(f"{self.name}: not an .npy file ({error}); fetch it again") from error
        if fortran or self.dtype.hasobject:
            raise SourceError(
                f"{self.name}: {self.dtype} in Fortran order; expected plain numbers in C order"
            )
        self._start = stream.tell()
        size = Path(path).stat().st_size if "://" not in path else None
        needed = self._start + math.prod(self.shape) * self.dtype.itemsize
        if size is not None and size < needed:
            raise SourceError(
                f"{self.name}: truncated: {size:,} bytes of {needed:,}; fetch it again"
            )

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows ``[start, stop)`` of the first axis.

        Raises
        ------
        SourceError
            If the file ends too early.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        first, last = self._start + start * row_bytes, self._start + stop * row_bytes
        content = read_range(self.path, first, last)
        if len(content) != last - first:
            raise SourceError(f"{self.name}: truncated at rows {start} to {stop}; fetch it again")
        return np.frombuffer(content, self.dtype).reshape(stop - start, *self.shape[1:])
