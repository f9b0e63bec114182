"""A stack that is disturbed: it comes back by itself, and says how it is meanwhile.

All tests share one stack of a copied checkout, and leave it as it was.
"""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testbed.tests.stacks import Stack, checkout, own_stack, post


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    with own_stack(checkout(tmp_path_factory.mktemp("checkout"))) as running:
        running.up()
        yield running


def answer_of(stack: Stack, path: str = "", token: str = "") -> int:
    """The status of the API's answer."""
    url = stack.api_url.removesuffix("/api/messages") + path if path else stack.api_url
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})) as found:
            return found.status
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


@contextmanager
def edited(stack: Stack, name: str, old: str, new: str) -> Iterator[None]:
    """A file of the checkout with something else in it, for a while."""
    path = stack.root / name
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_text(before)
        stack.up()


def test_up_succeeds_after_the_issuer_was_away(stack):
    """An edited personas.yaml restarts the issuer alone; what is deployed is deployed still."""
    with edited(stack, "mock_idp/personas.yaml", "Passw0rd!", "Passw1rd!"):
        stack.up()
        assert stack.status()["deployment"] == "deployed"


def test_stack_uses_up_no_fault_and_shows_no_request_of_its_own(stack):
    """A one-shot fault and the captured requests are the clients' alone, however often the stack looks at itself."""
    issuer = f"http://localhost:{stack.idp}"
    urllib.request.urlopen(urllib.request.Request(f"{issuer}/mock/requests", method="DELETE")).close()
    post(f"{issuer}/mock/faults", {"fault": "server_error"})
    stack.up()
    stack.status()
    with urllib.request.urlopen(f"{issuer}/mock/requests") as shown:
        assert json.load(shown)["requests"] == []
    with pytest.raises(urllib.error.HTTPError) as struck:
        urllib.request.urlopen(f"{issuer}/oauth2/default/v1/keys")
    struck.value.close()
    assert struck.value.code == 503


def test_new_route_answers_once_up_says_deployed(stack):
    """LocalStack cannot update an API; it is deployed afresh then, and what that costs is said."""
    route = "        Extra:\n          Type: Api\n          Properties:\n            RestApiId: !Ref MessagesApi\n"
    route += "            Path: /api/extra\n            Method: GET\n"
    with edited(stack, "lambda/template.yaml", "        List:\n", f"{route}        List:\n"):
        stack.up()
        found = stack.status()
        assert found["deployment"] == "deployed"
        assert "deployed afresh" in found["lost"]
        assert "deployed afresh" in stack.log("deployer")
        assert answer_of(stack, "/api/extra") == answer_of(stack) == 401


def test_code_edit_answers_with_a_published_alias(stack):
    """A function with AutoPublishAlias is deployed with its new code, and its API answers."""
    alias = "      Runtime: python3.13\n      AutoPublishAlias: live\n"
    with edited(stack, "lambda/template.yaml", "      Runtime: python3.13\n", alias):
        stack.up()
        with edited(stack, "lambda/messages/messages/__init__.py", '"""', '"""Edited. '):
            stack.up()
            assert answer_of(stack) == 401


def test_property_that_is_not_there_fails_and_the_last_good_template_answers(stack):
    """What LocalStack deploys "as a fallback" is a failure with its resource's name, in up, status and log."""
    with edited(stack, "lambda/template.yaml", "      MemorySize: 512\n", "      MemorySizes: 512\n"):
        answer = stack.run("up")
        assert answer.returncode == 1
        assert "[deployment_failed]" in answer.stderr
        assert "MessagesFunction" in answer.stderr
        assert "Traceback" not in answer.stderr
        found = stack.status()
        assert (found["healthy"], found["deployment"]) == (False, "failed")
        for said in (found["deployment_reason"], stack.log("deployer")):
            assert "MessagesFunction" in said
            assert "last good template is" in said
        assert answer_of(stack) == 401
    assert stack.status()["deployment"] == "deployed"
    assert stack.status()["deployment_reason"] == ""


def test_half_written_template_leaves_what_is_deployed_alone(stack):
    """A template that is no YAML is told with its line; the API answers on."""
    session = stack.deployment()["cloud_session"]
    with edited(stack, "lambda/template.yaml", "Resources:\n", "Resources:\n  Half: [\n"):
        answer = stack.run("up")
        assert answer.returncode == 1
        assert "template.yaml, line" in answer.stderr
        assert "Traceback" not in stack.log("deployer")
        assert answer_of(stack) == 401
    assert stack.deployment()["cloud_session"] == session


def test_restarted_localstack_is_said_to_have_lost_its_data(stack):
    """The supervisor starts LocalStack again, the deployer deploys again, and status says what is gone for good."""
    stack.service("localstack").kill()
    stack.up()
    found = stack.status()
    assert found["healthy"] is True
    assert "LocalStack restarted" in found["lost"]
    assert "LocalStack restarted" in stack.log("deployer")
    assert "LocalStack restarted" in stack.run("status").stdout


def test_deployer_that_is_killed_while_it_deploys_has_a_successor_that_does(stack):
    """The next one lets LocalStack finish what the first began, and goes on from there."""
    before, asked = stack.log("deployer"), stack.log("localstack").count("CreateStack => 200")
    stack.service("localstack").kill()
    for _ in range(1200):
        if stack.log("localstack").count("CreateStack => 200") > asked:
            break
        threading.Event().wait(0.05)
    stack.service("deployer").kill()
    stack.up()
    assert stack.status()["healthy"] is True
    assert "failed" not in stack.log("deployer").removeprefix(before)


def test_stack_without_its_supervisor_says_so_and_comes_back(stack):
    """After kill -9 of the supervisor, status tells; the next `make up` ends what is left and starts afresh."""
    orphans = stack.processes()
    stack.supervisor().kill()
    found = stack.status()
    assert (found["healthy"], found["supervised"]) == (False, False)
    assert {service["state"] for service in found["services"].values()} == {"not supervised"}
    assert "not supervised" in stack.run("status").stdout
    stack.up()
    assert stack.status()["healthy"] is True
    assert {process.pid for process in stack.processes()} & {process.pid for process in orphans} == set()
