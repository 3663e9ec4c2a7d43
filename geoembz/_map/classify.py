"""Maps of classes and of quantities: learn from labelled places, test, and predict every pixel."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from geoembz._map.bands import MapBands, MapClass
from geoembz._map.learners import KINDS, Kind
from geoembz._map.legend import distinct_colours
from geoembz._map.model_file import digest_model
from geoembz._map.model_map import LearnKeywords, ModelMap, ModelRequest
from geoembz._map.models import ModelKernel, Outputs, TrainedModel
from geoembz._map.options import TrainingOptions
from geoembz._map.outputs import read_identity
from geoembz._map.run import write_map
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader

_MOST_CLASSES = 255
_QUANTITY_KINDS: tuple[Kind, ...] = ("ridge", "knn")


def map_classify(
    store: str | Path | StoreReader,
    out: str | Path,
    *,
    model: str | Path = "logistic",
    probabilities: bool = False,
    save_model: str | Path | None = None,
    training: TrainingOptions | None = None,
    **flat: Unpack[LearnKeywords],
) -> ModelMap:
    """Map classes: learn from labelled places, test on places held out, and classify every pixel.

    The model learns from what the store holds, is tested on groups (polygons, or blocks) that it
    has not seen, and is then fitted on all labelled pixels and applied to codes: nothing is
    decoded. The bytes of the map do not depend on the number of workers.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    out
        ``.tif`` for a cloud-optimized GeoTIFF with a table of colours, ``.zarr`` for a Zarr store.
        Pixels hold labels that are whole numbers from 0 to 255 as they are, others are numbered
        from 1; nodata is 0, or 255 where 0 is a class.
    model
        ``logistic`` (regression), ``ridge`` or ``knn`` (the five nearest, by cosine); or the file
        of a model that `save_model` wrote.
    probabilities
        Also write ``…-probabilities``, beside `out`: float32, one band for each class.
    save_model
        Where to keep the model, ``.json``.
    training
        What it learns from; see `TrainingOptions`.
    **flat
        Any field of `training` by its own name, such as ``labels="fields.geojson"`` and
        ``column="crop"``; and what all maps take: `bbox`, `bbox_crs`, `time`, `level`, `grid`,
        `png`, `workers`, `scheduler`, `overwrite`, `break_lock` and `progress`, as in
        `map_similar`.

    Returns
    -------
    result
        What was written, and how good it is.

    Raises
    ------
    InvalidConfigError
        If a column is missing, a class has one pixel, the model is another encoding's, or options
        cannot work together.
    SourceError
        If the labels cannot be read, or none lies on the store.
    StoreError
        If the store cannot be read, or the map cannot be written.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "cover.zarr", pca=16)
    >>> result = map_classify(tmp_path / "cover.zarr", tmp_path / "c.tif", labels=files.labels)
    >>> result.held_out.split, result.held_out.scores["accuracy"].value > 0.5
    ('blocked', True)
    """
    request = ModelRequest.gather("map_classify", flat, training, model, save_model)
    request.check(out, KINDS)
    beside = beside_name(out, "probabilities")
    if probabilities and read_identity(beside) is None:  # else it may be this command's
        request.options.check(beside)
    region = request.place.open(request.options.place(store))
    encoding = region.reader.encoding
    found, held_out = request.get_model(store, encoding, quantities=False)
    outputs = found.outputs(encoding)
    bands, values = class_bands(found)
    more = None
    if probabilities:
        shares = _probability_kernel(found, bands, outputs)
        more = write_map([region], shares, beside, replace(request.options, png=None), repeats=True)
    kernel = ModelKernel(bands, outputs, "classes", digest_model(found), values)
    saves = partial(request.save, found)
    written = write_map([region], kernel, out, request.options, at_the_end=saves)
    return ModelMap(written, found.kind, held_out, more, request.saved)


def _probability_kernel(model: TrainedModel, bands: MapBands, outputs: Outputs) -> ModelKernel:
    """Return what maps the probability of each class of `bands`.

    Raises
    ------
    InvalidConfigError
        If the model gives none.
    """
    link = None if model.linear is None else model.linear.link
    if link == "none":
        raise InvalidConfigError(
            f"model {model.kind}: it gives no probabilities; use logistic or knn, or leave them out"
        )
    names = tuple(each.name for each in bands.classes)
    shares = MapBands("probability", names, "float32", np.nan, tags=bands.tags)
    return ModelKernel(shares, outputs, "probabilities", digest_model(model), link=link)


def beside_name(out: str | Path, what: str) -> str:
    """Return the name of a second file or store beside `out`.

    Examples
    --------
    >>> beside_name("maps/cover.tif", "probabilities")
    'maps/cover-probabilities.tif'
    """
    stem, dot, suffix = str(out).rpartition(".")
    return f"{stem}-{what}{dot}{suffix}"


def class_bands(model: TrainedModel) -> tuple[MapBands, NDArray[np.uint8]]:
    """Return what a map of classes holds, and the number that stands for each class.

    Raises
    ------
    InvalidConfigError
        If there are more classes than a table of colours holds.
    """
    assert model.classes is not None  # noqa: S101 - checked when it was loaded or trained
    classes = model.classes.tolist()
    if len(classes) > _MOST_CLASSES:
        raise InvalidConfigError(
            f"classify: {len(classes):,} classes; a map holds up to {_MOST_CLASSES}: join some, or "
            "make a map of numbers (geoembz map regress)"
        )
    numbers = [*range(1, len(classes) + 1)]
    if all(isinstance(each, int) for each in classes):
        has_room = classes[0] >= 0 and classes[-1] <= (254 if 0 in classes else 255)
        numbers = classes if has_room else numbers
    colours = distinct_colours(len(classes))
    known = tuple(
        MapClass(number, model.legend.name(label), model.legend.colour(label, colour))
        for number, label, colour in zip(numbers, classes, colours, strict=True)
    )
    nodata = 255 if 0 in numbers else 0
    bands = MapBands("classes", ("class",), "uint8", nodata, known, tags={"learner": model.kind})
    return bands, np.array(numbers, np.uint8)


def map_regress(
    store: str | Path | StoreReader,
    out: str | Path,
    *,
    model: str | Path = "ridge",
    save_model: str | Path | None = None,
    training: TrainingOptions | None = None,
    **flat: Unpack[LearnKeywords],
) -> ModelMap:
    """Map a quantity: learn from places where it is known, test it, and predict every pixel.

    As `map_classify`, for numbers.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    out
        ``.tif`` or ``.zarr``: float32, NaN without data.
    model
        ``ridge`` (regression) or ``knn`` (the mean of the five nearest, by cosine); or the file of
        a model that `save_model` wrote.
    save_model
        Where to keep the model, ``.json``.
    training
        What it learns from; see `TrainingOptions`.
    **flat
        As in `map_classify`.

    Returns
    -------
    result
        What was written, and how good it is.

    Raises
    ------
    InvalidConfigError, SourceError, StoreError
        As `map_classify`; and if the labels are texts.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "n.zarr", pca=16)
    >>> result = map_regress(tmp_path / "n.zarr", tmp_path / "n.tif", labels=files.labels)
    >>> sorted(result.held_out.scores)
    ['r2', 'rmse']
    """
    request = ModelRequest.gather("map_regress", flat, training, model, save_model)
    request.check(out, _QUANTITY_KINDS)
    region = request.place.open(request.options.place(store))
    encoding = region.reader.encoding
    found, held_out = request.get_model(store, encoding, quantities=True)
    name = str(found.training.get("column") or "prediction")
    bands = MapBands("quantity", (name,), "float32", np.nan, tags={"learner": found.kind})
    outputs = found.outputs(encoding)
    kernel = ModelKernel(bands, outputs, "numbers", digest_model(found))
    saves = partial(request.save, found)
    written = write_map([region], kernel, out, request.options, at_the_end=saves)
    return ModelMap(written, found.kind, held_out, saved=request.saved)
