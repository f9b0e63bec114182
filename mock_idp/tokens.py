"""Making and reading compact JWS tokens: claims of Okta's access and ID tokens, signing, checking one's own."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jwcrypto import jws
from jwcrypto.common import JWException

from mock_idp.jsontext import parse_json
from mock_idp.keys import KeyRing, SigningKey

MAX_TOKEN_BYTES = 8192
_COMPACT = json.JSONEncoder(separators=(",", ":"))


class UnreadableToken(Exception):
    """A token that this issuer did not sign with a published key, or that is none at all."""


def b64url(data: bytes) -> str:
    """Encode without padding. Source: RFC 7515 section 2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """Decode without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact_json(value: Any) -> bytes:
    """Serialise the way tokens carry JSON."""
    return _COMPACT.encode(value).encode()


@dataclass(slots=True)
class Draft:
    """A token before it is signed; faults change it.

    Attributes:
        kind: `access_token` or `id_token`.
        header: the JOSE header, `alg` and `kid` included.
        claims: the payload.
        key: what signs it.
    """

    kind: str
    header: dict[str, Any]
    claims: dict[str, Any]
    key: SigningKey

    def signing_input(self) -> str:
        """Return header and payload as they are signed."""
        return f"{b64url(compact_json(self.header))}.{b64url(compact_json(self.claims))}"

    def sign(self) -> str:
        """Return the compact serialisation."""
        text = self.signing_input()
        return f"{text}.{b64url(self.key.sign(text.encode()))}"


def random_id(prefix: str = "", nbytes: int = 16) -> str:
    """Return an unguessable identifier."""
    return prefix + secrets.token_urlsafe(nbytes)


def draft(kind: str, claims: dict[str, Any], key: SigningKey, typ: str = "") -> Draft:
    """Put claims under the header that belongs to a key."""
    header = {"kid": key.kid, "alg": key.algorithm, **({"typ": typ} if typ else {})}
    return Draft(kind, header, claims, key)


def half_hash(algorithm: str, value: str) -> str:
    """Return `at_hash` or `c_hash` of a value. Source: OpenID Connect Core section 3.1.3.6."""
    digest = hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256
    raw = digest(value.encode()).digest()
    return b64url(raw[: len(raw) // 2])


def decode_parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read header and claims without checking anything.

    Raises:
        UnreadableToken: it is not three base64url parts of JSON.
    """
    try:
        head, body, _ = token.split(".")
        header, claims = parse_json(unb64url(head)), parse_json(unb64url(body))
    except ValueError as error:
        raise UnreadableToken("not a compact JWS") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise UnreadableToken("header or payload is not a JSON object")
    return header, claims


def verify_own(token: str, ring: KeyRing, typ: str | None = None) -> dict[str, Any]:
    """Return the claims of a token that a published key of this issuer signed; times are not looked at.

    Args:
        token: in the compact form.
        ring: the keys.
        typ: what the header's `typ` must be, empty for none; without it any will do.

    Raises:
        UnreadableToken: it is too long, damaged, of another type, or signed by somebody else.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise UnreadableToken("longer than 8 KiB")
    header, claims = decode_parts(token)
    if typ is not None and header.get("typ", "") != typ:
        raise UnreadableToken("of another type")
    key = ring.find(str(header.get("kid")))
    if key is None:
        raise UnreadableToken("signed with no key of this issuer")
    try:
        parsed = jws.JWS()
        parsed.allowed_algs = [key.algorithm]
        parsed.deserialize(token, key.jwk)
    except (JWException, ValueError, TypeError, KeyError) as error:
        raise UnreadableToken("the signature does not match") from error
    return claims


def merge_claims(claims: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return claims with changes applied; a change to None takes the claim away."""
    merged = {**claims, **changes}
    return {name: value for name, value in merged.items() if value is not None or name not in changes}
