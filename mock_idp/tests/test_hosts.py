"""The issuer answers only under host names that it knows: a page that rebinds its name reads nothing."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserType

from mock_idp.hosts import KnownHosts
from mock_idp.tests.conftest import start_issuer
from mock_idp.tests.routing import HANDLERS, example, patterns
from mock_idp.tests.wire import RunningIssuer

SENTENCE = "ALLOWED_HOSTS"


def ask(origin: str, path: str, host: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Send one request with this Host to the server of an origin; return the status and the body."""
    at = urlsplit(origin)
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=20)
    if at.scheme == "https":
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", at.port, timeout=20, context=context)
    try:
        connection.request(method, path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an issuer listens whose settings name hosts of all kinds; http and https alike."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    settings = {
        "BIND": "0.0.0.0",
        "IDP_PORT": port,
        "IDP_PUBLIC_URL": "https://id.example.test:8443",
        "FRONTEND_URL": "http://Page.example.test:8080",
        "ALLOWED_HOSTS": "Extra.test., *.wild.test",
    }
    with start_issuer(tmp_path_factory.mktemp("reached"), **settings):
        yield f"http://localhost:{port}"


@pytest.mark.parametrize("pattern", patterns(), ids=HANDLERS)
def test_no_url_answers_under_an_unknown_name(running: RunningIssuer, pattern: str):
    """Every route, static files and unknown paths included, is 421 under a foreign name, whatever was asked before."""
    path = example(pattern)
    own = urlsplit(running.origin).netloc
    for method in "GET", "POST", "OPTIONS", "PROPFIND":
        status, body = ask(running.origin, path, "rebound.test", method)
        assert status == 421, (method, path, body)
        assert '"error": "unknown_host"' in body
        assert SENTENCE in body
        assert ask(running.origin, path, own, method)[0] != 421
        assert ask(running.origin, path, "rebound.test", method)[0] == 421


def test_refused_request_changes_and_remembers_nothing(running: RunningIssuer):
    """A request under a foreign name is refused before its namespace, key or body is looked at."""
    agent = running.browser()
    body = {"X-Mock-Namespace": agent.namespace}
    assert ask(running.origin, "/mock/personas/bob", "rebound.test", "DELETE", **body)[0] == 421
    assert ask(running.origin, "/oauth2/default/v1/keys", "rebound.test", **body)[0] == 421
    assert any(persona["login"] == "bob@example.com" for persona in agent.get("/mock/personas").json["personas"])
    assert agent.get("/mock/requests").json["requests"] == []


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "localhost:1", "a.localhost", "a.b.localhost", "localhost:"),
        *("127.0.0.1", "127.0.0.1:9400", "192.0.2.7", "[::1]", "[::1]:9400", "[2001:db8::1]"),
        *("localhost.localstack.cloud", "x.localhost.localstack.cloud", "mock-idp:9400", "frontend", "localstack"),
        *("bucket.localstack", "host.docker.internal", "id.example.test", "id.example.test:1", "page.example.test"),
        *("extra.test", "EXTRA.test.:80", "a.wild.test", "a.b.wild.test"),
    ],
)
def test_known_names_are_answered(reached: str, host: str):
    """Addresses, names of this machine and the stack, of the settings and of ALLOWED_HOSTS, in any case and port."""
    assert ask(reached, "/healthz", host) == (200, '{"status": "ok"}')


@pytest.mark.parametrize(
    "host",
    [
        *("", " ", "[", "]", "[]", "[::1", "[::1]x", "[::g]", "[127.0.0.1]", "a:b:c", "localhost:x", "localhost:80:80"),
        *("localhost..", ".localhost", ".", "localhost@evil.test", "evil.test", "localhost.evil.test", "xlocalhost"),
        *("wild.test", "xwild.test", ".wild.test", "example.test", "127.1", "2130706433", "0x7f.0.0.1", "1.2.3.4.5"),
        *("localhost,evil.test", "%6cocalhost", "localhost%00", "l\xf6calhost", "localhost/x", "256.0.0.1", "::1"),
        *("a" * 300, "a." * 10_000 + "localhost!"),
    ],
)
def test_odd_hosts_are_client_errors(reached: str, host: str):
    """Whatever stands in Host, an unknown or malformed one is a client error, and the server goes on."""
    assert ask(reached, "/mock/tokens", host)[0] in {400, 421}
    assert ask(reached, "/healthz", "localhost")[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\nHost: evil.test\r\n\r\n", 421),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://evil.test/healthz HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
        (b"GET http://evil.test/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        (b"GET //evil.test/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
    ],
)
def test_missing_repeated_and_absolute_hosts(reached: str, request_bytes: bytes, status: int):
    """A health check of HTTP/1.0 needs no Host; two of them, or a target that names another host, gain nothing."""
    with socket.create_connection(("127.0.0.1", urlsplit(reached).port or 0), timeout=5) as connection:
        connection.sendall(request_bytes)
        assert int(connection.makefile("rb").readline().split()[1]) == status


def test_https_and_namespaces_know_the_same_names(tmp_path: Path):
    """The https port refuses foreign names as well, also below a namespace."""
    with start_issuer(tmp_path, IDP_TLS_PORT="0") as issuer:
        for path in "/healthz", "/ns/x/mock/tokens", "/ns/x/signin":
            assert ask(issuer.tls_origin, path, "rebound.test")[0] == 421
        assert ask(issuer.tls_origin, "/healthz", "localhost")[0] == 200
        assert ask(issuer.tls_origin, "/ns/x/mock/clock", "127.0.0.1")[0] == 200


def test_only_control_plane_callers_known_by_name_are_trusted(reached: str):
    """A known name opens the control plane to this machine, and its Origin must still be the issuer's own."""
    assert ask(reached, "/mock/clock", "extra.test")[0] == 200
    assert ask(reached, "/mock/clock", "extra.test", Origin="http://extra.test")[0] == 200
    foreign = ("http://evil.test", "https://extra.test", "http://extra.test:81", "http://page.example.test:8080")
    for origin in *foreign, "null", "http://[":
        assert ask(reached, "/mock/clock", "extra.test", Origin=origin)[0] == 403


@pytest.fixture
def deceived(browser_type: BrowserType, browser_type_launch_args) -> Iterator[Chromium]:
    """A browser in which every name of example.net leads to this machine."""
    rules = "--host-resolver-rules=MAP *.example.net 127.0.0.1"
    arguments = {**browser_type_launch_args, "args": [*browser_type_launch_args.get("args", ()), rules]}
    chromium = browser_type.launch(**arguments)
    yield chromium
    chromium.close()


SIGN_IN = """async () => {
    const body = JSON.stringify({ username: "alice@example.com", password: "Passw0rd!" });
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("/api/v1/authn", { method: "POST", headers, body });
    return { status: answer.status, text: await answer.text() };
}"""


@pytest.mark.browser
def test_rebound_page_gets_no_session_token(deceived: Chromium, running: RunningIssuer):
    """A page whose name leads to this machine cannot sign in with a public password; the issuer's own page can."""
    page = deceived.new_page()
    page.goto(f"http://page.example.net:{urlsplit(running.origin).port}/")
    answer = page.evaluate(SIGN_IN)
    assert (answer["status"], "sessionToken" in answer["text"]) == (421, False)
    page.goto(f"{running.origin}/")
    answer = page.evaluate(SIGN_IN)
    assert (answer["status"], "sessionToken" in answer["text"]) == (200, True)


def test_names_are_compared_without_touching_others():
    """A star stands for one label or more, and only before the name."""
    hosts = KnownHosts(["exact.test", "*.star.test"])
    assert hosts.include("exact.test")
    assert hosts.include("a.star.test")
    assert not hosts.include("a.exact.test")
    assert not hosts.include("star.test")
