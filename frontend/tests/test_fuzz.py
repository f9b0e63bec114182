"""Whatever is sent, the server answers, never with a 5xx and never with a traceback, and goes on answering.

The addresses come from the server's own table, so a new one is tried without being named here. FUZZ_EXAMPLES=20000
tries so many requests, other ones at each run; without it there are a few, the same each time.
"""

import json
import os
from urllib.parse import quote_from_bytes
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from frontend.app import make_app
from frontend.assets import Client, Tree
from frontend.settings import Settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "400"))
APP = make_app(Settings.from_environment({}), client=Client(), widget=Tree(digest="0" * 16, files={}))
TABLE = [rule.matcher.regex for rule in APP.wildcard_router.rules]
ANSWERS = {200, 304, 400, 404, 405, 421}

# What ends a line ends a head too: with it inside, this would be another request than the one meant.
octets = st.binary(max_size=12) | st.text(st.characters(), max_size=12).map(
    lambda text: text.encode(errors="surrogatepass")
)
odd = octets.map(lambda raw: raw.translate(None, b"\r\n")) | st.sampled_from(
    [
        *(b"%00", b"%ff", b"%2e%2e", b"..", b"//", b"%", b"%u0041", b"\\", b"%0d%0aX: y", b"\x85", b"\xed\xa0\x80"),
        b"a" * 5000,
    ]
)
FILES = Client().tree()
addresses = st.one_of(
    *(st.from_regex(pattern, fullmatch=True) for pattern in TABLE),
    st.sampled_from([f"/static/client/{FILES.digest}/{name}" for name in FILES.files]),
).map(lambda path: path.encode(errors="surrogatepass").translate(None, b"\r\n"))
written = st.sampled_from([lambda raw: raw, lambda raw: quote_from_bytes(raw, safe="/%").encode()])
paths = st.one_of(
    st.builds(lambda write, path: write(path), written, addresses),
    st.builds(lambda write, path, end: write(path + end), written, addresses, odd),
    st.builds(lambda write, end: b"/" + write(end), written, odd),
    st.sampled_from([b"*", b"", b"/" * 300, b"http://localhost", b"https://localhost/healthz", b"http://evil.test/"]),
    st.builds(b"http://%s%s".__mod__, st.tuples(odd, addresses)),
)
queries = st.just(b"") | st.builds(b"?%s".__mod__, odd) | st.sampled_from([b"?" + b"a&" * 2000, b"?%ff=%00", b"??#?"])
methods = st.sampled_from([b"GET"] * 6 + [b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"TRACE", b"BREW"]) | odd
hosts = st.one_of(*([st.just(b"localhost")] * 6), st.sampled_from([b"evil.test", b"[", b"a:b:c", b"[::1]:80"]), odd)
names = st.sampled_from(
    [
        *(b"Origin", b"Accept", b"Accept-Encoding", b"Accept-Language", b"If-None-Match", b"If-Modified-Since"),
        *(b"Range", b"Content-Type", b"Content-Encoding", b"Cookie", b"Upgrade", b"Connection", b"Expect"),
        *(b"X-Forwarded-Host", b"X-Forwarded-Proto", b"X-Http-Method-Override", b"Sec-Fetch-Site"),
    ]
)
values = odd | st.sampled_from(
    [
        *(b"text/html", b"gzip;q=nan", b"gzip;q=1e999", b"*;q=0, gzip;q=", b'W/"x", *', b"bytes=0-", b"bytes=9-1,-,x"),
        *(b"multipart/form-data", b"multipart/form-data; boundary=b", b"application/x-www-form-urlencoded", b"null"),
        *(b"close", b"keep-alive", b"Upgrade", b"websocket", b"100-continue", b'a="\\777', b"\t", b'"' * 3000),
    ]
)
headers = st.lists(st.tuples(names, values) | st.tuples(odd, values), max_size=4)
bodies = st.none() | st.binary(max_size=200) | st.sampled_from([b"a=%ff&=&%", b"--b\r\n\r\n--b--", b"\x00" * 2000])


@st.composite
def messages(draw) -> bytes:
    """A whole request: its framing is sound, and nothing else need be."""
    lines = [b"%s %s%s HTTP/1.1" % (draw(methods), draw(paths), draw(queries)), b"Host: %s" % draw(hosts)]
    lines += [b"%s: %s" % field for field in draw(headers)]
    body = draw(bodies)
    if body is not None and draw(st.booleans()):
        lines.append(b"Transfer-Encoding: chunked")
        body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    elif body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body or b""])


@pytest.fixture(scope="module")
def fuzzed(start, widget_dir):
    """A server of this test's own; at its end, its log holds no failure and nothing that a terminal would act on."""
    server = start(WIDGET_DIR=widget_dir, ALLOWED_HOSTS="fuzz.test")
    yield server
    last = f"/{uuid4()}"
    server.request(last)
    while not any(last in line for line in list(server.log)):
        assert server.process.poll() is None
    log = "".join(server.log)
    assert "Traceback" not in log
    assert " ERROR " not in log
    assert [line for line in log.split("\n") if not line.isprintable()] == []


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(message=messages())
@example(message=b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: a\x01\r\nContent-Length: 1\r\n\r\nx")
@example(message=b"GET / HTTP/1.1\r\nHost: localhost:%s\r\n\r\n" % (b"8" * 5000))
@example(message=b"GET /\x9b31m\xc2\x85 HTTP/1.1\r\nHost: localhost\r\n\r\n")
def test_no_request_breaks_the_server(fuzzed, message):
    """Odd methods, targets, hosts, headers and bodies are answered, at worst with a client error."""
    answer = fuzzed.send(message)
    assert answer.status in ANSWERS
    assert b"Traceback" not in answer.body
    # Tornado's own 400 for what is not HTTP has no headers at all.
    assert answer.headers.get("X-Content-Type-Options", "nosniff" if answer.status == 400 else None) == "nosniff"
    assert fuzzed.request("/healthz").status == 200


@settings(max_examples=40, deadline=None, derandomize=True)
@given(path=addresses.map(lambda path: quote_from_bytes(path, safe="/%")))
def test_every_address_of_the_table_refuses_other_hosts_and_methods(fuzzed, path):
    """A new address is behind the gate, and takes GET and HEAD only, without anybody thinking of it."""
    assert json.loads(fuzzed.request(path, Host="evil.test").body)["error"] == "unknown_host"
    assert fuzzed.request(path, "POST", Content_Length="0").status == 405
