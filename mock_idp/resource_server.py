"""The API that the console tries tokens against: one request, and whatever comes back."""

import asyncio
import ssl
from typing import cast
from urllib.parse import urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.tcpclient import TCPClient

_TIMEOUT_S = 15.0
_MAX_BODY_BYTES = 1024 * 1024
_HTTPS_PORT, _HTTP_PORT = 443, 80


class ApiUnreachable(Exception):
    """No answer came; the text says why."""


class ApiAnswer(HTTPMessageDelegate):
    """What the API answered, as far as it came.

    Attributes:
        status: of the answer; 0 before there is one.
        headers, body: of the answer; the body may be cut off.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers = HTTPHeaders()
        self.body = b""

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        """Take the head."""
        self.status, self.headers = cast("ResponseStartLine", start_line).code, headers

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        self.body += chunk


async def try_token(url: str, token: str) -> ApiAnswer:
    """Send GET with a bearer token and return the answer.

    Tornado's HTTP client is not for this: an API that refuses a long header answers while there is still something to
    be read, and hangs up. The client loses the answer then, and logs a traceback.

    Args:
        url: http or https.
        token: printable ASCII.

    Raises:
        ApiUnreachable: it does not answer within 15 seconds, or nothing that is HTTP.
    """
    parts = urlsplit(url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    answer = ApiAnswer()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            port = parts.port or (_HTTP_PORT if tls is None else _HTTPS_PORT)
            stream = await TCPClient().connect(parts.hostname or "", port, ssl_options=tls)
            try:
                parameters = HTTP1ConnectionParameters(no_keep_alive=True, max_body_size=_MAX_BODY_BYTES)
                connection = HTTP1Connection(stream, is_client=True, params=parameters)
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                headers = {"Host": parts.netloc.rpartition("@")[2], "Authorization": f"Bearer {token}"}
                start_line = RequestStartLine("GET", target, "")
                connection.write_headers(start_line, HTTPHeaders(headers | {"Connection": "close"}))
                connection.finish()
                await connection.read_response(answer)
            finally:
                stream.close()
    except TimeoutError as error:
        raise ApiUnreachable(f"there was none within {_TIMEOUT_S:.0f} seconds") from error
    except StreamClosedError as error:
        if not answer.status:
            raise ApiUnreachable("it hung up") from error
    except OSError as error:
        raise ApiUnreachable(str(error)) from error
    if not answer.status:
        raise ApiUnreachable("what came is no HTTP")
    return answer
