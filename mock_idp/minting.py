"""`POST /mock/tokens`: any token for any persona with any claims and any fault, and the verdict to expect."""

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

from mock_idp.control import ControlHandler
from mock_idp.errors import ControlError
from mock_idp.faults import Fault, UnsuitableToken, break_token, verdict
from mock_idp.issuance import Realm, access_token_draft, id_token_draft
from mock_idp.personas import Persona
from mock_idp.tokens import Draft, UnreadableToken, decode_parts, merge_claims

_KINDS = ("access_token", "id_token", "client")
_MAX_LIFETIME_S = 10 * 365 * 24 * 3600
_FIELDS = (
    *("persona", "client_id", "server", "kind", "scopes", "claims", "header", "fault"),
    *("parameters", "lifetime_s", "nonce"),
)


@dataclass(frozen=True, slots=True)
class Order:
    """What token was asked for."""

    realm: Realm
    kind: str
    client_id: str
    persona: Persona | None
    scopes: list[str]
    fault: Fault | None
    lifetime_s: int
    nonce: str | None

    def draft(self) -> Draft:
        """Put the token together, still whole."""
        if self.kind == "id_token" and self.persona is not None:
            made = id_token_draft(self.realm, self.client_id, self.scopes, self.persona, nonce=self.nonce)
            if self.lifetime_s:
                made.claims["exp"] = made.claims["iat"] + self.lifetime_s
            return made
        return access_token_draft(self.realm, self.client_id, self.scopes, self.persona, lifetime_s=self.lifetime_s)


class Tokens(ControlHandler):
    """Mints without any sign-in."""

    def post(self) -> None:
        """Mint one token."""
        body = self.json_body(*_FIELDS)
        order = self._order(body)
        made = order.draft()
        made.claims = merge_claims(made.claims, self.mapping(body, "claims"))
        made.header = merge_claims(made.header, self.mapping(body, "header"))
        parameters = self.mapping(body, "parameters")
        if order.fault is not None and order.fault.name == "id_token" and order.persona is not None:
            id_token = id_token_draft(order.realm, order.client_id, order.scopes, order.persona)
            parameters = {"id_token": id_token.sign()}
        try:
            token = break_token(made, order.fault, parameters)
        except UnsuitableToken as error:
            raise ControlError("invalid_request", str(error)) from error
        header, claims = _decoded(token)
        expires = claims.get("exp")
        fault = order.fault
        self.write_json(
            {
                "token": token,
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(expires) - self.ns.now() if _is_time(expires) else None,
                "header": header,
                "claims": claims,
                "fault": fault.name if fault else None,
                "correct": fault.correct if fault else "Accepts it, when its claims suit the API.",
                "expect": verdict(fault),
            }
        )

    def _order(self, body: dict[str, Any]) -> Order:
        kind = self.text(body, "kind", "access_token")
        if kind not in _KINDS:
            raise ControlError("invalid_request", f"'kind' must be one of {', '.join(_KINDS)}.")
        name = self.text(body, "persona", next(iter(self.ns.personas), ""))
        fault_name = self.text(body, "fault")
        fault = self.named_fault(fault_name) if fault_name not in {"", "none"} else None
        if fault is not None and fault.group != "token":
            raise ControlError("not_a_token_fault", f"{fault.name} breaks no token; turn it on at /mock/faults.")
        scopes = body.get("scopes", ["openid", "profile", "email"])
        if isinstance(scopes, str):
            scopes = scopes.split()
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise ControlError("invalid_request", "'scopes' must be a list of texts.")
        lifetime_s = self.number(body, "lifetime_s") or 0
        if not 0 <= lifetime_s <= _MAX_LIFETIME_S:
            raise ControlError("invalid_request", "'lifetime_s' must be seconds, up to ten years.")
        return Order(
            realm=Realm(self.ns, self.base_url, self.named_server(body)),
            kind=kind,
            client_id=self.text(body, "client_id", "0oatestbed"),
            persona=None if kind == "client" else self.named_persona(name),
            scopes=scopes,
            fault=fault,
            lifetime_s=int(lifetime_s),
            nonce=self.text(body, "nonce") or None,
        )


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return decode_parts(token)
    except UnreadableToken:
        return {}, {}
