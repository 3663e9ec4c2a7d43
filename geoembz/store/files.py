"""The files below a directory of this machine, without running in circles."""

import os
from collections.abc import Iterator
from pathlib import Path


def walk_files(top: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every file below a directory; a directory that links lead back to is entered once.

    Parameters
    ----------
    top
        A directory; nothing is yielded where there is none.

    Examples
    --------
    >>> _ = (tmp_path / "a.txt").write_text("a")
    >>> (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    >>> [entry.name for entry in walk_files(tmp_path)]
    ['a.txt']
    """
    waiting, entered = [top], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # it went while we walked
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.is_dir():
                waiting.append(Path(entry.path))
            elif entry.is_file():
                yield entry
