"""Each process's own port: `/health/live`, `/health/ready`, `/metrics`.

A thread per request, at most `_MOST_CONNECTIONS` at a time, none for longer than
`_REQUEST_SECONDS`: a client that sends or reads slowly holds up neither the others nor the stop.
"""

import errno
import gzip
import logging
import socket
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, TCPServer, ThreadingMixIn
from threading import Lock, Thread
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import HttpSettings
from headrace.pipeline.telemetry.endpoints import Answer, Route, endpoints, json_answer
from headrace.pipeline.telemetry.health import Health

_MOST_CONNECTIONS: Final = 32
_REQUEST_SECONDS: Final = 10.0
_LOOK_AROUND_SECONDS: Final = 0.2
"""How often the server looks for a stop and for connections over their time."""
_LAST_PORT: Final = 65_535
_LOG = logging.getLogger("headrace.http")


class HttpServer:
    """Serves health and metrics from a daemon thread of its own.

    Args:
        settings: Where to listen.
        health: The checks behind `/health/live` and `/health/ready`.
        registry: What `/metrics` shows.
        offset: Added to a port other than 0: child i of `--processes N` passes i.
    """

    def __init__(
        self,
        settings: HttpSettings,
        health: Health,
        registry: CollectorRegistry,
        *,
        offset: int = 0,
    ) -> None:
        self._settings = settings
        self._offset = offset
        self._routes = endpoints(health, registry)
        self._server: _Server | None = None
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        """The address it listens on, such as `http://127.0.0.1:9100`; empty when stopped."""
        if self._server is None:
            return ""
        host = self._settings.http_host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self._server.server_address[1]}"

    def start(self) -> int:
        """Listen, and give the port.

        Raises:
            SettingsError: The address cannot be listened on.
        """
        port = self._settings.http_port
        wanted = port + self._offset if port else 0
        self._server = _listen(self._settings.http_host, wanted, self._routes)
        self._thread = Thread(
            target=self._server.serve_forever,
            args=(_LOOK_AROUND_SECONDS,),
            name="headrace-http",
            daemon=True,
        )
        self._thread.start()
        _LOG.info("health and metrics at %s", self.url)
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Close the port and cut what is still open. Returns within a second or so."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        server.shutdown()
        server.server_close()
        server.cut_connections(time.monotonic())
        thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def serve(
    settings: HttpSettings, health: Health, registry: CollectorRegistry, *, offset: int = 0
) -> HttpServer | None:
    """Start a server, or give None where `HEADRACE_HTTP_ENABLED` is off.

    Raises:
        SettingsError: The address cannot be listened on.
    """
    if not settings.http_enabled:
        return None
    server = HttpServer(settings, health, registry, offset=offset)
    server.start()
    return server


class _Server(ThreadingMixIn, TCPServer):
    """Threads that a stop does not wait for, and connections that it can cut."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = _MOST_CONNECTIONS

    def __init__(self, family: int, address: Any, routes: dict[str, Route]) -> None:
        self.address_family = family
        self.routes = routes
        self._open: dict[socket.socket, float] = {}
        self._lock = Lock()
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            if len(self._open) >= _MOST_CONNECTIONS:
                return False
            self._open[request] = time.monotonic()
            return True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self.cut_connections(time.monotonic() - _REQUEST_SECONDS)

    def cut_connections(self, opened_before: float) -> None:
        """Cut what was opened before a moment of the monotonic clock; its thread then ends."""
        with self._lock:
            overdue = [request for request, at in self._open.items() if at <= opened_before]
        for request in overdue:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        _LOG.debug("connection from %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One request. HTTP/1.0 without keep-alive: probes and scrapes are rare."""

    timeout = _REQUEST_SECONDS
    server_version = "headrace"
    sys_version = ""

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        assert isinstance(server, _Server)
        self._routes = server.routes
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        self._send(self._answer())

    def do_HEAD(self) -> None:
        self._send(self._answer(), with_body=False)

    def _answer(self) -> Answer:
        route = self._routes.get(self.path.partition("?")[0])
        if route is None:
            return json_answer(
                HTTPStatus.NOT_FOUND, {"error": "not found", "paths": [*self._routes]}
            )
        try:
            return route(self.headers.get("Accept", ""))
        except Exception as error:
            _LOG.exception("%s failed", self.path)
            return json_answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})

    def _send(self, answer: Answer, *, with_body: bool = True) -> None:
        body = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Cache-Control", "no-store")
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        status = HTTPStatus(code)
        answer = json_answer(
            status, {"error": message or status.phrase, "methods": ["GET", "HEAD"]}
        )
        self.send_response(status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        _LOG.debug("%s %s", self.address_string(), format % args)


def _listen(host: str, port: int, routes: dict[str, Route]) -> _Server:
    if port > _LAST_PORT:
        raise SettingsError(
            f"HEADRACE_HTTP_PORT: child processes count up from it, and {port} is over "
            f"{_LAST_PORT}; choose a lower port"
        )
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _Server(family, address, routes)
    except OSError as error:
        raise SettingsError(_explain(error, host, port)) from error


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"HEADRACE_HTTP_PORT={port}: another process listens on {host}:{port}; choose another "
            "port, or 0 for any free one"
        )
    if error.errno == errno.EACCES:
        return (
            f"HEADRACE_HTTP_PORT={port}: this user may not listen on it; choose one above 1023, "
            "or 0 for any free one"
        )
    return (
        f"HEADRACE_HTTP_HOST={host}: cannot listen on it ({error.strerror}); use 127.0.0.1, or "
        "0.0.0.0 for all addresses of this machine"
    )
