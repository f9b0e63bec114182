"""Debian's mod_auth_openidc, a relying party in C, protects a page with this issuer."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mock_idp.tests.wire import Browser, RunningIssuer

MODULES = Path("/usr/lib/apache2/modules")
CONFIG = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
Listen 127.0.0.1:{port}
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
{modules}
User www-data
Group www-data
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
ServerLimit 1
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID demo-client
OIDCClientSecret demo-secret
OIDCRedirectURI http://localhost:{port}/callback
OIDCCryptoPassphrase only-for-a-test
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCRemoteUserClaim email
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
Header always set X-User "expr=%{{REMOTE_USER}}"
"""
LOADED = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "auth_openidc")


@pytest.fixture
def protected(running: RunningIssuer) -> Iterator[tuple[str, str]]:
    """An Apache whose every page needs a sign-in; its origin, and the namespace of its issuer."""
    apache = shutil.which("apache2") or "/usr/sbin/apache2"
    if not Path(apache).exists() or not (MODULES / "mod_auth_openidc.so").exists():
        pytest.skip("no Apache with mod_auth_openidc: apt-get install apache2 libapache2-mod-auth-openidc")
    namespace = running.browser().namespace
    with tempfile.TemporaryDirectory(prefix="apache-") as folder:
        Path(folder).chmod(0o755)  # Apache's own user reads it
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = Path(folder, "httpd.conf")
        modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED)
        issuer = f"{running.origin}/ns/{namespace}/oauth2/default"
        config.write_text(CONFIG.format(folder=folder, port=port, modules=modules, issuer=issuer))
        process = subprocess.Popen([apache, "-f", str(config), "-DFOREGROUND"], stderr=subprocess.PIPE, text=True)
        try:
            _wait_for(port, process)
            yield f"http://localhost:{port}", namespace
        finally:
            process.terminate()
            process.communicate(timeout=20)


def _wait_for(port: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"Apache ended: {process.stderr.read() if process.stderr else ''}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            process.poll()
        else:
            return
    raise AssertionError("Apache does not listen")


def test_apache_protects_a_page_with_this_issuer(running: RunningIssuer, protected: tuple[str, str]):
    """Nobody gets in without signing in; who signed in is known by the email address."""
    origin, namespace = protected
    apache, issuer = Browser(origin), Browser(running.origin)
    sent_away = apache.request("GET", "/", headers={"Accept": "text/html"})
    assert sent_away.status == 302
    assert sent_away.location.startswith(f"{running.origin}/ns/{namespace}/oauth2/default/v1/authorize?")
    page = issuer.get(sent_away.location)
    answer = issuer.post(f"/ns/{namespace}/signin", flow=page.redirect["flow"], persona="alice@example.com")
    back = apache.request("GET", answer.location, headers={"Accept": "text/html"})
    assert back.status == 302, back.text
    inside = apache.request("GET", back.location, headers={"Accept": "text/html"})
    # There is no document behind the lock, so 404 is what lies inside; outside it was a redirect.
    assert (inside.status, inside.headers["X-User"]) == (404, "alice@example.com")
