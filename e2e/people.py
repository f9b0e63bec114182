"""Who the tests sign in as: the testbed's own people, or others by E2E_ALICE, E2E_PASSWORD and so on."""

import os
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Person:
    """Somebody with an account at the issuer."""

    login: str
    password: str

    def with_password(self, password: str) -> "Person":
        return replace(self, password=password)


def _person(name: str) -> Person:
    login = os.environ.get(f"E2E_{name.upper()}", f"{name}@example.com")
    return Person(login, os.environ.get("E2E_PASSWORD", "Passw0rd!"))


ALICE = _person("alice")
BOB = _person("bob")
LOCKED = _person("locked")
EXPIRED = _person("expired")
NO_APP = _person("noapp")
