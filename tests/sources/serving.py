"""A folder served over HTTP with byte ranges, for the time of a test."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.sources.range_server import RangeHandler


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder; give its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(RangeHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving_apart(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own; give its URL.

    GDAL holds Python's lock while it opens a file: a server in this process would never answer it.
    """
    command = [sys.executable, "-m", "tests.sources.range_server", str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()
