"""Write an index of a store: a file of FAISS, or a table that databases read."""

from pathlib import Path
from typing import Literal, get_args

from geoembz._geo import BBox
from geoembz._index import faiss_index
from geoembz._index.form import VectorForm
from geoembz._index.lance_table import load_lance, write_lance
from geoembz._index.side_file import SideFile
from geoembz._index.summary import IndexSummary
from geoembz._index.table import write_table
from geoembz._search.parts import AnyStore, open_parts
from geoembz._search.queries import choose_metric
from geoembz._util.options import check_whole
from geoembz._util.output import output_file
from geoembz._util.threads import check_workers, worker_count
from geoembz.errors import InvalidConfigError
from geoembz.sources.features.write import PARQUET, check_output
from geoembz.store import View

type Engine = Literal["faiss", "parquet", "lance"]

ENGINES: tuple[Engine, ...] = get_args(Engine.__value__)


def index(
    store: AnyStore,
    out: str | Path,
    *,
    to: Engine | None = None,
    metric: str | None = None,
    space: View | None = None,
    lists: int | None = None,
    seed: int = 0,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    level: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> IndexSummary:
    """Hand the vectors of a store to an engine that finds neighbours without comparing them all.

    `geoembz.search` compares every vector, which is exact and needs no index: it takes about a
    second for ten million. An index answers in milliseconds, finds most of the nearest, and holds
    all vectors in memory.

    Parameters
    ----------
    store
        Path, URL, or open reader: of a raster (all grids and dates), or of a table.
    out
        ``.faiss``, beside which a file ``.faiss.json`` says where its vectors lie; ``.parquet``; or
        ``.lance``, a folder.
    to
        ``faiss``: inverted lists, codes in them as they are stored where FAISS knows their kind
        (int8, pq, bits), else reduced vectors as float16. ``parquet``: a row for each pixel, with
        its place and vector, for DuckDB and other databases. ``lance``: such rows and an index over
        them, for Lance and LanceDB. None: by the name of `out`.
    metric
        Of FAISS and Lance: ``cosine``, ``dot``, ``euclidean``, ``hamming``, or, of FAISS,
        ``cosine-w0.5`` and the like, as in `geoembz.search`. None: what the store recommends, else
        ``cosine``.
    space
        Of tables: ``reduced`` (None is that), ``original`` or ``codes``, which Lance takes to
        compare by ``hamming`` (None is that then).
    lists
        Of FAISS and Lance: how many lists; None for about 2 √n.
    seed
        Of the sample that FAISS finds the centres of lists on.
    bbox, bbox_crs, time, level
        Which part, as in `geoembz.search`.
    workers
        Threads of FAISS; None for one per core.
    overwrite
        Replace a file that exists.

    Returns
    -------
    summary
        What was written.

    Raises
    ------
    InvalidConfigError
        If the options cannot work.
    MissingPackageError
        If FAISS or Lance is not installed.
    NoValidPixelsError
        If no pixel of the part holds an embedding.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "i.zarr", pca=16)
    >>> summary = index(tmp_path / "i.zarr", tmp_path / "i.faiss", lists=8)
    >>> summary.holds, summary.lists
    ('float16', 8)
    >>> found = geoembz.open_index(tmp_path / "i.faiss")
    >>> tile = geoembz.open(tmp_path / "i.zarr")
    >>> best = found.search(tile.embedding[:, 3, 4].values, k=1, probes=8)
    >>> int(best.rows[0, 0]), int(best.cols[0, 0])
    (3, 4)
    """
    check_whole(lists=lists, seed=seed)
    check_workers("index", workers)
    if lists is not None and lists < 1:
        raise InvalidConfigError(f"lists={lists}; expected 1 or more")
    if seed < 0:
        raise InvalidConfigError(f"seed {seed}; expected 0 or more")
    engine = to or _engine_of(Path(out))
    if engine not in ENGINES:
        raise InvalidConfigError(f"to {to!r}; expected one of {', '.join(ENGINES)}")
    if engine == "parquet":
        _refuse(metric=metric, lists=lists)
        target = check_output(out, PARQUET, overwrite=overwrite)
        parts = open_parts(store, bbox, bbox_crs, time, level)
        return write_table(parts, target, space or "reduced")
    if engine == "lance":
        target = check_output(out, (".lance",), overwrite=overwrite)
        load_lance()
        parts = open_parts(store, bbox, bbox_crs, time, level)
        return write_lance(parts, target, choose_metric(metric, parts[0].reader), space, lists)
    _refuse(space=space)
    target = check_output(out, (".faiss",), overwrite=overwrite)
    faiss_index.load_faiss()
    parts = open_parts(store, bbox, bbox_crs, time, level)
    form = VectorForm.of(parts[0].encoding, choose_metric(metric, parts[0].reader))
    built = faiss_index.build(form, parts, lists, seed, worker_count(workers))
    side = SideFile.of(
        parts, form, store, {"bbox": bbox, "bbox_crs": bbox_crs, "time": time, "level": level}
    )
    with output_file(target) as partial:
        faiss_index.write(built, partial, form)
    side.write(target)
    return IndexSummary(
        str(target),
        engine,
        form.kind,
        str(form.metric),
        int(built.ntotal),
        form.length,
        int(built.nlist),
        target.stat().st_size,
    )


def _engine_of(out: Path) -> Engine:
    """Return the engine that a name is for, by its end."""
    suffix = out.suffix.lower()
    if suffix in PARQUET:
        return "parquet"
    return "lance" if suffix == ".lance" else "faiss"


def _refuse(**others: object) -> None:
    """Refuse options of the other engine."""
    for name, value in others.items():
        if value is not None:
            goes = "tables (.parquet)" if name == "space" else "FAISS and Lance"
            raise InvalidConfigError(f"{name} {value!r}: it is for {goes} only; leave it out")
