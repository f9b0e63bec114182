"""The unmodified auth-js, 7 in the widget and 8 alone, walks the redirect flow through the own sign-in page."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from mock_idp.tests.wire import RunningIssuer

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("widget_files", "node_clients")]
PAGES = ["7/authjs.html", "8/authjs.html"]


class RelyingParty:
    """A page that uses auth-js alone, and the issuer's sign-in page."""

    def __init__(self, page: Page, running: RunningIssuer, site: str) -> None:
        page.context.set_extra_http_headers({"X-Mock-Namespace": running.browser().namespace})
        self.page = page
        self.org = running.origin
        self._site = site
        self.result = page.locator("#result")

    def open(self, engine: str, page: str = "7/authjs.html") -> None:
        self.page.goto(f"{self._site}/{page}?engine={engine}&client=demo-spa&org={self.org}")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def choose(self, persona: str) -> None:
        self.page.get_by_role("button", name=persona).click()

    def answer(self, pattern: str) -> dict[str, str]:
        expect(self.result).to_have_text(re.compile(pattern), timeout=30_000)
        return json.loads(self.result.inner_text())


@pytest.fixture
def party(page: Page, running: RunningIssuer, site: str) -> RelyingParty:
    return RelyingParty(page, running, site)


@pytest.mark.parametrize("library", PAGES)
@pytest.mark.parametrize("engine", ["pkce", "implicit"])
def test_redirect_flow_signs_in_with_one_click(party: RelyingParty, engine: str, library: str):
    """SignInWithRedirect leads to the issuer's page; one click on a persona leads back with tokens."""
    party.open(engine, library)
    party.press("Sign in")
    party.choose("Alice Archer")
    tokens = party.answer("Alice Archer")
    assert tokens["accessToken"]
    assert bool(tokens["refreshToken"]) == (engine == "pkce")


@pytest.mark.parametrize("library", PAGES)
def test_tokens_are_renewed_and_userinfo_answers(party: RelyingParty, library: str):
    """auth-js renews by refresh token and silently in a frame, asks userinfo, revokes, and signs out."""
    party.open("pkce", library)
    party.press("Sign in")
    party.choose("Bob Baker")
    first = party.answer("Bob Baker")
    party.press("Who am I")
    assert party.answer("preferred_username")["preferred_username"] == "bob@example.com"
    party.press("Renew")
    renewed = party.answer("refreshToken")
    assert renewed["accessToken"] != first["accessToken"]
    assert renewed["refreshToken"] != first["refreshToken"]
    party.press("Renew silently")
    silent = party.answer(r'^{"accessToken":"[^"]*","name"')
    assert silent["accessToken"] != renewed["accessToken"]
    party.press("Revoke")
    party.answer("revoked")
    # The address is the same before and after: what tells them apart is that the page was loaded anew.
    with party.page.expect_event("load"):
        party.press("Sign out")
    expect(party.page).to_have_url(re.compile(library))
    party.press("Renew silently")
    expect(party.page.locator("#problem")).to_contain_text("not logged in", timeout=30_000)


def test_sign_in_page_works_by_keyboard_and_without_scripts_of_others(party: RelyingParty):
    """Name and password can be typed, Enter sends them, and nothing offends the page's own policy."""
    violations: list[str] = []
    party.page.on("console", lambda message: violations.append(message.text))
    party.open("pkce")
    party.press("Sign in")
    party.page.get_by_label("Username").fill("alice@example.com")
    party.page.keyboard.press("Tab")
    party.page.keyboard.type("Passw0rd!")
    party.page.keyboard.press("Enter")
    assert party.answer("Alice Archer")["name"] == "Alice Archer"
    assert not [text for text in violations if "Content Security Policy" in text]


def test_denying_reaches_the_page(party: RelyingParty):
    """Who denies is sent back, and the page hears access_denied."""
    party.open("pkce")
    party.press("Sign in")
    party.press("Deny, and go back")
    expect(party.page.locator("#problem")).to_contain_text("denied", timeout=30_000)
