"""A wrong password."""

from playwright.sync_api import expect

from e2e.people import ALICE


def test_wrong_password_is_told_and_may_be_corrected(board, engine):
    """The widget says that it is unable to sign in, and the right password still works after that."""
    board.open(engine)
    board.gate.enter(ALICE.with_password("not it"))
    expect(board.gate.unable).to_be_visible()
    expect(board.person).to_be_hidden()
    board.gate.enter(ALICE)
    expect(board.person).to_contain_text(ALICE.login)
