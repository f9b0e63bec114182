"""LocalStack's side of the nurseries: starts one per runtime, orders environments from it."""

import json
import logging
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from process_executor import nursery as nursery_program
from process_executor.runtimes import Runtime, UnsupportedRuntime, resolve
from process_executor.settings import settings

LOG = logging.getLogger(__name__)

START_TIMEOUT_S = 10
CREDENTIALS = struct.Struct("3i")


class NurseryFailure(Exception):
    """The nursery could not be started, or refused an order."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One environment, as the nursery is to make it.

    Attributes:
        id: the environment's.
        task_dir: the function's code on this machine.
        opt_dir: its layers merged; None without layers.
        cwd: where it starts, in its own view.
        environment: all of its environment variables.
        init_environment: those of process 1.
        site_dirs: where modules of the function and its layers are, first on a forked interpreter's ``sys.path``.
        sys_path: what is between these and the standard library.
        handler: as configured.
        argv: a program to execute instead of going on in the forked interpreter.
        entrypoint: how a custom runtime's program is called in error messages; empty for other programs.
        connect: whether the program inherits a connection to the Runtime API.
        uid: the user to become; 0 for none.
        gid: its group.
        tmp_mb: the limit of ``/tmp``.
        own_tmp: whether it is the function's alone; else it is root's, and open to all.
        debug_port: where debugpy listens; 0 for nowhere.
        must_read: folders that an unprivileged user must be able to read, lest the function is let read everything.
        places: the real folder for each of AWS's, where the function is not shown these themselves.
        limits: by name in the module ``resource``.
        shown_limits: those that Python code is told, where namespaces are stood in for.
    """

    id: str
    task_dir: str
    opt_dir: str | None
    cwd: str
    environment: dict[str, str]
    init_environment: dict[str, str]
    site_dirs: list[str]
    sys_path: list[str]
    handler: str
    argv: list[str] | None
    entrypoint: str
    connect: bool
    uid: int
    gid: int
    tmp_mb: int
    own_tmp: bool
    debug_port: int
    must_read: list[str]
    places: dict[str, str]
    limits: dict[str, int]
    shown_limits: dict[str, int]


class Nursery:
    """One nursery process; restarted when it died."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.level = ""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> str:
        """Start the process unless it runs; the isolation level it reached."""
        with self._lock:
            self._ensure_started()
            return self.level

    def spawn(self, order: Order, log_fd: int, status_fd: int) -> int:
        """Fork an environment from the nursery; the keeper's process id, as the nursery sees it."""
        message = json.dumps({"do": "start", **order.__dict__}).encode()
        with self._lock:
            for attempt in (1, 2):
                control = self._ensure_started()
                try:
                    socket.send_fds(control, [message], [log_fd, status_fd])
                    answer = receive(control)
                except (OSError, NurseryFailure):
                    self._forget()
                    if attempt == 2:
                        raise
                    continue
                if "error" in answer:
                    raise NurseryFailure(answer["error"])
                return int(answer["pid"])
        raise AssertionError

    def stop(self, pid: int, environment_id: str) -> None:
        """Kill the environment of this keeper, unless the kernel has given its number to another one's."""
        self._send({"do": "stop", "pid": pid, "id": environment_id})

    def release(self, environment_id: str) -> None:
        """Let go of what an environment keeps between its processes."""
        self._send({"do": "release", "id": environment_id})

    def compile(self, folder: Path) -> None:
        """Have bytecode written beside a function's sources, in the background."""
        if self.runtime.is_python:
            self._send({"do": "compile", "dir": str(folder)})

    def close(self) -> None:
        """End the nursery and all environments below it."""
        with self._lock:
            self._forget()

    def _send(self, order: dict[str, Any]) -> None:
        with self._lock:
            if self._control is None:
                return
            try:
                self._control.send(json.dumps(order).encode())
            except OSError:
                self._forget()

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _ensure_started(self) -> socket.socket:
        if self._control is not None:
            return self._control
        reasons = []
        for level in levels():
            try:
                return self._start_at(level)
            except NurseryFailure as failure:
                reasons.append(f"{level}: {failure}")
                LOG.debug("Isolation level %s is not available: %s", level, failure)
        raise NurseryFailure("; ".join(reasons))

    def _start_at(self, level: str) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, nursery_program.MESSAGE_LIMIT)
        python = str(self.runtime.python)
        with theirs, tempfile.TemporaryDirectory(prefix="process-executor-") as root:
            config = {
                "level": level,
                "root": root,
                "prefix": str(self.runtime.prefix),
                "interpreter": python,
                "lang": str(self.runtime.lang or ""),
                "folders": {shown: str(source) for shown, source in self.runtime.folders().items()},
                "preload": str(self.runtime.runtime_dir or "") if self.runtime.is_python else "",
                "pool_size": settings().pool_size,
            }
            command = [
                python,
                *nursery_program.FLAGS,
                nursery_program.__file__,
                json.dumps(config),
                str(theirs.fileno()),
            ]
            # S603: the interpreter was probed, the rest is this package's own program.
            self._process = subprocess.Popen(  # noqa: S603
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin", nursery_program.ROOM: " " * nursery_program.ROOM_BYTES},
            )
            theirs.close()
            try:
                ours.settimeout(START_TIMEOUT_S)
                receive(ours)
                ours.settimeout(None)
            except (OSError, NurseryFailure):
                ours.close()
                self._process.kill()
                _, errors = self._process.communicate()
                self._process = None
                last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it ended without a word"]
                raise NurseryFailure(last[0]) from None
        if self._process.stderr is not None:
            start_reader(self._process.stderr, self.runtime.name)
        self.level = level
        self._control = ours
        LOG.info("Nursery for %s is up: %s, isolation: %s", self.runtime.name, python, level)
        client = self.runtime.runtime_dir if self.runtime.is_python else None
        if client and not (client / "awslambdaric/__pycache__").exists():
            ours.send(json.dumps({"do": "compile", "dir": str(client)}).encode())
        if level == "process" and os.geteuid() == 0:
            self._warn_of_privileges()
        return ours

    def _warn_of_privileges(self) -> None:
        """Say so when functions need more rights than their own user's."""
        folders = [str(path) for path in self.runtime.folders().values()]
        closed = [folder for folder in folders if not nursery_program.open_to_all(folder)]
        if closed:
            rights = "may read every file" if nursery_program.may_read_everything() else "run as root"
            LOG.warning("Functions of %s %s: other users cannot read %s", self.runtime.name, rights, closed[0])


def start_reader(stream: Any, name: str) -> None:
    """Pass a nursery's complaints on to LocalStack's log until it ends."""

    def read() -> None:
        with stream:
            for line in stream:
                LOG.warning("Nursery for %s: %s", name, line.decode(errors="replace").rstrip())

    threading.Thread(target=read, name=f"nursery-{name}", daemon=True).start()


def receive(control: socket.socket) -> dict[str, Any]:
    """One message from the nursery."""
    data = control.recv(nursery_program.MESSAGE_LIMIT)
    if not data:
        raise NurseryFailure("the nursery ended")
    message: dict[str, Any] = json.loads(data)
    return message


def receive_status(status: socket.socket) -> tuple[dict[str, Any] | None, int]:
    """One message from a keeper and its process id in this PID namespace; None when it is gone."""
    data, ancillary, _, _ = status.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
    pid = 0
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid = CREDENTIALS.unpack(payload[: CREDENTIALS.size])[0]
    return (json.loads(data) if data else None), pid


def levels() -> list[str]:
    """The isolation levels to try, best first."""
    wanted = settings().isolation
    if wanted != "auto":
        return [wanted]
    return ["namespaces" if os.geteuid() == 0 else "user-namespaces", "process"]


def nursery_for(runtime: Runtime) -> Nursery:
    """The one nursery of a runtime."""
    with _LOCK:
        for nursery in NURSERIES:
            if nursery.runtime == runtime:
                return nursery
        nursery = Nursery(runtime)
        NURSERIES.append(nursery)
        return nursery


def start_ahead() -> None:
    """Start the nursery of LocalStack's own Python in the background, so that the first function finds it."""

    def start() -> None:
        name = "python{}.{}".format(*sys.version_info)
        try:
            nursery_for(resolve(name)).start()
        except (UnsupportedRuntime, NurseryFailure, OSError) as problem:
            LOG.debug("No nursery for %s yet: %s", name, problem)

    threading.Thread(target=start, name="nurseries", daemon=True).start()


NURSERIES: list[Nursery] = []
_LOCK = threading.Lock()
