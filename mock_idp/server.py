"""Starting and stopping the issuer's server: sockets, https beside http, one issuer behind both."""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerRequest
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets

from mock_idp.app import make_app
from mock_idp.issuer import Issuer
from mock_idp.reader import MAX_DRAINED_BYTES, MAX_HEAD_BYTES, RequestReader
from mock_idp.settings import Settings, SettingsError

log = logging.getLogger("mock_idp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What connections may take.

    Attributes:
        connections: open at once, http and https together; one more closes the one that is silent the longest. Below
            the 1024 files that a process may usually have open.
        idle_s: until a request's head is there, a TLS handshake before it included.
        body_s: from there to the end of its body.
    """

    connections: int = 800
    idle_s: float = 75.0
    body_s: float = 30.0


class _BoundedServer(HTTPServer):
    """Tornado's server with a bounded number of connections.

    Args:
        request_callback: answers requests, as applications do.
        opened: the streams of all connections, the one that was heard of last at the end; other servers may share it.
        limits: of connections.
    """

    def initialize(  # type: ignore[override]  # the other arguments are given by name and passed on
        self,
        request_callback: Callable[[HTTPServerRequest], Any],
        opened: dict[IOStream, None],
        limits: Limits,
        **options: Any,
    ) -> None:
        """Stand in for __init__, as with every class that Tornado lets be configured."""
        super().initialize(
            request_callback,
            idle_connection_timeout=limits.idle_s,
            body_timeout=limits.body_s,
            max_header_size=4 * MAX_HEAD_BYTES,
            max_body_size=MAX_DRAINED_BYTES,
            **options,
        )
        self._answer = request_callback
        self._opened = opened
        self._limit = limits.connections

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Take a connection, and close another for it where there are too many."""
        while len(self._opened) >= self._limit:
            oldest = next(iter(self._opened))
            del self._opened[oldest]
            oldest.close()
        self._opened[stream] = None
        super().handle_stream(stream, address)

    def start_request(self, server_conn: Any, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Read the next request of a connection."""
        return RequestReader(server_conn, request_conn, self._take)

    def _take(self, request: HTTPServerRequest) -> None:
        stream = cast("HTTP1ServerConnection", request.server_connection).stream
        if stream in self._opened:  # and not being closed for another
            del self._opened[stream]
            self._opened[stream] = None
        self._answer(request)

    def on_close(self, server_conn: Any) -> None:
        """Forget a connection."""
        self._opened.pop(server_conn.stream, None)
        super().on_close(server_conn)


def _listen(bind: str, port: int, setting: str, opened: ExitStack) -> list[socket.socket]:
    """Open the listening sockets, to be closed with `opened` should the start fail.

    Raises:
        SettingsError: the port is taken or the address is not this machine's.
    """
    try:
        sockets = bind_sockets(port, address=bind)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {bind} port {port}: {error.strerror}. Set {setting} or BIND to something free."
        ) from error
    for each in sockets:
        opened.callback(each.close)
    return sockets


class IssuerServer:
    """An issuer that listens.

    Args:
        settings: from the environment, or a test's own.
        limits: of its connections.

    Raises:
        SettingsError, ConfigError, KeyStoreError: it cannot start; the text says why.
    """

    def __init__(self, settings: Settings, limits: Limits | None = None) -> None:
        with ExitStack() as opened:
            self._sockets = _listen(settings.bind, settings.port, "IDP_PORT", opened)
            self._tls_sockets: list[socket.socket] = []
            self._tls_context: ssl.SSLContext | None = None
            port = self._sockets[0].getsockname()[1]
            tls_url = ""
            if settings.tls_port is not None:
                self._tls_sockets = _listen(settings.bind, settings.tls_port, "IDP_TLS_PORT", opened)
                tls_url = settings.tls_public_url or f"https://localhost:{self._tls_sockets[0].getsockname()[1]}"
            self.issuer = Issuer(settings, settings.public_url or f"http://localhost:{port}", tls_url)
            self.issuer.default.ring(self.issuer.default.servers["default"])
            if self._tls_sockets:
                self._tls_context = _tls_context(self.issuer, settings.state_dir, tls_url)
            self._limits = limits or Limits()
            self._servers: list[HTTPServer] = []
            opened.pop_all()  # started: the server closes its sockets itself

    def describe(self) -> str:
        """Return the line that says where it is; whoever starts it waits for that line."""
        issuer = self.issuer
        tls = f", https {issuer.tls_public_url}/oauth2/default" if issuer.tls_public_url else ""
        return f"mock_idp: issuer {issuer.public_url}/oauth2/default{tls}, console {issuer.public_url}/"

    async def __aenter__(self) -> Self:
        # Most requests wait for nothing, and need no turn of the loop: a third more key sets, a sixth more tokens.
        if sys.version_info >= (3, 12):
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        application = make_app(self.issuer)
        opened: dict[IOStream, None] = {}
        for sockets, context in (self._sockets, None), (self._tls_sockets, self._tls_context):
            if sockets:
                server = _BoundedServer(application, opened=opened, limits=self._limits, ssl_options=context)
                server.add_sockets(sockets)
                self._servers.append(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()
        for server in self._servers:
            await server.close_all_connections()


def _tls_context(issuer: Issuer, state_dir: Path, tls_url: str) -> ssl.SSLContext:
    # Imported only where https is asked for: certificates cost a tenth of the start-up time.
    from mock_idp.certificates import CertificateAuthority  # noqa: PLC0415

    authority = CertificateAuthority(state_dir)
    issuer.ca_pem = authority.pem
    host = urlsplit(tls_url).hostname or "localhost"
    return authority.server_context(list(dict.fromkeys([host, "localhost", "127.0.0.1", "::1", "mock-idp"])))
