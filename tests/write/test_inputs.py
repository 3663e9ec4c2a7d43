"""What `Writer.write` and `create` take, and what they refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Encoding, Grid, Layer, Window
from geoembz.errors import DestinationExistsError, GeoembzError, InvalidConfigError, StoreError
from geoembz.sources.georeference import same_pixels
from tests.conftest import DEFAULT_TRANSFORM
from tests.trees import objects
from tests.write.conftest import SIZES, Begin, fill, shards_of

WINDOW = Window(16, 16, 8, 10)


class Tensor:
    """A tensor of PyTorch, by what NumPy sees of it: its array is refused while it has a gradient.

    NumPy has no bfloat16, and neither form of exchange gives one.
    """

    def __init__(self, values: NDArray[Any], dtype: str, *, has_gradient: bool = True) -> None:
        self.values, self.dtype, self.has_gradient = values, f"torch.{dtype}", has_gradient
        self.shape = values.shape

    def detach(self) -> "Tensor":
        return Tensor(self.values, self.dtype.removeprefix("torch."), has_gradient=False)

    def float(self) -> "Tensor":
        return Tensor(self.values.astype(np.float32), "float32", has_gradient=self.has_gradient)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self.has_gradient:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if "bfloat16" in self.dtype:
            raise TypeError("Got unsupported ScalarType BFloat16")
        if "cuda" in self.dtype:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.values


class Exported:
    """An array of a library that has no `__array__`."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


FORMS = {
    "components first": lambda v: v,
    "components last": lambda v: np.moveaxis(v, 0, -1),
    "in Fortran order": np.asfortranarray,
    "float64": lambda v: v.astype(np.float64),
    "a tensor": lambda v: Tensor(v, "float32"),
    "a tensor of bfloat16": lambda v: Tensor(v, "bfloat16"),
    "by dlpack": Exported,
    "masked": np.ma.masked_invalid,
    "lists": lambda v: v.tolist(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_arrays_of_any_library(
    form: Any,
    begin: Begin,
    vectors: NDArray[np.float32],
    converted: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """All give the same codes."""
    with begin() as writer:
        writer.write(WINDOW, form(vectors[:, *WINDOW.slices]))
        fill(writer, vectors, 50)
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)


@pytest.mark.parametrize(
    ("place", "box"),
    [
        (WINDOW, None),
        ((slice(16, 24), slice(16, 26)), None),
        (None, (500_160.0, 5_299_760.0, 500_260.0, 5_299_840.0)),
    ],
)
def test_windows_are_named_in_three_ways(
    place: Any, box: Any, begin: Begin, vectors: NDArray[np.float32]
) -> None:
    """As a window, as slices, and by coordinates."""
    with begin() as writer:
        writer.write(place, vectors[:, *WINDOW.slices], bbox=box)
        assert WINDOW not in writer.missing([WINDOW])
        assert writer.missing([Window(16, 16, 8, 11)]) == [Window(16, 16, 8, 11)]


WRONG = {
    "another dimension": (WINDOW, (11, 8, 10), {}, r"shape \(11, 8, 10\); expected \(12, 8, 10\)"),
    "another size": (WINDOW, (12, 8, 9), {}, r"\(12, 8, 9\); expected \(12, 8, 10\) or \(8, 10"),
    "two axes": (WINDOW, (12, 80), {}, r"shape \(12, 80\)"),
    "the other axis": (WINDOW, (12, 8, 10), {"axis": -1}, "with axis=-1; expected"),
    "no axis": (WINDOW, (12, 8, 10), {"axis": 1}, "axis=1; expected 0, or -1"),
    "beyond the grid": (Window(45, 0, 8, 10), (12, 8, 10), {}, "not within the grid's 50 x 45"),
    "empty": (Window(3, 3, 0, 4), (12, 0, 4), {}, "not within the grid"),
    "from the end": ((slice(-8, None), slice(0, 10)), (12, 8, 10), {}, "count from the first"),
    "with a step": ((slice(0, 16, 2), slice(0, 10)), (12, 8, 10), {}, "slices with no step"),
    "one slice": (slice(0, 8), (12, 8, 10), {}, r"expected a Window, \(row_slice, col_slice\)"),
    "no window": (None, (12, 8, 10), {}, "a Window, two slices, or bbox=; one of them"),
    "between pixels": (None, (12, 8, 10), {"bbox": (500_165, 5_299_765, 500_265, 5_299_845)},
                       "rows 15.5 to 23.5.*edges of pixels"),
    "a turned box": (None, (12, 8, 10), {"bbox": (500_260, 0, 500_160, 9)}, "XMIN < XMAX"),
    "a mask of another shape": (WINDOW, (12, 8, 10), {"valid": np.ones((10, 8), bool)},
                                r"valid: shape \(10, 8\); expected \(8, 10\)"),
    "a mask of numbers": (WINDOW, (12, 8, 10), {"valid": np.ones((8, 10))}, "expected bool"),
    "a layer that it has not": (WINDOW, (12, 8, 10), {"layers": {"month": np.ones((8, 10))}},
                                "layer month: not one of the store's"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "shape", "options", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_window_of_vectors(
    place: Any, shape: tuple[int, ...], options: Any, words: str, begin: Begin
) -> None:
    """One sentence says what came and what was expected; nothing is written."""
    with begin() as writer:
        with pytest.raises(InvalidConfigError, match=words):
            writer.write(place, np.zeros(shape, np.float32), **options)
        assert len(writer.missing(16)) == 12


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((12, 8, 10), np.int8), "type int8; expected floats.*scale first"),
        (np.zeros((12, 8, 10), np.complex64), "type complex64; expected real numbers"),
        (Tensor(np.zeros((12, 8, 10)), "cuda"), r"cannot be read as an array.*tensor\.cpu\(\)"),
        ("vectors.npy", "expected real numbers|cannot be read"),
    ],
)
def test_what_is_no_array_of_floats(values: Any, words: str, begin: Begin) -> None:
    """Integers are codes of a product, whose law nobody told."""
    with begin() as writer, pytest.raises(InvalidConfigError, match=words):
        writer.write(WINDOW, values)


def test_a_shape_that_does_not_tell_the_axis(encoding: Encoding, tmp_path: Path) -> None:
    """As many rows and columns as components: the axis has to be said."""
    grid = Grid("EPSG:32632", "EPSG:32632", DEFAULT_TRANSFORM, (12, 12))
    values = np.random.default_rng(0).normal(size=(12, 12, 12)).astype(np.float32)
    with geoembz.create(tmp_path / "out", grid, encoding) as writer:
        with pytest.raises(InvalidConfigError, match="say which axis"):
            writer.write(grid.window, values)
        writer.write(grid.window, values, axis=-1)
        writer.write(grid.window, np.moveaxis(values, -1, 0), axis=0)


def test_infinite_and_masked_vectors_are_invalid_pixels(
    begin: Begin, scene: NDArray[np.float32], tmp_path: Path
) -> None:
    """As `convert` has it; what is beyond float32, too."""
    values = scene[:, :16, :16].astype(np.float64)
    values[3, 0, 0], values[4, 0, 1], values[5, 0, 2] = np.inf, np.nan, 1e300
    valid = np.ones((16, 16), bool)
    valid[1] = False
    with begin() as writer:
        writer.write(Window(0, 0, 16, 16), values, valid)
        summary = writer.finish()
    assert summary.valid_pixels == 256 - 3 - 16


def test_the_grid_is_given_in_numbers(encoding: Encoding, raster: Path, tmp_path: Path) -> None:
    """By resolution and extent, by a transform, or by what it is like: one and the same."""
    box = (500_000.0, 5_299_500.0, 500_450.0, 5_300_000.0)
    ways: dict[str, dict[str, Any]] = {
        "extent": {"crs": "EPSG:32632", "resolution": 10, "extent": box},
        "shape": {"crs": "EPSG:32632", "transform": DEFAULT_TRANSFORM, "shape": (50, 45)},
        "both": {"crs": "EPSG:32632", "transform": (10, 0, 0, 0, -10, 0), "extent": box},
        "like": {"like": raster},
    }
    grids = []
    for name, way in ways.items():
        with geoembz.create(tmp_path / name, encoding=encoding, **way) as writer:
            grids.append(writer.grid)
    for crs in (grids[0].crs_wkt, "EPSG:32632"):
        given = Grid(crs, None, DEFAULT_TRANSFORM, (50, 45))
        with geoembz.create(tmp_path / f"grid {len(grids)}", given, encoding) as writer:
            grids.append(writer.grid)
    assert all(same_pixels(grid, grids[-1]) for grid in grids)
    assert {grid.crs_code for grid in grids} == {"EPSG:32632"}


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({}, "one of a Grid, like=RASTER, or crs"),
        ({"crs": "EPSG:32632"}, "with a transform or a resolution"),
        ({"crs": "EPSG:32632", "resolution": 10}, "a resolution alone has no place"),
        ({"crs": "EPSG:32632", "resolution": 10, "extent": (0, 0, 105, 100)}, "edges of pixels"),
        ({"crs": "EPSG:32632", "resolution": -1, "extent": (0, 0, 1, 1)}, "resolution -1"),
        ({"crs": "EPSG:32632", "transform": DEFAULT_TRANSFORM}, "has no end"),
        (
            {"grid": Grid("nowhere", None, (10, 0, 5e5, 0, -10, 5e6), (9, 9))},
            "'nowhere' is unknown",
        ),
        ({"grid": Grid("EPSG:32632", None, (10, 1, 0, 1, -10, 0), (9, 9))}, "rotated"),
        ({"crs": "nowhere", "resolution": 10, "extent": (0, 0, 100, 100)}, "CRS 'nowhere'"),
        ({"like": "none.tif", "crs": "EPSG:32632"}, "one of a Grid"),
    ],
)
def test_a_grid_that_is_none(way: Any, words: str, encoding: Encoding, tmp_path: Path) -> None:
    """Nothing is made."""
    with pytest.raises(GeoembzError, match=words):
        geoembz.create(tmp_path / "out", encoding=encoding, **way)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": None}, "no encoding"),
        ({"dtype": "int8"}, "dtype 'int8'; expected float16, float32 or float64"),
        ({"centre": [1.0, 2.0]}, r"centre: shape \(2,\); expected \(12,\)"),
        ({"seed": -1}, "seed -1"),
        ({"model": "my model"}, "my model"),
        ({"metric": "hamming"}, "hamming"),
        ({"time": "May"}, "time 'May'"),
        ({"shard": 12}, "shard 12; expected a multiple of the chunk"),
    ],
)
def test_options_that_cannot_work(options: Any, words: str, begin: Begin, tmp_path: Path) -> None:
    """Nothing is made."""
    with pytest.raises(InvalidConfigError, match=words):
        begin(**options)
    assert not (tmp_path / "out").exists()


def test_a_keyword_of_convert_is_none_of_create(begin: Begin) -> None:
    """It takes no vectors apart: what reads files has no place here."""
    with pytest.raises(TypeError, match=r"create\(\) got an unexpected keyword argument 'nodata'"):
        begin(nodata=0)


def test_codes_without_room_for_nodata(
    raster: Path, scene: NDArray[np.float32], tmp_path: Path
) -> None:
    """In the codec layout bits have none: an invalid pixel is refused as it comes."""
    encoding = geoembz.fit(raster, "pca8-binary")
    options = {**SIZES, "layout": "codec"}
    with geoembz.create(tmp_path / "out", like=raster, encoding=encoding, **options) as writer:
        values = scene[:, :16, :16].copy()
        values[0, 0, 0] = np.nan
        with pytest.raises(InvalidConfigError, match=r"layout codec: 1 of 256 pixels"):
            writer.write(Window(0, 0, 16, 16), values)
        fill(writer, scene, 9)
        writer.finish()
    geoembz.convert(raster, tmp_path / "converted", basis=encoding, **options)
    expected = objects(tmp_path / "converted")
    assert shards_of(objects(tmp_path / "out")) == shards_of(expected)


def test_layers_wait_with_the_vectors(
    begin: Begin, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """Where a window brings none of a layer, or nobody wrote, it holds the fill value."""
    months = Layer("months", "uint8", nodata=255)
    spread = Layer("spread", "float32")
    numbers = np.arange(50 * 45, dtype=np.uint8).reshape(50, 45) % 12
    with begin(layers=[months, spread]) as writer:
        for window in writer.missing(10)[:-1]:
            part: dict[str, NDArray[Any]] = {"months": numbers[window.slices]}
            if window.row == 0:
                part["spread"] = numbers[window.slices] / 4
            writer.write(window, vectors[:, *window.slices], layers=part)
        first = Window(0, 0, 10, 10)
        with pytest.raises(StoreError, match="other vectors"):
            writer.write(first, vectors[:, :10, :10], layers={"months": numbers[:10, :10] + 1})
        writer.finish()
    reader = geoembz.StoreReader.open(str(tmp_path / "out"))
    expected = numbers.copy()
    expected[40:, 40:] = 255
    assert np.array_equal(reader.layers["months"][...], expected)
    stored = np.asarray(reader.layers["spread"][...])
    assert (stored[:10] == numbers[:10] / 4).all()
    assert np.isnan(stored[10:]).all()


def test_one_writer_at_a_time(begin: Begin, vectors: NDArray[np.float32], tmp_path: Path) -> None:
    """The second is told who holds the place; a finished store is not begun again."""
    with begin() as writer:
        with pytest.raises(DestinationExistsError, match="another command writes there"):
            begin()
        fill(writer, vectors, 50)
        writer.finish()
        with pytest.raises(StoreError, match="finish: expected the writer"):
            writer.finish()
    with pytest.raises(DestinationExistsError, match="holds a store already"):
        begin()
    with begin(overwrite=True) as writer:
        fill(writer, vectors[:, ::-1], 50)
        writer.finish()
    read = geoembz.StoreReader.open(str(tmp_path / "out")).read(Window(20, 20, 1, 1), "original")
    assert np.allclose(read[:, 0, 0], vectors[:, 29, 20], atol=0.5, equal_nan=True)
