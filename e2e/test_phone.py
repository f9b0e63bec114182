"""The page on a phone."""

from playwright.sync_api import Page, expect

from e2e.pages.board import Board
from e2e.people import ALICE

NARROWEST = {"viewport": {"width": 320, "height": 640}, "is_mobile": True, "has_touch": True}


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= 320"))


def test_page_works_on_the_narrowest_phone(new_context, deployment, text):
    """At 320 px nothing is cut off or scrolls sideways, and signing in and posting work by touch."""
    board = Board(new_context(**NARROWEST).new_page())
    for engine in ("classic", "identity"):
        board.open(engine)
        expect(board.gate.username).to_be_visible()
        assert fits(board.page)
    board.gate.enter(ALICE)
    expect(board.person).to_be_visible()
    board.field.fill(f"{'unbreakable' * 30} {text}")
    board.post_button.tap()
    expect(board.message(text)).to_have_count(1)
    assert fits(board.page)
    expect(board.sign_out_button).to_be_in_viewport()


def test_refusal_fits_on_the_narrowest_phone(new_context, deployment, issuer, person):
    """What is said of a refused token, its checks and values, breaks into lines."""
    board = Board(new_context(**NARROWEST).new_page())
    with issuer.fault("wrong_issuer", person):
        board.open()
        board.gate.enter(person)
        board.show_checks_button.tap()
    expect(board.checks.first).to_be_visible()
    assert fits(board.page)
