"""The widget in another language."""

import pytest
from playwright.sync_api import expect


@pytest.mark.browser_context_args(locale="de-DE")
def test_widget_speaks_the_language_of_the_browser(board):
    """Its texts come from the page's own server, not from a network of Okta's that the policy would refuse."""
    failed: list[str] = []
    board.page.on("requestfailed", lambda request: failed.append(request.url))
    board.open()
    expect(board.gate.region.get_by_label("Benutzername")).to_be_visible()
    assert failed == []
