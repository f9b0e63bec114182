"""HTTP/1.1 as clients speak it to Tornado's server: framing, keep-alive, limits, and an end for everything idle.

Where a request's head cannot be read at all, Tornado itself answers 400 without a body, and the connection ends; the
application is never reached. Whatever has a readable head is answered by the issuer, in JSON.
"""

import asyncio
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mock_idp.server import IssuerServer, Limits
from mock_idp.settings import load_settings
from mock_idp.tests.conftest import start_issuer
from mock_idp.tests.wire import Browser, RunningIssuer

V1 = "/oauth2/default/v1"
TOKEN = b"POST /oauth2/default/v1/token HTTP/1.1\r\nHost: localhost\r\n"
GRANT = b"Authorization: Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=\r\nContent-Type: application/x-www-form-urlencoded\r\n"
FORM = b"grant_type=client_credentials"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# What Java's HttpClient and `curl --http2` add to every request on http.
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIssuer]:
    """A started issuer with https."""
    with start_issuer(tmp_path_factory.mktemp("secure"), IDP_TLS_PORT="0") as issuer:
        yield issuer


def port_of(origin: str) -> int:
    return int(origin.rsplit(":", 1)[1])


def connect(running: RunningIssuer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(running.origin)), timeout=5)


def connect_tls(running: RunningIssuer) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=Browser(running.origin).get("/ca.pem").text)
    plain = socket.create_connection(("127.0.0.1", port_of(running.tls_origin)), timeout=5)
    return context.wrap_socket(plain, server_hostname="localhost")


def receive(connection: socket.socket) -> bytes:
    """Return all that comes until the connection is closed."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def exchange(running: RunningIssuer, *pieces: bytes) -> bytes:
    """Send pieces and return all that comes until the server closes the connection."""
    with connect(running) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        return receive(connection)


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def test_requests_in_one_go_are_answered_in_order(running: RunningIssuer):
    """Pipelined requests get their answers one after the other, on one connection."""
    missing = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(exchange(running, HEALTH + missing + LAST)) == [200, 404, 200]


def test_request_may_come_byte_by_byte(running: RunningIssuer):
    """However the network cuts a request, it is the same request."""
    request = TOKEN + GRANT + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(FORM) + FORM
    assert statuses(exchange(running, *(request[i : i + 1] for i in range(len(request))))) == [200]


def test_chunked_body_is_joined(running: RunningIssuer):
    """A body in chunks is the same body; what follows is the next request. Tornado takes no trailers."""
    chunks = b"5\r\ngrant\r\n18\r\n_type=client_credentials\r\n0\r\n\r\n"
    request = TOKEN + GRANT + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(exchange(running, request + chunks + LAST)) == [200, 200]
    assert statuses(exchange(running, request, chunks[:9], chunks[9:], LAST)) == [200, 200]


def test_client_that_waits_for_continue_is_told_to_go_on(running: RunningIssuer):
    """Expect: 100-continue is answered before the body is sent."""
    with connect(running) as connection:
        connection.sendall(TOKEN + GRANT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(FORM))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(FORM)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_connection_stays_open_only_when_both_want_it(running: RunningIssuer):
    """HTTP/1.1 stays open unless told to close; HTTP/1.0 closes unless told to stay open."""
    assert statuses(exchange(running, LAST + HEALTH)) == [200]
    old = HEALTH.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(exchange(running, old + HEALTH)) == [200]
    received = exchange(running, old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n") + LAST)
    assert statuses(received) == [200, 200]
    assert b"connection: keep-alive" in received.lower()


def test_body_survives_an_offer_to_upgrade(running: RunningIssuer):
    """A client that offers HTTP/2 is answered in HTTP/1.1, its body is read, and the connection stays."""
    granted = TOKEN + OFFER + GRANT + b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM
    received = exchange(running, granted + granted + LAST)
    assert statuses(received) == [200, 200, 200]
    assert received.count(b'"access_token"') == 2


def test_token_is_minted_as_asked_for_with_an_offer_to_upgrade(agent: Browser):
    """The order of a token is not taken for an empty one: it is bob's and expired, not alice's and good."""
    body = json.dumps({"persona": "bob", "fault": "expired"}).encode()
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
    minted = agent.request("POST", "/mock/tokens", body=body, headers=headers).json
    assert minted["claims"]["sub"] == "bob@example.com"
    assert minted["claims"]["exp"] < agent.get("/mock/clock").json["now"]


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://localhost/healthz", b"localhost", 200),
        (b"HTTP://localhost:9400/healthz?x=1", b"localhost", 200),
        (b"https://localhost/oauth2/default/v1/keys", b"localhost", 200),
        (b"http://localhost", b"localhost", 200),
        (b"http://localhost?x", b"localhost", 200),
        (b"http://localhost/mock/clock", b"elsewhere.test", 200),
        (b"http://localhost/nowhere", b"localhost", 404),
        (b"http://elsewhere.test/mock/clock", b"localhost", {403, 421}),
        (b"http://me@localhost/healthz", b"localhost", 400),
        (b"http:///healthz", b"localhost", 400),
        (b"http://localhost/healthz", b"a,b", 400),
        (b"ftp://localhost/healthz", b"localhost", 404),
        (b"localhost:443", b"localhost", 404),
    ],
)
@pytest.mark.parametrize("over_tls", [False, True])
def test_absolute_target_is_the_same_as_its_path(secure: RunningIssuer, over_tls, target, host, status):
    """A whole URL as the target is its path; its authority, not Host, says which host is meant."""
    request = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    with connect_tls(secure) if over_tls else connect(secure) as connection:
        connection.sendall(request)
        (got,) = statuses(receive(connection))
    assert got in (status if isinstance(status, set) else {status})


def test_absolute_target_still_needs_a_host(running: RunningIssuer):
    """HTTP/1.1 without Host is refused, whatever the target is; HTTP/1.0 need not have one."""
    request = b"GET http://localhost/healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert statuses(exchange(running, request)) == [400]
    assert statuses(exchange(running, request.replace(b"HTTP/1.1", b"HTTP/1.0"))) == [200]


JSON_ERROR = b'{"error": "invalid_request", "error_description": "'


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /healthz?" + b"&".join(b"a" for _ in range(2000)) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: x\r\n" % i for i in range(200)) + b"\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (TOKEN + GRANT + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000, 413),
        (TOKEN + GRANT + b"Content-Length: 2000000\r\n\r\n" + b"x" * 2_000_000, 413),
        (TOKEN + b"Transfer-Encoding: chunked\r\n\r\n100000\r\n" + b"x" * 0x100000 + b"\r\n0\r\n\r\n", 413),
        (TOKEN + b"Content-Type: multipart/form-data; boundary=\x85\r\nContent-Length: 3\r\n\r\nabc", 400),
        (TOKEN + GRANT + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 400),
        (TOKEN + GRANT + b"Content-Length: 2000\r\n\r\n" + b"&" * 2000, 400),
        (TOKEN + GRANT + b"Content-Length: 3999\r\n\r\n" + b"a&" * 1999 + b"a", 400),
    ],
)
def test_what_is_refused_is_told_in_json_and_the_connection_goes_on(running: RunningIssuer, request_bytes, status):
    """A request whose head can be read gets its client error in JSON, after its body, and the next one its answer."""
    received = exchange(running, request_bytes + LAST)
    assert statuses(received) == [status, 200]
    assert JSON_ERROR in received


def test_refused_head_request_gets_no_body(running: RunningIssuer):
    """HEAD is refused like GET, but without the sentence, which would be taken for the next answer."""
    received = exchange(running, b"HEAD /healthz HTTP/1.1\r\n\r\n" + LAST)
    assert statuses(received) == [400, 200]
    assert JSON_ERROR not in received


def test_refused_body_is_too_large_in_oktas_words_and_allowed_across_origins(spa):
    """Whoever sends megabytes from a page reads the endpoint's own error, with its CORS headers."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://localhost:5555"}
    answer = spa.browser.request("POST", "/api/v1/authn", body=b"x" * 3_000_000, headers=headers)
    assert (answer.status, answer.json["errorCode"]) == (413, "E0000003")
    answer = spa.browser.request("POST", f"{V1}/token", body=b"x&" * 50_000, headers=headers)
    assert (answer.status, answer.json["error"]) == (413, "invalid_request")
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", "http://localhost:5555"}


def test_body_beyond_all_measure_is_refused_before_it_comes(running: RunningIssuer):
    """Who announces a gigabyte is told at once, without leave to go on, and disconnected."""
    for length in b"1000000000", b"9" * 5000:
        received = exchange(running, TOKEN + b"Expect: 100-continue\r\nContent-Length: " + length + b"\r\n\r\n")
        assert statuses(received) == [413]
        assert JSON_ERROR in received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        TOKEN + b"Content-Length: -1\r\n\r\n",
        TOKEN + b"Content-Length: 1, 2\r\n\r\n",
        TOKEN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        TOKEN + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        TOKEN + b"Transfer-Encoding: gzip\r\n\r\n",
        TOKEN + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        TOKEN + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        *(TOKEN + b"Content-Type: text/%c\r\nContent-Length: 2\r\n\r\n{}" % byte for byte in (1, 8, 11, 12, 31, 127)),
    ],
)
def test_what_is_no_request_is_refused_and_ends_the_connection(running: RunningIssuer, request_bytes):
    """What cannot be read as a request gets one client error of Tornado's own, and nothing after it is read."""
    assert statuses(exchange(running, request_bytes + HEALTH)) == [400]


def test_unfinished_request_gets_no_answer(running: RunningIssuer):
    """Who hangs up in the middle of a request is not answered."""
    for part in HEALTH[:-2], TOKEN + b"Content-Length: 10\r\n\r\nabc":
        with connect(running) as connection:
            connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            assert receive(connection) == b""


@contextmanager
def limited(state_dir: Path, limits: Limits) -> Iterator[IssuerServer]:
    """Run an issuer with limits of its own in a thread: this one may have a browser's loop running."""
    settings = load_settings({"IDP_PORT": "0", "IDP_TLS_PORT": "0", "IDP_STATE_DIR": str(state_dir)})
    started: list[IssuerServer] = []
    ready, stops = threading.Event(), []

    async def serve() -> None:
        stop = asyncio.Event()
        async with IssuerServer(settings, limits) as server:
            started.append(server)
            stops.extend([asyncio.get_running_loop(), stop])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield started[0]
    finally:
        stops[0].call_soon_threadsafe(stops[1].set)
        thread.join()


def plain_and_tls(server: IssuerServer) -> list[int]:
    return [port_of(server.issuer.public_url), port_of(server.issuer.tls_public_url)]


def trusting(server: IssuerServer) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=server.issuer.ca_pem.decode())


@pytest.mark.parametrize(
    "sent",
    [b"", HEALTH[:-2], TOKEN + b"Content-Length: 10\r\n\r\nabc", TOKEN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"],
)
def test_silent_client_is_disconnected(tmp_path: Path, sent: bytes):
    """A connection on which nothing comes, or a head or a body never ends, is closed after a while; https, too."""
    with limited(tmp_path, Limits(idle_s=0.2, body_s=0.2)) as server:
        plain, tls = plain_and_tls(server)
        with socket.create_connection(("127.0.0.1", plain), timeout=10) as connection:
            connection.sendall(sent)
            assert receive(connection) == b""
        with (
            socket.create_connection(("127.0.0.1", tls), timeout=10) as raw,
            trusting(server).wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=True) as connection,
        ):
            connection.sendall(sent)
            assert receive(connection) == b""


def test_handshake_that_never_ends_is_ended(tmp_path: Path):
    """Who connects to the https port and never finishes the handshake is disconnected, too."""
    with limited(tmp_path, Limits(idle_s=0.2)) as server:
        for sent in b"", b"\x16\x03\x01":
            with socket.create_connection(("127.0.0.1", plain_and_tls(server)[1]), timeout=10) as connection:
                connection.sendall(sent)
                assert receive(connection) == b""


@pytest.mark.parametrize("scheme", [0, 1])
def test_one_connection_too_many_closes_the_one_that_is_silent_the_longest(tmp_path: Path, scheme: int):
    """The number of connections is bounded; the newest are served, and one that was just used is kept."""
    with limited(tmp_path, Limits(connections=8)) as server, ExitStack() as opened:
        port, context = plain_and_tls(server)[scheme], trusting(server)

        def open_one() -> socket.socket:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if scheme:
                connection = opened.enter_context(context.wrap_socket(connection, server_hostname="localhost"))
            return connection

        def ask(connection: socket.socket) -> bytes:
            connection.sendall(HEALTH)
            return connection.recv(1000)

        first = [open_one() for _ in range(8)]
        assert all(ask(connection).startswith(b"HTTP/1.1 200 ") for connection in first)
        assert ask(first[0]).startswith(b"HTTP/1.1 200 ")
        more = [open_one() for _ in range(7)]
        assert all(ask(connection).startswith(b"HTTP/1.1 200 ") for connection in more)
        assert ask(first[0]).startswith(b"HTTP/1.1 200 ")
        assert [receive(connection) for connection in first[1:]] == [b""] * 7


def read_keys(connection: socket.socket, namespace: str) -> bytes:
    """Ask for the key set in a namespace, and return all that comes."""
    request = f"GET {V1}/keys HTTP/1.1\r\nHost: localhost\r\nX-Mock-Namespace: {namespace}\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode())
    return receive(connection)


@pytest.mark.parametrize("over_tls", [False, True])
def test_broken_answers_are_broken_over_https_too(secure: RunningIssuer, over_tls):
    """Half a body, none at all, and one that drips: the same on http and https."""
    agent = secure.browser()
    open_one = connect_tls if over_tls else connect

    def struck(fault: str, **parameters: int) -> bytes:
        agent.send("/mock/faults", fault=fault, parameters=parameters)
        with open_one(secure) as connection:
            return read_keys(connection, agent.namespace)

    with open_one(secure) as connection:
        whole = read_keys(connection, agent.namespace).partition(b"\r\n\r\n")[2]
    assert struck("dropped_connection") == b""
    head, _, half = struck("truncated_body").partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(whole) in head
    assert half == whole[: len(whole) // 2]
    assert struck("slow_drip", interval_ms=1).partition(b"\r\n\r\n")[2] == whole


@pytest.mark.parametrize("fault", ["slow_drip", "truncated_body"])
def test_page_that_ends_its_answer_itself_is_broken_once(agent: Browser, spa, fault: str):
    """An answer that a handler finishes on its own, such as a page or an error, is struck like any other."""
    flow = spa.authorize().redirect["flow"]
    for path, status in ("/signin", 200), (f"{V1}/authorize", 400):
        whole = agent.get(path, flow=flow)
        assert whole.status == status
        agent.send("/mock/faults", fault=fault, path=path, parameters={"interval_ms": 0})
        if fault == "slow_drip":
            dripped = agent.get(path, flow=flow)
            assert (dripped.status, len(dripped.body)) == (whole.status, len(whole.body))
        else:
            with pytest.raises(http.client.IncompleteRead):
                agent.get(path, flow=flow)
        assert agent.get(path, flow=flow).status == status


def test_client_that_goes_away_is_no_error(tmp_path: Path):
    """Whoever hangs up before or within an answer leaves no traceback and no 500 behind."""
    with start_issuer(tmp_path, IDP_LOG_LEVEL="INFO") as issuer:
        agent = issuer.browser()
        faults: list[dict[str, object]] = [
            {"fault": "latency", "parameters": {"delay_ms": 200}},
            {"fault": "slow_drip", "parameters": {"interval_ms": 5}},
            {"fault": "truncated_body"},
        ]
        for fault in faults:
            agent.send("/mock/faults", **fault)
            with connect(issuer) as connection:
                request = f"GET {V1}/keys HTTP/1.1\r\nHost: localhost\r\nX-Mock-Namespace: {agent.namespace}\r\n\r\n"
                connection.sendall(request.encode())
                # A reset, as of a killed process; the others closed in an orderly way.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert agent.get("/mock/requests", after="0", path="/v1/keys", wait_s="5").json["requests"]
            agent.request("DELETE", "/mock/requests")
        with connect(issuer) as connection:
            connection.sendall(b"GET /mock/requests?wait_s=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with connect(issuer) as connection:
            connection.sendall(TOKEN + b"Content-Length: 100\r\n\r\nab")
        output = issuer.stop()
    assert "Traceback" not in output
    assert " 500" not in output
    assert "ERROR" not in output


def test_https_port_takes_what_is_no_handshake_quietly(tmp_path: Path):
    """Plain HTTP, garbage, a hang-up and a reset at the https port leave no traceback, and the server goes on."""
    with start_issuer(tmp_path, IDP_TLS_PORT="0") as issuer:
        for sent in HEALTH, b"\x00" * 100, b"\x16\x03\x01", b"":
            for reset in False, True:
                with socket.create_connection(("127.0.0.1", port_of(issuer.tls_origin)), timeout=5) as connection:
                    connection.sendall(sent)
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connect_tls(issuer) as connection:
            connection.sendall(LAST)
            assert statuses(receive(connection)) == [200]
        output = issuer.stop()
    assert "Traceback" not in output


@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
def test_refused_requests_are_not_quoted_in_the_log(tmp_path: Path, level: str):
    """Whatever is wrong with a request, a token within it is not in the log."""
    secret = b"s3cr3t-t0ken"
    head = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    requests = [
        b"GET /static/nothing?token=" + secret + head + b"\r\n",
        b"GET /static/%2e%2e/x?token=" + secret + head + b"\r\n",
        b"POST /static/style.css?token=" + secret + head + b"\r\n",
        b"BREW /?token=" + secret + head + b"\r\n",
        b"GET /?token=" + secret + head + b"Authorization: Bearer " + secret + b"\x01\r\n\r\n",
        b"GET /?token=" + secret + b" HTTP/1.1\r\nHost: " + secret + b"@\r\nConnection: close\r\n\r\n",
        b"GET /?token=" + secret + b" HTTP/9.9\r\n\r\n",
        b"GET /?token=" + secret + b"&" * 2000 + head + b"\r\n",
        TOKEN + b"Connection: close\r\nContent-Length: " + secret + b"\r\n\r\n",
        TOKEN + b"Connection: close\r\nTransfer-Encoding: " + secret + b"\r\n\r\n",
        TOKEN + GRANT + b"Connection: close\r\nContent-Length: 2012\r\n\r\n" + secret + b"&" * 2000,
        TOKEN
        + b"Connection: close\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 12\r\n\r\n"
        + secret,
    ]
    with start_issuer(tmp_path, IDP_LOG_LEVEL=level) as issuer:
        for request in requests:
            (status,) = statuses(exchange(issuer, request))
            assert 400 <= status < 500
        output = issuer.stop()
    assert secret.decode() not in output
    assert "Traceback" not in output
