"""How requests come in from Tornado's server: absolute targets, limits, and a word in JSON for what is refused."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADER_LINES = 100
MAX_BODY_BYTES = 64 * 1024
# A client that sends without looking up reads its error only if its body is taken, too; up to this, it is, and dropped.
MAX_DRAINED_BYTES = 8 * 1024 * 1024

_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)


class _Refused(Exception):
    """A request that is answered without a handler: with `status` and the exception's text."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


class RequestReader(HTTPMessageDelegate):
    """Reads one request, of whose body little more than 64 KiB are kept, and hands it over.

    Args:
        server_connection, connection: Tornado's, for the request.
        take: gets the whole request. The body of one that is too large is cut off behind the limit and its
            Content-Type is gone, so that nobody takes it for a form.
    """

    def __init__(
        self, server_connection: object, connection: HTTPConnection, take: Callable[[HTTPServerRequest], object]
    ) -> None:
        self._server_connection = server_connection
        self._connection = connection
        self._take = take
        self._request: HTTPServerRequest | _Refused
        self._body = bytearray()
        self._method = ""

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        """Read the head; one that is refused is answered after its body, so that the connection can go on."""
        start_line = cast("RequestStartLine", start_line)
        self._method = start_line.method
        try:
            self._request = self._read_head(start_line, headers)
        except HTTPInputError as error:
            self._request = _Refused(400, f"{error}.")
        except _Refused as refused:
            self._request = refused
        length = headers.get("Content-Length", "")
        if length.isdecimal() and (len(length) > 10 or int(length) > MAX_DRAINED_BYTES):
            self._refuse(_Refused(413, "The request is larger than 64 KiB."))  # before its body, which ends it all

    def _read_head(self, start_line: RequestStartLine, headers: HTTPHeaders) -> HTTPServerRequest:
        lines = list(headers.get_all())
        if len(lines) > MAX_HEADER_LINES:
            raise _Refused(431, f"The request has more than {MAX_HEADER_LINES} header lines.")
        if len(start_line.path) + sum(len(name) + len(value) for name, value in lines) > MAX_HEAD_BYTES:
            raise _Refused(431, "The head of the request is larger than 64 KiB.")
        request = self._make_request(start_line, headers)
        absolute = None if start_line.path.startswith("/") else _ABSOLUTE.fullmatch(start_line.path)
        if absolute is None:
            return request
        # RFC 9112 section 3.2.2: the target's authority counts, Host does not, although it has to be a proper one.
        authority, target = absolute.groups()
        if not authority:
            raise HTTPInputError("The target names no host")
        headers["Host"] = authority
        target = target if target.startswith("/") else f"/{target}"
        return self._make_request(RequestStartLine(start_line.method, target, start_line.version), headers)

    def _make_request(self, start_line: RequestStartLine, headers: HTTPHeaders) -> HTTPServerRequest:
        return HTTPServerRequest(
            connection=self._connection,
            server_connection=self._server_connection,
            start_line=start_line,
            headers=headers,
        )

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, within the limit."""
        if len(self._body) <= MAX_BODY_BYTES:
            self._body += chunk

    def finish(self) -> None:
        """Hand the request over, or say what is wrong with it."""
        request = self._request
        if isinstance(request, _Refused):
            self._refuse(request)
            return
        request.body = bytes(self._body)
        if len(self._body) > MAX_BODY_BYTES and "Content-Type" in request.headers:
            del request.headers["Content-Type"]
        self._take(request)

    def _refuse(self, refused: _Refused) -> None:
        body = json.dumps({"error": "invalid_request", "error_description": str(refused)}).encode()
        headers = HTTPHeaders({"Content-Type": "application/json", "Content-Length": str(len(body))})
        start_line = ResponseStartLine("", refused.status, HTTPStatus(refused.status).phrase)
        self._connection.write_headers(start_line, headers, b"" if self._method == "HEAD" else body)
        self._connection.finish()

    def on_connection_close(self) -> None:
        """Do nothing: of a request that did not come whole nobody knows."""
