"""Markup in a message."""

from playwright.sync_api import expect

from e2e.people import ALICE, BOB

MARKUP = (
    "<script>document.title = 'broken into'</script>"
    "<img src=x onerror=\"document.title = 'broken into'\">"
    "<b>bold</b> &amp; &lt;i&gt; "
    "'\"--></textarea><svg onload=alert(1)>"
)


def test_markup_in_a_message_stays_text(signed_in, text):
    """Another person sees exactly the characters that were typed, and nothing of them becomes part of the page."""
    alice, bob = signed_in(ALICE), signed_in(BOB)
    alice.post(f"{MARKUP} {text}")
    expect(alice.message(text)).to_have_count(1)
    bob.refresh()
    for board in (alice, bob):
        expect(board.message(text).get_by_text(f"{MARKUP} {text}", exact=True)).to_be_visible()
        assert board.messages.locator("script, img, b, svg, textarea").count() == 0
        expect(board.page).to_have_title("Gatehouse")
