"""A proxy on loopback that passes requests to an S3 server and injects faults."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

type Fault = Callable[["Request"], str | None]
"""Returns an S3 error code to answer with, ``drop`` to hang up, ``stall`` to do so after a while,
or None to pass the request."""

STALL_S = 1.5
STATUS = {"SlowDown": 503, "InternalError": 500, "BadDigest": 400}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    number: int  # counted from 0 over all requests
    byte_range: str = ""


@dataclass(frozen=True)
class Answer:
    """What the server said to a request that was passed on."""

    request: Request
    status: int
    size: int


@dataclass
class Proxy:
    url: str
    fault: Fault = lambda _: None
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


@contextmanager
def fault_proxy(upstream: str) -> Iterator[Proxy]:
    """Run a proxy in front of `upstream` until the block ends."""
    lock = threading.Lock()
    host = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            with lock:
                number = len(proxy.requests)
                request = Request(self.command, self.path, number, self.headers.get("Range", ""))
                proxy.requests.append(request)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.fault(request)
            if fault == "stall":
                time.sleep(STALL_S)
            if fault in ("drop", "stall"):
                self.close_connection = True
                self.connection.close()
            elif fault is not None:
                self.answer_error(fault)
            else:
                self.forward(request, body)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815

        def answer_error(self, code: str) -> None:
            text = f"<Error><Code>{code}</Code><Message>injected {code}</Message></Error>".encode()
            self.send_response(STATUS.get(code, 403))
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        def forward(self, request: Request, body: bytes) -> None:
            connection = http.client.HTTPConnection(host, timeout=30)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                content = response.read()
            except OSError:
                self.close_connection = True
                return
            finally:
                connection.close()
            with lock:
                proxy.answers.append(Answer(request, response.status, len(content)))
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = response.getheader("Content-Length") or str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
