"""Unmodified client libraries of others work with this issuer, and refuse its hostile tokens."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mock_idp.tests.conftest import CLIENT_SCRIPTS, start_issuer
from mock_idp.tests.wire import Browser, RunningIssuer


def run(*command: str | Path, cwd: Path, **env: str) -> None:
    """Run a client; its own complaint is the failure."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_node(folder: Path, script: str, issuer: str, **env: str) -> None:
    """Run a script as if it stood beside the libraries."""
    for source in CLIENT_SCRIPTS.glob("*.mjs"):
        target = folder / source.name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            staged = folder / f".{source.name}.{os.getpid()}"
            staged.write_bytes(source.read_bytes())
            staged.replace(target)
    run("node", folder / script, issuer, cwd=folder, **env)


@pytest.mark.parametrize("client", ["openid-client", "oauth4webapi", "oidc-client-ts", "okta-jwt-verifier"])
def test_javascript_client_works_unmodified(node_clients: Path, running: RunningIssuer, client: str):
    """The library walks its flows through a namespace of its own, by path."""
    issuer = f"{running.origin}/ns/{running.browser().namespace}/oauth2/default"
    run_node(node_clients, f"{client}.mjs", issuer)


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


def test_authlib_works_unmodified(running: RunningIssuer):
    """Authlib walks the code flow, and its RFC 9068 validator accepts the access token."""
    needs("authlib")
    issuer = f"{running.origin}/ns/{running.browser().namespace}/oauth2/default"
    run(sys.executable, CLIENT_SCRIPTS / "authlib_client.py", issuer, cwd=CLIENT_SCRIPTS)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory):
    """An https issuer and the file with its CA."""
    folder = tmp_path_factory.mktemp("tls")
    with start_issuer(folder, IDP_TLS_PORT="0") as issuer:
        authority = folder / "downloaded.pem"
        authority.write_bytes(Browser(issuer.origin).get("/ca.pem").body)
        yield f"{issuer.tls_origin}/oauth2/default", authority


def test_okta_verifier_for_python_works_over_https(tls):
    """okta-jwt-verifier refuses http; over https with the downloaded CA it verifies."""
    needs("okta_jwt_verifier")
    issuer, authority = tls
    run(
        sys.executable,
        CLIENT_SCRIPTS / "okta_verifier.py",
        issuer,
        cwd=CLIENT_SCRIPTS,
        SSL_CERT_FILE=str(authority),
        REQUESTS_CA_BUNDLE=str(authority),
    )


def test_okta_verifier_for_javascript_works_over_https(node_clients: Path, tls):
    """@okta/jwt-verifier needs no exemption over https."""
    issuer, authority = tls
    run_node(node_clients, "okta-jwt-verifier.mjs", issuer, NODE_EXTRA_CA_CERTS=str(authority))
