"""Apply a linear model to codes: arrays, windows of a dataset, or whole stores."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.basis import load_basis
from geoembz._predict.linear import LinearModel, probabilities, read_model
from geoembz._search.linear_fold import LinearFold
from geoembz._search.scorer import valid_codes
from geoembz._util.threads import for_each, single_threaded_blas, worker_count
from geoembz.encoding import Encoding
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    import xarray as xr

_BAND_PIXELS = 1 << 15
"""Pixels that one thread takes at a time."""

_CODE_AXES = ("component", "component_byte", "subquantizer", "stage")

type _Outputs = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class AppliedModel:
    """A linear model with projection and scale folded into its weights; see `geoembz.apply_model`.

    Every method takes one of:

    - codes as `Encoding.encode` gives them, shape ``(…, code_length)``, with `valid` beside them
      where the codes have no room for nodata; an array of shape ``(…)`` comes back, with a last
      axis of outputs or classes where there are several;
    - a dataset in space ``codes`` from `geoembz.open`, or a selection of it: a DataArray comes
      back, with a first dimension ``output`` or ``class`` where there are several; lazy where the
      dataset has dask chunks;
    - the path or URL of a store: a lazy DataArray comes back.

    Parameters
    ----------
    model
        What is applied.
    encoding
        Of the codes.
    linear
        The model's outputs as a function of codes.
    nodata
        Label of invalid pixels; regressions and scores have NaN there.
    """

    model: LinearModel
    encoding: Encoding
    linear: LinearFold
    nodata: Any = None

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels of a classifier.

        Raises
        ------
        InvalidConfigError
            If the model is a regression.
        """
        if self.model.classes is None:
            raise InvalidConfigError("apply_model: a regression has no classes; use predict")
        return self.model.classes

    def predict(self, codes: Any, valid: NDArray[np.bool_] | None = None) -> Any:
        """Return the label, or the number, of every vector."""
        if self.model.classes is None:
            names = None if self.model.is_flat else np.arange(self.linear.n_outputs)
            return self._apply(codes, valid, _same, np.dtype(np.float32), "output", names)
        labels = np.asarray([self.nodata])
        dtype = np.result_type(self.model.classes, labels)
        return self._apply(codes, valid, self._labels, dtype, "class", None)

    def decision_function(self, codes: Any, valid: NDArray[np.bool_] | None = None) -> Any:
        """Return a classifier's scores, float32: one per class, or one for two classes."""
        names = self.classes_ if len(self.classes_) > 2 else None
        return self._apply(codes, valid, _same, np.dtype(np.float32), "class", names)

    def predict_proba(self, codes: Any, valid: NDArray[np.bool_] | None = None) -> Any:
        """Return the probability of each class, float32.

        Raises
        ------
        InvalidConfigError
            If the model gave none, or makes them in another way than logistic models do.
        """
        if self.model.link == "none":
            raise InvalidConfigError(
                "apply_model: this model has no probabilities that follow from its scores; use "
                "decision_function"
            )

        def convert(outputs: NDArray[np.float32]) -> NDArray[Any]:
            return probabilities(self.model.link, outputs)

        return self._apply(codes, valid, convert, np.dtype(np.float32), "class", self.classes_)

    def _labels(self, outputs: NDArray[np.float32]) -> NDArray[Any]:
        """Return labels ``(1, n)`` of outputs ``(n_outputs, n)``, `nodata` where they are NaN."""
        chosen = (outputs[0] > 0).astype(np.intp) if len(outputs) == 1 else outputs.argmax(axis=0)
        labels = self.classes_[chosen]
        invalid = np.isnan(outputs[0])
        if invalid.any():
            labels = np.where(invalid, self.nodata, labels)
        return labels[np.newaxis]

    def _apply(
        self,
        codes: Any,
        valid: NDArray[np.bool_] | None,
        convert: _Outputs,
        dtype: np.dtype[Any],
        axis: str,
        names: NDArray[Any] | None,
    ) -> Any:
        import xarray as xr

        if isinstance(codes, str | Path):
            from geoembz._xarray.backend import open_store

            codes = open_store(codes, space="codes", chunks={})
        if isinstance(codes, xr.Dataset | xr.DataArray):
            return self._on_dataset(codes, convert, dtype, axis, names)
        array = np.asarray(codes)
        self._check(array.dtype, array.shape)
        flat = array.reshape(-1, array.shape[-1]).T
        out = self._on_block(flat, None if valid is None else valid.reshape(-1), convert, dtype)
        if names is None:
            return out[0].reshape(array.shape[:-1])
        return np.ascontiguousarray(out.T).reshape(*array.shape[:-1], len(out))

    def _check(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        encoding = self.encoding
        if dtype != encoding.code_dtype or not shape or shape[-1] != encoding.code_length:
            raise InvalidConfigError(
                f"apply_model: codes of type {dtype} and shape {shape}; expected "
                f"{encoding.code_dtype} of shape (…, {encoding.code_length}), as {encoding.recipe} "
                "stores them"
            )

    def _on_block(
        self,
        codes: Codes,
        mask: NDArray[np.bool_] | None,
        convert: _Outputs,
        dtype: np.dtype[Any],
    ) -> NDArray[Any]:
        """Return converted outputs ``(n, n_pixels)`` of codes ``(code_length, n_pixels)``."""

        def evaluate(start: int) -> NDArray[Any]:
            columns = slice(start, start + _BAND_PIXELS)
            block = codes[:, columns]
            outputs = self.linear(block)
            some = None if mask is None else mask[columns]
            valid = valid_codes(self.encoding.quantizer, block, some)
            if valid is not None:
                outputs[:, ~valid] = np.nan
            return convert(outputs).astype(dtype, copy=False)

        starts = range(0, max(codes.shape[1], 1), _BAND_PIXELS)
        with single_threaded_blas():
            if len(starts) == 1:
                return evaluate(0)
            return np.concatenate(for_each(starts, evaluate, worker_count()), axis=1)

    def _on_dataset(
        self,
        codes: "xr.Dataset | xr.DataArray",
        convert: _Outputs,
        dtype: np.dtype[Any],
        axis: str,
        names: NDArray[Any] | None,
    ) -> "xr.DataArray":
        import xarray as xr

        embedding = codes["embedding"] if isinstance(codes, xr.Dataset) else codes
        mask = codes["valid"] if isinstance(codes, xr.Dataset) and "valid" in codes else None
        first = [name for name in embedding.dims if str(name) in _CODE_AXES]
        if len(first) != 1:
            raise InvalidConfigError(
                f"apply_model: dimensions {embedding.dims}; expected codes, as geoembz.open(…, "
                "space='codes') gives them"
            )
        self._check(embedding.dtype, (embedding.sizes[first[0]],))

        def evaluate(block: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> NDArray[Any]:
            flat = np.moveaxis(block, -1, 0).reshape(block.shape[-1], -1)
            some = None if valid is None else valid.reshape(-1)
            out = self._on_block(flat, some, convert, dtype)
            shape = block.shape[:-1]
            return (
                out[0].reshape(shape)
                if names is None
                else np.moveaxis(out.reshape(-1, *shape), 0, -1)
            )

        result: xr.DataArray = xr.apply_ufunc(
            evaluate,
            *([embedding] if mask is None else [embedding, mask]),
            input_core_dims=[first] if mask is None else [first, []],
            output_core_dims=[[] if names is None else [axis]],
            dask="parallelized",
            output_dtypes=[dtype],
            dask_gufunc_kwargs={} if names is None else {"output_sizes": {axis: len(names)}},
            keep_attrs=False,
        )
        if names is not None:
            result = result.assign_coords({axis: names}).transpose(axis, ...)
        result.attrs["grid_mapping"] = "spatial_ref"
        return result.rename("prediction")


def _same(outputs: NDArray[np.float32]) -> NDArray[Any]:
    return outputs


def apply_model(model: Any, encoding: Encoding | str | Path, nodata: Any = None) -> AppliedModel:
    """Apply a fitted linear or logistic model to codes, without decoding them.

    The weights fold into the encoding's projection and scale, once; predictions come from codes.

    The model was trained on vectors in original space (decoded ones: that is what codes stand
    for). Its answers on codes are those it gives on decoded vectors, up to float32 rounding; after
    an ``l2-…`` recipe decoded vectors have about length 1, and it must have been trained on such.

    Parameters
    ----------
    model
        Anything fitted with `coef_` and `intercept_` that is linear in its input, such as
        LinearRegression, Ridge, RidgeClassifier, LinearSVC or LogisticRegression; or a pipeline of
        StandardScaler and its like that ends in one.
    encoding
        An `Encoding`, or the path or URL of a store that has it.
    nodata
        What a classifier predicts for pixels without an embedding; None for −1 or an empty string.

    Returns
    -------
    applied
        With `predict`, `decision_function` and `predict_proba`, which take codes, datasets or
        stores.

    Raises
    ------
    InvalidConfigError
        If the model is not linear, or made for vectors of another length.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> samples = rng.normal(size=(500, 16)).astype("float32")
    >>> labels = (samples[:, 0] > 0).astype(int)
    >>> encoding = Encoding.fit(samples, "pca8-int8")
    >>> codes = encoding.encode(samples)
    >>> model = LogisticRegression().fit(encoding.decode(codes), labels)
    >>> applied = apply_model(model, encoding)
    >>> bool((applied.predict(codes) == model.predict(encoding.decode(codes))).all())
    True
    """
    known = encoding if isinstance(encoding, Encoding) else load_basis(encoding)
    linear = read_model(model, known)
    return AppliedModel(
        linear, known, LinearFold.of(known, linear.weights, linear.bias), _nodata(linear, nodata)
    )


def _nodata(model: LinearModel, nodata: Any) -> Any:
    """Return the label of invalid pixels.

    Raises
    ------
    InvalidConfigError
        If none is given and the usual one is a class, or there is none for such labels.
    """
    if model.classes is None or nodata is not None:
        return nodata
    kind = model.classes.dtype.kind
    usual = {"i": -1, "u": -1, "b": -1, "f": float("nan")}.get(kind, "")
    if usual in model.classes.tolist():
        raise InvalidConfigError(
            f"apply_model: label {usual!r} is a class, and also what pixels without an embedding "
            "would get; pass another nodata"
        )
    return usual
