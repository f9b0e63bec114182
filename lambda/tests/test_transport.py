"""How a token and a message travel: fields, headers, bodies, origins, and the events that carry them."""

import base64
import json
from pathlib import Path

import pytest
from calling import ORIGIN, Caller, Reply, rest_event, settings_of
from forgery.issuer import Issuer, as_json

from messages.app import Function

SIGNER = Issuer()
TOKEN = SIGNER.token()
FORM = "application/x-www-form-urlencoded"
EVENTS = Path(__file__).parent.parent / "events"


@pytest.fixture(scope="module")
def unreachable() -> Caller:
    """A function whose table does not answer: 503 tells that a request has come as far as the table."""
    return Caller(Function(settings_of(SIGNER)))


def post(body: str | None, content_type: str | None = FORM, **headers: str):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return rest_event("POST", headers=sent | ({"Content-Type": content_type} if content_type else {}), body=body)


# The token


@pytest.mark.parametrize(
    "event",
    [
        post(f"token={TOKEN}"),
        post(f"access_token={TOKEN}"),
        post(None, None, Authorization=f"Bearer {TOKEN}"),
        post("", FORM, Authorization=f"Bearer {TOKEN}"),
        post("message=hi", FORM, authorization=f"bearer {TOKEN}"),
        post("token=&message=hi", FORM, AUTHORIZATION=f"BEARER  {TOKEN}"),
        post(json.dumps({"token": TOKEN}), "application/json"),
        post(json.dumps({"access_token": TOKEN, "message": "hi", "limit": 5}), "application/json; charset=utf-8"),
        rest_event("GET", headers={"Authorization": f"Bearer {TOKEN}"}),
        rest_event("DELETE", headers={"Authorization": f"Bearer {TOKEN}"}, query={"id": "one"}),
        rest_event("DELETE", headers={"Content-Type": FORM}, query={"id": "one"}, body=f"token={TOKEN}"),
    ],
)
def test_token_is_found_wherever_it_may_stand(unreachable, event):
    assert unreachable.event(event).error == "store_unavailable"


@pytest.mark.parametrize(
    "event",
    [
        post(None, None),
        post("message=hi"),
        post("token="),
        post("access_token=&message=hi"),
        post("Token=x"),
        post("message=hi", FORM, Authorization="Bearer"),
        post("message=hi", FORM, Authorization="Bearer   "),
        post("message=hi", FORM, Authorization=f"Basic {TOKEN}"),
        post("message=hi", FORM, Authorization=TOKEN),
        rest_event("GET"),
        rest_event("GET", headers={"Content-Type": FORM}, body=f"token={TOKEN}"),
        rest_event("GET", headers={"Cookie": f"token={TOKEN}"}),
    ],
)
def test_request_without_token_is_401_with_a_bare_challenge(unreachable, event):
    """RFC 6750 section 3.1: without authentication information no error code in the challenge."""
    reply = unreachable.event(event)
    assert (reply.status, reply.error) == (401, "missing_token")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.json["error_description"]


def multi(*values: str):
    event = post("message=hi")
    event["multiValueHeaders"]["Authorization"] = list(values)
    return event


@pytest.mark.parametrize(
    "event",
    [
        post(f"token={TOKEN}&access_token={TOKEN}"),
        post(f"token={TOKEN}&token={TOKEN}"),
        post(f"token=&token={TOKEN}"),
        post(f"token={TOKEN}", FORM, Authorization=f"Bearer {TOKEN}"),
        post(json.dumps({"token": TOKEN}), "application/json", Authorization="Bearer x"),
        multi(f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
        multi(f"Bearer {TOKEN}", "Bearer x"),
        post("message=hi", FORM, Authorization="Bearer x", authorization=f"Bearer {TOKEN}"),
    ],
)
def test_more_than_one_token_is_an_invalid_request(unreachable, event):
    reply = unreachable.event(event)
    assert (reply.status, reply.error) == (400, "invalid_request")
    assert 'error="invalid_request"' in reply.headers["WWW-Authenticate"]


@pytest.mark.parametrize("name", ["token", "access_token"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_token_in_the_url_is_refused_even_beside_a_good_one(unreachable, name, method):
    event = rest_event(method, headers={"Authorization": f"Bearer {TOKEN}"}, query={name: TOKEN})
    reply = unreachable.event(event)
    assert (reply.status, reply.error) == (400, "invalid_request")
    assert "URL" in reply.json["error_description"]


def test_missing_scope_is_403_and_names_it():
    function = Function(settings_of(SIGNER, OKTA_SCOPE="messages:write messages:read"))
    reply = Caller(function).form(token=TOKEN, message="hi")
    assert (reply.status, reply.error) == (403, "insufficient_scope")
    assert 'scope="messages:read messages:write"' in reply.headers["WWW-Authenticate"]


# The body


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("token", "malformed_form"),
        ("token=%zz", "malformed_form"),
        ("token=%4", "malformed_form"),
        ("token=%ff%fe", "malformed_form"),
        ("=&&==&", "malformed_form"),
        ("a=1&&b=2", "malformed_form"),
        ("&".join(f"f{number}=x" for number in range(33)), "malformed_form"),
        ("\x00\x01\x02", "malformed_form"),
    ],
)
def test_malformed_form_is_400(unreachable, body, error):
    reply = unreachable.event(post(body, FORM, Authorization=f"Bearer {TOKEN}"))
    assert (reply.status, reply.error) == (400, error)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        '{"message":1}',
        '{"message":null}',
        '{"message":["a"]}',
        '{"a":"1","a":"2"}',
        '{"limit":1.5}',
        '{"limit":true}',
        '{"message":"\\ud800"}',
        '{"x":NaN}',
        "[" * 5000,
    ],
)
def test_malformed_json_is_400(unreachable, body):
    reply = unreachable.event(post(body, "application/json", Authorization=f"Bearer {TOKEN}"))
    assert (reply.status, reply.error) == (400, "malformed_json")


def multipart(*parts: str, boundary: str = "b0undary") -> str:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"


def field(name: str, value: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'


def test_multipart_form_is_read(call, alice):
    body = multipart(field("token", alice), field("message", "héllo\r\nworld"))
    assert call.event(post(body, "multipart/form-data; boundary=b0undary")).texts == ["héllo\r\nworld"]
    quoted = call.event(post(body, 'Multipart/Form-Data; charset=UTF-8; boundary="b0undary"'))
    assert len(quoted.texts) == 2


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "multipart/form-data; boundary=b"),
        ("x", "multipart/form-data"),
        (multipart(field("token", TOKEN)), "multipart/form-data; boundary=other"),
        (multipart(field("token", TOKEN))[:-6], "multipart/form-data; boundary=b0undary"),
        (multipart("\r\nno name"), "multipart/form-data; boundary=b0undary"),
        (multipart(*[field("a", "1")] * 33), "multipart/form-data; boundary=b0undary"),
        (
            multipart('Content-Disposition: form-data; name="token"; filename="t"\r\n\r\nx'),
            "multipart/form-data; boundary=b0undary",
        ),
    ],
)
def test_malformed_multipart_is_400(unreachable, body, content_type):
    reply = unreachable.event(post(body, content_type, Authorization=f"Bearer {TOKEN}"))
    assert (reply.status, reply.error) == (400, "malformed_form")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/xml",
        "",
        "x",
        "application/octet-stream",
        f"{FORM}; charset=iso-8859-1",
        "application/json; charset=utf-16",
        f"{FORM};",
        f"{FORM}; charset",
        "application/jsonx",
        f"{FORM}, application/json",
    ],
)
def test_other_content_type_is_415(unreachable, content_type):
    event = post(f"token={TOKEN}", None)
    event["multiValueHeaders"]["content-type"] = [content_type]
    reply = unreachable.event(event)
    assert (reply.status, reply.error) == (415, "unsupported_media_type")


def test_body_without_a_content_type_is_415(unreachable):
    assert unreachable.event(post(f"token={TOKEN}", None)).status == 415


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1_000_000])
def test_body_over_64_kib_is_413(unreachable, size):
    for event in (post("m=" + "x" * (size - 2)), post("m=" + "é" * (size // 2))):
        assert unreachable.event(event).status == 413
    event = post(base64.b64encode(b"x" * size).decode()) | {"isBase64Encoded": True}
    assert unreachable.event(event).status == 413


def test_body_of_64_kib_is_read(unreachable):
    assert unreachable.event(post("m=" + "x" * (64 * 1024 - 2))).status == 401


def test_base64_body_is_decoded(unreachable):
    event = post(base64.b64encode(f"token={TOKEN}".encode()).decode()) | {"isBase64Encoded": True}
    assert unreachable.event(event).error == "store_unavailable"


@pytest.mark.parametrize("body", ["!!!", "x", "dG9rZW4", 5, ["x"], {"a": 1}])
def test_undecodable_body_is_400(unreachable, body):
    event = post(body) | {"isBase64Encoded": True}
    assert unreachable.event(event).error == "invalid_request"


def test_repeated_field_is_400(unreachable):
    reply = unreachable.event(post(f"token={TOKEN}&message=a&message=b"))
    assert (reply.status, reply.error) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "TRACE", "get ", ""])
def test_other_method_is_405_and_says_which(unreachable, method):
    reply = unreachable.event(rest_event(method))
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, POST, DELETE, OPTIONS"


# Origins


@pytest.mark.parametrize("origin", [ORIGIN, "https://app.example"])
def test_allowed_origin_may_read_every_answer(unreachable, origin):
    for event in (post("message=hi", FORM, Origin=origin), post("x", "text/plain", origin=origin)):
        headers = unreachable.event(event).headers
        assert headers["Access-Control-Allow-Origin"] == origin
        assert headers["Access-Control-Expose-Headers"] == "WWW-Authenticate, Retry-After"
        assert headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://attacker.example",
        "null",
        "",
        "*",
        ORIGIN + "/",
        ORIGIN.upper(),
        "http://localhost",
        "http://localhost:80800",
        "https://app.example.attacker.example",
        "http://app.example",
        f"{ORIGIN},https://app.example",
    ],
)
def test_other_origin_may_read_nothing(unreachable, origin):
    headers = unreachable.event(post("message=hi", FORM, Origin=origin)).headers
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


def test_answer_without_an_origin_names_the_first_allowed_one(unreachable):
    assert unreachable.event(post("message=hi")).headers["Access-Control-Allow-Origin"] == ORIGIN


def test_preflight_allows_what_a_page_needs(unreachable):
    reply = unreachable.event(
        rest_event("OPTIONS", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    )
    assert (reply.status, reply.event["body"]) == (204, "")
    assert reply.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert reply.headers["Access-Control-Allow-Methods"] == "GET, POST, DELETE, OPTIONS"
    assert reply.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert int(reply.headers["Access-Control-Max-Age"]) > 0


def test_unexpected_failure_is_500_with_cors_headers_and_no_traceback(capsys):
    """The log says where; neither it nor the answer quotes the request."""

    def broken(settings):
        raise RuntimeError(f"quotes {TOKEN}")

    caller = Caller(Function(settings_of(SIGNER), open_board=broken))
    reply = caller.form(token=TOKEN, message="secret words")
    assert (reply.status, reply.error) == (500, "internal_error")
    assert reply.headers["Access-Control-Allow-Origin"] == ORIGIN
    log = capsys.readouterr().out
    line = json.loads(log)
    assert line["failure"] == "RuntimeError"
    assert "app.py" in line["at"][0]
    assert TOKEN not in log
    assert "secret words" not in log


# The events


def captured(name: str, **values: str):
    text = (EVENTS / f"{name}.json").read_text()
    for key, value in values.items():
        text = text.replace(f"<{key}>", value)
    return json.loads(text)


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("*.json")))
def test_captured_event_reaches_the_table(unreachable, name):
    """Every shape AWS calls a function with: the token is found, and the answer has the caller's shape."""
    form = f"token={TOKEN}&message=hi"
    event = captured(name, TOKEN=TOKEN, FORM=form, FORM_BASE64=base64.b64encode(form.encode()).decode())
    answer = unreachable.function(event, None)
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"])["error"] == "store_unavailable"
    assert answer["isBase64Encoded"] is False
    if name.startswith("alb"):
        assert answer["statusDescription"] == "503 Service Unavailable"
    if name == "alb-multi-value":
        assert answer["multiValueHeaders"]["Access-Control-Allow-Origin"] == [ORIGIN]
    else:
        assert answer["headers"]["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("event", [None, [], "x", 5, {}, {"httpMethod": None}, {"version": "2.0"}, {"Records": []}])
def test_event_that_is_no_request_is_400(unreachable, event):
    reply = Reply(unreachable.function(event, None))
    assert (reply.status, reply.error) == (400, "invalid_request")


# The log


def test_log_line_has_what_explains_a_request(call, alice, capsys):
    class Context:
        aws_request_id = "lambda-1"

    event = rest_event("POST", headers={"Content-Type": FORM}, body=f"token={alice}&message=hello")
    call.function(event, Context())
    out = capsys.readouterr().out
    line = json.loads(out)
    assert (line["Verdict"], line["status"], line["method"], line["cold"]) == ("accepted", 200, "POST", True)
    assert (line["function_request_id"], line["request_id"]) == ("lambda-1", "request-1")
    assert len(line["subject"]) == 16
    for secret in (alice, "alice@example.com", "hello"):
        assert secret not in out


def test_log_line_is_in_the_embedded_metric_format(call, alice, capsys):
    call.form(token=alice)
    line = json.loads(capsys.readouterr().out)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "Gatehouse"
        for name in [*directive["Dimensions"][0], *(metric["Name"] for metric in directive["Metrics"])]:
            assert name in line
    names = {metric["Name"] for directive in line["_aws"]["CloudWatchMetrics"] for metric in directive["Metrics"]}
    assert names == {"TotalMs", "VerifyMs", "StoreMs", "Requests"}


def test_table_that_does_not_answer_is_503_and_claims_nothing(unreachable, capsys):
    reply = unreachable.form(token=TOKEN, message="hi")
    assert (reply.status, reply.error) == (503, "store_unavailable")
    assert reply.headers["Retry-After"]
    assert "EndpointConnectionError" in json.loads(capsys.readouterr().out)["cause"]


def test_missing_table_is_503(dynamodb):
    caller = Caller(Function(settings_of(SIGNER, MESSAGES_TABLE="no-such-table")))
    assert caller.form(token=TOKEN, message="hi").error == "store_unavailable"


def test_lambda_context_is_not_needed(unreachable):
    assert unreachable.function(rest_event("GET"), None)["statusCode"] == 401


def test_hostile_subject_is_never_shown(unreachable):
    token = SIGNER.sign(as_json(SIGNER.header()), as_json(SIGNER.claims(sub="\u202egnp.exe")))
    assert unreachable.form(token=token).status == 401
