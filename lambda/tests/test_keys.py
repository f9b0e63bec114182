"""Which key sets are believed: the function fails closed on every other."""

import base64
import json

import pytest
from calling import Caller, settings_of
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from forgery.issuer import Issuer, Key, as_json, b64, rsa_key
from jwcrypto.jwk import JWK

from messages.app import Function
from messages.keys import KeySet, UnusableKeys

SIGNER = Issuer()
RS256 = SIGNER.keys["RS256"].members
ES256 = SIGNER.keys["ES256"].members
EDDSA = SIGNER.keys["EdDSA"].members


def jwks(*keys) -> bytes:
    return as_json({"keys": list(keys)})


def key_from(private, **changes) -> dict:
    public = JWK()
    public.import_from_pyca(private.public_key())
    return public.export_public(as_dict=True) | {"kid": "k"} | changes


def rsa_with(n: int, e: int) -> dict:
    return RS256 | {
        "n": b64(n.to_bytes((n.bit_length() + 7) // 8)),
        "e": b64(e.to_bytes((e.bit_length() + 7) // 8)),
    }


N = rsa_key().public_key().public_numbers().n

# What is wrong with a key set, and a word of the explanation that the log must have.
REFUSED: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "not a JSON object"),
    "a list": (b"[]", "not a JSON object"),
    "HTML": (b"<html>", "not a JSON object"),
    "duplicate members": (b'{"keys":[],"keys":[]}', "duplicate_name"),
    "without keys": (b"{}", 'no list "keys"'),
    "keys an object": (b'{"keys":{}}', 'no list "keys"'),
    "a key that is text": (b'{"keys":["x"]}', 'no list "keys"'),
    "no keys in it": (jwks(), "no key that can verify"),
    "one bare key": (as_json(RS256), 'no list "keys"'),
    "65 keys": (jwks(*[RS256] * 65), "more than 64"),
    "a private RSA key": (jwks(json.loads(JWK.from_pyca(rsa_key()).export()) | {"kid": "k"}), "private"),
    "a private EC key": (jwks(ES256 | {"d": "AQ"}), "private"),
    "only a part of a private key": (jwks(RS256 | {"dp": "AQ"}), "private"),
    "a symmetric key": (jwks({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}), "symmetric"),
    "a symmetric key beside a good one": (jwks(RS256, {"kty": "oct", "kid": "s", "k": "c2VjcmV0"}), "symmetric"),
    "a symmetric key without k": (jwks(RS256, {"kty": "oct", "kid": "s"}), "symmetric"),
    "two keys of one kid": (jwks(RS256, ES256 | {"kid": RS256["kid"]}), "two keys"),
    "the same key twice": (jwks(RS256, RS256), "two keys"),
    "a kid also of an unsupported key": (jwks(RS256, {"kty": "AKP", "kid": RS256["kid"]}), "two keys"),
    "RSA of 1024 bits": (jwks(key_from(rsa_key(1024, "small"))), "1024 bits"),
    "RSA of 2047 bits": (jwks(rsa_with((1 << 2046) + 1, 65537)), "2047 bits"),
    "RSA of 16384 bits": (jwks(rsa_with((1 << 16383) + 1, 65537)), "16384 bits"),
    "RSA exponent 1": (jwks(rsa_with(N, 1)), "public key"),
    "RSA exponent 3": (jwks(rsa_with(N, 3)), "exponent"),
    "RSA exponent even": (jwks(rsa_with(N, 65538)), "public key"),
    "RSA modulus even": (jwks(rsa_with(N - 1, 65537)), "modulus"),
    "RSA without modulus": (jwks({k: v for k, v in RS256.items() if k != "n"}), '"n"'),
    "RSA with padding in its modulus": (jwks(RS256 | {"n": RS256["n"] + "=="}), '"n"'),
    "RSA with a number for modulus": (jwks(RS256 | {"n": 5}), '"n"'),
    "for encryption": (jwks(RS256 | {"use": "enc"}), "not for signatures"),
    "for encryption, beside a good one": (jwks(ES256, RS256 | {"use": "enc"}), "not for signatures"),
    "use a list": (jwks(RS256 | {"use": ["sig"]}), "not for signatures"),
    "key_ops for signing": (jwks(RS256 | {"key_ops": ["sign", "verify"]}), "verifying only"),
    "key_ops for encryption": (jwks(RS256 | {"key_ops": ["encrypt"]}), "verifying only"),
    "key_ops empty": (jwks(RS256 | {"key_ops": []}), "verifying only"),
    "EC off the curve": (jwks(ES256 | {"x": b64(bytes(32))}), "not a valid public key"),
    "EC with a short x": (jwks(ES256 | {"x": "AQ"}), "not a valid public key"),
    "EdDSA with a short x": (jwks(EDDSA | {"x": "AQ"}), "not a valid public key"),
    "only unsupported kinds": (jwks({"kty": "AKP", "kid": "k", "alg": "ML-DSA-44"}), "no key that can verify"),
    "only keys without kid": (jwks({k: v for k, v in RS256.items() if k != "kid"}), "no key that can verify"),
    "only P-384": (jwks(key_from(ec.generate_private_key(ec.SECP384R1()))), "no key that can verify"),
    "only X25519": (jwks(key_from(x25519.X25519PrivateKey.generate())), "no key that can verify"),
    "only Ed448": (jwks(key_from(ed448.Ed448PrivateKey.generate())), "no key that can verify"),
    "only RS512": (jwks(RS256 | {"alg": "RS512"}), "no key that can verify"),
    "only RSA-OAEP": (jwks(RS256 | {"alg": "RSA-OAEP"}), "no key that can verify"),
    "RSA with alg HS256": (jwks(RS256 | {"alg": "HS256"}), "no key that can verify"),
    "kty a list": (jwks(RS256 | {"kty": ["RSA"]}), "no key that can verify"),
    "kid a number": (jwks(RS256 | {"kid": 1}), "no key that can verify"),
    "kid empty": (jwks(RS256 | {"kid": ""}), "no key that can verify"),
}


@pytest.mark.parametrize(("raw", "explanation"), REFUSED.values(), ids=REFUSED)
def test_key_set_is_refused_with_an_explanation(raw, explanation):
    with pytest.raises(UnusableKeys, match=explanation):
        KeySet.from_json(raw)


@pytest.mark.parametrize("raw", [raw for raw, _ in REFUSED.values()], ids=REFUSED)
def test_function_with_a_refused_key_set_accepts_nothing(raw, capsys):
    """503 for the best of tokens; what is wrong stands in the log, and how to mend it."""
    function = Function(settings_of(SIGNER, OKTA_KEYS=base64.b64encode(raw).decode()))
    for token in ("", SIGNER.token()):
        reply = Caller(function).form(token=token, message="hi")
        assert (reply.status, reply.error) == (503, "not_configured")
        assert "OKTA_KEYS" not in json.dumps(reply.event)
    log = capsys.readouterr().out
    assert "OKTA_KEYS" in log
    assert "curl" in log


@pytest.mark.parametrize("value", ["", " \n", "!", "e30", "eyJrZXlzIjpb", "bnVsbA==", "\u20ac"])
def test_unreadable_environment_variable_accepts_nothing(value):
    reply = Caller(Function(settings_of(SIGNER, OKTA_KEYS=value))).form(token=SIGNER.token(), message="hi")
    assert (reply.status, reply.error) == (503, "not_configured")


def test_base64_wrapped_at_76_characters_is_read():
    """`base64` without -w0 wraps its lines."""
    wrapped = base64.encodebytes(SIGNER.jwks()).decode()
    assert "\n" in wrapped.strip()
    assert len(KeySet.from_base64(wrapped)) == 4


def test_every_key_of_the_set_verifies():
    """Not the last one, nor the first."""
    keys = KeySet.from_json(SIGNER.jwks())
    assert {key.kid: key.alg for key in keys} == {key.kid: alg for alg, key in SIGNER.keys.items()}


def test_unsupported_key_is_left_out_and_named_beside_good_ones():
    """A new kind of key at the issuer must not lock everybody out."""
    keys = KeySet.from_json(jwks({"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AQ"}, RS256))
    assert [key.kid for key in keys] == [RS256["kid"]]
    assert "new" in keys.left_out[0]


def test_members_an_issuer_adds_do_no_harm():
    extra = RS256 | {"x5c": ["MIIB"], "x5t": "AQ", "status": "ACTIVE", "created": "2026", "_links": {"self": {}}}
    assert KeySet.from_json(jwks(extra)).find(RS256["kid"])


@pytest.mark.parametrize("change", [{"key_ops": ["verify"]}, {"use": "sig"}, {"use": "sig", "key_ops": ["verify"]}])
def test_key_for_verifying_is_taken(change):
    bare = {name: value for name, value in RS256.items() if name != "use"}
    assert KeySet.from_json(jwks(bare | change)).find(RS256["kid"])


@pytest.mark.parametrize(("members", "alg"), [(RS256, "RS256"), (ES256, "ES256"), (EDDSA, "EdDSA")])
def test_key_without_alg_verifies_one_algorithm(members, alg):
    bare = {name: value for name, value in members.items() if name != "alg"}
    assert KeySet.from_json(jwks(bare)).find(bare["kid"]).alg == alg


@pytest.mark.parametrize("bits", [2048, 2056, 3072, 4096])
def test_larger_rsa_keys_verify(bits):
    key = Key("RS256", rsa.generate_private_key(65537, bits))
    (read,) = KeySet.from_json(jwks(key.members))
    assert read.verifies(key.sign(b"text"), b"text")
    assert not read.verifies(key.sign(b"text"), b"other")


def test_ed25519_signature_verifies():
    key = Key("EdDSA", ed25519.Ed25519PrivateKey.generate())
    (read,) = KeySet.from_json(jwks(key.members))
    assert read.verifies(key.sign(b"text"), b"text")
