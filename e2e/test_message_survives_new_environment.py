"""A message outlives the execution environment that stored it."""

import pytest
from playwright.sync_api import expect

from e2e.cloud import Cloud
from e2e.people import ALICE


@pytest.fixture
def cloud(deployment) -> Cloud:
    if deployment.cloud is None:
        pytest.skip("the API is not on LocalStack, and this test changes the function's configuration")
    return Cloud(deployment)


def test_message_survives_a_new_execution_environment(signed_in, cloud, text):
    """Nothing is kept in the function: another environment lists the message, and it has logged that it ran."""
    board = signed_in(ALICE)
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    known = cloud.environments()
    cloud.replace_environments()
    board.page.reload()
    expect(board.message(text)).to_have_count(1)
    assert cloud.has_new_environment(known)
