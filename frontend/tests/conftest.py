"""The page's real server, with a small stand-in for the widget's files."""

import json
import os
import tarfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from frontend.tests.servers import ROOT, Server, Start, start_server, stop_server
from frontend.widget import LICENCES, Locked, is_prepared, locked, unpack


@pytest.fixture(scope="session")
def base_url() -> None:
    """Stand in for the plugin's own fixture, which pytest 9 deprecates; every test here has a server of its own."""


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Start servers with given settings, one for each set of them; they are stopped at the end."""
    servers: dict[frozenset[tuple[str, object]], Server] = {}

    def start_one(**settings: object) -> Server:
        wanted = frozenset(settings.items())
        if wanted not in servers:
            servers[wanted] = start_server(**settings)
        return servers[wanted]

    yield start_one
    for server in servers.values():
        stop_server(server)


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """An archive laid out as the widget's npm package, with next to nothing in its files."""
    source = tmp_path_factory.mktemp("package")
    contents = {
        "package/dist/js/okta-sign-in.min.js": "/* the widget */",
        "package/dist/js/okta-sign-in.min.js.map": "a source map, which no page needs",
        "package/dist/css/okta-sign-in.min.css": "a{background:url(../img/icons/one.png)}",
        "package/dist/font/okticon.woff": "font",
        "package/dist/font/okticon.eot": "an old font",
        "package/dist/font/inter.woff2": "font",
        "package/dist/img/icons/one.png": "picture",
        "package/dist/labels/json/login_de.json": '{"primaryauth.title": "Anmelden"}',
        "package/src/index.ts": "source, which no page needs",
    } | {f"package/{name}": "terms" for name in LICENCES}
    for name, content in contents.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    with tarfile.open(source / "widget.tgz", "w:gz") as archive:
        archive.add(source / "package", arcname="package")
    return source / "widget.tgz"


@pytest.fixture(scope="session")
def widget_dir(archive, tmp_path_factory) -> Path:
    """A prepared folder of stand-in files."""
    folder = tmp_path_factory.mktemp("widget")
    unpack(archive, Locked(version="0", integrity="sha512-of-a-stand-in"), folder)
    return folder


@pytest.fixture(scope="session")
def server(start, widget_dir) -> Server:
    """The server with every setting at its default."""
    return start(WIDGET_DIR=widget_dir)


@pytest.fixture(scope="session")
def real_widget_dir() -> Path:
    """The real widget's files, as set-up prepares them."""
    folder = ROOT / os.environ.get("WIDGET_DIR", ".gatehouse/widget")
    if not is_prepared(folder, locked()):
        pytest.skip(f"the widget is not in {folder}; python -m frontend.widget --out {folder} brings it")
    return folder


@dataclass
class Scratch:
    """A real HTTP server with answers made for one test; it keeps the bodies of what it was asked."""

    url: str
    bodies: list[str]


@pytest.fixture
def scratch() -> Iterator[Callable[..., Scratch]]:
    """Start HTTP servers that give the listed answers in turn, each as status and document; None: hang up."""
    servers: list[ThreadingHTTPServer] = []

    def start_one(*answers: tuple[int, object] | None) -> Scratch:
        bodies: list[str] = []
        remaining = deque(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
                answer = remaining.popleft() if len(remaining) > 1 else remaining[0]
                if answer is None:
                    self.close_connection = True
                    return
                status, document = answer
                self.send_response(status)
                self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "*"))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            do_POST = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(httpd)
        threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
        return Scratch(f"http://localhost:{httpd.server_port}", bodies)

    yield start_one
    for httpd in servers:
        httpd.shutdown()
        httpd.server_close()
