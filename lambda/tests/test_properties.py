"""What holds for every input: no mangled token passes, no event breaks the function."""

import json
import string
from base64 import b64encode

import pytest
from calling import settings_of
from forgery.catalogue import ALPHABET
from forgery.issuer import AUDIENCE, CLIENT_ID, ISSUER, Issuer, as_json, b64
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from messages import base64url, strict_json
from messages.app import Function
from messages.board import Message, NoSuchMessage, Page
from messages.keys import KeySet
from messages.tokens import TokenPolicy, TokenRefused, Verifier

SIGNER = Issuer()
POLICY = TokenPolicy(issuer=ISSUER, audience=AUDIENCE, client_ids=frozenset({CLIENT_ID}))
VERIFIER = Verifier(policy=POLICY, keys=KeySet.from_json(SIGNER.jwks()))
GOOD = [SIGNER.token(alg) for alg in SIGNER.keys]
for good in GOOD:
    VERIFIER.verify(good, now=SIGNER.now)

# A busy machine is slow, and no property here is about time.
calm = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow], derandomize=True)

good_tokens = st.sampled_from(GOOD)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def refused(token: str) -> bool:
    try:
        VERIFIER.verify(token, now=SIGNER.now)
    except TokenRefused:
        return True
    return False


@calm
@given(good_tokens, st.data())
def test_any_changed_character_is_refused(token, data):
    """Not one text beside the issuer's own passes for it."""
    position = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from(ALPHABET + ".=+/ \n") | st.characters())
    assume(character != token[position])
    assert refused(token[:position] + character + token[position + 1 :])


@pytest.mark.parametrize("token", GOOD)
def test_every_flipped_bit_of_the_decoded_parts_is_refused(token):
    """Each bit of header, payload and signature counts."""
    parts = [base64url.decode(part.encode()) for part in token.split(".")]
    for index, part in enumerate(parts):
        for position in range(len(part)):
            changed = bytearray(part)
            changed[position] ^= 1 << (position % 8)
            mangled = [*parts]
            mangled[index] = bytes(changed)
            assert refused(".".join(b64(raw) for raw in mangled))


@calm
@given(good_tokens, st.data())
def test_any_inserted_text_is_refused(token, data):
    position = data.draw(st.integers(0, len(token)))
    text = data.draw(st.text(ALPHABET + ".= \r\n\t\0", min_size=1, max_size=5) | st.text(min_size=1, max_size=5))
    assert refused(token[:position] + text + token[position:])


@calm
@given(good_tokens, st.data())
def test_any_removed_part_is_refused(token, data):
    start = data.draw(st.integers(0, len(token) - 1))
    end = data.draw(st.integers(start + 1, len(token)))
    assert refused(token[:start] + token[end:])


@calm
@given(st.sampled_from(range(len(GOOD))), st.sampled_from(range(len(GOOD))), st.integers(0, 6))
def test_parts_of_different_tokens_do_not_mix(one, other, mask):
    assume(one != other)
    left, right = GOOD[one].split("."), GOOD[other].split(".")
    mixed = ".".join(right[part] if mask >> part & 1 else left[part] for part in range(3))
    assume(mixed not in GOOD)
    assert refused(mixed)


@calm
@given(st.text() | st.text(ALPHABET + "."))
@example("a.a.a")
@example("...")
def test_no_text_breaks_the_verifier(text):
    assert refused(text)


@calm
@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "cid", "scp", "sub", "jti"]), json_values))
def test_claims_of_any_shape_are_refused_or_right(changes):
    """Signed by the issuer, whatever it says: believed only if it says what it must."""
    payload = json.dumps(SIGNER.claims() | changes).encode()
    token = SIGNER.sign(as_json(SIGNER.header("EdDSA")), payload, alg="EdDSA")
    try:
        verified = VERIFIER.verify(token, now=SIGNER.now)
    except TokenRefused:
        return
    claims = SIGNER.claims() | changes
    assert verified.issuer == claims["iss"] == ISSUER
    assert claims["aud"] == AUDIENCE or AUDIENCE in claims["aud"]
    assert verified.subject == claims["sub"] != ""
    assert claims["exp"] > SIGNER.now - POLICY.leeway_s


@calm
@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]) | st.text(), json_values))
def test_headers_of_any_shape_are_refused_or_right(changes):
    header = SIGNER.header("EdDSA") | changes
    assume(set(header) - {"alg", "kid", "typ"} or header != SIGNER.header("EdDSA") | {"typ": header.get("typ")})
    token = SIGNER.sign(json.dumps(header).encode(), as_json(SIGNER.claims()), alg="EdDSA")
    try:
        VERIFIER.verify(token, now=SIGNER.now)
    except TokenRefused:
        return
    assert {key: header[key] for key in header if key != "typ"} == SIGNER.header("EdDSA")


@calm
@given(st.binary(max_size=200))
def test_base64url_decodes_what_was_encoded(raw):
    assert base64url.decode(b64(raw).encode()) == raw


@calm
@given(st.text(ALPHABET + "+/= \n", max_size=40))
def test_base64url_has_one_text_for_each_value(text):
    """Whatever decodes encodes back to itself."""
    try:
        raw = base64url.decode(text.encode())
    except ValueError:
        return
    assert b64(raw) == text


@calm
@given(json_values)
def test_strict_json_reads_as_json_does(value):
    text = json.dumps(value, ensure_ascii=False)
    try:
        read = strict_json.read(text.encode())
    except (strict_json.NotStrictJson, UnicodeEncodeError):
        assume(False)
    assert read == json.loads(text)


@calm
@given(st.binary(max_size=100) | st.text(string.printable).map(str.encode) | st.text('[]{}",:0e-\\u ').map(str.encode))
def test_strict_json_refuses_or_agrees_with_json(raw):
    try:
        read = strict_json.read(raw)
    except strict_json.NotStrictJson:
        return
    assert read == json.loads(raw)


# Events

methods = st.sampled_from(["GET", "POST", "DELETE", "OPTIONS", "HEAD", "get", "", "PUT"]) | st.text() | json_values
header_names = (
    st.sampled_from(["Content-Type", "content-type", "Authorization", "Origin", "origin", "Cookie"]) | st.text()
)
header_values = (
    st.sampled_from(
        [
            "application/x-www-form-urlencoded",
            "application/json",
            "multipart/form-data; boundary=b",
            "text/plain",
            "http://localhost:8080",
            f"Bearer {GOOD[0]}",
            "Bearer x",
        ]
    )
    | st.text()
    | json_values
)
bodies = (
    st.sampled_from([f"token={GOOD[0]}", "token=x&message=y", "{}", "%", '{"message":"x"}', "--b\r\n\r\n--b--"])
    | st.text()
    | json_values
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "requestId": st.text() | json_values,
        "http": st.fixed_dictionaries({}, optional={"method": methods}) | json_values,
        "elb": json_values,
    },
)
events = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["1.0", "2.0"]) | json_values,
        "httpMethod": methods,
        "headers": st.dictionaries(header_names, header_values, max_size=4) | json_values,
        "multiValueHeaders": st.dictionaries(
            header_names, st.lists(header_values, max_size=3) | json_values, max_size=4
        )
        | json_values,
        "queryStringParameters": st.dictionaries(st.text(), json_values, max_size=3) | json_values,
        "multiValueQueryStringParameters": st.dictionaries(st.text(), json_values, max_size=3) | json_values,
        "rawQueryString": st.text() | json_values,
        "requestContext": contexts | json_values,
        "body": bodies,
        "isBase64Encoded": st.booleans() | json_values,
    },
)


class EmptyBoard:
    """Takes everything and keeps nothing: thousands of events need no table."""

    def post(self, *, author, text, message_id, now):
        return Message(id=message_id or "made", author=author, text=text, created_at="", place="")

    def page(self, *, limit, cursor):
        return Page((), None)

    def delete(self, *, author, message_id):
        raise NoSuchMessage


@pytest.fixture(scope="module")
def function() -> Function:
    return Function(settings_of(SIGNER), open_board=lambda _: EmptyBoard(), clock=lambda: SIGNER.now)


@settings(calm, max_examples=600, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(event=events | json_values)
def test_no_event_breaks_the_function(function, event):
    """Every event has an answer that API Gateway can pass on, and none of them is a 500."""
    answer = function(event, None)
    json.dumps(answer)
    assert answer["statusCode"] in {200, 204, 400, 401, 404, 405, 413, 415}
    if answer["body"]:
        body = json.loads(answer["body"])
        assert ("messages" in body) == (answer["statusCode"] == 200)
        assert ("error" in body) == (answer["statusCode"] != 200)


@settings(calm, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=500), kind=st.sampled_from(["form", "json", "multipart"]))
def test_no_body_breaks_the_function(function, body, kind):
    types = {
        "form": "application/x-www-form-urlencoded",
        "json": "application/json",
        "multipart": "multipart/form-data; boundary=b",
    }
    event = {
        "httpMethod": "POST",
        "headers": {"Content-Type": types[kind], "Authorization": f"Bearer {GOOD[0]}"},
        "body": b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    assert function(event, None)["statusCode"] in {200, 400}
