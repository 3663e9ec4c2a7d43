"""`append --replace` on an object store: whatever ends it, the old date or the new one is there."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from numpy.typing import NDArray

import geoembz
from geoembz._convert import placing
from geoembz._convert.append import append
from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz._verify import verify
from geoembz.errors import SourceError, StoreError
from geoembz.sources import Source, SourceData, open_source
from geoembz.store.digests import ROOT
from geoembz.store.journal import COMPLETE
from tests import products

pytestmark = pytest.mark.filterwarnings("ignore:.*the basis captures:geoembz.errors.BasisWarning")

_stores = count()
FORMS: dict[str, dict[str, Any]] = {
    "int8": {"recipe": "pca4-int8"},
    "mask": {"recipe": "pca4-int4"},
    "parts": {"recipe": "pca4-int8", "shard": "none", "prefix_chunks": 2},
    "layers": {"recipe": "pca4-int4"},
}


class Mortal:
    """Ends every request that changes something, from the one of a number on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.done = 10**9, 0
        for name in ("_open", "cp_file", "_rm", "rm_file"):
            monkeypatch.setattr(MemoryFileSystem, name, self.wrap(name))

    def wrap(self, name: str) -> Callable[..., Any]:
        real = getattr(MemoryFileSystem, name)

        def request(*arguments: Any, **options: Any) -> Any:
            mode = options.get("mode", arguments[2] if len(arguments) > 2 else "rb")
            if name != "_open" or mode not in ("r", "rb"):
                if self.done >= self.left:
                    raise OSError("the line is dead")
                self.done += 1
            return real(*arguments, **options)

        return request


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mortal]:
    """Return what counts and ends requests to fsspec's memory."""
    monkeypatch.setattr(placing, "COPIES", 1)  # for the same order in every run
    yield Mortal(monkeypatch)
    MemoryFileSystem.store.clear()


def write_year(folder: Path, seed: int, gap: slice) -> Path:
    """Write a raster with some rows that are nodata: one row of shards, and a part of another."""
    parts = np.random.default_rng(seed).uniform(-1, 1, (4, 24, 16))
    values = np.concatenate([parts, 2 * parts + parts[::-1]]).astype(np.float32)
    values[:, gap] = np.nan
    return products.write_raster(folder / f"{seed}.tif", values, block=16)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return what is there first."""
    return write_year(tmp_path, 1, slice(0, 11))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Return what is to replace it."""
    return write_year(tmp_path, 2, slice(14, 24))


def prepare(old: Path, form: str) -> str:
    """Make a store of two dates."""
    url = f"memory://replacing-{next(_stores)}/out.zarr"
    options = {"chunk": 8, "shard": 8, **FORMS[form], "layers": layers_of(old, form)}
    geoembz.convert(old, url, time="2024", workers=1, **options)
    append(url, old, time="2025", workers=1, layers=layers_of(old, form))
    return url


def layers_of(source: Any, form: str) -> dict[str, str] | None:
    """Return the layer of a form that has one: the first band, as numbers of pixels."""
    return {"first": f"{source}:1"} if form == "layers" else None


def replace(url: str, source: Path | Source, form: str = "int8") -> None:
    """Replace the first of them."""
    layers = layers_of(source, form)
    append(url, source, time="2024", replace_date=True, workers=1, layers=layers)


def content(url: str) -> dict[str, bytes | None]:
    """Return every object of a store."""
    tree = ObjectTree(url)
    return {key: tree.read(key) for key in tree.sizes()}


def vectors(url: str, date: int = 0) -> NDArray[np.float32]:
    """Return the vectors of a date."""
    values: NDArray[np.float32] = geoembz.open(url)["embedding"][date].values
    return values


def same(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels hold the same vector, or none in both."""
    alike: NDArray[np.bool_] = ((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=0)
    return alike


def check_reading(url: str, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
    """Each pixel reads as before or as after, or a reader is told."""
    told = ""
    try:
        read = vectors(url)
    except StoreError as error:
        told, read = str(error), before
    assert not told or "missing shard" in told
    assert (same(read, before) | same(read, after)).all()


@pytest.mark.parametrize(
    ("form", "step"),
    [
        ("mask", 45),
        *(pytest.param(form, 30, marks=pytest.mark.slow) for form in FORMS),
        *(pytest.param(form, 2, marks=pytest.mark.experiment) for form in FORMS),
    ],
)
def test_ended_after_any_request(
    form: str, step: int, old: Path, new: Path, mortal: Mortal
) -> None:
    """The old date until all of the new one is there; then any command ends what it began."""
    url = prepare(old, form)
    first, before, other = content(url), vectors(url), vectors(url, 1)
    mortal.done = 0
    replace(url, new, form)
    total, after, expected = mortal.done, vectors(url), content(url)
    assert (~same(before, after)).sum() > same(before, after).sum()
    for kill in [*range(1, total, step), total - 3]:
        url = f"memory://replacing-{next(_stores)}/out.zarr"
        tree = ObjectTree(url)
        for key, value in first.items():
            tree.write(key, value or b"")
        mortal.done, mortal.left = 0, kill
        with suppress(StoreError):  # a lock that cannot be given back is no error
            replace(url, new, form)
        assert mortal.done == kill
        mortal.left = 10**9
        if tree.read(COMPLETE) is None and tree.read(ROOT) == first[ROOT]:
            np.testing.assert_array_equal(vectors(url), before)
            assert first.items() <= content(url).items()
        else:
            check_reading(url, before, after)
            np.testing.assert_array_equal(vectors(url, 1), other)
        replace(url, new, form)
        assert content(url) == expected


@pytest.mark.parametrize("form", ["mask", "layers"])
def test_the_store_is_that_of_a_local_replacement(
    form: str, old: Path, new: Path, tmp_path: Path, mortal: Mortal
) -> None:
    """Byte for byte."""
    url, local = prepare(old, form), tmp_path / "local.zarr"
    layers = layers_of(old, form)
    geoembz.convert(old, local, time="2024", chunk=8, shard=8, **FORMS[form], layers=layers)
    append(local, old, time="2025", layers=layers)
    for store in (url, str(local)):
        replace(store, new, form)
    assert content(url) == content(str(local))
    assert verify(url).problems == ()


@dataclass(frozen=True)
class DamagedSource:
    """A source of which one shard cannot be read."""

    source: Source

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.source, name)

    def read(self, window: Window) -> SourceData:
        if window == Window(8, 8, 8, 8):
            raise SourceError("block 3 cannot be read")
        return self.source.read(window)


@pytest.mark.parametrize("where", ["local", "memory"])
def test_a_damaged_source_leaves_the_old_date(
    where: str, old: Path, new: Path, tmp_path: Path, mortal: Mortal
) -> None:
    """An error, and every object as it was; the whole source goes on."""
    url = prepare(old, "mask")
    if where == "local":
        for key, value in content(url).items():
            ObjectTree(tmp_path / "local.zarr").write(key, value or b"")
        url = str(tmp_path / "local.zarr")
    first, before = content(url), vectors(url)
    with pytest.raises(SourceError, match="block 3"):
        replace(url, DamagedSource(open_source(str(new))))
    assert first.items() <= content(url).items()
    np.testing.assert_array_equal(vectors(url), before)
    replace(url, new)
    undisturbed = prepare(old, "mask")
    replace(undisturbed, new)
    assert content(url) == content(undisturbed)


def copies_until_dead(mortal: Mortal, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no request change anything after so many copies."""
    copies, real = count(), ObjectTree.copy

    def copy(tree: ObjectTree, key: str, target: ObjectTree) -> None:
        if next(copies) == number:
            mortal.left = mortal.done
        real(tree, key, target)

    monkeypatch.setattr(ObjectTree, "copy", copy)


def test_another_date_ends_what_was_begun(
    old: Path, new: Path, mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended while it copied; an append of another year copies the rest, without the source."""
    url, undisturbed = prepare(old, "int8"), prepare(old, "int8")
    replace(undisturbed, new)
    append(undisturbed, old, time="2026", workers=1)
    copies_until_dead(mortal, 4, monkeypatch)
    with pytest.raises(StoreError, match="the line is dead"):
        replace(url, new)
    mortal.left = 10**9
    new.unlink()
    append(url, old, time="2026", workers=1)
    assert content(url) == content(undisturbed)
