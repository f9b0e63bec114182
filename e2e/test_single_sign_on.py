"""Somebody who has signed in at the issuer already."""

from playwright.sync_api import expect

from e2e.people import ALICE
from e2e.sign_in import sign_in


def test_session_at_the_issuer_spares_the_password(board, deployment):
    """With the issuer's session cookie and no token, the Identity Engine's widget lets the person in by itself."""
    sign_in(board.page.context, deployment, ALICE)
    board.open("identity")
    expect(board.person).to_contain_text(ALICE.login)
