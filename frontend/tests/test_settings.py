"""What the server takes from its environment."""

import json
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from frontend.settings import Settings, SettingsError
from frontend.tests.servers import ROOT, environment, start_server, stop_server


def end_of(**settings: object) -> tuple[int, str]:
    """Run a server that is expected to end by itself."""
    ended = subprocess.run(
        [sys.executable, "-m", "frontend"],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_config_tells_the_page_what_the_contract_lists(server):
    """With nothing set but the port, the page is told of the testbed's own issuer and API."""
    answer = server.request("/config.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {
        "issuer": "http://localhost:9400/oauth2/default",
        "clientId": "0oatestbed",
        "redirectUri": f"http://localhost:{server.port}/",
        "scopes": ["openid", "profile", "email", "offline_access"],
        "apiUrl": "http://localhost:4566/_aws/execute-api/gatehouse/Prod/api/messages",
        "engine": "identity",
    }


def test_config_follows_the_settings(start, widget_dir):
    """A real organisation is a matter of settings alone; a slash at the end of a URL makes no difference."""
    server = start(
        WIDGET_DIR=widget_dir,
        FRONTEND_URL="https://board.example/",
        OKTA_ISSUER="https://dev-1.okta.example/oauth2/aus1/",
        OKTA_CLIENT_ID="0oa1",
        OKTA_SCOPES="openid  messages:write",
        API_URL="https://api.example/Prod/api/messages",
        WIDGET_ENGINE="classic",
    )
    assert json.loads(server.request("/config.json").body) == {
        "issuer": "https://dev-1.okta.example/oauth2/aus1",
        "clientId": "0oa1",
        "redirectUri": "https://board.example/",
        "scopes": ["openid", "messages:write"],
        "apiUrl": "https://api.example/Prod/api/messages",
        "engine": "classic",
    }


@pytest.mark.parametrize(
    ("public_urls", "console"),
    [
        ({"IDP_PUBLIC_URL": "http://issuer.example:9400/"}, "http://issuer.example:9400/"),
        ({"IDP_TLS_PUBLIC_URL": "http://issuer.example:9400"}, "http://issuer.example:9400/"),
        ({"IDP_PUBLIC_URL": "http://issuer.example:9401"}, None),
        ({"IDP_PUBLIC_URL": "https://issuer.example:9400"}, None),
        ({"IDP_PUBLIC_URL": "http://issuer.example"}, None),
        ({}, None),
    ],
)
def test_page_is_told_of_the_console_of_the_testbeds_own_issuer_only(public_urls, console):
    """Tokens of a real organisation come from nowhere that has a console: there is no link then."""
    settings = Settings.from_environment({"OKTA_ISSUER": "http://issuer.example:9400/oauth2/default"} | public_urls)
    assert settings.for_the_page().get("consoleUrl") == console


def test_health_answers_ok_and_is_never_kept(server):
    """`/healthz` is what a supervisor asks."""
    answer = server.request("/healthz")
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("FRONTEND_PORT", "eighty", "a port from 1 to 65535"),
        ("FRONTEND_PORT", "0", "a port from 1 to 65535"),
        ("FRONTEND_PORT", "65536", "a port from 1 to 65535"),
        ("FRONTEND_URL", "localhost:8080", "an absolute http or https URL"),
        ("OKTA_ISSUER", "", "an absolute http or https URL"),
        ("OKTA_ISSUER", "ftp://okta.example", "an absolute http or https URL"),
        ("OKTA_ISSUER", "https://user:secret@okta.example", "an absolute http or https URL"),
        ("OKTA_ISSUER", "https://okta.example/?x=1", "an absolute http or https URL"),
        ("API_URL", "https://api.example:port/", "an absolute http or https URL"),
        ("API_URL", "https://[api", "an absolute http or https URL"),
        ("OKTA_CLIENT_ID", "", "one word"),
        ("OKTA_CLIENT_ID", "two words", "one word"),
        ("OKTA_SCOPES", "profile email", "openid among them"),
        ("WIDGET_ENGINE", "third", "identity or classic"),
        ("ALLOWED_HOSTS", "board.example:8080", "without ports"),
        ("ALLOWED_HOSTS", "one.example two.example", "separated by commas"),
        ("ALLOWED_HOSTS", "*", "host names"),
        ("ALLOWED_HOSTS", "board.*.example", "host names"),
        ("ALLOWED_HOSTS", "https://board.example", "host names"),
        ("IDP_PUBLIC_URL", "localhost:9400", "an absolute http or https URL"),
        ("IDP_TLS_PUBLIC_URL", "localhost:9443", "an absolute http or https URL"),
    ],
)
def test_bad_setting_is_refused_with_a_sentence_that_names_it(name, value, expected):
    """The sentence says which variable is wrong and what it must hold."""
    with pytest.raises(SettingsError, match=f"^{name} must be .*{expected}"):
        Settings.from_environment({name: value})


def test_bad_setting_ends_the_server(widget_dir):
    """The server does not start, says why, and shows no traceback."""
    status, said = end_of(WIDGET_DIR=widget_dir, WIDGET_ENGINE="third")
    assert (status, said) == (1, "WIDGET_ENGINE must be identity or classic, not 'third'.\n")


def test_missing_widget_ends_the_server_with_the_command_that_brings_it(tmp_path):
    """Without the widget's files nobody could sign in, so the server says so at once."""
    status, said = end_of(WIDGET_DIR=tmp_path)
    assert status == 1
    assert f"python -m frontend.widget --out {tmp_path}" in said
    assert "Traceback" not in said


def test_half_a_widget_ends_the_server_too(widget_dir, tmp_path):
    """A manifest that names a file that is not there does not pass."""
    (tmp_path / "manifest.json").write_bytes((widget_dir / "manifest.json").read_bytes())
    status, said = end_of(WIDGET_DIR=tmp_path)
    assert (status, "Prepare it" in said) == (1, True)


def test_taken_port_ends_the_server_with_its_number(widget_dir):
    """The message says which port, and which setting chooses another."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, said = end_of(WIDGET_DIR=widget_dir, FRONTEND_PORT=port)
    assert status == 1
    assert f"Port {port} on 127.0.0.1 is taken by another program." in said
    assert "Traceback" not in said


def test_termination_ends_the_server_cleanly(widget_dir):
    """A supervisor's SIGTERM is an ordinary end."""
    server = start_server(WIDGET_DIR=widget_dir)
    assert server.request("/healthz").status == 200
    assert stop_server(server) == 0
