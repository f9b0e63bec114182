"""The host names that the server answers to, and the gate that stands before everything it answers.

A page of another site can point its own name at this machine (DNS rebinding), and would then read what is served here
as its own. Its requests still carry its name, so the name is looked at before anything else is done.
Sources: RFC 9110 section 15.5.20 (421), RFC 9112 sections 3.2 and 3.2.2 (Host, and absolute targets).
"""

import json
import logging
import re
import time
from collections.abc import Awaitable, Iterable, Mapping
from ipaddress import ip_address

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)

log = logging.getLogger("frontend")

HOUSE_NAMES = frozenset(
    {
        "localhost",
        "*.localhost",
        "localhost.localstack.cloud",
        "*.localhost.localstack.cloud",
        "mock-idp",
        "frontend",
        "localstack",
        "*.localstack",
        "host.docker.internal",
    }
)
REFUSAL = {
    "error": "unknown_host",
    "error_description": "This server does not answer to this host name; the setting ALLOWED_HOSTS adds names.",
}

# RFC 3986 section 3.2.2, without the comma: that is how proxies write two Host headers.
_AUTHORITY = re.compile(r"(\[[0-9A-Za-z:.]*\]|[0-9A-Za-z\-._~%!$&'()*+;=]{0,255})(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)


class Hosts:
    """Some host names; ``*.name`` among them stands for every subdomain of it."""

    def __init__(self, names: Iterable[str]) -> None:
        names = frozenset(names)
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._endings = tuple(name.removeprefix("*") for name in names - self._names)

    def __contains__(self, host: str) -> bool:
        """Say whether a host, without its port, is one of them or an address: an address can't be rebound."""
        name = host.lower().removesuffix(".")
        return _is_address(name) or name in self._names or (name.endswith(self._endings) and all(name.split(".")))


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return False


def read_target(start_line: RequestStartLine, headers: HTTPHeaders) -> tuple[str | None, RequestStartLine]:
    """Find out which host a request is for, without its port; None where HTTP/1.0 names none.

    An absolute target counts in place of Host: Host is set to its authority, and the start line is answered as that of
    a plain request.

    Raises:
        HTTPInputError: the request is malformed; Tornado answers 400.
    """
    named = headers.get_list("Host")
    absolute = _ABSOLUTE.fullmatch(start_line.path)
    if len(named) > 1:
        raise HTTPInputError("more than one Host")
    if absolute:
        authority, path = absolute.groups()
        if not authority:
            raise HTTPInputError("an absolute target without a host")
        headers["Host"] = authority
        start_line = start_line._replace(path=path if path.startswith("/") else f"/{path}")
    elif named:
        authority = named[0]
    else:
        return None, start_line
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise HTTPInputError("a malformed host")
    return match[1], start_line


class Gate(HTTPServerConnectionDelegate):
    """Hands requests for known hosts on to an application, without their bodies, and refuses all others.

    Bodies are read past: no page of this server takes one, and what is not kept can't fill the memory.
    """

    def __init__(
        self, application: HTTPServerConnectionDelegate, *, hosts: Hosts, security_headers: Mapping[str, str]
    ) -> None:
        self.application = application
        self.hosts = hosts
        self.security_headers = security_headers

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Take a request in; Tornado calls this."""
        return _Request(self, server_conn, request_conn)


class _Request(HTTPMessageDelegate):
    """One request at the gate."""

    def __init__(self, gate: Gate, server_conn: object, request_conn: HTTPConnection) -> None:
        self._gate = gate
        self._server_conn = server_conn
        self._request_conn = request_conn
        self._admitted: HTTPMessageDelegate | None = None
        self._method = ""

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server receives no answers
        host, start_line = read_target(start_line, headers)
        self._method = start_line.method
        if host is None or host in self._gate.hosts:
            self._admitted = self._gate.application.start_request(self._server_conn, self._request_conn)
            return self._admitted.headers_received(start_line, headers)
        log.info("421 %s for the host %s", start_line.method, host)
        return None

    def data_received(self, chunk: bytes) -> None:
        """Drop a part of the body."""

    def finish(self) -> None:
        if self._admitted:
            self._admitted.finish()
        else:
            self._refuse()

    def on_connection_close(self) -> None:
        if self._admitted:
            self._admitted.on_connection_close()

    def _refuse(self) -> None:
        body = json.dumps(REFUSAL).encode()
        headers = HTTPHeaders(self._gate.security_headers)
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(body))
        headers["Cache-Control"] = "no-store"
        headers["Date"] = format_timestamp(time.time())
        line = ResponseStartLine("HTTP/1.1", 421, "Misdirected Request")
        self._request_conn.write_headers(line, headers, None if self._method == "HEAD" else body)
        self._request_conn.finish()
