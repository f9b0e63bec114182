"""The authorization endpoint is strict before anybody signs in, and answers in every response mode."""

import html
from urllib.parse import urlencode

import pytest

from mock_idp.tests.wire import Client, RunningIssuer
from mock_idp.tokens import decode_parts, half_hash


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_redirect_uri"),
        ({"redirect_uri": None}, "invalid_redirect_uri"),
        ({"redirect_uri": "http://localhost:5555/cb#fragment"}, "invalid_redirect_uri"),
        ({"redirect_uri": "http://localhost.evil.example/"}, "invalid_redirect_uri"),
        ({"redirect_uri": "http://user@localhost:5555/"}, "invalid_redirect_uri"),
        ({"redirect_uri": "http://localhost:5555/\r\nSet-Cookie: a=b"}, "invalid_redirect_uri"),
        ({"redirect_uri": "http://localhost:5555/ x"}, "invalid_redirect_uri"),
        ({"redirect_uri": "http://localhost:99999/"}, "invalid_redirect_uri"),
    ],
)
def test_authorize_shows_and_never_redirects_what_it_cannot_trust(spa: Client, changes, error):
    """An unknown client or a foreign redirect URI is shown to the person, never redirected to."""
    answer = spa.authorize(**changes)
    assert answer.status == 400
    assert answer.headers["Location"] is None
    assert error in answer.text


def test_authorize_names_the_registered_uri_when_another_is_sent(running: RunningIssuer, site: str):
    """The error page shows which redirect URI was registered."""
    client = Client(running.browser(), "0oatestbed", f"{site}/other")
    answer = client.authorize()
    assert answer.status == 400
    assert f"{site}/<" in answer.text


@pytest.mark.parametrize("suffix", ["", "/?x=1", "//", "/index.html"])
def test_redirect_uri_is_compared_exactly_for_a_registered_one(running: RunningIssuer, site: str, suffix):
    """No normalising, no prefix matching: the last slash counts."""
    assert Client(running.browser(), "0oatestbed", site + suffix).authorize().status == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "banana"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid banana"}, "invalid_scope"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "select_account"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"response_mode": "carrier_pigeon"}, "invalid_request"),
        ({"request": "e30."}, "request_not_supported"),
        ({"request_uri": "https://elsewhere.example/r"}, "request_uri_not_supported"),
        ({"response_type": "token id_token", "nonce": None}, "invalid_request"),
        ({"response_type": "token id_token", "scope": "email"}, "invalid_scope"),
        ({"response_type": "token", "response_mode": "query"}, "invalid_request"),
    ],
)
def test_authorize_tells_the_client_what_is_wrong(spa: Client, changes, error):
    """Once the redirect URI is sure, the client hears the standard's code, with its state."""
    answer = spa.authorize(**changes)
    assert answer.status == 302
    assert answer.location.startswith(spa.redirect_uri)
    assert answer.redirect["error"] == error
    assert answer.redirect["state"] == "st4te"


def test_authorize_refuses_implicit_for_a_client_that_did_not_ask_for_it(running: RunningIssuer, site: str):
    """The page's own client is registered for codes only."""
    client = Client(running.browser(), "0oatestbed", f"{site}/")
    assert client.authorize(response_type="id_token token").redirect["error"] == "unauthorized_client"


def test_authorize_refuses_repeated_parameters(spa: Client):
    """A parameter that stands twice is an error, not a choice."""
    query = urlencode([*spa.request().items(), ("state", "again")])
    answer = spa.browser.get(f"/oauth2/default/v1/authorize?{query}")
    assert answer.status == 400
    assert "repeated" in answer.text


def test_code_flow_ends_with_tokens_of_the_person(spa: Client):
    """The code flow gives an access token with Okta's claims, an ID token with the nonce, a refresh token."""
    tokens = spa.tokens()
    header, access = decode_parts(tokens["access_token"])
    _, identity = decode_parts(tokens["id_token"])
    issuer = f"{spa.browser.origin}/oauth2/default"
    assert header["typ"] == "at+jwt"
    assert access["scp"] == ["openid", "profile", "email", "offline_access"]
    assert (access["iss"], access["aud"], access["cid"]) == (issuer, "api://default", "demo-spa")
    assert (access["sub"], access["ver"], access["exp"] - access["iat"]) == ("alice@example.com", 1, 3600)
    assert access["jti"].startswith("AT.")
    assert identity["aud"] == "demo-spa"
    assert identity["nonce"] == "n0nce"
    assert identity["sub"] == access["uid"]
    assert identity["at_hash"] == half_hash("RS256", tokens["access_token"])
    assert (identity["name"], identity["email"]) == ("Alice Archer", "alice@example.com")
    assert tokens["refresh_token"]


@pytest.mark.parametrize(
    ("response_type", "parts"),
    [
        ("token", {"access_token"}),
        ("id_token", {"id_token"}),
        ("token id_token", {"access_token", "id_token"}),
        ("id_token code", {"code", "id_token"}),
        ("code token", {"code", "access_token"}),
        ("code id_token token", {"code", "id_token", "access_token"}),
    ],
)
def test_front_channel_answers_hold_what_the_response_type_names(spa: Client, response_type, parts):
    """Implicit and hybrid answers come in the fragment and hold exactly what was asked for."""
    answer = spa.sign_in(response_type=response_type)
    assert "#" in answer.location
    assert parts == {"code", "id_token", "access_token"} & set(answer.redirect)
    assert answer.redirect["state"] == "st4te"
    if "id_token" in parts:
        claims = decode_parts(answer.redirect["id_token"])[1]
        assert ("at_hash" in claims) == ("access_token" in parts)
        assert ("c_hash" in claims) == ("code" in parts)
        assert claims["nonce"] == "n0nce"


def test_form_post_puts_the_answer_into_a_form(spa: Client):
    """response_mode=form_post answers a page that posts code and state, and may post nowhere else."""
    answer = spa.sign_in(response_mode="form_post")
    assert answer.status == 200
    assert f'action="{spa.redirect_uri}"' in answer.text
    assert 'name="state" value="st4te"' in answer.text
    assert "form-action 'self' http://localhost:5555;" in answer.headers["Content-Security-Policy"]


def test_post_message_targets_only_the_redirect_uris_origin(spa: Client):
    """response_mode=okta_post_message speaks to the client's origin only, and only it may frame the page."""
    answer = spa.authorize(response_mode="okta_post_message", prompt="none", state="</script><b>")
    assert answer.status == 200
    assert 'data-target="http://localhost:5555"' in answer.text
    assert "login_required" in answer.text
    assert "</script><b>" not in html.unescape(answer.text).replace('"state": "</script><b>"', "")
    assert "<b>" not in answer.text
    assert "frame-ancestors http://localhost:5555" in answer.headers["Content-Security-Policy"]


def test_session_makes_the_second_request_silent(spa: Client):
    """Who signed in is not asked again, even with prompt=none."""
    spa.sign_in()
    assert "code" in spa.authorize(prompt="none").redirect
    assert "code" in spa.authorize().redirect


def test_prompt_login_asks_again(spa: Client):
    """prompt=login shows the sign-in page although there is a session, and nobody can just go on."""
    spa.sign_in()
    page = spa.authorize(prompt="login")
    assert "/signin" in page.location
    flow = page.redirect["flow"]
    assert spa.browser.post("/signin", flow=flow, action="continue").status == 401


def test_max_age_asks_again_once_the_session_is_older(spa: Client):
    """A session older than max_age does not count; a younger one does."""
    spa.sign_in()
    spa.browser.request("PUT", "/mock/clock", json_body={"advance_s": 100})
    assert "code" in spa.authorize(max_age="200").redirect
    assert spa.authorize(max_age="50", prompt="none").redirect["error"] == "login_required"


def test_denying_tells_the_client(spa: Client):
    """The deny button ends with access_denied at the client, and the flow is over."""
    flow = spa.authorize().redirect["flow"]
    answer = spa.browser.post("/signin", flow=flow, action="deny")
    assert answer.redirect["error"] == "access_denied"
    assert spa.browser.get("/signin", flow=flow).status == 400


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"username": "alice@example.com", "password": "wrong"}, "Name or password is wrong"),
        ({"username": "nobody@example.com", "password": "Passw0rd!"}, "Name or password is wrong"),
        ({"persona": "locked@example.com"}, "locked"),
        ({"persona": "expired@example.com"}, "expired"),
    ],
)
def test_sign_in_page_refuses_with_a_reason(spa: Client, fields, sentence):
    """Wrong passwords, locked and expired accounts get the page again with a sentence, and no session."""
    flow = spa.authorize().redirect["flow"]
    answer = spa.browser.post("/signin", flow=flow, **fields)
    assert answer.status == 401
    assert sentence in answer.text
    assert "sid" not in spa.browser.cookies


def test_sign_in_page_takes_name_and_password(spa: Client):
    """The form works as well as the buttons."""
    flow = spa.authorize().redirect["flow"]
    answer = spa.browser.post("/signin", flow=flow, username="bob@example.com", password="Passw0rd!")
    assert "code" in answer.redirect


def test_sign_in_page_refuses_forms_of_other_sites(spa: Client):
    """A form that another origin's page sends signs nobody in."""
    flow = spa.authorize().redirect["flow"]
    answer = spa.browser.request(
        "POST",
        "/signin",
        form={"flow": flow, "persona": "alice@example.com"},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status == 403
    assert "sid" not in spa.browser.cookies


def test_noapp_is_denied_at_the_pages_client(running: RunningIssuer, site: str):
    """A person who is not assigned signs in, but the client gets access_denied."""
    client = Client(running.browser(), "0oatestbed", f"{site}/")
    assert client.sign_in("noapp@example.com").redirect["error"] == "access_denied"
    assert "code" in Client(running.browser()).sign_in("noapp@example.com").redirect


def test_session_token_signs_in_once(spa: Client):
    """A session token makes a session and a code; used again it is worth nothing."""
    authn = spa.browser.send("/api/v1/authn", username="alice@example.com", password="Passw0rd!").json
    first = spa.authorize(sessionToken=authn["sessionToken"], prompt="none")
    assert "code" in first.redirect
    assert "sid" in spa.browser.cookies
    spa.browser.cookies.clear()
    second = spa.authorize(sessionToken=authn["sessionToken"], prompt="none")
    assert second.redirect["error"] == "login_required"


def test_sid_cookie_is_out_of_scripts_reach(spa: Client):
    """The session cookie is HttpOnly and SameSite=Lax."""
    cookie = spa.sign_in().headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_pushed_request_is_used_once(spa: Client):
    """A pushed request is checked when it is pushed, and its URI works a single time."""
    pushed = spa.browser.post("/oauth2/default/v1/par", **spa.request())
    assert pushed.status == 201
    uri = pushed.json["request_uri"]
    page = spa.browser.get("/oauth2/default/v1/authorize", client_id="demo-spa", request_uri=uri)
    assert "/signin" in page.location
    again = spa.browser.get("/oauth2/default/v1/authorize", client_id="demo-spa", request_uri=uri)
    assert again.status == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"scope": "banana"}, "invalid_scope"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
    ],
)
def test_pushed_request_is_refused_as_json(spa: Client, changes, error):
    """What the authorization endpoint would refuse is refused when it is pushed, in JSON."""
    answer = spa.browser.post("/oauth2/default/v1/par", **spa.request(**changes))
    assert answer.status in {400, 401}
    assert answer.json["error"] == error


@pytest.mark.parametrize(("server", "client_id"), [("default", "0oatestbed"), ("es256", "demo-spa")])
def test_pushed_request_of_another_client_or_server_is_refused(spa: Client, server, client_id):
    """A request URI belongs to the client that pushed it, and to where it was pushed."""
    uri = spa.browser.post("/oauth2/default/v1/par", **spa.request()).json["request_uri"]
    answer = spa.browser.get(f"/oauth2/{server}/v1/authorize", client_id=client_id, request_uri=uri)
    assert answer.status == 400


def test_session_that_is_too_old_cannot_be_continued(spa: Client):
    """Who must sign in again because of max_age is offered no way around it."""
    spa.sign_in()
    spa.browser.request("PUT", "/mock/clock", json_body={"advance_s": 100})
    page = spa.authorize(max_age="10")
    flow = page.redirect["flow"]
    assert "Continue as" not in spa.browser.get(page.location).text
    assert spa.browser.post("/signin", flow=flow, action="continue").status == 401
    assert "code" in spa.browser.post("/signin", flow=flow, persona="alice").redirect
    assert "code" in spa.authorize(max_age="10").redirect


def test_max_age_of_nothing_asks_again(spa: Client):
    """max_age=0 means what prompt=login means, however fresh the session is."""
    spa.sign_in()
    assert "/signin?flow=" in spa.authorize(max_age="0").location
    assert spa.authorize(max_age="0", prompt="none").redirect["error"] == "login_required"
