"""The things `benchmarks.tables` compares, each to be run in a process of its own.

``python -m benchmarks.tables_cases CASE TABLE …`` prints the seconds that the case took, as JSON.
"""

import json
import sys
import time
from pathlib import Path

RANK = 48
_BLOCK = 8192


def make(path: Path, count: int, group: int, dimension: int) -> float:
    """Write a table of vectors that compress as embeddings do, with places and a text."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    scale = (1 + np.arange(RANK)) ** -0.75
    axes = (rng.normal(size=(RANK, dimension)) * scale[:, None]).astype(np.float32)
    writer = None
    batches: list[pa.RecordBatch] = []
    pending = 0
    for start in range(0, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        vectors = rng.standard_normal((rows, RANK), np.float32) @ axes
        vectors += 0.05 * rng.standard_normal((rows, dimension), np.float32)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dimension)
        columns = {
            "embedding": lists.cast(pa.list_(pa.float32())),
            "lon": rng.uniform(-180, 180, rows),
            "lat": rng.uniform(-80, 80, rows),
            "id": [f"chip-{row}" for row in range(start, start + rows)],
        }
        batches.append(pa.RecordBatch.from_pydict(columns))
        pending += rows
        if pending >= group or start + rows == count:
            table = pa.Table.from_batches(batches)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table, row_group_size=group)
            batches, pending = [], 0
    assert writer is not None
    writer.close()
    return 0.0


def ours(path: Path, store: Path) -> float:
    """Convert with ``--recipe pca64-int8``, after what is loaded on first use was loaded."""
    import pyarrow as pa
    from pyarrow import parquet

    import geoembz

    small = store.parent / "small.parquet"
    numbers = [float(number) for number in range(64)]
    rows = {"embedding": [numbers[n:] + numbers[:n] for n in range(64)]}
    places = {"lon": numbers, "lat": numbers, "id": [str(number) for number in numbers]}
    parquet.write_table(pa.table({**rows, **places}), small)
    geoembz.convert(small, store, recipe="pca8-int8")
    started = time.perf_counter()
    geoembz.convert(path, store, recipe="pca64-int8", overwrite=True)
    return time.perf_counter() - started


def scan(path: Path) -> float:
    """Read the vectors batch by batch."""
    from pyarrow import parquet

    started = time.perf_counter()
    for _ in parquet.ParquetFile(path).iter_batches(columns=["embedding"]):
        pass
    return time.perf_counter() - started


def scan_threads(path: Path) -> float:
    """Read the vectors with all of pyarrow's threads."""
    from pyarrow import dataset

    started = time.perf_counter()
    for _ in dataset.dataset(path).to_batches(columns=["embedding"]):
        pass
    return time.perf_counter() - started


def main() -> None:
    """Run one case."""
    case, path, *rest = sys.argv[1:]
    table = Path(path)
    if case == "make":
        count, group, dimension = map(int, rest)
        seconds = make(table, count, group, dimension)
    elif case == "ours":
        seconds = ours(table, Path(rest[0]))
    else:
        seconds = {"scan": scan, "scan-threads": scan_threads}[case](table)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
