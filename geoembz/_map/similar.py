"""Map how alike every pixel is to some examples: the scores of `geoembz.search`, as a raster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from geoembz._export.region import Region
from geoembz._map.bands import MapBands, MapClass
from geoembz._map.examples import Examples, gather_examples
from geoembz._map.kernel import Kernel, fingerprint
from geoembz._map.options import MapKeywords, gather_keywords
from geoembz._map.run import write_map
from geoembz._map.summary import MapSummary
from geoembz._predict.linear import read_model
from geoembz._search.linear_fold import LinearFold
from geoembz._search.metrics import check_queries, scorer
from geoembz._search.queries import choose_metric, join_examples
from geoembz._search.scorer import Scorer
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Metric
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader

type Rule = Literal["mean", "logistic"]

RULES: tuple[Rule, ...] = get_args(Rule.__value__)

_UNLIKE, _LIKE = (225, 225, 225), (200, 30, 90)


@dataclass(frozen=True)
class _Cut:
    """Scores as they are, or as classes by a threshold."""

    kind: str
    threshold: float | None
    tags: Mapping[str, str]
    is_distance: bool

    @property
    def bands(self) -> MapBands:
        if self.threshold is None:
            return MapBands("similarity", (self.kind,), "float32", np.nan, tags=self.tags)
        sign = "at most" if self.is_distance else "at least"
        classes = (
            MapClass(0, "unlike", _UNLIKE),
            MapClass(1, f"{self.kind} {sign} {self.threshold:g}", _LIKE),
        )
        return MapBands("similarity", ("like",), "uint8", 255, classes, tags=self.tags)

    def apply(self, scores: NDArray[Any]) -> NDArray[Any]:
        if self.threshold is None:
            return scores.astype(np.float32, copy=False)
        is_like = scores <= self.threshold if self.is_distance else scores >= self.threshold
        return is_like.astype(np.uint8)


@dataclass(frozen=True)
class SimilarKernel:
    """Scores of one query.

    Parameters
    ----------
    scorer
        Of the query.
    query
        float32, shape ``(1, dimension)``.
    cut
        Whether scores are cut at a threshold.
    """

    scorer: Scorer
    query: NDArray[np.float32]
    cut: _Cut

    @classmethod
    def of(cls, region: Region, query: NDArray[Any], metric: Metric, cut: _Cut) -> Self:
        """Prepare a query for the codes of a region.

        Raises
        ------
        InvalidConfigError
            If it is no query for them.
        """
        encoding, n_pixels = region.reader.encoding, region.window.size
        vectors = check_queries(encoding, query)
        if len(vectors) != 1:
            raise InvalidConfigError(f"map similar: {len(vectors)} vectors; expected one")
        if metric.name == "cosine" and not vectors.any():
            raise InvalidConfigError(
                "map similar: the query is 0, which has no direction; expected examples that "
                "differ from the counter-examples, or a metric that is no cosine (--metric)"
            )
        return cls(scorer(encoding, query, metric, n_pixels=n_pixels), vectors, cut)

    @property
    def bands(self) -> MapBands:
        """One band of scores, or of 0 and 1."""
        return self.cut.bands

    @property
    def identity(self) -> dict[str, Any]:
        """The query."""
        return {"query": fingerprint([self.query]), "threshold": self.cut.threshold}

    def __call__(self, *codes: Codes) -> NDArray[Any]:
        """Return scores, shape ``(1, n_pixels)``."""
        (block,) = codes
        return self.cut.apply(self.scorer.scores(self.scorer.distances(block)))


@dataclass(frozen=True)
class LogisticKernel:
    """Probabilities by a logistic model.

    Parameters
    ----------
    fold
        Its scores.
    cut
        Whether probabilities are cut at a threshold.
    """

    fold: LinearFold
    cut: _Cut

    @classmethod
    def of(cls, region: Region, examples: Examples, cut: _Cut) -> Self:
        """Fit a model to examples and counter-examples, and fold it into the encoding.

        Numbers are scaled to unit variance first; both sides weigh alike, however many there are.

        Raises
        ------
        InvalidConfigError
            If one of the two is missing.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if not len(examples.unlike):
            raise InvalidConfigError(
                "rule 'logistic': no counter-example; expected some, to tell apart from "
                f"{len(examples.like)} examples; name them (--unlike), or take rule 'mean'"
            )
        vectors = np.concatenate([examples.unlike, examples.like]).astype(np.float64)
        labels = np.repeat([0, 1], [len(examples.unlike), len(examples.like)])
        regression = LogisticRegression(class_weight="balanced", max_iter=10_000)
        model = make_pipeline(StandardScaler(), regression).fit(vectors, labels)
        encoding = region.reader.encoding
        linear = read_model(model, encoding)
        return cls(LinearFold.of(encoding, linear.weights, linear.bias), cut)

    @property
    def bands(self) -> MapBands:
        """One band of probabilities, or of 0 and 1."""
        return self.cut.bands

    @property
    def identity(self) -> dict[str, Any]:
        """The weights."""
        weights = fingerprint([self.fold.weights, self.fold.bias])
        return {"weights": weights, "threshold": self.cut.threshold}

    def __call__(self, *codes: Codes) -> NDArray[Any]:
        """Return probabilities, shape ``(1, n_pixels)``."""
        from scipy.special import expit

        (block,) = codes
        return self.cut.apply(expit(self.fold(block)))


def map_similar(
    store: str | Path | StoreReader,
    out: str | Path,
    *,
    like: Any = None,
    unlike: Any = None,
    examples: Any = None,
    column: str | None = None,
    vector: NDArray[Any] | None = None,
    crs: str | None = None,
    metric: str | None = None,
    rule: Rule = "mean",
    threshold: float | None = None,
    **flat: Unpack[MapKeywords],
) -> MapSummary:
    """Map how alike every pixel is to some places: the scores of `geoembz.search`, as a raster.

    Codes are compared as they are stored, shard by shard; nothing is decoded, and memory does not
    grow with the store. The bytes of the map do not depend on the number of workers. An
    interrupted call is finished by the same call; before that, nothing is there under `out`.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    out
        ``.tif`` for a cloud-optimized GeoTIFF, ``.zarr`` for a Zarr store: float32, NaN without
        data.
    like, unlike
        Points ``[(x, y)]``, or polygons, as `geoembz.sample` takes them: examples, and
        counter-examples. They may lie outside `bbox`.
    examples
        A file of points or polygons, or what `geoembz.sample` takes.
    column
        Column of `examples` that says which are like (above 0, or true) and which unlike (0 or
        less, or false); those without a value do not count. None: all are like.
    vector
        Instead of places: the query, in original space, shape ``(dimension,)``.
    crs
        CRS of the examples, where they declare none or another.
    metric
        As in `geoembz.search`; None: what the store recommends, else ``cosine``.
    rule
        How examples become one query. ``mean``: the mean of the vectors that are like, less the
        mean of those that are unlike (for cosines, of their directions), as `vectors_at` has it.
        ``logistic``: a logistic regression between both, whose probability is the score; it takes
        no metric.
    threshold
        Write 1 where a score is at least this (of distances, at most), else 0: uint8, nodata 255.
    **flat
        What all maps take. Which part of the store: `bbox`, ``(xmin, ymin, xmax, ymax)``, and
        `bbox_crs`, its CRS (None for the store's); `time`, a year or date of a store that has
        several, for examples as well; `level`, 0 for the full resolution, of a store with
        overviews; `grid`, of a store that has several. How it is written: `png`, a picture beside
        it; `workers`, shards at once (None: one per core), or `scheduler`, see `geoembz.convert`;
        `overwrite`, to replace what is there; `break_lock`, to take `out` from a command that seems
        to hold it, on another machine and dead; `progress`, called with the numbers of finished
        and of all shards.

    Returns
    -------
    summary
        What was written.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or an example has no embedding.
    SourceError
        If no example lies in the store.
    NoValidPixelsError
        If the part that is mapped has no pixel with an embedding.
    StoreError
        If the store cannot be read, or the map cannot be written.

    References
    ----------
    J. J. Rocchio, Relevance feedback in information retrieval (1971).

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "like.zarr", pca=16)
    >>> tile = geoembz.open(tmp_path / "like.zarr")
    >>> place = float(tile.x[5]), float(tile.y[5])
    >>> summary = map_similar(
    ...     tmp_path / "like.zarr", tmp_path / "like.tif", like=[place], crs=tile.attrs["proj:code"]
    ... )
    >>> summary.shape, round(summary.figures.bands[0].most, 2)
    ((64, 64), 1.0)
    """
    place, options = gather_keywords("map_similar", flat)
    options.check(out)
    _check(metric, rule, threshold)
    region = place.open(options.place(store))
    chosen = choose_metric(metric, region.reader)
    if rule == "mean":
        cut = _Cut(str(chosen), threshold, {"rule": rule}, chosen.is_distance)
    else:
        cut = _Cut("probability", threshold, {"rule": rule}, is_distance=False)
    details: Mapping[str, Any] = {}
    with single_threaded_blas():
        if vector is not None:
            _refuse_both(rule, like, unlike, examples)
            query = np.asarray(vector)
            kernel: Kernel = SimilarKernel.of(region, query, chosen, cut)
        else:
            wanted = (like, unlike, examples, column, crs)
            found = gather_examples(store, *wanted, place.time, place.level)
            details = found.to_json()
            if rule == "mean":
                query = join_examples(found.like, found.unlike_or_none, chosen)
                kernel = SimilarKernel.of(region, query, chosen, cut)
            else:
                kernel = LogisticKernel.of(region, found, cut)
    return write_map([region], kernel, out, options, details)


def _check(metric: str | None, rule: str, threshold: float | None) -> None:
    if rule not in RULES:
        raise InvalidConfigError(f"rule {rule!r}; expected one of {', '.join(RULES)}")
    if rule == "logistic" and metric is not None:
        raise InvalidConfigError(
            f"metric {metric!r} with rule 'logistic': its score is a probability; leave one out"
        )
    if threshold is not None and not np.isfinite(threshold):
        raise InvalidConfigError(f"threshold {threshold}; expected a number")


def _refuse_both(rule: str, *examples: Any) -> None:
    if rule != "mean" or any(part is not None for part in examples):
        raise InvalidConfigError(
            "map similar: a vector is a query by itself; leave the examples and the rule out"
        )
