"""Stacks of the tests' own: real processes on free ports, from this checkout or from a copy that a test may change."""

import json
import os
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from testbed.ports import free_ports
from testbed.settings import PORTS, ROOT

ROOMS = ("testbed", "mock_idp", "frontend", "localstack", "lambda", "Makefile", "docker-compose.yml", ".env.example")
SET_UP = ("env", "runtimes", "function", "widget", "stamps")


def checkout(folder: Path) -> Path:
    """Copy what a stack runs from; what set-up made is only linked."""
    for name in ROOMS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "tests"))
        else:
            shutil.copy2(source, folder / name)
    (folder / ".gatehouse").mkdir()
    for name in SET_UP:
        (folder / ".gatehouse" / name).symlink_to(ROOT / ".gatehouse" / name)
    return folder


class Stack:
    """A stack of the tests' own and the commands on it."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        ports = free_ports()
        self.frontend, self.idp, self.idp_tls, self.cloud = (int(ports[name]) for name in PORTS)
        self.name = f"test-{secrets.token_hex(3)}"
        self.folder = root / ".gatehouse/stacks" / self.name
        self.environment = os.environ | {"MODE": "native", "STACK": self.name, **ports}
        self.api_url = f"http://localhost:{self.cloud}/_aws/execute-api/gatehouse/Prod/api/messages"

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "testbed/launch", *words],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        answer = self.run("up")
        assert answer.returncode == 0, answer.stdout + answer.stderr + self.log("deployer")
        return answer

    def status(self) -> dict[str, Any]:
        return json.loads(self.run("status", JSON="1").stdout)

    def log(self, service: str) -> str:
        path = self.folder / "logs" / f"{service}.log"
        return path.read_text() if path.exists() else ""

    def deployment(self) -> dict[str, Any]:
        return json.loads((self.folder / "deployment.json").read_text())

    def supervisor(self) -> psutil.Process:
        return psutil.Process(int((self.folder / "supervisord.pid").read_text()))

    def services(self) -> set[int]:
        """The process ids of what the supervisor keeps running; what these start themselves comes and goes."""
        return {process.pid for process in self.supervisor().children()}

    def service(self, name: str) -> psutil.Process:
        """The process of one service."""
        return next(p for p in self.processes() if p.environ().get("SUPERVISOR_PROCESS_NAME") == name)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on behalf of this stack: by its mark, or as a descendant of what bears it."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                if process.environ().get("GATEHOUSE_STACK") == str(self.folder):
                    found |= {each.pid: each for each in [process, *process.children(recursive=True)]}
            except psutil.Error:
                continue
        return list(found.values())


@contextmanager
def own_stack(root: Path = ROOT) -> Iterator[Stack]:
    stack = Stack(root)
    try:
        yield stack
    finally:
        stack.run("reset")


def post(url: str, body: dict[str, object]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
