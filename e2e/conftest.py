"""Fixtures of the browser tests: the deployment under test, and people in browsers of their own."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from e2e.deployment import Deployment, read_deployment
from e2e.elsewhere import served_elsewhere
from e2e.issuer import MockIssuer
from e2e.pages.board import Board
from e2e.people import Person
from e2e.sign_in import STORAGE_KEY, sign_in

HERE = Path(__file__).parent
ENGINES = ("identity", "classic")

# For a busy machine: what is there at once costs no time.
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser and the whole stack."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def base_url() -> str:
    """The page under test."""
    return os.environ.get("BASE_URL", "http://localhost:8080").rstrip("/")


@pytest.fixture(scope="session")
def deployment(base_url: str) -> Deployment:
    return read_deployment(base_url)


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[str]:
    """A page at an origin that neither the API nor the cloud knows."""
    with served_elsewhere() as url:
        yield url


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """The labels that the tests look for are English, whatever the machine speaks."""
    return {**browser_context_args, "locale": "en-US"}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the engines that the widget can talk to."""
    return str(request.param)


@pytest.fixture
def text(request: pytest.FixtureRequest) -> str:
    """A message that no other test writes, so that tests may run side by side on one board."""
    return f"{request.node.originalname} {uuid.uuid4()}"


@pytest.fixture
def board(page: Page, deployment: Deployment) -> Board:
    """The page, not opened yet, in a browser where nobody is signed in."""
    return Board(page)


@pytest.fixture
def issuer(deployment: Deployment) -> MockIssuer:
    """The testbed's own issuer; a test that needs one is skipped where another signs people in."""
    return MockIssuer(deployment)


@pytest.fixture
def person(issuer: MockIssuer) -> Iterator[Person]:
    """Somebody whom no other test signs in as, for faults."""
    with issuer.new_person() as person:
        yield person


@pytest.fixture
def signed_in(new_context: Callable[..., BrowserContext], deployment: Deployment) -> Callable[..., Board]:
    """Open the page in a new browser context where somebody is signed in already."""

    def open_for(person: Person, **context_options: Any) -> Board:
        context = new_context(**context_options)
        tokens = sign_in(context, deployment, person)
        page = context.new_page()
        page.goto("/healthz")
        page.evaluate(
            "([key, kept]) => localStorage.setItem(key, kept)", [STORAGE_KEY, tokens.as_kept_by_auth_js(deployment)]
        )
        board = Board(page).open()
        expect(board.sign_out_button).to_be_visible()
        return board

    return open_for
