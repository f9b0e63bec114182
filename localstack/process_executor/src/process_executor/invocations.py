"""One invocation: what is asked, and how it ended."""

import json
from dataclasses import dataclass

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
