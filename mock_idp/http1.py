"""HTTP/1.1 for Tornado's request handlers, on asyncio's transports.

Tornado's own connection costs more than everything else that an answer takes here but an RSA signature: the key set
comes three times as fast without it. Requests are read by llhttp, as Node.js reads them; handlers and errors stay
Tornado's.
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools
from tornado import httputil
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPServerRequest, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024  # handlers refuse much less, in their own words
_LINGER_S = 2.0

Application = Callable[[HTTPServerRequest], object]


class Refused(Exception):
    """A request that is no proper HTTP/1.1, or too large.

    Attributes:
        status: of the answer, after which the connection is closed.
        sentence: what is wrong.
    """

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        self.sentence = sentence
        super().__init__(sentence)


class _Owner(Protocol):
    """Where a connection reports itself, to be ended when it is idle."""

    connections: "set[Connection]"
    application: Application


class Connection(asyncio.Protocol, httputil.HTTPConnection):
    """One client's connection: requests in, one after the other, and their answers out.

    It is the `connection` of Tornado's requests, and its own `context`. The methods `on_…` are the parser's.

    Attributes:
        remote_ip, protocol: what Tornado's requests ask of a context.
        since: when the present request, or the silence before it, began; None while a request is being answered.
    """

    def __init__(self, server: _Owner) -> None:
        self._server = server
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpRequestParser(self)
        self._read: deque[tuple[HTTPServerRequest, bool] | Refused] = deque()
        self._reads = True
        self._bytes = 0
        self._in_body = False
        self._url = b""
        self._headers = HTTPHeaders()
        self._body = bytearray()
        self._answers_http10 = False
        self._keep_alive = True
        self._on_close: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._written: asyncio.Future[None] = self._loop.create_future()
        self._written.set_result(None)
        self.since: float | None = self._loop.time()
        self.context = self
        self.remote_ip = "0.0.0.0"  # noqa: S104 - not an address to bind: Tornado's word for an unknown caller
        self.protocol = "http"

    # --- The transport's calls -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who is there."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.remote_ip = peer[0] if peer else self.remote_ip
        self.protocol = "https" if transport.get_extra_info("sslcontext") else "http"
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the handler that nobody listens any more."""
        self._server.connections.discard(self)
        self._written = self._loop.create_future()
        self._written.set_exception(StreamClosedError(exc))
        self._written.exception()  # whoever does not wait for it need not hear of it
        if self._on_close is not None:
            self._on_close()
            self._on_close = None

    def eof_received(self) -> bool:
        """Answer what has been asked; after that the connection is over."""
        self._reads = False
        return self.since is None and self.protocol == "http"

    def data_received(self, data: bytes) -> None:
        """Take bytes, and give whole requests to the application."""
        if not self._reads:
            return
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
            if self._bytes > (2 * MAX_BODY_BYTES if self._in_body else MAX_HEAD_BYTES):
                raise _too_large(in_body=self._in_body)
        except httptools.HttpParserUpgrade:
            self._reads = False  # nothing else is spoken here; the request itself is answered
        except (httptools.HttpParserError, Refused) as error:
            self._reads = False
            self._read.append(_refusal(error))
        if self.since is not None:
            self._answer_next()
        elif self._read:
            self._transport.pause_reading()

    # --- The parser's calls ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url, self._headers, self._body, self._in_body = b"", HTTPHeaders(), bytearray(), False

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line; trailers mean nothing here."""
        if self._in_body:
            return
        text = name.decode("latin1")
        if text in self._headers:
            self._headers.add(text, value.decode("latin1"))
        else:
            self._headers[text] = value.decode("latin1")

    def on_headers_complete(self) -> None:
        """Refuse what is too large already, and answer a client that waits for leave to go on."""
        headers = self._headers
        if len(self._url) + sum(len(name) + len(value) for name, value in headers.get_all()) > MAX_HEAD_BYTES:
            raise _too_large(in_body=False)
        self._in_body = True
        if "Content-Length" in headers and int(headers["Content-Length"]) > MAX_BODY_BYTES:
            raise _too_large(in_body=True)
        if "Expect" in headers and headers["Expect"].lower() == "100-continue" and self.since is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            raise _too_large(in_body=True)

    def on_message_complete(self) -> None:
        """Line the request up to be answered."""
        parser = self._parser
        version = parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise Refused(505, "The versions of HTTP are 1.0 and 1.1.")
        line = RequestStartLine(parser.get_method().decode("latin1"), self._url.decode("latin1"), f"HTTP/{version}")
        request = HTTPServerRequest(connection=self, start_line=line, headers=self._headers, body=bytes(self._body))
        self._read.append((request, parser.should_keep_alive()))
        self._bytes, self._in_body = 0, False

    # --- Answering -------------------------------------------------------------------------------------------------

    def _answer_next(self) -> None:
        while self._read and self.since is not None and not self._transport.is_closing():
            item = self._read.popleft()
            if isinstance(item, Refused):
                self._refuse(item)
                return
            request, self._keep_alive = item
            self._keep_alive = self._keep_alive and (self._reads or bool(self._read))
            self._answers_http10 = request.version == "HTTP/1.0"
            self.since = None
            self._server.application(request)

    def _refuse(self, refusal: Refused) -> None:
        """Answer what is no request, and read on for a while: who is still sending would not see the answer."""
        body = json.dumps({"error": "invalid_request", "error_description": refusal.sentence}).encode()
        head = (
            f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(_LINGER_S, self._transport.close)

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        """Begin the answer. Without a Content-Length, its end is the end of the connection."""
        _, status, reason = start_line
        if "Content-Length" not in headers and status not in {204, 304}:
            self._keep_alive = False
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.get_all())]
        if not self._keep_alive:
            lines.append("Connection: close")
        elif self._answers_http10:
            lines.append("Connection: keep-alive")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1:
            raise ValueError("a header with a line break")
        return self.write(f"{text}\r\n\r\n".encode("latin1") + (chunk or b""))

    def write(self, chunk: bytes) -> "asyncio.Future[None]":
        """Go on with the answer; the future fails once the client is gone."""
        if not self._transport.is_closing():
            self._transport.write(chunk)
        return self._written

    def finish(self) -> None:
        """End the answer and go on to the next request."""
        self.since = self._loop.time()
        self._on_close = None
        if not self._keep_alive:
            self._transport.close()
        elif self._read:
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self.since is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer_next()

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client is gone before its answer."""
        self._on_close = callback

    def detach(self) -> asyncio.Transport:
        """Leave the connection to the caller, who closes it."""
        self._keep_alive = False
        return self._transport


def _too_large(*, in_body: bool) -> Refused:
    return Refused(413, "The request is larger than 1 MiB.") if in_body else Refused(431, "The head exceeds 64 KiB.")


def _refusal(error: httptools.HttpParserError | Refused) -> Refused:
    """Return what to answer: our own refusal, Tornado's, or the parser's."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, Refused):
        return cause
    if isinstance(cause, HTTPInputError | httptools.HttpParserError):
        return Refused(400, f"{cause}.")
    raise error  # no fault of the client's


class HttpServer:
    """Connections of one application on listening sockets.

    Args:
        application: called with every request, as Tornado's applications are.
        idle_s: how long a client may be silent, or take for one request.
    """

    def __init__(self, application: Application, idle_s: float = 75.0) -> None:
        self.application = application
        self._idle_s = idle_s
        self.connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None

    async def listen(self, sockets: list[Any], context: ssl.SSLContext | None = None) -> None:
        """Accept connections; with a context, over TLS."""
        loop = asyncio.get_running_loop()
        for each in sockets:
            self._servers.append(await loop.create_server(lambda: Connection(self), sock=each, ssl=context))
        if self._sweep is None:
            self._end_idle()

    def _end_idle(self) -> None:
        loop = asyncio.get_running_loop()
        for connection in list(self.connections):
            if connection.since is not None and loop.time() - connection.since > self._idle_s:
                connection.detach().close()
        self._sweep = loop.call_later(self._idle_s / 5, self._end_idle)

    async def stop(self) -> None:
        """Close sockets and connections; what is still to be sent gets one turn of the loop."""
        if self._sweep is not None:
            self._sweep.cancel()
        for server in self._servers:
            server.close()
            server.close_clients()
        await asyncio.sleep(0)
        for server in self._servers:
            server.abort_clients()
