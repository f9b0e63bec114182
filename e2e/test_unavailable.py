"""An API that is not there for a moment, or in whose place something else answers."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from e2e.deployment import Deployment
from e2e.people import ALICE

NOT_DEPLOYED = {"error": "not_deployed", "error_description": "The application is not deployed yet."}
HALF_A_MINUTE_MS = 30_000


@pytest.fixture
def readable(deployment: Deployment) -> dict[str, str]:
    """What lets the page read an answer that was made up here."""
    return {"Access-Control-Allow-Origin": deployment.base_url, "Access-Control-Expose-Headers": "Retry-After"}


def posts(answer: Callable[[Route], None]) -> Callable[[Route], None]:
    """Answer posted messages only."""
    return lambda route: answer(route) if "message=" in (route.request.post_data or "") else route.fallback()


def test_message_is_posted_once_the_api_is_back(signed_in, deployment, readable, text):
    """The page says what it waits for, keeps the text, and posts it under the same id when Retry-After has passed."""
    board = signed_in(ALICE)
    sent: list[str] = []

    def be_unavailable_twice(route: Route) -> None:
        sent.append(route.request.post_data or "")
        if len(sent) < 3:
            route.fulfill(status=503, headers=readable | {"Retry-After": "1"}, json=NOT_DEPLOYED)
        else:
            route.continue_()

    board.page.route(deployment.api_url, posts(be_unavailable_twice))
    board.post(text)
    expect(board.status).to_contain_text("The API is not ready")
    expect(board.status).to_contain_text("503 not_deployed: The application is not deployed yet.")
    expect(board.status).to_contain_text("Your text stays")
    expect(board.field).to_have_value(text)
    expect(board.message(text)).to_have_count(1)
    expect(board.field).to_have_value("")
    assert len(sent) == 3
    assert len(set(sent)) == 1


def test_api_that_stays_unavailable_is_told(signed_in, deployment, readable, text):
    """Patience ends: the page says so, keeps the text, and tries again when asked."""
    board = signed_in(ALICE)
    board.page.clock.install()
    answer = {"status": 503, "headers": readable | {"Retry-After": "1"}, "json": NOT_DEPLOYED}
    board.page.route(deployment.api_url, lambda route: route.fulfill(**answer))
    board.post(text)
    expect(board.status).to_contain_text("The API is not ready")
    board.page.clock.fast_forward(HALF_A_MINUTE_MS)
    expect(board.problem).to_contain_text("503 not_deployed")
    expect(board.field).to_have_value(text)
    board.page.unroute(deployment.api_url)
    board.problem.get_by_role("button", name="Try again").click()
    expect(board.message(text)).to_have_count(1)


def test_pause_that_is_too_long_is_not_waited_for(signed_in, deployment, readable, text):
    """Whom the API asks to come back in an hour is told at once."""
    board = signed_in(ALICE)
    answer = {"status": 503, "headers": readable | {"Retry-After": "3600"}, "json": NOT_DEPLOYED}
    board.page.route(deployment.api_url, lambda route: route.fulfill(**answer))
    board.post(text)
    expect(board.problem).to_contain_text("503 not_deployed")


@pytest.mark.parametrize(
    "answer",
    [(200, ""), (200, "<h1>It works</h1>"), (200, "{}"), (204, ""), (404, "not here"), (500, "[]")],
)
def test_answer_that_is_not_the_apis_is_no_success(signed_in, deployment, readable, text, answer):
    """Whatever its status: the text stays, the page says what is wrong, and trying again posts it once."""
    board = signed_in(ALICE)
    status, body = answer
    board.page.route(deployment.api_url, posts(lambda route: route.fulfill(status=status, headers=readable, body=body)))
    board.post(text)
    expect(board.problem).to_contain_text("Something else answered in place of the API")
    expect(board.problem).to_contain_text(deployment.api_url)
    expect(board.field).to_have_value(text)
    board.page.unroute(deployment.api_url)
    board.problem.get_by_role("button", name="Try again").click()
    expect(board.message(text)).to_have_count(1)
    expect(board.problem).to_be_empty()
