"""Sign in through the widget and post."""

from playwright.sync_api import expect

from e2e.people import ALICE


def test_person_signs_in_and_posts_with_each_engine(board, engine, text):
    """Login and password in the widget, a message in the form, and it stands in the list under the person's name."""
    board.open(engine)
    board.gate.enter(ALICE)
    expect(board.person).to_contain_text(ALICE.login)
    expect(board.field).to_be_focused()
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    expect(board.message(text)).to_contain_text(ALICE.login)
    expect(board.status).to_have_text("Your message is posted.")
    expect(board.field).to_have_value("")
