"""The page: what is on it and what one does there."""

import json
from typing import Any

from playwright.sync_api import Locator, Page, Response

from e2e.pages.gate import Gate
from e2e.sign_in import STORAGE_KEY


class Board:
    """The message board."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.gate = Gate(page)
        self.region = page.get_by_role("region", name="Messages")
        self.messages = self.region.get_by_role("list", name="Messages").get_by_role("listitem")
        self.field = page.get_by_label("Your message")
        self.post_button = page.get_by_role("button", name="Post message")
        self.refresh_button = page.get_by_role("button", name="Refresh")
        self.earlier_button = page.get_by_role("button", name="Show earlier messages")
        self.sign_out_button = page.get_by_role("button", name="Sign out")
        self.person = page.get_by_role("group", name="Your sign-in")
        self.problem = self.region.get_by_role("alert")
        self.sign_in_again_button = self.problem.get_by_role("button", name="Sign in again")
        self.status = self.region.get_by_role("status")
        self.token = page.get_by_role("region", name="Your token")
        self.engine = page.get_by_role("navigation", name="Engine of the sign-in widget").locator("[aria-current]")
        self.console_link = page.get_by_role("contentinfo").get_by_role("link", name="faults, keys and requests")
        self.wire = page.get_by_role("region", name="On the wire")
        self.checks = self.wire.get_by_role("list", name="Checks of the token").get_by_role("listitem")
        self.show_checks_button = self.problem.get_by_role("button", name="Show every check")
        self.request = self.wire.get_by_label("Request")
        self.answer = self.wire.get_by_label("Answer")

    def open(self, engine: str | None = None) -> "Board":
        """Load the page, with the engine that its address asks for."""
        self.page.goto(f"/?engine={engine}" if engine else "/")
        return self

    def post(self, text: str) -> None:
        """Write a message and post it."""
        self.field.fill(text)
        self.post_button.click()

    def post_and_wait(self, text: str) -> Response:
        """Post a message, and answer what the API said to that."""
        with self.page.expect_response(lambda response: "message=" in (response.request.post_data or "")) as posted:
            self.post(text)
        return posted.value

    def message(self, text: str) -> Locator:
        """Find the messages with this text."""
        return self.messages.filter(has_text=text)

    def delete_button(self, text: str) -> Locator:
        """Find the button that deletes a message, in its first state."""
        return self.message(text).get_by_role("button", name="Delete: ")

    def delete(self, text: str) -> None:
        """Delete a message of one's own, and be sure of it."""
        self.delete_button(text).click()
        self.message(text).get_by_role("button", name="Really delete: ").click()

    def refresh(self) -> None:
        """Ask for the messages again."""
        self.refresh_button.click()

    def sign_out(self) -> None:
        """End the sign-in."""
        self.sign_out_button.click()

    def show_wire(self) -> None:
        """Unfold what went over the wire."""
        self.wire.get_by_role("heading").click()

    def kept_tokens(self) -> dict[str, Any]:
        """Read the tokens that the page keeps."""
        tokens: dict[str, Any] = json.loads(self.page.evaluate("key => localStorage.getItem(key)", STORAGE_KEY))
        return tokens

    def keep(self, tokens: dict[str, Any]) -> None:
        """Put other tokens where the page keeps them."""
        self.page.evaluate("([key, kept]) => localStorage.setItem(key, kept)", [STORAGE_KEY, json.dumps(tokens)])
