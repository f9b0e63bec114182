"""Namespaces: each parallel test has people, clock, faults, keys and memory of its own."""

import time
from collections.abc import Mapping
from dataclasses import replace

from mock_idp.capture import CapturedRequests
from mock_idp.clients import Client
from mock_idp.config import AuthorizationServer, Config
from mock_idp.faults import ActiveFaults
from mock_idp.keys import KeyRing, KeyStore
from mock_idp.personas import Persona, find_persona
from mock_idp.state import (
    AuthnTransaction,
    AuthorizationRequest,
    Code,
    DeviceRequest,
    Grant,
    Interaction,
    RefreshToken,
    Session,
)
from mock_idp.store import ExpiringStore

_MANY = 10_000
_SOME = 1_000
MAX_CLIENTS = 200
MAX_PERSONAS = 500


class MovableClock:
    """Seconds since the epoch, moved by a test."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def __call__(self) -> float:
        """Return the namespace's now."""
        return time.time() + self.offset_s


class Namespace:
    """Everything that one test may change or see, apart from every other.

    Args:
        name: empty for the default namespace.
        config: where personas, clients and lifetimes come from.
        keys: the persistent keys; other namespaces begin with copies of them.
    """

    def __init__(self, name: str, config: Config, keys: KeyStore) -> None:
        self.name = name
        self._keys = keys
        self.clock = MovableClock()
        self.configure(config)
        self.faults = ActiveFaults()
        self.requests = CapturedRequests()
        lifetimes = config.lifetimes
        clock = self.clock
        self.sessions: ExpiringStore[Session] = ExpiringStore(lifetimes.session_s, _MANY, clock)
        self.session_tokens: ExpiringStore[str] = ExpiringStore(lifetimes.session_token_s, _SOME, clock)
        self.authn: ExpiringStore[AuthnTransaction] = ExpiringStore(lifetimes.interaction_s, _SOME, clock)
        self.signins: ExpiringStore[AuthorizationRequest] = ExpiringStore(lifetimes.interaction_s, _SOME, clock)
        self.pushed: ExpiringStore[AuthorizationRequest] = ExpiringStore(lifetimes.pushed_request_s, _SOME, clock)
        self.interactions: ExpiringStore[Interaction] = ExpiringStore(lifetimes.interaction_s, _SOME, clock)
        self.state_handles: ExpiringStore[Interaction] = ExpiringStore(lifetimes.interaction_s, _SOME, clock)
        self.codes: ExpiringStore[Code] = ExpiringStore(lifetimes.code_s + 600, _MANY, clock)
        self.refresh_tokens: ExpiringStore[RefreshToken] = ExpiringStore(lifetimes.refresh_token_s, _MANY, clock)
        self.revoked_grants: ExpiringStore[bool] = ExpiringStore(lifetimes.refresh_token_s, _MANY, clock)
        self.revoked_tokens: ExpiringStore[bool] = ExpiringStore(lifetimes.access_token_s, _MANY, clock)
        self.devices: ExpiringStore[DeviceRequest] = ExpiringStore(lifetimes.device_code_s + 600, _SOME, clock)
        self.device_user_codes: ExpiringStore[DeviceRequest] = ExpiringStore(lifetimes.device_code_s, _SOME, clock)
        self._rings: dict[str, KeyRing] = {}

    def configure(self, config: Config) -> None:
        """Take clients, personas and servers from a configuration; what was added over HTTP goes."""
        self.config = config
        self.clients: dict[str, Client] = dict(config.clients)
        self.personas: dict[str, Persona] = dict(config.personas)
        self.servers: Mapping[str, AuthorizationServer] = config.servers

    def now(self) -> int:
        """Return the namespace's time in whole seconds since the epoch."""
        return int(self.clock())

    def persona(self, name: str) -> Persona | None:
        """Find a person by login or unambiguous short name."""
        return self.personas.get(name) or find_persona(self.personas.values(), name)

    def change_password(self, login: str, password: str) -> Persona:
        """Give a person a new password; an expired one is mended by that."""
        persona = replace(self.personas[login], password=password, status="ACTIVE")
        self.personas[login] = persona
        return persona

    def ring(self, server: AuthorizationServer) -> KeyRing:
        """Return the keys of an authorization server as this namespace sees them."""
        ring = self._rings.get(server.server_id)
        if ring is None:
            ring = self._keys.ring(server.server_id, server.algorithm)
            if self.name:
                ring = ring.copy()
            self._rings[server.server_id] = ring
        return ring

    def rings(self) -> list[tuple[AuthorizationServer, KeyRing]]:
        """Return the servers that were used so far, with their keys."""
        return [(self.servers[name], ring) for name, ring in self._rings.items() if name in self.servers]

    def mend_keys(self) -> None:
        """Take back what faults did to keys; rotations stay."""
        for ring in self._rings.values():
            ring.mend()

    def save_keys(self) -> None:
        """Keep the keys across restarts; only the default namespace's are kept."""
        if not self.name:
            self._keys.save()

    def revoke(self, grant: Grant) -> None:
        """Revoke a grant and all that was issued for it."""
        grant.revoked = True
        self.revoked_grants.put(grant.grant_id, value=True)

    def reset(self) -> None:
        """Return to the configuration: no sessions, faults, moved clock, captured requests or additions."""
        self.configure(self.config)
        self.clock.offset_s = 0.0
        self.faults.clear()
        self.requests.clear()
        for store in (
            self.sessions,
            self.session_tokens,
            self.authn,
            self.signins,
            self.pushed,
            self.interactions,
            self.state_handles,
            self.codes,
            self.refresh_tokens,
            self.revoked_grants,
            self.revoked_tokens,
            self.devices,
            self.device_user_codes,
        ):
            store.clear()
        if self.name:
            self._rings.clear()
        else:
            self.mend_keys()
