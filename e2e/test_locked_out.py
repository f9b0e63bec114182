"""A locked account."""

import re

from playwright.sync_api import expect

from e2e.people import LOCKED


def test_locked_account_is_told_so(board, engine):
    """The right password does not help: the widget says that the account is locked."""
    board.open(engine)
    board.gate.enter(LOCKED)
    expect(board.gate.region.get_by_text(re.compile("account is locked", re.IGNORECASE)).first).to_be_visible()
    expect(board.person).to_be_hidden()
