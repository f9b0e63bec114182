"""A real issuer on a free port for the whole session, and a page server for the browser tests."""

import fcntl
import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mock_idp.tests.wire import Browser, Client, RunningIssuer

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).with_name("site")
CLIENTS_DIR = Path(os.environ.get("CLIENTS_DIR") or ROOT / ".gatehouse" / "clients")
CLIENT_SCRIPTS = Path(__file__).with_name("clients")
WIDGET_DIR = Path(os.environ.get("WIDGET_DIR") or ROOT / ".gatehouse" / "widget")


LIBRARIES = {
    "/7/library.js": "/widget/js/okta-sign-in.min.js",  # bundles auth-js 7
    "/8/library.js": "/clients/@okta/okta-auth-js/dist/okta-auth-js.min.js",
}


class _Pages(SimpleHTTPRequestHandler):
    """The test pages, with Okta's widget under /widget/ and npm's packages under /clients/.

    Under /7/ and /8/ stand the same pages once more, with that version of auth-js as their library.
    """

    def do_GET(self) -> None:
        self.path = LIBRARIES.get(self.path, self.path)
        if self.path.startswith(("/7/", "/8/")):
            self.path = self.path[2:]
        if not self.path.startswith("/widget/"):
            super().do_GET()
            return
        name = self.path.removeprefix("/widget/").split("?")[0]
        content = widget_file(name)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Type", self.guess_type(name))
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def translate_path(self, path: str) -> str:
        if path.startswith("/clients/"):
            return str(CLIENTS_DIR / "node_modules" / path.removeprefix("/clients/").split("?")[0])
        return super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""


def widget_file(name: str) -> bytes | None:
    """Return a file of the widget; the prepared folder keeps texts compressed."""
    plain, packed = WIDGET_DIR / name, WIDGET_DIR / f"{name}.gz"
    if packed.is_file():
        return gzip.decompress(packed.read_bytes())
    return plain.read_bytes() if plain.is_file() else None


@contextmanager
def _serve_pages() -> Iterator[str]:
    handler = functools.partial(_Pages, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The origin of a server with the relying party's pages."""
    with _serve_pages() as origin:
        yield origin


@pytest.fixture(scope="session")
def neighbour() -> Iterator[str]:
    """The origin of the same pages on another port of this machine, which no client registers."""
    with _serve_pages() as origin:
        yield origin


@pytest.fixture(scope="session")
def running(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIssuer]:
    """A started issuer, shared; tests that change it take a namespace of their own."""
    with start_issuer(tmp_path_factory.mktemp("issuer"), FRONTEND_URL=site) as issuer:
        yield issuer


@pytest.fixture
def agent(running: RunningIssuer) -> Browser:
    """A browser in a fresh namespace."""
    return running.browser()


@pytest.fixture
def spa(agent: Browser) -> Client:
    """The public client demo-spa in a fresh namespace."""
    return Client(agent)


def start_issuer(state_dir: Path, *options: str, **settings: str) -> RunningIssuer:
    """Start `python -m mock_idp` on a free port and wait for the line that says where it is."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    env |= {"IDP_PORT": "0", "IDP_STATE_DIR": str(state_dir), **settings}
    process = subprocess.Popen(
        [sys.executable, "-m", "mock_idp", *options],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return RunningIssuer(process)


@pytest.fixture(scope="session")
def widget_files() -> Path:
    """The folder with the widget's files."""
    if widget_file("js/okta-sign-in.min.js") is None:
        pytest.skip(f"the widget is not prepared in {WIDGET_DIR}: python -m frontend.widget does it")
    return WIDGET_DIR


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """The folder with the npm libraries, fetched once by the lock file's hashes."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no node and npm here: the JavaScript clients cannot run")
    digest = hashlib.sha256((CLIENT_SCRIPTS / "package-lock.json").read_bytes()).hexdigest()
    CLIENTS_DIR.mkdir(parents=True, exist_ok=True)
    with (CLIENTS_DIR / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = CLIENTS_DIR / ".stamp"
        if not (stamp.exists() and stamp.read_text() == digest):
            for name in "package.json", "package-lock.json":
                shutil.copy(CLIENT_SCRIPTS / name, CLIENTS_DIR)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
            done = subprocess.run(command, cwd=CLIENTS_DIR, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            stamp.write_text(digest)
    return CLIENTS_DIR
