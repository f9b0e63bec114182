"""The issuer's keys by URL: for a deployment that follows key rotations without being deployed again.

The set is kept for the life of the execution environment. It is read again when a token names a key that is not in it
(at most once a minute, whatever callers send) and when it has grown old, so that a withdrawn key goes; while the issuer
cannot be reached the set at hand serves, but not for ever.
Source: OpenID Connect Core section 10.1.1, RFC 7517.
"""

import threading
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from messages import journal
from messages.keys import KeySet, KeysUnavailable, UnusableKeys, VerificationKey

TIMEOUT_S = 3
MAX_BYTES = 256 * 1024
UNKNOWN_KEY_PAUSE_S = 60
FRESH_S = 3600
STALE_S = 24 * 3600
RETRY_S = 10

Fetch = Callable[[str], bytes]
Clock = Callable[[], float]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: the configured URL is where the keys are."""


def fetch(url: str) -> bytes:
    """Read a key set, from exactly this URL and without a proxy.

    Raises:
        OSError: it cannot be read, or is larger than any key set.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())
    # Settings take https URLs only, and http ones of this machine.
    with opener.open(url, timeout=TIMEOUT_S) as answer:
        raw: bytes = answer.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise OSError(f"the key set is larger than {MAX_BYTES} bytes")
    return raw


class RemoteKeys:
    """A key source that reads the issuer's key set over HTTP.

    Args:
        url: the issuer's `jwks_uri`.
        seed: keys to start from, so that a cold start need not wait for the issuer; None fetches at the first use.
        clock: seconds that never go back.
        fetch: reads a URL.
    """

    def __init__(self, url: str, *, seed: KeySet | None, clock: Clock, fetch: Fetch = fetch) -> None:
        self._url = url
        self._clock = clock
        self._fetch = fetch
        self._keys = seed
        self._read_at = clock()
        self._tried_at: float | None = None
        self._looked_at: float | None = None
        self._lock = threading.Lock()

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key that `kid` names, reading the set again if that may bring it.

        Raises:
            KeysUnavailable: there is no set, or it is too old to be believed, and none could be read.
        """
        keys = self._current()
        found = keys.find(kid)
        if found is None and self._may_look(keys):
            found = self._current().find(kid)
        return found

    def kids(self) -> tuple[str, ...]:
        """Name the keys of the set that was read last."""
        return self._keys.kids() if self._keys else ()

    def _current(self) -> KeySet:
        keys = self._keys
        if keys is not None and self._clock() - self._read_at < FRESH_S:
            return keys
        with self._lock:
            # Another thread may have read it while this one waited.
            is_due = self._keys is None or self._clock() - self._read_at >= FRESH_S
            if is_due and (self._tried_at is None or self._clock() - self._tried_at >= RETRY_S):
                self._read()
            if self._keys is None or self._clock() - self._read_at >= STALE_S:
                raise KeysUnavailable
            return self._keys

    def _may_look(self, seen: KeySet) -> bool:
        """Read the set for a key that is not in it, unless that was done within the last minute."""
        with self._lock:
            if self._keys is not seen:
                return True
            if self._looked_at is not None and self._clock() - self._looked_at < UNKNOWN_KEY_PAUSE_S:
                return False
            self._looked_at = self._clock()
            return self._read()

    def _read(self) -> bool:
        self._tried_at = self._clock()
        try:
            self._keys = KeySet.from_json(self._fetch(self._url))
        except (OSError, HTTPException, UnusableKeys) as fault:
            journal.warn("keys_not_read", url=self._url, cause=f"{type(fault).__name__}: {fault}")
            return False
        self._read_at = self._clock()
        if self._keys.left_out:
            journal.warn("keys_left_out", keys=self._keys.left_out)
        return True
