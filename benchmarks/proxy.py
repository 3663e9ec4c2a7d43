"""A proxy on loopback before a server of S3: it adds a latency, and counts what passes.

    python -m benchmarks.proxy HOST:PORT [--latency SECONDS]

prints its port and passes on until it is ended. Requests are signed for the host that the client
names, which servers accept as it is; so no client knows that it is there. Heads are read and passed
on as they are, bodies as they come.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from benchmarks.serving import TRAFFIC, ServedApart, Traffic

_BLOCK = 1 << 18
_NO_BODY = (204, 304)
_ENDED = (asyncio.IncompleteReadError, ConnectionError)
"""One side has closed the connection."""


@dataclass(frozen=True)
class Head:
    """The head of a request or an answer."""

    raw: bytes

    @property
    def first(self) -> list[str]:
        """The words of the first line."""
        return self.raw.split(b"\r\n", 1)[0].decode("latin-1").split(" ")

    def field(self, name: str) -> str:
        """Return a field; empty where there is none."""
        for line in self.raw.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip().lower()
        return ""


@dataclass
class Proxy:
    """What is passed on where, and how late."""

    host: str
    port: int
    latency_s: float
    log: list[int] = field(default_factory=list)
    """Bytes of each answer's body."""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass on one connection, a request after the other."""
        upstream: tuple[StreamReader, StreamWriter] | None = None
        with suppress(*_ENDED):
            while True:
                request = Head(await reader.readuntil(b"\r\n\r\n"))
                if request.first[1] == TRAFFIC:
                    self._tell(writer)
                    continue
                if upstream is None or upstream[0].at_eof():  # the server ends what is idle
                    upstream = await asyncio.open_connection(self.host, self.port)
                upstream[1].write(request.raw)
                await _pass_body(request, reader, upstream[1])
                answer = Head(await upstream[0].readuntil(b"\r\n\r\n"))
                if answer.first[1] == "100":
                    answer = Head(await upstream[0].readuntil(b"\r\n\r\n"))
                await asyncio.sleep(self.latency_s)
                has_body = request.first[0] != "HEAD" and int(answer.first[1]) not in _NO_BODY
                number = len(self.log)
                self.log.append(0)  # before the client can go on
                if has_body:
                    self.log[number] = int(answer.field("content-length") or 0)
                writer.write(answer.raw)
                if has_body:
                    size = await _pass_body(answer, upstream[0], writer)
                    self.log[number] = size
        for each in (writer, upstream and upstream[1]):
            if each:
                each.close()

    def _tell(self, writer: StreamWriter) -> None:
        answer = json.dumps(asdict(Traffic(len(self.log), sum(self.log)))).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))


async def _pass_body(head: Head, source: StreamReader, target: StreamWriter) -> int:
    """Pass on what follows a head; return its size without the marks of chunks."""
    if head.field("transfer-encoding") != "chunked":
        left = size = int(head.field("content-length") or 0)
        while left:
            block = await source.read(min(left, _BLOCK))
            if not block:
                raise ConnectionError
            target.write(block)
            await target.drain()
            left -= len(block)
        await target.drain()
        return size
    total = 0
    while True:
        line = await source.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        target.write(line + await source.readexactly(size + 2))
        await target.drain()
        total += size
        if not size:
            return total


@contextmanager
def passing_on(endpoint: str, latency_s: float = 0.0) -> Iterator[ServedApart]:
    """Pass requests on to a server, from a process of its own.

    Parameters
    ----------
    endpoint
        URL of the server.
    latency_s
        Seconds that each answer waits.
    """
    where = urlsplit(endpoint).netloc
    command = [sys.executable, "-m", "benchmarks.proxy", where, "--latency", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ServedApart(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


async def _run(proxy: Proxy) -> None:
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=_BLOCK)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Pass on until this process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy", description=__doc__)
    parser.add_argument("server")
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    host, _, port = options.server.rpartition(":")
    asyncio.run(_run(Proxy(host, int(port), options.latency)))


if __name__ == "__main__":
    main()
