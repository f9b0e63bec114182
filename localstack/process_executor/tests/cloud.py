"""A real LocalStack for the tests, and the few calls they make to it."""

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get("LOCALSTACK_PYTHON") or ROOT / ".gatehouse/env/localstack/bin/python")
NEWEST = "4.14"
# What earlier releases do not have.
UNKNOWN = re.compile("at 'runtime' failed to satisfy|is not supported for SnapStart")
RUNTIMES = Path(os.environ.get("PROCESS_EXECUTOR_RUNTIMES_DIR") or ROOT / ".gatehouse/runtimes")
ROLE = "arn:aws:iam::000000000000:role/tests"
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Answer:
    """What a caller of Invoke gets."""

    payload: bytes
    error: str | None
    log: str
    version: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def timed_out(self) -> bool:
        return self.error == "Unhandled" and " Task timed out after " in self.json["errorMessage"]

    @property
    def log_lines(self) -> list[str]:
        return self.log.splitlines()


class Cloud:
    """One LocalStack process on a free port, with a state folder of its own."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="process-executor-tests-"))
        self.folder.chmod(0o755)
        for name in ("tmp", "cache"):
            (self.folder / name).mkdir(mode=0o755)
        # Bound until the end, so that nobody else is given the port before LocalStack listens: it may bind it, too.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port = self._reserved.getsockname()[1]
        self.output: list[str] = []
        self.settings = settings
        self._ready = threading.Event()

    def variables(self) -> dict[str, str]:
        """The environment of its process."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYENV_ROOT": os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "FILESYSTEM_ROOT": str(self.folder / "files"),
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DISABLE_EVENTS": "1",
            "DNS_ADDRESS": "0",
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "LAMBDA_RETRY_BASE_DELAY": "1",  # AWS waits for a minute
            "PROVIDER_OVERRIDE_DYNAMODB": "moto",
            "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "moto",
            "PROCESS_EXECUTOR_RUNTIMES_DIR": str(RUNTIMES),
            "PROCESS_EXECUTOR_LOG_FILE": str(self.folder / "functions.log"),
            "UNRELATED_SECRET_OF_THE_HOST": "leaked",
            "AWS_CA_BUNDLE": "/nowhere",
        } | self.settings

    def start(self) -> None:
        """Start it and wait for its word that it is ready; with its output in the failure when it dies."""
        self.process = subprocess.Popen(
            [PYTHON, "-u", "-m", "localstack.runtime.main"],
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        ready = self._ready.wait(START_TIMEOUT_S) and self.process.poll() is None
        # It says that it is ready whoever it is that listens there.
        if not ready or any("CannotListenError" in line for line in self.output):
            self.stop()
            raise RuntimeError("LocalStack did not start:\n" + "".join(self.output[-40:]))
        self.awslambda = self.client("lambda")

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output.append(line)
            if line.strip() == "Ready.":
                self._ready.set()
        self._ready.set()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=300, max_pool_connections=256),
        )

    def stop(self) -> None:
        """End it the hard way: quicker, and nothing may be left behind even so."""
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=5)
        self.process.stdout.close()
        self.forget()

    def forget(self) -> None:
        """Give back its port and its folder."""
        self._reserved.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- Functions -------------------------------------------------------------------------------------------------

    def deploy(self, source: str | Mapping[str, str | bytes], **configuration: Any) -> str:
        """Create a function from one module ``app`` (or several files); its name."""
        files = {"app.py": textwrap.dedent(source)} if isinstance(source, str) else source
        return self.create({"ZipFile": zipped(files)}, **configuration)

    def create(self, code: Mapping[str, Any], **configuration: Any) -> str:
        """Create a function and wait until it is active, or has failed; its name."""
        name = f"f-{uuid.uuid4().hex[:12]}"
        defaults = {"Runtime": "python3.13", "Handler": "app.handler", "Role": ROLE, "Timeout": 10}
        try:
            self.awslambda.create_function(FunctionName=name, Code=code, **(defaults | configuration))
        except self.awslambda.exceptions.InvalidParameterValueException as refusal:
            if self.is_before(NEWEST) and UNKNOWN.search(str(refusal)):
                pytest.skip(f"LocalStack {self.release} itself refuses: {refusal}")
            raise
        eventually(lambda: self.configuration(name)["State"], lambda state: state != "Pending")
        return name

    @property
    def release(self) -> str:
        """LocalStack's, such as ``4.14.0``."""
        return next(line.split()[-1] for line in self.output if line.startswith("LocalStack version:"))

    def is_before(self, release: str) -> bool:
        """Whether it is of an earlier release."""
        ours, theirs = ([int(part) for part in each.split(".")[:2]] for each in (self.release, release))
        return ours < theirs

    def configuration(self, name: str) -> Any:
        """A function's configuration as LocalStack tells it."""
        return self.awslambda.get_function_configuration(FunctionName=name)

    def invoke(self, name: str, event: Any = None, **arguments: Any) -> Answer:
        """Invoke a function and wait for its answer and the tail of its log."""
        answer = self.awslambda.invoke(
            FunctionName=name, Payload=json.dumps({} if event is None else event), LogType="Tail", **arguments
        )
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return Answer(answer["Payload"].read(), answer.get("FunctionError"), log, answer.get("ExecutedVersion"))

    def run(self, source: str, event: Any = None, **configuration: Any) -> Answer:
        """Deploy and invoke once."""
        return self.invoke(self.deploy(source, **configuration), event)

    def events(self, name: str, until: Callable[[list[str]], bool], group: str = "") -> list[str]:
        """The events in CloudWatch Logs, of the function or of another group, once they satisfy ``until``."""
        logs = self.client("logs")

        def read() -> list[str]:
            try:
                pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group or f"/aws/lambda/{name}")
                return [event["message"] for page in pages for event in page["events"]]
            except logs.exceptions.ResourceNotFoundException:
                return []

        return eventually(read, until)

    # --- The executor's own page -----------------------------------------------------------------------------------

    def status(self) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_localstack/process-executor") as answer:
            return json.load(answer)

    def environments(self, name: str) -> list[Any]:
        return [each for each in self.status()["environments"] if each["function"] == name]

    @property
    def isolation(self) -> str:
        return self.status()["nurseries"][0]["isolation"]


ABSENT = f"no LocalStack to test against: {PYTHON} (LOCALSTACK_PYTHON names another)"


def running(**settings: str) -> Iterator[Cloud]:
    """Start a LocalStack and end it."""
    if not PYTHON.exists():
        pytest.skip(ABSENT)
    if not (RUNTIMES / "python3.13").exists():
        pytest.skip(f"no function runtime in {RUNTIMES} (PROCESS_EXECUTOR_RUNTIMES_DIR names another folder)")
    cloud = Cloud(**settings)
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.stop()


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A zip archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def eventually[T](read: Callable[[], T], until: Callable[[T], bool], timeout_s: float = 15) -> T:
    """What ``read`` gives once it satisfies ``until``; for what announces itself in no other way."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not until(value := read()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still not, after {timeout_s} s: {value!r}")
        pause.wait(0.02)
    return value


def function_url(cloud: Cloud, name: str, auth_type: str = "NONE", **arguments: Any) -> str:
    """Make a function's URL."""
    made = cloud.awslambda.create_function_url_config(FunctionName=name, AuthType=auth_type, **arguments)
    return made["FunctionUrl"]


def permit_url(cloud: Cloud, name: str, **arguments: Any) -> None:
    """Let everybody call a function's URL."""
    statement = {"StatementId": "url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*"}
    cloud.awslambda.add_permission(FunctionName=name, **statement | {"FunctionUrlAuthType": "NONE"} | arguments)


def fetch_url(cloud: Cloud, url: str, path: str = "/", **request: Any) -> tuple[int, Message, bytes]:
    """Call a function URL; status, headers and body."""
    headers = {"Host": re.sub("https?://", "", url).rstrip("/")} | request.pop("headers", {})
    asked = urllib.request.Request(f"http://127.0.0.1:{cloud.port}{path}", headers=headers, **request)
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read()
