"""HTTP/1.1 for Tornado's request handlers, on asyncio's transports.

Tornado's own connection costs more than everything else that an answer takes here but an RSA signature: the key set
comes three times as fast without it. Requests, handlers and errors stay Tornado's.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

from tornado import httputil
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPServerRequest, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024  # handlers refuse much less, in their own words
_LINGER_S = 2.0
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,6})[ \t]*(?:;[^\r\n]*)?")

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


class _Limits(Protocol):
    """Where a connection reports itself, to be ended when it is idle."""

    connections: "set[Connection]"
    application: Application


def parse_headers(lines: list[str]) -> HTTPHeaders:
    """Read header lines whose characters were checked before. Source: RFC 9112 section 5.

    Raises:
        Refused: 400, a name with blanks or none at all, or a folded line.
    """
    headers = HTTPHeaders()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise Refused(400, "A header line is malformed.")
        if name in headers:
            headers.add(name, value.strip(" \t"))
        else:
            headers[name] = value.strip(" \t")
    return headers


def body_length(headers: HTTPHeaders) -> int | None:
    """Return how long the body is, or None when it comes in chunks. Source: RFC 9112 section 6.

    Raises:
        Refused: 400, the length is no number or there are several; 413, it is too large; 501, an unknown coding.
    """
    if "Transfer-Encoding" in headers:
        if "Content-Length" in headers:
            raise Refused(400, "Content-Length and Transfer-Encoding exclude each other.")
        if headers["Transfer-Encoding"].lower() != "chunked":
            raise Refused(501, "The only transfer coding is chunked.")
        return None
    if "Content-Length" not in headers:
        return 0
    length = headers["Content-Length"]
    if not (length.isascii() and length.isdecimal()):
        raise Refused(400, "The Content-Length is no number.")
    if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        raise Refused(413, "The request is larger than 1 MiB.")
    return int(length)


def join_chunks(data: bytes, start: int) -> tuple[bytes, int] | None:
    """Return a chunked body and where it ends, or None when it is not whole yet. Source: RFC 9112 section 7.1.

    Raises:
        Refused: 400, a chunk is malformed; 413, the body is too large.
    """
    body = bytearray()
    while True:
        end = data.find(b"\r\n", start)
        if end < 0:
            if len(data) - start > MAX_HEAD_BYTES:
                raise Refused(400, "A chunk has no size.")
            return None
        size_line = _CHUNK_SIZE.fullmatch(data, start, end)
        if size_line is None:
            raise Refused(400, "A chunk has no size.")
        size, start = int(size_line[1], 16), end + 2
        if size == 0:
            break
        if len(body) + size > MAX_BODY_BYTES:
            raise Refused(413, "The request is larger than 1 MiB.")
        if len(data) < start + size + 2:
            return None
        if data[start + size : start + size + 2] != b"\r\n":
            raise Refused(400, "A chunk is longer than it says.")
        body += data[start : start + size]
        start += size + 2
    if data.startswith(b"\r\n", start):
        return bytes(body), start + 2
    end = data.find(b"\r\n\r\n", start)  # trailers mean nothing here
    return (bytes(body), end + 4) if end >= 0 else None


class Connection(asyncio.Protocol, httputil.HTTPConnection):
    """One client's connection: requests in, one after the other, and their answers out.

    It is the `connection` of Tornado's requests, and its own `context`.

    Attributes:
        remote_ip, protocol: what Tornado's requests ask of a context.
        since: when the present request, or the silence before it, began; None while a request is being answered.
    """

    def __init__(self, server: _Limits) -> None:
        self._server = server
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._buffer = b""
        self._waits_for_body: tuple[RequestStartLine, HTTPHeaders, int, int | None] | None = None
        self._request_line: RequestStartLine | None = None
        self._keep_alive = True
        self._delimited = True
        self._refused = False
        self._on_close: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._written: asyncio.Future[None] = self._loop.create_future()
        self._written.set_result(None)
        self.since: float | None = self._loop.time()
        self.context = self
        self.remote_ip = "0.0.0.0"  # noqa: S104 - not an address to bind: Tornado's word for an unknown caller
        self.protocol = "http"

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
        """Answer what is being answered; after that the connection is over."""
        self._keep_alive = False
        return self.since is None and self.protocol == "http"

    def data_received(self, data: bytes) -> None:
        """Take bytes, and give whole requests to the application."""
        if self._refused:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self.since is not None:
            self._next_requests()
        elif len(self._buffer) > MAX_HEAD_BYTES:
            self._transport.pause_reading()

    def _next_requests(self) -> None:
        while self._buffer and self.since is not None and not self._transport.is_closing():
            try:
                request = self._read_request()
            except Refused as error:
                self._refuse(error.status, error.sentence)
                return
            except HTTPInputError as error:
                self._refuse(400, f"{error}.")
                return
            if request is None:
                return
            self.since = None
            self._server.application(request)

    def _read_request(self) -> HTTPServerRequest | None:
        if self._waits_for_body is None:
            self._waits_for_body = self._read_head()
        if self._waits_for_body is None:
            return None
        line, headers, start, length = self._waits_for_body
        if length is None:
            joined = join_chunks(self._buffer, start)
            if joined is None:
                return None
            body, end = joined
        else:
            end = start + length
            if len(self._buffer) < end:
                return None
            body = self._buffer[start:end]
        self._buffer = self._buffer[end:]
        self._waits_for_body = None
        self._request_line = line
        words = headers["Connection"].lower() if "Connection" in headers else ""
        if "close" in words or (line.version == "HTTP/1.0" and "keep-alive" not in words):
            self._keep_alive = False
        return HTTPServerRequest(connection=self, start_line=line, headers=headers, body=body)

    def _read_head(self) -> tuple[RequestStartLine, HTTPHeaders, int, int | None] | None:
        start = 0
        while self._buffer.startswith(b"\r\n", start):  # RFC 9112 section 2.2: some clients send one too many
            start += 2
        end = self._buffer.find(b"\r\n\r\n", start)
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
            raise Refused(431, "The headers are larger than 64 KiB.")
        if end < 0:
            if b"\n\n" in self._buffer:
                raise Refused(400, "Lines end in CR and LF.")
            return None
        first, *lines = self._buffer[start:end].decode("latin1").split("\r\n")
        if _CONTROL.search("".join(lines)):
            raise Refused(400, "There is a control character in the headers.")
        line = httputil.parse_request_start_line(first)
        headers = parse_headers(lines)
        length = body_length(headers)
        if "Expect" in headers and headers["Expect"].lower() == "100-continue" and len(self._buffer) == end + 4:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return line, headers, end + 4, length

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer what is no request, and read on for a while: who is still sending would not see the answer."""
        body = json.dumps({"error": "invalid_request", "error_description": sentence}).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._refused, self._buffer = True, b""
        self._transport.write(head.encode() + body)
        if self._transport.can_write_eof():
            self._transport.write_eof()
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
        elif self._request_line is not None and self._request_line.version == "HTTP/1.0":
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
        elif self._buffer:
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self.since is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._next_requests()

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client is gone before its answer."""
        self._on_close = callback

    def detach(self) -> asyncio.Transport:
        """Leave the connection to the caller, who closes it."""
        self._keep_alive = False
        return self._transport


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
