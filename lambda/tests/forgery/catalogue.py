"""Tokens that must never pass, by class, each with the reason and with the code it must be refused with.

Everything but the one fault is right in each of them: a token that is wrong twice proves nothing about either fault.
Sources: RFC 8725 section 2, RFC 7515 sections 4 and 5.2, RFC 7518 section 3, RFC 9068 section 4, and the faults that
published advisories of JOSE libraries describe.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from forgery.issuer import AUDIENCE, CLIENT_ID, ISSUER, Issuer, Key, as_json, b64, rsa_key

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Hostile:
    """One token that must be refused."""

    kind: str
    name: str
    token: str
    code: str
    why: str

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.name}"


Cases = Iterator[Hostile]


def catalogue(issuer: Issuer) -> list[Hostile]:
    """Every case there is, for this issuer's keys and the present time."""
    kinds = (
        shape,
        encoding,
        json_text,
        header_members,
        algorithms,
        key_ids,
        types,
        signatures,
        keys_of_the_attacker,
        issuers,
        times,
        audiences,
        clients,
        scopes,
        subjects,
        other_tokens,
        tampered,
    )
    return [case for kind in kinds for case in kind(issuer)]


def shape(issuer: Issuer) -> Cases:
    """Not one compact JWS."""
    good = issuer.token()
    header, payload, signature = good.split(".")
    why = "A compact JWS is exactly three non-empty parts (RFC 7515 section 3.1)."
    texts = {
        "nothing but dots": "..",
        "one dot": ".",
        "no dots": header,
        "two parts": f"{header}.{payload}",
        "four parts": f"{good}.{signature}",
        "five parts, as a JWE has": f"{header}.{payload}.{signature}.{payload}.{signature}",
        "five empty parts": "....",
        "empty header": f".{payload}.{signature}",
        "empty payload": f"{header}..{signature}",
        "empty signature": f"{header}.{payload}.",
        "leading dot": f".{good}",
        "trailing dot": f"{good}.",
        "doubled dot": f"{header}..{payload}.{signature}",
        "two tokens": f"{good}.{good}",
        "two tokens with a comma": f"{good},{good}",
        "flattened JSON serialization": json.dumps({"protected": header, "payload": payload, "signature": signature}),
        "general JSON serialization": json.dumps(
            {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
        ),
        "JSON serialization as base64url": b64(json.dumps({"payload": payload}).encode()),
        "opaque token": "00a1b2c3d4e5f6g7h8i9j0",
        "the word null": "null",
        "the word undefined": "undefined",
        "a percent sign": "%",
    }
    for name, token in texts.items():
        yield Hostile("shape", name, token, "not_compact_jws", why)
    for size in (8193, 9000, 65_000):
        name = f"{size} bytes, signed"
        token = issuer.token(filler="x" * size)[:size]
        yield Hostile("shape", name, token, "too_long", "More than 8 KiB is not looked at.")
    yield Hostile(
        "shape",
        "a good token just over 8 KiB",
        issuer.token(filler="x" * 6000),
        "too_long",
        "More than 8 KiB is not looked at, however good.",
    )


def encoding(issuer: Issuer) -> Cases:
    """Base64url that a lenient decoder takes for a good token's."""
    header, payload, signature = issuer.token().split(".")
    parts = {"header": header, "payload": payload, "signature": signature}
    why = "Base64url has no padding, no white space and one text for each value (RFC 7515 section 2)."
    junk = {
        "padding": "=",
        "two paddings": "==",
        "space": " ",
        "line feed": "\n",
        "carriage return and line feed": "\r\n",
        "tab": "\t",
        "exclamation mark": "!",
        "asterisk": "*",
        "plus": "+",
        "slash": "/",
        "tilde": "~",
        "percent escape": "%41",
        "NUL": "\0",
    }
    for part, text in parts.items():
        for place, position in (("end", len(text)), ("middle", len(text) // 2), ("start", 0)):
            for name, character in junk.items():
                mangled = text[:position] + character + text[position:]
                token = ".".join(mangled if key == part else value for key, value in parts.items())
                yield Hostile("encoding", f"{name} at the {place} of the {part}", token, "bad_base64url", why)
        for name, character in (("full-width A", "\uff21"), ("no-break space", "\u00a0"), ("BOM", "\ufeff")):
            token = ".".join(text + character if key == part else value for key, value in parts.items())
            yield Hostile("encoding", f"{name} after the {part}", token, "not_compact_jws", why)
    yield from _unused_bits(issuer, why)
    # 4n + 1 characters encode nothing.
    for part, text in parts.items():
        cut = text[: len(text) - (len(text) - 1) % 4] if len(text) % 4 != 1 else text
        token = ".".join(cut if key == part else value for key, value in parts.items())
        yield Hostile("encoding", f"impossible length of the {part}", token, "bad_base64url", why)


def _unused_bits(issuer: Issuer, why: str) -> Cases:
    # Pad the JSON with white space until its base64url ends in an incomplete group, whose low bits are unused.
    for remainder, bits in ((2, 2), (1, 4)):
        for part in ("header", "payload"):
            texts = {"header": as_json(issuer.header()), "payload": as_json(issuer.claims())}
            texts[part] += b" " * ((remainder - len(texts[part])) % 3)
            header, payload = b64(texts["header"]), b64(texts["payload"])
            signature = b64(issuer.keys["RS256"].sign(f"{header}.{payload}".encode()))
            text = header if part == "header" else payload
            changed = text[:-1] + ALPHABET[ALPHABET.index(text[-1]) + 1]
            signed = f"{changed}.{payload}" if part == "header" else f"{header}.{changed}"
            name = f"{bits} unused bits set at the end of the {part}"
            yield Hostile("encoding", f"{name}, old signature", f"{signed}.{signature}", "bad_base64url", why)
            again = b64(issuer.keys["RS256"].sign(signed.encode()))
            yield Hostile("encoding", f"{name}, signed so", f"{signed}.{again}", "bad_base64url", why)
    for alg in ("RS256", "ES256", "EdDSA"):
        good = issuer.token(alg)
        changed = good[:-1] + ALPHABET[ALPHABET.index(good[-1]) + 1]
        yield Hostile("encoding", f"unused bits set in the signature, {alg}", changed, "bad_base64url", why)


def json_text(issuer: Issuer) -> Cases:
    """Signed by the issuer, but not JSON with one meaning."""
    header, claims = as_json(issuer.header()), as_json(issuer.claims())
    inside = claims[1:-1]
    deep = b"[" * 40 + b"]" * 40
    unique = "Member names are unique (RFC 7515 section 4, RFC 7519 section 4); readers differ on which one counts."
    strict = "The text is not JSON (RFC 8259)."
    payloads: dict[str, tuple[bytes, str, str]] = {
        "duplicate sub": (b'{"sub":"admin",' + inside + b"}", "duplicate_name", unique),
        "duplicate sub at the end": (b"{" + inside + b',"sub":"admin"}', "duplicate_name", unique),
        "duplicate exp": (b'{"exp":1,' + inside + b"}", "duplicate_name", unique),
        "duplicate by escape": (b'{"s\\u0075b":"admin",' + inside + b"}", "duplicate_name", unique),
        "duplicate in a nested object": (b'{"x":{"a":1,"a":2},' + inside + b"}", "duplicate_name", unique),
        "a list": (b"[" + claims + b"]", "not_an_object", "The claims set is an object."),
        "a string": (as_json(claims.decode()), "not_an_object", "The claims set is an object."),
        "a number": (b"1", "not_an_object", "The claims set is an object."),
        "null": (b"null", "not_an_object", "The claims set is an object."),
        "true": (b"true", "not_an_object", "The claims set is an object."),
        "byte order mark": (b"\xef\xbb\xbf" + claims, "bad_json", strict),
        "UTF-16": (claims.decode().encode("utf-16"), "bad_utf8", "JSON is UTF-8."),
        "UTF-16 without a mark": (claims.decode().encode("utf-16-le"), "bad_json", strict),
        "Latin-1": (b'{"name":"Ren\xe9",' + inside + b"}", "bad_utf8", "JSON is UTF-8."),
        "overlong UTF-8": (b'{"name":"\xc0\xaf",' + inside + b"}", "bad_utf8", "JSON is UTF-8."),
        "surrogate in UTF-8": (b'{"name":"\xed\xa0\x80",' + inside + b"}", "bad_utf8", "JSON is UTF-8."),
        "lone surrogate escape": (b'{"name":"\\ud800",' + inside + b"}", "bad_json", "It is no text (RFC 7493)."),
        "truncated": (claims[:-1], "bad_json", strict),
        "trailing comma": (b"{" + inside + b",}", "bad_json", strict),
        "trailing text": (claims + b"x", "bad_json", strict),
        "two objects": (claims + claims, "bad_json", strict),
        "trailing NUL": (claims + b"\0", "bad_json", strict),
        "single quotes": (claims.replace(b'"', b"'"), "bad_json", strict),
        "comment": (b"/**/" + claims, "bad_json", strict),
        "raw line feed in a string": (b'{"name":"a\nb",' + inside + b"}", "bad_json", strict),
        "empty object text": (b" ", "bad_json", strict),
        "NaN": (b'{"x":NaN,' + inside + b"}", "number_out_of_bounds", "JSON has no NaN."),
        "Infinity": (b'{"x":Infinity,' + inside + b"}", "number_out_of_bounds", "JSON has no Infinity."),
        "-Infinity": (b'{"x":-Infinity,' + inside + b"}", "number_out_of_bounds", "JSON has no Infinity."),
        "number past the floats": (b'{"x":1e999,' + inside + b"}", "number_out_of_bounds", "Numbers are bounded."),
        "number of 5000 digits": (
            b'{"x":' + b"9" * 5000 + b"," + inside + b"}",
            "number_out_of_bounds",
            "Numbers are bounded.",
        ),
        "fraction of 100 digits": (
            b'{"x":0.' + b"1" * 100 + b"," + inside + b"}",
            "number_out_of_bounds",
            "Numbers are bounded.",
        ),
        "40 lists deep": (b'{"x":' + deep + b"," + inside + b"}", "too_deep", "Depth is bounded."),
        "2500 lists deep": (b'{"x":' + b"[" * 2500 + b"]" * 2500 + b"," + inside + b"}", "too_deep", "As above."),
        "2000 open lists": (b"[" * 2000, "too_deep", "Depth is bounded."),
        "800 objects deep": (b'{"x":' * 800 + b"1" + b"}" * 800, "too_deep", "Depth is bounded."),
    }
    for name, (payload, code, why) in payloads.items():
        yield Hostile("json", f"payload: {name}", issuer.sign(header, payload), code, why)
    start = header[1:-1]
    headers: dict[str, tuple[bytes, str, str]] = {
        "duplicate alg": (b'{"alg":"none",' + start + b"}", "duplicate_name", unique),
        "duplicate kid": (b"{" + start + b',"kid":"x"}', "duplicate_name", unique),
        "a list": (b"[" + header + b"]", "not_an_object", "The header is an object."),
        "a string": (as_json(header.decode()), "not_an_object", "The header is an object."),
        "null": (b"null", "not_an_object", "The header is an object."),
        "byte order mark": (b"\xef\xbb\xbf" + header, "bad_json", strict),
        "truncated": (header[:-1], "bad_json", strict),
        "UTF-16": (header.decode().encode("utf-16"), "bad_utf8", "JSON is UTF-8."),
        "2500 lists deep": (b"[" * 2500 + b"]" * 2500, "too_deep", "Depth is bounded."),
        "empty": (b" ", "bad_json", strict),
    }
    for name, (raw, code, why) in headers.items():
        yield Hostile("json", f"header: {name}", issuer.sign(raw, claims), code, why)


def header_members(issuer: Issuer) -> Cases:
    """Signed by the issuer, with a header member that asks the verifier to do something."""
    members: dict[str, tuple[Any, str]] = {
        "crit": (["exp"], "An extension that must be understood is not (RFC 7515 section 4.1.11)."),
        "crit empty": ([], "`crit` is never empty (RFC 7515 section 4.1.11)."),
        "crit with b64": (["b64"], "RFC 7797 is not for tokens."),
        "b64 false": (False, "An unencoded payload is not for tokens (RFC 7797 section 7)."),
        "b64 true": (True, "RFC 7797 is not for tokens."),
        "zip": ("DEF", "Compressed content hides its size."),
        "enc": ("A256GCM", "A JWE's member in a JWS."),
        "jwk": (issuer.keys["RS256"].members, "The key is the issuer's to name, not the token's (RFC 8725)."),
        "jku": (f"{ISSUER}/v1/keys", "A URL in a token is not fetched (RFC 8725 section 3.10)."),
        "x5u": ("https://attacker.example/x", "A URL in a token is not fetched (RFC 8725 section 3.10)."),
        "x5c": (["MIIB"], "A certificate in a token proves nothing here."),
        "x5t": ("dGVzdA", "A certificate in a token proves nothing here."),
        "x5t#S256": ("dGVzdA", "A certificate in a token proves nothing here."),
        "cty": ("JWT", "A nested token is not an access token."),
        "apu": ("QWxpY2U", "A JWE's member in a JWS."),
        "epk": ({"kty": "EC"}, "A JWE's member in a JWS."),
        "p2c": (1_000_000_000, "A count of rounds is an attack on the verifier's time."),
        "nonce": ("abc", "Some issuers hash it before they sign: such a token is for them alone."),
        "iss": (ISSUER, "A replicated claim (RFC 7519 section 5.3) that may differ from the real one."),
        "url": ("https://api.example", "ACME's member."),
        "ppt": ("shaken", "PASSporT's member."),
        "": ("x", "A member without a name."),
        "Alg": ("none", "Member names differ by case."),
        "KID": ("x", "Member names differ by case."),
    }
    for name, (value, why) in members.items():
        member = name.split(" ")[0] if not name.startswith("x5t#") else name
        header = as_json(issuer.header() | {member: value})
        token = issuer.sign(header, as_json(issuer.claims()))
        yield Hostile("header", name or "nameless", token, "unknown_header", why)


def algorithms(issuer: Issuer) -> Cases:
    """An `alg` that is not what the key is for."""
    key = issuer.keys["RS256"]
    why = "`alg` comes from the configured list (RFC 8725 section 3.1)."
    claims = as_json(issuer.claims())
    for alg in ("none", "None", "NONE", "nOnE", "none\n", ""):
        header = as_json(issuer.header() | {"alg": alg})
        unsigned = f"{b64(header)}.{b64(claims)}."
        yield Hostile("algorithm", f"{alg!r}, no signature", unsigned, "not_compact_jws", "Unsigned.")
        token = issuer.sign(header, claims)
        yield Hostile("algorithm", f"{alg!r}, with a good signature", token, "wrong_algorithm", why)
    names: list[Any] = ["HS256", "HS384", "HS512", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K"]
    names += [
        "RS1",
        "RSA-OAEP",
        "dir",
        "A256KW",
        "rs256",
        "RS256 ",
        " RS256",
        "RS256\0",
        "SHA256",
        "Ed448",
        "ML-DSA-44",
    ]
    names += [1, True, None, ["RS256"], {"alg": "RS256"}]
    for name in names:
        token = issuer.sign(as_json(issuer.header() | {"alg": name}), claims)
        yield Hostile("algorithm", f"{name!r}, with a good signature", token, "wrong_algorithm", why)
    token = issuer.sign(as_json({"kid": key.kid}), claims)
    yield Hostile("algorithm", "missing", token, "wrong_algorithm", why)
    yield from _key_confusion(issuer, claims)
    for alg in issuer.keys:
        for other in issuer.keys:
            if alg != other:
                header = as_json({"alg": other, "kid": issuer.keys[alg].kid})
                token = issuer.sign(header, claims, alg=other)
                name = f"{other} named and used, with the kid of the {alg} key"
                why = "A key verifies one algorithm (RFC 8725 section 3.1)."
                yield Hostile("algorithm", name, token, "key_algorithm_mismatch", why)


def _key_confusion(issuer: Issuer, claims: bytes) -> Cases:
    key = issuer.keys["RS256"]
    public = key.private.public_key()
    secrets = {
        "PEM": public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        "PEM without its last line feed": public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).rstrip(),
        "PKCS1 PEM": public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
        "DER": public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        "JWK": as_json(key.members),
        "JWKS": issuer.jwks(),
        "modulus": key.members["n"].encode(),
        "kid": key.kid.encode(),
        "nothing": b"",
        "a zero": b"\0",
    }
    digests = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    for alg, digest in digests.items():
        for name, secret in secrets.items():

            def mac(signed: bytes, secret: bytes = secret, digest: Any = digest) -> bytes:
                return hmac.digest(secret, signed, digest)

            header = as_json({"alg": alg, "kid": key.kid})
            token = issuer.sign(header, claims, signer=mac)
            why = "The public key is no secret (RFC 8725 section 2.1)."
            yield Hostile("algorithm", f"{alg} keyed with the public key as {name}", token, "wrong_algorithm", why)


def key_ids(issuer: Issuer) -> Cases:
    """A `kid` that does not name one of the issuer's keys."""
    kid = issuer.keys["RS256"].kid
    why = "`kid` names exactly one key of the issuer's."
    values: dict[str, tuple[Any, str]] = {
        "another's": ("not-a-key", "unknown_key"),
        "in capitals": (kid.swapcase(), "unknown_key"),
        "with a space": (kid + " ", "unknown_key"),
        "with a NUL": (kid + "\0", "unknown_key"),
        "with a line feed": (kid + "\n", "unknown_key"),
        "cut": (kid[:-1], "unknown_key"),
        "a path": ("../../../../dev/null", "unknown_key"),
        "SQL": ("' OR '1'='1", "unknown_key"),
        "a shell command": ("key|/bin/true", "unknown_key"),
        "a URL": ("https://attacker.example/jwks", "unknown_key"),
        "dunder": ("__class__", "unknown_key"),
        "a lone hash sign": ("#", "unknown_key"),
        "empty": ("", "bad_kid"),
        "null": (None, "bad_kid"),
        "a number": (1, "bad_kid"),
        "true": (True, "bad_kid"),
        "a list": ([kid], "bad_kid"),
        "an object": ({"kid": kid}, "bad_kid"),
        "of 257 characters": ("k" * 257, "bad_kid"),
    }
    for name, (value, code) in values.items():
        header = as_json(issuer.header() | {"kid": value})
        yield Hostile("kid", name, issuer.sign(header, as_json(issuer.claims())), code, why)
    yield Hostile("kid", "missing", issuer.with_header(kid=None), "bad_kid", why)
    yield Hostile("kid", "of another key of the issuer's", _with_other_kid(issuer), "bad_signature", why)


def _with_other_kid(issuer: Issuer) -> str:
    header = as_json({"alg": "PS256", "kid": issuer.keys["PS256"].kid})
    other = Key("PS256", rsa_key())
    return issuer.sign(header, as_json(issuer.claims()), signer=other.sign)


def types(issuer: Issuer) -> Cases:
    """A `typ` of something that is no access token."""
    names: list[Any] = [
        "id_token+jwt",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "refresh+jwt",
        "rt+jwt",
        "JWE",
        "JOSE",
    ]
    names += ["JOSE+JSON", "application/json", "token-introspection+jwt", "oauth-authz-req+jwt", "kb+jwt", "vc+sd-jwt"]
    names += [
        "at+jwt ",
        "at+jwt\n",
        "text/jwt",
        "application/application/at+jwt",
        "",
        1,
        None,
        True,
        ["JWT"],
        {"typ": "JWT"},
    ]
    for name in names:
        token = issuer.sign(as_json(issuer.header() | {"typ": name}), as_json(issuer.claims()))
        why = "Kinds of token are told apart by `typ` (RFC 8725 section 3.11, RFC 9068 section 2.1)."
        yield Hostile("typ", repr(name), token, "wrong_type", why)


def signatures(issuer: Issuer) -> Cases:
    """A signature that is none, or none of this token's."""
    why = "Nobody but the issuer can have signed this."
    for alg, key in issuer.keys.items():
        header, claims = as_json(issuer.header(alg)), as_json(issuer.claims())
        good = key.sign(f"{b64(header)}.{b64(claims)}".encode())
        changed: dict[str, bytes] = {
            "all zeros": bytes(len(good)),
            "all ones": b"\xff" * len(good),
            "first bit flipped": bytes([good[0] ^ 0x80]) + good[1:],
            "last bit flipped": good[:-1] + bytes([good[-1] ^ 1]),
            "cut by a byte": good[:-1],
            "cut to half": good[: len(good) // 2],
            "one byte": good[:1],
            "a byte too long": good + b"\0",
            "a leading zero": b"\0" + good,
            "twice": good + good,
            "of another message": key.sign(b"another message"),
            "of the payload alone": key.sign(b64(claims).encode()),
            "of the decoded text": key.sign(header + b"." + claims),
            "hash in place of a signature": hashlib.sha256(f"{b64(header)}.{b64(claims)}".encode()).digest(),
        }
        for name, signature in changed.items():
            token = f"{b64(header)}.{b64(claims)}.{b64(signature)}"
            yield Hostile("signature", f"{alg}: {name}", token, "bad_signature", why)
    yield from _rsa_signatures(issuer)
    yield from _ecdsa_signatures(issuer)


def _rsa_signatures(issuer: Issuer) -> Cases:
    private = issuer.keys["RS256"].private
    numbers = private.private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    header, claims = as_json(issuer.header()), as_json(issuer.claims())
    message = f"{b64(header)}.{b64(claims)}".encode()
    good = int.from_bytes(private.sign(message, padding.PKCS1v15(), hashes.SHA256()))

    def raw(block: bytes) -> bytes:
        return pow(int.from_bytes(block), numbers.d, n).to_bytes(256)

    digest = hashlib.sha256(message).digest()
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    short = b"\0\1" + b"\xff" * 8 + b"\0" + info
    why = "PKCS #1 v1.5 has one encoding of a message (RFC 8017 section 8.2.2)."
    forged: dict[str, bytes] = {
        "short padding, garbage after the hash": raw(short + b"\x42" * (256 - len(short))),
        "no DigestInfo": raw(b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest),
        "block type 2": raw(b"\0\2" + b"\xff" * (253 - len(info)) + b"\0" + info),
        "padding not all ones": raw(b"\0\1" + b"\xff" * (252 - len(info)) + b"\xfe\0" + info),
        "SHA-1": private.sign(message, padding.PKCS1v15(), hashes.SHA1()),
        "SHA-384": private.sign(message, padding.PKCS1v15(), hashes.SHA384()),
        "SHA-512": private.sign(message, padding.PKCS1v15(), hashes.SHA512()),
        "of the hash of the hash": private.sign(digest, padding.PKCS1v15(), hashes.SHA256()),
        "the number one": (1).to_bytes(256),
        "the modulus less one": (n - 1).to_bytes(256),
        "the modulus": n.to_bytes(256),
        "the exponent": e.to_bytes(256),
        "negated": (n - good).to_bytes(256),
        "plus the modulus": ((good + n) % (1 << 2048)).to_bytes(256),
        "with PSS": Key("PS256", private).sign(message),
    }
    for name, signature in forged.items():
        token = f"{message.decode()}.{b64(signature)}"
        yield Hostile("signature", f"RSA: {name}", token, "bad_signature", why)
    yield from _pss_signatures(issuer)


def _pss_signatures(issuer: Issuer) -> Cases:
    private = issuer.keys["PS256"].private
    header, claims = as_json(issuer.header("PS256")), as_json(issuer.claims())
    message = f"{b64(header)}.{b64(claims)}".encode()
    sha256 = hashes.SHA256()
    schemes: dict[str, Any] = {
        "no salt": padding.PSS(padding.MGF1(sha256), 0),
        "salt of 20 bytes": padding.PSS(padding.MGF1(sha256), 20),
        "the longest salt": padding.PSS(padding.MGF1(sha256), 222),
        "MGF1 with SHA-1": padding.PSS(padding.MGF1(hashes.SHA1()), 32),
        "PKCS #1 v1.5": padding.PKCS1v15(),
    }
    for name, scheme in schemes.items():
        token = f"{message.decode()}.{b64(private.sign(message, scheme, sha256))}"
        why = "PS256 is SHA-256, MGF1 with SHA-256, a salt of 32 bytes (RFC 7518 section 3.5)."
        yield Hostile("signature", f"PSS: {name}", token, "bad_signature", why)


def _ecdsa_signatures(issuer: Issuer) -> Cases:
    private = issuer.keys["ES256"].private
    header, claims = as_json(issuer.header("ES256")), as_json(issuer.claims())
    message = f"{b64(header)}.{b64(claims)}".encode()
    raw = issuer.keys["ES256"].sign(message)
    r, s = raw[:32], raw[32:]
    order = P256_ORDER.to_bytes(32)
    zero, one = bytes(32), (1).to_bytes(32)
    why = "ES256 is r and s, 32 bytes each, both from 1 to the order less 1 (RFC 7518 section 3.4)."
    forged: dict[str, bytes] = {
        "DER": private.sign(message, ec.ECDSA(hashes.SHA256())),
        "r and s zero (CVE-2022-21449)": zero + zero,
        "r zero": zero + s,
        "s zero": r + zero,
        "r and s one": one + one,
        "r and s the order": order + order,
        "r the order": order + s,
        "s the order": r + order,
        "s and r exchanged": s + r,
        "r of 33 bytes": b"\0" + r + s,
        "both of 48 bytes": bytes(16) + r + bytes(16) + s,
        "SHA-384": _raw(private.sign(message, ec.ECDSA(hashes.SHA384()))),
        "of the hash as it is": _raw(
            private.sign(hashlib.sha512(message).digest()[:32], ec.ECDSA(Prehashed(hashes.SHA256())))
        ),
    }
    for name, signature in forged.items():
        token = f"{message.decode()}.{b64(signature)}"
        yield Hostile("signature", f"ECDSA: {name}", token, "bad_signature", why)


def _raw(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(32) + s.to_bytes(32)


def keys_of_the_attacker(issuer: Issuer) -> Cases:
    """Well signed, by somebody else."""
    claims = as_json(issuer.claims())
    attackers = {
        "RS256": Key("RS256", rsa_key(name="mallory")),
        "PS256": Key("PS256", rsa_key(name="mallory")),
        "ES256": Key("ES256", ec.generate_private_key(ec.SECP256R1())),
        "EdDSA": Key("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    }
    for alg, key in attackers.items():
        why = "The issuer did not sign it."
        own = as_json({"alg": alg, "kid": key.kid})
        yield Hostile(
            "attacker", f"{alg} under a kid of their own", issuer.sign(own, claims, signer=key.sign), "unknown_key", why
        )
        stolen = as_json(issuer.header(alg))
        token = issuer.sign(stolen, claims, signer=key.sign)
        yield Hostile("attacker", f"{alg} under the issuer's kid", token, "bad_signature", why)
        embedded = as_json(issuer.header(alg) | {"jwk": key.members})
        token = issuer.sign(embedded, claims, signer=key.sign)
        yield Hostile("attacker", f"{alg} with the key in the header (CVE-2018-0114)", token, "unknown_header", why)
        pointed = as_json(issuer.header(alg) | {"jku": "https://attacker.example/jwks"})
        token = issuer.sign(pointed, claims, signer=key.sign)
        yield Hostile("attacker", f"{alg} with a URL to the key", token, "unknown_header", why)
    small = Key("RS256", rsa_key(1024, "small"), kid=issuer.keys["RS256"].kid)
    token = issuer.sign(as_json(issuer.header()), claims, signer=small.sign)
    yield Hostile("attacker", "an RSA key of 1024 bits under the issuer's kid", token, "bad_signature", "As above.")


def issuers(issuer: Issuer) -> Cases:
    """Signed by a key of the issuer's, in another's name."""
    origin = ISSUER.removesuffix("/oauth2/default")
    names: list[Any] = [
        *(f"{ISSUER}/", ISSUER + " ", " " + ISSUER, ISSUER.upper(), ISSUER.replace("https", "http"), ISSUER + "\0"),
        *(ISSUER[:-1], ISSUER + "x", origin, f"{origin}/oauth2/aus2", f"{origin}/oauth2", f"{ISSUER}#x", f"{ISSUER}?x"),
        *(
            "https://attacker.example/oauth2/default",
            f"https://attacker.example/{ISSUER}",
            f"{ISSUER}.attacker.example",
        ),
        *(
            ISSUER.replace("example", "ex\u0430mple"),
            ISSUER.replace("example", "example."),
            ISSUER.replace("/oauth2", ":443/oauth2"),
        ),
        *(ISSUER.replace("/default", "/../default"), ISSUER.replace("/default", "/%64efault"), ISSUER + "\n"),
        *("", "*", None, 1, True, [ISSUER], {"iss": ISSUER}),
    ]
    for name in names:
        token = _claims(issuer, iss=name)
        why = "`iss` is compared character by character (RFC 7519 section 4.1.1, RFC 9068 section 4)."
        yield Hostile("iss", repr(name), token, "wrong_issuer", why)
    yield Hostile("iss", "missing", issuer.token(iss=None), "wrong_issuer", "`iss` is required.")


def times(issuer: Issuer) -> Cases:
    """Signed by the issuer, for another time."""
    now = issuer.now
    values: dict[str, tuple[dict[str, Any], str]] = {
        "expired a minute ago": ({"exp": now - 60}, "expired"),
        "expired an hour ago": ({"exp": now - 3600}, "expired"),
        "expired a year ago": ({"exp": now - 31_536_000}, "expired"),
        "expired at the epoch": ({"exp": 0}, "expired"),
        "expired, as a fraction": ({"exp": now - 60.5}, "expired"),
        "valid in an hour": ({"nbf": now + 3600}, "not_yet_valid"),
        "valid in five minutes": ({"nbf": now + 300}, "not_yet_valid"),
        "valid in a year": ({"nbf": now + 31_536_000, "exp": now + 63_072_000}, "not_yet_valid"),
        "issued in an hour": ({"iat": now + 3600}, "issued_in_future"),
        "issued in five minutes": ({"iat": now + 300}, "issued_in_future"),
        "exp in milliseconds": ({"exp": (now + 3600) * 1000}, "bad_time"),
        "exp as text": ({"exp": str(now + 3600)}, "bad_time"),
        "exp as a date": ({"exp": "2099-01-01T00:00:00Z"}, "bad_time"),
        "exp true": ({"exp": True}, "bad_time"),
        "exp in a list": ({"exp": [now + 3600]}, "bad_time"),
        "exp in an object": ({"exp": {"value": now + 3600}}, "bad_time"),
        "exp negative": ({"exp": -1}, "bad_time"),
        "exp past the year 9999": ({"exp": 253_402_300_800}, "bad_time"),
        "exp of 1e300": ({"exp": 1e300}, "bad_time"),
        "exp of 20 digits": ({"exp": 10**19}, "bad_time"),
        "exp empty": ({"exp": ""}, "bad_time"),
        "nbf as text": ({"nbf": str(now - 10)}, "bad_time"),
        "nbf true": ({"nbf": True}, "bad_time"),
        "nbf in a list": ({"nbf": [0]}, "bad_time"),
        "nbf negative": ({"nbf": -5}, "bad_time"),
        "iat as text": ({"iat": str(now)}, "bad_time"),
        "iat false": ({"iat": False}, "bad_time"),
        "iat in an object": ({"iat": {}}, "bad_time"),
        "iat of 1e300": ({"iat": 1e300}, "bad_time"),
    }
    why = "Times are numbers of seconds and are all looked at (RFC 7519 sections 4.1.4 to 4.1.6)."
    for name, (changes, code) in values.items():
        yield Hostile("time", name, issuer.token(**changes), code, why)
    for name in ("exp", "nbf", "iat"):
        yield Hostile("time", f"{name} null", _claims(issuer, **{name: None}), "bad_time", why)
    yield Hostile("time", "exp missing", issuer.token(exp=None), "no_expiry", "`exp` is required (RFC 9068).")


def audiences(issuer: Issuer) -> Cases:
    """Signed by the issuer, for another API."""
    names: list[Any] = [
        *(
            "api://other",
            "api://default/",
            "api://Default",
            "api://default ",
            "api://defaul",
            "api://default2",
            "default",
            "api://",
            "*",
            "",
        ),
        *(CLIENT_ID, ISSUER, "api://other api://default", "api://other,api://default", ["api://other"], []),
        *(
            [AUDIENCE, 1],
            [AUDIENCE, None],
            [[AUDIENCE]],
            [{"aud": AUDIENCE}],
            {"aud": AUDIENCE},
            {AUDIENCE: True},
            1,
            True,
            None,
        ),
        *(["api://default "], ["a", "p", "i"], [AUDIENCE.upper()]),
    ]
    for name in names:
        why = "`aud` is our name, or a list of strings with our name in it (RFC 7519 section 4.1.3)."
        yield Hostile("aud", repr(name), _claims(issuer, aud=name), "wrong_audience", why)
    yield Hostile("aud", "missing", issuer.token(aud=None), "wrong_audience", "`aud` is required (RFC 9068).")


def clients(issuer: Issuer) -> Cases:
    """Signed by the issuer, for another client."""
    why = "Only the configured clients' tokens are taken."
    names: list[Any] = [
        *("0oaother", CLIENT_ID.upper(), CLIENT_ID + " ", CLIENT_ID[:-1], "", "*"),
        *(None, 1, True, [CLIENT_ID], {"cid": CLIENT_ID}, f"{CLIENT_ID},0oaother"),
    ]
    for name in names:
        yield Hostile("client", f"cid {name!r}", _claims(issuer, cid=name), "wrong_client", why)
    for claim in ("client_id", "azp"):
        for name in ("0oaother", None, [CLIENT_ID]):
            claims = issuer.claims(cid=None) | {claim: name}
            token = issuer.sign(as_json(issuer.header()), as_json(claims))
            yield Hostile("client", f"{claim} {name!r}", token, "wrong_client", why)
        token = issuer.token(**{claim: "0oaother"})
        yield Hostile("client", f"cid ours, {claim} another's", token, "wrong_client", "Two names, one foreign.")
    yield Hostile("client", "missing", issuer.token(cid=None), "wrong_client", why)


def scopes(issuer: Issuer) -> Cases:
    """Signed by the issuer, with scopes of the wrong shape."""
    why = "`scp` is a list of strings, `scope` one string; a token with both means the same by both."
    lists: list[Any] = ["openid messages", None, 1, True, {"messages": True}, ["messages", 1], [["messages"]], [None]]
    for value in lists:
        yield Hostile("scope", f"scp {value!r}", _claims(issuer, scp=value), "bad_scope", why)
    texts: list[Any] = [["messages"], None, 1, {"messages": True}]
    for value in texts:
        claims = issuer.claims(scp=None) | {"scope": value}
        token = issuer.sign(as_json(issuer.header()), as_json(claims))
        yield Hostile("scope", f"scope {value!r}", token, "bad_scope", why)
    yield Hostile("scope", "scp and scope differ", issuer.token(scope="admin"), "bad_scope", why)


def subjects(issuer: Issuer) -> Cases:
    """Signed by the issuer, for nobody, or for a name that would deceive whoever reads it."""
    names: list[Any] = ["", " ", "\t", "\u00a0", None, 1, 0, True, ["alice@example.com"], {"sub": "alice"}, "a" * 256]
    names += [
        "alice\0",
        "alice\n",
        "alice\r\nbob",
        "\x1b[31malice",
        "\u202ecila",
        "ali\u200bce",
        "\ufeffalice",
        "\u2066bob",
    ]
    for name in names:
        why = "`sub` is a non-empty string that shows as what it is (RFC 7519 section 4.1.2)."
        yield Hostile("sub", ascii(name), _claims(issuer, sub=name), "bad_subject", why)
    yield Hostile("sub", "missing", issuer.token(sub=None), "bad_subject", "`sub` is required (RFC 9068).")


def other_tokens(issuer: Issuer) -> Cases:
    """Signed by the issuer, as something other than an access token."""
    not_access = "not_an_access_token"
    values: dict[str, tuple[dict[str, Any], str, str]] = {
        "ID token": (
            {"aud": CLIENT_ID, "cid": None, "scp": None, "nonce": "n"},
            "wrong_audience",
            "Its audience is the client.",
        ),
        "ID token for an API named as the client": ({"nonce": "n"}, not_access, "`nonce` is an ID token's."),
        "at_hash": ({"at_hash": "x"}, not_access, "`at_hash` is an ID token's."),
        "c_hash": ({"c_hash": "x"}, not_access, "`c_hash` is an ID token's."),
        "s_hash": ({"s_hash": "x"}, not_access, "`s_hash` is an ID token's."),
        "jti of an ID token": ({"jti": "ID.x"}, not_access, "Okta names its tokens by their kind."),
        "jti of a refresh token": ({"jti": "RT.x"}, not_access, "Okta names its tokens by their kind."),
        "jti a number": ({"jti": 1}, not_access, "`jti` is a string."),
        "token_use id": ({"token_use": "id"}, not_access, "It says so itself."),
        "token_use refresh": ({"token_use": "refresh"}, not_access, "It says so itself."),
        "token_type refresh": ({"token_type": "refresh"}, not_access, "It says so itself."),
        "typ ID": ({"typ": "ID"}, not_access, "It says so itself."),
        "typ Refresh": ({"typ": "Refresh"}, not_access, "It says so itself."),
        "typ Offline": ({"typ": "Offline"}, not_access, "It says so itself."),
        "typ Logout": ({"typ": "Logout"}, not_access, "It says so itself."),
        "typ a number": ({"typ": 1}, not_access, "It says nothing."),
        "logout token": (
            {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
            not_access,
            "`events` is a logout token's.",
        ),
        "bound to a DPoP key": ({"cnf": {"jkt": "x"}}, "sender_constrained", "No proof came with it (RFC 9449)."),
        "bound to a certificate": ({"cnf": {"x5t#S256": "x"}}, "sender_constrained", "No proof came (RFC 8705)."),
    }
    for name, (changes, code, why) in values.items():
        yield Hostile("other token", name, issuer.token(**changes), code, why)


def tampered(issuer: Issuer) -> Cases:
    """A good token with other content under the old signature."""
    why = "The signature covers the header and the payload."
    claims = issuer.claims()
    changes: dict[str, Any] = {
        "sub": "admin@example.com",
        "aud": [AUDIENCE, "api://other"],
        "exp": claims["exp"] + 86_400,
        "scp": ["admin"],
        "uid": "00u0",
        "admin": True,
        "jti": "AT.other",
        "ver": 2,
    }
    for alg in issuer.keys:
        header = issuer.header(alg)
        token = issuer.sign(as_json(header), as_json(claims), alg=alg)
        head, _, signature = token.split(".")
        for name, value in changes.items():
            forged = f"{head}.{b64(as_json(claims | {name: value}))}.{signature}"
            yield Hostile("tampered", f"{alg}: {name} changed", forged, "bad_signature", why)
        spaced = f"{head}.{b64(as_json(claims) + b' ')}.{signature}"
        yield Hostile("tampered", f"{alg}: a space after the claims", spaced, "bad_signature", why)
        typed = f"{b64(as_json(header | {'typ': 'JWT'}))}.{b64(as_json(claims))}.{signature}"
        yield Hostile("tampered", f"{alg}: a header member added", typed, "bad_signature", why)
        other = issuer.sign(as_json(header), as_json(claims | {"jti": "AT.2"}), alg=alg).split(".")[2]
        swapped = f"{head}.{b64(as_json(claims))}.{other}"
        yield Hostile("tampered", f"{alg}: the signature of another token", swapped, "bad_signature", why)


def _claims(issuer: Issuer, **changes: Any) -> str:
    """As `issuer.token`, but a change to None is a claim of null."""
    return issuer.sign(as_json(issuer.header()), as_json(issuer.claims() | changes))
