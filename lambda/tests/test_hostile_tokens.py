"""Every token of the catalogue is refused, for its own reason; every unusual but right one is accepted."""

import pytest
from calling import Caller, settings_of
from forgery.benign import variants
from forgery.catalogue import Hostile, catalogue
from forgery.issuer import AUDIENCE, CLIENT_ID, ISSUER, Issuer

from messages.app import Function
from messages.keys import KeySet
from messages.tokens import Refusal, TokenPolicy, TokenRefused, Verifier

SIGNER = Issuer()
HOSTILE = catalogue(SIGNER)
BENIGN = list(variants(SIGNER))

SENTENCE = "The access token is expired, revoked, malformed, or invalid for other reasons. Sign in again."
POLICY = TokenPolicy(issuer=ISSUER, audience=AUDIENCE, client_ids=frozenset({CLIENT_ID}))


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier(policy=POLICY, keys=KeySet.from_json(SIGNER.jwks()))


@pytest.fixture(scope="module")
def closed_function() -> Function:
    """A configured function whose table nobody may reach: a refused token never gets that far."""

    def no_board(settings):
        raise AssertionError("the board was opened before a token had passed")

    return Function(settings_of(SIGNER), open_board=no_board, clock=lambda: SIGNER.now)


def test_catalogue_holds_more_than_three_hundred_distinct_cases():
    assert len({case.id for case in HOSTILE}) == len(HOSTILE) >= 300
    assert len({case.token for case in HOSTILE}) >= 300
    assert all(case.why for case in HOSTILE)


def test_every_reason_to_refuse_has_a_case():
    """But for those that need a policy of their own, which are tested beside it."""
    assert {case.code for case in HOSTILE} | {"too_old", "insufficient_scope"} == set(Refusal)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.id)
def test_hostile_token_is_refused_for_its_own_reason(verifier: Verifier, case: Hostile):
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(case.token, now=SIGNER.now)
    assert refused.value.refusal == case.code


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.id)
def test_hostile_token_is_answered_with_401_and_no_more(closed_function: Function, case: Hostile, capsys):
    """The caller learns nothing of the reason; the log has it, and not the token."""
    caller = Caller(closed_function)
    for reply in (caller.form(token=case.token, message="hi"), caller.form(access_token=case.token)):
        assert reply.status == 401
        assert reply.json == {"error": "invalid_token", "error_description": SENTENCE}
        assert reply.headers["WWW-Authenticate"] == f'Bearer error="invalid_token", error_description="{SENTENCE}"'
    lines = capsys.readouterr().out
    assert f'"Verdict":"{case.code}"' in lines
    assert len(case.token) < 8 or case.token not in lines


@pytest.mark.parametrize(("name", "token"), BENIGN, ids=[name for name, _ in BENIGN])
def test_unusual_but_right_token_is_accepted(verifier: Verifier, name: str, token: str):
    verified = verifier.verify(token, now=SIGNER.now)
    assert verified.issuer == ISSUER
    assert verified.client_id == CLIENT_ID


def test_verified_claims_come_out_as_one_object(verifier: Verifier):
    now = SIGNER.now
    verified = verifier.verify(SIGNER.token(exp=now + 60, iat=now), now=now)
    assert verified.subject == "alice@example.com"
    assert verified.scopes == {"openid", "profile", "messages"}
    assert (verified.expires_at, verified.issued_at) == (now + 60, now)


def verifier_with(**changes) -> Verifier:
    base = {"issuer": ISSUER, "audience": AUDIENCE, "client_ids": frozenset({CLIENT_ID})}
    return Verifier(policy=TokenPolicy(**(base | changes)), keys=KeySet.from_json(SIGNER.jwks()))


def refusal_of(verifier: Verifier, token: str, now: float | None = None) -> str:
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(token, now=SIGNER.now if now is None else now)
    return refused.value.refusal


def test_leeway_is_exact_to_the_second():
    """Accepted until the second before exp + leeway, and from nbf - leeway."""
    verifier = verifier_with(leeway_s=30)
    token = SIGNER.token(exp=1_000_000, nbf=900_000, iat=900_000)
    assert verifier.verify(token, now=1_000_029.9)
    assert refusal_of(verifier, token, now=1_000_030) == "expired"
    assert verifier.verify(token, now=899_970)
    assert refusal_of(verifier, token, now=899_969.9) == "not_yet_valid"


def test_expired_token_is_refused_before_its_audience_is_looked_at():
    assert refusal_of(verifier_with(), SIGNER.token(exp=1, aud="api://other")) == "expired"


def test_maximum_age_needs_iat_and_counts_from_it():
    verifier = verifier_with(max_age_s=600, leeway_s=0)
    now = SIGNER.now
    assert verifier.verify(SIGNER.token(iat=now - 599), now=now)
    assert refusal_of(verifier, SIGNER.token(iat=now - 600), now=now) == "too_old"
    assert refusal_of(verifier, SIGNER.token(iat=None), now=now) == "too_old"


@pytest.mark.parametrize(
    "changes",
    [
        {"scp": ["openid"]},
        {"scp": None},
        {"scp": ["Messages"]},
        {"scp": ["messages2"]},
        {"scp": ["messages openid"]},
        {"scp": None, "scope": "openid"},
        {"scp": None, "scope": "messagesx openid"},
        {"scp": None, "scope": "openid\tmessages"},
    ],
)
def test_required_scope_that_is_missing_is_refused(changes):
    verifier = verifier_with(scopes=frozenset({"messages"}))
    assert refusal_of(verifier, SIGNER.token(**changes)) == "insufficient_scope"


def test_required_scope_is_found_in_scp_and_in_scope():
    verifier = verifier_with(scopes=frozenset({"messages"}))
    assert verifier.verify(SIGNER.token(), now=SIGNER.now)
    assert verifier.verify(SIGNER.token(scp=None, scope="a messages"), now=SIGNER.now)


def test_algorithm_outside_the_configured_list_is_refused_though_a_key_has_it():
    verifier = verifier_with(algorithms=frozenset({"RS256"}))
    assert verifier.verify(SIGNER.token("RS256"), now=SIGNER.now)
    assert refusal_of(verifier, SIGNER.token("ES256")) == "wrong_algorithm"


def test_configured_type_is_the_only_one_taken():
    verifier = verifier_with(token_types=frozenset({"at+jwt"}))
    assert verifier.verify(SIGNER.with_header(typ="application/at+jwt"), now=SIGNER.now)
    assert refusal_of(verifier, SIGNER.with_header(typ="JWT")) == "wrong_type"
    assert refusal_of(verifier, SIGNER.token()) == "wrong_type"


def test_remembered_header_helps_no_other_signature(verifier: Verifier):
    """A header that was seen on a good token is read once; the signature is checked every time."""
    good = SIGNER.token()
    verifier.verify(good, now=SIGNER.now)
    head, payload, signature = good.split(".")
    forged = f"{head}.{payload}.{signature[:-4]}AAAA"
    assert refusal_of(verifier, forged) == "bad_signature"
