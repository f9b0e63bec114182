"""A message outlives the page that posted it."""

from playwright.sync_api import expect

from e2e.people import ALICE


def test_message_and_sign_in_survive_a_reload(signed_in, text):
    """After a reload the person is still signed in and the message still in the list."""
    board = signed_in(ALICE)
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    board.page.reload()
    expect(board.person).to_contain_text(ALICE.login)
    expect(board.message(text)).to_have_count(1)
