"""Post without signing in."""

from playwright.sync_api import expect

from e2e.people import ALICE


def test_post_without_sign_in_shows_the_refusal_of_the_api(board, text):
    """The form works for everybody; the API answers 401 and the page shows its code and reason."""
    board.open()
    expect(board.gate.username).to_be_visible()
    answer = board.post_and_wait(text)
    assert answer.status == 401
    assert answer.header_value("www-authenticate") == "Bearer"
    refusal = answer.json()
    expect(board.problem).to_contain_text(f"401 {refusal['error']}: {refusal['error_description']}")
    board.show_wire()
    expect(board.answer).to_contain_text("www-authenticate: Bearer")


def test_refused_text_stays_and_is_posted_after_signing_in(board, text):
    """What was written before signing in is not lost, and is stored only then."""
    board.open()
    expect(board.gate.username).to_be_visible()
    board.post_and_wait(text)
    expect(board.problem).to_be_visible()
    board.problem.get_by_role("button", name="Sign in").click()
    expect(board.gate.username).to_be_focused()
    board.gate.enter(ALICE)
    expect(board.person).to_be_visible()
    expect(board.message(text)).to_have_count(0)
    expect(board.field).to_have_value(text)
    board.post_button.click()
    expect(board.message(text)).to_have_count(1)
