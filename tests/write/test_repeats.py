"""A pixel that was written stays: the same again is no news, something else is refused."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Window
from geoembz._objects.files import walk_files
from geoembz.errors import InvalidConfigError, StoreError
from tests.trees import build_of, objects
from tests.write.conftest import Begin, fill, shards_of

PARTS = [Window(0, 0, 12, 10), Window(4, 4, 12, 11), Window(0, 8, 16, 8), Window(8, 0, 8, 16)]
"""They overlap, and cover the first shard."""


def pieces(store: Path) -> list[str]:
    """Return what waits."""
    folder = build_of(store) / ".geoembz/pieces"
    return [path.name for path in folder.rglob("*-*") if path.is_file()]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_overlaps_that_agree(
    order: tuple[int, ...],
    begin: Begin,
    vectors: NDArray[np.float32],
    converted: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """In any order, and each twice, before the shard is complete and after."""
    with begin() as writer:
        for number in [*order, *order]:
            window = PARTS[number]
            writer.write(window, vectors[:, *window.slices])
        assert pieces(tmp_path / "out") == []
        fill(writer, vectors, 50)
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("is_complete", [False, True])
def test_other_values_are_refused_in_whichever_order(
    order: tuple[int, int],
    begin: Begin,
    is_complete: bool,
    vectors: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    """The second one fails, names its window and changes nothing, in whatever part it differs."""
    windows = [Window(0, 0, 16, 16), PARTS[1]] if is_complete else PARTS[:2]
    first, second = (windows[number] for number in order)
    with begin() as writer:
        writer.write(first, vectors[:, *first.slices])
        left = objects(build_of(tmp_path / "out"))
        other = vectors[:, *second.slices].copy()
        other[:, 7 - second.row // 2, 7 - second.col // 2] += 1
        rows = f"window of rows {second.row} to {second.row + second.height}"
        with pytest.raises(StoreError, match=rf"{rows}.*columns.*other vectors.*missing"):
            writer.write(second, other)
        assert objects(build_of(tmp_path / "out")) == left


def test_no_vector_is_another_value(begin: Begin, vectors: NDArray[np.float32]) -> None:
    """A pixel that was said to be invalid is not filled by a window that overlaps it."""
    window = Window(32, 32, 8, 8)
    with begin() as writer:
        writer.write(window, vectors[:, *window.slices], np.zeros((8, 8), bool))
        with pytest.raises(StoreError, match="other vectors are written there"):
            writer.write(window, vectors[:, *window.slices])


@pytest.mark.parametrize("is_complete", [False, True])
def test_what_is_there_can_be_kept(
    begin: Begin,
    is_complete: bool,
    vectors: NDArray[np.float32],
    converted: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """A model that does not give the same numbers twice repeats a window that was written."""
    first = Window(0, 0, 16, 16 if is_complete else 8)
    with begin(repeats="keep") as writer:
        writer.write(first, vectors[:, *first.slices])
        writer.write(first, vectors[:, *first.slices] + 1e-3)
        fill(writer, vectors, 16)
        writer.finish()
    if is_complete:
        assert shards_of(objects(tmp_path / "out")) == shards_of(converted)
    assert geoembz.verify(tmp_path / "out").problems == ()


def test_a_rule_that_nobody_knows(begin: Begin) -> None:
    """Before anything is made."""
    with pytest.raises(InvalidConfigError, match="repeats 'last'; expected 'refuse' or 'keep'"):
        begin(repeats="last")


def test_a_piece_that_was_cut_counts_as_not_written(
    begin: Begin, vectors: NDArray[np.float32], converted: dict[str, bytes], tmp_path: Path
) -> None:
    """Power failed: the window is written again."""
    first = Window(0, 0, 8, 4)
    with begin() as writer:
        writer.write(first, vectors[:, *first.slices])
        (path,) = (build_of(tmp_path / "out") / ".geoembz/pieces").rglob("*-*")
        path.write_bytes(path.read_bytes()[:-3])
        with pytest.raises(StoreError, match=r"rows 0 to 8, columns 0 to 4: what was.*is cut"):
            writer.write(Window(0, 4, 8, 4), vectors[:, :8, 4:8])
        assert writer.missing([first]) == [first]
        fill(writer, vectors, 25)
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)


def test_a_window_looks_at_its_cell_only(
    begin: Begin, vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pieces there are elsewhere: listings do not grow with their number."""
    listed: list[int] = []

    def count(top: Path) -> Iterator[Any]:
        found = list(walk_files(top))
        listed.append(len(found))
        return iter(found)

    monkeypatch.setattr("geoembz._objects.tree.walk_files", count)
    most = []
    with begin(shard=48) as writer:
        for window in writer.missing(4)[::2]:
            listed.clear()
            writer.write(window, vectors[:, *window.slices])
            most.append(max(listed))
    assert max(most) <= 4  # a cell of 8 x 8 pixels, cut in four
    assert len(most) > 70
