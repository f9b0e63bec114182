"""What axe-core finds on the issuer's own pages that keeps people out."""

from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from mock_idp.tests.wire import RunningIssuer

pytestmark = pytest.mark.browser

REQUEST = {
    "client_id": "demo-spa",
    "response_type": "code",
    "scope": "openid",
    "state": "s",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}
V1 = "/oauth2/default/v1"
PAGES = {
    "the console": ("/", "Mock issuer"),
    "signing in": (f"{V1}/authorize?{urlencode(REQUEST | {'redirect_uri': 'http://localhost:5555/cb'})}", "Sign in"),
    "a refusal": (
        f"{V1}/authorize?{urlencode(REQUEST | {'redirect_uri': 'http://elsewhere.example/'})}",
        "That did not work",
    ),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_on_the_issuers_pages_keeps_people_out(page: Page, running: RunningIssuer, name, scheme):
    """Console, sign-in and error page, in both colour schemes: axe-core finds nothing to complain of."""
    path, heading = PAGES[name]
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(running.origin + path)
    expect(page.get_by_role("heading", name=heading).first).to_be_visible()
    found = Axe().run(page).response["violations"]
    assert [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]] == []
