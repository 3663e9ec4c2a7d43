"""A job that was closed, killed or failed goes on where it was; copies of a writer only write."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Window, Writer
from geoembz.errors import InvalidConfigError, StoreError
from tests.trees import build_of, names, objects
from tests.write.conftest import Begin, fill, shards_of


def copy_of(writer: Writer) -> Writer:
    """Return what another process gets."""
    copied: Writer = pickle.loads(pickle.dumps(writer))  # noqa: S301 - our own
    return copied


def fail_after(writer: Writer, windows: list[Window], vectors: NDArray[np.float32]) -> None:
    """Write some windows, then meet an error of the model."""
    for window in windows:
        writer.write(window, vectors[:, *window.slices])
    raise ZeroDivisionError


def test_a_closed_job_goes_on(
    begin: Begin, vectors: NDArray[np.float32], converted: dict[str, bytes], tmp_path: Path
) -> None:
    """After an error of the model, too: what was written is there, and is not to be done again."""
    with pytest.raises(ZeroDivisionError), begin() as writer:
        fail_after(writer, writer.missing(20)[:4], vectors)
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(tmp_path / "out")
    with begin() as writer:
        assert len(writer.missing(20)) == 9 - 4
        fill(writer, vectors, 20)
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)


def test_nothing_is_left_of_a_job_that_failed_before_its_first_window(
    begin: Begin, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """As of a conversion."""
    with pytest.raises(ZeroDivisionError), begin() as writer:
        fail_after(writer, [], vectors)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "word"), [({"seed": 3}, "seed"), ({"license": "CC0-1.0"}, "license")]
)
def test_another_job_is_refused(
    options: Any, word: str, begin: Begin, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """What is there belongs to the call that began it."""
    with begin() as writer:
        writer.write(Window(0, 0, 5, 5), vectors[:, :5, :5])
    with pytest.raises(InvalidConfigError, match=f"unfinished conversion with {word} = "):
        begin(**options)
    with begin(**options, overwrite=True) as writer:
        assert writer.missing([Window(0, 0, 5, 5)])


def test_copies_write_and_only_the_writer_finishes(
    begin: Begin, vectors: NDArray[np.float32], converted: dict[str, bytes], tmp_path: Path
) -> None:
    """A pickled one is all that another process needs."""
    np.save(tmp_path / "vectors.npy", vectors)
    with begin() as writer:
        (tmp_path / "writer").write_bytes(pickle.dumps(writer))
        program = (
            "import pickle, numpy as np; vectors = np.load('vectors.npy')\n"
            "writer = pickle.load(open('writer', 'rb'))\n"
            "for w in writer.missing(20)[::2]: writer.write(w, vectors[:, *w.slices])\n"
        )
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
        copy = copy_of(writer)
        with pytest.raises(StoreError, match="finish: expected the writer that create returned"):
            copy.finish()
        copy.close()
        fill(copy, vectors, 20)
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)
    with pytest.raises(StoreError, match="out: no lock is there"):
        copy.write(Window(0, 0, 5, 5), vectors[:, :5, :5])


def test_a_copy_of_a_job_that_lost_its_place_writes_nothing(
    begin: Begin, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """Whoever goes on has another token."""
    with begin() as writer:
        copy = copy_of(writer)
        writer.write(Window(0, 0, 5, 5), vectors[:, :5, :5])
    with begin():
        left = objects(build_of(tmp_path / "out"))
        with pytest.raises(StoreError, match=r"taken the destination over|is gone"):
            copy.write(Window(20, 20, 5, 5), vectors[:, 20:25, 20:25])
        assert objects(build_of(tmp_path / "out")) == left


def test_an_end_that_failed_leaves_gaps_open(
    begin: Begin,
    vectors: NDArray[np.float32],
    raster_with_holes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shards that were padded, and levels above them, are made anew."""

    def fail(*_: object) -> None:
        raise StoreError("no room")

    with begin(overviews=True) as writer:
        for window in writer.missing(25)[::2]:
            writer.write(window, vectors[:, *window.slices])
        with monkeypatch.context() as patch:
            patch.setattr("geoembz.store.writer.StoreWriter.finish", fail)
            with pytest.raises(StoreError, match="no room"):
                writer.finish()
        fill(writer, vectors, 25)
        writer.finish()
    options: Any = {"basis": writer.encoding, "chunk": 8, "shard": 16, "overviews": True}
    geoembz.convert(raster_with_holes, tmp_path / "converted", **options)
    expected = objects(tmp_path / "converted")
    assert shards_of(objects(tmp_path / "out")) == shards_of(expected)


def test_a_shard_that_was_lost_is_to_be_written_again(
    begin: Begin, vectors: NDArray[np.float32], converted: dict[str, bytes], tmp_path: Path
) -> None:
    """A disk was cleaned while the job was away; while it runs the end fails."""
    with begin() as writer:
        fill(writer, vectors, 16)
        (build_of(tmp_path / "out") / "embedding/c/0/2/1").unlink()
        with pytest.raises(StoreError, match="gone or cut"):
            writer.finish()
    with begin() as writer:
        assert writer.missing(16) == [Window(32, 16, 16, 16)]
        fill(writer, vectors, 16)
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)


def test_a_full_disk_fails_one_window(
    begin: Begin,
    vectors: NDArray[np.float32],
    converted: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With more room the same window is written."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with begin() as writer:
        for name in ("tree", "store"):
            window = Window(0, 0, 5, 5) if name == "tree" else Window(16, 0, 16, 16)
            module = "geoembz._objects.tree" if name == "tree" else "geoembz.store.writer"
            with monkeypatch.context() as patch:
                patch.setattr(f"{module}.write_file", full)
                with pytest.raises(StoreError, match="No space left on device"):
                    writer.write(window, vectors[:, *window.slices])
            assert writer.missing([window]) == [window]
        fill(writer, vectors, 25)
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)
    assert ".geoembz" not in names(tmp_path / "out")


def test_threads_of_one_process_share_a_writer(
    begin: Begin, vectors: NDArray[np.float32], converted: dict[str, bytes], tmp_path: Path
) -> None:
    """As processes do."""
    with begin() as writer:
        with ThreadPoolExecutor(4) as pool:
            windows = writer.missing(11)
            list(pool.map(lambda w: writer.write(w, vectors[:, *w.slices]), windows))
        assert writer.missing(50) == []
        writer.finish()
    assert shards_of(objects(tmp_path / "out")) == shards_of(converted)


def test_a_forked_process_has_a_copy(
    begin: Begin, vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves does not let go of the destination."""
    with begin() as writer:
        with monkeypatch.context() as patch:
            patch.setattr("os.getpid", lambda: -1)
            assert not writer.is_owner
            with pytest.raises(StoreError, match="copies only write"):
                writer.finish()
            writer.close()
        fill(writer, vectors, 50)
        writer.finish()
