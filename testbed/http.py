"""Plain HTTP requests to this stack's own servers, past any proxy that the machine is configured with."""

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

# Whatever the testbed asks by itself: the mock issuer shows it to nobody and lets no fault strike it.
UNSEEN = {"X-Mock-Capture": "off"}
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0 means that there was none, and `body` says why."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, or None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def fetch(url: str, *, headers: dict[str, str] | None = None, body: Any = None, timeout_s: float = 5) -> Answer:
    """GET, or POST where there is a body (sent as JSON). Never raises for what the other side does.

    Args:
        url: absolute http(s) URL.
        headers: request headers.
        body: sent as JSON.
        timeout_s: for each read.
    """
    data = None if body is None else json.dumps(body).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=UNSEEN | kind | (headers or {}))  # noqa: S310 -- our own servers
    try:
        with _open(request, timeout=timeout_s) as answer:
            return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(0, {}, str(error).encode())
