"""Okta's Classic engine answers in Okta's shapes."""

import pytest

from mock_idp.tests.wire import Browser, Client


def authn(agent: Browser, login: str, password: str = "Passw0rd!"):
    return agent.send("/api/v1/authn", username=login, password=password, options={"warnBeforePasswordExpired": True})


def test_authn_gives_a_session_token(agent: Browser):
    """Name and password give a one-time session token and the person's profile."""
    answer = authn(agent, "alice@example.com").json
    assert answer["status"] == "SUCCESS"
    assert answer["sessionToken"]
    assert answer["_embedded"]["user"]["profile"]["firstName"] == "Alice"


@pytest.mark.parametrize("login", ["alice@example.com", "nobody@example.com"])
def test_authn_refuses_wrong_passwords_and_unknown_names_alike(agent: Browser, login):
    """Nobody can find out which names exist."""
    answer = authn(agent, login, "wrong")
    assert answer.status == 401
    body = answer.json
    assert (body.pop("errorId")[:3], body) == (
        "oae",
        {
            "errorCode": "E0000004",
            "errorSummary": "Authentication failed",
            "errorLink": "E0000004",
            "errorCauses": [],
        },
    )


def test_authn_of_a_locked_account_is_a_status(agent: Browser):
    """LOCKED_OUT is a 200 with a link, as the widget expects it."""
    answer = authn(agent, "locked@example.com")
    assert (answer.status, answer.json["status"]) == (200, "LOCKED_OUT")


def test_expired_password_is_changed_once(agent: Browser):
    """An expired password gives a state token that changes it, checks the new one, and works once."""
    expired = authn(agent, "expired@example.com").json
    assert expired["status"] == "PASSWORD_EXPIRED"
    change = expired["_links"]["next"]["href"]
    fields = {"stateToken": expired["stateToken"], "oldPassword": "Passw0rd!"}
    resumed = agent.send("/api/v1/authn", stateToken=expired["stateToken"]).json
    assert resumed["status"] == "PASSWORD_EXPIRED"
    for weak in ["short1A", "alllowercase1", "Passw0rd!", "Expired2000"]:
        refused = agent.send(change, **fields, newPassword=weak)
        assert (refused.status, refused.json["errorCode"]) == (403, "E0000014")
        assert refused.json["errorCauses"]
    wrong = agent.send(change, **{**fields, "oldPassword": "no"}, newPassword="N3wsecret!")
    assert wrong.json["errorCode"] == "E0000014"
    assert agent.send(change, **fields, newPassword="N3wsecret!").json["status"] == "SUCCESS"
    assert agent.send(change, **fields, newPassword="N3wersecret!").json["errorCode"] == "E0000011"
    assert authn(agent, "expired@example.com", "N3wsecret!").json["status"] == "SUCCESS"


def test_cancelled_transaction_is_over(agent: Browser):
    """A cancelled state token is invalid."""
    expired = authn(agent, "expired@example.com").json
    assert agent.send(expired["_links"]["cancel"]["href"], stateToken=expired["stateToken"]).status == 200
    resumed = agent.send("/api/v1/authn", stateToken=expired["stateToken"])
    assert (resumed.status, resumed.json["errorCode"]) == (401, "E0000011")


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{}", "application/json", "E0000001"),
        (b"[]", "application/json", "E0000003"),
        (b"{", "application/json", "E0000003"),
        (b"\xff", "application/json", "E0000003"),
        (b"[" * 20_000, "application/json", "E0000003"),
        (b'{"username": 1, "password": []}', "application/json", "E0000001"),
        (b"username=alice", "application/x-www-form-urlencoded", "E0000021"),
    ],
)
def test_authn_answers_bad_bodies_in_oktas_shape(agent: Browser, body, content_type, code):
    """Whatever is sent, the answer is Okta's error and never a 500."""
    answer = agent.request("POST", "/api/v1/authn", body=body, headers={"Content-Type": content_type})
    assert 400 <= answer.status < 500
    assert answer.json["errorCode"] == code


def test_session_of_the_browser_is_shown_refreshed_and_ended(spa: Client):
    """`/api/v1/sessions/me` answers the session, 404 without one, 204 when it ends."""
    agent = spa.browser
    assert (agent.get("/api/v1/sessions/me").status, agent.get("/api/v1/sessions/me").json["errorCode"]) == (
        404,
        "E0000007",
    )
    spa.sign_in()
    shown = agent.get("/api/v1/sessions/me").json
    assert (shown["login"], shown["status"]) == ("alice@example.com", "ACTIVE")
    assert agent.request("POST", "/api/v1/sessions/me/lifecycle/refresh").status == 200
    assert agent.request("DELETE", "/api/v1/sessions/me").status == 204
    assert agent.get("/api/v1/sessions/me").status == 404


def test_session_cookie_redirect_signs_in_and_goes_only_to_trusted_origins(spa: Client):
    """A session token becomes a session on the way to a trusted page; a foreign page is not gone to."""
    token = authn(spa.browser, "alice@example.com").json["sessionToken"]
    foreign = spa.browser.get("/login/sessionCookieRedirect", token=token, redirectUrl="https://evil.example/")
    assert (foreign.status, foreign.headers["Location"]) == (400, None)
    target = "http://localhost:5555/app"
    assert spa.browser.get("/login/sessionCookieRedirect", token=token, redirectUrl=target).location == target
    assert "code" in spa.authorize(prompt="none").redirect


def test_preflight_allows_exactly_what_the_libraries_send(agent: Browser, site: str):
    """The preflight echoes a registered origin with credentials and the three headers, any of this machine without."""
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-okta-user-agent-extended",
    }
    for path in "/api/v1/authn", "/oauth2/default/v1/interact", "/idp/idx/identify", "/api/v1/sessions/me":
        trusted = agent.request("OPTIONS", path, headers={"Origin": site, **ask})
        assert trusted.status == 204
        assert trusted.headers["Access-Control-Allow-Origin"] == site
        assert trusted.headers["Access-Control-Allow-Credentials"] == "true"
        for name in "content-type", "authorization", "x-okta-user-agent-extended":
            assert name in trusted.headers["Access-Control-Allow-Headers"]
        loopback = agent.request("OPTIONS", path, headers={"Origin": "http://localhost:5555", **ask})
        assert loopback.headers["Access-Control-Allow-Origin"] == "http://localhost:5555"
        assert loopback.headers["Access-Control-Allow-Credentials"] is None
        foreign = agent.request("OPTIONS", path, headers={"Origin": "https://evil.example", **ask})
        assert foreign.headers["Access-Control-Allow-Origin"] is None


def test_registration_trusts_the_origins_of_its_redirect_uris(agent: Browser):
    """A page on any port has its requests carry cookies once a client is registered for it."""
    headers = {"Origin": "http://localhost:5556"}
    path = "/api/v1/authn"
    assert agent.request("OPTIONS", path, headers=headers).headers["Access-Control-Allow-Credentials"] is None
    redirect_uris = ["http://localhost:5556/callback"]
    agent.send("/oauth2/v1/clients", redirect_uris=redirect_uris, token_endpoint_auth_method="none")
    assert agent.request("OPTIONS", path, headers=headers).headers["Access-Control-Allow-Credentials"] == "true"


def test_public_metadata_is_readable_from_everywhere(agent: Browser):
    """Discovery and keys hold no secret: any origin may read them, without credentials."""
    for path in "/oauth2/default/.well-known/openid-configuration", "/oauth2/default/v1/keys":
        answer = agent.request("GET", path, headers={"Origin": "https://anywhere.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Credentials"] is None
