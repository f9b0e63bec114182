"""One invocation: what is asked, and how it ended."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from process_executor.logs import Ending


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


@dataclass
class Invocation:
    """What the runtime is working on.

    Attributes:
        deadline: by the monotonic clock, as are the other times.
        handed_out: when the runtime got it.
        answer_begun: when the first byte of its answer arrived.
        answer_ended: and the last.
        produced: the size of the answer in bytes.
    """

    request_id: str
    deadline: float
    payload_limit: int
    response: bytes | None = None
    failure: Failure | None = None
    handed_out: float = 0.0
    answer_begun: float = 0.0
    answer_ended: float = 0.0
    produced: int = 0

    @property
    def answered(self) -> bool:
        """Whether the runtime has reported."""
        return self.response is not None or self.failure is not None

    def spans(self) -> list[tuple[str, datetime, float]]:
        """How the runtime spent its time until now, if it has answered: name, start (UTC), milliseconds."""
        if not self.answer_ended:
            return []
        now, clock = time.monotonic(), datetime.now(UTC)
        times = [self.handed_out, self.answer_begun, self.answer_ended, now]
        names = ["responseLatency", "responseDuration", "runtimeOverhead"]
        return [
            (name, clock - timedelta(seconds=now - begin), (end - begin) * 1000)
            for name, begin, end in zip(names, times, times[1:], strict=False)
        ]


@dataclass(frozen=True)
class Outcome:
    """The end of an invocation."""

    payload: bytes
    is_error: bool
    events: list[str]
