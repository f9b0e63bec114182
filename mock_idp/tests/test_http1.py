"""HTTP/1.1 as clients speak it: framing, keep-alive, limits, and a client error for everything that is none."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from mock_idp.http1 import HttpServer
from mock_idp.tests.wire import RunningIssuer

TOKEN = b"POST /oauth2/default/v1/token HTTP/1.1\r\nHost: localhost\r\n"
GRANT = b"Authorization: Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=\r\nContent-Type: application/x-www-form-urlencoded\r\n"
FORM = b"grant_type=client_credentials"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(running: RunningIssuer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(running.origin.rsplit(":", 1)[1])), timeout=5)


def exchange(running: RunningIssuer, *pieces: bytes, end: bool = True) -> bytes:
    """Send pieces and return all that comes until the connection is closed."""
    with connect(running) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        if end:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
        return received


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def test_requests_in_one_go_are_answered_in_order(running: RunningIssuer):
    """Pipelined requests get their answers one after the other, on one connection."""
    missing = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(exchange(running, HEALTH + missing + HEALTH)) == [200, 404, 200]


def test_request_may_come_byte_by_byte(running: RunningIssuer):
    """However the network cuts a request, it is the same request."""
    request = TOKEN + GRANT + b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM
    assert statuses(exchange(running, *(request[i : i + 1] for i in range(len(request))))) == [200]


def test_chunked_body_is_joined(running: RunningIssuer):
    """A body in chunks, with an extension and a trailer, is the same body; what follows is the next request."""
    chunks = b"5;x=y\r\ngrant\r\n18\r\n_type=client_credentials\r\n0\r\nX-Trailer: t\r\n\r\n"
    request = TOKEN + GRANT + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(exchange(running, request + chunks + HEALTH)) == [200, 200]
    assert statuses(exchange(running, request, chunks[:9], chunks[9:])) == [200]


def test_client_that_waits_for_continue_is_told_to_go_on(running: RunningIssuer):
    """Expect: 100-continue is answered before the body is sent."""
    with connect(running) as connection:
        connection.sendall(TOKEN + GRANT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(FORM))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(FORM)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_connection_stays_open_only_when_both_want_it(running: RunningIssuer):
    """HTTP/1.1 stays open unless told to close; HTTP/1.0 closes unless told to stay open."""
    closing = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert statuses(exchange(running, closing + HEALTH, end=False)) == [200]
    old = HEALTH.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(exchange(running, old + HEALTH, end=False)) == [200]
    staying = old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    received = exchange(running, staying + HEALTH)
    assert statuses(received) == [200, 200]
    assert b"Connection: keep-alive" in received


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (TOKEN + b"Content-Length: -1\r\n\r\n", 400),
        (TOKEN + b"Content-Length: 1, 1\r\n\r\n", 400),
        (TOKEN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (TOKEN + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (TOKEN + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (TOKEN + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        (TOKEN + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", 400),
        (TOKEN + b"Transfer-Encoding: chunked\r\n\r\n200000\r\n" + b"x" * 1_100_000, 413),
        (TOKEN + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 70_000, 400),
        (TOKEN + b"Content-Length: 2000000\r\n\r\n", 413),
        (TOKEN + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_and_ends_the_connection(running: RunningIssuer, request_bytes, status):
    """Malformed or oversized requests get one client error in JSON, and nothing after them is read."""
    received = exchange(running, request_bytes + HEALTH)
    assert statuses(received) == [status]
    assert b'{"error": "invalid_request", "error_description": "' in received


def test_refusal_reaches_a_client_that_is_still_sending(running: RunningIssuer):
    """Who sends two megabytes without looking up still reads why that was too much."""
    body = b"x" * 2_000_000
    assert statuses(exchange(running, TOKEN + b"Content-Length: 2000000\r\n\r\n", body, end=False)) == [413]


def test_wish_for_another_protocol_is_not_granted(running: RunningIssuer):
    """A client that offers HTTP/2 is answered in HTTP/1.1; there is nothing else to talk afterwards."""
    offer = b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    received = exchange(running, HEALTH.replace(b"\r\n\r\n", offer) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", end=False)
    assert statuses(received) == [200]
    assert b"\r\nConnection: close\r\n" in received


def test_unfinished_request_gets_no_answer(running: RunningIssuer):
    """Who hangs up in the middle of a request is not answered."""
    assert exchange(running, HEALTH[:-2]) == b""
    assert exchange(running, TOKEN + b"Content-Length: 10\r\n\r\nabc") == b""


def test_silent_client_is_disconnected():
    """A connection on which nothing comes, or a request never ends, is closed after a while."""

    async def wait_for_the_end() -> list[bytes]:
        server = HttpServer(lambda _: None, idle_s=0.05)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            await server.listen([listening])
            port = listening.getsockname()[1]
            ends = []
            for sent in b"", HEALTH[:-2]:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                ends.append(await asyncio.wait_for(reader.read(), 5))
                writer.close()
            await server.stop()
            return ends

    with ThreadPoolExecutor(1) as own_thread:  # this one may have a browser's loop running
        assert own_thread.submit(asyncio.run, wait_for_the_end()).result() == [b"", b""]
