"""The page by keyboard alone."""

import pytest
from playwright.sync_api import Locator, Page, expect

from e2e.people import ALICE

LOOK_AT_FOCUS = """
    () => {
        const element = document.activeElement;
        if (element === document.body || element.dataset.reached) return null;
        element.dataset.reached = "yes";
        return [element.id || element.outerHTML, getComputedStyle(element).outlineStyle];
    }
"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus, as somebody without a mouse would."""
    for _ in range(40):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab never reaches {target}")


def test_everything_works_by_keyboard(board, text):
    """Signing in, posting and signing out need no mouse, and the focus goes where one would go on."""
    board.open()
    expect(board.gate.username).to_be_visible()
    keyboard = board.page.keyboard
    tab_to(board.page, board.gate.username)
    keyboard.type(ALICE.login)
    tab_to(board.page, board.gate.password)
    keyboard.type(ALICE.password)
    keyboard.press("Enter")
    expect(board.person).to_contain_text(ALICE.login)
    expect(board.field).to_be_focused()
    keyboard.type(text)
    keyboard.press("Control+Enter")
    expect(board.message(text)).to_have_count(1)
    tab_to(board.page, board.sign_out_button)
    keyboard.press("Enter")
    expect(board.gate.username).to_be_visible()


def test_username_is_focused_first(board, engine):
    """Whoever came to sign in can type at once, and sees where."""
    board.open(engine)
    expect(board.gate.username).to_be_focused()
    expect(board.gate.username.locator("..")).to_have_css("outline-style", "solid")


def test_widget_does_not_interrupt_who_writes(board, text):
    """It may come late, while somebody writes a message; the rest is not typed into its username."""
    discovery, held = "**/.well-known/openid-configuration", []
    board.page.route(discovery, lambda route: held.append(route), times=1)  # noqa: PLW0108  # Playwright looks at it
    with board.page.expect_request(discovery):
        board.open("identity")
    board.field.focus()
    held[0].continue_()
    board.page.keyboard.type(text, delay=20)
    expect(board.gate.username).to_be_visible()
    expect(board.field).to_be_focused()
    expect(board.field).to_have_value(text)
    expect(board.gate.username).to_have_value("")


def test_focus_is_always_visible(signed_in):
    """Whatever Tab reaches shows an outline (WCAG 2.2, success criterion 2.4.7)."""
    board = signed_in(ALICE)
    reached = []
    while True:
        board.page.keyboard.press("Tab")
        element = board.page.evaluate(LOOK_AT_FOCUS)
        if element is None:
            break
        reached.append(element)
    assert {"sign-out", "refresh", "message", "post-button"} <= {name for name, _ in reached}
    assert [name for name, outline in reached if outline == "none"] == []


def test_skip_links_lead_to_the_messages_and_past_them(board):
    """The first two stops of Tab skip what is the same on every visit, and a long list."""
    board.open()
    expect(board.gate.username).to_be_visible()
    board.page.get_by_role("link", name="Skip to the messages").press("Enter")
    expect(board.region.get_by_role("heading", name="Messages")).to_be_focused()
    board.page.get_by_role("link", name="Skip to writing one").press("Enter")
    expect(board.field).to_be_focused()
