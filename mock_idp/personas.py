"""Personas: the people who can sign in here, and what is wrong with some of them."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

STATUSES = ("ACTIVE", "LOCKED_OUT", "PASSWORD_EXPIRED")
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def okta_id(prefix: str, name: str) -> str:
    """Return a stable id of Okta's look (`00u` and 17 characters) for a name."""
    number = int.from_bytes(hashlib.sha256(f"{prefix}:{name}".encode()).digest()[:16])
    digits = []
    for _ in range(17):
        number, remainder = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[remainder])
    return prefix + "".join(digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Someone who can sign in.

    Attributes:
        login: the name to sign in with, an email address; unique.
        status: ACTIVE, LOCKED_OUT or PASSWORD_EXPIRED.
        not_assigned: ids of clients that this person may not use.
        access_token_claims: extra claims of access tokens.
        id_token_claims: extra claims of ID tokens and userinfo.
    """

    login: str
    first_name: str
    last_name: str
    password: str = field(repr=False)
    email: str = ""
    status: str = "ACTIVE"
    locale: str = "en_US"
    time_zone: str = "America/Los_Angeles"
    groups: tuple[str, ...] = ("Everyone",)
    not_assigned: tuple[str, ...] = ()
    note: str = ""
    access_token_claims: Mapping[str, Any] = field(default_factory=dict)
    id_token_claims: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """The subject identifier: stable for a login, never reassigned."""
        return okta_id("00u", self.login)

    @property
    def name(self) -> str:
        """The display name."""
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def short_name(self) -> str:
        """The login up to its @, which commands accept too."""
        return self.login.split("@", 1)[0]

    def password_matches(self, presented: str) -> bool:
        """Compare a presented password in constant time."""
        return hmac.compare_digest(self.password.encode(), presented.encode())

    def may_use(self, client_id: str) -> bool:
        """Say whether the person is assigned to a client."""
        return client_id not in self.not_assigned


def find_persona(personas: Iterable[Persona], name: str) -> Persona | None:
    """Find a person by login, or by the part before the @ when only one has it."""
    wanted = name.strip().casefold()
    short = []
    for persona in personas:
        if persona.login.casefold() == wanted:
            return persona
        if persona.short_name.casefold() == wanted:
            short.append(persona)
    return short[0] if len(short) == 1 else None
