"""Search an index, and tell what it finds as places of the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from geoembz._index import faiss_index
from geoembz._index.form import VectorForm
from geoembz._index.side_file import SideFile, roots_of
from geoembz._search.metrics import check_queries
from geoembz._search.nearest import to_result
from geoembz._search.parts import RasterPart, TablePart, open_parts
from geoembz._search.result import SearchResult
from geoembz._util.options import check_whole
from geoembz.encoding import Metric
from geoembz.errors import InvalidConfigError

PROBES = 16
"""Lists that a search looks into, unless it is told otherwise."""


@dataclass(frozen=True, eq=False)
class StoreIndex:
    """An open index of a store.

    Parameters
    ----------
    path
        Its file.
    engine
        The index as FAISS has it; its numbers are positions that only `search` can place.
    form
        How vectors are held.
    parts
        Of the store.
    """

    path: str
    engine: Any
    form: VectorForm
    parts: Sequence[RasterPart] | Sequence[TablePart]

    def search(self, query: ArrayLike, k: int = 10, *, probes: int = PROBES) -> SearchResult:
        """Find most of the k nearest vectors of each query.

        Parameters
        ----------
        query
            Vectors in original space, shape ``(dimension,)`` or ``(n_queries, dimension)``.
        k
            How many to find for each.
        probes
            Lists to look into: more find more, and take longer. All lists find what an exhaustive
            search finds, but for the rounding of float16.

        Returns
        -------
        result
            As of `geoembz.search`. Where the lists hold fewer than k vectors for some query, all
            have as many as that one.

        Raises
        ------
        InvalidConfigError
            If the query cannot work.
        """
        check_whole(k=k, probes=probes)
        if k < 1 or probes < 1:
            raise InvalidConfigError(f"k={k}, probes={probes}; expected 1 or more of both")
        vectors = check_queries(self.form.encoding, query)
        self.engine.nprobe = probes
        found, positions = self.engine.search(self.form.queries(vectors), k)
        count = int((positions >= 0).sum(axis=1).min())
        if not count:
            raise InvalidConfigError(
                f"{self.path}: {probes} lists hold no vector for some query; ask for more probes"
            )
        total = int(self.engine.ntotal)
        scores = self.form.scores(vectors, found[:, :count])
        places = positions[:, :count]
        return to_result(self.parts, str(self.form.metric), scores, places, total, None)


def open_index(path: str | Path, store: str | Path | None = None) -> StoreIndex:
    """Open an index that `geoembz.index` wrote, and the store that it belongs to.

    Parameters
    ----------
    path
        The file ``.faiss``; beside it lies ``.faiss.json``.
    store
        Where the store is now; None for where it was indexed.

    Raises
    ------
    InvalidConfigError
        If it is no index, or the store has changed since.
    MissingPackageError
        If FAISS is not installed.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "o.zarr", pca=16)
    >>> _ = geoembz.index(tmp_path / "o.zarr", tmp_path / "o.faiss", metric="dot", lists=4)
    >>> open_index(tmp_path / "o.faiss").form.kind
    'int8'
    """
    side = SideFile.read(Path(path))
    box = side.part["bbox"]
    parts = open_parts(
        side.store if store is None else store,
        None if box is None else (box[0], box[1], box[2], box[3]),
        side.part["bbox_crs"],
        side.part["time"],
        side.part["level"],
    )
    if roots_of(parts) != side.roots:
        raise InvalidConfigError(
            f"{path}: not an index of {parts[0].reader.url} as it is now: positions may be others; "
            "build the index again"
        )
    form = VectorForm.of(parts[0].encoding, Metric.parse(side.metric))
    return StoreIndex(str(path), faiss_index.read(Path(path), form), form, parts)
