"""The same on other file systems, and sources that must not be published."""

from pathlib import Path

import pytest

from geoembz._publish import copy_store, verify_against
from geoembz._publish.plan import phases
from geoembz.errors import InvalidConfigError, StoreError


@pytest.mark.parametrize("where", ["file", "memory"])
def test_other_file_systems(store: Path, tmp_path: Path, where: str) -> None:
    """A store is published to any fsspec URL, and back."""
    target = str(tmp_path / "copy.zarr") if where == "file" else f"memory://{tmp_path.name}/a.zarr"
    report = copy_store(str(store), target)
    assert report.n_uploaded == report.n_objects
    assert verify_against(target, str(store)) == []
    assert copy_store(str(store), target).n_uploaded == 0
    back = tmp_path / "back.zarr"
    copy_store(target, str(back))
    assert verify_against(str(back), str(store)) == []


def test_phases_hide_nodes_until_they_are_whole() -> None:
    """A node's metadata comes after everything below it."""
    keys = ["zarr.json", "32633/zarr.json", "32633/embedding/zarr.json", "32633/embedding/c/0/0/0"]
    assert phases(keys) == [[keys[3]], [keys[2]], [keys[1]], [keys[0]]]


def test_incomplete_stores_stay(store: Path, tmp_path: Path) -> None:
    """A journal, or no root, means that a conversion has not ended."""
    (store / ".geoembz").mkdir()
    (store / ".geoembz" / "journal").write_text("")
    with pytest.raises(StoreError, match="journal"):
        copy_store(str(store), str(tmp_path / "copy.zarr"))
    with pytest.raises(StoreError, match=r"no zarr\.json"):
        copy_store(str(store / "embedding" / "c"), str(tmp_path / "copy.zarr"))
    with pytest.raises(StoreError, match=r"no zarr\.json"):
        copy_store(str(tmp_path / "nothing"), str(tmp_path / "copy.zarr"))
    assert not (tmp_path / "copy.zarr").exists()


def test_links_are_not_followed(store: Path, tmp_path: Path) -> None:
    """A link in a store would publish what it points at."""
    secret = tmp_path / "secret"
    secret.write_text("private")
    (store / "embedding" / "c" / "link").symlink_to(secret)
    with pytest.raises(StoreError, match="symbolic link"):
        copy_store(str(store), str(tmp_path / "copy.zarr"))


def test_odd_names_stay(store: Path, tmp_path: Path) -> None:
    """A file whose name object stores may not take is named."""
    (store / "a\nb").write_text("")
    with pytest.raises(InvalidConfigError, match="refused"):
        copy_store(str(store), str(tmp_path / "copy.zarr"))


def test_onto_itself(store: Path) -> None:
    """A store is not published onto itself."""
    with pytest.raises(InvalidConfigError, match="the store itself"):
        copy_store(str(store), f"file://{store}/")


@pytest.mark.parametrize("workers", [0, -1, 1000])
def test_workers(store: Path, tmp_path: Path, workers: int) -> None:
    """The number of workers has bounds."""
    with pytest.raises(InvalidConfigError, match="1 to 256"):
        copy_store(str(store), str(tmp_path / "copy.zarr"), workers=workers)


def test_a_directory_that_is_published_into_never_shows_half_a_file(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file gets its name when it is whole; what a killed publish left is ignored and deleted."""
    target = tmp_path / "copy.zarr"

    rename = Path.replace

    def die(self: Path, other: Path) -> None:
        if self.suffix == ".partial":
            raise KeyboardInterrupt
        rename(self, other)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            copy_store(str(store), str(target), workers=1)
    left = [path for path in target.rglob("*") if path.is_file()]
    assert [path.suffix for path in left] == [".partial"]
    copy_store(str(store), str(target), workers=1)
    assert verify_against(str(target), str(store)) == []
    assert not list(target.rglob("*.partial"))
