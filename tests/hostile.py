"""Stores made to do harm, each a change to a copy of a small golden store.

`python -m tests.hostile FOLDER` tries every command on each of them and prints, as JSON, what each
said and how much memory the process had used at most by then.
"""

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

STORES = Path(__file__).parents[1] / "spec" / "vectors" / "0.1" / "stores"
GOLDEN = STORES / "int8-plain.zarr"
CANARY = "code-was-run"
HUGE = 10**9


def change_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON document in place."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def change_array(store: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change an array's own metadata and the consolidated copy alike."""
    change_json(store / name / "zarr.json", change)
    changed = json.loads((store / name / "zarr.json").read_text())

    def copy(document: dict[str, Any]) -> None:
        document["consolidated_metadata"]["metadata"][name] = changed

    change_json(store / "zarr.json", copy)


def add_node(store: Path, path: str) -> None:
    """Let the consolidated metadata name an array at any path."""

    def add(document: dict[str, Any]) -> None:
        nodes = document["consolidated_metadata"]["metadata"]
        nodes[path] = nodes["encoding/mean"]

    change_json(store / "zarr.json", add)


def traversal(store: Path) -> None:
    """Name an array outside the store, where there is one."""
    shutil.copytree(store / "encoding" / "mean", store.parent / "outside" / "mean")
    add_node(store, "encoding/../../outside/mean")


def absolute(store: Path) -> None:
    """Name an array by an absolute path."""
    add_node(store, f"encoding/{store.parent / 'outside' / 'mean'}")


def huge_raster(store: Path) -> None:
    """Claim 10¹⁸ pixels."""

    def grow(document: dict[str, Any]) -> None:
        document["shape"][-2:] = [HUGE, HUGE]

    change_array(store, "embedding", grow)
    for axis in "xy":
        change_array(store, axis, lambda document: document.update(shape=[HUGE]))
    change_json(
        store / "zarr.json", lambda d: d["attributes"].update({"spatial:shape": [HUGE, HUGE]})
    )


def huge_chunks(store: Path) -> None:
    """Claim chunks of 10¹⁰ pixels."""

    def grow(document: dict[str, Any]) -> None:
        for part in (document["chunk_grid"], document["codecs"][0]):
            part["configuration"]["chunk_shape"][-2:] = [10**5, 10**5]

    change_array(store, "embedding", grow)


def huge_shards(store: Path) -> None:
    """Claim shards with an index of 10¹² chunks."""

    def grow(document: dict[str, Any]) -> None:
        document["chunk_grid"]["configuration"]["chunk_shape"][-2:] = [10**6, 10**6]
        document["codecs"][0]["configuration"]["chunk_shape"][-2:] = [1, 1]

    change_array(store, "embedding", grow)


def huge_encoding(store: Path) -> None:
    """Claim a basis of 4 TB."""

    def grow(document: dict[str, Any]) -> None:
        document["shape"] = [10**6, 10**6]
        document["chunk_grid"]["configuration"]["chunk_shape"] = [10**6, 10**6]

    change_array(store, "encoding/projection", grow)


def inflating_encoding(store: Path) -> None:
    """Store a mean of a few bytes that inflates to a gibibyte of zeros."""
    from numcodecs.zstd import Zstd

    bomb = bytes(Zstd(level=1, checksum=True).encode(np.zeros(2**30, np.uint8)))
    (store / "encoding" / "mean" / "c" / "0").write_bytes(bomb)


def inflating_chunk(store: Path) -> None:
    """Store a chunk of a few bytes that inflates to a gibibyte of zeros."""
    from google_crc32c import value
    from numcodecs.zstd import Zstd

    bomb = bytes(Zstd(level=1, checksum=True).encode(np.zeros(2**30, np.uint8)))
    path = store / "embedding" / "c" / "0" / "0" / "0"
    shard = json.loads((store / "embedding" / "zarr.json").read_text())
    inner = shard["codecs"][0]["configuration"]["chunk_shape"]
    outer = shard["chunk_grid"]["configuration"]["chunk_shape"]
    n_chunks = int(np.prod([a // b for a, b in zip(outer, inner, strict=True)]))
    index = np.array([[0, len(bomb)]] * n_chunks, "<u8").tobytes()
    path.write_bytes(bomb + index + value(index).to_bytes(4, "little"))


def add_layer(store: Path, *, chunk: int, content: bytes = b"") -> None:
    """Declare a layer in one chunk, and store something as that."""
    group = zarr.open_group(store, mode="r+")
    shape = group["embedding"].shape[-2:]  # type: ignore[union-attr]
    zstd: Any = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
    group.create_array(
        "observations", shape=shape, chunks=(chunk, chunk), dtype="u1", compressors=[zstd]
    )
    (store / "observations" / "c" / "0").mkdir(parents=True)
    (store / "observations" / "c" / "0" / "0").write_bytes(content)
    entry = {"name": "observations", "data_type": "uint8"}

    def declare(document: dict[str, Any]) -> None:
        document["attributes"]["geoembz:layers"] = [entry]
        nodes = document["consolidated_metadata"]["metadata"]
        nodes["observations"] = json.loads((store / "observations" / "zarr.json").read_text())

    change_json(store / "zarr.json", declare)


def huge_layer(store: Path) -> None:
    """Claim a layer in chunks of 10¹⁰ pixels."""
    add_layer(store, chunk=10**5)


def pickled_layer(store: Path) -> None:
    """Store a layer through the pickle codec."""
    add_layer(store, chunk=8, content=pickle.dumps(Payload(store.parent / CANARY)))

    def pickle_codec(document: dict[str, Any]) -> None:
        document["codecs"] = [{"name": "numcodecs.pickle", "configuration": {"protocol": 5}}]

    change_array(store, "observations", pickle_codec)


def inflating_layer(store: Path) -> None:
    """Store a layer of a few bytes that inflates to a gibibyte of zeros."""
    from numcodecs.zstd import Zstd

    bomb = bytes(Zstd(level=1, checksum=True).encode(np.zeros(2**30, np.uint8)))
    add_layer(store, chunk=8, content=bomb)


def links_in_circles(store: Path) -> None:
    """Link the store into itself, twice: a walk that follows them takes 2⁴⁰ steps."""
    (store / "embedding" / "c" / "a").symlink_to(store, target_is_directory=True)
    (store / "embedding" / "c" / "b").symlink_to(store, target_is_directory=True)


def grids_in_circles(store: Path) -> None:
    """Name the root as a grid of itself, and its parent."""
    change_json(
        store / "zarr.json", lambda d: d["attributes"].update({"geoembz:grids": [".", "..", ""]})
    )


def deep_metadata(store: Path) -> None:
    """Nest JSON deeper than any parser follows."""
    (store / "zarr.json").write_text("[" * 200_000)


def deep_attributes(store: Path) -> None:
    """Nest an attribute so deep that a walk over it overflows."""
    text = (store / "zarr.json").read_text()
    nested = '{"geoembz:fit": ' + '{"a":' * 50_000 + "0" + "}" * 50_000 + ","
    (store / "zarr.json").write_text(text.replace('"attributes": {', f'"attributes": {nested}', 1))


def non_finite(store: Path) -> None:
    """Store scales that are infinite and not numbers, under the hash that they have."""
    from geoembz.encoding._state import content_hash

    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    array: Any = group["encoding/scale"]
    array[...] = np.array([np.inf, np.nan, -np.inf, 1e38, -1.0], array.dtype)[: array.shape[0]]
    arrays = {name: np.asarray(member[...]) for name, member in group["encoding"].arrays()}  # type: ignore[union-attr]

    def rehash(document: dict[str, Any]) -> None:
        attributes = document["attributes"]
        attributes["geoembz:encoding_hash"] = content_hash(attributes["geoembz:encoding"], arrays)

    change_json(store / "zarr.json", rehash)


class Payload:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        """Return what an unpickler calls."""
        return open, (str(self.path), "w")


def pickled(store: Path) -> None:
    """Store the mean through the pickle codec."""
    payload = pickle.dumps(Payload(store.parent / CANARY))
    (store / "encoding" / "mean" / "c" / "0").write_bytes(payload)

    def pickle_codec(document: dict[str, Any]) -> None:
        document["codecs"] = [{"name": "numcodecs.pickle", "configuration": {"protocol": 5}}]

    change_array(store, "encoding/mean", pickle_codec)


def objects(store: Path) -> None:
    """Store the mean as Python objects."""
    change_array(store, "encoding/mean", lambda document: document.update(data_type="object"))


def pickled_v2(store: Path) -> None:
    """Replace the store by one in Zarr v2 of pickled objects."""
    shutil.rmtree(store)
    (store / "embedding").mkdir(parents=True)
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    document = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "order": "C",
        "fill_value": None, "compressor": None, "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (store / "embedding" / ".zarray").write_text(json.dumps(document))
    (store / "embedding" / "0").write_bytes(pickle.dumps(Payload(store.parent / CANARY)))


HOSTILE: dict[str, Callable[[Path], None]] = {
    change.__name__: change
    for change in (
        traversal, absolute, huge_raster, huge_chunks, huge_shards, huge_encoding,
        inflating_encoding, inflating_chunk, links_in_circles, grids_in_circles, deep_metadata,
        deep_attributes, non_finite, pickled, objects, pickled_v2, huge_layer, pickled_layer,
        inflating_layer,
    )
}  # fmt: skip


def try_everything(store: Path) -> dict[str, str]:
    """Run what reads a store, and return how each attempt ended: fine, or the error's text."""
    import geoembz
    from geoembz._cost.measured import measure_store
    from geoembz._publish import copy_store
    from geoembz.errors import GeoembzError
    from geoembz.store.summary import describe

    copies = store.parent / "copies"
    attempts: dict[str, Callable[[], object]] = {
        "open": lambda: geoembz.open(store)["embedding"][:, :2, :2].values,
        "open codes": lambda: geoembz.open(store, space="codes")["embedding"][:, :2, :2].values,
        "info": lambda: describe(str(store)),
        "verify": lambda: geoembz.verify(str(store)).to_table(),
        "cost": lambda: measure_store(str(store)),
        "publish": lambda: copy_store(str(store), str(copies / "published.zarr")),
        "convert": lambda: geoembz.convert(store, copies / "converted.zarr", pca=2),
    }
    said = {}
    for name, attempt in attempts.items():
        print(store.parent.name, name, file=sys.stderr, flush=True)  # noqa: T201
        try:
            result = attempt()
            said[name] = result if isinstance(result, str) else "fine"
        except GeoembzError as error:
            said[name] = f"refused: {error}"
        except (Exception, RecursionError) as error:  # noqa: BLE001 - reported as what it is
            said[name] = f"CRASHED: {type(error).__name__}: {error}"
    return said


def peak_bytes() -> int:
    """Return the most memory that this process held; getrusage counts its parent's before exec."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


def main(folder: Path) -> None:
    """Try everything on every hostile store, one after the other."""
    report = {}
    for name, change in HOSTILE.items():
        store = folder / name / "s.zarr"
        shutil.copytree(GOLDEN, store)
        change(store)
        said = try_everything(store)
        peak = peak_bytes()
        report[name] = {"said": said, "peak_bytes": peak}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
