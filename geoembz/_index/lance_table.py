"""A store as a Lance dataset: the rows of a table, with an index over their vectors.

Lance keeps the vectors beside its index, on disk, and compares the best again by them. So they are
stored as they are, in reduced space, and nothing of ours is needed to ask for neighbours.

References: W. Pace et al., Lance: efficient random access in columnar storage, arXiv:2504.15247
(2025).
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from geoembz._index.faiss_index import count_lists
from geoembz._index.summary import IndexSummary
from geoembz._index.table import tables
from geoembz._search.parts import RasterPart, TablePart
from geoembz._util.arrow import pa
from geoembz._util.optional import import_extra
from geoembz._util.output import output_file
from geoembz.encoding import Metric
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.store import View

_NAMES = {"cosine": "cosine", "dot": "dot", "euclidean": "l2", "hamming": "hamming"}
"""Of metrics, as Lance has them."""

_FEWEST_VECTORS = 256
"""Vectors below which Lance compares all of them: it trains no lists on fewer."""


def load_lance() -> Any:
    """Return the package.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    return import_extra("lance", "lance", "index: a .lance folder needs Lance")


def write_lance(
    parts: Sequence[RasterPart] | Sequence[TablePart],
    target: Path,
    metric: Metric,
    space: View | None,
    lists: int | None,
) -> IndexSummary:
    """Write the vectors of some parts as a folder of Lance, and index them.

    Parameters
    ----------
    parts
        Of a store.
    target
        The folder; one of Lance that exists is replaced.
    metric
        Of the index.
    space
        Of the vectors; None for reduced, or for the codes where bits are compared.
    lists
        Of the index; None for `count_lists`.

    Raises
    ------
    InvalidConfigError
        If Lance cannot compare by the metric, or not in this space, or `target` is something else.
    NoValidPixelsError
        If no pixel holds an embedding.
    """
    lance = load_lance()
    if target.exists() and not (target / "_versions").is_dir():
        raise InvalidConfigError(f"{target}: is no folder of Lance; choose another name")
    chosen = choose_space(parts, metric, space)
    rows = tables(parts, chosen)
    first = next(rows, None)
    if first is None:
        raise NoValidPixelsError("index: no pixel there holds an embedding; expected some")
    batches = (batch for table in chain([first], rows) for batch in table.to_batches())
    reader = pa.RecordBatchReader.from_batches(first.schema, batches)
    with output_file(target) as partial:
        dataset = lance.write_dataset(reader, str(partial))
        count, made = dataset.count_rows(), 0
        if count >= _FEWEST_VECTORS:
            made = min(lists or count_lists(count), count)
            kind = "IVF_FLAT" if metric.name == "hamming" else "IVF_SQ"
            name = _NAMES[metric.name]
            dataset.create_index("embedding", kind, metric=name, num_partitions=made)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    length = first.schema.field("embedding").type.list_size
    return IndexSummary(str(target), "lance", chosen, str(metric), count, length, made, size)


def choose_space(
    parts: Sequence[RasterPart] | Sequence[TablePart], metric: Metric, space: View | None
) -> View:
    """Return the space that vectors are written in.

    Raises
    ------
    InvalidConfigError
        If Lance cannot compare by the metric, or not in this space.
    """
    parts[0].encoding.check_metric(metric)
    if metric.whiten:
        raise InvalidConfigError(
            f"metric {str(metric)!r}: Lance weighs no components; choose cosine, dot or euclidean"
        )
    is_hamming = metric.name == "hamming"
    if space is not None and (space == "codes") != is_hamming:
        raise InvalidConfigError(
            f"space {space!r} with metric {metric.name!r}: Lance compares codes by hamming, and "
            "only them; leave the space out"
        )
    return space or ("codes" if is_hamming else "reduced")
