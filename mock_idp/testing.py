"""For other projects' tests: an issuer in the test session, a namespace for each test, hostile tokens as parameters.

The fixtures `idp` and `idp_server` come with the package's pytest plugin (`mock_idp.plugin`). With them:

    from mock_idp.testing import hostile_tokens

    @hostile_tokens
    def test_api_refuses(idp, hostile):
        response = client.get("/api", headers={"Authorization": f"Bearer {idp.token(fault=hostile)}"})
        assert response.status_code == 401
"""

import asyncio
import itertools
import json
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from mock_idp.faults import CATALOGUE
from mock_idp.server import IssuerServer
from mock_idp.settings import load_settings

_TIMEOUT_S = 10
_numbers = itertools.count(1)

HOSTILE_FAULTS = tuple(fault.name for fault in CATALOGUE.values() if fault.group == "token")
hostile_tokens = pytest.mark.parametrize("hostile", HOSTILE_FAULTS)


class IdpError(Exception):
    """The issuer refused, or does not stop; the text is a sentence."""


class IdpServer:
    """An issuer on a free port, in a thread of this process.

    Args:
        state_dir: where its keys are kept.
        settings: environment variables of the issuer, such as IDP_CONFIG.
    """

    def __init__(self, state_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        defaults = {"IDP_PORT": "0", "IDP_STATE_DIR": str(state_dir)}
        self._settings = load_settings({**defaults, **(settings or {})})
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="mock_idp", daemon=True)
        self.url = ""
        self.tls_url = ""

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - whatever it was, the test session must hear of it
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with IssuerServer(self._settings) as server:
            self.url = server.issuer.public_url
            self.tls_url = server.issuer.tls_public_url
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_TIMEOUT_S)
        if self._thread.is_alive():
            raise IdpError(f"The issuer at {self.url} did not stop within {_TIMEOUT_S} seconds.")

    def namespace(self, name: str = "") -> "Idp":
        """Return the issuer as one test sees it, in a namespace of its own."""
        return Idp(self, name or f"test-{next(_numbers)}-{secrets.token_hex(3)}")


class Idp:
    """An issuer that belongs to one test.

    Attributes:
        issuer: the `iss` of its tokens; discovery is below it.
        jwks_url: where the keys are.
        audience: the `aud` of its access tokens.
    """

    audience = "api://default"

    def __init__(self, server: IdpServer, name: str) -> None:
        self.name = name
        self.url = f"{server.url}/ns/{name}"
        self.issuer = f"{self.url}/oauth2/default"
        self.jwks_url = f"{self.issuer}/v1/keys"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request to this namespace and return its JSON.

        Raises:
            IdpError: it was refused.
        """
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 - the URL is this object's own, http
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - as above
                text = response.read()
        except urllib.error.HTTPError as error:
            with error:
                answer = json.loads(error.read() or b"{}")
            raise IdpError(answer.get("error_description", f"{method} {path}: {error.code}")) from error
        return json.loads(text) if text else None

    def token(
        self,
        persona: str = "alice",
        *,
        fault: str | None = None,
        claims: Mapping[str, Any] | None = None,
        **order: Any,
    ) -> str:
        """Return an access token.

        Args:
            persona: login or short name.
            fault: a token fault of the catalogue, or None for a good token.
            claims: claims to add or change; None takes one away.
            order: further fields of `POST /mock/tokens`, such as `client_id`, `scopes`, `lifetime_s`.
        """
        body = {"persona": persona, "claims": dict(claims or {}), **order}
        if fault is not None:
            body["fault"] = fault
        token: str = self.call("POST", "/mock/tokens", body)["token"]
        return token

    def jwks(self) -> dict[str, Any]:
        """Return the key set."""
        keys: dict[str, Any] = self.call("GET", "/oauth2/default/v1/keys")
        return keys

    def fault(self, name: str, **scope: Any) -> dict[str, Any]:
        """Turn a fault on for this namespace; see `POST /mock/faults`."""
        answer: dict[str, Any] = self.call("POST", "/mock/faults", {"fault": name, **scope})
        return answer

    def rotate_keys(self, **options: Any) -> dict[str, Any]:
        """Rotate the signing key of this namespace."""
        answer: dict[str, Any] = self.call("POST", "/mock/keys/rotate", options)
        return answer

    def move_clock(self, advance_s: float) -> None:
        """Move this namespace's clock on."""
        self.call("PUT", "/mock/clock", {"advance_s": advance_s})

    def add_persona(self, login: str, **fields: Any) -> dict[str, Any]:
        """Add or change somebody in this namespace."""
        answer: dict[str, Any] = self.call("PUT", f"/mock/personas/{login}", fields)
        return answer

    def requests(self, path: str = "", *, wait_s: float = 0) -> list[dict[str, Any]]:
        """Return captured requests, waiting for the first match up to `wait_s`."""
        answer = self.call("GET", f"/mock/requests?path={path}&wait_s={wait_s}")
        found: list[dict[str, Any]] = answer["requests"]
        return found
