"""What goes to CloudWatch Logs: the function's output cut into events, and the platform's own lines.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html,
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html,
https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html and
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

FRAME_MAGIC = b"\xa5\x5a\x00"
FRAME_HEAD = 16
FRAME_LIMIT = 64 << 20
# CloudWatch Logs takes events of up to 256 KiB.
EVENT_LIMIT = 256 * 1024 - 26
INIT_START = "INIT_START Runtime Version: "
# Application log levels by rank, with the names that Python's logging has for two of them.
LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 5, "CRITICAL": 5}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
# What the platform takes for an error's type, of what runtimes send.
ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")


def timestamp(moment: datetime | None = None) -> str:
    """UTC with milliseconds, as in AWS's log lines."""
    moment = moment or datetime.now(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class EventLog(str):
    """The log of one invocation as one text that still knows its events.

    The events go to CloudWatch Logs, with the line break each was written with or without; AWS does not cut a record
    that the runtime client framed at its line breaks. The text is what ``LogType=Tail`` is taken from, which on AWS has
    no INIT_START in the text format.
    """

    __slots__ = ("events",)
    events: tuple[str, ...]

    def __new__(cls, events: Sequence[str]) -> Self:
        """Join ``events``."""
        text = super().__new__(cls, "".join(event for event in events if not event.startswith(INIT_START)))
        text.events = tuple(events)
        return text


def level_of(line: str) -> int:
    """The rank of a line that a function wrote: INFO, unless it is JSON that says its level and its time."""
    if '"level"' not in line:
        return LEVELS["INFO"]
    try:
        record = json.loads(line)
    except ValueError:
        return LEVELS["INFO"]
    if not isinstance(record, dict) or not isinstance(record.get("level"), str):
        return LEVELS["INFO"]
    dated = any(isinstance(value, str) and RFC3339.fullmatch(value) for value in record.values())
    return LEVELS.get(record["level"].upper(), LEVELS["INFO"]) if dated else LEVELS["INFO"]


def error_type(given: str) -> str:
    """The type of an error that a runtime reports, as the platform writes it in its own lines.

    Source: ``GetValidRuntimeOrFunctionErrorType`` of AWS's Runtime Interface Emulator.
    """
    if ERROR_TYPE.search(given):
        return given
    return "Function.Unknown" if given.startswith("Function.") else "Runtime.Unknown"


class Output:
    """Cuts the bytes that a function wrote into events.

    Standard output and error, and the runtime client's framed records, arrive through one pipe and so in order.
    """

    def __init__(
        self, rewrite: Callable[[bytes], bytes] = bytes, keeps: Callable[[str], bool] = lambda _: True
    ) -> None:
        """Rewrite the bytes, and keep the lines that are asked for; the runtime client's records are, all."""
        self._rest = bytearray()
        self._rewrite = rewrite
        self._keeps = keeps

    def feed(self, data: bytes) -> list[str]:
        """Take in bytes; the events they complete."""
        self._rest += data
        events: list[str] = []
        start = 0
        while True:
            frame = self._find_frame(start)
            end = frame if frame >= 0 else len(self._rest)
            lines = self._rest.rfind(b"\n", start, end) + 1
            if lines:
                self._add_lines(events, bytes(self._rest[start:lines]))
                start = lines
            if start < frame:
                self._add_line(events, bytes(self._rest[start:frame]))  # output without a newline, then a record
                start = frame
            length = self._frame_length(frame)
            if length is None:
                break
            record = bytes(self._rest[frame + FRAME_HEAD : frame + length])
            is_json = not self._rest[frame + 3] & 1
            self._add(events, record + b"\n" if is_json and not record.endswith(b"\n") else record)
            start = frame + length
        if frame < 0:
            whole = (len(self._rest) - start) // EVENT_LIMIT * EVENT_LIMIT
            self._add(events, bytes(self._rest[start : start + whole]))
            start += whole
        del self._rest[:start]
        return events

    def flush(self) -> list[str]:
        """What is left at the end of an invocation: output without a newline."""
        events: list[str] = []
        self._add_line(events, bytes(self._rest))
        self._rest.clear()
        return events

    def _find_frame(self, start: int) -> int:
        """Where the next frame begins; -1 for nowhere. What looks like one, but for its length, is output."""
        frame = self._rest.find(FRAME_MAGIC, start)
        while frame >= 0 and int.from_bytes(self._rest[frame + 4 : frame + 8], "big") > FRAME_LIMIT:
            frame = self._rest.find(FRAME_MAGIC, frame + 1)
        return frame

    def _frame_length(self, frame: int) -> int | None:
        """Of the whole frame that begins there; None if there is none, or not all of it yet."""
        if frame < 0 or len(self._rest) < frame + FRAME_HEAD:
            return None
        length = FRAME_HEAD + int.from_bytes(self._rest[frame + 4 : frame + 8], "big")
        return length if len(self._rest) >= frame + length else None

    def _add_lines(self, events: list[str], data: bytes) -> None:
        """Add an event a line."""
        text = self._rewrite(data).decode(errors="replace").replace("\r\n", "\n")
        for line in text[:-1].split("\n"):
            if self._keeps(line):
                events += cut(line + "\n")

    def _add_line(self, events: list[str], data: bytes) -> None:
        """Add a line without its end."""
        if self._keeps(data.decode(errors="replace")):
            self._add(events, data)

    def _add(self, events: list[str], data: bytes) -> None:
        """Add one event, as it is."""
        if data:
            events += cut(self._rewrite(data).decode(errors="replace"))


def cut(text: str) -> list[str]:
    """An event as CloudWatch Logs takes it: in one, or more if it is too long."""
    return [text[start : start + EVENT_LIMIT] for start in range(0, len(text), EVENT_LIMIT)]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What the platform says of one invocation; times in milliseconds, sizes in MB, the trace as X-Ray's header.

    Attributes:
        spans: how the runtime spent its time, if it answered: name, start (UTC) and duration.
        produced: the size of its answer in bytes.
    """

    duration_ms: float
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    trace: str = ""
    spans: Sequence[tuple[str, datetime, float]] = ()
    produced: int = 0

    @property
    def billed_ms(self) -> int:
        """Rounded up; initialization is billed too."""
        return math.ceil(self.duration_ms + (self.init_ms or 0))

    @property
    def trace_fields(self) -> dict[str, str]:
        """The trace's parts: Root, Parent and Sampled."""
        return dict(part.split("=", 1) for part in self.trace.split(";") if "=" in part)


@dataclass(frozen=True)
class Ending:
    """How a phase ended, as the platform's lines say it.

    Attributes:
        status: success, error or timeout.
        error_type: as the runtime or the executor calls it.
        reported: whether the runtime itself said so; the text format then leaves it out.
    """

    status: str = "success"
    error_type: str = ""
    reported: bool = True

    @property
    def errors(self) -> dict[str, str]:
        """The status and, of an error, its type, as they are written."""
        return {"status": self.status} | ({"errorType": error_type(self.error_type)} if self.status == "error" else {})


class TextLines:
    """The platform's lines in the text format."""

    def __init__(self, runtime: str, region: str) -> None:
        self.runtime = runtime_version(runtime)
        self.arn = f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(self.runtime.encode()).hexdigest()}"

    def init_start(self) -> list[str]:
        """When an environment starts."""
        return [f"{INIT_START}{self.runtime}\tRuntime Version ARN: {self.arn}"]

    def init_end(self, init_ms: float, phase: str, ending: Ending) -> list[str]:
        """After an initialization: nothing, unless it failed."""
        if ending.status == "success":
            return []
        return ["\t".join([f"INIT_REPORT Init Duration: {init_ms:.2f} ms", f"Phase: {phase}", *self._status(ending)])]

    def start(self, request_id: str, version: str) -> list[str]:
        """Before an invocation."""
        return [f"START RequestId: {request_id} Version: {version}"]

    def timed_out(self, text: str) -> list[str]:
        """Before the end of an invocation that took too long, where AWS says so: this line, and an empty one."""
        return [f"{text}\n"]

    def end(self, request_id: str, measures: Measures, ending: Ending) -> list[str]:
        """After an invocation."""
        fields = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {measures.duration_ms:.2f} ms",
            f"Billed Duration: {measures.billed_ms} ms",
            f"Memory Size: {measures.memory_mb} MB",
            f"Max Memory Used: {measures.max_memory_mb} MB",
        ]
        if measures.init_ms is not None:
            fields.append(f"Init Duration: {measures.init_ms:.2f} ms")
        if not ending.reported:
            fields += self._status(ending)
        if trace := measures.trace_fields:
            sampled = "true" if trace.get("Sampled") == "1" else "false"
            fields += [f"\nXRAY TraceId: {trace['Root']}", f"SegmentId: {trace['Parent']}", f"Sampled: {sampled}"]
        return [f"END RequestId: {request_id}", "\t".join(fields) + "\t"]

    def keeps(self, line: str) -> bool:
        """Whether a line of the function's is logged: all are."""
        del line
        return True

    def _status(self, ending: Ending) -> list[str]:
        names = {"status": "Status", "errorType": "Error Type"}
        return [f"{names[name]}: {value}" for name, value in ending.errors.items()]


class JsonLines:
    """The platform's lines in the JSON format, from the system log level up.

    Args:
        function: its name and version.
        levels: the least levels for the platform's lines and for the function's, None for AWS's default.
        initialization: on-demand, provisioned-concurrency or snap-start.
    """

    def __init__(
        self,
        runtime: str,
        region: str,
        function: tuple[str, str],
        levels: tuple[str | None, str | None],
        initialization: str,
    ) -> None:
        text = TextLines(runtime, region)
        self.runtime, self.arn = text.runtime, text.arn
        self.function = function
        self.level, self.application_level = (LEVELS[(level or "INFO").upper()] for level in levels)
        self.initialization = initialization

    def _line(self, level: str, kind: str, record: dict[str, Any]) -> list[str]:
        if LEVELS[level] < self.level:
            return []
        return [json.dumps({"time": timestamp(), "type": f"platform.{kind}", "record": record}, separators=(",", ":"))]

    def init_start(self) -> list[str]:
        """When an environment starts."""
        record = {
            "initializationType": self.initialization,
            "phase": "init",
            "runtimeVersion": self.runtime,
            "runtimeVersionArn": self.arn,
            "functionName": self.function[0],
            "functionVersion": self.function[1],
        }
        return self._line("INFO", "initStart", record)

    def init_end(self, init_ms: float, phase: str, ending: Ending) -> list[str]:
        """After an initialization."""
        good = ending.status == "success"
        level = "DEBUG" if self.initialization == "on-demand" else "INFO"
        record: dict[str, Any] = {"initializationType": self.initialization, "phase": phase} | ending.errors
        report = record | {"metrics": {"durationMs": round(init_ms, 3)}}
        return [
            *self._line("DEBUG" if good else "WARN", "initRuntimeDone", record),
            *self._line(level if good else "WARN", "initReport", report),
        ]

    def start(self, request_id: str, version: str) -> list[str]:
        """Before an invocation."""
        return self._line("INFO", "start", {"requestId": request_id, "version": version})

    def timed_out(self, text: str) -> list[str]:
        """Nothing: the events at the end say it."""
        del text
        return []

    def end(self, request_id: str, measures: Measures, ending: Ending) -> list[str]:
        """After an invocation."""
        good = ending.status == "success"
        duration = {"durationMs": round(measures.duration_ms, 3)}
        answered: dict[str, Any] = {"metrics": duration}
        if measures.spans:
            spans = [
                {"name": name, "start": timestamp(start), "durationMs": round(ms, 3)}
                for name, start, ms in measures.spans
            ]
            answered = {"spans": spans, "metrics": duration | {"producedBytes": measures.produced}}
        metrics = duration | {
            "billedDurationMs": measures.billed_ms,
            "memorySizeMB": measures.memory_mb,
            "maxMemoryUsedMB": measures.max_memory_mb,
        }
        if measures.init_ms is not None:
            metrics["initDurationMs"] = round(measures.init_ms, 3)
        head: dict[str, Any] = {"requestId": request_id} | ending.errors
        traced = {}
        if trace := measures.trace_fields:
            tracing = {"spanId": trace["Parent"], "type": "X-Amzn-Trace-Id", "value": measures.trace}
            traced = {"tracing": tracing}
        return [
            *self._line("DEBUG" if good else "WARN", "runtimeDone", head | answered | traced),
            *self._line("INFO" if good else "WARN", "report", head | {"metrics": metrics} | traced),
        ]

    def keeps(self, line: str) -> bool:
        """Whether a line of the function's is logged: from the application log level up."""
        return level_of(line) >= self.application_level


def runtime_version(runtime: str) -> str:
    """``python3.13`` as AWS writes it in INIT_START; the build number is this project's own."""
    for family in ("python", "provided.", "nodejs"):
        if runtime.startswith(family):
            return f"{family.rstrip('.')}:{runtime.removeprefix(family)}.v1"
    return f"{runtime}.v1"
