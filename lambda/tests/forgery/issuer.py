"""An issuer that signs whatever it is asked to: what a test needs and no real issuer offers."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwcrypto.jwk import JWK

ISSUER = "https://issuer.example/oauth2/default"
AUDIENCE = "api://default"
CLIENT_ID = "0oatestbed"

SHA256 = hashes.SHA256()
PSS = padding.PSS(mgf=padding.MGF1(SHA256), salt_length=32)


def b64(raw: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def as_json(value: Any) -> bytes:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":")).encode()


class Key:
    """A key pair and the algorithm it signs with."""

    def __init__(self, alg: str, private: Any, *, kid: str = "") -> None:
        self.alg = alg
        self.private = private
        public = JWK()
        public.import_from_pyca(private.public_key())
        self.members: dict[str, Any] = public.export_public(as_dict=True) | {"alg": alg, "use": "sig"}
        self.kid = self.members["kid"] = kid or public.thumbprint()

    def sign(self, signed: bytes) -> bytes:
        """The raw signature, as a JWS carries it."""
        if self.alg == "RS256":
            return self.private.sign(signed, padding.PKCS1v15(), SHA256)
        if self.alg == "PS256":
            return self.private.sign(signed, PSS, SHA256)
        if self.alg == "ES256":
            r, s = decode_dss_signature(self.private.sign(signed, ec.ECDSA(SHA256)))
            return r.to_bytes(32) + s.to_bytes(32)
        return self.private.sign(signed)


@cache
def rsa_key(bits: int = 2048, name: str = "alice") -> rsa.RSAPrivateKey:
    """An RSA key; the same one for the same name."""
    return rsa.generate_private_key(65537, bits)


class Issuer:
    """Signs with one key of each algorithm; its RS256 key comes first. Its tokens are of the time `now`."""

    def __init__(self) -> None:
        self.now = int(time.time())
        self.keys = {
            "RS256": Key("RS256", rsa_key()),
            "PS256": Key("PS256", rsa_key(name="pss")),
            "ES256": Key("ES256", ec.generate_private_key(ec.SECP256R1())),
            "EdDSA": Key("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        }

    def jwks(self) -> bytes:
        """The key set it publishes."""
        return as_json({"keys": [key.members for key in self.keys.values()]})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good access token of Okta's says; a change to None leaves the claim out."""
        claims = {
            "ver": 1,
            "jti": "AT.hVPTWSyRUCBVYzEGS7Vj8CvbFFIr8Xxv",
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": self.now - 10,
            "exp": self.now + 3590,
            "cid": CLIENT_ID,
            "uid": "00u1",
            "scp": ["openid", "profile", "messages"],
            "auth_time": self.now - 10,
            "sub": "alice@example.com",
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def header(self, alg: str = "RS256", **changes: Any) -> dict[str, Any]:
        """What a good token's header says; a change to None leaves the member out."""
        header = {"alg": alg, "kid": self.keys[alg].kid} | changes
        return {name: value for name, value in header.items() if value is not None}

    def sign(
        self,
        header: bytes,
        payload: bytes,
        *,
        alg: str = "RS256",
        signer: Callable[[bytes], bytes] | None = None,
    ) -> str:
        """Sign a header and a payload as they are, right or wrong."""
        signed = f"{b64(header)}.{b64(payload)}"
        return f"{signed}.{b64((signer or self.keys[alg].sign)(signed.encode()))}"

    def token(self, alg: str = "RS256", **changes: Any) -> str:
        """A good access token, but for the changes to its claims."""
        return self.sign(as_json(self.header(alg)), as_json(self.claims(**changes)), alg=alg)

    def with_header(self, alg: str = "RS256", **changes: Any) -> str:
        """A good access token, but for the changes to its header."""
        return self.sign(as_json(self.header(alg, **changes)), as_json(self.claims()), alg=alg)
