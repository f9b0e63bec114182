"""What the page shows when what it depends on is not there: each time what happened, why, and the next step."""

import json
import urllib.parse

import pytest
from playwright.sync_api import Locator, Page, expect

from frontend.tests.servers import Server, free_port

pytestmark = pytest.mark.browser

REFUSED = (401, {"error": "invalid_token", "error_description": "Send an access token."})


def problem(page: Page, title: str) -> Locator:
    return page.get_by_role("alert").filter(has=page.get_by_text(title, exact=True))


def post(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Post message").click()


@pytest.fixture(scope="module")
def silent_issuer() -> str:
    """An issuer at a port where nothing listens."""
    return f"http://localhost:{free_port()}/oauth2/default"


@pytest.fixture
def board(start, widget_dir, silent_issuer):
    """Start a server whose page nobody can sign in to, which leaves the board to look at."""

    def start_one(**settings: object) -> Server:
        return start(WIDGET_DIR=widget_dir, OKTA_ISSUER=silent_issuer, **settings)

    return start_one


def test_page_says_so_when_the_issuer_does_not_answer(page, start, real_widget_dir, silent_issuer):
    """It names the issuer and the setting, and offers to try again."""
    page.goto(start(WIDGET_DIR=real_widget_dir, OKTA_ISSUER=silent_issuer).url)
    shown = problem(page, "The issuer does not answer")
    expect(shown).to_contain_text(silent_issuer)
    expect(shown).to_contain_text("OKTA_ISSUER")
    expect(shown.get_by_role("button", name="Try again")).to_be_visible()


def test_page_says_so_when_the_issuer_has_another_name(page, start, real_widget_dir, scratch):
    """An issuer whose discovery document names another would only make tokens that nobody accepts."""
    issuer = scratch((200, {"issuer": "http://idp.internal:9400/oauth2/default"})).url
    page.goto(start(WIDGET_DIR=real_widget_dir, OKTA_ISSUER=issuer).url)
    expect(problem(page, "This is another issuer")).to_contain_text(
        f"{issuer} calls itself http://idp.internal:9400/oauth2/default."
    )


def test_page_says_so_when_it_is_opened_at_another_address(page, start, real_widget_dir, silent_issuer):
    """The issuer answers only to the registered address, so the page names that one."""
    server = start(WIDGET_DIR=real_widget_dir, OKTA_ISSUER=silent_issuer)
    page.goto(server.url.replace("localhost", "127.0.0.1"))
    expect(problem(page, "This is not the page's registered address")).to_contain_text(f"{server.url}/")


def test_page_says_so_when_the_widget_did_not_load(page, board):
    """The stand-in defines no widget, as a damaged file would not."""
    page.goto(board().url)
    expect(problem(page, "The sign-in widget did not load")).to_contain_text("python -m frontend.widget --force")


def test_page_says_so_when_the_issuer_sends_back_an_error(page, start, real_widget_dir, silent_issuer):
    """The issuer's own words are shown, as text, and the address is cleaned of them."""
    server = start(WIDGET_DIR=real_widget_dir, OKTA_ISSUER=silent_issuer)
    page.goto(f"{server.url}/?error=access_denied&error_description=%3Cb%3ENot+assigned%3C/b%3E&state=1")
    expect(problem(page, "The issuer did not sign you in")).to_contain_text("<b>Not assigned</b>")
    expect(page).to_have_url(f"{server.url}/")


def test_tokens_of_another_issuer_are_dropped(page, start, real_widget_dir, silent_issuer):
    """What another set-up of the page left at this address is nobody's sign-in here, and is never sent anywhere."""
    server = start(WIDGET_DIR=real_widget_dir, OKTA_ISSUER=silent_issuer)
    claims = {"iss": "http://localhost:1/oauth2/default", "cid": "0oatestbed", "sub": "alice@example.com"}
    token = {"accessToken": "e30.e30.e30", "claims": claims, "expiresAt": 2**33, "scopes": [], "tokenType": "Bearer"}
    token |= {"authorizeUrl": "http://localhost:1/", "userinfoUrl": "http://localhost:1/"}
    page.goto(f"{server.url}/healthz")
    page.evaluate("kept => localStorage.setItem('okta-token-storage', kept)", json.dumps({"accessToken": token}))
    page.goto(server.url)
    expect(problem(page, "The issuer does not answer")).to_be_visible()
    assert page.evaluate("localStorage.getItem('okta-token-storage')") in {None, "{}"}


def test_page_says_so_when_the_api_does_not_answer(page, board):
    """It names the API, says that trying again is safe, and keeps the text."""
    api = f"http://localhost:{free_port()}/api/messages"
    page.goto(board(API_URL=api).url)
    post(page, "Is anybody there?")
    shown = problem(page, "The API can't be reached")
    expect(shown).to_contain_text(api)
    expect(shown.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_label("Your message")).to_have_value("Is anybody there?")


def test_lost_answer_is_asked_for_again_under_the_same_id(page, board, scratch):
    """A repeat carries the id of the first try, so that a message whose answer was lost is not stored twice."""
    api = scratch((503, {"error": "unavailable", "error_description": "Not now."}), REFUSED)
    page.goto(board(API_URL=api.url).url)
    post(page, "once & only once")
    expect(problem(page, "The API refused this message")).to_be_visible()
    first, second = (urllib.parse.parse_qs(body) for body in api.bodies)
    assert first == second
    assert first["message"] == ["once & only once"]
    assert len(first["id"][0]) == 36


def test_refusal_is_not_asked_for_again(page, board, scratch):
    """A 401 would be a 401 again."""
    api = scratch(REFUSED)
    page.goto(board(API_URL=api.url).url)
    post(page, "let me in")
    expect(problem(page, "The API refused this message")).to_contain_text("401 invalid_token: Send an access token.")
    assert len(api.bodies) == 1


@pytest.mark.parametrize("text", ["", "   \n ", "ü" * 2049])
def test_message_that_the_api_would_refuse_is_not_sent(page, board, scratch, text):
    """Blank and over-long messages are told so at once, beside the field."""
    api = scratch(REFUSED)
    page.goto(board(API_URL=api.url).url)
    post(page, text)
    title = "This message is too long" if text.strip() else "There is no message yet"
    expect(problem(page, title)).to_be_visible()
    expect(page.get_by_label("Your message")).to_be_focused()
    assert api.bodies == []


def test_message_cannot_be_sent_before_the_page_can_take_it(page, board):
    """While its script is on the way the button waits: the browser would put the message into the address."""
    page.route("**/*.js", lambda route: route.abort())
    page.goto(board().url)
    page.get_by_label("Your message").fill("early")
    expect(page.get_by_role("button", name="Post message")).to_be_disabled()


def test_engine_of_the_address_outlives_the_address(page, board):
    """`?engine=classic` counts for the tab until it is changed, because the issuer sends people to the bare address."""
    server = board()
    engines = page.get_by_role("navigation", name="Engine of the sign-in widget")
    chosen = engines.locator("[aria-current]")
    page.goto(server.url)
    expect(chosen).to_have_text("Identity Engine")
    page.goto(f"{server.url}/?engine=classic")
    expect(chosen).to_have_text("Classic engine")
    page.goto(server.url)
    expect(chosen).to_have_text("Classic engine")
    engines.get_by_role("link", name="Identity Engine").click()
    expect(chosen).to_have_text("Identity Engine")


def test_page_never_scrolls_sideways(page, board):
    """From the narrowest phone on, everything fits (WCAG 2.2, success criterion 1.4.10)."""
    page.goto(board().url)
    expect(problem(page, "The sign-in widget did not load")).to_be_visible()
    for width in (320, 375, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_another_text_after_a_lost_answer_is_another_message(page, board, scratch):
    """Only the same text is repeated under its id; an edited one would collide with what may have been stored."""
    unavailable = (503, {"error": "store_unavailable", "error_description": "Try again."})
    api = scratch(unavailable)
    page.goto(board(API_URL=api.url).url)
    post(page, "first thought")
    expect(problem(page, "The API refused").get_by_role("button", name="Try again")).to_be_visible()
    post(page, "second thought")
    expect(page.get_by_role("button", name="Post message")).to_be_enabled()
    asked = [urllib.parse.parse_qs(body) for body in api.bodies]
    assert [body["message"][0].split()[0] for body in asked] == ["first", "first", "second", "second"]
    assert len({body["id"][0] for body in asked}) == 2
