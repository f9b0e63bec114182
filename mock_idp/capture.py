"""Captured requests: what clients sent, with secrets replaced, for tests and for the console."""

import asyncio
import hashlib
from collections import deque
from typing import Any

MAX_CAPTURED = 500
_MAX_VALUE = 300
_SECRET_FIELDS = frozenset(
    {
        *("password", "passcode", "oldPassword", "newPassword", "new_password", "client_secret", "key"),
        *("code", "code_verifier", "interaction_code", "device_code", "user_code", "request_uri", "flow"),
        *("refresh_token", "access_token", "id_token", "id_token_hint", "token", "sessionToken"),
        *("stateToken", "stateHandle", "interactionHandle", "interaction_handle"),
    }
)

Record = dict[str, Any]


def redact(name: str, value: str) -> str:
    """Replace a secret by its length and the beginning of its SHA-256, so that tests can still compare."""
    if name in _SECRET_FIELDS and value:
        return f"(hidden, {len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]})"
    return value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]}… ({len(value)} characters)"


def redact_fields(fields: dict[str, list[bytes]]) -> dict[str, Any]:
    """Return form or query fields fit to be shown; repeated ones as lists."""
    shown: dict[str, Any] = {}
    for name, values in fields.items():
        texts = [redact(name, value.decode("utf-8", "replace")) for value in values]
        shown[name] = texts[0] if len(texts) == 1 else texts
    return shown


def _shown(record: Record) -> Record:
    fields = {name: redact_fields(record[name]) for name in ("query", "form") if record.get(name)}
    return {**{name: value for name, value in record.items() if name not in {"query", "form"}}, **fields}


class CapturedRequests:
    """The last requests of a namespace, numbered; a test can wait for the next one."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=MAX_CAPTURED)
        self._sequence = 0
        self._arrived = asyncio.Event()

    def add(self, record: Record) -> None:
        """Keep a record under the next number and wake whoever waits."""
        self._sequence += 1
        record["seq"] = self._sequence  # secrets are replaced when it is shown: most never are
        self._records.append(record)
        self._arrived.set()

    def select(self, *, after: int = 0, path: str = "", client_id: str = "") -> list[Record]:
        """Return records with a number above `after`, whose path contains `path`, of a client if given."""
        return [
            _shown(record)
            for record in self._records
            if record["seq"] > after
            and path in record["path"]
            and (not client_id or record.get("client_id") == client_id)
        ]

    async def wait(self, timeout_s: float, *, after: int, path: str, client_id: str) -> list[Record]:
        """Return matching records as soon as there is one, or none after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (found := self.select(after=after, path=path, client_id=client_id)):
            self._arrived.clear()
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return []
            try:
                await asyncio.wait_for(self._arrived.wait(), remaining)
            except TimeoutError:
                return []
        return found

    @property
    def last(self) -> int:
        """The number of the newest record."""
        return self._sequence

    def clear(self) -> None:
        """Forget all records; numbers go on."""
        self._records.clear()
