"""A board with more messages than the API lists at once."""

from playwright.sync_api import expect

from e2e.people import ALICE
from e2e.sign_in import sign_in

POST_MANY = """
    async ([url, token, texts]) => {
        for (const message of texts) {
            const body = new URLSearchParams({ token, message, limit: 1 });
            const answer = await fetch(url, { method: "POST", body });
            if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
        }
    }
"""


def test_earlier_messages_are_shown_on_request(signed_in, deployment, text):
    """The newest fifty are listed; a button brings those before them, and the order stays."""
    board = signed_in(ALICE)
    token = sign_in(board.page.context, deployment, ALICE).access
    texts = [f"first {text}", *(f"number {number} {text}" for number in range(50))]
    board.page.evaluate(POST_MANY, [deployment.api_url, token, texts])
    board.page.reload()
    expect(board.message(f"number 49 {text}")).to_have_count(1)
    expect(board.message(f"first {text}")).to_have_count(0)
    board.earlier_button.click()
    expect(board.message(f"first {text}")).to_have_count(1)
    expect(board.message(text).first).to_contain_text(f"first {text}")
    expect(board.message(text).last).to_contain_text(f"number 49 {text}")
