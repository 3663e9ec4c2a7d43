"""What no converter and no reader can beat: each part of the work alone, on the same two threads.

``python -m benchmarks.floors CASE ARGUMENT…`` prints the seconds that a case took, as JSON. A floor
does nothing but its one part: a conversion cannot take less than reading, than the product and than
writing; decoding not less than the product and than filling so much fresh memory; reading codes not
less than decompressing them and than copying them.
"""

import json
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import seconds

WORKERS = 2
_TILE = 1024
_PEAK = 2.5
"""Memory of the hungriest case, the codec layout through Zarr, as a multiple of its output."""


def product(rows: str, length: str, n_pixels: str) -> float:
    """Multiply a matrix of ``rows x length`` by as many vectors, tiles that stay in cache."""
    import numpy as np

    from geoembz._util.threads import single_threaded_blas

    tiles = -(-int(n_pixels) // _TILE)

    def multiply(share: range) -> None:
        matrix = np.ones((int(rows), int(length)), np.float32)
        vectors = np.ones((int(length), _TILE), np.float32)
        scores = np.empty((int(rows), _TILE), np.float32)
        for _ in share:
            np.matmul(matrix, vectors, out=scores)

    with single_threaded_blas():
        in_threads(multiply, [range(2)])  # BLAS takes its memory
        return seconds(lambda: in_threads(multiply, _shares(tiles)))


def write(store: str, destination: str) -> float:
    """Write the files of a finished store once more, as plain files of the same names."""
    root, target = Path(store), Path(destination)
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    contents = {target / path.relative_to(root): path.read_bytes() for path in files}

    def put(share: Sequence[Path]) -> None:
        for path in share:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[path])

    paths = list(contents)
    return seconds(lambda: in_threads(put, [paths[at::WORKERS] for at in range(WORKERS)]))


def copy(dtype: str, length: str, size: str) -> float:
    """Copy an output of ``length x size x size`` into fresh memory, each thread its own rows."""
    import numpy as np

    values = np.ones((int(length), int(size), int(size)), dtype)
    claim_memory(values.nbytes)

    def fill() -> None:
        out = np.empty_like(values)
        halves = zip(*(np.array_split(each, WORKERS) for each in (out, values)), strict=True)
        in_threads(lambda pair: np.copyto(*pair), list(halves))

    return seconds(fill)


def decompress(path: str) -> float:
    """Decompress every chunk of a store's codes, which are in memory, into memory used before."""
    import zarr

    from geoembz.store.chunk_form import ChunkForm
    from geoembz.store.zstd import decompress as decompress_frame

    form = ChunkForm.of(zarr.open_array(f"{path}/embedding", mode="r"))
    if form is None or not form.is_sharded:
        raise SystemExit(f"{path}: expected shards of chunks in zstd")
    frames = _frames(Path(path), form)

    def unpack(share: Sequence[bytes]) -> None:
        for frame in share:
            decompress_frame(frame, form.chunk, form.array.dtype)

    in_threads(unpack, [frames[:1]] * WORKERS)
    return seconds(lambda: in_threads(unpack, [frames[at::WORKERS] for at in range(WORKERS)]))


def _frames(root: Path, form: Any) -> list[bytes]:
    """Return the bytes of every chunk."""
    frames = []
    for part in form.objects(form.spans((slice(None),) * form.array.ndim)):
        # Zarr names an array that was opened by itself without its folder.
        content = (root / "embedding" / part.key).read_bytes()
        index = form.parse_index(part.key, content[-form.index_bytes :])
        pieces = [piece for piece in form.pieces(part, index) if piece.n_bytes]
        frames += [content[piece.offset : piece.offset + piece.n_bytes] for piece in pieces]
    return frames


def claim_memory(n_bytes: int) -> None:
    """Touch what a case with so large an output may need, and give it back at once.

    A virtual machine may have lent what lay idle to others, and getting it back takes longer than
    everything that is compared.
    """
    import numpy as np

    np.empty(int(_PEAK * n_bytes), dtype=np.uint8).fill(0)


def _shares(count: int) -> list[range]:
    """Divide so many steps among the threads."""
    return [range(at, count, WORKERS) for at in range(WORKERS)]


def in_threads[T](action: Callable[[T], object], shares: Sequence[T]) -> None:
    """Call an action with each share in a thread of its own, and wait for all."""
    threads = [threading.Thread(target=action, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


CASES: dict[str, Callable[..., float]] = {
    "product": product,
    "write": write,
    "copy": copy,
    "decompress": decompress,
}


def main() -> None:
    """Run the case of the command line and print its seconds."""
    print(json.dumps({"seconds": CASES[sys.argv[1]](*sys.argv[2:])}))


if __name__ == "__main__":
    main()
