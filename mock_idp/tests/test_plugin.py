"""The pytest plugin, used as another project would: in a test session of its own."""

import gc
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mock_idp.testing import IdpError, IdpServer
from mock_idp.tests.conftest import ROOT

EXAMPLE = """
import json
import urllib.error
import urllib.request

import pytest
from mock_idp.testing import hostile_tokens


def userinfo(idp, token):
    request = urllib.request.Request(idp.issuer + "/v1/userinfo", headers={"Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}


def test_good_token_is_accepted(idp):
    status, person = userinfo(idp, idp.token("bob"))
    assert (status, person["name"]) == (200, "Bob Baker")
    assert idp.requests("userinfo")[0]["status"] == 200


@hostile_tokens
def test_hostile_token_is_refused(idp, hostile):
    if hostile in {"wrong_audience", "wrong_client", "wrong_typ", "critical_header", "missing_claim", "not_yet_valid"}:
        pytest.skip("about APIs, not about userinfo")
    assert userinfo(idp, idp.token(fault=hostile))[0] == 401


def test_clock_is_the_tests_own(idp):
    token = idp.token()
    idp.move_clock(4000)
    assert userinfo(idp, token)[0] == 401
"""


def test_plugin_serves_another_projects_tests(tmp_path: Path):
    """A project without any code of this one but the plugin gets `idp` and hostile tokens."""
    (tmp_path / "test_example.py").write_text(EXAMPLE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "mock_idp.plugin", "-p", "no:cacheprovider", "-W", "error"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for name in [name for name in env if name.startswith("PYTEST_XDIST") or name == "PYTEST_ADDOPTS"]:
        del env[name]
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout


def test_plugin_server_is_an_issuer_with_namespaces(tmp_path: Path):
    """The server starts in this process, gives each test its own view, and stops."""
    with IdpServer(tmp_path) as server:
        one, two = server.namespace(), server.namespace()
        one.add_persona("zoe@example.com", groups=["Ops"])
        assert one.token("zoe").count(".") == 2
        with pytest.raises(IdpError, match="Nobody is called 'zoe'"):
            two.token("zoe")
        old = two.jwks()["keys"][0]["kid"]
        assert two.rotate_keys()["previous_kid"] == old
        assert one.jwks()["keys"][0]["kid"] == old
        assert one.fault("latency")["once"]


def test_plugin_server_stops_at_once_whatever_is_open(tmp_path: Path):
    """Idle connections, waiting requests, handshakes and a call to an API end with it; its ports are free."""
    with socket.create_server(("127.0.0.1", 0)) as mute_api, ExitStack() as opened:
        api_url = f"http://127.0.0.1:{mute_api.getsockname()[1]}"
        with IdpServer(tmp_path, {"IDP_TLS_PORT": "0", "API_URL": api_url}) as server:
            ports = [urlsplit(url).port or 0 for url in (server.url, server.tls_url)]

            def send(port: int, request: str) -> socket.socket:
                connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                connection.sendall(request.encode())
                return connection

            for name, parameters in ("latency", {"delay_ms": 60_000}), ("slow_drip", {"interval_ms": 60_000}):
                idp = server.namespace(name)
                idp.fault(name, parameters=parameters)
                send(ports[0], f"GET /ns/{name}/oauth2/default/v1/keys HTTP/1.1\r\nHost: localhost\r\n\r\n")
            send(ports[0], "GET /mock/requests?wait_s=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            send(ports[0], "POST /mock/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            order = '{"token": "e30.e30.e30"}'
            send(ports[0], f"POST /mock/try HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(order)}\r\n\r\n{order}")
            called = opened.enter_context(mute_api.accept()[0])
            assert called.recv(100).startswith(b"GET / HTTP/1.1\r\n")
            for port in ports:
                send(port, "")
            idle = send(ports[0], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        gc.collect()  # a socket that is left over would warn now
        assert idle.recv(1000) == b""
        again = {"IDP_PORT": str(ports[0]), "IDP_TLS_PORT": str(ports[1])}
        with IdpServer(tmp_path, again) as server:
            assert server.namespace().jwks()["keys"]


def test_plugin_server_raises_what_is_wrong(tmp_path: Path):
    """A server that cannot start says so to the test session at once."""
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(Exception, match="is damaged"):
        IdpServer(tmp_path).__enter__()
