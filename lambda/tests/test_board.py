"""What a person can do: post, list, page, repeat, delete."""

import pytest


def test_post_returns_the_message_newest_last(call, alice, bob):
    """Everybody sees everybody's messages, each with its author's name from the token."""
    call.form(token=alice, message="first")
    reply = call.form(token=bob, message="second")
    assert reply.status == 200
    assert [(m["author"], m["text"]) for m in reply.json["messages"]] == [
        ("alice@example.com", "first"),
        ("bob@example.com", "second"),
    ]
    assert reply.json["next"] is None


def test_post_without_message_only_lists(call, alice):
    call.form(token=alice, message="first")
    assert call.form(token=alice).texts == ["first"]


def test_author_comes_from_the_token_only(call, alice):
    reply = call.form(token=alice, message="hi", author="bob@example.com", sub="bob@example.com")
    assert reply.json["messages"][0]["author"] == "alice@example.com"


def test_message_has_exactly_the_public_members(call, alice):
    reply = call.form(token=alice, message="hi", id="one")
    (message,) = reply.json["messages"]
    assert set(message) == {"id", "author", "text", "created_at"}
    assert message["id"] == "one"
    assert message["created_at"].endswith("Z")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a\nb\tc", "é 日本 🎉", " padded ", "%41 + & ="])
def test_text_comes_back_as_it_was_sent(call, alice, text):
    assert call.form(token=alice, message=text).texts == [text]


def test_message_of_4096_bytes_is_taken_one_more_is_not(call, alice):
    assert call.form(token=alice, message="é" * 2048).status == 200
    reply = call.form(token=alice, message="é" * 2048 + "x")
    assert (reply.status, reply.error) == (400, "message_too_long")


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_blank_message_is_refused(call, alice, text):
    reply = call.form(token=alice, message=text)
    assert (reply.status, reply.error) == (400, "empty_message")


def test_repeated_post_with_an_id_stores_the_message_once(call, alice):
    """The same message comes back, once, however often it is sent."""
    first = call.form(token=alice, message="hi", id="one").json["messages"]
    call.form(token=alice, message="other")
    again = call.form(token=alice, message="hi", id="one").json["messages"]
    assert again[0] == first[0]
    assert [m["text"] for m in again] == ["hi", "other"]


def test_repeat_of_an_old_message_returns_it_before_the_newest(call, alice):
    """A page that does not reach back to the message still brings it."""
    call.form(token=alice, message="old", id="one")
    for number in range(3):
        call.form(token=alice, message=str(number))
    assert call.form(token=alice, message="old", id="one", limit="2").texts == ["old", "1", "2"]


def test_id_with_another_text_is_refused(call, alice):
    call.form(token=alice, message="hi", id="one")
    reply = call.form(token=alice, message="something else", id="one")
    assert (reply.status, reply.error) == (409, "id_in_use")
    assert call.form(token=alice).texts == ["hi"]


def test_two_people_may_choose_the_same_id(call, alice, bob):
    call.form(token=alice, message="hers", id="one")
    assert call.form(token=bob, message="his", id="one").texts == ["hers", "his"]


@pytest.mark.parametrize("message_id", ["", "a b", "x" * 65, "é", "a\n"])
def test_malformed_id_is_refused(call, alice, message_id):
    reply = call.form(token=alice, message="hi", id=message_id)
    assert (reply.status, reply.error) == (400, "invalid_id")


def test_list_has_the_newest_fifty_and_pages_back_to_the_first(call, alice):
    """Every message is on exactly one page, in order."""
    sent = [f"message {number}" for number in range(57)]
    for text in sent:
        call.form(token=alice, message=text)
    page = call.request("GET", alice)
    assert page.texts == sent[-50:]
    before = call.request("GET", alice, cursor=page.json["next"])
    assert before.texts == sent[:7]
    assert before.json["next"] is None


def test_limit_bounds_the_page(call, alice):
    for number in range(5):
        call.form(token=alice, message=str(number))
    pages, cursor = [], ""
    while cursor is not None:
        page = call.request("GET", alice, limit="2", **({"cursor": cursor} if cursor else {}))
        pages.append(page.texts)
        cursor = page.json["next"]
    assert pages == [["3", "4"], ["1", "2"], ["0"]]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "ten", "", "٣", "1" * 50])
def test_bad_limit_is_refused(call, alice, limit):
    reply = call.request("GET", alice, limit=limit)
    assert (reply.status, reply.error) == (400, "invalid_limit")


@pytest.mark.parametrize("cursor", ["x", "é", "A" * 67, "A" * 1000, "MTIz", "=", "\x00"])
def test_forged_cursor_is_refused(call, alice, cursor):
    reply = call.request("GET", alice, cursor=cursor)
    assert (reply.status, reply.error) == (400, "invalid_cursor")


def test_delete_removes_ones_own_message(call, alice):
    call.form(token=alice, message="hi", id="one")
    reply = call.request("DELETE", alice, id="one")
    assert (reply.status, reply.json["messages"]) == (200, [])


def test_delete_of_another_persons_message_is_not_found(call, alice, bob):
    call.form(token=alice, message="hi", id="one")
    reply = call.request("DELETE", bob, id="one")
    assert (reply.status, reply.error) == (404, "not_found")
    assert call.request("GET", bob).texts == ["hi"]


def test_delete_of_an_unknown_message_is_not_found(call, alice):
    reply = call.request("DELETE", alice, id="one")
    assert (reply.status, reply.error) == (404, "not_found")


def test_repeated_delete_is_harmless(call, alice):
    """A page whose answer was lost asks again."""
    call.form(token=alice, message="hi", id="one")
    call.form(token=alice, message="stays")
    call.request("DELETE", alice, id="one")
    assert call.request("DELETE", alice, id="one").texts == ["stays"]


def test_deleted_message_is_not_brought_back_by_a_late_repeat(call, alice):
    call.form(token=alice, message="hi", id="one")
    call.request("DELETE", alice, id="one")
    reply = call.form(token=alice, message="hi", id="one")
    assert (reply.status, reply.error) == (409, "id_in_use")
    assert call.request("GET", alice).texts == []


def test_message_with_a_made_id_can_be_deleted(call, alice):
    message_id = call.form(token=alice, message="hi").json["messages"][0]["id"]
    assert call.request("DELETE", alice, id=message_id).status == 200
