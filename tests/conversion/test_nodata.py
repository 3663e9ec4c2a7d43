"""Invalid pixels, in every form and every quantizer: never fitted, never a number, NaN again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

import geoembz
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from tests.conftest import DEFAULT_TRANSFORM, MakeRaster
from tests.families import KINDS

every_kind = pytest.mark.parametrize(
    "kind",
    [
        kind if kind in {"int8", "int4"} else pytest.param(kind, marks=pytest.mark.slow)
        for kind in KINDS
    ],
)  # with room for nodata and without; the others in the long run
every_form = pytest.mark.parametrize(
    "form",
    ["nan", "inf", "declared", "given", "one component", "internal mask", "sidecar mask", "alpha"],
)
POISON = np.float32(1e6)
"""What invalid pixels hold where only a mask says so: one of them in the fit would show."""


def write(
    form: str,
    path: Path,
    scene: NDArray[np.float32],
    holes: NDArray[np.bool_],
    make_raster: MakeRaster,
) -> dict[str, Any]:
    """Write the scene with its holes in one form; return the options that `convert` needs."""
    values = scene.copy()
    if form in {"nan", "inf", "declared", "given"}:
        marks = {"nan": np.nan, "inf": -np.inf, "declared": -9999, "given": 4242}
        values[:, holes] = marks[form]
        make_raster(path, values, nodata=-9999 if form == "declared" else None, blocksize=16)
        return {"nodata": 4242} if form == "given" else {}
    if form == "one component":
        values[:, holes], values[7, holes] = POISON, -9999
        make_raster(path, values, nodata=-9999, blocksize=16)
        return {}
    values[:, holes] = POISON
    if form == "alpha":
        values = np.concatenate([values, np.where(holes, 0, 255).astype(np.float32)[np.newaxis]])
    height, width = holes.shape
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=form == "internal mask"),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=len(values),
            height=height,
            width=width,
            dtype="float32",
            crs="EPSG:32632",
            transform=rasterio.Affine(*DEFAULT_TRANSFORM),
        ) as dataset,
    ):
        if form == "alpha":
            undefined = [ColorInterp.undefined] * (len(values) - 2)
            dataset.colorinterp = [ColorInterp.gray, *undefined, ColorInterp.alpha]
        dataset.write(values)
        if form != "alpha":
            dataset.write_mask(~holes)
    return {}


@every_form
@every_kind
def test_invalid_pixels_come_back_invalid(
    form: str,
    kind: str,
    scene: NDArray[np.float32],
    holes: NDArray[np.bool_],
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    """Exactly the holes decode to NaN, and the encoding is that of the same scene without them."""
    options = write(form, tmp_path / "in.tif", scene, holes, make_raster)
    common: dict[str, Any] = {"pca": 5, "quantizer": kind, "chunk": 8, "shard": 16}
    summary = geoembz.convert(tmp_path / "in.tif", tmp_path / "out", **common, **options)
    write("nan", tmp_path / "reference.tif", scene, holes, make_raster)
    reference = geoembz.convert(tmp_path / "reference.tif", tmp_path / "reference", **common)

    assert summary.valid_pixels == (~holes).sum()
    assert summary.pixels == holes.size
    assert summary.cosine_centred is not None
    if form != "alpha" and "mask" not in form:  # those rasters have other blocks, so other samples
        assert summary.encoding_hash == reference.encoding_hash
    for space in ("original", "reduced"):
        decoded = geoembz.open(tmp_path / "out", space=space)["embedding"].values
        np.testing.assert_array_equal(np.isnan(decoded), np.broadcast_to(holes, decoded.shape))
        assert np.nanmax(np.abs(decoded)) < 100


@every_kind
def test_plain_readers_see_what_is_invalid(
    kind: str, raster_with_holes: Path, holes: NDArray[np.bool_], tmp_path: Path
) -> None:
    """Without geoembz: int8 says −128, float32 NaN, packed codes have `valid` beside them."""
    geoembz.convert(raster_with_holes, tmp_path / "s", pca=5, quantizer=kind, chunk=8, shard=16)
    group = zarr.open_group(tmp_path / "s", mode="r")
    codes = np.asarray(group["embedding"][...])  # type: ignore[index]
    if kind == "int8":
        np.testing.assert_array_equal(codes == -128, np.broadcast_to(holes, codes.shape))
        assert group["embedding"].attrs["nodata"] == -128
    elif kind == "float32":
        np.testing.assert_array_equal(np.isnan(codes), np.broadcast_to(holes, codes.shape))
    else:
        assert not codes[:, holes].any()
        np.testing.assert_array_equal(~np.asarray(group["valid"][...]), holes)  # type: ignore[index]
    assert ("valid" in group) == (kind in {"int4", "int2", "binary"})


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_the_codec_layout_says_nan(
    kind: str, raster_with_holes: Path, holes: NDArray[np.bool_], tmp_path: Path
) -> None:
    """`zarr.open_array` alone gives NaN where a pixel is invalid, unwritten shards included."""
    geoembz.convert(
        raster_with_holes,
        tmp_path / "s",
        pca=5,
        quantizer=kind,
        layout="codec",
        chunk=8,
        shard=16,
    )
    vectors = np.asarray(zarr.open_array(tmp_path / "s" / "embedding", mode="r")[...])
    np.testing.assert_array_equal(np.isnan(vectors), np.broadcast_to(holes, vectors.shape))
    np.testing.assert_array_equal(vectors, geoembz.open(tmp_path / "s")["embedding"].values)


@pytest.mark.parametrize("kind", ["int4", "binary"])
def test_the_codec_layout_refuses_what_it_cannot_say(
    kind: str, raster_with_holes: Path, tmp_path: Path
) -> None:
    """Codes without room for nodata and an invalid pixel: an error that names the way out."""
    with pytest.raises(InvalidConfigError, match='layout="plain"'):
        geoembz.convert(raster_with_holes, tmp_path / "s", quantizer=kind, layout="codec")
    assert not (tmp_path / "s" / "zarr.json").exists()


def test_all_invalid_blocks_are_skipped_in_the_sample(
    scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Where the first blocks drawn hold nothing valid, others are read until some is found."""
    values = np.full_like(scene, np.nan)
    values[:, 40:, 40:] = scene[:, 40:, 40:]
    make_raster(tmp_path / "in.tif", values, blocksize=16)
    summary = geoembz.convert(tmp_path / "in.tif", tmp_path / "out", pca=5, chunk=8, shard=8)
    assert summary.valid_pixels == 50
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(values))


@pytest.mark.parametrize("mark", [np.nan, np.inf, -9999.0])
def test_nothing_valid_is_refused(
    mark: float, scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """A raster of nodata has no embeddings to fit: one error, and nothing is left behind."""
    path = make_raster(tmp_path / "in.tif", np.full_like(scene, mark), nodata=-9999)
    with pytest.raises(NoValidPixelsError, match=r"in\.tif.*no valid pixel"):
        geoembz.convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("nodata", "invalid"),
    [(0, "zeros"), ("none", "nothing"), (-99999, "nothing"), (1e40, "nothing"), ("nan", "nothing")],
)
def test_a_given_nodata_replaces_the_declared_one(
    nodata: float | str,
    invalid: str,
    scene: NDArray[np.float32],
    holes: NDArray[np.bool_],
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    """Zero is a value like any other, and values outside the type cannot occur."""
    numbers = np.where(holes, 0, np.maximum(scene * 50 + 200, 1)).astype(np.int16)
    path = make_raster(tmp_path / "in.tif", numbers, nodata=1)
    summary = geoembz.convert(path, tmp_path / "out", nodata=nodata)
    valid = (~holes).sum() if invalid == "zeros" else holes.size
    assert summary.valid_pixels == valid


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "float64"])
def test_every_real_type_converts(
    dtype: str,
    scene: NDArray[np.float32],
    holes: NDArray[np.bool_],
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    """Integers and doubles keep their nodata, and their numbers as float32."""
    numbers = np.clip(scene * 20 + 60, 1, 120).astype(dtype)
    numbers[:, holes] = 127
    path = make_raster(tmp_path / "in.tif", numbers, nodata=127)
    geoembz.convert(path, tmp_path / "out", quantizer="float32", product="raster")
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    np.testing.assert_array_equal(decoded, np.where(holes, np.nan, numbers).astype(np.float32))
