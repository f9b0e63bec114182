"""What holds for every input: no mangled token passes, no event breaks the function.

FUZZ_EXAMPLES=20000 tries so many events, other ones at each run; without it there are a few, the same each time.
"""

import io
import json
import os
import string
import subprocess
import sys
from base64 import b64encode
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import urlencode

import pytest
from calling import rest_event, settings_of
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

PACKAGE = Path(__file__).parents[1] / "messages"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "600"))

# A busy machine is slow, and no property here is about time.
calm = settings(
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="FUZZ_EXAMPLES" not in os.environ,
)

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


@pytest.mark.parametrize("text", ["""'[' * 17 + '"' + '\\\\"' * 500_000""", """'[' * 17 + '"a' * 500_000"""])
def test_strict_json_looks_at_each_character_once(text):
    """A body is read before its token: a text whose reading costs its length squared would be a weapon."""
    code = f"from messages import strict_json; strict_json.read(({text}).encode())"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE, capture_output=True, text=True, timeout=60, check=False
    )
    assert "NotStrictJson: too_deep" in ended.stderr


# Events

# Hypothesis' own text leaves lone surrogates out; an event's JSON can hold them.
texts = st.text() | st.text(st.characters()) | st.text('\x00\x1b\r\n\ud800\udfff\u202e%&=+;,"\\é ', max_size=12)
odd_values = texts | st.none() | json_values | st.just("9" * 5000) | st.just("[" * 3000) | st.just("x" * 70_000)
methods = st.sampled_from(["GET", "POST", "DELETE", "OPTIONS", "HEAD", "get", "", "PUT"]) | odd_values
header_names = st.sampled_from(["Content-Type", "content-type", "Authorization", "Origin", "origin", "Cookie"]) | texts
tokens = (
    st.sampled_from([GOOD[0], GOOD[-1], f"{GOOD[0]}x", "x", "a.b.c", "é.é.é", "\ud800.x.x", "A" * 9000, ".." * 4096])
    | texts
)
media_types = st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "application/json",
        "application/json; charset=UTF-8",
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="b"',
    ]
)
content_types = st.one_of(
    media_types,
    st.sampled_from(["text/plain", "multipart/form-data", "multipart/form-data; boundary="]),
    st.builds("{}{}".format, media_types, texts),
    st.builds("{}; charset={}".format, media_types, texts),
    st.builds("multipart/form-data; boundary={}".format, texts),
)
header_values = (
    content_types
    | tokens.map("Bearer {}".format)
    | st.sampled_from(["http://localhost:8080", "https://app.example", "null", "Bearer", "Basic eDp4"])
    | odd_values
)
field_names = st.sampled_from(["token", "access_token", "message", "id", "limit", "cursor"]) | texts
field_values = (
    tokens
    | st.sampled_from(["hi", "", " ", "50", "0", "101", "-1", "1e2", "٣", "MTIz", "A" * 67, "é" * 2049, "one"])
    | texts
)
pairs = st.lists(st.tuples(field_names, field_values), max_size=4)


def utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def as_form(fields) -> bytes:
    return urlencode([(utf8(name), utf8(value)) for name, value in fields]).encode()


def as_json_text(fields) -> bytes:
    """An object that may hold a name twice, and lone surrogates by their escapes."""
    return b"{%s}" % b",".join(b"%s:%s" % (json.dumps(n).encode(), json.dumps(v).encode()) for n, v in fields)


def as_multipart(fields) -> bytes:
    parts = (b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (utf8(n), utf8(v)) for n, v in fields)
    return b"".join(parts) + b"--b--\r\n"


raw_bodies = (
    st.builds(as_form, pairs)
    | st.builds(as_json_text, pairs)
    | st.builds(as_multipart, pairs)
    | st.binary(max_size=300)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"[" * 5000, b'{"limit":1' + b"0" * 5000 + b"}", b'{"message":"\\ud800"}', b"%", b"=&="])
)
bodies = raw_bodies.map(lambda raw: b64encode(raw).decode()) | raw_bodies.map(lambda raw: raw.decode("latin-1"))
contexts = st.fixed_dictionaries(
    {},
    optional={
        "requestId": odd_values,
        "http": st.fixed_dictionaries({}, optional={"method": methods}) | json_values,
        "elb": json_values,
    },
)
lists = st.lists(header_values, max_size=3)
parts = {
    "version": st.sampled_from(["1.0", "2.0"]) | json_values,
    "httpMethod": methods,
    "headers": st.dictionaries(header_names, header_values, max_size=4) | json_values,
    "multiValueHeaders": st.dictionaries(header_names, lists | json_values, max_size=4) | json_values,
    "queryStringParameters": st.dictionaries(field_names, field_values | st.none(), max_size=3) | json_values,
    "multiValueQueryStringParameters": st.dictionaries(field_names, lists | json_values, max_size=3) | json_values,
    "rawQueryString": st.builds(as_form, pairs).map(bytes.decode) | odd_values,
    "requestContext": contexts | json_values,
    "body": bodies | odd_values,
    "isBase64Encoded": st.booleans() | json_values,
}
events = st.fixed_dictionaries({}, optional=parts)

# Events that differ from a page's in a place or two only come further than ones that are odd everywhere.
as_text = st.sampled_from(
    [lambda raw: (b64encode(raw).decode(), True), lambda raw: (raw.decode(errors="surrogateescape"), False)]
)
written = st.sampled_from(
    [
        ("application/x-www-form-urlencoded", as_form),
        ("application/json", as_json_text),
        ("multipart/form-data; boundary=b", as_multipart),
    ]
)
contents = st.one_of(
    st.builds(lambda kind, fields, text: (kind[0], *text(kind[1](fields))), written, pairs, as_text),
    st.tuples(content_types, bodies, st.booleans()),
)
authorizations = st.none() | st.just(f"Bearer {GOOD[0]}") | tokens.map("Bearer {}".format)
origins = st.none() | st.sampled_from(["http://localhost:8080", "https://app.example", "https://evil.example"])


@st.composite
def page_events(draw) -> dict:
    """A REST API's event or an HTTP API's, of which a member may be lacking."""
    content_type, body, is_base64 = draw(contents)
    sent = {"Content-Type": content_type, "Authorization": draw(authorizations), "Origin": draw(origins)}
    headers = {name: value for name, value in sent.items() if value is not None}
    method, query = draw(st.sampled_from(["POST", "POST", "GET", "DELETE", "OPTIONS"])), draw(pairs | st.just([]))
    event = {"body": body, "isBase64Encoded": is_base64}
    if draw(st.booleans()):
        event |= {
            "version": "2.0",
            "headers": {name.lower(): value for name, value in headers.items()},
            "rawQueryString": as_form(query).decode(),
            "requestContext": {"http": {"method": method}, "requestId": "request-1"},
        }
    else:
        event |= {
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": dict(query) or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in query} or None,
            "requestContext": {"requestId": "request-1"},
        }
    event.pop(draw(st.sampled_from(["", "", *event])), None)
    return event


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


def answer_to(function: Function, event: object) -> dict:
    """Call the function, and check what holds of every answer: API Gateway can pass it on, and it is no 5xx."""
    with redirect_stdout(io.StringIO()) as log:
        answer = function(event, None)
    # As Lambda's runtime sends it on: a lone surrogate has no UTF-8.
    json.dumps(answer, ensure_ascii=False).encode()
    assert type(answer["statusCode"]) is int
    assert answer["statusCode"] in {200, 204, 400, 401, 404, 405, 409, 413, 415}
    assert answer["isBase64Encoded"] is False
    assert isinstance(answer["body"], str)
    headers = answer["headers"] if "headers" in answer else {n: v for n, (v,) in answer["multiValueHeaders"].items()}
    for name, value in headers.items():
        assert isinstance(value, str)
        assert (name + value).isascii()
        assert (name + value).isprintable()
    assert headers["Vary"] == "Origin"
    assert headers.get("Access-Control-Allow-Origin") in {None, "http://localhost:8080", "https://app.example"}
    if answer["body"]:
        body = json.loads(answer["body"])
        assert ("messages" in body) == (answer["statusCode"] == 200)
        assert ("error" in body) == (answer["statusCode"] != 200)
    (line,) = log.getvalue().splitlines()
    assert "failure" not in json.loads(line)
    assert not any(token in line for token in GOOD)
    return answer


@settings(calm, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(event=page_events() | page_events() | events | json_values)
@example({"httpMethod": "POST", "headers": {"Content-Type": "application/json\x00"}, "body": "{}"})
@example({"httpMethod": "POST", "headers": {"Content-Type": None, "Origin": None}, "multiValueHeaders": None})
@example({"httpMethod": "POST", "headers": {"content-type": "application/json"}, "body": '{"message":"\ud800"}'})
@example({"version": "2.0", "rawQueryString": "id=%ed%a0%80\ud800", "requestContext": {"http": {"method": "GET"}}})
def test_no_event_breaks_the_function(function, event):
    """Odd in one place or in every one: a proper answer, its CORS headers there, and no token in the log."""
    answer_to(function, event)


@settings(calm, suppress_health_check=[HealthCheck.too_slow])
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
    assert answer_to(function, event)["statusCode"] in {200, 400}


@settings(
    calm,
    max_examples=max(60, EXAMPLES // 20),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    kind=written,
    method=st.sampled_from(["POST", "POST", "GET", "DELETE"]),
    fields=st.dictionaries(st.sampled_from(["message", "message", "id", "limit", "cursor"]), field_values, max_size=4),
)
def test_no_field_breaks_the_table(environment, alice, kind, method, fields):
    """What the table would refuse is the caller's mistake: a 400, never a 503."""
    headers = {"Content-Type": kind[0], "Authorization": f"Bearer {alice}"}
    event = rest_event(method, headers=headers, query=fields if method != "POST" else {})
    body = b64encode(kind[1](fields.items())).decode() if method == "POST" else None
    answer_to(Function(environment), event | {"body": body, "isBase64Encoded": True})
