"""Pack a store as an archive, or an archive as a store: other codecs, the same numbers."""

import json
import re
import time as clock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Zstd

from geoembz._convert.conversion import build_store
from geoembz._convert.destination import Destination
from geoembz._convert.site import Build
from geoembz._convert.summary import RepackSummary
from geoembz._objects.tree import ObjectTree
from geoembz._util.progress import Progress
from geoembz._util.threads import check_workers, for_each, worker_count
from geoembz._version import __version__
from geoembz.codecs import PREFIX
from geoembz.errors import GeoembzError, InvalidConfigError, StoreError
from geoembz.store.contents import recorded_digests
from geoembz.store.digests import (
    DIGEST_BYTES,
    DIGESTS,
    ROOT,
    is_sealed,
    read_seal,
    root_content,
    sha256,
)
from geoembz.store.documents import CONSOLIDATED
from geoembz.store.grids import grid_names, write_root
from geoembz.store.open import MALFORMED, open_group
from geoembz.store.packing import READING_LEVEL, repacked
from geoembz.store.recoding import recode
from geoembz.store.zstd import decompress

_DIGESTS_OF = re.compile(rf"(?:(.+)/)?{DIGESTS}/(.+)/{re.escape(ROOT)}")
"""Key of the metadata of an array's digests: the grid that has it, if any, and the array."""


def repack(
    store: str | Path,
    url: str | Path,
    *,
    archive: bool = True,
    workers: int | None = None,
    overwrite: bool = False,
    break_lock: bool = False,
    progress: Progress | None = None,
) -> RepackSummary:
    """Write a store again as an archive, or an archive as the store that it was made of.

    Numbers, places, digests of what did not change and all else stay; chunks get other codecs, and
    documents name them. An archive that is unpacked is, byte for byte, the store that `convert`
    wrote.

    Parameters
    ----------
    store
        A store, an archive or not: a local path or an fsspec URL.
    url
        A new store on this machine.
    archive
        Whether to make an archive; False unpacks one.
    workers
        Shards that are packed at once; None for one per core. Each takes twice its size unpacked.
    overwrite
        Replace a store at the destination.
    break_lock
        Take the destination from a conversion that seems to hold it: on another machine, and dead.
    progress
        Called with the numbers of finished and of all shards.

    Returns
    -------
    summary
        Sizes before and after.

    Raises
    ------
    InvalidConfigError
        If the destination is on a server, or the store itself.
    DestinationExistsError
        If something is at the destination.
    StoreError
        If there is no complete store, it is damaged, or it is of format 0.1, which has no digests.

    References
    ----------
    spec/format.md, "Archives".

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "out.zarr", pca=16)
    >>> packed = geoembz.repack(tmp_path / "out.zarr", tmp_path / "archive.zarr")
    >>> packed.bytes_after < packed.bytes_before
    True
    """
    started = clock.perf_counter()
    check_workers("repack", workers)
    destination = Destination.check(url, overwrite=overwrite, breaks_lock=break_lock)
    source = ObjectTree(str(store))
    if not destination.tree.is_local:
        raise InvalidConfigError(
            f"{url}: repack writes to a path on this machine; pack there, then `geoembz publish` it"
        )
    if source.is_local and source.local_path.resolve() == destination.tree.local_path.resolve():
        raise InvalidConfigError(f"repack: {url} is the store itself; choose another destination")
    repacking = _Repacking.of(source, archive=archive)
    write = partial(repacking.write, workers=worker_count(workers), progress=progress)
    with _documents_of(source):
        build_store(destination, repacking.plan(), write)
    before, after = (sum(tree.sizes().values()) for tree in (source, destination.tree))
    return RepackSummary(
        str(url), archive, len(repacking.shards), before, after, clock.perf_counter() - started
    )


@dataclass(frozen=True)
class _Repacking:
    """What is made of one store.

    Parameters
    ----------
    source
        Its objects.
    root
        Its root's ``zarr.json``.
    recorded
        The digests that it gives for all others, by key.
    grids
        Names of the stores below a root of several.
    archive
        Whether an archive is made.
    """

    source: ObjectTree
    root: bytes
    recorded: Mapping[str, str]
    grids: tuple[str, ...]
    archive: bool

    @classmethod
    def of(cls, source: ObjectTree, *, archive: bool) -> "_Repacking":
        """Look at a store."""
        group = open_group(source.url)
        root = source.read(ROOT) or b""
        recorded = recorded_digests(root, lambda key: source.read(key) or b"")
        if recorded is None:
            raise StoreError(
                f"{source.url}: it gives no digests of its objects, so nobody could tell what was "
                "lost on the way; expected a store of format 0.2 or later; convert it again"
            )
        if not is_sealed(root):
            raise StoreError(
                f"{source.url}: {ROOT} is not what was written; expected a store that nobody "
                "edited or damaged; fetch it again, or run geoembz verify"
            )
        names = grid_names(source.url, group.attrs.asdict())
        return cls(source, root, recorded, names, archive)

    def plan(self) -> dict[str, Any]:
        """Return what the bytes of the new store depend on."""
        return {"repack": sha256(self.root), "archive": self.archive, "software": __version__}

    @cached_property
    def arrays(self) -> dict[str, dict[str, Any]]:
        """The metadata of the arrays that are stored in shards, by path."""
        found = {}
        for key in self.recorded:
            if match := _DIGESTS_OF.fullmatch(key):
                path = f"{match[1]}/{match[2]}" if match[1] else match[2]
                document = json.loads(self._read(f"{path}/{ROOT}"))
                if document["node_type"] == "array":
                    found[path] = document
        if any(f'"{PREFIX}' in json.dumps(document["codecs"]) for document in found.values()):
            raise InvalidConfigError(
                f"{self.source.url}: has the layout codec, of which there are no archives; "
                "expected the layout plain; convert it again, with --basis of this one"
            )
        return found

    @cached_property
    def shards(self) -> list[str]:
        """Keys of the stored objects of these arrays."""
        return sorted(key for key in self.recorded if key.rpartition("/c/")[0] in self.arrays)

    def write(self, build: Build, workers: int, progress: Progress | None) -> None:
        """Write all objects: shards, what has their digests, all other data, then documents.

        Of an interrupted run, the shards are kept that its journal has and that are what it says.
        """
        shards, journal, written = self.shards, build.journal, dict[str, str]()
        if not journal.exists():
            journal.begin(build.plan)

        def put(key: str, content: bytes) -> None:
            build.tree.write(key, content)
            written[key] = sha256(content)

        def pack(key: str) -> None:
            digest = journal.find_object(key)
            if digest is not None and sha256(build.tree.read(key) or b"") == digest:
                written[key] = digest
            else:
                build.fence.check()
                put(key, self._recoded(key))
                journal.record_object(key, written[key])
            if progress is not None:
                progress(len(written), len(shards))

        for_each(shards, pack, workers)
        roots = [ROOT, *(f"{name}/{ROOT}" for name in self.grids)]
        others = sorted(self.recorded.keys() - set(shards) - set(roots))
        for key in others:
            put(key, self._other(key, written))
        for name in self.grids:
            put(f"{name}/{ROOT}", self._root(self._read(f"{name}/{ROOT}"), f"{name}/", written))
        build.fence.check()
        if self.source.read(ROOT) != self.root:
            raise StoreError(
                f"{self.source.url}: was changed while it was packed; run the same command again"
            )
        if self.grids:
            write_root(build.tree, self.grids)
        else:
            put(ROOT, self._root(self.root, "", written))

    def _read(self, key: str) -> bytes:
        """Read an object; refuse one that is not what the store says of it."""
        content = self.source.read(key)
        if content is None or not sha256(content).startswith(self.recorded[key]):
            what = "is missing" if content is None else "is not what the store says of it"
            raise StoreError(
                f"{self.source.url}/{key} {what}; expected a complete store that nobody changes; "
                "run geoembz verify, and fetch the store again"
            )
        return content

    def _recoded(self, key: str) -> bytes:
        content = self._read(key)
        document = self.arrays[key.rpartition("/c/")[0]]
        try:
            return recode(content, document, archive=self.archive)
        except (ValueError, RuntimeError) as error:
            raise StoreError(f"{self.source.url}/{key} cannot be read ({error})") from error

    def _other(self, key: str, written: Mapping[str, str]) -> bytes:
        """Return what an object becomes that is no shard and no root."""
        content = self._read(key)
        path = key.removesuffix(f"/{ROOT}")
        if path in self.arrays:
            return _as_json(repacked(self.arrays[path], archive=self.archive))
        array = path.replace(f"{DIGESTS}/", "", 1).rpartition("/c/")[0]
        if f"{DIGESTS}/" in path and array in self.arrays:
            return self._digests(key, content, array, written)
        return content

    def _digests(self, key: str, content: bytes, array: str, written: Mapping[str, str]) -> bytes:
        """Return a chunk of digests, with those of the shards that were written."""
        above, _, place = key.rpartition("/c/")
        document = json.loads(self._read(f"{above}/{ROOT}"))
        chunk = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        digests = decompress(content, chunk, np.dtype(np.uint8))
        origin = [int(at) * size for at, size in zip(place.split("/"), chunk, strict=True)]
        for within in np.argwhere(digests.any(axis=-1)):
            at = "/".join(str(first + i) for first, i in zip(origin, within, strict=False))
            digest = bytes.fromhex(written[f"{array}/c/{at}"])[:DIGEST_BYTES]
            digests[tuple(within)] = np.frombuffer(digest, np.uint8)
        return bytes(Zstd(READING_LEVEL, checksum=True).encode(digests))

    def _root(self, content: bytes, below: str, written: Mapping[str, str]) -> bytes:
        """Return a store's root document, with the metadata and digests of what was written."""
        document = json.loads(content)
        listed = document[CONSOLIDATED]
        members = {
            name: repacked(member, archive=self.archive)
            if f"{below}{name}" in self.arrays
            else member
            for name, member in listed["metadata"].items()
        }
        objects = {name: written[f"{below}{name}"] for name in read_seal(document) or {}}
        return root_content({**document, CONSOLIDATED: {**listed, "metadata": members}}, objects)


@contextmanager
def _documents_of(source: ObjectTree) -> Iterator[None]:
    """Say whose documents they are that nobody can make sense of."""
    try:
        yield
    except MALFORMED as error:
        if isinstance(error, GeoembzError):
            raise
        raise StoreError(
            f"{source.url}: its metadata make no sense ({error}); the store is damaged: run "
            "geoembz verify"
        ) from error


def _as_json(document: Mapping[str, Any]) -> bytes:
    """Return a document as zarr-python writes it."""
    return json.dumps(document, indent=2).encode()
