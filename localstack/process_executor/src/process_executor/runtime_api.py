"""The Lambda Runtime API: one small HTTP server per environment, driven by whoever drives the environment.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "/2018-06-01/runtime/"
REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Payload Too Large",
}
HEAD_LIMIT = 2 * 1024 * 1024  # the X-Ray cause travels in a header of up to a megabyte
READ_SIZE = 1 << 18


class BadRequest(Exception):
    """What arrived is not HTTP/1.1."""


@dataclass
class Request:
    """One request of the runtime.

    Attributes:
        body: cut off at the connection's limit.
        size: how long it really was, in bytes.
        trailers: of a chunked body; a streaming runtime reports its error there.
        begun: when its first byte arrived, by the monotonic clock.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    size: int
    trailers: Mapping[str, str]
    begun: float


class Connection:
    """One connection of a runtime: bytes in, requests out, answers back. Never blocks."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.closed = False
        self._in = bytearray()
        self._out = bytearray()
        self._continued = False
        self._begun = 0.0

    def fileno(self) -> int:
        """For the poller."""
        return self.sock.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Whether an answer is still on its way."""
        return bool(self._out)

    def read(self) -> None:
        """Take in what has arrived; sets ``closed`` at the end."""
        try:
            while True:
                data = self.sock.recv(READ_SIZE)
                if not data:
                    self.closed = True
                    return
                if not self._in:
                    self._begun = time.monotonic()
                self._in += data
                if len(data) < READ_SIZE:
                    return
        except BlockingIOError:
            return
        except OSError:
            self.closed = True

    def next_request(self, body_limit: int) -> Request | None:
        """The next whole request, if it is there.

        Raises:
            BadRequest: what arrived cannot be one.
        """
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            if len(self._in) > HEAD_LIMIT:
                raise BadRequest("the request's head is too long")
            return None
        lines = self._in[:end].decode("latin-1").split("\r\n")
        try:
            method, path, _ = lines[0].split(" ", 2)
        except ValueError:
            raise BadRequest(f"not a request line: {lines[0][:80]}") from None
        headers = parse_headers(lines[1:])
        if headers.get("expect", "").lower() == "100-continue" and not self._continued:
            self._continued = True
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        start = end + 4
        if "chunked" in headers.get("transfer-encoding", "").lower():
            decoded = self._chunked_body(start, body_limit)
            if decoded is None:
                return None
            body, size, trailers, consumed = decoded
        else:
            size = content_length(headers)
            if len(self._in) - start < size:
                return None
            body, trailers, consumed = bytes(self._in[start : start + min(size, body_limit + 1)]), {}, start + size
        del self._in[:consumed]
        self._continued = False
        return Request(method, path, headers, body, size, trailers, self._begun)

    def _chunked_body(self, start: int, limit: int) -> tuple[bytes, int, dict[str, str], int] | None:
        data, position, body, size = self._in, start, bytearray(), 0
        while True:
            line_end = data.find(b"\r\n", position)
            if line_end < 0:
                return None
            try:
                length = int(bytes(data[position:line_end]).split(b";")[0], 16)
            except ValueError:
                raise BadRequest("a chunk's size is not a number") from None
            position = line_end + 2
            if length == 0:
                break
            if len(data) < position + length + 2:
                return None
            size += length
            if len(body) <= limit:
                body += data[position : position + length]
            position += length + 2
        trailer_end = data.find(b"\r\n", position)
        lines = []
        while trailer_end > position:
            lines.append(data[position:trailer_end].decode("latin-1"))
            position = trailer_end + 2
            trailer_end = data.find(b"\r\n", position)
        if trailer_end < 0:
            return None
        return bytes(body[: limit + 1]), size, parse_headers(lines), trailer_end + 2

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send one answer, as far as it goes without waiting."""
        head = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Length: {len(body)}"]
        fields = {"Content-Type": "application/json"} | dict(headers or {})
        head += [f"{name}: {value}" for name, value in fields.items()]
        self.write("\r\n".join([*head, "", ""]).encode("latin-1", errors="replace") + body)

    def answer_ok(self) -> None:
        """What every accepted report gets."""
        self.answer(202, b'{"status":"OK"}\n')

    def answer_error(self, status: int, kind: str, message: str) -> None:
        """An error as AWS words it."""
        self.answer(status, json.dumps({"errorMessage": message, "errorType": kind}).encode())

    def write(self, data: bytes = b"") -> None:
        """Send ``data`` after what is still waiting; what does not fit waits for the next call."""
        self._out += data
        try:
            while self._out:
                sent = self.sock.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._out.clear()
            self.closed = True

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self.sock.close()


def parse_headers(lines: list[str]) -> dict[str, str]:
    """Field lines to a mapping with lower-case names."""
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return fields


def content_length(headers: Mapping[str, str]) -> int:
    """The announced length of a body, 0 without one."""
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise BadRequest("Content-Length is not a number")
    return int(text)


def listen() -> socket.socket:
    """A listening socket on a free loopback port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener
