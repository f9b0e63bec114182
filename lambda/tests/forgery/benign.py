"""Tokens that are unusual and right: refusing one of them would lock somebody out."""

import json
from collections.abc import Iterator
from typing import Any

from forgery.issuer import AUDIENCE, CLIENT_ID, Issuer, as_json, b64


def variants(issuer: Issuer) -> Iterator[tuple[str, str]]:
    """Names and tokens, every one of them to be accepted."""
    now = issuer.now
    for alg in issuer.keys:
        yield f"signed with {alg}", issuer.token(alg)
    for typ in ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt", "Application/AT+JWT"):
        yield f"typ {typ}", issuer.with_header(typ=typ)
    claims: dict[str, dict[str, Any]] = {
        "audience in a list": {"aud": [AUDIENCE]},
        "two audiences": {"aud": ["api://other", AUDIENCE]},
        "client_id in place of cid": {"cid": None, "client_id": CLIENT_ID},
        "azp in place of cid": {"cid": None, "azp": CLIENT_ID},
        "cid and client_id": {"client_id": CLIENT_ID},
        "scope in place of scp": {"scp": None, "scope": "openid profile messages"},
        "scope and scp": {"scope": "messages openid profile"},
        "scope with doubled spaces": {"scp": None, "scope": " openid  messages "},
        "no scope at all": {"scp": None},
        "no scopes granted": {"scp": []},
        "no iat": {"iat": None},
        "nbf": {"nbf": now - 10},
        "nbf just now, by a clock ahead": {"nbf": now + 15},
        "iat by a clock ahead": {"iat": now + 15},
        "just expired, by a clock behind": {"exp": now - 15},
        "exp with a fraction": {"exp": now + 3600.5},
        "exp as a float": {"exp": float(now + 3600)},
        "exp far ahead": {"exp": now + 315_360_000},
        "no jti": {"jti": None},
        "another jti": {"jti": "9a1f"},
        "a subject that is an id": {"sub": "00u1abcDEF"},
        "a subject of one character": {"sub": "a"},
        "a subject of 255 characters": {"sub": "a" * 255},
        "a subject with a space": {"sub": "Alice Liddell"},
        "a subject with accents": {"sub": "rené.müller@example.com"},
        "a subject in Japanese": {"sub": "田中さん"},
        "a subject with quotes": {"sub": 'O\'Brien "Bob"'},
        "a subject that is a client": {"sub": CLIENT_ID, "uid": None},
        "RFC 9068 claims": {"auth_time": now, "acr": "urn:a", "amr": ["pwd", "mfa"], "groups": ["a"], "roles": []},
        "nested claims": {"address": {"lines": [["a"], {"b": [1, 2.5, True, None]}]}},
        "brackets in a text": {"note": "[{" * 100},
        "many groups": {"groups": [f"group {number}" for number in range(100)]},
        "many small objects": {"grants": [{"id": number} for number in range(60)]},
        "a large id": {"tenant": 2**63},
        "a negative number": {"balance": -12.5},
        "an emoji": {"name": "Alice 🎉"},
        "a token_use of access": {"token_use": "access"},
        "a typ claim of Bearer": {"typ": "Bearer"},
        "an empty claim name": {"": "x"},
        "an act claim": {"act": {"sub": "service"}},
    }
    for name, changes in claims.items():
        yield name, issuer.token(**changes)
    header, payload = as_json(issuer.header()), issuer.claims()
    yield (
        "header in another order",
        issuer.sign(as_json({"kid": issuer.keys["RS256"].kid, "alg": "RS256"}), as_json(payload)),
    )
    yield (
        "indented JSON",
        issuer.sign(json.dumps(issuer.header(), indent=2).encode(), json.dumps(payload, indent=1).encode()),
    )
    yield "white space around the claims", issuer.sign(header, b" \r\n\t" + as_json(payload) + b"\n")
    yield "escaped characters", issuer.sign(header, as_json(payload).replace(b"alice", b"\\u0061lice"))
    yield "an escaped emoji", issuer.sign(header, as_json(payload | {"name": "🎉"}))
    yield "UTF-8 as it is", issuer.sign(header, json.dumps(payload | {"name": "é🎉"}, ensure_ascii=False).encode())
    yield "exp as 1e10", issuer.sign(header, as_json(payload).replace(b'"exp":%d' % payload["exp"], b'"exp":1e10'))
    for spaces in range(4):
        yield f"{spaces} spaces after the claims", issuer.sign(header, as_json(payload) + b" " * spaces)
    yield "of 8 KiB exactly", _of_size(issuer, 8192)


def _of_size(issuer: Issuer, size: int) -> str:
    """A good token of `size` bytes."""
    header = as_json(issuer.header())
    room = size - len(b64(header)) - len(issuer.token().split(".")[2]) - 2
    claims = as_json(issuer.claims(filler=""))
    claims = claims.replace(b'"filler":""', b'"filler":"' + b"x" * (room * 3 // 4 - len(claims)) + b'"')
    return issuer.sign(header, claims)
