"""A token that the API refuses although the issuer has just signed it."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs

from playwright.sync_api import Request, expect

from e2e.deployment import Deployment
from e2e.pages.board import Board

A_MINUTE_MS = 60_000


@dataclass
class Traffic:
    """What the page asked for."""

    tokens: list[Request] = field(default_factory=list)
    lists: list[Request] = field(default_factory=list)


def watch(board: Board, deployment: Deployment) -> Traffic:
    traffic = Traffic()

    def note(request: Request) -> None:
        if request.method == "POST" and request.url == f"{deployment.issuer}/v1/token":
            traffic.tokens.append(request)
        elif request.method == "POST" and request.url == deployment.api_url:
            traffic.lists.append(request)

    board.page.on("request", note)
    return traffic


def spoil_kept_tokens(board: Board) -> None:
    """Break the signature of the kept access token, and lose the refresh token."""
    tokens = board.kept_tokens()
    tokens["accessToken"]["accessToken"] = tokens["accessToken"]["accessToken"][:-4] + "AAAA"
    del tokens["refreshToken"]
    board.keep(tokens)


def test_fresh_token_that_is_refused_is_renewed_once_and_then_told(board, deployment, issuer, person, engine):
    """One sign-in, one renewal, two requests to the API; then words and a button, and nothing more for a minute."""
    traffic = watch(board, deployment)
    board.page.clock.install()
    with issuer.fault("wrong_audience", person):
        board.open(engine)
        board.gate.enter(person)
        expect(board.problem).to_contain_text("The API refuses your token")
        expect(board.problem).to_contain_text("401 invalid_token")
        expect(board.sign_in_again_button).to_be_visible()
        board.page.clock.run_for(A_MINUTE_MS)
        grants = [parse_qs(request.post_data or "")["grant_type"] for request in traffic.tokens]
        assert grants[1:] == [["refresh_token"]]
        assert len(traffic.lists) == 2
        expect(board.region).not_to_contain_text("No messages yet")
        with board.page.expect_request(deployment.api_url):
            board.sign_in_again_button.click()
            # The other engine's widget goes on by itself with the session that the issuer keeps.
            if engine == "classic":
                board.gate.enter(person)
        expect(board.sign_in_again_button).to_be_visible()
        board.page.clock.run_for(A_MINUTE_MS)
        assert (len(traffic.tokens), len(traffic.lists)) == (3, 3)


def test_signing_in_again_shows_the_messages_once_the_token_is_right(board, issuer, person, text):
    """The button leads out of it without a reload, and what was written meanwhile stays."""
    with issuer.fault("wrong_audience", person):
        board.open()
        board.gate.enter(person)
        expect(board.sign_in_again_button).to_be_visible()
        board.post(text)
        expect(board.problem).to_contain_text("The API refuses your token")
    board.sign_in_again_button.click()
    expect(board.problem).to_be_empty()
    expect(board.person).to_contain_text(person.login)
    expect(board.field).to_have_value(text)
    board.post_button.click()
    expect(board.message(text)).to_have_count(1)


def test_one_refused_token_is_renewed_unnoticed(board, issuer, person, text):
    """When only this token was wrong, the person sees the messages and hears nothing of it."""
    with issuer.fault("wrong_audience", person, once=True):
        board.open()
        board.gate.enter(person)
        expect(board.person).to_contain_text(person.login)
        board.post(text)
    expect(board.message(text)).to_have_count(1)
    expect(board.problem).to_be_empty()


def test_refused_token_that_is_not_renewed_ends_the_sign_in(signed_in, deployment, issuer, person, text):
    """Without a refresh token and without a session at the issuer, the page asks before it signs anybody in."""
    board = signed_in(person)
    traffic = watch(board, deployment)
    spoil_kept_tokens(board)
    board.page.context.clear_cookies()
    board.post(text)
    expect(board.problem).to_contain_text("Your sign-in has ended")
    expect(board.person).to_be_hidden()
    assert len(traffic.lists) == 1
    board.sign_in_again_button.click()
    board.gate.enter(person)
    expect(board.person).to_contain_text(person.login)
    expect(board.field).to_have_value(text)


def test_nothing_is_said_of_the_messages_before_the_api_has_shown_them(signed_in, deployment, person):
    """An answer that has not come, or is no good, is not an empty board."""
    board = signed_in(person)
    held = []
    board.page.route(deployment.api_url, lambda route: held.append(route))  # noqa: PLW0108  # Playwright looks at it
    with board.page.expect_request(deployment.api_url):
        board.page.reload()
    expect(board.region).to_contain_text("Getting the messages")
    expect(board.region).not_to_contain_text("No messages yet")
    held[0].fulfill(
        status=403,
        headers={"Access-Control-Allow-Origin": deployment.base_url},
        json={"error": "insufficient_scope", "error_description": "The access token lacks a scope."},
    )
    expect(board.problem).to_contain_text("403 insufficient_scope")
    expect(board.region).to_contain_text("The messages could not be read")
    expect(board.region).not_to_contain_text("No messages yet")
