"""The control plane under `/mock/`: faults, captured requests, keys, people, clock, configuration, reset."""

import asyncio
import hmac
import json
import math
import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

from mock_idp.base import BaseHandler
from mock_idp.capture import redact
from mock_idp.config import AuthorizationServer, ConfigError, parse_persona
from mock_idp.errors import ControlError
from mock_idp.faults import CATALOGUE, ActiveFault, Fault, UnknownFault, find_fault
from mock_idp.jsontext import parse_json
from mock_idp.keys import KeyRing, SigningKey
from mock_idp.namespaces import MAX_PERSONAS
from mock_idp.personas import Persona
from mock_idp.resource_server import ApiUnreachable, try_token
from mock_idp.tokens import random_id

_MAX_WAIT_S = 60.0
_MAX_CLOCK_OFFSET_S = 100 * 365 * 24 * 3600
_SHOWN_BODY_CHARACTERS = 4000
_TOKEN = re.compile(r"[!-~]+")


def is_trusted_caller(handler: BaseHandler) -> bool:
    """Say whether a request may use the control plane: it comes from this machine, or brings the key."""
    settings = handler.issuer.settings
    request = handler.request
    expected, presented = f"Bearer {settings.control_key}", request.headers.get("Authorization", "")
    if settings.control_key and hmac.compare_digest(expected.encode(), presented.encode()):
        return True
    try:
        address = ip_address(request.remote_ip or "")
    except ValueError:
        return False
    # A foreign Origin means that some web page talks through this person's browser.
    return any(address in network for network in settings.control_networks) and handler.is_own_page()


class ControlHandler(BaseHandler):
    """Open to this machine; elsewhere only with the configured key."""

    captured = False
    faultable = False

    async def prepare(self) -> None:
        """Let in whom the settings let in."""
        await super().prepare()
        if not is_trusted_caller(self):
            raise ControlError(
                "forbidden",
                "The control plane answers this machine only. Elsewhere, set IDP_CONTROL_KEY on the issuer and "
                "send it as Authorization: Bearer, or name the caller's network in IDP_CONTROL_NETWORKS.",
                403,
            )

    def write_unexpected(self, status_code: int) -> None:
        """Answer bare HTTP errors in the control plane's shape, too."""
        error, sentence = {
            405: ("method_not_allowed", f"This path does not take {self.request.method}."),
        }.get(status_code, ("invalid_request", "The request could not be read."))
        if status_code >= 500:
            error, sentence = "server_error", "A bug in the mock issuer; its log has the traceback."
        self.write_json({"error": error, "error_description": sentence})
        self.finish()

    def json_body(self, *allowed: str) -> dict[str, Any]:
        """Return the JSON object of the body; an empty body is an empty object.

        Raises:
            ControlError: invalid_request: no JSON object, or fields that are not allowed.
        """
        if not self.request.body:
            return {}
        try:
            body = parse_json(self.request.body)
        except ValueError as error:
            raise ControlError("invalid_request", "The body is not JSON.") from error
        if not isinstance(body, dict):
            raise ControlError("invalid_request", "The body must be a JSON object.")
        unknown = sorted(set(body) - set(allowed))
        if unknown:
            raise ControlError(
                "invalid_request", f"Unknown: {', '.join(unknown)}. There are: {', '.join(sorted(allowed))}."
            )
        return body

    def text(self, body: dict[str, Any], name: str, default: str = "") -> str:
        """Return a text of the body, or the default.

        Raises:
            ControlError: invalid_request, when it is no text.
        """
        value = body.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ControlError("invalid_request", f"{name!r} must be text.")
        return value

    def mapping(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Return an object of the body, or an empty one.

        Raises:
            ControlError: invalid_request, when it is no object.
        """
        value = body.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ControlError("invalid_request", f"{name!r} must be an object.")
        return value

    def flag(self, body: dict[str, Any], name: str, *, default: bool) -> bool:
        """Return a truth value of the body, or the default.

        Raises:
            ControlError: invalid_request, when it is neither true nor false.
        """
        value = body.get(name, default)
        if not isinstance(value, bool):
            raise ControlError("invalid_request", f"{name!r} must be true or false.")
        return value

    def number(self, body: dict[str, Any], name: str) -> float | None:
        """Return a number of the body, or None.

        Raises:
            ControlError: invalid_request, when it is no number.
        """
        value = body.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ControlError("invalid_request", f"{name!r} must be a number.")
        return float(value)

    def named_server(self, body: dict[str, Any]) -> AuthorizationServer:
        """Return the authorization server that the body names; `default` unless it names one.

        Raises:
            ControlError: unknown_server.
        """
        server = self.ns.servers.get(self.text(body, "server", "default"))
        if server is None:
            raise ControlError("unknown_server", f"There are: {', '.join(self.ns.servers)}.", 404)
        return server

    def named_persona(self, name: str) -> Persona:
        """Return a person by login or short name.

        Raises:
            ControlError: unknown_persona.
        """
        persona = self.ns.persona(name)
        if persona is None:
            raise ControlError(
                "unknown_persona", f"Nobody is called {name!r}. There are: {', '.join(self.ns.personas)}.", 404
            )
        return persona

    def named_fault(self, name: str) -> Fault:
        """Return a fault of the catalogue.

        Raises:
            ControlError: unknown_fault.
        """
        try:
            return find_fault(name)
        except UnknownFault as error:
            raise ControlError("unknown_fault", str(error), 404) from error


class Faults(ControlHandler):
    """`/mock/faults`: the catalogue, and what is on."""

    def get(self) -> None:
        """List the catalogue and the active faults."""
        self.write_json(
            {
                "catalogue": [fault.describe() for fault in CATALOGUE.values()],
                "active": self.ns.faults.describe(),
            }
        )

    async def post(self) -> None:
        """Turn a fault on: one-shot unless `once` is false; key faults happen at once."""
        body = self.json_body("fault", "once", "client_id", "persona", "path", "parameters", "server")
        fault = self.named_fault(self.text(body, "fault"))
        persona = self.text(body, "persona")
        active = ActiveFault(
            fault_id=random_id("fault-", 6),
            fault=fault,
            once=self.flag(body, "once", default=True),
            client_id=self.text(body, "client_id"),
            persona=self.named_persona(persona).login if persona else "",
            path=self.text(body, "path", "/v1/keys" if fault.name == "jwks_outage" else ""),
            parameters=self.mapping(body, "parameters"),
        )
        answer = active.describe()
        if fault.group == "key":
            server = self.named_server(body)
            await self._break_keys(fault, server, self.ns.ring(server))
            answer |= keys_of(self.ns.ring(server), server)
        else:
            self.ns.faults.add(active)
        self.set_status(201)
        self.write_json(answer)

    async def _break_keys(self, fault: Fault, server: AuthorizationServer, ring: KeyRing) -> None:
        if fault.name == "withdraw_old_key":
            ring.withdraw_old()
        else:
            new = await asyncio.to_thread(SigningKey.generate, server.algorithm)
            if fault.name == "same_kid_new_key":
                ring.impersonate(new)
                return
            ring.rotate(new, announce=fault.name != "stale_jwks")
        self.ns.save_keys()

    def delete(self) -> None:
        """Turn all off, those on keys included."""
        self.ns.faults.clear()
        self.ns.mend_keys()
        self.set_status(204)


class OneFault(ControlHandler):
    """`/mock/faults/{id}`: one that is on."""

    def delete(self, fault_id: str) -> None:
        """Turn it off."""
        if not self.ns.faults.remove(fault_id):
            raise ControlError("unknown_fault", "No fault with this id is on.", 404)
        self.set_status(204)


class Requests(ControlHandler):
    """`/mock/requests`: what clients sent, secrets replaced; `wait_s` waits for the first match."""

    async def get(self) -> None:
        """List captured requests: `after` (number), `path` (part of it), `client_id`, `wait_s`."""
        query = self.single(self.request.query_arguments)
        try:
            after = int(query.get("after", "0"))
            wait_s = float(query.get("wait_s", "0"))
        except ValueError as error:
            raise ControlError("invalid_request", "'after' and 'wait_s' must be numbers.") from error
        if not math.isfinite(wait_s):
            raise ControlError("invalid_request", "'wait_s' must be a number of seconds.")
        wait_s = min(max(wait_s, 0.0), _MAX_WAIT_S)
        waiting = asyncio.ensure_future(
            self.ns.requests.wait(wait_s, after=after, path=query.get("path", ""), client_id=query.get("client_id", ""))
        )
        either: set[asyncio.Future[Any]] = {waiting, self.client_gone()}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            return
        found = waiting.result()
        self.write_json({"requests": found, "last": self.ns.requests.last})

    def delete(self) -> None:
        """Forget them."""
        self.ns.requests.clear()
        self.set_status(204)


def keys_of(ring: KeyRing, server: AuthorizationServer) -> dict[str, Any]:
    """Return what JSON shows of a server's keys."""
    return {
        "server": server.server_id,
        "algorithm": server.algorithm,
        "kid": ring.current.kid,
        "published": [key["kid"] for key in json.loads(ring.jwks())["keys"]],
    }


class Keys(ControlHandler):
    """`/mock/keys`: which keys sign and which are published."""

    def get(self) -> None:
        """List the keys of all authorization servers that have some already."""
        self.write_json({"keys": [keys_of(ring, server) for server, ring in self.ns.rings()]})


class RotateKeys(ControlHandler):
    """`POST /mock/keys/rotate`: a new key signs; the old one stays published unless `withdraw_old`."""

    async def post(self) -> None:
        """Rotate."""
        body = self.json_body("server", "withdraw_old")
        server = self.named_server(body)
        withdraw_old = self.flag(body, "withdraw_old", default=False)
        new = await asyncio.to_thread(SigningKey.generate, server.algorithm)
        ring = self.ns.ring(server)
        previous = ring.current.kid
        ring.rotate(new, withdraw_old=withdraw_old)
        self.ns.save_keys()
        self.write_json({**keys_of(ring, server), "previous_kid": previous})


class People(ControlHandler):
    """`GET /mock/personas`: everybody."""

    def get(self) -> None:
        """List them."""
        self.write_json({"personas": [describe_persona(persona) for persona in self.ns.personas.values()]})


def describe_persona(persona: Persona) -> dict[str, Any]:
    """Return what JSON shows of a person; the password stands in the file anyway."""
    return {
        "login": persona.login,
        "uid": persona.uid,
        "first_name": persona.first_name,
        "last_name": persona.last_name,
        "email": persona.email,
        "password": persona.password,
        "status": persona.status,
        "locale": persona.locale,
        "time_zone": persona.time_zone,
        "groups": list(persona.groups),
        "not_assigned": list(persona.not_assigned),
        "note": persona.note,
        "claims": {
            "access_token": dict(persona.access_token_claims),
            "id_token": dict(persona.id_token_claims),
        },
    }


class OnePersona(ControlHandler):
    """`/mock/personas/{login}`: add or change somebody, in this namespace and until a reset."""

    def put(self, login: str) -> None:
        """Set fields; the others keep their values, or get plain ones for somebody new."""
        body = self.json_body(
            *("first_name", "last_name", "email", "password", "status", "locale", "time_zone"),
            *("groups", "not_assigned", "note", "claims"),
        )
        known = self.ns.persona(unquote(login))
        if known is not None:
            fields = describe_persona(known)
            del fields["uid"]
        else:
            login = unquote(login)
            if len(self.ns.personas) >= MAX_PERSONAS:
                raise ControlError("too_many", f"There are {MAX_PERSONAS} people already.", 429)
            fields = {"login": login, "first_name": login.split("@", 1)[0].title(), "last_name": ""}
            fields |= {"password": "Passw0rd!"}
        try:
            persona = parse_persona({**fields, **body})
        except ConfigError as error:
            raise ControlError("invalid_request", str(error)) from error
        self.ns.personas[persona.login] = persona
        self.set_status(200 if known else 201)
        self.write_json(describe_persona(persona))

    def delete(self, login: str) -> None:
        """Take somebody away, until a reset."""
        persona = self.named_persona(unquote(login))
        del self.ns.personas[persona.login]
        self.set_status(204)


class Clock(ControlHandler):
    """`/mock/clock`: this namespace's time."""

    def get(self) -> None:
        """Tell the time."""
        self.write_json({"now": self.ns.clock(), "offset_s": self.ns.clock.offset_s})

    def put(self) -> None:
        """Move the clock: to `offset_s` from the real time, or on by `advance_s`."""
        body = self.json_body("offset_s", "advance_s")
        offset, advance = self.number(body, "offset_s"), self.number(body, "advance_s")
        if (offset is None) == (advance is None):
            raise ControlError("invalid_request", "Give either 'offset_s' or 'advance_s'.")
        wanted = offset if offset is not None else self.ns.clock.offset_s + (advance or 0.0)
        if abs(wanted) > _MAX_CLOCK_OFFSET_S:
            raise ControlError("invalid_request", "The clock moves at most a hundred years.")
        self.ns.clock.offset_s = wanted
        self.get()


class Reset(ControlHandler):
    """`POST /mock/reset`: back to the configuration."""

    def post(self) -> None:
        """Reset this namespace."""
        self.ns.reset()
        self.write_json({"status": "ok"})


class Reload(ControlHandler):
    """`POST /mock/reload`: read the configuration file again."""

    def post(self) -> None:
        """Reload for all namespaces; a wrong file changes nothing."""
        try:
            self.issuer.reload()
        except ConfigError as error:
            raise ControlError("invalid_config", str(error), 422) from error
        self.write_json({"status": "ok"})


class TryToken(ControlHandler):
    """`POST /mock/try`: sends a token to the configured API and shows its verdict."""

    async def post(self) -> None:
        """Send it as Authorization: Bearer; only the API of the settings is ever called."""
        body = self.json_body("token")
        api_url = self.issuer.settings.api_url
        if not api_url:
            raise ControlError("no_api", "No API is configured: set API_URL for the issuer.", 409)
        token = self.text(body, "token")
        if not _TOKEN.fullmatch(token):
            raise ControlError("invalid_request", "'token' must be a token.")
        try:
            answer = await try_token(api_url, token)
        except ApiUnreachable as error:
            raise ControlError("api_unreachable", f"The API gave no answer: {error}.", 502) from error
        text = answer.body.decode("utf-8", "replace").replace(token, redact("token", token))
        self.write_json(
            {
                "url": api_url,
                "status": answer.status,
                "www_authenticate": answer.headers.get("WWW-Authenticate"),
                "body": text[:_SHOWN_BODY_CHARACTERS],
            }
        )


class NotThere(ControlHandler):
    """Every other path under `/mock/`."""

    async def prepare(self) -> None:
        """Answer 404."""
        await super().prepare()
        raise ControlError("not_found", "There is nothing at this path of the control plane.", 404)
