"""Whom the server answers: a page of another site that points its own name at this machine reads nothing."""

import json

import pytest
from playwright.sync_api import expect

from frontend.tests.servers import Server

PATHS = ["/", "/config.json", "/healthz", "/nowhere", "/static/client/0000000000000000/control.js", "*"]


def refusal(answer) -> str | None:
    return json.loads(answer.body)["error"] if answer.status == 421 else None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost.",
        "page.localhost",
        "a.b.localhost:1",
        "localhost:",
        "127.0.0.1",
        "192.0.2.7:8080",
        "[::1]",
        "[2001:db8::7]:8080",
        "localhost.localstack.cloud",
        "gatehouse.execute-api.localhost.localstack.cloud:4566",
        "mock-idp",
        "frontend:8080",
        "localstack",
        "functions.localstack",
        "host.docker.internal:8080",
    ],
)
def test_known_host_is_answered(server, host):
    """The stack's own names, and addresses, which nobody can rebind."""
    assert server.request("/healthz", Host=host).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "BREW"])
def test_unknown_host_is_refused_whatever_is_asked(server, path, method):
    """RFC 9110 section 15.5.20: 421, with a sentence that names the setting, and with the security headers."""
    answer = server.request(path, method, Host="evil.test", Content_Length="0", Accept="text/html")
    assert answer.status == 421
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] == server.request("/").headers["Content-Security-Policy"]
    if method != "HEAD":
        assert json.loads(answer.body) == {
            "error": "unknown_host",
            "error_description": "This server does not answer to this host name; the setting ALLOWED_HOSTS adds names.",
        }


@pytest.mark.parametrize(
    "host",
    [
        "evil.test:8080",
        "localhost.evil.test",
        "evillocalhost",
        "localhostx",
        ".localhost.evil",
        "127.0.0.1.evil.test",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "[::1.evil]",
        "[v1.fe80::a]",
        "e%76il.test",
        "localstack.cloud",
        "xn--bcher-kva.example",
        "",
        ".",
        "..",
        ".localhost",
        "localhost..",
        "*",
    ],
)
def test_other_spelling_is_no_way_in(server, host):
    """A name that only looks like a known one is another."""
    assert refusal(server.request("/config.json", Host=host)) == "unknown_host"


@pytest.mark.parametrize(
    "host",
    [
        "[",
        "[::1",
        "::1",
        "a:b:c",
        "localhost:x",
        "localhost:-1",
        "localhost:" + "8" * 5000,
        "local host",
        "user@localhost",
        "localhost/",
        "localhost,localhost",
        "localhost\\",
        "\x80",
        "a" * 60_000,
    ],
)
def test_malformed_host_is_a_bad_request(server, host):
    """RFC 9112 section 3.2."""
    assert server.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")).status == 400


@pytest.mark.parametrize("second", ["localhost", "evil.test", ""])
def test_two_hosts_are_a_bad_request(server, second):
    """Nobody could say which of them counts."""
    assert server.send(f"GET / HTTP/1.1\r\nHost: localhost\r\nHost: {second}\r\n\r\n".encode()).status == 400


def test_host_may_be_missing_in_http_1_0_only(server):
    """As a container's health check asks; RFC 9112 section 3.2 wants one in HTTP/1.1."""
    assert server.send(b"GET /healthz HTTP/1.0\r\n\r\n").status == 200
    assert server.send(b"GET /healthz HTTP/1.1\r\n\r\n").status == 400


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost:8080/healthz", 200),
        ("HTTP://127.0.0.1/healthz?x=1", 200),
        ("https://page.localhost/healthz", 200),
        ("http://localhost", 200),
        ("http://localhost?code=1", 200),
        ("http://localhost/nowhere", 404),
        ("http://evil.test/healthz", 421),
        ("http://localhost.evil.test", 421),
        ("http:///healthz", 400),
        ("http://user@localhost/healthz", 400),
        ("http://localhost:x/healthz", 400),
    ],
)
@pytest.mark.parametrize("host", ["Host: localhost\r\n", "Host: evil.test\r\n"])
def test_absolute_target_counts_in_place_of_the_host(server, target, status, host):
    """RFC 9112 section 3.2.2: the target's authority decides, whatever Host says."""
    assert server.send(f"GET {target} HTTP/1.1\r\n{host}\r\n".encode()).status == status
    assert server.send(f"HEAD {target} HTTP/1.0\r\n{host}\r\n".encode()).status == status


def test_target_of_another_scheme_does_not_count_as_absolute(server):
    """It is an address that is not there, and Host decides."""
    assert server.request("ftp://evil.test/healthz", Host="localhost").status == 404
    assert server.request("ftp://localhost/healthz", Host="evil.test").status == 421


def test_settings_add_hosts(start, widget_dir):
    """The hosts of the public URLs are known; ALLOWED_HOSTS adds others, with a star for every subdomain."""
    server = start(
        WIDGET_DIR=widget_dir,
        FRONTEND_URL="https://Board.example",
        IDP_PUBLIC_URL="http://idp.example:9400",
        IDP_TLS_PUBLIC_URL="https://idp-tls.example:9443",
        ALLOWED_HOSTS="one.test, *.Many.test.",
    )

    def statuses(*hosts: str) -> set[int]:
        return {server.request("/healthz", Host=host).status for host in hosts}

    answered = {"board.example", "idp.example", "idp-tls.example:1", "ONE.test", "a.many.test", "a.b.many.test:8080"}
    assert statuses(*answered) == {200}
    assert statuses("many.test", "a.one.test", "example", "other.example", "many.test.evil") == {421}


def test_connection_lives_on_after_a_refusal(server):
    """The body of a refused request is read past, so the next request on the connection is understood."""
    refused = b"POST / HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 4\r\n\r\nbody"
    asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert [answer.status for answer in server.send_all(refused, asked)] == [421, 200]


@pytest.mark.browser
def test_page_of_another_name_shows_the_refusal(browser_type, browser_type_launch_args, server: Server):
    """In a browser whose evil.test leads here there is the sentence to read, and nothing of the page."""
    rules = "--host-resolver-rules=MAP evil.test 127.0.0.1"
    arguments = {**browser_type_launch_args, "args": [*browser_type_launch_args.get("args", ()), rules]}
    browser = browser_type.launch(**arguments)
    try:
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        answer = page.goto(f"http://evil.test:{server.port}/")
        assert answer.status == 421
        expect(page.locator("body")).to_contain_text("the setting ALLOWED_HOSTS adds names.")
        assert "Gatehouse" not in page.content()
        read = page.evaluate("fetch('/config.json').then(answer => answer.text())")
        assert json.loads(read)["error"] == "unknown_host"
        # Chromium asks for an icon by itself.
        assert {url.rpartition("/")[2] for url in asked} <= {"", "favicon.ico", "config.json"}
    finally:
        browser.close()
