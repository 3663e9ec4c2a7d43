"""Files on this machine: those below a directory, written whole, and two that change places."""

import ctypes
import errno
import os
import uuid
from collections.abc import Buffer, Iterator
from contextlib import suppress
from pathlib import Path

from geoembz.errors import InvalidConfigError

PARTIAL = ".partial"
"""Ends the name of a file that is being written."""

_OWN_ATTRIBUTE = b'"geoembz:'
"""What the root document of every store, and of every map, has."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


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


def write_file(path: Path, content: Buffer, *, root: Path | None = None, sync: bool = True) -> None:
    """Write a file; whoever reads it sees all of it or nothing.

    Parameters
    ----------
    path, content
        Where, and what.
    root
        A directory above that must be there: folders below it are made, it is not.
    sync
        Whether to wait until the disk has it.

    Raises
    ------
    OSError
        If it cannot be written, or `root` is gone.

    Examples
    --------
    >>> write_file(tmp_path / "a/b", b"content", root=tmp_path)
    >>> (tmp_path / "a/b").read_bytes()
    b'content'
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        _write_new(partial, content, sync=sync)
    except FileNotFoundError:  # almost always the folder is there already
        make_parents(path, root)
        _write_new(partial, content, sync=sync)
    try:
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _write_new(path: Path, content: Buffer, *, sync: bool) -> None:
    try:
        with path.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):  # the disk's first word is the one to report
            path.unlink(missing_ok=True)
        raise


def make_parents(path: Path, root: Path | None = None) -> None:
    """Make the folders above `path`, one by one; never `root` or what is above it.

    Raises
    ------
    FileNotFoundError
        If `root` is not there.
    """
    if root is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    missing, folder = [], path.parent
    while folder != root and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):  # each call fails if what is above has gone meanwhile
        folder.mkdir(exist_ok=True)


def exchange(first: Path, second: Path) -> bool:
    """Let two files or directories change places at once; False where the system cannot.

    Raises
    ------
    OSError
        If one of them is missing, or may not be moved.

    References
    ----------
    renameat2(2), RENAME_EXCHANGE: Linux, on ext4, XFS, Btrfs, tmpfs and overlayfs.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    paths = os.fsencode(first), os.fsencode(second)
    if rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


def refuse_inside_store(path: Path) -> None:
    """Refuse a place inside a store: what is written there would be taken for a part of it.

    Raises
    ------
    InvalidConfigError
        Naming the store.

    Examples
    --------
    >>> refuse_inside_store(tmp_path / "picture.png")
    """
    for parent in path.resolve().parents:
        with suppress(OSError):
            if _OWN_ATTRIBUTE in (parent / "zarr.json").read_bytes():
                raise InvalidConfigError(
                    f"{path}: lies inside {parent}, a store of geoembz; expected a place outside: "
                    "a file in a store would be taken for a part of it"
                )
