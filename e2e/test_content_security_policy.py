"""The policy that the page runs under."""

from playwright.sync_api import expect

from e2e.people import ALICE

COLLECT = """
    addEventListener("securitypolicyviolation", (event) => {
        console.warn("CSP", event.effectiveDirective, event.blockedURI);
    });
"""


def test_nothing_on_the_page_violates_its_policy(board, engine, text):
    """Refused, signed in, posted, renewed and signed out: the widget and the page need nothing that is forbidden."""
    violations = []
    board.page.on("console", lambda line: violations.append(line.text) if "CSP" in line.text else None)
    board.page.on("console", lambda line: violations.append(line.text) if "Content Security" in line.text else None)
    board.page.add_init_script(COLLECT)
    board.open(engine)
    board.gate.enter(ALICE.with_password("not it"))
    expect(board.gate.unable).to_be_visible()
    board.gate.enter(ALICE)
    expect(board.person).to_be_visible()
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    board.sign_out()
    expect(board.gate.username).to_be_visible()
    assert violations == []


def test_policy_really_stops_what_it_forbids(board):
    """A script and a request that the policy forbids do not run: the test above would see them."""
    violations = []
    board.page.on("console", lambda line: violations.append(line.text) if line.text.startswith("CSP ") else None)
    board.page.add_init_script(COLLECT)
    board.open()
    expect(board.gate.username).to_be_visible()
    board.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'oops = 1'}))"
    )
    assert board.page.evaluate("typeof oops") == "undefined"
    assert violations == ["CSP script-src-elem inline"]
