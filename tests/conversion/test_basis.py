"""Reuse of an encoding: one hash on all outputs, and numbers where data lie outside it."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._cli import main
from geoembz.errors import BasisWarning, EncodingError, InvalidConfigError

DIMENSION = 12


def scene(seed: int, axes_seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    """Vectors ``(DIMENSION, 40, 40)`` in a plane of three axes, with a little noise."""
    axes = np.random.default_rng(axes_seed).normal(size=(DIMENSION, 3))
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(3, 1600)) + shift
    noise = 0.01 * rng.normal(size=(DIMENSION, 1600))
    return (axes @ scores + noise).reshape(DIMENSION, 40, 40).astype(np.float32)


@pytest.fixture
def rasters(tmp_path: Path, make_raster: Callable[..., Path]) -> dict[str, Path]:
    """Two tiles of one scene, and one of another scene, whose axes are others."""
    return {
        "first": make_raster(tmp_path / "first.tif", scene(1, axes_seed=0)),
        "second": make_raster(tmp_path / "second.tif", scene(2, axes_seed=0)),
        "foreign": make_raster(tmp_path / "foreign.tif", scene(3, axes_seed=9)),
        "clipped": make_raster(tmp_path / "clipped.tif", scene(4, axes_seed=0, shift=6.0)),
    }


def test_stores_of_one_basis_have_one_hash(rasters: dict[str, Path], tmp_path: Path) -> None:
    """By store, by file of any name and by object: nothing is fitted, codes are comparable."""
    first = geoembz.convert(rasters["first"], tmp_path / "first.zarr", pca=3)
    main_arguments = ["basis", "save", str(tmp_path / "first.zarr"), str(tmp_path / "basis.npz")]
    with pytest.raises(SystemExit) as done:
        main(main_arguments)
    assert done.value.code == 0
    (tmp_path / "a basis").write_bytes((tmp_path / "basis.npz").read_bytes())
    bases: list[Path | geoembz.Encoding] = [
        tmp_path / "first.zarr",
        tmp_path / "basis.npz",
        tmp_path / "a basis",
        geoembz.Encoding.load(tmp_path / "basis.npz"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, basis in enumerate(bases):
            store = tmp_path / f"{number}.zarr"
            again = geoembz.convert(rasters["second"], store, basis=basis, strict_basis=True)
            assert again.encoding_hash == first.encoding_hash


@pytest.mark.parametrize(
    ("name", "numbers"), [("foreign", r"captures \d+\.\d% "), ("clipped", r"clips \d+\.\d\d%")]
)
def test_data_outside_the_basis_are_told_in_numbers(
    name: str, numbers: str, rasters: dict[str, Path], tmp_path: Path
) -> None:
    """A warning by default; an error, and nothing written, when strict."""
    geoembz.convert(rasters["first"], tmp_path / "basis.zarr", pca=3)
    basis = tmp_path / "basis.zarr"
    with pytest.warns(BasisWarning, match=numbers) as told:
        geoembz.convert(rasters[name], tmp_path / "loose.zarr", basis=basis)
    assert [each.filename for each in told] == [__file__]
    with pytest.raises(EncodingError, match=numbers):
        geoembz.convert(rasters[name], tmp_path / "strict.zarr", basis=basis, strict_basis=True)
    assert not (tmp_path / "strict.zarr").exists()


def test_another_recipe_than_the_basis_is_refused(rasters: dict[str, Path], tmp_path: Path) -> None:
    geoembz.convert(rasters["first"], tmp_path / "basis.zarr", pca=3)
    with pytest.raises(InvalidConfigError, match=r"pca3-int8.*pca3-int4"):
        geoembz.convert(
            rasters["second"],
            tmp_path / "other.zarr",
            basis=tmp_path / "basis.zarr",
            recipe="pca3-int4",
        )


def test_a_warning_on_the_command_line_is_one_line(
    rasters: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output stays JSON."""
    geoembz.convert(rasters["first"], tmp_path / "basis.zarr", pca=3)
    words = ["convert", str(rasters["foreign"]), str(tmp_path / "out.zarr"), "--json"]
    warnings.simplefilter("always")  # pytest restores what the configuration says
    with pytest.raises(SystemExit) as done:
        main([*words, "--basis", str(tmp_path / "basis.zarr")])
    printed = capsys.readouterr()
    assert done.value.code == 0
    assert json.loads(printed.out)["recipe"] == "pca3-int8"
    assert printed.err.startswith("geoembz: warning: ")
    assert printed.err.count("\n") == 1


def test_a_basis_file_is_never_replaced(rasters: dict[str, Path], tmp_path: Path) -> None:
    geoembz.convert(rasters["first"], tmp_path / "basis.zarr", pca=3)
    encoding = geoembz.Encoding.fit(np.eye(DIMENSION), "int8")
    (tmp_path / "basis.npz").write_bytes(b"something else")
    with pytest.raises(InvalidConfigError, match="exists"):
        encoding.save(tmp_path / "basis.npz")
    assert (tmp_path / "basis.npz").read_bytes() == b"something else"
