"""How many access tokens a second are verified: this function, PyJWT, joserfc, and the bare signature check.

    python benchmarks/verify.py [seconds]

RS256 with 2048 bits, keys parsed beforehand, a thousand different tokens, and all claim checks on in everyone but the
bare check. The four take turns in short rounds, so that whatever else the machine does falls on all of them alike; the
best round of each is printed.
"""

import json
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import joserfc.jwk
import joserfc.jwt
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

sys.path.insert(0, str(Path(__file__).parent.parent / "lambda" / "messages"))

from messages.keys import KeySet
from messages.tokens import TokenPolicy, Verifier

ISSUER = "https://issuer.example/oauth2/default"
AUDIENCE = "api://default"
CLIENT_ID = "0oatestbed"
KID = "y4YZXHLZPO9m70_7HnTQk3JqU5gJmGaHtJ1x9bGxM0k"
ROUND_S = 0.05


def b64(raw: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def make_tokens(private: rsa.RSAPrivateKey, count: int) -> list[str]:
    """Access tokens as Okta's, each with an id of its own."""
    now = int(time.time())
    header = b64(json.dumps({"kid": KID, "alg": "RS256"}).encode())
    tokens = []
    for number in range(count):
        claims = {
            "ver": 1,
            "jti": f"AT.{number:032d}",
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 3600,
            "cid": CLIENT_ID,
            "uid": "00u1abcdefGHIJKLM2p7",
            "scp": ["openid", "profile", "email"],
            "auth_time": now,
            "sub": "alice@example.com",
        }
        signed = f"{header}.{b64(json.dumps(claims, separators=(',', ':')).encode())}"
        signature = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        tokens.append(f"{signed}.{b64(signature)}")
    return tokens


def contenders(private: rsa.RSAPrivateKey) -> dict[str, Callable[[str], object]]:
    """Each verifier by its name, ready to be called with a token."""
    public = private.public_key()
    numbers = public.public_numbers()
    members: dict[str, str | list[str]] = {
        "kty": "RSA",
        "kid": KID,
        "use": "sig",
        "alg": "RS256",
        "n": b64(numbers.n.to_bytes(256)),
        "e": b64(numbers.e.to_bytes(3)),
    }
    scheme, sha256 = padding.PKCS1v15(), hashes.SHA256()

    def bare(token: str) -> None:
        signed, _, signature = token.rpartition(".")
        public.verify(urlsafe_b64decode(signature + "=="), signed.encode(), scheme, sha256)

    def pyjwt(token: str) -> None:
        claims = jwt.decode(
            token,
            public,
            algorithms=["RS256"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": ["exp", "iat", "sub"]},
        )
        assert claims["cid"] == CLIENT_ID

    key = joserfc.jwk.RSAKey.import_key(members)
    registry = joserfc.jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
        sub={"essential": True},
        cid={"essential": True, "value": CLIENT_ID},
    )

    def rfc(token: str) -> None:
        registry.validate(joserfc.jwt.decode(token, key, algorithms=["RS256"]).claims)

    verifier = Verifier(
        policy=TokenPolicy(issuer=ISSUER, audience=AUDIENCE, client_ids=frozenset({CLIENT_ID})),
        keys=KeySet.from_json(json.dumps({"keys": [members]}).encode()),
    )

    def gatehouse(token: str) -> None:
        verifier.verify(token, now=time.time())

    return {"bare signature check": bare, "this function": gatehouse, "joserfc": rfc, "PyJWT": pyjwt}


def rate(verify: Callable[[str], object], tokens: list[str]) -> float:
    """Verifications a second in one round."""
    count, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < ROUND_S:
        for token in tokens[count % len(tokens) :][:50]:
            verify(token)
        count += 50
    return count / elapsed


def main() -> None:
    """Print the rates, and what they are of the bare check's."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    private = rsa.generate_private_key(65537, 2048)
    tokens = make_tokens(private, 1000)
    verifiers = contenders(private)
    best = dict.fromkeys(verifiers, 0.0)
    for _ in range(max(1, round(seconds / ROUND_S / len(verifiers)))):
        for name, verify in verifiers.items():
            best[name] = max(best[name], rate(verify, tokens))
    for name, figure in best.items():
        print(f"{name:22} {figure:9,.0f}/s  {figure / best['bare signature check']:5.2f} of the bare check")


if __name__ == "__main__":
    main()
