"""A folder served over HTTP with byte ranges, for the time of a test."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import serving as servers
from tests.conftest import REPOSITORY


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder; give its URL."""
    with servers.serving(folder) as served:
        yield served.url


@contextmanager
def serving_apart(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own; give its URL.

    GDAL holds Python's lock while it opens a file: a server in this process would never answer it.
    """
    command = [sys.executable, "-m", "benchmarks.serving", str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()
