"""Keys by URL: rotations, outages and floods, against a real HTTP server."""

import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from calling import Caller, settings_of
from forgery.issuer import Issuer, Key, as_json, rsa_key

from messages.app import Function
from messages.keys import KeySet, KeysUnavailable
from messages.remote_keys import FRESH_S, RETRY_S, STALE_S, UNKNOWN_KEY_PAUSE_S, RemoteKeys, fetch

OLD = Key("RS256", rsa_key(name="old"))
NEW = Key("RS256", rsa_key(name="new"))
NEXT = Key("RS256", rsa_key(name="next"))


class JwksServer:
    """Serves whatever it is told to, and counts."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        self.requests = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def publish(self, *keys: Key) -> None:
        self.status, self.body = 200, as_json({"keys": [key.members for key in keys]})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def jwks() -> Iterator[JwksServer]:
    server = JwksServer()
    server.publish(OLD)
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(jwks: JwksServer, clock: Clock) -> RemoteKeys:
    return RemoteKeys(jwks.url, seed=None, clock=clock)


def test_set_is_read_once_for_many_tokens(keys, jwks):
    assert all(keys.find(OLD.kid) for _ in range(100))
    assert jwks.requests == 1


def test_rotation_with_overlap_refuses_nothing(keys, jwks):
    """The issuer adds a key, signs with it, and only then withdraws the old one."""
    assert keys.find(OLD.kid)
    jwks.publish(OLD, NEW)
    assert keys.find(NEW.kid)
    assert keys.find(OLD.kid)
    assert jwks.requests == 2


def test_unknown_keys_cause_one_request_a_minute(keys, jwks, clock):
    """Whatever callers send, the issuer is not flooded."""
    keys.find(OLD.kid)
    assert not any(keys.find(f"unknown {number}") for number in range(1000))
    assert jwks.requests == 2
    clock.seconds += UNKNOWN_KEY_PAUSE_S
    assert keys.find("unknown") is None
    assert jwks.requests == 3


def test_second_rotation_is_seen_after_the_pause(keys, jwks, clock):
    keys.find(OLD.kid)
    jwks.publish(OLD, NEW)
    assert keys.find(NEW.kid)
    jwks.publish(NEW, NEXT)
    assert keys.find(NEXT.kid) is None
    clock.seconds += UNKNOWN_KEY_PAUSE_S
    assert keys.find(NEXT.kid)


def test_withdrawn_key_goes_when_the_set_has_grown_old(keys, jwks, clock):
    keys.find(OLD.kid)
    jwks.publish(NEW)
    clock.seconds += FRESH_S
    assert keys.find(OLD.kid) is None
    assert keys.find(NEW.kid)


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (200, b"<html>"), (404, b"{}"), (200, b'{"keys":[]}'), (200, b"x" * 300_000)]
)
def test_stale_set_serves_while_the_issuer_fails(keys, jwks, clock, status, body):
    keys.find(OLD.kid)
    jwks.status, jwks.body = status, body
    clock.seconds += FRESH_S
    assert keys.find(OLD.kid)
    assert keys.find("unknown") is None


def test_stale_set_does_not_serve_for_ever(keys, jwks, clock):
    keys.find(OLD.kid)
    jwks.status = 500
    clock.seconds += STALE_S
    with pytest.raises(KeysUnavailable):
        keys.find(OLD.kid)


def test_failing_issuer_is_asked_again_after_a_pause_only(keys, jwks, clock):
    jwks.status = 500
    for _ in range(10):
        with pytest.raises(KeysUnavailable):
            keys.find(OLD.kid)
    assert jwks.requests == 1
    jwks.publish(OLD)
    clock.seconds += RETRY_S
    assert keys.find(OLD.kid)


def test_many_threads_cause_one_request(keys, jwks):
    """A cold start under load asks the issuer once."""
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: keys.find(OLD.kid), range(64)))
    assert jwks.requests == 1


def test_many_threads_with_a_new_key_cause_one_request_more(keys, jwks):
    keys.find(OLD.kid)
    jwks.publish(OLD, NEW)
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: keys.find(NEW.kid), range(64)))
    assert jwks.requests == 2


def test_seed_spares_the_first_request(jwks, clock):
    keys = RemoteKeys(jwks.url, seed=KeySet.from_json(as_json({"keys": [OLD.members]})), clock=clock)
    assert keys.find(OLD.kid)
    assert jwks.requests == 0


def test_redirect_is_not_followed(jwks):
    jwks.status, jwks.headers = 302, {"Location": "http://127.0.0.1:9/elsewhere"}
    with pytest.raises(OSError, match="302"):
        fetch(jwks.url)


def test_key_set_with_a_private_key_is_not_taken(keys, jwks):
    jwks.body = as_json({"keys": [OLD.members | {"d": "AQ"}]})
    with pytest.raises(KeysUnavailable):
        keys.find(OLD.kid)


def test_function_answers_503_while_it_has_no_keys(jwks, issuer):
    jwks.status = 500
    function = Function(settings_of(issuer, OKTA_KEYS="", OKTA_KEYS_URL=jwks.url))
    reply = Caller(function).form(token=issuer.token(), message="hi")
    assert (reply.status, reply.error) == (503, "keys_unavailable")


def test_function_refuses_a_forged_token_with_keys_by_url(jwks, issuer: Issuer, table):
    jwks.body = issuer.jwks()
    function = Function(settings_of(issuer, OKTA_KEYS="", OKTA_KEYS_URL=jwks.url, MESSAGES_TABLE=table))
    caller = Caller(function)
    assert caller.form(token=issuer.token(), message="hi").status == 200
    forged = issuer.sign(as_json(issuer.header()), as_json(issuer.claims()), signer=NEW.sign)
    assert caller.form(token=forged, message="hi").status == 401
