"""The catalogue of faults: every way in which this issuer can be made to fail, and what a correct client does."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mock_idp.keys import SigningKey
from mock_idp.tokens import Draft, b64url, random_id

MAX_ACTIVE = 100
_OVERSIZED_BYTES = 9000


class UnknownFault(Exception):
    """No fault of that name is in the catalogue."""


class UnsuitableToken(Exception):
    """A token that a fault cannot break, because of its claims."""


def _expired(draft: Draft, _: Mapping[str, Any]) -> str:
    lifetime = draft.claims["exp"] - draft.claims["iat"]
    for name in ("iat", "exp", "auth_time", "nbf"):
        if name in draft.claims:
            draft.claims[name] -= lifetime + 3600
    return draft.sign()


def _not_yet_valid(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.claims["nbf"] = draft.claims["iat"] + 3600
    draft.claims["exp"] += 3600
    return draft.sign()


def _tampered_signature(draft: Draft, _: Mapping[str, Any]) -> str:
    text = draft.signing_input()
    signature = bytearray(draft.key.sign(text.encode()))
    signature[len(signature) // 2] ^= 0x01
    return f"{text}.{b64url(bytes(signature))}"


def _tampered_payload(draft: Draft, _: Mapping[str, Any]) -> str:
    signature = draft.sign().rsplit(".", 1)[1]
    draft.claims["sub"] = "mallory@example.com"
    return f"{draft.signing_input()}.{signature}"


def _alg_none(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.header["alg"] = "none"
    return f"{draft.signing_input()}."


def _hs256_public_key(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.header["alg"] = "HS256"
    text = draft.signing_input()
    secret = draft.key.jwk.export_to_pem()
    return f"{text}.{b64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def _claim_setter(name: str, value: str) -> "Break":
    def change(draft: Draft, _: Mapping[str, Any]) -> str:
        draft.claims[name] = value
        return draft.sign()

    return change


def _wrong_client(draft: Draft, _: Mapping[str, Any]) -> str:
    for name in ("cid", "client_id"):
        if name in draft.claims:
            draft.claims[name] = "0oaanotherclient"
    return draft.sign()


def _wrong_typ(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.header["typ"] = "dpop+jwt"
    return draft.sign()


def _missing_claim(draft: Draft, params: Mapping[str, Any]) -> str:
    draft.claims.pop(str(params.get("claim", "exp")), None)
    return draft.sign()


def _unknown_kid(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.header["kid"] = random_id("unknown-")
    return draft.sign()


def _embedded_key(draft: Draft, _: Mapping[str, Any]) -> str:
    attacker = SigningKey.generate(draft.key.algorithm)
    draft.header["jwk"] = attacker.public()
    draft.header["kid"] = attacker.kid
    draft.key = attacker
    return draft.sign()


def _forged_key(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.key = SigningKey.generate(draft.key.algorithm)
    return draft.sign()


def _id_token(draft: Draft, params: Mapping[str, Any]) -> str:
    id_token = params.get("id_token")
    return str(id_token) if id_token else draft.sign()


def _oversized(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.claims["padding"] = base64.b64encode(bytes(_OVERSIZED_BYTES)).decode()
    return draft.sign()


def _critical_header(draft: Draft, _: Mapping[str, Any]) -> str:
    draft.header |= {"crit": ["urn:example:unknown"], "urn:example:unknown": True}
    return draft.sign()


Break = Callable[[Draft, Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of the catalogue.

    Attributes:
        name: stable name for commands and HTTP.
        group: `token`, `endpoint` or `key`.
        summary: what is broken, in one sentence.
        correct: what a correct client or API does about it.
        parameters: names with the meaning of each.
        refused: whether a correct API refuses the token; None where the fault is not about a token.
    """

    name: str
    group: str
    summary: str
    correct: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    refused: bool | None = None
    apply: Break | None = field(default=None, repr=False)

    def describe(self) -> dict[str, Any]:
        """Return the entry as JSON shows it."""
        shown: dict[str, Any] = {
            "name": self.name,
            "group": self.group,
            "summary": self.summary,
            "correct": self.correct,
            "parameters": dict(self.parameters),
        }
        if self.refused is not None:
            shown["expect"] = verdict(self)
        return shown


def verdict(fault: Fault | None) -> dict[str, Any]:
    """Say what a correct API answers to a token with this fault, or with none."""
    if fault is None or not fault.refused:
        return {"accepted": True, "status": 200, "error": None}
    return {"accepted": False, "status": 401, "error": "invalid_token"}


def _token(name: str, apply: Break, summary: str, correct: str, **parameters: str) -> Fault:
    which = {"token": "access_token, or id_token; where it strikes what the token endpoint issues"}
    return Fault(
        name=name,
        group="token",
        summary=summary,
        correct=correct,
        parameters=parameters | which,
        refused=True,
        apply=apply,
    )


def _endpoint(name: str, summary: str, correct: str, **parameters: str) -> Fault:
    return Fault(name=name, group="endpoint", summary=summary, correct=correct, parameters=parameters)


def _key(name: str, summary: str, correct: str) -> Fault:
    return Fault(name=name, group="key", summary=summary, correct=correct)


CATALOGUE: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        _token(
            "expired",
            _expired,
            "The token expired an hour ago.",
            "Refuses it with 401 invalid_token; a client renews it.",
        ),
        _token(
            "not_yet_valid",
            _not_yet_valid,
            "The token is valid only in an hour (nbf).",
            "Refuses it with 401 invalid_token, beyond its leeway of a few minutes at most.",
        ),
        _token(
            "tampered_signature",
            _tampered_signature,
            "One bit of the signature is flipped.",
            "Refuses it: the signature does not match.",
        ),
        _token(
            "tampered_payload",
            _tampered_payload,
            "The subject was changed after signing.",
            "Refuses it: the signature does not match the payload.",
        ),
        _token(
            "alg_none",
            _alg_none,
            "The header says alg none and there is no signature.",
            "Refuses it: only the expected algorithms are accepted, never none.",
        ),
        _token(
            "hs256_public_key",
            _hs256_public_key,
            "Signed with HS256, keyed with the PEM of the public key.",
            "Refuses it: the algorithm is pinned by the key, not chosen by the token.",
        ),
        _token(
            "forged_key",
            _forged_key,
            "Signed by a stranger's key under the kid of the real one.",
            "Refuses it: the signature does not match the published key.",
        ),
        _token(
            "wrong_issuer",
            _claim_setter("iss", "https://issuer.example.org/oauth2/default"),
            "Another issuer stands in iss.",
            "Refuses it: iss must equal the configured issuer, character by character.",
        ),
        _token(
            "wrong_audience",
            _claim_setter("aud", "api://another"),
            "It was issued for another API.",
            "Refuses it: aud must be, or contain, this API.",
        ),
        _token(
            "wrong_client",
            _wrong_client,
            "It was issued to another client (cid).",
            "An API that serves one client refuses it; one that serves all accepts it.",
        ),
        _token(
            "wrong_typ",
            _wrong_typ,
            "The header's typ is dpop+jwt.",
            "An API that checks typ (RFC 9068 demands it) refuses it.",
        ),
        _token(
            "missing_claim",
            _missing_claim,
            "A claim is missing.",
            "Refuses it: iss, aud, exp and sub are required.",
            claim="which one; exp unless said otherwise",
        ),
        _token(
            "unknown_kid",
            _unknown_kid,
            "The kid names no published key.",
            "Fetches the key set once more at most, then refuses it.",
        ),
        _token(
            "embedded_key",
            _embedded_key,
            "Signed by a stranger whose public key is embedded in the header.",
            "Refuses it: keys come from the issuer's key set only, never from the token.",
        ),
        _token(
            "critical_header",
            _critical_header,
            "The header names an unknown critical extension (crit).",
            "Refuses it: RFC 7515 section 4.1.11 forbids ignoring what crit names.",
        ),
        _token(
            "id_token",
            _id_token,
            "An ID token in place of the access token.",
            "Refuses it: its audience is the client, not the API.",
        ),
        _token(
            "oversized",
            _oversized,
            "The token is larger than 8 KiB.",
            "Refuses it before parsing: a length limit protects the parser.",
        ),
        _endpoint(
            "latency",
            "The answer comes late.",
            "Waits up to its own time limit, shows that it waits, stays usable.",
            delay_ms="milliseconds; 2000 unless said otherwise",
        ),
        _endpoint(
            "rate_limited",
            "429 with Retry-After.",
            "Waits as long as Retry-After says, then tries again; never loops at once.",
            retry_after_s="seconds; 1 unless said otherwise",
        ),
        _endpoint(
            "server_error",
            "A 5xx answer.",
            "Tries again a few times with growing pauses, then tells the person.",
            status="500 to 599; 503 unless said otherwise",
        ),
        _endpoint(
            "truncated_body",
            "The body ends halfway; the announced length is the whole one.",
            "Notices the short body and treats it as a failed request.",
        ),
        _endpoint(
            "dropped_connection",
            "The connection closes without an answer.",
            "Treats it as a failed request; repeats only what is safe to repeat.",
        ),
        _endpoint(
            "slow_drip",
            "The body drips, a few bytes at a time.",
            "Limits the whole request, not only the silence between two bytes.",
            interval_ms="milliseconds between pieces; 100 unless said otherwise",
        ),
        _endpoint(
            "jwks_outage",
            "The key set answers 503.",
            "Goes on verifying with the keys it has; refuses unknown kids with 401, not 500.",
        ),
        _key(
            "rotate",
            "A new key signs; the old one stays published.",
            "Fetches the key set when it meets the new kid; old tokens stay valid.",
        ),
        _key(
            "withdraw_old_key",
            "All keys but the signing one leave the set.",
            "Refuses tokens signed with the withdrawn keys once it has fetched the set.",
        ),
        _key(
            "same_kid_new_key",
            "Another key signs under the old kid.",
            "Fetches the set again when a signature fails under a known kid; does not cache keys for ever.",
        ),
        _key(
            "stale_jwks",
            "A new key signs, but the key set still shows the old one only.",
            "Refuses the new tokens, asks again later with restraint, and recovers when the set does.",
        ),
    )
}


def find_fault(name: str) -> Fault:
    """Return a fault of the catalogue; hyphens and underscores are the same.

    Raises:
        UnknownFault: there is none of that name.
    """
    fault = CATALOGUE.get(name.strip().lower().replace("-", "_"))
    if fault is None:
        raise UnknownFault(f"There is no fault {name!r}. There are: {', '.join(CATALOGUE)}.")
    return fault


@dataclass(slots=True, kw_only=True)
class ActiveFault:
    """A fault that is on, and for whom.

    Attributes:
        once: it goes off after it struck once.
        client_id, persona, path: when set, only requests of that client, person or path are struck.
    """

    fault_id: str
    fault: Fault
    once: bool = True
    client_id: str = ""
    persona: str = ""
    path: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    struck: int = 0

    def matches(self, *, client_id: str, persona: str, path: str, kind: str) -> bool:
        """Say whether a request is within the scope."""
        if kind and self.parameters.get("token", "access_token") != kind:
            return False
        return (
            (not self.client_id or self.client_id == client_id)
            and (not self.persona or self.persona == persona)
            and (not self.path or self.path in path)
        )

    def describe(self) -> dict[str, Any]:
        """Return the fault as JSON shows it."""
        return {
            "id": self.fault_id,
            "fault": self.fault.name,
            "once": self.once,
            "client_id": self.client_id or None,
            "persona": self.persona or None,
            "path": self.path or None,
            "parameters": dict(self.parameters),
            "struck": self.struck,
        }


class ActiveFaults:
    """The faults of a namespace that are on."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveFault] = {}

    def __bool__(self) -> bool:
        return bool(self._active)

    def add(self, active: ActiveFault) -> None:
        """Turn a fault on; beyond `MAX_ACTIVE` the oldest goes off."""
        while len(self._active) >= MAX_ACTIVE:
            del self._active[next(iter(self._active))]
        self._active[active.fault_id] = active

    def remove(self, fault_id: str) -> bool:
        """Turn one off; False when it was not on."""
        return self._active.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Turn all off."""
        self._active.clear()

    def take(
        self, group: str, *, client_id: str = "", persona: str = "", path: str = "", kind: str = ""
    ) -> ActiveFault | None:
        """Return the first active fault of a group that strikes this request; a one-shot goes off."""
        for active in self._active.values():
            if active.fault.group == group and active.matches(
                client_id=client_id, persona=persona, path=path, kind=kind
            ):
                active.struck += 1
                if active.once:
                    del self._active[active.fault_id]
                return active
        return None

    def describe(self) -> list[dict[str, Any]]:
        """Return all that are on, as JSON shows them."""
        return [active.describe() for active in self._active.values()]


def break_token(draft: Draft, fault: Fault | None, parameters: Mapping[str, Any]) -> str:
    """Sign a draft, broken by a fault of the group `token` if one is given.

    Raises:
        UnsuitableToken: the fault changes a claim that is not there or not of its usual type.
    """
    if fault is None or fault.apply is None:
        return draft.sign()
    try:
        return fault.apply(draft, parameters)
    except (KeyError, TypeError, OverflowError) as error:
        raise UnsuitableToken("The fault needs a claim that was taken away or changed.") from error
