"""Answers that are broken on purpose, between a handler and its connection: handlers know nothing of it."""

import asyncio
from collections.abc import Callable

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

_PIECE_BYTES = 8
_sending: set["asyncio.Task[None]"] = set()  # the loop itself keeps no task alive


class BrokenConnection(HTTPConnection):
    """The connection of one request, on which the body of the answer is broken.

    Args:
        connection: Tornado's own.
        interval_s: seconds between pieces of a few bytes; None: half of the body, then the connection is closed.
    """

    def __init__(self, connection: HTTP1Connection, interval_s: float | None) -> None:
        self._connection = connection
        self._interval_s = interval_s

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        """Begin the answer, whose body is whole here: no handler that faults strike sends it piece by piece."""
        sending = asyncio.ensure_future(self._send(start_line, headers, chunk or b""))
        _sending.add(sending)
        sending.add_done_callback(_sending.discard)
        return sending

    async def _send(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, body: bytes) -> None:
        connection = self._connection
        try:
            if self._interval_s is None:
                await connection.write_headers(start_line, headers, body[: len(body) // 2])
                connection.detach().close()
                return
            await connection.write_headers(start_line, headers)
            for begin in range(0, len(body), _PIECE_BYTES):
                await connection.write(body[begin : begin + _PIECE_BYTES])
                await asyncio.sleep(self._interval_s)
            connection.finish()
        except StreamClosedError:
            return  # the client has had enough of it: that is what it should have

    def write(self, chunk: bytes) -> "asyncio.Future[None]":
        """Do not go on with an answer.

        Raises:
            NotImplementedError: always; see write_headers.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Leave the end to what is being sent."""

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client is gone before its answer."""
        self._connection.set_close_callback(callback)
