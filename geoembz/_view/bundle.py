"""The page's files: built from TypeScript before a release, or in a clone when first needed."""

import html
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from geoembz.errors import MissingPackageError, OutputError

_FOLDER = Path(__file__).parent
INDEX = "index.html"
_SOURCES = ("src", "static", "package.json", "build.mjs")
_SHOWN_LINES = 12


def built_page(
    store: str | None,
    name: str,
    say: Callable[[str], None] | None = None,
    *,
    at_once: int | None = None,
    maps: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """Return the files of the page by name, the first one made for a store or for maps.

    Parameters
    ----------
    store
        Address of the store, relative to the page or whole; None for maps alone.
    name
        What the command line calls the store.
    say
        Told when the page is built first, which takes some seconds.
    at_once
        Bytes of codes that the page may read at once to score what is in view; None for what it
        reads of a store behind a slow line.
    maps
        Addresses of maps, and what the command line calls them; the first lies on top.

    Raises
    ------
    MissingPackageError
        If the page is not built and npm is not there to do it.
    OutputError
        If it cannot be built.
    """
    folder = _FOLDER / "dist"
    if is_stale(_FOLDER):
        build(_FOLDER, say)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    facts = {"geoembz-store": store or "", "geoembz-name": name}
    if maps:
        listed = [{"url": url, "name": called} for url, called in maps.items()]
        facts["geoembz-maps"] = json.dumps(listed)
    if at_once is not None:
        facts["geoembz-at-once"] = str(at_once)
    return files | {INDEX: _told(files[INDEX], facts)}


def is_stale(folder: Path) -> bool:
    """Whether the page has to be built: it is not there, or older than sources that changed here.

    Where nobody has installed what builds it, it came with the package, whose files' times say
    nothing.
    """
    built = folder / "dist" / INDEX
    if not built.is_file():
        return True
    if not (folder / "node_modules").is_dir():
        return False
    sources = [path for name in _SOURCES for path in _below(folder / name)]
    return max(path.stat().st_mtime for path in sources) > built.stat().st_mtime


def build(folder: Path, say: Callable[[str], None] | None = None) -> None:
    """Build the page with npm; of several who want it, one does.

    Parameters
    ----------
    folder
        That holds ``package.json``.
    say
        Told once, before it begins.

    Raises
    ------
    MissingPackageError
        If npm is not there.
    OutputError
        If a step fails.
    """
    if not (folder / "package.json").is_file():
        raise MissingPackageError(
            "view: this geoembz was packed without its page, where npm was missing; install one "
            "that has it, or clone the repository and build it there"
        )
    npm = shutil.which("npm")
    if npm is None:
        raise MissingPackageError(
            "view: the page is not built in this clone, and npm is not there to build it; install "
            "Node.js 20 or later with npm and run the same command again, or install a released "
            "geoembz, which brings the page"
        )
    with _one_at_a_time(folder / ".building"):
        if not is_stale(folder):  # whoever was first has built it
            return
        if say is not None:
            say("building the page once with npm …")
        for words in (("install",), ("run", "build")):
            _run([npm, *words], folder)


def _run(words: list[str], folder: Path) -> None:
    run = subprocess.run(  # noqa: S603 - npm and what package.json names
        words, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if run.returncode:
        said = f"{run.stdout}\n{run.stderr}".strip().splitlines()[-_SHOWN_LINES:]
        raise OutputError(
            f"{folder}: the page cannot be built (npm {' '.join(words[1:])} ended with "
            f"{run.returncode}); expected an npm registry to be reached and a folder that can be "
            "written; what npm said:",
            details=said,
        )


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    try:
        file = path.open("w")
    except OSError as error:
        raise OutputError(
            f"{path.parent}: the page is to be built here, and the folder cannot be written "
            f"({error.strerror}); install a released geoembz, which brings the page"
        ) from error
    with file:
        try:
            import fcntl
        except ImportError:  # not on Windows: there two who build at once do the work twice
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _below(path: Path) -> list[Path]:
    return [path, *path.rglob("*")] if path.is_dir() else [path]


def _told(page: bytes, facts: Mapping[str, str]) -> bytes:
    """Return the first page with its empty ``<meta>`` elements filled in."""
    text = page.decode()
    for name, value in facts.items():
        empty = f'<meta name="{name}" content="" />'
        if empty not in text:
            raise OutputError(f"view: {INDEX} has no {empty}; build the page again")
        text = text.replace(empty, empty.replace('""', f'"{html.escape(value)}"'))
    return text.encode()
