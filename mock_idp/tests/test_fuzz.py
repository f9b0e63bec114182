"""Whatever is sent, the answer is never a 5xx and never a traceback."""

import http.client
import json
import urllib.parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mock_idp.tests.wire import RunningIssuer

V1 = "/oauth2/default/v1"
PATHS = [
    *(f"{V1}/{name}" for name in ("authorize", "token", "userinfo", "introspect", "revoke", "logout", "interact")),
    *(f"{V1}/par", f"{V1}/device/authorize", "/oauth2/v1/clients", "/signin", "/signout", "/activate"),
    *(f"/idp/idx/{name}" for name in ("introspect", "identify", "challenge/answer", "cancel")),
    *("/api/v1/authn", "/api/v1/authn/credentials/change_password", "/api/v1/sessions/me"),
    *("/login/sessionCookieRedirect", "/mock/tokens", "/mock/faults", "/mock/requests", "/mock/personas/x"),
    *("/mock/clock", "/mock/try", "/", "/nowhere"),
]
NAMES = st.sampled_from(
    [
        *("client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce"),
        *("code", "code_verifier", "code_challenge", "code_challenge_method", "grant_type", "refresh_token", "token"),
        *("prompt", "max_age", "login_hint", "request_uri", "id_token_hint", "post_logout_redirect_uri", "flow"),
        *("username", "password", "persona", "stateToken", "stateHandle", "interactionHandle", "identifier"),
        *("credentials", "user_code", "device_code", "fault", "claims", "server", "once", "parameters", "after"),
        *("path", "wait_s", "offset_s", "advance_s", "redirect_uris", "sessionToken", "redirectUrl", "access_token"),
    ]
)
KNOWN = st.sampled_from(
    [
        *("demo-spa", "demo-client", "0oatestbed", "demo-secret", "http://localhost:1/", "code", "token id_token"),
        *("openid", "S256", "a" * 43, "authorization_code", "client_credentials", "refresh_token", "none", "0"),
        *("alice@example.com", "Passw0rd!", "expired", "urn:ietf:params:oauth:request_uri:x", "e30.e30.e30", "."),
    ]
)
VALUES = st.one_of(KNOWN, st.text(max_size=20), st.binary(max_size=8).map(lambda raw: raw.decode("latin-1")))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(allow_nan=True), VALUES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    query=st.lists(st.tuples(NAMES, VALUES), max_size=5),
    form=st.lists(st.tuples(NAMES, VALUES), max_size=8),
    document=st.one_of(st.none(), st.dictionaries(NAMES, JSON, max_size=5), JSON),
    authorization=st.one_of(st.none(), st.sampled_from(["Basic ZGVtby1zcGE=", "Bearer x", "Basic", "Basic %%%", "x"])),
)
def test_no_request_ends_in_a_server_error(  # noqa: PLR0917 - hypothesis passes what is drawn by name
    running: RunningIssuer, path, method, query, form, document, authorization
):
    """Every endpoint answers odd methods, fields, types and headers with a client error at worst."""
    headers = {"X-Mock-Namespace": "fuzz"}
    if authorization is not None:
        headers["Authorization"] = authorization
    if document is not None:
        body, headers["Content-Type"] = json.dumps(document).encode(), "application/json"
    else:
        body = urllib.parse.urlencode(form).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    # Waiting is what wait_s is for; here it would only take time.
    query = [(name, value) for name, value in query if name != "wait_s"]
    host = running.origin.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(method, f"{path}?{urllib.parse.urlencode(query)}", body, headers)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    assert response.status < 500, text
    assert b"Traceback" not in text
