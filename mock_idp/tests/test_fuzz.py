"""Whatever is sent to whichever route, the answer is never a 5xx and never a traceback, and the next one comes, too.

The routes are those of the application's own table. Each gets `FUZZ_EXAMPLES` requests (an environment variable; 20
unless it is set), drawn anew at every run; a request that fails is reduced and printed. For a long search:

    FUZZ_EXAMPLES=2000 python -m pytest -n 2 mock_idp/tests/test_fuzz.py
"""

import http.client
import json
import os
from collections.abc import Iterator
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mock_idp.tests.conftest import start_issuer
from mock_idp.tests.routing import HANDLERS, patterns
from mock_idp.tests.wire import Browser, Client, RunningIssuer

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
NAMESPACE = "fuzz"
ODD = "%00|%ff|%ed%a0%80|%2e%2e|%|x{300}"
# What may stand for the named parts of the routes; a new name is a KeyError until it is here.
PARTS = {
    "ns": f"{NAMESPACE}|{NAMESPACE}|other|{ODD}",
    "server": r"default|es256|eddsa|org|nowhere|\.\.|x{300}",
    "path": rf"console\.js|style\.css|nowhere|\.\./app\.py|/etc/passwd|{ODD}",
    "fault_id": f"fault-x|{ODD}",
    "login": rf"alice|bob@example\.com|{ODD}",
}
METHODS = st.sampled_from(["GET", "HEAD", "POST", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
# Waiting (wait_s) and breaking the endpoints on purpose (faults of that group) are left out: they do what they say.
NAMES = st.sampled_from(
    [
        *("client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce"),
        *("code", "code_verifier", "code_challenge", "code_challenge_method", "grant_type", "refresh_token", "token"),
        *("prompt", "max_age", "login_hint", "request_uri", "id_token_hint", "post_logout_redirect_uri", "flow"),
        *("username", "password", "persona", "stateToken", "stateHandle", "interactionHandle", "identifier"),
        *("credentials", "passcode", "user_code", "device_code", "fault", "claims", "server", "once", "parameters"),
        *("after", "path", "offset_s", "advance_s", "lifetime_s", "redirect_uris", "sessionToken", "redirectUrl"),
        *("access_token", "id_token", "action", "oldPassword", "newPassword", "header", "scopes", "kind", "groups"),
        *("first_name", "status", "note", "client_name", "grant_types", "response_types", "withdraw_old", "é", ""),
    ]
)
# `live.…` stands for a value that the issuer has just handed out.
LIVE = ("flow", "code", "refresh_token", "access_token", "id_token", "session_token", "state_token")
LIVE += ("interaction_handle", "state_handle", "device_code", "user_code", "sid")
KNOWN = st.sampled_from(
    [
        *(f"live.{name}" for name in LIVE),
        *("demo-spa", "demo-client", "0oatestbed", "demo-secret", "http://localhost:1/", "code", "token id_token"),
        *("openid", "openid offline_access", "S256", "a" * 43, "authorization_code", "client_credentials"),
        *("refresh_token", "interaction_code", "none", "login", "consent", "fragment", "form_post"),
        *(
            "okta_post_message",
            "alice@example.com",
            "expired@example.com",
            "Passw0rd!",
            "continue",
            "deny",
            "0",
            "-1",
            "1e999",
            "9" * 400,
        ),
        *("expired", "missing_claim", "id_token", "wrong_client", "same_kid_new_key", "es256", "ACTIVE", "client"),
        *("urn:ietf:params:oauth:request_uri:x", "e30.e30.e30", ".", "http://[", "http://localhost:x/", "\r\nX: y"),
        *("http://localhost:99999/", "javascript:alert(1)", "urn:ietf:params:oauth:grant-type:device_code", "\x00"),
    ]
)
TEXT = st.text(st.characters(), max_size=20)  # lone surrogates included
VALUES = KNOWN | TEXT | st.binary(max_size=8).map(lambda raw: raw.decode("latin-1"))
NUMBERS = st.integers(-5, 10**20) | st.floats() | st.sampled_from([10**400, -(10**18), 2**53])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


def encoded(fields: list[tuple[str, str]]) -> bytes:
    """A form of these fields; what is no Unicode goes out as the bytes it would have."""
    return urlencode(fields, errors="surrogatepass").encode()


def multipart(fields: list[tuple[str, str]]) -> bytes:
    """The same as multipart/form-data with the boundary `x`, neither escaped nor checked."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    return "".join([*parts, "--x--\r\n"]).encode(errors="surrogatepass")


FORM, DOCUMENT = "application/x-www-form-urlencoded", "application/json"
NESTED = st.integers(1, 30_000).map(lambda depth: b"[" * depth + b"]" * depth)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=6).map(lambda value: json.dumps(value).encode())
BODIES = st.one_of(
    st.tuples(st.just(FORM), FIELDS.map(encoded)),
    st.tuples(st.just(DOCUMENT), OBJECTS),
    st.tuples(st.just(DOCUMENT), JSON.map(lambda value: json.dumps(value).encode()) | NESTED),
    st.tuples(st.just("multipart/form-data; boundary=x"), FIELDS.map(multipart)),
    st.tuples(st.sampled_from([FORM, DOCUMENT, "text/plain", "multipart/form-data", ""]), st.binary(max_size=50)),
)
QUERIES = st.one_of(
    FIELDS.map(lambda fields: encoded(fields).decode()),
    st.sampled_from(["", "%", "%ff=%00", "=&=&", "?", "client_id=%ed%a0%80", "a=" + "x" * 17_000]),
)
# Every text that HTTP lets a header field have. Source: RFC 9110 section 5.5.
FIELD_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
ODD_HEADERS = {
    "Origin": ["null", "http://[", "http://localhost:1", "http://localhost:x", "https://evil.example", "http://:0"],
    "Referer": ["http://[", "x"],
    "Cookie": ["sid=live.sid", "sid=", "sid", ";", '="', 'sid="\\777"', "sid=\xff; sid=live.sid", "é=1"],
    "Authorization": [
        *("Basic ZGVtby1zcGE=", "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=", "Basic \xff", "Basic %%%", "Basic", "x"),
        *("Bearer live.access_token", "Bearer x", "Bearer", "Bearer \xff.\xff.\xff", "Basic /w==", "Basic AAA="),
    ],
    "Content-Type": [
        *("application/json; charset=x", "application/json; charset=utf-16", "application/ion+json", ";", "\xff/\xff"),
        *("multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="', "application/*"),
    ],
    "X-Mock-Namespace": [NAMESPACE, "", "é", "a b", "x" * 65, "../x"],
    "X-Mock-Capture": ["off", "on"],
    "X-Forwarded-For": ["127.0.0.1", "x", "::1, [", "\xff"],
    "X-Forwarded-Host": ["evil.example", "["],
    "X-Forwarded-Proto": ["https", "x"],
    "If-None-Match": ["*", '"', 'W/"', '"a", W/"b"', ","],
    "If-Modified-Since": ["0", "Mon, 99 Jan 2000 99:99:99 GMT", "Thu, 01 Jan 1970 00:00:00 -9999", "x" * 500],
    "Range": [f"bytes={span}" for span in ("0-0", "-", "9-1", "-999999", "0-1,2-3", "9" * 5000 + "-")],
    "Accept": ["*/*", "text/html;q=x", "\xff"],
    "Accept-Language": ["de", ";q="],
    "Accept-Encoding": ["gzip", "\xff"],
    "Access-Control-Request-Method": ["POST", "\xff"],
}
HEADERS = st.lists(
    st.sampled_from(sorted(ODD_HEADERS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(ODD_HEADERS[name]) | FIELD_VALUES)
    ),
    max_size=4,
)
HOSTS = st.sampled_from(
    ["localhost"] * 12 + ["[", "a:b:c", "localhost:x", " ", "", "evil.example", "[::1]:1", "x" * 300, "\xff", "a,b"]
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIssuer]:
    """An issuer of these tests' own, which at its end has logged no failure."""
    with start_issuer(tmp_path_factory.mktemp("fuzzed"), IDP_LOG_LEVEL="ERROR") as issuer:
        yield issuer
        output = issuer.stop()
    assert "Traceback" not in output, output[-5000:]


@pytest.fixture
def live(fuzzed: RunningIssuer) -> dict[str, str]:
    """Values with which a request gets further than the first check, from a namespace as at the start."""
    agent = Browser(fuzzed.origin, NAMESPACE)
    agent.send("/mock/reset")
    client = Client(agent)
    tokens = client.tokens()
    handle = agent.post("/oauth2/default/v1/interact", **client.request()).json["interaction_handle"]
    authn = agent.send("/api/v1/authn", username="alice", password="Passw0rd!").json
    expired = agent.send("/api/v1/authn", username="expired", password="Passw0rd!").json
    device = agent.post("/oauth2/default/v1/device/authorize", client_id="demo-spa", scope="openid").json
    cookie = {"sid": agent.cookies.pop("sid")}
    interaction = agent.send("/idp/idx/introspect", interactionHandle=handle).json
    return cookie | {
        "flow": client.authorize().redirect["flow"],
        "code": client.code(),
        "refresh_token": tokens["refresh_token"],
        "access_token": tokens["access_token"],
        "id_token": tokens["id_token"],
        "session_token": authn["sessionToken"],
        "state_token": expired["stateToken"],
        "interaction_handle": handle,
        "state_handle": interaction["stateHandle"],
        "device_code": device["device_code"],
        "user_code": device["user_code"],
    }


def test_every_live_value_is_handed_out(live: dict[str, str]):
    """What the requests below name as live is there."""
    assert sorted(live) == sorted(LIVE)


@pytest.mark.parametrize("pattern", patterns(PARTS), ids=HANDLERS)
def test_no_request_ends_in_a_server_error(fuzzed: RunningIssuer, live: dict[str, str], pattern: str):
    """Every route answers odd methods, paths, fields, bodies and headers with a client error at worst, and goes on."""

    def fill(text: str) -> str:
        for name, value in live.items():
            text = text.replace(f"live.{name}", value)
        return text

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(METHODS, st.from_regex(pattern, fullmatch=True), QUERIES, HOSTS, HEADERS, BODIES)
    def is_answered(method, path, query, host, headers, body):  # noqa: PLR0917 - as hypothesis passes them
        target = quote(path if path.startswith("/") else f"/{path}", safe="/%:@!$&'()*+,;=-._~", errors="surrogatepass")
        content_type, content = body
        sent = [("X-Mock-Namespace", NAMESPACE), ("Content-Type", content_type), *headers]
        content = fill(content.decode("latin-1")).encode("latin-1")
        connection = http.client.HTTPConnection(urlsplit(fuzzed.origin).netloc, timeout=30)
        try:
            connection.putrequest(method, f"{target}?{fill(query)}", skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host.encode("latin-1"))
            for name, value in dict(sent).items():
                connection.putheader(name, fill(value).encode("latin-1"))
            connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 500, text
            assert b"Traceback" not in text
            connection.request("GET", "/healthz", headers={"Host": "localhost"})
            assert connection.getresponse().read() == b'{"status": "ok"}'
        finally:
            connection.close()

    is_answered()
