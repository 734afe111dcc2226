"""An HTTP proxy that stands before an S3 server and misbehaves as told.

The client's own Host and Authorization headers go on unchanged, so that its signatures stay valid.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import unquote, urlsplit

Fault = Literal[
    "503 SlowDown",
    "503 ServiceUnavailable",
    "500 InternalError",
    "429 TooManyRequests",
    "400 RequestTimeout",
    "403 AccessDenied",
    "403 ExpiredToken",
    "reset",  # the connection, before any answer
    "reset body",  # ... after half of the picture
    "cut",  # half of what Content-Length says, then an orderly end
    "corrupt",  # one bit of the picture is wrong
    "stall",  # no answer for `stall` seconds, or until the proxy ends
    "stall body",  # ... after half of the picture
]

_ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code} by the proxy</Message></Error>'


class Proxy(ThreadingHTTPServer):
    """Plans are by key (`museum/a.jpg`), and used up request by request; `rate` is the share of all other GETs."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, upstream: str, stall: float = 600.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        place = urlsplit(upstream)
        self.upstream = (str(place.hostname), int(place.port or 80))
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.stall = stall
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self.behave()

    def behave(self) -> None:
        """Forget all plans and counts."""
        self.requests: Counter[tuple[str, str]] = Counter()  # of a method and a key
        self._plans: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self._rate: tuple[float, Fault, random.Random] | None = None

    def plan(self, key: str, *faults: Fault) -> None:
        """What happens to the next requests for a key; later ones are answered well."""
        self._plans[key] = deque(faults)

    def always(self, key: str, fault: Fault) -> None:
        self._always[key] = fault

    def rate(self, share: float, fault: Fault, seed: int = 0) -> None:
        """Of the GETs for keys without a plan."""
        self._rate = (share, fault, random.Random(seed))

    def next_fault(self, method: str, key: str) -> Fault | None:
        with self._lock:
            self.requests[method, key] += 1
            if key in self._always:
                return self._always[key]
            if key in self._plans:
                return self._plans[key].popleft() if self._plans[key] else None
            if self._rate and method == "GET":
                share, fault, numbers = self._rate
                return fault if numbers.random() < share else None
            return None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.next_fault(self.command, unquote(urlsplit(self.path).path.strip("/")))
        if fault == "reset":
            self._reset()
        elif fault == "stall":
            self._stall()
        elif fault and fault[0].isdigit():
            status, code = fault.split()
            self._answer(int(status), [("Content-Type", "application/xml")], _ERROR.format(code=code).encode())
        else:
            self._forward(body, fault)

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=120)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        headers = [
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "transfer-encoding", "date", "server")
        ]
        self._answer(answer.status, headers, data, fault)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, fault: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" and status != 204:  # an answer to HEAD has the length of the picture, and no body
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "corrupt":
            data = bytes([data[0] ^ 1]) + data[1:]
        self.wfile.write(data[: len(data) // 2] if fault in ("reset body", "stall body", "cut") else data)
        if fault == "reset body":
            self._reset()
        elif fault == "stall body":
            self._stall()
        elif fault == "cut":
            self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()  # with no time to linger: a reset, not an orderly end

    def _stall(self) -> None:
        self.server.stopped.wait(self.server.stall)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at the counts."""


@contextmanager
def running(upstream: str, stall: float = 600.0) -> Iterator[Proxy]:
    """A proxy on a free port of this machine, gone at the end."""
    proxy = Proxy(upstream, stall)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stopped.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join(5)
