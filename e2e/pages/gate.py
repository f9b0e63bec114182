"""Okta's Sign-In Widget, as it stands in the page; both engines have the same labels."""

from playwright.sync_api import Page

from e2e.people import Person


class Gate:
    """The part of the page where people sign in."""

    def __init__(self, page: Page) -> None:
        self.region = page.get_by_role("region", name="Sign in", exact=True)
        self.username = self.region.get_by_label("Username")
        self.password = self.region.get_by_label("Password", exact=True)
        self.next = self.region.get_by_role("button", name="Next")
        self.submit = self.region.get_by_role("button", name="Sign in")
        self.new_password = self.region.get_by_label("New password")
        self.unable = self.region.get_by_role("alert").filter(has_text="Unable to sign in").first

    def enter(self, person: Person) -> None:
        """Type a login and password and send them, on one page or, where the organisation asks so, on two."""
        self.username.fill(person.login)
        if not self.password.is_visible():
            self.next.click()
        self.password.clear()
        # At the pace of a person: the widget drops what is submitted less than 200 ms after the submission before.
        self.password.press_sequentially(person.password, delay=30)
        self.submit.click()
