"""Why a token was refused, in words."""

import pytest
from playwright.sync_api import expect

# Fault of the issuer: the check that fails, and what the token has there.
FAULTS = {
    "wrong_audience": ("It is meant for this API (aud).", "api://another"),
    "wrong_issuer": ("It is from the issuer that this API trusts (iss).", "https://issuer.example.org/oauth2/default"),
    "wrong_client": ("It was issued to a client that this API serves (cid).", "0oaanotherclient"),
    "tampered_signature": ("The key verifies its signature.", "one that is not"),
    "expired": ("It has not expired (exp).", "UTC"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refusal_names_the_check_and_the_wire_shows_all(board, issuer, person, fault):
    """The notice says which check failed; behind its button stand all, as far as they got, and never the token."""
    text, got = FAULTS[fault]
    with issuer.fault(fault, person):
        board.open()
        board.gate.enter(person)
        expect(board.problem).to_contain_text(text)
        board.show_checks_button.press("Enter")
    expect(board.wire.get_by_role("heading", name="Checks of the token")).to_be_focused()
    failed = board.checks.filter(has_text="failed")
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text(text)
    expect(failed.get_by_role("definition").last).to_contain_text(got)
    expect(board.checks.first).to_contain_text("done")
    expect(board.checks.last).to_contain_text("not reached")
    assert board.kept_tokens()["accessToken"]["accessToken"].split(".")[2] not in board.page.content()


def test_accepted_token_shows_no_checks(signed_in, person, text):
    """The next good answer takes them away."""
    board = signed_in(person)
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    board.show_wire()
    expect(board.answer).to_be_visible()
    expect(board.checks).to_have_count(0)
