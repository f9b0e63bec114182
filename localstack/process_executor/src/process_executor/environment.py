"""One execution environment: its process, its phases, and the invocations it serves.

Whoever waits for something (an initialization, an invocation) drives the environment; between invocations the watcher
does.
"""

import json
import logging
import select
import shutil
import threading
import time
from collections.abc import Callable

from process_executor import debugging
from process_executor.invocations import Failure, Invocation, Outcome
from process_executor.logs import Ending, Measures, timestamp
from process_executor.plan import CannotStart, Plan
from process_executor.process import Process
from process_executor.processor import Share, share_of

LOG = logging.getLogger(__name__)

# After the answer the runtime polls for the next invocation; what it writes until then belongs to this one.
SETTLE_S = 0.1
# Of processor time: a repeated initialization that is short is not slowed down.
FREE_S = 0.25
# Levels of the setting: what has AWS's share of a processor.
REPEATED, ALWAYS = 1, 2


class Stopped(Exception):
    """The environment was stopped from outside."""


class StoppedBefore(Stopped):
    """It was stopped before it had begun with the invocation."""


class Environment:
    """Drives one function's process through initialization and invocations."""

    def __init__(self, plan: Plan, on_gone: Callable[[], None]) -> None:
        self.plan = plan
        self._on_gone = on_gone
        self.created = time.monotonic()
        self.invocations = 0
        self.state = "new"
        self._lock = threading.RLock()
        self._stopped = False
        self._retired = False
        self._in_use = False
        self._use_lock = threading.Lock()  # of stopped, retired and in use; never held for long
        self._process: Process | None = None
        self._events: list[str] = []
        self._init_ms: float | None = None
        self._init_failed = False
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
            self._begin()
            try:
                return self._invoke(request_id, headers, payload, payload_limit)
            finally:
                self._in_use = False
                if self._retired:
                    self.stop()

    def _begin(self) -> None:
        with self._use_lock:
            if self._retired or self._stopped:
                raise StoppedBefore
            self._in_use = True

    def retire(self) -> None:
        """Stop when the invocation that runs has ended; at once if there is none."""
        with self._use_lock:
            self._retired = True
            idle = not self._in_use
        if idle:
            self.stop()

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
                shutil.rmtree(self.plan.tmp_dir.parent, ignore_errors=True)
            self._on_gone()

    def idle(self) -> None:
        """Take in what happened between invocations; called by the watcher, gives way to invocations."""
        if self._lock.acquire(blocking=False):
            try:
                self._settle_idle()
            finally:
                self._lock.release()

    @property
    def process(self) -> Process | None:
        """The running process, if any."""
        return self._process

    @property
    def pid(self) -> int:
        """Of the environment's keeper; 0 without one."""
        process = self._process
        return process.pid if process is not None else 0

    # --- Phases ----------------------------------------------------------------------------------------------------

    def _initialize(self, timeout_s: float) -> Failure | None:
        self._raise_if_stopped()
        self.state = "starting"
        begin = time.monotonic()
        if self._init_ms is None and not self.invocations:
            self._log(self.plan.lines.init_start())
        share = self._init_share()
        if self.plan.signature is not None:
            before, self._signature = self._signature, self.plan.signature()
            share = share if self._signature == before else None  # AWS would begin anew
        try:
            failure = self._start_process(begin + timeout_s, share)
        except CannotStart as problem:
            failure = problem.failure
        self._init_failed = failure is not None
        self._init_ms = (time.monotonic() - begin) * 1000
        ending = Ending() if failure is None else failure.ending
        if failure is None:
            self.state = "idle"
            LOG.info("%s is ready: pid %d, %.0f ms", self, self.pid, self._init_ms)
        else:
            LOG.warning("%s failed to initialize: %s", self, failure.message or failure.error_type)
            self._discard_process()
        self._log(self.plan.lines.init_end(self._init_ms, "invoke" if self.invocations else "init", ending))
        return failure

    def _start_process(self, deadline: float, share: Share | None) -> Failure | None:
        process = self._process = Process(self.plan)
        if self._stopped:  # before there was anything to kill
            process.kill()
        self._drive(process, lambda: process.ready or process.exited, deadline, share)
        self._events += process.take_events()
        self._raise_if_stopped()
        return self._init_verdict(process)

    def _drive(self, process: Process, until: Callable[[], bool], deadline: float, share: Share | None) -> None:
        """Drive until something happens or time is up; while somebody debugs, it never is."""
        while True:
            process.drive(until, deadline, self._memory_limit_mb(), share)
            if until() or not self.plan.debug_port or not debugging.attached(self.plan.debug_port):
                return
            deadline = time.monotonic() + 1

    def _reload_if_changed(self) -> None:
        if self.plan.signature is not None and self._process is not None and self.plan.signature() != self._signature:
            LOG.info("%s: its files have changed", self)
            self._discard_process()

    def _init_verdict(self, process: Process) -> Failure | None:
        if process.init_error is not None:
            return process.init_error
        if process.exited or process.out_of_memory:
            return process.exit_failure()
        if not process.ready:
            return Failure(
                "Sandbox.Timedout", f"Task timed out after {self.plan.timeout_s}.00 seconds", status="timeout"
            )
        return None

    def _invoke(self, request_id: str, headers: dict[str, str], payload: bytes, payload_limit: int) -> Outcome:
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

    def _serve(self, process: Process, invocation: Invocation, headers: dict[str, str], payload: bytes) -> None:
        self.state = "invoking"
        process.go_on()
        deadline_ms = int((time.time() + invocation.deadline - time.monotonic()) * 1000)
        process.hand_out(invocation, headers | {"Lambda-Runtime-Deadline-Ms": str(deadline_ms)}, payload)
        self._drive(process, lambda: invocation.answered or process.exited, invocation.deadline, self._share())
        if not invocation.answered:
            self._raise_if_stopped()
            if process.exited or process.out_of_memory:
                invocation.failure = process.exit_failure()
            else:
                text = f"Task timed out after {self.plan.timeout_s}.00 seconds"
                invocation.failure = Failure("Sandbox.Timedout", text, status="timeout")
            LOG.warning("%s: %s", self, invocation.failure.message)
            self._discard_process()
            return
        settled = min(time.monotonic() + SETTLE_S, invocation.deadline)
        process.drive(lambda: process.ready or process.exited, settled)
        if process.exited:
            self._discard_process()

    def _conclude(self, invocation: Invocation, duration_ms: float, trace: str) -> Outcome:
        plan, process = self.plan, self._process
        peak_mb = self._last_peak_mb
        if process is not None:
            self._events += process.take_events(flush=True)
            process.rest(freeze=not plan.debug_port)
            peak_mb = process.peak_mb
            if process.out_of_memory:
                invocation.failure = process.exit_failure()
                self._discard_process()
        failure = invocation.failure
        timed_out = failure is not None and failure.status == "timeout"
        measures = Measures(
            duration_ms=min(duration_ms, plan.timeout_s * 1000.0) if timed_out else duration_ms,
            memory_mb=plan.memory_mb,
            max_memory_mb=min(peak_mb, plan.memory_mb) if plan.enforce_memory else peak_mb,
            init_ms=self._init_ms,
            trace=trace,
            spans=invocation.spans(),
            produced=invocation.produced,
        )
        self._init_ms = None
        told = failure.payload_for(invocation.request_id) if failure else b""
        if failure is not None and timed_out and plan.answers.dates_timeouts:
            text = f"{timestamp()} {invocation.request_id} {failure.message}"
            self._log(plan.lines.timed_out(text))
            told = json.dumps({"errorMessage": text}, separators=(",", ":")).encode()
        self._log(plan.lines.end(invocation.request_id, measures, failure.ending if failure else Ending()))
        events, self._events = self._events, []
        self.state = "idle"
        WATCHER.watch(self)
        if failure is not None:
            return Outcome(told, True, events)
        return Outcome(invocation.response or b"", False, events)

    # --- Small parts -----------------------------------------------------------------------------------------------

    def _memory_limit_mb(self) -> int | None:
        return self.plan.memory_mb if self.plan.enforce_memory else None

    def _share(self) -> Share | None:
        """Of a processor, in an invocation."""
        limited = self.plan.cpu_share >= ALWAYS and not self.plan.debug_port
        return Share(share_of(self.plan.memory_mb)) if limited else None

    def _init_share(self) -> Share | None:
        """Of a processor, in an initialization: all, but for one that is repeated in an invocation."""
        if not self.invocations:
            return None
        if self._init_failed and self.plan.cpu_share == REPEATED and not self.plan.debug_port:
            return Share(share_of(self.plan.memory_mb), FREE_S)
        return self._share()

    def _log(self, lines: list[str]) -> None:
        """Add the platform's own lines."""
        events = [line + "\n" for line in lines]
        if events:
            self._events += events
            self.plan.live(self.plan.name, events)

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
        process.drive(lambda: True, 0)
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
            process.look_at_memory()
            self._last_peak_mb = process.peak_mb
            process.kill()
            process.close()
            self._events += process.take_events(flush=True)
            LOG.info("%s: pid %d is gone", self, process.pid)

    def __str__(self) -> str:
        return f"Environment {self.plan.id[:8]} of {self.plan.name}:{self.plan.version}"


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
                if environment is None:
                    continue
                try:
                    environment.idle()
                except Exception:  # the others are to be looked after, too
                    LOG.exception("%s could not be looked after while idle", environment)


WATCHER = Watcher()
