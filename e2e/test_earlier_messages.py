"""A board with more messages than the API lists at once."""

from playwright.sync_api import Route, expect

from e2e.people import ALICE

AT_ONCE = 5


def test_earlier_messages_are_shown_on_request(signed_in, deployment, text):
    """The newest are listed; a button brings those before them, and the order stays."""
    board = signed_in(ALICE)

    def list_few(route: Route) -> None:
        route.continue_(post_data=f"{route.request.post_data}&limit={AT_ONCE}")

    board.page.route(deployment.api_url, list_few)
    for number in range(AT_ONCE + 1):
        assert board.post_and_wait(f"number {number} {text}").ok
    board.refresh()
    expect(board.message(f"number 0 {text}")).to_have_count(0)
    expect(board.earlier_button).to_be_visible()
    # Other tests write on the same board meanwhile.
    while board.message(text).count() <= AT_ONCE:
        before = board.messages.count()
        board.earlier_button.click()
        expect(board.messages).not_to_have_count(before)
    for number in range(AT_ONCE + 1):
        expect(board.message(text).nth(number)).to_contain_text(f"number {number} {text}")
