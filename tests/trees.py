"""Directories as dictionaries, so that two stores can be compared byte for byte."""

from pathlib import Path

from geoembz._convert.placing import builds
from geoembz._objects.tree import ObjectTree
from geoembz.store.journal import Journal


def objects(root: Path) -> dict[str, bytes]:
    """Return every file below `root`, by relative path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def files(root: Path) -> list[Path]:
    """Return every file below `root`, sorted."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def names(folder: Path) -> list[str]:
    """Return the names in a directory, hidden ones included, sorted."""
    return sorted(path.name for path in folder.iterdir())


def build_of(destination: Path) -> Path:
    """Return the folder in which an unfinished conversion builds."""
    (build,) = builds(destination)
    return build


def journal_of(destination: Path) -> Journal:
    """Return the journal of an unfinished conversion."""
    return Journal(ObjectTree(build_of(destination)))
