"""A web server on 127.0.0.1: files by their paths, and paths that are answered in other ways."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]
"""Answers a request, whatever it is."""


class WebServer:
    """Serves `files` by what follows the host in their addresses, as it is written; `answers` go first.

    Attributes
    ----------
    files : dict of str to bytes
    answers : dict of str to Answer
    has_tags : bool
        Whether answers have an ETag.
    dates : str
        What they have as Last-Modified; "" if nothing.
    asked : list of str
        Requests so far, such as "HEAD /a.png".
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.has_tags = True
        self.dates = ""
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            do_HEAD = do_GET  # noqa: N815 - a name of the standard library

            def log_message(self, *_: object) -> None:
                """Be silent."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def take_asked(self) -> list[str]:
        """Give the requests since the last call, sorted."""
        asked, self.asked = sorted(self.asked), []
        return asked

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(f"{request.command} {request.path}")
        if request.path in self.answers:
            self.answers[request.path](request)
        elif request.path in self.files:
            self.send(request, self.files[request.path])
        else:
            send(request, 404, b"<html>no such page</html>")

    def send(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"'} if self.has_tags else {}
        if self.dates:
            headers["Last-Modified"] = self.dates
        send(request, 200, data, headers)


def send(
    request: BaseHTTPRequestHandler, status: int, data: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    """Answer with a status and a body."""
    request.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)


def answer_status(status: int, **headers: str) -> Answer:
    """Answer with a status and headers, and no body."""
    return lambda request: send(request, status, b"", {name.replace("_", "-"): headers[name] for name in headers})


def answer_without_length(data: bytes, pieces: int) -> Answer:
    """Answer with so many pieces of data, and no length."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            for _ in range(pieces if request.command != "HEAD" else 0):
                request.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        except OSError:
            # Whoever asked has heard enough.
            request.close_connection = True
            return
        request.wfile.write(b"0\r\n\r\n" if request.command != "HEAD" else b"")

    return answer


def answer_with_length(length: int, data: bytes = b"") -> Answer:
    """State a length, send these bytes at the most, and cut the connection."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)
            cut(request)

    return answer


def cut(request: BaseHTTPRequestHandler) -> None:
    """End a connection as a cable that is pulled out would."""
    request.close_connection = True
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()
