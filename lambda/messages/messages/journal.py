"""One line of JSON for each request: what a person needs to explain it, and the figures CloudWatch makes metrics of.

Plain `json` in place of a logging library: aws-lambda-powertools' logger and metrics would add 60 to 100 ms to every
cold start, half of what the whole function takes to import. A token, a message or a person's name is never in a line.
Source: CloudWatch embedded metric format specification.
"""

import json
import time
from typing import Any

NAMESPACE = "Gatehouse"
_SERVICE = "messages"
_UNITS = {"TotalMs": "Milliseconds", "VerifyMs": "Milliseconds", "StoreMs": "Milliseconds"}
_SUBJECT_HASH_CHARACTERS = 16


class Entry:
    """The line of one request, filled in as it is answered."""

    def __init__(self, *, function_request_id: str, is_cold: bool) -> None:
        self._started = time.perf_counter()
        self._facts: dict[str, Any] = {"function_request_id": function_request_id, "cold": is_cold}
        self._metrics: dict[str, float] = {}

    def note(self, **facts: Any) -> None:
        """Add facts."""
        self._facts |= facts

    def subject(self, issuer: str, subject: str) -> None:
        """Note who asks, by a hash: requests of one person can be found together, but not the person."""
        from hashlib import sha256  # noqa: PLC0415 - only once a token has passed

        digest = sha256(f"{issuer}\0{subject}".encode()).hexdigest()
        self._facts["subject"] = digest[:_SUBJECT_HASH_CHARACTERS]

    def failure(self, error: Exception) -> None:
        """Note where an unexpected error came from; not its message, which may quote the request."""
        from traceback import extract_tb  # noqa: PLC0415 - only when something is wrong

        frames = extract_tb(error.__traceback__)
        self._facts["failure"] = type(error).__name__
        self._facts["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]

    def took(self, name: str, since: float) -> None:
        """Note how long a part took that began at `since` (of `time.perf_counter`)."""
        self._metrics[name] = round((time.perf_counter() - since) * 1000, 3)

    def line(self, *, status: int, verdict: str) -> str:
        """The whole line."""
        self.took("TotalMs", self._started)
        timings = [{"Name": name, "Unit": _UNITS[name]} for name in self._metrics]
        metrics = {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {"Namespace": NAMESPACE, "Dimensions": [["Service"]], "Metrics": timings},
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Service", "Verdict"]],
                    "Metrics": [{"Name": "Requests", "Unit": "Count"}],
                },
            ],
        }
        document = {"_aws": metrics, "Service": _SERVICE, "Verdict": verdict, "Requests": 1, "status": status}
        return json.dumps(document | self._facts | self._metrics, separators=(",", ":"), default=str)


def write(line: str) -> None:
    """Write one line where CloudWatch collects it."""
    print(line, flush=True)


def warn(event: str, **facts: Any) -> None:
    """Write a line that belongs to no request."""
    write(json.dumps({"level": "WARNING", "event": event, **facts}, separators=(",", ":"), default=str))
