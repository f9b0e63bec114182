"""Signing keys: kept across restarts, named by their RFC 7638 thumbprint, rotated with overlap."""

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwcrypto.common import JWException, base64url_decode
from jwcrypto.jwk import JWK

_RSA_BITS = 2048
_RSA_FIELDS = ("n", "e", "d", "p", "q", "dp", "dq", "qi")
_MAX_PUBLISHED = 4
_SHA256 = hashes.SHA256()
_PKCS1 = padding.PKCS1v15()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=32)
_ECDSA = ec.ECDSA(_SHA256)


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class KeyStoreError(Exception):
    """The key file cannot be read or written; the text says which and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A private key with the algorithm it signs with.

    Attributes:
        kid: the name under which it is published; its thumbprint, unless a fault says otherwise.
    """

    algorithm: str
    jwk: JWK = field(repr=False)
    kid: str
    _private: "PrivateKey" = field(repr=False)

    @classmethod
    def generate(cls, algorithm: str) -> "SigningKey":
        """Make a new key for RS256, PS256, ES256 or EdDSA."""
        private: PrivateKey
        if algorithm == "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        else:
            private = rsa.generate_private_key(65537, _RSA_BITS)
        return cls.from_private(algorithm, private)

    @classmethod
    def from_private(cls, algorithm: str, private: "PrivateKey") -> "SigningKey":
        """Take a private key; its `kid` is the RFC 7638 thumbprint."""
        key = JWK.from_pyca(private)
        return cls(algorithm, key, key.thumbprint(), private)

    def sign(self, data: bytes) -> bytes:
        """Return the JWS signature of data. Source: RFC 7518 section 3, RFC 8037 section 3.1.

        Signing calls `cryptography` itself: a fifth faster than through jwcrypto's token object.
        """
        private = self._private
        if isinstance(private, rsa.RSAPrivateKey):
            return private.sign(data, _PKCS1 if self.algorithm == "RS256" else _PSS, _SHA256)
        if isinstance(private, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(private.sign(data, _ECDSA))
            return r.to_bytes(32) + s.to_bytes(32)
        return private.sign(data)

    def public(self) -> dict[str, Any]:
        """Return the public JWK as the key set shows it."""
        public: dict[str, Any] = json.loads(self.jwk.export_public())
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def renamed(self, kid: str) -> "SigningKey":
        """Return the same key under another `kid`; only faults do that."""
        return replace(self, kid=kid)


@dataclass(slots=True)
class KeyRing:
    """The keys of one authorization server, the signing one last.

    Attributes:
        published: keys in the key set, oldest first; the last one signs.
        stale: when set, the key set that is answered instead (a fault).
    """

    published: list[SigningKey]
    stale: bytes | None = None
    _serialised: bytes | None = None
    _genuine: SigningKey | None = None
    _etag: tuple[bytes, str] = (b"", "")
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        return self.published[-1]

    def find(self, kid: str) -> SigningKey | None:
        """Return the published key of that name."""
        return next((key for key in reversed(self.published) if key.kid == kid), None)

    def jwks(self) -> bytes:
        """Return the key set, serialised once per change."""
        if self.stale is not None:
            return self.stale
        if self._serialised is None:
            keys = [key.public() for key in reversed(self.published)]
            self._serialised = json.dumps({"keys": keys}).encode()
        return self._serialised

    def etag(self) -> str:
        """Return the entity tag of the key set, computed once per change."""
        body = self.jwks()
        if self._etag[0] is not body:
            self._etag = (body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        return self._etag[1]

    async def wait_for_other(self, known: str, wait_s: float) -> None:
        """Return as soon as the key set has another entity tag than a known one, or after `wait_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self.etag() == known:
                    await self._changed.wait()

    def _change(self) -> None:
        """Forget the serialised set, and wake whoever waits for another one."""
        self._serialised = None
        self._changed.set()
        self._changed = asyncio.Event()

    def rotate(self, new: SigningKey, *, withdraw_old: bool = False, announce: bool = True) -> None:
        """Sign with a new key from now on.

        Args:
            new: the key.
            withdraw_old: take the earlier keys out of the set at once; without it they overlap.
            announce: show the change in the key set; without it the set stays stale.
        """
        before = self.jwks()
        self.published = [new] if withdraw_old else [*self.published, new][-_MAX_PUBLISHED:]
        self.stale = None if announce else before
        self._change()

    def withdraw_old(self) -> None:
        """Take every key but the signing one out of the set."""
        self.published = self.published[-1:]
        self.stale = None
        self._change()

    def impersonate(self, new: SigningKey) -> None:
        """Sign with another key under the present `kid` (a fault)."""
        self._genuine = self._genuine or self.current
        self.published[-1] = new.renamed(self.current.kid)
        self._change()

    def mend(self) -> None:
        """Take back what faults did; a rotation stays."""
        self.stale = None
        if self._genuine is not None:
            index = next((i for i, key in enumerate(self.published) if key.kid == self._genuine.kid), None)
            if index is not None:
                self.published[index] = self._genuine
            self._genuine = None
        self._change()

    def copy(self) -> "KeyRing":
        """Return a ring with the same keys that changes on its own."""
        return KeyRing(list(self.published))


class KeyStore:
    """Key rings in one file of the state folder, readable by its owner only.

    Args:
        state_dir: the folder; made when it is missing.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "keys.json"
        try:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else "{}"
            self._rings = {server_id: _ring(entries) for server_id, entries in json.loads(text).items()}
        except OSError as error:
            raise KeyStoreError(
                f"The state folder {state_dir} cannot be used: {error.strerror}. Set IDP_STATE_DIR to another."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, JWException) as error:
            raise KeyStoreError(
                f"The key file {self._path} is damaged. Delete it: new keys will be made, and tokens signed "
                "with the old ones will no longer verify."
            ) from error

    def ring(self, server_id: str, algorithm: str) -> KeyRing:
        """Return the ring of an authorization server; its first key is made when it is first asked for."""
        ring = self._rings.get(server_id)
        if ring is None or ring.current.algorithm != algorithm:
            ring = KeyRing([SigningKey.generate(algorithm)])
            self._rings[server_id] = ring
            self.save()
        return ring

    def save(self) -> None:
        """Write all rings: whole or not at all, mode 0600."""
        content = {
            server_id: [{"alg": key.algorithm, "jwk": json.loads(key.jwk.export_private())} for key in ring.published]
            for server_id, ring in self._rings.items()
        }
        write_private(self._path, json.dumps(content, indent=1).encode())


def _ring(entries: Iterable[dict[str, Any]]) -> KeyRing:
    keys = [SigningKey.from_private(entry["alg"], _private_key(entry["jwk"])) for entry in entries]
    if not keys:
        raise ValueError("a ring without a key")
    return KeyRing(keys)


def _private_key(fields: dict[str, str]) -> PrivateKey:
    if fields["kty"] != "RSA":
        return cast("PrivateKey", JWK(**fields).get_op_key("sign"))
    n, e, d, p, q, dp, dq, qi = (int.from_bytes(base64url_decode(fields[name])) for name in _RSA_FIELDS)
    public = rsa.RSAPublicNumbers(e, n)
    numbers = rsa.RSAPrivateNumbers(p=p, q=q, d=d, dmp1=dp, dmq1=dq, iqmp=qi, public_numbers=public)
    # The file is this program's own: proving its primes again would cost most of the start-up time.
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically; only its owner may read it.

    Raises:
        KeyStoreError: it cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:  # mkstemp makes the file with mode 0600
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise KeyStoreError(
            f"{path} cannot be written: {error.strerror}. Set IDP_STATE_DIR to a folder of your own."
        ) from error
