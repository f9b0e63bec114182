"""How fast the issuer is, beside npm's oauth2-mock-server and PyPI's oidc-provider-mock.

    python benchmarks/issuer.py [seconds] [requests]

Each server runs pinned to the first core, the load comes from the second over 16 connections; the servers take turns.
Printed are answers a second by the clock, and by the server's own CPU time, which other work on the machine disturbs
less; start to first answer; memory when idle and after `requests` requests (200000 for the published figure). A peer
that is not installed is left out, with its name: `npm ci` in mock_idp/tests/clients, `pip install oidc-provider-mock`.
"""

import asyncio
import base64
import hashlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

ROOT = Path(__file__).parent.parent
CLIENTS_DIR = Path(os.environ.get("CLIENTS_DIR") or ROOT / ".gatehouse" / "clients")
CONNECTIONS = 16
STARTS = 5
START_TIMEOUT_S = 60
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT_URI = "http://localhost:5555/callback"
FORM = "application/x-www-form-urlencoded"


@dataclass(kw_only=True)
class Server:
    """A mock issuer: how it starts and where its endpoints are."""

    name: str
    command: Callable[[int, Path], list[str]]
    keys: str
    token: str
    authorize: str
    client: dict[str, str]
    client_credentials: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    login: Callable[[int], dict[str, str]] = lambda _: {}
    authorize_form: bytes = b""


def http(method: str, path: str, port: int, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines += [f"Content-Type: {FORM}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One keep-alive connection that reads answers with a Content-Length."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def exchange(self, request: bytes) -> tuple[bytes, bytes]:
        """Send a request and return head and body of the answer."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lowered = head.lower()
        length = 0
        if b"content-length:" in lowered:
            length = int(lowered.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        if b"connection: close" in lowered:
            await self.close()
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 302", b"HTTP/1.0 200")):
            raise RuntimeError(f"unexpected answer: {head.decode()}{body.decode(errors='replace')[:500]}")
        return head, body

    async def close(self) -> None:
        """Close it; the next exchange opens it anew."""
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()
            self._reader = self._writer = None


Flow = Callable[[Connection], "asyncio.Future[None]"]


async def load(port: int, flow: Callable[[Connection], object], seconds: float, limit: int = 0) -> tuple[int, float]:
    """Repeat a flow on 16 connections; how often it ran, and in how many seconds."""
    began = time.monotonic()
    done = 0

    async def repeat() -> None:
        nonlocal done
        connection = Connection(port)
        while time.monotonic() - began < seconds and not (limit and done >= limit):
            done += 1
            await flow(connection)  # type: ignore[misc]  # a coroutine function
        await connection.close()

    await asyncio.gather(*(repeat() for _ in range(CONNECTIONS)))
    return done, time.monotonic() - began


def cpu_s(pid: int) -> float:
    """CPU seconds that a process and its children used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def answers(port: int, path: str) -> bool:
    """Say whether the server answers already."""
    try:
        asyncio.run(Connection(port).exchange(http("GET", path, port, headers={"Connection": "close"})))
    except (OSError, asyncio.IncompleteReadError):
        return False
    return True


@contextmanager
def running(server: Server, port: int, folder: Path) -> Iterator[tuple[int, float]]:
    """Start a server pinned to the first core; its pid, and the seconds to its first answer."""
    began = time.monotonic()
    process = subprocess.Popen(
        server.command(port, folder),
        cwd=ROOT,
        env={**os.environ, **server.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, {0})
    try:
        while not answers(port, server.keys):
            if process.poll() is not None or time.monotonic() - began > START_TIMEOUT_S:
                raise RuntimeError(f"{server.name} does not start: {' '.join(server.command(port, folder))}")
        yield process.pid, time.monotonic() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def location(head: bytes) -> str:
    """Return where a redirect leads."""
    for line in head.decode().split("\r\n"):
        if line.lower().startswith("location:"):
            return line.split(":", 1)[1].strip()
    raise RuntimeError(f"no redirect: {head.decode()}")


def pair_flow(server: Server, port: int, cookies: dict[str, str]) -> Callable[[Connection], object]:
    """Return the flow of an authorization request followed by the exchange of its code."""
    query = urlencode(
        {
            **{name: value for name, value in server.client.items() if name == "client_id"},
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid",
            "state": "s",
            "nonce": "n",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
    )
    method = "POST" if server.authorize_form else "GET"
    ask = http(method, f"{server.authorize}?{query}", port, server.authorize_form, cookies)

    async def flow(connection: Connection) -> None:
        head, _ = await connection.exchange(ask)
        code = parse_qs(urlsplit(location(head)).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        body = urlencode({**form, "code_verifier": VERIFIER, **server.client}).encode()
        await connection.exchange(http("POST", server.token, port, body))

    return flow


def our_login(port: int) -> dict[str, str]:
    """Sign a browser in and return its cookie."""

    async def sign_in() -> dict[str, str]:
        connection = Connection(port)
        query = urlencode(
            {"client_id": "demo-spa", "redirect_uri": REDIRECT_URI, "response_type": "code", "scope": "openid"}
            | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        )
        head, _ = await connection.exchange(http("GET", f"/oauth2/default/v1/authorize?{query}", port))
        flow = parse_qs(urlsplit(location(head)).query)["flow"][0]
        form = urlencode({"flow": flow, "persona": "alice@example.com"}).encode()
        head, _ = await connection.exchange(http("POST", "/signin", port, form))
        await connection.close()
        cookie = next(line for line in head.decode().split("\r\n") if line.lower().startswith("set-cookie: sid="))
        return {"Cookie": cookie.split(":", 1)[1].split(";", 1)[0].strip()}

    return asyncio.run(sign_in())


def servers() -> list[Server]:
    """Return this issuer and the peers that are installed."""
    found = [
        Server(
            name="mock_idp",
            command=lambda _port, _folder: [sys.executable, "-m", "mock_idp"],
            keys="/oauth2/default/v1/keys",
            token="/oauth2/default/v1/token",
            authorize="/oauth2/default/v1/authorize",
            client={"client_id": "demo-spa"},
            login=our_login,
        )
    ]
    peer = CLIENTS_DIR / "node_modules" / "oauth2-mock-server" / "dist" / "oauth2-mock-server.mjs"
    if peer.exists() and shutil.which("node"):
        found.append(
            Server(
                name="oauth2-mock-server",
                command=lambda port, _: ["node", str(peer), "-a", "127.0.0.1", "-p", str(port)],
                keys="/jwks",
                token="/token",
                authorize="/authorize",
                client={"client_id": "demo-spa"},
            )
        )
    else:
        print("left out: oauth2-mock-server is not installed")
    other = shutil.which("oidc-provider-mock", path=str(Path(sys.executable).parent)) or ""
    if other:
        found.append(
            Server(
                name="oidc-provider-mock",
                command=lambda port, _: [other, "--port", str(port)],
                keys="/jwks",
                token="/oauth2/token",
                authorize="/oauth2/authorize",
                client={"client_id": "demo-spa", "client_secret": "any"},
                client_credentials=False,
                authorize_form=b"sub=alice",
            )
        )
    else:
        print("left out: oidc-provider-mock is not installed")
    return found


def measure(server: Server, port: int, folder: Path, seconds: float, requests: int) -> None:
    """Print the figures of one server."""
    server.environment = {"IDP_PORT": str(port), "IDP_STATE_DIR": str(folder / "state")}
    starts = []
    for _ in range(STARTS):
        with running(server, port, folder) as (_, start_s):
            starts.append(start_s)
    print(f"\n{server.name}\n  start to first answer        {statistics.median(starts):8.2f} s")
    with running(server, port, folder) as (pid, _):
        print(f"  memory, idle                 {memory_mb(pid):8.1f} MB")
        total = 0

        def figure(title: str, flow: Callable[[Connection], object], each: int = 1) -> None:
            nonlocal total
            before = cpu_s(pid)
            done, elapsed = asyncio.run(load(port, flow, seconds))
            used = cpu_s(pid) - before
            total += done * each
            print(f"  {title:<28} {done / elapsed:8.0f} /s    {done / used:8.0f} per CPU second")

        keys = http("GET", server.keys, port)
        figure("JWKS", lambda connection: connection.exchange(keys))
        if server.client_credentials:
            form = urlencode({"grant_type": "client_credentials", "scope": "messages.read"}).encode()
            credentials = base64.b64encode(b"demo-client:demo-secret").decode()
            token = http("POST", server.token, port, form, {"Authorization": f"Basic {credentials}"})
            figure("client_credentials", lambda connection: connection.exchange(token))
        figure("authorize and token", pair_flow(server, port, server.login(port)), 2)
        if requests > total:
            asyncio.run(load(port, lambda connection: connection.exchange(keys), 3600, requests - total))
            total = requests
        print(f"  memory after {total:>7} requests {memory_mb(pid):7.1f} MB")


def main() -> None:
    """Measure one server after the other."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    for offset, server in enumerate(servers()):
        with tempfile.TemporaryDirectory(prefix="issuer-bench-") as folder:
            measure(server, 20150 + offset, Path(folder), seconds, requests)


if __name__ == "__main__":
    main()
