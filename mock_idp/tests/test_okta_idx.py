"""Okta's Identity Engine: every step of an interaction, and what it refuses."""

import re
from typing import Any

import pytest

from mock_idp.tests.wire import Browser, Client, RunningIssuer
from mock_idp.tokens import decode_parts


class Interaction:
    """An interaction that is walked step by step."""

    def __init__(self, client: Client, **changes: str | None) -> None:
        self.client = client
        self.agent = client.browser
        started = self.agent.post("/oauth2/default/v1/interact", **client.request(response_type=None, **changes))
        assert started.status == 200, started.text
        self.handle = started.json["interaction_handle"]
        self.state = self.introspect().json

    def introspect(self):
        return self.agent.send("/idp/idx/introspect", interactionHandle=self.handle)

    def step(self, path: str, **fields: Any):
        answer = self.agent.send(f"/idp/idx/{path}", stateHandle=self.state["stateHandle"], **fields)
        if "stateHandle" in answer.json:
            self.state = answer.json
        return answer

    def identify(self, login: str, password: str | None = "Passw0rd!"):
        credentials = {} if password is None else {"credentials": {"passcode": password}}
        return self.step("identify", identifier=login, **credentials)

    def answer(self, password: str):
        return self.step("challenge/answer", credentials={"passcode": password})

    @property
    def remediation(self) -> str:
        return self.state["remediation"]["value"][0]["name"]


def message_key(answer) -> str:
    return answer.json["messages"]["value"][0]["i18n"]["key"]


def code_of(answer) -> str:
    values = answer.json["successWithInteractionCode"]["value"]
    return next(value["value"] for value in values if value["name"] == "interaction_code")


def resolves(document: dict[str, Any]) -> bool:
    """Every `relatesTo` must point into the document, or auth-js throws."""
    paths = re.findall(r'"\$\.([A-Za-z]+)"', str(document).replace("'", '"'))
    return all(path in document for path in paths)


@pytest.fixture
def interaction(spa: Client) -> Interaction:
    return Interaction(spa)


def test_identify_with_password_ends_with_an_interaction_code(interaction: Interaction):
    """Name and password on one page end with a code that the token endpoint takes once."""
    assert interaction.remediation == "identify"
    answer = interaction.identify("alice@example.com")
    assert answer.headers["Content-Type"] == "application/ion+json; okta-version=1.0.0"
    client = interaction.client
    fields = {
        "grant_type": "interaction_code",
        "client_id": "demo-spa",
        "interaction_code": code_of(answer),
        "code_verifier": client.pkce.verifier,
    }
    tokens = client.token(**fields)
    assert decode_parts(tokens.json["access_token"])[1]["sub"] == "alice@example.com"
    assert client.token(**fields).json["error"] == "invalid_grant"


def test_interaction_code_is_not_an_authorization_code(interaction: Interaction):
    """A code of one grant is refused by the other."""
    code = code_of(interaction.identify("alice@example.com"))
    assert interaction.client.exchange(code).json["error"] == "invalid_grant"


def test_identifier_first_asks_for_the_password_next(interaction: Interaction):
    """Only a name leads to the challenge, whose references resolve; a wrong password has its own key there."""
    assert interaction.identify("alice@example.com", None).status == 200
    assert interaction.remediation == "challenge-authenticator"
    assert resolves(interaction.state)
    wrong = interaction.answer("wrong")
    assert (wrong.status, message_key(wrong)) == (401, "incorrectPassword")
    assert code_of(interaction.answer("Passw0rd!"))


def test_unknown_names_look_like_known_ones_until_the_password(interaction: Interaction):
    """Identifier-first does not tell which names exist."""
    assert interaction.identify("nobody@example.com", None).status == 200
    assert interaction.remediation == "challenge-authenticator"
    assert message_key(interaction.answer("Passw0rd!")) == "incorrectPassword"


@pytest.mark.parametrize(
    ("login", "password", "status", "key"),
    [
        ("alice@example.com", "wrong", 401, "errors.E0000004"),
        ("nobody@example.com", "Passw0rd!", 401, "errors.E0000004"),
        ("locked@example.com", "Passw0rd!", 401, "errors.E0000119"),
        ("  ", "Passw0rd!", 400, "idx.identifier.required"),
    ],
)
def test_refused_identify_shows_the_form_again_with_a_key(interaction: Interaction, login, password, status, key):
    """An error comes with the form, so that the widget can show both."""
    answer = interaction.identify(login, password)
    assert (answer.status, message_key(answer)) == (status, key)
    assert interaction.remediation == "identify"


def test_not_assigned_person_gets_no_code(running: RunningIssuer, site: str):
    """Somebody who is not assigned to the client is told so."""
    interaction = Interaction(Client(running.browser(), "0oatestbed", f"{site}/"))
    answer = interaction.identify("noapp@example.com")
    assert message_key(answer) == "idx.error.user.not.assigned.to.app"


def test_expired_password_is_re_enrolled(interaction: Interaction):
    """An expired password leads to a form for a new one, which is checked."""
    interaction.identify("expired@example.com")
    assert interaction.remediation == "reenroll-authenticator"
    assert resolves(interaction.state)
    assert interaction.state["currentAuthenticator"]["value"]["settings"]["complexity"]["minLength"] == 8
    assert message_key(interaction.answer("weak")) == "password.passwordRequirementsNotMet"
    assert code_of(interaction.answer("N3wsecret!"))


def test_introspecting_again_resumes(interaction: Interaction):
    """A reload of the page goes on with the step it was at."""
    interaction.identify("alice@example.com", None)
    resumed = interaction.introspect().json
    assert resumed["stateHandle"] == interaction.state["stateHandle"]
    assert resumed["remediation"]["value"][0]["name"] == "challenge-authenticator"


def test_finished_and_unknown_handles_are_expired_without_a_form(interaction: Interaction):
    """A stale handle answers idx.session.expired and no remediation, so that the widget starts again."""
    interaction.identify("alice@example.com")
    for answer in (
        interaction.introspect(),
        interaction.identify("alice@example.com"),
        interaction.answer("Passw0rd!"),
        interaction.agent.send("/idp/idx/introspect", interactionHandle="unknown"),
        interaction.agent.send("/idp/idx/identify", stateHandle=7, identifier="alice@example.com"),
    ):
        assert message_key(answer) == "idx.session.expired"
        assert "remediation" not in answer.json


def test_cancel_begins_again_under_a_new_handle(interaction: Interaction):
    """Cancelling forgets who was identified; the old handle is over."""
    interaction.identify("alice@example.com", None)
    old = interaction.state["stateHandle"]
    assert interaction.step("cancel").status == 200
    assert interaction.remediation == "identify"
    assert interaction.state["stateHandle"] != old


def test_session_finishes_an_interaction_at_once(interaction: Interaction):
    """Who is signed in already gets the code without a form, unless prompt=login asks for one."""
    interaction.identify("alice@example.com")
    assert "successWithInteractionCode" in Interaction(interaction.client).state
    assert "remediation" in Interaction(interaction.client, prompt="login").state


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "nobody"}, "invalid_client"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"scope": "banana"}, "invalid_scope"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_interact_is_as_strict_as_authorize(spa: Client, changes, error):
    """Client, redirect URI, scopes and challenge are checked before any interaction begins."""
    answer = spa.browser.post("/oauth2/default/v1/interact", **spa.request(**changes))
    assert answer.json["error"] == error


def test_introspect_needs_a_handle(agent: Browser):
    """Without any handle the request itself is wrong."""
    assert agent.send("/idp/idx/introspect").json["errorCode"] == "E0000001"
