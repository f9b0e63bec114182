"""Why a token was refused: told check by check to trusted networks, and to nobody else."""

import itertools
import json
from urllib.parse import urlencode

import pytest
from calling import Caller, Reply, rest_event, settings_of
from forgery.catalogue import Hostile, catalogue
from forgery.issuer import AUDIENCE, CLIENT_ID, ISSUER, Issuer

from messages.app import Function
from messages.keys import KeySet
from messages.settings import ConfigurationError, Settings
from messages.tokens import Check, TokenPolicy, TokenRefused, Verifier

SIGNER = Issuer()
HOSTILE = catalogue(SIGNER)
LOOPBACK = "127.0.0.0/8,::1/128"

# Claims, each wrong in one way, in the order in which the function looks at them.
WRONG_CLAIMS = {
    "issuer": {"iss": "https://other.example"},
    "expiry": {"exp": SIGNER.now - 3600},
    "not_before": {"nbf": SIGNER.now + 3600},
    "issued_at": {"iat": SIGNER.now + 3600},
    "audience": {"aud": "api://another"},
    "kind": {"token_use": "id"},
    "client": {"cid": "0oaanother"},
    "subject": {"sub": ""},
    "scope": {"scp": ["openid"]},
}


def function_with(**settings: str) -> Caller:
    def no_board(_: Settings):
        raise AssertionError("the board was opened before a token had passed")

    environment = settings_of(SIGNER, OKTA_SCOPE="messages", **settings)
    return Caller(Function(environment, open_board=no_board, clock=lambda: SIGNER.now))


@pytest.fixture(scope="module")
def explaining() -> Caller:
    return function_with(EXPLAIN_REFUSALS_TO=LOOPBACK)


def ask(caller: Caller, token: str | None, *, source: str | None = "127.0.0.1", forwarded: str | None = None) -> Reply:
    """Send a token as API Gateway does for a caller at `source`, through proxies that name `forwarded`."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    event = rest_event("GET", headers=headers | ({"X-Forwarded-For": forwarded} if forwarded else {}))
    event["requestContext"]["identity"] = {"sourceIp": source} if source else {}
    return caller.event(event)


def checks(reply: Reply) -> dict[str, dict]:
    return {check["check"]: check for check in reply.json["checks"]}


def failed(reply: Reply) -> dict:
    (one,) = [check for check in reply.json["checks"] if check["outcome"] == "failed"]
    return one


def test_wrong_audience_is_told_with_what_was_expected_and_what_was_there(explaining):
    reply = ask(explaining, SIGNER.token(aud="api://another"))
    assert reply.status == 401
    assert failed(reply) == {
        "check": "audience",
        "text": "It is meant for this API (aud).",
        "outcome": "failed",
        "reason": "wrong_audience",
        "expected": "api://default",
        "got": "api://another",
    }
    assert checks(reply)["signature"] == {
        "check": "signature",
        "text": "The key verifies its signature.",
        "outcome": "done",
    }
    assert checks(reply)["scope"]["outcome"] == "not_reached"


def test_missing_scope_is_told_with_its_403(explaining):
    reply = ask(explaining, SIGNER.token(scp=["openid", "profile"]))
    assert (reply.status, reply.error) == (403, "insufficient_scope")
    assert (failed(reply)["expected"], failed(reply)["got"]) == ("messages", "openid profile")
    assert {check["outcome"] for check in reply.json["checks"][:-1]} == {"done"}


def test_request_without_a_token_reaches_no_other_check(explaining):
    reply = ask(explaining, None)
    assert (reply.status, reply.error) == (401, "missing_token")
    assert [check["outcome"] for check in reply.json["checks"]] == ["failed", *["not_reached"] * (len(Check) - 1)]
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_missing_claim_is_told_as_nothing(explaining):
    assert failed(ask(explaining, SIGNER.token(aud=None)))["got"] is None


def test_unknown_key_is_told_with_the_ones_that_are_known(explaining):
    found = failed(ask(explaining, SIGNER.with_header(kid="rotated")))
    assert (found["check"], found["got"]) == ("key", "rotated")
    assert SIGNER.keys["RS256"].kid in found["expected"]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.id)
def test_every_hostile_token_fails_one_check_and_shows_no_part_of_itself(explaining: Caller, case: Hostile):
    """Checks before it are done, those after it not reached; the reason is the log's; no part of the token is told."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    event = rest_event("POST", headers=headers, body=urlencode({"token": case.token}))
    event["requestContext"]["identity"] = {"sourceIp": "127.0.0.1"}
    reply = explaining.event(event)
    outcomes = [check["outcome"] for check in reply.json["checks"]]
    at = outcomes.index("failed")
    assert outcomes == ["done"] * at + ["failed"] + ["not_reached"] * (len(Check) - at - 1)
    assert failed(reply)["reason"] == case.code
    assert failed(reply)["expected"]
    told = reply.event["body"]
    assert not [part for part in case.token.split(".") if len(part) > 12 and part in told]
    assert len(told) < 8000


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(WRONG_CLAIMS, 2)))
def test_checks_are_listed_in_the_order_in_which_they_are_made(explaining, first, second):
    """Of two faults the one listed first is found, so what is listed as done was done."""
    token = SIGNER.token(**WRONG_CLAIMS[second] | WRONG_CLAIMS[first])
    assert failed(ask(explaining, token))["check"] == first


@pytest.mark.parametrize(
    ("header", "check"),
    [
        ({"alg": "none", "typ": "dpop+jwt", "kid": "other"}, "algorithm"),
        ({"typ": "dpop+jwt", "kid": ""}, "type"),
        ({"typ": "dpop+jwt", "kid": "other"}, "type"),
        ({"kid": "other"}, "key"),
        ({"jwk": {}, "alg": "none"}, "header"),
    ],
)
def test_checks_of_the_header_are_listed_in_their_order(explaining, header, check):
    token = SIGNER.sign(json.dumps(SIGNER.header() | header).encode(), b"{}")
    assert failed(ask(explaining, token))["check"] == check


# Who is told


@pytest.mark.parametrize("source", ["203.0.113.7", "10.0.0.1", "::2", "::ffff:203.0.113.7", "localhost", "", None])
def test_stranger_learns_no_more_than_rfc_6750_allows(explaining, source):
    """Whoever is outside of the networks, or of no known address, gets the answer that everybody gets."""
    told = ask(explaining, SIGNER.token(aud="api://another"), source=source)
    usual = ask(function_with(), SIGNER.token(aud="api://another"), source=source)
    assert told.event == usual.event
    assert set(told.json) == {"error", "error_description"}


@pytest.mark.parametrize("forwarded", ["203.0.113.7", "127.0.0.1, 203.0.113.7", "203.0.113.7, 127.0.0.1", "unknown"])
def test_stranger_behind_a_proxy_of_this_machine_is_a_stranger(explaining, forwarded):
    """LocalStack says 127.0.0.1 of everybody, and the truth in X-Forwarded-For: every address has to be trusted."""
    assert "checks" not in ask(explaining, SIGNER.token(aud="api://another"), forwarded=forwarded).json


@pytest.mark.parametrize("source", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_told(explaining, source):
    assert ask(explaining, SIGNER.token(aud="api://another"), source=source, forwarded=source).json["checks"]


def test_caller_is_found_in_events_of_the_other_shapes(explaining):
    """HTTP APIs and Function URLs name the caller elsewhere; a load balancer only in X-Forwarded-For."""
    headers = {"authorization": f"Bearer {SIGNER.token(aud='api://another')}"}
    context = {"http": {"method": "GET", "sourceIp": "127.0.0.1"}}
    http = {"version": "2.0", "headers": headers, "requestContext": context}
    assert "checks" in explaining.event(http).json
    context["http"]["sourceIp"] = "203.0.113.7"
    assert "checks" not in explaining.event(http).json
    headers["x-forwarded-for"] = "127.0.0.1"
    balancer = {"httpMethod": "GET", "requestContext": {"elb": {}}, "headers": headers}
    assert "checks" in explaining.event(balancer).json
    headers["x-forwarded-for"] = "203.0.113.7"
    assert "checks" not in explaining.event(balancer).json


def test_nobody_is_told_unless_a_network_is_named():
    assert Settings.from_environment(settings_of(SIGNER)).explain_refusals_to == ()


@pytest.mark.parametrize("value", ["yes", "127.0.0.1/33", "127.0.0.1/8", "localhost"])
def test_wrong_network_is_refused_by_name(value):
    with pytest.raises(ConfigurationError, match=r"EXPLAIN_REFUSALS_TO: .+"):
        Settings.from_environment(settings_of(SIGNER, EXPLAIN_REFUSALS_TO=value))


def test_refusal_says_which_check_failed():
    policy = TokenPolicy(issuer=ISSUER, audience=AUDIENCE, client_ids=frozenset({CLIENT_ID}))
    with pytest.raises(TokenRefused) as refused:
        Verifier(policy=policy, keys=KeySet.from_json(SIGNER.jwks())).verify(SIGNER.token(cid="x"), now=SIGNER.now)
    assert (refused.value.check, refused.value.expected, refused.value.got) == (Check.CLIENT, CLIENT_ID, "x")
