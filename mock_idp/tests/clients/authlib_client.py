"""Authlib: a web client's code flow, and its RFC 9068 validator as an API."""

import re
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.jwk import KeySet

ISSUER = sys.argv[1]
BASE = re.sub(r"/oauth2/.*", "", ISSUER)
REDIRECT_URI = "http://localhost:5555/callback"

metadata = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=10).json()
keys = requests.get(metadata["jwks_uri"], timeout=10).json()


def sign_in(url: str) -> str:
    with requests.Session() as browser:
        page = browser.get(url, allow_redirects=False, timeout=10)
        flow = page.headers["Location"].split("flow=", 1)[1]
        form = {"flow": flow, "persona": "alice@example.com"}
        answer = browser.post(f"{BASE}/signin", data=form, allow_redirects=False, timeout=10)
        return answer.headers["Location"]


for method in "client_secret_basic", "client_secret_post":
    client = OAuth2Session(
        "demo-client",
        "demo-secret",
        scope="openid profile offline_access",
        redirect_uri=REDIRECT_URI,
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
    )
    verifier = "v" * 64
    url, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier, nonce="n")
    token = client.fetch_token(
        metadata["token_endpoint"], authorization_response=sign_in(url), state=state, code_verifier=verifier
    )
    identity = jwt.decode(token["id_token"], KeySet.import_key_set(keys))
    assert identity.claims["nonce"] == "n"
    renewed = client.refresh_token(metadata["token_endpoint"], token["refresh_token"])
    assert renewed["refresh_token"] != token["refresh_token"]
    assert client.get(metadata["userinfo_endpoint"]).json()["name"] == "Alice Archer"


class Validator(JWTBearerTokenValidator):
    def get_jwks(self) -> dict:
        return keys


validator = Validator(issuer=ISSUER, resource_server="api://default")


def mint(**order: object) -> str:
    return requests.post(f"{BASE}/mock/tokens", json=order, timeout=10).json()["token"]


def accepted(value: str) -> bool:
    try:
        validator.validate_token(validator.authenticate_token(value), [], None)
    except Exception as error:  # noqa: BLE001 - any refusal counts, whatever its class
        print(type(error).__name__)
        return False
    return True


assert accepted(mint()), "an RFC 9068 validator accepts the access token"
for fault in "expired", "tampered_payload", "alg_none", "wrong_issuer", "wrong_audience", "wrong_typ", "unknown_kid":
    assert not accepted(mint(fault=fault)), fault
