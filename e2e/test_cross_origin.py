"""The API from other origins, asked by a real browser."""

import pytest
from playwright.sync_api import expect

from e2e.people import ALICE
from e2e.sign_in import sign_in

ASK = """
    async ([url, token, transport]) => {
        const asked = transport === "header"
            ? { headers: { Authorization: `Bearer ${token}` } }
            : { method: "POST", body: new URLSearchParams({ token }) };
        try {
            const answer = await fetch(url, asked);
            return answer.status;
        } catch (error) {
            return error.name;
        }
    }
"""


@pytest.fixture(params=["header", "form"])
def transport(request: pytest.FixtureRequest) -> str:
    """How the token travels: in the Authorization header, which needs a preflight, or in the form, which doesn't."""
    return str(request.param)


def test_page_may_ask_either_way(page, deployment, transport):
    """From the page's own origin both ways work, the preflight for the header included."""
    token = sign_in(page.context, deployment, ALICE).access
    page.goto("/healthz")
    assert page.evaluate(ASK, [deployment.api_url, token, transport]) == 200


def test_page_elsewhere_learns_nothing(page, deployment, transport, elsewhere):
    """From another origin the browser withholds the answer, even with a valid token."""
    token = sign_in(page.context, deployment, ALICE).access
    page.goto(elsewhere)
    expect(page).to_have_title("Elsewhere")
    assert page.evaluate(ASK, [deployment.api_url, token, transport]) == "TypeError"
