"""Two people on one board."""

from playwright.sync_api import expect

from e2e.people import ALICE, BOB


def test_two_people_see_each_others_messages_with_the_right_names(signed_in, text):
    """Each sees both messages, the newer one last, each under its author, and only their own as their own."""
    alice, bob = signed_in(ALICE), signed_in(BOB)
    alice.post(f"From Alice: {text}")
    expect(alice.message(text)).to_have_count(1)
    bob.post(f"From Bob: {text}")
    expect(bob.message(text)).to_have_count(2)
    alice.refresh()
    for board in (alice, bob):
        first, second = board.message(text).nth(0), board.message(text).nth(1)
        expect(first).to_contain_text(f"From Alice: {text}")
        expect(first).to_contain_text(ALICE.login)
        expect(second).to_contain_text(f"From Bob: {text}")
        expect(second).to_contain_text(BOB.login)
    expect(alice.message(text).filter(has=alice.page.get_by_text("you", exact=True))).to_contain_text(ALICE.login)
    expect(bob.message(text).filter(has=bob.page.get_by_text("you", exact=True))).to_contain_text(BOB.login)


def test_message_of_another_person_arrives_by_itself(signed_in, text):
    """Nobody has to press Refresh: the page looks now and then."""
    alice, bob = signed_in(ALICE), signed_in(BOB)
    bob.post(text)
    expect(alice.message(text)).to_have_count(1)
