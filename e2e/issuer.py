"""What only the testbed's own issuer does when it is asked: new people, and faults for one of them."""

import json
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from e2e.deployment import Deployment
from e2e.people import Person


class MockIssuer:
    """The control plane of the testbed's issuer. Whoever uses it strikes a person of their own, and nobody else."""

    def __init__(self, deployment: Deployment) -> None:
        self._url = f"{deployment.org}/mock"
        try:
            self._ask("GET", "/faults")
        except (HTTPError, URLError) as error:
            pytest.skip(f"the issuer takes no orders at {self._url}, as only the testbed's own does: {error}")

    @contextmanager
    def new_person(self) -> Iterator[Person]:
        """Somebody whom no other test signs in as."""
        person = Person(f"e2e-{uuid.uuid4().hex[:12]}@example.com", "Passw0rd!")
        self._ask("PUT", f"/personas/{person.login}", {"password": person.password})
        try:
            yield person
        finally:
            self._ask("DELETE", f"/personas/{person.login}")

    @contextmanager
    def fault(self, name: str, person: Person, *, once: bool = False) -> Iterator[None]:
        """Let a fault strike what the issuer does for this person, once or as long as the context lasts."""
        made = self._ask("POST", "/faults", {"fault": name, "persona": person.login, "once": once})
        try:
            yield
        finally:
            if made["id"] in [active["id"] for active in self._ask("GET", "/faults")["active"]]:
                self._ask("DELETE", f"/faults/{made['id']}")

    def _ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(
            f"{self._url}{path}", body, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")
