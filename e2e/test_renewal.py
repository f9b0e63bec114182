"""A sign-in that outlives its access token, and one that doesn't."""

import pytest
from playwright.sync_api import expect

from e2e.pages.board import Board
from e2e.people import ALICE


def age(board: Board, *, without: str | None = None) -> str:
    """Let the kept tokens be about to end, one kind of them gone; answer the access token as it was."""
    tokens = board.kept_tokens()
    for token in tokens.values():
        token["expiresAt"] = 1
    if without:
        del tokens[without]
    board.keep(tokens)
    return str(tokens["accessToken"]["accessToken"])


@pytest.mark.parametrize("without", [None, "refreshToken"], ids=["by-refresh-token", "by-session"])
def test_token_that_ends_is_renewed_unnoticed(signed_in, text, without):
    """By the refresh token, or through a hidden frame and the issuer's session where there is none."""
    board = signed_in(ALICE)
    former = age(board, without=without)
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    assert board.kept_tokens()["accessToken"]["accessToken"] != former


def test_sign_in_that_ended_while_away_is_told(signed_in):
    """Somebody who comes back too late learns why they have to sign in again."""
    board = signed_in(ALICE)
    age(board, without="refreshToken")
    board.page.context.clear_cookies()
    board.page.reload()
    expect(board.problem).to_contain_text("Your sign-in has ended")
    expect(board.gate.username).to_be_visible()


def test_sign_in_that_ended_is_told_and_the_text_stays(signed_in, text):
    """When the issuer renews no more, the page says so and asks for the password again; the text is not lost."""
    board = signed_in(ALICE)
    age(board, without="refreshToken")
    board.page.context.clear_cookies()
    board.post(text)
    expect(board.problem).to_contain_text("Your sign-in has ended")
    expect(board.gate.username).to_be_visible()
    expect(board.person).to_be_hidden()
    expect(board.field).to_have_value(text)
    board.gate.enter(ALICE)
    expect(board.person).to_be_visible()
    board.post_button.click()
    expect(board.message(text)).to_have_count(1)
