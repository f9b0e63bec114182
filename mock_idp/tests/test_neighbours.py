"""What a page on another port of this machine reads with a person's session at the issuer: nothing."""

import re

import pytest
from playwright.sync_api import Page, expect

from mock_idp.tests.wire import RunningIssuer

pytestmark = pytest.mark.browser

READ = """async ([url, credentials, method, body]) => {
    const headers = body ? { "Content-Type": "application/json" } : {};
    try {
        const answer = await fetch(url, { method, credentials, headers, body: body && JSON.stringify(body) });
        return `${answer.status} ${await answer.text()}`;
    } catch (error) {
        return String(error);
    }
}"""
INTERACT = """async ([org, challenge]) => {
    const body = new URLSearchParams({
        client_id: "demo-spa", redirect_uri: `${location.origin}/`, scope: "openid", state: "s", nonce: "n",
        code_challenge: challenge, code_challenge_method: "S256",
    });
    const answer = await fetch(`${org}/oauth2/default/v1/interact`, { method: "POST", body });
    return (await answer.json()).interaction_handle;
}"""


class Neighbour:
    """A page that a developer has open beside the application, in the browser that is signed in at the issuer."""

    def __init__(self, page: Page, running: RunningIssuer, site: str, origin: str) -> None:
        self.page = page
        self.org = f"{running.origin}/ns/{running.browser().namespace}"
        self.origin = origin
        page.goto(f"{site}/7/authjs.html?engine=pkce&client=0oatestbed&org={self.org}")
        page.goto(f"{self.org}/oauth2/default/v1/authorize?{self._request(f'{site}/')}")
        page.get_by_role("button", name="Alice Archer").click()
        expect(page).to_have_url(re.compile(r"[?&]code="))

    @staticmethod
    def _request(redirect_uri: str) -> str:
        return (
            f"client_id=0oatestbed&redirect_uri={redirect_uri}&response_type=code&scope=openid&state=s&nonce=n"
            f"&code_challenge={'a' * 43}&code_challenge_method=S256"
        )

    def open(self, origin: str | None = None) -> None:
        self.page.goto(f"{origin or self.origin}/authjs.html")

    def read(self, path: str, credentials: str = "include", method: str = "GET", body: object = None) -> str:
        return self.page.evaluate(READ, [self.org + path, credentials, method, body])


@pytest.fixture
def signed_in(page: Page, running: RunningIssuer, site: str, neighbour: str) -> Neighbour:
    return Neighbour(page, running, site, neighbour)


def test_neighbour_reads_no_session(signed_in: Neighbour, site: str):
    """The registered page reads the session with its cookie; a neighbour neither reads, ends nor uses it."""
    signed_in.open(site)
    assert "alice@example.com" in signed_in.read("/api/v1/sessions/me")
    signed_in.open()
    assert "Failed to fetch" in signed_in.read("/api/v1/sessions/me")
    assert "Failed to fetch" in signed_in.read("/api/v1/sessions/me", method="DELETE")
    assert signed_in.read("/api/v1/sessions/me", "omit").startswith("404 ")
    handle = signed_in.page.evaluate(INTERACT, [signed_in.org, "a" * 43])
    body = {"interactionHandle": handle}
    assert "Failed to fetch" in signed_in.read("/idp/idx/introspect", "include", "POST", body)
    begun = signed_in.read("/idp/idx/introspect", "omit", "POST", body)
    assert '"name": "identify"' in begun
    assert "interaction_code" not in begun
    signed_in.open(site)
    assert "alice@example.com" in signed_in.read("/api/v1/sessions/me")
