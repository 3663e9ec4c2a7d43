"""An encoding fitted without a store: of samples, of what `convert` takes, and of batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz.encoding import EncodingFitter
from geoembz.encoding import _fit as fitting
from geoembz.errors import InvalidConfigError, NoValidPixelsError


@pytest.mark.parametrize("options", [{"recipe": "pca5-int8"}, {"seed": 3, "pca": 4}, {}])
def test_a_raster_gives_the_encoding_of_its_conversion(
    options: Any, raster_with_holes: Path, tmp_path: Path
) -> None:
    """The same sample, whatever the recipe and the seed."""
    summary = geoembz.convert(raster_with_holes, tmp_path / "out", **options)
    encoding = geoembz.fit(raster_with_holes, **options)
    assert encoding.hash == summary.encoding_hash
    assert encoding.report == geoembz.load_basis(tmp_path / "out").report


def test_samples(scene: NDArray[np.float32]) -> None:
    """Rows of vectors, as `Encoding.fit` takes them."""
    samples = scene.reshape(12, -1).T
    fitted = geoembz.fit(samples, "pca3-int8", seed=2)
    assert fitted.hash == geoembz.Encoding.fit(samples, "pca3-int8", seed=2).hash
    with pytest.raises(InvalidConfigError, match="no recipe"):
        geoembz.fit(samples)
    with pytest.raises(TypeError, match=r"fit\(\) got an unexpected keyword argument 'chunk'"):
        geoembz.fit(samples, "int8", chunk=8)  # type: ignore[call-arg]


def test_batches(scene: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> None:
    """In any form, and more of them than are kept: as one fit of all blocks."""
    monkeypatch.setattr(fitting, "RESERVOIR_VECTORS", 500)
    monkeypatch.setattr(fitting, "_SURPLUS", 60)
    columns = scene.reshape(12, -1)
    batches = [scene[:, row : row + 5] for row in range(0, 50, 5)]
    fitter = geoembz.Fitter("pca3-int4", 12, seed=5)
    for number, batch in enumerate(batches):
        forms = [batch, np.moveaxis(batch, 0, -1), batch.reshape(12, -1).T]
        fitter.update(forms[number % 3])
    expected = geoembz.Encoding.fit_blocks(
        [np.ascontiguousarray(batch.reshape(12, -1)) for batch in batches], "pca3-int4", 12, 5
    )
    assert fitter.n_vectors == columns.shape[1]
    assert fitter.fit().hash == expected.hash == fitter.fit().hash


def test_many_small_batches_are_kept_in_few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept, and the work for each batch, do not grow with their number."""
    monkeypatch.setattr(fitting, "RESERVOIR_VECTORS", 64)
    monkeypatch.setattr(fitting, "_SURPLUS", 8)
    fitter = EncodingFitter(geoembz.Recipe.parse("int8"), 2, seed=1)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        fitter.update(rng.normal(size=(2, 3)))
    reservoir = fitter._reservoir
    assert sum(block.shape[1] for block in reservoir._blocks) <= 72
    assert len(reservoir._blocks) <= 32
    keys = np.random.default_rng(1).random((6000,))
    kept = np.concatenate(reservoir._keys)
    assert set(np.sort(keys)[:64]) <= set(kept)


@pytest.mark.parametrize("batch", [np.zeros((4, 11)), np.zeros(12), np.zeros((3, 4, 5))])
def test_a_batch_of_another_shape(batch: NDArray[Any]) -> None:
    """One sentence says what was expected."""
    with pytest.raises(InvalidConfigError, match=r"batch: shape .*expected \(.*12"):
        geoembz.Fitter("int8", 12).update(batch)


def test_no_batch() -> None:
    """There is nothing to fit."""
    with pytest.raises(NoValidPixelsError):
        geoembz.Fitter("int8", 12).fit()
