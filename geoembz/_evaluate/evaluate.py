"""The public call: evaluate a store against its source, or recipes on a source or a table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from geoembz._evaluate.cross_validation import divide
from geoembz._evaluate.evaluation import Evaluation
from geoembz._evaluate.experiment import Experiment
from geoembz._evaluate.inputs import read_sample, read_table
from geoembz._evaluate.labels import read_labels
from geoembz._evaluate.sample import DEFAULTS, ExperimentKeywords, ExperimentOptions, Sample
from geoembz._evaluate.tasks import choose_tasks
from geoembz._util.options import gather_one
from geoembz._util.progress import Progress
from geoembz._util.threads import check_workers, worker_count
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import make_absolute, store_for
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source, open_source
from geoembz.store import StoreReader


def evaluate(
    store: str | Path | None = None,
    *,
    source: str | Path | Source | None = None,
    table: str | Path | Sample | None = None,
    recipes: Sequence[str | Recipe | Encoding] = (),
    n_folds: int | None = None,
    tasks: Sequence[str] | None = None,
    experiment: ExperimentOptions | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
    **flat: Unpack[ExperimentKeywords],
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
    n_folds
        Folds to test, 1 for a single split; by default 1 where it holds enough groups, else 5.
    tasks
        Any of ``knn`` (nearest neighbours vote, codes compared with codes), ``knn_float_query``
        (queries not compressed, as in `search`), ``knn_whitened`` and ``knn_float_query_whitened``
        (the same by ``cosine-w0.5``), ``knn_slightly_whitened`` and
        ``knn_float_query_slightly_whitened`` (by ``cosine-w0.25``), ``hamming``, ``probe``,
        ``regression``, ``segmentation``, ``change`` and ``retrieval``; by default those that suit
        the labels, but for the whitened.
    experiment
        Which rows are judged, and how they are divided; see `ExperimentOptions`.
    workers
        Blocks of a source, and chunks of a store, that are read at once; None for one per core.
    scheduler
        Where these are read instead; see `geoembz.convert`. What is fitted and judged stays here.
    progress
        Called with the numbers of finished and of all recipes.
    **flat
        Any field of `experiment` by its own name: ``evaluate(…, labels="l.tif", seed=1)`` is
        ``evaluate(…, experiment=ExperimentOptions(labels="l.tif", seed=1))``.

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
    SchedulerError
        If no scheduler answers, or its workers are lost.

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
    options = gather_one("evaluate", flat, "experiment", experiment, DEFAULTS)
    check_workers("evaluate", workers)
    check_scheduler(scheduler)
    reader = _open_store(store, source, table, scheduler)
    if options.samples < 10:
        raise InvalidConfigError(f"evaluate: {options.samples} samples; expected 10 or more")
    chosen: list[str | Recipe | Encoding] = [] if reader is None else [reader.encoding]
    chosen += recipes
    if not chosen:
        raise InvalidConfigError("evaluate: nothing to judge; give a store, or --recipes a,b,c")
    if options.vector is not None and table is None:
        raise InvalidConfigError("evaluate: --vector names a column of a table; leave it out")
    if source is None:
        if reader is not None or options.labels is not None or options.after is not None:
            raise InvalidConfigError("evaluate: a table has its labels, and no store; use --source")
        if scheduler is not None:
            raise InvalidConfigError(
                f"scheduler {scheduler!r}: for rasters only; a table is read here, leave it out"
            )
        sample = table_sample(table, options)
    else:
        whole_windows = "segmentation" in (tasks or ())
        opened, known = open_once(source), options
        if scheduler is not None:
            known = replace(options, after=make_absolute(options.after))
        with open_workers(scheduler, worker_count(workers)) as pool:
            sample = raster_sample(
                opened if scheduler is None else open_once(make_absolute(source)),
                known,
                reader,
                whole_windows=whole_windows,
                pool=pool,
            )
        sample = replace(sample, name=opened.name)
    division = divide(sample, options, n_folds)
    return Experiment(sample, division, choose_tasks(sample, tasks), options.seed).run(
        chosen, progress
    )


def table_sample(table: Any, options: ExperimentOptions) -> Sample:
    """Return a table's rows."""
    if isinstance(table, Sample):
        return table
    return read_table(
        table, label_column=options.label_column, groups=options.groups, vector=options.vector
    )


def raster_sample(
    source: Source,
    options: ExperimentOptions,
    store: StoreReader | None = None,
    *,
    whole_windows: bool,
    pool: Workers | None = None,
) -> Sample:
    """Draw pixels of a source; `store`, `whole_windows` and `pool` as in `read_sample`.

    Raises
    ------
    InvalidConfigError
        If options of labels are given without labels.
    """
    of_labels = options.label_column, options.groups, options.label_nodata
    labels = None
    if options.labels is not None:
        labels = read_labels(options.labels, source.grid, *of_labels)
    elif any(option is not None for option in of_labels):
        raise InvalidConfigError(
            "evaluate: --label-column, --label-nodata and --groups need --labels (or --table)"
        )
    return read_sample(
        source,
        labels=labels,
        after=None if options.after is None else open_once(options.after),
        store=store,
        n_samples=options.samples,
        whole_windows=whole_windows,
        seed=options.seed,
        pool=pool,
    )


def open_once(source: str | Path | Source) -> Source:
    """Open a source, unless it is open."""
    return open_source(source) if isinstance(source, str | Path) else source


def _open_store(
    store: str | Path | None, source: object, table: object, scheduler: str | None
) -> StoreReader | None:
    """Open the store to judge, if there is one, after a look at what it comes with."""
    if store is not None and source is None and table is None:
        raise InvalidConfigError(
            f"evaluate: {store} is judged against what it was made from; give that with --source"
            f"{_made_from(str(store))}"
        )
    if (table is None) == (source is None):
        raise InvalidConfigError(
            "evaluate: give a source (of the store, or to try recipes on), or a table; not both"
        )
    return None if store is None else StoreReader.open(str(store_for(scheduler, store)))


def _made_from(store: str) -> str:
    """Return what a store says about its inputs, for the advice to name them."""
    uris = [str(entry.get("uri", "")) for entry in StoreReader.open(store).attributes.sources]
    if not uris:
        return ""
    more = f" and {len(uris) - 1} more" if len(uris) > 1 else ""
    return f" (it was made from {uris[0].removeprefix('file:')}{more})"
