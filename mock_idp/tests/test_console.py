"""The console, in a browser: workbench, faults, keys and the live log."""

import re

import pytest
from playwright.sync_api import Page, expect

from mock_idp.tests.wire import Browser, RunningIssuer

pytestmark = pytest.mark.browser


class ConsolePage:
    """The console of a namespace."""

    def __init__(self, page: Page, running: RunningIssuer) -> None:
        self.page = page
        agent = running.browser()
        self.prefix = f"/ns/{agent.namespace}"
        self.agent = Browser(running.origin, agent.namespace)
        self.messages: list[str] = []
        page.on("console", lambda message: self.messages.append(message.text))
        self.claims = page.get_by_label("Claims of the token")
        self.verdict = page.locator("#verdict")
        self.active = page.get_by_role("list", name="Faults that are on")
        self.log = page.locator("#log")
        page.goto(f"{running.origin}{self.prefix}/")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()


@pytest.fixture
def console(page: Page, running: RunningIssuer) -> ConsolePage:
    return ConsolePage(page, running)


def test_workbench_mints_and_decodes_a_broken_token(console: ConsolePage):
    """A chosen persona, fault and claim come out in the decoded token, with the verdict to expect."""
    console.page.get_by_label("Persona", exact=True).select_option("bob@example.com")
    console.page.get_by_label("Fault", exact=True).select_option("expired")
    console.page.get_by_label("Claims to add").fill('{"role": "admin"}')
    console.press("Mint")
    expect(console.claims).to_contain_text('"role": "admin"')
    expect(console.claims).to_contain_text("bob@example.com")
    expect(console.verdict).to_contain_text("Expect: 401 invalid_token")
    assert not [text for text in console.messages if "Content Security Policy" in text]


def test_pasted_token_is_decoded_as_text(console: ConsolePage):
    """What a token says is shown as text, never as markup."""
    minted = console.agent.send("/mock/tokens", claims={"name": "<img src=x onerror=alert(1)>"}).json["token"]
    console.page.get_by_label("Token", exact=True).fill(minted)
    expect(console.claims).to_contain_text("<img src=x onerror=alert(1)>")
    console.page.get_by_label("Token", exact=True).fill("nonsense")
    expect(console.page.get_by_label("Header of the token")).to_have_text("not a compact JWS")


def test_fault_is_turned_on_and_off(console: ConsolePage):
    """A fault turned on strikes the next request; turned off it does not."""
    console.page.get_by_label("What breaks").select_option("server_error")
    console.page.get_by_label("How long").select_option("false")
    console.press("Turn on")
    expect(console.active).to_contain_text("server error for everybody")
    assert console.agent.get("/oauth2/default/v1/keys").status == 503
    console.page.get_by_role("button", name="Turn off server_error").click()
    expect(console.active).to_be_empty()
    assert console.agent.get("/oauth2/default/v1/keys").status == 200


def test_key_is_rotated_with_overlap(console: ConsolePage):
    """The rotate button publishes a second key."""
    console.agent.send("/mock/tokens")
    console.page.reload()
    console.page.get_by_role("button", name="Rotate the key of default").click()
    expect(console.page.locator("#keys code")).to_have_count(2)


def test_log_shows_requests_as_they_come(console: ConsolePage):
    """A request appears without a reload, its secrets hidden; what it sent stays text."""
    expect(console.page.locator("#live")).to_have_class(re.compile("on"))
    fields = {"grant_type": "<b>", "client_id": "demo-spa", "code": "s3cret-code"}
    console.agent.post("/oauth2/default/v1/token", **fields)
    entry = console.log.get_by_role("button", name="POST /oauth2/default/v1/token")
    entry.click()
    expect(console.log).to_contain_text('"grant_type": "<b>"')
    expect(console.log).to_contain_text("hidden, 11 characters")
    expect(console.log).not_to_contain_text("s3cret-code")


def test_console_fits_a_phone(console: ConsolePage):
    """At 320 px nothing but the tables scrolls sideways."""
    console.page.set_viewport_size({"width": 320, "height": 700})
    assert console.page.evaluate("document.documentElement.scrollWidth") <= 320
