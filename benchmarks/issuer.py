"""How fast the issuer is, beside npm's oauth2-mock-server and PyPI's oidc-provider-mock.

    python benchmarks/issuer.py [seconds] [requests]

Each server runs pinned to the first core, the load comes from the second over 16 connections; the servers take turns.
Printed are answers a second by the clock, and by the server's own CPU time, which other work on the machine disturbs
less; start to first answer; memory when idle and after `requests` requests (200000 for the published figure). Before
them stand this machine's ceilings on the first core: RSA signatures without any server, a Tornado server that does
nothing but sign or answer a constant, and the load itself, against a server that hardly reads what it is asked.

oidc-provider-mock comes with the development environment, oauth2-mock-server with the tests' JavaScript clients, which
`make unit` fetches (CLIENTS_DIR names another folder of theirs); a peer that is not there is left out, with its name.
"""

import asyncio
import base64
import hashlib
import os
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

ROOT = Path(__file__).parent.parent
CLIENTS_DIR = Path(os.environ.get("CLIENTS_DIR") or ROOT / ".gatehouse" / "clients")
CORES = sorted(os.sched_getaffinity(0))
CONNECTIONS = 16
STARTS = 5
START_TIMEOUT_S = 60
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT_URI = "http://localhost:5555/callback"
FORM = "application/x-www-form-urlencoded"

Answer = tuple[bytes, bytes]  # head and body
Flow = Callable[[], Generator[bytes, Answer]]  # requests out, their answers in


@dataclass(kw_only=True)
class Server:
    """A mock issuer: how it starts and where its endpoints are."""

    name: str
    command: Callable[[int], list[str]]
    keys: str
    token: str
    authorize: str
    client: dict[str, str]
    client_credentials: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    login: Callable[[int], dict[str, str]] = lambda _: {}
    authorize_form: bytes = b""
    keeps_keys: bool = False


def http(method: str, path: str, port: int, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines += [f"Content-Type: {FORM}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One keep-alive connection that reads answers with a Content-Length; opened when there is something to send.

    Args:
        port: where the server listens.
        selector: is told about the connection while it is open.
    """

    flow: Generator[bytes, Answer]

    def __init__(self, port: int, selector: selectors.BaseSelector | None = None) -> None:
        self._port = port
        self._selector = selector
        self._received = b""
        self._socket: socket.socket | None = None

    def send(self, request: bytes) -> None:
        """Send a request."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._selector is not None:
                self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._socket.sendall(request)

    def receive(self) -> Answer | None:
        """Read what has come; the answer, once it is whole."""
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server hung up")
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return None
        lowered = head.lower() + b"\r\n"
        length = 0
        if b"content-length:" in lowered:
            length = int(lowered.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return None
        self._received = body[length:]
        if b"connection: close" in lowered:
            self.close()
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 302", b"HTTP/1.0 200")):
            raise RuntimeError(f"unexpected answer: {head.decode()}{body.decode(errors='replace')[:500]}")
        return head, body

    def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer."""
        self.send(request)
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        """Close it; the next request opens it anew."""
        if self._socket is not None:
            if self._selector is not None:
                self._selector.unregister(self._socket)
            self._socket.close()
        self._socket = None


def once(request: bytes) -> Flow:
    """Return the flow of a single request."""

    def flow() -> Generator[bytes, Answer]:
        yield request

    return flow


def load(port: int, flow: Flow, seconds: float, limit: int = 0) -> tuple[int, float]:
    """Repeat a flow on 16 connections; how often it ran, and in how many seconds.

    One selector over plain sockets: against a server that answers a constant it is several times as fast as any
    server here, so that what is measured is the server.
    """
    selector = selectors.DefaultSelector()
    began = time.monotonic()
    started = finished = 0

    def begin(connection: Connection) -> None:
        nonlocal started
        started += 1
        connection.flow = flow()
        connection.send(next(connection.flow))

    for _ in range(CONNECTIONS):
        begin(Connection(port, selector))
    while selector.get_map():
        for key, _ in selector.select():
            connection: Connection = key.data
            answer = connection.receive()
            if answer is None:
                continue
            try:
                connection.send(connection.flow.send(answer))
            except StopIteration:
                finished += 1
                if time.monotonic() - began < seconds and not (limit and started >= limit):
                    begin(connection)
                else:
                    connection.close()
    return finished, time.monotonic() - began


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
    connection = Connection(port)
    try:
        connection.exchange(http("GET", path, port))
    except OSError:
        time.sleep(0.001)
        return False
    finally:
        connection.close()
    return True


@contextmanager
def running(server: Server, port: int, folder: Path) -> Iterator[tuple[int, float]]:
    """Start a server pinned to the first core; its pid, and the seconds to its first answer."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= server.environment | {"IDP_PORT": str(port), "IDP_STATE_DIR": str(folder)}
    began = time.monotonic()
    process = subprocess.Popen(
        server.command(port), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.sched_setaffinity(process.pid, {CORES[0]})
    try:
        while not answers(port, server.keys):
            if process.poll() is not None or time.monotonic() - began > START_TIMEOUT_S:
                raise RuntimeError(f"{server.name} does not start: {' '.join(server.command(port))}")
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


def pair_flow(server: Server, port: int, cookies: dict[str, str]) -> Flow:
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

    def flow() -> Generator[bytes, Answer]:
        head, _ = yield ask
        code = parse_qs(urlsplit(location(head)).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        body = urlencode({**form, "code_verifier": VERIFIER, **server.client}).encode()
        yield http("POST", server.token, port, body)

    return flow


def our_login(port: int) -> dict[str, str]:
    """Sign a browser in and return its cookie."""
    connection = Connection(port)
    query = urlencode(
        {"client_id": "demo-spa", "redirect_uri": REDIRECT_URI, "response_type": "code", "scope": "openid"}
        | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    )
    head, _ = connection.exchange(http("GET", f"/oauth2/default/v1/authorize?{query}", port))
    flow = parse_qs(urlsplit(location(head)).query)["flow"][0]
    form = urlencode({"flow": flow, "persona": "alice@example.com"}).encode()
    head, _ = connection.exchange(http("POST", "/signin", port, form))
    connection.close()
    cookie = next(line for line in head.decode().split("\r\n") if line.lower().startswith("set-cookie: sid="))
    return {"Cookie": cookie.split(":", 1)[1].split(";", 1)[0].strip()}


def servers() -> list[Server]:
    """Return this issuer and the peers that are installed."""
    found = [
        Server(
            name="mock_idp",
            command=lambda _: [sys.executable, "-m", "mock_idp"],
            keys="/oauth2/default/v1/keys",
            token="/oauth2/default/v1/token",
            authorize="/oauth2/default/v1/authorize",
            client={"client_id": "demo-spa"},
            login=our_login,
            keeps_keys=True,
        )
    ]
    peer = CLIENTS_DIR / "node_modules" / "oauth2-mock-server" / "dist" / "oauth2-mock-server.mjs"
    if peer.exists() and shutil.which("node"):
        found.append(
            Server(
                name="oauth2-mock-server",
                command=lambda port: ["node", str(peer), "-a", "127.0.0.1", "-p", str(port)],
                keys="/jwks",
                token="/token",
                authorize="/authorize",
                client={"client_id": "demo-spa"},
            )
        )
    else:
        print("left out: oauth2-mock-server is not installed")
    other = shutil.which("oidc-provider-mock", path=str(Path(sys.executable).parent))
    if other:
        found.append(
            Server(
                name="oidc-provider-mock",
                command=lambda port: [other, "--port", str(port)],
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

    def start(number: int) -> float:
        with running(server, port, folder / str(number)) as (_, start_s):
            return start_s

    start(0)  # compiles what is not compiled yet, and makes the keys that are kept
    again = statistics.median(start(0) for _ in range(STARTS))
    print(f"\n{server.name}\n  start to first answer        {again:8.2f} s")
    if server.keeps_keys:
        print(f"    with keys to be made       {statistics.median(map(start, range(1, STARTS + 1))):8.2f} s")
    with running(server, port, folder / "0") as (pid, _):
        print(f"  memory, idle                 {memory_mb(pid):8.1f} MB")
        total = 0

        def figure(title: str, flow: Flow, each: int = 1) -> None:
            nonlocal total
            before = cpu_s(pid)
            done, elapsed = load(port, flow, seconds)
            used = cpu_s(pid) - before
            total += done * each
            print(f"  {title:<28} {done / elapsed:8.0f} /s    {done / used:8.0f} per CPU second")

        keys = http("GET", server.keys, port)
        figure("JWKS", once(keys))
        if server.client_credentials:
            form = urlencode({"grant_type": "client_credentials", "scope": "messages.read"}).encode()
            credentials = base64.b64encode(b"demo-client:demo-secret").decode()
            token = http("POST", server.token, port, form, {"Authorization": f"Basic {credentials}"})
            figure("client_credentials", once(token))
        figure("authorize and token", pair_flow(server, port, server.login(port)), 2)
        if requests > total:
            total += load(port, once(keys), 3600, requests - total)[0]
        print(f"  memory after {total:>7} requests {memory_mb(pid):7.1f} MB")


def signatures(seconds: float) -> float:
    """Return how many RS256 signatures a second this process makes."""
    sign = signer()
    done, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        sign()
        done += 1
    return done / (time.monotonic() - began)


def signer() -> Callable[[], bytes]:
    """Return what signs 500 bytes with RS256."""
    # Only the ceilings need the issuer's own packages; the load does without.
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    key, scheme, digest = rsa.generate_private_key(65537, 2048), padding.PKCS1v15(), hashes.SHA256()
    return lambda: key.sign(b"x" * 500, scheme, digest)


async def bare_tornado(port: int) -> None:
    """Serve a constant at /constant and a signature at /signature, and nothing else."""
    from tornado.web import Application, RequestHandler  # noqa: PLC0415 - as above

    sign = signer()

    class Constant(RequestHandler):
        def get(self) -> None:
            self.write(b'{"keys": []}')

    class Signature(RequestHandler):
        def get(self) -> None:
            self.write({"signature": sign().hex()})

    routes = [("/constant", Constant), ("/signature", Signature)]
    Application(routes, log_function=lambda _: None).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


class Echo(asyncio.Protocol):
    """Answers a constant to every piece of data that comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        """Answer."""
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")  # type: ignore[attr-defined]


async def bare_socket(port: int) -> None:
    """Serve a constant without looking at what is asked."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


BARE = {"bare-tornado": bare_tornado, "bare-socket": bare_socket}


def ceilings(port: int, seconds: float) -> None:
    """Print what the first core of this machine can do at best."""
    os.sched_setaffinity(0, {CORES[0]})
    print(f"ceilings\n  RSA-2048 signatures          {signatures(seconds):8.0f} /s")
    os.sched_setaffinity(0, {CORES[-1]})
    for name, title, path in [
        ("bare-tornado", "Tornado that only signs", "/signature"),
        ("bare-tornado", "Tornado with a constant", "/constant"),
        ("bare-socket", "the load itself", "/"),
    ]:
        server = Server(
            name=name,
            command=lambda port, name=name: [sys.executable, __file__, name, str(port)],  # type: ignore[misc]  # bound
            keys=path,
            token="",
            authorize="",
            client={},
        )
        with running(server, port, Path()) as _:
            done, elapsed = load(port, once(http("GET", path, port)), seconds)
        print(f"  {title:<28} {done / elapsed:8.0f} /s")


def main() -> None:
    """Measure one server after the other."""
    if len(sys.argv) > 1 and sys.argv[1] in BARE:
        asyncio.run(BARE[sys.argv[1]](int(sys.argv[2])))
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    os.sched_setaffinity(0, {CORES[-1]})
    ceilings(20149, seconds)
    for offset, server in enumerate(servers()):
        with tempfile.TemporaryDirectory(prefix="issuer-bench-") as folder:
            measure(server, 20150 + offset, Path(folder), seconds, requests)


if __name__ == "__main__":
    main()
