"""The same input, flags and seed give the same bytes; codes depend on nothing but the encoding."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._convert import sampling
from geoembz._geo.grid import Window
from geoembz.encoding import Encoding
from tests.conftest import MakeRaster
from tests.families import KINDS
from tests.trees import objects

every_kind = pytest.mark.parametrize(
    "kind",
    [
        kind if kind in {"int8", "int4"} else pytest.param(kind, marks=pytest.mark.slow)
        for kind in KINDS
    ],
)  # with room for nodata and without; the others in the long run
SMALL: dict[str, Any] = {"chunk": 8, "shard": 16}


def in_order(function: Any, items: Any) -> list[Any]:
    return [function(item) for item in items]


def codes_of(store: Path) -> NDArray[np.generic]:
    return np.asarray(geoembz.open(store, space="codes")["embedding"].values)


@every_kind
def test_workers_and_repetition_do_not_show(
    kind: str, raster_with_holes: Path, tmp_path: Path
) -> None:
    """One worker, many workers and a second run write bit-identical stores with one hash."""
    options: dict[str, Any] = {"pca": 5, "quantizer": kind, "seed": 3, **SMALL}
    runs = {"one": 1, "two": 2, "again": 2, "many": 5}
    hashes = {
        geoembz.convert(
            raster_with_holes, tmp_path / name, workers=workers, **options
        ).encoding_hash
        for name, workers in runs.items()
    }
    assert len(hashes) == 1
    first, *others = (objects(tmp_path / name) for name in runs)
    assert all(first == other for other in others)
    assert not any(".geoembz" in name or "partial" in name for name in first)


def test_the_seed_shows(raster: Path, tmp_path: Path) -> None:
    """Another seed draws another sample; the summary's hash says so."""
    few: dict[str, Any] = {"pca": 5, "fit_samples": 200}
    hashes = [
        geoembz.convert(raster, tmp_path / f"{seed}", seed=seed, **few).encoding_hash
        for seed in (0, 1)
    ]
    assert hashes[0] != hashes[1]


def test_no_time_and_no_place_is_stored(raster: Path, tmp_path: Path) -> None:
    """Stores are published: neither the machine's paths nor any duration is in them."""
    geoembz.convert(raster, tmp_path / "a.zarr", pca=3)
    text = b"".join(objects(tmp_path / "a.zarr").values())
    assert str(tmp_path).encode() not in text
    assert str(raster.parent).encode() not in text
    attributes = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]
    assert not [name for name in attributes if "seconds" in name or "date" in name]


@every_kind
@pytest.mark.parametrize("options", [{"chunk": 5, "shard": 20}, {"chunk": 64}, {"shard": "none"}])
def test_chunks_and_shards_do_not_show_in_codes(
    kind: str, options: dict[str, Any], raster_with_holes: Path, tmp_path: Path
) -> None:
    """However the arrays are cut, every pixel has the same code."""
    given: dict[str, Any] = {"pca": 5, "quantizer": kind}
    geoembz.convert(raster_with_holes, tmp_path / "a", **given, **SMALL)
    geoembz.convert(raster_with_holes, tmp_path / "b", **given, **options)
    np.testing.assert_array_equal(codes_of(tmp_path / "a"), codes_of(tmp_path / "b"))


@pytest.mark.parametrize(
    "profile",
    [{"blocksize": None}, {"blocksize": 32, "interleave": "band", "compress": "deflate"}],
    ids=["strips", "bands"],
)
def test_the_source_s_blocks_do_not_show_in_codes(
    profile: dict[str, Any],
    scene: NDArray[np.float32],
    raster: Path,
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    """With one basis, strips and tiles, pixel- and band-interleaved give the same codes."""
    geoembz.convert(raster, tmp_path / "a", pca=5, **SMALL)
    other = make_raster(tmp_path / "other.tif", scene, **profile)
    geoembz.convert(other, tmp_path / "b", basis=tmp_path / "a", chunk=7, shard=21)
    np.testing.assert_array_equal(codes_of(tmp_path / "a"), codes_of(tmp_path / "b"))


@every_kind
def test_codes_are_those_of_the_encoding(
    kind: str, scene: NDArray[np.float32], raster: Path, tmp_path: Path
) -> None:
    """The store holds what `Encoding.encode` gives for each pixel, and decodes as it does."""
    encoding = Encoding.fit(scene.reshape(len(scene), -1).T, f"pca5-{kind}")
    geoembz.convert(raster, tmp_path / "a", basis=encoding, **SMALL)
    pixels = np.moveaxis(scene, 0, -1)
    codes = encoding.encode(pixels)
    np.testing.assert_array_equal(codes_of(tmp_path / "a"), np.moveaxis(codes, -1, 0))
    np.testing.assert_array_equal(
        geoembz.open(tmp_path / "a")["embedding"].values,
        np.moveaxis(encoding.decode(codes), -1, 0),
    )


def test_a_basis_is_the_same_from_store_file_and_memory(raster: Path, tmp_path: Path) -> None:
    """A store, a file and an object of one encoding give bit-identical stores."""
    first = geoembz.convert(raster, tmp_path / "first", pca=5)
    geoembz.convert(raster, tmp_path / "store", basis=tmp_path / "first")
    encoding = geoembz.store.StoreReader.open(str(tmp_path / "first")).encoding
    assert encoding.hash == first.encoding_hash
    encoding.save(tmp_path / "basis.npz")
    geoembz.convert(raster, tmp_path / "file", basis=tmp_path / "basis.npz")
    geoembz.convert(raster, tmp_path / "memory", basis=encoding)
    assert objects(tmp_path / "store") == objects(tmp_path / "file") == objects(tmp_path / "memory")


@every_kind
def test_layouts_share_their_shards(kind: str, raster: Path, tmp_path: Path) -> None:
    """Plain and codec layout differ in metadata only; both read as the same vectors."""
    for layout in ("plain", "codec"):
        geoembz.convert(raster, tmp_path / layout, pca=5, quantizer=kind, layout=layout, **SMALL)
    plain, codec = objects(tmp_path / "plain"), objects(tmp_path / "codec")
    shards = {name for name in plain if name.startswith("embedding/c/")}
    assert len(shards) == 4 * 3
    assert {name: plain[name] for name in shards} == {
        name: content for name, content in codec.items() if name.startswith("embedding/c/")
    }
    different = {name for name in plain.keys() & codec.keys() if plain[name] != codec[name]}
    assert different == {"zarr.json", "embedding/zarr.json"}
    np.testing.assert_array_equal(
        geoembz.open(tmp_path / "plain")["embedding"], geoembz.open(tmp_path / "codec")["embedding"]
    )


def test_the_sample_does_not_depend_on_workers_or_order(raster: Path) -> None:
    """Which pixels are fitted on is decided by place and seed alone."""
    source = geoembz.sources.open_source(raster)
    roles = sampling.PixelRoles(0, source.grid.shape)

    def backwards(function: Any, items: Any) -> list[Any]:
        return [function(item) for item in reversed(items)][::-1]

    one = sampling.draw_sample(source, roles, 100, in_order)
    other = sampling.draw_sample(source, roles, 100, backwards)
    np.testing.assert_array_equal(np.hstack(one), np.hstack(other))


def test_held_out_pixels_never_enter_the_fit(scene: NDArray[np.float32], raster: Path) -> None:
    """Fidelity is measured on pixels that the sample cannot contain."""
    source = geoembz.sources.open_source(raster)
    roles = sampling.PixelRoles(0, source.grid.shape)
    held_out = roles.held_out(roles.keys(source.grid.window))
    assert 0.1 < held_out.mean() < 0.3

    sample = np.hstack(sampling.draw_sample(source, roles, 10**6, in_order))
    tested = scene.reshape(len(scene), -1)[:, held_out]
    assert sample.shape[1] == (~held_out).sum()
    assert not set(sample[0].tolist()) & set(tested[0].tolist())


@pytest.mark.parametrize("quarter", range(4))
def test_sparse_rasters_are_sampled_wherever_they_are_valid(
    tmp_path: Path, make_raster: MakeRaster, quarter: int
) -> None:
    """One block of the source is a shortcut: where it is empty, all that is read at once counts."""
    values = np.full((3, 64, 64), np.nan, np.float32)
    row, col = 32 * (quarter // 2), 32 * (quarter % 2)
    values[:, row : row + 32, col : col + 32] = np.random.default_rng(0).random((3, 32, 32))
    source = geoembz.sources.open_source(make_raster(tmp_path / "s.tif", values, blocksize=32))
    roles = sampling.PixelRoles(0, source.grid.shape)
    sample = np.hstack(sampling.draw_sample(source, roles, 100, in_order))
    assert sample.shape == (3, 100)


def test_the_sample_reads_one_block_of_what_is_read_at_once(
    tmp_path: Path, make_raster: MakeRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the pixels is decompressed where that is enough; else all, and once."""
    values = np.random.default_rng(0).random((3, 64, 64)).astype(np.float32)
    source = geoembz.sources.open_source(make_raster(tmp_path / "s.tif", values, blocksize=32))
    roles = sampling.PixelRoles(0, source.grid.shape)
    read, windows = type(source).read, []

    def recorded(self: Any, window: Window) -> Any:
        windows.append(window)
        return read(self, window)

    monkeypatch.setattr(type(source), "read", recorded)
    sampling.draw_sample(source, roles, 100, in_order)
    assert [window.shape for window in windows] == [(32, 32)]
    windows.clear()
    sampling.draw_sample(source, roles, 1000, in_order)
    assert [window.shape for window in windows] == [(64, 64)]
