"""An answer that gets lost."""

from playwright.sync_api import Route, expect

from e2e.people import ALICE


def test_message_whose_answer_is_lost_is_stored_once(signed_in, deployment, text):
    """The page asks again under the same id, and the function recognises the message."""
    board = signed_in(ALICE)
    lost: list[int] = []

    def lose_the_first_answer(route: Route) -> None:
        if "message=" in (route.request.post_data or "") and not lost:
            lost.append(route.fetch().status)
            route.abort("connectionreset")
        else:
            route.continue_()

    board.page.route(deployment.api_url, lose_the_first_answer)
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    assert lost == [200]
    board.page.reload()
    expect(board.message(text)).to_have_count(1)
