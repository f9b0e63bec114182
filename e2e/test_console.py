"""The way from the page to the issuer's console."""

from playwright.sync_api import expect


def test_footer_leads_to_the_console_of_the_testbeds_issuer(board, deployment, issuer):
    """Where tokens are broken and requests are shown is named on the page, and reached by keyboard."""
    board.open()
    expect(board.console_link).to_have_attribute("href", f"{deployment.org}/")
    board.console_link.press("Enter")
    expect(board.page).to_have_url(f"{deployment.org}/")
    expect(board.page.get_by_role("heading", level=1)).to_be_visible()
