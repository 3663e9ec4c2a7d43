"""Build an inverted-file index of FAISS out of codes, and search it.

FAISS trains the centres of the lists on a sample of vectors. After that each code goes to the list
of its nearest centre as it is stored: nothing is encoded again.

References: J. Johnson, M. Douze, H. Jégou, Billion-scale similarity search with GPUs, IEEE
Transactions on Big Data (2019); M. Douze et al., The Faiss library, arXiv:2401.08281 (2024).
"""

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._index.form import VectorForm
from geoembz._index.rows import Rows, numbered, read_rows, sample_rows
from geoembz._search.parts import Part
from geoembz._util.optional import import_extra
from geoembz.errors import InvalidConfigError, NoValidPixelsError

_log = logging.getLogger("geoembz.index")

_SAMPLES_PER_LIST = 64
"""Vectors that centres are trained on: FAISS warns below 39 for each."""

_MOST_LISTS = 65_536
_SAMPLED_BLOCKS = 64
_ITERATIONS = 12


def load_faiss() -> Any:
    """Return the package.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    return import_extra("faiss", "faiss", "index: a .faiss file needs FAISS")


def count_lists(n_vectors: int) -> int:
    """Return how many lists so many vectors get: about 2 √n, a power of two.

    Examples
    --------
    >>> count_lists(4_000_000)
    4096
    """
    return int(min(2 ** round(np.log2(max(2 * np.sqrt(n_vectors), 1))), _MOST_LISTS))


def build(
    form: VectorForm, parts: Sequence[Part], lists: int | None, seed: int, threads: int
) -> Any:
    """Return an index of all vectors of some parts.

    Parameters
    ----------
    form
        How it gets them.
    parts
        Of a store.
    lists
        Inverted lists; None for `count_lists`.
    seed
        Of the sample, and of the first centres.
    threads
        That FAISS uses.

    Raises
    ------
    NoValidPixelsError
        If no pixel holds an embedding.
    InvalidConfigError
        If there are fewer vectors than lists.
    """
    faiss = load_faiss()
    faiss.omp_set_num_threads(threads)
    n_lists = lists or count_lists(sum(part.count for part in parts))
    sample = sample_rows(parts, n_lists * _SAMPLES_PER_LIST, _SAMPLED_BLOCKS, seed)
    drawn = sum(len(rows.positions) for rows in sample)
    if not drawn:
        raise NoValidPixelsError("index: no pixel there holds an embedding; expected some to find")
    if lists is not None and drawn < lists:
        raise InvalidConfigError(f"lists={lists}: a sample has {drawn:,} vectors; ask for fewer")
    n_lists = min(n_lists, drawn)
    _log.info("training %s lists", f"{n_lists:,}")
    made = _empty_bits if form.kind == "bits" else _empty
    index = made(faiss, form, sample, n_lists, seed)
    _log.info("adding vectors")
    for rows in read_rows(parts):
        _add(faiss, index, form, rows, numbered(parts, rows))
    return index


def _empty(faiss: Any, form: VectorForm, sample: Sequence[Rows], n_lists: int, seed: int) -> Any:
    """Return an index whose lists have centres, and nothing in them."""
    is_euclidean = form.metric.name == "euclidean"
    metric = faiss.METRIC_L2 if is_euclidean else faiss.METRIC_INNER_PRODUCT
    drawn = np.concatenate([form.vectors(rows.codes) for rows in sample])
    kmeans = faiss.Kmeans(
        form.length,
        n_lists,
        niter=_ITERATIONS,
        seed=seed,
        spherical=form.metric.name == "cosine",
        min_points_per_centroid=1,
    )
    kmeans.train(drawn)
    quantizer = faiss.IndexFlatL2(form.length)  # lists are regions of space, whatever the metric
    quantizer.add(kmeans.centroids)
    if form.kind == "pq":
        groups, _, _ = form.centroids.shape
        index = faiss.IndexIVFPQ(quantizer, form.length, n_lists, groups, 8, metric)
        faiss.copy_array_to_vector(form.centroids.reshape(-1), index.pq.centroids)
    else:
        kind = faiss.ScalarQuantizer
        held = kind.QT_8bit if form.kind == "int8" else kind.QT_fp16
        index = faiss.IndexIVFScalarQuantizer(quantizer, form.length, n_lists, held, metric)
        if form.kind == "int8":
            faiss.copy_array_to_vector(form.ranges, index.sq.trained)
    index.by_residual = False
    index.is_trained = True
    index.own_fields = True
    quantizer.this.disown()
    return index


def _empty_bits(
    faiss: Any, form: VectorForm, sample: Sequence[Rows], n_lists: int, seed: int
) -> Any:
    """Return an index of bits whose lists have centres, and nothing in them."""
    quantizer = faiss.IndexBinaryFlat(form.length)
    index = faiss.IndexBinaryIVF(quantizer, form.length, n_lists)
    index.cp.seed, index.cp.min_points_per_centroid = seed, 1
    index.train(np.concatenate([form.stored(rows.codes) for rows in sample]))
    index.own_fields = True
    quantizer.this.disown()
    return index


def _add(faiss: Any, index: Any, form: VectorForm, rows: Rows, numbers: NDArray[np.int64]) -> None:
    """Put codes into the lists of their nearest centres."""
    stored = form.stored(rows.codes)
    wanted = stored if form.kind == "bits" else form.vectors(rows.codes)
    _, nearest = index.quantizer.search(wanted, 1)
    order = np.argsort(nearest[:, 0], kind="stable")
    lists, codes, ids = nearest[order, 0], stored[order], numbers[order]
    edges = [*np.flatnonzero(np.diff(lists, prepend=-1)).tolist(), len(lists)]
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        index.invlists.add_entries(
            int(lists[start]), stop - start, faiss.swig_ptr(ids[part]), faiss.swig_ptr(codes[part])
        )
    index.ntotal += len(ids)


def write(index: Any, path: Path, form: VectorForm) -> None:
    """Write an index to a file of FAISS."""
    faiss = load_faiss()
    (faiss.write_index_binary if form.kind == "bits" else faiss.write_index)(index, str(path))


def read(path: Path, form: VectorForm) -> Any:
    """Read an index from a file of FAISS.

    Raises
    ------
    InvalidConfigError
        If it is none.
    """
    faiss = load_faiss()
    try:
        return (faiss.read_index_binary if form.kind == "bits" else faiss.read_index)(str(path))
    except RuntimeError as error:
        raise InvalidConfigError(
            f"{path}: no index of FAISS ({str(error).splitlines()[0]}); build it again"
        ) from error
