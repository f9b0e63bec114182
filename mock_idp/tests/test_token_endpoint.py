"""The token endpoint authenticates clients, uses codes once, and rotates refresh tokens."""

from urllib.parse import quote_plus

import pytest

from mock_idp.tests.wire import Browser, Client, RunningIssuer, basic
from mock_idp.tokens import decode_parts

TOKEN = "/oauth2/default/v1/token"


def test_code_is_refused_the_second_time_and_its_tokens_are_revoked(spa: Client):
    """Using a code again revokes what it had issued: access token, refresh token, all."""
    code = spa.code()
    tokens = spa.exchange(code).json
    assert spa.userinfo(tokens["access_token"]).status == 200
    again = spa.exchange(code)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    assert spa.userinfo(tokens["access_token"]).status == 401
    refreshed = spa.token(grant_type="refresh_token", client_id="demo-spa", refresh_token=tokens["refresh_token"])
    assert refreshed.json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"redirect_uri": "http://localhost:5555/other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code": None}, "invalid_request"),
        ({"code": "guess"}, "invalid_grant"),
        ({"grant_type": "interaction_code", "interaction_code": "guess"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
        ({"client_id": "0oatestbed"}, "invalid_grant"),
        ({"client_secret": "x"}, "invalid_client"),
    ],
)
def test_exchange_is_refused_when_anything_differs(spa: Client, changes, error):
    """Verifier, redirect URI, client and grant must be those of the request."""
    answer = spa.exchange(**{"code": spa.code(), **changes})
    assert answer.json["error"] == error
    assert answer.status == (401 if error == "invalid_client" else 400)
    assert answer.headers["Cache-Control"] == "no-store"


def test_code_is_burnt_by_a_wrong_verifier(spa: Client):
    """Who guesses a verifier has one guess."""
    code = spa.code()
    spa.exchange(code, code_verifier="x" * 43)
    assert spa.exchange(code).json["error"] == "invalid_grant"


def test_code_expires_after_a_minute(spa: Client):
    """A code lives a minute."""
    code = spa.code()
    spa.browser.request("PUT", "/mock/clock", json_body={"advance_s": 61})
    assert spa.exchange(code).json["error"] == "invalid_grant"


def test_code_belongs_to_its_authorization_server(spa: Client):
    """Another authorization server of the same issuer does not take the code."""
    code = spa.code()
    spa.server = "/oauth2/es256"
    assert spa.exchange(code).json["error"] == "invalid_grant"


def test_refresh_rotates_and_reuse_revokes_the_family(spa: Client):
    """Each refresh token works once; using one again revokes its successors and the access tokens."""
    first = spa.tokens()["refresh_token"]
    second = spa.token(grant_type="refresh_token", client_id="demo-spa", refresh_token=first).json
    assert second["refresh_token"] != first
    assert spa.userinfo(second["access_token"]).status == 200
    reused = spa.token(grant_type="refresh_token", client_id="demo-spa", refresh_token=first)
    assert reused.json["error"] == "invalid_grant"
    third = spa.token(grant_type="refresh_token", client_id="demo-spa", refresh_token=second["refresh_token"])
    assert third.json["error"] == "invalid_grant"
    assert spa.userinfo(second["access_token"]).status == 401


def test_refresh_narrows_scopes_but_never_widens_them(spa: Client):
    """Fewer scopes are given, more are refused, and what was granted is not lost by narrowing."""
    tokens = spa.tokens()
    narrowed = spa.token(
        grant_type="refresh_token",
        client_id="demo-spa",
        refresh_token=tokens["refresh_token"],
        scope="openid offline_access",
    ).json
    assert narrowed["scope"] == "openid offline_access"
    wide = spa.token(grant_type="refresh_token", client_id="demo-spa", refresh_token=narrowed["refresh_token"]).json
    assert "profile" in wide["scope"]
    refused = spa.token(
        grant_type="refresh_token",
        client_id="demo-spa",
        refresh_token=wide["refresh_token"],
        scope="openid messages.write",
    )
    assert refused.json["error"] == "invalid_scope"


def test_refresh_token_of_another_client_is_refused(spa: Client):
    """A stolen refresh token is useless to another client, and stays good for its own."""
    token = spa.tokens()["refresh_token"]
    stolen = spa.token(grant_type="refresh_token", client_id="0oatestbed", refresh_token=token)
    assert stolen.json["error"] == "invalid_grant"
    assert spa.token(grant_type="refresh_token", client_id="demo-spa", refresh_token=token).status == 200


def test_refresh_is_refused_once_the_person_is_locked(spa: Client):
    """Somebody who was locked out since gets no new tokens."""
    token = spa.tokens()["refresh_token"]
    spa.browser.request("PUT", "/mock/personas/alice", json_body={"status": "LOCKED_OUT"})
    answer = spa.token(grant_type="refresh_token", client_id="demo-spa", refresh_token=token)
    assert answer.json["error"] == "invalid_grant"


def test_no_refresh_token_without_offline_access(spa: Client):
    """A refresh token comes only with the scope offline_access."""
    assert "refresh_token" not in spa.tokens(scope="openid")


@pytest.mark.parametrize("method", ["basic", "post"])
def test_confidential_client_authenticates_with_basic_and_post(agent: Browser, method):
    """Both ways of sending the secret work."""
    form = {"grant_type": "client_credentials", "scope": "messages.read"}
    headers = basic("demo-client", "demo-secret") if method == "basic" else {}
    if method == "post":
        form |= {"client_id": "demo-client", "client_secret": "demo-secret"}
    answer = agent.request("POST", TOKEN, form=form, headers=headers)
    claims = decode_parts(answer.json["access_token"])[1]
    assert (claims["sub"], claims["cid"], claims["scp"]) == ("demo-client", "demo-client", ["messages.read"])
    assert "uid" not in claims
    assert "id_token" not in answer.json


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (basic("demo-client", "wrong"), {}),
        (basic("nobody", "demo-secret"), {}),
        (basic("demo-spa", "secret"), {}),
        ({"Authorization": "Basic ???"}, {}),
        ({"Authorization": "Basic /////w=="}, {}),
        ({"Authorization": "Bearer demo-secret"}, {}),
        ({"Authorization": "Basic"}, {}),
        ({}, {"client_id": "demo-client", "client_secret": "wrong"}),
        ({}, {"client_id": "demo-client"}),
        ({}, {"client_id": "demo-client", "client_secret": ""}),
        ({}, {}),
    ],
)
def test_client_authentication_is_refused_with_401(agent: Browser, header, form):
    """A wrong, missing or malformed secret is invalid_client; after Basic with a challenge."""
    answer = agent.request("POST", TOKEN, form={"grant_type": "client_credentials", **form}, headers=header)
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert (answer.headers["WWW-Authenticate"] is not None) == bool(header)


def test_client_authentication_is_refused_when_it_comes_twice(agent: Browser):
    """Basic and a secret in the form at once are an invalid request."""
    answer = agent.request(
        "POST",
        TOKEN,
        form={"grant_type": "client_credentials", "client_secret": "demo-secret"},
        headers=basic("demo-client", "demo-secret"),
    )
    assert answer.json["error"] == "invalid_request"


def test_basic_credentials_are_percent_decoded(agent: Browser):
    """RFC 6749 section 2.3.1: id and secret are form-encoded before base64."""
    registered = agent.send(
        "/oauth2/v1/clients",
        client_name="Encoded",
        grant_types=["client_credentials"],
        response_types=[],
    ).json
    secret = registered["client_secret"]
    headers = basic(quote_plus(registered["client_id"]), "".join(f"%{ord(char):02X}" for char in secret))
    answer = agent.request(
        "POST", TOKEN, form={"grant_type": "client_credentials", "scope": "messages.read"}, headers=headers
    )
    assert answer.status == 200


@pytest.mark.parametrize(("scope", "error"), [("openid", "invalid_scope"), ("banana", "invalid_scope"), ("", None)])
def test_client_credentials_scopes_are_those_of_the_server(agent: Browser, scope, error):
    """Scopes about people make no sense for a client's own token; without any it gets the default ones."""
    answer = agent.request(
        "POST",
        TOKEN,
        form={"grant_type": "client_credentials", "scope": scope},
        headers=basic("demo-client", "demo-secret"),
    )
    assert answer.json.get("error") == error
    if error is None:
        assert answer.json["scope"] == "messages.read"


def test_public_client_cannot_use_client_credentials(agent: Browser):
    """A client without a secret gets no token of its own."""
    answer = agent.post(TOKEN, grant_type="client_credentials", client_id="demo-spa")
    assert answer.json["error"] == "unauthorized_client"


def test_confidential_code_flow_needs_the_secret(running: RunningIssuer):
    """The code of a confidential client is exchanged only with its secret; PKCE stays optional."""
    client = Client(running.browser(), "demo-client")
    plain = {"code_challenge": None, "code_challenge_method": None}
    code = client.code(**plain)
    refused = client.exchange(code, code_verifier=None)
    assert refused.json["error"] == "invalid_client"
    assert client.exchange(code, code_verifier=None, client_secret="demo-secret").status == 200


def test_verifier_without_challenge_is_refused(running: RunningIssuer):
    """A verifier for a request without a challenge is a downgrade attempt (RFC 9700 section 2.1.1)."""
    client = Client(running.browser(), "demo-client")
    code = client.code(code_challenge=None, code_challenge_method=None)
    assert client.exchange(code, client_secret="demo-secret").json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"grant_type": "client_credentials"}', "application/json", 400),
        (b"grant_type=client_credentials", "", 400),
        (b"grant_type=client_credentials&grant_type=password", "application/x-www-form-urlencoded", 400),
        (b"grant_type=%FF%FE", "application/x-www-form-urlencoded", 400),
        (b"%FF%FE=grant_type", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % i for i in range(5000)), "application/x-www-form-urlencoded", 400),
        (b"x", "multipart/form-data", 400),
        (b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"", "application/x-www-form-urlencoded", 401),
    ],
)
def test_malformed_bodies_get_the_standards_error(agent: Browser, body, content_type, status):
    """Wrong content types, repeated fields, non-UTF-8 and large bodies never end in a 500."""
    headers = {"Content-Type": content_type} if content_type else {}
    answer = agent.request("POST", TOKEN, body=body, headers=headers)
    assert answer.status == status
    assert answer.json["error"] in {"invalid_request", "invalid_client"}


def test_token_endpoint_refuses_get(agent: Browser):
    """Tokens are never fetched by GET."""
    assert agent.get(TOKEN).status == 405


def test_device_flow_waits_for_the_person_and_slows_an_eager_device(agent: Browser):
    """A device polls until somebody approved on another screen; polling too fast is told to slow down."""
    started = agent.post("/oauth2/default/v1/device/authorize", client_id="demo-spa", scope="openid profile")
    poll = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "demo-spa",
        "device_code": started.json["device_code"],
    }
    assert agent.post(TOKEN, **poll).json["error"] == "authorization_pending"
    assert agent.post(TOKEN, **poll).json["error"] == "slow_down"
    user_code = started.json["user_code"]
    assert user_code in agent.get("/activate", user_code=user_code).text
    approved = agent.post("/activate", user_code=user_code, persona="bob@example.com")
    assert "signed in as bob@example.com" in approved.text
    tokens = agent.post(TOKEN, **poll).json
    assert decode_parts(tokens["access_token"])[1]["sub"] == "bob@example.com"
    assert agent.post(TOKEN, **poll).json["error"] == "invalid_grant"


def test_device_code_belongs_to_its_server_and_its_person(agent: Browser):
    """Another authorization server does not take a device code, and nobody speaks for a person who left."""
    started = agent.post("/oauth2/default/v1/device/authorize", client_id="demo-spa", scope="openid").json
    agent.post("/activate", user_code=started["user_code"], persona="bob@example.com")
    poll = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": "demo-spa"}
    elsewhere = agent.post("/oauth2/es256/v1/token", **poll, device_code=started["device_code"])
    assert elsewhere.json["error"] == "invalid_grant"
    agent.request("DELETE", "/mock/personas/bob")
    assert agent.post(TOKEN, **poll, device_code=started["device_code"]).json["error"] == "invalid_grant"


def test_empty_parameters_count_as_left_out(spa: Client):
    """RFC 6749 section 3.2: some clients send client_secret= for none; but nothing may stand twice."""
    assert spa.exchange(spa.code(), client_secret="", scope="").status == 200
    assert spa.browser.request("POST", TOKEN, form=[("scope", ""), ("scope", "")]).json["error"] == "invalid_request"


def test_device_flow_ends_when_denied_or_late(agent: Browser):
    """A denied or expired device code gives no token, and says which it was."""
    started = agent.post("/oauth2/default/v1/device/authorize", client_id="demo-spa", scope="openid").json
    poll = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": "demo-spa"}
    agent.post("/activate", user_code=started["user_code"], action="deny")
    denied = agent.post(TOKEN, **poll, device_code=started["device_code"])
    assert denied.json["error"] == "access_denied"
    started = agent.post("/oauth2/default/v1/device/authorize", client_id="demo-spa", scope="openid").json
    agent.request("PUT", "/mock/clock", json_body={"advance_s": 601})
    late = agent.post(TOKEN, **poll, device_code=started["device_code"])
    assert late.json["error"] == "expired_token"
