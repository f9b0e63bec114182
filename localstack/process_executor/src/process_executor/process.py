"""A function's process: its Runtime API, its output, its memory and its end.

Nothing here has a thread of its own: whoever waits for something drives the process, polls its descriptors and handles
what arrives.
"""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable

from process_executor import memory, processor, runtime_api
from process_executor.invocations import Failure, Invocation
from process_executor.logs import Output
from process_executor.plan import Plan
from process_executor.processor import Share, send_signal
from process_executor.runtime_api import VERSION, Connection, Request
from process_executor.spawner import receive_status

PIPE_READ = 1 << 18
# Of one invocation, in bytes of LocalStack's memory: a function that prints without end must not fill it.
OUTPUT_LIMIT = 64 << 20
EVENT_OVERHEAD = 400
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


class Process:
    """A function's process and the descriptors that belong to it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ready = False
        self.exited = False
        self.out_of_memory = False
        self.init_error: Failure | None = None
        self.peak_mb = 0
        self._exit_status: int | None = None
        self._invocation: Invocation | None = None
        self._polling: Connection | None = None
        self._undelivered: tuple[dict[str, str], bytes] | None = None
        self._serving = False
        self._output = Output(plan.rewrite, plan.lines.keeps)
        self._events: list[str] = []
        self._kept = 0
        self._left_out = 0
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
        ours.setblocking(False)
        self.log_fd, self.status = log_read, ours
        try:
            for fd in (self.listener.fileno(), log_read, ours.fileno()):
                self.poll.register(fd, select.EPOLLIN)
            order = self.plan.order(f"127.0.0.1:{self.listener.getsockname()[1]}")
            self._keeper = self.plan.nursery.spawn(order, log_write, theirs.fileno())
        except BaseException:
            self.close()
            raise
        finally:
            os.close(log_write)
            theirs.close()

    # --- Driving ---------------------------------------------------------------------------------------------------

    def drive(
        self,
        until: Callable[[], bool],
        deadline: float,
        memory_limit_mb: int | None = None,
        share: Share | None = None,
    ) -> None:
        """Handle events until ``until`` holds or the deadline (monotonic) has passed; at least those already there.

        Meanwhile it may use this much memory, and this share of a processor; None for all there is.
        """
        with memory.Checks(memory_limit_mb) as check, processor.Brake(share, self.pid) as brake:
            while True:
                now = time.monotonic()
                last = until() or now >= deadline
                wait = 0.0 if last else max(0.0, min(deadline, check.due, brake.due) - now)
                for fd, _ in self.poll.poll(wait):
                    self._handle(fd)
                if last:
                    return
                if check.exceeded(self._resident_mb):
                    self.out_of_memory = True
                    self.kill()
                brake.apply(self.pid)

    def _resident_mb(self) -> int:
        pids = memory.descendants(self.pid)
        resident_mb = memory.resident_mb(pids)
        self.peak_mb = max(self.peak_mb, resident_mb)
        return resident_mb

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
        """Take in what the pipe holds, but return to the other descriptors when that never ends."""
        for _ in range(4):
            try:
                data = os.read(self.log_fd, PIPE_READ)
            except BlockingIOError:
                return
            if not data:
                with contextlib.suppress(OSError):
                    self.poll.unregister(self.log_fd)
                return
            if self._kept > OUTPUT_LIMIT:
                self._left_out += len(data)
            else:
                self._keep(self._output.feed(data))

    def _keep(self, events: list[str]) -> None:
        if events:
            self._events += events
            self._kept += sum(map(len, events)) + EVENT_OVERHEAD * len(events)
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
            self.peak_mb = max(self.peak_mb, message.get("max_rss_kb", 0) // 1024)
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
                connection.answer(200, b"")  # there is no snapshot to wait for
            case "POST", ["restore", "error"]:
                self._take_init_error(connection, request)
            case _, ["invocation", "next"] | ["invocation", _, "response" | "error"] | ["init", "error"]:
                connection.answer(405, b"")
            case _:
                connection.answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})

    def _refuse(self, connection: Connection, state: str) -> None:
        """Answer a report that does not fit the runtime's state, as AWS's Runtime Interface Emulator words it."""
        if self.ready:
            now = "Ready"
        elif not self._serving:
            now = "Started"
        else:
            now = "RuntimeResponseSentState" if self._invocation and self._invocation.answered else "Running"
        text = f"State transition from {now} to {state} failed for runtime. Error: State transition is not allowed"
        connection.answer_error(403, "InvalidStateTransition", text)

    def _current(self, connection: Connection, request: Request, request_id: str, state: str) -> Invocation | None:
        """The invocation a report is about, with when it came; None if it is none of ours or already answered."""
        invocation = self._invocation
        if invocation is None or invocation.request_id != request_id:
            connection.answer_error(400, "InvalidRequestID", "Invalid request ID")
            return None
        if invocation.answered:
            self._refuse(connection, state)
            return None
        invocation.answer_begun, invocation.answer_ended = request.begun, time.monotonic()
        invocation.produced = request.size
        return invocation

    def _take_response(self, connection: Connection, request: Request, request_id: str) -> None:
        invocation = self._current(connection, request, request_id, "InvocationResponse")
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
        invocation = self._current(connection, request, request_id, "InvocationErrorResponse")
        if invocation is None:
            return
        kind = request.headers.get("lambda-runtime-function-error-type", "")
        invocation.failure = Failure(kind, "", self.plan.rewrite(request.body), reported=True)
        connection.answer_ok()

    def _take_init_error(self, connection: Connection, request: Request) -> None:
        if self.ready or self._serving:
            self._refuse(connection, "InitError")
            return
        kind = request.headers.get("lambda-runtime-function-error-type", "")
        self.init_error = Failure(kind, "", self.plan.rewrite(request.body) or b"{}")
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
        if self._invocation is not None:
            self._invocation.handed_out = time.monotonic()
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

    def look_at_memory(self) -> list[int]:
        """Note the peak of memory so far, and tell which processes there are.

        It is exact for a single one; of children that have ended it is what was seen while they ran.
        """
        pids = [] if self.exited else memory.descendants(self.pid)
        several_mb = memory.resident_mb(pids) if len(pids) > 1 else 0
        self.peak_mb = max(self.peak_mb, memory.peak_mb(pids), several_mb)
        return pids

    def rest(self, *, freeze: bool) -> None:
        """Halt everything until the next invocation, if the runtime waits for that."""
        pids = self.look_at_memory()
        if freeze and self.ready:
            self._frozen = processor.halt(pids, self.pid)
        # A peak that was short nobody has noticed until now; several processes have theirs at different times.
        if self.plan.enforce_memory and len(pids) == 1 and memory.peak_mb(pids) > self.plan.memory_mb:
            self.out_of_memory = True

    def go_on(self) -> None:
        """End the rest."""
        send_signal(self._frozen, signal.SIGCONT)
        self._frozen = []

    def take_events(self, *, flush: bool = False) -> list[str]:
        """The log events since the last call."""
        if flush:
            self._keep(self._output.flush())
        events, self._events = self._events, []
        if self._left_out:
            events.append(f"process_executor: {self._left_out} more bytes were left out of this log.\n")
        self._kept = self._left_out = 0
        return events

    def kill(self) -> None:
        """Kill the whole environment; from any thread, any number of times."""
        with self._kill_lock:
            if not self._killed and self._keeper:
                self._killed = True
                self.plan.nursery.stop(self._keeper, self.plan.id)

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
