"""The process: how it starts, what it says when it cannot, what survives a restart, https, reload."""

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tomllib
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from mock_idp.settings import load_settings, variables
from mock_idp.tests.conftest import ROOT, start_issuer
from mock_idp.tests.wire import Browser, Client

V1 = "/oauth2/default/v1"
CONFIG = Path(__file__).parents[1] / "personas.yaml"


def run_to_its_end(state_dir: Path, *options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": os.environ["PATH"], "IDP_PORT": "0", "IDP_STATE_DIR": str(state_dir), **settings}
    command = [sys.executable, "-m", "mock_idp", *options]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=20, check=False)


def test_signing_key_survives_a_restart(tmp_path: Path):
    """A token of before the restart verifies after it; the key file is its owner's only."""
    with start_issuer(tmp_path) as issuer:
        keys = Browser(issuer.origin).get(f"{V1}/keys").json
        Browser(issuer.origin).send("/mock/keys/rotate")
        rotated = Browser(issuer.origin).get(f"{V1}/keys").json
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]
    with start_issuer(tmp_path) as issuer:
        after = Browser(issuer.origin).get(f"{V1}/keys").json
    assert after == rotated
    assert keys["keys"][0] in after["keys"]


def test_kid_is_the_rfc7638_thumbprint(tmp_path: Path):
    """The kid is the thumbprint of the published key, for every algorithm."""
    from jwcrypto.jwk import JWK  # noqa: PLC0415 - the only test that needs it

    with start_issuer(tmp_path) as issuer:
        for server in "default", "ps256", "es256", "eddsa":
            key = Browser(issuer.origin).get(f"/oauth2/{server}/v1/keys").json["keys"][0]
            assert JWK(**key).thumbprint() == key["kid"]
            assert not {"d", "p", "q"} & set(key)


@pytest.mark.parametrize(
    ("server", "algorithm"),
    [("default", "RS256"), ("ps256", "PS256"), ("es256", "ES256"), ("eddsa", "EdDSA"), ("org", "RS256")],
)
def test_every_server_signs_with_its_algorithm(running, server: str, algorithm: str):
    """Discovery names the algorithm, the tokens carry it, and userinfo verifies them."""
    path = "/oauth2/v1" if server == "org" else f"/oauth2/{server}/v1"
    client = Client(running.browser(), server=path.removesuffix("/v1"))
    tokens = client.tokens()
    metadata_path = "" if server == "org" else f"/oauth2/{server}"
    metadata = client.browser.get(f"{metadata_path}/.well-known/openid-configuration").json
    assert metadata["id_token_signing_alg_values_supported"] == [algorithm]
    assert metadata["issuer"] == client.browser.origin + metadata_path
    assert client.userinfo(tokens["access_token"]).json["name"] == "Alice Archer"
    if server != "default":
        client.server = "/oauth2/default"
        assert client.userinfo(tokens["access_token"]).status == 401


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"IDP_PORT": "many"}, "IDP_PORT must be a port number"),
        ({"IDP_TLS_PORT": "x"}, "IDP_TLS_PORT must be a port number"),
        ({"FRONTEND_URL": "localhost:8080"}, "FRONTEND_URL must be an http or https URL"),
        ({"FRONTEND_URL": "http://["}, "FRONTEND_URL must be an http or https URL"),
        ({"IDP_PUBLIC_URL": "http://localhost:x"}, "IDP_PUBLIC_URL must be an http or https URL"),
        ({"ALLOWED_HOSTS": "id.test, id.test:80"}, "ALLOWED_HOSTS must be host names without ports"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must be host names without ports"),
        ({"IDP_CONFIG": "nowhere.yaml"}, "nowhere.yaml, which is not a file"),
        ({"IDP_CONTROL_NETWORKS": "here"}, "IDP_CONTROL_NETWORKS must be networks"),
        ({"IDP_LOG_LEVEL": "LOUD"}, "IDP_LOG_LEVEL must be"),
        ({"BIND": "192.0.2.7"}, "Cannot listen on 192.0.2.7"),
    ],
)
def test_start_ends_with_one_sentence_when_a_setting_is_wrong(tmp_path: Path, settings, sentence: str):
    """A wrong setting ends the start with exit code 2 and a line that names it, no traceback."""
    ended = run_to_its_end(tmp_path, **settings)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_start_says_which_port_is_taken(tmp_path: Path):
    """A taken port is named, with the setting that changes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_to_its_end(tmp_path, IDP_PORT=port)
    assert ended.returncode == 2
    assert f"port {port}" in ended.stderr
    assert "Set IDP_PORT" in ended.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "many"], "--port must be a port number"),
        (["--port", "65536"], "--port must be a port number"),
        (["--port="], "--port must be a port number"),
        (["--host="], "--host must be an address"),
        (["--host", "192.0.2.7"], "Cannot listen on 192.0.2.7"),
        (["--config", "nowhere.yaml"], "--config names nowhere.yaml, which is not a file"),
        (["--config", "mock_idp"], "--config names mock_idp, which is not a file"),
        (["--config", "docs/page.png"], "docs/page.png: cannot be read"),
        (["--config", "LICENSE"], "LICENSE, line 93: not YAML"),
    ],
)
def test_start_ends_with_one_sentence_when_an_option_is_wrong(tmp_path: Path, options: list[str], sentence: str):
    """A wrong option ends the start with exit code 2 and one line that names it, although the variable is right."""
    ended = run_to_its_end(tmp_path, *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_option_for_a_taken_port_ends_with_one_sentence(tmp_path: Path):
    """A port that is taken is named, whoever named it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_to_its_end(tmp_path, "--port", port)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert f"port {port}" in ended.stderr


def test_options_win_over_variables(tmp_path: Path):
    """With variables that are all wrong it starts as the options say, on a free port that it prints."""
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG.read_text(encoding="utf-8").replace("bob@", "carol@"), encoding="utf-8")
    options = ("--port", "0", "--host", "127.0.0.1", "--config", str(config))
    with start_issuer(tmp_path, *options, IDP_PORT="many", BIND="192.0.2.7", IDP_CONFIG="nowhere.yaml") as issuer:
        assert Browser(issuer.origin).send("/mock/tokens", persona="carol").status == 200


def test_help_names_every_option_and_variable(tmp_path: Path):
    """Who reads the help knows what can be set, and where the keys are kept."""
    ended = run_to_its_end(tmp_path, "--help", COLUMNS="400")
    assert ended.returncode == 0
    for words in ("--port", "--host", "--config", "--version", "~/.local/state/mock-idp", *variables()):
        assert words in ended.stdout


def test_version_is_the_checkouts_own_where_nothing_is_installed(tmp_path: Path):
    """It is stated in pyproject.toml and nowhere else."""
    stated = tomllib.loads((ROOT / "mock_idp/pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    ended = run_to_its_end(tmp_path, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"mock-idp {stated}\n")


@pytest.mark.parametrize(
    ("state_home", "expected"),
    [("", "{home}/.local/state/mock-idp"), ("relative", "{home}/.local/state/mock-idp"), ("/state", "/state/mock-idp")],
)
def test_keys_are_kept_in_the_users_state_folder(tmp_path: Path, monkeypatch, state_home: str, expected: str):
    """Where IDP_STATE_DIR says nothing, every start of a user finds the same keys, whatever folder it is started in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings({"XDG_STATE_HOME": state_home, "IDP_STATE_DIR": ""})
    assert settings.state_dir == Path(expected.format(home=tmp_path))
    assert load_settings({"IDP_STATE_DIR": "here"}).state_dir == Path("here")


def test_state_folder_that_cannot_be_made_is_explained(tmp_path: Path):
    """It is named, with the setting that changes it."""
    (tmp_path / "file").touch()
    ended = run_to_its_end(tmp_path / "file" / "state")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "cannot be used: Not a directory. Set IDP_STATE_DIR" in ended.stderr


def test_state_folder_that_cannot_be_written_is_explained():
    """A folder that takes no file, as a read-only one, ends the start with a sentence as well."""
    ended = run_to_its_end(Path("/proc/self"))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "keys.json cannot be written: " in ended.stderr


@pytest.mark.parametrize("content", ["", "{", '{"default": []}', '{"default": [{"alg": "RS256", "jwk": {}}]}', "[]"])
def test_damaged_key_file_is_explained_and_kept(tmp_path: Path, content: str):
    """A damaged key file is never silently replaced: its keys may be what tokens were signed with."""
    (tmp_path / "keys.json").write_text(content)
    ended = run_to_its_end(tmp_path)
    assert ended.returncode == 2
    assert "is damaged. Delete it" in ended.stderr
    assert (tmp_path / "keys.json").read_text() == content


def test_misspelt_setting_is_pointed_out(tmp_path: Path):
    """A variable that looks like a setting, but is none, is named with its likely meaning."""
    with start_issuer(tmp_path, IDP_PUBLIC_URI="x") as issuer:
        output = issuer.stop()
    assert "IDP_PUBLIC_URI is no setting of the issuer; IDP_PUBLIC_URL is." in output


def test_public_url_is_apart_from_the_listening_address(tmp_path: Path):
    """Tokens and discovery name the public URL, wherever the process listens."""
    with start_issuer(tmp_path, IDP_PUBLIC_URL="https://id.example.test/") as issuer:
        assert issuer.origin == "https://id.example.test"
        # The printed line names the public URL; the socket is found through the process.
        assert "https://id.example.test/oauth2/default" in issuer.line


def test_nothing_secret_is_logged(tmp_path: Path):
    """At the most talkative level no token, code, password or cookie is in the output."""
    with start_issuer(tmp_path, IDP_LOG_LEVEL="DEBUG") as issuer:
        client = Client(Browser(issuer.origin))
        page = client.authorize()
        answer = client.browser.post(
            "/signin", flow=page.redirect["flow"], username="alice@example.com", password="Passw0rd!"
        )
        code = answer.redirect["code"]
        tokens = client.exchange(code).json
        client.exchange(code)
        secrets = [code, tokens["access_token"], tokens["refresh_token"], tokens["id_token"]]
        secrets += ["Passw0rd!", client.pkce.verifier, client.browser.cookies["sid"], page.redirect["flow"]]
        output = issuer.stop()
    assert "POST /oauth2/default/v1/token 200" in output
    assert not [secret for secret in secrets if secret in output]


def test_https_stands_beside_http_with_a_downloadable_ca(tmp_path: Path):
    """The https issuer names itself in its tokens, verifies against the CA, and the CA survives a restart."""
    authorities = []
    for _ in range(2):
        with start_issuer(tmp_path, IDP_TLS_PORT="0") as issuer:
            authority = Browser(issuer.origin).get("/ca.pem").text
            authorities.append(authority)
            context = ssl.create_default_context(cadata=authority)
            url = f"{issuer.tls_origin}/oauth2/default/.well-known/openid-configuration"
            with urllib.request.urlopen(url, context=context) as response:
                metadata = json.load(response)
            assert metadata["issuer"] == f"{issuer.tls_origin}/oauth2/default"
            assert metadata["jwks_uri"].startswith("https://")
            plain = Browser(issuer.origin).get("/oauth2/default/.well-known/openid-configuration").json
            assert plain["issuer"] == f"{issuer.origin}/oauth2/default"
    assert authorities[0] == authorities[1]
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_without_https_there_is_no_ca(running):
    """No https, no CA: 404."""
    assert running.browser(shared=True).get("/ca.pem").status == 404


def test_configuration_is_reloaded_over_http_and_by_signal(tmp_path: Path):
    """A changed file counts after a reload; a wrong one changes nothing and is explained by line."""
    config = tmp_path / "mine.yaml"
    text = CONFIG.read_text(encoding="utf-8")
    config.write_text(text, encoding="utf-8")
    with start_issuer(tmp_path, IDP_CONFIG=str(config)) as issuer:
        agent = Browser(issuer.origin)
        assert agent.send("/mock/tokens", persona="carol").status == 404
        config.write_text(text.replace("bob@example.com", "carol@example.com"), encoding="utf-8")
        assert agent.send("/mock/reload").status == 200
        assert agent.send("/mock/tokens", persona="carol").status == 200
        config.write_text(text.replace("first_name: Bob", "first_nme: Bob"), encoding="utf-8")
        refused = agent.send("/mock/reload")
        assert refused.status == 422
        assert "lacks 'first_name', but has 'first_nme'" in refused.json["error_description"]
        assert "line " in refused.json["error_description"]
        assert agent.send("/mock/tokens", persona="carol").status == 200
        issuer.process.send_signal(signal.SIGHUP)
        line = text.splitlines().index("    first_name: Bob") + 1
        assert f"line {line}: " in issuer.wait_for_line("configuration kept as it was")
        config.write_text(text.replace("bob@example.com", "dave@example.com"), encoding="utf-8")
        issuer.process.send_signal(signal.SIGHUP)
        issuer.wait_for_line("configuration read again")
        assert agent.send("/mock/tokens", persona="dave").status == 200


def test_stop_is_prompt_and_quiet_whatever_is_open(tmp_path: Path):
    """SIGTERM ends it with 0 and without a word, although requests wait and connections stay open."""
    with start_issuer(tmp_path, IDP_TLS_PORT="0", IDP_LOG_LEVEL="INFO") as issuer, ExitStack() as opened:
        issuer.browser(shared=True).send("/mock/faults", fault="latency", parameters={"delay_ms": 60_000})
        for origin, path in (
            (issuer.origin, "/mock/requests?wait_s=60"),
            (issuer.origin, f"{V1}/keys"),
            (issuer.origin, "/healthz"),
            (issuer.tls_origin, ""),
        ):
            address = ("127.0.0.1", int(origin.rsplit(":", 1)[1]))
            connection = opened.enter_context(socket.create_connection(address, timeout=10))
            if path:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        issuer.wait_for_line("GET /healthz 200")
        output = issuer.stop()
        assert issuer.process.returncode == 0
    assert " 500" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"BREW /oauth2/default/v1/token HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /oauth2/default/v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /oauth2/default/v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /static/../config.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /static/%2e%2e/personas.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /oauth2/default/v1/authorize?client_id=%FF HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /idp/idx/identify HTTP/1.1\r\nHost: x\r\nContent-Type: text/json\r\nContent-Length: 4\r\n\r\nnull",
    ],
)
def test_rough_requests_end_in_a_client_error(running, request_bytes: bytes):
    """Malformed HTTP, foreign methods, traversal and bad encodings are 4xx, and the server goes on."""
    port = int(running.origin.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request_bytes)
        status_line = connection.makefile("rb").readline()
    assert status_line.split()[1].startswith(b"4"), status_line
    assert running.browser(shared=True).get("/healthz").json == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (f"{V1}/keys", "GET, HEAD, OPTIONS"),
        (f"{V1}/token", "POST, OPTIONS"),
        (f"{V1}/authorize", "GET, HEAD, POST, OPTIONS"),
        ("/api/v1/sessions/me", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/mock/clock", "GET, HEAD, PUT, OPTIONS"),
    ],
)
def test_methods_are_named(agent: Browser, path: str, methods: str):
    """OPTIONS and a refused method both name the methods that there are; HEAD is GET without the body."""
    assert agent.request("OPTIONS", path).headers["Allow"] == methods
    refused = agent.request("PATCH", path)
    assert (refused.status, refused.headers["Allow"]) == (405, methods)
    if "GET" in methods:
        whole, head = agent.get(path), agent.request("HEAD", path)
        assert (head.status, head.body) == (whole.status, b"")
