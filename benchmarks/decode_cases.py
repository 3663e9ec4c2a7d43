"""The things `benchmarks.decode` compares, each to be run in a process of its own.

``python -m benchmarks.decode_cases CASE ARGUMENT…`` prints the seconds that the case took, as JSON.
A first pixel is read before the clock starts, for what is imported on the way, and as much memory
as any case needs is touched and freed: a virtual machine may have lent what lay idle to others, and
getting it back takes longer than everything that is compared. The stores are made by the cases
``make-…``.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from benchmarks.floors import claim_memory
from benchmarks.timing import in_turns, seconds

N_COMPONENTS = 64
WIDE = 10_000
"""Side of the store of which one window is read, in pixels."""

WINDOW = 256
_WINDOW_REPEATS = 31


def make(layout: Literal["plain", "codec"], path: str, source: str) -> float:
    """Convert `source` with ``--pca 64 --int8``."""
    import geoembz

    return seconds(
        lambda: geoembz.convert(
            source, path, pca=N_COMPONENTS, quantizer="int8", layout=layout, overwrite=True
        )
    )


def make_wide(path: str, source: str) -> float:
    """Make a store of `WIDE` squared pixels of which one shard is written: codes of `source`."""
    import numpy as np

    from geoembz._geo.grid import Window
    from geoembz.store import StoreReader
    from geoembz.store.documents import StorePlan
    from geoembz.store.layout import choose_layout
    from geoembz.store.writer import StoreWriter

    reader = StoreReader.open(source)
    shape = (WIDE, WIDE)
    chunks = choose_layout(shape, reader.encoding.bytes_per_vector, (WINDOW, WINDOW))
    shard = Window(0, 0, *chunks.shard)
    codes = reader.read_codes(Window(0, 0, *reader.shape))
    repeats = (1, *(-(-want // have) for want, have in zip(shard.shape, reader.shape, strict=True)))
    writer = StoreWriter(path, StorePlan(reader.encoding, chunks))
    tiled = np.tile(codes, repeats)[:, *shard.slices]
    stored = writer.write_shard(shard, tiled, np.ones(shard.shape, dtype=np.bool_))
    grid = replace(reader.attributes.grid, shape=shape)
    writer.finish(replace(reader.attributes, grid=grid), stored)
    return 0.0


def decode(path: str, space: Literal["original", "reduced", "codes"] = "original") -> float:
    """Load a whole store in one space."""
    import geoembz

    embedding = geoembz.open(path, space=space)["embedding"]
    embedding[:, :1, :1].load()
    claim_memory(embedding.nbytes)
    return seconds(lambda: check(geoembz.open(path, space=space)["embedding"].values, space))


def decode_dask(path: str, dask_threads: str, blas_threads: str) -> float:
    """Decode a whole store in dask chunks, BLAS allowed so many threads where we set no limit."""
    import dask
    import threadpoolctl

    import geoembz

    embedding = geoembz.open(path)["embedding"]
    embedding[:, :1, :1].load()
    claim_memory(embedding.nbytes)
    with (
        threadpoolctl.threadpool_limits(int(blas_threads), user_api="blas"),
        dask.config.set(scheduler="threads", num_workers=int(dask_threads)),
    ):
        return seconds(lambda: check(geoembz.open(path, chunks={})["embedding"].values))


def read_zarr(path: str, space: Literal["original", "codes"]) -> float:
    """Read a store with Zarr alone: vectors of the codec layout, codes of the plain one."""
    import numpy as np
    import zarr

    array: Any = zarr.open_array(f"{path}/embedding", mode="r")
    array[:, :1, :1]
    claim_memory(array.nbytes)
    return seconds(
        lambda: check(np.asarray(zarr.open_array(f"{path}/embedding", mode="r")[...]), space)
    )


def window(path: str) -> float:
    """Decode one window of a wide store, opened before; the median of many reads."""
    import geoembz

    embedding = geoembz.open(path)["embedding"]
    return repeated(lambda: check(embedding[:, :WINDOW, :WINDOW].values))


def window_zarr(path: str) -> float:
    """Read the codes of the same window with Zarr and multiply: no scale, no nodata, no mean."""
    import numpy as np
    import zarr

    array = zarr.open_array(f"{path}/embedding", mode="r")
    matrix = np.asarray(zarr.open_array(f"{path}/encoding/projection", mode="r")[...]).T

    def read() -> None:
        codes = np.asarray(array[:, :WINDOW, :WINDOW])
        check(matrix @ codes.reshape(len(codes), -1).astype(np.float32), "original")

    return repeated(read)


def copy(dimension: str, size: str) -> float:
    """Copy an output of that size into freshly allocated memory, page faults included."""
    import numpy as np

    shape = (int(dimension), int(size), int(size))
    values = np.random.default_rng(0).random(shape, dtype=np.float32)
    claim_memory(values.nbytes)
    return seconds(lambda: np.copyto(np.empty_like(values), values))


def check(values: Any, space: str = "original") -> None:
    """Refuse to time anything but what was asked for."""
    expected = "int8" if space == "codes" else "float32"
    is_wide = len(values) > N_COMPONENTS
    if values.dtype != expected or is_wide != (space == "original"):
        raise SystemExit(f"got {values.dtype} {values.shape}; expected {space} vectors")


def repeated(action: Callable[[], object]) -> float:
    """Return the median of many times, after one that is not counted."""
    return in_turns({"": action}, _WINDOW_REPEATS)[""]


CASES: dict[str, Callable[..., float]] = {
    "make-plain": lambda path, source: make("plain", path, source),
    "make-codec": lambda path, source: make("codec", path, source),
    "make-wide": make_wide,
    "decode": decode,
    "reduced": lambda path: decode(path, "reduced"),
    "codes": lambda path: decode(path, "codes"),
    "dask": decode_dask,
    "codec-layout": lambda path: read_zarr(path, "original"),
    "zarr-codes": lambda path: read_zarr(path, "codes"),
    "window": window,
    "zarr-window": window_zarr,
    "copy": copy,
}


def main() -> None:
    """Run the case of the command line and print its seconds."""
    print(json.dumps({"seconds": CASES[sys.argv[1]](*sys.argv[2:])}))


if __name__ == "__main__":
    main()
