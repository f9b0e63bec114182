"""One execution environment: a process, its Runtime API, its output, and the invocations it serves.

Nothing here has a thread of its own. Whoever waits for something (an initialization, an invocation) drives the
environment: polls its descriptors and handles what arrives. Between invocations the watcher does.
"""

import contextlib
import json
import logging
import os
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from process_executor import debugging, memory, runtime_api
from process_executor.logs import Ending, JsonLines, Measures, Output, TextLines
from process_executor.runtime_api import VERSION, Connection, Request
from process_executor.spawner import Nursery, Order, receive_status

LOG = logging.getLogger(__name__)

PIPE_READ = 1 << 18
# After the answer the runtime polls for the next invocation; what it writes until then belongs to this one.
SETTLE_S = 0.1
SIGNALS: dict[int, str] = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGUSR2: "user defined signal 2",
    signal.SIGPIPE: "broken pipe",
    signal.SIGALRM: "alarm clock",
    signal.SIGTERM: "terminated",
    signal.SIGSYS: "bad system call",
}


class Stopped(Exception):
    """The environment was stopped from outside."""


@dataclass(frozen=True)
class Failure:
    """Why an initialization or an invocation did not end well.

    Attributes:
        payload: what the caller gets; built from the other two if the runtime said nothing.
        reported: whether the runtime told it, and goes on, rather than failed.
    """

    error_type: str
    message: str
    payload: bytes | None = None
    status: str = "error"
    reported: bool = False

    def payload_for(self, request_id: str) -> bytes:
        """The caller's answer, in AWS's words."""
        if self.payload is not None:
            return self.payload
        text = f"RequestId: {request_id} Error: {self.message}"
        return json.dumps({"errorType": self.error_type, "errorMessage": text}, separators=(",", ":")).encode()

    @property
    def ending(self) -> Ending:
        """For the platform's log lines."""
        return Ending(self.status, self.error_type, reported=self.reported)


class CannotStart(Exception):
    """There is nothing to start."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass
class Invocation:
    """What the runtime is working on."""

    request_id: str
    deadline: float
    payload_limit: int
    response: bytes | None = None
    failure: Failure | None = None

    @property
    def answered(self) -> bool:
        """Whether the runtime has reported."""
        return self.response is not None or self.failure is not None


@dataclass(frozen=True)
class Outcome:
    """The end of an invocation."""

    payload: bytes
    is_error: bool
    events: list[str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that stays the same while an environment lives, restarts of its process included."""

    id: str
    name: str
    version: str
    timeout_s: int
    memory_mb: int
    order: Callable[[str], Order]
    nursery: Nursery
    lines: TextLines | JsonLines
    rewrite: Callable[[bytes], bytes]
    traced: bool
    live: Callable[[str, list[str]], None]
    tmp_dir: Path | None
    enforce_memory: bool
    init_timeout_s: float
    signature: Callable[[], str] | None
    debug_port: int


class Environment:
    """Drives one function's process through initialization and invocations."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.created = time.monotonic()
        self.invocations = 0
        self.state = "new"
        self.pid = 0
        self._lock = threading.RLock()
        self._stopped = False
        self._process: Process | None = None
        self._events: list[str] = []
        self._init_ms: float | None = None
        self._last_peak_mb = 0
        self._signature = ""

    # --- From LocalStack's threads ---------------------------------------------------------------------------------

    def start(self) -> Failure | None:
        """Start the process and wait until it is ready.

        Returns:
            the failure of the initialization; the first invocation tries again.

        Raises:
            Stopped: stopped while starting.
        """
        with self._lock:
            return self._initialize(self.plan.init_timeout_s)

    def invoke(self, request_id: str, headers: dict[str, str], payload: bytes, payload_limit: int) -> Outcome:
        """Run one invocation to its end.

        Raises:
            Stopped: stopped before it ended.
        """
        with self._lock:
            self.invocations += 1
            self._settle_idle()
            self._reload_if_changed()
            begin = time.monotonic()
            invocation = Invocation(request_id, begin + self.plan.timeout_s, payload_limit)
            if self._process is None:
                invocation.failure = self._initialize(self.plan.timeout_s)
                self._init_ms = None  # a suppressed initialization: its time is part of the invocation's
            self._log(self.plan.lines.start(request_id, self.plan.version))
            if self._process is not None:
                self._serve(self._process, invocation, headers, payload)
            trace = headers["Lambda-Runtime-Trace-Id"] if self.plan.traced else ""
            return self._conclude(invocation, (time.monotonic() - begin) * 1000, trace)

    def stop(self) -> None:
        """Kill everything in it, at once; may be called at any time, and again."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._discard_process()
            if self.state != "stopped":
                self.plan.nursery.release(self.plan.id)
            self.state = "stopped"
            if self.plan.tmp_dir is not None:
                shutil.rmtree(self.plan.tmp_dir, ignore_errors=True)

    def idle(self) -> None:
        """Take in what happened between invocations; called by the watcher, gives way to invocations."""
        if self._lock.acquire(blocking=False):
            try:
                self._settle_idle()
            finally:
                self._lock.release()

    @property
    def process(self) -> "Process | None":
        """The running process, if any."""
        return self._process

    # --- Phases ----------------------------------------------------------------------------------------------------

    def _initialize(self, timeout_s: float) -> Failure | None:
        self._raise_if_stopped()
        self.state = "starting"
        begin = time.monotonic()
        if self._init_ms is None and not self.invocations:
            self._log(self.plan.lines.init_start())
        if self.plan.signature is not None:
            self._signature = self.plan.signature()
        try:
            failure = self._start_process(begin + timeout_s)
        except CannotStart as problem:
            failure = problem.failure
        self._init_ms = (time.monotonic() - begin) * 1000
        if failure is None:
            self.state = "idle"
            LOG.info("%s is ready: pid %d, %.0f ms", self, self.pid, self._init_ms)
            return None
        self._discard_process()
        self._log(self.plan.lines.init_report(self._init_ms, "invoke" if self.invocations else "init", failure.ending))
        LOG.warning("%s failed to initialize: %s", self, failure.message or failure.error_type)
        return failure

    def _start_process(self, deadline: float) -> Failure | None:
        process = self._process = Process(self.plan)
        self._drive(process, lambda: process.ready or process.exited, deadline)
        self.pid = process.pid
        self._events += process.take_events()
        self._raise_if_stopped()
        return self._init_verdict(process)

    def _drive(self, process: "Process", until: Callable[[], bool], deadline: float) -> None:
        """Drive until something happens or time is up; while somebody debugs, it never is."""
        while True:
            process.drive(until, deadline, self._memory_limit_mb())
            if until() or not self.plan.debug_port or not debugging.attached(self.plan.debug_port):
                return
            deadline = time.monotonic() + 1

    def _reload_if_changed(self) -> None:
        if self.plan.signature is not None and self._process is not None and self.plan.signature() != self._signature:
            LOG.info("%s: its files have changed", self)
            self._discard_process()

    def _init_verdict(self, process: "Process") -> Failure | None:
        if process.init_error is not None:
            return process.init_error
        if process.exited:
            return process.exit_failure()
        if not process.ready:
            return Failure(
                "Sandbox.Timedout", f"Task timed out after {self.plan.timeout_s}.00 seconds", status="timeout"
            )
        return None

    def _serve(self, process: "Process", invocation: Invocation, headers: dict[str, str], payload: bytes) -> None:
        self.state = "invoking"
        process.go_on()
        deadline_ms = int((time.time() + invocation.deadline - time.monotonic()) * 1000)
        process.hand_out(invocation, headers | {"Lambda-Runtime-Deadline-Ms": str(deadline_ms)}, payload)
        self._drive(process, lambda: invocation.answered or process.exited, invocation.deadline)
        if not invocation.answered:
            self._raise_if_stopped()
            if process.exited:
                invocation.failure = process.exit_failure()
            else:
                text = f"Task timed out after {self.plan.timeout_s}.00 seconds"
                invocation.failure = Failure("Sandbox.Timedout", text, status="timeout")
            LOG.warning("%s: %s", self, invocation.failure.message)
            self._discard_process()
            return
        settled = min(time.monotonic() + SETTLE_S, invocation.deadline)
        process.drive(lambda: process.ready or process.exited, settled, None)
        if process.exited:
            self._discard_process()

    def _conclude(self, invocation: Invocation, duration_ms: float, trace: str) -> Outcome:
        plan, failure = self.plan, invocation.failure
        peak_mb = self._last_peak_mb
        if self._process is not None:
            self._events += self._process.take_events(flush=True)
            peak_mb = self._process.rest(freeze=not plan.debug_port)
        timed_out = failure is not None and failure.status == "timeout"
        measures = Measures(
            duration_ms=min(duration_ms, plan.timeout_s * 1000.0) if timed_out else duration_ms,
            memory_mb=plan.memory_mb,
            max_memory_mb=min(peak_mb, plan.memory_mb) if plan.enforce_memory else peak_mb,
            init_ms=self._init_ms,
            trace=trace,
        )
        self._init_ms = None
        self._log(plan.lines.end(invocation.request_id, measures, failure.ending if failure else Ending()))
        events, self._events = self._events, []
        self.state = "idle"
        WATCHER.watch(self)
        if failure is not None:
            return Outcome(failure.payload_for(invocation.request_id), True, events)
        return Outcome(invocation.response or b"", False, events)

    # --- Small parts -----------------------------------------------------------------------------------------------

    def _memory_limit_mb(self) -> int | None:
        return self.plan.memory_mb if self.plan.enforce_memory else None

    def _log(self, lines: list[str]) -> None:
        """Add the platform's own lines."""
        if lines:
            self._events += lines
            self.plan.live(self.plan.name, lines)

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            self._discard_process()
            raise Stopped

    def _settle_idle(self) -> None:
        """Handle what arrived while nobody drove: late output, a process that ended."""
        WATCHER.forget(self)
        process = self._process
        if process is None:
            return
        process.drive(lambda: True, 0, None)
        self._events += process.take_events()
        if process.exited:
            LOG.info("%s: its process ended while idle", self)
            self._discard_process()
        elif self.state == "idle":
            WATCHER.watch(self)

    def _discard_process(self) -> None:
        WATCHER.forget(self)
        process, self._process = self._process, None
        if process is not None:
            self._last_peak_mb = process.peak_memory_mb() or process.max_rss_mb
            process.kill()
            process.close()
            self._events += process.take_events(flush=True)
            LOG.info("%s: pid %d is gone", self, process.pid)
        self.pid = 0

    def __str__(self) -> str:
        return f"Environment {self.plan.id[:8]} of {self.plan.name}:{self.plan.version}"


class Process:
    """A function's process and the descriptors that belong to it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ready = False
        self.exited = False
        self.out_of_memory = False
        self.init_error: Failure | None = None
        self.max_rss_mb = 0
        self._exit_status: int | None = None
        self._invocation: Invocation | None = None
        self._polling: Connection | None = None
        self._undelivered: tuple[dict[str, str], bytes] | None = None
        self._serving = False
        self._output = Output(plan.rewrite)
        self._events: list[str] = []
        self._connections: dict[int, Connection] = {}
        self._kill_lock = threading.Lock()
        self._killed = False
        self._keeper = 0
        self._frozen: list[int] = []
        self.pid = 0
        self.poll = select.epoll()
        self.listener = runtime_api.listen()
        self._start()

    def _start(self) -> None:
        log_read, log_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(log_read, False)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.log_fd, self.status = log_read, ours
        order = self.plan.order(f"127.0.0.1:{self.listener.getsockname()[1]}")
        try:
            self._keeper = self.plan.nursery.spawn(order, log_write, theirs.fileno())
        except BaseException:
            self.close()
            raise
        finally:
            os.close(log_write)
            theirs.close()
        ours.setblocking(False)
        for fd in (self.listener.fileno(), log_read, ours.fileno()):
            self.poll.register(fd, select.EPOLLIN)

    # --- Driving ---------------------------------------------------------------------------------------------------

    def drive(self, until: Callable[[], bool], deadline: float, memory_limit_mb: int | None) -> None:
        """Handle events until ``until`` holds or the deadline (monotonic) has passed; at least those already there."""
        with memory.Checks(memory_limit_mb) as check:
            while True:
                now = time.monotonic()
                done = until()
                wait = 0.0 if done else max(0.0, min(deadline - now, check.due - now))
                events = self.poll.poll(wait)
                for fd, _ in events:
                    self._handle(fd)
                if not events:
                    if done or until() or time.monotonic() >= deadline:
                        return
                    if check.exceeded(self._resident_mb):
                        self.out_of_memory = True
                        self.kill()

    def _resident_mb(self, limit_mb: int) -> int:
        pids = memory.descendants(self.pid)
        resident = memory.resident_mb(pids)
        if resident > limit_mb and len(pids) > 1:
            resident = memory.proportional_mb(pids)
        self.max_rss_mb = max(self.max_rss_mb, resident)
        return resident

    def _handle(self, fd: int) -> None:
        if fd == self.log_fd:
            self._read_output()
        elif fd == self.listener.fileno():
            self._accept()
        elif fd == self.status.fileno():
            self._read_status()
        elif fd in self._connections:
            self._serve_connection(self._connections[fd])

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except BlockingIOError:
            return
        connection = Connection(sock)
        self._connections[sock.fileno()] = connection
        self.poll.register(sock.fileno(), select.EPOLLIN)
        self._serve_connection(connection)

    def _read_output(self) -> None:
        """Drain the pipe, but return to the other descriptors when it never ends."""
        for _ in range(64):
            try:
                data = os.read(self.log_fd, PIPE_READ)
            except BlockingIOError:
                return
            if not data:
                with contextlib.suppress(OSError):
                    self.poll.unregister(self.log_fd)
                return
            self._keep(self._output.feed(data))

    def _keep(self, events: list[str]) -> None:
        if events:
            self._events += events
            self.plan.live(self.plan.name, events)

    def _read_status(self) -> None:
        try:
            message, pid = receive_status(self.status)
        except BlockingIOError:
            return
        if message == {} and pid:
            self.pid = pid
            return
        if message:
            if "failure" in message:
                self.init_error = Failure("Runtime.InitError", message["failure"])
            if "exec_error" in message:
                self.init_error = Failure("Runtime.InvalidEntrypoint", f"fork/exec {message['exec_error']}")
                return
            self._exit_status = message.get("status")
            self.max_rss_mb = max(self.max_rss_mb, message.get("max_rss_kb", 0) // 1024)
        self._end()

    def _end(self) -> None:
        """The process is gone: take in what it left in the sockets and the pipe."""
        for connection in list(self._connections.values()):
            self._serve_connection(connection)
        self._read_output()
        self.exited = True
        with contextlib.suppress(OSError):
            self.poll.unregister(self.status.fileno())

    # --- The Runtime API -------------------------------------------------------------------------------------------

    def _serve_connection(self, connection: Connection) -> None:
        connection.read()
        limit = self._invocation.payload_limit if self._invocation else runtime_api.HEAD_LIMIT
        try:
            while (request := connection.next_request(limit)) is not None:
                self._answer(connection, request)
        except runtime_api.BadRequest as problem:
            connection.answer_error(400, "InvalidRequest", str(problem))
            connection.closed = True
        if connection.closed:
            self._drop(connection)
        else:
            self._watch_writes(connection)

    def _watch_writes(self, connection: Connection) -> None:
        if connection.wants_to_write:
            connection.write()
        mask = select.EPOLLIN | (select.EPOLLOUT if connection.wants_to_write else 0)
        if connection.fileno() in self._connections:
            self.poll.modify(connection.fileno(), mask)

    def _drop(self, connection: Connection) -> None:
        fd = connection.fileno()
        if fd in self._connections:
            del self._connections[fd]
            self.poll.unregister(fd)
        if connection is self._polling:
            self._polling, self.ready = None, False
        connection.close()

    def _answer(self, connection: Connection, request: Request) -> None:
        if not request.path.startswith(VERSION):
            connection.answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})
            return
        match request.method, request.path.removeprefix(VERSION).split("/"):
            case "GET", ["invocation", "next"]:
                self._polling, self.ready = connection, True
                self._deliver()
            case "POST", ["invocation", request_id, "response"]:
                self._take_response(connection, request, request_id)
            case "POST", ["invocation", request_id, "error"]:
                self._take_error(connection, request, request_id)
            case "POST", ["init", "error"]:
                self._take_init_error(connection, request)
            case "GET", ["restore", "next"]:
                connection.answer(200, b"")
            case _:
                connection.answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})

    def _current(self, connection: Connection, request_id: str) -> Invocation | None:
        """The invocation a report is about, unless it is none of ours or already answered."""
        invocation = self._invocation
        if invocation is None or invocation.request_id != request_id:
            connection.answer_error(400, "InvalidRequestID", "Invalid request ID")
            return None
        if invocation.answered:
            connection.answer_error(403, "InvalidStateTransition", "State transition is not allowed")
            return None
        return invocation

    def _take_response(self, connection: Connection, request: Request, request_id: str) -> None:
        invocation = self._current(connection, request_id)
        if invocation is None:
            return
        limit = invocation.payload_limit
        if request.size > limit:
            sentence = f"Exceeded maximum allowed payload size ({limit} bytes)."
            connection.answer_error(413, "RequestEntityTooLarge", sentence)
            text = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
            payload = json.dumps(
                {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}, separators=(",", ":")
            )
            invocation.failure = Failure("Function.ResponseSizeTooLarge", text, payload.encode(), reported=True)
            return
        error_type = request.trailers.get("lambda-runtime-function-error-type")
        if error_type:
            invocation.failure = Failure(error_type, "", self.plan.rewrite(request.body), reported=True)
        else:
            invocation.response = self.plan.rewrite(request.body)
        connection.answer_ok()

    def _take_error(self, connection: Connection, request: Request, request_id: str) -> None:
        invocation = self._current(connection, request_id)
        if invocation is None:
            return
        kind = request.headers.get("lambda-runtime-function-error-type", "")
        invocation.failure = Failure(kind or "Unhandled", "", self.plan.rewrite(request.body), reported=True)
        connection.answer_ok()

    def _take_init_error(self, connection: Connection, request: Request) -> None:
        if self.ready or self._serving:
            connection.answer_error(403, "InvalidStateTransition", "State transition is not allowed")
            return
        kind = request.headers.get("lambda-runtime-function-error-type", "")
        self.init_error = Failure(kind or "Runtime.Unknown", "", self.plan.rewrite(request.body) or b"{}")
        connection.answer_ok()

    def hand_out(self, invocation: Invocation, headers: dict[str, str], payload: bytes) -> None:
        """Answer the runtime's poll with an invocation: now, or as soon as it polls."""
        self._invocation, self._serving = invocation, True
        self._undelivered = (headers, payload)
        self._deliver()

    def _deliver(self) -> None:
        connection = self._polling
        if connection is None or self._undelivered is None:
            return
        headers, payload = self._undelivered
        self._undelivered, self._polling, self.ready = None, None, False
        connection.answer(200, payload, headers)
        self._watch_writes(connection)

    # --- The end ---------------------------------------------------------------------------------------------------

    def exit_failure(self) -> Failure:
        """How the process ended, in AWS's words."""
        kind = "Runtime.ExitError"
        status = self._exit_status
        if self.out_of_memory:
            return Failure("Runtime.OutOfMemory", "Runtime exited with error: signal: killed")
        if status is None:
            return Failure(kind, "Runtime exited with error: signal: killed")
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return Failure(kind, f"Runtime exited with error: signal: {SIGNALS.get(number, f'signal {number}')}")
        code = os.WEXITSTATUS(status)
        if code == 0:
            return Failure(kind, "Runtime exited without providing a reason")
        return Failure(kind, f"Runtime exited with error: exit status {code}")

    def peak_memory_mb(self) -> int:
        """The highest resident memory of the function's process and its children so far; 0 when they are gone."""
        return 0 if self.exited or not self.pid else memory.peak_mb(memory.descendants(self.pid))

    def rest(self, *, freeze: bool) -> int:
        """Halt everything until the next invocation, if the runtime waits for that.

        Returns:
            the peak of memory so far, in MB.
        """
        pids = memory.descendants(self.pid)
        if freeze and self.ready:
            self._frozen = pids
            send_signal(pids, signal.SIGSTOP)
        return memory.peak_mb(pids)

    def go_on(self) -> None:
        """End the rest."""
        send_signal(self._frozen, signal.SIGCONT)
        self._frozen = []

    def take_events(self, *, flush: bool = False) -> list[str]:
        """The log events since the last call."""
        if flush:
            self._keep(self._output.flush())
        events, self._events = self._events, []
        return events

    def kill(self) -> None:
        """Kill the whole environment; from any thread, any number of times."""
        with self._kill_lock:
            if not self._killed and self._keeper:
                self._killed = True
                self.plan.nursery.stop(self._keeper)

    def close(self) -> None:
        """Give back every descriptor."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        with contextlib.suppress(BlockingIOError, OSError):
            self._keep(self._output.feed(os.read(self.log_fd, PIPE_READ)))
        self.listener.close()
        self.status.close()
        os.close(self.log_fd)
        self.poll.close()


def send_signal(pids: list[int], number: int) -> None:
    """Send it to all that are still there."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


class Watcher:
    """One thread that looks after idle environments: their late output, and whether they still live."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll: select.epoll | None = None
        self._watched: dict[int, Environment] = {}

    def watch(self, environment: Environment) -> None:
        """Look after an environment until it is forgotten; wakes once per change."""
        process = environment.process
        if process is None:
            return
        with self._lock:
            if self._poll is None:
                self._poll = select.epoll()
                run = threading.Thread(
                    target=self._run, args=[self._poll], name="process-executor-watcher", daemon=True
                )
                run.start()
            fd = process.poll.fileno()
            mask = select.EPOLLIN | select.EPOLLONESHOT
            if fd in self._watched:
                self._poll.modify(fd, mask)
            else:
                self._poll.register(fd, mask)
            self._watched[fd] = environment

    def forget(self, environment: Environment) -> None:
        """Somebody else drives it now."""
        process = environment.process
        if process is None or process.poll.closed:
            return
        with self._lock:
            fd = process.poll.fileno()
            if self._watched.pop(fd, None) is not None and self._poll is not None:
                self._poll.unregister(fd)

    def _run(self, poll: select.epoll) -> None:
        while True:
            for fd, _ in poll.poll():
                environment = self._watched.get(fd)
                if environment is not None:
                    environment.idle()


WATCHER = Watcher()
