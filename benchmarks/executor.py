"""How fast functions start and run under the process executor, beside PyPI's ministack.

    python benchmarks/executor.py [functions] [seconds]

Both emulators run a trivial Python function, in turns, on the same machine. Printed are: start to ready; a first
answer, both from Invoke and from CreateFunction on (an emulator may warm up in between); warm invocations as the
caller sees them; the executor's share of them, timed inside LocalStack (Runtime API, runtime client, a handler that
does nothing, logs, memory); answers a second to 8 callers; and the memory of one more environment (proportional set
size).
`testbed/launch setup localstack runtime peers` installs them; a peer that is not there is left out, with its name.
"""

import base64
import http.client
import io
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PYTHON = Path(os.environ.get("LOCALSTACK_PYTHON") or ROOT / ".gatehouse/env/localstack/bin/python")
RUNTIMES = Path(os.environ.get("PROCESS_EXECUTOR_RUNTIMES_DIR") or ROOT / ".gatehouse/runtimes")
CALLERS = 8
PARALLEL = 20
WARM = 300
READY_TIMEOUT_S = 60
HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request",
}
# LocalStack, with the milliseconds that each call of the executor took in a file.
TIMED = """
import os, runpy, time
from process_executor.executor import ProcessRuntimeExecutor

times = open(os.environ.pop("EXECUTOR_TIMES"), "w", buffering=1)
invoke = ProcessRuntimeExecutor.invoke

def timed(self, payload):
    began = time.perf_counter()
    result = invoke(self, payload)
    print((time.perf_counter() - began) * 1000, file=times)
    return result

ProcessRuntimeExecutor.invoke = timed
runpy.run_module("localstack.runtime.main", run_name="__main__")
"""
TRIVIAL = "def handler(event, context): return event\n"
WAITING = "import time\ndef handler(event, context): time.sleep(event)\n"


@dataclass
class Emulator:
    """A server with Lambda's API."""

    name: str
    command: list[str]
    environment: dict[str, str]
    health: str
    port: int = 0
    pid: int = 0
    folder: Path = Path()
    local: threading.local = field(default_factory=threading.local)

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One request on the calling thread's own connection."""
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.local.connection.connect()
            self.local.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local.connection.request(method, path, body, HEADERS | headers)
        answer = self.local.connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def create(self, source: str) -> str:
        """Create a function and wait until it is active."""
        name = f"bench-{uuid.uuid4().hex[:8]}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("app.py", source)
        configuration = {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Handler": "app.handler",
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Timeout": 30,
            "Code": {"ZipFile": base64.b64encode(archive.getvalue()).decode()},
        }
        status, _, body = self.call("POST", "/2015-03-31/functions", json.dumps(configuration).encode())
        if status != 201:
            raise RuntimeError(f"{self.name} did not create a function: {status} {body.decode()[:300]}")
        while self.call("GET", f"/2015-03-31/functions/{name}/configuration")[2].find(b'"Active"') < 0:
            time.sleep(0.002)
        return name

    def invoke(self, name: str, event: Any = None) -> float:
        """Milliseconds until the answer, which has the tail of the log."""
        began = time.perf_counter()
        path = f"/2015-03-31/functions/{name}/invocations"
        status, headers, body = self.call("POST", path, json.dumps(event).encode(), **{"X-Amz-Log-Type": "Tail"})
        elapsed_ms = (time.perf_counter() - began) * 1000
        if status != 200 or "x-amz-function-error" in headers:
            raise RuntimeError(f"{self.name} failed: {status} {body.decode()[:300]}")
        return elapsed_ms


@contextmanager
def running(emulator: Emulator) -> Iterator[float]:
    """Start an emulator in a folder of its own; the seconds until it was ready."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            emulator.port = sock.getsockname()[1]
        emulator.folder = Path(folder)
        environment = {
            name: value.format(folder=folder, port=emulator.port) for name, value in emulator.environment.items()
        }
        (Path(folder) / "tmp").mkdir()
        began = time.monotonic()
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                emulator.command, env={"PATH": os.environ["PATH"]} | environment, cwd=folder, stdout=log, stderr=log
            )
        emulator.pid = process.pid
        try:
            while True:
                with suppress(OSError, http.client.HTTPException):
                    if emulator.call("GET", emulator.health)[0] == 200:
                        break
                emulator.local = threading.local()
                if process.poll() is not None or time.monotonic() - began > READY_TIMEOUT_S:
                    raise RuntimeError(f"{emulator.name} did not start:\n{(Path(folder) / 'log').read_text()[-2000:]}")
                time.sleep(0.01)
            yield time.monotonic() - began
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        with suppress(OSError):
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                children = [int(text) for text in (task / "children").read_text().split()]
                found += children
                waiting += children
    return found


def memory_mb(pids: list[int]) -> float:
    """Their proportional set size."""
    total_kb = 0
    for pid in pids:
        with suppress(OSError):
            match = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total_kb += int(match[1]) if match else 0
    return total_kb / 1024


def measure(emulator: Emulator, functions: int, seconds: float) -> dict[str, str]:
    """All figures of one emulator."""
    with running(emulator) as ready_s:
        emulator.invoke(emulator.create(TRIVIAL))  # what an emulator loads at first use is not a function's cold start
        from_create, from_invoke = [], []
        for _ in range(functions):
            began = time.perf_counter()
            name = emulator.create(TRIVIAL)
            from_invoke.append(emulator.invoke(name))
            from_create.append((time.perf_counter() - began) * 1000)
        times = sorted(emulator.invoke(name, {}) for _ in range(WARM))
        executor = executor_times(emulator)[-WARM:]
        throughput = answers_per_second(emulator, name, seconds)
        per_environment = memory_per_environment(emulator)
    return {
        "ready": f"{ready_s:.2f} s",
        "first answer, from Invoke": spread(from_invoke),
        "first answer, from CreateFunction": spread(from_create),
        "warm, as the caller sees it": percentiles(times),
        "warm, of that in the executor": percentiles(sorted(executor)) if executor else "not measured",
        f"answers a second, {CALLERS} callers": f"{throughput:.0f}",
        "memory of an environment": f"{per_environment:.1f} MB",
    }


def executor_times(emulator: Emulator) -> list[float]:
    """Milliseconds of each call of the executor; nothing from other emulators."""
    path = emulator.folder / "times"
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []


def percentiles(values: list[float]) -> str:
    """The median and what 95 of 100 stay below, of sorted milliseconds."""
    return f"p50 {values[len(values) // 2]:.1f} ms, p95 {values[len(values) * 95 // 100]:.1f} ms"


def spread(values: list[float]) -> str:
    """Median and range, in milliseconds."""
    return f"{statistics.median(values):.0f} ms ({min(values):.0f} to {max(values):.0f})"


def answers_per_second(emulator: Emulator, name: str, seconds: float) -> float:
    """Throughput with all callers busy."""

    def load(deadline: float) -> int:
        count = 0
        while time.monotonic() < deadline:
            emulator.invoke(name, {})
            count += 1
        return count

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda _: emulator.invoke(name, {}), range(CALLERS)))
        return sum(pool.map(load, [time.monotonic() + seconds] * CALLERS)) / seconds


def memory_per_environment(emulator: Emulator) -> float:
    """What each of many environments at once adds."""
    name = emulator.create(WAITING)
    emulator.invoke(name, 0)
    before = memory_mb(descendants(emulator.pid))
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda _: emulator.invoke(name, 3), range(PARALLEL)))
        return (memory_mb(descendants(emulator.pid)) - before) / (PARALLEL - 1)


def main() -> None:
    """Print a table."""
    functions = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5
    gateway = {"GATEWAY_LISTEN": "127.0.0.1:{port}", "FILESYSTEM_ROOT": "{folder}/files", "TMPDIR": "{folder}/tmp"}
    quiet = {
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "DNS_ADDRESS": "0",
        "XDG_CACHE_HOME": "{folder}/cache",
    }
    executor = {
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "PROCESS_EXECUTOR_RUNTIMES_DIR": str(RUNTIMES),
        "LS_LOG": "warning",
    }
    emulators = [
        Emulator(
            "process executor",
            [str(PYTHON), "-c", TIMED],
            gateway | quiet | executor | {"HOME": "{folder}", "EXECUTOR_TIMES": "{folder}/times"},
            "/_localstack/health",
        )
    ]
    peer = ROOT / ".gatehouse/env/peers/bin/ministack"
    if peer.exists():
        home = {"GATEWAY_PORT": "{port}", "HOME": "{folder}", "TMPDIR": "{folder}/tmp"}
        emulators.append(Emulator("ministack", [str(peer)], home, "/_localstack/health"))
    else:
        print("left out: ministack is not installed")
    results = {emulator.name: measure(emulator, functions, seconds) for emulator in emulators}
    width = max(len(figure) for figure in next(iter(results.values())))
    print(" " * width, *(f"{name:>28}" for name in results))
    for figure in next(iter(results.values())):
        print(f"{figure:<{width}}", *(f"{result[figure]:>28}" for result in results.values()))


if __name__ == "__main__":
    main()
