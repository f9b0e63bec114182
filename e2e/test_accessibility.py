"""What axe-core finds on the page that keeps people out: names, roles, landmarks, contrast."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from e2e.people import ALICE

# The widget's <main> has the role of a group: its own affair.
OF_THE_WIDGET = {"aria-allowed-role"}


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html']}" for each in found if each["id"] not in OF_THE_WIDGET for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_on_the_page_keeps_people_out(board, engine, scheme, text):
    """Signed out, refused and signed in, in both colour schemes: axe-core finds nothing to complain of."""
    board.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    board.open(engine)
    expect(board.gate.username).to_be_visible()
    assert violations(board.page) == []
    board.post(text)
    expect(board.problem).to_be_visible()
    assert violations(board.page) == []
    board.gate.enter(ALICE)
    expect(board.person).to_be_visible()
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    board.show_wire()
    assert violations(board.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_in_a_refusal_keeps_people_out(board, issuer, person, scheme):
    """The refusal of a signed-in person's token, with every check on the wire."""
    board.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    with issuer.fault("wrong_audience", person):
        board.open()
        board.gate.enter(person)
        board.show_checks_button.click()
    expect(board.checks.first).to_be_visible()
    assert violations(board.page) == []
