"""Bounded, expiring memory: nothing the issuer remembers lives for ever or grows without end."""

from collections.abc import Callable
from typing import Generic, TypeVar

Clock = Callable[[], float]

V = TypeVar("V")


class ExpiringStore(Generic[V]):
    """A mapping whose entries expire `ttl_s` after they were put in, holding at most `max_entries`.

    Args:
        ttl_s: seconds an entry is kept.
        max_entries: when full, the oldest entry makes room.
        clock: seconds since the epoch; a namespace's own clock.
    """

    def __init__(self, ttl_s: float, max_entries: int, clock: Clock) -> None:
        self.ttl_s = ttl_s
        self._max_entries = max_entries
        self._clock = clock
        self._entries: dict[str, tuple[float, V]] = {}

    def put(self, key: str, value: V) -> None:
        """Remember a value; expired and surplus entries leave."""
        now = self._clock()
        self._entries.pop(key, None)
        while self._entries:
            oldest = next(iter(self._entries))
            if self._entries[oldest][0] > now and len(self._entries) < self._max_entries:
                break
            del self._entries[oldest]
        self._entries[key] = (now + self.ttl_s, value)

    def get(self, key: str) -> V | None:
        """Return the value, or None when it is unknown or expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            del self._entries[key]
            return None
        return entry[1]

    def pop(self, key: str) -> V | None:
        """Return the value and forget it: what is single-use is popped."""
        value = self.get(key)
        self._entries.pop(key, None)
        return value

    def expires_at(self, key: str) -> float | None:
        """Return when the entry expires, in seconds since the epoch."""
        entry = self._entries.get(key)
        return entry[0] if entry else None

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
