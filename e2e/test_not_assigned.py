"""Somebody whom the issuer knows, but who is not assigned to the application."""

import re

from playwright.sync_api import expect

from e2e.people import NO_APP


def test_person_who_is_not_assigned_stays_outside(board, engine):
    """The password is right, and the person is told that the application is not theirs."""
    board.open(engine)
    board.gate.enter(NO_APP)
    expect(board.gate.region.get_by_text(re.compile("not assigned", re.IGNORECASE)).first).to_be_visible()
    expect(board.person).to_be_hidden()
