"""The control plane under `/mock/`: minting, faults, captured requests, keys, people, clock, reset."""

import hmac
import json
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from mock_idp.base import BaseHandler
from mock_idp.clients import LOOPBACK_HOSTS
from mock_idp.errors import ControlError
from mock_idp.faults import (
    CATALOGUE,
    UnknownFault,
    break_token,
    find_fault,
    verdict,
)
from mock_idp.issuance import Realm, access_token_draft, id_token_draft
from mock_idp.tokens import UnreadableToken, decode_parts, merge_claims

_MAX_TOKEN_LIFETIME_S = 10 * 365 * 24 * 3600


class ControlHandler(BaseHandler):
    """Open to this machine; elsewhere only with the configured key."""

    captured = False
    faultable = False

    async def prepare(self) -> None:
        """Let in whom the settings let in."""
        await super().prepare()
        if not self._is_allowed():
            raise ControlError(
                "forbidden",
                "The control plane answers this machine only. Elsewhere, set IDP_CONTROL_KEY on the issuer and "
                "send it as Authorization: Bearer.",
                403,
            )

    def _is_allowed(self) -> bool:
        settings = self.issuer.settings
        key = settings.control_key
        presented = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key and hmac.compare_digest(key.encode(), presented.encode()):
            return True
        try:
            address = ip_address(self.request.remote_ip or "")
        except ValueError:
            return False
        if not any(address in network for network in settings.control_networks):
            return False
        # A foreign name in Host or Origin means that some web page talks through this person's browser.
        hosts = LOOPBACK_HOSTS | {urlsplit(self.issuer.public_url).hostname}
        if urlsplit(f"//{self.request.host}").hostname not in hosts:
            return False
        origin = self.request.headers.get("Origin")
        return origin is None or urlsplit(origin).netloc in {
            self.request.host,
            urlsplit(self.issuer.public_url).netloc,
        }

    def json_body(self) -> dict[str, Any]:
        """Return the JSON object of the body; an empty body is an empty object.

        Raises:
            ControlError: invalid_request.
        """
        if not self.request.body:
            return {}
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise ControlError("invalid_request", "The body is not JSON.") from error
        if not isinstance(body, dict):
            raise ControlError("invalid_request", "The body must be a JSON object.")
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


class Tokens(ControlHandler):
    """`POST /mock/tokens`: any token for anybody, whole or broken, and the verdict to expect."""

    def post(self) -> None:
        """Mint a token."""
        body = self.json_body()
        allowed = {"persona", "client_id", "server", "kind", "scopes", "claims", "header", "fault"}
        allowed |= {"lifetime_s", "parameters", "nonce"}
        unknown = sorted(set(body) - allowed)
        if unknown:
            raise ControlError("invalid_request", f"Unknown fields {unknown}. There are: {', '.join(sorted(allowed))}.")
        server = self.ns.servers.get(self.text(body, "server", "default"))
        if server is None:
            raise ControlError("unknown_server", f"There are: {', '.join(self.ns.servers)}.", 404)
        client_id = self.text(body, "client_id", "0oatestbed")
        name = self.text(body, "persona", "" if self.text(body, "kind") == "client" else "alice@example.com")
        persona = self.ns.persona(name) if name else None
        if name and persona is None:
            raise ControlError(
                "unknown_persona", f"Nobody is called {name!r}. There are: {', '.join(self.ns.personas)}.", 404
            )
        fault_name = self.text(body, "fault")
        try:
            fault = find_fault(fault_name) if fault_name and fault_name != "none" else None
        except UnknownFault as error:
            raise ControlError("unknown_fault", str(error), 404) from error
        if fault is not None and fault.group != "token":
            raise ControlError("not_a_token_fault", f"{fault.name} breaks no token; turn it on at /mock/faults.")
        scopes = body.get("scopes", ["openid", "profile", "email"])
        if isinstance(scopes, str):
            scopes = scopes.split()
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise ControlError("invalid_request", "'scopes' must be a list of texts.")
        lifetime_s = body.get("lifetime_s", 0)
        if not isinstance(lifetime_s, int) or not 0 <= lifetime_s <= _MAX_TOKEN_LIFETIME_S:
            raise ControlError("invalid_request", "'lifetime_s' must be a whole number of seconds.")
        realm = Realm(self.ns, self.base_url, server)
        kind = self.text(body, "kind", "access_token")
        if kind == "id_token" and persona is not None:
            made = id_token_draft(realm, client_id, scopes, persona, nonce=self.text(body, "nonce") or None)
        elif kind in {"access_token", "client"}:
            made = access_token_draft(realm, client_id, scopes, persona, lifetime_s=lifetime_s)
        else:
            raise ControlError("invalid_request", "'kind' must be access_token, id_token or client.")
        made.claims = merge_claims(made.claims, self.mapping(body, "claims"))
        made.header = merge_claims(made.header, self.mapping(body, "header"))
        parameters = self.mapping(body, "parameters")
        if fault is not None and fault.name == "id_token" and persona is not None:
            parameters = {"id_token": id_token_draft(realm, client_id, scopes, persona).sign()}
        try:
            token = break_token(made, fault, parameters)
        except (KeyError, TypeError) as error:
            raise ControlError("invalid_request", "The fault needs a claim that was taken away.") from error
        self.write_json(
            {
                "token": token,
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(made.claims.get("exp", 0)) - self.ns.now(),
                **_decoded(token),
                "fault": fault.name if fault else None,
                "correct": fault.correct if fault else "Accepts it.",
                "expect": verdict(fault),
            }
        )


def _decoded(token: str) -> dict[str, Any]:
    try:
        header, claims = decode_parts(token)
    except UnreadableToken:
        return {}
    return {"header": header, "claims": claims}


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


class Reset(ControlHandler):
    """`POST /mock/reset`: back to the configuration."""

    def post(self) -> None:
        """Reset the namespace."""
        self.ns.reset()
        self.write_json({"status": "ok"})
