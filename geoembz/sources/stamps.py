"""Whether an input is still the one that was opened: sizes and times now and then."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from geoembz._objects.identity import display_name
from geoembz.errors import SourceChangedError

if TYPE_CHECKING:
    from geoembz.sources.base import SourceInfo

_ASKED_AT_ONCE = 32


@dataclass(frozen=True)
class Stamp:
    """One file or object, as it is at a moment.

    Parameters
    ----------
    path
        Where it is.
    size_bytes
        Its size; None where it is unknown, or nothing is there.
    version
        Modification time in ns and inode of a local file, ETag of an object; None where unknown.
    """

    path: str
    size_bytes: int | None
    version: tuple[int, int] | str | None

    @classmethod
    def of(cls, path: str) -> Self:
        """Return a file or object as it is now."""
        if "://" in path:
            from geoembz._objects.reading import object_status

            return cls(path, *object_status(path))
        try:
            status = Path(path).stat()
        except OSError:
            return cls(path, None, None)
        return cls(path, status.st_size, (status.st_mtime_ns, status.st_ino))

    def brief(self) -> list[Any]:
        """Return what tells it from another version, without the folder it is in."""
        time = self.version[0] if isinstance(self.version, tuple) else self.version
        return [Path(self.path).name, self.size_bytes, time]


def check_unchanged(infos: Iterable["SourceInfo"]) -> None:
    """Refuse to go on with inputs that are others than when they were opened.

    Raises
    ------
    SourceChangedError
        If a file was written to, replaced or deleted meanwhile, or an object has another ETag.
    """
    from concurrent.futures import ThreadPoolExecutor

    stamps = list(dict.fromkeys(stamp for info in infos for stamp in info.watched))
    if len(stamps) == 1 or not any("://" in stamp.path for stamp in stamps):
        now = [Stamp.of(stamp.path) for stamp in stamps]
    else:
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            now = list(pool.map(lambda stamp: Stamp.of(stamp.path), stamps))
    for then, is_now in zip(stamps, now, strict=True):
        if then != is_now:
            raise SourceChangedError(
                f"{display_name(then.path)}: changed while it was converted: "
                f"{_change(then, is_now)}; expected an input that stays as it is, or a store would "
                "hold parts of two; nothing is kept: run the same command again once the input is "
                "complete"
            )


def _change(then: Stamp, now: Stamp) -> str:
    if now.size_bytes is None:
        return "it is gone"
    if then.size_bytes != now.size_bytes:
        return f"{then.size_bytes} bytes then, {now.size_bytes} now"
    return "replaced or written to since"
