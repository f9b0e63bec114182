"""What a connection may cost: nobody holds one open for ever, and nobody fills the memory through one."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from tornado.netutil import bind_sockets

from frontend.app import MAX_BODY_BYTES, make_app, make_server
from frontend.assets import Client, read_widget
from frontend.settings import Settings
from frontend.tests.servers import Server

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
MISDIRECTED = b"POST / HTTP/1.1\r\nHost: evil.test\r\n"


@pytest.fixture
def impatient(widget_dir) -> Iterator[Callable[..., Server]]:
    """Start servers in this process with the waits given: the real one's are too long for a test."""
    settings = Settings.from_environment({})
    app = make_app(settings, client=Client(), widget=read_widget(widget_dir))

    async def serve(port: Future[int], ended: Future[None], waits: Mapping[str, float]) -> None:
        server = make_server(settings, app, **waits)
        (listener,) = bind_sockets(0, "127.0.0.1")
        server.add_socket(listener)
        port.set_result(listener.getsockname()[1])
        await asyncio.wrap_future(ended)
        server.stop()
        await server.close_all_connections()

    ended: Future[None] = Future()
    with ThreadPoolExecutor() as pool:
        served = []

        def start_one(**waits: float) -> Server:
            port: Future[int] = Future()
            served.append(pool.submit(asyncio.run, serve(port, ended, waits)))
            return Server(port.result(timeout=10))

        yield start_one
        ended.set_result(None)
        for future in served:
            future.result(timeout=10)


@pytest.mark.parametrize("sent", [b"", b"G", HEAD, b"\r\n"])
def test_connection_that_brings_no_whole_head_is_closed(impatient, sent):
    """Not a byte, or only some: the server waits for the rest for a while and not for ever."""
    assert impatient(idle_s=0.05).received(sent) == b""


def test_connection_that_is_left_open_after_an_answer_is_closed(impatient):
    """A browser keeps connections for the next request; the server does so only for a while."""
    assert impatient(idle_s=0.05).received(HEAD + b"\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("head", [HEAD, MISDIRECTED])
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 10\r\n\r\n",
        b"Content-Length: 10\r\n\r\n123456789",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ],
)
def test_body_that_never_comes_closes_the_connection(impatient, head, body):
    """A promise is not waited for for ever, whoever made it."""
    assert impatient(body_s=0.05).received(head + body) == b""


def test_body_as_large_as_allowed_is_read_past(server):
    """It is dropped, and the request is answered for what it is."""
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n"
    assert server.send(head.encode() + b"x" * MAX_BODY_BYTES).status == 405


@pytest.mark.parametrize(
    "head",
    [
        f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n",
        f"Content-Length: {'9' * 5000}\r\n\r\n",
        f"Transfer-Encoding: chunked\r\n\r\n{MAX_BODY_BYTES + 1:x}\r\n",
    ],
)
def test_larger_body_is_refused_before_it_is_read(server, head):
    """The length that a client states is enough to say no."""
    assert server.send(f"POST / HTTP/1.1\r\nHost: localhost\r\n{head}".encode()).status == 400


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere"])
@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=\x85",
        b"multipart/form-data; boundary=b",
        b"application/x-www-form-urlencoded; charset=\xff",
        b"application/x-www-form-urlencoded\x01",
        b"application/json\x00",
        b"text/plain\x7f",
        b"a\tb",
    ],
)
def test_content_type_with_odd_characters_is_answered(server, path, content_type):
    """Nothing here reads a body, so its type matters only where HTTP itself forbids its characters."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\nContent-Type: ".encode()
    expected = 400 if set(content_type) & {0, 1, 0x7F} else 405
    assert server.send(head + content_type + b"\r\n\r\n%ff=%00").status == expected


@pytest.mark.parametrize(
    "request_",
    [
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9\r\nHost: localhost\r\n\r\n",
        b"G\xc3\x89T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /?" + b"&".join([b"a=1"] * 5000) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /static/client/0000000000000000/%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_malformed_request_is_a_client_error(server, request_):
    """It is told so before the connection is closed."""
    assert server.send(request_).status == 400


def test_expected_body_is_asked_for(server):
    """RFC 9110 section 10.1.1: curl waits for this before it sends a large body."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    assert server.send(head + b"body").status == 405
