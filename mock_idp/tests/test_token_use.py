"""Userinfo, introspection, revocation and logout take only this issuer's own, live tokens."""

import pytest

from mock_idp.tests.wire import Browser, Client, basic

V1 = "/oauth2/default/v1"


def test_userinfo_reveals_what_the_scopes_allow(spa: Client):
    """The subject equals the ID token's; profile and email come with their scopes only."""
    full = spa.userinfo(spa.tokens()["access_token"]).json
    assert (full["name"], full["given_name"], full["email"]) == ("Alice Archer", "Alice", "alice@example.com")
    brief = spa.userinfo(spa.exchange(spa.authorize(scope="openid").redirect["code"]).json["access_token"]).json
    assert brief == {"sub": full["sub"]}


def test_userinfo_takes_post_with_the_token_in_the_form(spa: Client):
    """RFC 6750 section 2.2: the token may stand in the form."""
    token = spa.tokens()["access_token"]
    assert spa.browser.post(f"{V1}/userinfo", access_token=token).json["name"] == "Alice Archer"


@pytest.mark.parametrize(
    "fault",
    [
        *("expired", "not_yet_valid", "tampered_signature", "tampered_payload", "alg_none", "hs256_public_key"),
        *("forged_key", "unknown_kid", "embedded_key", "critical_header", "wrong_issuer", "missing_claim"),
        *("id_token", "oversized", "wrong_audience", "wrong_client", "wrong_typ"),
    ],
)
def test_userinfo_refuses_broken_tokens(spa: Client, fault):
    """The issuer refuses what it asks others to refuse, with RFC 6750's header readable across origins."""
    token = spa.browser.send("/mock/tokens", persona="alice", fault=fault).json["token"]
    answer = spa.userinfo(token)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert answer.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
@pytest.mark.parametrize(
    "claims",
    [
        *({"scp": 5}, {"scp": [1]}, {"scp": "openid"}, {"exp": "soon"}, {"exp": None}, {"exp": [1]}, {"nbf": "now"}),
        *({"sub": None}, {"sub": ["x"]}, {"iss": 5}),
    ],
)
def test_strange_claims_under_a_good_signature_are_refused(agent: Browser, kind, claims):
    """Minted tokens may hold anything; userinfo and introspection find them useless, and nothing breaks."""
    token = agent.send("/mock/tokens", kind=kind, claims=claims, client_id="demo-spa").json["token"]
    answer = agent.request("GET", f"{V1}/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    assert agent.post(f"{V1}/introspect", client_id="demo-spa", token=token).json == {"active": False}
    assert agent.post(f"{V1}/revoke", client_id="demo-spa", token=token).status == 200


def test_userinfo_without_a_token_challenges(agent: Browser):
    """No token: 401 with a bare challenge, as RFC 6750 section 3.1 wants it."""
    answer = agent.get(f"{V1}/userinfo")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_userinfo_needs_openid(agent: Browser):
    """A token without the scope openid is insufficient."""
    token = agent.send("/mock/tokens", scopes=["messages.read"]).json["token"]
    answer = agent.request("GET", f"{V1}/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 403


def test_introspection_tells_the_owner_and_nobody_else(spa: Client):
    """The client that owns a token learns that it is active; another learns nothing."""
    tokens = spa.tokens()
    own = spa.browser.post(f"{V1}/introspect", client_id="demo-spa", token=tokens["access_token"]).json
    assert own["active"]
    assert (own["sub"], own["username"]) == ("alice@example.com", "alice@example.com")
    assert own["scope"] == "openid profile email offline_access"
    refresh = spa.browser.post(f"{V1}/introspect", client_id="demo-spa", token=tokens["refresh_token"]).json
    assert refresh["active"]
    identity = spa.browser.post(f"{V1}/introspect", client_id="demo-spa", token=tokens["id_token"]).json
    assert identity["active"]
    for token in tokens["access_token"], tokens["refresh_token"], tokens["id_token"], "nonsense", "a.b.c":
        other = spa.browser.request(
            "POST", f"{V1}/introspect", form={"token": token}, headers=basic("demo-client", "demo-secret")
        )
        assert other.json == {"active": False}


def test_introspection_needs_a_client(agent: Browser):
    """Nobody unknown may probe tokens."""
    assert agent.post(f"{V1}/introspect", token="x").status == 401


def test_revoked_access_token_is_inactive(spa: Client):
    """auth-js revokes with a Basic header of the bare client id; 200 and empty."""
    token = spa.tokens()["access_token"]
    answer = spa.browser.request(
        "POST",
        f"{V1}/revoke",
        form={"token": token, "token_type_hint": "access_token"},
        headers={"Authorization": "Basic ZGVtby1zcGE="},
    )
    assert (answer.status, answer.body) == (200, b"")
    assert spa.userinfo(token).status == 401
    introspected = spa.browser.post(f"{V1}/introspect", client_id="demo-spa", token=token)
    assert introspected.json == {"active": False}


def test_revoked_refresh_token_takes_its_access_tokens_along(spa: Client):
    """Revoking a refresh token ends the grant."""
    tokens = spa.tokens()
    spa.browser.post(f"{V1}/revoke", client_id="demo-spa", token=tokens["refresh_token"])
    assert spa.userinfo(tokens["access_token"]).status == 401


def test_revoking_somebody_elses_or_unknown_tokens_changes_nothing(spa: Client):
    """RFC 7009: 200 all the same, but another client's token lives on."""
    tokens = spa.tokens()
    for token in tokens["access_token"], tokens["refresh_token"], "nonsense":
        answer = spa.browser.request(
            "POST", f"{V1}/revoke", form={"token": token}, headers=basic("demo-client", "demo-secret")
        )
        assert answer.status == 200
    assert spa.userinfo(tokens["access_token"]).status == 200


def test_logout_ends_the_session_and_returns_with_state(spa: Client):
    """The redirect carries the state, and the session is gone."""
    tokens = spa.tokens()
    answer = spa.browser.get(
        f"{V1}/logout",
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri="http://localhost:5555/bye",
        state="s",
    )
    assert answer.location == "http://localhost:5555/bye?state=s"
    assert spa.authorize(prompt="none").redirect["error"] == "login_required"


def test_logout_takes_an_expired_id_token(spa: Client):
    """An ID token is a hint; that it expired does not matter."""
    token = spa.tokens()["id_token"]
    spa.browser.request("PUT", "/mock/clock", json_body={"advance_s": 4000})
    target = "http://localhost:5555/"
    answer = spa.browser.get(f"{V1}/logout", id_token_hint=token, post_logout_redirect_uri=target)
    assert answer.location == target


@pytest.mark.parametrize(
    ("hint", "target"),
    [
        (True, "https://evil.example/"),
        (False, "http://localhost:5555/"),
    ],
)
def test_logout_shows_and_never_redirects_what_it_cannot_trust(spa: Client, hint, target):
    """A foreign target, or a redirect without an ID token, is shown, and the session stays."""
    token = spa.tokens()["id_token"]
    parameters = {"post_logout_redirect_uri": target, **({"id_token_hint": token} if hint else {})}
    answer = spa.browser.get(f"{V1}/logout", **parameters)
    assert (answer.status, answer.headers["Location"]) == (400, None)
    assert "code" in spa.authorize(prompt="none").redirect


def test_logout_refuses_a_forged_hint(spa: Client):
    """A hint that this issuer did not sign ends nobody's session."""
    spa.sign_in()
    forged = spa.browser.send("/mock/tokens", kind="id_token", fault="tampered_payload", client_id="demo-spa")
    assert spa.browser.get(f"{V1}/logout", id_token_hint=forged.json["token"]).status == 400


def test_sign_out_page_needs_a_post(spa: Client):
    """No link can sign anybody out."""
    spa.sign_in()
    assert "alice@example.com" in spa.browser.get("/signout").text
    assert "code" in spa.authorize(prompt="none").redirect
    assert "signed out" in spa.browser.post("/signout").text
    assert spa.authorize(prompt="none").redirect["error"] == "login_required"
