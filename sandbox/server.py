"""HTTP/1.1 on loopback for the whole sandbox: keep-alive, buffered answers, a clean stop."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.control import ControlApi
from sandbox.pages import Pages
from sandbox.wire import Request, Response
from sandbox.world import Delivery, World

MAX_BODY_BYTES = 64_000_000
STOP_SECONDS = 5.0


class Unreadable(Exception):
    """The request's body cannot be read; `status` says why, and the connection must be closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Server(ThreadingHTTPServer):
    """The sandbox's server. Refuses any address but loopback: its credentials are no secret."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, world: World, host: str = "127.0.0.1", port: int = 0) -> None:
        if not is_loopback(host):
            raise ValueError(f"The sandbox serves on loopback only, not on {host!r}.")
        self.world = world
        self.control = ControlApi(world)
        self.pages = Pages(world)
        self._open: set[Any] = set()
        self._changed = threading.Condition()
        if ":" in host:
            self.address_family = socket.AF_INET6
        world.stopping.clear()
        super().__init__((host, port), Connection)

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        host, port = self.server_address[:2]
        return (
            f"http://[{host!s}]:{port}"
            if self.address_family == socket.AF_INET6
            else f"http://{host!s}:{port}"
        )

    def server_bind(self) -> None:
        """Bind without asking the resolver for our own name, which can take seconds on some machines."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its own thread, and remember it for the stop."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Callers may hang up at any time; anything else is a mistake of ours and is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            traceback.print_exc(file=sys.stderr)

    def stop(self) -> None:
        """Accept nothing more, let running answers end (a few seconds at most), close every connection."""
        self.world.stopping.set()
        self.shutdown()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
            self._changed.wait_for(lambda: not self._open, timeout=STOP_SECONDS)
        self.server_close()

    def answer(self, request: Request) -> Delivery:
        """Route one request to a system, the control API or a page."""
        name = self.world.system_for(request.path)
        if name is not None:
            return self.world.deliver(name, request)
        if self.control.handles(request.path):
            return Delivery(self.control.respond(request))
        if self.pages.handles(request.path):
            return Delivery(self.pages.respond(request))
        entry = self.world.log.begin(None, request)
        entry.finish(404)
        return Delivery(
            Response.of(404, {"error": f"Nothing in the sandbox answers {request.method} {request.path}"})
        )


class Connection(BaseHTTPRequestHandler):
    """One caller's connection: reads requests, writes answers, keeps the connection open between them."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Serve a request of any method."""
        try:
            request = self._request()
        except Unreadable as error:
            self.close_connection = True
            self._send(Response.of(error.status, {"error": str(error)}))
            return
        try:
            delivery = self.server.answer(request)
        except Exception as error:  # noqa: BLE001 - a mistake in a page must not look like a dropped answer
            traceback.print_exc(file=sys.stderr)
            delivery = Delivery(Response.of(500, {"error": f"The sandbox failed: {type(error).__name__}."}))
        if delivery.response is None:
            self.close_connection = True
        else:
            self._send(delivery.response, truncated=delivery.truncated)

    def __getattr__(self, name: str) -> Any:
        """Every other method is served alike: which of them there are is for the systems to say."""
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Stay silent: the request log is read over HTTP."""

    def _request(self) -> Request:
        target = self.path
        if not target.startswith("/"):
            parts = urlsplit(target)
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        path, _, query = target.partition("#")[0].partition("?")
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        method = "GET" if self.command == "HEAD" else self.command
        return Request(method, unquote(path), query, headers, self._body(headers))

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunked_body()
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise Unreadable(400, "Content-Length must be a whole number.")
        if int(length) > MAX_BODY_BYTES:
            raise Unreadable(413, f"A body may have {MAX_BODY_BYTES} bytes.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Unreadable(400, "The body is shorter than its Content-Length.")
        return body

    def _chunked_body(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while size := self._chunk_size():
            total += size
            if total > MAX_BODY_BYTES:
                raise Unreadable(413, f"A body may have {MAX_BODY_BYTES} bytes.")
            parts.append(self.rfile.read(size))
            self.rfile.readline(3)
        while self.rfile.readline(65536).strip():
            pass
        return b"".join(parts)

    def _chunk_size(self) -> int:
        line = self.rfile.readline(1024).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
            raise Unreadable(400, "A chunk must start with its size in hexadecimal.")
        return int(line, 16)

    def _send(self, response: Response, *, truncated: bool = False) -> None:
        body = response.body or b""
        headers = {name.title(): value for name, value in response.headers.items()}
        self.send_response_only(response.status)
        self.send_header("Server", "sandbox")
        self.send_header("Date", headers.pop("Date", "") or self.date_time_string())
        for name, value in headers.items():
            self.send_header(name, value)
        if response.status != 204 and "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        if truncated or self.close_connection:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self.wfile.write(body[: len(body) // 2] if truncated else body)


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address or the name localhost."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def running(world: World, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `world` from threads of this process; yields the base URL. Port 0 takes a free one."""
    server = Server(world, host, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox")
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()
