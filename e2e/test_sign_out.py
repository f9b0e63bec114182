"""Sign out, here and at the issuer."""

from playwright.sync_api import expect

from e2e.people import ALICE


def test_sign_out_ends_the_sign_in_here_and_at_the_issuer(signed_in, deployment):
    """The page asks for a password again, keeps no token, and the issuer has no session that would give it one."""
    board = signed_in(ALICE)
    board.sign_out()
    expect(board.gate.username).to_be_visible()
    expect(board.status).to_have_text("You are signed out, here and at the issuer.")
    expect(board.page).to_have_url(deployment.redirect_uri)
    assert board.page.evaluate("Object.values({...localStorage}).join().includes('eyJ')") is False
    assert board.page.request.get(f"{deployment.org}/api/v1/sessions/me").status == 404


def test_sign_out_in_one_tab_ends_the_other(signed_in):
    """A second tab of the same browser does not go on showing somebody who has left."""
    first = signed_in(ALICE)
    second = type(first)(first.page.context.new_page()).open()
    expect(second.sign_out_button).to_be_visible()
    first.sign_out()
    expect(second.gate.username).to_be_visible()
    expect(second.person).to_be_hidden()
