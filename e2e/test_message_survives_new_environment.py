"""A message outlives the execution environment that stored it."""

import pytest
from playwright.sync_api import expect

from e2e.cloud import Cloud
from e2e.people import ALICE
from e2e.sign_in import sign_in


@pytest.fixture
def cloud(deployment) -> Cloud:
    if deployment.cloud is None:
        pytest.skip("the API is not on LocalStack, and this test publishes a version of the function")
    return Cloud(deployment)


def test_message_survives_a_new_execution_environment(signed_in, deployment, cloud, text):
    """Nothing is kept in the function: an environment that has never run before knows the message and its author."""
    board = signed_in(ALICE)
    board.post(text)
    expect(board.message(text)).to_have_count(1)
    token = sign_in(board.page.context, deployment, ALICE).access
    with cloud.new_environment() as version:
        listed = {message["text"]: message["author"] for message in cloud.list_messages(version, token)}
    assert listed.get(text) == ALICE.login
