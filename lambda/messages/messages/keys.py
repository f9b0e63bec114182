"""The issuer's public keys: each may verify one algorithm and nothing else.

jwcrypto turns each JWK into a public key of `cryptography`; that key checks the signature, so a verification costs
what the bare check costs. What jwcrypto does not look at (`use`, `key_ops`, `alg`, the size and exponent of RSA keys)
is checked here, once, when the set is read.
Source: RFC 7517, RFC 7518 sections 3 and 6, RFC 8037, RFC 8725 sections 3.1 and 3.2.
"""

import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from messages import base64url, strict_json

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
MAX_KEYS = 64
MAX_KID_CHARACTERS = 256
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MIN_RSA_EXPONENT = 65537
MAX_RSA_EXPONENT_BITS = 256

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
_SHA256 = hashes.SHA256()
_ECDSA = ec.ECDSA(_SHA256)
_PKCS1 = padding.PKCS1v15()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=_SHA256.digest_size)


class UnusableKeys(ValueError):
    """A key set nobody may trust a token with; the message says why, in words for the log."""


class KeysUnavailable(Exception):
    """No key set may be used just now, and none could be read; answered as 503 `keys_unavailable`."""


class UnsupportedKey(ValueError):
    """A key of a kind this function does not verify with: left out of the set, as RFC 7517 section 5 asks."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key, bound to the one algorithm it verifies."""

    kid: str
    alg: str
    signature_bytes: int
    _verify: Callable[[bytes, bytes], None]

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Say whether this key made `signature` over `signed`."""
        if len(signature) != self.signature_bytes:
            return False
        try:
            self._verify(signature, signed)
        except InvalidSignature:
            return False
        return True


class KeySource(Protocol):
    """Where the verifier looks a key up."""

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key that `kid` names, or None when the issuer has no such key.

        Raises:
            KeysUnavailable: that cannot be told just now.
        """
        ...

    def kids(self) -> tuple[str, ...]:
        """Name the keys that are known just now."""
        ...


class KeySet:
    """Keys by `kid`; also what was left out and why."""

    def __init__(self, keys: Mapping[str, VerificationKey], left_out: tuple[str, ...] = ()) -> None:
        self._keys = dict(keys)
        self.left_out = left_out

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key that `kid` names, or None."""
        return self._keys.get(kid)

    def kids(self) -> tuple[str, ...]:
        """Name the keys of the set."""
        return tuple(self._keys)

    def __iter__(self) -> Iterator[VerificationKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def from_base64(cls, text: str) -> "KeySet":
        """Read base64 of a JWKS document, as it stands in the environment; white space is ignored.

        Raises:
            UnusableKeys: not base64, or what `from_json` raises.
        """
        compact = "".join(text.split())
        if not compact:
            raise UnusableKeys("it is empty")
        try:
            raw = binascii.a2b_base64(compact.encode("ascii"), strict_mode=True)
        except ValueError:
            raise UnusableKeys("it is not base64") from None
        return cls.from_json(raw)

    @classmethod
    def from_json(cls, raw: bytes) -> "KeySet":
        """Read a JWKS document.

        Raises:
            UnusableKeys: not a JWKS; a private or symmetric key; two keys of one `kid`; a weak key; a key that is
                not for signatures; or no key left that a token could be verified with.
        """
        keys: dict[str, VerificationKey] = {}
        left_out: list[str] = []
        seen: set[str] = set()
        for number, members in enumerate(_read_documents(raw), start=1):
            name = _name(members, number)
            kid = members.get("kid")
            if isinstance(kid, str):
                if kid in seen:
                    raise UnusableKeys(f"two keys have the kid of {name}")
                seen.add(kid)
            try:
                key = _read_key(members, name)
            except UnsupportedKey as unsupported:
                left_out.append(str(unsupported))
            else:
                keys[key.kid] = key
        if not keys:
            raise UnusableKeys("; ".join(["it holds no key that can verify a token", *left_out]))
        return cls(keys, tuple(left_out))


def _read_documents(raw: bytes) -> list[dict[str, Any]]:
    try:
        document = strict_json.read_object(raw)
    except strict_json.NotStrictJson as fault:
        raise UnusableKeys(f"it is not a JSON object with one meaning ({fault.code})") from None
    members = document.get("keys")
    if not isinstance(members, list) or not all(isinstance(key, dict) for key in members):
        raise UnusableKeys('it has no list "keys" of objects')
    if len(members) > MAX_KEYS:
        raise UnusableKeys(f"it holds more than {MAX_KEYS} keys")
    return members


def _name(members: dict[str, Any], number: int) -> str:
    kid = members.get("kid")
    return f"key {number} (kid {kid!r})" if isinstance(kid, str) else f"key {number} (no kid)"


def _read_key(members: dict[str, Any], name: str) -> VerificationKey:
    kty = members.get("kty")
    if kty == "oct" or not _PRIVATE_MEMBERS.isdisjoint(members):
        raise UnusableKeys(f"{name} is a private or symmetric key; withdraw it at once and configure public keys only")
    _check_purpose(members, name)
    kid = members.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
        raise UnsupportedKey(f"{name} has no kid of 1 to {MAX_KID_CHARACTERS} characters, so no token can name it")
    try:
        read = _READERS[kty, members.get("crv")]
    except (KeyError, TypeError):
        raise UnsupportedKey(f"{name} is of a kind that is not supported (kty {kty!r})") from None
    return read(kid, members, name)


def _check_purpose(members: dict[str, Any], name: str) -> None:
    if members.get("use", "sig") != "sig":
        raise UnusableKeys(f'{name} is not for signatures ("use" is {members["use"]!r})')
    key_ops = members.get("key_ops", ["verify"])
    if key_ops != ["verify"]:
        raise UnusableKeys(f'{name} is not for verifying only ("key_ops" is {key_ops!r})')


def _public_key(members: dict[str, Any], wanted: tuple[str, ...], name: str) -> Any:
    for member in wanted:
        value = members.get(member)
        try:
            base64url.decode(value.encode("ascii") if isinstance(value, str) and value else b"!")
        except ValueError:
            raise UnusableKeys(f'"{member}" of {name} is not base64url') from None
    named = {member: members[member] for member in ("kty", "crv", *wanted) if member in members}
    try:
        return JWK(**named).get_op_key("verify")
    except (JWException, ValueError, TypeError):
        raise UnusableKeys(f"{name} is not a valid public key") from None


def _algorithm(members: dict[str, Any], possible: tuple[str, ...], name: str) -> str:
    # A key without "alg" verifies the first: one key, one algorithm, whatever a token's header says.
    alg = members.get("alg", possible[0])
    if alg not in possible:
        raise UnsupportedKey(f"{name} is for the algorithm {alg!r}; supported for its kind: {', '.join(possible)}")
    return str(alg)


def _read_rsa(kid: str, members: dict[str, Any], name: str) -> VerificationKey:
    alg = _algorithm(members, ("RS256", "PS256"), name)
    public = _public_key(members, ("n", "e"), name)
    numbers = public.public_numbers()
    if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        raise UnusableKeys(f"{name} has {public.key_size} bits; RSA keys need {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    if (
        numbers.e < MIN_RSA_EXPONENT
        or numbers.e.bit_length() > MAX_RSA_EXPONENT_BITS
        or numbers.e % 2 == 0
        or numbers.n % 2 == 0
    ):
        raise UnusableKeys(f"{name} has an unsafe modulus or exponent")
    scheme = _PSS if alg == "PS256" else _PKCS1

    def verify(signature: bytes, signed: bytes) -> None:
        public.verify(signature, signed, scheme, _SHA256)

    return VerificationKey(kid, alg, (public.key_size + 7) // 8, verify)


def _read_p256(kid: str, members: dict[str, Any], name: str) -> VerificationKey:
    alg = _algorithm(members, ("ES256",), name)
    public = _public_key(members, ("x", "y"), name)

    def verify(signature: bytes, signed: bytes) -> None:
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        public.verify(encode_dss_signature(r, s), signed, _ECDSA)

    return VerificationKey(kid, alg, 64, verify)


def _read_ed25519(kid: str, members: dict[str, Any], name: str) -> VerificationKey:
    alg = _algorithm(members, ("EdDSA",), name)
    public = _public_key(members, ("x",), name)
    return VerificationKey(kid, alg, 64, public.verify)


_READERS: dict[tuple[Any, Any], Callable[[str, dict[str, Any], str], VerificationKey]] = {
    ("RSA", None): _read_rsa,
    ("EC", "P-256"): _read_p256,
    ("OKP", "Ed25519"): _read_ed25519,
}
