"""An expired password."""

from playwright.sync_api import expect

from e2e.people import EXPIRED


def test_expired_password_must_be_changed_first(board, engine):
    """The widget asks for a new password instead of letting the person in."""
    board.open(engine)
    board.gate.enter(EXPIRED)
    expect(board.gate.new_password).to_be_visible()
    expect(board.person).to_be_hidden()
