"""Failures are answered to people as a page and to programs as JSON."""

import json
from uuid import uuid4

import pytest


def test_unknown_address_shows_a_browser_a_page_with_the_way_back(server):
    """A browser gets HTML that says what is the matter and links to the front page."""
    answer = server.request("/nowhere", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "There is nothing at this address." in answer.text
    assert 'href="/"' in answer.text


def test_unknown_address_tells_a_program_a_stable_code(server):
    """Anything else gets JSON with a code."""
    answer = server.request("/nowhere", Accept="application/json")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")
    assert json.loads(answer.body) == {
        "error": "not_found",
        "error_description": "There is nothing at this address.",
    }


def test_error_page_does_not_repeat_the_address(server):
    """What was asked for is not written into the answer, so it can't carry markup."""
    answer = server.request("/%3Cscript%3Ealert(1)%3C/script%3E", Accept="text/html")
    assert answer.status == 404
    assert "alert(1)" not in answer.text


@pytest.mark.parametrize("path", ["/", "/config.json", "/healthz", "/nowhere"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_methods_that_change_things_are_refused(server, path, method):
    """There is nothing to change here: 405, and the answer lists what is allowed (RFC 9110, section 15.5.6)."""
    answer = server.request(path, method, Content_Length="0")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/client/0000000000000000/%ff", "http://localhost/"])
def test_log_leaves_the_query_out(server, path):
    """After a redirect the query holds an authorization code, which does not belong in a log."""
    server.request(f"{path}?code=SECRET-CODE&state=1")
    after = f"/{uuid4()}"
    server.request(after)
    while not any(after in line for line in list(server.log)):
        assert server.process.poll() is None
    assert "SECRET-CODE" not in "".join(server.log)
