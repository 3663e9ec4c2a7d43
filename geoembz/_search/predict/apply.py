"""Apply a linear model to codes: its weights fold into the projection and the scale."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert import load_basis
from geoembz._search.linear_fold import LinearFold
from geoembz._search.predict.applied import AppliedModel
from geoembz._search.predict.linear import LinearModel, read_model
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError

_PROBES = 64


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
    linear = read_model(model, _probe(known))
    return AppliedModel(
        linear, known, LinearFold.of(known, linear.weights, linear.bias), _nodata(linear, nodata)
    )


def _probe(encoding: Encoding) -> NDArray[np.float32]:
    """Return vectors like those that the encoding is for, by which models are compared."""
    rng = np.random.default_rng(0)
    mean = encoding.projection.mean
    vectors = rng.normal(size=(_PROBES, encoding.dimension)).astype(np.float32)
    vectors *= np.float32(np.sqrt(max(float(encoding.variance.mean()), 1e-12)))
    if mean is not None:
        vectors += mean
    return np.ascontiguousarray(encoding.target(vectors.T).T)


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
