"""A real issuer on a free port for the whole session, and a page server for the browser tests."""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mock_idp.tests.wire import Browser, Client, RunningIssuer

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).with_name("site")
WIDGET_DIR = Path(os.environ.get("WIDGET_DIR") or ROOT / ".gatehouse" / "widget")


class _Pages(SimpleHTTPRequestHandler):
    """The test pages, with Okta's widget under /widget/."""

    def translate_path(self, path: str) -> str:
        if path.startswith("/widget/"):
            return str(WIDGET_DIR / path.removeprefix("/widget/").split("?")[0])
        return super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The origin of a server with the relying party's pages."""
    handler = functools.partial(_Pages, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


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


def start_issuer(state_dir: Path, **settings: str) -> RunningIssuer:
    """Start `python -m mock_idp` on a free port and wait for the line that says where it is."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    env |= {"IDP_PORT": "0", "IDP_STATE_DIR": str(state_dir), **settings}
    process = subprocess.Popen(
        [sys.executable, "-m", "mock_idp"],
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
    if not (WIDGET_DIR / "js" / "okta-sign-in.min.js").exists():
        pytest.skip(f"the widget is not prepared: {WIDGET_DIR} lacks it; make setup fetches it, or set WIDGET_DIR")
    return WIDGET_DIR
