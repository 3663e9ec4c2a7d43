"""Write one file for a user: whole or not at all, faults in words, leftovers swept; or for nobody.

A file is written under a name of this process beside its place, and renamed when it is whole. What
a killed process left there goes when the next one writes the same file. Temporary files go to
folders that bear the number of their process in the same way.
"""

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path

from geoembz.errors import DestinationExistsError, GeoembzError, OutputError, os_fault

_FULL_BYTES = 2**20
_LIBRARIES = ("rasterio", "pyarrow", "matplotlib", "PIL")
"""Whose own errors mean here that a file cannot be written."""


@contextmanager
def output_file(target: Path, *, replaces: bool = True) -> Iterator[Path]:
    """Give a name to write to; what was written there replaces `target` when the block ends.

    Further files of the block may have names that begin with the one given: they are removed.

    Parameters
    ----------
    target
        The file, or a folder.
    replaces
        Whether a file with other content may be replaced.

    Raises
    ------
    DestinationExistsError
        If there is one, and it may not.
    OutputError
        If it cannot be written: no permission, no room, no such folder.

    Examples
    --------
    >>> with output_file(tmp_path / "a.txt") as path:
    ...     _ = path.write_text("whole")
    >>> [path.name for path in tmp_path.glob("a*")]
    ['a.txt']
    """
    _sweep(target)
    partial = target.with_name(f"{_stem(target)}{os.getpid()}.partial{target.suffix}")
    try:
        with output_faults(target):
            yield partial
            if partial.exists():
                if not replaces and target.exists() and not cmp(partial, target, shallow=False):
                    raise DestinationExistsError(
                        f"{target}: exists, with other content; choose another name or pass "
                        "--overwrite"
                    )
                if partial.is_dir() and target.is_dir():  # only an empty one would be replaced
                    target.rename(f"{partial}.old")
                partial.replace(target)
    finally:
        for path in target.parent.glob(f"{_literal(partial.name)}*"):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def scratch_folder() -> Path:
    """Make a folder where temporary files go, after removing those of killed processes.

    Whoever asks for it removes it.

    Examples
    --------
    >>> folder = scratch_folder()
    >>> folder.name.startswith("geoembz-")
    True
    >>> folder.rmdir()
    """
    start = f"geoembz-{_host()}-"
    for path in Path(tempfile.gettempdir()).glob(f"{_literal(start)}*"):
        found = re.match(r"(\d+)-", path.name.removeprefix(start))
        if found is not None and not is_alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)  # it may be another user's
    return Path(tempfile.mkdtemp(prefix=f"{start}{os.getpid()}-"))


@contextmanager
def output_faults(target: Path | str) -> Iterator[None]:
    """Say in words why a file cannot be written.

    Raises
    ------
    OutputError
        Where the block meets an error of the system, or of a library that writes files.
    """
    try:
        yield
    except GeoembzError:
        raise
    except Exception as error:
        is_libraries = type(error).__module__.split(".")[0] in _LIBRARIES
        if not isinstance(error, OSError) and not is_libraries:
            raise
        raise OutputError(f"{target}: cannot be written ({_reason(target, error)})") from error


def _reason(target: Path | str, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os_fault(error)
    folder = Path(target).parent
    if folder.is_dir() and shutil.disk_usage(folder).free < _FULL_BYTES:
        return f"the disk is full: {error}; make room, or choose another place"
    return f"{error.__cause__ or error}; check that the disk has room and the folder may be written"


def _sweep(target: Path) -> None:
    """Remove what killed processes of this machine left of the same file."""
    stem = _stem(target)
    pattern = re.compile(rf"{re.escape(stem)}(\d+)\.partial")
    for path in target.parent.glob(f"{_literal(stem)}*"):
        found = pattern.match(path.name)
        if found is not None and not is_alive(int(found[1])):
            _remove(path)


def _stem(target: Path) -> str:
    return f".{target.name[:128]}.{_host()}-"


def _host() -> str:
    return re.sub(r"\W", "-", socket.gethostname())[:32]


def _literal(name: str) -> str:
    """Return a name as a pattern that matches it alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs; also where it is another user's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
