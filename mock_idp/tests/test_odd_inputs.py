"""Odd inputs are refused in one sentence: text that cannot be encoded, depth, numbers, URLs, paths, tokens."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mock_idp.tests.conftest import start_issuer
from mock_idp.tests.wire import Browser, Client

V1 = "/oauth2/default/v1"
JSON = {"Content-Type": "application/json"}


def send(agent: Browser, method: str, path: str, body: bytes) -> tuple[int, Any]:
    answer = agent.request(method, path, body=body, headers=JSON)
    return answer.status, answer.json


PERSONA_FIELDS = ["first_name", "last_name", "email", "password", "locale", "time_zone", "note"]
TEXTS = [
    *(("PUT", "/mock/personas/alice", b'{"%s": "@"}' % field.encode()) for field in PERSONA_FIELDS),
    ("PUT", "/mock/personas/alice", b'{"groups": ["@"]}'),
    ("PUT", "/mock/personas/alice", b'{"claims": {"access_token": {"role": "@"}}}'),
    ("PUT", "/mock/personas/alice", b'{"claims": {"id_token": {"@": 1}}}'),
    ("POST", "/mock/tokens", b'{"claims": {"role": "@"}}'),
    ("POST", "/mock/tokens", b'{"claims": {"@": 1}}'),
    ("POST", "/mock/tokens", b'{"header": {"typ": "@"}}'),
    ("POST", "/mock/tokens", b'{"client_id": "@", "scopes": ["@"], "nonce": "@"}'),
    ("POST", "/mock/tokens", b'{"persona": "@"}'),
    ("POST", "/mock/tokens", b'{"kind": "client", "fault": "id_token", "parameters": {"id_token": "@"}}'),
    ("POST", "/mock/faults", b'{"fault": "id_token", "parameters": {"id_token": "@"}}'),
    ("POST", "/mock/faults", b'{"fault": "expired", "client_id": "@", "path": "@"}'),
    ("POST", "/mock/try", b'{"token": "@"}'),
    ("POST", "/oauth2/v1/clients", b'{"redirect_uris": ["http://localhost/"], "client_name": "@"}'),
    ("POST", "/oauth2/v1/clients", b'{"redirect_uris": ["http://localhost/@"]}'),
    ("POST", "/api/v1/authn", b'{"username": "alice", "password": "@"}'),
    ("POST", "/api/v1/authn", b'{"username": "@", "password": "x"}'),
    ("POST", "/api/v1/authn/credentials/change_password", b'{"stateToken": "@"}'),
    ("POST", "/idp/idx/introspect", b'{"interactionHandle": "@"}'),
    ("POST", "/idp/idx/identify", b'{"identifier": "@"}'),
]


@pytest.mark.parametrize("surrogate", [b"\\ud800", b"\\udfff x", b"\\udc00\\ud800", b"\xed\xa0\x80", b"\xff"])
@pytest.mark.parametrize(("method", "path", "body"), TEXTS)
def test_text_that_is_no_unicode_is_refused(agent: Browser, method: str, path: str, body: bytes, surrogate: bytes):
    """A lone surrogate, escaped or not, is no text: it could be stored, but never written, hashed or sent."""
    status, answer = send(agent, method, path, body.replace(b"@", surrogate))
    assert status == 400
    assert answer.get("error") in {"invalid_request", "invalid_client_metadata"} or answer["errorCode"] == "E0000003"


@pytest.mark.parametrize("text", ["\U0001f600", "\x00\x7f\x85", "\ufffe", "\u2028", "'\"\\${", "\t\r\n", "#: -"])
def test_any_other_text_is_kept_as_it_is(agent: Browser, text: str):
    """Every other text of JSON comes back from the control plane, in claims, and on the console."""
    fields = {"note": text, "claims": {"access_token": {"x": text}}}
    put = agent.request("PUT", "/mock/personas/alice", json_body=fields)
    assert (put.status, put.json["note"], put.json["claims"]["access_token"]) == (200, text, {"x": text})
    assert agent.send("/mock/tokens", persona="alice").json["claims"]["x"] == text
    assert agent.get("/").status == 200


@pytest.mark.parametrize("depth", [70, 900, 5_000, 30_000])
@pytest.mark.parametrize(("method", "path", "body"), [case for case in TEXTS if b'"@"' in case[2]])
def test_deep_documents_are_refused(agent: Browser, method: str, path: str, body: bytes, depth: int):
    """A document nested beyond reason is refused, before anything that walks through it gives up."""
    for opening, closing in (b"[", b"]"), (b'{"a":', b"}"):
        nested = opening * depth + b"1" + closing * depth
        if len(nested) < 60_000:
            assert send(agent, method, path, body.replace(b'"@"', nested))[0] in {400, 413}


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 400, b"9" * 5000, b"NaN", b"-Infinity"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/mock/clock", b'{"offset_s": @}'),
        ("POST", "/mock/tokens", b'{"lifetime_s": @}'),
        ("POST", "/mock/tokens", b'{"claims": {"exp": @}}'),
        ("POST", "/mock/faults", b'{"fault": "latency", "path": "/none", "parameters": {"delay_ms": @}}'),
        ("PUT", "/mock/personas/alice", b'{"claims": {"access_token": {"level": @}}}'),
        ("POST", "/api/v1/authn", b'{"username": "alice", "password": @}'),
    ],
)
def test_numbers_beyond_any_other_reader_are_refused(
    agent: Browser, method: str, path: str, body: bytes, number: bytes
):
    """A number that no double holds is refused: it would come out as Infinity, which is no JSON."""
    assert send(agent, method, path, body.replace(b"@", number))[0] == 400


@pytest.mark.parametrize("number", [10**30, -(10**300), 1.7e308, 5e-324, 0.1, -0.0, True, None])
def test_every_other_value_reaches_the_token(agent: Browser, number: Any):
    """Large and small numbers come out of a persona's claims as they went in."""
    claims = {"access_token": {"level": number, "deep": [{"a": [number]}]}}
    assert agent.request("PUT", "/mock/personas/alice", json_body={"claims": claims}).status == 200
    minted = agent.send("/mock/tokens", persona="alice").json["claims"]
    assert minted["deep"] == [{"a": [number]}]


@pytest.mark.parametrize(
    "target",
    [
        *(
            "http://[",
            "http://]",
            "http://[::1",
            "http://localhost:x/",
            "http://localhost:99999/",
            "http://localhost\r\n/",
        ),
        *("http://localhost:5555/\r\nX: y", "http://localhost:5555/\x00", "http://localhost:5555/ü", "", " ", "//x"),
        *("javascript:alert(1)", "http://localhost@evil.example/", "http://localhost\\@evil.example/", "\ufeff"),
        *("@/\r\nX: y", "@/ü", "@/ ", "@.evil.example/"),
    ],
)
def test_session_cookie_redirect_refuses_odd_targets(agent: Browser, target: str):
    """What is no plain URL of a trusted origin is shown, not gone to; @ stands for the issuer's own origin."""
    target = target.replace("@/", f"{agent.origin}/", 1) if target.startswith("@") else target
    answer = agent.get("/login/sessionCookieRedirect", redirectUrl=target, token="x")
    assert (answer.status, answer.headers["Location"]) == (400, None)


@pytest.mark.parametrize(
    "name", ["x%00", "%00", "%ff", "%2e%2e/app.py", "../app.py", "..%2fapp.py", "a" * 5000, "", ".", "%"]
)
def test_odd_static_paths_are_not_found(agent: Browser, name: str):
    """Only plain names lead into the folder of static files."""
    assert agent.get(f"/static/{name}").status in {403, 404}


@pytest.mark.parametrize(
    "authorization",
    ["Basic \xff", "Basic \xe9\xe9==", "Basic Zg", "Basic", "Basic  ", "Bearer \xff", "\xff", "Basic " + "A" * 9000],
)
def test_odd_authorization_is_a_client_error(agent: Browser, authorization: str):
    """Credentials that are no ASCII or no base64 are refused by every endpoint that reads them."""
    headers = {"Authorization": authorization}
    for path in "token", "introspect", "revoke", "par", "userinfo", "interact", "device/authorize":
        answer = agent.request("POST", f"{V1}/{path}", form={"grant_type": "client_credentials"}, headers=headers)
        assert 400 <= answer.status < 500, (path, answer.text)
    assert agent.request("GET", "/mock/clock", headers=headers).status == 200


def odd_tokens(kid: str, alg: str) -> Iterator[str]:
    """Tokens that name a real key and are damaged in every other way."""
    nested = "[" * 5500 + "]" * 5
    headers = [nested, '{"kid": 1e999}', '{"a": "\\ud800"}', "\x00", "", "null", "[]", '"x"', "{}"]
    whole = {"kid": kid, "alg": alg, "typ": "at+jwt"}
    extras = [{"crit": 1}, {"crit": ["b64"], "b64": 1}, {"zip": "x"}, {"jwk": 5}, {"x5c": {}}, {"alg": []}, {"typ": []}]
    headers += [json.dumps({**whole, **extra}) for extra in extras]
    good = json.dumps(whole)
    bodies = ["{}", nested, "\x00", '{"exp": 1e999}', '{"sub": "\\ud800"}']
    for head, body in [(head, "{}") for head in headers] + [(good, body) for body in bodies]:
        parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (head, body)]
        yield ".".join([*parts, "AAAA"])
        yield ".".join([*parts, ""])
    yield from ("a.b.c", "é.é.é", "..", ".", "=.=.=", "A" * 8193, "\x00.\x00.\x00")


@pytest.mark.parametrize("server", ["default", "es256", "eddsa"])
def test_odd_tokens_are_refused_by_whoever_reads_them(agent: Browser, server: str):
    """No token makes userinfo, introspection, revocation or logout fail."""
    base = f"/oauth2/{server}/v1"
    key = agent.get(f"{base}/keys").json["keys"][0]
    for token in odd_tokens(key["kid"], key["alg"]):
        answers = {
            "userinfo": agent.request("POST", f"{base}/userinfo", form={"access_token": token}).status,
            "introspect": agent.post(f"{base}/introspect", client_id="demo-spa", token=token).status,
            "revoke": agent.post(f"{base}/revoke", client_id="demo-spa", token=token).status,
            "logout": agent.get(f"{base}/logout", id_token_hint=token).status,
        }
        assert answers == {"userinfo": 401, "introspect": 200, "revoke": 200, "logout": 400}, token[:200]


@pytest.mark.parametrize(
    "fault", ["expired", "not_yet_valid", "missing_claim", "id_token", "wrong_client", "critical_header"]
)
@pytest.mark.parametrize(
    "claims", [{"exp": "soon"}, {"exp": None, "iat": None}, {"iat": []}, {"scp": 7}, {"auth_time": {}}]
)
def test_fault_on_a_person_with_odd_claims_is_a_client_error(spa: Client, fault: str, claims: dict[str, Any]):
    """A fault that needs a claim which the persona's configuration spoilt says so instead of failing."""
    persona = {"claims": {"access_token": claims, "id_token": claims}}
    assert spa.browser.request("PUT", "/mock/personas/alice", json_body=persona).status == 200
    for kind in "access_token", "id_token":
        fields = {"fault": fault, "once": False, "parameters": {"token": kind}}
        assert spa.browser.send("/mock/faults", **fields).status == 201
    answer = spa.exchange(spa.code())
    assert answer.status in {200, 400}, answer.text
    shown = spa.sign_in(response_type="id_token token", scope="openid", prompt="login")
    assert shown.status in {302, 400}, shown.text
    for kind in "access_token", "id_token":
        assert spa.browser.send("/mock/tokens", fault=fault, kind=kind).status in {200, 400}


@pytest.mark.parametrize(
    "query", ["wait_s=nan", "wait_s=inf", "wait_s=-inf", "after=1e3", f"after={'9' * 5000}", "after=x"]
)
def test_waiting_for_no_number_of_seconds_is_refused(agent: Browser, query: str):
    """`after` and `wait_s` are numbers that a clock can count to."""
    assert agent.get(f"/mock/requests?path=nothing&{query}").status == 400


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that reads a request, sends these bytes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 999 \xff\r\n\r\n",
    ],
)
def test_try_says_so_when_the_api_answers_no_http(tmp_path: Path, answer: bytes):
    """An API that hangs up or answers nonsense is unreachable (502), or shown as far as its answer came."""
    shown = {b"HTTP/1.1 2": 200, b"HTTP/1.1 9": 999}.get(answer[:10])
    with answering(answer) as url, start_issuer(tmp_path, API_URL=url) as issuer:
        tried = Browser(issuer.origin).send("/mock/try", token="x.y.z")
        assert tried.json.get("status", tried.json.get("error")) == (shown or "api_unreachable"), tried.text
        assert "Traceback" not in issuer.stop()


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "é", "a\x00", 5, None, [], {"a": 1}])
def test_try_takes_only_what_can_be_a_token(try_agent: Browser, token: Any):
    """Whatever is no token is refused before the API is called."""
    answer = try_agent.send("/mock/try", token=token)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


@pytest.fixture(scope="module")
def try_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """An issuer whose API nobody listens for."""
    with start_issuer(tmp_path_factory.mktemp("try"), API_URL="http://127.0.0.1:9/") as issuer:
        yield Browser(issuer.origin)


def test_odd_logins_are_personas_or_refused(agent: Browser):
    """Every login that is a path of UTF-8 can be added and taken away; any other is a client error."""
    for login in "ü@example.com", "a b@x", "\x00@x", "a/b@x", "%@x", "\U0001f600@x", "x" * 3000 + "@x":
        path = f"/mock/personas/{quote(login, safe='')}"
        assert agent.request("PUT", path, json_body={}).status == 201, login
        assert agent.request("DELETE", path).status == 204, login
    for raw in "%ff@x", "%ed%a0%80@x", "nobody", "%00", "@":
        assert 400 <= agent.request("PUT", f"/mock/personas/{raw}", json_body={"first_name": 5}).status < 500
