"""A folder served over HTTP on loopback: byte ranges, a latency, and a count of what was sent.

    python -m benchmarks.serving FOLDER [--latency SECONDS] [--port N]

prints its port and serves until it is ended. Benchmarks and tests use it alike.

It stands for other people's web servers, of which geoembz is a client, and so shares nothing with
`geoembz._view.server`: what both misunderstood about ranges, no test would find.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

TRAFFIC = "/.traffic"
"""Asks a server of its own process what it sent; counts for nothing."""


@dataclass(frozen=True)
class Traffic:
    """Requests that were answered, and the bytes of what they sent."""

    requests: int = 0
    size_bytes: int = 0

    def __sub__(self, earlier: "Traffic") -> "Traffic":
        return Traffic(self.requests - earlier.requests, self.size_bytes - earlier.size_bytes)


@dataclass
class Served:
    """A folder that is being served.

    Parameters
    ----------
    url
        Its address.
    folder
        What is served.
    log
        What each request sent: its path, its ``Range``, and bytes.
    """

    url: str
    folder: Path
    log: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def traffic(self) -> Traffic:
        """All that was sent so far."""
        return Traffic(len(self.log), sum(size for _, _, size in self.log))


class RangeHandler(SimpleHTTPRequestHandler):
    """Serve files, whole or in part, to any origin, and say nothing."""

    latency_s = 0.0
    pattern: ClassVar = re.compile(r"bytes=(\d*)-(\d*)")

    def do_GET(self) -> None:
        """Send a part, or all."""
        time.sleep(self.latency_s)
        wanted = self.pattern.fullmatch(self.headers.get("Range") or "")
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            self.sent(path.stat().st_size if path.is_file() else 0)
            super().do_GET()
            return
        if self.headers.get("If-None-Match") == etag_of(path):
            self.sent(0)
            self.send_response(304)
            self.send_header("ETag", etag_of(path))
            self.end_headers()
            return
        size = path.stat().st_size
        start = int(wanted[1]) if wanted[1] else max(size - int(wanted[2]), 0)
        stop = min(int(wanted[2]) + 1, size) if wanted[1] and wanted[2] else size
        with path.open("rb") as file:
            file.seek(start)
            part = file.read(stop - start)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag_of(path))
        self.end_headers()
        self.sent(len(part))  # before the client can go on
        self.wfile.write(part)

    def end_headers(self) -> None:
        """Let pages of other origins read what is sent."""
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Expose-Headers", "Content-Range, ETag")
        super().end_headers()

    def sent(self, size: int) -> None:
        """Take note of an answer."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Keep quiet."""


def etag_of(path: Path) -> str:
    """Return what stands for a file as it is now: as nginx does, its time and size."""
    status = path.stat()
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


@contextmanager
def serving(
    folder: Path, latency_s: float = 0.0, handler: type[SimpleHTTPRequestHandler] = RangeHandler
) -> Iterator[Served]:
    """Serve a folder from threads of this process, connections kept open.

    Parameters
    ----------
    folder
        What to serve.
    latency_s
        Seconds that each request waits.
    handler
        How requests are answered; only a `RangeHandler` counts and waits.
    """
    served = Served("", folder)

    class Handler(handler):  # type: ignore[valid-type, misc]
        protocol_version = "HTTP/1.1"

        def sent(self, size: int) -> None:
            served.log.append((self.path, self.headers.get("Range") or "", size))

    Handler.latency_s = latency_s
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class ServedApart:
    """A folder that another process serves: its Python does not wait for ours.

    Parameters
    ----------
    url
        Its address.
    """

    url: str

    @property
    def traffic(self) -> Traffic:
        """All that was sent so far."""
        with urlopen(f"{self.url}{TRAFFIC}") as answer:  # noqa: S310 - our own process
            return Traffic(**json.load(answer))


@contextmanager
def serving_apart(folder: Path, latency_s: float = 0.0) -> Iterator[ServedApart]:
    """Serve a folder from a process of its own; as `serving`."""
    command = [sys.executable, "-m", "benchmarks.serving", str(folder), "--latency", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ServedApart(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


def main() -> None:
    """Serve a folder until this process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    served = Served("", Path(options.folder))

    class Handler(RangeHandler):
        """Tell what was sent, when asked for it."""

        protocol_version = "HTTP/1.1"
        latency_s = options.latency

        def sent(self, size: int) -> None:
            served.log.append((self.path, self.headers.get("Range") or "", size))

        def do_GET(self) -> None:
            if self.path != TRAFFIC:
                super().do_GET()
                return
            answer = json.dumps(asdict(served.traffic)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    handler = partial(Handler, directory=options.folder)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
