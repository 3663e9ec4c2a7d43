"""The public call: evaluate a store against its source, or recipes on a source or a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geoembz._evaluate.rasters import LabelOptions, read_sample
from geoembz._evaluate.result import Evaluation
from geoembz._evaluate.run import Progress, evaluate_sample
from geoembz._evaluate.sample import Sample
from geoembz._evaluate.tables import read_table
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source, open_source
from geoembz.store import StoreReader

SAMPLES = 20_000
"""Rows evaluated, by default."""


def evaluate(
    store: str | Path | None = None,
    *,
    source: str | Path | Source | None = None,
    table: str | Path | Sample | None = None,
    recipes: Sequence[str | Recipe | Encoding] = (),
    labels: str | Path | None = None,
    label_column: str | None = None,
    label_nodata: float | None = None,
    groups: str | None = None,
    vector: str | None = None,
    after: str | Path | Source | None = None,
    split: str | None = None,
    block_size: float | None = None,
    n_folds: int | None = None,
    tasks: Sequence[str] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Say what a compression costs a task: scores against the uncompressed vectors, with intervals.

    Either a `store` with the `source` that it was made from (and, for comparison, further
    `recipes`), or `recipes` on a `source` or a `table`. Everything that is fitted is fitted on
    training rows; only a store's encoding comes as it is.

    Parameters
    ----------
    store
        Path or URL of a store.
    source
        The uncompressed embeddings, a raster.
    table
        An ``.npz`` or Parquet table (see `read_table`), or a `Sample`.
    recipes
        Recipes to fit and judge, such as ``pca64-int8``.
    labels
        Labels of pixels: raster, polygons or points (see `read_labels`).
    label_column, label_nodata, groups
        Attribute of the labels, label that means none, and attribute (or raster) of the groups.
    vector
        Column of a table's vectors; see `read_table`.
    after
        The same place at a second date, for change detection.
    split, block_size, n_folds
        How rows are divided (see `divide`); rasters are split by blocks of `block_size` metres.
    tasks
        Any of ``knn``, ``hamming``, ``probe``, ``regression``, ``segmentation``, ``change`` and
        ``retrieval``; those that suit the labels by default.
    samples
        Pixels to draw from a raster.
    seed
        Seed of every random choice.
    progress
        Called with the numbers of finished and of all recipes.

    Returns
    -------
    evaluation
        With `to_json` and `to_table`.

    Raises
    ------
    InvalidConfigError
        If options cannot work together, or the labels are of one class.
    SourceError
        If an input cannot be read, or store, source and labels do not belong together.
    StoreError
        If the store cannot be read.

    References
    ----------
    Robinson & Corley, *Compressing Earth Embeddings*, 2026, for the protocol.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "e.zarr", pca=16)
    >>> evaluation = evaluate(
    ...     tmp_path / "e.zarr", source=files.embedding, labels=files.labels, tasks=["knn"]
    ... )
    >>> evaluation.recipes[0].recipe, evaluation.split["kind"]
    ('pca16-int8', 'blocked')
    """
    if store is not None and source is None and table is None:
        raise InvalidConfigError(
            f"evaluate: {store} is judged against what it was made from; give that with --source"
            f"{_made_from(str(store))}"
        )
    if (table is None) == (source is None):
        raise InvalidConfigError(
            "evaluate: give a source (of the store, or to try recipes on), or a table; not both"
        )
    if samples < 10:
        raise InvalidConfigError(f"evaluate: {samples} samples; expected 10 or more")
    reader = None if store is None else StoreReader.open(str(store))
    judged: list[str | Recipe | Encoding] = [] if reader is None else [reader.encoding]
    judged += recipes
    if not judged:
        raise InvalidConfigError("evaluate: nothing to judge; give a store, or --recipes a,b,c")
    if vector is not None and table is None:
        raise InvalidConfigError("evaluate: --vector names a column of a table; leave it out")
    if source is None:
        if reader is not None or labels is not None or after is not None:
            raise InvalidConfigError("evaluate: a table has its labels, and no store; use --source")
        sample = table_sample(table, label_column, groups, vector)
    else:
        options = label_options(labels, label_column, groups, label_nodata)
        sample = read_sample(
            opened(source),
            labels=options,
            after=None if after is None else opened(after),
            store=reader,
            n_samples=samples,
            whole_windows="segmentation" in (tasks or ()),
            seed=seed,
        )
    return evaluate_sample(
        sample,
        judged,
        tasks=tasks,
        split=split,
        block_size=block_size,
        n_folds=n_folds,
        seed=seed,
        progress=progress,
    )


def table_sample(
    table: Any, label_column: str | None, groups: str | None, vector: str | None
) -> Sample:
    """Return a table's rows."""
    if isinstance(table, Sample):
        return table
    return read_table(table, label_column=label_column, groups=groups, vector=vector)


def opened(source: str | Path | Source) -> Source:
    """Open a source, unless it is open."""
    return open_source(source) if isinstance(source, str | Path) else source


def label_options(
    labels: str | Path | None, column: str | None, groups: str | None, nodata: float | None
) -> LabelOptions | None:
    """Return where labels come from.

    Raises
    ------
    InvalidConfigError
        If options of labels are given without labels.
    """
    if labels is not None:
        return LabelOptions(labels, column, groups, nodata)
    if column is not None or groups is not None or nodata is not None:
        raise InvalidConfigError(
            "evaluate: --label-column, --label-nodata and --groups need --labels (or --table)"
        )
    return None


def _made_from(store: str) -> str:
    """Return what a store says about its inputs, for the advice to name them."""
    uris = [str(entry.get("uri", "")) for entry in StoreReader.open(store).attributes.sources]
    if not uris:
        return ""
    more = f" and {len(uris) - 1} more" if len(uris) > 1 else ""
    return f" (it was made from {uris[0].removeprefix('file:')}{more})"
