"""Delete a message of one's own."""

from playwright.sync_api import expect

from e2e.people import ALICE, BOB


def test_person_deletes_their_own_message_for_everybody(signed_in, text):
    """Only the author is offered to delete it; after being asked once more, it is gone from everybody's list."""
    alice, bob = signed_in(ALICE), signed_in(BOB)
    alice.post(text)
    expect(alice.message(text)).to_have_count(1)
    bob.refresh()
    expect(bob.message(text)).to_have_count(1)
    expect(bob.delete_button(text)).to_have_count(0)
    alice.delete(text)
    expect(alice.message(text)).to_have_count(0)
    expect(alice.status).to_have_text("Your message is deleted.")
    bob.refresh()
    expect(bob.message(text)).to_have_count(0)


def test_first_press_of_delete_only_asks(signed_in, text):
    """There is no way back, so a slip of the finger deletes nothing."""
    board = signed_in(ALICE)
    board.post(text)
    board.delete_button(text).click()
    board.field.click()
    expect(board.delete_button(text)).to_have_count(1)
    expect(board.message(text)).to_have_count(1)
