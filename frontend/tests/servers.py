"""Start the page's real server, and ask it things."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> Self:
        return cls(response.status, dict(response.getheaders()), response.read())

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Server:
    """A running `python -m frontend`, or another server at a port."""

    port: int
    process: subprocess.Popen[str] | None = None
    log: deque[str] = field(default_factory=deque)
    reader: threading.Thread = field(default_factory=threading.Thread)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def request(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Send one request, its path exactly as given: a client that tidies paths would hide a traversal."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            return Answer.of(connection.getresponse())

    def send(self, request: bytes) -> Answer:
        """Send one request, its bytes exactly as given."""
        return next(iter(self.send_all(request)))

    def send_all(self, *requests: bytes) -> list[Answer]:
        """Send requests one after the other on one connection, each once the one before is answered."""
        answers = []
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=10)) as connection:
            for request in requests:
                connection.sendall(request)
                with http.client.HTTPResponse(
                    connection, method=request.partition(b" ")[0].decode("latin-1")
                ) as response:
                    response.begin()
                    answers.append(Answer.of(response))
        return answers

    def received(self, sent: bytes) -> bytes:
        """Send some bytes, and read until the server closes the connection."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=20)) as connection:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65536), b""))


type Start = Callable[..., Server]


def environment(**settings: object) -> dict[str, str]:
    """The environment of a server: this one's, without settings that a developer may have exported."""
    ours = {
        "BIND", "FRONTEND_PORT", "FRONTEND_URL", "OKTA_ISSUER", "OKTA_CLIENT_ID", "OKTA_SCOPES", "API_URL",
        "WIDGET_ENGINE", "WIDGET_DIR", "ALLOWED_HOSTS", "IDP_PUBLIC_URL", "IDP_TLS_PUBLIC_URL",
    }  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {name: str(value) for name, value in settings.items()}


def start_server(**settings: object) -> Server:
    """Start the server and wait until it says that it listens; fail with its output if it dies instead."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "frontend"],
        cwd=ROOT,
        env=environment(**{"FRONTEND_PORT": port} | settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server(port, process)
    assert process.stderr is not None
    for line in process.stderr:
        server.log.append(line)
        if "The page is at" in line:
            break
    else:
        pytest.fail(f"the server ended with status {process.wait()}:\n{''.join(server.log)}", pytrace=False)
    # Read on, or a full pipe would stop the server.
    server.reader = threading.Thread(target=server.log.extend, args=(process.stderr,), daemon=True)
    server.reader.start()
    return server


def stop_server(server: Server) -> int:
    server.process.send_signal(signal.SIGTERM)
    status = server.process.wait(timeout=10)
    server.reader.join()
    server.process.stderr.close()
    return status
