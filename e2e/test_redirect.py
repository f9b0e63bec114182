"""Sign in by redirect, as the page is returned to when an organisation takes people elsewhere to sign in."""

from playwright.sync_api import expect

from e2e.people import ALICE
from e2e.sign_in import sign_in

GO = """
    ({ issuer, clientId, redirectUri, scopes }) => {
        const { authClient } = new OktaSignIn({ issuer, clientId, redirectUri, scopes });
        authClient.token.getWithRedirect({ scopes });
    }
"""


def test_page_finishes_a_sign_in_that_went_through_a_redirect(board, deployment, text):
    """The code in the address becomes a sign-in, and the address is cleaned of it."""
    board.open()
    expect(board.gate.username).to_be_visible()
    sign_in(board.page.context, deployment, ALICE)
    board.page.evaluate(GO, board.page.request.get("/config.json").json())
    expect(board.person).to_contain_text(ALICE.login)
    expect(board.page).to_have_url(deployment.redirect_uri)
    board.post(text)
    expect(board.message(text)).to_have_count(1)
