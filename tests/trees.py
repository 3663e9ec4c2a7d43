"""Directories as dictionaries, so that two stores can be compared byte for byte."""

from pathlib import Path


def objects(root: Path) -> dict[str, bytes]:
    """Return every file below `root`, by relative path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def names(folder: Path) -> list[str]:
    """Return the names in a directory, hidden ones included, sorted."""
    return sorted(path.name for path in folder.iterdir())
