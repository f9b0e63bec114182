"""Sign in without the widget, for tests whose subject is something else.

The steps are those of any Okta organisation: primary authentication, the authorization code flow with PKCE, and the
tokens put where auth-js keeps them. The issuer's session cookie lands in the browser context as well, so a page opened
in it is indistinguishable from one where the person typed their password.
Source: Okta's Authentication API; RFC 6749 section 4.1; RFC 7636.
"""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import APIResponse, BrowserContext

from e2e.deployment import Deployment
from e2e.people import Person

STORAGE_KEY = "okta-token-storage"


@dataclass(frozen=True)
class Tokens:
    """What the issuer answers to a code."""

    access: str
    identity: str
    refresh: str
    expires_in_s: int

    def as_kept_by_auth_js(self, deployment: Deployment) -> str:
        """Write them as auth-js keeps them in localStorage."""
        now = int(time.time())
        urls = {"authorizeUrl": f"{deployment.issuer}/v1/authorize", "scopes": list(deployment.scopes)}
        access, identity = claims(self.access), claims(self.identity)
        return json.dumps(
            {
                "accessToken": {
                    "accessToken": self.access,
                    "claims": access,
                    "tokenType": "Bearer",
                    "expiresAt": now + self.expires_in_s,
                    "userinfoUrl": f"{deployment.issuer}/v1/userinfo",
                    **urls,
                },
                "idToken": {
                    "idToken": self.identity,
                    "claims": identity,
                    "expiresAt": identity["exp"],
                    "issuer": deployment.issuer,
                    "clientId": deployment.client_id,
                    **urls,
                },
                "refreshToken": {
                    "refreshToken": self.refresh,
                    "expiresAt": now + 86_400,
                    "tokenUrl": f"{deployment.issuer}/v1/token",
                    "issuer": deployment.issuer,
                    **urls,
                },
            }
        )


def claims(token: str) -> dict[str, Any]:
    """Read a token's claims without checking it: the function does that."""
    payload = token.split(".")[1]
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return content


def sign_in(context: BrowserContext, deployment: Deployment, person: Person) -> Tokens:
    """Sign a person in; the issuer's session cookie goes to the context."""
    authenticated = _document(
        context.request.post(
            f"{deployment.org}/api/v1/authn", data={"username": person.login, "password": person.password}
        )
    )
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    authorized = context.request.get(
        f"{deployment.issuer}/v1/authorize",
        params={
            "client_id": deployment.client_id,
            "redirect_uri": deployment.redirect_uri,
            "response_type": "code",
            "scope": " ".join(deployment.scopes),
            "state": secrets.token_urlsafe(16),
            "nonce": secrets.token_urlsafe(16),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "prompt": "none",
            "sessionToken": authenticated["sessionToken"],
        },
        max_redirects=0,
    )
    answer = parse_qs(urlsplit(authorized.headers["location"]).query)
    assert "code" in answer, f"the issuer gave no code: {answer}"
    granted = _document(
        context.request.post(
            f"{deployment.issuer}/v1/token",
            form={
                "grant_type": "authorization_code",
                "client_id": deployment.client_id,
                "redirect_uri": deployment.redirect_uri,
                "code": answer["code"][0],
                "code_verifier": verifier,
            },
            # A public client's code is redeemed by a browser, and Okta asks for its origin.
            headers={"Origin": deployment.base_url},
        )
    )
    return Tokens(
        access=granted["access_token"],
        identity=granted["id_token"],
        refresh=granted["refresh_token"],
        expires_in_s=granted["expires_in"],
    )


def _document(response: APIResponse) -> dict[str, Any]:
    assert response.ok, f"{response.url} answered {response.status}: {response.text()[:300]}"
    document: dict[str, Any] = response.json()
    return document
