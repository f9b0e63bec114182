"""The unmodified Okta Sign-In Widget signs in with both engines and in the implicit style."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from mock_idp.tests.conftest import widget_file
from mock_idp.tests.wire import RunningIssuer
from mock_idp.tokens import decode_parts

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("widget_files")]

ENGINES = [("identity", "0oatestbed"), ("classic", "0oatestbed"), ("identity", "demo-spa"), ("implicit", "demo-spa")]


class WidgetPage:
    """A relying party's page with the widget; every test signs in in a namespace of its own."""

    def __init__(self, page: Page, running: RunningIssuer, site: str, *, shared: bool = False) -> None:
        self.page = page
        if not shared:
            # Not by path prefix: auth-js compares the origin of a message with the whole issuer before /oauth2/.
            page.context.set_extra_http_headers({"X-Mock-Namespace": running.browser().namespace})
        self.org = running.origin
        self._site = site
        self.result = page.locator("#result")
        self.widget = page.locator("#widget-container")

    def open(self, engine: str, client: str = "0oatestbed") -> None:
        self.page.goto(f"{self._site}/widget.html?engine={engine}&client={client}&org={self.org}")

    def sign_in(self, login: str, password: str = "Passw0rd!") -> None:
        self.page.get_by_label("Username").fill(login)
        self.page.locator("input[type=password]").fill(password)
        self.page.get_by_role("button", name="Sign in").or_(self.page.locator("[type=submit]")).first.click()

    def tokens(self) -> dict[str, str]:
        expect(self.result).to_have_text(re.compile("accessToken"), timeout=30_000)
        return json.loads(self.result.inner_text())


@pytest.fixture
def widget(page: Page, running: RunningIssuer, site: str) -> WidgetPage:
    return WidgetPage(page, running, site)


@pytest.mark.parametrize(("engine", "client"), ENGINES)
def test_widget_signs_in_with_each_engine(widget: WidgetPage, engine: str, client: str):
    """The unmodified widget ends with an access token of the person, with either engine and implicitly."""
    widget.open(engine, client)
    widget.sign_in("alice@example.com")
    tokens = widget.tokens()
    claims = decode_parts(tokens["accessToken"])[1]
    assert tokens["name"] == "Alice Archer"
    assert (claims["sub"], claims["cid"], claims["aud"]) == ("alice@example.com", client, "api://default")
    assert bool(tokens["refreshToken"]) == (engine != "implicit")


@pytest.mark.parametrize("engine", ["identity", "classic"])
def test_widget_signs_in_on_another_port_once_registered(page: Page, running, neighbour: str, engine: str):
    """The widget's requests carry cookies, so its page on any port needs a client that names its redirect URI."""
    widget = WidgetPage(page, running, neighbour, shared=True)  # a preflight carries no X-Mock-Namespace
    registration = {
        "redirect_uris": [f"{neighbour}/"],
        "grant_types": ["authorization_code", "interaction_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    }
    client_id = running.browser(shared=True).send("/oauth2/v1/clients", **registration).json["client_id"]
    widget.open(engine, client_id)
    widget.sign_in("alice@example.com")
    assert widget.tokens()["name"] == "Alice Archer"


@pytest.mark.parametrize("engine", ["identity", "classic"])
@pytest.mark.parametrize(
    ("login", "password", "sentence"),
    [
        ("alice@example.com", "wrong", "Unable to sign in"),
        ("nobody@example.com", "Passw0rd!", "Unable to sign in"),
        ("locked@example.com", "Passw0rd!", "account is locked"),
    ],
)
def test_widget_says_what_is_wrong(widget: WidgetPage, engine: str, login: str, password: str, sentence: str):
    """A wrong password, an unknown name and a locked account show the widget's own sentences."""
    widget.open(engine)
    widget.sign_in(login, password)
    expect(widget.widget).to_contain_text(re.compile(sentence), timeout=30_000)


@pytest.mark.parametrize("engine", ["identity", "classic"])
def test_widget_says_not_assigned_for_noapp(widget: WidgetPage, engine: str):
    """Somebody who is not assigned to the client gets no token and is told."""
    widget.open(engine)
    widget.sign_in("noapp@example.com")
    expect(widget.page.locator("body")).to_contain_text(re.compile("not assigned|not allowed"), timeout=30_000)


@pytest.mark.parametrize("engine", ["identity", "classic"])
def test_widget_changes_an_expired_password(widget: WidgetPage, engine: str):
    """An expired password leads to a new one, and on to the tokens."""
    widget.open(engine)
    widget.sign_in("expired@example.com")
    page = widget.page
    expect(page.get_by_text(re.compile("password has expired", re.IGNORECASE)).first).to_be_visible(timeout=30_000)
    old = page.get_by_label("Old password")
    if engine == "classic":
        old.fill("Passw0rd!")
    fields = page.locator("input[type=password]")
    fields.nth(-2).fill("N3wsecret!")
    fields.nth(-1).fill("N3wsecret!")
    page.locator("[type=submit]").first.click()
    assert widget.tokens()["name"] == "Eve Expired"


def test_widget_resumes_after_a_reload(widget: WidgetPage):
    """A reload in the middle of an Identity Engine sign-in goes on with the same interaction."""
    widget.open("identity")
    expect(widget.page.get_by_label("Username")).to_be_visible(timeout=30_000)
    widget.page.reload()
    widget.sign_in("bob@example.com")
    assert widget.tokens()["name"] == "Bob Baker"


def test_widget_files_are_the_pinned_release():
    """The tests speak of widget 7.49.0, so that is what they must drive."""
    assert b"7.49.0" in (widget_file("js/okta-sign-in.min.js") or b"")
